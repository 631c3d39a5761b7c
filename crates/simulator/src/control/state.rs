//! Files that keep the users, the templates, who subscribed to which, and the outbox from one start to the next.
//!
//! The first three are one JSON for people to read, which is changed as a whole: a new one takes the place of the old, so that a
//! crash leaves one or the other. The outbox is a file of its own, where that is wanted, with an item on each line; what comes is
//! written behind what is there. A change is in its file before the call that made it is answered. Everything else, sessions and
//! tokens among it, is forgotten when the simulator ends. A file that cannot be read is told, and stays as it is.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use serde::{Deserialize, Serialize};
use wording::{Wording, wording};

use crate::{
    Simulator, World,
    control::outbox::{Outbox, OutboxMark, WholeItem},
    people::users::{User, UserError},
    server::templates::{Subscription, Template, TemplateError},
};

/// How the files are written today. A number of its own for each change that an earlier version of this program could not read.
const VERSION: u32 = 1;
/// Lines of the outbox's file at which it is written anew, with what is still there.
const MOST_LINES: u64 = 4000;
/// Bytes of it at which it is written anew too: an outbox holds 16 MB, and somewhat more as text.
const MOST_BYTES: u64 = 64 << 20;

/// Why there is no starting from a state file.
#[derive(Debug)]
#[non_exhaustive]
pub enum StateError {
    /// Another process has it.
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is there and cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this program writes.
    Form {
        /// The file.
        path: PathBuf,
        /// The line, of a file that is read line by line.
        line: Option<usize>,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// It was written by a later version of this program.
    Version {
        /// The file.
        path: PathBuf,
        /// The number in it.
        theirs: u32,
    },
    /// Its users are another app's: their openids would be wrong.
    App {
        /// The file.
        path: PathBuf,
        /// The appid in it.
        theirs: String,
        /// The appid of the settings.
        ours: String,
    },
    /// Something in it cannot be.
    Content {
        /// The file.
        path: PathBuf,
        /// What.
        why: Wording,
    },
}

impl StateError {
    /// What is wrong, and the mend.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::InUse { path } => {
                let path = path.display();
                wording!(
                    "the state file {path} is open in another process: end that one first, or give this one a file of its own",
                    "状态文件 {path} 已被另一个进程打开：请先结束那个进程，或给这一个另用文件"
                )
            }
            Self::Read { path, source } => {
                let path = path.display();
                wording!(
                    "the state file {path} cannot be read: {source}",
                    "无法读取状态文件 {path}：{source}"
                )
            }
            Self::Form { path, line, source } => {
                let place = match line {
                    Some(line) => format!("{}:{line}", path.display()),
                    None => path.display().to_string(),
                };
                wording!(
                    "the state file {place} is not what was written: {source}; mend it, or delete it to start afresh",
                    "状态文件 {place} 不是写入时的样子：{source}；请改正，或删掉它从头开始"
                )
            }
            Self::Version { path, theirs } => {
                let path = path.display();
                wording!(
                    "the state file {path} was written by a later yunqiao (version {theirs}, and this one knows {VERSION}): use that one, or \
                     move the file away to start afresh",
                    "状态文件 {path} 是更新版本的 yunqiao 写的（版本 {theirs}，这里只认识 {VERSION}）：请用那个版本，或移走此文件从头开始"
                )
            }
            Self::App { path, theirs, ours } => {
                let path = path.display();
                wording!(
                    "the state file {path} is of the app {theirs}, and this one is {ours}: give each app a file of its own, or delete it to \
                     start afresh",
                    "状态文件 {path} 属于小程序 {theirs}，而这里是 {ours}：请给每个小程序各用一个文件，或删掉它从头开始"
                )
            }
            Self::Content { path, why } => {
                let path = path.display();
                wording!(
                    "the state file {path} has something that cannot be: {why}; mend it, or delete it to start afresh",
                    "状态文件 {path} 的内容有误：{why}；请改正，或删掉它从头开始"; why
                )
            }
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for StateError {}

/// What the file of people holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateContents {
    #[serde(default = "first_version")]
    version: u32,
    appid: String,
    users: Vec<User>,
    templates: Vec<Template>,
    subscriptions: Vec<Subscription>,
}

