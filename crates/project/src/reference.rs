//! What `yunqiao.toml` may say: each section and each key, with its type, what holds without it, an example, and a sentence in both
//! languages. There is no other list of them. The reader allows what stands here ([`Table::allow`](crate::table::Table::allow)), and
//! suggests from here what somebody meant; editors get it as a JSON Schema ([`schema`]), and readers as a page, which the tests write.

mod schema;
mod sections;

use wording::{Wording, wording};

pub use self::schema::schema;
pub(crate) use self::sections::*;

/// All sections: the top of the file, then each section where a key of an earlier one leads to it.
#[must_use]
pub fn reference() -> Vec<&'static Section> {
    let mut all = Vec::new();
    collect(&TOP, &mut all);
    all
}

fn collect(section: &'static Section, all: &mut Vec<&'static Section>) {
    all.push(section);
    let others = section.others.iter().map(|(_, kind)| kind);
    for kind in section.keys.iter().map(|key| &key.kind).chain(others) {
        kind.visit(&mut |section| collect(section, all));
    }
}

/// A table of `yunqiao.toml`.
#[derive(Debug)]
pub struct Section {
    /// As it stands between brackets, with a word in capitals for a name of the user's own: `database.collections.NAME`. Empty: the top.
    pub name: &'static str,
    /// The line that begins one in a file: `[database.collections.todos]`. Empty: the top.
    pub header: &'static str,
    /// What it is for.
    pub says: fn() -> Wording,
    /// Its keys, in the order in which they are explained.
    pub keys: &'static [Key],
    /// Where its other keys are names of the user's own: the word that stands for one, and what each holds.
    pub others: Option<(&'static str, Kind)>,
    /// A part of a file that shows it in use. Empty where the section that leads to it shows it.
    pub sample: &'static str,
}

impl Section {
    /// The names of its keys.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }

    /// Beside which keys one of its keys is refused, whichever of the two says so, as a sentence that follows what the key does.
    fn not_beside(&self, key: &Key) -> Option<Wording> {
        let excluding = self
            .keys
            .iter()
            .filter(|other| other.excludes.contains(&key.name));
        let others = key
            .excludes
            .iter()
            .copied()
            .chain(excluding.map(|other| other.name));
        let others: Vec<_> = others.map(|other| format!("`{other}`")).collect();
        (!others.is_empty()).then(|| {
            let (keys_en, keys_zh) = (others.join(" or "), others.join(" 或 "));
            wording!(" Not beside {keys_en}.", "不能与 {keys_zh} 同时写。")
        })
    }
}

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds without it.
    pub absent: Absent,
    /// A value as it is written in TOML, other than what holds without it. Empty for a key that leads to a section.
    pub example: &'static str,
    /// Lines of the same section without which the example is refused.
    pub beside: &'static str,
    /// Keys of the same section beside which it is refused.
    pub excludes: &'static [&'static str],
    /// What it does.
    pub says: fn() -> Wording,
}

impl Key {
    const fn new(name: &'static str, kind: Kind, says: fn() -> Wording) -> Self {
        Self {
            name,
            kind,
            absent: Absent::Nothing,
            example: "",
            beside: "",
            excludes: &[],
            says,
        }
    }

    const fn or(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    const fn such_as(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    const fn beside(mut self, lines: &'static str) -> Self {
        self.beside = lines;
        self
    }

    const fn excludes(mut self, keys: &'static [&'static str]) -> Self {
        self.excludes = keys;
        self
    }
}

/// What holds where a key is left out.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// Nothing.
    Nothing,
    /// The same as with this value, in TOML.
    Value(&'static str),
    /// The same as with this value, in TOML, which is put in by the command that runs the project.
    Usual(&'static str),
    /// What no single value says.
    Said(fn() -> Wording),
    /// It may not be left out.
    Refused,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text that is not empty.
    Text,
    /// A text that may be empty.
    AnyText,
    /// The path of a file or folder, relative to `yunqiao.toml`.
    Path,
    /// `true` or `false`.
    Boolean,
    /// `false`, where something can be said not to be there.
    False,
    /// A whole number within these bounds.
    Whole {
        /// The least.
        least: u64,
        /// The greatest.
        most: u64,
    },
    /// One of these numbers.
    Numbers(&'static [u64]),
    /// A length of time, `"2h"` or whole seconds; within these bounds, in seconds.
    Duration {
        /// The least.
        least: u64,
        /// The greatest.
        most: u64,
    },
    /// A size, `"100MB"` or whole bytes.
    Size,
    /// An address to listen at, `"127.0.0.1:8787"`.
    Address,
    /// An address that begins with `http://` or `https://`.
    WebAddress,
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words, in small letters or capitals.
    WordsOfAnyCase(&'static [&'static str]),
    /// `true`, `false` or an expression of the rule language.
    Rule,
    /// A list of such.
    List(&'static Self),
    /// One of these.
    Either(&'static [Self]),
    /// A table.
    Table(&'static Section),
    /// A list of tables.
    Tables(&'static Section),
    /// A table whose keys are names of the user's own.
    Map {
        /// The word that stands for such a name.
        name: &'static str,
        /// What each holds.
        of: &'static Self,
    },
}

impl Kind {
    /// Any length of time.
    const DURATION: Self = Self::Duration {
        least: 1,
        most: crate::table::LONGEST_SECONDS,
    };

    /// Calls `visit` for each section that it leads to.
    fn visit(&self, visit: &mut impl FnMut(&'static Section)) {
        match self {
            Self::Table(section) | Self::Tables(section) => visit(section),
            Self::List(kind) | Self::Map { of: kind, .. } => kind.visit(visit),
            Self::Either(kinds) => kinds.iter().for_each(|kind| kind.visit(visit)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
