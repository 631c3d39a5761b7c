//! `yunqiao db`: documents in and out, beside a server and without one.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Dev, Scratch, Server, run, yunqiao};

fn db(dir: &Path, args: &[&str]) -> Command {
    let mut command = yunqiao();
    command.arg("db").arg("--dir").arg(dir).args(args);
    command
}

/// Runs it; gives whether it went well, and what it printed.
fn done(mut command: Command) -> (bool, String, String) {
    let (output, out, err) = run(&mut command);
    (output.status.success(), out, err)
}

fn with_input(mut command: Command, input: &str) -> (bool, String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn listed(dir: &Path) -> Value {
    let (good, out, err) = done(db(dir, &["ls", "--json"]));
    assert!(good, "{err}");
    serde_json::from_str(&out).unwrap()
}

const LINES: &str = "{\"_id\":\"a\",\"title\":\"云\",\"at\":{\"$date\":\"2018-08-31T17:30:00.882Z\"}}\n{\"_id\":\"b\",\"n\":1.0,\"of\":{\"city\":\"北京\"}}\n";

/// What every way to a database does, in a project that has nothing in it.
fn everything(dir: &Path) {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    assert_eq!(listed(dir), json!({ "collections": [] }));
    let (good, _, err) = done(db(dir, &["export", "todos"]));
    assert!(!good && err.contains("there is no collection \"todos\""), "{err}");

    let (good, out, err) = with_input(db(dir, &["import", "todos", "-", "--json"]), LINES);
    assert!(good, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        report,
        json!({"added": 2, "replaced": 0, "refused": 0, "idTaken": 0, "told": []})
    );
    let (good, _, err) = with_input(
        db(dir, &["import", "todos", "-"]),
        &format!("{{\"_id\":\"c\"}}\n{LINES}"),
    );
    assert!(!good, "{err}");
    for part in [
        "1 added",
        "-, line 2: E11000",
        "-, line 3: E11000",
        "2 documents did not go in",
        "--upsert",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (good, _, err) = with_input(db(dir, &["import", "todos", "-", "--upsert"]), LINES);
    assert!(good && err.contains("0 added, 2 replaced"), "{err}");

    let (good, out, err) = done(db(
        dir,
        &["export", "todos", "--where", "{\"_id\":{\"$ne\":\"c\"}}"],
    ));
    assert!(good, "{err}");
    assert_eq!(out, LINES);
    let (good, _, err) = done(db(dir, &["export", "todos", &file("todos.csv")]));
    assert!(good && err.contains("3 documents in"), "{err}");
    assert_eq!(
        fs::read_to_string(file("todos.csv")).unwrap(),
        "_id,title,at,n,of.city\r\na,云,2018-08-31T17:30:00.882Z,,\r\nb,,,1.0,北京\r\nc,,,,\r\n"
    );
    assert!(!err.contains("spreadsheet"), "{err}");
    let formula = "{\"_id\":\"=1+1\"}";
    let (good, _, err) = with_input(db(dir, &["import", "formulas", "-"]), formula);
    assert!(good, "{err}");
    let (good, out, err) = done(db(dir, &["export", "formulas", "--format", "csv"]));
    assert!(good && err.contains("1 cell begins with =, +, - or @"), "{err}");
    assert_eq!(out, "_id\r\n=1+1\r\n");
    let (good, _, err) = done(db(dir, &["import", "copies", &file("todos.csv")]));
    assert!(good, "{err}");
    let (_, out, _) = done(db(dir, &["export", "copies", "--format", "array"]));
    let copies: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(copies[1], json!({"_id": "b", "n": 1.0, "of": {"city": "北京"}}));

    for args in [
        &["index", "todos", "of.city", "-at"][..],
        &["index", "todos", "phone", "--unique", "--sparse"],
        &["index", "todos", "place", "-at", "--2dsphere"],
        &["index", "todos", "at", "there:2dsphere"],
        &["index", "todos", "-views", "at"],
        &["index", "todos", "--remove", "-views", "at"],
        &["index", "todos", "--sparse", "--", "-v"],
        &["index", "todos", "--remove", "v_-1"],
    ] {
        let (good, _, err) = done(db(dir, args));
        assert!(good, "{args:?}: {err}");
    }
    let (good, out, err) = done(db(dir, &["index", "todos"]));
    assert!(good, "{err}");
    assert_eq!(
        out,
        "_id_\nof.city_1_at_-1\nphone_1 (unique) (sparse)\nplace_2dsphere_at_-1\nat_1_there_2dsphere\n"
    );
    // What is there always, what cannot be, and a name with a slip in it.
    let (good, _, err) = done(db(dir, &["index", "copies", "_id"]));
    assert!(good && err.contains("copies: _id_"), "{err}");
    for (args, part) in [
        (
            &["index", "todos", "at", "-at"][..],
            "\"at\" stands twice in one index",
        ),
        (&["index", "todos", "-at", "--2dsphere"], "places have no order"),
        (&["index", "todo", "a"], "did you mean \"todos\"?"),
        (
            &["import", "a$b", &file("todos.csv")],
            "\"a$b\" is no name of a collection: leave out the '$'",
        ),
    ] {
        let (good, _, err) = done(db(dir, args));
        assert!(!good && err.contains(part), "{args:?}: {err}");
    }
    let (good, _, err) = done(db(dir, &["index", "todos", "--remove", "nothing"]));
    assert!(
        !good && err.contains("todos has no index nothing; it has of.city_1_at_-1, phone_1"),
        "{err}"
    );
    let index = |name: &str, fields: Value, unique: bool| json!({"name": name, "fields": fields, "unique": unique, "sparse": unique});
    let mut place = index("place_2dsphere_at_-1", json!(["place", "-at"]), false);
    place["kind"] = json!("2dsphere");
    let there = index("at_1_there_2dsphere", json!(["at", "there:2dsphere"]), false);
    assert_eq!(
        listed(dir),
        json!({"collections": [
            {"name": "copies", "documents": 3, "indexes": []},
            {"name": "formulas", "documents": 1, "indexes": []},
            {"name": "todos", "documents": 3, "indexes": [
                index("of.city_1_at_-1", json!(["of.city", "-at"]), false), index("phone_1", json!(["phone"]), true), place, there,
            ]},
        ]})
    );

    // More than one batch, and broken behind.
    let mut many: String = (0..2500).map(|n| format!("{{\"_id\":{n}}}\n")).collect();
    fs::write(file("many.json"), format!("{many}{{\"_id\":,}}\n")).unwrap();
    let (good, _, err) = done(db(dir, &["import", "many", &file("many.json")]));
    assert!(!good, "{err}");
    for part in [
        "many.json",
        "line 2501, column 8: expected a value",
        "2500 documents went in before",
        "--upsert",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (good, out, err) = done(db(dir, &["export", "many", "--canonical"]));
    assert!(good, "{err}");
    many = (0..2500)
        .map(|n| format!("{{\"_id\":{{\"$numberInt\":\"{n}\"}}}}\n"))
        .collect();
    assert!(out == many, "{}", &out[..200]);
    // What may be done about an _id is said, however much else was refused before.
    let mut taken: String = (0..30)
        .map(|n| format!("{{\"_id\":\"p{n}\",\"phone\":\"8\"}}\n"))
        .collect();
    taken.push_str("{\"_id\":\"c\"}\n");
    let (good, _, err) = with_input(db(dir, &["import", "todos", "-"]), &taken);
    assert!(
        !good && err.contains("30 documents did not go in") && err.contains("--upsert"),
        "{err}"
    );
    // What is exported comes back as it was, whatever its names are.
    let dotted = "{\"_id\":\"1\",\"a.b\":1,\"o\":{\".c\":2,\"$x\":3}}\n";
    let (good, _, err) = with_input(db(dir, &["import", "dots", "-", "--as-written"]), dotted);
    assert!(good && !err.contains("path"), "{err}");
    let (good, out, err) = done(db(dir, &["export", "dots"]));
    assert!(good && err.contains("--as-written"), "{err}");
    assert_eq!(out, dotted);
    let (good, _, err) = with_input(db(dir, &["import", "paths", "-"]), "{\"_id\":\"1\",\"a.b\":1}\n");
    assert!(
        good && err.contains("1 document: a name with a dot in it was taken for a path"),
        "{err}"
    );
    let (_, out, _) = done(db(dir, &["export", "paths"]));
    assert_eq!(out, "{\"_id\":\"1\",\"a\":{\"b\":1}}\n");
    // A name that is not there, and a file that is not there.
    let (good, _, err) = done(db(dir, &["export", "todo"]));
    assert!(!good && err.contains("did you mean \"todos\"?"), "{err}");
    let (good, _, err) = done(db(dir, &["import", "todos", "nowhere.json"]));
    assert!(!good && err.contains("nowhere.json cannot be opened"), "{err}");
}

#[test]
fn documents_go_in_and_out_without_a_server() {
    let project = Scratch::new(&[]);
    everything(project.path());
}

#[test]
fn documents_go_in_and_out_beside_a_dev_that_runs() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let _dev = Dev::start(project.path());
    everything(project.path());
}

#[test]
fn a_seed_that_is_broken_is_told_with_its_place_and_leaves_nothing() {
    let project = Scratch::new(&[]);
    project.write("yunqiao.toml", "[database]\nseed = \"seed\"\n");
    project.write("seed/notes.json", "{\"_id\":\"a\"}\n{\"_id\":\"b\",}\n");
    let mut command = yunqiao();
    command.arg("exec").arg(project.path()).args(["--", "true"]);
    let (good, _, err) = done(command);
    assert!(!good, "{err}");
    for part in [
        "[database] seed",
        "seed/notes.json",
        "line 2, column 12: expected a quoted key",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (output, _, err) = run(yunqiao().args(["dev", "--port", "0"]).arg(project.path()));
    assert!(!output.status.success(), "{err}");
    assert_eq!(listed(project.path())["collections"][0]["documents"], 0);
}

const UNIQUE: &str = "[database.collections.users]\nindexes = [{ fields = [\"phone\"], unique = true }]\n";

#[test]
fn what_goes_in_before_the_first_start_is_held_to_the_indexes_of_the_settings() {
    let project = Scratch::new(&[]);
    project.write("yunqiao.toml", UNIQUE);
    let dir = project.path();
    let (good, _, err) = with_input(
        db(dir, &["import", "users", "-"]),
        "{\"_id\":\"1\"}\n{\"_id\":\"2\"}\n",
    );
    assert!(!good, "{err}");
    for part in [
        "1 added",
        "-, line 2: E11000",
        "phone: null",
        "1 document did not go in",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    // Another one is not there by its _id.
    assert!(!err.contains("--upsert"), "{err}");
    let (_, out, _) = done(db(dir, &["index", "users"]));
    assert_eq!(out, "_id_\nphone_1 (unique)\n");
}

#[test]
fn an_index_that_the_documents_do_not_admit_is_told_with_those_and_the_mend() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let dir = project.path();
    let documents = "{\"_id\":\"1\"}\n{\"_id\":\"2\"}\n{\"_id\":\"3\",\"phone\":\"5\"}\n";
    let (good, _, err) = with_input(db(dir, &["import", "users", "-"]), documents);
    assert!(good, "{err}");
    project.write("yunqiao.toml", UNIQUE);
    let mend = [
        "the index phone_1 cannot be made",
        "dup key: { phone: null }",
        "of the _id \"1\" and \"2\"",
        "sparse = true",
        "yunqiao db export users --where '{\"phone\":null}'",
    ];
    let tells = |err: &str| {
        mend.iter()
            .for_each(|part| assert!(err.contains(part), "{part}: {err}"))
    };
    let (output, out, _) = run(yunqiao().arg("doctor").arg(dir));
    assert!(!output.status.success(), "{out}");
    tells(&out);
    {
        let dev = Dev::start(dir);
        dev.server.prints("it goes on without");
        tells(&dev.server.printed());
    }
    // One that mends nothing leaves it as it is, and says so.
    let (good, _, err) = with_input(
        db(dir, &["import", "users", "-"]),
        "{\"_id\":\"7\",\"phone\":\"7\"}\n",
    );
    assert!(good && err.contains("it goes on without"), "{err}");
    // Not by a look.
    let (good, out, err) = done(db(dir, &["export", "users", "--where", "{\"phone\":null}"]));
    assert!(good, "{err}");
    assert_eq!(out, "{\"_id\":\"1\"}\n{\"_id\":\"2\"}\n");
    assert!(!err.contains("cannot be made"), "{err}");
    let (good, _, err) = with_input(
        db(dir, &["import", "users", "-", "--upsert"]),
        "{\"_id\":\"2\",\"phone\":\"6\"}\n",
    );
    // It was this import that mended it, and so nothing is amiss behind it.
    assert!(good && !err.contains("cannot be made"), "{err}");
    assert!(err.contains("users: the index phone_1 is made"), "{err}");
    let (output, out, _) = run(yunqiao().arg("doctor").arg(dir));
    assert!(output.status.success(), "{out}");
    let (good, _, err) = with_input(
        db(dir, &["import", "users", "-"]),
        "{\"_id\":\"4\",\"phone\":\"6\"}\n",
    );
    assert!(!good && err.contains("phone: \"6\""), "{err}");
}

#[test]
fn serve_does_not_start_without_an_index_that_it_is_to_have_and_its_check_says_so_before() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let dir = project.path();
    let settings = "secret_file = \"appsecret\"\nlisten = \"127.0.0.1:0\"\n";
    project.write("appsecret", "0123456789abcdef0123456789abcdef");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(dir.join("appsecret"), mode).unwrap();
    project.write("yunqiao.toml", settings);
    let config = dir.join("yunqiao.toml");
    let mut import = yunqiao();
    import
        .args(["db", "-c"])
        .arg(&config)
        .args(["import", "users", "-"]);
    let documents = "{\"_id\":\"1\",\"phone\":\"5\"}\n{\"_id\":\"2\",\"phone\":\"5\"}\n";
    let (good, _, err) = with_input(import, documents);
    assert!(good, "{err}");
    project.write("yunqiao.toml", &format!("{settings}{UNIQUE}"));
    let file = dir.join("database.redb");
    let state = || {
        (
            fs::read(&file).unwrap(),
            fs::metadata(&file).unwrap().modified().unwrap(),
        )
    };
    let before = state();
    for check in [&["--check"][..], &[]] {
        let (output, _, err) = run(yunqiao().arg("serve").arg("-c").arg(&config).args(check));
        assert!(!output.status.success(), "{err}");
        for part in [
            "the index phone_1 cannot be made",
            "of the _id \"1\" and \"2\"",
            "yunqiao db export users --where '{\"phone\":\"5\"}'",
        ] {
            assert!(err.contains(part), "{part}: {err}");
        }
        assert!(!err.contains("sparse"), "{err}");
        if check == ["--check"] {
            assert!(state() == before, "a look changed the file");
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_chinese() {
    let project = Scratch::new(&[]);
    let dir = project.path();
    for (text, said) in [
        ("{\"_id\":,}\n", "第 1 行第 8 列：这里应是一个值"),
        (",b\n1,2\n", "第 1 行第 1 列：第一行必须是以逗号分隔的字段名"),
        ("a,a\n1,2\n", "第 1 行第 2 列：第一行里 \"a\" 这一列出现两次"),
        ("[{\"a\":1}", "文件在数组中间结束"),
    ] {
        let (good, _, err) = with_input(db(dir, &["import", "c", "-", "--lang", "zh"]), text);
        assert!(!good && err.contains(said), "{said}: {err}");
    }
    let (good, _, err) = done(db(dir, &["export", "c", "--where", "{a", "--lang", "zh"]));
    assert!(
        !good && err.contains("第 1 字节处：这里应是带引号的字段名"),
        "{err}"
    );
}

/// What was written last is in the journal: there is not nothing.
#[test]
fn a_journal_that_lost_its_file_is_told_by_whoever_looks() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let dir = project.path();
    let kept = dir.join(".yunqiao");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("database.redb-journal"), "what was written last").unwrap();
    for args in [&["ls"][..], &["export", "todos"], &["import", "todos", "-"]] {
        let (good, out, err) = done(db(dir, args));
        assert!(
            !good && err.contains("database.redb-journal"),
            "{args:?}: {out}{err}"
        );
        assert!(!kept.join("database.redb").exists(), "{args:?}");
    }
    let mut doctor = yunqiao();
    doctor.arg("doctor").arg(dir);
    let (_, out, err) = done(doctor);
    assert!(err.contains("database.redb-journal"), "{out}{err}");
}

/// A file without documents makes its collection, one that is refused makes none, whether `dev` runs or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_made_by_a_file_that_is_taken() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let dir = project.path();
    project.write("none.jsonl", "");
    project.write("bad.csv", "a,b\n1,2,3\n");
    let at = |file: &str| dir.join(file).to_str().unwrap().to_owned();
    let made = |taken: &str, refused: &str| {
        assert!(done(db(dir, &["import", taken, &at("none.jsonl")])).0);
        assert!(!done(db(dir, &["import", refused, &at("bad.csv")])).0);
        let (_, out, _) = done(db(dir, &["--json", "ls"]));
        assert!(out.contains(taken) && !out.contains(refused), "{out}");
    };
    made("first", "bad");
    let dev = Dev::start(dir);
    tokio::task::block_in_place(|| made("second", "worse"));
    drop(dev);
}

/// A test may prepare its documents by `db import`: it means the run of `exec` around it, and not what `dev` keeps.
#[test]
fn in_exec_the_database_is_that_of_the_run() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    project.write("todos.jsonl", "{\"_id\":\"t1\"}\n{\"_id\":\"t2\"}\n");
    let mut exec = yunqiao();
    exec.arg("exec").arg(project.path()).args(["--", "sh", "-c"]);
    exec.arg("cd \"$YUNQIAO_PROJECT\" && $0 db import todos todos.jsonl && $0 db --json ls && $0 call one");
    exec.arg(env!("CARGO_BIN_EXE_yunqiao"));
    let (good, out, err) = done(exec);
    assert!(good && out.contains("\"todos\""), "{out}{err}");
    assert!(!err.contains("started for this call alone"), "{err}");
    assert!(!project.path().join(".yunqiao/database.redb").exists());
}

/// What reads a page that holds something else may panic inside; a person is told of a damaged file.
#[test]
fn a_damaged_file_is_told_as_such_and_nothing_else() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let dir = project.path();
    let rows: String = (0..3000)
        .map(|n| format!("{}\n", json!({"_id": n, "s": "x".repeat(300)})))
        .collect();
    project.write("rows.jsonl", &rows);
    let rows = dir.join("rows.jsonl");
    let (good, out, err) = done(db(dir, &["import", "a", rows.to_str().unwrap()]));
    assert!(good, "{out}{err}");
    let file = dir.join(".yunqiao/database.redb");
    let sound = fs::read(&file).unwrap();
    let mut refused = 0;
    for page in [3, 8, 21, 34, 55, 89] {
        let mut damaged = sound.clone();
        damaged[page * 4096..][..4096].fill(0xA5);
        fs::write(&file, &damaged).unwrap();
        let (good, out, err) = done(db(dir, &["ls"]));
        assert!(!err.contains("panicked"), "{page}: {out}{err}");
        if !good {
            assert!(err.contains("is damaged"), "{page}: {out}{err}");
            refused += 1;
        }
        assert_eq!(fs::read(&file).unwrap(), damaged, "{page}");
    }
    assert!(refused > 3, "{refused}");
}

