#![allow(clippy::unwrap_used, clippy::panic)]

mod failed_syncs;

use std::{
    fs::{self, Permissions, metadata},
    hash::{BuildHasher as _, RandomState},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use tempfile::TempDir;

use crate::{
    Backend, Cause, DataFile, Failure, FileError, FileSettings, Form, Redo, RedoError, RedoStep, RedoSteps,
    WorkError, Wrote, file, testing::Faults,
};

static FORM: Form = Form {
    noun: "the list",
    setting: "`list` in yunqiao.toml",
    loss: "with a new one, there is nothing on it",
    format: 2,
    cache: 1 << 20,
    replay: Some(replay),
};

const ROWS: TableDefinition<'_, u64, &str> = TableDefinition::new("rows");
const OLDER: TableDefinition<'_, u64, &str> = TableDefinition::new("older");

/// Format 1 had its rows in another table.
fn bring_up(transaction: &WriteTransaction, from: Option<u64>) -> Result<(), Cause> {
    let mut rows = transaction.open_table(ROWS)?;
    if from == Some(1) {
        for row in transaction.open_table(OLDER)?.iter()? {
            let (number, text) = row?;
            rows.insert(number.value(), text.value())?;
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<DataFile, FileError> {
    DataFile::open(path, &FORM, bring_up)
}

fn refusal(path: &Path) -> String {
    open(path).unwrap_err().report().to_string()
}

type Done<T> = Result<T, Failure<()>>;

fn put(file: &DataFile, numbers: std::ops::Range<u64>) -> Done<()> {
    file.write(|transaction| {
        let mut rows = transaction.open_table(ROWS)?;
        let mut redo = Redo::default();
        for number in numbers {
            redo.put(0, &number.to_be_bytes(), text(number).as_bytes());
            rows.insert(number, text(number).as_str())?;
        }
        Ok::<_, WorkError<()>>(Wrote::Journaled((), redo))
    })
}

fn replay(transaction: &WriteTransaction, steps: RedoSteps<'_>) -> Result<(), WorkError<RedoError>> {
    let mut rows = transaction.open_table(ROWS)?;
    for step in steps {
        let RedoStep::Put { table: 0, key, value } = step? else {
            return Err(RedoError.into());
        };
        let number = u64::from_be_bytes(*key.first_chunk().ok_or(RedoError)?);
        rows.insert(number, std::str::from_utf8(value).map_err(|_| RedoError)?)?;
    }
    Ok(())
}

/// Has the file have what only its journal has.
fn settle(file: &DataFile) {
    file.write(|_| Ok::<_, WorkError<()>>(Wrote::Changed(())))
        .unwrap();
}

fn text(number: u64) -> String {
    format!("{number}{}", "x".repeat(100))
}

/// All rows, each of which must be as it was written.
fn rows(file: &DataFile) -> Done<Vec<u64>> {
    file.read(|transaction| {
        let mut numbers = Vec::new();
        for row in transaction.open_table(ROWS)?.iter()? {
            let (number, found) = row?;
            assert_eq!(found.value(), text(number.value()));
            numbers.push(number.value());
        }
        Ok(numbers)
    })
}

fn mode(path: &Path) -> u32 {
    metadata(path).unwrap().permissions().mode() & 0o777
}

/// A file of 300 rows that was closed well.
fn filled(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("list.redb");
    let file = open(&path).unwrap();
    for part in 0..5 {
        put(&file, part * 60..part * 60 + 60).unwrap();
    }
    path
}

#[test]
fn a_file_is_its_owner_s_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.redb");
    drop(open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_cannot_be_opened_is_refused_with_the_mend() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.redb");
    let missing = refusal(&folder.path().join("no/list.redb"));
    assert!(
        missing.contains("no/list.redb")
            && missing.contains("create its folder")
            && missing.contains("No such file"),
        "{missing}"
    );
    let file = open(&path).unwrap();
    let in_use = refusal(&path);
    assert!(
        in_use.contains("list.redb is in use") && in_use.contains("stop the other"),
        "{in_use}"
    );
    drop(file);
    assert!(open(&path).is_ok());
}

/// What is none of ours is named, and left as it is: content, mode and all.
#[test]
fn what_is_none_of_ours_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    };
    let foreign = folder.path().join("foreign.redb");
    let database = redb::Database::create(&foreign).unwrap();
    let transaction = database.begin_write().unwrap();
    const THEIRS: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
    transaction.open_table(THEIRS).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let socket = folder.path().join("socket");
    let _listening = UnixListener::bind(&socket).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let socket_mode = mode(&socket);
    let other = "a file of another kind";
    let special = "a device, a pipe or a socket";
    for (path, what, mend, unchanged) in [
        (file("empty", b""), "an empty file", "delete the file", 0o644),
        (file("short", b"redb"), other, "name another file", 0o644),
        (file("zeros", &[0; 1 << 16]), other, "name another file", 0o644),
        (
            file("notes.txt", "something else\n".repeat(1000).as_bytes()),
            other,
            "name another file",
            0o644,
        ),
        (folder.path().join("folder"), "a folder", "name a file", 0),
        (socket, special, "name a file", socket_mode),
        ("/dev/null".into(), special, "name a file", 0o666),
    ] {
        let content = fs::read(&path).ok();
        let refusal = refusal(&path);
        assert!(
            refusal.contains(&path.display().to_string()) && refusal.contains(what) && refusal.contains(mend),
            "{refusal}"
        );
        assert!(unchanged == 0 || mode(&path) == unchanged, "{}", path.display());
        assert_eq!(fs::read(&path).ok(), content);
    }
    let content = fs::read(&foreign).unwrap();
    let refused = refusal(&foreign);
    assert!(
        refused.contains("a redb database of another program"),
        "{refused}"
    );
    assert!(fs::read(&foreign).unwrap() == content);
}

/// Opens what is left of a file of 300 rows: they are all there, or it is said what is wrong and the file is as it was.
fn whole_or_refused(path: &Path, what: &str) -> bool {
    let before = fs::read(path).unwrap();
    match open(path) {
        Ok(file) => {
            assert_eq!(rows(&file).unwrap(), Vec::from_iter(0..300), "{what}");
            true
        }
        Err(error) => {
            let text = error.report().to_string();
            assert!(
                matches!(error, FileError::Damaged { .. } | FileError::Foreign { .. }),
                "{what}: {text}"
            );
            assert!(text.contains(&*path.to_string_lossy()), "{text}");
            assert!(
                ["move it away", "name another file", "delete the file"]
                    .iter()
                    .any(|mend| text.contains(mend)),
                "{text}"
            );
            assert!(
                fs::read(path).unwrap() == before,
                "{what}: the file was changed: {text}"
            );
            false
        }
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let content = fs::read(filled(&folder)).unwrap();
    let cut = folder.path().join("cut.redb");
    let all = content.len();
    let mut lengths: Vec<usize> = (0..32).map(|part| all * part / 32).collect();
    lengths.extend([1, 8, 9, 10, 64, 127, 320, 4095, 4096, 4097, all - 4096, all - 1]);
    for length in lengths {
        fs::write(&cut, &content[..length]).unwrap();
        let what = format!("{length} of {all} bytes");
        assert!(!whole_or_refused(&cut, &what), "{what}");
    }
    // With zeros in place of what was cut, as some file systems leave after a power cut.
    for part in [1, 5, 9] {
        let mut zeros = content.clone();
        zeros[all * part / 10..].fill(0);
        fs::write(&cut, &zeros).unwrap();
        whole_or_refused(&cut, &format!("zeros from {part} tenths on"));
    }
}

#[test]
fn bytes_that_flipped_are_seen_or_do_not_matter() {
    let folder = TempDir::new().unwrap();
    let content = fs::read(filled(&folder)).unwrap();
    let flipped = folder.path().join("flipped.redb");
    let random = RandomState::new();
    // Where pages hold something; the header, too.
    let used: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
    let mut refused = 0;
    for round in 0..160_usize {
        let at = match round {
            0..40 => round * 8,
            _ => used[random.hash_one(round) as usize % used.len()],
        };
        let bytes = [1, 1, 8, 64][round % 4];
        let mut changed = content.clone();
        let end = (at + bytes).min(changed.len());
        let pattern = 1 << (random.hash_one((round, at)) % 8);
        changed[at..end].iter_mut().for_each(|byte| *byte ^= pattern);
        fs::write(&flipped, &changed).unwrap();
        let what = format!("{bytes} bytes at {at} of {}", content.len());
        refused += usize::from(!whole_or_refused(&flipped, &what));
    }
    assert!(refused > 40, "{refused}");
}

/// As a copy of it and its journal that was made while the file was in use, or what a power cut leaves.
#[test]
fn a_file_that_was_never_closed_is_repaired() {
    let folder = TempDir::new().unwrap();
    let path = filled(&folder);
    let file = open(&path).unwrap();
    put(&file, 300..301).unwrap();
    put(&file, 301..302).unwrap();
    let (left, _) = copy(&path, &folder.path().join("left.redb"));
    drop(file);
    assert_eq!(rows(&open(&left).unwrap()).unwrap().len(), 302);
}

#[test]
fn an_older_format_is_brought_up_and_a_later_one_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.redb");
    let set = |format: u64| {
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut older = transaction.open_table(OLDER).unwrap();
        older.insert(7, text(7).as_str()).unwrap();
        drop(older);
        let mut meta = transaction.open_table(file::META).unwrap();
        meta.insert(file::FORMAT_NAME, format).unwrap();
        drop(meta);
        transaction.commit().unwrap();
    };
    drop(open(&path).unwrap());
    set(1);
    assert_eq!(rows(&open(&path).unwrap()).unwrap(), [7]);
    // It is brought up once.
    let database = redb::Database::open(&path).unwrap();
    let read = database.begin_read().unwrap();
    let meta = read.open_table(file::META).unwrap();
    assert_eq!(meta.get(file::FORMAT_NAME).unwrap().unwrap().value(), 2);
    drop((meta, read, database));
    set(3);
    let newer = refusal(&path);
    assert!(newer.contains("format 3") && newer.contains("up to 2"), "{newer}");
}

#[test]
fn two_that_begin_at_once_share_no_file() {
    let folder = TempDir::new().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.redb"));
        let opened: Vec<_> = std::thread::scope(|scope| {
            let begun: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&path))).collect();
            begun.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let (open, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!(open.len(), 1);
        for error in refused {
            assert!(error.as_ref().unwrap_err().is_in_use(), "{error:?}");
        }
    }
}

/// Of a process that was killed while it made the file.
#[test]
fn what_is_half_made_is_in_nobody_s_way() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("list.redb.new"),
        b"redb\x1a\x0a\xa9\x0d\x0ahalf",
    )
    .unwrap();
    let path = filled(&folder);
    assert_eq!(rows(&open(&path).unwrap()).unwrap().len(), 300);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn by_a_link_that_leads_nowhere_a_file_is_made_where_it_leads() {
    let folder = TempDir::new().unwrap();
    let link = folder.path().join("link.redb");
    symlink("there.redb", &link).unwrap();
    put(&open(&link).unwrap(), 0..5).unwrap();
    assert_eq!(
        rows(&open(&folder.path().join("there.redb")).unwrap())
            .unwrap()
            .len(),
        5
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

fn on_faulty(path: &Path, first_wait: Duration) -> (DataFile, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let settings = FileSettings {
        // Little is kept in memory, so that reads need the disk too.
        cache: 64 << 10,
        ..faults.settings(&FORM, first_wait)
    };
    let file = DataFile::open_with(path, &FORM, &bring_up, &settings).unwrap();
    (file, faults)
}

fn said<T: std::fmt::Debug>(done: Done<T>) -> String {
    match done {
        Err(Failure::File(error)) => error.report().to_string(),
        done => panic!("{done:?}"),
    }
}

#[test]
fn a_disk_that_is_full_and_freed_or_gone_and_back_loses_nothing_that_was_answered() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.redb");
    let (file, faults) = on_faulty(&path, Duration::ZERO);
    let mut known = 0;
    let mut put_next = || {
        let done = put(&file, known..known + 100);
        known += if done.is_ok() { 100 } else { 0 };
        done
    };
    for round in 0..4 {
        put_next().unwrap();
        faults.fill(true);
        let full = loop {
            let done = put_next();
            if done.is_err() {
                break said(done);
            }
        };
        assert!(
            full.contains("list.redb failed") && full.contains("no storage space"),
            "{full}"
        );
        assert!(file.is_in_trouble());
        // Who reads is served, and another process does not come between.
        assert!(!rows(&file).unwrap().is_empty());
        assert!(refusal(&path).contains("is in use"));
        faults.take_away(true);
        let gone = said(put_next());
        assert!(gone.contains("the disk is gone"), "{gone}");
        said(rows(&file));
        file.check().unwrap_err();
        faults.take_away(false);
        faults.fill(false);
        // By itself: whoever asks next.
        match round % 2 {
            0 => file.check().unwrap(),
            _ => put_next().unwrap(),
        }
        assert!(!file.is_in_trouble());
    }
    let expected = Vec::from_iter(0..known);
    assert_eq!(rows(&file).unwrap(), expected);
    drop(file);
    assert_eq!(rows(&open(&path).unwrap()).unwrap(), expected);
}

/// While the disk fails, only some of those who write try it.
#[test]
fn a_disk_that_fails_is_not_hammered() {
    let folder = TempDir::new().unwrap();
    let (file, faults) = on_faulty(&folder.path().join("list.redb"), Duration::from_secs(3600));
    faults.take_away(true);
    said(put(&file, 0..1));
    let asked = faults.asked();
    // It is not yet time.
    for _ in 0..100 {
        let refused = said(put(&file, 0..1));
        assert!(refused.contains("the disk is gone"), "{refused}");
        said(rows(&file));
        file.check().unwrap_err();
    }
    assert_eq!(faults.asked(), asked);
}

/// A file and its journal as they lie there.
fn copy(path: &Path, to: &Path) -> (PathBuf, PathBuf) {
    let journal = |path: &Path| path.with_extension("redb-journal");
    fs::copy(path, to).unwrap();
    fs::copy(journal(path), journal(to)).unwrap();
    (to.to_owned(), journal(to))
}

/// A file whose process was killed, and its journal, which has nine of its 310 rows, one in each record.
fn left_open(folder: &TempDir) -> (PathBuf, PathBuf) {
    let path = filled(folder);
    let file = open(&path).unwrap();
    for n in 300..310 {
        put(&file, n..n + 1).unwrap();
    }
    copy(&path, &folder.path().join("left.redb"))
}

#[test]
fn a_journal_is_there_while_the_file_needs_it() {
    let folder = TempDir::new().unwrap();
    let (path, journal) = left_open(&folder);
    let file = open(&path).unwrap();
    assert!(journal.exists() && file.needs_journal());
    settle(&file);
    assert!(!file.needs_journal());
    // Without its journal it is whole from then on, and stays so however much comes to the journal.
    let alone = folder.path().join("alone.redb");
    fs::copy(&path, &alone).unwrap();
    assert_eq!(rows(&open(&alone).unwrap()).unwrap().len(), 310);
    for n in 310..320 {
        put(&file, n..n + 1).unwrap();
    }
    fs::copy(&path, &alone).unwrap();
    let lacking = open(&alone).unwrap();
    assert_eq!(rows(&lacking).unwrap().len(), 310);
    drop(lacking);
    drop(file);
    assert!(!journal.exists());
    assert_eq!(rows(&open(&path).unwrap()).unwrap().len(), 320);
}

#[test]
fn a_file_tells_whether_it_was_closed() {
    let folder = TempDir::new().unwrap();
    let (path, journal) = left_open(&folder);
    let alone = folder.path().join("alone.redb");
    fs::copy(&path, &alone).unwrap();
    let lacking = open(&alone).unwrap();
    assert!(!lacking.was_closed());
    assert_eq!(rows(&lacking).unwrap().len(), 301);
    drop(lacking);
    assert!(open(&alone).unwrap().was_closed());
    assert!(!open(&path).unwrap().was_closed(), "though its journal was there");
    assert!(!journal.exists());
}

/// A version that had one for such files may have been killed.
#[test]
fn a_journal_that_this_version_does_not_read_is_not_passed_over() {
    static PLAIN: Form = Form {
        noun: "the list",
        setting: "`list` in yunqiao.toml",
        loss: "with a new one, there is nothing on it",
        format: 2,
        cache: 1 << 20,
        replay: None,
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.redb");
    let journal = path.with_extension("redb-journal");
    drop(DataFile::open(&path, &PLAIN, bring_up).unwrap());
    fs::write(&journal, "").unwrap();
    drop(DataFile::open(&path, &PLAIN, bring_up).unwrap());
    fs::write(&journal, "pages").unwrap();
    let refused = DataFile::open(&path, &PLAIN, bring_up).unwrap_err();
    assert!(refused.to_string().contains("list.redb-journal"), "{refused}");
    assert_eq!(fs::read(&journal).unwrap(), b"pages");
}

/// Nobody needs to close it: from whatever moment a copy is, it has what was answered until then.
#[test]
fn a_file_with_its_journal_has_what_was_answered_whatever_lies_in_the_journal() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.redb");
    let file = open(&path).unwrap();
    let mut known = 0;
    for round in 0..12_u64 {
        // Fewer than before, so that records of the generation before lie behind.
        for _ in round..12 {
            put(&file, known..known + 1 + known % 40).unwrap();
            known += 1 + known % 40;
        }
        let (left, _) = copy(&path, &folder.path().join(format!("{round}.redb")));
        let opened = open(&left).unwrap();
        assert_eq!(rows(&opened).unwrap(), Vec::from_iter(0..known));
        // And it goes on from there.
        put(&opened, known..known + 3).unwrap();
        drop(opened);
        assert_eq!(rows(&open(&left).unwrap()).unwrap().len() as u64, known + 3);
        settle(&file);
    }
}

/// A repository may bring along what lies in the journal's place.
#[test]
fn what_is_no_journal_of_ours_is_not_written_to() {
    let folder = TempDir::new().unwrap();
    let path = filled(&folder);
    let journal = path.with_extension("redb-journal");
    let other = folder.path().join("other");
    fs::write(&other, "mine").unwrap();
    symlink(&other, &journal).unwrap();
    let error = refusal(&path);
    assert!(
        error.contains("list.redb-journal is a link or a folder") && error.contains("remove it"),
        "{error}"
    );
    fs::remove_file(&journal).unwrap();
    fs::rename(&other, &journal).unwrap();
    assert!(refusal(&path).contains("its journal is damaged"));
    assert_eq!(fs::read(&journal).unwrap(), b"mine");
    fs::remove_file(&journal).unwrap();
    // Put there later, when the file is open.
    let file = open(&path).unwrap();
    symlink(&other, &journal).unwrap();
    for n in 300..303 {
        put(&file, n..n + 1).unwrap();
    }
    assert!(!other.exists() && !file.needs_journal());
}

#[test]
fn a_commit_that_is_too_large_for_the_journal_is_done_without_and_ends_what_was_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.redb");
    let file = open(&path).unwrap();
    for n in 0..5 {
        put(&file, n..n + 1).unwrap();
    }
    assert!(file.needs_journal());
    put(&file, 5..60_000).unwrap();
    assert!(!file.needs_journal());
    put(&file, 60_000..60_001).unwrap();
    assert!(file.needs_journal());
    let (left, _) = copy(&path, &folder.path().join("left.redb"));
    assert_eq!(rows(&open(&left).unwrap()).unwrap().len(), 60_001);
}

