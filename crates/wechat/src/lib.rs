//! The client of api.weixin.qq.com, or of a simulator that answers in its place: nothing here knows which.
//!
//! A [`WeChatClient`] keeps WeChat's access_token (one request however many ask, kept between runs, renewed ahead of its
//! end, fetched anew once when WeChat refuses it), speaks the few APIs that the gateway needs by itself, and sends any
//! other ([`WeChatClient::call`]). Of the former, an answer with an `errcode` is [`WeChatError::Refused`] with WeChat's own code and
//! text; of the latter, the answer is given as it came. Either way, a busy WeChat is asked again, a few times. No error
//! and no log line carries a secret: WeChat wants AppSecret and access_token in query strings, so URLs are stripped from
//! every error.

mod access_token;
mod call;
mod error;
mod login;
mod open_data;
mod patience;
mod phone;
mod session;
#[cfg(test)]
mod testing;
mod token;
mod transport;

use std::{fmt, sync::Arc, time::Duration};

use clock::Clock;
use openapi::errcode::refuses_token;
use secrecy::{ExposeSecret, SecretString};

pub use crate::{
    access_token::{AccessToken, AccessTokens, MemoryTokens, TokenFuture},
    call::{ApiAnswer, OutgoingRequest},
    error::{ConfigError, WeChatError},
    login::{LoginAnswer, LoginCode, LoginCodeError, OAuthAnswer},
    phone::PhoneNumber,
    transport::LastAttempt,
};
use crate::{
    patience::Patience,
    token::TokenKeeper,
    transport::{Answer, Incoming, Request, Transport},
};

/// What a client needs to know.
pub struct WeChatConfig {
    /// Where the API is: `https://api.weixin.qq.com`, or a simulator's address. Scheme, host and port only.
    pub base_url: String,
    /// The Mini Program's appid.
    pub appid: String,
    /// Its AppSecret.
    pub secret: SecretString,
    /// Where the access_token is kept between runs.
    pub tokens: Arc<dyn AccessTokens>,
    /// WeChat's time, by which the access_token lapses.
    pub clock: Clock,
    /// How long one attempt at a request may take, from connecting to the last byte; 5 seconds is a good value.
    pub timeout: Duration,
}

/// A client of WeChat's API for one Mini Program. Clones share connections and access_token.
#[derive(Clone)]
pub struct WeChatClient(Arc<Inner>);

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

impl fmt::Debug for WeChatClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("appid", &self.0.credentials.appid)
            .finish_non_exhaustive()
    }
}

impl WeChatClient {
    /// Makes a client. Nothing is asked of WeChat yet.
    ///
    /// # Errors
    /// The base URL is not valid, or TLS cannot be set up.
    pub fn new(config: WeChatConfig) -> Result<Self, ConfigError> {
        let transport = Transport::new(&config.base_url, config.timeout)?;
        let credentials = Arc::new(Credentials {
            appid: config.appid,
            secret: config.secret,
        });
        let tokens = TokenKeeper::new(
            transport.clone(),
            Arc::clone(&credentials),
            config.tokens,
            config.clock,
        );
        Ok(Self(Arc::new(Inner {
            transport,
            tokens: Arc::new(tokens),
            credentials,
        })))
    }

    /// The appid that this client stands for.
    #[must_use]
    pub fn appid(&self) -> &str {
        &self.0.credentials.appid
    }

    /// How the last attempt to ask WeChat for something ended, if there was one since the start.
    #[must_use]
    pub fn last_attempt(&self) -> Option<LastAttempt> {
        self.0.transport.last_attempt()
    }

    /// As [`authorized`](Self::authorized), for one of this crate's own requests.
    async fn send_authorized(&self, request: Request<'_>) -> Result<Answer, WeChatError> {
        let incoming = self.authorized(&request, &mut Patience::new()).await?;
        incoming.judged(request.api)
    }

    /// Sends a request that needs an access_token. When WeChat refuses the token, a new one is fetched and the
    /// request sent once more.
    async fn authorized(
        &self,
        request: &Request<'_>,
        patience: &mut Patience,
    ) -> Result<Incoming, WeChatError> {
        let tokens = &self.0.tokens;
        let token = tokens.token().await?.token;
        let incoming = self.send_with(request, &token, patience).await?;
        if !incoming.errcode.is_some_and(refuses_token) {
            return Ok(incoming);
        }
        tokens.drop_refused(&token).await;
        let token = tokens.token().await?.token;
        self.send_with(request, &token, patience).await
    }

    async fn send_with(
        &self,
        request: &Request<'_>,
        token: &SecretString,
        patience: &mut Patience,
    ) -> Result<Incoming, WeChatError> {
        let credentials = [("access_token", token.expose_secret())];
        self.0.transport.send(request, &credentials, patience).await
    }
}
