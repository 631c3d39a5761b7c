//! A call that was made on the page Call, as text to take away: a command, and a test in the style of the project's own.

use std::path::Path;

use serde_json::Value;
use wording::shell_word;

use crate::call::{Form, KINDS, Trigger};

/// What runs the tests of a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TestRunner {
    /// Node's own.
    #[default]
    Node,
    Jest,
    Vitest,
    Mocha,
}

/// How a call ended, as a test asserts it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Good,
    /// With this `errCode`.
    Code(i64),
    /// Over HTTP: with this status.
    Status(u16),
}

impl TestRunner {
    /// That of the project in `root`, by what its `package.json` runs as `npm test`, else by what it depends on. It reads a file.
    pub(crate) fn of(root: &Path) -> Self {
        const ALL: [(&str, TestRunner); 3] = [
            ("vitest", TestRunner::Vitest),
            ("jest", TestRunner::Jest),
            ("mocha", TestRunner::Mocha),
        ];
        let text = std::fs::read(root.join("package.json")).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&text).unwrap_or_default();
        let scripts = manifest["scripts"].as_object().into_iter().flatten();
        let scripts = scripts.filter(|(name, _)| name.starts_with("test"));
        let words: Vec<&str> = scripts
            .filter_map(|(_, script)| script.as_str())
            .flat_map(str::split_whitespace)
            .collect();
        let runs = |name: &str| words.iter().any(|word| word.rsplit('/').next() == Some(name));
        let depends = |name: &str| {
            let kinds = ["devDependencies", "dependencies"];
            kinds.iter().any(|kind| manifest[kind].get(name).is_some())
        };
        let found = ALL.iter().find(|(name, _)| runs(name));
        let by_node = words
            .windows(2)
            .any(|two| two[0] == "node" && two[1].starts_with("--test"));
        let found = found.or_else(|| ALL.iter().find(|(name, _)| !by_node && depends(name)));
        found.map_or(Self::Node, |(_, runner)| *runner)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Node => "node --test",
            Self::Jest => "Jest",
            Self::Vitest => "Vitest",
            Self::Mocha => "Mocha",
        }
    }

    /// What is typed to run a file of ours, and what the file begins with. Jest and Mocha bring `test` and `it` along; what is assumed of
    /// the page that they test, Jest does without: there is `fetch` in Node alone.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Node => (
                "node --test call.test.mjs",
                "import assert from 'node:assert/strict'\nimport test from 'node:test'\n",
            ),
            Self::Jest => ("npx jest call.test.js", ""),
            Self::Vitest => (
                "npx vitest run call.test.js",
                "// @vitest-environment node\nimport { expect, test } from 'vitest'\n",
            ),
            Self::Mocha => (
                "npx mocha call.test.mjs",
                "import assert from 'node:assert/strict'\n",
            ),
        }
    }

    /// A line that asserts that two things are equal.
    fn equal(self, is: &str, wanted: &str) -> String {
        match self {
            Self::Node | Self::Mocha => format!("assert.equal({is}, {wanted})"),
            Self::Jest | Self::Vitest => format!("expect({is}).toBe({wanted})"),
        }
    }
}

/// The same call on the command line. `web` is where the web listener is.
pub(crate) fn command(form: &Form, dir: &str, web: &str) -> String {
    let dir = format!(" --dir {}", shell_word(dir));
    let function = shell_word(&form.function);
    match &form.trigger {
        Trigger::Timer(name) => return format!("yunqiao call {function} --timer {}{dir}", shell_word(name)),
        Trigger::Http { method, path } => {
            let url = shell_word(&format!("{web}{path}"));
            return match *method {
                "GET" => format!("curl -i {url}"),
                method => format!(
                    "curl -i -X {method} -H 'content-type: application/json' --data {} {url}",
                    shell_word(&form.event)
                ),
            };
        }
        Trigger::Client | Trigger::Push(_) => {}
    }
    let mut command = format!("yunqiao call {function} --as {}", shell_word(&form.user));
    if form.event.trim() != "{}" {
        command += &format!(" --data {}", shell_word(&form.event));
    }
    for (kind, field) in &form.open_data {
        command += &format!(" --cloud-id {}", shell_word(&format!("{field}={kind}")));
    }
    command + &dir
}

