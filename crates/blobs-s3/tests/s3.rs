//! The bucket of a server that was started for it: the contract of places for files, what it says where it cannot be used, and
//! what happens when the server does not do as it should.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../../../tests/install.rs"]
mod install;
#[path = "s3/proxy.rs"]
mod proxy;
#[path = "../../../tests/s3/server.rs"]
mod server;

use std::{
    error::Error,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use blobs::{BESIDE_CONTENT, BlobError, Blobs, ListBounds, ListEntry, NewBlob, OpenBlob, Removal, Usage};
use bytes::Bytes;
use proxy::{Mode, Proxy};
use reqwest::Method;
use server::ObjectStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::{runtime::Handle, task::block_in_place};
use yunqiao_blobs_s3::{MEMORY, S3, S3Settings, SILENCE};

/// What fits into one part, and a little more.
const OVER_ONE_PART: usize = (5 << 20) + 7;

fn http() -> reqwest::Client {
    // Two tests may do this at once; the second finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn settings(endpoint: &str, bucket: &str) -> S3Settings {
    S3Settings {
        endpoint: endpoint.to_owned(),
        bucket: bucket.to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "key".into(),
        secret_key: "known-to-nobody".into(),
        quota: None,
        silence: SILENCE,
        memory: MEMORY,
    }
}

fn new(path: &str) -> NewBlob {
    NewBlob {
        path: path.parse().unwrap(),
        owner: "小明".to_owned(),
        content_type: None,
    }
}

async fn write(blobs: &S3, path: &str, content: Vec<u8>) -> Result<(), BlobError> {
    let mut writing = blobs.write(new(path)).await?;
    writing.push(content.into()).await?;
    writing.finish().await.map(drop)
}

async fn content(mut opened: OpenBlob) -> Result<Vec<u8>, BlobError> {
    let mut whole = Vec::new();
    while let Some(piece) = opened.content.next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

fn text(error: &BlobError) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// A bucket of the server that all properties share, and which ends with this process.
async fn fresh() -> ((), S3) {
    static STORE: OnceLock<ObjectStore> = OnceLock::new();
    let store = STORE.get_or_init(ObjectStore::start);
    let bucket = store.bucket(&http()).await;
    ((), S3::new(&settings(&store.endpoint, &bucket)).unwrap())
}

blobs::hold_to_contract!(fresh().await);

#[tokio::test]
async fn types_and_owners_lie_with_the_object() {
    let store = ObjectStore::start();
    let http = http();
    let bucket = store.bucket(&http).await;
    let blobs = S3::new(&settings(&store.endpoint, &bucket)).unwrap();
    write(&blobs, "a.png", b"x".to_vec()).await.unwrap();
    let found = blobs.look(&"a.png".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((&*found.owner, found.content_type), ("小明", None));

    // Whatever else lies in the bucket is a file of nobody's, unless no file can be called so.
    for place in ["other/x.txt", "folder/"] {
        store
            .ask(&http, Method::PUT, &format!("{bucket}/{place}"), "other")
            .await;
    }
    let bounds = ListBounds {
        prefix: "",
        after: None,
        folders: false,
        most: 10,
    };
    let listed = blobs.list(bounds).await.unwrap();
    let listed: Vec<(&str, &str)> = listed
        .iter()
        .map(|entry| match entry {
            ListEntry::File(blob) => (blob.path.as_str(), &*blob.owner),
            ListEntry::Folder(name) => (name.as_str(), "a folder"),
        })
        .collect();
    assert_eq!(listed, [("a.png", "小明"), ("other/x.txt", "")]);
}

/// What other tools have put there under keys that no file can have keeps nothing from anybody.
#[tokio::test]
async fn keys_that_no_file_can_have_are_passed_over_and_counted() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let bounded = S3Settings {
        quota: Some(1000 + 9 * BESIDE_CONTENT),
        ..settings(&store.endpoint, &bucket)
    };
    let blobs = S3::new(&bounded).unwrap();
    for path in ["old/a.png", "old/z.png", "top.png"] {
        write(&blobs, path, vec![0; 100]).await.unwrap();
    }
    for key in ["old//x.png", "a/../b", "a/./b", "/lead.txt"] {
        put_raw(&store.endpoint, &format!("/{bucket}/{key}"), "0123456789").await;
    }
    let listed = async |prefix: &str, folders: bool, most: usize| {
        let bounds = ListBounds {
            prefix,
            after: None,
            folders,
            most,
        };
        let listed = blobs.list(bounds).await.unwrap();
        listed
            .iter()
            .map(|entry| entry.path().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("", false, 10).await, ["old/a.png", "old/z.png", "top.png"]);
    assert_eq!(listed("old/", false, 10).await, ["old/a.png", "old/z.png"]);
    assert_eq!(listed("old/", true, 10).await, ["old/a.png", "old/z.png"]);
    // Nor does one of them take the place of another in a short list.
    assert_eq!(listed("", false, 1).await, ["old/a.png"]);
    let counted = Usage { files: 7, bytes: 340 };
    assert_eq!(blobs.usage().await.unwrap(), counted);
    blobs.check().await.unwrap();
    // With a quota, an upload counts what is there.
    write(&blobs, "new.png", vec![0; 600]).await.unwrap();
    let full = write(&blobs, "newer.png", vec![0; 61]).await.unwrap_err();
    assert!(matches!(full, BlobError::Quota { .. }), "{full:?}");
}

/// Puts an object under a path as it stands, which clients of HTTP would shorten.
async fn put_raw(endpoint: &str, path: &str, content: &str) {
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut server = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{content}",
        content.len()
    );
    server.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    server.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
}

/// None of them has a whole part when there is no memory left: they do not wait for each other.
#[tokio::test]
async fn uploads_that_come_evenly_all_end() {
    const UPLOADS: usize = 8;
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let little = S3Settings {
        memory: 16 << 20,
        ..settings(&store.endpoint, &bucket)
    };
    let blobs = S3::new(&little).unwrap();
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|number| {
            let blobs = blobs.clone();
            tokio::spawn(async move {
                let mut writing = blobs.write(new(&number.to_string())).await?;
                for piece in vec![0; OVER_ONE_PART].chunks(64 << 10) {
                    writing.push(Bytes::copy_from_slice(piece)).await?;
                    // The others' turn.
                    tokio::task::yield_now().await;
                }
                writing.finish().await
            })
        })
        .collect();
    for upload in uploads {
        assert_eq!(upload.await.unwrap().unwrap().size, OVER_ONE_PART as u64);
    }
}

/// Between the look at a file and its removal another may write one: the server is told which content is meant, and says whether it is.
#[tokio::test]
async fn a_file_that_was_written_after_the_look_stays() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let proxy = Proxy::start(&store.endpoint).await;
    let blobs = S3::new(&settings(&proxy.endpoint, &bucket)).unwrap();
    write(&blobs, "a", b"first".to_vec()).await.unwrap();
    let known = blobs.look(&"a".parse().unwrap()).await.unwrap().unwrap();
    for (status, code, expected) in [
        (412, "PreconditionFailed", Removal::Changed),
        (409, "ConditionalRequestConflict", Removal::Changed),
        (404, "NoSuchKey", Removal::Missing),
    ] {
        proxy.hinder(Mode::AnswerTo("DELETE", proxy::refusal(status, code, "?")), 1);
        assert_eq!(blobs.remove_this(&known).await.unwrap(), expected, "{code}");
        assert_eq!(blobs.look(&known.path).await.unwrap().as_ref(), Some(&known));
    }
    let asked = proxy.heads("DELETE");
    let condition = format!("if-match: \"{}\"\r\n", known.etag);
    assert!(
        asked.len() == 3 && asked.iter().all(|head| head.contains(&condition)),
        "{asked:?}"
    );
    // A server that knows no conditions removes it all the same.
    proxy.hinder(
        Mode::AnswerTo("DELETE", proxy::refusal(501, "NotImplemented", "?")),
        1,
    );
    assert_eq!(blobs.remove_this(&known).await.unwrap(), Removal::Done);
    assert_eq!(blobs.look(&known.path).await.unwrap(), None);
}

