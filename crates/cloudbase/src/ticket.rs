//! Custom login: a ticket by which another server, with a private key, vouches for a user. `createTicket` of node-sdk makes them:
//! `<private_key_id>/@@/<JWT RS256>`, whose times are milliseconds.

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ring::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY as RS256, UnparsedPublicKey};
use serde::Deserialize;
use thiserror::Error;

/// What stands between a ticket's key id and its token.
const SEPARATOR: &str = "/@@/";
/// A ticket is good for ten minutes from when it is made, as often as it is shown; who makes one for longer means something else.
const LONGEST_LIFE: u64 = 60 * 60 * 1000;
/// How far the clocks of two servers may differ, in milliseconds.
const CLOCKS: u64 = 5 * 60 * 1000;
/// A number below this is of seconds: milliseconds since 1973.
const MILLISECONDS: u64 = 100_000_000_000;

/// The public keys of those who may make tickets, by `private_key_id`.
#[derive(Clone, Default)]
pub struct TicketKeys(BTreeMap<String, Vec<u8>>);

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Who the user is to whoever made it.
    pub uid: String,
    /// The key that signed it.
    pub key_id: String,
    /// How long access tokens are to be good for, in seconds, where it says.
    pub refresh: Option<u64>,
    /// When the session ends at the latest, in milliseconds since 1970, where it says.
    pub expire: Option<u64>,
}

/// Why there are no keys in a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TicketKeysError {
    /// The whole is another.
    #[error("it is not {{\"<private_key_id>\": \"<public key in PEM>\"}}: {0}")]
    Form(String),
    /// One key is none.
    #[error(
        "the key {0:?} is no public RSA key in PEM; of the private key that CloudBase gives, `openssl rsa -in key.pem -pubout` makes it"
    )]
    Key(String),
}

/// Why a ticket is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It is none.
    #[error("it is not of the form <private_key_id>/@@/<token>")]
    Form,
    /// Nobody whom we know has signed it.
    #[error("[auth] ticket_keys has no key {0:?}")]
    UnknownKey(String),
    /// The signature is another's.
    #[error("its signature is not of the key {0:?}")]
    Signature(String),
    /// It is for another environment.
    #[error("it is for the environment {0:?}")]
    Environment(String),
    /// Its time is over, or has not come.
    #[error("it has expired, or the clocks of the two servers differ by more than five minutes")]
    Time,
    /// The session that it allows is over (`expire`).
    #[error("the session that it allows has ended (its `expire` is over)")]
    SessionOver,
    /// Its user's id is none.
    #[error("its uid is not 4 to 32 of letters, digits and _-#@~=*(){{}}[]:.,<>+")]
    Uid,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    env: String,
    iat: f64,
    exp: f64,
    uid: String,
    refresh: Option<f64>,
    expire: Option<f64>,
}

impl TicketKeys {
    /// Reads the keys: a JSON object of PEM texts.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TicketKeysError> {
        let texts: BTreeMap<String, String> =
            serde_json::from_str(text).map_err(|error| TicketKeysError::Form(error.to_string()))?;
        let keys = texts.into_iter().map(|(id, pem)| match public_key(&pem) {
            Some(key) => Ok((id, key)),
            None => Err(TicketKeysError::Key(id)),
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a key of this id.
    #[must_use]
    pub fn knows(&self, key_id: &str) -> bool {
        self.0.contains_key(key_id)
    }

    /// Verifies a ticket for the environment `env`; `now` is the machine's time, in milliseconds since 1970.
    ///
    /// # Errors
    /// Why it is not taken: for the log.
    pub fn verify(&self, ticket: &str, env: &str, now: u64) -> Result<Ticket, TicketError> {
        let (key_id, token) = ticket.split_once(SEPARATOR).ok_or(TicketError::Form)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(TicketError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TicketError::Form)?;
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketError::Form);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TicketError::Form)?;
        if header.alg != "RS256" {
            return Err(TicketError::Form);
        }
        let key = self.0.get(key_id);
        let key = key.ok_or_else(|| TicketError::UnknownKey(key_id.chars().take(64).collect()))?;
        UnparsedPublicKey::new(&RS256, key)
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| TicketError::Signature(key_id.to_owned()))?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| TicketError::Form)?;
        claims.judge(key_id, env, now)
    }
}

impl Claims {
    fn judge(self, key_id: &str, env: &str, now: u64) -> Result<Ticket, TicketError> {
        if self.env != env {
            return Err(TicketError::Environment(self.env));
        }
        let (made, ends) = (milliseconds(self.iat), milliseconds(self.exp));
        let early = made > now.saturating_add(CLOCKS);
        if early || ends <= now || ends > made.saturating_add(LONGEST_LIFE) {
            return Err(TicketError::Time);
        }
        let expire = self.expire.map(milliseconds);
        if expire.is_some_and(|expire| expire <= now) {
            return Err(TicketError::SessionOver);
        }
        if !is_custom_user_id(&self.uid) {
            return Err(TicketError::Uid);
        }
        Ok(Ticket {
            uid: self.uid,
            key_id: key_id.to_owned(),
            refresh: self.refresh.map(|refresh| refresh as u64 / 1000),
            expire,
        })
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// node-sdk writes milliseconds; what other libraries make has seconds.
fn milliseconds(time: f64) -> u64 {
    let time = time as u64;
    if time < MILLISECONDS { time * 1000 } else { time }
}

/// As node-sdk checks it: `^[a-zA-Z0-9_\-#@~=*(){}[\]:.,<>+]{4,32}$`.
fn is_custom_user_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-#@~=*(){}[]:.,<>+".contains(&byte);
    (4..=32).contains(&text.len()) && text.bytes().all(plain)
}

/// The key as `ring` wants it: an `RSAPublicKey` (RFC 8017, A.1.1) in DER.
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let pem = pem.trim();
    let (label, rest) = pem.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, end) = rest.split_once("-----END ")?;
    if end.trim() != format!("{label}-----") {
        return None;
    }
    let body: String = body
        .chars()
        .filter(|character| !character.is_ascii_whitespace())
        .collect();
    let der = BASE64_STANDARD.decode(body).ok()?;
    match label {
        "RSA PUBLIC KEY" => Some(der),
        "PUBLIC KEY" => of_subject_public_key_info(&der),
        _ => None,
    }
}

/// `SubjectPublicKeyInfo` (RFC 5280): the algorithm, and the key as the content of a bit string.
fn of_subject_public_key_info(der: &[u8]) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    /// 1.2.840.113549.1.1.1
    const RSA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let (info, rest) = element(der, SEQUENCE)?;
    let (algorithm, info) = element(info, SEQUENCE)?;
    let (bits, after) = element(info, BIT_STRING)?;
    let (unused, key) = bits.split_first()?;
    let whole = rest.is_empty() && after.is_empty() && *unused == 0;
    (whole && algorithm.starts_with(&RSA)).then(|| key.to_vec())
}

/// The content of the element of this tag that `der` begins with, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests;
