#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, DateTime, Document, bson, doc};
use proptest::prelude::*;

use super::Update;
use crate::{Context, error::Error, expr::Variables, order::equal, query::Filter};

fn context() -> Context {
    Context::new(DateTime::from_millis(1000), 1)
}

fn apply_with(
    document: &Document,
    query: &Document,
    update: &Document,
    filters: &[Document],
) -> Result<Option<Document>, Error> {
    let element = Filter::parse(query)?
        .find_element(document, &Variables::none(), &context())?
        .unwrap_or_else(|| panic!("{query} is not met by {document}"));
    Update::parse(update, filters)?.apply(document, element, &context())
}

fn apply(document: &Document, update: &Document) -> Document {
    apply_with(document, &doc! {}, update, &[])
        .unwrap_or_else(|error| panic!("{update}: {error}"))
        .unwrap_or_else(|| document.clone())
}

fn modified(document: &Document, update: &Document) -> bool {
    apply_with(document, &doc! {}, update, &[]).unwrap().is_some()
}

fn code(document: &Document, update: &Document) -> i32 {
    apply_with(document, &doc! {}, update, &[]).unwrap_err().code
}

/// As text, because a comparison of documents does not see the order of fields.
fn text(document: &Document) -> String {
    document.to_string()
}

#[test]
fn new_fields_stand_in_the_order_of_their_names() {
    let updated = apply(
        &doc! {"_id": 1, "z": 1},
        &doc! {"$set": {"b": 1, "a.10": 1, "a.9": 2}, "$inc": {"Z": 1}},
    );
    assert_eq!(
        text(&updated),
        text(&doc! {"_id": 1, "z": 1, "Z": 1, "a": {"9": 2, "10": 1}, "b": 1})
    );
    // A field that is there keeps its place.
    assert_eq!(
        text(&apply(&doc! {"_id": 1, "b": 1, "a": 1}, &doc! {"$set": {"b": 2}})),
        text(&doc! {"_id": 1, "b": 2, "a": 1})
    );
}

#[test]
fn paths_that_are_not_there() {
    assert_eq!(apply(&doc! {}, &doc! {"$set": {"a.0": 1}}), doc! {"a": {"0": 1}});
    assert_eq!(
        apply(&doc! {"a": [1]}, &doc! {"$set": {"a.3": 2}}),
        doc! {"a": [1, null, null, 2]}
    );
    assert_eq!(
        apply(&doc! {"a": [1, 2]}, &doc! {"$unset": {"a.0": ""}}),
        doc! {"a": [null, 2]}
    );
    assert_eq!(code(&doc! {"a": null}, &doc! {"$set": {"a.b": 1}}), 28);
    assert_eq!(code(&doc! {"a": [1]}, &doc! {"$set": {"a.b": 1}}), 28);
    assert!(!modified(&doc! {"a": 1}, &doc! {"$unset": {"a.b": ""}}));
    assert_eq!(code(&doc! {"a": []}, &doc! {"$set": {"a.99999999": 1}}), 2);
    let message = apply_with(&doc! {"a": Bson::Null}, &doc! {}, &doc! {"$set": {"a.b": 1}}, &[])
        .unwrap_err()
        .message;
    assert_eq!(message, "Cannot create field 'b' in element {a: null}");
}

#[test]
fn all_or_nothing() {
    let document = doc! {"a": 1, "b": "x"};
    assert_eq!(code(&document, &doc! {"$inc": {"a": 1, "b": 1}}), 14);
    assert_eq!(code(&document, &doc! {"$set": {"a": 1, "a.b": 2}}), 40);
    assert_eq!(code(&document, &doc! {"$set": {"a": 1}, "$inc": {"a": 2}}), 40);
    // What names elements of an array stands beside no field or index of it, whatever the document has.
    let beside = Update::parse(&doc! {"$set": {"l.$[].b": 1, "l.0.b": 2}}, &[]).unwrap_err();
    assert_eq!(
        (beside.code, beside.message.as_str()),
        (40, "Updating the path 'l.0.b' would create a conflict at 'l'")
    );
    assert_eq!(
        code(&document, &doc! {"$set": {"l.$[]": 1}, "$inc": {"l.x": 2}}),
        40
    );
    assert!(Update::parse(&doc! {"$set": {"l.$[].b": 1, "l.$[].c": 2, "l2.0": 3}}, &[]).is_ok());
}

