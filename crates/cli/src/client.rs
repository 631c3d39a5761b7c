//! HTTP to what runs on this machine.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    lang::{self, say, t},
    print::Coded,
};

/// Longer than any function may take, waiting and loading included.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Has this process's clients speak TLS.
pub(crate) fn install_tls() {
    // Fails only where a provider is installed already, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Both ends are on this machine: no proxy, no certificates.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    install_tls();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(TIMEOUT)
        .build()?)
}

/// Posts JSON; an answer other than 200 is an error with its code.
pub(crate) async fn post(
    client: &reqwest::Client,
    url: &str,
    token: Option<&str>,
    body: &Value,
) -> anyhow::Result<Value> {
    let mut request = client.post(url).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let reply = request
        .send()
        .await
        .with_context(|| say!("{url} did not answer", "{url} 没有应答"))?;
    let good = reply.status().is_success();
    let answer: Value = reply.json().await.with_context(|| {
        say!(
            "{url} answered something that is not JSON",
            "{url} 返回的不是 JSON"
        )
    })?;
    if good {
        return Ok(answer);
    }
    let text = lang::refusal(&answer).unwrap_or(t("it gave no reason", "没有说明原因"));
    Err(Coded::new(answer["errCode"].as_i64().unwrap_or(-1), text.to_owned()).into())
}
