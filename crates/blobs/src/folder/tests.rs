#![allow(clippy::unwrap_used)]

use std::{os::unix::fs::PermissionsExt, path::Path};

use bytes::Bytes;

use super::*;
use crate::{BESIDE_CONTENT, hold_to_contract};

fn folder(root: &Path) -> Folder {
    Folder::open(root, FolderOptions::default()).unwrap()
}

fn new(path: &str) -> NewBlob {
    NewBlob {
        path: path.parse().unwrap(),
        owner: String::new(),
        content_type: None,
    }
}

async fn write(folder: &Folder, path: &str, content: &[u8]) -> Result<Blob> {
    let mut writing = folder.write(new(path)).await?;
    writing.push(Bytes::copy_from_slice(content)).await?;
    writing.finish().await
}

/// The files of a folder and of those in it, the index left out.
fn on_disk(root: &Path) -> usize {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => on_disk(&entry.path()),
            // The index, and its journal while it is written to.
            false => usize::from(!entry.file_name().to_string_lossy().starts_with(INDEX)),
        })
        .sum()
}

/// A folder of which the property that it was lent to leaves nothing.
struct Lent(tempfile::TempDir);

impl Drop for Lent {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // The piece that an abandoned upload had under way is written to its end first.
            while on_disk(&self.0.path().join(COMING)) > 0 {
                std::thread::yield_now();
            }
            assert_eq!(on_disk(self.0.path()), 0, "nothing is left of what is gone");
        }
    }
}

hold_to_contract!({
    let lent = Lent(tempfile::tempdir().unwrap());
    let folder = folder(lent.0.path());
    (lent, folder)
});

#[tokio::test]
async fn files_are_there_after_a_restart_and_their_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let first = folder(root.path());
    let written = write(&first, "a/b", b"content").await.unwrap();
    let error = Folder::open(root.path(), FolderOptions::default()).unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    let again = folder(root.path());
    assert_eq!(again.look(&written.path).await.unwrap(), Some(written));
    for folder in ["", CONTENT, COMING] {
        let mode = fs::metadata(root.path().join(folder))
            .unwrap()
            .permissions()
            .mode();
        assert!(folder.is_empty() || mode & 0o077 == 0, "{folder} {mode:o}");
    }
}

/// The moments at which a process can die: while a content comes, when it is in its place and not yet entered, and when it
/// was replaced and is still there.
#[tokio::test]
async fn what_a_crash_leaves_is_swept_away() {
    let root = tempfile::tempdir().unwrap();
    let first = folder(root.path());
    write(&first, "kept", b"kept").await.unwrap();
    let id = ContentId::new();
    fs::write(first.0.coming(id), b"half").unwrap();
    let content = first.0.content(id);
    fs::create_dir_all(content.parent().unwrap()).unwrap();
    fs::write(content, b"not entered").unwrap();
    drop(first);
    let again = folder(root.path());
    assert_eq!(on_disk(root.path()), 1);
    let mut opened = again.open(&"kept".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(&opened.content.next().await.unwrap().unwrap()[..], b"kept");
}

/// An index that was left open, and whose journal was taken away or has lost its end, does not know the files that came last: they are not
/// swept away.
#[tokio::test]
async fn contents_that_the_index_may_have_lacked_are_put_aside() {
    let root = tempfile::tempdir().unwrap();
    let first = folder(root.path());
    for name in ["known", "last", "very last"] {
        write(&first, name, name.as_bytes()).await.unwrap();
    }
    type Fault = fn(&Path);
    let zeroed: Fault = |journal| fs::write(journal, vec![0; 1 << 20]).unwrap();
    let cut: Fault = |journal| {
        File::options()
            .write(true)
            .open(journal)
            .unwrap()
            .set_len(9)
            .unwrap()
    };
    for fault in [|journal: &Path| fs::remove_file(journal).unwrap(), zeroed, cut] {
        let left = tempfile::tempdir().unwrap();
        copy(root.path(), left.path());
        fault(&left.path().join(format!("{INDEX}-journal")));
        what_came_last_is_put_aside(left.path()).await;
    }
}

async fn what_came_last_is_put_aside(left: &Path) {
    for _ in 0..2 {
        let again = folder(left);
        for (name, is_known) in [("known", true), ("last", false), ("very last", false)] {
            let found = again.look(&name.parse().unwrap()).await.unwrap();
            assert_eq!(found.is_some(), is_known, "{name}");
        }
        let mut lost: Vec<_> = fs::read_dir(left.join(LOST))
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        lost.sort();
        assert_eq!(lost, ["last", "very last"]);
        assert_eq!(on_disk(&left.join(CONTENT)), 1);
    }
}

/// All that is in a folder, in another one.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => {
                fs::create_dir(&to).unwrap();
                copy(&entry.path(), &to);
            }
            false => drop(fs::copy(entry.path(), &to).unwrap()),
        }
    }
}

