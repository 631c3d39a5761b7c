#![allow(clippy::unwrap_used)]
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use access::{BuiltPage, CacheRule, Redirect, RoutePath};
use http::Request;
use tempfile::TempDir;

use super::*;

struct Shown {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Shown {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// 404 without a body where there is no document for it.
async fn ask(site: &Site, method: &str, target: &str, headers: &[(&str, &str)]) -> Shown {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let path = RequestPath::parse(head.uri.path()).unwrap();
    match site.answer(&head, &path).await.unwrap() {
        SiteAnswer::Reply(reply) => {
            let (head, body) = reply.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Shown {
                status: head.status.as_u16(),
                headers: head.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            }
        }
        SiteAnswer::NotFound => Shown {
            status: 404,
            headers: HeaderMap::new(),
            body: String::new(),
        },
        SiteAnswer::NotAMethod => Shown {
            status: 405,
            headers: HeaderMap::new(),
            body: String::new(),
        },
    }
}

async fn get(site: &Site, target: &str) -> Shown {
    ask(site, "GET", target, &[]).await
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A folder `dist`, and beside it what nobody may see.
fn built() -> (TempDir, PathBuf) {
    let around = TempDir::new().unwrap();
    write(
        around.path(),
        &[
            ("secret", "secret"),
            ("dist/index.html", "<body>home</body>"),
            ("dist/404.html", "lost"),
            ("dist/docs/index.html", "docs"),
            ("dist/empty/x.txt", "x"),
            ("dist/assets/app.js", "let app = 1;"),
            ("dist/assets/app.js.br", "brotli"),
            ("dist/assets/app.js.gz", "gzip"),
            ("dist/头像 1.png", "png"),
            ("dist/.env", "secret"),
            ("dist/.git/HEAD", "secret"),
            ("dist/.well-known/security.txt", "known"),
        ],
    );
    let dist = around.path().join("dist");
    (around, dist)
}

fn page_of(dist: &Path) -> BuiltPage {
    BuiltPage::new(RoutePath::default(), dist.to_owned())
}

fn site_of(page: BuiltPage) -> Site {
    let pages = vec![page];
    Site::new(
        SiteRules {
            pages,
            ..SiteRules::default()
        },
        None,
    )
}

fn site(dist: &Path) -> Site {
    site_of(page_of(dist))
}

/// The same, with the script that reloads its documents.
fn live_site(dist: &Path, script: &str) -> Site {
    let pages = vec![page_of(dist)];
    Site::new(
        SiteRules {
            pages,
            ..SiteRules::default()
        },
        Some(script),
    )
}

#[tokio::test]
async fn files_and_documents_of_folders_are_shown() {
    let (_around, dist) = built();
    let site = site(&dist);
    for (target, status, kind, body) in [
        ("/", 200, "text/html; charset=utf-8", "<body>home</body>"),
        ("/?a=1", 200, "text/html; charset=utf-8", "<body>home</body>"),
        (
            "/index.html",
            200,
            "text/html; charset=utf-8",
            "<body>home</body>",
        ),
        ("/docs/", 200, "text/html; charset=utf-8", "docs"),
        (
            "/assets/app.js",
            200,
            "text/javascript; charset=utf-8",
            "let app = 1;",
        ),
        ("/%E5%A4%B4%E5%83%8F%201.png", 200, "image/png", "png"),
        (
            "/.well-known/security.txt",
            200,
            "text/plain; charset=utf-8",
            "known",
        ),
        ("/empty/", 404, "", ""),
        ("/empty", 404, "", ""),
        ("/index.html/", 404, "", ""),
        ("/index.html/x", 404, "", ""),
        ("/none", 404, "", ""),
        ("/INDEX.html", 404, "", ""),
    ] {
        let shown = get(&site, target).await;
        assert_eq!(
            (shown.status, shown.header("content-type"), &*shown.body),
            (status, kind, body),
            "{target}"
        );
    }
    let folder = get(&site, "/docs?a=1").await;
    assert_eq!((folder.status, folder.header("location")), (301, "/docs/?a=1"));
    let head = ask(&site, "HEAD", "/assets/app.js", &[]).await;
    assert_eq!(
        (head.status, head.header("content-length"), &*head.body),
        (200, "12", "")
    );
    assert_eq!(ask(&site, "POST", "/", &[]).await.status, 405);
    assert_eq!(
        get(&site_of(page_of(&dist.join("not-built"))), "/").await.status,
        404
    );
}

/// A header goes before what a page says of itself, so none says UTF-8 of what is something else, compressed or not.
#[tokio::test]
async fn pages_in_other_encodings_are_left_to_say_so() {
    let (_around, dist) = built();
    for (name, content) in [
        ("gbk.html", &b"<meta charset=gbk>\xc4\xe3"[..]),
        ("gbk.js", b"let you = '\xc4\xe3'"),
        ("utf16.html", b"\xff\xfe<\0p\0>\0"),
    ] {
        fs::write(dist.join(name), content).unwrap();
    }
    fs::write(dist.join("gbk.js.gz"), "gzip").unwrap();
    let (plain, live) = (site(&dist), live_site(&dist, "/live.js"));
    for (site, is_live) in [(&plain, false), (&live, true)] {
        for (target, kind) in [
            ("/gbk.html", "text/html"),
            ("/gbk.js", "text/javascript"),
            ("/utf16.html", "text/html"),
            ("/", "text/html; charset=utf-8"),
        ] {
            let shown = ask(site, "HEAD", target, &[("accept-encoding", "gzip")]).await;
            assert_eq!(shown.header("content-type"), kind, "{target}");
            let compressed = shown.header("content-encoding") == "gzip";
            assert_eq!(compressed, target == "/gbk.js", "{target}");
            if is_live && target == "/utf16.html" {
                // It is sent as it is.
                assert_eq!(shown.header("content-length"), "8");
            }
        }
    }
}

#[tokio::test]
async fn nothing_leaves_the_folder() {
    let (around, dist) = built();
    symlink(around.path().join("secret"), dist.join("link")).unwrap();
    symlink(around.path(), dist.join("up")).unwrap();
    symlink(dist.join(".env"), dist.join("env")).unwrap();
    symlink(dist.join("round"), dist.join("round")).unwrap();
    symlink(dist.join("assets/app.js"), dist.join("inner.js")).unwrap();
    fs::write(dist.join("x.js"), "x").unwrap();
    symlink(around.path().join("secret"), dist.join("x.js.gz")).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(dist.join("pipe"))
        .status()
        .unwrap();
    assert!(pipe.success());
    let site = site(&dist);
    // Those are no paths at all.
    for target in ["/..%2fsecret", "/%5c..%5csecret", "/assets/..%2f..%2fsecret"] {
        assert!(RequestPath::parse(target).is_err(), "{target}");
    }
    for target in [
        "/link",
        "/up/secret",
        "/up/",
        "/env",
        "/round",
        "/pipe",
        "/.env",
        "/.git/HEAD",
        "/%2eenv",
        "/a\u{0}",
        "//secret",
        "/docs//index.html",
        "/%ff",
    ] {
        let Ok(uri) = target.parse::<http::Uri>() else {
            continue;
        };
        let shown = get(&site, &uri.to_string()).await;
        assert_eq!((shown.status, &*shown.body), (404, ""), "{target}");
    }
    assert_eq!(
        get(&site, "/inner.js").await.body,
        "let app = 1;",
        "a link within the folder"
    );
    let plain = ask(&site, "GET", "/x.js", &[("accept-encoding", "gzip")]).await;
    assert_eq!((&*plain.body, plain.header("content-encoding")), ("x", ""));
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let (_around, dist) = built();
    let site = site(&dist);
    let first = get(&site, "/assets/app.js").await;
    let etag = first.header("etag");
    for (name, value) in [
        ("if-none-match", etag),
        ("if-modified-since", first.header("last-modified")),
    ] {
        let again = ask(&site, "GET", "/assets/app.js", &[(name, value)]).await;
        assert_eq!((again.status, &*again.body), (304, ""), "{name}");
    }
    let part = ask(
        &site,
        "GET",
        "/assets/app.js",
        &[("range", "bytes=4-6"), ("if-range", etag)],
    )
    .await;
    assert_eq!(
        (part.status, &*part.body, part.header("content-range")),
        (206, "app", "bytes 4-6/12")
    );
    let beyond = ask(&site, "GET", "/assets/app.js", &[("range", "bytes=12-")]).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, "bytes */12")
    );
    // Written anew with the same length: it is another file.
    let time = fs::metadata(dist.join("assets/app.js"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(dist.join("assets/app.js"), "let app = 2;").unwrap();
    fs::File::options()
        .write(true)
        .open(dist.join("assets/app.js"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    let anew = ask(&site, "GET", "/assets/app.js", &[("if-none-match", etag)]).await;
    assert_eq!((anew.status, &*anew.body), (200, "let app = 2;"));
}

#[tokio::test]
async fn what_was_compressed_is_sent_to_those_who_take_it() {
    let (_around, dist) = built();
    let site = site(&dist);
    for (accept, coding, body) in [
        ("gzip, br", "br", "brotli"),
        ("gzip", "gzip", "gzip"),
        ("br;q=0.1, gzip;q=0.9", "gzip", "gzip"),
        ("identity", "", "let app = 1;"),
    ] {
        let shown = ask(&site, "GET", "/assets/app.js", &[("accept-encoding", accept)]).await;
        assert_eq!(
            (shown.header("content-encoding"), &*shown.body),
            (coding, body),
            "{accept}"
        );
        assert_eq!(shown.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(shown.header("vary"), "accept-encoding");
        let etag = shown.header("etag");
        let again = ask(
            &site,
            "GET",
            "/assets/app.js",
            &[("accept-encoding", accept), ("if-none-match", etag)],
        )
        .await;
        assert_eq!(again.status, 304);
    }
    let part = ask(
        &site,
        "GET",
        "/assets/app.js",
        &[("accept-encoding", "br"), ("range", "bytes=0-2")],
    )
    .await;
    assert_eq!((&*part.body, part.header("content-encoding")), ("let", ""));
    // One of an earlier build.
    let old = fs::File::options()
        .write(true)
        .open(dist.join("assets/app.js.br"))
        .unwrap();
    old.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .unwrap();
    let shown = ask(&site, "GET", "/assets/app.js", &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(shown.body, "gzip");
}

#[tokio::test]
async fn pages_of_a_spa_errors_and_redirects() {
    let (_around, dist) = built();
    let redirect = |from: Option<&str>, to: &str, status: u16| Redirect {
        from: from.map(|from| from.parse().unwrap()),
        to: to.to_owned(),
        status: StatusCode::from_u16(status).unwrap(),
    };
    let spa = BuiltPage {
        spa: true,
        error: Some("404.html".to_owned()),
        ..page_of(&dist)
    };
    let spa = Site::new(
        SiteRules {
            pages: vec![spa],
            redirects: vec![redirect(Some("/old/*"), "/docs/*", 308)],
            cache: vec![CacheRule {
                path: "/assets/*".parse().unwrap(),
                max_age: Duration::from_secs(60),
            }],
        },
        None,
    );
    let html = [("accept", "text/html,*/*")];
    let page = ask(&spa, "GET", "/user/john.doe", &html).await;
    assert_eq!(
        (page.status, &*page.body, page.header("cache-control")),
        (200, "<body>home</body>", "no-cache")
    );
    let script = get(&spa, "/assets/old.js").await;
    assert_eq!(
        (script.status, &*script.body, script.header("cache-control")),
        (404, "lost", "no-cache")
    );
    assert_eq!(
        get(&spa, "/assets/app.js").await.header("cache-control"),
        "max-age=60"
    );
    let moved = get(&spa, "/old/a?b").await;
    assert_eq!((moved.status, moved.header("location")), (308, "/docs/a?b"));

    let lost = Site::new(
        SiteRules {
            pages: vec![page_of(&dist)],
            redirects: vec![redirect(None, "/404.html", 302)],
            ..SiteRules::default()
        },
        None,
    );
    let moved = get(&lost, "/nothing").await;
    assert_eq!((moved.status, moved.header("location")), (302, "/404.html"));

    let chinese = Site::new(
        SiteRules {
            pages: vec![BuiltPage {
                index: "none.html".to_owned(),
                ..page_of(&dist)
            }],
            redirects: vec![
                redirect(Some("/旧/*"), "/新.png", 301),
                redirect(None, "/首页.html", 302),
            ],
            ..SiteRules::default()
        },
        None,
    );
    let moved = get(&chinese, "/%E6%97%A7/a").await;
    assert_eq!((moved.status, moved.header("location")), (301, "/%E6%96%B0.png"));
    let home = "/%E9%A6%96%E9%A1%B5.html";
    let moved = get(&chinese, "/").await;
    assert_eq!((moved.status, moved.header("location")), (302, home));
    assert_eq!(get(&chinese, home).await.status, 404, "it leads to itself");
}

/// Two pages of one folder, each with its own documents, and rules that mean paths as they are sent.
#[tokio::test]
async fn pages_below_paths_are_sites_of_their_own() {
    let (_around, dist) = built();
    let below = |path: &str| BuiltPage::new(path.parse().unwrap(), dist.clone());
    let site = Site::new(
        SiteRules {
            pages: vec![
                BuiltPage {
                    error: Some("404.html".to_owned()),
                    ..below("/app")
                },
                BuiltPage {
                    spa: true,
                    ..below("/app/管理")
                },
            ],
            redirects: vec![Redirect {
                from: Some("/".parse().unwrap()),
                to: "/app/".to_owned(),
                status: StatusCode::FOUND,
            }],
            cache: vec![CacheRule {
                path: "/app/assets/*".parse().unwrap(),
                max_age: Duration::from_secs(60),
            }],
        },
        None,
    );
    let admin = "/app/%E7%AE%A1%E7%90%86";
    for (target, status, body, location, cache) in [
        ("/", 302, "", "/app/", ""),
        ("/app?a=1", 301, "", "/app/?a=1", ""),
        ("/%61pp", 301, "", "/%61pp/", ""),
        ("/app/", 200, "<body>home</body>", "", "no-cache"),
        ("/app/docs", 301, "", "/app/docs/", ""),
        ("/app/docs/", 200, "docs", "", "no-cache"),
        ("/app/assets/app.js", 200, "let app = 1;", "", "max-age=60"),
        ("/app/app/", 404, "lost", "", "no-cache"),
        ("/app/user/1", 404, "lost", "", "no-cache"),
        ("/app/.env", 404, "lost", "", "no-cache"),
        ("/app/%2e%65nv", 404, "lost", "", "no-cache"),
        ("/app//secret", 404, "lost", "", "no-cache"),
        ("/index.html", 404, "", "", ""),
        ("/assets/app.js", 404, "", "", ""),
        ("/apps/index.html", 404, "", "", ""),
        (admin, 301, "", &*format!("{admin}/"), ""),
        (
            &*format!("{admin}/user/1"),
            200,
            "<body>home</body>",
            "",
            "no-cache",
        ),
        (
            &*format!("{admin}/assets/app.js"),
            200,
            "let app = 1;",
            "",
            "no-cache",
        ),
        (&*format!("{admin}/assets/old.js"), 404, "", "", ""),
    ] {
        let shown = get(&site, target).await;
        let headers = (shown.header("location"), shown.header("cache-control"));
        assert_eq!(
            (shown.status, &*shown.body, headers),
            (status, body, (location, cache)),
            "{target}"
        );
    }
    let depth = |path| site.depth(&RequestPath::parse(path).unwrap());
    assert_eq!(
        (depth("/"), depth("/app/x"), depth(admin)),
        (None, Some(1), Some(2))
    );
}

#[tokio::test]
async fn a_document_that_reloads_itself_is_whole() {
    let (_around, dist) = built();
    write(&dist, &[("index.html.gz", "gzip")]);
    let site = live_site(&dist, "/reload.js");
    let accept = [("accept-encoding", "gzip"), ("range", "bytes=0-3")];
    let shown = ask(&site, "GET", "/", &accept).await;
    let expected = "<body>home<script src=\"/reload.js\"></script></body>";
    assert_eq!((shown.status, &*shown.body), (200, expected));
    assert_eq!(shown.header("content-length"), expected.len().to_string());
    let again = ask(&site, "GET", "/", &[("if-none-match", shown.header("etag"))]).await;
    assert_eq!(again.status, 304);
    let script = ask(&site, "GET", "/assets/app.js", &accept[1..]).await;
    assert_eq!((script.status, &*script.body), (206, "let "));
}

#[tokio::test]
async fn a_large_file_comes_in_pieces() {
    let (_around, dist) = built();
    let content = "0123456789".repeat(100_000);
    write(&dist, &[("large.txt", &content)]);
    let site = site(&dist);
    assert!(get(&site, "/large.txt").await.body == content);
    let part = ask(&site, "GET", "/large.txt", &[("range", "bytes=99999-900000")]).await;
    assert!(part.body == content[99_999..=900_000]);
}
