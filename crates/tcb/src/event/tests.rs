#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn marked<'a>(data: &'a str, names: &[&str]) -> Result<CallData<'a>, CallDataError> {
    let mut data = CallData::parse(data)?;
    let names: Vec<_> = names.iter().map(|name| Cow::Borrowed(*name)).collect();
    data.mark(&names, 5)?;
    Ok(data)
}

fn event(data: &str, names: &[&str], items: &[&str]) -> String {
    let mut data = marked(data, names).unwrap();
    assert_eq!(items.len(), data.marked().len());
    data.fill(items.iter().map(|item| item.as_bytes().to_vec()).collect());
    written(&Event::Call(data))
}

fn written(event: &Event<'_>) -> String {
    let mut out = Vec::new();
    event.write("wx1", Some("o1"), &mut out);
    String::from_utf8(out).unwrap()
}

const TAIL: &str = r#""userInfo":{"appId":"wx1","openId":"o1"},"tcbContext":{}}"#;

#[test]
fn what_the_client_wrote_stays_as_it_wrote_it() {
    let data = r#"{ "z" : 12345678901234567890 , "a":1.0e+2,"\u0061b":[1, 2],"中":"\u0000😀" }"#;
    assert_eq!(
        event(data, &[], &[]),
        r#"{"z":12345678901234567890,"a":1.0e+2,"\u0061b":[1, 2],"中":"\u0000😀","#.to_owned() + TAIL,
    );
    assert_eq!(event("{}", &[], &[]), format!("{{{TAIL}"));
}

#[test]
fn marked_fields_are_filled_in_the_order_of_data() {
    let data = r#"{"a":"x","obj":{"a":"yyy"},"\u0062":"y"}"#;
    let ids = marked(data, &["b", "a"]).unwrap();
    let ids: Vec<_> = ids
        .marked()
        .iter()
        .map(|marked| marked.id.as_deref().unwrap())
        .collect();
    assert_eq!(ids, ["x", "y"]);
    assert_eq!(
        event(data, &["b", "a"], &["1", "2"]),
        r#"{"a":1,"obj":{"a":"yyy"},"\u0062":2,"#.to_owned() + TAIL
    );
}

