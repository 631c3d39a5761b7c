#![allow(clippy::unwrap_used)]
use std::io::{self, Read};

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc, oid::ObjectId};
use ejson::Style;
use proptest::prelude::*;

use super::*;
use crate::{Database, Embedded, IndexField, IndexKind, IndexSpec, Options};

/// Gives a text in pieces of `size` bytes.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(self.0.len()).min(buffer.len());
        buffer[..size].copy_from_slice(&self.0[..size]);
        self.0 = &self.0[size..];
        Ok(size)
    }
}

fn documents(text: &[u8], format: Option<FileFormat>) -> Result<Vec<Document>, String> {
    let whole = read_in(text, format, usize::MAX);
    for size in [1, 2, 7] {
        assert_eq!(read_in(text, format, size), whole, "in pieces of {size}");
    }
    whole
}

fn read_in(text: &[u8], format: Option<FileFormat>, size: usize) -> Result<Vec<Document>, String> {
    DocumentReader::new(Pieces(text, size), format)
        .map(|read| read.map(|read| read.document).map_err(|error| error.to_string()))
        .collect()
}

fn refusal(text: &str, format: FileFormat) -> String {
    documents(text.as_bytes(), Some(format)).unwrap_err()
}

/// No text says of an object that it is no number; so it is told of which documents that is so.
#[test]
fn a_document_that_is_read_as_another_one_is_told() {
    let lookalike = doc! { "$numberInt": "5" };
    let plain = [
        doc! { "_id": 1, "n": 5, "at": bson::DateTime::from_millis(5), "id": bson::oid::ObjectId::new() },
        doc! { "_id": 2, "q": { "$x": 1 }, "r": { "$ref": "c", "$id": 1 }, "$set": 1 },
    ];
    let misread = [
        doc! { "_id": 3, "n": lookalike.clone() },
        doc! { "_id": "4", "o": [{ "at": { "$date": "2020-01-01T00:00:00Z" } }] },
        // Nobody can read it.
        doc! { "_id": 5, "n": { "$numberInt": "five" } },
    ];
    for layout in [
        FileLayout::Lines(Style::Relaxed),
        FileLayout::Array(Style::Canonical),
        FileLayout::Csv(vec!["_id".to_owned()]),
    ] {
        let mut writer = DocumentWriter::new(Vec::new(), layout);
        for document in &plain {
            writer
                .write(&RawDocumentBuf::try_from(document).unwrap())
                .unwrap();
        }
        assert_eq!(writer.misread().count, 0);
        for document in &misread {
            writer
                .write(&RawDocumentBuf::try_from(document).unwrap())
                .unwrap();
        }
        let Misread { count, first } = writer.misread();
        assert_eq!((*count, first.as_str()), (3, "{ _id: 3 }"));
    }
}

#[test]
fn json_is_lines_or_an_array_or_objects_over_many_lines() {
    let expected = [
        doc! { "_id": "a", "at": DateTime::from_millis(5) },
        doc! { "n": 1, "of": { "x": [1, "]}"] } },
    ];
    for text in [
        "\u{feff}{\"_id\":\"a\",\"at\":{\"$date\":\"1970-01-01T00:00:00.005Z\"}}\r\n{\"n\":1,\"of\":{\"x\":[1,\"]}\"]}}\r\n",
        "[{\"_id\":\"a\",\"at\":{\"$date\":{\"$numberLong\":\"5\"}}},\n{\"n\": 1, \"of\": {\"x\": [1, \"]}\"]}}]\n",
        "{\n  \"_id\": \"a\",\n  \"at\": {\"$date\": 5}\n}\n\n{\n  \"n\": 1,\n  \"of.x\": [1, \"]}\"]\n}",
        " {\"_id\":\"a\",\"at\":{\"$date\":5}},{\"n\":1,\"of\":{\"x\":[1,\"]}\"]}},",
    ] {
        for format in [None, Some(FileFormat::Json)] {
            assert_eq!(documents(text.as_bytes(), format).unwrap(), expected, "{text}");
        }
    }
    for nothing in ["", " \n", "[]", "\u{feff}[ ]\n"] {
        assert_eq!(documents(nothing.as_bytes(), None).unwrap(), [], "{nothing}");
    }
}

