#![allow(clippy::unwrap_used)]
use std::time::Duration;

use arc_swap::ArcSwap;
use blobs::{Folder, FolderOptions};
use futures_util::{Stream, StreamExt as _, stream};
use http::{
    Request,
    header::{CONTENT_TYPE, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use rules::{Level, StoragePermission, StorageRules};
use tokio::time::Instant;

use super::*;

/// A door, and an address to upload to.
fn door() -> (FileDoor, String) {
    let access = StorageAccess::in_tests(Folder::temporary(FolderOptions::default()).unwrap());
    let url = access.client_upload_url("a.txt".parse().unwrap(), &Caller::of_openid("o1"));
    let path = url.strip_prefix(&access.public_url).unwrap().to_owned();
    (FileDoor::new(Arc::new(access)), path)
}

async fn ask(
    door: &FileDoor,
    method: Method,
    path: &str,
    content_type: &str,
    body: Vec<u8>,
) -> (u16, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(CONTENT_LENGTH, body.len());
    let request = request.header(CONTENT_TYPE, content_type).body(()).unwrap();
    let (head, ()) = request.into_parts();
    // In pieces, as a connection gives it.
    let pieces: Vec<_> = body
        .chunks(16 << 10)
        .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let reply = door
        .answer(&head, StreamBody::new(stream::iter(pieces)), "r1")
        .await;
    let status = reply.response.status().as_u16();
    let body = reply.response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn form(fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, text) in fields {
        body.extend_from_slice(
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").as_bytes(),
        );
    }
    body.extend_from_slice(b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n");
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--B--\r\n");
    body
}

const FORM: &str = "multipart/form-data; boundary=B";

#[tokio::test]
async fn a_file_comes_by_itself_or_in_a_form() {
    let (door, to) = door();
    let from = "/v1/files/public/a.txt";
    for (method, content_type, body, status) in [
        (Method::PUT, "text/plain", b"one".to_vec(), 200),
        (
            Method::POST,
            FORM,
            form(&[("key", "a.txt"), ("Signature", "")], b"two"),
            204,
        ),
        (
            Method::POST,
            FORM,
            form(&[("success_action_status", "201")], b"three"),
            201,
        ),
    ] {
        let kept = body.windows(5).any(|part| part == b"three");
        assert_eq!(
            ask(&door, method, &to, content_type, body).await,
            (status, String::new())
        );
        let (found, text) = ask(&door, Method::GET, from, "", Vec::new()).await;
        assert_eq!((found, text.len()), (200, if kept { 5 } else { 3 }));
    }
}

/// However it is asked for, the type says of text what all of it begins with.
#[tokio::test]
async fn text_is_called_utf8_where_it_is_that() {
    let access = StorageAccess::in_tests(Folder::temporary(FolderOptions::default()).unwrap());
    let door = FileDoor::new(Arc::new(access));
    let long = "云".repeat(40_000).into_bytes();
    for (name, content, kind) in [
        ("a.csv", "名,数\n".as_bytes().to_vec(), "text/csv; charset=utf-8"),
        ("b.csv", b"\xc3\xfb,\xca\xfd\n".to_vec(), "text/csv"),
        ("c.txt", long, "text/plain; charset=utf-8"),
        ("d.txt", Vec::new(), "text/plain; charset=utf-8"),
        ("e.html", b"<meta charset=gbk>\xc4\xe3".to_vec(), "text/html"),
        ("f.json", b"\"\xc4\xe3\"".to_vec(), "application/json"),
    ] {
        let is_empty = content.is_empty();
        let to = door.access().upload_url(name.parse().unwrap());
        let to = to.strip_prefix(&door.access().public_url).unwrap();
        assert_eq!(ask(&door, Method::PUT, to, "", content).await.0, 200);
        let part = ("range", "bytes=1-2");
        for (method, header) in [
            (Method::GET, None),
            (Method::HEAD, None),
            (Method::GET, Some(part)),
        ] {
            if is_empty && header.is_some() {
                continue;
            }
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("/v1/files/public/{name}"));
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            let nothing = Full::<Bytes>::default();
            let reply = door.answer(&head, nothing, "r1").await.response;
            assert!(reply.status().is_success(), "{name} {}", reply.status());
            assert_eq!(reply.headers()[CONTENT_TYPE], kind, "{method} {name} {header:?}");
        }
    }
}

/// Each is refused, and the file that is there stays.
#[tokio::test]
async fn what_is_no_upload_changes_nothing() {
    let (door, to) = door();
    assert_eq!(ask(&door, Method::PUT, &to, "", b"kept".to_vec()).await.0, 200);
    let mut cut = form(&[], b"half of it");
    cut.truncate(cut.len() - 8);
    let without_file = b"--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nx\r\n--B--\r\n".to_vec();
    let endless_head = [b"--B\r\nContent-Disposition: ".to_vec(), vec![b'x'; 3 << 20]].concat();
    for (method, content_type, body, status) in [
        (Method::PUT, "", vec![0; (4 << 20) + 1], 413),
        (Method::POST, FORM, form(&[], &vec![0; (4 << 20) + 1]), 413),
        (Method::POST, "multipart/form-data", b"again".to_vec(), 400),
        (
            Method::POST,
            "Multipart/Form-Data; charset=utf-8",
            form(&[], b"again"),
            400,
        ),
        (Method::POST, FORM, cut, 400),
        (Method::POST, FORM, without_file, 400),
        (Method::POST, FORM, form(&[("key", &"x".repeat(9000))], b"x"), 400),
        (Method::POST, FORM, vec![b'x'; 3 << 20], 400),
        (Method::POST, FORM, endless_head, 400),
        (Method::DELETE, "", Vec::new(), 405),
    ] {
        let (answered, text) = ask(&door, method, &to, content_type, body).await;
        assert_eq!(answered, status, "{text}");
        // Its sender is told what is the matter with it.
        assert!(!text.contains("is no upload and no download"), "{text}");
    }
    let (_, text) = ask(&door, Method::POST, &to, FORM, b"--B--\r\n".to_vec()).await;
    assert!(text.contains("no field \"file\""), "{text}");
    let (status, text) = ask(&door, Method::GET, "/v1/files/public/a.txt", "", Vec::new()).await;
    assert_eq!((status, &*text), (200, "kept"));
}

/// A part that would be taken for the whole, one that was damaged on its way, and one without an end: the file that is there stays.
#[tokio::test]
async fn a_head_that_does_not_go_with_the_file_writes_nothing() {
    let (door, to) = door();
    let long = "x".repeat(256);
    let five = (CONTENT_LENGTH.as_str(), "5");
    for (headers, answered) in [
        (vec![five, ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], (200, "")),
        (vec![five, ("content-type", &long)], (200, "")),
        (vec![five, ("content-encoding", "Identity")], (200, "")),
        (
            vec![five, ("content-encoding", "gzip")],
            (400, "Content-Encoding"),
        ),
        (
            vec![
                five,
                ("content-encoding", "identity"),
                ("content-encoding", "aws-chunked"),
            ],
            (400, "aws-chunked"),
        ),
        (
            vec![five, ("content-range", "bytes 5-9/10")],
            (400, "InvalidArgument"),
        ),
        (
            vec![five, ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")],
            (400, "BadDigest"),
        ),
        (vec![five, ("content-md5", "AAAA")], (400, "InvalidDigest")),
        (vec![], (411, "MissingContentLength")),
    ] {
        let content = if answered.0 == 200 { "hello" } else { "other" };
        let mut request = Request::builder().method(Method::PUT).uri(&to);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let reply = door.answer(&head, Full::from(content), "r1").await.response;
        let (status, text) = (reply.status().as_u16(), reply.into_body().collect().await);
        let text = String::from_utf8(text.unwrap().to_bytes().to_vec()).unwrap();
        assert_eq!(status, answered.0, "{headers:?} {text}");
        assert!(text.contains(answered.1), "{headers:?} {text}");
        let there = door
            .blobs()
            .look(&"a.txt".parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(there.etag, "5d41402abc4b2a76b9719d911017c592", "{headers:?}");
        assert_eq!(there.content_type, None, "one that is too long is none");
    }
}

/// Of many who were allowed one path and send at once, the first has it, and no other is told that they do.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_those_who_send_at_once_has_the_file() {
    let (door, _) = door();
    let level = StoragePermission::Level(Level::Private);
    door.access().permission.store(Arc::new(level));
    for round in 0..5 {
        let path: CloudPath = format!("{round}.txt").parse().unwrap();
        let uploads = (0..16).map(|user| {
            let caller = Caller::of_openid(format!("o{user}"));
            let url = door.access().client_upload_url(path.clone(), &caller);
            let to = url.strip_prefix("http://127.0.0.1").unwrap().to_owned();
            let door = door.clone();
            tokio::spawn(async move {
                let body = format!("o{user}").into_bytes();
                ask(&door, Method::PUT, &to, "", body).await.0
            })
        });
        let done = futures_util::future::join_all(uploads).await;
        let done: Vec<u16> = done.into_iter().map(Result::unwrap).collect();
        let kept: Vec<usize> = (0..16).filter(|user| done[*user] == 200).collect();
        assert_eq!(kept.len(), 1, "{done:?}");
        let refused = done.iter().filter(|status| **status == 403).count();
        assert_eq!(refused, 15, "{done:?}");
        let there = door.blobs().look(&path).await.unwrap().unwrap();
        assert_eq!(there.owner, format!("o{}", kept[0]));
    }
}

/// What lies at a path is its writer's, and nobody keeps a right over what another wrote there: neither the user whose file was written over, nor
/// one who took a path beforehand at which a function writes.
#[tokio::test]
async fn a_file_is_whose_content_it_is() {
    let (door, alices) = door();
    let to_all = r#"{"read": true, "write": "auth != null"}"#.parse::<StorageRules>().unwrap();
    let to_all = StoragePermission::Rules(Box::new(to_all));
    let path: CloudPath = "a.txt".parse().unwrap();
    let access = door.access();
    access.permission.store(Arc::new(to_all));
    let here = |url: String| url.strip_prefix(&access.public_url).unwrap().to_owned();
    let bobs = here(access.client_upload_url(path.clone(), &Caller::of_openid("bob".to_owned())));
    let of_a_function = here(access.upload_url(path.clone()));
    for (to, owner) in [
        (&alices, "o1"),
        (&bobs, "bob"),
        (&of_a_function, ""),
        (&alices, "o1"),
    ] {
        assert_eq!(ask(&door, Method::PUT, to, "", b"x".to_vec()).await.0, 200);
        let there = door.blobs().look(&path).await.unwrap().unwrap();
        assert_eq!(there.owner, owner);
    }
    // Where only the owner writes, that is the last of them.
    access
        .permission
        .store(Arc::new(StoragePermission::Level(Level::ReadOnly)));
    assert_eq!(ask(&door, Method::PUT, &bobs, "", b"y".to_vec()).await.0, 403);
    assert_eq!(
        ask(&door, Method::PUT, &of_a_function, "", b"y".to_vec()).await.0,
        200
    );
    assert_eq!(ask(&door, Method::PUT, &alices, "", b"z".to_vec()).await.0, 403);
}

/// What is in a body, as it comes.
async fn put(
    door: &FileDoor,
    to: &str,
    body: impl Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Unpin,
) -> (u16, String) {
    let request = Request::builder().method(Method::PUT).uri(to);
    let request = request.header(TRANSFER_ENCODING, "chunked").body(()).unwrap();
    let (head, ()) = request.into_parts();
    let reply = door.answer(&head, StreamBody::new(body), "r1").await;
    let status = reply.response.status().as_u16();
    let body = reply.response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

type BoxedUpload<'a> = std::pin::Pin<Box<dyn Future<Output = (u16, String)> + Send + 'a>>;

/// Nobody keeps an upload open: one that stops, one that drips, and one that breaks off are refused, and the file that is there stays.
#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let (door, to) = door();
    assert_eq!(ask(&door, Method::PUT, &to, "", b"kept".to_vec()).await.0, 200);
    let piece = || Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])));
    let stops = stream::iter([piece()]).chain(stream::pending());
    let drips = Box::pin(stream::unfold((), |()| async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Some((piece(), ()))
    }));
    let breaks = stream::iter([piece(), Err(std::io::Error::other("gone"))]);
    let earns = stream::iter([Ok(Frame::data(Bytes::from(vec![b'x'; 160 << 10])))]).chain(stream::pending());
    // By the clock of the test, which stands still while anything is done.
    let waited = async |upload: BoxedUpload<'_>, seconds| {
        let begun = Instant::now();
        let answered = upload.await;
        assert_eq!(begun.elapsed().as_secs(), seconds);
        answered
    };
    for answered in [
        waited(Box::pin(put(&door, &to, stops)), 60).await,
        // What has come until then is no second's worth.
        waited(Box::pin(put(&door, &to, drips)), 60).await,
        waited(Box::pin(put(&door, &to, earns)), 70).await,
        put(&door, &to, breaks).await,
    ] {
        assert_eq!(answered.0, 400, "{}", answered.1);
        assert!(
            answered.1.contains("<Code>IncompleteBody</Code>"),
            "{}",
            answered.1
        );
    }
    let (status, text) = ask(&door, Method::GET, "/v1/files/public/a.txt", "", Vec::new()).await;
    assert_eq!((status, &*text), (200, "kept"));
}

