//! Regular expressions as MongoDB has them: PCRE's language, over text.
//!
//! The engine is `fancy-regex`, which knows PCRE's look-around, possessive repetition, atomic groups and back references
//! and runs everything else in linear time. The two languages differ in details that a pattern is translated for
//! (`translate`): `\d`, `\w`, `\s` and `\b` are ASCII, `$` also matches before a final line break, a `[` inside a class
//! and a `{` that opens no repetition are themselves. JavaScript's `\uXXXX` is understood too, because the SDK sends a
//! pattern as JavaScript wrote it.

mod asked;
mod translate;

use std::sync::OnceLock;

pub use self::asked::{Asked, refuse_large};
use crate::{
    Context,
    context::TOO_MUCH_WORK,
    error::{Error, Result},
};

/// More steps than this at one text are refused.
const STEPS: usize = 1_000_000;
/// A compiled pattern, and what it is matched with, are not larger than this.
const COMPILED_BYTES: usize = 8 << 20;
/// The same where every step counts.
const STRICT_STEPS: usize = 4_000;
const STRICT_BYTES: usize = 256 << 10;
/// Steps that a match counts for where every step counts, beside those for the length of the text.
const MATCHING: u64 = 100;
/// Steps that the compiling of a pattern counts for, where every step counts.
pub(crate) const COMPILING: u64 = 2_000;
/// As in MongoDB.
const PATTERN_BYTES: usize = 32_764;
/// Groups in groups.
const DEPTH: usize = 200;

/// A compiled pattern, and its text for comparison with stored ones.
#[derive(Clone, Debug)]
pub struct Pattern {
    compiled: fancy_regex::Regex,
    /// The same within smaller bounds, made when it is first wanted; `None` where it is too large for them.
    strict: OnceLock<Option<fancy_regex::Regex>>,
    source: String,
    options: String,
}

impl Pattern {
    /// Compiles a pattern. Options are letters of `imsxu`, in any order.
    ///
    /// # Errors
    /// 51108 for an unknown option, 51091 for a pattern that is none or is too large, 2 for a zero byte.
    pub fn new(source: &str, options: &str) -> Result<Self> {
        let (compiled, sorted) = checked(source, options, STEPS, COMPILED_BYTES)?;
        Ok(Self {
            compiled,
            strict: OnceLock::new(),
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
        self.compiled.is_match(text).map_err(|_| self.took_too_much())
    }

    /// The same, in an operation.
    ///
    /// # Errors
    /// As [`Pattern::matches`]; [`TOO_MUCH_WORK`] in a [strict](Context::strict) context.
    pub(crate) fn matches_in(&self, text: &str, context: &Context) -> Result<bool> {
        let compiled = self.compiled_for(text, context)?;
        compiled.is_match(text).map_err(|_| self.stopped(context))
    }

    /// The pattern as it may be run in that context.
    fn compiled_for(&self, text: &str, context: &Context) -> Result<&fancy_regex::Regex> {
        // A text takes a little for each byte, however simple the pattern is.
        context.spend_if_strict(MATCHING + text.len() as u64 / 4)?;
        if !context.is_strict() {
            return Ok(&self.compiled);
        }
        let strict = self.strict.get_or_init(|| {
            let translated = translate::translate(&self.source, &self.options, DEPTH).ok()?;
            compile(&translated, &self.options, STRICT_STEPS, STRICT_BYTES).ok()
        });
        strict.as_ref().ok_or_else(|| self.stopped(context))
    }

    /// The matches in `text`, one behind the other, each with its groups; the errors are those of [`Pattern::matches`]. As in MongoDB, none is
    /// looked for at the end of a text that has something before it, and behind an empty match from the next character on.
    pub(crate) fn captures<'t>(
        &self,
        text: &'t str,
        context: &Context,
    ) -> Result<impl Iterator<Item = Result<fancy_regex::Captures<'t, str>>>> {
        let compiled = self.compiled_for(text, context)?;
        let mut from = Some(0);
        Ok(std::iter::from_fn(move || {
            let begin = from.take()?;
            if let Err(stopped) = context.spend_if_strict(MATCHING) {
                return Some(Err(stopped));
            }
            let captures = match compiled.captures_from_pos(text, begin) {
                Ok(captures) => captures?,
                Err(_) => return Some(Err(self.stopped(context))),
            };
            let whole = captures.get(0)?;
            let behind = text.get(whole.end()..).and_then(|behind| behind.chars().next());
            let skipped = match (whole.range().is_empty(), behind) {
                (true, Some(next)) => next.len_utf8(),
                _ => 0,
            };
            let end = whole.end() + skipped;
            from = (end < text.len()).then_some(end);
            Some(Ok(captures))
        }))
    }

    fn stopped(&self, context: &Context) -> Error {
        if context.is_strict() {
            return Error::new(TOO_MUCH_WORK, "a regular expression exceeded the limit of work");
        }
        self.took_too_much()
    }

    fn took_too_much(&self) -> Error {
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

/// Compiles a pattern within bounds; gives it with its options in their order.
fn checked(source: &str, options: &str, steps: usize, bytes: usize) -> Result<(fancy_regex::Regex, String)> {
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
    let compiled = compile(&translated, &sorted, steps, bytes).map_err(|error| refuse(&error.to_string()))?;
    Ok((compiled, sorted))
}

fn compile(
    translated: &str,
    options: &str,
    steps: usize,
    bytes: usize,
) -> std::result::Result<fancy_regex::Regex, fancy_regex::Error> {
    fancy_regex::RegexBuilder::new(translated)
        .case_insensitive(options.contains('i'))
        .multi_line(options.contains('m'))
        .dot_matches_new_line(options.contains('s'))
        .ignore_whitespace(options.contains('x'))
        .backtrack_limit(steps)
        .delegate_size_limit(bytes)
        .delegate_dfa_size_limit(bytes)
        .max_prog_size(100_000)
        .build()
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
