//! From the params of a cloud call to the HTTPS request that WeChat documents.
//!
//! A function gives all params alike; the catalogue tells which of them belong in the query. JSON text is spliced as the SDK
//! wrote it, never parsed into numbers: `12345678901234567890` stays what it is.

use std::borrow::Cow;

use thiserror::Error;

use crate::{
    Api, ApiBodyKind, Boundary, Method,
    case::{respell_keys, respelled},
    media::Form,
};

/// A param as the SDK sends it (`KeyValuePair`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiParam<'a> {
    /// Its name, in snake case unless the function said `convertCase: false`.
    pub key: &'a str,
    /// JSON text (a string with its quotes), or the bytes of a file.
    pub value: &'a [u8],
    /// The name of a file, and the sign that it is one; what is an empty string on the wire is `None` here.
    pub filename: Option<&'a str>,
}

/// An HTTPS request, less the access_token that goes into its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    /// Its method.
    pub method: Method,
    /// Its path, with a slash at the start.
    pub path: &'static str,
    /// Names and values of its query, in the order of the params, not percent-encoded.
    pub query: Vec<(String, String)>,
    /// Its body.
    pub body: ApiBody,
}

impl ApiRequest {
    /// The value that its query has for a name.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Says for which user it is made, unless the function has said so itself.
    pub fn identify(&mut self, openid: &str) {
        if self.query_value("openid").is_none() {
            self.query.push(("openid".to_owned(), openid.to_owned()));
        }
    }

    /// Adds the signature of its body by the user's session_key, which WeChat calls `hmac_sha256`.
    pub fn sign(&mut self, signature: String) {
        self.query.push(("signature".to_owned(), signature));
        self.query
            .push(("sig_method".to_owned(), "hmac_sha256".to_owned()));
    }
}

/// The params of `cloud.callOpenAPI`, which come as one JSON object.
#[derive(Clone, Debug)]
pub struct JsonParams<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> JsonParams<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// The text is not a JSON object.
    pub fn parse(text: &'a str) -> Result<Self, json::JsonError> {
        let object = json::Object::parse(text.as_bytes())?;
        let members = object.members().iter();
        Ok(Self(members.map(|member| (member.key(), member.value)).collect()))
    }

    /// Each as a pair. None of them is a file.
    #[must_use]
    pub fn pairs(&self) -> Vec<ApiParam<'_>> {
        let pairs = self.0.iter().map(|(key, value)| ApiParam {
            key,
            value: value.as_bytes(),
            filename: None,
        });
        pairs.collect()
    }
}

/// The body of a request. A retry needs it again: keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiBody {
    /// There is none.
    None,
    /// A JSON object.
    Json(Vec<u8>),
    /// A form with files.
    Multipart {
        /// `multipart/form-data; boundary=…`
        content_type: String,
        /// The form.
        bytes: Vec<u8>,
    },
}

impl ApiBody {
    /// The `content-type` to send it with.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Json(_) => Some("application/json"),
            Self::Multipart { content_type, .. } => Some(content_type),
        }
    }

    /// Its bytes, taken out of it.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Json(bytes) | Self::Multipart { bytes, .. } => std::mem::take(bytes),
        }
    }

    /// Its bytes; none where there is no body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Json(bytes) | Self::Multipart { bytes, .. } => bytes,
        }
    }
}

/// Why no request can be made of the params. No SDK sends such; the cloud's code for it is -501007, invalid parameters.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A param that is no file is not JSON either.
    #[error("the param {key:?} of {api} is not JSON text, as wx-server-sdk sends it: {source}")]
    NotJson {
        /// The API.
        api: &'static str,
        /// The param.
        key: String,
        /// What is wrong with it.
        source: json::JsonError,
    },
    /// A string for the query or a form has half of a surrogate pair in it, which stands for no text.
    #[error(
        "the param {key:?} of {api} holds half of a character (a lone surrogate): the text was cut in the middle of it"
    )]
    NotText {
        /// The API.
        api: &'static str,
        /// The param.
        key: String,
    },
    /// There is a file where only a query could hold it.
    #[error(
        "the param {key:?} of {api} is a file, and goes into a query: give the text or number that its document asks for"
    )]
    UnexpectedFile {
        /// The API.
        api: &'static str,
        /// The param.
        key: String,
    },
}

