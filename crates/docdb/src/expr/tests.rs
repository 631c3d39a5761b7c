#![expect(clippy::expect_used, reason = "a test may fail here")]

use bson::{Bson, DateTime, Document, bson, doc};
use proptest::prelude::*;

use super::{Expression, Needs, Variables};
use crate::{Context, error::Result};

fn context() -> Context {
    Context::new(DateTime::from_millis(1_700_000_000_000), 7)
}

fn of(document: &Document, expression: Bson) -> Result<Option<Bson>> {
    let expression = Expression::parse(&expression)?;
    let (variables, context) = (Variables::none(), context());
    let value = expression.evaluate(document, &variables, &context)?;
    Ok(value.map(std::borrow::Cow::into_owned))
}

#[track_caller]
fn gives(expression: Bson, expected: Bson) {
    assert_eq!(
        of(&doc! {"a": 1, "n": null, "list": [3, 1, 2]}, expression),
        Ok(Some(expected))
    );
}

#[track_caller]
fn refuses(expression: Bson, code: i32) {
    assert_eq!(Expression::parse(&expression).expect_err("refused").code, code);
}

#[test]
fn missing_is_not_null() {
    assert_eq!(of(&doc! {}, bson!("$a")), Ok(None));
    gives(bson!({"x": "$nothing", "y": "$n"}), bson!({"y": null}));
    gives(bson!(["$nothing"]), bson!([null]));
    gives(bson!({"$eq": ["$nothing", null]}), bson!(false));
    gives(bson!({"$lt": ["$nothing", null]}), bson!(true));
    gives(bson!({"$ifNull": ["$nothing", "$n", 5]}), bson!(5));
}

#[test]
fn paths_map_over_arrays_and_have_no_indexes() {
    let document = doc! {"a": [{"b": 1}, {"c": 2}, [{"b": 3}], {"b": 4}]};
    assert_eq!(of(&document, bson!("$a.b")), Ok(Some(bson!([1, 4]))));
    assert_eq!(of(&document, bson!("$a.0")), Ok(Some(bson!([]))));
}

#[test]
fn integers_grow_and_sums_are_compensated() {
    gives(
        bson!({"$add": [2_147_483_647_i32, 1]}),
        Bson::Int64(2_147_483_648),
    );
    gives(
        bson!({"$add": [i64::MAX, 1]}),
        Bson::Double(9_223_372_036_854_775_808.0),
    );
    gives(bson!({"$sum": [0.1, 0.2, 0.3]}), bson!(0.6));
    gives(
        bson!({"$multiply": [4_000_000_000_i64, 4_000_000_000_i64]}),
        bson!(1.6e19),
    );
    gives(bson!({"$divide": [6, 3]}), bson!(2.0));
    gives(bson!({"$mod": [-7, 3]}), bson!(-1));
    gives(bson!({"$pow": [2, -1]}), bson!(0.5));
}

#[test]
fn rounding_is_to_even_and_exact() {
    gives(bson!({"$round": [2.5]}), bson!(2.0));
    gives(bson!({"$round": [3.5]}), bson!(4.0));
    gives(bson!({"$round": [2.675, 2]}), bson!(2.67));
    gives(bson!({"$round": [1250, -2]}), bson!(1200));
    gives(bson!({"$round": [-15, -1]}), bson!(-20));
    gives(bson!({"$round": [9.96, 1]}), bson!(10.0));
    gives(bson!({"$trunc": [0.29, 2]}), bson!(0.28));
    gives(bson!({"$trunc": [-127, -1]}), bson!(-120));
}

#[test]
fn strings_count_bytes_or_code_points() {
    gives(bson!({"$strLenBytes": "中文"}), bson!(6));
    gives(bson!({"$strLenCP": "中文"}), bson!(2));
    gives(bson!({"$substrCP": ["云开发", 1, 1]}), bson!("开"));
    gives(bson!({"$toUpper": "aé"}), bson!("Aé"));
    gives(bson!({"$indexOfCP": ["云开发", "发"]}), bson!(2));
    gives(bson!({"$indexOfBytes": ["云开发", "发"]}), bson!(6));
    gives(bson!({"$split": ["a-b-", "-"]}), bson!(["a", "b", ""]));
    refuses(bson!({"$substrBytes": ["é", 1, 1]}), 28656);
    refuses(bson!({"$split": ["a", ""]}), 40087);
    gives(bson!({"$concat": ["a", null]}), Bson::Null);
    gives(bson!({"$trim": {"input": "  a "}}), bson!("a"));
    gives(
        bson!({"$regexFind": {"input": "云x1", "regex": "x(\\d)"}}),
        bson!({"match": "x1", "idx": 1, "captures": ["1"]}),
    );
}

