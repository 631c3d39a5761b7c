//! What `cloudbaserc.json` says of the web: at which paths functions are called by HTTP, and which folders are pages of the site.
//!
//! | where | what |
//! |---|---|
//! | `gateway`, `routes[]` of `tcb deploy` | `{"path": "/path", "target": "function:NAME", "enableAuth": true, "enablePathTransmission": true}` |
//! | CloudBase Framework's function plugin, `servicePaths` | `{"NAME": "/path"}` |
//! | `functions[]`, `servicePath` | `"/path"` |
//! | `functions[]`, `triggers[]` of the type `http` | `{"type": "http", "config": "/path"}`, or `path` |
//! | CloudBase Framework's website plugin | `outputPath`: the folder; `cloudPath`: the path below which it is shown, `/` where none is said |
//! | `hosting` | the same; `root` and `path` are taken for the folder as well, since no document says what it is called |
//!
//! What `yunqiao.toml` says goes before it. What is not read is told.

use std::path::Path;

use access::{BuiltPage, Route, RoutePath, RoutePathError};
use serde_json::{Map, Value};
use wording::{Wording, wording};

use super::{FUNCTION_PLUGIN, package_of_plugin};
use crate::{
    Finding, WebSection,
    project::{PrivatePath, shows_too_much},
};

/// The plugin of CloudBase Framework that deploys a built page.
const WEBSITE_PLUGIN: &str = "framework-plugin-website";
/// Those that have nothing to do with the web.
const NOT_OF_THE_WEB: [&str; 4] = [
    "framework-plugin-auth",
    "framework-plugin-database",
    "framework-plugin-low-code",
    "framework-plugin-mp",
];

/// What was read, and what could not be: what it is, and the mend.
#[derive(Debug, Default)]
pub(crate) struct WebPart {
    routes: Vec<Route>,
    /// Their folders are relative to the file.
    pages: Vec<BuiltPage>,
    not_read: Vec<(Wording, Wording)>,
}

/// Whether a trigger is a path of HTTP access.
pub(super) fn is_http(trigger: &Value) -> bool {
    trigger.get("type").and_then(Value::as_str) == Some("http")
}

impl WebPart {
    pub(super) fn read(object: &Map<String, Value>) -> Self {
        let mut web = Self::default();
        // Of two routes with one path the first counts: the only one that can ask for a login stands first.
        web.gateway(object);
        let plugins = object
            .get("framework")
            .and_then(|framework| framework.get("plugins")?.as_object());
        for (name, plugin) in plugins.into_iter().flatten() {
            let uses = package_of_plugin(name, plugin.get("use").and_then(Value::as_str));
            let none = Map::new();
            let inputs = plugin.get("inputs").and_then(Value::as_object).unwrap_or(&none);
            if uses.ends_with(FUNCTION_PLUGIN) {
                for (function, path) in inputs
                    .get("servicePaths")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                {
                    web.route(function, path);
                }
                web.functions(inputs);
            } else if uses.ends_with(WEBSITE_PLUGIN) {
                web.site(
                    &wording!("the plugin `{name}`", "插件 `{name}`"),
                    inputs,
                    &["outputPath"],
                );
            } else if uses.is_empty() {
                web.not_read.push((
                    wording!(
                        "the plugin `{name}` does not say which it is, and is not read",
                        "插件 `{name}` 没有写明是哪个插件，不会读取"
                    ),
                    wording!(
                        "name its package as `use`, such as \"use\": \"@cloudbase/framework-plugin-function\"",
                        "请用 `use` 写明它的包名，例如 \"use\": \"@cloudbase/framework-plugin-function\""
                    ),
                ));
            } else if !NOT_OF_THE_WEB.iter().any(|other| uses.ends_with(other)) {
                web.not_read.push((
                    wording!(
                        "the plugin `{name}` ({uses}) is not read",
                        "不会读取插件 `{name}`（{uses}）"
                    ),
                    wording!(
                        "HTTP access of functions and a built page are set in yunqiao.toml, as [[web.functions]] and `site` in [web]",
                        "云函数的 HTTP 访问和静态网站请在 yunqiao.toml 里设置：[[web.functions]] 和 [web] 的 `site`"
                    ),
                ));
            }
        }
        web.functions(object);
        match object.get("hosting") {
            None | Some(Value::Null) => {}
            Some(Value::Object(hosting)) => {
                web.site(
                    &Wording::as_is("`hosting`"),
                    hosting,
                    &["outputPath", "root", "path", "localPath"],
                );
            }
            Some(_) => web.not_read.push((
                wording!(
                    "`hosting` is no object, and is not read",
                    "`hosting` 不是对象，不会读取"
                ),
                name_the_site(),
            )),
        }
        web
    }

