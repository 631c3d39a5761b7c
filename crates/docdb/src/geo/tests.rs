#![expect(clippy::expect_used, reason = "a test may fail here")]

use bson::{Bson, bson, doc};
use proptest::prelude::*;

use super::{EARTH_RADIUS, Intersects, Near, Within};
use crate::expr::tests::any_value;

fn point(longitude: f64, latitude: f64) -> Bson {
    bson!({"type": "Point", "coordinates": [longitude, latitude]})
}

fn square(half: f64) -> Bson {
    bson!([
        [-half, -half],
        [half, -half],
        [half, half],
        [-half, half],
        [-half, -half]
    ])
}

#[test]
fn distances_are_metres_on_the_sphere() {
    let near = Near::parse("$near", &doc! {"$near": {"$geometry": point(0.0, 0.0)}}).expect("parsed");
    let degree = near.distance(&point(0.0, 1.0)).expect("near");
    assert!((degree - EARTH_RADIUS.to_radians()).abs() < 1e-6, "{degree}");
    let line = bson!({"type": "LineString", "coordinates": [[-5, 1], [5, 1]]});
    assert!(near.distance(&line).expect("near") < degree * 1.01);
    let polygon = bson!({"type": "Polygon", "coordinates": [square(2.0)]});
    assert_eq!(near.distance(&polygon), Some(0.0));
    assert_eq!(near.distance(&bson!("no place")), None);
    let far =
        doc! {"$near": {"$geometry": point(0.0, 0.0), "$minDistance": 100_000, "$maxDistance": 200_000}};
    let far = Near::parse("$near", &far).expect("parsed");
    assert!(far.distance(&point(0.0, 1.0)).is_some());
    assert_eq!(far.distance(&point(0.0, 0.5)), None);
    assert_eq!(far.distance(&point(0.0, 2.0)), None);
}

#[test]
fn a_polygon_is_the_smaller_area_whichever_way_it_runs() {
    let reversed = bson!([[-2, -2], [-2, 2], [2, 2], [2, -2], [-2, -2]]);
    for ring in [square(2.0), reversed.clone()] {
        let within =
            Within::parse(&bson!({"$geometry": {"type": "Polygon", "coordinates": [ring]}})).expect("parsed");
        assert!(within.contains(&point(1.0, 1.0)));
        assert!(!within.contains(&point(3.0, 1.0)));
        assert!(!within.contains(&point(-179.0, -1.0)));
    }
    let strict = bson!({"type": "name", "properties": {"name": "urn:x-mongodb:crs:strictwinding:EPSG:4326"}});
    let rest = bson!({"$geometry": {"type": "Polygon", "coordinates": [reversed], "crs": strict}});
    let rest = Within::parse(&rest).expect("parsed");
    assert!(!rest.contains(&point(1.0, 1.0)));
    assert!(rest.contains(&point(3.0, 1.0)));
    assert!(rest.contains(&point(-179.0, -1.0)));
}

#[test]
fn holes_are_outside_and_edges_are_great_circles() {
    let ring = bson!({"$geometry": {"type": "Polygon", "coordinates": [square(10.0), square(5.0)]}});
    let within = Within::parse(&ring).expect("parsed");
    assert!(within.contains(&point(7.0, 0.0)));
    assert!(!within.contains(&point(0.0, 0.0)));
    let wide = bson!([[-60, 40], [60, 40], [60, 50], [-60, 50], [-60, 40]]);
    let wide =
        Within::parse(&bson!({"$geometry": {"type": "Polygon", "coordinates": [wide]}})).expect("parsed");
    // The lower edge bulges to the north of 45 degrees in its middle.
    assert!(!wide.contains(&point(0.0, 45.0)));
    assert!(wide.contains(&point(0.0, 60.0)));
}

