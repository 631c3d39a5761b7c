//! The examples beside the quickstart: each runs its own script, as its README says, and is in good health.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Dev, quickstart, run, yunqiao};

fn example(name: &str) -> PathBuf {
    quickstart().with_file_name(name)
}

/// What its script prints, all of which is well, and the log. Every line was asserted in the script; the tests see to it that
/// it came to each of them.
fn script(name: &str, shown: &[&str]) -> (String, String) {
    let project = example(name);
    let script = project.join(format!("test/{name}.mjs"));
    let (output, out, err) = run(yunqiao()
        .arg("exec")
        .arg(&project)
        .args(["--", "node"])
        .arg(script));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.lines().all(|line| line.starts_with("ok    ")), "{out}");
    for shown in shown {
        assert!(out.lines().any(|line| line.ends_with(shown)), "{shown}: {out}");
    }
    (out, err)
}

/// A copy of an example, which may be running where it stands.
fn copied(name: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    let copied = Command::new("cp")
        .arg("-R")
        .arg(example(name).join("."))
        .arg(copy.path())
        .status();
    assert!(copied.unwrap().success());
    // Where the one that runs is found.
    let _ = fs::remove_dir_all(copy.path().join(".yunqiao"));
    copy
}

/// A command given in a project's folder.
fn given(project: &TempDir, args: &[&str]) -> (Output, String, String) {
    run(yunqiao().current_dir(project.path()).args(args))
}

#[test]
fn server_apis_are_called_from_functions() {
    let shown = [
        "a template that the app does not have fails the call, and says so: 40037",
        "alice did not subscribe, and gets no message: 43101",
        "alice subscribes once, and the message goes through",
        "it is in the outbox, marked as simulated: nobody received it",
        "a second one is refused, for the one subscription is used up: 43101",
        "a code is a real PNG, of the width that was asked for",
        "a harmless text passes",
        "the text that the document gives to try it with is risky",
        "a harmless image passes",
        "a risky one, known by its bytes, does not: 87014",
        "a phone number comes by the button's code, once: 40029",
        "WeChat's own path answers the operator, without a token",
        "and nobody else",
    ];
    let (out, err) = script("openapi", &shown);
    // What somebody has to mend is in the log, with the mend.
    assert!(err.contains("is no template of this app"), "{err}");
    assert!(!format!("{out}{err}").contains("access_token"), "{out}{err}");
}

#[test]
fn a_bot_answers_what_users_write() {
    let shown = [
        "a text is answered",
        "an image comes back",
        "who enters is greeted, by where they come from",
        "what a user does in the client is pushed of itself",
        "人工 hands the message to the staff, and the bot says nothing",
        "a client that says that it is alice writes to nobody but itself",
        "who entered two minutes ago gets no greeting any more: 45015",
        "who was written to twice since gets no third message: 45047",
        "what WeChat refuses for the moment is tried again",
    ];
    let (_, err) = script("kefu", &shown);
    for code in [45015, 45047] {
        assert!(err.contains(&format!("gets no answer: {code}")), "{err}");
    }
}

#[tokio::test]
async fn a_push_in_the_bots_folder_is_answered_in_the_outbox() {
    let project = copied("kefu");
    let dev = Dev::start(project.path());
    let (output, out, err) = given(&project, &["push", "text", "--content", "你好"]);
    assert!(output.status.success(), "{out}{err}");
    let outbox = dev.get_sim("outbox").await;
    let sent = &outbox["items"][0];
    assert_eq!(sent["api"], "customerServiceMessage.send", "{outbox}");
    assert_eq!(sent["simulated"], true);
    let answer = sent["body"]["text"]["content"].as_str().unwrap();
    assert!(answer.starts_with("你好！"), "{answer}");
}

#[test]
fn a_timer_reminds_who_asked_for_it() {
    let shown = [
        "alice and bob are told their openids, which are those on the list",
        "a template that the app does not have fails the timer, and says so: 40037",
        "nobody subscribed, and nobody is reminded",
        "alice asks to be reminded, and is, at the time in Beijing",
        "the next time she is not, for once is once: 43101",
        "both ask, and both are reminded",
        "what is wrong with one message does not hold up the other, and fails the timer",
        "who is not on the list is not reminded",
        "a client cannot, though it says that it is the timer",
        "nor can who does not know the secret",
    ];
    let (_, err) = script("reminder", &shown);
    assert!(err.contains("is no template of this app"), "{err}");
}

#[tokio::test]
async fn a_timer_fired_in_the_reminders_folder_sends_a_message() {
    let project = copied("reminder");
    let dev = Dev::start(project.path());
    dev.server.prints("eachMorning of remind");
    let template = "Zp4mGq1S7vTn0cXeLr8wYb2HkUd5JfAo3iN6sQxV9tE";
    let content = "{{thing1.DATA}} {{time2.DATA}}";
    dev.sim("templates", json!({"priTmplId": template, "content": content}))
        .await;
    let subscribes = json!({"user": "alice", "api": "requestSubscribeMessage", "tmplIds": [template]});
    dev.sim("client", subscribes).await;
    for (sent, not) in [(1, 1), (0, 2)] {
        let (_, out, err) = given(&project, &["call", "remind", "--timer", "--json"]);
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        assert_eq!(
            told["result"],
            json!({"sent": sent, "notSubscribed": not}),
            "{out}"
        );
    }
    let outbox = dev.get_sim("outbox").await;
    assert_eq!(outbox["items"].as_array().map(Vec::len), Some(1), "{outbox}");
    assert_eq!(outbox["items"][0]["api"], "subscribeMessage.send");
}

#[test]
fn lists_are_kept_in_the_database() {
    let shown = [
        "collections are made once; a second time is no error",
        "what is added has an id of 32 hex digits",
        "pages follow each other, the newest first",
        "a search is a regular expression, and everybody sees their own",
        "a change of another user finds nothing to change",
        "a document that is not there rejects, with the text of the platform",
        "an aggregate joins, groups and computes",
        "a transaction moves a todo and both counts, or nothing",
    ];
    script("todo", &shown);
}

#[test]
fn pictures_are_kept_shown_and_removed() {
    let shown = [
        "an album that nobody put anything into is empty",
        "pictures are drawn, uploaded and put into the album, whatever they are called",
        "one that was never uploaded is refused",
        "nobody takes in, overwrites or removes another's picture",
        "everybody sees the album, the newest first, and gets each picture by its temporary address",
        "a page in a browser has the same by plain HTTP",
        "a part of a picture comes alone, and one that a browser has is not sent again",
        "an address that somebody made up opens nothing",
        "whoever put a picture there takes it out, and its file is gone",
    ];
    script("album", &shown);
}

#[test]
fn the_doctor_finds_nothing() {
    for (name, functions) in [
        ("openapi", "5 functions"),
        ("kefu", "1 function"),
        ("reminder", "2 functions"),
        ("todo", "7 functions"),
        ("album", "4 functions"),
        ("chat", "1 function"),
    ] {
        let (output, out, err) = run(yunqiao().arg("doctor").arg(example(name)));
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains(&format!("nothing to mend in {functions}")), "{out}");
    }
}
