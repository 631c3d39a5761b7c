//! `[web]`: the listener for HTTP access and the site, which paths lead to which function, and the built pages beside them.

use std::{net::SocketAddr, path::Path};

use access::{
    BuiltPage, CacheRule, Network, NetworkError, PathPatternError, Proxies, Redirect, Route, RoutePath,
    RoutePathError, SiteRules,
};
use function::FunctionName;
use http::StatusCode;
use wording::{Wording, wording};

use super::{address, wrong_route};
use crate::{
    Finding, ProjectError, did_you_mean, nearest, reference,
    table::{Entry, Table},
};

/// `[web]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSection {
    /// `listen`: where it listens.
    pub listen: Option<SocketAddr>,
    /// `[[web.functions]]`, in their order.
    pub functions: Vec<Route>,
    /// `site` with `index`, `error` and `spa`, `[[web.sites]]`, `[[web.redirects]]`, `[[web.cache]]`. Folders are relative to `yunqiao.toml`.
    pub site: SiteRules,
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
        !self.functions.is_empty() || !self.site.pages.is_empty()
    }

    /// Reads the table. Paths in it are relative to `dir`. `lines` gets where the folder of each page stands.
    pub(super) fn read(entry: &Entry<'_>, dir: &Path, lines: &mut Vec<usize>) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&reference::WEB)?;
        let mut web = Self::default();
        if let Some(entry) = table.get("listen") {
            web.listen = Some(address(&entry, "127.0.0.1:8786")?);
        }
        if let Some(entry) = table.get("log") {
            web.log = entry.boolean()?;
        }
        web.site = site_rules(&table, dir, lines)?;
        let at_root = table.get("site").is_some();
        let without_a_page = ["index", "error", "spa"].iter().filter(|_| !at_root);
        let of_any_page = ["redirects", "cache"]
            .iter()
            .filter(|_| web.site.pages.is_empty());
        if let Some(entry) = without_a_page.chain(of_any_page).find_map(|key| table.get(key)) {
            return Err(entry.refuse(
                wording!("is given, and there is no site", "已写，但没有 site"),
                wording!(
                    "name the folder of the built page: site = \"dist\"",
                    "请写明构建后的网站目录：site = \"dist\""
                ),
            ));
        }
        if let Some(entry) = table.get("proxies") {
            for proxy in entry.texts()? {
                let network: Network = parsed(&proxy, |error: &NetworkError| (error.what(), error.mend()))?;
                web.proxies.0.push(network);
            }
        }
        if let Some(entry) = table.get("functions") {
            for entry in entry.list("[[web.functions]] path = \"/api\" function = \"api\"")? {
                let route = route(&entry)?;
                if web.functions.iter().any(|before| before.path == route.path) {
                    let path = &route.path;
                    return Err(entry.refuse(
                        wording!("has the path {path} twice", "里的路径 {path} 出现了两次"),
                        wording!("give each path once", "每个路径只能写一次"),
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
                wording!(
                    "the path {path} of HTTP access leads to the function {function}, which is not there",
                    "HTTP 访问的路径 {path} 指向云函数 {function}，但没有这个云函数"
                ),
                match nearest(function, names) {
                    Some(near) => did_you_mean(near),
                    None => wrong_route(),
                },
            ));
        }
        for page in self.site.pages.iter().filter(|page| !page.folder.is_dir()) {
            let site = page.folder.display();
            findings.push(finding(
                wording!(
                    "the folder of the site is not there: {site}",
                    "网站目录不存在：{site}"
                ),
                wording!(
                    "build the page, or name another folder as `site` in [web]",
                    "请先构建页面，或在 [web] 的 `site` 里写别的目录"
                ),
            ));
        }
        for redirect in self.site.endless() {
            let Some(from) = &redirect.from else { continue };
            let to = &redirect.to;
            findings.push(finding(
                wording!(
                    "the redirect from {from} to {to} leads to itself again: a browser gives up after twenty of them",
                    "从 {from} 到 {to} 的重定向又回到自己：浏览器跳转二十次后会放弃"
                ),
                match self.site.pages.iter().any(|page| page.is_index(&redirect.to)) {
                    true => wording!(
                        "for the page of an app that knows its own paths, write spa = true in place of it",
                        "如果是单页应用，请改写 spa = true"
                    ),
                    false => wording!(
                        "lead it to a path that `from` does not match",
                        "请让它指向 `from` 匹配不到的路径"
                    ),
                },
            ));
        }
        let hidden = |route: &&Route| self.site.pages.iter().any(|page| page.path == route.path);
        for Route { path, function, .. } in self.functions.iter().filter(hidden) {
            findings.push(finding(
                wording!(
                    "the function {function} has the path {path}, so nobody ever gets to the site there: all below it is the function's",
                    "云函数 {function} 的路径是 {path}，其下的请求都由它处理，那里的网站无法访问"
                ),
                wording!(
                    "give the function a path of its own, such as /api, or leave `site` out",
                    "请给云函数单独的路径，例如 /api，或去掉 `site`"
                ),
            ));
        }
        findings
    }
}

/// A text that is parsed, and says itself what is wrong with it.
fn parsed<T: std::str::FromStr>(
    entry: &Entry<'_>,
    why: impl Fn(&T::Err) -> (Wording, Wording),
) -> Result<T, ProjectError> {
    entry.text()?.parse().map_err(|error: T::Err| {
        let (what, mend) = why(&error);
        entry.refuse(wording!("cannot be used: {what}", "不可用：{what}"; what), mend)
    })
}

fn no_pattern(error: &PathPatternError) -> (Wording, Wording) {
    (error.what(), error.mend())
}

fn route(entry: &Entry<'_>) -> Result<Route, ProjectError> {
    let table = entry.table()?;
    table.allow(&reference::WEB_FUNCTION)?;
    let wanted = |key| {
        let missing = || {
            entry.refuse(
                wording!("has an entry without `{key}`", "里有一项缺少 `{key}`"),
                wording!("give it `path` and `function`", "请写上 `path` 和 `function`"),
            )
        };
        table.get(key).ok_or_else(missing)
    };
    let boolean = |key| table.get(key).map(|entry| entry.boolean()).transpose();
    let path: RoutePath = parsed(&wanted("path")?, |error: &RoutePathError| {
        (error.what(), error.mend())
    })?;
    let function = wanted("function")?;
    let name: FunctionName = function.text()?.parse().map_err(|error: function::IllegalName| {
        let why = error.wording();
        function.refuse(
            wording!("is illegal: {why}", "不合法：{why}"; why),
            wording!("name an existing function", "请写已有的云函数"),
        )
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
            wording!(
                "is {text:?}, which is not a file of the site",
                "是 {text:?}，不是网站里的文件"
            ),
            wording!(
                "name a file in the site's folder, such as \"404.html\"",
                "请写网站目录里的文件，例如 \"404.html\""
            ),
        )),
    }
}

