//! Which index would serve a query that has none: its equalities first, then its order, then its ranges, as MongoDB advises.
//!
//! It looks at what is asked alone, never at documents. What no index serves (`$ne`, `$where`, a regular expression that is not
//! anchored) is left out; of `$or` each branch wants an index of its own.

use bson::{Bson, Document};
use docdb::index::{IndexField, IndexKind, IndexSpec};

/// Fields of one index at most: further ones tell no more apart.
const FIELDS: usize = 5;
/// Branches of an `$or` that are looked at.
const BRANCHES: usize = 8;

/// The indexes that would serve this filter and order; none where there is nothing to serve, or `_id` serves it.
#[must_use]
pub fn indexes_for(filter: &Document, sort: Option<&Document>) -> Vec<IndexSpec> {
    let mut asks = Asks::default();
    asks.add(filter);
    if asks.by_id {
        return Vec::new();
    }
    if asks.is_empty() && !asks.branches.is_empty() {
        let branches = asks.branches.iter().take(BRANCHES);
        let each: Vec<Vec<IndexSpec>> = branches.map(|branch| indexes_for(branch, None)).collect();
        // One branch that must read everything makes the others' indexes useless.
        if each.iter().any(Vec::is_empty) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for index in each.into_iter().flatten() {
            if !all.contains(&index) {
                all.push(index);
            }
        }
        return all;
    }
    let index = asks.index(sort);
    index.into_iter().collect()
}

/// What a filter asks by.
#[derive(Default)]
struct Asks<'a> {
    by_id: bool,
    equal: Vec<&'a str>,
    ranges: Vec<&'a str>,
    places: Vec<&'a str>,
    branches: Vec<&'a Document>,
}

impl<'a> Asks<'a> {
    fn is_empty(&self) -> bool {
        self.equal.is_empty() && self.ranges.is_empty() && self.places.is_empty()
    }

    fn add(&mut self, filter: &'a Document) {
        for (name, condition) in filter {
            match (name.as_str(), condition) {
                ("$and", Bson::Array(parts)) => {
                    for part in parts.iter().filter_map(Bson::as_document) {
                        self.add(part);
                    }
                }
                ("$or", Bson::Array(parts)) if self.branches.is_empty() => {
                    self.branches = parts.iter().filter_map(Bson::as_document).collect();
                }
                (name, _) if name.starts_with('$') => {}
                (path, condition) => self.field(path, condition),
            }
        }
    }

    fn field(&mut self, path: &'a str, condition: &'a Bson) {
        let kind = Served::of(condition);
        if path == "_id" {
            self.by_id |= kind.is_some();
            return;
        }
        let fields = match kind {
            Some(Served::Equality) => &mut self.equal,
            Some(Served::Range) => &mut self.ranges,
            Some(Served::Place) => &mut self.places,
            None => return,
        };
        if !fields.contains(&path) {
            fields.push(path);
        }
    }

    fn index(&self, sort: Option<&Document>) -> Option<IndexSpec> {
        let mut fields: Vec<IndexField> = Vec::new();
        let mut add = |path: &str, kind| {
            if fields.len() < FIELDS && path != "_id" && !fields.iter().any(|field| field.path == path) {
                fields.push(IndexField {
                    path: path.to_owned(),
                    kind,
                });
            }
        };
        // An index over places gives no order, and is led by its place.
        if let Some(place) = self.places.first() {
            add(place, IndexKind::Sphere);
        } else {
            for path in &self.equal {
                add(path, IndexKind::Ascending);
            }
            for (path, direction) in sort.into_iter().flatten() {
                match direction {
                    Bson::Int32(-1) | Bson::Int64(-1) => add(path, IndexKind::Descending),
                    Bson::Double(number) if *number < 0.0 => add(path, IndexKind::Descending),
                    // `{$meta: …}` is no field's order.
                    Bson::Document(_) => {}
                    _ => add(path, IndexKind::Ascending),
                }
            }
            for path in &self.ranges {
                add(path, IndexKind::Ascending);
            }
        }
        Some(IndexSpec::over(fields)).filter(IndexSpec::can_be_written)
    }
}

