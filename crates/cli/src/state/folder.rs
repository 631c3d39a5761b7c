//! A state as it is written: a folder, or an archive of one.
//!
//! ```text
//! manifest.json        that it is a state, of which version, of which app; the collections with their indexes
//! users.json           templates.json   subscriptions.json      as `/sim/state` has them
//! outbox.jsonl         an item on each line; what was drawn lies in outbox/
//! database/NAME.jsonl  a document on each line, in the order of their `_id`
//! files.jsonl          path, owner and type of each file, and where its content lies: below files/
//! ```
//!
//! Two exports of one state are equal byte for byte, so that a repository shows what has changed. Numbers stand as people write them
//! where the same number comes of that, and else with their type. A folder may come from a stranger: no link in it is followed, and
//! nothing outside of it is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read as _, Write},
    os::unix::fs::DirBuilderExt as _,
    path::{Component, Path, PathBuf},
};

use ::files::CloudPath;
use anyhow::{Context as _, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bson::RawDocumentBuf;
use database::{
    CollectionStatus,
    exchange::{FileDocument, Misread},
};
use ejson::Style;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tempfile::TempDir;
use wording::Wording;

use super::place::StatePlace;
use crate::{
    db::reach::{collection_json, collection_of, index_of},
    db::warn_of_misread,
    files,
    lang::{self, say, t},
    print, terminal,
};

/// How states are written today.
const VERSION: u32 = 1;
/// The word that a manifest is known by.
const STATE: &str = "state";

const MANIFEST: &str = "manifest.json";
/// How the name of a folder begins in which a state is written before it takes its place.
const WORKING: &str = ".yunqiao-state-";
const OUTBOX: &str = "outbox.jsonl";
const IMAGES: &str = "outbox";
const DATABASE: &str = "database";
/// How the names end of files of documents, and of what was drawn.
const DOCUMENTS: &str = ".jsonl";
const IMAGE: &str = ".png";
const FILES: &str = "files.jsonl";
const CONTENTS: &str = "files";
/// Where each part of the simulated WeChat lies.
pub(super) const WECHAT_FILES: [(&str, &str); 4] = [
    ("users", "users.json"),
    ("templates", "templates.json"),
    ("subscriptions", "subscriptions.json"),
    ("outbox", OUTBOX),
];
/// Those that have a file which is always there.
const PARTS: [&str; 3] = ["users", "templates", "subscriptions"];

/// Documents that go in at once, and bytes of them.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;
/// Bytes of a manifest that are read to know an archive by.
const LARGEST_MANIFEST: u64 = 16 << 20;
/// What macOS puts into each folder that is looked at, and how the names begin that it gives to what it knows of a file beside it.
const LOOKED_AT: &str = ".DS_Store";
const BESIDE_FILE: &str = "._";
/// Bytes of the longest name that is given to a file on this machine.
const LONGEST_NAME: usize = 200;

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    yunqiao: String,
    version: u32,
    appid: String,
    /// Seconds by which WeChat's time is ahead of the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock_ahead: Option<u64>,
    /// As `yunqiao db ls --json` has them, each with its file.
    #[serde(default)]
    collections: Vec<Value>,
}

/// A line of `files.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLine {
    path: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    at: String,
}

/// How much of everything there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StateCount {
    pub(super) users: usize,
    pub(super) templates: usize,
    pub(super) subscriptions: usize,
    pub(super) outbox: usize,
    pub(super) collections: usize,
    pub(super) documents: u64,
    pub(super) files: usize,
}

impl StateCount {
    /// Of a simulated WeChat's part, as JSON has it.
    pub(super) fn of_wechat(state: &Value) -> Self {
        let number = |part: &str| state[part].as_array().map_or(0, Vec::len);
        Self {
            users: number("users"),
            templates: number("templates"),
            subscriptions: number("subscriptions"),
            outbox: number("outbox"),
            ..Self::default()
        }
    }

    pub(super) fn is_nothing(self) -> bool {
        self.wording().is_empty()
    }

    /// What there is, with commas between.
    pub(super) fn wording(self) -> Wording {
        let mut all = Vec::new();
        let mut say = |count: u64, noun: &str, zh: &str| {
            if count > 0 {
                let en = print::counted(usize::try_from(count).unwrap_or(usize::MAX), noun);
                all.push((en, format!("{count} {zh}")));
            }
        };
        say(self.users as u64, "user", "个用户");
        say(self.templates as u64, "template", "个模板");
        say(self.subscriptions as u64, "subscription", "条订阅");
        say(self.outbox as u64, "outbox item", "条发件");
        say(self.documents, "document", "条记录");
        say(self.files as u64, "file", "个文件");
        let (en, zh): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        Wording {
            en: en.join(", "),
            zh: zh.join("、"),
        }
    }
}

