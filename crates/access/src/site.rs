//! The rules of a site (静态网站托管): its pages, their documents, its redirects (重定向规则), how long its files may be kept (缓存配置).
//!
//! As on the platform a redirect is chosen by the beginning of a path or because there is nothing at it, and goes before the documents;
//! a cache rule is for an ending, a folder or a file; and several pages may lie below paths of their own. **Choices**: of several rules the
//! first counts; without one a file is kept and asked for again each time (`no-cache`), which its ETag makes cheap; a page of a SPA is answered
//! 200, and a script or picture that is missing 404 all the same; each page has its own documents, where the platform has one of each for
//! the whole site, and rules mean paths as a browser sends them, that of the page included.

use std::{borrow::Cow, cmp::Reverse, fmt, path::PathBuf, str::FromStr, time::Duration};

use http::StatusCode;
use percent_encoding::{CONTROLS, percent_decode_str, utf8_percent_encode};
use thiserror::Error;
use wording::{Wording, wording};

use crate::{RequestPath, RoutePath};

/// A browser follows so many redirects, one after the other.
const MOST_REDIRECTS: usize = 20;

/// A built page: where it is shown, where its files lie, and what it does with a path at which there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltPage {
    /// Its path: the folder's files are below it.
    pub path: RoutePath,
    /// Its folder.
    pub folder: PathBuf,
    /// The document of a folder: `index.html`.
    pub index: String,
    /// The document for what is not there, sent with 404; a path within the folder, without a slash before it.
    pub error: Option<String>,
    /// Whether a page that is not there is the index of this one, which knows by itself what to show.
    pub spa: bool,
}

/// What a site does with a path at which there is a file, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteRules {
    /// The pages, each at a path of its own.
    pub pages: Vec<BuiltPage>,
    /// Redirects, in their order.
    pub redirects: Vec<Redirect>,
    /// Cache rules, in their order.
    pub cache: Vec<CacheRule>,
}

impl BuiltPage {
    /// A page at a path, whose folders show `index.html`.
    #[must_use]
    pub fn new(path: RoutePath, folder: PathBuf) -> Self {
        Self {
            path,
            folder,
            index: "index.html".to_owned(),
            error: None,
            spa: false,
        }
    }

    /// Its path as the address of a folder: with a slash at the end.
    #[must_use]
    pub fn address(&self) -> String {
        let path = self.path.as_str().trim_end_matches('/');
        format!("{path}/")
    }

    /// Whether an address is that of its own document.
    #[must_use]
    pub fn is_index(&self, address: &str) -> bool {
        let name = address.strip_prefix(&*self.address());
        name.is_some_and(|name| name.is_empty() || name == self.index)
    }

    /// Whether who asks for a path at which there is nothing wants a page: a browser says so, and others ask for a path without an
    /// ending.
    #[must_use]
    pub fn is_page(&self, path: &str, accept: Option<&str>) -> bool {
        let last = path.rsplit('/').next().unwrap_or_default();
        self.spa && (accept.is_some_and(|accept| accept.contains("text/html")) || !last.contains('.'))
    }
}

/// Which paths a rule is for, by what they mean: a browser sends `/旧/` as `/%E6%97%A7/`, and a rule may have it either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// One: `/old.html`.
    One(String),
    /// All below a folder: `/assets/*`; with the slash at its end.
    Below(String),
    /// All with an ending: `*.js`.
    Ending(String),
}

/// The text is no pattern. `Display` says why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {}", self.what(), self.mend())]
pub struct PathPatternError(String);

impl PathPatternError {
    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> Wording {
        let Self(text) = self;
        wording!("{text:?} is no pattern of paths", "{text:?} 不是路径模式")
    }

