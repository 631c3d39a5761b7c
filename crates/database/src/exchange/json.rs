//! JSON: documents one after another, or in one array. Where one ends is found by its brackets alone; `ejson` then reads it, and
//! says what is wrong with it.

use std::io::{self, Read};

use super::{
    names,
    read::{FileDocument, FileError, FileErrorReason, LONGEST},
};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Documents in a file of JSON.
pub(super) struct JsonReader<R> {
    input: R,
    /// Whether names are names, and no paths.
    pub(super) as_written: bool,
    ended: bool,
    piece: Vec<u8>,
    /// What was read; up to `at`, it was taken.
    text: Vec<u8>,
    at: usize,
    /// Where the byte at `at` stands.
    place: Place,
    around: Around,
}

/// A character of a file.
#[derive(Clone, Copy, Debug)]
struct Place {
    line: u64,
    column: u64,
}

impl Place {
    /// The place behind `text`.
    fn behind(self, text: &[u8]) -> Self {
        let characters = |text: &[u8]| text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
        match text.iter().rposition(|byte| *byte == b'\n') {
            None => Self {
                line: self.line,
                column: self.column + characters(text),
            },
            Some(last) => Self {
                line: self.line + text.iter().filter(|byte| **byte == b'\n').count() as u64,
                column: 1 + characters(&text[last + 1..]),
            },
        }
    }

    const fn is(self, reason: FileErrorReason) -> FileError {
        FileError {
            line: self.line,
            column: self.column,
            reason,
        }
    }
}

/// What stands around the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    /// Nothing was read yet.
    Unknown,
    /// They stand one after another.
    Nothing,
    /// The array's bracket, and before the next document a comma where one was read.
    Array { comma: bool },
}

/// How far the end of a value was looked for.
#[derive(Debug, Default)]
struct Extent {
    /// Bytes that were looked at.
    seen: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Extent {
    /// Looks on; answers whether the value ends at `seen`, or cannot be one.
    fn ends(&mut self, value: &[u8]) -> bool {
        while let Some(&byte) = value.get(self.seen) {
            self.seen += 1;
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    // No text goes over the end of a line, and so what is wrong is known without reading on.
                    b'\n' => return true,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}

impl<R: Read> JsonReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            as_written: false,
            ended: false,
            piece: vec![0; PIECE],
            text: Vec::new(),
            at: 0,
            place: Place { line: 1, column: 1 },
            around: Around::Unknown,
        }
    }

    /// The next document; `None` behind the last one.
    pub(super) fn next(&mut self) -> Option<Result<FileDocument, FileError>> {
        match self.seek() {
            Ok(true) => Some(self.document()),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Goes to where the next document begins; answers whether there is one.
    fn seek(&mut self) -> Result<bool, FileError> {
        loop {
            let Some(byte) = self.peek()? else {
                return match self.around {
                    Around::Array { .. } => Err(self.place.is(FileErrorReason::OpenArray)),
                    Around::Unknown | Around::Nothing => Ok(false),
                };
            };
            match (byte, self.around) {
                (b'[', Around::Unknown) => {
                    self.take(1);
                    self.around = Around::Array { comma: false };
                    if self.peek()? == Some(b']') {
                        return self.close();
                    }
                    self.around = Around::Array { comma: true };
                }
                (b',', Around::Array { comma: false }) => {
                    self.take(1);
                    self.around = Around::Array { comma: true };
                }
                (b']', Around::Array { comma: false }) => return self.close(),
                (_, Around::Array { comma: false }) => {
                    let found = self.character()?;
                    return Err(self.place.is(FileErrorReason::NoComma(found)));
                }
                (b'{', Around::Array { .. }) => return Ok(true),
                (b'{', _) => {
                    self.around = Around::Nothing;
                    return Ok(true);
                }
                (b',', Around::Nothing) => self.take(1),
                _ => {
                    let found = self.character()?;
                    return Err(self.place.is(FileErrorReason::NotDocument(found)));
                }
            }
        }
    }

    /// Behind the array nothing follows.
    fn close(&mut self) -> Result<bool, FileError> {
        self.take(1);
        match self.peek()? {
            None => {
                self.around = Around::Nothing;
                Ok(false)
            }
            Some(_) => Err(self.place.is(FileErrorReason::BehindArray)),
        }
    }

    fn document(&mut self) -> Result<FileDocument, FileError> {
        let mut extent = Extent::default();
        while !extent.ends(&self.text[self.at..]) {
            if extent.seen > LONGEST {
                return Err(self.place.is(FileErrorReason::TooLong));
            }
            if !self.more()? {
                break;
            }
        }
        let text = &self.text[self.at..self.at + extent.seen];
        let document = match ejson::read_documents(text).next() {
            Some(Ok(document)) => document,
            None => return Err(self.place.is(FileErrorReason::OpenDocument(self.place.line))),
            Some(Err(error)) => {
                let place = self.place.behind(text.get(..error.offset).unwrap_or(text));
                return Err(place.is(match error.reason {
                    ejson::Reason::UnexpectedEnd => FileErrorReason::OpenDocument(self.place.line),
                    ejson::Reason::NotUtf8 => FileErrorReason::NotUtf8,
                    _ => FileErrorReason::Json(error),
                }));
            }
        };
        let has_paths = !self.as_written && names::has_paths(&document);
        let nested = match has_paths {
            true => names::nest(document),
            false => Ok(document),
        };
        let document = nested.map_err(|(name, reason)| {
            let mut quoted = Vec::new();
            ejson::write(&mut quoted, &name.into(), ejson::Style::Relaxed);
            let at = memchr::memmem::find(text, &quoted).unwrap_or(0);
            self.place.behind(&text[..at]).is(reason)
        })?;
        let read = FileDocument {
            line: self.place.line,
            bytes: text.len(),
            has_paths,
            document,
        };
        self.take(extent.seen);
        if let Around::Array { comma } = &mut self.around {
            *comma = false;
        }
        Ok(read)
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Result<Option<u8>, FileError> {
        loop {
            let rest = &self.text[self.at..];
            if let Some(at) = rest
                .iter()
                .position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            {
                self.take(at);
                return Ok(self.text.get(self.at).copied());
            }
            self.take(rest.len());
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// The character at which the reader stands.
    fn character(&mut self) -> Result<char, FileError> {
        while self.text.len() - self.at < 4 && self.more()? {}
        let rest = &self.text[self.at..];
        let first = rest.utf8_chunks().next();
        let valid = first.and_then(|chunk| chunk.valid().chars().next());
        Ok(valid.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn take(&mut self, bytes: usize) {
        self.place = self.place.behind(&self.text[self.at..self.at + bytes]);
        self.at += bytes;
    }

    /// Reads on; answers whether there was more.
    fn more(&mut self) -> Result<bool, FileError> {
        if self.ended {
            return Ok(false);
        }
        if self.at > 0 {
            self.text.drain(..self.at);
            self.at = 0;
        }
        let read = loop {
            match self.input.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => {
                self.ended = true;
                Ok(false)
            }
            Ok(read) => {
                self.text.extend_from_slice(&self.piece[..read]);
                Ok(true)
            }
            Err(error) => Err(self.place.behind(&self.text).is(FileErrorReason::Io(error))),
        }
    }
}
