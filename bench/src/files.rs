//! Storage beside nginx: one large file and many small ones, sent and fetched by plain HTTP over the loopback, in turn.
//!
//! Ours is the door of files of `yunqiao serve`, with addresses that are sealed with a key of the bench's; nginx is Debian's, which
//! takes `PUT` by its `dav` module and serves a folder. Ours answers an upload when it is hashed, on the disk and entered in the index;
//! nginx when it has written it. So its time is told twice: as it is, and with the file synchronised afterwards.

use std::{
    fmt,
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clock::Timestamp;
use files::{Rights, Upload, plain_path};
use seal::{KeyRing, RootKey};

use crate::{
    median::{Median, median},
    ours::Ours,
    process::Process,
    rounds::Plan,
    table::Line,
};

/// A small file: a picture as a page shows many of.
const SMALL: usize = 20 << 10;
const CONNECTIONS: usize = 32;
/// Small files that each connection sends or fetches, one after another and over again.
const FILES: usize = 50;
/// What is sent and taken at a time by the load's side.
const PIECE: usize = 256 << 10;
/// How much more memory the gateway may have while a large file passes through.
const MOST_MEMORY: u64 = 32 << 20;
/// As much of nginx's throughput is the goal.
const GOAL: f64 = 0.7;
/// How long one large file may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever keeps files.
struct Keeper {
    addr: SocketAddr,
    server: Server,
    /// What a file is sent to.
    sent_to: Box<PathOf>,
    /// What it is fetched from.
    fetched_from: fn(&str) -> String,
    /// Where nginx has it.
    folder: Option<PathBuf>,
}

/// The path to which a file of this name is sent.
type PathOf = dyn Fn(&str) -> Result<String> + Sync;

enum Server {
    Ours(Box<Ours>),
    Nginx(Process),
}

impl Keeper {
    fn process(&self) -> &Process {
        match &self.server {
            Server::Ours(ours) => &ours.process,
            Server::Nginx(process) => process,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Upload,
    Download,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upload => "upload",
            Self::Download => "download",
        })
    }
}

/// What both did in one round; bytes or files a second.
struct Pair {
    ours: f64,
    nginx: f64,
    /// nginx's with what it wrote synchronised.
    synced: Option<f64>,
}

pub(crate) fn measure(binary: &Path, dir: &Path, plan: Plan, large: u64) -> Result<Vec<Line>> {
    let ours_dir = dir.join("ours");
    fs::create_dir(&ours_dir)?;
    let ours = ours(binary, &ours_dir)?;
    let nginx = nginx(&dir.join("nginx"))?;
    let keepers = [&ours, &nginx];

    let mut lines = Vec::new();
    let mut grown = 0;
    for way in [Way::Upload, Way::Download] {
        let mut pairs = Vec::new();
        for number in 0..=plan.rounds {
            let mut speeds = [0.0; 2];
            let mut synced = None;
            for turn in 0..2 {
                let at = (number + turn) % 2;
                let keeper = keepers[at];
                let before = keeper.process().resident()?;
                keeper.process().forget_peak()?;
                let took = match way {
                    Way::Upload => send_large(keeper, large)?,
                    Way::Download => fetch_large(keeper, large, number == 0)?,
                };
                speeds[at] = large as f64 / took.as_secs_f64();
                if let (Some(folder), Way::Upload) = (&keeper.folder, way) {
                    let since = Instant::now();
                    File::open(folder.join(LARGE))?.sync_all()?;
                    synced = Some(large as f64 / (took + since.elapsed()).as_secs_f64());
                } else if number > 0 && at == 0 {
                    grown = grown.max(keeper.process().peak()?.saturating_sub(before));
                }
            }
            let pair = Pair {
                ours: speeds[0],
                nginx: speeds[1],
                synced,
            };
            println!(
                "files, {}: {way} of {}: {}",
                label(number, plan),
                size(large),
                pair.shown(rate)
            );
            if number > 0 {
                pairs.push(pair);
            }
        }
        lines.push(line(&format!("{way} of {}", size(large)), &pairs, rate));
    }
    lines.push(Line {
        what: format!("files, the gateway's memory while {} pass through", size(large)),
        figure: format!("{:+.1} MB at most", grown as f64 / f64::from(1 << 20)),
        goal: format!("≤ {} MB", MOST_MEMORY >> 20),
        met: Some(grown <= MOST_MEMORY),
        ..Line::default()
    });
    // Each connection sends all of its files at least once, so all of them are there to be fetched.
    for way in [Way::Upload, Way::Download] {
        let mut pairs = Vec::new();
        for number in 0..=plan.rounds {
            let mut speeds = [0.0; 2];
            for turn in 0..2 {
                let at = (number + turn) % 2;
                speeds[at] = many(keepers[at], way, plan.measure)?;
            }
            let pair = Pair {
                ours: speeds[0],
                nginx: speeds[1],
                synced: None,
            };
            println!(
                "files, {}: {way} of 20 KB: {}",
                label(number, plan),
                pair.shown(count)
            );
            if number > 0 {
                pairs.push(pair);
            }
        }
        lines.push(line(
            &format!("{way} of 20 KB, {CONNECTIONS} connections"),
            &pairs,
            count,
        ));
    }
    Ok(lines)
}

