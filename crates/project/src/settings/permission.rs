//! What clients may do: a level by its name, or rules.

use rules::{InvokeRule, Level, Permission, Rules, StoragePermission, StorageRules};
use serde_json::{Map, Value};
use wording::wording;

use crate::{
    ProjectError,
    table::{Entry, Table},
};

/// `permission` or `rule` of a collection.
pub(super) fn of_collection(table: &Table<'_>) -> Result<Option<Permission>, ProjectError> {
    Ok(match one_of(table)? {
        None => None,
        Some(Said::Level(level)) => Some(Permission::Level(level)),
        Some(Said::Rules(entry, rules)) => {
            let rules = Rules::compile(&rules).map_err(|error| not_rules(&entry, &error, OF_DOCUMENTS))?;
            Some(Permission::Rules(Box::new(rules)))
        }
    })
}

/// `permission` or `rule` of storage.
pub(super) fn of_storage(table: &Table<'_>) -> Result<Option<StoragePermission>, ProjectError> {
    Ok(match one_of(table)? {
        None => None,
        Some(Said::Level(level)) => Some(StoragePermission::Level(level)),
        Some(Said::Rules(entry, rules)) => {
            let rules = StorageRules::compile(&rules).map_err(|error| not_rules(&entry, &error, OF_FILES))?;
            Some(StoragePermission::Rules(Box::new(rules)))
        }
    })
}

/// `invoke` of a function.
pub(super) fn of_function(table: &Table<'_>) -> Result<Option<InvokeRule>, ProjectError> {
    let Some(entry) = table.get("invoke") else {
        return Ok(None);
    };
    let rule = InvokeRule::compile(&rule(&entry)?);
    let rule = rule.map_err(|error| {
        entry.refuse(
            wording!("cannot be used: {error}", "不可用：{error}"),
            wording!(
                "write invoke = true, false or \"auth != null\"",
                "请写 invoke = true、false 或 \"auth != null\""
            ),
        )
    });
    rule.map(Some)
}

/// The name of a level.
pub(super) fn level(entry: &Entry<'_>) -> Result<Level, ProjectError> {
    let text = entry.text()?;
    Level::of(text).ok_or_else(|| {
        entry.refuse(
            wording!("is {text:?}", "是 {text:?}"),
            wording!(
                "write \"READONLY\", \"PRIVATE\", \"ADMINWRITE\" or \"ADMINONLY\"",
                "请写 \"READONLY\"、\"PRIVATE\"、\"ADMINWRITE\" 或 \"ADMINONLY\""
            ),
        )
    })
}

enum Said<'a> {
    Level(Level),
    Rules(Entry<'a>, Value),
}

fn one_of<'a>(table: &Table<'a>) -> Result<Option<Said<'a>>, ProjectError> {
    match (table.get("permission"), table.get("rule")) {
        (None, None) => Ok(None),
        (Some(entry), None) => Ok(Some(Said::Level(level(&entry)?))),
        (None, Some(entry)) => {
            let mut rules = Map::new();
            for (key, value) in entry.table()?.entries() {
                rules.insert(key.text.to_owned(), rule(&value)?);
            }
            Ok(Some(Said::Rules(entry, Value::Object(rules))))
        }
        (Some(_), Some(entry)) => Err(entry.stands_beside("permission")),
    }
}

/// `true`, `false` or an expression.
fn rule(entry: &Entry<'_>) -> Result<Value, ProjectError> {
    Ok(match entry.boolean() {
        Ok(known) => Value::Bool(known),
        Err(_) => Value::String(entry.text()?.to_owned()),
    })
}

/// Rules as they can be written.
const OF_DOCUMENTS: &str =
    "rule = { read = \"doc.published == true\", write = \"doc._openid == auth.openid\" }";
const OF_FILES: &str =
    "rule = { read = \"/^public/.test(resource.path) == true\", write = \"resource.openid == auth.openid\" }";

fn not_rules(entry: &Entry<'_>, error: &rules::RuleError, example: &str) -> ProjectError {
    entry.refuse(
        wording!("cannot be used: {error}", "不可用：{error}"),
        wording!("write it as {example}", "应写成 {example}"),
    )
}
