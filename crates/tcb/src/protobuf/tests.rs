#![allow(clippy::unwrap_used)]

use super::*;
use crate::recorded;

fn hex(text: &str) -> Vec<u8> {
    base16ct::lower::decode_vec(text).unwrap()
}

fn pair<'a>(key: &'a str, value: &'a str) -> KeyValuePair<'a> {
    KeyValuePair {
        key,
        value: value.as_bytes(),
        ..KeyValuePair::default()
    }
}

/// The messages that the reference shows, as wx-server-sdk 4.0.2 sent them.
#[test]
fn requests_as_the_sdk_sends_them() {
    let media = hex("0800121a0a180a056d6564696112048950fffe22096d656469612e706e67");
    let data = CommApiData::decode(&media).unwrap();
    let image = KeyValuePair {
        key: "media",
        value: b"\x89\x50\xff\xfe",
        contenttype: "",
        filename: "media.png",
    };
    assert_eq!(data.data, ApiData::OpenApi(vec![image]));

    let open_data =
        "0802222d0a174170694765744f70656e446174614279436c6f756449641212120463696431120a6261642d363031303035";
    for (bytes, appid) in [
        (hex(open_data), None),
        (hex(&format!("{open_data}320777786f74686572")), Some("wxother")),
    ] {
        let data = CommApiData::decode(&bytes).unwrap();
        assert_eq!(data.appid, appid);
        let ApiData::Svrkit(call) = data.data else {
            panic!("{data:?}")
        };
        assert_eq!(call.api_name, "ApiGetOpenDataByCloudId");
        let request = OpenDataRequest::decode(call.req_data).unwrap();
        assert_eq!(request.cloud_ids, ["cid1", "bad-601005"]);
    }

    let voip = hex("0802221d0a0b417069566f69705369676e120e120267311880e2cfaa0622026e31");
    let ApiData::Svrkit(call) = CommApiData::decode(&voip).unwrap().data else {
        panic!("no svrkit call")
    };
    let request = VoipSignRequest::decode(call.req_data).unwrap();
    assert_eq!(
        (call.api_name, request),
        (
            "ApiVoipSign",
            VoipSignRequest {
                group_id: "g1",
                timestamp: 1_700_000_000,
                nonce: "n1"
            }
        )
    );
}

