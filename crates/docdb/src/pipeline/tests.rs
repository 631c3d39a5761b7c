#![expect(clippy::expect_used, reason = "a test may fail here")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bson::{Bson, DateTime, Document, bson, doc};
use proptest::prelude::*;

use super::{Collections, Documents, Environment, Leading, MEMORY, NoCollections, Pipeline};
use crate::{
    Context,
    error::Result,
    expr::{Needs, Variables, tests::any_value},
    query::Filter,
};

/// One other collection, `other`, read whole.
struct Other(Vec<Document>);

impl Collections for Other {
    fn read<'a>(&'a self, collection: &str, _: &Leading<'_>) -> Result<Documents<'a>> {
        let documents = if collection == "other" {
            self.0.as_slice()
        } else {
            &[]
        };
        Ok(Box::new(documents.iter().cloned().map(Ok)))
    }
}

fn list(stages: Bson) -> Vec<Bson> {
    match stages {
        Bson::Array(stages) => stages,
        other => vec![other],
    }
}

fn run_within(
    memory: usize,
    stages: Bson,
    input: Vec<Document>,
    other: Vec<Document>,
) -> Result<Vec<Document>> {
    let pipeline = Pipeline::parse(&list(stages))?;
    let context = Context::new(DateTime::from_millis(0), 5);
    let other = Other(other);
    let environment = Environment {
        context: &context,
        collections: &other,
        variables: &Variables::none(),
        memory,
    };
    pipeline
        .run(Box::new(input.into_iter().map(Ok)), environment)
        .collect()
}

fn run(stages: Bson, input: Vec<Document>) -> Result<Vec<Document>> {
    run_within(MEMORY, stages, input, Vec::new())
}

fn orders() -> Vec<Document> {
    vec![
        doc! {"_id": 1, "item": "a", "price": 3, "tags": ["x", "y"]},
        doc! {"_id": 2, "item": "b", "price": 5, "tags": []},
        doc! {"_id": 3, "item": "a", "price": 4},
        doc! {"_id": 4, "price": 1, "tags": "z"},
    ]
}

#[track_caller]
fn refuses(stages: Bson, code: i32) {
    assert_eq!(Pipeline::parse(&list(stages)).expect_err("refused").code, code);
}

#[test]
fn groups_by_missing_as_null() {
    let groups = run(
        bson!([{"$group": {"_id": "$item", "total": {"$sum": "$price"}, "first": {"$first": "$_id"}}}]),
        orders(),
    );
    assert_eq!(
        groups,
        Ok(vec![
            doc! {"_id": "a", "total": 7, "first": 1},
            doc! {"_id": "b", "total": 5, "first": 2},
            doc! {"_id": null, "total": 1, "first": 4},
        ])
    );
}

#[test]
fn unwinds_scalars_null_and_empty() {
    let unwound = |preserve: bool| {
        let stage = bson!([
            {"$unwind": {"path": "$tags", "includeArrayIndex": "at", "preserveNullAndEmptyArrays": preserve}},
            {"$project": {"tags": 1, "at": 1}},
        ]);
        run(stage, orders())
    };
    assert_eq!(
        unwound(false),
        Ok(vec![
            doc! {"_id": 1, "tags": "x", "at": 0_i64},
            doc! {"_id": 1, "tags": "y", "at": 1_i64},
            doc! {"_id": 4, "tags": "z", "at": null},
        ])
    );
    assert_eq!(unwound(true).expect("unwound").len(), 5);
}

#[test]
fn sorts_and_keeps_only_what_a_limit_lets_through() {
    let many: Vec<Document> = (0..2000)
        .map(|at| doc! {"_id": at, "n": (at * 7919) % 2003})
        .collect();
    let small = 20_000;
    let page = bson!([{"$sort": {"n": -1}}, {"$skip": 2}, {"$limit": 3}, {"$project": {"_id": 0}}]);
    assert_eq!(
        run_within(small, page, many.clone(), Vec::new()),
        Ok(vec![doc! {"n": 2000}, doc! {"n": 1999}, doc! {"n": 1998}])
    );
    let all = bson!([{"$sort": {"n": -1}}]);
    assert_eq!(
        run_within(small, all, many, Vec::new())
            .expect_err("too large")
            .code,
        292
    );
}

