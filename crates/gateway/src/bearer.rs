//! Who is calling: the bearer token that `POST /v1/login` hands out.
//!
//! The token is sealed, not stored: any node that has the key ring opens it without asking anybody. It holds
//! the user's openid and unionid and the moment, in WeChat's time, after which it is worth nothing.

use clock::Timestamp;
use seal::{KeyRing, SealKind, Sealer};
use wording::{Wording, wording};

/// The user that a valid bearer token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) openid: String,
    pub(crate) unionid: Option<String>,
    pub(crate) expires_at: Timestamp,
    /// Whether a session_key goes with the login, which WeChat can end; a user of an Official Account has none.
    pub(crate) has_session: bool,
}

/// Why a bearer token was not accepted. The client is told one thing for all of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the request has no `Authorization: Bearer` header; POST /v1/login gives a token")]
    Missing,
    #[error("the bearer token could not be opened: {0}")]
    Sealed(#[from] seal::OpenError),
    #[error("the bearer token has a layout that this version does not know")]
    Layout,
    #[error("the bearer token ended {0} s ago; log in again")]
    Expired(u64),
}

impl Refused {
    /// The same, for the log.
    pub(crate) fn wording(&self) -> Wording {
        match self {
            Self::Missing => wording!(
                "the request has no `Authorization: Bearer` header; POST /v1/login gives a token",
                "请求缺少 `Authorization: Bearer` 头；POST /v1/login 可取得 token"
            ),
            Self::Sealed(error) => wording!(
                "the bearer token could not be opened: {error}",
                "无法解开 token：{error}"
            ),
            Self::Layout => wording!(
                "the bearer token has a layout that this version does not know",
                "token 的格式不是本版本认识的"
            ),
            Self::Expired(ago) => wording!(
                "the bearer token ended {ago} s ago; log in again",
                "token 已于 {ago} 秒前过期，请重新登录"
            ),
        }
    }
}

/// Seals and opens bearer tokens of one Mini Program.
pub(crate) struct Bearers(Sealer);

const LAYOUT: u8 = 1;
/// The same, of a login without a session_key.
const WITHOUT_SESSION: u8 = 2;

impl Bearers {
    pub(crate) fn new(keys: &KeyRing, appid: &str) -> Self {
        Self(Sealer::new(keys, SealKind::Bearer, appid))
    }

    /// Layout: 1 or 2, milliseconds as u64 little endian, length of openid, openid, unionid to the end.
    pub(crate) fn seal(&self, bearer: &Bearer) -> String {
        let unionid = bearer.unionid.as_deref().unwrap_or_default();
        let mut plain = Vec::with_capacity(10 + bearer.openid.len() + unionid.len());
        plain.push(match bearer.has_session {
            true => LAYOUT,
            false => WITHOUT_SESSION,
        });
        plain.extend_from_slice(&bearer.expires_at.millis().to_le_bytes());
        // An openid has 28 characters; one over 255 would not be one.
        plain.push(u8::try_from(bearer.openid.len()).unwrap_or(u8::MAX));
        plain.extend_from_slice(bearer.openid.as_bytes());
        plain.extend_from_slice(unionid.as_bytes());
        self.0.seal(&plain)
    }

    pub(crate) fn open(&self, token: &str, now: Timestamp) -> Result<Bearer, Refused> {
        let plain = self.0.open(token)?;
        let bearer = parse(&plain).ok_or(Refused::Layout)?;
        if now > bearer.expires_at {
            return Err(Refused::Expired(
                now.saturating_since(bearer.expires_at).as_secs(),
            ));
        }
        Ok(bearer)
    }
}

fn parse(plain: &[u8]) -> Option<Bearer> {
    let (&[layout], rest) = plain.split_first_chunk()?;
    let has_session = match layout {
        LAYOUT => true,
        WITHOUT_SESSION => false,
        _ => return None,
    };
    let (expires, rest) = rest.split_first_chunk()?;
    let (&[length], rest) = rest.split_first_chunk()?;
    let (openid, unionid) = rest.split_at_checked(usize::from(length))?;
    let unionid = std::str::from_utf8(unionid).ok()?;
    Some(Bearer {
        openid: std::str::from_utf8(openid).ok()?.to_owned(),
        unionid: (!unionid.is_empty()).then(|| unionid.to_owned()),
        expires_at: Timestamp::from_millis(u64::from_le_bytes(*expires)),
        has_session,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn bearer(unionid: Option<&str>) -> Bearer {
        Bearer {
            openid: "oGZUI0egBJY1zhBYw2KhdUfwVJJE".into(),
            unionid: unionid.map(str::to_owned),
            expires_at: Timestamp::from_secs(1_000),
            has_session: unionid.is_some(),
        }
    }

    #[test]
    fn what_was_sealed_is_what_is_opened() {
        let bearers = Bearers::new(&KeyRing::generate(), "wx1");
        for unionid in [None, Some("ocMvos6NjeKLIBqg5Mr9QjxrP1FA")] {
            let token = bearers.seal(&bearer(unionid));
            assert_eq!(
                bearers.open(&token, Timestamp::from_secs(1_000)).unwrap(),
                bearer(unionid)
            );
        }
    }

    #[test]
    fn a_token_ends() {
        let bearers = Bearers::new(&KeyRing::generate(), "wx1");
        let token = bearers.seal(&bearer(None));
        let later = Timestamp::from_secs(1_000) + Duration::from_secs(7);
        assert!(matches!(bearers.open(&token, later), Err(Refused::Expired(7))));
    }

    #[test]
    fn a_token_of_another_app_ring_or_kind_is_refused() {
        let ring = KeyRing::generate();
        let ours = Bearers::new(&ring, "wx1");
        let now = Timestamp::from_secs(1);
        for foreign in [
            Bearers::new(&ring, "wx2").seal(&bearer(None)),
            Bearers::new(&KeyRing::generate(), "wx1").seal(&bearer(None)),
            Sealer::new(&ring, SealKind::Ticket, "wx1").seal(b"\x01"),
            String::new(),
            "not a token".into(),
        ] {
            assert!(
                matches!(ours.open(&foreign, now), Err(Refused::Sealed(_))),
                "{foreign}"
            );
        }
    }

    #[test]
    fn a_sealed_text_of_another_layout_is_refused() {
        let ring = KeyRing::generate();
        let sealer = Sealer::new(&ring, SealKind::Bearer, "wx1");
        let bearers = Bearers::new(&ring, "wx1");
        for plain in [
            &b""[..],
            b"\x03",
            b"\x01\0\0\0\0\0\0\0\0",
            b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x09short",
        ] {
            assert!(matches!(
                bearers.open(&sealer.seal(plain), Timestamp::from_secs(1)),
                Err(Refused::Layout)
            ));
        }
    }
}
