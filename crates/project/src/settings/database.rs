//! `[database]`: where documents are kept, and the indexes of collections, which on the platform are made in the console.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use docdb::index::IndexSpec;
use rules::Permission;
use secrecy::ExposeSecret;
use wording::wording;

use super::{address, permission, read_secret_file, weak_file, weakness};
use crate::{
    Finding, PermissionSource, ProjectError, Secret, reference,
    table::{Entry, Table},
};

/// `watch_memory` where it is not said.
const WATCH_MEMORY: u64 = 128 << 20;
/// The least that it may be: one client has an eighth of it.
const LEAST_WATCH_MEMORY: u64 = 8 << 20;

/// `[database]`.
#[derive(Clone, Debug)]
pub struct DatabaseSection {
    /// The URL of a MongoDB server: `YUNQIAO_MONGODB_URL`, else `url`, else the content of `url_file`. It may hold a password. Without
    /// it documents are kept in a file.
    pub url: Option<Secret>,
    /// `path`: the file; relative to `yunqiao.toml`.
    pub path: Option<PathBuf>,
    /// `missing`.
    pub missing: Option<MissingCollection>,
    /// `seed`: a folder of files `NAME.json` with the documents that a collection has at first; relative to `yunqiao.toml`.
    pub seed: Option<PathBuf>,
    /// `wire`: where MongoDB's shells and drivers reach it; nowhere where it is not said.
    pub wire: Option<SocketAddr>,
    /// The content of `wire_password_file`, what they must prove to know; at least as long as the operator's secret.
    pub wire_password: Option<Secret>,
    /// `watch_memory`: bytes that all watches may have in memory together; by default 128 MB.
    pub watch_memory: u64,
    /// `default_permission`: what clients may do with collections that say nothing of it; by default `PRIVATE`.
    pub default_permission: Permission,
    /// `[database.collections.NAME]`, and what `database.rules.json` and `cloudbaserc.json` say of permissions where that says nothing.
    pub collections: BTreeMap<String, CollectionSetting>,
}

/// `missing`: what a collection gets that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCollection {
    /// It is made, with a note; the default of `dev` and `exec`.
    Create,
    /// The platform's error, -502005; the default of `serve`.
    Refuse,
}

/// `[database.collections.NAME]`: the collection is made at the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectionSetting {
    /// `indexes`.
    pub indexes: Vec<IndexSpec>,
    /// `permission` or `rule`: what clients may do.
    pub permission: Option<Permission>,
    /// The file that says it.
    pub permission_source: Option<PermissionSource>,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            url: None,
            path: None,
            missing: None,
            seed: None,
            wire: None,
            wire_password: None,
            watch_memory: WATCH_MEMORY,
            default_permission: Permission::default(),
            collections: BTreeMap::new(),
        }
    }
}

impl DatabaseSection {
    /// Reads the table; gives also whether the file itself holds a password. Paths in it are relative to `dir`, and `url` is what
    /// the environment gives.
    pub(super) fn read(
        entry: &Entry<'_>,
        dir: &Path,
        url: Option<Secret>,
        findings: &mut Vec<Finding>,
    ) -> Result<(Self, bool), ProjectError> {
        let table = entry.table()?;
        table.allow(&reference::DATABASE)?;
        let (url, holds_secret) = read_url(&table, dir, url, findings)?;
        let path = |key: &str| {
            let text = table.get(key).map(|entry| entry.text()).transpose()?;
            Ok::<_, ProjectError>(text.map(|text| dir.join(text)))
        };
        let mut database = Self {
            url,
            path: path("path")?,
            seed: path("seed")?,
            missing: table
                .get("missing")
                .map(|entry| read_missing(&entry))
                .transpose()?,
            wire: None,
            wire_password: None,
            watch_memory: match table.get("watch_memory") {
                Some(entry) => read_watch_memory(&entry)?,
                None => WATCH_MEMORY,
            },
            default_permission: match table.get("default_permission") {
                Some(entry) => Permission::Level(permission::level(&entry)?),
                None => Permission::default(),
            },
            collections: BTreeMap::new(),
        };
        database.read_wire(&table, dir, findings)?;
        if let Some(entry) = table.get("collections") {
            for (key, entry) in entry.table()?.entries() {
                database
                    .collections
                    .insert(key.text.to_owned(), CollectionSetting::read(&entry.table()?)?);
            }
        }
        Ok((database, holds_secret))
    }

