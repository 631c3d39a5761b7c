//! The documents that the watchers of a query have, and what they are told when one changes.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{
    WatchQuery, WatchRefusal,
    event::{DataType, Event, QueueType},
};

/// Bytes of the documents of one watch at most: each query that is watched has them in memory.
pub const MOST_BYTES: usize = 8 << 20;

/// A document that a query finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Key bytes of its `_id`.
    pub(crate) id: Bytes,
    /// Its place in the order: key bytes that no other document has.
    pub(crate) place: Bytes,
    /// Its `_id` as JSON.
    pub(crate) name: Bytes,
    /// Its text, as [`Event::document`] has it.
    pub(crate) document: Bytes,
}

/// What a row takes beside its bytes: itself, its place among the places, and what the allocator adds.
const BESIDE: usize = 256;

impl Row {
    /// Bytes of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.document.len() + 2 * self.place.len() + self.id.len() + self.name.len()
    }

    /// Bytes of it that no other query has of the same document.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of::<Self>() + self.place.len()
    }
}

/// The first documents that a query finds, in their order. Its watchers have those within the limit; some more are known, so that one
/// that leaves has a successor at once.
#[derive(Debug)]
pub struct Window {
    limit: usize,
    depth: usize,
    whole: bool,
    /// By place.
    rows: Vec<Row>,
    /// The place of each, by the key bytes of its `_id`.
    places: HashMap<Bytes, Bytes>,
    /// What lies behind this place is not known: the query finds more documents than are known here.
    edge: Option<Bytes>,
    /// Bytes of the rows.
    bytes: usize,
}

impl Window {
    /// An empty one, to be [loaded](Self::load).
    #[must_use]
    pub fn new(query: &WatchQuery) -> Self {
        Self {
            limit: query.limit(),
            depth: query.depth(),
            whole: query.is_whole(),
            rows: Vec::new(),
            places: HashMap::new(),
            edge: None,
            bytes: 0,
        }
    }

    /// The documents that the watchers have.
    fn visible(&self) -> &[Row] {
        &self.rows[..self.rows.len().min(self.limit)]
    }

