//! Regular expressions of expressions: PCRE's syntax, with a bound on backtracking.

use fancy_regex::{Regex, RegexBuilder};

use super::value::fail;
use crate::{Error, error::Result};

/// Steps of backtracking before a match is given up with an error.
const MAX_BACKTRACKING: usize = 1_000_000;

/// Compiles a pattern with MongoDB's options `i`, `m`, `s`, `x`.
pub(super) fn compile(pattern: &str, options: &str) -> Result<Regex> {
    if let Some(unknown) = options.chars().find(|option| !"imsxu".contains(*option)) {
        return fail(51108, format!("invalid flag in regex options: {unknown}"));
    }
    let flags: String = options.chars().filter(|option| *option != 'u').collect();
    let pattern = if flags.is_empty() {
        pattern.to_owned()
    } else {
        format!("(?{flags}){pattern}")
    };
    RegexBuilder::new(&pattern)
        .backtrack_limit(MAX_BACKTRACKING)
        .build()
        .map_err(|error| Error::new(51111, format!("Regular expression is invalid: {error}")))
}
