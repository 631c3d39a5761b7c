//! A call's environment as the SDK reads it.

#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;

fn site(variables: &[(&str, &str)]) -> SiteVariables {
    SiteVariables {
        env_id: "prod-1".into(),
        region: "ap-shanghai".into(),
        appid: "wx0123456789abcdef".into(),
        function_name: "login".into(),
        memory_mb: 256,
        time_limit_ms: 3000,
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

const CALLER: CallVariables<'static> = CallVariables {
    request_id: "5e1f0a52-7c1e-4b57-8d1f-1c7c2d9f3a10",
    source: "wx_client",
    user: Some(UserVariables {
        openid: "oABC",
        unionid: Some("uXYZ"),
    }),
    web: None,
    client_ip: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))),
    api_token: "T0ken",
    open_data: &["\"weRunData\""],
    trigger: CallTrigger::Tcb,
    attempt: None,
    most: None,
};

/// The variables of a call, after checking the head around them.
fn variables(site: &SiteVariables, caller: &CallVariables<'_>) -> Map<String, Value> {
    let mut out = b"kept".to_vec();
    Environment::new(site).write(caller, &mut out);
    let text = std::str::from_utf8(out.strip_prefix(b"kept").unwrap()).unwrap();
    let head = json::Object::parse(text.as_bytes()).unwrap();
    assert_eq!(
        head.members()
            .iter()
            .map(|member| member.raw_key)
            .collect::<Vec<_>>(),
        ["\"r\"", "\"e\""]
    );
    let environment = head.get("e").unwrap();
    assert_eq!(
        json::Object::parse(environment.as_bytes()).unwrap().duplicate(),
        None
    );

    let head: Value = serde_json::from_str(text).unwrap();
    assert_eq!(head["r"], caller.request_id);
    let variables = head["e"].as_object().unwrap().clone();
    assert!(variables.values().all(Value::is_string), "{variables:?}");
    variables
}

/// `cloud.getWXContext()` as observed in wx-server-sdk 1.8.3 to 4.0.2.
fn wx_context(env: &Map<String, Value>) -> Map<String, Value> {
    let text = |name: &str| env.get(name).and_then(Value::as_str);
    let mut context = Map::new();
    let Some(keys) = text("WX_CONTEXT_KEYS") else {
        return context;
    };
    for name in keys.split(',') {
        let Some(value) = text(name) else { continue };
        let short = name.strip_prefix("WX_").unwrap_or(name);
        if matches!(short, "API_TOKEN" | "TRIGGER_API_TOKEN_V0") {
            continue;
        }
        let digits = value.strip_prefix('-').unwrap_or(value);
        let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = if whole {
            json!(value.parse::<f64>().unwrap())
        } else {
            json!(value)
        };
        context.insert(short.to_owned(), value);
    }
    // node-sdk sees other names only where TCB_CONTEXT_KEYS lists them.
    let listed: BTreeSet<&str> = text("TCB_CONTEXT_KEYS").unwrap_or_default().split(',').collect();
    let seen = |name: &str| text(name).filter(|_| listed.contains(name));
    if let Some(id) = seen("TCB_ENV").or(text("SCF_NAMESPACE")) {
        context.insert("ENV".into(), json!(id));
    }
    if let Some(source) = seen("TCB_SOURCE") {
        context.insert("SOURCE".into(), json!(source));
    }
    context
}

#[test]
fn get_wx_context_knows_the_caller() {
    assert_eq!(
        Value::Object(wx_context(&variables(&site(&[]), &CALLER))),
        json!({
            "OPENID": "oABC", "APPID": "wx0123456789abcdef", "UNIONID": "uXYZ",
            "CLIENTIP": "203.0.113.7", "CLIENTIPV6": "::ffff:203.0.113.7",
            "OPEN_DATA_INFO": "{\"keys\":[\"weRunData\"]}",
            "ENV": "prod-1", "SOURCE": "wx_client",
        })
    );
}

