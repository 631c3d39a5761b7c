//! What every backend of [`Blobs`](crate::Blobs) must do, one function for each property, for the tests of backends. Each
//! takes a backend that is empty, and leaves it so.
//!
//! [`hold_to_contract!`](crate::hold_to_contract) makes a test of each.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a property that does not hold panics, as a test does"
)]

use bytes::Bytes;
use files::{CloudPath, Part};

use crate::{Blob, BlobError, Blobs, ListBounds, ListEntry, NewBlob, OpenBlob, Removal, Usage};

/// Makes a test of each property, for a backend. It is given an expression that is evaluated for each test, to a pair: what
/// must live as long as the backend does, and the backend. What lives as long may look at what the property left when it is
/// dropped. The crate needs Tokio's test macro.
#[macro_export]
macro_rules! hold_to_contract {
    ($fresh:expr) => {
        $crate::hold_to_contract! { $fresh;
            what_was_written_is_read
            names_stand_for_themselves
            a_file_is_there_whole_or_not_at_all
            a_reader_keeps_what_it_opened
            parts_are_read
            lists_go_on_where_they_ended
            removed_is_gone
            only_the_file_that_is_known_is_removed
            only_what_may_be_replaced_is
            it_is_healthy
        }
    };
    ($fresh:expr; $($property:ident)*) => {$(
        #[tokio::test]
        async fn $property() {
            let (_kept, blobs) = $fresh;
            $crate::contract::$property(&blobs).await;
        }
    )*};
}

fn path(text: &str) -> CloudPath {
    text.parse().unwrap()
}

fn new(text: &str) -> NewBlob {
    NewBlob {
        path: path(text),
        owner: "o1".to_owned(),
        content_type: Some("text/plain".to_owned()),
    }
}

