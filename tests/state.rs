//! What `dev` keeps from one start to the next, what `yunqiao.toml` declares of it, and a state that goes from one project to another.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Dev, OPERATOR_SECRET, Scratch, Server, run, text, yunqiao};

/// A function that says how many documents there are, and adds one.
const COUNT: &str = "const cloud = require('wx-server-sdk');\ncloud.init();\n\
    exports.main = async () => { const todos = cloud.database().collection('todos'); \
    const { total } = await todos.count(); await todos.add({ data: { total } }); return total; };";

/// What does not need an SDK.
const ECHO: &str = "exports.main = async (event) => event;";

fn names(users: &Value) -> Vec<&str> {
    let users = users["users"].as_array().unwrap();
    users.iter().map(|user| user["name"].as_str().unwrap()).collect()
}

/// `yunqiao state …` for the project.
fn state(project: &Path, words: &[&str]) -> Command {
    let mut command = yunqiao();
    command.arg("state").arg("--dir").arg(project).args(words);
    command
}

fn done(command: &mut Command) -> String {
    let (output, out, err) = run(command);
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out + &err
}

fn refused(command: &mut Command) -> String {
    let (output, out, err) = run(command);
    assert!(!output.status.success(), "{command:?}\n{out}\n{err}");
    out + &err
}

/// All files below a folder, with what they hold.
fn all_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let name = entry.path().strip_prefix(folder).unwrap().to_owned();
                    found.push((name, fs::read(entry.path()).unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn what_dev_was_given_outlives_even_a_kill_and_fresh_begins_without() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let mut dev = Dev::start(project.path());
    dev.sim("users", json!({ "name": "carol", "phone": "13800138000" }))
        .await;
    dev.sim("templates", json!({ "priTmplId": "paid" })).await;
    dev.sim(
        "client",
        json!({ "user": "carol", "api": "requestSubscribeMessage", "tmplIds": ["paid"] }),
    )
    .await;
    let openid = dev.get_sim("users").await["users"][2]["openid"].clone();
    let app = dev.get_sim("app").await;
    let token = format!(
        "{}/cgi-bin/token?grant_type=client_credential&appid={}&secret={}",
        dev.wechat,
        text(&app["appid"]),
        text(&app["secret"])
    );
    let token: Value = dev.client.get(token).send().await.unwrap().json().await.unwrap();
    let path = format!("/wxa/getwxacode?access_token={}", text(&token["access_token"]));
    let drawn = dev.client.post(format!("{}{path}", dev.wechat));
    let drawn = drawn
        .json(&json!({ "path": "pages/index" }))
        .send()
        .await
        .unwrap();
    assert!(drawn.bytes().await.unwrap().starts_with(b"\x89PNG"));
    let (users, outbox) = (dev.get_sim("users").await, dev.get_sim("outbox").await);
    dev.server.kill();

    let again = Dev::start(project.path());
    assert_eq!(again.get_sim("users").await, users);
    assert_eq!(again.get_sim("outbox").await, outbox);
    let image = format!("{}/sim/outbox/images/1", again.wechat);
    let image = again.client.get(image).send().await.unwrap();
    assert!(image.bytes().await.unwrap().starts_with(b"\x89PNG"));
    let kept = again.get_sim("state").await;
    let subscribed = json!([{ "openid": openid, "priTmplId": "paid", "left": 1 }]);
    assert_eq!(kept["subscriptions"], subscribed);

    // A second one leaves the files to the first.
    let second = Server::start(&mut Dev::command(yunqiao(), project.path()));
    second.prints("subscriptions and the outbox are kept in memory here");
    drop(second);
    drop(again);

    let before = all_files(&project.path().join(".yunqiao"));
    let mut fresh = Dev::command(yunqiao(), project.path());
    let fresh = Dev::of(Server::start(fresh.arg("--fresh")), project.path());
    assert_eq!(names(&fresh.get_sim("users").await), ["alice", "bob"]);
    fresh.sim("users", json!({ "name": "dave" })).await;
    // Whoever brings something in is told that it goes with this one.
    project.write("todos.json", "{\"_id\":\"a\"}");
    let mut import = yunqiao();
    import
        .args(["db", "import", "todos"])
        .arg(project.path().join("todos.json"));
    let told = done(import.arg("--dir").arg(project.path()));
    assert!(told.contains("what is brought in goes with it"), "{told}");
    let mut put = yunqiao();
    put.args(["files", "put"]).arg(project.path().join("todos.json"));
    let told = done(put.arg("--dir").arg(project.path()));
    assert!(told.contains("what is brought in goes with it"), "{told}");
    drop(fresh);
    let of_wechat = |files: &[(PathBuf, Vec<u8>)]| {
        let mut files = files.to_vec();
        files.retain(|(name, _)| {
            ["wechat.json", "outbox.jsonl"]
                .iter()
                .any(|kept| name == Path::new(kept))
        });
        files
    };
    let after = all_files(&project.path().join(".yunqiao"));
    assert_eq!(of_wechat(&before).len(), 2);
    assert_eq!(of_wechat(&after), of_wechat(&before));
}

#[tokio::test]
async fn a_file_that_cannot_be_is_told_with_its_mend_and_stays() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write(".yunqiao/wechat.json", "{\"users\": 1}");
    for (lang, mend) in [("en", "delete it to start afresh"), ("zh", "删掉它从头开始")] {
        let mut dev = Dev::command(yunqiao(), project.path());
        let said = refused(dev.args(["--lang", lang]));
        assert!(said.contains("wechat.json") && said.contains(mend), "{said}");
    }
    let file = project.path().join(".yunqiao/wechat.json");
    assert_eq!(fs::read_to_string(file).unwrap(), "{\"users\": 1}");
}

