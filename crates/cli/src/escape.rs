//! What came from outside, written so that it cannot pass for something of ours: a name with a line end in it would forge the next
//! line, and control characters reach the terminal, which obeys them (titles, colours, the cursor).

use std::fmt::{self, Display, Formatter, Write as _};

use wording::shell_word;

/// One line of text. Line ends and other characters that act instead of being seen stand as `\n` and `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a>(pub(crate) &'a str);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(acts) {
            let (seen, more) = rest.split_at(at);
            f.write_str(seen)?;
            let mut more = more.chars();
            for character in more.by_ref().take(1) {
                write!(f, "{}", character.escape_default())?;
            }
            rest = more.as_str();
        }
        f.write_str(rest)
    }
}

/// The lines of a text that may have several.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().map(Line)
}

/// A text of several lines below one another: all but the first stand behind `margin`, so that none of them begins as a line of
/// ours does.
pub(crate) fn block(text: &str, margin: &str) -> String {
    let mut block = String::with_capacity(text.len());
    for (number, line) in lines(text).enumerate() {
        if number > 0 {
            block.push('\n');
            block.push_str(margin);
        }
        // Writing to a string does not fail.
        let _ = write!(block, "{line}");
    }
    block
}

/// A [word of a shell](shell_word), where a line can show it: one with characters that act can be told, and not typed.
pub(crate) fn typed_word(text: &str) -> Option<String> {
    (!text.contains(acts) && !text.contains('\t')).then(|| shell_word(text))
}

/// Whether a terminal does something at this character, or shows what follows in another order or on another line.
fn acts(character: char) -> bool {
    match character {
        '\t' => false,
        // Separators of lines and paragraphs; marks, embeddings, overrides and isolates of the direction of writing.
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_typed_where_a_line_can_show_it() {
        assert_eq!(typed_word("$(id)").as_deref(), Some("'$(id)'"));
        for text in ["a\nb", "a\rb", "a\tb", "\u{1b}[2J", "a\u{202e}b"] {
            assert_eq!(typed_word(text), None, "{text:?}");
        }
    }

    #[test]
    fn nothing_acts_and_everything_else_stays() {
        let plain = "a\tb 云桥 é \"q\" \\n 🙂";
        assert_eq!(Line(plain).to_string(), plain);
        for (from, to) in [
            ("x\n✓ payment", r"x\n✓ payment"),
            ("a\r\nb", r"a\r\nb"),
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("abc\u{202e}cba\u{2028}", r"abc\u{202e}cba\u{2028}"),
            ("\0\u{7f}", r"\u{0}\u{7f}"),
        ] {
            assert_eq!(Line(from).to_string(), to);
        }
    }

    #[test]
    fn no_line_of_a_block_begins_at_the_margin() {
        assert_eq!(
            block("one\n✓ two\r\n\u{1b}[2Jthree\n", "  │ "),
            "one\n  │ ✓ two\n  │ \\u{1b}[2Jthree"
        );
        assert_eq!(block("", "  "), "");
    }
}
