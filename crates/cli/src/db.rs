//! `yunqiao db`: what lies in the database, documents in and out, and indexes. The file has one owner at a time: beside a running
//! server this goes by the operator's listener, and else it opens the database itself.

mod permission;
pub(crate) mod reach;

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
        ConflictMode, CsvColumns, DocumentReader, DocumentWriter, FileFormat, FileLayout, ImportCause,
        ImportReport, Misread, import_with,
    },
};
use ejson::Style;
use serde_json::json;

use self::reach::Reach;
use crate::{
    args::{self, DbCommand, ExportFormat},
    lang::{say, t},
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
        DbCommand::Permission(asked) => permission::run(&args.place, asked, as_json),
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
        print::step(t("there are no collections yet", "还没有集合"));
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
        let file =
            File::open(&import.file).with_context(|| say!("{named} cannot be opened", "无法打开 {named}"))?;
        (Box::new(file), FileFormat::of_name(&import.file))
    };
    let format = import.format.map(args::ImportFormat::read_as).or(format);
    let conflict = match import.upsert {
        true => ConflictMode::Upsert,
        false => ConflictMode::Insert,
    };
    let mut documents = DocumentReader::new(input, format);
    if import.as_written {
        documents = documents.as_written();
    }
    let (reach, unmade) = Reach::open(&args.place).await?;
    let watched = terminal::is_watched();
    let progress = |so_far: &ImportReport| {
        if watched {
            terminal::wait_for(Some(counted_documents(so_far.went_in() + so_far.refused)));
        }
    };
    let put = |batch| reach.put(&import.collection, batch, conflict);
    let imported = import_with(&mut documents, put, progress).await;
    terminal::wait_for(None);
    let furnished = reach.furnish_again(&unmade).await;
    let report = match imported {
        Ok(report) => report,
        Err(stopped) => {
            for refused in &stopped.imported.told {
                warn_of(&named, refused.line, &refused.text);
            }
            let went_in = stopped.imported.went_in();
            let option = match conflict {
                ConflictMode::Upsert => "",
                ConflictMode::Insert => " --upsert",
            };
            let (before_en, before_zh) = (print::counted(went_in, "document"), went_in);
            let mend = match (went_in, &stopped.cause) {
                (0, _) => say!("nothing went in", "没有导入任何记录"),
                (_, ImportCause::Read(_)) => say!(
                    "{before_en} went in before; mend the file, and import the whole of it again: yunqiao db import{option} …",
                    "此前已导入 {before_zh} 条记录；请改正文件，再重新导入整个文件：yunqiao db import{option} …"
                ),
                // The file has no fault.
                _ => say!(
                    "{before_en} went in before, and perhaps some more; import the whole file again: yunqiao db import{option} …",
                    "此前已导入 {before_zh} 条记录，可能还有一些；请重新导入整个文件：yunqiao db import{option} …"
                ),
            };
            let what = say!("{named} ({mend})", "{named}（{mend}）");
            return Err(match stopped.cause {
                ImportCause::Read(error) => anyhow::Error::from(error),
                ImportCause::Put(failed) => failed.into(),
                other => other.into(),
            }
            .context(what));
        }
    };
    furnished?;
    if report.went_in() + report.refused == 0 {
        // What is wrong with a file is known by now, and nothing is: it is one without documents.
        reach.fill(&import.collection, Vec::new()).await?;
    }
    if as_json {
        let told: Vec<_> = report
            .told
            .iter()
            .map(|refused| json!({ "line": refused.line, "text": refused.text }))
            .collect();
        print::json(&json!({
            "added": report.added, "replaced": report.replaced, "refused": report.refused, "idTaken": report.id_taken, "told": told,
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
    let (added, replaced) = (report.added, report.replaced);
    print::done(match replaced {
        0 => say!("{collection}: {added} added", "{collection}：新增 {added} 条"),
        _ => say!(
            "{collection}: {added} added, {replaced} replaced",
            "{collection}：新增 {added} 条，替换 {replaced} 条"
        ),
    });
    if report.with_paths > 0 {
        let documents = counted_documents(report.with_paths);
        print::warning(
            say!(
                "{documents}: a name with a dot in it was taken for a path, and made an object in an object",
                "{documents}：带点号的字段名被当作路径，变成了嵌套对象"
            ),
            t(
                "with --as-written names stay as they are",
                "加上 --as-written，字段名保持原样",
            ),
        );
    }
    if report.refused == 0 {
        return;
    }
    for refused in &report.told {
        warn_of(file, refused.line, &refused.text);
    }
    let more = report.refused - report.told.len() as u64;
    let refused = counted_documents(report.refused);
    let what = match more {
        0 => say!("{refused} did not go in", "有 {refused}没有导入"),
        _ => say!(
            "{refused} did not go in, of which {more} are not shown",
            "有 {refused}没有导入，其中 {more} 条没有列出"
        ),
    };
    // What was refused for another reason would be refused again.
    let mend = match report.id_taken {
        0 => "",
        _ => t(
            "with --upsert a document takes the place of the one that has its _id",
            "加上 --upsert，记录会替换 _id 相同的那一条",
        ),
    };
    print::warning(what, mend);
}

/// A document that did not go in.
fn warn_of(file: &str, line: u64, why: &str) {
    let what = say!("{file}, line {line}: {why}", "{file} 第 {line} 行：{why}");
    print::warning(what, "");
}

fn counted_documents(count: u64) -> String {
    let (documents_en, documents_zh) = (print::counted(count, "document"), count);
    say!("{documents_en}", "{documents_zh} 条记录")
}

async fn take_out(args: &args::Db, export: &args::Export) -> anyhow::Result<ExitCode> {
    let filter = match &export.filter {
        None => Document::new(),
        Some(text) => ejson::read_document(text.as_bytes()).with_context(|| {
            say!(
                "--where is a JSON object such as '{{\"status\":\"open\"}}', and {text:?} is none",
                "--where 应是 JSON 对象，例如 '{{\"status\":\"open\"}}'，而 {text:?} 不是"
            )
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
        written.warn(&export.collection);
        return Ok(ExitCode::SUCCESS);
    };
    let unfinished = UnfinishedFile::create(file)?;
    let written = source
        .write(DocumentWriter::new(&unfinished.file, layout))
        .await?;
    unfinished.finish(file)?;
    let (documents, file) = (counted_documents(written.documents), file.display());
    print::done(say!("{documents} in {file}", "{documents}已写入 {file}"));
    written.warn(&export.collection);
    Ok(ExitCode::SUCCESS)
}

fn no_collection(name: &str, collections: &[CollectionStatus]) -> String {
    let names = || collections.iter().map(|status| status.name.as_str());
    match (project::nearest(name, names()), names().next()) {
        (Some(near), _) => say!(
            "there is no collection {name:?}; did you mean {near:?}?",
            "没有集合 {name:?}；是不是想写 {near:?}？"
        ),
        (None, Some(_)) => {
            let names = names().collect::<Vec<_>>().join(", ");
            say!(
                "there is no collection {name:?}; there are {names}",
                "没有集合 {name:?}；现有 {names}"
            )
        }
        (None, None) => say!(
            "there is no collection {name:?}: none was made yet",
            "没有集合 {name:?}：还没有创建过集合"
        ),
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
        let (formulas, with_paths) = (writer.formulas(), writer.with_paths());
        let misread = writer.misread().clone();
        writer.finish()?;
        Ok(ExportCount {
            documents: written,
            formulas,
            with_paths,
            misread,
        })
    }

    /// The fields that any of them has: the first line of a table stands before all documents.
    async fn columns(&self) -> anyhow::Result<Vec<String>> {
        let mut columns = CsvColumns::default();
        let mut pages = self.reach.pages(self.filter.clone());
        while let Some(page) = pages.next(self.collection).await? {
            for document in &page {
                columns
                    .note(document)
                    .with_context(|| say!("use --fields", "请用 --fields"))?;
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
    /// Documents with names that an import takes for paths.
    with_paths: u64,
    misread: Misread,
}

/// Tells of documents that a file which was written does not bring back as they are.
pub(crate) fn warn_of_misread(collection: &str, misread: &Misread) {
    if misread.count == 0 {
        return;
    }
    let (documents, first) = (counted_documents(misread.count), &misread.first);
    print::warning(
        say!(
            "{collection}: {documents} would be read back as others, the first of them {first}: an object such as {{\"$numberInt\": \"5\"}} in \
             it is a number in Extended JSON",
            "{collection}：{documents}读回后会变样，第一条是 {first}：其中类似 {{\"$numberInt\": \"5\"}} 的对象在扩展 JSON 中是一个数值"
        ),
        t(
            "give these fields names that do not begin with $, or copy the database's file instead",
            "请把这些字段改成不以 $ 开头的名称，或者改为复制数据库文件",
        ),
    );
}

impl ExportCount {
    fn warn(&self, collection: &str) {
        warn_of_misread(collection, &self.misread);
        if self.with_paths > 0 {
            let documents = counted_documents(self.with_paths);
            print::warning(
                say!(
                    "{documents}: there are names with a dot in them, which an import takes for paths, or with a $ before them",
                    "{documents}：有带点号（导入时会被当作路径）或以 $ 开头的字段名"
                ),
                t(
                    "to bring the file back as it is: yunqiao db import --as-written",
                    "要原样导回，请用 yunqiao db import --as-written",
                ),
            );
        }
        if self.formulas > 0 {
            let cells_zh = self.formulas;
            let cells_en = match cells_zh {
                1 => "1 cell begins".to_owned(),
                more => format!("{more} cells begin"),
            };
            print::warning(
                say!(
                    "{cells_en} with =, +, - or @, which a spreadsheet takes for a formula and computes",
                    "有 {cells_zh} 个单元格以 =、+、- 或 @ 开头，电子表格会当作公式来计算"
                ),
                t(
                    "what users typed may do harm there: import the file with its columns as text",
                    "用户输入的内容可能有害：请以文本格式导入各列",
                ),
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
                let (wanted, names) = (index.fields.join(" "), names.join(", "));
                bail!(match names.as_str() {
                    "" => say!(
                        "{name} has no index {wanted}; it has none",
                        "{name} 没有索引 {wanted}，也没有别的索引"
                    ),
                    names => say!(
                        "{name} has no index {wanted}; it has {names}",
                        "{name} 没有索引 {wanted}；现有 {names}"
                    ),
                });
            };
            reach.drop_index(name, &found.name).await?;
            let removed = &found.name;
            print::done(say!("{name}: {removed} is removed", "{name}：已删除 {removed}"));
        } else {
            let spec = IndexSpec {
                unique: index.unique,
                sparse: index.sparse,
                ..spec?
            };
            let reach = existing_with(args, name).await?;
            // A name with a slip in it makes no collection, which would hide the slip from programs too.
            collection(&reach, name).await?;
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