/// The page that a table names as `site`, if it does, with what else it says of it.
fn page(
    table: &Table<'_>,
    path: RoutePath,
    dir: &Path,
    lines: &mut Vec<usize>,
) -> Result<Option<BuiltPage>, ProjectError> {
    let Some(site) = table.get("site") else {
        return Ok(None);
    };
    lines.push(site.line());
    let mut page = BuiltPage::new(path, dir.join(site.text()?));
    if let Some(entry) = table.get("index") {
        page.index = document(&entry)?;
        if page.index.contains('/') {
            return Err(entry.refuse(
                wording!("is a path", "是路径"),
                wording!(
                    "write the name that the document of each folder has, such as \"index.html\"",
                    "请只写每个目录里首页的文件名，例如 \"index.html\""
                ),
            ));
        }
    }
    if let Some(entry) = table.get("error") {
        page.error = Some(document(&entry)?);
    }
    if let Some(entry) = table.get("spa") {
        page.spa = entry.boolean()?;
    }
    Ok(Some(page))
}

/// One of `[[web.sites]]`.
fn page_below(entry: &Entry<'_>, dir: &Path, lines: &mut Vec<usize>) -> Result<BuiltPage, ProjectError> {
    let table = entry.table()?;
    table.allow(&reference::WEB_SITE)?;
    let missing = |key| {
        entry.refuse(
            wording!("has an entry without `{key}`", "里有一项缺少 `{key}`"),
            wording!("give it `path` and `site`", "请写上 `path` 和 `site`"),
        )
    };
    let path = table.get("path").ok_or_else(|| missing("path"))?;
    let path: RoutePath = parsed(&path, |error: &RoutePathError| (error.what(), error.mend()))?;
    page(&table, path, dir, lines)?.ok_or_else(|| missing("site"))
}

