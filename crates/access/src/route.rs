//! Which path leads to which function: the longest prefix wins, and a prefix ends where a segment does.

use std::{cmp::Reverse, fmt, str::FromStr};

use thiserror::Error;
use wording::{Wording, wording};

use crate::RequestPath;

/// The path of a route (触发路径): `/`, `/api`, `/api/v1`. It has no slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutePath {
    text: String,
    segments: Vec<Vec<u8>>,
}

/// The text is no path of a route. `Display` says why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {}", self.what(), self.mend())]
pub struct RoutePathError(String);

impl RoutePathError {
    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> Wording {
        let Self(text) = self;
        wording!("{text:?} is no path of a route", "{text:?} 不能用作路由的路径")
    }

    /// What to write instead.
    #[must_use]
    pub fn mend(&self) -> Wording {
        wording!(
            "write it as \"/\" or \"/api\", with a slash at the beginning and without `.`, `..`, `//`, `?`, `#`, `*` and blanks",
            "请写成 \"/\" 或 \"/api\"：以 / 开头，不含 `.`、`..`、`//`、`?`、`#`、`*` 和空格"
        )
    }
}

impl RoutePath {
    /// As it is written, with the slash at its beginning and none at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many segments it has: of two that lead to one path, the one with more is the longer.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.segments.len()
    }

    /// Whether a request's path is this one or below it.
    #[must_use]
    pub fn leads_to(&self, path: &RequestPath<'_>) -> bool {
        self.depth() <= path.segments().len()
            && path
                .segments()
                .zip(&self.segments)
                .all(|(one, other)| one == other)
    }
}

/// `/`, to which everything leads.
impl Default for RoutePath {
    fn default() -> Self {
        Self {
            text: "/".to_owned(),
            segments: Vec::new(),
        }
    }
}

impl FromStr for RoutePath {
    type Err = RoutePathError;

    /// A slash at the end is allowed, and means nothing.
    fn from_str(text: &str) -> Result<Self, RoutePathError> {
        let refused = || RoutePathError(text.to_owned());
        let plain = |character: char| {
            !character.is_whitespace() && !character.is_control() && !"?#*\\".contains(character)
        };
        if !text.chars().all(plain) {
            return Err(refused());
        }
        let path = RequestPath::parse(text).map_err(|_| refused())?;
        let segments: Vec<_> = path.segments().map(<[u8]>::to_vec).collect();
        if segments.iter().any(Vec::is_empty) {
            return Err(refused());
        }
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        Ok(Self {
            text: if trimmed.is_empty() { "/" } else { trimmed }.to_owned(),
            segments,
        })
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A path that leads to a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The path, and whatever is below it.
    pub path: RoutePath,
    /// The function's name.
    pub function: String,
    /// Whether a caller has to be logged in (身份认证).
    pub auth: bool,
    /// Whether the function sees the whole path (路径透传), or what follows the route's own: the platform's default.
    pub passthrough: bool,
}

/// The route that a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteMatch<'r, 'p> {
    /// The route.
    pub route: &'r Route,
    /// The path that the function sees.
    pub seen: &'p str,
    /// Whether the caller has to be logged in: the route says so, or one that the function's own router may take the path for.
    pub auth: bool,
}

/// All routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Of two with one path the first counts.
    #[must_use]
    pub fn new(mut routes: Vec<Route>) -> Self {
        // Stable: what was first stays first.
        routes.sort_by_key(|route| Reverse(route.path.depth()));
        Self(routes)
    }

    /// The routes, from the longest path to the shortest.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The route that a request takes.
    ///
    /// Here `/Admin` and `//admin` are not `/admin`, but to Express and Koa they are, and the function behind `/` may have one of those. So a
    /// path that only differs in this from a longer one of a route needs the login that that one asks for, whichever route it takes.
    #[must_use]
    pub fn find<'p>(&self, path: &RequestPath<'p>) -> Option<RouteMatch<'_, 'p>> {
        let route = self.0.iter().find(|route| route.path.leads_to(path))?;
        let seen = match route.passthrough {
            true => path.raw(),
            false => path.behind(route.path.depth()),
        };
        let auth = route.auth || {
            let folded = folded(path.segments());
            let alike = |other: &&Route| {
                let other = self::folded(other.path.segments.iter().map(Vec::as_slice));
                folded.starts_with(&other)
            };
            // From the longest to the shortest: of those of one length, any.
            let nearest = self.0.iter().find(alike);
            nearest.is_some_and(|nearest| {
                let depth = nearest.path.depth();
                depth > route.path.depth()
                    && self
                        .0
                        .iter()
                        .filter(alike)
                        .any(|other| other.auth && other.path.depth() == depth)
            })
        };
        Some(RouteMatch { route, seen, auth })
    }
}

