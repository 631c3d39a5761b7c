//! `/v1/realtime`: the sockets by which clients watch the database, ours and CloudBase's SDKs alike.
//!
//! A socket begins as a request, and has a place of its own from then on: places are bounded, and where none is free, the network with
//! most sockets of nobody in particular, who has not logged in or did so anonymously, loses its oldest. Whoever has not logged in after [`PROVE_WITHIN`] is let go. The first message says who it
//! is, by the bearer token of `/v1/login` or by a signature that [`grant`] gave out; nothing of that stands in an address. Then
//! `watchers` hears what comes, and what it puts into the outbox is sent. A client that takes nothing is let go, and comes back.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use clock::Timestamp;
use cloud::Cloud;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request::Parts,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use realtime::{ClientBody, ClientMessage, Dialect, Login, WatchRefusal, logged_in, refused};
use rules::Caller;
use seal::{SealKind, Sealer};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use watchers::{Frame, Heard, Outbox, Session, Watchers, WatchersConfig};

use crate::{
    GatewayConfig, Inner,
    bearer::Bearer,
    failure::Failure,
    reply::HttpReply,
    routes,
    seats::{Seat, Seats, network},
};

/// The path of the sockets.
pub(crate) const PATH: &str = "/v1/realtime";
/// How long a client may take to log in.
const PROVE_WITHIN: Duration = Duration::from_secs(10);
/// How long a request waits for a place.
const PLACE_WITHIN: Duration = Duration::from_secs(2);
/// How long a client may take nothing of what is sent, a piece of it at a time.
const STALLED: Duration = Duration::from_secs(30);
const PIECE: usize = 64 << 10;
/// Bytes that a client takes in a second at least, where it is sent more than a piece.
const SLOWEST: u64 = 16 << 10;
/// What is shorter is sent together with what follows.
const SHORT: usize = 16 << 10;
/// How often a socket is looked at: whether its client is there still, and may be.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Clients ask every ten seconds whether anybody is there. Of whom nothing is heard for so long, nobody is.
const SILENT: Duration = Duration::from_secs(90);
/// Every so many looks the store is asked whether the session was ended at another node: once in a minute.
const LOOKS_AT_STORE: u32 = 4;
/// Bytes of a client's message: a query's text has 16 KB at most.
const LARGEST_MESSAGE: usize = 64 << 10;
/// Sockets of one user at once, of as many phones, pages and programs; for a further one the oldest is closed.
const MOST_OF_USER: usize = 20;
/// How long a signature of [`grant`] may be shown: a client asks for one before each connection.
const SIGNATURE_LIFE: Duration = Duration::from_secs(300);
/// How long sockets have to say goodbye when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Why a socket is closed, as its client is told. At all of them clients connect anew and go on with their watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// The server stops.
    Stopping,
    /// It did not log in, or not in time.
    NotLoggedIn,
    /// What it logged in with has ended.
    LoginEnded,
    /// It takes nothing of what it is sent.
    TakesNothing,
    /// Its user has opened others, or it is nobody's in particular and places are short.
    Crowded,
    /// It is gone.
    Gone,
}

impl Parting {
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Stopping => (1001, "the server stops: come back"),
            Self::NotLoggedIn => (4001, "log in by the first message"),
            Self::LoginEnded => (4002, "the login has ended: log in anew"),
            Self::TakesNothing => (1013, "messages were not taken: come back"),
            Self::Crowded => (
                4003,
                "others need the place, or this user has opened other sockets",
            ),
            Self::Gone => return None,
        };
        Some(CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into(),
        })
    }
}

/// All sockets of a gateway.
pub(crate) struct Sockets {
    pub(crate) watchers: Watchers,
    sealer: Sealer,
    seats: Arc<Seats>,
    /// The sockets of each user, the oldest first.
    users: Mutex<HashMap<String, VecDeque<Arc<Notify>>>>,
    stopping: watch::Sender<bool>,
}

