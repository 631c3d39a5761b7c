//! Requests that functions make to the hosts behind wx-server-sdk. Here the test plays the gateway's part: it serves the
//! workers' connections, with HTTP reduced to what it takes to see every byte.

use std::collections::HashSet;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::watch,
};

use super::*;
use crate::{Connection, InvocationId, Peer};

/// A request as it arrived.
#[derive(Clone)]
struct Request {
    /// The number of the connection it came by.
    connection: usize,
    worker: Peer,
    head: String,
    body: String,
}

/// Serves all connections, and answers each request with its path: one with `wait` in it when it is let go, others at
/// once.
struct Host {
    seen: Arc<Mutex<Vec<Request>>>,
    go: watch::Sender<bool>,
}

impl Host {
    fn of(bench: &Bench) -> Self {
        let mut connections = bench.runtime.connections().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (go, gone) = watch::channel(false);
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut number = 0;
            while let Some(Connection { stream, worker }) = connections.recv().await {
                tokio::spawn(answer(stream, worker, number, Arc::clone(&all), gone.clone()));
                number += 1;
            }
        });
        Self { seen, go }
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The first request for this path, when it has arrived.
    async fn request(&self, path: &str) -> Request {
        let line = format!(" {path} HTTP/1.1\r\n");
        let found = || {
            let seen = self.seen.lock().unwrap();
            seen.iter().find(|request| request.head.contains(&line)).cloned()
        };
        eventually(path, || found().is_some()).await;
        found().unwrap()
    }
}

