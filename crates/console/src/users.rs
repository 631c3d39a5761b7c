//! The page Users: the simulated people, what they hand over as open data, and WeChat's time; and who has logged in by CloudBase's SDKs.

use ejson::shell;
use gateway::{ReplyBody, WebLogin};
use http::{Response, StatusCode};
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use wording::{Wording, wording};

use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, trouble},
    simulated::{Error, Simulated, User},
    web::{self, Fields},
};

/// A step of the clock that is offered.
struct ClockStep {
    /// One second more than its name says.
    seconds: u64,
    /// In both languages, as what follows.
    name: (&'static str, &'static str),
    /// What has ended then.
    ended: (&'static str, &'static str),
}

const STEPS: [ClockStep; 4] = [
    ClockStep {
        seconds: 301,
        name: ("5 min", "5 分钟"),
        ended: (
            "login codes and cloudIDs have expired",
            "登录 code 和 cloudID 过期",
        ),
    },
    ClockStep {
        seconds: 7201,
        name: ("2 h", "2 小时"),
        ended: (
            "bearer tokens and access_tokens have expired",
            "token 和 access_token 过期",
        ),
    },
    ClockStep {
        seconds: 259_201,
        name: ("3 days", "3 天"),
        ended: (
            "a session_key that is not used has lapsed",
            "不用的 session_key 失效",
        ),
    },
    ClockStep {
        seconds: 2_592_001,
        name: ("30 days", "30 天"),
        ended: (
            "links without a life of their own have expired",
            "没有写有效期的链接过期",
        ),
    },
];

pub(crate) async fn page(
    inner: &Inner,
    viewer: &Viewer,
    simulated: Option<&Simulated>,
) -> Response<ReplyBody> {
    let people = match simulated {
        Some(simulated) => html! { div #users { (content(viewer, simulated, None).await) } },
        None => html! {},
    };
    let of_web = of_web(
        viewer.lang,
        &inner.gateway.web_logins(),
        inner.gateway.ways_to_log_in(),
    );
    layout::page(viewer, Page::Users, html! { (people) (of_web) })
}

/// Who has logged in by CloudBase's SDKs.
fn of_web(lang: Lang, logins: &[WebLogin], ways: [(&str, bool); 3]) -> Markup {
    html! {
        h2 #web-users { (lang.t("Users of web pages", "网页用户")) }
        p .dim { (lang.t(
            "who have logged in by CloudBase's SDKs since the server started.",
            "服务启动以来通过 CloudBase SDK 登录的用户。",
        )) }
        ul .chips { @for (way, is_open) in ways { li {
            code { "[auth] " (way) } " "
            @if is_open { span .badge.good { (lang.t("on", "已开启")) } } @else { span .dim { (lang.t("off", "未开启")) } }
        } } }
        @if logins.is_empty() {
            p .dim { (lang.t("Nobody yet.", "暂无。")) }
        } @else {
            table .web-users {
                thead { tr {
                    th scope="col" { "uid" }
                    th scope="col" { (lang.t("Way", "登录方式")) }
                    th scope="col" { (lang.t("Known as", "对应")) }
                    th scope="col" .number { (lang.t("Times seen", "出现次数")) }
                    th scope="col" { (lang.t("Last", "最近")) }
                } }
                tbody { @for login in logins { tr {
                    td { code { (shell::visible(&login.uid)) } }
                    td { code { (login.login_type) } }
                    td { @match login.openid.as_ref().or(login.name.as_ref()) {
                        Some(name) => code { (shell::visible(name)) },
                        None => span .dim { "–" },
                    } }
                    td .number { (login.times) }
                    td { @if let Ok(at) = Timestamp::try_from(login.last) { (layout::time(at)) } }
                } } }
            }
        }
    }
}

/// Does what a form of the page asks for, and shows the page as it is then.
pub(crate) async fn act(
    viewer: &Viewer,
    simulated: &Simulated,
    what: &str,
    form: &Fields,
) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let name = form.get("name");
    let done = match what {
        "change" => match change(form) {
            Ok(change) => simulated
                .change_user(&change)
                .await
                .map(|()| lang.t("Saved: ", "已保存：")),
            Err(error) => Err(Error::Refused(error)),
        },
        "rotate" => {
            let rotated = simulated.login(name, true).await;
            rotated.map(|()| {
                lang.t(
                    "A new session_key; open data taken before is void: ",
                    "已更换 session_key，此前取得的开放数据失效：",
                )
            })
        }
        "clock" => match form.get("advance").parse() {
            Ok(seconds) => simulated
                .advance(seconds)
                .await
                .map(|()| lang.t("WeChat's time was stepped.", "微信时间已前进。")),
            Err(_) => Err(Error::Refused(wording!(
                "advance is a number of seconds",
                "advance 应为秒数"
            ))),
        },
        _ => return crate::missing(viewer),
    };
    let said = match done {
        Ok(text) => html! { p .notice role="status" { (text) (name) } },
        Err(error) => trouble(&error.text(lang)),
    };
    web::html(StatusCode::OK, content(viewer, simulated, Some(said)).await)
}