#[test]
fn numbers_widen() {
    let inc = |current: Bson, by: Bson| {
        apply(&doc! {"n": current}, &doc! {"$inc": {"n": by}})
            .remove("n")
            .unwrap()
    };
    assert_eq!(inc(i32::MAX.into(), 1.into()), Bson::Int64(2_147_483_648));
    assert_eq!(inc(1_i64.into(), 1.into()), Bson::Int64(2));
    assert_eq!(inc(1.into(), 1.5.into()), Bson::Double(2.5));
    assert_eq!(code(&doc! {"n": i64::MAX}, &doc! {"$inc": {"n": 1}}), 2);
    assert_eq!(apply(&doc! {}, &doc! {"$mul": {"n": 5_i64}}), doc! {"n": 0_i64});
    assert_eq!(apply(&doc! {"n": "a"}, &doc! {"$max": {"n": 5}}), doc! {"n": "a"});
    assert_eq!(apply(&doc! {"n": "a"}, &doc! {"$min": {"n": 5}}), doc! {"n": 5});
    assert!(!modified(&doc! {"n": 1}, &doc! {"$inc": {"n": 0}}));
    assert!(!modified(&doc! {"n": 1}, &doc! {"$set": {"n": 1}}));
    assert!(modified(&doc! {"n": 1}, &doc! {"$set": {"n": 1.0}}));
    assert!(modified(
        &doc! {"n": {"a": 1, "b": 1}},
        &doc! {"$set": {"n": {"b": 1, "a": 1}}}
    ));
}

#[test]
fn arrays() {
    let push = |modifiers: Document| {
        apply(&doc! {"a": [1, 2, 3]}, &doc! {"$push": {"a": modifiers}})
            .remove("a")
            .unwrap()
    };
    assert_eq!(push(doc! {"$each": [9], "$position": 0}), bson!([9, 1, 2, 3]));
    assert_eq!(push(doc! {"$each": [9], "$position": -1}), bson!([1, 2, 9, 3]));
    assert_eq!(push(doc! {"$each": [9], "$position": -10}), bson!([9, 1, 2, 3]));
    assert_eq!(push(doc! {"$each": [9], "$slice": -2}), bson!([3, 9]));
    assert_eq!(push(doc! {"$each": [9], "$slice": 0}), bson!([]));
    assert_eq!(push(doc! {"$each": [0], "$sort": -1}), bson!([3, 2, 1, 0]));
    assert_eq!(push(doc! {"x": 1}), bson!([1, 2, 3, {"x": 1}]));
    let by_field = apply(
        &doc! {"a": [{"s": 3}, 7, {"s": 1}]},
        &doc! {"$push": {"a": {"$each": [{"s": 2}], "$sort": {"s": 1}}}},
    );
    assert_eq!(by_field, doc! {"a": [7, {"s": 1}, {"s": 2}, {"s": 3}]});
    // Exact equality: the order of fields counts, the type of a number does not.
    let set = apply(
        &doc! {"a": [1, {"x": 1, "y": 2}]},
        &doc! {"$addToSet": {"a": {"$each": [1.0, {"y": 2, "x": 1}, 5, 5]}}},
    );
    assert_eq!(set.get_array("a").unwrap().len(), 4);
    assert!(!modified(&doc! {"a": [1]}, &doc! {"$addToSet": {"a": 1.0}}));
    assert_eq!(
        apply(&doc! {"a": [1, 2]}, &doc! {"$pop": {"a": -1}}),
        doc! {"a": [2]}
    );
    assert_eq!(code(&doc! {"a": 1}, &doc! {"$pop": {"a": 1}}), 14);
    assert_eq!(
        apply(&doc! {"a": [1, 2, 1]}, &doc! {"$pullAll": {"a": [1.0]}}),
        doc! {"a": [2]}
    );
}

