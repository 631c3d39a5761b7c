// The yardstick: as little as a Node HTTP server that runs a function can do. It checks no token, opens no ticket,
// sets no environment, keeps no log and has no deadline.
const http = require('node:http')
const { main } = require('./function')

const server = http.createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', async () => {
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
    const result = await main(JSON.parse(body))
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(result))
  })
})
server.listen(0, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}`))
