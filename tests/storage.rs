//! The cloud's storage through every generation of the unmodified wx-server-sdk, and by plain HTTP.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    object_store::ObjectStore,
    support::{
        Dev, OPERATOR_SECRET, PATIENCE, Scratch, Server, User, client, run, yunqiao, yunqiao_on_a_small_disk,
    },
};

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
        let got = operations(&project, |command| command).await;
        if env::var_os("YUNQIAO_BLESS").is_some() {
            fs::write(
                golden(version),
                serde_json::to_string_pretty(&got).unwrap() + "\n",
            )
            .unwrap();
        }
        meets(&got, version);
    }
}

/// The same where files lie in a bucket.
#[tokio::test]
async fn every_storage_operation_in_a_bucket() {
    let store = ObjectStore::start();
    for version in ["0.5.1", "2.6.3", "4.0.2"] {
        let project = Scratch::new(&[]);
        function(&project, "all", version, OPERATIONS);
        let bucket = store.bucket(&client()).await;
        let more = "[functions.all]\ntimeout = 60\n";
        project.write("yunqiao.toml", &(in_bucket(&store, &bucket) + more));
        let got = operations(&project, with_keys).await;
        meets(&got, version);
    }
}

/// `[storage]` with a bucket.
fn in_bucket(store: &ObjectStore, bucket: &str) -> String {
    let endpoint = &store.endpoint;
    format!("[storage]\ns3 = {{ endpoint = {endpoint:?}, bucket = {bucket:?} }}\n")
}

/// What opens the bucket.
fn with_keys(command: &mut Command) -> &mut Command {
    command
        .env("YUNQIAO_S3_ACCESS_KEY", "key")
        .env("YUNQIAO_S3_SECRET_KEY", "known-to-nobody")
}

async fn operations(project: &Scratch, with: impl FnOnce(&mut Command) -> &mut Command) -> Value {
    let mut command = Dev::command(yunqiao(), project.path());
    let dev = Dev::of(Server::start(with(&mut command)), project.path());
    let alice = dev.login("alice").await;
    alice.result("all", json!({}), &[]).await
}

fn golden(version: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/storage")
        .join(format!("{version}.json"))
}

fn meets(got: &Value, version: &str) {
    let expected: Value = serde_json::from_str(&fs::read_to_string(golden(version)).unwrap()).unwrap();
    for (operation, expected) in expected.as_object().unwrap() {
        assert_eq!(&got[operation], expected, "{version} {operation}");
    }
    assert_eq!(
        got.as_object().unwrap().len(),
        expected.as_object().unwrap().len(),
        "{version}"
    );
}

/// Packages that functions may use in its place.
const OTHERS: [(&str, &str); 3] = [
    ("@cloudbase/node-sdk", "2.11.0"),
    ("@cloudbase/node-sdk", "3.18.3"),
    ("tcb-admin-node", "1.23.0"),
];

#[tokio::test]
async fn every_storage_operation_of_the_sdks_for_any_server() {
    let first = "const cloud = require('wx-server-sdk')";
    assert!(OPERATIONS.contains(first));
    for (package, version) in OTHERS {
        let project = Scratch::new(&[]);
        let head = include_str!("storage/bare.js").replace("PACKAGE", package);
        let source = OPERATIONS.replace(first, &head) + include_str!("storage/more.js");
        project.write("cloudfunctions/all/index.js", &source);
        let manifest = json!({"name": "all", "dependencies": {package: version}});
        project.write("cloudfunctions/all/package.json", &manifest.to_string());
        project.write("yunqiao.toml", "[functions.all]\ntimeout = 60\n");
        let got = operations(&project, |command| command).await;
        let name = format!("{}-{version}", package.rsplit('/').next().unwrap());
        if env::var_os("YUNQIAO_BLESS").is_some() {
            fs::write(golden(&name), serde_json::to_string_pretty(&got).unwrap() + "\n").unwrap();
        }
        meets(&got, &name);
    }
}

