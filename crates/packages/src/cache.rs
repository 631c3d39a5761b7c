//! npm's cache, by content: a package lies where its hash says (`_cacache/content-v2/sha512/ab/cd/…`, the layout of npm's
//! library `cacache`). What is fetched here is put there too, so that npm finds it, and this what npm has fetched.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::Sha1;
use sha2::{Digest as _, Sha512};

/// What a package's archive hashes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Integrity {
    Sha512(Vec<u8>),
    /// What npm wrote before version 5.
    Sha1(Vec<u8>),
}

impl Integrity {
    /// The strongest hash of a list such as `sha512-… sha1-…`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let hash = |start: &str, length: usize| {
            let mut words = text.split_whitespace();
            let encoded = words.find_map(|word| word.strip_prefix(start))?;
            let encoded = encoded.split('?').next()?;
            STANDARD.decode(encoded).ok().filter(|hash| hash.len() == length)
        };
        hash("sha512-", 64)
            .map(Self::Sha512)
            .or_else(|| hash("sha1-", 20).map(Self::Sha1))
    }

    /// Whether this is what `bytes` hash to.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha512(hash) => Sha512::digest(bytes).as_slice() == hash,
            Self::Sha1(hash) => Sha1::digest(bytes).as_slice() == hash,
        }
    }

    /// Where such content lies in a cache.
    fn path(&self, cache: &Path) -> PathBuf {
        let (kind, hash) = match self {
            Self::Sha512(hash) => ("sha512", hash),
            Self::Sha1(hash) => ("sha1", hash),
        };
        let hex = base16ct::lower::encode_string(hash);
        let (first, rest) = hex.split_at(2);
        let (second, rest) = rest.split_at(2);
        let contents = cache.join("_cacache/content-v2").join(kind);
        contents.join(first).join(second).join(rest)
    }
}

/// The content with this hash, if the cache has it whole.
pub(crate) fn get(cache: &Path, integrity: &Integrity) -> Option<Vec<u8>> {
    let bytes = fs::read(integrity.path(cache)).ok()?;
    integrity.is_of(&bytes).then_some(bytes)
}

/// Puts content that was checked into the cache.
pub(crate) fn put(cache: &Path, integrity: &Integrity, bytes: &[u8]) -> io::Result<()> {
    let path = integrity.path(cache);
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("the cache has no folder"))?;
    fs::create_dir_all(folder)?;
    let temporary = cache.join("_cacache/tmp");
    fs::create_dir_all(&temporary)?;
    let mut file = tempfile::NamedTempFile::new_in(temporary)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn content_lies_where_npm_looks_for_it() {
        let text = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";
        let integrity = Integrity::read(text).unwrap();
        assert!(integrity.is_of(b"") && !integrity.is_of(b"x"));
        let path = integrity.path(Path::new("/c"));
        assert!(
            path.starts_with("/c/_cacache/content-v2/sha512/cf/83/")
                && path.ends_with(
                    "e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
                ),
            "{path:?}"
        );
        assert!(
            Integrity::read("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
                .unwrap()
                .is_of(b"")
        );
        assert_eq!(Integrity::read("sha512-AAAA"), None);
        assert_eq!(Integrity::read(""), None);

        let cache = tempfile::tempdir().unwrap();
        assert_eq!(get(cache.path(), &integrity), None);
        put(cache.path(), &integrity, b"").unwrap();
        assert_eq!(get(cache.path(), &integrity).as_deref(), Some(&b""[..]));
        // What was damaged is not there.
        fs::write(integrity.path(cache.path()), "x").unwrap();
        assert_eq!(get(cache.path(), &integrity), None);
    }
}