/// The first line of the outbox's file.
#[derive(Debug, Serialize, Deserialize)]
struct OutboxHead {
    version: u32,
}

/// Files were first written without their version.
fn first_version() -> u32 {
    1
}

/// What a file says of its form, whatever else is in it.
#[derive(Deserialize)]
struct VersionAlone {
    #[serde(default = "first_version")]
    version: u32,
}

fn check_version(path: &Path, text: &[u8]) -> Result<(), StateError> {
    match serde_json::from_slice::<VersionAlone>(text) {
        Ok(VersionAlone { version: theirs }) if theirs > VERSION => Err(StateError::Version {
            path: path.to_owned(),
            theirs,
        }),
        // What else is wrong is told where all of it is read.
        _ => Ok(()),
    }
}

/// How far the files are up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Saved {
    people: (u64, u64),
    outbox: OutboxMark,
}

impl Saved {
    fn now(world: &World) -> Self {
        Self {
            people: (world.users.revision(), world.templates.revision()),
            outbox: world.outbox.mark(),
        }
    }
}

/// The files, and what they hold now.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    outbox: Option<PathBuf>,
    /// Held for as long as this process has the files.
    _lock: Option<File>,
    saved: Mutex<Saved>,
    writing: Mutex<Writing>,
}

/// What whoever writes has for itself.
#[derive(Debug)]
struct Writing {
    /// The text of the file of people.
    people: String,
    /// The outbox's file, to write behind what it holds; `None` until it is first needed.
    outbox: Option<File>,
    /// How long it is.
    length: FileLength,
}

/// How long the outbox's file is; without lines it is to be written anew.
#[derive(Clone, Copy, Debug, Default)]
struct FileLength {
    lines: u64,
    bytes: u64,
}

/// What is to be written, all of it as it was at one moment.
struct Change {
    now: Saved,
    people: Option<StateContents>,
    outbox: Option<OutboxChange>,
}

/// What becomes of the outbox's file.
enum OutboxChange {
    /// These are written behind what it holds.
    Added(Vec<WholeItem>),
    /// These take the place of all of it.
    Whole(Vec<WholeItem>),
}

impl StateFile {
    /// Puts what the files hold into the world of this appid; a file that is not there yet is written at the first call.
    pub(crate) fn open(
        path: &Path,
        outbox: Option<&Path>,
        ours: &str,
        world: &mut World,
    ) -> Result<Self, StateError> {
        let lock = lock(path)?;
        let path = path.to_owned();
        let text = read(&path)?;
        if !text.is_empty() {
            check_version(&path, text.as_bytes())?;
            let kept: StateContents = match serde_json::from_str(&text) {
                Ok(kept) => kept,
                Err(source) => {
                    let line = None;
                    return Err(StateError::Form { path, line, source });
                }
            };
            if kept.appid != ours {
                return Err(StateError::App {
                    path,
                    theirs: kept.appid,
                    ours: ours.to_owned(),
                });
            }
            if let Err(why) = restore(world, kept.users, kept.templates, kept.subscriptions) {
                return Err(StateError::Content { path, why });
            }
        }
        let length = match outbox {
            Some(outbox) => read_outbox(outbox, &mut world.outbox)?,
            None => FileLength::default(),
        };
        let file = Self {
            path,
            outbox: outbox.map(Path::to_owned),
            _lock: lock,
            // Of people there is a text to compare with.
            saved: Mutex::new(Saved {
                people: (u64::MAX, u64::MAX),
                outbox: world.outbox.mark(),
            }),
            writing: Mutex::new(Writing {
                people: text,
                outbox: None,
                length,
            }),
        };
        Ok(file)
    }

    fn is_behind(&self, sim: &Simulator) -> bool {
        let saved = *self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved != Saved::now(&sim.world())
    }

