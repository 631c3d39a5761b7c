//! Accumulators: what `$group` and its like keep of the documents of a group.
//!
//! An [`Accumulator`] is parsed once; each group has a [`State`] of it, which is shown one document after the other. Only
//! what must be kept is kept: `$sum` holds a number, `$push` holds everything, and says how many bytes that takes.

mod several;

use std::collections::HashSet;

use bson::{Bson, Document};

use self::several::{Ranked, Side};
use crate::{
    Context, Error,
    error::{Result, code},
    expr::{Average, Deviation, Expression, Needs, Sum, Variables, percentile, type_name, value_size},
    key,
    order::{self, Number},
    sort::{Sort, SortKey},
};

/// A parsed accumulator: `{$sum: "$price"}`.
#[derive(Clone, Debug)]
pub struct Accumulator {
    operator: Operator,
    /// What it looks at of a document; null for those that look at nothing.
    input: Expression,
}

#[derive(Clone, Debug)]
enum Operator {
    Sum,
    Average,
    Minimum,
    Maximum,
    First,
    Last,
    Push,
    AddToSet,
    MergeObjects,
    ConcatArrays,
    SetUnion,
    Deviation {
        sample: bool,
    },
    /// `$firstN`, `$lastN`
    Several {
        count: Expression,
        last: bool,
    },
    /// `$minN`, `$maxN`, `$top`, `$topN`, `$bottom`, `$bottomN`: the least or the greatest by a key.
    Ranked {
        /// `None` gives one value instead of an array.
        count: Option<Expression>,
        side: Side,
        /// `None` ranks by the input itself.
        keys: Option<Sort>,
    },
    Percentile {
        fractions: Vec<f64>,
        /// `$median` gives a number instead of an array.
        single: bool,
    },
}

/// What one group has of an accumulator.
#[derive(Clone, Debug)]
pub enum State {
    #[doc(hidden)]
    Sum(Sum),
    #[doc(hidden)]
    Average(Average),
    #[doc(hidden)]
    Deviation(Deviation),
    #[doc(hidden)]
    One(Option<Bson>),
    #[doc(hidden)]
    List(Vec<Bson>),
    #[doc(hidden)]
    Set(HashSet<Vec<u8>>, Vec<Bson>),
    #[doc(hidden)]
    Merged(Document),
    #[doc(hidden)]
    Ends(usize, std::collections::VecDeque<Bson>),
    #[doc(hidden)]
    Ranked(Ranked),
    #[doc(hidden)]
    Numbers(Vec<f64>),
}

/// The names of accumulators, as in an error.
fn unknown(name: &str) -> Error {
    Error::new(15952, format!("unknown group operator '{name}'"))
}

impl Accumulator {
    /// Parses one field of a `$group`: `{operator: argument}`. `field` is its name, for errors.
    ///
    /// # Errors
    /// What MongoDB refuses, with its number.
    pub fn parse(field: &str, value: &Bson, variables: &[String]) -> Result<Self> {
        if field.contains('.') {
            return Err(Error::new(
                40235,
                format!("The field name '{field}' cannot contain '.'"),
            ));
        }
        if field.starts_with('$') {
            return Err(Error::new(
                40236,
                format!("The field name '{field}' cannot be an operator name"),
            ));
        }
        let Bson::Document(document) = value else {
            return Err(Error::new(
                40234,
                format!("The field '{field}' must be an accumulator object"),
            ));
        };
        let mut fields = document.iter();
        let (Some((name, argument)), None) = (fields.next(), fields.next()) else {
            return Err(Error::new(
                40238,
                format!("The field '{field}' must specify one accumulator"),
            ));
        };
        Self::parse_operator(name, argument, variables)
    }

