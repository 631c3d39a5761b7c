//! `yunqiao exec`: start, run a command, stop, exit with its status.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use project::{ForeignCodes, Project};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::args;
use crate::print::{self, Calls, Terminal};
use crate::stack::{self, Local};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) async fn run(args: args::Exec) -> anyhow::Result<ExitCode> {
    let project = Project::open(&args.dir)?;
    print::findings(&project);
    let headless = Headless::start(&project, &args.node, Arc::new(Terminal(Calls::Telling))).await?;
    let status = command(&args, &headless).await;
    headless.stop().await;
    status
}

/// A project served on free loopback ports.
pub(crate) struct Headless {
    pub(crate) url: String,
    pub(crate) wechat: String,
    local: Local,
    stop: tokio::sync::watch::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Headless {
    pub(crate) async fn start(
        project: &Project,
        node: &args::Node,
        journal: Arc<dyn gateway::Journal>,
    ) -> anyhow::Result<Headless> {
        let (gateway_listener, gateway_address) = stack::listen(LOOPBACK, 0, "--port").await?;
        let (wechat_listener, wechat_address) = stack::listen(LOOPBACK, 0, "--port").await?;
        let wechat = stack::url(wechat_address);
        let runtime = stack::runtime(node, None).await?;
        let local = Local::start(project, &wechat, ForeignCodes::Refuse, runtime, journal).await?;
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
        stack::load(&local.gateway, project).await?;
        let serving = tokio::spawn(local.gateway.clone().serve(gateway_listener, until(stopped)));
        Ok(Headless {
            url: stack::url(gateway_address),
            wechat,
            local,
            stop,
            serving,
        })
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        let _ = self.serving.await;
        self.local.runtime.shutdown().await;
    }
}

async fn command(args: &args::Exec, headless: &Headless) -> anyhow::Result<ExitCode> {
    let (program, rest) = args
        .command
        .split_first()
        .context("no command was given after `--`")?;
    let mut child = Command::new(program)
        .args(rest)
        .env("YUNQIAO_URL", &headless.url)
        .env("YUNQIAO_WECHAT_URL", &headless.wechat)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} could not be started", program.display()))?;
    wait(&mut child).await
}

/// Waits for the command. An interrupt from the terminal reaches it by itself; a request to end is passed on.
async fn wait(child: &mut Child) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::ExitStatusExt;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    }
}

/// Resolves when this process is asked to end.
pub(crate) async fn interrupted() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}
