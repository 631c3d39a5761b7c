//! Names and passwords: the file of them, and how often somebody may guess.
//!
//! A hash costs a processor and 19 MiB, and whoever asks for one may be anybody. So two are made at a time, a few tries wait for that, of
//! them a few of one network, and the rest is refused. A guess is counted before it is looked at, and given back when it was right. Who
//! has guessed too often from a network is refused there; who is at a name that too many guess at waits in a line, in which each network
//! has one place. First in it is whoever guessed least at that name, by themselves and with the networks around them; of these, who came
//! first, and who waited in vain keeps that. So its user is slowed by those who have not been wrong yet, and not by the rest.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use ::cloudbase::{PasswordFile, WebUser};
use lru::LruCache;
use seal::Signer;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    guesses::{Guesses, NoneLeft},
    seats::network,
};

/// Pairs of name and network that are remembered.
const FRIENDS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Pairs of name and network whose wrong guesses are remembered, and those that waited in vain.
const STRANGERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Passwords that are hashed side by side.
const AT_ONCE: usize = 2;
/// Tries that are hashed or next to be.
const HASHED: usize = 64;
/// Tries of those who are no friends, in lines or hashed.
const IN_LINES: usize = 1024;
/// Of each, those of one network.
const OF_NETWORK: usize = 4;
/// Networks in the line of a name.
const LINE: usize = 128;
/// How long somebody waits in the line of a name.
const IN_LINE: Duration = Duration::from_secs(20);
/// How often the first in a line looks whether it may guess.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the place is kept of who waited in vain: for who tries again, and not for who comes one day.
const KEPT: Duration = Duration::from_secs(60);
/// A name that is longer is nobody's.
const LONGEST_NAME: usize = 256;

/// A name, and a network that somebody tries it from.
type Pair = (String, IpAddr);

/// The users who have passwords.
pub(super) struct Passwords {
    stand_ins: Signer,
    users: Arc<Users>,
    by_network: Guesses<IpAddr>,
    by_name: Guesses<String>,
    /// Of those who logged in from there before, whom neither others' guesses at the name nor others' from the network concern.
    by_friend: Guesses<Pair>,
    friends: Mutex<LruCache<Pair, ()>>,
    hashing: Arc<Semaphore>,
    hashed: Places,
    in_lines: Places,
    /// Lines before names that too many guess at.
    lines: Mutex<HashMap<String, BTreeSet<Turn>>>,
    strangers: Mutex<Strangers>,
}

/// What is remembered of those who are no friends. Of a name its hash: anybody may write what they like.
struct Strangers {
    names: RandomState,
    /// Wrong guesses at a name from a network.
    wrong: LruCache<(u64, IpAddr), u32>,
    /// The same of all networks around it.
    wrong_around: LruCache<(u64, IpAddr), u32>,
    /// Who waited in vain: since when, and when that ended.
    in_vain: LruCache<(u64, IpAddr), (Instant, Instant)>,
}

/// Whose turn it is at a name: the least is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    wrong_around: u32,
    wrong: u32,
    since: Instant,
    from: IpAddr,
}

/// The file, as it was read last.
struct Users {
    file: Option<PathBuf>,
    read: Mutex<Option<Read>>,
}

struct Read {
    mark: (Option<SystemTime>, u64),
    users: Arc<PasswordFile>,
}

/// Why nobody is let in.
pub(super) enum NotLetIn {
    /// There are no passwords here.
    Disabled,
    /// Wrong.
    Wrong,
    /// Too many wrong guesses before; the first to meet that is worth a line in the log.
    TooMany { is_first: bool },
    /// The file cannot be read; why, for the log.
    Broken(String),
}

impl From<NoneLeft> for NotLetIn {
    fn from(none: NoneLeft) -> Self {
        Self::TooMany {
            is_first: none.is_first,
        }
    }
}

/// A user who was let in, and the mark of the password that did it.
pub(super) struct LetIn {
    pub(super) user: WebUser,
    pub(super) mark: String,
}