/// What a CloudBase SDK is told by `auth.wsWebSign`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketGrant {
    /// Where it connects.
    pub(crate) ws_url: String,
    /// What it shows there.
    pub(crate) sign_str: String,
}

/// What is sealed in a signature.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    openid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login_type: Option<String>,
    /// The session that it was got in: it ends with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// Until when it may be shown, in milliseconds of WeChat's time.
    shown: u64,
    /// Until when the socket may last.
    until: u64,
}

/// Who has logged in on a socket.
struct Known {
    caller: Caller,
    dialect: Dialect,
    until: Timestamp,
    by: LoggedInBy,
}

/// What a socket's login hangs on.
enum LoggedInBy {
    /// A session of `/auth/v1` or `/web`.
    Session(String),
    /// A token of `/v1/login`.
    Bearer(Bearer),
    /// Nothing: nobody has logged in.
    Nothing,
}

/// A socket, and whether it was left in the middle of a message, so that nothing may follow.
struct Line<S = TokioIo<Upgraded>> {
    socket: WebSocketStream<S>,
    is_torn: bool,
}

/// What a user's socket is known by, as long as it is there.
struct OfUser<'a> {
    sockets: &'a Sockets,
    owner: Option<String>,
    crowded: Arc<Notify>,
}

impl Sockets {
    pub(crate) fn new(config: &GatewayConfig, cloud: &Cloud) -> Self {
        let cloud = cloud.clone();
        let journal = Arc::clone(&config.journal);
        let access = &config.database;
        Self {
            watchers: Watchers::new(WatchersConfig {
                database: Arc::clone(&access.database),
                permissions: Arc::clone(&access.permissions),
                makes_collections: access.missing == cloud::MissingCollection::Create,
                memory: config.watch_memory,
                denied: Box::new(move |caller, text| {
                    journal.note(&calls::Note {
                        request_id: "",
                        openid: caller.owner(),
                        text,
                    });
                }),
                found_nothing: Box::new(move |collection| cloud.found_nothing(collection)),
            }),
            sealer: Sealer::new(&config.keys, SealKind::Socket, &config.appid),
            seats: Seats::new(config.sockets),
            users: Mutex::default(),
            stopping: watch::Sender::new(false),
        }
    }

    /// Has all sockets closed, and waits until they are, for a while.
    pub(crate) async fn close(&self) {
        self.stopping.send_replace(true);
        let _ = timeout(FAREWELL, self.seats.empty()).await;
        self.watchers.close();
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Arc<Notify>>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a socket as its user's; the oldest of too many has to go.
    fn of_user(&self, owner: Option<&str>) -> OfUser<'_> {
        let crowded = Arc::new(Notify::new());
        if let Some(owner) = owner {
            let mut users = self.users();
            let sockets = users.entry(owner.to_owned()).or_default();
            sockets.push_back(Arc::clone(&crowded));
            if sockets.len() > MOST_OF_USER
                && let Some(oldest) = sockets.pop_front()
            {
                oldest.notify_one();
            }
        }
        OfUser {
            sockets: self,
            owner: owner.map(str::to_owned),
            crowded,
        }
    }
}

impl Drop for OfUser<'_> {
    fn drop(&mut self) {
        let Some(owner) = &self.owner else { return };
        let mut users = self.sockets.users();
        if let Some(sockets) = users.get_mut(owner) {
            sockets.retain(|socket| !Arc::ptr_eq(socket, &self.crowded));
            if sockets.is_empty() {
                users.remove(owner);
            }
        }
    }
}

/// Gives out the address of the sockets, and a signature by which `caller` is let in there: for five minutes; the socket
/// lasts until `until`, in WeChat's time, and no longer than `session`. `headers` are those of the request that asks: they say by which name this server is
/// known.
pub(crate) fn grant(
    inner: &Inner,
    headers: &HeaderMap,
    caller: &Caller,
    session: Option<&str>,
    until: Timestamp,
) -> SocketGrant {
    let Caller {
        openid,
        uid,
        login_type,
    } = caller.clone();
    let signature = Signature {
        openid,
        uid,
        login_type,
        session: session.map(str::to_owned),
        shown: (inner.clock.now() + SIGNATURE_LIFE).millis(),
        until: until.millis(),
    };
    // A struct of texts and numbers has a text.
    let plain = serde_json::to_vec(&signature).unwrap_or_default();
    SocketGrant {
        ws_url: address(headers),
        sign_str: inner.sockets.sealer.seal(&plain),
    }
}

