//! What a function is given as its `event`, as bytes: the platform's part of it, and what a caller sent.
//!
//! The `data` of a call is never parsed into a tree. Its top-level members are raw slices, so number text, key order and
//! everything below the top pass through as they were written; a field that stands for a cloudID is replaced whole, and the
//! platform's own fields follow at the end. Names are compared after unescaping, and a name given twice is refused: otherwise
//! a client could pass off an object of its own as the platform's (`OPEN_DATA_INFO` lists fields by name).
//!
//! `userInfo` is the platform's and the caller's: Mini Programs send what `wx.getUserProfile` gave under this name, and read
//! `event.userInfo.nickName` in the function. What they send stays, and `appId` and `openId` in it are the platform's.
//!
//! The number of fields is the caller's to choose, so all work on them grows no faster than the text.

use std::{borrow::Cow, collections::HashMap, fmt};

use json::Object;
use thiserror::Error;
use wording::{Wording, wording};

/// How many fields a call may name as cloudIDs. Five are replaced; more names than this are no page's, but work for whoever
/// looks each of them up.
pub const MAX_NAMED: usize = 100;

/// What the platform adds its own members to. What a caller sends under this name is dropped where it is no object.
const USER_INFO: &str = "userInfo";
/// The members of `userInfo` that are the platform's own: a caller's are dropped, also where the platform has none to say.
const IDENTITY: [&str; 2] = ["appId", "openId"];
/// The field that is the platform's own: what a caller sends under this name is dropped.
const TCB_CONTEXT: &str = "tcbContext";

/// Why `data` cannot become an event. `Display` is the text for who sent it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallDataError {
    /// It is another value, or not JSON.
    #[error("`data` must be an object")]
    NotAnObject,
    /// A field that is there twice, compared by what its name means.
    #[error("`data` has the field {0:?} twice; a field may be given once")]
    FieldTwice(String),
    /// So many names of cloudIDs.
    #[error("`cloudIDs` has more than {MAX_NAMED} names; 5 cloudIDs are replaced in one call at most")]
    TooManyNames,
    /// A name that no field has.
    #[error("`cloudIDs` names the field {0:?}, which `data` does not have")]
    NoField(String),
    /// A name whose field holds something else than a string.
    #[error("`cloudIDs` names the field {0:?}, whose value is not a string")]
    NotText(String),
    /// A name that is there twice.
    #[error("`cloudIDs` names the field {0:?} twice")]
    NamedTwice(String),
}

/// The `data` of a call, taken apart at its top level.
#[derive(Debug)]
pub struct CallData<'a> {
    object: Object<'a>,
    /// The members that do not pass as they are, by their place among all, in order. Most events have none.
    fates: Vec<(usize, Fate)>,
    marked: Vec<MarkedField<'a>>,
    items: Vec<Vec<u8>>,
    /// What the caller sent as `userInfo`.
    user_info: Object<'a>,
    warnings: Vec<(String, Wording)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Drop,
    /// Replaced by the item of this number.
    Fill(usize),
}

/// A field whose value stands for a cloudID.
#[derive(Debug)]
pub struct MarkedField<'a> {
    /// Its name, a JSON string literal as the client wrote it.
    pub raw_name: &'a str,
    /// The id, a JSON string literal as the client wrote it.
    pub raw_id: &'a str,
    /// The id; `None` where it has a lone surrogate and so cannot be an id of anybody's.
    pub id: Option<Cow<'a, str>>,
}