/// How an index serves a condition.
enum Served {
    Equality,
    Range,
    Place,
}

impl Served {
    fn of(condition: &Bson) -> Option<Self> {
        let operators = match condition {
            Bson::RegularExpression(regex) => {
                return Self::of_pattern(regex.pattern.as_str(), regex.options.as_str());
            }
            Bson::Document(document) if document.keys().next().is_some_and(|key| key.starts_with('$')) => {
                document
            }
            _ => return Some(Self::Equality),
        };
        let options = operators.get_str("$options").unwrap_or_default();
        let mut found = None;
        for (operator, operand) in operators {
            match (operator.as_str(), operand) {
                ("$eq" | "$in", _) => return Some(Self::Equality),
                ("$gt" | "$gte" | "$lt" | "$lte", _) => found = Some(Self::Range),
                ("$near" | "$nearSphere" | "$geoNear" | "$geoWithin" | "$geoIntersects", _) => {
                    return Some(Self::Place);
                }
                ("$regex", Bson::String(pattern)) => found = Self::of_pattern(pattern, options).or(found),
                ("$regex", Bson::RegularExpression(regex)) => {
                    let options = if options.is_empty() {
                        regex.options.as_str()
                    } else {
                        options
                    };
                    found = Self::of_pattern(regex.pattern.as_str(), options).or(found);
                }
                _ => {}
            }
        }
        found
    }

    /// Only a pattern that is anchored, and tells small letters from large ones, has a beginning to look up.
    fn of_pattern(pattern: &str, options: &str) -> Option<Self> {
        (pattern.starts_with('^') && !options.contains(['i', 'm'])).then_some(Self::Range)
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use docdb::index::settings_line;

    use super::*;

    #[test]
    fn equalities_come_first_then_the_order_then_ranges() {
        for (filter, sort, expected) in [
            (doc! { "a": 1 }, None, "[[\"a\"]]"),
            (
                doc! { "at": { "$gt": 1 }, "list": "x", "done": { "$ne": true } },
                Some(doc! { "createTime": -1, "_id": 1 }),
                "[[\"list\", \"-createTime\", \"at\"]]",
            ),
            (
                doc! { "$and": [{ "a": 1 }, { "b": { "$in": [1, 2] } }] },
                None,
                "[[\"a\", \"b\"]]",
            ),
            (doc! { "a": { "$regex": "^x", "$options": "i" } }, None, "[]"),
            (doc! {}, Some(doc! { "at": 1.0 }), "[[\"at\"]]"),
            (
                doc! { "a.b": { "$regex": "^x" }, "c": { "$regex": "y" } },
                None,
                "[[\"a.b\"]]",
            ),
            (
                doc! { "$or": [{ "a": 1 }, { "b": 2 }, { "a": 3 }] },
                None,
                "[[\"a\"], [\"b\"]]",
            ),
            (doc! { "$or": [{ "a": 1 }, { "b": { "$ne": 2 } }] }, None, "[]"),
            (
                doc! { "$or": [{ "b": 1 }, { "c": 1 }], "a": 1 },
                None,
                "[[\"a\"]]",
            ),
            (
                doc! { "place": { "$near": { "$geometry": {} } }, "kind": 1 },
                None,
                "[{ fields = [\"place\"], kind = \"2dsphere\" }]",
            ),
            (doc! { "_id": "x", "a": 1 }, None, "[]"),
            (doc! { "_id": { "$ne": "x" }, "a": 1 }, None, "[[\"a\"]]"),
            (doc! { "a": { "$exists": true } }, None, "[]"),
            (doc! { "a": { "b": 1 } }, None, "[[\"a\"]]"),
            (doc! { "-a": 1 }, None, "[]"),
            (doc! {}, None, "[]"),
        ] {
            let indexes = indexes_for(&filter, sort.as_ref());
            let line = settings_line("todos", &indexes);
            assert_eq!(
                line,
                format!("[database.collections.todos] indexes = {expected}"),
                "{filter}"
            );
        }
    }
}