/// The address of the sockets, as whoever sent these headers reaches it.
fn address(headers: &HeaderMap) -> String {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let host = text(HOST).unwrap_or("localhost");
    // A page that came by https may open no other, whether the proxy in between says how it was asked or not. Of this machine it may, and
    // no TLS is there.
    let by_https = !is_of_this_machine(host)
        && text(ORIGIN).is_some_and(|origin| {
            origin
                .get(..8)
                .is_some_and(|begin| begin.eq_ignore_ascii_case("https://"))
        });
    let is_secure =
        by_https || text(X_FORWARDED_PROTO).is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"));
    let scheme = if is_secure { "wss" } else { "ws" };
    format!("{scheme}://{host}{PATH}")
}

/// Whether browsers trust a host without TLS: `localhost`, names below it, and loopback addresses, each with or without a port.
fn is_of_this_machine(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Answers a request for a socket, and goes on with it once the answer is sent.
///
/// # Errors
/// 426 where the request is not of the WebSocket protocol, 429 where no place is free.
pub(crate) async fn answer(
    gateway: &crate::Gateway,
    head: &Parts,
    client_ip: IpAddr,
) -> Result<HttpReply, Failure> {
    let inner = &gateway.0;
    let accept = accepted(&head.headers)?;
    let upgrade = head.extensions.get::<OnUpgrade>().cloned();
    let upgrade = upgrade.ok_or_else(Failure::no_socket)?;
    let place = timeout(PLACE_WITHIN, inner.sockets.seats.take(client_ip)).await;
    let seat = place.map_err(|_| Failure::too_many("all places for sockets are taken", 5))?;
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let Ok(Ok(upgraded)) = timeout(PROVE_WITHIN, upgrade).await else {
            return;
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(4 << 10)
            .write_buffer_size(16 << 10)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let io = TokioIo::new(upgraded);
        let mut line = Line {
            socket: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            is_torn: false,
        };
        let outbox = gateway.0.sockets.watchers.outbox();
        let parting = serve(&gateway.0, &mut line, &outbox, &seat, client_ip).await;
        // Whoever holds it still puts nothing into it.
        outbox.end();
        if parting.frame().is_some() && !line.is_torn {
            // The last of what is said may never be taken.
            let _ = timeout(Duration::from_secs(1), line.socket.close(parting.frame())).await;
        }
    });
    let mut reply = routes::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(reply)
}

