exports.main = async () => {}
