//! Which function gets which packet: a pair of `MsgType` and `Event` belongs to one.

use std::{collections::HashMap, fmt};

use thiserror::Error;

use crate::{Packet, kind};

/// What packets a route takes.
///
/// Event names may be those on the wire or the console's; of the latter one can stand for several. As the console does, a message
/// is named by its `MsgType` alone. A name that is not in the table of [`kinds`](crate::kinds) is taken as it is: WeChat adds
/// some now and then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RoutePattern {
    /// This kind of message.
    Message(String),
    /// This event, or these events.
    Event(String),
    /// Whatever no other route takes.
    Rest,
}

impl RoutePattern {
    /// Reads what settings say: `text`, `event/user_enter_tempsession` (or the event's name alone, if it is in the table), `*`.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        match text.split_once('/') {
            _ if text == "*" => Ok(Self::Rest),
            Some((msg_type, event)) => Self::of(msg_type, event),
            None if kind::named(text).any(|kind| !kind.event.is_empty()) => Self::of("event", text),
            None => Self::of(text, ""),
        }
    }

    /// The pattern for a `MsgType` and an `Event`, which is empty for messages: the pair that the console asks for.
    pub fn of(msg_type: &str, event: &str) -> Result<Self, RouteError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        match (msg_type.eq_ignore_ascii_case("event"), event) {
            (true, "") => Err(RouteError::NoEvent),
            (true, event) if is_name(event) => Ok(Self::Event(event.to_ascii_lowercase())),
            (false, "") if is_name(msg_type) => Ok(Self::Message(msg_type.to_ascii_lowercase())),
            (false, event) if !event.is_empty() => Err(RouteError::EventOfMessage(crate::excerpt(msg_type))),
            _ => Err(RouteError::Name(crate::excerpt(if event.is_empty() {
                msg_type
            } else {
                event
            }))),
        }
    }

    /// For a name that is not in the table, one of the table that it resembles: for a warning.
    #[must_use]
    pub fn suggestion(&self) -> Option<&'static str> {
        let name = match self {
            Self::Message(name) | Self::Event(name) => name,
            Self::Rest => return None,
        };
        if kind::named(name).next().is_some() {
            return None;
        }
        kind::nearest(name)
    }
}

impl fmt::Display for RoutePattern {
    /// As [`parse`](Self::parse) reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(name) => f.write_str(name),
            Self::Event(name) => write!(f, "event/{name}"),
            Self::Rest => f.write_str("*"),
        }
    }
}

/// Why a route is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RouteError {
    /// `event` alone.
    #[error(
        "a route for events names one, as in `event/user_enter_tempsession`; `*` takes whatever no other route takes"
    )]
    NoEvent,
    /// A message type with an event.
    #[error("only the message type `event` has events, and the route has one for {0:?}")]
    EventOfMessage(String),
    /// No name.
    #[error("{0:?} is no message type or event: those are letters, digits, `_` and `-`")]
    Name(String),
    /// Two routes for the same packets: WeChat gives a kind to one function only.
    #[error("there are two routes for `{0}`, and one kind of packet goes to one function: leave one out")]
    Twice(RoutePattern),
}

/// Routes to something, such as functions' names.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    routes: HashMap<RoutePattern, T>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self {
            routes: HashMap::new(),
        }
    }
}

impl<T> Routes<T> {
    /// Adds a route. One for an event's name on the wire counts before one for the console's name.
    pub fn add(&mut self, pattern: RoutePattern, target: T) -> Result<(), RouteError> {
        if self.routes.contains_key(&pattern) {
            return Err(RouteError::Twice(pattern));
        }
        self.routes.insert(pattern, target);
        Ok(())
    }

    /// Where a packet goes; `None` if no route takes it.
    #[must_use]
    pub fn find(&self, packet: &Packet) -> Option<&T> {
        let exact = if packet.is_event() {
            let console = || Some(RoutePattern::Event(packet.kind()?.console?.to_owned()));
            let wire = RoutePattern::Event(packet.event().to_ascii_lowercase());
            self.routes.get(&wire).or_else(|| self.routes.get(&console()?))
        } else {
            self.routes
                .get(&RoutePattern::Message(packet.msg_type().to_ascii_lowercase()))
        };
        exact.or_else(|| self.routes.get(&RoutePattern::Rest))
    }

    /// All routes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&RoutePattern, &T)> {
        self.routes.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}
