//! Environment variables that a function reads and nothing sets. On the platform they are set in the console and stand in no file, so
//! that a project which was cloned lacks them, and what it says then is `Cannot read properties of undefined`. A hint: the
//! function may be right without.
//!
//! Seen are `process.env.NAME` and `process.env['NAME']`, but where a value follows that is taken instead (`|| 'x'`, `?? 'x'`), and
//! where the function itself sets the variable.

use std::{collections::BTreeMap, path::Path};

use function::Function;
use wording::wording;

use crate::{
    Diagnosis,
    source::Mention,
    tokens::{Token, TokenKind},
};

/// What a function's files read of its environment: where each name is first read.
#[derive(Clone, Debug, Default)]
pub(crate) struct VariableUse {
    read: BTreeMap<String, Mention>,
    set: Vec<String>,
}

/// How the names begin of what a function finds in its environment without anybody's doing, and of what is Node's and the system's.
const GIVEN: [&str; 20] = [
    "TCB_",
    "TENCENTCLOUD_",
    "SCF_",
    "_SCF",
    "WX_",
    "QCLOUD_",
    "KUBERNETES_",
    "NODE_",
    "npm_",
    "DEBUG",
    "TRIGGER_SRC",
    "LOGINTYPE",
    "PATH",
    "HOME",
    "PWD",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "CI",
];

impl VariableUse {
    /// Adds what a file reads.
    pub(crate) fn scan(&mut self, file: &Path, tokens: &[Token<'_>]) {
        use TokenKind::{Sign, Text, Word};
        for (at, token) in tokens.iter().enumerate() {
            let kind = |ahead: usize| tokens.get(at + ahead).map(|token| token.kind);
            if token.kind != Word("process") || (kind(1), kind(2)) != (Some(Sign('.')), Some(Word("env"))) {
                continue;
            }
            let (name, next) = match (kind(3), kind(4), kind(5)) {
                (Some(Sign('.')), Some(Word(name)), _) => (name, 5),
                (Some(Sign('[')), Some(Text(name)), Some(Sign(']'))) => (name, 6),
                _ => continue,
            };
            match (kind(next), kind(next + 1)) {
                (Some(Sign('=')), following) if following != Some(Sign('=')) => {
                    self.set.push(name.to_owned())
                }
                (Some(Sign('|')), Some(Sign('|'))) | (Some(Sign('?')), Some(Sign('?'))) => {}
                _ => {
                    self.read.entry(name.to_owned()).or_insert_with(|| Mention {
                        name: name.to_owned(),
                        file: file.to_owned(),
                        line: token.line,
                    });
                }
            }
        }
    }
}

/// Says what a function reads that is not set.
pub(crate) fn examine(function: &Function, used: &VariableUse) -> Vec<Diagnosis> {
    let missing = used.read.values().filter(|at| {
        !function.env.contains_key(&at.name)
            && !used.set.contains(&at.name)
            && !GIVEN.iter().any(|given| at.name.starts_with(given))
    });
    missing
        .map(|at| {
            let (name, function) = (&at.name, &function.name);
            let what = wording!(
                "it reads the environment variable {name:?}, which nothing sets",
                "代码读取了环境变量 {name:?}，但没有设置"
            );
            let mend = wording!(
                "set it as it stands in the platform's console: [functions.{function}.env] {name} = \"…\" in yunqiao.toml",
                "请按云开发控制台里的值设置：在 yunqiao.toml 里写 [functions.{function}.env] {name} = \"…\""
            );
            Diagnosis {
                function: Some(function.clone()),
                ..Diagnosis::new(&at.file, Some(at.line), what, mend)
            }
        })
        .collect()
}
