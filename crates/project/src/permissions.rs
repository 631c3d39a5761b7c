//! A function's `config.json`. This reads `permissions.openapi`, the list of cloud calls that the function may make
//! (WeChat's document "云调用"). Each function has its own list, and a call that is not in it is refused when it is made. A
//! misspelt name therefore goes unnoticed until a user meets it, so it is reported when the project is read.

use jsonc_parser::{
    ParseOptions,
    ast::{Object, ObjectProp, Value},
    common::Ranged,
};
use openapi::{Api, code::API_NOT_FOUND};
use wording::{Wording, wording};

use crate::files::{self, FileFault};

/// The file's name.
pub const FILE: &str = "config.json";

/// Members that people put into `config.json` and that the platform does not apply from there, each with the setting of
/// `yunqiao.toml` that does what was meant.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("timeout", "timeout"),
    ("memorySize", "memory"),
    ("memory", "memory"),
    ("envVariables", "env"),
];

/// The members of a `config.json` that have no effect, on the platform and here. One that cannot be read has none; its
/// [`Permissions`] say why.
#[must_use]
pub fn without_effect(bytes: &[u8]) -> Vec<FileFault> {
    let Ok(text) = files::text(bytes) else {
        return Vec::new();
    };
    let read = jsonc_parser::parse_to_ast(text, &Default::default(), &ParseOptions::default());
    let Ok(Some(Value::Object(root))) = read.as_ref().map(|read| &read.value) else {
        return Vec::new();
    };
    let fault = |member: &ObjectProp<'_>| {
        let name = member.name.as_str();
        let (_, setting) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name)?;
        let (line, column) = files::position(text.as_bytes(), member.start());
        Some(FileFault {
            line,
            column,
            what: wording!(
                "`{name}` has no effect: the platform does not read it from config.json",
                "`{name}` 不起作用：平台不从 config.json 读取它"
            ),
            mend: wording!(
                "set it in the console, and for here as `{setting}` below [functions.NAME] in yunqiao.toml, or in cloudbaserc.json",
                "线上请在云开发控制台设置；在这里请写进 yunqiao.toml 的 [functions.NAME]，键名 `{setting}`，或写进 cloudbaserc.json"
            ),
        })
    };
    root.properties.iter().filter_map(fault).collect()
}

/// What is said of a `config.json` that cannot be read: why, and what follows.
#[must_use]
pub fn ignored(why: &Wording) -> Wording {
    wording!("{why}; the file is ignored", "{why}；此文件被忽略"; why)
}

/// What `permissions.openapi` lists.
#[derive(Debug, Default)]
pub struct Permissions {
    /// The names, in their order, each as often as it is listed.
    pub declared: Vec<DeclaredPermission>,
    /// What is not as the document lays down, and therefore without effect.
    pub malformed: Vec<FileFault>,
}

/// What some write before a name, as the call has it (`cloud.openapi.…`). Programs that do so run on the platform, and tutorials
/// show it.
const PREFIX: &str = "openapi.";

/// One name of the list.
#[derive(Debug, PartialEq, Eq)]
pub struct DeclaredPermission {
    /// The name as it is meant: without `openapi.` before it.
    pub name: String,
    /// The name as it is written.
    pub written: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1.
    pub column: usize,
}

