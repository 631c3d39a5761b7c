//! From WeChat's XML to the JSON that a function receives, and back for whoever plays WeChat.
//!
//! A function always gets JSON ("云函数接收消息推送"), and no document says how the XML of a packet becomes its JSON. What is
//! known are pairs of examples ("接收消息和事件", "小程序订阅消息开发指南", "小程序评价"), which differ in three things:
//!
//! * **Numbers.** `CreateTime` and `MsgId` are numbers in JSON. Elsewhere a number stands in XML outside of CDATA, but not all that
//!   stands so is one: a 19-digit `comment_id` is a string in JSON. The events about subscribe messages have no numbers
//!   in JSON at all, not even `CreateTime`.
//! * **Lists.** An element that stands there several times is an array; one that stands there once is the thing itself.
//! * **Wrappers.** Some events put their fields into one element more, such as `SubscribeMsgPopupEvent`; in JSON they
//!   stand beside the others. Which, the table of [`kinds`](crate::kinds) says.
//!
//! **Choice**: text outside of CDATA becomes a number where it is a whole number written plainly that JavaScript holds exactly (up to
//! 15 digits), at the top also `CreateTime` and `MsgId` of up to 20 digits; all other text becomes a string, and an empty
//! element an empty string.

use std::collections::HashMap;

use json::Object;
use thiserror::Error;

use crate::{
    PacketKind, kind,
    xml::{self, Content, Element, MAX_DEPTH, XmlError, XmlReason},
};

/// The fields that stand outside of a wrapper.
const HEADER: [&str; 5] = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Event"];

/// The JSON object of an XML packet.
pub(crate) fn to_json(text: &[u8]) -> Result<String, XmlError> {
    let mut elements = xml::read(text)?;
    let event = elements.iter().find(|element| element.name == "Event");
    let kind = event.and_then(|event| match &event.content {
        Content::Bare(name) | Content::Quoted(name) => kind::find("event", name),
        Content::Elements(_) => None,
    });
    if let Some(wrapper) = kind.and_then(|kind| kind.wrapper) {
        elements = unwrap(elements, wrapper);
    }
    let mut out = Vec::with_capacity(text.len());
    write_object(&mut out, &elements, kind, true);
    String::from_utf8(out).map_err(|_| XmlError {
        offset: text.len(),
        reason: XmlReason::NotUtf8,
    })
}

/// Puts what lies in the wrapper in its place.
fn unwrap(elements: Vec<Element>, wrapper: &str) -> Vec<Element> {
    elements
        .into_iter()
        .flat_map(|element| match element.content {
            Content::Elements(inner) if element.name == wrapper => inner,
            _ => vec![element],
        })
        .collect()
}

/// The depth of `elements` is bounded, so this may recurse.
fn write_object(out: &mut Vec<u8>, elements: &[Element], kind: Option<&PacketKind>, top: bool) {
    let mut places = HashMap::with_capacity(elements.len());
    let mut groups: Vec<(&str, Vec<&Content>)> = Vec::with_capacity(elements.len());
    for Element { name, content } in elements {
        let place = *places.entry(name.as_str()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, contents)) => contents.push(content),
            None => groups.push((name, vec![content])),
        }
    }
    out.push(b'{');
    for (nth, (name, contents)) in groups.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        json::write_string(out, name);
        out.push(b':');
        let long = top && matches!(*name, "CreateTime" | "MsgId");
        match contents.as_slice() {
            [content] => write_value(out, content, kind, long),
            contents => {
                out.push(b'[');
                for (nth, content) in contents.iter().enumerate() {
                    if nth > 0 {
                        out.push(b',');
                    }
                    write_value(out, content, kind, long);
                }
                out.push(b']');
            }
        }
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, content: &Content, kind: Option<&PacketKind>, long: bool) {
    match content {
        Content::Elements(elements) => write_object(out, elements, kind, false),
        Content::Bare(text)
            if !kind.is_some_and(PacketKind::is_all_text) && is_whole(text, if long { 20 } else { 15 }) =>
        {
            out.extend_from_slice(text.as_bytes());
        }
        Content::Bare(text) | Content::Quoted(text) => json::write_string(out, text),
    }
}

/// Whether this is how JSON writes a whole number of at most so many digits.
fn is_whole(text: &str, digits: usize) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    (1..=digits).contains(&unsigned.len())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit())
        && (!unsigned.starts_with('0') || text == "0")
}

