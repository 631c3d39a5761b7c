//! String literals: reading one that was checked, comparing two by what they mean, writing one.

use std::borrow::Cow;

use crate::{JsonError, JsonReason, scan::Scanner, utf8};

/// Whether `raw`, the slice of a value that was checked, is a string.
#[must_use]
pub fn is_string(raw: &str) -> bool {
    raw.starts_with('"')
}

/// The text that a string literal (with its quotes) stands for; borrowed where nothing is escaped.
///
/// `None` if it is no string literal, or if it holds an escaped lone surrogate, which stands for no text.
pub fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    if !is_string(raw) || Scanner::new(raw).string(0) != Ok(raw.len()) {
        return None;
    }
    let inner = &raw[1..raw.len() - 1];
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    String::from_utf8(decode(inner)).ok().map(Cow::Owned)
}

/// Reads an array of at most `most` strings: the field names of `cloudIDs`, a list of ids. What follows one string too many is
/// not looked at.
pub fn array_of_strings(raw: &str, most: usize) -> Result<Vec<Cow<'_, str>>, JsonError> {
    let mut strings = Vec::new();
    each_element(raw, |scanner, at, element| {
        if !is_string(element) {
            return Err(scanner.error(at, JsonReason::ExpectedString));
        }
        if strings.len() == most {
            return Err(scanner.error(at, JsonReason::TooManyElements));
        }
        strings.push(unescape(element).ok_or_else(|| scanner.error(at, JsonReason::LoneSurrogate))?);
        Ok(())
    })?;
    Ok(strings)
}

/// The elements of an array as raw slices, without the blanks around them.
pub fn array(raw: &str) -> Result<Vec<&str>, JsonError> {
    let mut elements = Vec::new();
    each_element(raw, |_, _, element| {
        elements.push(element);
        Ok(())
    })?;
    Ok(elements)
}

fn each_element<'a>(
    raw: &'a str,
    mut element: impl FnMut(Scanner<'a>, usize, &'a str) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let scanner = Scanner::new(raw);
    let (start, first) = scanner.blanks(0);
    if first != Some(b'[') {
        crate::validate(raw.as_bytes())?;
        return Err(scanner.error(start, JsonReason::ExpectedArray));
    }
    let (mut at, next) = scanner.blanks(start + 1);
    if next == Some(b']') {
        return scanner.end(at + 1);
    }
    loop {
        let end = scanner.value(at)?;
        element(scanner, at, &raw[at..end])?;
        match scanner.blanks(end) {
            (comma, Some(b',')) => at = scanner.blanks(comma + 1).0,
            (bracket, Some(b']')) => return scanner.end(bracket + 1),
            (other, _) => return Err(scanner.error(other, JsonReason::ExpectedCommaOrBracket)),
        }
    }
}

/// Appends `text` as a string literal, with its quotes. Only what JSON demands is escaped; the rest stays as it is.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes(), false);
    out.push(b'"');
}

/// How many bytes [`write_string`] makes of `text`: as many as it has and up to six times as many.
#[must_use]
pub fn string_length(text: &str) -> usize {
    let written = |byte: u8| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(written).sum::<usize>()
}

/// Appends `text` as a string literal that stands within another one: what [`write_string`] makes of the literal, without
/// the outer quotes. JSON in JSON is written so in one pass.
pub fn write_string_within(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"\\\"");
    escape(out, text.as_bytes(), true);
    out.extend_from_slice(b"\\\"");
}

