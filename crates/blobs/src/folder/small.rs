//! Small contents that were read lately, in memory: whoever serves one of them again asks the system for nothing. Which content a file
//! has is the index's to say, at each request, and a content never changes under its number; so nothing here is ever out of date.

use std::sync::Mutex;

use bytes::Bytes;
use lru::LruCache;

use super::index::{ContentId, lock};

/// Bytes of all of them together.
const ROOM: usize = 32 << 20;
/// What one takes beside its bytes, about.
pub(super) const BESIDE: usize = 128;

pub(super) struct SmallContents(Mutex<Kept>);

struct Kept {
    contents: LruCache<ContentId, Bytes>,
    bytes: usize,
    room: usize,
}

impl Default for SmallContents {
    fn default() -> Self {
        Self::of(ROOM)
    }
}

impl SmallContents {
    fn of(room: usize) -> Self {
        Self(Mutex::new(Kept {
            contents: LruCache::unbounded(),
            bytes: 0,
            room,
        }))
    }

    pub(super) fn get(&self, id: ContentId) -> Option<Bytes> {
        lock(&self.0).contents.get(&id).cloned()
    }

    /// Keeps a content for whoever reads it next; those that were read longest ago go for it.
    pub(super) fn keep(&self, id: ContentId, content: Bytes) {
        let mut kept = lock(&self.0);
        kept.bytes += content.len() + BESIDE;
        if let Some(before) = kept.contents.put(id, content) {
            kept.bytes -= before.len() + BESIDE;
        }
        while kept.bytes > kept.room
            && let Some((_, gone)) = kept.contents.pop_lru()
        {
            kept.bytes -= gone.len() + BESIDE;
        }
    }

    /// What all of them take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        lock(&self.0).bytes
    }

    /// Lets go of a content that no file has any more. One that somebody reads at this moment may come after that, and goes in its turn.
    pub(super) fn forget(&self, id: ContentId) {
        let mut kept = lock(&self.0);
        if let Some(gone) = kept.contents.pop(&id) {
            kept.bytes -= gone.len() + BESIDE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_read_longest_ago_go_first_and_all_stay_within_the_room() {
        let small = SmallContents::of(3 * (1000 + BESIDE));
        let ids = [(); 4].map(|()| ContentId::new());
        for id in &ids[..3] {
            small.keep(*id, vec![1; 1000].into());
        }
        assert!(small.get(ids[0]).is_some());
        // The same again is no more than it was.
        small.keep(ids[2], vec![1; 1000].into());
        small.keep(ids[3], vec![1; 500].into());
        let there = ids.map(|id| small.get(id).is_some());
        assert_eq!(there, [true, false, true, true]);
        small.forget(ids[0]);
        small.keep(ids[1], vec![1; 1000].into());
        assert_eq!(ids.map(|id| small.get(id).is_some()), [false, true, true, true]);
        // What is larger than the room is not kept, and nothing else then.
        small.keep(ids[0], vec![1; 4000].into());
        let kept = lock(&small.0);
        assert!(kept.contents.is_empty() && kept.bytes == 0);
    }
}
