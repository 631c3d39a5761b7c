//! The unmodified wx-server-sdk, in every generation: it loads, and `getWXContext` is right.

use serde_json::{Value, json};

use crate::support::{APPID, Dev, Scratch};

const CONTEXT: &str = "
const cloud = require('wx-server-sdk');
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV });
exports.main = async (event, context) => {
  cloud.logger && cloud.logger().log({ said: 'by logger' });
  return {
    wx: cloud.getWXContext(),
    version: require('wx-server-sdk/package.json').version,
    context: { request_id: context.request_id, memory: context.memory_limit_in_mb, ms: context.time_limit_in_ms,
      name: context.function_name, left: context.getRemainingTimeInMillis(), environment: JSON.parse(context.environment).WX_OPENID },
    leaked: Object.keys(process.env).filter((name) => /^(CARGO|RUST|YUNQIAO|NODE_(?!PATH$)|npm_)/.test(name)),
    own: process.env.GREETING,
  };
};";

const MODULE: &str = "
import cloud from 'wx-server-sdk';
import { env } from 'node:process';
cloud.init();
export const main = async () => ({ wx: cloud.getWXContext(), own: env.GREETING });";

const VERSIONS: [&str; 4] = ["1.8.3", "2.6.3", "3.0.4", "4.0.2"];

#[tokio::test]
async fn every_generation_of_the_sdk_sees_who_calls() {
    let project = Scratch::new(&[]);
    let mut toml = String::new();
    let name = |version: &str| format!("v{}", version.replace('.', "_"));
    for version in VERSIONS {
        let name = name(version);
        project.write(&format!("cloudfunctions/{name}/index.js"), CONTEXT);
        let manifest = json!({"name": name, "dependencies": {"wx-server-sdk": version}});
        project.write(
            &format!("cloudfunctions/{name}/package.json"),
            &manifest.to_string(),
        );
        toml.push_str(&format!("[functions.{name}.env]\nGREETING = \"你好\"\n"));
    }
    project.write("cloudfunctions/module/index.mjs", MODULE);
    let manifest = json!({"name": "module", "dependencies": {"wx-server-sdk": "4.0.2"}});
    project.write("cloudfunctions/module/package.json", &manifest.to_string());
    toml.push_str("[functions.module.env]\nGREETING = \"你好\"\n");
    project.write("yunqiao.toml", &toml);

    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let id = dev.wx("alice", "getWeRunData").await["cloudID"].take();
    for version in VERSIONS {
        let got = alice
            .result(&name(version), json!({"run": id, "plain": 1}), &["run"])
            .await;
        assert_eq!(got["version"], version);
        check(&got["wx"], &alice.openid, version);
        assert_eq!(got["wx"]["OPEN_DATA_INFO"], r#"{"keys":["run"]}"#, "{version}");
        let context = &got["context"];
        assert_eq!(context["environment"], json!(alice.openid), "{version}");
        assert_eq!(
            context["request_id"].as_str().map(str::len),
            Some(36),
            "{version}"
        );
        assert_eq!(
            (&context["memory"], &context["ms"], &context["name"]),
            (&json!(256), &json!(3000), &json!(name(version)))
        );
        assert!(
            (1..=3000).contains(&context["left"].as_u64().unwrap()),
            "{context}"
        );
        assert_eq!(got["leaked"], json!([]), "{version}");
        assert_eq!(got["own"], "你好");
    }
    let got = alice.result("module", json!({}), &[]).await;
    check(&got["wx"], &alice.openid, "an ES module");
    assert_eq!(got["own"], "你好");

    // Another user, in the same workers.
    let bob = dev.login("bob").await;
    for version in VERSIONS {
        let got = bob.result(&name(version), json!({}), &[]).await;
        check(&got["wx"], &bob.openid, version);
        let filled = got["wx"].get("OPEN_DATA_INFO").map_or(json!([]), |info| {
            serde_json::from_str::<Value>(info.as_str().unwrap()).unwrap()["keys"].take()
        });
        assert_eq!(filled, json!([]), "{version}: nothing of the call before is left");
    }
    dev.server.prints("by logger");
}

fn check(wx: &Value, openid: &str, version: &str) {
    assert_eq!(wx["OPENID"], openid, "{version}: {wx}");
    assert_eq!(wx["APPID"], APPID, "{version}: {wx}");
    assert_eq!(wx["SOURCE"], "wx_client", "{version}: {wx}");
    assert_eq!(wx["CLIENTIP"], "127.0.0.1", "{version}: {wx}");
    assert!(
        wx["UNIONID"].is_string() && wx["ENV"].is_string(),
        "{version}: {wx}"
    );
    assert!(wx.get("API_TOKEN").is_none(), "{version}: {wx}");
}

#[tokio::test]
async fn several_calls_in_one_worker_each_see_their_own_caller() {
    const LATE: &str = "
const cloud = require('wx-server-sdk');
cloud.init();
let calls = 0, most = 0;
exports.main = async () => {
  most = Math.max(most, ++calls);
  const before = cloud.getWXContext().OPENID;
  await new Promise((done) => setTimeout(done, 20));
  calls -= 1;
  return { before, after: cloud.getWXContext().OPENID, env: process.env.WX_OPENID, pid: process.pid, most };
};";
    let project = Scratch::new(&[]);
    let mut toml = String::new();
    for (name, version) in [("old", "2.6.3"), ("new", "4.0.2")] {
        project.write(&format!("cloudfunctions/{name}/index.js"), LATE);
        let manifest = json!({"name": name, "dependencies": {"wx-server-sdk": version}});
        project.write(
            &format!("cloudfunctions/{name}/package.json"),
            &manifest.to_string(),
        );
        toml.push_str(&format!(
            "[functions.{name}]\nconcurrency = 16\nmax_instances = 1\n"
        ));
    }
    project.write("yunqiao.toml", &toml);
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    for name in ["old", "new"] {
        let users = [&alice, &bob];
        let calls = (0..64).map(|n| {
            let user = users[n % 2];
            async move { (user.openid.clone(), user.result(name, json!({}), &[]).await) }
        });
        let mut most = 0;
        for (openid, got) in futures_util::future::join_all(calls).await {
            assert_eq!(
                (&got["before"], &got["after"], &got["env"]),
                (&json!(openid), &json!(openid), &json!(openid))
            );
            most = most.max(got["most"].as_u64().unwrap());
        }
        assert!(most > 1, "{name}: they did run at the same time");
    }
}

#[tokio::test]
async fn a_function_that_cannot_be_installed_fails_alone() {
    let project = Scratch::new(&[
        ("good", "exports.main = () => 'good'"),
        ("bad", "exports.main = () => 'bad'"),
    ]);
    let manifest = json!({"name": "bad", "dependencies": {"wx-js-utils": "0.0.0-no-such-version"}});
    project.write("cloudfunctions/bad/package.json", &manifest.to_string());
    let dev = Dev::start(project.path());
    dev.server.prints("bad cannot run");
    let alice = dev.login("alice").await;
    assert_eq!(alice.call("good", json!({})).await.1["result"], "good");
    let (status, reply) = alice.call("bad", json!({})).await;
    assert_eq!((status, &reply["errCode"]), (500, &json!(-504002)), "{reply}");
}
