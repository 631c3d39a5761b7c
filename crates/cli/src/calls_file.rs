//! `.yunqiao/calls.jsonl`: what `yunqiao dev` tells of calls, one line of JSON each, for `yunqiao logs` to read.
//!
//! A thread of its own writes it: a disk that is slow or full keeps no call waiting, and what finds no room meanwhile is counted in
//! the place where it is missing. The file is opened anew for each batch of lines: it may have been deleted, and another `dev` of
//! the project may write to it as well. When it is full it becomes `calls.1.jsonl`, in the place of the one before.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use crate::{
    backlog::{Backlog, BacklogItem, Room},
    entry::{Entry, Gap},
    folder::Folder,
    lang::say,
    print,
};

/// Bytes after which a new file is begun. A line may go beyond.
const FULL: u64 = 5 << 20;

/// How long the end of the program waits for a file that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// After how long a line that could not be written is tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Bytes of a line that are read: we write none that is as long. And of what is kept for the next one.
const LONGEST: usize = 16 << 20;
const USUAL: usize = 256 << 10;

const NAME: &str = "calls.jsonl";
const OLDER: &str = "calls.1.jsonl";

/// The file, for whoever has something to tell.
#[derive(Debug)]
pub(crate) struct CallsFile(Arc<Backlog<Arc<Entry>>>);

impl CallsFile {
    /// Of the project in `root`.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start(root: &Path, room: Room) -> io::Result<Self> {
        let backlog = Arc::new(Backlog::new(room));
        let writer = Writer {
            backlog: Arc::clone(&backlog),
            root: root.to_owned(),
            fails: false,
        };
        let thread = thread::Builder::new().name("calls.jsonl".to_owned());
        thread.spawn(move || writer.run())?;
        Ok(Self(backlog))
    }

    /// Adds an entry, sooner or later.
    pub(crate) fn append(&self, entry: Arc<Entry>) {
        self.0.push(entry);
    }

    /// Waits for what is still to be written, and tells what could not be. Once: what comes later is lost.
    pub(crate) fn end(&self) {
        let Self(backlog) = self;
        if backlog.is_closed() {
            return;
        }
        backlog.close();
        backlog.flush(PATIENCE);
        // What is in the writer's hands it tells of itself.
        if let lines @ 1.. = backlog.lines() {
            say_lost(lines);
        }
    }
}

impl Drop for CallsFile {
    fn drop(&mut self) {
        self.end();
    }
}

fn say_lost(lines: u64) {
    let (lines_en, lines_zh) = (print::counted(lines, "line"), lines);
    print::warning(
        say!(
            "{lines_en} could not be written to .yunqiao/{NAME}",
            "有 {lines_zh} 行无法写入 .yunqiao/{NAME}"
        ),
        "",
    );
}

struct Writer {
    backlog: Arc<Backlog<Arc<Entry>>>,
    root: PathBuf,
    /// The last line could not be written, and that was said.
    fails: bool,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.backlog.take() {
            let mut batch = batch.into_iter().peekable();
            let mut pause = PAUSES.0;
            while batch.peek().is_some() {
                match self.write(&mut batch) {
                    Ok(()) => self.fails = false,
                    Err(error) if self.backlog.is_closed() => {
                        self.say(&error);
                        say_lost(batch.by_ref().map(|waiting| waiting.lines()).sum());
                    }
                    Err(error) => {
                        self.say(&error);
                        self.backlog.rest(pause);
                        pause = (pause * 2).min(PAUSES.1);
                    }
                }
            }
        }
    }

    /// Once for each time that it begins to fail.
    fn say(&mut self, error: &io::Error) {
        if !self.fails {
            self.fails = true;
            print::warning(
                say!(
                    "calls cannot be written to .yunqiao/{NAME}, so `yunqiao logs` does not show them: {error}",
                    "无法把调用记录写入 .yunqiao/{NAME}，因此 `yunqiao logs` 看不到它们：{error}"
                ),
                "",
            );
        }
    }

    /// Writes one after the other; takes away what is written.
    fn write(
        &self,
        batch: &mut std::iter::Peekable<impl Iterator<Item = BacklogItem<Arc<Entry>>>>,
    ) -> io::Result<()> {
        let folder = Folder::make(&self.root)?;
        let mut file = folder.append(NAME)?;
        while let Some(waiting) = batch.peek() {
            let mut line = match waiting {
                BacklogItem::Item(entry) => serde_json::to_vec(&**entry),
                BacklogItem::Lost(lines) => serde_json::to_vec(&Entry::Gap(Gap::new(*lines))),
            }?;
            line.push(b'\n');
            let mut length = file.metadata()?.len();
            if length >= FULL {
                folder.rename(NAME, OLDER)?;
                (file, length) = (folder.append(NAME)?, 0);
            }
            // A disk that became full, or a process that was killed, left a part of a line: this one is not its end.
            let mut last = [b'\n'];
            if let Some(at) = length.checked_sub(1) {
                file.read_at(&mut last, at)?;
            }
            if last != [b'\n'] {
                line.insert(0, b'\n');
            }
            file.write_all(&line)?;
            batch.next();
            self.backlog.wrote();
        }
        Ok(())
    }
}

