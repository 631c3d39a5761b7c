//! The command line as a page of the docs, made of the help itself; and the commands that stand in the docs, held against it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use wording::{Wording, wording};

use super::{found, text, translated};
use crate::args::Args;

type Of = fn(&Wording) -> &str;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The command line with its help in English, or in Chinese.
fn command(is_chinese: bool) -> Command {
    if is_chinese {
        return translated(Args::command(), &mut |text| found(text).unwrap().to_owned());
    }
    let mut command = Args::command();
    command.build();
    command
}

fn page(command: &mut Command, of: Of) -> String {
    let mut page = String::from(
        "<!-- Made from the help of crates/cli. YUNQIAO_BLESS=1 cargo test -p yunqiao-cli --bin yunqiao writes it anew. -->\n\n",
    );
    let intro = wording!(
        "# The command line\n\n`yunqiao COMMAND --help` says the same. Examples that name `hello` run where `yunqiao init hello` was run before, the others in the folder of a project.",
        "# 命令行\n\n`yunqiao COMMAND --help` 显示同样的内容。写有 `hello` 的示例，先在当前目录执行过 `yunqiao init hello` 就能运行；其他示例在项目目录里运行。"
    );
    let everywhere = wording!("## With every command", "## 所有命令都有的选项");
    let _ = writeln!(page, "{}\n", of(&intro));
    for subcommand in command
        .get_subcommands()
        .filter(|found| found.get_name() != "help")
    {
        let name = subcommand.get_name();
        let about = text(subcommand.get_about()).unwrap_or_default();
        let _ = writeln!(page, "* [`yunqiao {name}`](#yunqiao-{name}): {about}");
    }
    let _ = writeln!(page, "\n{}\n", of(&everywhere));
    table(&mut page, command.get_arguments(), of);
    for name in subcommands(command) {
        section(&mut page, command.find_subcommand_mut(&name).unwrap(), "##", of);
    }
    page
}

fn subcommands(command: &Command) -> Vec<String> {
    command
        .get_subcommands()
        .map(|found| found.get_name().to_owned())
        .filter(|name| name != "help")
        .collect()
}

fn section(page: &mut String, command: &mut Command, level: &str, of: Of) {
    let name = command.get_bin_name().unwrap().to_owned();
    let about = text(command.get_about()).unwrap_or_default();
    let usage = command.render_usage().to_string();
    let usage = usage.split_once(':').map_or(&*usage, |(_, usage)| usage);
    let usage: Vec<_> = usage.lines().map(str::trim).collect();
    let usage = usage.join("\n");
    let _ = writeln!(
        page,
        "\n{level} {name}\n\n{about}\n\n```text\n{}\n```\n",
        usage.trim()
    );
    let own: Vec<_> = command
        .get_arguments()
        .filter(|arg| !["help", "version", "json", "lang", "verbose"].contains(&arg.get_id().as_str()))
        .filter(|arg| !arg.is_hide_set())
        .collect();
    if !own.is_empty() {
        table(page, own.into_iter(), of);
    }
    if let Some(below) = text(command.get_after_help()) {
        page.push('\n');
        write_below(page, &below);
    }
    for name in subcommands(command) {
        section(
            page,
            command.find_subcommand_mut(&name).unwrap(),
            &format!("{level}#"),
            of,
        );
    }
}

/// Arguments and options, a row for each.
fn table<'a>(page: &mut String, args: impl Iterator<Item = &'a Arg>, of: Of) {
    let head = wording!(
        "| | what it is | default |\n|---|---|---|",
        "| | 说明 | 默认 |\n|---|---|---|"
    );
    let _ = writeln!(page, "{}", of(&head));
    for arg in args {
        let short = arg
            .get_short()
            .map(|short| format!("-{short}, "))
            .unwrap_or_default();
        let shown = arg.to_string().replace('|', "\\|");
        let help = text(arg.get_help()).unwrap_or_default().replace('|', "\\|");
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let defaults: Vec<_> = arg
            .get_default_values()
            .iter()
            .filter(|_| takes_value && !arg.is_hide_default_value_set())
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let defaults = defaults.join(" ");
        let help = help.replace('<', "&lt;");
        let _ = writeln!(page, "| `{short}{shown}` | {help} | {defaults} |");
    }
}

