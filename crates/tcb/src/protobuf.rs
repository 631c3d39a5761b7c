//! The protobuf messages within `wx.openApi`: what a cloud call asks, and what it is answered.
//!
//! A handful of small proto3 messages, numbered as observed with wx-server-sdk 0.5.1 to 4.0.2. What is read is borrowed
//! from the request; unknown fields are passed over, and what is malformed is refused. No message contains itself, so
//! nothing recurses. What the SDK reads is written; what only the SDK writes is only read.

#[cfg(test)]
mod tests;
mod wire;

use thiserror::Error;

pub use wire::Reason;

use wire::{Fields, Writer};

/// A list has at most so many elements: each costs some bytes in the request, and many times that in memory.
pub const MAX_ELEMENTS: usize = 1024;

/// Why bytes are not the message that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the protobuf message {message} cannot be read: {reason}")]
pub struct ProtobufError {
    /// The message.
    pub message: &'static str,
    /// What is wrong in it, or in a message within it.
    pub reason: Reason,
}

/// `CommApiData`: what one `wx.openApi` asks, the field `requestData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommApiData<'a> {
    /// What is asked.
    pub data: ApiData<'a>,
    /// `openapi({appid})`, `getOpenData({appid})`: in whose name, if not the caller's.
    pub appid: Option<&'a str>,
}

/// What is asked, by `apiType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiData<'a> {
    /// 0, `OPEN_API`: the parameters of `cloud.openapi.x.y(…)`; which `x.y` is the envelope's `apiName`.
    OpenApi(Vec<KeyValuePair<'a>>),
    /// 2, `SVRKIT_API`: one of WeChat's own services.
    Svrkit(SvrkitApiData<'a>),
    /// 3, `TOKEN_API`: credentials for another account.
    Token(TokenApiData<'a>),
}

/// One parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyValuePair<'a> {
    /// Its name, in snake_case unless the caller said otherwise.
    pub key: &'a str,
    /// JSON text; of a media parameter the file itself.
    pub value: &'a [u8],
    /// Never set by the SDK, whose names for it do not agree.
    pub contenttype: &'a str,
    /// Set for a media parameter; the content type follows from its extension.
    pub filename: &'a str,
}

/// A call of one of WeChat's services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SvrkitApiData<'a> {
    /// Which; the same as the envelope's `apiName`.
    pub api_name: &'a str,
    /// A message of its own.
    pub req_data: &'a [u8],
}

/// Whose environment is to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenApiData<'a> {
    /// Its owner.
    pub resource_appid: &'a str,
    /// Its id.
    pub resource_env: &'a str,
}

/// `ApiGetOpenDataByCloudIdReq`: `cloud.getOpenData({list})`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenDataRequest<'a> {
    /// The cloudIDs, in the order in which the items are expected.
    pub cloud_ids: Vec<&'a str>,
}

/// `ApiVoipSignReq`: `cloud.getVoIPSign({groupId, timestamp, nonce})`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoipSignRequest<'a> {
    /// The room.
    pub group_id: &'a str,
    /// Seconds since the epoch.
    pub timestamp: u32,
    /// Any text.
    pub nonce: &'a str,
}

impl<'a> CommApiData<'a> {
    /// Reads one from `requestData`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ProtobufError> {
        Self::read(bytes).map_err(in_message("CommApiData"))
    }

    fn read(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (mut api_type, mut appid) = (0, "");
        let (mut pairs, mut svrkit, mut token) =
            (Vec::new(), SvrkitApiData::default(), TokenApiData::default());
        for field in Fields::new(bytes) {
            match field? {
                (1, value) => api_type = value.int32()?,
                (2, value) => read_pairs(value.bytes()?, &mut pairs)?,
                (4, value) => svrkit.read(value.bytes()?)?,
                (5, value) => token.read(value.bytes()?)?,
                (6, value) => appid = value.text()?,
                _ => {}
            }
        }
        let data = match api_type {
            0 => ApiData::OpenApi(pairs),
            2 => ApiData::Svrkit(svrkit),
            3 => ApiData::Token(token),
            other => return Err(Reason::ApiType(other)),
        };
        let appid = Some(appid).filter(|appid| !appid.is_empty());
        Ok(Self { data, appid })
    }
}

/// `OpenApiData`, which is nothing but a list.
fn read_pairs<'a>(bytes: &'a [u8], pairs: &mut Vec<KeyValuePair<'a>>) -> Result<(), Reason> {
    for field in Fields::new(bytes) {
        if let (1, value) = field? {
            let mut pair = KeyValuePair::default();
            for field in Fields::new(value.bytes()?) {
                match field? {
                    (1, value) => pair.key = value.text()?,
                    (2, value) => pair.value = value.bytes()?,
                    (3, value) => pair.contenttype = value.text()?,
                    (4, value) => pair.filename = value.text()?,
                    _ => {}
                }
            }
            push(pairs, pair)?;
        }
    }
    Ok(())
}

