//! The operator's listener of a server that runs: the way of commands to what that server has open.

use anyhow::{Context as _, bail};
use blobs::BlobError;
use database::FileError;
use project::{Project, Scope};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::{
    args,
    client::client,
    data::Keeping,
    lang::{self, say, t},
    paths,
    patience::Patience,
    print::{self, Coded},
    run_file::{self, Running},
    serve, terminal,
};

/// An operator's listener.
pub(crate) struct Operator {
    client: reqwest::Client,
    url: String,
    /// The secret, or `dev`'s pass.
    shown: String,
}

/// The project that a command is about, and who keeps its data.
pub(crate) fn project(place: &args::Place) -> anyhow::Result<(Project, Keeping)> {
    Ok(match &place.config {
        Some(config) => (Project::from_config(config)?, Keeping::BesideStore),
        None => (paths::project(&place.dir)?, Keeping::InProject),
    })
}

/// The same for a command that looks at its data alone: what is wrong with other parts of the settings keeps nobody from that.
pub(crate) fn data_of(place: &args::Place) -> anyhow::Result<(Project, Keeping)> {
    let (project, keeping) = match &place.config {
        Some(config) => (
            Project::from_config_in(config, Scope::Data)?,
            Keeping::BesideStore,
        ),
        None => (paths::project_in(&place.dir, Scope::Data)?, Keeping::InProject),
    };
    for fault in &project.findings {
        print::warning(lang::of(&fault.wording()), lang::of(&fault.mend));
    }
    Ok((project, keeping))
}

/// The listener of the project's server, where one runs that answers at `path`.
pub(crate) async fn running(
    project: &Project,
    keeping: Keeping,
    path: &str,
) -> anyhow::Result<Option<Operator>> {
    let candidate = match keeping {
        Keeping::BesideStore => {
            let listener = serve::operator(&project.settings.operator);
            listener.map(|(url, secret)| Operator::new(url, secret))
        }
        _ => run_file::running(&project.root).map(Operator::of),
    };
    let Some(operator) = candidate.transpose()? else {
        return Ok(None);
    };
    match operator.ask(Method::GET, path, &[]).send().await {
        Err(error) if error.is_connect() => Ok(None),
        Err(error) => {
            Err(error).with_context(|| say!("the operator's listener did not answer", "运维入口没有应答"))
        }
        Ok(reply) if reply.status() == StatusCode::UNAUTHORIZED => Ok(None),
        Ok(_) => Ok(Some(operator)),
    }
}

/// The way to what has one owner at a time.
pub(crate) enum Way<T> {
    /// The command has opened it.
    Here(T),
    /// A server that runs has it open.
    There(Operator),
}

/// Goes to what `alone` opens, or to the server that has it open and answers for it at `path`.
pub(crate) async fn way<T>(
    project: &Project,
    keeping: Keeping,
    path: &str,
    alone: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<Way<T>> {
    let found = found_way(project, keeping, path, alone).await;
    terminal::wait_for(None);
    found
}

/// The same, which leaves on the terminal what it has waited for.
async fn found_way<T>(
    project: &Project,
    keeping: Keeping,
    path: &str,
    alone: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<Way<T>> {
    let patience = Patience::new();
    loop {
        // A `dev` says itself that it runs. Of a `serve` nobody knows, and whatever listens where it would is shown no secret before the
        // file has proved that somebody has it.
        if keeping == Keeping::InProject
            && let Some(operator) = running(project, keeping, path).await?
        {
            return Ok(Way::There(operator));
        }
        let error = match alone().await {
            Ok(opened) => return Ok(Way::Here(opened)),
            Err(error) => error,
        };
        let Some(place) = file_in_use(&error) else {
            return Err(error);
        };
        if let Some(operator) = running(project, keeping, path).await? {
            return Ok(Way::There(operator));
        }
        // Another command, or a server that is about to say that it runs.
        terminal::wait_for(Some(say!(
            "waiting for the process that has {place} open",
            "等待占用 {place} 的进程"
        )));
        if patience.lasts().await {
            continue;
        }
        let mend = end_that_one(project, keeping);
        bail!(say!(
            "{place} is open in another process: {mend}",
            "{place} 已被另一个进程打开：{mend}"
        ));
    }
}

/// The file that another process has open, where something failed by that.
fn file_in_use(error: &anyhow::Error) -> Option<&str> {
    let of_files = || match error.downcast_ref()? {
        BlobError::Index(error) => Some(error),
        _ => None,
    };
    match error.downcast_ref().or_else(of_files)? {
        FileError::InUse { place, .. } => Some(place),
        _ => None,
    }
}

/// The mend where another process has what a command wants to open. A `dev` says itself that it runs; of a `serve` it is not known.
fn end_that_one(project: &Project, keeping: Keeping) -> &'static str {
    match (keeping, &project.settings.operator.secret) {
        (Keeping::BesideStore, None) => t(
            "if it is another command, wait for that one; if it is a `yunqiao serve`, end it first, or give [operator] a secret_file in yunqiao.toml: then this goes by its listener",
            "如果是另一条命令，请等它结束；如果是 `yunqiao serve`，请先终止它，或在 yunqiao.toml 里给 [operator] 写上 secret_file，命令就会改走运维入口",
        ),
        _ => t(
            "it may be another command, such as a `yunqiao files put` of much; wait for that one, or end it first",
            "可能是另一条命令，比如上传很多文件的 `yunqiao files put`；请等它结束，或先终止它",
        ),
    }
}

impl Operator {
    fn new(url: String, shown: String) -> anyhow::Result<Self> {
        let client = client()?;
        Ok(Self { client, url, shown })
    }

    /// That of a `dev`.
    pub(crate) fn of(running: Running) -> anyhow::Result<Self> {
        Self::new(running.operator, running.pass)
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A request of one of its doors.
    pub(crate) fn ask(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        // What changes something comes as JSON, which no page of another origin sends unasked.
        self.ask_untyped(method, path, query)
            .header("content-type", "application/json")
    }

    /// The same without a type: that of the body is the caller's to give.
    pub(crate) fn ask_untyped(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.query(query).bearer_auth(&self.shown)
    }

    /// Sends it; an answer that is no success is an error with its code.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let reply = request.send().await.with_context(|| {
            let url = &self.url;
            say!("{url} did not answer", "{url} 没有应答")
        })?;
        if reply.status().is_success() {
            return Ok(reply);
        }
        let status = reply.status();
        let answer: Value = reply.json().await.unwrap_or_default();
        let text = match answer["errMsg"].as_str() {
            Some(text) => text.to_owned(),
            None => {
                let url = &self.url;
                say!("{url} answered {status}", "{url} 返回 {status}")
            }
        };
        Err(Coded::new(answer["errCode"].as_i64().unwrap_or(-1), text).into())
    }

    /// The same, where the answer is JSON.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let reply = self.send(request).await?;
        reply.json().await.with_context(|| {
            let url = &self.url;
            say!(
                "{url} answered something that is not JSON",
                "{url} 返回的不是 JSON"
            )
        })
    }
}