#[test]
fn patterns_are_compiled_once_and_refused_at_once() {
    let find = |input: &str, regex: Bson| bson!({"$regexFindAll": {"input": input, "regex": regex}});
    gives(
        find("云a云b", bson!("[ab]")),
        bson!([{"match": "a", "idx": 1, "captures": []}, {"match": "b", "idx": 3, "captures": []}]),
    );
    // Behind an empty match the next character is looked at; nothing is found behind the last one.
    gives(
        find("云a", bson!("")),
        bson!([{"match": "", "idx": 0, "captures": []}, {"match": "", "idx": 1, "captures": []}]),
    );
    gives(
        find("ab", bson!("a*")),
        bson!([{"match": "a", "idx": 0, "captures": []}, {"match": "", "idx": 1, "captures": []}]),
    );
    gives(
        find("", bson!("")),
        bson!([{"match": "", "idx": 0, "captures": []}]),
    );
    let document = doc! {"s": "aB", "p": "b"};
    let computed = bson!({"$regexMatch": {"input": "$s", "regex": "$p", "options": "i"}});
    assert_eq!(of(&document, computed), Ok(Some(bson!(true))));
    let nothing = bson!({"$regexMatch": {"input": "$s", "regex": "$nothing"}});
    assert_eq!(of(&document, nothing), Ok(Some(bson!(false))));
    refuses(bson!({"$regexMatch": {"input": "$s", "regex": "("}}), 51091);
    refuses(bson!({"$regexMatch": {"input": "$s"}}), 31023);
}

#[test]
fn conversions_say_what_they_cannot() {
    gives(bson!({"$toInt": "12"}), bson!(12));
    gives(bson!({"$toLong": 1.9}), bson!(1_i64));
    gives(bson!({"$toString": 2.5}), bson!("2.5"));
    gives(bson!({"$toBool": "false"}), bson!(true));
    gives(
        bson!({"$convert": {"input": "x", "to": "int", "onError": -1}}),
        bson!(-1),
    );
    gives(
        bson!({"$convert": {"input": "$n", "to": "int", "onNull": 0}}),
        bson!(0),
    );
    refuses(bson!({"$toInt": "1.5"}), 241);
    refuses(bson!({"$toInt": 3_000_000_000_i64}), 241);
}

#[test]
fn arrays_take_signs() {
    gives(bson!({"$arrayElemAt": ["$list", -1]}), bson!(2));
    assert_eq!(
        of(&doc! {"list": [1]}, bson!({"$arrayElemAt": ["$list", 1]})),
        Ok(None)
    );
    gives(bson!({"$slice": ["$list", -2]}), bson!([1, 2]));
    gives(bson!({"$slice": ["$list", 1, 5]}), bson!([1, 2]));
    gives(bson!({"$range": [5, 0, -2]}), bson!([5, 3, 1]));
    refuses(bson!({"$range": [0, 1, 0]}), 34449);
    gives(
        bson!({"$sortArray": {"input": "$list", "sortBy": -1}}),
        bson!([3, 2, 1]),
    );
    gives(
        bson!({"$zip": {"inputs": [[1, 2], [3]], "useLongestLength": true, "defaults": [0, 9]}}),
        bson!([[1, 3], [2, 9]]),
    );
}

#[test]
fn variables_hide_each_other() {
    gives(
        bson!({"$let": {"vars": {"x": 2}, "in": {"$map": {"input": "$list", "as": "x", "in": {"$add": ["$$x", "$a"]}}}}}),
        bson!([4, 2, 3]),
    );
    gives(
        bson!({"$map": {"input": [1, 2], "in": {"$map": {"input": [10, 20], "as": "inner", "in": {"$add": ["$$this", "$$inner"]}}}}}),
        bson!([[11, 21], [12, 22]]),
    );
    gives(
        bson!({"$reduce": {"input": "$list", "initialValue": "", "in": {"$concat": ["$$value", {"$toString": "$$this"}]}}}),
        bson!("312"),
    );
    refuses(bson!("$$unknown"), 17276);
    let names = ["limit".to_owned()];
    let expression = Expression::parse_with(&bson!({"$gt": ["$a", "$$limit"]}), &names).expect("parsed");
    let document = doc! {"a": 3};
    assert_eq!(
        expression.test(&document, &Variables::new(vec![Some(bson!(2))]), &context()),
        Ok(true)
    );
    assert_eq!(
        expression.test(&document, &Variables::new(vec![Some(bson!(4))]), &context()),
        Ok(false)
    );
}

