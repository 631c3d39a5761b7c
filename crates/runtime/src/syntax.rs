//! Which source files cannot be parsed, or require files that are not there: found by Node, which parses the files and runs
//! nothing of them (`js/worker/syntax.js`).

use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use function::Function;
use serde_json::{Value, json};
use wording::{Wording, wording};

/// What Node runs.
const PROGRAM: &str = include_str!("../../../js/worker/syntax.js");

/// A file that cannot be parsed, or requires one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFault {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, where Node tells it.
    pub line: Option<usize>,
    /// The text of that line.
    pub text: String,
    /// What is wrong, as the end of a sentence about the file: `cannot be parsed: SyntaxError: Unexpected token '}'`, or
    /// `requires './x', which is not there`.
    pub message: Wording,
}

impl SourceFault {
    /// `FILE:LINE MESSAGE`, and below it the line.
    #[must_use]
    pub fn wording(&self) -> Wording {
        let (file, message) = (self.file.display(), &self.message);
        let line = self.line.map_or_else(String::new, |line| format!(":{line}"));
        let told = wording!("{file}{line} {message}", "{file}{line} {message}"; message);
        if self.text.is_empty() {
            return told;
        }
        Wording::lines([told, Wording::as_is(&self.text)])
    }
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

/// Parses the source of functions, from the file of each along what it requires by a path, and gives for each what is wrong with
/// it. Blocks.
///
/// # Errors
/// When Node cannot be run, or says what it should not.
pub fn source_faults<'a>(
    node: &Path,
    functions: impl Iterator<Item = &'a Function>,
) -> io::Result<Vec<Vec<SourceFault>>> {
    let entries: Vec<Value> = functions
        .map(|function| json!({ "entry": function.entry, "isModule": function.is_module() }))
        .collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut child = Command::new(node)
        .args(["--no-warnings", "--experimental-vm-modules", "-e", PROGRAM])
        .env_remove("NODE_OPTIONS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It reads all before it says anything.
    let input = Value::Array(entries).to_string();
    let written = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    written.transpose()?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| io::Error::other(format!("{error}: {}", String::from_utf8_lossy(&output.stderr))))?;
    let of_functions = said.as_array().map_or(&[][..], Vec::as_slice);
    Ok(of_functions
        .iter()
        .map(|faults| {
            faults
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .map(fault)
                .collect()
        })
        .collect())
}

fn fault(said: &Value) -> SourceFault {
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    SourceFault {
        file: text("file").into(),
        line: said["line"].as_u64().and_then(|line| usize::try_from(line).ok()),
        text: text("text"),
        message: message(said),
    }
}

