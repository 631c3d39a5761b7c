//! `[push]`: how WeChat's pushes are recognised, with the same settings as in the console (消息推送配置), and which function
//! gets which push. Mode and format have no default: they must be set as in the console, and are never guessed.

use std::path::Path;

use function::{FunctionName, IllegalName};
use push::{
    ConsoleSettings, EncodingAesKey, Format, Mode, PushToken, Receiver, RouteError, RoutePattern, Routes,
};
use secrecy::ExposeSecret;
use wording::{Wording, wording};

use super::read_secret_file;
use crate::{
    Finding, ProjectError, did_you_mean, reference,
    table::{Entry, Source, Table},
};

/// `[push]`.
#[derive(Clone, Debug, Default)]
pub struct PushSection {
    /// What stands in the console; `None` where only routes are given, or nothing.
    pub console: Option<PushConsole>,
    /// `[push.routes]`: the function of each kind of packet.
    pub routes: Routes<FunctionName>,
}

/// The console's push settings.
#[derive(Clone, Debug)]
pub struct PushConsole {
    /// Token: `token`, or the content of `token_file`.
    pub token: PushToken,
    /// EncodingAESKey: `aes_keys`, or the lines of `aes_keys_file`, the newest first. At least one unless the mode is plain.
    pub keys: Vec<EncodingAesKey>,
    /// 消息加解密方式: `mode`.
    pub mode: Mode,
    /// 数据格式: `format`.
    pub format: Format,
}

impl PushConsole {
    /// The settings of whoever receives pushes for this app, or sends them.
    #[must_use]
    pub fn settings(&self, appid: &str) -> ConsoleSettings {
        ConsoleSettings::new(
            appid,
            self.token.clone(),
            self.mode,
            self.format,
            self.keys.clone(),
        )
    }
}

impl PushSection {
    /// Reads the table; gives with it whether the file itself holds a secret there.
    pub(super) fn read(
        source: &Source<'_>,
        push: &Entry<'_>,
        dir: &Path,
        findings: &mut Vec<Finding>,
    ) -> Result<(Self, bool), ProjectError> {
        let table = push.table()?;
        table.allow(&reference::PUSH)?;
        let (token, token_inline) = read_token(&table, dir, findings)?;
        let (keys, keys_inline) = read_keys(&table, dir, findings)?;
        let console = match token {
            Some(token) => Some(read_console(push, &table, token, keys)?),
            None => {
                let alone = ["aes_keys", "aes_keys_file", "mode", "format"];
                if let Some(entry) = alone.iter().find_map(|key| table.get(key)) {
                    return Err(entry.refuse(
                        wording!("stands there without a token", "已写，但没有 token"),
                        wording!(
                            "give the console's Token as token or token_file; or leave all but the routes out, for the simulator's",
                            "请用 token 或 token_file 写控制台的 Token；或者只留路由，使用模拟微信的设置"
                        ),
                    ));
                }
                None
            }
        };
        let mut routes = Routes::default();
        if let Some(entry) = table.get("routes") {
            for (key, target) in entry.table()?.entries() {
                let refuse = |error: RouteError| {
                    let mend = wording!(
                        "write a message type such as `text`, an event such as `event/user_enter_tempsession`, or `*` for the rest",
                        "请写消息类型（例如 `text`）、事件（例如 `event/user_enter_tempsession`），或用 `*` 表示其余的"
                    );
                    source.refuse(&key.span, error.wording(), mend)
                };
                let pattern = RoutePattern::parse(key.text).map_err(refuse)?;
                let function = target.text()?.parse().map_err(|illegal: IllegalName| {
                    let what = wording!("names no function", "写的不是云函数");
                    target.refuse(what, illegal.wording())
                })?;
                routes.add(pattern, function).map_err(refuse)?;
            }
        }
        Ok((Self { console, routes }, token_inline || keys_inline))
    }

    /// What is odd about the routes, where these functions are there; in the order of the routes' names.
    pub(crate) fn findings<'f>(
        &self,
        file: &Path,
        functions: impl Iterator<Item = &'f FunctionName> + Clone,
    ) -> Vec<Finding> {
        let finding = |what, mend| Finding {
            function: None,
            file: file.to_owned(),
            what,
            mend,
        };
        let mut routes: Vec<_> = self.routes.iter().collect();
        routes.sort_by_key(|(pattern, _)| pattern.to_string());
        let mut findings = Vec::new();
        for (pattern, target) in routes {
            if let Some(near) = pattern.suggestion() {
                findings.push(finding(
                    wording!(
                        "[push.routes] has `{pattern}`, and no kind of that name is known",
                        "[push.routes] 里的 `{pattern}` 不是已知的消息类型"
                    ),
                    wording!(
                        "did you mean `{near}`? (one that WeChat added lately works all the same)",
                        "是不是想写 `{near}`？（如果是微信新增的类型，照样可用）"
                    ),
                ));
            }
            if !functions.clone().any(|name| name == target) {
                let names = functions.clone().map(FunctionName::as_str);
                let mend = match crate::table::nearest(target.as_str(), names) {
                    Some(near) => did_you_mean(near),
                    None => super::wrong_route(),
                };
                let what = wording!(
                    "[push.routes] sends `{pattern}` to {target:?}, and there is no such function",
                    "[push.routes] 把 `{pattern}` 推送给 {target:?}，但没有这个云函数"
                );
                findings.push(finding(what, mend));
            }
        }
        findings
    }
}

