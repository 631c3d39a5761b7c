//! A query as its text shows it: what it filters and sorts by, and which index would serve it.

use std::path::{Path, PathBuf};

use docdb::index::{IndexField, IndexKind, IndexSpec};

use super::syntax::{Tokens, end_of, literal, method, parts};
use crate::tokens::TokenKind;

/// A query that was read whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(super) collection: String,
    pub(super) file: PathBuf,
    pub(super) line: usize,
    /// Fields that must have one value.
    equal: Vec<String>,
    /// Fields that must lie in a range.
    ranges: Vec<String>,
    /// The field that must be near a place, or in an area.
    pub(super) place: Option<String>,
    /// The order; with whether from great to small.
    order: Vec<(String, bool)>,
    /// Whether it goes far by `skip`.
    pub(super) skips_far: bool,
}

/// The query whose methods follow at `at`; `None` where there is none, or it is not seen whole.
pub(super) fn query(
    file: &Path,
    collection: &str,
    tokens: Tokens<'_, '_>,
    mut at: usize,
    in_loop: &dyn Fn() -> bool,
) -> Option<Query> {
    let mut query = Query {
        collection: collection.to_owned(),
        file: file.to_owned(),
        line: tokens.get(at)?.line,
        equal: Vec::new(),
        ranges: Vec::new(),
        place: None,
        order: Vec::new(),
        skips_far: false,
    };
    let mut asks = false;
    while let Some(call) = method(tokens, at) {
        match call.name {
            "where" => {
                query.line = call.line;
                query.conditions("", literal(call.arguments)?)?;
                asks = true;
            }
            "orderBy" => {
                let [field, direction] = parts(call.arguments)[..] else {
                    return None;
                };
                let ([field], [direction]) = (field, direction) else {
                    return None;
                };
                let (TokenKind::Text(field), TokenKind::Text(direction)) = (field.kind, direction.kind)
                else {
                    return None;
                };
                query.order.push((field.to_owned(), direction == "desc"));
                asks = true;
            }
            "skip" => {
                query.line = call.line;
                // `skip(page * 100)` in a loop goes through all there is; one page of a list does not.
                let computed = call
                    .arguments
                    .iter()
                    .any(|token| token.kind == TokenKind::Sign('*'));
                query.skips_far = computed && in_loop();
                asks = true;
            }
            "doc" | "add" | "aggregate" => return None,
            _ => {}
        }
        at = end_of(tokens, at);
    }
    asks.then_some(query)
}

impl Query {
    /// Takes in the members of an object of conditions.
    fn conditions(&mut self, prefix: &str, members: Tokens<'_, '_>) -> Option<()> {
        for member in parts(members) {
            let (TokenKind::Word(name) | TokenKind::Text(name)) = member.first()?.kind else {
                return None;
            };
            if name.starts_with('$') {
                return None;
            }
            let path = format!("{prefix}{name}");
            let value = match member {
                // `{ done }`
                [_] => {
                    self.equal.push(path);
                    continue;
                }
                [_, colon, value @ ..] if colon.kind == TokenKind::Sign(':') => value,
                _ => return None,
            };
            if let Some(inner) = literal(value) {
                self.conditions(&format!("{path}."), inner)?;
                continue;
            }
            match operator(value) {
                None if value.iter().any(|token| token.kind == TokenKind::Word("RegExp")) => {}
                None => self.equal.push(path),
                Some("eq" | "in") => self.equal.push(path),
                Some("gt" | "gte" | "lt" | "lte") => self.ranges.push(path),
                Some("geoNear" | "geoWithin" | "geoIntersects") => self.place = Some(path),
                // What no index serves, or only sometimes.
                Some(_) => {}
            }
        }
        Some(())
    }

    /// The index that would serve it; `None` where none is wanted.
    pub(super) fn wanted(&self) -> Option<IndexSpec> {
        if let Some(place) = &self.place {
            return IndexSpec::of_fields(&[place], true).ok();
        }
        let filtered = !self.equal.is_empty() || !self.ranges.is_empty();
        // By these it is found at once, or nearly.
        let found = self
            .equal
            .iter()
            .any(|field| field == "_id" || field == "_openid");
        let by_id = self.order.iter().any(|(field, _)| field == "_id");
        if !filtered || found || by_id || self.order.is_empty() {
            return None;
        }
        let ordered = self.order.iter().map(|(field, descending)| (field, *descending));
        let all = (self.equal.iter().map(|field| (field, false)))
            .chain(ordered)
            .chain(self.ranges.iter().map(|field| (field, false)));
        let mut fields: Vec<IndexField> = Vec::new();
        for (path, descending) in all {
            if fields.iter().any(|field| field.path == *path) {
                continue;
            }
            fields.push(IndexField {
                path: path.clone(),
                kind: match descending {
                    true => IndexKind::Descending,
                    false => IndexKind::Ascending,
                },
            });
        }
        Some(IndexSpec::over(fields)).filter(IndexSpec::can_be_written)
    }

    /// Whether an index narrows it or gives its order.
    pub(super) fn is_served_by(&self, index: &IndexSpec) -> bool {
        let Some(first) = index.fields.first() else {
            return false;
        };
        if let Some(place) = &self.place {
            let serves = |field: &IndexField| field.kind == IndexKind::Sphere && &field.path == place;
            return index.fields.iter().any(serves);
        }
        first.kind != IndexKind::Sphere
            && (self.equal.contains(&first.path)
                || self.ranges.contains(&first.path)
                || self.order.first().is_some_and(|(field, _)| *field == first.path))
    }
}

/// The operator of a value: `_.gt(5)`, `db.command.in([…])`.
fn operator<'t>(value: Tokens<'_, 't>) -> Option<&'t str> {
    let open = value
        .iter()
        .position(|token| token.kind == TokenKind::Sign('('))?;
    let TokenKind::Word(name) = value.get(open.checked_sub(1)?)?.kind else {
        return None;
    };
    match value
        .get(..open - 1)?
        .iter()
        .map(|token| token.kind)
        .collect::<Vec<_>>()[..]
    {
        [
            TokenKind::Word("_" | "cmd" | "command" | "$"),
            TokenKind::Sign('.'),
        ]
        | [
            ..,
            TokenKind::Sign('.'),
            TokenKind::Word("command"),
            TokenKind::Sign('.'),
        ] => Some(name),
        _ => None,
    }
}
