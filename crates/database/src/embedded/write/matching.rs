//! What is done to the documents that match: an update, a removal, one that is taken out.

use std::sync::Arc;

use docdb::{
    Context, document::with_id, expr::Variables, query::Filter, sort::Sort, update::Update as Change,
};
use redb::ReadableTable;

use super::{WriteDone, target::Target};
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
    filter: &'a Filter,
    sort: Option<&'a Sort>,
    many: bool,
    context: &'a Context,
    looked: Looked,
}

impl Matching<'_> {
    pub(super) fn of<T: ReadableTable<&'static [u8], &'static [u8]>>(
        &mut self,
        view: View<'_, T>,
        collection: &Collection,
    ) -> Result<Vec<Vec<u8>>> {
        let route = Route::of(
            collection,
            self.filter,
            self.sort,
            (!self.many).then_some(1),
            view.overlay,
        );
        let mut search = Search::new(self.filter, self.context, &route);
        let mut keys = Vec::new();
        let mut best: Option<(Vec<u8>, Vec<u8>)> = None;
        for candidate in view.candidates(collection.id, &route) {
            let candidate = candidate?;
            if !search.matches(candidate.document.as_slice())? {
                continue;
            }
            let key = candidate.key.as_slice().to_vec();
            match self.sort.filter(|_| !self.many && !route.sorted) {
                None => {
                    keys.push(key);
                    if !self.many {
                        break;
                    }
                }
                Some(sort) => {
                    let place = sort.key(&decode(candidate.document.as_slice())?, self.context)?;
                    if best.as_ref().is_none_or(|(first, _)| place < *first) {
                        best = Some((place, key));
                    }
                }
            }
        }
        keys.extend(best.map(|(_, key)| key));
        self.looked = search.looked;
        Ok(keys)
    }
}

/// An update, parsed before any document is looked at.
pub(super) struct UpdatePlan {
    filter: Filter,
    sort: Option<Sort>,
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
        context,
        looked: Looked::default(),
    };
    let keys = target.matching(collection, &mut matching)?;
    if waits(target, collection, plan, &keys, context)? {
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
    for key in &keys {
        let Some(before) = target.get(key)? else { continue };
        let Some(element) = plan.filter.find_element(&before, &Variables::none(), context)? else {
            continue;
        };
        updated.matched += 1;
        let after = plan.change.apply(&before, element, context)?;
        updated.document = match update.returns {
            Some(ReturnedDocument::Before) => Some(before.clone()),
            Some(ReturnedDocument::After) => Some(after.as_ref().unwrap_or(&before).clone()),
            None => None,
        };
        if let Some(after) = after {
            if let Some(largest) = update.largest {
                let size = |document| Ok::<_, DatabaseError>(encode(document)?.as_bytes().len());
                refuse_growth(size(&before)?, size(&after)?, largest)?;
            }
            target.replace(collection, &before, after, kind)?;
            updated.modified += 1;
        }
    }
    if updated.matched == 0
        && let Some(id) = &update.upsert
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

/// Whether an update meets a lock: then it waits with all that it would change, since what it has changed already it would change
/// again.
pub(super) fn waits(
    target: &impl Target,
    collection: &Collection,
    plan: &UpdatePlan,
    keys: &[Vec<u8>],
    context: &Context,
) -> Result<bool> {
    if keys.iter().any(|key| target.is_locked(key)) {
        return Ok(true);
    }
    if !target.locks_values(collection) {
        return Ok(false);
    }
    for key in keys {
        let Some(before) = target.get(key)? else { continue };
        let Some(element) = plan.filter.find_element(&before, &Variables::none(), context)? else {
            continue;
        };
        // What cannot be changed is refused when its turn comes.
        if let Ok(Some(after)) = plan.change.apply(&before, element, context)
            && target.meets_lock(collection, &after)?
        {
            return Ok(true);
        }
    }
    Ok(false)
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
        context,
        looked: Looked::default(),
    };
    let keys = target.matching(collection, &mut matching)?;
    if keys.iter().any(|key| target.is_locked(key)) {
        return Ok(WriteDone::Locked);
    }
    let mut removed = 0;
    for key in keys {
        if let Some(document) = target.get(&key)? {
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
        context,
        looked: Looked::default(),
    };
    let keys = target.matching(collection, &mut matching)?;
    if keys.iter().any(|key| target.is_locked(key)) {
        return Ok(WriteDone::Locked);
    }
    let taken = keys.first().map(|key| target.get(key)).transpose()?.flatten();
    if let Some(document) = &taken {
        target.remove(collection, document)?;
    }
    Ok(WriteDone::Taken(taken))
}