/// Whoever has no right is not waited for.
#[tokio::test(start_paused = true)]
async fn a_stranger_is_refused_before_the_body_is_there() {
    let (door, _) = door();
    let request = Request::builder().method(Method::PUT).uri("/v1/files/none");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
    let begun = Instant::now();
    let reply = door.answer(&head, silent, "r1").await;
    assert_eq!(
        (reply.response.status(), begun.elapsed()),
        (StatusCode::FORBIDDEN, Duration::ZERO)
    );
}

/// Whatever an address says, it leads to a file of that name or to none.
#[tokio::test]
async fn no_path_leads_out_of_storage() {
    let (door, to) = door();
    assert_eq!(ask(&door, Method::PUT, &to, "", b"kept".to_vec()).await.0, 200);
    for path in [
        "../index.redb",
        "%2e%2e/index.redb",
        "..%2findex.redb",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "a.txt/",
        "./a.txt",
        "a.txt%00",
        "%00",
        "..%5c..%5cindex.redb",
        "%c0%ae%c0%ae/index.redb",
        "content/ab",
        "",
        "%ff",
        "%",
    ] {
        let (status, text) = ask(
            &door,
            Method::GET,
            &format!("/v1/files/public/{path}"),
            "",
            Vec::new(),
        )
        .await;
        assert_eq!(status, 404, "{path}: {text}");
    }
    // An address that allows one thing allows no other.
    for (method, path) in [
        (Method::PUT, "/v1/files/public/a.txt"),
        (Method::POST, "/v1/files/public/a.txt"),
        (Method::PUT, "/v1/files/"),
        (Method::GET, &*to),
        (Method::GET, &to[..to.len() - 1]),
        (Method::PUT, &to[..to.len() - 1]),
    ] {
        let (status, text) = ask(&door, method.clone(), path, "", b"other".to_vec()).await;
        assert_eq!(status, 403, "{method} {path}: {text}");
    }
    let (status, text) = ask(&door, Method::GET, "/v1/files/public/a.txt", "", Vec::new()).await;
    assert_eq!((status, &*text), (200, "kept"));
}