#[test]
fn counts_nothing_with_no_document() {
    assert_eq!(run(bson!([{"$count": "n"}]), orders()), Ok(vec![doc! {"n": 4}]));
    assert_eq!(
        run(bson!([{"$match": {"_id": 9}}, {"$count": "n"}]), orders()),
        Ok(Vec::new())
    );
}

#[test]
fn buckets_leave_out_the_empty_and_want_order() {
    let stage = bson!([{"$bucket": {"groupBy": "$price", "boundaries": [0, 2, 3, 10], "default": "other"}}]);
    assert_eq!(
        run(stage, orders()),
        Ok(vec![doc! {"_id": 0, "count": 1}, doc! {"_id": 3, "count": 3}])
    );
    refuses(
        bson!([{"$bucket": {"groupBy": "$price", "boundaries": [3, 2]}}]),
        40194,
    );
    let auto = bson!([{"$bucketAuto": {"groupBy": "$price", "buckets": 2}}]);
    assert_eq!(
        run(auto, orders()),
        Ok(vec![
            doc! {"_id": {"min": 1, "max": 4}, "count": 2},
            doc! {"_id": {"min": 4, "max": 5}, "count": 2},
        ])
    );
}

#[test]
fn bucket_borders_are_preferred_numbers() {
    let numbers: Vec<Document> = (0..100).map(|n| doc! {"n": n}).collect();
    let bounds = |granularity: &str| {
        let stage = bson!([
            {"$bucketAuto": {"groupBy": "$n", "buckets": 5, "granularity": granularity}},
            {"$project": {"_id": ["$_id.min", "$_id.max"], "count": 1}},
        ]);
        let buckets = run(stage, numbers.clone()).expect("filled");
        let bounds = buckets.iter().map(|bucket| {
            let pair = bucket.get_array("_id").expect("bounds");
            let number = |at: usize| pair[at].as_f64().or_else(|| pair[at].as_i32().map(f64::from));
            (number(0).expect("number"), number(1).expect("number"))
        });
        bounds.collect::<Vec<_>>()
    };
    assert_eq!(
        bounds("R20"),
        [
            (0.0, 20.0),
            (20.0, 40.0),
            (40.0, 63.0),
            (63.0, 90.0),
            (90.0, 100.0)
        ]
    );
    assert_eq!(
        bounds("E24"),
        [
            (0.0, 20.0),
            (20.0, 43.0),
            (43.0, 68.0),
            (68.0, 91.0),
            (91.0, 100.0)
        ]
    );
    assert_eq!(bounds("1-2-5"), [(0.0, 20.0), (20.0, 50.0), (50.0, 100.0)]);
    assert_eq!(bounds("POWERSOF2"), [(0.0, 32.0), (32.0, 64.0), (64.0, 128.0)]);
}

