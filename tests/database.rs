//! `cloud.database()` through every generation of the unmodified wx-server-sdk, and what becomes of the documents.

use std::{env, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Dev, Scratch, Server, run, text, yunqiao};

const OPERATIONS: &str = include_str!("database/operations.js");
const VERSIONS: [&str; 6] = ["0.5.1", "1.8.3", "2.1.2", "2.6.3", "3.0.4", "4.0.2"];

fn name(version: &str) -> String {
    format!("v{}", version.replace('.', "_"))
}

fn function(project: &Scratch, name: &str, version: &str, source: &str) {
    project.write(&format!("cloudfunctions/{name}/index.js"), source);
    let manifest = json!({"name": name, "dependencies": {"wx-server-sdk": version}});
    project.write(
        &format!("cloudfunctions/{name}/package.json"),
        &manifest.to_string(),
    );
}

/// What each operation gives, or how it fails, is what stands in `tests/database/VERSION.json`. With `YUNQIAO_BLESS` set the files are
/// written anew, to be read by whoever commits them.
#[tokio::test]
async fn every_operation_of_every_sdk() {
    for version in VERSIONS {
        // A database of its own: what one version wrote the next one would find.
        let got = operations(version, "").await;
        let golden = golden(version);
        if env::var_os("YUNQIAO_BLESS").is_some() {
            fs::write(&golden, serde_json::to_string_pretty(&got).unwrap() + "\n").unwrap();
        }
        meets(&got, version);
    }
}

/// The same over the driver: documents are kept by another process, which speaks MongoDB's wire protocol.
#[tokio::test]
async fn every_operation_on_a_server() {
    for version in ["0.5.1", "2.1.2", "4.0.2"] {
        let keeper = Scratch::new(&[("main", "exports.main = () => 1;")]);
        keeper.write("yunqiao.toml", "[database]\nwire = \"127.0.0.1:0\"\n");
        let keeper_dev = Dev::start(keeper.path());
        let run_file = fs::read(keeper.path().join(".yunqiao/run.json")).unwrap();
        let run_file: Value = serde_json::from_slice(&run_file).unwrap();
        let url = run_file["database"].as_str().unwrap();
        let got = operations(version, &format!("url = {url:?}\n")).await;
        meets(&got, version);
        drop(keeper_dev);
    }
}

/// What `serve --check` says of the server, and of one that is not there.
#[tokio::test]
async fn a_server_is_said_to_be_what_it_is() {
    let keeper = Scratch::new(&[("main", "exports.main = () => 1;")]);
    keeper.write("yunqiao.toml", "[database]\nwire = \"127.0.0.1:0\"\n");
    let keeper_dev = Dev::start(keeper.path());
    let run_file = fs::read(keeper.path().join(".yunqiao/run.json")).unwrap();
    let run_file: Value = serde_json::from_slice(&run_file).unwrap();
    let url = run_file["database"].as_str().unwrap();
    let project = Scratch::new(&[("main", "exports.main = () => 1;")]);
    project.write("yunqiao.toml", "appid = \"wx0123456789abcdef\"\n");
    let check = |url: &str| {
        run(yunqiao()
            .args(["serve", "--check", "-c", "yunqiao.toml"])
            .current_dir(project.path())
            .env("YUNQIAO_APPSECRET", "0123456789abcdef0123456789abcdef")
            .env("YUNQIAO_MONGODB_URL", url))
    };
    let (output, _, said) = check(url);
    assert!(output.status.success(), "{said}");
    let address = url.split('?').next().unwrap();
    assert!(said.contains(&format!("at {address}")), "{said}");
    assert!(
        said.contains("replica set") && said.contains("with transactions"),
        "{said}"
    );
    drop(keeper_dev);
    let gone = url.replace("mongodb://", "mongodb://user:geheim@");
    let (output, _, said) = check(&format!("{gone}&serverSelectionTimeoutMS=100"));
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("does not answer") && said.contains(address),
        "{said}"
    );
    assert!(!said.contains("geheim"), "{said}");
}

