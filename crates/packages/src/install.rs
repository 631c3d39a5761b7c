//! From a list of packages to a `node_modules` folder: what the cache lacks is fetched, all of it at once, then everything is
//! unpacked and programs are linked.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{Certificate, Client};
use tokio::{
    sync::{OnceCell, Semaphore},
    task::JoinSet,
};

use crate::{
    PackageError, archive,
    cache::{self, Integrity},
    config::NpmConfig,
    lock::LockedPackage,
    manifest::{Platform, UnpackedPackage},
};

/// How many packages are fetched at the same time; npm's own number.
const AT_A_TIME: usize = 15;
/// How long a registry may take to answer at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long it may say nothing.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// What an archive may have at most: far more than any has that functions use, and so much as can be held in memory.
const LARGEST_ARCHIVE: usize = 512 << 20;
/// How long all packages of one lock may take.
const FETCHED_WITHIN: Duration = Duration::from_secs(120);

/// Whether there are scripts of packages that npm is to run: `npm rebuild` does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// There is nothing to run.
    None,
    /// Some packages cannot be used before their scripts have run.
    ToRun,
}

/// Installs packages from one registry through one cache.
#[derive(Debug)]
pub struct Packages {
    config: NpmConfig,
    client: Client,
    /// Nothing is fetched.
    offline: bool,
    places: Semaphore,
    /// What was looked for. Trees that are installed side by side have most packages in common.
    fetched: Mutex<HashMap<Integrity, Arc<OnceCell<()>>>>,
}

impl Packages {
    /// Installs as `config` says; with `offline` from the cache alone.
    ///
    /// # Errors
    ///
    /// If the certificates that it names cannot be read.
    pub fn new(config: NpmConfig, offline: bool) -> Result<Self, PackageError> {
        // The first one to be there stays; all are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENT_FOR);
        let certificates = match &config.cafile {
            Some(file) => Certificate::from_pem_bundle(&fs::read(file)?),
            None => Ok(Vec::new()),
        };
        let client = certificates.and_then(|certificates| builder.tls_certs_merge(certificates).build());
        Ok(Self {
            client: client
                .map_err(|error| PackageError::unusual(format!("no client can be made: {error}")))?,
            config,
            offline,
            places: Semaphore::new(AT_A_TIME),
            fetched: Mutex::default(),
        })
    }

    /// The configuration by which it installs.
    #[must_use]
    pub fn config(&self) -> &NpmConfig {
        &self.config
    }

    /// Installs packages below `folder`. It may be left half done: then it is the caller's to remove.
    ///
    /// # Errors
    ///
    /// If a package cannot be had, or is one that only npm can install.
    pub async fn install(
        self: &Arc<Self>,
        packages: Vec<LockedPackage>,
        folder: &Path,
    ) -> Result<Scripts, PackageError> {
        let packages = Arc::new(packages);
        let fetching = self.fetch_all(&packages);
        tokio::time::timeout(FETCHED_WITHIN, fetching)
            .await
            .map_err(|_| PackageError::unusual("the registry is slow"))??;

        // Nobody stops halfway: what still writes must not outlive the folder.
        let next = Arc::new(AtomicUsize::new(0));
        let mut unpacking = JoinSet::new();
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let (this, packages, next) = (Arc::clone(self), Arc::clone(&packages), Arc::clone(&next));
            let folder = folder.to_owned();
            unpacking.spawn_blocking(move || this.unpack(&packages, &next, &folder));
        }
        let mut unpacked = Vec::new();
        let mut failed = None;
        while let Some(ended) = unpacking.join_next().await {
            match ended.unwrap_or_else(|error| Err(io::Error::other(error).into())) {
                Ok(some) => unpacked.extend(some),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => finish(&packages, unpacked, folder),
        }
    }

    /// Sees to it that the cache has all of these.
    async fn fetch_all(self: &Arc<Self>, packages: &[LockedPackage]) -> Result<(), PackageError> {
        let mut fetching = JoinSet::new();
        for package in packages {
            let cell = {
                let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(fetched.entry(package.integrity.clone()).or_default())
            };
            let (this, package) = (Arc::clone(self), package.clone());
            fetching.spawn(async move { cell.get_or_try_init(|| this.fetch(package)).await.copied() });
        }
        while let Some(ended) = fetching.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    }

    async fn fetch(&self, package: LockedPackage) -> Result<(), PackageError> {
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        let (cache, integrity) = (self.config.cache.clone(), package.integrity.clone());
        let is_there = tokio::task::spawn_blocking(move || cache::get(&cache, &integrity).is_some());
        if is_there.await.map_err(io::Error::other)? {
            return Ok(());
        }
        let name = package.name().to_owned();
        if self.offline {
            return Err(PackageError::NotCached(name));
        }
        let answered = self.client.get(&package.url).send().await;
        let content = match answered.and_then(reqwest::Response::error_for_status) {
            Ok(answer) => whole(answer, LARGEST_ARCHIVE).await,
            Err(error) => Err(error),
        };
        let content = match content {
            Ok(Some(content)) => content,
            Ok(None) => return Err(PackageError::TooLarge(name)),
            Err(source) => return Err(PackageError::Fetch { name, source }),
        };
        let (cache, integrity) = (self.config.cache.clone(), package.integrity);
        let kept = tokio::task::spawn_blocking(move || {
            if !integrity.is_of(&content) {
                return Err(PackageError::Integrity(name));
            }
            Ok(cache::put(&cache, &integrity, &content)?)
        });
        kept.await.map_err(io::Error::other)?
    }