/// Whether a whole state lies in the folder.
fn is_state(folder: &Path) -> bool {
    is_manifest(&fs::read(folder.join(MANIFEST)).unwrap_or_default())
}

fn is_manifest(text: &[u8]) -> bool {
    serde_json::from_slice::<Manifest>(text).is_ok_and(|manifest| manifest.yunqiao == STATE)
}

/// Whether this is macOS's own, and nobody's who has stored it.
fn is_of_macos(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or_default();
    name == LOOKED_AT || name.starts_with(BESIDE_FILE)
}

/// Whether the file is an archive of a state.
fn is_packed_state(archive: File) -> io::Result<bool> {
    for entry in tar::Archive::new(GzDecoder::new(BufReader::new(archive))).entries()? {
        let mut entry = entry?;
        // A file that somebody has stored may be called so too.
        if *entry.path()? == *Path::new(MANIFEST) {
            let mut text = Vec::new();
            entry.by_ref().take(LARGEST_MANIFEST).read_to_end(&mut text)?;
            return Ok(is_manifest(&text));
        }
    }
    Ok(false)
}

fn is_archive(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.ends_with(".tgz") || name.ends_with(".tar.gz")
}

/// Writes the state into a folder, or an archive where the name ends as one's. What stands there gives way where it is a state too.
pub(super) async fn export(place: &StatePlace, to: &Path) -> anyhow::Result<StateCount> {
    if !is_archive(to) {
        return export_to_folder(place, to).await;
    }
    archive_may_give_way(to)?;
    let to = &std::path::absolute(to).with_context(|| cannot_be_made(to))?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| cannot_be_made(parent))?;
    }
    let folder = tempfile::tempdir().with_context(|| cannot_be_made(to))?;
    let count = write(place, folder.path()).await?;
    let unfinished = crate::unfinished::UnfinishedFile::create(to)?;
    pack(folder.path(), &unfinished.file)?;
    unfinished.finish(to)?;
    Ok(count)
}

/// The same, into a folder.
async fn export_to_folder(place: &StatePlace, to: &Path) -> anyhow::Result<StateCount> {
    let to = &std::path::absolute(to).with_context(|| cannot_be_made(to))?;
    may_give_way(to)?;
    write_beside(place, to, false).await
}

/// Writes the state into a folder that is not there yet, and that nobody else looks into: files that are the owner's alone are copied.
pub(super) async fn put_aside(place: &StatePlace, to: &Path) -> anyhow::Result<StateCount> {
    let to = &std::path::absolute(to).with_context(|| cannot_be_made(to))?;
    write_beside(place, to, true).await
}

async fn write_beside(place: &StatePlace, to: &Path, is_private: bool) -> anyhow::Result<StateCount> {
    let parent = to.parent().with_context(|| cannot_be_made(to))?;
    fs::create_dir_all(parent).with_context(|| cannot_be_made(parent))?;
    let beside = match working_folder(parent) {
        // A volume, for instance, of which the container may write into nothing else.
        Err(_) if to.is_dir() => return write_within(place, to).await,
        beside => beside.with_context(|| cannot_be_made(to))?,
    };
    let whole = beside.path().join("new");
    let mode = if is_private { 0o700 } else { 0o777 };
    let made = fs::DirBuilder::new().mode(mode).create(&whole);
    made.with_context(|| cannot_be_made(&whole))?;
    let count = write(place, &whole).await?;
    match take_place(beside, &whole, to) {
        Err(error) if is_mounted(&error) => write_within(place, to).await,
        taken => taken.map(|()| count),
    }
}

fn working_folder(within: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(WORKING).tempdir_in(within)
}

/// Whether a folder could not be moved because something is mounted there.
fn is_mounted(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices)
    )
}

/// Writes the state into a folder that has to stay, in the place of what is in it.
async fn write_within(place: &StatePlace, to: &Path) -> anyhow::Result<StateCount> {
    let working = working_folder(to).with_context(|| cannot_be_made(to))?;
    let (whole, old) = (working.path().join("new"), working.path().join("old"));
    fs::create_dir(&whole).with_context(|| cannot_be_made(&whole))?;
    fs::create_dir(&old).with_context(|| cannot_be_made(&old))?;
    let count = write(place, &whole).await?;
    take_contents(working, &whole, to)?;
    Ok(count)
}

/// Has what is in `whole`, which lies in `working` in the folder `to`, take the place of all else there; if it cannot, that stays.
fn take_contents(working: TempDir, whole: &Path, to: &Path) -> anyhow::Result<()> {
    let old = working.path().join("old");
    let own = working.path().file_name().map(OsStr::to_owned);
    let taken = move_all(to, &old, own.as_deref()).and_then(|()| move_all(whole, to, None));
    let Err(error) = taken else { return Ok(()) };
    let failed = anyhow::Error::new(error).context(cannot_be_made(to));
    if move_all(&old, to, None).is_err() {
        let kept = working.keep().join("old");
        let kept = kept.display();
        return Err(failed.context(say!("what was there lies in {kept}", "原有内容在 {kept}")));
    }
    Err(failed)
}

