//! `yunqiao completions`, and what is answered when somebody presses Tab: the shell runs this program, which knows the project's
//! functions, the simulated users, and WeChat's names.

use std::{collections::BTreeSet, env, ffi::OsStr, io::Write, path::Path, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};
use clap_complete::{
    CompleteEnv,
    engine::CompletionCandidate,
    env::{Bash, EnvCompleter, Fish, Shells, Zsh},
};
use database::exchange::FileFormat;
use project::{Project, ProjectFunction};
use serde_json::{Value, json};

use crate::{client, cloud_id::Kind, lang::say, paths, print, run_file};

/// Names the shell that asks. (The usual `COMPLETE` may be set for something else.)
const ASKED_BY: &str = "YUNQIAO_COMPLETE";

const SHELLS: &[&dyn EnvCompleter] = &[&Bash, &Zsh, &Fish];

/// How long a running `dev` may take to name its users: somebody waits with a finger on Tab.
const PATIENCE: Duration = Duration::from_millis(300);

/// A shell that can complete.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Answers the shell and ends the process, if it was started for that.
pub(crate) fn answer<Args: CommandFactory>() {
    CompleteEnv::with_factory(Args::command)
        .var(ASKED_BY)
        .shells(Shells(SHELLS))
        .complete();
}

/// Prints the script that has the shell ask. It is made for this version: the shell runs the command at each start.
pub(crate) fn run(shell: Shell, as_json: bool) -> anyhow::Result<ExitCode> {
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    // As it was called: by its name it is found on the PATH, also after an update.
    let called = env::args_os().next().unwrap_or_else(|| "yunqiao".into());
    let completer = match Path::new(&called) {
        path if path.components().count() > 1 => std::path::absolute(path)?,
        name => name.to_owned(),
    };
    let completer = completer.to_str().with_context(|| {
        let completer = completer.display();
        say!(
            "{completer} is no UTF-8 text, which a script has to be",
            "{completer} 不是 UTF-8 文本，无法写进脚本"
        )
    })?;
    let mut script = Vec::new();
    shell.write_registration(ASKED_BY, "yunqiao", "yunqiao", completer, &mut script)?;
    if as_json {
        let script = String::from_utf8_lossy(&script);
        print::json(&json!({"shell": shell.name(), "script": script}));
    } else {
        std::io::stdout().write_all(&script)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The functions of the project.
pub(crate) fn functions() -> Vec<CompletionCandidate> {
    let name = |listed: &ProjectFunction| CompletionCandidate::new(listed.function.name.as_str());
    project().map_or_else(Vec::new, |project| project.functions.values().map(name).collect())
}

/// The timers of the project's functions; of one alone if it stands on the command line.
pub(crate) fn triggers() -> Vec<CompletionCandidate> {
    let words = words();
    let Some(project) = project() else {
        return Vec::new();
    };
    let functions = project.functions.values();
    let named = |listed: &&ProjectFunction| words.iter().any(|word| word == listed.function.name.as_str());
    let of: Vec<&ProjectFunction> = match functions.clone().filter(named).collect::<Vec<_>>() {
        none if none.is_empty() => functions.collect(),
        named => named,
    };
    let triggers = of.into_iter().flat_map(|listed| &listed.triggers);
    triggers
        .map(|trigger| CompletionCandidate::new(&trigger.name))
        .collect()
}

/// The users of the running `dev`, else those that every simulated WeChat begins with, and those that the project declares.
pub(crate) fn users() -> Vec<CompletionCandidate> {
    let project = project();
    let running = project
        .as_ref()
        .and_then(|project| run_file::running(&project.root));
    let names = running.and_then(|running| names_at(&format!("{}/sim/users", running.wechat), None, "users"));
    let first = || {
        let declared = project.iter().flat_map(|project| &project.settings.sim.users);
        let names = ["alice", "bob"]
            .into_iter()
            .chain(declared.map(|user| user.name.as_str()));
        names
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let names: Vec<_> = names.unwrap_or_else(first);
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The names in a list that a running `dev` gives.
fn names_at(url: &str, pass: Option<&str>, list: &str) -> Option<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let client = client::client().ok()?;
    let mut asked = client.get(url).timeout(PATIENCE);
    if let Some(pass) = pass {
        asked = asked.bearer_auth(pass);
    }
    let answer: Value = runtime
        .block_on(async { asked.send().await?.json().await })
        .ok()?;
    let listed = answer[list].as_array()?;
    let names = listed.iter().filter_map(|one| one["name"].as_str());
    Some(names.map(str::to_owned).collect())
}

/// The collections of the running `dev`, those that `yunqiao.toml` names, and those that have a seed.
pub(crate) fn collections() -> Vec<CompletionCandidate> {
    let Some(project) = project() else {
        return Vec::new();
    };
    let settings = &project.settings.database;
    let mut names: BTreeSet<String> = settings.collections.keys().cloned().collect();
    let seeds = settings.seed.as_ref().and_then(|folder| folder.read_dir().ok());
    for seed in seeds.into_iter().flatten().flatten() {
        let path = seed.path();
        let stem = path.file_stem().and_then(OsStr::to_str);
        names.extend(
            stem.filter(|_| FileFormat::of_name(&path).is_some())
                .map(str::to_owned),
        );
    }
    if let Some(running) = run_file::running(&project.root) {
        let url = format!("{}/operator/database", running.operator);
        names.extend(names_at(&url, Some(&running.pass), "collections").unwrap_or_default());
    }
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// What can be pushed, with its title.
pub(crate) fn pushes() -> Vec<CompletionCandidate> {
    let kinds = push::kinds::all().iter();
    kinds
        .map(|kind| CompletionCandidate::new(kind.name()).help(Some(kind.title.into())))
        .collect()
}

/// WeChat's server APIs, with their title.
pub(crate) fn apis() -> Vec<CompletionCandidate> {
    let apis = openapi::all().iter();
    apis.map(|api| CompletionCandidate::new(api.name).help(api.title.map(Into::into)))
        .collect()
}

/// `FIELD=KIND`: the kinds for the field that is written, or each kind in a field of its own name.
pub(crate) fn cloud_ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let kinds = Kind::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value);
    let whole = kinds.map(|kind| match current.split_once('=') {
        Some((field, _)) => format!("{field}={}", kind.get_name()),
        None => format!("{0}={0}", kind.get_name()),
    });
    whole
        .filter(|whole| whole.starts_with(current))
        .map(CompletionCandidate::new)
        .collect()
}

/// The project that the command line names with `--dir`, else the one here.
fn project() -> Option<Project> {
    let words = words();
    let after = words.iter().skip_while(|word| *word != "--dir").nth(1);
    let joined = words.iter().find_map(|word| word.strip_prefix("--dir="));
    // `dev DIR --inspect` is the one command that takes it without an option, and completes names.
    let plain = || match words.get(1).map(String::as_str) {
        Some("dev") => words.get(2).filter(|word| !word.starts_with('-')),
        _ => None,
    };
    let dir = joined
        .or(after.map(String::as_str))
        .or_else(|| plain().map(String::as_str));
    let config = words
        .iter()
        .skip_while(|word| !matches!(word.as_str(), "-c" | "--config"))
        .nth(1);
    if let Some(config) = config {
        return Project::from_config(Path::new(config)).ok();
    }
    paths::project(Path::new(dir.unwrap_or("."))).ok()
}

/// The command line that is being written: what stands after `--` when a shell asks.
fn words() -> Vec<String> {
    let words = env::args_os().skip_while(|word| word != "--").skip(1);
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}
