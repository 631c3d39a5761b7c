//! A call's bytes on their way to the function: what the client sent, taken apart at the top level only.
//!
//! `data` is never parsed into a tree. Its top-level members are raw slices, so number text, key order and
//! everything below the top pass through as they were written; a field that the client marked as a cloudID
//! is replaced whole, and the platform's own fields follow at the end. Names are compared after unescaping,
//! and a name given twice is refused: otherwise a client could pass off an object of its own as the
//! platform's (`OPEN_DATA_INFO` lists fields by name).

use std::borrow::Cow;

use json::Object;
use opendata::MAX_CLOUD_IDS;

use crate::failure::Failure;
use crate::redeem::Id;

/// The body of `POST /v1/functions/{name}`, checked.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    data: Object<'a>,
    /// What becomes of each member of `data`.
    fates: Vec<Fate>,
    /// The fields to fill in, in the order of `data`.
    marked: Vec<Marked<'a>>,
    warnings: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop,
    /// Replaced by the item of this number.
    Fill(usize),
}

/// A field whose value the client marked as a cloudID.
#[derive(Debug)]
pub(crate) struct Marked<'a> {
    /// Its name, a JSON string literal as the client wrote it.
    pub(crate) raw_key: &'a str,
    /// The id, a JSON string literal as the client wrote it.
    pub(crate) raw_id: &'a str,
    /// The id; `None` where it has a lone surrogate and so cannot be an id of anybody's.
    pub(crate) id: Option<Cow<'a, str>>,
}

impl Marked<'_> {
    pub(crate) fn cloud_id(&self) -> Id<'_> {
        Id {
            raw: self.raw_id,
            text: self.id.as_deref(),
        }
    }
}

impl<'a> Request<'a> {
    /// Takes the body apart.
    ///
    /// # Errors
    /// 400 with the cause: not JSON, `data` not an object, a name given twice, a field in `cloudIDs` that is
    /// absent or not a string, or a member that this route does not know.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Request<'a>, Failure> {
        let outer = Object::parse(body)
            .map_err(|error| Failure::malformed(format!("the request body is not a JSON object: {error}")))?;
        let (mut data, mut names) = ("{}", "[]");
        let mut seen = (false, false);
        for member in outer.members() {
            let (slot, seen) = match () {
                () if member.key_is("data") => (&mut data, &mut seen.0),
                () if member.key_is("cloudIDs") => (&mut names, &mut seen.1),
                () => {
                    return Err(Failure::malformed(format!(
                        "the request body has a member {}; it may have `data` and `cloudIDs`",
                        member.raw_key
                    )));
                }
            };
            if std::mem::replace(seen, true) {
                return Err(Failure::malformed(format!(
                    "{} is given twice in the request body",
                    member.raw_key
                )));
            }
            *slot = member.value;
        }
        let data = object(data)?;
        let names = json::array_of_strings(names)
            .map_err(|_| Failure::malformed("`cloudIDs` must be an array of field names of `data`"))?;
        Request::mark(data, &names)
    }

    /// Takes apart the `data` that a function or the operator calls a function with. It names no cloudIDs.
    ///
    /// # Errors
    /// 400 when it is not an object, or has a field twice.
    pub(crate) fn of_server(data: &'a str) -> Result<Request<'a>, Failure> {
        Request::mark(object(data)?, &[])
    }

    fn mark(data: Object<'a>, names: &[Cow<'_, str>]) -> Result<Request<'a>, Failure> {
        let members = data.members();
        let mut fates = vec![Fate::Keep; members.len()];
        let mut warnings = Vec::new();
        for (member, fate) in members.iter().zip(&mut fates) {
            if member.key_is("userInfo") || member.key_is("tcbContext") {
                *fate = Fate::Drop;
                warnings.push((
                    member.raw_key.to_owned(),
                    "this field is the platform's own; the one that was sent is dropped".to_owned(),
                ));
            }
        }
        for name in names {
            let Some(index) = members.iter().position(|member| member.key_is(name)) else {
                return Err(Failure::malformed(format!(
                    "`cloudIDs` names the field {name:?}, which `data` does not have"
                )));
            };
            if !json::is_string(members[index].value) {
                return Err(Failure::malformed(format!(
                    "`cloudIDs` names the field {name:?}, whose value is not a string"
                )));
            }
            match fates[index] {
                Fate::Keep => fates[index] = Fate::Fill(0),
                Fate::Drop => {}
                Fate::Fill(_) => {
                    return Err(Failure::malformed(format!(
                        "`cloudIDs` names the field {name:?} twice"
                    )));
                }
            }
        }
        // Numbered in the order of `data`, whatever the order of `cloudIDs`.
        let mut marked = Vec::with_capacity(names.len().min(MAX_CLOUD_IDS));
        for (member, fate) in members.iter().zip(&mut fates) {
            if *fate != Fate::Fill(0) {
                continue;
            }
            if marked.len() == MAX_CLOUD_IDS {
                *fate = Fate::Keep;
                warnings.push((
                    member.raw_key.to_owned(),
                    format!("at most {MAX_CLOUD_IDS} cloudIDs are replaced in one call; this one stays the string it was"),
                ));
                continue;
            }
            *fate = Fate::Fill(marked.len());
            marked.push(Marked {
                raw_key: member.raw_key,
                raw_id: member.value,
                id: json::unescape(member.value),
            });
        }
        Ok(Request {
            data,
            fates,
            marked,
            warnings,
        })
    }

    /// Fields that are not as the client may expect: raw name, text.
    pub(crate) fn into_warnings(self) -> Vec<(String, String)> {
        self.warnings
    }

    /// The fields to fill in, in the order of `data`.
    pub(crate) fn marked(&self) -> &[Marked<'a>] {
        &self.marked
    }

    /// Appends the event: the client's fields with `items` (JSON texts, one for each of
    /// [`marked`](Self::marked)) in their places, then what the platform adds.
    pub(crate) fn write(&self, items: &[Vec<u8>], user_info: &[u8], out: &mut Vec<u8>) {
        self.write_fields(items, user_info, out);
        out.extend_from_slice(b",\"tcbContext\":{}}");
    }

    /// Appends the event of a call by WeChat's HTTP API, which has `userInfo` alone of the platform's.
    pub(crate) fn write_for_server(&self, user_info: &[u8], out: &mut Vec<u8>) {
        self.write_fields(&[], user_info, out);
        out.push(b'}');
    }

    fn write_fields(&self, items: &[Vec<u8>], user_info: &[u8], out: &mut Vec<u8>) {
        out.push(b'{');
        for (member, fate) in self.data.members().iter().zip(&self.fates) {
            let value = match *fate {
                Fate::Drop => continue,
                Fate::Keep => member.value.as_bytes(),
                Fate::Fill(item) => &items[item],
            };
            out.extend_from_slice(member.raw_key.as_bytes());
            out.push(b':');
            out.extend_from_slice(value);
            out.push(b',');
        }
        out.extend_from_slice(b"\"userInfo\":");
        out.extend_from_slice(user_info);
    }
}

