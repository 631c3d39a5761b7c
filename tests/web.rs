//! The web listener: functions by HTTP access, unmodified frameworks behind it, and the site beside them.

mod frameworks;
mod hostile;
mod pages;
mod site;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    console::Tab,
    support::{APPID, Dev, Scratch, soon},
};

/// Answers with what it was given, or as it is told in the body.
const ECHO: &str = r"
exports.main = async (event, context) => {
  if (event.body && event.headers['x-answer']) return JSON.parse(event.body).answer;
  const told = (event.headers || {})['x-cloudbase-context'];
  const user = told && JSON.parse(Buffer.from(told, 'base64'));
  return { event, user, openid: process.env.WX_OPENID, source: process.env.TCB_SOURCE, ip: process.env.WX_CLIENTIP, id: context.request_id };
};";

fn route(path: &str, function: &str, rest: &str) -> String {
    format!("[[web.functions]]\npath = \"{path}\"\nfunction = \"{function}\"\n{rest}\n")
}

/// A project of an echo at `/api`, with more settings.
fn echo(settings: &str) -> Scratch {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write(
        "yunqiao.toml",
        &format!("{settings}\n{}", route("/api", "echo", "")),
    );
    project
}

impl Dev {
    fn web(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.web))
    }

    async fn get(&self, path: &str) -> Response {
        self.web(Method::GET, path).send().await.unwrap()
    }

    /// What the echo answers, if it is told to answer this.
    async fn answer(&self, answer: Value) -> Response {
        let request = self.web(Method::POST, "/api").header("x-answer", "1");
        let body = json!({"answer": answer}).to_string();
        request
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap()
    }
}

fn header<'a>(reply: &'a Response, name: &str) -> &'a str {
    reply
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// The code of a refusal, which has the platform's three members and the id of its header.
async fn refused(reply: Response) -> (u16, String) {
    let (status, id) = (reply.status().as_u16(), header(&reply, "x-request-id").to_owned());
    assert_eq!(header(&reply, "content-type"), "application/json; charset=utf-8");
    let body: Value = reply.json().await.unwrap();
    assert_eq!(body["requestId"], id, "{body}");
    assert!(
        body["message"].as_str().is_some_and(|text| !text.is_empty()) && body.as_object().unwrap().len() == 3,
        "{body}"
    );
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_request_reaches_a_function_as_the_platforms_event() {
    let project = echo("");
    let dev = Dev::start(project.path());
    let request = dev.web(Method::PUT, "/api/a%20b/%E4%B8%AD?x=1&y=%E4%B8%AD+2&x=3");
    let request = request
        .header("content-type", "application/json")
        .header("X-Own", "Value")
        .header("cookie", "a=1; b=2")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-wx-openid", "forged")
        .header("x-cloudbase-context", "forged")
        .header("te", "trailers");
    let reply = request.body("{\"n\":12345678901234567890}").send().await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), header(&reply, "content-type")),
        (200, "application/json; charset=utf-8")
    );
    let id = header(&reply, "x-request-id").to_owned();
    let told: Value = reply.json().await.unwrap();
    let event = &told["event"];
    assert_eq!(event["path"], "/a%20b/%E4%B8%AD");
    assert_eq!(event["httpMethod"], "PUT");
    assert_eq!(event["queryStringParameters"], json!({"x": "3", "y": "中 2"}));
    assert_eq!(event["multiValueQueryStringParameters"]["x"], json!(["1", "3"]));
    assert_eq!(event["body"], "{\"n\":12345678901234567890}");
    assert_eq!(event["isBase64Encoded"], false);
    assert_eq!(
        event["requestContext"],
        json!({"requestId": id, "envId": "yunqiao", "appId": APPID, "uin": ""})
    );
    let headers = event["headers"].as_object().unwrap();
    assert_eq!(headers["x-own"], "Value");
    assert_eq!(headers["cookie"], "a=1; b=2");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["host"], dev.web.strip_prefix("http://").unwrap());
    for name in ["x-wx-openid", "x-cloudbase-context", "te", "connection"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(
        (&told["source"], &told["ip"], &told["id"], told.get("openid")),
        (&json!("wx_http"), &json!("127.0.0.1"), &json!(id), None)
    );
}

