//! `.yunqiao/run.json`: how other commands find a running `yunqiao dev`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// What a running `dev` says of itself.
#[derive(Deserialize, Serialize)]
pub(crate) struct Running {
    /// The gateway's address.
    pub(crate) url: String,
    /// The simulated WeChat's address.
    pub(crate) wechat: String,
    /// The operator's listener's address.
    pub(crate) operator: String,
    /// What opens the doors there that hand out no tokens. Its secret, which opens those too, is not in this file:
    /// functions can read it.
    pub(crate) pass: String,
    /// The process.
    pub(crate) pid: u32,
}

/// The file as long as `dev` runs; removed with this value.
#[derive(Debug)]
pub(crate) struct RunFile(PathBuf);

/// The folder in a project where we keep what belongs to this machine.
pub(crate) const FOLDER: &str = ".yunqiao";

fn path(root: &Path) -> PathBuf {
    root.join(FOLDER).join("run.json")
}

/// Makes the folder if it is not there: nothing that a repository should hold.
pub(crate) fn folder(root: &Path) -> io::Result<()> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(".gitignore"), "*\n")
}

impl RunFile {
    pub(crate) fn write(root: &Path, running: &Running) -> anyhow::Result<RunFile> {
        let path = path(root);
        let written = folder(root).and_then(|()| write_private(&path, &serde_json::to_vec_pretty(running)?));
        written.with_context(|| format!("{} could not be written", path.display()))?;
        Ok(RunFile(path))
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        // Another `dev` may have taken its place.
        let ours = read(&self.0).is_some_and(|running| running.pid == std::process::id());
        if ours {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Writes a file that others cannot read, in place of one that they perhaps could.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

/// The `dev` that says it runs in `root`. It may be gone: a request to it tells.
pub(crate) fn find(root: &Path) -> Option<Running> {
    read(&path(root))
}

/// The same, if its process is there.
pub(crate) fn running(root: &Path) -> Option<Running> {
    let running = find(root)?;
    let pid = rustix::process::Pid::from_raw(running.pid.cast_signed())?;
    rustix::process::test_kill_process(pid).is_ok().then_some(running)
}

fn read(path: &Path) -> Option<Running> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
