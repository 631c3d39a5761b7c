//! What there is to tell: of a call once it is over, and of what belongs to no call. As the terminal prints it, and as one line of
//! JSON in `.yunqiao/calls.jsonl`, from which it can be printed again.

use std::{sync::Arc, time::Duration};

use console::beginning;
use gateway::{CallRecord, PrintedLine, WebRecord};
use jiff::{SignedDuration, Timestamp};
use runtime::Level;
use serde::{Deserialize, Serialize};
use wording::Wording;

use crate::backlog::Weight;

/// Bytes of an error's text that are told. What a function prints is bounded by the runtime.
const ERROR_BYTES: usize = 64 << 10;

/// Something to tell.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    Call(Box<Call>),
    Printed(Printed),
    Web(Web),
    Note(Note),
    Gap(Gap),
}

/// A call, as it ended. Times are in milliseconds in JSON.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Call {
    /// When it ended (RFC 3339).
    pub(crate) time: String,
    #[serde(rename = "requestID")]
    pub(crate) request_id: String,
    pub(crate) function: String,
    pub(crate) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) openid: Option<String>,
    /// Of a message push: how often it has been tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    /// Of HTTP access: method and path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<String>,
    pub(crate) status: u16,
    pub(crate) err_code: i64,
    pub(crate) err_msg: String,
    #[serde(rename = "waitedMs", with = "milliseconds")]
    pub(crate) waited: Duration,
    #[serde(rename = "ranMs", with = "milliseconds")]
    pub(crate) ran: Duration,
    /// What became of the cloudIDs that it was given.
    #[serde(rename = "cloudIDs")]
    pub(crate) cloud_ids: Vec<CloudId>,
    /// What the function printed, where it stands in no [`Printed`] of its own.
    #[serde(default)]
    pub(crate) logs: Vec<Line>,
    /// How much of it was not kept.
    pub(crate) dropped_bytes: u64,
    pub(crate) cloud_calls: Vec<CloudCall>,
    /// How many there were beyond those.
    pub(crate) more_cloud_calls: u64,
    /// Fields that were not filled in.
    pub(crate) warnings: Vec<Warning>,
    /// What the operator was told while it ran.
    pub(crate) notes: Vec<String>,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes_zh: Vec<String>,
    /// When the times of its lines begin, where it is known from them.
    #[serde(skip)]
    pub(crate) printed_from: Option<Timestamp>,
}

/// A field with a cloudID; the code is 0 if open data stands there now.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CloudId {
    pub(crate) field: String,
    pub(crate) err_code: i64,
}

/// What a function prints, at the moment when it does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Printed {
    /// When it was printed (RFC 3339).
    pub(crate) time: String,
    /// Of the call that prints it; empty outside of any call.
    #[serde(rename = "requestID", default, skip_serializing_if = "String::is_empty")]
    pub(crate) request_id: String,
    /// Empty for a worker that has no function yet.
    pub(crate) function: String,
    #[serde(flatten)]
    pub(crate) line: Line,
}

/// What one call of the console printed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Line {
    pub(crate) level: String,
    /// After the function began to run.
    #[serde(rename = "atMs", with = "milliseconds")]
    pub(crate) at: Duration,
    pub(crate) text: String,
}

/// What was asked of the cloud, and answered.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CloudCall {
    pub(crate) what: String,
    pub(crate) err_code: i64,
    pub(crate) err_msg: String,
    /// After the function began to run.
    #[serde(rename = "atMs", with = "milliseconds")]
    pub(crate) at: Duration,
    #[serde(rename = "tookMs", with = "milliseconds")]
    pub(crate) took: Duration,
    /// Of `callFunction`: the call that was made.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    pub(crate) callee: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Warning {
    pub(crate) field: String,
    /// In English, as programs read it.
    pub(crate) err_msg: String,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) err_msg_zh: String,
}

