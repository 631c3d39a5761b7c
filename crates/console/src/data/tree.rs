//! A document as a person reads it: a line for each field, objects and arrays folded, types that JSON lacks named beside the value, long
//! texts cut with the rest behind a click. However large a document is, what is shown of it is bounded.

use std::cell::Cell;

use bson::{Bson, DateTime, Document, spec::BinarySubtype};
use ejson::shell::{is_plain_key, quote, to_line, visible};
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};

use super::grouped;
use crate::{json_tree::extent, lang::Lang};

/// Characters of a text that are shown at once.
const SHORT: usize = 200;
/// Characters that are shown behind the click.
const LONG: usize = 20_000;
/// Characters of a list that is not folded.
const INLINE: usize = 60;
/// Levels that are shown.
const DEEPEST: usize = 16;
/// Members of one object or array that are shown.
const MEMBERS: usize = 100;

/// Shows documents of one page.
pub(super) struct Tree {
    lang: Lang,
    /// Characters that may still be shown of this document.
    room: Cell<usize>,
}

impl Tree {
    /// At most about `room` characters of a document are shown.
    pub(super) const fn new(lang: Lang, room: usize) -> Self {
        Self {
            lang,
            room: Cell::new(room),
        }
    }

    /// The fields of a document without its `_id`, which stands above them.
    pub(super) fn document(&self, document: &Document) -> Markup {
        let fields = document.iter().filter(|(name, _)| *name != "_id");
        html! {
            ul .tree {
                (self.members(fields.map(|(name, value)| (key(name), value)), 0))
            }
        }
    }

    fn members<'a>(&self, members: impl Iterator<Item = (Markup, &'a Bson)>, depth: usize) -> Markup {
        let mut members = members.peekable();
        let mut lines = Vec::new();
        while lines.len() < MEMBERS && self.room.get() > 0 {
            let Some((key, value)) = members.next() else { break };
            self.take(key.0.len() + 2);
            lines.push(html! { li { (self.member(key, value, depth)) } });
        }
        html! {
            @for line in lines { (line) }
            @if members.peek().is_some() {
                li .dim { (self.lang.t("… and more: ", "……还有：")) (grouped(members.count() as u64)) }
            }
        }
    }

    fn member(&self, key: Markup, value: &Bson, depth: usize) -> Markup {
        let lang = self.lang;
        if let Some(line) = inline(value) {
            self.take(line.len());
            return html! { (key) ": " span .n { (line) } };
        }
        match value {
            Bson::Document(document) => {
                if let Some((longitude, latitude)) = point(document) {
                    self.take(40);
                    return html! { (key) ": " span .tag { "Point" } " " span .n { (longitude) ", " (latitude) } };
                }
                let kind = document
                    .get_str("type")
                    .ok()
                    .filter(|_| document.contains_key("coordinates"));
                let summary = html! {
                    (key) ": "
                    @if let Some(kind) = kind { span .tag { (visible(kind)) } " " }
                    span .dim { (extent(lang, false, document.len())) }
                };
                self.fold(&summary, document.is_empty(), "{}", &key, depth, || {
                    self.members(
                        document.iter().map(|(name, value)| (self::key(name), value)),
                        depth + 1,
                    )
                })
            }
            Bson::Array(elements) => {
                let summary = html! {
                    (key) ": " span .dim { (extent(lang, true, elements.len())) }
                };
                self.fold(&summary, elements.is_empty(), "[]", &key, depth, || {
                    let members = elements.iter().enumerate();
                    self.members(
                        members.map(|(at, value)| (html! { span .dim { (at) } }, value)),
                        depth + 1,
                    )
                })
            }
            Bson::String(text) => html! { (key) ": " (self.text(text)) },
            leaf => html! { (key) ": " (self.leaf(leaf)) },
        }
    }

    fn fold(
        &self,
        summary: &Markup,
        is_empty: bool,
        empty: &str,
        key: &Markup,
        depth: usize,
        inside: impl FnOnce() -> Markup,
    ) -> Markup {
        self.take(20);
        if is_empty {
            return html! { (key) ": " (empty) };
        }
        if depth >= DEEPEST {
            return html! { (summary) " …" };
        }
        html! { details { summary { (summary) } ul .tree { (inside()) } } }
    }

    fn text(&self, text: &str) -> Markup {
        let short = beginning(text, SHORT);
        self.take(short.len() + 2);
        if short.len() == text.len() {
            return html! { span .s { (quote(text)) } };
        }
        let long = beginning(text, LONG.min(self.room.get().max(SHORT)));
        self.take(long.len());
        let characters = text.chars().count() as u64;
        html! {
            span .s { (quote(short)) "…" }
            details .more {
                summary { (self.lang.t("all of it, characters: ", "查看全文，字符数：")) (grouped(characters)) }
                pre .json tabindex="0" { (visible(long)) @if long.len() < text.len() { " …" } }
            }
        }
    }

    fn leaf(&self, value: &Bson) -> Markup {
        let line = to_line(value);
        self.take(line.len());
        let tagged = |tag: &str, value: &str| html! { span .n { (value) } " " span .tag { (tag) } };
        match value {
            Bson::DateTime(time) => date(*time),
            Bson::ObjectId(_) => html! { span .id { (line) } },
            Bson::Int32(_) => html! { span .n { (line) } },
            Bson::Int64(number) => tagged("long", &number.to_string()),
            Bson::Double(_) => tagged("double", &line),
            Bson::Decimal128(number) => tagged("decimal", &number.to_string()),
            Bson::Boolean(_) | Bson::Null | Bson::Undefined => html! { span .w { (line) } },
            Bson::Binary(binary) if binary.subtype != BinarySubtype::Uuid => {
                html! { span .n { (beginning(&line, 80)) @if line.len() > 80 { "…" } } " " span .tag { (grouped(binary.bytes.len() as u64)) " B" } }
            }
            _ => html! { span .n { (beginning(&line, SHORT)) @if line.chars().count() > SHORT { "…" } } },
        }
    }

    fn take(&self, characters: usize) {
        self.room.set(self.room.get().saturating_sub(characters));
    }
}