#[test]
fn projections_keep_order_and_reach_into_arrays() {
    let document = doc! {"b": [{"c": 1, "d": 2}, 5, [{"c": 3}]], "a": {"x": 1, "y": 2}, "_id": 7};
    let projected = |specification: Bson| run(bson!([{"$project": specification}]), vec![document.clone()]);
    assert_eq!(
        projected(bson!({"b.c": 1, "n": {"$add": ["$a.x", 1]}, "gone": "$nothing"})),
        Ok(vec![doc! {"b": [{"c": 1}, [{"c": 3}]], "_id": 7, "n": 2}])
    );
    assert_eq!(
        projected(bson!({"b.c": 0, "_id": 0})),
        Ok(vec![doc! {"b": [{"d": 2}, 5, [{}]], "a": {"x": 1, "y": 2}}])
    );
    assert_eq!(
        projected(bson!({"a": {"x": 1, "z": {"$literal": 0}}})),
        Ok(vec![doc! {"a": {"x": 1, "z": 0}, "_id": 7}])
    );
    let added = run(
        bson!([{"$addFields": {"a.x": "$$REMOVE", "a.n": 3, "b.e": 1}}]),
        vec![document.clone()],
    );
    assert_eq!(
        added,
        Ok(vec![
            doc! {"b": [{"c": 1, "d": 2, "e": 1}, {"e": 1}, [{"c": 3, "e": 1}]], "a": {"y": 2, "n": 3}, "_id": 7}
        ])
    );
    refuses(bson!([{"$project": {"a": 1, "b": 0}}]), 31254);
    refuses(bson!([{"$project": {"a": 0, "b": 1}}]), 31253);
    refuses(bson!([{"$project": {"a": {"x": 0, "y": 1}}}]), 31253);
    refuses(bson!([{"$project": {"_id": {"$add": [1, 2]}, "a": 0}}]), 31254);
    refuses(bson!([{"$project": {"a": 0, "b": {"$add": [1, 2]}}}]), 31252);
    refuses(bson!([{"$project": {"a": 1, "a.b": 1}}]), 31249);
    refuses(bson!([{"$project": {"a.b": 1, "a": 1}}]), 31250);
}

#[test]
fn looks_up_null_for_missing_and_each_element() {
    let other = vec![
        doc! {"_id": 10, "k": "x"},
        doc! {"_id": 11, "k": null},
        doc! {"_id": 12},
        doc! {"_id": 13, "k": ["y", "x"]},
    ];
    let stages = bson!([
        {"$lookup": {"from": "other", "localField": "tags", "foreignField": "k", "as": "found.list"}},
        {"$project": {"ids": "$found.list._id"}},
    ]);
    let expected = vec![
        doc! {"_id": 1, "ids": [10, 13]},
        doc! {"_id": 2, "ids": []},
        doc! {"_id": 3, "ids": [11, 12]},
        doc! {"_id": 4, "ids": []},
    ];
    assert_eq!(
        run_within(MEMORY, stages.clone(), orders(), other.clone()),
        Ok(expected.clone())
    );
    // What cannot be held is read anew for each document.
    assert_eq!(run_within(1000, stages, orders(), other.clone()), Ok(expected));
    let correlated = bson!([
        {"$match": {"_id": {"$lte": 2}}},
        {"$lookup": {
            "from": "other",
            "let": {"id": "$_id"},
            "pipeline": [{"$match": {"$expr": {"$eq": [{"$subtract": ["$_id", 10]}, "$$id"]}}}],
            "as": "list",
        }},
        {"$project": {"ids": "$list._id"}},
    ]);
    assert_eq!(
        run_within(MEMORY, correlated, orders(), other),
        Ok(vec![doc! {"_id": 1, "ids": [11]}, doc! {"_id": 2, "ids": [12]}])
    );
}

#[test]
fn walks_a_graph_once_around() {
    let other = vec![
        doc! {"_id": 1, "to": 2},
        doc! {"_id": 2, "to": 3},
        doc! {"_id": 3, "to": 1},
        doc! {"_id": 4, "to": 4},
    ];
    let stages = bson!([
        {"$graphLookup": {
            "from": "other", "startWith": "$start", "connectFromField": "to", "connectToField": "_id",
            "as": "way", "depthField": "steps",
        }},
        {"$project": {"_id": 0, "way": {"$map": {"input": "$way", "in": ["$$this._id", "$$this.steps"]}}}},
    ]);
    assert_eq!(
        run_within(MEMORY, stages, vec![doc! {"start": 2}], other),
        Ok(vec![doc! {"way": [[2, 0_i64], [3, 1_i64], [1, 2_i64]]}])
    );
}