/// What is not called as a content, and contents whose index is gone.
#[tokio::test]
async fn nothing_but_what_is_its_own_is_swept_away() {
    let root = tempfile::tempdir().unwrap();
    let posts = root.path().join(CONTENT).join("posts");
    fs::create_dir_all(&posts).unwrap();
    fs::create_dir_all(root.path().join(COMING).join("soon")).unwrap();
    for file in [
        posts.join("one.md"),
        root.path().join(CONTENT).join(".DS_Store"),
        root.path().join(COMING).join("draft"),
    ] {
        fs::write(file, b"somebody's own").unwrap();
    }
    let first = folder(root.path());
    write(&first, "a", b"a").await.unwrap();
    drop(first);
    let again = folder(root.path());
    assert!(again.open(&"a".parse().unwrap()).await.unwrap().is_some());
    assert_eq!(on_disk(root.path()), 4);
    drop(again);
    fs::remove_file(root.path().join(INDEX)).unwrap();
    let error = Folder::open(root.path(), FolderOptions::default()).unwrap_err();
    assert!(
        matches!(error, BlobError::IndexLost { .. }) && error.to_string().contains("put the index.redb"),
        "{error}"
    );
    assert_eq!(on_disk(root.path()), 4);
}

#[tokio::test]
async fn a_quota_holds() {
    let root = tempfile::tempdir().unwrap();
    let most = BESIDE_CONTENT * 2 + 10;
    let quota = Some(most);
    let folder = Folder::open(root.path(), FolderOptions { quota }).unwrap();
    write(&folder, "a", b"123456").await.unwrap();
    let refused = write(&folder, "b", b"123456").await.unwrap_err();
    assert!(
        matches!(refused, BlobError::Quota { used, quota } if used == BESIDE_CONTENT + 6 && quota == most),
        "{refused}"
    );
    // In the place of another, only what it is more counts.
    write(&folder, "a", b"1234567890").await.unwrap();
    let large = vec![0; 11 + usize::try_from(BESIDE_CONTENT).unwrap()];
    assert!(write(&folder, "a", &large).await.is_err());
    write(&folder, "a", &large[1..]).await.unwrap();
    write(&folder, "a", b"1234567890").await.unwrap();
    // It shows before the end, too.
    let mut writing = folder.write(new("c")).await.unwrap();
    let large = Bytes::from(vec![0; 300_000]);
    let _ = writing.push(large.clone()).await;
    assert!(writing.push(large).await.is_err());
    drop(writing);
    folder.remove(&["a".parse().unwrap()]).await.unwrap();
    write(&folder, "b", b"123456").await.unwrap();
}