#[tokio::test]
async fn every_method_is_served_and_bodies_come_whole() {
    let project = echo("");
    let dev = Dev::start(project.path());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let reply = dev.web(method.parse().unwrap(), "/api").send().await.unwrap();
        let told: Value = reply.json().await.unwrap();
        assert_eq!(told["event"]["httpMethod"], method);
        assert_eq!(
            (&told["event"]["path"], &told["event"]["body"]),
            (&json!("/"), &json!(""))
        );
    }
    let whole = dev.get("/api").await.bytes().await.unwrap();
    let head = dev.web(Method::HEAD, "/api").send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(
        header(&head, "content-length")
            .parse::<usize>()
            .unwrap()
            .abs_diff(whole.len())
            < 100
    );
    assert!(head.bytes().await.unwrap().is_empty());
    // As large as may be, and one byte more.
    let binary = vec![0xff_u8; 6 << 20];
    let post = |body: Vec<u8>| {
        dev.web(Method::POST, "/api")
            .header("content-type", "image/png")
            .body(body)
            .send()
    };
    let reply = post(binary[..1 << 20].to_vec()).await.unwrap();
    let told: Value = reply.json().await.unwrap();
    assert_eq!(told["event"]["isBase64Encoded"], true);
    assert_eq!(
        told["event"]["body"].as_str().unwrap().len(),
        (1_usize << 20).div_ceil(3) * 4
    );
    // What comes back has its body in it, and is too large for that.
    let reply = post(binary.clone()).await.unwrap();
    assert_eq!(refused(reply).await, (502, "BAD_GATEWAY".to_owned()));
    let reply = post([&binary[..], b"x"].concat()).await.unwrap();
    assert_eq!(refused(reply).await, (413, "EXCEED_MAX_PAYLOAD_SIZE".to_owned()));
}

