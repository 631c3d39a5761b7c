//! Subscribe messages: which templates the app has, and who wants to hear of which.
//!
//! A template comes by `subscribeMessage.addTemplate` or `POST /sim/templates`. A user subscribes as in the client, with
//! `requestSubscribeMessage` at `/sim/client`: a one-time template (type 2) is good for one message for each time it was
//! accepted, a long-term one (type 3) until it is rejected.
//!
//! Which templates an app has and what they look like only WeChat knows; a project has their ids in its source and no more. Where
//! unknown ones are to be made ([`crate::UnknownTemplates`]), one begins without fields and learns those that messages bring.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{UnknownTemplates, random, server::errors::ApiRefusal};

/// Each acceptance is good for one message.
const ONE_TIME: u8 = 2;
/// One acceptance is good for all messages.
const LONG_TERM: u8 = 3;

/// How many fields a template that was made up learns at most. No template of WeChat's library has nearly as many.
const MOST_FIELDS: usize = 20;
/// The longest name of a field that is taken for one, in bytes; WeChat's are such as `character_string12`.
const LONGEST_FIELD: usize = 32;

/// What a template that was made up is titled. It is known by this, also to a later start that finds it in a state file.
const MADE_UP: &str = "首次使用时补建（made up at its first use）";

/// A template, with the members that `subscribeMessage.getTemplateList` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Template {
    pub(crate) pri_tmpl_id: String,
    title: String,
    /// Lines such as `会议时间:{{date2.DATA}}`; they say which fields a message has.
    content: String,
    example: String,
    #[serde(rename = "type")]
    kind: u8,
}

/// What `POST /sim/templates` brings, and what a project declares. All may be left out: the id is made up, the title and the
/// content are empty (so that a message needs no fields), and it is a one-time template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTemplate {
    /// 1 to 64 characters of `[A-Za-z0-9_-]`.
    pub pri_tmpl_id: Option<String>,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// Lines such as `会议时间:{{date2.DATA}}`; they say which fields a message has.
    #[serde(default)]
    pub content: String,
    /// For people.
    #[serde(default)]
    pub example: String,
    /// 2 (one-time) or 3 (long-term).
    #[serde(rename = "type")]
    pub kind: Option<u8>,
}

/// Why there can be no such template.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum TemplateError {
    #[error("type is 2 (one-time) or 3 (long-term), not {0}")]
    Kind(u8),
    #[error("priTmplId {0:?} is no template id: give 1 to 64 characters of [A-Za-z0-9_-], or leave it out")]
    Id(String),
    #[error("there is a subscription to {0:?}, and no such template")]
    Unknown(String),
}

impl TemplateError {
    pub(crate) fn in_chinese(&self) -> String {
        match self {
            Self::Kind(kind) => format!("type 应为 2（一次性）或 3（长期），而不是 {kind}"),
            Self::Id(id) => {
                format!("priTmplId {id:?} 不是模板 ID：应为 1 到 64 个 [A-Za-z0-9_-] 字符，或不填")
            }
            Self::Unknown(id) => format!("有对 {id:?} 的订阅，却没有这个模板"),
        }
    }
}

/// How many messages of a template may still be sent to a user, as a state file keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Subscription {
    openid: String,
    pri_tmpl_id: String,
    left: u32,
}

/// What `subscribeMessage.send` is given; what else the API takes only changes how the message looks and where it leads.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    #[serde(default)]
    pub(crate) touser: String,
    #[serde(default)]
    pub(crate) template_id: String,
    #[serde(default)]
    data: Map<String, Value>,
}

impl Message {
    /// The names of its fields, those that a template can have, and no more of them than one has.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.names()
            .filter(|name| name.len() <= LONGEST_FIELD)
            .take(MOST_FIELDS)
    }

    /// The names of its fields, those with the letters of one.
    fn names(&self) -> impl Iterator<Item = &str> {
        let legal = |name: &&String| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            !name.is_empty() && name.bytes().all(letter)
        };
        self.data.keys().filter(legal).map(String::as_str)
    }
}

/// The `content` of a template with these fields.
pub(crate) fn content<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    fields.map(|field| format!("{{{{{field}.DATA}}}}\n")).collect()
}

