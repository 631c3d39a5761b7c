//! Values as MongoDB's server shows them in its error texts: `{ _id: ObjectId('…'), n: 1 }`. That is nearly how its shell writes them, but
//! not what reads back as the same value.

use bson::{Bson, Document};

/// A document on one line, as it stands in an error text of the server's, such as that of a duplicate key.
#[must_use]
pub fn in_error_text(document: &Document) -> String {
    if document.is_empty() {
        return "{}".to_owned();
    }
    let members: Vec<String> = document
        .iter()
        .map(|(name, member)| format!("{name}: {}", value_in_error_text(member)))
        .collect();
    format!("{{ {} }}", members.join(", "))
}

/// One value, as it stands in an error text of the server's.
#[must_use]
pub fn value_in_error_text(shown: &Bson) -> String {
    match shown {
        Bson::String(text) => super::write::quote(text),
        Bson::ObjectId(id) => format!("ObjectId('{id}')"),
        Bson::Document(inner) => in_error_text(inner),
        Bson::Array(elements) if elements.is_empty() => "[]".to_owned(),
        Bson::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(value_in_error_text).collect();
            format!("[ {} ]", elements.join(", "))
        }
        Bson::DateTime(date) => format!("new Date({})", date.timestamp_millis()),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.1}"),
        Bson::Decimal128(number) => format!("Decimal128('{number}')"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, doc, oid::ObjectId};

    use super::*;

    #[test]
    fn values_stand_as_the_shell_writes_them() {
        let id = ObjectId::from_bytes([1; 12]);
        let shown = in_error_text(&doc! {
            "_id": id, "name": "a\"张三　❤️", "n": 1, "d": 2.0, "at": DateTime::from_millis(5), "in": { "a": [1, []], "e": {} }, "none": Bson::Null,
        });
        let expected = "{ _id: ObjectId('010101010101010101010101'), name: \"a\\\"张三　❤️\", n: 1, d: 2.0, at: new Date(5), \
                        in: { a: [ 1, [] ], e: {} }, none: null }";
        assert_eq!(shown, expected);
    }
}