#[tokio::test]
async fn answers_become_replies_as_the_platform_has_them() {
    let project = echo("");
    let dev = Dev::start(project.path());
    for (answer, kind, body) in [
        (json!("hello 中"), "text/plain; charset=utf-8", "hello 中"),
        (json!(42), "text/plain; charset=utf-8", "42"),
        (
            json!({"foo": "bar"}),
            "application/json; charset=utf-8",
            "{\"foo\":\"bar\"}",
        ),
        (json!([1]), "application/json; charset=utf-8", "[1]"),
        (
            json!({"statusCode": 200, "headers": {"content-type": "text/html"}, "body": "<h1>中</h1>"}),
            "text/html; charset=utf-8",
            "<h1>中</h1>",
        ),
    ] {
        let reply = dev.answer(answer.clone()).await;
        assert_eq!(
            (reply.status().as_u16(), header(&reply, "content-type")),
            (200, kind),
            "{answer}"
        );
        assert_eq!(header(&reply, "content-length"), body.len().to_string());
        assert_eq!(reply.text().await.unwrap(), body);
    }
    let several = json!({
        "statusCode": 302,
        "headers": {"Location": "/there", "x-a": "1", "connection": "close", "content-length": "7"},
        "multiValueHeaders": {"set-cookie": ["a=1; HttpOnly", "b=2"]},
        "body": "",
    });
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let request = client.post(format!("{}/api", dev.web)).header("x-answer", "1");
    let reply = request
        .body(json!({"answer": several}).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(
        (reply.status().as_u16(), header(&reply, "location")),
        (302, "/there")
    );
    let cookies: Vec<_> = reply.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; HttpOnly", "b=2"]);
    let empty = dev.answer(json!({"statusCode": 204, "body": "x"})).await;
    assert_eq!(
        (empty.status().as_u16(), empty.bytes().await.unwrap().len()),
        (204, 0)
    );
    // Of a HEAD only the function knows what a GET would bring.
    for (answer, length) in [
        (
            json!({"statusCode": 200, "headers": {"content-length": "12345"}, "body": ""}),
            "12345",
        ),
        (
            json!({"statusCode": 200, "headers": {"content-length": "x"}, "body": ""}),
            "",
        ),
        (json!({"statusCode": 200, "body": "four"}), "4"),
    ] {
        let request = client.head(format!("{}/api", dev.web)).header("x-answer", "1");
        let body = json!({"answer": answer}).to_string();
        let reply = request.body(body).send().await.unwrap();
        assert_eq!(
            (reply.status().as_u16(), header(&reply, "content-length")),
            (200, length)
        );
    }
    let nothing = dev.answer(Value::Null).await;
    assert_eq!(
        (nothing.status().as_u16(), nothing.text().await.unwrap()),
        (200, "null".to_owned())
    );
}

/// Four megabytes of a picture, which are more than a client's call may give, come byte for byte.
#[tokio::test]
async fn large_answers_come_whole() {
    let make = r"
const bytes = Buffer.alloc(4 * 1024 * 1024, 0).map((_, at) => (at * 31 + (at >> 8)) & 255);
exports.main = async (event) => event.path === '/text'
  ? { statusCode: 200, body: '中\n\u0001😀'.repeat(300000) }
  : event.path === '/too-much' ? 'x'.repeat(7 * 1024 * 1024)
  : { statusCode: 200, isBase64Encoded: true, headers: { 'content-type': 'image/png' }, body: bytes.toString('base64') };";
    let project = Scratch::new(&[("large", make)]);
    project.write(
        "yunqiao.toml",
        &format!("[functions.large]\ntimeout = 60\n{}", route("/", "large", "")),
    );
    let dev = Dev::start(project.path());
    let reply = dev.get("/picture").await;
    assert_eq!(
        (header(&reply, "content-type"), header(&reply, "content-length")),
        ("image/png", "4194304")
    );
    let bytes = reply.bytes().await.unwrap();
    let expected: Vec<u8> = (0..4_usize << 20)
        .map(|at| ((at * 31 + (at >> 8)) & 255) as u8)
        .collect();
    assert!(bytes == expected);
    assert!(dev.get("/text").await.text().await.unwrap() == "中\n\u{1}😀".repeat(300_000));
    assert_eq!(
        refused(dev.get("/too-much").await).await,
        (502, "BAD_GATEWAY".to_owned())
    );
    // A client's call may give a megabyte, as ever.
    let alice = dev.login("alice").await;
    let (status, answer) = alice.call("large", json!({"path": "/picture"})).await;
    assert_eq!((status, &answer["errCode"]), (500, &json!(-604001)));
}

#[tokio::test]
async fn what_goes_wrong_has_the_platforms_codes() {
    let fails = r"
exports.main = async (event) => {
  if (event.path === '/throws') throw new Error('the password is 1234');
  if (event.path === '/exits') process.exit(3);
  if (event.path === '/sleeps') await new Promise(() => setTimeout(() => {}, 1e6));
  if (event.path === '/circle') { const a = {}; a.a = a; return a; }
  if (event.path === '/bad') return { statusCode: 200, isBase64Encoded: true, body: 'not base64!' };
  return 'fine';
};";
    let project = Scratch::new(&[("fails", fails)]);
    let settings = format!(
        "[functions.fails]\ntimeout = 1\n{}{}",
        route("/f", "fails", ""),
        route("/gone", "nobody", "")
    );
    project.write("yunqiao.toml", &settings);
    let dev = Dev::start(project.path());
    for (path, status, code) in [
        ("/nowhere", 404, "INVALID_PATH"),
        ("/fx", 404, "INVALID_PATH"),
        ("/gone/x", 404, "FUNCTION_NOT_FOUND"),
        ("/f/throws", 500, "FUNCTION_INVOCATION_FAILED"),
        ("/f/exits", 500, "FUNCTION_INVOCATION_FAILED"),
        ("/f/circle", 500, "FUNCTION_INVOCATION_FAILED"),
        ("/f/sleeps", 504, "FUNCTION_TIME_LIMIT_EXCEEDED"),
        ("/f/bad", 502, "BAD_GATEWAY"),
    ] {
        let reply = dev.get(path).await;
        assert_eq!(refused(reply).await, (status, code.to_owned()), "{path}");
    }
    let text = dev.get("/f/throws").await.text().await.unwrap();
    assert!(
        !text.contains("1234") && !text.contains("index.js"),
        "what it threw is not a stranger's business: {text}"
    );
    dev.server.prints_soon("the password is 1234").await;
    dev.server
        .prints_soon("no HTTP reply: `isBase64Encoded` is true, and `body` is not base64")
        .await;
    dev.server.prints_soon("GET /f/throws").await;
    assert!(
        dev.server
            .printed()
            .contains("/gone of HTTP access leads to the function nobody, which is not there")
    );
}

#[tokio::test]
async fn a_route_may_ask_for_a_login() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let settings = [
        route("/", "echo", "passthrough = true"),
        route("/me", "echo", "auth = true"),
        "[auth]\nanonymous = true\n".to_owned(),
    ];
    project.write("yunqiao.toml", &settings.concat());
    let dev = Dev::start(project.path());
    let anonymous = dev.get("/me").await;
    assert_eq!(header(&anonymous, "www-authenticate"), "Bearer");
    assert_eq!(refused(anonymous).await, (401, "MISSING_CREDENTIALS".to_owned()));
    // However the path is written, it is the one that asks for a login.
    for path in ["/%6de", "/me/x", "/me/", "/%6D%65?a=1", "/Me/x", "//me"] {
        assert_eq!(
            refused(dev.get(path).await).await.1,
            "MISSING_CREDENTIALS",
            "{path}"
        );
    }
    let forged = dev
        .web(Method::GET, "/me")
        .bearer_auth("forged")
        .send()
        .await
        .unwrap();
    assert_eq!(refused(forged).await, (401, "INVALID_CREDENTIALS".to_owned()));
    let alice = dev.login("alice").await;
    let reply = dev
        .web(Method::GET, "/me/x")
        .bearer_auth(&alice.token)
        .send()
        .await
        .unwrap();
    let told: Value = reply.json().await.unwrap();
    assert_eq!(
        (&told["openid"], &told["source"], &told["event"]["path"]),
        (&json!(alice.openid), &json!("wx_http"), &json!("/x"))
    );
    let headers = told["event"]["headers"].as_object().unwrap();
    assert!(
        !headers.contains_key("authorization"),
        "the token is of no use to it"
    );
    assert!(
        headers["x-cloudbase-context"]
            .as_str()
            .is_some_and(|context| !context.is_empty())
    );
    // A page's own user, by CloudBase's own login.
    let signed_in = dev
        .client
        .post(format!("{}/auth/v1/signin/anonymously", dev.server.url))
        .header("x-device-id", "0123456789abcdef")
        .header("content-type", "application/json")
        .body("{}")
        .send()
        .await
        .unwrap();
    let signed_in: Value = signed_in.json().await.unwrap();
    let token = signed_in["access_token"].as_str().unwrap();
    let reply = dev
        .web(Method::GET, "/me/x")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    let told: Value = reply.json().await.unwrap();
    assert_eq!(told["source"], "wx_http");
    assert_eq!(told["event"]["headers"].get("authorization"), None);
    assert_eq!(
        (&told["user"]["uid"], told["user"].get("WX_OPENID")),
        (&signed_in["sub"], None)
    );
    let cut = dev
        .web(Method::GET, "/me")
        .bearer_auth(&token[..token.len() - 4])
        .send()
        .await
        .unwrap();
    assert_eq!(refused(cut).await, (401, "INVALID_CREDENTIALS".to_owned()));
    // Elsewhere the header is the function's own business.
    let reply = dev
        .web(Method::GET, "/other")
        .bearer_auth("its-own")
        .send()
        .await
        .unwrap();
    let told: Value = reply.json().await.unwrap();
    assert_eq!(
        (&told["event"]["headers"]["authorization"], &told["event"]["path"]),
        (&json!("Bearer its-own"), &json!("/other"))
    );
    dev.sim("clock", json!({"advance": 7201})).await;
    let late = dev
        .web(Method::GET, "/me")
        .bearer_auth(&alice.token)
        .send()
        .await
        .unwrap();
    assert_eq!(refused(late).await, (401, "INVALID_CREDENTIALS".to_owned()));
}

