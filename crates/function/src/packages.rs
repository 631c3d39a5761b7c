//! The npm packages that the platform brings along without being asked. Old functions require them and declare nothing.

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