/// `public_url = "s3"`: what the function is given leads to the bucket itself, and the gateway's own door has the file as well.
#[tokio::test]
async fn files_are_read_from_the_bucket_where_that_is_said() {
    let store = ObjectStore::start();
    let http = client();
    let bucket = store.bucket(&http).await;
    let project = keeper(&(in_bucket(&store, &bucket) + "public_url = \"s3\"\n"));
    let mut command = Dev::command(yunqiao(), project.path());
    let dev = Dev::of(Server::start(with_keys(&mut command)), project.path());
    let alice = dev.login("alice").await;
    let id = put(&alice, "头像/a.png", "picture").await;
    let address = url(&alice, &id, Some(60)).await;
    let begins = format!("{}/{bucket}/头像/a.png?", store.endpoint);
    assert!(address.starts_with(&begins), "{address}");
    for address in [address, format!("{}/v1/files/public/头像/a.png", dev.server.url)] {
        let reply = http.get(&address).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{address}");
        assert_eq!(reply.headers()["content-type"], "image/png");
        assert_eq!(reply.text().await.unwrap(), "picture");
    }
    // A name that would be another once it is encoded has an address at the gateway.
    let id = put(&alice, "a b%20.txt", "odd").await;
    let address = url(&alice, &id, Some(60)).await;
    assert!(address.starts_with(&dev.server.url), "{address}");
    assert_eq!(
        http.get(&address).send().await.unwrap().text().await.unwrap(),
        "odd"
    );
}

/// A function that can reach no port has its files all the same: the addresses that it is given lead over its own socket.
#[tokio::test]
async fn a_function_without_a_network_has_its_files() {
    const FUNCTION: &str = r"
const http = require('http');
const https = require('https');
const net = require('net');
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [options] = [].concat(args[0]);
  if (options.socketPath) return connect.apply(this, args);
  process.nextTick(() => this.destroy(new Error('no port can be reached')));
  return this;
};
const cloud = require('wx-server-sdk');
cloud.init();
const get = (url) => new Promise((resolve, reject) => {
  const asked = (url.startsWith('https') ? https : http).get(url, (response) => {
    const parts = [];
    response.on('data', (part) => parts.push(part));
    response.on('end', () => resolve(Buffer.concat(parts).toString()));
  });
  asked.on('error', (error) => resolve(error.message));
});
exports.main = async ({ elsewhere }) => {
  const { fileID } = await cloud.uploadFile({ cloudPath: '头像/a.txt', fileContent: Buffer.from('mine') });
  const { fileList } = await cloud.getTempFileURL({ fileList: [fileID] });
  const { fileContent } = await cloud.downloadFile({ fileID });
  const url = fileList[0].tempFileURL;
  return [fileContent.toString(), await get(encodeURI(url)), await get(elsewhere), url];
};";
    for settings in ["", "[storage]\npublic_url = \"https://files.example.com/base\"\n"] {
        let project = Scratch::new(&[]);
        function(&project, "keeper", "4.0.2", FUNCTION);
        project.write("yunqiao.toml", settings);
        let dev = Dev::start(project.path());
        let alice = dev.login("alice").await;
        let elsewhere = format!("{}/healthz", dev.server.url);
        let got = alice
            .result("keeper", json!({ "elsewhere": elsewhere }), &[])
            .await;
        assert_eq!(got[0], "mine", "{got}");
        assert_eq!(got[1], "mine", "{got}");
        assert_eq!(got[2], "no port can be reached", "{got}");
        let public = match settings {
            "" => dev.server.url.as_str(),
            _ => "https://files.example.com/base",
        };
        assert_eq!(got[3], format!("{public}/v1/files/public/头像/a.txt"));
    }
}