const DECLARED: &str = "\
[sim.users.carol]\nphone = \"13800138000\"\nnick_name = \"卡罗\"\n\n\
[sim.templates.paid]\ntitle = \"付款成功\"\nfields = [\"thing1\"]\n\n\
[sim.subscriptions]\ncarol = [\"paid\"]\n";

#[tokio::test]
async fn what_is_declared_is_there_at_each_start_beside_what_was_made_by_hand() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write("yunqiao.toml", DECLARED);
    let dev = Dev::start(project.path());
    let carol = dev.get_sim("users").await["users"][2].clone();
    assert_eq!(
        (&carol["name"], &carol["profile"]["nickName"]),
        (&json!("carol"), &json!("卡罗"))
    );
    dev.sim(
        "users",
        json!({ "name": "carol", "phone": "12066600009", "steps": [9] }),
    )
    .await;
    dev.sim("users", json!({ "name": "dave" })).await;

    // What is declared while it runs is there at once.
    project.write("yunqiao.toml", &format!("{DECLARED}\n[sim.users.erin]\n"));
    dev.server.prints_soon("what [sim] declares has changed").await;
    assert_eq!(
        names(&dev.get_sim("users").await),
        ["alice", "bob", "carol", "dave", "erin"]
    );
    drop(dev);

    let again = Dev::start(project.path());
    let users = again.get_sim("users").await;
    assert_eq!(names(&users), ["alice", "bob", "carol", "dave", "erin"]);
    let carol = &users["users"][2];
    assert_eq!(
        (&carol["phone"], &carol["steps"][30]),
        (&json!("13800138000"), &json!(9))
    );
    drop(again);

    // `exec` begins with what is declared alone.
    let script = "curl -sS \"$YUNQIAO_WECHAT_URL/sim/state\"";
    let (output, out, err) = run(yunqiao()
        .arg("exec")
        .arg(project.path())
        .args(["--", "sh", "-c", script]));
    assert!(output.status.success(), "{err}");
    let began: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(names(&began), ["alice", "bob", "carol", "erin"]);
    assert_eq!(began["subscriptions"][0]["openid"], carol["openid"]);

    // What cannot be has its line, everywhere.
    let wrong = format!("{DECLARED}dave = [\"paid\"]\n\n[sim.users.frank]\nphone = \"+86\"\n");
    project.write("yunqiao.toml", &wrong);
    for command in ["doctor", "dev"] {
        let said = refused(yunqiao().arg(command).arg(project.path()));
        assert!(
            said.contains("yunqiao.toml:13: `sim.users.frank`: phone \"+86\" is no phone number"),
            "{said}"
        );
        assert!(
            said.contains("yunqiao.toml:11: `sim.subscriptions.dave`: there is no user \"dave\""),
            "{said}"
        );
    }
    let config = project.path().join("yunqiao.toml");
    let said = refused(
        yunqiao()
            .args(["serve", "--check", "--lang", "zh", "-c"])
            .arg(config),
    );
    assert!(said.contains("phone \"+86\" 不是手机号"), "{said}");
}

/// A project in which there is something of everything, in a `dev` that runs.
async fn filled(project: &Scratch) -> Dev {
    let dev = Dev::start(project.path());
    dev.sim("users", json!({ "name": "carol" })).await;
    dev.sim(
        "templates",
        json!({ "priTmplId": "paid", "content": "{{thing1.DATA}}" }),
    )
    .await;
    let subscribe = json!({ "user": "carol", "api": "requestSubscribeMessage", "tmplIds": ["paid"] });
    dev.sim("client", subscribe).await;
    dev.sim("clock", json!({ "advance": 301 })).await;
    let documents = [
        "{\"_id\":\"a\",\"n\":1,\"half\":0.5,\"at\":{\"$date\":\"2026-01-02T03:04:05Z\"}}",
        "{\"_id\":\"b\",\"long\":{\"$numberLong\":\"7\"},\"whole\":{\"$numberDouble\":\"7.0\"}}",
    ];
    let mut import = yunqiao();
    project.write("todos.json", &documents.join("\n"));
    import.args(["db", "--dir"]).arg(project.path());
    done(
        import
            .args(["import", "todos"])
            .arg(project.path().join("todos.json")),
    );
    let db = |words: &[&str]| {
        let mut db = yunqiao();
        db.args(["db", "--dir"]).arg(project.path()).args(words);
        db
    };
    done(&mut db(&["index", "todos", "n", "--unique", "--sparse"]));
    project.write("hello.txt", "hello");
    for to in ["notes", "notes/a.txt", "odd:name?"] {
        let mut put = yunqiao();
        put.args(["files", "--dir"]).arg(project.path()).arg("put");
        done(
            put.arg(project.path().join("hello.txt"))
                .arg(to)
                .args(["--owner", "oCarol"]),
        );
    }
    dev
}

