//! Packages from npm, each installed once.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::process;

/// Has `package` in this version in the `node_modules` of `folder`.
pub(crate) fn install(folder: &Path, package: &str, version: &str) -> Result<()> {
    let home = folder.join("node_modules").join(package);
    if installed(&home).as_deref() == Some(version) {
        return Ok(());
    }
    println!("installing {package} {version} into {}", folder.display());
    fs::create_dir_all(folder)?;
    fs::write(folder.join("package.json"), "{\"private\":true}\n")?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        &format!("{package}@{version}"),
    ]);
    ensure!(
        process::run(npm.current_dir(folder))?,
        "npm could not install {package} {version}"
    );
    Ok(())
}

fn installed(package: &Path) -> Option<String> {
    let manifest = fs::read_to_string(package.join("package.json")).ok()?;
    let manifest: Value = serde_json::from_str(&manifest).ok()?;
    manifest["version"].as_str().map(str::to_owned)
}
