//! JSON as a tree to fold, numbers and strings as they were written. However large a text is, what is shown of it is bounded; the
//! button beside it copies all that is kept, and says so where that is not the whole.

use std::cell::Cell;

use json::Object;
use maud::{Markup, html};

use crate::{lang::Lang, layout, recorder::beginning};

/// Members and elements that are shown.
const NODES: usize = 150;
/// Bytes of a string that are shown.
const STRING: usize = 300;
/// Levels that are open at first.
const OPEN: usize = 2;
/// Levels that are shown.
const DEEPEST: usize = 16;
/// Bytes of a value that stands on one line.
const INLINE: usize = 60;
/// Ends what was cut.
const CUT: char = '…';
/// What the platform fills in: whoever reads their own event knows it.
const PLATFORM: [&str; 3] = ["userInfo", "tcbContext", "OPEN_DATA_INFO"];

/// A text with its title and a button that copies it. A line before the JSON, as of a request, stands above the tree; what is no JSON, as
/// what was cut, is shown as it is.
pub(crate) fn titled(lang: Lang, title: &str, text: &str) -> Markup {
    part(lang, title, text, text.ends_with(CUT))
}

/// The same of a text of which it is known whether it is the whole.
pub(crate) fn part(lang: Lang, title: &str, text: &str, is_cut: bool) -> Markup {
    let is_json = |text: &str| json::validate(text.as_bytes()).is_ok();
    let (line, body) = match text.split_once('\n') {
        _ if is_json(text) => (None, Some(text)),
        Some((line, body)) if is_json(body) => (Some(line), Some(body)),
        _ => (None, None),
    };
    let cut = is_cut && body.is_none();
    html! {
        section .value {
            h3 {
                (title) " "
                @if cut {
                    button .copy type="button" data-text=(text) data-copied="✓" { (lang.t("Copy the beginning (the rest is not kept)", "复制开头（其余未保留）")) }
                } @else { (layout::copy(lang, text)) }
            }
            @if let Some(line) = line { p { code { (line) } } }
            @match body {
                Some(body) => ul .tree { (value(lang, body)) },
                None if cut => (layout::json(lang, text)),
                None => pre tabindex="0" { (text) },
            }
        }
    }
}

fn value(lang: Lang, text: &str) -> Markup {
    let nodes = Cell::new(NODES);
    match text.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => members(lang, parts(text.trim()), 0, &nodes),
        _ => html! { li { (leaf(text.trim())) } },
    }
}

/// How much is folded away: `{ 3 fields }`, `[ 1 element ]`.
pub(crate) fn extent(lang: Lang, is_list: bool, count: usize) -> String {
    match (is_list, count) {
        (true, 1) => lang.t("[ 1 element ]", "[ 1 个元素 ]").to_owned(),
        (true, _) => format!("[ {count}{} ]", lang.t(" elements", " 个元素")),
        (false, 1) => lang.t("{ 1 field }", "{ 1 个字段 }").to_owned(),
        (false, _) => format!("{{ {count}{} }}", lang.t(" fields", " 个字段")),
    }
}

/// The members of an object, or the elements of an array.
fn members(lang: Lang, inside: Vec<(String, &str)>, depth: usize, nodes: &Cell<usize>) -> Markup {
    let count = inside.len();
    let mut lines = Vec::new();
    for (key, value) in inside {
        if nodes.get() == 0 {
            break;
        }
        nodes.set(nodes.get() - 1);
        lines.push(html! { li { (member(lang, &key, value, depth, nodes)) } });
    }
    html! {
        @for line in &lines { (line) }
        @if count == 0 { li .dim { (lang.t("empty", "空")) } }
        @if lines.len() < count { li .dim { (lang.t("… and more: ", "……还有：")) (count - lines.len()) } }
    }
}

fn member(lang: Lang, key: &str, value: &str, depth: usize, nodes: &Cell<usize>) -> Markup {
    let name = html! { span .k { (beginning(key, STRING)) } ": " };
    let is_list = value.starts_with('[');
    if !is_list && !value.starts_with('{') || value.len() <= INLINE {
        return html! { (name) (leaf(value)) };
    }
    let inside = parts(value);
    let count = inside.len();
    html! {
        details open[depth + 1 < OPEN && !PLATFORM.contains(&key)] {
            summary {
                (name)
                span .dim { (extent(lang, is_list, count)) }
            }
            ul .tree {
                @if depth == DEEPEST { li .dim { "…" } } @else { (members(lang, inside, depth + 1, nodes)) }
            }
        }
    }
}

fn leaf(value: &str) -> Markup {
    let shown = beginning(value, STRING);
    let kind = match value.as_bytes().first() {
        Some(b'"') => "s",
        Some(b'{' | b'[') => "dim",
        _ => "n",
    };
    html! { span .(kind) { (shown) @if shown.len() < value.len() { "…" } } }
}

/// Keys, or places, with what stands there.
fn parts(text: &str) -> Vec<(String, &str)> {
    if text.starts_with('[') {
        let elements = json::array(text).unwrap_or_default();
        return elements
            .into_iter()
            .enumerate()
            .map(|(at, element)| (at.to_string(), element.trim()))
            .collect();
    }
    let object = Object::parse(text.as_bytes()).unwrap_or_default();
    object
        .members()
        .iter()
        .map(|member| (member.key().into_owned(), member.value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        titled(Lang::En, "Event", text).into_string()
    }

    #[test]
    fn numbers_and_strings_stay_as_they_were_written() {
        let tree = shown(
            r#"{"n":12345678901234567890,"s":"a\u00e9","deep":{"list":[1,[2,3]],"e":{}},"userInfo":{"appId":"wx0123456789abcdef0123456789abcdef0123456789abcdef"}}"#,
        );
        for part in ["12345678901234567890", "&quot;a\\u00e9&quot;", "deep"] {
            assert!(tree.contains(part), "{part} in {tree}");
        }
        assert!(
            tree.contains("<details><summary><span class=\"k\">userInfo"),
            "{tree}"
        );
    }

    #[test]
    fn whatever_it_is_it_is_bounded_and_text() {
        for text in [
            "[".repeat(3000) + &"]".repeat(3000),
            format!("[{}1]", "1,".repeat(100_000)),
            format!(
                "{{{}}}",
                (0..5000)
                    .map(|n| format!("\"<b>{n}\":[\"<script>\"]"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            format!("\"{}\"", "<".repeat(100_000)),
        ] {
            let tree = shown(&text);
            let copied = tree.find("</h3>").map_or("", |at| &tree[at..]);
            assert!(copied.len() < 60_000, "{}", copied.len());
            assert!(!tree.contains("<script") && !tree.contains("<b>"));
        }
        assert!(shown("<b>").contains("&lt;b&gt;"));
        assert!(shown("{\"a\": \"b …").contains("Copy the beginning"));
        assert!(!shown("{\"a\": \"b …\"}").contains("Copy the beginning"));
        assert!(shown("7").contains("<span class=\"n\">7</span>"));
    }
}
