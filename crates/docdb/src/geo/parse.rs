//! From BSON to geometry: GeoJSON, and legacy pairs of numbers.

use bson::{Bson, Document};

use super::{
    plane::Shape,
    sphere::{Geometry, Polygon, Ring, Vector},
};
use crate::{Error, error::Result, order::Number};

/// More geometries in geometries are refused.
const DEPTH: usize = 20;
/// The area is on the side that the ring's direction says, even if it is the larger one.
const STRICT: &str = "urn:x-mongodb:crs:strictwinding:EPSG:4326";

fn number(value: &Bson) -> Option<f64> {
    Number::of(value)
        .map(Number::to_f64)
        .filter(|number| number.is_finite())
}

/// Two numbers: the first two of an array, or of the fields of a document.
pub(super) fn pair(value: &Bson) -> Option<[f64; 2]> {
    let mut numbers: Box<dyn Iterator<Item = &Bson> + '_> = match value {
        Bson::Array(elements) => Box::new(elements.iter()),
        Bson::Document(fields) => Box::new(fields.values()),
        _ => return None,
    };
    Some([number(numbers.next()?)?, number(numbers.next()?)?])
}

/// A stored value that has a place on the earth.
pub(super) struct Stored<'v> {
    value: &'v Bson,
    /// A pair of numbers, or a GeoJSON point.
    pair: Option<[f64; 2]>,
    geojson: bool,
}

impl<'v> Stored<'v> {
    pub(super) fn of(value: &'v Bson) -> Option<Self> {
        match value {
            Bson::Document(document) if document.contains_key("type") => Some(Self {
                value,
                pair: match document.get("type") {
                    Some(Bson::String(name)) if name == "Point" => document.get("coordinates").and_then(pair),
                    _ => None,
                },
                geojson: true,
            }),
            _ => Some(Self {
                value,
                pair: Some(pair(value)?),
                geojson: false,
            }),
        }
    }

    /// The place on the plane, of a point.
    pub(super) const fn planar(&self) -> Option<[f64; 2]> {
        self.pair
    }

    /// Whether it is a geometry on the sphere.
    pub(super) fn check(&self) -> Result<()> {
        match self.pair {
            Some(pair) => vector(pair).map(drop),
            None => geometry(self.value).map(drop),
        }
    }

    /// The geometry on the sphere.
    pub(super) fn spherical(&self) -> Option<Geometry> {
        match (self.pair, self.geojson) {
            (Some(pair), _) => Vector::of_degrees(pair).map(Geometry::of_point),
            (None, true) => geometry(self.value).ok(),
            (None, false) => None,
        }
    }
}

fn refused(message: impl std::fmt::Display) -> Error {
    Error::bad_value(format!("GeoJSON: {message}"))
}

/// A geometry of a query.
pub(super) fn geometry(value: &Bson) -> Result<Geometry> {
    match value {
        Bson::Document(document) if document.contains_key("type") || document.contains_key("coordinates") => {
            geojson(document, 0)
        }
        // A legacy point has two numbers and nothing else.
        Bson::Document(document) if document.len() == 2 => legacy(value),
        Bson::Array(_) => legacy(value),
        _ => Err(refused("$geometry must be a geometry")),
    }
}

fn legacy(value: &Bson) -> Result<Geometry> {
    let pair = pair(value).ok_or_else(|| refused("a point is two numbers"))?;
    vector(pair).map(Geometry::of_point)
}

fn vector(pair: [f64; 2]) -> Result<Vector> {
    Vector::of_degrees(pair).ok_or_else(|| {
        refused(format!(
            "longitude/latitude is out of bounds, lng: {} lat: {}",
            pair[0], pair[1]
        ))
    })
}

/// The geometry of a `$geoWithin`, which has an area.
pub(super) fn area(value: &Bson) -> Result<Geometry> {
    let geometry = geometry(value)?;
    if geometry.points.is_empty() && geometry.lines.is_empty() && !geometry.polygons.is_empty() {
        return Ok(geometry);
    }
    Err(Error::bad_value(
        "$geoWithin not supported with provided geometry: it must be a Polygon or MultiPolygon",
    ))
}

/// The point of a `$near`.
pub(super) fn near_point(operator: &str, value: &Bson) -> Result<Vector> {
    let refused = || Error::bad_value(format!("{operator} requires a point"));
    match value {
        Bson::Document(document) => {
            match document.get("type") {
                None => {}
                Some(Bson::String(name)) if name == "Point" => {}
                Some(_) => return Err(refused()),
            }
            check_crs(document)?;
            let coordinates = match document.get("coordinates") {
                Some(coordinates) => coordinates,
                None if document.contains_key("type") => return Err(refused()),
                None => value,
            };
            vector(pair(coordinates).ok_or_else(refused)?)
        }
        Bson::Array(_) => vector(pair(value).ok_or_else(refused)?),
        _ => Err(refused()),
    }
}

/// If the coordinate reference system is the strict one; refuses unknown ones.
fn check_crs(document: &Document) -> Result<bool> {
    let Some(crs) = document.get("crs") else {
        return Ok(false);
    };
    let name = crs
        .as_document()
        .filter(|crs| matches!(crs.get("type"), Some(Bson::String(kind)) if kind == "name"))
        .and_then(|crs| crs.get("properties")?.as_document()?.get("name")?.as_str());
    match name {
        Some("urn:ogc:def:crs:OGC:1.3:CRS84" | "EPSG:4326") => Ok(false),
        Some(STRICT) => Ok(true),
        Some(other) => Err(refused(format!("unknown CRS name: {other}"))),
        None => Err(refused(
            "crs must be an object with type 'name' and properties.name",
        )),
    }
}

