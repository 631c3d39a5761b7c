//! Telling when a project's files changed and have settled.

use std::{
    path::{Component, Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::Context;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use project::Project;
use runtime::Runtime;
use tokio::sync::mpsc;

use crate::{
    lang::{say, t},
    print,
};

/// An editor writes a file in several steps; a quiet spell of this length ends them …
const QUIET: Duration = Duration::from_millis(150);
/// … or this much time, where something is written again and again.
const LONGEST: Duration = Duration::from_secs(1);
/// Kinds of files that are written while functions run, and are no part of them: what `dev` says of a reload may go to one.
const PASSING: [&str; 6] = ["err", "log", "out", "pid", "swp", "tmp"];

/// Changes below a project's folder, and of files elsewhere that functions were loaded from.
pub(crate) struct Changes {
    watcher: RecommendedWatcher,
    root: PathBuf,
    /// The folders in which everything that is source matters: the project's, and those of functions that lie elsewhere.
    sources: Arc<RwLock<Vec<PathBuf>>>,
    /// Folders outside of the project that are watched too.
    outside: Vec<PathBuf>,
    changed: Part,
    /// The folders of the site's pages.
    site: Arc<RwLock<Vec<PathBuf>>>,
    site_changed: Part,
}

impl Changes {
    /// Watches the project. From the moment of a change calls wait for the functions to be loaded anew: see
    /// [`Runtime::expect_changes`].
    pub(crate) fn watch(project: &Project, runtime: &Runtime) -> anyhow::Result<Self> {
        // One place is enough: a second change before the first was taken tells nothing new.
        let (tell, changed) = mpsc::channel(1);
        let (tell_site, site_changed) = mpsc::channel(1);
        let root = project.root.canonicalize();
        let root = root.with_context(|| {
            let root = project.root.display();
            say!("{root} is not there", "{root} 不存在")
        })?;
        let sources = Arc::new(RwLock::new(vec![root.clone()]));
        let (bases, loaded) = (Arc::clone(&sources), runtime.clone());
        let site = Arc::new(RwLock::new(Vec::new()));
        let built = Arc::clone(&site);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let written = !matches!(event.kind, EventKind::Access(_));
            if !written {
                return;
            }
            let bases = bases.read().unwrap_or_else(PoisonError::into_inner);
            let built: Vec<PathBuf> = built.read().unwrap_or_else(PoisonError::into_inner).clone();
            let of_site = |path: &&PathBuf| built.iter().any(|folder| path.starts_with(folder));
            if event.paths.iter().any(|path| of_site(&path)) {
                let _ = tell_site.try_send(());
            }
            let matters = |path: &PathBuf| {
                bases
                    .iter()
                    .any(|base| path.starts_with(base) && matters(base, path))
                    || loaded.consists_of(path)
            };
            // What a build writes is no source, unless a function was loaded from there.
            let mut sources = event
                .paths
                .iter()
                .filter(|path| !of_site(path) || loaded.consists_of(path));
            if sources.any(matters) {
                loaded.expect_changes();
                let _ = tell.try_send(());
            }
        })?;
        let mut changes = Self {
            watcher,
            root,
            sources,
            outside: Vec::new(),
            changed: Part::new(changed),
            site,
            site_changed: Part::new(site_changed),
        };
        if let Err(error) = changes.watcher.watch(&changes.root, RecursiveMode::Recursive) {
            // One folder that cannot be read is enough, or the system's limit of watches.
            let unseen = changes.watch_each();
            let root = changes.root.display();
            print::warning(
                say!(
                    "{unseen} folders of {root} cannot be watched: {error}",
                    "{root} 里有 {unseen} 个目录无法监视：{error}"
                ),
                t(
                    "changes there are seen when another file is saved; on Linux fs.inotify.max_user_watches may be too small",
                    "那里的改动要等别的文件保存时才会发现；在 Linux 上可能是 fs.inotify.max_user_watches 太小",
                ),
            );
        }
        changes.watch_functions(project);
        changes.watch_site(project);
        changes.watch_what_was_loaded(runtime);
        Ok(changes)
    }

    /// Watches the folders of functions that lie outside of the project's, as `cloudbaserc.json` or a link says.
    pub(crate) fn watch_functions(&mut self, project: &Project) {
        for listed in project.functions.values() {
            let Ok(folder) = listed.function.dir.canonicalize() else {
                continue;
            };
            let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
            if sources.iter().any(|source| folder.starts_with(source)) {
                continue;
            }
            sources.push(folder.clone());
            // The watcher tells of changes from a thread of its own, which may be waiting for this.
            drop(sources);
            if let Err(error) = self.watcher.watch(&folder, RecursiveMode::Recursive) {
                print::warning(
                    cannot_be_watched(&folder, &error),
                    t(
                        "changes there are seen when another file is saved",
                        "那里的改动要等别的文件保存时才会发现",
                    ),
                );
            }
        }
    }

    /// Watches the folders of the site. One that is not there yet is seen when it is made, if it is to be in the project's.
    pub(crate) fn watch_site(&mut self, project: &Project) {
        let pages = project.settings.web.site.pages.iter();
        let real = |folder: &PathBuf| {
            let inside = || Some(self.root.join(folder.strip_prefix(&project.root).ok()?));
            let real = folder.canonicalize().ok().or_else(inside);
            real.unwrap_or_else(|| folder.clone())
        };
        let folders: Vec<_> = pages.map(|page| real(&page.folder)).collect();
        let mut watched = self.site.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *watched, folders.clone());
        // The watcher tells of changes from a thread of its own, which may be waiting for this.
        drop(watched);
        let outside = folders
            .iter()
            .filter(|folder| !folder.starts_with(&self.root) && !before.contains(folder) && folder.is_dir());
        for folder in outside {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::Recursive) {
                print::warning(
                    cannot_be_watched(folder, &error),
                    t(
                        "reload the page by hand when it was built anew",
                        "重新构建后请手动刷新页面",
                    ),
                );
            }
        }
    }

    /// Watches folder by folder what can be watched. Gives how many cannot.
    fn watch_each(&mut self) -> usize {
        let mut unseen = 0;
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            unseen += usize::from(self.watcher.watch(&folder, RecursiveMode::NonRecursive).is_err());
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(
                entries
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path())
                    .filter(|path| matters(&self.root, path)),
            );
        }
        unseen
    }

    /// Watches the folders outside of the project from which functions were loaded.
    pub(crate) fn watch_what_was_loaded(&mut self, runtime: &Runtime) {
        for folder in runtime.loaded_from() {
            if !folder.starts_with(&self.root) && !self.outside.contains(&folder) {
                // One that cannot be watched is looked at when something else changes.
                let _ = self.watcher.watch(&folder, RecursiveMode::NonRecursive);
                self.outside.push(folder);
            }
        }
    }

    /// Resolves when something changed and then nothing for a moment, or it has not been quiet for long: the source, or what the
    /// build of the site wrote.
    pub(crate) async fn settled(&mut self) -> ChangedPart {
        tokio::select! {
            () = self.changed.settled() => ChangedPart::Source,
            () = self.site_changed.settled() => ChangedPart::Site,
        }
    }
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangedPart {
    /// Functions, or what is said of them.
    Source,
    /// The files of the site.
    Site,
}

