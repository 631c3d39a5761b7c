//! Positions and shapes on the earth: `$geoWithin`, `$geoIntersects`, `$near`, `$nearSphere`, `$geoNear`.
//!
//! A stored position is GeoJSON (longitude first) or a legacy pair of numbers. GeoJSON and what is named spherical lives on
//! the sphere: edges are great circles, a polygon is the smaller of the two areas that its ring bounds, distances are in
//! metres on a sphere of MongoDB's radius. The legacy shapes `$box`, `$center` and `$polygon` live on the plane. What is
//! stored and is no geometry meets no condition; a query with such is refused.

pub(crate) mod cells;
mod parse;
mod plane;
mod sphere;

use std::f64::consts::PI;

use bson::{Bson, Document};

use self::{
    cells::Cell,
    parse::Stored,
    plane::{Shape, planar_distance},
    sphere::{Cap, Geometry, Vector},
};
use crate::{
    Error,
    error::Result,
    order::Number,
    path::{Path, walk},
};

/// The earth's radius in metres, as MongoDB has it.
pub const EARTH_RADIUS: f64 = 6_378_100.0;

/// A parsed `$geoWithin`: what is stored has to lie wholly inside.
#[derive(Clone, Debug)]
pub struct Within {
    area: Area,
}

#[derive(Clone, Debug)]
enum Area {
    Polygons(Geometry),
    Cap(Cap),
    Plane(Shape),
}

impl Within {
    /// Parses `{$geometry: …}`, `{$centerSphere: …}`, `{$box: …}`, `{$center: …}` or `{$polygon: …}`.
    ///
    /// # Errors
    /// 2 where it is none of these, or not a shape.
    pub fn parse(operand: &Bson) -> Result<Self> {
        let Bson::Document(document) = operand else {
            return Err(Error::bad_value("$geoWithin requires an object with a shape"));
        };
        let mut area = None;
        for (name, value) in document {
            let parsed = match name.as_str() {
                "$geometry" => Area::Polygons(parse::area(value)?),
                "$centerSphere" => {
                    let (center, radius) = parse::circle(name, value)?;
                    Area::Cap(Cap::new(
                        Vector::of_degrees(center).ok_or_else(|| out_of_bounds("$centerSphere"))?,
                        radius,
                    ))
                }
                "$center" => {
                    let (center, radius) = parse::circle(name, value)?;
                    Area::Plane(Shape::Circle(center, radius))
                }
                "$box" => Area::Plane(parse::bounding_box(value)?),
                "$polygon" => Area::Plane(parse::planar_polygon(value)?),
                // Legacy clients say that a document counts once.
                "$uniqueDocs" => continue,
                other => {
                    return Err(Error::bad_value(format!(
                        "unknown geo specifier: {other} in $geoWithin"
                    )));
                }
            };
            if area.replace(parsed).is_some() {
                return Err(Error::bad_value("$geoWithin takes one shape"));
            }
        }
        area.map(|area| Self { area })
            .ok_or_else(|| Error::bad_value("$geoWithin requires a $geometry or a legacy shape"))
    }

    /// If a stored value is a geometry that lies inside.
    #[must_use]
    pub fn contains(&self, value: &Bson) -> bool {
        let Some(stored) = Stored::of(value) else {
            return false;
        };
        match &self.area {
            Area::Plane(shape) => stored.planar().is_some_and(|point| shape.contains(point)),
            Area::Cap(cap) => stored.spherical().is_some_and(|geometry| cap.contains(&geometry)),
            Area::Polygons(area) => stored
                .spherical()
                .is_some_and(|geometry| area.contains(&geometry)),
        }
    }
}

impl Within {
    /// Cells that cover the area; `None` where it is on the plane.
    pub(crate) fn cells(&self) -> Option<Vec<Cell>> {
        match &self.area {
            Area::Polygons(area) => Some(cells_of(area)),
            Area::Cap(cap) => Some(cells::of_asked(cap)),
            Area::Plane(_) => None,
        }
    }
}

fn cells_of(area: &Geometry) -> Vec<Cell> {
    area.bound()
        .map_or_else(|| vec![Cell::whole()], |cap| cells::of_asked(&cap))
}

/// The cells of a stored value on the sphere; of an array that is no pair, those of its elements.
pub(crate) fn stored_cells(value: &Bson) -> Vec<Cell> {
    match (Stored::of(value).and_then(|stored| stored.spherical()), value) {
        (Some(geometry), _) => match (geometry.points.as_slice(), geometry.bound()) {
            ([point], _) if geometry.lines.is_empty() && geometry.polygons.is_empty() => {
                vec![Cell::of_point(*point)]
            }
            (_, Some(cap)) => cells::of_stored(&cap),
            (_, None) => vec![Cell::whole()],
        },
        (None, Bson::Array(elements)) => elements
            .iter()
            .filter(|element| !matches!(element, Bson::Array(inner) if inner.iter().any(|inner| inner.as_array().is_some())))
            .flat_map(stored_cells)
            .collect(),
        (None, _) => Vec::new(),
    }
}

