//! A project that is read again when its files have changed. What clients may do counts at once; functions are loaded beside, which may
//! take as long as an installation does.

use std::{
    future::{Future, pending},
    pin::Pin,
};

use gateway::ClientPermissions;
use project::{Finding, PermissionSource, Project};

use crate::{
    args, dev, facts,
    lang::{self, say, t},
    print,
    stack::{self, Local},
};

/// Why the project is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReloadCause {
    /// Its files have changed.
    Change,
    /// Somebody asked for it.
    Key,
}

/// What comes of a load: the project, and the functions of it that can run.
type LoadedProject = (Project, anyhow::Result<Vec<String>>);

/// The project of `dev` as it was read last.
pub(crate) struct Reloads<'a> {
    args: &'a args::Dev,
    local: &'a Local,
    /// What its author was told.
    findings: Vec<Finding>,
    permissions: ClientPermissions,
    /// The files that said so.
    said_in: Vec<PermissionSource>,
    /// Changes that the last reading saw.
    seen: u64,
    /// Functions are being loaded.
    load: Option<Pin<Box<dyn Future<Output = LoadedProject> + 'a>>>,
    /// There is something newer than what is being loaded.
    newer: Option<ReloadCause>,
}

impl<'a> Reloads<'a> {
    pub(crate) fn new(
        args: &'a args::Dev,
        local: &'a Local,
        project: &Project,
        findings: Vec<Finding>,
    ) -> Self {
        Self {
            args,
            local,
            findings,
            permissions: ClientPermissions::of(&project.settings),
            said_in: PermissionSource::written_in(&project.root),
            seen: 0,
            load: None,
            newer: None,
        }
    }

    /// Reads the project again, has clients do what it says from now on, and begins to load its functions.
    pub(crate) fn read(&mut self, cause: ReloadCause) {
        self.seen = self.local.runtime.changes_seen();
        let (project, found) = match dev::open(self.args) {
            Ok(read) => read,
            Err(error) => {
                let mend = t("what was loaded before goes on", "继续使用之前加载的");
                return self.refuse(lang::of(&error.wording()), mend);
            }
        };
        let said_in = PermissionSource::written_in(&project.root);
        let permissions = ClientPermissions::of(&project.settings);
        if permissions != self.permissions {
            let gone = self.said_in.iter().find(|file| !said_in.contains(file));
            // A file that is written anew, or put aside for a moment, is to open nothing that it closed.
            if let (Some(gone), ReloadCause::Change) = (gone, cause) {
                return self.refuse(
                    &say!(
                        "{gone} is gone or empty, and with it what it says of clients",
                        "{gone} 不见了或是空的，其中的客户端权限也没有了"
                    ),
                    t(
                        "write it again; or press r, or start again, to go on without it",
                        "请重新写好；如果确实不要它，请按 r 或重新启动",
                    ),
                );
            }
            self.local.gateway.permit(&permissions);
            self.permissions = permissions;
            print::done(t(
                "what clients may do has changed, and counts from now on",
                "客户端权限有改动，已生效",
            ));
            facts::clients_now(&project);
        }
        self.said_in = said_in;
        print::findings(&found, &self.findings);
        self.findings = found;
        if self.load.is_some() {
            self.newer = Some(cause);
            return;
        }
        let local = self.local;
        self.load = Some(Box::pin(async move {
            let loaded = stack::load(&local.gateway, &project, local.console.as_ref()).await;
            (project, loaded)
        }));
    }

    /// Waits until functions have been loaded, and gives their project; for ever where none are being loaded.
    pub(crate) async fn loaded(&mut self) -> Project {
        let Some(load) = &mut self.load else {
            return pending().await;
        };
        let (project, loaded) = load.await;
        self.load = None;
        match loaded {
            Ok(functions) => {
                let functions_zh = functions.len();
                let functions_en = print::counted(functions_zh, "function");
                print::done(say!(
                    "reloaded: {functions_en}",
                    "已重新加载：{functions_zh} 个云函数"
                ));
            }
            Err(error) => print::warning(lang::error(&error), ""),
        }
        match self.newer.take() {
            Some(cause) => self.read(cause),
            // Where nothing could be loaded, calls go to what was there.
            None => self.local.runtime.looked_at(self.seen),
        }
        project
    }

    /// Goes on with what was read before.
    fn refuse(&self, why: &str, mend: &str) {
        print::warning(say!("not reloaded: {why}", "没有重新加载：{why}"), mend);
        if let Some(console) = &self.local.console {
            console.stale(Some(why.to_owned()));
        }
        if self.load.is_none() {
            self.local.runtime.looked_at(self.seen);
        }
    }
}
