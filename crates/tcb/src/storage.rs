//! The storage actions of every SDK: what they ask for, and how they are answered. What a file id or a path may be is not
//! judged here, but in `files`.
//!
//! | action | by whom | answered with |
//! |---|---|---|
//! | `storage.getUploadMetadata` | all from 1.8.3 on | where to send the file, in a second request |
//! | `storage.uploadFile` | 0.5.1, with the file in it | the file's id |
//! | `storage.batchGetDownloadUrl` | all | an address for each file |
//! | `storage.batchDeleteFile` | all | whether it was there |
//! | `storage.batchCopyFile` | node-sdk | what came of each |
//! | `storage.getFileAuthority` | node-sdk | whether a user may read or write each |
//! | `storage.getCDNPlace` | our own client | where to send what a `CDN` holds, and its address |

use std::borrow::Cow;

use serde_json::{Value, json};
use thiserror::Error;

use crate::{Envelope, FieldValue, SdkReply, codes, reply};

/// Files of one request at most.
pub const MOST_FILES: usize = 50;
/// The code of a file with which all went well.
const SUCCESS: &str = "SUCCESS";

/// A storage action, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageAction {
    /// `storage.getUploadMetadata`.
    UploadMetadata,
    /// `storage.uploadFile`.
    Upload,
    /// `storage.batchGetDownloadUrl`.
    DownloadUrls,
    /// `storage.batchDeleteFile`.
    Delete,
    /// `storage.batchCopyFile`.
    Copy,
    /// `storage.getFileAuthority`.
    Authority,
    /// `storage.getCDNPlace`.
    CdnPlace,
}

impl StorageAction {
    /// The action of that name; `None` if it is no storage action that is served.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("storage.")? {
            "getUploadMetadata" => Self::UploadMetadata,
            "uploadFile" => Self::Upload,
            "batchGetDownloadUrl" => Self::DownloadUrls,
            "batchDeleteFile" => Self::Delete,
            "batchCopyFile" => Self::Copy,
            "getFileAuthority" => Self::Authority,
            "getCDNPlace" => Self::CdnPlace,
            _ => return None,
        })
    }
}

/// What a storage action asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageRequest<'a> {
    /// Where to send a file to.
    UploadMetadata {
        /// `cloudPath`.
        path: &'a str,
    },
    /// To keep a file.
    Upload {
        /// `cloudPath`.
        path: &'a str,
        /// The file.
        content: Cow<'a, [u8]>,
    },
    /// Addresses of files.
    DownloadUrls(Vec<AskedUrl>),
    /// To remove files, by their ids.
    Delete(Vec<String>),
    /// To copy or move files.
    Copy(Vec<AskedCopy>),
    /// What a user may do with files.
    Authority {
        /// The user: an openid, or a uid.
        user: &'a str,
        /// Which files, and what with them.
        files: Vec<AskedAuthority>,
    },
    /// Where to send what a `CDN` holds.
    CdnPlace,
}

/// A file of which somebody asks what a user may do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedAuthority {
    /// Its id, or its path.
    pub file: String,
    /// Whether reading is asked about: `READ`, `READWRITE`.
    pub read: bool,
    /// Whether writing is: `WRITE`, `READWRITE`.
    pub write: bool,
}

/// What a user may do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAuthority {
    /// The file as it was asked for.
    pub file: String,
    /// What the SDKs send along with a file: see [`UploadPlace::object_id`].
    pub object_id: String,
    /// Whether they may read it, where that was asked.
    pub read: Option<bool>,
    /// Whether they may write it, where that was asked.
    pub write: Option<bool>,
}

/// A file of which an address is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedUrl {
    /// Its id.
    pub file_id: String,
    /// For how many seconds it is to be good; `None` where nothing is said.
    pub max_age: Option<u64>,
}

/// A file that is to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedCopy {
    /// The path from.
    pub from: String,
    /// The path to.
    pub to: String,
    /// Whether one that lies there is written over.
    pub overwrite: bool,
    /// Whether the original is removed.
    pub remove_original: bool,
}