/// As Alibaba's OSS is: 501 to each condition of what is put.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_without_conditions_takes_what_was_judged() {
    let store = ObjectStore::start();
    let http = http();
    let bucket = store.bucket(&http).await;
    let proxy = Proxy::start(&store.endpoint).await;
    let blobs = S3::new(&settings(&proxy.endpoint, &bucket)).unwrap();
    // What comes in parts has conditions of its own, which a server may lack where it has the others.
    let large = vec![b'l'; OVER_ONE_PART];
    let mut writing = blobs.write(new("large")).await.unwrap();
    writing.push(large.clone().into()).await.unwrap();
    proxy.hinder(
        Mode::AnswerTo("POST", proxy::refusal(501, "NotImplemented", "?")),
        1,
    );
    assert!(writing.finish_if(Box::new(|_| true)).await.unwrap().is_some());
    let opened = blobs.open(&"large".parse().unwrap()).await.unwrap().unwrap();
    assert!(content(opened).await.unwrap() == large);
    proxy.hinder(
        Mode::AnswerTo("PUT", proxy::refusal(501, "NotImplemented", "?")),
        5,
    );
    for content in ["first", "second"] {
        let mut writing = blobs.write(new("a")).await.unwrap();
        writing.push(content.into()).await.unwrap();
        let done = writing.finish_if(Box::new(|_| true)).await.unwrap();
        assert!(done.is_some(), "{content}");
    }
    let mut refused = blobs.write(new("a")).await.unwrap();
    refused.push("third".into()).await.unwrap();
    let done = refused
        .finish_if(Box::new(|there| there.is_none()))
        .await
        .unwrap();
    assert_eq!(done, None, "it is judged all the same");
}

