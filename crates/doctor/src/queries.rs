//! What a function asks of the database, as far as its text shows: which collections it names and makes, and which queries filter
//! and sort by what. All that is said of it are hints: data is seldom so large that it matters, and indexes can be made elsewhere.
//!
//! Seen are `db.collection('todos').where({ done: false }).orderBy('at', 'desc')`, over several lines, with names in constants and
//! collections in variables. A query that is put together piece by piece, or has a part that is computed, is passed over.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use project::{IndexSetting, MissingCollection, Project};

use crate::{
    Diagnosis,
    source::Mention,
    tokens::{Token, TokenKind},
};

/// What the files of a function do with the database.
#[derive(Debug, Default)]
pub(crate) struct DatabaseUse {
    /// The collections that are named, each time.
    pub(crate) collections: Vec<Mention>,
    /// Those that `createCollection` makes.
    pub(crate) created: BTreeSet<String>,
    pub(crate) queries: Vec<Query>,
}

/// A query that was read whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    collection: String,
    file: PathBuf,
    line: usize,
    /// Fields that must have one value.
    equal: Vec<String>,
    /// Fields that must lie in a range.
    ranges: Vec<String>,
    /// The field that must be near a place, or in an area.
    place: Option<String>,
    /// The order; with whether from great to small.
    order: Vec<(String, bool)>,
    /// Whether it goes far by `skip`.
    skips_far: bool,
}

type Tokens<'a, 't> = &'a [Token<'t>];

/// `.name(arguments)`.
struct Call<'a, 't> {
    name: &'t str,
    line: usize,
    arguments: Tokens<'a, 't>,
}