#[test]
fn a_user_of_cloudbase_is_seen_by_node_sdk() {
    let web = WebVariables {
        uid: "u1",
        login_type: "CUSTOM",
        custom_user_id: Some("alice"),
        is_anonymous: false,
    };
    let caller = CallVariables {
        user: None,
        web: Some(web),
        ..CALLER
    };
    let seen = variables(&site(&[]), &caller);
    for (name, value) in [
        ("TCB_UUID", "u1"),
        ("LOGINTYPE", "CUSTOM"),
        ("TCB_CUSTOM_USER_ID", "alice"),
        ("TCB_ISANONYMOUS_USER", "false"),
        ("TCB_SOURCE_IP", "203.0.113.7"),
    ] {
        assert_eq!(seen[name], value, "{name}");
        // It sees no other.
        let listed = seen["TCB_CONTEXT_KEYS"].as_str().unwrap();
        assert!(listed.split(',').any(|listed| listed == name), "{name}");
    }
    assert!(!seen.contains_key("WX_OPENID"));
    let of_wechat = variables(&site(&[]), &CALLER);
    assert!(!of_wechat.contains_key("TCB_UUID") && !of_wechat.contains_key("LOGINTYPE"));
}

#[test]
fn nobody_is_nobody() {
    let caller = CallVariables {
        user: None,
        client_ip: None,
        source: "wx_trigger",
        trigger: CallTrigger::Timer,
        open_data: &[],
        ..CALLER
    };
    let env = variables(&site(&[]), &caller);
    assert_eq!(
        Value::Object(wx_context(&env)),
        json!({"APPID": "wx0123456789abcdef", "OPEN_DATA_INFO": "{\"keys\":[]}", "ENV": "prod-1", "SOURCE": "wx_trigger"})
    );
    assert_eq!(env["TRIGGER_SRC"], "timer");
    assert_eq!(env["WX_TRIGGER_API_TOKEN_V0"], "T0ken");
    for absent in [
        "WX_OPENID",
        "WX_UNIONID",
        "WX_API_TOKEN",
        "WX_CLIENTIP",
        "WX_CLIENTIPV6",
    ] {
        assert!(!env.contains_key(absent), "{absent}");
    }
}

/// The names without which the SDK warns, guesses or fails, and exactly those that are set in the lists of names.
#[test]
fn has_what_every_sdk_version_needs() {
    let env = variables(&site(&[]), &CALLER);
    for (name, value) in [
        ("TENCENTCLOUD_RUNENV", "SCF"),
        ("TENCENTCLOUD_REGION", "ap-shanghai"),
        ("SCF_NAMESPACE", "prod-1"),
        ("SCF_FUNCTIONNAME", "login"),
        ("TCB_ENV", "prod-1"),
        ("TCB_SEQID", CALLER.request_id),
        ("TCB_SOURCE", "wx_client"),
        ("TRIGGER_SRC", "tcb"),
        ("TCB_CONTEXT_CNFG", "{\"URL\":\"http://tcb.local/admin\"}"),
        ("_SCF_TCB_LOG", "1"),
        ("WX_API_TOKEN", "T0ken"),
    ] {
        assert_eq!(env[name], value);
    }
    // They are the worker's.
    for name in KEY_VARIABLES {
        assert!(!env.contains_key(name));
    }
    for list in ["WX_CONTEXT_KEYS", "TCB_CONTEXT_KEYS"] {
        let names = env[list].as_str().unwrap();
        assert!(names.split(',').all(|name| env.contains_key(name)), "{names}");
    }
    let listed: BTreeSet<_> = env["WX_CONTEXT_KEYS"].as_str().unwrap().split(',').collect();
    let set: BTreeSet<_> = env
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("WX_"))
        .collect();
    assert_eq!(listed, &set - &BTreeSet::from(["WX_CONTEXT_KEYS"]));
    assert!(
        env.keys().all(|name| PLATFORM.contains(&name.as_str())),
        "{env:?}"
    );
}

#[test]
fn the_platform_s_variables_overrule_the_function_s() {
    let site = site(&[
        ("WX_OPENID", "forged"),
        ("TCB_ENV", "other"),
        ("WX_PAY_KEY", "mine"),
        ("A\"B", "\u{1}\n\\"),
    ]);
    let caller = CallVariables { user: None, ..CALLER };
    let env = variables(&site, &caller);
    assert!(!env.contains_key("WX_OPENID"));
    assert_eq!(
        (&env["TCB_ENV"], &env["WX_PAY_KEY"], &env["A\"B"]),
        (&json!("prod-1"), &json!("mine"), &json!("\u{1}\n\\"))
    );
    assert_eq!(Environment::new(&site).overruled(), ["TCB_ENV", "WX_OPENID"]);
}

