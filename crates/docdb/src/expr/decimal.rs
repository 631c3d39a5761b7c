//! Rounding of doubles at a decimal place.
//!
//! MongoDB rounds the exact decimal value of a double: 0.29 is a little less, and cut at two places is 0.28.

/// How `$round` and `$trunc` treat what is beyond the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the nearest, a half to the even neighbour.
    HalfEven,
    /// Towards zero.
    Cut,
}

/// Rounds `number` at `place` digits behind the point, before it where negative.
pub(super) fn round_double(number: f64, place: i32, rounding: Rounding) -> f64 {
    if !number.is_finite() {
        return number;
    }
    if place == 0 {
        return match rounding {
            Rounding::HalfEven => number.round_ties_even(),
            Rounding::Cut => number.trunc(),
        };
    }
    // No double has more digits behind the point: the text is exact.
    let text = format!("{:.1074}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut digits: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .map(|digit| digit - b'0')
        .collect();
    let kept = whole.len() as i64 + i64::from(place);
    let rounded: f64 = if kept < 0 {
        0.0
    } else {
        let kept = (kept as usize).min(digits.len());
        let up = rounding == Rounding::HalfEven && rounds_up(&digits, kept);
        digits[kept..].fill(0);
        let mut text = if up {
            increment(&mut digits, kept)
        } else {
            String::new()
        };
        text.extend(digits.iter().map(|digit| char::from(digit + b'0')));
        // The point stands where it stood, counted from the end.
        text.insert(text.len() - fraction.len(), '.');
        text.parse().unwrap_or(0.0)
    };
    rounded.copysign(number)
}

fn rounds_up(digits: &[u8], kept: usize) -> bool {
    let Some((first, rest)) = digits[kept..].split_first() else {
        return false;
    };
    match first {
        0..5 => false,
        5 if rest.iter().all(|digit| *digit == 0) => kept > 0 && digits[kept - 1] % 2 == 1,
        _ => true,
    }
}

/// Adds one at the last kept digit; gives the digit that is carried out in front.
fn increment(digits: &mut [u8], kept: usize) -> String {
    for digit in digits[..kept].iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return String::new();
        }
        *digit = 0;
    }
    "1".to_owned()
}

/// Rounds an integer at `10^-place`; `None` where the result leaves int64.
pub(super) fn round_integer(number: i64, place: i32, rounding: Rounding) -> Option<i64> {
    if place >= 0 {
        return Some(number);
    }
    let unit = 10_i128.checked_pow(place.unsigned_abs())?;
    let number = i128::from(number);
    let cut = number / unit * unit;
    let rest = (number - cut).abs();
    let up =
        rounding == Rounding::HalfEven && (rest * 2 > unit || rest * 2 == unit && (number / unit) % 2 != 0);
    let rounded = if up { cut + unit * number.signum() } else { cut };
    i64::try_from(rounded).ok()
}
