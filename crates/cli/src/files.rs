//! `yunqiao files`: what lies in storage, files in and out, and from one place to another. A folder has one owner at a time: beside a
//! running server this goes by the operator's listener, and else it opens the place itself.

mod remote;

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use blobs::{Blob, BlobError, Blobs, Folder, FolderOptions, ListBounds, ListEntry, NewBlob};
use files::{CloudPath, FileId, Storage};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use project::{Project, Scope};
use serde_json::{Value, json};

use self::remote::Remote;
use crate::{
    args::{self, FilesCommand},
    data::Keeping,
    escape,
    lang::{self, say, t},
    operator::{self, Way},
    paths, patience, print, run_file, stack, storage, terminal,
    unfinished::UnfinishedFile,
};

/// Standard output.
const STANDARD: &str = "-";
/// Files that are on their way at once.
const AT_ONCE: usize = 8;
/// Files that are listed, or removed, at a time.
const PAGE: usize = 500;
/// Bytes of a file that are read at a time.
const PIECE: usize = 256 << 10;
/// Files that are named one by one of those that could not be fetched.
const SHOWN_FAILURES: usize = 20;
/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(100);

pub(crate) async fn run(args: args::Files, as_json: bool) -> anyhow::Result<ExitCode> {
    let done = match &args.command {
        FilesCommand::Ls { path, recursive } => list(&args, path, *recursive, as_json).await,
        FilesCommand::Put { source, path, owner } => {
            put(&args, source, path.as_deref(), owner, as_json).await
        }
        FilesCommand::Get { path, target, force } => {
            get(&args, path, target.as_deref(), *force, as_json).await
        }
        FilesCommand::Rm {
            paths,
            recursive,
            all,
        } => {
            let bounds = RemoveBounds {
                recursive: *recursive,
                all: *all,
            };
            remove(&args, paths, bounds, as_json).await
        }
        FilesCommand::Cp { from, path } => copy(&args, from, path, as_json).await,
    };
    terminal::wait_for(None);
    match done {
        // `yunqiao files get a.txt - | head` has seen enough.
        Err(error) if print::is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done,
    }
}

/// A project's files, and what they are called.
pub(crate) struct Reach {
    blobs: Arc<dyn Blobs>,
    names: Storage,
}

impl Reach {
    /// Goes to the files, and makes a place for them where there is none yet.
    async fn open(place: &args::Place) -> anyhow::Result<Self> {
        let (project, keeping) = operator::data_of(place)?;
        let reach = Self::of(&project, keeping).await?;
        if keeping == Keeping::InProject {
            run_file::warn_if_fresh(&project.root);
        }
        Ok(reach)
    }

    async fn of(project: &Project, keeping: Keeping) -> anyhow::Result<Self> {
        let names = names(project, keeping);
        let blobs = Self::blobs(project, keeping).await?;
        Ok(Self { blobs, names })
    }

    pub(crate) async fn blobs(project: &Project, keeping: Keeping) -> anyhow::Result<Arc<dyn Blobs>> {
        let alone = async || storage::alone(project, keeping).await;
        // A bucket can be shared; a folder has one owner.
        if project.settings.storage.s3.is_some() {
            return alone().await;
        }
        Ok(
            match operator::way(project, keeping, remote::FILES, alone).await? {
                Way::Here(blobs) => blobs,
                Way::There(operator) => Arc::new(Remote(operator)),
            },
        )
    }

    /// Goes to the files; `None` where there are none yet.
    async fn existing(place: &args::Place) -> anyhow::Result<Option<Self>> {
        let (project, keeping) = operator::data_of(place)?;
        let runs = keeping == Keeping::InProject
            && operator::running(&project, keeping, remote::FILES)
                .await?
                .is_some();
        match runs || storage::is_there(&project, keeping) {
            true => Self::of(&project, keeping).await.map(Some),
            false => Ok(None),
        }
    }

    async fn needed(place: &args::Place, path: &str) -> anyhow::Result<Self> {
        let reach = Self::existing(place).await?;
        reach.with_context(|| {
            say!(
                "there is no file {path:?}: none was uploaded yet",
                "没有文件 {path:?}：还没有上传过文件"
            )
        })
    }

