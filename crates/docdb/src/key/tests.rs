#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, bson};

use super::of;
use crate::order::compare;

#[test]
fn keys_are_in_the_order_of_their_values() {
    let values = [
        Bson::Null,
        Bson::Double(f64::NAN),
        Bson::Double(f64::NEG_INFINITY),
        Bson::Int64(i64::MIN),
        Bson::Int64(i64::MIN + 1),
        Bson::Int32(-1),
        Bson::Double(-0.0),
        Bson::Int32(1),
        Bson::Double(1.5),
        Bson::Double(9_007_199_254_740_992.0),
        Bson::Int64(9_007_199_254_740_993),
        Bson::Int64(i64::MAX - 1),
        Bson::Int64(i64::MAX),
        Bson::Double(9_223_372_036_854_775_808.0),
        Bson::Double(f64::INFINITY),
        bson!(""),
        bson!("\0"),
        bson!("a"),
        bson!("a\0"),
        bson!("a\0b"),
        bson!("ab"),
        bson!({}),
        bson!({"b": 1}),
        bson!({"b": 1, "a": 1}),
        bson!({"a": "x"}),
        bson!([]),
        bson!([1]),
        bson!([1, 1]),
        bson!([2]),
        bson!([[]]),
        bson!(false),
        bson!(true),
    ];
    for (at, left) in values.iter().enumerate() {
        for (to, right) in values.iter().enumerate() {
            assert_eq!(compare(left, right), at.cmp(&to), "{left:?} {right:?}");
            assert_eq!(of(left).cmp(&of(right)), at.cmp(&to), "{left:?} {right:?}");
        }
    }
}

#[test]
fn one_number_has_one_key_in_all_its_types() {
    for number in [0, 1, -7, i32::MAX] {
        let key = of(&Bson::Int32(number));
        assert_eq!(key, of(&Bson::Int64(i64::from(number))));
        assert_eq!(key, of(&Bson::Double(f64::from(number))));
    }
    assert_eq!(of(&Bson::Double(-0.0)), of(&Bson::Int32(0)));
    assert_eq!(
        of(&Bson::Int64(i64::MIN)),
        of(&Bson::Double(-9_223_372_036_854_775_808.0))
    );
}
