//! `yunqiao db`: what lies in the database, documents in and out, and indexes. The file has one owner at a time: beside a running
//! server this goes by the operator's listener, and else it opens the database itself.

mod reach;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use bson::Document;
use database::{
    CollectionStatus, IndexSpec,
    exchange::{
        ConflictMode, CsvColumns, DocumentReader, DocumentWriter, FileFormat, FileLayout, ImportReport,
        import_with,
    },
};
use ejson::Style;
use serde_json::json;

use self::reach::Reach;
use crate::{
    args::{self, DbCommand, ExportFormat},
    print, terminal,
    unfinished::UnfinishedFile,
};

/// Standard input, or standard output.
const STANDARD: &str = "-";

pub(crate) async fn run(args: args::Db, as_json: bool) -> anyhow::Result<ExitCode> {
    let done = match &args.command {
        DbCommand::Ls => list(&args, as_json).await,
        DbCommand::Import(import) => bring_in(&args, import, as_json).await,
        DbCommand::Export(export) => take_out(&args, export).await,
        DbCommand::Index(index) => indexes(&args, index, as_json).await,
    };
    match done {
        // `yunqiao db export … | head` has seen enough.
        Err(error) if print::is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done,
    }
}

async fn list(args: &args::Db, as_json: bool) -> anyhow::Result<ExitCode> {
    let collections = match Reach::existing(&args.place).await? {
        Some(reach) => reach.collections().await?,
        None => Vec::new(),
    };
    if as_json {
        let collections: Vec<_> = collections.iter().map(reach::collection_json).collect();
        print::json(&json!({ "collections": collections }));
        return Ok(ExitCode::SUCCESS);
    }
    if collections.is_empty() {
        print::step("there are no collections yet");
    }
    let width = collections.iter().map(|status| status.name.chars().count()).max();
    let width = width.unwrap_or_default();
    for status in &collections {
        let indexes: Vec<_> = status.indexes.iter().map(index_text).collect();
        let line = format!(
            "{:<width$}  {:>9}  {}",
            status.name,
            status.documents,
            indexes.join(", ")
        );
        print::result(crate::escape::Line(line.trim_end()));
    }
    Ok(ExitCode::SUCCESS)
}

fn index_text(spec: &IndexSpec) -> String {
    let mut text = spec.name.clone();
    for (is, word) in [(spec.unique, " (unique)"), (spec.sparse, " (sparse)")] {
        if is {
            text.push_str(word);
        }
    }
    text
}

