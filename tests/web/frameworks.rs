//! Frameworks from npm, unmodified: Express 4 and 5 and Koa behind `serverless-http`, and `tcb-router`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{header, route};
use crate::support::{Dev, Scratch};

/// What both generations of Express serve.
const EXPRESS: &str = r"
const express = require('express');
const cookieParser = require('cookie-parser');
const app = express();
app.use(cookieParser());
app.use(express.json());
app.use(express.urlencoded({ extended: true }));
app.get('/users/:name', (req, res) => res.json({ name: req.params.name, query: req.query, cookies: req.cookies, url: req.originalUrl }));
app.post('/json', (req, res) => res.status(201).json({ got: req.body, type: req.get('content-type') }));
app.post('/form', (req, res) => res.json(req.body));
app.post('/bytes', express.raw({ type: '*/*', limit: '5mb' }), (req, res) => res.type('png').send(req.body));
app.get('/cookies', (req, res) => { res.cookie('a', '1', { httpOnly: true }); res.cookie('b', '2'); res.send('set'); });
app.get('/away', (req, res) => res.redirect('/users/x'));
app.get('/picture', (req, res) => res.type('png').send(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255, 254])));
app.get('/stream', (req, res) => { res.type('text'); res.write('one '); setTimeout(() => { res.write('two '); res.end('three'); }, 5); });
app.delete('/users/:name', (req, res) => res.sendStatus(204));
app.get('/throws', () => { throw new Error('as asked for'); });
app.use((req, res) => res.status(404).send('no page'));
exports.main = require('serverless-http')(app, { binary: ['image/*'] });
";

const KOA: &str = r"
const Koa = require('koa');
const app = new Koa();
app.use(async (ctx) => {
  if (ctx.path === '/picture') { ctx.type = 'png'; ctx.body = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255, 254]); return; }
  if (ctx.path === '/away') return ctx.redirect('/there');
  if (ctx.path === '/body') { const parts = []; for await (const part of ctx.req) parts.push(part); ctx.body = Buffer.concat(parts).toString().toUpperCase(); return; }
  if (ctx.path === '/gone') ctx.throw(410, 'gone');
  ctx.cookies.set('a', '1'); ctx.cookies.set('b', '2');
  ctx.set('x-method', ctx.method);
  ctx.body = { path: ctx.path, query: ctx.query, cookie: ctx.cookies.get('c') };
});
exports.main = require('serverless-http')(app, { binary: ['image/*'] });
";

const ROUTER: &str = r"
const TcbRouter = require('tcb-router');
exports.main = (event) => {
  const app = new TcbRouter({ event: { ...event, $url: event.path.slice(1) } });
  app.use(async (ctx, next) => { ctx.data = { seen: [event.httpMethod] }; await next(); });
  app.router('user', async (ctx, next) => { ctx.data.seen.push('user'); await next(); }, async (ctx) => { ctx.body = { code: 0, data: ctx.data, query: event.queryStringParameters }; });
  app.router('page', async (ctx) => { ctx.body = { statusCode: 200, headers: { 'content-type': 'text/html' }, body: '<h1>page</h1>' }; });
  return app.serve();
};";

fn project() -> Scratch {
    let project = Scratch::new(&[
        ("express4", EXPRESS),
        ("express5", EXPRESS),
        ("koa", KOA),
        ("router", ROUTER),
    ]);
    for (name, packages) in [
        (
            "express4",
            json!({"express": "4.21.2", "cookie-parser": "1.4.7", "serverless-http": "3.2.0"}),
        ),
        (
            "express5",
            json!({"express": "5.1.0", "cookie-parser": "1.4.7", "serverless-http": "4.0.0"}),
        ),
        ("koa", json!({"koa": "2.16.1", "serverless-http": "4.0.0"})),
        ("router", json!({"tcb-router": "1.1.2"})),
    ] {
        let manifest = json!({"name": name, "dependencies": packages}).to_string();
        project.write(&format!("cloudfunctions/{name}/package.json"), &manifest);
    }
    let routes: String = ["express4", "express5", "koa", "router"]
        .map(|name| route(&format!("/{name}"), name, ""))
        .concat();
    let times = ["express4", "express5", "koa", "router"]
        .map(|name| format!("[functions.{name}]\ntimeout = 20\n"))
        .concat();
    project.write("yunqiao.toml", &format!("{times}{routes}"));
    project
}

#[tokio::test]
async fn frameworks_from_npm_run_unmodified() {
    let project = project();
    let dev = Dev::start(project.path());
    for name in ["express4", "express5"] {
        express(&dev, name).await;
    }
    koa(&dev).await;

    let told: Value = dev.get("/router/user?a=1").await.json().await.unwrap();
    assert_eq!(
        told,
        json!({"code": 0, "data": {"seen": ["GET", "user"]}, "query": {"a": "1"}})
    );
    let page = dev.get("/router/page").await;
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(page.text().await.unwrap(), "<h1>page</h1>");
}

