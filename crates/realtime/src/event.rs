//! What watchers are told of a change.

use bytes::Bytes;

/// What happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// It is part of what the query found when the watch began, or began again.
    Init,
    /// It was added.
    Add,
    /// Some of its fields were changed.
    Update,
    /// Another one stands in its place (`set`).
    Replace,
    /// It was removed.
    Remove,
    /// Nothing: another document came into the limit, or left it.
    Limit,
}

impl DataType {
    const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Add => "add",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Remove => "remove",
            Self::Limit => "limit",
        }
    }
}

/// What that means for the documents that a watcher has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueType {
    /// It is one of them. The first of a snapshot stands for a new beginning: what the watcher had counts no more.
    Init,
    /// It is one of them from now on.
    Enqueue,
    /// It takes the place of the one with its id.
    Update,
    /// It is none of them any more.
    Dequeue,
}

impl QueueType {
    const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Enqueue => "enqueue",
            Self::Update => "update",
            Self::Dequeue => "dequeue",
        }
    }
}

/// One document, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened to it.
    pub data: DataType,
    /// What that means for the documents that a watcher has.
    pub queue: QueueType,
    /// Its `_id`, as JSON text.
    pub id: Bytes,
    /// The document as a string literal of JSON, within which it is JSON. Of one that leaves it is what its watchers have already, since what it
    /// has become may be kept from them; empty for one that is gone.
    pub document: Bytes,
    /// Its place among the documents, counted from 0, with all events before it applied and its own old place given up. Clients
    /// that know this (ours) keep the query's order; others append.
    pub at: Option<usize>,
}

/// What one change comes to: the events of one snapshot, which have one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// Its number: one more than that of the batch before it.
    pub number: i64,
    /// What it is made of; never empty.
    pub events: Vec<Event>,
}

impl EventBatch {
    /// Appends its events as elements of a JSON array.
    pub(crate) fn write(&self, out: &mut Vec<u8>, offset: i64) {
        for (place, event) in self.events.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            event.write(out, self.number + offset);
        }
    }
}

impl Event {
    fn write(&self, out: &mut Vec<u8>, number: i64) {
        let Self { data, queue, id, .. } = self;
        out.extend_from_slice(b"{\"ID\":");
        out.extend_from_slice(number.to_string().as_bytes());
        for (name, value) in [("DataType", data.name()), ("QueueType", queue.name())] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"DocID\":");
        out.extend_from_slice(id);
        out.extend_from_slice(b",\"Doc\":");
        match self.document.is_empty() {
            true => out.extend_from_slice(b"\"\""),
            false => out.extend_from_slice(&self.document),
        }
        // SDKs look for both of them and parse what is there: empty, they are looked at no further.
        out.extend_from_slice(b",\"UpdatedFields\":\"\",\"RemovedFields\":\"\"");
        if let Some(at) = self.at {
            out.extend_from_slice(b",\"At\":");
            out.extend_from_slice(at.to_string().as_bytes());
        }
        out.push(b'}');
    }
}
