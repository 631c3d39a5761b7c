//! `.yunqiao/run.json`: how other commands find a running `yunqiao dev`. The process holds a lock on it as long as it runs, so that
//! one which was left behind is not taken for a running one.

use std::{
    env,
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use seal::{KeyRing, RootKey};
use serde::{Deserialize, Serialize};

use crate::{
    folder::{self, Folder},
    lang::{say, t},
    patience::Patience,
    print,
};

const NAME: &str = "run.json";
/// The variable in which a command that `exec` runs finds the project's folder.
pub(crate) const PROJECT: &str = "YUNQIAO_PROJECT";

/// What a running `dev` says of itself.
#[derive(Deserialize, Serialize)]
pub(crate) struct Running {
    /// The gateway's address.
    pub(crate) url: String,
    /// The simulated WeChat's address.
    pub(crate) wechat: String,
    /// The address of HTTP access and of the site.
    #[serde(default)]
    pub(crate) web: String,
    /// The operator's listener's address.
    pub(crate) operator: String,
    /// The connection string for MongoDB's clients, without the password, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<String>,
    /// What opens the doors there that hand out no tokens. Its secret, which opens those too, is not in this file:
    /// functions can read it.
    pub(crate) pass: String,
    /// The process.
    pub(crate) pid: u32,
    /// Whether it keeps nothing: `dev --fresh`.
    #[serde(default)]
    pub(crate) is_fresh: bool,
}

/// The file as long as `dev` runs; removed with this value.
#[derive(Debug)]
pub(crate) struct RunFile {
    root: PathBuf,
    /// Holds the lock.
    file: File,
}

/// What seals the console's sign-ins of this project's `dev`: kept, so that they outlive a restart, and made anew where it is not
/// a file that only its owner reads, as a repository could not bring one along.
pub(crate) fn sign_in_keys(root: &Path) -> anyhow::Result<KeyRing> {
    const FILE: &str = "sign-in.key";
    let kept = |folder: &Folder| -> Option<RootKey> {
        let mut file = folder.read(FILE).ok()?;
        let found = file.metadata().ok()?;
        if !found.is_file() || found.permissions().mode() & 0o7777 != 0o600 {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        RootKey::from_base64(&text).ok()
    };
    let written = Folder::make(root).and_then(|folder| {
        if let Some(key) = kept(&folder) {
            return Ok(key);
        }
        let key = RootKey::generate();
        folder.remove(FILE)?;
        folder.create(FILE)?.write_all(key.to_base64().as_bytes())?;
        Ok(key)
    });
    let key = written.with_context(|| {
        let path = root.join(folder::NAME).join(FILE);
        let path = path.display();
        say!("{path} could not be written", "无法写入 {path}")
    })?;
    Ok(KeyRing::new(vec![key])?)
}

impl RunFile {
    /// Writes the file, in place of one that was left behind. `None` if another `dev` has it.
    pub(crate) fn write(root: &Path, running: &Running) -> anyhow::Result<Option<Self>> {
        let file = write(root, running).with_context(|| {
            let path = root.join(folder::NAME).join(NAME);
            let path = path.display();
            say!("{path} could not be written", "无法写入 {path}")
        })?;
        let root = root.to_owned();
        Ok(file.map(|file| Self { root, file }))
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        // Nobody takes its place while the lock is held.
        if let Ok(folder) = Folder::open(&self.root) {
            let _ = folder.remove(NAME);
        }
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Writes a file that others cannot read, in place of one that they perhaps could.
fn write(root: &Path, running: &Running) -> io::Result<Option<File>> {
    let folder = Folder::make(root)?;
    if let Ok(before) = folder.read(NAME)
        && is_locked(&before)?
    {
        return Ok(None);
    }
    folder.remove(NAME)?;
    let mut file = folder.create(NAME)?;
    flock(&file, FlockOperation::LockExclusive)?;
    file.write_all(&serde_json::to_vec_pretty(running)?)?;
    Ok(Some(file))
}

fn is_locked(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => flock(file, FlockOperation::Unlock).map(|()| false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error),
    }
    .map_err(Into::into)
}

/// What a command about the project in `root` means: the `exec` around it, else the `dev` that runs there, if there is one.
pub(crate) fn running(root: &Path) -> Option<Running> {
    around(root).or_else(|| of_dev(root))
}

/// The `exec` of this project in which the process runs, by what it has put into the environment.
fn around(root: &Path) -> Option<Running> {
    let of_exec = PathBuf::from(env::var_os(PROJECT)?);
    if of_exec.canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    Some(Running {
        url: env::var("YUNQIAO_URL").ok()?,
        wechat: env::var("YUNQIAO_WECHAT_URL").ok()?,
        web: env::var("YUNQIAO_WEB_URL").unwrap_or_default(),
        operator: env::var("YUNQIAO_OPERATOR_URL").ok()?,
        database: env::var("YUNQIAO_DATABASE_URL").ok(),
        pass: env::var("YUNQIAO_OPERATOR_SECRET").ok()?,
        pid: std::process::id(),
        is_fresh: false,
    })
}

/// The `dev` that runs in `root`, if there is one.
fn of_dev(root: &Path) -> Option<Running> {
    let mut file = Folder::open(root).ok()?.read(NAME).ok()?;
    if !is_locked(&file).ok()? {
        return None;
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Tells whoever brings something in that it goes with the `dev` that runs in `root`, where that keeps nothing.
pub(crate) fn warn_if_fresh(root: &Path) {
    if running(root).is_some_and(|running| running.is_fresh) {
        print::warning(
            t(
                "the `yunqiao dev --fresh` that runs keeps nothing: what is brought in goes with it",
                "正在运行的 `yunqiao dev --fresh` 不保存数据：导入的内容会随它一起消失",
            ),
            t(
                "to keep it, end that one and do this again",
                "要保留，请先结束它，再执行一次",
            ),
        );
    }
}

/// The `dev` that runs in `root`, unless it is about to end: a `dev` that is started anew at once is to go on with what the former one kept.
pub(crate) async fn runs_on(root: &Path) -> Option<Running> {
    let patience = Patience::of_server();
    loop {
        let first = of_dev(root)?;
        if !patience.lasts().await {
            return Some(first);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn said(pid: u32) -> Running {
        let text = String::new;
        Running {
            url: text(),
            wechat: text(),
            web: text(),
            operator: text(),
            database: None,
            pass: text(),
            pid,
            is_fresh: false,
        }
    }

    #[test]
    fn a_second_one_leaves_the_first_ones_file_alone() {
        let root = tempfile::tempdir().unwrap();
        let pid = || running(root.path()).map(|running| running.pid);
        let first = RunFile::write(root.path(), &said(1)).unwrap().unwrap();
        assert!(RunFile::write(root.path(), &said(2)).unwrap().is_none());
        assert_eq!(pid(), Some(1));
        drop(first);
        assert_eq!(pid(), None);
        let third = RunFile::write(root.path(), &said(3)).unwrap().unwrap();
        assert_eq!(pid(), Some(3));
        drop(third);
    }

    #[tokio::test]
    async fn one_that_ends_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let former = RunFile::write(root.path(), &said(1)).unwrap().unwrap();
        // It is looked at before it ends.
        let (found, ()) = tokio::join!(runs_on(root.path()), async { drop(former) });
        assert!(found.is_none());
    }

    #[test]
    fn what_was_left_behind_or_brought_along_is_not_a_running_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::make(root.path()).unwrap();
        let left = serde_json::to_vec(&said(std::process::id())).unwrap();
        fs::write(root.path().join(".yunqiao/run.json"), left).unwrap();
        assert!(running(root.path()).is_none());
        assert!(RunFile::write(root.path(), &said(2)).unwrap().is_some());
        drop(folder);
    }
}
