//! A function's timers: `triggers` of its `config.json` (WeChat's document "定时触发器"). A malformed trigger does not fire,
//! and is reported with its line when the project is read; the others fire.

use jsonc_parser::{
    ParseOptions,
    ast::{Object, Value},
    common::Ranged,
};
use wording::{Wording, wording};

use crate::{
    Cron,
    files::{self, FileFault},
};

/// The longest name of a trigger.
const NAME_LENGTH: usize = 60;

/// A timer of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Its name, which the function is told as `TriggerName`: letters, digits, `-` and `_`, at most 60.
    pub name: String,
    /// When it fires.
    pub cron: Cron,
}

/// What `triggers` lists.
#[derive(Debug, Default)]
pub struct Triggers {
    /// Whether the member `triggers` is there at all.
    pub is_given: bool,
    /// Those that fire.
    pub triggers: Vec<Trigger>,
    /// What is not as the document lays down, and therefore without effect.
    pub faults: Vec<FileFault>,
    /// Where the second one stands, if there is one: WeChat takes one only.
    pub second: Option<FileFault>,
}

impl Triggers {
    /// Reads the bytes of a `config.json`. One that cannot be read lists none; its
    /// [`Permissions`](crate::permissions::Permissions) say why.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut triggers = Self::default();
        let Ok(text) = files::text(bytes) else {
            return triggers;
        };
        let read = jsonc_parser::parse_to_ast(text, &Default::default(), &ParseOptions::default());
        if let Ok(Some(Value::Object(root))) = read.as_ref().map(|read| &read.value) {
            triggers.read(text, root);
        }
        triggers
    }

    fn read(&mut self, text: &str, root: &Object<'_>) {
        let Some(list) = member(root, "triggers") else {
            return;
        };
        self.is_given = true;
        let Value::Array(list) = list else {
            self.faults.push(fault(
                text,
                list,
                wording!("`triggers` is no array", "`triggers` 不是数组"),
                wording!(
                    "write it as [{{\"name\": \"…\", \"type\": \"timer\", \"config\": \"0 0 2 1 * * *\"}}]",
                    "应写成 [{{\"name\": \"…\", \"type\": \"timer\", \"config\": \"0 0 2 1 * * *\"}}]"
                ),
            ));
            return;
        };
        for trigger in &list.elements {
            if let Err(fault) = self.trigger(text, trigger) {
                self.faults.push(fault);
            }
        }
        if let Some(second) = list.elements.get(1) {
            self.second = Some(fault(
                text,
                second,
                wording!(
                    "a second trigger, where WeChat takes one for each function",
                    "这是第二个触发器，而微信只允许每个云函数有一个"
                ),
                wording!(
                    "here all of them fire; for WeChat, give each a function of its own",
                    "在这里都会触发；要在微信上运行，请给每个触发器单独建一个云函数"
                ),
            ));
        }
    }

    fn trigger(&mut self, text: &str, trigger: &Value<'_>) -> Result<(), FileFault> {
        let Value::Object(object) = trigger else {
            return Err(fault(
                text,
                trigger,
                wording!("a trigger is no object", "触发器不是对象"),
                wording!(
                    "write it as {{\"name\": \"…\", \"type\": \"timer\", \"config\": \"0 0 2 1 * * *\"}}",
                    "应写成 {{\"name\": \"…\", \"type\": \"timer\", \"config\": \"0 0 2 1 * * *\"}}"
                ),
            ));
        };
        let field = |name: &str, mend: Wording| match member(object, name) {
            Some(value @ Value::StringLit(literal)) => Ok((value, literal.value.as_ref())),
            Some(value) => Err(fault(
                text,
                value,
                wording!("a trigger's `{name}` is no text", "触发器的 `{name}` 不是字符串"),
                mend,
            )),
            None => Err(fault(
                text,
                trigger,
                wording!("a trigger has no `{name}`", "触发器缺少 `{name}`"),
                mend,
            )),
        };
        let (at, kind) = field(
            "type",
            wording!("write \"type\": \"timer\"", "请写上 \"type\": \"timer\""),
        )?;
        if kind != "timer" {
            return Err(fault(
                text,
                at,
                wording!(
                    "a trigger of the type {kind:?}, which does not exist",
                    "触发器类型 {kind:?} 不存在"
                ),
                wording!("write \"timer\": there is no other", "只能写 \"timer\""),
            ));
        }
        let (at, name) = field(
            "name",
            wording!(
                "give it a name, such as \"name\": \"daily\"",
                "请给它起个名字，例如 \"name\": \"daily\""
            ),
        )?;
        if !is_name(name) {
            return Err(fault(
                text,
                at,
                wording!("{name:?} is no name of a trigger", "{name:?} 不能用作触发器名"),
                wording!(
                    "use letters, digits, `-` and `_`, beginning with a letter, at most 60",
                    "以字母开头，只含字母、数字、`-` 和 `_`，最多 60 个字符"
                ),
            ));
        }
        if self.triggers.iter().any(|trigger| trigger.name == name) {
            return Err(fault(
                text,
                at,
                wording!(
                    "the trigger {name:?} is there twice: the first one counts",
                    "有两个触发器都叫 {name:?}，以第一个为准"
                ),
                wording!("give it a name of its own", "请换一个名字"),
            ));
        }
        let (at, config) = field(
            "config",
            wording!(
                "say when it fires, such as \"config\": \"0 0 2 1 * * *\"",
                "请写明触发时间，例如 \"config\": \"0 0 2 1 * * *\""
            ),
        )?;
        let cron = Cron::parse(config).map_err(|bad| {
            let why = &bad.what;
            let what = wording!(
                "the trigger {name:?} never fires: {config:?} is no cron expression: {why}",
                "触发器 {name:?} 不会触发：{config:?} 不是有效的 Cron 表达式：{why}"; why
            );
            fault(text, at, what, bad.mend)
        })?;
        self.triggers.push(Trigger {
            name: name.to_owned(),
            cron,
        });
        Ok(())
    }
}