    /// The path that somebody means, by itself or in a file id.
    fn path(&self, text: &str) -> anyhow::Result<String> {
        if !text.starts_with("cloud://") {
            return Ok(text.trim_start_matches('/').to_owned());
        }
        // A folder has no id, but people put one together.
        let folder = text.ends_with('/');
        let id = FileId::parse(text.trim_end_matches('/')).with_context(|| text.to_owned())?;
        let path = self.names.path(&id.to_string())?;
        Ok(format!("{path}{}", if folder { "/" } else { "" }))
    }
}

/// What the files of a project are called.
fn names(project: &Project, keeping: Keeping) -> Storage {
    let appid = match keeping {
        Keeping::BesideStore => project.appid.clone().unwrap_or_default(),
        _ => stack::simulator_settings(project, project::ForeignCodes::Refuse).appid,
    };
    Storage::new(&project.env_id, &appid, None)
}

/// All that lies below a prefix, a page at a time.
pub(crate) struct Pages<'a> {
    blobs: &'a dyn Blobs,
    prefix: &'a str,
    folders: bool,
    after: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(blobs: &'a dyn Blobs, prefix: &'a str, folders: bool) -> Self {
        Self {
            blobs,
            prefix,
            folders,
            after: None,
            ended: false,
        }
    }

    async fn next(&mut self) -> anyhow::Result<Option<Vec<ListEntry>>> {
        if self.ended {
            return Ok(None);
        }
        let bounds = ListBounds {
            prefix: self.prefix,
            after: self.after.as_deref(),
            folders: self.folders,
            most: PAGE,
        };
        let page = self.blobs.list(bounds).await?;
        self.ended = page.len() < PAGE;
        self.after = page.last().map(|entry| entry.path().to_owned());
        Ok((!page.is_empty()).then_some(page))
    }

    /// The files alone, all of them.
    pub(crate) async fn files(mut self) -> anyhow::Result<Vec<Blob>> {
        let mut files = Vec::new();
        while let Some(page) = self.next().await? {
            files.extend(page.into_iter().filter_map(|entry| match entry {
                ListEntry::File(blob) => Some(blob),
                ListEntry::Folder(_) => None,
            }));
        }
        Ok(files)
    }
}

