//! One client: what it has proved, and how each of its messages is answered.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bson::{Binary, Bson, Document, RawDocumentBuf, doc, spec::BinarySubtype};

use crate::{
    command::{Command, Fields},
    failure::{Failure, Result, code},
    front::{Inner, USER, WireFront, raw},
    message::{MalformedMessage, MessageHeader, WireRequest},
    scram::{Exchange, MECHANISM},
};

/// Wrong proofs of one address within [`WINDOW`]; after these it has to wait.
const GUESSES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose guesses are counted; beyond that all counts begin anew.
const COUNTED: usize = 10_000;

/// One connection's side of the talk, without the connection.
#[derive(Debug)]
pub struct WireClient {
    pub(crate) front: WireFront,
    /// Its number.
    pub(crate) id: i32,
    pub(crate) peer: SocketAddr,
    /// The address by which it reached us.
    pub(crate) local: SocketAddr,
    proved: bool,
    exchange: Option<Exchange>,
    answers: i32,
}

impl WireFront {
    /// A client that came from `peer` and reached us at `local`.
    #[must_use]
    pub fn client(&self, peer: SocketAddr, local: SocketAddr) -> WireClient {
        static IDS: AtomicI32 = AtomicI32::new(1);
        WireClient {
            proved: self.0.credentials.is_none(),
            front: self.clone(),
            id: IDS.fetch_add(1, Ordering::Relaxed),
            peer,
            local,
            exchange: None,
            answers: 0,
        }
    }
}