#[test]
fn what_is_wrong_with_json_is_said_with_its_place() {
    let long = format!("{{\"a\":1}}\n{{\"长\":\"{}\n\"}}", "x".repeat(100_000));
    for (text, begins) in [
        ("{\"a\":1}\n{\"a\":}\n", "line 2, column 6: expected a value"),
        (
            "{\"a\":1}\n{\"a\":1\n{\"b\":2}\n",
            "line 3, column 1: expected '}'",
        ),
        (
            "{\"a\":1}\n{\"a\":1\n",
            "line 3, column 1: the file ends inside the document that begins in line 2",
        ),
        ("{\"名\":\"云\",\"桥\":x}", "line 1, column 14: expected a value"),
        (
            "{\"a\":\"x\n\"}\n",
            "line 1, column 8: control character in a string: a text ends on",
        ),
        (&long, "line 2, column 100007: control character"),
        (
            "{'a':1}",
            "line 1, column 2: expected a quoted key: names stand in double quotes",
        ),
        ("{\"a\":1,}", "line 1, column 8: expected a quoted key"),
        (
            "\n 5",
            "line 2, column 2: a document was expected, an object in braces, and '5' stands here",
        ),
        (
            "{\"a\":1} 云",
            "line 1, column 9: a document was expected, an object in braces, and '云' stands here",
        ),
        (
            "[{\"a\":1}\n{\"a\":2}]",
            "line 2, column 1: a comma or the array's closing bracket",
        ),
        ("[{\"a\":1},]", "line 1, column 10: a document was expected"),
        ("[{\"a\":1}", "line 1, column 9: the file ends inside the array"),
        ("[[{\"a\":1}]]", "line 1, column 2: a document was expected"),
        (
            "[] {}",
            "line 1, column 4: the array of documents ends before this",
        ),
        (
            "{\"a\":1,\"b\":{\"c\":1,\"c\":2}}",
            "line 1, column 19: this name stands twice",
        ),
        (
            "{\"b\":0,\"a..b\":1}",
            "line 1, column 8: the name \"a..b\" begins or ends with a dot",
        ),
        ("{\".a\":1}", "line 1, column 2: the name \".a\""),
        ("{\"a\":[{\"\":1}]}", "line 1, column 8: the name \"\""),
        (
            "{\"a\":{\"b\":1},\n\"a.b\":2}",
            "line 2, column 1: \"a.b\" is given twice",
        ),
        (
            "{\"b\":{\"$oid\":\"1\"}}",
            "line 1, column 14: invalid $oid: what this name",
        ),
        (
            "{\"a\":{\"$date\":\"soon\"}}",
            "line 1, column 7: \"$date\" begins with a dollar",
        ),
        (
            "{\"$set\":{\"a\":1}}",
            "line 1, column 2: \"$set\" begins with a dollar",
        ),
    ] {
        let said = refusal(text, FileFormat::Json);
        assert!(said.starts_with(begins), "{text}: {said}");
    }
    // 云 in GBK.
    let said = documents(b"{\"a\":\"\xd4\xc6\"}", Some(FileFormat::Json)).unwrap_err();
    assert!(said.starts_with("line 1, column 7: this is not UTF-8"), "{said}");
    let said = documents(b"\xff\xfe{\0", None).unwrap_err();
    assert!(said.starts_with("line 1, column 1: the file is UTF-16"), "{said}");
}

#[test]
fn names_with_dots_are_paths() {
    let read = documents(
        br#"{"a.b":1,"a.c":{"d":2},"a":{"c":{"e":3}},"l":[{"x.y":4}]}"#,
        None,
    )
    .unwrap();
    let expected = doc! { "a": { "b": 1, "c": { "d": 2, "e": 3 } }, "l": [{ "x": { "y": 4 } }] };
    assert_eq!(read, [expected]);
}