#[test]
fn pull_by_value_condition_and_fields() {
    assert_eq!(
        apply(&doc! {"a": [1, 5, 9]}, &doc! {"$pull": {"a": {"$gte": 5}}}),
        doc! {"a": [1]}
    );
    assert_eq!(
        apply(&doc! {"a": [1, 5, 1]}, &doc! {"$pull": {"a": 1}}),
        doc! {"a": [5]}
    );
    let items = doc! {"a": [{"x": 1, "y": 1}, {"x": 1, "y": 2}, 7]};
    assert_eq!(
        apply(&items, &doc! {"$pull": {"a": {"x": 1, "y": {"$gt": 1}}}}),
        doc! {"a": [{"x": 1, "y": 1}, 7]}
    );
    assert_eq!(
        apply(&doc! {"a": ["xa", "b"]}, &doc! {"$pull": {"a": {"$regex": "^x"}}}),
        doc! {"a": ["b"]}
    );
    assert_eq!(
        apply(&doc! {"a": [[1, 2], [3]]}, &doc! {"$pull": {"a": {"$in": [2]}}}),
        doc! {"a": [[3]]}
    );
}

#[test]
fn positional_operators() {
    let document = doc! {"_id": 1, "a": [{"k": 1, "n": 1}, {"k": 2, "n": 2}]};
    let updated = apply_with(&document, &doc! {"a.k": 2}, &doc! {"$inc": {"a.$.n": 10}}, &[])
        .unwrap()
        .unwrap();
    assert_eq!(
        updated,
        doc! {"_id": 1, "a": [{"k": 1, "n": 1}, {"k": 2, "n": 12}]}
    );
    let updated = apply(&document, &doc! {"$set": {"a.$[].n": 0}});
    assert_eq!(
        updated,
        doc! {"_id": 1, "a": [{"k": 1, "n": 0}, {"k": 2, "n": 0}]}
    );
    let updated = apply_with(
        &document,
        &doc! {},
        &doc! {"$set": {"a.$[e].n": 0}},
        &[doc! {"e.k": {"$gt": 1}}],
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        updated,
        doc! {"_id": 1, "a": [{"k": 1, "n": 1}, {"k": 2, "n": 0}]}
    );
    assert_eq!(code(&document, &doc! {"$set": {"a.$.n": 0}}), 2);
    assert_eq!(code(&document, &doc! {"$set": {"x.$[].n": 0}}), 2);
    assert_eq!(
        apply_with(&document, &doc! {}, &doc! {"$set": {"x": 0}}, &[doc! {"e": 1}])
            .unwrap_err()
            .code,
        9
    );
}

#[test]
fn rename_and_id() {
    assert_eq!(
        text(&apply(&doc! {"a": 1, "b": 2}, &doc! {"$rename": {"a": "c.d"}})),
        text(&doc! {"b": 2, "c": {"d": 1}})
    );
    assert!(!modified(&doc! {"b": 1}, &doc! {"$rename": {"a": "c"}}));
    assert_eq!(code(&doc! {"a": [{"b": 1}]}, &doc! {"$rename": {"a.b": "c"}}), 2);
    assert_eq!(code(&doc! {"a": 1}, &doc! {"$rename": {"a": "a.b"}}), 2);
    assert_eq!(code(&doc! {"a": {"b": 1}}, &doc! {"$rename": {"a.b": "a"}}), 2);
    assert_eq!(code(&doc! {"_id": 1}, &doc! {"$set": {"_id": 2}}), 66);
    assert_eq!(code(&doc! {"_id": 1}, &doc! {"$unset": {"_id": ""}}), 66);
    assert_eq!(code(&doc! {"_id": 1}, &doc! {"_id": 2, "x": 1}), 66);
    assert_eq!(
        apply(&doc! {"_id": 1, "a": 1}, &doc! {"b": 1}),
        doc! {"_id": 1, "b": 1}
    );
    assert_eq!(
        apply(&doc! {}, &doc! {"$currentDate": {"t": true}}),
        doc! {"t": DateTime::from_millis(1000)}
    );
}

