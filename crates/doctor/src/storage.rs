//! What a function says of files, as far as its text shows: paths that storage does not take, and ids and addresses of files that lie
//! elsewhere. All of these are hints: on the platform the project may be right as it is.
//!
//! Seen are `cloudPath: '/a.png'`, alone or as the beginning of what is put together with `+`, and any text that begins as a file id or as
//! an address of the platform's storage. What stands in a template with `${` is passed over.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use files::{CloudPath, CloudPathError};
use project::Project;
use wording::{Wording, wording};

use crate::{
    Diagnosis,
    source::Mention,
    tokens::{Token, TokenKind},
};

/// What the files of a function say of storage.
#[derive(Debug, Default)]
pub(crate) struct StorageUse {
    /// Paths that are not legal: the text, and why.
    paths: Vec<(Mention, CloudPathError)>,
    /// The environments of file ids.
    environments: Vec<Mention>,
    /// Addresses of the platform's own storage.
    addresses: Vec<Mention>,
}

/// The host of an address of the platform's storage, behind the bucket.
const PLATFORM_HOST: &str = ".tcb.qcloud.la";

impl StorageUse {
    /// Adds what a file says.
    pub(crate) fn scan(&mut self, file: &Path, tokens: &[Token<'_>]) {
        for (at, token) in tokens.iter().enumerate() {
            let TokenKind::Text(text) = token.kind else {
                continue;
            };
            let mention = |name: &str| Mention {
                name: name.to_owned(),
                file: file.to_owned(),
                line: token.line,
            };
            let before = |back: usize| at.checked_sub(back).map(|at| tokens[at].kind);
            if before(1) == Some(TokenKind::Sign(':'))
                && matches!(
                    before(2),
                    Some(TokenKind::Word("cloudPath") | TokenKind::Text("cloudPath"))
                )
            {
                let whole = matches!(
                    tokens.get(at + 1).map(|token| token.kind),
                    Some(TokenKind::Sign(',' | '}'))
                );
                if let Some(error) = refused(text, whole) {
                    self.paths.push((mention(text), error));
                }
            }
            if let Some(environment) = environment_of(text) {
                self.environments.push(mention(environment));
            }
            if is_platforms(text) {
                self.addresses.push(mention(text));
            }
        }
    }
}

/// Why a path is not legal; of one that goes on, only how it begins is known.
fn refused(text: &str, whole: bool) -> Option<CloudPathError> {
    // An escape may stand for anything.
    if text.contains('\\') {
        return None;
    }
    if whole {
        let error = text.parse::<CloudPath>().err()?;
        // One that is filled in later.
        return (error != CloudPathError::Empty).then_some(error);
    }
    let error = format!("{text}x").parse::<CloudPath>().err()?;
    matches!(error, CloudPathError::LeadingSlash | CloudPathError::EmptyName).then_some(error)
}

/// The environment of a text that begins as a file id does. Placeholders are none: `cloud://env-id`, `cloud://你的环境`.
fn environment_of(text: &str) -> Option<&str> {
    let (host, _) = text.strip_prefix("cloud://")?.split_once('/')?;
    let (environment, bucket) = host.split_once('.')?;
    let legal = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (legal(environment) && legal(bucket)).then_some(environment)
}

fn is_platforms(text: &str) -> bool {
    text.strip_prefix("https://")
        .or(text.strip_prefix("http://"))
        .and_then(|rest| rest.split('/').next())
        .is_some_and(|host| host.ends_with(PLATFORM_HOST))
}

/// Says what the functions' use of storage gives cause to say; `uses` are theirs, in order.
pub(crate) fn examine(project: &Project, uses: &[(&function::FunctionName, StorageUse)]) -> Vec<Diagnosis> {
    let settings = &project.settings.storage;
    let aliases = settings.aliases.as_deref().unwrap_or_default();
    let mut hints = Vec::new();
    // What several functions share is said once.
    let mut told: BTreeSet<(PathBuf, usize)> = BTreeSet::new();
    let mut environments = BTreeSet::new();
    for (function, used) in uses {
        let mut hint = |at: &Mention, what: Wording, mend: Wording| {
            if told.insert((at.file.clone(), at.line)) {
                hints.push(Diagnosis {
                    function: Some((*function).clone()),
                    ..Diagnosis::new(&at.file, Some(at.line), what, mend)
                });
            }
        };
        for (at, error) in &used.paths {
            let (path, why) = (&at.name, error.wording());
            let what = wording!(
                "storage does not take the path {path:?}: {why}",
                "云存储不接受路径 {path:?}：{why}"; why
            );
            let mend = wording!(
                "write a path that storage takes, such as \"album/a.png\": this upload fails",
                "这次上传会失败：请写合法的路径，例如 \"album/a.png\""
            );
            hint(at, what, mend);
        }
        for at in &used.environments {
            let here = at.name == project.env_id || aliases.contains(&at.name);
            if here || !environments.insert(at.name.clone()) {
                continue;
            }
            let environment = &at.name;
            let what = wording!(
                "a file id of the environment {environment:?}, whose files `yunqiao serve` does not take for its own",
                "这个文件 ID 属于环境 {environment:?}，`yunqiao serve` 不会当作自己的文件"
            );
            let mend = match settings.aliases.is_some() {
                true => wording!(
                    "add {environment:?} to the aliases of [storage] in yunqiao.toml",
                    "请在 yunqiao.toml 的 [storage] 的 aliases 里加上 {environment:?}"
                ),
                false => wording!(
                    "below [storage] in yunqiao.toml write aliases = [{environment:?}]",
                    "请在 yunqiao.toml 的 [storage] 下写 aliases = [{environment:?}]"
                ),
            };
            hint(at, what, mend);
        }
        for at in &used.addresses {
            let what = wording!(
                "an address of the platform's own storage: it leads there, wherever the function runs",
                "这是平台云存储的网址：云函数在哪里运行都会指向那里"
            );
            let mend = wording!(
                "keep the file id, and ask getTempFileURL for the address",
                "请保存文件 ID，需要网址时用 getTempFileURL 换取"
            );
            hint(at, what, mend);
        }
    }
    hints
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tokens::tokens;

    fn used(text: &str) -> StorageUse {
        let mut used = StorageUse::default();
        used.scan(Path::new("index.js"), &tokens(text));
        used
    }

    #[test]
    fn only_paths_that_are_refused_for_certain_are_told() {
        for (text, error) in [
            ("{ cloudPath: '/a.png' }", Some(CloudPathError::LeadingSlash)),
            ("{ cloudPath: '/' + name }", Some(CloudPathError::LeadingSlash)),
            ("{ 'cloudPath': `/a` }", Some(CloudPathError::LeadingSlash)),
            ("{ cloudPath: 'a//' + name }", Some(CloudPathError::EmptyName)),
            ("{ cloudPath: 'a/', x }", Some(CloudPathError::TrailingSlash)),
            ("{ cloudPath: 'a/../b' }", Some(CloudPathError::Dots)),
            ("{ cloudPath: 'a/' + name }", None),
            ("{ cloudPath: '.' + name }", None),
            ("{ cloudPath: '' }", None),
            ("{ cloudPath: name }", None),
            ("{ cloudPath: `${folder}/a` }", None),
            ("{ cloudPath: '\\x61' }", None),
            ("{ path: '/a' }", None),
            ("// cloudPath: '/a'", None),
        ] {
            let paths: Vec<_> = used(text).paths.into_iter().map(|(_, error)| error).collect();
            assert_eq!(paths, Vec::from_iter(error), "{text}");
        }
    }

    #[test]
    fn ids_and_addresses_of_files_are_seen() {
        for (text, environment) in [
            (
                "'cloud://demo-5c0mj.6465-demo-5c0mj-125/a.png'",
                Some("demo-5c0mj"),
            ),
            ("'cloud://demo.6465-demo/' + name", Some("demo")),
            ("'cloud://你的环境.xxx/a.png'", None),
            ("'cloud://'", None),
            ("'cloud://demo'", None),
        ] {
            let names: Vec<_> = used(text).environments.into_iter().map(|at| at.name).collect();
            assert_eq!(names, Vec::from_iter(environment), "{text}");
        }
        for (text, seen) in [
            ("'https://6465-demo-5c0mj-125.tcb.qcloud.la/a.png'", true),
            ("'https://example.com/6465-demo.tcb.qcloud.la/a.png'", false),
        ] {
            assert_eq!(!used(text).addresses.is_empty(), seen, "{text}");
        }
    }
}
