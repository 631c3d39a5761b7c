//! The way into a file: which format it has, and what was wrong with it where.

use std::{
    io::{self, Chain, Cursor, Read},
    path::Path,
};

use bson::Document;

use super::{csv::CsvReader, json::JsonReader};

/// Bytes that one document may have as text: the 16 MB that it may have in the database, with every number named by its type.
pub(super) const LONGEST: usize = 64 << 20;

/// How documents stand in a file that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Objects one after another, or one array of them.
    Json,
    /// A line of paths, then a line for each document.
    Csv,
}

impl FileFormat {
    /// What the name of a file says: `.csv`; `.json`, `.jsonl` or `.ndjson`.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            _ => None,
        }
    }
}

/// A document, and the line on which it begins, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct FileDocument {
    /// Where it begins.
    pub line: u64,
    /// How many bytes it has as text.
    pub bytes: usize,
    /// What it holds, as the file has it: with or without an `_id`.
    pub document: Document,
}

/// What is wrong with a file, and where. Its text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct FileError {
    /// From 1.
    pub line: u64,
    /// From 1: the character in the line; in CSV, the cell.
    pub column: u64,
    /// What is wrong there.
    pub reason: FileErrorReason,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileErrorReason {
    /// It could not be read on.
    #[error("the file cannot be read on: {0}")]
    Io(#[source] io::Error),
    /// It is in another encoding, such as GBK.
    #[error("this is not UTF-8: save the file as UTF-8, or convert it (iconv -f GB18030 -t UTF-8)")]
    NotUtf8,
    /// It opens with UTF-16's byte order mark.
    #[error("the file is UTF-16: save it as UTF-8, or convert it (iconv -f UTF-16 -t UTF-8)")]
    Utf16,
    /// It is no JSON, or no Extended JSON.
    #[error("{}{}", .0.reason, hint(.0))]
    Json(#[source] ejson::Error),
    /// A value stands where a document should.
    #[error("a document was expected, an object in braces, and {0:?} stands here")]
    NotDocument(char),
    /// Behind a document of an array stands neither a comma nor the array's end.
    #[error("a comma or the array's closing bracket was expected, and {0:?} stands here")]
    NoComma(char),
    /// The array was closed, and more follows.
    #[error(
        "the array of documents ends before this: one file holds one array, or documents without brackets around them"
    )]
    BehindArray,
    /// The file ends inside the array.
    #[error("the file ends inside the array: its closing bracket is missing, and perhaps more with it")]
    OpenArray,
    /// The file ends inside a document.
    #[error(
        "the file ends inside the document that begins in line {0}: is a brace or a quote missing, or was the file cut?"
    )]
    OpenDocument(u64),
    /// One document is longer than any may be.
    #[error("one document has more than 64 MB here: is a brace, a bracket or a quote missing before?")]
    TooLong,
    /// A name that WeChat's import refuses.
    #[error(
        "the name {0:?} begins or ends with a dot, has two dots in a row, or is empty: give the field another name"
    )]
    Name(String),
    /// Paths that nest a document deeper than one is read back.
    #[error("a path nests this document more than 100 deep: give the field a shorter name")]
    TooDeep,
    /// An operator, or one of Extended JSON's names whose value is not of its form.
    #[error(
        "{0:?} begins with a dollar, and names no field: write a time as {{\"$date\":\"2018-08-31T17:30:00.882Z\"}}, and no operators"
    )]
    Dollar(String),
    /// A path that leads through a value that is no object, or to a field that is there already.
    #[error("{0:?} is given twice, once as a path and once as a value: keep one of them")]
    Ambiguous(String),
    /// There is no line of paths.
    #[error("the first line must name the fields, separated by commas, such as _id,name,address.city")]
    NoHeader,
    /// A path stands twice in the first line.
    #[error("the column {0:?} stands twice in the first line: give each field one column")]
    TwoColumns(String),
    /// A line has more cells than the first has names.
    #[error(
        "the line has {cells} cells and the first line names {columns} fields: a text with a comma in it needs quotes around it"
    )]
    Cells {
        /// How many the line has.
        cells: usize,
        /// How many it may have.
        columns: usize,
    },
    /// A cell opens with a quote and does not end.
    #[error(
        "a quote opens in this line and is not closed before the file ends: a quote in a text is written twice"
    )]
    OpenQuote,
}

