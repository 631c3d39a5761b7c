//! Disks that fail while the process lives, and then a power cut.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::MetadataExt as _,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{StorageBackend, backends::FileBackend};

use super::*;

/// A machine whose page cache loses, with each sync that fails, what was to be synced: whoever reads finds it in the cache all the same, and
/// a later sync that succeeds does not write it.
#[derive(Debug, Default)]
struct Machine {
    /// By inode.
    disk: Mutex<HashMap<u64, OnDisk>>,
}

/// What the disk has of a file.
#[derive(Debug, Default)]
struct OnDisk {
    bytes: Vec<u8>,
    /// Where the cache has something else, and how much of it.
    dirty: Vec<(u64, usize)>,
    /// How short it was made since the last sync.
    cut: Option<u64>,
    /// How many syncs succeed, and how many fail then.
    plan: (u32, u32),
}

#[derive(Debug)]
struct Cached {
    file: FileBackend,
    inode: u64,
    machine: Arc<Machine>,
}

impl Machine {
    fn open(self: &Arc<Self>, path: &Path) -> DataFile {
        let machine = Arc::clone(self);
        let settings = FileSettings {
            first_wait: Duration::ZERO,
            backend: Arc::new(move |file| machine.cached(file)),
            ..FileSettings::of(&FORM)
        };
        DataFile::open_with(path, &FORM, &bring_up, &settings).unwrap()
    }

    fn cached(self: &Arc<Self>, file: File) -> Result<Backend, redb::DatabaseError> {
        let inode = file.metadata().unwrap().ino();
        let file = FileBackend::new(file)?;
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read(0, &mut bytes).unwrap();
        self.disk.lock().unwrap().entry(inode).or_insert_with(|| OnDisk {
            bytes,
            ..OnDisk::default()
        });
        Ok(Arc::new(Cached {
            file,
            inode,
            machine: Arc::clone(self),
        }))
    }

    /// After so many syncs of the file, so many fail.
    fn fail(&self, path: &Path, after: u32, times: u32) {
        self.of(path, |disk| disk.plan = (after, times));
    }

    fn of<T>(&self, path: &Path, work: impl FnOnce(&mut OnDisk) -> T) -> T {
        let inode = metadata(path).unwrap().ino();
        work(self.disk.lock().unwrap().get_mut(&inode).unwrap())
    }

    /// The cache gives way: from now on the file is read from the disk.
    fn forget(&self, path: &Path) {
        let bytes = self.of(path, |disk| disk.bytes.clone());
        fs::write(path, bytes).unwrap();
    }

    /// What a power cut leaves of the file and its journal, in another place.
    fn after_power_cut(&self, path: &Path) -> PathBuf {
        let cut = path.with_file_name("cut.redb");
        for (from, to) in [
            (path.to_owned(), cut.clone()),
            (journal_of(path), journal_of(&cut)),
        ] {
            match from.exists() {
                true => fs::write(to, self.of(&from, |disk| disk.bytes.clone())).unwrap(),
                false => drop(fs::remove_file(to)),
            }
        }
        cut
    }
}

impl Cached {
    fn disk<T>(&self, work: impl FnOnce(&mut OnDisk) -> T) -> T {
        work(self.machine.disk.lock().unwrap().get_mut(&self.inode).unwrap())
    }
}

impl StorageBackend for Cached {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk(|disk| disk.cut = Some(disk.cut.unwrap_or(len).min(len)));
        self.file.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Whole pages are in the cache.
        let begin = offset / 4096 * 4096;
        let end = (offset + data.len() as u64).next_multiple_of(4096);
        self.disk(|disk| disk.dirty.push((begin, (end - begin) as usize)));
        self.file.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk(|disk| {
            let (dirty, cut) = (std::mem::take(&mut disk.dirty), disk.cut.take());
            match &mut disk.plan {
                (0, 0) => {}
                (0, failing) => {
                    *failing -= 1;
                    return Err(io::Error::other("it could not be written"));
                }
                (good, _) => *good -= 1,
            }
            let length = self.file.len()? as usize;
            disk.bytes.truncate(cut.map_or(usize::MAX, |cut| cut as usize));
            disk.bytes.resize(length, 0);
            for (at, pages) in dirty {
                let at = at as usize;
                let end = (at + pages).min(length);
                if at < end {
                    self.file.read(at as u64, &mut disk.bytes[at..end])?;
                }
            }
            Ok(())
        })
    }
}

