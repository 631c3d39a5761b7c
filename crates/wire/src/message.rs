//! Messages of MongoDB's wire protocol as bytes: a header of sixteen, then `OP_MSG`, or the `OP_QUERY` by which drivers of old say hello.
//!
//! Everything here is a function of the bytes. A message is bounded in length and weight, and its documents in depth, before anything is made of
//! them, so that no input makes a reader run out of memory or of stack. What begins with letters, as every HTTP request does, has a
//! length that is far too great and is refused after its header: a web page cannot speak to this port.
//!
//! <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>

mod measure;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bson::{Bson, Document, RawDocument};
use crc::{CRC_32_ISCSI, Crc};

pub use self::measure::DEEPEST;

/// Bytes of a message at most, its header among them.
pub const LARGEST: usize = 48_000_000;
/// Bytes of memory that the values of a message may take.
pub const HEAVIEST: usize = 256 << 20;
/// Bytes of a header.
pub const HEADER: usize = 16;
/// What an insert names its documents.
const DOCUMENTS: &str = "documents";
/// Documents of one write at most.
pub const MOST_WRITES: usize = 100_000;

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_COMPRESSED: i32 = 2012;
const OP_MSG: i32 = 2013;

const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// A reader must know all of the lower flags, and may pass over the others.
const MUST_KNOW: u32 = 0xffff;

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Why bytes are no message that is taken. The connection cannot go on after it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedMessage {
    /// Another protocol: HTTP, TLS, a port scanner's.
    #[error("this is not MongoDB's wire protocol")]
    Foreign,
    /// `OP_COMPRESSED`: no compressor is offered in `hello`.
    #[error(
        "the message is compressed, which was not agreed on: leave `compressors` out of the connection string"
    )]
    Compressed,
    /// It ends early, or goes on behind its end.
    #[error("the message is not as long as it says")]
    Length,
    /// A flag that has to be understood.
    #[error("the message has an unknown flag: {0:#x}")]
    Flags(u32),
    /// Its bytes were changed on the way.
    #[error("the message's checksum does not match")]
    Checksum,
    /// Sections that are unknown, missing, or twice there.
    #[error("the sections of the message are not as OP_MSG wants them")]
    Sections,
    /// An `OP_QUERY` that is not a command.
    #[error(
        "OP_QUERY reads no collections here, as in MongoDB since 5.1: a driver of 2018 or later is needed"
    )]
    OldQuery,
    /// A document is nested too deeply.
    #[error("a document is nested more than {DEEPEST} levels deep")]
    Depth,
    /// Its values would take too much memory.
    #[error(
        "the values of the message would take more than {} MB of memory: send fewer documents at once",
        HEAVIEST >> 20
    )]
    Heavy,
    /// No BSON.
    #[error("a document of the message is not valid BSON")]
    Bson(#[source] Option<bson::error::Error>),
}

impl MalformedMessage {
    /// Whether the message is whole all the same, so that its sender can be told, and go on.
    pub(crate) const fn is_of_documents(&self) -> bool {
        matches!(self, Self::Depth | Self::Heavy | Self::Bson(_))
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// `OP_MSG`.
    Message,
    /// `OP_QUERY`.
    Query,
}

/// The first sixteen bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    /// Bytes behind the header.
    pub body: usize,
    /// The sender's number for the message.
    pub id: i32,
    /// What it is.
    pub opcode: MessageKind,
}

impl MessageHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`MalformedMessage::Foreign`] where it is none, [`MalformedMessage::Compressed`].
    pub fn read(bytes: &[u8; HEADER]) -> Result<Self, MalformedMessage> {
        let mut reader = Reader(bytes);
        let length = usize::try_from(reader.int()?).map_err(|_| MalformedMessage::Foreign)?;
        let id = reader.int()?;
        reader.int()?;
        let opcode = match reader.int()? {
            OP_MSG => MessageKind::Message,
            OP_QUERY => MessageKind::Query,
            OP_COMPRESSED => return Err(MalformedMessage::Compressed),
            _ => return Err(MalformedMessage::Foreign),
        };
        if !(HEADER..=LARGEST).contains(&length) {
            return Err(MalformedMessage::Foreign);
        }
        Ok(Self {
            body: length - HEADER,
            id,
            opcode,
        })
    }
}

impl MessageHeader {
    /// Whether the sender waits for no answer to the message with this body.
    pub(crate) fn wants_no_answer(self, body: &[u8]) -> bool {
        let flags = body.first_chunk().map_or(0, |flags| u32::from_le_bytes(*flags));
        self.opcode == MessageKind::Message && flags & MORE_TO_COME != 0
    }
}

