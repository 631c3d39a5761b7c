//! Documents as BSON, one behind the other: between programs, where nothing may be read as something else.

use bson::RawDocumentBuf;

/// Takes such bytes apart; `None` where they are none.
#[must_use]
pub fn bson_documents(mut bytes: &[u8]) -> Option<Vec<RawDocumentBuf>> {
    let mut documents = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()?;
        let (document, rest) = bytes.split_at_checked(length)?;
        documents.push(RawDocumentBuf::from_bytes(document.to_vec()).ok()?);
        bytes = rest;
    }
    Some(documents)
}
