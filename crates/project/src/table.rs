//! Reading a TOML file by hand, so that each refusal names its line, the key as its author knows it, and the nearest
//! known key. A derived deserializer cannot do that.

use std::{
    cell::RefCell,
    ops::{Range, RangeInclusive},
    path::Path,
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};
use wording::{Wording, wording};

use crate::{ProjectError, did_you_mean, files, quote_it, reference::Section};

/// The longest time that is taken: what is longer than a hundred years is a slip, and would overflow elsewhere.
pub(crate) const LONGEST_SECONDS: u64 = 3_155_760_000;

/// The file being read: what a refusal needs to say where it is.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
    /// Where the last refusal stands.
    refused: RefCell<Option<Range<usize>>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a Path, text: &'a str) -> Self {
        Self {
            path,
            text,
            refused: RefCell::default(),
        }
    }

    /// Where the last refusal stands, if there was one since this was asked before.
    pub(crate) fn refused(&self) -> Option<Range<usize>> {
        self.refused.take()
    }

    /// A refusal of what stands at `span`.
    pub(crate) fn refuse(&self, span: &Range<usize>, what: Wording, mend: Wording) -> ProjectError {
        self.refused.replace(Some(span.clone()));
        let (line, _) = files::position(self.text.as_bytes(), span.start);
        ProjectError::Setting {
            path: self.path.to_owned(),
            line,
            what,
            mend,
        }
    }
}

/// A table of the file with the keys that it may have.
pub(crate) struct Table<'a> {
    source: &'a Source<'a>,
    /// As written in a message: `` (the top), `[login]`.
    name: String,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(crate) fn top(source: &'a Source<'a>, entries: &'a DeTable<'a>) -> Self {
        Self {
            source,
            name: String::new(),
            entries,
        }
    }

    /// The entries as they stand, for a table whose keys are names of the user's own.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Key<'a>, Entry<'a>)> + use<'a> {
        let (source, table) = (self.source, self.name.clone());
        self.entries.iter().map(move |(key, value)| {
            let key = Key {
                text: key.get_ref(),
                span: key.span(),
            };
            let entry = Entry {
                source,
                key: qualified(&table, key.text),
                value,
            };
            (key, entry)
        })
    }

    /// Refuses a key that the section does not have, and names the nearest of those that it has.
    pub(crate) fn allow(&self, section: &Section) -> Result<(), ProjectError> {
        let known = section.names();
        for (key, _) in self.entries() {
            let Key { text: key, span } = key;
            if known.contains(&key) {
                continue;
            }
            let mend = match nearest(key, known.iter().copied()) {
                Some(near) => did_you_mean(near),
                None => {
                    let known = known.join(", ");
                    wording!("known are {known}", "可用的有 {known}")
                }
            };
            let what = match self.name.as_str() {
                "" => wording!("unknown key `{key}`", "有未知的键 `{key}`"),
                table => wording!("unknown key `{key}` in {table}", "{table} 里有未知的键 `{key}`"),
            };
            return Err(self.source.refuse(&span, what, mend));
        }
        Ok(())
    }

    /// The entry of this key.
    pub(crate) fn get(&self, key: &str) -> Option<Entry<'a>> {
        let value = self.entries.get(key)?;
        Some(Entry {
            source: self.source,
            key: qualified(&self.name, key),
            value,
        })
    }
}

/// Takes out the key or the element of a list that stands at `span`, and gives where that was: the keys by which it was reached, with
/// an element's place in the text for it.
pub(crate) fn remove(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let meant = table
        .iter()
        .find(|(key, value)| key.span() == *span || value.span() == *span)
        .map(|(key, _)| key.get_ref().to_string());
    if let Some(key) = meant {
        table.remove(key.as_str());
        return Some(vec![key]);
    }
    table.iter_mut().find_map(|(key, value)| {
        let below = match value.get_mut() {
            DeValue::Table(table) => remove(table, span)?,
            DeValue::Array(elements) => remove_element(elements, span)?,
            _ => return None,
        };
        Some([vec![key.get_ref().to_string()], below].concat())
    })
}

fn remove_element(elements: &mut DeArray<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let place = |element: &Spanned<DeValue<'_>>| element.span().start.to_string();
    if let Some(meant) = elements.iter().find(|element| element.span() == *span) {
        let place = place(meant);
        let mut rest = DeArray::new();
        for element in elements.iter().filter(|element| element.span() != *span) {
            rest.push(element.clone());
        }
        *elements = rest;
        return Some(vec![place]);
    }
    elements.iter_mut().find_map(|element| {
        let place = place(element);
        let DeValue::Table(table) = element.get_mut() else {
            return None;
        };
        Some([vec![place], remove(table, span)?].concat())
    })
}

