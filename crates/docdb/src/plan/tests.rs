#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, DateTime, Document, bson, doc, oid::ObjectId};
use proptest::prelude::*;

use super::{Access, Plan, Range};
use crate::{
    Context,
    expr::Variables,
    index::{FieldKind, Index},
    key::Direction::{self, Ascending, Descending},
    query::Filter,
    sort::Sort,
};

fn index(fields: &[(&str, Direction)]) -> Index {
    Index::new(fields).unwrap()
}

fn plan(query: &Document, sort: &Document, indexes: &[Index]) -> Plan {
    let sort = (!sort.is_empty()).then(|| Sort::parse(sort).unwrap());
    Plan::new(&Filter::parse(query).unwrap(), sort.as_ref(), Some(20), indexes)
}

/// The index that is taken, how many ranges, if reversed, if sorted, if exact.
fn shape(plan: &Plan) -> (usize, usize, bool, bool, bool) {
    let Access::Index(scan) = &plan.access else {
        panic!("{plan:?}");
    };
    (
        scan.index,
        scan.ranges.len(),
        scan.reverse,
        plan.sorted,
        plan.exact,
    )
}

#[test]
fn equality_range_and_order() {
    let indexes = [
        index(&[("_id", Ascending)]),
        index(&[("status", Ascending), ("time", Descending)]),
        index(&[("time", Ascending)]),
    ];
    let none = doc! {};
    assert_eq!(
        shape(&plan(&doc! {"_id": 1, "status": "a"}, &none, &indexes)),
        (0, 1, false, false, false)
    );
    assert_eq!(
        shape(&plan(&doc! {"_id": 1}, &none, &indexes)),
        (0, 1, false, false, true)
    );
    assert_eq!(
        shape(&plan(&doc! {"status": "a"}, &doc! {"time": -1}, &indexes)),
        (1, 1, false, true, true)
    );
    assert_eq!(
        shape(&plan(&doc! {"status": "a"}, &doc! {"time": 1}, &indexes)),
        (1, 1, true, true, true)
    );
    assert_eq!(
        shape(&plan(
            &doc! {"status": "a", "time": {"$gt": 1, "$lt": 9}},
            &doc! {"time": -1},
            &indexes
        )),
        (1, 1, false, true, true)
    );
    assert_eq!(
        shape(&plan(
            &doc! {"status": {"$in": ["a", "b"]}},
            &doc! {"time": -1},
            &indexes
        )),
        (1, 2, false, true, true)
    );
    assert_eq!(
        shape(&plan(&doc! {"time": {"$gte": 5}}, &doc! {"time": -1}, &indexes)),
        (2, 1, true, true, true)
    );
    assert_eq!(
        shape(&plan(&doc! {}, &doc! {"time": -1}, &indexes)),
        (2, 1, true, true, true)
    );
    assert_eq!(plan(&doc! {"other": 1}, &none, &indexes).access, Access::Scan);
    assert_eq!(
        plan(&doc! {"_id": {"$in": []}}, &none, &indexes).access,
        Access::Nothing
    );
    assert_eq!(
        plan(&doc! {"status": {"$ne": 1}}, &none, &indexes).access,
        Access::Scan
    );
    // The other way round, both fields.
    assert_eq!(
        shape(&plan(&doc! {}, &doc! {"status": -1, "time": 1}, &indexes)),
        (1, 1, true, true, true)
    );
    assert_eq!(
        plan(&doc! {}, &doc! {"status": 1, "time": 1}, &indexes).access,
        Access::Scan
    );
}

#[test]
fn a_point_is_one_value_and_no_beginning_of_several() {
    let indexes = [index(&[("_id", Ascending)])];
    let points = |query: Document| {
        let Access::Index(scan) = plan(&query, &doc! {}, &indexes).access else {
            return None;
        };
        Some(scan.ranges.iter().map(Range::is_point).collect::<Vec<bool>>())
    };
    let id = ObjectId::from_bytes([0xff; 12]);
    assert_eq!(points(doc! {"_id": "a\0b"}), Some(vec![true]));
    assert_eq!(
        points(doc! {"_id": {"$in": ["a", "", 5, id]}}),
        Some(vec![true; 4])
    );
    assert_eq!(points(doc! {"_id": {"$gte": 7, "$lte": 7}}), Some(vec![true]));
    for several in [
        doc! {"_id": {"$regex": "^a"}},
        doc! {"_id": {"$gte": ""}},
        doc! {"_id": {"$lt": 5}},
        doc! {"_id": {"$type": "string"}},
    ] {
        let points = points(several.clone());
        assert!(points.is_none_or(|points| !points.contains(&true)), "{several}");
    }
}