    /// What to write instead.
    #[must_use]
    pub fn mend(&self) -> Wording {
        wording!(
            "write one path (\"/old.html\"), a folder (\"/assets/*\") or an ending (\"*.js\")",
            "请写一个路径（\"/old.html\"）、目录（\"/assets/*\"）或后缀（\"*.js\"）"
        )
    }
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        let is_path = |path: &str| path.starts_with('/') && !path.contains(['*', '?', '#']);
        if text.chars().any(char::is_control) {
            return Err(PathPatternError(text.to_owned()));
        }
        if let Some(ending) = text.strip_prefix('*')
            && ending.len() > 1
            && !ending.contains(['*', '/'])
        {
            return Ok(Self::Ending(meaning(ending).into_owned()));
        }
        match text.strip_suffix('*') {
            Some(folder) if folder.ends_with('/') && is_path(folder) => {
                Ok(Self::Below(meaning(folder).into_owned()))
            }
            None if is_path(text) => Ok(Self::One(meaning(text).into_owned())),
            _ => Err(PathPatternError(text.to_owned())),
        }
    }
}

impl PathPattern {
    /// A path that it is for, and hardly another.
    fn example(&self) -> String {
        match self {
            Self::One(one) => one.clone(),
            Self::Below(folder) => format!("{folder}~~"),
            Self::Ending(ending) => format!("/~~{ending}"),
        }
    }

    /// What follows the pattern in a path that it is for, as it was sent; nothing where that is one path or an ending.
    fn rest<'a>(&self, raw: &'a str) -> Option<&'a str> {
        match self {
            Self::One(one) => (meaning(raw) == **one).then_some(""),
            Self::Below(folder) => {
                let slashes = folder.matches('/').count();
                let (at, _) = raw.match_indices('/').nth(slashes.checked_sub(1)?)?;
                let (begin, rest) = raw.split_at(at + 1);
                (meaning(begin) == **folder).then_some(rest)
            }
            Self::Ending(ending) => meaning(raw).ends_with(&**ending).then_some(""),
        }
    }
}

/// As it is written.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => f.write_str(one),
            Self::Below(folder) => write!(f, "{folder}*"),
            Self::Ending(ending) => write!(f, "*{ending}"),
        }
    }
}

/// What a path means.
fn meaning(path: &str) -> Cow<'_, str> {
    percent_decode_str(path).decode_utf8_lossy()
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Which paths; `None` for those at which there is nothing.
    pub from: Option<PathPattern>,
    /// Where to: a path of the site or an address with its scheme. `*` at its end stands for what followed the folder.
    pub to: String,
    /// 301, 302, 307 or 308.
    pub status: StatusCode,
}

/// How long files may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    /// Which.
    pub path: PathPattern,
    /// How long.
    pub max_age: Duration,
}

impl SiteRules {
    /// The page that a path is of: the longest path wins.
    #[must_use]
    pub fn page(&self, path: &RequestPath<'_>) -> Option<&BuiltPage> {
        let pages = self.pages.iter().filter(|page| page.path.leads_to(path));
        // Of two with one path the first counts.
        pages.min_by_key(|page| Reverse(page.path.depth()))
    }

    /// Where a path, as it was sent, is redirected to, before anything is looked for.
    #[must_use]
    pub fn redirect(&self, path: &str, query: Option<&str>) -> Option<(StatusCode, String)> {
        self.redirects.iter().find_map(|redirect| {
            let rest = redirect.from.as_ref()?.rest(path)?;
            Some((redirect.status, redirect.location(rest, query)))
        })
    }

    /// Where a path is redirected to at which there is nothing; nowhere, where that is itself the path.
    #[must_use]
    pub fn redirect_missing(&self, path: &str, query: Option<&str>) -> Option<(StatusCode, String)> {
        let redirect = self.redirects.iter().find(|redirect| redirect.from.is_none())?;
        let location = redirect.location("", query);
        let to = location.split(['?', '#']).next().unwrap_or_default();
        (meaning(to) != meaning(path)).then_some((redirect.status, location))
    }