fn site_rules(table: &Table<'_>, dir: &Path, lines: &mut Vec<usize>) -> Result<SiteRules, ProjectError> {
    let mut rules = SiteRules::default();
    rules.pages.extend(page(table, RoutePath::default(), dir, lines)?);
    if let Some(entry) = table.get("sites") {
        for entry in entry.list("[[web.sites]] path = \"/admin\" site = \"admin/dist\"")? {
            let page = page_below(&entry, dir, lines)?;
            if rules.pages.iter().any(|before| before.path == page.path) {
                let path = &page.path;
                return Err(entry.refuse(
                    wording!("has the path {path} twice", "里的路径 {path} 出现了两次"),
                    wording!("give each path once", "每个路径只能写一次"),
                ));
            }
            rules.pages.push(page);
        }
    }
    if let Some(entry) = table.get("redirects") {
        for entry in entry.list("[[web.redirects]] from = \"/old/*\" to = \"/new/*\"")? {
            rules.redirects.push(redirect(&entry)?);
        }
    }
    if let Some(entry) = table.get("cache") {
        for entry in entry.list("[[web.cache]] path = \"/assets/*\" max_age = \"365d\"")? {
            let table = entry.table()?;
            table.allow(&reference::CACHE)?;
            let (Some(path), Some(max_age)) = (table.get("path"), table.get("max_age")) else {
                return Err(entry.refuse(
                    wording!(
                        "has an entry without `path` or `max_age`",
                        "里有一项缺少 `path` 或 `max_age`"
                    ),
                    wording!("give it both", "两个都要写"),
                ));
            };
            rules.cache.push(CacheRule {
                path: parsed(&path, no_pattern)?,
                max_age: max_age.duration()?,
            });
        }
    }
    Ok(rules)
}

fn redirect(entry: &Entry<'_>) -> Result<Redirect, ProjectError> {
    let table = entry.table()?;
    table.allow(&reference::REDIRECT)?;
    let missing = table
        .get("missing")
        .map(|entry| entry.boolean())
        .transpose()?
        .unwrap_or(false);
    let from = table
        .get("from")
        .map(|entry| parsed(&entry, no_pattern))
        .transpose()?;
    if from.is_some() == missing {
        return Err(entry.refuse(
            wording!(
                "has an entry that needs either `from` or `missing = true`",
                "里有一项要写 `from` 或 `missing = true`，且只能写一个"
            ),
            wording!(
                "give it `from`, or `missing = true` for paths at which there is nothing",
                "请写 `from`；如果是指没有内容的路径，请写 `missing = true`"
            ),
        ));
    }
    let Some(to) = table.get("to") else {
        return Err(entry.refuse(
            wording!("has an entry without `to`", "里有一项缺少 `to`"),
            wording!(
                "say where it leads, such as to = \"/new.html\"",
                "请写明跳转到哪里，例如 to = \"/new.html\""
            ),
        ));
    };
    let text = to.text()?;
    let leads = text.starts_with('/') || text.starts_with("https://") || text.starts_with("http://");
    let sound = text
        .chars()
        .all(|character| !character.is_control() && !character.is_whitespace());
    if !leads || text.starts_with("//") || !sound {
        return Err(to.refuse(
            wording!(
                "is {text:?}, which is neither a path nor an address",
                "是 {text:?}，既不是路径也不是网址"
            ),
            wording!(
                "write a path of the site such as \"/new.html\", or an address with https://",
                "请写网站里的路径（例如 \"/new.html\"），或以 https:// 开头的网址"
            ),
        ));
    }
    let address = text
        .split_once("://")
        .and_then(|(_, rest)| rest.strip_suffix('*'));
    if address.is_some_and(|address| !address.contains(['/', '?', '#'])) {
        return Err(to.refuse(
            wording!(
                "is {text:?}: what stands for `*` would go on with the host's name, and so could lead anywhere",
                "是 {text:?}：`*` 代表的部分会接在主机名后面，可能跳转到任何地方"
            ),
            wording!(
                "write a slash behind the host, such as \"https://example.com/*\"",
                "请在主机名后面写斜杠，例如 \"https://example.com/*\""
            ),
        ));
    }
    let status = match table.get("status") {
        None => StatusCode::FOUND,
        Some(entry) => match entry.whole(&(301..=308), "")? {
            301 => StatusCode::MOVED_PERMANENTLY,
            302 => StatusCode::FOUND,
            307 => StatusCode::TEMPORARY_REDIRECT,
            308 => StatusCode::PERMANENT_REDIRECT,
            other => {
                return Err(entry.refuse(
                    wording!("is {other}", "是 {other}"),
                    wording!("write 301, 302, 307 or 308", "请写 301、302、307 或 308"),
                ));
            }
        },
    };
    Ok(Redirect {
        from,
        to: text.to_owned(),
        status,
    })
}
