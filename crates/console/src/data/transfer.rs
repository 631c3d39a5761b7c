//! Documents out into a file, and in from one, as `yunqiao db export` and `yunqiao db import` do.

use std::{
    convert::Infallible,
    io::{self, Cursor, Write},
    sync::{Arc, Mutex, PoisonError},
};

use bson::Document;
use bytes::Bytes;
use database::{
    Database,
    exchange::{
        ConflictMode, CsvColumns, DocumentPages, DocumentReader, DocumentWriter, FileFormat, FileLayout,
        ImportReport, import as import_all,
    },
};
use ejson::{Style, shell::visible};
use futures_util::stream;
use gateway::ReplyBody;
use http::{
    HeaderValue, Response,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use http_body_util::StreamBody;
use hyper::body::Frame;
use maud::{Markup, html};
use wording::{Wording, shell_word};

use super::{CHANGED, failed, grouped, paging::Look, refused};
use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer},
    web::{self, Fields},
};

/// Bytes of a file that is imported on the page; larger ones are the command line's.
const LARGEST: u64 = 16 << 20;

/// What is exported: as a link has it, as it is told, and the end of the file's name.
const LAYOUTS: [(&str, &str, &str); 3] = [
    ("lines", "JSON Lines", "json"),
    ("array", "JSON", "array.json"),
    ("csv", "CSV", "csv"),
];

/// The links that export what a filter meets.
pub(super) fn links(lang: Lang, look: &Look) -> Markup {
    html! {
        span {
            (lang.t("Export: ", "导出："))
            @for (layout, told, _) in LAYOUTS {
                a .export download href=(web::link("/data/export", &[("name", &look.name), ("filter", &look.filter), ("as", layout)])) { (told) } " "
            }
        }
    }
}

/// The form that imports a file.
pub(super) fn section(lang: Lang, name: &str) -> Markup {
    let larger = lang.t(
        "The file is larger than 16 MB. Import it on the command line: yunqiao db import ",
        "文件超过 16 MB，请用命令行导入：yunqiao db import ",
    );
    html! {
        section {
            h2 { (lang.t("Import", "导入")) }
            form #import .filter data-upload=(web::link("/data/import", &[("name", name)])) data-most=(LARGEST)
                data-larger={ (larger) (visible(&shell_word(name))) " FILE" } data-failed=(lang.t("The server did not answer.", "服务器没有响应。")) {
                label {
                    (lang.t("JSON Lines, a JSON array, or CSV", "JSON Lines、JSON 数组或 CSV")) " "
                    input type="file" name="file" required accept=".json,.jsonl,.ndjson,.csv,.txt";
                }
                label .check {
                    input type="checkbox" name="over" value="1";
                    " " (lang.t("replace documents of the same _id", "_id 相同时覆盖"))
                }
                button { (lang.t("Import", "导入")) }
            }
        }
    }
}

/// What meets a filter, as a file.
pub(super) async fn export(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let look = Look::of(query);
    let filter = match look.filter() {
        Ok(filter) => filter,
        Err(error) => return layout::page(viewer, Page::Data, refused(error.text(viewer.lang, &look))),
    };
    let asked = query.get("as");
    let (kind, _, ending) = LAYOUTS
        .iter()
        .find(|(known, ..)| *known == asked)
        .unwrap_or(&LAYOUTS[0]);
    let (layout, content_type) = match *kind {
        "csv" => match columns(&*inner.database, &look.name, &filter).await {
            Ok(columns) => (FileLayout::Csv(columns), "text/csv; charset=utf-8"),
            Err(said) => return layout::page(viewer, Page::Data, failed(viewer.lang, &said)),
        },
        "array" => (FileLayout::Array(Style::Relaxed), "application/json"),
        _ => (FileLayout::Lines(Style::Relaxed), "application/json"),
    };
    let pieces = Pieces {
        database: Arc::clone(&inner.database),
        name: look.name.clone(),
        pages: DocumentPages::new(filter),
        out: Gathered::default(),
        writer: None,
    };
    // Without a byte order mark a spreadsheet program reads the file in another encoding.
    let mark: &[u8] = if *kind == "csv" {
        "\u{feff}".as_bytes()
    } else {
        b""
    };
    pieces.out.add(mark);
    let pieces = Pieces {
        writer: Some(DocumentWriter::new(pieces.out.clone(), layout)),
        ..pieces
    };
    let frames = stream::unfold(pieces, async |mut pieces| {
        let piece = pieces.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(piece)), pieces))
    });
    let mut reply = Response::new(ReplyBody::stream(StreamBody::new(frames)));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let file = web::link("", &[("n", &format!("{}.{ending}", look.name))]).replace('+', "%20");
    let disposition = format!("attachment; filename*=UTF-8''{}", file.trim_start_matches("?n="));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    reply
}