#[test]
fn upserts_are_seeded_from_equalities() {
    let upsert = |query: Document, update: Document| {
        Update::parse(&update, &[])?.upsert(&Filter::parse(&query)?, &context())
    };
    assert_eq!(
        text(
            &upsert(
                doc! {"a.b": 1, "$and": [{"_id": 7}], "c": {"$gt": 1}, "d": {"$eq": 2}},
                doc! {"$inc": {"n": 1}, "$setOnInsert": {"e": 3}}
            )
            .unwrap()
        ),
        text(&doc! {"_id": 7, "a": {"b": 1}, "d": 2, "e": 3, "n": 1})
    );
    assert_eq!(
        upsert(doc! {"_id": 7, "x": 1}, doc! {"y": 1}).unwrap(),
        doc! {"_id": 7, "y": 1}
    );
    assert_eq!(
        upsert(doc! {"a": 1, "$and": [{"a": 2}]}, doc! {"$set": {"b": 1}})
            .unwrap_err()
            .code,
        54
    );
    assert_eq!(
        upsert(doc! {"_id": 7}, doc! {"$set": {"_id": 8}})
            .unwrap_err()
            .code,
        66
    );
}

#[test]
fn what_one_update_writes_is_bounded() {
    let many = doc! {"a": vec![0; 4000]};
    let text = "x".repeat(20_000);
    assert_eq!(
        code(&many, &doc! {"$set": {"a.$[]": text.as_str()}}),
        crate::error::code::OBJECT_TOO_LARGE
    );
    let arrays = doc! {"a": [], "b": []};
    assert!(modified(&arrays, &doc! {"$set": {"a.700000": 1, "b.700000": 1}}));
    assert_eq!(code(&arrays, &doc! {"$set": {"a.900000": 1, "b.900000": 1}}), 2);
}

/// However little there is in the document, and whatever an update makes of it.
#[test]
fn no_update_makes_a_document_larger_than_it_says() {
    let size = |document: &Document| document.to_vec().unwrap().len();
    let nulls = vec![Bson::Null; 2000];
    let decimal: bson::Decimal128 = "1E+100".parse().unwrap();
    for operators in [
        doc! {"$set": {"a": "x".repeat(100)}},
        doc! {"$set": {"a.b.c.d.e.f.g": 1, "b": {"x": [1, "2"]}, "c": Bson::Null}},
        doc! {"$set": {"list.200": 1}},
        doc! {"$set": {"list.20.30.a": 1, "n": "more"}},
        doc! {"$push": {"list": {"$each": nulls.clone(), "$position": 0}}},
        doc! {"$push": {"new.list": {"$each": nulls.clone(), "$sort": -1}}},
        doc! {"$addToSet": {"list": {"$each": (0..2000).collect::<Vec<_>>()}}},
        doc! {"$inc": {"n": 1_i64 << 40, "l": 1.5, "no": decimal}, "$mul": {"new.one.more": 2}},
        doc! {"$min": {"n": doc! {"a": []}, "m": 1}, "$max": {"l": "text"}},
        doc! {"$currentDate": {"at": true, "n": {"$type": "timestamp"}}},
        doc! {"$bit": {"n": {"or": 1_i64 << 40}, "new": {"and": 1}}},
        doc! {"$rename": {"list": "a.b.c.d.e.f", "n": "a much longer name"}},
        doc! {"$unset": {"list.0": "", "l": ""}},
        doc! {"$pull": {"list": {"$gt": 1}}, "$pop": {"no": 1}},
        doc! {"$pullAll": {"list": [1]}},
        doc! {"$setOnInsert": {"on": "insert"}},
    ] {
        let most = Update::parse(&operators, &[]).unwrap().most_growth().unwrap();
        for before in [
            doc! {"_id": 1},
            doc! {"_id": 1, "n": 1, "l": 2_i64, "list": [1, 2, 3]},
        ] {
            let Ok(after) = apply_with(&before, &doc! {}, &operators, &[]) else {
                continue;
            };
            let after = after.unwrap_or_else(|| before.clone());
            assert!(
                size(&after) <= size(&before) + most,
                "{operators}: {before} to {after}, within {most}"
            );
        }
    }
    let hangs = |operators: Document| Update::parse(&operators, &[doc! {"e": 1}]).ok()?.most_growth();
    assert_eq!(hangs(doc! {"$set": {"list.$[e]": 1}}), None);
    let all = Update::parse(&doc! {"$set": {"list.$[]": 1}}, &[]).unwrap();
    assert_eq!(all.most_growth(), None);
    let replacement = Update::parse(&doc! {"a": 1}, &[]).unwrap();
    assert_eq!(replacement.most_growth(), None);
    // What is as large as it was is not far from it, or else each small change would be looked at.
    let small = Update::parse(&doc! {"$set": {"read": true}, "$inc": {"n": 1}}, &[]).unwrap();
    assert!(small.most_growth().unwrap() < 100);
}