async fn express(dev: &Dev, name: &str) {
    let at = |path: &str| format!("/{name}{path}");
    let request = dev
        .web(Method::GET, &at("/users/J%C3%BCrgen%20M?tag=a&tag=b&q=%E4%B8%AD"))
        .header("cookie", "c=%E4%B8%AD; d=2");
    let told: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(told["name"], "Jürgen M", "{name}");
    assert_eq!(told["query"], json!({"tag": ["a", "b"], "q": "中"}));
    assert_eq!(told["cookies"], json!({"c": "中", "d": "2"}));
    let reply = dev
        .web(Method::POST, &at("/json"))
        .json(&json!({"a": ["中", 1]}))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 201);
    let told: Value = reply.json().await.unwrap();
    assert_eq!(told["got"], json!({"a": ["中", 1]}));
    let form = dev
        .web(Method::POST, &at("/form"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("a=1&b[c]=%E4%B8%AD+x");
    let told: Value = form.send().await.unwrap().json().await.unwrap();
    assert_eq!(told, json!({"a": "1", "b": {"c": "中 x"}}));
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    let reply = dev
        .web(Method::POST, &at("/bytes"))
        .header("content-type", "application/octet-stream")
        .body(bytes.clone());
    let reply = reply.send().await.unwrap();
    assert_eq!(header(&reply, "content-type"), "image/png");
    assert!(reply.bytes().await.unwrap() == bytes, "{name}");
    let form = [
        "--B\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n中\r\n".as_bytes(),
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n\0\xff\xfe\r\n--B--\r\n",
    ];
    let reply = dev
        .web(Method::POST, &at("/bytes"))
        .header("content-type", "multipart/form-data; boundary=B")
        .body(form.concat());
    let reply = reply.send().await.unwrap();
    let echoed = reply.bytes().await.unwrap();
    assert!(
        echoed.windows(3).any(|window| window == [0, 255, 254]),
        "a form comes with its bytes"
    );
    let reply = dev.get(&at("/cookies")).await;
    let cookies: Vec<_> = reply.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/; HttpOnly", "b=2; Path=/"], "{name}");
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let reply = client
        .get(format!("{}{}", dev.web, at("/away")))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (reply.status().as_u16(), header(&reply, "location")),
        (302, "/users/x")
    );
    let reply = dev.get(&at("/picture")).await;
    assert_eq!(
        (header(&reply, "content-type"), header(&reply, "content-length")),
        ("image/png", "7")
    );
    assert_eq!(
        &reply.bytes().await.unwrap()[..],
        [0x89, 0x50, 0x4e, 0x47, 0, 255, 254]
    );
    assert_eq!(
        dev.get(&at("/stream")).await.text().await.unwrap(),
        "one two three"
    );
    let reply = dev.web(Method::DELETE, &at("/users/x")).send().await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), reply.bytes().await.unwrap().len()),
        (204, 0)
    );
    assert_eq!(dev.get(&at("/throws")).await.status(), 500);
    let lost = dev.get(&at("/lost")).await;
    assert_eq!(
        (lost.status().as_u16(), lost.text().await.unwrap()),
        (404, "no page".to_owned())
    );
    let etag = header(&dev.get(&at("/users/x")).await, "etag").to_owned();
    let again = dev
        .web(Method::GET, &at("/users/x"))
        .header("if-none-match", &etag)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (again.status().as_u16(), again.bytes().await.unwrap().len()),
        (304, 0)
    );
}

async fn koa(dev: &Dev) {
    let request = dev.web(Method::PATCH, "/koa/a/b?x=1&x=2").header("cookie", "c=3");
    let reply = request.send().await.unwrap();
    assert_eq!(header(&reply, "x-method"), "PATCH");
    let cookies: Vec<_> = reply.headers().get_all("set-cookie").iter().collect();
    assert_eq!(
        cookies,
        ["a=1; path=/; secure; httponly", "b=2; path=/; secure; httponly"]
    );
    let told: Value = reply.json().await.unwrap();
    assert_eq!(
        told,
        json!({"path": "/a/b", "query": {"x": ["1", "2"]}, "cookie": "3"})
    );
    let reply = dev.get("/koa/picture").await;
    assert_eq!(
        &reply.bytes().await.unwrap()[..],
        [0x89, 0x50, 0x4e, 0x47, 0, 255, 254]
    );
    let reply = dev
        .web(Method::POST, "/koa/body")
        .body("text 中")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.text().await.unwrap(), "TEXT 中");
    let gone = dev.get("/koa/gone").await;
    assert_eq!(
        (gone.status().as_u16(), gone.text().await.unwrap()),
        (410, "gone".to_owned())
    );
}