/// What each operation gives in a project of its own, with these lines in `[database]`.
async fn operations(version: &str, lines: &str) -> Value {
    let project = Scratch::new(&[]);
    function(&project, "all", version, OPERATIONS);
    project.write(
        "yunqiao.toml",
        &format!("[database]\nmissing = \"refuse\"\n{lines}[functions.all]\ntimeout = 60\n"),
    );
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    alice.result("all", json!({}), &[]).await
}

fn golden(version: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/database")
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
async fn every_operation_of_the_sdks_for_any_server() {
    const AND_MORE: &str = r"
operations.updateAndReturn = () =>
  db.collection('users').where({ _id: 'u1' }).updateAndReturn({ data: { seen: _.inc(1) } })
operations.callFunction = () => app.callFunction({ name: 'add', data: { a: 1, b: 2 } })
operations.callMissing = () => app.callFunction({ name: 'nothing' })
";
    let bare = include_str!("database/bare.js");
    let first = "const cloud = require('wx-server-sdk')";
    assert!(OPERATIONS.contains(first));
    for (package, version) in OTHERS {
        // A database of its own: what one version wrote the next one would find.
        let project = Scratch::new(&[("add", "exports.main = async ({ a, b }) => ({ sum: a + b })")]);
        let source = OPERATIONS.replace(first, &bare.replace("PACKAGE", package)) + AND_MORE;
        project.write("cloudfunctions/all/index.js", &source);
        let manifest = json!({"name": "all", "dependencies": {package: version}});
        project.write("cloudfunctions/all/package.json", &manifest.to_string());
        project.write(
            "yunqiao.toml",
            "[database]\nmissing = \"refuse\"\n[functions.all]\ntimeout = 60\n",
        );
        let dev = Dev::start(project.path());
        let alice = dev.login("alice").await;
        let got = alice.result("all", json!({}), &[]).await;
        let name = format!("{}-{version}", package.rsplit('/').next().unwrap());
        if env::var_os("YUNQIAO_BLESS").is_some() {
            fs::write(golden(&name), serde_json::to_string_pretty(&got).unwrap() + "\n").unwrap();
        }
        meets(&got, &name);
    }
}

const NOTES: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
const notes = () => cloud.database().collection('notes');
exports.main = async ({ add, find = {}, order }) => {
  if (add) return notes().add({ data: add });
  const query = order ? notes().orderBy(order, 'desc') : notes();
  return (await query.where(find).limit(1000).get()).data;
};";

/// A project whose function keeps notes, with a seed of two.
fn notes() -> Scratch {
    let project = Scratch::new(&[]);
    function(&project, &name("4.0.2"), "4.0.2", NOTES);
    project.write(
        "yunqiao.toml",
        "[database]\nseed = \"seed\"\n[database.collections.notes]\nindexes = [[\"n\"]]\n",
    );
    project.write(
        "seed/notes.json",
        "{\"_id\":\"a\",\"n\":1}\n{\"_id\":\"b\",\"n\":{\"$numberInt\":\"2\"}}\n",
    );
    project
}

const BY_ID: &str = r"
    const cloud = require('wx-server-sdk')
    cloud.init()
    exports.main = async () => {
        const c = cloud.database().collection('notes')
        const { data } = await c.where({ n: 1 }).get()
        const id = data[0]._id
        const { data: same } = await c.doc(id).get()
        const { list } = await c.aggregate().match({ _id: id }).end()
        const updated = await c.where({ _id: id }).update({ data: { seen: true } })
        const removed = await c.where({ _id: id }).remove()
        const left = await c.count()
        return { id, by: data[0].by, same: same._id, list: list.map((one) => one._id), updated: updated.stats.updated, removed: removed.stats.removed, left: left.total }
    }";

/// A document that another program has added: its ObjectId is its digits to the SDKs, of which they made an object without members, and of a
/// query by that one for all documents.
#[tokio::test]
async fn a_document_of_another_program_is_found_by_its_id_and_no_other_is_changed() {
    let project = Scratch::new(&[]);
    for version in ["1.8.3", "4.0.2"] {
        function(&project, &name(version), version, BY_ID);
    }
    project.write("yunqiao.toml", "[database]\nseed = \"seed\"\n");
    let digits = ["5fe06c4a7877e500019b7c59", "5fe06c4a7877e500019b7c60"];
    let of_others =
        digits.map(|id| format!("{{\"_id\":{{\"$oid\":\"{id}\"}},\"n\":1,\"by\":{{\"$oid\":\"{id}\"}}}}\n"));
    project.write(
        "seed/notes.json",
        &format!(
            "{{\"_id\":\"a\",\"n\":2}}\n{{\"_id\":\"b\",\"n\":2}}\n{}",
            of_others.concat()
        ),
    );
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for ((version, id), left) in ["1.8.3", "4.0.2"].into_iter().zip(digits).zip([3, 2]) {
        let done = alice.result(&name(version), json!({}), &[]).await;
        let expected = json!({
            "id": id, "by": id, "same": id, "list": [id], "updated": 1, "removed": 1, "left": left,
        });
        assert_eq!(done, expected, "{version}");
    }
}

#[tokio::test]
async fn dev_keeps_documents_over_a_kill_and_seeds_only_what_is_empty() {
    let project = notes();
    let function = name("4.0.2");
    let mut dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(
        alice.result(&function, json!({}), &[]).await,
        json!([{"_id": "a", "n": 1}, {"_id": "b", "n": 2}])
    );
    let added = json!({"_id": "c", "n": 3});
    alice.result(&function, json!({"add": added}), &[]).await;
    dev.server.kill();

    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let kept = alice.result(&function, json!({"order": "n"}), &[]).await;
    assert_eq!(kept, json!([added, {"_id": "b", "n": 2}, {"_id": "a", "n": 1}]));
    // Nobody else on this machine reads it, and no repository gets it.
    let file = project.path().join(".yunqiao/database.redb");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(project.path().join(".yunqiao/.gitignore")).unwrap(),
        "*\n"
    );

    // `exec` has its own, which end with it.
    let (output, out, err) = run(yunqiao().arg("exec").arg(project.path()).args(["--", "true"]));
    assert!(output.status.success(), "{out}{err}");
}

