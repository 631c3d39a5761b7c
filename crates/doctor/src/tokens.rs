//! JavaScript and TypeScript split into words, texts and signs, so that a search among them is not misled by comments and
//! strings.
//!
//! This is not a parser. A `/` begins a regular expression unless it follows a value or a closing bracket, as most syntax
//! highlighters guess; where the guess is wrong, an apostrophe in the expression hides the rest of that line.

/// One token, with the line, from 1, on which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind<'t>,
    pub(crate) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind<'t> {
    /// A name or keyword.
    Word(&'t str),
    /// What stands between quotes, escapes as they are; also a template without `${`.
    Text(&'t str),
    /// One character of punctuation; `?.` is `.`, because it is as good for the search.
    Sign(char),
    /// A number, a regular expression, or a piece of a template that has `${`.
    Value,
}

/// Words after which a `/` begins a regular expression.
const BEFORE_A_REGEX: [&str; 13] = [
    "return",
    "typeof",
    "case",
    "in",
    "of",
    "delete",
    "void",
    "throw",
    "new",
    "do",
    "else",
    "instanceof",
    "await",
];

/// Takes a text apart, down to the code in its templates.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut scanner = Scanner {
        text,
        at: 0,
        line: 1,
        tokens: Vec::new(),
        templates: Vec::new(),
    };
    if text.starts_with("#!") {
        scanner.skip_while(|char| char != '\n');
    }
    while scanner.step().is_some() {}
    scanner.tokens
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    tokens: Vec<Token<'t>>,
    /// For each template whose `${` is open: how many braces are open in it.
    templates: Vec<usize>,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        self.line += usize::from(next == '\n');
        Some(next)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.rest().starts_with(&wanted) {
            self.next();
        }
    }

    fn push(&mut self, kind: TokenKind<'t>, line: usize) {
        self.tokens.push(Token { kind, line });
    }

    /// One token, comment or blank; `None` at the end.
    fn step(&mut self) -> Option<()> {
        let (start, line) = (self.at, self.line);
        let rest = self.rest();
        match self.next()? {
            space if space.is_whitespace() || space == '\u{feff}' => {}
            '/' if rest.starts_with("//") => self.skip_while(|char| char != '\n'),
            '/' if rest.starts_with("/*") => {
                let length = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
                while self.at < start + length {
                    self.next();
                }
            }
            '/' if self.may_begin_regex() => match regex_length(rest) {
                Some(length) => {
                    self.at = start + length;
                    self.push(TokenKind::Value, line);
                }
                None => self.push(TokenKind::Sign('/'), line),
            },
            quote @ ('"' | '\'') => {
                let end = self.quoted(quote);
                self.push(TokenKind::Text(&self.text[start + 1..end]), line);
            }
            '`' => self.template(line, true),
            '}' if self.templates.last() == Some(&0) => {
                self.templates.pop();
                self.template(line, false);
            }
            brace @ ('{' | '}') => {
                if let Some(open) = self.templates.last_mut() {
                    *open = if brace == '{' { *open + 1 } else { *open - 1 };
                }
                self.push(TokenKind::Sign(brace), line);
            }
            '?' if rest.starts_with("?.") && !rest[2..].starts_with(|next: char| next.is_ascii_digit()) => {
                self.next();
                self.push(TokenKind::Sign('.'), line);
            }
            digit if digit.is_ascii_digit() => {
                self.skip_while(|char| is_word(char) || char == '.');
                self.push(TokenKind::Value, line);
            }
            letter if is_word(letter) => {
                self.skip_while(is_word);
                self.push(TokenKind::Word(&self.text[start..self.at]), line);
            }
            sign => self.push(TokenKind::Sign(sign), line),
        }
        Some(())
    }

    /// Moves past the closing quote, or to the end of the line that lacks it; gives where the content ends.
    fn quoted(&mut self, quote: char) -> usize {
        loop {
            let end = self.at;
            if self.rest().starts_with('\n') {
                return end;
            }
            match self.next() {
                None => return end,
                Some('\\') => _ = self.next(),
                Some(char) if char == quote => return end,
                Some(_) => {}
            }
        }
    }

    /// A template's text, up to its end or the next `${`.
    fn template(&mut self, line: usize, begins: bool) {
        let start = self.at;
        loop {
            let end = self.at;
            let rest = self.rest();
            match self.next() {
                Some('\\') => _ = self.next(),
                Some('$') if rest.starts_with("${") => {
                    self.next();
                    self.templates.push(0);
                    return self.push(TokenKind::Value, line);
                }
                None | Some('`') if begins => {
                    return self.push(TokenKind::Text(&self.text[start..end]), line);
                }
                None | Some('`') => return self.push(TokenKind::Value, line),
                Some(_) => {}
            }
        }
    }

    fn may_begin_regex(&self) -> bool {
        match self.tokens.last().map(|token| token.kind) {
            None => true,
            Some(TokenKind::Word(word)) => BEFORE_A_REGEX.contains(&word),
            Some(TokenKind::Sign(sign)) => !matches!(sign, ')' | ']' | '}'),
            Some(TokenKind::Text(_) | TokenKind::Value) => false,
        }
    }
}

