//! `yunqiao dev`: the project with a simulated WeChat behind it, reloaded on change.

use std::{path::Path, process::ExitCode};

use function::FunctionName;
use project::{ExposeSecret, Finding, ForeignCodes, Project, ProjectError, Undeclared};
use runtime::Inspect;
use serde_json::json;
use tokio::sync::mpsc;
use wording::{shell_word, wording};

use crate::{
    args, console_link,
    data::Keeping,
    facts,
    front::DatabaseFront,
    interrupt,
    journal::Calls,
    keys::{self, Key},
    lang::{self, Lang, say, t},
    operator::Operator,
    paths, print,
    reloads::{ReloadCause, Reloads},
    run_file::{self, RunFile, Running},
    stack::{Local, Place, Visibility, WebPort},
    state, undeclared,
    watch::{ChangedPart, Changes},
};

/// The simulated WeChat's usual port.
const WECHAT_PORT: u16 = 8788;
/// The operator's.
const OPERATOR_PORT: u16 = 8789;
/// Where Node's inspector listens for the first worker; each further one takes the next port.
const INSPECT_PORT: u16 = 9229;

/// With `verbose`, prints the operator's secret as well.
pub(crate) async fn run(args: args::Dev, verbose: u8, as_json: bool) -> anyhow::Result<ExitCode> {
    let (project, findings) = open(&args)?;
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
    if let Some(first) = run_file::runs_on(&project.root).await {
        let (url, pid) = (&first.url, first.pid);
        print::warning(
            say!(
                "`yunqiao dev` runs for this project already: {url} (process {pid})",
                "这个项目已有 `yunqiao dev` 在运行：{url}（进程 {pid}）"
            ),
            t(
                "`call` and `push` go on using that one",
                "`call` 和 `push` 仍使用那一个",
            ),
        );
    }
    let keeping = match args.fresh {
        true => Keeping::InMemory,
        false => Keeping::InProject,
    };
    let seen = Visibility {
        calls: Calls::All,
        requests: true,
        console: true,
        file: true,
    };
    if !args.fresh {
        state::warn_of_interrupted(&project);
    }
    let mut local = Local::start(
        &project,
        place,
        ForeignCodes::FirstUser,
        &args.node,
        inspect,
        seen,
        keeping,
    )
    .await?;
    let running = Running {
        is_fresh: args.fresh,
        ..local.running()
    };
    let run_file = RunFile::write(&project.root, &running)?;
    let mut changes = Changes::watch(&project, &local.runtime)?;

    facts::functions(&local.functions, &project.root);
    print::fact(t("gateway", "网关"), &local.url);
    facts::web(&local.web, &project);
    print::fact(
        t("wechat", "微信"),
        format_args!("{} {}", local.wechat, t("(simulated)", "（模拟）")),
    );
    let console = format!("{}/?once={}", local.operator, local.once.expose_secret());
    print::fact(t("console", "控制台"), &console);
    if let Some(database) = &local.database {
        print::fact(t("database", "数据库"), database.url());
    }
    if let Some([gateway, web, wechat]) = &local.network {
        print::fact(
            t("phone", "手机"),
            match lang::chosen() {
                Lang::En => {
                    format!("gateway {gateway}, web {web}, wechat {wechat}: for others in the network")
                }
                Lang::Zh => format!("网关 {gateway}，网页 {web}，微信 {wechat}：供网络上的其他设备使用"),
            },
        );
    }
    if args.fresh {
        print::fact(
            t("fresh", "全新"),
            t(
                "nothing of this run is kept; what was kept before stays in .yunqiao",
                "本次运行的数据不会保存；之前保存的仍在 .yunqiao 里",
            ),
        );
    }
    facts::clients(&project);
    if verbose > 0 {
        print::fact(
            t("operator", "运维"),
            format_args!(
                "{} (Authorization: Bearer {})",
                local.operator,
                local.operator_secret.expose_secret()
            ),
        );
    }
    facts::timers(&project);
    if !args.host.is_loopback() {
        print::warning(
            format_args!(
                "{} {}",
                args.host,
                t(
                    "is open to the network: anybody there can call functions and act as the simulated users",
                    "对网络开放：网络上的任何人都能调用云函数，扮作模拟用户"
                )
            ),
            t(
                "leave --host out to keep it to this machine",
                "不写 --host 则只限本机",
            ),
        );
        if let Some([gateway, web, _]) = &local.network {
            let url = if project.settings.web.serves() {
                web
            } else {
                gateway
            };
            print::code(url);
        }
    }
    local.fire_timers();
    let interrupted = interrupt::interrupted();
    tokio::pin!(interrupted);
    let addresses = json!({
        "web": local.web,
        "wechat": local.wechat,
        "operator": local.operator,
        "console": console,
        "database": local.database.as_ref().map(DatabaseFront::url),
        "kept": local.kept,
    });
    print::ready(&local.url, as_json, addresses);

    let mut keys = keys::follow();
    if keys.is_some() {
        print::fact(t("keys", "按键"), keys::help());
    }
    let mut reloads = Reloads::new(&args, &local, &project, findings);
    loop {
        tokio::select! {
            _ = &mut interrupted => break,
            project = reloads.loaded() => {
                changes.watch_functions(&project);
                changes.watch_site(&project);
                local.gateway.site_changed();
                changes.watch_what_was_loaded(&local.runtime);
            }
            what = wanted(&mut changes, &mut keys) => match what {
                Wanted::Key(Key::Quit) => break,
                Wanted::Key(Key::Clear) => print::clear(),
                Wanted::Key(Key::Help) => print::fact(t("keys", "按键"), keys::help()),
                Wanted::Key(Key::Open) => open_console(&local, &project),
                Wanted::Key(Key::Reload) => reloads.read(ReloadCause::Key),
                Wanted::Change(ChangedPart::Site) => local.gateway.site_changed(),
                Wanted::Change(ChangedPart::Source) => reloads.read(ReloadCause::Change),
            },
        }
    }
    drop(reloads);
    drop(run_file);
    // A second interrupt does not wait for running calls; the workers' guards see to what is left.
    tokio::select! {
        () = local.stop() => {}
        _ = interrupt::interrupted_again() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What makes `dev` do something.
enum Wanted {
    Change(ChangedPart),
    Key(Key),
}

/// Waits for it.
async fn wanted(changes: &mut Changes, keys: &mut Option<mpsc::Receiver<Key>>) -> Wanted {
    let typed = async {
        match keys {
            Some(keys) => keys.recv().await,
            None => None,
        }
    };
    tokio::select! {
        part = changes.settled() => Wanted::Change(part),
        Some(key) = typed => Wanted::Key(key),
    }
}

/// Opens the console in a browser, by a link of its own, while everything else goes on.
fn open_console(local: &Local, project: &Project) {
    let (running, root) = (local.running(), project.root.clone());
    tokio::spawn(async move {
        let link = async { console_link::fresh(&Operator::of(running)?).await };
        let link = match link.await {
            Ok(link) => link,
            Err(error) => return print::warning(lang::error(&error), ""),
        };
        if let Err(error) = console_link::open(&root, &link).await {
            print::warning(lang::error(&error), &link);
        }
    });
}

/// The project, and what its author should know.
pub(crate) fn open(args: &args::Dev) -> Result<(Project, Vec<Finding>), ProjectError> {
    let mut project = paths::project(&args.dir)?;
    let mut findings = project.findings.clone();
    findings.extend(undeclared::supply(&mut project, Undeclared::Supply));
    findings.extend(unwritten_permissions(&project, &args.dir));
    Ok((project, findings))
}

/// The collections that pages read as everybody's, whose permission stands in no file, with the command that writes it.
fn unwritten_permissions(project: &Project, dir: &Path) -> Option<Finding> {
    let found = doctor::unwritten_permissions(project);
    let first = found.first()?;
    let collections: Vec<_> = found.iter().map(|found| found.collection.as_str()).collect();
    let (names_en, names_zh) = (collections.join(", "), collections.join("、"));
    let at = match dir == Path::new(".") {
        true => String::new(),
        false => format!(" --dir {}", shell_word(&dir.display().to_string())),
    };
    Some(Finding {
        function: None,
        file: first.file.clone(),
        what: wording!(
            "pages read {names_en}, and no file says who may: clients read their own documents alone",
            "页面读取集合 {names_zh}，但没有文件写明权限：小程序端只能读自己的记录"
        ),
        mend: doctor::permission_mend(&collections, &at),
    })
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
                let names = names();
                anyhow::anyhow!(say!(
                    "there is no function {name:?} to inspect; there are {names}",
                    "没有可调试的云函数 {name:?}；现有 {names}"
                ))
            })?)
        }
    };
    Ok(Some(Inspect {
        function,
        port: INSPECT_PORT,
    }))
}
