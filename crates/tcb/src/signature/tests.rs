#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::{
    FieldValue, javascript,
    recorded::{self, Request, SECRET_ID},
};

/// The worked examples' key pair and moment.
fn example_key(id: &str) -> Option<SecretKey> {
    (id == "AKIDstub").then(|| SecretKey::new("secretkeystub"))
}
const EXAMPLE_NOW: u64 = 1_700_000_001;
const EXAMPLE_QUERY: &str = "env=env-stub-1&seqId=seq0-abc_1";

fn example_headers<'a>(content_type: &'a str, authorization: &'a str) -> [(&'a str, &'a [u8]); 9] {
    [
        ("content-type", content_type.as_bytes()),
        ("User-Agent", b"tcb-node-sdk/3.17.2"),
        ("X-SDK-Version", b"wx-server-sdk/4.0.2"),
        ("X-TCB-Source", b"wx_client,scf"),
        ("X-Client-Timestamp", b"1700000000123"),
        ("X-TCB-Region", b"ap-shanghai"),
        ("Host", b"127.0.0.1:18080"),
        ("X-Timestamp", b"1700000000"),
        ("Authorization", authorization.as_bytes()),
    ]
}

fn example_verify(content_type: &str, body: &[u8], authorization: &str) -> Result<SecretId, SignatureError> {
    let head = Head {
        method: "POST",
        path: "/admin",
        query: EXAMPLE_QUERY,
        headers: &example_headers(content_type, authorization),
    };
    let envelope = Envelope::parse(content_type, body).unwrap();
    verify(&head, &envelope, example_key, EXAMPLE_NOW)
}

fn example_authorization(params: &str, signature: &str) -> String {
    format!(
        "TC3-HMAC-SHA256 Credential=AKIDstub/2023-11-14/tcb/tc3_request, SignedParams={params}, \
         SignedHeaders=content-type;host;user-agent;x-client-timestamp;x-sdk-version;x-tcb-region;x-tcb-source, \
         Signature={signature}"
    )
}

const EXAMPLE_BODY: &str = r#"{"action":"functions.invokeFunction","function_name":"sum","request_data":"{\"a\":1,\"s\":\"中\"}","envName":"env-stub-1","wxCloudApiToken":"wxtok123","tcb_sessionToken":"","sessionToken":"sess-tok","crossAuthorizationToken":"","file_list":[{"fileid":"cloud://e.b/x","max_age":60}],"flag":false,"num":1.5}"#;
const EXAMPLE_PARAMS: &str =
    "action;envname;file_list;flag;function_name;num;request_data;sessiontoken;wxcloudapitoken";
/// 3.0.4 lists the fields that it leaves out because they are empty.
const EXAMPLE_PARAMS_WITH_EMPTY: &str = "action;crossauthorizationtoken;envname;file_list;flag;function_name;num;request_data;sessiontoken;tcb_sessiontoken;wxcloudapitoken";
const EXAMPLE_SIGNATURE: &str = "cc6c7182819da849dea3d8b250ab36c47e7ef57b3d2362ab2f8af27cc9274ba8";

#[test]
fn the_example_in_json_as_4_0_2_and_as_3_0_4_list_it() {
    for params in [EXAMPLE_PARAMS, EXAMPLE_PARAMS_WITH_EMPTY] {
        let authorization = example_authorization(params, EXAMPLE_SIGNATURE);
        let id = example_verify("application/json", EXAMPLE_BODY.as_bytes(), &authorization).unwrap();
        assert_eq!(id.as_str(), "AKIDstub");
    }
}

