//! `$setWindowFields`: fields computed over neighbouring documents.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::{Documents, Environment, Held, add_sort, check_depth, lazily, project::set_path};
use crate::{
    Context, Error,
    accumulate::Accumulator,
    error::{Result, code},
    expr::{Expression, FieldPath, Needs},
    key,
    order::Number,
    sort::Sort,
};

/// A parsed `$setWindowFields`.
#[derive(Clone, Debug)]
pub(super) struct Window {
    partition: Option<Expression>,
    order: Option<Sort>,
    output: Vec<(FieldPath, Output)>,
}

#[derive(Clone, Debug)]
enum Output {
    DocumentNumber,
    Rank,
    DenseRank,
    Shift {
        by: i64,
        output: Expression,
        default: Bson,
    },
    Accumulate {
        accumulator: Accumulator,
        low: Bound,
        high: Bound,
    },
}

/// The end of a window, counted from the document that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Unbounded,
    Offset(i64),
}

struct Entry {
    partition: Vec<u8>,
    key: Vec<u8>,
    document: Document,
}

fn refused(message: impl Into<String>) -> Error {
    Error::failed_to_parse(message)
}

impl Window {
    pub(super) fn parse(specification: &Bson, variables: &[String]) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(refused(
                "the $setWindowFields stage specification must be an object",
            ));
        };
        let (mut partition, mut order, mut output) = (None, None, None);
        for (name, value) in specification {
            match (name.as_str(), value) {
                ("partitionBy", value) => partition = Some(Expression::parse_with(value, variables)?),
                ("sortBy", Bson::Document(keys)) => order = Some(Sort::parse(keys)?),
                ("output", Bson::Document(fields)) => output = Some(fields),
                (other, _) => {
                    return Err(refused(format!(
                        "$setWindowFields does not take '{other}' in this form"
                    )));
                }
            }
        }
        let fields = output.ok_or_else(|| {
            Error::new(
                code::IDL_FAILED_TO_PARSE,
                "BSON field '$setWindowFields.output' is missing",
            )
        })?;
        let mut output = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let Bson::Document(function) = value else {
                return Err(refused(format!(
                    "The field '{name}' must be an object with a window function"
                )));
            };
            output.push((
                FieldPath::parse(name)?,
                Output::parse(name, function, order.is_some(), variables)?,
            ));
        }
        Ok(Self {
            partition,
            order,
            output,
        })
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        self.partition
            .iter()
            .for_each(|expression| expression.needs(needs));
        self.order.iter().for_each(|order| add_sort(order, needs));
        for (path, output) in &self.output {
            if path.parts().len() > 1 {
                needs.add_path(path);
            }
            match output {
                Output::Shift { output, .. } => output.needs(needs),
                Output::Accumulate { accumulator, .. } => accumulator.needs(needs),
                Output::DocumentNumber | Output::Rank | Output::DenseRank => {}
            }
        }
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        lazily(move || {
            let mut held = Held::new("$setWindowFields", environment.memory);
            let mut entries = Vec::new();
            for document in input {
                let entry = self.entry(document?, environment)?;
                held.add(&entry.document)?;
                held.add_bytes(entry.key.len() + entry.partition.len())?;
                entries.push(entry);
            }
            entries.sort_by(|left, right| (&left.partition, &left.key).cmp(&(&right.partition, &right.key)));
            let mut results = Vec::with_capacity(entries.len());
            for part in entries.chunk_by(|left, right| left.partition == right.partition) {
                self.compute(part, environment, &mut held, &mut results)?;
            }
            Ok(Box::new(entries.into_iter().zip(results).map(
                |(entry, values)| {
                    let mut document = entry.document;
                    for ((path, _), value) in self.output.iter().zip(values) {
                        set_path(&mut document, path.parts(), value);
                    }
                    Ok(document)
                },
            )))
        })
    }

    fn entry(&self, document: Document, environment: Environment<'_>) -> Result<Entry> {
        let partition = match &self.partition {
            None => Vec::new(),
            Some(expression) => {
                let value = expression.evaluate(&document, environment.variables, environment.context)?;
                key::of(value.as_deref().unwrap_or(&Bson::Null))
            }
        };
        let key = self
            .order
            .as_ref()
            .map(|order| order.key(&document, environment.context))
            .transpose()?
            .unwrap_or_default();
        Ok(Entry {
            partition,
            key,
            document,
        })
    }

    /// Computes the fields of each document of a partition.
    fn compute(
        &self,
        part: &[Entry],
        environment: Environment<'_>,
        held: &mut Held,
        results: &mut Vec<Vec<Bson>>,
    ) -> Result<()> {
        let first = results.len();
        results.extend(part.iter().map(|_| Vec::with_capacity(self.output.len())));
        for (_, output) in &self.output {
            for (value, result) in output
                .values(part, environment)?
                .into_iter()
                .zip(results.iter_mut().skip(first))
            {
                check_depth(&value)?;
                held.add_bytes(crate::expr::value_size(&value))?;
                result.push(value);
            }
        }
        Ok(())
    }
}

