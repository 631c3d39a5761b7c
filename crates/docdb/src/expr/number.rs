//! Arithmetic. The type of a result is the widest of the arguments; int32 grows to int64, int64 to double. Decimal128
//! counts as the nearest double, because the SDKs cannot send one.

use std::borrow::Cow;

use bson::{Bson, DateTime};

use super::{
    Sum, Value,
    decimal::{Rounding, round_double, round_integer},
    value::{double, fail, int32, integer, is_number, made, null, nullish, type_of},
};
use crate::{
    Error,
    error::{Result, code},
    order::Number,
};

/// The widest type met so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Width {
    Int32,
    Int64,
    Double,
}

impl Width {
    pub(super) const fn of(value: &Bson) -> Self {
        match value {
            Bson::Int32(_) => Self::Int32,
            Bson::Int64(_) => Self::Int64,
            _ => Self::Double,
        }
    }
}

/// An integer in the narrowest type that is at least `width` wide.
pub(super) fn integer_of(number: i128, width: Width) -> Bson {
    match (width, i32::try_from(number), i64::try_from(number)) {
        (Width::Int32, Ok(number), _) => Bson::Int32(number),
        (_, _, Ok(number)) => Bson::Int64(number),
        _ => Bson::Double(number as f64),
    }
}

pub(super) fn add(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut sum = Sum::default();
    let mut date: Option<DateTime> = None;
    for value in &values {
        match value.as_deref() {
            None | Some(Bson::Null | Bson::Undefined) => return null(),
            Some(Bson::DateTime(time)) if date.is_none() => date = Some(*time),
            Some(Bson::DateTime(_)) => return fail(16612, "only one date allowed in an $add expression"),
            Some(number) if is_number(number) => sum.add(number),
            Some(_) => {
                return fail(
                    code::TYPE_MISMATCH,
                    format!("$add only supports numeric or date types, not {}", type_of(value)),
                );
            }
        }
    }
    match date {
        None => made(sum.total()),
        Some(date) => moved(date, &sum.total(), 1, "$add"),
    }
}

/// A date moved by milliseconds.
fn moved<'a>(date: DateTime, by: &Bson, sign: i128, operator: &str) -> Result<Value<'a>> {
    let by = match Number::of(by) {
        Some(Number::Integer(number)) => Some(i128::from(number)),
        // A half rounds away from zero.
        Some(Number::Double(number)) if number.is_finite() => Some(number.round() as i128),
        _ => None,
    };
    by.map(|by| i128::from(date.timestamp_millis()).saturating_add(by.saturating_mul(sign)))
        .and_then(|millis| i64::try_from(millis).ok())
        .map_or_else(
            || fail(code::OVERFLOW, format!("date overflow in {operator}")),
            |millis| made(DateTime::from_millis(millis)),
        )
}

pub(super) fn subtract(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [left, right] = both(&values);
    if nullish(left) || nullish(right) {
        return null();
    }
    match (left.as_deref(), right.as_deref()) {
        (Some(Bson::DateTime(left)), Some(Bson::DateTime(right))) => left
            .timestamp_millis()
            .checked_sub(right.timestamp_millis())
            .map_or_else(|| fail(code::OVERFLOW, "date overflow in $subtract"), made),
        (Some(Bson::DateTime(date)), Some(number)) if is_number(number) => {
            moved(*date, number, -1, "$subtract")
        }
        (Some(one), Some(other)) => match (Number::of(one), Number::of(other)) {
            (Some(Number::Integer(a)), Some(Number::Integer(b))) => made(integer_of(
                i128::from(a) - i128::from(b),
                Width::of(one).max(Width::of(other)),
            )),
            (Some(a), Some(b)) => made(a.to_f64() - b.to_f64()),
            _ => fail(
                code::TYPE_MISMATCH,
                format!("can't $subtract {} from {}", type_of(right), type_of(left)),
            ),
        },
        _ => null(),
    }
}

/// The two arguments of a function that the parser gives two.
fn both<'v, 'a>(values: &'v [Value<'a>]) -> [&'v Value<'a>; 2] {
    match values {
        [left, right, ..] => [left, right],
        _ => [&None, &None],
    }
}

pub(super) fn multiply(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut width = Width::Int32;
    let mut whole = Some(1_i128);
    let mut product = 1.0;
    for value in &values {
        if nullish(value) {
            return null();
        }
        let Some((value, number)) = value
            .as_deref()
            .and_then(|value| Some((value, Number::of(value)?)))
        else {
            return fail(
                code::TYPE_MISMATCH,
                format!("$multiply only supports numeric types, not {}", type_of(value)),
            );
        };
        width = width.max(Width::of(value));
        product *= number.to_f64();
        whole = match number {
            Number::Integer(number) => whole
                .and_then(|whole| whole.checked_mul(i128::from(number)))
                .filter(|whole| i64::try_from(*whole).is_ok()),
            Number::Double(_) => None,
        };
    }
    match whole {
        Some(whole) if width < Width::Double => made(integer_of(whole, width)),
        _ => made(product),
    }
}

