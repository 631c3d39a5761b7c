//! `$bucket`, which is a `$group` by a switch, and `$bucketAuto`, which sorts and cuts.

mod granularity;

use std::borrow::Cow;

use bson::{Bson, Document, bson, doc};

use self::granularity::Granularity;
use super::{
    Documents, Environment, Held, Stage,
    group::{self, Accumulators, Group},
    lazily,
    sort::SortStage,
};
use crate::{
    Error,
    accumulate::{Accumulator, State},
    error::Result,
    expr::{Expression, Needs, value_size},
    key,
    order::{Number, compare, rank},
    sort::Sort,
};

/// What `output` is where it is not written.
fn counted() -> Document {
    doc! {"count": {"$sum": 1}}
}

fn accumulators(output: &Document, variables: &[String]) -> Result<Accumulators> {
    output
        .iter()
        .map(|(name, value)| Ok((name.clone(), Accumulator::parse(name, value, variables)?)))
        .collect()
}

/// The stages of a `$bucket`.
pub(super) fn bucket(specification: &Bson, variables: &[String]) -> Result<Vec<Stage>> {
    let Bson::Document(specification) = specification else {
        return Err(Error::new(40201, "Argument to $bucket stage must be an object"));
    };
    let mut group_by = None;
    let mut boundaries = None;
    let mut default = None;
    let mut output = counted();
    for (name, value) in specification {
        match name.as_str() {
            "groupBy" => {
                check_group_by(value, 40202, "$bucket")?;
                group_by = Some(value);
            }
            "boundaries" => boundaries = Some(constants(value)?),
            "default" => default = Some(constant(value, 40195)?),
            "output" => match value {
                Bson::Document(document) => output = document.clone(),
                _ => return Err(Error::new(40196, "The $bucket 'output' field must be an object")),
            },
            other => {
                return Err(Error::new(
                    40197,
                    format!("Unrecognized option to $bucket: {other}."),
                ));
            }
        }
    }
    let (Some(group_by), Some(boundaries)) = (group_by, boundaries) else {
        return Err(Error::new(
            40198,
            "$bucket requires 'groupBy' and 'boundaries' to be specified.",
        ));
    };
    check_boundaries(&boundaries, default.as_ref())?;
    let mut branches = Vec::with_capacity(boundaries.len());
    for pair in boundaries.windows(2) {
        if let [low, high] = pair {
            branches.push(bson!({
                "case": {"$and": [
                    {"$gte": [group_by.clone(), {"$literal": low.clone()}]},
                    {"$lt": [group_by.clone(), {"$literal": high.clone()}]},
                ]},
                "then": {"$literal": low.clone()},
            }));
        }
    }
    let mut switch = doc! {"branches": branches};
    if let Some(default) = default {
        switch.insert("default", doc! {"$literal": default});
    }
    let id = Expression::parse_with(&bson!({"$switch": switch}), variables)?;
    let fields = accumulators(&output, variables)?;
    Ok(vec![
        Stage::Group(Group::new(id, fields)),
        Stage::Sort(SortStage::new(Sort::parse(&doc! {"_id": 1})?)),
    ])
}

