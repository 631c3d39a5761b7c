exports.main = async () => 'page'