fn journal_of(path: &Path) -> PathBuf {
    path.with_extension("redb-journal")
}

fn try_settle(file: &DataFile) -> Done<()> {
    file.write(|_| Ok(Wrote::Changed(())))
}

/// A file with 310 rows, nine of which only its journal has.
fn with_journal(machine: &Arc<Machine>, path: &Path) -> DataFile {
    let file = machine.open(path);
    for n in 300..310 {
        put(&file, n..n + 1).unwrap();
    }
    assert!(file.needs_journal());
    file
}

/// The file gets what the journal has; that it has it is what the disk does not take. Nobody may believe the cache, and delete the journal.
#[test]
fn a_process_that_ends_while_the_disk_fails_leaves_the_journal() {
    for times in 1..4 {
        let folder = TempDir::new().unwrap();
        let path = filled(&folder);
        let machine = Arc::new(Machine::default());
        let file = with_journal(&machine, &path);
        machine.fail(&path, 1, times);
        try_settle(&file).unwrap_err();
        assert_eq!(rows(&file).unwrap().len(), 310);
        drop(file);
        let cut = machine.after_power_cut(&path);
        assert_eq!(rows(&open(&cut).unwrap()).unwrap().len(), 310, "{times}");
    }
}

#[test]
fn a_disk_that_comes_back_without_what_it_did_not_take_has_the_journal_done_again() {
    let folder = TempDir::new().unwrap();
    let path = filled(&folder);
    let machine = Arc::new(Machine::default());
    let file = with_journal(&machine, &path);
    machine.fail(&path, 1, 2);
    try_settle(&file).unwrap_err();
    machine.forget(&path);
    put(&file, 310..311).unwrap();
    assert_eq!(rows(&file).unwrap(), Vec::from_iter(0..311));
    let cut = machine.after_power_cut(&path);
    assert_eq!(rows(&open(&cut).unwrap()).unwrap().len(), 311);
    drop(file);
    assert_eq!(rows(&open(&path).unwrap()).unwrap().len(), 311);
}

/// Its deletion is a change of the folder, and not waited for.
#[test]
fn a_deletion_of_the_journal_that_is_lost_is_no_harm_to_the_next_run() {
    let folder = TempDir::new().unwrap();
    let path = filled(&folder);
    let file = open(&path).unwrap();
    for n in 300..305 {
        put(&file, n..n + 1).unwrap();
    }
    let again = folder.path().join("again");
    fs::hard_link(journal_of(&path), &again).unwrap();
    drop(file);
    assert!(!journal_of(&path).exists());
    let file = open(&path).unwrap();
    put(&file, 305..306).unwrap();
    let left = folder.path().join("left.redb");
    fs::copy(&path, &left).unwrap();
    fs::copy(&again, journal_of(&left)).unwrap();
    assert_eq!(rows(&open(&left).unwrap()).unwrap().len(), 306);
}

#[test]
fn a_new_file_outlives_a_first_commit_that_the_disk_does_not_take() {
    for after in 0..3 {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list.redb");
        let machine = Arc::new(Machine::default());
        let file = machine.open(&path);
        machine.fail(&path, after, 1);
        let first = put(&file, 0..50);
        for n in 100..110 {
            put(&file, n..n + 1).unwrap();
        }
        let cut = open(&machine.after_power_cut(&path)).unwrap();
        let found = rows(&cut).unwrap();
        assert!((100..110).all(|n| found.contains(&n)), "{after}: {found:?}");
        assert!(first.is_err() || (0..50).all(|n| found.contains(&n)), "{after}");
    }
}

