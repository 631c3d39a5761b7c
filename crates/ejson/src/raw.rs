//! BSON's bytes, element by element: what stands where, without making values of it. Names and texts are not looked at
//! before somebody asks for them.

use bson::{Bson, Document, RawDocument};

/// These bytes are no BSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no BSON document")]
pub struct Malformed;

/// The types of BSON that are met most, as the byte before an element's name says them.
#[expect(missing_docs, reason = "the names of BSON's types")]
pub mod kind {
    pub const DOUBLE: u8 = 0x01;
    pub const STRING: u8 = 0x02;
    pub const DOCUMENT: u8 = 0x03;
    pub const ARRAY: u8 = 0x04;
    pub const BINARY: u8 = 0x05;
    pub const UNDEFINED: u8 = 0x06;
    pub const OBJECT_ID: u8 = 0x07;
    pub const BOOLEAN: u8 = 0x08;
    pub const DATE_TIME: u8 = 0x09;
    pub const NULL: u8 = 0x0a;
    pub const REGEX: u8 = 0x0b;
    pub const DB_POINTER: u8 = 0x0c;
    pub const CODE: u8 = 0x0d;
    pub const SYMBOL: u8 = 0x0e;
    pub const CODE_WITH_SCOPE: u8 = 0x0f;
    pub const INT32: u8 = 0x10;
    pub const TIMESTAMP: u8 = 0x11;
    pub const INT64: u8 = 0x12;
    pub const DECIMAL128: u8 = 0x13;
    pub const MIN_KEY: u8 = 0xff;
    pub const MAX_KEY: u8 = 0x7f;
}

/// The elements of a document or an array; behind the first error it ends.
#[derive(Clone, Debug)]
pub struct Elements<'a>(&'a [u8]);

/// An element as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its type, one of [`kind`].
    pub kind: u8,
    /// Its name, without the zero byte behind it; not known to be UTF-8.
    pub name: &'a [u8],
    /// The bytes of its value.
    pub value: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The elements of a whole document.
    ///
    /// # Errors
    /// Where its length is not the one that it begins with.
    pub fn of(document: &'a [u8]) -> Result<Self, Malformed> {
        let (length, rest) = document.split_first_chunk::<4>().ok_or(Malformed)?;
        if usize::try_from(i32::from_le_bytes(*length)) != Ok(document.len()) {
            return Err(Malformed);
        }
        match rest.split_last() {
            Some((0, elements)) => Ok(Self(elements)),
            _ => Err(Malformed),
        }
    }

    fn take(&mut self) -> Option<Element<'a>> {
        let (&kind, rest) = self.0.split_first()?;
        let length = rest.iter().position(|&byte| byte == 0)?;
        let (name, rest) = rest.split_at(length);
        let (value, rest) = rest[1..].split_at_checked(size(kind, &rest[1..])?)?;
        self.0 = rest;
        Some(Element { kind, name, value })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let element = self.take();
        if element.is_none() {
            self.0 = &[];
        }
        Some(element.ok_or(Malformed))
    }
}

/// The bytes of a value of this type, which begins `rest`.
fn size(kind: u8, rest: &[u8]) -> Option<usize> {
    let length = || {
        let length = i32::from_le_bytes(*rest.first_chunk::<4>()?);
        usize::try_from(length).ok()
    };
    Some(match kind {
        kind::DOUBLE | kind::DATE_TIME | kind::TIMESTAMP | kind::INT64 => 8,
        kind::STRING | kind::CODE | kind::SYMBOL => 4 + length()?,
        kind::DOCUMENT | kind::ARRAY | kind::CODE_WITH_SCOPE => length()?,
        kind::BINARY => 5 + length()?,
        kind::OBJECT_ID => 12,
        kind::BOOLEAN => 1,
        kind::INT32 => 4,
        kind::DECIMAL128 => 16,
        kind::UNDEFINED | kind::NULL | kind::MIN_KEY | kind::MAX_KEY => 0,
        kind::DB_POINTER => 4 + length()? + 12,
        kind::REGEX => {
            let pattern = rest.iter().position(|&byte| byte == 0)? + 1;
            pattern + rest[pattern..].iter().position(|&byte| byte == 0)? + 1
        }
        _ => return None,
    })
}

/// A document, decoded.
///
/// # Errors
/// Where the bytes are none.
pub fn decode(document: &[u8]) -> Result<Document, Malformed> {
    let mut decoded = Document::new();
    for element in Elements::of(document)? {
        let element = element?;
        decoded.insert(element.name_text()?, element.decode()?);
    }
    Ok(decoded)
}

impl<'a> Element<'a> {
    /// Its name.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    pub fn name_text(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.name).map_err(|_| Malformed)
    }

    /// The text of a string, a symbol or code.
    ///
    /// # Errors
    /// Where it is none, or not UTF-8.
    pub fn text(&self) -> Result<&'a str, Malformed> {
        match self.value {
            [_, _, _, _, text @ .., 0] => std::str::from_utf8(text).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }

    /// An int32.
    ///
    /// # Errors
    /// Where its value has not four bytes.
    pub fn int32(&self) -> Result<i32, Malformed> {
        self.bytes().map(i32::from_le_bytes)
    }

    /// An int64, or the milliseconds of a date.
    ///
    /// # Errors
    /// Where its value has not eight bytes.
    pub fn int64(&self) -> Result<i64, Malformed> {
        self.bytes().map(i64::from_le_bytes)
    }

    /// A double.
    ///
    /// # Errors
    /// Where its value has not eight bytes.
    pub fn double(&self) -> Result<f64, Malformed> {
        self.bytes().map(f64::from_le_bytes)
    }

    /// A boolean.
    ///
    /// # Errors
    /// Where its value is neither.
    pub fn boolean(&self) -> Result<bool, Malformed> {
        match self.value {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// The value's bytes, where there are as many.
    ///
    /// # Errors
    /// Where there are not.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value.try_into().map_err(|_| Malformed)
    }

    /// The value, decoded.
    ///
    /// # Errors
    /// Where it is none of its type.
    pub fn decode(&self) -> Result<Bson, Malformed> {
        Ok(match self.kind {
            kind::STRING => Bson::String(self.text()?.to_owned()),
            kind::INT32 => Bson::Int32(self.int32()?),
            kind::INT64 => Bson::Int64(self.int64()?),
            kind::DOUBLE => Bson::Double(self.double()?),
            kind::BOOLEAN => Bson::Boolean(self.boolean()?),
            kind::DATE_TIME => Bson::DateTime(bson::DateTime::from_millis(self.int64()?)),
            kind::NULL => Bson::Null,
            kind::DOCUMENT => Bson::Document(decode(self.value)?),
            kind::ARRAY => {
                let elements = Elements::of(self.value)?;
                Bson::Array(
                    elements
                        .map(|element| element?.decode())
                        .collect::<Result<_, _>>()?,
                )
            }
            _ => self.decode_by_bson()?,
        })
    }

    /// What is met seldom, as the library decodes it: in a document of its own.
    fn decode_by_bson(&self) -> Result<Bson, Malformed> {
        let length = i32::try_from(self.value.len() + 7).map_err(|_| Malformed)?;
        let mut document = Vec::with_capacity(self.value.len() + 7);
        document.extend_from_slice(&length.to_le_bytes());
        document.extend_from_slice(&[self.kind, 0]);
        document.extend_from_slice(self.value);
        document.push(0);
        let document = RawDocument::from_bytes(&document).map_err(|_| Malformed)?;
        let value = document.get("").ok().flatten().ok_or(Malformed)?;
        Bson::try_from(value).map_err(|_| Malformed)
    }
}