#[test]
fn field_names_survive_being_text_within_text() {
    let fields = [r#""plain""#, r#""\u0077e\"\\""#, r#""中😀""#];
    let env = variables(
        &site(&[]),
        &CallVariables {
            open_data: &fields,
            ..CALLER
        },
    );
    let info: Value = serde_json::from_str(env["WX_OPEN_DATA_INFO"].as_str().unwrap()).unwrap();
    assert_eq!(info, json!({"keys": ["plain", "we\"\\", "中😀"]}));
}

#[test]
fn every_kind_of_address() {
    for (ip, v4, v6) in [
        ("127.0.0.1", Some("127.0.0.1"), "::ffff:127.0.0.1"),
        ("255.99.100.0", Some("255.99.100.0"), "::ffff:255.99.100.0"),
        ("::ffff:10.0.0.9", Some("10.0.0.9"), "::ffff:10.0.0.9"),
        ("2001:db8::1", None, "2001:db8::1"),
    ] {
        let env = variables(
            &site(&[]),
            &CallVariables {
                client_ip: Some(ip.parse().unwrap()),
                ..CALLER
            },
        );
        assert_eq!(env.get("WX_CLIENTIP").and_then(Value::as_str), v4);
        assert_eq!(env["WX_CLIENTIPV6"], v6);
    }
}

/// The SDK makes a number of an identity that is all digits: a fact to know when ids are made, not ours to change.
#[test]
fn an_openid_of_digits_becomes_a_number_in_the_sdk() {
    let user = Some(UserVariables {
        openid: "12345",
        unionid: None,
    });
    let context = wx_context(&variables(&site(&[]), &CallVariables { user, ..CALLER }));
    assert!(context["OPENID"].is_number());
}

#[test]
fn one_buffer_is_enough() {
    let environment = Environment::new(&site(&[("A", "b")]));
    let mut out = Vec::new();
    environment.write(&CALLER, &mut out);
    let (capacity, first) = (out.capacity(), out.clone());
    out.clear();
    environment.write(&CALLER, &mut out);
    assert_eq!((out.capacity(), &out), (capacity, &first));
    assert!(first.len() <= environment.members.len() + 768, "{}", first.len());
}

/// Modules see `environment` while they are loaded, for nobody yet: each of its members is one that every call has too.
#[test]
fn the_context_s_constants() {
    let site = site(&[("OWN", "1"), ("WX_OPENID", "forged")]);
    let mut constants: Value = serde_json::from_str(&Environment::new(&site).constants()).unwrap();
    let environment = constants.as_object_mut().unwrap().remove("environment").unwrap();
    assert_eq!(
        constants,
        json!({
            "function_name": "login", "function_version": "$LATEST", "namespace": "prod-1",
            "tencentcloud_region": "ap-shanghai", "tencentcloud_appid": "", "tencentcloud_uin": "",
            "memory_limit_in_mb": 256, "time_limit_in_ms": 3000,
        })
    );

    let of_a_call = variables(&site, &CALLER);
    let of_all_calls = environment.as_object().unwrap();
    assert_eq!(
        (&of_all_calls["OWN"], &of_all_calls["TCB_ENV"]),
        (&json!("1"), &json!("prod-1"))
    );
    for (name, value) in of_all_calls {
        assert_eq!(of_a_call.get(name), Some(value), "{name}");
    }
    for personal in [
        "WX_OPENID",
        "WX_UNIONID",
        "WX_API_TOKEN",
        "WX_CONTEXT_KEYS",
        "TCB_SEQID",
    ] {
        assert!(!of_all_calls.contains_key(personal), "{personal}");
    }
}

#[test]
fn an_attempt_s_number_stands_at_the_start_of_the_head() {
    let head = |attempt| {
        let mut out = Vec::new();
        Environment::new(&site(&[])).write(&CallVariables { attempt, ..CALLER }, &mut out);
        String::from_utf8(out).unwrap()
    };
    let (without, with) = (head(None), head(Some(12)));
    assert_eq!(with, without.replacen('{', r#"{"a":12,"#, 1));
    assert_eq!(serde_json::from_str::<Value>(&with).unwrap()["a"], 12);
}
