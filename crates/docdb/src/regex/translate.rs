//! PCRE's pattern as the engine's.

use std::fmt::Write as _;

/// Translates a pattern, or says why it is none. Groups in groups deeper than `depth` are refused.
pub(super) fn translate(source: &str, options: &str, depth: usize) -> Result<String, &'static str> {
    let mut source = source;
    let mut unicode_classes = false;
    loop {
        if let Some(rest) = source.strip_prefix("(*UCP)") {
            unicode_classes = true;
            source = rest;
        } else if let Some(rest) = source
            .strip_prefix("(*UTF8)")
            .or_else(|| source.strip_prefix("(*UTF)"))
        {
            source = rest;
        } else {
            break;
        }
    }
    let mut translator = Translator {
        chars: source.chars().collect(),
        at: 0,
        out: String::with_capacity(source.len() + 16),
        unicode_classes,
        extended: options.contains('x'),
        multi_line: options.contains('m') || has_inline_flag(source, 'm'),
    };
    translator.pattern(depth)?;
    Ok(translator.out)
}

/// If a group such as `(?im)` or `(?m:` sets `flag`.
fn has_inline_flag(source: &str, flag: char) -> bool {
    source.split("(?").skip(1).any(|group| {
        group
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .any(|letter| letter == flag)
    })
}

struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    unicode_classes: bool,
    extended: bool,
    multi_line: bool,
}

const HORIZONTAL: &str = r"\t \u{a0}\u{1680}\u{180e}\u{2000}-\u{200a}\u{202f}\u{205f}\u{3000}";
const VERTICAL: &str = r"\n\x0b\x0c\r\u{85}\u{2028}\u{2029}";