#[tokio::test]
async fn a_trusted_proxy_says_who_the_client_is() {
    let project = echo("[web]\nproxies = [\"127.0.0.0/8\"]");
    let dev = Dev::start(project.path());
    let request = dev
        .web(Method::GET, "/api")
        .header("x-forwarded-for", "6.6.6.6, 203.0.113.7")
        .header("x-forwarded-proto", "https");
    let told: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(told["ip"], "203.0.113.7");
    assert_eq!(told["event"]["headers"]["x-forwarded-for"], "203.0.113.7");
    assert_eq!(told["event"]["headers"]["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn pages_of_listed_origins_may_call() {
    let project = echo("[cors]\norigins = [\"https://shop.example\"]");
    let dev = Dev::start(project.path());
    let origin = "https://shop.example";
    let preflight = |origin: &'static str| {
        let request = dev.web(Method::OPTIONS, "/api/x").header("origin", origin);
        request
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", "authorization, x-own")
            .send()
    };
    let reply = preflight(origin).await.unwrap();
    assert_eq!(reply.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", origin),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "authorization, x-own"),
        ("vary", "origin"),
    ] {
        assert_eq!(header(&reply, name), value);
    }
    // A function that answers for itself is asked where the origin is not listed.
    let other = preflight("https://evil.example").await.unwrap();
    assert_eq!(
        (
            other.status().as_u16(),
            header(&other, "access-control-allow-origin")
        ),
        (200, "")
    );
    let told: Value = other.json().await.unwrap();
    assert_eq!(told["event"]["httpMethod"], "OPTIONS");
    let reply = dev
        .web(Method::GET, "/api")
        .header("origin", origin)
        .send()
        .await
        .unwrap();
    assert_eq!(header(&reply, "access-control-allow-origin"), origin);
    let refusal = dev
        .web(Method::GET, "/none")
        .header("origin", origin)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            refusal.status().as_u16(),
            header(&refusal, "access-control-allow-origin")
        ),
        (404, origin)
    );
}