const LARGE: &str = "large.bin";

fn label(number: usize, plan: Plan) -> String {
    match number {
        0 => "warm-up".to_owned(),
        _ => format!("round {number} of {}", plan.rounds),
    }
}

fn size(bytes: u64) -> String {
    match bytes >> 30 {
        0 => format!("{} MB", bytes >> 20),
        gigabytes => format!("{gigabytes} GB"),
    }
}

fn rate(bytes: f64) -> String {
    format!("{:.0} MB/s", bytes / 1e6)
}

fn count(files: f64) -> String {
    format!("{files:.0}/s")
}

impl Pair {
    fn shown(&self, unit: fn(f64) -> String) -> String {
        let synced = self
            .synced
            .map(|synced| format!(", synchronised {}", unit(synced)));
        format!(
            "ours {}, nginx {}{}",
            unit(self.ours),
            unit(self.nginx),
            synced.unwrap_or_default()
        )
    }
}

fn line(what: &str, pairs: &[Pair], unit: fn(f64) -> String) -> Line {
    let of = |value: fn(&Pair) -> f64| median(pairs.iter().map(value)).value;
    let Median { value, least, most } = median(pairs.iter().map(|pair| pair.ours / pair.nginx));
    let synced: Vec<f64> = pairs
        .iter()
        .filter_map(|pair| Some(pair.ours / pair.synced?))
        .collect();
    let beside_synced = match synced.is_empty() {
        true => String::new(),
        false => format!(", {:.2} × where that is synchronised too", median(synced).value),
    };
    Line {
        what: format!("files, {what}"),
        figure: format!(
            "{}; nginx {}: {value:.2} ({least:.2}–{most:.2}) × nginx's{beside_synced}",
            unit(of(|pair| pair.ours)),
            unit(of(|pair| pair.nginx)),
        ),
        goal: format!("≥ {GOAL} ×"),
        met: Some(value >= GOAL),
        ..Line::default()
    }
}

