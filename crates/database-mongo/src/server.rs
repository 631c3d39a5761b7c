//! What kind of server it is that the URL leads to.

use std::fmt;

use bson::{Document, doc};

use crate::{Inner, error::ConnectError};

/// How a server stands, which decides what it can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// A replica set of that name, of one server or several.
    ReplicaSet(String),
    /// A sharded cluster, behind `mongos`.
    Sharded,
    /// One server by itself.
    Standalone,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// The URL without user, password and options.
    pub place: String,
    /// Name of the database.
    pub database: String,
    /// `MongoDB 8.0.4`, `FerretDB 2.1.0`.
    pub version: String,
    /// How it stands.
    pub deployment: Deployment,
    /// Why it has no transactions, where it has none.
    pub no_transactions: Option<String>,
}

impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {}, database {}",
            self.version, self.place, self.database
        )?;
        match &self.deployment {
            Deployment::ReplicaSet(name) => write!(f, ", replica set {name}")?,
            Deployment::Sharded => write!(f, ", a sharded cluster")?,
            Deployment::Standalone => write!(f, ", a server by itself")?,
        }
        match &self.no_transactions {
            None => write!(f, ", with transactions"),
            Some(_) => write!(f, ", without transactions"),
        }
    }
}

/// See [`crate::Mongo::server`].
pub(crate) async fn report(inner: &Inner) -> Result<ServerReport, ConnectError> {
    let ask = async |command: Document| {
        let reply = inner.database.run_command(command).await;
        reply.map_err(|error| inner.failures.connecting(&error))
    };
    let hello = ask(doc! { "hello": 1 }).await?;
    let build = ask(doc! { "buildInfo": 1 }).await?;
    // Whoever is not let in, or may do nothing, hears it here.
    ask(doc! { "listCollections": 1, "nameOnly": true }).await?;
    let deployment = match hello.get_str("setName") {
        Ok(name) => Deployment::ReplicaSet(name.to_owned()),
        Err(_) if hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") => Deployment::Sharded,
        Err(_) => Deployment::Standalone,
    };
    let ferret = build
        .get_document("ferretdb")
        .and_then(|ferret| ferret.get_str("version"));
    let version = match ferret {
        Ok(version) => format!("FerretDB {version}"),
        Err(_) => format!(
            "MongoDB {}",
            build.get_str("version").unwrap_or("of an unknown version")
        ),
    };
    let no_transactions = match inner.can_have_transactions().await {
        Ok(()) => None,
        Err(error) => Some(error.to_string()),
    };
    Ok(ServerReport {
        place: inner.failures.place.clone(),
        database: inner.failures.database.clone(),
        version,
        deployment,
        no_transactions,
    })
}

/// A URL without user, password and options, for a log or a person: `mongodb://host:27017/app`.
#[must_use]
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("mongodb", url));
    // A password that is not encoded may have any of these characters: whatever stands before the last @ is left out.
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, expected) in [
            ("mongodb://h:1/app", "mongodb://h:1/app"),
            (
                "mongodb://u:secret@h1,h2/app?authSource=admin",
                "mongodb://h1,h2/app",
            ),
            ("mongodb+srv://u:se%40cret@h/app", "mongodb+srv://h/app"),
            ("mongodb://u:se?c/r@et@h/app", "mongodb://h/app"),
            (
                "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:secret",
                "mongodb://h/",
            ),
            ("u:secret@h", "mongodb://h"),
        ] {
            assert_eq!(redacted(url), expected);
            assert!(!redacted(url).contains("secret"));
        }
    }
}
