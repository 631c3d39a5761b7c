//! One request of the SDK: named fields, in a JSON object or in a multipart form, of which `action` says what is wanted.
//!
//! Both forms become one view, because both are signed alike. The SDK signs what JavaScript holds, not what stands in the
//! body, and so that is what a [`FieldValue`] is: the text of a string, the raw JSON of anything else, the bytes of a Buffer.
//! It also signs names in lower case; here a name means the same in either case, and none may stand there twice.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use json::Object;
use thiserror::Error;

use crate::{MultipartError, codes, multipart};

/// A body is at most so many bytes: 16 MB, enough for an event of 6 MB as text within text.
pub const MAX_BODY: usize = 16 << 20;
/// A request has at most so many fields. The SDK sends about 20.
pub const MAX_FIELDS: usize = 64;
/// A field's name is at most so many bytes.
const MAX_NAME: usize = 64;

/// A request of the SDK. `Debug` shows the names of its fields and nothing of their content, which holds credentials.
#[derive(Clone)]
pub struct Envelope<'a> {
    fields: Vec<Field<'a>>,
}

#[derive(Clone)]
struct Field<'a> {
    name: Cow<'a, str>,
    value: FieldValue<'a>,
}

/// What a field holds, as JavaScript knew it before it was sent.
#[derive(Clone, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A string: of a JSON body without its escapes (a lone surrogate is U+FFFD), of a form as it stands in its part.
    Text(Cow<'a, str>),
    /// A number, boolean, null, array or object of a JSON body, exactly as it stands there.
    Json(&'a str),
    /// A Buffer or file: a part with a content type or file name of its own.
    Bytes(&'a [u8]),
}

/// Why a request is not valid. `Display` says what is wrong with it; the client's code is [`code`](Self::code).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The body is so many bytes.
    #[error("the request's body is {0} bytes, and at most {MAX_BODY} are read")]
    TooLarge(usize),
    /// Neither of the two forms.
    #[error("the content type {0:?} is neither application/json nor multipart/form-data")]
    ContentType(String),
    /// A JSON body that is no object.
    #[error("the request's body is not a JSON object: {0}")]
    Json(#[from] json::JsonError),
    /// A multipart body that is no form.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// A part without a content type of its own is text, and this one is not UTF-8.
    #[error("the text field {0:?} is not UTF-8")]
    NotUtf8(String),
    /// So many fields.
    #[error("the request has {0} fields, and at most {MAX_FIELDS} are read")]
    TooManyFields(usize),
    /// A name that no SDK gives a field.
    #[error("the request has a field {0:?}: a name is 1 to {MAX_NAME} letters, digits, '_', '-' or '.'")]
    Name(String),
    /// Two fields of one name: whoever checks one of them might use the other.
    #[error("the request has the field {0:?} twice (names are compared in lower case)")]
    Twice(String),
    /// Nothing says what is wanted.
    #[error("the request has no text field `action`")]
    NoAction,
}

impl EnvelopeError {
    /// `INVALID_PARAM`, whatever is wrong.
    #[must_use]
    pub fn code(&self) -> i32 {
        codes::INVALID_PARAM
    }
}

impl<'a> Envelope<'a> {
    /// Reads a request from its `content-type` header and its whole body.
    pub fn parse(content_type: &str, body: &'a [u8]) -> Result<Self, EnvelopeError> {
        if body.len() > MAX_BODY {
            return Err(EnvelopeError::TooLarge(body.len()));
        }
        let (essence, parameters) =
            content_type.split_at(content_type.find(';').unwrap_or(content_type.len()));
        let essence = essence.trim();
        let fields = if essence.eq_ignore_ascii_case("application/json") {
            json_fields(body)?
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            form_fields(parameters, body)?
        } else {
            return Err(EnvelopeError::ContentType(excerpt(content_type)));
        };
        for (at, field) in fields.iter().enumerate() {
            if !is_name(&field.name) {
                return Err(EnvelopeError::Name(excerpt(&field.name)));
            }
            if fields[..at]
                .iter()
                .any(|before| before.name.eq_ignore_ascii_case(&field.name))
            {
                return Err(EnvelopeError::Twice(field.name.to_string()));
            }
        }
        let envelope = Self { fields };
        match envelope.text("action") {
            Some(action) if !action.is_empty() => Ok(envelope),
            _ => Err(EnvelopeError::NoAction),
        }
    }

    /// A request that came in another form, as fields of the SDK's. Their names are the caller's own.
    #[must_use]
    pub fn of_fields(fields: impl IntoIterator<Item = (&'static str, FieldValue<'a>)>) -> Self {
        let field = |(name, value)| Field {
            name: Cow::Borrowed(name),
            value,
        };
        Self {
            fields: fields.into_iter().map(field).collect(),
        }
    }

    /// The field of that name, in whatever case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FieldValue<'a>> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| &field.value)
    }

    /// The field of that name, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(FieldValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Text that says something: the SDK sends many fields whether it has a value for them or not.
    fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// What is wanted: the field `action` as it came.
    #[must_use]
    pub fn action_name(&self) -> &str {
        self.text("action").unwrap_or_default()
    }

    /// `wxCloudApiToken`: which invocation asks. `None` if the field is absent or empty, as outside of one.
    #[must_use]
    pub fn api_token(&self) -> Option<&str> {
        self.filled("wxCloudApiToken")
    }

    /// Whether there is a field `wxCloudApiToken`, be it empty: the oldest SDKs have none where they call a function, ask the database or
    /// hand over a file.
    #[must_use]
    pub fn has_token_field(&self) -> bool {
        self.get("wxCloudApiToken").is_some()
    }

    /// `envName`: the environment meant; `None` means the default one.
    #[must_use]
    pub fn env_name(&self) -> Option<&str> {
        self.filled("envName")
    }

    /// `apiName` of the `wx.*` actions: `subscribeMessage.send`, `ApiGetOpenDataByCloudId`, `token.get`.
    #[must_use]
    pub fn api_name(&self) -> Option<&str> {
        self.filled("apiName")
    }

    /// `function_name` of `functions.invokeFunction`.
    #[must_use]
    pub fn function_name(&self) -> Option<&str> {
        self.filled("function_name")
    }

    /// `request_data` of `functions.invokeFunction`: the callee's event, as JSON text that nobody has checked.
    #[must_use]
    pub fn function_data(&self) -> Option<&str> {
        self.text("request_data")
    }

    /// `requestData` of `wx.openApi`: a [`CommApiData`](crate::protobuf::CommApiData).
    #[must_use]
    pub fn request_message(&self) -> Option<&'a [u8]> {
        match self.get("requestData") {
            Some(FieldValue::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// `requestData` of `wx.api`: JSON text that nobody has checked.
    #[must_use]
    pub fn request_text(&self) -> Option<&str> {
        self.text("requestData")
    }

    /// All fields, in the order of the body, with their names as they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldValue<'a>)> {
        self.fields.iter().map(|field| (&*field.name, &field.value))
    }
}

impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envelope ")?;
        f.debug_set()
            .entries(self.fields.iter().map(|field| &field.name))
            .finish()
    }
}

