//! `cloudbaserc.json`, the file of Tencent's CloudBase command line: of it, each function's time limit, memory, variables, rule,
//! timers, paths of HTTP access and folder, the site's folder, the environment's id, and where the functions lie; also where they stand as inputs of CloudBase
//! Framework's function plugin. What its database plugin is given is read by `client_permissions`. It was written for another tool, so a value that cannot be honoured here spoils its function
//! only, and `yunqiao.toml` can overrule it.

mod web;

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use function::{MEMORY_MB, TIMEOUT_SECONDS};
use rules::InvokeRule;
use serde_json::{Map, Value};
use wording::{Wording, wording};

use self::web::WebPart;
use crate::{Finding, ProjectError, Triggers, files};

/// The file's name.
pub(crate) const FILE: &str = "cloudbaserc.json";
/// Where the tool looks for functions if nothing says otherwise.
pub(crate) const USUAL_FUNCTIONS_ROOT: &str = "functions";
/// The other files in which CloudBase's own tool looks for the same (its document "配置文件"). They are not read here.
const NOT_READ: [&str; 3] = ["cloudbaserc", "cloudbaserc.yaml", "cloudbaserc.yml"];
/// Those of them that are programs.
const PROGRAMS: [&str; 2] = ["cloudbaserc.js", "cloudbase.config.js"];
/// The plugin of CloudBase Framework that deploys functions.
const FUNCTION_PLUGIN: &str = "framework-plugin-function";

/// What `cloudbaserc.json` says.
#[derive(Debug, Default)]
pub(crate) struct Cloudbaserc {
    pub(crate) env_id: Option<String>,
    /// `functionRoot`, relative to the file.
    pub(crate) functions_root: Option<String>,
    /// `functions[]`, by name.
    pub(crate) functions: BTreeMap<String, FunctionEntry>,
    /// Paths of HTTP access, and the site.
    pub(crate) web: WebPart,
}

/// One of `functions[]`. `Err` is why a value cannot be honoured, with the mend.
#[derive(Debug, Default)]
pub(crate) struct FunctionEntry {
    pub(crate) timeout_seconds: Option<Result<u64, Wording>>,
    pub(crate) memory_mb: Option<Result<u64, Wording>>,
    pub(crate) env: BTreeMap<String, String>,
    /// `dir`: its folder.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) triggers: Triggers,
    /// `type`: whether it is an HTTP function.
    pub(crate) is_http: bool,
    /// `aclRule`: who may call it as a client. One that cannot be understood lets nobody.
    pub(crate) invoke: Option<InvokeRule>,
    /// What is not honoured and does no harm: what it is, and the mend.
    pub(crate) oddities: Vec<(Wording, Wording)>,
}

impl Cloudbaserc {
    /// Reads the file's bytes; `path` is for messages.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ProjectError> {
        let object = files::json_object(bytes).map_err(|fault| fault.in_file(path))?;
        let text = |key: &str| {
            let text = object.get(key).and_then(Value::as_str).map(str::trim);
            // `{{env.ENV_ID}}` is filled in by CloudBase's own tool from a file that only it reads.
            text.filter(|text| !text.is_empty() && !text.contains("{{"))
                .map(str::to_owned)
        };
        // What stands at the top goes before what a plugin is given.
        let plugins = plugin_inputs(&object);
        let lists = plugins.iter().copied().rev().chain([&object]);
        let listed = lists
            .filter_map(|inputs| inputs.get("functions")?.as_array())
            .flatten()
            .filter_map(Value::as_object);
        let mut functions = BTreeMap::<_, FunctionEntry>::new();
        for function in listed {
            let Some(name) = function.get("name").and_then(Value::as_str) else {
                continue;
            };
            let mut entry = FunctionEntry::new(function);
            if let Some(earlier) = functions.remove(name) {
                entry.take_rule_of(earlier);
            }
            functions.insert(name.to_owned(), entry);
        }
        let root_of_plugin = || {
            let root = plugins
                .iter()
                .find_map(|inputs| inputs.get("functionRootPath")?.as_str());
            root.filter(|root| !root.contains("{{")).map(str::to_owned)
        };
        Ok(Self {
            env_id: text("envId"),
            functions_root: text("functionRoot").or_else(root_of_plugin),
            web: WebPart::read(&object),
            functions,
        })
    }
}

