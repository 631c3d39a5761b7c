//! The grammar: one pass over the bytes, without recursion, that knows where each value ends.
//!
//! Speed comes from looking at eight bytes at a time inside strings and numbers, where most of a text is; the rest is
//! a plain state machine. The text is known to be UTF-8, so every byte that matters here is ASCII.

use crate::{JsonError, JsonReason};

/// Walks over a text. Each step starts at a place and gives the place behind what it has checked: a place that lives in
/// a register is worth a third of the time.
#[derive(Clone, Copy)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
        }
    }

    #[inline(always)]
    fn peek(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// What is wrong at `at`.
    #[cold]
    pub(crate) fn error(self, at: usize, reason: JsonReason) -> JsonError {
        let reason = if at >= self.bytes.len() {
            JsonReason::UnexpectedEnd
        } else {
            reason
        };
        JsonError { offset: at, reason }
    }

    /// The place after the whitespace, and the byte there.
    #[inline(always)]
    pub(crate) fn blanks(self, at: usize) -> (usize, Option<u8>) {
        let next = self.peek(at);
        // Compact texts, the usual ones, have none.
        if next.is_none_or(|byte| byte > b' ') {
            (at, next)
        } else {
            self.blanks_rest(at)
        }
    }

    #[cold]
    fn blanks_rest(self, mut at: usize) -> (usize, Option<u8>) {
        while let Some(byte) = self.peek(at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return (at, Some(byte));
            }
            at += 1;
        }
        (at, None)
    }

    /// Behind `wanted`, which must stand there after blanks.
    #[inline(always)]
    pub(crate) fn take(self, at: usize, wanted: u8, otherwise: JsonReason) -> Result<usize, JsonError> {
        let (at, next) = self.blanks(at);
        if next == Some(wanted) {
            Ok(at + 1)
        } else {
            Err(self.error(at, otherwise))
        }
    }

    /// Checks that only whitespace follows.
    pub(crate) fn end(self, at: usize) -> Result<(), JsonError> {
        match self.blanks(at) {
            (_, None) => Ok(()),
            (at, Some(_)) => Err(self.error(at, JsonReason::ExpectedEnd)),
        }
    }

    /// Behind a quoted key.
    #[inline(always)]
    pub(crate) fn key(self, at: usize) -> Result<usize, JsonError> {
        match self.peek(at) {
            Some(b'"') => self.string(at),
            _ => Err(self.error(at, JsonReason::ExpectedKey)),
        }
    }

    /// Behind one whole value, which begins right there.
    pub(crate) fn value(self, mut at: usize) -> Result<usize, JsonError> {
        let mut nest = Nest::default();
        loop {
            match self.peek(at) {
                Some(b'"') => at = self.string(at)?,
                Some(b'-' | b'0'..=b'9') => at = self.number(at)?,
                Some(b'{') => {
                    let (inner, next) = self.blanks(at + 1);
                    if next == Some(b'}') {
                        at = inner + 1;
                    } else {
                        nest.push(Bracket::Object);
                        at = self.until_value(inner)?;
                        continue;
                    }
                }
                Some(b'[') => {
                    let (inner, next) = self.blanks(at + 1);
                    if next == Some(b']') {
                        at = inner + 1;
                    } else {
                        nest.push(Bracket::Array);
                        at = inner;
                        continue;
                    }
                }
                Some(b't') => at = self.literal(at, "true")?,
                Some(b'f') => at = self.literal(at, "false")?,
                Some(b'n') => at = self.literal(at, "null")?,
                _ => return Err(self.error(at, JsonReason::ExpectedValue)),
            }
            // A value is complete: close what it closes, and come to the next one.
            loop {
                let Some(bracket) = nest.top() else { return Ok(at) };
                let (place, next) = self.blanks(at);
                at = place + 1;
                match (bracket, next) {
                    (Bracket::Object, Some(b',')) => {
                        at = self.until_value(self.blanks(at).0)?;
                        break;
                    }
                    (Bracket::Array, Some(b',')) => {
                        at = self.blanks(at).0;
                        break;
                    }
                    (Bracket::Object, Some(b'}')) | (Bracket::Array, Some(b']')) => nest.pop(),
                    (Bracket::Object, _) => return Err(self.error(place, JsonReason::ExpectedCommaOrBrace)),
                    (Bracket::Array, _) => return Err(self.error(place, JsonReason::ExpectedCommaOrBracket)),
                }
            }
        }
    }

    /// Behind a key, its colon, and the blanks before the value.
    #[inline(always)]
    fn until_value(self, at: usize) -> Result<usize, JsonError> {
        let at = self.key(at)?;
        let at = self.take(at, b':', JsonReason::ExpectedColon)?;
        Ok(self.blanks(at).0)
    }

    /// Behind a string, whose opening quote stands there.
    #[inline(always)]
    pub(crate) fn string(self, at: usize) -> Result<usize, JsonError> {
        let mut at = at + 1;
        loop {
            at = self.plain(at);
            match self.peek(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => at = self.escape(at)?,
                _ => return Err(self.error(at, JsonReason::ControlCharacter)),
            }
        }
    }

    /// At the next quote, backslash or control character, or at the end.
    #[inline(always)]
    fn plain(self, start: usize) -> usize {
        let mut at = start;
        while let Some(word) = self.word(at) {
            let special =
                zero_bytes(word ^ repeat(b'"')) | zero_bytes(word ^ repeat(b'\\')) | below(word, 0x20);
            if special != 0 {
                return at + first(special);
            }
            at += 8;
            if at - start == 16 {
                at = self.plain_blocks(at);
            }
        }
        while self.peek(at).is_some_and(|byte| !is_special(byte)) {
            at += 1;
        }
        at
    }

    /// Goes on in steps of 32 bytes, which the compiler turns into vectors: it pays where a string is long, as a ticket or
    /// `encryptedData` is.
    #[inline(never)]
    fn plain_blocks(self, mut at: usize) -> usize {
        while let Some(block) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<32>)
            && !block.iter().fold(false, |found, &byte| found | is_special(byte))
        {
            at += block.len();
        }
        at
    }

    /// Behind an escape, whose backslash stands there.
    #[inline(never)]
    fn escape(self, start: usize) -> Result<usize, JsonError> {
        let mut at = start + 1;
        match self.peek(at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
            Some(b'u') => {
                for _ in 0..4 {
                    at += 1;
                    if !self.peek(at).is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.escape_error(start, at));
                    }
                }
                Ok(at + 1)
            }
            _ => Err(self.escape_error(start, at)),
        }
    }

    /// At the backslash, unless the text has ended.
    fn escape_error(self, start: usize, at: usize) -> JsonError {
        let offset = if at < self.bytes.len() { start } else { at };
        self.error(offset, JsonReason::InvalidEscape)
    }

    /// Behind a number, whose first character stands there. No digit may follow a leading zero; whoever looks at what
    /// follows the number will find it there.
    #[inline(always)]
    fn number(self, mut at: usize) -> Result<usize, JsonError> {
        at += usize::from(self.peek(at) == Some(b'-'));
        at = if self.peek(at) == Some(b'0') {
            at + 1
        } else {
            self.digits(at)?
        };
        match self.peek(at) {
            Some(b'.' | b'e' | b'E') => self.fraction_and_exponent(at),
            _ => Ok(at),
        }
    }

    #[inline(never)]
    fn fraction_and_exponent(self, mut at: usize) -> Result<usize, JsonError> {
        if self.peek(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if matches!(self.peek(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(self.peek(at), Some(b'-' | b'+')));
            at = self.digits(at)?;
        }
        Ok(at)
    }

    /// Behind at least one digit.
    #[inline(always)]
    fn digits(self, start: usize) -> Result<usize, JsonError> {
        let mut at = start;
        loop {
            let Some(word) = self.word(at) else {
                while self.peek(at).is_some_and(|byte| byte.is_ascii_digit()) {
                    at += 1;
                }
                break;
            };
            let other = not_digits(word);
            if other != 0 {
                at += first(other);
                break;
            }
            at += 8;
        }
        if at > start {
            Ok(at)
        } else {
            Err(self.error(at, JsonReason::ExpectedDigit))
        }
    }

    fn literal(self, start: usize, word: &str) -> Result<usize, JsonError> {
        for (at, byte) in (start..).zip(word.bytes()) {
            if self.peek(at) != Some(byte) {
                return Err(self.error(at, JsonReason::ExpectedValue));
            }
        }
        Ok(start + word.len())
    }

    /// The next eight bytes, the first in the lowest place; `None` if there are fewer.
    #[inline(always)]
    fn word(self, at: usize) -> Option<u64> {
        self.bytes
            .get(at..)?
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes)
    }
}

/// Whether a byte ends the plain part of a string.
#[inline(always)]
const fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
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
