//! TC3, as wx-server-sdk signs from 2.1 on: a digest of the fields, within a digest of the request, under a key of the day.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Head, MAX_AGE, SecretKey, SignatureError, hex, names, same, seconds};
use crate::{Envelope, FieldValue, envelope::excerpt, javascript};

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SCOPE: &str = "/tcb/tc3_request";

/// The parts of the header `Authorization`.
struct Authorization<'a> {
    secret_id: &'a str,
    date: &'a str,
    params: Vec<&'a str>,
    headers: Vec<&'a str>,
    signature: &'a str,
}

pub(super) fn verify<'a>(
    authorization: &'a str,
    head: &Head<'_>,
    envelope: &Envelope<'_>,
    key: impl FnOnce(&str) -> Result<SecretKey, SignatureError>,
    now: u64,
) -> Result<&'a str, SignatureError> {
    let signed = Authorization::parse(authorization)?;
    let timestamp = timestamp(head, now)?;
    if utc_date(timestamp) != signed.date {
        return Err(SignatureError::Date);
    }
    for needed in ["host", "content-type"] {
        if !signed.headers.contains(&needed) {
            return Err(SignatureError::HeaderNotSigned(needed));
        }
    }
    let payload = payload_digest(&signed.params, envelope)?;
    let request = request_digest(&signed, head, &payload)?;
    let key = signing_key(&key(signed.secret_id)?, signed.date);
    let expected = hmac(
        &*key,
        &[
            ALGORITHM.as_bytes(),
            b"\n",
            timestamp.to_string().as_bytes(),
            b"\n",
            signed.date.as_bytes(),
            SCOPE.as_bytes(),
            b"\n",
            &request,
        ],
    );
    if same(&hex::<32, 64>(&expected), signed.signature) {
        Ok(signed.secret_id)
    } else {
        Err(SignatureError::Mismatch)
    }
}

impl<'a> Authorization<'a> {
    /// `TC3-HMAC-SHA256 Credential=ID/DATE/tcb/tc3_request, SignedParams=a;b, SignedHeaders=c;d, Signature=HEX`
    fn parse(text: &'a str) -> Result<Self, SignatureError> {
        const SHAPE: SignatureError = SignatureError::Malformed(
            "Authorization is not TC3-HMAC-SHA256 with Credential, SignedParams, SignedHeaders and Signature",
        );
        let mut rest = text
            .strip_prefix(ALGORITHM)
            .and_then(|text| text.strip_prefix(' '))
            .ok_or(SHAPE)?
            .split(", ");
        let mut part = |prefix: &str| {
            rest.next()
                .and_then(|part| part.strip_prefix(prefix))
                .ok_or(SHAPE)
        };
        let credential = part("Credential=")?;
        let params = part("SignedParams=")?;
        let headers = part("SignedHeaders=")?;
        let signature = part("Signature=")?;
        if rest.next().is_some() {
            return Err(SHAPE);
        }
        let (secret_id, date) = credential
            .strip_suffix(SCOPE)
            .and_then(|text| text.rsplit_once('/'))
            .ok_or(SignatureError::Malformed(
                "Credential is not ID/DATE/tcb/tc3_request",
            ))?;
        Ok(Self {
            secret_id,
            date,
            params: names(params)?,
            headers: names(headers)?,
            signature,
        })
    }
}

/// `X-Timestamp`, in seconds, if it is recent enough. It is part of what is signed; how long it holds is not.
fn timestamp(head: &Head<'_>, now: u64) -> Result<u64, SignatureError> {
    let number = |name| match head.header(name)? {
        None => Ok(None),
        Some(value) => {
            std::str::from_utf8(value)
                .ok()
                .and_then(seconds)
                .map(Some)
                .ok_or(SignatureError::Malformed(
                    "X-Timestamp or X-Signature-Expires is not a number of seconds",
                ))
        }
    };
    let signed_at = number("x-timestamp")?.ok_or_else(|| SignatureError::NoHeader("x-timestamp".into()))?;
    let max_age = number("x-signature-expires")?.map_or(MAX_AGE, |age| age.min(MAX_AGE));
    if now.abs_diff(signed_at) > max_age {
        return Err(SignatureError::OutOfTime { signed_at, now });
    }
    Ok(signed_at)
}