/// What the function plugins of `framework.plugins` are given.
fn plugin_inputs(object: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    let plugins = object
        .get("framework")
        .and_then(|framework| framework.get("plugins")?.as_object());
    let inputs = plugins.into_iter().flatten().filter_map(|(name, plugin)| {
        let used = plugin.get("use").and_then(Value::as_str);
        let is_it = package_of_plugin(name, used).ends_with(FUNCTION_PLUGIN);
        plugin.get("inputs").filter(|_| is_it)?.as_object()
    });
    inputs.collect()
}

/// The package that a member of `framework.plugins` means: what it says as `use`, else its name, where that is a package of CloudBase
/// Framework, as tools write it that do without a name. Empty where neither says it.
pub(crate) fn package_of_plugin<'a>(name: &'a str, used: Option<&'a str>) -> &'a str {
    match used.map(str::trim) {
        Some(package) if !package.is_empty() => package,
        _ if name.starts_with("@cloudbase/framework-plugin-") => name,
        _ => "",
    }
}

/// Whether a project of CloudBase's own tool lies in this folder, by any of the files that the tool reads.
pub(crate) fn is_in(root: &Path) -> bool {
    let files = [FILE].into_iter().chain(NOT_READ).chain(PROGRAMS);
    files.into_iter().any(|name| root.join(name).is_file())
}

/// The files beside `cloudbaserc.json` that say the same to CloudBase's own tool, and are not read here.
pub(crate) fn not_read(root: &Path) -> Vec<Finding> {
    let is_there = |name: &&str| root.join(name).is_file();
    let finding = |name: &str, what, mend| Finding {
        function: None,
        file: root.join(name),
        what,
        mend,
    };
    let is_beside = is_there(&FILE);
    let programs = PROGRAMS.into_iter().filter(is_there).map(|name| {
        let what = wording!(
            "it is a program, and is not run: nothing of what it says counts",
            "它是程序，这里不会运行，其中的配置都不生效"
        );
        let mend = match is_beside {
            true => wording!(
                "write what it says of functions and site into {FILE}, or into yunqiao.toml",
                "请把其中有关云函数和网站的配置写进 {FILE} 或 yunqiao.toml"
            ),
            false => wording!(
                "have it written as {FILE}, in this folder: node -p 'JSON.stringify(require(\"./{name}\"), null, 2)' > {FILE}",
                "请在此目录里把它转成 {FILE}：node -p 'JSON.stringify(require(\"./{name}\"), null, 2)' > {FILE}"
            ),
        };
        finding(name, what, mend)
    });
    let others = NOT_READ.into_iter().filter(is_there).map(|name| {
        let what = wording!("it is not read", "不会读取此文件");
        let mend = wording!(
            "write what it says of functions and site into {FILE}, or into yunqiao.toml",
            "请把其中有关云函数和网站的配置写进 {FILE} 或 yunqiao.toml"
        );
        finding(name, what, mend)
    });
    others.chain(programs).collect()
}

impl FunctionEntry {
    /// Takes the rule of another entry for the same function, where this one has none: a function that one of them closes stays closed.
    fn take_rule_of(&mut self, other: Self) {
        if self.invoke.is_none() {
            self.invoke = other.invoke;
            self.oddities.extend(other.oddities);
        }
    }

