//! The command line as clap knows it, with its help in the language that was chosen.

use std::{collections::HashMap, process::ExitCode};

use clap::{
    Command, CommandFactory as _,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    args::Args,
    help_zh::TEXTS,
    lang::{self, Lang},
    print, terminal,
};

/// As clap's own, but for its heading.
const TEMPLATE: &str = "{before-help}{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}";

/// The command line.
pub(crate) fn command() -> Command {
    match lang::chosen() {
        Lang::En => Args::command(),
        Lang::Zh => translated(Args::command(), &mut |text| {
            // A text that has no translation is better than none: a test finds it.
            found(text).unwrap_or(text).to_owned()
        }),
    }
}

/// Says what is wrong with a line that cannot be parsed, or the help that it asks for; gives the status to end with.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    match in_chinese(error).filter(|_| lang::chosen() == Lang::Zh) {
        None => error.exit(),
        Some(said) => {
            let _ = terminal::with(|| print::refusal(said));
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

/// What clap says of a line that it cannot parse; `None` where that is help.
fn in_chinese(error: &clap::Error) -> Option<String> {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join("、"),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        Some(ContextValue::StyledStrs(texts)) => {
            let texts: Vec<_> = texts.iter().map(ToString::to_string).collect();
            texts.join("、")
        }
        Some(ContextValue::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let (arg, value) = (given(ContextKind::InvalidArg), given(ContextKind::InvalidValue));
    let what = match error.kind() {
        ErrorKind::InvalidSubcommand => format!("没有命令 {}", given(ContextKind::InvalidSubcommand)),
        ErrorKind::UnknownArgument => format!("不认识 {arg}"),
        ErrorKind::MissingRequiredArgument => format!("缺少 {arg}"),
        ErrorKind::ArgumentConflict => format!("{arg} 不能与 {} 一起用", given(ContextKind::PriorArg)),
        ErrorKind::InvalidValue if value.is_empty() => format!("{arg} 缺少值"),
        ErrorKind::InvalidValue => format!(
            "{arg} 的值不能是 {value:?}，可以是 {}",
            given(ContextKind::ValidValue)
        ),
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string);
            format!("{arg} 的值不能是 {value:?}：{}", why.unwrap_or_default())
        }
        ErrorKind::TooManyValues => format!("{arg} 不需要 {value:?}"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => format!("{arg} 的值的个数不对"),
        _ => return None,
    };
    let near = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    let near = near.map(given).into_iter().find(|near| !near.is_empty());
    let near = near.map(|near| format!("，是不是 {near}？")).unwrap_or_default();
    let usage = given(ContextKind::Usage);
    let usage = match usage.trim_start_matches("Usage:").trim() {
        // Where one value is wrong, clap leaves it out as well.
        "" => String::new(),
        usage => format!("用法：{usage}\n\n"),
    };
    Some(format!("{what}{near}\n\n{usage}加上 --help 可查看说明"))
}

fn found(text: &str) -> Option<&'static str> {
    static BY_TEXT: std::sync::LazyLock<HashMap<&str, &str>> =
        std::sync::LazyLock::new(|| TEXTS.iter().copied().collect());
    BY_TEXT.get(text).copied()
}

/// The command with each text of its help as `translate` gives it.
fn translated(mut command: Command, translate: &mut impl FnMut(&str) -> String) -> Command {
    // So that what clap adds, such as --help, is there too.
    command.build();
    walk(command, translate)
}

fn walk(command: Command, translate: &mut impl FnMut(&str) -> String) -> Command {
    let about = text(command.get_about()).map(|about| translate(&about));
    let below = text(command.get_after_help()).map(|below| lines(&below, translate));
    let mut command = command
        .help_template(TEMPLATE)
        .subcommand_help_heading("命令")
        .mut_args(|arg| {
            let heading = match (arg.get_help_heading(), arg.is_positional()) {
                (Some(heading), _) => translate(heading),
                (None, true) => "参数".to_owned(),
                (None, false) => "选项".to_owned(),
            };
            let help = text(arg.get_help()).map(|help| translate(&help));
            let arg = arg.help_heading(heading.leak() as &str);
            match help {
                Some(help) => arg.help(help),
                None => arg,
            }
        });
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(below) = below {
        command = command.after_help(below);
    }
    let names: Vec<_> = command
        .get_subcommands()
        .map(|found| found.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, |found| walk(found, translate));
    }
    command
}

fn text(styled: Option<&StyledStr>) -> Option<String> {
    styled.map(ToString::to_string)
}

/// Line by line: commands, which are indented, stay as they are.
fn lines(text: &str, translate: &mut impl FnMut(&str) -> String) -> String {
    let line = |line: &str| match line {
        "" => String::new(),
        line if line.starts_with(' ') && found(line).is_none() => line.to_owned(),
        line => translate(line),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod page;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_text_of_the_help_has_its_chinese_and_no_other_is_kept() {
        let mut met = BTreeSet::new();
        let _ = translated(Args::command(), &mut |text| {
            met.insert(text.to_owned());
            text.to_owned()
        });
        assert!(met.len() > 100, "{met:#?}");
        let kept: BTreeSet<_> = TEXTS.iter().map(|(en, _)| (*en).to_owned()).collect();
        assert_eq!(kept.len(), TEXTS.len(), "a text stands twice");
        let missing: Vec<_> = met.difference(&kept).collect();
        assert!(missing.is_empty(), "no Chinese for {missing:#?}");
        let unused: Vec<_> = kept.difference(&met).collect();
        assert!(unused.is_empty(), "nobody says {unused:#?}");
        for (en, zh) in TEXTS {
            let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
            assert!(zh.chars().any(is_chinese), "{en:?} only repeats itself: {zh:?}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_parsed_is_refused_in_chinese() {
        for (line, said) in [
            ("simulat", "没有命令 simulat，是不是 simulate？"),
            ("dev --prot 1", "不认识 --prot，是不是 --port？"),
            ("init", "缺少 <DIR>"),
            ("dev --port x", "--port <PORT> 的值不能是 \"x\"：invalid digit"),
            ("dev --port", "--port <PORT> 缺少值"),
            ("--lang fr dev", "--lang <LANG> 的值不能是 \"fr\"，可以是 en、zh"),
            ("dev --fresh=yes", "--fresh 不需要 \"yes\""),
        ] {
            let words = std::iter::once("yunqiao").chain(line.split(' '));
            let error = Args::command().try_get_matches_from(words).unwrap_err();
            let told = in_chinese(&error).unwrap_or_else(|| panic!("{line}: {error}"));
            assert!(told.starts_with(said), "{line}: {told}");
            assert!(
                !told.contains("Usage") && told.ends_with("--help 可查看说明"),
                "{told}"
            );
        }
        for line in ["--help", "dev --help", "--version", "help dev"] {
            let words = std::iter::once("yunqiao").chain(line.split(' '));
            let error = Args::command().try_get_matches_from(words).unwrap_err();
            assert_eq!(in_chinese(&error), None, "{line}");
        }
    }

    #[test]
    fn it_is_the_same_command_line() {
        fn words(command: &Command) -> Vec<String> {
            let args = command
                .get_arguments()
                .map(|arg| format!("{:?} {:?}", arg.get_id(), arg.get_long()));
            let below = command.get_subcommands().flat_map(words);
            let own = std::iter::once(command.get_name().to_owned()).chain(args);
            own.chain(below).collect()
        }
        let mut plain = Args::command();
        plain.build();
        let translated = translated(Args::command(), &mut |text| text.to_owned());
        assert_eq!(words(&translated), words(&plain));
        translated.debug_assert();
    }
}
