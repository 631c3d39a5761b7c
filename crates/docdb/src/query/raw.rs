//! A query asked of a document's BSON bytes: most documents of a scan are judged by a field or two, and need not be decoded
//! for that.

use std::cmp::Ordering;

use bson::Bson;
use ejson::raw::{Element, kind};

use super::{Filter, Node, Predicate, Scope, Test};
use crate::{
    Context,
    order::{Rank, rank},
    raw::find,
};

impl Filter {
    /// If a document meets the query, where its bytes tell; `None` where it has to be decoded and asked of again: a path
    /// leads into an array, an expression or a distance is to be computed, or a regex failed.
    #[must_use]
    pub fn matches_raw(&self, document: &[u8], context: &Context) -> Option<bool> {
        let met = self.root.matches_raw(document, &Scope::of_element(context))?;
        (!met || self.near.is_none()).then_some(met)
    }
}

impl Node {
    fn matches_raw(&self, document: &[u8], scope: &Scope<'_>) -> Option<bool> {
        match self {
            Self::And(nodes) => every(nodes.iter().map(|node| node.matches_raw(document, scope))),
            Self::Or(nodes) => some(nodes.iter().map(|node| node.matches_raw(document, scope))),
            Self::Nor(nodes) => {
                some(nodes.iter().map(|node| node.matches_raw(document, scope))).map(|met| !met)
            }
            Self::Field(path, predicate) => predicate.matches_raw(find(document, path)?.as_ref(), scope),
            Self::Expression(_) => None,
            Self::Constant(constant) => Some(*constant),
        }
    }
}

impl Predicate {
    fn matches_raw(&self, value: Option<&Element<'_>>, scope: &Scope<'_>) -> Option<bool> {
        match self {
            Self::And(all) => every(all.iter().map(|predicate| predicate.matches_raw(value, scope))),
            Self::Not(predicate) => predicate.matches_raw(value, scope).map(|met| !met),
            Self::Test(test) => test.meets_raw(value, scope),
        }
    }
}

/// False as soon as one is, whatever is not known of the others.
fn every(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for answer in answers {
        match answer {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = None,
        }
    }
    known
}

fn some(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    every(answers.map(|answer| answer.map(|met| !met))).map(|none| !none)
}

impl Test {
    fn meets_raw(&self, value: Option<&Element<'_>>, scope: &Scope<'_>) -> Option<bool> {
        let Some(value) = value else {
            return Some(self.meets_missing());
        };
        // No copy of a text is made for what is asked most.
        if value.kind == kind::STRING {
            let text = value.text().ok()?;
            match self {
                Self::Compare(comparison, Bson::String(operand)) => {
                    return Some(comparison.allows(text.as_bytes().cmp(operand.as_bytes())));
                }
                Self::Compare(_, operand)
                    if !matches!(rank(operand), Rank::String | Rank::MinKey | Rank::MaxKey) =>
                {
                    return Some(false);
                }
                Self::In(values, patterns) if patterns.is_empty() => {
                    return Some(values.binary_search_by(|value| with_text(value, text)).is_ok());
                }
                Self::Regex(pattern) => return pattern.matches(text).ok(),
                _ => {}
            }
        }
        if matches!(self, Self::Exists) {
            return Some(true);
        }
        self.meets(Some(&value.decode().ok()?), None, scope).ok()
    }
}

/// The order of a value and a text.
fn with_text(value: &Bson, text: &str) -> Ordering {
    match value {
        Bson::String(value) | Bson::Symbol(value) => value.as_bytes().cmp(text.as_bytes()),
        other => rank(other).cmp(&Rank::String),
    }
}
