//! From text to BSON, in one pass.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bson::{
    Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, Regex, Timestamp, oid::ObjectId,
    spec::BinarySubtype,
};

use crate::{
    MAX_DEPTH,
    error::{Error, Reason},
};

type Result<T> = std::result::Result<T, Error>;

pub(crate) fn read(text: &[u8], legacy: bool) -> Result<Bson> {
    let mut reader = Reader::new(text, legacy)?;
    reader.blanks();
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at < reader.bytes.len() {
        return reader.fail(Reason::ExpectedEnd);
    }
    Ok(value)
}

/// Documents one after another.
pub(crate) struct Documents<'a> {
    reader: Option<Result<Reader<'a>>>,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            reader: Some(Reader::new(text, false).map(|reader| Reader {
                unique: true,
                ..reader
            })),
        }
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = match self.reader.take()? {
            Ok(reader) => reader,
            Err(error) => return Some(Err(error)),
        };
        reader.blanks();
        while reader.peek() == Some(b',') {
            reader.at += 1;
            reader.blanks();
        }
        reader.peek()?;
        let start = reader.at;
        let document = match reader.value(0) {
            Ok(Bson::Document(document)) => Ok(document),
            Ok(_) => Err(Error {
                offset: start,
                reason: Reason::ExpectedDocument,
            }),
            Err(error) => Err(error),
        };
        if document.is_ok() {
            self.reader = Some(Ok(reader));
        }
        Some(document)
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    legacy: bool,
    /// Whether a name that stands twice in a document is refused, and not the last one taken.
    unique: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], legacy: bool) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error {
            offset: error.valid_up_to(),
            reason: Reason::NotUtf8,
        })?;
        Ok(Self {
            text,
            bytes,
            // A byte order mark, as an editor leaves one.
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            legacy,
            unique: false,
        })
    }

    const fn fail<T>(&self, reason: Reason) -> Result<T> {
        Err(Error {
            offset: self.at,
            reason,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        self.blanks();
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.fail(Reason::Expected(byte as char)),
            None => self.fail(Reason::UnexpectedEnd),
        }
    }

    /// After an element or a member: if another one follows.
    fn more(&mut self, end: u8) -> Result<bool> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.blanks();
                Ok(true)
            }
            Some(found) if found == end => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => self.fail(Reason::Expected(end as char)),
            None => self.fail(Reason::UnexpectedEnd),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Bson> {
        match self.peek() {
            Some(b'{') => {
                if depth >= MAX_DEPTH {
                    return self.fail(Reason::TooDeep);
                }
                self.object(depth + 1)
            }
            Some(b'[') => {
                if depth >= MAX_DEPTH {
                    return self.fail(Reason::TooDeep);
                }
                self.array(depth + 1)
            }
            Some(b'"') => Ok(Bson::String(self.string()?)),
            Some(b't') => self.word("true", Bson::Boolean(true)),
            Some(b'f') => self.word("false", Bson::Boolean(false)),
            Some(b'n') => self.word("null", Bson::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.fail(Reason::ExpectedValue),
            None => self.fail(Reason::UnexpectedEnd),
        }
    }

    fn word(&mut self, word: &str, value: Bson) -> Result<Bson> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            self.fail(Reason::ExpectedValue)
        }
    }

    fn number(&mut self) -> Result<Bson> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if whole && let Ok(number) = text.parse::<i64>() {
            return Ok(i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32));
        }
        Ok(Bson::Double(text.parse().unwrap_or(f64::NAN)))
    }

    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return self.fail(if self.peek().is_none() {
                Reason::UnexpectedEnd
            } else {
                Reason::ExpectedDigit
            });
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<Bson> {
        self.at += 1;
        self.blanks();
        let mut elements = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Bson::Array(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            if !self.more(b']')? {
                return Ok(Bson::Array(elements));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Bson> {
        let start = self.at;
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Bson::Document(Document::new()));
        }
        if self.text[self.at..].starts_with("\"$") {
            if let Some(value) = self.number_as_written() {
                return Ok(value);
            }
            let name = self.name()?;
            if let Some(value) = self.extended(&name, depth)? {
                return Ok(value);
            }
            self.at = start + 1;
            self.blanks();
        }
        Ok(Bson::Document(self.members(depth)?))
    }

    /// The number types and dates as every writer writes them, without blanks: most of what is read.
    fn number_as_written(&mut self) -> Option<Bson> {
        const OPENINGS: [(&str, &str, &str); 4] = [
            ("$numberInt", "\"$numberInt\":\"", "\"}"),
            ("$numberLong", "\"$numberLong\":\"", "\"}"),
            ("$numberDouble", "\"$numberDouble\":\"", "\"}"),
            ("$date", "\"$date\":{\"$numberLong\":\"", "\"}}"),
        ];
        let rest = &self.text[self.at..];
        let (kind, opening, closing) = OPENINGS.iter().find(|known| rest.starts_with(known.1))?;
        let rest = rest.get(opening.len()..)?;
        let digits = rest.get(..rest.find('"')?)?;
        if !rest.get(digits.len()..)?.starts_with(closing) {
            return None;
        }
        let value = match *kind {
            "$date" => Bson::DateTime(DateTime::from_millis(digits.parse().ok()?)),
            kind => from_text(kind, digits)?,
        };
        self.at += opening.len() + digits.len() + closing.len();
        Some(value)
    }

    /// Behind the brace, with at least one member.
    fn members(&mut self, depth: usize) -> Result<Document> {
        let mut document = Document::new();
        loop {
            let start = self.at;
            let name = self.name()?;
            let value = self.value(depth)?;
            if document.insert(name, value).is_some() && self.unique {
                self.at = start;
                return self.fail(Reason::NameTwice);
            }
            if !self.more(b'}')? {
                return Ok(document);
            }
        }
    }

    /// A name, its colon, and the blanks behind.
    fn name(&mut self) -> Result<String> {
        if self.peek() != Some(b'"') {
            return self.fail(if self.peek().is_none() {
                Reason::UnexpectedEnd
            } else {
                Reason::ExpectedKey
            });
        }
        let start = self.at;
        let name = self.string()?;
        if name.contains('\0') {
            self.at = start;
            return self.fail(Reason::ZeroCharacter);
        }
        self.expect(b':')?;
        self.blanks();
        Ok(name)
    }

    fn string(&mut self) -> Result<String> {
        self.at += 1;
        let start = self.at;
        // Most strings have no escapes.
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(text.to_owned());
                }
                b'\\' => break,
                0..=0x1f => return self.fail(Reason::ControlCharacter),
                _ => self.at += 1,
            }
        }
        let mut text = self.text[start..self.at].to_owned();
        loop {
            let run = self.at;
            while let Some(&byte) = self.bytes.get(self.at) {
                match byte {
                    b'"' | b'\\' => break,
                    0..=0x1f => return self.fail(Reason::ControlCharacter),
                    _ => self.at += 1,
                }
            }
            text.push_str(&self.text[run..self.at]);
            match self.peek() {
                None => return self.fail(Reason::UnexpectedEnd),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(_) => text.push(self.escape()?),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let start = self.at;
        self.at += 1;
        let Some(escaped) = self.peek() else {
            return self.fail(Reason::UnexpectedEnd);
        };
        self.at += 1;
        Ok(match escaped {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.four_digits(start)?;
                let code = if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    let low = self.four_digits(start)?;
                    if (0xdc00..0xe000).contains(&low) {
                        0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    } else {
                        high
                    }
                } else {
                    high
                };
                match char::from_u32(code) {
                    Some(char) => char,
                    None => {
                        self.at = start;
                        return self.fail(Reason::LoneSurrogate);
                    }
                }
            }
            _ => {
                self.at = start;
                return self.fail(Reason::InvalidEscape);
            }
        })
    }

    fn four_digits(&mut self, start: usize) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else {
                return self.fail(Reason::UnexpectedEnd);
            };
            let Some(digit) = (byte as char).to_digit(16) else {
                self.at = start;
                return self.fail(Reason::InvalidEscape);
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// The value of an object that opens with the name of one of Extended JSON's types; `None` where it is a document.
    /// The reader stands before the first member's value.
    fn extended(&mut self, name: &str, depth: usize) -> Result<Option<Bson>> {
        let Some(kind) = type_named(name) else {
            return Ok(None);
        };
        let start = self.at;
        let invalid = Error {
            offset: start,
            reason: Reason::InvalidType(kind),
        };
        // The commonest of all, without a document in between.
        if matches!(kind, "$numberInt" | "$numberLong" | "$numberDouble" | "$oid")
            && self.peek() == Some(b'"')
        {
            let text = self.string()?;
            self.blanks();
            if self.peek() != Some(b'}') {
                return Err(invalid);
            }
            self.at += 1;
            return from_text(kind, &text).map(Some).ok_or(invalid);
        }
        let first = self.value(depth)?;
        let mut document = Document::new();
        document.insert(kind, first);
        while self.more(b'}')? {
            let name = self.name()?;
            let value = self.value(depth)?;
            document.insert(name, value);
        }
        match of_document(kind, document, self.legacy) {
            Some(value) => Ok(Some(value)),
            None => Err(invalid),
        }
    }
}

