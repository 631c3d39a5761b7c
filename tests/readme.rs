//! Both READMEs: their commands, run by a shell as they stand and in their order, each block in a terminal of its own at the root of
//! the repository, beside whatever an earlier block left running.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    commands::DATA,
    support::{Server, free_port, isolated, run, yunqiao},
};

/// The reader's own, who has it from WeChat.
const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What stands on the reader's path, before everything else. A server goes on in the background, on free ports, as in a terminal of its
/// own; `logs` ends by itself. npx has the binary from a package (`packaging.rs` tries that), and cargo builds it, as this run did.
const YUNQIAO: &str = r#"#!/usr/bin/env bash
set -euo pipefail
serving() {
  out=$(mktemp "$README_SERVERS/XXXXXX")
  "$README_BINARY" "$@" >"$out" 2>"$out.err" &
  echo $! >"$out.pid"
  for _ in {1..6000}; do
    grep -q '^ready ' "$out" && return
    kill -0 $! 2>/dev/null || break
    sleep 0.05
  done
  cat "$out.err" >&2
  exit 1
}
case "$1" in
  dev) serving "$@" --port 0 --wechat-port 0 --operator-port 0 ;;
  serve) case " $* " in *' --check '*) exec "$README_BINARY" "$@" ;; *) serving "$@" ;; esac ;;
  logs) exec "$README_BINARY" "$@" --no-follow ;;
  *) exec "$README_BINARY" "$@" ;;
esac
"#;
const NPX: &str = "#!/usr/bin/env bash\n[ \"$1\" = yunqiao ] || exit 9\nshift\nexec yunqiao \"$@\"\n";
const CARGO: &str = r#"#!/usr/bin/env bash
case "$*" in
  'run --release -- '*) shift 3; exec yunqiao "$@" ;;
  test) ;;
  *) echo "cargo $* is not tried here" >&2; exit 9 ;;
esac
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The blocks of a page that are marked with this language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let begin = format!("```{language}\n");
    let blocks = page.split(begin.as_str()).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// Ends what the blocks left running.
struct Reader {
    home: TempDir,
}

