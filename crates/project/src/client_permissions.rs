//! What clients may do with collections, where files of other tools say it: the inputs of CloudBase Framework's database plugin in
//! `cloudbaserc.json` (`collections[]` with `collectionName`, `aclTag`, `aclRule`), and `database.rules.json`, which has one member for each
//! collection. No document fixes the latter, so that it is read is a choice; its members are what WeChat's console shows: the name of a
//! level, or a rule.
//!
//! What cannot be understood must not open a collection by mistake: it is closed to clients, and told. `yunqiao.toml` can overrule all of
//! it.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use jsonc_parser::{
    ParseOptions,
    ast::{Object, ObjectProp, Value},
    common::Ranged,
};
use rules::{Level, Permission, Rules};
use wording::{Wording, wording};

use crate::{Finding, ProjectError, cloudbaserc, files, settings};

/// The file's name.
pub(crate) const RULES_FILE: &str = "database.rules.json";
/// The plugin of CloudBase Framework that makes collections.
const DATABASE_PLUGIN: &str = "framework-plugin-database";

/// The mend of a permission that is none.
fn write_a_permission() -> Wording {
    wording!(
        "write READONLY, PRIVATE, ADMINWRITE or ADMINONLY, or a rule such as {{\"read\": true, \"write\": \"doc._openid == auth.openid\"}}",
        "请写 READONLY、PRIVATE、ADMINWRITE 或 ADMINONLY，或写安全规则，例如 {{\"read\": true, \"write\": \"doc._openid == auth.openid\"}}"
    )
}

/// Which file says what clients may do with a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PermissionSource {
    /// `yunqiao.toml`.
    Settings,
    /// `database.rules.json`.
    RulesFile,
    /// `cloudbaserc.json`.
    Cloudbaserc,
}

impl PermissionSource {
    /// The files of the project in `root` that are there and not empty.
    #[must_use]
    pub fn written_in(root: &Path) -> Vec<Self> {
        let is_written = |source: &Self| {
            let text = fs::read(root.join(source.file())).unwrap_or_default();
            !text.trim_ascii().is_empty()
        };
        let all = [Self::Settings, Self::RulesFile, Self::Cloudbaserc];
        all.into_iter().filter(is_written).collect()
    }

    /// The file's name.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Settings => settings::FILE,
            Self::RulesFile => RULES_FILE,
            Self::Cloudbaserc => cloudbaserc::FILE,
        }
    }
}

impl fmt::Display for PermissionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file())
    }
}

/// What the files of other tools say, by collection.
#[derive(Debug, Default)]
pub(crate) struct ForeignPermissions {
    /// The permissions, the file that goes first winning.
    found: BTreeMap<String, (Permission, PermissionSource)>,
    /// What cannot be understood, by collection; `None` where it is about the file.
    findings: Vec<(Option<String>, Finding)>,
}

impl ForeignPermissions {
    /// Reads the files of a project. `database.rules.json` goes before `cloudbaserc.json`.
    ///
    /// # Errors
    /// One of them cannot be read, or is no JSON.
    pub(crate) fn read(root: &Path) -> Result<Self, ProjectError> {
        let mut permissions = Self::default();
        for source in [PermissionSource::RulesFile, PermissionSource::Cloudbaserc] {
            let path = root.join(source.file());
            let Some(bytes) = files::read(&path)? else {
                continue;
            };
            files::json_object(&bytes).map_err(|fault| fault.in_file(&path))?;
            let text = files::text(&bytes).map_err(|fault| fault.in_file(&path))?;
            let parsed = jsonc_parser::parse_to_ast(text, &Default::default(), &ParseOptions::default());
            let Ok(Some(Value::Object(object))) = parsed.as_ref().map(|parsed| &parsed.value) else {
                continue;
            };
            let mut file = PermissionFile {
                path: &path,
                text,
                source,
                permissions: &mut permissions,
            };
            match source {
                PermissionSource::Cloudbaserc => file.plugins(object),
                PermissionSource::RulesFile | PermissionSource::Settings => file.rules(object),
            }
        }
        Ok(permissions)
    }