/// A path as the laxest router reads it: without case, without empty segments, and with slashes and backslashes that were encoded.
fn folded<'a>(segments: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let text = segments
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join("/");
    let names = text.split(['/', '\\']).filter(|name| !name.is_empty());
    names.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn routes(paths: &[(&str, bool)]) -> Routes {
        let route = |(path, passthrough): &(&str, bool)| Route {
            path: path.parse().unwrap(),
            function: (*path).to_owned(),
            auth: false,
            passthrough: *passthrough,
        };
        Routes::new(paths.iter().map(route).collect())
    }

    #[test]
    fn the_longest_prefix_wins_on_the_border_of_a_segment() {
        let routes = routes(&[("/", false), ("/api", false), ("/api/v1", true), ("/中", false)]);
        for (path, function, seen) in [
            ("/", "/", "/"),
            ("/x/y", "/", "/x/y"),
            ("/api", "/api", "/"),
            ("/api/", "/api", "/"),
            ("/api/a%20b/", "/api", "/a%20b/"),
            ("/api//x", "/api", "//x"),
            ("/apix", "/", "/apix"),
            ("/api-2/x", "/", "/api-2/x"),
            ("/%61pi/x", "/api", "/x"),
            ("/api%2Fv1", "/", "/api%2Fv1"),
            ("/api/v1/x", "/api/v1", "/api/v1/x"),
            ("/api/v1", "/api/v1", "/api/v1"),
            ("/api/v10", "/api", "/v10"),
            ("/%E4%B8%AD/x", "/中", "/x"),
            ("//api", "/", "//api"),
        ] {
            let path = RequestPath::parse(path).unwrap();
            let found = routes.find(&path).unwrap();
            assert_eq!(
                (found.route.path.as_str(), found.seen),
                (function, seen),
                "{path:?}"
            );
        }
    }

    #[test]
    fn without_a_route_for_all_some_paths_lead_nowhere() {
        let routes = routes(&[("/api", false)]);
        for path in ["/", "/apis", "/ap", "/API"] {
            assert!(
                routes.find(&RequestPath::parse(path).unwrap()).is_none(),
                "{path}"
            );
        }
    }

    /// What a function's own router takes for a path that needs a login needs it too; what is open for itself stays so.
    #[test]
    fn no_way_to_write_a_path_goes_round_a_login() {
        let route = |(path, auth): (&str, bool)| Route {
            path: path.parse().unwrap(),
            function: "app".to_owned(),
            auth,
            passthrough: true,
        };
        let routes = |paths: &[(&str, bool)]| Routes::new(paths.iter().copied().map(route).collect());
        let open = routes(&[
            ("/", false),
            ("/admin", true),
            ("/admin/open", false),
            ("/api", false),
            ("/api/Geheim", true),
            ("/über", true),
        ]);
        for (path, auth) in [
            ("/", false),
            ("/admin", true),
            ("/Admin/secrets", true),
            ("/%41DMIN", true),
            ("//admin/x", true),
            ("/%2Fadmin", true),
            ("/%5Cadmin", true),
            ("/admin//x", true),
            ("/admin/open/x", false),
            ("/ADMIN/Open/x", false),
            ("/administrator", false),
            ("/x/admin", false),
            ("/api/geheim", true),
            ("/api//GEHEIM/x", true),
            ("/api/geheimer", false),
            ("/%C3%9CBER", true),
        ] {
            let found = open.find(&RequestPath::parse(path).unwrap()).unwrap();
            assert_eq!(found.auth, auth, "{path}");
        }
        let closed = routes(&[("/", true), ("/public", false)]);
        for (path, auth) in [
            ("/", true),
            ("/public/x", false),
            ("/Public", true),
            ("//public", true),
        ] {
            let found = closed.find(&RequestPath::parse(path).unwrap()).unwrap();
            assert_eq!(found.auth, auth, "{path}");
        }
    }

    #[test]
    fn paths_of_routes_are_plain() {
        for (text, path) in [
            ("/", "/"),
            ("/api/", "/api"),
            ("/a/b", "/a/b"),
            ("/a-b_c.d", "/a-b_c.d"),
        ] {
            assert_eq!(text.parse::<RoutePath>().unwrap().as_str(), path);
        }
        for text in [
            "", "api", "/a/../b", "/a//b", "//", "/a b", "/a?b", "/a#b", "/a/*", "/a\n", "/a\\b",
        ] {
            assert!(text.parse::<RoutePath>().is_err(), "{text:?}");
        }
    }
}