#[test]
fn or_prefixes_and_elements() {
    let indexes = [
        index(&[("a", Ascending)]),
        index(&[("b", Descending)]),
        index(&[("c.d", Ascending)]),
    ];
    let none = doc! {};
    let or = plan(&doc! {"$or": [{"a": 1}, {"b": {"$lt": 5}}]}, &none, &indexes);
    assert!(
        matches!(&or.access, Access::Union(scans) if scans.len() == 2),
        "{or:?}"
    );
    assert_eq!(
        plan(&doc! {"$or": [{"a": 1}, {"x": 5}]}, &none, &indexes).access,
        Access::Scan
    );
    // With a stored pattern.
    assert_eq!(
        shape(&plan(&doc! {"a": {"$regex": "^ab"}}, &none, &indexes)),
        (0, 2, false, false, false)
    );
    let mut multikey = indexes;
    multikey[0].multikey = true;
    multikey[2].multikey = true;
    // Different elements may meet them: one of the two, and a test.
    let both = plan(&doc! {"a": {"$gt": 5, "$lt": 3}}, &none, &multikey);
    assert_eq!(shape(&both), (0, 1, false, false, false));
    let element = plan(
        &doc! {"a": {"$elemMatch": {"$gt": 5, "$lt": 3}}},
        &none,
        &multikey,
    );
    assert!(
        matches!(&element.access, Access::Index(scan) if scan.ranges.is_empty()),
        "{element:?}"
    );
    assert_eq!(
        shape(&plan(
            &doc! {"c": {"$elemMatch": {"d": 1, "e": 2}}},
            &none,
            &multikey
        )),
        (2, 1, false, false, false)
    );
    assert!(!plan(&doc! {"a": {"$gt": 5}}, &doc! {"a": 1}, &multikey).sorted);
    assert!(plan(&doc! {}, &doc! {"a": 1}, &multikey).sorted);
}

#[test]
fn ranges_are_merged_where_what_follows_gives_the_order() {
    let indexes = [index(&[("a", Ascending), ("b", Ascending), ("c", Descending)])];
    let merged = |query: Document, sort: Document| {
        let plan = plan(&query, &sort, &indexes);
        let scan = match &plan.access {
            Access::Index(scan) => Some(scan),
            Access::Union(scans) => scans.first(),
            _ => None,
        };
        let merge = scan.and_then(|scan| scan.merge.clone());
        assert!(merge.is_none() || plan.sorted);
        (merge, plan.sorted)
    };
    let of = |number: i32| crate::key::of(&number.into()).len();
    let few = || doc! {"a": {"$in": [1, 2, 1000]}};
    assert_eq!(
        merged(few(), doc! {"b": 1}),
        (Some(vec![of(1), of(2), of(1000)]), true)
    );
    assert!(merged(few(), doc! {"b": -1, "c": 1}).1);
    assert_eq!(merged(few(), doc! {"b": 1, "c": 1}), (None, false));
    assert_eq!(merged(few(), doc! {"a": 1, "b": 1}), (None, true));
    assert_eq!(merged(few(), doc! {"c": 1}), (None, false));
    let both = doc! {"a": {"$in": [1, 2]}, "b": {"$in": [3, 4]}};
    assert_eq!(merged(both, doc! {"b": 1}).0.unwrap().len(), 4);
    let ranged = doc! {"a": {"$in": [1, 2]}, "b": {"$gt": 3}};
    assert_eq!(merged(ranged, doc! {"b": 1}).0.unwrap().len(), 2);
    let either = doc! {"$or": [{"a": 1}, {"a": 2, "b": 3}]};
    assert_eq!(merged(either.clone(), doc! {"b": 1}).0.unwrap(), [of(1), of(2)]);
    assert_eq!(merged(either, doc! {"c": 1}), (None, false));
    let many: Vec<i32> = (0..1000).collect();
    assert_eq!(merged(doc! {"a": {"$in": many}}, doc! {"b": 1}), (None, false));
}