#[tokio::test]
async fn a_collection_that_is_missing_is_made_with_a_note_and_slow_queries_are_told_once() {
    let project = Scratch::new(&[]);
    function(
        &project,
        "many",
        "4.0.2",
        r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async ({ add, n }) => {
  const many = cloud.database().collection('many');
  if (add) {
    for (let at = 0; at < add; at += 300) {
      await many.add({ data: Array.from({ length: 300 }, (_, i) => ({ n: at + i })) });
    }
  }
  return (await many.where({ n }).get()).data.length;
};",
    );
    project.write("yunqiao.toml", "[functions.many]\ntimeout = 60\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(alice.result("many", json!({"add": 1500, "n": 7}), &[]).await, 1);
    dev.server
        .prints("the collection \"many\" did not exist and was made");
    dev.server.prints("looked at 1500 documents for 1");
    dev.server
        .prints("[database.collections.many] indexes = [[\"n\"]]");
    assert_eq!(alice.result("many", json!({"n": 8}), &[]).await, 1);
    assert_eq!(
        dev.server.printed().matches("looked at 1500 documents").count(),
        1
    );
}

/// A project of one function that sets itself up at its first call: it asks whether its collections are there, makes them and
/// puts into them what it cannot do without.
#[tokio::test]
async fn a_function_that_makes_its_collections_finds_out_which_are_missing() {
    let project = Scratch::new(&[]);
    function(
        &project,
        "all",
        "3.0.4",
        r"
const cloud = require('wx-server-sdk');
const { has, make } = require('./lib/collections');
cloud.init();
const db = cloud.database();
exports.main = async ({ reads }) => {
  if (reads) {
    return db.collection(reads).get().catch((error) => ({ errCode: error.errCode, errMsg: error.errMsg }));
  }
  if (!(await has(db, 'set_up'))) {
    for (const name of ['staff', 'goods']) if (!(await has(db, name))) await make(db, name);
    if ((await db.collection('staff').count()).total === 0) {
      await db.collection('staff').add({ data: { name: 'admin' } });
    }
    await make(db, 'set_up');
  }
  return (await db.collection('staff').field({ _id: false }).get()).data;
};",
    );
    project.write(
        "cloudfunctions/all/lib/collections.js",
        r"
exports.has = (db, name) => db.collection(name).limit(1).get().then(() => true, () => false);
exports.make = (db, name) => db.createCollection(name);
",
    );
    function(
        &project,
        "other",
        "3.0.4",
        r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = ({ reads }) => cloud.database().collection(reads).count()
  .catch((error) => ({ errCode: error.errCode, errMsg: error.errMsg }));",
    );
    project.write("yunqiao.toml", "[database.collections.news]\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(
        alice.result("all", json!({}), &[]).await,
        json!([{"name": "admin"}])
    );
    assert_eq!(
        alice.result("all", json!({}), &[]).await,
        json!([{"name": "admin"}])
    );
    let missed = alice.result("all", json!({"reads": "orders"}), &[]).await;
    assert_eq!(missed["errCode"], -502_005);
    let told = text(&missed["errMsg"]);
    assert!(told.contains("Db or Table not exist: orders"), "{told}");
    dev.server
        .prints("the collection \"orders\" does not exist: the function gets the platform's error (-502005)");
    // What was made in the console stands in yunqiao.toml, and everybody else gets what is missing.
    assert_eq!(
        alice.result("all", json!({"reads": "news"}), &[]).await["data"],
        json!([])
    );
    assert_eq!(
        alice.result("other", json!({"reads": "orders"}), &[]).await["total"],
        0
    );
    // What no MongoDB would keep is not made, whoever asks.
    for name in ["a$b", "system.users", ".hidden"] {
        let refused = alice.result("other", json!({"reads": name}), &[]).await;
        assert_eq!(refused["errCode"], -501_007, "{refused}");
        let told = text(&refused["errMsg"]);
        let expected = format!("Check request parameter fail: {name:?} is no name of a collection");
        assert!(told.contains(&expected), "{told}");
    }
    assert_eq!(
        alice.result("all", json!({"reads": "orders"}), &[]).await["data"],
        json!([])
    );

    // One line, and everything that is missing is made.
    drop(dev);
    project.write("yunqiao.toml", "[database]\nmissing = \"create\"\n");
    let call = ["call", "all", "--data", r#"{"reads":"orders"}"#, "--dir"];
    let (output, out, err) = run(yunqiao().args(call).arg(project.path()));
    assert!(output.status.success() && out.contains("\"data\""), "{out}{err}");
}

#[test]
fn a_database_that_is_none_is_said_to_be_none() {
    let project = notes();
    fs::create_dir(project.path().join(".yunqiao")).unwrap();
    let file = project.path().join(".yunqiao/database.redb");
    for (content, part) in [
        ("", "is not the database: it is an empty file"),
        (
            "not a database",
            "is not the database: it is a file of another kind",
        ),
    ] {
        fs::write(&file, content).unwrap();
        let (output, out, err) = run(yunqiao().arg("dev").arg(project.path()).args(["--port", "0"]));
        assert!(!output.status.success(), "{out}{err}");
        assert!(err.contains(part) && err.contains("database.redb"), "{err}");
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}

/// A function that does what its event says with a counter of its own, in transactions and without.
const COUNTER: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
const db = cloud.database();
const more = { data: { n: db.command.inc(1) } };
exports.main = async ({ how, die, times = 1 }) => {
  const doc = (from = db) => from.collection('counters').doc('one');
  if (how === 'set') return doc().set({ data: { n: 0 } });
  if (how === 'get') return (await doc().get()).data.n;
  if (how === 'add') return (await doc().update(more)).stats.updated;
  if (how === 'race') {
    const open = await Promise.all(Array.from({ length: 6 }, () => db.startTransaction()));
    await Promise.all(open.map((transaction) => doc(transaction).get()));
    return Promise.all(open.map(async (transaction) => {
      try {
        await doc(transaction).update(more);
        await transaction.commit();
        return 'won';
      } catch (error) {
        return `${error.errCode} ${error.errMsg}`;
      }
    }));
  }
  if (how === 'increment') {
    let conflicts = 0;
    while (times > 0) {
      const transaction = await db.startTransaction();
      try {
        const { n } = (await doc(transaction).get()).data;
        await doc(transaction).update({ data: { n: n + 1 } });
        await transaction.commit();
        times -= 1;
      } catch (error) {
        if (!error.errMsg.includes('TransactionConflict')) throw error;
        conflicts += 1;
      }
    }
    return conflicts;
  }
  const transaction = await db.startTransaction();
  // Somebody else may be quicker.
  await doc(transaction).update({ data: { n: 1000 } });
  if (die === 'throw') throw new Error('it holds a transaction');
  if (die === 'kill') process.kill(process.pid, 'SIGKILL');
  // Its time runs out.
  await new Promise(() => {});
};";

/// A project with that function, and under another name with little time.
fn counters() -> Scratch {
    let project = Scratch::new(&[]);
    function(&project, "counter", "4.0.2", COUNTER);
    function(&project, "short", "4.0.2", COUNTER);
    project.write(
        "yunqiao.toml",
        "[functions.counter]\ntimeout = 25\n[functions.short]\ntimeout = 1\n",
    );
    project
}

#[tokio::test]
async fn of_six_transactions_on_one_document_one_wins_and_the_others_are_told_so() {
    let project = counters();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    alice.result("counter", json!({"how": "set"}), &[]).await;
    for round in 1..=5 {
        let came = alice.result("counter", json!({"how": "race"}), &[]).await;
        let came: Vec<&str> = came
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect();
        let lost: Vec<_> = came.iter().filter(|one| **one != "won").collect();
        assert_eq!(lost.len(), 5, "{came:?}");
        for text in lost {
            assert!(
                text.starts_with("-501001 document.update:fail -501001")
                    && text.contains("[ResourceUnavailable.TransactionConflict] Transaction is conflict"),
                "{text}"
            );
        }
        assert_eq!(alice.result("counter", json!({"how": "get"}), &[]).await, round);
    }
}

#[tokio::test]
async fn increments_of_programs_with_a_loop_of_their_own_are_not_lost() {
    let project = counters();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    alice.result("counter", json!({"how": "set"}), &[]).await;
    let event = json!({"how": "increment", "times": 25});
    let program = || alice.result("counter", event.clone(), &[]);
    let plain = async {
        for _ in 0..20 {
            let added = alice.result("counter", json!({"how": "add"}), &[]).await;
            assert_eq!(added, 1);
        }
        Value::Null
    };
    tokio::join!(program(), program(), program(), program(), plain);
    assert_eq!(alice.result("counter", json!({"how": "get"}), &[]).await, 120);
}

const TOO_LARGE: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async () => {
  const notes = cloud.database().collection('notes');
  const said = (asked) => asked.then((done) => done.errMsg, (error) => error.message || error.errMsg);
  const refused = [];
  for (let time = 0; time < 3; time += 1) {
    refused.push(await said(notes.add({ data: { text: 'x'.repeat(17 << 20) } })));
    refused.push(await said(cloud.uploadFile({ cloudPath: 'huge', fileContent: Buffer.alloc(40 << 20) })));
  }
  return { refused, added: await said(notes.add({ data: { text: 'x' } })) };
};";

/// What is too large is refused and nothing else, as often as it is sent: the function goes on, and so do the calls after it.
#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_ends_no_function() {
    let versions = ["1.8.3", "2.6.3", "4.0.2"];
    let project = Scratch::new(&[]);
    let mut settings = "[storage]\nmax_size = \"1MB\"\n".to_owned();
    for version in versions {
        function(&project, &name(version), version, TOO_LARGE);
        settings.push_str(&format!("[functions.{}]\ntimeout = 60\n", name(version)));
    }
    project.write("yunqiao.toml", &settings);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for version in versions {
        let came = alice.result(&name(version), json!({}), &[]).await;
        for pair in came["refused"].as_array().unwrap().chunks(2) {
            let [request, file] = [&pair[0], &pair[1]].map(|one| one.as_str().unwrap_or_default());
            assert!(
                request.contains("Check request parameter fail: the request's body is over 16 MB"),
                "{version}: {came}"
            );
            assert!(file.contains("uploadFile:fail"), "{version}: {came}");
        }
        let added = came["added"].as_str().unwrap_or_default();
        assert!(added.ends_with("add:ok"), "{version}: {came}");
    }
}

const READER: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async ({ add }) => {
  const shared = cloud.database().collection('shared');
  if (add) await shared.add({ data: { at: /a/gi } });
  const { data } = await shared.get();
  return data.length;
};";

/// What a client writes and an SDK cannot read keeps the collection from nobody.
#[tokio::test]
async fn a_document_that_no_sdk_reads_keeps_a_collection_from_nobody() {
    let versions = ["1.8.3", "2.6.3", "4.0.2"];
    let project = Scratch::new(&[]);
    for version in versions {
        function(&project, &name(version), version, READER);
    }
    project.write(
        "yunqiao.toml",
        "[database.collections.shared]\npermission = \"READONLY\"\n",
    );
    let dev = Dev::start(project.path());
    let bob = dev.login("bob").await;
    let values = [
        r#"{"$regularExpression":{"pattern":"x","options":"g"}}"#,
        r#"{"$binary":{"base64":"AA==","subType":"04"}}"#,
        r#"{"$timestamp":5}"#,
        r#"{"type":"Point","coordinates":[500,1]}"#,
        r#"{"type":"LineString","coordinates":[null,null]}"#,
        r#"{"type":"Polygon","coordinates":[[[0,0]]]}"#,
        r#"{"type":"MultiPolygon","coordinates":[[]]}"#,
    ];
    for value in values {
        let document = format!(r#"{{"at":{value}}}"#);
        let body =
            json!({"action": "database.insertDocument", "collectionName": "shared", "data": [document]});
        let (_, added) = dev.post("/v1/database", Some(&bob.token), body.to_string()).await;
        assert!(added["data"]["insertedIds"].is_array(), "{value}: {added}");
    }
    let mut there = values.len();
    for version in versions {
        // What a function adds itself it reads, too.
        for add in [false, true] {
            there += usize::from(add);
            let read = bob.result(&name(version), json!({"add": add}), &[]).await;
            assert_eq!(read, there, "{version}");
        }
    }
}

/// What a call waited for when it ended stands in its account: it is the likeliest reason for its end.
#[tokio::test]
async fn a_query_that_outlives_its_call_is_told_with_the_call() {
    let project = Scratch::new(&[]);
    function(
        &project,
        "stuck",
        "3.0.4",
        r"
const cloud = require('wx-server-sdk');
cloud.init();
const big = cloud.database().collection('big');
exports.main = async () => {
  const many = Array.from({ length: 2000 }, (_, n) => n);
  await big.add({ data: { a: many, b: many, c: many } });
  return big.aggregate().unwind('$a').unwind('$b').unwind('$c').count('n').end();
};",
    );
    project.write("yunqiao.toml", "[functions.stuck]\ntimeout = 8\n");
    let dev = Dev::start(project.path());
    let bob = dev.login("bob").await;
    let (status, reply) = bob.call("stuck", json!({})).await;
    assert_eq!((status, &reply["errCode"]), (504, &json!(-504_003)), "{reply}");
    // Whether the call's end or that of its connection is seen first is the process's affair; the query and the code are there.
    dev.server.prints_soon("→ database big aggregateDocuments").await;
    dev.server.prints_soon("-501002 ").await;
}

/// A transaction ends with the call that began it where that fails, whatever way it fails: what it had locked is free, and what waited
/// goes on. Otherwise the writes here would wait for longer than their function may run.
#[tokio::test]
async fn a_transaction_ends_with_a_call_that_fails() {
    let project = counters();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    alice.result("counter", json!({"how": "set"}), &[]).await;
    for (round, (function, die)) in [("counter", "throw"), ("counter", "kill"), ("short", "wait")]
        .into_iter()
        .enumerate()
    {
        let (status, reply) = alice.call(function, json!({"how": "hold", "die": die})).await;
        assert!(status >= 500, "{die}: {reply}");
        let added = alice.result("counter", json!({"how": "add"}), &[]).await;
        assert_eq!(added, 1, "{die}");
        let stands = alice.result("counter", json!({"how": "get"}), &[]).await;
        assert_eq!(stands, round + 1, "{die}");
    }
}

/// Workers are killed while they hold transactions, beside programs that write: nothing stays locked, nothing is lost.
async fn killed_beside_writers(rounds: u64) {
    let project = counters();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    alice.result("counter", json!({"how": "set"}), &[]).await;
    let holds = async {
        for _ in 0..rounds {
            alice.call("short", json!({"how": "hold", "die": "kill"})).await;
        }
    };
    let adds = async {
        for _ in 0..rounds {
            let added = alice.result("counter", json!({"how": "add"}), &[]).await;
            assert_eq!(added, 1);
        }
    };
    let increments = alice.result("counter", json!({"how": "increment", "times": rounds}), &[]);
    tokio::join!(holds, adds, increments);
    let stands = alice.result("counter", json!({"how": "get"}), &[]).await;
    assert_eq!(stands, rounds * 2);
}

#[tokio::test]
async fn workers_that_are_killed_with_transactions_keep_nobody_waiting() {
    killed_beside_writers(4).await;
}

#[tokio::test]
#[ignore = "the long form of the test above"]
async fn many_workers_that_are_killed_with_transactions_keep_nobody_waiting() {
    killed_beside_writers(40).await;
}

/// A disk that is full: here the database's file may not grow any more. It is said, nothing that was acknowledged is lost, and it works
/// again by itself when there is room.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_was_full_ends_no_database() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let project = notes();
    let function = name("4.0.2");
    let command = Dev::command(yunqiao(), project.path());
    // Without the trap, the signal of a file that is too large would end the process.
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let dev = Dev::of(Server::start(&mut shell), project.path());
    let alice = dev.login("alice").await;
    let add = async |number: u64| {
        let add = json!({"_id": format!("n{number}"), "text": "x".repeat(50_000)});
        alice.call(&function, json!({"add": add})).await
    };
    assert_eq!(add(0).await.0, 200);

    let pid = Pid::from_raw(i32::try_from(dev.server.pid()).unwrap());
    let limit = |bytes| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    };
    // Room for its head and no more.
    limit(Some(4096));
    let number = 1;
    let (status, why) = add(number).await;
    assert_ne!(status, 200);
    assert!(text(&why["errMsg"]).contains("-501001"), "{why}");
    dev.server.prints("database.redb failed: ");
    // What is there can be read.
    let kept = alice.result(&function, json!({}), &[]).await;
    assert_eq!(kept.as_array().unwrap().len() as u64, number + 2);
    let ready = async || {
        let reply = dev.client.get(format!("{}/readyz", dev.server.url)).send();
        let reply = reply.await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let (status, why) = ready().await;
    assert!(
        status == 503 && why.contains("the database does not work"),
        "{why}"
    );

    limit(None);
    while ready().await.0 != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(add(number).await.0, 200);
    let kept = alice.result(&function, json!({}), &[]).await;
    assert_eq!(kept.as_array().unwrap().len() as u64, number + 3);
}