    /// How many documents the watchers have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.visible().len()
    }

    /// Whether they have none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes + self.rows.len() * BESIDE
    }

    fn is_within(&self) -> Result<(), WatchRefusal> {
        match self.bytes > MOST_BYTES {
            true => Err(WatchRefusal::TooManyBytes),
            false => Ok(()),
        }
    }

    /// Whether a watcher may lack a document that the query finds: it has to be loaded anew.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.edge.is_some() && self.rows.len() < self.limit
    }

    /// The documents that a watcher begins with.
    #[must_use]
    pub fn beginning(&self) -> Vec<Event> {
        let init = |(at, row): (usize, &Row)| Event {
            data: DataType::Init,
            queue: QueueType::Init,
            id: row.name.clone(),
            document: row.document.clone(),
            at: Some(at),
        };
        self.visible().iter().enumerate().map(init).collect()
    }

    /// The same for one that has documents already, and is not known to have the right ones. A client takes the first document of
    /// such events for a new beginning; if there is none, that is one which comes and goes.
    #[must_use]
    pub fn beginning_anew(&self) -> Vec<Event> {
        let events = self.beginning();
        if !events.is_empty() {
            return events;
        }
        let nobody = |data, queue, document: &'static [u8]| Event {
            data,
            queue,
            id: Bytes::from_static(b"\"\""),
            document: Bytes::from_static(document),
            at: None,
        };
        vec![
            nobody(DataType::Init, QueueType::Init, br#""{\"_id\":\"\"}""#),
            nobody(DataType::Remove, QueueType::Dequeue, b""),
        ]
    }

    /// Takes what the query finds: at most [`WatchQuery::depth`] documents, and one more where there are others. Answers how the watchers
    /// come from what they have to that; what they did not have came in as `entered` says.
    ///
    /// # Errors
    /// [`WatchRefusal::TooManyDocuments`] where all are wanted, and there are more than can be watched; [`WatchRefusal::TooManyBytes`].
    pub fn load(&mut self, mut found: Vec<Row>, entered: DataType) -> Result<Vec<Event>, WatchRefusal> {
        found.sort_unstable_by(|one, other| one.place.cmp(&other.place));
        let has_more = found.len() > self.depth;
        if has_more && self.whole {
            return Err(WatchRefusal::TooManyDocuments);
        }
        found.truncate(self.depth);
        let mut had: HashMap<Bytes, Row> = self
            .visible()
            .iter()
            .map(|row| (row.id.clone(), row.clone()))
            .collect();
        self.edge = has_more
            .then(|| found.last().map(|row| row.place.clone()))
            .flatten();
        self.places = found
            .iter()
            .map(|row| (row.id.clone(), row.place.clone()))
            .collect();
        self.rows = found;
        self.bytes = self.rows.iter().map(Row::bytes).sum();
        self.is_within()?;
        let mut leaving = Vec::new();
        let mut entering = Vec::new();
        for (at, row) in self.visible().iter().enumerate() {
            match had.remove(&row.id) {
                Some(before) if before == *row => {}
                Some(before) if before.place == row.place => {
                    entering.push(event(DataType::Update, QueueType::Update, row, Some(at)));
                }
                // It has to be out of the way before others find their places.
                Some(before) => {
                    leaving.push(event(DataType::Update, QueueType::Dequeue, &before, None));
                    entering.push(event(DataType::Update, QueueType::Enqueue, row, Some(at)));
                }
                None => entering.push(event(entered, QueueType::Enqueue, row, Some(at))),
            }
        }
        let mut events: Vec<Event> = had.values().map(gone).collect();
        events.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        events.extend(leaving);
        events.extend(entering);
        Ok(events)
    }

    /// Takes a document as it became, `None` where the query does not find it (any more), and answers what the watchers are told. `id` is the
    /// key bytes of its `_id`; `data` says what happened to it.
    ///
    /// # Errors
    /// [`WatchRefusal::TooManyDocuments`] where all are wanted, and there are more now than can be watched; [`WatchRefusal::TooManyBytes`].
    pub fn apply(&mut self, id: &[u8], data: DataType, row: Option<Row>) -> Result<Vec<Event>, WatchRefusal> {
        let before = self.take(id);
        // What lies behind the edge is for the next load.
        let row = row.filter(|row| self.edge.as_ref().is_none_or(|edge| row.place <= *edge));
        let now = row.map(|row| {
            let at = self.insert(row.clone());
            (at, row)
        });
        if self.whole && self.rows.len() > self.depth {
            return Err(WatchRefusal::TooManyDocuments);
        }
        self.is_within()?;
        let was_visible = before.as_ref().filter(|(at, _)| *at < self.limit);
        let is_visible = now.as_ref().filter(|(at, _)| *at < self.limit);
        let mut events = Vec::with_capacity(2);
        match (was_visible, is_visible) {
            (Some((_, before)), Some((_, row))) if before == row => {}
            (Some(_), Some((at, row))) => {
                let data = match data {
                    DataType::Replace => data,
                    _ => DataType::Update,
                };
                events.push(event(data, QueueType::Update, row, Some(*at)));
            }
            (Some((_, before)), None) => {
                events.push(match data {
                    DataType::Remove => gone(before),
                    _ => event(data, QueueType::Dequeue, before, None),
                });
                if let Some(last) = self.rows.get(self.limit - 1) {
                    let at = Some(self.limit - 1);
                    events.push(event(DataType::Limit, QueueType::Enqueue, last, at));
                }
            }
            (None, Some((at, row))) => {
                events.push(event(data, QueueType::Enqueue, row, Some(*at)));
                if let Some(out) = self.rows.get(self.limit) {
                    events.push(event(DataType::Limit, QueueType::Dequeue, out, None));
                }
            }
            (None, None) => {}
        }
        self.forget_spare();
        Ok(events)
    }

    fn take(&mut self, id: &[u8]) -> Option<(usize, Row)> {
        let place = self.places.remove(id)?;
        let at = self.rows.binary_search_by(|row| row.place.cmp(&place)).ok()?;
        let row = self.rows.remove(at);
        self.bytes -= row.bytes();
        Some((at, row))
    }

    fn insert(&mut self, row: Row) -> usize {
        let at = match self.rows.binary_search_by(|other| other.place.cmp(&row.place)) {
            Ok(at) | Err(at) => at,
        };
        self.places.insert(row.id.clone(), row.place.clone());
        self.bytes += row.bytes();
        self.rows.insert(at, row);
        at
    }

    /// Lets go of documents far behind the limit.
    fn forget_spare(&mut self) {
        if self.whole || self.rows.len() <= 2 * self.depth {
            return;
        }
        for row in self.rows.drain(self.depth..) {
            self.places.remove(&row.id);
            self.bytes -= row.bytes();
        }
        self.edge = self.rows.last().map(|row| row.place.clone());
    }
}

fn event(data: DataType, queue: QueueType, row: &Row, at: Option<usize>) -> Event {
    Event {
        data,
        queue,
        id: row.name.clone(),
        document: row.document.clone(),
        at,
    }
}

/// A document that is there no more.
fn gone(row: &Row) -> Event {
    Event {
        document: Bytes::new(),
        ..event(DataType::Remove, QueueType::Dequeue, row, None)
    }
}