    fn new(function: &Map<String, Value>) -> Self {
        // Up to version 0.5 of the tool these stood in a `config` of their own.
        let field = |name: &str| {
            let old = || function.get("config").and_then(|config| config.get(name));
            function.get(name).or_else(old).filter(|value| !value.is_null())
        };
        let mut entry = Self {
            timeout_seconds: field("timeout")
                .map(|value| within(value, "timeout", &TIMEOUT_SECONDS, &wording!("seconds", "秒"))),
            memory_mb: field("memorySize")
                .map(|value| within(value, "memorySize", &MEMORY_MB, &Wording::as_is("MB"))),
            dir: field("dir")
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from),
            triggers: field("triggers").map(timers).unwrap_or_default(),
            is_http: field("type")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.eq_ignore_ascii_case("HTTP")),
            ..Self::default()
        };
        for fault in &entry.triggers.faults {
            entry.oddities.push((fault.what.clone(), fault.mend.clone()));
        }
        if let Some(handler) = field("handler")
            .and_then(Value::as_str)
            .filter(|handler| *handler != "index.main")
        {
            entry.oddities.push((
                wording!(
                    "the handler `{handler}` is not used",
                    "不会使用 handler `{handler}`"
                ),
                wording!(
                    "export `main` from the file that package.json names as `main`, else from index.js",
                    "请从 package.json 的 `main` 所指的文件（没有时为 index.js）导出 `main`"
                ),
            ));
        }
        if let Some(rule) = field("aclRule") {
            let invoke = rule.get("invoke").unwrap_or(&Value::Null);
            entry.invoke = Some(InvokeRule::compile(invoke).unwrap_or_else(|error| {
                entry.oddities.push((
                    wording!(
                        "its aclRule cannot be used, so clients cannot call it: {error}",
                        "它的 aclRule 不可用，因此客户端不能调用：{error}"
                    ),
                    wording!(
                        "write it as {{\"invoke\": \"auth != null\"}}, or set [functions.NAME] invoke in yunqiao.toml",
                        "应写成 {{\"invoke\": \"auth != null\"}}，或在 yunqiao.toml 里设置 [functions.NAME] invoke"
                    ),
                ));
                InvokeRule::never()
            }));
        }
        match field("envVariables") {
            None => {}
            Some(Value::Object(variables)) => {
                for (name, value) in variables {
                    match variable(name, value) {
                        Ok(text) => _ = entry.env.insert(name.clone(), text),
                        Err(oddity) => entry.oddities.push(oddity),
                    }
                }
            }
            Some(other) => entry.oddities.push((
                wording!(
                    "envVariables is {other}, not an object",
                    "envVariables 是 {other}，不是对象"
                ),
                wording!(
                    "write it as {{\"NAME\": \"value\"}}",
                    "应写成 {{\"NAME\": \"value\"}}"
                ),
            )),
        }
        entry
    }
}

/// Timers have the shape that they have in a function's `config.json`. Where they stand in this file is not known. Triggers by HTTP are
/// paths of HTTP access.
fn timers(list: &Value) -> Triggers {
    let timers = match list {
        Value::Array(list) => list
            .iter()
            .filter(|trigger| !web::is_http(trigger))
            .cloned()
            .collect(),
        other => other.clone(),
    };
    Triggers::parse(format!("{{\"triggers\":{timers}}}").as_bytes())
}

/// A whole number in a range, or why not.
fn within(value: &Value, name: &str, range: &RangeInclusive<u64>, unit: &Wording) -> Result<u64, Wording> {
    // The tool itself takes numbers in quotes.
    let number = value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        wording!(
            "{FILE} gives {name} {value}, but {least} to {most} {unit} are possible: change it there, or set it in yunqiao.toml",
            "{FILE} 中的 {name} 是 {value}，应为 {least} 到 {most} {unit}：请在那里修改，或在 yunqiao.toml 里设置"; unit
        )
    })
}

/// A variable's text, or what is odd about it and the mend.
fn variable(name: &str, value: &Value) -> Result<String, (Wording, Wording)> {
    if !is_variable_name(name) {
        let what = wording!(
            "envVariables has the illegal name {name:?}",
            "envVariables 里的变量名 {name:?} 不合法"
        );
        return Err((what, form_of_variable_names()));
    }
    match value {
        Value::String(text) if text.contains('\0') => Err((
            wording!(
                "the variable {name} holds a NUL character, which no environment can carry",
                "变量 {name} 含有 NUL 字符，环境变量无法容纳"
            ),
            wording!("remove the character", "请删掉这个字符"),
        )),
        Value::String(text) if text.contains("{{") => Err((
            wording!(
                "the variable {name} is the template {text:?}, which only CloudBase's own tool can fill in; it is left unset",
                "变量 {name} 是模板 {text:?}，只有 CloudBase 自己的工具能填；此变量未设置"
            ),
            wording!(
                "set it in yunqiao.toml, under [functions.NAME.env] as {name} = \"…\"",
                "请在 yunqiao.toml 的 [functions.NAME.env] 下写 {name} = \"…\""
            ),
        )),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err((
            wording!(
                "the variable {name} is {value}, not a text; it is left unset",
                "变量 {name} 是 {value}，不是字符串；此变量未设置"
            ),
            crate::quote_it(),
        )),
    }
}

