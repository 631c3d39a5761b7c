//! Lists of a bucket, by pages. They are asked for and read here: the client of object stores knows no key with `//` or `..` in it, and gives
//! nothing of a page that has one.

use std::sync::{Arc, atomic::Ordering};

use blobs::{Blob, BlobError, ListBounds, ListEntry, Result, Usage};
use files::CloudPath;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{AT_ONCE, Inner, S3Error, xml::each_element};

/// What S3 gives at a time.
const PAGE: usize = 1000;
/// Behind every name that a folder can have in it.
const LAST: char = char::MAX;

/// A part of a list, as the server gives it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ListedPage {
    objects: Vec<ListedObject>,
    /// With `/` at their ends.
    folders: Vec<String>,
    /// By what the next part is asked for.
    next: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct ListedObject {
    key: String,
    size: u64,
}

impl Inner {
    pub(crate) async fn list(self: Arc<Self>, bounds: ListBounds<'_>) -> Result<Vec<ListEntry>> {
        let mut entries = Vec::new();
        let after = bounds
            .after
            .map(|after| match after.ends_with('/') && bounds.folders {
                // After a folder comes what is behind everything in it.
                true => format!("{after}{LAST}"),
                false => after.to_owned(),
            });
        let mut next = None::<String>;
        while entries.len() < bounds.most {
            let most = (bounds.most - entries.len()).min(PAGE).to_string();
            let mut query = vec![("max-keys", &*most), ("prefix", bounds.prefix)];
            if bounds.folders {
                query.push(("delimiter", "/"));
            }
            match (&next, &after) {
                (Some(next), _) => query.push(("continuation-token", next.as_str())),
                (None, Some(after)) => query.push(("start-after", after.as_str())),
                (None, None) => {}
            }
            let listed = self.page(&query).await?;
            // What other tools have put there may have a name that no file can have.
            let paths: Vec<CloudPath> = listed
                .objects
                .iter()
                .filter_map(|object| self.path_of(&object.key))
                .collect();
            let files = paths.into_iter().map(|path| {
                let inner = Arc::clone(&self);
                async move { inner.look(&path).await }
            });
            let files: Vec<Option<Blob>> = stream::iter(files).buffered(AT_ONCE).try_collect().await?;
            let files = files.into_iter().flatten().map(ListEntry::File);
            let folders = listed.folders.into_iter();
            let folders = folders
                .filter(|folder| format!("{folder}x").parse::<CloudPath>().is_ok())
                .map(ListEntry::Folder);
            let mut page: Vec<ListEntry> = files.chain(folders).collect();
            page.sort_by(|one, other| one.path().cmp(other.path()));
            entries.append(&mut page);
            next = listed.next;
            if next.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    /// Lists everything.
    pub(crate) async fn count(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut next = None::<String>;
        loop {
            let listed = match &next {
                None => self.page(&[]).await?,
                Some(next) => self.page(&[("continuation-token", next.as_str())]).await?,
            };
            for object in &listed.objects {
                usage.files += 1;
                usage.bytes += object.size;
            }
            match listed.next {
                Some(other) if Some(&other) != next.as_ref() => next = Some(other),
                _ => return Ok(usage),
            }
        }
    }

    /// A part of a list.
    pub(crate) async fn page(&self, query: &[(&str, &str)]) -> Result<ListedPage> {
        let mut all = vec![("list-type", "2")];
        all.extend(query.iter().filter(|(_, value)| !value.is_empty()));
        let text = self.ask(all).await?;
        match read(&text) {
            Ok(Some(page)) => Ok(page),
            Ok(None) => Err(S3Error::refused(None, &text, &self.place, None).into()),
            Err(error) => Err(S3Error::refused(None, &text, &self.place, Some(error.into())).into()),
        }
    }

    /// The path of the file that an object is. Of others the operator is told, once: but of folders that other tools make, which are empty.
    fn path_of(&self, key: &str) -> Option<CloudPath> {
        let path = key.parse();
        if path.is_err() && !key.ends_with('/') && !self.told_of_other_keys.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                key,
                bucket = self.place.bucket,
                "an object in the bucket has a key that no file can have; such objects are left out of lists, and count in what is used"
            );
        }
        path.ok()
    }
}

/// Reads `ListBucketResult`; `None` where it is something else.
fn read(text: &str) -> std::result::Result<Option<ListedPage>, BlobError> {
    let mut page = ListedPage::default();
    let mut object = ListedObject::default();
    let (mut prefix, mut truncated, mut next, mut is_list) = (String::new(), false, None, false);
    let mut bad_size = None;
    each_element(text, |name, content| match name {
        "Key" => object.key = content,
        "Size" => match content.trim().parse() {
            Ok(size) => object.size = size,
            Err(error) => bad_size = Some(error),
        },
        "Contents" => page.objects.push(std::mem::take(&mut object)),
        "Prefix" => prefix = content,
        "CommonPrefixes" => page.folders.push(std::mem::take(&mut prefix)),
        "IsTruncated" => truncated = content.trim() == "true",
        "NextContinuationToken" => next = Some(content),
        "ListBucketResult" => is_list = true,
        _ => {}
    })
    .map_err(BlobError::failed)?;
    if let Some(error) = bad_size {
        return Err(BlobError::failed(error));
    }
    page.next = next.filter(|_| truncated);
    Ok(is_list.then_some(page))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_of_a_list_is_read_whatever_its_keys_are() {
        let page = read(
            "<?xml version=\"1.0\"?>\n<ListBucketResult><Name>b</Name><Prefix>old/</Prefix><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>a+b/=</NextContinuationToken>\
             <Contents><Key>old//x &amp; y.png</Key><Size>12</Size><Owner><ID>1</ID></Owner></Contents>\
             <Contents><Key>old/../头&#x50CF;</Key><Size>0</Size></Contents>\
             <CommonPrefixes><Prefix>old/a/</Prefix></CommonPrefixes></ListBucketResult>",
        );
        let object = |key: &str, size| ListedObject {
            key: key.to_owned(),
            size,
        };
        assert_eq!(
            page.unwrap().unwrap(),
            ListedPage {
                objects: vec![object("old//x & y.png", 12), object("old/../头像", 0)],
                folders: vec!["old/a/".to_owned()],
                next: Some("a+b/=".to_owned()),
            }
        );
        let last = "<ListBucketResult><IsTruncated>false</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>";
        assert_eq!(read(last).unwrap().unwrap(), ListedPage::default());
        assert_eq!(read("hello").unwrap(), None);
        assert_eq!(read("<html><Key>a</Key></html>").unwrap(), None);
        assert!(
            read("<ListBucketResult><Contents>").is_err()
                || read("<ListBucketResult><Contents>").unwrap().is_none()
        );
        assert!(read("<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>").is_err());
    }
}