/// What a request for a socket is answered by (RFC 6455 §4.2).
fn accepted(headers: &HeaderMap) -> Result<HeaderValue, Failure> {
    let lists = |name: HeaderName, wanted: &str| {
        let values = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let is_version = headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_some_and(|version| version == "13");
    match key {
        Some(key) if is_version && lists(UPGRADE, "websocket") && lists(CONNECTION, "upgrade") => {
            HeaderValue::from_str(&derive_accept_key(key)).map_err(|_| Failure::no_socket())
        }
        _ => Err(Failure::no_socket()),
    }
}

/// Serves a socket to its end.
async fn serve(
    inner: &Inner,
    line: &mut Line,
    outbox: &Arc<Outbox>,
    seat: &Seat,
    client_ip: IpAddr,
) -> Parting {
    let stopping = inner.sockets.stopping.subscribe();
    let proved = prove(inner, line, outbox);
    let known = tokio::select! {
        known = timeout(PROVE_WITHIN, proved) => known.unwrap_or(Err(Parting::NotLoggedIn)),
        () = seat.told_to_leave() => Err(Parting::NotLoggedIn),
        () = stopped(stopping.clone()) => Err(Parting::Stopping),
    };
    let mut known = match known {
        Ok(known) => known,
        Err(parting) => return parting,
    };
    loop {
        // Whoever is known keeps the place. Anybody can be nobody in particular as often as they like: where places are short, the network
        // with most of those loses its oldest.
        let is_known = is_somebody(&known.caller);
        let _working = is_known.then(|| seat.clone().work());
        let of_user = inner.sockets.of_user(known.caller.owner());
        let session = inner.sockets.watchers.session(
            known.caller.clone(),
            known.dialect,
            Arc::clone(outbox),
            &payer(&known.caller, client_ip),
        );
        let talk = talk(inner, line, outbox, session, known);
        tokio::select! {
            outcome = talk => match outcome {
                // Another user, whose watches are not those of the one before.
                Ok(other) => known = other,
                Err(parting) => return parting,
            },
            () = of_user.crowded.notified() => return Parting::Crowded,
            () = seat.told_to_leave(), if !is_known => return Parting::Crowded,
            () = stopped(stopping.clone()) => return Parting::Stopping,
        }
    }
}

/// Whether a caller is one that not everybody can become at will.
fn is_somebody(caller: &Caller) -> bool {
    caller.owner().is_some() && caller.login_type.as_deref() != Some("ANONYMOUS")
}

/// Whose share of the watches' memory a socket has.
fn payer(caller: &Caller, client_ip: IpAddr) -> String {
    match caller.owner().filter(|_| is_somebody(caller)) {
        Some(owner) => format!("user {owner}"),
        None => format!("network {}", network(client_ip)),
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the gateway is gone, too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Waits for a login.
async fn prove(inner: &Inner, line: &mut Line, outbox: &Outbox) -> Result<Known, Parting> {
    loop {
        let Some(text) = next_text(&mut line.socket).await? else {
            continue;
        };
        let (answer, known) = match ClientMessage::read(text.as_str()) {
            Ok(ClientMessage {
                request_id,
                body: ClientBody::Login(login),
                ..
            }) => log_in(inner, &request_id, &login).await,
            Ok(message) => {
                let refusal = WatchRefusal::NotLoggedIn;
                (
                    refused(&message.watch_id, &message.request_id, &refusal, false),
                    None,
                )
            }
            Err(_) => return Err(Parting::NotLoggedIn),
        };
        outbox.put(answer);
        send(line, outbox).await?;
        if let Some(known) = known {
            return Ok(known);
        }
    }
}

/// What a client hears, and what it says, until its socket is over or somebody else logs in on it.
async fn talk(
    inner: &Inner,
    line: &mut Line,
    outbox: &Arc<Outbox>,
    mut session: Session,
    mut known: Known,
) -> Result<Known, Parting> {
    let mut heard = Instant::now();
    let mut looks = 0;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            text = next_text(&mut line.socket) => {
                heard = Instant::now();
                let Some(text) = text? else { continue };
                let message = ClientMessage::read(text.as_str());
                // What goes on may do so until the next look. What begins is not to be told to whoever has come after a logout: the page's
                // socket is the same, and its SDK logs in anew on another alone. The logout may have been at another server, so the
                // store is asked.
                let begins = matches!(&message, Ok(ClientMessage { body: ClientBody::Begin(_) | ClientBody::Rebuild { .. }, .. }));
                if begins && !known.still_holds(inner, true).await {
                    return Err(Parting::LoginEnded);
                }
                let Heard::Login(message) = session.hear(message) else { continue };
                let ClientBody::Login(login) = &message.body else { continue };
                let (answer, again) = log_in(inner, &message.request_id, login).await;
                outbox.put(answer);
                match again {
                    Some(again) if again.caller == known.caller && again.dialect == known.dialect => known = again,
                    Some(other) => return Ok(other),
                    None => {}
                }
            }
            frames = outbox.take() => {
                let began = Instant::now();
                let mut sending = pin!(send_in_time(line, outbox, frames.ok_or(Parting::TakesNothing)?));
                // That may take minutes.
                loop {
                    tokio::select! {
                        sent = &mut sending => break sent?,
                        _ = look.tick() => known.must_hold(inner, &mut looks).await?,
                    }
                }
                // Nobody listened meanwhile.
                heard += began.elapsed();
            }
            _ = look.tick() => {
                known.must_hold(inner, &mut looks).await?;
                if heard.elapsed() > SILENT {
                    return Err(Parting::Gone);
                }
                sent(line.socket.send(Message::Ping(Bytes::new())), outbox).await?;
            }
        }
    }
}

/// The next text; `None` for what is none.
async fn next_text(socket: &mut WebSocketStream<TokioIo<Upgraded>>) -> Result<Option<Utf8Bytes>, Parting> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) => {
            // Its goodbye is answered by reading on.
            let _ = timeout(Duration::from_secs(1), async {
                while let Some(Ok(_)) = socket.next().await {}
            })
            .await;
            Err(Parting::Gone)
        }
        // The protocol is of text.
        Some(Ok(_) | Err(_)) | None => Err(Parting::Gone),
    }
}