    /// `gateway` (docs.cloudbase.net/cli-v1/gateway).
    fn gateway(&mut self, object: &Map<String, Value>) {
        let routes = object
            .get("gateway")
            .and_then(|gateway| gateway.get("routes")?.as_array());
        for route in routes.into_iter().flatten() {
            let path = route.get("path").unwrap_or(&Value::Null);
            let target = route.get("target").and_then(Value::as_str).unwrap_or_default();
            let Some(function) = target.strip_prefix("function:") else {
                self.not_read.push((
                    wording!(
                        "the route {path} of `gateway` leads to {target:?}, and is not read",
                        "`gateway` 的路由 {path} 指向 {target:?}，不会读取"
                    ),
                    name_the_site(),
                ));
                continue;
            };
            if route.get("pathRewrite").is_some_and(|rewrite| !rewrite.is_null()) {
                self.not_read.push((
                    wording!(
                        "`pathRewrite` of the route {path} of `gateway` is not read",
                        "不会读取 `gateway` 路由 {path} 的 `pathRewrite`"
                    ),
                    wording!(
                        "the function gets the path as it was sent, or without the route's own: see to the rest there",
                        "云函数收到的是原路径或去掉路由前缀的路径，请在云函数里处理"
                    ),
                ));
            }
            // What is no `false` is not taken for one.
            let says = |key| !matches!(route.get(key), None | Some(Value::Null | Value::Bool(false)));
            self.route_with(function, path, says("enableAuth"), says("enablePathTransmission"));
        }
    }

    /// The paths of `functions[]`.
    fn functions(&mut self, inputs: &Map<String, Value>) {
        let functions = inputs.get("functions").and_then(Value::as_array);
        for function in functions.into_iter().flatten() {
            let Some(name) = function.get("name").and_then(Value::as_str) else {
                continue;
            };
            if let Some(path) = function.get("servicePath") {
                self.route(name, path);
            }
            let triggers = function.get("triggers").and_then(Value::as_array);
            for trigger in triggers.into_iter().flatten().filter(|trigger| is_http(trigger)) {
                let path = trigger.get("path").or_else(|| trigger.get("config"));
                self.route(name, path.unwrap_or(&Value::Null));
            }
        }
    }

    fn route(&mut self, function: &str, path: &Value) {
        self.route_with(function, path, false, false);
    }

    fn route_with(&mut self, function: &str, path: &Value, auth: bool, passthrough: bool) {
        match path.as_str().map(str::parse::<RoutePath>) {
            Some(Ok(path)) => self.routes.push(Route {
                path,
                function: function.to_owned(),
                auth,
                passthrough,
            }),
            Some(Err(error)) => self.not_read.push((
                {
                    let why = error.what();
                    wording!("function {function}: {why}", "云函数 {function}：{why}"; why)
                },
                error.mend(),
            )),
            None => self.not_read.push((
                wording!(
                    "function {function}: its HTTP path is {path}, not a text",
                    "云函数 {function}：HTTP 访问路径是 {path}，不是字符串"
                ),
                wording!("write it as \"/path\"", "应写成 \"/path\""),
            )),
        }
    }

    fn site(&mut self, whose: &Wording, inputs: &Map<String, Value>, names: &[&str]) {
        let text = |name: &&str| {
            inputs
                .get(*name)
                .and_then(Value::as_str)
                .filter(|text| !text.contains("{{"))
        };
        let Some(folder) = names.iter().find_map(text) else {
            let what = wording!(
                "{whose} names no folder that is read",
                "{whose} 没有写明要读取的目录"; whose
            );
            self.not_read.push((what, name_the_site()));
            return;
        };
        let path = match inputs.get("cloudPath").and_then(Value::as_str) {
            None | Some("" | "/" | "./" | ".") => Ok(RoutePath::default()),
            // The tool takes it with and without its first slash.
            Some(path) => format!("/{}", path.trim_start_matches("./").trim_start_matches('/')).parse(),
        };
        match path {
            Ok(path) => self.pages.push(BuiltPage::new(path, folder.into())),
            Err(error) => {
                let why: Wording = RoutePathError::what(&error);
                let what =
                    wording!("`cloudPath` of {whose}: {why}", "{whose}的 `cloudPath`：{why}"; whose, why);
                self.not_read.push((what, error.mend()));
            }
        }
    }

    /// Adds what `web` does not say itself. Gives what was not read.
    pub(crate) fn add_to(
        self,
        web: &mut WebSection,
        root: &Path,
        functions_root: Option<&Path>,
        private: &[PrivatePath],
        file: &Path,
    ) -> Vec<Finding> {
        let mut not_read = self.not_read;
        for route in self.routes {
            if web.functions.iter().all(|before| before.path != route.path) {
                web.functions.push(route);
            }
        }
        for mut page in self.pages {
            if web.site.pages.iter().any(|before| before.path == page.path) {
                continue;
            }
            page.folder = root.join(page.folder);
            match shows_too_much(root, functions_root, private, &page.folder) {
                None => web.site.pages.push(page),
                Some(what) => not_read.push((
                    wording!("the site's folder {what}", "网站目录{what}"; what),
                    wording!(
                        "name the folder that the build of the page writes",
                        "请写明构建输出的目录"
                    ),
                )),
            }
        }
        let told = not_read.into_iter().map(|(what, mend)| Finding {
            function: None,
            file: file.to_owned(),
            what,
            mend,
        });
        told.collect()
    }
}

/// The mend where the site's folder is not read from this file.
fn name_the_site() -> Wording {
    wording!(
        "name the folder of the built page as `site` in [web] of yunqiao.toml",
        "请在 yunqiao.toml 的 [web] 里用 `site` 写明网站目录"
    )
}
