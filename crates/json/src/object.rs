//! The top level of an object as raw slices.

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use crate::{JsonError, JsonReason, scan::Scanner, string, utf8};

/// One member of a checked object, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member<'a> {
    /// The key with its quotes and escapes.
    pub raw_key: &'a str,
    /// The value, without the blanks around it.
    pub value: &'a str,
}

impl<'a> Member<'a> {
    /// The key's text, for people to read: a lone surrogate in it becomes U+FFFD, so two different keys may look alike.
    /// To compare keys there is [`key_is`](Self::key_is).
    #[must_use]
    pub fn key(&self) -> Cow<'a, str> {
        string::lossy(self.raw_key)
    }

    /// Whether `JSON.parse` would give this key the name `name`; `"\u0077"` is `w`.
    #[must_use]
    pub fn key_is(&self, name: &str) -> bool {
        self.meaning().as_ref() == name.as_bytes()
    }

    /// What the key stands for, in a form in which equal means the same to `JSON.parse`: to look keys up in a set. It is UTF-8
    /// but for a lone surrogate, which stands there as three bytes that UTF-8 does not allow.
    #[must_use]
    pub fn meaning(&self) -> Cow<'a, [u8]> {
        string::meaning(self.raw_key)
    }
}

/// A checked object, its members in source order; one that stands there twice is there twice.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
}

impl<'a> Object<'a> {
    /// Checks the whole of `text`, which must be one object, and collects its members.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        // Enough for nearly every event and open data, in one allocation.
        let mut members = Vec::with_capacity(16);
        Self::parse_into(text, &mut members)?;
        Ok(Self { members })
    }

    /// Like [`parse`](Self::parse), into a vector that is emptied first and can be used again.
    pub fn parse_into(text: &'a [u8], members: &mut Vec<Member<'a>>) -> Result<(), JsonError> {
        members.clear();
        let text = utf8(text)?;
        let scanner = Scanner::new(text);
        let (start, first) = scanner.blanks(0);
        if first != Some(b'{') {
            crate::validate(text.as_bytes())?;
            return Err(scanner.error(start, JsonReason::ExpectedObject));
        }
        let (mut at, next) = scanner.blanks(start + 1);
        if next == Some(b'}') {
            return scanner.end(at + 1);
        }
        loop {
            let colon = scanner.key(at)?;
            let raw_key = &text[at..colon];
            let (start, _) = scanner.blanks(scanner.take(colon, b':', JsonReason::ExpectedColon)?);
            let end = scanner.value(start)?;
            members.push(Member {
                raw_key,
                value: &text[start..end],
            });
            match scanner.blanks(end) {
                (comma, Some(b',')) => at = scanner.blanks(comma + 1).0,
                (brace, Some(b'}')) => return scanner.end(brace + 1),
                (other, _) => return Err(scanner.error(other, JsonReason::ExpectedCommaOrBrace)),
            }
        }
    }

    /// All members, in source order.
    #[must_use]
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// The raw value of the key `name`; of several the last, which is the one that `JSON.parse` keeps.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.members
            .iter()
            .rev()
            .find(|member| member.key_is(name))
            .map(|member| member.value)
    }

    /// A key that stands there twice, compared by what it means (`"w"` and `"\u0077"` are one key); the first such.
    #[must_use]
    pub fn duplicate(&self) -> Option<Cow<'a, str>> {
        // Most objects are small and their keys of different lengths; comparing them is cheaper than hashing.
        const FEW: usize = 16;
        let members = self.members.as_slice();
        let again = if members.len() <= FEW {
            members.iter().enumerate().find(|(at, member)| {
                let key = member.meaning();
                members[..*at].iter().any(|before| before.meaning() == key)
            })
        } else if has_equal_hashes(members) {
            let mut seen = HashSet::with_capacity(members.len());
            members
                .iter()
                .enumerate()
                .find(|(_, member)| !seen.insert(member.meaning()))
        } else {
            None
        };
        again.map(|(_, member)| member.key())
    }
}

/// Whether two keys may be the same. Whoever wrote the text cannot know the hashes; and to sort numbers takes a fraction of the
/// time and memory of a set of texts, which counts where there are a hundred thousand.
fn has_equal_hashes(members: &[Member<'_>]) -> bool {
    let state = RandomState::new();
    let hashes = members.iter().map(|member| state.hash_one(member.meaning()));
    let mut hashes: Vec<u64> = hashes.collect();
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}
