//! The reference as a JSON Schema (draft-07), by which an editor completes and checks `yunqiao.toml` while it is written. It refuses nothing
//! that the reader takes, but for a word with blanks around it; what only the reader can judge, such as a file that is not there, it lets
//! through.

use serde_json::{Map, Value, json};
use wording::Wording;

use super::{Absent, Key, Kind, Section, TOP};

/// The schema, with its texts as `of` has them.
#[must_use]
pub fn schema(of: impl Fn(&Wording) -> String) -> Value {
    let mut schema = object(&TOP, &of);
    let mut whole = Map::new();
    whole.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    whole.insert("title".to_owned(), json!("yunqiao.toml"));
    if let Some(rest) = schema.as_object_mut() {
        whole.append(rest);
    }
    Value::Object(whole)
}

fn object(section: &Section, of: &impl Fn(&Wording) -> String) -> Value {
    let properties: Map<_, _> = section
        .keys
        .iter()
        .map(|key| (key.name.to_owned(), property(section, key, of)))
        .collect();
    let others = match &section.others {
        None => json!(false),
        Some((_, kind)) => value(kind, of),
    };
    let required: Vec<_> = section
        .keys
        .iter()
        .filter(|key| matches!(key.absent, Absent::Refused))
        .map(|key| key.name)
        .collect();
    let excluded: Vec<_> = section
        .keys
        .iter()
        .flat_map(|key| {
            let pair = move |other| json!({"not": {"required": [key.name, other]}});
            key.excludes.iter().map(pair)
        })
        .collect();
    let mut object = json!({
        "description": of(&(section.says)()),
        "type": "object",
        "properties": properties,
        "additionalProperties": others,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    if !excluded.is_empty() {
        object["allOf"] = json!(excluded);
    }
    object
}

fn property(section: &Section, key: &Key, of: &impl Fn(&Wording) -> String) -> Value {
    let mut property = value(&key.kind, of);
    let says = of(&(key.says)()) + &section.not_beside(key).map_or_else(String::new, |said| of(&said));
    property["description"] = json!(says);
    if let Absent::Value(default) | Absent::Usual(default) = key.absent
        && let Some(default) = of_toml(default)
    {
        property["default"] = default;
    }
    if let Some(example) = of_toml(key.example) {
        property["examples"] = json!([example]);
    }
    property
}

fn value(kind: &Kind, of: &impl Fn(&Wording) -> String) -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    match kind {
        Kind::Text | Kind::Path => text("\\S"),
        Kind::AnyText => json!({"type": "string"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::False => json!({"enum": [false]}),
        Kind::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Numbers(numbers) => json!({"enum": numbers}),
        Kind::Duration { least, most } => json!({"anyOf": [
            text(r"^\s*0*[1-9][0-9]*\s*[smhd]?\s*$"),
            {"type": "integer", "minimum": least, "maximum": most},
        ]}),
        Kind::Size => json!({"anyOf": [
            text(r"^\s*0*[1-9][0-9]*\s*([kKmMgGtT]?[bB])?\s*$"),
            {"type": "integer", "minimum": 1},
        ]}),
        Kind::Address => text(r":[0-9]{1,5}\s*$"),
        Kind::WebAddress => text(r"^\s*https?://[^/]"),
        Kind::Words(words) => json!({"enum": words}),
        Kind::WordsOfAnyCase(words) => {
            let any_case = |word: &str| {
                let letters = word
                    .chars()
                    .map(|c| format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()));
                letters.collect::<String>()
            };
            let all: Vec<_> = words.iter().map(|word| any_case(word)).collect();
            // The first completes, the second lets through what the reader takes.
            json!({"anyOf": [{"enum": words}, text(&format!("^({})$", all.join("|")))]})
        }
        Kind::Rule => json!({"anyOf": [{"type": "boolean"}, text("\\S")]}),
        Kind::List(kind) => json!({"type": "array", "items": value(kind, of)}),
        Kind::Either(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| value(kind, of)).collect();
            json!({"anyOf": kinds})
        }
        Kind::Table(section) => object(section, of),
        Kind::Tables(section) => json!({"type": "array", "items": object(section, of)}),
        Kind::Map { of: kind, .. } => json!({"type": "object", "additionalProperties": value(kind, of)}),
    }
}

/// A value of the table, as JSON has it.
fn of_toml(text: &str) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}
