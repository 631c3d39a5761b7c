//! Conditions on fields, and what they are joined to: what a rule and a query are both reduced to.

use bson::{Bson, Document, doc};
use docdb::path::{Path, walk};

use crate::set::{Ordered, ValueSet, date_of};

/// What one value is held against.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Equal(Bson),
    In(Vec<Bson>),
    Order {
        ordered: Ordered,
        value: Bson,
        /// `now` of a rule is compared with dates too, by its milliseconds.
        dates: bool,
    },
}

impl Condition {
    /// What it costs to look at it: its values, and more for large ones.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::In(values) => values.iter().map(cost_of).sum(),
            Self::Equal(value) | Self::Order { value, .. } => cost_of(value),
        }
    }
}

/// Of bytes there are so many in what a value costs.
const BYTES: usize = 64;

fn cost_of(value: &Bson) -> usize {
    match value {
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => 1 + text.len() / BYTES,
        Bson::Binary(binary) => 1 + binary.bytes.len() / BYTES,
        Bson::Array(values) => 1 + values.iter().map(cost_of).sum::<usize>(),
        Bson::Document(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| name.len() / BYTES + cost_of(value));
            1 + fields.sum::<usize>()
        }
        _ => 1,
    }
}

/// A condition on the values of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Atom {
    pub(crate) path: String,
    pub(crate) condition: Condition,
    /// One of the values is to meet it; else none of them may.
    pub(crate) holds: bool,
}

/// Conditions in negation normal form: only an [`Atom`] is negated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    True,
    False,
    /// What nothing is known about.
    Unknown,
    Atom(Atom),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Formula {
    pub(crate) const fn of(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }

    pub(crate) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::All(parts) => all.extend(parts),
                part => all.push(part),
            }
        }
        match all.len() {
            0 => Self::True,
            1 => all.pop().unwrap_or(Self::True),
            _ => Self::All(all),
        }
    }

    pub(crate) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Any(parts) => any.extend(parts),
                part => any.push(part),
            }
        }
        match any.len() {
            0 => Self::False,
            1 => any.pop().unwrap_or(Self::False),
            _ => Self::Any(any),
        }
    }

    /// Whether it is sure to hold for a document.
    pub(crate) fn holds_for(&self, document: &Document) -> bool {
        match self {
            Self::True => true,
            Self::False | Self::Unknown => false,
            Self::Atom(atom) => atom.holds_for(document),
            Self::All(parts) => parts.iter().all(|part| part.holds_for(document)),
            Self::Any(parts) => parts.iter().any(|part| part.holds_for(document)),
        }
    }

    /// The query that finds the documents for which it is sure to hold.
    pub(crate) fn to_query(&self) -> Document {
        match self {
            Self::True => Document::new(),
            Self::False | Self::Unknown => doc! {"$nor": [{}]},
            Self::Atom(atom) => atom.to_query(),
            Self::All(parts) => doc! {"$and": queries(parts)},
            Self::Any(parts) => doc! {"$or": queries(parts)},
        }
    }
}

fn queries(parts: &[Formula]) -> Vec<Document> {
    parts.iter().map(Formula::to_query).collect()
}

impl Atom {
    fn holds_for(&self, document: &Document) -> bool {
        let set = ValueSet::of(&self.condition);
        let met = walk(document, &Path::new(&self.path), &mut |value, _| match value {
            None => set.contains(&Bson::Null),
            Some(Bson::Array(elements)) => {
                elements.iter().any(|element| set.contains(element))
                    || value.is_some_and(|all| set.contains(all))
            }
            Some(value) => set.contains(value),
        });
        met == self.holds
    }

    fn to_query(&self) -> Document {
        let path = self.path.as_str();
        let query = match &self.condition {
            Condition::Equal(value) => doc! {path: {"$eq": value.clone()}},
            Condition::In(values) => doc! {path: {"$in": values.clone()}},
            Condition::Order {
                ordered,
                value,
                dates,
            } => {
                let operator = match ordered {
                    Ordered::Greater => "$gt",
                    Ordered::GreaterOrEqual => "$gte",
                    Ordered::Less => "$lt",
                    Ordered::LessOrEqual => "$lte",
                };
                match date_of(value).filter(|_| *dates) {
                    Some(date) => {
                        doc! {"$or": [{path: {operator: value.clone()}}, {path: {operator: date}}]}
                    }
                    None => doc! {path: {operator: value.clone()}},
                }
            }
        };
        match self.holds {
            true => query,
            false => doc! {"$nor": [query]},
        }
    }
}
