//! From the shell's syntax to BSON, in one pass.

use bson::{
    Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, Timestamp, oid::ObjectId, spec::BinarySubtype,
};

use super::write::is_word;
use crate::{
    Error, MAX_DEPTH, Reason,
    read::{binary, of_document, regex, type_named},
};

type Result<T> = std::result::Result<T, Error>;

/// So much of an unknown word is repeated.
const WORD: usize = 40;

pub(super) fn read(text: &str, now: DateTime) -> Result<Bson> {
    let mut reader = Reader {
        text,
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
        now,
    };
    reader.blanks()?;
    let value = reader.value(0)?;
    reader.blanks()?;
    // As a statement ends.
    if reader.skip(';') {
        reader.blanks()?;
    }
    if reader.rest().is_empty() {
        Ok(value)
    } else {
        reader.fail(Reason::ExpectedEnd)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    now: DateTime,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        if found {
            self.at += character.len_utf8();
        }
        found
    }

    fn fail<T>(&self, reason: Reason) -> Result<T> {
        Self::fail_at(self.at, reason)
    }

    const fn fail_at<T>(offset: usize, reason: Reason) -> Result<T> {
        Err(Error { offset, reason })
    }

    /// What stands between: whitespace of every kind, and comments.
    fn blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest
                .trim_start_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(end) => self.at += end + 4,
                    None => {
                        self.at = self.text.len();
                        return self.fail(Reason::UnexpectedEnd);
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn expect(&mut self, character: char) -> Result<()> {
        self.blanks()?;
        if self.skip(character) {
            return Ok(());
        }
        self.fail(if self.rest().is_empty() {
            Reason::UnexpectedEnd
        } else {
            Reason::Expected(character)
        })
    }

    /// After an element or a member: whether another one follows. A comma before the end is skipped.
    fn more(&mut self, end: char) -> Result<bool> {
        self.blanks()?;
        let comma = self.skip(',');
        self.blanks()?;
        if self.skip(end) {
            return Ok(false);
        }
        if comma {
            return Ok(true);
        }
        self.fail(if self.rest().is_empty() {
            Reason::UnexpectedEnd
        } else {
            Reason::Expected(end)
        })
    }

    fn value(&mut self, depth: usize) -> Result<Bson> {
        match self.peek() {
            None => self.fail(Reason::UnexpectedEnd),
            Some('{' | '[') if depth >= MAX_DEPTH => self.fail(Reason::TooDeep),
            Some('{') => self.object(depth + 1),
            Some('[') => self.array(depth + 1),
            Some('"' | '\'' | '`') => Ok(Bson::String(self.string()?)),
            Some('/') => self.regex(),
            Some('-' | '+' | '.' | '0'..='9') => self.number(),
            Some(character) if is_word(character) => self.word(depth),
            Some(_) => self.fail(Reason::ExpectedValue),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Bson> {
        self.at += 1;
        let mut elements = Vec::new();
        self.blanks()?;
        if self.skip(']') {
            return Ok(Bson::Array(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            if !self.more(']')? {
                return Ok(Bson::Array(elements));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Bson> {
        let start = self.at;
        self.at += 1;
        let mut document = Document::new();
        self.blanks()?;
        if self.skip('}') {
            return Ok(Bson::Document(document));
        }
        loop {
            let key = self.key()?;
            let value = self.value(depth)?;
            document.insert(key, value);
            if !self.more('}')? {
                break;
            }
        }
        // Extended JSON is taken as what it stands for.
        let kind = document.keys().next().and_then(|first| type_named(first));
        match kind {
            None => Ok(Bson::Document(document)),
            Some(kind) => of_document(kind, document, false)
                .map_or_else(|| Self::fail_at(start, Reason::InvalidType(kind)), Ok),
        }
    }

    /// A key, its colon, and the blanks behind.
    fn key(&mut self) -> Result<String> {
        let start = self.at;
        let key = match self.peek() {
            None => return self.fail(Reason::UnexpectedEnd),
            Some('"' | '\'') => self.string()?,
            Some(character) if is_word(character) => self.letters().to_owned(),
            Some(_) => return self.fail(Reason::ExpectedKey),
        };
        if key.contains('\0') {
            return Self::fail_at(start, Reason::ZeroCharacter);
        }
        self.blanks()?;
        if let Some('.' | '-') = self.peek() {
            return Self::fail_at(start, Reason::UnquotedPath);
        }
        self.expect(':')?;
        self.blanks()?;
        Ok(key)
    }

    /// The characters of a word.
    fn letters(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn string(&mut self) -> Result<String> {
        let Some(end) = self.next() else {
            return self.fail(Reason::UnexpectedEnd);
        };
        let mut text = String::new();
        loop {
            let start = self.at;
            match self.next() {
                None => return self.fail(Reason::UnexpectedEnd),
                Some(character) if character == end => return Ok(text),
                Some('\\') => text.extend(self.escape(start)?),
                Some('\n' | '\r') if end != '`' => return Self::fail_at(start, Reason::ControlCharacter),
                Some('$') if end == '`' && self.peek() == Some('{') => {
                    return Self::fail_at(start, Reason::TemplateText);
                }
                Some(character) => text.push(character),
            }
        }
    }

    /// What stands behind a backslash; nothing where a line goes on on the next.
    fn escape(&mut self, start: usize) -> Result<Option<char>> {
        let Some(escaped) = self.next() else {
            return self.fail(Reason::UnexpectedEnd);
        };
        let character = match escaped {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => '\0',
            '\r' => {
                self.skip('\n');
                return Ok(None);
            }
            '\n' => return Ok(None),
            'x' => self.code(start, 2)?,
            'u' if self.skip('{') => {
                let rest = self.rest();
                let length = rest.find(|digit: char| !digit.is_ascii_hexdigit());
                let digits = &rest[..length.unwrap_or_default().min(6)];
                let Some(character) = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) else {
                    return Self::fail_at(start, Reason::InvalidEscape);
                };
                self.at += digits.len();
                if !self.skip('}') {
                    return Self::fail_at(start, Reason::InvalidEscape);
                }
                character
            }
            'u' => self.code(start, 4)?,
            '0'..='9' => return Self::fail_at(start, Reason::InvalidEscape),
            other => other,
        };
        Ok(Some(character))
    }

    /// A character by its number, and the other half of a pair of surrogates.
    fn code(&mut self, start: usize, length: usize) -> Result<char> {
        let high = self.hex(start, length)?;
        let mut code = high;
        if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
            self.at += 2;
            let low = self.hex(start, 4)?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => Self::fail_at(start, Reason::LoneSurrogate),
        }
    }

    fn hex(&mut self, start: usize, length: usize) -> Result<u32> {
        let digits = self.rest().get(..length);
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += length;
                Ok(code)
            }
            None => Self::fail_at(start, Reason::InvalidEscape),
        }
    }

    fn number(&mut self) -> Result<Bson> {
        let start = self.at;
        let negative = self.peek() == Some('-');
        if negative || self.peek() == Some('+') {
            self.at += 1;
            self.blanks()?;
        }
        if self.peek().is_some_and(|character| character.is_alphabetic()) {
            return match self.letters() {
                "Infinity" if negative => Ok(Bson::Double(f64::NEG_INFINITY)),
                "Infinity" => Ok(Bson::Double(f64::INFINITY)),
                "NaN" => Ok(Bson::Double(f64::NAN)),
                _ => Self::fail_at(start, Reason::ExpectedDigit),
            };
        }
        let rest = self.rest();
        let digits = self.at;
        let hexadecimal = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
        if let Some(hexadecimal) = hexadecimal {
            let length = hexadecimal
                .find(|character: char| !character.is_ascii_hexdigit())
                .unwrap_or(hexadecimal.len());
            let number = i64::from_str_radix(&hexadecimal[..length], 16);
            self.at += 2 + length;
            self.number_ends()?;
            return match number {
                Ok(number) => Ok(whole(if negative { -number } else { number })),
                Err(_) => Self::fail_at(digits, Reason::ExpectedDigit),
            };
        }
        let mut has_digits = self.digits();
        let mut is_whole = true;
        if self.skip('.') {
            is_whole = false;
            has_digits |= self.digits();
        }
        if !has_digits {
            return self.fail(Reason::ExpectedDigit);
        }
        if let Some('e' | 'E') = self.peek() {
            is_whole = false;
            self.at += 1;
            if let Some('+' | '-') = self.peek() {
                self.at += 1;
            }
            if !self.digits() {
                return self.fail(Reason::ExpectedDigit);
            }
        }
        let text = self.text[digits..self.at].replace('_', "");
        self.number_ends()?;
        let signed = if negative { format!("-{text}") } else { text };
        if is_whole && let Ok(number) = signed.parse() {
            return Ok(whole(number));
        }
        match signed.parse() {
            Ok(number) => Ok(Bson::Double(number)),
            Err(_) => Self::fail_at(start, Reason::ExpectedDigit),
        }
    }

    /// Digits, and `_` between them; whether there were any.
    fn digits(&mut self) -> bool {
        let rest = self.rest();
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '_');
        let found = &rest[..end.unwrap_or(rest.len())];
        self.at += found.len();
        found.bytes().any(|byte| byte.is_ascii_digit())
    }

    /// `12ab` is not a number with something behind it.
    fn number_ends(&self) -> Result<()> {
        match self.peek() {
            Some(character) if is_word(character) => self.fail(Reason::ExpectedDigit),
            _ => Ok(()),
        }
    }

    /// `/pattern/flags`. The pattern stays as it is written: `\/` means the same to MongoDB.
    fn regex(&mut self) -> Result<Bson> {
        let start = self.at;
        self.at += 1;
        let (mut escaped, mut class) = (false, false);
        let pattern = loop {
            let before = self.at;
            match self.next() {
                None => return self.fail(Reason::UnexpectedEnd),
                Some('\n' | '\r') => return Self::fail_at(before, Reason::ControlCharacter),
                Some(_) if escaped => escaped = false,
                Some('\\') => escaped = true,
                Some('[') => class = true,
                Some(']') => class = false,
                Some('/') if !class => break &self.text[start + 1..before],
                Some(_) => {}
            }
        };
        // JavaScript's `g` and `y` say how often a program looks, `u` and `v` how it reads: MongoDB has none of them.
        let flags: String = self
            .letters()
            .chars()
            .filter(|flag| !matches!(flag, 'g' | 'y' | 'u' | 'v' | 'd'))
            .collect();
        match regex(pattern, &flags) {
            Some(regex) if flags.chars().all(|flag| flag.is_ascii_alphabetic()) => Ok(regex),
            _ => Self::fail_at(start, Reason::InvalidRegex),
        }
    }

    fn word(&mut self, depth: usize) -> Result<Bson> {
        let start = self.at;
        let mut word = self.letters();
        if word == "new" {
            self.blanks()?;
            word = self.letters();
        }
        let name_ends = self.at;
        match word {
            "true" => return Ok(Bson::Boolean(true)),
            "false" => return Ok(Bson::Boolean(false)),
            "null" => return Ok(Bson::Null),
            "undefined" => return Ok(Bson::Undefined),
            "NaN" => return Ok(Bson::Double(f64::NAN)),
            "Infinity" => return Ok(Bson::Double(f64::INFINITY)),
            _ => {}
        }
        // `Long.fromString("5")`, `Date.now()`: what is behind the point says nothing more of the type.
        let mut method = "";
        if self.skip('.') {
            method = self.letters();
        }
        self.blanks()?;
        let constant = matches!(word, "MinKey" | "MaxKey");
        let form = match form(word) {
            Some(form) if method.is_empty() || is_method(word, method) => form,
            _ => {
                let said: String = self.text[start..name_ends].chars().take(WORD).collect();
                return Self::fail_at(start, Reason::UnknownWord(said));
            }
        };
        let mut arguments = Vec::new();
        if self.skip('(') {
            self.blanks()?;
            if depth >= MAX_DEPTH {
                return self.fail(Reason::TooDeep);
            }
            if !self.skip(')') {
                loop {
                    arguments.push(self.value(depth + 1)?);
                    if !self.more(')')? {
                        break;
                    }
                }
            }
        } else if !constant {
            return self.expect('(').map(|()| Bson::Null);
        }
        let made = match method {
            "now" => arguments
                .is_empty()
                .then(|| Bson::Int64(self.now.timestamp_millis())),
            _ => make(word, arguments, self.now),
        };
        made.map_or_else(
            || {
                Self::fail_at(
                    start,
                    Reason::InvalidArguments {
                        name: word.to_owned(),
                        form,
                    },
                )
            },
            Ok,
        )
    }
}

fn whole(number: i64) -> Bson {
    i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)
}

/// How each of the shell's functions is written.
fn form(name: &str) -> Option<&'static str> {
    Some(match name {
        "ObjectId" | "ObjectID" => "ObjectId(\"<24 hexadecimal digits>\")",
        "ISODate" => "ISODate(\"2026-01-31T08:00:00Z\")",
        "Date" => "new Date(\"2026-01-31T08:00:00Z\") or new Date(<milliseconds since 1970>)",
        "NumberLong" | "Long" => "NumberLong(\"<whole number>\")",
        "NumberInt" | "Int32" => "NumberInt(<whole number below 2147483648>)",
        "NumberDouble" | "Double" | "Number" => "Double(<number>)",
        "NumberDecimal" | "Decimal128" => "NumberDecimal(\"<number>\")",
        "BinData" | "Binary" => "BinData(<subtype>, \"<base64>\")",
        "UUID" => "UUID(\"<32 hexadecimal digits with hyphens>\")",
        "Timestamp" => "Timestamp(<seconds>, <increment>)",
        "RegExp" => "RegExp(\"<pattern>\", \"<flags>\")",
        "Symbol" => "Symbol(\"<text>\")",
        "Code" => "Code(\"<JavaScript>\", {<scope>})",
        "MinKey" => "MinKey()",
        "MaxKey" => "MaxKey()",
        _ => return None,
    })
}

fn is_method(name: &str, method: &str) -> bool {
    match name {
        "Long" | "NumberLong" => matches!(method, "fromString" | "fromNumber"),
        "Decimal128" => method == "fromString",
        "Date" => method == "now",
        "ObjectId" => method == "createFromHexString",
        _ => false,
    }
}

/// What a function of the shell gives; `None` where it takes something else.
fn make(name: &str, arguments: Vec<Bson>, now: DateTime) -> Option<Bson> {
    let mut arguments = arguments.into_iter();
    let (first, second) = (arguments.next(), arguments.next());
    if arguments.next().is_some() {
        return None;
    }
    let value = match (name, first, second) {
        ("ObjectId" | "ObjectID", Some(Bson::String(text)), None) => {
            Bson::ObjectId(ObjectId::parse_str(text).ok()?)
        }
        ("ISODate" | "Date", None, None) => Bson::DateTime(now),
        ("ISODate" | "Date", Some(Bson::String(text)), None) => Bson::DateTime(date(text.trim())?),
        ("ISODate" | "Date", Some(Bson::DateTime(time)), None) => Bson::DateTime(time),
        ("ISODate" | "Date", Some(number), None) => Bson::DateTime(DateTime::from_millis(integer(&number)?)),
        ("NumberLong" | "Long", Some(number), None) => Bson::Int64(integer(&number)?),
        ("NumberInt" | "Int32", Some(number), None) => Bson::Int32(i32::try_from(integer(&number)?).ok()?),
        ("NumberDouble" | "Double" | "Number", Some(number), None) => Bson::Double(match number {
            Bson::Double(number) => number,
            Bson::Int32(number) => f64::from(number),
            Bson::Int64(number) => number as f64,
            Bson::String(text) => text.trim().parse().ok()?,
            _ => return None,
        }),
        ("NumberDecimal" | "Decimal128", Some(number), None) => Bson::Decimal128(
            match number {
                Bson::String(text) => text,
                Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) => number.to_string(),
                _ => return None,
            }
            .parse()
            .ok()?,
        ),
        ("BinData", Some(subtype), Some(Bson::String(text))) => {
            let subtype = u8::try_from(integer(&subtype)?).ok()?;
            binary(&text, &format!("{subtype:x}"))?
        }
        ("Binary", Some(Bson::Binary(binary)), None) => Bson::Binary(binary),
        ("UUID", Some(Bson::String(text)), None) => {
            let digits: String = text.chars().filter(|digit| *digit != '-').collect();
            if digits.len() != 32 {
                return None;
            }
            Bson::Binary(Binary {
                subtype: BinarySubtype::Uuid,
                bytes: base16ct::mixed::decode_vec(digits).ok()?,
            })
        }
        ("Timestamp", Some(Bson::Document(parts)), None) => timestamp(parts.get("t")?, parts.get("i")?)?,
        ("Timestamp", Some(time), Some(increment)) => timestamp(&time, &increment)?,
        ("RegExp", Some(Bson::String(pattern)), None) => regex(&pattern, "")?,
        ("RegExp", Some(Bson::String(pattern)), Some(Bson::String(flags))) => regex(&pattern, &flags)?,
        ("RegExp", Some(Bson::RegularExpression(regex)), None) => Bson::RegularExpression(regex),
        ("Symbol", Some(Bson::String(text)), None) => Bson::Symbol(text),
        ("Code", Some(Bson::String(code)), None) => Bson::JavaScriptCode(code),
        ("Code", Some(Bson::String(code)), Some(Bson::Document(scope))) => {
            Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code, scope })
        }
        ("MinKey", None, None) => Bson::MinKey,
        ("MaxKey", None, None) => Bson::MaxKey,
        _ => return None,
    };
    Some(value)
}

