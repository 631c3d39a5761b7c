//! What a function may be, what it receives, what may come back.

use super::*;
use crate::Level;

fn threw(result: Result<String, CallError>) -> (String, String) {
    match result {
        Err(CallError::Threw { message, stack }) => (message, stack),
        other => panic!("expected something thrown: {other:?}"),
    }
}

#[tokio::test]
async fn an_event_comes_back_as_it_was() {
    let bench = Bench::one("exports.main = async (event) => event;").await;
    let event = "{\"text\":\"中\\u0000😀\",\"b\":1,\"a\":[true,null,1.5]}";
    assert_eq!(bench.result("f", event).await, Ok(event.to_owned()));
    for size in [0, 1, 65_515, 65_516, 65_517, 200_000] {
        let event = format!(
            "{{\"text\":\"{}\"}}",
            "é".repeat(size / 2) + &"x".repeat(size % 2)
        );
        assert_eq!(bench.result("f", &event).await, Ok(event));
    }
    bench.end().await;
}

#[tokio::test]
async fn main_may_return_promise_or_call_back() {
    let mut bench = Bench::new().await;
    bench.function("plain", "exports.main = (event) => event.a + 1;");
    bench.function(
        "promise",
        "exports.main = (event) => Promise.resolve(event.a + 1);",
    );
    bench.function(
        "thenable",
        "exports.main = (event) => ({ then: (ok) => ok(event.a + 1) });",
    );
    bench.function(
        "callback",
        "exports.main = (event, context, done) => setTimeout(() => done(null, event.a + 1), 5);",
    );
    bench.function(
        "failing",
        "exports.main = (event, context, done) => done(new Error('no'));",
    );
    bench.function(
        "both",
        "exports.main = async (event, context, done) => { done(null, event.a + 1); return 9; };",
    );
    bench.load().await;
    for name in ["plain", "promise", "thenable", "callback", "both"] {
        assert_eq!(
            bench.result(name, r#"{"a":1}"#).await,
            Ok("2".to_owned()),
            "{name}"
        );
    }
    assert_eq!(threw(bench.result("failing", "{}").await).0, "no");
    bench.end().await;
}

#[tokio::test]
async fn es_modules_are_functions_too() {
    let mut bench = Bench::new().await;
    bench.function_at(
        "named",
        "index.mjs",
        "export const main = async (event) => event.a;",
    );
    bench.function_at(
        "default",
        "index.mjs",
        "export default { main: (event) => event.a };",
    );
    bench.function_at(
        "awaiting",
        "index.mjs",
        "const a = await 1; export async function main() { return a; }",
    );
    let function = bench.function(
        "typed",
        "import fs from 'fs'; export const main = (event) => event.a;",
    );
    fs::write(function.dir.join("package.json"), r#"{"type":"module"}"#).unwrap();
    function.manifest = Some(function::Manifest {
        dir: function.dir.clone(),
        package: function.dir.join("package.json"),
        lock: None,
        has_dependencies: false,
        is_module: true,
        hash: String::new(),
    });
    bench.load().await;
    for name in ["named", "default", "awaiting", "typed"] {
        assert_eq!(
            bench.result(name, r#"{"a":1}"#).await,
            Ok("1".to_owned()),
            "{name}"
        );
    }
    bench.end().await;
}

#[tokio::test]
async fn undefined_is_a_success_without_a_result() {
    let mut bench = Bench::new().await;
    bench.function("nothing", "exports.main = async () => {};");
    bench.function("symbol", "exports.main = async () => Symbol('x');");
    bench.function("null", "exports.main = async () => null;");
    bench.load().await;
    for name in ["nothing", "symbol"] {
        assert_eq!(bench.call(name, "{}").await.result.unwrap().json, None, "{name}");
    }
    assert_eq!(bench.result("null", "{}").await, Ok("null".to_owned()));
    bench.end().await;
}

#[tokio::test]
async fn whatever_is_thrown_is_told() {
    let mut bench = Bench::new().await;
    bench.function(
        "error",
        "exports.main = () => { throw new TypeError('no such thing'); };",
    );
    bench.function(
        "rejects",
        "exports.main = async () => { throw Object.assign(new Error('coded'), { errCode: -1 }); };",
    );
    bench.function("text", "exports.main = () => { throw 'just text'; };");
    bench.function(
        "object",
        "exports.main = () => Promise.reject({ errCode: -604101 });",
    );
    bench.function("nothing", "exports.main = () => Promise.reject();");
    bench.function(
        "trap",
        "exports.main = () => { throw { get message() { throw new Error('again'); } }; };",
    );
    bench.load().await;
    let (message, stack) = threw(bench.result("error", "{}").await);
    assert_eq!(message, "no such thing");
    assert!(
        stack.starts_with("TypeError: no such thing\n    at ") && stack.contains("index.js:1"),
        "{stack}"
    );
    assert_eq!(threw(bench.result("rejects", "{}").await).0, "coded");
    assert_eq!(threw(bench.result("text", "{}").await).0, "just text");
    assert_eq!(
        threw(bench.result("object", "{}").await).0,
        "{ errCode: -604101 }"
    );
    assert_eq!(threw(bench.result("nothing", "{}").await).0, "undefined");
    assert!(
        threw(bench.result("trap", "{}").await)
            .0
            .contains("cannot be shown")
    );
    bench.end().await;
}

#[tokio::test]
async fn what_does_not_load_says_so_until_it_changes() {
    let mut bench = Bench::new().await;
    bench.function("syntax", "exports.main = async () => ) ;");
    bench.function("missing", "require('no-such-package'); exports.main = () => 1;");
    bench.function("nameless", "exports.handler = () => 1;");
    bench.load().await;
    for _ in 0..2 {
        let (message, stack) = threw(bench.result("syntax", "{}").await);
        assert_eq!(message, "Unexpected token ')'");
        assert!(stack.contains("index.js:1"), "{stack}");
        let (message, stack) = threw(bench.result("missing", "{}").await);
        assert!(
            message.contains("Cannot find module 'no-such-package'"),
            "{message}"
        );
        assert!(
            message.ends_with("missing/index.js"),
            "the worker's own files are no news: {message}"
        );
        assert!(!stack.contains("bootstrap.js"), "{stack}");
        let (message, _) = threw(bench.result("nameless", "{}").await);
        assert!(
            message.contains("exports no function \"main\" (it exports: handler)"),
            "{message}"
        );
    }
    eventually("the end of the workers", || bench.processes().is_empty()).await;
    assert!(bench.result("syntax", "{}").await.is_err());
    assert!(
        bench.processes().is_empty(),
        "nothing is started for what cannot load"
    );
    bench.function("syntax", "exports.main = async () => 'mended';");
    bench.load().await;
    assert_eq!(bench.result("syntax", "{}").await, Ok("\"mended\"".to_owned()));
    bench.end().await;
}

#[tokio::test]
async fn a_failure_to_load_that_may_pass_is_tried_again() {
    let mut bench = Bench::new().await;
    let source = "
        const fs = require('fs'), path = require('path');
        const mark = path.join(__dirname, 'mark.tmp');
        if (!fs.existsSync(mark)) { fs.writeFileSync(mark, ''); throw new Error('connect ECONNREFUSED'); }
        exports.main = () => 1;";
    bench.function("f", source);
    bench.load().await;
    assert_eq!(threw(bench.result("f", "{}").await).0, "connect ECONNREFUSED");
    assert_eq!(bench.result("f", "{}").await, Ok("1".to_owned()));
    bench.end().await;
}

#[tokio::test]
async fn the_context_is_the_platforms() {
    let bench = Bench::one(
        "exports.main = async (event, context) => ({
        all: context, names: Object.keys(context).sort(), left: context.getRemainingTimeInMillis(),
        environment: JSON.parse(context.environment), environ: context.environ });",
    )
    .await;
    let result = bench.result("f", "{}").await.unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["all"]["request_id"], "r-1");
    assert_eq!(result["all"]["function_name"], "f");
    assert_eq!(result["all"]["memory_limit_in_mb"], 256);
    assert_eq!(result["environment"]["WX_OPENID"], "o-r-1");
    let (own, call) = result["environ"].as_str().unwrap().split_once(";WX_").unwrap();
    assert_eq!(call, "OPENID=o-r-1;TCB_ENV=env-1");
    let environment = result["environment"].as_object().unwrap();
    let of_worker = environment.iter().take(2);
    let of_worker: Vec<String> = of_worker
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
        .collect();
    assert_eq!(own, of_worker.join(";"), "the key pair, then the call's");
    assert!(own.starts_with("TENCENTCLOUD_SECRETID=yq"), "{own}");
    let left = result["left"].as_u64().unwrap();
    assert!((2000..=3000).contains(&left), "{left}");
    let names = "callbackWaitsForEmptyEventLoop environ environment function_name getRemainingTimeInMillis \
                 memory_limit_in_mb request_id";
    assert_eq!(
        result["names"],
        serde_json::json!(names.split_whitespace().collect::<Vec<_>>())
    );
    bench.end().await;
}