fn geojson(document: &Document, depth: usize) -> Result<Geometry> {
    if depth > DEPTH {
        return Err(refused("collections nest too deep"));
    }
    let Some(Bson::String(name)) = document.get("type") else {
        return Err(refused("a geometry must have a type"));
    };
    let strict = check_crs(document)?;
    if strict && name != "Polygon" {
        return Err(refused(format!(
            "a strict winding order is only supported by Polygon, not {name}"
        )));
    }
    if name == "GeometryCollection" {
        let Some(Bson::Array(parts)) = document.get("geometries") else {
            return Err(refused("GeometryCollection geometries must be an array"));
        };
        if parts.is_empty() {
            return Err(refused(
                "GeometryCollection geometries must have at least 1 element",
            ));
        }
        let mut all = Geometry::default();
        for part in parts {
            let Bson::Document(part) = part else {
                return Err(refused("an element of geometries is no object"));
            };
            all.add(geojson(part, depth + 1)?);
        }
        return Ok(all);
    }
    let coordinates = document
        .get("coordinates")
        .ok_or_else(|| refused(format!("{name} must have coordinates")))?;
    let mut geometry = Geometry::default();
    match name.as_str() {
        "Point" => geometry.points.push(point(coordinates)?),
        "MultiPoint" => geometry.points = several(name, coordinates, point)?,
        "LineString" => geometry.lines.push(line(coordinates)?),
        "MultiLineString" => geometry.lines = several(name, coordinates, line)?,
        "Polygon" => geometry.polygons.push(polygon(coordinates, strict)?),
        "MultiPolygon" => {
            geometry.polygons = several(name, coordinates, |coordinates| polygon(coordinates, false))?;
        }
        other => return Err(refused(format!("unknown GeoJSON type: {other}"))),
    }
    Ok(geometry)
}

fn several<T>(name: &str, coordinates: &Bson, of: impl Fn(&Bson) -> Result<T>) -> Result<Vec<T>> {
    match coordinates {
        Bson::Array(elements) if !elements.is_empty() => elements.iter().map(of).collect(),
        _ => Err(refused(format!(
            "{name} coordinates must be an array of at least 1 element"
        ))),
    }
}

fn point(coordinates: &Bson) -> Result<Vector> {
    vector(pair(coordinates).ok_or_else(|| refused("Point must only contain numeric elements"))?)
}

fn line(coordinates: &Bson) -> Result<Vec<Vector>> {
    let mut points = several("LineString", coordinates, point)?;
    points.dedup();
    if points.len() < 2 {
        return Err(refused("LineString must have at least 2 different vertices"));
    }
    Ok(points)
}

fn polygon(coordinates: &Bson, strict: bool) -> Result<Polygon> {
    let mut rings = several("Polygon", coordinates, |coordinates| {
        let corners = several("a ring", coordinates, point)?;
        if corners.len() < 4 {
            return Err(refused("a ring must have at least 4 vertices"));
        }
        if corners.first() != corners.last() {
            return Err(refused(
                "a ring is not closed: its first vertex must equal its last",
            ));
        }
        Ring::new(corners, strict).map_err(refused)
    })?;
    if strict && rings.len() > 1 {
        return Err(refused("only one ring is allowed with a strict winding order"));
    }
    let holes = rings.split_off(1);
    match rings.pop() {
        Some(outer) => Polygon::new(outer, holes).map_err(refused),
        None => Err(refused("Polygon has no rings")),
    }
}

/// The elements of a legacy shape, which may be the fields of a document.
fn parts<'v>(operator: &str, value: &'v Bson) -> Result<Vec<&'v Bson>> {
    match value {
        Bson::Array(elements) => Ok(elements.iter().collect()),
        Bson::Document(fields) => Ok(fields.values().collect()),
        _ => Err(Error::bad_value(format!("{operator} must be an array or object"))),
    }
}

fn pair_of(operator: &str, value: &Bson) -> Result<[f64; 2]> {
    let count = match value {
        Bson::Array(elements) => elements.len(),
        Bson::Document(fields) => fields.len(),
        _ => 0,
    };
    pair(value)
        .filter(|_| count == 2)
        .ok_or_else(|| Error::bad_value(format!("{operator}: a point must be two numbers")))
}

/// A center and a radius.
pub(super) fn circle(operator: &str, value: &Bson) -> Result<([f64; 2], f64)> {
    match parts(operator, value)?.as_slice() {
        [center, radius] => {
            let radius = Number::of(radius)
                .map(Number::to_f64)
                .filter(|radius| *radius >= 0.0)
                .ok_or_else(|| {
                    Error::bad_value(format!("{operator}: the radius must be a non-negative number"))
                })?;
            Ok((pair_of(operator, center)?, radius))
        }
        _ => Err(Error::bad_value(format!(
            "{operator} must have a center and a radius"
        ))),
    }
}

/// Two corners, in any order.
pub(super) fn bounding_box(value: &Bson) -> Result<Shape> {
    match parts("$box", value)?.as_slice() {
        [one, other, ..] => {
            let (one, other) = (pair_of("$box", one)?, pair_of("$box", other)?);
            let of = |choose: fn(f64, f64) -> f64| [choose(one[0], other[0]), choose(one[1], other[1])];
            Ok(Shape::Box(of(f64::min), of(f64::max)))
        }
        _ => Err(Error::bad_value("$box must have two corners")),
    }
}

/// Three or more corners.
pub(super) fn planar_polygon(value: &Bson) -> Result<Shape> {
    let corners: Vec<[f64; 2]> = parts("$polygon", value)?
        .into_iter()
        .map(|corner| pair_of("$polygon", corner))
        .collect::<Result<_>>()?;
    if corners.len() < 3 {
        return Err(Error::bad_value("$polygon must have at least 3 points"));
    }
    Ok(Shape::Polygon(corners))
}