#[test]
fn windows_facets_samples_and_unions() {
    let stages = bson!([
        {"$setWindowFields": {
            "sortBy": {"price": 1},
            "output": {
                "running": {"$sum": "$price", "window": {"documents": ["unbounded", "current"]}},
                "rank": {"$rank": {}},
            },
        }},
        {"$project": {"running": 1, "rank": 1}},
    ]);
    assert_eq!(
        run(stages, orders()),
        Ok(vec![
            doc! {"_id": 4, "running": 1, "rank": 1},
            doc! {"_id": 1, "running": 4, "rank": 2},
            doc! {"_id": 3, "running": 8, "rank": 3},
            doc! {"_id": 2, "running": 13, "rank": 4},
        ])
    );
    let facets =
        bson!([{"$facet": {"n": [{"$count": "n"}], "first": [{"$limit": 1}, {"$project": {"_id": 1}}]}}]);
    assert_eq!(
        run(facets, orders()),
        Ok(vec![doc! {"n": [{"n": 4}], "first": [{"_id": 1}]}])
    );
    assert_eq!(
        run(bson!([{"$sample": {"size": 3}}]), orders())
            .expect("sampled")
            .len(),
        3
    );
    let union =
        bson!([{"$project": {"_id": 1}}, {"$unionWith": {"coll": "other", "pipeline": [{"$limit": 1}]}}]);
    assert_eq!(
        run_within(MEMORY, union, orders(), vec![doc! {"_id": 9}, doc! {"_id": 10}])
            .expect("united")
            .len(),
        5
    );
    let redact = bson!([{"$redact": {"$cond": [{"$eq": ["$secret", true]}, "$$PRUNE", "$$DESCEND"]}}]);
    assert_eq!(
        run(redact, vec![doc! {"a": {"secret": true}, "b": {"c": 1}}]),
        Ok(vec![doc! {"b": {"c": 1}}])
    );
}

#[test]
fn what_is_wrong_is_refused_before_any_document() {
    refuses(bson!([{"$limit": 0}]), 15958);
    refuses(bson!([{"$skip": -1}]), 5_107_200);
    refuses(bson!([{"$nothing": 1}]), 40324);
    refuses(bson!([{"$match": {}, "$limit": 1}]), 40323);
    refuses(bson!([{"$group": {"n": {"$sum": 1}}}]), 15955);
    refuses(bson!([{"$group": {"_id": {"a": 1}}}]), 17390);
    refuses(bson!([{"$replaceRoot": {"newRoot": 1}}]), 40228);
    refuses(bson!([{"$lookup": {"from": "other", "as": "x"}}]), 9);
    refuses(bson!([{"$out": "other"}]), 40324);
    let mut nested = bson!([]);
    for _ in 0..30 {
        nested = bson!([{"$lookup": {"from": "other", "pipeline": nested, "as": "x"}}]);
    }
    refuses(nested, 232);
}

#[test]
fn documents_that_nest_too_deep_are_refused() {
    let stages: Vec<Bson> = (0..300).map(|_| bson!({"$project": {"a": ["$a"]}})).collect();
    assert_eq!(
        run(Bson::Array(stages), vec![doc! {"a": 1}])
            .expect_err("too deep")
            .code,
        15
    );
}

#[test]
fn the_longest_and_deepest_pipelines_fit_the_stack() {
    let long = |stage: &Bson, count: usize| Bson::Array(vec![stage.clone(); count]);
    let one = || vec![doc! {"a": 1}];
    for stage in [
        bson!({"$match": {"a": {"$gte": 0}}}),
        bson!({"$addFields": {"a": 1}}),
        bson!({"$project": {"a": 1}}),
        bson!({"$skip": 0}),
        bson!({"$limit": 1}),
    ] {
        run(long(&stage, 1000), one()).expect("ran");
    }
    for stage in [
        bson!({"$unwind": "$a"}),
        bson!({"$sort": {"a": 1}}),
        bson!({"$group": {"_id": "$a"}}),
        bson!({"$lookup": {"from": "other", "localField": "a", "foreignField": "a", "as": "l"}}),
        bson!({"$facet": {"a": [{"$limit": 1}, {"$project": {"_id": 1}}]}}),
    ] {
        run(long(&stage, 99), one()).expect("ran");
        refuses(long(&stage, 101), 7_749_501);
    }
    let mut nested = bson!("$a");
    for _ in 0..95 {
        nested = bson!({"$abs": [nested]});
    }
    run(bson!([{"$project": {"a": nested}}]), one()).expect("ran");
    let mut nested = bson!([1]);
    for _ in 0..90 {
        nested = bson!({"$map": {"input": nested, "in": "$$this"}});
    }
    run(bson!([{"$project": {"a": nested}}]), one()).expect("ran");
    let mut nested = long(&bson!({"$unwind": "$a"}), 80);
    for _ in 0..19 {
        nested = bson!([{"$lookup": {"from": "other", "pipeline": nested, "as": "x"}}]);
    }
    run_within(MEMORY, nested, one(), one()).expect("ran");
}