/// As `cloudbaserc.json` of a project that was made for the platform's own tool has it.
#[tokio::test]
async fn a_project_of_cloudbase_s_own_is_served() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write("dist/index.html", "<h1>home</h1>");
    project.write(
        "cloudbaserc.json",
        r#"{"envId":"env-1","framework":{"plugins":{
            "client":{"use":"@cloudbase/framework-plugin-website","inputs":{"outputPath":"dist","cloudPath":"/"}},
            "server":{"use":"@cloudbase/framework-plugin-function","inputs":{"functions":[{"name":"echo"}],"servicePaths":{"echo":"/echo"}}}}}}"#,
    );
    let dev = Dev::start(project.path());
    let told: Value = dev.get("/echo/x").await.json().await.unwrap();
    assert_eq!(
        (&told["event"]["path"], &told["event"]["requestContext"]["envId"]),
        (&json!("/x"), &json!("env-1"))
    );
    assert!(dev.get("/").await.text().await.unwrap().contains("<h1>home</h1>"));
    dev.server
        .prints(&format!("{} (/echo → echo, site dist)", dev.web));
}

#[tokio::test]
async fn the_console_shows_where_a_function_is_called_and_what_was_asked() {
    let project = echo("");
    let dev = Dev::start(project.path());
    let reply = dev.get("/api/a/b?secret=1").await;
    let id = header(&reply, "x-request-id").to_owned();
    drop(reply);
    let tab = Tab::open(&dev).await;
    let functions = tab.page("/").await;
    assert!(functions.contains(&format!("{}/api", dev.web)), "{functions}");
    let call = tab.page(&format!("/calls?call={id}")).await;
    let path = call.find("class=\"path\"").map(|at| &call[at..]).unwrap();
    assert!(path.contains("GET /api/a/b"), "in the waterfall: {call}");
    assert!(tab.page("/calls").await.contains("GET /api/a/b"));
    // The log has the same, and no query, which may hold what is nobody's business.
    let log = project.path().join(".yunqiao/calls.jsonl");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    soon(|| read().contains("\"webStatus\":200"), read).await;
    assert!(
        read().contains("\"http\":\"GET /api/a/b\"") && !read().contains("secret"),
        "{}",
        read()
    );
}
