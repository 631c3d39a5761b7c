//! What a function asks of the database, as far as its text shows: which collections it names and makes, and which queries filter
//! and sort by what. All that is said of it are hints: data is seldom so large that it matters, and indexes can be made elsewhere.
//!
//! Seen are `db.collection('todos').where({ done: false }).orderBy('at', 'desc')`, over several lines, with names in constants and
//! collections in variables. A query that is put together piece by piece, or has a part that is computed, is passed over.

mod hints;
mod query;
mod syntax;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

pub(crate) use hints::examine;

use crate::{
    source::Mention,
    tokens::{Token, TokenKind},
};
use query::{Query, query};
use syntax::{Tokens, closing, end_of, is_in_loop, is_sign, method, parts, stands_alone};

/// Longer texts are no names of collections that anybody makes.
const LONGEST_NAME: usize = 64;

/// What the files of a function do with the database.
#[derive(Debug, Default)]
pub(crate) struct DatabaseUse {
    /// The collections that are named, each time.
    pub(crate) collections: Vec<Mention>,
    /// Those that `createCollection` makes, as far as they are named there.
    pub(crate) created: BTreeSet<String>,
    /// Whether `createCollection` is called with a name that is computed, as of each of a list.
    creates_computed: bool,
    /// Texts that may be names of collections, wherever they stand but where one is used by its name.
    texts: BTreeSet<String>,
    pub(crate) queries: Vec<Query>,
    /// Where documents are read, and nothing says that they are one's own, or one by its id.
    pub(crate) shared_reads: Vec<Mention>,
}

impl DatabaseUse {
    /// Whether the function makes a collection of this name, as far as can be told: it says so, or makes some whose names are computed
    /// and has it among its texts.
    pub(crate) fn creates(&self, name: &str) -> bool {
        self.created.contains(name) || (self.creates_computed && self.texts.contains(name))
    }

    /// Whether the function may make a collection of this name: not so where it names all that it makes.
    pub(crate) fn may_create(&self, name: &str) -> bool {
        self.created.contains(name) || self.creates_computed
    }

    /// Adds what a file does.
    pub(crate) fn scan(&mut self, file: &Path, tokens: Tokens<'_, '_>) {
        let texts = constants(tokens);
        let is_used = |at: usize| {
            let before = |back: usize| at.checked_sub(back).map(|at| tokens[at].kind);
            (before(2), before(1)) == (Some(TokenKind::Word("collection")), Some(TokenKind::Sign('(')))
        };
        let texts_of = tokens.iter().enumerate().filter(|(at, _)| !is_used(*at));
        self.texts
            .extend(texts_of.filter_map(|(_, token)| collection_name(token)));
        // Variables that hold a collection, or are functions that give one.
        let mut variables: BTreeMap<&str, String> = BTreeMap::new();
        for at in 0..tokens.len() {
            let Some(call) = method(tokens, at) else { continue };
            match call.name {
                "collection" => {}
                "createCollection" => {
                    let name = text_of(call.arguments, &texts);
                    self.creates_computed |= name.is_none();
                    self.created.extend(name);
                    continue;
                }
                _ => continue,
            }
            let Some(name) = text_of(call.arguments, &texts) else {
                continue;
            };
            let behind = end_of(tokens, at);
            self.collections.push(Mention {
                name: name.clone(),
                file: file.to_owned(),
                line: call.line,
            });
            if method(tokens, behind).is_none() {
                if let Some(variable) = declared(tokens, at) {
                    variables.insert(variable, name);
                }
                continue;
            }
            self.chain(file, &name, tokens, at, behind);
        }
        for (at, token) in tokens.iter().enumerate() {
            let TokenKind::Word(word) = token.kind else {
                continue;
            };
            let is_member = at > 0 && tokens[at - 1].kind == TokenKind::Sign('.');
            let Some(name) = variables.get(word).filter(|_| !is_member) else {
                continue;
            };
            // `todos.where(…)`, or `todos().where(…)`
            let mut behind = at + 1;
            if is_sign(tokens, behind, '(') && is_sign(tokens, behind + 1, ')') {
                behind += 2;
            }
            self.chain(file, name, tokens, at, behind);
        }
    }

    /// Takes in the methods that follow a collection, which stands at `at`.
    fn chain(&mut self, file: &Path, collection: &str, tokens: Tokens<'_, '_>, at: usize, behind: usize) {
        let in_loop = || is_in_loop(tokens, at);
        self.queries
            .extend(query(file, collection, tokens, behind, &in_loop));
        if reads_others(tokens, behind) {
            self.shared_reads.push(Mention {
                name: collection.to_owned(),
                file: file.to_owned(),
                line: tokens[at].line,
            });
        }
    }
}