/// Sends what waits.
async fn send<S>(line: &mut Line<S>, outbox: &Outbox) -> Result<(), Parting>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frames = outbox.take().await.ok_or(Parting::TakesNothing)?;
    send_in_time(line, outbox, frames).await
}

/// Sends messages to a client that takes them, and not so slowly that they are held for as long as it likes.
async fn send_in_time<S>(
    line: &mut Line<S>,
    outbox: &Outbox,
    frames: Arc<VecDeque<Frame>>,
) -> Result<(), Parting>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bytes: usize = frames.iter().map(Frame::len).sum();
    let within = STALLED + Duration::from_secs(bytes as u64 / SLOWEST);
    let sent = timeout(within, send_all(line, outbox, &frames)).await;
    sent.unwrap_or(Err(Parting::TakesNothing))
}

/// Sends messages. Their bytes go to the connection as they are: a client's documents may be megabytes, of which the library would make a
/// copy for each client; and whoever takes some of them is there, even where the whole takes minutes.
async fn send_all<S>(line: &mut Line<S>, outbox: &Outbox, frames: &VecDeque<Frame>) -> Result<(), Parting>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // What the library has to say, in the middle of which nothing can be said.
    sent(line.socket.flush(), outbox).await?;
    line.is_torn = true;
    let mut short = Vec::with_capacity(SHORT);
    for frame in frames {
        begin_text(&mut short, frame.len());
        for part in [&frame.head, &frame.tail] {
            if short.len() + part.len() <= SHORT {
                short.extend_from_slice(part);
            } else {
                write(&mut line.socket, outbox, &short).await?;
                short.clear();
                write(&mut line.socket, outbox, part).await?;
            }
        }
    }
    write(&mut line.socket, outbox, &short).await?;
    sent(line.socket.get_mut().flush(), outbox).await?;
    line.is_torn = false;
    Ok(())
}

async fn write<S>(socket: &mut WebSocketStream<S>, outbox: &Outbox, bytes: &[u8]) -> Result<(), Parting>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for piece in bytes.chunks(PIECE) {
        sent(socket.get_mut().write_all(piece), outbox).await?;
    }
    Ok(())
}

/// Begins a message of text, which is one frame without a mask (RFC 6455 §5.2).
fn begin_text(out: &mut Vec<u8>, length: usize) {
    const WHOLE_TEXT: u8 = 0x81;
    out.push(WHOLE_TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Sees to it that something is sent, or the client given up.
async fn sent<E>(sending: impl Future<Output = Result<(), E>>, outbox: &Outbox) -> Result<(), Parting> {
    tokio::select! {
        outcome = timeout(STALLED, sending) => match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Parting::Gone),
            Err(_) => Err(Parting::TakesNothing),
        },
        () = outbox.over() => Err(Parting::TakesNothing),
    }
}