pub(super) fn divide(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [left, right] = both(&values);
    match numbers(left, right) {
        Some((left, right)) => {
            if right.to_f64() == 0.0 {
                return fail(code::BAD_VALUE, "can't $divide by zero");
            }
            made(left.to_f64() / right.to_f64())
        }
        None if nullish(left) || nullish(right) => null(),
        None => fail(
            code::TYPE_MISMATCH,
            format!(
                "$divide only supports numeric types, not {} and {}",
                type_of(left),
                type_of(right)
            ),
        ),
    }
}

fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<(Number, Number)> {
    Some((Number::of(left.as_deref()?)?, Number::of(right.as_deref()?)?))
}

pub(super) fn modulo(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [left, right] = both(&values);
    let Some((dividend, divisor)) = numbers(left, right) else {
        if nullish(left) || nullish(right) {
            return null();
        }
        return fail(
            16611,
            format!(
                "$mod only supports numeric types, not {} and {}",
                type_of(left),
                type_of(right)
            ),
        );
    };
    if divisor.to_f64() == 0.0 {
        return fail(16610, "can't $mod by zero");
    }
    match (dividend, divisor) {
        (Number::Integer(dividend), Number::Integer(divisor)) => {
            let width = |value: &Value<'_>| value.as_deref().map_or(Width::Int32, Width::of);
            made(integer_of(
                i128::from(dividend) % i128::from(divisor),
                width(left).max(width(right)),
            ))
        }
        (dividend, divisor) => made(dividend.to_f64() % divisor.to_f64()),
    }
}

pub(super) fn power(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [base, exponent] = both(&values);
    if nullish(base) || nullish(exponent) {
        return null();
    }
    let Some(base_number) = base.as_deref().and_then(Number::of) else {
        return fail(
            28762,
            format!("$pow's base must be numeric, not {}", type_of(base)),
        );
    };
    let Some(exponent_number) = exponent.as_deref().and_then(Number::of) else {
        return fail(
            28763,
            format!("$pow's exponent must be numeric, not {}", type_of(exponent)),
        );
    };
    if base_number.to_f64() == 0.0 && exponent_number.to_f64() < 0.0 {
        return fail(28764, "$pow cannot take a base of 0 and a negative exponent");
    }
    if let (Number::Integer(whole), Number::Integer(power)) = (base_number, exponent_number) {
        let width = |value: &Value<'_>| value.as_deref().map_or(Width::Int32, Width::of);
        if let Some(result) = integer_power(whole, power) {
            return made(integer_of(i128::from(result), width(base).max(width(exponent))));
        }
    }
    made(base_number.to_f64().powf(exponent_number.to_f64()))
}

/// An integer's power where it is an int64.
fn integer_power(base: i64, exponent: i64) -> Option<i64> {
    match (base, exponent) {
        (_, 0) | (1, _) => Some(1),
        (0, _) => Some(0),
        (-1, _) => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        _ => base.checked_pow(u32::try_from(exponent).ok()?),
    }
}

/// The one argument as a double; null where there is none, an error where it is no number.
fn one(values: &[Value<'_>], operator: &str) -> Result<Option<f64>> {
    let value = values.first().unwrap_or(&None);
    if nullish(value) {
        return Ok(None);
    }
    value
        .as_deref()
        .and_then(double)
        .map(Some)
        .ok_or_else(|| not_numeric(operator, value))
}

fn not_numeric(operator: &str, value: &Value<'_>) -> Error {
    Error::new(
        28765,
        format!("{operator} only supports numeric types, not {}", type_of(value)),
    )
}

pub(super) fn abs(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let Some(number) = one(&values, "$abs")? else {
        return null();
    };
    match values.first().and_then(Option::as_deref) {
        Some(Bson::Int32(number)) => made(integer_of(i128::from(*number).abs(), Width::Int32)),
        Some(Bson::Int64(number)) => number
            .checked_abs()
            .map_or_else(|| fail(28680, "can't take $abs of long long min"), made),
        _ => made(number.abs()),
    }
}

pub(super) fn ceil(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    whole(values, "$ceil", f64::ceil)
}

pub(super) fn floor(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    whole(values, "$floor", f64::floor)
}

fn whole<'a>(values: Vec<Value<'a>>, operator: &str, of: fn(f64) -> f64) -> Result<Value<'a>> {
    match one(&values, operator)? {
        None => null(),
        Some(number) => match values.into_iter().next().flatten() {
            Some(value) if matches!(*value, Bson::Int32(_) | Bson::Int64(_)) => Ok(Some(value)),
            _ => made(of(number)),
        },
    }
}

