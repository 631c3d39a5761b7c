//! The peers: a plain `node:http` server, and `@cloudbase/functions-framework` from npm.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{npm, process::Process, workload::FUNCTION};

const PACKAGE: &str = "@cloudbase/functions-framework";
const VERSION: &str = "1.18.0";
/// Runs the function in the folder `function`, for whoever posts an event.
pub(crate) const PLAIN: &str = include_str!("../peers/plain.js");

/// A server that runs the measured function.
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) process: Process,
}

/// All, running.
pub(crate) struct Peers {
    pub(crate) plain: Peer,
    /// The framework as its documentation starts it.
    pub(crate) framework: Peer,
    /// The framework at its fastest: in production mode, and without event and context in its log.
    pub(crate) quiet: Peer,
}

impl Peers {
    pub(crate) fn start(cache: &Path, dir: &Path) -> Result<Self> {
        let program = install(cache)?;
        fs::create_dir_all(dir.join("function"))?;
        fs::write(dir.join("function/index.js"), FUNCTION)?;
        fs::write(dir.join("plain.js"), PLAIN)?;

        let mut process = Process::start("plain", Command::new("node").arg("plain.js"), dir)?;
        let plain = Peer {
            addr: process.ready(Duration::from_secs(10))?,
            process,
        };
        let framework = framework("framework", Command::new("node").arg(&program), dir)?;
        let quiet = framework_quiet(&program, dir)?;
        Ok(Self {
            plain,
            framework,
            quiet,
        })
    }
}

fn framework_quiet(program: &Path, dir: &Path) -> Result<Peer> {
    let mut command = Command::new("node");
    command
        .arg(program)
        .arg("--logEventContext=false")
        .env("NODE_ENV", "production");
    framework("framework-quiet", &mut command, dir)
}

fn framework(name: &str, command: &mut Command, dir: &Path) -> Result<Peer> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    command.args([format!("--port={port}"), format!("--logDirname={name}")]);
    // Else it waits half a minute for connections to close when it is told to end.
    command.args(["--source=function", "--gracefulShutdown=false"]);
    let process = Process::start(name, command, dir)?;
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(addr).is_err() {
        if Instant::now() > deadline {
            bail!("{PACKAGE} does not listen{}", process.last_words());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(Peer { addr, process })
}

/// Installs the framework by npm, once, and gives its program.
fn install(cache: &Path) -> Result<PathBuf> {
    npm::install(cache, PACKAGE, VERSION)?;
    Ok(cache.join("node_modules").join(PACKAGE).join("bin/tcb-ff.js"))
}
