//! What the simulator writes, held to the samples in `golden/`: the same members in the same order, values of the same
//! types.

use std::fmt;

use axum::http::Method;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};

use super::{Sim, opened, plain_token, stable_token};

/// A JSON text without its values. Of an array, what its members have in common.
#[derive(Debug, PartialEq)]
enum Shape {
    Object(Vec<(String, Self)>),
    Array(Option<Box<Self>>),
    Text,
    Number,
    Bool,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        struct See;
        impl<'de> Visitor<'de> for See {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON without null")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Shape::Object(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let first: Option<Shape> = seq.next_element()?;
                while let Some(next) = seq.next_element()? {
                    assert_eq!(Some(&next), first.as_ref(), "members of one array differ");
                }
                Ok(Shape::Array(first.map(Box::new)))
            }

            fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
                Ok(Shape::Text)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
                Ok(Shape::Number)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
                Ok(Shape::Bool)
            }
        }
        text.deserialize_any(See)
    }
}

fn shape(text: &str) -> Shape {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

macro_rules! like {
    ($text:expr, $sample:literal) => {
        assert_eq!(
            shape($text),
            shape(include_str!(concat!("../golden/", $sample, ".json"))),
            "{}",
            $sample
        )
    };
}

#[tokio::test]
async fn the_server_answers_in_the_documented_shapes() {
    let sim = Sim::new();
    let code = sim.login("alice").await;
    like!(&sim.exchange(&code).await.text, "jscode2session");
    like!(&sim.exchange(&code).await.text, "error");
    like!(&sim.get(&plain_token()).await.text, "token");
    like!(
        &sim.post("/cgi-bin/stable_token", stable_token(false)).await.text,
        "stable_token"
    );

    let (openid, key) = sim.session("alice").await;
    let token = sim.token().await;
    let signed = format!(
        "access_token={token}&openid={openid}&signature={}&sig_method=hmac_sha256",
        key.session_signature(b"")
    );
    like!(
        &sim.get(&format!("/wxa/checksession?{signed}")).await.text,
        "checksession"
    );
    like!(
        &sim.get(&format!("/wxa/resetusersessionkey?{signed}")).await.text,
        "resetusersessionkey"
    );

    let phone = sim
        .client(json!({ "user": "alice", "api": "getPhoneNumber" }))
        .await;
    let path = format!("/wxa/business/getuserphonenumber?access_token={token}");
    like!(
        &sim.post(&path, json!({ "code": phone["code"] })).await.text,
        "getuserphonenumber"
    );

    let path = format!("/wxa/getopendata?access_token={token}&openid={openid}");
    let ids = json!({ "cloudid_list": [phone["cloudID"], "nonsense"] });
    like!(&sim.post(&path, ids).await.text, "getopendata");
}

#[tokio::test]
async fn open_data_has_the_documented_shapes_and_a_cloud_id_stands_for_the_same() {
    let sim = Sim::new();
    let (openid, key) = sim.session("bob").await;
    let token = sim.token().await;
    for api in [
        "getUserInfo",
        "getUserProfile",
        "getWeRunData",
        "getPhoneNumber",
        "getShareInfo",
        "getGroupEnterInfo",
    ] {
        let answer = sim
            .client(json!({ "user": "bob", "api": api, "needGroupOpenID": true }))
            .await;
        assert_eq!(answer["errMsg"], format!("{api}:ok"));
        let plain = opened(&key, &answer);
        match api {
            "getUserInfo" => like!(&plain, "user_info"),
            "getUserProfile" => like!(&plain, "user_profile"),
            "getWeRunData" => like!(&plain, "we_run_data"),
            "getPhoneNumber" => like!(&plain, "phone_number"),
            "getShareInfo" => like!(&plain, "share_info"),
            _ => like!(&plain, "group_enter_info"),
        }
        if let Some(raw_data) = answer["rawData"].as_str() {
            like!(raw_data, "raw_data");
            assert_eq!(
                serde_json::from_str::<Value>(raw_data).unwrap(),
                answer["userInfo"]
            );
        }

        let path = format!("/wxa/getopendata?access_token={token}&openid={openid}");
        let id = answer["cloudID"].as_str().unwrap();
        let reply = sim
            .wechat(Method::POST, &path, json!({ "cloudid_list": [id] }).to_string())
            .await
            .json();
        let item = reply["data_list"][0]["json"].as_str().unwrap();
        assert_eq!(
            item,
            format!(r#"{{ "cloudID":"{id}", "data":{} }}"#, plain.replace('/', "\\/"))
        );
    }
}

#[tokio::test]
async fn links_keys_and_look_ups_have_the_documented_shapes() {
    let sim = Sim::new();
    let (openid, key) = sim.session("alice").await;
    let scheme = sim.api("/wxa/generatescheme", json!({})).await;
    like!(&scheme.text, "generatescheme");
    let query = async |body: Value| sim.api("/wxa/queryscheme", body).await.text;
    like!(
        &query(json!({ "scheme": scheme.json()["openlink"] })).await,
        "queryscheme"
    );
    like!(&query(json!({ "query_type": 1 })).await, "queryscheme_quota");
    let appid = crate::SimulatorSettings::default().appid;
    let plain = format!("weixin://dl/business/?appid={appid}&path=xxx&query=a=1&b=2&env_version=release");
    like!(&query(json!({ "scheme": plain })).await, "queryscheme_plain");
    let link = sim.api("/wxa/generate_urllink", json!({})).await;
    like!(&link.text, "generate_urllink");
    let asked = json!({ "url_link": link.json()["url_link"] });
    like!(&sim.api("/wxa/query_urllink", asked).await.text, "query_urllink");
    let asked = json!({ "page_url": "pages/index" });
    like!(
        &sim.api("/wxa/genwxashortlink", asked).await.text,
        "genwxashortlink"
    );

    let signed = format!(
        "openid={openid}&signature={}&sig_method=hmac_sha256",
        key.session_signature(b"")
    );
    let path = sim
        .with_token(&format!("/wxa/business/getuserencryptkey?{signed}"))
        .await;
    sim.get(&path).await;
    sim.advance(3600).await;
    like!(&sim.get(&path).await.text, "getuserencryptkey");
    sim.client(json!({ "user": "alice", "api": "requestPayment" }))
        .await;
    let path = sim
        .with_token(&format!("/wxa/getpaidunionid?openid={openid}"))
        .await;
    like!(&sim.get(&path).await.text, "getpaidunionid");
    let asked = json!({ "group_id": "xxx", "nonce": "yyy", "timestamp": 12_312_312_312_u64 });
    let path = format!("/wxa/getvoipsign?openid={openid}");
    like!(&sim.api(&path, asked).await.text, "getvoipsign");

    let asked = json!({ "cgi_path": "/wxa/gettemplatedraftlist" });
    assert_eq!(
        sim.api("/cgi-bin/openapi/quota/get", asked).await.errcode(),
        76021
    );
    let asked = json!({ "cgi_path": "/cgi-bin/message/custom/send" });
    like!(
        &sim.api("/cgi-bin/openapi/quota/get", asked).await.text,
        "quota_get"
    );
    let refused = sim.api("/cgi-bin/message/custom/send", json!({})).await.json();
    let (_, rid) = refused["errmsg"].as_str().unwrap().split_once("rid: ").unwrap();
    like!(
        &sim.api("/cgi-bin/openapi/rid/get", json!({ "rid": rid }))
            .await
            .text,
        "rid_get"
    );
}
