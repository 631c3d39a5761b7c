//! `yunqiao init`: a working little project, the same as `examples/quickstart`.

use std::{fs, process::ExitCode};

use anstream::println;
use anyhow::{Context, bail};

use crate::args;

macro_rules! quickstart {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../examples/quickstart/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = quickstart![
    "README.md",
    "project.config.json",
    "cloudfunctions/login/index.js",
    "cloudfunctions/login/package.json",
    "cloudfunctions/phone/index.js",
    "cloudfunctions/phone/package.json",
    "cloudfunctions/werun/index.js",
    "cloudfunctions/werun/package.json",
    "miniprogram/app.js",
    "miniprogram/app.json",
    "miniprogram/app.wxss",
    "miniprogram/sitemap.json",
    "miniprogram/pages/index/index.js",
    "miniprogram/pages/index/index.json",
    "miniprogram/pages/index/index.wxml",
    "miniprogram/pages/index/index.wxss",
    "test/main-job.mjs",
];

pub(crate) fn run(args: &args::Init) -> anyhow::Result<ExitCode> {
    let dir = &args.dir;
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!(
            "{} is not empty; name a folder that is empty or not there yet",
            dir.display()
        );
    }
    for (path, content) in FILES {
        let path = dir.join(path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("{} could not be written", path.display()))?;
    }
    println!("made {}; next:\n\n  yunqiao dev {0}", dir.display());
    Ok(ExitCode::SUCCESS)
}
