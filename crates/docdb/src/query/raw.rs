//! A query asked of a document's BSON bytes: most documents of a scan are judged by a field or two, and need not be decoded
//! for that.

use std::cmp::Ordering;

use bson::{Bson, RawBsonRef, RawDocument};

use super::{Filter, Node, Predicate, Scope, Test};
use crate::{
    Context,
    order::{Rank, rank},
    path::{Part, Path},
};

impl Filter {
    /// If a document meets the query, where its bytes tell; `None` where it has to be decoded and asked of again: a path
    /// leads into an array, an expression or a distance is to be computed, or a regex failed.
    #[must_use]
    pub fn matches_raw(&self, document: &RawDocument, context: &Context) -> Option<bool> {
        self.root.matches_raw(document, &Scope::of_element(context))
    }
}

impl Node {
    fn matches_raw(&self, document: &RawDocument, scope: &Scope<'_>) -> Option<bool> {
        match self {
            Self::And(nodes) => every(nodes.iter().map(|node| node.matches_raw(document, scope))),
            Self::Or(nodes) => some(nodes.iter().map(|node| node.matches_raw(document, scope))),
            Self::Nor(nodes) => {
                some(nodes.iter().map(|node| node.matches_raw(document, scope))).map(|met| !met)
            }
            Self::Field(path, predicate) => predicate.matches_raw(find(document, path)?, scope),
            Self::Expression(_) => None,
            Self::Constant(constant) => Some(*constant),
        }
    }
}

impl Predicate {
    fn matches_raw(&self, value: Option<RawBsonRef<'_>>, scope: &Scope<'_>) -> Option<bool> {
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

/// What a path names, where it leads through documents alone.
fn find<'a>(document: &'a RawDocument, path: &Path) -> Option<Option<RawBsonRef<'a>>> {
    let mut document = document;
    let mut parts = path.parts();
    loop {
        let (Part { name, .. }, rest) = parts.split_first()?;
        let value = document.get(name).ok()?;
        if rest.is_empty() {
            return Some(value);
        }
        match value {
            Some(RawBsonRef::Document(inner)) => document = inner,
            Some(RawBsonRef::Array(_)) => return None,
            _ => return Some(None),
        }
        parts = rest;
    }
}

impl Test {
    fn meets_raw(&self, value: Option<RawBsonRef<'_>>, scope: &Scope<'_>) -> Option<bool> {
        match value {
            None => return Some(self.meets_missing()),
            // No copy of a text is made for what is asked most.
            Some(RawBsonRef::String(text)) => match self {
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
            },
            Some(_) => {}
        }
        let value = Bson::try_from(value?).ok()?;
        self.meets(Some(&value), None, scope).ok()
    }
}

/// The order of a value and a text.
fn with_text(value: &Bson, text: &str) -> Ordering {
    match value {
        Bson::String(value) | Bson::Symbol(value) => value.as_bytes().cmp(text.as_bytes()),
        other => rank(other).cmp(&Rank::String),
    }
}