/// Moves what is in one folder into another one, but for the entry of that name, until one cannot be moved.
fn move_all(from: &Path, to: &Path, but: Option<&OsStr>) -> io::Result<()> {
    for entry in fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()? {
        if but != Some(entry.file_name().as_os_str()) {
            fs::rename(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Has `whole`, which lies in `beside`, take the place of what is at `to`; if it cannot, that stays.
fn take_place(beside: TempDir, whole: &Path, to: &Path) -> anyhow::Result<()> {
    let old = beside.path().join("old");
    let is_there = to.exists();
    if is_there {
        fs::rename(to, &old).with_context(|| cannot_be_made(to))?;
    }
    let Err(error) = fs::rename(whole, to) else {
        return Ok(());
    };
    let failed = anyhow::Error::new(error).context(cannot_be_made(to));
    if is_there && fs::rename(&old, to).is_err() {
        let kept = beside.keep().join("old");
        let kept = kept.display();
        return Err(failed.context(say!("what was there lies in {kept}", "原有内容在 {kept}")));
    }
    Err(failed)
}

/// The archive of a state gives way to another one, as does an empty file, and nothing else.
fn archive_may_give_way(to: &Path) -> anyhow::Result<()> {
    let Ok(there) = to.symlink_metadata() else {
        return Ok(());
    };
    let is_one =
        there.is_file() && (there.len() == 0 || File::open(to).and_then(is_packed_state).unwrap_or_default());
    if !is_one {
        let shown = to.display();
        bail!(say!(
            "{shown} would be replaced, and is no archive that `yunqiao state export` writes: name a new file",
            "{shown} 将被替换，而它不是 `yunqiao state export` 写的归档文件：请写新的文件名"
        ));
    }
    Ok(())
}

/// Whether an export may go there, and the disk lets it, as far as that is known before it is written.
pub(super) fn check_place(to: &Path) -> anyhow::Result<()> {
    match is_archive(to) {
        true => archive_may_give_way(to)?,
        false => may_give_way(to)?,
    }
    let to = std::path::absolute(to).with_context(|| cannot_be_made(to))?;
    // What is not there of the way to it is made with it.
    let nearest = to.ancestors().skip(1).find(|folder| folder.exists());
    let tried = nearest.map(tempfile::tempdir_in).transpose();
    let tried = match tried {
        Err(_) if to.is_dir() => tempfile::tempdir_in(&to).map(Some),
        tried => tried,
    };
    tried.map(drop).with_context(|| cannot_be_made(&to))
}

/// A state in a folder gives way to another one, and nothing else does.
fn may_give_way(to: &Path) -> anyhow::Result<()> {
    let shown = to.display();
    if to.is_symlink() {
        bail!(say!(
            "{shown} is a link: name the folder itself",
            "{shown} 是符号链接：请直接写目录"
        ));
    }
    let Ok(entries) = fs::read_dir(to) else {
        if to.exists() {
            bail!(say!(
                "{shown} is no folder: name a folder, or a file that ends with .tgz",
                "{shown} 不是目录：请写目录，或以 .tgz 结尾的文件"
            ));
        }
        return Ok(());
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        names.insert(entry?.file_name());
    }
    let parts = PARTS.map(|part| format!("{part}.json"));
    let ours = [MANIFEST, OUTBOX, IMAGES, DATABASE, FILES, CONTENTS];
    let known =
        |name: &str| ours.contains(&name) || parts.iter().any(|part| part == name) || is_of_macos(name);
    let other = names.iter().find(|name| !name.to_str().is_some_and(known));
    let other = other.map(PathBuf::from);
    let other = other.or_else(|| not_of_an_export(to, DATABASE, DOCUMENTS));
    match other.or_else(|| not_of_an_export(to, IMAGES, IMAGE)) {
        None if names.is_empty() || is_state(to) => Ok(()),
        None => bail!(say!(
            "{shown} is not empty, and no state: name a new folder",
            "{shown} 不是空目录，也不是导出的状态：请写新的目录"
        )),
        Some(other) => {
            let other = other.display();
            bail!(say!(
                "{shown} would be replaced, and has {other} in it, which no export makes: name a new folder",
                "{shown} 将被替换，而其中的 {other} 不是导出的内容：请写新的目录"
            ))
        }
    }
}

/// What somebody has put into a folder of a state in which an export makes files with this ending alone. An empty file is nobody's loss.
fn not_of_an_export(state: &Path, folder: &str, ending: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(state.join(folder)).ok()?;
    let mut names: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let is_ours = name
                .to_str()
                .is_some_and(|name| name.ends_with(ending) || is_of_macos(name));
            let is_empty = entry
                .metadata()
                .is_ok_and(|found| found.is_file() && found.len() == 0);
            !is_ours && !is_empty
        })
        .map(|entry| Path::new(folder).join(entry.file_name()))
        .collect();
    names.sort();
    names.into_iter().next()
}

fn cannot_be_made(path: &Path) -> String {
    let path = path.display();
    say!("{path} cannot be written", "无法写入 {path}")
}

/// Writes all of it into an empty folder.
async fn write(place: &StatePlace, to: &Path) -> anyhow::Result<StateCount> {
    let wechat = place.wechat().await?;
    let mut count = StateCount::of_wechat(&wechat);
    for part in PARTS {
        let mut text = serde_json::to_vec_pretty(&wechat[part])?;
        text.push(b'\n');
        put_file(to, &format!("{part}.json"), &text)?;
    }
    write_outbox(&wechat["outbox"], to)?;
    let mut collections = Vec::new();
    for mut status in place.collections().await? {
        status.indexes.retain(|index| index.name != "_id_");
        let taken = collections
            .iter()
            .map(|listed: &Value| listed["file"].as_str().unwrap_or_default());
        let file = name_of_collection(&status.name, &taken.map(str::to_lowercase).collect());
        status.documents = write_collection(place, &status.name, &to.join(&file)).await?;
        count.collections += 1;
        count.documents += status.documents;
        let mut listed = collection_json(&status);
        listed["file"] = file.into();
        collections.push(listed);
    }
    count.files = write_files(place, to).await?;
    let manifest = Manifest {
        yunqiao: STATE.to_owned(),
        version: VERSION,
        appid: wechat["appid"].as_str().unwrap_or_default().to_owned(),
        clock_ahead: wechat["clockAhead"].as_u64(),
        collections,
    };
    let mut text = serde_json::to_vec_pretty(&manifest)?;
    text.push(b'\n');
    put_file(to, MANIFEST, &text)?;
    terminal::wait_for(None);
    Ok(count)
}

/// Writes a file, and the folders in which it lies.
fn put_file(below: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = below.join(name);
    make_file(&path)?
        .write_all(content)
        .with_context(|| cannot_be_made(&path))
}

fn make_file(path: &Path) -> anyhow::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| cannot_be_made(folder))?;
    }
    File::create_new(path).with_context(|| cannot_be_made(path))
}

