//! What a server keeps over its own end, as it says of itself: `INFO`, and `CONFIG GET` where the user may ask.

use std::fmt;

use redis::{Value, cmd};
use store::StoreError;

use crate::Redis;

/// How much of what a server answered outlives it. The first is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Each change is on the disk before it is answered: `appendonly yes`, `appendfsync always`.
    Each,
    /// A change is on the disk a second later, or two, or when the system likes: `appendonly yes`.
    Soon,
    /// It does not say; who runs servers for others often does not let them be asked.
    Untold,
    /// What came since the last snapshot is lost with the server: `save`.
    Snapshots,
    /// What a server keeps is lost with it, unless a replica has it.
    Replicas,
    /// Everything is lost with the server: neither `appendonly` nor `save`, and no replica.
    Nothing,
}

/// What is known of the servers. Of several, that of the one that keeps least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The program and its version: `Valkey 8.1.4`.
    pub program: String,
    /// How much outlives it.
    pub durability: Durability,
    /// The `maxmemory-policy` by which it drops keys that it was told to keep when its memory is full, if it does.
    pub evicts: Option<String>,
    /// Replicas that follow it at the moment.
    pub replicas: u64,
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)
    }
}

/// A line of `INFO`: `name:value`.
fn line<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim_end)
}

/// What `INFO` says of one server, with what `CONFIG GET` says of `save` and `appendfsync`, where it does.
fn survey(info: &str, save: Option<&str>, fsync: Option<&str>) -> Survey {
    let program = match (line(info, "valkey_version"), line(info, "redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "a server that does not say what it is".to_owned(),
    };
    let replicas = line(info, "connected_slaves").and_then(|count| count.parse().ok());
    let replicas = replicas.unwrap_or(0);
    let durability = match (line(info, "aof_enabled"), save) {
        (Some("1"), _) if fsync == Some("always") => Durability::Each,
        (Some("1"), _) => Durability::Soon,
        (Some(_), Some(save)) if !save.is_empty() => Durability::Snapshots,
        (Some(_), Some(_)) if replicas > 0 => Durability::Replicas,
        (Some(_), Some(_)) => Durability::Nothing,
        _ => Durability::Untold,
    };
    let is_bounded = line(info, "maxmemory").is_some_and(|bytes| bytes != "0");
    let policy = line(info, "maxmemory_policy").filter(|policy| is_bounded && policy.starts_with("allkeys"));
    Survey {
        program,
        durability,
        evicts: policy.map(str::to_owned),
        replicas,
    }
}

/// All texts in an answer: one server's, or each node's of a Cluster.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::SimpleString(text) => vec![text.clone()],
        Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        // By node, whose names are not asked for.
        Value::Map(pairs) => pairs.iter().flat_map(|(_, value)| texts(value)).collect(),
        _ => Vec::new(),
    }
}

impl Redis {
    /// Asks the server what it is and what it keeps.
    ///
    /// # Errors
    /// It cannot be reached, or does not let this user in.
    pub async fn survey(&self) -> Result<Survey, StoreError> {
        let link = &self.0.link;
        let info: Value = link.ask(&cmd("INFO")).await?;
        let setting = async |name: &str| {
            let asked = link.ask::<Value>(cmd("CONFIG").arg("GET").arg(name)).await;
            // Refused to this user, or to everybody.
            let told = texts(&asked.ok()?);
            told.last().filter(|_| told.len() >= 2).cloned()
        };
        let (save, fsync) = (setting("save").await, setting("appendfsync").await);
        let surveys = texts(&info).into_iter();
        let surveys = surveys.map(|info| survey(&info, save.as_deref(), fsync.as_deref()));
        let least = surveys.max_by_key(|survey| (survey.durability, survey.evicts.is_some()));
        Ok(least.unwrap_or_else(|| survey("", None, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(info: &str, save: Option<&str>, fsync: Option<&str>) -> (Durability, bool) {
        let found = survey(info, save, fsync);
        (found.durability, found.evicts.is_some())
    }

    #[test]
    fn what_is_kept_is_what_the_weakest_setting_keeps() {
        let aof = "# Persistence\r\naof_enabled:1\r\n";
        let none = "aof_enabled:0\r\nconnected_slaves:0\r\n";
        let followed = "aof_enabled:0\r\nconnected_slaves:2\r\n";
        assert_eq!(of(aof, Some(""), Some("always")).0, Durability::Each);
        assert_eq!(of(aof, Some(""), Some("everysec")).0, Durability::Soon);
        assert_eq!(of(aof, None, None).0, Durability::Soon);
        assert_eq!(of(none, Some("3600 1"), None).0, Durability::Snapshots);
        assert_eq!(of(none, Some(""), None).0, Durability::Nothing);
        assert_eq!(of(followed, Some(""), None).0, Durability::Replicas);
        assert_eq!(of(none, None, None).0, Durability::Untold);
        assert_eq!(of("", Some(""), None).0, Durability::Untold);
        assert_eq!(survey(followed, None, None).replicas, 2);
    }

    #[test]
    fn a_server_that_drops_keys_when_it_is_full_is_known() {
        let evicts = |info| of(info, None, None).1;
        assert!(evicts("maxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n"));
        assert!(!evicts("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n"));
        assert!(!evicts("maxmemory:1000\r\nmaxmemory_policy:noeviction\r\n"));
        assert!(!evicts("maxmemory:1000\r\nmaxmemory_policy:volatile-ttl\r\n"));
    }

    #[test]
    fn a_server_says_which_program_it_is() {
        // Valkey names a version of Redis as well, for older clients.
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.4\r\n";
        assert_eq!(survey(valkey, None, None).to_string(), "Valkey 8.1.4");
        assert_eq!(
            survey("redis_version:7.0.15\r\n", None, None).to_string(),
            "Redis 7.0.15"
        );
    }
}
