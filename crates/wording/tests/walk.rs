//! All that is said, walked in the sources of all rooms: each text is there in both languages, and says the same in both as far as that
//! can be seen without reading it. Whoever adds a text is told here what it lacks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The macros that write a text in both languages; the command line has a function `t` besides.
const BILINGUAL: [&str; 2] = ["wording", "say"];
/// What shows a text to somebody at the command line, and takes it as its first argument.
const SHOWS: [&str; 9] = [
    "anyhow",
    "bail",
    "context",
    "with_context",
    "warning",
    "step",
    "done",
    "println",
    "ensure",
];

/// A text, and where it stands.
#[derive(Debug)]
struct Said {
    file: PathBuf,
    en: String,
    zh: String,
}

fn is_chinese(char: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&char)
}

/// The names in braces, without what follows a colon.
fn placeholders(text: &str) -> BTreeSet<String> {
    let text = text.replace("{{", "").replace("}}", "");
    let inner = text.split('{').skip(1).filter_map(|part| part.split('}').next());
    inner
        .map(|name| name.split(':').next().unwrap_or_default().to_owned())
        .collect()
}

/// What stands in backticks: code, which is the same in every language.
fn code(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The text without names in braces and code.
fn prose(text: &str) -> String {
    let plain: String = text.split('`').step_by(2).collect();
    let mut prose = String::new();
    for (at, part) in plain.split('{').enumerate() {
        prose.push_str(if at == 0 {
            part
        } else {
            part.split_once('}').map_or("", |(_, rest)| rest)
        });
    }
    prose
}

/// What stands in brackets is a name of the platform's, which English texts quote.
fn without_brackets(text: &str) -> String {
    let mut out = String::new();
    for part in text.split('(') {
        out.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    out
}

impl Said {
    /// What is wrong with it.
    fn faults(&self) -> Vec<String> {
        let Self { en, zh, .. } = self;
        let of_both = |text: &str| {
            let mut names = placeholders(text);
            names.retain(|name| !name.ends_with("_en") && !name.ends_with("_zh"));
            names
        };
        let words = prose(en).chars().any(|char| char.is_ascii_alphabetic());
        let mut faults = Vec::new();
        if words && !prose(zh).chars().any(is_chinese) {
            faults.push("it has no Chinese".to_owned());
        }
        if without_brackets(en).chars().any(is_chinese) {
            faults.push("its English is Chinese".to_owned());
        }
        if of_both(en) != of_both(zh) {
            faults.push("its languages name different things in braces".to_owned());
        }
        if placeholders(en).iter().any(|name| name.ends_with("_zh"))
            || placeholders(zh).iter().any(|name| name.ends_with("_en"))
        {
            faults.push("it has a part of the other language".to_owned());
        }
        if code(en) != code(zh) {
            faults.push("its languages have different code in backticks".to_owned());
        }
        let half = |pair: &[char]| is_chinese(pair[0]) && [',', ';', ':', '!', '?', '('].contains(&pair[1]);
        if prose(zh).chars().collect::<Vec<_>>().windows(2).any(half) {
            faults.push("a sign behind a Chinese character is an English one".to_owned());
        }
        faults
    }
}

/// The sources of a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn literal(tree: Option<&TokenTree>) -> Option<String> {
    let Some(TokenTree::Literal(literal)) = tree else {
        return None;
    };
    let text = syn::parse2::<syn::LitStr>(TokenTree::from(literal.clone()).into()).ok()?;
    Some(text.value())
}

/// Whether this place begins the tests of a module: `#[cfg(test)] mod …`.
fn is_test(trees: &[TokenTree], at: usize) -> bool {
    let text = |at: usize| trees.get(at).map(ToString::to_string).unwrap_or_default();
    text(at) == "#" && text(at + 1).replace(' ', "") == "[cfg(test)]"
}

/// Calls `visit` for each name that a group in round brackets follows, as `name!(…)` or `name(…)`, but not for what stands in tests.
fn walk(stream: TokenStream, visit: &mut impl FnMut(&str, &Group)) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        if is_test(&trees, at) {
            // To the end of what is marked so: a module's body, or `mod tests;`.
            let ends = |tree: &TokenTree| match tree {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(punct) => punct.as_char() == ';',
                _ => false,
            };
            at = (at + 2..trees.len())
                .find(|at| ends(&trees[*at]))
                .map_or(trees.len(), |at| at + 1);
            continue;
        }
        if let TokenTree::Ident(name) = &trees[at] {
            let is_macro = trees.get(at + 1).is_some_and(|tree| tree.to_string() == "!");
            if let Some(TokenTree::Group(group)) = trees.get(at + 1 + usize::from(is_macro))
                && group.delimiter() == Delimiter::Parenthesis
            {
                visit(&name.to_string(), group);
            }
        }
        if let TokenTree::Group(group) = &trees[at] {
            walk(group.stream(), visit);
        }
        at += 1;
    }
}