impl Translator {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek(0)?;
        self.at += 1;
        Some(char)
    }

    fn pattern(&mut self, depth: usize) -> Result<(), &'static str> {
        let mut open = 0_usize;
        while let Some(char) = self.next() {
            match char {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => {
                    open += 1;
                    if open > depth {
                        return Err("parentheses are too deeply nested");
                    }
                    self.out.push('(');
                    if self.peek(0) == Some('*') {
                        return Err("(*VERB) is not supported");
                    }
                }
                ')' => {
                    open = open.saturating_sub(1);
                    self.out.push(')');
                }
                '{' if !self.opens_repetition() => self.out.push_str("\\{"),
                '{' => {
                    self.out.push('{');
                    while let Some(char) = self.next() {
                        self.out.push(char);
                        if char == '}' {
                            break;
                        }
                    }
                }
                '}' | ']' => {
                    self.out.push('\\');
                    self.out.push(char);
                }
                '$' if !self.multi_line => {
                    // Also before a line break that ends the text. Where nothing more is to match, it may be consumed.
                    let last = matches!(self.peek(0), None | Some(')' | '|'));
                    self.out.push_str(if last { r"(?:\n?\z)" } else { r"(?=\n?\z)" });
                }
                '#' if self.extended => while self.next().is_some_and(|char| char != '\n') {},
                _ => self.out.push(char),
            }
        }
        Ok(())
    }

    /// After `{`: if `{2}`, `{2,}` or `{2,3}`.
    fn opens_repetition(&self) -> bool {
        let mut ahead = 0;
        let digits = |ahead: &mut usize| {
            let start = *ahead;
            while self.peek(*ahead).is_some_and(|char| char.is_ascii_digit()) {
                *ahead += 1;
            }
            *ahead > start
        };
        if !digits(&mut ahead) {
            return false;
        }
        if self.peek(ahead) == Some(',') {
            ahead += 1;
            digits(&mut ahead);
        }
        self.peek(ahead) == Some('}')
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let char = self.next().ok_or("\\ at end of pattern")?;
        if self.shorthand(char, false) {
            return Ok(());
        }
        match char {
            'b' | 'B' if !self.unicode_classes => {
                let word = "[0-9A-Za-z_]";
                let (begin, end) = if char == 'b' {
                    ("(?!", "(?=")
                } else {
                    ("(?=", "(?!")
                };
                let _ = write!(self.out, "(?:(?<={word}){begin}{word})|(?<!{word}){end}{word}))");
            }
            'Z' => self.out.push_str(r"(?:\n?\z)"),
            'R' => self
                .out
                .push_str(r"(?>\r\n|\n|\x0b|\x0c|\r|\u{85}|\u{2028}|\u{2029})"),
            'N' => self.out.push_str(r"[^\n]"),
            'Q' => self.quoted(),
            'E' => {}
            '1'..='9' | 'A' | 'z' | 'G' | 'K' | 'k' | 'g' | 'X' | 'B' | 'b' => {
                self.out.push('\\');
                self.out.push(char);
            }
            _ => return self.character(char),
        }
        Ok(())
    }

    /// `\d` and its like; inside a class without brackets of their own.
    fn shorthand(&mut self, char: char, in_class: bool) -> bool {
        let members = match char.to_ascii_lowercase() {
            'd' | 'w' | 's' if self.unicode_classes => {
                self.out.push('\\');
                self.out.push(char);
                return true;
            }
            'd' => "0-9",
            'w' => "0-9A-Za-z_",
            's' => r"\t\n\x0b\x0c\r\x20",
            'h' => HORIZONTAL,
            'v' => VERTICAL,
            'p' => {
                self.out.push('\\');
                self.out.push(char);
                if self.peek(0) == Some('{') {
                    while let Some(char) = self.next() {
                        self.out.push(char);
                        if char == '}' {
                            break;
                        }
                    }
                }
                return true;
            }
            _ => return false,
        };
        let negated = char.is_ascii_uppercase();
        if in_class && !negated {
            self.out.push_str(members);
        } else {
            let _ = write!(self.out, "[{}{members}]", if negated { "^" } else { "" });
        }
        true
    }

    /// An escape that stands for one character.
    fn character(&mut self, char: char) -> Result<(), &'static str> {
        match char {
            'n' => self.out.push_str("\\n"),
            't' => self.out.push_str("\\t"),
            'r' => self.out.push_str("\\r"),
            'f' => self.out.push_str("\\x0c"),
            'a' => self.out.push_str("\\x07"),
            'e' => self.out.push_str("\\x1b"),
            '0' => {
                let mut code = 0;
                for _ in 0..2 {
                    let Some(digit) = self.peek(0).and_then(|char| char.to_digit(8)) else {
                        break;
                    };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                let _ = write!(self.out, "\\u{{{code:x}}}");
            }
            'c' => {
                let letter = self
                    .next()
                    .filter(char::is_ascii)
                    .ok_or("\\c at end of pattern")?;
                let _ = write!(self.out, "\\x{:02x}", (letter.to_ascii_uppercase() as u8) ^ 64);
            }
            'x' | 'u' | 'o' => return self.code(char),
            _ if char.is_ascii_alphanumeric() => return Err("unrecognized character follows \\"),
            _ => self.literal(char),
        }
        Ok(())
    }

    /// `\x41`, `\x{41}`, `\u4e2d`, `\u{4e2d}`, and a surrogate pair of JavaScript's.
    fn code(&mut self, kind: char) -> Result<(), &'static str> {
        let code = if self.peek(0) == Some('{') {
            self.at += 1;
            let radix = if kind == 'o' { 8 } else { 16 };
            let mut code = 0_u32;
            loop {
                match self.next() {
                    Some('}') => break,
                    Some(char) => {
                        let digit = char
                            .to_digit(radix)
                            .ok_or("invalid digit in an escape of a character")?;
                        code = code
                            .checked_mul(radix)
                            .and_then(|code| code.checked_add(digit))
                            .ok_or("character code point value is too large")?;
                    }
                    None => return Err("missing } in an escape of a character"),
                }
            }
            code
        } else if kind == 'o' {
            return Err("missing opening brace after \\o");
        } else {
            let most = if kind == 'x' { 2 } else { 4 };
            let high = self.digits(most);
            let Some(high) = high else {
                // PCRE's `\x` without digits is a zero; JavaScript's `\u` is the letter.
                self.out.push_str(if kind == 'x' { "\\x00" } else { "u" });
                return Ok(());
            };
            let pair =
                (0xd800..0xdc00).contains(&high) && self.peek(0) == Some('\\') && self.peek(1) == Some('u');
            if pair {
                let back = self.at;
                self.at += 2;
                match self.digits(4) {
                    Some(low) if (0xdc00..0xe000).contains(&low) => {
                        0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => {
                        self.at = back;
                        high
                    }
                }
            } else {
                high
            }
        };
        match char::from_u32(code) {
            Some(_) => {
                let _ = write!(self.out, "\\u{{{code:x}}}");
                Ok(())
            }
            None => Err("disallowed Unicode code point"),
        }
    }

    /// At most `most` hexadecimal digits; all of them for `\u`, any number for `\x`.
    fn digits(&mut self, most: usize) -> Option<u32> {
        let mut code = 0;
        let start = self.at;
        while self.at - start < most {
            let Some(digit) = self.peek(0).and_then(|char| char.to_digit(16)) else {
                break;
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        let read = self.at - start;
        if read == 0 || (most == 4 && read < 4) {
            self.at = start;
            return None;
        }
        Some(code)
    }

    /// What stands between `\Q` and `\E`, for itself.
    fn quoted(&mut self) {
        while let Some(char) = self.next() {
            if char == '\\' && self.peek(0) == Some('E') {
                self.at += 1;
                break;
            }
            self.literal(char);
        }
    }

    /// A character that stands for itself.
    fn literal(&mut self, char: char) {
        if char.is_ascii_alphanumeric() || !char.is_ascii() || char == '_' {
            self.out.push(char);
        } else {
            let _ = write!(self.out, "\\x{:02x}", char as u32);
        }
    }

    /// After `[`.
    fn class(&mut self) -> Result<(), &'static str> {
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let char = self.next().ok_or("missing terminating ] for character class")?;
            match char {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => {
                    let escaped = self.next().ok_or("\\ at end of pattern")?;
                    match escaped {
                        'b' => self.out.push_str("\\x08"),
                        'E' => {}
                        'Q' => self.quoted(),
                        '1'..='7' => {
                            let mut code = escaped.to_digit(8).unwrap_or(0);
                            while let Some(digit) = self.peek(0).and_then(|char| char.to_digit(8)) {
                                if code >= 32 {
                                    break;
                                }
                                code = code * 8 + digit;
                                self.at += 1;
                            }
                            let _ = write!(self.out, "\\u{{{code:x}}}");
                        }
                        _ if self.shorthand(escaped, true) => {}
                        _ => self.character(escaped)?,
                    }
                }
                '[' if self.posix()? => {}
                // A hyphen makes a range where it stands between two; first and last it is itself.
                '-' if !first && self.peek(0).is_some_and(|next| next != ']') => self.out.push('-'),
                _ => self.literal(char),
            }
            first = false;
        }
    }

    /// After `[` inside a class: `[:alpha:]`, `[:^digit:]`.
    fn posix(&mut self) -> Result<bool, &'static str> {
        if self.peek(0) != Some(':') {
            return Ok(false);
        }
        let rest: String = self.chars[self.at + 1..].iter().take(12).collect();
        let Some(end) = rest.find(":]") else {
            return Ok(false);
        };
        let name = &rest[..end];
        const NAMES: [&str; 14] = [
            "alpha", "lower", "upper", "alnum", "ascii", "blank", "cntrl", "digit", "graph", "print",
            "punct", "space", "word", "xdigit",
        ];
        if !NAMES.contains(&name.trim_start_matches('^')) {
            return Err("unknown POSIX class name");
        }
        let _ = write!(self.out, "[:{name}:]");
        self.at += 1 + end + 2;
        Ok(true)
    }
}