/// Appends what stands between the quotes of a literal; `within` one that stands within another.
fn escape(out: &mut Vec<u8>, text: &[u8], within: bool) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text;
    while let Some(at) = find_escaped(rest) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        out.extend_from_slice(if within { b"\\\\" } else { b"\\" });
        match byte {
            b'"' | b'\\' if within => out.extend_from_slice(&[b'\\', byte]),
            b'"' | b'\\' => out.push(byte),
            0x08 => out.push(b'b'),
            b'\t' => out.push(b't'),
            b'\n' => out.push(b'n'),
            0x0c => out.push(b'f'),
            b'\r' => out.push(b'r'),
            _ => {
                out.extend_from_slice(b"u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Where the first byte stands that a literal cannot hold as it is. Most texts have none, so sixteen bytes are looked at in
/// one step.
fn find_escaped(text: &[u8]) -> Option<usize> {
    let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let (steps, _) = text.as_chunks::<16>();
    let clean = steps
        .iter()
        .take_while(|step| !step.iter().fold(false, |any, &byte| any | is_escaped(byte)))
        .count();
    let from = clean * 16;
    let at = text[from..].iter().position(|&byte| is_escaped(byte))?;
    Some(from + at)
}

/// The text with every control character in its strings escaped, as JSON demands and not every writer does: WeChat's servers
/// pass on what a user typed, U+0002 or a line feed, as it is. Borrowed where there is none. Nothing is checked: what is
/// invalid for another reason stays invalid.
#[must_use]
pub fn escape_controls(text: &[u8]) -> Cow<'_, [u8]> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let is_control = |byte: &u8| *byte < 0x20;
    if !text.iter().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    let (mut in_string, mut is_escaped) = (false, false);
    for &byte in text {
        if in_string && is_control(&byte) {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            is_escaped = false;
            continue;
        }
        out.push(byte);
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    Cow::Owned(out)
}

/// The text that a checked string literal (with its quotes) stands for, as UTF-8 output of JavaScript would show it: U+FFFD for
/// each lone surrogate. Empty if it is no string literal.
#[must_use]
pub fn unescape_lossy(raw: &str) -> Cow<'_, str> {
    if is_string(raw) && Scanner::new(raw).string(0) == Ok(raw.len()) {
        lossy(raw)
    } else {
        Cow::Borrowed("")
    }
}

/// What a checked key (with its quotes) stands for, in a form in which equal means the same to `JSON.parse`.
pub(crate) fn meaning(raw_key: &str) -> Cow<'_, [u8]> {
    let inner = &raw_key[1..raw_key.len() - 1];
    if inner.contains('\\') {
        Cow::Owned(decode(inner))
    } else {
        Cow::Borrowed(inner.as_bytes())
    }
}

/// Resolves the escapes of a checked literal, given without its quotes. A lone surrogate becomes the three bytes that
/// UTF-8 would give it if it were allowed (WTF-8): different ones stay different, and none equals any text.
fn decode(inner: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let (kind, mut after) = escape.split_at(1);
        match kind {
            "b" => out.push(0x08),
            "f" => out.push(0x0c),
            "n" => out.push(b'\n'),
            "r" => out.push(b'\r'),
            "t" => out.push(b'\t'),
            "u" => {
                let mut unit = u32::from(code_unit(after));
                after = &after[4..];
                if (0xd800..0xdc00).contains(&unit)
                    && let Some(next) = after.strip_prefix("\\u")
                    && let low @ 0xdc00..0xe000 = u32::from(code_unit(next))
                {
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    after = &next[4..];
                }
                match char::from_u32(unit) {
                    Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                    None => out.extend([0xed, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]),
                }
            }
            itself => out.extend_from_slice(itself.as_bytes()),
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// The four hexadecimal digits that `text` begins with.
fn code_unit(text: &str) -> u16 {
    text.bytes().take(4).fold(0, |unit, digit| {
        unit << 4 | char::from(digit).to_digit(16).map_or(0, |value| value as u16)
    })
}

/// The text of a checked key, with U+FFFD for each lone surrogate.
pub(crate) fn lossy(raw_key: &str) -> Cow<'_, str> {
    match meaning(raw_key) {
        Cow::Borrowed(_) => Cow::Borrowed(&raw_key[1..raw_key.len() - 1]),
        Cow::Owned(bytes) => Cow::Owned(match utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => replace_surrogates(&bytes),
        }),
    }
}

fn replace_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // A surrogate's three bytes come as three invalid chunks, of which only the first is 0xed.
        if chunk.invalid() == [0xed] {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}
