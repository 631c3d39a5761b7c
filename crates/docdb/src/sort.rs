//! Sort orders: `{status: 1, createTime: -1}`.
//!
//! A document's place is told by key bytes, so that it is computed once and compared cheaply. A field that is not there
//! counts as null; an array counts by its smallest element where the order is ascending and by its greatest where it is
//! descending, an empty one is below null. Fields below one array count together, by the element that comes first.

use std::cmp::Ordering;

use bson::{Bson, Document};

use crate::{
    Context,
    error::{Error, Result, code},
    key::{self, Direction},
    order::{Number, compare},
    path::{Path, walk},
    tuple::tuples,
};

/// More keys are refused, as in MongoDB.
const MOST_KEYS: usize = 32;
/// A place is not larger than this: the greatest document has room in it, and not as often as there are keys that hold one another.
const MOST_BYTES: usize = 40 << 20;
/// What is sorted at once has no more bytes of places than this, as in MongoDB.
const MOST_BYTES_OF_ALL: usize = 100 << 20;
/// So many bytes of a place, and elements of an array that are compared for it, count as one step.
const BYTES_OF_A_STEP: usize = 8;

/// A parsed sort order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    keys: Vec<SortKey>,
}

/// One key of a sort order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// By a field.
    Field(Path, Direction),
    /// `{$meta: "randVal"}`: by chance.
    Random,
    /// `{$meta: "searchScore"}` and its like: by what no document has here.
    Score,
}

/// The direction of `{$natural: 1}`, which `find` takes: the order in which the documents lie.
#[must_use]
pub fn natural(spec: &Document) -> Option<Direction> {
    let value = spec.get("$natural").filter(|_| spec.len() == 1)?;
    direction("$natural", value).ok()
}

impl Sort {
    /// Parses a sort order; the keys stand in their order of weight.
    ///
    /// # Errors
    /// What MongoDB refuses: directions other than 1 and -1, paths that are none, no key at all or more than 32.
    pub fn parse(spec: &Document) -> Result<Self> {
        if spec.is_empty() {
            return Err(Error::new(15976, "$sort stage must have at least one sort key"));
        }
        let mut keys = Vec::with_capacity(spec.len());
        for (name, value) in spec {
            if let Bson::Document(meta) = value {
                keys.push(random(name, meta)?);
                continue;
            }
            let direction = direction(name, value)?;
            keys.push(SortKey::Field(Path::checked(name)?, direction));
        }
        let fields = keys
            .iter()
            .filter(|key| matches!(key, SortKey::Field(..)))
            .count();
        if fields > MOST_KEYS {
            return Err(Error::new(
                13103,
                format!("too many compound keys: {} is the most", MOST_KEYS),
            ));
        }
        Ok(Self { keys })
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[SortKey] {
        &self.keys
    }

    /// Bytes whose order is the place of `document` among others. Keys that are fields of one another hold the same value several times.
    ///
    /// # Errors
    /// 2 where two keys are arrays beside each other; 292 where the bytes are too many; [`TOO_MUCH_WORK`](crate::TOO_MUCH_WORK) in a
    /// [strict](Context::strict) context.
    pub fn key(&self, document: &Document, context: &Context) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.keys.len() * 16);
        let (values, seen) = self.values(document)?;
        context.spend_if_strict((seen / BYTES_OF_A_STEP) as u64)?;
        let mut values = values.into_iter();
        for sort_key in &self.keys {
            match sort_key {
                SortKey::Score => {}
                SortKey::Random => out.extend_from_slice(&context.random().to_be_bytes()),
                SortKey::Field(_, direction) => {
                    let before = out.len();
                    key::push(&mut out, values.next().unwrap_or(&Bson::Null), *direction);
                    context.spend_if_strict(((out.len() - before) / BYTES_OF_A_STEP) as u64)?;
                    if out.len() > MOST_BYTES {
                        return Err(too_large(MOST_BYTES));
                    }
                }
            }
        }
        Ok(out)
    }

    /// The values of the fields that a document counts by, and how many were compared.
    fn values<'a>(&self, document: &'a Document) -> Result<(Vec<&'a Bson>, usize)> {
        let fields = || {
            self.keys.iter().filter_map(|key| match key {
                SortKey::Field(path, direction) => Some((path, *direction)),
                SortKey::Random | SortKey::Score => None,
            })
        };
        let mut seen = 0;
        let by_index = |path: &Path| path.parts().iter().any(|part| part.index.is_some());
        if fields().any(|(path, _)| by_index(path)) {
            let extremes = fields().map(|(path, direction)| {
                let (value, compared) = extreme(document, path, direction);
                seen += compared;
                value
            });
            return Ok((extremes.collect(), seen));
        }
        let mut first: Option<Vec<&'a Bson>> = None;
        tuples(document, fields().map(|(path, _)| path), &mut |tuple, met| {
            if met.parallel {
                return Err(Error::bad_value("cannot sort with keys that are parallel arrays"));
            }
            seen += tuple.len();
            let values = tuple.iter().map(|value| value.unwrap_or(&Bson::Null));
            let is_before = first.as_ref().is_none_or(|first| {
                let orders = fields().zip(values.clone().zip(first));
                let mut orders = orders.map(|((_, direction), (value, first))| match direction {
                    Direction::Ascending => compare(value, first),
                    Direction::Descending => compare(first, value),
                });
                orders.find(|order| order.is_ne()).is_some_and(Ordering::is_lt)
            });
            if is_before {
                first = Some(values.collect());
            }
            Ok(())
        })?;
        Ok((first.unwrap_or_default(), seen))
    }

    /// Sorts items by the documents that they are, where they are some; those of one place keep their order.
    ///
    /// # Errors
    /// As [`Sort::key`]; the items are as they were then.
    pub fn sort<T>(
        &self,
        items: &mut Vec<T>,
        document: impl Fn(&T) -> Option<&Document>,
        context: &Context,
    ) -> Result<()> {
        let (empty, mut bytes) = (Document::new(), 0);
        let mut places = Vec::with_capacity(items.len());
        for item in items.iter() {
            let place = self.key(document(item).unwrap_or(&empty), context)?;
            bytes += place.len();
            if bytes > MOST_BYTES_OF_ALL {
                return Err(too_large(MOST_BYTES_OF_ALL));
            }
            places.push(place);
        }
        let mut keyed: Vec<(Vec<u8>, T)> = places.into_iter().zip(items.drain(..)).collect();
        keyed.sort_by(|left, right| left.0.cmp(&right.0));
        items.extend(keyed.into_iter().map(|keyed| keyed.1));
        Ok(())
    }
}