#[tokio::test]
async fn a_state_goes_out_and_comes_in_as_it_was() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = filled(&project).await;
    let session = dev.login("carol").await;
    let out = TempDir::new().unwrap();
    let (one, two, packed) = (
        out.path().join("one"),
        out.path().join("two"),
        out.path().join("packed.tgz"),
    );
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let said = done(&mut state(project.path(), &["export", &path(&one)]));
    assert!(said.contains("3 users, 1 template, 1 subscription"), "{said}");
    assert!(said.contains("2 documents, 3 files"), "{said}");
    let written = all_files(&one);

    // Nothing that opens a door is in it.
    let app = dev.get_sim("app").await;
    let running = fs::read_to_string(project.path().join(".yunqiao/run.json")).unwrap();
    let running: Value = serde_json::from_str(&running).unwrap();
    let secrets = [
        session.token.clone(),
        text(&app["secret"]),
        text(&app["token"]),
        text(&app["encodingAESKey"]),
        text(&running["pass"]),
        OPERATOR_SECRET.to_owned(),
        fs::read_to_string(project.path().join(".yunqiao/sign-in.key")).unwrap(),
        "session_key".to_owned(),
        "access_token".to_owned(),
    ];
    for (name, content) in &written {
        let content = String::from_utf8_lossy(content);
        for secret in &secrets {
            assert!(!content.contains(secret.trim()), "{secret} in {}", name.display());
        }
    }

    // People read it.
    let todos = fs::read_to_string(one.join("database/todos.jsonl")).unwrap();
    let first = "{\"_id\":\"a\",\"n\":1,\"half\":0.5,\"at\":{\"$date\":\"2026-01-02T03:04:05Z\"}}\n";
    assert!(todos.starts_with(first), "{todos}");
    assert_eq!(
        fs::read_to_string(one.join("files/notes/a.txt")).ok(),
        None,
        "`notes` is a file"
    );
    assert_eq!(fs::read_to_string(one.join("files/notes")).unwrap(), "hello");

    // Without the `dev` it is the same.
    drop(dev);
    done(&mut state(project.path(), &["export", &path(&two)]));
    let without_clock = |files: &[(PathBuf, Vec<u8>)]| {
        let mut files = files.to_vec();
        for (name, content) in &mut files {
            if name == Path::new("manifest.json") {
                let mut manifest: Value = serde_json::from_slice(content).unwrap();
                manifest.as_object_mut().unwrap().remove("clockAhead");
                *content = manifest.to_string().into_bytes();
            }
        }
        files
    };
    assert_eq!(without_clock(&all_files(&two)), without_clock(&written));

    // Into another project, with and without a `dev` that runs there.
    let other = Scratch::new(&[("echo", ECHO)]);
    done(&mut state(other.path(), &["import", &path(&one)]));
    let again = out.path().join("again.tgz");
    done(&mut state(other.path(), &["export", &path(&again)]));
    done(&mut state(project.path(), &["export", &path(&packed)]));
    assert_eq!(fs::read(&again).unwrap(), fs::read(&packed).unwrap());

    let dev = Dev::start(other.path());
    dev.sim("users", json!({ "name": "stranger" })).await;
    let said = refused(&mut state(other.path(), &["import", &path(&one)]));
    assert!(said.contains("--replace") && said.contains("4 users"), "{said}");
    assert_eq!(names(&dev.get_sim("users").await).len(), 4);
    done(&mut state(other.path(), &["import", &path(&packed), "--replace"]));
    assert_eq!(names(&dev.get_sim("users").await), ["alice", "bob", "carol"]);
    done(&mut state(other.path(), &["import", &path(&one), "--replace"]));
    let now = dev.get_sim("clock").await["now"].as_u64().unwrap();
    done(&mut state(other.path(), &["export", &path(&two)]));
    assert_eq!(
        all_files(&two),
        written,
        "a `dev` that runs has all of it, the clock too"
    );
    assert!(now > 0);
}