/// `login.ttl`, for a message.
fn qualified(table: &str, key: &str) -> String {
    let table = table.trim_start_matches('[').trim_end_matches(']');
    if table.is_empty() {
        key.to_owned()
    } else {
        format!("{table}.{key}")
    }
}

/// A key where it stands.
pub(crate) struct Key<'a> {
    pub(crate) text: &'a str,
    pub(crate) span: Range<usize>,
}

/// A value where it stands.
pub(crate) struct Entry<'a> {
    source: &'a Source<'a>,
    key: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    /// The line where it stands, from 1.
    pub(crate) fn line(&self) -> usize {
        files::position(self.source.text.as_bytes(), self.value.span().start).0
    }

    /// A refusal of this value: "`key` " and then `what`.
    pub(crate) fn refuse(&self, what: Wording, mend: Wording) -> ProjectError {
        let key = &self.key;
        let what = wording!("`{key}` {what}", "`{key}` {what}"; what);
        self.source.refuse(&self.value.span(), what, mend)
    }

    /// A refusal of a value beside which another one stands that says the same.
    pub(crate) fn stands_beside(&self, other: &str) -> ProjectError {
        self.refuse(
            wording!("stands beside {other}", "与 {other} 同时出现"),
            wording!("give one of the two", "请只保留一个"),
        )
    }

    /// A refusal of a text that is none of two words.
    pub(crate) fn is_neither(&self, first: &str, second: &str) -> ProjectError {
        self.refuse(
            wording!("is neither of its two values", "不是可选的两个值之一"),
            wording!(
                "write \"{first}\" or \"{second}\"",
                "请写 \"{first}\" 或 \"{second}\""
            ),
        )
    }

    fn wrong_kind(&self, mend: Wording) -> ProjectError {
        let kind = self.value.get_ref().type_str();
        self.refuse(wording!("is of kind {kind}", "的类型是 {kind}"), mend)
    }

    /// Whether it is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// A table.
    pub(crate) fn table(&self) -> Result<Table<'a>, ProjectError> {
        match self.value.get_ref() {
            DeValue::Table(entries) => Ok(Table {
                source: self.source,
                name: format!("[{}]", self.key),
                entries,
            }),
            _ => {
                let key = &self.key;
                Err(self.wrong_kind(wording!("write a table: [{key}]", "请写成表：[{key}]")))
            }
        }
    }

    /// A text that is not empty, without blanks around it and a byte order mark that was pasted along.
    pub(crate) fn text(&self) -> Result<&'a str, ProjectError> {
        match self.value.get_ref() {
            DeValue::String(text) => match files::one_value(text) {
                "" => Err(self.refuse(
                    wording!("is empty", "是空的"),
                    wording!(
                        "give it a value, or remove the line",
                        "请给它一个值，或删掉这一行"
                    ),
                )),
                text => Ok(text),
            },
            _ => Err(self.wrong_kind(quote_it())),
        }
    }

    /// A text that may be empty, as an environment variable's value may.
    pub(crate) fn variable(&self) -> Result<&'a str, ProjectError> {
        match self.value.get_ref() {
            DeValue::String(text) if text.contains('\0') => Err(self.refuse(
                wording!(
                    "holds a NUL character, which no environment can carry",
                    "含有 NUL 字符，环境变量无法容纳"
                ),
                wording!("remove it", "请删掉它"),
            )),
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_kind(quote_it())),
        }
    }

    /// A list of texts, none empty.
    pub(crate) fn texts(&self) -> Result<Vec<Self>, ProjectError> {
        let texts = self.list("[\"…\", \"…\"]")?;
        for entry in &texts {
            entry.text()?;
        }
        Ok(texts)
    }

    /// A list of anything, such as `example`.
    pub(crate) fn list(&self, example: &str) -> Result<Vec<Self>, ProjectError> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return Err(self.wrong_kind(wording!("write a list: {example}", "请写成列表：{example}")));
        };
        let entry = |value| Entry {
            source: self.source,
            key: self.key.clone(),
            value,
        };
        Ok(array.iter().map(entry).collect())
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Result<bool, ProjectError> {
        self.value.get_ref().as_bool().ok_or_else(|| {
            self.wrong_kind(wording!(
                "write true or false, without quotes",
                "请写 true 或 false，不加引号"
            ))
        })
    }

    /// A whole number within a range.
    pub(crate) fn whole(&self, range: &RangeInclusive<u64>, unit: &str) -> Result<u64, ProjectError> {
        let (least, most) = (range.start(), range.end());
        let allowed = wording!(
            "write a whole number from {least} to {most}{unit}",
            "请写 {least} 到 {most}{unit} 的整数"
        );
        let DeValue::Integer(number) = self.value.get_ref() else {
            return Err(self.wrong_kind(allowed));
        };
        let parsed = u64::from_str_radix(number.as_str(), number.radix()).ok();
        parsed
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.refuse(wording!("is {number}", "是 {number}"), allowed))
    }

    /// A length of time, longer than none: `"2h"`, `"10m"`, `"5s"`, `"3d"`, or whole seconds.
    pub(crate) fn duration(&self) -> Result<Duration, ProjectError> {
        let mend = || {
            wording!(
                "write a time such as \"2h\", \"10m\" or \"5s\", or whole seconds",
                "请写时长，例如 \"2h\"、\"10m\"、\"5s\"，或整数秒"
            )
        };
        let seconds = match self.value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(text) => seconds(text),
            _ => return Err(self.wrong_kind(mend())),
        };
        match seconds {
            Some(seconds @ 1..=LONGEST_SECONDS) => Ok(Duration::from_secs(seconds)),
            _ => Err(self.refuse(wording!("is no length of time", "不是时长"), mend())),
        }
    }

    /// A size, larger than none: `"100MB"`, `"2GB"`, `"500KB"`, or whole bytes.
    pub(crate) fn bytes(&self) -> Result<u64, ProjectError> {
        let mend = || {
            wording!(
                "write a size such as \"100MB\", \"2GB\" or \"500KB\", or whole bytes",
                "请写大小，例如 \"100MB\"、\"2GB\"、\"500KB\"，或整数字节"
            )
        };
        let bytes = match self.value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(text) => bytes(text),
            _ => return Err(self.wrong_kind(mend())),
        };
        bytes
            .filter(|bytes| *bytes > 0)
            .ok_or_else(|| self.refuse(wording!("is no size", "不是大小"), mend()))
    }

    /// A length of time within a range of seconds.
    pub(crate) fn duration_within(&self, range: &RangeInclusive<u64>) -> Result<Duration, ProjectError> {
        let duration = self.duration()?;
        if range.contains(&duration.as_secs()) {
            return Ok(duration);
        }
        let (least, most, seconds) = (range.start(), range.end(), duration.as_secs());
        Err(self.refuse(
            wording!("is {seconds} seconds", "是 {seconds} 秒"),
            wording!(
                "{least} to {most} seconds are possible",
                "应在 {least} 到 {most} 秒之间"
            ),
        ))
    }
}