#[test]
fn the_example_in_multipart() {
    let mut body = Vec::new();
    for (name, value) in [
        ("action", b"wx.openApi".as_slice()),
        ("apiName", b"a.b"),
        (
            "requestData",
            b"\x08\0\x12\x0a\x0a\x08\x0a\x01\x78\x12\x03\x3a\x22\x31",
        ),
        ("envName", b"env-stub-1"),
        ("wxCloudApiToken", b"wxtok123"),
        ("tcb_sessionToken", b""),
        ("sessionToken", b"sess-tok"),
        ("crossAuthorizationToken", b""),
    ] {
        body.extend_from_slice(b"--b\r\nContent-Disposition: form-data; name=\"");
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(if name == "requestData" {
            b"\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        } else {
            b"\"\r\n\r\n"
        });
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    let authorization = example_authorization(
        "action;apiname;envname;requestdata;sessiontoken;wxcloudapitoken",
        "3c519dc4d33cf79b7d60841655f8d96a90e79e63a892f40e855d4eb4a84d2163",
    );
    let content_type = "multipart/form-data; boundary=b";
    assert!(example_verify(content_type, &body, &authorization).is_ok());
}

#[test]
fn the_example_in_the_body() {
    let body = |signature| {
        format!(
            r#"{{"action":"database.countDocument","collectionName":"todos","query":{{"a":1}},"envName":"env-stub-1","timestamp":1700000001000,"eventId":"e1","wxCloudApiToken":"wxtok123","tcb_sessionToken":"","authorization":"q-sign-algorithm=sha1&q-ak=AKIDstub&q-sign-time=1700000000;1700000900&q-key-time=1700000000;1700000900&q-header-list=user-agent;x-tcb-source&q-url-param-list=action;collectionname;envname;eventid;query;tcb_sessiontoken;timestamp;wxcloudapitoken&q-signature={signature}","sessionToken":"t","sdk_version":"1.22.0"}}"#
        )
    };
    let head = Head {
        method: "post",
        path: "/admin",
        query: "",
        headers: &[
            ("user-agent", b"tcb-admin-sdk/1.22.0"),
            ("x-tcb-source", b"wx_client,scf"),
        ],
    };
    for (signature, right) in [
        ("b2d0cce6fb7505f19afb546f7c329767d751ef2e", true),
        ("b2d0cce6fb7505f19afb546f7c329767d751ef2f", false),
        ("", false),
    ] {
        let body = body(signature);
        let envelope = Envelope::parse("application/json", body.as_bytes()).unwrap();
        let verified = verify(&head, &envelope, example_key, EXAMPLE_NOW);
        assert_eq!(
            verified,
            right
                .then(|| SecretId("AKIDstub".into()))
                .ok_or(SignatureError::Mismatch)
        );
    }
}

#[test]
fn every_recorded_request_is_its_sender_s() {
    for request in recorded::all() {
        let envelope = request.envelope();
        let verified = request.verify(&envelope);
        assert_eq!(
            verified,
            Ok(SecretId(SECRET_ID.to_owned())),
            "{} {}",
            request.version,
            request.call
        );
        let stranger = verify_with(&request, "other-secret");
        assert_eq!(stranger, Err(SignatureError::Mismatch));
    }
}

fn verify_with(request: &Request, secret: &str) -> Result<SecretId, SignatureError> {
    let headers: Vec<(&str, &[u8])> = request
        .header_bytes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    let head = Head {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers: &headers,
    };
    verify(
        &head,
        &request.envelope(),
        |_| Some(SecretKey::new(secret)),
        request.at,
    )
}

fn is_tc3(request: &Request) -> bool {
    let mut headers = request.header_bytes.iter();
    headers.any(|header| header.0.eq_ignore_ascii_case("authorization"))
}

/// What a request says, as far as its signature vouches for it.
fn signed_meaning(request: &Request, envelope: &Envelope<'_>) -> BTreeMap<String, Vec<u8>> {
    let tc3 = is_tc3(request);
    let action = envelope.action_name();
    let added_later = |name: &str| {
        !tc3 && (["authorization", "sessiontoken", "sdk_version"].contains(&name)
            || action == "wx.openApi" && name == "requestdata"
            || action == "storage.uploadFile" && name == "file")
    };
    envelope
        .fields()
        .map(|(name, value)| {
            let value = match value {
                FieldValue::Text(text) if tc3 => javascript::trim(text).into(),
                FieldValue::Text(text) => text.as_bytes().to_vec(),
                FieldValue::Json(raw) => raw.as_bytes().to_vec(),
                FieldValue::Bytes(bytes) => bytes.to_vec(),
            };
            (name.to_ascii_lowercase(), value)
        })
        .filter(|(name, value)| !(added_later(name) || tc3 && value.is_empty()))
        .collect()
}

/// Changes each byte of a request in turn: whatever the signature covers, a change of it is refused.
#[test]
fn a_change_of_any_signed_byte_is_refused() {
    let mut refused = 0;
    for (version, call) in [
        ("4.0.2", "invoke"),
        ("4.0.2", "media"),
        ("3.0.4", "openapi"),
        ("2.1.2", "databaseAdd"),
        ("1.8.3", "invoke"),
        ("1.8.3", "media"),
        ("0.5.1", "upload"),
    ] {
        let request = recorded::one(version, call);
        let tc3 = is_tc3(&request);
        let meaning = signed_meaning(&request, &request.envelope());
        let mut changed = request.clone();
        for at in 0..request.body_bytes.len() {
            for mask in [0x01, 0x20, 0x80] {
                changed.body_bytes[at] ^= mask;
                let content_type = changed.header("content-type");
                if let Ok(envelope) = Envelope::parse(content_type, &changed.body_bytes)
                    && changed.verify(&envelope).is_ok()
                {
                    assert_eq!(
                        signed_meaning(&changed, &envelope),
                        meaning,
                        "{version} {call} {at}"
                    );
                } else {
                    refused += 1;
                }
                changed.body_bytes[at] ^= mask;
            }
        }

        let envelope = request.envelope();
        let mut must_refuse = |change: &dyn Fn(&mut Request)| {
            let mut changed = request.clone();
            change(&mut changed);
            assert!(changed.verify(&envelope).is_err(), "{version} {call}");
            refused += 1;
        };
        for at in 0..request.path.len() {
            must_refuse(&|changed| changed.path = flip(&changed.path, at));
        }
        let signed_headers: &[&str] = if tc3 {
            &[
                "host",
                "user-agent",
                "x-sdk-version",
                "x-tcb-source",
                "x-timestamp",
                "authorization",
            ]
        } else {
            &["user-agent"]
        };
        for name in signed_headers {
            for at in 0..request.header(name).len() {
                must_refuse(&|changed| changed.header_mut(name)[at] ^= 0x01);
            }
        }
        if tc3 {
            for at in 0..request.query.len() {
                must_refuse(&|changed| changed.query = flip(&changed.query, at));
            }
        }
    }
    assert!(refused > 15_000, "{refused}");
}

/// The text with one bit of one character (of ASCII) changed.
fn flip(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] ^= 0x01;
    String::from_utf8(bytes).unwrap()
}

