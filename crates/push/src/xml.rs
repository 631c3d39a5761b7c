//! The XML that WeChat writes, and no more: elements and text.
//!
//! A packet has no attributes, comments, processing instructions or document type, so none is read: what there is not cannot
//! be abused, be it an entity of a document type or a comment that cuts a text in two. Names are ASCII, depth, size and the
//! number of elements are bounded, and text stands beside no element. What the elements mean is [`convert`](crate::convert)'s.
//!
//! In one thing this is more than XML 1.0: control characters are taken and written. Users type them, and WeChat passes them on.

use quick_xml::{
    Reader,
    events::{BytesDecl, BytesRef, BytesStart, Event},
};
use thiserror::Error;

/// Elements lie at most so deep. WeChat's lie five deep.
pub(crate) const MAX_DEPTH: usize = 32;
/// A text has at most so many elements.
pub(crate) const MAX_ELEMENTS: usize = 20_000;

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// What stands in an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Text outside of CDATA, as WeChat writes numbers.
    Bare(String),
    /// Text of which a part at least stands in CDATA, as WeChat writes strings.
    Quoted(String),
    /// Elements, and blanks between them.
    Elements(Vec<Element>),
}

/// Why a text is not taken: what is wrong, and the offset in bytes at which it showed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason} at byte {offset}")]
pub struct XmlError {
    /// How many bytes were read when it showed.
    pub offset: usize,
    /// What is wrong.
    pub reason: XmlReason,
}

/// What can be wrong with XML.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum XmlReason {
    /// Bytes that are no text.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not well-formed; in the parser's words.
    #[error("not well-formed XML ({0})")]
    Malformed(String),
    /// Something that no packet of WeChat's has.
    #[error("{0}, which no packet has and is not read")]
    Unwanted(&'static str),
    /// `&name;` where the name is not one of the five that XML itself defines.
    #[error("the entity &{0}; (only lt, gt, amp, apos, quot and numbers are known)")]
    Entity(String),
    /// A name that WeChat does not give an element.
    #[error("the element name {0:?} (a name is ASCII letters, digits, '_', '-', '.')")]
    Name(String),
    /// Text and elements side by side.
    #[error("text beside elements")]
    Mixed,
    /// The outermost element is another.
    #[error("the element <{0}> where <xml> must stand")]
    Root(String),
    /// Nested too deep.
    #[error("more than {MAX_DEPTH} elements within each other")]
    Deep,
    /// Too many.
    #[error("more than {MAX_ELEMENTS} elements")]
    Many,
    /// No element, or one that does not end.
    #[error("the text ends too early")]
    UnexpectedEnd,
}

/// An element whose end has not come yet.
struct Open {
    name: String,
    text: String,
    /// Whitespace after the text and outside of CDATA; it belongs to the text only if more text follows.
    blanks: String,
    quoted: bool,
    /// Whether a part of the text was written as `&…;`, which is never a blank that somebody added.
    referenced: bool,
    children: Vec<Element>,
}

impl Open {
    fn text(&mut self, text: &str, quoted: bool) {
        // Whoever indents a packet puts blanks around its CDATA, which are no part of the text.
        if quoted && !self.quoted && !self.referenced && is_blank(&self.text) {
            self.text.clear();
        }
        self.quoted |= quoted;
        if self.quoted && !quoted && is_blank(text) {
            self.blanks.push_str(text);
        } else {
            self.text.push_str(&std::mem::take(&mut self.blanks));
            self.text.push_str(text);
        }
    }
}

