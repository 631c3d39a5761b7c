//! The JSON Schema of `yunqiao.toml`, held against what editors read it with: taplo takes what the reader takes, and refuses what no key
//! takes. The reader itself is held against the same table in `crates/project`.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use project::reference::{Absent, Key, Section, reference};
use tempfile::TempDir;

use crate::support::{node_module, run, yunqiao};

/// A folder of files that name the schema.
struct Files {
    dir: TempDir,
    names: Vec<String>,
}

impl Files {
    fn new(schema: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("yunqiao.schema.json"), schema).unwrap();
        Self {
            dir,
            names: Vec::new(),
        }
    }

    fn add(&mut self, toml: &str) {
        let name = format!("{}.toml", self.names.len());
        let text = format!("#:schema ./yunqiao.schema.json\n{toml}\n");
        fs::write(self.dir.path().join(&name), text).unwrap();
        self.names.push(name);
    }

    /// What taplo refuses of them, with what it says of all.
    fn refused(&self) -> (Vec<&str>, String) {
        let mut taplo = Command::new("node");
        taplo
            .arg(node_module("@taplo/cli").join("dist/cli.js"))
            .args(["lint", "--colors", "never"])
            .args(&self.names)
            .current_dir(self.dir.path());
        let (_, out, err) = run(&mut taplo);
        let said = format!("{out}{err}");
        let is_refused = |name: &&String| {
            let path = self.dir.path().join(name);
            said.contains(&format!("path=\"{}\"", path.display())) && said.contains("invalid file")
        };
        let refused = self.names.iter().filter(is_refused).map(String::as_str);
        (refused.collect(), said)
    }
}

fn printed(lang: &str) -> String {
    let (output, schema, err) = run(yunqiao().args(["schema", "--lang", lang]));
    assert!(output.status.success(), "{err}");
    schema
}

/// The section with the key at this value, and with what it wants of others.
fn file(section: &Section, key: &Key, value: &str) -> String {
    let name = match key.name {
        "*" => "\"*\"",
        name => name,
    };
    let mut lines = key.beside.to_owned();
    for other in section.keys {
        let wanted = matches!(other.absent, Absent::Refused) && other.name != key.name;
        if wanted && !key.beside.contains(&format!("{} =", other.name)) {
            let _ = write!(lines, "\n{} = {}", other.name, other.example);
        }
    }
    format!("{}\n{lines}\n{name} = {value}", section.header)
}

#[test]
fn editors_take_what_the_reader_takes_and_nothing_else() {
    for lang in ["en", "zh"] {
        let schema = printed(lang);
        let (mut good, mut bad) = (Files::new(&schema), Files::new(&schema));
        for section in reference() {
            good.add(section.sample);
            for key in section.keys {
                if !key.example.is_empty() {
                    good.add(&file(section, key, key.example));
                }
                if let Absent::Value(value) | Absent::Usual(value) = key.absent {
                    good.add(&file(section, key, value));
                }
                // No key takes a list of lists of lists.
                bad.add(&file(section, key, "[[[1]]]"));
                for other in key.excludes {
                    let other = section.keys.iter().find(|known| known.name == *other).unwrap();
                    let both = file(section, key, key.example);
                    bad.add(&format!("{both}\n{} = {}", other.name, other.example));
                }
            }
            if section.others.is_none() {
                bad.add(&format!("{}\nnosuch = 1", section.header));
            }
        }
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for name in [
            "examples/album",
            "examples/kefu",
            "examples/web-todo",
            "packaging/compose",
        ] {
            good.add(&fs::read_to_string(examples.join(name).join("yunqiao.toml")).unwrap());
        }
        assert!(good.names.len() > 150 && bad.names.len() > 100);
        let (refused, said) = good.refused();
        assert!(refused.is_empty(), "{refused:?}: {said}");
        let (refused, said) = bad.refused();
        for name in &bad.names {
            let content = fs::read_to_string(bad.dir.path().join(name)).unwrap();
            assert!(refused.contains(&name.as_str()), "{content} is taken: {said}");
        }
    }
}

#[test]
fn it_is_a_schema_of_draft_07() {
    let script = "const Ajv = require(process.argv[1]); \
        const schema = JSON.parse(require('node:fs').readFileSync(0)); \
        const ajv = new Ajv({ allErrors: true }); \
        if (!ajv.validateSchema(schema)) { console.error(ajv.errors); process.exit(1) } \
        ajv.compile(schema)";
    for lang in ["en", "zh"] {
        let schema = TempDir::new().unwrap();
        let schema = schema.path().join("schema.json");
        fs::create_dir_all(schema.parent().unwrap()).unwrap();
        fs::write(&schema, printed(lang)).unwrap();
        let mut node = Command::new("node");
        node.args(["-e", script])
            .arg(node_module("ajv"))
            .stdin(fs::File::open(&schema).unwrap());
        let (output, _, err) = run(&mut node);
        assert!(output.status.success(), "{err}");
    }
}

#[test]
fn init_writes_the_schema_that_its_settings_name() {
    let dir = TempDir::new().unwrap();
    let shop = dir.path().join("shop");
    let (output, _, err) = run(yunqiao().arg("init").arg(&shop).args(["--lang", "zh"]));
    assert!(output.status.success(), "{err}");
    let settings = fs::read_to_string(shop.join("yunqiao.toml")).unwrap();
    let named = settings.strip_prefix("#:schema ./").unwrap();
    let named = named.lines().next().unwrap();
    assert_eq!(fs::read_to_string(shop.join(named)).unwrap(), printed("zh"));
}