#[tokio::test]
async fn an_import_that_fails_leaves_what_was_there() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let mut dev = Some(filled(&project).await);
    let out = TempDir::new().unwrap();
    let (before, after) = (out.path().join("before"), out.path().join("after"));
    let bad = out.path().join("bad");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    done(&mut state(project.path(), &["export", &path(&before)]));
    // Two documents with one value of a unique index: that is known only when they go in.
    done(&mut state(project.path(), &["export", &path(&bad)]));
    let twice = "{\"_id\":\"x\",\"n\":1}\n{\"_id\":\"y\",\"n\":1}\n";
    fs::write(bad.join("database/todos.jsonl"), twice).unwrap();
    for runs in [true, false] {
        let said = refused(&mut state(project.path(), &["import", &path(&bad), "--replace"]));
        assert!(
            said.contains("todos.jsonl, line 2") && said.contains("all is as it was"),
            "{said}"
        );
        done(&mut state(project.path(), &["export", &path(&after)]));
        if runs {
            assert_eq!(all_files(&after), all_files(&before));
            drop(dev.take());
        }
        let left = project.path().join(".yunqiao/before-import");
        assert!(!left.exists(), "nothing is left over");
    }

    // What is wrong with a state is known before anything is touched, and has its place.
    let good = all_files(&before);
    for (file, content, why) in [
        ("users.json", "[]", "there must be one at least"),
        ("users.json", "{", "users.json is not the JSON"),
        (
            "subscriptions.json",
            "[{\"openid\":\"oA\",\"priTmplId\":\"none\",\"left\":1}]",
            "no such template",
        ),
        (
            "database/todos.jsonl",
            "{\"_id\":1}\nx\n",
            "database/todos.jsonl, line 2",
        ),
        (
            "files.jsonl",
            "{\"path\":\"../x\",\"at\":\"files/notes\"}\n",
            "files.jsonl",
        ),
        (
            "files.jsonl",
            "{\"path\":\"x\",\"at\":\"../secret\"}\n",
            "named and not there",
        ),
        ("outbox.jsonl", "{\"api\":1}\n", "outbox"),
        (
            "manifest.json",
            "{\"yunqiao\":\"state\",\"version\":2,\"appid\":\"wx0123456789abcdef\"}",
            "later yunqiao",
        ),
        (
            "manifest.json",
            "{\"yunqiao\":\"state\",\"version\":1,\"appid\":\"wx0\"}",
            "of the app wx0",
        ),
    ] {
        let broken = TempDir::new().unwrap();
        for (name, content) in &good {
            let to = broken.path().join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, content).unwrap();
        }
        fs::write(broken.path().join(file), content).unwrap();
        let said = refused(&mut state(
            project.path(),
            &["import", &path(broken.path()), "--replace"],
        ));
        assert!(said.contains(why), "{file} {content}: {said}");
    }
    done(&mut state(project.path(), &["export", &path(&after)]));
    assert_eq!(all_files(&after).len(), good.len());

    // A folder that is something else is not replaced.
    let said = refused(&mut state(project.path(), &["export", &path(project.path())]));
    assert!(said.contains("name a new folder"), "{said}");
    assert!(project.path().join("project.config.json").exists());
}

#[tokio::test]
async fn what_an_import_that_was_killed_has_left_is_told_and_comes_back() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let before = project.path().join(".yunqiao/before-import");
    let path = before.to_str().unwrap();
    let dev = filled(&project).await;
    // As it is put aside before anything is touched.
    done(&mut state(project.path(), &["export", path]));
    dev.sim("users", json!({ "name": "halfway" })).await;
    let users = fs::read(before.join("users.json")).unwrap();
    drop(dev);
    let dev = Dev::start(project.path());
    dev.server
        .prints("a `yunqiao state import` was ended in its middle");
    // Another import does not take it for what is there now, and touches neither.
    let out = TempDir::new().unwrap();
    let (now, bad) = (out.path().join("now"), out.path().join("bad"));
    let (now, bad_path) = (now.to_str().unwrap(), bad.to_str().unwrap());
    for to in [now, bad_path] {
        let said = done(&mut state(project.path(), &["export", to]));
        assert!(said.contains("ended in its middle"), "{said}");
    }
    fs::write(
        bad.join("database/todos.jsonl"),
        "{\"_id\":\"x\"}\n{\"_id\":\"x\"}\n",
    )
    .unwrap();
    let kept = all_files(&before);
    let import = ["import", bad_path, "--replace"];
    let said = refused(&mut state(project.path(), &import));
    let root = project.path().display();
    let advised = format!("yunqiao state --dir {root} import {path} --replace");
    assert!(
        said.contains("ended in its middle") && said.contains(&advised),
        "{said}"
    );
    let after = out.path().join("after");
    done(&mut state(project.path(), &["export", after.to_str().unwrap()]));
    assert_eq!(all_files(&after), all_files(Path::new(now)));
    assert_eq!(all_files(&before), kept);

    // One that fails as it brings that back keeps it, and what is there now.
    let todos = fs::read(before.join("database/todos.jsonl")).unwrap();
    fs::copy(
        bad.join("database/todos.jsonl"),
        before.join("database/todos.jsonl"),
    )
    .unwrap();
    let said = refused(&mut state(project.path(), &["import", path, "--replace"]));
    assert!(said.contains("all is as it was"), "{said}");
    fs::write(before.join("database/todos.jsonl"), todos).unwrap();
    done(&mut state(project.path(), &["export", after.to_str().unwrap()]));
    assert_eq!(all_files(&after), all_files(Path::new(now)));

    // What is advised brings it back.
    let words: Vec<_> = advised.split(' ').skip(1).collect();
    done(yunqiao().args(words));
    assert!(!before.exists());
    let now = dev.get_sim("users").await;
    let users: Value = serde_json::from_slice(&users).unwrap();
    assert_eq!(now["users"], users);
    drop(dev);
    let dev = Dev::start(project.path());
    assert!(!dev.server.printed().contains("ended in its middle"));
}

