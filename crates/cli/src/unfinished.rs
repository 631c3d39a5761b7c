//! A file that gets its name once it is whole, so that a failure leaves what stood there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Context as _;

use crate::lang::say;

/// A file on its way; removed with this value unless it was finished.
pub(crate) struct UnfinishedFile {
    path: PathBuf,
    pub(crate) file: File,
    whole: bool,
}

impl UnfinishedFile {
    /// A file in the same folder as the one that it will be.
    pub(crate) fn create(beside: &Path) -> anyhow::Result<Self> {
        // As short as it can be: beside a name that is as long as the file system bears, a longer one has no place.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = beside.with_file_name(format!(".yunqiao-{}-{number}.part", std::process::id()));
        let file = File::create_new(&path).with_context(|| {
            let path = beside.display();
            say!("{path} cannot be made", "无法建立 {path}")
        })?;
        Ok(Self {
            path,
            file,
            whole: false,
        })
    }

    /// Has it take the place of what stands there.
    pub(crate) fn finish(mut self, to: &Path) -> anyhow::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, to).with_context(|| {
            let path = to.display();
            say!("{path} cannot be written", "无法写入 {path}")
        })?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        if !self.whole {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As long as the file system bears it.
    #[test]
    fn a_file_may_have_the_longest_name() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("n".repeat(255));
        let unfinished = UnfinishedFile::create(&to).unwrap();
        // Beside another one that is on its way.
        drop(UnfinishedFile::create(&to).unwrap());
        unfinished.finish(&to).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(to.is_file());
    }
}
