//! The operators on arrays.

use bson::Bson;
use ejson::shell::value_in_error_text;

use super::{Pull, Push, apply::Outcome, identical};
use crate::{
    Context,
    error::{Error, Result},
    key::Direction,
    order::{Number, compare, equal},
    sort::Sort,
};

/// How `$push` sorts.
#[derive(Clone, Debug)]
pub(super) enum PushSort {
    /// By the elements themselves.
    Whole(Direction),
    /// By their fields; an element that is no document has none.
    Fields(Sort),
}

impl PushSort {
    pub(super) fn parse(field: &str, value: &Bson) -> Result<Self> {
        let refuse = |reason: &str| Error::bad_value(format!("The $sort {reason}: {field}: {value}"));
        if let Bson::Document(fields) = value {
            let directions = fields
                .values()
                .all(|value| Number::of(value).is_some_and(|number| matches!(number.to_f64(), 1.0 | -1.0)));
            if fields.is_empty() || !directions {
                return Err(refuse(
                    "element value must be either 1 or -1, and at least one is needed",
                ));
            }
            return Sort::parse(fields)
                .map(Self::Fields)
                .map_err(|error| Error::bad_value(error.message));
        }
        match Number::of(value).map(Number::to_f64) {
            Some(1.0) => Ok(Self::Whole(Direction::Ascending)),
            Some(-1.0) => Ok(Self::Whole(Direction::Descending)),
            _ => Err(refuse(
                "element value must be either 1 or -1, or a document of such",
            )),
        }
    }

    fn sort(&self, elements: &mut Vec<Bson>, context: &Context) -> Result<()> {
        match self {
            Self::Whole(Direction::Ascending) => elements.sort_by(compare),
            Self::Whole(Direction::Descending) => elements.sort_by(|left, right| compare(right, left)),
            Self::Fields(sort) => {
                sort.sort(elements, Bson::as_document, context)?;
            }
        }
        Ok(())
    }
}

impl Push {
    pub(super) fn apply(
        &self,
        current: Option<&mut Bson>,
        name: &str,
        id: &Bson,
        context: &Context,
    ) -> Result<Outcome> {
        let Some(current) = current else {
            let mut made = Vec::new();
            self.change(&mut made, context)?;
            return Ok(Outcome::Put(Bson::Array(made)));
        };
        let elements = array(current, || {
            let id = value_in_error_text(id);
            format!("The field '{name}' must be an array but is of another type in document {{_id: {id}}}")
        })?;
        if self.sort.is_none() && self.slice.is_none() {
            self.change(elements, context)?;
            return Ok(changed(!self.each.is_empty()));
        }
        let before = elements.clone();
        self.change(elements, context)?;
        let same = before.len() == elements.len()
            && before
                .iter()
                .zip(elements.iter())
                .all(|(before, after)| identical(before, after));
        Ok(changed(!same))
    }

    fn change(&self, elements: &mut Vec<Bson>, context: &Context) -> Result<()> {
        let length = elements.len();
        let at = self
            .position
            .map_or(length, |position| match usize::try_from(position) {
                Ok(position) => position.min(length),
                // From the end.
                Err(_) => {
                    length.saturating_sub(usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX))
                }
            });
        elements.splice(at..at, self.each.iter().cloned());
        if let Some(sort) = &self.sort {
            sort.sort(elements, context)?;
        }
        if let Some(slice) = self.slice {
            let keep = usize::try_from(slice.unsigned_abs()).unwrap_or(usize::MAX);
            if slice >= 0 {
                elements.truncate(keep);
            } else {
                elements.drain(..elements.len().saturating_sub(keep));
            }
        }
        Ok(())
    }
}

impl Pull {
    pub(super) fn apply(&self, current: Option<&mut Bson>, name: &str, context: &Context) -> Result<Outcome> {
        let Some(current) = current else {
            return Ok(Outcome::Unchanged);
        };
        let elements = array(current, || {
            format!("Cannot apply $pull to a non-array value: field '{name}'")
        })?;
        let length = elements.len();
        let mut failure = None;
        elements.retain(|element| match self {
            Self::Equal(value) => !equal(element, value),
            Self::Condition(condition) => match condition.matches_element(element, context) {
                Ok(matches) => !matches,
                Err(error) => {
                    failure = Some(error);
                    true
                }
            },
        });
        failure.map_or_else(|| Ok(changed(elements.len() < length)), Err)
    }
}

pub(super) fn pull_all(current: Option<&mut Bson>, values: &[Bson], name: &str) -> Result<Outcome> {
    let Some(current) = current else {
        return Ok(Outcome::Unchanged);
    };
    let elements = array(current, || {
        format!("Cannot apply $pullAll to a non-array value: field '{name}'")
    })?;
    let length = elements.len();
    elements.retain(|element| !values.iter().any(|value| equal(element, value)));
    Ok(changed(elements.len() < length))
}

pub(super) fn add_to_set(
    current: Option<&mut Bson>,
    values: &[Bson],
    name: &str,
    id: &Bson,
) -> Result<Outcome> {
    let Some(current) = current else {
        let mut made = Vec::new();
        add_missing(&mut made, values);
        return Ok(Outcome::Put(Bson::Array(made)));
    };
    let elements = array(current, || {
        let id = value_in_error_text(id);
        format!(
            "Cannot apply $addToSet to non-array field. Field named '{name}' has another type in document {{_id: {id}}}"
        )
    })?;
    let length = elements.len();
    add_missing(elements, values);
    Ok(changed(elements.len() > length))
}

fn add_missing(elements: &mut Vec<Bson>, values: &[Bson]) {
    for value in values {
        if !elements.iter().any(|element| equal(element, value)) {
            elements.push(value.clone());
        }
    }
}

pub(super) fn pop(current: Option<&mut Bson>, first: bool, name: &str) -> Result<Outcome> {
    let Some(current) = current else {
        return Ok(Outcome::Unchanged);
    };
    let Bson::Array(elements) = current else {
        return Err(Error::type_mismatch(format!(
            "Path '{name}' contains an element of non-array type"
        )));
    };
    if elements.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    if first {
        elements.remove(0);
    } else {
        elements.pop();
    }
    Ok(Outcome::Changed)
}

const fn changed(changed: bool) -> Outcome {
    if changed {
        Outcome::Changed
    } else {
        Outcome::Unchanged
    }
}

fn array(current: &mut Bson, message: impl FnOnce() -> String) -> Result<&mut Vec<Bson>> {
    match current {
        Bson::Array(elements) => Ok(elements),
        _ => Err(Error::bad_value(message())),
    }
}