impl Passwords {
    /// `stand_ins` decides how long names take that nobody has.
    pub(super) fn new(file: Option<PathBuf>, stand_ins: Signer) -> Self {
        Self {
            stand_ins,
            users: Arc::new(Users {
                file,
                read: Mutex::default(),
            }),
            by_network: Guesses::new(),
            by_name: Guesses::new(),
            by_friend: Guesses::new(),
            friends: Mutex::new(LruCache::new(FRIENDS)),
            hashing: Arc::new(Semaphore::new(AT_ONCE)),
            hashed: Places::of(HASHED),
            in_lines: Places::of(IN_LINES),
            lines: Mutex::default(),
            strangers: Mutex::new(Strangers {
                names: RandomState::new(),
                wrong: LruCache::new(STRANGERS),
                wrong_around: LruCache::new(STRANGERS),
                in_vain: LruCache::new(STRANGERS),
            }),
        }
    }

    /// Whether anybody may log in by a password.
    pub(super) fn are_there(&self) -> bool {
        self.users.file.is_some()
    }

    /// Who logs in with this name and password, from this address.
    pub(super) async fn let_in(&self, name: &str, password: &str, from: IpAddr) -> Result<LetIn, NotLetIn> {
        if self.users.file.is_none() {
            return Err(NotLetIn::Disabled);
        }
        let from = network(from);
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let pair = (name.clone(), from);
        let is_friend = lock(&self.friends).get(&pair).is_some();
        // Friends stand in no line, and the lines of others take no place from them.
        let _place = if is_friend {
            self.by_friend.take(&pair, now())?;
            None
        } else {
            let place = self.in_lines.enter(from)?;
            self.by_network.take(&from, now())?;
            self.stand_in_line(&pair).await?;
            Some(place)
        };
        let _hashed = self.hashed.enter(from)?;
        let Ok(turn) = Arc::clone(&self.hashing).acquire_owned().await else {
            return Err(NotLetIn::TooMany { is_first: false });
        };
        let (users, password) = (Arc::clone(&self.users), password.to_owned());
        let stand_in = self.stand_ins.sign(name.as_bytes());
        // Tens of milliseconds, on purpose. Whoever asked may be gone meanwhile; the turn is over when the hash is there.
        let hashed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let users = users.now()?;
            let user = users.verify(&name, &password, &stand_in).ok_or(NotLetIn::Wrong)?;
            Ok(LetIn {
                user: WebUser::named(&name, user.uid.clone()),
                mark: user.mark(),
            })
        });
        let let_in = hashed.await.unwrap_or(Err(NotLetIn::Wrong));
        if !is_friend && matches!(let_in, Err(NotLetIn::Wrong)) {
            lock(&self.strangers).note_wrong(&pair);
        }
        let let_in = let_in?;
        if is_friend {
            self.by_friend.give_back(&pair);
        } else {
            self.by_network.give_back(&from);
            self.by_name.give_back(&pair.0);
            lock(&self.friends).put(pair, ());
        }
        Ok(let_in)
    }

    /// Takes a guess at the name, and waits until it is this network's turn to.
    async fn stand_in_line(&self, pair: &Pair) -> Result<(), NotLetIn> {
        let (name, from) = pair;
        let came = Instant::now();
        let turn = lock(&self.strangers).turn(pair, came);
        let place = {
            let mut lines = lock(&self.lines);
            let line = lines.entry(name.clone()).or_default();
            if line.iter().any(|other| other.from == *from) {
                return Err(NotLetIn::TooMany { is_first: false });
            }
            line.insert(turn);
            if line.len() > LINE {
                line.pop_last();
            }
            InLine {
                lines: &self.lines,
                name,
                turn,
            }
        };
        let mut is_first = false;
        while Instant::now() < came + IN_LINE {
            match place.is_first() {
                Some(true) => match self.by_name.take(name, now()) {
                    Ok(()) => return Ok(()),
                    Err(none) => is_first |= none.is_first,
                },
                Some(false) => {}
                None => break,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        lock(&self.strangers).waited_in_vain(pair, turn.since);
        Err(NotLetIn::TooMany { is_first })
    }

    /// Whether the user still has the password of this mark.
    pub(super) async fn still_holds(&self, user: &WebUser, mark: &str) -> Result<bool, NotLetIn> {
        let users = Arc::clone(&self.users);
        let read = tokio::task::spawn_blocking(move || users.now());
        let users = read
            .await
            .unwrap_or_else(|error| Err(NotLetIn::Broken(error.to_string())))?;
        let known = user.username.as_deref().and_then(|name| users.get(name));
        Ok(known.is_some_and(|known| known.uid == user.uid && known.mark() == mark))
    }
}

impl Strangers {
    /// The place in the line of a name.
    fn turn(&mut self, (name, from): &Pair, now: Instant) -> Turn {
        let name = self.names.hash_one(name);
        let kept = self.in_vain.pop(&(name, *from));
        let kept = kept.filter(|(_, until)| now.duration_since(*until) < KEPT);
        let wrong = self.wrong.get(&(name, *from));
        let wrong_around = self.wrong_around.get(&(name, around(*from)));
        Turn {
            wrong_around: wrong_around.copied().unwrap_or_default(),
            wrong: wrong.copied().unwrap_or_default(),
            since: kept.map_or(now, |(since, _)| since),
            from: *from,
        }
    }

    fn note_wrong(&mut self, (name, from): &Pair) {
        let name = self.names.hash_one(name);
        *self.wrong.get_or_insert_mut((name, *from), || 0) += 1;
        *self.wrong_around.get_or_insert_mut((name, around(*from)), || 0) += 1;
    }

    fn waited_in_vain(&mut self, (name, from): &Pair, since: Instant) {
        let name = self.names.hash_one(name);
        self.in_vain.put((name, *from), (since, Instant::now()));
    }
}

/// So many places, of which one network has a few.
struct Places {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them, until it is dropped.
struct Place<'a> {
    places: &'a Places,
    from: IpAddr,
}

impl Places {
    fn of(most: usize) -> Self {
        Self {
            most,
            taken: Mutex::default(),
        }
    }

    fn enter(&self, from: IpAddr) -> Result<Place<'_>, NotLetIn> {
        let mut taken = lock(&self.taken);
        let all: usize = taken.values().sum();
        let own = taken.get(&from).copied().unwrap_or_default();
        if all >= self.most || own >= OF_NETWORK {
            return Err(NotLetIn::TooMany { is_first: false });
        }
        taken.insert(from, own + 1);
        Ok(Place { places: self, from })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.places.taken);
        if let Some(own) = all.get_mut(&self.from) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.from);
            }
        }
    }
}

