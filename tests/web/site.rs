//! The site over HTTP. What a path leads to, the crate tries by itself.

use reqwest::Method;

use super::{ECHO, header, refused, route};
use crate::support::{Dev, Scratch, run, soon, yunqiao};

fn built() -> Scratch {
    let project = Scratch::new(&[("echo", ECHO)]);
    for (path, content) in [
        ("dist/index.html", "<!doctype html><body>home</body>"),
        ("dist/404.html", "lost"),
        ("dist/assets/app.js", "let app"),
        ("dist/assets/app.js.br", "brotli"),
        ("dist/.env", "secret"),
        ("dist/api/index.html", "shadowed"),
    ] {
        project.write(path, content);
    }
    let settings = "[web]\nsite = \"dist\"\nspa = true\nerror = \"404.html\"\n[[web.redirects]]\nfrom = \"/old/*\"\nto = \"/assets/*\"\nstatus = 301\n[[web.cache]]\npath = \"/assets/*\"\nmax_age = \"365d\"\n";
    project.write(
        "yunqiao.toml",
        &format!("{settings}{}", route("/api", "echo", "")),
    );
    project
}

#[tokio::test]
async fn a_site_is_served_beside_functions() {
    let project = built();
    let dev = Dev::start(project.path());
    let home = dev.get("/").await;
    assert_eq!(header(&home, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&home, "cache-control"), "no-cache");
    assert_eq!(header(&home, "x-content-type-options"), "nosniff");
    assert!(
        home.text()
            .await
            .unwrap()
            .starts_with("<!doctype html><body>home")
    );
    assert!(
        dev.get("/api/index.html")
            .await
            .text()
            .await
            .unwrap()
            .contains("\"httpMethod\""),
        "routes go first"
    );
    let page = dev
        .web(Method::GET, "/some/page")
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("home"));
    let lost = dev.get("/assets/none.js").await;
    assert_eq!(
        (
            lost.status().as_u16(),
            lost.text().await.unwrap().contains("lost")
        ),
        (404, true)
    );
    let script = dev
        .web(Method::GET, "/assets/app.js")
        .header("accept-encoding", "br")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            header(&script, "content-encoding"),
            header(&script, "cache-control")
        ),
        ("br", "max-age=31536000")
    );
    let (etag, length) = (
        header(&script, "etag").to_owned(),
        header(&script, "content-length").to_owned(),
    );
    assert_eq!(
        (script.text().await.unwrap(), &*length),
        ("brotli".to_owned(), "6")
    );
    let again = dev
        .web(Method::GET, "/assets/app.js")
        .header("accept-encoding", "br")
        .header("if-none-match", &etag);
    assert_eq!(again.send().await.unwrap().status(), 304);
    let part = dev
        .web(Method::GET, "/assets/app.js")
        .header("range", "bytes=4-")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), part.text().await.unwrap()),
        (206, "app".to_owned())
    );
    let head = dev.web(Method::HEAD, "/assets/app.js").send().await.unwrap();
    assert_eq!(
        (header(&head, "content-length"), head.status().as_u16()),
        ("7", 200)
    );
    let moved = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let moved = moved
        .get(format!("{}/old/app.js?a=1", dev.web))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (moved.status().as_u16(), header(&moved, "location")),
        (301, "/assets/app.js?a=1")
    );
    let post = dev.web(Method::POST, "/assets/app.js").send().await.unwrap();
    assert_eq!(header(&post, "allow"), "GET, HEAD");
    assert_eq!(refused(post).await, (405, "INVALID_REQUEST".to_owned()));
    for path in ["/.env", "/%2eenv", "/assets/"] {
        let reply = dev.get(path).await;
        assert!(!reply.text().await.unwrap().contains("secret"), "{path}");
    }
}

