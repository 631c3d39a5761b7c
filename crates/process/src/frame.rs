//! The frames between host and worker. Both directions are a fixed header, little endian, and a body:
//!
//! ```text
//! to the worker    u32 body length | u32 call id | u32 head length | u32 milliseconds left | u16 kind, flags | u16 magic | head | event
//! from the worker  u32 body length | u32 call id | u32 number                              | u16 kind        | u16 magic | body
//! ```
//!
//! A magic, a length, a kind or an id that cannot be valid means that the stream is not to be trusted any more: the worker is
//! killed and its calls fail. `js/worker/link.js` is the other end.

use std::{
    cell::RefCell,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, Bytes, BytesMut};
use zeroize::{Zeroize, Zeroizing};

use crate::output::{Level, OutputLine};

/// Bytes of the header of a frame to a worker.
const TO_WORKER_HEADER: usize = 20;
/// Bytes of the header of a frame from a worker.
const FROM_WORKER_HEADER: usize = 16;
/// The call id of a frame that belongs to no call.
pub(crate) const NO_CALL: u32 = u32::MAX;

const MAGIC: u16 = 0x5951;
/// Head and event are ASCII, so that Node may take the bytes as they are.
const ASCII: u16 = 0x100;
/// The largest body a worker sends: a result of 6 MB, or the text of an error, and room to spare.
const MAX_FROM_WORKER: u32 = 8 * 1024 * 1024;
/// Bodies longer than this are not copied out of the read buffer, but leave with it.
const COPY_BELOW: usize = 32 * 1024;
/// A worker's token: 16 random bytes in hex.
pub(crate) const TOKEN_LENGTH: usize = 32;
/// How many buffers wait to be used again, and how large they may be.
const SPARE_BUFFERS: usize = 64;
const SPARE_CAPACITY: usize = 64 * 1024;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What a worker is told to do, other than a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Load a function; the text says which.
    Load = 2,
    /// Load what the functions of a tree have in common; the text says which tree.
    Prepare = 3,
}

/// The order to run `main`.
const CALL: u16 = 1;
/// The order to know who one is: the head has the worker's socket and key pair. The first of all.
const IDENTIFY: u16 = 4;

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

    /// Where the head is to be appended: the JSON text `{"r":"<request id>","e":{<environment>}}`, with `"a":<attempt>,` or
    /// `"m":<most bytes>,` before them where the call has one. Append only, and before the event.
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

    /// The bytes that make the worker run this call, which it will name `id`; `left_ms` is how long the function may run.
    pub(crate) fn call(&mut self, id: u32, left_ms: u32) -> Result<&[u8], TooLong> {
        self.seal(CALL, id, left_ms)
    }

    /// Fills in the header.
    fn seal(&mut self, order: u16, id: u32, left_ms: u32) -> Result<&[u8], TooLong> {
        let body = self.bytes.len().saturating_sub(TO_WORKER_HEADER);
        let head = self.split().saturating_sub(TO_WORKER_HEADER);
        let body = u32::try_from(body).map_err(|_| TooLong)?;
        let head = u32::try_from(head).map_err(|_| TooLong)?;
        let ascii = self.bytes.get(TO_WORKER_HEADER..).is_some_and(<[u8]>::is_ascii);
        let tag = order | if ascii { ASCII } else { 0 };
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

/// The bytes of an order. They may hold the worker's secret, and a frame's buffer is used again: nothing is left in there.
fn order(order: u16, text: &str) -> Result<Zeroizing<Vec<u8>>, TooLong> {
    let mut frame = Frame::new();
    frame.head().extend_from_slice(text.as_bytes());
    let bytes = frame.seal(order, NO_CALL, 0).map(<[u8]>::to_vec);
    frame.head().zeroize();
    bytes.map(Zeroizing::new)
}

impl Order {
    /// The frame of this order.
    pub(crate) fn frame(self, text: &str) -> Result<Zeroizing<Vec<u8>>, TooLong> {
        order(self as u16, text)
    }
}

/// The frame that tells a worker its socket and its key pair.
pub(crate) fn identify(text: &str) -> Result<Zeroizing<Vec<u8>>, TooLong> {
    order(IDENTIFY, text)
}

/// A frame of 4 GB or more, or one whose buffer was cut short by whoever filled it.
#[derive(Debug)]
pub(crate) struct TooLong;

/// A file of which a function consists, as it was before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedFile {
    /// Its real path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

/// Path, size, and time in nanoseconds as text: it has more digits than a number of JavaScript's.
fn loaded_files(body: &[u8]) -> Option<Vec<LoadedFile>> {
    let files: Vec<(PathBuf, u64, String)> = serde_json::from_slice(body).ok()?;
    let read = |(path, size, nanoseconds): (_, _, String)| {
        // A file may say that it is older than the epoch.
        let nanoseconds: i128 = nanoseconds.parse().ok()?;
        let distance = Duration::from_nanos(u64::try_from(nanoseconds.unsigned_abs()).ok()?);
        let modified = match nanoseconds < 0 {
            true => UNIX_EPOCH.checked_sub(distance)?,
            false => UNIX_EPOCH.checked_add(distance)?,
        };
        Some(LoadedFile { path, size, modified })
    };
    files.into_iter().map(read).collect()
}

/// What a worker says, as one frame carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerMessage {
    /// It has loaded what the functions of a tree have in common.
    Prepared,
    /// It has loaded its function.
    Loaded,
    /// It could not load its function.
    LoadFailed {
        /// Why.
        thrown: Thrown,
        /// Loading again would only repeat it, until a file changes.
        lasting: bool,
    },
    /// A call is over.
    Answered {
        /// Which, as [`Workers::call`](crate::Workers::call) named it.
        call: u32,
        /// What came of it.
        answer: WorkerAnswer,
    },
    /// Something was printed.
    Printed {
        /// By which call; `None` outside of calls.
        call: Option<u32>,
        /// What.
        line: OutputLine,
    },
    /// Files of which its function consists, in addition to those that it told before, as they were before it read them.
    Modules(Vec<LoadedFile>),
    /// So much was printed beyond what may be kept.
    Dropped {
        /// By which call; `None` outside of calls.
        call: Option<u32>,
        /// How many bytes.
        bytes: u64,
    },
}