#[test]
fn shapes_meet_where_they_touch() {
    let line = bson!({"$geometry": {"type": "LineString", "coordinates": [[-1, 0], [1, 0]]}});
    let line = Intersects::parse(&line).expect("parsed");
    assert!(line.meets(&point(0.0, 0.0)));
    assert!(line.meets(&bson!([1, 0])));
    assert!(!line.meets(&point(0.0, 0.001)));
    assert!(line.meets(&bson!({"type": "LineString", "coordinates": [[0, -1], [0, 1]]})));
    assert!(line.meets(&bson!({"type": "Polygon", "coordinates": [square(20.0)]})));
    assert!(!line.meets(&bson!({"type": "Polygon", "coordinates": []})));
    // Areas that have a border in common do not meet.
    let area = |west: i32| bson!({"type": "Polygon", "coordinates": [[[west, 0], [west + 9, 0], [west + 9, 9], [west, 9], [west, 0]]]});
    let first = Intersects::parse(&bson!({"$geometry": area(0)})).expect("parsed");
    assert!(first.meets(&area(0)));
    assert!(first.meets(&area(8)));
    assert!(!first.meets(&area(9)));
}

#[test]
fn legacy_shapes_lie_on_the_plane() {
    let within = |shape: Bson| Within::parse(&shape).expect("parsed");
    assert!(within(bson!({"$box": [[0, 0], [2, 2]]})).contains(&bson!([2, 1])));
    assert!(within(bson!({"$center": [[0, 0], 5]})).contains(&bson!({"lng": 3, "lat": 4})));
    assert!(!within(bson!({"$polygon": [[0, 0], [4, 0], [0, 4]]})).contains(&bson!([3, 3])));
    assert!(within(bson!({"$centerSphere": [[0, 0], 0.02]})).contains(&point(1.0, 0.0)));
    assert!(
        !within(bson!({"$box": [[0, 0], [2, 2]]}))
            .contains(&bson!({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}))
    );
}

#[test]
fn what_is_no_geometry_is_refused() {
    let refused = |geometry: Bson| Intersects::parse(&bson!({"$geometry": geometry})).is_err();
    assert!(refused(point(181.0, 0.0)));
    assert!(refused(
        bson!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]})
    ));
    assert!(refused(
        bson!({"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]})
    ));
    assert!(refused(
        bson!({"type": "Polygon", "coordinates": [square(1.0), square(2.0)]})
    ));
    assert!(refused(bson!({"type": "Circle", "coordinates": [0, 0]})));
    assert!(Within::parse(&bson!({"$geometry": point(0.0, 0.0)})).is_err());
    assert!(
        Near::parse(
            "$near",
            &doc! {"$near": {"$geometry": point(0.0, 0.0), "$maxDistance": -1}}
        )
        .is_err()
    );
}

fn any_geometry() -> impl Strategy<Value = Bson> {
    let number = prop_oneof![
        -200.0..200.0_f64,
        Just(0.0),
        Just(90.0),
        Just(180.0),
        Just(-180.0)
    ];
    let pair = prop::collection::vec(number, 0..3).prop_map(|numbers| bson!(numbers));
    let line = prop::collection::vec(pair.clone(), 0..5).prop_map(Bson::Array);
    let rings = prop::collection::vec(line.clone(), 0..3).prop_map(Bson::Array);
    let names = vec![
        "Point",
        "MultiPoint",
        "LineString",
        "MultiLineString",
        "Polygon",
        "MultiPolygon",
    ];
    (
        prop::sample::select(names),
        prop_oneof![pair, line, rings, any_value()],
    )
        .prop_map(|(name, coordinates)| bson!({"type": name, "coordinates": coordinates}))
}

proptest! {
    #[test]
    fn nothing_panics(one in any_geometry(), other in any_geometry()) {
        if let Ok(intersects) = Intersects::parse(&bson!({"$geometry": one.clone()})) {
            let _ = intersects.meets(&other);
        }
        if let Ok(within) = Within::parse(&bson!({"$geometry": one.clone()})) {
            let _ = within.contains(&other);
        }
        if let Ok(near) = Near::parse("$near", &doc! {"$near": {"$geometry": one}}) {
            let _ = near.distance(&other);
        }
    }
}