/// Whether a stored value is one that has a place: a geometry, a pair of numbers, or an array of such. Null and an empty array
/// have none, and are let through.
pub(crate) fn check_stored(value: &Bson) -> Result<()> {
    match (Stored::of(value), value) {
        (Some(stored), _) => stored.check(),
        (None, Bson::Null | Bson::Undefined) => Ok(()),
        (None, Bson::Array(elements)) => elements.iter().try_for_each(check_stored),
        (None, other) => Err(Error::bad_value(format!(
            "geo element must be a GeoJSON geometry or a pair of numbers, not {other}"
        ))),
    }
}

fn out_of_bounds(operator: &str) -> Error {
    Error::bad_value(format!("{operator}: longitude/latitude is out of bounds"))
}

/// A parsed `$geoIntersects`: what is stored has a point in common.
#[derive(Clone, Debug)]
pub struct Intersects {
    geometry: Geometry,
}

impl Intersects {
    /// Parses `{$geometry: …}`.
    ///
    /// # Errors
    /// 2 where it is none.
    pub fn parse(operand: &Bson) -> Result<Self> {
        let geometry = match operand {
            Bson::Document(document) if document.len() == 1 => document.get("$geometry"),
            _ => None,
        };
        let geometry = geometry
            .ok_or_else(|| Error::bad_value("$geoIntersects requires a $geometry and nothing else"))?;
        Ok(Self {
            geometry: parse::geometry(geometry)?,
        })
    }

    /// If a stored value is a geometry that has a point in common.
    #[must_use]
    pub fn meets(&self, value: &Bson) -> bool {
        Stored::of(value)
            .and_then(|stored| stored.spherical())
            .is_some_and(|geometry| self.geometry.meets(&geometry))
    }
}

impl Intersects {
    /// Cells that cover the geometry.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        cells_of(&self.geometry)
    }
}

/// How distances are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    Metres(Vector),
    Radians(Vector),
    Plane([f64; 2]),
}

/// A parsed `$near`, `$nearSphere` or `$geoNear`: a point, and how far things may be.
#[derive(Clone, Debug)]
pub struct Near {
    measure: Measure,
    least: f64,
    greatest: f64,
}

impl Near {
    /// Parses `$near` or `$nearSphere`, whichever `operator` is, from the operators of a field; `$minDistance` and
    /// `$maxDistance` may stand beside it or inside of it.
    ///
    /// # Errors
    /// 2 where it is none.
    pub fn parse(operator: &str, operators: &Document) -> Result<Self> {
        let spherical = operator == "$nearSphere";
        let mut least = operators.get("$minDistance");
        let mut greatest = operators.get("$maxDistance");
        let point = match operators.get(operator) {
            Some(Bson::Document(document)) if document.keys().any(|name| name.starts_with('$')) => {
                let mut point = None;
                for (name, value) in document {
                    match name.as_str() {
                        "$geometry" => point = Some(value),
                        "$minDistance" => least = Some(value),
                        "$maxDistance" => greatest = Some(value),
                        other => {
                            return Err(Error::bad_value(format!(
                                "invalid argument in {operator}: {other}"
                            )));
                        }
                    }
                }
                let point =
                    point.ok_or_else(|| Error::bad_value(format!("{operator} requires a $geometry")))?;
                return Self::new(
                    Measure::Metres(parse::near_point(operator, point)?),
                    least,
                    greatest,
                );
            }
            Some(point @ (Bson::Document(_) | Bson::Array(_))) => point,
            _ => {
                return Err(Error::bad_value(format!(
                    "{operator} requires a point, given as an object or array"
                )));
            }
        };
        Self::legacy(operator, point, spherical, least, greatest)
    }

    /// A `$geoNear` from `point`: GeoJSON, or a legacy pair, which is on the sphere where `spherical` says so.
    ///
    /// # Errors
    /// 2 where `point` is none, or a distance no number.
    pub fn of_point(
        point: &Bson,
        spherical: bool,
        least: Option<&Bson>,
        greatest: Option<&Bson>,
    ) -> Result<Self> {
        match point {
            Bson::Document(document)
                if document.contains_key("type") || document.contains_key("coordinates") =>
            {
                Self::new(
                    Measure::Metres(parse::near_point("$geoNear", point)?),
                    least,
                    greatest,
                )
            }
            _ => Self::legacy("$geoNear", point, spherical, least, greatest),
        }
    }

    fn legacy(
        operator: &str,
        point: &Bson,
        spherical: bool,
        least: Option<&Bson>,
        greatest: Option<&Bson>,
    ) -> Result<Self> {
        let pair = parse::pair(point)
            .ok_or_else(|| Error::bad_value(format!("{operator}: a point is two numbers")))?;
        let measure = if spherical {
            Measure::Radians(Vector::of_degrees(pair).ok_or_else(|| out_of_bounds(operator))?)
        } else {
            Measure::Plane(pair)
        };
        // The third number of a legacy point is how far.
        let third = match point {
            Bson::Array(numbers) => numbers.get(2),
            Bson::Document(numbers) => numbers.values().nth(2),
            _ => None,
        };
        Self::new(measure, least, greatest.or(third))
    }