/// What the form changes; what was left empty stays as it is.
fn change(form: &Fields) -> Result<Value, Wording> {
    let mut change = Map::new();
    change.insert("name".to_owned(), form.get("name").into());
    if !form.get("phone").is_empty() {
        change.insert("phone".to_owned(), form.get("phone").into());
    }
    if !form.get("nick").is_empty() {
        change.insert("profile".to_owned(), json!({ "nickName": form.get("nick") }));
    }
    if !form.get("steps").is_empty() {
        let days = form
            .get("steps")
            .split([',', ' ', '，'])
            .filter(|day| !day.is_empty());
        let days: Result<Vec<u32>, _> = days.map(str::parse).collect();
        let days = days.map_err(|_| {
            wording!(
                "steps are whole numbers, one for each day, today's last",
                "步数应为整数，每天一个，今日在最后"
            )
        })?;
        change.insert("steps".to_owned(), days.into());
    }
    Ok(change.into())
}

async fn content(viewer: &Viewer, simulated: &Simulated, said: Option<Markup>) -> Markup {
    let lang = viewer.lang;
    let read = async || Ok::<_, Error>((simulated.users().await?, simulated.now().await?));
    match read().await {
        Ok((users, now)) => html! {
            (said.unwrap_or_default())
            (clock(lang, now))
            div .cards { @for user in &users { (card(lang, user)) } (newcomer(lang)) }
        },
        Err(error) => html! { (said.unwrap_or_default()) (trouble(&error.text(lang))) },
    }
}

fn clock(lang: Lang, now: i64) -> Markup {
    let now = Timestamp::from_second(now).ok();
    let now = now.map(|now| now.to_zoned(TimeZone::system()).strftime("%F %T").to_string());
    html! {
        section .card aria-label=(lang.t("WeChat's time", "微信时间")) {
            h2 { (lang.t("WeChat's time", "微信时间")) }
            p { time { (now.unwrap_or_default()) } " " span .dim { (lang.t(
                "decides what has expired: login codes, cloudIDs, tokens. It only goes forward.",
                "决定登录 code、cloudID、token 是否过期，只能向前。",
            )) } }
            form .actions hx-post="/users/clock" hx-target="#users" {
                span { (lang.t("Step it by", "前进")) }
                @for step in &STEPS {
                    button name="advance" value=(step.seconds) { (lang.t(step.name.0, step.name.1)) }
                }
            }
            ul .last.dim { @for ClockStep { name, ended, .. } in &STEPS {
                li { (lang.t("After ", "")) (lang.t(name.0, name.1)) (lang.t(" ", "后，")) (lang.t(ended.0, ended.1)) }
            } }
        }
    }
}

fn card(lang: Lang, user: &User) -> Markup {
    let most = user.steps.iter().copied().max().unwrap_or(1).max(1);
    let today = user.steps.last().copied().unwrap_or_default();
    html! {
        article .card {
            h2 { (user.name) " " span .dim { (user.profile.nick_name) } }
            dl .facts.lines {
                div { dt { "openid" } dd { code { (user.openid) } } }
                @if let Some(unionid) = &user.unionid { div { dt { "unionid" } dd { code { (unionid) } } } }
                div { dt { (lang.t("phone", "手机号")) } dd { (user.phone) } }
                div { dt { (lang.t("steps today", "今日步数")) } dd { (today) } }
            }
            svg .steps viewBox="0 0 310 60" role="img" aria-label=(lang.t("Steps of the last 31 days", "最近 31 天的步数")) {
                @for (day, steps) in user.steps.iter().enumerate() {
                    @let high = f64::from(*steps) * 60.0 / f64::from(most);
                    rect x=(day * 10 + 1) width="8" y=(60.0 - high) height=(high) {}
                }
            }
            details {
                summary { (lang.t("Change", "修改")) }
                form .edit hx-post="/users/change" hx-target="#users" {
                    input type="hidden" name="name" value=(user.name);
                    label { (lang.t("Nickname", "昵称")) input name="nick" value=(user.profile.nick_name); }
                    label { (lang.t("Phone", "手机号")) input name="phone" inputmode="numeric" value=(user.phone); }
                    label { (lang.t("Steps, today's last", "步数（今日在最后）")) input name="steps" placeholder="8000, 12000"; }
                    button { (lang.t("Save", "保存")) }
                }
            }
            form .actions hx-post="/users/rotate" hx-target="#users" {
                input type="hidden" name="name" value=(user.name);
                button { (lang.t("Log in anew, with a new session_key", "重新登录并更换 session_key")) }
            }
        }
    }
}

fn newcomer(lang: Lang) -> Markup {
    html! {
        article .card {
            h2 { (lang.t("Somebody new", "新用户")) }
            form .edit hx-post="/users/change" hx-target="#users" {
                label { (lang.t("Name", "名字")) input name="name" required maxlength="64" autocomplete="off"; }
                label { (lang.t("Nickname (if any)", "昵称（可空）")) input name="nick" autocomplete="off"; }
                button { (lang.t("Add", "添加")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_left_empty_stays() {
        let form = Fields::parse("name=a&nick=&phone=12066600001&steps=1%2C 2，3".as_bytes());
        assert_eq!(
            change(&form).unwrap(),
            json!({"name": "a", "phone": "12066600001", "steps": [1, 2, 3]})
        );
        assert!(change(&Fields::parse(b"name=a&steps=x")).is_err());
    }
}