fn ours(binary: &Path, dir: &Path) -> Result<Keeper> {
    let key = RootKey::generate();
    let settings = format!(
        "\n[keys]\nring = [\"{}\"]\n[storage]\nmax_size = \"2GB\"\npermission = \"READONLY\"\n",
        &*key.to_base64()
    );
    let ours = Ours::start_with(binary, dir, &[], &settings)?;
    let rights = Rights::new(&KeyRing::new(vec![key])?, &ours.appid);
    Ok(Keeper {
        addr: ours.gateway,
        sent_to: Box::new(move |name| {
            let upload = Upload {
                path: name.parse()?,
                writer: None,
                until: Timestamp::from_secs(u64::from(u32::MAX)),
                most: 2 << 30,
            };
            Ok(format!("/v1/files/{}", rights.seal_upload(&upload)))
        }),
        fetched_from: |name| {
            let path = name.parse().ok();
            let path = path.as_ref().and_then(plain_path);
            format!("/v1/files/public/{}", path.unwrap_or_default())
        },
        server: Server::Ours(Box::new(ours)),
        folder: None,
    })
}

/// nginx with as many workers as there are cores and without logs, over a folder of its own.
fn nginx(dir: &Path) -> Result<Keeper> {
    let folder = dir.join("files");
    fs::create_dir_all(&folder)?;
    // Free now; that somebody else takes it in between shows at once.
    let addr = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    // Started by root, its workers are somebody else, who may not write here.
    let user = match rustix::process::geteuid().is_root() {
        true => "user root; ",
        false => "",
    };
    let config = format!(
        "{user}daemon off; worker_processes auto; pid nginx.pid; error_log stderr;
        events {{ worker_connections 768; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
            client_max_body_size 2g; client_body_temp_path coming;
            proxy_temp_path t1; fastcgi_temp_path t2; uwsgi_temp_path t3; scgi_temp_path t4;
            server {{ listen {addr}; root {}; dav_methods PUT; create_full_put_path on; }}
        }}",
        folder.display()
    );
    let path = dir.join("nginx.conf");
    fs::write(&path, config)?;
    let mut command = Command::new(env_path("nginx"));
    command.arg("-p").arg(dir).arg("-c").arg(&path);
    let process = Process::start("nginx", &mut command, dir)
        .context("the scene `files` wants nginx (Debian: nginx-light) on the PATH or in /usr/sbin")?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(addr).is_err() {
        ensure!(
            Instant::now() < deadline,
            "nginx did not start{}",
            process.last_words()
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Keeper {
        addr,
        server: Server::Nginx(process),
        sent_to: Box::new(|name| Ok(format!("/{name}"))),
        fetched_from: |name| format!("/{name}"),
        folder: Some(folder),
    })
}

/// Debian has it where only root looks.
fn env_path(program: &str) -> PathBuf {
    let there = Path::new("/usr/sbin").join(program);
    match there.is_file() {
        true => there,
        false => program.into(),
    }
}

/// Bytes without a pattern that anything on the way could make use of.
fn content(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr).with_context(|| format!("connecting to {addr}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn send_large(keeper: &Keeper, large: u64) -> Result<Duration> {
    let piece = content(PIECE);
    let path = (keeper.sent_to)(LARGE)?;
    let since = Instant::now();
    let mut stream = connect(keeper.addr)?;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {large}\r\n\r\n",
        keeper.addr
    );
    stream.write_all(head.as_bytes())?;
    let mut left = large;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        stream
            .write_all(&piece[..part])
            .with_context(|| format!("sending to {}", keeper.addr))?;
        left -= part as u64;
    }
    reply(&mut stream, &mut Vec::new(), |_| Ok(()))?;
    Ok(since.elapsed())
}

/// Every byte is looked at where `thorough`, and counted in any case.
fn fetch_large(keeper: &Keeper, large: u64, thorough: bool) -> Result<Duration> {
    let piece = content(PIECE);
    let path = (keeper.fetched_from)(LARGE);
    let since = Instant::now();
    let mut stream = connect(keeper.addr)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", keeper.addr)?;
    let mut at = 0;
    let length = reply(&mut stream, &mut Vec::new(), |bytes| {
        if thorough {
            for byte in bytes {
                ensure!(*byte == piece[at % PIECE], "byte {at} is another one");
                at += 1;
            }
        }
        Ok(())
    })?;
    ensure!(length == large, "{length} bytes came");
    Ok(since.elapsed())
}

