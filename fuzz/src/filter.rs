//! A query on the first line, documents on the others: parsing and matching end, and what a plan finds by indexes is what a
//! scan finds.

use bson::{DateTime, Document, RawDocumentBuf};
use docdb::{
    Context,
    expr::Variables,
    index::Index,
    key::Direction::{Ascending, Descending},
    plan::{Access, IndexScan, Plan},
    query::Filter,
};

pub(crate) fn target(data: &[u8]) {
    let lines = crate::ejson::lines(data);
    let Some((query, documents)) = lines.split_first() else {
        return;
    };
    let filter = match Filter::parse(query) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.code_name().is_empty());
            return;
        }
    };
    let context = Context::new(DateTime::from_millis(0), 1);
    let mut met = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        // What the bytes tell is what the document tells.
        let raw = RawDocumentBuf::try_from(document);
        if let Some(told) = raw
            .ok()
            .and_then(|raw| filter.matches_raw(raw.as_bytes(), &context))
        {
            let met = filter.matches(document, &Variables::none(), &context);
            assert!(!met.is_ok_and(|met| met != told), "{query} of {document}");
        }
        match filter.matches(document, &Variables::none(), &context) {
            Ok(true) => met.push(at),
            Ok(false) => {}
            Err(_) => return,
        }
    }
    let fields = [
        &[("a", Ascending), ("b", Descending)][..],
        &[("a.b", Descending)],
        &[("b", Ascending)],
        &[("_id", Ascending)],
    ];
    let mut indexes: Vec<Index> = fields
        .iter()
        .filter_map(|fields| Index::new(fields).ok())
        .collect();
    for index in &mut indexes {
        index.multikey = documents
            .iter()
            .any(|document| index.entries(document).is_ok_and(|entries| entries.multikey));
    }
    let plan = Plan::new(&filter, None, None, &indexes);
    let mut found = match &plan.access {
        Access::Scan => return,
        Access::Nothing => Vec::new(),
        Access::Index(scan) => read(scan, &indexes, documents),
        Access::Union(scans) => scans
            .iter()
            .flat_map(|scan| read(scan, &indexes, documents))
            .collect(),
    };
    found.sort_unstable();
    found.dedup();
    assert!(
        met.iter().all(|at| found.contains(at)),
        "{query} misses documents by {plan:?}"
    );
    if plan.exact {
        assert_eq!(found, met, "{query} finds too much by {plan:?}");
    }
}

fn read(scan: &IndexScan, indexes: &[Index], documents: &[Document]) -> Vec<usize> {
    let Some(index) = indexes.get(scan.index) else {
        return Vec::new();
    };
    let within = |key: &Vec<u8>| {
        scan.ranges
            .iter()
            .any(|range| range.start <= *key && (range.end.is_empty() || *key < range.end))
    };
    documents
        .iter()
        .enumerate()
        .filter(|(_, document)| {
            index
                .entries(document)
                .is_ok_and(|entries| entries.keys.iter().any(within))
        })
        .map(|(at, _)| at)
        .collect()
}
