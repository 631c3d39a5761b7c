//! Two values on two lines: the order of their key bytes is their order, in either direction, and none is the beginning of
//! the other's.

use bson::Bson;
use docdb::{
    key::{Direction, of, push},
    order::compare,
};

pub(crate) fn target(data: &[u8]) {
    let values: Vec<Bson> = data
        .split(|byte| *byte == b'\n')
        .take(4)
        .filter_map(|line| ejson::read(line).ok())
        .collect();
    for left in &values {
        for right in &values {
            let order = compare(left, right);
            assert_eq!(compare(right, left), order.reverse());
            let (left_key, right_key) = (of(left), of(right));
            assert_eq!(left_key.cmp(&right_key), order, "{left} {right}");
            assert_eq!(left_key.starts_with(&right_key), order.is_eq(), "{left} {right}");
            let descending = |value| {
                let mut key = Vec::new();
                push(&mut key, value, Direction::Descending);
                key
            };
            assert_eq!(
                descending(left).cmp(&descending(right)),
                order.reverse(),
                "{left} {right}"
            );
        }
    }
}
