//! Rules of storage.

use super::{alice, uma};
use crate::{Caller, Operation, StorageRules};

fn may(rules: &str, operation: Operation, caller: &Caller, path: &str, owner: Option<&str>) -> bool {
    let rules: StorageRules = rules.parse().unwrap();
    rules.judge(operation, caller, path, owner).is_ok()
}

#[test]
fn the_official_templates() {
    let own = r#"{"read": true, "write": "resource.openid == auth.openid || resource.openid == auth.uid"}"#;
    assert!(may(own, Operation::Read, &Caller::default(), "a", Some("bob")));
    assert!(may(own, Operation::Update, &alice(), "a", Some("alice")));
    assert!(may(own, Operation::Delete, &uma(), "a", Some("uma")));
    assert!(!may(own, Operation::Delete, &uma(), "a", Some("alice")));
    assert!(
        !may(own, Operation::Delete, &Caller::default(), "a", None),
        "nobody's is not a stranger's"
    );
    let known = r#"{"read": "auth != null", "write": false}"#;
    assert!(may(known, Operation::Read, &alice(), "a", None));
    assert!(!may(known, Operation::Read, &Caller::default(), "a", None));
    assert!(!may(known, Operation::Create, &alice(), "a", Some("alice")));
    let path = r#"{"read": "/^public\\/[^/]+$/.test(resource.path) == true", "write": "/\\.png$/i.test(resource.path)"}"#;
    assert!(may(path, Operation::Read, &alice(), "public/a", None));
    assert!(!may(path, Operation::Read, &alice(), "public/a/b", None));
    assert!(may(path, Operation::Create, &alice(), "x.PNG", None));
}

#[test]
fn rules_of_storage_have_names_of_their_own() {
    for rules in [
        r#"{"read": "doc.a == 1"}"#,
        r#"{"read": "get('database.a.b').c"}"#,
        r#"{"read": "now > 1"}"#,
        r#"{"create": true}"#,
        r#"{"read": "/(/.test(resource.path)"}"#,
        r#"{"read": "/a/"}"#,
    ] {
        assert!(rules.parse::<StorageRules>().is_err(), "{rules}");
    }
}
