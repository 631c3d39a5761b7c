//! `yunqiao db permission`: what clients may do with collections, which stands in the project's files and not in its database.

use std::{path::PathBuf, process::ExitCode};

use project::{PermissionSource, Project};
use rules::Permission;
use serde_json::json;

use crate::{
    args,
    lang::{say, t},
    operator, print,
};

pub(super) fn run(
    place: &args::Place,
    asked: &args::PermissionOf,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let (mut project, _) = operator::data_of(place)?;
    if let Some(level) = asked.set {
        let file = settings(place, &project);
        let before = project;
        doctor::write_permission(&file, &asked.collections, level)?;
        project = operator::data_of(place)?.0;
        for name in &asked.collections {
            let (was, is) = (of(&before, name).0.tag(), level.name());
            let file = file.display();
            print::done(say!(
                "{name}: {was} → {is}, in {file}",
                "{name}：{was} → {is}，已写入 {file}"
            ));
        }
    }
    let said = project.settings.database.collections.iter();
    let said = said.filter_map(|(name, collection)| collection.permission.as_ref().map(|_| name.clone()));
    let names = match asked.collections.as_slice() {
        [] => said.collect(),
        names => names.to_vec(),
    };
    if as_json {
        let collections: Vec<_> = names.iter().map(|name| {
            let (permission, source) = of(&project, name);
            json!({"name": name, "permission": permission.tag(), "file": source.map(PermissionSource::file)})
        }).collect();
        let usual = project.settings.database.default_permission.tag();
        print::json(&json!({"collections": collections, "default": usual}));
    } else if asked.set.is_none() {
        for name in &names {
            let (permission, source) = of(&project, name);
            let source = source.map_or(t("the default", "默认权限"), PermissionSource::file);
            let line = format!("{name}  {}  {source}", permission.tag());
            print::result(crate::escape::Line(&line));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The file that is written.
fn settings(place: &args::Place, project: &Project) -> PathBuf {
    let named = place.config.clone();
    named.unwrap_or_else(|| project.root.join(PermissionSource::Settings.file()))
}

/// The permission of a collection, and the file that says it.
fn of<'a>(project: &'a Project, name: &str) -> (&'a Permission, Option<PermissionSource>) {
    let settings = &project.settings.database;
    let collection = settings.collections.get(name);
    match collection
        .and_then(|collection| Some((collection.permission.as_ref()?, collection.permission_source)))
    {
        Some(said) => said,
        None => (&settings.default_permission, None),
    }
}