#[test]
fn csv_has_paths_in_its_first_line_and_types_by_what_cells_look_like() {
    let text = "\u{feff}_id,name,at.city,at.no,born,tags,ok\r\n\
        a,\"Li, \"\"Lei\"\"\",北京,007,2018-08-31T17:30:00.882Z,\"[1,{\"\"$oid\"\":\"\"5fe06c4a7877e500019b7c59\"\"}]\",true\r\n\
        \r\n\
        b,\"two\r\nlines\",,-12,2018-08-31,{not json,TRUE\n\
        c,1.5,,13800138000,9007199254740993,1.50,+1";
    let id = ObjectId::parse_str("5fe06c4a7877e500019b7c59").unwrap();
    let expected = [
        doc! { "_id": "a", "name": "Li, \"Lei\"", "at": { "city": "北京", "no": "007" },
        "born": DateTime::from_millis(1_535_736_600_882), "tags": [1, id], "ok": true },
        doc! { "_id": "b", "name": "two\r\nlines", "at": { "no": -12 }, "born": "2018-08-31",
        "tags": "{not json", "ok": "TRUE" },
        doc! { "_id": "c", "name": 1.5, "at": { "no": 13_800_138_000_i64 }, "born": 9_007_199_254_740_993_i64,
        "tags": "1.50", "ok": "+1" },
    ];
    for format in [None, Some(FileFormat::Csv)] {
        assert_eq!(documents(text.as_bytes(), format).unwrap(), expected);
    }
    let lines: Vec<u64> = DocumentReader::new(text.as_bytes(), None)
        .map(|read| read.unwrap().line)
        .collect();
    assert_eq!(lines, [2, 4, 6]);
}

#[test]
fn what_is_wrong_with_csv_is_said_with_its_place() {
    for (text, begins) in [
        ("", "line 1, column 1: the first line must name the fields"),
        ("a,,b\n", "line 1, column 2: the first line must name the fields"),
        (
            "_id;n\n1;2\n",
            "line 1, column 1: the first line has ';' between its names",
        ),
        (
            "_id\tn\n",
            "line 1, column 1: the first line has '\\t' between its names",
        ),
        ("a,b,a\n", "line 1, column 3: the column \"a\" stands twice"),
        ("a,b..c\n", "line 1, column 2: the name \"b..c\""),
        (
            "a,b\n1,2\n1,2,3\n",
            "line 3, column 3: the line has 3 cells and the first line names 2",
        ),
        ("a,a.b\n1,\n1,2\n", "line 3, column 2: \"a.b\" is given twice"),
        (
            "a,b\n1,2\n3,\"4\n5,6\n7,8\n",
            "line 3, column 2: a quote opens in this line",
        ),
    ] {
        let said = refusal(text, FileFormat::Csv);
        assert!(said.starts_with(begins), "{text}: {said}");
    }
    let said = documents(b"a,b\n1,\xd4\xc6\n", None).unwrap_err();
    assert!(said.starts_with("line 2, column 2: this is not UTF-8"), "{said}");
    // More than the first line names, and empty, as spreadsheets leave them.
    assert_eq!(
        documents(b"a,b\n1,2,,\n", None).unwrap(),
        [doc! { "a": 1, "b": 2 }]
    );
}

#[test]
fn a_line_of_csv_that_never_ends_is_told_before_it_fills_the_memory() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(self.0 < 200 << 20, "it reads on for ever");
            let opening: &[u8] = if self.0 == 0 { b"a\n\"" } else { b"" };
            buffer.fill(b'x');
            buffer[..opening.len()].copy_from_slice(opening);
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }
    let mut reader = DocumentReader::new(Endless(0), Some(FileFormat::Csv));
    let said = reader.next().unwrap().unwrap_err().to_string();
    assert!(
        said.starts_with("line 2, column 1: one document has more than 64 MB"),
        "{said}"
    );
    assert!(reader.next().is_none());
}

