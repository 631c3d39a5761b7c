//! JSON laid out for reading, its numbers and strings as they were written: it is not parsed, only spaced.

/// The most that is laid out; of a longer text its beginning is shown.
const LONGEST: usize = 200_000;

/// Lays out a JSON text; what is no JSON comes out in some layout too. The flag says whether something was left out at
/// the end.
pub(crate) fn pretty(text: &str) -> (String, bool) {
    let mut out = String::with_capacity(text.len().min(LONGEST) * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if at >= LONGEST || out.len() >= 4 * LONGEST {
            return (out, true);
        }
        if in_string {
            out.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\t' | '\n' | '\r' => {}
            '"' => {
                in_string = true;
                out.push('"');
            }
            '{' | '[' => {
                out.push(character);
                while characters
                    .next_if(|(_, next)| next.is_ascii_whitespace())
                    .is_some()
                {}
                if let Some((_, close)) = characters.next_if(|(_, next)| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => out.push(other),
        }
    }
    (out, false)
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    // Deeper than anybody reads, a level costs no more room.
    out.extend(std::iter::repeat_n("  ", depth.min(40)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_space_between_changes() {
        let (text, cut) =
            pretty(r#"{"n":12345678901234567890,"s":"a, {\"b\": [","l":[],"o":{ },"x":[1,{"y":1.0}]}"#);
        assert_eq!(
            text,
            "{\n  \"n\": 12345678901234567890,\n  \"s\": \"a, {\\\"b\\\": [\",\n  \"l\": [],\n  \"o\": {},\n  \
             \"x\": [\n    1,\n    {\n      \"y\": 1.0\n    }\n  ]\n}"
        );
        assert!(!cut);
    }

    #[test]
    fn it_is_bounded_for_any_text() {
        for text in [
            "[".repeat(1_000_000),
            ",".repeat(1_000_000),
            "x".repeat(1_000_000),
        ] {
            let (out, cut) = pretty(&text);
            assert!(cut && out.len() <= 5 * LONGEST, "{}", out.len());
        }
        assert_eq!(pretty("}]").0, "\n}\n]");
    }
}
