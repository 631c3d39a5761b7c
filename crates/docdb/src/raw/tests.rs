#![allow(clippy::unwrap_used)]

use bson::doc;

use super::decode;
use crate::expr::Needs;

#[test]
fn only_what_is_needed() {
    let bytes = doc! {"_id": 1, "a": {"b": [1, 2]}, "c": "x", "d": 5}
        .to_vec()
        .unwrap();
    let some = Needs::Fields(["a", "d", "missing"].map(str::to_owned).into());
    assert_eq!(decode(&bytes, &some).unwrap(), doc! {"a": {"b": [1, 2]}, "d": 5});
    assert_eq!(decode(&bytes, &Needs::All).unwrap().len(), 4);
    assert!(decode(&bytes, &Needs::default()).unwrap().is_empty());
}
