//! The table of all APIs, and ways to find one.
//!
//! `catalogue.tsv` is compiled in as text and read once, at the first look-up, into rows that borrow from it; it is
//! sorted, so that nothing is left to do but bisect. A table made at compile time would cost more: its thousands of
//! addresses are fixed up whenever the binary starts, also where it starts as a worker's guard and never looks.

use std::{cmp::Reverse, sync::LazyLock};

use crate::{Api, CloudCallSupport};

/// A head line, then a row for each API, sorted by the bytes of its name.
const TEXT: &str = include_str!("catalogue.tsv");

static BY_NAME: LazyLock<Vec<Api>> = LazyLock::new(|| {
    let read = |row| Api::parse(row).unwrap_or_else(|| unreachable!("a test reads every row: {row}"));
    TEXT.lines().skip(1).map(read).collect()
});

static BY_PATH: LazyLock<Vec<&'static Api>> = LazyLock::new(|| {
    let mut apis: Vec<_> = BY_NAME.iter().collect();
    apis.sort_by_key(|api| (api.path, api.name));
    apis
});

/// All APIs, sorted by name.
#[must_use]
pub fn all() -> &'static [Api] {
    &BY_NAME
}

/// The API of this very name, as the SDK sends it (`subscribeMessage.send`) and as `permissions.openapi` lists it. Case
/// counts, as it does for WeChat.
pub fn find(name: &str) -> Option<&'static Api> {
    let at = BY_NAME.binary_search_by(|api| api.name.cmp(name)).ok()?;
    Some(&BY_NAME[at])
}

/// The APIs at this path (`/wxa/getwxacode`), sorted by name: none, one, or some names for the same.
pub fn at_path(path: &str) -> &'static [&'static Api] {
    let start = BY_PATH.partition_point(|api| api.path < path);
    let rest = &BY_PATH[start..];
    &rest[..rest.partition_point(|api| api.path == path)]
}

/// The API that was most likely meant by a name that no API has, or that has no cloud call: only those with cloud call are
/// suggested.
///
/// What people get wrong, in this order: `openapi.` before it; capitals; the name of the document (`getUnlimitedQRCode`) or
/// of the method alone, if it is the method of one API only; up to a fifth of its letters.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static Api> {
    let name = name.strip_prefix("cloud.").unwrap_or(name);
    let name = name.strip_prefix("openapi.").unwrap_or(name);
    let with_cloud_call = || {
        BY_NAME
            .iter()
            .filter(|api| api.cloud_call == CloudCallSupport::Yes)
    };

    if let Some(api) = with_cloud_call().find(|api| api.name.eq_ignore_ascii_case(name)) {
        return Some(api);
    }

    let method = last_part(name);
    let same_method = |api: &&Api| {
        method.eq_ignore_ascii_case(last_part(api.name))
            || api
                .interface
                .is_some_and(|text| text.eq_ignore_ascii_case(method))
    };
    let mut same = with_cloud_call().filter(same_method);
    if let (Some(api), None) = (same.next(), same.next()) {
        return Some(api);
    }

    let wanted = name.to_ascii_lowercase();
    with_cloud_call()
        .map(|api| (strsim::osa_distance(&wanted, &api.name.to_ascii_lowercase()), api))
        .filter(|(distance, api)| distance * 5 <= api.name.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, api)| api)
}

/// The APIs that have `word` in their name, path, or their document's name or title, whatever its case; the name of one
/// comes first, then names that begin with the word, names that hold it, and the rest, each with cloud call first.
pub fn search(word: &str) -> Vec<&'static Api> {
    let word = word.to_lowercase();
    let holds = |text: Option<&str>| text.is_some_and(|text| text.to_lowercase().contains(&word));
    let mut found: Vec<_> = BY_NAME
        .iter()
        .filter_map(|api| {
            let name = api.name.to_lowercase();
            let rank = if name == word {
                0
            } else if name.starts_with(&word) {
                1
            } else if name.contains(&word) {
                2
            } else if holds(Some(api.path)) || holds(api.interface) || holds(api.title) {
                3
            } else {
                return None;
            };
            Some((rank, Reverse(api.is_callable()), api))
        })
        .collect();
    found.sort_by_key(|&(rank, callable, _)| (rank, callable));
    found.into_iter().map(|(_, _, api)| api).collect()
}

fn last_part(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, method)| method)
}

#[cfg(test)]
mod tests;
