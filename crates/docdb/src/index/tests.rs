#![allow(clippy::unwrap_used)]

use bson::{Bson, bson, doc};

use super::Index;
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
    let many: Vec<i32> = (0..1000).collect();
    assert!(
        index
            .entries(&doc! {"a": many.clone(), "b": {"c": many}})
            .is_err()
    );
}
