//! Clients that ask for documents and files by themselves: `/v1/database` and `/v1/storage`, within what each may.

use serde_json::{Value, json};

use crate::{
    sockets::Socket,
    support::{Dev, Scratch, User, client, run, text, yunqiao},
};

const SETTINGS: &str = r#"
[database.collections.diary]
[database.collections.posts]
rule = { read = "doc.published == true || doc._openid == auth.openid", write = "doc._openid == auth.openid" }
[database.collections.news]
permission = "ADMINWRITE"
[storage]
permission = "PRIVATE"
"#;

fn project() -> Scratch {
    let project = Scratch::new(&[]);
    project.write("yunqiao.toml", SETTINGS);
    project
}

/// A client's action of the database; its `query` and `data` are given as JSON and sent as the SDK does, as text.
async fn database(dev: &Dev, user: &User<'_>, action: &str, collection: &str, fields: Value) -> Value {
    let mut body = json!({"action": format!("database.{action}"), "collectionName": collection});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = match (name.as_str(), value) {
            ("data", Value::Array(documents)) => documents.iter().map(Value::to_string).collect(),
            ("query" | "data" | "order", value) => json!(value.to_string()),
            (_, value) => value.clone(),
        };
    }
    let (status, answer) = dev
        .post("/v1/database", Some(&user.token), body.to_string())
        .await;
    assert_eq!(status, 200, "{body}: {answer}");
    assert!(answer["requestId"].is_string(), "{answer}");
    answer
}

async fn storage(dev: &Dev, user: &User<'_>, action: &str, fields: Value) -> Value {
    let mut body = fields;
    body["action"] = json!(format!("storage.{action}"));
    let (status, answer) = dev.post("/v1/storage", Some(&user.token), body.to_string()).await;
    assert_eq!(status, 200, "{body}: {answer}");
    answer
}