    /// Parses an accumulator by its name.
    ///
    /// # Errors
    /// As [`Accumulator::parse`].
    pub fn parse_operator(name: &str, argument: &Bson, variables: &[String]) -> Result<Self> {
        let operator = match name {
            "$sum" => Operator::Sum,
            "$avg" => Operator::Average,
            "$min" => Operator::Minimum,
            "$max" => Operator::Maximum,
            "$first" => Operator::First,
            "$last" => Operator::Last,
            "$push" => Operator::Push,
            "$addToSet" => Operator::AddToSet,
            "$mergeObjects" => Operator::MergeObjects,
            "$concatArrays" => Operator::ConcatArrays,
            "$setUnion" => Operator::SetUnion,
            "$stdDevPop" => Operator::Deviation { sample: false },
            "$stdDevSamp" => Operator::Deviation { sample: true },
            "$count" => return Self::count(argument),
            "$firstN" | "$lastN" | "$minN" | "$maxN" | "$top" | "$topN" | "$bottom" | "$bottomN" => {
                return several::parse(name, argument, variables);
            }
            "$median" | "$percentile" => return Self::percentile(name, argument, variables),
            _ => return Err(unknown(name)),
        };
        if matches!(argument, Bson::Array(_)) {
            return Err(Error::new(
                40237,
                format!("The {name} accumulator is a unary operator"),
            ));
        }
        Ok(Self {
            operator,
            input: Expression::parse_with(argument, variables)?,
        })
    }

    /// `{$count: {}}`
    fn count(argument: &Bson) -> Result<Self> {
        if !matches!(argument, Bson::Document(document) if document.is_empty()) {
            return Err(Error::failed_to_parse(
                "$count takes no arguments, i.e. $count:{}",
            ));
        }
        Ok(Self {
            operator: Operator::Sum,
            input: Expression::of(Bson::Int32(1)),
        })
    }

    fn percentile(name: &str, argument: &Bson, variables: &[String]) -> Result<Self> {
        let single = name == "$median";
        let Bson::Document(arguments) = argument else {
            return Err(Error::new(
                7_429_703,
                format!("specification must be an object; found {name}: {argument}"),
            ));
        };
        let known = |field: &str| matches!(field, "input" | "method") || field == "p" && !single;
        if let Some(field) = arguments.keys().find(|field| !known(field)) {
            return Err(Error::new(
                code::IDL_UNKNOWN_FIELD,
                format!("BSON field '{name}.{field}' is an unknown field."),
            ));
        }
        let require = |field: &str| {
            arguments.get(field).ok_or_else(|| {
                Error::new(
                    code::IDL_FAILED_TO_PARSE,
                    format!("BSON field '{name}.{field}' is missing but a required field"),
                )
            })
        };
        let input = Expression::parse_with(require("input")?, variables)?;
        match require("method")? {
            Bson::String(method) if matches!(method.as_str(), "approximate" | "discrete" | "continuous") => {}
            _ => {
                return Err(Error::bad_value(format!(
                    "{name}: 'method' must be 'approximate'"
                )));
            }
        }
        let fractions = if single {
            vec![0.5]
        } else {
            let fractions = Expression::parse_with(require("p")?, variables)?;
            match fractions.constant() {
                Some(Bson::Array(fractions)) if !fractions.is_empty() => fractions
                    .iter()
                    .map(|fraction| {
                        Number::of(fraction)
                            .map(Number::to_f64)
                            .filter(|fraction| (0.0..=1.0).contains(fraction))
                            .ok_or_else(|| {
                                Error::new(7_750_303, format!("{name}: 'p' must hold numbers from 0 to 1"))
                            })
                    })
                    .collect::<Result<_>>()?,
                _ => {
                    return Err(Error::new(
                        7_750_301,
                        format!("{name}: 'p' must be an array of numbers from 0 to 1"),
                    ));
                }
            }
        };
        Ok(Self {
            operator: Operator::Percentile { fractions, single },
            input,
        })
    }

