//! `/v1/storages/…`: where to send files, addresses, deletion. Content goes by addresses that are given out here.

use serde::Deserialize;
use serde_json::{Value, json};
use tcb::storage::{AskedCopy, AskedUrl, FileFault, MOST_FILES, MadeUrl, OfFile, UploadPlace};

use crate::WebFault;

/// What every path begins with.
pub const STORAGES: &str = "/v1/storages/";

/// What is asked of storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageCall {
    /// Where to send files of these paths.
    Upload(Vec<String>),
    /// Addresses to read files by.
    Download(Vec<AskedUrl>),
    /// To remove files, by their ids.
    Delete(Vec<String>),
    /// To copy or move files, by their paths.
    Copy(Vec<AskedCopy>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Item {
    object_id: Option<String>,
    cloud_object_id: Option<String>,
    max_age: Option<u64>,
    src_path: Option<String>,
    dst_path: Option<String>,
    overwrite: Option<bool>,
    remove_original: Option<bool>,
}

impl StorageCall {
    /// Reads a request by its path, without [`STORAGES`], and its body. What an upload says of its length is not looked at: in a
    /// Mini Program the SDK says another's.
    ///
    /// # Errors
    /// There is no such path, or the body is no list of objects.
    pub fn read(path: &str, body: &[u8]) -> Result<Self, WebFault> {
        if !matches!(
            path,
            "get-objects-upload-info" | "get-objects-download-info" | "delete-objects" | "copy-objects"
        ) {
            return Err(WebFault::new(404, "INVALID_PATH", "no such path of storage"));
        }
        let items: Vec<Item> = serde_json::from_slice(body).map_err(|error| {
            WebFault::malformed(format!("the request body is no list of objects: {error}"))
        })?;
        if items.len() > MOST_FILES {
            let many = items.len();
            return Err(WebFault::malformed(format!(
                "{many} files in one request, and there may be {MOST_FILES}"
            )));
        }
        let missing = |name: &str| WebFault::malformed(format!("an object has no {name}"));
        let ids = |items: Vec<Item>| {
            let ids = items.into_iter().map(|item| item.cloud_object_id);
            ids.collect::<Option<Vec<_>>>()
                .ok_or_else(|| missing("cloudObjectId"))
        };
        Ok(match path {
            "get-objects-upload-info" => {
                let paths = items.into_iter().map(|item| item.object_id);
                let paths: Option<Vec<_>> = paths.collect();
                Self::Upload(paths.ok_or_else(|| missing("objectId"))?)
            }
            "get-objects-download-info" => {
                let ages: Vec<_> = items.iter().map(|item| item.max_age).collect();
                let urls = ids(items)?.into_iter().zip(ages);
                Self::Download(
                    urls.map(|(file_id, max_age)| AskedUrl { file_id, max_age })
                        .collect(),
                )
            }
            "copy-objects" => {
                let copies = items.into_iter().map(|item| {
                    Some(AskedCopy {
                        from: item.src_path?,
                        to: item.dst_path?,
                        overwrite: item.overwrite.unwrap_or(true),
                        remove_original: item.remove_original.unwrap_or(false),
                    })
                });
                let copies: Option<Vec<_>> = copies.collect();
                Self::Copy(copies.ok_or_else(|| missing("srcPath or no dstPath"))?)
            }
            _ => Self::Delete(ids(items)?),
        })
    }
}

/// `get-objects-upload-info`: for each path where to send it, and its address then. Older SDKs (3.3.3) do not look whether it was refused, and
/// send it all the same: those learn it at `refused_url` of the path.
#[must_use]
pub fn upload_info(
    places: &[(String, OfFile<UploadPlace>)],
    refused_url: impl Fn(&str) -> String,
) -> Vec<u8> {
    let places = places.iter().map(|(path, place)| match place {
        Ok(place) => json!({
            "objectId": path,
            "uploadUrl": place.url,
            "authorization": "",
            "token": "",
            "downloadUrl": place.download_url,
            "downloadUrlEncoded": place.download_url,
            "cloudObjectId": place.file_id,
            "cloudObjectMeta": place.object_id,
        }),
        Err(fault) => {
            let mut refused = refused(fault);
            refused["uploadUrl"] = refused_url(path).into();
            refused
        }
    });
    list(places)
}

/// `get-objects-download-info`.
#[must_use]
pub fn download_info(files: &[(String, OfFile<MadeUrl>)]) -> Vec<u8> {
    let files = files.iter().map(|(id, made)| match made {
        Ok(made) => json!({"cloudObjectId": id, "downloadUrl": made.url, "downloadUrlEncoded": made.url}),
        Err(fault) => of_id(id, fault),
    });
    list(files)
}

/// `delete-objects`, and `copy-objects` with the ids of the copies.
#[must_use]
pub fn done(files: &[(String, OfFile<()>)]) -> Vec<u8> {
    let files = files.iter().map(|(id, done)| match done {
        Ok(()) => json!({"cloudObjectId": id}),
        Err(fault) => of_id(id, fault),
    });
    list(files)
}

fn refused(fault: &FileFault) -> Value {
    json!({"code": fault.code, "message": fault.text})
}

fn of_id(id: &str, fault: &FileFault) -> Value {
    let mut refused = refused(fault);
    refused["cloudObjectId"] = id.into();
    refused
}

fn list(items: impl Iterator<Item = Value>) -> Vec<u8> {
    Value::Array(items.collect()).to_string().into_bytes()
}