    /// Brings the files up to date. What is written is looked at under the files' lock, so that of two calls at the same time
    /// none puts an older state in the place of a newer.
    pub(crate) fn save(&self, sim: &Simulator) -> io::Result<()> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let change = self.change(&writing, sim);
        self.write(&mut writing, change)
    }

    /// What is not in the files yet.
    fn change(&self, writing: &Writing, sim: &Simulator) -> Change {
        let before = *self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let world = sim.world();
        let now = Saved::now(&world);
        let outbox = (self.outbox.is_some() && now.outbox != before.outbox).then(|| {
            let came = world.outbox.since(before.outbox);
            match came.filter(|came| writing.has_room(came)) {
                Some(came) => OutboxChange::Added(came),
                // Under the same guard as `now`: what comes later is not in it, and goes in with the next change.
                None => OutboxChange::Whole(world.outbox.whole()),
            }
        });
        Change {
            now,
            people: (now.people != before.people).then(|| contents(sim, &world)),
            outbox,
        }
    }

    fn write(&self, writing: &mut Writing, change: Change) -> io::Result<()> {
        if let Some(people) = change.people {
            let mut text = serde_json::to_string_pretty(&people)?;
            text.push('\n');
            if writing.people != text {
                replace(&self.path, text.as_bytes())?;
                writing.people = text;
            }
        }
        if let (Some(outbox), Some(path)) = (change.outbox, &self.outbox) {
            writing.save_outbox(path, &outbox)?;
        }
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = change.now;
        Ok(())
    }
}

impl Writing {
    /// Whether these can go behind what the outbox's file holds.
    fn has_room(&self, came: &[WholeItem]) -> bool {
        let FileLength { lines, bytes } = self.length;
        lines > 0 && lines + came.len() as u64 <= MOST_LINES && bytes <= MOST_BYTES
    }

    fn save_outbox(&mut self, path: &Path, change: &OutboxChange) -> io::Result<()> {
        // Where it is written in part, or whatever fails from here on, all of it is written anew.
        let length = std::mem::take(&mut self.length);
        let mut text = Vec::new();
        self.length = match change {
            OutboxChange::Added(came) => {
                write_items(&mut text, came)?;
                let file = match self.outbox.take() {
                    Some(file) => file,
                    None => OpenOptions::new().append(true).open(path)?,
                };
                (&file).write_all(&text)?;
                self.outbox = Some(file);
                FileLength {
                    lines: length.lines + came.len() as u64,
                    bytes: length.bytes + text.len() as u64,
                }
            }
            OutboxChange::Whole(all) => {
                self.outbox = None;
                serde_json::to_writer(&mut text, &OutboxHead { version: VERSION })?;
                text.push(b'\n');
                write_items(&mut text, all)?;
                replace(path, &text)?;
                FileLength {
                    lines: all.len() as u64 + 1,
                    bytes: text.len() as u64,
                }
            }
        };
        Ok(())
    }
}

fn write_items(text: &mut Vec<u8>, items: &[WholeItem]) -> io::Result<()> {
    for item in items {
        serde_json::to_writer(&mut *text, item)?;
        text.push(b'\n');
    }
    Ok(())
}

/// Another name in the same folder.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Keeps other processes from the files that go by this one's name. `None` where no file can be made: that is told at the first
/// change, and reading what there is needs none.
fn lock(path: &Path) -> Result<Option<File>, StateError> {
    let lock = beside(path, ".lock");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock);
    let Ok(file) = opened else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(StateError::Read { path: lock, source }),
    }
}

