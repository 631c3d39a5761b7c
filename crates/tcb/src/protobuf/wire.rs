//! The wire format of protobuf: numbered fields, each of them a number or so many bytes.

use thiserror::Error;

use super::MAX_ELEMENTS;

/// What can be wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// It stops inside a field.
    #[error("it ends inside a field")]
    UnexpectedEnd,
    /// A number of more than 64 bits.
    #[error("a number is too long")]
    LongVarint,
    /// A tag that is 0 or beyond 32 bits.
    #[error("a field has no valid number")]
    FieldNumber,
    /// A group (3, 4), which proto3 does not have, or a type that does not exist (6, 7).
    #[error("a field is of wire type {0}, which proto3 does not have")]
    WireType(u8),
    /// A field has another type than it should.
    #[error("a field is not of the type that it should be, {0}")]
    Type(&'static str),
    /// A text that is none.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A list with more elements than are read.
    #[error("a list has more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// A request of a type that no SDK sends.
    #[error("its apiType is {0}, and must be 0 (openapi), 2 (svrkit) or 3 (token)")]
    ApiType(i32),
}

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Eight or four bytes: no field known here is of these types.
    Fixed,
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Reason> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Reason::Type("bytes")),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Reason> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Reason::NotUtf8)
    }

    /// Its low 32 bits; a negative number comes with all 64, or with these alone.
    pub(super) fn uint32(self) -> Result<u32, Reason> {
        match self {
            Self::Varint(number) => Ok(number as u32),
            _ => Err(Reason::Type("a number")),
        }
    }

    pub(super) fn int32(self) -> Result<i32, Reason> {
        Ok(self.uint32()? as i32)
    }
}

/// The fields of a message: number and content, as they come.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Reason> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Reason::FieldNumber)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Reason::FieldNumber);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            other => return Err(Reason::WireType(other as u8)),
        };
        Ok((number, value))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Reason> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Reason::UnexpectedEnd)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Seven bits to a byte, the lowest first; all bytes but the last have the eighth set.
    fn varint(&mut self) -> Result<u64, Reason> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Reason::UnexpectedEnd)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Reason::LongVarint);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Reason::LongVarint)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Reason>;

    /// Whoever is handed an error must stop there.
    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

/// A message being written. What equals its default is left out, as proto3 wants.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// A negative number takes ten bytes: it is written as one of 64 bits.
    pub(super) fn int32(&mut self, number: u32, value: i32) {
        if value != 0 {
            self.varint(u64::from(number << 3));
            self.varint(i64::from(value) as u64);
        }
    }

    pub(super) fn bytes(&mut self, number: u32, value: &[u8]) {
        if !value.is_empty() {
            self.message(number, value);
        }
    }

    /// Like bytes; an empty one is not nothing.
    pub(super) fn message(&mut self, number: u32, message: &[u8]) {
        self.varint(u64::from(number << 3 | 2));
        self.varint(message.len() as u64);
        self.0.extend_from_slice(message);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}