/// A request to the web listener, as it was answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Web {
    /// When it was answered (RFC 3339).
    pub(crate) time: String,
    #[serde(rename = "requestID")]
    pub(crate) request_id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) client: String,
    /// The function that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<String>,
    pub(crate) web_status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    #[serde(rename = "tookMs", with = "milliseconds")]
    pub(crate) took: Duration,
}

/// Something to know that belongs to no call.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    /// When it was told (RFC 3339).
    pub(crate) time: String,
    /// Of the reply that it is about; empty if it is about none.
    #[serde(rename = "requestID", default, skip_serializing_if = "String::is_empty")]
    pub(crate) request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) openid: Option<String>,
    /// In English, as programs read it.
    pub(crate) note: String,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note_zh: String,
}

/// So many lines would stand here: they came faster than they could be written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gap {
    /// When it was noted (RFC 3339).
    pub(crate) time: String,
    pub(crate) lines_not_kept: u64,
}

impl Entry {
    /// When it was.
    pub(crate) fn time(&self) -> &str {
        match self {
            Self::Call(call) => &call.time,
            Self::Printed(printed) => &printed.time,
            Self::Web(web) => &web.time,
            Self::Note(note) => &note.time,
            Self::Gap(gap) => &gap.time,
        }
    }

    /// The function that was called.
    pub(crate) fn function(&self) -> Option<&str> {
        match self {
            Self::Call(call) => Some(&call.function),
            Self::Printed(printed) => Some(&printed.function),
            Self::Web(web) => web.function.as_deref(),
            Self::Note(_) | Self::Gap(_) => None,
        }
    }
}

impl Weight for Arc<Entry> {
    fn bytes(&self) -> usize {
        let texts = match &**self {
            Entry::Call(call) => call.texts().map(str::len).sum(),
            Entry::Printed(printed) => printed.line.text.len(),
            Entry::Web(web) => web.path.len() + web.method.len(),
            Entry::Note(note) => note.note.len() + note.note_zh.len(),
            Entry::Gap(_) => 0,
        };
        size_of::<Call>() + texts
    }

    fn lines(&self) -> u64 {
        match &**self {
            Entry::Printed(printed) => printed.line.text.lines().count() as u64,
            Entry::Call(_) | Entry::Web(_) | Entry::Note(_) => 1,
            Entry::Gap(gap) => gap.lines_not_kept,
        }
    }
}

impl Gap {
    pub(crate) fn new(lines: u64) -> Self {
        Self {
            time: now(),
            lines_not_kept: lines,
        }
    }
}

impl Call {
    /// The texts whose length others decide.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let logs = self.logs.iter().map(|line| &line.text);
        let cloud_calls = self
            .cloud_calls
            .iter()
            .flat_map(|made| [&made.what, &made.err_msg]);
        let warnings = self
            .warnings
            .iter()
            .flat_map(|warning| [&warning.field, &warning.err_msg, &warning.err_msg_zh]);
        let fields = self.cloud_ids.iter().map(|id| &id.field);
        let texts = logs.chain(cloud_calls).chain(warnings).chain(fields);
        texts
            .chain(self.notes.iter().chain(&self.notes_zh))
            .chain([&self.err_msg, &self.source])
            .chain(&self.http)
            .map(String::as_str)
    }

    /// What the gateway told, with the notes that belong to it. What the function printed was told before, line by line.
    pub(crate) fn new(record: &CallRecord<'_>, notes: Vec<Wording>) -> Self {
        let (notes, notes_zh) = notes.into_iter().map(|note| (note.en, note.zh)).unzip();
        let (err_code, text) = record.error.unwrap_or_default();
        let cloud_calls = record.cloud_calls.iter().map(|made| CloudCall {
            what: made.what.clone(),
            err_code: made.code,
            err_msg: made.text.clone(),
            at: made.at.saturating_sub(record.waited),
            took: made.took,
            callee: made.callee.clone(),
        });
        let cloud_ids = record.redeemed.fields.iter().map(|(field, code)| CloudId {
            field: plain(field),
            err_code: *code,
        });
        let warnings = record.warnings.iter().map(|(field, text)| Warning {
            field: plain(field),
            err_msg: text.en.clone(),
            err_msg_zh: text.zh.clone(),
        });
        Self {
            time: now(),
            request_id: record.request_id.to_owned(),
            function: record.function.to_owned(),
            source: record.source.to_owned(),
            openid: record.openid.map(str::to_owned),
            attempt: record.attempt,
            http: record.http.map(|line| format!("{} {}", line.method, line.path)),
            status: record.status,
            err_code,
            err_msg: beginning(text, ERROR_BYTES).to_owned(),
            waited: record.waited,
            ran: record.ran,
            cloud_ids: cloud_ids.collect(),
            logs: Vec::new(),
            dropped_bytes: record.logs.dropped(),
            cloud_calls: cloud_calls.collect(),
            more_cloud_calls: record.more_cloud_calls,
            warnings: warnings.collect(),
            notes,
            notes_zh,
            printed_from: None,
        }
    }

    /// Its notes, in both languages.
    pub(crate) fn wordings(&self) -> impl Iterator<Item = Wording> {
        let all = self.notes.iter().enumerate();
        all.map(|(at, note)| wording_of(note, self.notes_zh.get(at)))
    }
}

