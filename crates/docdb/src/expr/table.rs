//! The operators whose arguments are evaluated before they are called, by name.

use super::{Named, Strict, array, convert, date, logic, number, object, set, statistic, text};

/// An operator of arguments in order.
pub(super) struct OrderedOperator {
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) run: Strict,
}

/// Any number of arguments.
const ANY: usize = usize::MAX;

pub(super) fn ordered(name: &str) -> Option<OrderedOperator> {
    let (least, most, run): (usize, usize, Strict) = match name {
        "$cmp" => (2, 2, logic::cmp),
        "$not" => (1, 1, logic::not),
        "$allElementsTrue" => (1, 1, logic::all_elements_true),
        "$anyElementTrue" => (1, 1, logic::any_element_true),

        "$add" => (0, ANY, number::add),
        "$subtract" => (2, 2, number::subtract),
        "$multiply" => (0, ANY, number::multiply),
        "$divide" => (2, 2, number::divide),
        "$mod" => (2, 2, number::modulo),
        "$pow" => (2, 2, number::power),
        "$abs" => (1, 1, number::abs),
        "$ceil" => (1, 1, number::ceil),
        "$floor" => (1, 1, number::floor),
        "$round" => (1, 2, number::round),
        "$trunc" => (1, 2, number::truncate),
        "$exp" => (1, 1, number::exp),
        "$sqrt" => (1, 1, number::sqrt),
        "$ln" => (1, 1, number::ln),
        "$log" => (2, 2, number::log),
        "$log10" => (1, 1, number::log10),
        "$sin" => (1, 1, number::sin),
        "$cos" => (1, 1, number::cos),
        "$tan" => (1, 1, number::tan),
        "$asin" => (1, 1, number::asin),
        "$acos" => (1, 1, number::acos),
        "$atan" => (1, 1, number::atan),
        "$atan2" => (2, 2, number::atan2),
        "$sinh" => (1, 1, number::sinh),
        "$cosh" => (1, 1, number::cosh),
        "$tanh" => (1, 1, number::tanh),
        "$asinh" => (1, 1, number::asinh),
        "$acosh" => (1, 1, number::acosh),
        "$atanh" => (1, 1, number::atanh),
        "$degreesToRadians" => (1, 1, number::degrees_to_radians),
        "$radiansToDegrees" => (1, 1, number::radians_to_degrees),
        "$bitAnd" => (0, ANY, number::bit_and),
        "$bitOr" => (0, ANY, number::bit_or),
        "$bitXor" => (0, ANY, number::bit_xor),
        "$bitNot" => (1, 1, number::bit_not),
        "$range" => (2, 3, number::range),

        "$sum" => (0, ANY, statistic::sum),
        "$avg" => (0, ANY, statistic::avg),
        "$min" => (0, ANY, statistic::min),
        "$max" => (0, ANY, statistic::max),
        "$stdDevPop" => (0, ANY, statistic::deviation_population),
        "$stdDevSamp" => (0, ANY, statistic::deviation_sample),

        "$concat" => (0, ANY, text::concat),
        "$toUpper" => (1, 1, text::to_upper),
        "$toLower" => (1, 1, text::to_lower),
        "$strcasecmp" => (2, 2, text::compare_ignoring_case),
        "$strLenBytes" => (1, 1, text::length_in_bytes),
        "$strLenCP" => (1, 1, text::length_in_code_points),
        "$substr" | "$substrBytes" => (3, 3, text::substring_of_bytes),
        "$substrCP" => (3, 3, text::substring_of_code_points),
        "$indexOfBytes" => (2, 4, text::index_of_bytes),
        "$indexOfCP" => (2, 4, text::index_of_code_points),
        "$split" => (2, 2, text::split),

        "$arrayElemAt" => (2, 2, array::element_at),
        "$first" => (1, 1, array::first),
        "$last" => (1, 1, array::last),
        "$size" => (1, 1, array::size),
        "$isArray" => (1, 1, array::is_array),
        "$in" => (2, 2, array::contains),
        "$concatArrays" => (0, ANY, array::concat),
        "$reverseArray" => (1, 1, array::reverse),
        "$slice" => (2, 3, array::slice),
        "$indexOfArray" => (2, 4, array::index_of),
        "$arrayToObject" => (1, 1, array::to_object),

        "$setUnion" => (0, ANY, set::union),
        "$setIntersection" => (0, ANY, set::intersection),
        "$setDifference" => (2, 2, set::difference),
        "$setEquals" => (2, ANY, set::equals),
        "$setIsSubset" => (2, 2, set::is_subset),

        "$mergeObjects" => (0, ANY, object::merge),
        "$objectToArray" => (1, 1, object::to_array),

        "$type" => (1, 1, convert::type_operator),
        "$isNumber" => (1, 1, convert::is_number_operator),
        "$toDouble" | "$toDecimal" => (1, 1, convert::to_double),
        "$toString" => (1, 1, convert::to_string),
        "$toObjectId" => (1, 1, convert::to_object_id),
        "$toBool" => (1, 1, convert::to_bool),
        "$toDate" => (1, 1, convert::to_date),
        "$toInt" => (1, 1, convert::to_int),
        "$toLong" => (1, 1, convert::to_long),
        "$bsonSize" => (1, 1, convert::bson_size),
        "$binarySize" => (1, 1, convert::binary_size),
        _ => return None,
    };
    Some(OrderedOperator { least, most, run })
}