impl DatabaseUse {
    /// Adds what a file does.
    pub(crate) fn scan(&mut self, file: &Path, tokens: Tokens<'_, '_>) {
        let texts = constants(tokens);
        // Variables that hold a collection, or are functions that give one.
        let mut variables: BTreeMap<&str, String> = BTreeMap::new();
        for at in 0..tokens.len() {
            let Some(call) = method(tokens, at) else { continue };
            match call.name {
                "collection" => {}
                "createCollection" => {
                    self.created.extend(text_of(call.arguments, &texts));
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
            let in_loop = || is_in_loop(tokens, at);
            self.queries.extend(query(file, &name, tokens, behind, &in_loop));
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
            let in_loop = || is_in_loop(tokens, at);
            self.queries.extend(query(file, name, tokens, behind, &in_loop));
        }
    }
}

fn is_sign(tokens: Tokens<'_, '_>, at: usize, sign: char) -> bool {
    tokens.get(at).map(|token| token.kind) == Some(TokenKind::Sign(sign))
}

/// The method that is called at a dot.
fn method<'a, 't>(tokens: Tokens<'a, 't>, at: usize) -> Option<Call<'a, 't>> {
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
fn end_of(tokens: Tokens<'_, '_>, at: usize) -> usize {
    closing(tokens, at + 2).map_or(tokens.len(), |end| end + 1)
}

/// The bracket that closes the one at `at`.
fn closing(tokens: Tokens<'_, '_>, at: usize) -> Option<usize> {
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
fn parts<'a, 't>(tokens: Tokens<'a, 't>) -> Vec<Tokens<'a, 't>> {
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

/// Whether an expression has ended before `at`.
fn stands_alone(tokens: Tokens<'_, '_>, at: usize) -> bool {
    !matches!(
        tokens.get(at).map(|token| token.kind),
        Some(TokenKind::Sign('+' | '.' | '?' | '[' | '(' | '|' | '&'))
    )
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

/// Whether a place lies in a loop of its function: `for (…) { … }`, `while (…) { … }`.
fn is_in_loop(tokens: Tokens<'_, '_>, place: usize) -> bool {
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

/// The query whose methods follow at `at`; `None` where there is none, or it is not seen whole.
fn query(
    file: &Path,
    collection: &str,
    tokens: Tokens<'_, '_>,
    mut at: usize,
    in_loop: &dyn Fn() -> bool,
) -> Option<Query> {
    let mut query = Query {
        collection: collection.to_owned(),
        file: file.to_owned(),
        line: tokens.get(at)?.line,
        equal: Vec::new(),
        ranges: Vec::new(),
        place: None,
        order: Vec::new(),
        skips_far: false,
    };
    let mut asks = false;
    while let Some(call) = method(tokens, at) {
        match call.name {
            "where" => {
                query.line = call.line;
                query.conditions("", literal(call.arguments)?)?;
                asks = true;
            }
            "orderBy" => {
                let [field, direction] = parts(call.arguments)[..] else {
                    return None;
                };
                let ([field], [direction]) = (field, direction) else {
                    return None;
                };
                let (TokenKind::Text(field), TokenKind::Text(direction)) = (field.kind, direction.kind)
                else {
                    return None;
                };
                query.order.push((field.to_owned(), direction == "desc"));
                asks = true;
            }
            "skip" => {
                query.line = call.line;
                // `skip(page * 100)` in a loop goes through all there is; one page of a list does not.
                let computed = call
                    .arguments
                    .iter()
                    .any(|token| token.kind == TokenKind::Sign('*'));
                query.skips_far = computed && in_loop();
                asks = true;
            }
            "doc" | "add" | "aggregate" => return None,
            _ => {}
        }
        at = end_of(tokens, at);
    }
    asks.then_some(query)
}

/// What stands between the braces of an argument that is an object.
fn literal<'a, 't>(arguments: Tokens<'a, 't>) -> Option<Tokens<'a, 't>> {
    let end = closing(arguments, 0)?;
    let alone =
        end + 1 == arguments.len() || (is_sign(arguments, end + 1, ',') && end + 2 == arguments.len());
    (is_sign(arguments, 0, '{') && alone).then(|| &arguments[1..end])
}

impl Query {
    /// Takes in the members of an object of conditions.
    fn conditions(&mut self, prefix: &str, members: Tokens<'_, '_>) -> Option<()> {
        for member in parts(members) {
            let (TokenKind::Word(name) | TokenKind::Text(name)) = member.first()?.kind else {
                return None;
            };
            if name.starts_with('$') {
                return None;
            }
            let path = format!("{prefix}{name}");
            let value = match member {
                // `{ done }`
                [_] => {
                    self.equal.push(path);
                    continue;
                }
                [_, colon, value @ ..] if colon.kind == TokenKind::Sign(':') => value,
                _ => return None,
            };
            if let Some(inner) = literal(value) {
                self.conditions(&format!("{path}."), inner)?;
                continue;
            }
            match operator(value) {
                None if value.iter().any(|token| token.kind == TokenKind::Word("RegExp")) => {}
                None => self.equal.push(path),
                Some("eq" | "in") => self.equal.push(path),
                Some("gt" | "gte" | "lt" | "lte") => self.ranges.push(path),
                Some("geoNear" | "geoWithin" | "geoIntersects") => self.place = Some(path),
                // What no index serves, or only sometimes.
                Some(_) => {}
            }
        }
        Some(())
    }

    /// The index that would serve it, as `yunqiao.toml` writes it; `None` where none is wanted.
    fn wanted(&self) -> Option<String> {
        if let Some(place) = &self.place {
            return Some(format!("{{ fields = [{place:?}], kind = \"2dsphere\" }}"));
        }
        let filtered = !self.equal.is_empty() || !self.ranges.is_empty();
        // By these it is found at once, or nearly.
        let found = self
            .equal
            .iter()
            .any(|field| field == "_id" || field == "_openid");
        let by_id = self.order.iter().any(|(field, _)| field == "_id");
        if !filtered || found || by_id || self.order.is_empty() {
            return None;
        }
        let mut fields: Vec<String> = self.equal.clone();
        for (field, descending) in &self.order {
            if !self.equal.contains(field) {
                let mark = if *descending { "-" } else { "" };
                fields.push(format!("{mark}{field}"));
            }
        }
        for field in &self.ranges {
            if !self.order.iter().any(|(ordered, _)| ordered == field) {
                fields.push(field.clone());
            }
        }
        let fields: Vec<String> = fields.iter().map(|field| toml_text(field)).collect();
        Some(format!("[{}]", fields.join(", ")))
    }

    /// Whether an index narrows it or gives its order.
    fn is_served_by(&self, index: &IndexSetting) -> bool {
        let Some(first) = index.fields.first() else {
            return false;
        };
        if let Some(place) = &self.place {
            return index.sphere && index.fields.iter().any(|field| &field.path == place);
        }
        !index.sphere
            && (self.equal.contains(&first.path)
                || self.ranges.contains(&first.path)
                || self.order.first().is_some_and(|(field, _)| *field == first.path))
    }
}

/// The operator of a value: `_.gt(5)`, `db.command.in([…])`.
fn operator<'t>(value: Tokens<'_, 't>) -> Option<&'t str> {
    let open = value
        .iter()
        .position(|token| token.kind == TokenKind::Sign('('))?;
    let TokenKind::Word(name) = value.get(open.checked_sub(1)?)?.kind else {
        return None;
    };
    match value
        .get(..open - 1)?
        .iter()
        .map(|token| token.kind)
        .collect::<Vec<_>>()[..]
    {
        [
            TokenKind::Word("_" | "cmd" | "command" | "$"),
            TokenKind::Sign('.'),
        ]
        | [
            ..,
            TokenKind::Sign('.'),
            TokenKind::Word("command"),
            TokenKind::Sign('.'),
        ] => Some(name),
        _ => None,
    }
}

/// A text of TOML.
fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name in the head of a table of TOML.
fn toml_key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match name.bytes().all(bare) {
        true => name.to_owned(),
        false => toml_text(name),
    }
}

/// Says what the functions' use of the database gives cause to say; `uses` are theirs, in order.
pub(crate) fn examine(project: &Project, uses: &[(&function::FunctionName, DatabaseUse)]) -> Vec<Diagnosis> {
    let mut hints = missing_collections(project, uses);
    let settings = &project.settings.database.collections;
    let mut told = BTreeSet::new();
    for (function, used) in uses {
        for query in &used.queries {
            let of_function = |hint| Diagnosis {
                function: Some((*function).clone()),
                ..hint
            };
            if query.skips_far {
                let what = format!(
                    "it pages through {:?} by `skip`: each page reads all that stand before it",
                    query.collection
                );
                let mend = "go on behind the last `_id`: where({ _id: _.gt(last) }).orderBy('_id', 'asc')";
                hints.push(of_function(Diagnosis::new(
                    &query.file,
                    Some(query.line),
                    what,
                    mend.to_owned(),
                )));
            }
            let known = settings.get(&query.collection);
            let served =
                known.is_some_and(|known| known.indexes.iter().any(|index| query.is_served_by(index)));
            let Some(index) = query.wanted().filter(|_| !served) else {
                continue;
            };
            if !told.insert((query.collection.clone(), index.clone())) {
                continue;
            }
            let key = toml_key(&query.collection);
            let what = match query.place {
                Some(_) => format!(
                    "a query of {:?} asks for places, and no index in yunqiao.toml serves it; the platform asks for one",
                    query.collection
                ),
                None => format!(
                    "a query of {:?} filters and sorts, and no index in yunqiao.toml serves it",
                    query.collection
                ),
            };
            let mend = match known {
                Some(known) if !known.indexes.is_empty() => {
                    format!("add {index} to the indexes of [database.collections.{key}]")
                }
                Some(_) => format!("below [database.collections.{key}] write indexes = [{index}]"),
                None => format!("[database.collections.{key}] indexes = [{index}]"),
            };
            hints.push(of_function(Diagnosis::new(
                &query.file,
                Some(query.line),
                what,
                mend,
            )));
        }
    }
    hints
}

/// Collections that nothing makes, where one that is missing is refused.
fn missing_collections(project: &Project, uses: &[(&function::FunctionName, DatabaseUse)]) -> Vec<Diagnosis> {
    let settings = &project.settings.database;
    // Where the project says nothing, `serve` refuses; a project with an AppSecret is meant for `serve`.
    let refuses = match settings.missing {
        Some(missing) => missing == MissingCollection::Refuse,
        None => project.settings.secret.is_some(),
    };
    if !refuses {
        return Vec::new();
    }
    let mut known: BTreeSet<String> = settings.collections.keys().cloned().collect();
    let seeds = settings.seed.as_ref().and_then(|folder| folder.read_dir().ok());
    for entry in seeds.into_iter().flatten().flatten() {
        let stem = entry
            .path()
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        known.extend(stem);
    }
    known.extend(uses.iter().flat_map(|(_, used)| used.created.iter().cloned()));
    let mut hints = Vec::new();
    let mut told = BTreeSet::new();
    for (function, used) in uses {
        for Mention { name, file, line } in &used.collections {
            if known.contains(name) || !told.insert(name) {
                continue;
            }
            let near = project::nearest(name, known.iter().map(String::as_str));
            let meant = near.map_or_else(String::new, |near| format!("did you mean {near:?}? Else "));
            let what = format!(
                "it uses the collection {name:?}, which nothing makes: `yunqiao serve` answers -502005 until somebody does"
            );
            let mend = format!(
                "{meant}write [database.collections.{}] in yunqiao.toml, or `yunqiao db import` documents into it",
                toml_key(name)
            );
            hints.push(Diagnosis {
                function: Some((*function).clone()),
                ..Diagnosis::new(file, Some(*line), what, mend)
            });
        }
    }
    hints
}
