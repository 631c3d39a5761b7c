//! A function's timers: `triggers` of its `config.json` (WeChat's document "定时触发器"). A malformed trigger does not fire,
//! and is reported with its line when the project is read; the others fire.

use jsonc_parser::{
    ParseOptions,
    ast::{Object, Value},
    common::Ranged,
};

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
            let mend = "write it as [{\"name\": \"…\", \"type\": \"timer\", \"config\": \"0 0 2 1 * * *\"}]";
            return self.refuse(text, list, "`triggers` is no array", mend);
        };
        for trigger in &list.elements {
            if let Err(fault) = self.trigger(text, trigger) {
                self.faults.push(fault);
            }
        }
        if let Some(second) = list.elements.get(1) {
            let (what, mend) = (
                "a second trigger, where WeChat takes one for each function",
                "here all of them fire; for WeChat, give each a function of its own",
            );
            self.second = Some(fault(text, second, what, mend));
        }
    }

    fn trigger(&mut self, text: &str, trigger: &Value<'_>) -> Result<(), FileFault> {
        let Value::Object(object) = trigger else {
            let mend = "write it as {\"name\": \"…\", \"type\": \"timer\", \"config\": \"0 0 2 1 * * *\"}";
            return Err(fault(text, trigger, "a trigger is no object", mend));
        };
        let field = |name: &str, mend: &str| match member(object, name) {
            Some(value @ Value::StringLit(literal)) => Ok((value, literal.value.as_ref())),
            Some(value) => Err(fault(
                text,
                value,
                &format!("a trigger's `{name}` is no text"),
                mend,
            )),
            None => Err(fault(text, trigger, &format!("a trigger has no `{name}`"), mend)),
        };
        let (at, kind) = field("type", "write \"type\": \"timer\"")?;
        if kind != "timer" {
            let what = format!("a trigger of the type {kind:?}, which does not exist");
            return Err(fault(text, at, &what, "write \"timer\": there is no other"));
        }
        let (at, name) = field("name", "give it a name, such as \"name\": \"daily\"")?;
        if !is_name(name) {
            let what = format!("{name:?} is no name of a trigger");
            let mend = "use letters, digits, `-` and `_`, beginning with a letter, at most 60";
            return Err(fault(text, at, &what, mend));
        }
        if self.triggers.iter().any(|trigger| trigger.name == name) {
            let what = format!("the trigger {name:?} is there twice: the first one counts");
            return Err(fault(text, at, &what, "give it a name of its own"));
        }
        let (at, config) = field(
            "config",
            "say when it fires, such as \"config\": \"0 0 2 1 * * *\"",
        )?;
        let cron = Cron::parse(config).map_err(|bad| {
            let what = format!(
                "the trigger {name:?} never fires: {config:?} is no cron expression: {}",
                bad.what
            );
            fault(text, at, &what, &bad.mend)
        })?;
        self.triggers.push(Trigger {
            name: name.to_owned(),
            cron,
        });
        Ok(())
    }

    fn refuse(&mut self, text: &str, at: &impl Ranged, what: &str, mend: &str) {
        self.faults.push(fault(text, at, what, mend));
    }
}

fn fault(text: &str, at: &impl Ranged, what: &str, mend: &str) -> FileFault {
    let (line, column) = files::position(text.as_bytes(), at.start());
    FileFault {
        line,
        column,
        what: what.to_owned(),
        mend: mend.to_owned(),
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
            .map(|fault| (fault.line, fault.what.as_str()))
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
