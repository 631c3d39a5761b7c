//! A file that gets its name once it is whole, so that a failure leaves what stood there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
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
        let mut name = beside.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = beside.with_file_name(name);
        let file = File::create_new(&path).with_context(|| {
            let path = path.display();
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
