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
    print, simulated,
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
    /// The files that said so, with those that are gone and count on.
    said_in: Vec<PermissionSource>,
    /// As it was read last.
    last: Project,
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
            last: project.clone(),
            seen: 0,
            load: None,
            newer: None,
        }
    }

    /// Reads the project again, has clients do what it says from now on, and begins to load its functions.
    pub(crate) fn read(&mut self, cause: ReloadCause) {
        self.seen = self.local.runtime.changes_seen();
        let (mut project, found) = match dev::open(self.args) {
            Ok(read) => read,
            Err(error) => {
                let mend = t("what was loaded before goes on", "继续使用之前加载的");
                return self.refuse(lang::of(&error.wording()), mend);
            }
        };
        let mut said_in = PermissionSource::written_in(&project.root);
        if cause == ReloadCause::Change {
            let gone: Vec<_> = self
                .said_in
                .iter()
                .copied()
                .filter(|file| !said_in.contains(file))
                .collect();
            for file in gone {
                let is_settings = file == PermissionSource::Settings;
                if is_settings && ClientPermissions::of(&project.settings) != self.permissions {
                    let why = say!(
                        "{file} is gone or empty, and with it what it says of clients",
                        "{file} 不见了或是空的，其中的客户端权限也没有了"
                    );
                    return self.refuse(&why, without_it());
                }
                if !is_settings && keep_what_it_said(file, &self.last, &mut project) {
                    print::warning(
                        say!(
                            "{file} is gone or empty: what it said of clients counts on, where yunqiao.toml says nothing else",
                            "{file} 不见了或是空的：yunqiao.toml 没有另写的，仍按它原来写的权限执行"
                        ),
                        without_it(),
                    );
                    said_in.push(file);
                }
            }
        }
        simulated::declare_anew(&self.last, &project, &self.local.simulator);
        self.last = project.clone();
        let permissions = ClientPermissions::of(&project.settings);
        if permissions != self.permissions {
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

/// How one goes on where a file is gone.
fn without_it() -> &'static str {
    t(
        "write it again; or press r, or start again, to go on without it",
        "请重新写好；如果确实不要它，请按 r 或重新启动",
    )
}

/// A file of other tools that is written anew, or put aside for a moment, is to open nothing that it closed: what it said in `last` stands in
/// `project` too, where no file says something of the same that goes before it. Answers whether there is any of that.
fn keep_what_it_said(file: PermissionSource, last: &Project, project: &mut Project) -> bool {
    let mut keeps = false;
    for (name, said) in &last.settings.database.collections {
        if said.permission_source != Some(file) {
            continue;
        }
        let collection = project
            .settings
            .database
            .collections
            .entry(name.clone())
            .or_default();
        // `yunqiao.toml` goes before it; the file that it went before has no more to say than it had.
        if collection.permission_source.is_none_or(|source| source > file) {
            collection.permission.clone_from(&said.permission);
            collection.permission_source = Some(file);
            keeps = true;
        }
    }
    // Of functions this one alone says something, beside `yunqiao.toml`.
    if file == PermissionSource::Cloudbaserc {
        let settings = &mut project.settings;
        for name in &last.settings.ruled_by_cloudbaserc {
            let Some(rule) = last.settings.function_rules.named.get(name) else {
                continue;
            };
            if !settings.function_rules.named.contains_key(name) {
                settings.function_rules.named.insert(name.clone(), rule.clone());
                settings.ruled_by_cloudbaserc.insert(name.clone());
                keeps = true;
            }
        }
    }
    keeps
}
