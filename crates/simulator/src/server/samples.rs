//! What an API that does nothing here answers: the sample of its document, with the ids that were sent in the place of the sample's.
//!
//! WeChat never answers such a call with a bare `ok`, and programs read what its document lists. What they get is made up, and each
//! call says so; which members not even a sample has a value for is said too. `errcode` 0 stands in all of them, also where a
//! sample leaves it out.

use openapi::Api;
use serde_json::{Map, Value, json};
use wording::{Wording, wording};

/// What the outbox says of a call that was answered as its document says, `ok`, without anything having been done.
pub(crate) fn only_recorded() -> Wording {
    wording!(
        "only recorded: the simulator does no more than answer ok",
        "仅作记录：模拟器只应答 ok"
    )
}

/// The answer, and what is to be said of it.
pub(crate) fn answer(api: &Api, params: &Map<String, Value>) -> (Value, Wording) {
    let ok = json!({ "errcode": 0, "errmsg": "ok" });
    let Some(sample) = api.sample_answer() else {
        let note = wording!(
            "only recorded: answered ok, with nothing else; no document at hand says which members its answer has",
            "仅作记录：只应答 ok；没有文档说明它的返回值有哪些字段"
        );
        return (ok, note);
    };
    let mut answer: Map<String, Value> = serde_json::from_str(sample.json).unwrap_or_default();
    answer.retain(|name, _| name != "errcode" && name != "errmsg");
    if answer.is_empty() {
        return (ok, only_recorded());
    }
    let members: Vec<_> = answer.keys().cloned().collect();
    for (name, value) in &mut answer {
        let is_id = name == "openid" || name.ends_with("_id");
        if let Some(sent) = params.get(name)
            && is_id
            && value.is_string()
            && sent.is_string()
        {
            *value = sent.clone();
        }
    }
    if is_later_page(params) {
        empty_lists(&mut answer);
    }
    let (members, empty) = (members.join(", "), sample.empty().collect::<Vec<_>>().join(", "));
    let note = if empty.is_empty() {
        wording!(
            "only recorded: the answer is made up, after the sample of WeChat's document ({members})",
            "仅作记录：返回值是按微信文档的示例编造的（{members}）"
        )
    } else {
        wording!(
            "only recorded: the answer is made up, after WeChat's document ({members}); without a sample, and therefore empty: {empty}",
            "仅作记录：返回值是按微信文档编造的（{members}）；文档没有示例、因而为空的字段：{empty}"
        )
    };
    let mut whole = ok;
    if let Value::Object(whole) = &mut whole {
        whole.append(&mut answer);
    }
    (whole, note)
}

/// Whether what is asked for is not the first page: the sample has one, and a program that reads on until nothing comes would read
/// for ever.
fn is_later_page(params: &Map<String, Value>) -> bool {
    let number = |name: &str| {
        let value = params.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    };
    let skips = ["offset", "start", "begin", "skip", "begin_id", "last_id"];
    let pages = ["page", "page_num", "page_index", "page_no"];
    let behind = [
        "next_openid",
        "begin_openid",
        "cursor",
        "next_cursor",
        "last_index",
        "next_page_info",
        "page_context",
    ];
    let text = |name: &str| params.get(name)?.as_str();
    skips
        .iter()
        .any(|name| number(name).is_some_and(|skipped| skipped > 0))
        || pages.iter().any(|name| number(name).is_some_and(|page| page > 1))
        || behind
            .iter()
            .any(|name| text(name).is_some_and(|text| !text.is_empty()))
}

fn empty_lists(answer: &mut Map<String, Value>) {
    for value in answer.values_mut() {
        match value {
            Value::Array(items) => items.clear(),
            Value::Object(inner) => empty_lists(inner),
            _ => {}
        }
    }
}
