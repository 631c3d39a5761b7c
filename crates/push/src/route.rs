//! Which function gets which packet: a pair of `MsgType` and `Event` belongs to one.

use std::{collections::HashMap, fmt};

use wording::{Wording, wording};

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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// `event` alone.
    NoEvent,
    /// A message type with an event.
    EventOfMessage(String),
    /// No name.
    Name(String),
    /// Two routes for the same packets: WeChat gives a kind to one function only.
    Twice(RoutePattern),
}

impl RouteError {
    /// What is wrong, and for most the mend.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::NoEvent => wording!(
                "a route for events names one, as in `event/user_enter_tempsession`; `*` takes whatever no other route takes",
                "事件的路由要写明事件，例如 `event/user_enter_tempsession`；`*` 接收其余的一切"
            ),
            Self::EventOfMessage(kind) => wording!(
                "only the message type `event` has events, and the route has one for {kind:?}",
                "只有消息类型 `event` 才有事件，而路由给 {kind:?} 写了事件"
            ),
            Self::Name(name) => wording!(
                "{name:?} is no message type or event: those are letters, digits, `_` and `-`",
                "{name:?} 不是消息类型或事件：名称只含字母、数字、`_` 和 `-`"
            ),
            Self::Twice(pattern) => wording!(
                "there are two routes for `{pattern}`, and one kind of packet goes to one function: leave one out",
                "`{pattern}` 有两条路由，而一类消息只能推送给一个云函数：请删掉一条"
            ),
        }
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for RouteError {}

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
