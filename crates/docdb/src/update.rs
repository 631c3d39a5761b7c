//! Updates: `{$set: {"a.b": 1}, $inc: {count: 1}}`, a whole document that replaces, or a pipeline that makes it of the one
//! that is there: `[{$set: {total: {$add: ["$a", "$b"]}}}]`.
//!
//! An update is parsed once and then applied to one document after the other. It takes effect as a whole or, on an error,
//! not at all. Operators are applied in the order of their paths, numbers by value and the rest by bytes, so new fields
//! stand in that order whatever the order in the update. What an update leaves as it is counts as not modified.

mod apply;
mod array;
mod growth;
mod number;
mod parse;
mod upsert;

use bson::{Bson, Document};

use crate::{
    Context,
    document::{check_depth, depth},
    error::{Error, Result, code},
    order::equal,
    path::Element,
    pipeline::Pipeline,
    query::{ElementCondition, Filter},
};

/// A parsed update.
#[derive(Clone, Debug)]
pub struct Update {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Replacement(Document),
    Operators(Operators),
    Pipeline(Pipeline),
}

/// Operators in the order of their paths, and what `$[name]` has to meet.
#[derive(Clone, Debug)]
struct Operators {
    changes: Vec<Change>,
    array_filters: Vec<(String, Filter)>,
}

/// One operator at one path.
#[derive(Clone, Debug)]
struct Change {
    path: UpdatePath,
    operator: Operator,
}

/// The path of an update: names, indexes, and the positional operators.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UpdatePath {
    text: String,
    parts: Vec<UpdatePart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum UpdatePart {
    /// A field; an index where it meets an array.
    Name(String, Option<usize>),
    /// `$`: the element that met the query.
    Matched,
    /// `$[]`: all elements.
    All,
    /// `$[name]`: the elements that meet the array filter of this number.
    Filtered(usize),
}

#[derive(Clone, Debug)]
enum Operator {
    Set(Bson),
    SetOnInsert(Bson),
    Unset,
    Inc(Bson),
    Mul(Bson),
    Min(Bson),
    Max(Bson),
    /// The change stands at the new path; this is the old one.
    Rename(UpdatePath),
    CurrentDate {
        timestamp: bool,
    },
    Bit(Vec<(BitOperator, Bson)>),
    Push(Push),
    AddToSet(array::Values),
    /// The first element, or the last.
    Pop {
        first: bool,
    },
    Pull(Pull),
    PullAll(array::Values),
}

#[derive(Clone, Copy, Debug)]
enum BitOperator {
    And,
    Or,
    Xor,
}

#[derive(Clone, Debug)]
struct Push {
    each: Vec<Bson>,
    position: Option<i64>,
    slice: Option<i64>,
    sort: Option<array::PushSort>,
}

#[derive(Clone, Debug)]
enum Pull {
    /// Elements equal to a value.
    Equal(Bson),
    /// Elements that meet a condition.
    Condition(ElementCondition),
}

impl Update {
    /// Parses an update. `array_filters` say what `$[name]` stands for.
    ///
    /// # Errors
    /// What MongoDB refuses before it looks at a document: unknown operators, arguments of a wrong type, paths that
    /// conflict.
    pub fn parse(update: &Document, array_filters: &[Document]) -> Result<Self> {
        parse::update(update, array_filters)
    }

    /// Parses an update by a pipeline: `$set`, `$addFields`, `$unset`, `$project`, `$replaceRoot`, `$replaceWith`.
    ///
    /// # Errors
    /// Other stages, array filters, and what [`Pipeline::parse`] refuses.
    pub fn parse_pipeline(stages: &[Document], array_filters: &[Document]) -> Result<Self> {
        parse::pipeline(stages, array_filters)
    }

    /// If the update replaces the document as a whole.
    #[must_use]
    pub const fn is_replacement(&self) -> bool {
        matches!(self.kind, Kind::Replacement(_))
    }