/// The same calls from every version that has them.
#[test]
fn requests_as_six_versions_send_them() {
    let mut seen = 0;
    for request in recorded::all() {
        let envelope = request.envelope();
        let Some(message) = envelope
            .request_message()
            .filter(|_| envelope.action_name() == "wx.openApi")
        else {
            continue;
        };
        let CommApiData { data, appid } = CommApiData::decode(message).unwrap();
        let what = format!("{} {}: {data:?}", request.version, request.call);
        seen += 1;
        // Older versions do not hand it on.
        let no_appid = matches!(request.version.as_str(), "0.5.1" | "1.8.3" | "2.1.2");
        let other = (!no_appid).then_some("wxother");
        match (request.call.as_str(), data) {
            ("openapi", ApiData::OpenApi(mut pairs)) => {
                pairs.sort_by_key(|pair| pair.key);
                let expected = [
                    pair("data", r#"{"thing1":{"value":"v"}}"#),
                    pair("lang", "\"zh_CN\""),
                    pair("miniprogram_state", "\"trial\""),
                    pair("page", "\"p\""),
                    pair("template_id", "\"T1\""),
                    pair("touser", "\"oABC\""),
                ];
                assert_eq!((pairs.as_slice(), appid), (expected.as_slice(), None), "{what}");
            }
            ("openapiNothing", ApiData::OpenApi(pairs)) => assert_eq!(pairs, [], "{what}"),
            ("openapiOptions", ApiData::OpenApi(pairs)) => {
                assert_eq!((pairs.len(), appid), (3, other), "{what}");
            }
            ("media", ApiData::OpenApi(pairs)) => {
                let [media] = pairs.as_slice() else {
                    panic!("{what}")
                };
                assert_eq!(media.value, hex("8950fffe0d0a2d2d0001"), "{what}");
                assert_eq!((media.contenttype, media.filename), ("", "media.png"), "{what}");
            }
            ("openData" | "openDataAppid", ApiData::Svrkit(call)) => {
                let ids = OpenDataRequest::decode(call.req_data).unwrap().cloud_ids;
                if request.call == "openData" {
                    assert_eq!((ids.len(), ids[0], appid), (2, "yq_one", None), "{what}");
                } else {
                    assert_eq!((ids.as_slice(), appid), (["c1"].as_slice(), other), "{what}");
                }
            }
            ("voipSign", ApiData::Svrkit(call)) => {
                let request = VoipSignRequest::decode(call.req_data).unwrap();
                assert_eq!(request.timestamp, 1_700_000_000, "{what}");
            }
            ("cloudCallSign", ApiData::Svrkit(call)) => {
                assert_eq!(call.api_name, "GetCloudCallSign", "{what}");
            }
            ("crossAccount", ApiData::Token(token)) => {
                let owner = (token.resource_appid, token.resource_env);
                assert_eq!(owner, ("wxother", "other-env"), "{what}");
            }
            _ => panic!("{what}"),
        }
    }
    assert_eq!(seen, 47);
}

/// The replies of the reference, which the SDK took.
#[test]
fn replies_as_the_sdk_takes_them() {
    let ok = CommOpenApiResp::new("application/json", br#"{"errcode":0,"errmsg":"ok"}"#.to_vec());
    assert_eq!(
        ok.encode(),
        hex("0a1b7b22657272636f6465223a302c226572726d7367223a226f6b227d12106170706c69636174696f6e2f6a736f6e")
    );
    for (code, bytes) in [
        (-604_101, "18bb90dbffffffffffff01"),
        (-604_100, "18bc90dbffffffffffff01"),
        (-601_005, "18d3a8dbffffffffffff01"),
        (0, ""),
    ] {
        assert_eq!(CommOpenApiResp::error(code).encode(), hex(bytes));
    }
    let mut items = OpenDataResponse::default();
    items.push("c1", r#"{"cloudID":"c1"}"#);
    assert_eq!(
        CommOpenApiResp::svrkit(items.encode()).encode(),
        hex("0a180a160a02633112107b22636c6f75644944223a226331227d")
    );
    assert_eq!(
        CommOpenApiResp::svrkit(voip_sign_response("sig")).encode(),
        hex("0a050a03736967")
    );
    let failed = CommOpenApiResp {
        svrkit_error_code: 5,
        ..CommOpenApiResp::default()
    };
    assert_eq!(failed.encode(), hex("3005"));
    let long = CommOpenApiResp::new("", vec![7; 300]).encode();
    assert_eq!((&long[..3], long.len()), ([0x0a, 0xac, 0x02].as_slice(), 303));
}

#[test]
fn parts_of_a_message_come_in_any_order_and_more_than_once() {
    // appid, pair, svrkitData (not asked for), an unknown field of each type, pair, apiType twice
    let bytes = hex(concat!(
        "320161",
        "1205",
        "0a030a0161",
        "22021200",
        "780f",
        "7901020304050607087a02ffff7d01020304",
        "1205",
        "0a030a0162",
        "0802",
        "0800"
    ));
    let data = CommApiData::decode(&bytes).unwrap();
    assert_eq!(data.appid, Some("a"));
    assert_eq!(data.data, ApiData::OpenApi(vec![pair("a", ""), pair("b", "")]));
    // Nothing at all is a call of type 0 without parameters.
    let nothing = CommApiData::decode(b"").unwrap();
    assert_eq!(nothing.data, ApiData::OpenApi(vec![]));
}

#[test]
fn numbers_of_both_lengths() {
    for (bytes, number) in [
        ("08bb90dbffffffffffff01", -604_101),
        ("08bb90dbff0f", -604_101),
        ("08ffffffff0f", -1),
        ("0804", 4),
        ("0801", 1),
        ("08808080808080808000", 0),
    ] {
        let message = hex(bytes);
        let decoded = CommApiData::decode(&message).map_err(|error| error.reason);
        let expected = Err(Reason::ApiType(number));
        if number == 0 {
            assert!(decoded.is_ok());
        } else {
            assert_eq!(decoded, expected, "{bytes}");
        }
    }
}

#[test]
fn what_is_malformed_is_refused() {
    for (bytes, reason) in [
        ("08", Reason::UnexpectedEnd),
        ("0880", Reason::UnexpectedEnd),
        ("08ffffffffffffffffff02", Reason::LongVarint),
        ("08ffffffffffffffffffff01", Reason::LongVarint),
        ("00", Reason::FieldNumber),
        ("0700", Reason::FieldNumber),
        ("888080808001", Reason::FieldNumber),
        ("0b0c", Reason::WireType(3)),
        ("7c", Reason::WireType(4)),
        ("0e", Reason::WireType(6)),
        ("7f", Reason::WireType(7)),
        ("0a00", Reason::Type("a number")),
        ("0d00000000", Reason::Type("a number")),
        ("1000", Reason::Type("bytes")),
        ("3100000000000000", Reason::UnexpectedEnd),
        ("7d000000", Reason::UnexpectedEnd),
        ("320161ff", Reason::UnexpectedEnd),
        ("3201", Reason::UnexpectedEnd),
        ("32ffffffffffffffffff01", Reason::UnexpectedEnd),
        ("3202c328", Reason::NotUtf8),
        ("12030a0208", Reason::UnexpectedEnd),
        ("12040a020801", Reason::Type("bytes")),
        ("12050a030a01ff", Reason::NotUtf8),
        ("22030a01ff", Reason::NotUtf8),
        ("2a020800", Reason::Type("bytes")),
        ("0801", Reason::ApiType(1)),
    ] {
        let message = "CommApiData";
        assert_eq!(
            CommApiData::decode(&hex(bytes)),
            Err(ProtobufError { message, reason }),
            "{bytes}"
        );
    }
    assert_eq!(
        CommApiData::decode(b"\x08").unwrap_err().to_string(),
        "the protobuf message CommApiData cannot be read: it ends inside a field"
    );
    assert_eq!(
        VoipSignRequest::decode(b"\x1a\0").unwrap_err().message,
        "ApiVoipSignReq"
    );
}

#[test]
fn a_list_has_its_limit() {
    let ids = |count| b"\x12\x01a".repeat(count);
    assert_eq!(
        OpenDataRequest::decode(&ids(MAX_ELEMENTS))
            .unwrap()
            .cloud_ids
            .len(),
        MAX_ELEMENTS
    );
    let error = OpenDataRequest::decode(&ids(MAX_ELEMENTS + 1)).unwrap_err();
    assert_eq!(error.reason, Reason::TooManyElements);
    // Also where the list comes in pieces.
    let pairs = b"\x12\x02\x0a\x00".repeat(MAX_ELEMENTS + 1);
    assert_eq!(
        CommApiData::decode(&pairs).unwrap_err().reason,
        Reason::TooManyElements
    );
}
