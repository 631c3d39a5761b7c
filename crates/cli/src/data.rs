//! The project's database: opened where it lies, with the collections and indexes that `yunqiao.toml` names, and the first
//! documents of a seed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use bson::Document;
use cloud::{DatabaseAccess, MakesCollections};
use database::{
    Database, DatabaseError, Embedded, FileError, Options,
    exchange::{self, ConflictMode, DocumentReader, FileFormat},
};
use project::{MissingCollection, Project, Secret};

use crate::{
    folder::{self, Folder},
    lang::{say, t},
    print,
};

/// The file's name.
const FILE: &str = "database.redb";

/// Where a project's documents are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// In `.yunqiao`, unless `yunqiao.toml` names a file or a server: `dev`.
    InProject,
    /// In memory, and gone with the process: `exec`, and a `call` that starts a stack of its own.
    InMemory,
    /// Beside the store, unless `yunqiao.toml` names a file or a server: `serve`.
    BesideStore,
}

impl Keeping {
    /// Where something of the project's is kept: `named`, as `yunqiao.toml` says, else under its `usual` name. `None` for what goes
    /// with the process.
    pub(crate) fn place(
        self,
        project: &Project,
        named: Option<&Path>,
        usual: &str,
    ) -> anyhow::Result<Option<PathBuf>> {
        let place = match (self, named) {
            (Self::InMemory, _) => return Ok(None),
            (_, Some(named)) => named.to_owned(),
            (Self::InProject, None) => {
                Folder::make(&project.root)
                    .with_context(|| say!(".yunqiao cannot be made", "无法建立目录 .yunqiao"))?;
                let place = project.root.join(folder::NAME).join(usual);
                if place.is_symlink() {
                    let place = place.display();
                    bail!(say!(
                        "{place} is a link, and no link in .yunqiao is followed: remove it",
                        "{place} 是符号链接，.yunqiao 里不使用链接：请删掉它"
                    ));
                }
                place
            }
            (Self::BesideStore, None) => {
                let store = project.settings.store.as_deref();
                store.and_then(Path::parent).unwrap_or(&project.root).join(usual)
            }
        };
        Ok(Some(place))
    }
}

/// Opens the database, and has in it what the project says.
pub(crate) async fn open(project: &Project, keeping: Keeping) -> anyhow::Result<DatabaseAccess> {
    let settings = &project.settings.database;
    let held: Arc<dyn Database> = match &settings.url {
        Some(url) if keeping != Keeping::InMemory => server(url).await?,
        _ => Arc::new(embedded(project, keeping)?),
    };
    let database = held.as_ref();
    for (name, collection) in &settings.collections {
        make(database, name).await?;
        for index in &collection.indexes {
            let named = &index.name;
            database
                .create_index(name, index.clone())
                .await
                .with_context(|| {
                    say!(
                        "[database.collections.{name}]: the index {named} cannot be made",
                        "[database.collections.{name}]：无法建立索引 {named}"
                    )
                })?;
        }
    }
    if let Some(folder) = &settings.seed {
        let shared = settings.url.is_some() && keeping != Keeping::InMemory;
        seed(database, folder, shared).await?;
    }
    let missing = match settings.missing {
        Some(MissingCollection::Create) => cloud::MissingCollection::Create,
        Some(MissingCollection::Refuse) => cloud::MissingCollection::Refuse,
        None if keeping == Keeping::BesideStore => cloud::MissingCollection::Refuse,
        None => cloud::MissingCollection::Create,
    };
    Ok(DatabaseAccess {
        database: held,
        missing,
        makers: settings.missing.is_none().then(|| makers(project)),
        permissions: Arc::default(),
    })
}

/// Which functions make their collections themselves. Looked up when a collection is missing, in the source as it is then.
fn makers(project: &Project) -> Arc<MakesCollections> {
    let root = project.functions_root.clone();
    let functions = project.functions.iter();
    let known: BTreeMap<String, PathBuf> = functions
        .map(|(name, listed)| (name.as_str().to_owned(), listed.function.dir.clone()))
        .collect();
    Arc::new(move |function| {
        let made_since = || Some(root.as_ref()?.join(function));
        let dir = known.get(function).cloned().or_else(made_since);
        dir.is_some_and(|dir| doctor::makes_collections(&dir))
    })
}

fn embedded(project: &Project, keeping: Keeping) -> anyhow::Result<Embedded> {
    let Some(path) = path(project, keeping)? else {
        return Ok(Embedded::in_memory(Options::default())?);
    };
    match Embedded::open(path, Options::default()) {
        Err(FileError::InUse { place, .. }) if keeping == Keeping::InProject => {
            print::warning(
                say!(
                    "{place} is open in another process, so documents are kept in memory here",
                    "{place} 已被另一个进程打开，因此这里的记录只存在内存里"
                ),
                t(
                    "end the other `yunqiao dev` first to go on with its documents",
                    "要继续使用原有记录，请先结束另一个 `yunqiao dev`",
                ),
            );
            Ok(Embedded::in_memory(Options::default())?)
        }
        opened => Ok(opened?),
    }
}