fn timestamp(time: &Bson, increment: &Bson) -> Option<Bson> {
    Some(Bson::Timestamp(Timestamp {
        time: u32::try_from(integer(time)?).ok()?,
        increment: u32::try_from(integer(increment)?).ok()?,
    }))
}

/// A whole number, also as text.
fn integer(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        // Up to where doubles are exact.
        Bson::Double(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
            Some(*number as i64)
        }
        Bson::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A day, or a day and a time of it; without a zone it is UTC.
fn date(text: &str) -> Option<DateTime> {
    let (day, time) = match text.split_once(['T', 't', ' ']) {
        None => (text, "00:00:00Z".to_owned()),
        Some((day, time)) => (day, with_zone(time)?),
    };
    DateTime::parse_rfc3339_str(format!("{day}T{time}")).ok()
}

/// `08:00` → `08:00:00Z`, `08:00:00.5+0800` → `08:00:00.5+08:00`.
fn with_zone(text: &str) -> Option<String> {
    let zone_at = text.find(['Z', 'z', '+', '-', ' ']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone_at);
    let zone = zone.trim_start();
    let seconds = match time.bytes().filter(|byte| *byte == b':').count() {
        1 => ":00",
        2 => "",
        _ => return None,
    };
    let zone = match zone.as_bytes() {
        [] => "Z".to_owned(),
        [b'+' | b'-', digits @ ..] if digits.len() == 4 && digits.is_ascii() => {
            format!("{}:{}", &zone[..3], &zone[3..])
        }
        [b'+' | b'-', digits @ ..] if digits.len() == 2 => format!("{zone}:00"),
        _ => zone.to_owned(),
    };
    Some(format!("{time}{seconds}{zone}"))
}
