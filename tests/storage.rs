//! The cloud's storage through every generation of the unmodified wx-server-sdk, and by plain HTTP.

use std::{env, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Dev, Scratch, User, client};

const OPERATIONS: &str = include_str!("storage/operations.js");
const VERSIONS: [&str; 6] = ["0.5.1", "1.8.3", "2.1.2", "2.6.3", "3.0.4", "4.0.2"];

fn function(project: &Scratch, name: &str, version: &str, source: &str) {
    project.write(&format!("cloudfunctions/{name}/index.js"), source);
    let manifest = json!({"name": name, "dependencies": {"wx-server-sdk": version}});
    project.write(
        &format!("cloudfunctions/{name}/package.json"),
        &manifest.to_string(),
    );
}

/// What each operation gives, or how it fails, is what stands in `tests/storage/VERSION.json`. With `YUNQIAO_BLESS` set the files are
/// written anew, to be read by whoever commits them.
#[tokio::test]
async fn every_storage_operation_of_every_sdk() {
    for version in VERSIONS {
        let project = Scratch::new(&[]);
        function(&project, "all", version, OPERATIONS);
        project.write("yunqiao.toml", "[functions.all]\ntimeout = 60\n");
        let dev = Dev::start(project.path());
        let alice = dev.login("alice").await;
        let got = alice.result("all", json!({}), &[]).await;
        let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/storage")
            .join(format!("{version}.json"));
        if env::var_os("YUNQIAO_BLESS").is_some() {
            fs::write(&golden, serde_json::to_string_pretty(&got).unwrap() + "\n").unwrap();
        }
        let expected: Value = serde_json::from_str(&fs::read_to_string(&golden).unwrap()).unwrap();
        for (operation, expected) in expected.as_object().unwrap() {
            assert_eq!(&got[operation], expected, "{version} {operation}");
        }
        assert_eq!(
            got.as_object().unwrap().len(),
            expected.as_object().unwrap().len(),
            "{version}"
        );
    }
}

const KEEPER: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async ({ put, text, url, maxAge }) => {
  if (put) return (await cloud.uploadFile({ cloudPath: put, fileContent: Buffer.from(text) })).fileID;
  const { fileList } = await cloud.getTempFileURL({ fileList: [maxAge ? { fileID: url, maxAge } : url] });
  return fileList[0];
};";

/// A project whose function keeps files.
fn keeper(settings: &str) -> Scratch {
    let project = Scratch::new(&[]);
    function(&project, "keeper", "4.0.2", KEEPER);
    project.write("yunqiao.toml", settings);
    project
}

async fn put(user: &User<'_>, path: &str, text: &str) -> String {
    let id = user
        .result("keeper", json!({"put": path, "text": text}), &[])
        .await;
    id.as_str().expect("a file id").to_owned()
}

async fn url(user: &User<'_>, id: &str, max_age: Option<u64>) -> String {
    let event = json!({"url": id, "maxAge": max_age});
    let item = user.result("keeper", event, &[]).await;
    assert_eq!(item["status"], 0, "{item}");
    item["tempFileURL"].as_str().unwrap().to_owned()
}

/// Addresses of files that all may read: they can be put together from a file id, do not expire, and outlive a restart.
#[tokio::test]
async fn files_that_all_may_read_have_addresses_that_last() {
    let project = keeper("");
    let mut dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let id = put(&alice, "头像/a.png", "picture").await;
    let address = url(&alice, &id, Some(1)).await;
    let path = id.splitn(4, '/').nth(3).unwrap();
    assert!(
        address.ends_with(&format!("/v1/files/public/{path}")),
        "{address}"
    );
    dev.sim("clock", json!({"advance": 100_000})).await;
    let http = client();
    let reply = http.get(&address).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "image/png");
    let etag = reply.headers()["etag"].clone();
    assert_eq!(reply.text().await.unwrap(), "picture");

    let again = http.get(&address).header("if-none-match", &etag).send();
    assert_eq!(again.await.unwrap().status(), 304);
    let part = http
        .get(&address)
        .header("range", "bytes=2-3")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), &part.headers()["content-range"]),
        (206, &"bytes 2-3/7".parse().unwrap())
    );
    assert_eq!(part.text().await.unwrap(), "ct");
    let none = http
        .get(&address)
        .header("range", "bytes=7-")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (none.status().as_u16(), &none.headers()["content-range"]),
        (416, &"bytes */7".parse().unwrap())
    );
    let head = http.head(&address).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"7".parse().unwrap())
    );

    dev.server.kill();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let reply = http.get(url(&alice, &id, None).await).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "picture");
}

/// What a user uploads is nobody's page.
#[tokio::test]
async fn nothing_that_was_uploaded_runs_in_a_browser() {
    let project = keeper("");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let http = client();
    for (name, shown) in [
        ("page.html", false),
        ("vector.svg", false),
        ("feed.xml", false),
        ("script.js", false),
        ("picture.png", true),
        ("notes.txt", true),
    ] {
        let id = put(&alice, name, "<script>alert(1)</script>").await;
        let reply = http.get(url(&alice, &id, None).await).send().await.unwrap();
        let headers = reply.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{name}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("sandbox; default-src 'none'"),
            "{name} {policy}"
        );
        let disposition = headers.get("content-disposition");
        assert_eq!(disposition.is_none(), shown, "{name} {disposition:?}");
    }
}

#[tokio::test]
async fn private_files_want_an_address_that_was_made_for_them() {
    let project = keeper("[storage]\npermission = \"PRIVATE\"\nmax_size = \"1KB\"\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let (id, other) = (
        put(&alice, "a.txt", "mine").await,
        put(&alice, "b.txt", "other").await,
    );
    let http = client();
    let get = async |address: &str| {
        let reply = http.get(address).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let address = url(&alice, &id, Some(60)).await;
    assert_eq!(get(&address).await, (200, "mine".to_owned()));
    let public = format!("{}/v1/files/public/a.txt", dev.server.url);
    let refused = get(&public).await;
    assert_eq!(refused.0, 403);
    assert!(refused.1.contains("<Code>AccessDenied</Code>"), "{}", refused.1);

    // One right is not another, and no part of an address says which file it is but the sealed one.
    let sealed = address.rsplit('/').nth(1).unwrap();
    for path in ["/", "/b.txt", "/../b.txt"] {
        let (status, text) = get(&format!("{}/v1/files/{sealed}{path}", dev.server.url)).await;
        assert!(
            status == 404 || text == "mine" || text.contains("AccessDenied"),
            "{path} {status} {text}"
        );
    }
    let mut forged = sealed.to_owned();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    assert_eq!(
        get(&format!("{}/v1/files/{forged}/a.txt", dev.server.url))
            .await
            .0,
        403
    );
    let put_there = http.put(&address).body("overwritten").send().await.unwrap();
    assert_eq!(put_there.status(), 403);
    assert_eq!(get(&url(&alice, &other, None).await).await.1, "other");

    dev.sim("clock", json!({"advance": 61})).await;
    assert_eq!(get(&address).await.0, 403);
    assert_eq!(get(&url(&alice, &id, Some(60)).await).await.1, "mine");

    // What is too large is told, and changes nothing.
    let event = json!({"put": "a.txt", "text": "x".repeat(2000)});
    let (status, answer) = alice.call("keeper", event).await;
    assert_eq!(status, 500, "{answer}");
    assert!(
        answer
            .to_string()
            .contains("[EntityTooLarge]: the file is over 1024 bytes"),
        "{answer}"
    );
    assert_eq!(get(&url(&alice, &id, None).await).await.1, "mine");
}