async fn bring_in(args: &args::Db, import: &args::Import, as_json: bool) -> anyhow::Result<ExitCode> {
    let named = import.file.to_string_lossy().into_owned();
    let (input, format): (Box<dyn Read>, _) = if named == STANDARD {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&import.file).with_context(|| format!("{named} cannot be opened"))?;
        (Box::new(file), FileFormat::of_name(&import.file))
    };
    let format = import.format.map(args::ImportFormat::read_as).or(format);
    let conflict = match import.upsert {
        true => ConflictMode::Upsert,
        false => ConflictMode::Insert,
    };
    let mut documents = DocumentReader::new(input, format);
    let reach = Reach::open(&args.place).await?;
    reach.make_collection(&import.collection).await?;
    let watched = terminal::is_watched();
    let progress = |so_far: &ImportReport| {
        if watched {
            let text = format!("{} documents", so_far.went_in() + so_far.refused);
            terminal::wait_for(Some(text));
        }
    };
    let put = |batch| reach.put(&import.collection, batch, conflict);
    let imported = import_with(&mut documents, put, progress).await;
    terminal::wait_for(None);
    let report = match imported {
        Ok(report) => report,
        Err(stopped) => {
            for refused in &stopped.imported.told {
                print::warning(
                    format_args!("{named}, line {}: {}", refused.line, refused.text),
                    "",
                );
            }
            let went_in = stopped.imported.went_in();
            let mend = match (went_in, conflict) {
                (0, _) => "nothing went in".to_owned(),
                (_, ConflictMode::Upsert) => {
                    format!(
                        "{went_in} documents went in before; once it is mended, import the whole file again"
                    )
                }
                (_, ConflictMode::Insert) => format!(
                    "{went_in} documents went in before; once it is mended, import the whole file again with --upsert"
                ),
            };
            return Err(anyhow::Error::from(stopped.cause).context(format!("{named} ({mend})")));
        }
    };
    if as_json {
        let told: Vec<_> = report
            .told
            .iter()
            .map(|refused| json!({ "line": refused.line, "text": refused.text }))
            .collect();
        print::json(&json!({
            "added": report.added, "replaced": report.replaced, "refused": report.refused, "told": told,
        }));
    } else {
        tell(&report, &named, &import.collection);
    }
    Ok(match report.refused {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn tell(report: &ImportReport, file: &str, collection: &str) {
    let mut what = vec![format!("{} added", report.added)];
    if report.replaced > 0 {
        what.push(format!("{} replaced", report.replaced));
    }
    let what = what.join(", ");
    print::done(format_args!("{collection}: {what}"));
    if report.refused == 0 {
        return;
    }
    for refused in &report.told {
        print::warning(
            format_args!("{file}, line {}: {}", refused.line, refused.text),
            "",
        );
    }
    let more = report.refused - report.told.len() as u64;
    let others = if more > 0 {
        format!(", of which {more} are not shown")
    } else {
        String::new()
    };
    print::warning(
        format_args!("{} did not go in{others}", counted_documents(report.refused)),
        "with --upsert a document takes the place of the one that has its _id",
    );
}

fn counted_documents(count: u64) -> String {
    match count {
        1 => "1 document".to_owned(),
        count => format!("{count} documents"),
    }
}

async fn take_out(args: &args::Db, export: &args::Export) -> anyhow::Result<ExitCode> {
    let filter = match &export.filter {
        None => Document::new(),
        Some(text) => ejson::read_document(text.as_bytes()).with_context(|| {
            format!("--where is a JSON object such as '{{\"status\":\"open\"}}', and {text:?} is none")
        })?,
    };
    let reach = Reach::existing(&args.place)
        .await?
        .with_context(|| no_collection(&export.collection, &[]))?;
    let collections = reach.collections().await?;
    if !collections.iter().any(|status| status.name == export.collection) {
        bail!(no_collection(&export.collection, &collections));
    }
    let source = ExportSource {
        reach: &reach,
        collection: &export.collection,
        filter,
    };
    let style = match export.canonical {
        true => Style::Canonical,
        false => Style::Relaxed,
    };
    let layout = match export.layout() {
        ExportFormat::Lines => FileLayout::Lines(style),
        ExportFormat::Array => FileLayout::Array(style),
        ExportFormat::Csv if export.fields.is_empty() => FileLayout::Csv(source.columns().await?),
        ExportFormat::Csv => FileLayout::Csv(export.fields.clone()),
    };
    let Some(file) = export.file.as_deref().filter(|file| *file != Path::new(STANDARD)) else {
        let written = source
            .write(DocumentWriter::new(io::stdout().lock(), layout))
            .await?;
        written.warn();
        return Ok(ExitCode::SUCCESS);
    };
    let unfinished = UnfinishedFile::create(file)?;
    let written = source
        .write(DocumentWriter::new(&unfinished.file, layout))
        .await?;
    unfinished.finish(file)?;
    print::done(format_args!(
        "{} in {}",
        counted_documents(written.documents),
        file.display()
    ));
    written.warn();
    Ok(ExitCode::SUCCESS)
}

fn no_collection(name: &str, collections: &[CollectionStatus]) -> String {
    let names = || collections.iter().map(|status| status.name.as_str());
    match (project::nearest(name, names()), names().next()) {
        (Some(near), _) => format!("there is no collection {name:?}; did you mean {near:?}?"),
        (None, Some(_)) => format!(
            "there is no collection {name:?}; there are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
        (None, None) => format!("there is no collection {name:?}: none was made yet"),
    }
}

/// The documents that an export is of.
struct ExportSource<'a> {
    reach: &'a Reach,
    collection: &'a str,
    filter: Document,
}

impl ExportSource<'_> {
    /// Writes them all.
    async fn write<W: Write>(&self, mut writer: DocumentWriter<W>) -> anyhow::Result<ExportCount> {
        let watched = terminal::is_watched();
        let mut written = 0;
        let mut pages = self.reach.pages(self.filter.clone());
        while let Some(page) = pages.next(self.collection).await? {
            for document in &page {
                writer.write(document)?;
            }
            written += page.len() as u64;
            if watched {
                terminal::wait_for(Some(counted_documents(written)));
            }
        }
        terminal::wait_for(None);
        let formulas = writer.formulas();
        writer.finish()?;
        Ok(ExportCount {
            documents: written,
            formulas,
        })
    }

    /// The fields that any of them has: the first line of a table stands before all documents.
    async fn columns(&self) -> anyhow::Result<Vec<String>> {
        let mut columns = CsvColumns::default();
        let mut pages = self.reach.pages(self.filter.clone());
        while let Some(page) = pages.next(self.collection).await? {
            for document in &page {
                columns.note(document).context("use --fields")?;
            }
        }
        Ok(columns.into_paths())
    }
}

/// What an export has written.
struct ExportCount {
    documents: u64,
    /// Cells that a spreadsheet takes for formulas.
    formulas: u64,
}

impl ExportCount {
    fn warn(&self) {
        if self.formulas > 0 {
            print::warning(
                format_args!(
                    "{} with =, +, - or @, which a spreadsheet takes for a formula and computes",
                    match self.formulas {
                        1 => "1 cell begins".to_owned(),
                        more => format!("{more} cells begin"),
                    }
                ),
                "what users typed may do harm there: import the file with its columns as text",
            );
        }
    }
}

async fn indexes(args: &args::Db, index: &args::Index, as_json: bool) -> anyhow::Result<ExitCode> {
    let name = index.collection.as_str();
    if !index.fields.is_empty() {
        let spec = IndexSpec::of_fields(&index.fields, index.sphere);
        if index.remove {
            let reach = existing_with(args, name).await?;
            let known = collection(&reach, name).await?.indexes;
            // By its name, or by its fields.
            let by_name = index.fields.first().filter(|_| index.fields.len() == 1);
            let by_fields = spec.ok().map(|spec| spec.name);
            let found = known
                .iter()
                .find(|spec| by_name == Some(&spec.name) || by_fields.as_ref() == Some(&spec.name));
            let Some(found) = found else {
                let names: Vec<_> = known.iter().map(|spec| spec.name.as_str()).collect();
                bail!(
                    "{name} has no index {}; it has {}",
                    index.fields.join(" "),
                    if names.is_empty() {
                        "none".to_owned()
                    } else {
                        names.join(", ")
                    }
                );
            };
            reach.drop_index(name, &found.name).await?;
            print::done(format_args!("{name}: {} is removed", found.name));
        } else {
            let spec = IndexSpec {
                unique: index.unique,
                sparse: index.sparse,
                ..spec?
            };
            let reach = Reach::open(&args.place).await?;
            reach.make_collection(name).await?;
            let made = spec.name.clone();
            reach.create_index(name, spec).await?;
            print::done(format_args!("{name}: {made}"));
        }
        if !as_json {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let reach = existing_with(args, name).await?;
    let status = collection(&reach, name).await?;
    if as_json {
        print::json(&reach::collection_json(&status));
        return Ok(ExitCode::SUCCESS);
    }
    print::result("_id_");
    for spec in &status.indexes {
        print::result(crate::escape::Line(&index_text(spec)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn existing_with(args: &args::Db, name: &str) -> anyhow::Result<Reach> {
    let reach = Reach::existing(&args.place).await?;
    reach.with_context(|| no_collection(name, &[]))
}

async fn collection(reach: &Reach, name: &str) -> anyhow::Result<CollectionStatus> {
    let mut collections = reach.collections().await?;
    match collections.iter().position(|status| status.name == name) {
        Some(at) => Ok(collections.swap_remove(at)),
        None => bail!(no_collection(name, &collections)),
    }
}
