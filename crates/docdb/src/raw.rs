//! Documents as BSON bytes, of which only some fields are decoded: most of what a scan costs is decoding.

use bson::{Bson, Document, RawDocument};

use crate::expr::Needs;

/// The top-level fields of a document that are needed, in their order; the rest is stepped over.
///
/// # Errors
/// Where the bytes are no BSON.
pub fn decode(document: &RawDocument, needs: &Needs) -> Result<Document, bson::error::Error> {
    let mut decoded = Document::new();
    let mut left = match needs {
        Needs::All => usize::MAX,
        Needs::Fields(fields) => fields.len(),
    };
    for element in document.iter_elements() {
        if left == 0 {
            break;
        }
        let element = element?;
        let name = element.key().as_str();
        if needs.contains(name) {
            decoded.insert(name, Bson::try_from(element.value()?)?);
            left -= 1;
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;