#[tokio::test]
async fn an_import_is_alone_and_goes_on_to_its_end() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let fixture = out.path().join("fixture");
    let path = fixture.to_str().unwrap();
    done(&mut state(project.path(), &["export", path]));
    fs::create_dir(fixture.join("database")).unwrap();
    let lines: String = (0..5000)
        .map(|number| format!("{{\"_id\":{number}}}\n"))
        .collect();
    fs::write(fixture.join("database/many.jsonl"), &lines).unwrap();
    done(&mut state(project.path(), &["import", path]));

    let lock = project.path().join(".yunqiao/import.lock");
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let said = refused(&mut state(project.path(), &["import", path, "--replace"]));
    assert!(said.contains("another `yunqiao state import`"), "{said}");
    drop(held);

    // Asked to end as soon as it can be seen: before it has begun to put what comes in the place of what is there, or in its middle.
    let before = project.path().join(".yunqiao/before-import");
    let mut child = state(project.path(), &["import", path, "--replace"])
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "the import does not end");
        if let Ok(folder) = fs::metadata(&before) {
            assert_eq!(folder.permissions().mode() & 0o777, 0o700);
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            break;
        }
        std::thread::yield_now();
    }
    assert!(child.wait().unwrap().success());
    assert!(!before.exists());
    let after = out.path().join("after");
    done(&mut state(project.path(), &["export", after.to_str().unwrap()]));
    let now = fs::read_to_string(after.join("database/many.jsonl")).unwrap();
    assert_eq!(now.lines().count(), 5000);
}

#[tokio::test]
async fn what_is_named_as_a_mac_names_its_own_is_in_a_state_where_it_was_stored() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let path = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    project.write("hello.txt", "hello");
    let mut put = yunqiao();
    put.args(["files", "--dir"]).arg(project.path()).arg("put");
    done(put.arg(project.path().join("hello.txt")).arg("album/.DS_Store"));
    for to in ["folder", "packed.tgz"] {
        done(&mut state(project.path(), &["export", &path(to)]));
        done(&mut state(project.path(), &["import", &path(to), "--replace"]));
        let mut get = yunqiao();
        get.args(["files", "--dir"]).arg(project.path());
        let said = done(get.args(["ls", "-r"]));
        assert!(said.contains("album/.DS_Store"), "{said}");
    }
    // What nobody stored is passed over, and so is what is no collection.
    fs::write(out.path().join("folder/.DS_Store"), "").unwrap();
    fs::write(out.path().join("folder/files/.DS_Store"), "").unwrap();
    fs::create_dir_all(out.path().join("folder/database")).unwrap();
    fs::write(out.path().join("folder/database/.gitkeep"), "").unwrap();
    fs::write(out.path().join("folder/database/todos.jsonl"), "{\"_id\":1}\n").unwrap();
    let said = done(&mut state(
        project.path(),
        &["import", &path("folder"), "--replace"],
    ));
    assert!(said.contains("1 document, 1 file"), "{said}");
    done(&mut state(project.path(), &["export", &path("folder")]));

    // An archive takes the place of a state's alone.
    done(&mut state(project.path(), &["export", &path("packed.tgz")]));
    fs::write(out.path().join("release.tar.gz"), "release").unwrap();
    std::os::unix::fs::symlink(path("packed.tgz"), path("link.tgz")).unwrap();
    let ran = path("ran");
    for to in ["release.tar.gz", "link.tgz"] {
        let said = refused(&mut state(project.path(), &["export", &path(to)]));
        assert!(said.contains("name a new file"), "{said}");
        // Known before the command runs.
        let mut exec = yunqiao();
        exec.arg("exec").arg(project.path()).args(["--export", &path(to)]);
        let said = refused(exec.args(["--", "touch", &ran]));
        assert!(
            said.contains("name a new file") && !Path::new(&ran).exists(),
            "{said}"
        );
    }
    assert_eq!(fs::read(out.path().join("release.tar.gz")).unwrap(), b"release");
}

