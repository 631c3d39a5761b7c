//! The grammar: one pass over the bytes, without recursion, that knows where each value ends.
//!
//! Speed comes from looking at eight bytes at a time inside strings and numbers, where most of a text is; the rest is
//! a plain state machine. The text is known to be UTF-8, so every byte that matters here is ASCII.

use crate::{Error, Reason};

/// Walks over a text. Each step leaves [`at`](Self::at) behind what it has checked.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where it stands, in bytes.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The text from `start` to where it stands.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn error(&self, reason: Reason) -> Error {
        let reason = if self.at >= self.text.len() {
            Reason::UnexpectedEnd
        } else {
            reason
        };
        Error {
            offset: self.at,
            reason,
        }
    }

    /// Skips blanks, and what stands behind them is looked at.
    #[inline(always)]
    pub(crate) fn blanks(&mut self) -> Option<u8> {
        let next = self.peek();
        // Compact texts, the usual ones, have none.
        if next.is_none_or(|byte| byte > b' ') {
            next
        } else {
            self.blanks_rest()
        }
    }

    #[cold]
    fn blanks_rest(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `wanted` if it stands there.
    #[inline(always)]
    pub(crate) fn take(&mut self, wanted: u8) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    /// Blanks, and then nothing.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        match self.blanks() {
            None => Ok(()),
            Some(_) => Err(self.error(Reason::ExpectedEnd)),
        }
    }

    /// A key with its quotes, then the colon and the blanks around it. Gives the key's slice.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<&'a str, Error> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.error(Reason::ExpectedKey));
        }
        self.string()?;
        let key = self.since(start);
        self.blanks();
        if !self.take(b':') {
            return Err(self.error(Reason::ExpectedColon));
        }
        self.blanks();
        Ok(key)
    }

    /// One whole value, blanks before it skipped.
    pub(crate) fn value(&mut self) -> Result<(), Error> {
        let mut nest = Nest::default();
        self.blanks();
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b'{') => {
                    self.at += 1;
                    if self.blanks() == Some(b'}') {
                        self.at += 1;
                    } else {
                        nest.push(Bracket::Object);
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if self.blanks() == Some(b']') {
                        self.at += 1;
                    } else {
                        nest.push(Bracket::Array);
                        continue;
                    }
                }
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.error(Reason::ExpectedValue)),
            }
            // A value is complete: close what it closes, and come to the next one.
            loop {
                match nest.top() {
                    None => return Ok(()),
                    Some(Bracket::Object) => match self.blanks() {
                        Some(b',') => {
                            self.at += 1;
                            self.blanks();
                            self.key()?;
                            break;
                        }
                        Some(b'}') => self.at += 1,
                        _ => return Err(self.error(Reason::ExpectedCommaOrBrace)),
                    },
                    Some(Bracket::Array) => match self.blanks() {
                        Some(b',') => {
                            self.at += 1;
                            self.blanks();
                            break;
                        }
                        Some(b']') => self.at += 1,
                        _ => return Err(self.error(Reason::ExpectedCommaOrBracket)),
                    },
                }
                nest.pop();
            }
        }
    }

    /// A string; the opening quote stands at `at`.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<(), Error> {
        self.at += 1;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.error(Reason::ControlCharacter)),
            }
        }
    }

    /// To the next quote, backslash or control character, or to the end.
    #[inline(always)]
    fn skip_plain(&mut self) {
        while let Some(word) = self.word() {
            let special =
                zero_bytes(word ^ repeat(b'"')) | zero_bytes(word ^ repeat(b'\\')) | below(word, 0x20);
            if special != 0 {
                self.at += first(special);
                return;
            }
            self.at += 8;
        }
        while self
            .peek()
            .is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
        {
            self.at += 1;
        }
    }

    #[inline(never)]
    fn escape(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.escape_error(start));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.escape_error(start)),
        }
        Ok(())
    }

    /// At the backslash, unless the text has ended.
    fn escape_error(&self, start: usize) -> Error {
        match self.peek() {
            None => self.error(Reason::InvalidEscape),
            Some(_) => Error {
                offset: start,
                reason: Reason::InvalidEscape,
            },
        }
    }

    /// A number; its first character stands at `at`.
    #[inline(always)]
    fn number(&mut self) -> Result<(), Error> {
        self.take(b'-');
        // No digit may follow a leading zero; whoever looks at what follows the number will find it there.
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.peek().is_some_and(|byte| byte | 0x20 == b'e') {
            self.at += 1;
            if !self.take(b'-') {
                self.take(b'+');
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one digit.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(word) = self.word() {
            let other = not_digits(word);
            if other != 0 {
                self.at += first(other);
                return if self.at > start {
                    Ok(())
                } else {
                    Err(self.error(Reason::ExpectedDigit))
                };
            }
            self.at += 8;
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(self.error(Reason::ExpectedDigit))
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Error> {
        for byte in word.bytes() {
            if !self.take(byte) {
                return Err(self.error(Reason::ExpectedValue));
            }
        }
        Ok(())
    }

    /// The next eight bytes, the first in the lowest place; `None` if there are fewer.
    #[inline(always)]
    fn word(&self) -> Option<u64> {
        self.text
            .as_bytes()
            .get(self.at..)?
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes)
    }
}

#[inline(always)]
const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Marks the top bit of each zero byte. Above the first mark there may be false ones; the first is true.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    below(word, 1)
}

/// Marks the top bit of each byte less than `bound` (at most 0x80); again only the first mark is sure.
#[inline(always)]
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(repeat(bound)) & !word & repeat(0x80)
}

/// Marks some bit of each byte that is no ASCII digit, and none of the others. A carry out of a byte of 0xfa or more
/// falsifies only places above that one, which is marked.
#[inline(always)]
const fn not_digits(word: u64) -> u64 {
    ((word & repeat(0xf0)) ^ repeat(0x30)) | ((word.wrapping_add(repeat(0x06)) & repeat(0xf0)) ^ repeat(0x30))
}

/// In which byte the first mark is.
#[inline(always)]
const fn first(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Object,
    Array,
}

/// The open brackets, a bit each: the innermost 64 in a word, the ones around them in a heap that most texts never need.
#[derive(Default)]
struct Nest {
    inner: u64,
    depth: usize,
    outer: Vec<u64>,
}

impl Nest {
    #[inline(always)]
    fn push(&mut self, bracket: Bracket) {
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(bracket == Bracket::Object);
        self.depth += 1;
    }

    #[inline(always)]
    fn top(&self) -> Option<Bracket> {
        match (self.depth, self.inner & 1) {
            (0, _) => None,
            (_, 0) => Some(Bracket::Array),
            _ => Some(Bracket::Object),
        }
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }
}
