//! What is done to the documents that match: an update, a removal, one that is taken out.

use std::{collections::BTreeSet, sync::Arc};

use bson::Document;
use docdb::{
    Context, document::with_id, expr::Variables, path::Element, query::Filter, sort::Sort,
    update::Update as Change,
};
use redb::ReadableTable;

use super::{Seen, WriteDone, target::Target};
use crate::{
    ChangeKind, DatabaseError, Looked, Result, ReturnedDocument, Tally, Update, UpdateKind, Updated,
    embedded::{
        batch::{decode, encode},
        catalog::Collection,
        route::Route,
        view::{Search, View},
    },
    refuse_growth,
};

/// Which documents a write is about.
pub(super) struct Matching<'a> {
    pub(super) filter: &'a Filter,
    pub(super) sort: Option<&'a Sort>,
    pub(super) many: bool,
    /// Whether what the positional `$` stands for is wanted.
    pub(super) by_element: bool,
    pub(super) context: &'a Context,
    pub(super) looked: Looked,
}

/// A document that a write is about.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    pub(super) key: Vec<u8>,
    /// What the positional `$` stands for, where that was looked for already.
    element: Option<Element>,
    /// What becomes of it, where that was computed already.
    pub(super) ahead: Option<Arc<Ahead>>,
}

/// What becomes of a document, computed by a reader: it holds for as long as the document stands as it was read.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// The document as it was read.
    before: Vec<u8>,
    /// What it becomes; `None` where it stays as it is, or goes.
    after: Option<Document>,
}

impl Ahead {
    pub(super) fn new(before: &[u8], after: Option<Document>) -> Self {
        let before = before.to_vec();
        Self { before, after }
    }
}

impl Matched {
    /// The document of that key, of which nothing is known any more.
    pub(super) const fn of_key(key: Vec<u8>) -> Self {
        Self {
            key,
            element: None,
            ahead: None,
        }
    }

    /// What the positional `$` stands for in it; `None` where it does not match after all.
    pub(super) fn element(
        &self,
        filter: &Filter,
        document: &Document,
        context: &Context,
    ) -> docdb::error::Result<Option<Element>> {
        match self.element {
            Some(element) => Ok(Some(element)),
            None => filter.find_element(document, &Variables::none(), context),
        }
    }
}

impl Matching<'_> {
    pub(super) fn of<T: ReadableTable<&'static [u8], &'static [u8]>>(
        &mut self,
        view: View<'_, T>,
        collection: &Collection,
    ) -> Result<Arc<Vec<Matched>>> {
        let route = Route::of(
            collection,
            self.filter,
            self.sort,
            (!self.many).then_some(1),
            view.overlay,
        );
        let mut search = Search::new(self.filter, self.context, &route);
        let mut found = Vec::new();
        let mut best: Option<(Vec<u8>, Matched)> = None;
        for candidate in view.candidates(collection.id, &route) {
            let candidate = candidate?;
            let document = candidate.document.as_slice();
            if !search.matches(document)? {
                continue;
            }
            let matched = self.matched(candidate.key.as_slice(), document)?;
            match self.sort.filter(|_| !self.many && !route.sorted) {
                None => {
                    found.push(matched);
                    if !self.many {
                        break;
                    }
                }
                Some(sort) => {
                    let place = sort.key(&decode(document)?, self.context)?;
                    if best.as_ref().is_none_or(|(first, _)| place < *first) {
                        best = Some((place, matched));
                    }
                }
            }
        }
        found.extend(best.map(|(_, matched)| matched));
        self.looked = search.looked;
        Ok(Arc::new(found))
    }

    fn matched(&self, key: &[u8], document: &[u8]) -> Result<Matched> {
        // Patterns are not run again when the document is changed.
        let element = match self.by_element && self.filter.patterns() > 0 {
            true => self
                .filter
                .find_element(&decode(document)?, &Variables::none(), self.context)?,
            false => None,
        };
        Ok(Matched {
            key: key.to_vec(),
            element,
            ahead: None,
        })
    }

    /// The same as [`of`](Self::of), of which all but the `changed` documents were `seen` before; `None` where that does not tell.
    pub(super) fn of_changed(
        &mut self,
        documents: &impl ReadableTable<&'static [u8], &'static [u8]>,
        seen: &Seen,
        changed: &BTreeSet<Vec<u8>>,
    ) -> Result<Option<Arc<Vec<Matched>>>> {
        self.looked = seen.looked.clone();
        if changed.is_empty() {
            return Ok(Some(Arc::clone(&seen.found)));
        }
        // A pattern takes what it takes, and others' writes would wait for it.
        if self.filter.patterns() > 0 {
            return Ok(None);
        }
        let stayed = seen
            .found
            .iter()
            .filter(|matched| !changed.contains(&matched.key));
        let mut found: Vec<_> = stayed.cloned().collect();
        if !self.many {
            if self.sort.is_some() {
                // Any that changed may be before it by now.
                return Ok(None);
            }
            if !found.is_empty() {
                return Ok(Some(Arc::new(found)));
            }
        }
        for key in changed {
            self.context.is_wanted()?;
            let Some(document) = documents
                .get(key.as_slice())
                .map_err(DatabaseError::unavailable)?
            else {
                continue;
            };
            self.looked.documents += 1;
            let document = decode(document.value())?;
            let element = self
                .filter
                .find_element(&document, &Variables::none(), self.context)?;
            if let Some(element) = element {
                found.push(Matched {
                    key: key.clone(),
                    element: Some(element),
                    ahead: None,
                });
                if !self.many {
                    break;
                }
            }
        }
        // The search ended at the one that matched then, and others may.
        let is_known = self.many || !found.is_empty() || seen.found.is_empty();
        Ok(is_known.then(|| Arc::new(found)))
    }
}