fn write_outbox(items: &Value, to: &Path) -> anyhow::Result<()> {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return Ok(());
    }
    let (mut lines, mut images) = (Vec::new(), 0);
    for item in items {
        let mut item = item.as_object().cloned().unwrap_or_default();
        if let Some(png) = item.get("png").and_then(Value::as_str) {
            images += 1;
            let name = format!("{IMAGES}/{images}{IMAGE}");
            put_file(to, &name, &STANDARD.decode(png)?)?;
            item.insert("png".to_owned(), name.into());
            // Numbered where they are shown.
            item.remove("image");
        }
        serde_json::to_writer(&mut lines, &item)?;
        lines.push(b'\n');
    }
    put_file(to, OUTBOX, &lines)
}

/// Where a collection's documents lie: by its name, with what no file's name holds written as `%2F`.
fn name_of_collection(name: &str, taken: &BTreeSet<String>) -> String {
    let mut plain = String::new();
    for character in name.chars() {
        if plain.len() >= LONGEST_NAME {
            break;
        }
        match character.is_alphanumeric() || "-_.".contains(character) {
            true => plain.push(character),
            false => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    plain.push_str(&format!("%{byte:02X}"));
                }
            }
        }
    }
    let named = |number: usize| match number {
        1 => format!("{DATABASE}/{plain}{DOCUMENTS}"),
        more => format!("{DATABASE}/{plain}~{more}{DOCUMENTS}"),
    };
    // Some disks make no difference between capitals and small letters.
    let free = (1..)
        .map(named)
        .find(|name| !taken.contains(&name.to_lowercase()));
    free.unwrap_or_default()
}

async fn write_collection(place: &StatePlace, name: &str, to: &Path) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(make_file(to)?);
    let Some(mut pages) = place.documents() else {
        return Ok(0);
    };
    let mut written = 0;
    let mut misread = Misread::default();
    while let Some(page) = pages.next(name).await? {
        for document in &page {
            out.write_all(&line_of(document)?)?;
            misread.note(document);
        }
        written += page.len() as u64;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?;
    warn_of_misread(name, &misread);
    Ok(written)
}

