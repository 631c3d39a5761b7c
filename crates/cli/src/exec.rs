//! `yunqiao exec`: start, run a command, stop, exit with its status.

use std::{io, process::ExitCode, time::Instant};

use anyhow::Context;
use project::{ExposeSecret, Project, Undeclared};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use crate::{
    args,
    interrupt::Requests,
    lang::say,
    paths, print, run_file,
    stack::Local,
    state::{self, StateToImport},
    undeclared,
};

pub(crate) async fn run(args: args::Exec, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut project = paths::project(&args.dir)?;
    print::findings(&project.findings, &[]);
    print::findings(&undeclared::supply(&mut project, Undeclared::Supply), &[]);
    let import = args.import.as_deref();
    let import = import
        .map(|from| StateToImport::open(&project, from))
        .transpose()?;
    if let Some(to) = &args.export {
        // What the command runs for is not lost for a name.
        state::check_export(to)?;
    }
    let local = Local::headless(&project, &args.node, true).await?;
    let status = within(&args, &project, import.as_ref(), &local, as_json).await;
    local.stop().await;
    status
}

/// Brings in the state that is asked for, runs the command, and writes the state that it has left, however it ended.
async fn within(
    args: &args::Exec,
    project: &Project,
    import: Option<&StateToImport>,
    local: &Local,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if let Some(state) = import {
        state.put(project, local).await?;
    }
    let ended = command(args, project, local, as_json).await?;
    let (Ended::Ran(status), Some(to)) = (&ended, &args.export) else {
        return Ok(ended.status());
    };
    let Err(error) = state::export_from(local, to).await else {
        return Ok(*status);
    };
    let to = to.display();
    let what = say!("the state was not written to {to}", "状态没有写入 {to}");
    print::failure(&error.context(what), as_json);
    // What the command says of itself goes before.
    Ok(if *status == ExitCode::SUCCESS {
        ExitCode::FAILURE
    } else {
        *status
    })
}

/// What became of the command, with the status to exit with.
enum Ended {
    Ran(ExitCode),
    NotStarted(ExitCode),
}

impl Ended {
    const fn status(&self) -> ExitCode {
        match self {
            Self::Ran(status) | Self::NotStarted(status) => *status,
        }
    }
}

async fn command(
    args: &args::Exec,
    project: &Project,
    local: &Local,
    as_json: bool,
) -> anyhow::Result<Ended> {
    let (program, rest) = args
        .command
        .split_first()
        .with_context(|| say!("no command was given after `--`", "`--` 后面没有命令"))?;
    let mut command = Command::new(program);
    if let Some(database) = &local.database {
        command.env("YUNQIAO_DATABASE_URL", database.url_with_password());
    }
    let started = command
        .args(rest)
        .env(run_file::PROJECT, std::path::absolute(&project.root)?)
        .env("YUNQIAO_URL", &local.url)
        .env("YUNQIAO_WECHAT_URL", &local.wechat)
        .env("YUNQIAO_WEB_URL", &local.web)
        .env("YUNQIAO_OPERATOR_URL", &local.operator)
        .env("YUNQIAO_OPERATOR_SECRET", local.operator_secret.expose_secret())
        .kill_on_drop(true)
        .spawn();
    match started {
        Ok(mut child) => Ok(Ended::Ran(wait(&mut child).await?)),
        Err(error) => {
            let status = not_started(&error);
            let program = program.display();
            let what = say!("{program} could not be started", "无法启动 {program}");
            print::failure(&anyhow::Error::new(error).context(what), as_json);
            Ok(Ended::NotStarted(status))
        }
    }
}

/// The exit status by which shells say that a command was not found, or is not one.
fn not_started(error: &io::Error) -> ExitCode {
    match error.kind() {
        io::ErrorKind::NotFound => ExitCode::from(127),
        _ => ExitCode::from(126),
    }
}

/// Waits for the command. An interrupt from the terminal reaches it by itself; a request to end is passed on, once.
async fn wait(child: &mut Child) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::ExitStatusExt;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut requests = Requests::default();
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
                if let Some(pid) = pid && requests.is_another(Instant::now()) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    }
}
