//! Operators applied to a document.

use std::cell::Cell;

use bson::{Bson, Document, Timestamp, doc};
use ejson::shell::value_in_error_text;

use super::{BitOperator, Operator, Operators, UpdatePart, UpdatePath, identical, number};
use crate::{
    Context,
    error::{Error, Result, code},
    expr::{Variables, value_size},
    order::compare,
    path::Element,
    query::Filter,
};

/// The indexes of one update may leave gaps of so many elements, which become null.
const PADDING: usize = 1_500_000;
/// More memory than this is not filled by one update; a document of the greatest size takes less.
const WRITTEN: usize = 64 << 20;

/// What became of one place.
pub(super) enum Outcome {
    /// It stays as it is.
    Unchanged,
    /// It was changed where it stands.
    Changed,
    /// It is to hold this.
    Put(Bson),
    /// It is to go.
    Remove,
}

/// What the application of one update looks at.
struct Applier<'a> {
    element: Element,
    context: &'a Context,
    filters: &'a [(String, Filter)],
    id: Bson,
    /// The bytes that were written so far, and the gaps that were filled: `$[]` writes as often as there are elements.
    written: Cell<usize>,
    padded: Cell<usize>,
}

/// Where an operator is applied: the whole path for messages, the operator.
#[derive(Clone, Copy)]
struct Target<'a> {
    path: &'a UpdatePath,
    operator: &'a Operator,
}

impl Operator {
    /// The bytes that it writes at one place, about.
    fn size(&self) -> usize {
        match self {
            Self::Set(value) | Self::SetOnInsert(value) | Self::Min(value) | Self::Max(value) => {
                value_size(value)
            }
            Self::Push(push) => push.each.iter().map(value_size).sum(),
            Self::AddToSet(values) => values.size,
            Self::Unset | Self::Pop { .. } | Self::Pull(_) | Self::PullAll(_) | Self::Rename(_) => 0,
            Self::Inc(_) | Self::Mul(_) | Self::CurrentDate { .. } | Self::Bit(_) => 8,
        }
    }
}

impl Operators {
    pub(super) fn apply(
        &self,
        document: &Document,
        element: Element,
        context: &Context,
        inserting: bool,
    ) -> Result<Option<Document>> {
        let applier = Applier {
            element,
            context,
            filters: &self.array_filters,
            id: document.get("_id").cloned().unwrap_or(Bson::Null),
            written: Cell::new(0),
            padded: Cell::new(0),
        };
        let mut updated = document.clone();
        let mut modified = false;
        for change in &self.changes {
            if matches!(change.operator, Operator::SetOnInsert(_)) && !inserting {
                continue;
            }
            modified |= if let Operator::Rename(from) = &change.operator {
                applier.rename(&mut updated, from, &change.path)?
            } else {
                let target = Target {
                    path: &change.path,
                    operator: &change.operator,
                };
                applier.in_document(&mut updated, &change.path.parts, target)?
            };
        }
        Ok(modified.then_some(updated))
    }
}

