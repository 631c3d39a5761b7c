//! `store` and `[redis]`: where `serve` keeps what must outlive a restart.

use std::path::{Path, PathBuf};

use wording::wording;

use super::read_secret_file;
use crate::{
    Finding, ProjectError, Secret, reference,
    table::{Entry, Table},
};

/// The schemes of a server's URL. The client knows them as well.
const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

/// `store`: where sessions, keys, WeChat's access_token and pushes are kept.
#[derive(Clone, Debug)]
pub enum StoreSetting {
    /// In this file; relative to `yunqiao.toml`.
    File(PathBuf),
    /// On the Valkey or Redis server of this URL: `YUNQIAO_REDIS_URL`, else what `store` says. It may hold a password.
    Server(Secret),
}

impl StoreSetting {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    /// Reads `store`; gives also whether the file itself holds a password.
    pub(super) fn read(entry: &Entry<'_>, dir: &Path) -> Result<(Self, bool), ProjectError> {
        let text = entry.text()?;
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok((Self::File(dir.join(text)), false));
        };
        if !SCHEMES.contains(&scheme) || rest.is_empty() || rest.starts_with('/') {
            return Err(entry.refuse(
                wording!(
                    "is neither the path of a file nor the URL of a Valkey or Redis server",
                    "既不是文件路径，也不是 Valkey 或 Redis 服务器的 URL"
                ),
                wording!(
                    "write \"yunqiao.redb\", or redis://USER@HOST:6379 with the password in [redis] password_file",
                    "应写成 \"yunqiao.redb\"，或 redis://USER@HOST:6379，密码写在 [redis] 的 password_file 里"
                ),
            ));
        }
        Ok((Self::Server(Secret::from(text)), rest.contains('@')))
    }
}

/// `[redis]`: what there is to say of the server of `store`.
#[derive(Clone, Debug, Default)]
pub struct RedisSection {
    /// The content of `password_file`.
    pub password: Option<Secret>,
    /// `sentinels`: `HOST:PORT` each. The URL's host is the name of the master then.
    pub sentinels: Vec<String>,
    /// The content of `sentinel_password_file`.
    pub sentinel_password: Option<Secret>,
    /// `cluster`: further nodes, `HOST:PORT` each.
    pub cluster: Vec<String>,
    /// `ca_file`: who vouches for the server; relative to `yunqiao.toml`.
    pub ca: Option<PathBuf>,
    /// `prefix`: what the names of all keys begin with.
    pub prefix: Option<String>,
    /// `may_lose_pushes`: whether pushes are acknowledged though the server keeps nothing.
    pub may_lose_pushes: bool,
    /// Whether there is such a table.
    pub is_given: bool,
}