/// All templates in the order in which they came, and all subscriptions: how many messages may still be sent to the user
/// of this openid by this template. Of a long-term one it is always 1.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    all: Vec<Template>,
    subscribed: HashMap<(String, String), u32>,
    /// Whether a template that was made up is one of the app's. Where unknown ones are refused it is kept and is none: it may have
    /// come from where they are made, with a state that was brought in.
    with_made_up: bool,
    /// Grows with each change.
    revision: u64,
}

/// Whether this can be the id of a template.
pub(crate) fn is_id(id: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(legal)
}

/// The lines of yunqiao.toml that declare a template with these fields.
pub(crate) fn declaration<'a>(id: &str, fields: impl Iterator<Item = &'a str>) -> String {
    let fields: Vec<_> = fields.map(|field| format!("\"{field}\"")).collect();
    format!("[sim.templates.{id}]\n  fields = [{}]", fields.join(", "))
}

impl Templates {
    pub(crate) fn new(unknown: UnknownTemplates) -> Self {
        Self {
            with_made_up: unknown == UnknownTemplates::Make,
            ..Self::default()
        }
    }

    /// All that are kept.
    pub(crate) fn all(&self) -> &[Template] {
        &self.all
    }

    /// Those that the app has.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Template> {
        let known = |template: &&Template| self.with_made_up || !template.is_made_up();
        self.all.iter().filter(known)
    }

    /// Another number after each change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, id: &str) -> Option<&Template> {
        self.known().find(|template| template.pri_tmpl_id == id)
    }

    pub(crate) fn knows(&self, id: &str) -> bool {
        self.get(id).is_some()
    }

    /// Adds a template, or puts it in the place of the one with its id.
    pub(crate) fn put(&mut self, given: NewTemplate) -> Result<&Template, TemplateError> {
        let template = Template::of(given)?;
        self.remove(&template.pri_tmpl_id);
        self.revision += 1;
        self.all.push(template);
        Ok(&self.all[self.all.len() - 1])
    }

    /// Has the template be as it is given, where it stands. Who subscribed to it stays subscribed, unless it is of another type now.
    pub(crate) fn declare(&mut self, given: NewTemplate) -> Result<(), TemplateError> {
        let template = Template::of(given)?;
        let known = self
            .all
            .iter_mut()
            .find(|known| known.pri_tmpl_id == template.pri_tmpl_id);
        match known {
            Some(known) if *known == template => {}
            Some(known) if known.kind == template.kind => {
                *known = template;
                self.revision += 1;
            }
            _ => {
                self.remove(&template.pri_tmpl_id);
                self.all.push(template);
                self.revision += 1;
            }
        }
        Ok(())
    }

    /// Has at least so many messages of a template that is known be left to the user.
    pub(crate) fn declare_left(&mut self, openid: &str, id: &str, left: u32) -> Result<(), TemplateError> {
        let kind = self.get(id).map(|template| template.kind);
        let kind = kind.ok_or_else(|| TemplateError::Unknown(id.to_owned()))?;
        let wanted = if kind == LONG_TERM { left.min(1) } else { left };
        let key = (openid.to_owned(), id.to_owned());
        if self.subscribed.get(&key).is_none_or(|left| *left < wanted) {
            self.subscribed.insert(key, wanted);
            self.revision += 1;
        }
        Ok(())
    }

    /// Makes a template of this id that has no fields yet; false if it cannot be, or is there.
    pub(crate) fn make_up(&mut self, id: &str) -> bool {
        !self.knows(id)
            && self
                .put(NewTemplate {
                    pri_tmpl_id: Some(id.to_owned()),
                    title: MADE_UP.to_owned(),
                    ..NewTemplate::default()
                })
                .is_ok()
    }

    /// Has a template that was made up have the fields of this message as well. Gives all its fields where it learned some.
    ///
    /// # Errors
    /// It brings a field that no template has, or more of them than one has; nothing is learned then.
    pub(crate) fn learn(&mut self, message: &Message) -> Result<Option<Vec<String>>, ApiRefusal> {
        let of = |template: &&mut Template| template.pri_tmpl_id == message.template_id;
        let template = self.all.iter_mut().find(of);
        let Some(template) = template.filter(|template| template.is_made_up()) else {
            return Ok(None);
        };
        let known: HashSet<_> = template.fields().collect();
        let mut new = Vec::new();
        for field in message.names().filter(|field| !known.contains(field)) {
            if field.len() > LONGEST_FIELD || known.len() + new.len() >= MOST_FIELDS {
                let shown: String = field.chars().take(LONGEST_FIELD).collect();
                return Err(ApiRefusal::Argument(format!("data.{shown}.value invalid")));
            }
            new.push(field);
        }
        if new.is_empty() {
            return Ok(None);
        }
        template.content.push_str(&content(new.into_iter()));
        self.revision += 1;
        Ok(Some(template.fields().map(str::to_owned).collect()))
    }

    /// Takes a template away and with it its subscriptions; false if there is none.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let known = self.knows(id);
        self.all.retain(|template| template.pri_tmpl_id != id);
        self.subscribed.retain(|(_, template), _| template != id);
        self.revision += 1;
        known
    }

    /// The user accepts, or rejects, messages of a template that is known.
    pub(crate) fn subscribe(&mut self, openid: &str, id: &str, accept: bool) {
        let Some(kind) = self.get(id).map(|template| template.kind) else {
            return;
        };
        self.revision += 1;
        let key = (openid.to_owned(), id.to_owned());
        match (accept, kind) {
            (true, ONE_TIME) => {
                let left = self.subscribed.entry(key).or_default();
                *left = left.saturating_add(1);
            }
            (true, _) => {
                self.subscribed.insert(key, 1);
            }
            // What was accepted before is not taken back by a rejection, but of a long-term template.
            (false, ONE_TIME) => {}
            (false, _) => {
                self.subscribed.remove(&key);
            }
        }
    }

    /// All subscriptions, in an order of their own.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let mut all: Vec<_> = self
            .subscribed
            .iter()
            .map(|((openid, id), &left)| Subscription {
                openid: openid.clone(),
                pri_tmpl_id: id.clone(),
                left,
            })
            .collect();
        all.sort_by(|a, b| (&a.openid, &a.pri_tmpl_id).cmp(&(&b.openid, &b.pri_tmpl_id)));
        all
    }

    /// Puts these in the place of those that there are, if they can be; else nothing is changed.
    pub(crate) fn restore(
        &mut self,
        templates: Vec<Template>,
        subscriptions: Vec<Subscription>,
    ) -> Result<(), TemplateError> {
        let mut new = Self {
            with_made_up: self.with_made_up,
            revision: self.revision + 1,
            ..Self::default()
        };
        for template in templates {
            // The same rules as for a new one.
            new.put(NewTemplate {
                pri_tmpl_id: Some(template.pri_tmpl_id),
                title: template.title,
                content: template.content,
                example: template.example,
                kind: Some(template.kind),
            })?;
        }
        for Subscription {
            openid,
            pri_tmpl_id,
            left,
        } in subscriptions
        {
            if !new.all.iter().any(|template| template.pri_tmpl_id == pri_tmpl_id) {
                return Err(TemplateError::Unknown(pri_tmpl_id));
            }
            new.subscribed.insert((openid, pri_tmpl_id), left);
        }
        *self = new;
        Ok(())
    }

    /// Sends to a user that there is. The order in which WeChat checks is not known; this one tells the author of a
    /// message about the message before it is about the user, and uses up a subscription only if all is well.
    pub(crate) fn send(&mut self, message: &Message) -> Result<(), ApiRefusal> {
        let template = self
            .get(&message.template_id)
            .ok_or(ApiRefusal::InvalidTemplateId)?;
        for field in template.fields() {
            let given = message.data.get(field);
            // Another message brought the field: whether the app's template wants it in each, nobody here knows.
            if given.is_none() && template.is_made_up() {
                continue;
            }
            check_field(field, given)?;
        }
        let long_term = template.kind == LONG_TERM;
        let key = (message.touser.clone(), message.template_id.clone());
        let left = self.subscribed.get_mut(&key).filter(|left| **left > 0);
        let left = left.ok_or(ApiRefusal::UserRefused)?;
        if !long_term {
            *left -= 1;
            self.revision += 1;
        }
        Ok(())
    }
}