async fn list(args: &args::Files, path: &str, recursive: bool, as_json: bool) -> anyhow::Result<ExitCode> {
    let Some(reach) = Reach::existing(&args.place).await? else {
        match as_json {
            true => print::json(&json!({ "files": [], "folders": [] })),
            false => print::step(t("there are no files yet", "还没有文件")),
        }
        return Ok(ExitCode::SUCCESS);
    };
    let prefix = reach.path(path)?;
    let mut pages = Pages::new(&*reach.blobs, &prefix, !recursive);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let mut some = false;
    while let Some(page) = pages.next().await? {
        some = true;
        for entry in page {
            match (entry, as_json) {
                (ListEntry::File(blob), true) => files.push(described(&reach.names, &blob)),
                (ListEntry::Folder(name), true) => folders.push(Value::from(name)),
                (ListEntry::File(blob), false) => print::result(escape::Line(&line(&blob))),
                (ListEntry::Folder(name), false) => {
                    print::result(escape::Line(&format!("{:>10}  {:16}  {name}", "", "")));
                }
            }
        }
    }
    if as_json {
        print::json(&json!({ "files": files, "folders": folders }));
    } else if !some {
        print::step(match prefix.is_empty() {
            true => t("there are no files yet", "还没有文件").to_owned(),
            false => nothing_below(&prefix),
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn described(names: &Storage, blob: &Blob) -> Value {
    let mut described = json!({
        "path": blob.path.as_str(),
        "fileID": names.id(&blob.path).to_string(),
        "size": blob.size,
        "etag": blob.etag,
        "modified": milliseconds(blob.modified),
    });
    if let Some(kind) = &blob.content_type {
        described["type"] = kind.as_str().into();
    }
    if !blob.owner.is_empty() {
        described["owner"] = blob.owner.as_str().into();
    }
    described
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn line(blob: &Blob) -> String {
    let written = jiff::Timestamp::try_from(blob.modified).map_or_else(
        |_| String::new(),
        |time| {
            let here = time.to_zoned(jiff::tz::TimeZone::system());
            here.strftime("%Y-%m-%d %H:%M").to_string()
        },
    );
    let owner = match blob.owner.as_str() {
        "" => String::new(),
        owner => format!("  ({owner})"),
    };
    format!("{:>10}  {written:16}  {}{owner}", blob.size, blob.path)
}

/// What is shown of files that are on their way.
pub(crate) struct Transfer {
    watched: bool,
    files: usize,
    done: Cell<usize>,
    bytes: Cell<u64>,
    shown: Cell<Option<Instant>>,
}

impl Transfer {
    pub(crate) fn of(files: usize) -> Self {
        Self {
            watched: terminal::is_watched(),
            files,
            done: Cell::new(0),
            bytes: Cell::new(0),
            shown: Cell::new(None),
        }
    }

    fn more(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
        self.show();
    }

    fn one_done(&self) {
        self.done.set(self.done.get() + 1);
        self.show();
    }

    fn show(&self) {
        let recent = self.shown.get().is_some_and(|at| at.elapsed() < SHOWN);
        if !self.watched || recent {
            return;
        }
        self.shown.set(Some(Instant::now()));
        let text = format!(
            "{} of {}, {:.1} MB",
            self.done.get(),
            counted(self.files),
            self.bytes.get() as f64 / f64::from(1 << 20),
        );
        terminal::wait_for(Some(text));
    }

    /// How far it came, for an error that ended it.
    fn so_far(&self) -> String {
        let (done, files) = (self.done.get(), counted(self.files));
        say!("{done} of {files} done", "已完成 {done} 个，共 {files}")
    }
}

fn counted(files: usize) -> String {
    let (files_en, files_zh) = (print::counted(files, "file"), files);
    say!("{files_en}", "{files_zh} 个文件")
}

async fn put(
    args: &args::Files,
    source: &Path,
    path: Option<&str>,
    owner: &str,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let shown = source.display();
    let is_standard = source == Path::new(STANDARD);
    let kind = match is_standard {
        true => None,
        false => Some(fs::metadata(source).with_context(|| cannot_be_read(source))?),
    };
    if kind
        .as_ref()
        .is_some_and(|kind| !kind.is_dir() && !kind.is_file())
    {
        bail!(say!(
            "{shown} is no file but a pipe, a device or a socket; what a program writes is uploaded so: PROGRAM | yunqiao files put - PATH",
            "{shown} 不是文件，而是管道、设备或套接字；上传程序的输出请用：PROGRAM | yunqiao files put - PATH"
        ));
    }
    let names_file = |path: &str| !path.is_empty() && !path.ends_with('/');
    if is_standard && !path.is_some_and(names_file) {
        bail!(say!(
            "standard input has no name: give PATH, which is the file's",
            "标准输入没有名字：请给出 PATH，即文件的路径"
        ));
    }
    // A link is called as it is called itself; `.` as what it leads to.
    let name = match source.file_name() {
        Some(name) => name.to_str().map(str::to_owned),
        None => source
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_str()?.to_owned())),
    };
    let name = name.with_context(|| {
        say!(
            "{shown} has no name that a file in storage can have: give PATH",
            "{shown} 的名字不能用作云存储的文件名：请给出 PATH"
        )
    });
    let reach = Reach::open(&args.place).await?;
    let path = path.map(|path| reach.path(path)).transpose()?;
    let is_folder = kind.is_some_and(|kind| kind.is_dir());
    // Of a folder, what has a name that no file in storage can have keeps nothing else back.
    let mut failures = Vec::new();
    let found = if is_folder {
        let below = match path {
            Some(path) => path.trim_end_matches('/').to_owned(),
            None => name?,
        };
        let mut found = Vec::new();
        gather(source, &below, &mut found, &mut failures)?;
        found
    } else {
        let path = match path {
            Some(path) if path.is_empty() || path.ends_with('/') => format!("{path}{}", name?),
            Some(path) => path,
            None => name?,
        };
        vec![(source.to_owned(), path)]
    };
    // All names are seen to before the first file is sent.
    let mut sources = Vec::with_capacity(found.len());
    for (file, path) in found {
        let parsed = CloudPath::to_write(&path)
            .with_context(|| say!("it cannot be {path:?} in storage", "它在云存储里不能叫 {path:?}"));
        let shown = file.display().to_string();
        match parsed {
            Ok(path) => sources.push((file, path)),
            Err(error) if is_folder => failures.push((shown, error)),
            Err(error) => return Err(error.context(shown)),
        }
    }
    let transfer = Transfer::of(sources.len());
    let uploads = sources.iter().map(|(file, path)| {
        let new = NewBlob {
            path: path.clone(),
            owner: owner.to_owned(),
            content_type: None,
        };
        let (blobs, transfer) = (&*reach.blobs, &transfer);
        async move {
            let sent = match is_standard {
                true => upload(blobs, io::stdin().lock(), new, transfer).await,
                false => match File::open(file) {
                    Ok(file) => upload(blobs, file, new, transfer).await,
                    Err(error) => Err(error.into()),
                },
            };
            sent.with_context(|| {
                let (file, so_far) = (file.display(), transfer.so_far());
                say!("{file} ({so_far})", "{file}（{so_far}）")
            })
        }
    });
    let blobs: Vec<Blob> = stream::iter(uploads).buffered(AT_ONCE).try_collect().await?;
    terminal::wait_for(None);
    if as_json {
        let files: Vec<_> = blobs.iter().map(|blob| described(&reach.names, blob)).collect();
        print::json(&with_failures(json!({ "files": files }), "file", &failures));
    } else {
        tell_failures(&failures, |file| match escape::typed_word(file) {
            Some(file) => say!(
                "by itself it goes up under a path that you give: yunqiao files put -- {file} PATH",
                "可以单独上传它并另取路径：yunqiao files put -- {file} PATH"
            ),
            None => say!(
                "by itself it goes up under a path that you give",
                "可以单独上传它并另取路径"
            ),
        });
        for blob in &blobs {
            print::result(escape::Line(&reach.names.id(&blob.path).to_string()));
        }
    }
    Ok(ended(&failures))
}

/// What could not be had, by its name, and why.
type Failures = [(String, anyhow::Error)];

/// Names what could not be had, the first of it one by one.
fn tell_failures(failures: &Failures, mend: impl Fn(&str) -> String) {
    for (name, error) in failures.iter().take(SHOWN_FAILURES) {
        let what = format!("{name}: {}", lang::error(error));
        print::warning(escape::Line(&what), &escape::Line(&mend(name)).to_string());
    }
    if failures.len() > SHOWN_FAILURES {
        let more = counted(failures.len() - SHOWN_FAILURES);
        print::warning(say!("{more} more failed", "另有 {more}失败"), "");
    }
}

/// The same for programs, in an answer that has it where there is any.
fn with_failures(mut answer: Value, of: &str, failures: &Failures) -> Value {
    let failed: Vec<_> = failures
        .iter()
        .map(|(name, error)| json!({ of: name, "error": lang::error(error) }))
        .collect();
    if !failed.is_empty() {
        answer["failed"] = failed.into();
    }
    answer
}

fn ended(failures: &Failures) -> ExitCode {
    match failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What a Mac puts into each folder that it has shown.
const OF_MACS: &str = ".DS_Store";

/// The files of a folder and of those in it, with the paths that they get; and those that have names of which no path is made.
fn gather(
    folder: &Path,
    below: &str,
    found: &mut Vec<(PathBuf, String)>,
    failures: &mut Vec<(String, anyhow::Error)>,
) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| cannot_be_read(folder))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let why = anyhow::anyhow!(say!("its name is not UTF-8", "它的名字不是 UTF-8"));
            failures.push((path.display().to_string(), why));
            continue;
        };
        if name == OF_MACS {
            continue;
        }
        let below = match below {
            "" => name.to_owned(),
            below => format!("{below}/{name}"),
        };
        if kind.is_dir() {
            gather(&path, &below, found, failures)?;
        } else if kind.is_file() {
            found.push((path, below));
        } else {
            let path = path.display();
            print::warning(
                say!(
                    "{path} is left out: it is a link, or no file",
                    "跳过 {path}：它是符号链接，或不是文件"
                ),
                t(
                    "give what it leads to, if that is meant",
                    "如果需要，请直接给出它指向的文件",
                ),
            );
        }
    }
    Ok(())
}