/// Calls `visit` for what stands in the sources of rooms; of one of them, where it is named.
fn walk_rooms(room: Option<&str>, mut visit: impl FnMut(&Path, &str, &Group)) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for entry in fs::read_dir(crates).unwrap().flatten() {
        let src = entry.path().join("src");
        if room.is_some_and(|room| entry.file_name() != room) || !src.is_dir() {
            continue;
        }
        let mut files = Vec::new();
        sources(&src, &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let stream = text
                .parse()
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            walk(stream, &mut |name, group| visit(&file, name, group));
        }
    }
}

fn all() -> Vec<Said> {
    let mut all = Vec::new();
    walk_rooms(None, |file, name, group| {
        let is_of_cli = file.components().any(|part| part.as_os_str() == "cli");
        let is_bilingual = BILINGUAL.contains(&name) || (name == "t" && is_of_cli);
        if !is_bilingual {
            return;
        }
        let trees: Vec<TokenTree> = group.stream().into_iter().collect();
        if let (Some(en), Some(zh)) = (literal(trees.first()), literal(trees.get(2))) {
            let file = file.to_owned();
            all.push(Said { file, en, zh });
        }
    });
    all
}

#[test]
fn each_text_says_the_same_in_both_languages() {
    let all = all();
    assert!(all.len() > 300, "only {} texts were found", all.len());
    let mut faults = Vec::new();
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for said in &all {
        let place = said.file.display();
        for fault in said.faults() {
            faults.push(format!("{place}: {fault}:\n  {}\n  {}", said.en, said.zh));
        }
        // A sentence is put in the same words wherever it stands; a single word may mean several things.
        let before = known.entry(&said.en).or_insert(&said.zh);
        if *before != said.zh && said.en.trim().contains(' ') {
            faults.push(format!(
                "{place}: {:?} is both {before:?} and {:?}",
                said.en, said.zh
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Literals in a group that are English sentences, but not in what is written in both languages.
fn sentences(stream: TokenStream, found: &mut Vec<String>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut skipped = None;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Ident(name) if BILINGUAL.contains(&&*name.to_string()) || name == "t" => {
                skipped = Some(at)
            }
            TokenTree::Group(_) if skipped.is_some_and(|before| at - before <= 2) => {}
            TokenTree::Group(group) => sentences(group.stream(), found),
            TokenTree::Literal(_) => {
                let text = literal(Some(tree)).unwrap_or_default();
                let words = prose(&text);
                let words = words
                    .split(' ')
                    .filter(|word| word.len() > 1 && word.chars().all(|char| char.is_ascii_lowercase()));
                if words.count() > 1 {
                    found.push(text);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn the_command_line_says_nothing_in_english_alone() {
    let mut faults = Vec::new();
    walk_rooms(Some("cli"), |file, name, group| {
        if SHOWS.contains(&name) {
            let mut found = Vec::new();
            sentences(group.stream(), &mut found);
            faults.extend(found.iter().map(|text| format!("{}: {text}", file.display())));
        }
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_wrong_with_a_text_is_found() {
    let fault = |en: &str, zh: &str| {
        let said = Said {
            file: PathBuf::new(),
            en: en.to_owned(),
            zh: zh.to_owned(),
        };
        said.faults().join(", ")
    };
    assert_eq!(fault("`{name}` is not there", "没有 `{name}`"), "");
    assert_eq!(fault("{path}:{line}: {what}", "{path}:{line}: {what}"), "");
    assert_eq!(fault("in {n_en}", "共 {n_zh} 个"), "");
    assert!(fault("it is not there", "it is not there").contains("no Chinese"));
    assert!(fault("没有", "没有").contains("English is Chinese"));
    assert!(fault("no {name}", "没有").contains("in braces"));
    assert!(fault("in {n_zh}", "共 {n_zh} 个").contains("other language"));
    assert!(fault("run `npm install`", "请执行 `npm`").contains("backticks"));
    assert!(fault("no: it is not", "不行,没有").contains("English one"));
}