fn read(path: &Path) -> Result<String, StateError> {
    match fs::read_to_string(path) {
        // Editors on Windows put a byte order mark before what they save.
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(StateError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Puts the items in the outbox's file into an outbox, one at a time.
fn read_outbox(path: &Path, outbox: &mut Outbox) -> Result<FileLength, StateError> {
    let unreadable = |source| StateError::Read {
        path: path.to_owned(),
        source,
    };
    let bad = |line: u64, source| StateError::Form {
        path: path.to_owned(),
        line: usize::try_from(line).ok(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileLength::default()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut length = FileLength::default();
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
        length.lines += 1;
        length.bytes += line.len() as u64;
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        let is_ended = line.ends_with(b"\n");
        if length.lines == 1 {
            check_version(path, text)?;
            let _: OutboxHead = serde_json::from_slice(text).map_err(|error| bad(1, error))?;
        } else if !text.trim_ascii().is_empty() {
            match serde_json::from_slice(text) {
                Ok(item) => outbox.put_whole(item),
                // Its writer was ended in the middle of it, be it within a character, or the disk left zeros there: nobody was told
                // that it was written.
                Err(_) if !is_ended => {}
                Err(error) => return Err(bad(length.lines, error)),
            }
        }
        if !is_ended {
            return Ok(FileLength::default());
        }
        line.clear();
    }
    Ok(length)
}

/// Puts a new file in the place of the one that is there. It is the owner's alone, and follows no link.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

pub(crate) fn restore(
    world: &mut World,
    users: Vec<User>,
    templates: Vec<Template>,
    subscriptions: Vec<Subscription>,
) -> Result<(), Wording> {
    let bad_users = |why: UserError| {
        let why = Wording {
            en: why.to_string(),
            zh: why.in_chinese(),
        };
        wording!("its users: {why}", "用户：{why}"; why)
    };
    let bad_templates = |why: TemplateError| {
        let why = Wording {
            en: why.to_string(),
            zh: why.in_chinese(),
        };
        wording!("its templates: {why}", "模板：{why}"; why)
    };
    world.users.restore(users).map_err(bad_users)?;
    world
        .templates
        .restore(templates, subscriptions)
        .map_err(bad_templates)
}

fn contents(sim: &Simulator, world: &World) -> StateContents {
    StateContents {
        version: VERSION,
        appid: sim.settings().appid.clone(),
        users: world.users.all().to_vec(),
        templates: world.templates.all().to_vec(),
        subscriptions: world.templates.subscriptions(),
    }
}

/// Around every path, where there is a file.
pub(crate) async fn around(
    State((sim, file)): State<(Simulator, Arc<StateFile>)>,
    request: Request,
    next: Next,
) -> Response {
    let answer = next.run(request).await;
    if !file.is_behind(&sim) {
        return answer;
    }
    let saving = tokio::task::spawn_blocking(move || file.tell_of_saving(&sim));
    if let Err(error) = saving.await {
        tracing::error!(%error, "saving the state did not end");
    }
    answer
}

impl StateFile {
    /// Saves, and tells the developer where that fails.
    pub(crate) fn tell_of_saving(&self, sim: &Simulator) {
        if let Err(error) = self.save(sim) {
            let path = self.path.display();
            sim.tell(wording!(
                "the state file {path} cannot be written, and what was changed will be lost: {error}",
                "无法写入状态文件 {path}，改动将丢失：{error}"
            ));
        }
    }

    /// Why what is wanted cannot be kept.
    pub(crate) fn not_written(&self, error: &io::Error) -> Wording {
        let path = self.path.display();
        wording!(
            "the state file {path} cannot be written: {error}",
            "无法写入状态文件 {path}：{error}"
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clock::Clock;
    use serde_json::json;

    use super::*;
    use crate::SimulatorSettings;

    #[test]
    fn what_comes_while_a_file_is_written_is_in_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let (people, outbox) = (folder.path().join("people"), folder.path().join("outbox"));
        let open = || {
            let settings = SimulatorSettings::default();
            Simulator::with_state(&people, Some(&outbox), settings, Clock::system(), |_| {}).unwrap()
        };
        let sim = open();
        let put = |to: &str| sim.pretend("api", String::new(), to, json!({}), None, None);
        let file = sim.0.state.as_ref().unwrap();
        let whole = |change: &Change| matches!(change.outbox, Some(OutboxChange::Whole(_)));
        // At first all of it is written; then what came is added; then, where everything was taken away, all of it again.
        for (number, is_whole) in [(0, true), (1, false), (2, true)] {
            if number == 2 {
                sim.world().outbox.empty();
            }
            put(&format!("{number}-before"));
            let mut writing = file.writing.lock().unwrap();
            let change = file.change(&writing, &sim);
            assert_eq!(whole(&change), is_whole);
            put(&format!("{number}-meanwhile"));
            file.write(&mut writing, change).unwrap();
            drop(writing);
            assert!(file.is_behind(&sim));
            file.save(&sim).unwrap();
            assert!(!file.is_behind(&sim));
        }
        let receivers = |sim: &Simulator| -> Vec<String> {
            let items = sim.world().outbox.items();
            items.into_iter().map(|item| item.to).collect()
        };
        let expected = receivers(&sim);
        assert_eq!(expected, ["2-before", "2-meanwhile"]);
        drop(sim);
        assert_eq!(receivers(&open()), expected);
    }
}
