//! Where a project's state is: with a `dev` that runs, in the files that it would keep it in, or in this process.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use blobs::{Blob, Blobs, NewBlob};
use clock::Clock;
use database::{CollectionStatus, exchange::FileDocument};
use project::Project;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Simulator, WeChatState};
use wording::wording;

use super::folder::{StateCount, WECHAT_FILES, WrittenState};
use crate::{
    client::client,
    data::{self, Keeping},
    db::reach::{PagesThrough, Reach},
    files,
    lang::{self, say},
    print, run_file, simulated,
    stack::{self, Local},
    storage, terminal,
};

/// Files that are removed at a time.
const PAGE: usize = 500;

/// A place; what is `None` is not there yet.
pub(super) struct StatePlace {
    database: Option<Reach>,
    files: Option<Arc<dyn Blobs>>,
    wechat: WeChat,
}

/// The simulated WeChat of a place.
enum WeChat {
    Here(Simulator),
    There { client: reqwest::Client, url: String },
}

impl StatePlace {
    /// What `dev` keeps of the project, to look at: nothing is made where there is none.
    pub(super) async fn existing(project: &Project) -> anyhow::Result<Self> {
        let runs = run_file::running(&project.root).is_some();
        let keeping = Keeping::InProject;
        Ok(Self {
            wechat: WeChat::of(project, false)?,
            database: match runs || data::is_there(project, keeping) {
                true => Some(Reach::of(project, keeping, false).await?),
                false => None,
            },
            files: match runs || storage::is_there(project, keeping) {
                true => Some(files::Reach::blobs(project, keeping).await?),
                false => None,
            },
        })
    }

    /// The same, to write to.
    pub(super) async fn to_write(project: &Project) -> anyhow::Result<Self> {
        let keeping = Keeping::InProject;
        Ok(Self {
            wechat: WeChat::of(project, true)?,
            database: Some(Reach::of(project, keeping, false).await?),
            files: Some(files::Reach::blobs(project, keeping).await?),
        })
    }

    /// Whether this process has the files, and no `dev` that runs.
    pub(super) const fn is_here(&self) -> bool {
        matches!(self.wechat, WeChat::Here(_)) && matches!(self.database, None | Some(Reach::Here(_)))
    }

    /// That of a project that runs in this process.
    pub(super) fn within(local: &Local) -> Self {
        Self {
            database: Some(Reach::Here(Arc::clone(&local.gateway.database().database))),
            files: Some(Arc::clone(&local.gateway.storage().blobs)),
            wechat: WeChat::Here(local.simulator.clone()),
        }
    }

    /// The state of the simulated WeChat.
    pub(super) async fn wechat(&self) -> anyhow::Result<Value> {
        self.wechat.state().await
    }

    /// The collections, by name.
    pub(super) async fn collections(&self) -> anyhow::Result<Vec<CollectionStatus>> {
        match &self.database {
            Some(database) => database.collections().await,
            None => Ok(Vec::new()),
        }
    }

    /// The documents of a collection, a page at a time.
    pub(super) fn documents(&self) -> Option<PagesThrough<'_>> {
        self.database
            .as_ref()
            .map(|database| database.pages(bson::Document::new()))
    }

    /// Where files are, if there are any.
    pub(super) fn blobs(&self) -> Option<&dyn Blobs> {
        self.files.as_deref()
    }

    /// All files.
    pub(super) async fn files(&self) -> anyhow::Result<Vec<Blob>> {
        match &self.files {
            Some(blobs) => files::Pages::new(&**blobs, "", false).files().await,
            None => Ok(Vec::new()),
        }
    }

    /// What somebody would miss. Users, templates and subscriptions count where they are others than a project begins with.
    pub(super) async fn what_is_there(&self, project: &Project) -> anyhow::Result<StateCount> {
        let now = self.wechat().await?;
        let first = serde_json::to_value(fresh(project)?.state())?;
        let mut count = StateCount::of_wechat(&now);
        for (part, count) in [
            ("users", &mut count.users),
            ("templates", &mut count.templates),
            ("subscriptions", &mut count.subscriptions),
        ] {
            if now[part] == first[part] {
                *count = 0;
            }
        }
        let collections = self.collections().await?;
        let filled = collections.iter().filter(|status| status.documents > 0);
        count.collections = filled.count();
        count.documents = collections.iter().map(|status| status.documents).sum();
        count.files = self.files().await?.len();
        Ok(count)
    }

    /// Puts a state in the place of all that is there. Where it fails, part of it is.
    pub(super) async fn put(
        &self,
        project: &Project,
        state: &WrittenState,
        wechat: &WeChatState,
    ) -> anyhow::Result<()> {
        let (Some(database), Some(blobs)) = (&self.database, &self.files) else {
            bail!(say!(
                "a state can only be put where documents and files can be written",
                "只能在可写入记录和文件的地方导入状态"
            ));
        };
        for there in database.collections().await? {
            database.drop_collection(&there.name).await?;
        }
        for collection in &state.collections {
            let name = &collection.status.name;
            let put = put_collection(database, collection).await;
            put.with_context(|| say!("the collection {name:?}", "集合 {name:?}"))?;
        }
        for (name, setting) in &project.settings.database.collections {
            database.fill(name, Vec::new()).await?;
            for index in &setting.indexes {
                if let Err(error) = database.create_index(name, index.clone()).await {
                    let (index, why) = (&index.name, lang::error(&error));
                    print::warning(
                        say!(
                            "[database.collections.{name}]: the index {index} cannot be made over what was brought in: {why}",
                            "[database.collections.{name}]：导入的记录不允许建立索引 {index}：{why}"
                        ),
                        "",
                    );
                }
            }
        }
        let were: Vec<_> = self.files().await?.into_iter().map(|blob| blob.path).collect();
        for paths in were.chunks(PAGE) {
            blobs.remove(paths).await?;
        }
        let transfer = files::Transfer::of(state.files.len());
        for file in &state.files {
            let new = NewBlob {
                path: file.path.clone(),
                owner: file.owner.clone(),
                content_type: file.content_type.clone(),
            };
            let content = state.open_file(&file.at)?;
            let sent = files::upload(&**blobs, content, new, &transfer).await;
            sent.with_context(|| file.at.clone())?;
        }
        terminal::wait_for(None);
        self.wechat.replace(wechat).await
    }
}