/// The columns that a table of these documents has.
async fn columns(database: &dyn Database, name: &str, filter: &Document) -> Result<Vec<String>, Wording> {
    let mut columns = CsvColumns::default();
    let mut pages = DocumentPages::new(filter.clone());
    while let Some(documents) = pages
        .next(database, name)
        .await
        .map_err(|error| error.wording())?
    {
        for document in &documents {
            columns.note(document).map_err(|error| error.wording())?;
        }
    }
    Ok(columns.into_paths())
}

/// A file that is written as it is read.
struct Pieces {
    database: Arc<dyn Database>,
    name: String,
    pages: DocumentPages,
    out: Gathered,
    /// Until the end is written.
    writer: Option<DocumentWriter<Gathered>>,
}

impl Pieces {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let mut writer = self.writer.take()?;
            let written = match self.pages.next(&*self.database, &self.name).await {
                Ok(Some(documents)) => {
                    let all = documents.iter().try_for_each(|document| writer.write(document));
                    self.writer = Some(writer);
                    all.map_err(|error| error.to_string())
                }
                Ok(None) => writer.finish().map(drop).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = written {
                self.writer = None;
                // The answer has begun: a line that is no document says that the file is not whole.
                self.out
                    .add(format!("\n!!! the export ended here: {error}\n").as_bytes());
            }
            let piece = self.out.take();
            if !piece.is_empty() {
                return Some(piece.into());
            }
        }
    }
}

/// What was written and has not been sent.
#[derive(Clone, Debug, Default)]
struct Gathered(Arc<Mutex<Vec<u8>>>);

impl Gathered {
    fn add(&self, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts the documents of a file into the collection.
pub(super) async fn import(
    inner: &Inner,
    viewer: &Viewer,
    query: &Fields,
    body: &Bytes,
) -> Response<ReplyBody> {
    let (lang, name) = (viewer.lang, query.get("name"));
    let conflict = match query.get("over") {
        "" => ConflictMode::Insert,
        _ => ConflictMode::Upsert,
    };
    let format = FileFormat::of_name(query.get("file").as_ref());
    let mut documents = DocumentReader::new(Cursor::new(body.clone()), format);
    let said = match import_all(&*inner.database, name, &mut documents, conflict, |_| {}).await {
        Ok(report) => told(lang, &report),
        Err(error) => html! { (failed(lang, &error.cause.wording())) (told(lang, &error.imported)) },
    };
    web::part(said, CHANGED.0, CHANGED.1)
}

fn told(lang: Lang, report: &ImportReport) -> Markup {
    html! {
        p .notice role="status" {
            (lang.t("Added: ", "新增：")) (grouped(report.added))
            @if report.replaced > 0 { (lang.t(", replaced: ", "，覆盖：")) (grouped(report.replaced)) }
            @if report.refused > 0 { (lang.t(", refused: ", "，未导入：")) (grouped(report.refused)) }
        }
        @if !report.told.is_empty() {
            ul .findings {
                @for refused in &report.told {
                    li { (lang.t("line ", "第 ")) (refused.line) (lang.t(": ", " 行：")) (visible(&refused.text)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bson::doc;
    use database::{Embedded, Options};

    use super::*;

    async fn exported(database: Arc<dyn Database>, layout: FileLayout) -> String {
        let out = Gathered::default();
        let mut pieces = Pieces {
            database,
            name: "c".to_owned(),
            pages: DocumentPages::new(doc! {}),
            out: out.clone(),
            writer: Some(DocumentWriter::new(out, layout)),
        };
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece);
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn a_file_ends_where_its_collection_does_or_says_that_it_does_not() {
        let database = Embedded::in_memory(Options::default()).unwrap();
        database.create_collection("c").await.unwrap();
        let database: Arc<dyn Database> = Arc::new(database);
        let array = FileLayout::Array(Style::Relaxed);
        assert_eq!(exported(Arc::clone(&database), array.clone()).await, "[]\n");
        let documents = (0..2500).map(|n| doc! { "_id": n }).collect();
        database.insert("c", documents, None).await.unwrap();
        let text = exported(Arc::clone(&database), array).await;
        let read = ejson::read(text.as_bytes()).unwrap();
        assert_eq!(read.as_array().unwrap().len(), 2500);
        database.drop_collection("c").await.unwrap();
        let text = exported(database, FileLayout::Lines(Style::Relaxed)).await;
        assert_eq!(
            text,
            "\n!!! the export ended here: there is no collection \"c\"\n"
        );
    }
}