/// Reads the elements within `<xml>`.
pub(crate) fn read(text: &[u8]) -> Result<Vec<Element>, XmlError> {
    let text = std::str::from_utf8(text).map_err(|error| XmlError {
        offset: error.valid_up_to(),
        reason: XmlReason::NotUtf8,
    })?;
    let mut reader = Reader::from_str(text);
    let mut builder = Builder::default();
    loop {
        let event = reader.read_event().map_err(|error| XmlError {
            offset: offset(reader.error_position()),
            // The parser quotes names, however long.
            reason: XmlReason::Malformed(crate::excerpt(&error.to_string())),
        })?;
        let end = matches!(event, Event::Eof);
        builder.take(event).map_err(|reason| XmlError {
            offset: offset(reader.buffer_position()),
            reason,
        })?;
        if end {
            return builder.root.ok_or(XmlError {
                offset: text.len(),
                reason: XmlReason::UnexpectedEnd,
            });
        }
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Puts the tree together. Nothing recurses.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    elements: usize,
    begun: bool,
    root: Option<Vec<Element>>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), XmlReason> {
        let first = !std::mem::replace(&mut self.begun, true);
        match event {
            Event::Start(start) => self.start(&start),
            Event::Empty(start) => {
                self.start(&start)?;
                self.end()
            }
            // That it ends what is open, the parser has checked.
            Event::End(_) => self.end(),
            Event::Text(text) if text.contains("]]>") => {
                Err(XmlReason::Malformed("`]]>` outside of CDATA".to_owned()))
            }
            Event::Text(text) => self.text(&text.xml10_content(), false),
            Event::CData(text) => self.text(&text.xml10_content(), true),
            Event::GeneralRef(reference) => {
                let character = resolve(&reference)?;
                self.reference(character)
            }
            Event::Decl(declaration) if first => check(&declaration),
            Event::Decl(_) => Err(XmlReason::Unwanted("a declaration that is not at the start")),
            Event::DocType(_) => Err(XmlReason::Unwanted("a document type")),
            Event::Comment(_) => Err(XmlReason::Unwanted("a comment")),
            Event::PI(_) => Err(XmlReason::Unwanted("a processing instruction")),
            Event::Eof if self.open.is_empty() => Ok(()),
            Event::Eof => Err(XmlReason::UnexpectedEnd),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), XmlReason> {
        let name = start.name().as_ref().to_owned();
        if !is_name(&name) {
            return Err(XmlReason::Name(crate::excerpt(&name)));
        }
        if !start.attributes_raw().trim().is_empty() {
            return Err(XmlReason::Unwanted("an attribute"));
        }
        if self.open.is_empty() {
            if self.root.is_some() {
                return Err(XmlReason::Unwanted("a second outermost element"));
            }
            if name != "xml" {
                return Err(XmlReason::Root(crate::excerpt(&name)));
            }
        }
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(XmlReason::Many);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(XmlReason::Deep);
        }
        self.open.push(Open {
            name,
            text: String::new(),
            blanks: String::new(),
            quoted: false,
            referenced: false,
            children: Vec::new(),
        });
        Ok(())
    }

    fn text(&mut self, text: &str, quoted: bool) -> Result<(), XmlReason> {
        match self.open.last_mut() {
            Some(open) => {
                open.text(text, quoted);
                Ok(())
            }
            None if !quoted && is_blank(text) => Ok(()),
            None => Err(XmlReason::Unwanted("text outside of <xml>")),
        }
    }

    /// A character that was written as `&…;`: text, also where it is a blank.
    fn reference(&mut self, character: char) -> Result<(), XmlReason> {
        let open = self
            .open
            .last_mut()
            .ok_or(XmlReason::Unwanted("text outside of <xml>"))?;
        open.text.push_str(&std::mem::take(&mut open.blanks));
        open.text.push(character);
        open.referenced = true;
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlReason> {
        let Some(open) = self.open.pop() else {
            return Err(XmlReason::UnexpectedEnd);
        };
        let content = if open.children.is_empty() {
            if open.quoted {
                Content::Quoted(open.text)
            } else {
                Content::Bare(open.text)
            }
        } else if open.quoted || !is_blank(&open.text) {
            return Err(XmlReason::Mixed);
        } else {
            Content::Elements(open.children)
        };
        match (self.open.last_mut(), content) {
            (Some(parent), content) => parent.children.push(Element {
                name: open.name,
                content,
            }),
            (None, Content::Elements(elements)) => self.root = Some(elements),
            (None, Content::Bare(text)) if is_blank(&text) => self.root = Some(Vec::new()),
            (None, _) => return Err(XmlReason::Unwanted("text where elements must stand")),
        }
        Ok(())
    }
}

/// Only UTF-8 is read, whatever else the declaration may say.
fn check(declaration: &BytesDecl<'_>) -> Result<(), XmlReason> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(XmlReason::Unwanted("an encoding other than UTF-8")),
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlReason> {
    let name = reference.xml10_content();
    match &*name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => match reference.resolve_char_ref() {
            Ok(Some(character)) => Ok(character),
            Ok(None) => Err(XmlReason::Entity(crate::excerpt(&name))),
            Err(error) => Err(XmlReason::Malformed(crate::excerpt(&error.to_string()))),
        },
    }
}

/// Whether WeChat would give an element this name.
pub(crate) fn is_name(name: &str) -> bool {
    let follows = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    name.bytes().all(follows) && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Writes `<xml>` with these elements, as WeChat does: no declaration, no blanks. Names and characters must be allowed ones.
pub(crate) fn write(elements: &[Element]) -> String {
    let mut out = String::new();
    out.push_str("<xml>");
    write_elements(&mut out, elements);
    out.push_str("</xml>");
    out
}

fn write_elements(out: &mut String, elements: &[Element]) {
    for Element { name, content } in elements {
        out.push('<');
        out.push_str(name);
        out.push('>');
        match content {
            Content::Bare(text) => write_bare(out, text),
            Content::Quoted(text) => write_quoted(out, text),
            Content::Elements(elements) => write_elements(out, elements),
        }
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    }
}

fn write_bare(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(character),
        }
    }
}

/// CDATA cannot hold its own end, which is cut in two, nor a carriage return, which a reader makes a line feed of.
fn write_quoted(out: &mut String, text: &str) {
    const OPEN: &str = "<![CDATA[";
    const CLOSE: &str = "]]>";
    out.push_str(OPEN);
    let text = text.replace(CLOSE, "]]]]><![CDATA[>");
    for (nth, line) in text.split('\r').enumerate() {
        if nth > 0 {
            out.push_str("]]>&#13;<![CDATA[");
        }
        out.push_str(line);
    }
    out.push_str(CLOSE);
}
