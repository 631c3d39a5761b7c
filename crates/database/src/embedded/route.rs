//! How the documents of a query are come by: through the whole collection, by their ids, or along indexes.

use bson::Bson;
use docdb::{
    plan::{Access, IndexScan, Plan, Range},
    query::Filter,
    sort::Sort,
};

use super::{
    catalog::Collection,
    entries::{ID_AT, document_key},
    transaction::Overlay,
};
use crate::ID_INDEX;

/// The way to the documents that a filter has to look at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) scans: Vec<Scan>,
    /// The name of the index, or of the indexes.
    pub(crate) index: Option<String>,
    /// Whether they come in the order that was asked for.
    pub(crate) sorted: bool,
    /// Whether all that come match: none need be tested.
    pub(crate) exact: bool,
    /// Whether one may come more than once.
    pub(crate) repeats: bool,
    /// How many documents are looked at at most, where that is known before.
    pub(crate) most: Option<usize>,
}

/// The place of the index of `_id` among those that the planner knows.
const BY_ID: usize = 0;

/// Keys to walk along.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scan {
    /// Of documents; else of entries of an index.
    pub(crate) documents: bool,
    /// From the first key to the one that is not among them any more, in the order of the walk.
    pub(crate) ranges: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether each range is of one value: of documents, the first key alone.
    pub(crate) points: bool,
    /// From the last key to the first.
    pub(crate) backward: bool,
    /// Where the ranges are merged into one order: of each, how many bytes its keys begin with that do not count for that.
    pub(crate) merge: Option<Vec<usize>>,
}

impl Route {
    /// The best way for a filter and an order; `limit` says that few are wanted.
    pub(crate) fn of(
        collection: &Collection,
        filter: &Filter,
        sort: Option<&Sort>,
        limit: Option<usize>,
        overlay: Option<&Overlay>,
    ) -> Self {
        let plan = Plan::new(filter, sort, limit, &collection.plannable);
        // What a transaction wrote comes behind what stands in the file, and untested.
        let alone = overlay.is_none_or(|overlay| overlay.writes.is_empty());
        let mut route = Self {
            scans: Vec::new(),
            index: None,
            sorted: plan.sorted && alone,
            exact: plan.exact && alone,
            repeats: false,
            most: None,
        };
        match &plan.access {
            Access::Nothing => {}
            Access::Scan => route.scans.push(Scan {
                documents: true,
                ranges: vec![whole(collection.id)],
                points: false,
                backward: false,
                merge: None,
            }),
            Access::Index(scan) => route.add(collection, scan),
            Access::Union(scans) => {
                for scan in scans {
                    route.add(collection, scan);
                }
                route.repeats = true;
            }
        }
        route.most = match &plan.access {
            Access::Nothing => Some(0),
            Access::Index(scan) if scan.index == BY_ID && scan.ranges.iter().all(Range::is_point) => {
                Some(scan.ranges.len())
            }
            // Every document along the way matches, so no more than the limit are looked at.
            _ if route.exact && !route.repeats && (sort.is_none() || route.sorted) => limit,
            _ => None,
        };
        route
    }

    /// All documents behind the one of that id, by the order of their ids. `exact`: none need be tested.
    pub(crate) fn behind(collection: &Collection, exact: bool, after: Option<&Bson>) -> Self {
        let (mut from, to) = whole(collection.id);
        if let Some(id) = after {
            from = document_key(collection.id, id);
            // The next key that there can be.
            from.push(0);
        }
        Self {
            scans: vec![Scan {
                documents: true,
                ranges: vec![(from, to)],
                points: false,
                backward: false,
                merge: None,
            }],
            index: None,
            sorted: false,
            exact,
            repeats: false,
            most: None,
        }
    }

    fn add(&mut self, collection: &Collection, scan: &IndexScan) {
        // The first that the planner knows is that of `_id`, which the documents themselves are kept by.
        let index = scan
            .index
            .checked_sub(BY_ID + 1)
            .and_then(|at| collection.indexes.get(at));
        let (id, name) = index.map_or((collection.id, ID_INDEX), |index| {
            (index.id, index.spec.name.as_str())
        });
        let mut ranges: Vec<_> = scan.ranges.iter().map(|range| bounds(id, range)).collect();
        let merge = scan.merge.as_ref().map(|begins| {
            let begins = begins.iter().map(|begin| ID_AT + begin);
            begins.collect()
        });
        if scan.reverse && merge.is_none() {
            ranges.reverse();
        }
        self.repeats |= index.is_some_and(|index| index.multikey);
        self.scans.push(Scan {
            documents: index.is_none(),
            ranges,
            points: scan.ranges.iter().all(Range::is_point),
            backward: scan.reverse,
            merge,
        });
        self.index = Some(match self.index.take() {
            Some(before) if before != name => format!("{before}, {name}"),
            _ => name.to_owned(),
        });
    }
}

/// All keys that begin with that id.
fn whole(id: u32) -> (Vec<u8>, Vec<u8>) {
    (
        id.to_be_bytes().to_vec(),
        id.saturating_add(1).to_be_bytes().to_vec(),
    )
}

fn bounds(id: u32, range: &Range) -> (Vec<u8>, Vec<u8>) {
    let start = [&id.to_be_bytes(), range.start.as_slice()].concat();
    let end = if range.end.is_empty() {
        whole(id).1
    } else {
        [&id.to_be_bytes(), range.end.as_slice()].concat()
    };
    (start, end)
}
