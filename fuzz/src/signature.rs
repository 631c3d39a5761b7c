//! Fields that are signed here, by another hand than the verifier's: the signature is taken, and once a byte of the body
//! is altered, it is refused, or the alteration changes nothing that is read.
//!
//! The first bytes say in which form, with which signature, and what to alter; the rest is a field a line, `name=value`,
//! where a value that is JSON is sent as such, and one that begins with `#` as bytes.

use std::{borrow::Cow, collections::BTreeMap};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tcb::{
    Envelope, FieldValue,
    signature::{Head, SecretKey, verify},
};

use crate::envelope::write_form;

const NOW: u64 = 1_700_000_000;
const QUERY: &str = "&eventId=e&seqId=s";
const BOUNDARY: &str = "------------------------f4102f088a7c80ecb5c8b257";

pub(crate) fn target(data: &[u8]) {
    let Some((&[how, at_high, at_low, mask], rest)) = data.split_first_chunk() else {
        return;
    };
    let [form, tc3, escaped, empty_too] = [1, 2, 4, 8].map(|bit| how & bit != 0);
    let text = String::from_utf8_lossy(rest);
    let mut fields = fields(&text, form, tc3);
    let content_type = if form {
        format!("multipart/form-data; boundary={BOUNDARY}")
    } else {
        "application/json".to_owned()
    };
    let mut headers = vec![
        ("Content-Type", content_type.clone()),
        ("HOST", "tcb.local".to_owned()),
        ("User-Agent", "tcb-sdk/1".to_owned()),
        ("X-Timestamp", NOW.to_string()),
    ];
    if tc3 {
        headers.push(("Authorization", sign_tc3(&fields, form, empty_too)));
    } else {
        fields.push(("authorization", FieldValue::Text(sign_in_body(&fields).into())));
    }
    let mut body = if form {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value)).collect();
        write_form(&fields, BOUNDARY)
    } else {
        write_json(&fields, escaped)
    };
    let parts = body
        .windows(BOUNDARY.len())
        .filter(|window| *window == BOUNDARY.as_bytes())
        .count();
    if form && parts > fields.len() + 1 {
        return;
    }

    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let head = Head {
        method: "POST",
        path: "/admin",
        query: QUERY,
        headers: &headers,
    };
    let read = |body: &[u8]| -> Result<BTreeMap<String, Vec<u8>>, String> {
        let envelope = Envelope::parse(&content_type, body).map_err(|error| error.to_string())?;
        let key = |id: &str| (id == "id").then(|| SecretKey::new("key"));
        verify(&head, &envelope, key, NOW + 5).map_err(|error| error.to_string())?;
        Ok(meaning(&envelope, tc3))
    };
    let right = match read(&body) {
        Ok(right) => right,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&body)),
    };
    let at = usize::from(u16::from_be_bytes([at_high, at_low])) % body.len();
    body[at] ^= mask;
    if let Ok(altered) = read(&body) {
        assert_eq!(altered, right, "{}", String::from_utf8_lossy(&body));
    }
}

/// At most 60 fields, none twice, `action` first.
fn fields<'a>(text: &'a str, form: bool, tc3: bool) -> Vec<(&'a str, FieldValue<'a>)> {
    let mut fields = vec![("action", FieldValue::Text(Cow::Borrowed("wx.openApi")))];
    for line in text.lines().take(60) {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let is_name = !name.is_empty()
            && name.len() <= 64
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.eq_ignore_ascii_case("authorization");
        if !is_name || fields.iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
            continue;
        }
        // The older signature knows bytes only where it does not cover them.
        let may_be_bytes = form && (tc3 || name == "requestData");
        let is_json = !form && json::validate(value.as_bytes()).is_ok();
        let value = match value.strip_prefix('#') {
            Some(bytes) if may_be_bytes => FieldValue::Bytes(bytes.as_bytes()),
            _ if is_json && !json::is_string(value.trim_ascii()) => FieldValue::Json(value.trim_ascii()),
            _ => FieldValue::Text(Cow::Borrowed(value)),
        };
        fields.push((name, value));
    }
    fields
}

