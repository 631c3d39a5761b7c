//! `project.config.json`, the file that WeChat DevTools keeps. Of it, only what cloud functions need is read, and where the pages lie.

use std::path::Path;

use serde_json::Value;

use crate::{ProjectError, files};

/// The file's name.
pub(crate) const FILE: &str = "project.config.json";

/// What `project.config.json` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MiniProgram {
    pub(crate) appid: Option<String>,
    /// `cloudfunctionRoot`, relative to the file.
    pub(crate) functions_root: Option<String>,
    /// `miniprogramRoot`, relative to the file.
    pub(crate) pages_root: Option<String>,
}

impl MiniProgram {
    /// Reads the file's bytes; `path` is for messages.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ProjectError> {
        let object = files::json_object(bytes).map_err(|fault| fault.in_file(path))?;
        let text = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(other) => {
                let (line, column) = files::position(bytes, find_key(bytes, key));
                Err(ProjectError::Json {
                    path: path.to_owned(),
                    line,
                    column,
                    what: format!("`{key}` is {other}, not a text"),
                    mend: "put the value in double quotes".to_owned(),
                })
            }
        };
        Ok(Self {
            appid: text("appid")?,
            functions_root: text("cloudfunctionRoot")?,
            pages_root: text("miniprogramRoot").unwrap_or_default(),
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
    fn reads_what_devtools_writes() {
        let text = r#"{"description":"项目配置文件","miniprogramRoot":"miniprogram/","cloudfunctionRoot":"cloudfunctions/",
            "setting":{"urlCheck":true},"appid":"wx0123456789abcdef","projectname":"demo","condition":{}}"#;
        let read = MiniProgram::parse(Path::new(FILE), text.as_bytes()).unwrap();
        assert_eq!(read.appid.as_deref(), Some("wx0123456789abcdef"));
        assert_eq!(read.functions_root.as_deref(), Some("cloudfunctions/"));
        assert_eq!(read.pages_root.as_deref(), Some("miniprogram/"));
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