async fn answer(
    mut stream: UnixStream,
    worker: Peer,
    connection: usize,
    seen: Arc<Mutex<Vec<Request>>>,
    mut gone: watch::Receiver<bool>,
) {
    let mut bytes = Vec::new();
    loop {
        let Some(end) = whole(&bytes) else {
            match stream.read_buf(&mut bytes).await {
                Ok(1..) => continue,
                _ => return,
            }
        };
        let text = String::from_utf8(bytes.drain(..end).collect()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        seen.lock().unwrap().push(Request {
            connection,
            worker: worker.clone(),
            head: format!("{head}\r\n"),
            body: body.to_owned(),
        });
        if path.contains("wait") {
            let _ = gone.wait_for(|gone| *gone).await;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// How long the first request is, if it is all there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).unwrap();
    let head = text.find("\r\n\r\n")? + 4;
    let lower = text[..head].to_lowercase();
    let end = if lower.contains("transfer-encoding: chunked") {
        head + text[head..].find("0\r\n\r\n")? + 5
    } else if let Some((_, length)) = lower.split_once("content-length: ") {
        head + length.split("\r\n").next()?.parse::<usize>().ok()?
    } else {
        head
    };
    (end <= text.len()).then_some(end)
}

/// `ask(module, ...arguments)` makes a request and gives what came back; an error is a text too.
const ASK: &str = "
    const http = require('http'), https = require('https');
    const collect = (ok) => (response) => {
        let text = ''; response.on('data', (data) => { text += data; }); response.on('end', () => ok(text)); };
    const ask = (module, ...args) => new Promise((ok) => {
        const made = module.get(...args, collect(ok));
        made.on('error', (error) => ok(`${error.code}: ${error.message}`)); });
    ";

fn source(rest: &str) -> String {
    format!("{ASK}{rest}")
}

/// A way to make a request, and what has to arrive of it: the head, and the body.
type Form = (&'static str, &'static str, &'static str);

const FORMS: &[Form] = &[
    (
        "http.get('http://tcb-admin.tencentyun.com/admin?&eventId=1&seqId=2', done)",
        "GET /admin?&eventId=1&seqId=2 HTTP/1.1\nHost: tcb-admin.tencentyun.com\nConnection: keep-alive\n",
        "",
    ),
    (
        "https.get(new URL('https://env-1.ap-shanghai.tcb-api.tencentcloudapi.com:8443/admin?env=a%20b'), done)",
        "GET /admin?env=a%20b HTTP/1.1\nHost: env-1.ap-shanghai.tcb-api.tencentcloudapi.com:8443\nConnection: keep-alive\n",
        "",
    ),
    (
        "https.get('https://tcb-open.tencentcloudapi.com', { path: '/admin?b', headers: { 'X-TCB-Source': 'a,scf' } }, done)",
        "GET /admin?b HTTP/1.1\nX-TCB-Source: a,scf\nHost: tcb-open.tencentcloudapi.com\nConnection: keep-alive\n",
        "",
    ),
    // All that says how to get there, and none of which may be followed.
    (
        "https.request({ protocol: 'https:', host: 'tcb-admin.tencentcloudapi.com', port: 443, path: '/admin', method: 'POST',
            agent: new https.Agent(), servername: 'elsewhere', rejectUnauthorized: true, ca: 'none', family: 6,
            localAddress: '192.0.2.1', lookup: () => { throw new Error('looked up'); },
            createConnection: () => { throw new Error('connected'); },
            headers: { 'content-type': 'application/json', 'Content-Length': 7 } }, done).end('{\"a\":1}')",
        "POST /admin HTTP/1.1\ncontent-type: application/json\nContent-Length: 7\nHost: tcb-admin.tencentcloudapi.com\n\
         Connection: keep-alive\n",
        "{\"a\":1}",
    ),
    // Without a length the body is chunked.
    (
        "{ const made = https.request({ hostname: 'env-1.tcb-api.tencentcloudapi.com', host: 'ignored', path: '/admin',
            port: 80, method: 'POST' }, done); made.write('one'); made.end('two'); return made; }",
        "POST /admin HTTP/1.1\nHost: env-1.tcb-api.tencentcloudapi.com:80\nConnection: keep-alive\n\
         Transfer-Encoding: chunked\n",
        "3\none\n3\ntwo\n0\n\n",
    ),
    (
        "http.get({ host: 'TCB.local', port: 8080, path: '/admin', headers: { host: 'as.signed:99' } }, done)",
        "GET /admin HTTP/1.1\nhost: as.signed:99\nConnection: keep-alive\n",
        "",
    ),
    (
        "http.get(require('url').parse('http://me:secret@tcb.local:80/admin?c'), done)",
        "GET /admin?c HTTP/1.1\nHost: tcb.local\nAuthorization: Basic bWU6c2VjcmV0\nConnection: keep-alive\n",
        "",
    ),
    (
        "http.get('http://tcb.local/admin', { headers: ['Host', 'tcb.local', 'X-A', '1', 'x-a', '2'], agent: false }, done)",
        "GET /admin HTTP/1.1\nHost: tcb.local\nX-A: 1\nx-a: 2\nConnection: keep-alive\n",
        "",
    ),
    (
        "http.request('http://tcb.local/').on('response', done).end()",
        "GET / HTTP/1.1\nHost: tcb.local\nConnection: keep-alive\n",
        "",
    ),
];

