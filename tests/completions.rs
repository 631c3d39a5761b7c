//! Completion, asked for as each shell asks.

use std::{path::Path, process::Command};

use serde_json::json;

use crate::support::{Dev, Scratch, quickstart, run, yunqiao};

/// The candidates for the last of these words, in the folder, without the options that may stand there as well.
fn candidates(shell: &str, dir: &Path, words: &[&str]) -> Vec<String> {
    let mut command = yunqiao();
    command
        .current_dir(dir)
        .env("YUNQIAO_COMPLETE", shell)
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n")
        .args(["--", "yunqiao"])
        .args(words);
    let (output, out, err) = run(&mut command);
    assert!(output.status.success(), "{err}");
    // zsh has a description behind a colon, fish behind a tab.
    let value = |line: &str| line.split(['\t', ':']).next().unwrap().to_owned();
    let values = out.lines().map(value);
    values.filter(|value| !value.starts_with('-')).collect()
}

#[test]
fn names_are_completed_in_each_shell() {
    let here = quickstart();
    for shell in ["bash", "zsh", "fish"] {
        let given = |words: &[&str]| candidates(shell, &here, words);
        assert_eq!(given(&["call", ""]), ["login", "phone", "werun"], "{shell}");
        assert_eq!(given(&["logs", "w"]), ["werun"]);
        assert_eq!(given(&["call", "login", "--as", ""]), ["alice", "bob"]);
        assert_eq!(
            given(&["call", "werun", "--cloud-id", "we"]),
            ["weRunData=weRunData"]
        );
        assert_eq!(given(&["push", "user_enter"]), ["user_enter_tempsession"]);
        assert_eq!(given(&["api", "wxacode.getU"]), ["wxacode.getUnlimited"]);
        assert_eq!(given(&["completions", ""]), ["bash", "zsh", "fish"]);
        assert_eq!(given(&["log"]), ["logs"]);
        assert_eq!(given(&["doctor", "mini"]), ["miniprogram/"]);
    }
}

#[test]
fn names_are_those_of_the_project_that_is_named() {
    let project = Scratch::new(&[("report", ""), ("other", "")]);
    let timer =
        |name: &str| json!({"triggers": [{"name": name, "type": "timer", "config": "0 0 2 * * * *"}]});
    project.write("cloudfunctions/report/config.json", &timer("nightly").to_string());
    project.write("cloudfunctions/other/config.json", &timer("hourly").to_string());
    let (dir, elsewhere) = (project.path().to_str().unwrap(), tempfile::tempdir().unwrap());
    let given = |words: &[&str]| candidates("bash", elsewhere.path(), words);
    assert_eq!(given(&["logs", "--dir", dir, ""]), ["other", "report"]);
    assert_eq!(given(&["dev", dir, "--inspect", "r"]), ["report"]);
    assert_eq!(
        given(&["call", "report", "--dir", dir, "--timer", ""]),
        ["nightly"]
    );
    // Where there is no project there are no names, and no error.
    assert_eq!(given(&["call", ""]), Vec::<String>::new());
}

#[tokio::test]
async fn users_are_those_of_the_dev_that_runs() {
    let project = Scratch::new(&[("who", "exports.main = () => 1")]);
    let dev = Dev::start(project.path());
    dev.sim("users", json!({"name": "carol"})).await;
    let path = project.path().to_owned();
    let given = candidates("fish", &path, &["push", "text", "--as", "c"]);
    assert_eq!(given, ["carol"]);
}

#[test]
fn bash_completes_after_sourcing_the_script() {
    let script = r#"
        PATH="$1:$PATH"
        source <(yunqiao completions bash)
        COMP_WORDS=(yunqiao call w) COMP_CWORD=2 COMP_LINE='yunqiao call w' COMP_POINT=14 COMP_TYPE=9
        _clap_complete_yunqiao yunqiao w call
        printf '%s\n' "${COMPREPLY[@]}"
        complete -p yunqiao"#;
    let program = yunqiao().get_program().to_owned();
    let folder = Path::new(&program).parent().unwrap().to_owned();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"])
        .arg(folder)
        .current_dir(quickstart());
    let (output, out, err) = run(&mut bash);
    assert!(output.status.success(), "{err}");
    let mut lines = out.lines();
    assert_eq!(lines.next().map(str::trim), Some("werun"), "{err}");
    assert!(
        lines
            .next()
            .unwrap()
            .contains("-F _clap_complete_yunqiao yunqiao"),
        "{out}"
    );
}

#[test]
fn a_shell_that_is_not_known_is_told_which_are() {
    let (output, _, err) = run(yunqiao().args(["completions", "csh"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("bash, zsh, fish"), "{err}");
}
