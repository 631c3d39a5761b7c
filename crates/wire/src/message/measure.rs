//! The length, the depth and the weight of a BSON document, found without recursion: what decodes it afterwards recurses, and takes
//! many times the bytes where they are of small values: an array of nulls has three bytes for each.

use bson::Bson;

use super::MalformedMessage;

/// Levels that documents and arrays may be nested, as in MongoDB.
pub const DEEPEST: usize = 200;

/// What a document measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    /// Its bytes.
    pub(super) length: usize,
    /// Bytes of memory that it takes when it is decoded, about.
    pub(super) weight: usize,
}

/// What a value takes beside its own bytes.
const VALUE: usize = size_of::<Bson>();
/// What a field of a document takes beside its value: its name as a text of its own, and its place in the table of fields.
const FIELD: usize = size_of::<String>() + 4 * size_of::<usize>();

/// Measures the document that `bytes` begin with. Its elements fit into each other and it is not too deep; whether the values are
/// valid is for the decoder to say.
pub(super) fn measure(bytes: &[u8]) -> Result<Measure, MalformedMessage> {
    let mut walk = Walk { bytes, at: 0 };
    let mut weight = 0_usize;
    // Where each of the documents that are open ends, and what one of its elements takes.
    let mut ends = vec![(walk.open(bytes.len())?, VALUE + FIELD)];
    while let Some(&(end, element)) = ends.last() {
        let kind = walk.byte(end)?;
        if kind == 0 {
            if walk.at != end {
                return Err(MalformedMessage::Bson(None));
            }
            ends.pop();
            continue;
        }
        weight = weight.saturating_add(element);
        walk.text(end)?;
        match kind {
            // A document, an array.
            0x03 | 0x04 => {
                if ends.len() >= DEEPEST {
                    return Err(MalformedMessage::Depth);
                }
                let element = if kind == 0x04 { VALUE } else { VALUE + FIELD };
                ends.push((walk.open(end)?, element));
            }
            // Undefined, null, the smallest and the greatest key.
            0x06 | 0x0a | 0x7f | 0xff => {}
            0x08 => walk.skip(1, end)?,
            // Double, date, timestamp, long.
            0x01 | 0x09 | 0x11 | 0x12 => walk.skip(8, end)?,
            0x10 => walk.skip(4, end)?,
            0x07 => walk.skip(12, end)?,
            0x13 => walk.skip(16, end)?,
            // String, code, symbol.
            0x02 | 0x0d | 0x0e => walk.skip_counted(0, end)?,
            // Binary: its kind stands between.
            0x05 => walk.skip_counted(1, end)?,
            // A pointer of old: a string and an id.
            0x0c => walk.skip_counted(12, end)?,
            0x0b => {
                walk.text(end)?;
                walk.text(end)?;
            }
            // Code with a scope: the length of all, a string, a document.
            0x0f => {
                if ends.len() >= DEEPEST {
                    return Err(MalformedMessage::Depth);
                }
                let inner = walk.open(end)?;
                walk.skip_counted(0, inner)?;
                let scope = walk.open(inner)?;
                if scope != inner {
                    return Err(MalformedMessage::Bson(None));
                }
                ends.push((scope, VALUE + FIELD));
            }
            _ => return Err(MalformedMessage::Bson(None)),
        }
    }
    Ok(Measure {
        length: walk.at,
        weight: weight.saturating_add(walk.at),
    })
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn skip(&mut self, length: usize, end: usize) -> Result<(), MalformedMessage> {
        match self.at.checked_add(length) {
            Some(at) if at <= end => {
                self.at = at;
                Ok(())
            }
            _ => Err(MalformedMessage::Bson(None)),
        }
    }

    fn byte(&mut self, end: usize) -> Result<u8, MalformedMessage> {
        let at = self.at;
        self.skip(1, end)?;
        self.bytes.get(at).copied().ok_or(MalformedMessage::Bson(None))
    }

    fn length(&mut self, end: usize) -> Result<usize, MalformedMessage> {
        let at = self.at;
        self.skip(4, end)?;
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes
            .and_then(|bytes| usize::try_from(i32::from_le_bytes(*bytes)).ok())
            .ok_or(MalformedMessage::Bson(None))
    }

    /// Steps into what begins with its own length, that counted; gives where it ends.
    fn open(&mut self, end: usize) -> Result<usize, MalformedMessage> {
        let from = self.at;
        let length = self.length(end)?;
        match from.checked_add(length) {
            Some(inner) if inner <= end && length >= 5 => Ok(inner),
            _ => Err(MalformedMessage::Bson(None)),
        }
    }

    /// Steps over what begins with the length of its value, and over `more` bytes.
    fn skip_counted(&mut self, more: usize, end: usize) -> Result<(), MalformedMessage> {
        let length = self.length(end)?;
        self.skip(length, end)?;
        self.skip(more, end)
    }

    /// Steps over text that ends with a NUL.
    fn text(&mut self, end: usize) -> Result<(), MalformedMessage> {
        let rest = self.bytes.get(self.at..end).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == 0);
        self.skip(length.ok_or(MalformedMessage::Bson(None))? + 1, end)
    }
}
