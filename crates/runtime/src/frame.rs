//! The frames between host and worker. Both directions are a fixed header, little endian, and a body:
//!
//! ```text
//! to the worker    u32 body length | u32 call id | u32 head length | u32 milliseconds left | u16 kind, flags | u16 magic | head | event
//! from the worker  u32 body length | u32 call id | u32 number                              | u16 kind        | u16 magic | body
//! ```
//!
//! A magic, a length, a kind or an id that cannot be means that the stream is not to be trusted any more: the worker is
//! killed and its calls fail. `js/worker/link.js` is the other end.

use std::cell::RefCell;

/// Bytes of the header of a frame to a worker.
pub(crate) const TO_WORKER_HEADER: usize = 20;
/// Bytes of the header of a frame from a worker.
pub(crate) const FROM_WORKER_HEADER: usize = 16;
/// The call id of a frame that belongs to no call.
pub(crate) const NO_CALL: u32 = u32::MAX;

const MAGIC: u16 = 0x5951;
/// Head and event are ASCII, so that Node may take the bytes as they are.
const ASCII: u16 = 0x100;
/// The largest body a worker sends: a result of 1 MB, or the text of an error, and room to spare.
const MAX_FROM_WORKER: u32 = 8 * 1024 * 1024;
/// How many buffers wait to be used again, and how large they may be.
const SPARE_BUFFERS: usize = 64;
const SPARE_CAPACITY: usize = 64 * 1024;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What a frame asks of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Run `main`.
    Call = 1,
    /// Load a function; the head says which.
    Load = 2,
    /// Load what the functions of a tree have in common; the head says which tree.
    Prepare = 3,
    /// Know who you are: the head has the worker's socket and key pair. The first of all.
    Identify = 4,
}

/// A call's frame while it is being built: one buffer, first the head, then the event.
///
/// Buffers are used again, so that building a frame usually allocates nothing.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    head_end: Option<usize>,
}

impl Frame {
    /// An empty frame.
    #[must_use]
    pub fn new() -> Self {
        let mut bytes = BUFFERS
            .with_borrow_mut(Vec::pop)
            .unwrap_or_else(|| Vec::with_capacity(4096));
        bytes.resize(TO_WORKER_HEADER, 0);
        Self {
            bytes,
            head_end: None,
        }
    }

    /// Where the head is to be appended: the JSON text `{"r":"<request id>","e":{<environment>}}`, with `"a":<attempt>,`
    /// before them where the call has one. Append only, and before the event.
    pub fn head(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.head_end.is_none(), "the head comes before the event");
        &mut self.bytes
    }

    /// Where the event is to be appended, as JSON text that reaches the function byte for byte. Append only.
    pub fn event(&mut self) -> &mut Vec<u8> {
        self.head_end.get_or_insert(self.bytes.len());
        &mut self.bytes
    }

    /// The head as it was written.
    #[must_use]
    pub fn head_bytes(&self) -> &[u8] {
        self.bytes.get(TO_WORKER_HEADER..self.split()).unwrap_or_default()
    }

    /// The event as it was written: what the worker's socket will carry.
    #[must_use]
    pub fn event_bytes(&self) -> &[u8] {
        self.bytes.get(self.split()..).unwrap_or_default()
    }

    fn split(&self) -> usize {
        self.head_end.unwrap_or(self.bytes.len())
    }

    /// Fills in the header. `left_ms` is how long the function may run.
    pub(crate) fn seal(&mut self, order: Order, id: u32, left_ms: u32) -> Result<&[u8], TooLong> {
        let body = self.bytes.len().saturating_sub(TO_WORKER_HEADER);
        let head = self.split().saturating_sub(TO_WORKER_HEADER);
        let body = u32::try_from(body).map_err(|_| TooLong)?;
        let head = u32::try_from(head).map_err(|_| TooLong)?;
        let ascii = self.bytes.get(TO_WORKER_HEADER..).is_some_and(<[u8]>::is_ascii);
        let tag = order as u16 | if ascii { ASCII } else { 0 };
        let header = self.bytes.get_mut(..TO_WORKER_HEADER).ok_or(TooLong)?;
        let fields = [
            body.to_le_bytes(),
            id.to_le_bytes(),
            head.to_le_bytes(),
            left_ms.to_le_bytes(),
            (u32::from(MAGIC) << 16 | u32::from(tag)).to_le_bytes(),
        ];
        header.copy_from_slice(fields.as_flattened());
        Ok(&self.bytes)
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() <= SPARE_CAPACITY {
            bytes.clear();
            BUFFERS.with_borrow_mut(|buffers| {
                if buffers.len() < SPARE_BUFFERS {
                    buffers.push(bytes);
                }
            });
        }
    }
}

