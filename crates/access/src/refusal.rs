//! How the platform says that a request did not come to a function, or a function to an answer: `{"code","message","requestId"}`.
//!
//! The codes are those of its document "HTTP 访问服务错误码". It says of no code which HTTP status goes with it, and gives few texts: both are
//! choices. A caller is a stranger here, so a text holds nothing of what a function threw; that is told to the log.

use std::fmt;

/// Why a request gets no answer from a function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessRefusal {
    /// No route and no file has this path.
    NoRoute,
    /// The route leads to a function that is not there.
    NoFunction,
    /// The request cannot be understood, or is one that is never answered.
    BadRequest(String),
    /// The method is not served.
    Method,
    /// The Host header names no host of this server.
    Host,
    /// A login is wanted, and no token was shown.
    NoCredentials,
    /// The token is not, or no longer, good.
    BadCredentials,
    /// The body is over 6 MB.
    TooLarge,
    /// There are too many large bodies at once.
    TooManyBodies,
    /// There are too many large replies on their way at once.
    TooManyReplies,
    /// The function has all the calls that it can have.
    Busy,
    /// The function threw, exited, or cannot be run.
    Failed,
    /// It ran out of memory.
    OutOfMemory,
    /// It took too long.
    TimedOut,
    /// Its answer is over 6 MB.
    ReplyTooLarge,
    /// Its answer is no HTTP reply; the text says why.
    NotAReply(String),
    /// Something of ours failed: the log has the cause.
    Internal,
}

impl AccessRefusal {
    /// The HTTP status: a choice.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::NoCredentials | Self::BadCredentials => 401,
            Self::Host => 403,
            Self::NoRoute | Self::NoFunction => 404,
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::TooManyBodies | Self::TooManyReplies | Self::Busy => 429,
            Self::Failed | Self::OutOfMemory | Self::Internal => 500,
            Self::ReplyTooLarge | Self::NotAReply(_) => 502,
            Self::TimedOut => 504,
        }
    }

    /// The platform's code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoute => "INVALID_PATH",
            Self::NoFunction => "FUNCTION_NOT_FOUND",
            Self::BadRequest(_) | Self::Method => "INVALID_REQUEST",
            Self::Host => "INVALID_HOST",
            Self::NoCredentials => "MISSING_CREDENTIALS",
            Self::BadCredentials => "INVALID_CREDENTIALS",
            Self::TooLarge => "EXCEED_MAX_PAYLOAD_SIZE",
            Self::TooManyBodies | Self::TooManyReplies => "EXCEED_RATELIMIT",
            Self::Busy => "FUNCTION_EXCEED_RESOURCE_LIMIT",
            Self::Failed => "FUNCTION_INVOCATION_FAILED",
            Self::OutOfMemory => "FUNCTION_MEMORY_LIMIT_EXCEEDED",
            Self::TimedOut => "FUNCTION_TIME_LIMIT_EXCEEDED",
            Self::ReplyTooLarge | Self::NotAReply(_) => "BAD_GATEWAY",
            // **Choice**: none of the document's is about the gateway itself.
            Self::Internal => "SYS_ERR",
        }
    }

    /// After how many seconds the same request may well be served.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Busy | Self::TooManyBodies | Self::TooManyReplies).then_some(1)
    }

    /// The reply's JSON.
    #[must_use]
    pub fn write(&self, request_id: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        out.extend_from_slice(b"{\"code\":");
        json::write_string(&mut out, self.code());
        out.extend_from_slice(b",\"message\":");
        json::write_string(&mut out, &self.to_string());
        out.extend_from_slice(b",\"requestId\":");
        json::write_string(&mut out, request_id);
        out.push(b'}');
        out
    }
}

impl fmt::Display for AccessRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NoRoute => "no route of HTTP access and no file of the site has this path",
            Self::NoFunction => "the function of this route was not found",
            Self::BadRequest(why) => why,
            Self::Method => "this method is not served here",
            Self::Host => "this server is not known by the name in the Host header",
            Self::NoCredentials => {
                "login required: send `Authorization: Bearer <token>`, with the token of POST /v1/login"
            }
            Self::BadCredentials => "the token is not valid, or no longer: log in again",
            Self::TooLarge => "the request body is over 6 MB",
            Self::TooManyBodies => "too many large request bodies at a time",
            Self::TooManyReplies => "too many large replies at a time",
            Self::Busy => "the function has too many calls at a time",
            Self::Failed => "the function failed; the log has the cause under this requestId",
            Self::OutOfMemory => "the function ran out of memory",
            Self::TimedOut => "the function took too long",
            Self::ReplyTooLarge => "the function's answer is over 6 MB",
            Self::NotAReply(why) => return write!(f, "the function's answer is no HTTP reply: {why}"),
            Self::Internal => "internal error",
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_three_members() {
        let text = AccessRefusal::NotAReply("`statusCode` is \"x\"".to_owned()).write("r1");
        assert_eq!(
            String::from_utf8_lossy(&text),
            r#"{"code":"BAD_GATEWAY","message":"the function's answer is no HTTP reply: `statusCode` is \"x\"","requestId":"r1"}"#
        );
    }
}