impl Output {
    fn parse(field: &str, function: &Document, sorted: bool, variables: &[String]) -> Result<Self> {
        let mut bounds = [Bound::Unbounded; 2];
        let mut operator = None;
        for (name, value) in function {
            if name == "window" {
                bounds = window(value)?;
            } else if operator.replace((name.as_str(), value)).is_some() {
                return Err(refused(format!(
                    "The field '{field}' must have one window function"
                )));
            }
        }
        let Some((name, argument)) = operator else {
            return Err(refused(format!(
                "The field '{field}' must have a window function"
            )));
        };
        let needs_order = matches!(name, "$rank" | "$denseRank" | "$documentNumber" | "$shift");
        if !sorted && (needs_order || bounds != [Bound::Unbounded; 2]) {
            return Err(Error::new(5_371_602, format!("{name} needs a 'sortBy' here")));
        }
        Ok(match name {
            "$documentNumber" => Self::DocumentNumber,
            "$rank" => Self::Rank,
            "$denseRank" => Self::DenseRank,
            "$shift" => {
                let Bson::Document(arguments) = argument else {
                    return Err(refused("Argument to $shift must be an object"));
                };
                let by = arguments
                    .get("by")
                    .and_then(Number::of)
                    .and_then(Number::to_i64_exact);
                let (Some(by), Some(output)) = (by, arguments.get("output")) else {
                    return Err(refused("$shift requires 'output' and an integer 'by'"));
                };
                let default = match arguments.get("default") {
                    None => Bson::Null,
                    Some(value) => Expression::parse(value)?
                        .constant()
                        .cloned()
                        .ok_or_else(|| refused("'$shift:default' expression must yield a constant value"))?,
                };
                Self::Shift {
                    by,
                    output: Expression::parse_with(output, variables)?,
                    default,
                }
            }
            _ => {
                let [low, high] = bounds;
                Self::Accumulate {
                    accumulator: Accumulator::parse_operator(name, argument, variables)?,
                    low,
                    high,
                }
            }
        })
    }

    fn values(&self, part: &[Entry], environment: Environment<'_>) -> Result<Vec<Bson>> {
        let number = |number: usize| i32::try_from(number).map_or(Bson::Int64(number as i64), Bson::Int32);
        match self {
            Self::DocumentNumber => Ok((1..=part.len()).map(number).collect()),
            Self::Rank | Self::DenseRank => {
                let mut ranks = Vec::with_capacity(part.len());
                let (mut rank, mut dense) = (0, 0);
                for (at, entry) in part.iter().enumerate() {
                    if at == 0 || part.get(at - 1).is_none_or(|before| before.key != entry.key) {
                        rank = at + 1;
                        dense += 1;
                    }
                    ranks.push(number(if matches!(self, Self::Rank) { rank } else { dense }));
                }
                Ok(ranks)
            }
            Self::Shift { by, output, default } => (0..part.len() as i64)
                .map(|at| {
                    let other = at
                        .checked_add(*by)
                        .and_then(|at| usize::try_from(at).ok())
                        .and_then(|at| part.get(at));
                    let Some(other) = other else {
                        return Ok(default.clone());
                    };
                    let value =
                        output.evaluate(&other.document, environment.variables, environment.context)?;
                    Ok(value.map_or(Bson::Null, Cow::into_owned))
                })
                .collect(),
            Self::Accumulate {
                accumulator,
                low,
                high,
            } => accumulate(accumulator, *low, *high, part, environment),
        }
    }
}

fn accumulate(
    accumulator: &Accumulator,
    low: Bound,
    high: Bound,
    part: &[Entry],
    environment: Environment<'_>,
) -> Result<Vec<Bson>> {
    let context: &Context = environment.context;
    let variables = environment.variables;
    let over = |entries: &[Entry]| -> Result<Bson> {
        context.spend(entries.len() as u64)?;
        let mut state = accumulator.start(&Bson::Null, variables, context)?;
        for entry in entries {
            accumulator.add(&mut state, &entry.document, variables, context)?;
        }
        Ok(accumulator.finish(state))
    };
    if (low, high) == (Bound::Unbounded, Bound::Unbounded) {
        let all = over(part)?;
        return Ok(vec![all; part.len()]);
    }
    if (low, high) == (Bound::Unbounded, Bound::Offset(0)) {
        // A running total: each document is looked at once.
        let mut state = accumulator.start(&Bson::Null, variables, context)?;
        let mut values = Vec::with_capacity(part.len());
        for entry in part {
            accumulator.add(&mut state, &entry.document, variables, context)?;
            values.push(accumulator.finish(state.clone()));
        }
        return Ok(values);
    }
    let length = part.len() as i64;
    (0..length)
        .map(|at| {
            let place = |bound: Bound, unbounded: i64| match bound {
                Bound::Unbounded => unbounded,
                Bound::Offset(offset) => at.saturating_add(offset),
            };
            let from = place(low, 0).clamp(0, length);
            let to = place(high, length - 1).saturating_add(1).clamp(from, length);
            over(part.get(from as usize..to as usize).unwrap_or_default())
        })
        .collect()
}

fn window(value: &Bson) -> Result<[Bound; 2]> {
    let Bson::Document(window) = value else {
        return Err(refused("'window' field must be an object"));
    };
    let Some(Bson::Array(bounds)) = window.get("documents").filter(|_| window.len() == 1) else {
        return Err(refused(
            "a 'window' is given by 'documents'; 'range' is not offered",
        ));
    };
    let bound = |value: &Bson| match value {
        Bson::String(word) if word == "unbounded" => Ok(Bound::Unbounded),
        Bson::String(word) if word == "current" => Ok(Bound::Offset(0)),
        value => Number::of(value)
            .and_then(Number::to_i64_exact)
            .map(Bound::Offset)
            .ok_or_else(|| refused("Window bounds must be 'unbounded', 'current' or an integer")),
    };
    match bounds.as_slice() {
        [low, high] => Ok([bound(low)?, bound(high)?]),
        _ => Err(refused("Window bounds must be a 2-element array")),
    }
}
