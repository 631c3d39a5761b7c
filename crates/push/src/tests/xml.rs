//! XML that is hostile, or merely odd, and XML of our own.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value};

use super::*;
use crate::{
    convert::to_json,
    xml::{MAX_DEPTH, MAX_ELEMENTS},
};

fn read(text: &str) -> Result<String, XmlReason> {
    to_json(text.as_bytes()).map_err(|error| error.reason)
}

fn written(json: &str) -> String {
    receiver::written(Format::Xml, json).unwrap().into_owned()
}

#[test]
fn what_no_packet_has_is_not_read() {
    let laughs = r#"<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]><xml><a>&lol2;</a></xml>"#;
    let file = r#"<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><a>&e;</a></xml>"#;
    for (text, what) in [
        (laughs, "a document type"),
        (file, "a document type"),
        ("<xml><!DOCTYPE a><a/></xml>", "a document type"),
        (
            "<xml><FromUserName>al<!-- -->ice</FromUserName></xml>",
            "a comment",
        ),
        ("<!-- --><xml/>", "a comment"),
        ("<xml><?php a?></xml>", "a processing instruction"),
        ("<xml a='1'/>", "an attribute"),
        ("<xml><a xmlns='b'>1</a></xml>", "an attribute"),
        (
            "<?xml version='1.0' encoding='gbk'?><xml/>",
            "an encoding other than UTF-8",
        ),
        (
            "<xml/><?xml version='1.0'?>",
            "a declaration that is not at the start",
        ),
        (
            " <?xml version='1.0'?><xml/>",
            "a declaration that is not at the start",
        ),
        ("<xml/><xml/>", "a second outermost element"),
        ("<xml/>text", "text outside of <xml>"),
        ("<![CDATA[]]><xml/>", "text outside of <xml>"),
        ("<xml>text</xml>", "text where elements must stand"),
        ("<xml><![CDATA[ ]]></xml>", "text where elements must stand"),
    ] {
        assert_eq!(read(text), Err(XmlReason::Unwanted(what)), "{text}");
    }
}

#[test]
fn what_is_not_well_formed_is_not_read() {
    for text in [
        "<xml><a></b></xml>",
        "<xml><a></xml></a>",
        "</xml>",
        "<xml><a>1 & 2</a></xml>",
        "<xml><a>]]></a></xml>",
        "<xml><a><![CDATA[1</a></xml>",
        "<xml><a>&#0;</a></xml>",
        "<xml><a>&#xd800;</a></xml>",
        "<xml><a>&#x110000;</a></xml>",
        "<xml><a",
        "<xml><!",
        "<xml><![CDATA",
    ] {
        assert!(
            matches!(read(text), Err(XmlReason::Malformed(_))),
            "{text}: {:?}",
            read(text)
        );
    }
    for (text, reason) in [
        ("", XmlReason::UnexpectedEnd),
        (" \n", XmlReason::UnexpectedEnd),
        ("<?xml version='1.0'?>", XmlReason::UnexpectedEnd),
        ("<xml>", XmlReason::UnexpectedEnd),
        ("<xml><a>1</a>", XmlReason::UnexpectedEnd),
        ("<xml><a>&lol;</a></xml>", XmlReason::Entity("lol".to_owned())),
        ("<xml><a>&nbsp;</a></xml>", XmlReason::Entity("nbsp".to_owned())),
        ("<xml><1/></xml>", XmlReason::Name("1".to_owned())),
        ("<xml><a:b/></xml>", XmlReason::Name("a:b".to_owned())),
        ("<xml><中/></xml>", XmlReason::Name("中".to_owned())),
        ("<xml><a>1<b/></a></xml>", XmlReason::Mixed),
        ("<xml>1<b/></xml>", XmlReason::Mixed),
        ("<xml><b/><![CDATA[]]></xml>", XmlReason::Mixed),
        ("<XML/>", XmlReason::Root("XML".to_owned())),
        ("<html/>", XmlReason::Root("html".to_owned())),
    ] {
        assert_eq!(read(text), Err(reason), "{text}");
    }
    let error = to_json(b"<xml><a>\xff</a></xml>").unwrap_err();
    assert_eq!((error.offset, error.reason), (8, XmlReason::NotUtf8));
}