#[test]
fn what_is_wrong_is_refused_before_any_document() {
    refuses(bson!({"$foo": 1}), 168);
    refuses(bson!({"$abs": [1, 2]}), 16020);
    refuses(bson!({"$cond": [true, 1]}), 16020);
    refuses(bson!({"$switch": {"branches": []}}), 40068);
    refuses(bson!({"$divide": ["$a", 0], "$add": []}), 15983);
    refuses(bson!({"$divide": [1, 0]}), 2);
    refuses(bson!({"a.b": 1}), 16412);
    // What is never reached may be wrong.
    gives(
        bson!({"$switch": {"branches": [{"case": true, "then": 1}, {"case": {"$divide": [1, 0]}, "then": 2}]}}),
        bson!(1),
    );
}

#[test]
fn dates_have_parts_in_their_zone() {
    let date = Bson::DateTime(DateTime::from_millis(1_704_067_200_000));
    let part = |name: &str, zone: &str| bson!({name: {"date": date.clone(), "timezone": zone}});
    gives(part("$year", "UTC"), bson!(2024));
    gives(part("$hour", "Asia/Shanghai"), bson!(8));
    gives(part("$dayOfMonth", "-0030"), bson!(31));
    gives(part("$week", "UTC"), bson!(0));
    gives(part("$isoWeekYear", "UTC"), bson!(2024_i64));
    gives(part("$isoDayOfWeek", "UTC"), bson!(1));
    gives(part("$dayOfWeek", "UTC"), bson!(2));
    gives(
        bson!({"$year": {"date": date.clone(), "timezone": null}}),
        Bson::Null,
    );
    gives(
        bson!({"$dateToString": {"date": date.clone()}}),
        bson!("2024-01-01T00:00:00.000Z"),
    );
    gives(
        bson!({"$dateToString": {"date": date.clone(), "timezone": "Asia/Shanghai"}}),
        bson!("2024-01-01T08:00:00.000"),
    );
    gives(
        bson!({"$dateToString": {"date": date.clone(), "format": "%G-%V %u %j %z %Z %%", "timezone": "+08:00"}}),
        bson!("2024-01 1 001 +0800 480 %"),
    );
    gives(
        bson!({"$dateFromString": {"dateString": "2024-01-01 08:00", "timezone": "Asia/Shanghai"}}),
        date.clone(),
    );
    gives(
        bson!({"$dateFromParts": {"year": 2023, "month": 13, "day": 1, "hour": 8, "timezone": "+08:00"}}),
        date.clone(),
    );
    for text in [
        "2024-01-01",
        "20240101",
        "Jan 1st, 2024",
        "2024-W01-1",
        "2024-001",
        "1 January 2024 00:00 UTC",
        "01/01/2024",
    ] {
        gives(bson!({"$dateFromString": {"dateString": text}}), date.clone());
    }
    let months_later = Bson::DateTime(DateTime::from_millis(1_709_164_800_000));
    gives(
        bson!({"$dateAdd": {"startDate": Bson::DateTime(DateTime::from_millis(1_706_659_200_000)), "unit": "month", "amount": 1}}),
        months_later,
    );
}

#[test]
fn work_and_memory_are_bounded() {
    let twice = bson!({"$reduce": {"input": {"$range": [0, 60]}, "initialValue": "ab", "in": {"$concat": ["$$value", "$$value"]}}});
    assert_eq!(of(&doc! {}, twice).expect_err("too large").code, 10334);
    let deep = bson!({"$reduce": {"input": {"$range": [0, 5000]}, "initialValue": [], "in": ["$$value"]}});
    assert_eq!(of(&doc! {}, deep).expect_err("too deep").code, 15);
    let wide = bson!({"$reduce": {"input": {"$range": [0, 40]}, "initialValue": [1], "in": {"$concatArrays": ["$$value", "$$value"]}}});
    assert_eq!(of(&doc! {}, wide).expect_err("too large").code, 146);
    let mut nested = bson!(1);
    for _ in 0..300 {
        nested = bson!({"$abs": [nested]});
    }
    refuses(nested, 15);
}

