//! Expressions: the results and refusals that one would not guess.

use bson::DateTime;

use super::*;

fn date(millis: i64) -> Bson {
    Bson::DateTime(DateTime::from_millis(millis))
}

/// Sunday, 2023-01-01T00:30:00.005Z: in the last ISO week of 2022.
const SUNDAY: i64 = 1_672_533_000_005;

/// What each gives over `{_id: 1, a: [1, 2, 3], d: SUNDAY, s: "中a", o: {x: 1, y: 2}, n: null}`.
pub async fn each_gives_what_mongodb_s_does(database: Engine) {
    holding(
        &database,
        vec![doc! {
            "_id": 1, "a": [1, 2, 3], "d": date(SUNDAY), "s": "中a", "o": { "x": 1, "y": 2 }, "n": Bson::Null,
        }],
    )
    .await;
    let null = Bson::Null;
    for (expression, expected) in [
        (doc! { "$add": [1, 2_i64] }, Some(3_i64.into())),
        (doc! { "$add": [i32::MAX, 1] }, Some(2_147_483_648_i64.into())),
        (doc! { "$add": ["$d", 1000] }, Some(date(SUNDAY + 1000))),
        (doc! { "$add": [1, "$n"] }, Some(null.clone())),
        (doc! { "$add": [1, "$nothing"] }, Some(null.clone())),
        (doc! { "$subtract": ["$d", date(SUNDAY - 5)] }, Some(5_i64.into())),
        (doc! { "$divide": [6, 3] }, Some(2.0.into())),
        (doc! { "$mod": [-7, 3] }, Some((-1).into())),
        (doc! { "$multiply": [0.1, 3] }, Some((0.1 * 3.0).into())),
        (doc! { "$sum": [0.1, 0.2, 0.3, "x"] }, Some(0.6.into())),
        (doc! { "$avg": ["$a"] }, Some(2.0.into())),
        (doc! { "$avg": ["x"] }, Some(null.clone())),
        (doc! { "$round": [2.5] }, Some(2.0.into())),
        (doc! { "$round": [3.5, 0] }, Some(4.0.into())),
        (doc! { "$round": [1250, -2] }, Some(1200.into())),
        (doc! { "$trunc": [-1.57, 1] }, Some((-1.5).into())),
        (doc! { "$floor": -1.5 }, Some((-2.0).into())),
        (doc! { "$ceil": 5 }, Some(5.into())),
        (doc! { "$toUpper": "éa" }, Some("éA".into())),
        (doc! { "$toLower": "$n" }, Some("".into())),
        (doc! { "$strLenCP": "$s" }, Some(2.into())),
        (doc! { "$strLenBytes": "$s" }, Some(4.into())),
        (doc! { "$substrCP": ["$s", 1, 5] }, Some("a".into())),
        (doc! { "$substrBytes": ["$s", 0, 3] }, Some("中".into())),
        (doc! { "$indexOfCP": ["$s", "a"] }, Some(1.into())),
        (doc! { "$indexOfBytes": ["$s", "a"] }, Some(3.into())),
        (
            doc! { "$split": ["a-b--c", "-"] },
            Some(vec!["a", "b", "", "c"].into()),
        ),
        (doc! { "$concat": ["a", "$n"] }, Some(null.clone())),
        (doc! { "$strcasecmp": ["A", "b"] }, Some((-1).into())),
        (doc! { "$trim": { "input": "  x " } }, Some("x".into())),
        (doc! { "$cmp": ["x", 1] }, Some(1.into())),
        (doc! { "$eq": ["$nothing", "$n"] }, Some(false.into())),
        (doc! { "$lt": ["$nothing", "$n"] }, Some(true.into())),
        (doc! { "$and": [1, "", "$a"] }, Some(true.into())),
        (doc! { "$or": [0, "$n", "$nothing"] }, Some(false.into())),
        (doc! { "$not": ["$n"] }, Some(true.into())),
        (doc! { "$cond": ["$nothing", 1, 2] }, Some(2.into())),
        (doc! { "$ifNull": ["$nothing", "x"] }, Some("x".into())),
        (
            doc! { "$switch": { "branches": [{ "case": false, "then": 1 }], "default": 9 } },
            Some(9.into()),
        ),
        (doc! { "$arrayElemAt": ["$a", -1] }, Some(3.into())),
        (doc! { "$arrayElemAt": ["$a", 9] }, None),
        (doc! { "$slice": ["$a", -2] }, Some(vec![2, 3].into())),
        (doc! { "$slice": ["$a", 1, 1] }, Some(vec![2].into())),
        (doc! { "$slice": ["$a", -9, 2] }, Some(vec![1, 2].into())),
        (doc! { "$range": [0, 10, 4] }, Some(vec![0, 4, 8].into())),
        (doc! { "$range": [3, 0, -1] }, Some(vec![3, 2, 1].into())),
        (doc! { "$in": [2, "$a"] }, Some(true.into())),
        (doc! { "$indexOfArray": ["$a", 9] }, Some((-1).into())),
        (
            doc! { "$concatArrays": ["$a", [4]] },
            Some(vec![1, 2, 3, 4].into()),
        ),
        (doc! { "$concatArrays": ["$a", "$n"] }, Some(null.clone())),
        (doc! { "$reverseArray": "$a" }, Some(vec![3, 2, 1].into())),
        (doc! { "$size": "$a" }, Some(3.into())),
        (doc! { "$isArray": ["$a"] }, Some(true.into())),
        (
            doc! { "$filter": { "input": "$a", "as": "x", "cond": { "$gt": ["$$x", 1] } } },
            Some(vec![2, 3].into()),
        ),
        (
            doc! { "$map": { "input": "$a", "in": { "$multiply": ["$$this", 2] } } },
            Some(vec![2, 4, 6].into()),
        ),
        (
            doc! { "$reduce": { "input": "$a", "initialValue": 10, "in": { "$add": ["$$value", "$$this"] } } },
            Some(16.into()),
        ),
        (
            doc! { "$zip": { "inputs": ["$a", ["x"]] } },
            Some(Bson::Array(vec![Bson::Array(vec![1.into(), "x".into()])])),
        ),
        (
            doc! { "$objectToArray": { "$literal": { "x": 1 } } },
            Some(Bson::Array(vec![Bson::Document(doc! { "k": "x", "v": 1 })])),
        ),
        (
            doc! { "$arrayToObject": [[["k", 1], ["l", 2]]] },
            Some(Bson::Document(doc! { "k": 1, "l": 2 })),
        ),
        (
            doc! { "$mergeObjects": ["$o", { "y": 9, "z": 3 }, "$n"] },
            Some(Bson::Document(doc! { "x": 1, "y": 9, "z": 3 })),
        ),
        (
            doc! { "$let": { "vars": { "v": "$o.x" }, "in": { "$add": ["$$v", 1] } } },
            Some(2.into()),
        ),
        (doc! { "$literal": "$a" }, Some("$a".into())),
        (doc! { "$setIsSubset": [[1, 1, 2], "$a"] }, Some(true.into())),
        (doc! { "$setEquals": [[3, 2, 1, 1], "$a"] }, Some(true.into())),
        (doc! { "$anyElementTrue": [[0, ""]] }, Some(true.into())),
        (doc! { "$allElementsTrue": [[]] }, Some(true.into())),
        (doc! { "$year": "$d" }, Some(2023.into())),
        (doc! { "$week": "$d" }, Some(1.into())),
        (doc! { "$isoWeek": "$d" }, Some(52.into())),
        (doc! { "$isoWeekYear": "$d" }, Some(2022_i64.into())),
        (doc! { "$dayOfWeek": "$d" }, Some(1.into())),
        (doc! { "$isoDayOfWeek": "$d" }, Some(7.into())),
        (doc! { "$dayOfYear": "$d" }, Some(1.into())),
        (doc! { "$millisecond": "$d" }, Some(5.into())),
        (
            doc! { "$hour": { "date": "$d", "timezone": "Asia/Shanghai" } },
            Some(8.into()),
        ),
        (
            doc! { "$dayOfMonth": { "date": "$d", "timezone": "-01:00" } },
            Some(31.into()),
        ),
        (
            doc! { "$dateToString": { "date": "$d" } },
            Some("2023-01-01T00:30:00.005Z".into()),
        ),
        (
            doc! { "$dateToString": { "date": "$d", "timezone": "+08:00", "format": "%Y年%m月%d日 %H:%M:%S.%L %z %j %u %%" } },
            Some("2023年01月01日 08:30:00.005 +0800 001 7 %".into()),
        ),
        (
            doc! { "$dateToString": { "date": "$d", "timezone": "$n" } },
            Some(null.clone()),
        ),
        (
            doc! { "$dateToString": { "date": "$n", "onNull": "never" } },
            Some("never".into()),
        ),
        (
            doc! { "$dateFromString": { "dateString": "2023-01-01T08:30:00.005", "timezone": "Asia/Shanghai" } },
            Some(date(SUNDAY)),
        ),
        (
            doc! { "$dateFromParts": { "year": 2022, "month": 12, "day": 32, "minute": 30, "millisecond": 5 } },
            Some(date(SUNDAY)),
        ),
        (
            doc! { "$getField": { "field": "x", "input": "$o" } },
            Some(1.into()),
        ),
        (doc! { "$type": "$nothing" }, Some("missing".into())),
    ] {
        let stages = vec![doc! { "$project": { "_id": 0, "r": expression.clone() } }];
        let found = run(&database, stages).await;
        let Ok(found) = found else {
            panic!("{expression}: {found:?}");
        };
        let expected = expected.map_or_else(Document::new, |value| doc! { "r": value });
        assert!(same(&found[0], &expected), "{expression}: {}", found[0]);
    }
}

