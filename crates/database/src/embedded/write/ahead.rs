//! What becomes of the documents that a write has found, computed by a reader: the thread that writes looks whether they still stand as they
//! were read, and writes.

use std::sync::Arc;

use bson::{Bson, Document};
use docdb::{Context, TOO_MUCH_WORK, error::code};
use redb::ReadableTable;

use super::{
    matching::{Ahead, Matched},
    plan::WritePlan,
};
use crate::{DatabaseError, Result, embedded::batch::decode};

/// How much one round of a large write has at most; one document in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundSize {
    pub(crate) documents: usize,
    /// Bytes of the documents as they are.
    pub(crate) bytes: usize,
}

impl RoundSize {
    /// A round takes some hundredths of a second.
    pub(crate) const DEFAULT: Self = Self {
        documents: 1000,
        bytes: 2 << 20,
    };

    /// How many of the first of these documents go into one round.
    pub(crate) fn first_of<'a>(self, documents: impl IntoIterator<Item = &'a Document>) -> usize {
        let mut bytes = 0;
        let fits = |document: &&Document| {
            let fits = bytes < self.bytes;
            bytes += size_about(document);
            fits
        };
        documents
            .into_iter()
            .take(self.documents)
            .take_while(fits)
            .count()
            .max(1)
    }
}

/// Bytes that a document has, near enough. How deep they nest is bounded where they come from.
fn size_about(document: &Document) -> usize {
    fn of(value: &Bson) -> usize {
        match value {
            Bson::String(text) => text.len(),
            Bson::Binary(binary) => binary.bytes.len(),
            Bson::Document(document) => size_about(document),
            Bson::Array(elements) => elements.iter().map(of).sum(),
            _ => size_of::<u64>(),
        }
    }
    document.iter().map(|(name, value)| name.len() + of(value)).sum()
}

/// Documents of which it is known what becomes of them.
#[derive(Debug, Default)]
pub(super) struct Computed {
    pub(super) found: Vec<Matched>,
    /// How many of those that were asked for were looked at.
    pub(super) reached: usize,
    /// Whether there are more than go into one round.
    pub(super) is_full: bool,
}

/// Computes what becomes of the first of these documents, as many as go into one round.
pub(super) fn compute(
    plan: &WritePlan<'_>,
    documents: &impl ReadableTable<&'static [u8], &'static [u8]>,
    matched: impl IntoIterator<Item = Matched>,
    most: RoundSize,
    context: &Context,
) -> Result<Computed> {
    let mut computed = Computed::default();
    let (mut bytes, mut is_refused) = (0, false);
    for mut matched in matched {
        if computed.reached > 0 && (computed.reached >= most.documents || bytes >= most.bytes) {
            computed.is_full = true;
            break;
        }
        computed.reached += 1;
        context.is_wanted()?;
        let stored = documents
            .get(matched.key.as_slice())
            .map_err(DatabaseError::unavailable)?;
        let Some(stored) = stored else {
            continue;
        };
        let before = stored.value();
        bytes += before.len();
        // It is refused when its turn comes, and nothing behind it is written.
        if is_refused {
            computed.found.push(matched);
            continue;
        }
        match plan.after(&matched, &decode(before)?, context) {
            Ok(None) => continue,
            Ok(Some(after)) => matched.ahead = Some(Arc::new(Ahead::new(before, after))),
            Err(error) if matches!(error.code, TOO_MUCH_WORK | code::INTERRUPTED) => return Err(error.into()),
            Err(_) => is_refused = true,
        }
        computed.found.push(matched);
    }
    Ok(computed)
}

/// Whether these documents are more than go into one round.
pub(super) fn are_more_than(
    round: RoundSize,
    documents: &impl ReadableTable<&'static [u8], &'static [u8]>,
    matched: &[Matched],
) -> Result<bool> {
    if matched.len() > round.documents {
        return Ok(true);
    }
    let mut bytes = 0;
    for (at, matched) in matched.iter().enumerate() {
        if at > 0 && bytes >= round.bytes {
            return Ok(true);
        }
        let stored = documents.get(matched.key.as_slice());
        let stored = stored.map_err(DatabaseError::unavailable)?;
        bytes += stored.map_or(0, |stored| stored.value().len());
    }
    Ok(false)
}

/// Refuses what would take any of these documents beyond what it may have.
pub(super) fn judge_growth(
    plan: &WritePlan<'_>,
    documents: &impl ReadableTable<&'static [u8], &'static [u8]>,
    matched: &[Matched],
    context: &Context,
) -> Result<()> {
    for matched in matched {
        context.is_wanted()?;
        let stored = documents
            .get(matched.key.as_slice())
            .map_err(DatabaseError::unavailable)?;
        let Some(stored) = stored else {
            continue;
        };
        let before = decode(stored.value())?;
        if let Some(Some(after)) = plan.after(matched, &before, context)? {
            plan.may_grow(&before, &after)?;
        }
    }
    Ok(())
}
