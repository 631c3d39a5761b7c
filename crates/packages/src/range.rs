//! Whether a version is one that a range of npm's admits, as far as that can be told by the rules that npm's ranges share with
//! Cargo's: carets, tildes, comparisons, whole and partial versions, and alternatives of these.

use semver::{Version, VersionReq};

/// `None` where the range is of another kind: a tag, an address, a range by hyphen.
pub(crate) fn admits(range: &str, version: &str) -> Option<bool> {
    let version = Version::parse(version).ok()?;
    let mut is_known = true;
    for alternative in range.split("||") {
        match admits_one(alternative.trim(), &version) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(false)
}

fn admits_one(range: &str, version: &Version) -> Option<bool> {
    if ["", "*", "x", "X", "latest"].contains(&range) {
        return Some(version.pre.is_empty());
    }
    if let Ok(exact) = Version::parse(range.trim_start_matches(['=', 'v'])) {
        return Some(exact.cmp_precedence(version).is_eq());
    }
    let mut comparators = Vec::new();
    for word in range.split_whitespace() {
        let operator_ends = word.find(|char: char| !"^~<>=".contains(char))?;
        let (operator, bound) = word.split_at(operator_ends);
        let parts = bound.split('.').count();
        if !bound.starts_with(|char: char| char.is_ascii_digit()) {
            return None;
        }
        // A part of a version, alone, is all that begin with it.
        let operator = match (operator, parts) {
            ("", 1) => "^",
            ("", 2) => "~",
            ("", _) => "",
            ("^" | "~" | "<" | ">" | "<=" | ">=" | "=", _) => operator,
            _ => return None,
        };
        comparators.push(format!("{operator}{bound}"));
    }
    let range = VersionReq::parse(&comparators.join(", ")).ok()?;
    Some(range.matches(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_judged_as_npm_judges_them() {
        let admitted = |range, version| admits(range, version) == Some(true);
        let refused = |range, version| admits(range, version) == Some(false);
        for (range, version) in [
            ("1.2.3", "1.2.3"),
            ("=1.2.3", "1.2.3"),
            ("v1.2.3", "1.2.3"),
            ("^1.2.3", "1.9.0"),
            ("^0.2.3", "0.2.9"),
            ("^0.0.3", "0.0.3"),
            ("~1.2.3", "1.2.9"),
            ("~1.2", "1.2.9"),
            ("1", "1.9.9"),
            ("0", "0.9.9"),
            ("1.x", "1.9.9"),
            ("1.2", "1.2.9"),
            ("1.2.x", "1.2.9"),
            ("1.2.*", "1.2.9"),
            (">=1.2 <3", "2.9.9"),
            ("^2.0.0 || ^1.0.0", "1.5.0"),
            ("*", "3.0.0"),
            ("", "3.0.0"),
            ("latest", "3.0.0"),
            ("^1.2.3-beta.1", "1.2.3-beta.2"),
            ("^1.2.3-beta.1", "1.3.0"),
        ] {
            // A blank after the operator is not understood, and nothing is claimed then.
            assert!(
                admitted(range, version) || range == ">= 1.2.3",
                "{range} {version}"
            );
        }
        for (range, version) in [
            ("1.2.3", "1.2.4"),
            ("^1.2.3", "2.0.0"),
            ("^1.2.3", "1.2.2"),
            ("^0.2.3", "0.3.0"),
            ("^0.0.3", "0.0.4"),
            ("~1.2.3", "1.3.0"),
            ("1", "2.0.0"),
            ("1.2", "1.3.0"),
            ("1.2.x", "1.3.0"),
            (">=1.2 <3", "3.0.0"),
            ("^2.0.0 || ^1.0.0", "3.5.0"),
            ("*", "3.0.0-rc.1"),
            ("^1.2.3", "1.3.0-beta.1"),
        ] {
            assert!(refused(range, version), "{range} {version}");
        }
        for range in [
            "next",
            "1.2.3 - 2.0.0",
            ">= 1.2.3",
            "git+https://x/y",
            "file:../a",
            "npm:a@1",
        ] {
            assert_eq!(admits(range, "1.2.3"), None, "{range}");
        }
        assert_eq!(admits("^1.0.0", "none"), None);
    }
}
