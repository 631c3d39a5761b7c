//! `yunqiao console`: a fresh link that opens the console of a server that runs, for another browser or one that has lost its sign-in.

use std::{
    env,
    ffi::OsString,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::json;

use crate::{
    args,
    data::Keeping,
    operator::{self, Operator},
    print,
};

/// The operator's door that makes one.
const DOOR: &str = "/operator/console-link";

pub(crate) async fn run(args: args::Console, as_json: bool) -> anyhow::Result<ExitCode> {
    let (project, keeping) = operator::project(&args.place)?;
    let Some(operator) = operator::running(&project, keeping, DOOR).await? else {
        let root = project.root.display();
        match keeping {
            Keeping::BesideStore => bail!(
                "no `yunqiao serve` answers at the operator's address of {root}: start it, with [operator] secret_file set"
            ),
            _ => bail!("no `yunqiao dev` runs for {root}: start it, and it prints a link of its own"),
        }
    };
    let url = fresh(&operator).await?;
    match as_json {
        true => print::json(&json!({ "url": url })),
        false => print::result(&url),
    }
    if args.open {
        open(&url)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A link that was made for this.
pub(crate) async fn fresh(operator: &Operator) -> anyhow::Result<String> {
    let answer = operator.answer(operator.ask(Method::POST, DOOR, &[])).await?;
    let path = answer["path"].as_str().context("the server gave no link")?;
    Ok(format!("{}{path}", operator.url()))
}

/// Opens an address in the browser, and does not wait for it.
///
/// # Errors
/// There is nothing to open it with.
pub(crate) fn open(url: &str) -> anyhow::Result<()> {
    let chosen = env::var_os("BROWSER").filter(|browser| !browser.is_empty());
    let usual = match cfg!(target_os = "macos") {
        true => &["open"][..],
        // In WSL, the one of Windows.
        false => &["xdg-open", "wslview"],
    };
    let browsers = chosen.into_iter().chain(usual.iter().map(OsString::from));
    for browser in browsers {
        let started = Command::new(&browser)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if started.is_ok() {
            return Ok(());
        }
    }
    bail!("there is nothing to open a browser with: set BROWSER, or open the link by hand")
}
