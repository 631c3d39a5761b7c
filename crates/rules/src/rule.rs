//! Rules as they are written: the keys of a set, and which one judges which operation.

use std::str::FromStr;

use serde_json::Value;

use crate::{
    expression::Part,
    parse::{Language, RuleError, parse},
};

/// What a client wants to do with documents or files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// get, count, aggregate, watch; reading a file.
    Read,
    /// add, and set of what is not there.
    Create,
    /// update, and set of what is there.
    Update,
    /// remove.
    Delete,
}

impl Operation {
    /// The name that it has among the keys of a set of rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One rule: `true`, `false`, or an expression.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The key under which it stands: `read`, or `write` for all that writes.
    pub(crate) key: &'static str,
    pub(crate) text: String,
    /// All of them have to hold.
    pub(crate) parts: Vec<Part>,
}

/// Two rules are equal if they are written alike.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.text == other.text
    }
}

impl Rule {
    /// The key under which it stands: `read`, `write`, `create`, `update`, `delete`; `invoke` of a function.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// The rule as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Compiles `true`, `false` or an expression that stands under `key`.
    pub(crate) fn compile(key: &'static str, value: &Value, language: Language) -> Result<Self, RuleError> {
        let text = match value {
            Value::Bool(known) => known.to_string(),
            Value::String(text) => text.clone(),
            other => {
                return Err(RuleError::NotRules(format!(
                    "{key:?} is {other}: write true, false or an expression in quotes"
                )));
            }
        };
        let parts = parse(&text, language).map_err(|error| error.of(key))?;
        Ok(Self { key, text, parts })
    }

    /// `false`
    pub(crate) fn never(key: &'static str) -> Self {
        Self {
            key,
            text: "false".to_owned(),
            parts: vec![Part::never()],
        }
    }
}

/// The rules of a collection (自定义安全规则): who may read, and who may create, update and delete.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    read: Rule,
    create: Rule,
    update: Rule,
    delete: Rule,
}

impl Rules {
    /// The rule for an operation.
    #[must_use]
    pub const fn rule(&self, operation: Operation) -> &Rule {
        match operation {
            Operation::Read => &self.read,
            Operation::Create => &self.create,
            Operation::Update => &self.update,
            Operation::Delete => &self.delete,
        }
    }

    /// Whether what the rule for an operation says may change with the time alone: it asks for `now`.
    #[must_use]
    pub fn asks_for_time(&self, operation: Operation) -> bool {
        let mut parts = self.rule(operation).parts.iter();
        parts.any(|part| part.expression.asks_for_time())
    }

    /// Compiles rules: an object with `read`, `write`, `create`, `update` and `delete`, each `true`, `false` or an expression. What is
    /// missing of the last three is as `write`; what else is missing is `false`.
    ///
    /// # Errors
    /// What is wrong, where, and what to write instead.
    pub fn compile(rules: &Value) -> Result<Self, RuleError> {
        let compiled = Compiled::read(
            rules,
            &["read", "write", "create", "update", "delete"],
            Language::Database,
        )?;
        Ok(Self {
            read: compiled.rule(&["read"]),
            create: compiled.rule(&["create", "write"]),
            update: compiled.rule(&["update", "write"]),
            delete: compiled.rule(&["delete", "write"]),
        })
    }
}

/// As JSON text.
impl FromStr for Rules {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::compile(&json(text)?)
    }
}

/// The rules of storage: who may read files, and who may upload, overwrite and delete them.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageRules {
    pub(crate) read: Rule,
    pub(crate) write: Rule,
}

impl StorageRules {
    /// Compiles rules: an object with `read` and `write`, each `true`, `false` or an expression; what is missing is `false`.
    ///
    /// # Errors
    /// What is wrong, where, and what to write instead.
    pub fn compile(rules: &Value) -> Result<Self, RuleError> {
        let compiled = Compiled::read(rules, &["read", "write"], Language::Storage)?;
        Ok(Self {
            read: compiled.rule(&["read"]),
            write: compiled.rule(&["write"]),
        })
    }
}

/// As JSON text.
impl FromStr for StorageRules {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::compile(&json(text)?)
    }
}

fn json(text: &str) -> Result<Value, RuleError> {
    serde_json::from_str(text).map_err(|error| RuleError::NotRules(error.to_string()))
}

struct Compiled(Vec<Rule>);

impl Compiled {
    fn read(rules: &Value, keys: &[&'static str], language: Language) -> Result<Self, RuleError> {
        let Value::Object(members) = rules else {
            return Err(RuleError::NotRules(
                "rules are an object such as {\"read\": true, \"write\": \"doc._openid == auth.openid\"}"
                    .to_owned(),
            ));
        };
        let mut compiled = Vec::with_capacity(members.len());
        for (name, value) in members {
            let Some(key) = keys.iter().find(|key| *key == name) else {
                return Err(RuleError::NotRules(format!(
                    "there is no {name:?} among rules: they are {}",
                    keys.join(", ")
                )));
            };
            compiled.push(Rule::compile(key, value, language)?);
        }
        Ok(Self(compiled))
    }

    /// The first of these that is there.
    fn rule(&self, keys: &[&'static str]) -> Rule {
        let found = keys
            .iter()
            .find_map(|key| self.0.iter().find(|rule| rule.key == *key));
        found
            .cloned()
            .unwrap_or_else(|| Rule::never(keys.first().copied().unwrap_or_default()))
    }
}
