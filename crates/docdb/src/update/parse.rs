//! From an update's document to its operators.

use std::cmp::Ordering;

use bson::{Bson, Document};

use super::{
    BitOperator, Change, Kind, Operator, Operators, Pull, Push, Update, UpdatePart, UpdatePath,
    array::{PushSort, Values},
};
use crate::{
    error::{Error, Result, code},
    order::Number,
    path::index_of,
    pipeline::Pipeline,
    query::{ElementCondition, Filter},
    regex::Pattern,
};

/// A path of more parts makes a document that is too deep.
const MOST_PARTS: usize = 200;

pub(super) fn update(update: &Document, array_filters: &[Document]) -> Result<Update> {
    if !update.keys().next().is_some_and(|name| name.starts_with('$')) {
        return replacement(update, array_filters);
    }
    let filters = parse_array_filters(array_filters)?;
    let mut used = vec![false; filters.len()];
    let mut changes = Vec::new();
    for (name, fields) in update {
        if !OPERATORS.contains(&name.as_str()) {
            return Err(Error::failed_to_parse(format!(
                "Unknown modifier: {name}. Expected a valid update modifier or pipeline-style update specified as an array"
            )));
        }
        let Bson::Document(fields) = fields else {
            return Err(Error::failed_to_parse(format!(
                "Modifiers operate on fields but we found another type instead. For example: {{$mod: {{<field>: ...}}}} \
                 not {{{name}: {fields}}}"
            )));
        };
        for (field, value) in fields {
            changes.push(if name == "$rename" {
                rename(field, value)?
            } else {
                let path = path(field, &filters, &mut used)?;
                let operator = operator(name, field, value)?;
                Change { path, operator }
            });
        }
    }
    if let Some(unused) = used.iter().position(|used| !used) {
        return Err(Error::failed_to_parse(format!(
            "The array filter for identifier '{}' was not used in the update",
            filters.get(unused).map_or("", |filter| &filter.0)
        )));
    }
    check_conflicts(&changes)?;
    changes.sort_by(|left, right| compare_paths(&left.path, &right.path));
    Ok(Update {
        kind: Kind::Operators(Operators {
            changes,
            array_filters: filters,
        }),
    })
}

/// Stages that make one document of one, by what stands in it alone.
const STAGES: [&str; 6] = [
    "$addFields",
    "$set",
    "$project",
    "$unset",
    "$replaceRoot",
    "$replaceWith",
];

pub(super) fn pipeline(stages: &[Document], array_filters: &[Document]) -> Result<Update> {
    if !array_filters.is_empty() {
        return Err(Error::failed_to_parse(
            "arrayFilters may not be specified for pipeline-style updates",
        ));
    }
    let other = stages
        .iter()
        .filter_map(|stage| stage.keys().next())
        .find(|name| name.starts_with('$') && !STAGES.contains(&name.as_str()));
    let stages: Vec<Bson> = stages.iter().cloned().map(Bson::Document).collect();
    // What is no stage at all is refused as that.
    let pipeline = Pipeline::parse(&stages)?;
    if let Some(name) = other {
        return Err(Error::new(
            code::INVALID_OPTIONS,
            format!("{name} is not allowed to be used within an update"),
        ));
    }
    Ok(Update {
        kind: Kind::Pipeline(pipeline),
    })
}

const OPERATORS: [&str; 15] = [
    "$set",
    "$setOnInsert",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$rename",
    "$currentDate",
    "$bit",
    "$push",
    "$addToSet",
    "$pop",
    "$pull",
    "$pullAll",
];

fn replacement(update: &Document, array_filters: &[Document]) -> Result<Update> {
    if !array_filters.is_empty() {
        return Err(Error::failed_to_parse(
            "arrayFilters may not be specified for a replacement",
        ));
    }
    if let Some(name) = update.keys().find(|name| name.starts_with('$')) {
        return Err(Error::new(
            code::DOLLAR_PREFIXED_FIELD_NAME,
            format!(
                "The dollar ($) prefixed field '{name}' is not allowed in the context of an update's replacement document."
            ),
        ));
    }
    Ok(Update {
        kind: Kind::Replacement(update.clone()),
    })
}

