//! The format of a body, JSON or XML. It is set as in the console's push settings, and never guessed.

use std::{borrow::Cow, fmt, str::FromStr};

use json::Object;
use thiserror::Error;
use wording::{Wording, wording};

use crate::{XmlError, codes, convert};

/// A body, and a message in it, is at most so many bytes: 1 MB. WeChat names no bound; a user's text is at most some kilobytes.
pub const MAX_BODY: usize = 1 << 20;

/// The data format (数据格式) of the console's push settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON
    Json,
    /// XML
    Xml,
}

impl Format {
    /// The name, as settings and people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Xml => "xml",
        }
    }

    /// What a body in this format is sent as: the content types that WeChat's pushes were seen with.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "text/xml",
        }
    }
}

impl FromStr for Format {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "json" => Ok(Self::Json),
            "xml" => Ok(Self::Xml),
            _ => Err(SettingError::Format(crate::excerpt(text))),
        }
    }
}

/// The mode (消息加解密方式) of the console's push settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 明文模式: the packet as it is.
    Plain,
    /// 兼容模式: the packet as it is, and encrypted beside it.
    Compatible,
    /// 安全模式: the packet encrypted.
    Secure,
}

impl Mode {
    /// The name, as settings and people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Compatible => "compatible",
            Self::Secure => "secure",
        }
    }
}

impl FromStr for Mode {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "plain" => Ok(Self::Plain),
            "compatible" => Ok(Self::Compatible),
            "secure" => Ok(Self::Secure),
            _ => Err(SettingError::Mode(crate::excerpt(text))),
        }
    }
}

/// Why settings are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingError {
    /// No mode.
    Mode(String),
    /// No format.
    Format(String),
    /// Nothing to decrypt with.
    NoKey(Mode),
    /// No appid.
    NoAppid,
}

impl SettingError {
    /// What is wrong and the mend.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::Mode(mode) => wording!(
                "{mode:?} is no push mode: it is \"plain\" (明文模式), \"compatible\" (兼容模式) or \"secure\" (安全模式), as in the console",
                "{mode:?} 不是推送模式：应与控制台一致，写 \"plain\"（明文模式）、\"compatible\"（兼容模式）或 \"secure\"（安全模式）"
            ),
            Self::Format(format) => wording!(
                "{format:?} is no push format: it is \"json\" or \"xml\", as in the console",
                "{format:?} 不是推送数据格式：应与控制台一致，写 \"json\" 或 \"xml\""
            ),
            Self::NoKey(mode) => {
                let mode = mode.as_str();
                wording!(
                    "push mode {mode:?} needs the EncodingAESKey of the console's push settings",
                    "推送模式 {mode:?} 需要控制台消息推送配置里的 EncodingAESKey"
                )
            }
            Self::NoAppid => wording!(
                "the appid is empty: encrypted messages name whom they are for",
                "appid 是空的：加密的消息里写明了是发给谁的"
            ),
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for SettingError {}

/// Why bytes are no object of a format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// So many bytes.
    #[error("{0} bytes, and at most {MAX_BODY} are read")]
    TooLarge(usize),
    /// It looks like the other format.
    #[error("it is written in {}, and the settings say {}: set the same format here and in the console", .found.as_str(), .configured.as_str())]
    Other {
        /// As it begins.
        found: Format,
        /// As it should be.
        configured: Format,
    },
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    Json(#[from] json::JsonError),
    /// Not XML as WeChat writes it.
    #[error("not XML as WeChat writes it: {0}")]
    Xml(#[from] XmlError),
    /// A field that decides something stands there twice: readers differ on which counts.
    #[error("the field {0} stands there twice")]
    Twice(&'static str),
    /// A field that must be text is something else.
    #[error("the field {0} is not text")]
    NotText(&'static str),
    /// There is no `Encrypt`.
    #[error("there is no field Encrypt")]
    NoEncrypt,
}

impl FormatError {
    /// The official sample's number.
    #[must_use]
    pub fn code(&self) -> i32 {
        codes::UNREADABLE
    }
}

/// The JSON object that these bytes are, or that stands for this XML. A byte order mark is skipped, and control characters in
/// strings, which users do type and WeChat passes on, are escaped.
pub(crate) fn to_json(format: Format, bytes: &[u8]) -> Result<Cow<'_, str>, FormatError> {
    if bytes.len() > MAX_BODY {
        return Err(FormatError::TooLarge(bytes.len()));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let other = |found| FormatError::Other {
        found,
        configured: format,
    };
    let first = bytes.trim_ascii_start().first();
    match (format, first) {
        (Format::Json, Some(b'<')) => Err(other(Format::Xml)),
        (Format::Xml, Some(b'{')) => Err(other(Format::Json)),
        (Format::Json, _) => match json::escape_controls(bytes) {
            Cow::Borrowed(bytes) => Ok(Cow::Borrowed(json_object(bytes)?)),
            Cow::Owned(bytes) => Ok(Cow::Owned(json_object(&bytes)?.to_owned())),
        },
        (Format::Xml, _) => Ok(Cow::Owned(convert::to_json(bytes)?)),
    }
}

fn json_object(bytes: &[u8]) -> Result<&str, json::JsonError> {
    Object::parse(bytes)?;
    json::validate(bytes)
}

/// The `Encrypt` of a body. What else stands there is not looked at: nothing signs it.
///
/// Blanks, which base64 has none of, were added on the way: those around it and line breaks are dropped, and a space is the
/// `+` that it was before somebody decoded the body as a form. The signature covers what results, so this trusts nobody.
///
/// # Errors
/// The body is not of this format, or has no `Encrypt`, or two.
pub fn encrypt_of(format: Format, body: &[u8]) -> Result<String, FormatError> {
    let text = to_json(format, body)?;
    let object = Object::parse(text.as_bytes())?;
    let encrypt = text_member(&object, "Encrypt")?.ok_or(FormatError::NoEncrypt)?;
    if !encrypt.contains([' ', '\t', '\r', '\n']) {
        return Ok(encrypt);
    }
    let lines = encrypt.split(['\t', '\r', '\n']).map(str::trim);
    Ok(lines.collect::<String>().replace(' ', "+"))
}

/// The text of a field that may stand there once.
pub(crate) fn text_member(object: &Object<'_>, name: &'static str) -> Result<Option<String>, FormatError> {
    only(object, name)?
        .map(|raw| {
            json::unescape(raw)
                .map(Cow::into_owned)
                .ok_or(FormatError::NotText(name))
        })
        .transpose()
}

/// The raw value of a field that may stand there once.
pub(crate) fn only<'a>(object: &Object<'a>, name: &'static str) -> Result<Option<&'a str>, FormatError> {
    let mut values = object
        .members()
        .iter()
        .filter(|member| member.key_is(name))
        .map(|member| member.value);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(FormatError::Twice(name)),
    }
}
