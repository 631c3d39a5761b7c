//! `[storage]`: where files are kept, who may read them, and how their addresses look.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rules::StoragePermission;
use wording::{Wording, wording};

use super::{S3_ACCESS_KEY_VARIABLE, S3_SECRET_KEY_VARIABLE, permission, read_secret_file, web_address};
use crate::{Finding, ProjectError, Secret, reference, table::Entry};

/// `[storage]`.
#[derive(Clone, Debug)]
pub struct StorageSection {
    /// `folder`; relative to `yunqiao.toml`.
    pub folder: Option<PathBuf>,
    /// `s3`: the bucket in which they lie instead.
    pub s3: Option<S3Setting>,
    /// `permission` or `rule`: what clients may do; what functions may is everything.
    pub permission: StoragePermission,
    /// `url_life`: how long an address of a file is good for where nobody says; by default 24 hours.
    pub url_life: Duration,
    /// `max_size`: the largest file, in bytes; by default 100 MB.
    pub max_size: u64,
    /// `quota`: what all files may take together, in bytes.
    pub quota: Option<u64>,
    /// `public_url`: how phones and browsers reach the gateway; by default where it listens.
    pub public_url: Option<String>,
    /// `public_url = "s3"`: files are read from the bucket itself.
    pub read_from_s3: bool,
    /// `aliases`: environments whose file ids are taken for this one's; `None` where nothing is said.
    pub aliases: Option<Vec<String>>,
}

/// `s3`: a bucket of an S3-compatible object store.
#[derive(Clone, Debug)]
pub struct S3Setting {
    /// `endpoint`: a web address.
    pub endpoint: String,
    /// `bucket`.
    pub bucket: String,
    /// `region`; `us-east-1` where it is not said, which servers without regions take.
    pub region: String,
    /// `YUNQIAO_S3_ACCESS_KEY`, else the content of `access_key_file`.
    pub access_key: Secret,
    /// `YUNQIAO_S3_SECRET_KEY`, else the content of `secret_key_file`.
    pub secret_key: Secret,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            folder: None,
            s3: None,
            permission: StoragePermission::default(),
            url_life: Duration::from_secs(24 * 60 * 60),
            max_size: 100 << 20,
            quota: None,
            public_url: None,
            read_from_s3: false,
            aliases: None,
        }
    }
}

impl StorageSection {
    /// Reads the table. Paths in it are relative to `dir`, and `s3_keys` are what the environment gives: access key and secret key.
    pub(super) fn read(
        entry: &Entry<'_>,
        dir: &Path,
        s3_keys: (Option<Secret>, Option<Secret>),
        findings: &mut Vec<Finding>,
    ) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&reference::STORAGE)?;
        let mut storage = Self::default();
        if let Some(entry) = table.get("folder") {
            storage.folder = Some(dir.join(entry.text()?));
        }
        if let Some(entry) = table.get("s3") {
            if storage.folder.is_some() {
                return Err(entry.refuse(
                    wording!(
                        "stands beside folder, and files lie in one of them",
                        "与 folder 同时出现，而文件只能存在一处"
                    ),
                    wording!(
                        "leave one of them out; `yunqiao files cp` moves files from one to the other",
                        "请删掉一个；`yunqiao files cp` 可以把文件从一处复制到另一处"
                    ),
                ));
            }
            storage.s3 = Some(S3Setting::read(&entry, dir, s3_keys, findings)?);
        }
        if let Some(permission) = permission::of_storage(&table)? {
            storage.permission = permission;
        }
        if let Some(entry) = table.get("url_life") {
            storage.url_life = entry.duration()?;
        }
        if let Some(entry) = table.get("max_size") {
            storage.max_size = entry.bytes()?;
        }
        if let Some(entry) = table.get("quota") {
            storage.quota = Some(entry.bytes()?);
        }
        if let Some(entry) = table.get("public_url") {
            storage.read_from_s3 = entry.text()? == "s3";
            if !storage.read_from_s3 {
                storage.public_url = Some(web_address(&entry, "https://files.example.com")?);
            } else if storage.s3.is_none() {
                return Err(entry.refuse(
                    wording!(
                        "is \"s3\", and there is no s3 in [storage]",
                        "是 \"s3\"，但 [storage] 里没有 s3"
                    ),
                    wording!(
                        "name the bucket: s3 = {{ endpoint = \"https://…\", bucket = \"…\", … }}",
                        "请写明存储桶：s3 = {{ endpoint = \"https://…\", bucket = \"…\", … }}"
                    ),
                ));
            }
        }
        if let Some(entry) = table.get("aliases") {
            let texts = entry.texts()?;
            let aliases = texts.iter().map(|entry| Ok(entry.text()?.to_owned()));
            storage.aliases = Some(aliases.collect::<Result<_, ProjectError>>()?);
        }
        Ok(storage)
    }
}

impl S3Setting {
    fn read(
        entry: &Entry<'_>,
        dir: &Path,
        (access_key, secret_key): (Option<Secret>, Option<Secret>),
        findings: &mut Vec<Finding>,
    ) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&reference::S3)?;
        let wanted = |key: &str, mend: Wording| {
            table
                .get(key)
                .ok_or_else(|| entry.refuse(wording!("has no {key}", "缺少 {key}"), mend))
        };
        let endpoint = wanted(
            "endpoint",
            wording!(
                "name the server, such as endpoint = \"https://cos.ap-guangzhou.myqcloud.com\"",
                "请写明服务器，例如 endpoint = \"https://cos.ap-guangzhou.myqcloud.com\""
            ),
        )?;
        let bucket = wanted(
            "bucket",
            wording!("name a bucket that is there", "请写已有的存储桶"),
        )?;
        if bucket.text()?.is_empty() || bucket.text()?.contains(['/', '?', '#', ' ']) {
            return Err(bucket.refuse(
                wording!("is not a bucket's name", "不是存储桶名"),
                wording!("write the name alone", "请只写名字"),
            ));
        }
        let mut secret = |key: &str, variable: &str, given: Option<Secret>| match given {
            Some(secret) => Ok(secret),
            None => {
                let mend = wording!(
                    "name a file that holds it, or set {variable}",
                    "请写明存放它的文件，或设置环境变量 {variable}"
                );
                read_secret_file(&wanted(key, mend)?, dir, findings)
            }
        };
        Ok(Self {
            access_key: secret("access_key_file", S3_ACCESS_KEY_VARIABLE, access_key)?,
            secret_key: secret("secret_key_file", S3_SECRET_KEY_VARIABLE, secret_key)?,
            endpoint: web_address(&endpoint, "https://cos.ap-guangzhou.myqcloud.com")?,
            bucket: bucket.text()?.to_owned(),
            region: match table.get("region") {
                Some(region) => region.text()?.to_owned(),
                None => "us-east-1".to_owned(),
            },
        })
    }
}