impl Applier<'_> {
    fn in_document(&self, document: &mut Document, parts: &[UpdatePart], target: Target<'_>) -> Result<bool> {
        let Some((part, rest)) = parts.split_first() else {
            return Ok(false);
        };
        let name = match part {
            UpdatePart::Name(name, _) => name.clone(),
            UpdatePart::Matched => self.matched()?.to_string(),
            UpdatePart::All | UpdatePart::Filtered(_) => {
                return Err(Error::bad_value(format!(
                    "Cannot apply array updates to non-array element at path '{}'",
                    target.path.text
                )));
            }
        };
        if rest.is_empty() {
            return match self.at(document.get_mut(&name), target)? {
                Outcome::Unchanged => Ok(false),
                Outcome::Changed => Ok(true),
                Outcome::Put(value) => {
                    document.insert(name, value);
                    Ok(true)
                }
                Outcome::Remove => {
                    document.remove(&name);
                    Ok(true)
                }
            };
        }
        if let Some(value) = document.get_mut(&name) {
            return self.in_value(value, &name, rest, target);
        }
        let Some(made) = self.make(rest, target)? else {
            return Ok(false);
        };
        document.insert(name, made);
        Ok(true)
    }

    fn in_value(
        &self,
        value: &mut Bson,
        name: &str,
        parts: &[UpdatePart],
        target: Target<'_>,
    ) -> Result<bool> {
        match value {
            Bson::Document(document) => self.in_document(document, parts, target),
            Bson::Array(elements) => self.in_array(elements, name, parts, target),
            _ => self.not_viable(value, name, parts, target),
        }
    }

    /// A path leads through a scalar, or into an array by name.
    fn not_viable(&self, value: &Bson, name: &str, parts: &[UpdatePart], target: Target<'_>) -> Result<bool> {
        if matches!(target.operator, Operator::Unset) {
            return Ok(false);
        }
        let value = value_in_error_text(value);
        match parts.first() {
            Some(UpdatePart::All | UpdatePart::Filtered(_)) => Err(Error::bad_value(format!(
                "Cannot apply array updates to non-array element {name}: {value}"
            ))),
            part => Err(Error::new(
                code::PATH_NOT_VIABLE,
                format!(
                    "Cannot create field '{}' in element {{{name}: {value}}}",
                    part.map_or_else(String::new, |part| self.part_text(part))
                ),
            )),
        }
    }

    fn part_text(&self, part: &UpdatePart) -> String {
        match part {
            UpdatePart::Name(name, _) => name.clone(),
            UpdatePart::Matched => self.element.map_or_else(|| "$".to_owned(), |at| at.to_string()),
            UpdatePart::All => "$[]".to_owned(),
            UpdatePart::Filtered(at) => self
                .filters
                .get(*at)
                .map_or_else(String::new, |filter| format!("$[{}]", filter.0)),
        }
    }

    fn in_array(
        &self,
        elements: &mut Vec<Bson>,
        name: &str,
        parts: &[UpdatePart],
        target: Target<'_>,
    ) -> Result<bool> {
        let Some((part, rest)) = parts.split_first() else {
            return Ok(false);
        };
        match part {
            UpdatePart::Name(_, Some(index)) => self.at_index(elements, *index, rest, target),
            UpdatePart::Name(_, None) => {
                let value = Bson::Array(elements.clone());
                self.not_viable(&value, name, parts, target)
            }
            UpdatePart::Matched => self.at_index(elements, self.matched()?, rest, target),
            UpdatePart::All => {
                let mut modified = false;
                for index in 0..elements.len() {
                    modified |= self.at_index(elements, index, rest, target)?;
                }
                Ok(modified)
            }
            UpdatePart::Filtered(at) => {
                let Some((identifier, filter)) = self.filters.get(*at) else {
                    return Ok(false);
                };
                let mut modified = false;
                for index in 0..elements.len() {
                    // The filter names the element as if it were a field.
                    let wrapped = match elements.get(index) {
                        Some(element) => doc! {identifier: element.clone()},
                        None => break,
                    };
                    let matches = || filter.matches(&wrapped, &Variables::none(), self.context);
                    // Conditions can be as many as elements.
                    if self.context.counted(matches)? {
                        modified |= self.at_index(elements, index, rest, target)?;
                    }
                }
                Ok(modified)
            }
        }
    }

    fn at_index(
        &self,
        elements: &mut Vec<Bson>,
        index: usize,
        rest: &[UpdatePart],
        target: Target<'_>,
    ) -> Result<bool> {
        if let Some(element) = elements.get_mut(index) {
            if !rest.is_empty() {
                return self.in_value(element, &index.to_string(), rest, target);
            }
            return match self.at(Some(element), target)? {
                Outcome::Unchanged => Ok(false),
                Outcome::Changed => Ok(true),
                Outcome::Put(value) => {
                    *element = value;
                    Ok(true)
                }
                // The others keep their places.
                Outcome::Remove => {
                    let modified = *element != Bson::Null;
                    *element = Bson::Null;
                    Ok(modified)
                }
            };
        }
        let made = if rest.is_empty() {
            match self.at(None, target)? {
                Outcome::Put(value) => value,
                _ => return Ok(false),
            }
        } else {
            match self.make(rest, target)? {
                Some(value) => value,
                None => return Ok(false),
            }
        };
        let padded = self.padded.get() + index - elements.len();
        if padded > PADDING {
            return Err(Error::bad_value(format!(
                "can't backfill more than {PADDING} elements: '{}'",
                target.path.text
            )));
        }
        self.padded.set(padded);
        elements.resize(index, Bson::Null);
        elements.push(made);
        Ok(true)
    }

    /// What stands at a path of which nothing is there yet: documents down to the value; `None` where the operator makes
    /// nothing.
    fn make(&self, parts: &[UpdatePart], target: Target<'_>) -> Result<Option<Bson>> {
        let mut names = Vec::with_capacity(parts.len());
        for part in parts {
            names.push(match part {
                UpdatePart::Name(name, _) => name.clone(),
                UpdatePart::Matched => self.matched()?.to_string(),
                UpdatePart::All | UpdatePart::Filtered(_) => {
                    if matches!(target.operator, Operator::Unset) {
                        return Ok(None);
                    }
                    return Err(Error::bad_value(format!(
                        "The path '{}' must exist in the document in order to apply array updates.",
                        target.path.text
                    )));
                }
            });
        }
        let Outcome::Put(mut value) = self.at(None, target)? else {
            return Ok(None);
        };
        for name in names.into_iter().rev() {
            let mut outer = Document::new();
            outer.insert(name, value);
            value = Bson::Document(outer);
        }
        Ok(Some(value))
    }

    fn matched(&self) -> Result<usize> {
        self.element.ok_or_else(|| {
            Error::bad_value("The positional operator did not find the match needed from the query.")
        })
    }

    /// Counts what an operator writes at one place.
    fn write(&self, bytes: usize) -> Result<()> {
        let written = self.written.get().saturating_add(bytes);
        if written > WRITTEN {
            return Err(Error::new(
                code::OBJECT_TOO_LARGE,
                format!(
                    "Resulting document after update is too large: one update writes {WRITTEN} bytes of memory at most"
                ),
            ));
        }
        self.written.set(written);
        Ok(())
    }

    /// The operator at its place.
    fn at(&self, current: Option<&mut Bson>, target: Target<'_>) -> Result<Outcome> {
        self.write(target.operator.size())?;
        let name = target
            .path
            .parts
            .last()
            .map_or_else(String::new, |part| self.part_text(part));
        let put = |current: Option<&mut Bson>, value: Bson| match current {
            Some(current) if identical(current, &value) => Outcome::Unchanged,
            _ => Outcome::Put(value),
        };
        Ok(match target.operator {
            Operator::Set(value) | Operator::SetOnInsert(value) => put(current, value.clone()),
            Operator::Unset => match current {
                Some(_) => Outcome::Remove,
                None => Outcome::Unchanged,
            },
            Operator::Inc(operand) => match current {
                None => Outcome::Put(operand.clone()),
                Some(current) => {
                    let sum = number::add(current, operand, &name, &self.id)?;
                    put(Some(current), sum)
                }
            },
            Operator::Mul(operand) => match current {
                None => Outcome::Put(number::zero(operand)),
                Some(current) => {
                    let product = number::multiply(current, operand, &name, &self.id)?;
                    put(Some(current), product)
                }
            },
            Operator::Min(operand) => match current {
                Some(current) if compare(operand, current).is_ge() => Outcome::Unchanged,
                _ => Outcome::Put(operand.clone()),
            },
            Operator::Max(operand) => match current {
                Some(current) if compare(operand, current).is_le() => Outcome::Unchanged,
                _ => Outcome::Put(operand.clone()),
            },
            Operator::CurrentDate { timestamp: false } => put(current, Bson::DateTime(self.context.now)),
            Operator::CurrentDate { timestamp: true } => {
                let seconds = self.context.now.timestamp_millis().div_euclid(1000);
                let time = u32::try_from(seconds.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX);
                put(current, Bson::Timestamp(Timestamp { time, increment: 1 }))
            }
            Operator::Bit(operations) => {
                let before = current.as_deref().cloned();
                let result = bits(before.as_ref(), operations, &name, &self.id)?;
                put(current, result)
            }
            Operator::Push(push) => push.apply(current, &name, &self.id, self.context)?,
            Operator::AddToSet(values) => {
                super::array::add_to_set(current, values, &name, &self.id, self.context)?
            }
            Operator::Pop { first } => super::array::pop(current, *first, &name)?,
            Operator::Pull(pull) => pull.apply(current, &name, self.context)?,
            Operator::PullAll(values) => super::array::pull_all(current, values, &name, self.context)?,
            // It is applied by its own way, because it has two paths.
            Operator::Rename(_) => Outcome::Unchanged,
        })
    }

    fn rename(&self, document: &mut Document, from: &UpdatePath, to: &UpdatePath) -> Result<bool> {
        let names = |path: &UpdatePath| -> Vec<String> {
            path.parts.iter().map(|part| self.part_text(part)).collect()
        };
        let (from_names, to_names) = (names(from), names(to));
        let Some(value) = self.find(document, &from_names, from, "source")?.cloned() else {
            return Ok(false);
        };
        self.find(document, &to_names, to, "destination")?;
        remove(document, &from_names);
        let operator = Operator::Set(value);
        let target = Target {
            path: to,
            operator: &operator,
        };
        self.in_document(document, &to.parts, target)?;
        Ok(true)
    }

    /// What a path of names leads to, through documents alone.
    fn find<'a>(
        &self,
        document: &'a Document,
        names: &[String],
        path: &UpdatePath,
        side: &str,
    ) -> Result<Option<&'a Bson>> {
        let mut document = document;
        let mut above = "";
        for (at, name) in names.iter().enumerate() {
            let value = document.get(name);
            if at + 1 == names.len() {
                return Ok(value);
            }
            match value {
                None => return Ok(None),
                Some(Bson::Document(inner)) => document = inner,
                Some(Bson::Array(_)) => {
                    return Err(Error::bad_value(format!(
                        "The {side} field cannot be an array element, '{}' in doc with _id: {} has an array field called '{name}'",
                        path.text,
                        value_in_error_text(&self.id)
                    )));
                }
                Some(value) => {
                    let value = value_in_error_text(value);
                    return Err(Error::new(
                        code::PATH_NOT_VIABLE,
                        format!(
                            "Cannot create field '{}' in element {{{name}: {value}}}",
                            names.get(at + 1).map_or(above, String::as_str)
                        ),
                    ));
                }
            }
            above = name;
        }
        Ok(None)
    }
}

