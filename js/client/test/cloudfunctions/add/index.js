exports.main = async (event) => event.x + event.y
