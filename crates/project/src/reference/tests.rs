//! The reference against the reader: nothing stands there that is not so.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use wording::Wording;

use super::{page::page, *};
use crate::{Project, ProjectError};

/// A project with all files that the examples name, so that each is looked at as in one of the user's own.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let secret = "0123456789abcdef0123456789abcdef";
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (name, content) in [
            (
                "project.config.json",
                r#"{"cloudfunctionRoot":"cloudfunctions/"}"#,
            ),
            ("cloudfunctions/login/index.js", ""),
            ("cloudfunctions/api/index.js", ""),
            ("cloudfunctions/kefu/index.js", ""),
            ("cloudfunctions/pay/index.js", ""),
            ("cloudfunctions/settle/index.js", ""),
            ("functions/other/index.js", ""),
            ("dist/index.html", ""),
            ("mongodb.url", "mongodb://USER:PASSWORD@db.internal:27017/app"),
            ("push.keys", key),
            ("appsecret", secret),
            ("other.secret", secret),
            ("operator.secret", secret),
            ("backend.secret", secret),
            ("wire.password", secret),
            ("push.token", secret),
            ("redis.password", secret),
            ("sentinel.password", secret),
            ("s3.id", secret),
            ("s3.key", secret),
            ("root.keys", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ] {
            let path = fixture.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fixture
    }

    fn open(&self, toml: &str) -> Result<Project, ProjectError> {
        let path = self.dir.path().join("yunqiao.toml");
        fs::write(&path, toml).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Project::from_config(&path)
    }

    /// What is made of it, all of it.
    fn outcome(&self, toml: &str) -> String {
        match self.open(toml) {
            Ok(project) => format!("{project:#?}"),
            Err(error) => format!("refused: {error}"),
        }
    }
}

/// The section with these lines, and with what it wants of others.
fn file(section: &Section, lines: &[&str]) -> String {
    let before = match section.name {
        name if name.starts_with("web.") => "[web]\nsite = \"dist\"\n",
        _ => "",
    };
    format!("{before}{}\n{}\n", section.header, lines.join("\n"))
}

fn line(key: &Key, value: &str) -> String {
    match key.name {
        "*" => format!("\"*\" = {value}"),
        name => format!("{name} = {value}"),
    }
}

fn each_key(mut visit: impl FnMut(&'static Section, &'static Key)) {
    let mut count = 0;
    for section in reference() {
        for key in section.keys {
            visit(section, key);
            count += 1;
        }
    }
    assert!(count > 90, "only {count} keys");
}

#[test]
fn every_example_is_taken_and_does_something() {
    let fixture = Fixture::new();
    each_key(|section, key| {
        let (name, example) = (format!("{} {}", section.name, key.name), key.example);
        if example.is_empty() {
            let leads = matches!(key.kind, Kind::Table(_) | Kind::Tables(_) | Kind::Map { .. });
            assert!(leads, "{name} has no example");
            return;
        }
        let with = file(section, &[key.beside, &line(key, example)]);
        if let Err(error) = fixture.open(&with) {
            panic!("{name}: {error}\n{with}");
        }
        let without = file(section, &[key.beside]);
        assert_ne!(
            fixture.outcome(&with),
            fixture.outcome(&without),
            "{name} = {example} changes nothing"
        );
    });
}

#[test]
fn a_default_that_is_written_down_changes_nothing() {
    let fixture = Fixture::new();
    each_key(|section, key| {
        let without = file(section, &[key.beside]);
        match key.absent {
            Absent::Value(value) => {
                let with = file(section, &[key.beside, &line(key, value)]);
                let same = fixture.outcome(&with) == fixture.outcome(&without);
                assert!(same, "it is another thing to write\n{with}");
            }
            // The command line's tests hold these against what the commands do; it is a value that can be written at least.
            Absent::Usual(value) => {
                let with = file(section, &[key.beside, &line(key, value)]);
                assert!(fixture.open(&with).is_ok(), "{with}");
            }
            Absent::Refused => assert!(fixture.open(&without).is_err(), "{without}"),
            Absent::Nothing | Absent::Said(_) => {}
        }
    });
    // Of functions the limits of the room that owns them are what holds.
    for (key, value) in [
        ("timeout", function::DEFAULT_TIMEOUT.as_secs()),
        ("memory", function::DEFAULT_MEMORY_MB.into()),
        ("concurrency", function::DEFAULT_CONCURRENCY.into()),
        ("max_instances", function::DEFAULT_MAX_INSTANCES.into()),
    ] {
        let key = FUNCTION.keys.iter().find(|known| known.name == key).unwrap();
        let Absent::Usual(usual) = key.absent else {
            panic!("{} has a usual value", key.name);
        };
        let with = |value: &str| {
            let project = fixture.open(&file(&FUNCTION, &[&line(key, value)])).unwrap();
            format!("{:?}", project.functions)
        };
        assert_eq!(with(usual), with(&value.to_string()), "{}", key.name);
        let nothing = fixture.open("").unwrap();
        assert_eq!(with(usual), format!("{:?}", nothing.functions));
    }
}

