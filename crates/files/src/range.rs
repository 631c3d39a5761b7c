//! Which bytes of a file a client asks for, and whether it has them already (RFC 9110 §13, §14).

use std::time::SystemTime;

/// A part of a file: from its first byte to its last one, both within the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

impl Part {
    /// Its length; there is no empty part.
    #[must_use]
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a reply has to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionOutcome {
    /// The whole file: 200.
    Whole,
    /// A part: 206.
    Part(Part),
    /// Nothing, since the client has it: 304.
    Nothing,
    /// Nothing, since there is no such part: 416.
    NoSuchPart,
    /// Nothing, since the file is not the one that the client means: 412.
    Another,
}

/// A file, as far as these headers are about it.
#[derive(Clone, Copy, Debug)]
pub struct Entity<'a> {
    /// Its tag, without quotes.
    pub etag: &'a str,
    /// When it was written.
    pub modified: SystemTime,
    /// Its length in bytes.
    pub length: u64,
}

/// The headers of a request that ask for less than the whole file; each as it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// `Range`.
    pub range: Option<&'a str>,
    /// `If-Range`.
    pub if_range: Option<&'a str>,
    /// `If-Match`.
    pub if_match: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<&'a str>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<&'a str>,
}

impl Conditions<'_> {
    /// What to answer, in the order that RFC 9110 §13.2.2 gives the headers.
    #[must_use]
    pub fn judge(&self, entity: Entity<'_>) -> ConditionOutcome {
        match (self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !names(tags, entity.etag, Compare::Strong) => {
                return ConditionOutcome::Another;
            }
            (None, Some(date))
                if date_of(date).is_some_and(|date| seconds(entity.modified) > seconds(date)) =>
            {
                return ConditionOutcome::Another;
            }
            _ => {}
        }
        match (self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if names(tags, entity.etag, Compare::Weak) => return ConditionOutcome::Nothing,
            (None, Some(date))
                if date_of(date).is_some_and(|date| seconds(entity.modified) <= seconds(date)) =>
            {
                return ConditionOutcome::Nothing;
            }
            _ => {}
        }
        match self.range {
            Some(range) if self.range_counts(entity) => part(range, entity.length),
            _ => ConditionOutcome::Whole,
        }
    }

    /// A range is meant for the file that `If-Range` names.
    fn range_counts(&self, entity: Entity<'_>) -> bool {
        let Some(condition) = self.if_range else {
            return true;
        };
        match date_of(condition) {
            Some(date) => seconds(date) == seconds(entity.modified),
            None => names(condition, entity.etag, Compare::Strong),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Strong,
    Weak,
}

/// Whether a list of tags has one. Ours are strong, so a weak one of the client's is only the same where that is enough.
fn names(tags: &str, etag: &str, compare: Compare) -> bool {
    if tags.trim() == "*" {
        return true;
    }
    tags.split(',').map(str::trim).any(|tag| {
        let strong = tag.strip_prefix("W/");
        let tag = match (strong, compare) {
            (Some(tag), Compare::Weak) => tag,
            (Some(_), Compare::Strong) => return false,
            (None, _) => tag,
        };
        tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(etag)
    })
}

/// A header's date counts in seconds.
fn date_of(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The part that `Range` asks for. A header that is not of this form, one in another unit and one for several parts are as good
/// as not sent, as §14.2 allows.
fn part(range: &str, length: u64) -> ConditionOutcome {
    let asked = (|| {
        let (unit, spec) = range.split_once('=')?;
        let (first, last) = spec.trim().split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            // More than fits is more than any file has.
            true => Some(text.parse().unwrap_or(u64::MAX)),
            false => None,
        };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", last) => Some((None, Some(number(last)?))),
            (first, "") => Some((Some(number(first)?), None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some((Some(first), Some(last)))
            }
        }
    })();
    let end = length.saturating_sub(1);
    match asked {
        None | Some((None, None)) => ConditionOutcome::Whole,
        Some(_) if length == 0 => ConditionOutcome::NoSuchPart,
        Some((None, Some(0))) => ConditionOutcome::NoSuchPart,
        Some((None, Some(count))) => ConditionOutcome::Part(Part {
            first: length.saturating_sub(count),
            last: end,
        }),
        Some((Some(first), _)) if first > end => ConditionOutcome::NoSuchPart,
        Some((Some(first), last)) => ConditionOutcome::Part(Part {
            first,
            last: last.unwrap_or(end).min(end),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entity() -> Entity<'static> {
        Entity {
            etag: "e1",
            modified: SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_500),
            length: 10,
        }
    }

    fn ranged(range: &str, length: u64) -> ConditionOutcome {
        Conditions {
            range: Some(range),
            ..Conditions::default()
        }
        .judge(Entity { length, ..entity() })
    }

    #[test]
    fn parts_lie_within_the_file() {
        let part = |first, last| ConditionOutcome::Part(Part { first, last });
        for (range, wanted) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-5", part(2, 5)),
            ("bytes=2-", part(2, 9)),
            ("bytes=2-99999999999999999999999", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("Bytes = 1 - 2", part(1, 2)),
            ("bytes=10-", ConditionOutcome::NoSuchPart),
            ("bytes=99999999999999999999999-", ConditionOutcome::NoSuchPart),
            ("bytes=-0", ConditionOutcome::NoSuchPart),
            ("bytes=5-2", ConditionOutcome::Whole),
            ("bytes=0-1,3-4", ConditionOutcome::Whole),
            ("bytes=-", ConditionOutcome::Whole),
            ("bytes=a-b", ConditionOutcome::Whole),
            ("bytes=+1-2", ConditionOutcome::Whole),
            ("lines=1-2", ConditionOutcome::Whole),
            ("", ConditionOutcome::Whole),
        ] {
            assert_eq!(ranged(range, 10), wanted, "{range}");
        }
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(ranged(range, 0), ConditionOutcome::NoSuchPart, "{range}");
        }
    }

    #[test]
    fn conditions_come_before_ranges() {
        let date = "Mon, 12 Jan 1970 13:46:40 GMT";
        let earlier = "Mon, 12 Jan 1970 13:46:39 GMT";
        let none = Conditions::default();
        let range = Some("bytes=0-0");
        let part = ConditionOutcome::Part(Part { first: 0, last: 0 });
        for (conditions, wanted) in [
            (none, ConditionOutcome::Whole),
            (
                Conditions {
                    if_none_match: Some("\"x\", W/\"e1\""),
                    range,
                    ..none
                },
                ConditionOutcome::Nothing,
            ),
            (
                Conditions {
                    if_none_match: Some("*"),
                    ..none
                },
                ConditionOutcome::Nothing,
            ),
            (
                Conditions {
                    if_none_match: Some("\"x\""),
                    if_modified_since: Some(date),
                    ..none
                },
                ConditionOutcome::Whole,
            ),
            (
                Conditions {
                    if_modified_since: Some(date),
                    ..none
                },
                ConditionOutcome::Nothing,
            ),
            (
                Conditions {
                    if_modified_since: Some(earlier),
                    ..none
                },
                ConditionOutcome::Whole,
            ),
            (
                Conditions {
                    if_modified_since: Some("yesterday"),
                    ..none
                },
                ConditionOutcome::Whole,
            ),
            (
                Conditions {
                    if_match: Some("\"e1\""),
                    range,
                    ..none
                },
                part,
            ),
            (
                Conditions {
                    if_match: Some("W/\"e1\""),
                    ..none
                },
                ConditionOutcome::Another,
            ),
            (
                Conditions {
                    if_match: Some("e1"),
                    ..none
                },
                ConditionOutcome::Another,
            ),
            (
                Conditions {
                    if_unmodified_since: Some(date),
                    ..none
                },
                ConditionOutcome::Whole,
            ),
            (
                Conditions {
                    if_unmodified_since: Some(earlier),
                    ..none
                },
                ConditionOutcome::Another,
            ),
            (
                Conditions {
                    if_range: Some("\"e1\""),
                    range,
                    ..none
                },
                part,
            ),
            (
                Conditions {
                    if_range: Some("\"e2\""),
                    range,
                    ..none
                },
                ConditionOutcome::Whole,
            ),
            (
                Conditions {
                    if_range: Some("W/\"e1\""),
                    range,
                    ..none
                },
                ConditionOutcome::Whole,
            ),
            (
                Conditions {
                    if_range: Some(date),
                    range,
                    ..none
                },
                part,
            ),
            (
                Conditions {
                    if_range: Some(earlier),
                    range,
                    ..none
                },
                ConditionOutcome::Whole,
            ),
        ] {
            assert_eq!(conditions.judge(entity()), wanted, "{conditions:?}");
        }
    }
}