fn fault(text: &str, at: &impl Ranged, what: Wording, mend: Wording) -> FileFault {
    let (line, column) = files::position(text.as_bytes(), at.start());
    FileFault {
        line,
        column,
        what,
        mend,
    }
}

/// The last member of this name, which is the one that counts.
fn member<'a, 't>(object: &'a Object<'t>, name: &str) -> Option<&'a Value<'t>> {
    let mut members = object.properties.iter().rev();
    Some(&members.find(|member| member.name.as_str() == name)?.value)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.len() <= NAME_LENGTH
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_documents_example_is_read() {
        let read = Triggers::parse(
            br#"{"triggers": [{"name": "myTrigger", "type": "timer", "config": "0 0 2 1 * * *"}]}"#,
        );
        let expected = Trigger {
            name: "myTrigger".to_owned(),
            cron: Cron::parse("0 0 2 1 * * *").unwrap(),
        };
        assert_eq!(read.triggers, [expected]);
        assert_eq!((read.faults, read.second), (vec![], None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_the_rest_fires() {
        let text = r#"{
  "triggers": [
    1,
    {"type": "timer", "config": "0 0 2 1 * * *"},
    {"name": "1st", "type": "timer", "config": "0 0 2 1 * * *"},
    {"name": "good", "type": "timer", "config": "0 0 2 1 * * *"},
    {"name": "good", "type": "timer", "config": "0 0 3 1 * * *"},
    {"name": "db", "type": "database", "config": "0 0 2 1 * * *"},
    {"name": "untyped", "config": "0 0 2 1 * * *"},
    {"name": "short", "type": "timer", "config": "0 2 * * *"},
    {"name": "odd", "type": "timer", "config": 5},
    {"name": "feb",
     "type": "timer",
     "config": "0 0 0 30 2 * *"}
  ]
}"#;
        let read = Triggers::parse(text.as_bytes());
        assert_eq!(read.triggers.len(), 1);
        let told: Vec<_> = read
            .faults
            .iter()
            .map(|fault| (fault.line, fault.what.en.as_str()))
            .collect();
        let parts = [
            (3, "no object"),
            (4, "no `name`"),
            (5, "\"1st\" is no name"),
            (7, "twice"),
            (8, "\"database\""),
            (9, "no `type`"),
            (10, "5 of seven"),
            (11, "`config` is no text"),
            (14, "no such day"),
        ];
        assert_eq!(told.len(), parts.len(), "{told:#?}");
        for ((line, what), (expected, part)) in told.into_iter().zip(parts) {
            assert_eq!(line, expected, "{what}");
            assert!(what.contains(part), "{what}");
        }
        assert_eq!(read.second.unwrap().line, 4);
    }

    #[test]
    fn other_shapes_list_nothing() {
        for (text, faults) in [
            (&b"{}"[..], 0),
            (br#"{"triggers": []}"#, 0),
            (br#"{"triggers": {}}"#, 1),
            (b"{ half", 0),
            (b"\xff", 0),
        ] {
            let read = Triggers::parse(text);
            assert_eq!((read.triggers.len(), read.faults.len()), (0, faults));
        }
    }

    #[test]
    fn names_are_as_the_document_says() {
        let long = format!("a{}", "b".repeat(NAME_LENGTH));
        for (name, legal) in [
            ("a", true),
            ("My-trigger_2", true),
            (&long[..NAME_LENGTH], true),
            (&long, false),
            ("", false),
            ("2nd", false),
            ("_a", false),
            ("a b", false),
            ("每日", false),
        ] {
            assert_eq!(is_name(name), legal, "{name:?}");
        }
    }
}