/// Ranges that lie are answered as RFC 9110 has it: with what there is of them, or with nothing.
#[tokio::test]
async fn ranges_that_lie_get_what_there_is() {
    let (door, to) = door();
    assert_eq!(
        ask(&door, Method::PUT, &to, "", b"0123456789".to_vec()).await.0,
        200
    );
    for (range, status, expected) in [
        ("bytes=0-0", 206, "0"),
        ("bytes=8-1000", 206, "89"),
        ("bytes=-3", 206, "789"),
        ("bytes=-1000", 206, "0123456789"),
        ("bytes=10-", 416, ""),
        ("bytes=10-9", 200, "0123456789"),
        ("bytes=18446744073709551615-18446744073709551615", 416, ""),
        ("bytes=99999999999999999999999-", 416, ""),
        ("bytes=-0", 416, ""),
        ("bytes=a-b", 200, "0123456789"),
        ("chapters=1-2", 200, "0123456789"),
        ("bytes=0-1,4-5", 200, "0123456789"),
    ] {
        let request = Request::builder()
            .uri("/v1/files/public/a.txt")
            .header(http::header::RANGE, range);
        let (head, ()) = request.body(()).unwrap().into_parts();
        let reply = door.answer(&head, Full::new(Bytes::new()), "r1").await.response;
        let found = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!((found, &body[..]), (status, expected.as_bytes()), "{range}");
    }
}

