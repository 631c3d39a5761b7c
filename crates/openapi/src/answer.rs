//! What an API answers when all is well: the sample that its document prints, for whoever plays WeChat.
//!
//! `answers.tsv` has a row for each API whose answer some document shows or lists: its name, the answer as JSON, and the members
//! (`data.cash_biz_id`) that the document lists and its sample lacks, which stand there in their empty form. The samples are those of
//! WeChat's documents, of 2026 where there is one and of earlier years where WeChat has taken it down. Four things differ from
//! them. So that a program which reads page by page comes to an end: what counts a list says how long the list here is, what leads to the next page is
//! empty, and of a list the first eight items are kept. And what was asked for was done: `success` is true, and what a sample shows as
//! failed among the rest is left out of it.

use std::sync::LazyLock;

use crate::Api;

/// A head line, then a row for each API, sorted by the bytes of its name.
const TEXT: &str = include_str!("answers.tsv");

static BY_NAME: LazyLock<Vec<(&'static str, SampleAnswer)>> = LazyLock::new(|| {
    let read =
        |row| SampleAnswer::parse(row).unwrap_or_else(|| unreachable!("a test reads every row: {row}"));
    TEXT.lines().skip(1).map(read).collect()
});

/// The answer that an API's document shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleAnswer {
    /// A JSON object, over HTTPS: its names in snake case. `{}` where the answer has no more than `errcode` and `errmsg`.
    pub json: &'static str,
    empty: &'static str,
}

impl SampleAnswer {
    /// The members that the document lists and shows no value of, as paths (`data.name`); they stand in their empty form: `""`,
    /// `0`, `false`, `[]`.
    pub fn empty(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.empty.split_terminator(',')
    }

    fn parse(row: &'static str) -> Option<(&'static str, Self)> {
        let mut columns = row.split('\t');
        let (name, json, empty) = (columns.next()?, columns.next()?, columns.next()?);
        Some((name, Self { json, empty }))
    }
}

impl Api {
    /// What its document has it answer; `None` where no document is known that says so.
    #[must_use]
    pub fn sample_answer(&self) -> Option<SampleAnswer> {
        let at = BY_NAME
            .binary_search_by(|(name, _)| (*name).cmp(self.name))
            .ok()?;
        Some(BY_NAME[at].1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use json::Object;

    use super::*;
    use crate::{ApiReplyKind, all, find};

    #[test]
    fn every_row_is_a_json_object_of_an_api_that_answers_json() {
        let rows: Vec<_> = TEXT
            .lines()
            .skip(1)
            .map(|row| SampleAnswer::parse(row).unwrap())
            .collect();
        assert!(rows.is_sorted_by(|(a, _), (b, _)| a < b));
        for (name, sample) in rows {
            let api = find(name).unwrap_or_else(|| panic!("no API {name}"));
            assert_eq!(api.reply, ApiReplyKind::Json, "{name}");
            assert!(
                Object::parse(sample.json.as_bytes()).is_ok(),
                "{name}: {}",
                sample.json
            );
        }
        for row in TEXT.lines() {
            assert_eq!(row.split('\t').count(), 3, "{row}");
        }
    }

    #[test]
    fn hardly_an_api_is_without_an_answer() {
        let without = |api: &&Api| api.reply == ApiReplyKind::Json && api.sample_answer().is_none();
        let names: Vec<_> = all().iter().filter(without).map(|api| api.name).collect();
        assert!(names.len() < 10, "{names:?}");
    }

    #[test]
    fn what_is_answered_went_well_and_comes_to_an_end() {
        let leads = [
            "next_openid",
            "next_begin_id",
            "next_cursor",
            "next_page_info",
            "last_id",
            "last_index",
            "page_context",
        ];
        for row in TEXT.lines().skip(1) {
            let (name, sample) = SampleAnswer::parse(row).unwrap();
            let text = sample.json;
            for failed in [
                r#""success":false"#,
                r#""errcode":1"#,
                r#""errcode":2"#,
                r#""has_more":true"#,
            ] {
                assert!(!text.contains(failed), "{name}: {failed}");
            }
            for lead in leads {
                if let Some((_, value)) = text.split_once(&format!("\"{lead}\":")) {
                    let nowhere = value.starts_with('0') || value.starts_with("\"\"");
                    assert!(nowhere, "{name}: {lead}");
                }
            }
        }
    }

    #[test]
    fn what_the_document_lists_without_a_value_is_named() {
        let sample = find("logistics.addOrder").unwrap().sample_answer().unwrap();
        assert!(
            sample.json.contains(r#""waybill_id":"123456789""#),
            "{}",
            sample.json
        );
        let empty: Vec<_> = sample.empty().collect();
        assert_eq!(empty, ["delivery_resultcode", "delivery_resultmsg"]);
    }
}
