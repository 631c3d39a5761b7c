//! Pages of the docs whose commands are run by a shell as they stand, in both languages: `http.md`, `sim.md` and `operator.md`.

use std::{path::Path, process::Command};

use crate::support::{Dev, OPERATOR_SECRET, Scratch, run};

/// The blocks of a page that are marked with this language.
fn blocks(page: &str, language: &str) -> String {
    let begin = format!("```{language}\n");
    let blocks = page.split(&begin).skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

/// Has a shell type all that stands on the page, beside `yunqiao dev`; what it prints has these parts, in this order.
fn answers(page: &str, expected: &[&str]) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    let page = std::fs::read_to_string(page).unwrap();
    let project = Scratch::new(&[(
        "login",
        "exports.main = ({ userInfo }) => ({ openid: userInfo.openId })",
    )]);
    project.write("yunqiao.toml", "[push.routes]\ntext = \"login\"\n");
    let dev = Dev::start(project.path());
    let mut shell = Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", &blocks(&page, "sh")])
        .env("YUNQIAO_URL", &dev.server.url)
        .env("YUNQIAO_WECHAT_URL", &dev.wechat)
        .env("YUNQIAO_OPERATOR_URL", &dev.operator)
        .env("YUNQIAO_OPERATOR_SECRET", OPERATOR_SECRET)
        .env("NO_PROXY", "*");
    let (output, answers, errors) = run(&mut shell);
    assert!(output.status.success(), "{answers}\n{errors}");
    let mut at = 0;
    for part in expected {
        let found = answers[at..].find(part);
        at += found.unwrap_or_else(|| panic!("{part} does not come next in {answers}"));
    }
}

#[test]
fn the_commands_for_clients_do_what_the_page_says() {
    let expected = [
        "\"openid\":\"",
        "\"insertedIds\":[\"",
        "\\\"title\\\":\\\"milk\\\"",
        "\"updated\":1",
        "\"total\":1",
        "\"deleted\":1",
        "hello",
        "\"code\":\"SUCCESS\"",
    ];
    for page in ["http.md", "zh/http.md"] {
        answers(page, &expected);
    }
}

#[test]
fn the_commands_for_the_simulated_wechat_do_what_the_pages_say() {
    let expected = [
        "\"name\":\"carol\"",
        "\"errMsg\":\"login:ok\"",
        "\"cloudID\":\"",
        "\"now\":",
        "\"priTmplId\":\"remind\"",
        "\"remind\":\"accept\"",
        "\"contains\":\"赌博\"",
        "\"kind\":\"errcode\"",
        "\"kind\":\"latency\"",
        "{\"faults\":[]}",
        "{\"items\":[",
        "\"acknowledged\":true",
    ];
    for page in ["sim.md", "zh/sim.md"] {
        answers(page, &expected);
    }
}

#[test]
fn the_commands_for_the_operator_do_what_the_pages_say() {
    let expected = [
        "\"access_token\":\"",
        "\"errcode\":0",
        "\"openid\":\"oNobodyInParticular\"",
        "\"title\":\"milk\"",
        "todos",
        "notes/hello.txt",
        "hello",
        "{\"removed\":[true]}",
    ];
    for page in ["operator.md", "zh/operator.md"] {
        answers(page, &expected);
    }
}