/// An operator of named arguments.
pub(super) struct ByName {
    /// The slots of the function, and how many of them, from the first, must be there.
    pub(super) slots: &'static [&'static str],
    pub(super) required: usize,
    /// MongoDB's numbers: no document; an unknown argument; a required one is missing.
    pub(super) codes: [i32; 3],
    pub(super) run: Named,
}

pub(super) fn by_name(name: &str) -> Option<ByName> {
    let (slots, required, codes, run): (&[&str], usize, [i32; 3], Named) = match name {
        "$dateToString" => (
            &["date", "format", "timezone", "onNull"],
            1,
            [18629, 18534, 18628],
            date::to_string,
        ),
        "$dateFromString" => (
            &["dateString", "format", "timezone", "onNull", "onError"],
            1,
            [40540, 40541, 40542],
            date::from_string,
        ),
        "$dateFromParts" => (&date::PARTS, 0, [40519, 40518, 40516], date::from_parts),
        "$dateToParts" => (
            &["date", "timezone", "iso8601"],
            1,
            [40524, 40520, 40522],
            date::to_parts,
        ),
        "$dateAdd" => (
            &["startDate", "unit", "amount", "timezone"],
            3,
            [5_166_400, 5_166_401, 5_166_402],
            date::add,
        ),
        "$dateSubtract" => (
            &["startDate", "unit", "amount", "timezone"],
            3,
            [5_166_400, 5_166_401, 5_166_402],
            date::subtract,
        ),
        "$dateDiff" => (
            &["startDate", "endDate", "unit", "timezone", "startOfWeek"],
            3,
            [5_166_301, 5_166_302, 5_166_303],
            date::difference,
        ),
        "$dateTrunc" => (
            &["date", "unit", "binSize", "timezone", "startOfWeek"],
            2,
            [5_439_007, 5_439_008, 5_439_009],
            date::truncate,
        ),
        "$trim" => (&["input", "chars"], 1, [50696, 50694, 50695], text::trim),
        "$ltrim" => (&["input", "chars"], 1, [50696, 50694, 50695], text::trim_left),
        "$rtrim" => (&["input", "chars"], 1, [50696, 50694, 50695], text::trim_right),
        "$replaceOne" => (
            &["input", "find", "replacement"],
            3,
            [51751, 51750, 51749],
            text::replace_one,
        ),
        "$replaceAll" => (
            &["input", "find", "replacement"],
            3,
            [51751, 51750, 51749],
            text::replace_all,
        ),
        "$convert" => (
            &["input", "to", "onError", "onNull"],
            2,
            [9, 9, 9],
            convert::convert,
        ),
        "$setField" => (
            &["field", "input", "value"],
            3,
            [4_161_100, 4_161_101, 4_161_102],
            object::set_field,
        ),
        "$firstN" => (
            &["n", "input"],
            2,
            [5_787_900, 5_787_901, 5_787_906],
            array::first_n,
        ),
        "$lastN" => (
            &["n", "input"],
            2,
            [5_787_900, 5_787_901, 5_787_906],
            array::last_n,
        ),
        "$minN" => (
            &["n", "input"],
            2,
            [5_787_900, 5_787_901, 5_787_906],
            array::min_n,
        ),
        "$maxN" => (
            &["n", "input"],
            2,
            [5_787_900, 5_787_901, 5_787_906],
            array::max_n,
        ),
        "$median" => (
            &["input", "method"],
            2,
            [7_436_201, 7_436_202, 7_436_203],
            statistic::median,
        ),
        "$percentile" => (
            &["input", "p", "method"],
            3,
            [7_429_703, 7_429_704, 7_429_705],
            statistic::percentiles,
        ),
        _ => return None,
    };
    Some(ByName {
        slots,
        required,
        codes,
        run,
    })
}

/// The part of a date that an operator gives; its arguments have a form of their own.
pub(super) fn date_part(name: &str) -> Option<Named> {
    let run: Named = match name {
        "$year" => date::year,
        "$month" => date::month,
        "$dayOfMonth" => date::day_of_month,
        "$dayOfWeek" => date::day_of_week,
        "$dayOfYear" => date::day_of_year,
        "$hour" => date::hour,
        "$minute" => date::minute,
        "$second" => date::second,
        "$millisecond" => date::millisecond,
        "$week" => date::week,
        "$isoWeek" => date::iso_week,
        "$isoWeekYear" => date::iso_week_year,
        "$isoDayOfWeek" => date::iso_day_of_week,
        _ => return None,
    };
    Some(run)
}