/// A command that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct WireRequest {
    /// The sender's number for the message.
    pub id: i32,
    /// How it came, and so how it is answered.
    pub opcode: MessageKind,
    /// The command, with the documents of its sequences as arrays, and with `$db`.
    pub command: Document,
    /// Where in `documents`, which an `insert` has, those stand that were sent with more than one `_id`: in `command` they have the last.
    pub two_ids: BTreeSet<usize>,
    /// Whether no answer is wanted: a write with `w: 0`.
    pub silent: bool,
}

/// Commands that change nothing.
const READS: [&str; 6] = ["find", "getMore", "aggregate", "count", "distinct", "explain"];

impl WireRequest {
    /// Whether it reads alone: it may be given up at any point. A transaction that it belongs to stays open.
    #[must_use]
    pub fn is_read(&self) -> bool {
        let name = self.command.keys().next();
        name.is_some_and(|name| READS.contains(&name.as_str()))
    }

    /// Reads what stands behind a header.
    ///
    /// # Errors
    /// [`MalformedMessage`].
    pub fn read(header: &[u8; HEADER], body: &[u8]) -> Result<Self, MalformedMessage> {
        let head = MessageHeader::read(header)?;
        if head.body != body.len() {
            return Err(MalformedMessage::Length);
        }
        match head.opcode {
            MessageKind::Message => Self::message(head.id, header, body),
            MessageKind::Query => Self::query(head.id, body),
        }
    }

    /// Bytes of memory that a message takes when it is read, about.
    ///
    /// # Errors
    /// As [`read`](Self::read) has them before it decodes.
    pub(crate) fn weigh(header: &[u8; HEADER], body: &[u8]) -> Result<usize, MalformedMessage> {
        let head = MessageHeader::read(header)?;
        Ok(match head.opcode {
            MessageKind::Message => Sections::read(header, body)?.weight,
            // What a driver of old says hello with.
            MessageKind::Query => 0,
        })
    }

    fn message(id: i32, header: &[u8; HEADER], body: &[u8]) -> Result<Self, MalformedMessage> {
        let sections = Sections::read(header, body)?;
        let mut command = decode(sections.command)?;
        let two_ids = two_ids(&sections);
        for (name, documents) in sections.sequences {
            if command.contains_key(name) {
                return Err(MalformedMessage::Sections);
            }
            let documents = documents
                .into_iter()
                .map(|document| decode(document).map(Bson::Document));
            command.insert(name, documents.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self {
            id,
            opcode: MessageKind::Message,
            command,
            two_ids,
            silent: sections.silent,
        })
    }

    fn query(id: i32, body: &[u8]) -> Result<Self, MalformedMessage> {
        let mut reader = Reader(body);
        reader.int()?;
        let collection = reader.text()?;
        let database = collection
            .strip_suffix(".$cmd")
            .ok_or(MalformedMessage::OldQuery)?;
        // How many to leave out, how many to give.
        reader.int()?;
        reader.int()?;
        let mut weight = 0;
        let document = reader.document(&mut weight)?;
        if weight > HEAVIEST {
            return Err(MalformedMessage::Heavy);
        }
        let mut command = decode(document)?;
        if let Some(Bson::Document(inner)) = command.get("$query") {
            command = inner.clone();
        }
        command.insert("$db", database);
        Ok(Self {
            id,
            opcode: MessageKind::Query,
            command,
            two_ids: BTreeSet::new(),
            silent: false,
        })
    }

    /// The bytes of an answer, which is the sender's message number `id`.
    #[must_use]
    pub fn answer(&self, id: i32, document: &RawDocument) -> Vec<u8> {
        let document = document.as_bytes();
        let (opcode, before): (i32, &[u8]) = match self.opcode {
            // No flags, one section of kind 0.
            MessageKind::Message => (OP_MSG, &[0; 5]),
            // Flags (it can await), a cursor, where it begins, one document.
            MessageKind::Query => (
                OP_REPLY,
                &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
            ),
        };
        let length = HEADER + before.len() + document.len();
        let mut out = Vec::with_capacity(length);
        for number in [i32::try_from(length).unwrap_or(i32::MAX), id, self.id, opcode] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(before);
        out.extend_from_slice(document);
        out
    }
}

/// The sections of an `OP_MSG`, each looked at and none decoded.
struct Sections<'b> {
    command: &'b [u8],
    sequences: Vec<(&'b str, Vec<&'b [u8]>)>,
    /// Whether no answer is wanted.
    silent: bool,
    /// Bytes of memory that all of it takes when it is decoded, about.
    weight: usize,
}