/// Changes of one kind, as they are told.
struct Part {
    told: mpsc::Receiver<()>,
    /// When the first of those that have not settled yet was told.
    first: Option<Instant>,
}

impl Part {
    fn new(told: mpsc::Receiver<()>) -> Self {
        Self { told, first: None }
    }

    /// Waits for a change, and until it is over. Whoever stops waiting and comes again goes on where this was.
    async fn settled(&mut self) {
        let first = match self.first {
            Some(first) => first,
            None => {
                if self.told.recv().await.is_none() {
                    // The watcher has ended; there is nothing more to tell.
                    std::future::pending::<()>().await;
                }
                *self.first.insert(Instant::now())
            }
        };
        while first.elapsed() < LONGEST
            && let Ok(Some(())) = tokio::time::timeout(QUIET, self.told.recv()).await
        {}
        self.first = None;
    }
}

/// Installed packages, hidden folders (`.git`, our own `.yunqiao`) and logs are not the project's source; `.env` files are.
fn matters(root: &Path, path: &Path) -> bool {
    let inner = path.strip_prefix(root).unwrap_or(path);
    let passing = inner
        .extension()
        .is_some_and(|extension| PASSING.iter().any(|one| extension == *one));
    let is_env = |name: &[u8]| name == b".env" || name.starts_with(b".env.");
    !passing
        && inner.components().all(|part| match part {
            Component::Normal(name) => {
                let bytes = name.as_encoded_bytes();
                name != "node_modules" && (!bytes.starts_with(b".") || is_env(bytes))
            }
            _ => true,
        })
}

fn cannot_be_watched(folder: &Path, error: &notify::Error) -> String {
    let folder = folder.display();
    say!(
        "{folder} cannot be watched: {error}",
        "无法监视 {folder}：{error}"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn files_that_never_rest_stop_no_reload() {
        let (tell, told) = mpsc::channel(1);
        let mut changed = Part::new(told);
        // As often as it can be told, for as long as anybody listens.
        let telling = tokio::spawn(async move { while tell.send(()).await.is_ok() {} });
        changed.settled().await;
        changed.settled().await;
        drop(changed);
        telling.await.unwrap();
    }

    #[tokio::test]
    async fn a_change_is_told_to_who_comes_again() {
        let (tell, told) = mpsc::channel(1);
        let mut changed = Part::new(told);
        tell.send(()).await.unwrap();
        // It takes the change, and waits for what may follow when somebody else is first.
        tokio::select! {
            biased;
            () = changed.settled() => panic!("it has not settled yet"),
            () = std::future::ready(()) => {}
        }
        changed.settled().await;
    }

    #[test]
    fn source_matters_and_what_comes_and_goes_does_not() {
        let matters = |path: &str| matters(Path::new("/p"), &Path::new("/p").join(path));
        for path in [
            "cloudfunctions/f/index.js",
            "f/.env",
            "f/.env.local",
            "f/a.json",
            "yunqiao.toml",
        ] {
            assert!(matters(path), "{path}");
        }
        for path in [
            "f/node_modules/a/index.js",
            ".git/HEAD",
            ".yunqiao/calls.jsonl",
            "f/server.log",
            "nohup.out",
            "f/.index.js.swp",
        ] {
            assert!(!matters(path), "{path}");
        }
    }
}
