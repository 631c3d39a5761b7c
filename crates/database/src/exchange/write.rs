//! The way out into a file.

use std::{
    collections::HashSet,
    io::{self, Write},
};

use bson::{RawBsonRef, RawDocument};
use ejson::Style;
use wording::{Wording, wording};

use super::{cell, names, names::Misread};

/// Columns that a file of CSV may have.
const MOST_COLUMNS: usize = 5000;
/// Bytes that their names may have together.
const MOST_NAMES: usize = 1 << 20;
/// Bytes that are gathered before they are written.
const PIECE: usize = 64 << 10;

/// How documents stand in a file that is written.
#[derive(Clone, Debug, PartialEq)]
pub enum FileLayout {
    /// One on each line: what WeChat's console imports.
    Lines(Style),
    /// One array, a document on each line of it.
    Array(Style),
    /// A line of these paths, then a line for each document.
    Csv(Vec<String>),
}

/// Writes documents one at a time.
#[derive(Debug)]
pub struct DocumentWriter<W> {
    out: W,
    layout: FileLayout,
    text: Vec<u8>,
    /// One that holds a cell.
    cell: Vec<u8>,
    written: u64,
    formulas: u64,
    with_paths: u64,
    misread: Misread,
}

impl<W: Write> DocumentWriter<W> {
    /// Writes to `out`, which needs no buffer.
    pub fn new(out: W, layout: FileLayout) -> Self {
        Self {
            out,
            layout,
            text: Vec::new(),
            cell: Vec::new(),
            written: 0,
            formulas: 0,
            with_paths: 0,
            misread: Misread::default(),
        }
    }

    /// Writes one document.
    ///
    /// # Errors
    /// Where `out` fails, or the bytes are no BSON.
    pub fn write(&mut self, document: &RawDocument) -> io::Result<()> {
        if self.written == 0 {
            self.open();
        }
        match &self.layout {
            FileLayout::Lines(style) => {
                ejson::write_raw(&mut self.text, document, *style).map_err(io::Error::other)?;
                self.text.push(b'\n');
            }
            FileLayout::Array(style) => {
                let before: &[u8] = if self.written == 0 { b"\n" } else { b",\n" };
                self.text.extend_from_slice(before);
                ejson::write_raw(&mut self.text, document, *style).map_err(io::Error::other)?;
            }
            FileLayout::Csv(columns) => {
                for (number, column) in columns.iter().enumerate() {
                    self.cell.clear();
                    if let Some(value) = value_at(document, column).map_err(io::Error::other)? {
                        let in_parts = matches!(value, RawBsonRef::Document(_)) && has_parts(columns, column);
                        if !in_parts {
                            self.formulas += u64::from(is_formula(value));
                            cell::write(&mut self.cell, value).map_err(io::Error::other)?;
                        }
                    }
                    separate(&mut self.text, number);
                    quote(&mut self.text, &self.cell, columns.len() == 1);
                }
                self.text.extend_from_slice(b"\r\n");
            }
        }
        if !matches!(self.layout, FileLayout::Csv(_)) {
            self.with_paths += u64::from(names::raw_has_paths(document));
        }
        self.misread.note(document);
        self.written += 1;
        if self.text.len() >= PIECE {
            self.flush()?;
        }
        Ok(())
    }

    /// How many texts were written into cells that a spreadsheet takes for formulas. They are written as they are, as other
    /// programs do it: a mark before them (OWASP's advice for what spreadsheets alone will read) would be part of the text for
    /// whoever imports the file.
    #[must_use]
    pub const fn formulas(&self) -> u64 {
        self.formulas
    }

    /// How many documents of JSON have a name that an import would take for a path, or refuse, unless it takes names
    /// [as they were written](super::DocumentReader::as_written).
    #[must_use]
    pub const fn with_paths(&self) -> u64 {
        self.with_paths
    }

    /// The documents that are read as others than they are.
    #[must_use]
    pub const fn misread(&self) -> &Misread {
        &self.misread
    }

