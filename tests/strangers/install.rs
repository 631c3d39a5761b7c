//! Strangers are installed once, from the registries they live in, into a folder below the target's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PACKAGE: &str = include_str!("package.json");
/// Says the version of everything, and not where it was got.
const LOCK: &str = include_str!("package-lock.json");

/// The Python that has the packages of `requirements.txt`.
pub(super) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let home = once("strangers-python", REQUIREMENTS, |home| {
            // What python3-venv of Debian has, its python3 alone has not.
            run(
                Command::new("python3").args(["-m", "venv", "--clear"]).arg(home),
                "python3 with its venv (on Debian: apt-get install python3-venv)",
            );
            fs::write(home.join("requirements.txt"), REQUIREMENTS).unwrap();
            let pip = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--disable-pip-version-check",
            ];
            run(
                Command::new(home.join("bin/python"))
                    .args(pip)
                    .arg("--requirement")
                    .arg(home.join("requirements.txt")),
                "pip, and the packages of tests/strangers/requirements.txt",
            );
        });
        home.join("bin/python")
    })
}

/// The folder with the packages of `package.json`.
pub(super) fn node_modules() -> &'static Path {
    static MODULES: OnceLock<PathBuf> = OnceLock::new();
    MODULES.get_or_init(|| {
        let home = once("strangers-node", LOCK, |home| {
            fs::write(home.join("package.json"), PACKAGE).unwrap();
            fs::write(home.join("package-lock.json"), LOCK).unwrap();
            let npm = [
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--loglevel=error",
            ];
            run(
                Command::new("npm").args(npm).current_dir(home),
                "npm, and the packages of tests/strangers/package-lock.json",
            );
        });
        home.join("node_modules")
    })
}

/// The folder of this name, filled by `install` unless it was for the same `manifest` before.
fn once(name: &str, manifest: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mark = home.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == manifest) {
        return home;
    }
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).unwrap();
    install(&home);
    fs::write(mark, manifest).unwrap();
    home
}

fn run(command: &mut Command, what: &str) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("these tests need {what}: {command:?}: {error}"));
    assert!(
        output.status.success(),
        "these tests need {what}: {command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
