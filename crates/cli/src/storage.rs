//! The project's files: where they lie, and how their addresses look.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use blobs::{BlobError, Blobs, Folder, FolderOptions};
use causes::with_causes;
use clock::Clock;
use cloud::{StorageAccess, sweep_cdn};
use files::{Rights, Storage};
use project::{Project, S3Setting};
use seal::KeyRing;

use crate::{
    data::{Keeping, Opened},
    folder,
    lang::{say, t},
    patience, print, run_file,
};

/// The folder's name.
const FOLDER: &str = "files";
/// What an upload has left that began so long ago belongs to nobody: no door waits for one so long, here or in another gateway
/// at the same bucket.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// How often such is looked for.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// Opens the place of files. `public_url` is how clients reach the gateway.
pub(crate) async fn open(
    project: &Project,
    appid: &str,
    keys: &KeyRing,
    clock: &Clock,
    public_url: &str,
    keeping: Keeping,
) -> anyhow::Result<Opened<StorageAccess>> {
    let settings = &project.settings.storage;
    let (blobs, lasts): (Arc<dyn Blobs>, _) = match &settings.s3 {
        Some(s3) if keeping != Keeping::InMemory => {
            let blobs = bucket(s3, settings.quota).await?;
            let (bucket, endpoint) = (&s3.bucket, &s3.endpoint);
            print::done(say!(
                "files are kept in the bucket {bucket} of {endpoint}",
                "文件存放在 {endpoint} 的存储桶 {bucket}"
            ));
            (blobs, true)
        }
        _ => {
            let Opened { access, lasts } = folder(project, keeping).await?;
            (Arc::new(access), lasts)
        }
    };
    tokio::spawn(sweep(Arc::downgrade(&blobs)));
    // Data that was taken out of another environment has that one's file ids in it.
    let aliases = match keeping {
        Keeping::BesideStore => Some(settings.aliases.clone().unwrap_or_default()),
        Keeping::InProject | Keeping::InMemory => settings.aliases.clone(),
    };
    let access = StorageAccess {
        blobs,
        storage: Storage::new(&project.env_id, appid, aliases),
        rights: Rights::new(keys, appid),
        clock: clock.clone(),
        public_url: public_url.to_owned(),
        at_the_place: settings.read_from_s3,
        permission: Arc::default(),
        url_life: settings.url_life,
        most: settings.max_size,
        quota: settings.quota,
    };
    Ok(Opened { access, lasts })
}

async fn folder(project: &Project, keeping: Keeping) -> anyhow::Result<Opened<Folder>> {
    let options = FolderOptions {
        quota: project.settings.storage.quota,
    };
    let temporary = || -> anyhow::Result<_> {
        let access = Folder::temporary(options.clone())?;
        Ok(Opened { access, lasts: false })
    };
    let Some(root) = path(project, keeping)? else {
        return temporary();
    };
    let open = || Folder::open(&root, options.clone());
    // A command that has it is done in a moment, unlike another `dev`; what came to another place meanwhile would be lost.
    let is_command = |error: &BlobError| error.is_in_use() && run_file::running(&project.root).is_none();
    match patience::opened(is_command, open).await {
        Err(error) if keeping == Keeping::InProject && error.is_in_use() => {
            let root = root.display();
            print::warning(
                say!(
                    "{root} is open in another process, so files are kept for this run alone",
                    "{root} 已被另一个进程打开，因此这里的文件只保留到本次运行结束"
                ),
                t(
                    "end the other `yunqiao dev` first to go on with its files",
                    "要继续使用原有文件，请先结束另一个 `yunqiao dev`",
                ),
            );
            temporary()
        }
        opened => Ok(Opened {
            access: opened?,
            lasts: true,
        }),
    }
}

/// Connects to a bucket, and sees that it can be used.
#[cfg(feature = "s3")]
pub(crate) async fn bucket(setting: &S3Setting, quota: Option<u64>) -> anyhow::Result<Arc<dyn Blobs>> {
    use anyhow::Context as _;

    let unusable = || say!("[storage] s3 cannot be used", "[storage] s3 不可用");
    crate::client::install_tls();
    let bucket = blobs_s3::S3::new(&blobs_s3::S3Settings {
        endpoint: setting.endpoint.clone(),
        bucket: setting.bucket.clone(),
        region: setting.region.clone(),
        access_key: setting.access_key.clone(),
        secret_key: setting.secret_key.clone(),
        quota,
        silence: blobs_s3::SILENCE,
        memory: blobs_s3::MEMORY,
    })
    .with_context(unusable)?;
    bucket.check().await.with_context(unusable)?;
    Ok(Arc::new(bucket))
}

/// This binary was built without it.
#[cfg(not(feature = "s3"))]
pub(crate) async fn bucket(_: &S3Setting, _: Option<u64>) -> anyhow::Result<Arc<dyn Blobs>> {
    anyhow::bail!(say!(
        "[storage] s3: this yunqiao was built without S3: build it with the feature `s3`",
        "[storage] s3：这个 yunqiao 编译时不含 S3：请启用特性 `s3` 重新编译"
    ));
}

/// Removes now and then what uploads have left that died, and what `CDN`s of Mini Programs held.
async fn sweep(blobs: Weak<dyn Blobs>) {
    while let Some(blobs) = blobs.upgrade() {
        swept(blobs.sweep(ABANDONED).await, "what interrupted uploads have left");
        swept(
            sweep_cdn(&*blobs, blobs::now()).await,
            "CDN values of Mini Programs",
        );
        drop(blobs);
        tokio::time::sleep(SWEEP).await;
    }
}

fn swept(outcome: Result<u64, BlobError>, what: &str) {
    match outcome {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, what, "swept away"),
        Err(error) => {
            tracing::warn!(error = %with_causes(&error), what, "could not be swept away");
        }
    }
}

/// The files as they are, for commands that open them themselves. Makes the place where it is not there.
///
/// # Errors
/// A [`blobs::BlobError`] where they cannot be opened, such as for another process that has them.
pub(crate) async fn alone(project: &Project, keeping: Keeping) -> anyhow::Result<Arc<dyn Blobs>> {
    let settings = &project.settings.storage;
    if let Some(s3) = &settings.s3 {
        return bucket(s3, settings.quota).await;
    }
    let options = FolderOptions {
        quota: settings.quota,
    };
    Ok(Arc::new(match path(project, keeping)? {
        Some(root) => Folder::open(&root, options)?,
        None => Folder::temporary(options)?,
    }))
}

/// Whether [`alone`] would find some.
pub(crate) fn is_there(project: &Project, keeping: Keeping) -> bool {
    let settings = &project.settings.storage;
    // The folder is not made for a look.
    let usual = project.root.join(folder::NAME);
    if settings.s3.is_none() && keeping == Keeping::InProject && settings.folder.is_none() && !usual.is_dir()
    {
        return false;
    }
    settings.s3.is_some() || path(project, keeping).is_ok_and(|root| root.is_none_or(|root| root.exists()))
}

/// The folder where they lie; `None` for one that goes with the process, or a bucket.
pub(crate) fn place(project: &Project, keeping: Keeping) -> anyhow::Result<Option<PathBuf>> {
    match &project.settings.storage.s3 {
        Some(_) => Ok(None),
        None => path(project, keeping),
    }
}

/// Where they would lie, whatever `[storage] s3` says.
fn path(project: &Project, keeping: Keeping) -> anyhow::Result<Option<PathBuf>> {
    keeping.place(project, project.settings.storage.folder.as_deref(), FOLDER)
}