    /// Writes what belongs behind the last document, and gives back where it was written to.
    ///
    /// # Errors
    /// Where `out` fails.
    pub fn finish(mut self) -> io::Result<W> {
        if self.written == 0 {
            self.open();
        }
        if let FileLayout::Array(_) = self.layout {
            let end: &[u8] = if self.written == 0 { b"]\n" } else { b"\n]\n" };
            self.text.extend_from_slice(end);
        }
        self.flush()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn open(&mut self) {
        match &self.layout {
            FileLayout::Lines(_) => {}
            FileLayout::Array(_) => self.text.push(b'['),
            FileLayout::Csv(columns) => {
                for (number, column) in columns.iter().enumerate() {
                    separate(&mut self.text, number);
                    quote(&mut self.text, column.as_bytes(), columns.len() == 1);
                }
                self.text.extend_from_slice(b"\r\n");
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

fn separate(out: &mut Vec<u8>, number: usize) {
    if number > 0 {
        out.push(b',');
    }
}

/// A cell as RFC 4180 has it. Alone on its line, an empty one is quoted: a line of nothing is none.
fn quote(out: &mut Vec<u8>, cell: &[u8], alone: bool) {
    let plain = !cell
        .iter()
        .any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    let edges = cell.first() == Some(&b' ') || cell.last() == Some(&b' ');
    if plain && !edges && !(alone && cell.is_empty()) {
        out.extend_from_slice(cell);
        return;
    }
    out.push(b'"');
    for &byte in cell {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// What a path leads to.
fn value_at<'a>(document: &'a RawDocument, path: &str) -> Result<Option<RawBsonRef<'a>>, bson::error::Error> {
    let Some((first, rest)) = path.split_once('.') else {
        return document.get(path);
    };
    match document.get(first)? {
        Some(RawBsonRef::Document(inner)) => value_at(inner, rest),
        _ => Ok(None),
    }
}

/// Whether what is in `column` has columns of its own.
fn has_parts(columns: &[String], column: &str) -> bool {
    columns.iter().any(|other| {
        other
            .strip_prefix(column)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The paths of all fields of documents, in the order in which they come; an object in an object is taken apart.
#[derive(Clone, Debug, Default)]
pub struct CsvColumns {
    known: HashSet<String>,
    paths: Vec<String>,
    /// Of all paths together.
    bytes: usize,
}

/// Documents have more different fields than a table has columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.wording())]
pub struct TooManyColumns;

impl TooManyColumns {
    /// What is said of it, in both languages.
    #[must_use]
    pub fn wording(&self) -> Wording {
        wording!(
            "the documents have more than {MOST_COLUMNS} different fields, or very long names: name the ones that are wanted",
            "这些记录的字段超过 {MOST_COLUMNS} 个，或字段名过长：请指定需要的字段"
        )
    }
}

impl CsvColumns {
    /// Takes in the fields of one document.
    ///
    /// # Errors
    /// Where they are more than a table may have.
    pub fn note(&mut self, document: &RawDocument) -> Result<(), TooManyColumns> {
        let mut path = String::new();
        self.within(document, &mut path)
    }

    /// All that were seen.
    #[must_use]
    pub fn into_paths(self) -> Vec<String> {
        self.paths
    }

    fn within(&mut self, document: &RawDocument, path: &mut String) -> Result<(), TooManyColumns> {
        // Bytes that are not BSON are reported when the document is written.
        for (name, value) in document.iter().flatten() {
            let length = path.len();
            if length > 0 {
                path.push('.');
            }
            path.push_str(name.as_str());
            match value {
                RawBsonRef::Document(inner) if inner.iter().next().is_some() => self.within(inner, path)?,
                _ if self.known.contains(path.as_str()) => {}
                _ if self.paths.len() >= MOST_COLUMNS || self.bytes + path.len() > MOST_NAMES => {
                    return Err(TooManyColumns);
                }
                _ => {
                    self.bytes += path.len();
                    self.known.insert(path.clone());
                    self.paths.push(path.clone());
                }
            }
            path.truncate(length);
        }
        Ok(())
    }
}

/// Whether a spreadsheet computes a cell instead of showing it (OWASP, "CSV Injection"). A number may begin with a minus.
fn is_formula(value: RawBsonRef<'_>) -> bool {
    matches!(value, RawBsonRef::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']))
}
