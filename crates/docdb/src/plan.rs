//! How an index serves a query: key ranges, order, and whether the query has to be tested again.
//!
//! An index serves what its leading fields have conditions for: equalities (and `$in` as several), then one range, in
//! either direction; behind equalities it also gives an order, and behind several values of one field (`$in`) an order that
//! the ranges are merged into. `$or` is the union of what serves each branch; along one index its ranges are merged too. A document
//! with an array has several entries, so documents may come more than once and are tested again, and two conditions on
//! one field may be met by different entries: their ranges are intersected only where the index has never seen an array,
//! or where one `$elemMatch` is about the element itself. Fields below one array have entries of one element each: conditions on two
//! of them are taken together inside of one `$elemMatch` alone, and conditions on one say nothing of the order by another. Positions are found by cells of the sphere.

mod bounds;

use self::bounds::{Bounds, successor};
use crate::{
    geo::cells::Cell,
    index::{FieldKind, Index, KeyField},
    key::{self, Direction},
    query::{Filter, Node, Predicate, Test},
    sort::{Sort, SortKey},
};

/// More ranges than this are left to the test of the document.
const MOST_RANGES: usize = 20_000;
/// More ranges than this are not merged: each of them is open at once.
const MOST_MERGED: usize = 256;

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
    /// The ranges, in the order of their keys and apart from one another, unless they are merged.
    pub ranges: Vec<Range>,
    /// If they are to be read from the end.
    pub reverse: bool,
    /// Where the ranges are to be merged into one order: of each range, how many bytes its keys begin with that do not count
    /// for that. Several ranges may hold the same document then.
    pub merge: Option<Vec<usize>>,
}

/// A condition that every document has to meet.
struct Condition<'a> {
    path: String,
    bounds: Bounds,
    /// The bounds are of cells of the sphere, not of values.
    sphere: bool,
    /// Conditions of one group are met by one element.
    group: Option<Group>,
    alternatives: Option<&'a [Node]>,
}

/// One `$elemMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    number: usize,
    /// How many parts the path of the array has.
    parts: usize,
}

impl Group {
    /// How many parts of a path lead on from the element.
    fn below(self, path: &str) -> usize {
        path.split('.').count() - self.parts
    }
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
        lead(
            &conditions,
            complete,
            sort,
            limit.is_some() || filter.is_empty(),
            indexes,
        )
        .plan
    }
}

/// A plan, and how its ranges can be merged with others.
struct MergeablePlan {
    weight: u32,
    plan: Plan,
    merge: Option<Merge>,
}

/// How the ranges of an index are merged into an order.
struct Merge {
    /// Of each range, how many bytes its keys begin with that do not count.
    begins: Vec<usize>,
    direction: Direction,
}

impl MergeablePlan {
    const fn by(plan: Plan) -> Self {
        Self {
            weight: 0,
            plan,
            merge: None,
        }
    }
}

