// process.env.COMMENTED
exports.sender = (key) => key === process.env?.HOST_KEY && 'process.env.QUOTED'