/// The titles that a query finds.
async fn titles(dev: &Dev, user: &User<'_>, collection: &str, query: Value) -> Vec<String> {
    let fields = json!({"query": query, "order": {"title": 1}});
    let answer = database(dev, user, "getDocument", collection, fields).await;
    let list = answer["data"]["list"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    let title =
        |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap()["title"].clone();
    list.iter()
        .map(|text| title(text).as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_client_reads_and_writes_what_is_its_own() {
    let project = project();
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    for (user, title) in [(&alice, "a"), (&bob, "b")] {
        let added = database(
            &dev,
            user,
            "insertDocument",
            "diary",
            json!({"data": [{"title": title}]}),
        )
        .await;
        assert_eq!(
            added["data"]["insertedIds"][0].as_str().map(str::len),
            Some(32),
            "{added}"
        );
    }
    assert_eq!(titles(&dev, &alice, "diary", json!({})).await, ["a"]);
    let mine = json!({"_openid": "{openid}"});
    assert_eq!(titles(&dev, &bob, "diary", mine).await, ["b"]);
    let of_bob = json!({"_openid": bob.openid});
    assert_eq!(titles(&dev, &alice, "diary", of_bob.clone()).await, [""; 0]);
    let answer = database(
        &dev,
        &alice,
        "calculateDocument",
        "diary",
        json!({"query": of_bob}),
    )
    .await;
    assert_eq!(answer["data"]["total"], 0);
    let change =
        json!({"query": {"title": "b"}, "data": {"$set": {"title": "c"}}, "multi": true, "merge": true});
    let answer = database(&dev, &alice, "modifyDocument", "diary", change).await;
    assert_eq!(answer["data"]["updated"], 0);
    // What was forgotten is not taken for all of it.
    for (action, fields) in [
        ("removeDocument", json!({"multi": true})),
        ("deleteDocument", json!({"multi": true})),
        (
            "modifyDocument",
            json!({"data": {"$set": {"title": "c"}}, "multi": true, "merge": true}),
        ),
    ] {
        let answer = database(&dev, &alice, action, "diary", fields).await;
        assert_eq!(answer["code"], "INVALID_PARAM", "{answer}");
        assert!(
            answer["message"].as_str().unwrap().contains("`query`"),
            "{answer}"
        );
        assert_eq!(titles(&dev, &alice, "diary", json!({})).await, ["a"]);
    }
    let answer = database(
        &dev,
        &alice,
        "removeDocument",
        "diary",
        json!({"query": {}, "multi": true}),
    )
    .await;
    assert_eq!(answer["data"]["deleted"], 1);
    assert_eq!(titles(&dev, &bob, "diary", json!({})).await, ["b"]);
    for (action, fields) in [
        ("insertDocument", json!({"data": [{"_openid": bob.openid}]})),
        (
            "modifyDocument",
            json!({"query": {}, "data": {"$set": {"_openid": "x"}}, "merge": true}),
        ),
    ] {
        let answer = database(&dev, &alice, action, "diary", fields).await;
        assert_eq!(answer["code"], "INVALID_PARAM", "{answer}");
        assert_eq!(answer["message"], "Invalid Key Name: _openid");
    }
}

#[tokio::test]
async fn who_is_refused_reads_no_reason_and_the_log_does() {
    let project = project();
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    for title in ["draft", "news"] {
        let data = json!({"data": [{"_id": title, "title": title, "published": title == "news"}]});
        database(&dev, &bob, "insertDocument", "posts", data).await;
    }
    assert_eq!(
        titles(&dev, &alice, "posts", json!({"published": true})).await,
        ["news"]
    );
    assert_eq!(
        titles(&dev, &alice, "posts", json!({"_id": "news"})).await,
        ["news"]
    );
    let stages = |stage: Value| json!({"stages": [stage]});
    let lookup = json!({"from": "diary", "localField": "a", "foreignField": "b", "as": "c"}).to_string();
    for (action, fields) in [
        ("getDocument", json!({"query": {}})),
        ("getDocument", json!({"query": {"_id": "draft"}})),
        ("getDocument", json!({"query": {"_id": "gone"}})),
        ("calculateDocument", json!({"query": {"published": false}})),
        (
            "modifyDocument",
            json!({"query": {"published": true}, "data": {"$set": {"a": 1}}, "multi": true, "merge": true}),
        ),
        (
            "modifyDocument",
            json!({"query": {"_id": "draft"}, "data": {"a": 1}, "merge": false, "upsert": true}),
        ),
        ("removeDocument", json!({"query": {"_id": "news"}})),
        (
            "aggregateDocuments",
            stages(json!({"stageKey": "$count", "stageValue": "\"n\""})),
        ),
        (
            "aggregateDocuments",
            stages(json!({"stageKey": "$lookup", "stageValue": lookup})),
        ),
        ("addCollection", json!({})),
        ("startTransaction", json!({})),
        (
            "modifyAndReturnDoc",
            json!({"query": {"published": true}, "data": {"$set": {"a": 1}}}),
        ),
    ] {
        let answer = database(&dev, &alice, action, "posts", fields.clone()).await;
        assert_eq!(
            answer["code"], "DATABASE_PERMISSION_DENIED",
            "{action} {fields}: {answer}"
        );
        assert_eq!(answer["message"], "Permission denied");
    }
    dev.server.prints_soon("would pass").await;
    dev.server
        .prints_soon("doc.published == true || doc._openid == auth.openid")
        .await;
    let news = database(
        &dev,
        &alice,
        "insertDocument",
        "news",
        json!({"data": [{"title": "x"}]}),
    )
    .await;
    assert_eq!(news["code"], "DATABASE_PERMISSION_DENIED");
    assert_eq!(titles(&dev, &alice, "news", json!({})).await, [""; 0]);
}

#[tokio::test]
async fn the_log_says_why_clients_find_nothing_where_no_permission_is_written_down() {
    let project = project();
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    assert_eq!(titles(&dev, &alice, "goods", json!({})).await, [""; 0]);
    assert!(
        !dev.server.printed().contains("found nothing of its own"),
        "{}",
        dev.server.printed()
    );
    database(
        &dev,
        &bob,
        "insertDocument",
        "goods",
        json!({"data": [{"title": "x"}]}),
    )
    .await;
    // What alice asks for does not matter: it is not asked of bob's.
    assert_eq!(
        titles(&dev, &alice, "goods", json!({"title": "y"})).await,
        [""; 0]
    );
    dev.server
        .prints_soon("yunqiao db permission --set READONLY goods")
        .await;
    // So it is with what is watched.
    let message = json!({"data": [{"text": "hello"}]});
    database(&dev, &bob, "insertDocument", "messages", message).await;
    let begun = Socket::of_token(&dev, &alice.token)
        .await
        .watch("messages", &json!({}))
        .await;
    assert_eq!(begun["msgData"]["events"], json!([]), "{begun}");
    dev.server
        .prints_soon("yunqiao db permission --set READONLY messages")
        .await;
    // What is printed is all that it takes.
    let mut command = yunqiao();
    command
        .args([
            "db",
            "permission",
            "--set",
            "READONLY",
            "goods",
            "messages",
            "--dir",
        ])
        .arg(project.path());
    let (output, _, errors) = run(&mut command);
    assert!(output.status.success(), "{errors}");
    dev.server.prints_soon("counts from now on").await;
    assert_eq!(titles(&dev, &alice, "goods", json!({})).await, ["x"]);
}

const PAGE: &str = "const db = wx.cloud.database()
const posts = db.collection('posts')
Page({
  async onLoad() {
    const found = await posts.orderBy('at', 'desc').get()
    const mine = await db.collection('drafts').where({ _openid: '{openid}' }).get()
    const one = await db.collection('pages').doc('home').get()
    await db.collection('views').add({ data: {} })
    this.setData({ found, mine, one })
  },
})
";

#[tokio::test]
async fn collections_that_pages_read_as_everybody_s_are_told_until_a_file_says_who_may() {
    let project = Scratch::new(&[]);
    project.write("pages/index.js", PAGE);
    let told = "pages read posts, and no file says who may";
    let dev = Dev::start(project.path());
    dev.server.prints_soon(told).await;
    let dir = project.path().display();
    dev.server
        .prints_soon(&format!("yunqiao db permission --set READONLY --dir {dir} posts"))
        .await;
    drop(dev);
    let permission = |args: &[&str]| {
        let mut command = yunqiao();
        command
            .args(["db", "permission"])
            .args(args)
            .arg("--dir")
            .arg(project.path());
        run(&mut command)
    };
    let (output, _, errors) = permission(&["--set", "PUBLIC", "posts"]);
    assert!(
        !output.status.success() && errors.contains("READONLY, PRIVATE"),
        "{errors}"
    );
    let (output, _, errors) = permission(&["--set", "private", "posts"]);
    assert!(output.status.success(), "{errors}");
    let (_, listed, _) = permission(&["posts", "drafts"]);
    assert_eq!(
        listed,
        "posts  PRIVATE  yunqiao.toml\ndrafts  PRIVATE  the default\n"
    );
    let dev = Dev::start(project.path());
    assert!(
        !dev.server.printed().contains("no file says who may"),
        "{}",
        dev.server.printed()
    );
}

#[tokio::test]
async fn a_client_is_given_twenty_documents_at_most() {
    let project = project();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let many: Vec<Value> = (0..30).map(|at| json!({"title": format!("{at:02}")})).collect();
    database(&dev, &alice, "insertDocument", "diary", json!({"data": many})).await;
    for fields in [json!({}), json!({"limit": 25}), json!({"limit": 1000})] {
        let answer = database(&dev, &alice, "getDocument", "diary", fields).await;
        assert_eq!(answer["data"]["list"].as_array().map(Vec::len), Some(20));
    }
    let answer = database(
        &dev,
        &alice,
        "getDocument",
        "diary",
        json!({"limit": 3, "offset": 29}),
    )
    .await;
    assert_eq!(answer["data"]["list"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_doors_want_a_token_and_an_action_of_theirs() {
    let project = project();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for path in ["/v1/database", "/v1/storage"] {
        let (status, answer) = dev.post(path, None, "{}").await;
        assert_eq!((status, &answer["errCode"]), (401, &json!(-501_008)), "{answer}");
        for body in [
            "",
            "[]",
            "{}",
            r#"{"action":"functions.invokeFunction"}"#,
            r#"{"action":"database"}"#,
        ] {
            let (status, answer) = dev.post(path, Some(&alice.token), body).await;
            assert_eq!(
                (status, &answer["errCode"]),
                (400, &json!(-501_007)),
                "{body}: {answer}"
            );
        }
    }
    let unknown = json!({"action": "database.dropEverything"}).to_string();
    let (status, answer) = dev.post("/v1/database", Some(&alice.token), unknown).await;
    assert_eq!(
        (status, &answer["code"]),
        (200, &json!("INVALID_PARAM")),
        "{answer}"
    );
    let answer = storage(&dev, &alice, "batchCopyFile", json!({"file_list": []})).await;
    assert_eq!(answer["code"], "INVALID_PARAM", "{answer}");
}

/// Sends a file as `wx.uploadFile` does.
async fn upload(url: &str, text: &str) -> u16 {
    let form = format!(
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\ncontent-type: text/plain\r\n\r\n{text}\r\n--b--\r\n"
    );
    let request = client()
        .post(url)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(form);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_file_belongs_to_the_client_that_uploaded_it() {
    let project = project();
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    let place = storage(&dev, &alice, "getUploadMetadata", json!({"path": "notes/一.txt"})).await;
    let url = place["data"]["url"].as_str().unwrap_or_else(|| panic!("{place}"));
    let id = place["data"]["fileId"].clone();
    assert!(url.starts_with(&dev.server.url), "{url}");
    // Bob asks for the same path while there is nothing.
    let of_bob = storage(&dev, &bob, "getUploadMetadata", json!({"path": "notes/一.txt"})).await;
    assert_eq!(upload(url, "of alice").await, 204);
    assert_eq!(
        upload(of_bob["data"]["url"].as_str().unwrap(), "of bob").await,
        403
    );
    let again = storage(&dev, &bob, "getUploadMetadata", json!({"path": "notes/一.txt"})).await;
    assert_eq!(again["code"], "STORAGE_EXCEED_AUTHORITY", "{again}");

    let urls = json!({"file_list": [{"fileid": id}]});
    let item = |answer: &Value| answer["data"]["download_list"][0].clone();
    let refused = item(&storage(&dev, &bob, "batchGetDownloadUrl", urls.clone()).await);
    assert_eq!(refused["code"], "STORAGE_EXCEED_AUTHORITY", "{refused}");
    assert_eq!(refused["tempFileURL"], "");
    let given = item(&storage(&dev, &alice, "batchGetDownloadUrl", urls.clone()).await);
    let content = client()
        .get(given["tempFileURL"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(content.text().await.unwrap(), "of alice");

    let removal = json!({"fileid_list": [id]});
    let removed = storage(&dev, &bob, "batchDeleteFile", removal.clone()).await;
    assert_eq!(
        removed["data"]["delete_list"][0]["code"], "STORAGE_EXCEED_AUTHORITY",
        "{removed}"
    );
    let removed = storage(&dev, &alice, "batchDeleteFile", removal).await;
    assert_eq!(removed["data"]["delete_list"][0]["code"], "SUCCESS", "{removed}");
    let gone = item(&storage(&dev, &alice, "batchGetDownloadUrl", urls).await);
    assert_eq!(gone["code"], "STORAGE_FILE_NONEXIST", "{gone}");
    let bad = storage(&dev, &alice, "getUploadMetadata", json!({"path": "/a"})).await;
    assert_eq!(bad["code"], "INVALID_PARAM", "{bad}");
}

#[tokio::test]
async fn what_a_cdn_holds_needs_no_right_to_upload_and_has_bounds() {
    let project = project();
    project.write(
        "yunqiao.toml",
        "[auth]\nanonymous = true\n[storage]\npermission = \"ADMINWRITE\"\nmax_size = \"1MB\"\n",
    );
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let place = async || {
        let asked = json!({"action": "storage.getCDNPlace"}).to_string();
        dev.post("/v1/storage", Some(&alice.token), asked).await.1
    };
    let asked = json!({"action": "storage.getUploadMetadata", "path": "a.txt"}).to_string();
    let refused = dev.post("/v1/storage", Some(&alice.token), asked).await.1;
    assert_eq!(refused["code"], "STORAGE_EXCEED_AUTHORITY", "{refused}");

    let first = place().await;
    let put = async |content: Vec<u8>| {
        let put = dev.client.put(text(&first["data"]["url"])).body(content);
        put.send().await.unwrap().status().as_u16()
    };
    assert_eq!(put(vec![b'x'; (1 << 20) + 1]).await, 413);
    assert_eq!(put("云".into()).await, 200);
    let read = dev.client.get(text(&first["data"]["download_url"]));
    assert_eq!(read.send().await.unwrap().text().await.unwrap(), "云");
    // It is nobody's: she cannot remove what a function may still read.
    let id = &first["data"]["fileId"];
    let asked = json!({"action": "storage.batchDeleteFile", "fileid_list": [id]}).to_string();
    let kept = dev.post("/v1/storage", Some(&alice.token), asked).await.1;
    assert_eq!(
        kept["data"]["delete_list"][0]["code"], "STORAGE_EXCEED_AUTHORITY",
        "{kept}"
    );

    for _ in 1..50 {
        assert!(place().await["data"]["url"].is_string());
    }
    let over = place().await;
    assert_eq!(over["code"], "EXCEED_REQUEST_LIMIT", "{over}");
    // Whom anybody may be has none: each could be another one.
    let login = dev
        .client
        .post(format!("{}/auth/v1/signin/anonymously", dev.server.url))
        .body("{}");
    let login: Value = login.send().await.unwrap().json().await.unwrap();
    let anybody = json!({"action": "storage.getCDNPlace", "env": "e", "access_token": login["access_token"]});
    let none = dev.post("/web", None, anybody.to_string()).await.1;
    assert_eq!(none["code"], "STORAGE_EXCEED_AUTHORITY", "{none}");
}
