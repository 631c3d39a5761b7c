//! The kinds of `_id`s in their order. MongoDB compares values of one kind with each other alone, so that `{$gt: "x"}` finds texts and
//! nothing else: whoever goes through a collection by `_id` asks for one kind after the other.

use bson::{Binary, Bson, DateTime, Document, Timestamp, doc, oid::ObjectId, spec::BinarySubtype};

/// What all `_id`s of one kind meet, by its place in the order of the kinds; `None` behind the last one. An array or a pattern is no
/// `_id`, and neither is what JavaScript has no word for.
#[must_use]
pub fn id_kind(number: usize) -> Option<Document> {
    let just = |value: Bson| doc! { "$eq": value };
    let from = |least: Bson| doc! { "$gte": least };
    Some(match number {
        0 => just(Bson::MinKey),
        1 => just(Bson::Null),
        2 => just(Bson::Double(f64::NAN)),
        3 => from(Bson::Double(f64::NEG_INFINITY)),
        4 => from(Bson::String(String::new())),
        5 => from(Bson::Document(Document::new())),
        6 => from(Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: Vec::new(),
        })),
        7 => from(Bson::ObjectId(ObjectId::from_bytes([0; 12]))),
        8 => from(Bson::Boolean(false)),
        9 => from(Bson::DateTime(DateTime::MIN)),
        10 => from(Bson::Timestamp(Timestamp {
            time: 0,
            increment: 0,
        })),
        11 => just(Bson::MaxKey),
        _ => return None,
    })
}

/// The place of an `_id`'s kind in the order of the kinds.
#[must_use]
pub const fn id_kind_of(id: &Bson) -> usize {
    match id {
        Bson::MinKey => 0,
        Bson::Null | Bson::Undefined => 1,
        Bson::Double(number) if number.is_nan() => 2,
        Bson::Double(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Decimal128(_) => 3,
        Bson::String(_) | Bson::Symbol(_) => 4,
        Bson::Document(_) => 5,
        Bson::Binary(_) => 6,
        Bson::ObjectId(_) => 7,
        Bson::Boolean(_) => 8,
        Bson::DateTime(_) => 9,
        Bson::Timestamp(_) => 10,
        _ => 11,
    }
}

/// A filter of the documents whose `_id` comes behind this one, of whatever kind.
#[must_use]
pub fn behind_id(id: &Bson) -> Document {
    let number = id_kind_of(id);
    // `$gt` of what is alone in its kind finds nothing, or everything.
    let is_alone = id_kind(number).is_none_or(|kind| kind.contains_key("$eq"));
    let rest = (!is_alone).then(|| doc! { "$gt": id.clone() });
    let later = (number + 1..).map_while(id_kind);
    let branches: Vec<Document> = rest
        .into_iter()
        .chain(later)
        .map(|by_id| doc! { "_id": by_id })
        .collect();
    match branches.is_empty() {
        true => doc! { "_id": { "$in": [] } },
        false => doc! { "$or": branches },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_nan_come_the_numbers_and_behind_the_last_kind_nothing() {
        let branches = |id: Bson| {
            let filter = behind_id(&id);
            let branches = filter.get_array("$or").cloned().unwrap_or_default();
            (branches.first().cloned(), branches.len())
        };
        let numbers = Bson::Document(doc! { "_id": { "$gte": f64::NEG_INFINITY } });
        assert_eq!(branches(f64::NAN.into()), (Some(numbers), 9));
        let more = Bson::Document(doc! { "_id": { "$gt": 5 } });
        assert_eq!(branches(5.into()), (Some(more), 9));
        assert_eq!(behind_id(&Bson::MaxKey), doc! { "_id": { "$in": [] } });
    }
}