#[test]
fn says_what_it_reads_and_does_first() {
    let parse = |stages: Bson| Pipeline::parse(&list(stages)).expect("parsed");
    let pipeline = parse(bson!([
        {"$match": {"status": "open"}},
        {"$match": {"price": {"$gt": 3}}},
        {"$sort": {"time": -1}},
        {"$skip": 2},
        {"$limit": 5},
        {"$group": {"_id": "$shop.name", "n": {"$sum": "$count"}}},
    ]));
    let leading = pipeline.leading();
    assert_eq!(leading.filters.len(), 2);
    assert!(leading.sort.is_some());
    assert_eq!(leading.limit, Some(7));
    let names = ["count", "price", "shop", "status", "time"].map(str::to_owned);
    assert_eq!(leading.needs, Needs::Fields(names.into()));
    assert_eq!(parse(bson!([{"$match": {"a": 1}}])).needs(), Needs::All);
    assert_eq!(parse(bson!([{"$count": "n"}])).needs(), Needs::default());
    assert_eq!(
        parse(bson!([{"$lookup": {"from": "other", "localField": "k", "foreignField": "k", "as": "l"}}]))
            .collections(),
        ["other"]
    );
}

#[test]
fn conditions_are_moved_past_what_does_not_change_their_fields() {
    for (stages, moved) in [
        (bson!([{"$sort": {"a": 1}}, {"$match": {"b": 1}}]), 1),
        (bson!([{"$addFields": {"b": 2}}, {"$match": {"a": 1}}]), 1),
        (bson!([{"$addFields": {"b": 2}}, {"$match": {"b": 2}}]), 0),
        (bson!([{"$addFields": {"b.c": 2}}, {"$match": {"b.d": 2}}]), 0),
        (
            bson!([{"$addFields": {"b": 2}}, {"$match": {"b": 2}}, {"$match": {"a": 1}}]),
            1,
        ),
        (bson!([{"$unwind": "$tags"}, {"$match": {"a": 1}}]), 1),
        (bson!([{"$unwind": "$tags"}, {"$match": {"tags": 1}}]), 0),
        (
            bson!([{"$unwind": {"path": "$tags", "includeArrayIndex": "a"}}, {"$match": {"a": 1}}]),
            0,
        ),
        (
            bson!([{"$lookup": {"from": "o", "localField": "k", "foreignField": "k", "as": "l"}}, {"$match": {"a": 1}}]),
            1,
        ),
        (
            bson!([{"$lookup": {"from": "o", "localField": "k", "foreignField": "k", "as": "l"}}, {"$match": {"l.a": 1}}]),
            0,
        ),
        (bson!([{"$project": {"a": 1}}, {"$match": {"a": 1, "_id": 2}}]), 1),
        (bson!([{"$project": {"b": 1}}, {"$match": {"a": 1}}]), 0),
        (bson!([{"$project": {"a": "$b"}}, {"$match": {"a": 1}}]), 0),
        (bson!([{"$project": {"a.b": 1}}, {"$match": {"a": 1}}]), 0),
        (bson!([{"$unset": "b"}, {"$match": {"a": 1}}]), 1),
        (bson!([{"$unset": "b"}, {"$match": {"b": 1}}]), 0),
        (
            bson!([{"$addFields": {"b": 2}}, {"$match": {"$expr": {"$eq": ["$$ROOT", 1]}}}]),
            0,
        ),
        (bson!([{"$limit": 1}, {"$match": {"a": 1}}]), 0),
        (bson!([{"$skip": 1}, {"$match": {"a": 1}}]), 0),
        (bson!([{"$group": {"_id": "$a"}}, {"$match": {"_id": 1}}]), 0),
        (
            bson!([{"$replaceRoot": {"newRoot": "$a"}}, {"$match": {"a": 1}}]),
            0,
        ),
    ] {
        let pipeline = Pipeline::parse(&list(stages.clone())).expect("parsed");
        assert_eq!(pipeline.leading().filters.len(), moved, "{stages}");
    }
    // A `$limit` behind a stage that stays does not limit what is read.
    let pipeline =
        bson!([{"$sort": {"a": 1}}, {"$addFields": {"b": 2}}, {"$match": {"b": 2}}, {"$limit": 3}]);
    let pipeline = Pipeline::parse(&list(pipeline)).expect("parsed");
    assert_eq!(pipeline.leading().limit, None);
    let near = bson!([
        {"$geoNear": {"near": {"type": "Point", "coordinates": [0, 0]}, "distanceField": "d", "key": "at", "query": {"a": 1}}},
        {"$skip": 2},
        {"$limit": 3},
    ]);
    let pipeline = Pipeline::parse(&list(near)).expect("parsed");
    let leading = pipeline.leading();
    assert_eq!((leading.limit, leading.filters.len()), (Some(5), 1));
    assert!(leading.filters[0].near().is_some());
}