/// Reads the lines from the oldest on, and goes on where it stopped, across the beginning of new files.
pub(crate) struct Reader {
    root: PathBuf,
    /// The file that is read. It is kept open, also when it is deleted, so that no other one can be taken for it.
    file: Option<BufReader<File>>,
    /// The one before, which was read to its end.
    before: Option<File>,
    /// A line whose end is not written yet.
    line: Vec<u8>,
    /// The beginning of this line was thrown away: it is too long.
    skips: bool,
}

impl Reader {
    /// Of the project in `root`. There need be nothing yet; nothing is read yet.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            file: None,
            before: None,
            line: Vec::new(),
            skips: false,
        }
    }

    /// Hands on each line that there is since the last time. What began to be written since the last time and was pushed out by two
    /// newer files is not there any more.
    ///
    /// # Errors
    /// Those of `each`, and those of reading.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        loop {
            // Opened before what is left is read: after that, nobody writes to another file than the newest.
            let newest = self.open(NAME)?;
            self.go_on(&mut each)?;
            let is = |file: &Option<File>, other: &File| match file {
                Some(file) => Ok(identity(file)? == identity(other)?),
                None => io::Result::Ok(false),
            };
            let now = self.file.as_ref().map(BufReader::get_ref);
            if let Some(now) = now
                && is(&newest, now)?
            {
                return Ok(());
            }
            // When the file was read that became the older one, the newest follows; when that is another one, it comes first.
            let mut next = self.open(OLDER)?;
            for read in [now, self.before.as_ref()].into_iter().flatten() {
                if is(&next, read)? {
                    next = None;
                }
            }
            let Some(next) = next.or(newest) else {
                return Ok(());
            };
            let before = self.file.replace(BufReader::new(next));
            self.before = before.map(BufReader::into_inner);
            self.line.clear();
            self.skips = false;
        }
    }

    /// Reads the file to its end.
    fn go_on(&mut self, each: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        loop {
            let room = LONGEST.saturating_sub(self.line.len());
            if file
                .by_ref()
                .take(room as u64)
                .read_until(b'\n', &mut self.line)?
                == 0
            {
                return Ok(());
            }
            if self.line.last() == Some(&b'\n') {
                let skips = std::mem::take(&mut self.skips);
                let line = std::mem::take(&mut self.line);
                if !skips {
                    each(&String::from_utf8_lossy(&line[..line.len() - 1]))?;
                }
                // A long one leaves no room behind.
                if line.capacity() <= USUAL {
                    self.line = line;
                    self.line.clear();
                }
            } else if self.line.len() >= LONGEST {
                self.skips = true;
                self.line = Vec::new();
            }
        }
    }

    /// One of the two files, if it is there.
    fn open(&self, name: &str) -> io::Result<Option<File>> {
        match Folder::open(&self.root).and_then(|folder| folder.read(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What tells one file from another.
fn identity(file: &File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::entry::Note;

    fn note(text: &str) -> Arc<Entry> {
        Arc::new(Entry::Note(Note::new("", None, &wording::Wording::as_is(text))))
    }

    fn lines(root: &Path) -> Vec<String> {
        more(&mut Reader::new(root))
    }

    fn more(reader: &mut Reader) -> Vec<String> {
        let mut lines = Vec::new();
        reader
            .read(|line| {
                lines.push(match serde_json::from_str(line) {
                    Ok(Entry::Note(note)) => note.note,
                    Ok(Entry::Gap(gap)) => format!("{} lost", gap.lines_not_kept),
                    _ => "torn".to_owned(),
                });
                Ok(())
            })
            .unwrap();
        lines
    }

    #[test]
    fn a_line_after_a_torn_one_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(".yunqiao/calls.jsonl");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(file, "{\"time\":\"2026").unwrap();
        let calls = CallsFile::start(root.path(), Room::USUAL).unwrap();
        calls.append(note("one"));
        calls.append(note("two"));
        drop(calls);
        assert_eq!(lines(root.path()), ["torn", "one", "two"]);
    }

    /// A project, and what the writer does: another line, or another file.
    fn project() -> (tempfile::TempDir, impl Fn(&str), impl Fn()) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".yunqiao");
        fs::create_dir(&folder).unwrap();
        let (name, older) = (folder.join(NAME), folder.join(OLDER));
        let to = name.clone();
        let write = move |text: &str| {
            let mut file = File::options().append(true).create(true).open(&to).unwrap();
            writeln!(file, "{}", serde_json::to_string(&*note(text)).unwrap()).unwrap();
        };
        (root, write, move || fs::rename(&name, &older).unwrap())
    }

    #[test]
    fn no_file_that_is_there_is_left_out_and_none_is_read_twice() {
        let (root, write, rotate) = project();
        let mut reader = Reader::new(root.path());
        // A new file was begun before anybody looked.
        write("1");
        rotate();
        assert_eq!(more(&mut reader), ["1"]);
        write("2");
        assert_eq!(more(&mut reader), ["2"]);
        // One between two looks, and two: what was in the first of them is gone by then.
        rotate();
        write("3");
        assert_eq!(more(&mut reader), ["3"]);
        write("4");
        rotate();
        write("pushed out");
        rotate();
        write("5");
        rotate();
        write("6");
        assert_eq!(more(&mut reader), ["4", "5", "6"]);
        assert!(more(&mut reader).is_empty());
        // The newest alone is deleted: the one before was read.
        fs::remove_file(root.path().join(".yunqiao").join(NAME)).unwrap();
        assert!(more(&mut reader).is_empty());
        write("7");
        assert_eq!(more(&mut reader), ["7"]);
        assert!(more(&mut reader).is_empty());
        assert_eq!(lines(root.path()), ["5", "7"]);
    }

    #[test]
    fn an_endless_line_costs_itself_alone_and_no_memory() {
        let (root, write, rotate) = project();
        write("one");
        let name = root.path().join(".yunqiao").join(NAME);
        let mut file = File::options().append(true).open(&name).unwrap();
        let part = vec![b'x'; 1 << 20];
        for _ in 0..3 * LONGEST / part.len() {
            file.write_all(&part).unwrap();
        }
        let mut reader = Reader::new(root.path());
        assert_eq!(more(&mut reader), ["one"]);
        file.write_all(b"{\"note\":\n").unwrap();
        write("two");
        assert_eq!(more(&mut reader), ["two"]);
        assert!(reader.line.capacity() <= USUAL);
        rotate();
        write("three");
        assert_eq!(more(&mut reader), ["three"]);
    }

    #[test]
    fn while_nothing_can_be_written_lines_wait_and_the_rest_is_counted() {
        let root = tempfile::tempdir().unwrap();
        // No folder can be made here.
        let obstacle = root.path().join(".yunqiao");
        fs::write(&obstacle, "").unwrap();
        let calls = CallsFile::start(
            root.path(),
            Room {
                items: 2,
                bytes: 1 << 20,
            },
        )
        .unwrap();
        calls.append(note("in its hands"));
        while calls.0.lines() > 0 {
            thread::yield_now();
        }
        for text in ["1", "2", "3", "4", "5"] {
            calls.append(note(text));
        }
        fs::remove_file(obstacle).unwrap();
        while !calls.0.flush(Duration::from_secs(1)) {}
        calls.append(note("after"));
        drop(calls);
        assert_eq!(lines(root.path()), ["in its hands", "1", "2", "3 lost", "after"]);
    }
}