/// Why a storage action cannot be read. `Display` is for whoever sent it; the code is `INVALID_PARAM`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StorageRequestError {
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is no text.
    #[error("{0} is not a string")]
    NotText(&'static str),
    /// A field is no list.
    #[error("{0} is not a list")]
    NotAList(&'static str),
    /// An element of a list lacks something, or has it as another type.
    #[error("{list}[{at}] {fault}")]
    Element {
        /// The list's name.
        list: &'static str,
        /// The element's place in it.
        at: usize,
        /// What is wrong with it: "has no src_path".
        fault: &'static str,
    },
    /// Too many files.
    #[error("{0} files in one request, and there may be {MOST_FILES}")]
    TooMany(usize),
}

impl StorageRequestError {
    /// `INVALID_PARAM`, whatever is wrong.
    #[must_use]
    pub fn code(&self) -> i32 {
        codes::INVALID_PARAM
    }
}

impl<'a> StorageRequest<'a> {
    /// Reads what an action asks for.
    ///
    /// # Errors
    /// A field is missing or of another form, or there are too many files.
    pub fn read(action: StorageAction, envelope: &'a Envelope<'a>) -> Result<Self, StorageRequestError> {
        let path = || envelope.text("path").ok_or(StorageRequestError::NotText("path"));
        Ok(match action {
            StorageAction::UploadMetadata => Self::UploadMetadata { path: path()? },
            StorageAction::Upload => Self::Upload {
                path: path()?,
                content: match envelope.get("file") {
                    Some(FieldValue::Bytes(bytes)) => Cow::Borrowed(*bytes),
                    Some(FieldValue::Text(text)) => Cow::Owned(text.as_bytes().to_vec()),
                    _ => return Err(StorageRequestError::Missing("file")),
                },
            },
            StorageAction::DownloadUrls => Self::DownloadUrls(each(envelope, "file_list", |file| {
                let id = file.get("fileid").or_else(|| file.get("fileID")).unwrap_or(file);
                Ok(AskedUrl {
                    file_id: id.as_str().ok_or("has no fileid")?.to_owned(),
                    max_age: file.get("max_age").and_then(seconds),
                })
            })?),
            StorageAction::Delete => {
                let id = |id: &Value| Ok(id.as_str().ok_or("is not a string")?.to_owned());
                Self::Delete(each(envelope, "fileid_list", id)?)
            }
            StorageAction::Copy => Self::Copy(each(envelope, "file_list", |file| {
                let path = |name| file.get(name)?.as_str().map(str::to_owned);
                let is = |name, otherwise| file.get(name).and_then(Value::as_bool).unwrap_or(otherwise);
                Ok(AskedCopy {
                    from: path("src_path").ok_or("has no src_path")?,
                    to: path("dst_path").ok_or("has no dst_path")?,
                    overwrite: is("overwrite", true),
                    remove_original: is("remove_original", false),
                })
            })?),
            StorageAction::Authority => Self::Authority {
                user: envelope
                    .text("openId")
                    .filter(|openid| !openid.is_empty())
                    .or_else(|| envelope.text("uid"))
                    .unwrap_or_default(),
                files: each(envelope, "fileList", |file| {
                    let text = |name| file.get(name).and_then(Value::as_str);
                    let kind = text("type").ok_or("has no type")?;
                    Ok(AskedAuthority {
                        file: text("path").ok_or("has no path")?.to_owned(),
                        read: matches!(kind, "READ" | "READWRITE"),
                        write: matches!(kind, "WRITE" | "READWRITE"),
                    })
                })?,
            },
            StorageAction::CdnPlace => Self::CdnPlace,
        })
    }
}

/// A number of seconds, which programs also give as text and with a fraction.
fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    // What is below zero, or no number, is as good as nothing said; what is above any time is the longest.
    (number >= 0.0).then_some(number as u64)
}

/// The elements of a list.
fn each<T>(
    envelope: &Envelope<'_>,
    name: &'static str,
    read: impl Fn(&Value) -> Result<T, &'static str>,
) -> Result<Vec<T>, StorageRequestError> {
    let list = match envelope.get(name) {
        Some(FieldValue::Json(raw)) => serde_json::from_str(raw).ok(),
        // A form has it as text.
        Some(FieldValue::Text(text)) => serde_json::from_str(text).ok(),
        _ => None,
    };
    let Some(Value::Array(list)) = list else {
        return Err(StorageRequestError::NotAList(name));
    };
    if list.len() > MOST_FILES {
        return Err(StorageRequestError::TooMany(list.len()));
    }
    let read = list.iter().enumerate().map(|(at, element)| {
        read(element).map_err(|fault| StorageRequestError::Element {
            list: name,
            at,
            fault,
        })
    });
    read.collect()
}

