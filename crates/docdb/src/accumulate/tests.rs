#![expect(clippy::expect_used, reason = "a test may fail here")]

use bson::{Bson, DateTime, Document, bson, doc};

use super::Accumulator;
use crate::{Context, error::Result, expr::Variables};

fn run(accumulator: Bson, documents: &[Document]) -> Result<Bson> {
    let context = Context::new(DateTime::from_millis(0), 1);
    let accumulator = Accumulator::parse("field", &accumulator, &[])?;
    let mut state = accumulator.start(&Bson::Null, &Variables::none(), &context)?;
    for document in documents {
        accumulator.add(&mut state, document, &Variables::none(), &context)?;
    }
    Ok(accumulator.finish(state))
}

fn documents() -> Vec<Document> {
    vec![
        doc! {"v": 3, "t": "c"},
        doc! {"v": "x", "t": "a"},
        doc! {"t": "b"},
        doc! {"v": null, "t": "e"},
        doc! {"v": 3.0, "t": "d"},
        doc! {"v": 1, "t": "f"},
    ]
}

#[track_caller]
fn gives(accumulator: Bson, expected: Bson) {
    assert_eq!(run(accumulator, &documents()), Ok(expected));
}

#[test]
fn missing_is_skipped_and_null_is_kept() {
    gives(bson!({"$push": "$v"}), bson!([3, "x", null, 3.0, 1]));
    gives(bson!({"$addToSet": "$v"}), bson!([3, "x", null, 1]));
    gives(bson!({"$firstN": {"input": "$v", "n": 3}}), bson!([3, "x", null]));
}

#[test]
fn sums_look_at_numbers_alone() {
    gives(bson!({"$sum": "$v"}), bson!(7.0));
    gives(bson!({"$avg": "$v"}), bson!(7.0 / 3.0));
    gives(bson!({"$sum": 1}), bson!(6));
    gives(bson!({"$count": {}}), bson!(6));
    let tenths = [doc! {"v": 0.1}, doc! {"v": 0.2}, doc! {"v": 0.3}];
    assert_eq!(run(bson!({"$sum": "$v"}), &tenths), Ok(bson!(0.6)));
    assert_eq!(
        run(bson!({"$sum": "$v"}), &[doc! {"v": i64::MAX}, doc! {"v": 1}]),
        Ok(bson!(9_223_372_036_854_775_808.0))
    );
}

#[test]
fn of_nothing_there_is_null() {
    for operator in ["$avg", "$min", "$max", "$stdDevPop", "$stdDevSamp", "$first"] {
        assert_eq!(
            run(bson!({operator: "$nothing"}), &documents()),
            Ok(Bson::Null),
            "{operator}"
        );
    }
    assert_eq!(run(bson!({"$sum": "$nothing"}), &documents()), Ok(bson!(0)));
    assert_eq!(
        run(bson!({"$stdDevSamp": "$v"}), &[doc! {"v": 1}]),
        Ok(Bson::Null)
    );
}

#[test]
fn extremes_compare_across_types() {
    gives(bson!({"$min": "$v"}), bson!(1));
    gives(bson!({"$max": "$v"}), bson!("x"));
    gives(bson!({"$minN": {"input": "$v", "n": 2}}), bson!([1, 3]));
    gives(bson!({"$maxN": {"input": "$v", "n": 2}}), bson!(["x", 3]));
    gives(bson!({"$top": {"sortBy": {"t": 1}, "output": "$v"}}), bson!("x"));
    gives(
        bson!({"$topN": {"sortBy": {"t": 1}, "output": "$t", "n": 2}}),
        bson!(["a", "b"]),
    );
    gives(
        bson!({"$bottomN": {"sortBy": {"t": 1}, "output": "$t", "n": 2}}),
        bson!(["e", "f"]),
    );
    gives(
        bson!({"$bottom": {"sortBy": {"t": 1}, "output": "$t"}}),
        bson!("f"),
    );
    gives(bson!({"$lastN": {"input": "$t", "n": 2}}), bson!(["d", "f"]));
}

#[test]
fn what_is_wrong_is_refused() {
    let code = |accumulator: Bson| {
        Accumulator::parse("field", &accumulator, &[])
            .expect_err("refused")
            .code
    };
    assert_eq!(code(bson!(1)), 40234);
    assert_eq!(code(bson!({"$sum": 1, "$avg": 1})), 40238);
    assert_eq!(code(bson!({"$sum": [1, 2]})), 40237);
    assert_eq!(code(bson!({"$nothing": 1})), 15952);
    assert_eq!(code(bson!({"$firstN": {"input": "$v", "n": 0}})), 7_548_606);
    assert_eq!(
        run(bson!({"$mergeObjects": "$v"}), &documents())
            .expect_err("refused")
            .code,
        5_911_200
    );
}
