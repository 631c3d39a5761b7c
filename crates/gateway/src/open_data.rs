//! `POST /v1/open-data`: the traditional way. The client hands over `encryptedData` and `iv`; they are
//! verified, decrypted with the user's session_key, and become a cloudID of our own, so that a function sees
//! the same shape wherever the data came from.
//!
//! A refusal says one thing to the client, whatever was wrong inside: the ciphertext comes from a client,
//! and telling bad padding from bad text would help somebody who alters it. The operator is told the cause,
//! above all the commonest: the session_key was rotated by a later login.

use bytes::Bytes;
use http::StatusCode;
use opendata::{CLOUD_ID_LIFE, DecryptError, Plaintext};
use serde::{Deserialize, Serialize};
use store::Session;
use wording::{Wording, wording};

use crate::{
    Inner, Note,
    bearer::Bearer,
    failure::{Failure, store_unread},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpenDataRequest {
    encrypted_data: String,
    iv: String,
    raw_data: Option<String>,
    signature: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenDataAnswer {
    #[serde(rename = "cloudID")]
    cloud_id: String,
    expires_in: u64,
}

/// Verifies, decrypts, and gives the reply's body.
///
/// # Errors
/// 400 when the body is malformed (-501007) or the open data is refused (-41001, -41002, -41003).
pub(crate) async fn exchange(
    inner: &Inner,
    request_id: &str,
    bearer: &Bearer,
    body: &[u8],
) -> Result<Bytes, Failure> {
    let request: OpenDataRequest = serde_json::from_slice(body).map_err(|error| {
        Failure::malformed(format!(
            "the request body must be {{\"encryptedData\",\"iv\",\"rawData\"?,\"signature\"?}}: {error}"
        ))
    })?;
    if request.raw_data.is_some() != request.signature.is_some() {
        return Err(Failure::malformed(
            "`rawData` and `signature` are checked together: send both, or neither",
        ));
    }
    let session = inner.store.session(&bearer.openid).await.map_err(|error| {
        Failure::internal()
            .because(store_unread(&error))
            .of_user(&bearer.openid)
    })?;
    let now = inner.clock.now();
    let Some(session) = session else {
        let failure = Failure::new(
            StatusCode::BAD_REQUEST,
            opendata::ILLEGAL_SESSION_KEY,
            "no session_key is known for this user: log in again with POST /v1/login",
        );
        return Err(failure
            .because(wording!(
                "open data was refused: no session_key is known for this user",
                "开放数据被拒绝：没有该用户的 session_key"
            ))
            .of_user(&bearer.openid));
    };
    let plaintext = open(inner, &session, &request).map_err(|error| {
        Failure::new(StatusCode::BAD_REQUEST, error.code(), error.public_text())
            .because(explain(inner, &session, &request, &error))
            .of_user(&bearer.openid)
    })?;
    if let Err(error) = inner.store.touch(&bearer.openid, now).await {
        // The exchange itself is done.
        let error = error.report();
        inner.journal.note(&Note {
            request_id,
            openid: Some(&bearer.openid),
            text: &wording!(
                "the session's last use could not be noted: {error}",
                "无法记下会话最近一次使用：{error}"
            ),
        });
    }
    crate::reply::to_json(&OpenDataAnswer {
        cloud_id: inner.tickets.mint(&bearer.openid, now, &plaintext),
        expires_in: CLOUD_ID_LIFE.as_secs(),
    })
}

fn open(inner: &Inner, session: &Session, request: &OpenDataRequest) -> Result<Plaintext, DecryptError> {
    if let (Some(raw_data), Some(signature)) = (&request.raw_data, &request.signature)
        && !session.key.verify(raw_data, signature)
    {
        return Err(DecryptError::BadSignature);
    }
    opendata::decrypt(&session.key, &request.encrypted_data, &request.iv)?
        .into_plaintext(&inner.policy, inner.clock.now())
}

/// The cause in a sentence. The key before the present one serves here, and only here: if the data opens
/// with it, the story is certain. What it opens is dropped.
fn explain(inner: &Inner, session: &Session, request: &OpenDataRequest, error: &DecryptError) -> Wording {
    let rotated = session.previous.as_ref().filter(|previous| {
        opendata::decrypt(&previous.key, &request.encrypted_data, &request.iv)
            .is_ok_and(|decrypted| json::Object::parse(decrypted.as_str().as_bytes()).is_ok())
    });
    match rotated {
        Some(previous) => {
            let ago = inner.clock.now().saturating_since(previous.until).as_secs();
            wording!(
                "open data was refused: it was encrypted with the session_key before the present one, which was rotated by a \
                 login {ago} s ago. The app must take open data after its last wx.login, not before it",
                "开放数据被拒绝：它是用上一个 session_key 加密的，{ago} 秒前的一次登录已更换 session_key。小程序应在最后一次 wx.login \
                 之后获取开放数据，而不是之前"
            )
        }
        None => wording!("open data was refused: {error}", "开放数据被拒绝：{error}"),
    }
}
