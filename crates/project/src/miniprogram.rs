//! `project.config.json`, the file that WeChat DevTools keeps. Of it, only what cloud functions need is read, and where the pages lie.
//!
//! A Mini Program that is written with uni-app gets that file when it is built: its source has `manifest.json`, whose `mp-weixin` says
//! the same.

use std::{fs, path::Path};

use serde_json::{Map, Value};
use wording::wording;

use crate::{ProjectError, files};

/// The file's name.
pub(crate) const FILE: &str = "project.config.json";

/// The name of uni-app's file.
pub(crate) const UNI_APP: &str = "manifest.json";

/// What `project.config.json` says, or what stands for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MiniProgram {
    pub(crate) appid: Option<String>,
    /// `cloudfunctionRoot`, relative to the file.
    pub(crate) functions_root: Option<String>,
    /// `miniprogramRoot`, relative to the file.
    pub(crate) pages_root: Option<String>,
    /// Whether uni-app's file said it.
    pub(crate) is_uni_app: bool,
    /// Whether there are comments in `project.config.json`, which JSON does not know.
    pub(crate) has_comments: bool,
}

/// Whether a folder holds a Mini Program.
pub(crate) fn is_in(folder: &Path) -> bool {
    folder.join(FILE).is_file()
        || fs::read(folder.join(UNI_APP)).is_ok_and(|bytes| section_of_uni_app(&bytes).is_some())
}

/// What uni-app's file says of WeChat; `None` of any other `manifest.json`, such as a web page's.
fn section_of_uni_app(bytes: &[u8]) -> Option<Map<String, Value>> {
    let text = without_comments(files::text(bytes).ok()?);
    match serde_json::from_str(&text).ok()? {
        Value::Object(mut manifest) => match manifest.remove("mp-weixin")? {
            Value::Object(section) => Some(section),
            _ => None,
        },
        _ => None,
    }
}

/// A JSON text whose comments are blanks.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let (mut quoted, mut escaped) = (false, false);
    while let Some(char) = chars.next() {
        if quoted {
            quoted = escaped || char != '"';
            escaped = !escaped && char == '\\';
            out.push(char);
            continue;
        }
        match (char, chars.peek()) {
            ('/', Some('/')) => {
                while chars.next_if(|next| *next != '\n').is_some() {}
                out.push(' ');
            }
            ('/', Some('*')) => {
                chars.next();
                let mut before = ' ';
                for next in chars.by_ref() {
                    if before == '*' && next == '/' {
                        break;
                    }
                    before = next;
                }
                out.push(' ');
            }
            _ => {
                quoted = char == '"';
                out.push(char);
            }
        }
    }
    out
}

impl MiniProgram {
    /// Reads uni-app's file, if that is what the bytes are; `path` is for messages.
    pub(crate) fn parse_uni_app(path: &Path, bytes: &[u8]) -> Result<Option<Self>, ProjectError> {
        let section = section_of_uni_app(bytes);
        let read = section.map(|section| Self::of(&section, path, bytes));
        let read = read.transpose()?;
        Ok(read.map(|read| Self {
            is_uni_app: true,
            ..read
        }))
    }

    /// Reads the file's bytes; `path` is for messages. Comments are forgiven: many who publish a project write one beside the appid, that
    /// it is to be replaced.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ProjectError> {
        match files::json_object(bytes) {
            Ok(object) => Self::of(&object, path, bytes),
            Err(fault) => {
                let text = files::text(bytes).map(without_comments).unwrap_or_default();
                match files::json_object(text.as_bytes()) {
                    Ok(object) => Ok(Self {
                        has_comments: true,
                        ..Self::of(&object, path, bytes)?
                    }),
                    Err(_) => Err(fault.in_file(path)),
                }
            }
        }
    }

    fn of(object: &Map<String, Value>, path: &Path, bytes: &[u8]) -> Result<Self, ProjectError> {
        let text = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(other) => {
                let (line, column) = files::position(bytes, find_key(bytes, key));
                Err(ProjectError::Json {
                    path: path.to_owned(),
                    line,
                    column,
                    what: wording!("`{key}` is {other}, not a text", "`{key}` 是 {other}，不是字符串"),
                    mend: crate::quote_it(),
                })
            }
        };
        Ok(Self {
            appid: text("appid")?,
            functions_root: text("cloudfunctionRoot")?,
            pages_root: text("miniprogramRoot").unwrap_or_default(),
            is_uni_app: false,
            has_comments: false,
        })
    }
}