/// `"90s"` to 90; digits alone are seconds.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match text[digits..].trim_start() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// `"100MB"` to 104857600; digits alone are bytes.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match &*text[digits..].trim_start().to_ascii_uppercase() {
        "" | "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// The candidate that `text` was most likely meant to be, if one is near.
#[must_use]
pub fn nearest<'c>(text: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(&text.to_lowercase(), &candidate.to_lowercase());
    let best = candidates.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // Below this, suggestions puzzle more than they help.
    (likeness(best) >= 0.8).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_every_unit() {
        for (text, expected) in [
            ("90", Some(90)),
            ("5 kb", Some(5120)),
            ("100MB", Some(104_857_600)),
            ("2GB", Some(2_147_483_648)),
            ("", None),
            ("MB", None),
            ("1.5GB", None),
            ("-5", None),
            ("5 megabytes", None),
            ("99999999999TB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }

    #[test]
    fn seconds_in_every_unit() {
        for (text, expected) in [
            ("90", Some(90)),
            ("5s", Some(5)),
            ("10m", Some(600)),
            ("2h", Some(7200)),
            ("3 d", Some(259_200)),
            ("", None),
            ("s", None),
            ("1.5h", None),
            ("-5s", None),
            ("5ms", None),
            ("5 minutes", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nearest_forgives_slips_and_refuses_guesses() {
        let known = ["timeout", "memory", "concurrency", "max_instances", "env"];
        let near = |text| nearest(text, known.into_iter());
        assert_eq!(near("timout"), Some("timeout"));
        assert_eq!(near("Timeout"), Some("timeout"));
        assert_eq!(near("memorySize"), Some("memory"));
        assert_eq!(near("maxInstances"), Some("max_instances"));
        assert_eq!(near("port"), None);
    }
}
