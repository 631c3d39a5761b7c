// Where the gateway is, as `yunqiao dev` prints it; in production your own host, and 'https'.
window.yunqiao = { env: 'web-todo', host: 'localhost:8787', protocol: 'http' }
