//! What a collection may be called: what a MongoDB takes, so that documents that are kept here can move to one.

use std::fmt;

use wording::{Wording, wording};

/// Bytes of a name at most. MongoDB counts the database's name in, which may be up to 63 bytes long, and takes 255 of both; 235 where a
/// collection is sharded.
pub const LONGEST_NAME: usize = 235;

/// Why no collection can be called so. `Display` is for whoever chose the name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCollectionName {
    /// It is empty.
    Empty,
    /// More than [`LONGEST_NAME`] bytes.
    TooLong(usize),
    /// This has a character in it that ends a name, or begins a command.
    Character(String, char),
    /// This begins with a dot.
    LeadingDot(String),
    /// This is one of MongoDB's own names: `system.users`.
    OfSystem(String),
}

impl BadCollectionName {
    /// What is wrong, and what mends it.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::Empty => wording!("the collection has no name: give it one", "集合没有名称：请写上"),
            Self::TooLong(length) => wording!(
                "the collection's name is {length} bytes long, and may have {LONGEST_NAME}: choose a shorter one",
                "集合名称长 {length} 字节，最多 {LONGEST_NAME}：请改短"
            ),
            Self::Character(name, char) => wording!(
                "{name:?} is no name of a collection: leave out the {char:?}",
                "{name:?} 不能用作集合名称：请去掉 {char:?}"
            ),
            Self::LeadingDot(name) => wording!(
                "{name:?} is no name of a collection: it begins with a dot",
                "{name:?} 不能用作集合名称：不能以点开头"
            ),
            Self::OfSystem(name) => wording!(
                "{name:?} is no name of a collection: what begins with \"system.\" is the database's own",
                "{name:?} 不能用作集合名称：\"system.\" 开头的名称由数据库自己使用"
            ),
        }
    }
}

impl fmt::Display for BadCollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for BadCollectionName {}

/// Whether a new collection can be called so.
///
/// # Errors
/// Where a MongoDB would keep none of that name.
pub fn check_name(name: &str) -> Result<(), BadCollectionName> {
    if name.len() > LONGEST_NAME {
        return Err(BadCollectionName::TooLong(name.len()));
    }
    check_characters(name)
}

/// Whether a collection that is there already may be called so, however long its name is: a MongoDB whose database has a shorter
/// name keeps longer ones.
///
/// # Errors
/// As [`check_name`], but for the length.
pub fn check_characters(name: &str) -> Result<(), BadCollectionName> {
    let owned = || name.to_owned();
    if name.is_empty() {
        Err(BadCollectionName::Empty)
    } else if let Some(char) = name.chars().find(|char| matches!(char, '$' | '\0')) {
        Err(BadCollectionName::Character(owned(), char))
    } else if name.starts_with('.') {
        Err(BadCollectionName::LeadingDot(owned()))
    } else if name.starts_with("system.") {
        Err(BadCollectionName::OfSystem(owned()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_mongodb_keeps() {
        for name in ["todos", "a.b", "用户", "system", "my.system", "-", "a b", "/x"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_name(&"n".repeat(LONGEST_NAME)), Ok(()));
        // Three bytes each.
        let long = check_name(&"名".repeat(79));
        assert_eq!(long, Err(BadCollectionName::TooLong(237)));
        assert_eq!(check_name(""), Err(BadCollectionName::Empty));
        for name in ["a$b", "$cmd", "a\0b", "../x", ".a", "system.users", "system."] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