impl Permissions {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// They are no JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileFault> {
        // The strict reader judges, the other one knows where things stand.
        files::json_object(bytes)?;
        let text = files::text(bytes)?;
        let read = jsonc_parser::parse_to_ast(text, &Default::default(), &ParseOptions::default());
        let mut permissions = Self::default();
        if let Ok(Some(Value::Object(root))) = read.as_ref().map(|read| &read.value) {
            permissions.read(text, root);
        }
        Ok(permissions)
    }

    fn read(&mut self, text: &str, root: &Object<'_>) {
        let Some(list) = self.member(text, root, "permissions") else {
            return;
        };
        let Value::Object(list) = &list.value else {
            self.refuse(
                text,
                list,
                wording!("`permissions` is no object", "`permissions` 不是对象"),
                wording!(
                    "write it as {{\"openapi\": [\"…\"]}}",
                    "应写成 {{\"openapi\": [\"…\"]}}"
                ),
            );
            return;
        };
        let Some(list) = self.member(text, list, "openapi") else {
            return;
        };
        let Value::Array(names) = &list.value else {
            self.refuse(
                text,
                list,
                wording!(
                    "`permissions.openapi` is no array, so nothing is permitted",
                    "`permissions.openapi` 不是数组，因此没有任何接口权限"
                ),
                wording!(
                    "write it as [\"subscribeMessage.send\", …]",
                    "应写成 [\"subscribeMessage.send\", …]"
                ),
            );
            return;
        };
        for name in &names.elements {
            let Value::StringLit(literal) = name else {
                self.refuse(
                    text,
                    name,
                    wording!(
                        "`permissions.openapi` lists what is no text",
                        "`permissions.openapi` 里有一项不是字符串"
                    ),
                    wording!(
                        "write the interface's name in double quotes",
                        "请写接口名，并加上双引号"
                    ),
                );
                continue;
            };
            let (line, column) = files::position(text.as_bytes(), literal.range.start);
            let written = literal.value.clone().into_owned();
            self.declared.push(DeclaredPermission {
                name: written.strip_prefix(PREFIX).unwrap_or(&written).to_owned(),
                written,
                line,
                column,
            });
        }
    }

    /// The last member of this name, which is the one that counts.
    fn member<'a, 't>(
        &mut self,
        text: &str,
        object: &'a Object<'t>,
        name: &str,
    ) -> Option<&'a ObjectProp<'t>> {
        let mut members = object
            .properties
            .iter()
            .filter(|member| member.name.as_str() == name);
        let first = members.next()?;
        let Some(last) = members.next_back() else {
            return Some(first);
        };
        self.refuse(
            text,
            last,
            wording!(
                "`{name}` is given twice: the last one counts",
                "`{name}` 写了两次，以最后一个为准"
            ),
            wording!("make one of them", "请合并成一个"),
        );
        Some(last)
    }

    fn refuse(&mut self, text: &str, at: &impl Ranged, what: Wording, mend: Wording) {
        let (line, column) = files::position(text.as_bytes(), at.start());
        self.malformed.push(FileFault {
            line,
            column,
            what,
            mend,
        });
    }

    /// The names, as they are meant.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().map(|declared| declared.name.as_str())
    }

    /// What is wrong with the list, whatever the function does: its shape, and names that nobody can call.
    #[must_use]
    pub fn faults(&self) -> Vec<FileFault> {
        let misnomers = self.declared.iter().filter_map(|declared| {
            let misnomer = Misnomer::of(&declared.name)?;
            let what = misnomer.listed();
            Some(FileFault {
                line: declared.line,
                column: declared.column,
                what: wording!(
                    "`permissions.openapi` lists {what}",
                    "`permissions.openapi` 中的 {what}"; what
                ),
                mend: misnomer.mend(),
            })
        });
        self.malformed.iter().cloned().chain(misnomers).collect()
    }
}

/// A name that is listed or called, and that no cloud call has.
#[derive(Debug)]
pub struct Misnomer {
    name: String,
    /// The name where it is called, and what comes of it.
    pub what: Wording,
    /// The name that was most likely meant.
    pub near: Option<&'static str>,
    /// Whether there is such an interface, only not for cloud functions.
    pub exists: bool,
}