/// Connects to a MongoDB server, and says what it found.
#[cfg(feature = "mongodb")]
pub(crate) async fn server(url: &Secret) -> anyhow::Result<Arc<dyn Database>> {
    let server = database_mongo::Mongo::new(url)
        .await
        .with_context(|| say!("[database] url cannot be used", "[database] url 不可用"))?;
    let report = server.server().await;
    let report = report.with_context(|| say!("[database] url leads nowhere", "[database] url 连不上"))?;
    print::done(say!("documents are kept in {report}", "记录存放在 {report}"));
    if let Some(why) = &report.no_transactions {
        print::warning(
            say!(
                "functions have no transactions: {why}",
                "云函数不能使用事务：{why}"
            ),
            t(
                "start MongoDB with --replSet, and run rs.initiate() once; one server is enough",
                "请用 --replSet 启动 MongoDB，并执行一次 rs.initiate()；一台服务器就够",
            ),
        );
    }
    Ok(Arc::new(server))
}

/// This binary was built without the driver.
#[cfg(not(feature = "mongodb"))]
pub(crate) async fn server(_: &Secret) -> anyhow::Result<Arc<dyn Database>> {
    bail!(say!(
        "[database] url: this yunqiao was built without MongoDB: build it with the feature `mongodb`",
        "[database] url：这个 yunqiao 编译时不含 MongoDB：请启用特性 `mongodb` 重新编译"
    ));
}

/// The database as it is, without the collections, indexes and seeds of `yunqiao.toml`: for commands that open it themselves.
/// Makes it where it is not there.
///
/// # Errors
/// A [`FileError`] where it cannot be opened, such as for another process that has it.
pub(crate) async fn alone(project: &Project, keeping: Keeping) -> anyhow::Result<Arc<dyn Database>> {
    if let Some(url) = &project.settings.database.url {
        return server(url).await;
    }
    Ok(Arc::new(match path(project, keeping)? {
        Some(path) => Embedded::open(path, Options::default())?,
        None => Embedded::in_memory(Options::default())?,
    }))
}

/// Whether [`alone`] would find one.
pub(crate) fn is_there(project: &Project, keeping: Keeping) -> bool {
    if project.settings.database.url.is_some() {
        return true;
    }
    // The folder is not made for a look.
    let usual = project.root.join(folder::NAME);
    if keeping == Keeping::InProject && project.settings.database.path.is_none() && !usual.is_dir() {
        return false;
    }
    path(project, keeping).is_ok_and(|path| path.is_none_or(|path| path.exists()))
}

/// Where the database's file lies; `None` in memory, or on a server.
pub(crate) fn place(project: &Project, keeping: Keeping) -> anyhow::Result<Option<PathBuf>> {
    match &project.settings.database.url {
        Some(_) => Ok(None),
        None => path(project, keeping),
    }
}

/// Where it would lie, whatever `[database] url` says.
fn path(project: &Project, keeping: Keeping) -> anyhow::Result<Option<PathBuf>> {
    keeping.place(project, project.settings.database.path.as_deref(), FILE)
}

async fn make(database: &dyn Database, name: &str) -> anyhow::Result<()> {
    match database.create_collection(name).await {
        Ok(()) | Err(DatabaseError::CollectionExists(_)) => Ok(()),
        Err(error) => Err(error)
            .with_context(|| say!("the collection {name:?} cannot be made", "无法创建集合 {name:?}")),
    }
}

/// Puts the documents of `NAME.json` or `NAME.csv` into the collection NAME where that is empty: all of them, or none. A server
/// that is shared keeps what went in: whatever else is there by then may be another's.
async fn seed(database: &dyn Database, folder: &Path, shared: bool) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| {
        let folder = folder.display();
        say!(
            "[database] seed: the folder {folder} cannot be read",
            "[database] seed：无法读取目录 {folder}"
        )
    })?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    for file in files {
        let (Some(name), Some(format)) = (
            file.file_stem().and_then(|stem| stem.to_str()),
            FileFormat::of_name(&file),
        ) else {
            continue;
        };
        make(database, name).await?;
        if database.count(name, Document::new(), None).await?.count > 0 {
            continue;
        }
        if let Err(error) = seed_with(database, name, &file, format).await {
            // Otherwise the next start would take the part that went in for the whole.
            if !shared {
                database.remove(name, Document::new(), true, None).await?;
            }
            return Err(error.context(format!("[database] seed: {}", file.display())));
        }
    }
    Ok(())
}

async fn seed_with(
    database: &dyn Database,
    name: &str,
    file: &Path,
    format: FileFormat,
) -> anyhow::Result<()> {
    let mut documents = DocumentReader::new(File::open(file)?, Some(format));
    let imported = exchange::import(database, name, &mut documents, ConflictMode::Insert, |_| {}).await;
    match imported.map_err(|stopped| stopped.cause)?.told.first() {
        Some(refused) => {
            let (line, why) = (refused.line, &refused.text);
            bail!(say!("line {line}: {why}", "第 {line} 行：{why}"))
        }
        None => Ok(()),
    }
}
