//! What somebody types into the terminal of `yunqiao dev`: a letter, and Enter. Lines are left to the terminal: nothing has to be put
//! back when this program ends, however it does.

use std::{
    io::{self, BufRead as _, IsTerminal as _},
    os::fd::AsFd as _,
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::getpgrp,
    termios::tcgetpgrp,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::lang::t;

/// How often a program in the background looks whether it is in front again.
const LOOK: Duration = Duration::from_millis(300);

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Open,
    Reload,
    Clear,
    Quit,
    Help,
}

/// What the terminal says of them.
pub(crate) fn help() -> &'static str {
    t(
        "o open the console, r reload, c clear, q quit; each with Enter",
        "o 打开控制台，r 重新加载，c 清屏，q 退出；按回车生效",
    )
}

impl Key {
    fn of(line: &str) -> Option<Self> {
        match line.trim().to_ascii_lowercase().as_str() {
            "o" => Some(Self::Open),
            "r" => Some(Self::Reload),
            "c" => Some(Self::Clear),
            "q" => Some(Self::Quit),
            "" => None,
            _ => Some(Self::Help),
        }
    }
}

/// Follows what is typed, where standard input is a terminal.
pub(crate) fn follow() -> Option<mpsc::Receiver<Key>> {
    if !io::stdin().is_terminal() {
        return None;
    }
    // Who reads the terminal in the background is stopped by this signal, unless it is handled.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::TTIN.as_raw())).ok()?;
    let (keys, typed) = mpsc::channel(4);
    // Nobody joins it: it may wait for a line as long as the program runs.
    let reader = thread::Builder::new().name("keys".to_owned());
    reader.spawn(move || read(&keys)).ok()?;
    Some(typed)
}

fn read(keys: &mpsc::Sender<Key>) {
    let stdin = io::stdin();
    let mut line = String::new();
    loop {
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        // Not for ever: a program that comes to the front hears of nothing.
        let limit = Timespec::try_from(LOOK).ok();
        let readable = poll(&mut watched, limit.as_ref()).is_ok_and(|ready| ready > 0);
        if keys.is_closed() {
            return;
        }
        if !readable {
            continue;
        }
        if tcgetpgrp(stdin.as_fd()).is_ok_and(|front| front != getpgrp()) {
            thread::sleep(LOOK);
            continue;
        }
        line.clear();
        match stdin.lock().read_line(&mut line) {
            // The terminal is gone.
            Ok(0) => return,
            Ok(_) => {
                if let Some(key) = Key::of(&line)
                    && keys.blocking_send(key).is_err()
                {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_key_and_other_words_ask_for_help() {
        assert_eq!(Key::of("o\n"), Some(Key::Open));
        assert_eq!(Key::of(" Q \n"), Some(Key::Quit));
        assert_eq!(Key::of("quit\n"), Some(Key::Help));
        assert_eq!(Key::of("\n"), None);
    }
}
