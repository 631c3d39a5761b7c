//! From BSON to the shell's syntax.

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bson::{Binary, Bson, DateTime, Document, Regex, spec::BinarySubtype};

use crate::Style;

/// Deeper than anybody reads, a level costs no more room.
const DEEPEST: usize = 40;

/// A value in one line.
#[must_use]
pub fn to_line(value: &Bson) -> String {
    let mut out = String::new();
    Writer {
        out: &mut out,
        depth: None,
    }
    .value(value);
    out
}

/// A document over several lines, two blanks a level: what is edited.
#[must_use]
pub fn to_text(document: &Document) -> String {
    let mut out = String::with_capacity(256);
    Writer {
        out: &mut out,
        depth: Some(0),
    }
    .document(document);
    out
}

/// Whether a key needs no quotes.
#[must_use]
pub fn is_plain_key(key: &str) -> bool {
    let mut characters = key.chars();
    characters
        .next()
        .is_some_and(|first| is_word(first) && !first.is_numeric())
        && characters.all(is_word)
}

/// Characters of a word: of a key without quotes, and of a function's name.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// A text in double quotes. Characters that are not seen, or that change how the text around them is shown, are escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            hidden if is_hidden(hidden) => {
                // Writing to a String cannot fail. All of them are of the basic plane.
                let _ = write!(out, "\\u{:04x}", u32::from(hidden));
            }
            shown => out.push(shown),
        }
    }
    out.push('"');
    out
}

/// A text as it is, its lines and tabs too, but with the characters escaped that [`quote`] escapes for being hidden.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_escaped = |character| is_hidden(character) && !matches!(character, '\n' | '\t');
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Control characters, and those of Unicode that turn the direction of text, break lines, or have no width. The
/// joiners that emoji and some scripts need are shown.
const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

struct Writer<'a> {
    out: &'a mut String,
    /// How many levels in, where each member has a line of its own.
    depth: Option<usize>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Bson) {
        let text = match value {
            Bson::Document(document) => return self.document(document),
            Bson::Array(elements) => return self.array(elements),
            Bson::String(text) => quote(text),
            Bson::Boolean(flag) => flag.to_string(),
            Bson::Null => "null".to_owned(),
            Bson::Undefined => "undefined".to_owned(),
            Bson::Int32(number) => number.to_string(),
            // In digits alone it would be read as an int32.
            Bson::Int64(number) if i32::try_from(*number).is_ok() => format!("NumberLong({number})"),
            Bson::Int64(number) => number.to_string(),
            Bson::Double(number) => double(*number),
            Bson::Decimal128(number) => format!("NumberDecimal({})", quote(&number.to_string())),
            Bson::ObjectId(id) => format!("ObjectId(\"{}\")", id.to_hex()),
            Bson::DateTime(time) => date(*time),
            Bson::RegularExpression(expression) => regex(expression),
            Bson::Binary(binary) => bytes(binary),
            Bson::Timestamp(timestamp) => format!("Timestamp({}, {})", timestamp.time, timestamp.increment),
            Bson::Symbol(text) => format!("Symbol({})", quote(text)),
            Bson::JavaScriptCode(code) => format!("Code({})", quote(code)),
            Bson::JavaScriptCodeWithScope(code) => {
                let scope = to_line(&Bson::Document(code.scope.clone()));
                format!("Code({}, {scope})", quote(&code.code))
            }
            Bson::MinKey => "MinKey()".to_owned(),
            Bson::MaxKey => "MaxKey()".to_owned(),
            // Outdated, and without a function in the shell.
            Bson::DbPointer(_) => {
                let mut out = Vec::new();
                crate::write(&mut out, value, Style::Relaxed);
                String::from_utf8(out).unwrap_or_default()
            }
        };
        self.out.push_str(&text);
    }

    fn document(&mut self, document: &Document) {
        self.group('{', '}', document.iter(), |this, (key, value)| {
            if is_plain_key(key) {
                this.out.push_str(key);
            } else {
                this.out.push_str(&quote(key));
            }
            this.out.push_str(": ");
            this.value(value);
        });
    }

    fn array(&mut self, elements: &[Bson]) {
        self.group('[', ']', elements.iter(), |this, element| this.value(element));
    }

    fn group<T>(
        &mut self,
        open: char,
        close: char,
        members: impl Iterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        let before = self.depth;
        let mut empty = true;
        self.out.push(open);
        self.depth = before.map(|depth| depth + 1);
        for (at, member) in members.enumerate() {
            empty = false;
            if at > 0 {
                self.out.push(',');
            }
            if self.depth.is_some() {
                self.line();
            } else if at > 0 {
                self.out.push(' ');
            }
            write(self, member);
        }
        self.depth = before;
        if !empty && self.depth.is_some() {
            self.line();
        }
        self.out.push(close);
    }

    fn line(&mut self) {
        let depth = self.depth.unwrap_or_default().min(DEEPEST);
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", depth));
    }
}

/// With a point or an exponent, so that it is read as a double again.
fn double(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        format!("{number:?}")
    }
}

fn date(time: DateTime) -> String {
    // The years that its text has four digits for.
    let has_text = (-62_135_596_800_000..=253_402_300_799_999).contains(&time.timestamp_millis());
    match time.try_to_rfc3339_string() {
        Ok(text) if has_text => format!("ISODate(\"{text}\")"),
        _ => format!("new Date({})", time.timestamp_millis()),
    }
}

/// Between slashes where nothing in it can be taken for their end, for a comment or for another line.
fn regex(regex: &Regex) -> String {
    let (pattern, options) = (regex.pattern.as_str(), regex.options.as_str());
    if has_one_end(pattern) && options.bytes().all(|option| option.is_ascii_alphabetic()) {
        format!("/{pattern}/{options}")
    } else {
        format!("RegExp({}, {})", quote(pattern), quote(options))
    }
}

/// Whether a pattern between slashes ends where it should: it has no slash, each backslash has a character behind it, and each class is
/// closed.
fn has_one_end(pattern: &str) -> bool {
    if pattern.is_empty()
        || pattern.starts_with('*')
        || pattern.contains('/')
        || pattern.chars().any(is_hidden)
    {
        return false;
    }
    let (mut escaped, mut class) = (false, false);
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            _ => {}
        }
    }
    !escaped && !class
}

fn bytes(binary: &Binary) -> String {
    if binary.subtype == BinarySubtype::Uuid && binary.bytes.len() == 16 {
        let hex = base16ct::lower::encode_string(&binary.bytes);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        return format!("UUID(\"{}\")", parts.join("-"));
    }
    let text = BASE64_STANDARD.encode(&binary.bytes);
    format!("BinData({}, \"{text}\")", u8::from(binary.subtype))
}