pub(super) fn exp(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    one(&values, "$exp")?.map_or_else(null, |number| made(number.exp()))
}

pub(super) fn sqrt(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    match one(&values, "$sqrt")? {
        Some(number) if number < 0.0 => fail(28714, "$sqrt's argument must be greater than or equal to 0"),
        Some(number) => made(number.sqrt()),
        None => null(),
    }
}

pub(super) fn ln(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    match one(&values, "$ln")? {
        Some(number) if number <= 0.0 => fail(
            28766,
            format!("$ln's argument must be a positive number, but is {number}"),
        ),
        Some(number) => made(number.ln()),
        None => null(),
    }
}

pub(super) fn log10(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    match one(&values, "$log10")? {
        Some(number) if number <= 0.0 => fail(
            28761,
            format!("$log10's argument must be a positive number, but is {number}"),
        ),
        Some(number) => made(number.log10()),
        None => null(),
    }
}

pub(super) fn log(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [argument, base] = both(&values);
    if nullish(argument) || nullish(base) {
        return null();
    }
    let number = |value: &Value<'_>, code: i32, what: &str| {
        value.as_deref().and_then(double).ok_or_else(|| {
            Error::new(
                code,
                format!("$log's {what} must be numeric, not {}", type_of(value)),
            )
        })
    };
    let of = number(argument, 28756, "argument")?;
    let to = number(base, 28757, "base")?;
    if of <= 0.0 {
        return fail(
            28758,
            format!("$log's argument must be a positive number, but is {of}"),
        );
    }
    if to <= 0.0 || to == 1.0 {
        return fail(
            28759,
            format!("$log's base must be a positive number not equal to 1, but is {to}"),
        );
    }
    made(of.ln() / to.ln())
}

pub(super) fn round(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    rounded(values, "$round", Rounding::HalfEven)
}

pub(super) fn truncate(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    rounded(values, "$trunc", Rounding::Cut)
}

fn rounded<'a>(mut values: Vec<Value<'a>>, operator: &str, rounding: Rounding) -> Result<Value<'a>> {
    let place = if values.len() > 1 { values.pop() } else { None };
    let value = values.pop().flatten();
    if nullish(&value) {
        return null();
    }
    let place = match &place {
        None => 0,
        Some(place) if nullish(place) => return null(),
        Some(place) => rounding_place(place, operator)?,
    };
    match value.as_deref() {
        Some(Bson::Int32(number)) => made(round_integer(i64::from(*number), place, rounding).map_or_else(
            || Bson::Double(round_double(f64::from(*number), place, rounding)),
            |number| integer_of(i128::from(number), Width::Int32),
        )),
        Some(Bson::Int64(number)) => round_integer(*number, place, rounding).map_or_else(
            || {
                fail(
                    51080,
                    format!("invalid conversion from {operator} result to long"),
                )
            },
            made,
        ),
        Some(number) if is_number(number) => {
            made(round_double(double(number).unwrap_or(f64::NAN), place, rounding))
        }
        _ => fail(
            51081,
            format!("{operator} only supports numeric types, not {}", type_of(&value)),
        ),
    }
}

fn rounding_place(place: &Value<'_>, operator: &str) -> Result<i32> {
    let Some(value) = place.as_deref().filter(|value| is_number(value)) else {
        return fail(
            16004,
            format!("can't convert from BSON type {} to long", type_of(place)),
        );
    };
    let Some(place) = integer(value) else {
        return fail(
            51082,
            format!("precision argument to {operator} must be a integral value"),
        );
    };
    i32::try_from(place)
        .ok()
        .filter(|place| (-20..=100).contains(place))
        .map_or_else(
            || {
                fail(
                    51083,
                    format!(
                        "cannot apply {operator} with precision value {place} value must be in [-20, 100]"
                    ),
                )
            },
            Ok,
        )
}

