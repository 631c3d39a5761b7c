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
/// Of those that come when there is no room, one in so many is kept.
const ADMITTED: usize = 8;

pub(super) struct SmallContents(Mutex<ContentCache>);

struct ContentCache {
    contents: LruCache<ContentId, Bytes>,
    bytes: usize,
    room: usize,
    /// How many came when there was no room.
    came_late: usize,
}

impl Default for SmallContents {
    fn default() -> Self {
        Self::of(ROOM)
    }
}

impl SmallContents {
    fn of(room: usize) -> Self {
        Self(Mutex::new(ContentCache {
            contents: LruCache::unbounded(),
            bytes: 0,
            room,
            came_late: 0,
        }))
    }

    pub(super) fn get(&self, id: ContentId) -> Option<Bytes> {
        lock(&self.0).contents.get(&id).cloned()
    }

    /// Keeps a content for whoever reads it next. Where there is no room those that were read longest ago go for it, but only for each
    /// [`ADMITTED`]th that comes: of more files than there is room for, read one after another and over again, none would be found else.
    pub(super) fn keep(&self, id: ContentId, content: Bytes) {
        let mut kept = lock(&self.0);
        if kept.bytes + content.len() + BESIDE > kept.room {
            kept.came_late += 1;
            if !kept.came_late.is_multiple_of(ADMITTED) {
                return;
            }
        }
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
        let there = || ids.map(|id| lock(&small.0).contents.contains(&id));
        for _ in 1..ADMITTED {
            small.keep(ids[3], vec![1; 500].into());
            assert_eq!(there(), [true, true, true, false]);
        }
        small.keep(ids[3], vec![1; 500].into());
        assert_eq!(there(), [true, false, true, true]);
        small.forget(ids[0]);
        small.keep(ids[1], vec![1; 1000].into());
        assert_eq!(there(), [false, true, true, true]);
        // The same again is no more than it was.
        for _ in 0..ADMITTED {
            small.keep(ids[1], vec![1; 1000].into());
        }
        assert_eq!(there(), [false, true, true, true]);
        assert_eq!(small.bytes(), 2500 + 3 * BESIDE);
        // What is larger than the room is not kept, whatever goes for it.
        for _ in 0..ADMITTED {
            small.keep(ids[0], vec![1; 4000].into());
        }
        assert_eq!((there(), small.bytes()), ([false; 4], 0));
    }

    /// Twice as many as there is room for, one after another and over again.
    #[test]
    fn a_circle_that_is_too_large_is_found_in_part() {
        let small = SmallContents::of(100 * (1000 + BESIDE));
        let ids: Vec<_> = (0..200).map(|_| ContentId::new()).collect();
        let mut found = 0;
        for id in std::iter::repeat_n(&ids, 10).flatten() {
            match small.get(*id) {
                Some(_) => found += 1,
                None => small.keep(*id, vec![1; 1000].into()),
            }
        }
        assert!(found > 2000 / 4, "{found} of 2000");
    }
}
