//! A client's query: the caller's identity in it, and the conditions that whatever it finds is sure to meet.

use bson::{Bson, Document};
use docdb::{
    order::{Rank, rank},
    query::{Comparison, Filter, Node, Predicate, Test},
};

use crate::{
    Caller,
    formula::{Atom, Condition, Formula},
    set::Ordered,
};

/// Puts the caller's identity where a query has the text `'{openid}'` or `'{uid}'`, as the platform does, for any field.
pub fn with_identity(query: &mut Document, caller: &Caller) {
    for (_, value) in query.iter_mut() {
        identify(value, caller);
    }
}

fn identify(value: &mut Bson, caller: &Caller) {
    match value {
        Bson::String(text) => {
            let identity = match text.as_str() {
                "{openid}" => &caller.openid,
                "{uid}" => &caller.uid,
                _ => return,
            };
            if let Some(identity) = identity {
                text.clone_from(identity);
            }
        }
        Bson::Document(inner) => with_identity(inner, caller),
        Bson::Array(values) => values.iter_mut().for_each(|value| identify(value, caller)),
        _ => {}
    }
}

/// What is known of every document that a query finds. What is not understood of the query is left out: it only finds fewer.
pub(crate) fn facts(filter: &Filter) -> Formula {
    node(filter.root(), true)
}

fn node(tree: &Node, holds: bool) -> Formula {
    match tree {
        Node::And(nodes) => joined(nodes.iter().map(|inner| node(inner, holds)), holds),
        Node::Or(nodes) => joined(nodes.iter().map(|inner| node(inner, holds)), !holds),
        Node::Nor(nodes) => joined(nodes.iter().map(|inner| node(inner, !holds)), holds),
        Node::Field(path, test) => predicate(path.as_str(), test, holds),
        Node::Expression(_) => Formula::Unknown,
        Node::Constant(constant) => Formula::of(*constant == holds),
    }
}

/// By `&&`, or by `||`.
fn joined(parts: impl Iterator<Item = Formula>, all: bool) -> Formula {
    match all {
        true => Formula::all(parts),
        false => Formula::any(parts),
    }
}

fn predicate(path: &str, tree: &Predicate, holds: bool) -> Formula {
    match tree {
        Predicate::And(all) => joined(all.iter().map(|inner| predicate(path, inner, holds)), holds),
        Predicate::Not(inner) => predicate(path, inner, !holds),
        Predicate::Test(test) => field(path, test, holds),
    }
}

fn field(path: &str, test: &Test, holds: bool) -> Formula {
    let atom = |condition| {
        Formula::Atom(Atom {
            path: path.to_owned(),
            condition,
            holds,
        })
    };
    match test {
        Test::Compare(Comparison::Equal, value) if is_plain(value) => match (value, holds) {
            // A field that is an object has its fields.
            (Bson::Document(object), true) => {
                let inner = object
                    .iter()
                    .filter(|(name, _)| !name.contains('.') && !name.is_empty());
                let inner = inner.map(|(name, value)| {
                    let equal = Test::Compare(Comparison::Equal, value.clone());
                    field(&format!("{path}.{name}"), &equal, true)
                });
                Formula::all(std::iter::once(atom(Condition::Equal(value.clone()))).chain(inner))
            }
            _ => atom(Condition::Equal(value.clone())),
        },
        Test::Compare(comparison, value) if is_plain(value) => {
            let ordered = match comparison {
                Comparison::Less => Ordered::Less,
                Comparison::LessOrEqual => Ordered::LessOrEqual,
                Comparison::Greater => Ordered::Greater,
                Comparison::GreaterOrEqual => Ordered::GreaterOrEqual,
                Comparison::Equal => return Formula::Unknown,
            };
            match value {
                // What is not there is null, and neither less nor more than null.
                Bson::Null => match ordered {
                    Ordered::LessOrEqual | Ordered::GreaterOrEqual => atom(Condition::Equal(Bson::Null)),
                    Ordered::Less | Ordered::Greater => Formula::of(!holds),
                },
                value => atom(Condition::Order {
                    ordered,
                    value: value.clone(),
                    dates: false,
                }),
            }
        }
        Test::In(values, patterns) if patterns.is_empty() && values.iter().all(is_plain) => {
            atom(Condition::In(values.clone()))
        }
        _ => Formula::Unknown,
    }
}

/// Whether a value compares with values of its own type and no others.
pub(crate) fn is_plain(value: &Bson) -> bool {
    !matches!(
        rank(value),
        Rank::MinKey | Rank::MaxKey | Rank::Undefined | Rank::Regex
    )
}