/// `/readyz` says so while files cannot be kept, the log says why, and both are well again by themselves.
#[tokio::test]
async fn readiness_knows_whether_files_can_be_kept() {
    let project = keeper("");
    let dev = Dev::start(project.path());
    let ready = async || {
        let reply = dev.client.get(format!("{}/readyz", dev.server.url)).send().await;
        let reply = reply.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let until = async |status: u16| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (found, text) = ready().await;
            if found == status {
                return text;
            }
            assert!(Instant::now() < deadline, "{found}, not {status}: {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until(200).await;
    let content = project.path().join(".yunqiao/files/content");
    let away = project.path().join(".yunqiao/files/away");
    fs::rename(&content, &away).unwrap();
    let text = until(503).await;
    assert!(text.contains("files cannot be kept"), "{text}");
    dev.server.prints_soon("No such file or directory").await;
    let alice = dev.login("alice").await;
    let (status, answer) = alice.call("keeper", json!({"put": "a", "text": "x"})).await;
    assert_eq!(status, 500, "{answer}");
    fs::rename(&away, &content).unwrap();
    until(200).await;
    put(&alice, "a", "x").await;
}

/// What `serve --check` says of the bucket.
#[tokio::test]
async fn a_bucket_is_looked_at_before_it_is_served() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&client()).await;
    let project = Scratch::new(&[("main", "exports.main = () => 1;")]);
    let check = |lines: &str, with: fn(&mut Command) -> &mut Command| {
        project.write(
            "yunqiao.toml",
            &format!("appid = \"wx0123456789abcdef\"\n{lines}"),
        );
        let mut command = yunqiao();
        command
            .args(["serve", "--check", "-c", "yunqiao.toml"])
            .current_dir(project.path())
            .env("YUNQIAO_APPSECRET", "0123456789abcdef0123456789abcdef");
        let (output, _, said) = run(with(&mut command));
        (output.status.success(), said)
    };
    let (good, said) = check(&in_bucket(&store, &bucket), with_keys);
    assert!(good, "{said}");
    for (lines, with, expected) in [
        (
            in_bucket(&store, "nothing"),
            with_keys as fn(&mut Command) -> &mut Command,
            "has no bucket \"nothing\"",
        ),
        (
            "[storage]\ns3 = { endpoint = \"http://127.0.0.1:1\", bucket = \"b\" }\n".to_owned(),
            with_keys,
            "http://127.0.0.1:1 does not answer",
        ),
        (
            in_bucket(&store, &bucket),
            |command| command,
            "set YUNQIAO_S3_ACCESS_KEY",
        ),
        (
            "[storage]\ns3 = { endpoint = \"http://127.0.0.1:1\", buckets = \"b\" }\n".to_owned(),
            with_keys,
            "bucket",
        ),
        (
            "[storage]\npublic_url = \"s3\"\n".to_owned(),
            with_keys,
            "there is no s3",
        ),
        (
            in_bucket(&store, &bucket) + "folder = \"files\"\n",
            with_keys,
            "`yunqiao files cp`",
        ),
    ] {
        let (good, said) = check(&lines, with);
        assert!(!good && said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("known-to-nobody"), "{said}");
    }
}

/// SIGKILL in the middle of uploads: each file is as it was, or whole, and nothing else is left of any.
#[tokio::test]
async fn a_kill_in_the_middle_of_uploads_leaves_nothing_half() {
    kill_in_the_middle(40).await;
}

/// The same with many.
#[tokio::test]
#[ignore = "takes minutes"]
async fn a_kill_in_the_middle_of_500_uploads_leaves_nothing_half() {
    kill_in_the_middle(500).await;
}

