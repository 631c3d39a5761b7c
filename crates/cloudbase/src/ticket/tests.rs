//! Tickets that `createTicket` of node-sdk 3.18.3 made: by a key of 1024 bits, as CloudBase gives them, and by one of 2048.

#![allow(clippy::unwrap_used)]
use serde_json::Value;

use super::*;

const MINUTE: u64 = 60_000;

fn vectors() -> Value {
    serde_json::from_str(include_str!("node-sdk-3.18.3.json")).unwrap()
}

fn keys(of: &str) -> Result<TicketKeys, TicketKeysError> {
    TicketKeys::parse(&vectors()[of].to_string())
}

fn ticket(of: &str) -> String {
    vectors()["tickets"][of].as_str().unwrap().to_owned()
}

fn made_at() -> u64 {
    vectors()["madeAt"].as_u64().unwrap()
}

#[test]
fn what_node_sdk_makes_is_taken_for_ten_minutes() {
    for form in ["keys", "pkcs1"] {
        let keys = keys(form).unwrap();
        let alice = keys
            .verify(&ticket("alice"), "env-1", made_at() + MINUTE)
            .unwrap();
        assert_eq!((alice.uid.as_str(), alice.key_id.as_str()), ("alice-1", "k1"));
        assert_eq!(alice.refresh, Some(3600));
        assert_eq!(alice.expire, Some(made_at() + 7 * 24 * 60 * MINUTE));
    }
    let keys = keys("keys").unwrap();
    let bob = keys
        .verify(&ticket("bob"), "env-1", made_at() - 4 * MINUTE)
        .unwrap();
    assert_eq!(bob.uid, "bob-22");
    for off in [made_at() + 10 * MINUTE, made_at() - 6 * MINUTE] {
        let late = keys.verify(&ticket("alice"), "env-1", off);
        assert_eq!(late, Err(TicketError::Time));
    }
}

#[test]
fn a_ticket_of_a_session_that_is_over_lets_nobody_in() {
    let judged = |expire: Value| {
        let claims = serde_json::json!({
            "env": "env-1", "iat": made_at(), "exp": made_at() + 10 * MINUTE, "uid": "alice-1", "expire": expire,
        });
        let claims: Claims = serde_json::from_value(claims).unwrap();
        claims.judge("k1", "env-1", made_at() + MINUTE)
    };
    assert_eq!(judged(Value::Null).unwrap().expire, None);
    let later = made_at() + 2 * MINUTE;
    assert_eq!(judged(later.into()).unwrap().expire, Some(later));
    for over in [made_at(), made_at() / 1000, made_at() + MINUTE] {
        assert_eq!(judged(over.into()), Err(TicketError::SessionOver), "{over}");
    }
}

#[test]
fn what_another_key_or_for_another_environment_signed_is_refused() {
    let keys = keys("keys").unwrap();
    let verify = |ticket: &str| keys.verify(ticket, "env-1", made_at()).unwrap_err();
    assert_eq!(verify(&ticket("forged")), TicketError::Signature("k1".to_owned()));
    assert_eq!(
        verify(&ticket("elsewhere")),
        TicketError::Environment("env-2".to_owned())
    );
    let alice = ticket("alice");
    let as_k2 = alice.replacen("k1", "k2", 1);
    assert_eq!(verify(&as_k2), TicketError::Signature("k2".to_owned()));
    let unknown = alice.replacen("k1", "k3", 1);
    assert_eq!(verify(&unknown), TicketError::UnknownKey("k3".to_owned()));
    let (head, token) = alice.split_once(SEPARATOR).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    for form in [
        String::new(),
        token.to_owned(),
        format!("{head}{SEPARATOR}"),
        format!("{head}{SEPARATOR}{none}.{}.", parts[1]),
        format!("{head}{SEPARATOR}{}.{}", parts[0], parts[1]),
    ] {
        assert_eq!(verify(&form), TicketError::Form, "{form}");
    }
}

#[test]
fn what_is_no_public_rsa_key_is_refused() {
    assert_eq!(
        keys("elliptic").unwrap_err(),
        TicketKeysError::Key("k1".to_owned())
    );
    let good = vectors()["keys"]["k1"].as_str().unwrap().to_owned();
    for pem in [
        "",
        "x",
        &good.replace("PUBLIC", "PRIVATE"),
        &good[..good.len() - 40],
        &good.replace("MIGf", "MIGg"),
    ] {
        let text = serde_json::json!({"k1": pem}).to_string();
        assert!(
            matches!(TicketKeys::parse(&text), Err(TicketKeysError::Key(_))),
            "{pem}"
        );
    }
    for text in ["", "[]", r#"{"k1":1}"#] {
        assert!(
            matches!(TicketKeys::parse(text), Err(TicketKeysError::Form(_))),
            "{text}"
        );
    }
}

#[test]
fn ids_are_those_that_node_sdk_would_make() {
    for (text, good) in [
        ("abcd", true),
        ("a_b-#@~=*(){}[]:.,<>+", true),
        ("abc", false),
        ("a b c", false),
        ("用户一号", false),
        (&*"a".repeat(33), false),
    ] {
        assert_eq!(is_custom_user_id(text), good, "{text}");
    }
}
