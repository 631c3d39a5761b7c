//! From decrypted text to data that may be believed: the watermark.

use std::{borrow::Cow, time::Duration};

use clock::Timestamp;
use json::{Member, Object};

use crate::{CLOUD_ID_LIFE, DecryptError, DecryptedText};

/// What a watermark must say to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whose data it must be.
    pub appid: String,
    /// How old it may be, this age included. WeChat leaves the bound to the developer; the default is the life of a
    /// cloudID, 5 minutes.
    pub max_age: Duration,
    /// How far in the future it may be, because clocks differ; 60 s by default.
    pub future: Duration,
}

impl Policy {
    /// The default bounds for this appid.
    pub fn new(appid: impl Into<String>) -> Self {
        Self {
            appid: appid.into(),
            max_age: CLOUD_ID_LIFE,
            future: Duration::from_secs(60),
        }
    }

    fn check(&self, watermark: &Watermark, now: Timestamp) -> Result<(), DecryptError> {
        if watermark.appid != self.appid {
            return Err(DecryptError::OtherAppid {
                found: watermark.appid.clone(),
                expected: self.appid.clone(),
            });
        }
        let (age, ahead) = (
            now.saturating_since(watermark.timestamp),
            watermark.timestamp.saturating_since(now),
        );
        if age > self.max_age {
            Err(DecryptError::TooOld {
                age,
                max_age: self.max_age,
            })
        } else if ahead > self.future {
            Err(DecryptError::FromTheFuture {
                ahead,
                future: self.future,
            })
        } else {
            Ok(())
        }
    }
}

/// For whom and when WeChat made the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The Mini Program it was made for.
    pub appid: String,
    /// When it was made, to the second.
    pub timestamp: Timestamp,
}

/// Open data whose every byte was checked to be one JSON object, and whose watermark was compared. Its bytes are those
/// that WeChat encrypted, but for control characters in strings, which are escaped: fields nobody has heard of, their order,
/// and number text survive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plaintext {
    json: String,
    watermark: Watermark,
}

impl Plaintext {
    /// The JSON object, as it was decrypted.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// Its watermark.
    #[must_use]
    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }
}

impl DecryptedText {
    /// Checks that this is one JSON object, and that its watermark is there and says what the policy asks for. A control
    /// character in a string, such as a name that a user typed, is escaped, as JSON demands and WeChat does not always do.
    ///
    /// # Errors
    /// It is no JSON object, or its watermark is not there, malformed, another app's, too old, or from the future.
    pub fn into_plaintext(self, policy: &Policy, now: Timestamp) -> Result<Plaintext, DecryptError> {
        let text = match json::escape_controls(self.0.as_bytes()) {
            Cow::Borrowed(_) => self.0,
            // Escapes are ASCII, so this is the same UTF-8 elsewhere.
            Cow::Owned(bytes) => String::from_utf8(bytes).unwrap_or(self.0),
        };
        let mut members = Vec::with_capacity(16);
        Object::parse_into(text.as_bytes(), &mut members)?;
        let raw = only(&members, "watermark")?.ok_or(DecryptError::NoWatermark)?;
        let malformed = DecryptError::MalformedWatermark;
        if Object::parse_into(raw.as_bytes(), &mut members).is_err() {
            return Err(malformed);
        }
        let (Some(appid), Some(timestamp)) = (only(&members, "appid")?, only(&members, "timestamp")?) else {
            return Err(malformed);
        };
        let (Some(appid), Ok(timestamp)) = (json::unescape(appid), timestamp.parse()) else {
            return Err(malformed);
        };
        let watermark = Watermark {
            appid: appid.into_owned(),
            timestamp: Timestamp::from_secs(timestamp),
        };
        policy.check(&watermark, now)?;
        Ok(Plaintext {
            json: text,
            watermark,
        })
    }
}

/// The value of `name`, if it stands there once. Of two, readers differ on which counts, so that what was checked here
/// need not be what a function sees.
fn only<'a>(members: &[Member<'a>], name: &str) -> Result<Option<&'a str>, DecryptError> {
    let mut values = members
        .iter()
        .filter(|member| member.key_is(name))
        .map(|member| member.value);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(DecryptError::MalformedWatermark),
    }
}
