//! A rule, reduced to conditions on fields: whatever is known when it is asked (the caller, the time, what is written, other
//! documents) stands in it as a value.

use std::borrow::Cow;

use bson::{Bson, Document};
use docdb::{
    order::{Number, Rank, equal, rank},
    path::{Path, get},
};

use crate::{
    expression::{Comparison, Expression},
    formula::{Atom, Condition, Formula},
    judge::{DocumentRef, Documents, Request},
    query::is_plain,
    set::{Ordered, ValueSet},
    write::Written,
};

/// What is known of `doc`.
#[derive(Clone, Copy)]
pub(crate) enum Known<'a> {
    /// What every document meets that the query finds.
    Facts(&'a Formula),
    /// The document.
    Document(&'a Document),
    /// There is none: a rule of storage.
    Nothing,
}

/// Reduces rules, and notes what it met.
pub(crate) struct Reducer<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) known: Known<'a>,
    /// Whether what is known of `doc` is what a client adds.
    pub(crate) is_created: bool,
    /// `resource`, of storage.
    pub(crate) resource: Option<&'a Document>,
    pub(crate) documents: &'a Documents,
    /// Documents that are named by `get()`, and are not among those.
    pub(crate) wanted: Vec<DocumentRef>,
    /// Fields whose one value was taken from the query.
    pub(crate) pinned: Vec<String>,
    /// A field whose one value would have been needed.
    pub(crate) unpinned: Option<String>,
}

/// What a part of a rule is.
enum Operand<'a> {
    Value(Cow<'a, Bson>),
    /// What `auth` does not have of this caller: it equals nothing but `null` where that is written out, or who has no uid
    /// would own what has no owner.
    Absent,
    /// `doc` or a field in it.
    Field(String),
    /// `request.data` or a field in it.
    Data(String),
    Request,
    Unknown,
}

const NULL: Operand<'static> = Operand::Value(Cow::Owned(Bson::Null));

impl<'a> Reducer<'a> {
    pub(crate) const fn new(
        request: &'a Request<'a>,
        known: Known<'a>,
        resource: Option<&'a Document>,
        documents: &'a Documents,
    ) -> Self {
        Self {
            request,
            known,
            is_created: false,
            resource,
            documents,
            wanted: Vec::new(),
            pinned: Vec::new(),
            unpinned: None,
        }
    }

    /// The rule where `want`, else its negation.
    pub(crate) fn reduce(&mut self, expression: &'a Expression, want: bool) -> Formula {
        match expression {
            Expression::Not(inner) => self.reduce(inner, !want),
            Expression::All(parts) if want => self.all(parts, want),
            Expression::All(parts) => self.any(parts, want),
            Expression::Any(parts) if want => self.any(parts, want),
            Expression::Any(parts) => self.all(parts, want),
            Expression::Compare(Comparison::In, left, right) => self.is_in(left, right, want),
            Expression::Compare(Comparison::Unequal, left, right) => {
                self.compare(Comparison::Equal, left, right, !want)
            }
            Expression::Compare(comparison, left, right) => self.compare(*comparison, left, right, want),
            Expression::Matches(pattern, text) => match self.value(text) {
                Operand::Value(text) => match text.as_str().map(|text| pattern.matches(text)) {
                    Some(Ok(matches)) => Formula::of(matches == want),
                    Some(Err(_)) => Formula::Unknown,
                    None => Formula::of(!want),
                },
                _ => Formula::Unknown,
            },
            other => match self.value(other) {
                Operand::Value(value) => Formula::of(is_true(&value) == want),
                Operand::Absent => Formula::of(!want),
                Operand::Request => Formula::of(want),
                Operand::Field(path) if !path.is_empty() => Formula::Atom(Atom {
                    path,
                    condition: Condition::In(vec![
                        Bson::Null,
                        Bson::Boolean(false),
                        Bson::Int32(0),
                        Bson::String(String::new()),
                    ]),
                    holds: !want,
                }),
                _ => Formula::Unknown,
            },
        }
    }

