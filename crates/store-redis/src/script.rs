//! Steps that the server takes as one: scripts in Lua, which it knows by their hash once it has seen them.

use redis::{Cmd, ToRedisArgs};
use sha1::{Digest as _, Sha1};

/// A script.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    pub(crate) fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: base16ct::lower::encode_string(&Sha1::digest(text)),
        }
    }

    /// A call of it, which touches keys of the slot of these.
    pub(crate) fn keys(&self, keys: &[&str]) -> Invocation<'_> {
        Invocation {
            script: self,
            keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
            arguments: Vec::new(),
        }
    }
}

/// A call of a script.
pub(crate) struct Invocation<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Invocation<'_> {
    /// With this argument behind those that it has.
    pub(crate) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.arguments.extend(argument.to_redis_args());
        self
    }

    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    pub(crate) fn in_full(&self) -> Cmd {
        self.command("EVAL", self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command
            .arg(script)
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.arguments);
        command
    }
}
