//! The command line as clap knows it, with its help in the language that was chosen.

use std::collections::HashMap;

use clap::{Command, CommandFactory as _, builder::StyledStr};

use crate::{
    args::Args,
    help_zh::TEXTS,
    lang::{self, Lang},
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
