//! Any of WeChat's APIs, for a caller that has made the request itself: the gateway, for a function's cloud calls and
//! for the operator's other servers. The access_token is added here and never seen outside.

use std::{fmt, time::Duration};

use bytes::Bytes;
use openapi::Method;

use crate::{WeChatClient, WeChatError, patience::Patience, transport::Request};

/// The largest answer that is read: a picture or a video, of which WeChat's largest have 10 MB.
const LARGEST_ANSWER: usize = 20 << 20;

/// A request to any of WeChat's APIs, less the access_token.
#[derive(Clone)]
pub struct OutgoingRequest<'a> {
    /// What messages call it, such as `subscribeMessage.send`, or its path.
    pub api: &'a str,
    /// Its method.
    pub method: Method,
    /// Its path, with a slash at the start, percent-encoded where a URL needs it.
    pub path: &'a str,
    /// Names and values of its query, not percent-encoded. An `access_token` in it is left out.
    pub query: &'a [(String, String)],
    /// The `content-type` of its body.
    pub content_type: Option<&'a str>,
    /// Its body; empty if there is none.
    pub body: Bytes,
}

impl<'a> OutgoingRequest<'a> {
    /// The request that [`openapi::Api::request`] made of a cloud call, whose body is handed in apart from it.
    #[must_use]
    pub fn of(api: &'a str, request: &'a openapi::ApiRequest, body: Bytes) -> Self {
        Self {
            api,
            method: request.method,
            path: request.path,
            query: &request.query,
            content_type: request.body.content_type(),
            body,
        }
    }
}

impl fmt::Debug for OutgoingRequest<'_> {
    /// Without query and body, which are personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("api", &self.api)
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// WeChat's answer as it came, whatever it says: an `errcode` in it is the caller's business.
#[derive(Clone)]
pub struct ApiAnswer {
    /// Its HTTP status. WeChat's is 200 even where it refuses; a redirect stands here as it came, and is not followed.
    pub status: u16,
    /// Its `content-type`, if it has one that is text.
    pub content_type: Option<String>,
    /// Its body.
    pub body: Bytes,
    /// How often the request was sent, from 1 to 4.
    pub attempts: u32,
}

impl fmt::Debug for ApiAnswer {
    /// Without the body, which is personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Called")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl WeChatClient {
    /// Sends a request to any API, with the access_token in its query, and gives the answer as it came. `within` is the
    /// time for all of it: for the token, for each attempt (none of which takes longer than
    /// [`WeChatConfig::timeout`](crate::WeChatConfig::timeout)), and for the pauses between them. It is machine time.
    ///
    /// * When WeChat refuses the token (40001, 40014, 42001), a new one is fetched and the request sent once more.
    /// * While WeChat is busy (-1), and while no connection comes about, the request is sent up to twice more, after
    ///   pauses of about 100 and 300 milliseconds. If a pause would outlast the time, or there were enough, what there
    ///   is is given: the answer of -1 as it came.
    /// * Nothing else is repeated; above all not a request whose connection broke before the answer, which WeChat may
    ///   have obeyed.
    ///
    /// # Errors
    /// The time ran out; WeChat cannot be reached; no token is to be had, in which case the error's `api` is
    /// `stable_token`; the answer is over 20 MB; path or content type are none that can be sent.
    pub async fn call(
        &self,
        request: &OutgoingRequest<'_>,
        within: Duration,
    ) -> Result<ApiAnswer, WeChatError> {
        let query: Vec<(&str, &str)> = request
            .query
            .iter()
            .filter(|(name, _)| name != "access_token")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let sent = Request {
            api: request.api,
            method: request.method,
            path: request.path,
            query: &query,
            content_type: request.content_type,
            body: request.body.clone(),
            largest_answer: LARGEST_ANSWER,
        };
        let mut patience = Patience::within(within);
        let outcome = tokio::time::timeout(within, self.authorized(&sent, &mut patience)).await;
        let mut answer = outcome.map_err(|_| WeChatError::TimedOut {
            api: request.api.to_owned(),
            after: within,
        })??;
        Ok(ApiAnswer {
            status: answer.status.as_u16(),
            content_type: answer.content_type,
            body: Bytes::from(std::mem::take(&mut *answer.body)),
            attempts: patience.attempts(),
        })
    }
}

#[cfg(test)]
mod tests;