/// An update, parsed before any document is looked at.
pub(super) struct UpdatePlan {
    pub(super) filter: Filter,
    pub(super) sort: Option<Sort>,
    change: Change,
}

impl UpdatePlan {
    pub(super) fn parse(update: &Update) -> Result<Self> {
        Ok(Self {
            filter: Filter::parse(&update.filter)?,
            sort: update.sort.as_ref().map(Sort::parse).transpose()?,
            change: update.kind.parse(&update.array_filters)?,
        })
    }
}

/// A document that is about to be changed.
struct Planned {
    before: Document,
    after: After,
}

/// What a document becomes.
enum After {
    Ahead(Arc<Ahead>),
    Now(Option<Document>),
}

impl After {
    fn document(&self) -> Option<&Document> {
        match self {
            Self::Ahead(ahead) => ahead.after.as_ref(),
            Self::Now(after) => after.as_ref(),
        }
    }
}

impl UpdatePlan {
    /// What a document becomes, or nothing new; `None` where it does not match after all.
    pub(super) fn after(
        &self,
        matched: &Matched,
        before: &Document,
        context: &Context,
    ) -> docdb::error::Result<Option<Option<Document>>> {
        let element = matched.element(&self.filter, before, context)?;
        element
            .map(|element| self.change.apply(before, element, context))
            .transpose()
    }

    /// What becomes of a document at its turn; `None` where it is gone, does not match after all, or is left for later.
    fn planned(
        &self,
        target: &mut impl Target,
        matched: &Matched,
        context: &Context,
    ) -> Result<Option<Planned>> {
        match &matched.ahead {
            Some(ahead) if target.stands_as(&matched.key, &ahead.before)? => Ok(Some(Planned {
                before: decode(&ahead.before)?,
                after: After::Ahead(Arc::clone(ahead)),
            })),
            Some(_) if target.leaves(&matched.key) => Ok(None),
            _ => {
                let Some(before) = target.get(&matched.key)? else {
                    return Ok(None);
                };
                let after = self.after(matched, &before, context)?.map(After::Now);
                Ok(after.map(|after| Planned { before, after }))
            }
        }
    }
}