/// The path of an address at the gateway.
fn path_in<'a>(door: &FileDoor, url: &'a str) -> &'a str {
    url.strip_prefix(&door.access().public_url).unwrap()
}

/// A place with files of their own for each, which only an address leads to.
fn private() -> FileDoor {
    let (door, _) = door();
    let mut access = door.access().clone();
    access.permission = Arc::new(ArcSwap::from_pointee(StoragePermission::Level(Level::Private)));
    FileDoor::new(Arc::new(access))
}

async fn written(door: &FileDoor, path: &str, caller: &Caller) {
    let to = door.access().client_upload_url(path.parse().unwrap(), caller);
    let (status, text) = ask(door, Method::PUT, path_in(door, &to), "", b"secret".to_vec()).await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test]
async fn an_address_from_before_the_file_reads_only_what_its_client_may() {
    let door = private();
    let (alice, bob) = (Caller::of_openid("alice"), Caller::of_openid("bob"));
    let anonymous = Caller {
        openid: None,
        uid: Some("u1".to_owned()),
        login_type: Some("ANONYMOUS".to_owned()),
    };
    let path: CloudPath = "avatars/alice.png".parse().unwrap();
    let addresses = [&alice, &bob, &anonymous, &Caller::default()]
        .map(|caller| door.access().download_url(&path, Some(u64::MAX), Some(caller)));
    let of_function = door.access().download_url(&path, None, None).0;
    written(&door, "avatars/alice.png", &alice).await;
    let mut statuses = Vec::new();
    for (address, age) in &addresses {
        assert_eq!(*age, 7 * 24 * 3600, "nobody asks for ever");
        statuses.push(
            ask(&door, Method::GET, path_in(&door, address), "", Vec::new())
                .await
                .0,
        );
    }
    // Whoever anybody may be does not learn that there is a file.
    assert_eq!(statuses, [200, 403, 404, 404]);
    let given = ask(&door, Method::GET, path_in(&door, &of_function), "", Vec::new()).await;
    assert_eq!(
        given,
        (200, "secret".to_owned()),
        "a function gives to whom it likes"
    );
    // Another's file at the same path is another's.
    door.access().blobs.remove(&[path]).await.unwrap();
    written(&door, "avatars/alice.png", &bob).await;
    let (first, _) = &addresses[0];
    assert_eq!(
        ask(&door, Method::GET, path_in(&door, first), "", Vec::new())
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn a_visitor_s_address_to_upload_overwrites_nobody_s_file() {
    let (door, _) = door();
    let mut access = door.access().clone();
    let rules = serde_json::json!({
        "read": true,
        "write": "auth != null && resource.openid == auth.openid || auth == null && resource.openid == null",
    });
    let rules = StorageRules::compile(&rules).unwrap();
    access.permission = Arc::new(ArcSwap::from_pointee(StoragePermission::Rules(Box::new(rules))));
    let door = FileDoor::new(Arc::new(access));
    let path: CloudPath = "inbox/a.txt".parse().unwrap();
    let to = door.access().client_upload_url(path.clone(), &Caller::default());
    written(&door, "inbox/a.txt", &Caller::of_openid("alice")).await;
    let (status, text) = ask(&door, Method::PUT, path_in(&door, &to), "", b"mine".to_vec()).await;
    assert_eq!(status, 403, "{text}");
    let to = door.access().upload_url(path);
    let (status, text) = ask(&door, Method::PUT, path_in(&door, &to), "", b"mine".to_vec()).await;
    assert_eq!(status, 200, "a function may: {text}");
}