/// A browser that shows a page is told when it was built anew, and the functions are not loaded anew for that.
#[tokio::test]
async fn pages_learn_that_they_have_changed() {
    let project = built();
    let dev = Dev::start(project.path());
    let home = dev.get("/").await.text().await.unwrap();
    assert!(
        home.contains("<script src=\"/__yunqiao/reload.js\"></script></body>"),
        "{home}"
    );
    let script = dev.get("/__yunqiao/reload.js").await;
    assert_eq!(header(&script, "content-type"), "text/javascript; charset=utf-8");
    assert!(script.text().await.unwrap().contains("EventSource"));
    let mut events = dev.get("/__yunqiao/reload").await;
    assert_eq!(header(&events, "content-type"), "text/event-stream");
    let greeting = events.chunk().await.unwrap().unwrap();
    assert!(greeting.starts_with(b"retry:"));
    project.write("dist/index.html", "<body>anew</body>");
    let event = events.chunk().await.unwrap().unwrap();
    assert_eq!(event, "data: changed\n\n");
    assert!(dev.get("/").await.text().await.unwrap().contains("anew"));
    assert!(
        !dev.server.printed().contains("reloaded"),
        "{}",
        dev.server.printed()
    );
    // What belongs to functions does both.
    project.write("cloudfunctions/echo/index.js", "exports.main = () => 'anew'");
    assert_eq!(events.chunk().await.unwrap().unwrap(), "data: changed\n\n");
    let text = || dev.server.printed();
    soon(|| text().contains("reloaded"), text).await;
    assert_eq!(dev.get("/api").await.text().await.unwrap(), "anew");
    drop(events);
}

#[tokio::test]
async fn without_dev_a_page_is_as_it_was_built() {
    let project = built();
    let script = "fetch(process.env.YUNQIAO_WEB_URL + '/').then((r) => r.text()).then((t) => { process.stdout.write(t); })";
    let mut exec = yunqiao();
    let exec = exec
        .arg("exec")
        .arg(project.path())
        .args(["--", "node", "-e", script]);
    let (output, out, err) = run(exec);
    assert!(output.status.success(), "{err}");
    assert_eq!(out, "<!doctype html><body>home</body>");
}

/// As CloudBase's tools put pages below paths, with a function for all that is left.
#[tokio::test]
async fn pages_are_served_below_paths_of_their_own() {
    let project = Scratch::new(&[("echo", ECHO)]);
    for (path, content) in [
        ("h5/index.html", "<!doctype html><body>shop</body>"),
        ("h5/assets/app.js", "let shop"),
        ("admin/dist/index.html", "<!doctype html><body>admin</body>"),
    ] {
        project.write(path, content);
    }
    project.write(
        "cloudbaserc.json",
        r#"{"framework": {"plugins": {"h5": {"use": "@cloudbase/framework-plugin-website", "inputs": {"outputPath": "h5", "cloudPath": "/h5"}}}}}"#,
    );
    let admin = "[[web.sites]]\npath = \"/h5/admin\"\nsite = \"admin/dist\"\nspa = true\n";
    let routes = [route("/", "echo", ""), route("/h5/api", "echo", "")].concat();
    project.write("yunqiao.toml", &format!("{admin}{routes}"));
    let dev = Dev::start(project.path());
    let printed = dev.server.printed();
    assert!(
        printed.contains("/h5/admin → site admin/dist") && printed.contains("/h5 → site h5"),
        "{printed}"
    );
    let text = async |path: &str| dev.get(path).await.text().await.unwrap();
    for path in ["/", "/h", "/h5/api/x", "/assets/app.js", "/index.html"] {
        assert!(
            text(path).await.contains("\"httpMethod\""),
            "{path} is the function's"
        );
    }
    // A browser that follows gets to the folder, from which the page's own addresses go on.
    let shop = dev.get("/h5").await;
    assert_eq!(shop.url().path(), "/h5/");
    assert!(shop.text().await.unwrap().contains("shop"));
    assert_eq!(text("/h5/assets/app.js").await, "let shop");
    assert_eq!(
        refused(dev.get("/h5/user/1").await).await,
        (404, "INVALID_PATH".to_owned())
    );
    for path in ["/h5/admin", "/h5/admin/users/1"] {
        let page = text(path).await;
        assert!(
            page.contains("admin") && page.contains("/__yunqiao/reload.js"),
            "{page}"
        );
    }
    assert_eq!(dev.get("/h5/admin/none.js").await.status(), 404);
    // Both folders are watched.
    for (path, at) in [("h5/index.html", "/h5/"), ("admin/dist/index.html", "/h5/admin/")] {
        let mut events = dev.get("/__yunqiao/reload").await;
        assert!(events.chunk().await.unwrap().unwrap().starts_with(b"retry:"));
        project.write(path, "<body>anew</body>");
        assert_eq!(
            events.chunk().await.unwrap().unwrap(),
            "data: changed\n\n",
            "{path}"
        );
        assert!(text(at).await.contains("anew"));
    }
}