impl Drop for Reader {
    fn drop(&mut self) {
        for file in fs::read_dir(self.servers()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pid") {
                let pid = fs::read_to_string(path).unwrap().trim().parse().unwrap();
                if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    }
}

impl Reader {
    /// Somebody with a copy of the repository's examples, and what a reader is taken to have.
    fn new() -> Self {
        let reader = Self {
            home: TempDir::new().unwrap(),
        };
        fs::create_dir(reader.servers()).unwrap();
        for (name, script) in [("yunqiao", YUNQIAO), ("npx", NPX), ("cargo", CARGO)] {
            reader.write(&format!("bin/{name}"), script);
            let file = reader.at(&format!("bin/{name}"));
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let copied = Command::new("cp")
            .arg("-R")
            .args([root().join("examples"), reader.home.path().to_owned()])
            .status();
        assert!(copied.unwrap().success());
        for example in fs::read_dir(reader.at("examples")).unwrap() {
            // Where one that runs in the repository is found.
            let _ = fs::remove_dir_all(example.unwrap().path().join(".yunqiao"));
        }
        reader.write("todos.json", "{\"_id\":\"t1\",\"title\":\"buy milk\"}\n");
        reader.write("photos/cat.txt", "a cat");
        reader.write("encryptedData.txt", DATA);
        reader
    }

    /// Writes the settings that the section on production shows, with another WeChat than the real one, and what the reader has from there.
    fn goes_to_production(&self, readme: &str, wechat: &str, ports: [u16; 2]) {
        let tomls = blocks(readme, "toml");
        let toml = tomls.iter().find(|toml| toml.contains("secret_file")).unwrap();
        let toml = toml.replacen("functions =", &format!("wechat = \"{wechat}\"\nfunctions ="), 1);
        self.write("examples/kefu/yunqiao.toml", &on(&toml, ports));
        for (file, secret) in [
            ("appsecret", APP_SECRET),
            ("other.secret", APP_SECRET),
            ("push.token", "AAAAA"),
            ("push.keys", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ] {
            self.write(&format!("examples/kefu/{file}"), secret);
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn servers(&self) -> PathBuf {
        self.at("servers")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Types a block, and gives what was printed.
    fn types(&self, block: &str) -> String {
        let mut shell = isolated(Command::new("bash"));
        shell
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("NO_PROXY", "*")
            .env("README_BINARY", env!("CARGO_BIN_EXE_yunqiao"))
            .env("README_SERVERS", self.servers());
        let path = std::env::var("PATH").unwrap();
        shell.env("PATH", format!("{}:{path}", self.at("bin").display()));
        let (output, out, err) = run(&mut shell);
        assert!(output.status.success(), "{block}\n{out}\n{err}");
        out
    }
}

/// The same with other ports than the usual, which somebody may use.
fn on(text: &str, [gateway, operator]: [u16; 2]) -> String {
    text.replace(":8787", &format!(":{gateway}"))
        .replace(":8789", &format!(":{operator}"))
}

fn the_commands_work(readme: &str) {
    let readme = fs::read_to_string(root().join(readme)).unwrap();
    let wechat = Server::start(yunqiao().args([
        "simulate",
        "--port",
        "0",
        "--appid",
        "wx0123456789abcdef",
        "--secret",
        APP_SECRET,
    ]));
    // Taken when the server that is to have them comes next: whatever listens on any port may take them meanwhile.
    let mut ports = None;
    let reader = Reader::new();
    let blocks = blocks(&readme, "sh");
    let printed: Vec<_> = blocks
        .iter()
        .map(|block| {
            if block.contains("serve --check") {
                let free = [free_port(), free_port()];
                reader.goes_to_production(&readme, &wechat.url, free);
                ports = Some(free);
            }
            match ports {
                Some(ports) => reader.types(&on(block, ports)),
                None => reader.types(block),
            }
        })
        .collect();
    // What they show, in the README's order.
    let expected = [
        "made hello",
        "\"days\": 31",
        "pass 3",
        "nothing to mend in 3 functions",
        "/?once=",
        "ok    alice subscribes once, and the message goes through",
        "acknowledged",
        "cloud://yunqiao",
        "subscribeMessage.send ",
        "ok    301 seconds later it is refused: -601006",
        "\"access_token\":",
        "\"errcode\":0",
        "\"nickName\":\"Band\"",
        "19036804514e3177482cf7382c6a337cf79b246d",
        "the signature is right",
    ];
    let all = printed.join("\n");
    let mut at = 0;
    for part in expected {
        let found = all[at..].find(part);
        at += found.unwrap_or_else(|| panic!("{part} does not come next in {all}"));
    }
}

#[test]
fn the_commands_of_the_readme_work_as_they_stand() {
    the_commands_work("README.md");
}

#[test]
fn the_commands_of_the_chinese_readme_work_as_they_stand() {
    the_commands_work("README.zh-CN.md");
}

/// A page of the docs.
fn docs(page: &str) -> String {
    fs::read_to_string(root().join("docs").join(page)).unwrap()
}

#[test]
fn the_first_minute_works_as_the_guides_tell_it() {
    for page in ["guide.md", "zh/guide.md"] {
        let reader = Reader::new();
        let printed: Vec<_> = blocks(&docs(page), "sh")
            .iter()
            .map(|block| reader.types(block))
            .collect();
        let all = printed.join("\n");
        let mut at = 0;
        for part in ["made hello", "\"days\": 31", "pass 3"] {
            let found = all[at..].find(part);
            at += found.unwrap_or_else(|| panic!("{page}: {part} does not come next in {all}"));
        }
    }
}

#[test]
fn data_moves_as_the_page_tells_it() {
    for page in ["moving.md", "zh/moving.md"] {
        let reader = Reader::new();
        let page = docs(page);
        reader.write("yunqiao.toml", blocks(&page, "toml")[0]);
        reader.write("cloudfunctions/login/index.js", "exports.main = () => 1");
        for secret in ["appsecret", "operator.secret"] {
            reader.write(secret, APP_SECRET);
        }
        reader.write("files/avatars/1.txt", "a face");
        let printed: Vec<_> = blocks(&page, "sh")
            .iter()
            .map(|block| reader.types(block))
            .collect();
        let all = printed.join("\n");
        for part in ["todos", "status_1_createTime_-1", "avatars/1.txt"] {
            assert!(all.contains(part), "{part} is not in {all}");
        }
        assert!(!all.contains("files/avatars"), "{all}");
    }
}

#[test]
fn a_mini_program_is_tested_as_the_pages_tell_it() {
    for page in ["testing.md", "zh/testing.md"] {
        let reader = Reader::new();
        let page = docs(page);
        reader.types("yunqiao init hello");
        let tests = blocks(&page, "js");
        assert_eq!(tests.len(), 2, "{tests:?}");
        reader.write("hello/test/cloud.test.mjs", tests[0]);
        reader.write("hello/test/page.test.mjs", tests[1]);
        fs::create_dir_all(reader.at("hello/node_modules/@yunqiao")).unwrap();
        for package in ["wx", "client"] {
            let from = root().join("js").join(package);
            let to = reader.at(&format!("hello/node_modules/@yunqiao/{package}"));
            std::os::unix::fs::symlink(from, to).unwrap();
        }
        let printed = reader.types("yunqiao exec hello -- npm test --prefix hello");
        assert!(
            printed.contains("pass 3") && printed.contains("fail 0"),
            "{printed}"
        );
        let printed = reader.types("yunqiao exec hello -- node --test hello/test/page.test.mjs");
        assert!(
            printed.contains("pass 1") && printed.contains("fail 0"),
            "{printed}"
        );
    }
}

/// The headings of a page's sections, as a link to them is written.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace([',', '，'], "");
        kept.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn the_contents_name_every_section_and_every_linked_file_is_there() {
    for name in ["README.md", "README.zh-CN.md", "packaging/README.md"] {
        let file = root().join(name);
        let page = fs::read_to_string(&file).unwrap();
        let links: Vec<_> = page
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
            .collect();
        let to_sections: Vec<_> = links.iter().filter_map(|link| link.strip_prefix('#')).collect();
        if name.starts_with("README") {
            assert_eq!(to_sections, anchors(&page), "{name}");
            let action = format!("- uses: yunqiao/yunqiao@v{}\n", env!("CARGO_PKG_VERSION"));
            assert!(page.contains(&action), "{name}");
        }
        for link in links {
            if !link.starts_with('#') && !link.contains("://") {
                let target = file.parent().unwrap().join(link.split('#').next().unwrap());
                assert!(target.exists(), "{name} links to {link}");
            }
        }
    }
}
