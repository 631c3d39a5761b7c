//! The npm packages that functions require without declaring them: those that the platform brought along without being
//! asked, and those that were never missed because the author's own `node_modules` was uploaded.

/// What the runtimes up to Node.js 12.16 have built in (the document "Node.js 环境说明" of Tencent's function service; runtimes
/// from 14.18 on have none of it), each with the range of versions that stands in for it. The document's versions are not kept
/// as such: a range stays with the major version of that time, because later ones broke what functions rely on
/// (`require('uuid/v4')`, say). What Node has of its own today (`buffer`, `punycode`, `querystring`, `url`) is left out.
pub const BUILT_IN_PACKAGES: [(&str, &str); 18] = [
    ("base64-js", "^1.2.1"),
    ("cos-nodejs-sdk-v5", "^2.5.20"),
    ("crypto-browserify", "^3.12.0"),
    ("ieee754", "^1.1.8"),
    ("imagemagick", "^0.1.3"),
    ("isarray", "^1.0.0"),
    ("jmespath", "^0.15.0"),
    ("lodash", "^4.17.4"),
    // Older ones do not compile for the Node of today.
    ("microtime", "^3.1.1"),
    ("npm", "latest"),
    ("puppeteer", "latest"),
    ("qcloudapi-sdk", "^0.2.1"),
    ("request", "^2.88.2"),
    ("sax", "^1.2.1"),
    ("tencentcloud-sdk-nodejs", "^3.0.56"),
    ("uuid", "^3.1.0"),
    ("xml2js", "^0.4.17"),
    ("xmlbuilder", "^9.0.1"),
];

/// The range of versions for a package that old runtimes have built in; `None` if they do not have it.
#[must_use]
pub fn built_in_package(name: &str) -> Option<&'static str> {
    let found = BUILT_IN_PACKAGES.iter().find(|(known, _)| *known == name);
    found.map(|(_, range)| *range)
}

/// What functions of public Mini Programs require most besides, declared or not (61 projects, counted), with the range that
/// their own manifests ask for most, or the newest that `require` still loads: a choice.
pub const USUAL_PACKAGES: [(&str, &str); 15] = [
    ("@cloudbase/node-sdk", "^2.10.0"),
    ("axios", "^1.7.0"),
    ("cheerio", "1.0.0-rc.12"),
    ("dayjs", "^1.11.0"),
    ("iconv-lite", "^0.6.3"),
    ("moment", "^2.29.4"),
    ("node-xlsx", "^0.21.0"),
    ("nodemailer", "^6.9.0"),
    ("qs", "^6.11.0"),
    ("request-promise", "^4.2.6"),
    ("tcb-admin-node", "^1.23.0"),
    ("tcb-router", "^1.1.2"),
    ("tenpay", "^2.1.18"),
    ("wx-js-utils", "^1.0.0"),
    (SDK, SDK_VERSION),
];
/// The npm package through which functions reach the cloud.
pub const SDK: &str = "wx-server-sdk";
/// The version of [`SDK`] for functions that name none: the newest that was tried with Yunqiao.
pub const SDK_VERSION: &str = "4.0.2";

/// The range of versions with which a package may be installed for a function that requires it and declares nothing. `None` for
/// any other name: what a stranger has published under a name that was perhaps mistyped is installed for those alone who
/// ask for it.
#[must_use]
pub fn suppliable_package(name: &str) -> Option<&'static str> {
    let usual = || {
        let found = USUAL_PACKAGES.iter().find(|(known, _)| *known == name);
        found.map(|(_, range)| *range)
    };
    built_in_package(name).or_else(usual)
}
