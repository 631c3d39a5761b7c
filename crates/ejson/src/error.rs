//! What is wrong with a text, and where.

use std::fmt;

use wording::{Wording, wording};

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
    /// What is said of it, in both languages.
    #[must_use]
    pub fn wording(&self) -> Wording {
        let (reason, offset) = (self.reason.wording(), self.offset);
        wording!("{reason} at byte {offset}", "第 {offset} 字节处：{reason}"; reason)
    }

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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// JSON is exchanged as UTF-8.
    NotUtf8,
    /// The text stops inside a value.
    UnexpectedEnd,
    /// No value begins so.
    ExpectedValue,
    /// In an object, and no quoted key.
    ExpectedKey,
    /// Another byte was expected.
    Expected(char),
    /// A number must have digits there.
    ExpectedDigit,
    /// A backslash, and no escape after it.
    InvalidEscape,
    /// A control character stands unescaped in a string.
    ControlCharacter,
    /// Half a surrogate pair is no text, and BSON holds text.
    LoneSurrogate,
    /// BSON ends names and patterns with a zero byte.
    ZeroCharacter,
    /// A name stands twice in a document, and only one of the two can be kept.
    NameTwice,
    /// Something follows the value.
    ExpectedEnd,
    /// It is a value, but a document was asked for.
    ExpectedDocument,
    /// More than [`MAX_DEPTH`](crate::MAX_DEPTH) objects and arrays in one another.
    TooDeep,
    /// An object opens like one of Extended JSON's types, and is not of its form.
    InvalidType(&'static str),
    /// In the shell's syntax: a word that is neither a value nor one of the shell's functions.
    UnknownWord(String),
    /// In the shell's syntax: one of its functions was given something else than it takes.
    InvalidArguments {
        /// The function, as it was written.
        name: String,
        /// How it is written.
        form: &'static str,
    },
    /// In the shell's syntax: a key such as `a.b` outside of quotes.
    UnquotedPath,
    /// In the shell's syntax: `${…}`, which would have to be computed.
    TemplateText,
    /// A regular expression that BSON cannot hold.
    InvalidRegex,
}

impl Reason {
    /// What is said of it, in both languages.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::NotUtf8 => wording!("not UTF-8", "不是 UTF-8"),
            Self::UnexpectedEnd => wording!("the text ends too early", "文本不完整，提前结束了"),
            Self::ExpectedValue => wording!("expected a value", "这里应是一个值"),
            Self::ExpectedKey => wording!("expected a quoted key", "这里应是带引号的字段名"),
            Self::Expected(byte) => wording!("expected '{byte}'", "这里应是 '{byte}'"),
            Self::ExpectedDigit => wording!("expected a digit", "这里应是数字"),
            Self::InvalidEscape => wording!("invalid escape", "转义写法无效"),
            Self::ControlCharacter => wording!(
                "control character in a string",
                "字符串里有未转义的控制字符（如换行）"
            ),
            Self::LoneSurrogate => wording!("lone surrogate in a string", "字符串里有不成对的代理字符"),
            Self::ZeroCharacter => wording!(
                "zero character in a name or a pattern",
                "字段名或正则表达式里有零字符"
            ),
            Self::NameTwice => wording!(
                "this name stands twice in the object: remove one of them",
                "对象里这个字段名出现了两次：请删掉一个"
            ),
            Self::ExpectedEnd => wording!("expected the end of the text", "文本到这里应该结束"),
            Self::ExpectedDocument => wording!("expected a document", "这里应是一条记录（对象）"),
            Self::TooDeep => wording!("nested too deeply", "嵌套层数过多"),
            Self::InvalidType(name) => wording!("invalid {name}", "{name} 的写法无效"),
            Self::UnknownWord(word) => wording!(
                "{word:?} is not known here; a text stands in quotes",
                "不认识 {word:?}；文本要写在引号里"
            ),
            Self::InvalidArguments { name, form } => {
                wording!("{name} is written {form}", "{name} 应写成 {form}")
            }
            Self::UnquotedPath => wording!(
                "a key with a dot or a hyphen stands in quotes",
                "带点号或连字符的字段名要写在引号里"
            ),
            Self::TemplateText => wording!(
                "a text with ${{…}} is not computed here",
                "这里不计算带 ${{…}} 的文本"
            ),
            Self::InvalidRegex => wording!("invalid regular expression", "正则表达式无效"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for Reason {}
