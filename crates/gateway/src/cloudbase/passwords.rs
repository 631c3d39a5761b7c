//! Names and passwords: the file of them, and how often somebody may guess.

use std::{
    fs,
    net::IpAddr,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use ::cloudbase::{PasswordFile, WebUser};
use lru::LruCache;
use tokio::sync::Semaphore;

use crate::{guesses::Guesses, seats::network};

/// Pairs of name and network that are remembered.
const FRIENDS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Passwords that are hashed side by side: it is work for a processor, and whoever asks for it may be anybody.
const AT_ONCE: usize = 2;
/// A name that is longer is nobody's.
const LONGEST_NAME: usize = 256;

/// The users who have passwords.
pub(super) struct Passwords {
    file: Option<PathBuf>,
    read: Mutex<Option<Read>>,
    by_network: Guesses<IpAddr>,
    by_name: Guesses<String>,
    hashing: Semaphore,
    /// From where each user logged in before: whoever guesses at a name elsewhere does not lock its user out.
    friends: Mutex<LruCache<(String, IpAddr), ()>>,
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

/// A user who was let in, and the mark of the password that did it.
pub(super) struct LetIn {
    pub(super) user: WebUser,
    pub(super) mark: String,
}

impl Passwords {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            read: Mutex::default(),
            by_network: Guesses::new(),
            by_name: Guesses::new(),
            hashing: Semaphore::new(AT_ONCE),
            friends: Mutex::new(LruCache::new(FRIENDS)),
        }
    }

    /// Who logs in with this name and password, from this address.
    pub(super) async fn let_in(
        &self,
        name: &str,
        password: &str,
        from: IpAddr,
        now: Instant,
    ) -> Result<LetIn, NotLetIn> {
        let users = self.users()?;
        let from = network(from);
        let short: String = name.chars().take(LONGEST_NAME).collect();
        let is_friend = self.friends().get(&(short.clone(), from)).is_some();
        let by_name = match is_friend {
            true => Ok(()),
            false => self.by_name.check(&short, now),
        };
        by_name
            .and(self.by_network.check(&from, now))
            .map_err(|none| NotLetIn::TooMany {
                is_first: none.is_first,
            })?;
        let (of, password) = (short.clone(), password.to_owned());
        let _turn = self.hashing.acquire().await;
        // Hashing takes tens of milliseconds, on purpose.
        let verified = tokio::task::spawn_blocking(move || {
            let user = users.verify(&of, &password)?;
            Some(LetIn {
                user: WebUser::named(&of, user.uid.clone()),
                mark: user.mark(),
            })
        });
        match verified.await {
            Ok(Some(let_in)) => {
                self.friends().put((short, from), ());
                Ok(let_in)
            }
            _ => {
                self.by_network.wrong(&from, now);
                if !is_friend {
                    self.by_name.wrong(&short, now);
                }
                Err(NotLetIn::Wrong)
            }
        }
    }

    /// Whether the user still has the password of this mark.
    pub(super) fn still_holds(&self, user: &WebUser, mark: &str) -> Result<bool, NotLetIn> {
        let users = self.users()?;
        let known = user.username.as_deref().and_then(|name| users.get(name));
        Ok(known.is_some_and(|known| known.uid == user.uid && known.mark() == mark))
    }

    /// As the file says now. It is small, and read only when it has changed.
    fn users(&self) -> Result<Arc<PasswordFile>, NotLetIn> {
        let Some(path) = &self.file else {
            return Err(NotLetIn::Disabled);
        };
        let broken = |why: String| NotLetIn::Broken(format!("{}: {why}", path.display()));
        let about = fs::metadata(path).map_err(|error| broken(error.to_string()))?;
        let mark = (about.modified().ok(), about.len());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn friends(&self) -> std::sync::MutexGuard<'_, LruCache<(String, IpAddr), ()>> {
        self.friends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn tried(passwords: &Passwords, password: &str, from: [u8; 4], now: Instant) -> &'static str {
        match passwords.let_in("alice", password, IpAddr::from(from), now).await {
            Ok(_) => "in",
            Err(NotLetIn::Wrong) => "wrong",
            Err(NotLetIn::TooMany { .. }) => "too many",
            Err(_) => "broken",
        }
    }

    #[tokio::test]
    async fn guessing_is_slowed_and_locks_out_nobody_who_was_here_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.toml");
        let hash = ::cloudbase::hash("correct horse").unwrap();
        fs::write(&file, format!("[alice]\nuid = \"u1\"\npassword = '{hash}'\n")).unwrap();
        let passwords = Passwords::new(Some(file));
        let (home, elsewhere, third) = ([192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]);
        let now = Instant::now();
        assert_eq!(tried(&passwords, "correct horse", home, now).await, "in");
        for _ in 0..20 {
            assert_eq!(tried(&passwords, "x", elsewhere, now).await, "wrong");
        }
        // Neither from there, nor at this name from anywhere else: a right one would not be found out either.
        assert_eq!(
            tried(&passwords, "correct horse", elsewhere, now).await,
            "too many"
        );
        assert_eq!(tried(&passwords, "correct horse", third, now).await, "too many");
        assert_eq!(tried(&passwords, "correct horse", home, now).await, "in");
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(tried(&passwords, "correct horse", third, later).await, "in");
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
        let passwords = Passwords::new(Some(file.clone()));
        let home = IpAddr::from([192, 0, 2, 1]);
        let Ok(alice) = passwords
            .let_in("alice", "correct horse", home, Instant::now())
            .await
        else {
            unreachable!("the password is right")
        };
        let holds = || {
            passwords
                .still_holds(&alice.user, &alice.mark)
                .is_ok_and(|holds| holds)
        };
        assert!(holds());
        write("battery staple", "user-1");
        assert!(!holds());
        fs::remove_file(&file).unwrap();
        assert!(!holds());
    }
}
