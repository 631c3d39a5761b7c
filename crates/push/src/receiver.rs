//! The receiving side: turns an HTTP request into a [`Packet`] that may be believed, and a [`PushReply`] into the response.

use std::{borrow::Cow, time::Duration};

use clock::Timestamp;
use thiserror::Error;

use crate::{
    EncodingAesKey, Format, FormatError, Mode, Packet, PushEnvelopeError, PushQuery, PushReply, PushToken,
    QueryError, SettingError, WriteError, codes, convert, envelope,
    format::{encrypt_of, text_member},
    xml,
};

/// How long after its moment a push is taken by default: one hour.
///
/// **Choice**: WeChat's documents leave it open. It must outlast WeChat's own attempts (three within some 15 seconds), and be far
/// less than the time for which [`PacketKey`](crate::PacketKey)s are remembered: a push that is sent again by somebody who overheard
/// it is either known or too old.
pub const MAX_AGE: Duration = Duration::from_secs(3600);

/// How far ahead of us WeChat's clock may be by default: ten minutes. A choice, too.
pub const FUTURE: Duration = Duration::from_secs(600);

/// The push settings (消息推送配置), the same as in the console.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    /// Whom messages are for: the app's appid; a third-party platform's own.
    pub appid: String,
    /// Token
    pub token: PushToken,
    /// 消息加解密方式
    pub mode: Mode,
    /// 数据格式
    pub format: Format,
    /// EncodingAESKey: the newest first, and older ones until the change is through. Any opens, the first seals. In plain mode
    /// there need not be one.
    pub keys: Vec<EncodingAesKey>,
    /// How old a push may be.
    pub max_age: Duration,
    /// How far in the future it may be.
    pub future: Duration,
}

impl ConsoleSettings {
    /// Settings with the default bounds of time.
    #[must_use]
    pub fn new(appid: &str, token: PushToken, mode: Mode, format: Format, keys: Vec<EncodingAesKey>) -> Self {
        Self {
            appid: appid.to_owned(),
            token,
            mode,
            format,
            keys,
            max_age: MAX_AGE,
            future: FUTURE,
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingError> {
        if self.appid.is_empty() {
            return Err(SettingError::NoAppid);
        }
        if self.mode != Mode::Plain && self.keys.is_empty() {
            return Err(SettingError::NoKey(self.mode));
        }
        Ok(())
    }
}

/// Receives pushes for one app.
///
/// Mode and format are those of the settings, never those that a push claims:
///
/// * *plain*: `signature` is verified. It does not cover the body, which is therefore as trustworthy as the connection.
///   A push that says it is encrypted is refused: the console is set otherwise.
/// * *secure*: `msg_signature` is verified, and only then `Encrypt` opened. `signature` is not looked at ("不要使用 signature 验证"):
///   whoever overheard one could put another body under it.
/// * *compatible*: as secure. The packet stands there twice, and the open one is not read, because nothing signs it;
///   only what is answered differs. **Choice**: no document says which part a server should read.
#[derive(Clone, Debug)]
pub struct Receiver {
    settings: ConsoleSettings,
}

impl Receiver {
    /// Fails if the mode needs a key and there is none, or if the appid is empty.
    pub fn new(settings: ConsoleSettings) -> Result<Self, SettingError> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &ConsoleSettings {
        &self.settings
    }

    /// Judges a verification of the URL (a GET), which is the same in every mode, and gives what must be answered: `echostr` as
    /// it is, without quotes around it.
    pub fn verify_url<'q>(&self, query: &'q PushQuery, now: Timestamp) -> Result<&'q str, PushRefusal> {
        self.verify_signature(query, now)?;
        query.echostr.as_deref().ok_or(PushRefusal::Missing("echostr"))
    }

    /// Judges what a push's query says by itself, before the body is read: whoever is refused here need not be listened to.
    ///
    /// # Errors
    /// What [`receive`](Self::receive) would answer as well, whatever the body is.
    pub fn judge_query(&self, query: &PushQuery, now: Timestamp) -> Result<Vouched, PushRefusal> {
        let timestamp = required(&query.timestamp, "timestamp")?;
        required(&query.nonce, "nonce")?;
        match self.settings.mode {
            Mode::Plain if query.says_encrypted() => Err(PushRefusal::Encrypted),
            Mode::Plain => self.verify_signature(query, now).map(|()| Vouched::BySignature),
            mode => {
                if query.msg_signature.is_none() {
                    return Err(PushRefusal::NotEncrypted {
                        mode,
                        lacks: "msg_signature in the URL",
                    });
                }
                // Sound for whoever signed it, too old for anybody.
                self.check_time(timestamp, now)?;
                Ok(match self.verify_signature(query, now) {
                    Ok(()) => Vouched::BySignature,
                    Err(_) => Vouched::ByNothing,
                })
            }
        }
    }