/// Where the key stands; good enough for a message.
fn find_key(bytes: &[u8], key: &str) -> usize {
    let quoted = format!("\"{key}\"");
    bytes
        .windows(quoted.len())
        .position(|window| window == quoted.as_bytes())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn comments_are_forgiven_and_known_of() {
        let text = "{\n  \"appid\": \"wx0123456789abcdef\", // your own: https://mp.weixin.qq.com\n  /* here */ \"cloudfunctionRoot\": \"a//b/\"\n}";
        let read = MiniProgram::parse(Path::new(FILE), text.as_bytes()).unwrap();
        assert_eq!(read.appid.as_deref(), Some("wx0123456789abcdef"));
        assert_eq!(read.functions_root.as_deref(), Some("a//b/"));
        assert!(read.has_comments);
        let fault = MiniProgram::parse(Path::new(FILE), b"{ // a\n appid: 1 }").unwrap_err();
        assert!(fault.to_string().contains("1:3"), "{fault}");
    }

    #[test]
    fn reads_what_devtools_writes() {
        let text = r#"{"description":"项目配置文件","miniprogramRoot":"miniprogram/","cloudfunctionRoot":"cloudfunctions/",
            "setting":{"urlCheck":true},"appid":"wx0123456789abcdef","projectname":"demo","condition":{}}"#;
        let read = MiniProgram::parse(Path::new(FILE), text.as_bytes()).unwrap();
        assert_eq!(read.appid.as_deref(), Some("wx0123456789abcdef"));
        assert_eq!(read.functions_root.as_deref(), Some("cloudfunctions/"));
        assert_eq!(read.pages_root.as_deref(), Some("miniprogram/"));
    }

    #[test]
    fn reads_what_a_uni_app_says_of_wechat() {
        let text = r#"{
            "name": "shop // no comment", /* of the app itself * / */ "appid": "__UNI__1",
            // "mp-weixin": {},
            "mp-weixin": { "appid": "wx0123456789abcdef", "cloudfunctionRoot": "static/cloud/" /**/ },
            "url": "https://example.com/\"/*", "h5": {}
        }"#;
        let path = Path::new(UNI_APP);
        let read = MiniProgram::parse_uni_app(path, text.as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(read.appid.as_deref(), Some("wx0123456789abcdef"));
        assert_eq!(read.functions_root.as_deref(), Some("static/cloud/"));
        for other in [
            r#"{"name":"a page","icons":[]}"#,
            r#"{"mp-weixin":[]}"#,
            "[]",
            "{",
            "",
            "/*",
            "\"\\",
        ] {
            assert_eq!(
                MiniProgram::parse_uni_app(path, other.as_bytes()).unwrap(),
                None,
                "{other}"
            );
        }
        let wrong = MiniProgram::parse_uni_app(path, br#"{"mp-weixin":{"appid":1}}"#);
        assert!(wrong.unwrap_err().to_string().contains("`appid` is 1"));
    }

    #[test]
    fn an_empty_appid_is_none_and_a_number_is_refused() {
        let read = MiniProgram::parse(Path::new(FILE), br#"{"appid":"","cloudfunctionRoot":null}"#).unwrap();
        assert_eq!(read, MiniProgram::default());
        let error = MiniProgram::parse(Path::new(FILE), b"{\n \"appid\": 12}")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("project.config.json:2:2: `appid` is 12"),
            "{error}"
        );
    }
}
