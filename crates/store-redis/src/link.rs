//! The connection to the server: made when something is asked, shared by all who ask, and made anew when it breaks.
//!
//! Every question ends within [`PATIENCE`]. One that meets a server that is away, starting or changing places is asked again
//! within that time, so that a short break is seen by nobody; while a server is away for longer, each is asked once. All
//! that is asked may be asked twice: what must not be done twice has a name, by which the server knows it again.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
};
use store::StoreError;
use tokio::time::timeout;

use crate::{
    script::Invocation,
    settings::{Dial, Settings, SettingsError},
};

/// How long a connection may take to come about.
pub(crate) const CONNECT: Duration = Duration::from_millis(1500);
/// How long an answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);
/// How long a question may take in all, with what is asked again: WeChat waits five seconds for what it pushes.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long to wait before a question is asked again; twice as long each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("the store at {place} does not answer as it should")]
struct ServerFailure {
    place: String,
    #[source]
    cause: RedisError,
}

/// A connection, whatever is at its other end. Clones share it.
#[derive(Clone)]
enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(commands, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl Dial {
    async fn connect(&mut self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        Ok(match self {
            Self::Server(client) => Connection::Server(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?,
            ),
            Self::Sentinel(client) => {
                Connection::Server(client.get_async_connection_with_config(&config).await?)
            }
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }
}

pub(crate) struct Link {
    place: String,
    /// Held by the one who connects.
    dial: tokio::sync::Mutex<Dial>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// How many connections there were.
    made: u64,
    /// Since when nothing was answered.
    away_since: Option<Instant>,
    /// When nobody could connect, and why.
    not_connected: Option<(Instant, RedisError)>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.place)
    }
}

impl Link {
    /// One that is not made yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let (dial, place) = settings.dial()?;
        Ok(Self {
            place,
            dial: tokio::sync::Mutex::new(dial),
            state: Mutex::default(),
        })
    }

    /// How the server is called in messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// What the server answers to a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let answer = self.answer(command).await;
        answer
            .and_then(|value| Ok(T::from_redis_value(value)?))
            .map_err(|error| self.failure(error))
    }

    /// What a script answers.
    pub(crate) async fn run<T: FromRedisValue>(&self, script: &Invocation<'_>) -> Result<T, StoreError> {
        let mut answer = self.answer(&script.by_hash()).await;
        if answer
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
        {
            // The server has started since it was told, or another one has taken its place.
            answer = self.answer(&script.in_full()).await;
        }
        answer
            .and_then(|value| Ok(T::from_redis_value(value)?))
            .map_err(|error| self.failure(error))
    }

    fn failure(&self, cause: RedisError) -> StoreError {
        StoreError::Backend(Box::new(ServerFailure {
            place: self.place.clone(),
            cause,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, command: &Cmd) -> RedisResult<Value> {
        let began = Instant::now();
        let mut pause = PAUSE;
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let tried = timeout(left, self.attempt(command)).await;
            let error = match tried.unwrap_or_else(|_| Err(late("no answer in time"))) {
                Ok(value) => {
                    self.state().away_since = None;
                    return Ok(value);
                }
                Err(error) if !passes(&error) => return Err(error),
                Err(error) => error,
            };
            let away_since = *self.state().away_since.get_or_insert(began);
            if away_since.elapsed() + pause >= PATIENCE || began.elapsed() + pause >= PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks once.
    async fn attempt(&self, command: &Cmd) -> RedisResult<Value> {
        let (number, mut connection) = self.connection().await?;
        let asked = timeout(ANSWER, command.query_async(&mut connection)).await;
        let answer = asked.unwrap_or_else(|_| Err(late("no answer in time")));
        if answer.as_ref().is_err_and(breaks) {
            let mut state = self.state();
            if state.made == number {
                state.connection = None;
            }
        }
        answer
    }

    /// The connection, with its number; a new one if there is none.
    async fn connection(&self) -> RedisResult<(u64, Connection)> {
        let there = |state: &State| Some((state.made, state.connection.clone()?));
        if let Some(there) = there(&self.state()) {
            return Ok(there);
        }
        let wanted = Instant::now();
        let mut dial = self.dial.lock().await;
        {
            let state = self.state();
            if let Some(there) = there(&state) {
                return Ok(there);
            }
            // Whoever had the dial meanwhile came to nothing, and so would this one.
            if let Some((at, error)) = &state.not_connected
                && *at >= wanted
            {
                return Err(error.clone());
            }
        }
        let connected = timeout(CONNECT, dial.connect()).await;
        let connected = connected.unwrap_or_else(|_| Err(late("no connection in time")));
        let mut state = self.state();
        match connected {
            Ok(connection) => {
                state.made += 1;
                state.connection = Some(connection.clone());
                Ok((state.made, connection))
            }
            Err(error) => {
                state.not_connected = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

fn late(what: &'static str) -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, what).into()
}

/// Whether it is likely to pass by itself, within seconds.
fn passes(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Io
        | ErrorKind::Parse
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel => true,
        ErrorKind::Server(Ask | BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain) => true,
        // Too few replicas at the moment; a script that runs for too long.
        _ => matches!(error.code(), Some("NOREPLICAS" | "BUSY")),
    }
}

/// Whether another connection may fare better.
fn breaks(error: &RedisError) -> bool {
    // One that says that it is no master any more was it until a moment ago.
    error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Io
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
