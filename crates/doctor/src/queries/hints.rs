//! What is said of queries and collections: the index that would serve, the page that is reached by `skip`, the collection that
//! nothing makes.

use std::collections::BTreeSet;

use docdb::index::toml_key;
use project::{MissingCollection, Project};
use wording::{Wording, wording};

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
                let collection = &query.collection;
                let what = wording!(
                    "it pages through {collection:?} by `skip`: each page reads all that stand before it",
                    "用 `skip` 翻页读取集合 {collection:?}：每一页都要重读前面的全部记录"
                );
                let mend = wording!(
                    "go on behind the last `_id`: where({{ _id: _.gt(last) }}).orderBy('_id', 'asc')",
                    "请从上一页最后的 `_id` 往后读：where({{ _id: _.gt(last) }}).orderBy('_id', 'asc')"
                );
                hints.push(of_function(Diagnosis::new(
                    &query.file,
                    Some(query.line),
                    what,
                    mend,
                )));
            }
            let known = settings.get(&query.collection);
            let served =
                known.is_some_and(|known| known.indexes.iter().any(|index| query.is_served_by(index)));
            let Some(index) = query.wanted().filter(|_| !served) else {
                continue;
            };
            let index = index.to_toml();
            if !told.insert((query.collection.clone(), index.clone())) {
                continue;
            }
            let key = toml_key(&query.collection);
            let collection = &query.collection;
            let what = match query.place {
                Some(_) => wording!(
                    "a query of {collection:?} asks for places, and no index in yunqiao.toml serves it; the platform asks for one",
                    "集合 {collection:?} 有地理位置查询，yunqiao.toml 里没有可用的索引；平台要求有"
                ),
                None => wording!(
                    "a query of {collection:?} filters and sorts, and no index in yunqiao.toml serves it",
                    "集合 {collection:?} 的查询既筛选又排序，yunqiao.toml 里没有可用的索引"
                ),
            };
            let mend = match known {
                Some(known) if !known.indexes.is_empty() => wording!(
                    "add {index} to the indexes of [database.collections.{key}]",
                    "请在 [database.collections.{key}] 的 indexes 里加上 {index}"
                ),
                Some(_) => wording!(
                    "below [database.collections.{key}] write indexes = [{index}]",
                    "请在 [database.collections.{key}] 下写 indexes = [{index}]"
                ),
                None => wording!(
                    "[database.collections.{key}] indexes = [{index}]",
                    "请写 [database.collections.{key}] indexes = [{index}]"
                ),
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
    let is_created = |name: &str| uses.iter().any(|(_, used)| used.creates(name));
    let mut hints = Vec::new();
    let mut told = BTreeSet::new();
    for (function, used) in uses {
        for Mention { name, file, line } in &used.collections {
            if known.contains(name) || is_created(name) || !told.insert(name) {
                continue;
            }
            let near = project::nearest(name, known.iter().map(String::as_str));
            let meant = near.map_or_else(Wording::default, |near| {
                wording!("did you mean {near:?}? Else ", "是不是想写 {near:?}？否则")
            });
            let what = wording!(
                "it uses the collection {name:?}, which nothing makes: `yunqiao serve` answers -502005 until somebody does",
                "代码用到集合 {name:?}，但没有地方创建它：创建之前 `yunqiao serve` 会返回 -502005"
            );
            let key = toml_key(name);
            let mend = wording!(
                "{meant}write [database.collections.{key}] in yunqiao.toml, or `yunqiao db import` documents into it",
                "{meant}请在 yunqiao.toml 里写 [database.collections.{key}]，或用 `yunqiao db import` 导入记录"; meant
            );
            hints.push(Diagnosis {
                function: Some((*function).clone()),
                ..Diagnosis::new(file, Some(*line), what, mend)
            });
        }
    }
    hints
}