/// The same call as a test, which asserts that it ends as it did.
pub(crate) fn test(form: &Form, dir: &str, ending: Ending, runner: TestRunner) -> String {
    let (typed, imports) = runner.parts();
    let environment = if runner == TestRunner::Jest {
        "/** @jest-environment node */\n"
    } else {
        ""
    };
    let word = if runner == TestRunner::Mocha { "it" } else { "test" };
    let ends = match ending {
        Ending::Good => runner.equal("reply.errMsg", "'cloud.callFunction:ok'"),
        Ending::Code(code) => runner.equal("reply.errCode", &code.to_string()),
        Ending::Status(status) => runner.equal("reply.status", &status.to_string()),
    };
    let (variables, helpers, title, call) = match &form.trigger {
        Trigger::Timer(name) => by_timer(&form.function, name),
        Trigger::Http { method, path } => over_http(method, path, form.event.trim()),
        Trigger::Client | Trigger::Push(_) => by_client(form),
    };
    let dir = shell_word(dir);
    format!(
        r"{environment}// yunqiao exec {dir} -- {typed}
{imports}
const {{ {variables} }} = process.env
{helpers}
{word}({title}, async () => {{
{call}
  {ends}
  console.log(reply.result ?? reply)
}})
"
    )
}

/// The environment's variables, functions, the title, and what gives `reply`.
type Parts = (&'static str, String, String, String);

const POST: &str = "const post = async (url, body, token = '') => {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}
";

fn by_client(form: &Form) -> Parts {
    let (user, function) = (text(&form.user), text(&form.function));
    let mut open_data = String::new();
    let mut fields = Vec::new();
    for (kind, field) in &form.open_data {
        let api = KINDS.iter().find(|(known, _)| known == kind);
        let api = text(api.map_or("", |(_, api)| api));
        let field = text(field);
        open_data += &format!("  data[{field}] = (await wx({api})).cloudID\n");
        fields.push(field);
    }
    let (fields, event) = (fields.join(", "), form.event.trim());
    let helpers = format!(
        "{POST}const wx = (api) => post(`${{YUNQIAO_WECHAT_URL}}/sim/client`, {{ user: {user}, api }})\n"
    );
    let call = format!(
        r"  const {{ code }} = await wx('login')
  const {{ token }} = await post(`${{YUNQIAO_URL}}/v1/login`, {{ code }})
  const data = {event}
{open_data}  const reply = await post(`${{YUNQIAO_URL}}/v1/functions/${{{function}}}`, {{ data, cloudIDs: [{fields}] }}, token)"
    );
    ("YUNQIAO_URL, YUNQIAO_WECHAT_URL", helpers, function, call)
}

fn by_timer(function: &str, timer: &str) -> Parts {
    let call = format!(
        r"  const door = `${{YUNQIAO_OPERATOR_URL}}/operator/functions/${{{}}}/timer`
  const reply = await post(door, {{ trigger: {} }}, YUNQIAO_OPERATOR_SECRET)",
        text(function),
        text(timer)
    );
    let title = text(&format!("{function} by its timer {timer}"));
    (
        "YUNQIAO_OPERATOR_URL, YUNQIAO_OPERATOR_SECRET",
        POST.to_owned(),
        title,
        call,
    )
}

fn over_http(method: &str, path: &str, event: &str) -> Parts {
    let path_text = text(path);
    let rest = match method {
        "GET" => String::new(),
        method => format!(
            ", {{
    method: '{method}',
    headers: {{ 'content-type': 'application/json' }},
    body: JSON.stringify({event}),
  }}"
        ),
    };
    let call = format!("  const reply = await fetch(YUNQIAO_WEB_URL + {path_text}{rest})");
    (
        "YUNQIAO_WEB_URL",
        String::new(),
        text(&format!("{method} {path}")),
        call,
    )
}

