//! `yunqiao files`: what lies in storage, in and out, with a server that runs and without, and from one place to another.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    object_store::ObjectStore,
    support::{APPID, Dev, OPERATOR_SECRET, Scratch, Server, client, free_port, run, yunqiao},
};

/// A project, and a folder of files to upload.
fn project() -> Scratch {
    let project = Scratch::new(&[("main", "exports.main = () => 1;")]);
    project.write("photos/a.txt", "a");
    project.write("photos/头像/小明 #1%20.png", "picture");
    project.write("photos/empty", "");
    fs::write(project.path().join("photos/large.bin"), large()).unwrap();
    project
}

fn large() -> Vec<u8> {
    (0..700_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Runs `yunqiao files …` in the project's folder; answers what it printed, and what it said.
fn files(project: &Path, with: impl FnOnce(&mut Command), args: &[&str]) -> (bool, String, String) {
    let mut command = yunqiao();
    command
        .arg("files")
        .args(args)
        .current_dir(project)
        .env("TZ", "UTC")
        .env("YUNQIAO_OPERATOR_SECRET", OPERATOR_SECRET);
    with(&mut command);
    let (output, out, err) = run(&mut command);
    (output.status.success(), out, err)
}

/// The same, where it has to succeed.
fn good(project: &Path, args: &[&str]) -> String {
    let (good, out, err) = files(project, |_| {}, args);
    assert!(good, "{args:?}: {out}{err}");
    out
}

/// Everything that the command does, which is the same whoever has the files open.
fn all_of_it(project: &Path, place: &[&str]) {
    fn joined<'a>(place: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
        [place, args].concat()
    }
    let ids = good(project, &joined(place, &["put", "photos"]));
    assert_eq!(ids.lines().count(), 4, "{ids}");
    assert!(ids.contains("/photos/头像/小明 #1%20.png"), "{ids}");
    let listed = good(project, &joined(place, &["ls", "photos/"]));
    let names: Vec<&str> = listed
        .lines()
        .map(|line| line.rsplit("  ").next().unwrap())
        .collect();
    assert_eq!(
        names,
        ["photos/a.txt", "photos/empty", "photos/large.bin", "photos/头像/"]
    );
    let deep = good(project, &joined(place, &["--json", "ls", "-r", "photos"]));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let sizes: Vec<u64> = deep["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["size"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [1, 0, 2_800_000, 7]);
    assert!(
        deep["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file["type"].is_null()),
        "{deep}"
    );

    // One by its id, one to standard output, and all of them.
    let id = ids.lines().find(|id| id.ends_with("20.png")).unwrap();
    good(project, &joined(place, &["get", id, "back.png"]));
    assert_eq!(fs::read(project.join("back.png")).unwrap(), b"picture");
    assert_eq!(good(project, &joined(place, &["get", "photos/a.txt", "-"])), "a");
    good(project, &joined(place, &["get", "photos/", "again"]));
    assert_eq!(fs::read(project.join("again/large.bin")).unwrap(), large());
    assert_eq!(
        fs::read(project.join("again/头像/小明 #1%20.png")).unwrap(),
        b"picture"
    );
    assert_eq!(fs::read(project.join("again/empty")).unwrap(), b"");

    // What is on this machine stays, unless it is said that it may go.
    fs::write(project.join("again/a.txt"), "mine").unwrap();
    for (args, expected) in [
        (&["get", "photos/", "again"][..], "with --force"),
        (&["get", "photos/a.txt", "again"], "with --force"),
        (&["get", "/"], "give TARGET"),
    ] {
        let (good, _, said) = files(project, |_| {}, &joined(place, args));
        assert!(!good && said.contains(expected), "{args:?}: {said}");
    }
    assert_eq!(fs::read(project.join("again/a.txt")).unwrap(), b"mine");
    good(project, &joined(place, &["get", "photos/", "again", "--force"]));
    assert_eq!(fs::read(project.join("again/a.txt")).unwrap(), b"a");

    // With an owner and another name; a folder's name puts it below.
    good(
        project,
        &joined(place, &["put", "photos/a.txt", "notes/", "--owner", "oAlice"]),
    );
    let (_, listed, _) = files(project, |_| {}, &joined(place, &["ls", "notes/"]));
    assert!(listed.trim_end().ends_with("notes/a.txt  (oAlice)"), "{listed}");

    for (args, expected) in [
        (&["rm", "photos/"][..], "with -r"),
        (&["rm", "-r", ""], "a path is empty"),
        (&["rm", "-r", "/"], "with -r --all"),
        (&["rm", "-r", "photos/", "//"], "with -r --all"),
        (&["rm", "photos"], "it is a folder: photos/ with -r"),
        (&["rm", "missing.txt"], "there is no file \"missing.txt\""),
        (&["get", "missing.txt"], "there is no file \"missing.txt\""),
        (&["get", "missing/"], "no file's path begins with \"missing/\""),
        (&["put", "photos/a.txt", "a/../b"], "\"..\""),
        (&["put", "missing"], "missing cannot be read"),
    ] {
        let (good, _, said) = files(project, |_| {}, &joined(place, args));
        assert!(!good && said.contains(expected), "{args:?}: {said}");
    }
    assert!(!project.join("missing.txt").exists());
    good(project, &joined(place, &["rm", "-r", "photos/", "notes/a.txt"]));
    let none = good(project, &joined(place, &["--json", "ls"]));
    assert_eq!(
        serde_json::from_str::<Value>(&none).unwrap(),
        json!({"files": [], "folders": []})
    );
    for left in ["again", "back.png"] {
        let left = project.join(left);
        let _ = fs::remove_dir_all(&left).or_else(|_| fs::remove_file(&left));
    }
}

/// What any user may call a file, and no file of this machine can be called, keeps no other back.
#[test]
fn a_name_that_cannot_be_had_here_keeps_nothing_else_back() {
    let project = project();
    let root = project.path();
    let long = format!("x/{}.txt", "长".repeat(100));
    for path in ["x/a", "x/a/b", &long, "x/z"] {
        good(root, &["put", "photos/a.txt", path]);
    }
    let (done, out, said) = files(root, |_| {}, &["get", "x/", "out"]);
    assert!(!done && out.is_empty(), "{out}");
    assert!(said.contains("2 files") && said.contains(&long), "{said}");
    assert_eq!(fs::read(root.join("out/z")).unwrap(), b"a");
    assert!(root.join("out/a").exists());
    let (done, out, _) = files(root, |_| {}, &["--json", "get", "x/", "out", "--force"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(!done);
    assert_eq!(
        (
            told["files"].as_array().unwrap().len(),
            told["failed"].as_array().unwrap().len()
        ),
        (2, 2)
    );
    assert_eq!(told["failed"][1]["path"], *long);
    good(root, &["get", &long, "short.txt"]);
    assert_eq!(fs::read(root.join("short.txt")).unwrap(), b"a");
    good(root, &["rm", "-r", "--all", "/"]);
    assert_eq!(good(root, &["ls"]), "");
}

/// The same the other way: what a folder of this machine has, and no file in storage can be called, keeps no other back.
#[test]
fn a_name_that_storage_cannot_have_keeps_nothing_else_back() {
    let project = project();
    let root = project.path();
    for path in [
        "exp/a/1.txt",
        "exp/a/line\nbreak.txt",
        "exp/.DS_Store",
        "exp/z.txt",
    ] {
        project.write(path, "a");
    }
    let (done, out, said) = files(root, |_| {}, &["put", "exp"]);
    assert!(!done && out.lines().count() == 2, "{out}{said}");
    assert!(said.contains("exp/a/line") && said.contains("U+000A"), "{said}");
    // No shell would take that name for one word of a line.
    assert!(!said.contains("yunqiao files put"), "{said}");
    let listed = good(root, &["ls", "-r", "/"]);
    assert!(
        listed.contains("exp/a/1.txt") && listed.contains("exp/z.txt"),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let (done, out, _) = files(root, |_| {}, &["--json", "put", "exp"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(!done);
    assert_eq!(told["files"].as_array().unwrap().len(), 2);
    assert_eq!(told["failed"].as_array().unwrap().len(), 1);
    // One file by itself is refused, and can be called otherwise.
    let (done, _, said) = files(root, |_| {}, &["put", "exp/a/line\nbreak.txt"]);
    assert!(!done && said.contains("U+000A"), "{said}");
    good(root, &["put", "exp/a/line\nbreak.txt", "exp/a/line.txt"]);
    // What the server removes by itself is nobody's to put there.
    let (done, _, said) = files(root, |_| {}, &["put", "exp/z.txt", ".yunqiao/cdn/z.txt"]);
    assert!(!done && said.contains("name another folder"), "{said}");
}

/// However long their paths are.
#[test]
fn many_files_are_removed_beside_a_server() {
    let project = project();
    let _dev = Dev::start(project.path());
    for number in 0..25 {
        let name = "名".repeat(75);
        project.write(&format!("lots/{name}/{name}/{name}/{number}.txt"), "a");
    }
    good(project.path(), &["put", "lots"]);
    good(project.path(), &["rm", "-r", "lots/"]);
    assert_eq!(good(project.path(), &["ls", "-r", "/"]), "");
}

#[test]
fn what_is_put_has_the_name_that_it_was_named_by_and_may_come_by_standard_input() {
    let project = project();
    let at = project.path();
    std::os::unix::fs::symlink("photos/a.txt", at.join("link.txt")).unwrap();
    let id = good(at, &["put", "link.txt"]);
    assert!(id.trim_end().ends_with("/link.txt"), "{id}");

    // Nobody writes to the pipe: it is not waited for.
    let (made, _, err) = run(Command::new("mkfifo").arg(at.join("pipe")));
    assert!(made.status.success(), "{err}");
    let (is_good, _, err) = files(at, |_| {}, &["put", "pipe"]);
    assert!(!is_good && err.contains("yunqiao files put - PATH"), "{err}");

    let send = |args: &[&str]| {
        let sent = fs::File::open(at.join("photos/large.bin")).unwrap();
        files(
            at,
            |put| {
                put.stdin(sent);
            },
            args,
        )
    };
    let (is_good, out, err) = send(&["put", "-", "from/pipe.bin"]);
    assert!(
        is_good && out.trim_end().ends_with("/from/pipe.bin"),
        "{out}{err}"
    );
    good(at, &["get", "from/pipe.bin", "back.bin"]);
    assert!(fs::read(at.join("back.bin")).unwrap() == large());
    for args in [&["put", "-"][..], &["put", "-", "from/"]] {
        let (is_good, _, err) = send(args);
        assert!(
            !is_good && err.contains("standard input has no name"),
            "{args:?}: {err}"
        );
    }
}

/// Straight on the files, and through a `dev` that has them open.
#[test]
fn files_go_in_and_out_with_a_dev_and_without() {
    let project = project();
    let none = good(project.path(), &["ls"]);
    assert_eq!(none, "");
    assert!(!project.path().join(".yunqiao").exists(), "a look makes nothing");
    all_of_it(project.path(), &[]);
    let dev = Dev::start(project.path());
    all_of_it(project.path(), &[]);
    drop(dev);
    good(project.path(), &["put", "photos/a.txt"]);
    let _dev = Dev::start(project.path());
    assert_eq!(good(project.path(), &["get", "a.txt", "-"]), "a");
}

/// Those of `serve`, which say nothing of themselves: the folder is found to be in use.
#[test]
fn files_go_in_and_out_of_a_serve() {
    let project = project();
    let config = |operator: &str| {
        format!("appid = \"{APPID}\"\nlisten = \"127.0.0.1:0\"\nfunctions = \"cloudfunctions\"\n{operator}")
    };
    project.write("yunqiao.toml", &config(""));
    all_of_it(project.path(), &["-c", "yunqiao.toml"]);
    let port = free_port();
    project.write(
        "yunqiao.toml",
        &config(&format!("[operator]\nlisten = \"127.0.0.1:{port}\"\n")),
    );
    let mut command = yunqiao();
    command
        .args(["serve", "-c", "yunqiao.toml"])
        .current_dir(project.path())
        .env("YUNQIAO_APPSECRET", "0123456789abcdef0123456789abcdef")
        .env("YUNQIAO_OPERATOR_SECRET", OPERATOR_SECRET);
    let _serve = Server::start(&mut command);
    all_of_it(project.path(), &["-c", "yunqiao.toml"]);
    let without = |command: &mut Command| {
        command.env_remove("YUNQIAO_OPERATOR_SECRET");
    };
    let (good, _, said) = files(project.path(), without, &["-c", "yunqiao.toml", "ls"]);
    assert!(!good && said.contains("give [operator] a secret_file"), "{said}");
}

/// From a folder into a bucket and back, with owners and types, and not twice.
#[tokio::test]
async fn files_move_between_a_folder_and_a_bucket() {
    let store = ObjectStore::start();
    let bucket = store.bucket(&client()).await;
    let project = project();
    good(project.path(), &["put", "photos", "--owner", "oAlice"]);
    let endpoint = &store.endpoint;
    project.write(
        "s3.toml",
        &format!("appid = \"{APPID}\"\n[storage]\ns3 = {{ endpoint = {endpoint:?}, bucket = {bucket:?} }}\n"),
    );
    let keys = |command: &mut Command| {
        command
            .env("YUNQIAO_S3_ACCESS_KEY", "key")
            .env("YUNQIAO_S3_SECRET_KEY", "secret");
    };
    for expected in ["4 files copied, 0 were there", "0 files copied, 4 were there"] {
        let (good, _, said) = files(project.path(), keys, &["-c", "s3.toml", "cp", "--from", "."]);
        assert!(good && said.contains(expected), "{said}");
    }
    let (_, listed, _) = files(project.path(), keys, &["-c", "s3.toml", "ls", "photos/a"]);
    assert!(listed.trim_end().ends_with("photos/a.txt  (oAlice)"), "{listed}");

    let other = Scratch::new(&[("main", "exports.main = () => 1;")]);
    let from = project.path().join("s3.toml");
    let (done, _, said) = files(
        other.path(),
        keys,
        &["cp", "--from", from.to_str().unwrap(), "photos/头"],
    );
    assert!(done && said.contains("1 file copied"), "{said}");
    let (_, listed, _) = files(other.path(), |_| {}, &["ls", "-r"]);
    assert!(
        listed.trim_end().ends_with("头像/小明 #1%20.png  (oAlice)"),
        "{listed}"
    );
    let (good, _, said) = files(other.path(), |_| {}, &["cp", "--from", "nowhere"]);
    assert!(!good && said.contains("nowhere"), "{said}");
}

/// A command that has the files open until its standard input ends.
fn holding(project: &Path) -> (Child, ChildStdin) {
    let mut command = yunqiao();
    command
        .args(["files", "put", "-", "held.txt"])
        .current_dir(project);
    let mut holder = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"held").unwrap();
    let index = project.join(".yunqiao/files/index.redb");
    while !File::open(&index).is_ok_and(|index| index.try_lock().is_err()) {
        assert!(holder.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(20));
    }
    (holder, input)
}

/// Without a server each waits for the one before it, and what one has done the next one finds; beside a server nobody waits.
#[tokio::test]
async fn commands_at_once_lose_nothing() {
    let project = project();
    let begin = |args: &[&str]| {
        let mut command = yunqiao();
        command.arg("files").args(args).current_dir(project.path());
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut dev = None;
    for round in 0..2 {
        let folders: Vec<String> = (0..4).map(|number| format!("{round}-{number}")).collect();
        let mut commands: Vec<_> = folders.iter().map(|to| begin(&["put", "photos", to])).collect();
        if round == 1 {
            commands.extend(["0-0/", "0-1/"].map(|gone| begin(&["rm", "-r", gone])));
        }
        for command in &mut commands {
            assert!(command.wait().unwrap().success());
        }
        let listed = good(project.path(), &["ls", "-r", "/"]);
        let expected = [4 * 4, 6 * 4][round];
        assert_eq!(listed.lines().count(), expected, "{listed}");
        dev = dev.or_else(|| Some(Dev::start(project.path())));
    }
}

#[test]
fn who_has_the_files_for_long_is_not_waited_for_for_ever() {
    let project = project();
    let (mut holder, input) = holding(project.path());
    let (good, _, said) = files(project.path(), |_| {}, &["ls"]);
    assert!(
        !good && said.contains("it may be another command") && !said.contains("secret_file"),
        "{said}"
    );
    drop(input);
    assert!(holder.wait().unwrap().success());
}

/// Otherwise `dev` would keep files in a place that goes with it.
#[tokio::test]
async fn a_dev_waits_for_a_command_that_is_about_to_end() {
    let project = project();
    let (mut holder, input) = holding(project.path());
    let ended = thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        drop(input);
        holder.wait().unwrap()
    });
    let dev = Dev::start(project.path());
    assert!(ended.join().unwrap().success());
    let printed = dev.server.printed();
    assert!(!printed.contains("open in another process"), "{printed}");
    assert_eq!(good(project.path(), &["get", "held.txt", "-"]), "held");
}

/// What is wrong elsewhere keeps nobody from the files, with a server and without; what is wrong with them is told with its line.
#[tokio::test]
async fn faults_of_other_settings_keep_nobody_from_the_files() {
    let project = project();
    good(project.path(), &["put", "photos/a.txt"]);
    let dev = Dev::start(project.path());
    let ls = || files(project.path(), |_| {}, &["ls"]);
    project.write(
        "yunqiao.toml",
        "functions = \"gone\"\n[functions.none]\ntimeout = 1\n",
    );
    let (listed, _, said) = ls();
    assert!(!listed && said.contains("TOML"), "{said}");
    project.write("yunqiao.toml", "[web]\nspa = 1\n[functions.none]\ntimeout = 1\n");
    for with_a_server in [true, false] {
        let (listed, out, said) = ls();
        assert!(listed && out.contains("a.txt"), "{with_a_server}: {out}{said}");
        assert!(said.contains("line 2: `web.spa`"), "{said}");
        let (output, _, said) = run(yunqiao().args(["db", "ls"]).current_dir(project.path()));
        assert!(output.status.success(), "{with_a_server}: {said}");
        if with_a_server {
            dev.server.interrupt();
        }
    }
    project.write("yunqiao.toml", "[web]\nspa = 1\n[storage]\nfolder = 1\n");
    let (listed, _, said) = ls();
    assert!(
        !listed && said.contains("yunqiao.toml:4: `storage.folder`"),
        "{said}"
    );
}
