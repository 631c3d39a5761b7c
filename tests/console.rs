//! The console, as a browser meets it: let in by a link, guarded, escaped, live; and used by clicks in Chromium.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{
    APPID, CSP, Dev, OPERATOR_SECRET, Scratch, Server, client, free_port, isolated, node_module, quickstart,
    run, yunqiao,
};

/// What must never be markup, wherever it comes from.
const HOSTILE: &str = "'\"></pre></textarea></svg><script>alert(1)</script><img src=x onerror=alert(1)>\r\nevent: page\n\ndata: x";

/// The link that `dev` prints.
fn link(dev: &Dev) -> String {
    dev.server.prints("?once=");
    let printed = dev.server.printed();
    let at = printed.find("?once=").unwrap();
    let line = printed[..at].rfind("http").unwrap();
    printed[line..].split_whitespace().next().unwrap().to_owned()
}

/// `yunqiao console` in the project's folder.
fn console(project: &Path, args: &[&str]) -> (std::process::Output, String, String) {
    run(yunqiao().arg("console").args(args).current_dir(project))
}

#[tokio::test]
async fn another_browser_has_a_link_of_its_own() {
    let project = Scratch::new(&[("echo", "exports.main = async (event) => event")]);
    let (output, _, err) = console(project.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("no `yunqiao dev` runs for"), "{err}");

    let dev = Dev::start(project.path());
    let opened = project.path().join("opened");
    project.write(
        "browser",
        "#!/bin/sh\ntr '\\0' ' ' < /proc/$$/cmdline > opened.part && mv opened.part opened\n",
    );
    let browser = project.path().join("browser");
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let mut links = Vec::new();
    for args in [&[][..], &["--json"]] {
        let (output, out, err) = console(project.path(), args);
        assert!(output.status.success(), "{err}");
        let told: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|_| json!({ "url": out.trim() }));
        links.push(told["url"].as_str().unwrap().to_owned());
    }
    let mut command = yunqiao();
    command.args(["console", "--open"]).env("BROWSER", &browser);
    let (output, out, err) = run(command.current_dir(project.path()));
    assert!(output.status.success(), "{err}");
    crate::support::eventually(|| opened.exists(), || err.clone());
    // Every user of the machine can read what it was started with: a file that only its owner reads leads to the link.
    let shown = fs::read_to_string(&opened).unwrap();
    let (_, file) = shown.trim().split_once("file://").unwrap();
    assert!(!shown.contains("once"), "{shown}");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{file}");
    assert!(fs::read_to_string(file).unwrap().contains(out.trim()), "{file}");
    links.push(out.trim().to_owned());
    // Each is good once, in any order, beside the one that `dev` printed.
    links.push(link(&dev));
    let _ = client();
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let mut cookie = String::new();
    for link in links.iter().rev() {
        let first = browser.get(link).send().await.unwrap();
        assert_eq!(first.status(), StatusCode::SEE_OTHER, "{link}");
        let given = first.headers()["set-cookie"].to_str().unwrap();
        given.split(';').next().unwrap().clone_into(&mut cookie);
        assert_eq!(
            browser.get(link).send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED
        );
        // With its cookie a browser is let in by a link that it has used, too.
        let again = browser.get(link).header("cookie", &cookie).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::OK);
    }
    // A browser that fails has opened nothing.
    let mut command = yunqiao();
    command.args(["console", "--open"]).env("BROWSER", "/bin/false");
    let (output, _, err) = run(command.current_dir(project.path()).env("PATH", project.path()));
    assert!(
        !output.status.success() && err.contains("nothing here opens a browser"),
        "{err}"
    );
    // Nobody makes one without showing anything, nor with a cookie, which would never end so; nor does a form of another site's.
    let door = format!("{}/operator/console-link", dev.operator);
    let stranger = browser.post(&door).json(&json!({})).send().await.unwrap();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    let renewed = browser.post(&door).json(&json!({})).header("cookie", cookie);
    assert_eq!(renewed.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

/// A browser's part: its cookie goes along with each request.
pub(crate) struct Tab {
    client: reqwest::Client,
    base: String,
    cookie: String,
}

impl Tab {
    /// Opens the link.
    pub(crate) async fn open(dev: &Dev) -> Self {
        let _ = client();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let reply = client.get(link(dev)).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::SEE_OTHER);
        assert_eq!(reply.headers()["location"], "/");
        let cookie = reply.headers()["set-cookie"].to_str().unwrap();
        Self {
            client,
            base: dev.operator.clone(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
        }
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.get(format!("{}{path}", self.base));
        request.header("cookie", &self.cookie)
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let reply = self.get(path).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(reply.headers()["content-security-policy"], CSP);
        assert_eq!(reply.headers()["content-type"], "text/html; charset=utf-8");
        reply.text().await.unwrap()
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut body = form_urlencoded::Serializer::new(String::new());
        let request = self.client.post(format!("{}{path}", self.base));
        request
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.extend_pairs(form).finish())
    }

    /// As htmx sends a form.
    async fn send(&self, path: &str, form: &[(&str, &str)]) -> String {
        let reply = self
            .post(path, form)
            .header("hx-request", "true")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        reply.text().await.unwrap()
    }
}

/// Nothing on the page is markup that was not ours, and nothing of ours needs more than the policy allows.
fn is_inert(page: &str, path: &str) {
    for forbidden in [
        "<script>",
        "<img src=x",
        "onerror=alert(1)>",
        " style=",
        "<style",
        "javascript:",
    ] {
        assert!(!page.contains(forbidden), "{path}: {forbidden} in {page}");
    }
}

