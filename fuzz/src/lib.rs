//! Fuzz targets for what reads bytes from outside.
//!
//! A target is a plain function that takes any bytes and panics if a promise is broken. It needs no nightly toolchain:
//! `cargo test -p yunqiao-fuzz` replays `corpus/<target>/` and ten thousand mutations of it, always the same, and
//!
//! ```text
//! cargo run --release -p yunqiao-fuzz -- json 600        mutate for ten minutes
//! cargo run --release -p yunqiao-fuzz -- json FILE…      replay these
//! ```
//!
//! writes what broke a promise to `corpus/<target>/`, where the tests find it from then on: commit it with the mend. An
//! engine that follows coverage (cargo-fuzz, AFL) can call the same functions.

mod access;
mod cloudbase;
mod commands;
mod decrypt;
mod dialects;
mod ejson;
mod envelope;
mod exchange;
mod files;
mod filter;
mod json;
mod keys;
mod message;
mod mutate;
mod pipeline;
mod plaintext;
mod projection;
mod protobuf;
mod push;
mod realtime;
mod requests;
mod rules;
mod shell;
mod signature;
mod ticket;
mod update;
mod wire;
mod xml;

use std::{
    fs, io, panic,
    path::{Path, PathBuf},
};

pub use mutate::Mutator;

/// A named target and its seeds.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name, also of its corpus.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 27] = [
    Target {
        name: "realtime",
        run: realtime::target,
    },
    Target {
        name: "files",
        run: files::target,
    },
    Target {
        name: "rules",
        run: rules::target,
    },
    Target {
        name: "cloudbase",
        run: cloudbase::target,
    },
    Target {
        name: "access",
        run: access::target,
    },
    Target {
        name: "wire",
        run: wire::target,
    },
    Target {
        name: "commands",
        run: commands::target,
    },
    Target {
        name: "json",
        run: json::target,
    },
    Target {
        name: "decrypt",
        run: decrypt::target,
    },
    Target {
        name: "plaintext",
        run: plaintext::target,
    },
    Target {
        name: "ticket",
        run: ticket::target,
    },
    Target {
        name: "envelope",
        run: envelope::target,
    },
    Target {
        name: "signature",
        run: signature::target,
    },
    Target {
        name: "protobuf",
        run: protobuf::target,
    },
    Target {
        name: "message",
        run: message::target,
    },
    Target {
        name: "push",
        run: push::target,
    },
    Target {
        name: "xml",
        run: xml::target,
    },
    Target {
        name: "ejson",
        run: ejson::target,
    },
    Target {
        name: "shell",
        run: shell::target,
    },
    Target {
        name: "keys",
        run: keys::target,
    },
    Target {
        name: "filter",
        run: filter::target,
    },
    Target {
        name: "update",
        run: update::target,
    },
    Target {
        name: "pipeline",
        run: pipeline::target,
    },
    Target {
        name: "dialects",
        run: dialects::target,
    },
    Target {
        name: "requests",
        run: requests::target,
    },
    Target {
        name: "projection",
        run: projection::target,
    },
    Target {
        name: "exchange",
        run: exchange::target,
    },
];

impl Target {
    /// Whether the promise does not hold for this input; what is wrong goes to stderr, as with any panic.
    #[must_use]
    pub fn is_broken_by(&self, input: &[u8]) -> bool {
        panic::catch_unwind(|| (self.run)(input)).is_err()
    }

    /// Where its seeds are.
    #[must_use]
    pub fn corpus_dir(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(self.name)
    }

    /// Its seeds, in the order of their names.
    pub fn corpus(&self) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut paths = fs::read_dir(self.corpus_dir())?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        paths
            .into_iter()
            .map(|path| fs::read(&path).map(|seed| (path, seed)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_corpora_and_mutations_of_them_break_no_promise() {
        for target in TARGETS {
            let corpus = target.corpus().unwrap();
            assert!(!corpus.is_empty(), "{} has no seeds", target.name);
            for (path, seed) in &corpus {
                assert!(!target.is_broken_by(seed), "{} breaks a promise", path.display());
            }
            let mut mutator = Mutator::new(corpus.into_iter().map(|(_, seed)| seed).collect(), 1);
            for _ in 0..10_000 {
                let input = mutator.next_input();
                assert!(
                    !target.is_broken_by(&input),
                    "{}: {:?}",
                    target.name,
                    String::from_utf8_lossy(&input)
                );
            }
        }
    }

    #[test]
    fn every_corpus_belongs_to_a_target() {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(
                TARGETS.iter().any(|target| name == *target.name),
                "{name:?} has no target"
            );
        }
    }
}