impl fmt::Debug for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, length) = match self {
            Self::Text(text) => ("Text", text.len()),
            Self::Json(raw) => ("Json", raw.len()),
            Self::Bytes(bytes) => ("Bytes", bytes.len()),
        };
        write!(f, "{kind}({length} bytes)")
    }
}

fn json_fields(body: &[u8]) -> Result<Vec<Field<'_>>, EnvelopeError> {
    let object = Object::parse(body)?;
    let members = object.members();
    if members.len() > MAX_FIELDS {
        return Err(EnvelopeError::TooManyFields(members.len()));
    }
    Ok(members
        .iter()
        .map(|member| Field {
            name: member.key(),
            value: if json::is_string(member.value) {
                FieldValue::Text(json::unescape_lossy(member.value))
            } else {
                FieldValue::Json(member.value)
            },
        })
        .collect())
}

fn form_fields<'a>(parameters: &str, body: &'a [u8]) -> Result<Vec<Field<'a>>, EnvelopeError> {
    multipart::parts(parameters, body, MAX_FIELDS)?
        .into_iter()
        .map(|part| {
            let value = if part.content_type.is_some() || part.filename.is_some() {
                FieldValue::Bytes(part.bytes)
            } else {
                let text = std::str::from_utf8(part.bytes);
                FieldValue::Text(Cow::Borrowed(
                    text.map_err(|_| EnvelopeError::NotUtf8(excerpt(part.name)))?,
                ))
            };
            let name = Cow::Borrowed(part.name);
            Ok(Field { name, value })
        })
        .collect()
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Enough of a text to recognise it in a log.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}
