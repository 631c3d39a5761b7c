//! A server of one's own on this machine, for tests: it listens on loopback, on a port that was free, and ends with what it is kept in.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test without its server fails"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to start.
const STARTS: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

/// The program: Valkey's, or else Redis's.
fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    ["valkey-server", "redis-server"]
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
        .expect(
            "neither valkey-server nor redis-server is on the PATH: install one (Debian: apt-get install redis-server)",
        )
}

/// What starts at a port that was free: somebody else may take it between the look and the start.
fn at_a_free_port(start: impl Fn(u16) -> Option<Child>) -> (Child, u16) {
    for _ in 0..10 {
        let port = free_port();
        if let Some(child) = start(port) {
            return (child, port);
        }
    }
    panic!("{} does not start", program().display());
}

/// A port that is free at the moment.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

impl Server {
    /// Starts one that keeps what it keeps in `folder`, with these options, each as on its command line (`--appendonly`, `yes`).
    #[must_use]
    pub fn start(folder: &Path, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let (child, port) = at_a_free_port(|port| spawn(port, folder, &options));
        Self {
            child,
            port,
            folder: folder.to_owned(),
            options,
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it end in good order, and waits for that.
    pub fn shut_down(&mut self) {
        if let Ok(mut connection) = connect(self.port) {
            let _ = connection.write_all(b"SHUTDOWN\r\n");
            let _ = connection.read(&mut [0; 64]);
        }
        self.child.wait().expect("it has ended");
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be ended");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again at the same port, with what it kept.
    pub fn start_again(&mut self) {
        let again = spawn(self.port, &self.folder, &self.options);
        self.child = again.expect("the port is still free, and what it kept can be read");
    }

    /// What it answers to one command, of words without blanks in them: the first text.
    #[must_use]
    pub fn ask(&self, command: &str) -> String {
        self.ask_all(command).into_iter().next().unwrap_or_default()
    }

    /// All texts of its answer.
    #[must_use]
    pub fn ask_all(&self, command: &str) -> Vec<String> {
        ask(self.port, command)
    }
}

fn ask(port: u16, command: &str) -> Vec<String> {
    let mut connection = connect(port).expect("it listens");
    connection.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut texts = Vec::new();
    read(&mut BufReader::new(connection), &mut texts);
    texts
}

/// Reads one answer.
fn read(from: &mut impl BufRead, texts: &mut Vec<String>) {
    let mut line = String::new();
    from.read_line(&mut line).expect("it answers");
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("*", count)) => (0..count.parse().unwrap_or(0)).for_each(|_| read(from, texts)),
        Some(("$", length)) => {
            let mut text = vec![0; length.parse().unwrap_or(0) + 2];
            from.read_exact(&mut text).expect("it answers in full");
            text.truncate(text.len() - 2);
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
        _ => texts.push(line.to_owned()),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(connection)
}

/// Starts a server, and waits until it answers; `None` if it ends before it does.
fn spawn(port: u16, folder: &Path, options: &[String]) -> Option<Child> {
    let mut command = Command::new(program());
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
        .arg(folder)
        .args(["--save", "", "--loglevel", "warning"])
        .args(options);
    wait_for(&mut command, port)
}

/// Starts the program, and waits until it answers at the port; `None` if it ends before it does.
fn wait_for(command: &mut Command, port: u16) -> Option<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("the server's program can be started");
    let answered = soon(|| match child.try_wait().expect("its state is known") {
        Some(_) => Some(false),
        None => answers(port).then_some(true),
    });
    answered.then_some(child)
}

/// What `look` sees, once it sees something.
fn soon<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < STARTS, "nothing is seen within {STARTS:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a server listens at the port and has read what it kept; one that wants a password has.
fn answers(port: u16) -> bool {
    let Ok(mut connection) = connect(port) else {
        return false;
    };
    let mut answer = [0; 64];
    let asked = connection.write_all(b"PING\r\n");
    let Ok(length) = asked.and_then(|()| connection.read(&mut answer)) else {
        return false;
    };
    let answer = &answer[..length];
    answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH")
}

/// A Cluster of three, each with a part of the slots.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
    _folder: TempDir,
}

impl Cluster {
    /// Starts one, and waits until its nodes know each other.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // They talk to each other at ports of their own.
        let talk = [0, 1, 2].map(|_| free_port());
        let nodes = talk.iter().enumerate().map(|(number, talk)| {
            let folder = folder.path().join(number.to_string());
            fs::create_dir(&folder).unwrap();
            Server::start(
                &folder,
                &[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-node-timeout",
                    "5000",
                    "--cluster-port",
                    &talk.to_string(),
                ],
            )
        });
        let nodes: Vec<Server> = nodes.collect();
        for (node, slots) in nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            assert_eq!(node.ask(&format!("CLUSTER ADDSLOTSRANGE {slots}")), "+OK");
        }
        for (node, talk) in nodes.iter().zip(talk).skip(1) {
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {talk}", node.port);
            assert_eq!(nodes[0].ask(&meet), "+OK");
        }
        soon(|| {
            let all_know = nodes.iter().all(|node| {
                let info = node.ask("CLUSTER INFO");
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
            all_know.then_some(())
        });
        Self {
            nodes,
            _folder: folder,
        }
    }

    /// The URL of one node, and the addresses of the others.
    #[must_use]
    pub fn addresses(&self) -> (String, Vec<String>) {
        let others = self.nodes.iter().skip(1);
        let others = others.map(|node| format!("127.0.0.1:{}", node.port));
        (self.nodes[0].url(), others.collect())
    }
}

/// A master of the name `main`, its replica, and a Sentinel that watches them.
#[derive(Debug)]
pub struct Watched {
    master: Server,
    replica: Server,
    sentinel: Server,
    _folder: TempDir,
}

impl Watched {
    /// Starts them, and waits until they know each other.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let place = folder.path().join(name);
            fs::create_dir(&place).unwrap();
            place
        };
        let master = Server::start(&place("master"), &["--repl-diskless-sync-delay", "0"]);
        let port = master.port.to_string();
        let replica = Server::start(&place("replica"), &["--replicaof", "127.0.0.1", &port]);
        let settings = place("sentinel").join("sentinel.conf");
        let of = port;
        let (child, port) = at_a_free_port(|port| {
            let lines = format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {of} 1\n\
                 sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
            );
            fs::write(&settings, lines).unwrap();
            wait_for(Command::new(program()).arg(&settings).arg("--sentinel"), port)
        });
        let sentinel = Server {
            child,
            port,
            folder: folder.path().to_owned(),
            options: Vec::new(),
        };
        let watched = Self {
            master,
            replica,
            sentinel,
            _folder: folder,
        };
        watched.replicated();
        soon(|| (!watched.sentinel.ask_all("SENTINEL REPLICAS main").is_empty()).then_some(()));
        watched
    }

    /// Where the Sentinel is.
    #[must_use]
    pub fn sentinel(&self) -> String {
        format!("127.0.0.1:{}", self.sentinel.port)
    }

    /// Waits until the replica has what the master has.
    pub fn replicated(&self) {
        let offset = |server: &Server| {
            let info = server.ask("INFO replication");
            let offset = info
                .lines()
                .find_map(|line| line.strip_prefix("master_repl_offset:"));
            offset.map(str::to_owned)
        };
        soon(|| {
            let is_up = self
                .replica
                .ask("INFO replication")
                .contains("master_link_status:up");
            (is_up && offset(&self.master) == offset(&self.replica)).then_some(())
        });
    }

    /// Ends the master at once.
    pub fn kill_master(&mut self) {
        self.master.kill();
    }
}
