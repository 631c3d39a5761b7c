//! Requests of the unmodified SDK, versions 0.5.1 to 4.0.2, as `recorded/record.mjs` recorded them.
#![allow(clippy::unwrap_used)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    Envelope,
    signature::{Head, SecretId, SecretKey, SignatureError, verify},
};

pub(crate) const SECRET_ID: &str = "AKIDrecorded";
pub(crate) const SECRET_KEY: &str = "recorded-secret";

/// One request, with all that was sent.
#[derive(Clone, Deserialize)]
pub(crate) struct Request {
    pub(crate) version: String,
    pub(crate) call: String,
    /// When it came, in seconds.
    pub(crate) at: u64,
    pub(crate) method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    #[serde(skip)]
    pub(crate) path: String,
    #[serde(skip)]
    pub(crate) query: String,
    #[serde(skip)]
    pub(crate) header_bytes: Vec<(String, Vec<u8>)>,
    #[serde(skip)]
    pub(crate) body_bytes: Vec<u8>,
}

pub(crate) fn all() -> Vec<Request> {
    include_str!("recorded/requests.jsonl")
        .lines()
        .map(|line| {
            let mut request: Request = serde_json::from_str(line).unwrap();
            let (path, query) = request.target.split_once('?').unwrap();
            (request.path, request.query) = (path.to_owned(), query.to_owned());
            request.header_bytes = std::mem::take(&mut request.headers)
                .into_iter()
                .map(|(name, value)| (name, value.into_bytes()))
                .collect();
            request.body_bytes = STANDARD.decode(&request.body).unwrap();
            request
        })
        .collect()
}

pub(crate) fn one(version: &str, call: &str) -> Request {
    let mut all = all().into_iter();
    all.find(|request| request.version == version && request.call == call)
        .unwrap()
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let (_, value) = self
            .header_bytes
            .iter()
            .find(|header| header.0.eq_ignore_ascii_case(name))
            .unwrap();
        std::str::from_utf8(value).unwrap()
    }

    pub(crate) fn header_mut(&mut self, name: &str) -> &mut Vec<u8> {
        let (_, value) = self
            .header_bytes
            .iter_mut()
            .find(|header| header.0.eq_ignore_ascii_case(name))
            .unwrap();
        value
    }

    pub(crate) fn envelope(&self) -> Envelope<'_> {
        Envelope::parse(self.header("content-type"), &self.body_bytes).unwrap()
    }

    pub(crate) fn verify(&self, envelope: &Envelope<'_>) -> Result<SecretId, SignatureError> {
        let headers: Vec<(&str, &[u8])> = self
            .header_bytes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let head = Head {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
        };
        let key = |id: &str| (id == SECRET_ID).then(|| SecretKey::new(SECRET_KEY));
        verify(&head, envelope, key, self.at)
    }
}