#[test]
fn a_file_whose_journal_cannot_be_made_is_written_without() {
    let folder = TempDir::new().unwrap();
    let path = filled(&folder);
    let journal = path.with_extension("redb-journal");
    let file = open(&path).unwrap();
    assert!(!journal.exists(), "nothing was written");
    fs::create_dir(&journal).unwrap();
    for n in 300..310 {
        put(&file, n..n + 1).unwrap();
        assert!(!file.needs_journal());
    }
    let alone = folder.path().join("alone.redb");
    fs::copy(&path, &alone).unwrap();
    assert_eq!(rows(&open(&alone).unwrap()).unwrap().len(), 310);
    // It is made as soon as it can be.
    fs::remove_dir(&journal).unwrap();
    put(&file, 310..311).unwrap();
    assert!(file.needs_journal() && journal.exists());
    drop(file);
    assert_eq!(rows(&open(&path).unwrap()).unwrap().len(), 311);
}

#[test]
fn a_journal_that_is_damaged_or_of_another_file_is_refused_and_both_are_left_alone() {
    let folder = TempDir::new().unwrap();
    let (path, journal) = left_open(&folder);
    let (file, good) = (fs::read(&path).unwrap(), fs::read(&journal).unwrap());
    let untouched = |bytes: &[u8]| fs::read(&path).unwrap() == file && fs::read(&journal).unwrap() == bytes;
    // A byte of its first records, behind which there are others.
    for at in [3, 30, 60, 4096, 4200] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&journal, &bad).unwrap();
        let error = refusal(&path);
        assert!(
            error.contains("damaged") && error.contains("its journal"),
            "{at}: {error}"
        );
        assert!(untouched(&bad));
    }
    // Pages of the file.
    let mut bad = file.clone();
    let page = bad
        .chunks(4096)
        .rposition(|page| page.iter().any(|byte| *byte != 0))
        .unwrap();
    for page in 1..=page {
        bad[page * 4096 + 50] ^= 1;
    }
    fs::write(&path, &bad).unwrap();
    fs::write(&journal, &good).unwrap();
    assert!(refusal(&path).contains("damaged"));
    assert!(fs::read(&path).unwrap() == bad && fs::read(&journal).unwrap() == good);
    fs::write(&path, &file).unwrap();
    // What a crash leaves of the last record: it was not answered.
    for cut in [8 * 4096 + 100, 8 * 4096] {
        fs::write(&path, &file).unwrap();
        fs::write(&journal, &good[..cut]).unwrap();
        assert_eq!(rows(&open(&path).unwrap()).unwrap().len(), 309);
    }
    // The journal of a file that has gone on since without its last record.
    fs::write(&journal, &good).unwrap();
    let gone_on = fs::read(&path).unwrap();
    let error = refusal(&path);
    assert!(
        error.contains("left.redb-journal") && error.contains("move the journal away"),
        "{error}"
    );
    assert!(fs::read(&path).unwrap() == gone_on && fs::read(&journal).unwrap() == good);
    // The file was put aside: a new one in its place would have the journal's last writes lost.
    fs::write(&path, &file).unwrap();
    let aside = folder.path().join("aside.redb");
    fs::rename(&path, &aside).unwrap();
    assert!(refusal(&path).contains("left.redb-journal"));
    assert!(!path.exists() && journal.exists());
    // Another file in its place, and one that never had a journal.
    let other = TempDir::new().unwrap();
    for other in [filled(&other), left_open(&other).0] {
        fs::copy(other, &path).unwrap();
        assert!(refusal(&path).contains("left.redb-journal"));
        assert!(fs::read(&journal).unwrap() == good);
    }
    // One that was begun from a copy without it.
    fs::copy(&aside, &path).unwrap();
    fs::remove_file(&journal).unwrap();
    let without = open(&path).unwrap();
    assert_eq!(rows(&without).unwrap().len(), 301);
    put(&without, 400..401).unwrap();
    drop(without);
    fs::write(&journal, &good).unwrap();
    assert!(refusal(&path).contains("left.redb-journal"));
    // All that was taken for foreign is taken where it belongs, once and again.
    for _ in 0..2 {
        fs::copy(&aside, &path).unwrap();
        fs::write(&journal, &good).unwrap();
        let taken = open(&path).unwrap();
        assert_eq!(rows(&taken).unwrap().len(), 310);
    }
    // One whose deletion was lost says nothing that the file does not know.
    fs::write(&journal, &good).unwrap();
    assert_eq!(rows(&open(&path).unwrap()).unwrap().len(), 310);
}
