//! Messages of MongoDB's wire protocol: no bytes break the reader, and what it read is answered with what a client can read.

use bson::{Document, RawDocumentBuf};
use wire::message::{DEEPEST, HEADER, LARGEST, MessageHeader, WireRequest};

pub(crate) fn target(data: &[u8]) {
    let Some((header, body)) = data.split_first_chunk::<HEADER>() else {
        return;
    };
    if let Ok(head) = MessageHeader::read(header) {
        assert!(head.body <= LARGEST - HEADER);
    }
    // A length that does not fit is refused; one that does is what most of a mutation's inputs would lack.
    let mut fitting = *header;
    fitting[..4].copy_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    for header in [header, &fitting] {
        if let Ok(request) = WireRequest::read(header, body) {
            answered(&request);
        }
    }
}

fn answered(request: &WireRequest) {
    assert!(depth(&request.command) <= DEEPEST + 1, "{}", request.command);
    let Ok(document) = RawDocumentBuf::try_from(&request.command) else {
        return;
    };
    let answer = request.answer(7, &document);
    let length = answer
        .first_chunk()
        .map(|length| u32::from_le_bytes(*length) as usize);
    assert_eq!(length, Some(answer.len()));
    assert_eq!(answer[8..12], request.id.to_le_bytes());
    assert!(answer.ends_with(document.as_bytes()));
}

fn depth(document: &Document) -> usize {
    let inner = document.values().map(|value| match value {
        bson::Bson::Document(inner) => depth(inner),
        bson::Bson::Array(elements) => {
            let elements = elements.iter().map(|element| match element {
                bson::Bson::Document(inner) => depth(inner),
                _ => 1,
            });
            1 + elements.max().unwrap_or(0)
        }
        _ => 0,
    });
    1 + inner.max().unwrap_or(0)
}
