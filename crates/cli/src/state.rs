//! `yunqiao state`: all that `dev` keeps of a project as one folder that people can read, and back again: users, templates,
//! subscriptions and the outbox of the simulated WeChat, the documents of the database, and files. It is meant to be committed: no
//! session, key or token is in it.
//!
//! What is brought in takes the place of everything that is there. It is read whole before anything is touched; what was there is put
//! aside first, and comes back where something fails on the way.

mod folder;
mod place;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use project::Project;
use serde_json::json;

use self::{
    folder::{StateCount, WrittenState},
    place::StatePlace,
};
use crate::{
    args::{self, StateCommand},
    data::Keeping,
    lang::{self, say, t},
    paths, print,
    stack::Local,
};

/// What was there before an import, for as long as that is under way.
const BEFORE: &str = "before-import";

pub(crate) async fn run(args: args::State, as_json: bool) -> anyhow::Result<ExitCode> {
    let project = paths::project(&args.dir)?;
    match &args.command {
        StateCommand::Export { to } => {
            let place = StatePlace::existing(&project).await?;
            let count = folder::export(&place, to).await?;
            let to = to.display();
            tell(&count, as_json, |all| {
                say!("{to} holds {all}", "{to} 已写入：{all}")
            });
        }
        StateCommand::Import { from, replace } => {
            let state = folder::open(from)?;
            let count = bring_in(&project, &state, *replace).await?;
            let from = from.display();
            tell(&count, as_json, |all| {
                say!("brought in from {from}: {all}", "已从 {from} 导入：{all}")
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(count: &StateCount, as_json: bool, sentence: impl FnOnce(String) -> String) {
    match as_json {
        true => print::json(&json!({
            "users": count.users,
            "templates": count.templates,
            "subscriptions": count.subscriptions,
            "outbox": count.outbox,
            "collections": count.collections,
            "documents": count.documents,
            "files": count.files,
        })),
        false => print::done(sentence(lang::of(&count.wording()).to_owned())),
    }
}

/// Where the project's state is put aside.
fn before(project: &Project) -> anyhow::Result<PathBuf> {
    let place = Keeping::InProject.place(project, None, BEFORE)?;
    place.context(BEFORE)
}

/// Puts a state in the place of what `dev` keeps of the project.
async fn bring_in(project: &Project, state: &WrittenState, replace: bool) -> anyhow::Result<StateCount> {
    let settings = &project.settings;
    if replace && (settings.database.url.is_some() || settings.storage.s3.is_some()) {
        bail!(say!(
            "--replace would remove everything on the server that [database] url or [storage] s3 names, and others may use it: empty it \
             yourself, and import without --replace",
            "--replace 会清空 [database] url 或 [storage] s3 所指的服务器，别人可能也在用：请自行清空，再不加 --replace 导入"
        ));
    }
    let place = StatePlace::to_write(project).await?;
    let wechat = place::prepared(project, state)?;
    let there = place.what_is_there(project).await?;
    if !replace && !there.is_nothing() {
        let there = lang::of(&there.wording()).to_owned();
        bail!(say!(
            "there is something already: {there}; with --replace the import takes the place of all of it",
            "这里已有数据：{there}；加上 --replace 会用导入的内容全部替换"
        ));
    }
    let before = before(project)?;
    // An import that was ended in its middle has left what was there before it, and here is only what it had come to.
    if !folder::is_state(&before) {
        folder::export_to_folder(&place, &before).await?;
    }
    let put = place.put(project, state, &wechat).await;
    let Err(failed) = put else {
        let _ = fs::remove_dir_all(&before);
        return Ok(state.count());
    };
    drop(place);
    let path = before.display().to_string();
    match restore(project, &before).await {
        Ok(()) => {
            let _ = fs::remove_dir_all(&before);
            Err(failed.context(t(
                "nothing was brought in, and all is as it was",
                "没有导入，一切保持原样",
            )))
        }
        Err(error) => {
            let why = lang::error(&error);
            Err(failed.context(say!(
                "the import broke off, and what was there could not be brought back ({why}): it lies in {path}, and `yunqiao state \
                 import {path} --replace` brings it back",
                "导入中断，原有数据没能恢复（{why}）：它在 {path}，执行 `yunqiao state import {path} --replace` 可恢复"
            )))
        }
    }
}

/// Brings back what was put aside.
async fn restore(project: &Project, before: &Path) -> anyhow::Result<()> {
    let state = folder::open(before)?;
    // The server that ran may be what has failed.
    let place = StatePlace::to_write(project).await?;
    let wechat = place::prepared(project, &state)?;
    place.put(project, &state, &wechat).await
}

/// Tells of an import that was ended in its middle.
pub(crate) fn warn_of_interrupted(project: &Project) {
    let before = project.root.join(crate::folder::NAME).join(BEFORE);
    if folder::is_state(&before) {
        let before = before.display();
        print::warning(
            say!(
                "a `yunqiao state import` was ended in its middle; what was there before it lies in {before}",
                "上次 `yunqiao state import` 中途被终止；导入前的数据在 {before}"
            ),
            &say!(
                "yunqiao state import {before} --replace brings it back; remove the folder to keep what is there now",
                "执行 yunqiao state import {before} --replace 可恢复；要保留现状，请删掉这个目录"
            ),
        );
    }
}

/// A state that is to be brought into a project that runs for one command. It is read whole.
pub(crate) struct StateToImport(WrittenState);

impl StateToImport {
    /// Reads it.
    ///
    /// # Errors
    /// It is none, or something in it cannot be.
    pub(crate) fn open(project: &Project, from: &Path) -> anyhow::Result<Self> {
        let state = folder::open(from)?;
        place::prepared(project, &state)?;
        Ok(Self(state))
    }

    /// Puts it in the place of what such a project begins with; what `yunqiao.toml` declares is there beside it.
    pub(crate) async fn put(&self, project: &Project, local: &Local) -> anyhow::Result<()> {
        let place = StatePlace::within(local);
        place
            .put(project, &self.0, &place::prepared(project, &self.0)?)
            .await
    }
}

/// Writes the state of a project that runs for one command.
pub(crate) async fn export_from(local: &Local, to: &Path) -> anyhow::Result<()> {
    folder::export(&StatePlace::within(local), to).await.map(drop)
}
