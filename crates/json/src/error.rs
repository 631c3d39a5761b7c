//! What is wrong with a text, and where.

use std::fmt;

use thiserror::Error;
use wording::{Wording, wording};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonReason {
    /// JSON is exchanged as UTF-8.
    NotUtf8,
    /// The text stops inside a value.
    UnexpectedEnd,
    /// No value begins so: `undefined`, `NaN`, a single quote, a comment, or a comma too many.
    ExpectedValue,
    /// In an object, and no quoted key.
    ExpectedKey,
    /// After a key.
    ExpectedColon,
    /// After a member of an object.
    ExpectedCommaOrBrace,
    /// After an element of an array.
    ExpectedCommaOrBracket,
    /// A number must have digits there: `-`, `1.` and `1e` are not numbers.
    ExpectedDigit,
    /// A backslash, and none of `"\/bfnrtu` after it, or not four hexadecimal digits after `\u`.
    InvalidEscape,
    /// A line break, tab or other control character stands unescaped in a string.
    ControlCharacter,
    /// Something follows the value.
    ExpectedEnd,
    /// It is JSON, but an object was asked for.
    ExpectedObject,
    /// It is JSON, but an array was asked for.
    ExpectedArray,
    /// It is JSON, but a string was asked for.
    ExpectedString,
    /// An array has more elements than were asked for.
    TooManyElements,
    /// A string with half a surrogate pair stands for no text.
    LoneSurrogate,
}

impl JsonReason {
    /// As a person is told.
    #[must_use]
    pub fn wording(self) -> Wording {
        match self {
            Self::NotUtf8 => wording!("not UTF-8", "不是 UTF-8"),
            Self::UnexpectedEnd => wording!("the text ends too early", "文本不完整，提前结束了"),
            Self::ExpectedValue => wording!("expected a value", "这里应是一个值"),
            Self::ExpectedKey => wording!("expected a quoted key", "这里应是带引号的字段名"),
            Self::ExpectedColon => wording!("expected ':'", "这里应是 ':'"),
            Self::ExpectedCommaOrBrace => wording!("expected ',' or '}}'", "这里应是 ',' 或 '}}'"),
            Self::ExpectedCommaOrBracket => wording!("expected ',' or ']'", "这里应是 ',' 或 ']'"),
            Self::ExpectedDigit => wording!("expected a digit", "这里应是数字"),
            Self::InvalidEscape => wording!("invalid escape", "转义写法无效"),
            Self::ControlCharacter => wording!(
                "control character in a string",
                "字符串里有未转义的控制字符（如换行）"
            ),
            Self::ExpectedEnd => wording!("expected the end of the text", "文本到这里应该结束"),
            Self::ExpectedObject => wording!("expected an object", "这里应是对象"),
            Self::ExpectedArray => wording!("expected an array", "这里应是数组"),
            Self::ExpectedString => wording!("expected a string", "这里应是字符串"),
            Self::TooManyElements => wording!("too many elements", "元素过多"),
            Self::LoneSurrogate => wording!("lone surrogate in a string", "字符串里有不成对的代理字符"),
        }
    }
}

impl fmt::Display for JsonReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for JsonReason {}
