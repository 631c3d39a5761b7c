//! Telling when a project's files changed and have settled.

use std::{
    path::{Component, Path},
    time::Duration,
};

use anyhow::Context;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// An editor writes a file in several steps; a quiet spell of this length ends them.
const QUIET: Duration = Duration::from_millis(150);

/// Changes below a folder.
pub(crate) struct Changes {
    _watcher: RecommendedWatcher,
    changed: mpsc::Receiver<()>,
}

impl Changes {
    pub(crate) fn watch(root: &Path) -> anyhow::Result<Self> {
        // One place is enough: a second change before the first was taken tells nothing new.
        let (tell, changed) = mpsc::channel(1);
        let root = root
            .canonicalize()
            .with_context(|| format!("{} is not there", root.display()))?;
        let base = root.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let written = !matches!(event.kind, EventKind::Access(_));
            if written && event.paths.iter().any(|path| matters(&base, path)) {
                let _ = tell.try_send(());
            }
        })?;
        watcher
            .watch(&root, RecursiveMode::Recursive)
            .with_context(|| format!("{} cannot be watched", root.display()))?;
        Ok(Self {
            _watcher: watcher,
            changed,
        })
    }

    /// Resolves when something changed and then nothing for a moment.
    pub(crate) async fn settled(&mut self) {
        if self.changed.recv().await.is_none() {
            // The watcher has ended; there is nothing more to tell.
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.changed.recv()).await {}
    }
}

/// Installed packages and hidden folders (`.git`, our own `.yunqiao`) are not the project's source.
fn matters(root: &Path, path: &Path) -> bool {
    let inner = path.strip_prefix(root).unwrap_or(path);
    inner.components().all(|part| match part {
        Component::Normal(name) => name != "node_modules" && !name.as_encoded_bytes().starts_with(b"."),
        _ => true,
    })
}