    /// The document as it is after the update, or `None` where the update leaves it as it is. `element` is what the
    /// positional `$` stands for: [`Filter::find_element`].
    ///
    /// # Errors
    /// Where the document does not fit the update: a number is wanted and a string found, `_id` would change.
    pub fn apply(
        &self,
        document: &Document,
        element: Element,
        context: &Context,
    ) -> Result<Option<Document>> {
        let updated = match &self.kind {
            Kind::Replacement(replacement) => {
                let replaced = replace(document.get("_id"), replacement);
                (!identical_documents(&replaced, document)).then_some(replaced)
            }
            Kind::Operators(operators) => operators.apply(document, element, context, false)?,
            Kind::Pipeline(pipeline) => {
                let made = pipeline.make(document, context)?;
                let replaced = replace(document.get("_id"), &made);
                (!identical_documents(&replaced, document)).then_some(replaced)
            }
        };
        if let Some(updated) = &updated {
            check_id(document, updated)?;
            // What was too deep before, in a file of an earlier version, may be changed, and gets no deeper.
            if let Err(error) = check_depth(updated)
                && depth(updated) > depth(document)
            {
                return Err(error);
            }
        }
        Ok(updated)
    }

    /// The document that an upsert inserts where nothing met `filter`: what the filter says by equality, and the update
    /// applied to it. It has no `_id` where neither names one; whoever inserts it gives one.
    ///
    /// # Errors
    /// As [`Update::apply`]; also where the filter names a field twice.
    pub fn upsert(&self, filter: &Filter, context: &Context) -> Result<Document> {
        let seed = upsert::seed(filter, self.is_replacement())?;
        let document = match &self.kind {
            Kind::Replacement(replacement) => replace(seed.get("_id"), replacement),
            Kind::Operators(operators) => operators
                .apply(&seed, None, context, true)?
                .unwrap_or_else(|| seed.clone()),
            Kind::Pipeline(pipeline) => replace(seed.get("_id"), &pipeline.make(&seed, context)?),
        };
        if seed.contains_key("_id") {
            check_id(&seed, &document)?;
        }
        check_depth(&document)?;
        Ok(id_first(document))
    }
}

fn replace(id: Option<&Bson>, replacement: &Document) -> Document {
    let mut document = Document::new();
    if let Some(id) = replacement.get("_id").or(id) {
        document.insert("_id", id.clone());
    }
    for (name, value) in replacement {
        if name != "_id" {
            document.insert(name.clone(), value.clone());
        }
    }
    document
}

fn id_first(mut document: Document) -> Document {
    if document.keys().next().is_none_or(|name| name == "_id") {
        return document;
    }
    let Some(id) = document.remove("_id") else {
        return document;
    };
    let mut ordered = Document::new();
    ordered.insert("_id", id);
    ordered.extend(document);
    ordered
}

fn check_id(before: &Document, after: &Document) -> Result<()> {
    let same = match (before.get("_id"), after.get("_id")) {
        (Some(before), Some(after)) => equal(before, after),
        (None, _) => true,
        (Some(_), None) => false,
    };
    if same {
        Ok(())
    } else {
        Err(Error::new(
            code::IMMUTABLE_FIELD,
            "Performing an update on the path '_id' would modify the immutable field '_id'",
        ))
    }
}

/// If two values are the same to the byte: their types, and the order of their fields.
pub(crate) fn identical(left: &Bson, right: &Bson) -> bool {
    match (left, right) {
        (Bson::Double(left), Bson::Double(right)) => left.to_bits() == right.to_bits(),
        (Bson::Document(left), Bson::Document(right)) => identical_documents(left, right),
        (Bson::Array(left), Bson::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| identical(left, right))
        }
        _ => left == right,
    }
}

pub(crate) fn identical_documents(left: &Document, right: &Document) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| left.0 == right.0 && identical(left.1, right.1))
}

#[cfg(test)]
mod tests;
