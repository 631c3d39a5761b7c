//! `[database]`: where documents are kept, and the indexes of collections, which on the platform are made in the console.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{address, read_secret_file, weakness};
use crate::{
    Finding, ProjectError, Secret,
    table::{Entry, Table},
};

/// `[database]`.
#[derive(Clone, Debug, Default)]
pub struct DatabaseSection {
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
    /// `[database.collections.NAME]`.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionSetting {
    /// `indexes`.
    pub indexes: Vec<IndexSetting>,
}

/// One of `indexes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSetting {
    /// The fields, in their order.
    pub fields: Vec<IndexFieldSetting>,
    /// Whether no two documents may have the same value; one without the field has null.
    pub unique: bool,
    /// Whether it is over places: `kind = "2dsphere"`.
    pub sphere: bool,
}

/// `"createTime"`, or `"-createTime"` from great to small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFieldSetting {
    /// Its path, with dots.
    pub path: String,
    /// From great to small.
    pub descending: bool,
}

impl DatabaseSection {
    /// Reads the table. Paths in it are relative to `dir`.
    pub(super) fn read(
        entry: &Entry<'_>,
        dir: &Path,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&[
            "path",
            "missing",
            "seed",
            "wire",
            "wire_password_file",
            "collections",
        ])?;
        let path = |key: &str| {
            let text = table.get(key).map(|entry| entry.text()).transpose()?;
            Ok::<_, ProjectError>(text.map(|text| dir.join(text)))
        };
        let mut database = Self {
            path: path("path")?,
            seed: path("seed")?,
            missing: table
                .get("missing")
                .map(|entry| read_missing(&entry))
                .transpose()?,
            wire: None,
            wire_password: None,
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
        Ok(database)
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
                let name = entry.text()?;
                return Err(entry.refuse(
                    &format!("names a file whose text {weakness}"),
                    &format!("make one with `openssl rand -hex 32 > {name}`"),
                ));
            }
            self.wire_password = Some(password);
        }
        let Some(entry) = table.get("wire") else {
            return Ok(());
        };
        let wire = address(&entry, "127.0.0.1:27017")?;
        if self.wire_password.is_none() && !wire.ip().is_loopback() {
            return Err(entry.refuse(
                &format!("is {wire}, which other machines reach, and there is no wire_password_file: whoever finds the port could read and change all documents"),
                "write \"127.0.0.1:27017\", or `openssl rand -hex 32 > wire.password` and wire_password_file = \"wire.password\"",
            ));
        }
        self.wire = Some(wire);
        Ok(())
    }
}

fn read_missing(entry: &Entry<'_>) -> Result<MissingCollection, ProjectError> {
    match entry.text()? {
        "create" => Ok(MissingCollection::Create),
        "refuse" => Ok(MissingCollection::Refuse),
        other => Err(entry.refuse(&format!("is {other:?}"), "write \"create\" or \"refuse\"")),
    }
}

impl CollectionSetting {
    fn read(table: &Table<'_>) -> Result<Self, ProjectError> {
        table.allow(&["indexes"])?;
        let mut indexes = Vec::new();
        if let Some(entry) = table.get("indexes") {
            for entry in
                entry.list("[[\"status\", \"-createTime\"], { fields = [\"phone\"], unique = true }]")?
            {
                indexes.push(IndexSetting::read(&entry)?);
            }
        }
        Ok(Self { indexes })
    }
}

impl IndexSetting {
    /// A list of fields, or a table that has one.
    fn read(entry: &Entry<'_>) -> Result<Self, ProjectError> {
        if !entry.is_table() {
            return Ok(Self {
                fields: read_fields(entry)?,
                unique: false,
                sphere: false,
            });
        }
        let table = entry.table()?;
        table.allow(&["fields", "unique", "kind"])?;
        let Some(fields) = table.get("fields") else {
            return Err(entry.refuse(
                "has no fields",
                "name them: { fields = [\"phone\"], unique = true }",
            ));
        };
        let sphere = match table.get("kind") {
            None => false,
            Some(kind) => match kind.text()? {
                "2dsphere" => true,
                other => {
                    return Err(kind.refuse(
                        &format!("is {other:?}"),
                        "write kind = \"2dsphere\", or leave it out",
                    ));
                }
            },
        };
        Ok(Self {
            fields: read_fields(&fields)?,
            unique: table
                .get("unique")
                .map(|entry| entry.boolean())
                .transpose()?
                .unwrap_or(false),
            sphere,
        })
    }
}

fn read_fields(entry: &Entry<'_>) -> Result<Vec<IndexFieldSetting>, ProjectError> {
    let fields: Vec<IndexFieldSetting> = entry
        .texts()?
        .iter()
        .map(|field| {
            let text = field.text()?;
            let path = text.strip_prefix('-').unwrap_or(text);
            if path.is_empty() || path.starts_with('$') || path.split('.').any(str::is_empty) {
                return Err(field.refuse(
                    &format!("has {text:?}, which is no field"),
                    "name fields such as \"createTime\" or \"-address.city\"",
                ));
            }
            Ok(IndexFieldSetting {
                path: path.to_owned(),
                descending: text.starts_with('-'),
            })
        })
        .collect::<Result<_, _>>()?;
    if fields.is_empty() {
        return Err(entry.refuse("names no field", "name at least one: [\"createTime\"]"));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests;