#[test]
fn depth_size_and_number_are_bounded() {
    let nested = |depth: usize| format!("<xml>{}1{}</xml>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
    for depth in [MAX_DEPTH, 100_000] {
        assert_eq!(read(&nested(depth)), Err(XmlReason::Deep));
    }
    let many = |count| format!("<xml>{}</xml>", "<a/>".repeat(count));
    assert!(read(&many(MAX_ELEMENTS - 1)).is_ok());
    assert_eq!(read(&many(MAX_ELEMENTS)), Err(XmlReason::Many));
    // As many names as there may be: none is compared with all the others.
    let names: String = (0..MAX_ELEMENTS - 1).map(|nth| format!("<a{nth}/>")).collect();
    assert!(read(&format!("<xml>{names}</xml>")).is_ok());

    let long = |length: usize| format!("<xml><a>{}</a></xml>", "x".repeat(length));
    let parse = |text: String| Packet::parse(APPID, Format::Xml, text.as_bytes());
    assert!(parse(long(MAX_BODY - 18)).is_ok());
    assert_eq!(
        parse(long(MAX_BODY - 17)),
        Err(FormatError::TooLarge(MAX_BODY + 1))
    );
    for filler in [
        "<",
        "<a ",
        "&",
        "&a",
        "]]>",
        "<![CDATA[",
        "<!--",
        "<a><",
        "\u{feff}",
    ] {
        let hostile = format!("<xml><a>{}", filler.repeat((1_000_000) / filler.len()));
        assert!(parse(hostile).is_err(), "{filler}");
    }
}

#[test]
fn oddities_that_are_xml_all_the_same() {
    for (text, json) in [
        ("<xml/>", "{}"),
        ("<xml> </xml>", "{}"),
        (
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<xml ></xml >\n",
            "{}",
        ),
        ("<xml><a></a><b/></xml>", r#"{"a":"","b":""}"#),
        ("<xml><a><![CDATA[]]></a></xml>", r#"{"a":""}"#),
        ("<xml><a> </a></xml>", r#"{"a":" "}"#),
        (
            "<xml><a>&lt;&amp;&gt;&quot;&apos;&#20013;&#x4e2d;</a></xml>",
            r#"{"a":"<&>\"'中中"}"#,
        ),
        ("<xml><a><![CDATA[<b>&lt;]]></a></xml>", r#"{"a":"<b>&lt;"}"#),
        ("<xml><a><![CDATA[]]]]><![CDATA[>]]></a></xml>", r#"{"a":"]]>"}"#),
        ("<xml><a>1\r\n2\r3&#13;</a></xml>", r#"{"a":"1\n2\n3\r"}"#),
        ("<xml><a><b/><b/></a></xml>", r#"{"a":{"b":["",""]}}"#),
        ("<xml><a>1</a><b>2</b><a>3</a></xml>", r#"{"a":[1,3],"b":2}"#),
        ("<xml><__proto__>1</__proto__></xml>", r#"{"__proto__":1}"#),
    ] {
        assert_eq!(read(text).as_deref(), Ok(json), "{text}");
    }
}

#[test]
fn numbers_are_those_that_javascript_holds() {
    for (text, json) in [
        ("0", "0"),
        ("-1", "-1"),
        ("999999999999999", "999999999999999"),
        ("1000000000000000", "\"1000000000000000\""),
        ("007", "\"007\""),
        ("-0", "\"-0\""),
        ("-", "\"-\""),
        ("1.5", "\"1.5\""),
        ("1e5", "\"1e5\""),
        ("+1", "\"+1\""),
        (" 1", "\" 1\""),
        ("１", "\"１\""),
        ("true", "\"true\""),
        ("<![CDATA[1]]>", "\"1\""),
        ("1<![CDATA[]]>", "\"1\""),
    ] {
        let expected = format!(r#"{{"a":{json}}}"#);
        assert_eq!(read(&format!("<xml><a>{text}</a></xml>")), Ok(expected), "{text}");
    }
    let id = "<MsgId>6054768590064713728</MsgId>";
    assert_eq!(
        read(&format!("<xml>{id}</xml>")).unwrap(),
        r#"{"MsgId":6054768590064713728}"#
    );
    assert_eq!(
        read(&format!("<xml><a>{id}</a></xml>")).unwrap(),
        r#"{"a":{"MsgId":"6054768590064713728"}}"#
    );
    assert_eq!(
        read("<xml><MsgId><![CDATA[7]]></MsgId></xml>").unwrap(),
        r#"{"MsgId":"7"}"#
    );
}

#[test]
fn a_wrapper_cannot_bring_a_second_header() {
    let forged = "<xml><FromUserName>oBob</FromUserName><MsgType>event</MsgType><Event>subscribe_msg_popup_event</Event>\
        <SubscribeMsgPopupEvent><FromUserName>oAlice</FromUserName></SubscribeMsgPopupEvent></xml>";
    assert_eq!(
        Packet::parse(APPID, Format::Xml, forged.as_bytes()),
        Err(FormatError::NotText("FromUserName"))
    );
}

#[test]
fn what_xml_cannot_hold_is_not_written() {
    let deep = |depth| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for (json, error) in [
        ("[]".to_owned(), "not a JSON object"),
        (r#"{"a b":1}"#.to_owned(), "\"a b\""),
        (r#"{"":1}"#.to_owned(), "\"\""),
        (r#"{"a><b":1}"#.to_owned(), "cannot be an XML element"),
        (r#"{"a":1,"\u0061":2}"#.to_owned(), "twice"),
        (r#"{"a":{"b":1,"b":2}}"#.to_owned(), "twice"),
        (r#"{"a":"\udc00"}"#.to_owned(), "half a surrogate"),
        (r#"{"a":"\ud800"}"#.to_owned(), "surrogate"),
        (r#"{"a":[1,[2]]}"#.to_owned(), "array within an array"),
        (deep(MAX_DEPTH), "deep"),
        (deep(100_000), "deep"),
    ] {
        let refused = receiver::written(Format::Xml, &json).unwrap_err();
        assert!(refused.to_string().contains(error), "{refused}");
        assert_eq!(refused.code(), codes::NOT_WRITTEN);
    }
    assert!(receiver::written(Format::Xml, &deep(MAX_DEPTH - 1)).is_ok());
}

#[test]
fn what_is_written_is_as_wechat_writes_it() {
    for (json, xml) in [
        (
            r#"{"ErrCode":0,"ErrMsg":"success"}"#,
            "<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>",
        ),
        ("{}", "<xml></xml>"),
        (
            r#"{"a":[ 1 , {"b":"],["} ,"x\"y"],"c":[],"d":null,"e":true}"#,
            "<xml><a>1</a><a><b><![CDATA[],[]]></b></a><a><![CDATA[x\"y]]></a><d></d><e>true</e></xml>",
        ),
        (
            r#"{"a":"x]]>y\rz"}"#,
            "<xml><a><![CDATA[x]]]]><![CDATA[>y]]>&#13;<![CDATA[z]]></a></xml>",
        ),
    ] {
        assert_eq!(written(json), xml);
    }
}

/// Values that XML holds without loss: texts, numbers that JavaScript holds, objects and lists that are not empty.
fn value() -> impl Strategy<Value = Value> {
    let text = "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{0,12}";
    let leaf = prop_oneof![
        text.prop_map(Value::from),
        (-999_999_999_999_999i64..=999_999_999_999_999).prop_map(Value::from),
        "(\\]|>|<|&|\r|\n| ){0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| object(inner).prop_map(Value::Object))
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let item = prop_oneof![
        3 => vec(inner, 1..2),
        1 => vec("[a-z]{0,3}".prop_map(Value::from), 2..4),
    ];
    let one_or_list = item.prop_map(|mut list| match list.len() {
        1 => list.remove(0),
        _ => Value::Array(list),
    });
    vec(("[a-zA-Z_][a-zA-Z0-9_.-]{0,6}", one_or_list), 1..5).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(object in object(value())) {
        let json = Value::Object(object).to_string();
        let xml = written(&json);
        prop_assert_eq!(read(&xml), Ok(json));
    }

    #[test]
    fn whatever_is_read_is_json(text in "(<xml>|</xml>|<a>|</a>|<b/>|<!\\[CDATA\\[|\\]\\]>|&amp;|&#9;|&|<!--|[0-9a ]|\\PC){0,40}") {
        for text in [format!("<xml>{text}</xml>"), text] {
            if let Ok(json) = read(&text) {
                prop_assert!(serde_json::from_str::<Map<String, Value>>(&json).is_ok());
            }
        }
    }
}

#[test]
fn what_users_type_is_taken_and_written() {
    for typed in [
        "\u{2}", "\u{8}", "\u{10}", "\u{1d}", "\0", "\u{fffe}", "\u{ffff}", "\u{7f}",
    ] {
        for xml in [
            format!("<xml><a>x{typed}y</a></xml>"),
            format!("<xml><a><![CDATA[x{typed}y]]></a></xml>"),
        ] {
            let object: serde_json::Value = serde_json::from_str(&to_json(xml.as_bytes()).unwrap()).unwrap();
            assert_eq!(object["a"], format!("x{typed}y"), "{xml:?}");
        }
        let mut object = b"{\"a\":".to_vec();
        json::write_string(&mut object, typed);
        object.push(b'}');
        let written =
            crate::xml::write(&crate::convert::to_elements(std::str::from_utf8(&object).unwrap()).unwrap());
        assert_eq!(written, format!("<xml><a><![CDATA[{typed}]]></a></xml>"));
    }
    assert_eq!(to_json(b"<xml><a>&#2;</a></xml>").unwrap(), "{\"a\":\"\\u0002\"}");
}

#[test]
fn blanks_around_cdata_are_no_text() {
    for (xml, text) in [
        ("\n  <![CDATA[x]]>\n", "x"),
        (" <![CDATA[ x ]]> ", " x "),
        ("<![CDATA[x]]> <![CDATA[y]]>\n", "x y"),
        ("\n<![CDATA[]]>\n", ""),
        ("<![CDATA[x]]>&#13;<![CDATA[y]]>", "x\ry"),
        ("<![CDATA[x]]>&#13;\n", "x\r"),
        ("&#10;<![CDATA[x]]>", "\nx"),
        ("a <![CDATA[x]]>", "a x"),
        ("  a  ", "  a  "),
    ] {
        let object: serde_json::Value =
            serde_json::from_str(&to_json(format!("<xml><a>{xml}</a></xml>").as_bytes()).unwrap()).unwrap();
        assert_eq!(object["a"], text, "{xml:?}");
    }
}
