//! `yunqiao init`: a little project of the user's own, with a page, two functions, a test and the settings to choose from. Its files lie
//! in `crates/cli/template`.

use std::{ffi::OsStr, fs, io::ErrorKind, path::Path, process::ExitCode};

use anstream::println;
use anyhow::{Context, bail};
use serde_json::json;
use wording::shell_word;

use crate::{args, lang::say, print, schema};

macro_rules! template {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../template/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = template![
    "README.md",
    "package.json",
    "project.config.json",
    "yunqiao.toml",
    "cloudfunctions/login/index.js",
    "cloudfunctions/login/package.json",
    "cloudfunctions/werun/index.js",
    "cloudfunctions/werun/package.json",
    "miniprogram/app.js",
    "miniprogram/app.json",
    "miniprogram/sitemap.json",
    "miniprogram/pages/index/index.js",
    "miniprogram/pages/index/index.json",
    "miniprogram/pages/index/index.wxml",
    "test/cloud.test.mjs",
];
/// Without its dot in the repository, whose own it would be otherwise.
const GITIGNORE: &str = include_str!("../template/gitignore");

/// What WeChat DevTools writes where somebody has no appid yet.
const NO_APPID: &str = "touristappid";

pub(crate) fn run(args: &args::Init, as_json: bool) -> anyhow::Result<ExitCode> {
    let dir = &args.dir;
    let shown = dir.display();
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => bail!(say!(
            "{shown} is not empty; name a folder that is empty or not there yet",
            "{shown} 不是空目录；请指定一个空目录，或尚不存在的目录"
        )),
        Ok(false) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // What lies in a folder that cannot be listed would be overwritten.
        Err(error) => {
            return Err(error).with_context(|| {
                say!(
                    "{shown} cannot be looked into; name a folder that is empty or not there yet",
                    "无法查看 {shown}；请指定一个空目录，或尚不存在的目录"
                )
            });
        }
    }
    let whole =
        std::path::absolute(dir).with_context(|| say!("{shown} is not a path", "{shown} 不是路径"))?;
    let name = whole
        .file_name()
        .map_or_else(|| "hello".into(), |name| name.to_string_lossy());
    let appid = args.appid.as_deref().unwrap_or(NO_APPID);
    let schema = schema::text();
    let all = FILES
        .iter()
        .copied()
        .chain([(".gitignore", GITIGNORE), (schema::FILE, &schema)]);
    let mut made = Vec::new();
    for (file, template) in all {
        let path = dir.join(file);
        let content = match Path::new(file).extension().and_then(OsStr::to_str) {
            _ if file == schema::FILE => template.to_owned(),
            // A name may hold what means something in JSON.
            Some("json") => template
                .replace("{{package}}", &package_name(&name))
                .replace("{{appid}}", &json_inside(appid))
                .replace("{{name}}", &json_inside(&name)),
            Some("md") => template.replace("{{name}}", &name),
            // Pages have such braces of their own.
            _ => template.to_owned(),
        };
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| {
                let path = path.display();
                say!("{path} could not be written", "无法写入 {path}")
            })?;
        made.push(file);
    }
    if as_json {
        print::json(&json!({"dir": dir, "appid": appid, "files": made}));
    } else {
        // As it is to be typed: by whom `npx` has brought here, by `npx` again.
        let by_npx = std::env::var_os("npm_command").is_some_and(|command| command == "exec");
        let yunqiao = if by_npx { "npx yunqiao" } else { "yunqiao" };
        let typed = shell_word(&shown.to_string());
        println!(
            "{}",
            say!(
                "made {shown}; next:\n\n  {yunqiao} dev {typed}",
                "已建好 {shown}，接下来：\n\n  {yunqiao} dev {typed}"
            )
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The text as it stands between quotes in JSON.
fn json_inside(text: &str) -> String {
    let quoted = json!(text).to_string();
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}

/// A name that npm takes: its own rule is stricter than that of folders.
fn package_name(name: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '-') => c,
        _ => '-',
    };
    let name: String = name.chars().map(plain).collect();
    match name.trim_matches('-') {
        "" => "mini-program".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_gives_a_name_of_a_package() {
        for (folder, package) in [
            ("hello", "hello"),
            ("My Shop", "my-shop"),
            ("我的小程序", "mini-program"),
            ("a\"b", "a-b"),
        ] {
            assert_eq!(package_name(folder), package);
        }
    }

    /// What the reference has people put secrets into stays out of their repository.
    #[test]
    fn files_of_secrets_are_ignored() {
        let ignored = |file: &str| {
            let mut patterns = GITIGNORE.lines().filter(|line| !line.starts_with('#'));
            patterns.any(|pattern| match pattern.strip_prefix('*') {
                Some(end) => file.ends_with(end),
                None => file == pattern,
            })
        };
        let mut files = 0;
        for section in project::reference::reference() {
            let of_keys = section.keys.iter().flat_map(|key| [key.example, key.beside]);
            for text in of_keys.chain([section.sample]) {
                for (at, _) in text.match_indices(" = \"") {
                    let key = text[..at].rsplit(['\n', ' ', '{']).next().unwrap_or_default();
                    let file = text[at + 4..].split('"').next().unwrap_or_default();
                    let is_secret = key.ends_with("_file") && key != "ca_file" || key == "passwords";
                    if is_secret {
                        assert!(ignored(file), "{key} = {file:?}");
                        files += 1;
                    }
                }
            }
        }
        assert!(files > 10, "{files}");
        for kept in ["database.redb", "database.redb-journal", "yunqiao.redb"] {
            assert!(ignored(kept), "{kept}");
        }
    }

    #[test]
    fn a_name_with_quotes_stays_within_its_own() {
        assert_eq!(json_inside(r#"a "b" \"#), r#"a \"b\" \\"#);
        assert_eq!(json_inside("\""), "\\\"");
    }
}