fn stage_of_a_kind() -> impl Strategy<Value = Bson> {
    let field = prop_oneof![Just("a"), Just("b"), Just("c"), Just("a.x"), Just("tags")];
    prop_oneof![
        3 => (field.clone(), 0..3_i32).prop_map(|(field, n)| bson!({"$match": {field: n}})),
        2 => (field.clone(), 0..3_i32).prop_map(|(field, n)| bson!({"$match": {field: {"$gte": n}}})),
        1 => (field.clone(), field.clone()).prop_map(|(field, of)| bson!({"$addFields": {field: format!("${of}")}})),
        1 => (field.clone(), 0..3_i32).prop_map(|(field, n)| bson!({"$addFields": {field: {"$literal": n}}})),
        1 => field.clone().prop_map(|field| bson!({"$project": {field: 1}})),
        1 => field.clone().prop_map(|field| bson!({"$project": {field: 0}})),
        1 => field.clone().prop_map(|field| bson!({"$project": {"a": format!("${field}"), "b": 1}})),
        1 => field.clone().prop_map(|field| bson!({"$unwind": format!("${field}")})),
        1 => field.clone().prop_map(|field| bson!({"$unwind": {"path": "$tags", "includeArrayIndex": field, "preserveNullAndEmptyArrays": true}})),
        1 => field.clone().prop_map(|field| bson!({"$sort": {field: 1, "_id": 1}})),
        1 => (1..6_i64).prop_map(|n| bson!({"$limit": n})),
        1 => (0..4_i64).prop_map(|n| bson!({"$skip": n})),
        1 => field.prop_map(|field| bson!({"$group": {"_id": format!("${field}"), "n": {"$sum": 1}, "a": {"$first": "$a"}}})),
    ]
}

