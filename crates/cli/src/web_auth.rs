//! `[auth]` and `[operator.keys]`: who comes by CloudBase's own SDKs.

use std::fs;

use anyhow::Context as _;
use cloud::ServerKeys;
use cloudbase::{PasswordFile, TicketKeys};
use gateway::WebAuth;
use project::{ExposeSecret as _, OperatorSection, Project};
use tcb::signature::SecretKey;

/// As the project says. With a simulated WeChat behind it anybody may log in as nobody in particular, where it does not say; in production
/// nobody may.
///
/// # Errors
/// A file that it names cannot be read, or is not what it should be.
pub(crate) fn of(project: &Project, simulated: bool) -> anyhow::Result<WebAuth> {
    let auth = &project.settings.auth;
    let ticket_keys = match &auth.ticket_keys {
        None => TicketKeys::default(),
        Some(path) => {
            let what = || format!("[auth] ticket_keys: {}", path.display());
            let text = fs::read_to_string(path).with_context(what)?;
            TicketKeys::parse(&text).with_context(what)?
        }
    };
    if let Some(path) = &auth.passwords {
        let what = || format!("[auth] passwords: {}", path.display());
        // One that is not there yet has no users.
        if path.exists() {
            let text = fs::read_to_string(path).with_context(what)?;
            PasswordFile::parse(&text).with_context(what)?;
        }
    }
    Ok(WebAuth {
        anonymous: auth.anonymous.unwrap_or(simulated),
        ticket_keys,
        passwords: auth.passwords.clone(),
    })
}

/// The key pairs of other servers of the owner's.
pub(crate) fn server_keys(operator: &OperatorSection) -> ServerKeys {
    let keys = operator.keys.iter();
    ServerKeys(
        keys.map(|(id, secret)| (id.clone(), SecretKey::new(secret.expose_secret())))
            .collect(),
    )
}
