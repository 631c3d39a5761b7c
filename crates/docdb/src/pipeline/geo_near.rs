//! `$geoNear`: documents by their distance from a point.

use bson::{Bson, Document};

use super::{Documents, Environment, Held, lazily, project::set_path};
use crate::{
    Error,
    error::{Result, code},
    expr::{FieldPath, Needs, document_size, type_name},
    geo::Near,
    order::Number,
    path::Path,
    query::{self, Filter},
};

/// A parsed `$geoNear`.
#[derive(Clone, Debug)]
pub struct GeoNear {
    near: Near,
    /// The field with the position; `None` leaves it to whoever knows the one geographic index.
    key: Option<Path>,
    distance: FieldPath,
    location: Option<FieldPath>,
    multiplier: f64,
    filter: Option<Filter>,
    /// What every document has to meet: the filter, and to be near. Where the field is known.
    condition: Option<Filter>,
    most: Option<usize>,
    /// The documents come in the order of their distance already.
    led: bool,
}

impl GeoNear {
    pub(super) fn parse(specification: &Bson, variables: &[String]) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(Error::new(10065, "$geoNear: the argument must be an object"));
        };
        let mut key = None;
        let (mut distance, mut location) = (None, None);
        let mut multiplier = 1.0;
        let (mut filter, mut most) = (None, None);
        let mut point = None;
        let mut spherical = false;
        let (mut least, mut greatest) = (None, None);
        for (name, value) in specification {
            match (name.as_str(), value) {
                ("near", value) => point = Some(value),
                ("spherical", value) => spherical = crate::expr::truth(value),
                ("distanceField", Bson::String(text)) => distance = Some(FieldPath::parse(text)?),
                ("includeLocs", Bson::String(text)) => location = Some(FieldPath::parse(text)?),
                ("key", Bson::String(text)) => key = Some(Path::checked(text)?),
                ("query", Bson::Document(query)) => filter = Some(Filter::parse_with(query, variables)?),
                ("minDistance", value) => least = Some(value),
                ("maxDistance", value) => greatest = Some(value),
                ("distanceMultiplier", value) => {
                    multiplier = number(value).filter(|number| *number >= 0.0).ok_or_else(|| {
                        Error::bad_value("$geoNear: distanceMultiplier must be a nonnegative number")
                    })?;
                }
                // WeChat's documents have a limit here; newer servers leave it to $limit.
                ("limit" | "num", value) => {
                    let count = Number::of(value)
                        .and_then(Number::to_i64_exact)
                        .filter(|count| *count > 0);
                    let count = count.ok_or_else(|| {
                        Error::bad_value(format!("$geoNear: {name} must be a positive integer"))
                    })?;
                    most = Some(usize::try_from(count).unwrap_or(usize::MAX));
                }
                ("uniqueDocs", _) => {}
                (other, value) => {
                    return Err(Error::bad_value(format!(
                        "$geoNear does not take '{other}' with a value of type {}",
                        type_name(value)
                    )));
                }
            }
        }
        let point = point.ok_or_else(|| Error::new(5_860_400, "$geoNear requires a 'near' argument"))?;
        let mut parsed = Self {
            near: Near::of_point(point, spherical, least, greatest)?,
            key,
            distance: distance.ok_or_else(|| {
                Error::new(
                    code::IDL_FAILED_TO_PARSE,
                    "$geoNear requires a 'distanceField' argument",
                )
            })?,
            location,
            multiplier,
            filter,
            condition: None,
            most,
            led: false,
        };
        parsed.set_condition();
        Ok(parsed)
    }

    fn set_condition(&mut self) {
        if let Some(path) = &self.key {
            let near = query::Near {
                path: path.clone(),
                query: self.near.clone(),
            };
            self.condition = Some(self.filter.clone().unwrap_or_default().nearby(near));
        }
    }

    /// From where, and how far.
    #[must_use]
    pub const fn near(&self) -> &Near {
        &self.near
    }

    /// The field with the position, where the stage names it.
    #[must_use]
    pub const fn key(&self) -> Option<&Path> {
        self.key.as_ref()
    }

    pub(super) fn set_key(&mut self, key: &Path) {
        if self.key.is_none() {
            self.key = Some(key.clone());
            self.set_condition();
        }
    }

    pub(super) const fn set_led(&mut self) {
        self.led = true;
    }

    /// What every document has to meet, where that is known: the query, and to be near.
    pub(super) const fn condition(&self) -> Option<&Filter> {
        self.condition.as_ref()
    }

    /// How many of the nearest get through, where the stage says so itself.
    pub(super) fn most(&self) -> Option<u64> {
        self.most.map(|most| most as u64)
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        match &self.key {
            Some(key) => needs.add(key.first()),
            None => needs.add_all(),
        }
        if let Some(filter) = &self.filter {
            filter.needs(needs);
        }
        needs.add_path(&self.distance);
        self.location.iter().for_each(|path| needs.add_path(path));
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        lazily(move || {
            let Some(key) = &self.key else {
                return Err(Error::new(
                    code::INDEX_NOT_FOUND,
                    "$geoNear requires a 2d or 2dsphere index, but none were found",
                ));
            };
            let most = self.most.unwrap_or(usize::MAX);
            let measured = input.filter_map(move |document| {
                document
                    .and_then(|document| self.measure(document, key, environment))
                    .transpose()
            });
            if self.led {
                let shown = measured.map(|found| Ok(self.show(found?)));
                return Ok(Box::new(shown.take(most)));
            }
            let mut held = Held::new("$geoNear", environment.memory);
            let mut found = Vec::new();
            for measured in measured {
                let measured = measured?;
                held.add_bytes(document_size(&measured.document))?;
                found.push(measured);
            }
            found.sort_by(|left, right| left.distance.total_cmp(&right.distance));
            Ok(Box::new(
                found.into_iter().take(most).map(|found| Ok(self.show(found))),
            ))
        })
    }

    /// How far away a document is, if it is one of those that are asked for.
    fn measure(
        &self,
        document: Document,
        key: &Path,
        environment: Environment<'_>,
    ) -> Result<Option<MeasuredDocument>> {
        if let Some(filter) = &self.filter
            && !filter.matches(&document, environment.variables, environment.context)?
        {
            return Ok(None);
        }
        Ok(self
            .nearest(&document, key)
            .map(|(distance, location)| MeasuredDocument {
                document,
                distance,
                location,
            }))
    }

    /// The document with its distance in it.
    fn show(&self, found: MeasuredDocument) -> Document {
        let mut document = found.document;
        let distance = Bson::Double(found.distance * self.multiplier);
        set_path(&mut document, self.distance.parts(), distance);
        if let Some(path) = &self.location {
            set_path(&mut document, path.parts(), found.location);
        }
        document
    }

    /// The least distance of a position in the document, and that position where it is asked for.
    fn nearest(&self, document: &Document, key: &Path) -> Option<(f64, Bson)> {
        let (distance, position) = self.near.nearest(document, key)?;
        let location = if self.location.is_some() {
            position.clone()
        } else {
            Bson::Null
        };
        Some((distance, location))
    }
}

/// A document with its distance, and the position that is so far away.
struct MeasuredDocument {
    document: Document,
    distance: f64,
    location: Bson,
}

fn number(value: &Bson) -> Option<f64> {
    Number::of(value).map(Number::to_f64)
}
