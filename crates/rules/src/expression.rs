//! A rule as it was read.

use std::ops::Range;

use bson::Bson;
use docdb::regex::Pattern;

/// A part of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    /// A number, text, `true`, `false`; `null`, and `undefined`, which is the same but to what a client writes.
    Constant(Bson),
    /// Texts, and what stands between `${` and `}`.
    Template(Vec<Self>),
    /// `[a, b]`
    List(Vec<Self>),
    /// `auth`
    Auth,
    /// `doc`
    Doc,
    /// `request`
    Request,
    /// `resource`, of storage.
    Resource,
    /// `now`, in milliseconds.
    Now,
    /// `of.name`
    Member(Box<Self>, String),
    /// `of[key]`
    Index(Box<Self>, Box<Self>),
    /// `get(path)`
    Get(Box<Self>),
    /// `/pattern/.test(text)`
    Matches(Box<Pattern>, Box<Self>),
    /// `!a`
    Not(Box<Self>),
    /// `a && b`
    All(Vec<Self>),
    /// `a || b`
    Any(Vec<Self>),
    /// `a == b`
    Compare(Comparison, Box<Self>, Box<Self>),
    /// `a + b`
    Sum(Vec<Self>),
}

impl Expression {
    /// Whether `now` stands in it.
    pub(crate) fn asks_for_time(&self) -> bool {
        match self {
            Self::Now => true,
            Self::Constant(_) | Self::Auth | Self::Doc | Self::Request | Self::Resource => false,
            Self::Template(parts)
            | Self::List(parts)
            | Self::All(parts)
            | Self::Any(parts)
            | Self::Sum(parts) => parts.iter().any(Self::asks_for_time),
            Self::Member(of, _) | Self::Get(of) | Self::Matches(_, of) | Self::Not(of) => of.asks_for_time(),
            Self::Index(one, other) | Self::Compare(_, one, other) => {
                one.asks_for_time() || other.asks_for_time()
            }
        }
    }
}

/// How two values are compared. `===` is `==`, and `!==` is `!=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    In,
}

impl Comparison {
    /// The same with its sides exchanged; `in` has no such.
    pub(crate) const fn reversed(self) -> Self {
        match self {
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            other => other,
        }
    }
}

/// One of the conditions that all have to hold, and where it stands in the text.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) at: Range<usize>,
    pub(crate) expression: Expression,
}

impl Part {
    /// What never holds.
    pub(crate) const fn never() -> Self {
        Self {
            at: 0..5,
            expression: Expression::Constant(Bson::Boolean(false)),
        }
    }
}