#[test]
fn an_or_is_exact_only_where_nothing_stands_beside_it() {
    let indexes = [index(&[("a", Ascending)])];
    let or = doc! {"$or": [{"a": 1}, {"a": {"$gt": 5}}]};
    assert!(plan(&or, &doc! {}, &indexes).exact);
    let mut beside = or;
    beside.insert("b", doc! {"$size": 1});
    assert!(!plan(&beside, &doc! {}, &indexes).exact);
}

#[test]
fn sparse_indexes_know_nothing_of_what_is_missing() {
    let sparse = [Index {
        sparse: true,
        ..index(&[("a", Ascending)])
    }];
    assert_eq!(plan(&doc! {"a": null}, &doc! {}, &sparse).access, Access::Scan);
    assert_eq!(plan(&doc! {}, &doc! {"a": 1}, &sparse).access, Access::Scan);
    assert_eq!(shape(&plan(&doc! {"a": 1}, &doc! {}, &sparse)).0, 0);
}

/// What a plan finds among documents, in its order, each document once.
fn run(plan: &Plan, indexes: &[Index], documents: &[Document]) -> Vec<usize> {
    let mut found = Vec::new();
    let scans = match &plan.access {
        Access::Scan => return (0..documents.len()).collect(),
        Access::Nothing => return found,
        Access::Index(scan) => std::slice::from_ref(scan),
        Access::Union(scans) => scans.as_slice(),
    };
    for scan in scans {
        let mut entries: Vec<(Vec<u8>, usize)> = Vec::new();
        for (at, document) in documents.iter().enumerate() {
            entries.extend(
                indexes[scan.index]
                    .entries(document)
                    .unwrap()
                    .keys
                    .into_iter()
                    .map(|key| (key, at)),
            );
        }
        entries.sort();
        // What they are ordered by, and which document they are of.
        let mut walked: Vec<(&[u8], usize)> = Vec::new();
        for (number, range) in scan.ranges.iter().enumerate() {
            let begin = scan.merge.as_ref().map_or(0, |begins| begins[number]);
            let within = entries
                .iter()
                .filter(|(key, _)| range.start <= *key && (range.end.is_empty() || *key < range.end));
            walked.extend(within.map(|(key, at)| (&key[begin..], *at)));
        }
        walked.sort();
        if scan.reverse {
            walked.reverse();
        }
        for (_, at) in walked {
            if !found.contains(&at) {
                found.push(at);
            }
        }
    }
    found
}

fn value() -> impl Strategy<Value = Bson> {
    let scalar = prop_oneof![
        Just(Bson::Null),
        (0..4).prop_map(Bson::Int32),
        (0..4_i64).prop_map(Bson::Int64),
        prop_oneof![Just(f64::NAN), Just(1.5), Just(2.0), Just(f64::INFINITY)].prop_map(Bson::Double),
        "[ab]{0,2}".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
    ];
    scalar.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            inner.prop_map(|inner| bson!({"x": inner})),
        ]
    })
}

fn condition() -> impl Strategy<Value = Bson> {
    prop_oneof![
        value().prop_filter("no document of operators", |value| !matches!(
            value,
            Bson::Document(_)
        )),
        (
            prop_oneof![
                Just("$gt"),
                Just("$gte"),
                Just("$lt"),
                Just("$lte"),
                Just("$eq"),
                Just("$ne")
            ],
            value()
        )
            .prop_map(|(operator, value)| bson!({operator: value})),
        (value(), value()).prop_map(|(low, high)| bson!({"$gte": low, "$lt": high})),
        (value(), value()).prop_map(|(low, high)| bson!({"$elemMatch": {"$gte": low, "$lt": high}})),
        proptest::collection::vec(value(), 0..3).prop_map(|values| bson!({"$in": values})),
        any::<bool>().prop_map(|exists| bson!({"$exists": exists})),
        "[ab]{0,2}".prop_map(|prefix| bson!({"$regex": format!("^{prefix}")})),
    ]
}

fn query() -> impl Strategy<Value = Document> {
    let field = prop_oneof![Just("a"), Just("b"), Just("a.x")];
    let fields = proptest::collection::vec((field, condition()), 0..3)
        .prop_map(|fields| {
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Document>()
        })
        .boxed();
    (fields.clone(), proptest::collection::vec(fields, 0..3)).prop_map(|(mut query, branches)| {
        if !branches.is_empty() {
            query.insert("$or", branches);
        }
        query
    })
}