fn remove(document: &mut Document, names: &[String]) {
    match names {
        [] => {}
        [name] => {
            document.remove(name);
        }
        [name, rest @ ..] => {
            if let Some(Bson::Document(inner)) = document.get_mut(name) {
                remove(inner, rest);
            }
        }
    }
}

fn bits(current: Option<&Bson>, operations: &[(BitOperator, Bson)], name: &str, id: &Bson) -> Result<Bson> {
    let mut result = current.cloned().unwrap_or(Bson::Int32(0));
    for (operator, operand) in operations {
        let apply = |left: i64, right: i64| match operator {
            BitOperator::And => left & right,
            BitOperator::Or => left | right,
            BitOperator::Xor => left ^ right,
        };
        result = match (&result, operand) {
            (Bson::Int32(left), Bson::Int32(right)) => {
                Bson::Int32(apply(i64::from(*left), i64::from(*right)) as i32)
            }
            (Bson::Int32(left), Bson::Int64(right)) => Bson::Int64(apply(i64::from(*left), *right)),
            (Bson::Int64(left), Bson::Int32(right)) => Bson::Int64(apply(*left, i64::from(*right))),
            (Bson::Int64(left), Bson::Int64(right)) => Bson::Int64(apply(*left, *right)),
            (other, _) => {
                let (id, other) = (value_in_error_text(id), value_in_error_text(other));
                return Err(Error::bad_value(format!(
                    "Cannot apply $bit to a value of non-integral type. {{_id: {id}}} has the field {name} of value {other}"
                )));
            }
        };
    }
    Ok(result)
}