async fn put_collection(
    database: &Reach,
    collection: &super::folder::WrittenCollection,
) -> anyhow::Result<()> {
    let status = &collection.status;
    database.fill(&status.name, Vec::new()).await?;
    for index in status.indexes.iter().filter(|index| index.name != "_id_") {
        database.create_index(&status.name, index.clone()).await?;
    }
    let mut batches = collection.documents()?;
    while let Some(batch) = batches.next_batch()? {
        let batch: Vec<FileDocument> = batch;
        let report = database.fill(&status.name, batch).await?;
        if let Some(refused) = report.told.first() {
            let (file, line, why) = (&collection.file, refused.line, &refused.text);
            bail!(say!("{file}, line {line}: {why}", "{file} 第 {line} 行：{why}"));
        }
    }
    Ok(())
}

/// A simulated WeChat as the project begins with.
fn fresh(project: &Project) -> anyhow::Result<Simulator> {
    let settings = stack::simulator_settings(project, project::ForeignCodes::Refuse);
    let simulator = Simulator::new(settings, Clock::system(), |_| {});
    simulated::declare(project, &simulator)?;
    Ok(simulator)
}

/// What a simulated WeChat is to hold: what stands in `state`, and what the project declares.
///
/// # Errors
/// Something in it cannot be, or does not go together with what is declared.
pub(super) fn prepared(project: &Project, state: &WrittenState) -> anyhow::Result<WeChatState> {
    let simulator = fresh(project)?;
    let ours = stack::simulator_settings(project, project::ForeignCodes::Refuse).appid;
    let theirs = state.wechat["appid"].as_str().unwrap_or_default();
    if theirs != ours {
        bail!(say!(
            "it is a state of the app {theirs}, and this one is {ours}, where users have other openids: where it is meant all the same, write \
             {ours} into its manifest.json",
            "这份状态属于小程序 {theirs}，而这里是 {ours}，用户的 openid 不同：确实要用，请在它的 manifest.json 里写上 {ours}"
        ));
    }
    let wechat = serde_json::from_value(state.wechat.clone())
        .map_err(|error| misfit(&state.wechat).unwrap_or_else(|| error.into()))?;
    simulator.replace_state(wechat)?;
    simulated::declare(project, &simulator).map_err(|why| {
        wording!(
            "{why} — by the state that is brought in: change one of the two",
            "{why} —— 与要导入的状态冲突：请改其中一个"; why
        )
    })?;
    Ok(simulator.state())
}

/// Which entry of which file of a state is not what was written.
fn misfit(wechat: &Value) -> Option<anyhow::Error> {
    let try_alone = |part: &str, entries: Value| {
        let mut alone = json!({ "appid": "", "users": [] });
        alone[part] = entries;
        serde_json::from_value::<WeChatState>(alone).err()
    };
    for (part, file) in WECHAT_FILES {
        let Some(why) = try_alone(part, wechat[part].clone()) else {
            continue;
        };
        let mut entries = wechat[part].as_array().into_iter().flatten().zip(1..);
        let at = entries.find_map(|(entry, number)| Some((try_alone(part, json!([entry]))?, number)));
        return Some(anyhow!(match at {
            Some((why, number)) => say!(
                "{file}, entry {number}, is not what was written: {why}",
                "{file} 第 {number} 项不是写入时的样子：{why}"
            ),
            None => say!(
                "{file} is not what was written: {why}",
                "{file} 不是写入时的样子：{why}"
            ),
        }));
    }
    None
}

impl WeChat {
    fn of(project: &Project, for_writing: bool) -> anyhow::Result<Self> {
        if let Some(running) = run_file::running(&project.root) {
            return Ok(Self::There {
                client: client()?,
                url: format!("{}/sim/state", running.wechat),
            });
        }
        Ok(Self::Here(match simulated::alone(project, for_writing)? {
            Some(kept) => kept,
            None => fresh(project)?,
        }))
    }

    async fn state(&self) -> anyhow::Result<Value> {
        match self {
            Self::Here(simulator) => Ok(serde_json::to_value(simulator.state())?),
            Self::There { client, url } => Self::answer(client.request(Method::GET, url), url).await,
        }
    }

    async fn replace(&self, state: &WeChatState) -> anyhow::Result<()> {
        match self {
            Self::Here(simulator) => Ok(simulator.replace_state(state.clone())?),
            Self::There { client, url } => {
                let request = client.request(Method::POST, url).json(state);
                Self::answer(request, url).await.map(drop)
            }
        }
    }

    async fn answer(request: reqwest::RequestBuilder, url: &str) -> anyhow::Result<Value> {
        let reply = request
            .send()
            .await
            .with_context(|| say!("{url} did not answer", "{url} 没有应答"))?;
        let status = reply.status();
        let answer: Value = reply.json().await.unwrap_or_default();
        if !status.is_success() {
            let why = lang::refusal(&answer).unwrap_or_default();
            bail!(say!(
                "{url} answered {status}: {why}",
                "{url} 返回 {status}：{why}"
            ));
        }
        Ok(answer)
    }
}
