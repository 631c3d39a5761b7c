//! What is handed out at a login: an access token, which is a JSON Web Token that any node verifies by itself and SDKs look into; a
//! refresh token, which is sealed, lives for a month from its last use, and can be revoked by its session; and, between WeChat's word and
//! a sign-in with it, a provider token.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clock::Timestamp;
use seal::{KeyRing, SealKind, Sealer, Signer};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{LoginType, WebUser};

/// How long an access token is good for: as on the platform.
const ACCESS_LIFE: Duration = Duration::from_secs(2 * 3600);
/// How long a session lives from its last refresh.
const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long somebody may take between what WeChat says of them and their sign-in.
const PROVIDER_LIFE: Duration = Duration::from_secs(5 * 60);
/// A token that is longer is none of ours.
const LONGEST: usize = 8 << 10;

/// A login, from which access tokens follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// By which it can be revoked.
    pub id: String,
    /// Who logged in.
    pub user: WebUser,
    /// What they proved it with, so that it is void when that is: the id of a ticket's key, a mark of a password's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// When it ends at the latest, where whoever vouched for the user said so: milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
    /// Longest life of its access tokens, where whoever vouched said so: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_life: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct SealedSession {
    /// Of which environment it is: those of one Mini Program may share their keys.
    env: String,
    session: Session,
    until: u64,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who shows it.
    pub user: WebUser,
    /// Of which session it is.
    pub session: String,
    /// When it ends.
    pub until: Timestamp,
}

/// Who somebody is to WeChat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderIdentity {
    /// Within the Mini Program.
    pub openid: String,
    /// Across those of one owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unionid: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SealedProvider {
    env: String,
    identity: ProviderIdentity,
    until: u64,
}

/// Why a token is not taken. Clients learn whether it has expired, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is none of ours, or of another environment.
    #[error("it is no token of this environment, or was altered")]
    Foreign,
    /// It was good once.
    #[error("it has expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// What CloudBase's tokens say, as far as SDKs read it, and the user.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    scope: String,
    project_id: String,
    user_id: String,
    user_type: String,
    provider_type: String,
    session: String,
    user: WebUser,
}

/// Makes and opens the tokens of one environment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokens {
    env: String,
    signer: Signer,
    sessions: Sealer,
    providers: Sealer,
}

impl Tokens {
    /// Those of the environment `env` of a Mini Program.
    #[must_use]
    pub fn new(ring: &KeyRing, appid: &str, env: &str) -> Self {
        Self {
            env: env.to_owned(),
            signer: Signer::new(ring, "access", appid),
            sessions: Sealer::new(ring, SealKind::Refresh, appid),
            providers: Sealer::new(ring, SealKind::Provider, appid),
        }
    }

    /// The environment.
    #[must_use]
    pub fn env(&self) -> &str {
        &self.env
    }

