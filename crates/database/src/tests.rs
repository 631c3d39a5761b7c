//! The embedded engine held to the contract, in memory and on disk; and what it alone can show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod embedded;

use bson::{Bson, Document, RawDocumentBuf, doc};

use crate::{Database, Embedded, Find, Found, Options};

fn memory() -> Embedded {
    Embedded::in_memory(Options::default()).unwrap()
}

async fn with_collection(name: &str) -> Embedded {
    let database = memory();
    database.create_collection(name).await.unwrap();
    database
}

fn documents(found: &Found) -> Vec<Document> {
    let decode = |raw: &RawDocumentBuf| Document::try_from(raw.as_ref()).unwrap();
    found.documents.iter().map(decode).collect()
}

fn ids(found: &Found) -> Vec<Bson> {
    documents(found)
        .into_iter()
        .map(|document| document["_id"].clone())
        .collect()
}

fn all() -> Find {
    Find {
        sort: Some(doc! { "_id": 1 }),
        ..Find::default()
    }
}
