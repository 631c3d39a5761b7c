//! From BSON's bytes to text, by a walk along them: what a database answers is mostly this. It writes what the writer for
//! decoded values writes, byte for byte; what is met seldom is decoded and left to that one.

use super::{Style, date_has_text, integer};
use crate::raw::{Element, Elements, Malformed, kind};

/// Documents in one another beyond this are damaged bytes: none that was read or stored is so deep.
const MOST_DEPTH: usize = 1024;

/// Writes into `out`; with `WITHIN` what the same text reads inside a string literal of JSON.
pub(super) struct Writer<'o, const WITHIN: bool> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) style: Style,
}

/// Appends a piece of JSON that is known here, in both its forms: as it is, and within a literal.
macro_rules! put {
    ($writer:expr, $plain:literal, $within:literal) => {
        if WITHIN {
            $writer.out.extend_from_slice($within)
        } else {
            $writer.out.extend_from_slice($plain)
        }
    };
}

impl<const WITHIN: bool> Writer<'_, WITHIN> {
    pub(super) fn document(&mut self, document: &[u8], depth: usize) -> Result<(), Malformed> {
        if depth > MOST_DEPTH {
            return Err(Malformed);
        }
        self.out.push(b'{');
        for (at, element) in Elements::of(document)?.enumerate() {
            let element = element?;
            if at > 0 {
                self.out.push(b',');
            }
            self.text(element.name_text()?);
            self.out.push(b':');
            self.value(&element, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn array(&mut self, array: &[u8], depth: usize) -> Result<(), Malformed> {
        if depth > MOST_DEPTH {
            return Err(Malformed);
        }
        self.out.push(b'[');
        for (at, element) in Elements::of(array)?.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.value(&element?, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if WITHIN {
            json::write_string_within(self.out, text);
        } else {
            json::write_string(self.out, text);
        }
    }

    fn value(&mut self, element: &Element<'_>, depth: usize) -> Result<(), Malformed> {
        let relaxed = self.style == Style::Relaxed;
        match element.kind {
            kind::STRING => self.text(element.text()?),
            kind::INT32 if relaxed => integer(self.out, i64::from(element.int32()?)),
            kind::INT32 => {
                put!(self, b"{\"$numberInt\":\"", b"{\\\"$numberInt\\\":\\\"");
                integer(self.out, i64::from(element.int32()?));
                put!(self, b"\"}", b"\\\"}");
            }
            kind::INT64 if relaxed => integer(self.out, element.int64()?),
            kind::INT64 => {
                put!(self, b"{\"$numberLong\":\"", b"{\\\"$numberLong\\\":\\\"");
                integer(self.out, element.int64()?);
                put!(self, b"\"}", b"\\\"}");
            }
            kind::DOUBLE => {
                let number = element.double()?;
                if relaxed && number.is_finite() {
                    super::double(self.out, number);
                } else {
                    put!(self, b"{\"$numberDouble\":\"", b"{\\\"$numberDouble\\\":\\\"");
                    super::double(self.out, number);
                    put!(self, b"\"}", b"\\\"}");
                }
            }
            kind::DATE_TIME => {
                let millis = element.int64()?;
                if relaxed && date_has_text(millis) {
                    put!(self, b"{\"$date\":\"", b"{\\\"$date\\\":\\\"");
                    super::date(self.out, millis);
                    put!(self, b"\"}", b"\\\"}");
                } else {
                    put!(
                        self,
                        b"{\"$date\":{\"$numberLong\":\"",
                        b"{\\\"$date\\\":{\\\"$numberLong\\\":\\\""
                    );
                    integer(self.out, millis);
                    put!(self, b"\"}}", b"\\\"}}");
                }
            }
            kind::BOOLEAN if element.boolean()? => self.out.extend_from_slice(b"true"),
            kind::BOOLEAN => self.out.extend_from_slice(b"false"),
            kind::NULL => self.out.extend_from_slice(b"null"),
            kind::DOCUMENT => self.document(element.value, depth + 1)?,
            kind::ARRAY => self.array(element.value, depth + 1)?,
            _ => self.seldom(element)?,
        }
        Ok(())
    }

    fn seldom(&mut self, element: &Element<'_>) -> Result<(), Malformed> {
        let value = element.decode()?;
        if !WITHIN {
            super::value(self.out, &value, self.style);
            return Ok(());
        }
        let mut text = Vec::new();
        super::value(&mut text, &value, self.style);
        let mut literal = Vec::new();
        json::write_string(&mut literal, &String::from_utf8_lossy(&text));
        self.out
            .extend_from_slice(literal.get(1..literal.len() - 1).unwrap_or_default());
        Ok(())
    }
}