/// Syncs of either file fail, at any point and some times in a row, and the power is cut after any of the writes that follow.
#[test]
fn what_was_answered_survives_any_sync_that_fails_and_a_power_cut_then() {
    for (of_journal, after, times) in
        (0..2).flat_map(|of| (0..9).flat_map(move |after| (1..4).map(move |times| (of == 1, after, times))))
    {
        let folder = TempDir::new().unwrap();
        let path = filled(&folder);
        let machine = Arc::new(Machine::default());
        let file = machine.open(&path);
        put(&file, 300..302).unwrap();
        put(&file, 302..303).unwrap();
        let failing = match of_journal {
            true => journal_of(&path),
            false => path.clone(),
        };
        machine.fail(&failing, after, times);
        let mut known = Vec::from_iter(0..303);
        for n in 303..320 {
            let what = format!("journal {of_journal}, after {after}, {times} times, {n}");
            if n % 5 == 0 {
                let _ = try_settle(&file);
            }
            if put(&file, n..n + 1).is_ok() {
                known.push(n);
            }
            let found = rows(&file).unwrap();
            assert!(known.iter().all(|n| found.contains(n)), "{what}: {found:?}");
            let cut = open(&machine.after_power_cut(&path));
            let cut = cut.unwrap_or_else(|error| panic!("{what}: {}", error.report()));
            let found = rows(&cut).unwrap();
            assert!(known.iter().all(|n| found.contains(n)), "{what}: {found:?}");
        }
        assert!(known.len() > 310);
    }
}

/// Commits that are larger than what the journal has on the disk already, and for which the file has room.
#[test]
fn a_process_that_is_killed_on_a_full_disk_leaves_a_journal_of_the_file_s() {
    for is_at_rest in [false, true] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list.redb");
        let (file, faults) = on_faulty(&path, Duration::ZERO);
        for _ in 0..4 {
            put(&file, 0..40_000).unwrap();
        }
        put(&file, 0..1).unwrap();
        put(&file, 1..2).unwrap();
        assert!(file.needs_journal());
        if is_at_rest {
            settle(&file);
        }
        faults.fill(true);
        let mut large = 0;
        for round in 0..3 {
            large += u32::from(put(&file, 0..12_000).is_ok());
            let (left, journal) = copy(&path, &folder.path().join("left.redb"));
            let opened = open(&left).unwrap_or_else(|error| panic!("{round}: {}", error.report()));
            assert_eq!(rows(&opened).unwrap().len(), 40_000);
            drop(opened);
            assert!(!journal.exists());
        }
        assert!(large > 0, "the file has room");
        // What the journal has on the disk already is used all the same.
        put(&file, 50_000..50_001).unwrap();
        assert!(file.needs_journal());
    }
}

/// What was told to have failed is not found by those who read, and not after a crash either.
#[test]
fn a_commit_that_failed_is_not_found_after_a_crash_once_the_disk_works() {
    let folder = TempDir::new().unwrap();
    let path = filled(&folder);
    let machine = Arc::new(Machine::default());
    let file = with_journal(&machine, &path);
    // Its record is in the cache of the journal, and neither file can be synced.
    machine.fail(&journal_of(&path), 0, 1);
    machine.fail(&path, 0, 1);
    put(&file, 310..311).unwrap_err();
    assert_eq!(rows(&file).unwrap().len(), 310);
    // The process is killed: the cache stays.
    let (left, _) = copy(&path, &folder.path().join("left.redb"));
    assert_eq!(rows(&open(&left).unwrap()).unwrap().len(), 310);
}

#[test]
fn a_journal_that_could_not_be_made_is_made_the_next_time() {
    let folder = TempDir::new().unwrap();
    let path = filled(&folder);
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let settings = FileSettings {
        backend: Arc::new(move |file| match failing.swap(false, Ordering::SeqCst) {
            true => Err(redb::StorageError::Io(io::Error::other("not now")).into()),
            false => file::on_disk(file),
        }),
        ..FileSettings::of(&FORM)
    };
    let file = DataFile::open_with(&path, &FORM, &bring_up, &settings).unwrap();
    put(&file, 300..301).unwrap();
    fails.store(true, Ordering::SeqCst);
    put(&file, 301..302).unwrap();
    assert!(!file.needs_journal(), "it could not be made");
    put(&file, 302..303).unwrap();
    put(&file, 303..304).unwrap();
    assert!(file.needs_journal());
}