/// Each counts beside its content, from when it is begun until it is removed, and also where an earlier run wrote it.
#[tokio::test]
async fn files_of_no_bytes_have_a_bound_in_number() {
    let root = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    let before = folder(root.path());
    write(&before, names[0], b"").await.unwrap();
    drop(before);
    let quota = Some(BESIDE_CONTENT * 3);
    let folder = Folder::open(root.path(), FolderOptions { quota }).unwrap();
    write(&folder, names[1], b"").await.unwrap();
    let begun = folder.write(new(names[2])).await.unwrap();
    let refused = write(&folder, "d", b"").await.unwrap_err();
    assert!(matches!(refused, BlobError::Quota { .. }), "{refused}");
    begun.finish().await.unwrap();
    assert!(write(&folder, "d", b"").await.is_err());
    for name in names {
        write(&folder, name, b"").await.unwrap();
    }
    folder.remove(&["a".parse().unwrap()]).await.unwrap();
    write(&folder, "d", b"").await.unwrap();
    assert!(write(&folder, "a", b"").await.is_err());
}

#[tokio::test]
async fn a_folder_that_was_removed_under_it_is_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("files");
    let folder = folder(&path);
    write(&folder, "a.txt", b"1").await.unwrap();
    fs::remove_dir_all(&path).unwrap();
    let large = vec![0; 8 << 20];
    for content in [&b"2"[..], &large] {
        let error = write(&folder, "b.txt", content).await.unwrap_err();
        assert!(matches!(error, BlobError::Removed { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

/// Whatever has come of uploads counts before they have ended, and no more once they have.
#[tokio::test]
async fn uploads_under_way_count() {
    let root = tempfile::tempdir().unwrap();
    let quota = Some(1_000_000 + 2 * BESIDE_CONTENT);
    let folder = Folder::open(root.path(), FolderOptions { quota }).unwrap();
    let half = Bytes::from(vec![0; 600_000]);
    let mut first = folder.write(new("a")).await.unwrap();
    first.push(half.clone()).await.unwrap();
    // What was pushed is on its way to the disk: the next push waits for it.
    first.push(Bytes::from(vec![0; 300_000])).await.unwrap();
    let mut second = folder.write(new("b")).await.unwrap();
    second.push(half.clone()).await.unwrap();
    let refused = second.finish().await.unwrap_err();
    assert!(matches!(refused, BlobError::Quota { .. }), "{refused}");
    drop(first);
    // What it had still on its way to the disk is given up when it is there.
    while let Err(refused) = write(&folder, "b", &half).await {
        assert!(matches!(refused, BlobError::Quota { .. }), "{refused}");
    }
    assert_eq!(folder.usage().await.unwrap().bytes, 600_000);
}

/// More readers than there is room to read ahead for: each gets its part, whoever else reads.
#[tokio::test]
async fn any_number_of_readers_get_what_they_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let path = write(&folder, "a", &content).await.unwrap().path;
    let mut readers = Vec::new();
    for number in 0..3 * reading::READERS_AHEAD {
        let mut opened = folder.open(&path).await.unwrap().unwrap();
        let first = (number * 1000) as u64;
        let last = content.len() as u64 - 1;
        opened.content.seek(files::Part { first, last });
        let begun = opened.content.next().await.unwrap().unwrap();
        readers.push((number * 1000, begun.to_vec(), opened.content));
    }
    for (first, mut read, mut reader) in readers {
        while let Some(piece) = reader.next().await.unwrap() {
            read.extend_from_slice(&piece);
        }
        assert!(read == content[first..], "from {first}");
    }
}

/// A folder that may only be read says so, and works again by itself.
#[tokio::test]
async fn a_folder_that_takes_no_files_says_so() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    folder.check().await.unwrap();
    // Where large files are written, and where small ones are.
    for place in [COMING, CONTENT] {
        fs::rename(root.path().join(place), root.path().join("away")).unwrap();
        folder.check().await.unwrap_err();
        fs::rename(root.path().join("away"), root.path().join(place)).unwrap();
        folder.check().await.unwrap();
    }
    assert_eq!(on_disk(root.path()), 0);
}

#[tokio::test]
async fn a_content_that_is_gone_is_an_error_and_ends_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    write(&folder, "a", b"a").await.unwrap();
    write(&folder, "b", b"b").await.unwrap();
    let path = "a".parse().unwrap();
    let content = folder.0.index.look(&path).unwrap().unwrap().content;
    fs::remove_file(folder.0.content(content)).unwrap();
    assert!(folder.open(&path).await.is_err());
    assert!(folder.open(&"b".parse().unwrap()).await.unwrap().is_some());
    write(&folder, "a", b"anew").await.unwrap();
    assert!(folder.open(&path).await.unwrap().is_some());
}

/// One of them is read from the disk once, and forgotten with its file. What lies at the path is looked up each time.
#[tokio::test]
async fn small_contents_are_in_memory_once_they_were_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let path = "a".parse().unwrap();
    let read = async || {
        let mut opened = folder.open(&path).await.unwrap()?;
        let content = opened.content.next().await.unwrap().unwrap();
        Some((opened.blob.etag, content))
    };
    for content in ["first", "second"] {
        let written = write(&folder, "a", content.as_bytes()).await.unwrap();
        let expected = Some((written.etag, Bytes::from(content)));
        assert_eq!(read().await, expected);
        let id = folder.0.index.look(&path).unwrap().unwrap().content;
        let away = root.path().join("away");
        fs::rename(folder.0.content(id), &away).unwrap();
        assert_eq!(read().await, expected, "nobody looks at the disk");
        let mut part = folder.open(&path).await.unwrap().unwrap().content;
        part.seek(files::Part { first: 1, last: 3 });
        assert_eq!(part.next().await.unwrap().unwrap(), content.as_bytes()[1..4]);
        fs::rename(&away, folder.0.content(id)).unwrap();
        assert_eq!(folder.0.small.bytes(), content.len() + small::BESIDE);
    }
    folder.remove(std::slice::from_ref(&path)).await.unwrap();
    assert_eq!((read().await, folder.0.small.bytes()), (None, 0));
    // A larger one is not held whole.
    let large = write(&folder, "large", &[1; 100_000]).await.unwrap();
    assert!(folder.open(&large.path).await.unwrap().is_some());
    assert_eq!(folder.0.small.bytes(), 0);
}

