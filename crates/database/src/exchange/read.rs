//! The way into a file: which format it has, and what was wrong with it where.

use std::{
    io::{self, Chain, Cursor, Read},
    path::Path,
};

use bson::Document;
use wording::{Wording, wording};

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
    /// Whether a name in it was taken for a path.
    pub has_paths: bool,
    /// What it holds, as the file has it: with or without an `_id`.
    pub document: Document,
}

/// What is wrong with a file, and where. Its text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.wording())]
pub struct FileError {
    /// From 1.
    pub line: u64,
    /// From 1: the character in the line; in CSV, the cell.
    pub column: u64,
    /// What is wrong there.
    pub reason: FileErrorReason,
}

impl FileError {
    /// What is said of it, in both languages.
    #[must_use]
    pub fn wording(&self) -> Wording {
        let (line, column, reason) = (self.line, self.column, self.reason.wording());
        wording!("line {line}, column {column}: {reason}", "第 {line} 行第 {column} 列：{reason}"; reason)
    }
}

/// What can be wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileErrorReason {
    /// It could not be read on.
    Io(io::Error),
    /// It is in another encoding, such as GBK.
    NotUtf8,
    /// It opens with UTF-16's byte order mark.
    Utf16,
    /// It is no JSON, or no Extended JSON.
    Json(ejson::Error),
    /// A value stands where a document should.
    NotDocument(char),
    /// Behind a document of an array stands neither a comma nor the array's end.
    NoComma(char),
    /// The array was closed, and more follows.
    BehindArray,
    /// The file ends inside the array.
    OpenArray,
    /// The file ends inside a document, which begins in this line.
    OpenDocument(u64),
    /// One document is longer than any may be.
    TooLong,
    /// A name that WeChat's import refuses.
    Name(String),
    /// Paths that nest a document deeper than one is read back.
    TooDeep,
    /// An operator, or one of Extended JSON's names whose value is not of its form.
    Dollar(String),
    /// A path that leads through a value that is no object, or to a field that is there already.
    Ambiguous(String),
    /// There is no line of paths.
    NoHeader,
    /// The first line is one name that has something else between its parts, as spreadsheets write it in many countries.
    NoCommas(char),
    /// A path stands twice in the first line.
    TwoColumns(String),
    /// A line has more cells than the first has names.
    Cells {
        /// How many the line has.
        cells: usize,
        /// How many it may have.
        columns: usize,
    },
    /// A cell opens with a quote and does not end.
    OpenQuote,
}

