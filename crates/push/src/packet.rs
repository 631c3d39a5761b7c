//! A packet: what a user or WeChat says, and what a function receives.

use std::fmt;

use json::Object;
use sha2::{Digest as _, Sha256};

use crate::{
    Actor, Format, FormatError, PacketKind,
    format::{only, text_member, to_json},
    kind,
    receiver::written,
};

/// What WeChat pushed, as the JSON object that a function receives. From JSON its bytes are those that WeChat sent; XML became
/// JSON in the shape of the documents' JSON examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    appid: String,
    json: String,
    to_user: String,
    from_user: String,
    msg_type: String,
    event: String,
    msg_id: Option<String>,
    create_time: Option<u64>,
}

impl Packet {
    /// Reads a packet that is believed already: decrypted, or its sender verified. It must be an object in which the fields that
    /// name users and kind are texts and stand once.
    pub fn parse(appid: &str, format: Format, bytes: &[u8]) -> Result<Self, FormatError> {
        let json = with_exact_texts(to_json(format, bytes)?.into_owned())?;
        let object = Object::parse(json.as_bytes())?;
        let text = |name| text_member(&object, name).map(Option::unwrap_or_default);
        let [to_user, from_user, msg_type, event] = [
            text("ToUserName")?,
            text("FromUserName")?,
            text("MsgType")?,
            text("Event")?,
        ];
        let msg_id = only(&object, "MsgId")?.and_then(scalar);
        let create_time = only(&object, "CreateTime")?
            .and_then(scalar)
            .and_then(|text| text.parse().ok());
        Ok(Self {
            appid: appid.to_owned(),
            to_user,
            from_user,
            msg_type,
            event,
            msg_id,
            create_time,
            json,
        })
    }

    /// The JSON object, for a function.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// To whom it was pushed.
    #[must_use]
    pub fn appid(&self) -> &str {
        &self.appid
    }

    /// `ToUserName`: the original id (`gh_…`); an appid in one official example. Empty where there is none.
    #[must_use]
    pub fn to_user(&self) -> &str {
        &self.to_user
    }

    /// `FromUserName`: an openid, of the user or of WeChat itself, see [`user`](Self::user). Empty where there is none.
    #[must_use]
    pub fn from_user(&self) -> &str {
        &self.from_user
    }

    /// `MsgType`: `event`, or the kind of message. Empty in the notices to a third-party platform's authorization URL.
    #[must_use]
    pub fn msg_type(&self) -> &str {
        &self.msg_type
    }

    /// `Event`; empty for a message.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// `MsgId` as text. It is a 64-bit number in most packets, a string in one official example.
    #[must_use]
    pub fn msg_id(&self) -> Option<&str> {
        self.msg_id.as_deref()
    }

    /// `CreateTime`, in seconds. Some packets have it as a string.
    #[must_use]
    pub fn create_time(&self) -> Option<u64> {
        self.create_time
    }

    /// Whether this is an event, and not a message.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.msg_type.eq_ignore_ascii_case("event")
    }

    /// What is known of its kind.
    #[must_use]
    pub fn kind(&self) -> Option<&'static PacketKind> {
        kind::find(&self.msg_type, &self.event)
    }

    /// The openid of the user who caused it, and on whose behalf a function runs; `None` for what WeChat itself did, and for an
    /// unknown event, whose `FromUserName` may be anybody's. A message of an unknown kind is a user's all the same.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        let actor = match self.kind() {
            Some(kind) => kind.actor,
            None if self.is_event() || self.msg_type.is_empty() => Actor::Platform,
            None => Actor::User,
        };
        (actor == Actor::User && !self.from_user.is_empty()).then_some(&self.from_user)
    }

    /// By what a packet is known again when WeChat sends it once more.
    #[must_use]
    pub fn key(&self) -> PacketKey {
        match &self.msg_id {
            Some(msg_id) if !self.is_event() => PacketKey::Message {
                appid: self.appid.clone(),
                from_user: self.from_user.clone(),
                msg_id: msg_id.clone(),
            },
            _ => PacketKey::Event {
                appid: self.appid.clone(),
                sha256: self.digest(),
            },
        }
    }

    /// Whether there is a field of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        Object::parse(self.json.as_bytes()).is_ok_and(|object| object.get(name).is_some())
    }

    /// Of all fields but `RetryTimes`, which counts how often WeChat has tried.
    fn digest(&self) -> [u8; 32] {
        let mut sha256 = Sha256::new();
        let object = Object::parse(self.json.as_bytes()).unwrap_or_default();
        for member in object.members() {
            if member.key_is("RetryTimes") {
                continue;
            }
            // With its length before it, no text can pass for a part of its neighbour.
            for text in [member.raw_key, member.value] {
                sha256.update((text.len() as u64).to_be_bytes());
                sha256.update(text);
            }
        }
        sha256.finalize().into()
    }
}

