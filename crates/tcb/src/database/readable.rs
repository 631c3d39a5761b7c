//! What stands in a document and an SDK cannot read, put so that it can. An SDK reads an answer whole or not at all: its parser of
//! Extended JSON and its `Geo` classes throw at what they do not take, and one such value in one document, which any client may have
//! written, would keep a collection from everybody. What is stored stays as it is.

use std::borrow::Cow;

use bson::{Binary, Bson, Document, RawArray, RawBsonRef, RawDocument, RawDocumentBuf, spec::BinarySubtype};

/// Names by which Extended JSON says a type, of which the SDKs' parser takes some values and throws at others.
const TYPES: [&str; 14] = [
    "$binary",
    "$dbPointer",
    "$maxKey",
    "$minKey",
    "$numberDecimal",
    "$numberDouble",
    "$numberInt",
    "$numberLong",
    "$oid",
    "$regex",
    "$regularExpression",
    "$symbol",
    "$timestamp",
    "$uuid",
];
/// Bytes of a UUID.
const UUID: usize = 16;

/// The document as every SDK can read it, nearly always as it is. An ObjectId is its 24 hex digits: the SDKs make an object without members of
/// it, and of a query by that one for all documents. Of a regular expression the flags that no SDK takes are left out; a
/// UUID that is none is plain bytes; a place that the `Geo` classes refuse has its coordinates as an object, `{"0": 500, "1": 1}`,
/// which makes it no place; the `$` of a name that would be read as a type is `＄`.
#[must_use]
pub fn readable(document: &RawDocument) -> Cow<'_, RawDocument> {
    if is_plain(document) {
        return Cow::Borrowed(document);
    }
    let Ok(mut owned) = Document::try_from(document) else {
        return Cow::Borrowed(document);
    };
    let mut changed = false;
    mend(&mut owned, &mut changed);
    match RawDocumentBuf::try_from(&owned) {
        Ok(mended) if changed => Cow::Owned(mended),
        _ => Cow::Borrowed(document),
    }
}

/// Whether nothing in it needs a closer look.
fn is_plain(document: &RawDocument) -> bool {
    document.iter().flatten().all(|(name, value)| {
        let name = name.as_str();
        name != "coordinates" && !name.starts_with('$') && is_plain_value(value)
    })
}

fn is_plain_value(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Document(document) => is_plain(document),
        RawBsonRef::Array(array) => is_plain_array(array),
        RawBsonRef::ObjectId(_) => false,
        RawBsonRef::RegularExpression(regex) => regex.options.as_str().chars().all(is_taken),
        RawBsonRef::Binary(binary) => binary.subtype != BinarySubtype::Uuid || binary.bytes.len() == UUID,
        _ => true,
    }
}

fn is_plain_array(array: &RawArray) -> bool {
    array.into_iter().flatten().all(is_plain_value)
}

/// Whether the SDKs take a flag of a regular expression.
fn is_taken(flag: char) -> bool {
    matches!(flag, 'i' | 'l' | 'm' | 's' | 'u' | 'x')
}

fn mend(document: &mut Document, changed: &mut bool) {
    let misread = |name: &str, value: &Bson| match (name, value) {
        // A query that a program keeps.
        ("$regex", Bson::String(_)) => match document.get("$options") {
            None | Some(Bson::Null) => false,
            Some(Bson::String(options)) => !options.chars().all(is_taken),
            Some(_) => true,
        },
        (name, _) => TYPES.contains(&name),
    };
    if document.iter().any(|(name, value)| misread(name, value)) {
        *changed = true;
        *document = std::mem::take(document)
            .into_iter()
            .map(|(name, value)| match name.strip_prefix('$') {
                Some(rest) => (format!("＄{rest}"), value),
                None => (name, value),
            })
            .collect();
    }
    for (_, value) in document.iter_mut() {
        mend_value(value, changed);
    }
}

fn mend_value(value: &mut Bson, changed: &mut bool) {
    match value {
        Bson::Document(document) => {
            if is_refused_place(document)
                && let Some(coordinates) = document.get_mut("coordinates")
                && let Bson::Array(all) = std::mem::replace(coordinates, Bson::Null)
            {
                let numbered = all.into_iter().enumerate();
                let numbered: Document = numbered.map(|(at, one)| (at.to_string(), one)).collect();
                *coordinates = numbered.into();
                *changed = true;
            }
            mend(document, changed);
        }
        Bson::Array(values) => values.iter_mut().for_each(|value| mend_value(value, changed)),
        Bson::RegularExpression(regex) => {
            let options: String = regex
                .options
                .as_str()
                .chars()
                .filter(|flag| is_taken(*flag))
                .collect();
            if options.len() < regex.options.as_str().len()
                && let Ok(options) = options.try_into()
            {
                regex.options = options;
                *changed = true;
            }
        }
        Bson::ObjectId(id) => {
            *value = Bson::String(id.to_hex());
            *changed = true;
        }
        Bson::Binary(Binary { subtype, bytes }) if *subtype == BinarySubtype::Uuid && bytes.len() != UUID => {
            *subtype = BinarySubtype::Generic;
            *changed = true;
        }
        _ => {}
    }
}