impl Api {
    /// The HTTPS request of a cloud call with these params. What [`Api::identity`](Self::identity) asks for, the caller adds
    /// to the query.
    ///
    /// * Of a POST, the params that [`query`](Self::query) names go into the query and the rest into the body; of a GET, all
    ///   go into the query. There, a string stands without its quotes, `null` is left out, and another value is its JSON text.
    /// * A param named `access_token` is left out: the token is the server's business.
    /// * A file makes the body a form. A lone one has the field name that the API documents, whatever the function called it; what
    ///   else would be in the body are fields of the form.
    /// * An API that documents a form, and is given neither file nor field for it, gets no body: so it is with `imgUrl` in place of
    ///   `img`.
    /// * Keys that the SDK's conversion spoils are put right ([`spelled`](Self::spelled)).
    ///
    /// # Errors
    /// The params are not what an SDK sends.
    pub fn request(&self, pairs: &[ApiParam<'_>], boundary: &Boundary) -> Result<ApiRequest, RequestError> {
        let method = self.method_sent();
        let mut request = ApiRequest {
            method,
            path: self.path,
            query: Vec::new(),
            body: ApiBody::None,
        };
        let mut rest = Vec::with_capacity(pairs.len());
        for pair in pairs.iter().filter(|pair| pair.key != "access_token") {
            let param = self.param(pair)?;
            if method == Method::Get || self.query().any(|name| name == param.key) {
                if let Some(text) = param.text(self)? {
                    request.query.push((param.key.to_owned(), text.into_owned()));
                }
            } else {
                rest.push(param);
            }
        }
        let files = rest
            .iter()
            .filter(|param| matches!(param.value, Value::File { .. }))
            .count();
        request.body = match (method, self.body) {
            (Method::Get, _) => ApiBody::None,
            (Method::Post, ApiBodyKind::Json | ApiBodyKind::None) if files == 0 => object(&rest),
            (Method::Post, ApiBodyKind::Multipart(_)) if rest.is_empty() => ApiBody::None,
            (Method::Post, kind) => {
                let documented = match kind {
                    ApiBodyKind::Multipart(field) if files == 1 => field,
                    _ => None,
                };
                self.form(&rest, documented, boundary)?
            }
        };
        Ok(request)
    }

    /// Checks a pair, and puts its spelling right.
    fn param<'a>(&self, pair: &ApiParam<'a>) -> Result<Param<'a>, RequestError> {
        let key = respelled(pair.key, self.spelled()).unwrap_or(pair.key);
        if let Some(name) = pair.filename {
            let value = Value::File {
                name,
                bytes: pair.value,
            };
            return Ok(Param { key, value });
        }
        let text = json::validate(pair.value).map_err(|source| RequestError::NotJson {
            api: self.name,
            key: key.to_owned(),
            source,
        })?;
        let text = text.trim_ascii();
        let value = if self.spelled().next().is_none() {
            Value::Json(Cow::Borrowed(text))
        } else {
            Value::Json(Cow::Owned(respell_keys(text, || self.spelled())))
        };
        Ok(Param { key, value })
    }

    /// A form of these params, the only file by its documented name.
    fn form(
        &self,
        params: &[Param<'_>],
        documented: Option<&str>,
        boundary: &Boundary,
    ) -> Result<ApiBody, RequestError> {
        let mut form = Form::new(boundary.clone());
        for param in params {
            match &param.value {
                Value::File { name, bytes } => form.file(documented.unwrap_or(param.key), name, bytes),
                Value::Json(_) => {
                    if let Some(text) = param.text(self)? {
                        form.text(param.key, &text);
                    }
                }
            }
        }
        let (bytes, content_type) = form.finish();
        Ok(ApiBody::Multipart { content_type, bytes })
    }
}

/// A param that was checked.
struct Param<'a> {
    key: &'a str,
    value: Value<'a>,
}

enum Value<'a> {
    Json(Cow<'a, str>),
    File { name: &'a str, bytes: &'a [u8] },
}

impl Param<'_> {
    /// What stands for it in a query or a field of a form; nothing for `null`.
    fn text(&self, api: &Api) -> Result<Option<Cow<'_, str>>, RequestError> {
        let key = || self.key.to_owned();
        match &self.value {
            Value::File { .. } => Err(RequestError::UnexpectedFile {
                api: api.name,
                key: key(),
            }),
            Value::Json(text) if text == "null" => Ok(None),
            Value::Json(text) if json::is_string(text) => match json::unescape(text) {
                Some(text) => Ok(Some(text)),
                None => Err(RequestError::NotText {
                    api: api.name,
                    key: key(),
                }),
            },
            Value::Json(text) => Ok(Some(Cow::Borrowed(text))),
        }
    }
}

/// A JSON object of the params that are no files.
fn object(params: &[Param<'_>]) -> ApiBody {
    let mut out = vec![b'{'];
    for param in params {
        if let Value::Json(text) = &param.value {
            if out.len() > 1 {
                out.push(b',');
            }
            json::write_string(&mut out, param.key);
            out.push(b':');
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.push(b'}');
    ApiBody::Json(out)
}

#[cfg(test)]
mod tests;
