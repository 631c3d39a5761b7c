//! What a function's source calls and requires, found by looking at the text: which `cloud.openapi` interfaces, and which
//! packages.
//!
//! A textual search sees `cloud.openapi.wxacode.get(…)`, with options (`cloud.openapi({appid}).wxacode.get`), over several
//! lines, with `?.` and `['get']`. It does not see a part that is computed (`openapi[kind]`) or kept in a variable of its own
//! (`const { wxacode } = cloud.openapi`), nor what packages in `node_modules` call: where it sees that it does not see, it says so.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use function::SDK;
use project::files;

use crate::{
    queries::DatabaseUse,
    storage::StorageUse,
    tokens::{Token, TokenKind, tokens},
    variables::VariableUse,
};

/// The packages through which functions reach the database and storage.
const CLOUD_SDKS: [&str; 3] = [SDK, "@cloudbase/node-sdk", "tcb-admin-node"];
/// Packages of other databases that have collections with the same methods.
const OTHER_DATABASES: [&str; 5] = [
    "mongodb",
    "mongoose",
    "monk",
    "firebase-admin",
    "@google-cloud/firestore",
];
/// Larger files are bundles, or no source at all.
const LARGEST: u64 = 2 << 20;
/// The most files outside of a function's folder that are looked at.
const MOST_OUTSIDE: usize = 500;

/// What is in a function's source files.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The interfaces that are called, in the order of files and lines.
    pub(crate) calls: Vec<Mention>,
    /// The packages that are required, but for what a package with a manifest of its own requires inside the folder: that is
    /// its own affair.
    pub(crate) packages: Vec<Mention>,
    /// What is done with the database; nothing where another database's library is required as well, whose words are alike.
    pub(crate) database: DatabaseUse,
    /// What is said of files; nothing where no package is required by which they are reached.
    pub(crate) storage: StorageUse,
    /// What is read of the environment, but for what a package with a manifest of its own reads.
    pub(crate) variables: VariableUse,
    /// Places that a textual search cannot follow; no line if that is the whole file.
    pub(crate) unseen: Vec<(PathBuf, Option<usize>)>,
    /// Files that are required by their place, as far as that leads to a source file.
    files: Vec<PathBuf>,
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
}

impl Source {
    /// Reads the source files in a function's folder: JavaScript and TypeScript, not in `node_modules` or hidden folders,
    /// and none of its tests. Then those outside of it that they require by their place, as `../common/db`.
    pub(crate) fn read(dir: &Path) -> Self {
        let mut files = Vec::new();
        let mut source = Self::default();
        source.collect(dir, false, &mut files);
        files.sort();
        let mut required = BTreeSet::new();
        for (file, is_nested) in files {
            let own = source.packages.len();
            let variables = is_nested.then(|| source.variables.clone());
            source.scan_file(&file);
            let names = source.packages[own..].iter().map(|package| package.name.clone());
            required.extend(names);
            if let Some(variables) = variables {
                source.packages.truncate(own);
                source.variables = variables;
            }
        }
        let has_sdk = source.follow(dir) || required.contains(SDK);
        required.extend(source.packages.iter().map(|package| package.name.clone()));
        let requires = |names: &[&str]| names.iter().any(|name| required.contains(*name));
        if !requires(&CLOUD_SDKS) || requires(&OTHER_DATABASES) {
            source.database = DatabaseUse::default();
        }
        if !requires(&CLOUD_SDKS) {
            source.storage = StorageUse::default();
        }
        if !has_sdk {
            // Other libraries have an `openapi` as well: without the SDK, only what WeChat has is a call.
            source.calls.retain(|call| openapi::find(&call.name).is_some());
            if source.calls.is_empty() {
                source.unseen.retain(|(_, line)| line.is_none());
            }
        }
        source
    }

    fn scan_file(&mut self, file: &Path) {
        match fs::read(file) {
            Ok(bytes) if bytes.len() as u64 <= LARGEST => self.scan(file, &String::from_utf8_lossy(&bytes)),
            Ok(_) | Err(_) => self.unseen.push((file.to_owned(), None)),
        }
    }

    /// Reads the files outside of the function's folder to which its requires lead. Gives whether they require the SDK.
    fn follow(&mut self, dir: &Path) -> bool {
        let inside = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let mut seen = BTreeSet::new();
        let own = self.packages.len();
        while let Some(file) = self.files.pop() {
            let real = file.canonicalize().unwrap_or_else(|_| file.clone());
            let is_installed = real.components().any(|part| part.as_os_str() == "node_modules");
            if !real.starts_with(&inside)
                && !is_installed
                && seen.len() < MOST_OUTSIDE
                && seen.insert(real.clone())
            {
                self.scan_file(&files::tidy(&file));
            }
        }
        self.packages[own..].iter().any(|package| package.name == SDK)
    }