impl FileErrorReason {
    /// What is said of it, in both languages.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::Io(error) => wording!("the file cannot be read on: {error}", "无法继续读取文件：{error}"),
            Self::NotUtf8 => wording!(
                "this is not UTF-8: save the file as UTF-8, or convert it (iconv -f GB18030 -t UTF-8)",
                "这里不是 UTF-8：请把文件另存为 UTF-8，或转换编码（iconv -f GB18030 -t UTF-8）"
            ),
            Self::Utf16 => wording!(
                "the file is UTF-16: save it as UTF-8, or convert it (iconv -f UTF-16 -t UTF-8)",
                "文件是 UTF-16：请另存为 UTF-8，或转换编码（iconv -f UTF-16 -t UTF-8）"
            ),
            Self::Json(error) => {
                let (reason, hint) = (error.reason.wording(), hint(error));
                Wording {
                    en: reason.en + &hint.en,
                    zh: reason.zh + &hint.zh,
                }
            }
            Self::NotDocument(found) => wording!(
                "a document was expected, an object in braces, and {found:?} stands here",
                "这里应是一条记录（花括号里的对象），却是 {found:?}"
            ),
            Self::NoComma(found) => wording!(
                "a comma or the array's closing bracket was expected, and {found:?} stands here",
                "这里应是逗号或数组的右方括号，却是 {found:?}"
            ),
            Self::BehindArray => wording!(
                "the array of documents ends before this: one file holds one array, or documents without brackets around them",
                "记录的数组在此之前已经结束：一个文件只能有一个数组，或者是没有方括号的若干条记录"
            ),
            Self::OpenArray => wording!(
                "the file ends inside the array: its closing bracket is missing, and perhaps more with it",
                "文件在数组中间结束：缺少右方括号，可能还缺了别的内容"
            ),
            Self::OpenDocument(line) => wording!(
                "the file ends inside the document that begins in line {line}: is a brace or a quote missing, or was the file cut?",
                "文件在第 {line} 行开始的记录中间结束：是否缺少花括号或引号，或者文件不完整？"
            ),
            Self::TooLong => wording!(
                "one document has more than 64 MB here: is a brace, a bracket or a quote missing before?",
                "这里的一条记录超过 64 MB：前面是否缺少花括号、方括号或引号？"
            ),
            Self::Name(name) => wording!(
                "the name {name:?} begins or ends with a dot, has two dots in a row, or is empty: give the field another name",
                "字段名 {name:?} 以点号开头或结尾、有连续的点号或为空：请换一个字段名"
            ),
            Self::TooDeep => wording!(
                "a path nests this document more than 100 deep: give the field a shorter name",
                "字段路径使这条记录嵌套超过 100 层：请把字段名写短"
            ),
            Self::Dollar(name) => wording!(
                "{name:?} begins with a dollar, and names no field: write a time as {{\"$date\":\"2018-08-31T17:30:00.882Z\"}}, and no operators",
                "{name:?} 以 $ 开头，不是字段名：时间写成 {{\"$date\":\"2018-08-31T17:30:00.882Z\"}}，不能写操作符"
            ),
            Self::Ambiguous(path) => wording!(
                "{path:?} is given twice, once as a path and once as a value: keep one of them",
                "{path:?} 出现两次，一次是路径，一次是值：请只保留一个"
            ),
            Self::NoHeader => wording!(
                "the first line must name the fields, separated by commas, such as _id,name,address.city",
                "第一行必须是以逗号分隔的字段名，例如 _id,name,address.city"
            ),
            Self::NoCommas(separator) => wording!(
                "the first line has {separator:?} between its names: save the file with commas",
                "第一行的字段名之间是 {separator:?}：请把文件另存为用逗号分隔的 CSV"
            ),
            Self::TwoColumns(path) => wording!(
                "the column {path:?} stands twice in the first line: give each field one column",
                "第一行里 {path:?} 这一列出现两次：每个字段只能有一列"
            ),
            Self::Cells { cells, columns } => wording!(
                "the line has {cells} cells and the first line names {columns} fields: a text with a comma in it needs quotes around it",
                "这一行有 {cells} 个单元格，而第一行只有 {columns} 个字段：带逗号的文本要加引号"
            ),
            Self::OpenQuote => wording!(
                "a quote opens in this line and is not closed before the file ends: a quote in a text is written twice",
                "这一行的引号直到文件结束都没有闭合：文本里的引号要写两遍"
            ),
        }
    }
}

/// What to look for.
fn hint(error: &ejson::Error) -> Wording {
    match error.reason {
        ejson::Reason::ControlCharacter => wording!(
            ": a text ends on the line it begins on; is its closing quote missing? (a line break in a text is \\n)",
            "：文本要在同一行结束；是否缺少右引号？（文本里的换行写成 \\n）"
        ),
        ejson::Reason::ExpectedKey => wording!(
            ": names stand in double quotes, and behind the last member stands no comma",
            "：字段名要用双引号，最后一个成员后面没有逗号"
        ),
        ejson::Reason::ExpectedValue => wording!(
            ": a value is a text in double quotes, a number, true, false, null, an object or an array",
            "：值可以是双引号里的文本、数字、true、false、null、对象或数组"
        ),
        ejson::Reason::Expected('}') => wording!(", or a comma and another member", "，或者逗号和下一个成员"),
        ejson::Reason::Expected(']') => {
            wording!(", or a comma and another element", "，或者逗号和下一个元素")
        }
        ejson::Reason::InvalidType(_) => wording!(
            ": what this name stands for is written as in {{\"$date\":\"2018-08-31T17:30:00.882Z\"}} or {{\"$oid\":\"5fe06c4a7877e500019b7c59\"}}",
            "：这个名字应写成 {{\"$date\":\"2018-08-31T17:30:00.882Z\"}} 或 {{\"$oid\":\"5fe06c4a7877e500019b7c59\"}} 这样"
        ),
        _ => Wording::default(),
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

    /// The same where each name of JSON is what it is, and no path: what [`DocumentWriter`](super::DocumentWriter) has written comes back.
    #[must_use]
    pub fn as_written(mut self) -> Self {
        if let Some(Source::Json(json)) = &mut self.source {
            json.as_written = true;
        }
        self
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
