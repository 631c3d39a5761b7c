//! The client of api.weixin.qq.com, or of a simulator that answers in its place: nothing here knows which.
//!
//! A [`Client`] keeps WeChat's access_token (one request however many ask, kept in the store, renewed ahead of its
//! end, fetched anew once when WeChat refuses it) and speaks the few APIs that the gateway needs by itself. An answer
//! with an `errcode` is [`Error::Refused`] with WeChat's own code and text. No error and no log line carries a secret:
//! WeChat wants AppSecret and access_token in query strings, so URLs are stripped from every error.

mod error;
mod login;
mod open_data;
mod phone;
mod session;
#[cfg(test)]
mod testing;
mod token;
mod transport;

use std::{fmt, sync::Arc, time::Duration};

use clock::Clock;
use secrecy::{ExposeSecret, SecretString};
use store::Store;

pub use crate::{
    error::{ConfigError, Error},
    login::Login,
    open_data::OpenDataItem,
    phone::PhoneNumber,
};
use crate::{
    token::TokenKeeper,
    transport::{Answer, Request, Transport},
};

/// What a client needs to know.
pub struct Config {
    /// Where the API is: `https://api.weixin.qq.com`, or a simulator's address. Scheme, host and port only.
    pub base_url: String,
    /// The Mini Program's appid.
    pub appid: String,
    /// Its AppSecret.
    pub secret: SecretString,
    /// Where the access_token is kept.
    pub store: Arc<dyn Store>,
    /// WeChat's time, by which the access_token lapses.
    pub clock: Clock,
    /// How long a request may take, from connecting to the last byte; 5 seconds is a good value.
    pub timeout: Duration,
}

/// A client of WeChat's API for one Mini Program. Clones share connections and access_token.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    tokens: Arc<TokenKeeper>,
    credentials: Arc<Credentials>,
}

/// Who this client is to WeChat.
struct Credentials {
    appid: String,
    secret: SecretString,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("appid", &self.0.credentials.appid)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Nothing is asked of WeChat yet.
    ///
    /// # Errors
    /// The base URL is none, or TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let transport = Transport::new(&config.base_url, config.timeout)?;
        let credentials = Arc::new(Credentials {
            appid: config.appid,
            secret: config.secret,
        });
        let tokens = TokenKeeper::new(
            transport.clone(),
            Arc::clone(&credentials),
            config.store,
            config.clock,
        );
        Ok(Self(Arc::new(Inner {
            transport,
            tokens: Arc::new(tokens),
            credentials,
        })))
    }

    /// Sends a request that needs an access_token. When WeChat refuses the token, a new one is fetched and the
    /// request sent once more.
    async fn send_authorized(&self, request: Request<'_>) -> Result<Answer, Error> {
        let token = self.0.tokens.token().await?;
        match self.send_with(&request, &token).await {
            Err(Error::Refused { errcode, .. }) if token::is_refusal_of_token(errcode) => {
                self.0.tokens.drop_refused(&token).await;
                let token = self.0.tokens.token().await?;
                self.send_with(&request, &token).await
            }
            answer => answer,
        }
    }

    async fn send_with(&self, request: &Request<'_>, token: &SecretString) -> Result<Answer, Error> {
        self.0
            .transport
            .send(request, &[("access_token", token.expose_secret())])
            .await
    }
}