#[tokio::test]
async fn a_function_sees_its_callers_variables_and_nothing_of_the_machine() {
    let mut bench = Bench::new().await;
    let source = "
        const atLoad = { ...process.env };
        const { execFileSync } = require('child_process');
        exports.main = async (event) => {
            process.env.KEPT = 'yes';
            if (event.write) process.env.WX_OPENID = 'mine';
            return { atLoad, now: { ...process.env }, has: 'WX_OPENID' in process.env, keys: Object.keys(process.env),
                child: execFileSync('env', { encoding: 'utf8' }).trim().split('\\n'), none: process.env.NOPE === undefined,
                deleted: delete process.env.GREETING && process.env.GREETING === undefined };
        };";
    bench
        .function("f", source)
        .env
        .insert("GREETING".to_owned(), "hello".to_owned());
    bench.load().await;
    let first: serde_json::Value =
        serde_json::from_str(&bench.result("f", r#"{"write":true}"#).await.unwrap()).unwrap();
    assert_eq!(first["now"]["WX_OPENID"], "mine");
    let result: serde_json::Value = serde_json::from_str(&bench.result("f", "{}").await.unwrap()).unwrap();
    assert_eq!(
        result["now"]["WX_OPENID"], "o-r-1",
        "what one call wrote is not the next one's identity"
    );
    assert_eq!(
        result["now"]["KEPT"], "yes",
        "but a process keeps what was written, as on the platform"
    );
    assert_eq!(
        (&result["has"], &result["none"], &result["deleted"]),
        (&true.into(), &true.into(), &true.into())
    );
    assert_eq!(result["atLoad"]["TCB_ENV"], "env-1");
    assert_eq!(first["now"]["GREETING"], "hello");
    let mut names: Vec<&str> = result["atLoad"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.retain(|name| !["PATH", "HOME", "LANG"].contains(name));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "GREETING",
            "NODE_PATH",
            "TCB_ENV",
            "TENCENTCLOUD_SECRETID",
            "TENCENTCLOUD_SECRETKEY",
            "TMPDIR",
            "TZ"
        ]
    );
    let child: Vec<&str> = result["child"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert!(
        child.contains(&"WX_OPENID=o-r-1") && child.contains(&"KEPT=yes"),
        "{child:?}"
    );
    assert!(
        !child.iter().any(|line| line.starts_with("YUNQIAO_")),
        "{child:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn the_clock_is_in_utc_unless_the_function_says_otherwise() {
    // Spares are started before it is known which function they will serve.
    for spares in [0, 1] {
        let mut bench = Bench::with(|options| options.spares = spares).await;
        let source = "const atLoad = new Date(0).getHours();
            exports.main = () => [atLoad, new Date(0).getHours(), process.env.TZ];";
        for concurrency in [1, 3] {
            bench.function(&format!("f{concurrency}"), source).concurrency = concurrency;
            let told = bench.function(&format!("g{concurrency}"), source);
            told.concurrency = concurrency;
            told.env.insert("TZ".to_owned(), "Asia/Shanghai".to_owned());
        }
        bench.load().await;
        for concurrency in [1, 3] {
            let hours = async |name: &str| bench.result(&format!("{name}{concurrency}"), "{}").await.unwrap();
            assert_eq!(hours("f").await, r#"[0,0,"UTC"]"#);
            assert_eq!(hours("g").await, r#"[8,8,"Asia/Shanghai"]"#);
        }
        bench.end().await;
    }
}

#[tokio::test]
async fn a_function_may_replace_what_the_language_offers() {
    let source = "
        const broken = () => { throw new TypeError('replaced'); };
        const nothing = () => '1,\"requestID\":\"mine\"';
        for (const [owner, names] of [[JSON, ['parse', 'stringify']], [Object, ['assign', 'entries', 'keys', 'hasOwn']], [Math, ['floor', 'min', 'max']],
            [Buffer, ['byteLength', 'from', 'allocUnsafeSlow']], [require('fs'), ['writeSync']], [Promise.prototype, ['then']], [Atomics, ['wait']],
            [process, ['nextTick', 'reallyExit']]]) {
            for (const name of names) owner[name] = name === 'stringify' ? nothing : broken;
        }
        globalThis.Promise = class { constructor() { broken(); } };
        exports.main = (event, context) => {
            process.stdout.write('a line\\n');
            if (event.throws) throw new Error('thrown');
            if (event.late) return (async () => ({ late: context.request_id, who: process.env.WX_OPENID }))();
            return { now: event.text };
        };";
    for concurrency in [1, 2] {
        let mut bench = Bench::new().await;
        bench.function("f", source).concurrency = concurrency;
        bench.load().await;
        let outcome = bench.call("f", r#"{"text":"中"}"#).await;
        assert_eq!(outcome.result.unwrap().json.unwrap(), r#"{"now":"中"}"#);
        assert_eq!(outcome.logs.lines()[0].text, "a line");
        assert_eq!(
            bench.result("f", r#"{"late":true}"#).await.unwrap(),
            r#"{"late":"r-1","who":"o-r-1"}"#
        );
        assert_eq!(threw(bench.result("f", r#"{"throws":true}"#).await).0, "thrown");
        bench.end().await;
    }
}

#[tokio::test]
async fn what_lies_behind_an_error_is_told_with_it() {
    let bench = Bench::one(
        "exports.main = async ({ what }) => {
        const inner = new Error('connect ECONNREFUSED', { cause: new TypeError('the reason') });
        if (what === 'cause') throw new Error('fetch failed', { cause: inner });
        if (what === 'many') throw new AggregateError([inner, 'a text', new RangeError('two')], 'all failed');
        if (what === 'circle') { const error = new Error('round'); error.cause = error; throw error; }
        if (what === 'plain') throw new Error('fetch failed', { cause: { code: 7 } });
        let deep = new Error('level 0'); for (let n = 1; n < 100; n++) deep = new Error(`level ${n}`, { cause: deep });
        throw deep; };",
    )
    .await;
    let stack = async |what: &str| threw(bench.result("f", &format!(r#"{{"what":"{what}"}}"#)).await).1;
    let cause = stack("cause").await;
    for text in [
        "Error: fetch failed\n    at ",
        "\n  [cause]: Error: connect ECONNREFUSED\n      at ",
        "\n    [cause]: TypeError: the reason",
    ] {
        assert!(cause.contains(text), "{text:?} in {cause}");
    }
    assert!(
        !cause.contains("bootstrap.js"),
        "the worker's own frames: {cause}"
    );
    let many = stack("many").await;
    for text in [
        "AggregateError: all failed",
        "[errors][0]: Error: connect",
        "[cause]: TypeError",
        "[errors][1]: 'a text'",
        "[errors][2]: RangeError: two",
    ] {
        assert!(many.contains(text), "{text:?} in {many}");
    }
    assert!(stack("circle").await.contains("[cause]: [Circular]"));
    assert!(stack("plain").await.contains("[cause]: { code: 7 }"));
    assert!(stack("deep").await.contains("level 91") && !stack("deep").await.contains("level 90\n"));
    bench.end().await;
}

#[tokio::test]
async fn what_ends_a_process_between_calls_is_told() {
    let bench = Bench::one(
        "exports.main = ({ how }) => {
        if (how === 'exit') setImmediate(() => process.exit(4));
        if (how === 'throw') setImmediate(() => { throw new Error('too late'); });
        if (how === 'reject') setImmediate(() => { Promise.reject(new Error('unheard')); });
        return how; };",
    )
    .await;
    let heard = |text: &str| {
        let printed = bench.heard.printed.lock().unwrap();
        let mut texts = printed.iter().filter(|printed| printed.call.is_none());
        texts
            .find(|printed| printed.line.text.contains(text))
            .map(|printed| printed.to_string())
    };
    for how in ["exit", "reject", "throw"] {
        bench.result("f", &format!(r#"{{"how":"{how}"}}"#)).await.unwrap();
        let text = match how {
            "exit" => "ended by itself between its calls: exit code 4",
            "reject" => "unhandled rejection: Error: unheard",
            _ => "uncaught exception: Error: too late",
        };
        eventually(text, || heard(text).is_some()).await;
        let line = heard(text).unwrap();
        assert!(
            line.starts_with("f: ") && !line.contains("bootstrap.js"),
            "{line}"
        );
    }
    bench.end().await;
}

#[tokio::test]
async fn output_is_kept_with_the_call() {
    let bench = Bench::one("exports.main = async () => {
        console.log('one', { a: 1 }); console.info('two\\nlines'); console.warn('three'); console.error('four');
        console.debug('five'); process.stdout.write('half '); process.stdout.write('line\\nrest');
        console.__baseLog__({ a: 1 }, 'warn'); console.group('g'); console.log('in'); console.groupEnd();
        Promise.reject(new Error('left behind'));
        await new Promise((done) => setTimeout(done, 20));
        require('child_process').execSync('echo from a child', { stdio: 'inherit' });
        await new Promise((done) => setTimeout(done, 50));
    };")
    .await;
    let outcome = bench.call("f", "{}").await;
    let lines: Vec<(Level, &str)> = outcome
        .logs
        .lines()
        .iter()
        .map(|line| (line.level, line.text.as_str()))
        .collect();
    let rejection = lines
        .iter()
        .position(|(_, text)| text.starts_with("unhandled rejection: Error: left behind"));
    let rejection = rejection.unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(lines[rejection].0, Level::Error);
    let rest: Vec<(Level, &str)> = lines
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, _)| *at != rejection)
        .map(|it| it.1)
        .collect();
    assert_eq!(
        rest,
        [
            (Level::Log, "one { a: 1 }"),
            (Level::Info, "two\nlines"),
            (Level::Warn, "three"),
            (Level::Error, "four"),
            (Level::Debug, "five"),
            (Level::Log, "half line"),
            (Level::Warn, "{ a: 1 }"),
            (Level::Log, "g"),
            (Level::Log, "  in"),
            (Level::Log, "from a child"),
            (Level::Log, "rest"),
        ]
    );
    assert!(outcome.logs.lines()[rejection].at >= Duration::ZERO && !outcome.logs.is_truncated());
    bench.end().await;
}

#[tokio::test]
async fn output_outside_of_calls_is_told() {
    let bench = Bench::one(
        "console.log('loading'); exports.main = () => { setTimeout(() => console.log('later'), 20); };",
    )
    .await;
    let outcome = bench.call("f", "{}").await;
    assert!(outcome.logs.lines().is_empty(), "{:?}", outcome.logs);
    let printed = |text: &str| {
        let heard = bench.heard.printed.lock().unwrap();
        heard
            .iter()
            .any(|printed| printed.call.is_none() && printed.to_string() == format!("f: {text}"))
    };
    assert!(printed("loading"));
    eventually("the late line", || printed("later")).await;
    bench.end().await;
}

#[tokio::test]
async fn a_line_is_told_while_its_call_runs() {
    let mut bench = Bench::new().await;
    // A loop that never gives Node a turn, and one that does: each goes on until a file says that its line was heard.
    let source = "const { existsSync } = require('fs');
        exports.main = async ({ go, turns }) => {
            console.warn('begun');
            if (turns) while (!existsSync(go)) await new Promise((ok) => setTimeout(ok, 1));
            else while (!existsSync(go));
            process.stdout.write('ended\\n');
        };";
    for concurrency in [1, 2] {
        bench.function("f", source).concurrency = concurrency;
        bench.load().await;
        for turns in [false, true] {
            bench.heard.printed.lock().unwrap().clear();
            let go = bench.folder.path().join(format!("go-{concurrency}-{turns}"));
            let event = serde_json::json!({ "go": go, "turns": turns }).to_string();
            let call = call("f", &event);
            let id = call.id();
            let lines = || -> Vec<PrintedLine> { bench.heard.printed.lock().unwrap().clone() };
            let hear = async {
                eventually("the first line", || !lines().is_empty()).await;
                fs::write(&go, "").unwrap();
            };
            let (outcome, ()) = tokio::join!(bench.runtime.invoke(call), hear);
            outcome.result.unwrap();
            let told = lines();
            assert!(told.iter().all(|printed| printed.call == Some(id)
                && printed.function.as_ref().is_some_and(|name| name.as_str() == "f")));
            let told: Vec<_> = told.into_iter().map(|printed| printed.line).collect();
            assert_eq!(told, outcome.logs.lines());
            let texts: Vec<_> = told.iter().map(|line| (line.level, line.text.as_str())).collect();
            assert_eq!(
                texts,
                [(crate::Level::Warn, "begun"), (crate::Level::Log, "ended")]
            );
        }
    }
    bench.end().await;
}

#[tokio::test]
async fn an_unknown_function_is_not_found() {
    let mut bench = Bench::one("exports.main = () => 1;").await;
    assert_eq!(bench.result("g", "{}").await, Err(CallError::NotFound));
    bench.function("g", "").problem = Some(wording::Wording::as_is("its name is wrong"));
    bench.load().await;
    assert_eq!(
        bench.result("g", "{}").await,
        Err(CallError::CannotRun {
            why: "its name is wrong".to_owned()
        })
    );
    bench.end().await;
}