    fn new(measure: Measure, least: Option<&Bson>, greatest: Option<&Bson>) -> Result<Self> {
        let distance = |value: Option<&Bson>, name: &str, default: f64| match value {
            None => Ok(default),
            Some(value) => Number::of(value)
                .map(Number::to_f64)
                .filter(|distance| *distance >= 0.0)
                .ok_or_else(|| Error::bad_value(format!("{name} must be a non-negative number"))),
        };
        Ok(Self {
            measure,
            least: distance(least, "$minDistance", 0.0)?,
            greatest: distance(greatest, "$maxDistance", f64::INFINITY)?,
        })
    }

    /// The distance of a stored value, if it is a geometry within the range: metres where the point is GeoJSON, else
    /// radians on the sphere or units of the plane.
    #[must_use]
    pub fn distance(&self, value: &Bson) -> Option<f64> {
        let stored = Stored::of(value)?;
        let distance = match self.measure {
            Measure::Metres(from) => stored.spherical()?.distance(from) * EARTH_RADIUS,
            Measure::Radians(from) => stored.spherical()?.distance(from),
            Measure::Plane(from) => planar_distance(from, stored.planar()?),
        };
        (distance >= self.least && distance <= self.greatest).then_some(distance)
    }

    /// The nearest position at a path of a document within the range, and its distance. A field may hold several.
    #[must_use]
    pub fn nearest<'d>(&self, document: &'d Document, path: &Path) -> Option<(f64, &'d Bson)> {
        let mut nearest: Option<(f64, &'d Bson)> = None;
        let mut look = |value: &'d Bson| {
            if let Some(distance) = self.distance(value)
                && nearest.is_none_or(|best| distance < best.0)
            {
                nearest = Some((distance, value));
            }
        };
        walk(document, path, &mut |value, _| {
            if let Some(value) = value {
                look(value);
                if let Bson::Array(elements) = value {
                    elements.iter().for_each(&mut look);
                }
            }
            false
        });
        nearest
    }

    /// Cells that cover everything within the range; `None` where the range has no end or is on the plane.
    pub(crate) fn cells(&self) -> Option<Vec<Cell>> {
        let (center, radius) = match self.measure {
            Measure::Metres(from) => (from, self.greatest / EARTH_RADIUS),
            Measure::Radians(from) => (from, self.greatest),
            Measure::Plane(_) => return None,
        };
        radius
            .is_finite()
            .then(|| cells::of_asked(&Cap::new(center, radius)))
    }

    /// The same, no farther than `distance`, in its own unit.
    #[must_use]
    pub fn within(&self, distance: f64) -> Self {
        Self {
            greatest: self.greatest.min(distance),
            ..self.clone()
        }
    }

    /// Ever larger areas around the point, until one holds everything within the range: for whoever wants the nearest few. `None` on
    /// the plane, which no index serves.
    #[must_use]
    pub fn rings(&self) -> Option<Rings> {
        let unit = match self.measure {
            Measure::Metres(_) => 1.0,
            Measure::Radians(_) => 1.0 / EARTH_RADIUS,
            Measure::Plane(_) => return None,
        };
        // A little more than half around, against rounding.
        let farthest = self.greatest.min(PI * EARTH_RADIUS * unit * 1.001);
        Some(Rings {
            radius: (FIRST_RING * unit).max(self.least * 1.5).min(farthest),
            farthest,
        })
    }

    /// If the distance is one on the sphere, which a `2dsphere` index serves.
    #[must_use]
    pub const fn is_spherical(&self) -> bool {
        !matches!(self.measure, Measure::Plane(_))
    }

    /// If the point is GeoJSON, so that distances are metres.
    #[must_use]
    pub const fn is_geojson(&self) -> bool {
        matches!(self.measure, Measure::Metres(_))
    }
}

/// Metres of the first area that the nearest are looked for in.
const FIRST_RING: f64 = 250.0;

/// Ever larger areas around a point.
#[derive(Clone, Debug)]
pub struct Rings {
    radius: f64,
    farthest: f64,
}

impl Rings {
    /// How far the area reaches.
    #[must_use]
    pub const fn radius(&self) -> f64 {
        self.radius
    }

    /// Goes on to a larger area, by how many were found in this one and how many are wanted; false where this one held everything.
    pub fn grow(&mut self, found: usize, wanted: usize) -> bool {
        if self.radius >= self.farthest {
            return false;
        }
        // As if they were spread evenly.
        let factor = (1.5 * wanted as f64 / found as f64).sqrt().clamp(1.5, 4.0);
        self.radius *= if found == 0 { 4.0 } else { factor };
        // With an eighth of the way around, most of the earth is asked for anyway.
        if self.radius > self.farthest / 8.0 {
            self.radius = self.farthest;
        }
        true
    }
}

#[cfg(test)]
mod tests;
