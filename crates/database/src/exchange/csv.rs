//! CSV: a line of paths, then a document on each line.

use std::io::{self, Read};

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, Trim};
use bson::Document;

use super::{
    cell, names,
    read::{FileDocument, FileError, FileErrorReason, LONGEST},
};

/// Documents in a file of CSV.
pub(super) struct CsvReader<R> {
    reader: Reader<Watched<R>>,
    /// The paths; `None` until the first line was read.
    columns: Option<Vec<String>>,
}

/// Sees what the reader of CSV does not tell: the lines of the file, and whether a quote is open where it ends.
struct Watched<R> {
    input: R,
    ended: bool,
    /// Whether an odd number of quotes was read.
    odd: bool,
    /// What was read and is not known yet to belong to a whole record, behind `taken`.
    text: Vec<u8>,
    taken: usize,
    /// The offset in the file, and the line, of what stands at `taken`.
    offset: u64,
    line: u64,
}

/// What [`Watched`] says of a record that is too long.
#[derive(Debug, thiserror::Error)]
#[error("the record is too long")]
struct RecordTooLong;

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text.drain(..self.taken);
        self.taken = 0;
        if self.text.len() > LONGEST {
            return Err(io::Error::other(RecordTooLong));
        }
        let read = self.input.read(buffer)?;
        self.ended = read == 0;
        let piece = &buffer[..read];
        self.odd ^= memchr::memchr_iter(b'"', piece).count() % 2 == 1;
        self.text.extend_from_slice(piece);
        Ok(read)
    }
}

impl<R> Watched<R> {
    /// Goes on to a place in the file.
    fn take_to(&mut self, offset: u64) {
        let bytes = usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let rest = &self.text[self.taken..];
        let taken = &rest[..bytes.min(rest.len())];
        self.line += memchr::memchr_iter(b'\n', taken).count() as u64;
        self.offset += taken.len() as u64;
        self.taken += taken.len();
    }

    /// Goes on to where the next line begins that is not empty.
    fn skip_line_ends(&mut self) {
        let rest = &self.text[self.taken..];
        let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        self.take_to(self.offset + ends.count() as u64);
    }
}

impl<R: Read> CsvReader<R> {
    pub(super) fn new(input: R) -> Self {
        let watched = Watched {
            input,
            ended: false,
            odd: false,
            text: Vec::new(),
            taken: 0,
            offset: 0,
            line: 1,
        };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            // How many cells a line may have is judged here, with a word on what may be meant.
            .flexible(true)
            .trim(Trim::None)
            .from_reader(watched);
        Self {
            reader,
            columns: None,
        }
    }

    /// The next document; `None` behind the last one.
    pub(super) fn next(&mut self) -> Option<Result<FileDocument, FileError>> {
        if self.columns.is_none() {
            match self.read_columns() {
                Ok(columns) => self.columns = Some(columns),
                Err(error) => return Some(Err(error)),
            }
        }
        let record = match self.record() {
            Ok(record) => record?,
            Err(error) => return Some(Err(error)),
        };
        let columns = self.columns.as_deref().unwrap_or_default();
        Some(document(columns, &record))
    }

    /// The first line.
    fn read_columns(&mut self) -> Result<Vec<String>, FileError> {
        let Some(record) = self.record()? else {
            return Err(at(1, 0, FileErrorReason::NoHeader));
        };
        if record.cells.len() == 1
            && let Some(separator) = [b';', b'\t']
                .into_iter()
                .find(|separator| record.cells[0].contains(separator))
        {
            return Err(at(record.line, 0, FileErrorReason::NoCommas(separator.into())));
        }
        let mut columns: Vec<String> = Vec::new();
        for (number, cell) in record.cells.iter().enumerate() {
            let wrong = |reason| at(record.line, number, reason);
            let path = text(cell).map_err(wrong)?.trim();
            if path.is_empty() {
                return Err(wrong(FileErrorReason::NoHeader));
            }
            if !names::is_path(path) {
                return Err(wrong(FileErrorReason::Name(path.to_owned())));
            }
            if columns.iter().any(|known| known == path) {
                return Err(wrong(FileErrorReason::TwoColumns(path.to_owned())));
            }
            columns.push(path.to_owned());
        }
        Ok(columns)
    }

    fn record(&mut self) -> Result<Option<Record>, FileError> {
        let mut cells = ByteRecord::new();
        let read = self.reader.read_byte_record(&mut cells);
        let behind = self.reader.position().byte();
        let watched = self.reader.get_mut();
        watched.skip_line_ends();
        let line = watched.line;
        watched.take_to(behind);
        match read {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => {
                let reason = match error.into_kind() {
                    ErrorKind::Io(error)
                        if error.get_ref().is_some_and(|inner| inner.is::<RecordTooLong>()) =>
                    {
                        FileErrorReason::TooLong
                    }
                    ErrorKind::Io(error) => FileErrorReason::Io(error),
                    other => FileErrorReason::Io(io::Error::other(format!("{other:?}"))),
                };
                return Err(at(line, 0, reason));
            }
        }
        // The rest of the file stands in one cell then: the reader closes a quote that is open where the file ends.
        let swallows = |cell: &[u8]| cell.contains(&b'\n');
        if watched.ended && watched.odd && cells.iter().next_back().is_some_and(swallows) {
            return Err(at(
                line,
                cells.len().saturating_sub(1),
                FileErrorReason::OpenQuote,
            ));
        }
        Ok(Some(Record { line, cells }))
    }
}

/// A line of a table, which may go over several lines of the file.
struct Record {
    line: u64,
    cells: ByteRecord,
}

fn document(columns: &[String], record: &Record) -> Result<FileDocument, FileError> {
    let Record { line, cells } = record;
    let mut document = Document::new();
    for (number, bytes) in cells.iter().enumerate() {
        let wrong = |reason| at(*line, number, reason);
        let text = text(bytes).map_err(wrong)?;
        let Some(value) = cell::read(text) else { continue };
        let Some(path) = columns.get(number) else {
            return Err(wrong(FileErrorReason::Cells {
                cells: cells.len(),
                columns: columns.len(),
            }));
        };
        names::put(&mut document, path, value).map_err(|(_, reason)| wrong(reason))?;
    }
    Ok(FileDocument {
        line: *line,
        has_paths: false,
        bytes: cells.as_slice().len(),
        document,
    })
}

fn text(cell: &[u8]) -> Result<&str, FileErrorReason> {
    std::str::from_utf8(cell).map_err(|_| FileErrorReason::NotUtf8)
}

/// `cell` from 0.
const fn at(line: u64, cell: usize, reason: FileErrorReason) -> FileError {
    FileError {
        line,
        column: cell as u64 + 1,
        reason,
    }
}