#[test]
fn the_database_of_serve_is_reached_by_its_configuration() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let free = |port: u16| {
        std::net::TcpListener::bind(("127.0.0.1", port))
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    };
    // Nobody else gets it before the server does: this one is let go at once.
    let operator = free(0);
    project.write("operator.secret", "0123456789abcdef0123456789abcdef");
    project.write(
        "yunqiao.toml",
        &format!(
            "secret_file = \"appsecret\"\nlisten = \"127.0.0.1:0\"\n[operator]\nlisten = \"127.0.0.1:{operator}\"\nsecret_file = \"operator.secret\"\n"
        ),
    );
    project.write("appsecret", "0123456789abcdef0123456789abcdef");
    for file in ["appsecret", "operator.secret"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(project.path().join(file), mode).unwrap();
    }
    let config = project.path().join("yunqiao.toml");
    let with_config = |args: &[&str]| {
        let mut command = yunqiao();
        command.arg("db").arg("-c").arg(&config).args(args);
        command
    };
    let (good, _, err) = with_input(with_config(&["import", "todos", "-"]), LINES);
    assert!(good, "{err}");
    assert!(project.path().join("database.redb").exists());
    let server = Server::start(yunqiao().arg("serve").arg("-c").arg(&config));
    let (good, out, err) = done(with_config(&["export", "todos"]));
    assert!(good, "{err}");
    assert_eq!(out, LINES);
    let (good, _, err) = with_input(with_config(&["import", "todos", "-"]), "{\"_id\":\"c\"}");
    assert!(good, "{err}");
    drop(server);
    let (good, out, err) = done(with_config(&["export", "todos"]));
    assert!(good, "{err}");
    assert_eq!(out, format!("{LINES}{{\"_id\":\"c\"}}\n"));
}
