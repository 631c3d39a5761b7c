//! Who may read a collection, which WeChat's console keeps and most repositories do not. Where no file says it, clients read their own
//! documents alone, and a page that shows everybody's stays empty. Whether it is meant so cannot be told from the page: what is found
//! here is told, and the line that opens a collection is written where somebody asks for it, never by the way.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use docdb::index::toml_key;
use project::{Project, files};
use rules::{Level, Permission};
use toml_edit::{DocumentMut, InlineTable, Item, TableLike, value};
use wording::{Wording, shell_words, wording};

use crate::{CureError, Diagnosis, cure, pages, queries::DatabaseUse, tokens::tokens};

const SCRIPTS: [&str; 3] = ["js", "mjs", "ts"];

/// A collection that pages read without asking for the caller's own documents, and of which no file says who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnwrittenPermission {
    /// The collection.
    pub collection: String,
    /// The script that reads it, the first of them.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// The collections whose permission is not written down though pages read them, by name. The pages' scripts are read anew.
#[must_use]
pub fn unwritten_permissions(project: &Project) -> Vec<UnwrittenPermission> {
    let settings = &project.settings.database;
    if settings.default_permission != Permission::default() {
        return Vec::new();
    }
    let mut used = DatabaseUse::default();
    for path in pages::files(project, |ending| SCRIPTS.contains(&ending)) {
        if let Some(text) = pages::read(&path) {
            used.scan(&path, &tokens(&text));
        }
    }
    let mut found = BTreeMap::new();
    for read in used.shared_reads {
        let known = settings.collections.get(&read.name);
        if known.is_none_or(|known| known.permission.is_none()) {
            found.entry(read.name).or_insert((read.file, read.line));
        }
    }
    found
        .into_iter()
        .map(|(collection, (file, line))| UnwrittenPermission {
            collection,
            file,
            line,
        })
        .collect()
}

/// Says it as hints.
pub(crate) fn examine(project: &Project) -> Vec<Diagnosis> {
    let unwritten = unwritten_permissions(project).into_iter();
    unwritten
        .map(|unwritten| {
            let collection = &unwritten.collection;
            let what = wording!(
                "a page reads {collection:?}, and no file says who may: clients read their own documents alone",
                "页面读取集合 {collection:?}，但没有文件写明权限：小程序端只能读自己的记录"
            );
            let mend = mend(&[collection.as_str()], "");
            Diagnosis::new(&unwritten.file, Some(unwritten.line), what, mend)
        })
        .collect()
}

/// What to type, `more` being further options of the command.
#[must_use]
pub fn mend(collections: &[&str], more: &str) -> Wording {
    let names = shell_words(collections);
    wording!(
        "if WeChat's console lets everybody read (所有用户可读): `yunqiao db permission --set READONLY{more} {names}`; \
         if not, PRIVATE in its place",
        "如果云开发控制台里是“所有用户可读，仅创建者可写”，请执行 `yunqiao db permission --set READONLY{more} {names}`；否则把 READONLY 换成 PRIVATE"
    )
}

/// Writes into `file`, a `yunqiao.toml` that is made if it is not there, that clients may do with these collections what `level` lets
/// them. The rest of the file stays as its author wrote it.
///
/// # Errors
/// The file cannot be read or written, or is no TOML, or gives one of the collections a rule, which is not taken away.
pub fn write_permission(file: &Path, collections: &[String], level: Level) -> Result<(), CureError> {
    let failed = |cause| CureError::File {
        path: file.to_owned(),
        cause,
    };
    let changed = |what: Wording| CureError::Changed {
        path: file.to_owned(),
        what,
    };
    let before = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    let mark = cure::byte_order_mark(&before);
    let mut text = files::text(&before)
        .map_err(|fault| changed(fault.what))?
        .to_owned();
    for collection in collections {
        text = with_permission(&text, collection, level).map_err(changed)?;
    }
    cure::replace(file, format!("{mark}{text}").as_bytes()).map_err(failed)
}

