//! What all files may take together. Uploads that are under way count with what has come of them, so that many at once cannot
//! pass a bound that each of them alone would keep.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{BlobError, Result};

/// A bound for all files of a place. Clones share what is under way.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    /// Bytes at most.
    most: Option<u64>,
    /// Bytes of uploads that are under way.
    coming: Arc<Mutex<u64>>,
}

impl Quota {
    /// So many bytes at most; `None` for no bound.
    #[must_use]
    pub fn new(most: Option<u64>) -> Self {
        Self {
            most,
            coming: Arc::default(),
        }
    }

    /// Whether there is a bound: without one nobody need know what the files take.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.most.is_some()
    }

    /// An upload that begins.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        Reservation {
            quota: self.clone(),
            bytes: 0,
        }
    }
}

/// What one upload takes of a quota until it is dropped: by then its file counts, or nothing does.
#[derive(Debug)]
pub struct Reservation {
    quota: Quota,
    bytes: u64,
}

impl Reservation {
    /// Has it take so many bytes more. `used` is what the files take without the one that this upload replaces.
    ///
    /// # Errors
    /// [`BlobError::Quota`]: the bound would be passed.
    pub fn grow(&mut self, more: u64, used: u64) -> Result<()> {
        let Some(quota) = self.quota.most else {
            return Ok(());
        };
        let mut coming = self.quota.coming.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.saturating_add(*coming);
        if used.saturating_add(more) > quota {
            return Err(BlobError::Quota {
                used: used.saturating_sub(self.bytes),
                quota,
            });
        }
        *coming += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut coming = self.quota.coming.lock().unwrap_or_else(PoisonError::into_inner);
        *coming = coming.saturating_sub(self.bytes);
    }
}