/// A document as people write it, where that is the same document when it is read again; else with the types of its numbers.
fn line_of(document: &RawDocumentBuf) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    ejson::write_raw(&mut line, document, Style::Relaxed)?;
    let again = ejson::read_document(&line).ok();
    let again = again.and_then(|read| RawDocumentBuf::try_from(&read).ok());
    if again.as_ref().map(|read| read.as_bytes()) != Some(document.as_bytes()) {
        line.clear();
        ejson::write_raw(&mut line, document, Style::Canonical)?;
    }
    line.push(b'\n');
    Ok(line)
}

async fn write_files(place: &StatePlace, to: &Path) -> anyhow::Result<usize> {
    let (Some(blobs), all) = (place.blobs(), place.files().await?) else {
        return Ok(0);
    };
    if all.is_empty() {
        return Ok(0);
    }
    let transfer = files::Transfer::of(all.len());
    let (mut lines, mut names) = (Vec::new(), FileNames::default());
    for blob in &all {
        let at = names.next(blob.path.as_str());
        let path = to.join(&at);
        let mut file = BufWriter::new(make_file(&path)?);
        files::download(blobs, &blob.path, &mut file, &transfer).await?;
        let line = FileLine {
            path: blob.path.to_string(),
            owner: blob.owner.clone(),
            content_type: blob.content_type.clone(),
            at,
        };
        serde_json::to_writer(&mut lines, &line)?;
        lines.push(b'\n');
    }
    put_file(to, FILES, &lines)?;
    Ok(all.len())
}

/// Where the contents of files lie: by their paths, where this and other machines can have such names, else by a number.
#[derive(Default)]
struct FileNames {
    /// Files and folders that there are, in small letters.
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
    odd: usize,
}

impl FileNames {
    fn next(&mut self, path: &str) -> String {
        let small = path.to_lowercase();
        let folders: Vec<&str> = small
            .match_indices('/')
            .filter_map(|(at, _)| small.get(..at))
            .collect();
        // A store has files `a` and `a/b` beside each other.
        let free = !self.files.contains(&small)
            && !self.folders.contains(&small)
            && !folders.iter().any(|folder| self.files.contains(*folder));
        if free && path.split('/').all(is_plain_name) {
            self.folders.extend(folders.into_iter().map(str::to_owned));
            self.files.insert(small);
            return format!("{CONTENTS}/{path}");
        }
        self.odd += 1;
        format!("{CONTENTS}/%{}", self.odd)
    }
}

fn is_plain_name(name: &str) -> bool {
    let bad = |character: char| character.is_control() || "\\:*?\"<>|%".contains(character);
    name.len() <= LONGEST_NAME && !name.chars().any(bad) && !name.ends_with(['.', ' '])
}

/// A state that was read, and found to be one.
#[derive(Debug)]
pub(super) struct WrittenState {
    folder: PathBuf,
    /// What an archive was unpacked into.
    _unpacked: Option<TempDir>,
    /// As `/sim/state` takes it.
    pub(super) wechat: Value,
    pub(super) collections: Vec<WrittenCollection>,
    pub(super) files: Vec<WrittenFile>,
}

/// A collection, and the file of its documents.
#[derive(Debug)]
pub(super) struct WrittenCollection {
    pub(super) status: CollectionStatus,
    /// Below the folder.
    pub(super) file: String,
    path: PathBuf,
}

/// A file, and where its content lies below the folder.
#[derive(Debug)]
pub(super) struct WrittenFile {
    pub(super) path: CloudPath,
    pub(super) owner: String,
    pub(super) content_type: Option<String>,
    pub(super) at: String,
}

/// Reads a state: all of it but the contents of files, so that whatever is wrong with it is known before anything is changed.
pub(super) fn open(from: &Path) -> anyhow::Result<WrittenState> {
    let shown = from.display();
    if !from.exists() {
        bail!(say!("there is no {shown}", "没有 {shown}"));
    }
    let state = if from.is_dir() {
        read(from.to_owned(), None)
    } else {
        let unpacked = tempfile::tempdir()?;
        let archive =
            File::open(from).with_context(|| say!("{shown} cannot be opened", "无法打开 {shown}"))?;
        let unpack = unpack(archive, unpacked.path());
        unpack.with_context(|| {
            say!(
                "{shown} is no archive (.tgz) that `yunqiao state export` writes",
                "{shown} 不是 `yunqiao state export` 写的归档文件（.tgz）"
            )
        })?;
        read(unpacked.path().to_owned(), Some(unpacked))
    };
    state.with_context(|| shown.to_string())
}