/// What to look for.
fn hint(error: &ejson::Error) -> &'static str {
    match error.reason {
        ejson::Reason::ControlCharacter => {
            ": a text ends on the line it begins on; is its closing quote missing? (a line break in a text is \\n)"
        }
        ejson::Reason::ExpectedKey => {
            ": names stand in double quotes, and behind the last member stands no comma"
        }
        ejson::Reason::ExpectedValue => {
            ": a value is a text in double quotes, a number, true, false, null, an object or an array"
        }
        ejson::Reason::Expected('}') => ", or a comma and another member",
        ejson::Reason::Expected(']') => ", or a comma and another element",
        ejson::Reason::InvalidType(_) => {
            ": what this name stands for is written as in {\"$date\":\"2018-08-31T17:30:00.882Z\"} or {\"$oid\":\"5fe06c4a7877e500019b7c59\"}"
        }
        _ => "",
    }
}

/// Documents one at a time, as they stand in a file. After an error there are no more.
pub struct DocumentReader<R> {
    source: Option<Source<R>>,
}

/// What was read to know the format, and the rest behind it.
pub(super) type Opened<R> = Chain<Cursor<Vec<u8>>, R>;

enum Source<R> {
    Json(JsonReader<Opened<R>>),
    Csv(Box<CsvReader<Opened<R>>>),
    Broken(FileError),
}

impl<R> std::fmt::Debug for DocumentReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DocumentReader").finish_non_exhaustive()
    }
}

impl<R: Read> DocumentReader<R> {
    /// Reads `input`, which holds documents as `format` says; where that is `None`, as it opens: JSON opens with a bracket. A byte
    /// order mark is passed over.
    pub fn new(mut input: R, format: Option<FileFormat>) -> Self {
        let source = match open(&mut input) {
            Ok(opening) => {
                let first = opening.iter().find(|byte| !byte.is_ascii_whitespace());
                let looks = match first {
                    // No documents at all, in either format.
                    None | Some(b'{' | b'[') => FileFormat::Json,
                    Some(_) => FileFormat::Csv,
                };
                let opened = Cursor::new(opening).chain(input);
                match format.unwrap_or(looks) {
                    FileFormat::Json => Source::Json(JsonReader::new(opened)),
                    FileFormat::Csv => Source::Csv(Box::new(CsvReader::new(opened))),
                }
            }
            Err(reason) => Source::Broken(FileError {
                line: 1,
                column: 1,
                reason,
            }),
        };
        Self { source: Some(source) }
    }
}

/// A byte order mark of UTF-8; whoever joins files may leave several.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The first bytes, up to one that is not blank, without byte order marks.
fn open(input: &mut impl Read) -> Result<Vec<u8>, FileErrorReason> {
    /// A file of more blanks is read on as JSON.
    const MOST: usize = 64 << 10;
    let mut opening = Vec::new();
    let mut piece = [0; 512];
    loop {
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => opening.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FileErrorReason::Io(error)),
        }
        let text = behind_marks(&opening);
        // A mark has two bytes at least.
        let may_go_on = opening.len() < 2 || MARK.starts_with(text);
        let says = text.iter().any(|byte| !byte.is_ascii_whitespace());
        if opening.len() > MOST || (says && !may_go_on) {
            break;
        }
    }
    if opening.starts_with(b"\xff\xfe") || opening.starts_with(b"\xfe\xff") {
        return Err(FileErrorReason::Utf16);
    }
    Ok(behind_marks(&opening).to_vec())
}

fn behind_marks(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(MARK) {
        text = rest;
    }
    text
}

impl<R: Read> Iterator for DocumentReader<R> {
    type Item = Result<FileDocument, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (next, source) = match self.source.take()? {
            Source::Json(mut json) => (json.next()?, Source::Json(json)),
            Source::Csv(mut csv) => (csv.next()?, Source::Csv(csv)),
            Source::Broken(error) => return Some(Err(error)),
        };
        self.source = next.is_ok().then_some(source);
        Some(next)
    }
}