fn parse_array_filters(array_filters: &[Document]) -> Result<Vec<(String, Filter)>> {
    let mut filters: Vec<(String, Filter)> = Vec::with_capacity(array_filters.len());
    for filter in array_filters {
        if filter.contains_key("$expr") {
            return Err(Error::new(
                code::QUERY_FEATURE_NOT_ALLOWED,
                "$expr is not allowed in arrayFilters",
            ));
        }
        let parsed = Filter::parse(filter)?;
        let mut names = Vec::new();
        names_of(filter, &mut names, 0);
        let Some(first) = names.first().cloned() else {
            return Err(Error::failed_to_parse(
                "Cannot use an expression without a top-level field name in arrayFilters",
            ));
        };
        if let Some(other) = names.iter().find(|name| **name != first) {
            return Err(Error::failed_to_parse(format!(
                "Error parsing array filter :: caused by :: Expected a single top-level field name, found '{first}' and '{other}'"
            )));
        }
        let valid = first.starts_with(|char: char| char.is_ascii_lowercase())
            && first.chars().all(|char| char.is_ascii_alphanumeric());
        if !valid {
            return Err(Error::bad_value(format!(
                "Error parsing array filter :: caused by :: The top-level field name must be an alphanumeric string \
                 beginning with a lowercase letter, found '{first}'"
            )));
        }
        if filters.iter().any(|known| known.0 == first) {
            return Err(Error::failed_to_parse(format!(
                "Found multiple array filters with the same top-level field name {first}"
            )));
        }
        filters.push((first, parsed));
    }
    Ok(filters)
}

/// The first parts of the paths in a filter that has been parsed, and so is not too deep.
fn names_of(filter: &Document, names: &mut Vec<String>, depth: usize) {
    for (name, value) in filter {
        if !name.starts_with('$') {
            names.push(name.split('.').next().unwrap_or_default().to_owned());
        } else if let Bson::Array(filters) = value
            && depth < MOST_PARTS
        {
            for filter in filters.iter().filter_map(Bson::as_document) {
                names_of(filter, names, depth + 1);
            }
        }
    }
}

fn path(text: &str, filters: &[(String, Filter)], used: &mut [bool]) -> Result<UpdatePath> {
    let empty = || {
        Error::new(
            code::EMPTY_FIELD_NAME,
            format!("The update path '{text}' contains an empty field name, which is not allowed."),
        )
    };
    if text.is_empty() {
        return Err(Error::new(
            code::EMPTY_FIELD_NAME,
            "An empty update path is not valid.",
        ));
    }
    let mut parts = Vec::new();
    for part in text.split('.') {
        let parsed = match part {
            "" => return Err(empty()),
            _ if part.contains('\0') => {
                return Err(Error::new(9_867_600, "Field names may not contain a zero byte"));
            }
            "$" => UpdatePart::Matched,
            "$[]" => UpdatePart::All,
            _ => match part.strip_prefix("$[").and_then(|part| part.strip_suffix(']')) {
                Some(name) => {
                    let Some(at) = filters.iter().position(|filter| filter.0 == name) else {
                        return Err(Error::bad_value(format!(
                            "No array filter found for identifier '{name}' in path '{text}'"
                        )));
                    };
                    if let Some(used) = used.get_mut(at) {
                        *used = true;
                    }
                    UpdatePart::Filtered(at)
                }
                None if part.starts_with('$') => {
                    return Err(Error::new(
                        code::DOLLAR_PREFIXED_FIELD_NAME,
                        format!(
                            "The dollar ($) prefixed field '{part}' in '{text}' is not valid for storage."
                        ),
                    ));
                }
                None => UpdatePart::Name(part.to_owned(), index_of(part)),
            },
        };
        parts.push(parsed);
    }
    if !matches!(parts.first(), Some(UpdatePart::Name(..))) {
        return Err(Error::bad_value(format!(
            "Cannot have positional (i.e. '$') element in the first position in path '{text}'"
        )));
    }
    if parts.iter().filter(|part| **part == UpdatePart::Matched).count() > 1 {
        return Err(Error::bad_value(format!(
            "Too many positional (i.e. '$') elements found in path '{text}'"
        )));
    }
    if parts.len() > MOST_PARTS {
        return Err(Error::new(
            code::OVERFLOW,
            format!("The update path has more than {MOST_PARTS} parts"),
        ));
    }
    Ok(UpdatePath {
        text: text.to_owned(),
        parts,
    })
}