/// What came of a call, as its worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerAnswer {
    /// A result: its JSON text.
    Json(Bytes),
    /// A result that has no JSON text, as `undefined`.
    Undefined,
    /// The function threw, or rejected.
    Threw {
        /// What.
        thrown: Thrown,
        /// Nobody caught it: the process is not to be used for another call.
        uncaught: bool,
    },
    /// The result cannot be JSON.
    NotJson {
        /// What `JSON.stringify` said.
        message: String,
    },
    /// The result's JSON text is longer than a worker may send.
    TooLarge {
        /// How long it is.
        bytes: u64,
    },
}

/// Something that JavaScript threw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thrown {
    /// Its message.
    pub message: String,
    /// Its stack, which usually begins with the message.
    pub stack: String,
}

impl Thrown {
    /// Reads `{"message","stack"}`; what is missing is empty.
    fn read(body: &[u8]) -> Self {
        let mut described: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let mut member = |name| match described.get_mut(name).map(serde_json::Value::take) {
            Some(serde_json::Value::String(text)) => text,
            _ => String::new(),
        };
        Self {
            message: member("message"),
            stack: member("stack"),
        }
    }
}

/// How a frame from a worker names what it carries; `js/worker/link.js` has the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// First frame of a connection: the body is the worker's token.
    Hello,
    Prepared,
    Loaded,
    /// The body is `{"message","stack"}`; the number is 1 when trying again is no use.
    LoadFailed,
    /// The body is the result's JSON.
    Result,
    Undefined,
    /// The body is `{"message","stack"}`; the number is 1 when nobody caught it.
    Threw,
    /// The body says why.
    NotJson,
    /// The number is the length.
    TooLarge,
    /// The number is milliseconds since the call began, then eight bits of level.
    Log,
    /// The number is how many bytes.
    Dropped,
    /// The body is a JSON array of paths.
    Modules,
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
            12 => Self::Modules,
            _ => return None,
        })
    }
}

/// The header of a frame from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: Kind,
    id: u32,
    number: u32,
    body: usize,
}

/// Something that no worker sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAFrame;