    /// Notes what a file requires.
    fn require(&mut self, file: &Path, specifier: &str, line: usize) {
        if let Some(name) = package(specifier) {
            let file = file.to_owned();
            self.packages.push(Mention { name, file, line });
        } else if specifier.starts_with("./") || specifier.starts_with("../") || specifier == ".." {
            let place = file.parent().unwrap_or(Path::new("")).join(specifier);
            let endings = ["", ".js", ".mjs", ".cjs", ".ts", "/index.js"];
            let candidates = endings.map(|ending| PathBuf::from(format!("{}{ending}", place.display())));
            let is_source = |path: &PathBuf| {
                path.is_file()
                    && path
                        .file_name()
                        .is_some_and(|name| is_source(&name.to_string_lossy()))
            };
            self.files.extend(candidates.into_iter().find(is_source));
        }
    }

    /// Collects source files, and whether each lies in a package below the function's own.
    fn collect(&mut self, dir: &Path, is_nested: bool, files: &mut Vec<(PathBuf, bool)>) {
        let entries = match fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(_) => return self.unseen.push((dir.to_owned(), None)),
        };
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            // A linked folder is not followed: it could lead in a circle.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !is_skipped_folder(&name) => {
                    let is_nested = is_nested || is_package(&path);
                    self.collect(&path, is_nested, files);
                }
                Ok(kind) if !kind.is_dir() && is_source(&name) && path.is_file() => {
                    files.push((path, is_nested));
                }
                _ => {}
            }
        }
    }

    fn scan(&mut self, file: &Path, text: &str) {
        let tokens = tokens(text);
        self.database.scan(file, &tokens);
        self.storage.scan(file, &tokens);
        self.variables.scan(file, &tokens);
        let mention = |name: String, line| Mention {
            name,
            file: file.to_owned(),
            line,
        };
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| tokens[at].kind);
            let mut after = Cursor(&tokens[at + 1..]);
            let (word, is_member) = match token.kind {
                TokenKind::Word(word) => (word, before == Some(TokenKind::Sign('.'))),
                // `cloud['openapi']`
                TokenKind::Text(text) if before == Some(TokenKind::Sign('[')) && after.sign(']') => {
                    (text, true)
                }
                _ => continue,
            };
            match word {
                "openapi" => match after.interface(is_member) {
                    Interface::Called(name) => self.calls.push(mention(name, token.line)),
                    // `!cloud.openapi`, `typeof cloud.openapi`
                    Interface::Unseen if at.checked_sub(3).is_some_and(|at| is_test(tokens[at].kind)) => {}
                    Interface::Unseen => self.unseen.push((file.to_owned(), Some(token.line))),
                    Interface::None => {}
                },
                "callOpenAPI" if is_member => self.unseen.push((file.to_owned(), Some(token.line))),
                "require" if !is_member => {
                    after
                        .required()
                        .into_iter()
                        .for_each(|specifier| self.require(file, specifier, token.line));
                }
                "import" | "export" if !is_member => {
                    after
                        .imported()
                        .into_iter()
                        .for_each(|specifier| self.require(file, specifier, token.line));
                }
                _ => {}
            }
        }
    }
}

/// Whether a folder has a manifest that makes it a package; one that only says `"type": "module"` does not.
fn is_package(dir: &Path) -> bool {
    let manifest = fs::read(dir.join("package.json")).unwrap_or_default();
    files::json_object(&manifest).is_ok_and(|manifest| {
        ["name", "dependencies"]
            .iter()
            .any(|member| manifest.contains_key(*member))
    })
}

fn is_skipped_folder(name: &str) -> bool {
    name.starts_with('.')
        || matches!(
            name,
            "node_modules" | "test" | "tests" | "__tests__" | "__mocks__"
        )
}

fn is_source(name: &str) -> bool {
    let Some((stem, ending)) = name.rsplit_once('.') else {
        return false;
    };
    let is_aside = [".test", ".spec", ".config", ".d"]
        .iter()
        .any(|aside| stem.ends_with(aside));
    matches!(ending, "js" | "mjs" | "cjs" | "ts" | "mts" | "cts") && !name.starts_with('.') && !is_aside
}

/// Whether what precedes an expression only asks whether it is there.
fn is_test(before: TokenKind<'_>) -> bool {
    matches!(before, TokenKind::Sign('!') | TokenKind::Word("typeof"))
}

/// What follows the word `openapi`.
enum Interface {
    /// An interface by its name.
    Called(String),
    /// Something that the search cannot follow.
    Unseen,
    /// A name that is being declared, or a look whether it is there: what is done with it is seen elsewhere.
    None,
}

/// The tokens behind a word.
#[derive(Clone, Copy)]
struct Cursor<'a, 't>(&'a [Token<'t>]);

