//! Trees straight from their locks, without npm where that is plain: see the crate `packages`. npm is asked for its
//! configuration, once for each `.npmrc`, and runs the scripts of packages.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use packages::{LockedPackage, NpmConfig, PackageError, Packages, Scripts};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{
    Tree,
    npm::{Npm, NpmError},
};

/// Why a tree was not made straight from its lock. npm is run then, and tells what is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum StraightError {
    #[error("npm's configuration: {0}")]
    Config(String),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("scripts of packages: {0:?}")]
    Scripts(NpmError),
}

/// What installs packages where this `.npmrc` holds.
type Installers = HashMap<Vec<u8>, Arc<OnceCell<Arc<Packages>>>>;

#[derive(Debug, Default)]
pub(super) struct StraightInstaller(Mutex<Installers>);

impl StraightInstaller {
    /// Installs a tree into `draft`, where its manifest, its lock and its `.npmrc` are.
    pub(super) async fn install(
        &self,
        npm: &Npm,
        draft: &Path,
        tree: &Tree,
        npmrc: &str,
    ) -> Result<(), StraightError> {
        let text = tree.lock.as_ref().map_or(&b""[..], |(_, text)| text);
        let unreadable = |_| PackageError::Unusual("the lock is no JSON".to_owned());
        let lock: Value = serde_json::from_slice(text).map_err(unreadable)?;
        let key = tree.npmrc.clone().unwrap_or_default();
        let cell = {
            let mut installers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(installers.entry(key).or_default())
        };
        let packages = cell
            .get_or_try_init(|| async {
                let printed = npm.config(draft, npmrc).await;
                let printed = printed.map_err(|error| StraightError::Config(format!("{error:?}")))?;
                let packages = Packages::new(NpmConfig::read(&printed)?, npm.offline)?;
                Ok::<_, StraightError>(Arc::new(packages))
            })
            .await?;
        let list = LockedPackage::all(&tree.package, &lock, packages.config())?;
        let scripts = packages.install(list, draft).await?;
        if scripts == Scripts::ToRun && !packages.config().ignores_scripts {
            let ran = npm.run_scripts(draft, npmrc).await;
            ran.map_err(StraightError::Scripts)?;
        }
        Ok(())
    }
}