/// What the classes of the SDKs see in coordinates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A place.
    Place,
    /// No place, and so an object like any other.
    Object,
    /// They throw.
    Refused,
}

/// Whether the SDKs throw at a document, as the constructors of `Geo` and the `validate` of each do.
fn is_refused_place(document: &Document) -> bool {
    let (Ok(kind), Ok(coordinates)) = (document.get_str("type"), document.get_array("coordinates")) else {
        return false;
    };
    let seen = match kind {
        "Point" => match seen_in_point(coordinates.first(), coordinates.get(1)) {
            Seen::Object => Seen::Refused,
            seen => seen,
        },
        "MultiPoint" => seen_in_points(coordinates, 1),
        "LineString" => seen_in_points(coordinates, 2),
        "MultiLineString" => seen_in_all(coordinates, |line| seen_in_points(line, 2)),
        "Polygon" => seen_in_polygon(coordinates),
        // It looks at nothing but the numbers, and has each polygon made then.
        "MultiPolygon" => seen_in_all(coordinates, |polygon| seen_in_all(polygon, seen_in_ring)),
        _ => return false,
    };
    seen == Seen::Refused
}

fn seen_in_point(longitude: Option<&Bson>, latitude: Option<&Bson>) -> Seen {
    let (Some(longitude), Some(latitude)) = (longitude.and_then(number), latitude.and_then(number)) else {
        return Seen::Object;
    };
    match longitude.abs() > 180.0 || latitude.abs() > 90.0 {
        true => Seen::Refused,
        false => Seen::Place,
    }
}

/// The first that is no point decides; where all are, there must be so many, each on the globe.
fn seen_in_points(points: &[Bson], least: usize) -> Seen {
    let mut seen = if points.len() < least {
        Seen::Refused
    } else {
        Seen::Place
    };
    for point in points {
        let (longitude, latitude) = match point {
            Bson::Null | Bson::Undefined => return Seen::Refused,
            Bson::Array(pair) => (pair.first(), pair.get(1)),
            Bson::Document(pair) => (pair.get("0"), pair.get("1")),
            _ => (None, None),
        };
        match seen_in_point(longitude, latitude) {
            Seen::Object => return Seen::Object,
            Seen::Refused => seen = Seen::Refused,
            Seen::Place => {}
        }
    }
    seen
}

/// Of a list of lists: one that is no list is refused, as is none at all.
fn seen_in_all(lists: &[Bson], inner: impl Fn(&[Bson]) -> Seen) -> Seen {
    let mut seen = if lists.is_empty() {
        Seen::Refused
    } else {
        Seen::Place
    };
    for list in lists {
        let Bson::Array(list) = list else {
            return Seen::Refused;
        };
        match inner(list) {
            Seen::Object => return Seen::Object,
            Seen::Refused => seen = Seen::Refused,
            Seen::Place => {}
        }
    }
    seen
}

/// A line of a polygon that has been seen to hold points: it must end where it begins.
fn seen_in_ring(line: &[Bson]) -> Seen {
    match seen_in_points(line, 2) {
        Seen::Place if !is_closed(line) => Seen::Refused,
        seen => seen,
    }
}

/// A polygon's lines are looked at for whether they end where they begin before they are for points.
fn seen_in_polygon(lines: &[Bson]) -> Seen {
    let open = lines.iter().find_map(|line| match line {
        Bson::Array(line) if is_list(line.first()) && is_list(line.last()) => {
            (!is_closed(line)).then_some(Seen::Object)
        }
        _ => Some(Seen::Refused),
    });
    open.unwrap_or_else(|| seen_in_all(lines, |line| seen_in_points(line, 2)))
}

fn is_list(point: Option<&Bson>) -> bool {
    matches!(point, Some(Bson::Array(_)))
}

