//! What tests need of strangers is installed once, from the registries it lives in, into a folder below the target's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The Python of an environment called `name` that has the packages of `requirements`, which stand in `file`.
pub(crate) fn python(name: &str, requirements: &str, file: &str) -> PathBuf {
    let home = once(name, requirements, |home| {
        // What python3-venv of Debian has, its python3 alone has not.
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(home),
            "python3 with its venv (on Debian: apt-get install python3-venv)",
        );
        fs::write(home.join("requirements.txt"), requirements).unwrap();
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
            &format!("pip, and the packages of {file}"),
        );
    });
    home.join("bin/python")
}

/// The folder of this name, filled by `install` unless it was for the same `manifest` before. Another process may want it at the
/// same time.
pub(crate) fn once(name: &str, manifest: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = folder.join(name);
    let lock = fs::File::create(folder.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
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

/// Runs what installs.
pub(crate) fn run(command: &mut Command, what: &str) {
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