async fn kill_in_the_middle(uploads: usize) {
    let project = keeper("[storage]\nmax_size = \"10MB\"\n");
    let mut dev = Dev::start(project.path());
    // Large ones, which come in pieces, and small ones. Every third is there already.
    let content = |number: usize, version: u8| {
        let size = if number.is_multiple_of(5) {
            3 << 20
        } else {
            20_000 + number
        };
        vec![version ^ (number % 251) as u8; size]
    };
    let name = |number: usize| format!("kill/{number}.bin");
    let send = |url: &str, number: usize, version: u8| {
        let address = format!("{url}/operator/files/content?path={}", name(number));
        let request = dev.client.put(address).bearer_auth(OPERATOR_SECRET);
        request.body(content(number, version)).send()
    };
    for number in (0..uploads).step_by(3) {
        let reply = send(&dev.operator, number, 1).await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    let mut sent = tokio::task::JoinSet::new();
    for number in 0..uploads {
        let request = send(&dev.operator, number, 2);
        sent.spawn(async move { (number, request.await.is_ok_and(|reply| reply.status() == 200)) });
    }
    // As soon as a quarter is acknowledged.
    let mut acknowledged = vec![false; uploads];
    while acknowledged.iter().filter(|done| **done).count() < uploads / 4 {
        let (number, done) = sent.join_next().await.unwrap().unwrap();
        acknowledged[number] |= done;
    }
    dev.server.kill();
    while let Some(ended) = sent.join_next().await {
        let (number, done) = ended.unwrap();
        acknowledged[number] |= done;
    }
    let acknowledged_in_all = acknowledged.iter().filter(|done| **done).count();

    let dev = Dev::start(project.path());
    let (mut new, mut old, mut absent) = (0, 0, 0);
    for (number, acknowledged) in acknowledged.iter().enumerate() {
        let reply = dev.operate(
            reqwest::Method::GET,
            &format!("files/content?path={}", name(number)),
        );
        let reply = reply.send().await.unwrap();
        if reply.status() == 404 {
            assert!(!acknowledged && !number.is_multiple_of(3), "{number} is gone");
            absent += 1;
            continue;
        }
        let found = reply.bytes().await.unwrap();
        if found == content(number, 2) {
            new += 1;
        } else {
            assert!(found == content(number, 1), "{number} is half");
            assert!(!acknowledged, "{number} was acknowledged and is old");
            old += 1;
        }
    }
    let root = project.path().join(".yunqiao/files");
    assert_eq!(on_disk(&root.join("coming")), 0, "uploads that died");
    assert_eq!(
        on_disk(&root.join("content")),
        new + old,
        "contents without an entry"
    );
    let usage = dev
        .operate(reqwest::Method::GET, "files/usage")
        .send()
        .await
        .unwrap();
    let usage: Value = usage.json().await.unwrap();
    assert_eq!(usage["files"], new + old);
    println!(
        "{uploads} uploads: {acknowledged_in_all} acknowledged, {new} new, {old} as before, {absent} absent"
    );
}

#[tokio::test]
async fn many_downloads_of_one_file_at_once() {
    downloads_at_once(300).await;
}

/// More than the server has connections for.
#[tokio::test]
#[ignore = "takes minutes"]
async fn ten_thousand_downloads_of_one_file_at_once() {
    downloads_at_once(10_000).await;
}

/// Whoever gets an answer gets the whole file; a connection too many may be closed, and nothing else comes of it.
async fn downloads_at_once(downloads: usize) {
    let project = keeper("");
    let dev = Dev::start(project.path());
    let content: Vec<u8> = (0..250_000_u32).flat_map(u32::to_le_bytes).collect();
    let put = dev.operate(reqwest::Method::PUT, "files/content?path=one.bin");
    assert_eq!(put.body(content.clone()).send().await.unwrap().status(), 200);
    let address = format!("{}/v1/files/public/one.bin", dev.server.url);
    let before = resident(dev.server.pid());
    let mut coming = tokio::task::JoinSet::new();
    for _ in 0..downloads {
        let request = dev.client.get(&address).send();
        coming.spawn(async move {
            let reply = request.await.ok()?;
            assert_eq!(reply.status(), 200);
            reply.bytes().await.ok()
        });
    }
    let (mut whole, mut most) = (0, before);
    while let Some(got) = coming.join_next().await {
        if let Some(got) = got.unwrap() {
            assert!(got == content, "half a file");
            whole += 1;
        }
        if whole % 100 == 0 {
            most = most.max(resident(dev.server.pid()));
        }
    }
    println!(
        "{downloads} downloads: {whole} whole, {} KB more memory at most",
        most.saturating_sub(before)
    );
    assert!(whole > 0);
    let again = client().get(&address).send().await.unwrap();
    assert_eq!(again.bytes().await.unwrap().len(), content.len());
}

/// The memory that a process has, in KB; nothing where the system does not say.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .unwrap_or_default()
}

/// The files of a folder and of those in it.
fn on_disk(root: &Path) -> usize {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => on_disk(&entry.path()),
            false => 1,
        })
        .sum()
}