    /// Unpacks packages, each the next that nobody has taken. Gives each with its number.
    fn unpack(
        &self,
        packages: &[LockedPackage],
        next: &AtomicUsize,
        folder: &Path,
    ) -> Result<Vec<(usize, UnpackedPackage)>, PackageError> {
        let mut unpacked = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(package) = packages.get(number) else {
                return Ok(unpacked);
            };
            let one = || {
                let content = cache::get(&self.config.cache, &package.integrity)
                    .ok_or_else(|| PackageError::Integrity(package.name().to_owned()))?;
                let place = package.in_folder(folder);
                archive::unpack(&content, &place)?;
                UnpackedPackage::read(&place, package.name())
            };
            match one() {
                Ok(one) => unpacked.push((number, one)),
                Err(error) => {
                    // Nor do the others go on.
                    next.store(packages.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    }
}

/// What is answered; `None` where that is more than `most` bytes. A registry that never ends would fill the memory.
async fn whole(mut answer: reqwest::Response, most: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if content.len() + piece.len() > most {
            return Ok(None);
        }
        content.extend_from_slice(&piece);
    }
    Ok(Some(content))
}

/// Takes away what is for other platforms, and links programs.
fn finish(
    packages: &[LockedPackage],
    unpacked: Vec<(usize, UnpackedPackage)>,
    folder: &Path,
) -> Result<Scripts, PackageError> {
    let mut scripts = Scripts::None;
    for (number, unpacked) in unpacked {
        let Some(package) = packages.get(number) else {
            continue;
        };
        let place = package.in_folder(folder);
        // One that is below another may have gone with it.
        if !place.is_dir() {
            continue;
        }
        match unpacked.platform {
            Platform::This => {}
            Platform::Other if package.is_optional => {
                fs::remove_dir_all(place)?;
                continue;
            }
            Platform::Other | Platform::Unknown => {
                return Err(PackageError::unusual(format!(
                    "{} is not for every platform",
                    package.name()
                )));
            }
        }
        if unpacked.has_script {
            if package.is_optional {
                // It is left out if its script fails.
                return Err(PackageError::unusual(format!(
                    "{} is optional and has a script",
                    package.name()
                )));
            }
            scripts = Scripts::ToRun;
        }
        for (program, file) in &unpacked.programs {
            link(package, program, file, folder)?;
        }
    }
    Ok(scripts)
}

/// Makes a program of a package one of its `node_modules/.bin`.
fn link(package: &LockedPackage, program: &str, file: &str, folder: &Path) -> Result<(), PackageError> {
    let unusual = || PackageError::unusual(format!("{} has the program {program:?}", package.name()));
    let is_plain = |path: &str| {
        let mut parts = Path::new(path).components();
        !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    };
    if !is_plain(program) || program.contains('/') || !is_plain(file) {
        return Err(unusual());
    }
    let target = package.in_folder(folder).join(file);
    let Ok(content) = fs::read(&target) else {
        // npm links nothing to what is not there.
        return Ok(());
    };
    let first_line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first_line.starts_with(b"#!") && first_line.ends_with(b"\r") {
        return Err(unusual());
    }
    let mode = target.metadata()?.permissions().mode();
    fs::set_permissions(&target, fs::Permissions::from_mode(mode | 0o111))?;
    let programs = folder.join(package.modules()).join(".bin");
    fs::create_dir_all(&programs)?;
    // Nothing but names: what begins with a slash once its dots are gone would lead anywhere.
    let names = Path::new(file).components();
    let file: PathBuf = names
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    match symlink(
        Path::new("..").join(package.name()).join(file),
        programs.join(program),
    ) {
        // Another package has it: whichever it is, npm too lets one of them have it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::{Map, Value, json};
    use sha2::{Digest as _, Sha512};
    use tempfile::TempDir;

    use super::*;
    use crate::archive::tests::archive;

    /// A cache of packages, and a lock that names them.
    struct Bench {
        folder: TempDir,
        lock: Map<String, Value>,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                lock: Map::new(),
            }
        }

        /// Puts a package into the cache, and into the lock at a place.
        fn package(&mut self, path: &str, files: &[(&str, u32, &str)], lock: Value) {
            let bytes = archive(files);
            let integrity = format!("sha512-{}", STANDARD.encode(Sha512::digest(&bytes)));
            let cache = self.folder.path().join("cache");
            cache::put(&cache, &Integrity::read(&integrity).unwrap(), &bytes).unwrap();
            let mut entry = json!({ "version": "1.0.0", "integrity": integrity });
            for (name, value) in lock.as_object().unwrap() {
                entry[name] = value.clone();
            }
            self.lock.insert(path.to_owned(), entry);
        }

        async fn install(&self) -> Result<Scripts, PackageError> {
            let config = json!({
                "registry": "https://npm.example.com/", "cache": self.folder.path().join("cache"),
            });
            let config = NpmConfig::read(config.to_string().as_bytes()).unwrap();
            let lock = json!({ "packages": self.lock });
            let packages = LockedPackage::all(&Map::new(), &lock, &config)?;
            let tree = self.folder.path().join("tree");
            let _ = fs::remove_dir_all(&tree);
            Arc::new(Packages::new(config, true)?)
                .install(packages, &tree)
                .await
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.folder.path().join("tree").join(path)).unwrap_or_default()
        }
    }

