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

/// A filter in which an `_id` of 24 hex digits means the ObjectId of these digits too. Programs of the platform are given an ObjectId as its
/// digits, since their SDKs have no word for it, and ask by what they were given.
#[must_use]
pub fn of_either_kind(filter: Document) -> Document {
    filter
        .into_iter()
        .map(|(name, value)| {
            let value = match (name.as_str(), value) {
                ("_id", value) => id_of_either_kind(value),
                ("$and" | "$or" | "$nor", Bson::Array(branches)) => branches
                    .into_iter()
                    .map(|branch| match branch {
                        Bson::Document(branch) => Bson::Document(of_either_kind(branch)),
                        other => other,
                    })
                    .collect::<Vec<_>>()
                    .into(),
                (_, value) => value,
            };
            (name, value)
        })
        .collect()
}

fn id_of_either_kind(condition: Bson) -> Bson {
    let mut operators = match condition {
        Bson::Document(operators) => operators,
        id => {
            return match object_id(&id) {
                Some(other) => doc! { "$in": [id, other] }.into(),
                None => id,
            };
        }
    };
    for (one, many) in [("$eq", "$in"), ("$ne", "$nin")] {
        if let Some(Bson::Array(ids)) = operators.get_mut(many) {
            let others: Vec<_> = ids.iter().filter_map(object_id).collect();
            ids.extend(others);
        } else if let Some(id) = operators.get(one).filter(|id| object_id(id).is_some()).cloned() {
            let both: Vec<_> = object_id(&id).into_iter().chain([id]).collect();
            operators.remove(one);
            operators.insert(many, both);
        }
    }
    operators.into()
}

/// The ObjectId of 24 hex digits.
fn object_id(id: &Bson) -> Option<Bson> {
    let digits = id.as_str().filter(|digits| digits.len() == 24)?;
    ObjectId::parse_str(digits).ok().map(Bson::ObjectId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_24_hex_digits_is_meant_as_either_kind() {
        let digits = "5fe06c4a7877e500019b7c59";
        let id = ObjectId::from_bytes([
            0x5f, 0xe0, 0x6c, 0x4a, 0x78, 0x77, 0xe5, 0x00, 0x01, 0x9b, 0x7c, 0x59,
        ]);
        for (filter, meant) in [
            (doc! { "_id": digits }, doc! { "_id": { "$in": [digits, id] } }),
            (
                doc! { "_id": { "$in": ["a", digits] } },
                doc! { "_id": { "$in": ["a", digits, id] } },
            ),
            (
                doc! { "_id": { "$ne": digits } },
                doc! { "_id": { "$nin": [id, digits] } },
            ),
            (
                doc! { "$and": [{ "_id": { "$eq": digits } }, { "n": 1 }] },
                doc! { "$and": [{ "_id": { "$in": [id, digits] } }, { "n": 1 }] },
            ),
        ] {
            assert_eq!(of_either_kind(filter), meant);
        }
        for same in [
            doc! { "_id": "79550af2604397df08a67e053d784295", "n": digits },
            doc! { "_id": { "$gt": digits } },
            doc! { "_id": "not-hex-digits-but-24-ch" },
        ] {
            assert_eq!(of_either_kind(same.clone()), same);
        }
    }

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