#[tokio::test]
async fn nothing_that_somebody_else_wrote_is_markup() {
    let text = serde_json::to_string(HOSTILE).unwrap();
    let source = format!(
        "exports.main = async (event) => {{\n\
         console.log({text}); console.error({text})\n\
         if (event.fail) throw new Error({text})\n\
         return {{ [{text}]: {text}, event }} }}"
    );
    let project = Scratch::new(&[("echo", &source)]);
    let dev = Dev::start(project.path());
    let tab = Tab::open(&dev).await;
    dev.sim(
        "users",
        json!({"name": "carol", "profile": {"nickName": HOSTILE}}),
    )
    .await;
    dev.sim("users", json!({"name": "<script>alert(1)</script>"}))
        .await;

    // A message to alice, as any backend of the app's would send it.
    let app = dev.get_sim("app").await;
    let query = [
        ("grant_type", "client_credential"),
        ("appid", app["appid"].as_str().unwrap()),
        ("secret", app["secret"].as_str().unwrap()),
    ];
    let token = dev
        .client
        .get(format!("{}/cgi-bin/token", dev.wechat))
        .query(&query);
    let token: serde_json::Value = token.send().await.unwrap().json().await.unwrap();
    dev.sim("client", json!({"user": "alice", "api": "sendMessage"}))
        .await;
    let users = dev.get_sim("users").await;
    let message =
        json!({"touser": users["users"][0]["openid"], "msgtype": "text", "text": {"content": HOSTILE}});
    let sent = dev
        .client
        .post(format!("{}/cgi-bin/message/custom/send", dev.wechat))
        .query(&[("access_token", token["access_token"].as_str().unwrap())])
        .json(&message);
    let sent: serde_json::Value = sent.send().await.unwrap().json().await.unwrap();
    assert_eq!(sent["errcode"], 0, "{sent}");

    let event = json!({HOSTILE: HOSTILE}).to_string();
    let name_of_mend = format!("of a mend {}", HOSTILE.replace(['\r', '\n'], " "));
    let mut pages = Vec::new();
    for (event, user) in [
        (event.as_str(), "alice"),
        ("{\"fail\": true}", "alice"),
        (HOSTILE, "alice"),
        ("{}", HOSTILE),
        ("{}", "<script>alert(1)</script>"),
    ] {
        let form = [
            ("function", "echo"),
            ("user", user),
            ("event", event),
            ("with-weRunData", "1"),
            ("field-weRunData", HOSTILE),
        ];
        pages.push(("POST /call".to_owned(), tab.send("/call", &form).await));
        pages.push((
            "POST /call/check".to_owned(),
            tab.send("/call/check", &form).await,
        ));
    }
    assert!(pages[0].1.contains("&lt;script&gt;alert(1)"), "{}", pages[0].1);
    assert!(pages[2].1.contains("&lt;script&gt;alert(1)"), "{}", pages[2].1);
    pages.push((
        "POST /call".to_owned(),
        tab.send("/call", &[("function", HOSTILE), ("user", "alice")])
            .await,
    ));
    pages.push((
        "POST /users/change".to_owned(),
        tab.send("/users/change", &[("name", HOSTILE), ("steps", HOSTILE)])
            .await,
    ));
    pages.push((
        "POST /users/rotate".to_owned(),
        tab.send("/users/rotate", &[("name", HOSTILE)]).await,
    ));

    for (what, form) in [
        (
            "template",
            vec![("title", HOSTILE), ("content", "时间:{{time1.DATA}}")],
        ),
        (
            "verdict",
            vec![("kind", "text"), ("contains", HOSTILE), ("suggest", "risky")],
        ),
        ("verdict", vec![("kind", HOSTILE), ("label", HOSTILE)]),
        (
            "fault",
            vec![("api", HOSTILE), ("kind", HOSTILE), ("value", HOSTILE)],
        ),
        ("message", vec![("user", HOSTILE), ("content", HOSTILE)]),
    ] {
        pages.push((
            format!("POST /wechat/{what}"),
            tab.send(&format!("/wechat/{what}"), &form).await,
        ));
    }
    for (what, name) in [("collection", name_of_mend.as_str()), ("files", HOSTILE)] {
        pages.push((
            "POST /calls/mend".to_owned(),
            tab.send("/calls/mend", &[("what", what), ("name", name)]).await,
        ));
    }

    for fields in [HOSTILE, &event, &json!({"Content": HOSTILE}).to_string()] {
        let form = [("type", "text"), ("user", "alice"), ("event", fields)];
        pages.push(("POST /push".to_owned(), tab.send("/push", &form).await));
    }

    // Documents and collections of hostile names, added on the page.
    let name = HOSTILE.replace(['\r', '\n'], " ");
    let document =
        json!({"_id": HOSTILE, HOSTILE: [HOSTILE, {"type": HOSTILE, "coordinates": HOSTILE}]}).to_string();
    for (path, form) in [
        ("/data/create", vec![("name", name.as_str())]),
        ("/data/insert", vec![("name", &name), ("text", &document)]),
        ("/data/insert", vec![("name", &name), ("text", &document)]),
        ("/data/insert", vec![("name", &name), ("text", HOSTILE)]),
        ("/data/check", vec![("text", HOSTILE)]),
        ("/data/filter", vec![("filter", HOSTILE), ("sort", HOSTILE)]),
        ("/data/index", vec![("name", &name), ("fields", HOSTILE)]),
        ("/data/index", vec![("name", &name), ("field", HOSTILE)]),
        ("/data/index/drop", vec![("name", &name), ("index", HOSTILE)]),
        (
            "/data/save",
            vec![("name", &name), ("id", HOSTILE), ("text", HOSTILE)],
        ),
        (
            "/data/delete",
            vec![("name", &name), ("id", HOSTILE), ("was", HOSTILE)],
        ),
        ("/data/undo", vec![("number", HOSTILE)]),
        ("/data/drop", vec![("name", HOSTILE), ("sure", HOSTILE)]),
    ] {
        pages.push((format!("POST {path}"), tab.send(path, &form).await));
    }

    let calls = tab.page("/calls").await;
    let ids: Vec<&str> = calls
        .split("href=\"/calls?call=")
        .skip(1)
        .map(|rest| &rest[..36])
        .collect();
    assert_eq!(ids.len(), 3, "{calls}");
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query
        .append_pair("function", HOSTILE)
        .append_pair("user", HOSTILE)
        .append_pair("event", HOSTILE)
        .finish();
    let mut paths: Vec<String> = [
        "/",
        "/call",
        "/calls",
        "/calls?view=logs",
        "/outbox",
        "/push",
        "/users",
        "/wechat",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend([format!("/calls?{query}"), format!("/call?{query}")]);
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query
        .append_pair("name", &name)
        .append_pair("id", &serde_json::to_string(HOSTILE).unwrap())
        .finish();
    paths.push("/data".to_owned());
    paths.extend(
        ["collection", "documents", "count", "document", "add"].map(|at| format!("/data/{at}?{query}")),
    );
    for id in ids {
        paths.extend([format!("/calls?call={id}"), format!("/call?again={id}")]);
    }
    for path in paths {
        pages.push((path.clone(), tab.page(&path).await));
    }
    for (path, page) in &pages {
        is_inert(page, path);
    }
    let of = |path: &str| &pages.iter().find(|(known, _)| known == path).unwrap().1;
    let documents = format!("/data/collection?{query}");
    for path in ["/outbox", "/push", "/users", "/wechat", "/data", &documents] {
        assert!(
            of(path).contains("&lt;script&gt;alert(1)"),
            "{path}: {}",
            of(path)
        );
    }

    // Nor is any of it an event of its own.
    let live = first_event(tab.get("/live/calls").send().await.unwrap()).await;
    is_inert(&live, "/live/calls");
    let events = live.lines().filter(|line| line.starts_with("event:"));
    assert_eq!(events.count(), 1, "{live}");
}

/// A call on disk is whatever somebody wrote there.
#[tokio::test]
async fn what_lies_in_the_file_of_calls_is_text_too() {
    let project = Scratch::new(&[("echo", "exports.main = (event) => event")]);
    let now = jiff::Timestamp::now().to_string();
    let line = json!({"time": now, "requestID": HOSTILE, "function": HOSTILE, "level": HOSTILE, "atMs": 0, "text": HOSTILE});
    let note =
        json!({"time": now, "requestID": HOSTILE, "openid": HOSTILE, "note": HOSTILE, "noteZh": HOSTILE});
    let call = json!({"time": now, "requestID": HOSTILE, "function": HOSTILE, "source": "wx_client", "openid": HOSTILE, "http": HOSTILE,
        "status": 500, "errCode": -504_002, "errMsg": format!("{HOSTILE}\n    at {HOSTILE} (/p/a.js:1:1)"), "waitedMs": 0, "ranMs": 1,
        "cloudIDs": [{"field": HOSTILE, "errCode": -601_006}], "droppedBytes": 1,
        "cloudCalls": [{"what": HOSTILE, "errCode": 40_037, "errMsg": HOSTILE, "atMs": 0, "tookMs": 1, "requestID": HOSTILE}],
        "moreCloudCalls": 1, "warnings": [{"field": HOSTILE, "errMsg": HOSTILE, "errMsgZh": HOSTILE}], "notes": [HOSTILE], "notesZh": [HOSTILE]});
    project.write(".yunqiao/calls.jsonl", &format!("{line}\n{note}\n{call}\n"));
    let dev = Dev::start(project.path());
    let tab = Tab::open(&dev).await;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("call", HOSTILE)
        .append_pair("again", HOSTILE)
        .finish();
    for path in [
        "/calls".to_owned(),
        "/calls?view=logs".to_owned(),
        format!("/calls?{query}"),
        format!("/calls?{query}&all=1"),
        format!("/call?{query}"),
    ] {
        let page = tab.page(&path).await;
        is_inert(&page, &path);
        assert!(page.contains("&lt;script&gt;alert(1)"), "{path}: {page}");
    }
    let live = first_event(tab.get("/live/calls").send().await.unwrap()).await;
    is_inert(&live, "/live/calls");
    assert!(live.contains("&lt;script&gt;alert(1)"), "{live}");
}

/// Reads a stream of events up to the end of the first.
async fn first_event(mut reply: reqwest::Response) -> String {
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while !text.contains("\n\n") {
        text.push_str(std::str::from_utf8(&reply.chunk().await.unwrap().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn nobody_else_gets_anything() {
    let project = Scratch::new(&[("echo", "exports.main = (event) => event")]);
    let dev = Dev::start(project.path());
    let stranger = client();
    let html = ("accept", "text/html");
    let asked = stranger
        .get(format!("{}/calls", dev.operator))
        .header(html.0, html.1);
    let asked = asked.send().await.unwrap();
    assert_eq!(asked.status(), 401);
    let asked = asked.text().await.unwrap();
    assert!(
        asked.contains("type=password") && !asked.contains("echo"),
        "{asked}"
    );

    let tab = Tab::open(&dev).await;
    let again = stranger
        .get(link(&dev))
        .header(html.0, html.1)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 401, "a link is good once");
    let again = again.text().await.unwrap();
    assert!(
        again.contains("This link has been used") && again.contains("yunqiao console"),
        "{again}"
    );

    // With the cookie, which a browser would not even send along: another origin, a rebound name, a frame.
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("host", "evil.example:8789"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for path in ["/", "/calls", "/live/calls", "/assets/console.js"] {
            let reply = tab.get(path).header(header, value).send().await.unwrap();
            assert_eq!(reply.status(), 403, "{header}: {value} {path}");
            let text = reply.text().await.unwrap();
            assert!(!text.contains("echo") && text.contains("errCode"), "{text}");
        }
    }
    // A form of another site's, and one that is sent as such a form would be.
    let form = [("function", "echo"), ("user", "alice"), ("event", "{}")];
    for path in [
        "/call",
        "/calls/mend",
        "/users/clock",
        "/users/change",
        "/outbox/empty",
        "/data/create",
        "/data/insert",
        "/data/save",
        "/data/delete",
        "/data/undo",
        "/data/drop",
        "/data/index",
        "/data/index/drop",
        "/data/import?name=x",
    ] {
        let foreign = tab.post(path, &form).header("origin", "https://evil.example");
        assert_eq!(
            foreign
                .header("hx-request", "true")
                .send()
                .await
                .unwrap()
                .status(),
            403
        );
        assert_eq!(tab.post(path, &form).send().await.unwrap().status(), 403);
    }
    assert!(
        tab.page("/calls").await.contains("No call yet"),
        "nothing was called"
    );
    // The same, as our page sends it.
    assert!(tab.send("/call", &form).await.contains("✓"));

    // The cookie opens the console, and no door with a token behind it.
    let token = tab.get("/operator/access-token").send().await.unwrap();
    assert_eq!(token.status(), 401);
    // Whoever has the secret sees the pages too.
    let shown = stranger
        .get(format!("{}/push", dev.operator))
        .bearer_auth(OPERATOR_SECRET);
    assert_eq!(shown.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_call_is_seen_as_it_happens() {
    let project = Scratch::new(&[("echo", "exports.main = (event) => event")]);
    let dev = Dev::start(project.path());
    let tab = Tab::open(&dev).await;
    let mut live = tab
        .get("/live/calls?status=ok&function=echo")
        .send()
        .await
        .unwrap();
    let mut seen = String::new();
    let alice = dev.login("alice").await;
    let (status, reply) = alice.call("echo", json!({"a": 1})).await;
    assert_eq!(status, 200);
    let id = reply["requestID"].as_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !seen.contains(id) {
        assert!(Instant::now() < deadline, "{seen}");
        seen.push_str(std::str::from_utf8(&live.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(seen.contains("alice") && seen.contains("wx_client"), "{seen}");

    // A change of the project is seen too.
    let mut live = tab.get("/live/functions").send().await.unwrap();
    project.write("cloudfunctions/second/index.js", "exports.main = () => 2");
    let mut seen = String::new();
    while !seen.contains("second") {
        seen.push_str(std::str::from_utf8(&live.chunk().await.unwrap().unwrap()).unwrap());
    }
    // One that cannot be read is not, and says so.
    project.write("project.config.json", "{ <nonsense>");
    while !seen.contains("Not reloaded") {
        seen.push_str(std::str::from_utf8(&live.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(tab.page("/").await.contains("echo"));
    // What became of a cloudID is told: it lived five minutes.
    let id_of_steps = dev.wx("alice", "getWeRunData").await["cloudID"].take();
    dev.sim("clock", json!({"advance": 301})).await;
    let body = json!({"data": {"steps": id_of_steps}, "cloudIDs": ["steps"]});
    let (_, reply) = dev.login("alice").await.call_raw("echo", body.to_string()).await;
    assert_eq!(reply["result"]["steps"]["errCode"], -601006, "{reply}");
    let page = tab
        .page(&format!("/calls?call={}", reply["requestID"].as_str().unwrap()))
        .await;
    assert!(
        page.contains("&quot;steps&quot;") && page.contains("-601006"),
        "{page}"
    );

    let page = tab.page(&format!("/calls?call={id}")).await;
    assert!(page.contains(id) && page.contains("echo"), "{page}");
    // What the function received and returned, also of a call that was made elsewhere.
    assert_eq!(page.matches("<span class=\"k\">tcbContext").count(), 2, "{page}");
    // A call had a page of its own, and the charts.
    for (old, new) in [("/calls/none", "/calls?call=none"), ("/charts", "/calls")] {
        let reply = tab.get(old).send().await.unwrap();
        assert_eq!(
            (reply.status(), &reply.headers()["location"]),
            (StatusCode::SEE_OTHER, &new.parse().unwrap())
        );
        assert_eq!(reply.headers().get("set-cookie"), None);
    }
    assert!(
        tab.page("/calls?call=none")
            .await
            .contains("is not kept any more")
    );
}

/// The text of the element with this id.
fn text_of(page: &str, id: &str) -> String {
    let at = page.find(&format!("id=\"{id}\""));
    let after = &page[at.unwrap_or_else(|| panic!("no {id} in {page}"))..];
    let (_, inside) = after.split_once('>').unwrap();
    let (inside, _) = inside.split_once("</pre>").unwrap();
    inside
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

#[tokio::test]
async fn a_call_can_be_taken_away_as_a_test() {
    let project = Scratch::new(&[
        (
            "steps",
            "exports.main = ({ run, fail }) => { if (fail) throw new Error('no'); return run.data.stepInfoList.length; };",
        ),
        (
            "job",
            "exports.main = ({ TriggerName }) => { if (TriggerName !== 'at-night') throw new Error('no') }",
        ),
        (
            "hook",
            "exports.main = ({ body, queryStringParameters }) => ({ statusCode: JSON.parse(body).status, body: queryStringParameters.q })",
        ),
    ]);
    let timer = json!({"triggers": [{"name": "at-night", "type": "timer", "config": "0 0 3 * * * *"}]});
    project.write("cloudfunctions/job/config.json", &timer.to_string());
    project.write(
        "yunqiao.toml",
        "[[web.functions]]\npath = \"/hook\"\nfunction = \"hook\"\n",
    );
    let dev = Dev::start(project.path());
    let tab = Tab::open(&dev).await;
    let run_data = [("with-weRunData", "1"), ("field-weRunData", "run")];
    let hook = [("by", "http"), ("method", "POST"), ("path", "/hook?q=it's")];
    for (event, more, part) in [
        ("{}", &run_data[..], "reply.errMsg, 'cloud.callFunction:ok'"),
        (r#"{"fail": true}"#, &run_data, "reply.errCode, -504002"),
        (
            "{}",
            &[("by", "timer"), ("timer", "job/at-night")],
            "cloud.callFunction:ok",
        ),
        (r#"{"status": 201}"#, &hook, "reply.status, 201"),
        (r#"{"status": 302}"#, &hook, "reply.status, 302"),
    ] {
        let mut form = vec![("function", "steps"), ("user", "alice"), ("event", event)];
        form.extend(more);
        let code = text_of(&tab.send("/call", &form).await, "test");
        assert!(code.contains(part), "{code}");
        project.write("call.test.mjs", &code);
        let (output, out, err) = run(yunqiao()
            .arg("exec")
            .arg(project.path())
            .args(["--", "node", "--test"])
            .arg(project.path().join("call.test.mjs")));
        assert!(output.status.success(), "{code}{out}{err}");
        assert!(out.contains("pass 1"), "{out}");
    }
}

#[tokio::test]
async fn a_cloud_call_is_shown_with_its_request_and_answer() {
    const CHECKS: &str = "
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async () => {
  await cloud.openapi.security.msgSecCheck({ content: '<b>云桥</b>' });
  await cloud.openapi.wxacode.getUnlimited({ scene: 'a' });
};";
    let project = Scratch::new(&[("checks", CHECKS)]);
    let manifest = json!({"name": "checks", "dependencies": {"wx-server-sdk": "4.0.2"}});
    project.write("cloudfunctions/checks/package.json", &manifest.to_string());
    let config = json!({"permissions": {"openapi": ["security.msgSecCheck", "wxacode.getUnlimited"]}});
    project.write("cloudfunctions/checks/config.json", &config.to_string());
    let dev = Dev::start(project.path());
    let tab = Tab::open(&dev).await;
    let (status, reply) = dev.login("alice").await.call("checks", json!({})).await;
    assert_eq!(status, 200, "{reply}");
    // Each row of the waterfall is filled when it is opened.
    let id = reply["requestID"].as_str().unwrap();
    let page = tab.page(&format!("/calls?call={id}")).await;
    let rows = [
        ["POST /wxa/msg_sec_check", "&lt;b&gt;云桥&lt;/b&gt;", "errcode"],
        ["POST /wxa/getwxacodeunlimit", "scene", "(image/png, "],
    ];
    for (number, row) in rows.iter().enumerate() {
        let path = format!("/calls/{id}/{number}");
        assert!(page.contains(&format!("hx-get=\"{path}\"")), "{page}");
        let opened = tab.page(&path).await;
        for shown in row {
            assert!(opened.contains(shown), "{shown} in {opened}");
        }
        assert!(!opened.contains("access_token"), "{opened}");
        is_inert(&opened, &path);
    }
    assert!(
        tab.page(&format!("/calls/{id}/7"))
            .await
            .contains("is not kept any more")
    );
}

#[tokio::test]
async fn pages_speak_the_readers_language() {
    let project = Scratch::new(&[("echo", "exports.main = (event) => event")]);
    let dev = Dev::start(project.path());
    let tab = Tab::open(&dev).await;
    let chinese = tab.get("/").header("accept-language", "zh-CN,zh;q=0.9,en;q=0.8");
    let chinese = chinese.send().await.unwrap().text().await.unwrap();
    assert!(
        chinese.contains("lang=\"zh-CN\"") && chinese.contains("云函数"),
        "{chinese}"
    );
    let chosen = tab
        .get("/lang?to=zh&back=%2Fcalls%3Fstatus%3Dok")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (chosen.status(), &chosen.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/calls?status=ok".parse().unwrap())
    );
    let cookie = format!("{}; yunqiao_lang=zh", tab.cookie);
    let request = tab
        .client
        .get(format!("{}/calls", tab.base))
        .header("cookie", cookie);
    assert!(
        request
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("调用记录")
    );
    let away = tab
        .get("/lang?to=en&back=%2F%2Fevil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(away.headers()["location"], "/");
}

#[tokio::test]
async fn a_dead_letter_is_seen_and_dropped() {
    let source = format!("exports.main = () => {{ throw new Error({}) }}", json!(HOSTILE));
    let project = Scratch::new(&[("fails", &source)]);
    project.write("yunqiao.toml", "[push.routes]\ntext = \"fails\"\n");
    let dev = Dev::start(project.path());
    let tab = Tab::open(&dev).await;
    let form = [
        ("type", "text"),
        ("user", "alice"),
        ("event", "{\"Content\": \"<script>alert(1)</script>\"}"),
    ];
    assert!(tab.send("/push", &form).await.contains("acknowledged"));
    // Two waits between three attempts: eleven seconds.
    let deadline = Instant::now() + Duration::from_secs(60);
    let page = loop {
        let page = tab.page("/push").await;
        if page.contains("Dead letters") {
            break page;
        }
        assert!(Instant::now() < deadline, "{page}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    is_inert(&page, "/push");
    let at = page.find("/push/dead/").unwrap();
    let id = page[at..].split('/').nth(3).unwrap();
    assert!(
        tab.send("/push/dead/none/drop", &[])
            .await
            .contains("no dead letter")
    );
    let left = tab.send(&format!("/push/dead/{id}/drop"), &[]).await;
    assert!(!left.contains("Dead letters"), "{left}");
}

#[tokio::test]
async fn in_production_it_shows_what_is_there() {
    let project = Scratch::new(&[
        ("whoami", "exports.main = (event) => event.userInfo"),
        (
            "job",
            "exports.main = ({ TriggerName }) => `it is ${TriggerName}`",
        ),
    ]);
    let timer = json!({"triggers": [{"name": "nightly", "type": "timer", "config": "0 0 3 * * * *"}]});
    project.write("cloudfunctions/job/config.json", &timer.to_string());
    project.write("appsecret", "0123456789abcdef0123456789abcdef");
    let config = format!(
        "appid = {APPID:?}\nsecret_file = \"appsecret\"\nlisten = \"127.0.0.1:0\"\n\
         wechat = \"http://127.0.0.1:9\"\n[operator]\nlisten = \"127.0.0.1:{port}\"\n",
        port = free_port()
    );
    project.write("yunqiao.toml", &config);
    let operator = config
        .split("listen = \"")
        .nth(2)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let mut command = yunqiao();
    command
        .arg("serve")
        .arg("-c")
        .arg(project.path().join("yunqiao.toml"));
    let server = Server::start(command.env("YUNQIAO_OPERATOR_SECRET", OPERATOR_SECRET));

    let client = client();
    let get = |path: &str| {
        client
            .get(format!("http://{operator}{path}"))
            .bearer_auth(OPERATOR_SECRET)
            .send()
    };
    let home = get("/").await.unwrap().text().await.unwrap();
    assert!(
        home.contains("whoami") && home.contains("/users") && !home.contains("/outbox"),
        "{home}"
    );
    for path in ["/outbox", "/outbox/images/1"] {
        assert_eq!(get(path).await.unwrap().status(), 404, "{path}");
    }
    let form = "function=whoami&user=o-somebody&event=%7B%7D";
    let called = client
        .post(format!("http://{operator}/call"))
        .bearer_auth(OPERATOR_SECRET)
        .body(form);
    let called = called.send().await.unwrap().text().await.unwrap();
    assert!(
        called.contains("o-somebody") && called.contains(APPID),
        "{called}"
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console/call-production.mjs");
    let mut node = Command::new("node");
    node.arg(script)
        .args([&format!("http://{operator}"), OPERATOR_SECRET]);
    let (output, _, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}");
    drop(server);
}

#[test]
fn a_sign_in_outlives_a_restart_and_a_lost_one_says_so() {
    let project = Scratch::new(&[("echo", "exports.main = (event) => event")]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console/sign-in.mjs");
    let mut node = isolated(Command::new("node"));
    node.arg(script)
        .arg(yunqiao().get_program())
        .arg(project.path())
        .arg(free_port().to_string());
    let (output, _, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn dev_does_what_is_typed_into_its_terminal() {
    let project = Scratch::new(&[("echo", "exports.main = (event) => event")]);
    let folder = tempfile::TempDir::new().unwrap();
    let (browser, opened) = (folder.path().join("browser"), folder.path().join("opened"));
    let script = format!(
        "#!/bin/sh\necho \"$1\" > {0}.part && mv {0}.part {0}\n",
        opened.display()
    );
    fs::write(&browser, script).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let dev = Dev::command(yunqiao(), project.path());
    let mut python = Command::new("python3");
    python
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console/keys.py"))
        .arg(&opened)
        .arg(dev.get_program())
        .args(dev.get_args())
        .env("BROWSER", &browser);
    for (name, value) in dev.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    let (output, out, err) = run(&mut python);
    assert!(output.status.success(), "{out}{err}");
    let opened = fs::read_to_string(opened).unwrap();
    assert!(
        opened.starts_with("file://") && opened.ends_with("/console.html\n"),
        "{opened}"
    );
}

#[test]
fn the_main_job_is_done_by_clicks() {
    // The quickstart's files, in a folder of our own: another test may serve the example itself.
    let project = Scratch::new(&[]);
    copy(&quickstart(), project.path());
    let dev = Dev::start(project.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console/main-job.mjs");
    let mut node = Command::new("node");
    node.arg(script).args([&link(&dev), &dev.server.url, &dev.wechat]);
    let (output, _, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}\n{}", dev.server.printed());
}

/// As `dev` wrote them down: `count` calls, the newest an hour ago, and what each printed.
fn earlier_calls(count: u32) -> String {
    let began = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(3600 + i64::from(count));
    let mut text = String::new();
    for number in 0..count {
        let at = (began + jiff::SignedDuration::from_secs(number.into())).to_string();
        let (id, function) = (
            format!("old-{number}"),
            ["old-one", "old-two"][number as usize % 2],
        );
        let (code, error) = match number % 20 {
            1 => (
                -504_002,
                "Error: no\n    at exports.main (/p/cloudfunctions/old-two/index.js:1:7)",
            ),
            _ => (0, ""),
        };
        let line = json!({"time": at, "requestID": id, "function": function, "level": "log", "atMs": 1, "text": format!("printed by {number} ")});
        let call = json!({"time": at, "requestID": id, "function": function, "source": "wx_client", "openid": "o-somebody", "status": 200,
            "errCode": code, "errMsg": error, "waitedMs": 0.1, "ranMs": 3 + number % 50, "cloudIDs": [], "droppedBytes": 0, "cloudCalls": [],
            "moreCloudCalls": 0, "warnings": [], "notes": []});
        text += &format!("{line}\n{call}\n");
    }
    text
}

const SHOP: &str = "const cloud = require('wx-server-sdk')
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
exports.main = async ({ fail }) => {
    console.log('before stock')
    const { result } = await cloud.callFunction({ name: 'stock', data: { say: 'counting' } })
    console.warn('after stock')
    if (fail) throw new Error('out of stock')
    return result
}";

const STOCK: &str = "exports.main = async ({ say }) => {
    console.log(say)
    return { left: 3 }
}";

/// Runs until there is a file.
const GATE: &str = "const { existsSync } = require('fs')
exports.main = async ({ gate }) => {
    console.log('at the gate')
    while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 20))
    return 'let through'
}";

const READS: &str = "const cloud = require('wx-server-sdk')
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
exports.main = async () => (await cloud.database().collection('novels').get()).data";

/// What it calls, its config.json does not allow.
const CHECKS: &str = "const cloud = require('wx-server-sdk')
cloud.init()
exports.main = () => cloud.openapi.security.msgSecCheck({ content: 'x' })";

#[tokio::test]
async fn calls_and_logs_are_found_and_read_on_one_page() {
    let project = Scratch::new(&[
        ("shop", SHOP),
        ("stock", STOCK),
        ("gate", GATE),
        ("reads", READS),
        ("checks", CHECKS),
    ]);
    let manifest = json!({"name": "shop", "dependencies": {"wx-server-sdk": "4.0.2"}});
    for name in ["shop", "reads", "checks"] {
        project.write(
            &format!("cloudfunctions/{name}/package.json"),
            &manifest.to_string(),
        );
    }
    project.write(
        "yunqiao.toml",
        "[database]\nmissing = \"refuse\"\n[functions.gate]\ntimeout = 60\n",
    );
    let written = earlier_calls(10_000);
    let middle = written.lines().take(10_000).map(|line| line.len() + 1).sum();
    project.write(".yunqiao/calls.1.jsonl", &written[..middle]);
    project.write(".yunqiao/calls.jsonl", &written[middle..]);
    let dev = Dev::start(project.path());
    let (output, second_link, err) = console(project.path(), &[]);
    assert!(output.status.success(), "{err}");
    // However many there are, a page is small.
    let tab = Tab::open(&dev).await;
    for path in [
        "/calls",
        "/calls?view=logs",
        "/calls?function=old-two&status=failed&q=o&window=360",
        "/calls?call=old-4321",
        "/calls?before=old-4321&call=old-9981",
    ] {
        let page = tab.page(path).await;
        assert!(page.contains("old-"), "{path}: {page}");
        assert!(page.len() < 60_000, "{path}: {}", page.len());
        is_inert(&page, path);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console/calls.mjs");
    let mut node = Command::new("node");
    node.arg(script)
        .args([second_link.trim(), &dev.server.url, &dev.wechat]);
    let (output, _, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}\n{}", dev.server.printed());
}

/// A function whose query no index of the example serves.
const TITLED: &str = "const cloud = require('wx-server-sdk')\n\
    cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })\n\
    exports.main = ({ title }) => cloud.database().collection('todos').where({ title }).get()\n";

#[test]
fn documents_are_found_and_changed_by_clicks() {
    let project = Scratch::new(&[("titled", TITLED)]);
    let example = quickstart().with_file_name("todo");
    copy(&example, project.path());
    let package = fs::read_to_string(example.join("cloudfunctions/list/package.json")).unwrap();
    project.write("cloudfunctions/titled/package.json", &package);
    let dev = Dev::start(project.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console/data.mjs");
    let mut node = Command::new("node");
    node.arg(script).args([&link(&dev), &dev.server.url, &dev.wechat]);
    let (output, _, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}\n{}", dev.server.printed());
}

/// Runs a script of `tests/console` beside a `dev` whose `yunqiao.toml` says this.
fn by_clicks(script: &str, settings: &str) {
    by_clicks_with(script, &[("yunqiao.toml", settings)]);
}

/// The same beside a `dev` of a project with these files.
fn by_clicks_with(script: &str, files: &[(&str, &str)]) {
    let project = Scratch::new(&[("whoami", "exports.main = (event) => event.userInfo")]);
    for (name, text) in files {
        project.write(name, text);
    }
    let dev = Dev::start(project.path());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console");
    let mut node = Command::new("node");
    node.arg(folder.join(script))
        .args([&link(&dev), &dev.server.url, &dev.wechat]);
    let (output, _, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}\n{}", dev.server.printed());
}

#[test]
fn what_clients_may_do_is_shown_and_tried_by_clicks() {
    by_clicks_with(
        "permissions.mjs",
        &[
            (
                "yunqiao.toml",
                "[database.collections.plain]\n[database.collections.news]\npermission = \"ADMINWRITE\"\n[database.collections.what_somebody_gave_a_rather_long_name]\n",
            ),
            (
                "database.rules.json",
                r#"{"posts": {"read": "doc.published == true && auth != null", "write": "doc._openid == auth.openid"}}"#,
            ),
            (
                "cloudbaserc.json",
                r#"{"framework": {"plugins": {"db": {"use": "@cloudbase/framework-plugin-database", "inputs": {"collections": [
                    {"collectionName": "shops", "aclTag": "READONLY"}, {"collectionName": "news", "aclTag": "ADMINONLY"}]}}}}}"#,
            ),
        ],
    );
}

const READS_OR_SENDS: &str = "const cloud = require('wx-server-sdk')
cloud.init()
exports.main = ({ send, userInfo }) => {
    if (!send) return cloud.database().collection('todos').get()
    return cloud.openapi.subscribeMessage.send({ touser: userInfo.openId, templateId: 'none', data: {} })
}";

#[test]
fn functions_are_found_judged_and_mended_by_clicks() {
    let timer = json!({"triggers": [{"name": "daily", "type": "timer", "config": "0 0 9 * * * *"}]});
    let sends = json!({"permissions": {"openapi": ["subscribeMessage.send"]}});
    by_clicks_with(
        "functions.mjs",
        &[
            (
                "yunqiao.toml",
                "[functions.works]\ntimeout = 7\n[database]\nmissing = \"refuse\"\n[sim]\nunknown_templates = \"refuse\"\n",
            ),
            ("cloudfunctions/reads/index.js", READS_OR_SENDS),
            ("cloudfunctions/reads/config.json", &sends.to_string()),
            (
                "cloudfunctions/reads/package.json",
                r#"{"name": "reads", "dependencies": {"wx-server-sdk": "4.0.2"}}"#,
            ),
            ("cloudfunctions/works/index.js", "exports.main = () => 1"),
            ("cloudfunctions/works/config.json", &timer.to_string()),
            (
                "cloudfunctions/alone/index.js",
                "exports.main = () => { throw new Error('no') }",
            ),
            ("cloudfunctions/torn/index.js", "exports.main = () => {"),
            (
                "cloudfunctions/checks/index.js",
                "const cloud = require('wx-server-sdk')\ncloud.init()\nexports.main = () => cloud.openapi.security.msgSecCheck({ content: 'x' })",
            ),
            (
                "cloudfunctions/checks/package.json",
                r#"{"name": "checks", "dependencies": {"wx-server-sdk": "4.0.2"}}"#,
            ),
        ],
    );
}

const ANSWER: &str = "const cloud = require('wx-server-sdk')
cloud.init()
exports.main = async ({ FromUserName, Content }) => {
    await cloud.openapi.security.msgSecCheck({ content: Content })
    if (Content === 'fail') throw new Error('as it was asked to')
    await cloud.openapi.customerServiceMessage.send({ touser: FromUserName, msgtype: 'text', text: { content: `you wrote ${Content}` } })
    return 'success'
}";

#[test]
fn the_simulated_wechat_is_ruled_by_clicks() {
    let permissions =
        json!({"permissions": {"openapi": ["security.msgSecCheck", "customerServiceMessage.send"]}});
    by_clicks_with(
        "wechat.mjs",
        &[
            ("yunqiao.toml", "[push.routes]\ntext = \"answer\"\n"),
            ("cloudfunctions/answer/index.js", ANSWER),
            ("cloudfunctions/answer/config.json", &permissions.to_string()),
            (
                "cloudfunctions/answer/package.json",
                r#"{"name": "answer", "dependencies": {"wx-server-sdk": "4.0.2"}}"#,
            ),
        ],
    );
}

#[test]
fn a_function_is_called_in_every_way_by_clicks() {
    let timer = json!({"triggers": [{"name": "nightly", "type": "timer", "config": "0 0 3 * * * *"}]});
    by_clicks_with(
        "call.mjs",
        &[
            (
                "yunqiao.toml",
                "[[web.functions]]\npath = \"/hook\"\nfunction = \"hook\"\n",
            ),
            ("package.json", r#"{"devDependencies": {"jest": "*"}}"#),
            ("cloudfunctions/echo/index.js", "exports.main = (event) => event"),
            (
                "cloudfunctions/job/index.js",
                "exports.main = ({ TriggerName }) => `it is ${TriggerName}`",
            ),
            ("cloudfunctions/job/config.json", &timer.to_string()),
            (
                "cloudfunctions/hook/index.js",
                "exports.main = ({ httpMethod, body, queryStringParameters: { long = 0 } = {} }) => ({ statusCode: 201, headers: { 'content-type': 'application/json' },
                    body: JSON.stringify({ httpMethod, got: body, long: '云'.repeat(long) }) })",
            ),
            // Of a function and a user that are gone, and its event was not kept.
            (".yunqiao/calls.jsonl", &format!("{}\n", call_of("old", "gone", "o-gone"))),
        ],
    );
}

/// A call of an earlier run, as `dev` wrote it down.
fn call_of(id: &str, function: &str, openid: &str) -> serde_json::Value {
    let now = jiff::Timestamp::now().to_string();
    json!({"time": now, "requestID": id, "function": function, "source": "wx_client", "openid": openid, "status": 200, "errCode": 0,
        "errMsg": "", "waitedMs": 0, "ranMs": 1, "cloudIDs": [], "droppedBytes": 0, "cloudCalls": [], "moreCloudCalls": 0, "warnings": [],
        "notes": []})
}

#[test]
fn what_clients_watch_and_who_has_logged_in_is_shown_by_clicks() {
    by_clicks(
        "clients.mjs",
        "[database.collections.messages]\npermission = \"READONLY\"\n",
    );
}

#[test]
fn files_are_sent_seen_and_removed_by_clicks() {
    by_clicks(
        "files.mjs",
        "[storage]\npermission = \"PRIVATE\"\nquota = \"100MB\"\n",
    );
}

#[test]
fn nothing_of_an_uploaded_file_runs_in_a_browser() {
    by_clicks("hostile-files.mjs", "[storage]\npermission = \"READONLY\"\n");
    by_clicks("hostile-files.mjs", "[storage]\npermission = \"PRIVATE\"\n");
}

/// A project of the examples in which something of everything happens, as docs/console/README.md has it.
fn shop() -> Scratch {
    let project = Scratch::new(&[("torn", "exports.main = () => {")]);
    let examples = quickstart();
    let functions = [
        ("openapi", "remind"),
        ("openapi", "qrcode"),
        ("openapi", "checkText"),
        ("quickstart", "login"),
        ("todo", "setup"),
        ("todo", "add"),
        ("todo", "list"),
        ("todo", "stats"),
        ("kefu", "kefu"),
    ];
    for (example, name) in functions {
        let function = Path::new("cloudfunctions").join(name);
        let to = project.path().join(&function);
        fs::create_dir_all(&to).unwrap();
        copy(&examples.with_file_name(example).join(&function), &to);
    }
    fs::copy(
        examples.with_file_name("kefu").join("yunqiao.toml"),
        project.path().join("yunqiao.toml"),
    )
    .unwrap();
    project
}

#[test]
fn every_page_can_be_read_by_everybody() {
    let project = shop();
    let dev = Dev::start(project.path());
    let axe = node_module("axe-core").join("axe.min.js");
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/console/pages.mjs"))
        .args([&link(&dev), &dev.server.url, &dev.wechat])
        .arg(axe);
    let (output, _, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}\n{}", dev.server.printed());
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, name) = (
            entry.as_ref().unwrap().path(),
            entry.as_ref().unwrap().file_name(),
        );
        if name == "node_modules" || name == ".yunqiao" {
            continue;
        }
        let to = to.join(name);
        if entry.is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry, &to);
        } else {
            std::fs::copy(entry, to).unwrap();
        }
    }
}