    #[tokio::test]
    async fn packages_are_where_the_lock_says_and_programs_run() {
        let mut bench = Bench::new();
        let manifest = r#"{"bin":{"a-tool":"./bin/tool.js"}}"#;
        let files = [
            ("package/package.json", 0o644, manifest),
            ("package/bin/tool.js", 0o644, "#!/bin/sh\necho it runs"),
        ];
        bench.package("node_modules/a", &files, json!({}));
        let files = [("p/package.json", 0o644, r#"{"bin":"x"}"#), ("p/x", 0o644, "x")];
        bench.package("node_modules/a/node_modules/@s/b", &files, json!({}));
        let by_folder = r#"{"directories":{"bin":"./tools"}}"#;
        let files = [
            ("p/package.json", 0o644, by_folder),
            ("p/tools/one", 0o644, "1"),
            ("p/tools/.two", 0o644, "2"),
        ];
        bench.package("node_modules/c", &files, json!({}));
        assert_eq!(bench.install().await.unwrap(), Scripts::None);
        assert_eq!(bench.read("node_modules/.bin/one"), "1");
        let programs = fs::read_dir(bench.folder.path().join("tree/node_modules/.bin")).unwrap();
        assert_eq!(programs.count(), 2);
        assert_eq!(bench.read("node_modules/a/package.json"), manifest);
        assert_eq!(bench.read("node_modules/a/node_modules/.bin/b"), "x");
        let tool = bench.folder.path().join("tree/node_modules/.bin/a-tool");
        let output = std::process::Command::new(tool).output().unwrap();
        assert_eq!(output.stdout, b"it runs\n");
    }

    #[tokio::test]
    async fn scripts_are_told_and_other_platforms_left_out() {
        let mut bench = Bench::new();
        let script = r#"{"scripts":{"postinstall":"x"}}"#;
        bench.package(
            "node_modules/a",
            &[("package/package.json", 0o644, script)],
            json!({}),
        );
        // An old lock does not say for which platform a package is.
        let other = r#"{"os":["win32"]}"#;
        let files = [("package/package.json", 0o644, other)];
        bench.package("node_modules/b", &files, json!({ "optional": true }));
        assert_eq!(bench.install().await.unwrap(), Scripts::ToRun);
        assert!(!bench.folder.path().join("tree/node_modules/b").exists());

        bench.package("node_modules/b", &files, json!({}));
        let error = bench.install().await.unwrap_err();
        assert!(matches!(error, PackageError::Unusual(_)), "{error}");
    }

    #[tokio::test]
    async fn an_answer_is_read_within_bounds() {
        let answer = || reqwest::Response::from(http::Response::new("x".repeat(10)));
        assert_eq!(whole(answer(), 10).await.unwrap().unwrap().len(), 10);
        assert!(whole(answer(), 9).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_not_there_or_was_damaged_is_told() {
        let mut bench = Bench::new();
        bench.package(
            "node_modules/a",
            &[("package/package.json", 0o644, "{}")],
            json!({}),
        );
        let cache = bench.folder.path().join("cache");
        fs::remove_dir_all(cache).unwrap();
        let error = bench.install().await.unwrap_err();
        assert!(
            matches!(&error, PackageError::NotCached(name) if name == "a"),
            "{error}"
        );
        for manifest in ["no JSON", r#"{"bin":{"../x":"x"}}"#, r#"{"bin":{"x":"../../x"}}"#] {
            let mut bench = Bench::new();
            bench.package(
                "node_modules/a",
                &[("package/package.json", 0o644, manifest)],
                json!({}),
            );
            bench.install().await.unwrap_err();
        }
        // A path of the package, however it is written.
        let mut bench = Bench::new();
        let files = [
            ("p/package.json", 0o644, r#"{"bin":{"x":".//etc/passwd"}}"#),
            ("p/etc/passwd", 0o644, "the package's"),
        ];
        bench.package("node_modules/a", &files, json!({}));
        bench.install().await.unwrap();
        assert_eq!(bench.read("node_modules/.bin/x"), "the package's");
    }
}