#[tokio::test]
async fn a_link_in_the_folder_of_a_state_is_not_followed() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let fixture = out.path().join("fixture");
    let path = fixture.to_str().unwrap();
    done(&mut state(project.path(), &["export", path]));
    assert!(
        !project.path().join(".yunqiao").exists(),
        "nothing is made for a look"
    );
    let secret = out.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    fs::create_dir(fixture.join("files")).unwrap();
    std::os::unix::fs::symlink(&secret, fixture.join("files/innocent.txt")).unwrap();
    fs::write(fixture.join("files/added.txt"), "added").unwrap();
    let said = done(&mut state(project.path(), &["import", path]));
    assert!(said.contains("1 file"), "{said}");
    fs::write(
        fixture.join("files.jsonl"),
        "{\"path\":\"a.txt\",\"at\":\"files/innocent.txt\"}\n",
    )
    .unwrap();
    let said = refused(&mut state(project.path(), &["import", path, "--replace"]));
    assert!(said.contains("or is a link"), "{said}");
}

#[tokio::test]
async fn what_was_put_there_by_hand_goes_in_as_it_stands() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let path = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    done(&mut state(project.path(), &["export", &path("fixture")]));
    fs::create_dir(out.path().join("fixture/database")).unwrap();
    // A dot in a name is a dot, and not a path as in what WeChat's console imports.
    let lines = "{\"_id\":1,\"a.b\":2}\n{\"_id\":\"二\",\"deep\":{\"c.d\":[1,null]}}\n";
    fs::write(out.path().join("fixture/database/odd.jsonl"), lines).unwrap();
    let odd = |name: &str| fs::read_to_string(out.path().join(name).join("database/odd.jsonl")).unwrap();
    done(&mut state(project.path(), &["import", &path("fixture")]));
    done(&mut state(project.path(), &["export", &path("alone")]));
    assert_eq!(odd("alone"), lines);
    let dev = Dev::start(project.path());
    done(&mut state(
        project.path(),
        &["import", &path("fixture"), "--replace"],
    ));
    done(&mut state(project.path(), &["export", &path("beside")]));
    assert_eq!(odd("beside"), lines);
    drop(dev);

    // What others may use is not emptied.
    project.write(
        "yunqiao.toml",
        "[database]\nurl = \"mongodb://127.0.0.1:9/shared\"\n",
    );
    let said = refused(&mut state(
        project.path(),
        &["import", &path("fixture"), "--replace"],
    ));
    assert!(said.contains("and others may use it"), "{said}");
}

#[tokio::test]
async fn a_fixture_that_was_made_in_the_console_and_committed_is_what_exec_begins_with() {
    let project = Scratch::new(&[("count", COUNT)]);
    project.write(
        "cloudfunctions/count/package.json",
        "{\"dependencies\":{\"wx-server-sdk\":\"3.0.4\"}}",
    );
    let dev = Dev::start(project.path());
    // The form of the console's page *Users*.
    let request = dev.client.post(format!("{}/users/change", dev.operator));
    let request = request.bearer_auth(OPERATOR_SECRET).header("hx-request", "true");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let form = "name=carol&nick=%E5%8D%A1%E7%BD%97&phone=13800138000";
    let reply = request.body(form).send().await.unwrap();
    assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
    dev.invoke("count", json!({})).await;
    done(&mut state(
        project.path(),
        &["export", project.path().join("fixture").to_str().unwrap()],
    ));
    drop(dev);

    // As another machine has it: what is ignored is not there.
    let git = |folder: &Path, words: &[&str]| {
        let mut git = Command::new("git");
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        done(git.current_dir(folder).args(who).args(words));
    };
    git(project.path(), &["init", "-q"]);
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "-qm", "fixture"]);
    let elsewhere = TempDir::new().unwrap();
    git(
        elsewhere.path(),
        &["clone", "-q", project.path().to_str().unwrap(), "clone"],
    );
    let clone = elsewhere.path().join("clone");
    assert!(!clone.join(".yunqiao").exists());

    let fixture = clone.join("fixture");
    let before = all_files(&fixture);
    let (left, failed) = (elsewhere.path().join("left"), elsewhere.path().join("failed"));
    let exec = |export: &Path, script: &str| {
        let mut exec = yunqiao();
        exec.arg("exec")
            .arg(&clone)
            .arg("--import")
            .arg(&fixture)
            .arg("--export")
            .arg(export);
        exec.args(["--", "sh", "-c", script]);
        exec
    };
    let call = "curl -sS -X POST -H \"authorization: Bearer $YUNQIAO_OPERATOR_SECRET\" -H 'content-type: application/json' \
                -d '{}' \"$YUNQIAO_OPERATOR_URL/operator/functions/count\"";
    let (output, out, err) = run(&mut exec(&left, call));
    assert!(output.status.success(), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["result"], 1, "{out} {err}");
    assert_eq!(all_files(&fixture), before, "it is read alone");
    let todos = fs::read_to_string(left.join("database/todos.jsonl")).unwrap();
    assert_eq!(todos.lines().count(), 2, "{todos}");
    let users: Value = serde_json::from_slice(&fs::read(left.join("users.json")).unwrap()).unwrap();
    assert_eq!(users[2]["profile"]["nickName"], "卡罗");

    // Written where the command failed, and not where there was none.
    let (output, _, _) = run(&mut exec(&failed, "exit 7"));
    assert_eq!(
        (output.status.code(), failed.join("manifest.json").exists()),
        (Some(7), true)
    );
    let nowhere = elsewhere.path().join("nowhere");
    let mut exec = yunqiao();
    exec.arg("exec")
        .arg(&clone)
        .arg("--export")
        .arg(&nowhere)
        .args(["--", "no-such-command"]);
    let (output, _, _) = run(&mut exec);
    assert_eq!((output.status.code(), nowhere.exists()), (Some(127), false));
    let mut exec = yunqiao();
    exec.arg("exec")
        .arg(&clone)
        .arg("--import")
        .arg(&nowhere)
        .args(["--", "touch"]);
    let said = refused(exec.arg(elsewhere.path().join("ran")));
    assert!(
        said.contains("there is no") && !elsewhere.path().join("ran").exists(),
        "{said}"
    );
}

