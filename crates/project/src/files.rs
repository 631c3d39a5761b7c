//! Reading what people write by hand: text files, and secrets of one value. A byte order mark is ignored, because editors
//! on Windows write one; every other fault is reported with line and column.

use std::{
    fmt, fs, io,
    path::{Component, Path, PathBuf},
};

use serde_json::{Map, Value};
use wording::{Wording, wording};

use crate::ProjectError;

/// A path as a person would write it: without `.`, and without `..` where what stands before it is no link.
#[must_use]
pub fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidied.components().next_back(), Some(Component::Normal(_))) => {
                tidied.pop();
            }
            part => tidied.push(part),
        }
    }
    if tidied.as_os_str().is_empty() {
        tidied.push(".");
    }
    match (tidied.canonicalize(), path.canonicalize()) {
        (Ok(tidied), Ok(real)) if tidied != real => path.to_owned(),
        _ => tidied,
    }
}

/// What is wrong with a text, where, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: Wording,
    /// What to do about it.
    pub mend: Wording,
}

impl fmt::Display for FileFault {
    /// `line N: what — mend`, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} — {}", self.wording(), self.mend)
    }
}

impl FileFault {
    /// The line and what is wrong there, without the mend.
    #[must_use]
    pub fn wording(&self) -> Wording {
        let (line, what) = (self.line, &self.what);
        wording!("line {line}: {what}", "第 {line} 行：{what}"; what)
    }

    /// The fault as the error of the project that `path` belongs to.
    pub(crate) fn in_file(self, path: &Path) -> ProjectError {
        let Self {
            line,
            column,
            what,
            mend,
        } = self;
        ProjectError::Json {
            path: path.to_owned(),
            line,
            column,
            what,
            mend,
        }
    }
}

/// The bytes of a file that may be absent.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, ProjectError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ProjectError::Read {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// What a person wrote into a file, a variable or an argument that holds one value: without a byte order mark, and without
/// the blanks and line ends around it. Everything that is read as a whole goes through here.
#[must_use]
pub fn one_value(text: &str) -> &str {
    text.trim().trim_start_matches('\u{feff}').trim()
}

/// The bytes as text without a byte order mark.
///
/// # Errors
/// They are not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, FileFault> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(bytes, error.valid_up_to());
        FileFault {
            line,
            column,
            what: wording!("the text is not UTF-8", "文本不是 UTF-8 编码"),
            mend: wording!("save the file as UTF-8", "请把文件另存为 UTF-8"),
        }
    })
}

/// The bytes as a JSON object; a byte order mark before it is forgiven.
///
/// # Errors
/// They are not UTF-8, no JSON, or no object.
pub fn json_object(bytes: &[u8]) -> Result<Map<String, Value>, FileFault> {
    let text = text(bytes)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(FileFault {
            line: 1,
            column: 1,
            what: no_object(),
            mend: wording!(
                "it must begin with `{{` and end with `}}`",
                "内容应以 `{{` 开头、以 `}}` 结尾"
            ),
        }),
        Err(error) => {
            let (line, column) = (error.line().max(1), error.column().max(1));
            // serde_json ends its text with the position, which is given separately here.
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or(&what);
            Err(FileFault {
                line,
                column,
                mend: json_mend(text, line, what),
                what: wording!("{what}", "JSON 语法错误（{what}）"),
            })
        }
    }
}

/// That a file is JSON, and not what it should be.
#[must_use]
pub fn no_object() -> Wording {
    wording!("the file holds no JSON object", "文件内容不是 JSON 对象")
}

/// What to do about a text that is no JSON: the few things people really do wrong.
fn json_mend(text: &str, line: usize, what: &str) -> Wording {
    let nearby: Vec<&str> = text.lines().skip(line.saturating_sub(2)).take(2).collect();
    if text.trim().is_empty() {
        wording!(
            "the file is empty; write at least `{{}}`",
            "文件是空的，至少要写 `{{}}`"
        )
    } else if nearby
        .iter()
        .any(|line| line.trim_start().starts_with("//") || line.contains("/*"))
    {
        wording!("JSON knows no comments; remove them", "JSON 不支持注释，请删掉")
    } else if what.contains("trailing comma") {
        wording!(
            "remove the comma before the closing bracket",
            "请删掉右括号前多余的逗号"
        )
    } else if what.contains("key must be a string") {
        wording!("put the key in double quotes", "请给键名加上双引号")
    } else if nearby.iter().any(|line| line.contains('\'')) {
        wording!("JSON knows only double quotes", "JSON 只能用双引号")
    } else if what.contains("EOF") {
        wording!(
            "a bracket or a quote is not closed, or the file was cut off",
            "有括号或引号没有闭合，或者文件不完整"
        )
    } else {
        wording!("mend the JSON there", "请改正此处的 JSON")
    }
}

/// Line and column, from 1, of a byte; columns count characters.
#[must_use]
pub fn position(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    (
        line,
        1 + String::from_utf8_lossy(&before[line_start..]).chars().count(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tidy_path_leads_to_the_same_place() {
        let tidied = |path: &str| tidy(Path::new(path)).display().to_string();
        assert_eq!(tidied("a/./b/"), "a/b");
        assert_eq!(tidied("client/../functions"), "functions");
        assert_eq!(tidied("../a/.."), "..");
        assert_eq!(tidied("a/.."), ".");
        assert_eq!(tidied("/a/../../b"), "/../b");
        // What is above a link is above the place where it leads.
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        fs::create_dir_all(of("far/inner")).unwrap();
        fs::create_dir(of("other")).unwrap();
        std::os::unix::fs::symlink(of("far/inner"), of("link")).unwrap();
        fs::create_dir(of("far/other")).unwrap();
        assert_eq!(tidy(&of("link/../other")), of("link/../other"));
        assert_eq!(tidy(&of("far/../other")), of("other"));
    }

    #[test]
    fn one_value_stands_alone() {
        for text in [
            "a b",
            " a b\r\n",
            "\u{feff}a b\n",
            "\u{feff}\n a b",
            " \u{feff}a b",
        ] {
            assert_eq!(one_value(text), "a b", "{text:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_forgiven() {
        assert_eq!(json_object("\u{feff}{\"a\":1}".as_bytes()).unwrap()["a"], 1);
    }

    #[test]
    fn each_usual_mistake_has_its_place_and_mend() {
        for (bytes, line, column, mend) in [
            (&b"{\n  // the app\n  \"appid\": \"wx1\"\n}"[..], 2, 3, "comments"),
            (b"{\n  \"appid\": \"wx1\",\n}", 3, 1, "comma"),
            (b"{appid: 1}", 1, 2, "double quotes"),
            (b"{\n\"a\": 'b'}", 2, 6, "double quotes"),
            (b"{\"a\": 1", 1, 7, "not closed"),
            (b"", 1, 1, "empty"),
            (b"[]", 1, 1, "begin with"),
            (b"{\"a\":\n \"\xd6\xd0\"}", 2, 3, "UTF-8"),
        ] {
            let fault = json_object(bytes).unwrap_err();
            assert_eq!((fault.line, fault.column), (line, column), "{fault:?}");
            assert!(fault.mend.en.contains(mend), "{fault:?}");
            assert!(!fault.what.en.contains("at line"), "{fault:?}");
        }
    }
}
