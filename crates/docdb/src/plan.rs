//! How an index serves a query: key ranges, order, and whether the query has to be tested again.
//!
//! An index serves what its leading fields have conditions for: equalities (and `$in` as several), then one range, in
//! either direction; behind equalities it also gives an order. `$or` is the union of what serves each branch. A document
//! with an array has several entries, so documents may come more than once and are tested again, and two conditions on
//! one field may be met by different entries: their ranges are intersected only where the index has never seen an array,
//! or inside of one `$elemMatch`. Positions are found by cells of the sphere.

mod bounds;

use self::bounds::{Bounds, successor};
use crate::{
    geo::cells::Cell,
    index::{FieldKind, Index},
    key::{self, Direction},
    query::{Filter, Node, Predicate, Test},
    sort::{Sort, SortKey},
};

/// More ranges than this are left to the test of the document.
const MOST_RANGES: usize = 20_000;

/// Bytes of keys from `start` (inclusive) to `end` (exclusive; empty: to the end).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first key that is in.
    pub start: Vec<u8>,
    /// The first key that is not.
    pub end: Vec<u8>,
}

impl Range {
    /// If the range is of one value alone, in an index of one ascending field: `start` is its key then. Told for strings,
    /// numbers and ObjectIds.
    #[must_use]
    pub fn is_point(&self) -> bool {
        key::is_of_one_value(&self.start) && self.end == successor(self.start.clone())
    }
}

/// How to come by the documents that can meet a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where to look.
    pub access: Access,
    /// If the documents come in the order that was asked for.
    pub sorted: bool,
    /// If every document that comes meets the query: it need not be tested again.
    pub exact: bool,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// At all documents.
    Scan,
    /// Nowhere: no document meets the query.
    Nothing,
    /// At the entries of one index.
    Index(IndexScan),
    /// At the entries of several; a document is taken once.
    Union(Vec<IndexScan>),
}

/// Ranges of one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexScan {
    /// Which of the indexes, by its place in the list.
    pub index: usize,
    /// The ranges, in the order of their keys and apart from one another.
    pub ranges: Vec<Range>,
    /// If they are to be read from the end.
    pub reverse: bool,
}

/// A condition that every document has to meet.
struct Condition<'a> {
    path: String,
    bounds: Bounds,
    /// The bounds are of cells of the sphere, not of values.
    sphere: bool,
    /// Conditions of one group are met by one element.
    group: Option<usize>,
    alternatives: Option<&'a [Node]>,
}

impl Condition<'_> {
    fn of_cells(path: &str, cells: &[Cell]) -> Self {
        Self {
            path: path.to_owned(),
            bounds: Bounds::of_cells(cells),
            sphere: true,
            group: None,
            alternatives: None,
        }
    }
}

impl Plan {
    /// The plan for a query. `indexes` may hold one over `_id`; without `limit`, an index that gives nothing but the order
    /// is not taken, because a scan and a sort are cheaper then.
    #[must_use]
    pub fn new(filter: &Filter, sort: Option<&Sort>, limit: Option<usize>, indexes: &[Index]) -> Self {
        let mut conditions = Vec::new();
        let mut groups = 0;
        // A distance is always to be computed.
        let complete =
            collect(filter.root(), "", None, &mut groups, &mut conditions) && filter.near().is_none();
        if let Some(near) = filter.near()
            && let Some(cells) = near.query.cells()
        {
            conditions.push(Condition::of_cells(near.path.as_str(), &cells));
        }
        plan(
            &conditions,
            complete,
            sort,
            limit.is_some() || filter.is_empty(),
            indexes,
        )
    }
}