#[test]
fn a_key_that_nobody_reads_does_not_stand_there() {
    let fixture = Fixture::new();
    each_key(|section, key| {
        // No key takes a date: whoever reads it refuses it by name.
        let toml = file(section, &[key.beside, &line(key, "1979-05-27")]);
        let said = fixture.outcome(&toml);
        assert!(
            said.starts_with("refused: ") && (said.contains(key.name) || said.contains(section.name)),
            "{} {} is not read: {said}",
            section.name,
            key.name
        );
        assert!(said.contains("date"), "{toml}\n{said}");
    });
}

#[test]
fn a_key_that_does_not_stand_there_is_refused_with_the_nearest() {
    let fixture = Fixture::new();
    each_key(|section, key| {
        let free = section.others.is_some() || section.header.ends_with("rule]");
        if key.name == "*" || free {
            return;
        }
        let wrong = format!("{}z", key.name);
        let required = section
            .keys
            .iter()
            .filter(|key| matches!(key.absent, Absent::Refused))
            .map(|key| line(key, key.example));
        let mut lines: Vec<_> = required.collect();
        lines.push(format!("{wrong} = 1"));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let said = fixture.outcome(&file(section, &lines));
        assert!(said.contains(&format!("unknown key `{wrong}`")), "{said}");
        assert!(
            section
                .keys
                .iter()
                .any(|key| said.contains(&format!("`{}`?", key.name))),
            "{said}"
        );
    });
}

#[test]
fn what_excludes_another_is_refused_beside_it() {
    let fixture = Fixture::new();
    each_key(|section, key| {
        for other in key.excludes {
            let other = section.keys.iter().find(|known| known.name == *other).unwrap();
            let toml = file(
                section,
                &[key.beside, &line(key, key.example), &line(other, other.example)],
            );
            assert!(fixture.open(&toml).is_err(), "{toml}");
        }
    });
}

#[test]
fn every_sample_is_a_file() {
    let fixture = Fixture::new();
    let mut samples = 0;
    for section in reference() {
        if let Err(error) = fixture.open(section.sample) {
            panic!("{}: {error}", section.name);
        }
        samples += usize::from(!section.sample.is_empty());
    }
    assert!(samples > 15, "{samples}");
}

#[test]
fn every_key_says_in_both_languages_what_it_does() {
    let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let holds = |said: Wording, place: &str| {
        assert!(
            said.en.ends_with('.') && !said.en.contains("  "),
            "{place}: {}",
            said.en
        );
        assert!(
            is_chinese(&said.zh) && said.zh.ends_with('。'),
            "{place}: {}",
            said.zh
        );
    };
    each_key(|section, key| {
        let place = format!("{} {}", section.name, key.name);
        holds((key.says)(), &place);
        holds((section.says)(), &place);
        if let Absent::Said(said) = key.absent {
            assert!(is_chinese(&said().zh), "{place}");
        }
    });
}

/// Compares with the file in `docs`, or writes it.
fn golden(name: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if env::var_os("YUNQIAO_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == content,
        "docs/{name} is not what the reference says: YUNQIAO_BLESS=1 writes it anew"
    );
}

#[test]
fn the_page_and_the_schema_are_what_the_reference_says() {
    golden("yunqiao-toml.md", &page(|said| &said.en));
    golden("zh/yunqiao-toml.md", &page(|said| &said.zh));
    for (name, of) in [
        (
            "public/yunqiao.schema.json",
            (|said| said.en.clone()) as fn(&Wording) -> String,
        ),
        ("public/zh/yunqiao.schema.json", |said| said.zh.clone()),
    ] {
        let schema = serde_json::to_string_pretty(&schema(of)).unwrap();
        golden(name, &format!("{schema}\n"));
    }
}

/// All Markdown that people read.
fn pages() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "node_modules" {
                collect(&path, found);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["docs", "examples", "packaging", "js"] {
        collect(&root.join(folder), &mut found);
    }
    found.extend(["README.md", "README.zh-CN.md"].map(|name| root.join(name)));
    found
}

#[test]
fn every_toml_in_the_docs_is_read_as_it_stands_and_without_the_signs_that_put_lines_out_of_effect() {
    let fixture = Fixture::new();
    let (mut met, mut faults) = (0, Vec::new());
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        for block in page.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            met += 1;
            for toml in [block.to_owned(), in_effect(block)] {
                if let Err(error) = fixture.open(&toml) {
                    faults.push(format!("{}: {error}\n{toml}", path.display()));
                }
            }
        }
    }
    assert!(met > 60, "{met}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A file in which settings stand behind a `#` to choose from, and comments behind a `# `.
fn in_effect(toml: &str) -> String {
    let lines = toml.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with([' ', ':']) => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}