proptest::proptest! {
    /// Leaving out at once what does not meet the leading conditions changes nothing.
    #[test]
    fn leading_conditions_leave_out_nothing_that_gets_through(stages in proptest::collection::vec(stage_of_a_kind(), 1..6)) {
        let documents: Vec<Document> = (0..40_i32)
            .map(|at| {
                let mut document = doc! { "_id": at, "a": at % 4, "b": at % 3, "c": { "x": at % 2 }, "tags": [at % 3, at % 5] };
                match at % 7 {
                    0 => drop(document.remove("a")),
                    1 => drop(document.insert("a", bson!({ "x": at % 3 }))),
                    2 => drop(document.insert("b", bson!([at % 2, { "x": 1 }]))),
                    3 => drop(document.insert("tags", at % 3)),
                    _ => {}
                }
                document
            })
            .collect();
        // Two fields that one stage cannot set both are refused.
        let Ok(pipeline) = Pipeline::parse(&stages) else { return Ok(()) };
        let context = Context::new(DateTime::from_millis(0), 5);
        let run = |documents: Vec<Document>| -> Result<Vec<Document>> {
            let environment = Environment {
                context: &context,
                collections: &NoCollections,
                variables: &Variables::none(),
                memory: MEMORY,
            };
            pipeline.run(Box::new(documents.into_iter().map(Ok)), environment).collect()
        };
        let leading = pipeline.leading();
        let filter = Filter::all_of(&leading.filters);
        let met = documents
            .iter()
            .filter(|document| filter.matches(document, &Variables::none(), &context).expect("matched"))
            .cloned()
            .collect();
        proptest::prop_assert_eq!(run(met).expect("run"), run(documents).expect("run"));
    }
}

#[test]
fn nothing_is_read_that_is_not_asked_for() {
    let mut read = 0;
    let input = (0..1000)
        .map(|at| Ok(doc! {"_id": at}))
        .inspect(|_: &Result<Document>| read += 1);
    let pipeline =
        Pipeline::parse(&list(bson!([{"$match": {"_id": {"$gte": 10}}}, {"$limit": 2}]))).expect("parsed");
    let context = Context::new(DateTime::from_millis(0), 5);
    let environment = Environment {
        context: &context,
        collections: &super::NoCollections,
        variables: &Variables::none(),
        memory: MEMORY,
    };
    assert_eq!(pipeline.run(Box::new(input), environment).count(), 2);
    assert_eq!(read, 12);
}

const STAGES: [&str; 20] = [
    "$match",
    "$project",
    "$addFields",
    "$unset",
    "$replaceRoot",
    "$unwind",
    "$limit",
    "$skip",
    "$sample",
    "$sort",
    "$group",
    "$bucket",
    "$bucketAuto",
    "$sortByCount",
    "$count",
    "$lookup",
    "$facet",
    "$unionWith",
    "$redact",
    "$setWindowFields",
];

proptest! {
    #[test]
    fn nothing_panics(
        stages in prop::collection::vec((prop::sample::select(STAGES.to_vec()), any_value()), 0..4),
        value in any_value(),
    ) {
        let stages: Vec<Bson> = stages.into_iter().map(|(name, argument)| bson!({name: argument})).collect();
        let input = vec![doc! {"a": value.clone()}, doc! {"b": value.clone()}, doc! {"a": 1, "b": {"c": 2}}];
        let _ = run_within(1 << 20, Bson::Array(stages), input, vec![doc! {"a": value}]);
    }
}

#[test]
fn what_nobody_waits_for_ends_wherever_it_is() {
    let gone = Arc::new(AtomicBool::new(false));
    let context = Context::new(DateTime::from_millis(0), 5).until(Arc::clone(&gone));
    let environment = Environment {
        context: &context,
        collections: &NoCollections,
        variables: &Variables::none(),
        memory: MEMORY,
    };
    let pipeline = |stages| Pipeline::parse(&list(stages)).expect("a pipeline");
    let unwound = pipeline(bson!([{"$unwind": "$a"}, {"$unwind": "$b"}]));
    let sum = bson!({"$reduce": {"input": "$a", "initialValue": 0, "in": "$$this"}});
    let summed = pipeline(bson!([{"$set": {"sum": sum}}]));
    let input = || {
        Box::new(std::iter::repeat_with(|| {
            Ok(doc! {"a": [1, 2, 3], "b": [1, 2, 3]})
        }))
    };

    let mut documents = unwound.run(input(), environment);
    let mut sums = summed.run(input(), environment);
    assert!(matches!(documents.next(), Some(Ok(_))) && matches!(sums.next(), Some(Ok(_))));
    gone.store(true, Ordering::Relaxed);
    for next in [documents.next(), sums.next()] {
        let error = next.expect("its end is told").expect_err("it goes on");
        assert_eq!(error.code, 11_601);
    }
}