/// Reads one reply, and hands over its body as it comes; answers the body's length. `room` is what was read and not used.
fn reply(
    stream: &mut TcpStream,
    room: &mut Vec<u8>,
    mut body: impl FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    room.resize(PIECE, 0);
    let mut filled = 0;
    let (status, mut from, length) = loop {
        let read = read(stream, &mut room[filled..])?;
        filled += read;
        let Some(blank) = room[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            ensure!(filled < room.len(), "an endless head");
            continue;
        };
        let head = &room[..blank];
        let status = std::str::from_utf8(head.get(9..12).unwrap_or_default())?.to_owned();
        let length = crate::http::content_length(head).unwrap_or_default() as u64;
        break (status, blank + 4, length);
    };
    ensure!(
        matches!(&*status, "200" | "201" | "204"),
        "it answered {}",
        String::from_utf8_lossy(&room[..filled.min(1000)])
    );
    let mut left = length;
    loop {
        let part = (filled - from) as u64;
        ensure!(part <= left, "more came than was announced");
        body(&room[from..filled])?;
        left -= part;
        if left == 0 {
            return Ok(length);
        }
        (from, filled) = (0, read(stream, room)?);
    }
}

fn read(stream: &mut TcpStream, into: &mut [u8]) -> Result<usize> {
    loop {
        match stream.read(into) {
            Ok(0) => anyhow::bail!("the connection was closed before the reply was whole"),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Small files in a second, over many connections.
fn many(keeper: &Keeper, way: Way, measure: Duration) -> Result<f64> {
    let requests: Vec<Vec<Vec<u8>>> = (0..CONNECTIONS)
        .map(|connection| {
            let names = (0..FILES).map(|number| format!("small/{connection}/{number}.bin"));
            names.map(|name| request(keeper, way, &name)).collect()
        })
        .collect::<Result<_>>()?;
    let body = content(SMALL);
    let (together, over) = (Barrier::new(CONNECTIONS + 1), AtomicBool::new(false));
    let expected = match way {
        Way::Upload => 0,
        Way::Download => SMALL as u64,
    };
    thread::scope(|scope| {
        let threads: Vec<_> = requests
            .iter()
            .map(|requests| {
                let (together, over, body) = (&together, &over, &body);
                scope.spawn(move || -> Result<u64> {
                    let opened = connect(keeper.addr);
                    together.wait();
                    let (mut stream, mut room, mut done) = (opened?, Vec::new(), 0);
                    for (number, request) in requests.iter().cycle().enumerate() {
                        stream.write_all(request)?;
                        let length = reply(&mut stream, &mut room, |bytes| {
                            ensure!(bytes.len() < SMALL || bytes == body, "another content came");
                            Ok(())
                        })?;
                        ensure!(length == expected, "{length} bytes came");
                        if !over.load(Ordering::Relaxed) {
                            done += 1;
                        } else if number >= FILES {
                            break;
                        }
                    }
                    Ok(done)
                })
            })
            .collect();
        together.wait();
        let since = Instant::now();
        thread::sleep(measure);
        over.store(true, Ordering::Relaxed);
        let took = since.elapsed();
        let mut sum = 0;
        for thread in threads {
            sum += thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread of the load panicked"))??;
        }
        Ok(sum as f64 / took.as_secs_f64())
    })
}

fn request(keeper: &Keeper, way: Way, name: &str) -> Result<Vec<u8>> {
    let addr = keeper.addr;
    Ok(match way {
        Way::Upload => {
            let path = (keeper.sent_to)(name)?;
            let head = format!("PUT {path} HTTP/1.1\r\nhost: {addr}\r\ncontent-length: {SMALL}\r\n\r\n");
            [head.into_bytes(), content(SMALL)].concat()
        }
        Way::Download => {
            let path = (keeper.fetched_from)(name);
            format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n").into_bytes()
        }
    })
}