/// The length of the regular expression at the start of a text, flags aside; it ends on its line.
fn regex_length(text: &str) -> Option<usize> {
    let (mut in_class, mut escaped) = (false, false);
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '$'
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// The words and texts of a text, which is what a search looks for.
    fn words(text: &str) -> Vec<&str> {
        let of = |token: Token<'_>| -> Option<(usize, usize)> {
            let (TokenKind::Word(word) | TokenKind::Text(word)) = token.kind else {
                return None;
            };
            Some((word.as_ptr().addr() - text.as_ptr().addr(), word.len()))
        };
        let places = tokens(text).into_iter().filter_map(of);
        places
            .map(|(start, length)| &text[start..start + length])
            .collect()
    }

    #[test]
    fn comments_hide_and_quotes_bound() {
        for (text, expected) in [
            ("a // b\nc", &["a", "c"][..]),
            ("a /* b\n b */ c", &["a", "c"]),
            ("a /* b", &["a"]),
            ("'a // b' c", &["a // b", "c"]),
            (r#"'it\'s' "b""#, &[r"it\'s", "b"]),
            ("'open\nc", &["open", "c"]),
            ("#!/usr/bin/env node\na", &["a"]),
            ("云.调用", &["云", "调用"]),
            ("", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn code_in_templates_is_code() {
        assert_eq!(words("`a`"), ["a"]);
        assert_eq!(
            words("`x ${a({b:1})} y ${`in ${c}`} // z` d"),
            ["a", "b", "c", "d"]
        );
        assert_eq!(words(r"`\${a} \`` b"), [r"\${a} \`", "b"]);
        assert_eq!(words("`open ${a"), ["a"]);
    }

    #[test]
    fn regular_expressions_hide_and_divisions_do_not() {
        assert_eq!(words("a = /['\"`]/g; b"), ["a", "g", "b"]);
        assert_eq!(words("return /[/']\\//.test(a)"), ["return", "test", "a"]);
        assert_eq!(words("a / b / c"), ["a", "b", "c"]);
        assert_eq!(words("(a) / 'b' / c"), ["a", "b", "c"]);
        assert_eq!(words("a = / 'b'\nc"), ["a", "b", "c"]);
    }

    #[test]
    fn lines_are_counted_everywhere() {
        let text = "/*\n*/ a\n`\n${\nb}\n` c 'd\\\ne' f";
        let lines: Vec<_> = tokens(text)
            .into_iter()
            .filter_map(|token| match token.kind {
                TokenKind::Word(word) => Some((word, token.line)),
                _ => None,
            })
            .collect();
        assert_eq!(lines, [("a", 2), ("b", 5), ("c", 6), ("f", 7)]);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_in_order(
            parts in vec(select(&["'", "\"", "`", "${", "}", "{", "/", "/*", "*/", "//", "\\", "\n", "?.", "[", "]", "1", "a", "云", " "][..]), 0..40)
        ) {
            let text = parts.concat();
            let lines: Vec<_> = tokens(&text).into_iter().map(|token| token.line).collect();
            prop_assert!(lines.is_sorted(), "{lines:?}");
            prop_assert!(lines.last().is_none_or(|last| *last <= 1 + text.matches('\n').count()));
        }
    }
}