/// Where a file is to be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPlace {
    /// The address, which says all by itself what may be sent there. The SDKs send the other fields along, and want all of them.
    pub url: String,
    /// The id that the file will have.
    pub file_id: String,
    /// What the SDKs send along with the file; 4.0.2 does in a header, so it is ASCII.
    pub object_id: String,
    /// The address that the file will have, where whoever sends it may read it; else empty.
    pub download_url: String,
}

/// What came of one file.
pub type OfFile<T> = Result<T, FileFault>;

/// Why one file of several was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The code: `STORAGE_FILE_NONEXIST`.
    pub code: &'static str,
    /// The text.
    pub text: String,
}

/// An address that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeUrl {
    /// The address, which has no `%` in it: the SDKs encode it once more.
    pub url: String,
    /// For how many seconds it is good.
    pub max_age: u64,
}

/// `storage.getUploadMetadata`.
#[must_use]
pub fn upload_place(request_id: &str, place: &UploadPlace) -> SdkReply {
    let mut data = json!({
        "url": place.url,
        "token": "",
        "authorization": "",
        "fileId": place.file_id,
        "cosFileId": place.object_id,
    });
    if !place.download_url.is_empty() {
        data["download_url"] = place.download_url.as_str().into();
    }
    answer(request_id, &data)
}

/// `storage.uploadFile`.
#[must_use]
pub fn uploaded(request_id: &str, file_id: &str) -> SdkReply {
    answer(request_id, &json!({ "fileID": file_id }))
}

/// `storage.batchGetDownloadUrl`: for each id what came of it, in the order in which they were asked for. The names are those
/// of all SDKs together.
#[must_use]
pub fn download_urls(request_id: &str, files: &[(String, OfFile<MadeUrl>)]) -> SdkReply {
    let list = files.iter().map(|(id, made)| match made {
        Ok(made) => json!({
            "fileid": id,
            "fileID": id,
            "code": SUCCESS,
            "tempFileURL": made.url,
            "download_url": made.url,
            "maxAge": made.max_age,
            "max_age": made.max_age,
        }),
        Err(fault) => json!({
            "fileid": id,
            "fileID": id,
            "code": fault.code,
            // 4.0.2 shows nothing else of the cause.
            "message": fault.text,
            "tempFileURL": "",
            "download_url": "",
        }),
    });
    answer(request_id, &json!({ "download_list": list.collect::<Vec<_>>() }))
}

/// `storage.batchDeleteFile`.
#[must_use]
pub fn deleted(request_id: &str, files: &[(String, OfFile<()>)]) -> SdkReply {
    answer(
        request_id,
        &json!({ "delete_list": files.iter().map(of_file).collect::<Vec<_>>() }),
    )
}

/// `storage.batchCopyFile`.
#[must_use]
pub fn copied(request_id: &str, files: &[(String, OfFile<()>)]) -> SdkReply {
    answer(
        request_id,
        &json!({ "copy_list": files.iter().map(of_file).collect::<Vec<_>>() }),
    )
}

/// `storage.getFileAuthority`: its data are the list itself.
#[must_use]
pub fn authorities(request_id: &str, files: &[FileAuthority]) -> SdkReply {
    let list = files.iter().map(|file| {
        let mut told = json!({ "path": file.file, "cosFileId": file.object_id });
        for (name, may) in [("read", file.read), ("write", file.write)] {
            if let Some(may) = may {
                told[name] = may.into();
            }
        }
        told
    });
    answer(request_id, &list.collect())
}

fn of_file((id, done): &(String, OfFile<()>)) -> Value {
    match done {
        Ok(()) => json!({ "fileID": id, "code": SUCCESS }),
        Err(fault) => json!({ "fileID": id, "code": fault.code, "message": fault.text }),
    }
}

