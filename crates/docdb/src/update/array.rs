//! The operators on arrays.

use bson::Bson;
use ejson::shell::value_in_error_text;

use super::{Pull, Push, apply::Outcome, identical};
use crate::{
    Context,
    error::{Error, Result},
    expr::value_size,
    key::Direction,
    order::{Number, compare, equal},
    sort::Sort,
};

/// Values that the elements of arrays are looked up among. They are brought into the order of values once: whoever sends as many of
/// them as an array has elements would else have each compared with each.
#[derive(Clone, Debug)]
pub(super) struct Values {
    /// Each once, with the place at which it was written first.
    ordered: Vec<(usize, Bson)>,
    /// The bytes of all that were written, about.
    pub(super) size: usize,
}

impl Values {
    pub(super) fn new(values: Vec<Bson>) -> Self {
        let size = values.iter().map(value_size).sum();
        let mut ordered: Vec<_> = values.into_iter().enumerate().collect();
        // Of equal ones the first stays: the sort leaves them in their order.
        ordered.sort_by(|(_, left), (_, right)| compare(left, right));
        ordered.dedup_by(|(_, later), (_, first)| equal(later, first));
        Self { ordered, size }
    }

    /// Each once.
    pub(super) fn each(&self) -> impl Iterator<Item = &Bson> {
        self.ordered.iter().map(|(_, value)| value)
    }

    /// Where in the order of values the one stands that `value` is equal to.
    fn find(&self, value: &Bson, context: &Context) -> Result<Option<usize>> {
        let mut compared = 0;
        let found = self.ordered.binary_search_by(|(_, candidate)| {
            compared += 1;
            compare(candidate, value)
        });
        context.spend(compared)?;
        Ok(found.ok())
    }

    /// Adds to `elements` those that are not among them, in the order in which they were written; says whether there were any.
    fn add_missing(&self, elements: &mut Vec<Bson>, context: &Context) -> Result<bool> {
        let mut is_there = vec![false; self.ordered.len()];
        for element in &*elements {
            if let Some(there) = self.find(element, context)?.and_then(|at| is_there.get_mut(at)) {
                *there = true;
            }
        }
        let mut missing: Vec<_> = self
            .ordered
            .iter()
            .zip(is_there)
            .filter_map(|(value, is_there)| (!is_there).then_some(value))
            .collect();
        missing.sort_unstable_by_key(|(written, _)| *written);
        elements.extend(missing.iter().map(|(_, value)| value.clone()));
        Ok(!missing.is_empty())
    }
}

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
        take_out(elements, |element| match self {
            Self::Equal(value) => Ok(equal(element, value)),
            // Conditions can be as many as elements.
            Self::Condition(condition) => context.counted(|| condition.matches_element(element, context)),
        })
    }
}

/// Takes out the elements that are meant, up to the first failure.
fn take_out(elements: &mut Vec<Bson>, is_meant: impl Fn(&Bson) -> Result<bool>) -> Result<Outcome> {
    let length = elements.len();
    let mut failure = None;
    elements.retain(|element| {
        if failure.is_some() {
            return true;
        }
        match is_meant(element) {
            Ok(is_meant) => !is_meant,
            Err(error) => {
                failure = Some(error);
                true
            }
        }
    });
    failure.map_or_else(|| Ok(changed(elements.len() < length)), Err)
}

pub(super) fn pull_all(
    current: Option<&mut Bson>,
    values: &Values,
    name: &str,
    context: &Context,
) -> Result<Outcome> {
    let Some(current) = current else {
        return Ok(Outcome::Unchanged);
    };
    let elements = array(current, || {
        format!("Cannot apply $pullAll to a non-array value: field '{name}'")
    })?;
    take_out(elements, |element| Ok(values.find(element, context)?.is_some()))
}

pub(super) fn add_to_set(
    current: Option<&mut Bson>,
    values: &Values,
    name: &str,
    id: &Bson,
    context: &Context,
) -> Result<Outcome> {
    let Some(current) = current else {
        let mut made = Vec::new();
        values.add_missing(&mut made, context)?;
        return Ok(Outcome::Put(Bson::Array(made)));
    };
    let elements = array(current, || {
        let id = value_in_error_text(id);
        format!(
            "Cannot apply $addToSet to non-array field. Field named '{name}' has another type in document {{_id: {id}}}"
        )
    })?;
    Ok(changed(values.add_missing(elements, context)?))
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
