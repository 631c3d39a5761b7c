//! `$inc` and `$mul`: int32 widens to int64, beyond int64 is an error, a double makes a double.

use bson::Bson;
use ejson::shell::value_in_error_text;

use crate::{
    error::{Error, Result},
    expr::type_name,
    order::Number,
};

pub(super) fn add(current: &Bson, operand: &Bson, field: &str, id: &Bson) -> Result<Bson> {
    calculate(
        "$inc",
        current,
        operand,
        field,
        id,
        i64::checked_add,
        |left, right| left + right,
    )
}

pub(super) fn multiply(current: &Bson, operand: &Bson, field: &str, id: &Bson) -> Result<Bson> {
    calculate(
        "$mul",
        current,
        operand,
        field,
        id,
        i64::checked_mul,
        |left, right| left * right,
    )
}

/// What `$mul` makes of a field that is not there.
pub(super) const fn zero(operand: &Bson) -> Bson {
    match operand {
        Bson::Int32(_) => Bson::Int32(0),
        Bson::Int64(_) => Bson::Int64(0),
        _ => Bson::Double(0.0),
    }
}

fn calculate(
    operator: &str,
    current: &Bson,
    operand: &Bson,
    field: &str,
    id: &Bson,
    integers: fn(i64, i64) -> Option<i64>,
    doubles: fn(f64, f64) -> f64,
) -> Result<Bson> {
    let Some(left) = Number::of(current) else {
        let (id, current) = (value_in_error_text(id), type_name(current));
        return Err(Error::type_mismatch(format!(
            "Cannot apply {operator} to a value of non-numeric type. {{_id: {id}}} has the field '{field}' of \
             non-numeric type {current}"
        )));
    };
    let Some(right) = Number::of(operand) else {
        let operand = value_in_error_text(operand);
        return Err(Error::type_mismatch(format!(
            "{operator} needs a number: {operand}"
        )));
    };
    let (Number::Integer(left), Number::Integer(right)) = (left, right) else {
        return Ok(Bson::Double(doubles(left.to_f64(), right.to_f64())));
    };
    let result = integers(left, right).ok_or_else(|| {
        let id = value_in_error_text(id);
        Error::bad_value(format!(
            "Failed to apply {operator} operations to current value ({current}) for document {{_id: {id}}}: field '{field}'"
        ))
    })?;
    let both_small = matches!((current, operand), (Bson::Int32(_), Bson::Int32(_)));
    Ok(match i32::try_from(result) {
        Ok(small) if both_small => Bson::Int32(small),
        _ => Bson::Int64(result),
    })
}
