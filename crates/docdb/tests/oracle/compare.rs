//! Comparison as the suite makes it: numbers by value, fields in any order.

use std::cmp::Ordering;

use bson::{Bson, Document};

/// If two values are the same, whatever the order of fields.
pub(crate) fn same(left: &Bson, right: &Bson) -> bool {
    yunqiao_docdb::order::equal(&with_sorted_fields(left), &with_sorted_fields(right))
}

/// Sorts a list whose order does not count.
pub(crate) fn sort(elements: &mut [Bson]) {
    elements.sort_by(order);
}

fn order(left: &Bson, right: &Bson) -> Ordering {
    yunqiao_docdb::order::compare(&with_sorted_fields(left), &with_sorted_fields(right))
}

fn with_sorted_fields(value: &Bson) -> Bson {
    match value {
        Bson::Document(document) => {
            let mut fields: Vec<(String, Bson)> = document
                .iter()
                .map(|(name, value)| (name.clone(), with_sorted_fields(value)))
                .collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Bson::Document(fields.into_iter().collect::<Document>())
        }
        Bson::Array(elements) => Bson::Array(elements.iter().map(with_sorted_fields).collect()),
        other => other.clone(),
    }
}
