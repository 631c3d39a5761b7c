//! What `CDN` of a Mini Program holds: it goes to a place that the server chooses, and a function gets its address. So whoever has logged in
//! may, whatever the permission of storage says; it is nobody's file, lies a day, and there are so many of one user.
//!
//! The platform says of it only that the function receives an address. **Choices**: the day, the folder, the bounds below.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use blobs::{Blob, Blobs, ListBounds, ListEntry, Removal, Result};
use files::{CloudPath, CloudPathError};

/// Where it lies. The name is this program's, so that nothing of a project's is swept away.
pub const CDN_FOLDER: &str = ".yunqiao/cdn/";
/// How long it lies, and its address is good.
pub const CDN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest, in bytes; and no larger than any file.
pub(crate) const LARGEST: u64 = 20 << 20;

/// So many addresses a user is given at once.
const AT_ONCE: u32 = 50;
/// How long it takes until there is one more.
const ONE_MORE: Duration = Duration::from_secs(30 * 60);
/// Of more users than this those are forgotten who have all of theirs again.
const USERS: usize = 10_000;
/// Files that are looked at, and removed, at a time.
const PAGE: usize = 500;

/// How many each user may still be given.
#[derive(Debug, Default)]
pub(crate) struct CdnShares(Mutex<HashMap<String, Share>>);

#[derive(Clone, Copy, Debug)]
struct Share {
    left: u32,
    /// Since when the next one is on its way.
    since: Instant,
}

impl Share {
    fn refill(&mut self, now: Instant) {
        let more = now.saturating_duration_since(self.since).as_secs() / ONE_MORE.as_secs();
        let more = u32::try_from(more).unwrap_or(AT_ONCE).min(AT_ONCE);
        self.left = self.left.saturating_add(more).min(AT_ONCE);
        self.since = match self.left {
            AT_ONCE => now,
            _ => self.since + ONE_MORE * more,
        };
    }
}

impl CdnShares {
    /// Takes one for `user`, if there is one.
    pub(crate) fn take(&self, user: &str, now: Instant) -> bool {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= USERS && !shares.contains_key(user) {
            shares.retain(|_, share| {
                share.refill(now);
                share.left < AT_ONCE
            });
        }
        let share = shares.entry(user.to_owned()).or_insert(Share {
            left: AT_ONCE,
            since: now,
        });
        share.refill(now);
        let is_left = share.left > 0;
        share.left = share.left.saturating_sub(1);
        is_left
    }
}

/// A path that nobody else has, nor can guess.
pub(crate) fn path() -> std::result::Result<CloudPath, CloudPathError> {
    format!("{CDN_FOLDER}{:032x}", rand::random::<u128>()).parse()
}

/// Whether a file is one that was given out here: of another, nobody has said that it lies a day.
fn is_of_cdn(blob: &Blob) -> bool {
    let name = blob.path.as_str().strip_prefix(CDN_FOLDER).unwrap_or_default();
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    blob.owner.is_empty() && name.len() == 32 && name.bytes().all(is_digit)
}

