//! `[auth]`: who may log in by CloudBase's own SDKs, besides the users of the Mini Program.

use std::path::{Path, PathBuf};

use crate::{ProjectError, reference, table::Entry};

/// `[auth]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthSection {
    /// `anonymous`: whether anybody may log in as nobody in particular; `None` where nothing is said.
    pub anonymous: Option<bool>,
    /// `ticket_keys`: a JSON file with the public keys of those who make tickets for custom login; relative to `yunqiao.toml`.
    pub ticket_keys: Option<PathBuf>,
    /// `passwords`: a TOML file with a uid and a hash for each name; relative to `yunqiao.toml`.
    pub passwords: Option<PathBuf>,
}

impl AuthSection {
    /// Reads the table. Paths in it are relative to `dir`.
    pub(super) fn read(entry: &Entry<'_>, dir: &Path) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&reference::AUTH)?;
        let path = |key| {
            let entry = table.get(key);
            entry.map(|entry| Ok(dir.join(entry.text()?))).transpose()
        };
        Ok(Self {
            anonymous: table.get("anonymous").map(|entry| entry.boolean()).transpose()?,
            ticket_keys: path("ticket_keys")?,
            passwords: path("passwords")?,
        })
    }
}
