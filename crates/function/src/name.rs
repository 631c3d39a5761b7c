//! A cloud function's name: what a client may put into a URL and a folder may be called.

use std::{fmt, str::FromStr};

use wording::{Wording, wording};

/// The longest name that WeChat's documents allow.
const LONGEST: usize = 60;

/// A legal cloud function name: at most 60 of `A-Z a-z 0-9 - _`, the first a letter.
///
/// A name that passed here is safe as a path component, in a log line and in an environment variable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(Box<str>);

/// The text is no legal cloud function name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllegalName {
    name: String,
}

impl IllegalName {
    /// What is wrong and the mend.
    #[must_use]
    pub fn wording(&self) -> Wording {
        let name = &self.name;
        wording!(
            "{name:?} is no function name: use at most 60 letters, digits, `-` and `_`, beginning with a letter",
            "{name:?} 不能用作云函数名：以字母开头，只含字母、数字、`-` 和 `_`，最多 60 个字符"
        )
    }
}

impl fmt::Display for IllegalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for IllegalName {}

impl FunctionName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionName {
    type Err = IllegalName;

    fn from_str(name: &str) -> Result<Self, IllegalName> {
        let legal = name.len() <= LONGEST
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if legal {
            Ok(Self(name.into()))
        } else {
            Err(IllegalName {
                name: name.chars().take(80).collect(),
            })
        }
    }
}

impl AsRef<str> for FunctionName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A map keyed by names can be asked with a plain `&str`.
impl std::borrow::Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_wechat_takes_and_nothing_else() {
        let longest = "a".repeat(LONGEST);
        for legal in ["login", "A", "get-steps_2", longest.as_str()] {
            assert_eq!(
                legal.parse::<FunctionName>().map(|name| name.to_string()),
                Ok(legal.to_owned())
            );
        }
        let too_long = "a".repeat(LONGEST + 1);
        for illegal in [
            "",
            "2nd",
            "-a",
            "_a",
            "../x",
            "a/b",
            "a.b",
            "a b",
            "a\0",
            "登录",
            "é",
            too_long.as_str(),
        ] {
            assert!(illegal.parse::<FunctionName>().is_err(), "{illegal:?}");
        }
    }

    #[test]
    fn a_map_of_names_is_asked_with_text() {
        let functions: std::collections::BTreeMap<FunctionName, u8> = ["b", "a"]
            .iter()
            .flat_map(|name| name.parse())
            .zip([2, 1])
            .collect();
        assert_eq!(functions.get("a"), Some(&1));
        assert_eq!(functions.get("c"), None);
    }
}