/// The name, where it is the one that opens an object of Extended JSON's types.
pub(crate) fn type_named(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|kind| **kind == name).copied()
}

/// The value of an object that opens with the name of one of Extended JSON's types; `None` where it is not of its form.
pub(crate) fn of_document(kind: &'static str, document: Document, legacy: bool) -> Option<Bson> {
    if let (1, Some(Bson::String(text))) = (document.len(), document.get(kind))
        && let Some(value) = from_text(kind, text)
    {
        return Some(value);
    }
    if let Some(value) = from_document(kind, &document, legacy) {
        return Some(value);
    }
    // What is an operator of queries or a form of the SDKs stays a document.
    matches!(kind, "$regex" | "$options" | "$type" | "$date" | "$timestamp")
        .then_some(Bson::Document(document))
}

const TYPES: [&str; 20] = [
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$oid",
    "$date",
    "$regularExpression",
    "$regex",
    "$options",
    "$binary",
    "$type",
    "$uuid",
    "$timestamp",
    "$code",
    "$scope",
    "$symbol",
    "$undefined",
    "$minKey",
    "$maxKey",
    "$dbPointer",
];

fn from_text(kind: &str, text: &str) -> Option<Bson> {
    match kind {
        "$numberInt" => text.parse().ok().map(Bson::Int32),
        "$numberLong" => text.parse().ok().map(Bson::Int64),
        "$numberDouble" => match text {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::NAN),
            // Rust would also read `inf` and `nan`.
            _ if text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) =>
            {
                text.parse().ok()
            }
            _ => None,
        }
        .map(Bson::Double),
        "$oid" => ObjectId::parse_str(text).ok().map(Bson::ObjectId),
        _ => None,
    }
}

