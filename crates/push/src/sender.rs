//! The sending side, for whoever plays WeChat: turns a packet into the request that WeChat would send.

use std::borrow::Cow;

use clock::Timestamp;
use json::Object;

use crate::{
    ConsoleSettings, EncodingAesKey, Format, Mode, PushRefusal, PushReply, SettingError, WriteError, convert,
    envelope,
    format::to_json,
    query,
    receiver::{open_reply, written},
    xml::{self, Content, Element},
};

/// Sends pushes for one app.
#[derive(Clone, Debug)]
pub struct Sender {
    settings: ConsoleSettings,
}

/// A push, to be sent by POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRequest {
    /// To be added to the URL's query.
    pub query: String,
    /// The `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Sender {
    /// Fails if the mode needs a key and there is none, or if the appid is empty.
    pub fn new(settings: ConsoleSettings) -> Result<Self, SettingError> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The query of a verification of the URL (a GET); the answer must be `echostr`, to the byte.
    #[must_use]
    pub fn verification(&self, echostr: &str, now: Timestamp, nonce: &str) -> String {
        let timestamp = now.secs().to_string();
        let signature = self.settings.token.sign(&timestamp, nonce);
        query::write([
            ("signature", signature.into()),
            ("timestamp", timestamp.into()),
            ("nonce", nonce.into()),
            ("echostr", echostr.into()),
        ])
    }

    /// The request for a packet, which is given as a JSON object. Both signatures are in the URL where WeChat sends both; JSON goes
    /// out as the bytes that it is. `random` must be random bytes.
    pub fn push(
        &self,
        packet: &str,
        now: Timestamp,
        nonce: &str,
        random: [u8; 16],
    ) -> Result<PushRequest, WriteError> {
        let ConsoleSettings {
            appid,
            token,
            mode,
            format,
            keys,
            ..
        } = &self.settings;
        let object = Object::parse(packet.as_bytes())?;
        let text = |name| object.get(name).and_then(json::unescape).unwrap_or_default();
        let timestamp = now.secs().to_string();
        let mut pairs: Vec<(&'static str, Cow<'_, str>)> = vec![
            ("signature", token.sign(&timestamp, nonce).into()),
            ("timestamp", timestamp.as_str().into()),
            ("nonce", nonce.into()),
            ("openid", text("FromUserName")),
        ];
        let message = written(*format, packet)?;
        let body = if *mode == Mode::Plain {
            message.into_owned()
        } else {
            let key: &EncodingAesKey = keys.first().ok_or(WriteError::NoKey)?;
            let encrypt = envelope::seal(key, random, message.as_bytes(), appid);
            pairs.push(("encrypt_type", "aes".into()));
            pairs.push((
                "msg_signature",
                token.sign_message(&timestamp, nonce, &encrypt).into(),
            ));
            let beside = match mode {
                Mode::Compatible => Cow::Borrowed(packet),
                _ => Cow::Owned(to_user_alone(&text("ToUserName"))),
            };
            with_encrypt(*format, &beside, &encrypt)?
        };
        Ok(PushRequest {
            query: query::write(pairs),
            content_type: format.content_type(),
            body,
        })
    }

    /// Reads what a push was answered with: nothing or `success` in any case of letters, or an object in the format of the
    /// settings. Encrypted ones are opened, once their signature is verified; in secure mode an object must be encrypted.
    pub fn read_reply(&self, body: &[u8]) -> Result<PushReply, PushRefusal> {
        let ConsoleSettings { mode, format, .. } = self.settings;
        let bare = body.trim_ascii();
        if bare.is_empty() || bare.eq_ignore_ascii_case(b"success") {
            return Ok(PushReply::Success);
        }
        let text = to_json(format, body).map_err(PushRefusal::Body)?;
        let object = Object::parse(text.as_bytes()).map_err(|error| PushRefusal::Body(error.into()))?;
        if mode == Mode::Plain || (mode == Mode::Compatible && object.get("Encrypt").is_none()) {
            return Ok(PushReply::Object(text.into_owned()));
        }
        let message = open_reply(&self.settings, &text)?;
        let message = to_json(format, &message).map_err(PushRefusal::Message)?;
        Ok(PushReply::Object(message.into_owned()))
    }
}

fn to_user_alone(to_user: &str) -> String {
    let mut out = b"{\"ToUserName\":".to_vec();
    json::write_string(&mut out, to_user);
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// The object with `Encrypt` as its last field, which it must not have yet.
fn with_encrypt(format: Format, object: &str, encrypt: &str) -> Result<String, WriteError> {
    let members = Object::parse(object.as_bytes())?;
    if members.get("Encrypt").is_some() {
        return Err(WriteError::Twice("Encrypt".to_owned()));
    }
    match format {
        Format::Json => {
            let open = object.trim_end().strip_suffix('}').unwrap_or(object);
            let comma = if members.members().is_empty() { "" } else { "," };
            // Base64 needs no escapes.
            Ok(format!("{open}{comma}\"Encrypt\":\"{encrypt}\"}}"))
        }
        Format::Xml => {
            let mut elements = convert::to_elements(object)?;
            elements.push(Element {
                name: "Encrypt".to_owned(),
                content: Content::Quoted(encrypt.to_owned()),
            });
            Ok(xml::write(&elements))
        }
    }
}