    fn all(&mut self, parts: &'a [Expression], want: bool) -> Formula {
        let mut reduced = Vec::with_capacity(parts.len());
        for part in parts {
            match self.reduce(part, want) {
                Formula::False => return Formula::False,
                part => reduced.push(part),
            }
        }
        Formula::all(reduced)
    }

    fn any(&mut self, parts: &'a [Expression], want: bool) -> Formula {
        let mut reduced = Vec::with_capacity(parts.len());
        for part in parts {
            match self.reduce(part, want) {
                Formula::True => return Formula::True,
                part => reduced.push(part),
            }
        }
        Formula::any(reduced)
    }

    /// `left in right`
    fn is_in(&mut self, left: &'a Expression, right: &'a Expression, want: bool) -> Formula {
        if let Expression::List(elements) = right {
            let mut equal = Vec::with_capacity(elements.len());
            for element in elements {
                equal.push(self.compare(Comparison::Equal, left, element, want));
            }
            return match want {
                true => Formula::any(equal),
                false => Formula::all(equal),
            };
        }
        match (self.operand(left), self.operand(right)) {
            (Operand::Absent, _) | (_, Operand::Absent) => Formula::of(!want),
            (Operand::Value(value), Operand::Value(list)) => Formula::of(contains(&list, &value) == want),
            (Operand::Value(value), Operand::Field(path)) => atom(path, equal_to(&value), want),
            (Operand::Field(path), Operand::Value(list)) => atom(path, one_of(&list), want),
            (Operand::Field(left), Operand::Field(right)) => match (self.pin(&left), self.pin(&right)) {
                (Some(value), _) => atom(right, equal_to(&value), want),
                (None, Some(list)) => atom(left, one_of(&list), want),
                (None, None) => Formula::Unknown,
            },
            _ => Formula::Unknown,
        }
    }

    fn compare(
        &mut self,
        comparison: Comparison,
        left: &'a Expression,
        right: &'a Expression,
        want: bool,
    ) -> Formula {
        if comparison == Comparison::Equal {
            let sides = match (left, right) {
                (Expression::Constant(Bson::Undefined), written)
                | (written, Expression::Constant(Bson::Undefined)) => self.is_written(written),
                _ => None,
            };
            if let Some(written) = sides {
                return written.map_or(Formula::Unknown, |written| Formula::of(written != want));
            }
        }
        let is_time = tells_time(left) || tells_time(right);
        let written_out = |expression: &Expression| {
            matches!(expression, Expression::Constant(Bson::Null | Bson::Undefined))
        };
        match (self.operand(left), self.operand(right)) {
            (Operand::Absent, _) => {
                Formula::of((comparison == Comparison::Equal && written_out(right)) == want)
            }
            (_, Operand::Absent) => {
                Formula::of((comparison == Comparison::Equal && written_out(left)) == want)
            }
            (Operand::Value(left), Operand::Value(right)) => {
                Formula::of(compares(comparison, &left, &right, is_time) == want)
            }
            (Operand::Field(path), Operand::Value(value)) => {
                atom(path, comparing(comparison, &value, is_time), want)
            }
            (Operand::Value(value), Operand::Field(path)) => {
                atom(path, comparing(comparison.reversed(), &value, is_time), want)
            }
            (Operand::Field(left), Operand::Field(right)) => match (self.pin(&left), self.pin(&right)) {
                (Some(value), _) => atom(right, comparing(comparison.reversed(), &value, is_time), want),
                (None, Some(value)) => atom(left, comparing(comparison, &value, is_time), want),
                (None, None) => Formula::Unknown,
            },
            _ => Formula::Unknown,
        }
    }