fn read(folder: PathBuf, unpacked: Option<TempDir>) -> anyhow::Result<WrittenState> {
    if !folder.join(MANIFEST).exists() {
        bail!(say!(
            "there is no {MANIFEST} in it: it is no state that `yunqiao state export` writes",
            "里面没有 {MANIFEST}：不是 `yunqiao state export` 导出的状态"
        ));
    }
    let mut there = BTreeMap::new();
    find(&folder, "", &mut there)?;
    let known = |name: &str| {
        let path = there.get(name);
        path.with_context(|| {
            say!(
                "{name} is named and not there, or is a link",
                "写了 {name}，但它不存在，或是符号链接"
            )
        })
    };
    let value: Value = json_in(known(MANIFEST)?, MANIFEST)?;
    if value["yunqiao"] != STATE {
        bail!(say!(
            "{MANIFEST} in it is another program's: it is no state that `yunqiao state export` writes",
            "里面的 {MANIFEST} 是别的程序的：不是 `yunqiao state export` 导出的状态"
        ));
    }
    let version = value["version"].as_u64().unwrap_or_default();
    if version > u64::from(VERSION) {
        bail!(say!(
            "it was written by a later yunqiao (version {version}, and this one knows {VERSION}): use that one",
            "它是更新版本的 yunqiao 写的（版本 {version}，这里只认识 {VERSION}）：请用那个版本"
        ));
    }
    let manifest: Manifest = serde_json::from_value(value).with_context(|| {
        say!(
            "{MANIFEST} is not what was written",
            "{MANIFEST} 不是写入时的样子"
        )
    })?;
    let mut wechat = Map::new();
    wechat.insert("appid".to_owned(), manifest.appid.into());
    if let Some(ahead) = manifest.clock_ahead {
        wechat.insert("clockAhead".to_owned(), ahead.into());
    }
    for part in PARTS {
        let name = format!("{part}.json");
        wechat.insert(part.to_owned(), json_in(known(&name)?, &name)?);
    }
    let (mut items, mut images) = (Vec::new(), BTreeSet::new());
    if let Some(outbox) = there.get(OUTBOX) {
        items = lines_in(outbox, OUTBOX)?;
        for item in &mut items {
            let item: &mut Map<String, Value> = item;
            if let Some(name) = item.get("png").and_then(Value::as_str) {
                let png = fs::read(known(name)?).with_context(|| name.to_owned())?;
                images.insert(name.to_owned());
                item.insert("png".to_owned(), STANDARD.encode(png).into());
            }
        }
    }
    wechat.insert(
        "outbox".to_owned(),
        items.into_iter().map(Value::Object).collect(),
    );
    let mut collections: Vec<WrittenCollection> = Vec::new();
    for listed in &manifest.collections {
        let (status, file) = listed_collection(listed)?;
        let name = &status.name;
        if collections.iter().any(|other| other.status.name == *name) {
            bail!(say!(
                "{MANIFEST} has the collection {name:?} twice",
                "{MANIFEST} 里集合 {name:?} 出现了两次"
            ));
        }
        collections.push(WrittenCollection {
            path: known(&file)?.clone(),
            status,
            file,
        });
    }
    let prefix = format!("{DATABASE}/");
    for (name, path) in there.range(prefix.clone()..) {
        let Some(inner) = name.strip_prefix(&prefix) else {
            break;
        };
        let Some(stem) = inner.strip_suffix(DOCUMENTS) else {
            continue;
        };
        // Somebody has put it there by hand.
        if !is_of_macos(name) && collections.iter().all(|collection| collection.file != *name) {
            check_name(stem).with_context(|| name.clone())?;
            if collections.iter().any(|other| other.status.name == stem) {
                bail!(say!(
                    "{MANIFEST} names another file for the collection {stem:?} than {name}: remove one of the two",
                    "{MANIFEST} 里集合 {stem:?} 的文件不是 {name}：请去掉其中一个"
                ));
            }
            collections.push(WrittenCollection {
                status: CollectionStatus {
                    name: stem.to_owned(),
                    documents: 0,
                    indexes: Vec::new(),
                },
                file: name.clone(),
                path: path.clone(),
            });
        }
    }
    for collection in &mut collections {
        collection.status.documents = collection.count()?;
    }
    let (mut files, mut paths) = (Vec::new(), BTreeSet::new());
    if let Some(list) = there.get(FILES) {
        for line in lines_in::<FileLine>(list, FILES)? {
            known(&line.at)?;
            let path = &line.path;
            if !paths.insert(path.clone()) {
                bail!(say!(
                    "{FILES} has {path:?} twice",
                    "{FILES} 里 {path:?} 出现了两次"
                ));
            }
            files.push(WrittenFile {
                path: path.parse().with_context(|| format!("{FILES}: {path:?}"))?,
                owner: line.owner,
                content_type: line.content_type,
                at: line.at,
            });
        }
    }
    let listed: BTreeSet<_> = files.iter().map(|file| file.at.clone()).collect();
    let prefix = format!("{CONTENTS}/");
    for (at, _) in there.range(prefix.clone()..) {
        let Some(path) = at.strip_prefix(&prefix) else {
            break;
        };
        // This too was put there by hand: nobody's, as what functions upload.
        if !listed.contains(at) && !is_of_macos(path) {
            files.push(WrittenFile {
                path: path.parse().with_context(|| at.clone())?,
                owner: String::new(),
                content_type: None,
                at: at.clone(),
            });
        }
    }
    warn_of_unread(&there, &images, &collections);
    Ok(WrittenState {
        folder,
        _unpacked: unpacked,
        wechat: Value::Object(wechat),
        collections,
        files,
    })
}

