//! Which version of the SDK stands for one that is not published, be it that it never was. The platform had `wx-server-sdk` before any function's own
//! dependencies, so that nobody noticed what their `package.json` says of it.

use function::SDK;
use semver::Version;

/// Whether npm failed since no published version of the SDK is in the range that was asked for.
pub(super) fn lacks_sdk(said: &str) -> bool {
    said.contains(&format!("No matching version found for {SDK}@"))
}

/// Of the published versions the one nearest to a range that has none: the newest of the same major version that is not newer than what
/// the range begins with, else the oldest of that major version, else the newest of all that is not newer, or at all. A choice: what the
/// platform took is not documented.
pub(super) fn nearest(range: &str, published: &[String]) -> Option<String> {
    let mut versions: Vec<Version> = published
        .iter()
        .filter_map(|version| Version::parse(version).ok())
        .filter(|version| version.pre.is_empty())
        .collect();
    versions.sort_unstable();
    let newest = |wanted: Option<&Version>, major: Option<u64>| {
        versions
            .iter()
            .rfind(|version| {
                wanted.is_none_or(|wanted| *version <= wanted)
                    && major.is_none_or(|major| version.major == major)
            })
            .map(ToString::to_string)
    };
    let Some(wanted) = beginning(range) else {
        return newest(None, None);
    };
    let major = Some(wanted.major);
    newest(Some(&wanted), major)
        .or_else(|| {
            let mut same = versions.iter().filter(|version| version.major == wanted.major);
            same.next().map(ToString::to_string)
        })
        .or_else(|| newest(Some(&wanted), None))
        .or_else(|| newest(None, None))
}

/// The version that a range begins with: `^2.9.1`, `~2.6`, `>= 2.9 < 3`. `None` where it names none, as a tag.
fn beginning(range: &str) -> Option<Version> {
    let start = range.find(|first: char| first.is_ascii_digit())?;
    let lead = range.get(..start)?;
    if lead.contains(|sign: char| sign.is_ascii_alphabetic() && sign != 'v') {
        return None;
    }
    let text = range.get(start..)?;
    let end = text.find(|sign: char| !(sign.is_ascii_digit() || sign == '.'));
    let mut parts = text.get(..end.unwrap_or(text.len()))?.split('.');
    let mut part = || parts.next().and_then(|part| part.parse().ok());
    let major = part()?;
    Some(Version::new(major, part().unwrap_or(0), part().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_version_of_the_same_major_stands_for_one_that_never_was() {
        let published = [
            "0.5.1",
            "1.5.3",
            "1.8.3",
            "2.0.1",
            "2.6.3",
            "2.7.2",
            "3.0.4",
            "4.0.2",
            "4.1.0-beta.1",
        ];
        let published = published.map(str::to_owned);
        for (range, expected) in [
            ("^2.9.1", "2.7.2"),
            ("~2.6.9", "2.6.3"),
            ("2.6.9", "2.6.3"),
            (">=2.8 <3", "2.7.2"),
            ("v1.0.0", "1.5.3"),
            ("0.0.1", "0.5.1"),
            ("^5.0.0", "4.0.2"),
            ("lastest", "4.0.2"),
            ("beta2", "4.0.2"),
            ("~3", "3.0.4"),
        ] {
            assert_eq!(nearest(range, &published).as_deref(), Some(expected), "{range}");
        }
        assert_eq!(nearest("^2.9.1", &[]), None);
    }

    #[test]
    fn npm_is_understood_where_it_has_no_such_version() {
        assert!(lacks_sdk(
            "code ETARGET\n  notarget No matching version found for wx-server-sdk@^2.9.1."
        ));
        assert!(!lacks_sdk(
            "code ETARGET\n  notarget No matching version found for wx-js-utils@9.0.0."
        ));
        assert!(!lacks_sdk(
            "code E404\n  404 'wx-server-sdk@^2.9.1' is not in this registry."
        ));
    }
}