/// A network's place in the line of a name.
struct InLine<'a> {
    lines: &'a Mutex<HashMap<String, BTreeSet<Turn>>>,
    name: &'a str,
    turn: Turn,
}

impl InLine<'_> {
    /// Whether it is first; `None` where others have taken its place.
    fn is_first(&self) -> Option<bool> {
        let lines = lock(self.lines);
        let line = lines.get(self.name)?;
        line.contains(&self.turn)
            .then(|| line.first() == Some(&self.turn))
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut lines = lock(self.lines);
        if let Some(line) = lines.get_mut(self.name) {
            line.remove(&self.turn);
            if line.is_empty() {
                lines.remove(self.name);
            }
        }
    }
}

/// The networks around one, all of which somebody may have: 48 bits of IPv6, 24 of IPv4.
fn around(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

impl Users {
    /// As the file says now. It is small, and read only when it has changed; not for the thread that serves.
    fn now(&self) -> Result<Arc<PasswordFile>, NotLetIn> {
        let Some(path) = &self.file else {
            return Err(NotLetIn::Disabled);
        };
        let broken = |why: String| NotLetIn::Broken(format!("{}: {why}", path.display()));
        let about = fs::metadata(path).map_err(|error| broken(error.to_string()))?;
        let mark = (about.modified().ok(), about.len());
        let mut read = lock(&self.read);
        if let Some(read) = read.as_ref().filter(|read| read.mark == mark) {
            return Ok(Arc::clone(&read.users));
        }
        let text = fs::read_to_string(path).map_err(|error| broken(error.to_string()))?;
        let users = PasswordFile::parse(&text).map_err(|error| broken(error.to_string()))?;
        let users = Arc::new(users);
        *read = Some(Read {
            mark,
            users: Arc::clone(&users),
        });
        Ok(users)
    }
}

/// The time of lines and guesses, which tests let pass.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stand_ins() -> Signer {
        Signer::new(&seal::KeyRing::generate(), "names", "wx1")
    }

    fn of_alice(dir: &tempfile::TempDir) -> Passwords {
        let file = dir.path().join("users.toml");
        let hash = ::cloudbase::hash("correct horse").unwrap();
        fs::write(&file, format!("[alice]\nuid = \"u1\"\npassword = '{hash}'\n")).unwrap();
        Passwords::new(Some(file), stand_ins())
    }

    async fn tried(passwords: &Passwords, password: &str, from: [u8; 4]) -> &'static str {
        match passwords.let_in("alice", password, IpAddr::from(from)).await {
            Ok(_) => "in",
            Err(NotLetIn::Wrong) => "wrong",
            Err(NotLetIn::TooMany { .. }) => "too many",
            Err(_) => "broken",
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_is_slowed_and_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let passwords = of_alice(&dir);
        let (home, elsewhere, third) = ([192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]);
        assert_eq!(tried(&passwords, "correct horse", home).await, "in");
        for _ in 0..20 {
            assert_eq!(tried(&passwords, "x", elsewhere).await, "wrong");
        }
        // From there a right one would not be found out either.
        assert_eq!(tried(&passwords, "correct horse", elsewhere).await, "too many");
        let began = Instant::now();
        assert_eq!(tried(&passwords, "correct horse", home).await, "in");
        assert_eq!(
            began.elapsed(),
            Duration::ZERO,
            "who was here before does not wait"
        );
        // From anywhere else it waits for its turn.
        assert_eq!(tried(&passwords, "correct horse", third).await, "in");
        assert!(
            began.elapsed() >= Duration::from_millis(750),
            "{:?}",
            began.elapsed()
        );
        assert!(lock(&passwords.lines).is_empty() && lock(&passwords.in_lines.taken).is_empty());
    }

    /// Whoever was wrong before gives way to who was not, and who waited in vain keeps the place.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_locked_out_by_many_who_go_on_guessing() {
        let dir = tempfile::tempdir().unwrap();
        let passwords = of_alice(&dir);
        let guessing = (0..64).map(|network| {
            let passwords = &passwords;
            async move {
                loop {
                    tried(passwords, "x", [192, 0, network, 1]).await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
        let logging_in = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            let began = Instant::now();
            while tried(&passwords, "correct horse", [198, 51, 100, 1]).await != "in" {}
            began.elapsed()
        };
        let took = tokio::select! {
            _ = futures_util::future::join_all(guessing) => unreachable!("they never end"),
            took = logging_in => took,
            () = tokio::time::sleep(Duration::from_secs(120)) => unreachable!("locked out"),
        };
        // Before her stand those who have not guessed yet: of 64 the last 36.
        assert!(took < Duration::from_secs(40), "{took:?}");
    }

    /// The line of a name has one place for each network, and no more guesses come of many lines.
    #[tokio::test(start_paused = true)]
    async fn many_who_guess_at_a_name_guess_once_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let passwords = of_alice(&dir);
        let guesses = (0..30).map(|host| tried(&passwords, "x", [192, 0, 2, host]));
        let began = Instant::now();
        let answers = futures_util::future::join_all(guesses).await;
        assert_eq!(answers, ["wrong"; 30]);
        assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_at_one_moment_are_no_more_than_in_a_row() {
        let dir = tempfile::tempdir().unwrap();
        let passwords = of_alice(&dir);
        let home = [192, 0, 2, 1];
        let guesses = (0..50).map(|_| tried(&passwords, "x", home));
        let answers = futures_util::future::join_all(guesses).await;
        let looked_at = answers.iter().filter(|answer| **answer == "wrong").count();
        assert_eq!(looked_at, OF_NETWORK, "the rest has no place: {answers:?}");
        for _ in OF_NETWORK..20 {
            assert_eq!(tried(&passwords, "x", home).await, "wrong");
        }
        assert_eq!(tried(&passwords, "correct horse", home).await, "too many");
    }

    #[tokio::test]
    async fn a_password_that_was_changed_ends_what_began_with_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.toml");
        let write = |password: &str, uid: &str| {
            let hash = ::cloudbase::hash(password).unwrap();
            fs::write(&file, format!("[alice]\nuid = \"{uid}\"\npassword = '{hash}'\n")).unwrap();
        };
        write("correct horse", "u1");
        let passwords = Passwords::new(Some(file.clone()), stand_ins());
        let home = IpAddr::from([192, 0, 2, 1]);
        let Ok(alice) = passwords.let_in("alice", "correct horse", home).await else {
            unreachable!("the password is right")
        };
        let holds = async || {
            let holds = passwords.still_holds(&alice.user, &alice.mark).await;
            holds.is_ok_and(|holds| holds)
        };
        assert!(holds().await);
        write("battery staple", "user-1");
        assert!(!holds().await);
        fs::remove_file(&file).unwrap();
        assert!(!holds().await);
    }
}
