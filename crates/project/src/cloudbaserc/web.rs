//! What `cloudbaserc.json` says of the web: at which paths functions are called by HTTP, and which folder is the site.
//!
//! | where | what |
//! |---|---|
//! | CloudBase Framework's function plugin, `servicePaths` | `{"NAME": "/path"}` |
//! | `functions[]`, `servicePath` | `"/path"` |
//! | `functions[]`, `triggers[]` of the type `http` | `{"type": "http", "config": "/path"}`, or `path` |
//! | CloudBase Framework's website plugin | `outputPath`: the folder; `cloudPath`: `/` |
//! | `hosting` | the same; `root` and `path` are taken for the folder as well, since no document says what it is called |
//!
//! What `yunqiao.toml` says goes before it. What is not read is told.

use std::path::{Path, PathBuf};

use access::Route;
use serde_json::{Map, Value};

use super::{FILE, FUNCTION_PLUGIN};
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
    site: Option<PathBuf>,
    not_read: Vec<(String, String)>,
}

/// Whether a trigger is a path of HTTP access.
pub(super) fn is_http(trigger: &Value) -> bool {
    trigger.get("type").and_then(Value::as_str) == Some("http")
}

impl WebPart {
    pub(super) fn read(object: &Map<String, Value>) -> Self {
        let mut web = Self::default();
        let plugins = object
            .get("framework")
            .and_then(|framework| framework.get("plugins")?.as_object());
        for (name, plugin) in plugins.into_iter().flatten() {
            let uses = plugin.get("use").and_then(Value::as_str).unwrap_or_default();
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
                web.site(&format!("the plugin `{name}`"), inputs, &["outputPath"]);
            } else if !NOT_OF_THE_WEB.iter().any(|other| uses.ends_with(other)) {
                web.not_read.push((
                    format!("the plugin `{name}` ({uses}) is not read"),
                    "HTTP access of functions and a built page are set in yunqiao.toml, as [[web.functions]] and `site` in [web]".to_owned(),
                ));
            }
        }
        web.functions(object);
        match object.get("hosting") {
            None | Some(Value::Null) => {}
            Some(Value::Object(hosting)) => {
                web.site("`hosting`", hosting, &["outputPath", "root", "path", "localPath"]);
            }
            Some(_) => web.not_read.push((
                "`hosting` is no object, and is not read".to_owned(),
                "name the folder of the built page as `site` in [web] of yunqiao.toml".to_owned(),
            )),
        }
        web
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
        match path.as_str().map(str::parse) {
            Some(Ok(path)) => self.routes.push(Route {
                path,
                function: function.to_owned(),
                auth: false,
                passthrough: false,
            }),
            Some(Err(error)) => self.not_read.push((
                format!("function {function}: {error}"),
                "mend the path".to_owned(),
            )),
            None => self.not_read.push((
                format!("function {function}: its HTTP path is {path}, not a text"),
                "write it as \"/path\"".to_owned(),
            )),
        }
    }

    fn site(&mut self, whose: &str, inputs: &Map<String, Value>, names: &[&str]) {
        let text = |name: &&str| {
            inputs
                .get(*name)
                .and_then(Value::as_str)
                .filter(|text| !text.contains("{{"))
        };
        let set = "name the folder of the built page as `site` in [web] of yunqiao.toml".to_owned();
        let Some(folder) = names.iter().find_map(text) else {
            self.not_read
                .push((format!("{whose} names no folder that is read"), set));
            return;
        };
        match inputs.get("cloudPath").and_then(Value::as_str) {
            None | Some("" | "/" | "./") => {}
            Some(other) => {
                let what = format!("{whose} puts the page below {other}, and here it is served at /");
                self.not_read
                    .push((what, "build it for /, or serve it by a proxy".to_owned()));
            }
        }
        if self.site.is_none() {
            self.site = Some(folder.into());
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
        if let (None, Some(site)) = (&web.site, self.site) {
            let site = root.join(site);
            match shows_too_much(root, functions_root, private, &site) {
                None => web.site = Some(site),
                Some(what) => not_read.push((
                    format!("the site's folder {what}"),
                    "name the folder that the build of the page writes".to_owned(),
                )),
            }
        }
        let told = not_read.into_iter().map(|(what, mend)| Finding {
            function: None,
            file: file.to_owned(),
            what: format!("{FILE}: {what}"),
            mend,
        });
        told.collect()
    }
}
