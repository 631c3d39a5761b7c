//! What is said to a person, in English and in Chinese at once. The people who use this program read Chinese, whoever works on it may not,
//! and a log wants one language: so a sentence is written in both where it arises, and whoever shows it to somebody chooses. Nothing is
//! translated afterwards, and no sentence can be there in one language alone.
//!
//! Codes, names, and what others say (the operating system, npm, the platform) are the same in both: [`Wording::as_is`].

mod shell;

use std::fmt;

pub use shell::{shell_word, shell_words};

/// A sentence or a part of one, in both languages. As a [`Display`](fmt::Display) it is English, for logs and for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wording {
    /// As it reads in English.
    pub en: String,
    /// As it reads in Chinese.
    pub zh: String,
}

impl Wording {
    /// What is the same in both: a name, code to type, another program's words.
    #[must_use]
    pub fn as_is(text: impl fmt::Display) -> Self {
        let en = text.to_string();
        Self { zh: en.clone(), en }
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.en.is_empty()
    }

    /// `what — mend`, or what there is of it.
    #[must_use]
    pub fn with_mend(what: &Self, mend: &Self) -> Self {
        if mend.is_empty() {
            return what.clone();
        }
        wording!("{what} — {mend}", "{what} —— {mend}"; what, mend)
    }

    /// Several of them, a line for each.
    #[must_use]
    pub fn lines(all: impl IntoIterator<Item = Self>) -> Self {
        let (en, zh): (Vec<_>, Vec<_>) = all.into_iter().map(|one| (one.en, one.zh)).unzip();
        Self {
            en: en.join("\n"),
            zh: zh.join("\n"),
        }
    }
}

impl fmt::Display for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.en)
    }
}

impl std::error::Error for Wording {}

/// Writes a [`Wording`]: the English text, then the Chinese one, both as `format!` takes them, with names of variables in braces.
/// A variable that only one of them needs, such as a noun with its number, has a name that ends in `_en` or `_zh`.
/// Behind a `;` stand the variables that are wordings themselves; each is put in as its language has it.
///
/// ```ignore
/// let what = wording!("`{name}` is not there", "没有 `{name}`");
/// wording!("line {line}: {what}", "第 {line} 行：{what}"; what)
/// ```
#[macro_export]
macro_rules! wording {
    ($en:literal, $zh:literal $(,)?) => {
        $crate::Wording { en: format!($en), zh: format!($zh) }
    };
    ($en:literal, $zh:literal; $($part:ident),+ $(,)?) => {
        $crate::Wording {
            en: { $(let $part = &$part.en;)+ format!($en) },
            zh: { $(let $part = &$part.zh;)+ format!($zh) },
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_put_in_as_its_language_has_it() {
        let name = "a";
        let what = wording!("`{name}` is not there", "没有 `{name}`");
        let line = 3;
        let told = wording!("line {line}: {what}", "第 {line} 行：{what}"; what);
        assert_eq!(told.en, "line 3: `a` is not there");
        assert_eq!(told.zh, "第 3 行：没有 `a`");
        assert_eq!(told.to_string(), told.en);
        let mend = wording!("make it", "请建一个");
        assert_eq!(Wording::with_mend(&what, &mend).zh, "没有 `a` —— 请建一个");
        assert_eq!(Wording::with_mend(&what, &Wording::default()), what);
    }
}
