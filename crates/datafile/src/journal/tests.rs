#![allow(clippy::unwrap_used)]
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use redb::{ReadableTable as _, StorageBackend};

use super::{record::BLOCK, *};
use crate::{RedoError, RedoStep};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("table");

/// Little room, so that everything happens soon.
const LITTLE: u64 = 128 << 10;

/// Numbers that are the same in each run.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A machine with its two files, which fails or loses its power after so many steps.
#[derive(Debug)]
struct Machine {
    files: [Mutex<Content>; 2],
    /// Steps that are left.
    left: Mutex<u64>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    /// As a reader sees it.
    now: Vec<u8>,
    /// As the disk has it for sure.
    durable: Vec<u8>,
    /// What came since, of which a crash leaves any part.
    since: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Clone)]
struct Disk {
    machine: Arc<Machine>,
    file: usize,
}

const SECTOR: usize = 512;

impl Machine {
    fn new(files: [Vec<u8>; 2], left: u64) -> Arc<Self> {
        let content = |bytes: Vec<u8>| {
            Mutex::new(Content {
                now: bytes.clone(),
                durable: bytes,
                since: Vec::new(),
            })
        };
        Arc::new(Self {
            files: files.map(content),
            left: Mutex::new(left),
        })
    }

    fn disks(self: &Arc<Self>) -> [Backend; 2] {
        [0, 1].map(|file| -> Backend {
            Arc::new(Disk {
                machine: Arc::clone(self),
                file,
            })
        })
    }

    fn step(&self) -> io::Result<()> {
        let mut left = self.left.lock().unwrap();
        *left = left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("the power is gone"))?;
        Ok(())
    }

    /// What the disks have after the power was gone: of what was not waited for, any sectors of any writes.
    fn after_crash(&self, dice: &mut Dice) -> [Vec<u8>; 2] {
        [0, 1].map(|file| {
            let mut content = self.files[file].lock().unwrap().clone();
            let keeps_most = dice.below(3);
            for step in content.since {
                match step {
                    Step::Length(length) if dice.below(2) == 0 => content.durable.resize(length, 0),
                    Step::Length(_) => {}
                    Step::Write(at, bytes) => {
                        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                            let at = at + number * SECTOR;
                            // What is behind the end that the file has on the disk is not part of it.
                            let place = content.durable.get_mut(at..at + sector.len());
                            if let Some(place) = place.filter(|_| dice.below(4) < 1 + keeps_most) {
                                place.copy_from_slice(sector);
                            }
                        }
                    }
                }
            }
            content.durable
        })
    }
}

impl Disk {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.machine.files[self.file].lock().unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content();
        let there = content.now.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.machine.step()?;
        let mut content = self.content();
        content.now.resize(len as usize, 0);
        content.since.push(Step::Length(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.machine.step()?;
        let mut content = self.content();
        content.durable = content.now.clone();
        content.since.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.content();
        // Some of it is done when the power goes.
        content.since.push(Step::Write(offset as usize, data.to_vec()));
        self.machine.step()?;
        let place = offset as usize..offset as usize + data.len();
        // The length is set before.
        let place = content.now.get_mut(place).unwrap();
        place.copy_from_slice(data);
        Ok(())
    }
}

fn replay(write: &WriteTransaction, steps: RedoSteps<'_>) -> Result<(), WorkError<RedoError>> {
    let mut table = write.open_table(TABLE)?;
    for step in steps {
        match step? {
            RedoStep::Put { key, value, .. } => drop(table.insert(number(key), value)?),
            RedoStep::Remove { key, .. } => drop(table.remove(number(key))?),
            RedoStep::Clear { keys, .. } => {
                table.retain_in(number(keys.start)..number(keys.end), |_, _| false)?;
            }
        }
    }
    Ok(())
}

fn number(key: &[u8]) -> u64 {
    u64::from_be_bytes(*key.first_chunk().unwrap())
}

/// The journal of a machine's second file.
fn journal(log: &Backend) -> Journal {
    let create = Box::new(|| Err(io::Error::other("it is there already")));
    Journal::on(Some(Backend::clone(log)), PathBuf::new(), create, replay, LITTLE)
}

/// Opens the file with its journal, as it is opened in earnest.
fn opened(machine: &Arc<Machine>) -> Result<(Journal, Database), String> {
    /// Lends it, as the file that is kept open does.
    #[derive(Debug)]
    struct Lent(Backend);

    impl StorageBackend for Lent {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write(offset, data)
        }
    }

