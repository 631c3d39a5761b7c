//! WeChat looks whether a URL is the app's before it pushes there: it asks by GET for an `echostr` to be given back (WeChat's
//! document "消息推送"). `POST /sim/push/verify` does the same, whenever it is asked to; pushes do not wait for it.
//!
//! The answer must be the very text: the commonest mistake is quotes around it. **Choice**: blanks and line ends around it count as
//! a mistake, too.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{
    Simulator,
    platform::pushes::{self, PushError},
    random,
};

/// What `POST /sim/push/verify` brings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyOrder {
    /// What is to be looked at, if not the configured URL.
    url: Option<String>,
}

/// The result of a verification.
#[derive(Debug, Serialize)]
pub(crate) struct Verification {
    url: String,
    /// How long until the answer was there, in milliseconds of machine time.
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    verified: bool,
    meaning: String,
}

/// Asks the URL for an `echostr`.
pub(crate) async fn verify(sim: &Simulator, given: VerifyOrder) -> Result<Verification, PushError> {
    let url = pushes::target(sim, given.url.as_deref())?;
    let echostr = random::digits(19);
    let nonce = random::number().to_string();
    let query = pushes::sender(sim)?.verification(&echostr, sim.now(), &nonce);
    let request = sim.0.wire.to(&url)?.get(pushes::with_query(&url, &query));
    let began = Instant::now();
    let answer = pushes::exchange(request, sim.settings().push.patience)
        .await
        .map_err(|why| why.en);
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, answer, meaning) = match answer {
        Ok((status, body)) => (
            Some(status),
            Some(pushes::excerpt(&body)),
            judge(status, &body, &echostr),
        ),
        Err(why) => (None, None, Err(why)),
    };
    Ok(Verification {
        url: url.into(),
        ms,
        status,
        answer,
        verified: meaning.is_ok(),
        meaning: match meaning {
            Ok(()) => "verified".to_owned(),
            Err(why) => why,
        },
    })
}

fn judge(status: u16, body: &[u8], echostr: &str) -> Result<(), String> {
    let bare = body.trim_ascii();
    let quoted = bare.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    match status {
        200..300 if body == echostr.as_bytes() => Ok(()),
        200..300 if bare == echostr.as_bytes() => {
            Err("there are blanks or line ends around echostr: answer the bare text".to_owned())
        }
        200..300 if quoted == Some(echostr.as_bytes()) => {
            Err("there are quotes around echostr: answer the bare text, not JSON".to_owned())
        }
        200..300 => Err("the answer is not the echostr of the query".to_owned()),
        404 | 405 | 501 => Err(format!("HTTP {status}: the URL must answer GET, too")),
        _ => Err(format!("HTTP {status} is no answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_text_will_do() {
        assert_eq!(judge(200, b"4375", "4375"), Ok(()));
        for (status, body, words) in [
            (200, "\"4375\"", "quotes around"),
            (200, "4375\n", "line ends around"),
            (200, "success", "not the echostr"),
            (405, "4375", "must answer GET"),
            (500, "4375", "HTTP 500"),
        ] {
            let why = judge(status, body.as_bytes(), "4375").map_or_else(|why| why, |()| String::new());
            assert!(why.contains(words), "{body} {why}");
        }
    }
}