/// Adds the exact text of each whole number at the top that JavaScript cannot hold: beside a `MsgId` above 2⁵³, which
/// `JSON.parse` rounds, stands `MsgIdStr`. A choice: WeChat has no such field.
fn with_exact_texts(mut json: String) -> Result<String, FormatError> {
    let object = Object::parse(json.as_bytes())?;
    let mut added = Vec::new();
    for member in object.members().iter().filter(|member| is_rounded(member.value)) {
        let name = format!("{}Str", member.key());
        if object.get(&name).is_none() {
            added.push(b',');
            json::write_string(&mut added, &name);
            added.push(b':');
            json::write_string(&mut added, member.value);
        }
    }
    if !added.is_empty()
        && let Some(end) = json.rfind('}')
    {
        json.insert_str(end, &String::from_utf8_lossy(&added));
    }
    Ok(json)
}

/// Whether a raw value is a whole number beyond what JavaScript holds exactly.
fn is_rounded(raw: &str) -> bool {
    const MOST: u128 = (1 << 53) - 1;
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // What is too long even for this is rounded all the more.
    is_whole && digits.parse::<u128>().map_or(true, |number| number > MOST)
}

/// The text of a string or number.
fn scalar(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => json::unescape(raw).map(Into::into),
        b'-' | b'0'..=b'9' => Some(raw.to_owned()),
        _ => None,
    }
    .filter(|text| !text.is_empty())
}

/// By what a packet is known again.
///
/// WeChat's documents name `MsgId` for messages; it was seen to be the same for two users. For events they name
/// `FromUserName` and `CreateTime`, which two payments in one second share, so that the whole packet counts here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PacketKey {
    /// A message with its id.
    Message {
        /// To whom.
        appid: String,
        /// From whom.
        from_user: String,
        /// `MsgId`
        msg_id: String,
    },
    /// An event, or a message without an id.
    Event {
        /// To whom.
        appid: String,
        /// SHA-256 of the packet without `RetryTimes`.
        sha256: [u8; 32],
    },
}

impl PacketKey {
    /// The key that a packet has for whoever receives it, where it goes out as `object` in this format: what became XML on its way is not
    /// always the same JSON again. `None` where it cannot go out in this format.
    #[must_use]
    pub fn as_received(appid: &str, format: Format, object: &str) -> Option<Self> {
        let sent = written(format, object).ok()?;
        let packet = Packet::parse(appid, format, sent.as_bytes()).ok()?;
        Some(packet.key())
    }
}

impl fmt::Display for PacketKey {
    /// A JSON array, `["wx…","o…","123"]` or `["wx…","(64 hexadecimal digits)"]`: different keys are different texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest;
        let parts = match self {
            Self::Message {
                appid,
                from_user,
                msg_id,
            } => vec![appid, from_user, msg_id],
            Self::Event { appid, sha256 } => {
                digest = base16ct::lower::encode_string(sha256);
                vec![appid, &digest]
            }
        };
        let mut out = vec![b'['];
        for (nth, part) in parts.into_iter().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            json::write_string(&mut out, part);
        }
        out.push(b']');
        f.write_str(&String::from_utf8_lossy(&out))
    }
}
