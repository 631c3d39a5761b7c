//! The strangers' packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::install::{once, run};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PACKAGE: &str = include_str!("package.json");
/// Says the version of everything, and not where it was got.
const LOCK: &str = include_str!("package-lock.json");

/// The Python that has the packages of `requirements.txt`.
pub(super) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        crate::install::python(
            "strangers-python",
            REQUIREMENTS,
            "tests/strangers/requirements.txt",
        )
    })
}

/// The folder with the packages of `package.json`.
pub(super) fn node_modules() -> &'static Path {
    static MODULES: OnceLock<PathBuf> = OnceLock::new();
    MODULES.get_or_init(|| node_modules_of("strangers-node", PACKAGE, LOCK))
}

/// The folder with the packages of another `package.json`, installed below a folder of this name.
pub(crate) fn node_modules_of(name: &str, package: &str, lock: &str) -> PathBuf {
    let home = once(name, lock, |home| {
        fs::write(home.join("package.json"), package).unwrap();
        fs::write(home.join("package-lock.json"), lock).unwrap();
        let npm = [
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ];
        run(
            Command::new("npm").args(npm).current_dir(home),
            "npm, and the packages of a package-lock.json of the tests",
        );
    });
    home.join("node_modules")
}