    /// Adds the fields of a document that the accumulator reads.
    pub fn needs(&self, needs: &mut Needs) {
        self.input.needs(needs);
        if let Operator::Ranked { keys: Some(keys), .. } = &self.operator {
            keys.keys().iter().for_each(|key| match key {
                SortKey::Field(path, _) => needs.add(path.first()),
                SortKey::Random | SortKey::Score => {}
            });
        }
    }

    /// The state of a new group. `group` is the group's `_id`, which `n` of `$firstN` and its like may look at.
    ///
    /// # Errors
    /// 7548606 where `n` is no positive integer.
    pub fn start(&self, group: &Bson, variables: &Variables, context: &Context) -> Result<State> {
        Ok(match &self.operator {
            Operator::Sum => State::Sum(Sum::default()),
            Operator::Average => State::Average(Average::default()),
            Operator::Deviation { .. } => State::Deviation(Deviation::default()),
            Operator::Minimum | Operator::Maximum | Operator::First | Operator::Last => State::One(None),
            Operator::Push | Operator::ConcatArrays => State::List(Vec::new()),
            Operator::AddToSet | Operator::SetUnion => State::Set(HashSet::new(), Vec::new()),
            Operator::MergeObjects => State::Merged(Document::new()),
            Operator::Several { count, .. } => State::Ends(
                several::count(count, group, variables, context)?,
                std::collections::VecDeque::new(),
            ),
            Operator::Ranked { count, side, .. } => {
                let count = match count {
                    None => 1,
                    Some(count) => several::count(count, group, variables, context)?,
                };
                State::Ranked(Ranked::new(count, *side))
            }
            Operator::Percentile { .. } => State::Numbers(Vec::new()),
        })
    }

    /// Shows a document to a group's state; gives the bytes by which the state grew.
    ///
    /// # Errors
    /// What the expression fails with; a value that the accumulator does not take.
    pub fn add(
        &self,
        state: &mut State,
        document: &Document,
        variables: &Variables,
        context: &Context,
    ) -> Result<usize> {
        let value = self.input.evaluate(document, variables, context)?;
        match state {
            State::Sum(sum) => {
                if let Some(value) = value {
                    sum.add(&value);
                }
                Ok(0)
            }
            State::Average(average) => {
                if let Some(value) = value {
                    average.add(&value);
                }
                Ok(0)
            }
            State::Deviation(deviation) => {
                if let Some(value) = value {
                    deviation.add(&value);
                }
                Ok(0)
            }
            State::Numbers(numbers) => {
                let number = value.as_deref().and_then(Number::of).map(Number::to_f64);
                numbers.extend(number.filter(|number| !number.is_nan()));
                Ok(size_of::<f64>())
            }
            State::One(kept) => {
                let wanted = match self.operator {
                    Operator::Minimum => Some(std::cmp::Ordering::Less),
                    Operator::Maximum => Some(std::cmp::Ordering::Greater),
                    _ => None,
                };
                let better = match (wanted, value.as_deref(), &*kept) {
                    (None, _, kept) => kept.is_none() || matches!(self.operator, Operator::Last),
                    (_, None | Some(Bson::Null | Bson::Undefined), _) => false,
                    (_, Some(_), None) => true,
                    (Some(wanted), Some(value), Some(kept)) => order::compare(value, kept) == wanted,
                };
                if !better {
                    return Ok(0);
                }
                let value = value.map_or(Bson::Null, std::borrow::Cow::into_owned);
                // The value before is counted too: a bound that is a little low is a bound.
                let bytes = behind(&value);
                *kept = Some(value);
                Ok(bytes)
            }
            State::List(list) => match (&self.operator, value) {
                (_, None) => Ok(0),
                (Operator::ConcatArrays, Some(value)) => {
                    let Bson::Array(elements) = &*value else {
                        return Err(not_an_array("$concatArrays", &value));
                    };
                    list.extend_from_slice(elements);
                    Ok(value_size(&value))
                }
                (_, Some(value)) => {
                    let bytes = value_size(&value);
                    list.push(value.into_owned());
                    Ok(bytes)
                }
            },
            State::Set(seen, list) => match (&self.operator, value) {
                (_, None) => Ok(0),
                (Operator::SetUnion, Some(value)) => {
                    let Bson::Array(elements) = &*value else {
                        return Err(not_an_array("$setUnion", &value));
                    };
                    Ok(elements.iter().map(|element| insert(seen, list, element)).sum())
                }
                (_, Some(value)) => Ok(insert(seen, list, &value)),
            },
            State::Merged(merged) => match value.map(std::borrow::Cow::into_owned) {
                None | Some(Bson::Null | Bson::Undefined) => Ok(0),
                Some(Bson::Document(document)) => {
                    let bytes = document.values().map(value_size).sum();
                    merged.extend(document);
                    Ok(bytes)
                }
                Some(other) => Err(Error::new(
                    5_911_200,
                    format!(
                        "$mergeObjects requires object inputs, but input is of type {}",
                        type_name(&other)
                    ),
                )),
            },
            State::Ends(count, kept) => {
                let last = matches!(self.operator, Operator::Several { last: true, .. });
                let value = value.map_or(Bson::Null, std::borrow::Cow::into_owned);
                Ok(several::keep_end(kept, *count, last, value))
            }
            State::Ranked(ranked) => {
                let keys = match &self.operator {
                    Operator::Ranked { keys, .. } => keys.as_ref(),
                    _ => None,
                };
                ranked.add(keys, document, value, context)
            }
        }
    }

