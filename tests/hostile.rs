//! Functions that misbehave: the code of the table, no other call harmed, the next one served, nothing left.

use std::{collections::HashSet, fs};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Dev, Scratch, eventually, text};

/// `event.act` says what to do.
const ACTOR: &str = r#"
const fs = require('fs');
const { spawn } = require('child_process');
exports.main = async (event) => {
  switch (event.act) {
    case 'throw': throw new TypeError('no such luck');
    case 'reject': return Promise.reject('a bare string');
    case 'never': return new Promise(() => {});
    case 'loop': for (;;);
    case 'exit': process.exit(3);
    case 'memory': { const hoard = []; for (;;) hoard.push(new Array(1e5).fill({})); }
    case 'flood': for (let i = 0; i < 2e5; i++) console.log('flood '.repeat(20)); return 'flooded';
    case 'rawflood': for (let i = 0; i < 3000; i++) fs.writeSync(1, 'flood '.repeat(1000)); return 'flooded';
    case 'junk':
      for (let fd = 0; fd < 256; fd++) try { fs.writeSync(fd, 'junk that is no frame at all'); } catch {}
      return new Promise(() => {});
    case 'fork': return spawn('sleep', ['1234'], { detached: true, stdio: 'ignore' }).pid;
    case 'orphan': return await new Promise((done) => {
      const shell = spawn('sh', ['-c', '(setsid sleep 1235 >/dev/null 2>&1 & echo $!)'], { stdio: ['ignore', 'pipe', 'ignore'] });
      shell.stdout.on('data', (pid) => done(Number(pid)));
    });
    case 'circle': { const circle = {}; circle.circle = circle; return circle; }
    case 'bigint': return 10n;
    case 'large': return 'x'.repeat(2 << 20);
    case 'undefined': return undefined;
    case 'uncaught': setTimeout(() => { throw new Error('out of nowhere'); }, 10); return new Promise(() => {});
    default: return event;
  }
};
"#;

async fn act(dev: &Dev, what: &str) -> (u16, Value) {
    dev.login("alice").await.call("actor", json!({"act": what})).await
}

#[tokio::test]
async fn each_failure_has_its_code_and_the_next_call_is_served() {
    let project = Scratch::new(&[
        ("actor", ACTOR),
        // The same, with time for what takes a while to go wrong.
        ("patient", ACTOR),
        ("other", "exports.main = async (event) => event.n"),
    ]);
    project.write(
        "yunqiao.toml",
        "[functions.actor]\ntimeout = \"2s\"\n[functions.patient]\ntimeout = \"30s\"\nmemory = 128\n",
    );
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let function = |what| if what == "memory" { "patient" } else { "actor" };
    for (what, status, code, says) in [
        ("throw", 500, -504002, "no such luck"),
        ("reject", 500, -504002, "a bare string"),
        ("uncaught", 500, -504002, "out of nowhere"),
        ("exit", 500, -504002, "exit"),
        ("never", 504, -504003, "timed out after 2 seconds"),
        ("loop", 504, -504003, "timed out after 2 seconds"),
        ("memory", 500, -504002, "memory"),
        ("junk", 500, -504002, ""),
        ("circle", 500, -504002, "circular"),
        ("bigint", 500, -504002, "BigInt"),
        ("large", 500, -604001, ""),
    ] {
        // Another function is called all the while.
        let (answer, others) = tokio::join!(alice.call(function(what), json!({"act": what})), async {
            let mut others = Vec::new();
            for n in 0..5 {
                others.push(alice.call("other", json!({"n": n})).await.1["result"].take());
            }
            others
        });
        assert_eq!(
            (answer.0, &answer.1["errCode"]),
            (status, &json!(code)),
            "{what}: {}",
            answer.1
        );
        assert!(text(&answer.1["errMsg"]).contains(says), "{what}: {}", answer.1);
        assert_eq!(others, [0, 1, 2, 3, 4], "{what}");
        assert_eq!(
            alice.call(function(what), json!({"act": "echo"})).await.1["result"]["act"],
            "echo",
            "after {what}"
        );
    }
    assert!(
        text(&act(&dev, "throw").await.1["errMsg"]).contains("index.js"),
        "the stack"
    );

    let (status, reply) = act(&dev, "undefined").await;
    assert_eq!(status, 200);
    assert_eq!(reply.get("result"), Some(&Value::Null), "{reply}");
    for flood in ["flood", "rawflood"] {
        let (status, reply) = alice.call("patient", json!({"act": flood})).await;
        assert_eq!(
            (status, &reply["result"]),
            (200, &json!("flooded")),
            "{flood}: {reply}"
        );
    }
    dev.server.prints("which were not kept");
}