/// A field's name.
fn key(name: &str) -> Markup {
    let short = beginning(name, SHORT);
    let more = if short.len() < name.len() { "…" } else { "" };
    let plain = is_plain_key(short);
    html! { span .k { @if plain { (visible(short)) } @else { (quote(short)) } (more) } }
}

/// What is so short that nothing of it needs folding: a list of a few texts, numbers or the like.
fn inline(value: &Bson) -> Option<String> {
    let Bson::Array(elements) = value else { return None };
    let is_plain = |element: &Bson| match element {
        Bson::String(text) => text.len() <= INLINE,
        Bson::Int32(_) | Bson::Double(_) | Bson::Boolean(_) | Bson::Null => true,
        _ => false,
    };
    if elements.is_empty() || elements.len() > INLINE / 2 || !elements.iter().all(is_plain) {
        return None;
    }
    let line = to_line(value);
    (line.chars().count() <= INLINE).then_some(line)
}

/// The place of a GeoJSON point.
fn point(document: &Document) -> Option<(String, String)> {
    if document.len() != 2 || document.get_str("type").ok()? != "Point" {
        return None;
    }
    match document.get_array("coordinates").ok()?.as_slice() {
        [longitude, latitude] if is_number(longitude) && is_number(latitude) => {
            Some((to_line(longitude), to_line(latitude)))
        }
        _ => None,
    }
}

const fn is_number(value: &Bson) -> bool {
    matches!(value, Bson::Double(_) | Bson::Int32(_) | Bson::Int64(_))
}

/// The time where this machine is; in UTC on a closer look.
fn date(time: DateTime) -> Markup {
    let exact = to_line(&Bson::DateTime(time));
    let there = Timestamp::from_millisecond(time.timestamp_millis()).ok();
    let there = there.map(|at| {
        at.to_zoned(TimeZone::system())
            .strftime("%F %T%.3f %:z")
            .to_string()
    });
    html! {
        @match there {
            Some(there) => time .n title=(exact) { (there) },
            None => span .n { (exact) },
        }
        " " span .tag { "date" }
    }
}

/// The longest beginning with no more characters.
fn beginning(text: &str, characters: usize) -> &str {
    let end = text
        .char_indices()
        .nth(characters)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use bson::{doc, oid::ObjectId};

    use super::*;

    fn shown(document: &Document) -> String {
        Tree::new(Lang::En, 10_000).document(document).into_string()
    }

    #[test]
    fn types_are_seen() {
        let page = shown(&doc! {
            "_id": "x",
            "n": 5,
            "long": 5_i64,
            "double": 5.0,
            "at": DateTime::from_millis(0),
            "user": ObjectId::from_bytes([0; 12]),
            "place": { "type": "Point", "coordinates": [113.5, 23] },
            "empty": {},
            "list": [1, { "a": true }],
            "tags": ["a", "b"],
            "a b": null,
        });
        for part in [
            "<span class=\"k\">n</span>: <span class=\"n\">5</span>",
            "<span class=\"n\">5</span> <span class=\"tag\">long</span>",
            "<span class=\"n\">5.0</span> <span class=\"tag\">double</span>",
            "title=\"ISODate(&quot;1970-01-01T00:00:00Z&quot;)\"",
            "ObjectId(&quot;000000000000000000000000&quot;)",
            "<span class=\"tag\">Point</span> <span class=\"n\">113.5, 23</span>",
            "empty</span>: {}",
            "[ 2 elements ]",
            "tags</span>: <span class=\"n\">[&quot;a&quot;, &quot;b&quot;]</span>",
            "<span class=\"k\">&quot;a b&quot;</span>: <span class=\"w\">null</span>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("_id"));
    }

    #[test]
    fn whatever_is_in_it_is_text_and_seen() {
        let hostile = "</span><script>alert(1)</script>\u{202e}\u{0}";
        let page = shown(&doc! { hostile: hostile, "type": { "type": hostile, "coordinates": [hostile] } });
        assert!(
            !page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{0}'),
            "{page}"
        );
        assert!(page.contains("\\u202e\\u0000"));
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let wide: Document = (0..100_000)
            .map(|n| (format!("field{n}"), Bson::Int32(n)))
            .collect();
        let long = doc! { "text": "云".repeat(1_000_000), "list": vec!["x".repeat(1000); 1000] };
        let mut deep = Bson::Int32(1);
        for _ in 0..150 {
            deep = Bson::Document(doc! { "a": [deep] });
        }
        for document in [wide, long, doc! { "deep": deep }] {
            let page = shown(&document);
            assert!(page.len() < 200_000, "{}", page.len());
        }
        assert!(shown(&doc! { "text": "x".repeat(1000) }).contains("characters: 1,000"));
    }
}