/// A disk that is full is a clear error; other files stay, and the next one that fits goes in.
#[tokio::test]
async fn a_full_disk_harms_no_file() {
    let project = Scratch::new(&[("main", "exports.main = () => 1;")]);
    // No file can be larger than 4 MB: what is, is like one on a disk that is full.
    let mut command = Dev::command(yunqiao_on_a_small_disk(4096), project.path());
    let dev = Dev::of(Server::start(&mut command), project.path());
    let send = async |size: usize| {
        let request = dev.operate(reqwest::Method::PUT, "files/content?path=kept");
        let reply = request.body(vec![0; size]).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let kept = async || {
        let address = format!("{}/v1/files/public/kept", dev.server.url);
        dev.client
            .get(address)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .len()
    };
    assert_eq!(send(1000).await.0, 200);
    let (status, text) = send(5 << 20).await;
    assert_eq!(status, 507, "{text}");
    assert!(text.contains("<Code>InsufficientStorage</Code>"), "{text}");
    assert_eq!(on_disk(&project.path().join(".yunqiao/files/coming")), 0);
    assert_eq!(kept().await, 1000);
    assert_eq!(send(1 << 20).await.0, 200);
    assert_eq!(kept().await, 1 << 20);
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

/// Who asks before sending is told at once why not, and is never told to send.
#[tokio::test]
async fn who_asks_before_sending_what_is_refused_is_told_at_once() {
    let project = keeper("[storage]\nmax_size = \"1KB\"\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let request = json!({"action": "storage.getUploadMetadata", "path": "a.txt"});
    let place = dev.client.post(format!("{}/v1/storage", dev.server.url));
    let place = place
        .bearer_auth(&alice.token)
        .json(&request)
        .send()
        .await
        .unwrap();
    let place: Value = place.json().await.unwrap();
    let url = place["data"]["url"].as_str().unwrap();
    let path = &url[url.find("/v1/files/").unwrap()..];
    let secret = format!("authorization: Bearer {OPERATOR_SECRET}\r\n");
    let own = "/operator/files/content?path=.yunqiao/a.txt";
    let part = format!("{secret}content-range: bytes 5-9/10\r\n");
    for (door, path, headers, length, status) in [
        (&dev.server.url, path, "", 99_999_999, "HTTP/1.1 413 "),
        (&dev.server.url, "/v1/files/forged/a.txt", "", 5, "HTTP/1.1 403 "),
        (&dev.operator, own, &secret, 5, "HTTP/1.1 400 "),
        (
            &dev.operator,
            "/operator/files/content?path=a.txt",
            &part,
            5,
            "HTTP/1.1 400 ",
        ),
        // Where nothing is against it, the rest is asked for.
        (&dev.server.url, path, "", 5, "HTTP/1.1 100 "),
    ] {
        let host = door.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: {host}\r\n{headers}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = vec![0; status.len()];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut said)).await;
        read.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&said), status, "{path}");
    }
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

/// The operator's listener has cookies, and scripts of its own that its policy lets run: no file passes for one of those.
#[tokio::test]
async fn nothing_that_was_uploaded_is_the_consoles_own() {
    let project = Scratch::new(&[("main", "exports.main = () => 1;")]);
    let dev = Dev::start(project.path());
    for (name, given) in [
        ("evil.js", "text/javascript"),
        ("evil.html", "text/html"),
        ("evil.css", "text/css"),
        ("evil.svg", "image/svg+xml"),
        ("evil", "application/javascript"),
        ("worse", "image/png, text/javascript"),
        ("picture.png", "image/png"),
    ] {
        let path = format!("files/content?path={name}");
        let put = dev
            .operate(reqwest::Method::PUT, &path)
            .header("content-type", given);
        assert_eq!(put.body("alert(1)").send().await.unwrap().status(), 200);
        let reply = dev.operate(reqwest::Method::GET, &path).send().await.unwrap();
        let headers = reply.headers();
        assert_eq!(headers["content-type"], "application/octet-stream", "{name}");
        assert_eq!(headers["content-disposition"], "attachment", "{name}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("sandbox; default-src 'none'"),
            "{name} {policy}"
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
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
