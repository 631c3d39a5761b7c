//! The examples in `--help`, run as they are written.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    commands::DATA,
    support::{Dev, run, yunqiao},
};

/// Each command of the program.
fn commands() -> Vec<String> {
    let (_, help, _) = run(yunqiao().arg("--help"));
    let listed = help.split("Commands:\n").nth(1).unwrap();
    let listed = listed.split("\n\n").next().unwrap();
    let names = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The examples of a command: the indented lines under a heading `Example…:`.
fn example(command: &str) -> String {
    let (output, help, _) = run(yunqiao().args([command, "--help"]));
    assert!(output.status.success());
    let mut lines = Vec::new();
    let mut within = false;
    for line in help.lines() {
        match line {
            line if line.starts_with("Example") && line.ends_with(':') => within = true,
            line if within && line.starts_with("  ") => lines.push(line.trim_start()),
            _ => within = false,
        }
    }
    assert!(!lines.is_empty(), "{command} has no example: {help}");
    lines.join("\n")
}

/// A backend that acknowledges whatever is pushed to it.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nsuccess";
            stream.get_mut().write_all(answer).unwrap();
        }
    });
    port
}

/// A shell in the folder, where `yunqiao` is this one.
fn shell(folder: &Path, script: &str) -> Command {
    let program = yunqiao().get_program().to_owned();
    let mut command = Command::new("sh");
    command
        .args(["-e", "-c", &format!("yunqiao() {{ \"$0\" \"$@\"; }}\n{script}")])
        .arg(program)
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::null());
    for (name, value) in yunqiao().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Runs something that goes on until it is ended, and ends it once it is ready.
fn serves(folder: &Path, script: &str) {
    let mut child = shell(
        folder,
        &format!("exec \"$0\"{}", script.strip_prefix("yunqiao").unwrap()),
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let status = child.wait().unwrap();
    assert!(
        line.starts_with("ready http://") && status.success(),
        "{script}: {line:?} {status}"
    );
}

#[test]
fn every_example_works_as_written() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("encryptedData.txt"), DATA).unwrap();
    fs::create_dir_all(folder.join(".config/fish")).unwrap();
    let port = backend();
    let commands = commands();
    assert!(commands.len() >= 14, "{commands:?}");
    let (first, rest): (Vec<_>, Vec<_>) = commands.iter().partition(|command| *command == "init");
    for command in first.into_iter().chain(rest) {
        // The reader's own backend; and other ports than the usual, which somebody may use.
        let example = example(command).replace("127.0.0.1:3000", &format!("127.0.0.1:{port}"));
        match command.as_str() {
            "dev" | "simulate" => serves(folder, &format!("{example} --port 0")),
            "console" => {
                let dev = Dev::start(&folder.join("hello"));
                let (output, out, err) = run(&mut shell(folder, &example));
                assert!(output.status.success(), "{example}\n{err}");
                assert!(out.starts_with(&format!("{}/?once=", dev.operator)), "{out}");
            }
            _ => {
                let (output, out, err) = run(&mut shell(folder, &example));
                assert!(output.status.success(), "{example}\n{out}\n{err}");
                assert!(
                    !out.is_empty() || ["serve", "logs", "completions", "schema"].contains(&command.as_str())
                );
            }
        }
    }
    // What the examples of `completions` leave in the shell's file gives a completion.
    let (output, out, err) = run(Command::new("bash")
        .args(["-c", "PATH=\"$0:$PATH\"; source ./.bashrc; complete -p yunqiao"])
        .arg(Path::new(yunqiao().get_program()).parent().unwrap())
        .current_dir(folder));
    assert!(output.status.success() && out.contains("yunqiao"), "{err}");
}