/// Judges a login: the answer, and who it is.
async fn log_in(inner: &Inner, request_id: &str, login: &Login) -> (Vec<u8>, Option<Known>) {
    match known(inner, login).await {
        Ok(known) => (logged_in(request_id, &inner.env_id), Some(known)),
        Err(refusal) => (refused("", request_id, &refusal, true), None),
    }
}

async fn known(inner: &Inner, login: &Login) -> Result<Known, WatchRefusal> {
    let now = inner.clock.now();
    if !login.signature.is_empty() {
        let plain = inner.sockets.sealer.open(&login.signature);
        let plain = plain.map_err(|_| WatchRefusal::BadSignature)?;
        let signature: Signature = serde_json::from_slice(&plain).map_err(|_| WatchRefusal::BadSignature)?;
        let until = Timestamp::from_millis(signature.until);
        if now > Timestamp::from_millis(signature.shown) || now > until {
            return Err(WatchRefusal::ExpiredSignature);
        }
        let known = Known {
            caller: Caller {
                openid: signature.openid,
                uid: signature.uid,
                login_type: signature.login_type,
            },
            dialect: Dialect::Plain,
            until,
            by: signature.session.map_or(LoggedInBy::Nothing, LoggedInBy::Session),
        };
        return match known.still_holds(inner, true).await {
            true => Ok(known),
            false => Err(WatchRefusal::ExpiredSignature),
        };
    }
    let bearer = inner.bearers.open(&login.token, now);
    let bearer = bearer.map_err(|_| WatchRefusal::NotLoggedIn)?;
    let holds = inner.sessions.check(inner, &bearer).await;
    holds.map_err(|_| WatchRefusal::NotLoggedIn)?;
    Ok(Known {
        until: bearer.expires_at,
        caller: Caller::of_openid(bearer.openid.clone()),
        dialect: Dialect::Extended,
        by: LoggedInBy::Bearer(bearer),
    })
}

impl Known {
    /// The login holds still: looked at once more, and each few times also in the store.
    async fn must_hold(&self, inner: &Inner, looks: &mut u32) -> Result<(), Parting> {
        *looks += 1;
        match self
            .still_holds(inner, looks.is_multiple_of(LOOKS_AT_STORE))
            .await
        {
            true => Ok(()),
            false => Err(Parting::LoginEnded),
        }
    }

