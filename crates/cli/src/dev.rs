//! `yunqiao dev`: the project with a simulated WeChat behind it, reloaded on change.

use std::process::ExitCode;
use std::sync::Arc;

use anstream::println;
use project::{ForeignCodes, FunctionName, Project};
use runtime::Inspect;

use crate::print::{self, Calls, Terminal};
use crate::run_file::{RunFile, Running};
use crate::stack::{self, Local};
use crate::watch::Changes;
use crate::{args, exec};

/// Where Node's inspector listens for the first worker; each further one takes the next port.
const INSPECT_PORT: u16 = 9229;

pub(crate) async fn run(args: args::Dev) -> anyhow::Result<ExitCode> {
    let project = Project::open(&args.dir)?;
    print::findings(&project);
    let (gateway_listener, gateway_address) = stack::listen(args.host, args.port, "--port").await?;
    let (wechat_listener, wechat_address) =
        stack::listen(args.host, args.wechat_port, "--wechat-port").await?;
    let (url, wechat) = (stack::url(gateway_address), stack::url(wechat_address));

    let runtime = stack::runtime(&args.node, inspect(args.inspect.as_deref(), &project)?).await?;
    let journal = Arc::new(Terminal(Calls::All));
    let local = Local::start(&project, &wechat, ForeignCodes::FirstUser, runtime, journal).await?;
    let (stop, stopped) = tokio::sync::watch::channel(());
    let until = |mut stopped: tokio::sync::watch::Receiver<()>| async move {
        let _ = stopped.changed().await;
    };
    tokio::spawn(
        local
            .simulator
            .clone()
            .serve(wechat_listener, until(stopped.clone())),
    );

    let functions = stack::load(&local.gateway, &project).await?;
    let serving = tokio::spawn(local.gateway.clone().serve(gateway_listener, until(stopped)));
    let run_file = RunFile::write(
        &project.root,
        &Running {
            url: url.clone(),
            wechat: wechat.clone(),
            pid: std::process::id(),
        },
    )?;

    print::done(format_args!(
        "{functions} functions of {}",
        project.root.display()
    ));
    print::fact("gateway", &url);
    print::fact("wechat", format_args!("{wechat} (simulated)"));
    if !args.host.is_loopback() {
        print::warning(
            format_args!(
                "{} is open to the network: anybody there can call functions and act as the simulated users",
                args.host
            ),
            "leave --host out to keep it to this machine",
        );
    }
    println!("ready {url}");

    let mut changes = Changes::watch(&project.root)?;
    let interrupted = exec::interrupted();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            _ = &mut interrupted => break,
            () = changes.settled() => reload(&args, &local).await,
        }
    }
    drop(run_file);
    drop(stop);
    // A second interrupt does not wait for running calls.
    tokio::select! {
        _ = serving => {}
        _ = exec::interrupted() => {}
    }
    local.runtime.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn reload(args: &args::Dev, local: &Local) {
    match Project::open(&args.dir) {
        Ok(project) => {
            print::findings(&project);
            match stack::load(&local.gateway, &project).await {
                Ok(functions) => print::done(format_args!("reloaded: {functions} functions")),
                Err(error) => print::warning(format_args!("{error:#}"), ""),
            }
        }
        Err(error) => print::warning(
            format_args!("not reloaded: {error}"),
            "what was loaded before goes on",
        ),
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
