//! What a server of S3 answers, as far as it is read here: which elements end, and what text each has.

use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

/// Tells of each element as it ends, with its name and the text before its end; of one with others in it, of those first.
///
/// # Errors
/// It is not well-formed.
pub(crate) fn each_element(text: &str, mut tell: impl FnMut(&str, String)) -> Result<(), quick_xml::Error> {
    let mut reader = Reader::from_str(text);
    let mut content = String::new();
    loop {
        match reader.read_event()? {
            Event::Start(_) => content.clear(),
            Event::Text(text) => content.push_str(&text),
            Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
                Some(character) => content.push(character),
                None => content.push_str(resolve_predefined_entity(&reference).unwrap_or_default()),
            },
            Event::End(end) => tell(end.name().as_ref(), std::mem::take(&mut content)),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}