/// What neither, or one, of the two does not cover, each as a change that is or is not taken.
#[test]
fn what_each_signature_does_not_cover() {
    type Change = fn(&mut Request);
    fn body(request: &mut Request, from: &str, to: &str) {
        let body = std::str::from_utf8(&request.body_bytes).unwrap();
        assert!(body.contains(from), "{from} in {body}");
        request.body_bytes = body.replacen(from, to, 1).into_bytes();
    }
    // What is changed, whether TC3 takes it, whether the older one takes it.
    let table: [(&str, bool, bool, Change); 18] = [
        ("the order of fields", true, true, |request| {
            body(request, "{\"action\":\"functions.invokeFunction\",", "{");
            request.body_bytes.pop();
            request
                .body_bytes
                .extend_from_slice(b",\"action\":\"functions.invokeFunction\"}");
        }),
        ("the case of a field's name", true, true, |request| {
            body(request, "\"envName\"", "\"EnvNAME\"");
        }),
        ("blanks around a name or value", true, true, |request| {
            body(request, "\"envName\":", " \"envName\" :\t");
        }),
        ("how a string is escaped", true, true, |request| {
            body(request, "\"functions.", "\"\\u0066unctions.");
        }),
        ("blanks around text", true, false, |request| {
            body(request, "\"env-1\"", "\" env-1\\u00a0\"");
        }),
        ("an empty field more", true, false, |request| {
            body(request, "{", "{\"collectionName\":\"\",");
        }),
        ("a field more", false, false, |request| {
            body(request, "{", "{\"collectionName\":\"x\",");
        }),
        ("a field more that is null", false, false, |request| {
            body(request, "{", "{\"collectionName\":null,");
        }),
        ("a field less", false, false, |request| {
            body(request, ",\"envName\":\"env-1\"", "");
        }),
        ("the field sessionToken", false, true, |request| {
            body(request, "\"session\"", "\"another\"");
        }),
        ("the query", false, true, |request| request.query.push_str("&x=1")),
        ("the path", false, false, |request| request.path.push('x')),
        ("the host", false, true, |request| {
            *request.header_mut("host") = b"elsewhere".to_vec();
        }),
        ("the content type", false, true, |request| {
            *request.header_mut("content-type") = b"application/json;charset=utf-8".to_vec();
        }),
        ("the case of a header", true, false, |request| {
            request.header_mut("x-tcb-source").make_ascii_uppercase();
        }),
        ("blanks around a header", true, false, |request| {
            request.header_mut("x-tcb-source").push(b' ');
        }),
        ("another header", true, true, |request| {
            request
                .header_bytes
                .push(("x-forwarded-for".into(), b"1".to_vec()));
        }),
        ("a signed header twice", false, false, |request| {
            request.header_bytes.push(("User-Agent".into(), b"1".to_vec()));
        }),
    ];
    for (what, by_tc3, by_body, change) in table {
        for (version, taken) in [("4.0.2", by_tc3), ("3.0.4", by_tc3), ("1.8.3", by_body)] {
            let mut request = recorded::one(version, "invoke");
            change(&mut request);
            let verified = request.verify(&request.envelope());
            assert_eq!(verified.is_ok(), taken, "{what}, {version}: {verified:?}");
        }
    }
}