fn lead(
    conditions: &[Condition<'_>],
    complete: bool,
    sort: Option<&Sort>,
    order_alone: bool,
    indexes: &[Index],
) -> MergeablePlan {
    if conditions
        .iter()
        .any(|condition| condition.alternatives.is_none() && condition.bounds.intervals.is_empty())
    {
        return MergeablePlan::by(Plan {
            access: Access::Nothing,
            sorted: true,
            exact: true,
        });
    }
    let mut best: Option<MergeablePlan> = None;
    for (at, index) in indexes.iter().enumerate() {
        if let Some(candidate) = serve(at, index, conditions, complete, sort, order_alone)
            && best.as_ref().is_none_or(|best| candidate.weight > best.weight)
        {
            best = Some(candidate);
        }
    }
    let weight = best.as_ref().map_or(0, |best| best.weight);
    if weight < EQUALITY
        && let Some(union) = union(conditions, complete, sort, indexes)
    {
        return MergeablePlan::by(union);
    }
    best.unwrap_or_else(|| {
        MergeablePlan::by(Plan {
            access: Access::Scan,
            sorted: false,
            exact: complete && conditions.is_empty(),
        })
    })
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
) -> Option<MergeablePlan> {
    let mut prefixes = vec![Prefix::default()];
    let mut weight = 0;
    let mut used = 0;
    let mut exact = complete;
    let mut range: Option<Vec<(Vec<u8>, Vec<u8>)>> = None;
    let mut points = Vec::new();
    let mut located = false;
    // What is bounded: the field, and which one element meets it.
    let mut bounded: Vec<(&KeyField, Option<Group>)> = Vec::new();
    for field in &index.fields {
        let sphere = field.kind == FieldKind::Sphere;
        // Where entries are of one element, conditions that different elements may meet are not to be sought in one entry.
        let beside = (index.multikey && !index.is_crossed())
            .then(|| {
                bounded
                    .iter()
                    .find(|(before, _)| before.path.first() == field.path.first())
            })
            .flatten();
        let element = beside.map(|(_, group)| *group);
        let Some((bounds, taken, group)) = best_bounds(index, field, sphere, conditions, element) else {
            break;
        };
        bounded.push((field, group));
        // There an element that is no document has no entry, and its field is missing all the same.
        let is_below = field.path.parts().len() > 1;
        if index.multikey && index.is_crossed() && is_below && bounds.holds_null() {
            break;
        }
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
            .flat_map(|prefix| intervals.iter().map(move |(start, _)| prefix.longer(start)))
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
    let merged = sort
        .filter(|_| prefixes.len() <= MOST_MERGED)
        .and_then(|sort| merged_order(index, sort, points.len()));
    if (order.is_some() || merged.is_some()) && (weight > 0 || (order_alone && !index.sparse)) {
        weight += ORDER;
    }
    if weight == 0 {
        return None;
    }
    let ranges = match range {
        None => prefixes
            .iter()
            .map(|prefix| Range {
                start: prefix.key.clone(),
                end: successor(prefix.key.clone()),
            })
            .collect::<Vec<_>>(),
        Some(intervals) => prefixes
            .iter()
            .flat_map(|prefix| {
                intervals.iter().map(move |(start, end)| {
                    let mut from = prefix.key.clone();
                    from.extend_from_slice(start);
                    let mut to = prefix.key.clone();
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
    // Each prefix has as many ranges as the others.
    let each = ranges.len() / prefixes.len().max(1);
    let merge = merged.map(|(from, direction)| Merge {
        begins: prefixes
            .iter()
            .flat_map(|prefix| std::iter::repeat_n(prefix.end_of(from), each))
            .collect(),
        direction,
    });
    let merged = merge
        .as_ref()
        .filter(|_| order.is_none() && ranges.len() <= MOST_MERGED);
    let direction = order.or(merged.map(|merge| merge.direction));
    let merged = merged.map(|merge| merge.begins.clone());
    Some(MergeablePlan {
        weight,
        plan: Plan {
            access: Access::Index(IndexScan {
                index: at,
                ranges,
                reverse: direction == Some(Direction::Descending),
                merge: merged,
            }),
            sorted: direction.is_some(),
            // What no index field took is still to be tested.
            exact: exact && used == conditions.len(),
        },
        merge,
    })
}

/// The key of values of the first fields of an index.
#[derive(Clone, Debug, Default)]
struct Prefix {
    key: Vec<u8>,
    /// Where each of them ends in it.
    ends: Vec<usize>,
}

impl Prefix {
    fn longer(&self, value: &[u8]) -> Self {
        let mut longer = self.clone();
        longer.key.extend_from_slice(value);
        longer.ends.push(longer.key.len());
        longer
    }

    /// Where the first so many fields end.
    fn end_of(&self, fields: usize) -> usize {
        let last = fields.checked_sub(1).and_then(|last| self.ends.get(last));
        last.copied().unwrap_or(0)
    }
}

/// The bounds that the conditions on one field set, how many conditions they stand for, and whose `$elemMatch` they are. With `element`
/// only conditions count that the same element meets.
fn best_bounds(
    index: &Index,
    field: &KeyField,
    sphere: bool,
    conditions: &[Condition<'_>],
    element: Option<Option<Group>>,
) -> Option<(Bounds, usize, Option<Group>)> {
    let path = field.path.as_str();
    let mut groups: Vec<(Option<Group>, Bounds, usize)> = Vec::new();
    for condition in conditions {
        if condition.path != path || condition.sphere != sphere || condition.alternatives.is_some() {
            continue;
        }
        let is_within = |most: usize| condition.group.is_some_and(|group| group.below(path) <= most);
        // Further below there may be arrays again.
        if element.is_some_and(|element| condition.group != element || !is_within(1)) {
            continue;
        }
        let same = groups
            .iter_mut()
            .find(|group| !sphere && !index.multikey || (is_within(0) && group.0 == condition.group));
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
        .map(|(group, bounds, taken)| {
            let group = group.filter(|group| group.below(path) <= 1);
            (bounds, taken, group)
        })
}

/// In which direction the index is to be read to give an order, if it can. Of the fields with equalities `points` says how many values
/// each may have: one that has several gives an order as the others do, since its ranges are read in their order.
fn order(index: &Index, sort: &Sort, points: &[usize], ranged: bool) -> Option<Direction> {
    // Of an array the order wants the extreme element, which may be out of the range or another than the one that is met.
    if index.multikey && (ranged || points.iter().any(|count| *count > 1)) {
        return None;
    }
    if index.multikey {
        // Entries of old are no tuples of the order, and those with a value of one element do not tell of the others.
        let is_below = |field: &KeyField| field.path.parts().len() > 1;
        if index.is_crossed() && index.fields.iter().any(is_below) {
            return None;
        }
        let given: Vec<&str> = index
            .fields
            .iter()
            .zip(points)
            .map(|(field, _)| field.path.first())
            .collect();
        let is_beside =
            |key: &SortKey| matches!(key, SortKey::Field(path, _) if given.contains(&path.first()));
        if sort.keys().iter().any(is_beside) {
            return None;
        }
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

/// From which field on, and in which direction, an index gives an order within each range of keys that begin with the same
/// values of the fields before: then the ranges can be merged. Of the first `points` fields the values are given.
fn merged_order(index: &Index, sort: &Sort, points: usize) -> Option<(usize, Direction)> {
    // Of an array the order wants the extreme element, and that one once.
    if index.multikey {
        return None;
    }
    let mut reading = None;
    let mut from = None;
    for (at, key) in sort.keys().iter().enumerate() {
        let SortKey::Field(path, direction) = key else {
            return None;
        };
        let first = match from {
            Some(first) => first,
            None => index.fields.iter().position(|field| field.path == *path)?,
        };
        from = Some(first);
        let field = index.fields.get(first + at).filter(|field| field.path == *path)?;
        let FieldKind::Ordered(kept) = field.kind else {
            return None;
        };
        let needed = match kept == *direction {
            true => Direction::Ascending,
            false => Direction::Descending,
        };
        if *reading.get_or_insert(needed) != needed {
            return None;
        }
    }
    Some((from.filter(|from| *from <= points)?, reading?))
}

/// What serves each branch of an `$or`.
fn union(
    conditions: &[Condition<'_>],
    complete: bool,
    sort: Option<&Sort>,
    indexes: &[Index],
) -> Option<Plan> {
    let branches = conditions.iter().find_map(|condition| condition.alternatives)?;
    let mut scans = Vec::new();
    let mut merges = Vec::new();
    let mut exact = complete && conditions.len() == 1;
    for branch in branches {
        let mut conditions = Vec::new();
        let complete = collect(branch, "", None, &mut 0, &mut conditions);
        let led = lead(&conditions, complete, sort, false, indexes);
        exact &= led.plan.exact;
        match led.plan.access {
            Access::Scan => return None,
            Access::Nothing => {}
            Access::Index(scan) => {
                scans.push(scan);
                merges.push(led.merge);
            }
            Access::Union(more) => {
                scans.extend(more);
                merges.push(None);
            }
        }
    }
    if sort.is_some() {
        return match merge_scans(&scans, merges) {
            Some(scan) => Some(Plan {
                access: Access::Union(vec![scan]),
                sorted: true,
                exact,
            }),
            // An index that gives the order is no better than another then.
            None => union(conditions, complete, None, indexes),
        };
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

/// One walk along the ranges of several, where they are all of one index that gives the order.
fn merge_scans(scans: &[IndexScan], merges: Vec<Option<Merge>>) -> Option<IndexScan> {
    let first = scans.first()?;
    let merges = merges.into_iter().collect::<Option<Vec<Merge>>>()?;
    let direction = merges.first()?.direction;
    let alike = scans.iter().all(|scan| scan.index == first.index)
        && merges.iter().all(|merge| merge.direction == direction);
    let ranges: Vec<Range> = scans
        .iter()
        .flat_map(|scan| scan.ranges.iter().cloned())
        .collect();
    let begins: Vec<usize> = merges.into_iter().flat_map(|merge| merge.begins).collect();
    (alike && ranges.len() == begins.len() && ranges.len() <= MOST_MERGED).then_some(IndexScan {
        index: first.index,
        ranges,
        reverse: direction == Direction::Descending,
        merge: Some(begins),
    })
}

/// Adds the conditions that every document has to meet; says if they are all that the query says.
fn collect<'a>(
    node: &'a Node,
    above: &str,
    group: Option<Group>,
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
    group: Option<Group>,
    groups: &mut usize,
    conditions: &mut Vec<Condition<'a>>,
) -> bool {
    let mut push = |bounds: Bounds, group: Option<Group>| {
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
            let group = Some(Group {
                number: *groups,
                parts: path.split('.').count(),
            });
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