#[tokio::test]
async fn nothing_that_a_function_started_outlives_the_server() {
    let project = Scratch::new(&[("actor", ACTOR)]);
    let mut dev = Dev::start(project.path());
    let mut children = Vec::new();
    for what in ["fork", "orphan"] {
        children.push(act(&dev, what).await.1["result"].as_u64().unwrap());
    }
    let family = descendants(dev.server.pid());
    assert!(family.len() >= 2, "{family:?}");
    for child in &children {
        assert!(alive(*child), "{child} runs while its worker does");
    }
    // However it dies.
    dev.server.kill();
    for process in family.iter().map(|pid| u64::from(*pid)).chain(children) {
        eventually(
            || !alive(process),
            || format!("{process} is gone: {}", command_line(process)),
        );
    }
}

fn alive(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn command_line(pid: u64) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .unwrap_or_default()
        .replace('\0', " ")
}

fn descendants(root: u32) -> HashSet<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut family = HashSet::from([root]);
    while parents
        .iter()
        .filter(|(pid, parent)| family.contains(parent) && !family.contains(pid))
        .count()
        > 0
    {
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| family.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
    }
    family.remove(&root);
    family
}

#[tokio::test]
async fn a_function_that_calls_itself_without_end_is_stopped() {
    let project = Scratch::new(&[(
        "again",
        "exports.main = async ({ url, token, depth }) => {
           const reply = await fetch(url, {
             method: 'POST',
             headers: { 'content-type': 'application/json', authorization: 'Bearer ' + token },
             body: JSON.stringify({ data: { url, token, depth: depth + 1 } }),
           });
           return { depth, status: reply.status };
         };",
    )]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let url = format!("{}/v1/functions/again", dev.server.url);
    let (status, reply) = alice
        .call("again", json!({"url": url, "token": alice.token, "depth": 0}))
        .await;
    assert!(status == 504 || reply["result"]["status"] != 200, "{reply}");
    // It has not taken the place down.
    eventually(|| !dev.server.printed().is_empty(), || "calls printed".to_owned());
    assert_eq!(dev.login("bob").await.openid.len(), 28);
}

#[tokio::test]
async fn ten_callers_of_a_slow_function_do_not_queue_behind_one_worker() {
    // None ends before all have begun.
    let project = Scratch::new(&[(
        "slow",
        "const fs = require('fs');
         exports.main = async () => {
           fs.writeFileSync(process.env.BEGUN + '/' + process.pid, '');
           while (fs.readdirSync(process.env.BEGUN).length < 10) await new Promise((done) => setTimeout(done, 5));
           return process.pid;
         };",
    )]);
    let begun = TempDir::new().unwrap();
    let path = begun.path().display().to_string();
    project.write(
        "yunqiao.toml",
        &format!("[functions.slow]\ntimeout = 60\n[functions.slow.env]\nBEGUN = {path:?}\n"),
    );
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let calls = (0..10).map(|_| alice.call("slow", json!({})));
    let answers = futures_util::future::join_all(calls).await;
    let workers: HashSet<_> = answers
        .iter()
        .map(|(status, reply)| {
            assert_eq!(*status, 200, "{reply}");
            reply["result"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(workers.len(), 10, "{workers:?}");
}