macro_rules! trigonometry {
    ($($name:ident $operator:literal $of:expr, $domain:expr;)*) => {
        $(pub(super) fn $name(values: Vec<Value<'_>>) -> Result<Value<'_>> {
            trigonometric(&values, $operator, $of, $domain)
        })*
    };
}

const ANY: fn(f64) -> bool = |_| true;

trigonometry! {
    sin "$sin" f64::sin, f64::is_finite;
    cos "$cos" f64::cos, f64::is_finite;
    tan "$tan" f64::tan, f64::is_finite;
    asin "$asin" f64::asin, |number| (-1.0..=1.0).contains(&number);
    acos "$acos" f64::acos, |number| (-1.0..=1.0).contains(&number);
    atan "$atan" f64::atan, ANY;
    sinh "$sinh" f64::sinh, ANY;
    cosh "$cosh" f64::cosh, ANY;
    tanh "$tanh" f64::tanh, ANY;
    asinh "$asinh" f64::asinh, ANY;
    acosh "$acosh" f64::acosh, |number| number >= 1.0;
    atanh "$atanh" f64::atanh, |number| (-1.0..=1.0).contains(&number);
    degrees_to_radians "$degreesToRadians" f64::to_radians, ANY;
    radians_to_degrees "$radiansToDegrees" f64::to_degrees, ANY;
}

fn trigonometric<'a>(
    values: &[Value<'_>],
    operator: &str,
    of: fn(f64) -> f64,
    domain: fn(f64) -> bool,
) -> Result<Value<'a>> {
    match one(values, operator)? {
        None => null(),
        Some(number) if number.is_nan() || domain(number) => made(of(number)),
        Some(number) => fail(
            50989,
            format!("cannot apply {operator} to {number}, value is out of its domain"),
        ),
    }
}

pub(super) fn atan2(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [y, x] = both(&values);
    match numbers(y, x) {
        Some((y, x)) => made(y.to_f64().atan2(x.to_f64())),
        None if nullish(y) || nullish(x) => null(),
        None => fail(
            51044,
            format!(
                "$atan2 only supports numeric types, not {} and {}",
                type_of(y),
                type_of(x)
            ),
        ),
    }
}

macro_rules! bits {
    ($($name:ident $operator:literal $start:literal $of:expr;)*) => {
        $(pub(super) fn $name(values: Vec<Value<'_>>) -> Result<Value<'_>> {
            bitwise(&values, $operator, $start, $of)
        })*
    };
}

bits! {
    bit_and "$bitAnd" -1 |left, right| left & right;
    bit_or "$bitOr" 0 |left, right| left | right;
    bit_xor "$bitXor" 0 |left, right| left ^ right;
}

fn bitwise<'a>(
    values: &[Value<'_>],
    operator: &str,
    start: i64,
    of: fn(i64, i64) -> i64,
) -> Result<Value<'a>> {
    let mut width = Width::Int32;
    let mut bits = start;
    for value in values {
        match value.as_deref() {
            None | Some(Bson::Null | Bson::Undefined) => return null(),
            Some(number @ (Bson::Int32(_) | Bson::Int64(_))) => {
                width = width.max(Width::of(number));
                bits = of(bits, integer(number).unwrap_or_default());
            }
            Some(_) => {
                return fail(
                    code::TYPE_MISMATCH,
                    format!(
                        "{operator} only supports int and long operands, not {}",
                        type_of(value)
                    ),
                );
            }
        }
    }
    made(integer_of(i128::from(bits), width))
}

pub(super) fn bit_not(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    match values.first().and_then(Option::as_deref) {
        None | Some(Bson::Null | Bson::Undefined) => null(),
        Some(Bson::Int32(number)) => made(!number),
        Some(Bson::Int64(number)) => made(!number),
        Some(_) => fail(
            28765,
            format!(
                "$bitNot only supports int and long, not {}",
                type_of(values.first().unwrap_or(&None))
            ),
        ),
    }
}

pub(super) fn range(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut parts = [0_i64, 0, 1];
    let what = ["starting value", "ending value", "step value"];
    let codes = [[34443, 34444], [34445, 34446], [34447, 34448]];
    for (at, value) in values.iter().enumerate().take(3) {
        let Some(number) = value.as_deref().filter(|value| is_number(value)) else {
            return fail(
                codes[at][0],
                format!(
                    "$range requires a numeric {}, found value of type: {}",
                    what[at],
                    type_of(value)
                ),
            );
        };
        let Some(number) = int32(number) else {
            return fail(
                codes[at][1],
                format!(
                    "$range requires a {} that can be represented as a 32-bit integer",
                    what[at]
                ),
            );
        };
        parts[at] = i64::from(number);
    }
    let [start, end, step] = parts;
    if step == 0 {
        return fail(34449, "$range requires a non-zero step value");
    }
    let count = ((end - start) / step + i64::from((end - start) % step != 0)).max(0) as usize;
    super::Meter::default().add_bytes(count * size_of::<Bson>(), "$range")?;
    let numbers = (0..count as i64).map(|at| Bson::Int32((start + at * step) as i32));
    Ok(Some(Cow::Owned(Bson::Array(numbers.collect()))))
}
