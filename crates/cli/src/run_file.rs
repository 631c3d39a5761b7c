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

fn path(root: &Path) -> PathBuf {
    root.join(".yunqiao").join("run.json")
}

impl RunFile {
    pub(crate) fn write(root: &Path, running: &Running) -> anyhow::Result<RunFile> {
        let path = path(root);
        let dir = root.join(".yunqiao");
        let written = fs::create_dir_all(&dir)
            // The folder is nothing that a repository should hold.
            .and_then(|()| fs::write(dir.join(".gitignore"), "*\n"))
            .and_then(|()| write_private(&path, &serde_json::to_vec_pretty(running)?));
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

fn read(path: &Path) -> Option<Running> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