    fn read_wire(
        &mut self,
        table: &Table<'_>,
        dir: &Path,
        findings: &mut Vec<Finding>,
    ) -> Result<(), ProjectError> {
        if let Some(entry) = table.get("wire_password_file") {
            let password = read_secret_file(&entry, dir, findings)?;
            if let Some(weakness) = weakness(&password) {
                return Err(weak_file(&entry, &weakness)?);
            }
            self.wire_password = Some(password);
        }
        let Some(entry) = table.get("wire") else {
            return Ok(());
        };
        let wire = address(&entry, "127.0.0.1:27017")?;
        if self.wire_password.is_none() && !wire.ip().is_loopback() {
            return Err(entry.refuse(
                wording!(
                    "is {wire}, which other machines reach, and there is no wire_password_file: whoever finds the port could read and change all documents",
                    "是 {wire}，别的机器能访问，而没有 wire_password_file：找到这个端口的人可以读写所有记录"
                ),
                wording!(
                    "write \"127.0.0.1:27017\", or `openssl rand -hex 32 > wire.password` and wire_password_file = \"wire.password\"",
                    "请写 \"127.0.0.1:27017\"，或执行 `openssl rand -hex 32 > wire.password` 并写 wire_password_file = \"wire.password\""
                ),
            ));
        }
        self.wire = Some(wire);
        Ok(())
    }
}

/// The URL, and whether it stands in the file with a password.
fn read_url(
    table: &Table<'_>,
    dir: &Path,
    from_environment: Option<Secret>,
    findings: &mut Vec<Finding>,
) -> Result<(Option<Secret>, bool), ProjectError> {
    let (inline, file) = (table.get("url"), table.get("url_file"));
    if let (Some(_), Some(entry)) = (&inline, &file) {
        return Err(entry.stands_beside("database.url"));
    }
    let Some(entry) = inline.as_ref().or(file.as_ref()) else {
        return Ok((from_environment, false));
    };
    if table.get("path").is_some() {
        return Err(entry.refuse(
            wording!("stands beside database.path", "与 database.path 同时出现"),
            wording!(
                "give the URL of a server or the path of a file",
                "服务器的 URL 和文件的路径请只写一个"
            ),
        ));
    }
    let holds_secret = match &inline {
        Some(entry) => entry.text()?.contains('@'),
        None => false,
    };
    if let Some(url) = from_environment {
        return Ok((Some(url), holds_secret));
    }
    let url = match &inline {
        Some(entry) => Secret::from(entry.text()?),
        None => read_secret_file(entry, dir, findings)?,
    };
    let scheme = url.expose_secret().split("://").next().unwrap_or_default();
    if !["mongodb", "mongodb+srv"].contains(&scheme) {
        return Err(entry.refuse(
            wording!("is not the URL of a MongoDB server", "不是 MongoDB 服务器的 URL"),
            wording!(
                "write it as mongodb://USER:PASSWORD@HOST:27017/DATABASE",
                "应写成 mongodb://USER:PASSWORD@HOST:27017/DATABASE"
            ),
        ));
    }
    Ok((Some(url), holds_secret))
}

fn read_missing(entry: &Entry<'_>) -> Result<MissingCollection, ProjectError> {
    match entry.text()? {
        "create" => Ok(MissingCollection::Create),
        "refuse" => Ok(MissingCollection::Refuse),
        _ => Err(entry.is_neither("create", "refuse")),
    }
}