fn with_permission(text: &str, collection: &str, level: Level) -> Result<String, Wording> {
    let mut document = text.parse::<DocumentMut>().map_err(Wording::as_is)?;
    let (key, level) = (toml_key(collection), level.name());
    let end = match text.contains("\r\n") {
        true => "\r\n",
        false => "\n",
    };
    let gap = match text {
        "" => String::new(),
        text if text.ends_with('\n') => end.to_owned(),
        _ => end.repeat(2),
    };
    // At the end no comment comes to stand below another table than its own.
    let appended = format!("{text}{gap}[database.collections.{key}]{end}permission = \"{level}\"{end}");
    if appended.parse::<DocumentMut>().is_ok() {
        return Ok(appended);
    }
    // The file has the table, or one above it in one line.
    let mut table: &mut dyn TableLike = document.as_table_mut();
    let mut is_inline = false;
    for name in ["database", "collections", collection] {
        let new = match is_inline {
            true => value(InlineTable::new()),
            false => toml_edit::table(),
        };
        let item = table.entry(name).or_insert(new);
        is_inline = item.is_inline_table();
        table = item
            .as_table_like_mut()
            .ok_or_else(|| wording!("{name:?} is no table", "{name:?} 不是表"))?;
    }
    if table.contains_key("rule") {
        return Err(wording!(
            "{collection:?} has a `rule` there",
            "其中 {collection:?} 已有 `rule`"
        ));
    }
    match table.get_mut("permission").and_then(Item::as_value_mut) {
        // With what stands around it, such as a comment.
        Some(before) => {
            let around = before.decor().clone();
            *before = level.into();
            *before.decor_mut() = around;
        }
        None => {
            table.insert("permission", value(level));
        }
    }
    // There, lines end with a line feed alone.
    Ok(document.to_string().replace("\r\n", "\n").replace('\n', end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_permission_is_written_and_all_else_stays() {
        for (before, after) in [
            ("", "[database.collections.posts]\npermission = \"READONLY\"\n"),
            (
                "# name = \"x\"",
                "# name = \"x\"\n\n[database.collections.posts]\npermission = \"READONLY\"\n",
            ),
            (
                "[web]\r\n# port\r\n",
                "[web]\r\n# port\r\n\r\n[database.collections.posts]\r\npermission = \"READONLY\"\r\n",
            ),
            (
                "[database.collections.posts] # theirs\nindexes = [[\"a\"]] # one\n# none\n[web]\n",
                "[database.collections.posts] # theirs\nindexes = [[\"a\"]] # one\npermission = \"READONLY\"\n# none\n[web]\n",
            ),
            (
                "[database.collections.posts]\npermission = \"PRIVATE\" # as in the console\n",
                "[database.collections.posts]\npermission = \"READONLY\" # as in the console\n",
            ),
        ] {
            let written = with_permission(before, "posts", Level::ReadOnly).unwrap();
            assert_eq!(written, after);
            // Once more, and nothing changes.
            assert_eq!(
                with_permission(&written, "posts", Level::ReadOnly).unwrap(),
                after
            );
        }
        // Where the table stands in one line, so does what is written.
        for before in [
            "[database]\ncollections = { posts = { } }\n",
            "[database]\ncollections = { a = { permission = \"PRIVATE\" } }\n",
            "[database]\ncollections.posts.indexes = []\n",
            "database = { collections = { posts = { permission = \"PRIVATE\" } } }\n",
        ] {
            let written = with_permission(before, "posts", Level::ReadOnly).unwrap();
            let document = written.parse::<DocumentMut>().unwrap();
            let permission = &document["database"]["collections"]["posts"]["permission"];
            assert_eq!(permission.as_str(), Some("READONLY"), "{written}");
        }
        let written = with_permission("", "a \"b", Level::Private).unwrap();
        assert_eq!(
            written,
            "[database.collections.\"a \\\"b\"]\npermission = \"PRIVATE\"\n"
        );
    }

    #[test]
    fn a_rule_is_not_taken_away() {
        let ruled = "[database.collections.posts]\nrule = { read = true }\n";
        let refused = with_permission(ruled, "posts", Level::ReadOnly).unwrap_err();
        assert!(refused.en.contains("has a `rule`"), "{refused:?}");
        with_permission("[database]\ncollections = 1\n", "posts", Level::ReadOnly).unwrap_err();
        with_permission("[database", "posts", Level::ReadOnly).unwrap_err();
    }
}
