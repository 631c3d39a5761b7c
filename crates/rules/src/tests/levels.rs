//! Each level, for each operation.

use crate::{Caller, Level, LevelScope, Operation, Permission};

#[test]
fn each_level_lets_each_operation_do_what_the_platform_says() {
    use LevelScope::{All, Nothing, Own};
    for (name, read, write) in [
        ("READONLY", All, Own),
        ("PRIVATE", Own, Own),
        ("ADMINWRITE", All, Nothing),
        ("ADMINONLY", Nothing, Nothing),
    ] {
        let level = Level::of(name).unwrap();
        assert_eq!(level.name(), name);
        assert_eq!(Level::of(&name.to_lowercase()), Some(level));
        assert_eq!(level.scope(Operation::Read), read, "{name}");
        for operation in [Operation::Create, Operation::Update, Operation::Delete] {
            assert_eq!(level.scope(operation), write, "{name} {operation:?}");
        }
    }
    assert_eq!(Level::of("CUSTOM"), None);
    assert_eq!(Permission::default(), Permission::Level(Level::Private));
}

#[test]
fn a_document_belongs_to_the_openid_or_else_to_the_uid() {
    assert_eq!(super::alice().owner(), Some("alice"));
    assert_eq!(super::uma().owner(), Some("uma"));
    assert_eq!(Caller::default().owner(), None);
}
