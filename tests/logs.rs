//! `yunqiao logs`: what functions printed, read from what `dev` left, and as it happens.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    console::Tab,
    support::{Dev, Scratch, eventually, run, yunqiao},
};

const TALKER: &str = "exports.main = async (event) => {
  console.log('heard ' + event.word)
  if (event.fail) { console.error('oh'); throw new Error('no ' + event.word) }
  if (event.much) console.log('x'.repeat(250000))
}";

fn logs(project: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let (output, out, err) = run(yunqiao().arg("logs").args(args).arg("--dir").arg(project));
    (output.status.code(), out, err)
}

/// A `logs` that goes on, and what it prints.
struct Following(Child, BufReader<ChildStdout>);

impl Following {
    fn start(project: &Path, args: &[&str]) -> Self {
        let mut command: Command = yunqiao();
        command.arg("logs").args(args).arg("--dir").arg(project);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self(child, out)
    }

    /// Reads on until a line has the text in it.
    fn reaches(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let read = self.1.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended before {text:?}");
        }
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_functions_print_is_shown_while_dev_runs_and_after() {
    let project = Scratch::new(&[("talker", TALKER), ("other", "exports.main = () => 1")]);
    let (code, out, err) = logs(project.path(), &["--no-follow"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(
        err.contains("no call was recorded yet") && err.contains("no `yunqiao dev` runs"),
        "{err}"
    );
    let (code, _, err) = logs(project.path(), &["absent", "--no-follow"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("\"absent\"") && err.contains("there are: other, talker"),
        "{err}"
    );

    let mut following = Following::start(project.path(), &["talker"]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    alice.result("talker", json!({"word": "first"}), &[]).await;
    alice.result("other", json!({}), &[]).await;
    let (status, failed) = alice
        .call("talker", json!({"word": "second", "fail": true}))
        .await;
    assert_eq!(status, 500);
    // As the terminal has it, with the time before it: each line as it was printed, the headline at the call's end.
    following.reaches("│ heard first");
    following.reaches("✓ talker ");
    let id = failed["requestID"].as_str().unwrap();
    let short = id.split('-').next().unwrap();
    following.reaches(&format!("talker {short} │ oh"));
    let headline = following.reaches("✗ talker ");
    assert!(
        headline.contains("500 -504002") && headline.contains(id),
        "{headline}"
    );
    following.reaches("│ Error: no second");
    dev.server.prints("│ Error: no second");
    let terminal = dev.server.printed();
    let (said, failed) = (
        terminal.find("│ oh").unwrap(),
        terminal.find("│ Error: no").unwrap(),
    );
    assert!(said < failed && !terminal.contains("bootstrap.js"), "{terminal}");
    assert_eq!(terminal.matches("heard second").count(), 1, "{terminal}");

    // The next `dev` of this project is followed as well.
    drop(dev);
    let (_, out, _) = logs(project.path(), &["--no-follow"]);
    assert!(out.contains("heard first") && out.contains("other") && out.contains("no second"));
    assert!(!out.contains('\u{1b}'), "no colour in a pipe: {out}");
    let dev = Dev::start(project.path());
    let bob = dev.login("bob").await;
    bob.result("talker", json!({"word": "third"}), &[]).await;
    following.reaches("│ heard third");

    let (_, out, _) = logs(
        project.path(),
        &["talker", "--last", "1", "--json", "--no-follow"],
    );
    let call: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&call["function"], &call["source"], &call["openid"]),
        (&json!("talker"), &json!("wx_client"), &json!(bob.openid))
    );
    assert_eq!((&call["status"], &call["errCode"]), (&json!(200), &json!(0)));
    assert_eq!(
        (&call["logs"][0]["level"], &call["logs"][0]["text"]),
        (&json!("log"), &json!("heard third"))
    );
    assert!(call["ranMs"].as_f64().unwrap() > 0.0);
    let mode = fs::metadata(project.path().join(".yunqiao/calls.jsonl")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_line_is_told_while_its_call_runs() {
    // Ends when the file is there.
    let waiting = "const { existsSync } = require('fs');
        exports.main = async ({ go, word }) => {
            console.log('begun ' + word);
            while (!existsSync(go)) await new Promise((ok) => setTimeout(ok, 5));
            return word
        }";
    let project = Scratch::new(&[("waiting", waiting)]);
    let dev = Dev::start(project.path());
    let mut followers = [
        Following::start(project.path(), &["waiting"]),
        Following::start(project.path(), &["--json"]),
    ];
    let (alice, tab) = (dev.login("alice").await, Tab::open(&dev).await);
    let go = project.path().join("go");
    let data = |word: &str| json!({ "go": go, "word": word });
    let hearing = async {
        // On the terminal, in the console, and by `yunqiao logs`; twice, as the calls run side by side.
        for word in ["one", "two"] {
            dev.server.prints_soon(&format!("│ begun {word}")).await;
            let page = tab.page("/calls").await;
            assert!(page.contains(&format!("begun {word}")), "{page}");
        }
        let heard = tokio::task::spawn_blocking(move || {
            for following in &mut followers {
                following.reaches("begun ");
                following.reaches("begun ");
            }
            followers
        });
        let heard = heard.await.unwrap();
        assert!(!dev.server.printed().contains("✓ waiting"));
        // Who comes later sees what was printed so far.
        let (_, out, _) = logs(project.path(), &["--no-follow"]);
        assert!(
            out.contains("│ begun one") && out.contains("│ begun two"),
            "{out}"
        );
        fs::write(&go, "").unwrap();
        heard
    };
    let (one, two, mut followers) = tokio::join!(
        alice.result("waiting", data("one"), &[]),
        async {
            dev.server.prints_soon("│ begun one").await;
            alice.result("waiting", data("two"), &[]).await
        },
        hearing
    );
    assert_eq!((one, two), (json!("one"), json!("two")));
    followers[0].reaches("✓ waiting");
    let whole = followers[1].reaches("\"ranMs\"");
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert!(
        whole["logs"][0]["text"].as_str().unwrap().starts_with("begun "),
        "{whole}"
    );
    dev.server.prints("✓ waiting");
    let terminal = dev.server.printed();
    assert_eq!(terminal.matches("begun one").count(), 1, "{terminal}");
}

#[tokio::test]
async fn the_file_is_bounded_and_logs_reads_on_over_its_end() {
    let project = Scratch::new(&[("talker", TALKER)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    alice.result("talker", json!({"word": "begin"}), &[]).await;
    let mut following = Following::start(project.path(), &["--json"]);
    following.reaches("heard begin");
    for word in 0..48 {
        let data = json!({"word": format!("{word}."), "much": true});
        alice.result("talker", data, &[]).await;
        following.reaches(&format!("heard {word}."));
    }
    drop(dev);
    let size = |name: &str| {
        let meta = fs::metadata(project.path().join(".yunqiao").join(name));
        meta.unwrap().len()
    };
    let (newest, older) = (size("calls.jsonl"), size("calls.1.jsonl"));
    assert!(
        newest < 6 << 20 && (5 << 20..6 << 20).contains(&older),
        "{newest} {older}"
    );
    // What is left is shown in order, over both files.
    let (_, out, _) = logs(project.path(), &["--last", "1000", "--json", "--no-follow"]);
    let words: Vec<u32> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        // Of the oldest call, the lines may have gone with the file before.
        .skip_while(|call| call["logs"] == json!([]))
        .map(|call| {
            let text = call["logs"][0]["text"].as_str().unwrap().to_owned();
            text.trim_start_matches("heard ")
                .trim_end_matches('.')
                .parse()
                .unwrap()
        })
        .collect();
    assert!(
        words.len() > 20 && words.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{words:?}"
    );
    assert_eq!(words.last(), Some(&47));
}

#[test]
fn a_call_is_told_in_order_and_what_is_no_line_is_passed_over() {
    let project = Scratch::new(&[("talker", TALKER)]);
    let call = |ran: f64, more: Value| {
        let mut call = json!({
            "time": "2026-01-02T03:04:05.678Z", "requestID": "id", "function": "talker", "source": "wx_client",
            "status": 500, "errCode": -504002, "errMsg": "Error: no", "waitedMs": 0.0, "ranMs": ran, "cloudIDs": [],
            "logs": [], "droppedBytes": 0, "cloudCalls": [], "moreCloudCalls": 0, "warnings": [], "notes": [],
        });
        for (name, value) in more.as_object().unwrap() {
            call[name] = value.clone();
        }
        call.to_string()
    };
    let stack = "Error: no\n    at main (/p/index.js:1:2)\n    at run (/c/worker-0123456789abcdef/call.js:1:2)\n    \
        at Pipe.onStreamRead (node:internal/stream_base_commons:181:34)";
    let ours = "Error: no\n    at main (/home/worker-1/index.js:1:2)";
    let file = [
        call(1.25, json!({ "errMsg": stack, "waitedMs": 20, "notes": ["mend it so"], "cloudIDs": [{"field": "run", "errCode": -601006}],
            "logs": [{"level": "log", "atMs": 1, "text": "one"}, {"level": "warn", "atMs": 3, "text": "three\nfour"}],
            "cloudCalls": [{"what": "openapi.x", "errCode": 0, "errMsg": "", "atMs": 2, "tookMs": 0.5}] })),
        r#"{"time":"2026-01-02T03:04:05.678Z","requestID":"cut o"#.to_owned(),
        call(12.9, json!({ "errMsg": ours })),
        "42".to_owned(),
        r#"{"time":"no time","note":"about nothing"}"#.to_owned(),
        // One whose end is not written yet.
        call(12_000.0, json!({})),
        call(1.0, json!({})),
    ]
    .join("\n");
    project.write(".yunqiao/calls.jsonl", &file);
    let (code, out, err) = logs(project.path(), &["--no-follow"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines[0].ends_with(":05 ✗ talker 1.2 ms after waiting 20 ms 500 -504002 wx_client no user id"),
        "{out}"
    );
    assert_eq!(
        lines[1..9],
        [
            "  ! run: its cloudID was refused with -601006",
            "  │ one",
            "  → openapi.x 0.5 ms",
            "  │ three",
            "  │ four",
            "  │ Error: no",
            "  │     at main (/p/index.js:1:2)",
            "  ! mend it so",
        ]
    );
    assert!(lines[9].contains("✗ talker 12 ms 500"), "{out}");
    assert_eq!(lines[11], "  │     at main (/home/worker-1/index.js:1:2)");
    assert_eq!(lines[12], "! about nothing");
    assert!(lines[13].contains("✗ talker 12 s 500"), "{out}");
    assert_eq!(lines.len(), 15, "{out}");
}

#[test]
fn it_ends_when_nobody_reads_on() {
    let project = Scratch::new(&[]);
    let mut child = yunqiao()
        .args(["logs", "--dir"])
        .arg(project.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let child = RefCell::new(child);
    let ended = || child.borrow_mut().try_wait().unwrap();
    eventually(|| ended().is_some(), || "its end".to_owned());
    assert!(ended().unwrap().success());
}

#[tokio::test]
async fn a_note_stands_under_the_call_that_it_is_about_and_no_secret_anywhere() {
    let project = Scratch::new(&[(
        "send",
        "const cloud = require('wx-server-sdk'); cloud.init()
         exports.main = () => cloud.openapi.subscribeMessage.send({ touser: 'x', templateId: 'y', data: {} })",
    )]);
    project.write(
        "cloudfunctions/send/package.json",
        r#"{"dependencies":{"wx-server-sdk":"4.0.2"}}"#,
    );
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(alice.call("send", json!({})).await.0, 500);
    // A note that is about no call is told all the same.
    let (status, _) = dev.post("/v1/functions/send", Some("forged"), "{}").await;
    assert_eq!(status, 401);
    dev.server.prints("token");
    let terminal = dev.server.printed();
    let (headline, note) = (
        terminal.find("✗ send").unwrap(),
        terminal.find("add \"subscribeMessage.send\"").unwrap(),
    );
    assert!(headline < note, "{terminal}");

    let app = dev.get_sim("app").await;
    let running = fs::read_to_string(project.path().join(".yunqiao/run.json")).unwrap();
    let running: Value = serde_json::from_str(&running).unwrap();
    drop(dev);
    let file = fs::read_to_string(project.path().join(".yunqiao/calls.jsonl")).unwrap();
    let lines: Vec<Value> = file
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        // What the SDK prints of itself.
        .filter(|line| line["level"].is_null())
        .collect();
    assert_eq!(lines.len(), 2, "{file}");
    assert!(
        lines[0]["notes"][0]
            .as_str()
            .unwrap()
            .contains("permissions.openapi")
    );
    assert_eq!(lines[0]["cloudCalls"][0]["errCode"], -604101);
    assert!(lines[1]["note"].is_string());
    let secrets = [
        &app["secret"],
        &app["token"],
        &app["encodingAESKey"],
        &running["pass"],
    ];
    for secret in secrets.map(|secret| secret.as_str().unwrap()) {
        assert!(secret.len() > 8 && !file.contains(secret), "{file}");
    }
    // Neither the operator's, nor what a client showed.
    assert!(!file.contains(crate::support::OPERATOR_SECRET) && !file.contains("forged"));
}