impl<'a> SvrkitApiData<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), Reason> {
        for field in Fields::new(bytes) {
            match field? {
                (1, value) => self.api_name = value.text()?,
                (2, value) => self.req_data = value.bytes()?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> TokenApiData<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), Reason> {
        for field in Fields::new(bytes) {
            match field? {
                (1, value) => self.resource_appid = value.text()?,
                (2, value) => self.resource_env = value.text()?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> OpenDataRequest<'a> {
    /// Reads one from `reqData`. Its field `appid` is passed over: the SDK sets the one of [`CommApiData`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ProtobufError> {
        Self::read(bytes).map_err(in_message("ApiGetOpenDataByCloudIdReq"))
    }

    fn read(bytes: &'a [u8]) -> Result<Self, Reason> {
        let mut cloud_ids = Vec::new();
        for field in Fields::new(bytes) {
            if let (2, value) = field? {
                push(&mut cloud_ids, value.text()?)?;
            }
        }
        Ok(Self { cloud_ids })
    }
}

impl<'a> VoipSignRequest<'a> {
    /// Reads one from `reqData`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ProtobufError> {
        Self::read(bytes).map_err(in_message("ApiVoipSignReq"))
    }

    fn read(bytes: &'a [u8]) -> Result<Self, Reason> {
        let mut request = Self::default();
        for field in Fields::new(bytes) {
            match field? {
                (2, value) => request.group_id = value.text()?,
                (3, value) => request.timestamp = value.uint32()?,
                (4, value) => request.nonce = value.text()?,
                _ => {}
            }
        }
        Ok(request)
    }
}

/// `CommOpenApiResp`: the answer to a [`CommApiData`].
///
/// The SDK ignores its fields `httpCode` and `headers`, so there are none here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommOpenApiResp {
    /// WeChat's reply as it came, or a message such as [`OpenDataResponse`].
    pub resp_data: Vec<u8>,
    /// The content type of WeChat's reply. JSON and text become an object in the function, all else a Buffer.
    pub content_type: String,
    /// Not 0: the platform refused the call (-604100, -604101 …), and the rest is ignored.
    pub error_code: i32,
    /// Not 0: the service of a [`SvrkitApiData`] failed, which the SDK shows as -601001.
    pub svrkit_error_code: i32,
}

impl CommOpenApiResp {
    /// The reply of an HTTPS interface, with the content type that it had.
    pub fn new(content_type: impl Into<String>, resp_data: Vec<u8>) -> Self {
        Self {
            resp_data,
            content_type: content_type.into(),
            ..Self::default()
        }
    }

    /// The answer of one of WeChat's services.
    #[must_use]
    pub fn svrkit(resp_data: Vec<u8>) -> Self {
        Self::new("", resp_data)
    }

    /// A refusal: the SDK rejects with this code, its own text for it, and `system error: error code: N`.
    #[must_use]
    pub fn error(error_code: i32) -> Self {
        Self {
            error_code,
            ..Self::default()
        }
    }

    /// As the SDK reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(self.resp_data.len() + self.content_type.len() + 40);
        out.bytes(1, &self.resp_data);
        out.bytes(2, self.content_type.as_bytes());
        out.int32(3, self.error_code);
        out.int32(6, self.svrkit_error_code);
        out.finish()
    }
}

/// `ApiGetOpenDataByCloudIdResp`, item by item.
#[derive(Debug, Default)]
pub struct OpenDataResponse(Writer);

impl OpenDataResponse {
    /// Adds an item. `json` is the text of the element that the function sees: `{"cloudID","data"}`, or `{"cloudID",
    /// "errCode","errMsg"}`; were it empty, the SDK would reject the whole call.
    pub fn push(&mut self, cloud_id: &str, json: &str) {
        let mut item = Writer::with_capacity(cloud_id.len() + json.len() + 20);
        item.bytes(1, cloud_id.as_bytes());
        item.bytes(2, json.as_bytes());
        self.0.message(1, &item.finish());
    }

    /// As the SDK reads it.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        self.0.finish()
    }
}

/// `ApiVoipSignResp`: the signature of [`VoipSignRequest`].
#[must_use]
pub fn voip_sign_response(signature: &str) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes(1, signature.as_bytes());
    out.finish()
}

fn in_message(message: &'static str) -> impl FnOnce(Reason) -> ProtobufError {
    move |reason| ProtobufError { message, reason }
}

fn push<T>(list: &mut Vec<T>, element: T) -> Result<(), Reason> {
    if list.len() == MAX_ELEMENTS {
        return Err(Reason::TooManyElements);
    }
    list.push(element);
    Ok(())
}
