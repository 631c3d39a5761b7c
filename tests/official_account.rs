//! Users of an Official Account's page: WeChat's authorize page, its code, and what they may then.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{Dev, Scratch, run, text};

const ACCOUNT: &str = "wxfedcba9876543210";
const PAGE: &str = "http://127.0.0.1:9/page?a=1#/todos";

fn project() -> Scratch {
    let project = Scratch::new(&[("who", "exports.main = ({ userInfo }) => userInfo")]);
    project.write(
        "yunqiao.toml",
        &format!("[apps.{ACCOUNT}]\nsecret_file = \"account.secret\"\n[sim]\nforeign_codes = \"refuse\"\n"),
    );
    project.write("account.secret", "0123456789abcdef0123456789abcdef");
    let secret = project.path().join("account.secret");
    std::fs::set_permissions(secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    project
}

/// What the authorize page answers, which a browser would follow.
async fn authorize(dev: &Dev, params: &[(&str, &str)]) -> reqwest::Response {
    let _ = crate::support::client();
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let page = format!("{}/connect/oauth2/authorize", dev.wechat);
    browser.get(page).query(params).send().await.unwrap()
}

/// The code with which the page is opened as `user`.
async fn code(dev: &Dev, user: &str) -> String {
    let reply = authorize(
        dev,
        &[
            ("appid", ACCOUNT),
            ("redirect_uri", PAGE),
            ("response_type", "code"),
            ("scope", "snsapi_base"),
            ("state", "s 1"),
            ("user", user),
        ],
    )
    .await;
    assert_eq!(reply.status(), 302);
    let to = reply.headers()["location"].to_str().unwrap();
    let code = to
        .strip_prefix("http://127.0.0.1:9/page?a=1&code=")
        .and_then(|rest| rest.strip_suffix("&state=s+1#/todos"));
    code.unwrap_or_else(|| panic!("{to}")).to_owned()
}

async fn login(dev: &Dev, code: &str, appid: &str) -> (u16, Value) {
    let body = json!({"code": code, "appid": appid}).to_string();
    dev.post("/v1/login", None, body).await
}

#[tokio::test]
async fn a_user_of_an_official_account_logs_in_by_the_code_of_its_page() {
    let project = project();
    let dev = Dev::start(project.path());
    let in_mini_program = dev.login("alice").await;
    let (status, alice) = login(&dev, &code(&dev, "alice").await, ACCOUNT).await;
    assert_eq!(status, 200, "{alice}");
    let (_, bob) = login(&dev, &code(&dev, "bob").await, ACCOUNT).await;
    let (token, openid) = (text(&alice["token"]), text(&alice["openid"]));
    assert_ne!(
        openid, in_mini_program.openid,
        "each account knows a person by another openid"
    );
    assert!(alice["unionid"].is_string(), "{alice}");

    let called = dev.post("/v1/functions/who", Some(&token), "{}").await;
    assert_eq!(called.1["result"]["openId"], openid.as_str(), "{called:?}");
    let add = json!({"action": "database.insertDocument", "collectionName": "notes", "data": ["{\"a\":1}"]});
    let (_, added) = dev.post("/v1/database", Some(&token), add.to_string()).await;
    assert!(added["data"]["insertedIds"].is_array(), "{added}");
    let count = json!({"action": "database.calculateDocument", "collectionName": "notes", "query": "{}"});
    for (token, total) in [
        (&token, 1),
        (&text(&bob["token"]), 0),
        (&in_mini_program.token, 0),
    ] {
        let (_, counted) = dev.post("/v1/database", Some(token), count.to_string()).await;
        assert_eq!(counted["data"]["total"], total, "{counted}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_its_account_and_once() {
    let project = project();
    let dev = Dev::start(project.path());
    let used = code(&dev, "alice").await;
    assert_eq!(login(&dev, &used, ACCOUNT).await.0, 200);
    let of_mini_program = text(&dev.wx("alice", "login").await["code"]);
    for (code, appid, status, errcode) in [
        (used.as_str(), ACCOUNT, 401, 40163),
        ("none", ACCOUNT, 401, 40029),
        (&of_mini_program, ACCOUNT, 401, 40029),
        (&code(&dev, "bob").await, crate::support::APPID, 401, 40029),
        (&code(&dev, "bob").await, "wx0000000000000000", 400, -501_007),
    ] {
        let (came, reply) = login(&dev, code, appid).await;
        assert_eq!(
            (came, &reply["errCode"]),
            (status, &json!(errcode)),
            "{code} {appid}: {reply}"
        );
    }
    // The Mini Program's code was not used up by being sent elsewhere.
    assert_eq!(login(&dev, &of_mini_program, crate::support::APPID).await.0, 200);
}

#[tokio::test]
async fn the_authorize_page_asks_who_it_is_and_leads_nowhere_else() {
    let project = project();
    let dev = Dev::start(project.path());
    let params = |appid, redirect_uri, scope| {
        vec![
            ("appid", appid),
            ("redirect_uri", redirect_uri),
            ("response_type", "code"),
            ("scope", scope),
            ("state", "\"><script>"),
        ]
    };
    dev.sim("users", json!({"name": "<b>carol</b>"})).await;
    let reply = authorize(&dev, &params(ACCOUNT, PAGE, "snsapi_userinfo")).await;
    assert_eq!(reply.status(), 200);
    let page = reply.text().await.unwrap();
    assert!(
        page.contains(">alice</a>") && page.contains("&lt;b&gt;carol&lt;/b&gt;</a>"),
        "{page}"
    );
    assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
    for (appid, back, scope, why) in [
        ("wx0", PAGE, "snsapi_base", "[apps.APPID]"),
        (crate::support::APPID, PAGE, "snsapi_base", "appid of its own"),
        (ACCOUNT, "javascript:alert(1)", "snsapi_base", "redirect_uri"),
        (ACCOUNT, "http://a/\r\nx: y", "snsapi_base", "redirect_uri"),
        (ACCOUNT, PAGE, "other", "scope"),
    ] {
        let mut params = params(appid, back, scope);
        params.push(("user", "alice"));
        let reply = authorize(&dev, &params).await;
        assert_eq!(reply.status(), 400, "{appid} {back} {scope}");
        let page = reply.text().await.unwrap();
        assert!(page.contains(why), "{page}");
    }
}

/// The npm package, as a web page uses it.
#[tokio::test]
async fn the_client_s_cloud_is_that_of_the_official_account() {
    let project = project();
    let dev = Dev::start(project.path());
    let code = code(&dev, "bob").await;
    let script = "
const { Cloud, init } = await import(process.env.CLIENT)
const { URL: endpoint, APPID: appid, CODE: code } = process.env
init({ endpoint, appid, login: () => code })
const cloud = new Cloud({ resourceEnv: 'prod-1' })
await cloud.init()
const { result } = await cloud.callFunction({ name: 'who' })
await cloud.database().collection('notes').add({ data: { a: 1 } })
const { data } = await cloud.database().collection('notes').get()
console.log(JSON.stringify([result.openId, data[0]._openid]))
";
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../js/client/src/index.mjs");
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", script])
        .env("CLIENT", client.canonicalize().unwrap())
        .env("URL", &dev.server.url)
        .env("APPID", ACCOUNT)
        .env("CODE", code);
    let (output, out, errors) = run(&mut node);
    assert!(output.status.success(), "{errors}");
    let ids: Vec<String> = serde_json::from_str(&out).unwrap();
    assert!(ids[0].starts_with('o') && ids[0] == ids[1], "{ids:?}");
}
