//! JSON as bytes: strict validation, and a view of an object's top level as raw slices.
//!
//! An event passes through the gateway as the client wrote it. Key order, number text such as `12345678901234567890`,
//! and the choice between `é` and `\u00e9` all survive, because a text is never turned into a tree and back: it is
//! checked once, and replacing a field means copying the slices around it. That is also the cheapest way there is.
//!
//! The grammar is RFC 8259, no more and no less, and the text must be UTF-8. What a JSON number or string may *mean* is
//! not judged: any number of digits is a number, and an escaped lone surrogate (`"\ud800"`) is a string, as for
//! JavaScript's `JSON.parse`. Nothing recurses and nothing is limited in depth; open brackets cost one bit each.

mod error;
mod object;
mod scan;
mod string;
#[cfg(test)]
mod tests;

pub use error::{JsonError, JsonReason};
pub use object::{Member, Object};
pub use string::{
    array, array_of_strings, escape_controls, is_string, string_length, unescape, unescape_lossy,
    write_string, write_string_within,
};

/// Checks that `text` is exactly one JSON value, blanks around it allowed, and gives it back as text.
pub fn validate(text: &[u8]) -> Result<&str, JsonError> {
    let text = utf8(text)?;
    let scanner = scan::Scanner::new(text);
    let (start, _) = scanner.blanks(0);
    scanner.end(scanner.value(start)?)?;
    Ok(text)
}

fn utf8(text: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(text).map_err(|error| JsonError {
        offset: error.valid_up_to(),
        reason: JsonReason::NotUtf8,
    })
}
