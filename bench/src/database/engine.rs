//! Our engine, reached by its trait: a `Database` on a file, in a process of its own, told what to do as the peers in Node are
//! (`bench/peers/database/peer.js`). A read of ours ends with the text that a function is sent, a read of theirs with what
//! `JSON.parse` makes: in either case what a server does with a document.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bson::{Document, doc};
use database::{Aggregate, Database as _, Embedded, Find, Found, IndexField, IndexKind, IndexSpec, Options};
use serde_json::{Value, json};

const COLLECTION: &str = "documents";

/// Runs until stdin ends.
pub(crate) fn run(file: &Path) -> Result<()> {
    // One thread, as the gateway has.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let since = Instant::now();
    let engine = Engine(Embedded::open(file, Options::default())?);
    let opened = since.elapsed();
    let mut out = std::io::stdout();
    writeln!(out, "{}", json!({"ready": nanos(opened)}))?;
    for line in std::io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line?)?;
        let answer = tokio::task::LocalSet::new().block_on(&runtime, engine.command(&command))?;
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

struct Engine(Embedded);

/// What is read.
#[derive(Clone)]
enum Read {
    Find(Box<Find>),
    Aggregate(Aggregate),
}

impl Engine {
    async fn command(&self, command: &Value) -> Result<Value> {
        let text = |name: &str| command[name].as_str().with_context(|| format!("no {name}"));
        let documents = || -> Result<Vec<Document>> {
            let documents = command["documents"].as_array().context("no documents")?;
            documents.iter().map(read_document).collect()
        };
        Ok(match text("command")? {
            "load" => {
                self.load(Path::new(text("documents")?)).await?;
                json!({})
            }
            "check" => {
                let mut answers = Vec::new();
                for read in reads(command)? {
                    answers.push(plain(&self.read(read).await?)?);
                }
                json!({"answers": answers})
            }
            "read" => {
                let reads = reads(command)?;
                let span = Duration::from_millis(command["millis"].as_u64().context("no millis")?);
                let decodes = command["decodes"].as_bool().unwrap_or(false);
                json!({"nanos": self.time(&reads, span, decodes).await?})
            }
            "insert" => {
                let mut times = Vec::new();
                for document in documents()? {
                    let since = Instant::now();
                    self.0.insert(COLLECTION, vec![document], None).await?;
                    times.push(nanos(since.elapsed()));
                }
                json!({"nanos": times})
            }
            "writers" => {
                let writers = command["writers"].as_u64().context("no writers")?;
                json!({"nanos": [self.writers(documents()?, usize::try_from(writers)?).await?]})
            }
            other => bail!("no command {other}"),
        })
    }

    async fn load(&self, documents: &Path) -> Result<()> {
        self.0.create_collection(COLLECTION).await?;
        for fields in [
            vec![("_openid", IndexKind::Ascending)],
            vec![
                ("status", IndexKind::Ascending),
                ("createTime", IndexKind::Descending),
            ],
        ] {
            let fields: Vec<IndexField> = fields
                .into_iter()
                .map(|(path, kind)| IndexField {
                    path: path.to_owned(),
                    kind,
                })
                .collect();
            let index = IndexSpec {
                name: IndexSpec::named_by_fields(&fields),
                fields,
                unique: false,
                sparse: false,
            };
            self.0.create_index(COLLECTION, index).await?;
        }
        let mut batch = Vec::new();
        for line in BufReader::new(File::open(documents)?).lines() {
            batch.push(ejson::read_document(line?.as_bytes())?);
            if batch.len() == 1000 {
                self.0
                    .insert(COLLECTION, std::mem::take(&mut batch), None)
                    .await?;
            }
        }
        self.0.insert(COLLECTION, batch, None).await?;
        Ok(())
    }

    async fn read(&self, read: Read) -> Result<Found> {
        Ok(match read {
            Read::Find(find) => self.0.find(COLLECTION, *find, None).await?,
            Read::Aggregate(aggregate) => self.0.aggregate(COLLECTION, aggregate, None).await?,
        })
    }

    /// How long each read takes until what it found is the text that a function is sent; or, with `decodes`, until it is a
    /// `Document`.
    async fn time(&self, reads: &[Read], span: Duration, decodes: bool) -> Result<Vec<u64>> {
        let mut times = Vec::new();
        let mut text = Vec::new();
        let end = Instant::now() + span;
        let mut next = reads.iter().cycle();
        let mut since = Instant::now();
        while since < end {
            let found = self.read(next.next().context("nothing to read")?.clone()).await?;
            for document in &found.documents {
                if decodes {
                    std::hint::black_box(Document::from_reader(document.as_bytes())?);
                } else {
                    ejson::write_raw_as_string(&mut text, document, ejson::Style::Canonical)?;
                }
            }
            std::hint::black_box(&text);
            text.clear();
            let now = Instant::now();
            times.push(nanos(now - since));
            since = now;
        }
        Ok(times)
    }

    async fn writers(&self, documents: Vec<Document>, writers: usize) -> Result<u64> {
        let mut shares: Vec<Vec<Document>> = (0..writers).map(|_| Vec::new()).collect();
        for (at, document) in documents.into_iter().enumerate() {
            shares[at % writers].push(document);
        }
        let database = Rc::new(self.0.clone());
        let since = Instant::now();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let database = Rc::clone(&database);
                tokio::task::spawn_local(async move {
                    for document in share {
                        database.insert(COLLECTION, vec![document], None).await?;
                    }
                    Ok::<_, database::DatabaseError>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(nanos(since.elapsed()))
    }
}

fn reads(command: &Value) -> Result<Vec<Read>> {
    let kind = command["read"].as_str().context("no read")?;
    let cases = command["cases"].as_array().context("no cases")?;
    cases.iter().map(|case| read(kind, case)).collect()
}

fn read(kind: &str, case: &Value) -> Result<Read> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    let number = |value: &Value| value.as_i64().context("no number");
    let find = |filter: Document| Find {
        filter,
        ..Find::default()
    };
    Ok(match kind {
        "id" => Read::Find(Box::new(Find {
            limit: Some(1),
            ..find(doc! {"_id": text(case)?})
        })),
        "page" => Read::Find(Box::new(Find {
            sort: Some(doc! {"createTime": -1}),
            limit: Some(20),
            ..find(doc! {"status": text(case)?})
        })),
        "filter" => Read::Find(Box::new(find(
            doc! {"address.city": text(&case["city"])?, "amount": {"$gte": number(&case["least"])?}},
        ))),
        "group" => Read::Aggregate(Aggregate {
            stages: vec![
                doc! {"$match": {"priority": {"$gte": number(case)?}}},
                doc! {"$group": {"_id": "$address.city", "count": {"$sum": 1}, "total": {"$sum": "$amount"}}},
                doc! {"$sort": {"total": -1}},
            ],
        }),
        other => bail!("no read {other}"),
    })
}

fn read_document(value: &Value) -> Result<Document> {
    Ok(ejson::read_document(value.to_string().as_bytes())?)
}

/// What was found, as JSON.
fn plain(found: &Found) -> Result<Value> {
    let mut out = Vec::new();
    for document in &found.documents {
        out.push(if out.is_empty() { b'[' } else { b',' });
        ejson::write_raw(&mut out, document, ejson::Style::Relaxed)?;
    }
    if out.is_empty() {
        out.push(b'[');
    }
    out.push(b']');
    Ok(serde_json::from_slice(&out)?)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