fn rename(from: &str, to: &Bson) -> Result<Change> {
    // The name of the old field may begin with `$`, so that one can be got rid of.
    let from = match from.strip_prefix('$') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['[', '.']) => {
            let mut path = path(rest, &[], &mut [])?;
            if let Some(UpdatePart::Name(name, index)) = path.parts.first_mut() {
                *name = format!("${name}");
                *index = None;
            }
            path.text = format!("${}", path.text);
            path
        }
        _ => path(from, &[], &mut [])?,
    };
    let Bson::String(to) = to else {
        return Err(Error::bad_value(format!(
            "The 'to' field for $rename must be a string: {}: {to}",
            from.text
        )));
    };
    let to = path(to, &[], &mut [])?;
    for side in [&from, &to] {
        if side
            .parts
            .iter()
            .any(|part| !matches!(part, UpdatePart::Name(..)))
        {
            return Err(Error::bad_value(format!(
                "The source and target field for $rename may not be dynamic: {}",
                side.text
            )));
        }
    }
    if from == to {
        return Err(Error::bad_value(format!(
            "The source and target field for $rename must differ: {}: \"{}\"",
            from.text, to.text
        )));
    }
    if from.parts.starts_with(&to.parts) || to.parts.starts_with(&from.parts) {
        return Err(Error::bad_value(format!(
            "The source and target field for $rename must not be on the same path: {}: \"{}\"",
            from.text, to.text
        )));
    }
    Ok(Change {
        path: to,
        operator: Operator::Rename(from),
    })
}

fn operator(name: &str, field: &str, value: &Bson) -> Result<Operator> {
    let number = |verb: &str| {
        Number::of(value).map(|_| value.clone()).ok_or_else(|| {
            Error::type_mismatch(format!(
                "Cannot {verb} with non-numeric argument: {{{field}: {value}}}"
            ))
        })
    };
    Ok(match name {
        "$set" => Operator::Set(value.clone()),
        "$setOnInsert" => Operator::SetOnInsert(value.clone()),
        "$unset" => Operator::Unset,
        "$inc" => Operator::Inc(number("increment")?),
        "$mul" => Operator::Mul(number("multiply")?),
        "$min" => Operator::Min(value.clone()),
        "$max" => Operator::Max(value.clone()),
        "$currentDate" => current_date(field, value)?,
        "$bit" => bit(field, value)?,
        "$push" => Operator::Push(push(field, value)?),
        "$addToSet" => Operator::AddToSet(Values::new(add_to_set(field, value)?)),
        "$pop" => match Number::of(value).and_then(Number::to_i64_exact) {
            Some(1) => Operator::Pop { first: false },
            Some(-1) => Operator::Pop { first: true },
            _ => {
                return Err(Error::failed_to_parse(format!(
                    "$pop expects 1 or -1, found: {field}: {value}"
                )));
            }
        },
        "$pull" => Operator::Pull(match value {
            Bson::Document(condition) => Pull::Condition(ElementCondition::parse(condition)?),
            Bson::RegularExpression(regex) => {
                Pull::Condition(ElementCondition::of_pattern(Pattern::from_bson(regex)?))
            }
            _ => Pull::Equal(value.clone()),
        }),
        "$pullAll" => match value {
            Bson::Array(values) => Operator::PullAll(Values::new(values.clone())),
            _ => {
                return Err(Error::bad_value(format!(
                    "$pullAll requires an array argument: {field}: {value}"
                )));
            }
        },
        _ => return Err(Error::failed_to_parse(format!("Unknown modifier: {name}"))),
    })
}

fn current_date(field: &str, value: &Bson) -> Result<Operator> {
    let timestamp = match value {
        Bson::Boolean(_) => Some(false),
        Bson::Document(kind) if kind.len() == 1 => match kind.get_str("$type") {
            Ok("date") => Some(false),
            Ok("timestamp") => Some(true),
            _ => None,
        },
        _ => None,
    };
    timestamp
        .map(|timestamp| Operator::CurrentDate { timestamp })
        .ok_or_else(|| {
            Error::bad_value(format!(
                "$currentDate takes true or {{$type: 'date'}} or {{$type: 'timestamp'}}: {field}: {value}"
            ))
        })
}

fn bit(field: &str, value: &Bson) -> Result<Operator> {
    let refuse = || {
        Error::bad_value(format!(
            "The $bit modifier takes {{and: n}}, {{or: n}} or {{xor: n}} with an integer: {field}: {value}"
        ))
    };
    let Bson::Document(operations) = value else {
        return Err(refuse());
    };
    if operations.is_empty() {
        return Err(refuse());
    }
    let operations: Result<Vec<_>> = operations
        .iter()
        .map(|(name, operand)| {
            let operator = match name.as_str() {
                "and" => BitOperator::And,
                "or" => BitOperator::Or,
                "xor" => BitOperator::Xor,
                _ => return Err(refuse()),
            };
            match operand {
                Bson::Int32(_) | Bson::Int64(_) => Ok((operator, operand.clone())),
                _ => Err(refuse()),
            }
        })
        .collect();
    Ok(Operator::Bit(operations?))
}

