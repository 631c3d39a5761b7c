//! Which server, or servers, and how to come by them.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo,
    RedisError, TlsCertificates, TlsMode,
    cluster::ClusterClient,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::link::{ANSWER, CONNECT};

/// Which server keeps the store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://[USER@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS. It may hold a password.
    pub url: SecretString,
    /// The password, where the URL has none; where both have one, this.
    pub password: Option<SecretString>,
    /// Sentinels, `HOST[:PORT]`. With any, they are asked which server is the master of the name that stands in the URL as host.
    pub sentinels: Vec<String>,
    /// What the sentinels want to be told.
    pub sentinel_password: Option<SecretString>,
    /// Further nodes of a Cluster, `HOST[:PORT]`, beside that of the URL. With any, it is taken for one.
    pub cluster: Vec<String>,
    /// Certificates in PEM, of those who vouch for the servers, in place of those that the machine trusts.
    pub authorities: Option<Vec<u8>>,
    /// What the names of all keys begin with, so that several projects can share a server.
    pub prefix: String,
}

/// What the names of all keys begin with, where nothing else is said.
pub const PREFIX: &str = "yunqiao";

impl Settings {
    /// One server, at this URL.
    #[must_use]
    pub fn of(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            password: None,
            sentinels: Vec::new(),
            sentinel_password: None,
            cluster: Vec::new(),
            authorities: None,
            prefix: PREFIX.to_owned(),
        }
    }
}

/// Why settings lead to no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The URL is none.
    #[error(
        "the URL is not that of a Redis or Valkey server: redis://[USER@]HOST[:PORT][/DATABASE], or rediss:// for TLS"
    )]
    Url,
    /// The URL asks for TLS without looking who answers.
    #[error(
        "the URL ends with #insecure: whoever stands between could read and change everything; name their certificate in place of that"
    )]
    Insecure,
    /// An address is none.
    #[error("{0:?} is no address: write HOST:PORT")]
    Address(String),
    /// Both ways to several servers are named.
    #[error("Sentinels and nodes of a Cluster are named: the server is one or the other")]
    Both,
    /// Nodes of a Cluster have no numbered databases.
    #[error("a Cluster has no database {0}: leave the number away")]
    Database(i64),
    /// Certificates are named, and no TLS is wanted.
    #[error("certificates are named, and the URL does not begin with rediss://")]
    PlainWithAuthorities,
    /// The prefix would be taken for something else.
    #[error("{0:?} cannot stand before the names of keys: letters, digits, `-`, `_`, `.` and `:` can")]
    Prefix(String),
    /// The client's library does not take them.
    #[error("the settings of the server are not usable")]
    Unusable(#[from] RedisError),
}

/// Who connects.
pub(crate) enum Dial {
    Server(Box<Client>),
    Sentinel(Box<SentinelClient>),
    Cluster(Box<ClusterClient>),
}

/// A server as it is shown: never with a password.
fn shown(scheme: &str, address: &str, redis: &RedisConnectionInfo) -> String {
    match redis.db() {
        0 => format!("{scheme}://{address}"),
        database => format!("{scheme}://{address}/{database}"),
    }
}

impl Settings {
    /// Who connects, and how the server is called in messages. Nothing is asked yet.
    pub(crate) fn dial(&self) -> Result<(Dial, String), SettingsError> {
        // Whoever installed one first decided.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:".contains(letter);
        if self.prefix.is_empty() || !self.prefix.chars().all(is_plain) {
            return Err(SettingsError::Prefix(self.prefix.clone()));
        }
        let named = self.url.expose_secret().into_connection_info();
        let named = named.map_err(|_| SettingsError::Url)?;
        let redis = self.protocol(named.redis_settings().clone());
        let (tls, host, address) = match named.addr() {
            ConnectionAddr::Tcp(host, port) => (false, host.clone(), format!("{host}:{port}")),
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(SettingsError::Insecure),
            ConnectionAddr::TcpTls { host, port, .. } => (true, host.clone(), format!("{host}:{port}")),
            ConnectionAddr::Unix(path) => (false, String::new(), path.display().to_string()),
            _ => return Err(SettingsError::Url),
        };
        if self.authorities.is_some() && !tls {
            return Err(SettingsError::PlainWithAuthorities);
        }
        let scheme = match (host.is_empty(), tls) {
            (true, _) => "unix",
            (false, true) => "rediss",
            (false, false) => "redis",
        };
        let place = shown(scheme, &address, &redis);
        let named = named.set_redis_settings(redis.clone());
        match (self.sentinels.as_slice(), self.cluster.as_slice()) {
            ([], []) => Ok((Dial::Server(Box::new(self.client(named, tls)?)), place)),
            (sentinels, []) => {
                let client = self.sentinel(sentinels, &host, &redis, tls)?;
                Ok((Dial::Sentinel(Box::new(client)), shown(scheme, &host, &redis)))
            }
            ([], nodes) if redis.db() == 0 => {
                let nodes = nodes.iter().map(|node| {
                    let node = address_of(node, tls, 6379)?;
                    Ok(node.into_connection_info()?.set_redis_settings(redis.clone()))
                });
                let nodes = nodes.collect::<Result<Vec<_>, SettingsError>>()?;
                Ok((
                    Dial::Cluster(Box::new(self.cluster(std::iter::once(named).chain(nodes))?)),
                    place,
                ))
            }
            ([], _) => Err(SettingsError::Database(redis.db())),
            _ => Err(SettingsError::Both),
        }
    }