pub(crate) async fn upload(
    blobs: &dyn Blobs,
    mut file: impl io::Read,
    new: NewBlob,
    transfer: &Transfer,
) -> anyhow::Result<Blob> {
    let mut writing = blobs.write(new).await?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        let length = piece.len();
        writing.push(piece.into()).await?;
        transfer.more(length);
    }
    let blob = writing.finish().await?;
    transfer.one_done();
    Ok(blob)
}

async fn get(
    args: &args::Files,
    path: &str,
    target: Option<&Path>,
    force: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let reach = Reach::needed(&args.place, path).await?;
    let path = reach.path(path)?;
    if path.is_empty() && target.is_none() {
        bail!(say!(
            "all files are asked for: give TARGET, a folder for them",
            "要下载全部文件：请给出 TARGET，即存放它们的目录"
        ));
    }
    if !path.is_empty() && !path.ends_with('/') {
        let file: CloudPath = path.parse()?;
        let transfer = Transfer::of(1);
        if target == Some(Path::new(STANDARD)) {
            download(&*reach.blobs, &file, &mut io::stdout().lock(), &transfer).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let target = match target {
            Some(target) if target.is_dir() => target.join(file.name()),
            Some(target) => target.to_owned(),
            None => PathBuf::from(file.name()),
        };
        may_be_written(&target, force)?;
        fetch(&*reach.blobs, &file, &target, &transfer).await?;
        terminal::wait_for(None);
        got(&[target], as_json);
        return Ok(ExitCode::SUCCESS);
    }
    let below = match target {
        Some(target) => target.to_owned(),
        None => PathBuf::from(path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()),
    };
    let files = Pages::new(&*reach.blobs, &path, false).files().await?;
    if files.is_empty() {
        bail!(nothing_below(&path));
    }
    // All of them are seen to before the first file comes.
    let files = files
        .into_iter()
        .map(|blob| {
            // A cloudPath has no `..` in it, and begins with no `/`.
            let target = below.join(blob.path.as_str().strip_prefix(&*path).unwrap_or_default());
            may_be_written(&target, force)?;
            Ok((blob, target))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let transfer = Transfer::of(files.len());
    let paths: Vec<CloudPath> = files.iter().map(|(blob, _)| blob.path.clone()).collect();
    let downloads = files.into_iter().map(|(blob, target)| {
        let (blobs, transfer) = (&*reach.blobs, &transfer);
        async move {
            if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder).with_context(|| {
                    let folder = folder.display();
                    say!("{folder} cannot be made", "无法建立 {folder}")
                })?;
            }
            fetch(blobs, &blob.path, &target, transfer).await?;
            anyhow::Ok(target)
        }
    });
    // A name that this machine cannot have, which any user may have given a file, keeps no other back.
    let downloads = downloads
        .zip(&paths)
        .map(|(download, path)| async move { (path, download.await) });
    let outcomes: Vec<_> = stream::iter(downloads).buffered(AT_ONCE).collect().await;
    terminal::wait_for(None);
    let (mut targets, mut failures) = (Vec::new(), Vec::new());
    for (path, outcome) in outcomes {
        match outcome {
            Ok(target) => targets.push(target),
            Err(error) => failures.push((path.to_string(), error)),
        }
    }
    if as_json {
        let files: Vec<_> = targets
            .iter()
            .map(|target| target.display().to_string())
            .collect();
        print::json(&with_failures(json!({ "files": files }), "path", &failures));
    } else {
        tell_failures(&failures, |path| match escape::typed_word(path) {
            Some(path) => say!(
                "by itself it comes under a name that you give: yunqiao files get -- {path} NAME",
                "可以单独下载它并另取名字：yunqiao files get -- {path} NAME"
            ),
            None => say!(
                "by itself it comes under a name that you give",
                "可以单独下载它并另取名字"
            ),
        });
        if !targets.is_empty() {
            got(&targets, false);
        }
    }
    Ok(ended(&failures))
}

/// The names in storage are whatever strangers gave: none of them replaces a file of this machine unasked.
fn may_be_written(target: &Path, force: bool) -> anyhow::Result<()> {
    if !force && target.symlink_metadata().is_ok() {
        let target = target.display();
        bail!(say!(
            "{target} is there already: with --force it is replaced",
            "{target} 已存在：加上 --force 会替换它"
        ));
    }
    Ok(())
}

fn got(targets: &[PathBuf], as_json: bool) {
    if as_json {
        let files: Vec<_> = targets
            .iter()
            .map(|target| target.display().to_string())
            .collect();
        print::json(&json!({ "files": files }));
        return;
    }
    match targets {
        [one] => print::done(one.display()),
        all => print::done(counted(all.len())),
    }
}

async fn fetch(
    blobs: &dyn Blobs,
    path: &CloudPath,
    target: &Path,
    transfer: &Transfer,
) -> anyhow::Result<()> {
    let mut unfinished = UnfinishedFile::create(target)?;
    download(blobs, path, &mut unfinished.file, transfer).await?;
    unfinished.finish(target)
}

pub(crate) async fn download(
    blobs: &dyn Blobs,
    path: &CloudPath,
    target: &mut impl io::Write,
    transfer: &Transfer,
) -> anyhow::Result<()> {
    let opened = blobs.open(path).await?;
    let mut opened = opened.with_context(|| no_file(path.as_str()))?;
    let mut length = 0;
    while let Some(bytes) = opened.content.next().await? {
        target.write_all(&bytes)?;
        length += bytes.len() as u64;
        transfer.more(bytes.len());
    }
    if length != opened.blob.size {
        let size = opened.blob.size;
        bail!(say!(
            "{path} came with {length} bytes of {size}",
            "{path} 应有 {size} 字节，只收到 {length} 字节"
        ));
    }
    target.flush()?;
    transfer.one_done();
    Ok(())
}

/// What may be removed beside single files.
#[derive(Clone, Copy)]
struct RemoveBounds {
    /// Folders.
    recursive: bool,
    /// Everything.
    all: bool,
}

async fn remove(
    args: &args::Files,
    paths: &[String],
    bounds: RemoveBounds,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    // A script's variable that is not set is no wish to remove everything.
    if paths.iter().any(|path| path.trim().is_empty()) {
        bail!(say!(
            "a path is empty: name a file, or a folder with / at its end",
            "路径是空的：请写文件，或以 / 结尾的目录"
        ));
    }
    let reach = Reach::needed(&args.place, &paths[0]).await?;
    let mut named: Vec<CloudPath> = Vec::new();
    for path in paths {
        let path = reach.path(path)?;
        if !path.is_empty() && !path.ends_with('/') {
            named.push(path.parse()?);
            continue;
        }
        if path.is_empty() && !(bounds.recursive && bounds.all) {
            bail!(say!(
                "these are all files: with -r --all they are removed",
                "这是全部文件：加上 -r --all 才会删除"
            ));
        }
        if !bounds.recursive {
            bail!(say!(
                "{path:?} is a folder: with -r all its files are removed",
                "{path:?} 是目录：加上 -r 会删除其中所有文件"
            ));
        }
        let files = Pages::new(&*reach.blobs, &path, false).files().await?;
        if files.is_empty() {
            bail!(nothing_below(&path));
        }
        named.extend(files.into_iter().map(|blob| blob.path));
    }
    let transfer = Transfer::of(named.len());
    let (mut removed, mut missing) = (0, Vec::new());
    for paths in named.chunks(PAGE) {
        let were = reach
            .blobs
            .remove(paths)
            .await
            .with_context(|| transfer.so_far())?;
        for (path, was) in paths.iter().zip(were) {
            transfer.one_done();
            match was {
                true => removed += 1,
                false => missing.push(path.to_string()),
            }
        }
    }
    terminal::wait_for(None);
    if as_json {
        print::json(&json!({ "removed": removed, "missing": missing }));
    } else {
        for path in &missing {
            let folder = format!("{path}/");
            let below = Pages::new(&*reach.blobs, &folder, false).next().await?;
            let mend = below.map(|_| {
                say!(
                    "it is a folder: {folder} with -r removes its files",
                    "它是目录：写 {folder} 并加上 -r 会删除其中的文件"
                )
            });
            print::warning(no_file(path), mend.as_deref().unwrap_or_default());
        }
        if removed > 0 {
            let files = counted(removed);
            print::done(say!("{files} removed", "已删除 {files}"));
        }
    }
    Ok(match missing.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The files of another place.
async fn elsewhere(from: &Path) -> anyhow::Result<Arc<dyn Blobs>> {
    let shown = from.display();
    if from.is_file() {
        let project = Project::from_config_in(from, Scope::Data)?;
        if !storage::is_there(&project, Keeping::BesideStore) {
            bail!(say!(
                "there are no files yet in the place that {shown} names",
                "{shown} 所指的位置还没有文件"
            ));
        }
        return Reach::blobs(&project, Keeping::BesideStore).await;
    }
    if Folder::is_at(from) {
        let open = || Folder::open(from, FolderOptions::default());
        return Ok(Arc::new(patience::opened(BlobError::is_in_use, open).await?));
    }
    let project = paths::project_in(from, Scope::Data).with_context(|| {
        say!(
            "{shown} is neither a folder of files, nor a project, nor a yunqiao.toml",
            "{shown} 既不是文件目录，也不是项目或 yunqiao.toml"
        )
    })?;
    if !storage::is_there(&project, Keeping::InProject) {
        bail!(say!("there are no files in {shown}", "{shown} 里没有文件"));
    }
    Reach::blobs(&project, Keeping::InProject).await
}

async fn copy(args: &args::Files, from: &Path, prefix: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let source = elsewhere(from).await?;
    let reach = Reach::open(&args.place).await?;
    let prefix = reach.path(prefix)?;
    let mut files = Pages::new(&*source, &prefix, false).files().await?;
    // What is there for a day belongs to the server that has put it there.
    files.retain(|blob| !blob.path.is_own());
    let transfer = Transfer::of(files.len());
    let copies = files.iter().map(|blob| {
        let (source, to, transfer) = (&*source, &*reach.blobs, &transfer);
        async move {
            let copied = copy_one(source, to, blob, transfer).await;
            copied.with_context(|| {
                let (path, so_far) = (&blob.path, transfer.so_far());
                say!(
                    "{path} ({so_far}; once it is mended, the same command goes on)",
                    "{path}（{so_far}；改正后再次执行同样的命令会接着复制）"
                )
            })
        }
    });
    let copied: Vec<bool> = stream::iter(copies).buffered(AT_ONCE).try_collect().await?;
    terminal::wait_for(None);
    let all = copied.len();
    let copied = copied.into_iter().filter(|copied| *copied).count();
    if as_json {
        print::json(&json!({ "copied": copied, "already": all - copied }));
    } else {
        let (files, already, from) = (counted(copied), all - copied, from.display());
        print::done(say!(
            "{files} copied, {already} were there already; nothing was removed from {from}",
            "已复制 {files}，{already} 个已存在；{from} 里的没有删除"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn no_file(path: &str) -> String {
    say!("there is no file {path:?}", "没有文件 {path:?}")
}

fn nothing_below(path: &str) -> String {
    say!(
        "no file's path begins with {path:?}",
        "没有路径以 {path:?} 开头的文件"
    )
}

fn cannot_be_read(path: &Path) -> String {
    let path = path.display();
    say!("{path} cannot be read", "无法读取 {path}")
}

/// Copies a file unless it is there already; answers whether it did.
async fn copy_one(
    source: &dyn Blobs,
    to: &dyn Blobs,
    blob: &Blob,
    transfer: &Transfer,
) -> anyhow::Result<bool> {
    let there = to.look(&blob.path).await?;
    // An object store has another ETag for what came in parts, and a folder for large files of an earlier version: those are copied again.
    if there.is_some_and(|there| there.size == blob.size && there.etag == blob.etag) {
        transfer.one_done();
        return Ok(false);
    }
    let opened = source.open(&blob.path).await?;
    let mut opened = opened.with_context(|| say!("it was removed meanwhile", "它已被删除"))?;
    let mut writing = to
        .write(NewBlob {
            path: blob.path.clone(),
            owner: blob.owner.clone(),
            content_type: blob.content_type.clone(),
        })
        .await?;
    while let Some(bytes) = opened.content.next().await? {
        let length = bytes.len();
        writing.push(bytes).await?;
        transfer.more(length);
    }
    writing.finish().await?;
    transfer.one_done();
    Ok(true)
}
