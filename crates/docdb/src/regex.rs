//! Regular expressions as MongoDB has them: PCRE's language, over text.
//!
//! The engine is `fancy-regex`, which knows PCRE's look-around, possessive repetition, atomic groups and back references
//! and runs everything else in linear time. The two languages differ in details that a pattern is translated for
//! (`translate`): `\d`, `\w`, `\s` and `\b` are ASCII, `$` also matches before a final line break, a `[` inside a class
//! and a `{` that opens no repetition are themselves. JavaScript's `\uXXXX` is understood too, because the SDK sends a
//! pattern as JavaScript wrote it.

mod translate;

use crate::error::{Error, Result};

/// More steps than this at one text are refused.
const STEPS: usize = 1_000_000;
/// A compiled pattern, and what it is matched with, are not larger than this.
const COMPILED_BYTES: usize = 8 << 20;
/// As in MongoDB.
const PATTERN_BYTES: usize = 32_764;
/// Groups in groups.
const DEPTH: usize = 200;

/// A compiled pattern, and its text for comparison with stored ones.
#[derive(Clone, Debug)]
pub struct Pattern {
    compiled: fancy_regex::Regex,
    source: String,
    options: String,
}

impl Pattern {
    /// Compiles a pattern. Options are letters of `imsxu`, in any order.
    ///
    /// # Errors
    /// 51108 for an unknown option, 51091 for a pattern that is none or is too large, 2 for a zero byte.
    pub fn new(source: &str, options: &str) -> Result<Self> {
        let sorted = sorted_options(options)?;
        if source.contains('\0') {
            return Err(Error::bad_value(
                "Regular expression cannot contain an embedded null byte",
            ));
        }
        let refuse = |reason: &str| Error::new(51091, format!("Regular expression is invalid: {reason}"));
        if source.len() > PATTERN_BYTES {
            return Err(refuse("regular expression is too large"));
        }
        let translated = translate::translate(source, &sorted, DEPTH).map_err(refuse)?;
        let compiled = fancy_regex::RegexBuilder::new(&translated)
            .case_insensitive(sorted.contains('i'))
            .multi_line(sorted.contains('m'))
            .dot_matches_new_line(sorted.contains('s'))
            .ignore_whitespace(sorted.contains('x'))
            .backtrack_limit(STEPS)
            .delegate_size_limit(COMPILED_BYTES)
            .delegate_dfa_size_limit(COMPILED_BYTES)
            .max_prog_size(100_000)
            .build()
            .map_err(|error| refuse(&error.to_string()))?;
        Ok(Self {
            compiled,
            source: source.to_owned(),
            options: sorted,
        })
    }

    /// Compiles a BSON regex.
    ///
    /// # Errors
    /// As [`Pattern::new`].
    pub fn from_bson(regex: &bson::Regex) -> Result<Self> {
        Self::new(regex.pattern.as_str(), regex.options.as_str())
    }

    /// If the pattern matches somewhere in `text`.
    ///
    /// # Errors
    /// 51156 where it takes more steps than are allowed.
    pub fn matches(&self, text: &str) -> Result<bool> {
        self.compiled.is_match(text).map_err(|_| self.stopped())
    }

    /// The matches in `text`, one behind the other, each with its groups; the errors are those of [`Pattern::matches`].
    pub(crate) fn captures<'t>(
        &self,
        text: &'t str,
    ) -> impl Iterator<Item = Result<fancy_regex::Captures<'t, str>>> {
        self.compiled
            .captures_iter(text)
            .map(|captures| captures.map_err(|_| self.stopped()))
    }

    fn stopped(&self) -> Error {
        Error::new(
            51156,
            format!(
                "Error occurred while executing regular expression /{}/: it took more than {STEPS} steps",
                self.source
            ),
        )
    }

    /// If `regex` is this pattern, the order of its options aside.
    #[must_use]
    pub fn is(&self, regex: &bson::Regex) -> bool {
        let options = regex.options.as_str();
        regex.pattern.as_str() == self.source
            && options.len() == self.options.len()
            && options.chars().all(|option| self.options.contains(option))
    }

    /// The text that every match begins with, and begins the text with, where the pattern is anchored: `^ab` gives `ab`.
    /// An index can look for it.
    #[must_use]
    pub fn prefix(&self) -> Option<String> {
        if self.options.contains(['i', 'm', 'x']) {
            return None;
        }
        let rest = self
            .source
            .strip_prefix('^')
            .or_else(|| self.source.strip_prefix("\\A"))?;
        if rest.contains('|') {
            return None;
        }
        let mut prefix = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(char) = chars.next() {
            let literal = match char {
                '\\' => match chars.next() {
                    Some(escaped) if escaped.is_ascii_punctuation() => escaped,
                    _ => break,
                },
                '.' | '[' | '(' | ')' | '$' | '^' | '*' | '+' | '?' | '{' => break,
                _ => char,
            };
            // What may repeat need not be there.
            if matches!(chars.peek(), Some('*' | '?' | '{')) {
                break;
            }
            prefix.push(literal);
            if chars.peek() == Some(&'+') {
                break;
            }
        }
        Some(prefix).filter(|prefix| !prefix.is_empty())
    }
}

fn sorted_options(options: &str) -> Result<String> {
    let mut letters: Vec<char> = options.chars().collect();
    if let Some(unknown) = letters.iter().find(|letter| !"imsxu".contains(**letter)) {
        return Err(Error::new(
            51108,
            format!("invalid flag in regex options: {}", unknown.escape_default()),
        ));
    }
    letters.sort_unstable();
    letters.dedup();
    Ok(letters.into_iter().collect())
}

#[cfg(test)]
mod tests;