/// Removes what has lain long enough by `now`, and gives how many files that was. One that cannot be removed keeps no other.
///
/// # Errors
/// The place fails, or failed at a file; all others that could be removed are gone.
pub async fn sweep_cdn(blobs: &dyn Blobs, now: SystemTime) -> Result<u64> {
    let mut swept = 0;
    let mut failed = None;
    let mut after: Option<String> = None;
    loop {
        let page = blobs
            .list(ListBounds {
                prefix: CDN_FOLDER,
                after: after.as_deref(),
                folders: false,
                most: PAGE,
            })
            .await?;
        let Some(last) = page.last() else {
            return match failed {
                Some(error) => Err(error),
                None => Ok(swept),
            };
        };
        after = Some(last.path().to_owned());
        for entry in page {
            if let ListEntry::File(blob) = entry
                && is_of_cdn(&blob)
                && now.duration_since(blob.modified).is_ok_and(|age| age > CDN_LIFE)
            {
                match blobs.remove_this(&blob).await {
                    Ok(Removal::Done) => swept += 1,
                    Ok(_) => {}
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use blobs::{BlobError, BoxFuture, Folder, FolderOptions, NewBlob};

    use super::*;

    #[test]
    fn a_user_runs_out_and_others_do_not() {
        let (shares, now) = (CdnShares::default(), Instant::now());
        for _ in 0..AT_ONCE {
            assert!(shares.take("alice", now));
        }
        assert!(!shares.take("alice", now));
        assert!(shares.take("bob", now));
        let later = now + ONE_MORE;
        assert!(shares.take("alice", later));
        assert!(!shares.take("alice", later));
        let rested = later + ONE_MORE * AT_ONCE * 3;
        for _ in 0..AT_ONCE {
            assert!(shares.take("alice", rested));
        }
        assert!(!shares.take("alice", rested), "they do not pile up");
    }

    #[tokio::test]
    async fn what_has_lain_a_day_is_swept_and_nothing_else() {
        let folder = Folder::temporary(FolderOptions::default()).unwrap();
        let mut paths = vec![path().unwrap(), "cdn/mine.txt".parse().unwrap()];
        paths.push(".yunqiao/other.txt".parse().unwrap());
        paths.push(".yunqiao/cdn/mine".parse().unwrap());
        for path in &paths {
            let new = NewBlob {
                path: path.clone(),
                owner: String::new(),
                content_type: None,
            };
            folder.write(new).await.unwrap().finish().await.unwrap();
        }
        let now = blobs::now();
        assert_eq!(sweep_cdn(&folder, now).await.unwrap(), 0);
        let tomorrow = now + CDN_LIFE + Duration::from_secs(60);
        assert_eq!(sweep_cdn(&folder, tomorrow).await.unwrap(), 1);
        let mut there = Vec::new();
        for path in &paths {
            there.push(folder.look(path).await.unwrap().is_some());
        }
        assert_eq!(there, [false, true, true, true]);
    }

    /// A folder in which one file cannot be removed.
    struct Stuck(Folder, CloudPath);

    impl Blobs for Stuck {
        fn write(&self, new: NewBlob) -> BoxFuture<'_, Result<Box<dyn blobs::Writing>>> {
            self.0.write(new)
        }

        fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<blobs::OpenBlob>>> {
            self.0.open(path)
        }

        fn look<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<blobs::Blob>>> {
            self.0.look(path)
        }

        fn remove<'a>(&'a self, paths: &'a [CloudPath]) -> BoxFuture<'a, Result<Vec<bool>>> {
            match paths.contains(&self.1) {
                true => Box::pin(async { Err(BlobError::Failed("it is stuck".into())) }),
                false => self.0.remove(paths),
            }
        }

        fn list<'a>(&'a self, bounds: ListBounds<'a>) -> BoxFuture<'a, Result<Vec<ListEntry>>> {
            self.0.list(bounds)
        }

        fn usage(&self) -> BoxFuture<'_, Result<blobs::Usage>> {
            self.0.usage()
        }

        fn check(&self) -> BoxFuture<'_, Result<()>> {
            self.0.check()
        }
    }

    #[tokio::test]
    async fn one_that_cannot_be_removed_keeps_no_other() {
        let folder = Folder::temporary(FolderOptions::default()).unwrap();
        let mut paths = Vec::new();
        for number in 0..3 {
            let path: CloudPath = format!("{CDN_FOLDER}{number:032x}").parse().unwrap();
            let new = NewBlob {
                path: path.clone(),
                owner: String::new(),
                content_type: None,
            };
            folder.write(new).await.unwrap().finish().await.unwrap();
            paths.push(path);
        }
        let place = Stuck(folder, paths[0].clone());
        let tomorrow = blobs::now() + CDN_LIFE + Duration::from_secs(60);
        let failed = sweep_cdn(&place, tomorrow).await;
        assert!(matches!(failed, Err(BlobError::Failed(_))), "{failed:?}");
        let mut there = Vec::new();
        for path in &paths {
            there.push(place.look(path).await.unwrap().is_some());
        }
        assert_eq!(there, [true, false, false]);
    }
}