fn document() -> impl Strategy<Value = Document> {
    (proptest::option::of(value()), proptest::option::of(value())).prop_map(|(a, b)| {
        let mut document = Document::new();
        if let Some(a) = a {
            document.insert("a", a);
        }
        if let Some(b) = b {
            document.insert("b", b);
        }
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever the plan, it finds what a scan finds, in the order that a sort gives.
    #[test]
    fn a_plan_finds_what_a_scan_finds(
        documents in proptest::collection::vec(document(), 0..12),
        query in query(),
        sort in prop_oneof![Just(doc! {}), Just(doc! {"a": 1}), Just(doc! {"a": -1, "b": 1}), Just(doc! {"b": -1}), Just(doc! {"a.x": 1})],
        sparse in any::<bool>(),
    ) {
        let context = Context::new(DateTime::from_millis(0), 1);
        let filter = Filter::parse(&query).unwrap();
        let sort = (!sort.is_empty()).then(|| Sort::parse(&sort).unwrap());
        let mut indexes = vec![
            index(&[("a", Ascending), ("b", Descending)]),
            index(&[("b", Descending)]),
            index(&[("a.x", Ascending)]),
            index(&[("b", Ascending), ("a", Ascending)]),
        ];
        indexes[1].sparse = sparse;
        // What is in an index has no arrays beside each other.
        let admitted = |document: &Document| indexes.iter().all(|index| index.admit(document).is_ok());
        let documents: Vec<Document> = documents.into_iter().filter(admitted).collect();
        for index in &mut indexes {
            index.multikey = documents.iter().any(|document| index.entries(document).unwrap().multikey);
        }
        for count in 0..=indexes.len() {
            let indexes = &indexes[indexes.len() - count..];
            let plan = Plan::new(&filter, sort.as_ref(), Some(10), indexes);
            let meets = |at: &usize| filter.matches(&documents[*at], &Variables::none(), &context).unwrap();
            for document in &documents {
                let raw = bson::RawDocumentBuf::try_from(document).unwrap();
                if let Some(met) = filter.matches_raw(raw.as_bytes(), &context) {
                    prop_assert_eq!(met, filter.matches(document, &Variables::none(), &context).unwrap());
                }
            }
            let found = run(&plan, indexes, &documents);
            if plan.exact {
                prop_assert!(found.iter().all(meets), "not exact: {:?}", plan);
            }
            let found: Vec<usize> = found.into_iter().filter(meets).collect();
            let mut once = found.clone();
            once.sort_unstable();
            let wanted: Vec<usize> = (0..documents.len()).filter(meets).collect();
            prop_assert_eq!(once, wanted, "{:?}", plan);
            if let Some(sort) = sort.as_ref().filter(|_| plan.sorted) {
                let keys: Vec<Vec<u8>> = found.iter().map(|at| sort.key(&documents[*at], &context).unwrap()).collect();
                prop_assert!(keys.is_sorted(), "not sorted: {:?}", plan);
            }
        }
    }
}

/// `b` and `c` below `a`, in documents, in arrays and in arrays of arrays.
fn below() -> impl Strategy<Value = Document> {
    let scalar = prop_oneof![
        4 => (0..4_i32).prop_map(Bson::from),
        1 => Just(Bson::Null),
        1 => proptest::collection::vec((0..4_i32).prop_map(Bson::from), 0..3).prop_map(Bson::from),
    ];
    let pair = (proptest::option::of(scalar.clone()), proptest::option::of(scalar)).prop_map(|(b, c)| {
        let named = [("b", b), ("c", c)].into_iter();
        Bson::Document(
            named
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        )
    });
    let element = prop_oneof![8 => pair.clone(), 1 => Just(Bson::Int32(1)), 1 => Just(bson!([{"b": 1}]))];
    let inner = prop_oneof![
        1 => pair,
        3 => proptest::collection::vec(element, 0..4).prop_map(Bson::from),
    ];
    prop_oneof![
        3 => inner.clone().prop_map(|a| doc! {"a": a}),
        1 => proptest::collection::vec(inner.prop_map(|a| bson!({"a": a})), 0..3).prop_map(|o| doc! {"o": o}),
    ]
}

fn query_below(above: &'static str) -> impl Strategy<Value = Document> {
    let test = prop_oneof![
        (0..4_i32).prop_map(|n| bson!(n)),
        (0..4_i32).prop_map(|n| bson!({"$gte": n})),
        (0..4_i32, 0..4_i32).prop_map(|(from, to)| bson!({"$gt": from, "$lt": to})),
        (0..4_i32).prop_map(|n| bson!({"$in": [n, null]})),
        Just(bson!({"$exists": false})),
        Just(Bson::Null),
    ];
    (
        proptest::option::of(test.clone()),
        proptest::option::of(test),
        any::<bool>(),
    )
        .prop_map(move |(b, c, element)| {
            let name = |name: &str| match element {
                true => name.to_owned(),
                false => format!("{above}.{name}"),
            };
            let named = [("b", b), ("c", c)].into_iter();
            let fields: Document = named
                .filter_map(|(field, test)| Some((name(field), test?)))
                .collect();
            match element {
                true => doc! {above: {"$elemMatch": fields}},
                false => fields,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// So it is below arrays, by element and as entries were made of old.
    #[test]
    fn a_plan_finds_what_a_scan_finds_below_arrays(
        documents in proptest::collection::vec(below(), 0..10),
        query in prop_oneof![3 => query_below("a"), 1 => query_below("o.a"), 1 => query_below("o").prop_map(|mut query| {
            // One element of the outer array, and paths of several parts below it.
            if let Ok(fields) = query.get_document_mut("o").and_then(|o| o.get_document_mut("$elemMatch")) {
                *fields = fields.iter().map(|(name, test)| (format!("a.{name}"), test.clone())).collect();
            }
            query
        })],
        sort in prop_oneof![
            Just(doc! {}),
            Just(doc! {"a.b": 1}),
            Just(doc! {"a.c": 1}),
            Just(doc! {"a.b": 1, "a.c": 1}),
            Just(doc! {"a.b": -1, "a.c": -1}),
            Just(doc! {"a.c": 1, "a.b": -1}),
        ],
        sparse in any::<bool>(),
        crossed in any::<bool>(),
        at in 0..4_usize,
    ) {
        let context = Context::new(DateTime::from_millis(0), 1);
        let filter = Filter::parse(&query).unwrap();
        let sort = (!sort.is_empty()).then(|| Sort::parse(&sort).unwrap());
        let mut indexes = vec![
            index(&[("a.b", Ascending), ("a.c", Ascending)]),
            index(&[("a.c", Ascending), ("a.b", Descending)]),
            index(&[("a.b", Ascending)]),
            index(&[("o.a.b", Ascending), ("o.a.c", Ascending)]),
        ];
        let mut index = indexes.swap_remove(at);
        let sortable = |document: &Document| sort.as_ref().is_none_or(|sort| sort.key(document, &context).is_ok());
        let documents: Vec<Document> =
            documents.into_iter().filter(|document| index.admit(document).is_ok() && sortable(document)).collect();
        index.sparse = sparse;
        index.crossed = crossed;
        index.multikey = documents.iter().any(|document| index.entries(document).unwrap().multikey);
        let indexes = [index];
        let plan = Plan::new(&filter, sort.as_ref(), Some(10), &indexes);
        let meets = |at: &usize| filter.matches(&documents[*at], &Variables::none(), &context).unwrap();
        let found = run(&plan, &indexes, &documents);
        if plan.exact {
            prop_assert!(found.iter().all(meets), "not exact: {:?}", plan);
        }
        let found: Vec<usize> = found.into_iter().filter(meets).collect();
        let mut once = found.clone();
        once.sort_unstable();
        let wanted: Vec<usize> = (0..documents.len()).filter(meets).collect();
        prop_assert_eq!(once, wanted, "{:?}", plan);
        if let Some(sort) = sort.as_ref().filter(|_| plan.sorted) {
            let keys: Vec<Vec<u8>> = found.iter().map(|at| sort.key(&documents[*at], &context).unwrap()).collect();
            prop_assert!(keys.is_sorted(), "not sorted: {:?}", plan);
        }
    }
}

fn position() -> impl Strategy<Value = Vec<f64>> {
    let longitude = prop_oneof![
        -180.0..=180.0,
        Just(180.0),
        Just(-180.0),
        179.9..180.0,
        -180.0..-179.9,
        -1.0..1.0
    ];
    let latitude = prop_oneof![-90.0..=90.0, Just(90.0), Just(-90.0), 89.9..90.0, -1.0..1.0];
    (longitude, latitude).prop_map(|(longitude, latitude)| vec![longitude, latitude])
}

fn place() -> impl Strategy<Value = Bson> {
    let near = |by: f64, start: Vec<f64>| {
        vec![
            (start[0] + by).clamp(-180.0, 180.0),
            (start[1] + by / 3.0).clamp(-90.0, 90.0),
        ]
    };
    prop_oneof![
        position().prop_map(|point| bson!({"type": "Point", "coordinates": point})),
        position().prop_map(Bson::from),
        (position(), 0.001..20.0_f64).prop_map(move |(start, by)| bson!({"type": "LineString", "coordinates": [start.clone(), near(by, start)]})),
        (position(), 0.01..20.0_f64).prop_map(move |(start, by)| {
            let across = vec![start[0], (start[1] + by).min(90.0)];
            bson!({"type": "Polygon", "coordinates": [[start.clone(), near(by, start.clone()), across, start]]})
        }),
        Just(bson!("nowhere")),
    ]
}

fn geo_query() -> impl Strategy<Value = Document> {
    let distance = prop_oneof![0.0..1000.0, 0.0..1_000_000.0, 0.0..25_000_000.0];
    prop_oneof![
        (position(), distance).prop_map(|(center, distance)| doc! {
            "at": {"$nearSphere": {"$geometry": {"type": "Point", "coordinates": center}, "$maxDistance": distance}}
        }),
        (position(), prop_oneof![0.0..0.001, 0.0..3.5])
            .prop_map(|(center, radius)| doc! {"at": {"$geoWithin": {"$centerSphere": [center, radius]}}}),
        place().prop_map(|geometry| doc! {"at": {"$geoIntersects": {"$geometry": geometry}}}),
        place().prop_map(|geometry| doc! {"at": {"$geoWithin": {"$geometry": geometry}}}),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn cells_hold_all_that_an_area_holds(places in proptest::collection::vec(place(), 0..12), query in geo_query(), kind in any::<bool>()) {
        let Ok(filter) = Filter::parse(&query) else { return Ok(()) };
        let documents: Vec<Document> = places.into_iter().map(|at| doc! {"k": 1, "at": at}).collect();
        let mut indexes = [Index::new(&[("at", FieldKind::Sphere)]).unwrap()];
        if kind {
            indexes[0] = Index::new(&[("k", FieldKind::Ordered(Ascending)), ("at", FieldKind::Sphere)]).unwrap();
        }
        indexes[0].multikey = documents.iter().any(|document| indexes[0].entries(document).unwrap().multikey);
        let context = Context::new(DateTime::from_millis(0), 1);
        let plan = Plan::new(&filter, None, None, &indexes);
        prop_assert!(!plan.exact);
        let meets = |at: &usize| filter.matches(&documents[*at], &Variables::none(), &context).unwrap();
        let mut found: Vec<usize> = run(&plan, &indexes, &documents).into_iter().filter(meets).collect();
        found.sort_unstable();
        let wanted: Vec<usize> = (0..documents.len()).filter(meets).collect();
        prop_assert_eq!(found, wanted, "{:?}", plan);
    }
}

#[test]
fn a_small_area_is_found_by_few_ranges() {
    let indexes =
        [Index::new(&[("city", FieldKind::Ordered(Ascending)), ("at", FieldKind::Sphere)]).unwrap()];
    let near = doc! {
        "city": "sh",
        "at": {"$nearSphere": {"$geometry": {"type": "Point", "coordinates": [121.5, 31.2]}, "$maxDistance": 1000}},
    };
    let near = plan(&near, &doc! {}, &indexes);
    assert!((1..=64).contains(&shape(&near).1), "{near:?}");
    // Without a condition on the place, what has none would be missed.
    assert_eq!(
        plan(&doc! {"city": "sh"}, &doc! {}, &indexes).access,
        Access::Scan
    );
    assert_eq!(
        plan(&doc! {"city": "sh", "at": [1, 2]}, &doc! {}, &indexes).access,
        Access::Scan
    );
}