fn write_json(fields: &[(&str, FieldValue<'_>)], escaped: bool) -> Vec<u8> {
    let mut body = b"{".to_vec();
    for (at, (name, value)) in fields.iter().enumerate() {
        body.extend_from_slice(if at > 0 { b" ,\n" } else { b"" });
        body.extend_from_slice(format!("\"{name}\" : ").as_bytes());
        match value {
            FieldValue::Text(text) if escaped => {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                body.extend_from_slice(format!("\"{}\"", units.collect::<String>()).as_bytes());
            }
            FieldValue::Text(text) => json::write_string(&mut body, text),
            FieldValue::Json(raw) => body.extend_from_slice(raw.as_bytes()),
            FieldValue::Bytes(_) => unreachable!("only forms hold bytes"),
        }
    }
    body.push(b'}');
    body
}

/// What a request says, as far as its signature vouches for it.
fn meaning(envelope: &Envelope<'_>, tc3: bool) -> BTreeMap<String, Vec<u8>> {
    let added_later = ["authorization", "sessiontoken", "sdk_version", "requestdata"];
    envelope
        .fields()
        .map(|(name, value)| (name.to_ascii_lowercase(), bytes(value, tc3)))
        .filter(|(name, value)| {
            if tc3 {
                !value.is_empty()
            } else {
                !added_later.contains(&name.as_str())
            }
        })
        .collect()
}

fn bytes(value: &FieldValue<'_>, tc3: bool) -> Vec<u8> {
    match value {
        FieldValue::Text(text) if tc3 => trim(text).into(),
        FieldValue::Text(text) => text.as_bytes().into(),
        FieldValue::Json(raw) => raw.as_bytes().into(),
        FieldValue::Bytes(bytes) => bytes.to_vec(),
    }
}

/// `WhiteSpace` and `LineTerminator` of ECMAScript, one by one.
fn trim(text: &str) -> &str {
    text.trim_matches(|char| {
        matches!(
            char,
            '\u{9}'..='\u{d}' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
                | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
        )
    })
}

fn sign_tc3(fields: &[(&str, FieldValue<'_>)], form: bool, empty_too: bool) -> String {
    let mut sorted: Vec<_> = fields
        .iter()
        .map(|(name, value)| {
            let is_empty = matches!(value, FieldValue::Text(text) if trim(text).is_empty());
            (name.to_lowercase(), bytes(value, true), is_empty)
        })
        .collect();
    sorted.sort();
    let mut payload = Vec::new();
    for (name, value, _) in sorted.iter().filter(|field| !field.2) {
        payload.extend_from_slice(format!("&{name}=").as_bytes());
        payload.extend_from_slice(value);
        payload.extend_from_slice(b"\r\n");
    }
    let listed: Vec<&str> = sorted
        .iter()
        .filter(|field| empty_too || !field.2)
        .map(|field| field.0.as_str())
        .collect();
    let content_type = if form {
        "multipart/form-data"
    } else {
        "application/json"
    };
    let request = format!(
        "post\n//tcb.local/admin\n{QUERY}\ncontent-type:{content_type}\nhost:tcb.local\nuser-agent:tcb-sdk/1\n\n\
         content-type;host;user-agent\n{}",
        hex(&Sha256::digest(payload))
    );
    let to_sign = format!(
        "TC3-HMAC-SHA256\n{NOW}\n2023-11-14/tcb/tc3_request\n{}",
        hex(&Sha256::digest(request))
    );
    let mut key = b"TC3key".to_vec();
    for part in ["2023-11-14", "tcb", "tc3_request", &to_sign] {
        key = hmac_sha256(&key, part);
    }
    format!(
        "TC3-HMAC-SHA256 Credential=id/2023-11-14/tcb/tc3_request, SignedParams={}, \
         SignedHeaders=content-type;host;user-agent, Signature={}",
        listed.join(";"),
        hex(&key)
    )
}

fn sign_in_body(fields: &[(&str, FieldValue<'_>)]) -> String {
    let mut names = Vec::new();
    let mut params = Vec::new();
    for (name, value) in fields {
        let value = match value {
            FieldValue::Text(text) => text,
            FieldValue::Json("null") => "",
            FieldValue::Json(raw) => raw,
            FieldValue::Bytes(_) => continue,
        };
        names.push(name.to_lowercase());
        params.push(format!("{}={}", name.to_lowercase(), percent(value)));
    }
    let format = format!("post\n/admin\n{}\nuser-agent=tcb-sdk%2F1\n", params.join("&"));
    let time = format!("{NOW};{}", NOW + 900);
    let to_sign = format!("sha1\n{time}\n{}\n", hex(&Sha1::digest(format)));
    let key = hex(&hmac_sha1(b"key", &time));
    format!(
        "q-sign-algorithm=sha1&q-ak=id&q-sign-time={time}&q-key-time={time}&q-header-list=user-agent&q-url-param-list={}\
         &q-signature={}",
        names.join(";"),
        hex(&hmac_sha1(key.as_bytes(), &to_sign))
    )
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac_sha256(key: &[u8], message: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac_sha1(key: &[u8], message: &str) -> Vec<u8> {
    let mac = Hmac::<Sha1>::new_from_slice(key).expect("any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}
