//! HTTP functions (HTTP 云函数): a folder whose `scf_bootstrap` starts a web server of its own on port 9000, in any language
//! (docs.cloudbase.net/cloud-function/develop/scf-bootstrap). None is started here. One that exports `main` as well, as some do that
//! are deployed either way, is called like any other function.

use std::{fs, path::Path};

use wording::{Wording, wording};

/// The file that starts the server.
const BOOTSTRAP: &str = "scf_bootstrap";

/// Whether the function in this folder is one.
pub(crate) fn is_in(dir: &Path) -> bool {
    dir.join(BOOTSTRAP).is_file()
}

/// Whether a file exports `main`, as far as its text tells: what may do so is run.
pub(crate) fn exports_main(entry: &Path) -> bool {
    let text = fs::read(entry).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split(|character: char| !character.is_alphanumeric() && character != '_');
    text.contains("export") && words.any(|word| word == "main")
}

/// What is said of one whose server is not started.
pub(crate) fn not_run() -> Wording {
    wording!(
        "it is an HTTP function, whose own web server on port 9000 is not started here",
        "这是 HTTP 云函数，这里不会启动它在 9000 端口的 Web 服务"
    )
}

/// What to write instead.
pub(crate) fn written_otherwise() -> Wording {
    wording!(
        "in Node, export `main` in place of it (`exports.main = serverless(app)` with serverless-http, for Express and Koa), and give the function a path as [[web.functions]] in yunqiao.toml; a server in another language runs beside this one, by itself",
        "Node 代码请改为导出 `main`（Express、Koa 用 serverless-http：`exports.main = serverless(app)`），并在 yunqiao.toml 里用 [[web.functions]] 给它一个路径；其他语言的服务请单独运行"
    )
}

/// What is said of its `scf_bootstrap`, where the function exports `main`, and the mend.
pub(crate) fn not_started() -> (Wording, Wording) {
    (
        wording!(
            "{BOOTSTRAP} is not run: here the function is called by its `main`",
            "不会运行 {BOOTSTRAP}：这里调用的是此云函数的 `main`"
        ),
        wording!(
            "leave it there for the platform; by HTTP the function is reached at a path of [[web.functions]] in yunqiao.toml",
            "可以留给平台使用；要用 HTTP 访问，请在 yunqiao.toml 里用 [[web.functions]] 给它一个路径"
        ),
    )
}