impl<'a> CallData<'a> {
    /// Takes `text`, the JSON text of an object, apart. It names no cloudIDs yet.
    ///
    /// # Errors
    /// It is not an object, or has a field twice.
    pub fn parse(text: &'a str) -> Result<Self, CallDataError> {
        let object = Object::parse(text.as_bytes()).map_err(|_| CallDataError::NotAnObject)?;
        if let Some(name) = object.duplicate() {
            return Err(CallDataError::FieldTwice(name.into_owned()));
        }
        let mut fates = Vec::new();
        let mut warnings = Vec::new();
        let mut user_info = Object::default();
        for (place, member) in object.members().iter().enumerate() {
            let dropped = if member.key_is(USER_INFO) {
                match Object::parse(member.value.as_bytes()) {
                    Ok(sent) => {
                        user_info = sent;
                        None
                    }
                    Err(_) => Some(wording!(
                        "the platform puts an object here; what was sent is none, and is dropped",
                        "平台在这里放的是对象；传来的不是对象，已丢弃"
                    )),
                }
            } else if member.key_is(TCB_CONTEXT) {
                Some(wording!(
                    "this field is the platform's own; the one that was sent is dropped",
                    "这是平台自己的字段；传来的已丢弃"
                ))
            } else {
                continue;
            };
            // What stays of it is written at the end.
            fates.push((place, Fate::Drop));
            warnings.extend(dropped.map(|why| (member.raw_key.to_owned(), why)));
        }
        Ok(Self {
            object,
            fates,
            marked: Vec::new(),
            items: Vec::new(),
            user_info,
            warnings,
        })
    }

    /// Takes the fields of these names for cloudIDs: the first `most` of them in the order of `data`, whatever the order of
    /// the names. A further one stays the string it was, with a warning.
    ///
    /// # Errors
    /// A name is absent, twice there, or that of something else than a string; or there are more than [`MAX_NAMED`].
    pub fn mark(&mut self, names: &[Cow<'_, str>], most: usize) -> Result<(), CallDataError> {
        if names.is_empty() {
            return Ok(());
        }
        if names.len() > MAX_NAMED {
            return Err(CallDataError::TooManyNames);
        }
        let mut wanted: HashMap<&[u8], usize> = HashMap::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            if wanted.insert(name.as_bytes(), index).is_some() {
                return Err(CallDataError::NamedTwice(name.to_string()));
            }
        }
        let mut found = vec![None; names.len()];
        for (place, member) in self.object.members().iter().enumerate() {
            if let Some(index) = wanted.get(&*member.meaning()) {
                found[*index] = Some(place);
            }
        }
        let mut places = Vec::with_capacity(names.len());
        for (name, place) in names.iter().zip(found) {
            let place = place.ok_or_else(|| CallDataError::NoField(name.to_string()))?;
            if !json::is_string(self.object.members()[place].value) {
                return Err(CallDataError::NotText(name.to_string()));
            }
            places.push(place);
        }
        places.sort_unstable();
        for place in places {
            // A field of the platform's own is no cloudID, whatever it is named as.
            if self.fates.iter().any(|(dropped, _)| *dropped == place) {
                continue;
            }
            let member = self.object.members()[place];
            if self.marked.len() == most {
                self.warnings.push((
                    member.raw_key.to_owned(),
                    wording!(
                        "at most {most} cloudIDs are replaced in one call; this one stays the string it was",
                        "一次调用最多换取 {most} 个 cloudID；这一个保持原字符串"
                    ),
                ));
                continue;
            }
            self.fates.push((place, Fate::Fill(self.marked.len())));
            self.marked.push(MarkedField {
                raw_name: member.raw_key,
                raw_id: member.value,
                id: json::unescape(member.value),
            });
        }
        self.fates.sort_unstable_by_key(|(place, _)| *place);
        Ok(())
    }

    /// The fields to fill in, in the order of `data`.
    #[must_use]
    pub fn marked(&self) -> &[MarkedField<'a>] {
        &self.marked
    }

    /// Puts `items`, JSON texts, in the places of the [`marked`](Self::marked) fields, one for each. A field without one stays
    /// the string it was.
    pub fn fill(&mut self, items: Vec<Vec<u8>>) {
        self.items = items;
    }

    /// Fields that are not as the caller may expect: the name as a JSON string literal, and why.
    #[must_use]
    pub fn take_warnings(&mut self) -> Vec<(String, Wording)> {
        std::mem::take(&mut self.warnings)
    }

