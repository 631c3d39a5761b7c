//! Passwords: a file with a uid and an Argon2id hash for each name, which the operator keeps.
//!
//! ```toml
//! [alice]
//! uid = "2f6c…"
//! password = "$argon2id$v=19$…"
//! ```

use std::{collections::BTreeMap, fmt};

use argon2::{
    Algorithm, Argon2, MIN_SALT_LEN, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Characters of a password at least. A choice.
pub const SHORTEST_PASSWORD: usize = 8;
/// Bytes of a password at most: hashing more is only work for us.
pub const LONGEST_PASSWORD: usize = 1024;

/// The users who have passwords, by name.
#[derive(Clone, Default)]
pub struct PasswordFile {
    users: BTreeMap<String, PasswordUser>,
    /// Of each way in which passwords of the file were hashed, one hash.
    ways: BTreeMap<String, String>,
}

/// A user who has a password.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordUser {
    /// The user's id.
    pub uid: String,
    /// What is kept of the password.
    password: String,
}

/// Why a file is none of passwords.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PasswordFileError {
    /// It is other TOML, or none.
    #[error("it is not [NAME] with uid and password for each user: {0}")]
    Form(String),
    /// One of its hashes is none.
    #[error("the password of {0:?} is no Argon2 hash; `yunqiao user add {0}` makes one")]
    Hash(String),
    /// Two names have one uid, and would read each other's documents.
    #[error("{0:?} and {1:?} have the same uid")]
    SameUid(String, String),
    /// A uid is empty.
    #[error("{0:?} has no uid")]
    NoUid(String),
}

impl PasswordFile {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PasswordFileError> {
        // Its errors quote the line, which may hold a hash.
        let users: BTreeMap<String, PasswordUser> =
            toml::from_str(text).map_err(|error| PasswordFileError::Form(error.message().to_owned()))?;
        let (mut uids, mut ways) = (BTreeMap::new(), BTreeMap::new());
        for (name, user) in &users {
            let way = way_of(&user.password).ok_or_else(|| PasswordFileError::Hash(name.clone()))?;
            ways.entry(way).or_insert_with(|| user.password.clone());
            if user.uid.is_empty() || user.uid.chars().any(char::is_control) {
                return Err(PasswordFileError::NoUid(name.clone()));
            }
            if let Some(other) = uids.insert(&user.uid, name) {
                return Err(PasswordFileError::SameUid(other.clone(), name.clone()));
            }
        }
        Ok(Self { users, ways })
    }

    /// The user of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&PasswordUser> {
        self.users.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// The user of this name, if that is the password. Takes as long for a name that nobody has: `stand_in` decides in which of the ways
    /// that the file has it is hashed, and has to be the same for a name each time, and known to nobody else. Tens of milliseconds: not for
    /// the thread that serves.
    #[must_use]
    pub fn verify(&self, name: &str, password: &str, stand_in: &[u8; 32]) -> Option<&PasswordUser> {
        if password.len() > LONGEST_PASSWORD {
            return None;
        }
        let user = self.users.get(name);
        let kept = user
            .map(|user| &user.password)
            .or_else(|| self.instead(stand_in))?;
        let kept = PasswordHash::new(kept).ok()?;
        let holds = Argon2::default()
            .verify_password(password.as_bytes(), &kept)
            .is_ok();
        user.filter(|_| holds)
    }

    /// The hash that is compared for a name that nobody has. Another way in the file changes it for few names.
    fn instead(&self, stand_in: &[u8; 32]) -> Option<&String> {
        let rank = |way: &String| Sha256::new().chain_update(stand_in).chain_update(way).finalize();
        let least = self.ways.iter().min_by_key(|(way, _)| rank(way));
        least.map(|(_, hash)| hash)
    }
}

/// Algorithm, version and parameters of a hash, which decide how long a password takes; `None` where no password can be compared with it.
fn way_of(hash: &str) -> Option<String> {
    let hash = PasswordHash::new(hash).ok()?;
    let algorithm = Algorithm::new(hash.algorithm).ok()?;
    let version = hash
        .version
        .map_or(Ok(Version::default()), Version::try_from)
        .ok()?;
    let params = Params::try_from(&hash).ok()?;
    let salted = hash.salt?.len() >= MIN_SALT_LEN;
    (salted && hash.hash.is_some()).then(|| {
        format!(
            "{algorithm} {version:?} {} {} {}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost()
        )
    })
}

/// Without the hashes.
impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PasswordFile").field(&self.users).finish()
    }
}

impl PasswordUser {
    /// Differs from that of every other password: a session that was begun with an older one is void.
    #[must_use]
    pub fn mark(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&self.password)[..12])
    }
}

impl fmt::Debug for PasswordUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordUser")
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}