/// Those that are entered together, and over one another: each counts once, and nothing is left of those that were written over.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_at_once_are_all_entered() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let writes = (0..120).map(|number| {
        let folder = folder.clone();
        tokio::spawn(async move {
            let path = match number % 3 {
                0 => "the same".to_owned(),
                _ => format!("{number}"),
            };
            write(&folder, &path, format!("{number:04}").as_bytes()).await
        })
    });
    for written in writes.collect::<Vec<_>>() {
        written.await.unwrap().unwrap();
    }
    let usage = folder.usage().await.unwrap();
    assert_eq!((usage.files, usage.bytes), (81, 324));
    assert_eq!(on_disk(root.path()), 81);
}

#[tokio::test]
async fn what_only_the_journal_of_the_index_has_is_there_after_a_crash() {
    let root = tempfile::tempdir().unwrap();
    let first = folder(root.path());
    for path in ["first", "gone", "kept", "replaced"] {
        write(&first, path, path.as_bytes()).await.unwrap();
    }
    write(&first, "replaced", b"again").await.unwrap();
    first.remove(&["gone".parse().unwrap()]).await.unwrap();
    assert!(root.path().join(format!("{INDEX}-journal")).exists());
    // As a process that is killed now would leave it.
    let left = tempfile::tempdir().unwrap();
    copy(root.path(), left.path());
    let again = folder(left.path());
    assert_eq!(again.usage().await.unwrap(), first.usage().await.unwrap());
    for path in ["first", "gone", "kept", "replaced"] {
        let path = path.parse().unwrap();
        assert_eq!(
            again.look(&path).await.unwrap(),
            first.look(&path).await.unwrap(),
            "{path}"
        );
    }
    let mut opened = again.open(&"replaced".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(&opened.content.next().await.unwrap().unwrap()[..], b"again");
    assert_eq!(on_disk(left.path()), 3);
}