impl<'t> Cursor<'_, 't> {
    fn peek(&self) -> Option<TokenKind<'t>> {
        self.0.first().map(|token| token.kind)
    }

    fn take(&mut self) -> Option<TokenKind<'t>> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first.kind)
    }

    /// Goes on if this sign is next.
    fn sign(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(TokenKind::Sign(sign));
        if found {
            self.take();
        }
        found
    }

    fn interface(mut self, is_member: bool) -> Interface {
        if !is_member && self.is_declared() {
            return Interface::None;
        }
        // `openapi({ appid, convertCase }).x.y`
        if self.sign('(') {
            let mut open = 1;
            while open > 0 {
                match self.take() {
                    Some(TokenKind::Sign('(')) => open += 1,
                    Some(TokenKind::Sign(')')) => open -= 1,
                    Some(_) => {}
                    None => return Interface::Unseen,
                }
            }
        }
        let mut parts = Vec::new();
        while let Some(part) = self.part() {
            parts.push(part);
        }
        if parts.len() > 2 && matches!(parts.last(), Some(&("call" | "apply" | "bind"))) {
            parts.pop();
        }
        let name = parts.join(".");
        self.sign('.');
        let is_called = !parts.is_empty() && self.sign('(');
        if is_called || openapi::find(&name).is_some() {
            return Interface::Called(name);
        }
        // `cloud.openapi && …`, `if (… cloud.openapi.wxacode) {`: whether it is there, not what it does.
        match (self.take(), self.take()) {
            (Some(TokenKind::Sign('&')), Some(TokenKind::Sign('&')))
            | (Some(TokenKind::Sign(')')), Some(TokenKind::Sign('{'))) => Interface::None,
            _ => Interface::Unseen,
        }
    }

    /// Whether what precedes is a name that is being declared: `openapi = …`, `{ openapi, … } = …`, `{ openapi } from …`.
    fn is_declared(mut self) -> bool {
        if self.sign('=') {
            return true;
        }
        if !matches!(self.peek(), Some(TokenKind::Sign(',' | '}'))) {
            return false;
        }
        while self.take().is_some_and(|kind| kind != TokenKind::Sign('}')) {}
        matches!(self.peek(), Some(TokenKind::Sign('=') | TokenKind::Word("from")))
    }

    /// `.word`, `?.word` or `['word']`; nothing is taken if neither follows.
    fn part(&mut self) -> Option<&'t str> {
        let mut ahead = *self;
        // TypeScript: it is there, believe me.
        ahead.sign('!');
        let part = if ahead.sign('.') {
            match ahead.take()? {
                TokenKind::Word(word) => word,
                TokenKind::Sign('[') => ahead.index()?,
                _ => return None,
            }
        } else if ahead.sign('[') {
            ahead.index()?
        } else {
            return None;
        };
        *self = ahead;
        Some(part)
    }

    fn index(&mut self) -> Option<&'t str> {
        match self.take()? {
            TokenKind::Text(text) if self.sign(']') => Some(text),
            _ => None,
        }
    }

    /// What `require('…')` or `require.resolve('…')` names.
    fn required(mut self) -> Option<&'t str> {
        if self.sign('.') && self.take() != Some(TokenKind::Word("resolve")) {
            return None;
        }
        match (self.sign('('), self.take()?, self.take()?) {
            (true, TokenKind::Text(text), TokenKind::Sign(')' | ',')) => Some(text),
            _ => None,
        }
    }

    /// What `import '…'`, `import('…')`, `import … from '…'` or `export … from '…'` names; types alone are not there
    /// when it runs.
    fn imported(mut self) -> Option<&'t str> {
        if self.sign('(') {
            return match (self.take()?, self.take()?) {
                (TokenKind::Text(text), TokenKind::Sign(')' | ',')) => Some(text),
                _ => None,
            };
        }
        if let Some(TokenKind::Text(text)) = self.peek() {
            return Some(text);
        }
        let mut ahead = self;
        if ahead.take() == Some(TokenKind::Word("type"))
            && !matches!(ahead.peek(), Some(TokenKind::Word("from") | TokenKind::Sign(',')))
        {
            return None;
        }
        loop {
            match self.take()? {
                TokenKind::Word("from") => {
                    if let Some(TokenKind::Text(text)) = self.peek() {
                        return Some(text);
                    }
                }
                TokenKind::Word(_) | TokenKind::Text(_) | TokenKind::Sign('{' | '}' | ',' | '*') => {}
                TokenKind::Sign(_) | TokenKind::Value => return None,
            }
        }
    }
}