impl WireClient {
    /// Whether it may do more than prove itself.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.proved
    }

    /// Does what a message asks for; gives the answer's bytes where one is wanted.
    pub async fn answer(&mut self, mut request: WireRequest) -> Option<Vec<u8>> {
        let command = std::mem::take(&mut request.command);
        let two_ids = std::mem::take(&mut request.two_ids);
        let answer = self.command_with(command, two_ids).await;
        self.answers = self.answers.wrapping_add(1);
        (!request.silent).then(|| request.answer(self.answers, &answer))
    }

    /// The answer to a message that is not read.
    pub(crate) fn refuse(
        &mut self,
        header: &MessageHeader,
        body: &[u8],
        error: &MalformedMessage,
    ) -> Option<Vec<u8>> {
        if header.wants_no_answer(body) {
            return None;
        }
        self.answers = self.answers.wrapping_add(1);
        let request = WireRequest {
            id: header.id,
            opcode: header.opcode,
            command: Document::new(),
            two_ids: BTreeSet::new(),
            silent: false,
        };
        let code = match error {
            MalformedMessage::Depth => code::OVERFLOW,
            MalformedMessage::Bson(_) => code::INVALID_BSON,
            _ => code::BSON_OBJECT_TOO_LARGE,
        };
        let failure = Failure::new(code, error.to_string());
        let answer = raw(&failure.into_answer()).unwrap_or_default();
        Some(request.answer(self.answers, &answer))
    }

    /// Does what a command asks for.
    pub async fn command(&mut self, command: Document) -> RawDocumentBuf {
        self.command_with(command, BTreeSet::new()).await
    }

    async fn command_with(&mut self, command: Document, two_ids: BTreeSet<usize>) -> RawDocumentBuf {
        let answered = match Command::read(command) {
            Ok(command) => self.dispatch(Command { two_ids, ..command }).await,
            Err(failure) => Err(failure),
        };
        answered.unwrap_or_else(|failure| {
            tracing::debug!(code = failure.code(), ?failure, "a command was refused");
            raw(&failure.into_answer()).unwrap_or_default()
        })
    }

    async fn dispatch(&mut self, command: Command) -> Result<RawDocumentBuf> {
        match command.name.as_str() {
            "hello" | "isMaster" | "ismaster" => return self.hello(command),
            "saslStart" => return raw(&self.sasl_start(command.fields)?),
            "saslContinue" => return raw(&self.sasl_continue(command.fields)?),
            "logout" => {
                self.proved = self.inner().credentials.is_none();
                return raw(&doc! { "ok": 1.0 });
            }
            _ => {}
        }
        if let Some(answer) = self.small_talk(&command) {
            return raw(&answer?);
        }
        if !self.proved {
            return Err(Failure::new(
                code::UNAUTHORIZED,
                format!("Command {} requires authentication", command.name),
            ));
        }
        let inner = Arc::clone(&self.front.0);
        inner.run(command).await
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.front.0
    }

    /// Whether the client has shown that it knows the password, where one is set.
    pub(crate) fn user(&self) -> Option<&'static str> {
        (self.proved && self.inner().credentials.is_some()).then_some(USER)
    }

    /// `saslStart`; also in `hello`, to save a round.
    pub(crate) fn sasl_start(&mut self, mut fields: Fields) -> Result<Document> {
        let front = self.front.clone();
        let mechanism = fields.needed_text("mechanism")?;
        if mechanism != MECHANISM {
            return Err(Failure::new(
                code::MECHANISM_UNAVAILABLE,
                format!(
                    "Received authentication for mechanism {mechanism} which is not enabled: {MECHANISM} is"
                ),
            ));
        }
        let Some(credentials) = &front.0.credentials else {
            return Err(Failure::new(
                code::AUTHENTICATION_FAILED,
                "no password is set here: leave user and password out of the connection string",
            ));
        };
        if !front.0.guesses.may(self.peer.ip()) {
            return Err(Failure::new(
                code::AUTHENTICATION_FAILED,
                "Authentication failed: there were too many wrong passwords from this address; wait a minute",
            ));
        }
        let payload = payload(&mut fields)?;
        let mut nonce = [0; 24];
        rand::fill(&mut nonce);
        let begun = credentials.begin(&payload, &BASE64_STANDARD.encode(nonce));
        let (exchange, answer) = begun.map_err(|_| self.refused())?;
        self.exchange = Some(exchange);
        Ok(doc! { "conversationId": 1, "done": false, "payload": binary(answer), "ok": 1.0 })
    }

    fn sasl_continue(&mut self, mut fields: Fields) -> Result<Document> {
        let front = self.front.clone();
        let payload = payload(&mut fields)?;
        let (Some(credentials), Some(exchange)) = (&front.0.credentials, self.exchange.take()) else {
            // An old client's last word, which proves nothing any more.
            if self.proved && payload.is_empty() {
                return Ok(
                    doc! { "conversationId": 1, "done": true, "payload": binary(String::new()), "ok": 1.0 },
                );
            }
            return Err(Failure::new(
                code::AUTHENTICATION_FAILED,
                "No SASL session state found",
            ));
        };
        if !front.0.guesses.may(self.peer.ip()) {
            return Err(self.refused());
        }
        let proof = credentials.finish(&exchange, &payload);
        let answer = proof.map_err(|_| self.refused())?;
        self.proved = true;
        Ok(doc! { "conversationId": 1, "done": true, "payload": binary(answer), "ok": 1.0 })
    }

    fn refused(&self) -> Failure {
        self.inner().guesses.missed(self.peer.ip());
        tracing::warn!(peer = %self.peer, "a client of the database did not prove the password");
        Failure::new(code::AUTHENTICATION_FAILED, "Authentication failed.")
    }
}

fn payload(fields: &mut Fields) -> Result<Vec<u8>> {
    match fields.value("payload") {
        Some(Bson::Binary(binary)) => Ok(binary.bytes),
        Some(Bson::String(text)) => Ok(text.into_bytes()),
        _ => Err(Failure::new(
            code::AUTHENTICATION_FAILED,
            "the payload is missing",
        )),
    }
}

fn binary(text: String) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes: text.into_bytes(),
    })
}

/// Wrong proofs, by the address they came from.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Guesses {
    fn may(&self, peer: IpAddr) -> bool {
        let counted = self.counted();
        counted
            .get(&peer)
            .is_none_or(|(wrong, since)| *wrong < GUESSES || since.elapsed() > WINDOW)
    }

    fn missed(&self, peer: IpAddr) {
        let mut counted = self.counted();
        if counted.len() >= COUNTED {
            counted.clear();
        }
        let (wrong, since) = counted.entry(peer).or_insert((0, Instant::now()));
        if since.elapsed() > WINDOW {
            (*wrong, *since) = (0, Instant::now());
        }
        *wrong += 1;
    }

    fn counted(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
