const xml = require('xml2js')
const buffer = require('buffer')
exports.main = async () => xml.parseString(buffer.Buffer.alloc(1))