fn push(field: &str, value: &Bson) -> Result<Push> {
    let mut push = Push {
        each: Vec::new(),
        position: None,
        slice: None,
        sort: None,
    };
    let Some(modifiers) = value.as_document().filter(|value| value.contains_key("$each")) else {
        push.each.push(value.clone());
        return Ok(push);
    };
    for (name, value) in modifiers {
        let whole = || {
            Number::of(value).and_then(Number::to_i64_exact).ok_or_else(|| {
                Error::bad_value(format!(
                    "The value for {name} must be an integer value: {field}: {value}"
                ))
            })
        };
        match name.as_str() {
            "$each" => match value {
                Bson::Array(each) => push.each.clone_from(each),
                _ => {
                    return Err(Error::bad_value(format!(
                        "The argument to $each in $push must be an array: {field}: {value}"
                    )));
                }
            },
            "$position" => push.position = Some(whole()?),
            "$slice" => push.slice = Some(whole()?),
            "$sort" => push.sort = Some(PushSort::parse(field, value)?),
            _ => {
                return Err(Error::bad_value(format!(
                    "Unrecognized clause in $push: {name} (field '{field}')"
                )));
            }
        }
    }
    Ok(push)
}

fn add_to_set(field: &str, value: &Bson) -> Result<Vec<Bson>> {
    let Some(modifiers) = value
        .as_document()
        .filter(|value| value.keys().next().is_some_and(|name| name == "$each"))
    else {
        return Ok(vec![value.clone()]);
    };
    if let Some(other) = modifiers.keys().find(|name| *name != "$each") {
        return Err(Error::bad_value(format!(
            "Found unexpected fields after $each in $addToSet: {other} (field '{field}')"
        )));
    }
    match modifiers.get("$each") {
        Some(Bson::Array(each)) => Ok(each.clone()),
        _ => Err(Error::type_mismatch(format!(
            "The argument to $each in $addToSet must be an array: {field}: {value}"
        ))),
    }
}

/// No path may be another's beginning: what came of both would depend on their order.
fn check_conflicts(changes: &[Change]) -> Result<()> {
    let conflict = |path: &UpdatePath, at: &str| {
        Err(Error::new(
            code::CONFLICTING_UPDATE_OPERATORS,
            format!(
                "Updating the path '{}' would create a conflict at '{at}'",
                path.text
            ),
        ))
    };
    let mut paths: Vec<&UpdatePath> = Vec::with_capacity(changes.len());
    for change in changes {
        paths.push(&change.path);
        if let Operator::Rename(from) = &change.operator {
            paths.push(from);
        }
    }
    paths.sort_by(|left, right| compare_paths(left, right));
    for pair in paths.windows(2) {
        let [left, right] = pair else { continue };
        if right.parts.starts_with(&left.parts) {
            return conflict(right, &left.text);
        }
        // One names elements of an array by `$[]` or `$[name]`, the other one a field or an index in it.
        let mut parts = left.parts.iter().zip(&right.parts);
        if let Some(at) = parts.position(|(left, right)| left != right)
            && is_of_elements(&left.parts[at]) != is_of_elements(&right.parts[at])
        {
            let above: Vec<&str> = right.text.split('.').take(at).collect();
            return conflict(right, &above.join("."));
        }
    }
    Ok(())
}

/// Part by part: numbers by value and before the rest, names by bytes.
fn compare_paths(left: &UpdatePath, right: &UpdatePath) -> Ordering {
    for (left, right) in left.parts.iter().zip(&right.parts) {
        let order = match (left, right) {
            (UpdatePart::Name(left, left_index), UpdatePart::Name(right, right_index)) => {
                match (left_index, right_index) {
                    (Some(left), Some(right)) => left.cmp(right),
                    _ => left.as_bytes().cmp(right.as_bytes()),
                }
            }
            (left, right) => place(left).cmp(&place(right)),
        };
        if order.is_ne() {
            return order;
        }
    }
    left.parts.len().cmp(&right.parts.len())
}

const fn is_of_elements(part: &UpdatePart) -> bool {
    matches!(part, UpdatePart::All | UpdatePart::Filtered(_))
}

const fn place(part: &UpdatePart) -> usize {
    match part {
        UpdatePart::Matched => 0,
        UpdatePart::All => 1,
        UpdatePart::Filtered(at) => 2 + *at,
        UpdatePart::Name(..) => usize::MAX,
    }
}
