//! `/auth/v1/…`: logging in, another access token, logging out.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ::cloudbase::{
    DeviceId, LoginType, ProviderIdentity, Session, Tokens, WebUser,
    auth::{AuthDoor, AuthFault, AuthRequest, me, token_answer},
};
use bytes::Bytes;
use calls::{Note, ids};
use http::{HeaderMap, StatusCode, request::Parts};
use serde_json::json;
use wording::{Wording, wording};

use super::{AUTH_BODY, passwords::NotLetIn};
use crate::{
    Inner,
    bearer::Bearer,
    body::{BodySender, UnreadBody},
    failure::Failure,
    login,
    reply::{self, HttpReply},
    routes::show_bearer,
};

const DEVICE: &str = "x-device-id";

/// A refusal, and what the log is told of it.
pub(super) struct Refused {
    pub(super) fault: AuthFault,
    pub(super) why: Option<Wording>,
}

impl From<AuthFault> for Refused {
    fn from(fault: AuthFault) -> Self {
        Self { fault, why: None }
    }
}

impl Refused {
    pub(super) fn because(fault: AuthFault, why: Wording) -> Self {
        Self {
            fault,
            why: Some(why),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let status = StatusCode::from_u16(refused.fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let failure = Self::worded(status, refused.fault.body());
        match refused.why {
            Some(why) => failure.because(why),
            None => failure,
        }
    }
}

/// Answers a request.
///
/// # Errors
/// A refusal, in the words of this door.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    door: Option<AuthDoor>,
    head: &Parts,
    body: &mut UnreadBody,
    client_ip: IpAddr,
    request_id: &str,
) -> Result<HttpReply, Failure> {
    let door = door.ok_or_else(|| Failure::from(Refused::from(AuthFault::unimplemented())))?;
    let body = body.read(&AUTH_BODY, BodySender::Stranger, &inner.budget).await;
    let body = body.map_err(|failure| {
        let fault = AuthFault::of_status(failure.status.as_u16(), failure.text.clone());
        failure.in_words(fault.body())
    })?;
    let asked = AuthRequest::read(&body.bytes).map_err(Refused::from)?;
    let clients = &inner.web_clients;
    let now = inner.clock.now();
    let session = match door {
        AuthDoor::Anonymously => anonymously(inner, device(&head.headers)?)?,
        AuthDoor::Custom => by_ticket(inner, &asked.ticket.unwrap_or_default())?,
        AuthDoor::Password => {
            let (name, password) = (
                asked.username.unwrap_or_default(),
                asked.password.unwrap_or_default(),
            );
            by_password(inner, request_id, &name, &password, client_ip).await?
        }
        AuthDoor::WithProvider => {
            let token = asked.provider_token.unwrap_or_default();
            let identity = clients.tokens.open_provider(&token, now);
            let ProviderIdentity { openid, unionid } = identity.map_err(|error| {
                Refused::because(
                    AuthFault::credentials("the provider token is not valid"),
                    Wording::as_is(error),
                )
            })?;
            Session::new(ids::api_token(), WebUser::of_wechat(openid, unionid))
        }
        AuthDoor::Token => {
            if asked
                .grant_type
                .as_deref()
                .is_some_and(|kind| kind != "refresh_token")
            {
                return Err(Refused::from(AuthFault::argument("grant_type is refresh_token here")).into());
            }
            continued(inner, &asked.refresh_token.unwrap_or_default()).await?
        }
        AuthDoor::Revoke => {
            let token = asked.token.or(asked.refresh_token).unwrap_or_default();
            if let Ok(session) = clients.tokens.open_session(&token, now) {
                end(inner, &session.id, session.login()).await?;
            } else if let Ok(access) = clients.tokens.open_access(&token, now) {
                end(inner, &access.session, access.user.login).await?;
            }
            // Who has no valid token is logged out already.
            return Ok(reply::json(Bytes::from_static(b"{}")));
        }
        AuthDoor::SignOut => {
            let access = shown(inner, head)?;
            end(inner, &access.session, access.user.login).await?;
            return Ok(reply::json(Bytes::from_static(b"{}")));
        }
        AuthDoor::ProviderToken => {
            if !asked.is_login_code() {
                return Err(Refused::because(
                    AuthFault::unimplemented(),
                    wording!(
                        "somebody tried to log in by something else than a code of wx.login, such as a phone number, which is not served",
                        "有人用 wx.login 的 code 以外的方式登录（如手机号），这里不支持"
                    ),
                )
                .into());
            }
            let identity = by_code(inner, asked.provider_id.as_deref(), asked.provider_code).await?;
            let token = clients.tokens.seal_provider(&identity, now);
            return reply::to_json(&json!({"provider_token": token, "expires_in": 300})).map(reply::json);
        }
        AuthDoor::Me => {
            let access = shown(inner, head)?;
            return reply::to_json(&me(&access.user, &inner.appid)).map(reply::json);
        }
    };
    clients.note_login(&session.user);
    reply::to_json(&token_answer(&clients.tokens, &session, now)).map(reply::json)
}

/// Who shows an access token in the head.
fn shown(inner: &Inner, head: &Parts) -> Result<::cloudbase::Access, Refused> {
    let token = show_bearer(&head.headers);
    let access = inner.web_clients.identify(token, inner.clock.now());
    access
        .ok()
        .flatten()
        .ok_or_else(|| AuthFault::unauthenticated().into())
}

/// The device that asks, or a new one.
fn device(headers: &HeaderMap) -> Result<DeviceId, Refused> {
    let Some(id) = headers.get(DEVICE) else {
        return new_device();
    };
    let id = id.to_str().ok().and_then(DeviceId::parse);
    id.ok_or_else(|| {
        let wrong =
            "x-device-id must be 16 to 128 letters, digits, - and _: whoever has it is this anonymous user";
        AuthFault::argument(wrong).into()
    })
}

/// A device that nobody has.
pub(super) fn new_device() -> Result<DeviceId, Refused> {
    DeviceId::parse(&ids::api_token()).ok_or_else(|| AuthFault::internal().into())
}

pub(super) fn anonymously(inner: &Inner, device: DeviceId) -> Result<Session, Refused> {
    may_anonymously(inner)?;
    Ok(Session::new(ids::api_token(), WebUser::anonymous(&device)))
}

fn may_anonymously(inner: &Inner) -> Result<(), Refused> {
    match inner.web_clients.anonymous {
        true => Ok(()),
        false => Err(Refused::because(
            AuthFault::disabled("anonymous login"),
            wording!(
                "somebody tried to log in anonymously; [auth] anonymous = true in yunqiao.toml would let them",
                "有人尝试匿名登录；在 yunqiao.toml 中设置 [auth] anonymous = true 即可允许"
            ),
        )),
    }
}

pub(super) fn by_ticket(inner: &Inner, ticket: &str) -> Result<Session, Refused> {
    let clients = &inner.web_clients;
    if clients.ticket_keys.is_empty() {
        return Err(Refused::because(
            AuthFault::disabled("custom login"),
            wording!(
                "somebody showed a ticket; [auth] ticket_keys in yunqiao.toml names the public keys of those who may make them",
                "有人用 ticket 登录；yunqiao.toml 的 [auth] ticket_keys 列出可以签发 ticket 的公钥"
            ),
        ));
    }
    let verified = clients
        .ticket_keys
        .verify(ticket, clients.tokens.env(), machine_time());
    let ticket = verified.map_err(|error| {
        Refused::because(
            AuthFault::credentials("the ticket is not valid, or has expired"),
            wording!("a ticket was refused: {error}", "一个 ticket 被拒绝：{error}"),
        )
    })?;
    Ok(Session {
        proof: Some(ticket.key_id),
        at_most: ticket.expire,
        access_life: ticket.refresh.filter(|life| *life > 0),
        ..Session::new(ids::api_token(), WebUser::custom(&ticket.uid))
    })
}

pub(super) async fn by_password(
    inner: &Inner,
    request_id: &str,
    name: &str,
    password: &str,
    client_ip: IpAddr,
) -> Result<Session, Refused> {
    let let_in = inner
        .web_clients
        .passwords
        .let_in(name, password, client_ip)
        .await;
    let let_in = let_in.map_err(|why| {
        if let NotLetIn::Wrong = why {
            let name = cut(name);
            inner.journal.note(&Note {
                request_id,
                openid: None,
                text: &wording!(
                    "a login as {name:?} from {client_ip} had a wrong name or password",
                    "来自 {client_ip}、用户名 {name:?} 的登录：用户名或密码不对"
                ),
            });
        }
        not_let_in(why, name, client_ip)
    })?;
    Ok(Session {
        proof: Some(let_in.mark),
        ..Session::new(ids::api_token(), let_in.user)
    })
}

/// Enough of a name to recognise it in a log.
fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

fn passwords_unread(why: &str) -> Wording {
    wording!(
        "[auth] passwords cannot be read: {why}",
        "无法读取 [auth] passwords：{why}"
    )
}

fn not_let_in(why: NotLetIn, name: &str, client_ip: IpAddr) -> Refused {
    match why {
        NotLetIn::Disabled => Refused::because(
            AuthFault::disabled("login by password"),
            wording!(
                "somebody tried a password; [auth] passwords in yunqiao.toml names the file of those who have one",
                "有人尝试密码登录；yunqiao.toml 的 [auth] passwords 指定存放用户和密码的文件"
            ),
        ),
        NotLetIn::Wrong => AuthFault::password().into(),
        NotLetIn::TooMany { is_first: true } => Refused::because(AuthFault::exhausted(), {
            let name = cut(name);
            wording!(
                "passwords are guessed, of {name:?} from {client_ip}: further tries are refused unlooked at until some seconds have passed",
                "来自 {client_ip} 的请求在猜 {name:?} 的密码：几秒之内不再受理"
            )
        }),
        NotLetIn::TooMany { is_first: false } => AuthFault::exhausted().into(),
        NotLetIn::Broken(why) => Refused::because(AuthFault::internal(), passwords_unread(&why)),
    }
}

/// Who WeChat says that the holder of a login code is.
async fn by_code(
    inner: &Inner,
    provider: Option<&str>,
    code: Option<String>,
) -> Result<ProviderIdentity, Refused> {
    if provider != Some(inner.appid.as_str()) {
        let (provider, appid) = (provider.unwrap_or_default(), &inner.appid);
        return Err(Refused::because(
            AuthFault::disabled("login by that provider"),
            wording!(
                "somebody tried to log in by the provider {provider:?}, and the one that is served is the Mini Program {appid}",
                "有人用 {provider:?} 登录，而这里只接受小程序 {appid}"
            ),
        ));
    }
    let login = login::exchange(inner, code.unwrap_or_default()).await;
    let login = login.map_err(|failure| {
        let why = failure.cause.map(|cause| cause.text);
        let fault = match failure.status.as_u16() {
            502 => AuthFault::unavailable(),
            500.. => AuthFault::internal(),
            _ => AuthFault::credentials(format!("the login code was refused: {}", failure.text)),
        };
        Refused { fault, why }
    })?;
    Ok(ProviderIdentity {
        openid: login.openid,
        unionid: login.unionid,
    })
}

/// The session of a refresh token, if what it was begun with still holds.
pub(super) async fn continued(inner: &Inner, token: &str) -> Result<Session, Refused> {
    let clients = &inner.web_clients;
    let session = clients
        .tokens
        .open_session(token, inner.clock.now())
        .map_err(|_| AuthFault::grant())?;
    let proof = session.proof.as_deref().unwrap_or_default();
    let holds = match session.login() {
        LoginType::Anonymous => clients.anonymous,
        LoginType::Custom => clients.ticket_keys.knows(proof),
        LoginType::WeChat => wechat_s_session_holds(inner, &session.user).await?,
        LoginType::Username => match clients.passwords.still_holds(&session.user, proof).await {
            Ok(holds) => holds,
            Err(NotLetIn::Broken(why)) => {
                return Err(Refused::because(AuthFault::internal(), passwords_unread(&why)));
            }
            Err(_) => false,
        },
    };
    if !holds || clients.has_ended(&session.id) {
        return Err(AuthFault::grant().into());
    }
    match inner.store.is_revoked(&session.id).await {
        Ok(false) => Ok(session),
        Ok(true) => Err(AuthFault::grant().into()),
        Err(error) => Err(Refused::because(
            AuthFault::internal(),
            crate::failure::store_unread(&error),
        )),
    }
}

/// Whether WeChat's session still holds, where bearer tokens end with it too.
async fn wechat_s_session_holds(inner: &Inner, user: &WebUser) -> Result<bool, Refused> {
    let bearer = Bearer {
        openid: user.openid.clone().unwrap_or_default(),
        unionid: user.unionid.clone(),
        expires_at: inner.clock.now(),
        has_session: true,
    };
    let checked = inner.sessions.check(inner, &bearer).await;
    match checked {
        Ok(()) => Ok(true),
        Err(failure) if failure.status == StatusCode::UNAUTHORIZED => Ok(false),
        Err(failure) => Err(Refused {
            fault: match failure.status {
                StatusCode::BAD_GATEWAY => AuthFault::unavailable(),
                _ => AuthFault::internal(),
            },
            why: failure.cause.map(|cause| cause.text),
        }),
    }
}

/// Ends a session for good. One of an anonymous user is kept in memory alone: anybody may begin as many as they like, and whoever has
/// the device's id is that user without a session too.
pub(super) async fn end(inner: &Inner, session: &str, of: LoginType) -> Result<(), Refused> {
    inner.web_clients.end(session, of);
    if of == LoginType::Anonymous {
        return Ok(());
    }
    // None lives longer from its last refresh than this.
    let nobody = Session::new(session.to_owned(), WebUser::custom(""));
    let until = Tokens::session_end(&nobody, inner.clock.now());
    inner.store.revoke(session, until).await.map_err(|error| {
        let error = error.report();
        Refused::because(
            AuthFault::internal(),
            wording!("a logout could not be kept: {error}", "无法保存退出登录：{error}"),
        )
    })
}

/// A ticket is made by another server's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a ticket's times are those of the machine that made it, and none of WeChat's"
)]
fn machine_time() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}
