//! What is said of queries and collections: the index that would serve, the page that is reached by `skip`, the collection that
//! nothing makes.

use std::collections::BTreeSet;

use project::{MissingCollection, Project};

use super::DatabaseUse;
use crate::{Diagnosis, source::Mention};

/// Says what the functions' use of the database gives cause to say; `uses` are theirs, in order.
pub(crate) fn examine(project: &Project, uses: &[(&function::FunctionName, DatabaseUse)]) -> Vec<Diagnosis> {
    let mut hints = missing_collections(project, uses);
    let settings = &project.settings.database.collections;
    let mut told = BTreeSet::new();
    for (function, used) in uses {
        for query in &used.queries {
            let of_function = |hint| Diagnosis {
                function: Some((*function).clone()),
                ..hint
            };
            if query.skips_far {
                let what = format!(
                    "it pages through {:?} by `skip`: each page reads all that stand before it",
                    query.collection
                );
                let mend = "go on behind the last `_id`: where({ _id: _.gt(last) }).orderBy('_id', 'asc')";
                hints.push(of_function(Diagnosis::new(
                    &query.file,
                    Some(query.line),
                    what,
                    mend.to_owned(),
                )));
            }
            let known = settings.get(&query.collection);
            let served =
                known.is_some_and(|known| known.indexes.iter().any(|index| query.is_served_by(index)));
            let Some(index) = query.wanted().filter(|_| !served) else {
                continue;
            };
            if !told.insert((query.collection.clone(), index.clone())) {
                continue;
            }
            let key = toml_key(&query.collection);
            let what = match query.place {
                Some(_) => format!(
                    "a query of {:?} asks for places, and no index in yunqiao.toml serves it; the platform asks for one",
                    query.collection
                ),
                None => format!(
                    "a query of {:?} filters and sorts, and no index in yunqiao.toml serves it",
                    query.collection
                ),
            };
            let mend = match known {
                Some(known) if !known.indexes.is_empty() => {
                    format!("add {index} to the indexes of [database.collections.{key}]")
                }
                Some(_) => format!("below [database.collections.{key}] write indexes = [{index}]"),
                None => format!("[database.collections.{key}] indexes = [{index}]"),
            };
            hints.push(of_function(Diagnosis::new(
                &query.file,
                Some(query.line),
                what,
                mend,
            )));
        }
    }
    hints
}

/// Collections that nothing makes, where one that is missing is refused.
fn missing_collections(project: &Project, uses: &[(&function::FunctionName, DatabaseUse)]) -> Vec<Diagnosis> {
    let settings = &project.settings.database;
    // Where the project says nothing, `serve` refuses; a project with an AppSecret is meant for `serve`.
    let refuses = match settings.missing {
        Some(missing) => missing == MissingCollection::Refuse,
        None => project.settings.secret.is_some(),
    };
    if !refuses {
        return Vec::new();
    }
    let mut known: BTreeSet<String> = settings.collections.keys().cloned().collect();
    let seeds = settings.seed.as_ref().and_then(|folder| folder.read_dir().ok());
    for entry in seeds.into_iter().flatten().flatten() {
        let stem = entry
            .path()
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        known.extend(stem);
    }
    known.extend(uses.iter().flat_map(|(_, used)| used.created.iter().cloned()));
    let mut hints = Vec::new();
    let mut told = BTreeSet::new();
    for (function, used) in uses {
        for Mention { name, file, line } in &used.collections {
            if known.contains(name) || !told.insert(name) {
                continue;
            }
            let near = project::nearest(name, known.iter().map(String::as_str));
            let meant = near.map_or_else(String::new, |near| format!("did you mean {near:?}? Else "));
            let what = format!(
                "it uses the collection {name:?}, which nothing makes: `yunqiao serve` answers -502005 until somebody does"
            );
            let mend = format!(
                "{meant}write [database.collections.{}] in yunqiao.toml, or `yunqiao db import` documents into it",
                toml_key(name)
            );
            hints.push(Diagnosis {
                function: Some((*function).clone()),
                ..Diagnosis::new(file, Some(*line), what, mend)
            });
        }
    }
    hints
}

/// A text of TOML.
pub(super) fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name in the head of a table of TOML.
fn toml_key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match name.bytes().all(bare) {
        true => name.to_owned(),
        false => toml_text(name),
    }
}