/// What the program found, in words.
fn message(said: &Value) -> Wording {
    if said["isModule"] == true {
        return wording!(
            "is written as an ES module (`import`, `export`), and is loaded as CommonJS, as on the platform: write \"type\": \"module\" into the \
             package.json beside it, or name it .mjs, or write `require` and `exports`",
            "是用 ES 模块写的（`import`、`export`），却像在平台上一样按 CommonJS 加载：请在旁边的 package.json 里写 \"type\": \"module\"，\
             或改名为 .mjs，或改用 `require` 和 `exports`"
        );
    }
    if let Some(error) = said["error"].as_str() {
        return wording!("cannot be parsed: {error}", "无法解析：{error}");
    }
    let required = said["required"].as_str().unwrap_or_default();
    if let (Some(from), Some(to)) = (said["copy"]["from"].as_str(), said["copy"]["to"].as_str()) {
        return wording!(
            "requires '{required}', which is not there; copy {from} to {to}, and fill it in",
            "引用的 '{required}' 不存在；请把 {from} 复制为 {to}，再填好内容"
        );
    }
    if said["folder"] == true {
        return wording!(
            "requires '{required}', which is not there; a folder of that name is there, without an index.js",
            "引用的 '{required}' 不存在；有同名的目录，但里面没有 index.js"
        );
    }
    match said["spelt"].as_str() {
        Some(spelt) => wording!(
            "requires '{required}', which is not there; '{spelt}' is there",
            "引用的 '{required}' 不存在；有 '{spelt}'"
        ),
        None => wording!(
            "requires '{required}', which is not there",
            "引用的 '{required}' 不存在"
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    /// The function of these files, of which the first is its entry.
    fn lay(folder: &Path, name: &str, files: &[(&str, &str)]) -> Function {
        let dir = folder.join(name);
        for (file, text) in files {
            let file = dir.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let entry = dir.join(files[0].0);
        Function::new(name.parse().unwrap(), dir, entry)
    }

    /// What is found in each, without the folder.
    fn shown(folder: &Path, functions: &[Function]) -> Vec<Vec<String>> {
        let path = std::env::var_os("PATH").unwrap();
        let node = std::env::split_paths(&path)
            .map(|folder| folder.join("node"))
            .find(|node| node.is_file());
        let found = source_faults(&node.unwrap(), functions.iter()).unwrap();
        found
            .iter()
            .map(|faults| {
                let mut shown: Vec<_> = faults
                    .iter()
                    .map(|fault| fault.to_string().replace(&format!("{}/", folder.display()), ""))
                    .collect();
                shown.sort();
                shown
            })
            .collect()
    }

    #[test]
    fn a_file_that_its_author_left_out_is_made_of_the_sample_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let functions = [
            lay(
                &folder,
                "below",
                &[
                    ("index.js", "require('./config')\nrequire('./config/index')"),
                    ("config/example.js", "exports.secret = ''"),
                ],
            ),
            lay(
                &folder,
                "beside",
                &[
                    (
                        "index.js",
                        "require('./lib/key.json')\nrequire('./config')\nrequire('./other')",
                    ),
                    ("lib/key.sample.json", "{}"),
                    ("config.template.js", ""),
                ],
            ),
            lay(
                &folder,
                "empty",
                &[("index.js", "require('./config')"), ("config/local.js", "")],
            ),
        ];
        let requires = |function: &str, line: usize, wanted: &str, rest: &str| {
            format!("{function}/index.js:{line} requires '{wanted}', which is not there{rest}\n")
        };
        let copy = |from: &str, to: &str| format!("; copy {from} to {to}, and fill it in");
        let index = copy("config/example.js", "config/index.js");
        let expected = [
            requires("below", 1, "./config", &index),
            requires("below", 2, "./config/index", &index),
            requires(
                "beside",
                1,
                "./lib/key.json",
                &copy("lib/key.sample.json", "lib/key.json"),
            ),
            requires("beside", 2, "./config", &copy("config.template.js", "config.js")),
            requires("beside", 3, "./other", ""),
            requires(
                "empty",
                1,
                "./config",
                "; a folder of that name is there, without an index.js",
            ),
        ];
        let found = shown(&folder, &functions).concat();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (shown, expected) in found.iter().zip(&expected) {
            assert!(shown.starts_with(expected), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_found_with_its_line_and_nothing_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let ran = folder.join("ran");
        let function = |name: &str, files: &[(&str, &str)]| lay(&folder, name, files);
        let run = format!(
            "require('fs').writeFileSync({:?}, '');\n",
            ran.display().to_string()
        );
        let functions = [
            function("own", &[("index.js", &format!("{run}const a = ;\n"))]),
            function(
                "required",
                &[
                    (
                        "index.js",
                        "require('./lib'); require('../shared/c'); // require('./gone')\n/*\nrequire('./gone')*/require('x')",
                    ),
                    ("lib/index.js", "exports.a = 1\nif (true {\n}"),
                    ("node_modules/x/index.js", "no source at all"),
                ],
            ),
            function(
                "esm",
                &[
                    ("index.mjs", "import './a.mjs'\nexport const x = 1"),
                    ("a.mjs", "export const y = 1\nexport const z = +;\n"),
                ],
            ),
            function(
                "data",
                &[
                    ("index.js", "require('./table.json')"),
                    ("table.json", "{\n  \"a\": 1,\n}"),
                ],
            ),
            function(
                "sound",
                &[(
                    "index.js",
                    "#!/usr/bin/env node\nif (0) return; exports.main = async () => { await 0 }",
                )],
            ),
            function(
                "lacking",
                &[
                    (
                        "index.js",
                        "require('./a')\nlet local = {}\ntry {\n  if (1) { local = require('./local') }\n} catch {}\n\
                         import('./plugin.js').catch(() => {})\nexports.main = () => require('./Utils').x + import('./b.js')\n\
                         const text = `from './nowhere'`",
                    ),
                    (
                        "a.js",
                        "const url = 'http://x'; module.exports = require('./sub')",
                    ),
                    ("sub/package.json", r#"{"main":"main.js"}"#),
                    ("sub/main.js", "require('./data.bin'); require('../gone.json')"),
                    ("sub/data.bin", ""),
                    ("utils.js", ""),
                ],
            ),
            function(
                "lacking-esm",
                &[
                    (
                        "index.mjs",
                        "import { x } from './lib'\nexport * from './lib.mjs'",
                    ),
                    ("lib.mjs", ""),
                ],
            ),
            // In the folder, and never loaded.
            function(
                "beside",
                &[("index.js", "exports.main = 1"), ("template.js", "<%= %>")],
            ),
            function(
                "unmarked",
                &[
                    (
                        "index.js",
                        "// a module\nimport cloud from 'wx-server-sdk'\nexport const main = async () => 1",
                    ),
                    ("package.json", r#"{"type":"commonjs"}"#),
                ],
            ),
        ];
        fs::create_dir_all(folder.join("shared")).unwrap();
        fs::write(folder.join("shared/c.js"), "}").unwrap();
        let shown = shown(&folder, &functions);
        let begins = |of: usize, at: usize, start: &str, end: &str| {
            let text = &shown[of][at];
            assert!(text.starts_with(start) && text.ends_with(end), "{text}");
        };
        let counts: Vec<usize> = shown.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 2, 1, 1, 0, 3, 1, 0, 1], "{shown:?}");
        begins(
            0,
            0,
            "own/index.js:2 cannot be parsed: SyntaxError: ",
            "\nconst a = ;",
        );
        begins(
            1,
            0,
            "required/lib/index.js:2 cannot be parsed: SyntaxError: ",
            "\nif (true {",
        );
        begins(1, 1, "shared/c.js:1 cannot be parsed: SyntaxError: ", "\n}");
        begins(
            2,
            0,
            "esm/a.mjs:2 cannot be parsed: SyntaxError: ",
            "\nexport const z = +;",
        );
        begins(3, 0, "data/table.json:3 cannot be parsed: SyntaxError: ", "\n}");
        let lacks = |of: usize, at: usize, line: &str| assert!(shown[of][at].starts_with(line), "{shown:?}");
        lacks(
            5,
            0,
            "lacking/index.js:7 requires './Utils', which is not there; './utils.js' is there\nexports.main",
        );
        lacks(5, 1, "lacking/index.js:7 requires './b.js', which is not there\n");
        lacks(
            5,
            2,
            "lacking/sub/main.js:1 requires '../gone.json', which is not there\n",
        );
        lacks(
            6,
            0,
            "lacking-esm/index.mjs:1 requires './lib', which is not there; './lib.mjs' is there\n",
        );
        begins(
            8,
            0,
            "unmarked/index.js:2 is written as an ES module (`import`, `export`), and is loaded as CommonJS, as on the platform: write ",
            "\nimport cloud from 'wx-server-sdk'",
        );
        assert!(!ran.exists(), "it was run");
    }
}
