//! Under which names the public listener is known.
//!
//! In production any name will do: whoever comes in shows a token of ours. In `dev` any login code is good for the first simulated
//! user, so a web page whose name was rebound to this machine could log in and call functions, and its browser would
//! think that it talks to its own server. Such a page has a name of its own in the `Host`; an address cannot be rebound.

use std::net::IpAddr;

use http::{HeaderMap, header::HOST, uri::Authority};
use wording::wording;

use crate::failure::Failure;

/// The names by which the public listener is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// Any, as behind a proxy.
    #[default]
    Any,
    /// Addresses, `localhost` and what ends in `.localhost`, and these names, with a port or without.
    Known(Vec<String>),
}

impl Hosts {
    /// # Errors
    /// 403 where the request names another host.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        match self {
            Self::Any => Ok(()),
            Self::Known(names) => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                let known = host.is_none_or(|host| is_known(host, names));
                known.then_some(()).ok_or_else(|| {
                    Failure::forbidden(
                        "this gateway is not known by the name in the Host header: use its address, or add the name to \
                         [operator] hosts in yunqiao.toml",
                    )
                    .because({
                        let host = host.unwrap_or_default();
                        wording!(
                            "a request to the host {host:?} was refused: a web page whose name was rebound to this machine asks like \
                             that. If it is a name of this machine's, add it to [operator] hosts in yunqiao.toml",
                            "对主机名 {host:?} 的请求被拒绝：域名被重新绑定到本机的网页会这样请求。如果它确是本机的名字，请加入 yunqiao.toml 的 [operator] hosts"
                        )
                    })
                })
            }
        }
    }
}

fn is_known(host: &str, names: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let local = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
    let listed = |known: &String| {
        known.eq_ignore_ascii_case(host)
            || known
                .parse::<Authority>()
                .is_ok_and(|known| known.host().eq_ignore_ascii_case(name))
    };
    bare.unwrap_or(name).parse::<IpAddr>().is_ok() || local || names.iter().any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebound_name_is_not_known() {
        let names = ["yunqiao:8787".to_owned(), "phone.example".to_owned()];
        for host in [
            "127.0.0.1:8787",
            "[::1]:8787",
            "192.168.1.7",
            "localhost",
            "LOCALHOST:1",
            "shop.localhost:8787",
            "yunqiao",
            "yunqiao:8787",
            "phone.example:9000",
        ] {
            assert!(is_known(host, &names), "{host}");
        }
        for host in [
            "",
            "evil.example:8787",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "a b",
            "user@evil.example",
            "1.2.3.4@evil.example",
        ] {
            assert!(!is_known(host, &names), "{host}");
        }
    }
}
