//! `[sim.users]`, `[sim.templates]` and `[sim.subscriptions]`: who and what is there in the simulated WeChat at each start. Here stands
//! how they are written; what a phone number or an openid may be is for the simulated WeChat to say, and each keeps its line for that.

use wording::wording;

use crate::{
    ProjectError, reference,
    table::{Entry, Table},
};

/// The largest number that is taken: of steps, of messages.
pub(crate) const LARGEST_NUMBER: u64 = 4_000_000_000;

/// `[sim.users.NAME]`: a simulated user. What is `None` is made up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimUser {
    /// The table's name.
    pub name: String,
    /// The line of the table in `yunqiao.toml`.
    pub line: usize,
    /// `openid`.
    pub openid: Option<String>,
    /// `unionid`; `Some(None)` where it is `false`: the user has none.
    pub unionid: Option<Option<String>>,
    /// `nick_name`.
    pub nick_name: Option<String>,
    /// `gender`: 0 (unknown), 1 or 2.
    pub gender: Option<u8>,
    /// `language`.
    pub language: Option<String>,
    /// `city`.
    pub city: Option<String>,
    /// `province`.
    pub province: Option<String>,
    /// `country`.
    pub country: Option<String>,
    /// `avatar_url`.
    pub avatar_url: Option<String>,
    /// `phone`.
    pub phone: Option<String>,
    /// `steps`: steps a day, today's last.
    pub steps: Option<Vec<u32>>,
}

/// `[sim.templates.ID]`: a template of subscribe messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimTemplate {
    /// The table's name.
    pub id: String,
    /// The line of the table in `yunqiao.toml`.
    pub line: usize,
    /// `title`; empty where it is not said.
    pub title: String,
    /// `content`, as WeChat's console shows it, else lines that are made of `fields`; empty where neither is said, and a message then
    /// needs no fields.
    pub content: String,
    /// `example`; empty where it is not said.
    pub example: String,
    /// `type`: 2 (one-time, where it is not said) or 3 (long-term).
    pub kind: u8,
}

/// A line of `[sim.subscriptions]`: that a user has accepted messages of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimSubscription {
    /// The user's name.
    pub user: String,
    /// The template's id.
    pub template: String,
    /// How many messages may be sent.
    pub left: u32,
    /// Its line in `yunqiao.toml`.
    pub line: usize,
}

pub(super) fn users(sim: &Table<'_>) -> Result<Vec<SimUser>, ProjectError> {
    each(sim, "users", |name, entry| {
        let table = entry.table()?;
        table.allow(&reference::SIM_USER)?;
        let id = |key| named(&table, key, |entry| Ok(entry.text()?.to_owned()));
        let text = |key| named(&table, key, |entry| Ok(entry.variable()?.to_owned()));
        Ok(SimUser {
            name,
            line: entry.line(),
            openid: id("openid")?,
            unionid: named(&table, "unionid", |entry| match entry.boolean() {
                Ok(false) => Ok(None),
                _ => Ok(Some(entry.text()?.to_owned())),
            })?,
            nick_name: text("nick_name")?,
            gender: named(&table, "gender", |entry| {
                let gender = entry.whole(&(0..=2), "")?;
                Ok(u8::try_from(gender).unwrap_or_default())
            })?,
            language: text("language")?,
            city: text("city")?,
            province: text("province")?,
            country: text("country")?,
            avatar_url: text("avatar_url")?,
            phone: id("phone")?,
            steps: named(&table, "steps", |entry| {
                entry.list("[1200, 8000]")?.iter().map(number).collect()
            })?,
        })
    })
}

pub(super) fn templates(sim: &Table<'_>) -> Result<Vec<SimTemplate>, ProjectError> {
    each(sim, "templates", |id, entry| {
        let table = entry.table()?;
        table.allow(&reference::SIM_TEMPLATE)?;
        let text = |key| named(&table, key, |entry| Ok(entry.variable()?.to_owned()));
        let (content, fields) = (text("content")?, table.get("fields"));
        if let (Some(_), Some(fields)) = (&content, &fields) {
            return Err(fields.stands_beside(&format!("sim.templates.{id}.content")));
        }
        let fields = fields.map(|fields| {
            let fields = fields.texts()?;
            let lines = fields
                .iter()
                .map(|field| Ok(format!("{{{{{}.DATA}}}}\n", field_name(field)?)));
            lines.collect::<Result<String, ProjectError>>()
        });
        let kind = named(&table, "type", |entry| entry.whole(&(2..=3), ""))?;
        Ok(SimTemplate {
            id,
            line: entry.line(),
            title: text("title")?.unwrap_or_default(),
            content: match fields {
                Some(lines) => lines?,
                None => content.unwrap_or_default(),
            },
            example: text("example")?.unwrap_or_default(),
            kind: kind.map_or(2, |kind| u8::try_from(kind).unwrap_or(2)),
        })
    })
}

/// `alice = ["ID", …]`, one message of each, or `alice = { ID = 3 }`.
pub(super) fn subscriptions(sim: &Table<'_>) -> Result<Vec<SimSubscription>, ProjectError> {
    let of_users = each(sim, "subscriptions", |user, entry| {
        let subscription = |template: &str, left, line| SimSubscription {
            user: user.clone(),
            template: template.to_owned(),
            left,
            line,
        };
        if entry.is_table() {
            let templates = entry.table()?;
            let each = templates
                .entries()
                .map(|(template, left)| Ok(subscription(template.text, number(&left)?, left.line())));
            return each.collect::<Result<Vec<_>, ProjectError>>();
        }
        let templates = entry.list("[\"ID\"], or a table: { ID = 3 }")?;
        let each = templates
            .iter()
            .map(|template| Ok(subscription(template.text()?, 1, template.line())));
        each.collect()
    })?;
    Ok(of_users.concat())
}

/// What `read` makes of each entry of the table `key`.
fn each<T>(
    sim: &Table<'_>,
    key: &str,
    read: impl Fn(String, &Entry<'_>) -> Result<T, ProjectError>,
) -> Result<Vec<T>, ProjectError> {
    let Some(table) = sim.get(key) else {
        return Ok(Vec::new());
    };
    let entries = table.table()?.entries();
    entries
        .map(|(name, entry)| read(name.text.to_owned(), &entry))
        .collect()
}

/// What `read` makes of the entry `key`, where it is there.
fn named<T>(
    table: &Table<'_>,
    key: &str,
    read: impl Fn(&Entry<'_>) -> Result<T, ProjectError>,
) -> Result<Option<T>, ProjectError> {
    table.get(key).map(|entry| read(&entry)).transpose()
}

fn number(entry: &Entry<'_>) -> Result<u32, ProjectError> {
    Ok(u32::try_from(entry.whole(&(0..=LARGEST_NUMBER), "")?).unwrap_or(u32::MAX))
}

/// The name of a message's field, such as `thing1`.
fn field_name<'a>(entry: &Entry<'a>) -> Result<&'a str, ProjectError> {
    let name = entry.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match name.bytes().all(plain) {
        true => Ok(name),
        false => Err(entry.refuse(
            wording!("has the field {name:?}", "里有字段 {name:?}"),
            wording!(
                "write names such as \"thing1\" or \"date2\", as {{{{thing1.DATA}}}} has them",
                "请写 \"thing1\"、\"date2\" 这样的名字，即 {{{{thing1.DATA}}}} 里的写法"
            ),
        )),
    }
}
