//! What a client of CloudBase's asks for is read into one request, or refused with a status and a text; and no text that we did not make is
//! a token or a ticket.

use std::sync::LazyLock;

use bson::DateTime;
use clock::Timestamp;
use cloudbase::{
    TicketKeys, Tokens,
    auth::AuthRequest,
    rest::{DocumentCall, StorageCall},
};
use seal::KeyRing;
use tcb::database::DatabaseAnswer;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| Tokens::new(&KeyRing::generate(), "wx1", "env"));
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The first line is method, path and query, the rest the body.
pub(crate) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (line, body) = text.split_once('\n').unwrap_or((&text, ""));
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    match DocumentCall::read(method, path, query, body.as_bytes(), DateTime::from_millis(0)) {
        Ok(call) => drop(call.write(DatabaseAnswer::Documents(Vec::new()))),
        Err(fault) => assert!((400..600).contains(&fault.status) && !fault.message.is_empty()),
    }
    if let Err(fault) = StorageCall::read(path, body.as_bytes()) {
        assert!((400..600).contains(&fault.status) && !fault.message.is_empty());
    }
    drop(AuthRequest::read(body.as_bytes()));
    assert!(TOKENS.open_access(body, NOW).is_err());
    assert!(TOKENS.open_session(body, NOW).is_err());
    let keys = TicketKeys::parse(&text).unwrap_or_default();
    assert!(keys.verify(body, "env", NOW.millis()).is_err());
}
