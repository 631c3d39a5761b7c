//! The project's files: the folder in which they lie, and how their addresses look.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use blobs::{Folder, FolderOptions};
use clock::Clock;
use cloud::{FileReaders, StorageAccess};
use files::{Rights, Storage};
use project::Project;
use seal::KeyRing;

use crate::{data::Keeping, folder, print};

/// The folder's name.
const FOLDER: &str = "files";

/// Opens the folder. `public_url` is how clients reach the gateway, where the project does not say.
pub(crate) fn open(
    project: &Project,
    appid: &str,
    keys: &KeyRing,
    clock: &Clock,
    public_url: &str,
    keeping: Keeping,
) -> anyhow::Result<StorageAccess> {
    let settings = &project.settings.storage;
    let options = FolderOptions {
        quota: settings.quota,
    };
    let blobs = match place(project, keeping)? {
        Some(root) => match Folder::open(&root, options.clone()) {
            Err(error) if keeping == Keeping::InProject && error.is_in_use() => {
                print::warning(
                    format_args!(
                        "{} is open in another process, so files are kept for this run alone",
                        root.display()
                    ),
                    "end the other `yunqiao dev` first to go on with its files",
                );
                Folder::temporary(options)?
            }
            opened => opened?,
        },
        None => Folder::temporary(options)?,
    };
    // Data that was taken out of another environment has that one's file ids in it.
    let aliases = match keeping {
        Keeping::BesideStore => Some(settings.aliases.clone().unwrap_or_default()),
        Keeping::InProject | Keeping::InMemory => settings.aliases.clone(),
    };
    Ok(StorageAccess {
        blobs: Arc::new(blobs),
        storage: Storage::new(&project.env_id, appid, aliases),
        rights: Rights::new(keys, appid),
        clock: clock.clone(),
        public_url: settings
            .public_url
            .clone()
            .unwrap_or_else(|| public_url.to_owned()),
        readers: match settings.permission.lets_all_read() {
            true => FileReaders::Everybody,
            false => FileReaders::AddressHolders,
        },
        url_life: settings.url_life,
        most: settings.max_size,
    })
}

/// Where they lie; `None` for a folder that goes with the process.
fn place(project: &Project, keeping: Keeping) -> anyhow::Result<Option<PathBuf>> {
    let named = project.settings.storage.folder.clone();
    Ok(match keeping {
        Keeping::InMemory => None,
        Keeping::InProject if named.is_none() => {
            folder::Folder::make(&project.root).context(".yunqiao cannot be made")?;
            let root = project.root.join(folder::NAME).join(FOLDER);
            if root.is_symlink() {
                bail!(
                    "{} is a link, and no link in .yunqiao is followed: remove it",
                    root.display()
                );
            }
            Some(root)
        }
        _ => {
            let store = project.settings.store.as_deref();
            let beside = store.and_then(Path::parent).unwrap_or(&project.root);
            Some(named.unwrap_or_else(|| beside.join(FOLDER)))
        }
    })
}
