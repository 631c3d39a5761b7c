//! The project's database: opened where it lies, with the collections and indexes that `yunqiao.toml` names, and the first
//! documents of a seed.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use bson::{Bson, Document, doc};
use cloud::{DatabaseAccess, MakesCollections};
use database::{
    Database, DatabaseError, Embedded, FileError, Find, IndexSpec, Options,
    exchange::{self, ConflictMode, DocumentReader, FileFormat},
};
use ejson::Style;
use project::{DatabaseSection, MissingCollection, Project, Secret, StoreSetting};
use tempfile::TempDir;
use wording::{Wording, shell_word, wording};

use crate::{
    folder::{self, Folder},
    lang::{self, say, t},
    patience, print, run_file,
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
    /// Beside the store, or beside `yunqiao.toml` where the store is on a server, unless that names a file or a server: `serve`.
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
                let store = project.settings.store.as_ref().and_then(StoreSetting::file);
                store.and_then(Path::parent).unwrap_or(&project.root).join(usual)
            }
        };
        Ok(Some(place))
    }
}

/// What holds something of the project's, as it was opened.
pub(crate) struct Opened<T> {
    pub(crate) access: T,
    /// Whether what is written there is there after this process.
    pub(crate) lasts: bool,
}

/// Opens the database, and has in it what the project says.
pub(crate) async fn open(project: &Project, keeping: Keeping) -> anyhow::Result<Opened<DatabaseAccess>> {
    let settings = &project.settings.database;
    let (held, lasts): (Arc<dyn Database>, _) = match &settings.url {
        Some(url) if keeping != Keeping::InMemory => (server(url).await?, true),
        _ => {
            let Opened { access, lasts } = embedded(project, keeping).await?;
            (Arc::new(access), lasts)
        }
    };
    let database = held.as_ref();
    let unmade = furnish(database, settings).await?;
    // What runs in production without a unique index that it relies on keeps values twice. In `dev` the documents can be mended.
    if keeping == Keeping::BesideStore && !unmade.is_empty() {
        bail!(Wording::lines(unmade.iter().map(UnmadeIndex::wording)));
    }
    warn_of_unmade(&unmade);
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
    let access = DatabaseAccess {
        database: held,
        missing,
        makers: settings.missing.is_none().then(|| makers(project)),
        permissions: Arc::default(),
    };
    Ok(Opened { access, lasts })
}

/// Which functions make which collections themselves. Looked up when a collection is missing, in the source as it is then.
fn makers(project: &Project) -> Arc<MakesCollections> {
    let root = project.functions_root.clone();
    let functions = project.functions.iter();
    let known: BTreeMap<String, PathBuf> = functions
        .map(|(name, listed)| (name.as_str().to_owned(), listed.function.dir.clone()))
        .collect();
    Arc::new(move |function, collection| {
        let made_since = || Some(root.as_ref()?.join(function));
        let dir = known.get(function).cloned().or_else(made_since);
        dir.is_some_and(|dir| doctor::makes_collection(&dir, collection))
    })
}