/// Whatever the documents are, or for what this one has.
pub async fn what_cannot_be_computed_is_refused(database: Engine) {
    holding(&database, vec![doc! { "_id": 1, "s": "中", "n": 5 }]).await;
    for expression in [
        doc! { "$divide": [1, 0] },
        doc! { "$mod": [1, 0] },
        doc! { "$add": ["x", 1] },
        doc! { "$substrBytes": ["$s", 1, 1] },
        doc! { "$split": ["$s", ""] },
        doc! { "$switch": { "branches": [{ "case": false, "then": 1 }] } },
        doc! { "$range": [0, 5, 0] },
        doc! { "$abs": [1, 2] },
        doc! { "$nothing": 1 },
        doc! { "$arrayElemAt": ["$n", 0] },
        doc! { "$size": "$n" },
        doc! { "$toUpper": { "$literal": { "a": 1 } } },
        doc! { "$dateToString": { "date": "$n" } },
        doc! { "$dateFromString": { "dateString": "never" } },
        doc! { "$year": "$s" },
        doc! { "$cond": [true, 1] },
        doc! { "$concat": ["$n"] },
        doc! { "$sqrt": -1 },
        doc! { "$map": { "input": "$n", "in": "$$this" } },
        doc! { "$let": { "vars": {}, "in": "$$never" } },
    ] {
        let stages = vec![doc! { "$project": { "r": expression.clone() } }];
        refused(run(&database, stages).await, &expression);
        let filter = doc! { "$expr": { "$eq": [expression.clone(), 1] } };
        refused(database.find("c", by(filter), None).await, &expression);
    }
}
