//! The nearest few: an index of places is walked along in ever larger areas around the point, until so many are found that nothing
//! outside of the area can be nearer.

use std::collections::HashSet;

use docdb::{
    geo::Rings,
    query::{Filter, Near},
    sort::Sort,
};

use super::{catalog::Collection, route::Route, transaction::Overlay};
use crate::IndexKind;

type KeyRange = (Vec<u8>, Vec<u8>);

/// A walk from the inside to the outside.
pub(crate) struct NearWalk<'a> {
    collection: &'a Collection,
    filter: &'a Filter,
    near: &'a Near,
    wanted: usize,
    rings: Rings,
    /// Where it has been, by the names of indexes.
    walked: Vec<(Option<String>, Vec<KeyRange>)>,
    met: HashSet<Vec<u8>>,
}

impl<'a> NearWalk<'a> {
    /// For so many; `None` where it is not said how many are wanted, or another index leads to them, or a transaction has written
    /// some that are in no index.
    pub(crate) fn of(
        collection: &'a Collection,
        filter: &'a Filter,
        sort: Option<&Sort>,
        wanted: Option<usize>,
        overlay: Option<&Overlay>,
    ) -> Option<Self> {
        let near = filter.near()?;
        if sort.is_some() || overlay.is_some_and(|overlay| !overlay.writes.is_empty()) {
            return None;
        }
        let walk = Self {
            collection,
            filter,
            near,
            wanted: wanted?,
            rings: near.query.rings()?,
            walked: Vec::new(),
            met: HashSet::new(),
        };
        let route = walk.whole_area();
        let by_place = collection
            .indexes
            .iter()
            .filter(|index| Some(&index.spec.name) == route.index.as_ref())
            .flat_map(|index| &index.spec.fields)
            .any(|field| field.kind == IndexKind::Sphere && field.path == near.path.as_str());
        by_place.then_some(walk)
    }

    /// Where it leads.
    pub(crate) const fn collection(&self) -> &'a Collection {
        self.collection
    }

    /// The way to all in the area.
    fn whole_area(&self) -> Route {
        let near = Near {
            path: self.near.path.clone(),
            query: self.near.query.within(self.rings.radius()),
        };
        let filter = self.filter.clone().nearby(near);
        Route::of(self.collection, &filter, None, Some(self.wanted), None)
    }

    /// The way to those in the area that it has not been led to yet.
    pub(crate) fn area(&mut self) -> Route {
        let mut route = self.whole_area();
        let mut walked = Vec::new();
        for scan in &mut route.scans {
            walked.extend(scan.ranges.iter().cloned());
            for (name, ranges) in &self.walked {
                if *name == route.index {
                    scan.ranges = without(&scan.ranges, ranges);
                }
            }
        }
        self.walked.push((route.index.clone(), walked));
        route
    }

    /// Whether a document is met for the first time: one with several places, or a large one, has several entries.
    pub(crate) fn is_new(&mut self, key: &[u8]) -> bool {
        self.met.insert(key.to_vec())
    }

    /// Nothing that was not met yet is nearer than this.
    pub(crate) fn radius(&self) -> f64 {
        self.rings.radius()
    }

    /// Goes on to a larger area, after so many were found within this one; false where that is not needed, or there is none.
    pub(crate) fn grow(&mut self, found: usize) -> bool {
        found < self.wanted && self.rings.grow(found, self.wanted)
    }
}

/// The parts of `ranges` that are in none of `others`; both are in the order of their keys.
fn without(ranges: &[KeyRange], others: &[KeyRange]) -> Vec<KeyRange> {
    let mut left = Vec::new();
    for (from, to) in ranges {
        let mut from = from.clone();
        for (start, end) in others {
            if *end <= from {
                continue;
            }
            if *start >= *to {
                break;
            }
            if *start > from {
                left.push((from, start.clone()));
            }
            from = end.clone();
            if from >= *to {
                break;
            }
        }
        if from < *to {
            left.push((from, to.clone()));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges() -> impl Strategy<Value = Vec<KeyRange>> {
        proptest::collection::btree_set(0..60_u8, 0..12).prop_map(|ends| {
            let ends: Vec<u8> = ends.into_iter().collect();
            ends.chunks_exact(2)
                .map(|ends| (vec![ends[0]], vec![ends[1]]))
                .collect()
        })
    }

    fn holds(ranges: &[KeyRange], key: u8) -> bool {
        ranges
            .iter()
            .any(|(from, to)| from.as_slice() <= &[key][..] && &[key][..] < to.as_slice())
    }

    proptest! {
        #[test]
        fn what_is_left_is_in_the_one_and_not_in_the_other(one in ranges(), other in ranges()) {
            let left = without(&one, &other);
            for key in 0..60 {
                prop_assert_eq!(holds(&left, key), holds(&one, key) && !holds(&other, key));
            }
        }
    }
}
