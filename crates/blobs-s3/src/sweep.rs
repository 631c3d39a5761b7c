//! What uploads in parts have left that never ended: S3 keeps it, unseen and paid for, until somebody says otherwise.

use std::time::Duration;

use blobs::{BlobError, Result, now};
use object_store::{multipart::MultipartStore as _, path::Path};

use crate::{Inner, xml::each_element};

/// An upload that has begun.
#[derive(Debug, Default, PartialEq, Eq)]
struct BegunUpload {
    key: String,
    id: String,
    /// When, as S3 writes it.
    since: String,
}

/// A page of them, and where the next begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    uploads: Vec<BegunUpload>,
    next: Option<(String, String)>,
}

impl Inner {
    /// Removes what uploads have left that began so long ago.
    pub(crate) async fn sweep(&self, older_than: Duration) -> Result<u64> {
        let before = now().checked_sub(older_than).unwrap_or(std::time::UNIX_EPOCH);
        let (mut swept, mut from) = (0, None);
        loop {
            let page = self.begun_uploads(from.as_ref()).await?;
            for upload in &page.uploads {
                let since = upload
                    .since
                    .parse::<jiff::Timestamp>()
                    .map_err(BlobError::failed)?;
                if std::time::SystemTime::from(since) > before {
                    continue;
                }
                // Of a key that no file has, it is another's.
                let Ok(key) = Path::parse(&upload.key) else {
                    continue;
                };
                match self.store.abort_multipart(&key, &upload.id).await {
                    Ok(()) => swept += 1,
                    // It has ended in between.
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.error(error)),
                }
            }
            match page.next {
                Some(next) if Some(&next) != from.as_ref() => from = Some(next),
                _ => return Ok(swept),
            }
        }
    }

    async fn begun_uploads(&self, from: Option<&(String, String)>) -> Result<Page> {
        let mut query = vec![("uploads", "")];
        if let Some((key, id)) = from {
            query.extend([("key-marker", key.as_str()), ("upload-id-marker", id.as_str())]);
        }
        let text = self.ask(query).await?;
        read(&text).map_err(BlobError::failed)
    }
}

/// Reads `ListMultipartUploadsResult`.
fn read(text: &str) -> Result<Page, quick_xml::Error> {
    let mut page = Page::default();
    let (mut next_key, mut next_id, mut truncated) = (String::new(), String::new(), false);
    let mut upload = BegunUpload::default();
    each_element(text, |name, content| match name {
        "Key" => upload.key = content,
        "UploadId" => upload.id = content,
        "Initiated" => upload.since = content,
        "Upload" => page.uploads.push(std::mem::take(&mut upload)),
        "IsTruncated" => truncated = content == "true",
        "NextKeyMarker" => next_key = content,
        "NextUploadIdMarker" => next_id = content,
        _ => {}
    })?;
    page.next = truncated.then_some((next_key, next_id));
    Ok(page)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_of_begun_uploads_is_read() {
        let page = read(
            "<?xml version=\"1.0\"?>\n<ListMultipartUploadsResult><Bucket>b</Bucket><NextKeyMarker>a&amp;b</NextKeyMarker>\
             <NextUploadIdMarker>2</NextUploadIdMarker><IsTruncated>true</IsTruncated>\
             <Upload><Initiator><ID>x</ID></Initiator><Key>头&#x50CF;/a&lt;b</Key><UploadId>1</UploadId>\
             <Initiated>2026-11-30T01:02:03.000Z</Initiated></Upload></ListMultipartUploadsResult>",
        )
        .unwrap();
        let upload = BegunUpload {
            key: "头像/a<b".to_owned(),
            id: "1".to_owned(),
            since: "2026-11-30T01:02:03.000Z".to_owned(),
        };
        assert_eq!(page.uploads, [upload]);
        assert_eq!(page.next, Some(("a&b".to_owned(), "2".to_owned())));
        assert!(read("<a").is_err());
    }
}
