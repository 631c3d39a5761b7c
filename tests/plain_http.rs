//! The page `docs/http.md`: its commands, run by a shell as they stand.

use std::{path::Path, process::Command};

use crate::support::{Dev, Scratch, run};

/// The blocks of a page that are marked with this language.
fn blocks(page: &str, language: &str) -> String {
    let begin = format!("```{language}\n");
    let blocks = page.split(&begin).skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md");
    let page = std::fs::read_to_string(page).unwrap();
    let commands = blocks(&page, "sh");
    assert!(commands.contains("batchDeleteFile"), "{commands}");
    let project = Scratch::new(&[(
        "login",
        "exports.main = ({ userInfo }) => ({ openid: userInfo.openId })",
    )]);
    let dev = Dev::start(project.path());
    let mut shell = Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", &commands])
        .env("YUNQIAO_URL", &dev.server.url)
        .env("YUNQIAO_WECHAT_URL", &dev.wechat)
        .env("NO_PROXY", "*");
    let (output, answers, errors) = run(&mut shell);
    assert!(output.status.success(), "{answers}\n{errors}");
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
    let mut at = 0;
    for part in expected {
        let found = answers[at..].find(part);
        at += found.unwrap_or_else(|| panic!("{part} does not come next in {answers}"));
    }
}