fn plan(
    conditions: &[Condition<'_>],
    complete: bool,
    sort: Option<&Sort>,
    order_alone: bool,
    indexes: &[Index],
) -> Plan {
    if conditions
        .iter()
        .any(|condition| condition.alternatives.is_none() && condition.bounds.intervals.is_empty())
    {
        return Plan {
            access: Access::Nothing,
            sorted: true,
            exact: true,
        };
    }
    let mut best: Option<(u32, Plan)> = None;
    for (at, index) in indexes.iter().enumerate() {
        if let Some(candidate) = serve(at, index, conditions, complete, sort, order_alone)
            && best.as_ref().is_none_or(|best| candidate.0 > best.0)
        {
            best = Some(candidate);
        }
    }
    let weight = best.as_ref().map_or(0, |best| best.0);
    if weight < EQUALITY
        && let Some(union) = union(conditions, complete, indexes)
    {
        return union;
    }
    best.map_or(
        Plan {
            access: Access::Scan,
            sorted: false,
            exact: complete && conditions.is_empty(),
        },
        |best| best.1,
    )
}

/// What speaks for an index; an equality outweighs everything that can stand beside it.
const EQUALITY: u32 = 100;
const UNIQUE: u32 = 50;
const TWO_ENDS: u32 = 40;
const ONE_END: u32 = 20;
const AREA: u32 = 60;
const ORDER: u32 = 30;

fn serve(
    at: usize,
    index: &Index,
    conditions: &[Condition<'_>],
    complete: bool,
    sort: Option<&Sort>,
    order_alone: bool,
) -> Option<(u32, Plan)> {
    let mut prefixes = vec![Vec::new()];
    let mut weight = 0;
    let mut used = 0;
    let mut exact = complete;
    let mut range: Option<Vec<(Vec<u8>, Vec<u8>)>> = None;
    let mut points = Vec::new();
    let mut located = false;
    for field in &index.fields {
        let sphere = field.kind == FieldKind::Sphere;
        let Some((bounds, taken)) = best_bounds(index, field.path.as_str(), sphere, conditions) else {
            break;
        };
        if index.sparse && points.is_empty() && bounds.holds_null() {
            return None;
        }
        if prefixes.len().saturating_mul(bounds.intervals.len()) > MOST_RANGES {
            break;
        }
        let intervals = match field.kind {
            FieldKind::Ordered(Direction::Descending) => bounds.inverted(),
            FieldKind::Ordered(Direction::Ascending) | FieldKind::Sphere => bounds.intervals.clone(),
        };
        used += taken;
        exact &= bounds.exact;
        if sphere {
            weight += AREA;
            range = Some(intervals);
            located = true;
            break;
        }
        if !bounds.points {
            weight += match bounds.intervals.as_slice() {
                [(start, end)] if start.len() > 1 && end.len() > 1 => TWO_ENDS,
                _ => ONE_END,
            };
            range = Some(intervals);
            break;
        }
        weight += EQUALITY;
        points.push(intervals.len());
        prefixes = prefixes
            .iter()
            .flat_map(|prefix| {
                intervals.iter().map(move |(start, _)| {
                    let mut longer = prefix.clone();
                    longer.extend_from_slice(start);
                    longer
                })
            })
            .collect();
    }
    // What has no position has no entry.
    if !located && index.fields.iter().any(|field| field.kind == FieldKind::Sphere) {
        return None;
    }
    if index.unique && points.len() == index.fields.len() {
        weight += UNIQUE;
    }
    let order = sort.and_then(|sort| order(index, sort, &points, range.is_some()));
    if order.is_some() && (weight > 0 || (order_alone && !index.sparse)) {
        weight += ORDER;
    }
    if weight == 0 {
        return None;
    }
    let ranges = match range {
        None => prefixes
            .into_iter()
            .map(|prefix| Range {
                end: successor(prefix.clone()),
                start: prefix,
            })
            .collect(),
        Some(intervals) => prefixes
            .iter()
            .flat_map(|prefix| {
                intervals.iter().map(move |(start, end)| {
                    let mut from = prefix.clone();
                    from.extend_from_slice(start);
                    let mut to = prefix.clone();
                    if end.is_empty() {
                        to = successor(to);
                    } else {
                        to.extend_from_slice(end);
                    }
                    Range { start: from, end: to }
                })
            })
            .collect(),
    };
    Some((
        weight,
        Plan {
            access: Access::Index(IndexScan {
                index: at,
                ranges,
                reverse: order == Some(Direction::Descending),
            }),
            sorted: order.is_some(),
            // What no index field took is still to be tested.
            exact: exact && used == conditions.len(),
        },
    ))
}

/// The bounds that the conditions on one path set, and how many conditions they stand for.
fn best_bounds(
    index: &Index,
    path: &str,
    sphere: bool,
    conditions: &[Condition<'_>],
) -> Option<(Bounds, usize)> {
    let mut groups: Vec<(Option<usize>, Bounds, usize)> = Vec::new();
    for condition in conditions {
        if condition.path != path || condition.sphere != sphere || condition.alternatives.is_some() {
            continue;
        }
        let same = groups.iter_mut().find(|group| {
            !sphere && !index.multikey || (condition.group.is_some() && group.0 == condition.group)
        });
        match same {
            Some(group) => {
                group.1 = group.1.intersection(&condition.bounds);
                group.2 += 1;
            }
            None => groups.push((condition.group, condition.bounds.clone(), 1)),
        }
    }
    groups
        .into_iter()
        .filter(|group| !group.1.is_everything())
        .max_by_key(|(_, bounds, _)| {
            let ends = bounds
                .intervals
                .iter()
                .all(|(start, end)| start.len() > 1 && end.len() > 1);
            (bounds.points, ends, usize::MAX - bounds.intervals.len())
        })
        .map(|(_, bounds, taken)| (bounds, taken))
}

/// In which direction the index is to be read to give an order, if it can. Of the fields with equalities `points` says how many values
/// each may have: one that has several gives an order as the others do, since its ranges are read in their order.
fn order(index: &Index, sort: &Sort, points: &[usize], ranged: bool) -> Option<Direction> {
    // Of an array the order wants the extreme element, which may be out of the range or another than the one that is met.
    if index.multikey && (ranged || points.iter().any(|count| *count > 1)) {
        return None;
    }
    let mut at = 0;
    let mut reading = None;
    for key in sort.keys() {
        let SortKey::Field(path, direction) = key else {
            return None;
        };
        // A field that is the same everywhere orders nothing, unless its other elements do.
        let mut equal = index.fields.iter().zip(points);
        if !index.multikey && equal.any(|(field, count)| *count == 1 && field.path == *path) {
            continue;
        }
        while points.get(at) == Some(&1) {
            at += 1;
        }
        let field = index.fields.get(at).filter(|field| field.path == *path)?;
        at += 1;
        let FieldKind::Ordered(kept) = field.kind else {
            return None;
        };
        let needed = if kept == *direction {
            Direction::Ascending
        } else {
            Direction::Descending
        };
        if *reading.get_or_insert(needed) != needed {
            return None;
        }
    }
    Some(reading.unwrap_or(Direction::Ascending))
}

/// What serves each branch of an `$or`.
fn union(conditions: &[Condition<'_>], complete: bool, indexes: &[Index]) -> Option<Plan> {
    let branches = conditions.iter().find_map(|condition| condition.alternatives)?;
    let mut scans = Vec::new();
    let mut exact = complete && conditions.len() == 1;
    for branch in branches {
        let mut conditions = Vec::new();
        let complete = collect(branch, "", None, &mut 0, &mut conditions);
        let plan = plan(&conditions, complete, None, false, indexes);
        exact &= plan.exact;
        match plan.access {
            Access::Scan => return None,
            Access::Nothing => {}
            Access::Index(scan) => scans.push(scan),
            Access::Union(more) => scans.extend(more),
        }
    }
    Some(Plan {
        access: if scans.is_empty() {
            Access::Nothing
        } else {
            Access::Union(scans)
        },
        sorted: false,
        exact,
    })
}

/// Adds the conditions that every document has to meet; says if they are all that the query says.
fn collect<'a>(
    node: &'a Node,
    above: &str,
    group: Option<usize>,
    groups: &mut usize,
    conditions: &mut Vec<Condition<'a>>,
) -> bool {
    match node {
        Node::And(nodes) => {
            let mut complete = true;
            for node in nodes {
                complete &= collect(node, above, group, groups, conditions);
            }
            complete
        }
        Node::Or(nodes) if nodes.len() == 1 => nodes
            .iter()
            .all(|node| collect(node, above, group, groups, conditions)),
        Node::Or(nodes) if above.is_empty() => {
            conditions.push(Condition {
                path: String::new(),
                bounds: Bounds::everything(),
                sphere: false,
                group: None,
                alternatives: Some(nodes),
            });
            true
        }
        Node::Field(path, predicate) => {
            let path = if above.is_empty() {
                path.as_str().to_owned()
            } else {
                format!("{above}.{}", path.as_str())
            };
            collect_predicate(predicate, &path, group, groups, conditions)
        }
        Node::Constant(true) => true,
        Node::Or(_) | Node::Nor(_) | Node::Expression(_) | Node::Constant(false) => false,
    }
}

fn collect_predicate<'a>(
    predicate: &'a Predicate,
    path: &str,
    group: Option<usize>,
    groups: &mut usize,
    conditions: &mut Vec<Condition<'a>>,
) -> bool {
    let mut push = |bounds: Bounds, group: Option<usize>| {
        conditions.push(Condition {
            path: path.to_owned(),
            bounds,
            sphere: false,
            group,
            alternatives: None,
        });
    };
    match predicate {
        Predicate::And(all) => {
            let mut complete = true;
            for predicate in all {
                complete &= collect_predicate(predicate, path, group, groups, conditions);
            }
            complete
        }
        Predicate::Not(predicate) => {
            if matches!(**predicate, Predicate::Test(Test::Exists)) && group.is_none() {
                push(Bounds::missing(), None);
            }
            false
        }
        Predicate::Test(Test::ElemMatch(condition)) => {
            // One element has to meet all that is inside.
            *groups += 1;
            let group = Some(*groups);
            match condition.parts() {
                (Some(predicate), _) => {
                    collect_predicate(predicate, path, group, groups, conditions);
                }
                (_, Some(node)) => {
                    collect(node, path, group, groups, conditions);
                }
                _ => {}
            }
            false
        }
        Predicate::Test(Test::GeoWithin(within)) => {
            if let Some(cells) = within.cells() {
                conditions.push(Condition::of_cells(path, &cells));
            }
            false
        }
        Predicate::Test(Test::GeoIntersects(intersects)) => {
            conditions.push(Condition::of_cells(path, &intersects.cells()));
            false
        }
        Predicate::Test(test) => {
            let bounds = Bounds::of(test);
            let complete = bounds.exact;
            if bounds.is_everything() {
                return false;
            }
            push(bounds, group);
            complete
        }
    }
}

#[cfg(test)]
mod tests;