impl Warning {
    /// In both languages. What an older version wrote is in English alone.
    pub(crate) fn wording(&self) -> Wording {
        wording_of(&self.err_msg, Some(&self.err_msg_zh))
    }
}

fn wording_of(en: &str, zh: Option<&String>) -> Wording {
    match zh.filter(|zh| !zh.is_empty()) {
        Some(zh) => Wording {
            en: en.to_owned(),
            zh: zh.clone(),
        },
        None => Wording::as_is(en),
    }
}

impl Web {
    pub(crate) fn new(record: &WebRecord<'_>) -> Self {
        Self {
            time: now(),
            request_id: record.request_id.to_owned(),
            method: record.method.to_owned(),
            path: record.path.to_owned(),
            client: record.client_ip.to_string(),
            function: record.function.map(str::to_owned),
            web_status: record.status,
            bytes: record.bytes,
            took: record.took,
        }
    }
}

impl Note {
    pub(crate) fn new(request_id: &str, openid: Option<&str>, note: &Wording) -> Self {
        Self {
            time: now(),
            request_id: request_id.to_owned(),
            openid: openid.map(str::to_owned),
            note: note.en.clone(),
            note_zh: note.zh.clone(),
        }
    }

    /// In both languages. What an older version wrote is in English alone.
    pub(crate) fn wording(&self) -> Wording {
        wording_of(&self.note, Some(&self.note_zh))
    }
}

impl Printed {
    /// When the times of its call's lines begin, by this line; `None` where its time is none.
    pub(crate) fn counted_from(&self) -> Option<Timestamp> {
        let at = SignedDuration::try_from(self.line.at).ok()?;
        self.time.parse::<Timestamp>().ok()?.checked_sub(at).ok()
    }

    pub(crate) fn new(line: &PrintedLine<'_>) -> Self {
        Self {
            time: now(),
            request_id: line.request_id.unwrap_or_default().to_owned(),
            function: line.function.to_owned(),
            line: Line {
                level: line.level.name().to_owned(),
                at: line.at,
                text: line.text.to_owned(),
            },
        }
    }
}

impl Line {
    pub(crate) fn is(&self, level: Level) -> bool {
        self.level == level.name()
    }
}

/// A name that is written as JSON.
fn plain(name: &str) -> String {
    serde_json::from_str(name).unwrap_or_else(|_| name.to_owned())
}

fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

/// A time in milliseconds, to the microsecond.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::cast_precision_loss, reason = "no call takes 2^53 microseconds")]
    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_micros() as f64 / 1000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let time = f64::deserialize(from)? / 1000.0;
        Duration::try_from_secs_f64(time).map_err(serde::de::Error::custom)
    }
}
