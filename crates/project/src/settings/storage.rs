//! `[storage]`: where files are kept, who may read them, and how their addresses look.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{ProjectError, table::Entry};

/// `[storage]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageSection {
    /// `folder`; relative to `yunqiao.toml`.
    pub folder: Option<PathBuf>,
    /// `permission`: what clients may do; what functions may is everything.
    pub permission: StoragePermission,
    /// `url_life`: how long an address of a file is good for where nobody says; by default 24 hours.
    pub url_life: Duration,
    /// `max_size`: the largest file, in bytes; by default 100 MB.
    pub max_size: u64,
    /// `quota`: what all files may take together, in bytes.
    pub quota: Option<u64>,
    /// `public_url`: how phones and browsers reach the gateway; by default where it listens.
    pub public_url: Option<String>,
    /// `aliases`: environments whose file ids are taken for this one's; `None` where nothing is said.
    pub aliases: Option<Vec<String>>,
}

/// `permission`, by the platform's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoragePermission {
    /// `READONLY`: all may read, the owner writes (所有用户可读，仅创建者可写); the platform's default.
    #[default]
    ReadOnly,
    /// `PRIVATE`: the owner reads and writes (仅创建者可读写).
    Private,
    /// `ADMINWRITE`: all may read, functions write (所有用户可读).
    AdminWrite,
    /// `ADMINONLY`: functions alone (所有用户不可读写).
    AdminOnly,
}

impl StoragePermission {
    const NAMES: [(&str, Self); 4] = [
        ("READONLY", Self::ReadOnly),
        ("PRIVATE", Self::Private),
        ("ADMINWRITE", Self::AdminWrite),
        ("ADMINONLY", Self::AdminOnly),
    ];

    /// Whether everybody may read every file.
    #[must_use]
    pub fn lets_all_read(self) -> bool {
        matches!(self, Self::ReadOnly | Self::AdminWrite)
    }
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            folder: None,
            permission: StoragePermission::default(),
            url_life: Duration::from_secs(24 * 60 * 60),
            max_size: 100 << 20,
            quota: None,
            public_url: None,
            aliases: None,
        }
    }
}

impl StorageSection {
    /// Reads the table. Paths in it are relative to `dir`.
    pub(super) fn read(entry: &Entry<'_>, dir: &Path) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&[
            "folder",
            "permission",
            "url_life",
            "max_size",
            "quota",
            "public_url",
            "aliases",
        ])?;
        let mut storage = Self::default();
        if let Some(entry) = table.get("folder") {
            storage.folder = Some(dir.join(entry.text()?));
        }
        if let Some(entry) = table.get("permission") {
            storage.permission = read_permission(&entry)?;
        }
        if let Some(entry) = table.get("url_life") {
            storage.url_life = entry.duration()?;
        }
        if let Some(entry) = table.get("max_size") {
            storage.max_size = entry.bytes()?;
        }
        if let Some(entry) = table.get("quota") {
            storage.quota = Some(entry.bytes()?);
        }
        if let Some(entry) = table.get("public_url") {
            storage.public_url = Some(super::web_address(&entry, "https://files.example.com")?);
        }
        if let Some(entry) = table.get("aliases") {
            let texts = entry.texts()?;
            let aliases = texts.iter().map(|entry| Ok(entry.text()?.to_owned()));
            storage.aliases = Some(aliases.collect::<Result<_, ProjectError>>()?);
        }
        Ok(storage)
    }
}

fn read_permission(entry: &Entry<'_>) -> Result<StoragePermission, ProjectError> {
    let text = entry.text()?;
    let named = StoragePermission::NAMES.iter().find(|(name, _)| *name == text);
    named.map(|(_, permission)| *permission).ok_or_else(|| {
        entry.refuse(
            &format!("is {text:?}"),
            "write \"READONLY\", \"PRIVATE\", \"ADMINWRITE\" or \"ADMINONLY\"",
        )
    })
}
