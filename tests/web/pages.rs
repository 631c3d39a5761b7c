//! A page of Vue and its router from npm, served as the site and used by clicks in Chromium; and pages of other origins that call.

use std::{fs, path::Path, process::Command};

use super::{ECHO, route};
use crate::{
    strangers::install,
    support::{Dev, Scratch, run},
};

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");

/// What a build would write: the page, its script, and the packages beside it.
fn build(dist: &Path) {
    let home = install::node_modules_of("web-page", PACKAGE, LOCK);
    let assets = dist.join("assets");
    fs::create_dir_all(&assets).unwrap();
    for (package, file, to) in [
        ("vue", "vue.esm-browser.prod.js", "vue.js"),
        ("vue-router", "vue-router.esm-browser.prod.js", "router.js"),
    ] {
        fs::copy(home.join(package).join("dist").join(file), assets.join(to)).unwrap();
    }
    fs::write(dist.join("index.html"), include_str!("page/index.html")).unwrap();
    fs::write(assets.join("app.js"), include_str!("page/app.js")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_vue_is_served_clicked_and_calls_across_origins() {
    let project = Scratch::new(&[("echo", ECHO), ("visits", VISITS)]);
    let dist = project.path().join("dist");
    build(&dist);
    let settings =
        "[web]\nsite = \"dist\"\nspa = true\n[[web.cache]]\npath = \"/assets/*\"\nmax_age = \"1d\"\n";
    let routes = [route("/api", "echo", ""), route("/visits", "visits", "")].concat();
    project.write("yunqiao.toml", &format!("{settings}{routes}"));
    let dev = Dev::start(project.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/web/pages.mjs");
    let (output, out, err) = run(Command::new("node").arg(script).arg(&dev.web).arg(&dist));
    assert!(output.status.success(), "{out}{err}{}", dev.server.printed());
}

/// Counts by a cookie, which a page of another origin sends along if it may.
const VISITS: &str = r"
exports.main = async (event) => {
  const before = Number(/visits=(\d+)/.exec(event.headers.cookie || '')?.[1] || 0);
  return { statusCode: 200, headers: { 'set-cookie': `visits=${before + 1}; Path=/`, 'content-type': 'application/json' },
    body: JSON.stringify({ before, method: event.httpMethod, own: event.headers['x-own'], body: event.body }) };
};";
