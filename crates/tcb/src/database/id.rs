//! The `_id`s that the service gives: text, and no ObjectId of MongoDB's.

use std::fmt;

/// The `_id` of a document that was added without one: 32 hex digits, as environments since about 2020 give: 8 of the
/// node, 8 of the seconds since 1970, 8 of a counter, 8 at random. They do not sort by time, and must not be relied on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentId {
    /// The process that makes the id: chosen at random when it starts.
    pub node: u32,
    /// Seconds since 1970.
    pub seconds: u32,
    /// Rises by one with each id of the node.
    pub counter: u32,
    /// Random bits.
    pub random: u32,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            seconds,
            counter,
            random,
        } = self;
        write!(f, "{node:08x}{seconds:08x}{counter:08x}{random:08x}")
    }
}
