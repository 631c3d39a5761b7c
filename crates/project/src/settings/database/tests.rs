#![allow(clippy::unwrap_used)]

use std::path::Path;

use rules::{Level, Operation, Permission};
use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    project::Scope,
    settings::{Environment, File},
};

fn read(text: &str) -> Result<DatabaseSection, ProjectError> {
    let file = File::parse(
        Path::new("/p/yunqiao.toml"),
        text.as_bytes(),
        Environment::default(),
        Scope::Whole,
    )?;
    Ok(file.settings.database)
}

#[test]
fn everything_that_can_be_set() {
    let database = read(
        r#"
        [database]
        path = "data/database.redb"
        missing = "refuse"
        seed = "seed"
        [database.collections.todos]
        indexes = [["status", "-createTime"], { fields = ["phone"], unique = true, sparse = true }, { fields = ["place", "-at"], kind = "2dsphere" }]
        [database.collections."名单"]
        "#,
    )
    .unwrap();
    assert_eq!(database.path.as_deref(), Some(Path::new("/p/data/database.redb")));
    assert_eq!(database.seed.as_deref(), Some(Path::new("/p/seed")));
    assert_eq!(database.missing, Some(MissingCollection::Refuse));
    assert_eq!(database.collections.keys().collect::<Vec<_>>(), ["todos", "名单"]);
    let lines: Vec<String> = database.collections["todos"]
        .indexes
        .iter()
        .map(IndexSpec::to_toml)
        .collect();
    assert_eq!(
        lines,
        [
            r#"["status", "-createTime"]"#,
            r#"{ fields = ["phone"], unique = true, sparse = true }"#,
            r#"{ fields = ["place", "-at"], kind = "2dsphere" }"#,
        ]
    );
    let nothing = (read("").unwrap(), DatabaseSection::default());
    assert_eq!(format!("{:?}", nothing.0), format!("{:?}", nothing.1));
}