#[tokio::test]
async fn an_import_that_is_under_way_is_neither_exported_nor_taken_for_one_that_was_ended() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let to = out.path().join("to");
    drop(Dev::start(project.path()));
    let kept = project.path().join(".yunqiao");
    fs::create_dir(kept.join("before-import")).unwrap();
    let lock = fs::File::create(kept.join("import.lock")).unwrap();
    lock.lock().unwrap();
    let export = ["export", to.to_str().unwrap()];
    let said = refused(&mut state(project.path(), &export));
    assert!(said.contains("is under way") && !to.exists(), "{said}");
    let dev = Dev::start(project.path());
    dev.server.prints("`yunqiao state import` is under way");
    assert!(!dev.server.printed().contains("ended in its middle"));
    drop((dev, lock));
    let said = done(&mut state(project.path(), &export));
    assert!(said.contains("ended in its middle"), "{said}");
}

#[tokio::test]
async fn an_export_that_is_ended_in_its_middle_leaves_nothing() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let path = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    done(&mut state(project.path(), &["export", &path("fixture")]));
    fs::create_dir(out.path().join("fixture/database")).unwrap();
    let lines: String = (0..40_000)
        .map(|number| format!("{{\"_id\":{number}}}\n"))
        .collect();
    fs::write(out.path().join("fixture/database/many.jsonl"), lines).unwrap();
    done(&mut state(project.path(), &["import", &path("fixture")]));
    let before = all_files(&out.path().join("fixture"));
    let names = || {
        let entries = fs::read_dir(out.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    let mut child = state(project.path(), &["export", &path("fixture")])
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(120);
    while names() == ["fixture"] {
        assert!(Instant::now() < end && child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(names(), ["fixture"]);
    assert_eq!(all_files(&out.path().join("fixture")), before);
}

#[tokio::test]
async fn what_was_written_by_hand_is_taken_or_told() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let fixture = out.path().join("fixture");
    let path = fixture.to_str().unwrap();
    done(&mut state(project.path(), &["export", path]));
    let manifest = fs::read_to_string(fixture.join("manifest.json")).unwrap();
    let users = fs::read_to_string(fixture.join("users.json")).unwrap();
    fs::create_dir(fixture.join("database")).unwrap();
    fs::write(fixture.join("database/todos.jsonl"), "\u{feff}{\"_id\":1}\n").unwrap();
    // As macOS packs what it knows of a file beside it.
    for name in ["._database", "database/._todos.jsonl", "._manifest.json"] {
        fs::write(fixture.join(name), [0, 5, 22, 7]).unwrap();
    }
    fs::write(fixture.join("README.md"), "for CI").unwrap();
    fs::write(fixture.join("database/users.json"), "[]").unwrap();
    let import = ["import", path, "--replace"];
    let said = done(&mut state(project.path(), &import));
    assert!(
        said.contains("database/users.json is left out") && said.contains("2 users, 1 document"),
        "{said}"
    );
    assert!(!said.contains("README.md") && !said.contains("._"), "{said}");
    fs::write(out.path().join("._fixture"), [0, 5, 22, 7]).unwrap();
    let packed = out.path().join("packed.tgz");
    let mut tar = Command::new("tar");
    tar.current_dir(out.path())
        .args(["czf", "packed.tgz", "._fixture", "fixture"]);
    done(&mut tar);
    let said = done(&mut state(
        project.path(),
        &["import", packed.to_str().unwrap(), "--replace"],
    ));
    assert!(said.contains("2 users, 1 document"), "{said}");

    // What an export would not bring back stays.
    let said = refused(&mut state(project.path(), &["export", path]));
    assert!(said.contains("README.md in it"), "{said}");
    fs::remove_file(fixture.join("README.md")).unwrap();
    let said = refused(&mut state(project.path(), &["export", path]));
    assert!(said.contains("database/users.json in it"), "{said}");

    // What cannot be is known before anything is touched, and nothing is passed over.
    let todos = |rest: &str| {
        let listed = format!("[{{\"name\": \"todos\"{rest}}}]");
        manifest.replace("\"collections\": []", &format!("\"collections\": {listed}"))
    };
    let file = ", \"file\": \"database/todos.jsonl\"";
    let kept = || fs::read(project.path().join(".yunqiao/wechat.json")).unwrap();
    let before = kept();
    for (name, content, why) in [
        (
            "manifest.json",
            "{\"version\":3,\"name\":\"page\"}".to_owned(),
            "is another program's",
        ),
        ("manifest.json", todos(""), "`file` is missing"),
        (
            "manifest.json",
            todos(&format!("{file}, \"indexes\": {{}}")),
            "`indexes` is no list",
        ),
        (
            "manifest.json",
            todos(&format!("{file}, \"indexes\": [{{\"fields\": \"n\"}}]")),
            "`fields` is no list of names",
        ),
        (
            "manifest.json",
            todos(&format!("{file}}}, {{\"name\": \"todos\"{file}")),
            "the collection \"todos\" twice",
        ),
        (
            "manifest.json",
            manifest.replace("collections\": []", "collections\": [{}]"),
            "has no name",
        ),
        ("manifest.json", manifest.replace("wx", "wxa"), "write wx"),
        (
            "users.json",
            users
                .replacen("\"phone\"", "\"tel\"", 2)
                .replacen("\"tel\"", "\"phone\"", 1),
            "users.json, entry 2, is not what was written: unknown field `tel`",
        ),
        (
            "files.jsonl",
            "{\"path\":\"a\",\"at\":\"database/todos.jsonl\"}\n".repeat(2),
            "has \"a\" twice",
        ),
    ] {
        let was = fs::read(fixture.join(name)).ok();
        assert_ne!(was.as_deref(), Some(content.as_bytes()), "{why}");
        fs::write(fixture.join(name), &content).unwrap();
        let said = refused(&mut state(project.path(), &import));
        assert!(
            said.contains(why) && !said.contains("all is as it was"),
            "{content}: {said}"
        );
        match was {
            Some(was) => fs::write(fixture.join(name), was).unwrap(),
            None => fs::remove_file(fixture.join(name)).unwrap(),
        }
    }
    assert_eq!(kept(), before);
    fs::write(
        fixture.join("manifest.json"),
        todos(&format!("{file}, \"indexes\": [{{\"fields\": [\"n\"]}}]")),
    )
    .unwrap();
    done(&mut state(project.path(), &import));
    let after = out.path().join("after");
    done(&mut state(project.path(), &["export", after.to_str().unwrap()]));
    let manifest: Value = serde_json::from_slice(&fs::read(after.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["collections"][0]["indexes"][0]["name"], "n_1");
}

#[tokio::test]
async fn where_a_state_cannot_go_is_told_before_it_is_made() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let path = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    // A stored file may have the name by which a state is known.
    project.write("hello.txt", "{}");
    let mut put = yunqiao();
    put.args(["files", "--dir"]).arg(project.path()).arg("put");
    done(put.arg(project.path().join("hello.txt")).arg("manifest.json"));
    for _ in 0..2 {
        done(&mut state(project.path(), &["export", &path("new/packed.tgz")]));
    }
    fs::write(out.path().join("plain"), "").unwrap();
    for to in ["plain/state", "plain/state.tgz"] {
        let mut exec = yunqiao();
        exec.arg("exec").arg(project.path()).args(["--export", &path(to)]);
        let said = refused(exec.args(["--", "touch", &path("ran")]));
        assert!(said.contains("cannot be written"), "{said}");
        assert!(!out.path().join("ran").exists());
    }
}

#[tokio::test]
async fn an_import_of_users_that_cannot_be_kept_is_no_success() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let out = TempDir::new().unwrap();
    let fixture = out.path().join("fixture");
    let path = fixture.to_str().unwrap();
    let dev = filled(&project).await;
    done(&mut state(project.path(), &["export", path]));
    dev.sim("users", json!({ "name": "dave" })).await;
    drop(dev);
    let people = project.path().join(".yunqiao/wechat.json");
    let kept = fs::read(&people).unwrap();
    // Where the new file is to be made before it takes the place of the old one.
    let in_the_way = project.path().join(".yunqiao/wechat.json.new");
    fs::create_dir(&in_the_way).unwrap();
    let said = refused(&mut state(project.path(), &["import", path, "--replace"]));
    assert!(
        said.contains("wechat.json cannot be written") && said.contains("all is as it was"),
        "{said}"
    );
    assert_eq!(fs::read(&people).unwrap(), kept);
    assert!(!project.path().join(".yunqiao/before-import").exists());
    fs::remove_dir(in_the_way).unwrap();
    done(&mut state(project.path(), &["import", path, "--replace"]));
    let users: Value = serde_json::from_slice(&fs::read(&people).unwrap()).unwrap();
    assert_eq!(names(&users), ["alice", "bob", "carol"]);
}