/// The same of a form: the boundary, the headers of parts, and of the older signature the message itself.
#[test]
fn what_each_signature_does_not_cover_of_a_form() {
    fn bytes(request: &mut Request, from: &[u8], to: &[u8]) {
        let at = memchr::memmem::find(&request.body_bytes, from).unwrap();
        request.body_bytes.splice(at..at + from.len(), to.iter().copied());
    }
    type Change = fn(&mut Request);
    let table: [(&str, bool, bool, Change); 5] = [
        ("the boundary", true, true, |request| {
            let old = request
                .header("content-type")
                .split_once("boundary=")
                .unwrap()
                .1
                .to_owned();
            while memchr::memmem::find(&request.body_bytes, old.as_bytes()).is_some() {
                bytes(request, old.as_bytes(), b"another");
            }
            *request.header_mut("content-type") = b"multipart/form-data; boundary=another".to_vec();
        }),
        ("a header of a part", true, true, |request| {
            bytes(request, b"\r\n\r\n", b"\r\nX-Any: thing\r\n\r\n");
        }),
        ("the content type of a part", true, true, |request| {
            bytes(
                request,
                b"Content-Type: application/octet-stream",
                b"Content-Type: image/png",
            );
        }),
        ("the message", false, true, |request| {
            bytes(request, b"media.png", b"media.exe")
        }),
        ("text", false, false, |request| {
            bytes(request, b"security.", b"insecure.")
        }),
    ];
    for (what, by_tc3, by_body, change) in table {
        for (version, taken) in [("4.0.2", by_tc3), ("3.0.4", by_tc3), ("1.8.3", by_body)] {
            let mut request = recorded::one(version, "media");
            change(&mut request);
            let verified = request.verify(&request.envelope());
            assert_eq!(verified.is_ok(), taken, "{what}, {version}: {verified:?}");
        }
    }
}

#[test]
fn a_signature_holds_for_a_while() {
    for (version, before, after) in [("4.0.2", 600, 600), ("1.8.3", 600, 900)] {
        let request = recorded::one(version, "invoke");
        // The SDK signs for a second ago.
        let signed_at = request.at - 1;
        for (now, holds) in [
            (signed_at - before, true),
            (signed_at - before - 1, false),
            (signed_at + after, true),
            (signed_at + after + 1, false),
            (0, false),
            (u64::MAX, false),
        ] {
            let mut request = request.clone();
            request.at = now;
            let verified = request.verify(&request.envelope());
            assert_eq!(verified.is_ok(), holds, "{version} {now}");
            if let Err(error) = verified {
                assert_eq!(error, SignatureError::OutOfTime { signed_at, now });
            }
        }
    }
}

/// The header is not signed, so it can only shorten the time.
#[test]
fn x_signature_expires_is_capped() {
    let mut request = recorded::one("4.0.2", "invoke");
    request.at += 300;
    for (expires, holds) in [("600", true), ("299", false), ("86400", true), ("0", false)] {
        *request.header_mut("x-signature-expires") = expires.into();
        assert_eq!(request.verify(&request.envelope()).is_ok(), holds, "{expires}");
    }
    request.at += 400;
    *request.header_mut("x-signature-expires") = b"86400".to_vec();
    assert!(request.verify(&request.envelope()).is_err());
    *request.header_mut("x-signature-expires") = b"-1".to_vec();
    assert!(matches!(
        request.verify(&request.envelope()),
        Err(SignatureError::Malformed(_))
    ));
}