fn is_closed(line: &[Bson]) -> bool {
    let ends = |point: Option<&Bson>| {
        let pair = point.and_then(Bson::as_array)?;
        Some((pair.first().and_then(number)?, pair.get(1).and_then(number)?))
    };
    ends(line.first()) == ends(line.last())
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bson::{Regex, bson, doc};

    use super::*;

    fn place(kind: &str, coordinates: Bson) -> Document {
        doc! { "_id": "p", "at": [{ "type": kind, "coordinates": coordinates }] }
    }

    fn given(document: &Document) -> Document {
        let raw = RawDocumentBuf::try_from(document).unwrap();
        Document::try_from(&*readable(&raw)).unwrap()
    }

    #[test]
    fn what_the_sdks_read_stays_as_it_is() {
        for (kind, coordinates) in [
            ("Point", bson!([113.5, -23])),
            ("Point", bson!({"longitude": 500})),
            ("MultiPoint", bson!([[1, 2]])),
            ("LineString", bson!([[1, 2], [3, 4]])),
            // Of points in another form they make no place.
            ("LineString", bson!([{"latitude": 1, "longitude": 500}])),
            ("MultiLineString", bson!([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])),
            ("Polygon", bson!([[[0, 0], [0, 1], [1, 1], [0.0, 0]]])),
            ("Polygon", bson!([[[0, 0], [0, 1], [1, 1]]])),
            ("MultiPolygon", bson!([[[[0, 0], [0, 1], [1, 1], [0, 0]]]])),
            ("Somewhere", bson!([500, 1])),
        ] {
            let document = place(kind, coordinates);
            assert_eq!(given(&document), document);
        }
        let document = doc! {
            "kept": { "$regex": "^a", "$options": "i" }, "name": Regex { pattern: "a".try_into().unwrap(), options: "im".try_into().unwrap() },
            "id": Binary { subtype: BinarySubtype::Uuid, bytes: vec![0; 16] }, "type": "Point", "coordinates": [500, 1],
        };
        assert_eq!(given(&document), document);
    }

    #[test]
    fn places_that_the_sdks_refuse_are_none() {
        for (kind, coordinates) in [
            ("Point", bson!([500, 1])),
            ("Point", bson!([1, -91])),
            ("Point", bson!([])),
            ("Point", bson!(["1", "2"])),
            ("MultiPoint", bson!([])),
            ("MultiPoint", bson!([[1, 2], [181, 2]])),
            ("LineString", bson!([[1, 2]])),
            ("LineString", bson!([null, null])),
            ("LineString", bson!([{"0": 500, "1": 1}, [1, 2]])),
            ("MultiLineString", bson!([])),
            ("MultiLineString", bson!([7])),
            ("MultiLineString", bson!([[[1, 2]]])),
            ("Polygon", bson!([])),
            ("Polygon", bson!([[]])),
            ("Polygon", bson!([[[0, 0]]])),
            ("Polygon", bson!([{"latitude": 1, "longitude": 2}])),
            ("Polygon", bson!([[[0, 0], [0, 100], [0, 0]]])),
            ("MultiPolygon", bson!([[]])),
            ("MultiPolygon", bson!([[[[0, 0], [0, 1], [1, 1]]]])),
        ] {
            let document = place(kind, coordinates.clone());
            let mended = given(&document);
            let at = mended.get_array("at").unwrap()[0].as_document().unwrap();
            let numbered: Vec<Bson> = at
                .get_document("coordinates")
                .unwrap()
                .iter()
                .map(|(_, one)| one.clone())
                .collect();
            assert_eq!(Bson::Array(numbered), coordinates, "{kind}");
        }
    }

    #[test]
    fn an_object_id_is_given_as_its_digits() {
        let id = bson::oid::ObjectId::parse_str("5fe06c4a7877e500019b7c59").unwrap();
        let document = doc! { "_id": id, "by": [{ "id": id }] };
        let digits = id.to_hex();
        let mended = doc! { "_id": &digits, "by": [{ "id": &digits }] };
        assert_eq!(given(&document), mended);
    }

    #[test]
    fn flags_bytes_and_names_that_the_sdks_refuse_are_given_otherwise() {
        let regex = |options: &str| Regex {
            pattern: "a".try_into().unwrap(),
            options: options.try_into().unwrap(),
        };
        let document = doc! {
            "a": [{ "b": regex("gi") }], "c": Binary { subtype: BinarySubtype::Uuid, bytes: vec![0] },
            "d": { "$oid": "zz" }, "e": { "$timestamp": 5 }, "f": { "$regex": "a", "$options": "g" }, "g": { "$regex": 5 },
        };
        let mended = doc! {
            "a": [{ "b": regex("i") }], "c": Binary { subtype: BinarySubtype::Generic, bytes: vec![0] },
            "d": { "＄oid": "zz" }, "e": { "＄timestamp": 5 }, "f": { "＄regex": "a", "＄options": "g" }, "g": { "＄regex": 5 },
        };
        assert_eq!(given(&document), mended);
    }
}