/// Values of which some are equal without being the same.
fn any_value() -> impl Strategy<Value = Bson> {
    let plain = prop_oneof![
        (0..4_i32).prop_map(Bson::Int32),
        (0..4_i64).prop_map(Bson::Int64),
        (-1..4_i32).prop_map(|number| Bson::Double(f64::from(number) / 2.0)),
        Just(Bson::Double(-0.0)),
        Just(Bson::Double(f64::NAN)),
        Just(Bson::Int64((1 << 53) + 1)),
        Just(Bson::Double(9_007_199_254_740_992.0)),
        Just(Bson::Null),
        "[ab]{0,2}".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
    ];
    plain.prop_recursive(2, 8, 3, |inner| {
        let fields = proptest::collection::vec(("[ab]", inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(Bson::Array),
            fields.prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn sets_are_what_comparing_each_with_each_makes_them(
        elements in proptest::collection::vec(any_value(), 0..12),
        values in proptest::collection::vec(any_value(), 0..12),
    ) {
        let document = doc! {"_id": 1, "l": elements.clone()};
        let mut added = elements.clone();
        for value in &values {
            if !added.iter().any(|element| equal(element, value)) {
                added.push(value.clone());
            }
        }
        let came = apply(&document, &doc! {"$addToSet": {"l": {"$each": values.clone()}}});
        prop_assert_eq!(text(&came), text(&doc! {"_id": 1, "l": added}));
        let mut left = elements;
        left.retain(|element| !values.iter().any(|value| equal(element, value)));
        let came = apply(&document, &doc! {"$pullAll": {"l": values}});
        prop_assert_eq!(text(&came), text(&doc! {"_id": 1, "l": left}));
    }
}

#[test]
fn many_values_are_not_compared_with_each_of_many_elements() {
    let many = |from: i32| (from..from + 20_000).map(Bson::Int32).collect::<Vec<_>>();
    let document = doc! {"_id": 1, "l": many(0)};
    for update in [
        doc! {"$addToSet": {"l": {"$each": many(0)}}},
        doc! {"$addToSet": {"l": {"$each": many(20_000)}}},
        doc! {"$pullAll": {"l": many(0)}},
        doc! {"$pullAll": {"l": many(20_000)}},
        doc! {"$pull": {"l": {"$in": many(20_000)}}},
    ] {
        let context = context();
        Update::parse(&update, &[])
            .unwrap()
            .apply(&document, None, &context)
            .unwrap();
        // Each element is looked up by halves: 15 comparisons, or 16.
        assert!(
            (1..=16 * 20_000).contains(&context.steps()),
            "{}",
            context.steps()
        );
    }
}

#[test]
fn what_compares_each_with_each_is_bounded() {
    let elements = (0..2_000).map(Bson::Int32).collect::<Vec<_>>();
    let document = doc! {"_id": 1, "l": elements};
    let conditions = |name: &str| -> Vec<Bson> {
        let each = (0..2_000).map(|n| Bson::Document(doc! {name: {"$gt": 5_000 + n}}));
        each.collect()
    };
    let fields: Vec<Document> = (0..2_000).map(|n| doc! {"a": n}).collect();
    let documents = doc! {"_id": 1, "l": fields};
    for (document, update, filters) in [
        (
            &document,
            doc! {"$set": {"l.$[x]": 1}},
            vec![doc! {"$or": conditions("x")}],
        ),
        (
            &documents,
            doc! {"$pull": {"l": {"$or": conditions("a")}}},
            vec![],
        ),
    ] {
        let update = Update::parse(&update, &filters).unwrap();
        let bounded = context().at_most(100_000);
        let error = update.apply(document, None, &bounded).unwrap_err();
        assert_eq!(error.code, crate::TOO_MUCH_WORK);
    }
}
