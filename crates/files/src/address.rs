//! Addresses of files: the part that is for people and their programs. What an address allows stands in
//! [`Rights`](crate::Rights).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::{CloudPath, FileIdError, Storage};

/// The host of every bucket's own address on the platform.
const PLATFORM_HOST: &str = ".tcb.qcloud.la/";

/// The last name of a path, as it stands at the end of an address: so that a download has a name, and a program that looks for
/// an ending finds it. It says nothing about which file is meant.
///
/// The SDK percent-encodes a whole address before it uses it, and others use it as it is: what would mean something else to
/// either becomes `_`.
#[must_use]
pub fn name_in_address(path: &CloudPath) -> String {
    let meant = |character: char| match character {
        '%' | '#' | '?' | '\\' | '"' | '<' | '>' | '`' | '{' | '}' | '|' | '^' => '_',
        blank if blank.is_whitespace() || blank.is_control() => '_',
        other => other,
    };
    path.name().chars().map(meant).collect()
}

/// The path of a file as it stands in an address that needs no seal, since everybody may read the file: a program can put such an
/// address together by itself. `None` for a path that would mean something else once it was encoded, or was not: a file of
/// that name has a sealed address only.
#[must_use]
pub fn plain_path(path: &CloudPath) -> Option<&str> {
    let text = path.as_str();
    let stands_for_itself = |character: char| {
        !matches!(character, '%' | '#' | '?' | '\\') && !character.is_whitespace() && !character.is_control()
    };
    text.chars().all(stands_for_itself).then_some(text)
}

/// The path that such an address has behind its door, percent-encoded or not.
#[must_use]
pub fn path_of_address(text: &str) -> Option<CloudPath> {
    decoded(text).parse().ok()
}

/// The path of the picture of which an address wants another form, where the path that it has is no file's: programs write
/// `a.png&imageMogr2/thumbnail/200x` behind addresses of the platform, whose storage (数据万象) makes that form.
#[must_use]
pub fn path_of_picture(path: &CloudPath) -> Option<CloudPath> {
    const FORMS: [&str; 5] = [
        "imageMogr2/",
        "imageView2/",
        "imageslim",
        "imageInfo",
        "watermark/",
    ];
    let (path, form) = path.as_str().split_once('&')?;
    let is_form = FORMS.iter().any(|name| form.starts_with(name));
    path.parse().ok().filter(|_| is_form)
}

/// The path of the file that an address of the platform's own names: `https://<bucket>.tcb.qcloud.la/<path>`, with or
/// without its signature. Programs put such addresses together from file ids, and keep them in databases that are imported.
///
/// # Errors
/// It is another address, or one of a bucket whose files are not here.
pub fn path_of_platform_url(storage: &Storage, url: &str) -> Result<CloudPath, FileIdError> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or(FileIdError::Scheme)?;
    let (bucket, path) = rest.split_once(PLATFORM_HOST).ok_or(FileIdError::Scheme)?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // Two characters in hexadecimal, the environment, the number: an environment may have `-` in it, the others not.
    let environment = bucket
        .split_once('-')
        .and_then(|(_, rest)| rest.rsplit_once('-'))
        .map_or(bucket, |(environment, _)| environment);
    storage.path(&format!("cloud://{environment}.{bucket}/{}", decoded(path)))
}

/// A path without its percent-encoding; one that is not valid stands for itself.
fn decoded(path: &str) -> Cow<'_, str> {
    percent_decode_str(path)
        .decode_utf8()
        .unwrap_or(Cow::Borrowed(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_picture_is_found_whatever_form_of_it_is_wanted() {
        let picture = |path: &str| path_of_picture(&path.parse().unwrap()).map(|path| path.to_string());
        for (path, found) in [
            (
                "img/a.png&imageMogr2/thumbnail/500x/format/webp",
                Some("img/a.png"),
            ),
            ("a.png&imageView2/1/w/200", Some("a.png")),
            ("a.png&imageslim", Some("a.png")),
            ("a&b.png", None),
            ("a.png", None),
            ("a&b.png&imageView2/1", None),
        ] {
            assert_eq!(picture(path).as_deref(), found, "{path}");
        }
    }

    #[test]
    fn names_survive_being_encoded_and_not_being_encoded() {
        for (path, name) in [
            ("a/头像.png", "头像.png"),
            ("100% #1?.png", "100___1_.png"),
            ("a b\u{3000}c.TXT", "a_b_c.TXT"),
            ("😀+&=.gif", "😀+&=.gif"),
        ] {
            assert_eq!(name_in_address(&path.parse().unwrap()), name);
        }
    }

    #[test]
    fn plain_paths_are_read_encoded_and_as_they_are() {
        let path: CloudPath = "头像/a+b&c=d;(1).png".parse().unwrap();
        assert_eq!(plain_path(&path), Some(path.as_str()));
        assert_eq!(path_of_address(path.as_str()), Some(path.clone()));
        assert_eq!(path_of_address("%E5%A4%B4%E5%83%8F/a+b&c=d;(1).png"), Some(path));
        for text in ["a%20b", "a#b", "a?b", "a b", "a\\b"] {
            assert_eq!(plain_path(&text.parse().unwrap()), None, "{text}");
        }
        for text in ["", "..%2fa", "a/%2e%2e/b", "a%00b", "%2fa"] {
            assert_eq!(path_of_address(text), None, "{text}");
        }
    }

    #[test]
    fn the_platforms_own_addresses_are_understood() {
        let storage = Storage::new("demo-5c0mj", "wx1", Some(Vec::new()));
        for url in [
            "https://6465-demo-5c0mj-1259068995.tcb.qcloud.la/头像/a%20b.png",
            "https://6465-demo-5c0mj-1259068995.tcb.qcloud.la/%E5%A4%B4%E5%83%8F/a%20b.png?sign=ab&t=1",
        ] {
            assert_eq!(
                path_of_platform_url(&storage, url).unwrap().as_str(),
                "头像/a b.png"
            );
        }
        assert!(path_of_platform_url(&storage, "https://6465-other-1259068995.tcb.qcloud.la/a").is_err());
        assert!(path_of_platform_url(&storage, "https://example.com/a").is_err());
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded("%ff"), "%ff", "bytes that are no text");
    }
}
