//! `yunqiao user`: the file of those who log in by name and password (`[auth] passwords`).

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use cloudbase::{LONGEST_PASSWORD, PasswordFile, SHORTEST_PASSWORD};
use project::{ExposeSecret as _, Project, Secret};
use serde_json::json;
use toml::de::{DeTable, DeValue};
use toml_edit::DocumentMut;

use crate::{
    args,
    lang::{say, t},
    operator, print,
};

/// The file, where the project does not name one.
const FILE: &str = "users.toml";

pub(crate) fn run(user: &args::User, json: bool) -> anyhow::Result<ExitCode> {
    let (project, _) = operator::project(&user.place)?;
    match &user.command {
        args::UserCommand::Add { name, replace } => add(&project, name, *replace, json),
        args::UserCommand::Ls => list(&project, json),
        args::UserCommand::Rm { name } => remove(&project, name, json),
    }
}

fn file(project: &Project) -> PathBuf {
    let named = project.settings.auth.passwords.clone();
    named.unwrap_or_else(|| project.root.join(FILE))
}

fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text.with_context(|| path.display().to_string()),
    }
}

fn add(project: &Project, name: &str, replace: bool, json: bool) -> anyhow::Result<ExitCode> {
    let plain = !name.is_empty() && name.chars().count() <= 64 && !name.chars().any(char::is_control);
    ensure!(
        plain,
        say!(
            "a name has 1 to 64 characters, none of them a control character",
            "用户名是 1 到 64 个字符，不含控制字符"
        )
    );
    let path = file(project);
    let text = read(&path)?;
    let users = PasswordFile::parse(&text).with_context(|| path.display().to_string())?;
    if users.get(name).is_some() && !replace {
        let path = path.display();
        bail!(say!(
            "{path} has a user {name:?} already; --replace gives them another password",
            "{path} 里已有用户 {name:?}；--replace 可以改密码"
        ));
    }
    let password = password()?;
    let password = password.expose_secret();
    ensure!(
        password.chars().count() >= SHORTEST_PASSWORD && password.len() <= LONGEST_PASSWORD,
        say!(
            "a password has at least {SHORTEST_PASSWORD} characters, and at most {LONGEST_PASSWORD} bytes",
            "密码至少 {SHORTEST_PASSWORD} 个字符，最多 {LONGEST_PASSWORD} 字节"
        )
    );
    let hash = cloudbase::hash(password).with_context(no_randomness)?;
    let (text, uid) = match users.get(name) {
        Some(user) => (replaced(&text, name, &hash)?, user.uid.clone()),
        None => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).with_context(no_randomness)?;
            let uid = format!("{:032x}", u128::from_ne_bytes(bytes));
            let blank = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            // A basic string of TOML has the escapes of JSON.
            let quoted = json!(name);
            (
                format!("{text}{blank}[{quoted}]\nuid = \"{uid}\"\npassword = \"{hash}\"\n"),
                uid,
            )
        }
    };
    PasswordFile::parse(&text).with_context(|| path.display().to_string())?;
    write(&path, &text)?;
    if json {
        print::json(&json!({"name": name, "uid": uid, "file": path}));
    } else {
        let path = path.display();
        print::done(say!(
            "{name} is {uid} in {path}",
            "{name} 的 uid 是 {uid}，已写入 {path}"
        ));
        if project.settings.auth.passwords.is_none() {
            print::warning(
                t("nobody logs in by a password yet", "现在还不能用密码登录"),
                t(
                    "name the file in yunqiao.toml: [auth] passwords = \"users.toml\"",
                    "请在 yunqiao.toml 里写明文件：[auth] passwords = \"users.toml\"",
                ),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes a user out of the file, and leaves the rest as it is.
fn remove(project: &Project, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let path = file(project);
    let text = read(&path)?;
    let users = PasswordFile::parse(&text).with_context(|| path.display().to_string())?;
    let shown = path.display();
    let Some(user) = users.get(name) else {
        bail!(say!(
            "{shown} has no user {name:?}: `yunqiao user ls` lists those there are",
            "{shown} 里没有用户 {name:?}：`yunqiao user ls` 列出现有用户"
        ));
    };
    let uid = &user.uid;
    let mut rest: DocumentMut = text.parse().with_context(|| path.display().to_string())?;
    rest.remove(name);
    let rest = rest.to_string();
    PasswordFile::parse(&rest).with_context(|| path.display().to_string())?;
    write(&path, &rest)?;
    if json {
        print::json(&json!({"name": name, "uid": uid, "file": path}));
    } else {
        print::done(say!(
            "{name} ({uid}) is gone from {shown}",
            "{name}（{uid}）已从 {shown} 移除"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn no_randomness() -> String {
    say!("there is no randomness", "取不到随机数")
}

/// The text with another hash, and nothing else changed.
fn replaced(text: &str, name: &str, hash: &str) -> anyhow::Result<String> {
    let table = DeTable::parse(text)?;
    let user = table.get_ref().get(name).map(|user| user.get_ref());
    let Some(DeValue::Table(user)) = user else {
        bail!(say!("there is no [{name:?}]", "没有 [{name:?}]"));
    };
    let password = user
        .get("password")
        .with_context(|| say!("the user has no password", "这个用户没有密码"))?
        .span();
    let mut text = text.to_owned();
    text.replace_range(password, &format!("\"{hash}\""));
    Ok(text)
}

/// From the terminal, twice and unseen, or one line of standard input.
fn password() -> anyhow::Result<Secret> {
    let mut line = String::new();
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        stdin.lock().read_line(&mut line)?;
        return Ok(Secret::from(line.trim_end_matches(['\r', '\n'])));
    }
    let first = unseen(t("password: ", "密码："))?;
    let second = unseen(t("once more: ", "再输一次："))?;
    ensure!(
        first.expose_secret() == second.expose_secret(),
        say!("the two passwords differ", "两次输入的密码不一样")
    );
    Ok(first)
}

fn unseen(prompt: &str) -> anyhow::Result<Secret> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    io::stderr().write_all(prompt.as_bytes())?;
    tcsetattr(&stdin, OptionalActions::Now, &quiet)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    io::stderr().write_all(b"\n")?;
    read?;
    Ok(Secret::from(line.trim_end_matches(['\r', '\n'])))
}

/// Puts the file in its place at once, for its owner alone.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("toml.new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| beside.display().to_string())?;
    fs::rename(&beside, path).with_context(|| path.display().to_string())
}

fn list(project: &Project, json: bool) -> anyhow::Result<ExitCode> {
    let path = file(project);
    let users = PasswordFile::parse(&read(&path)?).with_context(|| path.display().to_string())?;
    let named = users
        .names()
        .filter_map(|name| Some((name, &users.get(name)?.uid)));
    if json {
        let users: Vec<_> = named
            .map(|(name, uid)| json!({"name": name, "uid": uid}))
            .collect();
        print::json(&json!({"users": users}));
    } else {
        for (name, uid) in named {
            print::result(format_args!("{uid}  {name}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