    let [file, log] = machine.disks();
    // Little is kept in memory, so that pages go to the file before their commit does, and are read again.
    let mut builder = redb::Builder::new();
    builder.set_cache_size(64 << 10);
    let database = builder
        .create_with_backend(Lent(file))
        .map_err(|error| error.to_string())?;
    let stated = Stated::read(&database.begin_read().unwrap()).unwrap();
    let journal = journal(&log);
    journal.judge(stated).map_err(|error| error.to_string())?;
    journal
        .redo(&database, OpenedFor::Writing)
        .map_err(|error| error.to_string())?;
    Ok((journal, database))
}

/// What a commit does: keys, and the length of what each gets; `None` takes it away.
type Commit = Vec<(u64, Option<usize>)>;

fn dice_commit(dice: &mut Dice) -> Commit {
    let keys = match dice.below(8) {
        0 => 60,
        _ => 1 + dice.below(3),
    };
    (0..keys)
        .map(|_| {
            let key = dice.below(200);
            let length = (dice.below(4) > 0).then(|| match dice.below(10) {
                0 => 20_000,
                _ => dice.below(900) as usize,
            });
            (key, length)
        })
        .collect()
}

fn apply(model: &mut BTreeMap<u64, Vec<u8>>, commit: &Commit, fill: u8) {
    for (key, length) in commit {
        match length {
            Some(length) => drop(model.insert(*key, vec![fill; *length])),
            None => drop(model.remove(key)),
        }
    }
}

fn write(journal: &Journal, database: &Database, commit: &Commit, fill: u8) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    let mut redo = Redo::default();
    {
        let mut table = write.open_table(TABLE)?;
        for (key, length) in commit {
            match length {
                Some(length) => {
                    let value = vec![fill; *length];
                    redo.put(0, &key.to_be_bytes(), &value);
                    table.insert(key, value.as_slice())?;
                }
                None => {
                    redo.remove(0, &key.to_be_bytes());
                    table.remove(key)?;
                }
            }
        }
    }
    journal.commit(write, Some(&redo))
}

fn content(database: &Database) -> BTreeMap<u64, Vec<u8>> {
    let read = database.begin_read().unwrap();
    match read.open_table(TABLE) {
        Ok(table) => table
            .iter()
            .unwrap()
            .map(|row| {
                let (key, value) = row.unwrap();
                (key.value(), value.value().to_vec())
            })
            .collect(),
        Err(_) => BTreeMap::new(),
    }
}

/// Works until the power is gone, and goes on with what the disks have then, several times over.
fn survive(seed: u64, lives: u32) {
    let mut dice = Dice(seed);
    let mut files = [Vec::new(), Vec::new()];
    // What was answered, and what may be there besides.
    let mut model = BTreeMap::new();
    let mut unsure: Option<BTreeMap<u64, Vec<u8>>> = None;
    // It is made while nothing fails.
    {
        let machine = Machine::new(files.clone(), u64::MAX);
        drop(opened(&machine).unwrap());
        files = [0, 1].map(|file| machine.files[file].lock().unwrap().durable.clone());
    }
    for life in 0..lives {
        let machine = Machine::new(files.clone(), u64::MAX);
        let (journal, database) =
            opened(&machine).unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        let found = content(&database);
        assert!(
            found == model || unsure.as_ref() == Some(&found),
            "seed {seed}, life {life}: something answered is lost"
        );
        (model, unsure) = (found, None);
        *machine.left.lock().unwrap() = dice.below(400);
        let mut fill = 0;
        loop {
            let commit = dice_commit(&mut dice);
            fill = (fill + 1) % 251;
            let mut after = model.clone();
            apply(&mut after, &commit, fill);
            if write(&journal, &database, &commit, fill).is_err() {
                unsure = Some(after);
                break;
            }
            model = after;
            assert_eq!(
                content(&database),
                model,
                "seed {seed}, life {life}: what it reads"
            );
            if dice.below(20) == 0 && journal.settle(&database).is_err() {
                break;
            }
        }
        files = machine.after_crash(&mut dice);
        // It is not closed: the power is gone.
        drop(database);
    }
    let machine = Machine::new(files, u64::MAX);
    let (_, mut database) = opened(&machine).unwrap();
    assert!(database.check_integrity().is_ok(), "seed {seed}");
}