#[tokio::test]
async fn every_form_of_a_request_arrives_as_it_would_have_left() {
    let forms: String = FORMS
        .iter()
        .map(|(js, ..)| match js.strip_prefix('{') {
            Some(block) => format!("(done) => {{ {block},\n"),
            None => format!("(done) => {js},\n"),
        })
        .collect();
    let bench = Bench::one(&source(&format!(
        "const forms = [{forms}];
        exports.main = (event) => new Promise((ok) => {{
            const made = forms[event.form](collect(ok));
            if (!(made instanceof http.ClientRequest)) throw new Error('not a request');
            made.on('error', (error) => ok(error.message)); }});"
    )))
    .await;
    let host = Host::of(&bench);
    for (number, (js, head, body)) in FORMS.iter().enumerate() {
        let result = bench
            .result("f", &format!(r#"{{"form":{number}}}"#))
            .await
            .unwrap();
        let path = head.split(' ').nth(1).unwrap();
        assert_eq!(result, format!("\"{path}\""), "{js}");
        let request = host.seen().pop().unwrap();
        assert_eq!(request.head, head.replace('\n', "\r\n"), "{js}");
        assert_eq!(request.body, body.replace('\n', "\r\n"), "{js}");
        assert_eq!(request.connection, 0, "one connection is enough: {js}");
    }
    bench.end().await;
}

#[tokio::test]
async fn es_modules_reach_the_host_whichever_way_they_import() {
    let mut bench = Bench::new().await;
    bench.function_at(
        "f",
        "index.mjs",
        "import { get } from 'https'; import * as all from 'node:http'; import one from 'http';
        const text = (get, url) => new Promise((ok, no) => get(url, (response) => {
            let text = ''; response.on('data', (data) => { text += data; }); response.on('end', () => ok(text)); }).on('error', no));
        export const main = async () => [await text(get, 'https://tcb-admin.tencentcloudapi.com/named'),
            await text(all.get, 'http://tcb.local/all'), await text(one.get, 'http://tcb.local/default')];",
    );
    bench.load().await;
    let host = Host::of(&bench);
    assert_eq!(
        bench.result("f", "{}").await,
        Ok(r#"["/named","/all","/default"]"#.to_owned())
    );
    assert_eq!(host.seen().len(), 3);
    bench.end().await;
}

#[tokio::test]
async fn other_hosts_are_nodes_own_business() {
    let bench = Bench::one(&source(
        "const lookup = (name, options, done) => done(new Error('looked up ' + name));
        exports.main = async () => {
            const server = http.createServer((request, response) => response.end(request.headers.host));
            await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
            const { port } = server.address();
            const own = await ask(http, { host: 'localhost', port, lookup: (name, options, done) =>
                options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4) });
            server.closeAllConnections && server.closeAllConnections(); server.close();
            let thrown; try { http.get('no url'); } catch (error) { thrown = error.code; }
            return { own: own === 'localhost:' + port, thrown, others: await Promise.all([
                ask(https, 'https://api.weixin.qq.com/', { lookup }),
                ask(http, { host: 'nottcb-admin.tencentyun.com', lookup }),
                ask(http, new URL('http://tcb.local.example.com/'), { lookup }),
                ask(https, { hostname: 'example.com', host: 'tcb.local', lookup }),
            ]) };
        };",
    ))
    .await;
    let host = Host::of(&bench);
    let result = bench.result("f", "{}").await.unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let names = [
        "api.weixin.qq.com",
        "nottcb-admin.tencentyun.com",
        "tcb.local.example.com",
        "example.com",
    ];
    assert_eq!(
        result,
        serde_json::json!({ "own": true, "thrown": "ERR_INVALID_URL",
            "others": names.map(|name| format!("undefined: looked up {name}")) })
    );
    assert!(host.seen().is_empty());
    bench.end().await;
}

#[tokio::test]
async fn what_functions_ask_of_wechat_themselves_goes_to_what_stands_in_its_place() {
    let wechat = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", wechat.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = wechat.accept().await {
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while let Ok(1..) = stream.read_buf(&mut bytes).await {
                    let Some(end) = whole(&bytes) else { continue };
                    let text = String::from_utf8(bytes.drain(..end).collect()).unwrap();
                    all.lock().unwrap().push(text.to_lowercase());
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhi you";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let mut bench = Bench::with(|options| options.wechat_at = Some(base)).await;
    bench.function(
        "f",
        &source(
            "const lookup = (name, options, done) => done(new Error('looked up ' + name));
            const url = 'https://api.weixin.qq.com/cgi-bin/token?appid=wx1';
            const read = (answer) => answer.then((response) => response.text());
            exports.main = async () => [
                await ask(https, url),
                await ask(http, { hostname: 'sh.api.weixin.qq.com', path: '/x', agent: false, lookup }),
                await read(fetch(url, { method: 'POST', body: '{\"a\":1}', headers: { a: 'b' } })),
                await read(fetch(new Request(new URL(url), { headers: { c: 'd' } }))),
                await ask(https, { hostname: 'mp.weixin.qq.com', lookup }),
                await ask(https, { hostname: 'api.weixin.qq.com.example.com', lookup }),
                fetch.name,
            ];",
        ),
    );
    bench.load().await;
    let host = Host::of(&bench);
    let result: serde_json::Value = serde_json::from_str(&bench.result("f", "{}").await.unwrap()).unwrap();
    let missed = |name: &str| format!("undefined: looked up {name}");
    assert_eq!(
        result,
        serde_json::json!([
            "hi you",
            "hi you",
            "hi you",
            "hi you",
            missed("mp.weixin.qq.com"),
            missed("api.weixin.qq.com.example.com"),
            "fetch",
        ])
    );
    assert!(host.seen().is_empty());
    let seen = seen.lock().unwrap().clone();
    for (request, (line, parts)) in seen.iter().zip([
        (
            "get /cgi-bin/token?appid=wx1 ",
            &["\r\nhost: api.weixin.qq.com\r\n"] as &[_],
        ),
        ("get /x ", &["\r\nhost: sh.api.weixin.qq.com\r\n"]),
        ("post /cgi-bin/token?appid=wx1 ", &["{\"a\":1}", "\r\na: b\r\n"]),
        ("get /cgi-bin/token?appid=wx1 ", &["\r\nc: d\r\n"]),
    ]) {
        assert!(request.starts_with(line), "{request}");
        for part in parts.iter().chain([&"\r\nx-yunqiao-function: 1\r\n"]) {
            assert!(request.contains(part), "{request}");
        }
    }
    assert_eq!(seen.len(), 4);
    bench.end().await;
}

#[tokio::test]
async fn the_host_for_keys_is_not_there() {
    let bench = Bench::one(&source(
        "exports.main = () => ask(http, { hostname: 'metadata.tencentyun.com', path: '/meta-data', timeout: 30 });",
    ))
    .await;
    let host = Host::of(&bench);
    assert_eq!(
        bench.result("f", "{}").await.unwrap(),
        "\"ENOTSERVED: yunqiao: metadata.tencentyun.com is not there: a worker's keys are in its environment\""
    );
    assert!(host.seen().is_empty());
    bench.end().await;
}

#[tokio::test]
async fn before_the_worker_knows_its_socket_nothing_leaves() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../js/worker/cloud.js");
    let script = source(
        "require(process.argv[1]).install();
        Promise.all([ask(http, 'http://tcb.local/'), ask(https, 'https://tcb-admin.tencentcloudapi.com/')])
            .then((all) => process.stdout.write(all.join()));",
    );
    let output = tokio::process::Command::new(node())
        .arg("-e")
        .arg(script)
        .arg(program)
        .output();
    let output = String::from_utf8(output.await.unwrap().stdout).unwrap();
    let expected = ["tcb.local", "tcb-admin.tencentcloudapi.com"].map(|name| {
        format!(
            "ENOTSERVED: yunqiao: {name} cannot be reached: this worker has no connection to its host yet"
        )
    });
    assert_eq!(output, expected.join(","));
}

#[tokio::test]
async fn where_nobody_serves_a_request_fails_at_once() {
    let bench = Bench::one(&source("exports.main = () => ask(http, 'http://tcb.local/');")).await;
    let result = bench.result("f", "{}").await.unwrap();
    assert!(
        result.starts_with("\"ECONNRESET") || result.starts_with("\"EPIPE"),
        "{result}"
    );
    let host = Host::of(&bench);
    assert!(bench.runtime.connections().is_none(), "only one can serve them");
    assert_eq!(bench.result("f", "{}").await, Ok("\"/\"".to_owned()));
    drop(host);
    bench.end().await;
}

#[tokio::test]
async fn connections_are_used_again_and_by_one_request_at_a_time() {
    let mut bench = Bench::new().await;
    let source = source(
        "exports.main = async ({ paths }) => Promise.all(paths.map((path) => ask(https, 'https://tcb-admin.tencentcloudapi.com' + path)));",
    );
    bench.function("f", &source).max_instances = 1;
    bench.load().await;
    let host = Host::of(&bench);
    for _ in 0..3 {
        bench.result("f", r#"{"paths":["/one"]}"#).await.unwrap();
    }
    let result = bench.result("f", r#"{"paths":["/one","/two","/three"]}"#).await;
    assert_eq!(result, Ok(r#"["/one","/two","/three"]"#.to_owned()));
    let connections: Vec<usize> = host.seen().iter().map(|request| request.connection).collect();
    assert_eq!(connections[..3], [0, 0, 0]);
    let at_once: HashSet<usize> = connections[3..].iter().copied().collect();
    assert_eq!(at_once, HashSet::from([0, 1, 2]));
    bench.end().await;
}

#[tokio::test]
async fn a_request_that_outlives_its_call_harms_no_other() {
    let mut bench = Bench::new().await;
    let source = source(
        "exports.main = async ({ leave }) => {
            if (!leave) return [await ask(http, 'http://tcb.local/next'), process.env.WX_OPENID, left];
            ask(http, 'http://tcb.local/wait').then((text) => { left = text; });
            return process.pid;
        };
        let left = null;",
    );
    bench.function("f", &source).max_instances = 1;
    bench.load().await;
    let host = Host::of(&bench);
    let left = call("f", r#"{"leave":true}"#);
    let id = left.id();
    bench.runtime.invoke(left).await.result.unwrap();
    let request = host.request("/wait").await;
    assert!(request.worker.running(id).is_none(), "its call has ended");
    let next = bench.result("f", "{}").await.unwrap();
    assert_eq!(next, r#"["/next","o-r-1",null]"#);
    host.go.send_replace(true);
    // The answer comes while nobody waits for it.
    let deadline = Instant::now() + Duration::from_secs(30);
    while bench.result("f", "{}").await.unwrap() != r#"["/next","o-r-1","/wait"]"# {
        assert!(Instant::now() < deadline, "the answer never came");
    }
    bench.end().await;
}

#[tokio::test]
async fn answers_come_back_to_the_call_that_asked() {
    let mut bench = Bench::new().await;
    // More requests than the worker makes at once, so that some wait for another call's connection; and callbacks, not
    // promises, so that it is the connection's event that must know whose it is.
    let source = source(
        "exports.main = async () => {
            const me = process.env.WX_OPENID;
            const one = (n) => new Promise((ok, no) => {
                const path = `/${n < 5 ? 'wait' : 'go'}/${me}/${n}`;
                const made = http.request({ host: 'tcb.local', method: 'POST', path }, (response) => {
                    let text = process.env.WX_OPENID;
                    response.on('data', (data) => { text += ' ' + data + ' ' + process.env.WX_OPENID; });
                    response.on('end', () => ok(text + ' ' + process.env.WX_OPENID)); });
                made.on('error', no); made.end('x'); });
            const all = [];
            for (let turn = 0; turn < 2; turn++) {
                all.push(...(await Promise.all([0, 1, 2, 3, 4].map((n) => one(turn * 5 + n)))));
            }
            return all.every((text, n) => text === `${me} /${n < 5 ? 'wait' : 'go'}/${me}/${n} ${me} ${me}`) ? me : all;
        };",
    );
    let function = bench.function("f", &source);
    function.concurrency = 40;
    function.max_instances = 1;
    function.timeout = Duration::from_secs(20);
    bench.load().await;
    let host = Host::of(&bench);
    let bench = Arc::new(bench);
    let calls: Vec<_> = (0..40)
        .map(|number| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let call = FunctionCall::new("f".parse().unwrap(), frame(&format!("r-{number}"), "{}"));
                let reply = bench.runtime.invoke(call).await.result.unwrap();
                assert_eq!(reply.json.unwrap(), format!("\"o-r-{number}\""));
            })
        })
        .collect();
    eventually("as many requests as connections", || host.seen().len() == 100).await;
    host.go.send_replace(true);
    for call in calls {
        call.await.unwrap();
    }
    let connections: HashSet<usize> = host.seen().iter().map(|request| request.connection).collect();
    assert_eq!(host.seen().len(), 400);
    assert_eq!(connections.len(), 100);
    Arc::into_inner(bench).unwrap().end().await;
}

#[tokio::test]
async fn a_worker_knows_its_keys_and_no_other() {
    let mut bench = Bench::new().await;
    let source = source(
        "const { TENCENTCLOUD_SECRETID: id, TENCENTCLOUD_SECRETKEY: secret } = process.env;
        const fs = require('fs');
        const read = (name) => { try { return fs.readFileSync('/proc/self/' + name, 'latin1'); } catch { return ''; } };
        exports.main = async (event, context) => {
            const [own, json, pairs] = [process.env, JSON.parse(context.environment), ';' + context.environ + ';'];
            return { id, secret, path: await ask(http, 'http://tcb.local/' + event.path),
                same: [own, json].every((it) => it.TENCENTCLOUD_SECRETID === id && it.TENCENTCLOUD_SECRETKEY === secret) &&
                    pairs.includes(`;TENCENTCLOUD_SECRETID=${id};TENCENTCLOUD_SECRETKEY=${secret};`),
                told: [read('environ'), read('cmdline'), ...process.argv, ...process.execArgv].join() };
        };",
    );
    for name in ["f", "g"] {
        bench.function(name, &source);
    }
    bench.load().await;
    let host = Host::of(&bench);
    let mut ids = HashSet::new();
    for name in ["f", "g"] {
        let result = bench
            .result(name, &format!(r#"{{"path":"{name}"}}"#))
            .await
            .unwrap();
        let result: serde_json::Value = serde_json::from_str(&result).unwrap();
        let request = host.request(&format!("/{name}")).await;
        let key = request.worker.key();
        assert_eq!(
            (&result["id"], &result["secret"]),
            (&key.id().into(), &key.secret().into())
        );
        assert_eq!(result["same"], true, "{result}");
        let told = result["told"].as_str().unwrap();
        assert!(told.contains("bootstrap.js"));
        assert!(!told.contains(key.id()) && !told.contains(key.secret()), "{told}");
        assert!(!format!("{:?}", request.worker).contains(key.secret()));
        assert!(ids.insert(key.id().to_owned()), "each worker has its own");
    }
    bench.end().await;
}

#[tokio::test]
async fn only_the_workers_own_process_is_let_in() {
    let bench = Bench::one(
        "const { execFile } = require('child_process'), net = require('net');
        const knock = 'const socket = require(\"net\").connect(process.argv[1]); let text = \"\";' +
            'socket.on(\"error\", () => {}).on(\"data\", (data) => { text += data; });' +
            'socket.on(\"close\", () => console.log(\"answer: \" + text)); socket.write(\"GET /child HTTP/1.1\\\\r\\\\n\\\\r\\\\n\");';
        exports.main = async ({ socket }) => ({
            child: await new Promise((ok) => execFile(process.execPath, ['-e', knock, socket], (_, out) => ok(out))),
            own: await new Promise((ok) => {
                const own = net.connect(socket, () => own.write('GET /own HTTP/1.1\\r\\n\\r\\n'));
                own.on('data', (data) => { own.destroy(); ok(String(data).split('\\r\\n').pop()); }); }),
        });",
    )
    .await;
    let host = Host::of(&bench);
    // The first worker of all.
    let door = bench.runtime.pool.workers.folder().join("worker-1.socket");
    let event = format!(r#"{{"socket":"{}"}}"#, door.display());
    assert_eq!(
        bench.result("f", &event).await,
        Ok(r#"{"child":"answer: \n","own":"/own"}"#.to_owned())
    );
    // Nor is this process, whose user is the same.
    let mut stranger = UnixStream::connect(&door).await.unwrap();
    let _ = stranger.write_all(b"GET /stranger HTTP/1.1\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = stranger.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert_eq!(host.seen().len(), 1);
    bench.end().await;
}

/// A call that asks the host for its own request id, and ends when it is answered.
fn waiting(name: &str, id: &str) -> (FunctionCall, InvocationId) {
    let call = FunctionCall::new(name.parse().unwrap(), frame(id, "{}"));
    let id = call.id();
    (call, id)
}

const WAITS: &str =
    "exports.main = async (event, context) => ask(http, 'http://tcb.local/wait-' + context.request_id);";

#[tokio::test]
async fn a_call_is_its_workers_while_it_runs() {
    let mut bench = Bench::new().await;
    for name in ["f", "g"] {
        let function = bench.function(name, &source(WAITS));
        function.max_instances = 1;
        function.timeout = Duration::from_secs(9);
    }
    bench.load().await;
    let host = Host::of(&bench);
    let ((one, one_id), (other, other_id), (next, next_id)) =
        (waiting("f", "one"), waiting("g", "other"), waiting("f", "next"));
    let look = async {
        let f = host.request("/wait-one").await.worker;
        let g = host.request("/wait-other").await.worker;
        assert_eq!(f.function(), Some("f".parse().unwrap()));
        assert_eq!(g.function(), Some("g".parse().unwrap()));
        assert!(
            f.running(other_id).is_none() && g.running(one_id).is_none(),
            "the other's"
        );
        assert!(
            f.running(next_id).is_none() && g.running(next_id).is_none(),
            "it waits"
        );
        let left = || f.running(one_id).unwrap().left.unwrap();
        let before = left();
        assert!(before <= Duration::from_secs(9));
        eventually("less time is left", || left() < before).await;
        assert!(g.running(other_id).is_some());
        host.go.send_replace(true);
        (f, g)
    };
    let (_, _, _, (f, g)) = tokio::join!(
        bench.runtime.invoke(one),
        bench.runtime.invoke(other),
        bench.runtime.invoke(next),
        look
    );
    assert!(f.running(one_id).is_none() && f.running(next_id).is_none() && g.running(other_id).is_none());
    bench.runtime.shutdown().await;
    assert_eq!((f.function(), g.function()), (None, None));
    bench.end().await;
}

#[tokio::test]
async fn a_call_that_timed_out_is_nobodys() {
    let mut bench = Bench::new().await;
    bench.function("f", &source(WAITS)).timeout = Duration::from_secs(1);
    bench.load().await;
    let host = Host::of(&bench);
    let (late, id) = waiting("f", "late");
    let (outcome, worker) = tokio::join!(bench.runtime.invoke(late), async {
        let worker = host.request("/wait-late").await.worker;
        assert!(worker.running(id).is_some());
        worker
    });
    assert!(
        matches!(outcome.result, Err(CallError::TimedOut { .. })),
        "{outcome:?}"
    );
    assert!(worker.running(id).is_none());
    assert_eq!(worker.function(), None, "the worker was ended");
    bench.end().await;
}

#[tokio::test]
async fn a_call_that_timed_out_is_nobodys_while_others_go_on_beside_it() {
    let mut bench = Bench::new().await;
    let function = bench.function("f", &source(WAITS));
    function.concurrency = 2;
    function.max_instances = 1;
    function.timeout = Duration::from_secs(9);
    bench.load().await;
    let host = Host::of(&bench);
    let ((mut late, late_id), (other, other_id)) = (waiting("f", "late"), waiting("f", "other"));
    late.budget = Some(Duration::from_millis(500));
    let late = async {
        let outcome = bench.runtime.invoke(late).await;
        let worker = host.request("/wait-other").await.worker;
        let running = (
            worker.running(late_id).is_some(),
            worker.running(other_id).is_some(),
        );
        host.go.send_replace(true);
        (outcome, running)
    };
    let ((late, running), other) = tokio::join!(late, bench.runtime.invoke(other));
    assert!(matches!(late.result, Err(CallError::TimedOut { .. })), "{late:?}");
    assert_eq!(running, (false, true));
    other.result.unwrap();
    bench.end().await;
}

#[tokio::test]
async fn a_call_under_the_debugger_has_no_deadline() {
    let mut bench = Bench::with(|options| {
        options.inspect = Some(crate::Inspect {
            function: None,
            port: 0,
        });
    })
    .await;
    bench.function("f", &source(WAITS));
    bench.load().await;
    let host = Host::of(&bench);
    let (call, id) = waiting("f", "slow");
    let look = async {
        let worker = host.request("/wait-slow").await.worker;
        assert_eq!(worker.running(id), Some(crate::RunningCall { left: None }));
        host.go.send_replace(true);
    };
    let (outcome, ()) = tokio::join!(bench.runtime.invoke(call), look);
    outcome.result.unwrap();
    bench.end().await;
}

#[tokio::test]
async fn the_socket_goes_with_its_worker() {
    let mut bench = Bench::new().await;
    bench.function("f", "exports.main = ({ end }) => { if (end) process.exit(1); };");
    bench.load().await;
    let door = |serial| {
        bench
            .runtime
            .pool
            .workers
            .folder()
            .join(format!("worker-{serial}.socket"))
    };
    bench.call("f", "{}").await.result.unwrap();
    assert!(door(1).exists());
    bench.call("f", r#"{"end":true}"#).await.result.unwrap_err();
    eventually("the end of the socket", || !door(1).exists()).await;
    bench.call("f", "{}").await.result.unwrap();
    assert!(door(2).exists());
    // With that of the worker that is there nothing is left, once it has ended: `end` looks.
    bench.end().await;
}