    /// Judges a push (a POST): its query and the bytes of its body.
    pub fn receive(&self, query: &PushQuery, body: &[u8], now: Timestamp) -> Result<Packet, PushRefusal> {
        match self.settings.mode {
            Mode::Plain => self.receive_plain(query, body, now),
            Mode::Compatible | Mode::Secure => self.receive_encrypted(query, body, now),
        }
    }

    fn receive_plain(&self, query: &PushQuery, body: &[u8], now: Timestamp) -> Result<Packet, PushRefusal> {
        let ConsoleSettings { appid, format, .. } = &self.settings;
        if query.says_encrypted() {
            return Err(PushRefusal::Encrypted);
        }
        self.verify_signature(query, now)?;
        let packet = Packet::parse(appid, *format, body).map_err(PushRefusal::Body)?;
        if packet.has("Encrypt") {
            return Err(PushRefusal::Encrypted);
        }
        Ok(packet)
    }

    fn receive_encrypted(
        &self,
        query: &PushQuery,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Packet, PushRefusal> {
        let ConsoleSettings {
            appid,
            token,
            mode,
            format,
            keys,
            ..
        } = &self.settings;
        let downgraded = |lacks| PushRefusal::NotEncrypted { mode: *mode, lacks };
        let timestamp = required(&query.timestamp, "timestamp")?;
        let nonce = required(&query.nonce, "nonce")?;
        let signature = query.msg_signature.as_deref();
        let signature = signature.ok_or(downgraded("msg_signature in the URL"))?;
        let encrypt = encrypt_of(*format, body).map_err(|error| match error {
            FormatError::NoEncrypt => downgraded("Encrypt in the body"),
            error => PushRefusal::Body(error),
        })?;
        if !token.verify_message(timestamp, nonce, &encrypt, signature) {
            return Err(PushRefusal::BadMessageSignature);
        }
        self.check_time(timestamp, now)?;
        let message = envelope::open(keys, &encrypt, appid)?;
        Packet::parse(appid, *format, &message).map_err(PushRefusal::Message)
    }

    /// What is answered to a push with this query. In secure mode, whatever is not a bare acknowledgement is encrypted, under the
    /// push's nonce; `random` must be random bytes. (In compatible mode both are allowed, and it stays plain.)
    pub fn answer(
        &self,
        reply: &PushReply,
        query: &PushQuery,
        now: Timestamp,
        random: [u8; 16],
    ) -> Result<PushReplyBody, WriteError> {
        let ConsoleSettings { format, mode, .. } = self.settings;
        let PushReply::Object(object) = reply else {
            return Ok(PushReplyBody {
                content_type: "text/plain",
                text: "success".to_owned(),
            });
        };
        let text = written(format, object)?;
        let text = match mode {
            Mode::Plain | Mode::Compatible => text.into_owned(),
            Mode::Secure => {
                self.encrypted_reply(&text, query.nonce.as_deref().unwrap_or_default(), now, random)?
            }
        };
        Ok(PushReplyBody {
            content_type: format.content_type(),
            text,
        })
    }

    fn encrypted_reply(
        &self,
        text: &str,
        nonce: &str,
        now: Timestamp,
        random: [u8; 16],
    ) -> Result<String, WriteError> {
        let ConsoleSettings {
            appid, token, keys, ..
        } = &self.settings;
        let key = keys.first().ok_or(WriteError::NoKey)?;
        let encrypt = envelope::seal(key, random, text.as_bytes(), appid);
        let timestamp = now.secs().to_string();
        let signature = token.sign_message(&timestamp, nonce, &encrypt);
        let mut out = b"{\"Encrypt\":".to_vec();
        json::write_string(&mut out, &encrypt);
        out.extend_from_slice(b",\"MsgSignature\":");
        json::write_string(&mut out, &signature);
        out.extend_from_slice(b",\"TimeStamp\":");
        out.extend_from_slice(timestamp.as_bytes());
        out.extend_from_slice(b",\"Nonce\":");
        json::write_string(&mut out, nonce);
        out.push(b'}');
        let object = String::from_utf8_lossy(&out);
        Ok(written(self.settings.format, &object)?.into_owned())
    }

    fn verify_signature(&self, query: &PushQuery, now: Timestamp) -> Result<(), PushRefusal> {
        let timestamp = required(&query.timestamp, "timestamp")?;
        let nonce = required(&query.nonce, "nonce")?;
        let signature = required(&query.signature, "signature")?;
        if !self.settings.token.verify(timestamp, nonce, signature) {
            return Err(PushRefusal::BadSignature);
        }
        self.check_time(timestamp, now)
    }

    /// The moment is signed, so it is looked at after the signature.
    fn check_time(&self, timestamp: &str, now: Timestamp) -> Result<(), PushRefusal> {
        let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let secs = timestamp
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or(PushRefusal::Timestamp)?;
        let made = Timestamp::from_secs(secs);
        let (age, ahead) = (now.saturating_since(made), made.saturating_since(now));
        let ConsoleSettings { max_age, future, .. } = self.settings;
        if age > max_age {
            Err(PushRefusal::TooOld { age, max_age })
        } else if ahead > future {
            Err(PushRefusal::FromTheFuture { ahead, future })
        } else {
            Ok(())
        }
    }
}

fn required<'q>(value: &'q Option<String>, name: &'static str) -> Result<&'q str, PushRefusal> {
    value.as_deref().ok_or(PushRefusal::Missing(name))
}

/// An object in a format.
pub(crate) fn written(format: Format, object: &str) -> Result<Cow<'_, str>, WriteError> {
    Ok(match format {
        Format::Json => {
            json::Object::parse(object.as_bytes())?;
            Cow::Borrowed(object)
        }
        Format::Xml => Cow::Owned(xml::write(&convert::to_elements(object)?)),
    })
}