/// A frame of 4 GB or more, or one whose buffer was cut short by whoever filled it.
#[derive(Debug)]
pub(crate) struct TooLong;

/// What a frame from a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// First frame of a connection: the body is the worker's token.
    Hello,
    /// The shared dependencies are loaded.
    Prepared,
    /// The function is loaded.
    Loaded,
    /// It is not: the body says why; the number is 1 when trying again is no use.
    LoadFailed,
    /// A result: the body is its JSON.
    Result,
    /// A result that has no JSON, as `undefined`.
    Undefined,
    /// The function threw: the body is `{"message","stack"}`; the number is 1 when nobody caught it.
    Threw,
    /// The result has no JSON text: the body says why.
    NotJson,
    /// The result's JSON has `number` bytes, which is too many.
    TooLarge,
    /// A line of output: the number is milliseconds since the call began, then eight bits of level.
    Log,
    /// `number` bytes of output were dropped.
    Dropped,
}

impl Kind {
    fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Prepared,
            3 => Self::Loaded,
            4 => Self::LoadFailed,
            5 => Self::Result,
            6 => Self::Undefined,
            7 => Self::Threw,
            8 => Self::NotJson,
            9 => Self::TooLarge,
            10 => Self::Log,
            11 => Self::Dropped,
            _ => return None,
        })
    }
}

/// The header of a frame from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) id: u32,
    pub(crate) number: u32,
    pub(crate) body: usize,
}

/// Something that is no frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAFrame;

impl Header {
    /// Reads the header at the start of `bytes`; `None` when there are too few yet.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, NotAFrame> {
        let Some(header) = bytes.first_chunk::<FROM_WORKER_HEADER>() else {
            return Ok(None);
        };
        let (words, _) = header.as_chunks::<4>();
        let [body, id, number, tag] = words else {
            return Err(NotAFrame);
        };
        let [body, id, number, tag] = [body, id, number, tag].map(|word| u32::from_le_bytes(*word));
        if tag >> 16 != u32::from(MAGIC) || body > MAX_FROM_WORKER {
            return Err(NotAFrame);
        }
        // The upper half is the magic: what is left fits.
        let kind = Kind::from_number((tag & 0xffff) as u16).ok_or(NotAFrame)?;
        Ok(Some(Self {
            kind,
            id,
            number,
            body: body as usize,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_frame_carries_head_and_event_byte_for_byte() {
        let mut frame = Frame::new();
        frame.head().extend_from_slice(br#"{"r":"1","e":{}}"#);
        let event = "{\"b\":12345678901234567890, \"a\":\"中\\u0000😀\",\"n\":1.0e2}";
        frame.event().extend_from_slice(event.as_bytes());
        assert_eq!(frame.event_bytes(), event.as_bytes());
        let bytes = frame.seal(Order::Call, 7, 3000).unwrap();
        let body = event.len() + 16;
        assert_eq!(&bytes[..4], (body as u32).to_le_bytes());
        assert_eq!(&bytes[4..8], 7u32.to_le_bytes());
        assert_eq!(&bytes[8..12], 16u32.to_le_bytes());
        assert_eq!(&bytes[12..16], 3000u32.to_le_bytes());
        assert_eq!(&bytes[16..20], [1, 0, 0x51, 0x59]);
        assert!(bytes.ends_with(event.as_bytes()));
    }

    #[test]
    fn says_when_all_is_ascii() {
        let mut frame = Frame::new();
        frame.head().extend_from_slice(b"{}");
        frame.event().extend_from_slice(b"{}");
        assert_eq!(frame.seal(Order::Load, 0, 0).unwrap()[16..18], [2, 1]);
    }

    #[test]
    fn buffers_come_back_empty() {
        for _ in 0..3 {
            let mut frame = Frame::new();
            assert!(frame.head_bytes().is_empty() && frame.event_bytes().is_empty());
            frame.head().extend_from_slice(b"rest of an earlier call");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let good = [5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0x51, 0x59];
        let header = Header::parse(&good).unwrap().unwrap();
        assert_eq!(
            header,
            Header {
                kind: Kind::Result,
                id: 1,
                number: 0,
                body: 5
            }
        );
        assert_eq!(Header::parse(&good[..15]), Ok(None));
        for (at, byte) in [(3, 0xff), (12, 0), (12, 12), (13, 1), (14, 0x50), (15, 0)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(Header::parse(&bad), Err(NotAFrame), "byte {at} = {byte}");
        }
    }
}
