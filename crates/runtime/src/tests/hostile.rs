//! Functions that do what none should: each gets its error, and nobody else notices.

use super::*;

/// Runs `source` once, expects `check` to like the error, and expects the neighbour and the next call to be served.
async fn hostile(source: &str, check: impl FnOnce(&CallError) -> bool) -> CallOutcome {
    hostile_within(1, source, check).await
}

async fn hostile_within(seconds: u64, source: &str, check: impl FnOnce(&CallError) -> bool) -> CallOutcome {
    let mut bench = Bench::new().await;
    let source = format!(
        "const misbehave = async (event, context) => {{ {source} }};
         exports.main = (event, context) => event.well ? 'well' : misbehave(event, context);"
    );
    let function = bench.function("f", &source);
    function.timeout = Duration::from_secs(seconds);
    function.memory_mb = 128;
    bench.function(
        "neighbour",
        "exports.main = async (event) => { await new Promise((ok) => setTimeout(ok, 300)); return event; };",
    );
    bench.load().await;
    assert_eq!(
        bench.result("f", r#"{"well":true}"#).await,
        Ok("\"well\"".to_owned())
    );
    let (outcome, neighbour) = tokio::join!(bench.call("f", "{}"), bench.result("neighbour", r#"{"n":1}"#));
    let error = outcome
        .result
        .as_ref()
        .expect_err("a hostile function has no result");
    assert!(check(error), "{error:?}");
    assert_eq!(neighbour, Ok(r#"{"n":1}"#.to_owned()));
    assert_eq!(
        bench.result("f", r#"{"well":true}"#).await,
        Ok("\"well\"".to_owned())
    );
    bench.end().await;
    outcome
}

/// What the machine cannot start is known from the first attempt on until one succeeds.
#[tokio::test]
async fn a_process_that_cannot_be_started_is_remembered_until_one_comes() {
    let place = tempfile::tempdir().unwrap();
    let mut bench = Bench::with(|options| {
        options.node = place.path().join("node");
        std::os::unix::fs::symlink(node(), &options.node).unwrap();
        let guard = place.path().join("guard");
        std::os::unix::fs::symlink(&options.guard[0], &guard).unwrap();
        options.guard[0] = guard.into_os_string();
    })
    .await;
    for (program, name) in [("node", "f"), ("guard", "g")] {
        bench.function(name, "exports.main = () => 1;");
        bench.load().await;
        assert_eq!(bench.runtime.failed_start(), None);
        let (program, away) = (place.path().join(program), place.path().join("away"));
        fs::rename(&program, &away).unwrap();
        let error = bench.result(name, "{}").await.unwrap_err();
        let failed = bench.runtime.failed_start().unwrap();
        assert!(failed.why.contains("No such file"), "{failed:?}");
        assert!(error.to_string().contains(&failed.why), "{error}");
        fs::rename(&away, &program).unwrap();
        assert_eq!(bench.result(name, "{}").await.unwrap(), "1");
        assert_eq!(bench.runtime.failed_start(), None);
    }
    bench.end().await;
}

#[tokio::test]
async fn never_answers() {
    let outcome = hostile("console.log('before'); await new Promise(() => {});", |error| {
        *error
            == CallError::TimedOut {
                after: Duration::from_secs(1),
            }
    })
    .await;
    assert!(outcome.ran >= Duration::from_secs(1), "{:?}", outcome.ran);
    assert_eq!(outcome.logs.lines()[0].text, "before");
}

#[tokio::test]
async fn loops_for_ever() {
    let outcome = hostile("console.log('before'); for (;;) {}", |error| {
        matches!(error, CallError::TimedOut { .. })
    })
    .await;
    assert_eq!(outcome.logs.lines()[0].text, "before");
}

#[tokio::test]
async fn exits() {
    hostile("process.exit(3);", |error| {
        *error
            == CallError::Exited {
                how: "exit code 3".to_owned(),
            }
    })
    .await;
    hostile(
        "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});",
        |error| {
            *error
                == CallError::Exited {
                    how: "it was ended by SIGKILL".to_owned(),
                }
        },
    )
    .await;
}

#[tokio::test]
async fn kills_its_guard() {
    hostile(
        "process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {});",
        |error| {
            *error
                == CallError::Exited {
                    how: "its supervisor was killed".to_owned(),
                }
        },
    )
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_killed_guard_leaves_is_killed() {
    let source = "const { spawn } = require('child_process');
        exports.main = async (event) => {
            if (event.die) { process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {}); }
            spawn('setsid', ['sleep', '1000'], { stdio: 'ignore' }).unref();
            spawn('sh', ['-c', '(setsid sh -c \"sleep 1000; true\" &) ; sleep 1000'], { detached: true, stdio: 'ignore' }).unref();
        };";
    let bench = Bench::one(source).await;
    bench.result("f", "{}").await.unwrap();
    let sleeping = || {
        let processes = bench.processes();
        processes
            .iter()
            .filter(|line| line.ends_with("sleep 1000 "))
            .count()
    };
    eventually("the children", || sleeping() >= 3).await;
    assert!(bench.result("f", r#"{"die":true}"#).await.is_err());
    assert_eq!(sleeping(), 0, "{:?}", bench.processes());
    bench.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_hides_from_a_killed_guard_is_killed() {
    let source = "const { spawn } = require('child_process');
        exports.main = async (event) => {
            if (event.die) { process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {}); }
            // A session of its own, no environment, another folder, nothing inherited.
            const child = spawn('/bin/sleep', ['1000'], { detached: true, stdio: 'ignore', env: {}, cwd: '/' });
            child.unref();
            return child.pid;
        };";
    let bench = Bench::one(source).await;
    let child = bench.result("f", "{}").await.unwrap();
    let command = || fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
    eventually("the child", || command().starts_with("/bin/sleep")).await;
    let died = bench.result("f", r#"{"die":true}"#).await.unwrap_err();
    assert!(
        format!("{died:?}").contains("its supervisor was killed"),
        "{died:?}"
    );
    assert_eq!(command(), "", "it lives on");
    bench.end().await;
}

/// The guard of a function's guard.
#[cfg(target_os = "linux")]
const OUTER: &str = "const { spawn } = require('child_process');
    const stat = require('fs').readFileSync('/proc/' + process.ppid + '/stat', 'utf8');
    const outer = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    const hide = () => {
        const child = spawn('/bin/sleep', ['1000'], { detached: true, stdio: 'ignore', env: {}, cwd: '/' });
        child.unref();
        return child.pid;
    };";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_guard_that_was_stopped_keeps_no_place() {
    let source = format!(
        "{OUTER} exports.main = () => {{ const pid = hide(); process.kill(outer, 'SIGSTOP'); return pid; }};"
    );
    let mut bench = Bench::one(&source).await;
    let child = bench.result("f", "{}").await.unwrap();
    // Its worker is replaced, and with it goes all that it has started.
    bench.function("f", "exports.main = () => 'next';");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await, Ok("\"next\"".to_owned()));
    let command = || fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
    eventually("the end of the child", || command().is_empty()).await;
    eventually("one worker", || {
        let processes = bench.processes();
        processes
            .iter()
            .filter(|line| line.contains("bootstrap.js") && !line.contains("guard"))
            .count()
            == 1
    })
    .await;
    bench.end().await;
}

/// What a function that ends both of its guards has hidden is found by its control group.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "needs control groups that this user may make"]
async fn what_two_killed_guards_leave_is_killed_in_control_groups() {
    let source = format!(
        "{OUTER} exports.main = async ({{ die }}) => {{
            if (!die) return hide();
            process.kill(outer, 'SIGSTOP');
            process.kill(process.ppid, 'SIGKILL');
            process.kill(outer, 'SIGKILL');
            await new Promise(() => {{}});
        }};"
    );
    let bench = Bench::one(&source).await;
    assert!(bench.runtime.pool.workers.has_control_groups());
    let child = bench.result("f", "{}").await.unwrap();
    let command = || fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
    eventually("the child", || command().starts_with("/bin/sleep")).await;
    bench.result("f", r#"{"die":true}"#).await.unwrap_err();
    assert_eq!(command(), "", "it lives on");
    bench.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_is_bounded_between_calls_and_with_children() {
    // 128 MB are given, and twice of it and 64 MB more bear with: see `most_resident_mb`.
    let own = "let all = []; exports.main = () => { setImmediate(() => { all = Array.from({ length: 60 }, () => Buffer.alloc(8 << 20, 1)); }); return 1; };";
    let childs = "const { spawn } = require('child_process');
        const child = 'const all = Array.from({ length: 60 }, () => Buffer.alloc(8 << 20, 1)); setInterval(() => all, 1e6)';
        exports.main = () => { spawn(process.execPath, ['-e', child], { stdio: 'ignore' }); return 1; };";
    for source in [own, childs] {
        let mut bench = Bench::new().await;
        bench.function("f", source).memory_mb = 128;
        bench.load().await;
        bench.result("f", "{}").await.unwrap();
        let told = || {
            let printed = bench.heard.printed.lock().unwrap();
            printed
                .iter()
                .any(|printed| printed.line.text.contains("more than its 128 MB of memory"))
        };
        eventually("its end", told).await;
        eventually("the end of its processes", || bench.processes().is_empty()).await;
        bench.end().await;
    }
}

#[tokio::test]
async fn removes_the_folder_in_which_everything_lies() {
    let source = "const fs = require('fs'), path = require('path');
        exports.main = (event) => { if (event.rm) fs.rmSync(path.dirname(process.env.TMPDIR), { recursive: true, force: true }); return process.pid; };";
    let mut bench = Bench::new().await;
    for name in ["f", "g"] {
        bench.function(name, source);
    }
    bench.load().await;
    let before = bench.result("f", r#"{"rm":true}"#).await.unwrap();
    assert!(!bench.runtime.pool.workers.folder().exists());
    // A new worker finds a place at once; the old one, whose socket is gone, is replaced.
    bench.result("g", "{}").await.unwrap();
    bench.runtime.pool.clean(Instant::now());
    assert_ne!(bench.result("f", "{}").await.unwrap(), before);
    bench.end().await;

    let bench = Bench::one(source).await;
    let before = bench.result("f", r#"{"rm":true}"#).await.unwrap();
    bench.runtime.pool.clean(Instant::now());
    assert_ne!(bench.result("f", "{}").await.unwrap(), before);
    bench.end().await;
}

#[tokio::test]
async fn a_damaged_program_in_the_cache_is_mended() {
    let bench = Bench::one("exports.main = () => 1;").await;
    let program = fs::read_dir(bench.folder.path().join("cache")).unwrap().flatten();
    let program = program
        .map(|entry| entry.path())
        .find(|path| path.join("call.js").is_file())
        .unwrap();
    for file in ["call.js", "bootstrap.js"] {
        let pool = &bench.runtime.pool;
        pool.with(|state| state.drain_all(Instant::now()));
        pool.wait_until(Duration::from_secs(30), |state| !state.has_workers())
            .await;
        fs::write(program.join(file), "").unwrap();
        // What is called before this worker has ended pays for it.
        assert!(bench.result("f", "{}").await.is_err());
        pool.wait_until(Duration::from_secs(30), |state| !state.has_workers())
            .await;
        assert_eq!(bench.result("f", "{}").await, Ok("1".to_owned()), "{file}");
    }
    bench.end().await;
}

#[tokio::test]
async fn fills_the_heap() {
    hostile_within(
        30,
        "const all = []; for (;;) all.push(new Array(1000).fill(all.length));",
        |error| *error == CallError::OutOfMemory { limit_mb: 128 },
    )
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn fills_buffers_outside_of_the_heap() {
    let source = "const all = []; for (;;) { all.push(Buffer.alloc(8 << 20, 1)); await new Promise((ok) => setTimeout(ok, 5)); }";
    hostile_within(30, source, |error| {
        *error == CallError::OutOfMemory { limit_mb: 128 }
    })
    .await;
}

#[tokio::test]
async fn throws_where_nobody_catches() {
    hostile("setTimeout(() => { throw new Error('nobody catches'); }, 5); await new Promise(() => {});", |error| {
        matches!(error, CallError::Threw { message, stack } if message == "nobody catches" && stack.contains("index.js"))
    })
    .await;
}

#[tokio::test]
async fn returns_what_is_no_json() {
    hostile(
        "const a = {}; a.a = a; return a;",
        |error| matches!(error, CallError::NotJson { message } if message.contains("circular")),
    )
    .await;
    hostile(
        "return { n: 1n };",
        |error| matches!(error, CallError::NotJson { message } if message.contains("BigInt")),
    )
    .await;
    hostile("return { toJSON() { throw new Error('not me'); } };", |error| {
        *error
            == CallError::NotJson {
                message: "not me".to_owned(),
            }
    })
    .await;
}

#[tokio::test]
async fn returns_too_much() {
    hostile("return 'x'.repeat(2 << 20);", |error| {
        *error == CallError::TooLarge { bytes: (2 << 20) + 2 }
    })
    .await;
    // Counted as UTF-8: each of these has three bytes.
    hostile("return '中'.repeat(349_525);", |error| {
        *error == CallError::TooLarge { bytes: 1_048_577 }
    })
    .await;
    let bench = Bench::one("exports.main = (event) => 'x'.repeat(event.n - 2);").await;
    assert_eq!(
        bench.result("f", r#"{"n":1048576}"#).await.unwrap().len(),
        1_048_576
    );
    assert_eq!(
        bench.result("f", r#"{"n":1048577}"#).await,
        Err(CallError::TooLarge { bytes: 1_048_577 })
    );
    bench.end().await;
}

#[tokio::test]
async fn floods_its_output() {
    let outcome = hostile("for (;;) console.log('x'.repeat(1000));", |error| {
        matches!(error, CallError::TimedOut { .. })
    })
    .await;
    let kept: usize = outcome.logs.lines().iter().map(|line| line.text.len()).sum();
    assert_eq!(kept, 256 * 1024);
    // It was ended from outside, and still nearly all is counted: what is not is less than a report.
    let printed = outcome.logs.dropped() as usize + kept;
    assert!(printed > 1024 * 1024, "{printed}");
    let outcome = hostile(
        "for (;;) process.stdout.write('x'.repeat(1000) + '\\n');",
        |error| matches!(error, CallError::TimedOut { .. }),
    )
    .await;
    assert_eq!(
        outcome
            .logs
            .lines()
            .iter()
            .map(|line| line.text.len())
            .sum::<usize>(),
        256 * 1024
    );
    let outcome = hostile(
        "const fs = require('fs'); for (;;) fs.writeSync(1, 'x'.repeat(1000) + '\\n');",
        |error| matches!(error, CallError::TimedOut { .. }),
    )
    .await;
    assert!(outcome.logs.is_truncated());
    let kept: usize = outcome.logs.lines().iter().map(|line| line.text.len()).sum();
    assert!((128 * 1024..=256 * 1024).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_flood_that_ends_says_how_much_is_missing() {
    let bench = Bench::one(
        "exports.main = ({ by, lines }) => { const text = '中'.repeat(341);
        for (let i = 0; i < lines; i++) by === 'write' ? process.stdout.write(text + '\\n') : console.log(text); return 1; };",
    )
    .await;
    for by in ["write", "log"] {
        for lines in [300, 4000] {
            let event = format!(r#"{{"by":"{by}","lines":{lines}}}"#);
            let outcome = bench.call("f", &event).await;
            assert_eq!(outcome.result.unwrap().json.unwrap(), "1");
            let kept: usize = outcome.logs.lines().iter().map(|line| line.text.len()).sum();
            // A character of three bytes may not fit at the end.
            assert!((256 * 1024 - 2..=256 * 1024).contains(&kept), "{kept}");
            // The line ends are not part of the lines, but those that were dropped may be counted.
            let printed = kept + outcome.logs.dropped() as usize;
            assert!(
                (lines * 1023..=lines * 1024).contains(&printed),
                "{by} {lines}: {printed}"
            );
        }
    }
    bench.end().await;
}

#[tokio::test]
async fn writes_junk_to_every_descriptor() {
    let source =
        "const fs = require('fs'); for (let round = 0; round < 3; round++) for (let fd = 0; fd < 256; fd++)
        { try { fs.writeSync(fd, 'junk junk junk junk junk'); } catch {} } await new Promise(() => {});";
    hostile(source, |error| match error {
        CallError::WorkerFailed { why } => why.contains("own connection"),
        // Some of them are Node's own, and it may not survive.
        CallError::Exited { .. } => true,
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn closes_every_descriptor() {
    let source = "const fs = require('fs'); for (let fd = 3; fd < 256; fd++) { try { fs.closeSync(fd); } catch {} } return 1;";
    hostile(source, |error| {
        matches!(error, CallError::Exited { .. } | CallError::TimedOut { .. })
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn leaves_children_behind() {
    let source = "const { spawn } = require('child_process');
        spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }).unref();
        spawn('sh', ['-c', '(setsid sleep 1000 &) ; sleep 1000'], { detached: true, stdio: 'ignore' }).unref();
        exports.main = async (event) => { if (event.die) process.exit(1); return process.pid; };";
    let bench = Bench::one(source).await;
    bench.result("f", "{}").await.unwrap();
    let sleeping = |bench: &Bench| {
        bench
            .processes()
            .iter()
            .filter(|line| line.contains("sleep 1000"))
            .count()
    };
    eventually("the children", || sleeping(&bench) >= 3).await;
    assert!(bench.result("f", r#"{"die":true}"#).await.is_err());
    assert_eq!(
        sleeping(&bench),
        0,
        "they end with their worker, before the call is answered"
    );
    bench.result("f", "{}").await.unwrap();
    bench.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn orphans_that_end_are_not_kept_as_zombies() {
    let bench = Bench::one(
        "
        const { execSync } = require('child_process');
        exports.main = () => { for (let i = 0; i < 20; i++) execSync('(true &)'); return process.ppid; };",
    )
    .await;
    let guard = bench.result("f", "{}").await.unwrap();
    eventually("no child but Node", || {
        let children = fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).unwrap();
        children.split_whitespace().count() == 1
    })
    .await;
    bench.end().await;
}