/// What is to be kept of a password: an Argon2id hash with a salt of its own, in PHC's form. `None` without a source of randomness.
#[must_use]
pub fn hash(password: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_right_password_of_the_right_name_is_taken() {
        let (alice, bob) = (hash("correct horse").unwrap(), hash("battery staple").unwrap());
        assert_ne!(
            hash("correct horse").unwrap(),
            alice,
            "each has a salt of its own"
        );
        let text = format!(
            "[alice]\nuid = \"u1\"\npassword = \"{alice}\"\n[\"bob@example.com\"]\nuid = \"u2\"\npassword = \"{bob}\"\n"
        );
        let file = PasswordFile::parse(&text).unwrap();
        assert_eq!(file.verify("alice", "correct horse", &[1; 32]).unwrap().uid, "u1");
        assert_eq!(
            file.verify("bob@example.com", "battery staple", &[1; 32])
                .unwrap()
                .uid,
            "u2"
        );
        for (name, password) in [
            ("alice", "battery staple"),
            ("alice", ""),
            ("carol", "correct horse"),
            ("carol", "nobody"),
            ("Alice", "correct horse"),
        ] {
            assert!(
                file.verify(name, password, &[1; 32]).is_none(),
                "{name} {password}"
            );
        }
        assert_ne!(
            file.get("alice").unwrap().mark(),
            file.get("bob@example.com").unwrap().mark()
        );
        assert!(!format!("{file:?}").contains("argon2"));
    }

    #[test]
    fn a_name_that_nobody_has_is_hashed_in_one_of_the_ways_of_the_file() {
        let params = Params::new(64, 1, 1, None).unwrap();
        let quick = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let quick = quick.hash_password(b"correct horse").unwrap().to_string();
        let usual = hash("correct horse").unwrap();
        let user = |name: &str, hash: &str| format!("[{name}]\nuid = \"{name}\"\npassword = '{hash}'\n");
        let file = PasswordFile::parse(&(user("alice", &usual) + &user("bob", &quick))).unwrap();
        let more =
            PasswordFile::parse(&(user("alice", &usual) + &user("bob", &quick) + &user("carol", &quick)));
        let more = more.unwrap();
        let met: Vec<_> = (0..64)
            .map(|number| file.instead(&[number; 32]).unwrap())
            .collect();
        for hash in [&usual, &quick] {
            assert!(met.contains(&hash), "each way is met");
        }
        for (number, met) in (0..64).zip(met) {
            assert_eq!(
                more.instead(&[number; 32]),
                Some(met),
                "it stays where users come"
            );
        }
        assert!(file.verify("carol", "correct horse", &[1; 32]).is_none());
        assert_eq!(file.verify("bob", "correct horse", &[1; 32]).unwrap().uid, "bob");
        assert!(
            PasswordFile::default()
                .verify("alice", "correct horse", &[1; 32])
                .is_none()
        );
    }

    #[test]
    fn a_file_that_would_let_nobody_in_is_refused() {
        let good = hash("correct horse").unwrap();
        for (text, cause) in [
            (
                "[a]\nuid = \"1\"\npassword = \"correct horse\"\n".to_owned(),
                "no Argon2 hash",
            ),
            (format!("[a]\nuid = \"\"\npassword = \"{good}\"\n"), "no uid"),
            (
                format!("[a]\nuid = \"1\"\npassword = \"{good}\"\n[b]\nuid = \"1\"\npassword = \"{good}\"\n"),
                "same uid",
            ),
            ("a = 1".to_owned(), "[NAME]"),
            ("[a]\nuid = \"1\"\n".to_owned(), "[NAME]"),
        ] {
            let error = PasswordFile::parse(&text).unwrap_err().to_string();
            assert!(error.contains(cause) && !error.contains(&good), "{error}");
        }
        // By these nobody could log in, and whoever tries is told so at once.
        for hash in [
            "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQ$Y2hlY2tzdW1jaGVja3N1bWNoZWNrc3VtY2g",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=4,t=2,p=1$c2FsdHNhbHQ$Y2hlY2tzdW1jaGVja3N1bWNoZWNrc3VtY2g",
            "$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHQ$Y2hlY2tzdW1jaGVja3N1bWNoZWNrc3VtY2g",
            "$argon2id$v=20$m=19456,t=2,p=1$c2FsdHNhbHQ$Y2hlY2tzdW1jaGVja3N1bWNoZWNrc3VtY2g",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$Y2hlY2tzdW1jaGVja3N1bWNoZWNrc3VtY2g",
        ] {
            let error = PasswordFile::parse(&format!("[a]\nuid = \"1\"\npassword = '{hash}'\n")).unwrap_err();
            assert!(error.to_string().contains("no Argon2 hash"), "{hash}: {error}");
        }
    }
}
