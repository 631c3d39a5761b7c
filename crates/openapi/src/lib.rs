//! WeChat's server API as a cloud function calls it: `cloud.openapi.subscribeMessage.send(params)`, with no access_token
//! in sight.
//!
//! The SDK sends a dotted name and one list of params; it knows no API, nor what belongs in a query and what in a body.
//! The server does: [`find`] looks the name up in the catalogue, [`Api::request`] makes the HTTPS request of the params,
//! less the access_token, and [`Api::reply`] says what the SDK is to be told about WeChat's answer. The other way round, [`invoke`]
//! is how WeChat lets a server call functions. Nothing here talks to anybody.
//!
//! The facts are from WeChat's documents "云调用", "服务端" (one page for each API), "公众号环境共享 / 云调用" and "错误码", and
//! from what wx-server-sdk 0.5.1 to 4.0.2 was seen to send. What no document says is a choice, and says so.

mod answer;
mod api;
pub mod case;
mod catalogue;
pub mod code;
mod credential;
pub mod errcode;
pub mod invoke;
mod media;
mod reply;
mod request;

pub use answer::SampleAnswer;
pub use api::{Api, ApiBodyKind, ApiReplyKind, CloudCallSupport, Identity, Method, Standing};
pub use catalogue::{all, at_path, find, nearest, search};
pub use credential::{hands_out_credentials, is_credential};
pub use media::{Boundary, mime_type};
pub use reply::ApiReply;
pub use request::{ApiBody, ApiParam, ApiRequest, JsonParams, RequestError};