    /// Appends the fields, each with a comma behind it.
    fn write(&self, out: &mut Vec<u8>) {
        let mut fates = self.fates.iter().peekable();
        for (place, member) in self.object.members().iter().enumerate() {
            let value = match fates.next_if(|(fated, _)| *fated == place) {
                Some((_, Fate::Drop)) => continue,
                Some((_, Fate::Fill(item))) => self
                    .items
                    .get(*item)
                    .map_or(member.value.as_bytes(), Vec::as_slice),
                None => member.value.as_bytes(),
            };
            out.extend_from_slice(member.raw_key.as_bytes());
            out.push(b':');
            out.extend_from_slice(value);
            out.push(b',');
        }
    }

    /// Appends the field `userInfo`: what the caller sent, and who it is that calls, if anybody.
    fn write_user_info(&self, appid: &str, openid: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"userInfo\":{");
        for member in self.user_info.members() {
            if !IDENTITY.iter().any(|own| member.key_is(own)) {
                out.extend_from_slice(member.raw_key.as_bytes());
                out.push(b':');
                out.extend_from_slice(member.value.as_bytes());
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"appId\":");
        json::write_string(out, appid);
        if let Some(openid) = openid {
            out.extend_from_slice(b",\"openId\":");
            json::write_string(out, openid);
        }
        out.push(b'}');
    }
}

/// An event whose members are another room's business.
pub trait WriteEvent: fmt::Debug + Sync {
    /// Appends the event's JSON text, which is an object.
    fn write(&self, out: &mut Vec<u8>);
}

/// The event of a call, by what sets it off.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client or a function calls: the fields of `data`, `userInfo`, and `tcbContext`, which is empty.
    Call(CallData<'a>),
    /// A server calls by WeChat's HTTP API ("触发云函数"): the fields of the body, and `userInfo` without an openid of anybody's.
    HttpApi(CallData<'a>),
    /// A timer ("定时触发器"): four fields of its own, of which `Message` is what the platform's console lets one add.
    Timer {
        /// The trigger's name.
        name: &'a str,
        /// The tick, in UTC, as `2026-11-20T18:00:00Z`.
        at: &'a str,
    },
    /// A message push: the packet alone, which is the JSON text of an object.
    Push(&'a str),
    /// HTTP access (云接入): the request alone.
    Http(&'a dyn WriteEvent),
}

impl Event<'_> {
    /// Appends the event's JSON text. `appid` and the calling user's `openid` stand in `userInfo`, where the event has one.
    pub fn write(&self, appid: &str, openid: Option<&str>, out: &mut Vec<u8>) {
        match self {
            Self::Call(data) => {
                out.push(b'{');
                data.write(out);
                data.write_user_info(appid, openid, out);
                out.extend_from_slice(b",\"tcbContext\":{}}");
            }
            Self::HttpApi(data) => {
                out.push(b'{');
                data.write(out);
                data.write_user_info(appid, None, out);
                out.push(b'}');
            }
            Self::Timer { name, at } => {
                out.extend_from_slice(b"{\"Type\":\"Timer\",\"TriggerName\":");
                json::write_string(out, name);
                out.extend_from_slice(b",\"Time\":");
                json::write_string(out, at);
                out.extend_from_slice(b",\"Message\":\"\"}");
            }
            Self::Push(packet) => out.extend_from_slice(packet.as_bytes()),
            Self::Http(request) => request.write(out),
        }
    }

    /// The names, as JSON string literals, of the fields that the platform fills in.
    #[must_use]
    pub fn open_data(&self) -> Vec<&str> {
        match self {
            Self::Call(data) => data.marked.iter().map(|marked| marked.raw_name).collect(),
            _ => Vec::new(),
        }
    }

    /// Fields that are not as the caller may expect: the name as a JSON string literal, and why.
    #[must_use]
    pub fn take_warnings(&mut self) -> Vec<(String, Wording)> {
        match self {
            Self::Call(data) | Self::HttpApi(data) => data.take_warnings(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
