//! The examples beside the quickstart: each runs its own script, as its README says, and is in good health.

use std::path::PathBuf;

use crate::support::{quickstart, run, yunqiao};

fn example(name: &str) -> PathBuf {
    quickstart().with_file_name(name)
}

/// Every line that it prints was asserted in the script; here, that it came to each of them.
#[test]
fn server_apis_are_called_from_functions() {
    let project = example("openapi");
    let script = project.join("test/openapi.mjs");
    let (output, out, err) = run(yunqiao()
        .arg("exec")
        .arg(&project)
        .args(["--", "node"])
        .arg(script));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.lines().all(|line| line.starts_with("ok    ")), "{out}");
    for shown in [
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
    ] {
        assert!(out.lines().any(|line| line.ends_with(shown)), "{shown}: {out}");
    }
    // What somebody has to mend is in the log, with the mend.
    assert!(err.contains("is no template of this app"), "{err}");
    assert!(!format!("{out}{err}").contains("access_token"), "{out}{err}");
}

#[test]
fn the_doctor_finds_nothing() {
    let (output, out, err) = run(yunqiao().arg("doctor").arg(example("openapi")));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("nothing to mend in 5 functions"), "{out}");
}