/// What stands below the options: commands are indented there.
fn write_below(page: &mut String, below: &str) {
    let mut within = false;
    for line in below.lines() {
        let is_code = line.starts_with("  ");
        if is_code != within {
            page.push_str(if is_code { "\n```text\n" } else { "```\n\n" });
            within = is_code;
        } else if !is_code && line.is_empty() {
            page.push('\n');
        }
        if is_code {
            page.push_str(line.strip_prefix("  ").unwrap());
            page.push('\n');
        } else if !line.is_empty() {
            page.push_str(&line.replace('<', "&lt;"));
            page.push('\n');
        }
    }
    if within {
        page.push_str("```\n");
    }
}

fn golden(name: &str, content: &str) {
    let path = root().join("docs").join(name);
    // Empty lines in a row are one in Markdown.
    let mut content = content.to_owned();
    while content.contains("\n\n\n") {
        content = content.replace("\n\n\n", "\n\n");
    }
    if env::var_os("YUNQIAO_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &content).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == content,
        "docs/{name} is not what the help says: YUNQIAO_BLESS=1 writes it anew"
    );
}

#[test]
fn the_pages_say_what_the_help_says() {
    golden("cli.md", &page(&mut command(false), |said| &said.en));
    golden("zh/cli.md", &page(&mut command(true), |said| &said.zh));
}

/// All Markdown that people read.
fn pages() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        let entries: Vec<_> = fs::read_dir(folder).unwrap().flatten().collect();
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "node_modules" && name != "target" {
                collect(&path, found);
            } else if name.ends_with(".md") && name != "CHANGELOG.md" {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["docs", "examples", "packaging", "js", "crates/cli/template"] {
        collect(&root().join(folder), &mut found);
    }
    found.extend(["README.md", "README.zh-CN.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    found
}

/// The commands on a page that begin with `yunqiao`: in blocks, where a line may have several, and in the text between backticks.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, part) in page.split("```").enumerate() {
        let is_block = at % 2 == 1;
        let pieces: Vec<String> = match is_block {
            true => part.replace("\\\n", " ").lines().map(str::to_owned).collect(),
            false => part.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        };
        for piece in pieces {
            for one in piece
                .split(" && ")
                .flat_map(|one| one.split(['|', ';', '#', '(', ')']))
            {
                let one = one.trim().trim_start_matches("npx ").trim_start_matches("exec ");
                if let Some(rest) = one.strip_prefix("yunqiao ") {
                    let rest = rest.split(['>', '<']).next().unwrap();
                    found.push(rest.trim().to_owned());
                }
            }
        }
    }
    found
}

/// What is wrong with a command, if anything is.
fn fault(line: &str) -> Option<String> {
    let command = command(false);
    let mut at = &command;
    let mut words = line.split_whitespace().peekable();
    let mut first = true;
    let mut longs: Vec<&Arg> = command.get_arguments().collect();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if let Some(option) = word.strip_prefix("--") {
            let name = option
                .split('=')
                .next()
                .unwrap_or_default()
                .trim_end_matches([']', ',', '.']);
            let known = longs.iter().find(|arg| arg.get_long() == Some(name));
            let Some(known) = known else {
                return (!name.is_empty()).then(|| format!("there is no --{name}"));
            };
            let wants = matches!(known.get_action(), ArgAction::Set | ArgAction::Append);
            if wants && !option.contains('=') && words.peek().is_some_and(|next| !next.starts_with('-')) {
                let _ = words.next();
            }
            continue;
        }
        if word.starts_with('-') && word.len() == 2 {
            if word == "-c" {
                let _ = words.next();
            }
            continue;
        }
        if !at.has_subcommands() {
            continue;
        }
        // Several at once: `files ls|put|get|rm`, and names that stand for any: `COMMAND`.
        let is_word = word.chars().all(|c| c.is_ascii_lowercase());
        match at.find_subcommand(word) {
            Some(found) => {
                at = found;
                longs.extend(found.get_arguments());
                first = false;
            }
            None if first && !is_word => return None,
            None if is_word => return Some(format!("there is no command {word}")),
            None => return None,
        }
    }
    None
}

#[test]
fn every_command_in_the_docs_is_one_with_options_that_it_has() {
    let (mut met, mut faults) = (0, Vec::new());
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        for line in commands(&page) {
            met += 1;
            if let Some(fault) = fault(&line) {
                let place = path.strip_prefix(root()).unwrap().display().to_string();
                faults.push(format!("{place}: yunqiao {line}: {fault}"));
            }
        }
    }
    assert!(met > 150, "{met}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(fault("dev --nosuch").is_some() && fault("files mv a b").is_some() && fault("nosuch").is_some());
    assert!(fault("db --dir x index todos status -createTime").is_none());
}
