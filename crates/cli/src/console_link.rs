//! `yunqiao console`: a fresh link that opens the console of a server that runs, for another browser or one that has lost its sign-in.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, absolute},
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use reqwest::{Method, Url};
use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::{
    args,
    data::Keeping,
    folder::{self, Folder},
    lang::say,
    operator::{self, Operator},
    print,
};

/// The operator's door that makes one.
const DOOR: &str = "/operator/console-link";
/// The file in the project's folder that leads a browser to the last link that was opened.
const FILE: &str = "console.html";
/// What goes on for so long is the browser itself, and not what hands an address on to one.
const IS_A_BROWSER: Duration = Duration::from_secs(3);

pub(crate) async fn run(args: args::Console, as_json: bool) -> anyhow::Result<ExitCode> {
    let (project, keeping) = operator::project(&args.place)?;
    let Some(operator) = operator::running(&project, keeping, DOOR).await? else {
        let root = project.root.display();
        match keeping {
            Keeping::BesideStore => bail!(say!(
                "no `yunqiao serve` answers at the operator's address of {root}: start it, with [operator] secret_file set",
                "{root} 的运维入口上没有 `yunqiao serve` 应答：请先启动它，并设置 [operator] secret_file"
            )),
            _ => bail!(say!(
                "no `yunqiao dev` runs for {root}: start it, and it prints a link of its own",
                "{root} 没有运行中的 `yunqiao dev`：请先启动，它会打印链接"
            )),
        }
    };
    let url = fresh(&operator).await?;
    match as_json {
        true => print::json(&json!({ "url": url })),
        false => print::result(&url),
    }
    if args.open {
        open(&project.root, &url).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A link that was made for this.
pub(crate) async fn fresh(operator: &Operator) -> anyhow::Result<String> {
    let answer = operator.answer(operator.ask(Method::POST, DOOR, &[])).await?;
    let path = answer["path"]
        .as_str()
        .with_context(|| say!("the server gave no link", "服务器没有返回链接"))?;
    Ok(format!("{}{path}", operator.url()))
}

/// Opens a link in the browser.
///
/// Every user of a machine may read what its processes were started with, and so be faster than the browser. So the browser is
/// given a file that leads to the link, which only its owner can read; it lies in the project's folder since browsers that are kept in a
/// sandbox do not see the folder for temporary files.
///
/// # Errors
/// The file cannot be written, or there is nothing that opens it.
pub(crate) async fn open(root: &Path, url: &str) -> anyhow::Result<()> {
    let file = absolute(root.join(folder::NAME).join(FILE))?;
    leading_to(root, url).with_context(|| {
        let file = file.display();
        say!(
            "{file} could not be written: open the link by hand",
            "无法写入 {file}：请手动打开链接"
        )
    })?;
    let address =
        Url::from_file_path(&file).map_or_else(|()| file.into(), |url| OsString::from(url.as_str()));
    let chosen = env::var_os("BROWSER").filter(|browser| !browser.is_empty());
    let usual = match cfg!(target_os = "macos") {
        true => &["open"][..],
        // In WSL, the one of Windows.
        false => &["xdg-open", "wslview"],
    };
    let browsers = chosen.into_iter().chain(usual.iter().map(OsString::from));
    for browser in browsers {
        let started = Command::new(&browser)
            .arg(&address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = started else { continue };
        match timeout(IS_A_BROWSER, child.wait()).await {
            Ok(Ok(ended)) if !ended.success() => {}
            _ => return Ok(()),
        }
    }
    bail!(say!(
        "nothing here opens a browser: set BROWSER, or open the link by hand",
        "找不到能打开浏览器的程序：请设置环境变量 BROWSER，或手动打开链接"
    ))
}

/// Writes that file, in place of the one before.
fn leading_to(root: &Path, url: &str) -> io::Result<()> {
    let folder = Folder::make(root)?;
    folder.remove(FILE)?;
    let page = format!(
        "<!doctype html><meta charset=utf-8><title>Yunqiao</title><meta http-equiv=refresh content=\"0; url={url}\">\
         <a href=\"{url}\">Yunqiao</a>\n"
    );
    folder.create(FILE)?.write_all(page.as_bytes())
}