fn written(layout: &FileLayout, documents: &[Document]) -> String {
    let mut writer = DocumentWriter::new(Vec::new(), layout.clone());
    for document in documents {
        writer
            .write(&RawDocumentBuf::try_from(document).unwrap())
            .unwrap();
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

/// A text that a spreadsheet computes stays the text that it is, for whoever imports the file; how many there are is known.
#[test]
fn texts_that_spreadsheets_compute_are_kept_and_counted() {
    let some = [
        doc! { "_id": "a", "text": "=HYPERLINK(\"http://x\")", "n": -1 },
        doc! { "_id": "b", "text": "+86 138", "n": 1 },
        doc! { "_id": "c", "text": "a=b", "of": "\t@x" },
    ];
    let layout = FileLayout::Csv(["_id", "text", "n", "of"].map(str::to_owned).to_vec());
    let mut writer = DocumentWriter::new(Vec::new(), layout);
    for document in &some {
        let raw = RawDocumentBuf::try_from(document).unwrap();
        writer.write(&raw).unwrap();
    }
    assert_eq!(writer.formulas(), 3);
    let text = writer.finish().unwrap();
    assert_eq!(documents(&text, Some(FileFormat::Csv)).unwrap(), some);
}

#[test]
fn files_are_written_as_they_are_read() {
    let some = [
        doc! { "_id": "a", "at": DateTime::from_millis(5), "n": 2.0, "of": { "x": [1], "y": {} } },
        doc! { "_id": "b", "of": { "y": Bson::Null }, "text": "say \"hi\", or\nnot " },
    ];
    assert_eq!(
        written(&FileLayout::Lines(Style::Relaxed), &some),
        "{\"_id\":\"a\",\"at\":{\"$date\":\"1970-01-01T00:00:00.005Z\"},\"n\":2.0,\"of\":{\"x\":[1],\"y\":{}}}\n\
         {\"_id\":\"b\",\"of\":{\"y\":null},\"text\":\"say \\\"hi\\\", or\\nnot \"}\n"
    );
    let mut columns = CsvColumns::default();
    for document in &some {
        columns
            .note(&RawDocumentBuf::try_from(document).unwrap())
            .unwrap();
    }
    let columns = columns.into_paths();
    assert_eq!(columns, ["_id", "at", "n", "of.x", "of.y", "text"]);
    assert_eq!(
        written(&FileLayout::Csv(columns), &some),
        "_id,at,n,of.x,of.y,text\r\na,1970-01-01T00:00:00.005Z,2.0,[1],{},\r\nb,,,,,\"say \"\"hi\"\", or\nnot \"\r\n"
    );
    let whole = FileLayout::Csv(vec!["_id".to_owned(), "of".to_owned()]);
    assert_eq!(
        written(&whole, &some[..1]),
        "_id,of\r\na,\"{\"\"x\"\":[1],\"\"y\"\":{}}\"\r\n"
    );
    for layout in [
        FileLayout::Array(Style::Canonical),
        FileLayout::Lines(Style::Canonical),
    ] {
        for some in [&some[..], &some[..1], &[]] {
            let text = written(&layout, some);
            assert_eq!(documents(text.as_bytes(), None).unwrap(), some, "{text}");
        }
    }
}

proptest! {
    /// A table holds text, numbers, truth values and times; what it cannot tell apart is left out here.
    #[test]
    fn what_csv_can_hold_comes_back(rows in prop::collection::vec(prop::collection::vec(value(), 3), 0..8)) {
        let names = ["a", "b.c", "b.d"];
        let rows: Vec<Document> = rows
            .into_iter()
            .map(|row| {
                let mut document = Document::new();
                for (name, value) in names.iter().zip(row) {
                    super::names::put(&mut document, name, value).unwrap();
                }
                document
            })
            .collect();
        let layout = FileLayout::Csv(names.map(str::to_owned).to_vec());
        let text = written(&layout, &rows);
        prop_assert_eq!(documents(text.as_bytes(), Some(FileFormat::Csv)).unwrap(), rows);
    }
}

fn value() -> impl Strategy<Value = Bson> {
    prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        (i64::from(i32::MAX) + 1..).prop_map(Bson::Int64),
        prop::num::f64::NORMAL.prop_map(Bson::Double),
        any::<bool>().prop_map(Bson::Boolean),
        (0..253_402_300_800_000_i64).prop_map(|time| Bson::DateTime(DateTime::from_millis(time))),
        "[a-z云 \",\n\r]{1,12}".prop_filter_map("looks like a truth value", |text| {
            (text != "true" && text != "false").then_some(Bson::String(text))
        }),
        prop::collection::vec(any::<i32>().prop_map(Bson::Int32), 0..3).prop_map(Bson::Array),
    ]
}

async fn memory() -> Embedded {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("users").await.unwrap();
    database
}

async fn all(database: &Embedded) -> Vec<Document> {
    let mut pages = DocumentPages::new(Document::new());
    let mut out = Vec::new();
    while let Some(page) = pages.next(database, "users").await.unwrap() {
        out.extend(page.iter().map(|raw| Document::try_from(raw.as_ref()).unwrap()));
        pages = DocumentPages::resumed(Document::new(), &pages.bookmark()).unwrap();
    }
    out
}

async fn imported(database: &Embedded, text: &str, conflict: ConflictMode) -> Result<ImportReport, String> {
    let mut reader = DocumentReader::new(text.as_bytes(), None);
    import(database, "users", &mut reader, conflict, |_| {})
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_import_says_of_each_document_what_came_of_it() {
    let database = memory().await;
    let phone = [IndexField {
        path: "phone".to_owned(),
        kind: IndexKind::Ascending,
    }];
    let index = IndexSpec {
        name: IndexSpec::named_by_fields(&phone),
        fields: phone.to_vec(),
        unique: true,
        sparse: true,
    };
    database.create_index("users", index).await.unwrap();
    let text = "{\"_id\":\"a\",\"n\":1}\n{\"_id\":\"b\",\"phone\":\"1\"}\n\n{\"_id\":\"a\",\"n\":2}\n{\"_id\":\"c\",\"phone\":\"1\"}\n{\"n\":3}\n";
    let first = imported(&database, text, ConflictMode::Insert).await.unwrap();
    assert_eq!((first.added, first.replaced, first.refused), (3, 0, 2));
    assert_eq!(
        first.told.iter().map(|told| told.line).collect::<Vec<_>>(),
        [4, 5]
    );
    assert!(
        first.told[0].text.contains("index: _id_ dup key: { _id: \"a\" }"),
        "{:?}",
        first.told
    );
    assert!(first.told[1].text.contains("index: phone_1"), "{:?}", first.told);
    assert_eq!(first.id_taken, 1);

    let second = imported(&database, text, ConflictMode::Upsert).await.unwrap();
    assert_eq!((second.added, second.replaced, second.refused), (1, 3, 1));
    assert_eq!(second.id_taken, 0);
    let documents = all(&database).await;
    assert_eq!(documents[documents.len() - 2], doc! { "_id": "a", "n": 2 });
    let made = documents[0].get_str("_id").unwrap();
    assert_eq!((documents.len(), made.len()), (4, 24), "{documents:?}");
}

#[tokio::test]
async fn an_import_that_cannot_go_on_says_how_far_it_came() {
    let database = memory().await;
    let mut text: String = (0..1500).map(|n| format!("{{\"_id\":{n}}}\n")).collect();
    text.push_str("{\"_id\":");
    let said = imported(&database, &text, ConflictMode::Insert)
        .await
        .unwrap_err();
    assert!(
        said.starts_with("line 1501, column 8: the file ends inside"),
        "{said}"
    );
    assert!(said.ends_with("1500 documents went in before"), "{said}");
    assert_eq!(
        database
            .count("users", Document::new(), None)
            .await
            .unwrap()
            .count,
        1500
    );
}

#[tokio::test]
async fn pages_give_ids_of_all_kinds_once() {
    let database = memory().await;
    let mut wanted: Vec<Bson> = vec![
        Bson::MinKey,
        Bson::Null,
        Bson::Double(f64::NEG_INFINITY),
        Bson::Int32(-1),
        Bson::Int64(1 << 53),
        Bson::String(String::new()),
        Bson::String("云".to_owned()),
        Bson::Document(Document::new()),
        Bson::Document(doc! { "a": 1 }),
        Bson::ObjectId(ObjectId::from_bytes([0; 12])),
        Bson::ObjectId(ObjectId::from_bytes([255; 12])),
        Bson::Boolean(false),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::MIN),
        Bson::DateTime(DateTime::from_millis(1)),
        Bson::MaxKey,
    ];
    wanted.splice(6..6, (0..2500).map(|n| Bson::String(format!("{n:05}"))));
    for id in wanted.iter().rev() {
        database
            .insert("users", vec![doc! { "_id": id.clone() }], None)
            .await
            .unwrap();
    }
    let ids: Vec<Bson> = all(&database)
        .await
        .into_iter()
        .map(|mut found| found.remove("_id").unwrap())
        .collect();
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn pages_of_large_documents_have_fewer_of_them() {
    let options = Options {
        answer: 1 << 20,
        ..Options::default()
    };
    let database = Embedded::in_memory(options).unwrap();
    database.create_collection("users").await.unwrap();
    let large = "x".repeat(100_000);
    for n in 0..40 {
        database
            .insert("users", vec![doc! { "_id": n, "large": &large }], None)
            .await
            .unwrap();
    }
    assert_eq!(all(&database).await.len(), 40);
}

/// A file from outside is bounded in every way: what its names nest, and what columns its documents make.
#[test]
fn names_nest_and_columns_grow_within_bounds() {
    let deep = "a.".repeat(100_000) + "a";
    let json = format!("{{\"{deep}\": 1}}");
    let within = format!(
        "{{\"{}\": {{\"{}\": 1}}}}",
        "b.".repeat(60) + "b",
        "c.".repeat(60) + "c"
    );
    let csv = format!("{deep}\n1\n");
    for (text, format) in [
        (&json, FileFormat::Json),
        (&within, FileFormat::Json),
        (&csv, FileFormat::Csv),
    ] {
        let mut documents = DocumentReader::new(text.as_bytes(), Some(format));
        let error = documents.next().unwrap().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("nests this document more than 100 deep"),
            "{error}"
        );
    }

    let mut inner = Document::new();
    for number in 0..100 {
        inner.insert(format!("l{number}"), 1);
    }
    let wide = RawDocumentBuf::try_from(&doc! { "n".repeat(100_000): inner }).unwrap();
    assert!(CsvColumns::default().note(&wide).is_err());
}

/// What is exported comes back, whatever its names are; read as WeChat's import does it, they are paths, which is told.
#[tokio::test]
async fn what_was_written_is_read_as_it_was() {
    let document = doc! {
        "_id": "1", "a.b": 1, "a": { "c": 2 }, "o": [{ "c.d": 2, ".e": 3, "": 4 }], "12.5": 3, "q": { "$x": 1, "y": 2 },
    };
    let raw = RawDocumentBuf::try_from(&document).unwrap();
    let mut writer = DocumentWriter::new(Vec::new(), FileLayout::Lines(Style::Canonical));
    writer.write(&raw).unwrap();
    writer
        .write(&RawDocumentBuf::try_from(&doc! { "_id": "2", "plain": { "n": 1 } }).unwrap())
        .unwrap();
    assert_eq!((writer.with_paths(), writer.misread().count), (1, 0));
    let text = writer.finish().unwrap();
    let database = memory().await;
    let mut reader = DocumentReader::new(&text[..], None).as_written();
    let report = import(&database, "users", &mut reader, ConflictMode::Insert, |_| {})
        .await
        .unwrap();
    assert_eq!((report.added, report.with_paths), (2, 0));
    assert_eq!(all(&database).await[0], document);
    let said = imported(
        &database,
        std::str::from_utf8(&text).unwrap(),
        ConflictMode::Insert,
    )
    .await;
    assert!(said.unwrap_err().contains("begins or ends with a dot"));
    let paths = "{\"_id\":\"3\",\"a.b\":1}\n{\"_id\":\"4\"}\n";
    let report = imported(&database, paths, ConflictMode::Insert).await.unwrap();
    assert_eq!((report.added, report.with_paths), (2, 1));
    assert_eq!(all(&database).await[2], doc! { "_id": "3", "a": { "b": 1 } });
}

#[test]
fn bson_is_taken_apart_as_it_was_put_together() {
    // As JSON each of these would be read as something else, or not at all.
    let documents = [
        doc! { "a": { "$numberInt": "q" } },
        doc! { "a": { "$numberInt": "5" } },
        doc! {},
    ];
    let bytes: Vec<u8> = documents
        .iter()
        .flat_map(|document| document.to_vec().unwrap())
        .collect();
    let read = bson_documents(&bytes).unwrap();
    let read: Vec<Document> = read
        .iter()
        .map(|raw| Document::try_from(raw.as_ref()).unwrap())
        .collect();
    assert_eq!(read, documents);
    assert_eq!(bson_documents(&[]), Some(Vec::new()));
    for broken in [&bytes[..bytes.len() - 1], &bytes[1..], &[0; 4]] {
        assert_eq!(bson_documents(broken), None);
    }
}