pub(super) fn update_in(
    target: &mut impl Target,
    collection: &Arc<Collection>,
    update: &Update,
    plan: &UpdatePlan,
    context: &Context,
) -> Result<WriteDone> {
    let mut matching = Matching {
        filter: &plan.filter,
        sort: plan.sort.as_ref(),
        many: update.many,
        by_element: true,
        context,
        looked: Looked::default(),
    };
    let Some(found) = target.matching(collection, &mut matching)? else {
        return Ok(WriteDone::Stale);
    };
    if found.iter().any(|matched| target.is_locked(&matched.key)) {
        return Ok(WriteDone::Locked);
    }
    // What has begun to change is changed to its end.
    let context = &context.to_the_end();
    let mut updated = Updated {
        looked: Some(matching.looked),
        ..Updated::default()
    };
    let kind = match update.kind {
        UpdateKind::Operators(_) | UpdateKind::Pipeline(_) => ChangeKind::Update,
        UpdateKind::Replacement(_) => ChangeKind::Replace,
    };
    for part in found.chunks(target.planned_at_once()) {
        let mut planned = Vec::with_capacity(part.len());
        // What cannot be changed is refused when its turn comes.
        let mut refused = None;
        for matched in part {
            match plan.planned(target, matched, context) {
                Ok(change) => planned.extend(change),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        // What waits for a lock waits with all that it would change, since what it has changed already it would change again.
        if target.locks_values(collection) {
            for after in planned.iter().filter_map(|change| change.after.document()) {
                if target.meets_lock(collection, after)? {
                    return Ok(WriteDone::Locked);
                }
            }
        }
        if let Some(largest) = update.largest {
            for Planned { before, after } in &planned {
                if let Some(after) = after.document() {
                    may_grow(before, after, largest)?;
                }
            }
        }
        for Planned { before, after } in planned {
            updated.matched += 1;
            updated.document = match update.returns {
                Some(ReturnedDocument::Before) => Some(before.clone()),
                Some(ReturnedDocument::After) => Some(after.document().unwrap_or(&before).clone()),
                None => None,
            };
            if let Some(after) = after.document() {
                target.replace(collection, &before, after, kind)?;
                updated.modified += 1;
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
    }
    if updated.matched == 0
        && let Some(id) = update.upsert.as_ref().filter(|_| !target.is_round())
    {
        let document = plan.change.upsert(&plan.filter, context)?;
        let document = with_id(document, || id.clone());
        if target.meets_lock(collection, &document)? {
            return Ok(WriteDone::Locked);
        }
        target.insert(collection, &document)?;
        updated.upserted = document.get("_id").cloned();
        updated.document = (update.returns == Some(ReturnedDocument::After)).then_some(document);
    }
    Ok(WriteDone::Updated(Box::new(updated)))
}

/// Refuses a change by which a document grows beyond `largest` bytes.
pub(super) fn may_grow(before: &Document, after: &Document, largest: usize) -> Result<()> {
    let size = |document| Ok::<_, DatabaseError>(encode(document)?.as_bytes().len());
    let after = size(after)?;
    match after > largest {
        true => refuse_growth(size(before)?, after, largest),
        false => Ok(()),
    }
}

pub(super) fn remove_in(
    target: &mut impl Target,
    collection: &Arc<Collection>,
    filter: &Filter,
    many: bool,
    context: &Context,
) -> Result<WriteDone> {
    let mut matching = Matching {
        filter,
        sort: None,
        many,
        by_element: false,
        context,
        looked: Looked::default(),
    };
    let Some(found) = target.matching(collection, &mut matching)? else {
        return Ok(WriteDone::Stale);
    };
    if found.iter().any(|matched| target.is_locked(&matched.key)) {
        return Ok(WriteDone::Locked);
    }
    let context = &context.to_the_end();
    let mut removed = 0;
    for matched in found.iter() {
        let (document, is_judged) = match &matched.ahead {
            Some(ahead) if target.stands_as(&matched.key, &ahead.before)? => {
                (Some(decode(&ahead.before)?), true)
            }
            Some(_) if target.leaves(&matched.key) => continue,
            Some(_) => (target.get(&matched.key)?, false),
            // Outside of rounds, nothing has changed since it was found.
            None => (target.get(&matched.key)?, !target.is_round()),
        };
        let Some(document) = document else {
            continue;
        };
        if is_judged || matched.element(filter, &document, context)?.is_some() {
            target.remove(collection, &document)?;
            removed += 1;
        }
    }
    Ok(WriteDone::Removed(Tally {
        count: removed,
        looked: Some(matching.looked),
    }))
}

pub(super) fn take_in(
    target: &mut impl Target,
    collection: &Arc<Collection>,
    filter: &Filter,
    sort: Option<&Sort>,
    context: &Context,
) -> Result<WriteDone> {
    let mut matching = Matching {
        filter,
        sort,
        many: false,
        by_element: false,
        context,
        looked: Looked::default(),
    };
    let Some(found) = target.matching(collection, &mut matching)? else {
        return Ok(WriteDone::Stale);
    };
    if found.iter().any(|matched| target.is_locked(&matched.key)) {
        return Ok(WriteDone::Locked);
    }
    let first = found.first();
    let taken = first
        .map(|matched| target.get(&matched.key))
        .transpose()?
        .flatten();
    if let Some(document) = &taken {
        target.remove(collection, document)?;
    }
    Ok(WriteDone::Taken(taken))
}
