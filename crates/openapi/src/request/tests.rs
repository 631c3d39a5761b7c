#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value as Json, json};

use super::*;
use crate::{CloudCallSupport, all, find};

fn json<'a>(key: &'a str, value: &'a str) -> ApiParam<'a> {
    ApiParam {
        key,
        value: value.as_bytes(),
        filename: None,
    }
}

fn file<'a>(key: &'a str, filename: &'a str, value: &'a [u8]) -> ApiParam<'a> {
    ApiParam {
        key,
        value,
        filename: Some(filename),
    }
}

fn request(api: &str, pairs: &[ApiParam<'_>]) -> Result<ApiRequest, RequestError> {
    find(api).unwrap().request(pairs, &Boundary::new(0))
}

/// Method, path and query in one line, the query not percent-encoded; and the body as text.
fn shown(api: &str, pairs: &[ApiParam<'_>]) -> (String, String) {
    let request = request(api, pairs).unwrap();
    let mut line = format!("{} {}", request.method.as_str(), request.path);
    for (at, (name, value)) in request.query.iter().enumerate() {
        line += &format!("{}{name}={value}", if at == 0 { '?' } else { '&' });
    }
    (line, String::from_utf8_lossy(request.body.bytes()).into_owned())
}

fn is(line: &str, body: &str) -> (String, String) {
    (line.to_owned(), body.to_owned())
}

#[test]
fn what_the_sdk_was_seen_to_send_becomes_the_documented_request() {
    // Observed with wx-server-sdk 4.0.2.
    assert_eq!(
        shown(
            "subscribeMessage.send",
            &[
                json("touser", "\"oABC\""),
                json("page", "\"p\""),
                json("data", r#"{"thing1":{"value":"v"}}"#),
                json("lang", "\"zh_CN\""),
                json("template_id", "\"T1\""),
                json("miniprogram_state", "\"trial\""),
            ]
        ),
        is(
            "POST /cgi-bin/message/subscribe/send",
            r#"{"touser":"oABC","page":"p","data":{"thing1":{"value":"v"}},"lang":"zh_CN","template_id":"T1","miniprogram_state":"trial"}"#
        )
    );
    assert_eq!(
        shown(
            "wxacode.getUnlimited",
            &[
                json("scene", "\"a=1\""),
                json("page", "\"pages/i\""),
                json("width", "280"),
                json("is_hyaline", "true"),
                json("line_color", r#"{"r":0,"g":0,"b":1}"#),
            ]
        ),
        is(
            "POST /wxa/getwxacodeunlimit",
            r#"{"scene":"a=1","page":"pages/i","width":280,"is_hyaline":true,"line_color":{"r":0,"g":0,"b":1}}"#
        )
    );
    assert_eq!(
        shown(
            "cloudbase.getOpenData",
            &[json("openid", "\"o1\""), json("cloudid_list", r#"["c1","c2"]"#)]
        ),
        is(
            "POST /wxa/getopendata?openid=o1",
            r#"{"cloudid_list":["c1","c2"]}"#
        )
    );
    let image = request(
        "security.imgSecCheck",
        &[file("media", "media.png", b"\x89P\xff\xfe")],
    )
    .unwrap();
    assert_eq!((image.path, image.query), ("/wxa/img_sec_check", vec![]));
    assert_eq!(
        image.body.content_type(),
        Some("multipart/form-data; boundary=yunqiao-00000000000000000000000000000000")
    );
    assert_eq!(
        image.body.bytes().escape_ascii().to_string(),
        b"--yunqiao-00000000000000000000000000000000\r\n\
          Content-Disposition: form-data; name=\"media\"; filename=\"media.png\"\r\n\
          Content-Type: image/png\r\n\
          \r\n\
          \x89P\xff\xfe\r\n\
          --yunqiao-00000000000000000000000000000000--\r\n"
            .escape_ascii()
            .to_string()
    );
}

/// A line of `golden/requests.jsonl`.
#[derive(serde::Deserialize)]
struct Golden {
    api: String,
    sent: Map<String, Json>,
    #[serde(default)]
    files: Map<String, Json>,
    request: String,
    #[serde(default)]
    query: Map<String, Json>,
    body: Option<Json>,
    form: Option<Vec<Vec<String>>>,
}

#[test]
fn requests_are_those_of_the_documents() {
    let golden = include_str!("../golden/requests.jsonl");
    assert!(golden.lines().count() > 130);
    for line in golden.lines() {
        let golden: Golden = serde_json::from_str(line).unwrap();
        let api = golden.api.as_str();
        let sent: Vec<(&String, String)> = golden
            .sent
            .iter()
            .map(|(key, value)| (key, value.to_string()))
            .collect();
        let mut pairs: Vec<ApiParam<'_>> = sent.iter().map(|(key, text)| json(key, text)).collect();
        for (key, name) in &golden.files {
            pairs.push(file(key, name.as_str().unwrap(), b"bytes"));
        }
        let request = request(api, &pairs).unwrap();

        assert_eq!(
            format!("{} {}", request.method.as_str(), request.path),
            golden.request,
            "{api}"
        );
        let query: Map<String, Json> = request
            .query
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        assert_eq!(query, golden.query, "{api}");
        match (&request.body, golden.body, golden.form) {
            (ApiBody::None, None, None) => {}
            (ApiBody::Json(bytes), Some(body), None) => {
                assert_eq!(serde_json::from_slice::<Json>(bytes).unwrap(), body, "{api}");
            }
            (ApiBody::Multipart { bytes, .. }, None, Some(form)) => {
                assert_eq!(parts(bytes), form, "{api}");
            }
            (body, ..) => panic!("{api}: {body:?}"),
        }
    }
}

/// The parts of a form: name and text, or name, file name and type.
fn parts(form: &[u8]) -> Vec<Vec<String>> {
    let form = std::str::from_utf8(form).unwrap();
    let (boundary, _) = form.split_once("\r\n").unwrap();
    let form = form.strip_suffix(&format!("\r\n{boundary}--\r\n")).unwrap();
    form.strip_prefix(boundary)
        .unwrap()
        .split(&format!("\r\n{boundary}"))
        .map(|part| {
            let (head, content) = part.split_once("\r\n\r\n").unwrap();
            let value_after = |text: &str, end: &str| {
                let (_, rest) = head.split_once(text)?;
                Some(rest.split(end).next().unwrap().to_owned())
            };
            let name = value_after(" name=\"", "\"").unwrap();
            match value_after("filename=\"", "\"") {
                Some(file) => vec![name, file, value_after("Content-Type: ", "\r\n").unwrap()],
                None => vec![name, content.to_owned()],
            }
        })
        .collect()
}

#[test]
fn every_api_with_cloud_call_makes_a_request() {
    for api in all().iter().filter(|api| api.cloud_call == CloudCallSupport::Yes) {
        let query: Vec<ApiParam<'_>> = api.query().map(|name| json(name, "\"一\"")).collect();
        let mut pairs = query.clone();
        pairs.push(json("something_else", "12345678901234567890"));
        let request = api.request(&pairs, &Boundary::new(1)).unwrap();
        let named = |name: &str| request.query.iter().any(|(key, _)| key == name);
        assert!(api.query().all(named), "{}", api.name);
        assert_eq!(
            named("something_else"),
            request.method == Method::Get,
            "{}",
            api.name
        );
        match &request.body {
            ApiBody::None => assert_eq!(api.body, ApiBodyKind::None, "{}", api.name),
            ApiBody::Json(bytes) => assert_eq!(
                bytes, br#"{"something_else":12345678901234567890}"#,
                "{}",
                api.name
            ),
            ApiBody::Multipart { bytes, .. } => {
                assert_eq!(
                    parts(bytes),
                    [["something_else", "12345678901234567890"]],
                    "{}",
                    api.name
                );
            }
        }
    }
}

#[test]
fn json_text_is_spliced_as_it_came() {
    let exact = r#"[12345678901234567890, 1.00, 1e400, -0.0, "\u4e91/\/", {"b":1,"a":{"b":2, "b":3}}]"#;
    assert_eq!(
        shown(
            "logistics.getQuota",
            &[json("bizId \"x\"", exact), json("n", " null\n")]
        )
        .1,
        format!(r#"{{"bizId \"x\"":{exact},"n":null}}"#)
    );
    assert_eq!(shown("logistics.getQuota", &[]).1, "{}");
}

#[test]
fn a_query_holds_text() {
    assert_eq!(
        shown(
            "subscribeMessage.getPubTemplateTitleList",
            &[
                json("ids", r#""2,616 & \"更\u4e91\"""#),
                json("start", "0"),
                json("limit", "null"),
                json("big", "12345678901234567890"),
                json("flag", "true"),
                json("list", "[1,2]"),
                json("access_token", "\"mine\""),
            ]
        ),
        is(
            "GET /wxaapi/newtmpl/getpubtemplatetitles?ids=2,616 & \"更云\"&start=0&big=12345678901234567890&flag=true&list=[1,2]",
            ""
        )
    );
}

#[test]
fn keys_that_the_sdk_spoils_are_put_right() {
    let right = is(
        "POST /wxaapi/broadcast/goods/add",
        r#"{"goodsInfo":{"coverImgUrl":"cover_img_url","price2":1}}"#,
    );
    let spoilt = json("goods_info", r#"{"cover_img_url":"cover_img_url","price2":1}"#);
    let kept = json("goodsInfo", r#"{"coverImgUrl":"cover_img_url","price2":1}"#);
    assert_eq!(shown("liveBroadcast.goodsAdd", &[spoilt]), right);
    assert_eq!(shown("liveBroadcast.goodsAdd", &[kept]), right);
    assert_eq!(
        shown("liveBroadcast.getPushUrl", &[json("room_id", "7")]),
        is("GET /wxaapi/broadcast/room/getpushurl?roomId=7", "")
    );
    assert_eq!(
        shown(
            "cloudbase.describeSmsRecords",
            &[json("post_data", r#"{"env_id":"e","mobile":"13"}"#)]
        )
        .1,
        r#"{"PostData":{"EnvId":"e","Mobile":"13"}}"#
    );
    // Elsewhere the same key is what the API wants.
    assert_eq!(
        shown("logistics.getQuota", &[json("room_id", "{\"goods_id\":1}")]).1,
        r#"{"room_id":{"goods_id":1}}"#
    );
}

#[test]
fn a_lone_file_has_the_documented_field_and_others_their_own() {
    let names = |api, pairs: &[ApiParam<'_>]| {
        let body = request(api, pairs).unwrap().body;
        parts(body.bytes())
            .into_iter()
            .map(|part| part[0].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("security.imgSecCheck", &[file("picture", "a.png", b"")]),
        ["media"]
    );
    assert_eq!(
        names(
            "security.imgSecCheck",
            &[file("one", "a.png", b""), file("two", "b.png", b"")]
        ),
        ["one", "two"]
    );
    // The field is not documented; a description stands beside the file.
    assert_eq!(
        names(
            "officialAccount.material.addMaterial",
            &[
                json("type", "\"video\""),
                file("media", "media.mp4", b""),
                json("description", r#"{"title":"t"}"#)
            ]
        ),
        ["media", "description"]
    );
    // An API of whose files no document tells.
    assert_eq!(names("logistics.getQuota", &[file("f", "f.bin", b"")]), ["f"]);
    // Without a file, WeChat's own 41005 is the answer.
    assert_eq!(request("security.imgSecCheck", &[]).unwrap().body, ApiBody::None);
}

#[test]
fn what_no_sdk_sends_is_refused() {
    let refused = |api, pair| request(api, &[pair]).unwrap_err().to_string();
    assert_eq!(
        refused("subscribeMessage.send", json("touser", "oABC")),
        "the param \"touser\" of subscribeMessage.send is not JSON text, as wx-server-sdk sends it: expected a value at byte 0"
    );
    for broken in ["", "1 2", "{\"a\":1", "\"\n\"", "1}, \"touser\": {", "undefined"] {
        assert!(refused("subscribeMessage.send", json("data", broken)).contains("\"data\""));
    }
    assert!(matches!(
        request(
            "subscribeMessage.send",
            &[ApiParam {
                key: "a",
                value: b"\"\xff\"",
                filename: None
            }]
        ),
        Err(RequestError::NotJson { .. })
    ));
    assert_eq!(
        request(
            "customerServiceMessage.getTempMedia",
            &[json("media_id", "\"\\ud800\"")]
        ),
        Err(RequestError::NotText {
            api: "customerServiceMessage.getTempMedia",
            key: "media_id".to_owned()
        })
    );
    assert!(
        refused(
            "customerServiceMessage.getTempMedia",
            file("media_id", "a.png", b"")
        )
        .contains("is a file")
    );
    assert!(refused("ocr.idcard", file("img_url", "a.png", b"")).contains("is a file"));
}

proptest::proptest! {
    /// Whatever JSON a function gives comes out as the same JSON, and the body is one JSON object.
    #[test]
    fn a_body_is_json_whatever_the_params(keys in proptest::collection::vec(".*", 0..6), text in ".*", number: u64) {
        let values = [json!(text).to_string(), number.to_string(), json!({"room_id": [text, null]}).to_string()];
        let pairs: Vec<ApiParam<'_>> = keys.iter().zip(values.iter().cycle()).map(|(key, value)| json(key, value)).collect();
        for api in ["logistics.getQuota", "liveBroadcast.addRole"] {
            let body = request(api, &pairs).unwrap().body;
            let object = json::Object::parse(body.bytes()).unwrap();
            proptest::prop_assert_eq!(object.members().len(), keys.len());
            for (member, pair) in object.members().iter().zip(&pairs) {
                proptest::prop_assert!(member.key_is(pair.key));
                proptest::prop_assert_eq!(member.value.as_bytes(), pair.value);
            }
        }
    }
}