/// The second takes the place between the judgement of the first and its place: the server's own condition tells, whatever their size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "a judgement is no future, and the second comes within it"
)]
async fn of_two_who_race_for_an_unused_path_one_has_it() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let blobs = S3::new(&settings(&store.endpoint, &bucket)).unwrap();
    for (path, size) in [("small", 10), ("large", OVER_ONE_PART)] {
        let write = async |owner: &str| {
            let new = NewBlob {
                owner: owner.to_owned(),
                ..new(path)
            };
            let mut writing = blobs.write(new).await.unwrap();
            writing.push(vec![0; size].into()).await.unwrap();
            writing
        };
        let (first, second) = (write("alice").await, write("bob").await);
        let second = second.finish_if(Box::new(|there| there.is_none()));
        let second = Mutex::new(Some(second));
        let first = first.finish_if(Box::new(move |there| {
            if let Some(second) = second.lock().unwrap().take() {
                let done = block_in_place(|| Handle::current().block_on(second));
                assert!(done.unwrap().is_some(), "nobody else was there");
            }
            there.is_none()
        }));
        assert_eq!(first.await.unwrap(), None, "{path}");
        let there = blobs.look(&path.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(there.owner, "bob", "{path}");
    }
}

/// What was beaten is judged anew, and a file that has changed is not replaced by what came in parts: the server is told which is meant.
#[tokio::test]
async fn what_came_in_parts_is_judged_anew_where_another_came() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let proxy = Proxy::start(&store.endpoint).await;
    let blobs = S3::new(&settings(&proxy.endpoint, &bucket)).unwrap();
    write(&blobs, "a", b"first".to_vec()).await.unwrap();
    let first = blobs.look(&"a".parse().unwrap()).await.unwrap().unwrap();
    for (status, code) in [
        (412, "PreconditionFailed"),
        (409, "ConditionalRequestConflict"),
        (404, "NoSuchKey"),
        // It had said that it succeeds before it knew.
        (200, "PreconditionFailed"),
    ] {
        let mut writing = blobs.write(new("a")).await.unwrap();
        writing.push(vec![0; OVER_ONE_PART].into()).await.unwrap();
        proxy.hinder(Mode::AnswerTo("POST", proxy::refusal(status, code, "?")), 1);
        let judged = AtomicUsize::new(0);
        let refused = writing.finish_if(Box::new(move |_| judged.fetch_add(1, Ordering::Relaxed) == 0));
        assert_eq!(refused.await.unwrap(), None, "{status} {code}");
        assert_eq!(blobs.look(&first.path).await.unwrap().as_ref(), Some(&first));
    }
    let condition = format!("if-match: \"{}\"\r\n", first.etag);
    let asked = proxy.heads("POST");
    assert_eq!(
        asked.iter().filter(|head| head.contains(&condition)).count(),
        4,
        "{asked:?}"
    );
}

