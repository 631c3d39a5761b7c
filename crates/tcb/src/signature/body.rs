//! The signature of the SDK before 2.1: a field `authorization` in the body, made with HMAC-SHA1 as for Tencent's object
//! storage, whose documents call it `q-sign-algorithm`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};

use super::{Head, MAX_AGE, SecretKey, SignatureError, hex, names, same, seconds};
use crate::{Envelope, FieldValue, envelope::excerpt, javascript::encode_uri_component};

/// Whether the SDK before 2.1 adds a field after it has signed, so that nothing vouches for it.
fn is_added_later(field: &str, action: &str) -> bool {
    ["authorization", "sessionToken", "sdk_version"]
        .iter()
        .any(|name| field.eq_ignore_ascii_case(name))
        || match action {
            "wx.openApi" | "wx.wxPayApi" => field.eq_ignore_ascii_case("requestData"),
            "storage.uploadFile" => field.eq_ignore_ascii_case("file"),
            _ => false,
        }
}

/// Such a signature says itself how long it holds; this is how long it may say, in seconds. The SDK says the same.
const MAX_SPAN: u64 = 900;

/// The parts of the field `authorization`.
struct Authorization<'a> {
    secret_id: &'a str,
    time: &'a str,
    headers: Vec<&'a str>,
    params: Vec<&'a str>,
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
    check_time(signed.time, now)?;
    let format = format_string(&signed, head, envelope)?;
    let format: [u8; 40] = hex(&Sha1::digest(format).into());

    let key: [u8; 40] = hex(&hmac(
        key(signed.secret_id)?.expose().as_bytes(),
        &[signed.time.as_bytes()],
    ));
    let expected = hmac(&key, &[b"sha1\n", signed.time.as_bytes(), b"\n", &format, b"\n"]);
    if same(&hex::<20, 40>(&expected), signed.signature) {
        Ok(signed.secret_id)
    } else {
        Err(SignatureError::Mismatch)
    }
}

impl<'a> Authorization<'a> {
    /// `q-sign-algorithm=sha1&q-ak=ID&q-sign-time=T;T&q-key-time=T;T&q-header-list=a;b&q-url-param-list=c;d&q-signature=HEX`
    fn parse(text: &'a str) -> Result<Self, SignatureError> {
        const SHAPE: SignatureError = SignatureError::Malformed(
            "the field `authorization` is not what wx-server-sdk before 2.1 writes",
        );
        let mut rest = text.split('&');
        let mut part = |prefix: &str| {
            rest.next()
                .and_then(|part| part.strip_prefix(prefix))
                .ok_or(SHAPE)
        };
        let algorithm = part("q-sign-algorithm=")?;
        let secret_id = part("q-ak=")?;
        let time = part("q-sign-time=")?;
        let key_time = part("q-key-time=")?;
        let headers = part("q-header-list=")?;
        let params = part("q-url-param-list=")?;
        let signature = part("q-signature=")?;
        if rest.next().is_some() || algorithm != "sha1" || key_time != time {
            return Err(SHAPE);
        }
        Ok(Self {
            secret_id,
            time,
            headers: names(headers)?,
            params: names(params)?,
            signature,
        })
    }
}

/// `T;T+900`. Its beginning may be ahead of us as far as with TC3.
fn check_time(span: &str, now: u64) -> Result<(), SignatureError> {
    let (from, to) = span
        .split_once(';')
        .and_then(|(from, to)| Some((seconds(from)?, seconds(to)?)))
        .ok_or(SignatureError::Malformed(
            "q-sign-time is not two numbers of seconds",
        ))?;
    let last = to.min(from.saturating_add(MAX_SPAN));
    if now > last || from > now.saturating_add(MAX_AGE) {
        let signed_at = from;
        return Err(SignatureError::OutOfTime { signed_at, now });
    }
    Ok(())
}

/// What is digested: method, path, fields and headers, in four lines.
fn format_string(
    signed: &Authorization<'_>,
    head: &Head<'_>,
    envelope: &Envelope<'_>,
) -> Result<String, SignatureError> {
    for (field, _) in envelope.fields() {
        let is_listed = signed.params.iter().any(|name| field.eq_ignore_ascii_case(name));
        if !is_listed && !is_added_later(field, envelope.action_name()) {
            return Err(SignatureError::FieldNotSigned(field.to_owned()));
        }
    }
    let mut format = format!("post\n{}\n", head.path);
    for (at, name) in signed.params.iter().enumerate() {
        let value = match envelope.get(name) {
            Some(FieldValue::Text(text)) => text,
            Some(FieldValue::Json("null")) => "",
            Some(FieldValue::Json(raw)) => raw,
            Some(FieldValue::Bytes(_)) => {
                return Err(SignatureError::Malformed(
                    "it covers a field of bytes, which cannot be",
                ));
            }
            None => return Err(SignatureError::NoField(excerpt(name))),
        };
        write_pair(&mut format, at, name, value);
    }
    format.push('\n');
    for (at, name) in signed.headers.iter().enumerate() {
        let value = head
            .header(name)?
            .ok_or_else(|| SignatureError::NoHeader(excerpt(name)))?;
        // Node writes a character of a header as one byte.
        let value: String = value.iter().map(|&byte| char::from(byte)).collect();
        write_pair(&mut format, at, name, &value);
    }
    format.push('\n');
    Ok(format)
}

fn write_pair(format: &mut String, at: usize, name: &str, value: &str) {
    if at > 0 {
        format.push('&');
    }
    format.push_str(&encode_uri_component(name));
    format.push('=');
    format.push_str(&encode_uri_component(value));
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac(key: &[u8], message: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any length");
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
