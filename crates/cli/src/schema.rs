//! `yunqiao schema`: the JSON Schema of `yunqiao.toml`, for editors.

use std::process::ExitCode;

use anstream::print;

use crate::lang;

/// The name under which `yunqiao init` writes it.
pub(crate) const FILE: &str = "yunqiao.schema.json";

/// The schema, with its texts in the language that was chosen.
pub(crate) fn text() -> String {
    let schema = project::reference::schema(|said| lang::of(said).to_owned());
    format!("{schema:#}\n")
}

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    print!("{}", text());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::fs;

    use project::{
        ForeignCodes, Project,
        reference::{Absent, reference},
    };

    use crate::{outliving, serve, stack};

    /// A project of this `yunqiao.toml`.
    fn project(toml: &str) -> Project {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("cloudfunctions")).unwrap();
        let path = dir.path().join("yunqiao.toml");
        fs::write(&path, format!("functions.root = \"cloudfunctions\"\n{toml}")).unwrap();
        Project::from_config(&path).unwrap()
    }

    #[test]
    fn where_nothing_is_said_the_commands_do_what_the_reference_says() {
        let mut met = 0;
        for section in reference() {
            for key in section.keys {
                let Absent::Usual(usual) = key.absent else {
                    continue;
                };
                met += 1;
                let text = usual.trim_matches('"');
                match (section.name, key.name) {
                    ("", "listen") => assert_eq!(text, serve::LISTEN.to_string()),
                    ("", "store") => assert_eq!(text, outliving::FILE),
                    ("", "wechat") => assert_eq!(text, serve::WECHAT),
                    ("operator", "listen") => assert_eq!(text, serve::OPERATOR.to_string()),
                    ("web", "listen") => assert_eq!(text, serve::WEB.to_string()),
                    #[cfg(feature = "redis")]
                    ("redis", "prefix") => assert_eq!(text, store_redis::PREFIX),
                    #[cfg(not(feature = "redis"))]
                    ("redis", _) => {}
                    ("sim", name) => {
                        let of = |toml: &str| {
                            let settings = stack::simulator_settings(&project(toml), ForeignCodes::Refuse);
                            format!("{settings:?}")
                        };
                        assert_eq!(of(&format!("[sim]\n{name} = {usual}")), of(""), "{name}");
                    }
                    // The tests of `project` have these.
                    ("functions.NAME", _) => {}
                    other => panic!("nobody looks whether {other:?} is {usual}"),
                }
            }
        }
        assert!(met > 10, "{met}");
    }
}
