//! Rules of functions.

use super::{alice, uma};
use crate::{Caller, FunctionRules, InvokeRule};

fn rules(others: &str, pay: &str) -> FunctionRules {
    let rule = |text: &str| {
        let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        InvokeRule::compile(&value).unwrap()
    };
    FunctionRules {
        others: rule(others),
        named: [("pay".to_owned(), rule(pay))].into(),
    }
}

#[test]
fn the_official_rules() {
    let nobody = Caller::default();
    let anonymous = Caller {
        openid: None,
        uid: Some("u1".to_owned()),
        login_type: Some("ANONYMOUS".to_owned()),
    };
    let named = "auth.loginType != 'ANONYMOUS' && auth != null";
    for (rule, who_may) in [
        ("true", [true, true, true, true]),
        ("false", [false; 4]),
        ("auth != null", [false, true, true, true]),
        ("auth!=null", [false, true, true, true]),
        ("auth !== null", [false, true, true, true]),
        (named, [false, false, true, true]),
    ] {
        let rules = rules("false", rule);
        let may = [&nobody, &anonymous, &uma(), &alice()].map(|caller| rules.judge("pay", caller).is_ok());
        assert_eq!(may, who_may, "{rule}");
        assert!(rules.judge("look", &alice()).is_err(), "it has the rule of *");
        assert_eq!(rules.lets_all_call("pay"), rule == "true");
    }
    let by_default = FunctionRules::default();
    assert!(by_default.judge("pay", &anonymous).is_ok() && by_default.judge("pay", &nobody).is_err());
    assert_eq!(by_default.others, rules("auth != null", "false").others);
}

#[test]
fn a_refusal_says_which_rule_it_was() {
    let denial = rules("true", "auth != null")
        .judge("pay", &Caller::default())
        .unwrap_err();
    assert_eq!(
        denial.to_string(),
        "invoke is denied by the rule \"invoke\": \"auth != null\": it is false for this caller"
    );
}

#[test]
fn rules_of_functions_are_about_who_asks_alone() {
    for rule in [
        "doc.a == 1",
        "get('database.a.b').c == 1",
        "now > 1",
        "resource.path == 'a'",
        "/a/.test(auth.uid)",
        "auth.name == 'a'",
    ] {
        assert!(InvokeRule::compile(&rule.into()).is_err(), "{rule}");
    }
    for rule in [
        serde_json::json!(1),
        serde_json::json!(null),
        serde_json::json!({}),
    ] {
        assert!(InvokeRule::compile(&rule).is_err(), "{rule}");
    }
}