fn check_group_by(value: &Bson, code: i32, stage: &str) -> Result<()> {
    let fits = match value {
        Bson::String(text) => text.starts_with('$'),
        Bson::Document(document) => document.keys().next().is_some_and(|name| name.starts_with('$')),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(Error::new(
        code,
        format!(
            "The {stage} 'groupBy' field must be defined as a $-prefixed path or an expression, but found: {value}."
        ),
    ))
}

fn constant(value: &Bson, code: i32) -> Result<Bson> {
    let refused = || {
        Error::new(
            code,
            format!("The $bucket 'default' and 'boundaries' values must be constants, but found: {value}."),
        )
    };
    Expression::parse(value)?.constant().cloned().ok_or_else(refused)
}

fn constants(value: &Bson) -> Result<Vec<Bson>> {
    let Bson::Array(values) = value else {
        return Err(Error::new(
            40200,
            format!("The $bucket 'boundaries' field must be an array, but found: {value}."),
        ));
    };
    values.iter().map(|value| constant(value, 40191)).collect()
}

fn check_boundaries(boundaries: &[Bson], default: Option<&Bson>) -> Result<()> {
    let ([first, .., last], true) = (boundaries, boundaries.len() > 1) else {
        return Err(Error::new(
            40192,
            format!(
                "The $bucket 'boundaries' field must have at least 2 values, but found {} value(s).",
                boundaries.len()
            ),
        ));
    };
    for pair in boundaries.windows(2) {
        let [low, high] = pair else { continue };
        if rank(low) != rank(high) {
            return Err(Error::new(
                40193,
                "All values in the 'boundaries' option to $bucket must have the same type.",
            ));
        }
        if compare(low, high).is_ge() {
            return Err(Error::new(
                40194,
                "The 'boundaries' option to $bucket must be sorted, but elements are out of order.",
            ));
        }
    }
    if default.is_some_and(|default| compare(default, first).is_ge() && compare(default, last).is_lt()) {
        return Err(Error::new(
            40199,
            "The $bucket 'default' field must be less than the lowest boundary or greater than or equal to the highest boundary.",
        ));
    }
    Ok(())
}

/// A parsed `$bucketAuto`.
#[derive(Clone, Debug)]
pub(super) struct BucketAuto {
    group_by: Expression,
    buckets: usize,
    granularity: Option<Granularity>,
    fields: Accumulators,
}

struct Entry {
    key: Vec<u8>,
    value: Bson,
    document: Document,
}

/// One bucket under construction.
struct Bucket {
    low: Bson,
    high: Bson,
    states: Vec<State>,
}

impl BucketAuto {
    pub(super) fn parse(specification: &Bson, variables: &[String]) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(Error::new(40240, "The argument to $bucketAuto must be an object"));
        };
        let mut group_by = None;
        let mut buckets = None;
        let mut granularity = None;
        let mut output = counted();
        for (name, value) in specification {
            match name.as_str() {
                "groupBy" => {
                    check_group_by(value, 40239, "$bucketAuto")?;
                    group_by = Some(Expression::parse_with(value, variables)?);
                }
                "buckets" => buckets = Some(bucket_count(value)?),
                "output" => match value {
                    Bson::Document(document) => output = document.clone(),
                    _ => {
                        return Err(Error::new(
                            40244,
                            "The $bucketAuto 'output' field must be an object",
                        ));
                    }
                },
                "granularity" => granularity = Some(Granularity::parse(value)?),
                other => {
                    return Err(Error::new(
                        40245,
                        format!("Unrecognized option to $bucketAuto: {other}."),
                    ));
                }
            }
        }
        let (Some(group_by), Some(buckets)) = (group_by, buckets) else {
            return Err(Error::new(
                40246,
                "$bucketAuto requires 'groupBy' and 'buckets' to be specified",
            ));
        };
        if output.is_empty() {
            output = counted();
        }
        Ok(Self {
            group_by,
            buckets,
            granularity,
            fields: accumulators(&output, variables)?,
        })
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        self.group_by.needs(needs);
        self.fields.iter().for_each(|field| field.1.needs(needs));
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        lazily(move || {
            let mut held = Held::new("$bucketAuto", environment.memory);
            let mut entries = Vec::new();
            for document in input {
                entries.push(self.entry(document?, environment, &mut held)?);
            }
            entries.sort_by(|left, right| left.key.cmp(&right.key));
            let buckets = self.fill(entries, environment, &mut held)?;
            Ok(Box::new(buckets.into_iter().map(|bucket| {
                let mut document = doc! {"_id": {"min": bucket.low, "max": bucket.high}};
                group::finish(&self.fields, bucket.states, &mut document)?;
                Ok(document)
            })))
        })
    }

    fn entry(&self, document: Document, environment: Environment<'_>, held: &mut Held) -> Result<Entry> {
        let value = self
            .group_by
            .evaluate(&document, environment.variables, environment.context)?
            .map_or(Bson::Null, Cow::into_owned);
        if self.granularity.is_some() {
            let refused = |code: i32, why: &str| {
                Error::new(
                    code,
                    format!("$bucketAuto can specify a 'granularity' with numeric boundaries only: {why}"),
                )
            };
            let number = Number::of(&value)
                .map(Number::to_f64)
                .ok_or_else(|| refused(40258, "found a value that is no number"))?;
            if number.is_nan() {
                return Err(refused(40259, "found NaN"));
            }
            if number < 0.0 {
                return Err(refused(40260, "found a negative number"));
            }
        }
        let key = key::of(&value);
        held.add(&document)?;
        held.add_bytes(value_size(&value) + key.len())?;
        Ok(Entry { key, value, document })
    }

    /// Cuts the sorted values into buckets of about the same number; equal values stay together.
    fn fill(
        &self,
        entries: Vec<Entry>,
        environment: Environment<'_>,
        held: &mut Held,
    ) -> Result<Vec<Bucket>> {
        // At least one, so that there are no more buckets than documents.
        let size = ((entries.len() as f64 / self.buckets as f64).round() as usize).max(1);
        let mut filled: Vec<Bucket> = Vec::new();
        let mut entries = entries.into_iter().peekable();
        while let Some(first) = entries.next() {
            let is_last = filled.len() + 1 == self.buckets;
            let low = match (&self.granularity, filled.last_mut()) {
                (None, before) => {
                    // The bucket before ends where this one begins.
                    if let Some(before) = before {
                        before.high = first.value.clone();
                    }
                    first.value.clone()
                }
                (Some(_), Some(before)) => before.high.clone(),
                (Some(granularity), None) => granularity.below(&first.value),
            };
            let mut bucket = Bucket {
                states: group::start(&self.fields, &low, environment)?,
                high: first.value.clone(),
                low,
            };
            let mut show = |entry: &Entry| -> Result<()> {
                held.add_bytes(group::add(
                    &self.fields,
                    &mut bucket.states,
                    &entry.document,
                    environment,
                )?)
            };
            show(&first)?;
            let mut taken = 1;
            let mut last = first;
            while is_last || taken < size {
                let Some(next) = entries.next() else { break };
                show(&next)?;
                last = next;
                taken += 1;
            }
            if let Some(granularity) = &self.granularity {
                let high = granularity.above(&last.value);
                while let Some(next) = entries.next_if(|next| compare(&next.value, &high).is_lt()) {
                    show(&next)?;
                }
                bucket.high = high;
            } else {
                while let Some(next) = entries.next_if(|next| next.key == last.key) {
                    show(&next)?;
                }
                bucket.high = last.value;
            }
            filled.push(bucket);
        }
        Ok(filled)
    }
}

fn bucket_count(value: &Bson) -> Result<usize> {
    let refused = |code: i32, why: &str| {
        Error::new(
            code,
            format!("The $bucketAuto 'buckets' field must be {why}, but found: {value}."),
        )
    };
    let number = Number::of(value).ok_or_else(|| refused(40241, "a numeric value"))?;
    let count = number
        .to_i64_exact()
        .and_then(|count| i32::try_from(count).ok())
        .ok_or_else(|| refused(40242, "representable as a 32-bit integer"))?;
    usize::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| refused(40243, "greater than 0"))
}
