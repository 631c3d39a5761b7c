//! What is wrong with a text, and where.

/// Why a text was refused, and the offset in bytes at which it showed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct Error {
    /// How many bytes stand before the offending one.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

impl Error {
    /// Line and column of the offending character in `text`, both from 1; columns count characters.
    #[must_use]
    pub fn place(&self, text: &str) -> (usize, usize) {
        let mut end = self.offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// What can be wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// JSON is exchanged as UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The text stops inside a value.
    #[error("the text ends too early")]
    UnexpectedEnd,
    /// No value begins so.
    #[error("expected a value")]
    ExpectedValue,
    /// In an object, and no quoted key.
    #[error("expected a quoted key")]
    ExpectedKey,
    /// Another byte was expected.
    #[error("expected '{0}'")]
    Expected(char),
    /// A number must have digits there.
    #[error("expected a digit")]
    ExpectedDigit,
    /// A backslash, and no escape after it.
    #[error("invalid escape")]
    InvalidEscape,
    /// A control character stands unescaped in a string.
    #[error("control character in a string")]
    ControlCharacter,
    /// Half a surrogate pair is no text, and BSON holds text.
    #[error("lone surrogate in a string")]
    LoneSurrogate,
    /// BSON ends names and patterns with a zero byte.
    #[error("zero character in a name or a pattern")]
    ZeroCharacter,
    /// A name stands twice in a document, and only one of the two can be kept.
    #[error("this name stands twice in the object: remove one of them")]
    NameTwice,
    /// Something follows the value.
    #[error("expected the end of the text")]
    ExpectedEnd,
    /// It is a value, but a document was asked for.
    #[error("expected a document")]
    ExpectedDocument,
    /// More than [`MAX_DEPTH`](crate::MAX_DEPTH) objects and arrays in one another.
    #[error("nested too deeply")]
    TooDeep,
    /// An object opens like one of Extended JSON's types, and is not of its form.
    #[error("invalid {0}")]
    InvalidType(&'static str),
    /// In the shell's syntax: a word that is neither a value nor one of the shell's functions.
    #[error("{0:?} is not known here; a text stands in quotes")]
    UnknownWord(String),
    /// In the shell's syntax: one of its functions was given something else than it takes.
    #[error("{name} is written {form}")]
    InvalidArguments {
        /// The function, as it was written.
        name: String,
        /// How it is written.
        form: &'static str,
    },
    /// In the shell's syntax: a key such as `a.b` outside of quotes.
    #[error("a key with a dot or a hyphen stands in quotes")]
    UnquotedPath,
    /// In the shell's syntax: `${…}`, which would have to be computed.
    #[error("a text with ${{…}} is not computed here")]
    TemplateText,
    /// A regular expression that BSON cannot hold.
    #[error("invalid regular expression")]
    InvalidRegex,
}