/// A text of JavaScript's: JSON is that, strings included.
fn text(text: &str) -> String {
    serde_json::json!(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn form(user: &str, event: &str) -> Form {
        Form::new(
            "werun",
            user,
            event,
            vec![("weRunData".to_owned(), "steps".to_owned())],
        )
    }

    fn http(method: &'static str) -> Form {
        let trigger = Trigger::Http {
            method,
            path: "/api?a=b&c".to_owned(),
        };
        Form {
            trigger,
            ..form("alice", "{\"a\": 1}")
        }
    }

    fn timer(name: &str) -> Form {
        Form {
            trigger: Trigger::Timer(name.to_owned()),
            ..form("", "{}")
        }
    }

    #[test]
    fn a_test_says_what_it_saw_and_survives_quotes() {
        let form = form("o'Neil \"x\"", "{\"a\": 1}\n");
        let good = test(&form, "/p", Ending::Good, TestRunner::Node);
        for part in [
            "// yunqiao exec /p -- node --test",
            r#"user: "o'Neil \"x\"", api"#,
            r#"const data = {"a": 1}"#,
            r#"data["steps"] = (await wx("getWeRunData")).cloudID"#,
            r#"cloudIDs: ["steps"]"#,
            "assert.equal(reply.errMsg, 'cloud.callFunction:ok')",
        ] {
            assert!(good.contains(part), "{part} in {good}");
        }
        let failing = test(&form, "/p", Ending::Code(-504_002), TestRunner::Node);
        assert!(
            failing.contains("assert.equal(reply.errCode, -504002)"),
            "{failing}"
        );
    }

    #[test]
    fn a_test_is_for_what_called_and_for_the_projects_own_runner() {
        let fired = test(&timer("at \"night\""), "/p", Ending::Good, TestRunner::Mocha);
        for part in [
            "YUNQIAO_OPERATOR_SECRET",
            r#"{ trigger: "at \"night\"" }"#,
            "it(\"werun by its timer",
            "-- npx mocha call.test.mjs\nimport assert",
        ] {
            assert!(fired.contains(part), "{part} in {fired}");
        }
        let sent = test(&http("POST"), "/p", Ending::Status(302), TestRunner::Vitest);
        for part in [
            r#"fetch(YUNQIAO_WEB_URL + "/api?a=b&c", {"#,
            "expect(reply.status).toBe(302)",
            "from 'vitest'",
            "JSON.stringify({\"a\": 1})",
        ] {
            assert!(sent.contains(part), "{part} in {sent}");
        }
        let got = test(&http("GET"), "/p", Ending::Status(200), TestRunner::Jest);
        assert!(
            got.contains("fetch(YUNQIAO_WEB_URL + \"/api?a=b&c\")\n")
                && got.starts_with("/** @jest-environment node */\n"),
            "{got}"
        );
    }

    #[test]
    fn the_runner_is_found_by_what_the_project_runs_else_by_what_it_has() {
        let project = tempfile::tempdir().unwrap();
        assert_eq!(TestRunner::of(project.path()), TestRunner::Node);
        for (manifest, runner) in [
            ("", TestRunner::Node),
            ("{}", TestRunner::Node),
            (r#"{"devDependencies": {"jest": "^30"}}"#, TestRunner::Jest),
            (r#"{"dependencies": {"mocha": "*"}}"#, TestRunner::Mocha),
            (
                r#"{"scripts": {"test": "yunqiao exec -- vitest run"}}"#,
                TestRunner::Vitest,
            ),
            (
                r#"{"scripts": {"test:unit": "node node_modules/.bin/mocha"}, "devDependencies": {"jest": "*"}}"#,
                TestRunner::Mocha,
            ),
            (
                r#"{"scripts": {"test": "node --test-reporter=spec --test"}, "devDependencies": {"jest": "*"}}"#,
                TestRunner::Node,
            ),
            (r#"{"scripts": {"build": "jest"}}"#, TestRunner::Node),
            (
                r#"{"scripts": {"test": ["jest"]}, "devDependencies": []}"#,
                TestRunner::Node,
            ),
        ] {
            std::fs::write(project.path().join("package.json"), manifest).unwrap();
            assert_eq!(TestRunner::of(project.path()), runner, "{manifest}");
        }
    }

    #[test]
    fn a_command_survives_the_shell() {
        let form = form("al ice", "{\"it's\": \"$HOME\"}");
        assert_eq!(
            command(&form, "/a b", ""),
            r#"yunqiao call werun --as 'al ice' --data '{"it'\''s": "$HOME"}' --cloud-id steps=weRunData --dir '/a b'"#
        );
        assert_eq!(
            command(&timer("a b"), "/p", ""),
            "yunqiao call werun --timer 'a b' --dir /p"
        );
        let web = "http://127.0.0.1:8786";
        assert_eq!(
            command(&http("GET"), "/p", web),
            "curl -i 'http://127.0.0.1:8786/api?a=b&c'"
        );
        assert_eq!(
            command(&http("PUT"), "/p", web),
            r#"curl -i -X PUT -H 'content-type: application/json' --data '{"a": 1}' 'http://127.0.0.1:8786/api?a=b&c'"#
        );
    }
}
