//! Names of files and the headers that ask for parts of them. The first line of the input is a path, an id or an address, the second a
//! range, the third a list of tags, and the fourth a text that storage says.

use std::time::{Duration, UNIX_EPOCH};

use files::{
    CloudPath, ConditionOutcome, Conditions, Entity, FileId, LONGEST_PATH, Storage, StorageRefusal,
    content_type, name_in_address, path_of_address, path_of_platform_url, plain_path, showing,
};

/// The length of the file that ranges are of.
const LENGTHS: [u64; 4] = [0, 1, 1000, u64::MAX];

pub(crate) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (name, range, tags, said) = (line(), line(), line(), line());
    for path in [name.parse().ok(), path_of_address(name)].into_iter().flatten() {
        path_holds(&path);
    }
    id_holds(name);
    if let Ok(path) = path_of_platform_url(&Storage::new("env", "wx1", None), name) {
        path_holds(&path);
    }
    for length in LENGTHS {
        range_holds(range, tags, length);
    }
    xml_holds(said, name);
}

/// A path stands for itself, in an id and in an address, and leaves no folder.
fn path_holds(path: &CloudPath) {
    let text = path.as_str();
    assert!(!text.is_empty() && text.len() <= LONGEST_PATH);
    assert!(
        text.split('/').all(|name| !matches!(name, "" | "." | "..")),
        "{text:?}"
    );
    assert_eq!(text.parse().as_ref(), Ok(path));
    let storage = Storage::new("env", "wx1", Some(Vec::new()));
    assert_eq!(storage.path(&storage.id(path).to_string()).as_ref(), Ok(path));
    if let Some(plain) = plain_path(path) {
        assert_eq!(path_of_address(plain).as_ref(), Some(path));
    }
    // What is at the end of an address ends no earlier, and is no other once it is encoded.
    let name = name_in_address(path);
    assert!(!name.contains(['%', '#', '?', '/', '"', '\r', '\n']), "{name:?}");
    let kind = content_type(path.name(), text.as_bytes());
    assert!(kind.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{kind:?}");
    let _ = showing(&kind);
}

fn id_holds(text: &str) {
    let Ok(id) = FileId::parse(text) else {
        return;
    };
    path_holds(&id.path);
    assert_eq!(FileId::parse(&id.to_string()), Ok(id));
}

/// A part lies within its file, whatever was asked for.
fn range_holds(range: &str, tags: &str, length: u64) {
    let entity = Entity {
        etag: "0cc175b9c0f1b6a831c399e269772661",
        modified: UNIX_EPOCH + Duration::from_secs(1_000_000_000),
        length,
    };
    for (if_range, if_none_match) in [(None, None), (Some(tags), None), (None, Some(tags))] {
        let conditions = Conditions {
            range: Some(range),
            if_range,
            if_none_match,
            if_modified_since: Some(tags),
            ..Conditions::default()
        };
        if let ConditionOutcome::Part(part) = conditions.judge(entity) {
            assert!(
                part.first <= part.last && part.last < length,
                "{part:?} of {length}"
            );
            assert!((1..=length).contains(&part.length()));
        }
    }
}

/// Whatever is said stands between its tags, and is no tag itself.
fn xml_holds(said: &str, request_id: &str) {
    let xml = StorageRefusal::NoRight.xml(said, request_id);
    let tags = xml.matches('<').count();
    assert_eq!(tags, xml.matches('>').count());
    // The declaration, the outermost element, and four in it.
    assert_eq!(tags, 1 + 2 + 2 * 4, "{xml}");
    let entities = ["&amp;", "&lt;", "&gt;"];
    let known: usize = entities.iter().map(|entity| xml.matches(entity).count()).sum();
    assert_eq!(xml.matches('&').count(), known, "{xml}");
    let control = |character: char| character.is_control() && character != '\n';
    assert!(!xml.contains(control), "{xml:?}");
}