/// What speaks for a push before its body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// `signature` is that of Token, timestamp and nonce: it was made by whoever knows the Token, perhaps for another push.
    BySignature,
    /// Nothing yet: in secure and compatible mode `msg_signature`, which covers the body, decides alone.
    ByNothing,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReplyBody {
    /// Its `content-type`.
    pub content_type: &'static str,
    /// Its text.
    pub text: String,
}

/// Why a push or a verification is refused. `Display` is for the log, and names the cause and its mend; whoever sent it is told
/// nothing: it may be anybody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PushRefusal {
    /// The URL is not taken.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A parameter of the URL is not there.
    #[error(
        "the URL has no parameter {0}: this did not come from WeChat, or a proxy on the way drops the query"
    )]
    Missing(&'static str),
    /// `signature` is not that of Token, timestamp and nonce.
    #[error(
        "signature is not that of this Token, timestamp and nonce: set the same Token here and in the console, or it did not come from WeChat"
    )]
    BadSignature,
    /// `msg_signature` is not that of Token, timestamp, nonce and Encrypt.
    #[error(
        "msg_signature is not that of this Token, timestamp, nonce and Encrypt: set the same Token here and in the console, or it did not \
         come from WeChat"
    )]
    BadMessageSignature,
    /// `timestamp` is no number.
    #[error("the timestamp in the URL is not a whole number of seconds")]
    Timestamp,
    /// Made too long ago.
    #[error(
        "the push is {} s old, and at most {} s are allowed: it was sent again by somebody, or this machine's clock is fast",
        .age.as_secs(), .max_age.as_secs()
    )]
    TooOld {
        /// How long ago.
        age: Duration,
        /// How long ago it may have been.
        max_age: Duration,
    },
    /// Made in a moment that is yet to come.
    #[error(
        "the push is {} s from the future, and at most {} s are allowed: this machine's clock is slow",
        .ahead.as_secs(), .future.as_secs()
    )]
    FromTheFuture {
        /// How far.
        ahead: Duration,
        /// How far it may be.
        future: Duration,
    },
    /// The settings ask for encryption, and it is not there: a downgrade.
    #[error(
        "push mode {:?} wants encrypted pushes, and this one has no {lacks}: set the same mode here and in the console, or somebody \
         tries to slip in a plain one", .mode.as_str()
    )]
    NotEncrypted {
        /// The mode of the settings.
        mode: Mode,
        /// What is missing.
        lacks: &'static str,
    },
    /// The settings say plain, and it is encrypted.
    #[error(
        "push mode \"plain\" wants plain pushes, and this one is encrypted: set the mode here to the one in the console, with its \
         EncodingAESKey"
    )]
    Encrypted,
    /// The body cannot be read.
    #[error("the body of the push: {0}")]
    Body(#[source] FormatError),
    /// `Encrypt` does not open.
    #[error(transparent)]
    Envelope(#[from] PushEnvelopeError),
    /// What was decrypted cannot be read.
    #[error("the decrypted message: {0}")]
    Message(#[source] FormatError),
}

impl PushRefusal {
    /// The official sample's number.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Body(error) | Self::Message(error) => error.code(),
            Self::Envelope(error) => error.code(),
            _ => codes::BAD_SIGNATURE,
        }
    }
}

/// An encrypted reply, as [`Sender`](crate::Sender) reads it.
pub(crate) fn open_reply(settings: &ConsoleSettings, text: &str) -> Result<Vec<u8>, PushRefusal> {
    let object = json::Object::parse(text.as_bytes()).map_err(|error| PushRefusal::Body(error.into()))?;
    let field = |name| {
        text_member(&object, name)
            .map_err(PushRefusal::Body)?
            .ok_or(PushRefusal::NotEncrypted {
                mode: settings.mode,
                lacks: name,
            })
    };
    let (encrypt, signature, nonce) = (field("Encrypt")?, field("MsgSignature")?, field("Nonce")?);
    let timestamp = object.get("TimeStamp").unwrap_or_default();
    let timestamp = json::unescape(timestamp).unwrap_or(Cow::Borrowed(timestamp));
    if !settings
        .token
        .verify_message(&timestamp, &nonce, &encrypt, &signature)
    {
        return Err(PushRefusal::BadMessageSignature);
    }
    Ok(envelope::open(&settings.keys, &encrypt, &settings.appid)?)
}