/// A collection as the manifest has it, with the file of its documents. Nothing of it is passed over: it was perhaps written by hand.
fn listed_collection(listed: &Value) -> anyhow::Result<(CollectionStatus, String)> {
    let name = listed["name"].as_str().unwrap_or_default();
    check_name(name).context(MANIFEST)?;
    let of_it = || say!("{MANIFEST}, collection {name:?}", "{MANIFEST} 的集合 {name:?}");
    let Some(file) = listed["file"].as_str() else {
        return Err(anyhow!(say!("`file` is missing", "没有写 `file`")).context(of_it()));
    };
    if !matches!(listed["indexes"], Value::Null | Value::Array(_)) {
        return Err(anyhow!(say!("`indexes` is no list", "`indexes` 不是数组")).context(of_it()));
    }
    for index in listed["indexes"].as_array().into_iter().flatten() {
        index_of(index)
            .with_context(|| {
                let index = index.to_string();
                say!("the index {index}", "索引 {index}")
            })
            .with_context(of_it)?;
    }
    Ok((collection_of(listed), file.to_owned()))
}

/// Whether a collection can be called so, whoever says that.
fn check_name(name: &str) -> anyhow::Result<()> {
    docdb::collection::check_characters(name).map_err(|bad| anyhow!(lang::of(&bad.wording()).to_owned()))
}

/// Says what lies where an import looks, and is taken for nothing.
fn warn_of_unread(
    there: &BTreeMap<String, PathBuf>,
    images: &BTreeSet<String>,
    collections: &[WrittenCollection],
) {
    let is_read = |name: &str| {
        [MANIFEST, OUTBOX, FILES].contains(&name)
            || PARTS.iter().any(|part| name.strip_prefix(part) == Some(".json"))
            || images.contains(name)
            || collections.iter().any(|collection| collection.file == name)
    };
    for name in there.keys().filter(|name| !is_read(name)) {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let first = folder.split('/').next().unwrap_or_default();
        // A page for people may lie beside all of it.
        let is_looked_for = match first {
            "" => [".json", DOCUMENTS].iter().any(|ending| name.ends_with(ending)),
            folder => [DATABASE, IMAGES].contains(&folder),
        };
        if !is_looked_for || file.starts_with('.') {
            continue;
        }
        let mend = match first {
            DATABASE => t(
                "documents lie in database/NAME.jsonl, each on a line of its own",
                "记录放在 database/NAME.jsonl 里，每条一行",
            ),
            _ => "",
        };
        print::warning(
            say!(
                "{name} is left out: no state has such a file",
                "跳过 {name}：状态里没有这样的文件"
            ),
            mend,
        );
    }
}

/// The files below a folder that are no links, by their names with `/` between.
fn find(folder: &Path, below: &str, found: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let Some(name) = entry.file_name().to_str().map(|name| format!("{below}{name}")) else {
            continue;
        };
        if kind.is_dir() {
            find(&entry.path(), &format!("{name}/"), found)?;
        } else if kind.is_file() {
            found.insert(name, entry.path());
        } else if kind.is_symlink() {
            print::warning(
                say!("{name} is left out: it is a link", "跳过 {name}：它是符号链接"),
                "",
            );
        }
    }
    Ok(())
}

fn json_in<T: DeserializeOwned>(path: &Path, name: &str) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| name.to_owned())?;
    serde_json::from_str(text.trim_start_matches('\u{feff}')).with_context(|| {
        say!(
            "{name} is not the JSON that was written",
            "{name} 不是写入时的 JSON"
        )
    })
}

fn lines_in<T: DeserializeOwned>(path: &Path, name: &str) -> anyhow::Result<Vec<T>> {
    let text = fs::read_to_string(path).with_context(|| name.to_owned())?;
    let mut all = Vec::new();
    for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        if !text.trim().is_empty() {
            let read = serde_json::from_str(text);
            all.push(read.with_context(|| in_line(name, line))?);
        }
    }
    Ok(all)
}

fn in_line(name: &str, line: u64) -> String {
    say!("{name}, line {line}", "{name} 第 {line} 行")
}

impl WrittenState {
    pub(super) fn count(&self) -> StateCount {
        StateCount {
            collections: self.collections.len(),
            documents: self
                .collections
                .iter()
                .map(|collection| collection.status.documents)
                .sum(),
            files: self.files.len(),
            ..StateCount::of_wechat(&self.wechat)
        }
    }

