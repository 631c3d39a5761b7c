//! `yunqiao serve --check`: everything that is wrong with a configuration, told at once. Nothing is started.

use std::{path::Path, process::ExitCode};

use project::{Finding, Project, ProjectError};
use serde_json::json;
use wording::Wording;

use crate::{
    data::{self, Keeping},
    front::DatabaseFront,
    lang::{self, say},
    outliving, paths, print, serve, stack, storage, web_auth,
};

/// Something that somebody has to mend.
struct Fault {
    what: Wording,
    mend: Wording,
}

impl Fault {
    fn of(error: &anyhow::Error) -> Self {
        Self {
            what: Wording::as_is(lang::error(error)),
            mend: Wording::default(),
        }
    }

    fn of_finding(finding: &Finding) -> Self {
        Self {
            what: finding.wording(),
            mend: finding.mend.clone(),
        }
    }
}

/// Looks, tells, and fails if there is something to mend.
pub(crate) async fn run(config: &Path, as_json: bool) -> ExitCode {
    let (functions, faults) = match serve::open(config) {
        Ok(project) => (project.functions.len(), faults_of(&project).await),
        Err(error) => (0, unreadable(&error)),
    };
    if as_json {
        let faults = faults
            .iter()
            .map(|fault| json!({"what": lang::of(&fault.what), "mend": lang::of(&fault.mend)}));
        print::json(&json!({"functions": functions, "faults": faults.collect::<Vec<_>>()}));
    } else {
        for fault in &faults {
            print::warning(lang::of(&fault.what), lang::of(&fault.mend));
        }
        if faults.is_empty() {
            let (functions_en, functions_zh) = (print::counted(functions, "function"), functions);
            print::done(say!(
                "{functions_en}, nothing to mend",
                "共 {functions_zh} 个云函数，没有问题"
            ));
        }
    }
    match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What keeps the project from being read at all.
fn unreadable(error: &anyhow::Error) -> Vec<Fault> {
    let Some(errors) = error.downcast_ref::<ProjectError>() else {
        return vec![Fault::of(error)];
    };
    let fault = |error: &ProjectError| Fault {
        what: error.wording(),
        mend: Wording::default(),
    };
    errors.each().iter().map(fault).collect()
}

async fn faults_of(project: &Project) -> Vec<Fault> {
    let settings = &project.settings;
    let mut faults: Vec<_> = project.findings.iter().map(Fault::of_finding).collect();
    let mut judge = |judged: anyhow::Result<()>| faults.extend(judged.err().as_ref().map(Fault::of));
    judge(serve::appid(project).map(drop));
    judge(serve::secret(project).map(drop));
    judge(paths::node().map(drop));
    judge(stack::configured_keys(settings).map(drop));
    judge(stack::receiver(serve::push_settings(project)).map(drop));
    judge(web_auth::of(project, false).map(drop));
    judge(outliving::check(project).await);
    if let Some(wire) = settings.database.wire {
        judge(DatabaseFront::check(project, wire));
    }
    if let Some(url) = &settings.database.url {
        judge(data::server(url).await.map(drop));
    }
    if let Some(s3) = &settings.storage.s3 {
        judge(storage::bucket(s3, None).await.map(drop));
    }
    let unmade = data::look_for_unmade(project, Keeping::BesideStore).await;
    match unmade {
        Ok(unmade) => faults.extend(unmade.into_iter().map(|unmade| Fault {
            what: unmade.what,
            mend: unmade.mend,
        })),
        Err(error) => faults.push(Fault::of(&error)),
    }
    let oddities = [
        serve::operator_without_secret(project),
        serve::push_without_token(project),
        outliving::redis_without_server(project),
    ];
    faults.extend(
        oddities
            .into_iter()
            .flatten()
            .map(|(what, mend)| Fault { what, mend }),
    );
    for listed in project.functions.values() {
        if let Some(problem) = &listed.function.problem {
            let name = &listed.function.name;
            faults.push(Fault {
                what: stack::cannot_run(name.as_str(), problem),
                mend: Wording::default(),
            });
        }
    }
    faults
}
