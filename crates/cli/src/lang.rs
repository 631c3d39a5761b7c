//! The language in which this program speaks to people: that of `--lang`, else of the environment; but what programs read (`--json`) is
//! English where `--lang` does not say otherwise. The platform's own texts, and what other programs say, are the same in both.

use std::{
    env,
    ffi::{OsStr, OsString},
    sync::OnceLock,
};

use clap::ValueEnum;
use database::{
    BadIndex, DatabaseError,
    exchange::{self, TooManyColumns},
};
use doctor::CureError;
use files::CloudPathError;
use function::IllegalName;
use project::ProjectError;
use serde_json::Value;
use simulator::StateError;
use wording::Wording;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    En,
    Zh,
}

static CHOSEN: OnceLock<Lang> = OnceLock::new();

/// Chooses the language by the words of the command line. Before they are parsed: help is in it too.
pub(crate) fn choose(words: &[OsString]) {
    let usual = || match is_for_programs(words) {
        true => Lang::En,
        false => usual(|name| env::var_os(name)),
    };
    let _ = CHOSEN.set(said(words).unwrap_or_else(usual));
}

/// The one that was chosen.
pub(crate) fn chosen() -> Lang {
    CHOSEN.get().copied().unwrap_or(Lang::En)
}

/// The text in the language that was chosen.
pub(crate) fn t<T>(en: T, zh: T) -> T {
    match chosen() {
        Lang::En => en,
        Lang::Zh => zh,
    }
}

/// A text in the language that was chosen. It is written in both where it stands, as [`wording::wording!`] takes them.
macro_rules! say {
    ($($text:tt)+) => {
        $crate::lang::of(&wording::wording!($($text)+)).to_owned()
    };
}
pub(crate) use say;

/// What was said, in the language that was chosen.
pub(crate) fn of(said: &Wording) -> &str {
    t(&said.en, &said.zh)
}

/// What a server says of a refusal, where it gives a reason; in the language that was chosen where it says it in both.
pub(crate) fn refusal(answer: &Value) -> Option<&str> {
    let en = answer["errMsg"].as_str()?;
    Some(t(en, answer["errMsgZh"].as_str().unwrap_or(en)))
}

/// An error with its causes, each as it says itself; those that know both languages in the one that was chosen.
pub(crate) fn error(error: &anyhow::Error) -> String {
    let texts = error.chain().map(|cause| {
        let wording = None
            .or_else(|| Some(cause.downcast_ref::<Wording>()?.clone()))
            .or_else(|| Some(cause.downcast_ref::<ProjectError>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<CureError>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<StateError>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<IllegalName>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<CloudPathError>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<push::SettingError>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<BadIndex>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<ejson::Error>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<DatabaseError>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<TooManyColumns>()?.wording()))
            .or_else(|| Some(cause.downcast_ref::<exchange::FileError>()?.wording()));
        wording.map_or_else(|| cause.to_string(), |wording| of(&wording).to_owned())
    });
    texts.collect::<Vec<_>>().join(": ")
}

/// What `--lang` says. Another word than the two is refused when the line is parsed.
fn said(words: &[OsString]) -> Option<Lang> {
    let mut words = words.iter().map(OsString::as_os_str);
    while let Some(word) = words.next() {
        let value = match word.to_str() {
            // What follows is another program's.
            Some("--") => return None,
            Some("--lang") => words.next().and_then(OsStr::to_str),
            Some(word) => word.strip_prefix("--lang="),
            None => None,
        };
        if let Some(value) = value {
            return Lang::from_str(value, false).ok();
        }
    }
    None
}

/// Whether what is said is asked for as JSON.
fn is_for_programs(words: &[OsString]) -> bool {
    let mut own = words.iter().take_while(|word| *word != "--");
    own.any(|word| word == "--json")
}

/// What the environment says, in the order of POSIX.
fn usual(variable: impl Fn(&str) -> Option<OsString>) -> Lang {
    let said = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|said| !said.is_empty()));
    match said {
        Some(said) if said.as_encoded_bytes().starts_with(b"zh") => Lang::Zh,
        _ => Lang::En,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_goes_before_the_environment() {
        let said = |line: &str| super::said(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(said("yunqiao dev --lang zh"), Some(Lang::Zh));
        assert_eq!(said("yunqiao --lang=en dev"), Some(Lang::En));
        assert_eq!(said("yunqiao exec . -- npm test --lang zh"), None);
        let usual = |name: &'static str, value: &'static str| {
            super::usual(move |asked| (asked == name).then(|| value.into()))
        };
        assert_eq!(usual("LANG", "zh_CN.UTF-8"), Lang::Zh);
        assert_eq!(usual("LC_ALL", "C"), Lang::En);
        assert_eq!(usual("LANG", ""), Lang::En);
    }
}