/// The Token, and whether it stands in the file itself.
fn read_token(
    table: &Table<'_>,
    dir: &Path,
    findings: &mut Vec<Finding>,
) -> Result<(Option<PushToken>, bool), ProjectError> {
    let parse = |entry: &Entry<'_>, text: &str| {
        PushToken::parse(text)
            .map_err(|error| entry.refuse(wording!("is no Token", "不是 Token"), error.wording()))
    };
    match (table.get("token"), table.get("token_file")) {
        (Some(_), Some(entry)) => Err(entry.stands_beside("push.token")),
        (Some(entry), None) => Ok((Some(parse(&entry, entry.text()?)?), true)),
        (None, Some(entry)) => {
            let text = read_secret_file(&entry, dir, findings)?;
            Ok((Some(parse(&entry, text.expose_secret())?), false))
        }
        (None, None) => Ok((None, false)),
    }
}

/// The keys, and whether they stand in the file itself.
fn read_keys(
    table: &Table<'_>,
    dir: &Path,
    findings: &mut Vec<Finding>,
) -> Result<(Vec<EncodingAesKey>, bool), ProjectError> {
    let parse = |entry: &Entry<'_>, text: &str| {
        EncodingAesKey::parse(text).map_err(|error| {
            let what = wording!("is no EncodingAESKey", "不是 EncodingAESKey");
            entry.refuse(what, error.wording())
        })
    };
    match (table.get("aes_keys"), table.get("aes_keys_file")) {
        (Some(_), Some(entry)) => Err(entry.stands_beside("push.aes_keys")),
        (Some(entry), None) => {
            let keys = entry
                .texts()?
                .into_iter()
                .map(|entry| parse(&entry, entry.text()?));
            let keys = keys.collect::<Result<Vec<_>, _>>()?;
            let inline = !keys.is_empty();
            Ok((keys, inline))
        }
        (None, Some(entry)) => {
            let text = read_secret_file(&entry, dir, findings)?;
            let lines = text.expose_secret().lines().map(str::trim);
            let keys = lines
                .filter(|line| !line.is_empty())
                .map(|line| parse(&entry, line));
            Ok((keys.collect::<Result<_, _>>()?, false))
        }
        (None, None) => Ok((Vec::new(), false)),
    }
}

fn read_console(
    push: &Entry<'_>,
    table: &Table<'_>,
    token: PushToken,
    keys: Vec<EncodingAesKey>,
) -> Result<PushConsole, ProjectError> {
    let missing = |key: &str, mend: Wording| {
        push.refuse(
            wording!("has a token and no {key}", "有 token，但没有 {key}"),
            mend,
        )
    };
    let Some(entry) = table.get("mode") else {
        return Err(missing(
            "mode",
            wording!(
                "write the console's: mode = \"secure\" (安全模式), \"compatible\" (兼容模式) or \"plain\" (明文模式)",
                "请与控制台一致：mode = \"secure\"（安全模式）、\"compatible\"（兼容模式）或 \"plain\"（明文模式）"
            ),
        ));
    };
    let mode: Mode = entry.text()?.parse().map_err(|_| {
        entry.refuse(
            wording!("is no push mode", "不是推送模式"),
            wording!(
                "write the console's: \"secure\" (安全模式), \"compatible\" (兼容模式) or \"plain\" (明文模式)",
                "请与控制台一致：\"secure\"（安全模式）、\"compatible\"（兼容模式）或 \"plain\"（明文模式）"
            ),
        )
    })?;
    let Some(entry) = table.get("format") else {
        return Err(missing(
            "format",
            wording!(
                "write the console's: format = \"json\" or \"xml\"",
                "请与控制台一致：format = \"json\" 或 \"xml\""
            ),
        ));
    };
    let format: Format = entry.text()?.parse().map_err(|_| {
        entry.refuse(
            wording!("is no push format", "不是推送数据格式"),
            wording!(
                "write the console's: \"json\" or \"xml\"",
                "请与控制台一致：\"json\" 或 \"xml\""
            ),
        )
    })?;
    let console = PushConsole {
        token,
        keys,
        mode,
        format,
    };
    // The appid is judged where it is given, and may stand in another file.
    match Receiver::new(console.settings("any")) {
        Ok(_) => Ok(console),
        Err(error) => {
            let why = error.wording();
            Err(push.refuse(
                wording!("has no key", "没有密钥"),
                wording!(
                    "{why}: give it as aes_keys = [\"…\"], or name a file with aes_keys_file",
                    "{why}：请写 aes_keys = [\"…\"]，或用 aes_keys_file 写明文件"; why
                ),
            ))
        }
    }
}