/// Writes a file in pieces of this size.
async fn write(blobs: &dyn Blobs, name: &str, content: &[u8], pieces: usize) {
    let mut writing = blobs.write(new(name)).await.unwrap();
    for piece in content.chunks(pieces) {
        writing.push(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let blob = writing.finish().await.unwrap();
    assert_eq!((blob.path.as_str(), blob.size), (name, content.len() as u64));
    let found = blobs.look(&path(name)).await.unwrap().unwrap();
    // A place that is another machine says by its own clock when it was written.
    let modified = found.modified;
    assert_eq!(found, Blob { modified, ..blob });
}

async fn content(mut opened: OpenBlob) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(piece) = opened.content.next().await.unwrap() {
        assert!(!piece.is_empty());
        whole.extend_from_slice(&piece);
    }
    whole
}

async fn read(blobs: &dyn Blobs, name: &str) -> Option<Vec<u8>> {
    let opened = blobs.open(&path(name)).await.unwrap()?;
    assert_eq!(opened.blob.path.as_str(), name);
    Some(content(opened).await)
}

async fn remove(blobs: &dyn Blobs, names: &[&str]) -> Vec<bool> {
    let paths: Vec<CloudPath> = names.iter().map(|name| path(name)).collect();
    blobs.remove(&paths).await.unwrap()
}

/// Bytes that no piece of is like another; more than fit into one part where a place takes parts.
fn large() -> Vec<u8> {
    (0..1_400_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Content, size, ETag, owner and type.
pub async fn what_was_written_is_read(blobs: &dyn Blobs) {
    let large = large();
    for (name, bytes, pieces) in [
        ("a/empty", &[][..], 1),
        ("a/small.txt", b"hello", 2),
        ("a/large", &large, 70_001),
        ("a/whole", &large, usize::MAX),
    ] {
        write(blobs, name, bytes, pieces).await;
        assert!(read(blobs, name).await.as_deref() == Some(bytes), "{name}");
    }
    let blob = blobs.look(&path("a/small.txt")).await.unwrap().unwrap();
    assert_eq!(
        blob.etag, "5d41402abc4b2a76b9719d911017c592",
        "the MD5 of the content"
    );
    assert_eq!(
        (&*blob.owner, blob.content_type.as_deref()),
        ("o1", Some("text/plain"))
    );
    let expected = Usage {
        files: 4,
        bytes: 5 + 2 * large.len() as u64,
    };
    assert_eq!(blobs.usage().await.unwrap(), expected);

    write(blobs, "a/large", b"now small", 3).await;
    assert_eq!(read(blobs, "a/large").await.unwrap(), b"now small");
    assert_eq!(blobs.usage().await.unwrap().bytes, 5 + 9 + large.len() as u64);
    remove(blobs, &["a/empty", "a/small.txt", "a/large", "a/whole"]).await;
    assert_eq!(blobs.usage().await.unwrap(), Usage::default());
    assert_eq!(read(blobs, "a/large").await, None);
    assert_eq!(blobs.look(&path("a/large")).await.unwrap(), None);
}

/// Whatever a file is called, it is another than one that is called otherwise.
pub async fn names_stand_for_themselves(blobs: &dyn Blobs) {
    let names = [
        "a b",
        "a%20b",
        "a+b",
        "a#b",
        "a?b=c&d",
        "头像/小明.png",
        "😀",
        "A",
        "a",
        "a.",
        "a\\b",
        ".hidden",
        "...",
        "é",
        "e\u{301}",
        "con",
        "a:b",
        "*",
        "a/b",
        "~",
        "$HOME",
        "-rf",
    ];
    let long = "长".repeat(283);
    let names: Vec<&str> = names.into_iter().chain([long.as_str()]).collect();
    for name in &names {
        write(blobs, name, name.as_bytes(), 100).await;
    }
    for name in &names {
        assert_eq!(read(blobs, name).await.unwrap(), name.as_bytes(), "{name}");
    }
    assert!(remove(blobs, &names).await.into_iter().all(|removed| removed));
}

/// Nothing is seen of a file before it is finished, and nothing is left of one that never is.
pub async fn a_file_is_there_whole_or_not_at_all(blobs: &dyn Blobs) {
    write(blobs, "f", b"before", 6).await;
    let mut writing = blobs.write(new("f")).await.unwrap();
    for _ in 0..20 {
        writing.push(Bytes::from(vec![b'x'; 100_000])).await.unwrap();
    }
    assert_eq!(read(blobs, "f").await.unwrap(), b"before");
    drop(writing);
    assert_eq!(read(blobs, "f").await.unwrap(), b"before");

    // Whoever finishes last has the name.
    let mut first = blobs.write(new("f")).await.unwrap();
    let mut second = blobs.write(new("f")).await.unwrap();
    first.push(Bytes::from_static(b"first")).await.unwrap();
    second.push(Bytes::from_static(b"second")).await.unwrap();
    second.finish().await.unwrap();
    first.finish().await.unwrap();
    assert_eq!(read(blobs, "f").await.unwrap(), b"first");
    remove(blobs, &["f"]).await;
}

/// What is read of a file is of that one, and whole, whatever becomes of its name. One that was only opened may be gone, where
/// a place keeps none for its readers.
pub async fn a_reader_keeps_what_it_opened(blobs: &dyn Blobs) {
    let large = large();
    write(blobs, "f", &large, usize::MAX).await;
    let mut opened = blobs.open(&path("f")).await.unwrap().unwrap();
    let mut begun = blobs.open(&path("f")).await.unwrap().unwrap();
    let first = begun.content.next().await.unwrap().unwrap();
    write(blobs, "f", b"another", usize::MAX).await;
    match opened.content.next().await {
        Err(BlobError::Changed) => {}
        first => assert!([&first.unwrap().unwrap()[..], &content(opened).await].concat() == large),
    }
    remove(blobs, &["f"]).await;
    assert!([&first[..], &content(begun).await].concat() == large);
}

/// Any part of a file, from its first byte to its last.
pub async fn parts_are_read(blobs: &dyn Blobs) {
    let large = large();
    write(blobs, "f", &large, usize::MAX).await;
    let end = large.len() as u64 - 1;
    for (first, last) in [
        (0, 0),
        (end, end),
        (0, end),
        (5, 300_004),
        (262_143, 262_144),
        (1_000_000, end),
    ] {
        let mut opened = blobs.open(&path("f")).await.unwrap().unwrap();
        opened.content.seek(Part { first, last });
        let expected = &large[usize::try_from(first).unwrap()..=usize::try_from(last).unwrap()];
        assert!(content(opened).await == expected, "{first} to {last}");
    }
    remove(blobs, &["f"]).await;
}

/// Files and folders, in the order of their paths' bytes, in pages.
pub async fn lists_go_on_where_they_ended(blobs: &dyn Blobs) {
    let names = ["a", "a/1", "a/2/x", "a/2/y", "a/3", "a0", "b/c/d", "头像/1.png"];
    for name in names {
        write(blobs, name, b"x", 1).await;
    }
    let shown = |entries: &[ListEntry]| -> Vec<String> {
        entries.iter().map(|entry| entry.path().to_owned()).collect()
    };
    for (prefix, folders, expected) in [
        ("", false, &names[..]),
        ("", true, &["a", "a/", "a0", "b/", "头像/"]),
        ("a/", true, &["a/1", "a/2/", "a/3"]),
        ("a/2/", true, &["a/2/x", "a/2/y"]),
        ("a", false, &["a", "a/1", "a/2/x", "a/2/y", "a/3", "a0"]),
        ("头", true, &["头像/"]),
        ("c", true, &[]),
    ] {
        for most in [1, 2, 100] {
            let (mut found, mut after) = (Vec::new(), None::<String>);
            loop {
                let bounds = ListBounds {
                    prefix,
                    after: after.as_deref(),
                    folders,
                    most,
                };
                let page = shown(&blobs.list(bounds).await.unwrap());
                assert!(page.len() <= most);
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                found.extend(page);
            }
            assert_eq!(found, expected, "{prefix:?} {folders} {most}");
        }
    }
    remove(blobs, &names).await;
}

/// Also where there was nothing.
pub async fn removed_is_gone(blobs: &dyn Blobs) {
    write(blobs, "f", b"x", 1).await;
    assert_eq!(remove(blobs, &["g", "f", "f"]).await, [false, true, false]);
    assert_eq!(remove(blobs, &["f"]).await, [false]);
    assert_eq!(read(blobs, "f").await, None);
}

/// Whoever judged one file removes no other that took its place.
pub async fn only_the_file_that_is_known_is_removed(blobs: &dyn Blobs) {
    write(blobs, "f", b"first", usize::MAX).await;
    let first = blobs.look(&path("f")).await.unwrap().unwrap();
    write(blobs, "f", b"second", usize::MAX).await;
    assert_eq!(blobs.remove_this(&first).await.unwrap(), Removal::Changed);
    assert_eq!(read(blobs, "f").await.unwrap(), b"second");
    // The same content, and another's.
    let second = blobs.look(&path("f")).await.unwrap().unwrap();
    let mut writing = blobs
        .write(NewBlob {
            owner: "o2".to_owned(),
            ..new("f")
        })
        .await
        .unwrap();
    writing.push(Bytes::from_static(b"second")).await.unwrap();
    writing.finish().await.unwrap();
    assert_eq!(blobs.remove_this(&second).await.unwrap(), Removal::Changed);
    let third = blobs.look(&path("f")).await.unwrap().unwrap();
    assert_eq!((&*third.owner, &*third.etag), ("o2", &*second.etag));
    assert_eq!(blobs.remove_this(&third).await.unwrap(), Removal::Done);
    assert_eq!(blobs.remove_this(&third).await.unwrap(), Removal::Missing);
    assert_eq!(blobs.look(&path("f")).await.unwrap(), None);
    assert_eq!(blobs.usage().await.unwrap(), Usage::default());
}

/// Whether a file takes the place of another is asked when it is whole, of what lies there then.
pub async fn only_what_may_be_replaced_is(blobs: &dyn Blobs) {
    let large = large();
    for content in [&b"second"[..], &large] {
        let begin = async || {
            let mut writing = blobs.write(new("f")).await.unwrap();
            writing.push(Bytes::copy_from_slice(content)).await.unwrap();
            writing
        };
        let (first, second, third) = (begin().await, begin().await, begin().await);
        let done = first.finish_if(Box::new(|there| there.is_none())).await.unwrap();
        assert_eq!(done.unwrap().size, content.len() as u64);
        let mut fourth = blobs
            .write(NewBlob {
                owner: "o2".to_owned(),
                ..new("f")
            })
            .await
            .unwrap();
        fourth.push(Bytes::from_static(b"another")).await.unwrap();
        fourth.finish().await.unwrap();
        let refused = second.finish_if(Box::new(|there| there.is_none_or(|blob| blob.owner == "o1")));
        assert_eq!(refused.await.unwrap(), None);
        assert_eq!(read(blobs, "f").await.unwrap(), b"another");
        assert_eq!(blobs.usage().await.unwrap(), Usage { files: 1, bytes: 7 });
        let done = third.finish_if(Box::new(|there| there.is_some_and(|blob| blob.owner == "o2")));
        assert!(done.await.unwrap().is_some());
        assert!(read(blobs, "f").await.unwrap() == content);
        remove(blobs, &["f"]).await;
    }
}

/// Nothing failed, so nothing is said to have.
pub async fn it_is_healthy(blobs: &dyn Blobs) {
    write(blobs, "f", b"x", 1).await;
    blobs.check().await.unwrap();
    remove(blobs, &["f"]).await;
    blobs.check().await.unwrap();
}