impl Header {
    /// Reads the header at the start of `bytes`; `None` when there are too few yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, NotAFrame> {
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

/// What the start of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstFrame<T> {
    /// A whole frame, which is taken out.
    Whole(T),
    /// A part of one: so many bytes more are needed at least.
    Missing(usize),
}

/// Takes the first frame out of what was read.
fn take(buffer: &mut BytesMut) -> Result<FirstFrame<(Header, Bytes)>, NotAFrame> {
    let Some(header) = Header::parse(buffer)? else {
        return Ok(FirstFrame::Missing(FROM_WORKER_HEADER - buffer.len()));
    };
    let size = FROM_WORKER_HEADER + header.body;
    if buffer.len() < size {
        return Ok(FirstFrame::Missing(size - buffer.len()));
    }
    buffer.advance(FROM_WORKER_HEADER);
    let body = if header.body < COPY_BELOW {
        let body = Bytes::copy_from_slice(buffer.get(..header.body).unwrap_or_default());
        buffer.advance(header.body);
        body
    } else {
        buffer.split_to(header.body).freeze()
    };
    Ok(FirstFrame::Whole((header, body)))
}

/// Takes the token out of the first frame of a connection.
pub(crate) fn take_hello(buffer: &mut BytesMut) -> Result<FirstFrame<String>, NotAFrame> {
    // Whoever says that more is coming is no worker, and gets no buffer for it.
    if let Some(header) = Header::parse(buffer)?
        && (header.kind != Kind::Hello || header.body != TOKEN_LENGTH)
    {
        return Err(NotAFrame);
    }
    Ok(match take(buffer)? {
        FirstFrame::Whole((_, token)) => {
            FirstFrame::Whole(String::from_utf8(token.to_vec()).map_err(|_| NotAFrame)?)
        }
        FirstFrame::Missing(bytes) => FirstFrame::Missing(bytes),
    })
}

impl WorkerMessage {
    /// Takes the first message out of what was read.
    pub(crate) fn take(buffer: &mut BytesMut) -> Result<FirstFrame<Self>, NotAFrame> {
        Ok(match take(buffer)? {
            FirstFrame::Whole((header, body)) => {
                FirstFrame::Whole(Self::read(header, body).ok_or(NotAFrame)?)
            }
            FirstFrame::Missing(bytes) => FirstFrame::Missing(bytes),
        })
    }

    fn read(header: Header, body: Bytes) -> Option<Self> {
        let Header { kind, id, number, .. } = header;
        let answered = |answer| Self::Answered { call: id, answer };
        let call = (id != NO_CALL).then_some(id);
        Some(match kind {
            Kind::Result => answered(WorkerAnswer::Json(body)),
            Kind::Undefined => answered(WorkerAnswer::Undefined),
            Kind::Threw => answered(WorkerAnswer::Threw {
                thrown: Thrown::read(&body),
                uncaught: number == 1,
            }),
            Kind::NotJson => answered(WorkerAnswer::NotJson { message: text(&body) }),
            Kind::TooLarge => answered(WorkerAnswer::TooLarge {
                bytes: u64::from(number),
            }),
            Kind::Log => Self::Printed {
                call,
                line: OutputLine {
                    // The number's lowest eight bits.
                    level: Level::from_number((number & 0xff) as u8)?,
                    at: Duration::from_millis(u64::from(number >> 8)),
                    text: text(&body),
                },
            },
            Kind::Dropped => Self::Dropped {
                call,
                bytes: u64::from(number),
            },
            Kind::Prepared => Self::Prepared,
            Kind::Loaded => Self::Loaded,
            Kind::LoadFailed => Self::LoadFailed {
                thrown: Thrown::read(&body),
                lasting: number == 1,
            },
            Kind::Modules => Self::Modules(loaded_files(&body)?),
            Kind::Hello => return None,
        })
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
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
        let bytes = frame.call(7, 3000).unwrap();
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
        assert_eq!(frame.seal(Order::Load as u16, 0, 0).unwrap()[16..18], [2, 1]);
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
        for (at, byte) in [(3, 0xff), (12, 0), (12, 13), (13, 1), (14, 0x50), (15, 0)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(Header::parse(&bad), Err(NotAFrame), "byte {at} = {byte}");
        }
    }
}