    fn protocol(&self, redis: RedisConnectionInfo) -> RedisConnectionInfo {
        // Every server knows the older protocol, and nothing here needs the newer one.
        let redis = redis.set_protocol(ProtocolVersion::RESP2);
        match &self.password {
            Some(password) => redis.set_password(password.expose_secret()),
            None => redis,
        }
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: None,
            root_cert: self.authorities.clone(),
        }
    }

    fn client(&self, info: ConnectionInfo, tls: bool) -> Result<Client, SettingsError> {
        Ok(match tls {
            true => Client::build_with_tls(info, self.certificates())?,
            false => Client::open(info)?,
        })
    }

    fn sentinel(
        &self,
        sentinels: &[String],
        master: &str,
        redis: &RedisConnectionInfo,
        tls: bool,
    ) -> Result<SentinelClient, SettingsError> {
        let sentinels = sentinels.iter().map(|sentinel| address_of(sentinel, tls, 26379));
        let sentinels = sentinels.collect::<Result<Vec<_>, _>>()?;
        let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
            .set_client_to_redis_db(redis.db())
            .set_client_to_redis_protocol(redis.protocol());
        if let Some(user) = redis.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = redis.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(password) = &self.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.expose_secret());
        }
        if tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(self.certificates())
                .set_client_to_sentinel_certificates(self.certificates());
        }
        Ok(builder.build()?)
    }

    fn cluster(&self, nodes: impl Iterator<Item = ConnectionInfo>) -> Result<ClusterClient, SettingsError> {
        let nodes: Vec<_> = nodes.collect();
        let tls = nodes
            .iter()
            .any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
        let mut builder = ClusterClient::builder(nodes)
            .connection_timeout(CONNECT)
            .response_timeout(ANSWER)
            .use_protocol(ProtocolVersion::RESP2);
        if tls {
            builder = builder.certs(self.certificates());
        }
        Ok(builder.build()?)
    }
}

/// The address that a text names.
fn address_of(text: &str, tls: bool, usual: u16) -> Result<ConnectionAddr, SettingsError> {
    let unreadable = || SettingsError::Address(text.to_owned());
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address stands in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| unreadable())?),
        _ => (text, usual),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() || host.contains(['/', '@']) {
        return Err(unreadable());
    }
    Ok(match tls {
        true => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        false => ConnectionAddr::Tcp(host, port),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn place(change: impl FnOnce(&mut Settings), url: &str) -> Result<String, String> {
        let mut settings = Settings::of(url);
        change(&mut settings);
        settings
            .dial()
            .map(|(_, place)| place)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_is_shown_without_what_it_asks_for() {
        let plain = |url| place(|_| {}, url).unwrap();
        assert_eq!(plain("redis://h"), "redis://h:6379");
        assert_eq!(plain("rediss://ann:secret@h:7000/3"), "rediss://h:7000/3");
        assert_eq!(plain("redis://:secret@[::1]:7000/0"), "redis://::1:7000");
        assert_eq!(plain("unix:///run/redis.sock"), "unix:///run/redis.sock");
        let sentinels = |settings: &mut Settings| settings.sentinels = vec!["s1".into(), "s2:7001".into()];
        assert_eq!(
            place(sentinels, "redis://:secret@main/2").unwrap(),
            "redis://main/2"
        );
        let nodes = |settings: &mut Settings| settings.cluster = vec!["h2:7001".into()];
        assert_eq!(place(nodes, "redis://h:7000").unwrap(), "redis://h:7000");
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_the_reason() {
        let refused = |change: fn(&mut Settings), url| place(change, url).unwrap_err();
        assert!(refused(|_| {}, "http://h").contains("redis://"));
        assert!(refused(|_| {}, "rediss://h#insecure").contains("#insecure"));
        assert!(
            refused(|settings| settings.cluster = vec!["h2".into()], "redis://h/1").contains("database 1")
        );
        assert!(refused(|settings| settings.sentinels = vec!["h:x".into()], "redis://h").contains("\"h:x\""));
        assert!(refused(|settings| settings.prefix = "a{b}".into(), "redis://h").contains("a{b}"));
        assert!(
            refused(|settings| settings.authorities = Some(Vec::new()), "redis://h").contains("rediss://")
        );
        let both = |settings: &mut Settings| {
            settings.sentinels = vec!["s".into()];
            settings.cluster = vec!["h".into()];
        };
        assert!(refused(both, "redis://h").contains("one or the other"));
        // Nothing of it quotes a password.
        for url in ["redis://:secret@h:x", "redis://ann:secret@h/x"] {
            assert!(!refused(|_| {}, url).contains("secret"), "{url}");
        }
    }
}