/// What the name of a variable has to be.
pub(crate) fn form_of_variable_names() -> Wording {
    wording!(
        "use letters, digits and `_`, beginning with a letter or `_`",
        "只能用字母、数字和 `_`，并以字母或 `_` 开头"
    )
}

/// Whether an environment variable can bear this name.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Cloudbaserc {
        Cloudbaserc::parse(Path::new(FILE), text.as_bytes()).unwrap()
    }

    #[test]
    fn reads_both_the_new_and_the_old_shape() {
        let read = parse(
            r#"{"envId":"prod-1","functionRoot":"./functions","functions":[
                {"name":"a","timeout":20,"memorySize":512,"envVariables":{"A":"x","N":1,"B":true}},
                {"name":"b","config":{"timeout":"7","envVariables":{"C":"y"}}},
                {"timeout":1}]}"#,
        );
        assert_eq!(read.env_id.as_deref(), Some("prod-1"));
        assert_eq!(read.functions_root.as_deref(), Some("./functions"));
        assert_eq!(read.functions.len(), 2);
        let (a, b) = (&read.functions["a"], &read.functions["b"]);
        assert_eq!(
            (a.timeout_seconds.clone(), a.memory_mb.clone()),
            (Some(Ok(20)), Some(Ok(512)))
        );
        assert_eq!(
            a.env,
            [("A", "x"), ("B", "true"), ("N", "1")]
                .map(|(k, v)| (k.into(), v.into()))
                .into()
        );
        assert_eq!(
            (b.timeout_seconds.clone(), b.env["C"].as_str()),
            (Some(Ok(7)), "y")
        );
    }

    #[test]
    fn reads_what_the_function_plugin_is_given_below_what_stands_at_the_top() {
        let read = parse(
            r#"{"functions":[{"name":"a","timeout":20}],
                "framework":{"plugins":{
                    "func":{"use":"@cloudbase/framework-plugin-function","inputs":{"functionRootPath":"./cloud",
                        "functions":[{"name":"a","timeout":5},{"name":"b","timeout":7}]}},
                    "web":{"use":"@cloudbase/framework-plugin-website","inputs":{"functions":[{"name":"c"}]}}}}}"#,
        );
        assert_eq!(read.functions_root.as_deref(), Some("./cloud"));
        let timeouts: Vec<_> = read
            .functions
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.timeout_seconds.clone()))
            .collect();
        assert_eq!(timeouts, [("a", Some(Ok(20))), ("b", Some(Ok(7)))]);
    }

    #[test]
    fn beyond_the_limits_says_the_limits() {
        let read = parse(r#"{"functions":[{"name":"a","timeout":900,"memorySize":64}]}"#);
        let refusal = read.functions["a"].timeout_seconds.clone().unwrap().unwrap_err();
        assert!(
            refusal.en.contains("900") && refusal.en.contains("1 to 300 seconds"),
            "{refusal}"
        );
        let refusal = read.functions["a"].memory_mb.clone().unwrap().unwrap_err();
        assert!(refusal.en.contains("128 to 3072 MB"), "{refusal}");
    }

    #[test]
    fn templates_and_odd_values_are_left_unset_and_told() {
        let read = parse(
            r#"{"envId":"{{env.ENV_ID}}","functions":[{"name":"a","handler":"app.handler",
                "envVariables":{"T":"{{env.T}}","1x":"v","L":[],"OK":"v"}}]}"#,
        );
        assert_eq!(read.env_id, None);
        let entry = &read.functions["a"];
        assert_eq!(entry.env.keys().collect::<Vec<_>>(), ["OK"]);
        let told = format!("{:?}", entry.oddities);
        for part in ["app.handler", "{{env.T}}", "1x", "variable L"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert_eq!(entry.oddities.len(), 4);
    }
}