fn from_document(kind: &str, document: &Document, legacy: bool) -> Option<Bson> {
    let first = document.get(kind)?;
    let alone = document.len() == 1;
    let whole = |value: &Bson| match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e18 => Some(*number as i64),
        _ => None,
    };
    match kind {
        "$numberInt" if alone => i32::try_from(whole(first)?).ok().map(Bson::Int32),
        "$numberLong" if alone => whole(first).map(Bson::Int64),
        "$numberDouble" if alone => match first {
            Bson::Double(number) => Some(Bson::Double(*number)),
            _ => whole(first).map(|number| Bson::Double(number as f64)),
        },
        "$numberDecimal" if alone => first.as_str()?.parse().ok().map(Bson::Decimal128),
        "$date" if alone => match first {
            Bson::String(text) => DateTime::parse_rfc3339_str(text).ok(),
            _ => whole(first).map(DateTime::from_millis),
        }
        .map(Bson::DateTime),
        "$regularExpression" if alone => {
            let parts = first.as_document().filter(|parts| parts.len() == 2)?;
            regex(parts.get_str("pattern").ok()?, parts.get_str("options").ok()?)
        }
        "$regex" | "$options" if legacy && document.len() == 2 => regex(
            document.get_str("$regex").ok()?,
            document.get_str("$options").ok()?,
        ),
        "$binary" => match first {
            Bson::Document(parts) if alone && parts.len() == 2 => {
                binary(parts.get_str("base64").ok()?, parts.get_str("subType").ok()?)
            }
            Bson::String(text) if document.len() == 2 => match document.get("$type")? {
                Bson::String(subtype) => binary(text, subtype),
                number => binary(text, &format!("{:x}", u8::try_from(whole(number)?).ok()?)),
            },
            _ => None,
        },
        // `{"$type": "00", "$binary": "…"}`
        "$type" if document.len() == 2 => binary(document.get_str("$binary").ok()?, first.as_str()?),
        "$uuid" if alone => {
            let text = first.as_str()?;
            let hyphens = [8, 13, 18, 23];
            if text.len() != 36 || !hyphens.iter().all(|&at| text.as_bytes()[at] == b'-') {
                return None;
            }
            let digits: Vec<u32> = text
                .chars()
                .filter(|char| *char != '-')
                .map(|char| char.to_digit(16))
                .collect::<Option<_>>()?;
            Some(Bson::Binary(Binary {
                subtype: BinarySubtype::Uuid,
                bytes: digits
                    .chunks_exact(2)
                    .map(|pair| (pair[0] * 16 + pair[1]) as u8)
                    .collect(),
            }))
        }
        "$timestamp" if alone => {
            let parts = first.as_document().filter(|parts| parts.len() == 2)?;
            let part = |name: &str| u32::try_from(whole(parts.get(name)?)?).ok();
            Some(Bson::Timestamp(Timestamp {
                time: part("t")?,
                increment: part("i")?,
            }))
        }
        "$code" | "$scope" => {
            let code = document.get_str("$code").ok()?.to_owned();
            match document.get("$scope") {
                None if alone => Some(Bson::JavaScriptCode(code)),
                Some(Bson::Document(scope)) if document.len() == 2 => {
                    Some(Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
                        code,
                        scope: scope.clone(),
                    }))
                }
                _ => None,
            }
        }
        "$symbol" if alone => Some(Bson::Symbol(first.as_str()?.to_owned())),
        "$undefined" if alone => (*first == Bson::Boolean(true)).then_some(Bson::Undefined),
        "$minKey" if alone => (whole(first)? == 1).then_some(Bson::MinKey),
        "$maxKey" if alone => (whole(first)? == 1).then_some(Bson::MaxKey),
        "$dbPointer" if alone => {
            let parts = first.as_document().filter(|parts| parts.len() == 2)?;
            pointer(parts.get_str("$ref").ok()?, parts.get_object_id("$id").ok()?)
        }
        _ => None,
    }
}

pub(crate) fn regex(pattern: &str, options: &str) -> Option<Bson> {
    let mut options: Vec<char> = options.chars().collect();
    options.sort_unstable();
    Some(Bson::RegularExpression(Regex {
        pattern: pattern.try_into().ok()?,
        options: options.into_iter().collect::<String>().try_into().ok()?,
    }))
}

pub(crate) fn binary(base64: &str, subtype: &str) -> Option<Bson> {
    if subtype.is_empty() || subtype.len() > 2 {
        return None;
    }
    Some(Bson::Binary(Binary {
        subtype: u8::from_str_radix(subtype, 16).ok()?.into(),
        bytes: BASE64_STANDARD.decode(base64).ok()?,
    }))
}

/// `bson` makes this outdated type only from bytes.
fn pointer(namespace: &str, id: ObjectId) -> Option<Bson> {
    let length = i32::try_from(namespace.len()).ok()?.checked_add(1)?;
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(b"\x0cp\0");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&id.bytes());
    bytes.push(0);
    let total = i32::try_from(bytes.len()).ok()?;
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    Document::from_reader(bytes.as_slice()).ok()?.remove("p")
}
