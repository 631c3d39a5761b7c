//! What an operation asks for, told before any of it is parsed: how many patterns it has to have compiled, and how long it is.
//!
//! A pattern of a few letters can take megabytes and many milliseconds to compile, so they are counted while they are still text.

use bson::{Bson, Document};

use super::{PATTERN_BYTES, STRICT_BYTES, STRICT_STEPS, checked};
use crate::error::{Error, Result};

/// How many patterns an operation has, and how large it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Regular expressions: as values, as `$regex`, and of `$regexMatch`, `$regexFind` and `$regexFindAll`. Those in values that are only
    /// compared count too.
    pub patterns: usize,
    /// Bytes of their texts, as far as they stand there.
    pub pattern_bytes: usize,
    /// Bytes of the whole, about.
    pub bytes: usize,
}

/// Patterns of one query or pipeline, and their bytes, for whoever may ask for anything.
const MOST_PATTERNS: usize = 1000;
const MOST_PATTERN_BYTES: usize = 8 * PATTERN_BYTES;
/// What has no more bytes is parsed in a moment, as long as there is no pattern.
const FEW_BYTES: usize = 8 << 10;
/// What a name, a type and a length take beside a value.
const OVERHEAD: usize = 16;

impl Asked {
    /// What a query, a stage, a projection or the operators of an update ask for.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let mut asked = Self::default();
        // Counting fails nowhere.
        let _ = asked.document(document, &mut |_, _| Ok(()));
        asked
    }

    /// What several ask for together.
    #[must_use]
    pub fn of_all<'a>(documents: impl IntoIterator<Item = &'a Document>) -> Self {
        let each = documents.into_iter().map(Self::of);
        each.fold(Self::default(), |all, one| Self {
            patterns: all.patterns + one.patterns,
            pattern_bytes: all.pattern_bytes + one.pattern_bytes,
            bytes: all.bytes + one.bytes,
        })
    }

    /// Whether to parse it takes long enough to be done beside a thread that serves.
    #[must_use]
    pub const fn is_much(self) -> bool {
        self.patterns > 0 || self.bytes > FEW_BYTES
    }

    /// Refuses more patterns than that, or longer ones.
    ///
    /// # Errors
    /// 2 for too many, 51091 for too long ones.
    pub fn within(self, patterns: usize, pattern_bytes: usize) -> Result<Self> {
        if self.patterns > patterns {
            return Err(Error::bad_value(format!(
                "there are {} regular expressions, and {patterns} are the most: write some of them as one, with |",
                self.patterns
            )));
        }
        if self.pattern_bytes > pattern_bytes {
            return Err(Error::new(
                51091,
                format!(
                    "Regular expression is invalid: all of them have {} bytes, and {pattern_bytes} are the most",
                    self.pattern_bytes
                ),
            ));
        }
        Ok(self)
    }

    /// Refuses what is too much for anybody.
    pub(crate) fn checked(self) -> Result<Self> {
        self.within(MOST_PATTERNS, MOST_PATTERN_BYTES)
    }

    fn document(
        &mut self,
        document: &Document,
        meet: &mut impl FnMut(&str, &str) -> Result<()>,
    ) -> Result<()> {
        for (name, value) in document {
            self.bytes += name.len();
            match (name.as_str(), value) {
                ("$regex", Bson::String(source)) => {
                    let options = document.get_str("$options").unwrap_or_default();
                    self.pattern(source, options, meet)?;
                }
                ("$regex", Bson::RegularExpression(regex)) => {
                    let own = regex.options.as_str();
                    let options = document.get_str("$options").unwrap_or(own);
                    self.pattern(regex.pattern.as_str(), options, meet)?;
                    continue;
                }
                ("$regexMatch" | "$regexFind" | "$regexFindAll", Bson::Document(arguments)) => {
                    let options = arguments.get("options").map(literal).and_then(Bson::as_str);
                    let options = options.unwrap_or_default();
                    match arguments.get("regex").map(literal) {
                        Some(Bson::String(source)) => self.pattern(source, options, meet)?,
                        // It is counted as a value, below.
                        Some(Bson::RegularExpression(regex)) if !options.is_empty() => {
                            meet(regex.pattern.as_str(), options)?;
                        }
                        Some(Bson::RegularExpression(_)) => {}
                        _ => self.patterns += 1,
                    }
                }
                _ => {}
            }
            self.value(value, meet)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Bson, meet: &mut impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
        self.bytes += OVERHEAD;
        match value {
            Bson::RegularExpression(regex) => {
                self.pattern(regex.pattern.as_str(), regex.options.as_str(), meet)
            }
            Bson::Document(document) => self.document(document, meet),
            Bson::Array(values) => values.iter().try_for_each(|value| self.value(value, meet)),
            Bson::String(text) => {
                self.bytes += text.len();
                Ok(())
            }
            Bson::Binary(binary) => {
                self.bytes += binary.bytes.len();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn pattern(
        &mut self,
        source: &str,
        options: &str,
        meet: &mut impl FnMut(&str, &str) -> Result<()>,
    ) -> Result<()> {
        self.patterns += 1;
        self.pattern_bytes += source.len();
        meet(source, options)
    }
}

/// Refuses what has a pattern that does not compile within the bounds of a [strict](crate::Context::strict) context. They are compiled
/// one after the other, so that this takes the memory of one.
///
/// # Errors
/// As [`Pattern::new`](super::Pattern::new).
pub fn refuse_large(document: &Document) -> Result<()> {
    Asked::default().document(document, &mut |source, options| {
        checked(source, options, STRICT_STEPS, STRICT_BYTES).map(drop)
    })
}

fn literal(value: &Bson) -> &Bson {
    match value {
        Bson::Document(document) => document.get("$literal").unwrap_or(value),
        _ => value,
    }
}
