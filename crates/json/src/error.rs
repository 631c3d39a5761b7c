//! What is wrong with a text, and where.

use thiserror::Error;

/// Why a text was refused: what is wrong, and the offset in bytes at which it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{reason} at byte {offset}")]
pub struct JsonError {
    /// How many bytes stand before the offending one; the length of the text if it ended too early.
    pub offset: usize,
    /// What is wrong there.
    pub reason: JsonReason,
}

/// What can be wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonReason {
    /// JSON is exchanged as UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The text stops inside a value.
    #[error("the text ends too early")]
    UnexpectedEnd,
    /// No value begins so: `undefined`, `NaN`, a single quote, a comment, or a comma too many.
    #[error("expected a value")]
    ExpectedValue,
    /// In an object, and no quoted key.
    #[error("expected a quoted key")]
    ExpectedKey,
    /// After a key.
    #[error("expected ':'")]
    ExpectedColon,
    /// After a member of an object.
    #[error("expected ',' or '}}'")]
    ExpectedCommaOrBrace,
    /// After an element of an array.
    #[error("expected ',' or ']'")]
    ExpectedCommaOrBracket,
    /// A number must have digits there: `-`, `1.` and `1e` are not numbers.
    #[error("expected a digit")]
    ExpectedDigit,
    /// A backslash, and none of `"\/bfnrtu` after it, or not four hexadecimal digits after `\u`.
    #[error("invalid escape")]
    InvalidEscape,
    /// A line break, tab or other control character stands unescaped in a string.
    #[error("control character in a string")]
    ControlCharacter,
    /// Something follows the value.
    #[error("expected the end of the text")]
    ExpectedEnd,
    /// It is JSON, but an object was asked for.
    #[error("expected an object")]
    ExpectedObject,
    /// It is JSON, but an array was asked for.
    #[error("expected an array")]
    ExpectedArray,
    /// It is JSON, but a string was asked for.
    #[error("expected a string")]
    ExpectedString,
    /// An array has more elements than were asked for.
    #[error("too many elements")]
    TooManyElements,
    /// A string with half a surrogate pair stands for no text.
    #[error("lone surrogate in a string")]
    LoneSurrogate,
}
