#![allow(clippy::unwrap_used)]

use bson::{Bson, bson, doc};

use super::{FieldKind, Index};
use crate::key::{Direction, of, push};

#[test]
fn an_entry_for_each_element() {
    let index = Index::new(&[("a", Direction::Ascending)]).unwrap();
    let keys = |document| index.entries(&document).unwrap();
    let of_values = |values: &[Bson]| values.iter().map(of).collect::<Vec<_>>();
    assert_eq!(keys(doc! {"a": [3, 1, 3]}).keys, of_values(&[bson!(1), bson!(3)]));
    assert!(keys(doc! {"a": [3]}).multikey && !keys(doc! {"a": 3}).multikey);
    assert_eq!(keys(doc! {"a": []}).keys, of_values(&[Bson::Undefined]));
    assert_eq!(keys(doc! {}).keys, of_values(&[Bson::Null]));
    let sparse = Index {
        sparse: true,
        ..index.clone()
    };
    assert_eq!(sparse.entries(&doc! {}).unwrap().keys, Vec::<Vec<u8>>::new());
    assert_eq!(sparse.entries(&doc! {"a": null}).unwrap().keys.len(), 1);
}

#[test]
fn compound_keys_stand_behind_one_another() {
    let index = Index::new(&[("a", Direction::Ascending), ("b.c", Direction::Descending)]).unwrap();
    let mut key = of(&bson!(1));
    push(&mut key, &bson!("x"), Direction::Descending);
    assert_eq!(
        index.entries(&doc! {"a": 1, "b": {"c": "x"}}).unwrap().keys,
        [key]
    );
    assert_eq!(
        index
            .entries(&doc! {"a": [1, 2], "b": [{"c": 1}, {"c": 2}, {}]})
            .unwrap()
            .keys
            .len(),
        6
    );
    // Fields below one array have the values of one element.
    let shared = Index::new(&[("a.b", Direction::Ascending), ("a.c", Direction::Ascending)]).unwrap();
    let of_pairs = |pairs: &[[Bson; 2]]| {
        pairs
            .iter()
            .map(|[b, c]| [of(b), of(c)].concat())
            .collect::<Vec<_>>()
    };
    let document = doc! {"a": [{"b": 1, "c": 2}, {"b": 2, "c": 1}, {"c": [3, 4]}, 5]};
    let pairs = [
        [Bson::Null, Bson::Null],
        [Bson::Null, bson!(3)],
        [Bson::Null, bson!(4)],
        [bson!(1), bson!(2)],
        [bson!(2), bson!(1)],
    ];
    let entries = shared.entries(&document).unwrap();
    assert_eq!(entries.keys, of_pairs(&pairs));
    assert!(entries.multikey);
    let values = |at: usize| shared.values(&document, &entries.keys[at]);
    assert_eq!(values(3), Some(doc! {"a.b": 1, "a.c": 2}));
    assert_eq!(values(0), Some(doc! {"a.b": null, "a.c": null}));
    assert_eq!(
        shared.values(&document, &of_pairs(&[[bson!(1), bson!(1)]])[0]),
        None
    );
    let elements: Vec<_> = (0..1000).map(|n| bson!({"b": n, "c": n})).collect();
    assert_eq!(shared.entries(&doc! {"a": elements}).unwrap().keys.len(), 1000);
    let old = Index {
        crossed: true,
        ..shared
    };
    assert_eq!(
        old.entries(&doc! {"a": [{"b": 1, "c": 2}, {"b": 2, "c": 1}]})
            .unwrap()
            .keys
            .len(),
        4
    );
    let many: Vec<i32> = (0..1000).collect();
    assert!(
        index
            .entries(&doc! {"a": many.clone(), "b": {"c": many}})
            .is_err()
    );
}

#[test]
fn positions_have_cells() {
    let index = Index::new(&[("at", FieldKind::Sphere)]).unwrap();
    let point =
        |longitude: f64, latitude: f64| doc! {"at": {"type": "Point", "coordinates": [longitude, latitude]}};
    let entries = |document| index.entries(&document).unwrap();
    assert_eq!(entries(point(121.5, 31.2)).keys.len(), 1);
    assert_eq!(entries(point(121.5, 31.2)), entries(doc! {"at": [121.5, 31.2]}));
    assert_ne!(entries(point(121.5, 31.2)), entries(point(121.51, 31.2)));
    assert_eq!(entries(doc! {"at": [[1, 2], [3, 4]]}).keys.len(), 2);
    assert!(entries(doc! {"at": [[1, 2], [3, 4]]}).multikey);
    for without in [
        doc! {},
        doc! {"at": null},
        doc! {"at": "here"},
        doc! {"at": [500, 0]},
    ] {
        assert!(entries(without).keys.is_empty());
    }
    let line = doc! {"at": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}};
    assert!((1..=8).contains(&entries(line).keys.len()));
}

#[test]
fn arrays_beside_each_other_are_refused() {
    let index = Index::new(&[
        ("a.b", Direction::Ascending),
        ("a.c", Direction::Descending),
        ("d", Direction::Ascending),
    ])
    .unwrap();
    for admitted in [
        doc! {},
        doc! {"a": [{"b": 1, "c": 2}, {"b": [3, 4]}, {"c": [5]}, 6], "d": 7},
        doc! {"a": {"b": [1], "c": 2}, "d": {"x": [1]}},
        doc! {"a": [], "d": 1},
        doc! {"d": [1, 2]},
    ] {
        assert!(index.admit(&admitted).is_ok(), "{admitted}");
    }
    for refused in [
        doc! {"a": [{"b": 1}], "d": [1]},
        doc! {"a": {"b": [1], "c": [1]}},
        doc! {"a": [{"b": 1}, {"b": [1], "c": [2]}]},
        doc! {"a": [], "d": []},
    ] {
        let error = index.admit(&refused).unwrap_err();
        assert_eq!(error.code, 171, "{refused}");
        assert!(error.message.contains("parallel arrays"), "{error}");
    }
    let only = Index::new(&[("a", Direction::Ascending)]).unwrap();
    assert!(only.admit(&doc! {"a": [1], "b": [2]}).is_ok());
}

#[test]
fn what_has_no_place_is_not_admitted_among_places() {
    let index = Index::new(&[
        ("at", FieldKind::Sphere),
        ("n", FieldKind::from(Direction::Ascending)),
    ])
    .unwrap();
    let at = |at: Bson| doc! {"at": at, "n": 1};
    for admitted in [
        Bson::Null,
        bson!([]),
        bson!([121.5, 31.2]),
        bson!([[1, 2], [3, 4]]),
        bson!({"lng": 121.5, "lat": 31.2}),
        bson!({"type": "Point", "coordinates": [180, -90]}),
        bson!({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}),
        bson!([{"type": "Point", "coordinates": [1, 1]}]),
    ] {
        assert!(index.admit(&at(admitted.clone())).is_ok(), "{admitted}");
    }
    assert!(index.admit(&doc! {"n": 1}).is_ok());
    for refused in [
        bson!("here"),
        bson!(5),
        bson!([500, 0]),
        bson!({"lng": 10, "lat": 91}),
        bson!({"type": "Point", "coordinates": [200, 100]}),
        bson!({"type": "Point", "coordinates": [1]}),
        bson!({"type": "Somewhere", "coordinates": [1, 2]}),
        bson!({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}),
        bson!([{"type": "Point", "coordinates": [1, 1]}, "there"]),
    ] {
        let error = index.admit(&at(refused.clone())).unwrap_err();
        assert_eq!(error.code, 16755, "{refused}");
        assert!(error.message.contains("Can't extract geo keys"), "{error}");
    }
}
