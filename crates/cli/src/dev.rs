//! `yunqiao dev`: the project with a simulated WeChat behind it, reloaded on change.

use std::{collections::BTreeMap, process::ExitCode};

use function::FunctionName;
use project::{ExposeSecret, Finding, ForeignCodes, Project, ProjectError, Undeclared};
use runtime::Inspect;

use crate::{
    args,
    data::Keeping,
    interrupt,
    journal::Calls,
    paths, print,
    run_file::{self, RunFile},
    stack::{self, Local, Place, Visibility, WebPort},
    undeclared,
    watch::{ChangedPart, Changes},
};

/// The simulated WeChat's usual port.
const WECHAT_PORT: u16 = 8788;
/// The operator's.
const OPERATOR_PORT: u16 = 8789;
/// Where Node's inspector listens for the first worker; each further one takes the next port.
const INSPECT_PORT: u16 = 9229;

/// With `verbose`, prints the operator's secret as well.
pub(crate) async fn run(args: args::Dev, verbose: u8) -> anyhow::Result<ExitCode> {
    let (project, mut findings) = open(&args)?;
    print::findings(&findings, &[]);
    let place = Place {
        host: args.host,
        port: args.port,
        wechat_port: args.port_or(args.wechat_port, WECHAT_PORT),
        operator_port: args.port_or(args.operator_port, OPERATOR_PORT),
        web_port: WebPort::of(args.web_port, args.port, &project),
        wire: project.settings.database.wire,
    };
    let inspect = inspect(args.inspect.as_deref(), &project)?;
    if let Some(first) = run_file::running(&project.root) {
        print::warning(
            format_args!(
                "`yunqiao dev` runs for this project already: {} (process {})",
                first.url, first.pid
            ),
            "`call` and `push` go on using that one",
        );
    }
    let seen = Visibility {
        calls: Calls::All,
        requests: true,
        console: true,
        file: true,
    };
    let mut local = Local::start(
        &project,
        place,
        ForeignCodes::FirstUser,
        &args.node,
        inspect,
        seen,
        Keeping::InProject,
    )
    .await?;
    let run_file = RunFile::write(&project.root, &local.running())?;
    let mut changes = Changes::watch(&project, &local.runtime)?;

    print::done(format_args!(
        "{} of {}",
        print::counted(local.functions.len(), "function"),
        project.root.display()
    ));
    if !local.functions.is_empty() {
        print::fact("functions", local.functions.join(", "));
    }
    print::fact("gateway", &local.url);
    print::fact("web", web(&local.web, &project));
    print::fact("wechat", format_args!("{} (simulated)", local.wechat));
    print::fact(
        "console",
        format_args!("{}/?once={}", local.operator, local.once.expose_secret()),
    );
    if let Some(database) = &local.database {
        print::fact("database", database.url());
    }
    if let Some([gateway, web, wechat]) = &local.network {
        print::fact(
            "phone",
            format_args!("gateway {gateway}, web {web}, wechat {wechat}: for others in the network"),
        );
    }
    if let Some(permissions) = permissions(&project) {
        print::fact("clients", permissions);
    }
    if verbose > 0 {
        print::fact(
            "operator",
            format_args!(
                "{} (Authorization: Bearer {})",
                local.operator,
                local.operator_secret.expose_secret()
            ),
        );
    }
    let timers = project.functions.values().flat_map(|listed| {
        let triggers = listed.triggers.iter();
        triggers.map(|trigger| format!("{} of {}", trigger.name, listed.function.name))
    });
    let timers: Vec<_> = timers.collect();
    if !timers.is_empty() {
        print::fact("timers", timers.join(", "));
    }
    if !args.host.is_loopback() {
        print::warning(
            format_args!(
                "{} is open to the network: anybody there can call functions and act as the simulated users",
                args.host
            ),
            "leave --host out to keep it to this machine",
        );
    }
    local.fire_timers();
    let interrupted = interrupt::interrupted();
    tokio::pin!(interrupted);
    print::ready(&local.url);

    let mut of_clients = of_clients_in(&project);
    loop {
        tokio::select! {
            _ = &mut interrupted => break,
            what = changes.settled() => {
                if what == ChangedPart::Site {
                    local.gateway.site_changed();
                    continue;
                }
                let seen = local.runtime.changes_seen();
                if let Some(project) = reload(&args, &local, &mut findings).await {
                    changes.watch_functions(&project);
                    changes.watch_site(&project);
                    local.gateway.site_changed();
                    let now = of_clients_in(&project);
                    if now != of_clients {
                        of_clients = now;
                        print::warning(
                            "what clients may do with documents or files has changed in the project's files",
                            "restart `yunqiao dev` for it to count",
                        );
                    }
                }
                // Where nothing could be loaded, calls go to what was there.
                local.runtime.looked_at(seen);
                changes.watch_what_was_loaded(&local.runtime);
            }
        }
    }
    drop(run_file);
    // A second interrupt does not wait for running calls; the workers' guards see to what is left.
    tokio::select! {
        () = local.stop() => {}
        _ = interrupt::interrupted() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The web's address, and what is served there.
fn web(url: &str, project: &Project) -> String {
    let web = &project.settings.web;
    let routes = web
        .functions
        .iter()
        .map(|route| format!("{} → {}", route.path, route.function));
    let site = web.site.iter().map(|site| {
        let site = site.strip_prefix(&project.root).unwrap_or(site);
        format!("site {}", site.display())
    });
    let served: Vec<_> = routes.chain(site).collect();
    match served.is_empty() {
        true => format!("{url} (nothing yet: [web] in yunqiao.toml)"),
        false => format!("{url} ({})", served.join(", ")),
    }
}

/// What clients may do with documents and files, to be compared.
fn of_clients_in(project: &Project) -> impl PartialEq + use<> {
    let settings = &project.settings;
    let collections = settings.database.collections.iter();
    let of_collections =
        collections.filter_map(|(name, collection)| Some((name.clone(), collection.permission.clone()?)));
    (
        settings.database.default_permission.clone(),
        of_collections.collect::<Vec<_>>(),
        settings.storage.permission.clone(),
    )
}

/// What clients may do with collections, and which file says so; `None` where no file says anything.
fn permissions(project: &Project) -> Option<String> {
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
    told.push(format!("others {}", database.default_permission.tag()));
    Some(told.join("; "))
}

/// The project, and what its author should know.
fn open(args: &args::Dev) -> Result<(Project, Vec<Finding>), ProjectError> {
    let mut project = paths::project(&args.dir)?;
    let mut findings = project.findings.clone();
    findings.extend(undeclared::supply(&mut project, Undeclared::Supply));
    Ok((project, findings))
}

/// Loads the project again, and gives it. `findings` are those that were told.
async fn reload(args: &args::Dev, local: &Local, findings: &mut Vec<Finding>) -> Option<Project> {
    match open(args) {
        Ok((project, found)) => {
            print::findings(&found, findings);
            *findings = found;
            match stack::load(&local.gateway, &project, local.console.as_ref()).await {
                Ok(functions) => print::done(format_args!(
                    "reloaded: {}",
                    print::counted(functions.len(), "function")
                )),
                Err(error) => print::warning(format_args!("{error:#}"), ""),
            }
            Some(project)
        }
        Err(error) => {
            print::warning(
                format_args!("not reloaded: {error}"),
                "what was loaded before goes on",
            );
            if let Some(console) = &local.console {
                console.stale(Some(error.to_string()));
            }
            None
        }
    }
}

fn inspect(wanted: Option<&str>, project: &Project) -> anyhow::Result<Option<Inspect>> {
    let Some(wanted) = wanted else { return Ok(None) };
    let function = match wanted {
        "" => None,
        name => {
            let known = name
                .parse::<FunctionName>()
                .ok()
                .filter(|name| project.functions.contains_key(name));
            let names = || {
                project
                    .functions
                    .keys()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            Some(known.ok_or_else(|| {
                anyhow::anyhow!("there is no function {name:?} to inspect; there are {}", names())
            })?)
        }
    };
    Ok(Some(Inspect {
        function,
        port: INSPECT_PORT,
    }))
}
