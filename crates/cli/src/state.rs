//! `yunqiao state`: all that `dev` keeps of a project as one folder that people can read, and back again: users, templates,
//! subscriptions and the outbox of the simulated WeChat, the documents of the database, and files. It is meant to be committed: no
//! session, key or token is in it.
//!
//! What is brought in takes the place of everything that is there. It is read whole before anything is touched; what was there is put
//! aside first, and comes back where something fails on the way.

mod folder;
mod place;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use project::Project;
use serde_json::json;
use simulator::WeChatState;
use tokio::signal::unix::{SignalKind, signal};
use wording::shell_word;

use self::{
    folder::{StateCount, WrittenState},
    place::StatePlace,
};
use crate::{
    args::{self, StateCommand},
    data::Keeping,
    interrupt::interrupted,
    lang::{self, say, t},
    paths, print, run_file,
    stack::Local,
};

/// What was there before an import, for as long as that is under way.
const BEFORE: &str = "before-import";
/// Held by the one import that is under way.
const LOCK: &str = "import.lock";

pub(crate) async fn run(args: args::State, as_json: bool) -> anyhow::Result<ExitCode> {
    let project = paths::project(&args.dir)?;
    match &args.command {
        StateCommand::Export { to } => {
            // Dropped where it is not waited for any more, and with it what it has written so far.
            let ended = interrupted();
            let exported = tokio::select! {
                exported = export(&project, to) => Some(exported?),
                asked = ended => asked.map(|()| None)?,
            };
            let to = to.display();
            let Some(count) = exported else {
                print::warning(
                    say!(
                        "{to} was not written: the export was ended",
                        "没有写入 {to}：导出被中止"
                    ),
                    "",
                );
                return Ok(ExitCode::from(130));
            };
            tell(&count, as_json, |all| {
                say!("{to} holds {all}", "{to} 已写入：{all}")
            });
        }
        StateCommand::Import { from, replace } => {
            let state = folder::open(from)?;
            let count = bring_in(&project, from, &state, *replace).await?;
            let from = from.display();
            tell(&count, as_json, |all| {
                say!("brought in from {from}: {all}", "已从 {from} 导入：{all}")
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn export(project: &Project, to: &Path) -> anyhow::Result<StateCount> {
    // An import that is under way has taken half away.
    let lock = import_lock(project);
    let _lock = lock.map(|file| held(file.try_lock_shared(), file)).transpose()?;
    warn_of_interrupted(project);
    let place = StatePlace::existing(project).await?;
    folder::export(&place, to).await
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

/// What imports that were ended in their middle have left: what was there before each of them.
fn left_by_imports(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.root.join(crate::folder::NAME));
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut left: Vec<_> = paths
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(BEFORE))
        })
        .collect();
    left.sort();
    left
}

/// Where the project's state is put aside: never where an import that was ended in its middle has left one.
fn free_place(project: &Project) -> anyhow::Result<PathBuf> {
    let numbered = (2..).map(|number| format!("{BEFORE}-{number}"));
    for name in std::iter::once(BEFORE.to_owned()).chain(numbered) {
        let place = Keeping::InProject.place(project, None, &name)?;
        let place = place.context(BEFORE)?;
        if place.symlink_metadata().is_err() {
            return Ok(place);
        }
    }
    bail!(BEFORE)
}

/// The file that an import holds for itself and an export shares with others; `None` where nothing was kept yet, and where none can be
/// made, so that no import begins either.
fn import_lock(project: &Project) -> Option<File> {
    let is_there = project.root.join(crate::folder::NAME).exists();
    is_there.then(|| open_lock(project).ok()).flatten()
}

fn open_lock(project: &Project) -> anyhow::Result<File> {
    let path = Keeping::InProject.place(project, None, LOCK)?;
    let path = path.context(LOCK)?;
    let shown = path.display();
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    options
        .open(&path)
        .with_context(|| say!("{shown} cannot be written", "无法写入 {shown}"))
}

/// The file, where the lock on it was had.
fn held(tried: Result<(), TryLockError>, file: File) -> anyhow::Result<File> {
    match tried {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(say!(
            "another `yunqiao state import` or `export` is under way for this project: wait for it",
            "这个项目正在执行另一个 `yunqiao state import` 或 `export`：请等它结束"
        )),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The command that brings back what lies in `before`.
fn bringing_back(project: &Project, before: &Path) -> String {
    let [root, before] = [&project.root, before].map(|path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        shell_word(&path.display().to_string())
    });
    format!("yunqiao state --dir {root} import {before} --replace")
}

/// Removes what was put aside. It goes from its name at once, so that what is removed in part is not taken for something.
fn remove(before: &Path) {
    let removed = before
        .parent()
        .map(|folder| {
            let gone = tempfile::Builder::new().prefix(".imported-").tempdir_in(folder)?;
            fs::rename(before, gone.path().join("old"))
        })
        .transpose();
    if let Err(error) = removed {
        let before = before.display();
        print::warning(
            say!(
                "{before} cannot be removed: {error}",
                "无法删除 {before}：{error}"
            ),
            t(
                "remove it: it is what was there before the import",
                "请自行删除：它是导入前的数据",
            ),
        );
    }
}

/// Puts the state that was read from `from` in the place of what `dev` keeps of the project.
async fn bring_in(
    project: &Project,
    from: &Path,
    state: &WrittenState,
    replace: bool,
) -> anyhow::Result<StateCount> {
    let settings = &project.settings;
    if replace && (settings.database.url.is_some() || settings.storage.s3.is_some()) {
        bail!(say!(
            "--replace would remove everything on the server that [database] url or [storage] s3 names, and others may use it: empty it \
             yourself, and import without --replace",
            "--replace 会清空 [database] url 或 [storage] s3 所指的服务器，别人可能也在用：请自行清空，再不加 --replace 导入"
        ));
    }
    let lock = open_lock(project)?;
    let _lock = held(lock.try_lock(), lock)?;
    // What an import that was ended in its middle has left may be all that there is of it: it is brought back, or removed by whoever
    // knows that it is not needed.
    let left = left_by_imports(project);
    let from = fs::canonicalize(from).ok();
    let brought_back = left
        .iter()
        .find(|left| fs::canonicalize(left).ok() == from && from.is_some());
    if let (None, Some(left)) = (brought_back, left.first()) {
        let (command, left) = (bringing_back(project, left), left.display());
        bail!(say!(
            "a `yunqiao state import` was ended in its middle, and what was there before it lies in {left}: `{command}` brings it back; \
             remove the folder to keep what is there now, and import then",
            "上次 `yunqiao state import` 中途被终止，导入前的数据在 {left}：执行 `{command}` 可恢复；要保留现状，请删掉这个目录再导入"
        ));
    }
    let place = StatePlace::to_write(project).await?;
    run_file::warn_if_fresh(&project.root);
    let wechat = place::prepared(project, state)?;
    let there = place.what_is_there(project).await?;
    if !replace && !there.is_nothing() {
        let there = lang::of(&there.wording()).to_owned();
        bail!(say!(
            "there is something already: {there}; with --replace the import takes the place of all of it",
            "这里已有数据：{there}；加上 --replace 会用导入的内容全部替换"
        ));
    }
    let before = free_place(project)?;
    // From here on a request to end waits: half a state is nobody's.
    let mut requests = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    folder::put_aside(&place, &before).await?;
    // What could not be brought back is found before anything is touched.
    let aside = folder::open(&before).and_then(|aside| {
        let wechat = place::prepared(project, &aside)?;
        Ok((aside, wechat))
    });
    let (aside, wechat_before) = match aside {
        Ok(aside) => aside,
        Err(error) => {
            remove(&before);
            return Err(error.context(t(
                "what is there could not be brought back if the import failed, so nothing was touched",
                "若导入失败，现有数据将无法恢复，因此没有做任何改动",
            )));
        }
    };
    let put = async {
        let put = place.put(project, state, &wechat);
        tokio::pin!(put);
        let [Ok(interrupt), Ok(terminate)] = &mut requests else {
            return put.await;
        };
        loop {
            tokio::select! {
                put = &mut put => return put,
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            print::warning(
                t("the import is finished first", "会先完成导入再结束").to_owned(),
                "",
            );
        }
    };
    let Err(failed) = put.await else {
        remove(&before);
        if let Some(brought_back) = brought_back {
            remove(brought_back);
        }
        return Ok(state.count());
    };
    match bring_back(project, place, &aside, &wechat_before).await {
        Ok(()) => {
            remove(&before);
            Err(failed.context(t(
                "nothing was brought in, and all is as it was",
                "没有导入，一切保持原样",
            )))
        }
        Err(error) => {
            let (why, path) = (lang::error(&error), before.display());
            let command = bringing_back(project, &before);
            Err(failed.context(say!(
                "the import broke off, and what was there could not be brought back ({why}): it lies in {path}, and `{command}` brings \
                 it back",
                "导入中断，原有数据没能恢复（{why}）：它在 {path}，执行 `{command}` 可恢复"
            )))
        }
    }
}

/// Puts what was put aside where it was, and nowhere else: a `dev` that has begun or ended meanwhile has a state of its own.
async fn bring_back(
    project: &Project,
    place: StatePlace,
    aside: &WrittenState,
    wechat: &WeChatState,
) -> anyhow::Result<()> {
    let failed = match place.put(project, aside, wechat).await {
        Err(error) if place.is_here() => error,
        put => return put,
    };
    // A file that could not be written to, as on a full disk, may take more once it is opened anew.
    drop(place);
    match StatePlace::to_write(project).await {
        Ok(again) if again.is_here() => again.put(project, aside, wechat).await,
        _ => Err(failed),
    }
}

/// Tells of imports that were ended in their middle, and of one that is under way.
pub(crate) fn warn_of_interrupted(project: &Project) {
    let left = left_by_imports(project);
    if left.is_empty() {
        return;
    }
    let lock = import_lock(project);
    if lock.is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))) {
        print::warning(
            t(
                "a `yunqiao state import` is under way for this project",
                "这个项目正在执行 `yunqiao state import`",
            )
            .to_owned(),
            t(
                "start again when it has ended, to have what it brings in",
                "等它结束后重新启动，才能用上导入的数据",
            ),
        );
        return;
    }
    for before in left {
        let command = bringing_back(project, &before);
        let before = before.display();
        print::warning(
            say!(
                "a `yunqiao state import` was ended in its middle; what was there before it lies in {before}",
                "上次 `yunqiao state import` 中途被终止；导入前的数据在 {before}"
            ),
            &say!(
                "{command} brings it back; remove the folder to keep what is there now",
                "执行 {command} 可恢复；要保留现状，请删掉这个目录"
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

/// Whether a state may be written there, as far as that is known before.
pub(crate) fn check_export(to: &Path) -> anyhow::Result<()> {
    folder::check_place(to)
}