    /// Adds what `yunqiao.toml` does not say itself; gives what is worth telling.
    pub(crate) fn add_to(self, database: &mut settings::DatabaseSection) -> Vec<Finding> {
        let overruled = |name: &str| {
            let collection = database.collections.get(name);
            collection.is_some_and(|collection| collection.permission.is_some())
        };
        let told = self.findings.into_iter().filter_map(|(name, finding)| {
            let counts = name.is_none_or(|name| !overruled(&name));
            counts.then_some(finding)
        });
        let told = told.collect();
        for (name, (permission, source)) in self.found {
            let collection = database.collections.entry(name).or_default();
            if collection.permission.is_none() {
                collection.permission = Some(permission);
                collection.permission_source = Some(source);
            }
        }
        told
    }
}

/// One of the files while it is read.
struct PermissionFile<'a> {
    path: &'a Path,
    text: &'a str,
    source: PermissionSource,
    permissions: &'a mut ForeignPermissions,
}

impl PermissionFile<'_> {
    /// `database.rules.json`.
    fn rules(&mut self, object: &Object<'_>) {
        let is_rule = |name: &str| ["read", "write", "create", "update", "delete"].contains(&name);
        for member in &object.properties {
            match (member.name.as_str(), &member.value) {
                ("$schema", _) => {}
                ("collections", Value::Array(list)) => self.list(&list.elements),
                // The same name is the usual one for rules of Firebase.
                ("rules", Value::Object(inner)) if inner.properties.iter().all(is_firebase) => self.tell(
                    None,
                    member,
                    wording!(
                        "these are rules of Firebase, and are not read",
                        "这是 Firebase 的规则，不会读取"
                    ),
                    wording!(
                        "write what clients may do into yunqiao.toml, below [database.collections.NAME]",
                        "请把客户端权限写进 yunqiao.toml 的 [database.collections.NAME]"
                    ),
                ),
                ("rules", Value::Object(inner))
                    if !inner
                        .properties
                        .iter()
                        .any(|member| is_rule(member.name.as_str())) =>
                {
                    self.rules(inner);
                }
                (name, Value::BooleanLit(_) | Value::StringLit(_))
                    if is_rule(name)
                        && object
                            .properties
                            .iter()
                            .all(|member| is_rule(member.name.as_str())) =>
                {
                    self.tell(
                        None,
                        member,
                        wording!(
                            "it gives a rule, and not for which collection",
                            "只有安全规则，没有写明是哪个集合"
                        ),
                        wording!(
                            "put the collection's name around it: {{\"posts\": {{\"read\": true, \"write\": false}}}}",
                            "请在外面加上集合名：{{\"posts\": {{\"read\": true, \"write\": false}}}}"
                        ),
                    );
                    return;
                }
                (name, Value::Object(inner))
                    if inner.properties.iter().any(|member| is_acl(member.name.as_str())) =>
                {
                    self.entry(name, inner);
                }
                (name, value) => self.permission(name, member, value),
            }
        }
    }

    /// The database plugins of `framework.plugins`.
    fn plugins(&mut self, object: &Object<'_>) {
        let plugins = object
            .get_object("framework")
            .and_then(|framework| framework.get_object("plugins"));
        let plugins = plugins.map_or(&[][..], |plugins| &plugins.properties);
        let named = plugins
            .iter()
            .filter_map(|plugin| Some((plugin.name.as_str(), plugin.value.as_object()?)));
        for (name, plugin) in named {
            let used = plugin.get_string("use").map(|package| package.value.as_ref());
            let is_it = cloudbaserc::package_of_plugin(name, used).ends_with(DATABASE_PLUGIN);
            let inputs = plugin.get_object("inputs").filter(|_| is_it);
            if let Some(list) = inputs.and_then(|inputs| inputs.get_array("collections")) {
                self.list(&list.elements);
            }
        }
    }

    /// `[{"collectionName", "aclTag", "aclRule"}]`
    fn list(&mut self, entries: &[Value<'_>]) {
        for entry in entries.iter().filter_map(Value::as_object) {
            let name = entry.get_string("collectionName");
            if let Some(name) = name.filter(|name| !name.value.is_empty()) {
                self.entry(&name.value, entry);
            }
        }
    }

    /// `aclTag` and `aclRule` of a collection. As on the platform, a rule counts where the tag is CUSTOM, or where there is none.
    fn entry(&mut self, name: &str, entry: &Object<'_>) {
        let (tag, rule) = (entry.get("aclTag"), entry.get("aclRule"));
        let is_custom = |tag: &ObjectProp<'_>| {
            let text = tag.value.as_string_lit();
            text.is_some_and(|text| text.value.eq_ignore_ascii_case("CUSTOM"))
        };
        match (tag, rule) {
            (Some(tag), None) if is_custom(tag) => self.close(
                name,
                tag,
                wording!(
                    "`aclTag` is CUSTOM, and there is no `aclRule`",
                    "`aclTag` 是 CUSTOM，但没有 `aclRule`"
                ),
                wording!(
                    "add the rule, such as \"aclRule\": {{\"read\": true, \"write\": \"doc._openid == auth.openid\"}}",
                    "请补上安全规则，例如 \"aclRule\": {{\"read\": true, \"write\": \"doc._openid == auth.openid\"}}"
                ),
            ),
            (Some(tag), _) if !is_custom(tag) => self.permission(name, tag, &tag.value),
            (_, Some(rule)) => self.permission(name, rule, &rule.value),
            _ => {}
        }
    }

    /// The name of a level, a rule, or a rule as text.
    fn permission(&mut self, name: &str, at: &impl Ranged, value: &Value<'_>) {
        let rules = match value {
            Value::StringLit(text) => match Level::of(text.value.trim()) {
                Some(level) => return self.keep(name, Permission::Level(level)),
                // `{{env.ACL}}` is filled in by CloudBase's own tool.
                None if text.value.trim_start().starts_with('{') && !text.value.contains("{{") => {
                    text.value.parse::<Rules>()
                }
                None => {
                    let level = &text.value;
                    let what = wording!(
                        "the permission of {name:?} is {level:?}",
                        "集合 {name:?} 的权限是 {level:?}"
                    );
                    return self.close(name, at, what, write_a_permission());
                }
            },
            Value::Object(_) => Rules::compile(&value.clone().into()),
            _ => {
                let what = wording!(
                    "the permission of {name:?} is neither a level nor a rule",
                    "集合 {name:?} 的权限既不是权限级别，也不是安全规则"
                );
                return self.close(name, at, what, write_a_permission());
            }
        };
        match rules {
            Ok(rules) => self.keep(name, Permission::Rules(Box::new(rules))),
            Err(error) => {
                let what = wording!(
                    "the rule of {name:?} cannot be used: {error}",
                    "集合 {name:?} 的安全规则不可用：{error}"
                );
                let mend = wording!(
                    "mend it, or write a rule for it below [database.collections] in yunqiao.toml",
                    "请改正它，或在 yunqiao.toml 的 [database.collections] 下另写一条"
                );
                self.close(name, at, what, mend);
            }
        }
    }

    /// What stands first counts.
    fn keep(&mut self, name: &str, permission: Permission) {
        let found = self.permissions.found.entry(name.to_owned());
        found.or_insert((permission, self.source));
    }

    fn close(&mut self, name: &str, at: &impl Ranged, what: Wording, mend: Wording) {
        if self.permissions.found.contains_key(name) {
            return;
        }
        let what = wording!(
            "{what}; so clients can neither read nor write it",
            "{what}；因此客户端不能读写"; what
        );
        self.tell(Some(name), at, what, mend);
        self.keep(name, Permission::Level(Level::AdminOnly));
    }

    fn tell(&mut self, name: Option<&str>, at: &impl Ranged, what: Wording, mend: Wording) {
        let (line, _) = files::position(self.text.as_bytes(), at.start());
        let finding = Finding {
            function: None,
            file: self.path.to_owned(),
            what: wording!("line {line}: {what}", "第 {line} 行：{what}"; what),
            mend,
        };
        self.permissions.findings.push((name.map(str::to_owned), finding));
    }
}

fn is_acl(name: &str) -> bool {
    ["aclTag", "aclRule"].contains(&name)
}

/// Whether a member is as Firebase writes them: `.read` here, or somewhere below.
fn is_firebase(member: &ObjectProp<'_>) -> bool {
    let name = member.name.as_str();
    let below = |inner: &Object<'_>| inner.properties.iter().any(is_firebase);
    name.starts_with(['.', '$']) || member.value.as_object().is_some_and(below)
}