    /// Whether a client writes this, which is something in `request.data` or in a document that it adds, be it null: one that asks for
    /// `undefined` asks whether the field is left alone. `None` where it stands elsewhere; `Some(None)` where nobody knows.
    fn is_written(&mut self, expression: &'a Expression) -> Option<Option<bool>> {
        match (self.value(expression), self.known) {
            (Operand::Data(path), _) => Some(match self.request.data.map(|data| data.get(&path)) {
                Some(Written::Value(_)) => Some(true),
                Some(Written::Nothing) | None => Some(false),
                Some(Written::Unknown) => None,
            }),
            (Operand::Field(path), Known::Document(document)) if self.is_created && !path.is_empty() => {
                Some(has(document, &path))
            }
            _ => None,
        }
    }

    /// What stands on a side of a comparison: no `request.data` is left in it.
    fn operand(&mut self, expression: &'a Expression) -> Operand<'a> {
        match self.value(expression) {
            Operand::Data(path) => match self.request.data.map(|data| data.get(&path)) {
                Some(Written::Value(value)) => Operand::Value(Cow::Borrowed(value)),
                Some(Written::Nothing) | None => NULL,
                Some(Written::Unknown) => Operand::Unknown,
            },
            Operand::Field(path) if path.is_empty() => match self.known {
                Known::Document(document) => Operand::Value(Cow::Owned(document.clone().into())),
                _ => Operand::Unknown,
            },
            operand => operand,
        }
    }

    /// The value of a part of a path, where it has to be known.
    fn pinned(&mut self, expression: &'a Expression) -> Option<Cow<'a, Bson>> {
        match self.operand(expression) {
            Operand::Value(value) => Some(value),
            Operand::Field(path) => self.pin(&path).map(Cow::Owned),
            _ => None,
        }
    }

    /// The one value that a field has.
    fn pin(&mut self, path: &str) -> Option<Bson> {
        match self.known {
            Known::Document(document) => Some(get(document, &Path::new(path)).cloned().unwrap_or(Bson::Null)),
            Known::Facts(facts) => {
                let value = one_value(facts, path).cloned();
                match &value {
                    Some(_) => self.pinned.push(path.to_owned()),
                    None => self.unpinned = Some(path.to_owned()),
                }
                value
            }
            Known::Nothing => None,
        }
    }

    fn value(&mut self, expression: &'a Expression) -> Operand<'a> {
        match expression {
            Expression::Constant(Bson::Undefined) => NULL,
            Expression::Constant(value) => Operand::Value(Cow::Borrowed(value)),
            Expression::Now => Operand::Value(Cow::Owned(Bson::Int64(self.request.now))),
            Expression::Auth => Operand::Value(Cow::Owned(self.request.caller.object())),
            Expression::Doc => Operand::Field(String::new()),
            Expression::Request => Operand::Request,
            Expression::Resource => match self.resource {
                Some(resource) => Operand::Value(Cow::Owned(resource.clone().into())),
                None => Operand::Unknown,
            },
            Expression::Member(of, name) => self.member(of, name),
            Expression::Index(of, key) => {
                let key = match self.pinned(key).as_deref() {
                    Some(Bson::String(name)) => name.clone(),
                    Some(value) => match Number::of(value).and_then(Number::to_i64_exact) {
                        Some(at) => at.to_string(),
                        None => return Operand::Unknown,
                    },
                    None => return Operand::Unknown,
                };
                // A name with a dot would be read as a path, and lead elsewhere.
                if key.is_empty() || key.contains('.') || key.starts_with('$') {
                    return Operand::Unknown;
                }
                self.member(of, &key)
            }
            Expression::Get(path) => self.document(path),
            Expression::List(elements) => {
                let mut list = Vec::with_capacity(elements.len());
                for element in elements {
                    match self.operand(element) {
                        Operand::Value(value) => list.push(value.into_owned()),
                        _ => return Operand::Unknown,
                    }
                }
                Operand::Value(Cow::Owned(Bson::Array(list)))
            }
            Expression::Template(parts) => {
                let mut text = String::new();
                for part in parts {
                    match self.pinned(part).as_deref().and_then(text_of) {
                        Some(part) => text.push_str(&part),
                        None => return Operand::Unknown,
                    }
                }
                Operand::Value(Cow::Owned(Bson::String(text)))
            }
            Expression::Sum(parts) => self.sum(parts),
            Expression::Matches(..)
            | Expression::Not(_)
            | Expression::All(_)
            | Expression::Any(_)
            | Expression::Compare(..) => match self.reduce(expression, true) {
                Formula::True => Operand::Value(Cow::Owned(Bson::Boolean(true))),
                Formula::False => Operand::Value(Cow::Owned(Bson::Boolean(false))),
                formula => match self.known {
                    Known::Document(document) => {
                        Operand::Value(Cow::Owned(Bson::Boolean(formula.holds_for(document))))
                    }
                    _ => Operand::Unknown,
                },
            },
        }
    }

    fn member(&mut self, of: &'a Expression, name: &str) -> Operand<'a> {
        if matches!(of, Expression::Auth) {
            return match self.request.caller.member(name) {
                Some(member) => Operand::Value(Cow::Owned(Bson::from(member))),
                None => Operand::Absent,
            };
        }
        match self.value(of) {
            Operand::Field(path) => Operand::Field(below(&path, name)),
            Operand::Data(path) => Operand::Data(below(&path, name)),
            Operand::Request => Operand::Data(String::new()),
            Operand::Value(value) => Operand::Value(Cow::Owned(member_of(&value, name))),
            Operand::Absent => Operand::Absent,
            Operand::Unknown => Operand::Unknown,
        }
    }

    /// `get('database.COLLECTION.ID')`
    fn document(&mut self, path: &'a Expression) -> Operand<'a> {
        let Some(path) = self.pinned(path) else {
            return Operand::Unknown;
        };
        let Some(wanted) = path.as_str().and_then(DocumentRef::of_path) else {
            return NULL;
        };
        match self.documents.get(&wanted) {
            Some(Some(document)) => Operand::Value(Cow::Owned(Bson::Document(document.clone()))),
            Some(None) => NULL,
            None => {
                if !self.wanted.contains(&wanted) {
                    self.wanted.push(wanted);
                }
                Operand::Unknown
            }
        }
    }

    fn sum(&mut self, parts: &'a [Expression]) -> Operand<'a> {
        let mut sum: Option<Bson> = None;
        for part in parts {
            let Some(part) = self.pinned(part) else {
                return Operand::Unknown;
            };
            sum = Some(match sum {
                None => part.into_owned(),
                Some(before) => match (Number::of(&before), Number::of(&part)) {
                    (Some(left), Some(right)) => match (left.to_i64_exact(), right.to_i64_exact()) {
                        (Some(left), Some(right)) => Bson::Int64(left.saturating_add(right)),
                        _ => Bson::Double(left.to_f64() + right.to_f64()),
                    },
                    _ => match (text_of(&before), text_of(&part)) {
                        (Some(left), Some(right)) => Bson::String(format!("{left}{right}")),
                        _ => return Operand::Unknown,
                    },
                },
            });
        }
        sum.map_or(Operand::Unknown, |sum| Operand::Value(Cow::Owned(sum)))
    }
}

/// Whether a document has a field, be it null; `None` where a list is on the way there.
fn has(document: &Document, path: &str) -> Option<bool> {
    let (name, rest) = path
        .split_once('.')
        .map_or((path, None), |(name, rest)| (name, Some(rest)));
    match (document.get(name), rest) {
        (found, None) => Some(found.is_some()),
        (Some(Bson::Document(inner)), Some(rest)) => has(inner, rest),
        (Some(Bson::Array(_)), Some(_)) => None,
        (_, Some(_)) => Some(false),
    }
}

fn atom(path: String, condition: Option<Condition>, holds: bool) -> Formula {
    match condition {
        Some(condition) if !path.is_empty() => Formula::Atom(Atom {
            path,
            condition,
            holds,
        }),
        _ => Formula::Unknown,
    }
}

fn equal_to(value: &Bson) -> Option<Condition> {
    is_plain(value).then(|| Condition::Equal(value.clone()))
}

fn one_of(list: &Bson) -> Option<Condition> {
    Some(Condition::In(match list {
        Bson::Array(values) if values.iter().all(is_plain) => values.clone(),
        Bson::Array(_) => return None,
        Bson::Document(members) => members.keys().map(|name| Bson::String(name.clone())).collect(),
        _ => Vec::new(),
    }))
}

/// `is_time` is said where `now` stands on a side: its number is compared with dates too.
fn comparing(comparison: Comparison, value: &Bson, is_time: bool) -> Option<Condition> {
    let ordered = match comparison {
        Comparison::Greater => Ordered::Greater,
        Comparison::GreaterOrEqual => Ordered::GreaterOrEqual,
        Comparison::Less => Ordered::Less,
        Comparison::LessOrEqual => Ordered::LessOrEqual,
        Comparison::Equal | Comparison::Unequal | Comparison::In => return equal_to(value),
    };
    if rank(value) == Rank::Null {
        // Nothing is less or more than what is not there.
        return Some(Condition::In(Vec::new()));
    }
    is_plain(value).then(|| Condition::Order {
        ordered,
        value: value.clone(),
        dates: is_time && rank(value) == Rank::Number,
    })
}

fn compares(comparison: Comparison, left: &Bson, right: &Bson, is_time: bool) -> bool {
    if is_time && rank(left) == Rank::Number && rank(right) == Rank::DateTime {
        return compares(comparison.reversed(), right, left, is_time);
    }
    comparing(comparison, right, is_time).is_some_and(|condition| ValueSet::of(&condition).contains(left))
}

/// Whether a side of a comparison is `now`, or so much before or after it.
fn tells_time(expression: &Expression) -> bool {
    match expression {
        Expression::Now => true,
        Expression::Sum(parts) => parts.iter().any(tells_time),
        _ => false,
    }
}

fn contains(list: &Bson, value: &Bson) -> bool {
    match list {
        Bson::Array(values) => values.iter().any(|other| equal(other, value)),
        Bson::Document(members) => value.as_str().is_some_and(|name| members.contains_key(name)),
        _ => false,
    }
}

fn member_of(value: &Bson, name: &str) -> Bson {
    let member = match value {
        Bson::Document(members) => members.get(name),
        Bson::Array(values) => name.parse::<usize>().ok().and_then(|at| values.get(at)),
        _ => None,
    };
    member.cloned().unwrap_or(Bson::Null)
}

/// What JavaScript takes for true.
fn is_true(value: &Bson) -> bool {
    match value {
        Bson::Null | Bson::Undefined => false,
        Bson::Boolean(known) => *known,
        Bson::String(text) => !text.is_empty(),
        value => Number::of(value).is_none_or(|number| number.to_f64() != 0.0 && !number.to_f64().is_nan()),
    }
}

fn text_of(value: &Bson) -> Option<Cow<'_, str>> {
    match value {
        Bson::String(text) => Some(Cow::Borrowed(text)),
        value => Some(Cow::Owned(match Number::of(value)? {
            Number::Integer(number) => number.to_string(),
            Number::Double(number) => number.to_string(),
        })),
    }
}

fn below(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// The value that a field has in every document that meets these.
fn one_value<'f>(facts: &'f Formula, path: &str) -> Option<&'f Bson> {
    match facts {
        Formula::Atom(atom) if atom.path == path && atom.holds => match &atom.condition {
            Condition::Equal(value) => Some(value),
            Condition::In(values) => match values.as_slice() {
                [only] => Some(only),
                _ => None,
            },
            Condition::Order { .. } => None,
        },
        Formula::All(parts) => parts.iter().find_map(|part| one_value(part, path)),
        _ => None,
    }
}