fn read_watch_memory(entry: &Entry<'_>) -> Result<u64, ProjectError> {
    match entry.bytes()? {
        bytes @ ..LEAST_WATCH_MEMORY => Err(entry.refuse(
            wording!(
                "is {bytes} bytes, of which one client has an eighth",
                "是 {bytes} 字节，每个客户端只能用其中的八分之一"
            ),
            wording!(
                "write at least \"8MB\"; without it there are 128 MB",
                "至少写 \"8MB\"；不写则是 128 MB"
            ),
        )),
        bytes => Ok(bytes),
    }
}

impl CollectionSetting {
    fn read(table: &Table<'_>) -> Result<Self, ProjectError> {
        for key in ["seed", "path", "missing", "url"] {
            if let Some(entry) = table.get(key) {
                return Err(entry.refuse(
                    wording!("is not said of one collection", "不能对单个集合设置"),
                    match key {
                        "seed" => wording!(
                            "put the documents into FOLDER/NAME.json, and write seed = \"FOLDER\" below [database]: each file fills the \
                             collection of its name",
                            "把记录放进 FOLDER/NAME.json，并在 [database] 下写 seed = \"FOLDER\"：每个文件填充同名的集合"
                        ),
                        _ => wording!("write it below [database]", "请写在 [database] 下"),
                    },
                ));
            }
        }
        table.allow(&reference::COLLECTION)?;
        let mut indexes = Vec::new();
        if let Some(entry) = table.get("indexes") {
            for entry in
                entry.list("[[\"status\", \"-createTime\"], { fields = [\"phone\"], unique = true }]")?
            {
                if entry.text().is_ok() {
                    return Err(entry.refuse(
                        wording!(
                            "is a field, and stands where a list of fields should",
                            "是一个字段，这里应是字段的列表"
                        ),
                        wording!(
                            "write a list for each index: indexes = [[\"status\"], [\"createTime\"]]",
                            "每个索引写一个列表：indexes = [[\"status\"], [\"createTime\"]]"
                        ),
                    ));
                }
                indexes.push(read_index(&entry)?);
            }
        }
        let permission = permission::of_collection(table)?;
        Ok(Self {
            indexes,
            permission_source: permission.as_ref().map(|_| PermissionSource::Settings),
            permission,
        })
    }
}

/// A list of fields, or a table that has one.
fn read_index(entry: &Entry<'_>) -> Result<IndexSpec, ProjectError> {
    if !entry.is_table() {
        return read_fields(entry, false);
    }
    let table = entry.table()?;
    table.allow(&reference::INDEX)?;
    let Some(fields) = table.get("fields") else {
        return Err(entry.refuse(
            wording!("has no fields", "缺少 fields"),
            wording!(
                "name them: {{ fields = [\"phone\"], unique = true }}",
                "请写明字段：{{ fields = [\"phone\"], unique = true }}"
            ),
        ));
    };
    let sphere = match table.get("kind") {
        None => false,
        Some(kind) => match kind.text()? {
            "2dsphere" => true,
            other => {
                return Err(kind.refuse(
                    wording!("is {other:?}", "是 {other:?}"),
                    wording!(
                        "write kind = \"2dsphere\", or leave it out",
                        "请写 kind = \"2dsphere\"，或不写"
                    ),
                ));
            }
        },
    };
    let flag = |key: &str| {
        let flag = table.get(key).map(|entry| entry.boolean()).transpose()?;
        Ok::<_, ProjectError>(flag.unwrap_or(false))
    };
    Ok(IndexSpec {
        unique: flag("unique")?,
        sparse: flag("sparse")?,
        ..read_fields(&fields, sphere)?
    })
}

fn read_fields(entry: &Entry<'_>, sphere: bool) -> Result<IndexSpec, ProjectError> {
    let fields = entry.texts()?;
    let fields: Vec<&str> = fields.iter().map(Entry::text).collect::<Result<_, _>>()?;
    IndexSpec::of_fields(&fields, sphere).map_err(|bad| {
        let bad = bad.wording();
        entry.refuse(wording!("is no index", "不能作为索引"), bad)
    })
}

#[cfg(test)]
mod tests;