#[test]
fn the_sixth_stays_the_string_it_was_with_a_warning() {
    let data = r#"{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}"#;
    let names = ["f", "e", "d", "c", "b", "a"];
    let mut six = marked(data, &names).unwrap();
    assert_eq!(six.marked().len(), 5);
    let warnings = six.take_warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].0, "\"f\"");
    assert!(event(data, &names, &["0"; 5]).contains(r#""e":0,"f":"6""#));
}

#[test]
fn the_platforms_own_names_are_dropped_with_a_warning() {
    for user_info in ["\"Alice\"", "null", "[{\"nickName\":\"Alice\"}]", "1"] {
        let data = format!(r#"{{"userInf\u006f":{user_info},"a":1,"tcbContext":"id"}}"#);
        assert_eq!(event(&data, &["tcbContext"], &[]), r#"{"a":1,"#.to_owned() + TAIL);
        let warnings = marked(&data, &[]).unwrap().take_warnings();
        let names: Vec<_> = warnings.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [r#""userInf\u006f""#, r#""tcbContext""#]);
    }
}

#[test]
fn the_profile_that_is_sent_stays_beside_who_calls() {
    let data = r#"{"\u0075serInfo":{ "nickName" : "甲\u0000", "n":12345678901234567890,"deep":{"openId":"x"}},"a":1}"#;
    let told = |openid| {
        let mut call = marked(data, &[]).unwrap();
        assert_eq!(call.take_warnings(), []);
        let mut out = Vec::new();
        Event::Call(call).write("wx1", openid, &mut out);
        String::from_utf8(out).unwrap()
    };
    let profile = r#""nickName":"甲\u0000","n":12345678901234567890,"deep":{"openId":"x"}"#;
    assert_eq!(
        told(Some("o1")),
        format!(r#"{{"a":1,"userInfo":{{{profile},"appId":"wx1","openId":"o1"}},"tcbContext":{{}}}}"#)
    );
    assert_eq!(
        told(None),
        format!(r#"{{"a":1,"userInfo":{{{profile},"appId":"wx1"}},"tcbContext":{{}}}}"#)
    );
}

#[test]
fn who_calls_is_said_by_the_platform_alone() {
    let forged = r#"{"userInfo":{"openId":"forged","openI\u0064":"forged","\u0061ppId":"forged","openId ":1,"OpenId":2}}"#;
    let kept = r#"{"userInfo":{"openId ":1,"OpenId":2,"appId":"wx1""#;
    assert_eq!(
        event(forged, &[], &[]),
        format!(r#"{kept},"openId":"o1"}},"tcbContext":{{}}}}"#)
    );
    // Nobody's openid is known of a call by WeChat's HTTP API, nor of one by a timer's function.
    assert_eq!(
        written(&Event::HttpApi(CallData::parse(forged).unwrap())),
        format!("{kept}}}}}")
    );
    let mut nobody = Vec::new();
    Event::Call(CallData::parse(forged).unwrap()).write("wx1", None, &mut nobody);
    assert_eq!(nobody, format!(r#"{kept}}},"tcbContext":{{}}}}"#).as_bytes());
}

#[test]
fn bad_data_names_its_cause() {
    for (data, names, cause) in [
        ("", &[][..], "must be an object"),
        ("[]", &[], "must be an object"),
        ("null", &[], "must be an object"),
        ("{\"a\":\"\u{1}\"}", &[], "must be an object"),
        (r#"{"a":1,"a":2}"#, &[], "the field \"a\" twice"),
        (r#"{"w":1,"\u0077":2}"#, &[], "the field \"w\" twice"),
        (r#"{"a":"x"}"#, &["b"], "\"b\", which `data` does not have"),
        (r#"{"a":1}"#, &["a"], "\"a\", whose value is not a string"),
        (r#"{"a":null}"#, &["a"], "\"a\", whose value is not a string"),
        (r#"{"a":"x"}"#, &["a", "a"], "\"a\" twice"),
        (r#"{"a":"x"}"#, &["a"; MAX_NAMED + 1], "more than 100 names"),
    ] {
        let why = marked(data, names).unwrap_err().to_string();
        assert!(why.contains(cause), "{data}: {why}");
    }
}

#[test]
fn an_empty_string_can_be_marked() {
    let data = marked(r#"{"a":""}"#, &["a"]).unwrap();
    assert_eq!(data.marked()[0].id.as_deref(), Some(""));
}

#[test]
fn each_way_of_calling_has_an_event_of_its_own() {
    let data = || CallData::parse(r#"{"a":1}"#).unwrap();
    for (event, text) in [
        (Event::HttpApi(data()), r#"{"a":1,"userInfo":{"appId":"wx1"}}"#),
        (Event::Push(r#"{"MsgType":"text"}"#), r#"{"MsgType":"text"}"#),
        (
            Event::Timer {
                name: "my \"Trigger\"",
                at: "2026-11-20T18:00:00Z",
            },
            r#"{"Type":"Timer","TriggerName":"my \"Trigger\"","Time":"2026-11-20T18:00:00Z","Message":""}"#,
        ),
    ] {
        assert_eq!(written(&event), text);
        assert!(event.open_data().is_empty());
    }
    let call = Event::Call(marked(r#"{"\u0061":"id"}"#, &["a"]).unwrap());
    assert_eq!(call.open_data(), [r#""\u0061""#]);
    let mut nobody = Vec::new();
    call.write("wx1", None, &mut nobody);
    assert_eq!(
        nobody,
        br#"{"\u0061":"id","userInfo":{"appId":"wx1"},"tcbContext":{}}"#
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Exact in binary, so that reading it back gives the same number.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Any data, any number of marks: the event is the data with the marked fields (the first five in the order of `data`)
    /// replaced, the platform's names dropped, and the platform's fields added.
    #[test]
    fn the_splice_is_what_a_tree_would_give(
        data in prop::collection::btree_map(prop_oneof![9 => any::<String>(), 1 => Just("userInfo".to_owned())], any_json(), 0..10),
        profile in prop::option::of(prop::collection::btree_map(
            prop_oneof![any::<String>(), Just("openId".to_owned()), Just("appId".to_owned())], any_json(), 0..6)),
        marks in any::<u16>(),
        pretty in any::<bool>(),
    ) {
        let mut data: serde_json::Map<String, Value> = data.into_iter().collect();
        if let Some(profile) = profile {
            data.insert("userInfo".into(), Value::Object(profile.into_iter().collect()));
        }
        let names: Vec<String> = data.keys().enumerate()
            .filter(|(index, _)| marks >> index & 1 == 1).map(|(_, key)| key.clone()).collect();
        for key in &names {
            data[key] = Value::from(format!("id of {key}"));
        }
        let text = if pretty { serde_json::to_string_pretty(&data) } else { serde_json::to_string(&data) }.unwrap();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let items: Vec<_> = (0..marked(&text, &names).unwrap().marked().len()).map(|at| format!("{{\"item\":{at}}}")).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let got: serde_json::Map<String, Value> = serde_json::from_str(&event(&text, &names, &items)).unwrap();

        let ours = |key: &str| key == "userInfo" || key == "tcbContext";
        let mut expected = data.clone();
        expected.retain(|key, _| !ours(key));
        for (index, key) in names.iter().filter(|key| !ours(key)).take(5).enumerate() {
            expected[*key] = serde_json::json!({"item": index});
        }
        let mut user_info = data.get("userInfo").and_then(Value::as_object).cloned().unwrap_or_default();
        user_info.insert("appId".into(), Value::from("wx1"));
        user_info.insert("openId".into(), Value::from("o1"));
        expected.insert("userInfo".into(), user_info.into());
        expected.insert("tcbContext".into(), serde_json::json!({}));
        prop_assert_eq!(got, expected);
    }

    /// Whatever the text, parsing gives an answer.
    #[test]
    fn no_text_is_too_strange(text in any::<String>()) {
        let _ = CallData::parse(&text);
    }

    /// A nest of any depth passes through untouched.
    #[test]
    fn depth_does_not_matter(depth in 1_usize..20_000) {
        let nest = "[".repeat(depth) + &"]".repeat(depth);
        prop_assert_eq!(event(&format!(r#"{{"deep":{nest}}}"#), &[], &[]), format!(r#"{{"deep":{nest},{TAIL}"#));
    }
}