    /// Whether the login that a socket was opened by is one still. `asks_store`: also whether it was ended at another node.
    async fn still_holds(&self, inner: &Inner, asks_store: bool) -> bool {
        if inner.clock.now() > self.until {
            return false;
        }
        match &self.by {
            LoggedInBy::Nothing => true,
            LoggedInBy::Session(session) if inner.web_clients.has_ended(session) => false,
            LoggedInBy::Session(session) if asks_store && is_somebody(&self.caller) => {
                // Where the store cannot be asked, nobody is known to have logged out.
                !inner.store.is_revoked(session).await.unwrap_or(false)
            }
            LoggedInBy::Session(_) => true,
            LoggedInBy::Bearer(bearer) => {
                let checked = inner.sessions.check(inner, bearer).await;
                checked.map_or_else(|failure| failure.status != StatusCode::UNAUTHORIZED, |()| true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        of.iter().map(pair).collect()
    }

    /// The example of RFC 6455 §1.3.
    const ASKED: [(&str, &str); 4] = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];

    #[test]
    fn a_request_for_a_socket_is_answered_as_the_rfc_says_and_no_other_is() {
        let accept = accepted(&headers(&ASKED)).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (at, wrong) in [
            (0, "h2c"),
            (1, "close"),
            (2, "c2hvcnQ="),
            (2, "not base64"),
            (3, "8"),
        ] {
            let mut asked = ASKED;
            asked[at].1 = wrong;
            let refused = accepted(&headers(&asked)).unwrap_err();
            assert_eq!(refused.status, StatusCode::UPGRADE_REQUIRED, "{wrong}");
        }
        assert!(accepted(&headers(&ASKED[..3])).is_err());
    }

    /// What comes of sending 2 MB to a client that takes a piece of it each `every`; none where it takes nothing.
    async fn sending_to(every: Option<Duration>) -> Result<(), Parting> {
        let watchers = Watchers::new(WatchersConfig {
            database: Arc::new(database::Embedded::in_memory(database::Options::default()).unwrap()),
            permissions: Arc::default(),
            makes_collections: true,
            memory: 64 << 20,
            denied: Box::new(|_, _| {}),
            found_nothing: Box::new(|_| {}),
        });
        let outbox = watchers.outbox();
        outbox.put(vec![b'x'; 2 << 20]);
        let (ours, mut theirs) = tokio::io::duplex(PIECE);
        let mut line = Line {
            socket: WebSocketStream::from_raw_socket(ours, Role::Server, None).await,
            is_torn: false,
        };
        let taking = async {
            let mut piece = vec![0; PIECE];
            loop {
                match every {
                    Some(every) => tokio::time::sleep(every).await,
                    None => std::future::pending().await,
                }
                theirs.read_exact(&mut piece).await.unwrap();
            }
        };
        let sent = tokio::select! {
            sent = send(&mut line, &outbox) => sent,
            never = taking => never,
        };
        assert_eq!(line.is_torn, sent.is_err());
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_little_is_sent_to_and_whoever_takes_less_is_let_go() {
        assert_eq!(sending_to(Some(Duration::from_secs(3))).await, Ok(()));
        // Some is taken all the time, and the whole would be held for a quarter of an hour.
        let slowly = Some(Duration::from_secs(29));
        assert_eq!(sending_to(slowly).await, Err(Parting::TakesNothing));
        assert_eq!(sending_to(None).await, Err(Parting::TakesNothing));
    }

    #[test]
    fn whoever_anybody_can_be_has_no_place_to_keep() {
        let of = |login_type: Option<&str>| Caller {
            uid: Some("u1".to_owned()),
            login_type: login_type.map(str::to_owned),
            ..Caller::default()
        };
        assert!(
            is_somebody(&Caller::of_openid("o1"))
                && is_somebody(&of(Some("EMAIL")))
                && is_somebody(&of(None))
        );
        assert!(!is_somebody(&Caller::default()) && !is_somebody(&of(Some("ANONYMOUS"))));
    }

    #[test]
    fn the_address_is_the_one_by_which_the_client_came() {
        let of = |of| address(&headers(of));
        assert_eq!(
            of(&[("host", "127.0.0.1:8787")]),
            "ws://127.0.0.1:8787/v1/realtime"
        );
        let behind_proxy = [("host", "cloud.example.com"), ("x-forwarded-proto", "https")];
        assert_eq!(of(&behind_proxy), "wss://cloud.example.com/v1/realtime");
        for (origin, scheme) in [
            ("https://app.example.com", "wss"),
            ("http://app.example.com", "ws"),
            ("null", "ws"),
        ] {
            let from_page = [("host", "cloud.example.com"), ("origin", origin)];
            assert_eq!(
                address(&headers(&from_page)),
                format!("{scheme}://cloud.example.com/v1/realtime"),
                "{origin}"
            );
        }
        // A page on https of a tool that serves it beside this.
        for host in [
            "127.0.0.1:8787",
            "127.1.2.3",
            "localhost:8787",
            "LOCALHOST",
            "app.localhost:8787",
            "[::1]:8787",
            "[::1]",
        ] {
            let mut of_dev = vec![("host", host), ("origin", "https://localhost:5173")];
            assert_eq!(address(&headers(&of_dev)), format!("ws://{host}/v1/realtime"));
            of_dev.push(("x-forwarded-proto", "https"));
            assert_eq!(address(&headers(&of_dev)), format!("wss://{host}/v1/realtime"));
        }
        for host in [
            "192.168.1.2:8787",
            "localhost.example.com",
            "notlocalhost",
            "[::2]",
        ] {
            let elsewhere = [("host", host), ("origin", "https://localhost:5173")];
            assert_eq!(address(&headers(&elsewhere)), format!("wss://{host}/v1/realtime"));
        }
    }
}