    /// The redirects by which a browser is led round for ever, however few of the paths that they are for are tried.
    #[must_use]
    pub fn endless(&self) -> Vec<&Redirect> {
        let endless = self.redirects.iter().filter(|redirect| {
            let Some(from) = &redirect.from else { return false };
            let mut path = from.example();
            let led_by = |path: &str| {
                let mut redirects = self.redirects.iter();
                redirects
                    .find_map(|redirect| Some((redirect, redirect.from.as_ref()?.rest(path)?.to_owned())))
            };
            // What another one takes first is that one's.
            if !led_by(&path).is_some_and(|(first, _)| std::ptr::eq(first, *redirect)) {
                return false;
            }
            for _ in 0..MOST_REDIRECTS {
                let Some((by, rest)) = led_by(&path) else {
                    return false;
                };
                let location = by.location(&rest, None);
                if !location.starts_with('/') {
                    return false;
                }
                path = location.split(['?', '#']).next().unwrap_or_default().to_owned();
            }
            true
        });
        endless.collect()
    }

    /// `cache-control` of a file at this path.
    #[must_use]
    pub fn cache_control(&self, path: &str) -> String {
        let rule = self.cache.iter().find(|rule| rule.path.rest(path).is_some());
        match rule {
            Some(rule) => format!("max-age={}", rule.max_age.as_secs()),
            None => "no-cache".to_owned(),
        }
    }
}

