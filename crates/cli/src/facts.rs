//! What `dev` and `serve` say of themselves before they are ready.

use std::{collections::BTreeMap, path::Path};

use project::Project;

use crate::{
    lang::{self, t},
    print,
};

/// The functions that can run.
pub(crate) fn functions(names: &[String], root: &Path) {
    // Of `.` nobody would know which it is.
    let whole = std::path::absolute(root).ok();
    let name = whole.as_deref().and_then(Path::file_name);
    let (all, root) = (names.len(), name.map_or(root, Path::new).display());
    print::done(match lang::chosen() {
        lang::Lang::En => format!("{} of {root}", print::counted(all, "function")),
        lang::Lang::Zh => format!("{root}：{all} 个云函数"),
    });
    if !names.is_empty() {
        print::fact(t("functions", "云函数"), names.join(", "));
    }
}

/// The web's address, and what is served there.
pub(crate) fn web(url: &str, project: &Project) {
    let web = &project.settings.web;
    let routes = web
        .functions
        .iter()
        .map(|route| format!("{} → {}", route.path, route.function));
    let pages = web.site.pages.iter().map(|page| {
        let folder = page.folder.strip_prefix(&project.root).unwrap_or(&page.folder);
        let path = match page.path.as_str() {
            "/" => String::new(),
            path => format!("{path} → "),
        };
        format!("{path}{} {}", t("site", "网页"), folder.display())
    });
    let served: Vec<_> = routes.chain(pages).collect();
    print::fact(
        t("web", "网页"),
        match served.is_empty() {
            true => format!(
                "{url} ({})",
                t(
                    "nothing yet: [web] in yunqiao.toml",
                    "还没有内容：见 yunqiao.toml 的 [web]"
                )
            ),
            false => format!("{url} ({})", served.join(", ")),
        },
    );
}

/// What clients may do with collections, and which file says so, with files, and with functions; nothing where no file says anything.
pub(crate) fn clients(project: &Project) {
    if let Some(told) = of_clients(project) {
        print::fact(t("clients", "权限"), told);
    }
}

/// The same where it has changed.
pub(crate) fn clients_now(project: &Project) {
    let told = of_clients(project);
    let usual = || t("as where no file says anything", "默认权限").to_owned();
    print::fact(t("clients", "权限"), told.unwrap_or_else(usual));
}

fn of_clients(project: &Project) -> Option<String> {
    let told = [of_collections(project), of_files(project), of_functions(project)];
    let told: Vec<_> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn of_files(project: &Project) -> Option<String> {
    let permission = &project.settings.storage.permission;
    let is_usual = *permission == rules::StoragePermission::default();
    (!is_usual).then(|| format!("{} {}", t("files", "文件"), permission.tag()))
}

fn of_functions(project: &Project) -> Option<String> {
    let rules = &project.settings.function_rules;
    if *rules == rules::FunctionRules::default() {
        return None;
    }
    let named = rules
        .named
        .iter()
        .map(|(name, rule)| format!("{name}: {}", rule.text()));
    let mut told: Vec<_> = named.collect();
    told.push(format!("*: {}", rules.others.text()));
    Some(format!("{} {}", t("calls of", "调用"), told.join(", ")))
}

fn of_collections(project: &Project) -> Option<String> {
    let database = &project.settings.database;
    let mut by_file = BTreeMap::<_, Vec<String>>::new();
    for (name, collection) in &database.collections {
        if let (Some(permission), Some(source)) = (&collection.permission, collection.permission_source) {
            let of_file = by_file.entry(source).or_default();
            of_file.push(format!("{name} {}", permission.tag()));
        }
    }
    if by_file.is_empty() {
        return None;
    }
    let files = by_file
        .into_iter()
        .map(|(source, collections)| format!("{} ({source})", collections.join(", ")));
    let mut told: Vec<_> = files.collect();
    told.push(format!(
        "{} {}",
        t("others", "其他"),
        database.default_permission.tag()
    ));
    Some(told.join("; "))
}

/// The functions' timers, if there are any.
pub(crate) fn timers(project: &Project) {
    let timers = project.functions.values().flat_map(|listed| {
        let triggers = listed.triggers.iter();
        triggers.map(|trigger| match lang::chosen() {
            lang::Lang::En => format!("{} of {}", trigger.name, listed.function.name),
            lang::Lang::Zh => format!("{} 的 {}", listed.function.name, trigger.name),
        })
    });
    let timers: Vec<_> = timers.collect();
    if !timers.is_empty() {
        print::fact(t("timers", "定时触发"), timers.join(", "));
    }
}
