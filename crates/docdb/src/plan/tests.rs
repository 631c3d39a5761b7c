#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, DateTime, Document, bson, doc};
use proptest::prelude::*;

use super::{Access, Plan};
use crate::{
    Context,
    expr::Variables,
    index::Index,
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
        (1, 2, false, false, true)
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
        if scan.reverse {
            entries.reverse();
        }
        for (key, at) in entries {
            let within = scan
                .ranges
                .iter()
                .any(|range| range.start <= key && (range.end.is_empty() || key < range.end));
            if within && !found.contains(&at) {
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
        for index in &mut indexes {
            index.multikey = documents.iter().any(|document| index.entries(document).unwrap().multikey);
        }
        for count in 0..=indexes.len() {
            let indexes = &indexes[indexes.len() - count..];
            let plan = Plan::new(&filter, sort.as_ref(), Some(10), indexes);
            let meets = |at: &usize| filter.matches(&documents[*at], &Variables::none(), &context).unwrap();
            for document in &documents {
                let raw = bson::RawDocumentBuf::try_from(document).unwrap();
                if let Some(met) = filter.matches_raw(&raw, &context) {
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
                let keys: Vec<Vec<u8>> = found.iter().map(|at| sort.key(&documents[*at], &context)).collect();
                prop_assert!(keys.is_sorted(), "not sorted: {:?}", plan);
            }
        }
    }
}