/// The refusal of what would have more bytes of places than `most`.
#[must_use]
pub fn too_large(most: usize) -> Error {
    Error::new(
        code::QUERY_EXCEEDED_MEMORY_LIMIT,
        format!("Sort exceeded memory limit of {most} bytes, and no disk is used: sort by shorter fields"),
    )
}

/// The value that a field counts by, and how many were compared.
fn extreme<'a>(document: &'a Document, path: &Path, direction: Direction) -> (&'a Bson, usize) {
    let mut extreme: Option<&'a Bson> = None;
    let mut seen = 0;
    let mut take = |value: &'a Bson| {
        seen += 1;
        let better = extreme.is_none_or(|so_far| {
            let order = compare(value, so_far);
            match direction {
                Direction::Ascending => order.is_lt(),
                Direction::Descending => order.is_gt(),
            }
        });
        if better {
            extreme = Some(value);
        }
    };
    walk(document, path, &mut |value, _| {
        match value {
            None => take(&Bson::Null),
            Some(Bson::Array(elements)) if elements.is_empty() => take(&Bson::Undefined),
            Some(Bson::Array(elements)) => elements.iter().for_each(&mut take),
            Some(value) => take(value),
        }
        false
    });
    (extreme.unwrap_or(&Bson::Null), seen)
}

fn direction(name: &str, value: &Bson) -> Result<Direction> {
    let Some(number) = Number::of(value) else {
        return Err(Error::new(
            15974,
            format!("Illegal key in $sort specification: {name}: {value}"),
        ));
    };
    match number.to_f64() {
        1.0 => Ok(Direction::Ascending),
        -1.0 => Ok(Direction::Descending),
        _ => Err(Error::new(
            15975,
            format!("$sort key ordering must be 1 (for ascending) or -1 (for descending): {name}: {value}"),
        )),
    }
}

fn random(name: &str, meta: &Document) -> Result<SortKey> {
    let Some(value) = meta.get("$meta") else {
        return Err(Error::new(
            code::BAD_VALUE,
            format!("$meta is the only expression supported by $sort right now: {name}"),
        ));
    };
    if meta.len() > 1 {
        return Err(Error::failed_to_parse(format!(
            "Cannot have additional keys beside $meta: {name}"
        )));
    }
    match value {
        Bson::String(kind) if kind == "randVal" => Ok(SortKey::Random),
        Bson::String(kind) if kind == "textScore" => Err(Error::new(
            40218,
            "query requires text score metadata, but it is not available",
        )),
        Bson::String(kind)
            if ["searchScore", "vectorSearchScore", "geoNearDistance"].contains(&kind.as_str()) =>
        {
            Ok(SortKey::Score)
        }
        _ => Err(Error::new(31138, format!("Illegal $meta sort: {name}: {value}"))),
    }
}

#[cfg(test)]
mod tests;
