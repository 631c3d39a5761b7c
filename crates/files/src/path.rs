//! Where a file lies.

use std::{fmt, str::FromStr};

use wording::{Wording, wording};

/// The longest path, in bytes of UTF-8. The platform says "850 bytes after encoding"; that of the object store below it counts
/// UTF-8, and so do we.
pub const LONGEST_PATH: usize = 850;

/// The path of a file: `cloudPath` of `uploadFile`, and what follows the bucket in a file id.
///
/// It is as the program gave it, byte for byte: Chinese, blanks, `%`, `#` and `+` stand for themselves, and capitals count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloudPath(String);

/// What the paths begin with of what this program puts into storage for itself.
pub const OWN_FOLDER: &str = ".yunqiao/";

/// Why a text is no path of a file. `Display` is for whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloudPathError {
    /// There is none.
    Empty,
    /// More than [`LONGEST_PATH`] bytes.
    TooLong(usize),
    /// It begins with `/`.
    LeadingSlash,
    /// It ends with `/`: that is a folder's name.
    TrailingSlash,
    /// `//` in it.
    EmptyName,
    /// `.` or `..` in it, which browsers take out of an address before they send it.
    Dots,
    /// A control character that the platform does not take.
    Control(u32),
    /// It begins with [`OWN_FOLDER`], and was to be written.
    Own,
}

impl CloudPathError {
    /// What is wrong.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::Empty => wording!("cloudPath is empty", "cloudPath 是空的"),
            Self::TooLong(length) => wording!(
                "cloudPath is {length} bytes long, and may have {LONGEST_PATH}",
                "cloudPath 长 {length} 字节，最多 {LONGEST_PATH}"
            ),
            Self::LeadingSlash => wording!(
                "cloudPath begins with \"/\": leave it out",
                "cloudPath 以 \"/\" 开头：请去掉"
            ),
            Self::TrailingSlash => wording!(
                "cloudPath ends with \"/\": that is the name of a folder, and a file wants a name of its own",
                "cloudPath 以 \"/\" 结尾：那是目录名，文件要有自己的名字"
            ),
            Self::EmptyName => wording!(
                "cloudPath has an empty name in it (\"//\")",
                "cloudPath 里有空的名字（\"//\"）"
            ),
            Self::Dots => wording!(
                "cloudPath has \".\" or \"..\" as a name in it",
                "cloudPath 里有 \".\" 或 \"..\""
            ),
            Self::Control(code) => wording!(
                "cloudPath has the control character U+{code:04X} in it",
                "cloudPath 里有控制字符 U+{code:04X}"
            ),
            Self::Own => wording!(
                "cloudPath begins with {OWN_FOLDER}, where Yunqiao keeps what it removes by itself: name another folder",
                "cloudPath 以 {OWN_FOLDER} 开头，Yunqiao 会自行清理那里的文件：请换一个目录"
            ),
        }
    }
}

impl fmt::Display for CloudPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for CloudPathError {}

impl CloudPath {
    /// The path of a file that somebody is about to write.
    ///
    /// # Errors
    /// It is none, or belongs to this program.
    pub fn to_write(text: &str) -> Result<Self, CloudPathError> {
        let path: Self = text.parse()?;
        match path.is_own() {
            true => Err(CloudPathError::Own),
            false => Ok(path),
        }
    }

    /// Whether this program has put it there for itself.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.starts_with(OWN_FOLDER)
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name of it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for CloudPath {
    type Err = CloudPathError;

    fn from_str(text: &str) -> Result<Self, CloudPathError> {
        if text.is_empty() {
            return Err(CloudPathError::Empty);
        }
        if text.len() > LONGEST_PATH {
            return Err(CloudPathError::TooLong(text.len()));
        }
        if text.starts_with('/') {
            return Err(CloudPathError::LeadingSlash);
        }
        if text.ends_with('/') {
            return Err(CloudPathError::TrailingSlash);
        }
        for name in text.split('/') {
            match name {
                "" => return Err(CloudPathError::EmptyName),
                "." | ".." => return Err(CloudPathError::Dots),
                _ => {}
            }
        }
        // The platform names 24 to 27. The others of ASCII only need care there, but no header and no XML can carry them.
        match text.chars().find(char::is_ascii_control) {
            Some(control) => Err(CloudPathError::Control(control.into())),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for CloudPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_programs_write_is_taken_as_it_is() {
        for text in [
            "a.png",
            "头像/小明 (1).JPG",
            "100%/a#b+c?.txt",
            "a/.b/...c",
            "😀",
            "a\\b",
            &"长".repeat(283),
        ] {
            assert_eq!(text.parse::<CloudPath>().unwrap().as_str(), text);
        }
        assert_eq!("a/b/c.txt".parse::<CloudPath>().unwrap().name(), "c.txt");
    }

    #[test]
    fn what_this_program_removes_by_itself_nobody_writes() {
        for own in [".yunqiao/cdn/mine", ".yunqiao/other.txt"] {
            assert_eq!(CloudPath::to_write(own), Err(CloudPathError::Own), "{own}");
            assert!(own.parse::<CloudPath>().unwrap().is_own());
        }
        for path in ["yunqiao/a", "a/.yunqiao/b", ".yunqiao", ".yunqiao2/a"] {
            assert_eq!(CloudPath::to_write(path), path.parse(), "{path}");
        }
        assert_eq!(CloudPath::to_write("/a"), Err(CloudPathError::LeadingSlash));
    }

    #[test]
    fn what_no_file_can_be_called_is_refused() {
        for (text, error) in [
            ("", CloudPathError::Empty),
            ("/a", CloudPathError::LeadingSlash),
            ("/", CloudPathError::LeadingSlash),
            ("a/", CloudPathError::TrailingSlash),
            ("a//b", CloudPathError::EmptyName),
            ("a/../b", CloudPathError::Dots),
            ("..", CloudPathError::Dots),
            ("a/./b", CloudPathError::Dots),
            ("a\0b", CloudPathError::Control(0)),
            ("a\x18", CloudPathError::Control(0x18)),
            ("a\nb", CloudPathError::Control(10)),
        ] {
            assert_eq!(text.parse::<CloudPath>(), Err(error), "{text:?}");
        }
        let long = "长".repeat(284);
        assert_eq!(long.parse::<CloudPath>(), Err(CloudPathError::TooLong(852)));
    }
}