    /// Whether a text has the form of an access token: what `POST /v1/login` gives never has it.
    #[must_use]
    pub fn has_form(text: &str) -> bool {
        text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// For how long the next access token of a session is good.
    #[must_use]
    pub fn access_life(session: &Session, now: Timestamp) -> Duration {
        let said = session.access_life.map_or(ACCESS_LIFE, Duration::from_secs);
        let left = session.at_most.map_or(ACCESS_LIFE, |end| {
            Timestamp::from_millis(end).saturating_since(now)
        });
        said.min(ACCESS_LIFE).min(left)
    }

    /// An access token.
    #[must_use]
    pub fn seal_access(&self, session: &Session, now: Timestamp) -> String {
        let user = &session.user;
        let scope = if user.is_anonymous() { "anonymous" } else { "user" };
        let claims = Claims {
            iss: "yunqiao".to_owned(),
            sub: user.uid.clone(),
            aud: self.env.clone(),
            exp: (now + Self::access_life(session, now)).secs(),
            iat: now.secs(),
            scope: scope.to_owned(),
            project_id: self.env.clone(),
            user_id: user.uid.clone(),
            user_type: if user.is_anonymous() {
                "anonymous"
            } else {
                "external"
            }
            .to_owned(),
            provider_type: user.login.name().to_lowercase(),
            session: session.id.clone(),
            user: user.clone(),
        };
        let header = Header {
            alg: "HS256".to_owned(),
            typ: "JWT".to_owned(),
            kid: self.signer.key_id().to_owned(),
        };
        let mut token = format!("{}.{}", part(&header), part(&claims));
        let signature = self.signer.sign(token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Opens an access token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open_access(&self, token: &str, now: Timestamp) -> Result<Access, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Foreign);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Foreign)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Foreign)?;
        let header: Header = read_part(header)?;
        let signature = BASE64_URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenError::Foreign)?;
        // Of what the header says only which key counts: there is one algorithm.
        if header.alg != "HS256" || !self.signer.verify(&header.kid, signed.as_bytes(), &signature) {
            return Err(TokenError::Foreign);
        }
        let claims: Claims = read_part(claims)?;
        if claims.aud != self.env {
            return Err(TokenError::Foreign);
        }
        let until = Timestamp::from_secs(claims.exp);
        if now >= until {
            return Err(TokenError::Expired);
        }
        Ok(Access {
            user: claims.user,
            session: claims.session,
            until,
        })
    }

    /// A refresh token; its session lives for a month from now, or as long as whoever vouched for the user says.
    #[must_use]
    pub fn seal_session(&self, session: &Session, now: Timestamp) -> String {
        let until = Self::session_end(session, now).millis();
        let sealed = SealedSession {
            env: self.env.clone(),
            session: session.clone(),
            until,
        };
        self.sessions.seal(&json(&sealed))
    }

    /// When a session ends that is refreshed now, and not again.
    #[must_use]
    pub fn session_end(session: &Session, now: Timestamp) -> Timestamp {
        let end = now + SESSION_LIFE;
        session
            .at_most
            .map_or(end, |most| end.min(Timestamp::from_millis(most)))
    }

    /// Of sessions that were ended before their time, access tokens are good still where [`session_end`](Self::session_end) of that moment
    /// was not before this.
    #[must_use]
    pub fn shown_still(now: Timestamp) -> Timestamp {
        now - ACCESS_LIFE + SESSION_LIFE
    }

    /// Opens a refresh token. Whether its session was revoked is for the store to say.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open_session(&self, token: &str, now: Timestamp) -> Result<Session, TokenError> {
        let sealed: SealedSession = open(&self.sessions, token)?;
        if sealed.env != self.env {
            return Err(TokenError::Foreign);
        }
        match now < Timestamp::from_millis(sealed.until) {
            true => Ok(sealed.session),
            false => Err(TokenError::Expired),
        }
    }

    /// A provider token.
    #[must_use]
    pub fn seal_provider(&self, identity: &ProviderIdentity, now: Timestamp) -> String {
        let sealed = SealedProvider {
            env: self.env.clone(),
            identity: identity.clone(),
            until: (now + PROVIDER_LIFE).millis(),
        };
        self.providers.seal(&json(&sealed))
    }

    /// Opens a provider token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open_provider(&self, token: &str, now: Timestamp) -> Result<ProviderIdentity, TokenError> {
        let sealed: SealedProvider = open(&self.providers, token)?;
        if sealed.env != self.env {
            return Err(TokenError::Foreign);
        }
        match now < Timestamp::from_millis(sealed.until) {
            true => Ok(sealed.identity),
            false => Err(TokenError::Expired),
        }
    }
}

impl Session {
    /// A new session.
    #[must_use]
    pub fn new(id: String, user: WebUser) -> Self {
        Self {
            id,
            user,
            proof: None,
            at_most: None,
            access_life: None,
        }
    }

    /// How the user logged in.
    #[must_use]
    pub fn login(&self) -> LoginType {
        self.user.login
    }
}

/// What is written here always has a JSON text.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn part(value: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json(value))
}

fn read_part<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Foreign)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Foreign)
}

