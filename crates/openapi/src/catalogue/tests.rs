#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{ApiBodyKind, ApiReplyKind, Identity, Method, Standing, case};

fn count(condition: impl Fn(&Api) -> bool) -> usize {
    all().iter().filter(|api| condition(api)).count()
}

#[test]
fn every_row_is_read_and_well_formed() {
    let head = "name\tmethod\tpath\tquery\tbody\tfile\treply\tcloud_call\tstanding\tidentity\tspelled\tinterface\ttitle\t\
                document\tnote";
    assert_eq!(TEXT.lines().next(), Some(head));
    for row in TEXT.lines().skip(1) {
        assert!(Api::parse(row).is_some(), "{row}");
    }
    assert!(
        all().is_sorted_by(|a, b| a.name < b.name),
        "sorted, each name once"
    );

    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    for api in all() {
        let name = api.name;
        assert!(name.split('.').all(is_name), "{name}");
        assert!(
            name.contains('.') || !api.is_callable(),
            "{name}: what can be called has a category"
        );
        assert!(
            api.path.strip_prefix('/').unwrap().split('/').all(is_name),
            "{name}: {}",
            api.path
        );
        assert!(api.query().chain(api.spelled()).all(is_name), "{name}");
        assert!(api.query().all(|param| param != "access_token"), "{name}");
        let params: BTreeSet<_> = api.query().collect();
        assert_eq!(params.len(), api.query().count(), "{name}: each param once");
        assert!(
            api.spelled().all(|param| case::snake(param) != param),
            "{name}: only what the conversion spoils"
        );
        let has_body = api.body != ApiBodyKind::None;
        assert_eq!(api.method_sent() == Method::Post, has_body, "{name}");
        assert!(
            api.document
                .is_none_or(|url| url.starts_with("https://developers.weixin.qq.com/")),
            "{name}"
        );
        for text in [api.interface, api.title, api.note].into_iter().flatten() {
            assert_eq!(text.trim(), text, "{name}");
        }
        match api.identity {
            Identity::None => {}
            Identity::Openid => assert!(params.contains("openid"), "{name}"),
            Identity::Signature => {
                assert!(
                    params.is_superset(&["openid", "signature", "sig_method"].into()),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_malformed_row_is_refused() {
    let row = "a.b\tPOST\t/a\t\tjson\t\tjson\tyes\t\t\t\t\t\t\t";
    let api = Api::parse(row).unwrap();
    assert_eq!(
        (api.name, api.standing, api.title),
        ("a.b", Standing::Current, None)
    );
    for (from, to) in [
        ("\t\t\t\t\t\t\t", "\t\t\t\t\t\t"),
        ("\t\t\t\t\t\t\t", "\t\t\t\t\t\t\t\t"),
        ("POST", "PUT"),
        ("\tjson\t\tjson", "\txml\t\tjson"),
        ("\tjson\t\tjson", "\tjson\tmedia\tjson"),
        ("\tjson\t\tjson", "\tjson\t\txml"),
        ("yes", "maybe"),
        ("yes\t", "yes\tgone"),
        ("yes\t", "yes\twithdrawn:"),
        ("yes\t\t", "yes\t\tunionid"),
    ] {
        let broken = row.replacen(from, to, 1);
        assert_ne!(broken, row);
        assert_eq!(Api::parse(broken.leak()), None, "{from} to {to}");
    }
}

#[test]
fn the_numbers_are_those_of_the_documents() {
    assert_eq!(all().len(), 646);
    assert_eq!(
        [
            CloudCallSupport::Yes,
            CloudCallSupport::No,
            CloudCallSupport::Unknown
        ]
        .map(|cloud_call| count(|api| api.cloud_call == cloud_call)),
        [324, 299, 23]
    );
    assert_eq!(count(Api::is_callable), 347);
    assert_eq!(count(Api::is_official_account), 161);
    assert_eq!(
        [Some(Method::Get), Some(Method::Post), None].map(|method| count(|api| api.method == method)),
        [71, 564, 11]
    );
    assert_eq!(count(|api| api.body == ApiBodyKind::Json), 556);
    assert_eq!(count(|api| matches!(api.body, ApiBodyKind::Multipart(_))), 18);
    assert_eq!(count(|api| api.reply == ApiReplyKind::Binary), 8);
    assert_eq!(count(|api| api.spelled().next().is_some()), 35);
    assert_eq!(count(|api| api.identity == Identity::Openid), 2);
    assert_eq!(count(|api| api.identity == Identity::Signature), 3);

    let mut withdrawn = BTreeMap::<_, Vec<_>>::new();
    for api in all() {
        if let Standing::Withdrawn(errcode) = api.standing {
            withdrawn.entry(errcode).or_default().push(api.name);
        }
    }
    assert_eq!(withdrawn[&45103].len(), 6);
    assert!(
        withdrawn[&45103]
            .iter()
            .all(|name| name.starts_with("templateMessage."))
    );
    assert_eq!(withdrawn[&45109], ["uniformMessage.send"]);
    assert_eq!(withdrawn.len(), 2);
    assert_eq!(count(|api| api.standing == Standing::Outdated), 7);
}

#[test]
fn an_api_is_found_by_its_very_name() {
    let api = find("subscribeMessage.send").unwrap();
    assert_eq!(
        (api.method, api.path, api.body),
        (
            Some(Method::Post),
            "/cgi-bin/message/subscribe/send",
            ApiBodyKind::Json
        )
    );
    assert_eq!(api.title, Some("发送订阅消息"));
    let api = find("security.imgSecCheck").unwrap();
    assert_eq!(
        (api.body, api.standing),
        (ApiBodyKind::Multipart(Some("media")), Standing::Outdated)
    );
    for api in all() {
        assert_eq!(find(api.name), Some(api));
    }
    for unknown in [
        "",
        "subscribeMessage",
        "subscribeMessage.Send",
        "openapi.subscribeMessage.send",
        "zzz",
    ] {
        assert_eq!(find(unknown), None);
    }
}

#[test]
fn a_path_leads_to_all_its_names() {
    let names = |path| at_path(path).iter().map(|api| api.name).collect::<Vec<_>>();
    assert_eq!(names("/wxa/getwxacodeunlimit"), ["wxacode.getUnlimited"]);
    assert_eq!(
        names("/wxaapi/newtmpl/addtemplate"),
        [
            "officialAccount.newtmpl.addTemplate",
            "subscribeMessage.addTemplate"
        ]
    );
    assert_eq!(names("/wxa/plugin").len(), 3);
    assert!(names("/wxa").is_empty() && names("").is_empty() && names("/zzz").is_empty());
    for api in all() {
        assert!(at_path(api.path).contains(&api));
    }
}

#[test]
fn whoever_mistypes_a_name_is_helped() {
    for (typed, meant) in [
        ("phonenumber.getPhoneNumberk", "phonenumber.getPhoneNumber"),
        ("phoneNumber.getPhoneNumber", "phonenumber.getPhoneNumber"),
        ("getPhoneNumber", "phonenumber.getPhoneNumber"),
        ("subscribMessage.send", "subscribeMessage.send"),
        ("subcribeMessage.sned", "subscribeMessage.send"),
        ("openapi.subscribeMessage.send", "subscribeMessage.send"),
        ("cloud.openapi.wxacode.get", "wxacode.get"),
        ("wxacode.getunlimit", "wxacode.getUnlimited"),
        ("wxacode.getUnlimitedQRCode", "wxacode.getUnlimited"),
        ("security.messageSecCheck", "security.msgSecCheck"),
        ("msgSecCheck", "security.msgSecCheck"),
        ("templateMessage.sent", "templateMessage.send"),
        (
            "customerServiceMessage.sendCustomMessage",
            "customerServiceMessage.send",
        ),
    ] {
        assert_eq!(nearest(typed).map(|api| api.name), Some(meant), "{typed}");
    }
    for nonsense in ["", ".", "send", "a.b", "database.collection", "云"] {
        assert_eq!(nearest(nonsense), None, "{nonsense}");
    }
    // What has no cloud call is not suggested, not even for its own name.
    assert_eq!(nearest("auth.code2Session"), None);
}

#[test]
fn a_word_finds_names_first_and_then_documents() {
    let names = |word| search(word).iter().map(|api| api.name).collect::<Vec<_>>();
    assert_eq!(names("subscribemessage.send"), ["subscribeMessage.send"]);
    assert_eq!(names("getUnlimitedQRCode"), ["wxacode.getUnlimited"]);
    assert_eq!(names("/wxa/img_sec_check"), ["security.imgSecCheck"]);
    assert!(names("手机号").contains(&"phonenumber.getPhoneNumber"));
    assert_eq!(
        names("wxacode")[..3],
        ["wxacode.createQRCode", "wxacode.get", "wxacode.getUnlimited"]
    );
    // Names that begin so, then names that hold it, then documents; those that can be called first.
    let found = search("order");
    let names_end = found
        .iter()
        .position(|api| !api.name.to_lowercase().contains("order"));
    let (by_name, by_document) = found.split_at(names_end.unwrap());
    assert!(by_name.is_sorted_by_key(|api| !api.is_callable()));
    assert!(
        by_document
            .iter()
            .all(|api| !api.name.to_lowercase().contains("order"))
    );
    assert!(search("no such thing").is_empty());
    assert_eq!(search("").len(), all().len());
}