impl<'b> Sections<'b> {
    fn read(header: &[u8; HEADER], body: &'b [u8]) -> Result<Self, MalformedMessage> {
        let mut reader = Reader(body);
        let flags = u32::from_le_bytes(reader.array()?);
        let unknown = flags & MUST_KNOW & !(CHECKSUM_PRESENT | MORE_TO_COME);
        if unknown != 0 {
            return Err(MalformedMessage::Flags(unknown));
        }
        if flags & CHECKSUM_PRESENT != 0 {
            let (rest, sum) = reader.0.split_last_chunk::<4>().ok_or(MalformedMessage::Length)?;
            reader = Reader(rest);
            let mut digest = CHECKSUM.digest();
            digest.update(header);
            digest.update(&body[..body.len() - sum.len()]);
            if digest.finalize() != u32::from_le_bytes(*sum) {
                return Err(MalformedMessage::Checksum);
            }
        }
        let mut weight = 0_usize;
        let mut command = None;
        let mut sequences: Vec<(&str, Vec<&[u8]>)> = Vec::new();
        while !reader.0.is_empty() {
            match reader.array::<1>()? {
                [0] if command.is_none() => command = Some(reader.document(&mut weight)?),
                [1] => {
                    let length = usize::try_from(reader.int()?).map_err(|_| MalformedMessage::Length)?;
                    let mut section =
                        Reader(reader.take(length.checked_sub(4).ok_or(MalformedMessage::Length)?)?);
                    let name = section.text()?;
                    let mut documents = Vec::new();
                    while !section.0.is_empty() {
                        // One too many is let through, for the command to refuse it in words; more need not be held.
                        if documents.len() > MOST_WRITES {
                            return Err(MalformedMessage::Sections);
                        }
                        documents.push(section.document(&mut weight)?);
                    }
                    sequences.push((name, documents));
                }
                _ => return Err(MalformedMessage::Sections),
            }
        }
        if weight > HEAVIEST {
            return Err(MalformedMessage::Heavy);
        }
        Ok(Self {
            command: command.ok_or(MalformedMessage::Sections)?,
            sequences,
            silent: flags & MORE_TO_COME != 0,
            weight,
        })
    }
}

/// Where the documents stand that have more than one `_id`, of which all but one are lost where they are decoded.
fn two_ids(sections: &Sections<'_>) -> BTreeSet<usize> {
    let has_two = |document: &RawDocument| {
        let names = document.iter().filter_map(Result::ok);
        names.filter(|(name, _)| *name == "_id").count() > 1
    };
    let sent = sections.sequences.iter().filter(|(name, _)| *name == DOCUMENTS);
    let sent = sent.flat_map(|(_, documents)| documents);
    let sent = sent.map(|document| RawDocument::from_bytes(document).is_ok_and(has_two));
    let command = RawDocument::from_bytes(sections.command);
    let listed = command.ok().and_then(|command| command.get_array(DOCUMENTS).ok());
    let listed = listed.into_iter().flatten();
    let listed = listed.map(|value| value.is_ok_and(|value| value.as_document().is_some_and(has_two)));
    // There is the one or the other: a field and a sequence of one name are refused.
    sent.chain(listed)
        .enumerate()
        .filter_map(|(at, has_two)| has_two.then_some(at))
        .collect()
}

fn decode(document: &[u8]) -> Result<Document, MalformedMessage> {
    Document::from_reader(document).map_err(|error| MalformedMessage::Bson(Some(error)))
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedMessage> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MalformedMessage::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedMessage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(MalformedMessage::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn int(&mut self) -> Result<i32, MalformedMessage> {
        self.array().map(i32::from_le_bytes)
    }

    /// Text that ends with a NUL.
    fn text(&mut self) -> Result<&'a str, MalformedMessage> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(MalformedMessage::Length)?;
        let text = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(text).map_err(|_| MalformedMessage::Bson(None))
    }

    /// The bytes of a document, whose weight is added.
    fn document(&mut self, weight: &mut usize) -> Result<&'a [u8], MalformedMessage> {
        let measure = measure::measure(self.0)?;
        *weight = weight.saturating_add(measure.weight);
        self.take(measure.length)
    }
}
