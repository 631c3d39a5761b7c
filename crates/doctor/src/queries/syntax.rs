//! The few forms of JavaScript that a query is made of: calls of methods, lists, objects, loops.

use crate::tokens::{Token, TokenKind};

pub(super) type Tokens<'a, 't> = &'a [Token<'t>];

/// `.name(arguments)`.
pub(super) struct Call<'a, 't> {
    pub(super) name: &'t str,
    pub(super) line: usize,
    pub(super) arguments: Tokens<'a, 't>,
}

pub(super) fn is_sign(tokens: Tokens<'_, '_>, at: usize, sign: char) -> bool {
    tokens.get(at).map(|token| token.kind) == Some(TokenKind::Sign(sign))
}

/// The method that is called at a dot.
pub(super) fn method<'a, 't>(tokens: Tokens<'a, 't>, at: usize) -> Option<Call<'a, 't>> {
    let TokenKind::Word(name) = tokens.get(at + 1)?.kind else {
        return None;
    };
    if !is_sign(tokens, at, '.') || !is_sign(tokens, at + 2, '(') {
        return None;
    }
    let end = closing(tokens, at + 2)?;
    Some(Call {
        name,
        line: tokens[at + 1].line,
        arguments: &tokens[at + 3..end],
    })
}

/// What follows the method that is called at a dot.
pub(super) fn end_of(tokens: Tokens<'_, '_>, at: usize) -> usize {
    closing(tokens, at + 2).map_or(tokens.len(), |end| end + 1)
}

/// The bracket that closes the one at `at`.
pub(super) fn closing(tokens: Tokens<'_, '_>, at: usize) -> Option<usize> {
    let mut open = 0_usize;
    for (offset, token) in tokens.get(at..)?.iter().enumerate() {
        match token.kind {
            TokenKind::Sign('(' | '[' | '{') => open += 1,
            TokenKind::Sign(')' | ']' | '}') => {
                open = open.checked_sub(1)?;
                if open == 0 {
                    return Some(at + offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// The parts of a list, which commas separate.
pub(super) fn parts<'a, 't>(tokens: Tokens<'a, 't>) -> Vec<Tokens<'a, 't>> {
    let mut parts = Vec::new();
    let (mut start, mut open) = (0, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Sign('(' | '[' | '{') => open += 1,
            TokenKind::Sign(')' | ']' | '}') => open = open.saturating_sub(1),
            TokenKind::Sign(',') if open == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < tokens.len() {
        parts.push(&tokens[start..]);
    }
    parts
}

/// Whether an expression has ended before `at`.
pub(super) fn stands_alone(tokens: Tokens<'_, '_>, at: usize) -> bool {
    !matches!(
        tokens.get(at).map(|token| token.kind),
        Some(TokenKind::Sign('+' | '.' | '?' | '[' | '(' | '|' | '&'))
    )
}

/// Whether a place lies in a loop of its function: `for (…) { … }`, `while (…) { … }`.
pub(super) fn is_in_loop(tokens: Tokens<'_, '_>, place: usize) -> bool {
    let mut open = 0_usize;
    for at in (0..place).rev() {
        match tokens[at].kind {
            TokenKind::Sign('}') => open += 1,
            TokenKind::Sign('{') if open > 0 => open -= 1,
            TokenKind::Sign('{')
                if at > 0 && is_sign(tokens, at - 1, ')') && is_head_of_loop(tokens, at - 1) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

fn is_head_of_loop(tokens: Tokens<'_, '_>, close: usize) -> bool {
    let mut open = 0_usize;
    for at in (0..=close).rev() {
        match tokens[at].kind {
            TokenKind::Sign(')') => open += 1,
            TokenKind::Sign('(') => {
                open -= 1;
                if open == 0 {
                    let before = at.checked_sub(1).map(|at| tokens[at].kind);
                    return matches!(before, Some(TokenKind::Word("for" | "while" | "await")));
                }
            }
            _ => {}
        }
    }
    false
}

/// What stands between the braces of an argument that is an object.
pub(super) fn literal<'a, 't>(arguments: Tokens<'a, 't>) -> Option<Tokens<'a, 't>> {
    let end = closing(arguments, 0)?;
    let alone =
        end + 1 == arguments.len() || (is_sign(arguments, end + 1, ',') && end + 2 == arguments.len());
    (is_sign(arguments, 0, '{') && alone).then(|| &arguments[1..end])
}