/// They need no encoding, since the SDK encodes them once more, and a browser runs nothing of what they lead to.
/// What was done is not told as an error, nor refused since its own file lies there: it is asked whether it was done.
#[tokio::test]
async fn a_lost_answer_is_no_error_where_the_file_is_there() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let proxy = Proxy::start(&store.endpoint).await;
    let blobs = S3::new(&settings(&proxy.endpoint, &bucket)).unwrap();
    for (path, size, lost, is_judged) in [
        ("small", 10, "PUT", true),
        ("large", OVER_ONE_PART, "POST", true),
        ("unjudged", OVER_ONE_PART, "POST", false),
    ] {
        let mut writing = blobs.write(new(path)).await.unwrap();
        writing.push(vec![7; size].into()).await.unwrap();
        proxy.hinder(Mode::LoseAnswerTo(lost), 1);
        let done = match is_judged {
            true => writing
                .finish_if(Box::new(|there| there.is_none()))
                .await
                .unwrap(),
            false => Some(writing.finish().await.unwrap()),
        };
        let there = blobs.look(&path.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(
            (there.size, done.map(|done| done.etag)),
            (size as u64, Some(there.etag)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn addresses_are_the_buckets_own() {
    let store = ObjectStore::start();
    let http = http();
    let bucket = store.bucket(&http).await;
    let blobs = S3::new(&settings(&store.endpoint, &bucket)).unwrap();
    for (path, disposition) in [("头像/a.png", None), ("page.html", Some("attachment"))] {
        write(&blobs, path, b"content".to_vec()).await.unwrap();
        let path = path.parse().unwrap();
        let address = blobs
            .address(&path, Duration::from_secs(60))
            .await
            .unwrap()
            .unwrap();
        assert!(!address.contains('%'), "{address}");
        assert!(
            address.starts_with(&format!("{}/{bucket}/{path}?", store.endpoint)),
            "{address}"
        );
        let reply = http.get(&address).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{address}");
        let given = reply
            .headers()
            .get("content-disposition")
            .map(|value| value.to_str().unwrap());
        assert_eq!(given, disposition);
        assert_eq!(reply.text().await.unwrap(), "content");
    }
    // A name that would be another once it is encoded has none.
    let odd = "a b%20.txt".parse().unwrap();
    assert_eq!(blobs.address(&odd, Duration::from_secs(60)).await.unwrap(), None);
}

/// What an upload left that died is removed, and what one left that was given up removes itself.
#[tokio::test]
async fn what_is_left_of_uploads_is_swept_away() {
    let store = ObjectStore::start();
    let http = http();
    let bucket = store.bucket(&http).await;
    let blobs = S3::new(&settings(&store.endpoint, &bucket)).unwrap();
    let mut died = blobs.write(new("a & b/<头像>")).await.unwrap();
    died.push(vec![1; OVER_ONE_PART].into()).await.unwrap();
    std::mem::forget(died);
    // This server says of each that it began in 2010.
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    assert_eq!(blobs.sweep(century).await.unwrap(), 0, "it may go on");
    assert_eq!(blobs.sweep(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(blobs.sweep(Duration::ZERO).await.unwrap(), 0);

    let mut given_up = blobs.write(new("b")).await.unwrap();
    given_up.push(vec![1; OVER_ONE_PART].into()).await.unwrap();
    drop(given_up);
    let begun = async || {
        store
            .ask(&http, Method::GET, &format!("{bucket}?uploads"), "")
            .await
            .1
    };
    while begun().await.contains("<UploadId>") {
        tokio::task::yield_now().await;
    }
    assert_eq!(blobs.usage().await.unwrap(), Usage::default());
}

#[tokio::test]
async fn a_quota_holds() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let blobs = S3::new(&S3Settings {
        quota: Some(3 * BESIDE_CONTENT + 10),
        ..settings(&store.endpoint, &bucket)
    });
    let blobs = blobs.unwrap();
    write(&blobs, "a", b"123456".to_vec()).await.unwrap();
    let mut coming = blobs.write(new("c")).await.unwrap();
    coming.push(Bytes::from_static(b"123")).await.unwrap();
    let refused = write(&blobs, "b", b"12".to_vec()).await.unwrap_err();
    assert!(
        matches!(refused, BlobError::Quota { used, .. } if used == 2 * BESIDE_CONTENT + 9),
        "{refused:?}"
    );
    // A file of no bytes counts as well, and so does one that has only begun.
    let begun = blobs.write(new("d")).await.unwrap();
    assert!(write(&blobs, "b", Vec::new()).await.is_err());
    drop((coming, begun));
    for name in ["b", "d"] {
        write(&blobs, name, Vec::new()).await.unwrap();
    }
    assert!(write(&blobs, "e", Vec::new()).await.is_err());
    // In the place of another, only what it is more counts.
    write(&blobs, "a", b"1234567890".to_vec()).await.unwrap();
    assert!(write(&blobs, "a", b"12345678901".to_vec()).await.is_err());
    blobs.remove(&["a".parse().unwrap()]).await.unwrap();
    write(&blobs, "e", b"123456".to_vec()).await.unwrap();
}

#[tokio::test]
async fn what_goes_wrong_for_a_moment_is_tried_again() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let proxy = Proxy::start(&store.endpoint).await;
    let blobs = S3::new(&settings(&proxy.endpoint, &bucket)).unwrap();
    let large: Vec<u8> = (0..OVER_ONE_PART).map(|at| (at % 251) as u8).collect();
    let slow = proxy::refusal(503, "SlowDown", "Please reduce your request rate.");
    for (name, hindrance) in [("slow", Mode::Answer(slow.clone())), ("closed", Mode::Close)] {
        proxy.hinder(hindrance.clone(), 2);
        write(&blobs, name, large.clone()).await.unwrap();
        proxy.hinder(hindrance, 2);
        let opened = blobs.open(&name.parse().unwrap()).await.unwrap().unwrap();
        assert!(content(opened).await.unwrap() == large, "{name}");
    }
    // A body that breaks off in its middle goes on where it ended.
    let opened = blobs.open(&"slow".parse().unwrap()).await.unwrap().unwrap();
    proxy.hinder(Mode::CutAfter(1 << 20), 2);
    assert!(content(opened).await.unwrap() == large);
}

/// Nobody waits for ever for a server that says nothing, before it answers or in the middle of a file.
#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let proxy = Proxy::start(&store.endpoint).await;
    let blobs = S3::new(&S3Settings {
        silence: Duration::from_millis(300),
        ..settings(&proxy.endpoint, &bucket)
    });
    let blobs = blobs.unwrap();
    let large: Vec<u8> = (0..OVER_ONE_PART).map(|at| (at % 251) as u8).collect();
    let written = S3::new(&settings(&proxy.endpoint, &bucket)).unwrap();
    write(&written, "large", large.clone()).await.unwrap();
    let path = "large".parse().unwrap();
    let opened = blobs.open(&path).await.unwrap().unwrap();
    proxy.hinder(Mode::StallAfter(1 << 20), 2);
    assert!(
        content(opened).await.unwrap() == large,
        "it goes on where it ended"
    );
    proxy.hinder(Mode::StallAfter(0), usize::MAX);
    let said = text(&blobs.check().await.unwrap_err());
    assert!(said.contains("does not answer"), "{said}");
    let said = text(&write(&blobs, "large", b"other".to_vec()).await.unwrap_err());
    assert!(said.contains("does not answer"), "{said}");
    proxy.hinder(Mode::Close, 0);
    // The server may have taken what it did not answer to; there is one or the other, whole.
    let opened = written.open(&path).await.unwrap().unwrap();
    let found = content(opened).await.unwrap();
    assert!(found == large || found == b"other", "{} bytes", found.len());
}

/// A server that is gone is an error at once, and is used again by itself.
#[tokio::test]
async fn a_server_that_is_away_comes_back() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let proxy = Proxy::start(&store.endpoint).await;
    let blobs = S3::new(&settings(&proxy.endpoint, &bucket)).unwrap();
    write(&blobs, "kept", b"kept".to_vec()).await.unwrap();
    let path = "kept".parse().unwrap();
    proxy.hinder(Mode::Close, usize::MAX);
    for failed in [
        blobs.check().await.err(),
        write(&blobs, "kept", b"other".to_vec()).await.err(),
        blobs.look(&path).await.err(),
    ] {
        let said = text(&failed.unwrap());
        assert!(said.contains("does not answer"), "{said}");
    }
    proxy.hinder(Mode::Close, 0);
    blobs.check().await.unwrap();
    let opened = blobs.open(&path).await.unwrap().unwrap();
    assert_eq!(content(opened).await.unwrap(), b"kept");
}

/// The operator is told which setting it is.
#[tokio::test]
async fn each_wrong_setting_has_its_own_text() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&http()).await;
    let check = async |endpoint: &str, bucket: &str| {
        let checked = S3::new(&settings(endpoint, bucket)).unwrap().check().await;
        text(&checked.unwrap_err())
    };
    let said = check(&store.endpoint, "no-such-bucket").await;
    assert!(said.contains("has no bucket \"no-such-bucket\""), "{said}");

    let proxy = Proxy::start(&store.endpoint).await;
    for (answer, expected) in [
        (
            proxy::refusal(403, "InvalidAccessKeyId", "?"),
            "see access_key_file",
        ),
        (
            proxy::refusal(403, "SignatureDoesNotMatch", "?"),
            "see secret_key_file",
        ),
        (proxy::refusal(403, "AccessDenied", "?"), "may not use the bucket"),
        (proxy::refusal(403, "RequestTimeTooSkewed", "?"), "clock"),
        (
            proxy::refusal(
                400,
                "AuthorizationHeaderMalformed",
                "</Message><Region>eu-1</Region><Message>",
            ),
            "the server says \"eu-1\"",
        ),
        (proxy::answer(403, "<html>no</html>"), "may not use the bucket"),
        (
            proxy::answer(404, "<html>not here</html>"),
            "<html>not here</html>",
        ),
        (
            proxy::refusal(400, "Odd", "what it says"),
            "400 Bad Request Odd: what it says",
        ),
        (proxy::answer(200, "hello"), "answered something else"),
    ] {
        proxy.hinder(Mode::Answer(answer), usize::MAX);
        let said = check(&proxy.endpoint, &bucket).await;
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("known-to-nobody"), "{said}");
    }
}