/// The digest of the fields that are listed, and the certainty that those are all that hold something.
fn payload_digest(listed: &[&str], envelope: &Envelope<'_>) -> Result<[u8; 64], SignatureError> {
    let is_listed = |field: &str| listed.iter().any(|name| is_named(field, name));
    let mut unlisted = envelope.fields().filter(|(name, _)| !is_listed(name));
    if let Some((name, _)) = unlisted.find(|(_, value)| signed_bytes(value).is_some()) {
        return Err(SignatureError::FieldNotSigned(name.to_owned()));
    }
    let mut digest = Sha256::new();
    for name in listed {
        let mut fields = envelope.fields();
        let (_, value) = fields
            .find(|(field, _)| is_named(field, name))
            .ok_or_else(|| SignatureError::NoField(excerpt(name)))?;
        if let Some(value) = signed_bytes(value) {
            digest.update("&");
            digest.update(name);
            digest.update("=");
            digest.update(value);
            digest.update("\r\n");
        }
    }
    Ok(hex(&digest.finalize().into()))
}

/// Names are listed in lower case; a field's is of ASCII.
fn is_named(field: &str, listed: &str) -> bool {
    field
        .bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .eq(listed.bytes())
}

/// What of a field goes into the digest; nothing of empty text, but something of an empty Buffer.
fn signed_bytes<'v>(value: &'v FieldValue<'_>) -> Option<&'v [u8]> {
    match value {
        FieldValue::Text(text) => Some(javascript::trim(text).as_bytes()).filter(|text| !text.is_empty()),
        FieldValue::Json(raw) => Some(raw.as_bytes()),
        FieldValue::Bytes(bytes) => Some(bytes),
    }
}

/// The digest of the whole request: method, address, query, headers, fields.
fn request_digest(
    signed: &Authorization<'_>,
    head: &Head<'_>,
    payload: &[u8],
) -> Result<[u8; 64], SignatureError> {
    let header = |name: &str| {
        head.header(name)?
            .ok_or_else(|| SignatureError::NoHeader(excerpt(name)))
    };
    let mut digest = Sha256::new();
    digest.update("post\n//");
    digest.update(header("host")?);
    for part in [head.path, "\n", head.query, "\n"] {
        digest.update(part);
    }
    for name in &signed.headers {
        digest.update(name);
        digest.update(":");
        digest.update(canonical_header(name, header(name)?));
        digest.update("\n");
    }
    digest.update("\n");
    for (at, name) in signed.headers.iter().enumerate() {
        digest.update(if at > 0 { ";" } else { "" });
        digest.update(name);
    }
    digest.update("\n");
    digest.update(payload);
    Ok(hex(&digest.finalize().into()))
}

/// Trimmed and in lower case; only the content type is kept, without what follows `multipart/form-data`, which the SDK does
/// not know yet when it signs.
fn canonical_header(name: &str, value: &[u8]) -> String {
    const FORM: &str = "multipart/form-data";
    // Node writes a character of a header as one byte.
    let value: String = value.iter().map(|&byte| char::from(byte)).collect();
    match name {
        "content-type" if value.starts_with(FORM) => FORM.to_owned(),
        "content-type" => value,
        _ => javascript::trim(&value).to_lowercase(),
    }
}

/// The key of the day: `HMAC(HMAC(HMAC("TC3" + secret, date), "tcb"), "tc3_request")`.
fn signing_key(secret: &SecretKey, date: &str) -> Zeroizing<[u8; 32]> {
    let first = Zeroizing::new(["TC3", secret.expose()].concat());
    let day = Zeroizing::new(hmac(first.as_bytes(), &[date.as_bytes()]));
    let service = Zeroizing::new(hmac(&*day, &[b"tcb"]));
    Zeroizing::new(hmac(&*service, &[b"tc3_request"]))
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// `2023-11-14` of 1700000000: the date in the calendar of UTC.
fn utc_date(seconds: u64) -> String {
    // Days since 0000-03-01, so that a leap day ends its year; eras of 400 years have the same number of days.
    // The algorithm is Howard Hinnant's `civil_from_days`.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `new Date(seconds * 1000).toISOString()` begins with.
    #[test]
    fn dates_of_utc() {
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_700_000_000, "2023-11-14"),
            (1_709_164_800, "2024-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(utc_date(seconds), date);
        }
    }
}