fn answer(request_id: &str, data: &Value) -> SdkReply {
    reply::json(
        json!({ "requestId": request_id, "data": data })
            .to_string()
            .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn envelope(fields: &str) -> String {
        format!("{{\"action\":\"storage.x\",{fields}}}")
    }

    fn read(action: StorageAction, fields: &str) -> Result<Vec<String>, StorageRequestError> {
        let body = envelope(fields);
        let envelope = Envelope::parse("application/json", body.as_bytes()).unwrap();
        Ok(match StorageRequest::read(action, &envelope)? {
            StorageRequest::DownloadUrls(files) => files
                .into_iter()
                .map(|file| format!("{} {:?}", file.file_id, file.max_age))
                .collect(),
            StorageRequest::Delete(files) => files,
            StorageRequest::Copy(files) => files.iter().map(|file| format!("{file:?}")).collect(),
            other => vec![format!("{other:?}")],
        })
    }

    #[test]
    fn lists_of_files_are_read_in_every_form() {
        let urls = r#""file_list":[{"fileid":"a"},{"fileid":"b","max_age":60},{"fileid":"c","max_age":"7200.5"},{"fileid":"d","max_age":-1},"e"]"#;
        assert_eq!(
            read(StorageAction::DownloadUrls, urls).unwrap(),
            ["a None", "b Some(60)", "c Some(7200)", "d None", "e None"]
        );
        assert_eq!(
            read(StorageAction::Delete, r#""fileid_list":["a","b"]"#).unwrap(),
            ["a", "b"]
        );
        assert_eq!(
            read(
                StorageAction::Copy,
                r#""file_list":[{"src_path":"a/x","dst_path":"b/x","remove_original":true}]"#
            )
            .unwrap(),
            ["AskedCopy { from: \"a/x\", to: \"b/x\", overwrite: true, remove_original: true }"]
        );
        for (action, fields) in [
            (StorageAction::DownloadUrls, r#""file_list":{}"#),
            (StorageAction::DownloadUrls, r#""file_list":[1]"#),
            (StorageAction::Delete, r#""fileid_list":[{}]"#),
            (StorageAction::Delete, r#""file_list":["a"]"#),
            (StorageAction::UploadMetadata, r#""path":1"#),
            (StorageAction::Upload, r#""path":"a""#),
        ] {
            assert!(read(action, fields).is_err(), "{fields}");
        }
        for (action, fields, text) in [
            (
                StorageAction::DownloadUrls,
                r#""file_list":["a",{}]"#,
                "file_list[1] has no fileid",
            ),
            (
                StorageAction::Delete,
                r#""fileid_list":["a",1]"#,
                "fileid_list[1] is not a string",
            ),
            (
                StorageAction::Copy,
                r#""file_list":[{"src_path":"a"}]"#,
                "file_list[0] has no dst_path",
            ),
        ] {
            assert_eq!(read(action, fields).unwrap_err().to_string(), text);
        }
        let many = format!(r#""fileid_list":[{}]"#, vec!["\"a\""; 51].join(","));
        assert_eq!(
            read(StorageAction::Delete, &many),
            Err(StorageRequestError::TooMany(51))
        );
    }

    #[test]
    fn answers_have_the_names_that_each_sdk_reads() {
        let fault = FileFault {
            code: "STORAGE_FILE_NONEXIST",
            text: "storage file not exists".to_owned(),
        };
        let made = MadeUrl {
            url: "http://h/a".to_owned(),
            max_age: 60,
        };
        let text = |reply: SdkReply| String::from_utf8(reply.body).unwrap();
        assert_eq!(
            text(download_urls(
                "r",
                &[("a".to_owned(), Ok(made)), ("b".to_owned(), Err(fault.clone()))]
            )),
            r#"{"requestId":"r","data":{"download_list":[{"fileid":"a","fileID":"a","code":"SUCCESS","tempFileURL":"http://h/a","download_url":"http://h/a","maxAge":60,"max_age":60},{"fileid":"b","fileID":"b","code":"STORAGE_FILE_NONEXIST","message":"storage file not exists","tempFileURL":"","download_url":""}]}}"#
        );
        assert_eq!(
            text(deleted(
                "r",
                &[("a".to_owned(), Ok(())), ("b".to_owned(), Err(fault))]
            )),
            r#"{"requestId":"r","data":{"delete_list":[{"fileID":"a","code":"SUCCESS"},{"fileID":"b","code":"STORAGE_FILE_NONEXIST","message":"storage file not exists"}]}}"#
        );
    }
}
