//! `[web]`: the listener for HTTP access and the site, which paths lead to which function, and the built page beside them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use access::{CacheRule, Network, Proxies, Redirect, Route, RoutePath, SiteRules};
use function::FunctionName;
use http::StatusCode;

use super::address;
use crate::{
    Finding, ProjectError, nearest,
    table::{Entry, Table},
};

/// `[web]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSection {
    /// `listen`: where it listens.
    pub listen: Option<SocketAddr>,
    /// `[[web.functions]]`, in their order.
    pub functions: Vec<Route>,
    /// `site`: the folder of the built page, relative to `yunqiao.toml`.
    pub site: Option<PathBuf>,
    /// `index`, `error`, `spa`, `[[web.redirects]]`, `[[web.cache]]`.
    pub rules: SiteRules,
    /// `log`: whether `serve` prints a line for each request; otherwise only for those that failed by a fault of the server or of a
    /// function.
    pub log: bool,
    /// `proxies`: those whose word on who the client is counts.
    pub proxies: Proxies,
}

impl WebSection {
    /// Whether there is anything to serve.
    #[must_use]
    pub fn serves(&self) -> bool {
        !self.functions.is_empty() || self.site.is_some()
    }

    /// Reads the table. Paths in it are relative to `dir`.
    pub(super) fn read(entry: &Entry<'_>, dir: &Path) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&[
            "listen",
            "functions",
            "site",
            "index",
            "error",
            "spa",
            "redirects",
            "cache",
            "log",
            "proxies",
        ])?;
        let mut web = Self::default();
        if let Some(entry) = table.get("listen") {
            web.listen = Some(address(&entry, "127.0.0.1:8786")?);
        }
        if let Some(entry) = table.get("site") {
            web.site = Some(dir.join(entry.text()?));
        }
        if let Some(entry) = table.get("log") {
            web.log = entry.boolean()?;
        }
        web.rules = site_rules(&table)?;
        if web.site.is_none() {
            let of_a_site = ["index", "error", "spa", "redirects", "cache"];
            if let Some(entry) = of_a_site.iter().find_map(|key| table.get(key)) {
                return Err(entry.refuse(
                    "is given, and there is no site",
                    "name the folder of the built page: site = \"dist\"",
                ));
            }
        }
        if let Some(entry) = table.get("proxies") {
            for proxy in entry.texts()? {
                let network: Network = parsed(&proxy)?;
                web.proxies.0.push(network);
            }
        }
        if let Some(entry) = table.get("functions") {
            for entry in entry.list("[[web.functions]] path = \"/api\" function = \"api\"")? {
                let route = route(&entry)?;
                if web.functions.iter().any(|before| before.path == route.path) {
                    return Err(entry.refuse(
                        &format!("has the path {} twice", route.path),
                        "give each path once",
                    ));
                }
                web.functions.push(route);
            }
        }
        Ok(web)
    }

    /// What its author should know: `functions` are those that there are.
    pub(crate) fn findings<'f>(
        &self,
        file: &Path,
        functions: impl Iterator<Item = &'f FunctionName> + Clone,
    ) -> Vec<Finding> {
        let finding = |what, mend| Finding {
            function: None,
            file: file.to_owned(),
            what,
            mend,
        };
        let mut findings = Vec::new();
        for Route { path, function, .. } in &self.functions {
            let names = functions.clone().map(FunctionName::as_str);
            if names.clone().any(|name| name == function) {
                continue;
            }
            findings.push(finding(
                format!(
                    "the path {path} of HTTP access leads to the function {function}, which is not there"
                ),
                match nearest(function, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name an existing function, or remove the route".to_owned(),
                },
            ));
        }
        if let Some(site) = self.site.as_ref().filter(|site| !site.is_dir()) {
            findings.push(finding(
                format!("the folder of the site is not there: {}", site.display()),
                "build the page, or name another folder as `site` in [web]".to_owned(),
            ));
        }
        let at_root = self.functions.iter().find(|route| route.path.as_str() == "/");
        if let (Some(_), Some(route)) = (&self.site, at_root) {
            findings.push(finding(
                format!(
                    "the function {} has the path /, so nobody ever gets to the site: every path is the function's",
                    route.function
                ),
                "give the function a path of its own, such as /api, or leave `site` out".to_owned(),
            ));
        }
        findings
    }
}

/// A text that is parsed, and says itself what is wrong with it.
fn parsed<T>(entry: &Entry<'_>) -> Result<T, ProjectError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    entry.text()?.parse().map_err(|error: T::Err| {
        let text = error.to_string();
        // "... is no path: write ..."
        match text.split_once(": write ") {
            Some((what, mend)) => entry.refuse(&format!("has {what}"), &format!("write {mend}")),
            None => entry.refuse(&format!("has {text}"), "mend it"),
        }
    })
}