/// Why a JSON object has no XML, or no place in a push.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Not a JSON object.
    #[error("what is to be sent is not a JSON object: {0}")]
    NotAnObject(#[from] json::JsonError),
    /// A name that cannot be an element's.
    #[error(
        "the field {0:?} cannot be an XML element: a name is ASCII letters, digits, '_', '-', '.', the first a letter or '_'"
    )]
    Name(String),
    /// Of two fields of one name readers take the first, the last, or both.
    #[error("the field {0:?} stands there twice")]
    Twice(String),
    /// What is no text, which XML cannot hold.
    #[error("the field {0:?} holds half a surrogate pair, which is no text")]
    Character(String),
    /// An array right inside an array, for which WeChat's XML has no form.
    #[error("the field {0:?} holds an array within an array, which WeChat's XML cannot hold")]
    NestedArray(String),
    /// Nested too deep.
    #[error("the object is nested more than {MAX_DEPTH} deep")]
    Deep,
    /// There must be a key to encrypt with.
    #[error("there is no EncodingAESKey to encrypt with")]
    NoKey,
}

impl WriteError {
    /// The official sample's number.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::NoKey => crate::codes::NOT_ENCRYPTED,
            _ => crate::codes::NOT_WRITTEN,
        }
    }
}

/// The elements of a JSON object: strings in CDATA, numbers and booleans bare, null empty, an array as the same element several times
/// (an empty one not at all).
pub(crate) fn to_elements(object: &str) -> Result<Vec<Element>, WriteError> {
    let kind = kind_of(object)?;
    Ok(match kind.and_then(|kind| kind.wrapper) {
        Some(wrapper) => wrap(object_elements(object, kind, 2)?, wrapper),
        None => object_elements(object, kind, 1)?,
    })
}

fn kind_of(object: &str) -> Result<Option<&'static PacketKind>, WriteError> {
    let event = Object::parse(object.as_bytes())?
        .get("Event")
        .and_then(json::unescape);
    Ok(event.and_then(|event| kind::find("event", &event)))
}

/// Puts what is not every packet's into the wrapper.
fn wrap(elements: Vec<Element>, wrapper: &str) -> Vec<Element> {
    let (mut outer, inner): (Vec<_>, Vec<_>) = elements
        .into_iter()
        .partition(|element| HEADER.contains(&element.name.as_str()));
    if !inner.is_empty() {
        outer.push(Element {
            name: wrapper.to_owned(),
            content: Content::Elements(inner),
        });
    }
    outer
}

fn object_elements(
    object: &str,
    kind: Option<&PacketKind>,
    depth: usize,
) -> Result<Vec<Element>, WriteError> {
    if depth >= MAX_DEPTH {
        return Err(WriteError::Deep);
    }
    let object = Object::parse(object.as_bytes())?;
    if let Some(name) = object.duplicate() {
        return Err(WriteError::Twice(crate::excerpt(&name)));
    }
    let mut elements = Vec::with_capacity(object.members().len());
    for member in object.members() {
        let name = member.key();
        if !xml::is_name(&name) {
            return Err(WriteError::Name(crate::excerpt(&name)));
        }
        let values = if member.value.starts_with('[') {
            json::array(member.value)?
        } else {
            vec![member.value]
        };
        for value in values {
            elements.push(Element {
                content: content(&name, value, kind, depth)?,
                name: name.clone().into_owned(),
            });
        }
    }
    Ok(elements)
}

fn content(name: &str, value: &str, kind: Option<&PacketKind>, depth: usize) -> Result<Content, WriteError> {
    match value.as_bytes().first() {
        Some(b'{') => object_elements(value, kind, depth + 1).map(Content::Elements),
        Some(b'[') => Err(WriteError::NestedArray(crate::excerpt(name))),
        Some(b'"') => match json::unescape(value) {
            Some(text) => {
                // Where all is text in JSON, WeChat still writes numbers bare in XML.
                if kind.is_some_and(PacketKind::is_all_text) && is_whole(&text, 20) {
                    Ok(Content::Bare(text.into_owned()))
                } else {
                    Ok(Content::Quoted(text.into_owned()))
                }
            }
            None => Err(WriteError::Character(crate::excerpt(name))),
        },
        Some(b'n') => Ok(Content::Bare(String::new())),
        _ => Ok(Content::Bare(value.to_owned())),
    }
}