impl RedisSection {
    /// Reads the table. Paths in it are relative to `dir`.
    pub(super) fn read(
        entry: &Entry<'_>,
        dir: &Path,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, ProjectError> {
        let table = entry.table()?;
        table.allow(&reference::REDIS)?;
        let mut secret = |key| {
            let entry = table.get(key);
            entry
                .map(|entry| read_secret_file(&entry, dir, findings))
                .transpose()
        };
        let redis = Self {
            password: secret("password_file")?,
            sentinel_password: secret("sentinel_password_file")?,
            sentinels: addresses(&table, "sentinels")?,
            cluster: addresses(&table, "cluster")?,
            ca: match table.get("ca_file") {
                Some(entry) => Some(dir.join(entry.text()?)),
                None => None,
            },
            prefix: match table.get("prefix") {
                Some(entry) => Some(entry.text()?.to_owned()),
                None => None,
            },
            may_lose_pushes: match table.get("may_lose_pushes") {
                Some(entry) => entry.boolean()?,
                None => false,
            },
            is_given: true,
        };
        if let (false, Some(entry)) = (redis.sentinels.is_empty(), table.get("cluster")) {
            return Err(entry.stands_beside("redis.sentinels"));
        }
        Ok(redis)
    }
}

fn addresses(table: &Table<'_>, key: &str) -> Result<Vec<String>, ProjectError> {
    let Some(entry) = table.get(key) else {
        return Ok(Vec::new());
    };
    let texts = entry.texts()?;
    texts.iter().map(|entry| Ok(entry.text()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::{
        project::Scope,
        settings::{Environment, File, ProjectSettings},
    };

    fn read(dir: &Path, text: &str, environment: Environment) -> Result<File, ProjectError> {
        File::parse(
            &dir.join("yunqiao.toml"),
            text.as_bytes(),
            environment,
            Scope::Whole,
        )
    }

    fn url(settings: &ProjectSettings) -> &str {
        match settings.store.as_ref().unwrap() {
            StoreSetting::File(path) => panic!("{} is a file", path.display()),
            StoreSetting::Server(url) => url.expose_secret(),
        }
    }

    #[test]
    fn a_store_is_a_file_or_a_server() {
        let dir = tempfile::tempdir().unwrap();
        let settings = |text: &str| read(dir.path(), text, Environment::default()).unwrap().settings;
        let file = settings("store = \"data/y.redb\"").store.unwrap();
        assert_eq!(file.file(), Some(&*dir.path().join("data/y.redb")));
        for text in ["redis://h", "rediss://u:p@h:6380/2", "valkey://h"] {
            let settings = settings(&format!("store = \"{text}\""));
            assert_eq!(url(&settings), text);
            assert!(!format!("{settings:?}").contains("u:p"));
        }
        assert!(!settings("").redis.is_given && settings("[redis]").redis.is_given);
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "YUNQIAO_REDIS_URL").then(|| "redis://other".to_owned());
        for text in ["", "store = \"y.redb\"", "store = \"redis://h\""] {
            let file = read(dir.path(), text, Environment::read(variable).unwrap()).unwrap();
            assert_eq!(url(&file.settings), "redis://other", "{text}");
        }
    }

    #[test]
    fn everything_that_can_be_said_of_the_server() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["redis.password", "sentinel.password"] {
            let path = dir.path().join(name);
            fs::write(&path, format!("of {name}\n")).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let text = r#"
            store = "rediss://main"
            [redis]
            password_file = "redis.password"
            sentinels = ["s1:26379", "s2"]
            sentinel_password_file = "sentinel.password"
            ca_file = "ca.pem"
            prefix = "shop"
            may_lose_pushes = true
        "#;
        let file = read(dir.path(), text, Environment::default()).unwrap();
        assert_eq!(file.findings, []);
        let redis = file.settings.redis;
        let secret = |secret: Option<Secret>| secret.unwrap().expose_secret().to_owned();
        assert_eq!(secret(redis.password), "of redis.password");
        assert_eq!(secret(redis.sentinel_password), "of sentinel.password");
        assert_eq!(redis.sentinels, ["s1:26379", "s2"]);
        assert_eq!(redis.ca, Some(dir.path().join("ca.pem")));
        assert_eq!(redis.prefix.as_deref(), Some("shop"));
        assert!(redis.may_lose_pushes);
    }

    #[test]
    fn what_is_wrong_is_named_with_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        for (text, part) in [
            ("store = \"http://h\"", "redis://USER@HOST"),
            ("store = \"redis://\"", "redis://USER@HOST"),
            ("[redis]\npasword_file = \"p\"", "password_file"),
            ("[redis]\npassword_file = \"gone\"", "cannot be read"),
            (
                "[redis]\nsentinels = [\"s\"]\ncluster = [\"h\"]",
                "redis.sentinels",
            ),
        ] {
            let refused = read(dir.path(), text, Environment::default()).unwrap_err();
            assert!(refused.to_string().contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn a_password_in_a_file_that_others_may_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            fs::write(dir.path().join("yunqiao.toml"), text).unwrap();
            let file = read(dir.path(), text, Environment::default()).unwrap();
            file.findings.len()
        };
        assert_eq!(told("store = \"redis://:secret@h\""), 1);
        assert_eq!(told("store = \"redis://h\""), 0);
    }
}
