//! Why a client is not served, in the gateway's words: a string code, a text, and HTTP's status.

use serde_json::json;

/// Paths that CloudBase's SDKs alone ask for, and what they are told where nothing is behind.
const PATHS: [(&str, &str); 7] = [
    (
        "/v1/model",
        "data models are not served here: use the collections of the database",
    ),
    (
        "/v1/rdb",
        "relational databases are not served here: use the collections of the database",
    ),
    ("/v1/cloudrun", "containers are not served here: call a function"),
    (
        "/v1/ai",
        "AI is not served here: call a function that asks for it",
    ),
    ("/v1/database/", "no such path of the database"),
    ("/v1/storages", "no such path of storage"),
    ("/web/", "requests of the older SDKs go to /web itself"),
];

/// An answer other than success, of `/v1/…` and of `/web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebFault {
    /// HTTP's status, where the dialect has one: `/web` answers 200 in any case.
    pub status: u16,
    /// The code that programs test for.
    pub code: String,
    /// The text.
    pub message: String,
}

impl WebFault {
    /// A fault of this status and code.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// The request is not of an SDK's form.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_PARAM", message)
    }

    /// Whether a path is one that CloudBase's SDKs alone ask for.
    #[must_use]
    pub fn knows_path(path: &str) -> bool {
        PATHS.iter().any(|(prefix, _)| path.starts_with(prefix))
    }

    /// There is nothing behind a path that one of CloudBase's SDKs asks for.
    #[must_use]
    pub fn no_path(path: &str) -> Self {
        let known = PATHS.iter().find(|(prefix, _)| path.starts_with(prefix));
        let message = known.map_or("there is no such path here", |(_, message)| message);
        Self::new(404, "INVALID_PATH", message)
    }

    /// There is no token where one is needed, or what was shown has not the form of one.
    #[must_use]
    pub fn no_token() -> Self {
        Self::new(
            401,
            "INVALID_ACCESS_TOKEN",
            "no valid access token: sign in first",
        )
    }

    /// The token was good once, or at another server: SDKs get another by their refresh token and ask again, and where that is not good
    /// either, they end their session, and the program logs in.
    #[must_use]
    pub fn expired() -> Self {
        Self::new(401, "ACCESS_TOKEN_EXPIRED", "access token is expired")
    }

    /// What goes with a code of the database or of storage: as CloudBase's table has it, and for what it does not have, as one would expect.
    #[must_use]
    pub fn status_of(code: &str) -> u16 {
        match code {
            "DATABASE_PERMISSION_DENIED" => 401,
            "DATABASE_INVALID_OPERRATOR" | "STORAGE_EXCEED_AUTHORITY" => 403,
            "DATABASE_COLLECTION_NOT_EXIST" | "DOCUMENT_NOT_FOUND" | "STORAGE_FILE_NONEXIST" => 404,
            "DATABASE_COLLECTION_ALREADY_EXIST"
            | "DATABASE_DUPLICATE_WRITE"
            | "DATABASE_TRANSACTION_CONFLICT" => 409,
            "EXCEED_REQUEST_LIMIT" | "EXCEED_CONCURRENT_REQUEST_LIMIT" => 429,
            "SYS_ERR" | "STORAGE_REQUEST_FAIL" => 500,
            "DATABASE_TIMEOUT" => 504,
            _ => 400,
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        json!({"code": self.code, "message": self.message, "requestId": request_id})
            .to_string()
            .into_bytes()
    }
}