async fn embedded(project: &Project, keeping: Keeping) -> anyhow::Result<Opened<Embedded>> {
    let in_memory = || -> anyhow::Result<_> {
        let access = Embedded::in_memory(Options::default())?;
        Ok(Opened { access, lasts: false })
    };
    let Some(path) = path(project, keeping)? else {
        return in_memory();
    };
    let open = || Embedded::open(path.clone(), Options::default());
    // A command that has it is done in a moment, unlike another `dev`; what came to another place meanwhile would be lost.
    let is_command = |error: &FileError| error.is_in_use() && run_file::running(&project.root).is_none();
    match patience::opened(is_command, open).await {
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
            in_memory()
        }
        opened => Ok(Opened {
            access: opened?,
            lasts: true,
        }),
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

/// An index of `yunqiao.toml` that the documents which are there do not admit.
pub(crate) struct UnmadeIndex {
    collection: String,
    index: String,
    pub(crate) what: Wording,
    pub(crate) mend: Wording,
}

impl UnmadeIndex {
    fn wording(&self) -> Wording {
        Wording::with_mend(&self.what, &self.mend)
    }
}

/// Tries again what was `unmade`, behind what may have mended it, and says what came of it.
pub(crate) async fn furnish_again(
    database: &dyn Database,
    settings: &DatabaseSection,
    unmade: &[UnmadeIndex],
) -> anyhow::Result<()> {
    if unmade.is_empty() {
        return Ok(());
    }
    let still = furnish(database, settings).await?;
    let is_still = |tried: &&UnmadeIndex| {
        let same =
            |other: &UnmadeIndex| (&other.collection, &other.index) == (&tried.collection, &tried.index);
        still.iter().any(same)
    };
    for UnmadeIndex {
        collection, index, ..
    } in unmade.iter().filter(|tried| !is_still(tried))
    {
        print::done(say!(
            "{collection}: the index {index} is made, as yunqiao.toml has it",
            "{collection}：已按 yunqiao.toml 建立索引 {index}"
        ));
    }
    warn_of_unmade(&still);
    Ok(())
}

/// Says which indexes there are not, where all the same it goes on.
fn warn_of_unmade(unmade: &[UnmadeIndex]) {
    for unmade in unmade {
        let what = &unmade.what;
        let what = wording!("{what}; it goes on without", "{what}；暂不使用这个索引"; what);
        print::warning(lang::of(&what), lang::of(&unmade.mend));
    }
}

/// Makes the collections and indexes that `yunqiao.toml` names; gives the indexes that could not be made.
pub(crate) async fn furnish(
    database: &dyn Database,
    settings: &DatabaseSection,
) -> anyhow::Result<Vec<UnmadeIndex>> {
    let mut unmade = Vec::new();
    for (name, collection) in &settings.collections {
        make(database, name).await?;
        for index in &collection.indexes {
            let made = database.create_index(name, index.clone()).await;
            unmade.extend(judge(database, name, index, made).await?);
        }
    }
    Ok(unmade)
}

/// The indexes of `yunqiao.toml` that could not be made in the file as it is. Nothing is changed. A file that another process has or
/// that is none of this user's is not looked at, nor is a very large one, nor a server.
///
/// # Errors
/// The file is none that the engine can open.
pub(crate) async fn look_for_unmade(project: &Project, keeping: Keeping) -> anyhow::Result<Vec<UnmadeIndex>> {
    let settings = &project.settings.database;
    if settings.url.is_some() || !is_there(project, keeping) {
        return Ok(Vec::new());
    }
    let Some(path) = path(project, keeping)? else {
        return Ok(Vec::new());
    };
    if !path.exists() {
        // Its journal is: the engine says what that means.
        Embedded::open(&path, Options::default())?;
        return Ok(Vec::new());
    }
    let named = settings.collections.iter();
    let mut wanted = named.flat_map(|(name, listed)| listed.indexes.iter().map(move |index| (name, index)));
    let Some(first) = wanted.next() else {
        return Ok(Vec::new());
    };
    let Some(copy) = copied(&path)? else {
        return Ok(Vec::new());
    };
    let database = match Embedded::open(copy.path().join(FILE), Options::default()) {
        // Somebody began to write into it while it was copied.
        Err(_) if !is_free(&path)? => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut unmade = Vec::new();
    for (name, index) in std::iter::once(first).chain(wanted) {
        let tried = match database.try_index(name, index.clone()).await {
            Err(DatabaseError::CollectionMissing(_)) => Ok(()),
            tried => tried,
        };
        unmade.extend(judge(&database, name, index, tried).await?);
    }
    Ok(unmade)
}

/// Bytes that are copied for a look.
const MOST_COPIED: u64 = 256 << 20;

/// A copy of the database's file and of what stands beside it under its name, since opening the file would repair it, bring it up from an
/// older format and keep others from it. `None` where it is not to be had.
fn copied(path: &Path) -> anyhow::Result<Option<TempDir>> {
    let no_copy = || {
        say!(
            "the database cannot be copied for a look",
            "无法复制数据库用于检查"
        )
    };
    if fs::metadata(path).with_context(no_copy)?.len() > MOST_COPIED || !is_free(path)? {
        return Ok(None);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let to = tempfile::tempdir().with_context(no_copy)?;
    for entry in fs::read_dir(folder).with_context(no_copy)? {
        let entry = entry.with_context(no_copy)?;
        if let Some(rest) = entry.file_name().as_bytes().strip_prefix(name.as_bytes()) {
            let mut copy = OsString::from(FILE);
            copy.push(OsStr::from_bytes(rest));
            fs::copy(entry.path(), to.path().join(copy)).with_context(no_copy)?;
        }
    }
    Ok(Some(to))
}

/// Whether this user may read the file, and no process has it.
fn is_free(path: &Path) -> anyhow::Result<bool> {
    match File::open(path) {
        Ok(file) => Ok(file.try_lock_shared().is_ok()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What there is to mend where an index was not made.
async fn judge(
    database: &dyn Database,
    name: &str,
    spec: &IndexSpec,
    made: database::Result<()>,
) -> anyhow::Result<Option<UnmadeIndex>> {
    let index = &spec.name;
    let error = match made {
        Ok(()) => return Ok(None),
        Err(error @ (DatabaseError::Duplicate { .. } | DatabaseError::Refused(_))) => error,
        Err(error) => {
            return Err(error).with_context(|| {
                say!(
                    "[database.collections.{name}]: the index {index} cannot be made",
                    "[database.collections.{name}]：无法建立索引 {index}"
                )
            });
        }
    };
    let what = wording!(
        "[database.collections.{name}]: the index {index} cannot be made: {error}",
        "[database.collections.{name}]：无法建立索引 {index}：{error}"
    );
    let unmade = |what, mend| UnmadeIndex {
        collection: name.to_owned(),
        index: index.clone(),
        what,
        mend,
    };
    if let DatabaseError::Duplicate { pattern, .. } = error {
        let (what, mend) = twice(database, name, &pattern.1, what).await?;
        return Ok(Some(unmade(what, mend)));
    }
    let known = database.collections().await?;
    let known = known.iter().find(|status| status.name == name);
    let is_there = known.is_some_and(|status| status.indexes.iter().any(|other| other.name == *index));
    let (name, index) = (shell_word(name), shell_word(index));
    let mend = match is_there {
        true => wording!(
            "yunqiao db index {name} {index} --remove, and start again",
            "执行 yunqiao db index {name} {index} --remove，然后重新启动"
        ),
        false => Wording::default(),
    };
    Ok(Some(unmade(what, mend)))
}

/// Characters of a filter that is given to be typed.
const TYPED: usize = 200;

/// What there is to mend where documents have one value twice: which they are, and how to come by them.
async fn twice(
    database: &dyn Database,
    name: &str,
    value: &Document,
    what: Wording,
) -> anyhow::Result<(Wording, Wording)> {
    if value.is_empty() {
        // A server said it in words of its own.
        return Ok((what, Wording::default()));
    }
    let filter: Document = value
        .iter()
        .map(|(path, value)| {
            let value = match value {
                // As the value that it is, and no condition.
                Bson::Document(_) | Bson::RegularExpression(_) => doc! {"$eq": value.clone()}.into(),
                value => value.clone(),
            };
            (path.clone(), value)
        })
        .collect();
    let two = Find {
        filter: filter.clone(),
        limit: Some(2),
        ..Find::default()
    };
    let found = database.find(name, two, None).await?.documents;
    let mut ids = Vec::new();
    for document in &found {
        if let Some(id) = document.get("_id")? {
            ids.push(ejson::shell::to_line(&Bson::try_from(id)?));
        }
    }
    let what = match ids.as_slice() {
        [one, other] => wording!(
            "{what}. Two that have it are those of the _id {one} and {other}",
            "{what}。例如 _id 为 {one} 和 {other} 的两条记录"; what
        ),
        _ => what,
    };
    let filter = ejson::to_text(&filter, Style::Relaxed);
    let typed = match filter.chars().count() {
        0..=TYPED => format!("--where {} ", shell_word(&filter)),
        _ => String::new(),
    };
    let name = shell_word(name);
    let mend = wording!(
        "yunqiao db export {name} {typed}FILE writes them into a file: give each a value of its own there, bring them back by \
         yunqiao db import {name} FILE --upsert, and start again",
        "执行 yunqiao db export {name} {typed}FILE 把它们导出到文件，改成各不相同的值，再用 yunqiao db import {name} FILE --upsert 导回，然后重新启动"
    );
    let lacks = |document: &bson::RawDocumentBuf| {
        value.keys().all(|path| {
            document
                .get(path.split('.').next().unwrap_or_default())
                .ok()
                .flatten()
                .is_none()
        })
    };
    let mend = match found.iter().any(lacks) {
        true => wording!(
            "a document without the field has null, so only one may be without: write sparse = true beside unique = true to leave such \
             documents out of the index. Or {mend}",
            "没有该字段的记录按 null 计算，因此只能有一条：在 unique = true 旁写上 sparse = true，索引就不包括这些记录。也可以{mend}"; mend
        ),
        false => mend,
    };
    Ok((what, mend))
}

/// The database for commands that open it themselves, without the seed of `yunqiao.toml`. Makes it where it is not there. What is
/// `for_writing` has the collections and indexes of `yunqiao.toml` first, so that the documents that go in are held to them; what could
/// not be made of these is given too, and may be [tried again](furnish_again) behind the documents.
///
/// # Errors
/// A [`FileError`] where it cannot be opened, such as for another process that has it.
pub(crate) async fn alone(
    project: &Project,
    keeping: Keeping,
    for_writing: bool,
) -> anyhow::Result<(Arc<dyn Database>, Vec<UnmadeIndex>)> {
    let settings = &project.settings.database;
    let database: Arc<dyn Database> = match &settings.url {
        Some(url) => server(url).await?,
        None => Arc::new(match path(project, keeping)? {
            Some(path) => Embedded::open(path, Options::default())?,
            None => Embedded::in_memory(Options::default())?,
        }),
    };
    let unmade = match for_writing {
        true => furnish(&*database, settings).await?,
        false => Vec::new(),
    };
    Ok((database, unmade))
}

/// Whether [`alone`] would find one, or refuse what is left of one.
pub(crate) fn is_there(project: &Project, keeping: Keeping) -> bool {
    if project.settings.database.url.is_some() {
        return true;
    }
    // The folder is not made for a look.
    let usual = project.root.join(folder::NAME);
    if keeping == Keeping::InProject && project.settings.database.path.is_none() && !usual.is_dir() {
        return false;
    }
    path(project, keeping).is_ok_and(|path| path.is_none_or(|path| Embedded::is_at(&path)))
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
    // What begins with a dot is another program's: macOS leaves "._todos.json" beside a file.
    let is_hidden = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"."))
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && !is_hidden(path))
        .collect();
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
    match imported.map_err(|stopped| stopped.cause.wording())?.told.first() {
        Some(refused) => {
            let (line, why) = (refused.line, &refused.text);
            bail!(say!("line {line}: {why}", "第 {line} 行：{why}"))
        }
        None => Ok(()),
    }
}
