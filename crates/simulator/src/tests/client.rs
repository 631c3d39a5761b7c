//! The client API: logins, session_keys and what is encrypted with them.

use clock::Timestamp;
use opendata::Policy;
use serde_json::{Value, json};

use super::{NOW, Sim, opened};
use crate::SimulatorSettings;

const OPEN_DATA: [&str; 6] = [
    "getUserInfo",
    "getUserProfile",
    "getWeRunData",
    "getPhoneNumber",
    "getShareInfo",
    "getGroupEnterInfo",
];

#[tokio::test]
async fn we_run_data_is_the_last_31_days_in_beijing_and_passes_the_watermark() {
    let sim = Sim::new();
    let (_, key) = sim.session("alice").await;
    let steps = |answer: &Value, now: u64| {
        let part = |name: &str| answer[name].as_str().unwrap();
        let decrypted = opendata::decrypt(&key, part("encryptedData"), part("iv")).unwrap();
        let policy = Policy::new(SimulatorSettings::default().appid);
        let plain = decrypted
            .into_plaintext(&policy, Timestamp::from_secs(now))
            .unwrap();
        let data: Value = serde_json::from_str(plain.as_json()).unwrap();
        assert_eq!(data["watermark"]["timestamp"], now);
        let list = data["stepInfoList"].as_array().unwrap();
        list.iter()
            .map(|day| day["timestamp"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let call = json!({ "user": "alice", "api": "getWeRunData" });
    let days = steps(&sim.client(call.clone()).await, NOW);
    assert_eq!(days.len(), 31);
    // 2026-11-21 00:00 in Beijing.
    assert_eq!(days[30], 1_795_190_400);
    assert!(days.windows(2).all(|pair| pair[1] - pair[0] == 24 * 3600));

    // 20:10 + 3:50 is the next day's midnight.
    let to_midnight = 3 * 3600 + 50 * 60;
    sim.advance(to_midnight - 1).await;
    assert_eq!(
        steps(&sim.client(call.clone()).await, NOW + to_midnight - 1)[30],
        days[30]
    );
    sim.advance(1).await;
    assert_eq!(
        steps(&sim.client(call).await, NOW + to_midnight)[30],
        days[30] + 24 * 3600
    );
}

#[tokio::test]
async fn user_info_is_signed_and_profile_names_nobody() {
    let sim = Sim::new();
    let (openid, key) = sim.session("alice").await;
    let info = sim.client(json!({ "user": "alice", "api": "getUserInfo" })).await;
    assert!(key.verify(
        info["rawData"].as_str().unwrap(),
        info["signature"].as_str().unwrap()
    ));
    let data: Value = serde_json::from_str(&opened(&key, &info)).unwrap();
    assert_eq!(data["openId"], openid);

    let profile = sim
        .client(json!({ "user": "alice", "api": "getUserProfile" }))
        .await;
    assert!(key.verify(
        profile["rawData"].as_str().unwrap(),
        profile["signature"].as_str().unwrap()
    ));
    let plain = opened(&key, &profile);
    assert!(!plain.contains(&openid) && !plain.contains("unionId"), "{plain}");

    let bare = sim
        .client(json!({ "user": "bob", "api": "getUserInfo", "withCredentials": false }))
        .await;
    assert_eq!(bare["errMsg"], "getUserInfo:ok");
    assert!(bare["userInfo"].is_object());
    for secret in ["encryptedData", "iv", "cloudID", "signature"] {
        assert_eq!(bare.get(secret), None);
    }
}

#[tokio::test]
async fn without_a_login_there_is_no_open_data() {
    let sim = Sim::new();
    for api in OPEN_DATA {
        let answer = sim.client(json!({ "user": "alice", "api": api })).await;
        if api == "getPhoneNumber" {
            // Its code has nothing to do with a login.
            assert_eq!(answer["errMsg"], "getPhoneNumber:ok");
            assert_eq!(answer["code"].as_str().unwrap().len(), 64);
            assert_eq!(answer.get("encryptedData"), None);
        } else {
            assert_eq!(
                answer,
                json!({ "errMsg": format!("{api}:fail session time out, need relogin") })
            );
        }
    }
    assert!(sim.heard("alice's getWeRunData failed because there is no session_key"));
    let check = sim
        .client(json!({ "user": "alice", "api": "checkSession" }))
        .await;
    assert_eq!(
        check["errMsg"],
        "checkSession:fail session time out, need relogin"
    );
    sim.login("alice").await;
    let check = sim
        .client(json!({ "user": "alice", "api": "checkSession" }))
        .await;
    assert_eq!(check, json!({ "errMsg": "checkSession:ok" }));
    // Alice's login is not Bob's.
    let check = sim.client(json!({ "user": "bob", "api": "checkSession" })).await;
    assert_eq!(
        check["errMsg"],
        "checkSession:fail session time out, need relogin"
    );
}

#[tokio::test]
async fn a_login_rotates_an_old_key_and_any_key_when_told_to() {
    let sim = Sim::new();
    let (_, first) = sim.session("alice").await;
    sim.advance(599).await;
    assert_eq!(sim.session("alice").await.1, first);
    sim.advance(1).await;
    let in_hand = sim
        .client(json!({ "user": "alice", "api": "getWeRunData" }))
        .await;
    let (_, second) = sim.session("alice").await;
    assert_ne!(second, first);
    assert!(sim.heard("alice's login gave a new session_key"));
    // What the client took before the login stays under the old key.
    assert!(opened(&first, &in_hand).contains("stepInfoList"));
    let part = |name: &str| in_hand[name].as_str().unwrap();
    let junk = opendata::decrypt(&second, part("encryptedData"), part("iv"));
    assert!(junk.is_err(), "{junk:?}");
    let taken_now = sim
        .client(json!({ "user": "alice", "api": "getWeRunData" }))
        .await;
    assert!(opened(&second, &taken_now).contains("stepInfoList"));

    let told = sim
        .client(json!({ "user": "alice", "api": "login", "rotate": true }))
        .await;
    let third = sim.exchange(told["code"].as_str().unwrap()).await.json();
    assert_ne!(third["session_key"], second.expose());
}

#[tokio::test]
async fn a_key_lapses_when_it_is_not_used_and_each_use_extends_it() {
    let sim = Sim::new();
    let day = 24 * 3600;
    let (_, key) = sim.session("alice").await;
    for _ in 0..3 {
        sim.advance(2 * day).await;
        let answer = sim
            .client(json!({ "user": "alice", "api": "getWeRunData" }))
            .await;
        assert!(opened(&key, &answer).contains("stepInfoList"));
    }
    // To ask whether it is good is no use of it.
    sim.advance(3 * day).await;
    let check = json!({ "user": "alice", "api": "checkSession" });
    assert_eq!(sim.client(check.clone()).await["errMsg"], "checkSession:ok");
    sim.advance(1).await;
    assert_eq!(
        sim.client(check).await["errMsg"],
        "checkSession:fail session time out, need relogin"
    );
    let answer = sim
        .client(json!({ "user": "alice", "api": "getWeRunData" }))
        .await;
    assert_eq!(
        answer["errMsg"],
        "getWeRunData:fail session time out, need relogin"
    );
    assert_ne!(sim.session("alice").await.1, key);
}

#[tokio::test]
async fn what_open_data_carries_depends_on_the_base_library_and_on_cloud_development() {
    for (lib_version, cloud_opened, cloud_id, code) in [
        ("3.15.3", true, true, true),
        ("3.15.3", false, false, true),
        ("2.21.1", true, true, false),
        ("2.7.0", true, true, false),
        ("2.6.10", true, false, false),
    ] {
        let settings = SimulatorSettings {
            lib_version: lib_version.to_owned(),
            cloud_opened,
            ..SimulatorSettings::default()
        };
        let sim = Sim::with(settings);
        sim.login("alice").await;
        for api in OPEN_DATA {
            let answer = sim.client(json!({ "user": "alice", "api": api })).await;
            assert!(answer["encryptedData"].is_string());
            assert_eq!(
                answer.get("cloudID").is_some(),
                cloud_id,
                "{api} {lib_version} {cloud_opened}"
            );
            let has_code = api == "getPhoneNumber" && code;
            assert_eq!(answer.get("code").is_some(), has_code, "{api} {lib_version}");
        }
    }
}

#[tokio::test]
async fn everyone_is_in_one_group() {
    let sim = Sim::new();
    let (_, alice) = sim.session("alice").await;
    let (_, bob) = sim.session("bob").await;
    let group = async |user: &str, api: &str| sim.client(json!({ "user": user, "api": api })).await;
    let shared: Value = serde_json::from_str(&opened(&alice, &group("alice", "getShareInfo").await)).unwrap();
    let entered: Value =
        serde_json::from_str(&opened(&bob, &group("bob", "getGroupEnterInfo").await)).unwrap();
    assert_eq!(shared["openGId"], entered["opengid"]);
    assert_eq!(entered.get("group_openid"), None);
}

#[tokio::test]
async fn a_strict_client_wants_its_options() {
    let sim = Sim::with(SimulatorSettings {
        strict: true,
        ..SimulatorSettings::default()
    });
    sim.login("alice").await;
    for (api, option) in [("getUserProfile", "desc"), ("getShareInfo", "shareTicket")] {
        let mut call = json!({ "user": "alice", "api": api });
        let refused = sim.client(call.clone()).await;
        let text =
            format!("{api}:fail parameter error: parameter.{option} should be String instead of Undefined;");
        assert_eq!(refused, json!({ "errMsg": text }));
        call[option] = json!("for a test");
        assert_eq!(sim.client(call).await["errMsg"], format!("{api}:ok"));
    }
}

#[tokio::test]
async fn a_login_code_looks_like_wechats() {
    let sim = Sim::new();
    let code = sim.login("alice").await;
    assert_eq!(code.len(), 32);
    assert!(
        code.starts_with('0') && code.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{code}"
    );
}