#[test]
fn what_was_answered_survives_the_loss_of_power_at_any_step() {
    for seed in 0..60 {
        survive(seed, 12);
    }
}

/// What ends between its record and redb's commit: the record is on the disk, and nobody finds it.
#[test]
fn a_record_whose_commit_was_not_made_is_none_of_the_file_s() {
    let machine = Machine::new([Vec::new(), Vec::new()], u64::MAX);
    let (journal, database) = opened(&machine).unwrap();
    for fill in 0..3 {
        write(&journal, &database, &vec![(u64::from(fill), Some(9))], fill).unwrap();
    }
    let known = content(&database);
    let refused = database.begin_write().unwrap();
    // redb does not make such a one without waiting for the disk.
    refused.persistent_savepoint().unwrap();
    let mut redo = Redo::default();
    redo.put(0, &7_u64.to_be_bytes(), &[7]);
    journal.commit(refused, Some(&redo)).unwrap_err();
    journal.commit(database.begin_write().unwrap(), None).unwrap();
    assert_eq!(content(&database), known);
    let left = [0, 1].map(|file| machine.files[file].lock().unwrap().now.clone());
    let (_, again) = opened(&Machine::new(left, u64::MAX)).unwrap();
    assert_eq!(content(&again), known);
}

/// What stands in values is users': they may write what looks like a record, but not one of a generation that was drawn by lot.
#[test]
fn a_record_of_another_generation_is_none_and_a_gap_in_this_one_is_damage() {
    let (now, before) = (5, 4);
    let stated = Stated {
        generation: Some(now),
        before: Some((before, 3)),
    };
    let record = |generation, index| record::write((generation, index), &[7; 100]);
    let judged = |records: &[Vec<u8>]| {
        let [log, _] = Machine::new([records.concat(), Vec::new()], 0).disks();
        let journal = journal(&log);
        let judged = journal.judge(stated);
        judged.map(|()| journal.state().found.records)
    };
    let mine = |index| record(now, index);
    let older = |index| record(before, index);
    let forged = |index| record(0x7fff, index);
    let torn = |mut record: Vec<u8>| {
        record[60] ^= 1;
        record
    };
    assert_eq!(judged(&[]).unwrap(), 0);
    assert_eq!(judged(&[mine(0), mine(1)]).unwrap(), 2);
    // What lies behind: a record that was cut off, and what earlier generations have left.
    assert_eq!(judged(&[mine(0), torn(mine(1)), older(2), forged(9)]).unwrap(), 1);
    assert_eq!(judged(&[torn(mine(0)), older(1), older(2)]).unwrap(), 0);
    assert_eq!(judged(&[mine(0), mine(1), forged(2), forged(0)]).unwrap(), 2);
    // All of it was in the file when the next generation began.
    assert_eq!(judged(&[older(0), older(1), older(2)]).unwrap(), 0);
    assert_eq!(judged(&[older(0), torn(mine(1)), older(2)]).unwrap(), 0);
    for gap in [
        vec![mine(0), mine(2)],
        vec![torn(mine(0)), mine(1)],
        vec![mine(1), older(1)],
        vec![mine(0), torn(mine(1)), older(2), mine(3)],
        vec![vec![1; BLOCK as usize], mine(0)],
    ] {
        assert!(matches!(judged(&gap), Err(JournalError::Damaged)));
    }
    // The file has not got to where these have.
    for foreign in [
        vec![forged(0)],
        vec![forged(0), mine(0)],
        vec![older(0), older(1), older(2), older(3)],
    ] {
        let judged = judged(&foreign);
        assert!(
            matches!(judged, Err(JournalError::Foreign | JournalError::Damaged)),
            "{judged:?}"
        );
    }
}

#[test]
#[ignore = "a storm: cargo test -- --ignored"]
fn what_was_answered_survives_twenty_thousand_losses_of_power() {
    for seed in 1000..2000 {
        survive(seed, 20);
    }
}