/// `data`, no field of which may be there twice.
fn object(data: &str) -> Result<Object<'_>, Failure> {
    let data = Object::parse(data.as_bytes()).map_err(|_| Failure::malformed("`data` must be an object"))?;
    match data.duplicate() {
        Some(name) => Err(Failure::malformed(format!(
            "`data` has the field {name:?} twice; a field may be given once"
        ))),
        None => Ok(data),
    }
}

/// `userInfo` as a function sees it: who it was called for, if for anybody.
pub(crate) fn user_info(appid: &str, openid: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(80);
    out.extend_from_slice(b"{\"appId\":");
    json::write_string(&mut out, appid);
    if let Some(openid) = openid {
        out.extend_from_slice(b",\"openId\":");
        json::write_string(&mut out, openid);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The event as the worker's socket will carry it.
    fn event(body: &str, items: &[&str]) -> String {
        let request = Request::parse(body.as_bytes()).unwrap();
        let items: Vec<_> = items.iter().map(|item| item.as_bytes().to_vec()).collect();
        assert_eq!(items.len(), request.marked().len());
        let mut frame = runtime::Frame::new();
        request.write(&items, br#"{"appId":"wx1","openId":"o1"}"#, frame.event());
        String::from_utf8(frame.event_bytes().to_vec()).unwrap()
    }

    const TAIL: &str = r#""userInfo":{"appId":"wx1","openId":"o1"},"tcbContext":{}}"#;

    #[test]
    fn what_the_client_wrote_stays_as_it_wrote_it() {
        let data = r#"{ "z" : 12345678901234567890 , "a":1.0e+2,"\u0061b":[1, 2],"中":"\u0000😀" }"#;
        assert_eq!(
            event(&format!(r#"{{"data":{data}}}"#), &[]),
            r#"{"z":12345678901234567890,"a":1.0e+2,"\u0061b":[1, 2],"中":"\u0000😀","#.to_owned() + TAIL,
        );
    }

    #[test]
    fn a_call_without_data_has_the_platforms_fields_alone() {
        for body in ["{}", r#"{"data":{}}"#, r#" {"cloudIDs":[],"data":{}} "#] {
            assert_eq!(event(body, &[]), format!("{{{TAIL}"), "{body}");
        }
    }

    #[test]
    fn marked_fields_are_filled_in_the_order_of_data() {
        let body = r#"{"cloudIDs":["b","a"],"data":{"a":"x","obj":{"a":"yyy"},"\u0062":"y"}}"#;
        let request = Request::parse(body.as_bytes()).unwrap();
        let ids: Vec<_> = request
            .marked()
            .iter()
            .map(|marked| marked.id.as_deref().unwrap())
            .collect();
        assert_eq!(ids, ["x", "y"]);
        assert_eq!(
            event(body, &["1", "2"]),
            r#"{"a":1,"obj":{"a":"yyy"},"\u0062":2,"#.to_owned() + TAIL
        );
    }

    #[test]
    fn the_sixth_stays_the_string_it_was_with_a_warning() {
        let body = r#"{"data":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"},"cloudIDs":["f","e","d","c","b","a"]}"#;
        let request = Request::parse(body.as_bytes()).unwrap();
        assert_eq!(request.marked().len(), 5);
        assert_eq!(request.warnings.len(), 1);
        assert_eq!(request.warnings[0].0, "\"f\"");
        assert!(event(body, &["0"; 5]).contains(r#""e":0,"f":"6""#));
    }

    #[test]
    fn the_platforms_own_names_are_dropped_with_a_warning() {
        let body = r#"{"data":{"userInf\u006f":{"openId":"forged"},"a":1,"tcbContext":2},"cloudIDs":[]}"#;
        assert_eq!(event(body, &[]), r#"{"a":1,"#.to_owned() + TAIL);
        let request = Request::parse(body.as_bytes()).unwrap();
        assert_eq!(
            request
                .warnings
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            [r#""userInf\u006f""#, r#""tcbContext""#]
        );
    }

    #[test]
    fn bad_requests_name_their_cause() {
        for (body, cause) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{", "not a JSON object"),
            (r#"{"data":{},}"#, "not a JSON object"),
            ("{\"data\":{\"a\":\"\u{1}\"}}", "not a JSON object"),
            (r#"{"data":[]}"#, "`data` must be an object"),
            (r#"{"data":null}"#, "`data` must be an object"),
            (r#"{"data":{},"data":{}}"#, "twice"),
            (r#"{"data":{},"cloudIds":[]}"#, "`cloudIDs`"),
            (r#"{"data":{"a":1,"a":2}}"#, "twice"),
            (r#"{"data":{"w":1,"\u0077":2}}"#, "twice"),
            (r#"{"data":{},"cloudIDs":{}}"#, "`cloudIDs` must be an array"),
            (
                r#"{"data":{"a":"x"},"cloudIDs":[1]}"#,
                "`cloudIDs` must be an array",
            ),
            (r#"{"data":{"a":"x"},"cloudIDs":["b"]}"#, "does not have"),
            (r#"{"data":{"a":1},"cloudIDs":["a"]}"#, "not a string"),
            (r#"{"data":{"a":null},"cloudIDs":["a"]}"#, "not a string"),
            (r#"{"data":{"a":"x"},"cloudIDs":["a","\u0061"]}"#, "twice"),
        ] {
            let failure = Request::parse(body.as_bytes()).unwrap_err();
            assert_eq!((failure.status.as_u16(), failure.code), (400, -501007), "{body}");
            assert!(failure.text.contains(cause), "{body}: {}", failure.text);
        }
    }

    #[test]
    fn an_empty_string_can_be_marked() {
        let request = Request::parse(br#"{"data":{"a":""},"cloudIDs":["a"]}"#).unwrap();
        assert_eq!(request.marked()[0].id.as_deref(), Some(""));
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
        /// Any data, any number of marks: the event is the data with the marked fields (the first five in
        /// the order of `data`) replaced, the platform's names dropped, and the platform's fields added.
        #[test]
        fn the_splice_is_what_a_tree_would_give(
            data in prop::collection::btree_map(any::<String>(), any_json(), 0..10),
            marks in any::<u16>(),
            pretty in any::<bool>(),
        ) {
            let mut data: serde_json::Map<String, Value> = data.into_iter().collect();
            let marked: Vec<String> = data.keys().enumerate()
                .filter(|(index, _)| marks >> index & 1 == 1).map(|(_, key)| key.clone()).collect();
            for key in &marked {
                data[key] = Value::from(format!("id of {key}"));
            }
            let body = serde_json::json!({"data": data, "cloudIDs": marked});
            let body = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();

            let request = Request::parse(body.as_bytes()).unwrap();
            let items: Vec<_> = (0..request.marked().len()).map(|index| format!("{{\"item\":{index}}}").into_bytes()).collect();
            let mut out = Vec::new();
            request.write(&items, b"{}", &mut out);
            let got: serde_json::Map<String, Value> = serde_json::from_slice(&out).unwrap();

            let mut expected = data.clone();
            expected.remove("userInfo");
            expected.remove("tcbContext");
            let ours = |key: &str| key == "userInfo" || key == "tcbContext";
            for (index, key) in marked.iter().filter(|key| !ours(key)).take(5).enumerate() {
                expected[key] = serde_json::json!({"item": index});
            }
            expected.insert("userInfo".into(), serde_json::json!({}));
            expected.insert("tcbContext".into(), serde_json::json!({}));
            prop_assert_eq!(got, expected);
        }

        /// Whatever the bytes, parsing gives an answer.
        #[test]
        fn no_body_is_too_strange(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::parse(&body);
        }

        /// A nest of any depth passes through untouched.
        #[test]
        fn depth_does_not_matter(depth in 0_usize..20_000) {
            let nest = "[".repeat(depth) + &"]".repeat(depth);
            let nest = if depth == 0 { "0" } else { &nest };
            let body = format!(r#"{{"data":{{"deep":{nest}}}}}"#);
            prop_assert_eq!(event(&body, &[]), format!(r#"{{"deep":{nest},{TAIL}"#));
        }
    }
}
