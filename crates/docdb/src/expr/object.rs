//! Documents.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::{
    Value,
    value::{Meter, fail, made, null, nullish, type_of},
};
use crate::error::Result;

pub(super) fn merge(mut values: Vec<Value<'_>>) -> Result<Value<'_>> {
    // A single argument may be an array of documents.
    if let [Some(only)] = values.as_slice()
        && let Bson::Array(elements) = &**only
    {
        values = elements
            .iter()
            .map(|element| Some(Cow::Owned(element.clone())))
            .collect();
    }
    let mut merged = Document::new();
    let mut meter = Meter::default();
    for value in values {
        match value.map(Cow::into_owned) {
            None | Some(Bson::Null | Bson::Undefined) => {}
            Some(Bson::Document(document)) => {
                meter.add_bytes(document.len() * size_of::<Bson>(), "$mergeObjects")?;
                merged.extend(document);
            }
            other => {
                return fail(
                    40400,
                    format!(
                        "$mergeObjects requires object inputs, but input is of type {}",
                        type_of(&other.map(Cow::Owned))
                    ),
                );
            }
        }
    }
    made(merged)
}

pub(super) fn to_array(mut values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let value = values.pop().flatten();
    if nullish(&value) {
        return null();
    }
    match value.map(Cow::into_owned) {
        Some(Bson::Document(document)) => {
            let pairs = document.into_iter().map(|(name, value)| {
                let mut pair = Document::new();
                pair.insert("k", name);
                pair.insert("v", value);
                Bson::Document(pair)
            });
            made(pairs.collect::<Vec<_>>())
        }
        other => fail(
            40390,
            format!(
                "$objectToArray requires a document input, found: {}",
                type_of(&other.map(Cow::Owned))
            ),
        ),
    }
}

pub(super) fn get_field(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let name = values.first().and_then(Option::as_ref).and_then(Option::as_deref);
    let Some(Bson::String(name)) = name else {
        return fail(3_041_704, "$getField requires 'field' to evaluate to type String");
    };
    match values.get(1).and_then(Option::as_ref) {
        Some(Some(Cow::Borrowed(Bson::Document(document)))) => Ok(document.get(name).map(Cow::Borrowed)),
        Some(Some(Cow::Owned(Bson::Document(document)))) => Ok(document.get(name).cloned().map(Cow::Owned)),
        Some(Some(value)) if matches!(**value, Bson::Null | Bson::Undefined) => null(),
        _ => Ok(None),
    }
}

/// `$setField` and `$unsetField`: a value of `None` removes the field.
pub(super) fn set_field(mut values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let value = values.pop().flatten().flatten();
    let input = values.pop().flatten().flatten();
    let name = values.pop().flatten().flatten();
    if nullish(&input) {
        return null();
    }
    let Some(Bson::String(name)) = name.as_deref() else {
        return fail(
            4_161_106,
            "$setField requires 'field' to evaluate to a constant string",
        );
    };
    match input.map(Cow::into_owned) {
        Some(Bson::Document(mut document)) => {
            match value {
                Some(value) => {
                    document.insert(name.clone(), value.into_owned());
                }
                None => {
                    document.remove(name);
                }
            }
            made(document)
        }
        other => fail(
            4_161_105,
            format!(
                "$setField requires 'input' to evaluate to type Object, not {}",
                type_of(&other.map(Cow::Owned))
            ),
        ),
    }
}