fn route(entry: &Entry<'_>) -> Result<Route, ProjectError> {
    let table = entry.table()?;
    table.allow(&["path", "function", "auth", "passthrough"])?;
    let wanted = |key| {
        let missing = || {
            entry.refuse(
                &format!("has an entry without `{key}`"),
                "give it `path` and `function`",
            )
        };
        table.get(key).ok_or_else(missing)
    };
    let boolean = |key| table.get(key).map(|entry| entry.boolean()).transpose();
    let path: RoutePath = parsed(&wanted("path")?)?;
    let function = wanted("function")?;
    let name: FunctionName = function.text()?.parse().map_err(|error: function::IllegalName| {
        function.refuse(&format!("is illegal: {error}"), "name an existing function")
    })?;
    Ok(Route {
        path,
        function: name.to_string(),
        auth: boolean("auth")?.unwrap_or(false),
        passthrough: boolean("passthrough")?.unwrap_or(false),
    })
}

/// A document within the site.
fn document(entry: &Entry<'_>) -> Result<String, ProjectError> {
    let text = entry.text()?.trim_start_matches('/');
    let plain = text
        .split('/')
        .all(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('\\'));
    match plain {
        true => Ok(text.to_owned()),
        false => Err(entry.refuse(
            &format!("is {text:?}, which is not a file of the site"),
            "name a file in the site's folder, such as \"404.html\"",
        )),
    }
}

fn site_rules(table: &Table<'_>) -> Result<SiteRules, ProjectError> {
    let mut rules = SiteRules::default();
    if let Some(entry) = table.get("index") {
        rules.index = document(&entry)?;
        if rules.index.contains('/') {
            return Err(entry.refuse(
                "is a path",
                "write the name that the document of each folder has, such as \"index.html\"",
            ));
        }
    }
    if let Some(entry) = table.get("error") {
        rules.error = Some(document(&entry)?);
    }
    if let Some(entry) = table.get("spa") {
        rules.spa = entry.boolean()?;
    }
    if let Some(entry) = table.get("redirects") {
        for entry in entry.list("[[web.redirects]] from = \"/old/*\" to = \"/new/*\"")? {
            rules.redirects.push(redirect(&entry)?);
        }
    }
    if let Some(entry) = table.get("cache") {
        for entry in entry.list("[[web.cache]] path = \"/assets/*\" max_age = \"365d\"")? {
            let table = entry.table()?;
            table.allow(&["path", "max_age"])?;
            let (Some(path), Some(max_age)) = (table.get("path"), table.get("max_age")) else {
                return Err(entry.refuse("has an entry without `path` or `max_age`", "give it both"));
            };
            rules.cache.push(CacheRule {
                path: parsed(&path)?,
                max_age: max_age.duration()?,
            });
        }
    }
    Ok(rules)
}

fn redirect(entry: &Entry<'_>) -> Result<Redirect, ProjectError> {
    let table = entry.table()?;
    table.allow(&["from", "missing", "to", "status"])?;
    let missing = table
        .get("missing")
        .map(|entry| entry.boolean())
        .transpose()?
        .unwrap_or(false);
    let from = table.get("from").map(|entry| parsed(&entry)).transpose()?;
    if from.is_some() == missing {
        return Err(entry.refuse(
            "has an entry that needs either `from` or `missing = true`",
            "give it `from`, or `missing = true` for paths at which there is nothing",
        ));
    }
    let Some(to) = table.get("to") else {
        return Err(entry.refuse(
            "has an entry without `to`",
            "say where it leads, such as to = \"/new.html\"",
        ));
    };
    let text = to.text()?;
    let leads = text.starts_with('/') || text.starts_with("https://") || text.starts_with("http://");
    let sound = text
        .chars()
        .all(|character| !character.is_control() && !character.is_whitespace());
    if !leads || text.starts_with("//") || !sound {
        return Err(to.refuse(
            &format!("is {text:?}, which is neither a path nor an address"),
            "write a path of the site such as \"/new.html\", or an address with https://",
        ));
    }
    let status = match table.get("status") {
        None => StatusCode::FOUND,
        Some(entry) => match entry.whole(&(301..=308), "")? {
            301 => StatusCode::MOVED_PERMANENTLY,
            302 => StatusCode::FOUND,
            307 => StatusCode::TEMPORARY_REDIRECT,
            308 => StatusCode::PERMANENT_REDIRECT,
            other => return Err(entry.refuse(&format!("is {other}"), "write 301, 302, 307 or 308")),
        },
    };
    Ok(Redirect {
        from,
        to: text.to_owned(),
        status,
    })
}