fn open<T: for<'a> Deserialize<'a>>(sealer: &Sealer, token: &str) -> Result<T, TokenError> {
    if token.len() > LONGEST {
        return Err(TokenError::Foreign);
    }
    let plain = sealer.open(token).map_err(|_| TokenError::Foreign)?;
    serde_json::from_slice(&plain).map_err(|_| TokenError::Foreign)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + seconds)
    }

    fn session() -> Session {
        Session::new("s1".to_owned(), WebUser::custom("阿丽丝"))
    }

    #[test]
    fn an_access_token_is_its_user_s_for_two_hours() {
        let tokens = Tokens::new(&KeyRing::generate(), "wx1", "env");
        let token = tokens.seal_access(&session(), at(0));
        let access = tokens.open_access(&token, at(7199)).unwrap();
        assert_eq!((access.user, access.session.as_str()), (session().user, "s1"));
        assert_eq!(tokens.open_access(&token, at(7200)), Err(TokenError::Expired));
        assert!(Tokens::has_form(&token));
    }

    #[test]
    fn what_was_altered_or_is_anothers_is_refused() {
        let ring = KeyRing::generate();
        let tokens = Tokens::new(&ring, "wx1", "env");
        let token = tokens.seal_access(&session(), at(0));
        let parts: Vec<&str> = token.split('.').collect();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        let claims = String::from_utf8(claims).unwrap().replace("CUSTOM", "WECHAT");
        let altered = BASE64_URL_SAFE_NO_PAD.encode(claims);
        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT","kid":""}"#);
        for forged in [
            format!("{}.{altered}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            String::new(),
            "a.b.c".to_owned(),
            "..".to_owned(),
            tokens.seal_session(&session(), at(0)),
            Tokens::new(&KeyRing::generate(), "wx1", "env").seal_access(&session(), at(0)),
            Tokens::new(&ring, "wx2", "env").seal_access(&session(), at(0)),
            Tokens::new(&ring, "wx1", "other").seal_access(&session(), at(0)),
        ] {
            assert_eq!(
                tokens.open_access(&forged, at(1)),
                Err(TokenError::Foreign),
                "{forged}"
            );
        }
    }

    #[test]
    fn a_session_lives_for_a_month_or_as_long_as_its_ticket_says() {
        let ring = KeyRing::generate();
        let tokens = Tokens::new(&ring, "wx1", "env");
        let other = Tokens::new(&ring, "wx1", "other");
        let month = SESSION_LIFE.as_secs();
        let sealed = tokens.seal_session(&session(), at(0));
        assert_eq!(tokens.open_session(&sealed, at(month - 1)), Ok(session()));
        assert_eq!(other.open_session(&sealed, at(1)), Err(TokenError::Foreign));
        assert_eq!(tokens.open_session(&sealed, at(month)), Err(TokenError::Expired));
        let short = Session {
            at_most: Some(at(100).millis()),
            access_life: Some(60),
            ..session()
        };
        let sealed = tokens.seal_session(&short, at(0));
        assert_eq!(tokens.open_session(&sealed, at(99)), Ok(short.clone()));
        assert_eq!(tokens.open_session(&sealed, at(100)), Err(TokenError::Expired));
        assert_eq!(Tokens::access_life(&short, at(0)).as_secs(), 60);
        assert_eq!(Tokens::access_life(&short, at(70)).as_secs(), 30);
        // One kind of token is not another.
        assert_eq!(tokens.open_provider(&sealed, at(1)), Err(TokenError::Foreign));
    }

    #[test]
    fn a_provider_token_ends_soon() {
        let ring = KeyRing::generate();
        let tokens = Tokens::new(&ring, "wx1", "env");
        let other = Tokens::new(&ring, "wx1", "other");
        let identity = ProviderIdentity {
            openid: "oABC".to_owned(),
            unionid: None,
        };
        let sealed = tokens.seal_provider(&identity, at(0));
        assert_eq!(tokens.open_provider(&sealed, at(299)), Ok(identity));
        assert_eq!(other.open_provider(&sealed, at(1)), Err(TokenError::Foreign));
        assert_eq!(tokens.open_provider(&sealed, at(300)), Err(TokenError::Expired));
    }
}