impl Misnomer {
    /// `None` if a cloud function can call this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let found = openapi::find(name);
        if found.is_some_and(Api::is_callable) {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            what: match found {
                Some(_) => wording!(
                    "`{name}`, which has no cloud call: it is answered with {API_NOT_FOUND}",
                    "`{name}` 不支持云调用，调用会返回 {API_NOT_FOUND}"
                ),
                None => wording!(
                    "`{name}`, which does not exist: it is answered with {API_NOT_FOUND}",
                    "`{name}` 不存在，调用会返回 {API_NOT_FOUND}"
                ),
            },
            near: openapi::nearest(name).map(|api| api.name),
            exists: found.is_some(),
        })
    }

    /// The name where it is listed, and what is wrong with it there: it permits nothing.
    #[must_use]
    pub fn listed(&self) -> Wording {
        let name = &self.name;
        match self.exists {
            true => wording!(
                "`{name}`, which has no cloud call: it permits nothing",
                "`{name}` 不支持云调用，写了也没有任何权限"
            ),
            false => wording!(
                "`{name}`, which does not exist: it permits nothing",
                "`{name}` 不存在，写了也没有任何权限"
            ),
        }
    }

    /// What its author can do.
    #[must_use]
    pub fn mend(&self) -> Wording {
        match (self.near, self.exists) {
            (Some(near), _) => crate::did_you_mean(near),
            (None, true) => wording!(
                "call it over HTTPS, from a server that holds the access_token",
                "请在持有 access_token 的服务器上用 HTTPS 调用"
            ),
            (None, false) => wording!(
                "look for its name with `yunqiao api WORD`",
                "用 `yunqiao api WORD` 查找接口名"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Permissions {
        Permissions::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_are_read_as_written_with_their_lines() {
        let read = parse(
            "{\r\n  \"triggers\": [],\n  \"permissions\": {\n    \"openapi\": [\n      \"wxacode.get\",\n\
             \"security\\u002emsgSecCheck\", \"no.such\"]}}",
        );
        let declared: Vec<_> = read
            .declared
            .iter()
            .map(|name| (name.name.as_str(), name.line))
            .collect();
        assert_eq!(
            declared,
            [("wxacode.get", 5), ("security.msgSecCheck", 6), ("no.such", 6)]
        );
        assert_eq!(read.malformed, []);
    }

    #[test]
    fn a_key_given_twice_counts_as_it_does_for_node() {
        let read = parse(r#"{"permissions":{"openapi":["a.b"]},"permissions":{"openapi":["c.d"]}}"#);
        assert_eq!(read.names().collect::<Vec<_>>(), ["c.d"]);
        assert!(
            read.malformed[0].what.en.contains("twice"),
            "{:?}",
            read.malformed
        );
    }

    #[test]
    fn what_has_another_shape_permits_nothing_and_is_told() {
        for (text, part, names) in [
            ("{}", None, 0),
            (r#"{"permissions":{}}"#, None, 0),
            (r#"{"permissions":["a.b"]}"#, Some("no object"), 0),
            (r#"{"permissions":{"openapi":"a.b"}}"#, Some("no array"), 0),
            (r#"{"permissions":{"openapi":["a.b",1]}}"#, Some("no text"), 1),
        ] {
            let read = parse(text);
            assert_eq!(read.declared.len(), names, "{text}");
            match part {
                Some(part) => assert!(read.malformed[0].what.en.contains(part), "{:?}", read.malformed),
                None => assert_eq!(read.malformed, []),
            }
        }
        assert_eq!(Permissions::parse(b"{\n,}").unwrap_err().line, 2);
    }

    #[test]
    fn misnomers_have_the_nearest_that_can_be_called() {
        assert!(Misnomer::of("subscribeMessage.send").is_none());
        let absent = Misnomer::of("subscribMessage.send").unwrap();
        assert_eq!(
            (absent.near, absent.exists),
            (Some("subscribeMessage.send"), false)
        );
        assert!(absent.what.en.contains("-604100"), "{absent:?}");
        let https_only = openapi::all()
            .iter()
            .find(|api| !api.is_callable() && openapi::nearest(api.name).is_none())
            .unwrap();
        let misnomer = Misnomer::of(https_only.name).unwrap();
        assert!(misnomer.exists && misnomer.mend().en.contains("HTTPS"));
        assert!(Misnomer::of("zzz").unwrap().mend().en.contains("yunqiao api"));
    }
}