#[test]
fn what_is_wrong_is_named_with_the_mend() {
    for (text, part) in [
        ("[database]\nurl = \"http://h\"", "mongodb://USER:PASSWORD@HOST"),
        (
            "[database]\nurl = \"mongodb://h\"\nurl_file = \"u\"",
            "one of the two",
        ),
        ("[database]\nurl = \"mongodb://h\"\npath = \"p\"", "database.path"),
        ("[database]\nurl_file = \"gone\"", "cannot be read"),
        ("[database]\nwire = \"27017\"", "127.0.0.1:27017"),
        ("[database]\nwire = \"0.0.0.0:27017\"", "wire_password_file"),
        ("[database]\nwire = \"[::]:0\"", "which other machines reach"),
        ("[database]\nwire_password_file = \"no-such\"", "cannot be read"),
        ("[database]\nmissing = \"ignore\"", "\"create\" or \"refuse\""),
        ("[database.collections.c]\nindexes = [[]]", "none is named"),
        ("[database.collections.c]\nindexes = [[\"\"]]", "empty"),
        (
            "[database.collections.c]\nindexes = [[\"a..b\"]]",
            "\"a..b\" is no field",
        ),
        (
            "[database.collections.c]\nindexes = [[\"a\", \"-a\"]]",
            "\"a\" stands twice",
        ),
        (
            "[database.collections.c]\nindexes = [{ fields = [\"-a\"], kind = \"2dsphere\" }]",
            "leave out the -",
        ),
        (
            "[database.collections.c]\nindexes = [{ unique = true }]",
            "has no fields",
        ),
        (
            "[database.collections.c]\nindexes = [{ fields = [\"a\"], kind = \"2d\" }]",
            "2dsphere",
        ),
        ("[database.collections.c]\nindexes = \"a\"", "indexes"),
        ("[database.collections.c]\nindex = []", "indexes"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_wire_is_opened_to_others_only_with_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wire.password");
    let read = |text: &str| {
        let text = format!("[database]\nwire_password_file = \"wire.password\"\n{text}");
        let file = folder.path().join("yunqiao.toml");
        File::parse(&file, text.as_bytes(), Environment::default(), Scope::Whole)
            .map(|file| file.settings.database)
    };
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    let local = read("wire = \"localhost:27017\"").unwrap();
    assert_eq!(local.wire, Some("127.0.0.1:27017".parse().unwrap()));
    let database = read("wire = \"0.0.0.0:27017\"").unwrap();
    assert_eq!(database.wire.unwrap().to_string(), "0.0.0.0:27017");
    assert_eq!(
        database.wire_password.unwrap().expose_secret(),
        "0123456789abcdef"
    );
    std::fs::write(&path, "short").unwrap();
    let weak = read("").unwrap_err().to_string();
    assert!(weak.contains("fewer than 16 characters"), "{weak}");
}

#[test]
fn the_url_of_a_server_comes_from_three_places() {
    let text = "[database]\nurl = \"mongodb://u:p@h/app\"";
    let url = |file: File| {
        let url = file.settings.database.url.unwrap();
        url.expose_secret().to_owned()
    };
    let parse = |text: &str, environment| {
        File::parse(
            Path::new("/p/yunqiao.toml"),
            text.as_bytes(),
            environment,
            Scope::Whole,
        )
    };
    assert_eq!(
        url(parse(text, Environment::default()).unwrap()),
        "mongodb://u:p@h/app"
    );
    let environment = || {
        let variable = |name: &str| (name == "YUNQIAO_MONGODB_URL").then(|| "mongodb://other".to_owned());
        Environment::read(variable).unwrap()
    };
    // It goes before the file, which need not name one.
    for text in [
        text,
        "",
        "[database]\nmissing = \"create\"",
        "[database]\nurl_file = \"gone\"",
    ] {
        assert_eq!(
            url(parse(text, environment()).unwrap()),
            "mongodb://other",
            "{text}"
        );
    }
    let shown = format!("{:?}", parse(text, Environment::default()).unwrap());
    assert!(!shown.contains("u:p"), "{shown}");
}

#[test]
fn permissions_are_levels_or_rules() {
    let database = read(
        r#"
        [database]
        default_permission = "ADMINONLY"
        [database.collections.notes]
        permission = "readonly"
        [database.collections.posts]
        rule = { read = "doc.published == true", write = false }
        [database.collections.plain]
        "#,
    )
    .unwrap();
    assert_eq!(database.default_permission, Permission::Level(Level::AdminOnly));
    let permission = |name: &str| database.collections[name].permission.clone();
    assert_eq!(permission("notes"), Some(Permission::Level(Level::ReadOnly)));
    assert_eq!(permission("plain"), None);
    let Some(Permission::Rules(rules)) = permission("posts") else {
        panic!("posts has rules");
    };
    assert_eq!(rules.rule(Operation::Read).text(), "doc.published == true");
    assert_eq!(rules.rule(Operation::Delete).text(), "false");
    for (text, why) in [
        ("default_permission = \"CUSTOM\"", "READONLY"),
        ("[database.collections.c]\npermission = \"public\"", "READONLY"),
        (
            "[database.collections.c]\nrule = { read = \"docs.a == 1\" }",
            "there is no \"docs\"",
        ),
        (
            "[database.collections.c]\nrule = { reads = true }",
            "no \"reads\" among rules",
        ),
        ("[database.collections.c]\nrule = \"true\"", "table"),
        (
            "[database.collections.c]\nrule = {}\npermission = \"PRIVATE\"",
            "one of the two",
        ),
    ] {
        let error = read(&format!("[database]\n{text}")).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn watches_have_the_memory_that_is_said_and_some_where_nothing_is() {
    let of = |text: &str| read(&format!("[database]\n{text}")).map(|database| database.watch_memory);
    assert_eq!(of("").unwrap(), 128 << 20);
    assert_eq!(of("watch_memory = \"1GB\"").unwrap(), 1 << 30);
    let error = of("watch_memory = \"4MB\"").unwrap_err().to_string();
    assert!(error.contains("write at least \"8MB\""), "{error}");
}
