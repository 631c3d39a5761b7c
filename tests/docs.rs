//! The docs, held together: each link leads to a file and a heading that are there, each block of JSON is JSON, and each page has its
//! other language, of the same shape, or says that there is none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use serde_json::Value;

fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    folder.canonicalize().unwrap()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && !["node_modules", "target"].contains(&&*name) {
            collect(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// All Markdown of the repository that is ours.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["docs", "examples", "packaging", "js", "bench"] {
        collect(&root().join(folder), &mut found);
    }
    for name in [
        "README.md",
        "README.zh-CN.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
    ] {
        found.push(root().join(name));
    }
    assert!(found.len() > 50, "{found:?}");
    found
}

/// The page without its blocks of code.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect()
}

/// The page without any code.
fn text(page: &str) -> String {
    prose(page).split('`').step_by(2).collect()
}

/// Where a page can be linked to: its headings, as GitHub and the site write them in an address, and the places that it names.
fn anchors(page: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let plain = heading.replace("](", "](\0");
        let plain: String = plain
            .split("](")
            .map(|part| match part.strip_prefix('\0') {
                Some(rest) => rest.split_once(')').map_or("", |(_, rest)| rest),
                None => part,
            })
            .collect();
        let kept = plain.trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    let page = prose(page);
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let mut anchors: BTreeSet<_> = headings.map(|line| slug(line.trim_start_matches('#'))).collect();
    let named = page
        .split("<a id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    anchors.extend(named.map(str::to_owned));
    anchors
}

/// A path without `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidy.pop();
            }
            Component::CurDir => {}
            part => tidy.push(part),
        }
    }
    tidy
}

/// What is wrong with the links of a page.
fn dead(file: &Path, page: &str) -> Vec<String> {
    let page_text = text(page);
    let links = page_text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let mut dead = Vec::new();
    for link in links {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = match path {
            "" => file.to_owned(),
            path => tidy(&file.parent().unwrap().join(path)),
        };
        if !target.exists() {
            dead.push(format!("{link}: nothing is there"));
        } else if !anchor.is_empty() && target.extension().is_some_and(|ending| ending == "md") {
            let there = fs::read_to_string(&target).unwrap();
            if !anchors(&there).contains(anchor) {
                dead.push(format!("{link}: no such heading"));
            }
        }
    }
    dead
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = Vec::new();
    for file in pages() {
        let page = fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(root()).unwrap().display().to_string();
        all.extend(
            dead(&file, &page)
                .into_iter()
                .map(|link| format!("{shown}: {link}")),
        );
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    let here = root().join("docs/guide.md");
    let wrong = "[a](gone.md) [b](cli.md#no-such) [c](#nothing) `[d](gone.md)`\n\n```\n[e](gone.md)\n```\n";
    assert_eq!(dead(&here, wrong).len(), 3);
    assert_eq!(dead(&here, "[a](cli.md#yunqiao-dev)"), Vec::<String>::new());
}

#[test]
fn every_block_of_json_is_json() {
    let mut met = 0;
    for file in pages() {
        let page = fs::read_to_string(&file).unwrap();
        for block in page.split("```json\n").skip(1) {
            let block = block.split("```").next().unwrap();
            met += 1;
            // A comment names the file of what follows it.
            let mut parts = vec![String::new()];
            for line in block.lines() {
                match line.trim_start().starts_with("//") {
                    true => parts.push(String::new()),
                    false => parts.last_mut().unwrap().push_str(&format!("{line}\n")),
                }
            }
            for part in parts.iter().filter(|part| !part.trim().is_empty()) {
                let parsed = serde_json::from_str::<Value>(part);
                assert!(parsed.is_ok(), "{}: {parsed:?}\n{part}", file.display());
            }
        }
    }
    assert!(met > 0);
}

#[test]
fn every_page_is_there_in_both_languages() {
    let names = |folder: &str| {
        let files = fs::read_dir(root().join(folder)).unwrap().flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.ends_with(".md"))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(names("docs"), names("docs/zh"));
    for name in names("docs/zh") {
        let page = fs::read_to_string(root().join("docs/zh").join(&name)).unwrap();
        let is_chinese = |c: &char| ('\u{4e00}'..='\u{9fff}').contains(c);
        assert!(page.chars().filter(is_chinese).count() > 200, "{name}");
    }
}

/// What a page and its translation have in common, whatever their words: how many headings there are of each level, how many blocks of
/// each language, and how many rows of tables.
fn shape(page: &str) -> BTreeMap<String, usize> {
    let mut shape = BTreeMap::new();
    let mut count = |what: String| *shape.entry(what).or_insert(0) += 1;
    let mut in_block = false;
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_block = !in_block;
            if in_block {
                count(format!("```{language}"));
            }
        } else if !in_block && line.starts_with('#') {
            let level = line.chars().take_while(|c| *c == '#').count();
            count("#".repeat(level));
        } else if !in_block && line.starts_with('|') {
            count("rows of tables".to_owned());
        }
    }
    assert!(!in_block, "a block has no end");
    shape
}

#[test]
fn each_page_has_in_both_languages_as_many_sections_blocks_and_rows() {
    let mut compared = 0;
    for file in pages() {
        let Ok(name) = file.strip_prefix(root().join("docs/zh")) else {
            continue;
        };
        let chinese = fs::read_to_string(&file).unwrap();
        let english = fs::read_to_string(root().join("docs").join(name)).unwrap();
        assert_eq!(
            shape(&english),
            shape(&chinese),
            "docs/{0} and docs/zh/{0} differ",
            name.display()
        );
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
    let lacks = "# a\n\n```sh\n# b\n```\n\n| c |\n|---|\n";
    for more in ["## d\n", "```sh\ne\n```\n", "| f |\n"] {
        assert_ne!(shape(lacks), shape(&format!("{lacks}{more}")));
    }
}