/// What is wrong with it is said before the signature is compared: the same text signed rightly is refused as well.
#[test]
fn a_signature_covers_what_is_read() {
    let authorization = |params: &str, headers: &str, date: &str| {
        format!(
            "TC3-HMAC-SHA256 Credential=AKIDstub/{date}/tcb/tc3_request, SignedParams={params}, SignedHeaders={headers}, \
             Signature={EXAMPLE_SIGNATURE}"
        )
    };
    let (headers, date) = ("content-type;host", "2023-11-14");
    let few = EXAMPLE_PARAMS.replace(";num", "");
    let many = format!("{EXAMPLE_PARAMS};{}", "x;".repeat(200));
    let cases: [(String, SignatureError); 12] = [
        (
            authorization(&few, headers, date),
            SignatureError::FieldNotSigned("num".into()),
        ),
        (
            authorization(EXAMPLE_PARAMS, "content-type", date),
            SignatureError::HeaderNotSigned("host"),
        ),
        (
            authorization(EXAMPLE_PARAMS, "host", date),
            SignatureError::HeaderNotSigned("content-type"),
        ),
        (
            authorization(EXAMPLE_PARAMS, "content-type;host;x-absent", date),
            SignatureError::NoHeader("x-absent".into()),
        ),
        (
            authorization(EXAMPLE_PARAMS, "content-type;host;host", date),
            SignatureError::ListedTwice("host".into()),
        ),
        (
            authorization(&format!("{EXAMPLE_PARAMS};absent"), headers, date),
            SignatureError::NoField("absent".into()),
        ),
        (
            authorization(&format!("{EXAMPLE_PARAMS};num"), headers, date),
            SignatureError::ListedTwice("num".into()),
        ),
        (
            authorization(&EXAMPLE_PARAMS.replace("envname", "envName"), headers, date),
            SignatureError::FieldNotSigned("envName".into()),
        ),
        (
            authorization(EXAMPLE_PARAMS, headers, "2023-11-15"),
            SignatureError::Date,
        ),
        (
            authorization(EXAMPLE_PARAMS, headers, date).replace("AKIDstub", "AKIDother"),
            SignatureError::UnknownId("AKIDother".into()),
        ),
        (
            authorization(EXAMPLE_PARAMS, headers, date),
            SignatureError::Mismatch,
        ),
        (
            authorization(&many, headers, date),
            SignatureError::Malformed("its lists are too long or hold an empty name"),
        ),
    ];
    for (authorization, error) in cases {
        let verified = example_verify("application/json", EXAMPLE_BODY.as_bytes(), &authorization);
        assert_eq!(verified, Err(error), "{authorization}");
    }
}

#[test]
fn other_shapes_are_malformed() {
    let right = example_authorization(EXAMPLE_PARAMS, EXAMPLE_SIGNATURE);
    for wrong in [
        "",
        "Bearer abc",
        "TC3-HMAC-SHA256",
        &right.replace("TC3-HMAC-SHA256", "TC3-HMAC-SHA512"),
        &right.replace(", SignedParams", ",SignedParams"),
        &right.replace("Signature=", "signature="),
        &right.replace("/tcb/", "/cos/"),
        &right.replace("AKIDstub/", ""),
        &format!("{right}, More=1"),
        &right.replace("action;", "action;;"),
    ] {
        let verified = example_verify("application/json", EXAMPLE_BODY.as_bytes(), wrong);
        assert!(
            matches!(verified, Err(SignatureError::Malformed(_))),
            "{wrong}: {verified:?}"
        );
    }
}

#[test]
fn unsigned_or_not_posted() {
    let request = recorded::one("4.0.2", "invoke");
    let mut unsigned = request.clone();
    unsigned
        .header_bytes
        .retain(|header| !header.0.eq_ignore_ascii_case("authorization"));
    assert_eq!(
        unsigned.verify(&unsigned.envelope()),
        Err(SignatureError::Missing)
    );
    let mut got = request.clone();
    got.method = "GET".into();
    assert_eq!(
        got.verify(&got.envelope()),
        Err(SignatureError::Method("GET".into()))
    );
    let mut undated = request;
    undated
        .header_bytes
        .retain(|header| !header.0.eq_ignore_ascii_case("x-timestamp"));
    assert_eq!(
        undated.verify(&undated.envelope()),
        Err(SignatureError::NoHeader("x-timestamp".into()))
    );
}

#[test]
fn an_error_is_one_code_and_a_key_is_never_shown() {
    assert_eq!(SignatureError::Mismatch.code(), codes::INVALID_REQUEST_SOURCE);
    assert_eq!(format!("{:?}", SecretKey::new("hidden")), "SecretKey(..)");
}