impl Redirect {
    fn location(&self, rest: &str, query: Option<&str>) -> String {
        let to = match self.to.strip_suffix('*') {
            Some(to) => format!("{to}{rest}"),
            None => self.to.clone(),
        };
        // What begins with two slashes, or one that leans the other way, is another host to a browser.
        let mut location = to.replace('\\', "%5C");
        if location.starts_with('/') {
            let inner = location.trim_start_matches('/');
            location = format!("/{inner}");
        }
        if let Some(query) = query
            && !location.contains('?')
        {
            location.push('?');
            location.push_str(query);
        }
        // A header has no other letters.
        utf8_percent_encode(&location, CONTROLS).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rules(redirects: &[(&str, &str)]) -> SiteRules {
        let redirect = |(from, to): &(&str, &str)| Redirect {
            from: (!from.is_empty()).then(|| from.parse().unwrap()),
            to: (*to).to_owned(),
            status: StatusCode::FOUND,
        };
        SiteRules {
            redirects: redirects.iter().map(redirect).collect(),
            ..SiteRules::default()
        }
    }

    #[test]
    fn redirects_are_chosen_by_path() {
        let rules = rules(&[
            ("/old.html", "/new.html"),
            ("/docs/*", "https://docs.example/v2/*"),
            ("/all/*", "/*"),
            ("/gone/*", "/?from=gone"),
            ("/旧.html", "/新.html?页=1"),
            ("/旧/*", "/新/*"),
            ("/caf%C3%A9", "/tea"),
            ("", "/missing.html"),
        ]);
        for (path, query, to) in [
            ("/old.html", None, Some("/new.html")),
            ("/old.html", Some("a=1"), Some("/new.html?a=1")),
            ("/old.html/x", None, None),
            ("/docs/a/b", Some("q"), Some("https://docs.example/v2/a/b?q")),
            ("/docs", None, None),
            ("/all//evil.example", None, Some("/evil.example")),
            ("/all/\\evil.example", None, Some("/%5Cevil.example")),
            ("/gone/x", Some("a=1"), Some("/?from=gone")),
            ("/", None, None),
            ("/%E6%97%A7.html", None, Some("/%E6%96%B0.html?%E9%A1%B5=1")),
            ("/%e6%97%a7/a%2Fb/", None, Some("/%E6%96%B0/a%2Fb/")),
            ("/%E6%97%A7%2Fa", None, None),
            ("/caf%C3%A9", None, Some("/tea")),
        ] {
            let found = rules.redirect(path, query).map(|(_, to)| to);
            assert_eq!(found.as_deref(), to, "{path}");
        }
        for path in ["/", "/missing", "/missing.html/x"] {
            assert_eq!(rules.redirect_missing(path, None).unwrap().1, "/missing.html");
        }
        assert_eq!(rules.redirect_missing("/missing.html", Some("a=1")), None);
        assert_eq!(rules.redirect_missing("/%6Dissing.html", None), None);
    }

    #[test]
    fn redirects_that_never_end_are_found() {
        let of = |redirects: &[(&str, &str)]| {
            let rules = rules(redirects);
            let endless = rules.endless();
            let written = endless
                .iter()
                .map(|redirect| redirect.from.as_ref().map(ToString::to_string));
            written.flatten().collect::<Vec<_>>()
        };
        for (redirects, endless) in [
            (&[("/a", "/a")][..], &["/a"][..]),
            (&[("/a", "/a?b=1")], &["/a"]),
            (&[("/a", "/%61")], &["/a"]),
            (&[("/*", "/index.html")], &["/*"]),
            (&[("*.html", "/index.html")], &["*.html"]),
            (&[("/old/*", "/old/x/*")], &["/old/*"]),
            (&[("/a", "/b"), ("/b", "/a")], &["/a", "/b"]),
            (&[("/a", "/b"), ("/b", "/b")], &["/a", "/b"]),
            (&[("/old/*", "/new/*"), ("/new/*", "/newer/*")], &[]),
            (&[("/old/*", "https://elsewhere.example/old/*")], &[]),
            (&[("/index.html", "/"), ("/a/*", "/*")], &[]),
            (&[("/x/*", "/y"), ("/*", "/x/*")], &["/x/*", "/*"]),
            (&[("", "/missing.html")], &[]),
        ] {
            assert_eq!(of(redirects), endless, "{redirects:?}");
        }
    }

    #[test]
    fn the_first_cache_rule_counts() {
        let rule = |path: &str, seconds| CacheRule {
            path: path.parse().unwrap(),
            max_age: Duration::from_secs(seconds),
        };
        let rules = SiteRules {
            cache: vec![
                rule("/a/b.js", 1),
                rule("/a/*", 2),
                rule("*.js", 3),
                rule("/图/*", 4),
            ],
            ..SiteRules::default()
        };
        for (path, expected) in [
            ("/a/b.js", "max-age=1"),
            ("/a/c.js", "max-age=2"),
            ("/c.js", "max-age=3"),
            ("/%E5%9B%BE/1.png", "max-age=4"),
            ("/c.json", "no-cache"),
            ("/", "no-cache"),
        ] {
            assert_eq!(rules.cache_control(path), expected, "{path}");
        }
    }

    #[test]
    fn patterns_say_what_they_are_for() {
        for text in [
            "", "old", "/a*", "*", "/a/*/b", "*.j*", "**", "/a?b", "*/a", "/a\r\nb",
        ] {
            assert!(text.parse::<PathPattern>().is_err(), "{text:?}");
        }
        assert_eq!("/*".parse(), Ok(PathPattern::Below("/".into())));
    }

    #[test]
    fn a_page_of_a_spa_is_no_script() {
        let mut page = BuiltPage::new(RoutePath::default(), PathBuf::new());
        assert!(!page.is_page("/user/1", Some("text/html")));
        page.spa = true;
        assert!(page.is_page("/user/1", None) && page.is_page("/user/john.doe", Some("text/html,*/*")));
        assert!(!page.is_page("/assets/x.js", Some("*/*")) && !page.is_page("/a.png", None));
    }

    #[test]
    fn the_page_with_the_longest_path_is_meant() {
        let page = |path: &str| BuiltPage::new(path.parse().unwrap(), path.into());
        let rules = SiteRules {
            pages: ["/app", "/", "/app/admin/"].map(page).into(),
            ..SiteRules::default()
        };
        for (path, address) in [
            ("/", "/"),
            ("/app", "/app/"),
            ("/app/x.js", "/app/"),
            ("/%61pp/", "/app/"),
            ("/apps", "/"),
            ("/App/", "/"),
            ("/app%2Fadmin/", "/"),
            ("/app/admin", "/app/admin/"),
            ("/app/administrator", "/app/"),
        ] {
            let page = rules.page(&RequestPath::parse(path).unwrap()).unwrap();
            assert_eq!(page.address(), address, "{path}");
        }
        let below = SiteRules {
            pages: vec![page("/app")],
            ..SiteRules::default()
        };
        assert_eq!(below.page(&RequestPath::parse("/").unwrap()), None);
    }
}
