//! What was issued and must still be known: codes, cloudIDs, tokens. An expired one is told apart from one that never was,
//! so nothing is forgotten because of its age, but only because many newer ones came.

use std::collections::{HashMap, VecDeque};

/// How many of a kind are remembered. A load test issues this many in minutes; each is a few hundred bytes, open data a
/// few thousand.
const CAPACITY: usize = 10_000;

/// The newest issued texts and what stands behind each.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    known: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T> Recent<T> {
    /// Remembers `text`, which is random and therefore new.
    pub(crate) fn put(&mut self, text: String, what: T) {
        if self.order.len() == CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(text.clone());
        self.known.insert(text, what);
    }

    pub(crate) fn get(&self, text: &str) -> Option<&T> {
        self.known.get(text)
    }

    pub(crate) fn get_mut(&mut self, text: &str) -> Option<&mut T> {
        self.known.get_mut(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let mut recent = Recent::default();
        for n in 0..=CAPACITY {
            recent.put(n.to_string(), n);
        }
        assert_eq!(recent.get("0"), None);
        assert_eq!(recent.get("1"), Some(&1));
        assert_eq!(recent.known.len(), CAPACITY);
    }
}