    /// What a group's state comes to.
    #[must_use]
    pub fn finish(&self, state: State) -> Bson {
        match state {
            State::Sum(sum) => sum.total(),
            State::Average(average) => average.total(),
            State::Deviation(deviation) => {
                deviation.total(matches!(self.operator, Operator::Deviation { sample: true }))
            }
            State::One(value) => value.unwrap_or(Bson::Null),
            State::List(list) | State::Set(_, list) => Bson::Array(list),
            State::Merged(document) => Bson::Document(document),
            State::Ends(_, kept) => Bson::Array(kept.into()),
            State::Ranked(ranked) => {
                let by_key = matches!(self.operator, Operator::Ranked { keys: Some(_), .. });
                let mut values = if by_key {
                    ranked.finish_by_key()
                } else {
                    ranked.finish()
                };
                match &self.operator {
                    Operator::Ranked { count: None, .. } => values.pop().unwrap_or(Bson::Null),
                    _ => Bson::Array(values),
                }
            }
            State::Numbers(mut numbers) => {
                numbers.sort_by(f64::total_cmp);
                let of = |fraction: f64| percentile(&numbers, fraction).map_or(Bson::Null, Bson::Double);
                match &self.operator {
                    Operator::Percentile {
                        fractions,
                        single: false,
                    } => Bson::Array(fractions.iter().map(|fraction| of(*fraction)).collect()),
                    _ => of(0.5),
                }
            }
        }
    }
}

/// The bytes of a value beyond its own place, which a state has already.
fn behind(value: &Bson) -> usize {
    value_size(value).saturating_sub(std::mem::size_of::<Bson>())
}

fn not_an_array(operator: &str, value: &Bson) -> Error {
    Error::type_mismatch(format!(
        "{operator} requires array inputs, but input is of type {}",
        type_name(value)
    ))
}

/// Adds an element to a set that keeps the order of first sight.
fn insert(seen: &mut HashSet<Vec<u8>>, list: &mut Vec<Bson>, element: &Bson) -> usize {
    let key = key::of(element);
    let bytes = key.len() + std::mem::size_of::<Vec<u8>>();
    if !seen.insert(key) {
        return 0;
    }
    list.push(element.clone());
    bytes + value_size(element)
}

#[cfg(test)]
mod tests;