impl Template {
    fn of(given: NewTemplate) -> Result<Self, TemplateError> {
        let kind = given.kind.unwrap_or(ONE_TIME);
        if ![ONE_TIME, LONG_TERM].contains(&kind) {
            return Err(TemplateError::Kind(kind));
        }
        let id = given.pri_tmpl_id.unwrap_or_else(|| random::url_safe(43));
        if !is_id(&id) {
            return Err(TemplateError::Id(id));
        }
        Ok(Self {
            pri_tmpl_id: id,
            title: given.title,
            content: given.content,
            example: given.example,
            kind,
        })
    }

    fn is_made_up(&self) -> bool {
        self.title == MADE_UP
    }

    /// The names of the fields: `date2` of `{{date2.DATA}}`.
    fn fields(&self) -> impl Iterator<Item = &str> {
        self.content
            .split("{{")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once(".DATA}}")?.0.trim()))
    }
}

/// Of the rules that the document of `subscribeMessage.send` has for each kind of field, those on length and alphabet.
fn check_field(field: &str, given: Option<&Value>) -> Result<(), ApiRefusal> {
    let text = match given.and_then(|given| given.get("value")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if text.trim().is_empty() {
        return Err(ApiRefusal::Argument(format!("data.{field}.value is empty")));
    }
    let length = text.chars().count();
    let valid = match field.trim_end_matches(|end: char| end.is_ascii_digit()) {
        "thing" => length <= 20,
        "letter" => length <= 32 && text.chars().all(|c| c.is_ascii_alphabetic()),
        "number" => length <= 32 && text.parse::<f64>().is_ok(),
        "symbol" => length <= 5,
        "phrase" => length <= 5 && text.chars().all(is_han),
        "character_string" => length <= 32 && text.is_ascii(),
        "phone_number" => length <= 17 && text.is_ascii(),
        "car_number" => length <= 8,
        "name" => length <= if text.is_ascii() { 20 } else { 10 },
        _ => true,
    };
    if valid {
        Ok(())
    } else {
        Err(ApiRefusal::Argument(format!("data.{field}.value invalid")))
    }
}

/// Whether a character is Chinese: the document has "5个以内汉字" for a phrase, and "OK" is refused.
fn is_han(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' | '〇')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_says_which_fields_its_messages_have() {
        let mut templates = Templates::default();
        let content = "会议时间:{{date2.DATA}}\n会议地点:{{thing1.DATA}}\n".to_owned();
        let template = templates
            .put(NewTemplate {
                content,
                ..NewTemplate::default()
            })
            .unwrap();
        assert_eq!(template.fields().collect::<Vec<_>>(), ["date2", "thing1"]);
        assert_eq!(template.pri_tmpl_id.len(), 43);
    }

    #[test]
    fn a_field_is_there_and_keeps_to_its_kind() {
        let check = |field: &str, value: Value| check_field(field, Some(&json!({ "value": value })));
        for (field, value) in [
            ("thing1", json!("二十个字以内")),
            ("number12", json!(39.5)),
            ("character_string3", json!("No. 20260001")),
            ("phrase3", json!("审核通过")),
            ("date2", json!("2019-12-25 09:42")),
        ] {
            assert_eq!(check(field, value.clone()), Ok(()), "{field} {value}");
        }
        for (field, value) in [
            ("thing1", json!("字".repeat(21))),
            ("number12", json!("many")),
            ("letter1", json!("a1")),
            ("phrase3", json!("六个汉字太长")),
            ("phrase3", json!("OK")),
            ("phrase3", json!("已完成!")),
            ("name1", json!("名".repeat(11))),
        ] {
            let invalid = ApiRefusal::Argument(format!("data.{field}.value invalid"));
            assert_eq!(check(field, value.clone()), Err(invalid), "{field} {value}");
        }
        let empty = ApiRefusal::Argument("data.time2.value is empty".to_owned());
        for given in [None, Some(&json!("12:00")), Some(&json!({ "value": " " }))] {
            assert_eq!(check_field("time2", given), Err(empty.clone()), "{given:?}");
        }
    }
}
