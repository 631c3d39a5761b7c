//! A file of documents, as JSON and as CSV: it is read to its end or to an error with a place in it, and alike however it comes in
//! pieces; and what was read can be written, and reads back as the same.

use std::io::{self, Read};

use bson::{Document, RawDocumentBuf};
use database::exchange::{CsvColumns, DocumentReader, DocumentWriter, FileFormat, FileLayout};
use ejson::Style;

/// Gives a text in pieces.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(self.0.len()).min(buffer.len());
        buffer[..size].copy_from_slice(&self.0[..size]);
        self.0 = &self.0[size..];
        Ok(size)
    }
}

pub(crate) fn target(data: &[u8]) {
    for format in [None, Some(FileFormat::Json), Some(FileFormat::Csv)] {
        let (documents, error) = read(data, format, usize::MAX);
        for size in [1, 5] {
            let (again, other) = read(data, format, size);
            assert_eq!((texts(&again), &other), (texts(&documents), &error), "{format:?}");
        }
        if format == Some(FileFormat::Json) && error.is_none() {
            same_again(&documents);
        }
    }
}

fn read(data: &[u8], format: Option<FileFormat>, size: usize) -> (Vec<Document>, Option<String>) {
    let lines = data.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    let mut documents = Vec::new();
    let mut before = 0;
    for read in DocumentReader::new(Pieces(data, size), format) {
        match read {
            Ok(read) => {
                assert!(
                    (1..=lines).contains(&read.line) && read.line >= before,
                    "line {}",
                    read.line
                );
                before = read.line;
                documents.push(read.document);
            }
            Err(error) => {
                assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error}");
                return (documents, Some(error.to_string()));
            }
        }
    }
    (documents, None)
}

fn texts(documents: &[Document]) -> Vec<String> {
    documents
        .iter()
        .map(|document| ejson::to_text(document, Style::Canonical))
        .collect()
}

fn same_again(documents: &[Document]) {
    let raw: Option<Vec<RawDocumentBuf>> = documents
        .iter()
        .map(|document| RawDocumentBuf::try_from(document).ok())
        .collect();
    let Some(raw) = raw else { return };
    let written = |layout| {
        let mut writer = DocumentWriter::new(Vec::new(), layout);
        raw.iter()
            .for_each(|document| assert!(writer.write(document).is_ok()));
        writer.finish().unwrap_or_default()
    };
    for layout in [
        FileLayout::Lines(Style::Canonical),
        FileLayout::Array(Style::Canonical),
    ] {
        let text = written(layout);
        let (again, error) = read(&text, None, usize::MAX);
        // A document may hold what reads as a value: `{"$code": "x"}`.
        if error.is_none() && !String::from_utf8_lossy(&text).contains("\"$") {
            assert_eq!(texts(&again), texts(documents));
        }
    }
    let mut columns = CsvColumns::default();
    if raw.iter().any(|document| columns.note(document).is_err()) {
        return;
    }
    // A table cannot say all, but as many documents, and what it says once it says again.
    let columns = columns.into_paths();
    let table = written(FileLayout::Csv(columns.clone()));
    let (rows, error) = read(&table, Some(FileFormat::Csv), usize::MAX);
    if error.is_none() && !columns.is_empty() {
        assert_eq!(rows.len(), documents.len(), "{}", String::from_utf8_lossy(&table));
    }
}