/// Whether the methods that follow at `at` read documents, of which nothing says that they are one's own, or one by its id.
fn reads_others(tokens: Tokens<'_, '_>, mut at: usize) -> bool {
    let says_whose = |token: &Token<'_>| match token.kind {
        TokenKind::Word(text) | TokenKind::Text(text) => text.to_ascii_lowercase().contains("openid"),
        _ => false,
    };
    let mut reads = false;
    while let Some(call) = method(tokens, at) {
        match call.name {
            "doc" | "add" | "update" | "remove" => return false,
            "get" | "count" | "watch" | "aggregate" => reads = true,
            _ if call.arguments.iter().any(says_whose) => return false,
            _ => {}
        }
        at = end_of(tokens, at);
    }
    reads
}

/// `const TODOS = 'todos'` and `const NAMES = { todos: 'todos' }`, by the name that leads to the text. A name that is given a
/// value twice is none.
fn constants<'t>(tokens: Tokens<'_, 't>) -> BTreeMap<String, &'t str> {
    let mut found: BTreeMap<String, Option<&'t str>> = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenKind::Word(name) = token.kind else {
            continue;
        };
        if !is_sign(tokens, at + 1, '=') || at == 0 {
            continue;
        }
        match (tokens[at - 1].kind, tokens.get(at + 2).map(|token| token.kind)) {
            (
                TokenKind::Word("const" | "let" | "var") | TokenKind::Sign(','),
                Some(TokenKind::Text(text)),
            ) if stands_alone(tokens, at + 3) => {
                note(&mut found, name.to_owned(), text);
            }
            (TokenKind::Word("const"), Some(TokenKind::Sign('{'))) => {
                let Some(end) = closing(tokens, at + 2) else {
                    continue;
                };
                for part in parts(&tokens[at + 3..end]) {
                    if let [key, colon, value] = part
                        && let (TokenKind::Word(key) | TokenKind::Text(key), TokenKind::Sign(':')) =
                            (key.kind, colon.kind)
                        && let TokenKind::Text(text) = value.kind
                    {
                        note(&mut found, format!("{name}.{key}"), text);
                    }
                }
            }
            // Elsewhere it gets another value; `name == …` only compares.
            _ if !is_sign(tokens, at + 2, '=') => {
                found.insert(name.to_owned(), None);
            }
            _ => {}
        }
    }
    found
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
}

/// Notes what a name stands for; nothing, where it stands for two things.
fn note<'t>(found: &mut BTreeMap<String, Option<&'t str>>, name: String, text: &'t str) {
    found
        .entry(name)
        .and_modify(|known| *known = known.filter(|known| *known == text))
        .or_insert(Some(text));
}

/// A text that may be the name of a collection.
fn collection_name(token: &Token<'_>) -> Option<String> {
    match token.kind {
        TokenKind::Text(text)
            if (1..=LONGEST_NAME).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) =>
        {
            Some(text.to_owned())
        }
        _ => None,
    }
}

/// The text that an argument is: in quotes, or of a constant.
fn text_of(arguments: Tokens<'_, '_>, texts: &BTreeMap<String, &str>) -> Option<String> {
    let name = match arguments.iter().map(|token| token.kind).collect::<Vec<_>>()[..] {
        [TokenKind::Text(text)] => return (!text.is_empty()).then(|| text.to_owned()),
        [TokenKind::Word(name)] => name.to_owned(),
        [TokenKind::Word(of), TokenKind::Sign('.'), TokenKind::Word(name)] => format!("{of}.{name}"),
        _ => return None,
    };
    texts.get(&name).map(|text| (*text).to_owned())
}

/// The variable of `const todos = db.collection('todos')` or `const todos = () => db.collection('todos')`, from the last dot.
fn declared<'t>(tokens: Tokens<'_, 't>, dot: usize) -> Option<&'t str> {
    let mut at = dot;
    // The receiver: `db`, `cloud.database()`, `this.db`.
    while let Some(before) = at.checked_sub(1) {
        match tokens[before].kind {
            TokenKind::Word(_) | TokenKind::Sign('.') => at = before,
            TokenKind::Sign(')') if before > 0 && is_sign(tokens, before - 1, '(') => at = before - 1,
            _ => break,
        }
        // `return db.collection(…)` belongs to no variable.
        if matches!(tokens[at].kind, TokenKind::Word("return" | "await" | "new")) {
            return None;
        }
    }
    let mut before: Vec<TokenKind<'t>> = Vec::new();
    for back in 1..=6 {
        before.push(
            at.checked_sub(back)
                .map_or(TokenKind::Value, |at| tokens[at].kind),
        );
    }
    use TokenKind::{Sign, Word};
    match before[..] {
        [Sign('='), Word(name), Word("const" | "let" | "var"), ..]
        | [Sign('>'), Sign('='), Sign(')'), Sign('('), Sign('='), Word(name)] => Some(name),
        _ => None,
    }
}