    /// The content of a file.
    pub(super) fn open_file(&self, at: &str) -> anyhow::Result<File> {
        File::open(self.folder.join(at)).with_context(|| at.to_owned())
    }
}

impl WrittenCollection {
    /// Its documents from the first.
    pub(super) fn documents(&self) -> anyhow::Result<DocumentBatches<'_>> {
        let file = File::open(&self.path).with_context(|| self.file.clone())?;
        Ok(DocumentBatches {
            name: &self.file,
            lines: BufReader::new(file),
            line: 0,
        })
    }

    /// How many there are; all of them are read.
    fn count(&self) -> anyhow::Result<u64> {
        let mut batches = self.documents()?;
        let mut count = 0;
        while let Some(batch) = batches.next_batch()? {
            count += batch.len() as u64;
        }
        Ok(count)
    }
}

/// Documents of a file, some at a time.
pub(super) struct DocumentBatches<'a> {
    name: &'a str,
    lines: BufReader<File>,
    line: u64,
}

impl DocumentBatches<'_> {
    /// The next ones; `None` behind the last.
    pub(super) fn next_batch(&mut self) -> anyhow::Result<Option<Vec<FileDocument>>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let mut text = Vec::new();
            if self.lines.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            self.line += 1;
            let text = match self.line {
                // Editors on Windows put a byte order mark before what they save.
                1 => text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text),
                _ => &text,
            };
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let document = ejson::read_document(text).with_context(|| {
                let place = in_line(self.name, self.line);
                say!(
                    "{place} is no document: each stands on a line of its own",
                    "{place}不是一条记录：每条记录各占一行"
                )
            })?;
            bytes += text.len();
            batch.push(FileDocument {
                line: self.line,
                bytes: text.len(),
                has_paths: false,
                document,
            });
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}

/// Packs what is in a folder. The archive of one content is the same each time.
fn pack(folder: &Path, to: &File) -> anyhow::Result<()> {
    let mut all = BTreeMap::new();
    find(folder, "", &mut all)?;
    let mut archive = tar::Builder::new(GzEncoder::new(BufWriter::new(to), Compression::default()));
    for (name, path) in all {
        let mut file = File::open(&path)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        archive.append_data(&mut header, &name, &mut file)?;
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// Unpacks the files of an archive; whatever else is in it, or leads out of the folder, is refused.
fn unpack(archive: File, to: &Path) -> anyhow::Result<()> {
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let plain = name
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        if !plain || !kind.is_file() {
            let name = name.display();
            bail!(say!(
                "{name} in it is no plain file below the archive's own folder",
                "其中的 {name} 不是归档目录下的普通文件"
            ));
        }
        let mut file = make_file(&to.join(name))?;
        io::copy(&mut entry.by_ref(), &mut file)?;
    }
    // One that was packed by hand may have its folder's name before everything.
    let mut entries = fs::read_dir(to)?.collect::<Result<Vec<_>, _>>()?;
    entries.retain(|entry| !entry.file_name().to_str().is_some_and(is_of_macos));
    if !to.join(MANIFEST).exists()
        && entries.len() == 1
        && let Some(only) = entries.pop()
    {
        for inner in fs::read_dir(only.path())? {
            let inner = inner?;
            fs::rename(inner.path(), to.join(inner.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (to, beside) = (folder.path().join("to"), TempDir::new_in(folder.path()).unwrap());
        fs::create_dir(&to).unwrap();
        fs::write(to.join("users.json"), "old").unwrap();
        let missing = beside.path().join("new");
        take_place(beside, &missing, &to).unwrap_err();
        assert_eq!(fs::read_to_string(to.join("users.json")).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// A folder that cannot be moved has the new contents in it, or the old ones.
    #[test]
    fn contents_are_replaced_where_the_folder_has_to_stay() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path();
        let names = || {
            let entries = fs::read_dir(to).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<BTreeSet<_>>()
        };
        fs::write(to.join("users.json"), "old").unwrap();
        fs::write(to.join("state.json"), "old").unwrap();
        let working = || {
            let working = working_folder(to).unwrap();
            fs::create_dir(working.path().join("old")).unwrap();
            working
        };
        let first = working();
        let missing = first.path().join("new");
        take_contents(first, &missing, to).unwrap_err();
        assert_eq!(names(), ["state.json", "users.json"].map(str::to_owned).into());
        assert_eq!(fs::read_to_string(to.join("users.json")).unwrap(), "old");
        let second = working();
        let whole = second.path().join("new");
        fs::create_dir_all(whole.join("database")).unwrap();
        fs::write(whole.join("users.json"), "new").unwrap();
        take_contents(second, &whole, to).unwrap();
        assert_eq!(names(), ["database", "users.json"].map(str::to_owned).into());
        assert_eq!(fs::read_to_string(to.join("users.json")).unwrap(), "new");
    }
}
