// Preloaded into the plain Node: the SDK's requests go the way that they go in our workers, to another socket.
const cloud = require('./cloud.js')
cloud.install()
cloud.identify(process.argv[2])