/// The npm package that a specifier names; `None` for a file, a Node builtin, a URL, or an alias of a bundler.
fn package(specifier: &str) -> Option<String> {
    let mut parts = specifier.split('/');
    let first = parts.next()?;
    let name = if first.starts_with('@') {
        format!("{first}/{}", parts.next()?)
    } else {
        first.to_owned()
    };
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let is_package = match name.strip_prefix('@') {
        Some(scoped) => scoped.split('/').all(is_name),
        None => is_name(&name) && !BUILTINS.contains(&name.as_str()),
    };
    is_package.then_some(name)
}

/// What Node has without installing anything: `module.builtinModules` of Node 18 to 24.
const BUILTINS: [&str; 42] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Source {
        let mut source = Source::default();
        source.scan(Path::new("index.js"), text);
        source
    }

    fn names(mentions: &[Mention]) -> Vec<(&str, usize)> {
        mentions
            .iter()
            .map(|mention| (mention.name.as_str(), mention.line))
            .collect()
    }

    #[test]
    fn every_way_of_writing_a_call_is_seen() {
        for text in [
            "cloud.openapi.wxacode.get({})",
            "cloud.openapi({ appid: f('('), convertCase: false }).wxacode.get({})",
            "cloud\n  .openapi\n  .wxacode\n  .get({})",
            "cloud?.openapi?.wxacode?.get?.({})",
            "cloud.openapi['wxacode'][\"get\"]({})",
            "cloud['openapi'].wxacode.get({})",
            "const { openapi, init } = cloud; openapi.wxacode.get({})",
            "import { init, openapi } from './cloud.js'; openapi.wxacode.get({})",
            "cloud.openapi!.wxacode!.get({})",
            "const send = cloud.openapi.wxacode.get",
            "cloud.openapi.wxacode.get.call(null, {})",
            "cloud.openapi.wxacode.get<Reply>({})",
            "const { openapi } = cloud; openapi.wxacode.get({})",
            "`${await cloud.openapi.wxacode.get({})}`",
        ] {
            let source = scan(text);
            assert_eq!(source.calls.len(), 1, "{text}");
            assert_eq!(source.calls[0].name, "wxacode.get", "{text}");
            assert_eq!(source.unseen, [], "{text}");
        }
        let source = scan("\ncloud.openapi.wxa.sec.order.getOrder({})\ncloud.openapi.no.such({})");
        assert_eq!(
            names(&source.calls),
            [("wxa.sec.order.getOrder", 2), ("no.such", 3)]
        );
    }

    #[test]
    fn what_is_no_code_is_no_call() {
        for text in [
            "// cloud.openapi.wxacode.get({})",
            "/* cloud.openapi.wxacode.get({}) */",
            "'cloud.openapi.wxacode.get({})'",
            "`cloud.openapi.wxacode.get({})`",
            "const { openapi } = cloud",
            "const openapi = 1",
            "const { init, openapi } = require('./cloud')",
            "if (!cloud.openapi || !cloud.openapi.wxacode) return",
            "cloud.openapi && cloud.openapi.wxacode && go()",
            "if (code && cloud.openapi.wxacode) {}",
            "typeof cloud.openapi === 'object'",
        ] {
            let source = scan(text);
            assert_eq!((names(&source.calls), source.unseen.len()), (vec![], 0), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        for text in [
            "const { wxacode } = cloud.openapi",
            "cloud.openapi[kind].get({})",
            "cloud.openapi.wxacode[method]({})",
            "use(cloud.openapi)",
            "use(openapi)",
            "use({ openapi })",
            "const api = cloud.openapi || {}",
            "const { openapi: api } = cloud",
            "cloud['openapi'][kind]()",
            "cloud.callOpenAPI({ api: name })",
            "cloud.openapi({ appid",
        ] {
            let source = scan(text);
            assert_eq!((names(&source.calls), source.unseen.len()), (vec![], 1), "{text}");
        }
    }

    #[test]
    fn packages_are_found_however_they_are_required() {
        let source = scan(
            "const a = require('a')\nrequire.resolve('b/package.json')\nimport c, { x as y } from 'c'\nimport * as d from 'd/sub'\n\
             import '@e/f'\nawait import('g')\nexport * from 'h'\nexport { z } from \"i\"\nimport type, { j } from 'j'",
        );
        let expected: Vec<_> = ["a", "b", "c", "d", "@e/f", "g", "h", "i", "j"]
            .into_iter()
            .zip(1..)
            .collect();
        assert_eq!(names(&source.packages), expected);
    }

    #[test]
    fn what_needs_no_installing_is_no_package() {
        let source = scan(
            "require('./a'); require('../b'); require('/opt/c'); require('fs'); require('fs/promises'); require('node:test')\n\
             require(name); module.require('d'); require(`e${1}`); import.meta.url; import type { F } from 'f'\n\
             import('@/g'); require('#h'); import i from 'https://example.com/i.js'; export const from = 'j'\nexport default { k: 'k' }",
        );
        assert_eq!(names(&source.packages), []);
    }
}
