//! Lists of a bucket, by pages.

use std::sync::Arc;

use blobs::{Blob, ListBounds, ListEntry, Result, Usage};
use files::CloudPath;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};

use crate::{AT_ONCE, Inner};

/// What S3 gives at a time.
const PAGE: usize = 1000;
/// Behind every name that a folder can have in it.
const LAST: char = char::MAX;

impl Inner {
    pub(crate) async fn list(self: Arc<Self>, bounds: ListBounds<'_>) -> Result<Vec<ListEntry>> {
        let mut entries = Vec::new();
        let mut offset = bounds
            .after
            .map(|after| match after.ends_with('/') && bounds.folders {
                // After a folder comes what is behind everything in it.
                true => format!("{after}{LAST}"),
                false => after.to_owned(),
            });
        let mut token = None;
        while entries.len() < bounds.most {
            let options = PaginatedListOptions {
                offset: offset.take(),
                delimiter: bounds.folders.then_some("/".into()),
                max_keys: Some((bounds.most - entries.len()).min(PAGE)),
                page_token: token.take(),
                ..PaginatedListOptions::default()
            };
            let prefix = Some(bounds.prefix).filter(|prefix| !prefix.is_empty());
            let listed = self.store.list_paginated(prefix, options).await;
            let listed = listed.map_err(|error| self.error(error))?;
            // What other tools have put there may have a name that no file can have.
            let paths = listed.result.objects.iter();
            let paths: Vec<CloudPath> = paths
                .filter_map(|meta| meta.location.as_ref().parse().ok())
                .collect();
            let files = paths.into_iter().map(|path| {
                let inner = Arc::clone(&self);
                async move { inner.look(&path).await }
            });
            let files: Vec<Option<Blob>> = stream::iter(files).buffered(AT_ONCE).try_collect().await?;
            let files = files.into_iter().flatten().map(ListEntry::File);
            let folders = listed.result.common_prefixes.iter();
            let folders = folders.map(|folder| ListEntry::Folder(format!("{folder}/")));
            let mut page: Vec<ListEntry> = files.chain(folders).collect();
            page.sort_by(|one, other| one.path().cmp(other.path()));
            entries.append(&mut page);
            token = listed.page_token;
            if token.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    /// Lists everything.
    pub(crate) async fn count(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut token = None;
        loop {
            let options = PaginatedListOptions {
                page_token: token.take(),
                ..PaginatedListOptions::default()
            };
            let listed = self.store.list_paginated(None, options).await;
            let listed = listed.map_err(|error| self.error(error))?;
            for meta in &listed.result.objects {
                usage.files += 1;
                usage.bytes += meta.size;
            }
            token = listed.page_token;
            if token.is_none() {
                return Ok(usage);
            }
        }
    }
}