#[test]
fn work_in_loops_is_counted_over_the_whole_operation() {
    let grow = bson!({"$reduce": {"input": {"$range": [0, 500]}, "initialValue": [], "in": {"$concatArrays": ["$$value", ["$$this"]]}}});
    let grow = Expression::parse(&grow).expect("parsed");
    let (document, variables, context) = (doc! {}, Variables::none(), context());
    assert!(grow.evaluate(&document, &variables, &context).is_ok());
    context.spend(99_800_000).expect("within the bound");
    assert_eq!(
        grow.evaluate(&document, &variables, &context)
            .expect_err("too much")
            .code,
        50
    );
}

#[test]
fn where_every_step_counts_loops_and_patterns_end_soon_and_all_else_does_not() {
    use crate::query::Filter;
    let text = "a".repeat(40);
    let document = doc! {"t": &text, "n": 3, "tags": (0..1000).collect::<Vec<_>>()};
    let of = |query| {
        let now = context().strict(20_000);
        Filter::parse(&query)
            .expect("parsed")
            .matches(&document, &Variables::none(), &now)
    };
    let looped = doc! {"$expr": {"$gt": [{"$size": {"$map": {"input": {"$range": [0, 100_000]}, "in": "$$this"}}}, 0]}};
    let backtracks = doc! {"t": {"$regex": r"^(?:(a)|(a)|\1b)*\1c$"}};
    let large = doc! {"t": {"$regex": "(?:[a-z]{1000}){50}"}};
    for query in [looped, backtracks, large] {
        assert_eq!(of(query.clone()).expect_err("too much").code, 50, "{query}");
    }
    for query in [
        doc! {"n": {"$in": [1, 2, 3]}, "tags": 999, "t": {"$regex": "^a+$", "$options": "i"}},
        doc! {"$expr": {"$eq": [{"$size": {"$filter": {"input": "$tags", "cond": {"$gte": ["$$this", 998]}}}}, 2]}},
    ] {
        assert_eq!(of(query.clone()), Ok(true), "{query}");
    }
}

#[test]
fn the_fields_that_are_read_are_known() {
    let expression = Expression::parse(
        &bson!({"$cond": [{"$gt": ["$a.b", 1]}, "$c", {"$map": {"input": "$d", "in": "$$this.e"}}]}),
    )
    .expect("parsed");
    let mut needs = Needs::default();
    expression.needs(&mut needs);
    assert_eq!(needs, Needs::Fields(["a", "c", "d"].map(str::to_owned).into()));
    Expression::parse(&bson!("$$ROOT"))
        .expect("parsed")
        .needs(&mut needs);
    assert_eq!(needs, Needs::All);
}

const OPERATORS: [&str; 40] = [
    "$add",
    "$subtract",
    "$multiply",
    "$divide",
    "$mod",
    "$pow",
    "$round",
    "$concat",
    "$substrBytes",
    "$substrCP",
    "$indexOfCP",
    "$indexOfBytes",
    "$split",
    "$slice",
    "$range",
    "$arrayElemAt",
    "$indexOfArray",
    "$arrayToObject",
    "$objectToArray",
    "$mergeObjects",
    "$dateToString",
    "$dateFromString",
    "$dateFromParts",
    "$isoWeek",
    "$dateAdd",
    "$dateTrunc",
    "$dateDiff",
    "$map",
    "$filter",
    "$reduce",
    "$let",
    "$switch",
    "$cond",
    "$zip",
    "$setUnion",
    "$convert",
    "$toDate",
    "$toInt",
    "$regexFindAll",
    "$sortArray",
];

pub(crate) fn any_value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        Just(Bson::Null),
        any::<bool>().prop_map(Bson::Boolean),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<f64>().prop_map(Bson::Double),
        any::<i64>().prop_map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
        prop::sample::select(vec![
            "$a",
            "$b.c",
            "$$this",
            "$$value",
            "",
            "é云",
            "%Y",
            "day",
            "2024-01-01",
            "$$ROOT"
        ])
        .prop_map(|text| Bson::String(text.to_owned())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(vec![
            "a",
            "b",
            "input",
            "in",
            "cond",
            "date",
            "unit",
            "amount",
            "startDate",
            "endDate",
            "format",
            "dateString",
            "timezone",
            "year",
            "month",
            "initialValue",
            "vars",
            "branches",
            "case",
            "then",
            "if",
            "else",
            "inputs",
            "to",
            "regex",
            "sortBy",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            prop::collection::vec((name, inner.clone()), 0..4).prop_map(|fields| {
                Bson::Document(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
            (prop::sample::select(OPERATORS.to_vec()), inner)
                .prop_map(|(operator, argument)| bson!({operator: argument})),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(expression in any_value(), a in any_value(), b in any_value()) {
        let document = doc! {"a": a, "b": b};
        let _ = of(&document, expression);
    }
}
