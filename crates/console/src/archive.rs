//! Calls that are on disk: those of earlier runs, and those that are not among the last ones any more.
//!
//! They are read when somebody looks, on a thread that may wait, and from where reading stopped the last time; what is read is kept
//! within a bound, so that a search or another page needs no second reading.

use std::{
    collections::{HashSet, VecDeque},
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::recorder::Call;

/// Calls that are kept.
const CALLS: usize = 50_000;
/// Bytes of text that they may have together.
const BYTES: usize = 32 << 20;

/// Where calls are written down.
pub trait PastCalls: Send + 'static {
    /// Hands on each call that was written since the last time, in the order in which they ended. It may block.
    ///
    /// # Errors
    /// When they cannot be read; what was handed on stays, and the next time goes on behind it.
    fn read(&mut self, each: &mut dyn FnMut(Call)) -> io::Result<()>;
}

/// The calls that were read.
pub(crate) struct Archive(Mutex<Read>);

struct Read {
    source: Option<Box<dyn PastCalls>>,
    calls: VecDeque<Arc<Call>>,
    bytes: usize,
}

impl Archive {
    pub(crate) fn new(source: Option<Box<dyn PastCalls>>) -> Self {
        Self(Mutex::new(Read {
            source,
            calls: VecDeque::new(),
            bytes: 0,
        }))
    }

    /// Reads on, and gives all calls with the newer ones in `last`, each once, in the order in which they ended. Blocks. Why something
    /// could not be read stands beside what could.
    pub(crate) fn with(&self, last: Vec<Arc<Call>>) -> (Vec<Arc<Call>>, Option<io::Error>) {
        let (mut all, error) = {
            let read = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let error = read.on().err();
            (Vec::from_iter(read.calls.iter().cloned()), error)
        };
        let known: HashSet<&str> = last.iter().map(|call| call.request_id.as_str()).collect();
        all.retain(|call| !known.contains(call.request_id.as_str()));
        drop(known);
        all.extend(last);
        // Another `dev` of the project may write to the same file.
        all.sort_by_key(|call| call.at);
        (all, error)
    }
}

impl Read {
    fn on(&mut self) -> io::Result<()> {
        let Some(source) = &mut self.source else {
            return Ok(());
        };
        let (calls, bytes) = (&mut self.calls, &mut self.bytes);
        source.read(&mut |call| {
            *bytes += call.bytes();
            calls.push_back(Arc::new(call));
            while calls.len() > CALLS || *bytes > BYTES {
                let Some(oldest) = calls.pop_front() else { break };
                *bytes -= oldest.bytes();
            }
        })
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

    use super::*;

    struct Written(Vec<Vec<Call>>, bool);

    impl PastCalls for Written {
        fn read(&mut self, each: &mut dyn FnMut(Call)) -> io::Result<()> {
            if !self.0.is_empty() {
                self.0.remove(0).into_iter().for_each(each);
            }
            if self.1 {
                Err(io::Error::other("torn"))
            } else {
                Ok(())
            }
        }
    }

    fn call(second: i64) -> Call {
        Call::new(
            second.to_string(),
            "login".to_owned(),
            Timestamp::from_second(second).unwrap(),
        )
    }

    #[test]
    fn each_call_stands_once_and_in_its_place() {
        let archive = Archive::new(Some(Box::new(Written(
            vec![vec![call(1), call(3)], vec![call(2), call(4)]],
            true,
        ))));
        let ids = |last: Vec<Arc<Call>>| {
            let (all, error) = archive.with(last);
            assert!(error.unwrap().to_string().contains("torn"));
            all.iter().map(|call| call.request_id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(Vec::new()), ["1", "3"]);
        let mut newer = call(4);
        newer.status = 500;
        assert_eq!(ids(vec![Arc::new(newer)]), ["1", "2", "3", "4"]);
    }

    #[test]
    fn it_is_bounded() {
        let big = |second| {
            let mut call = call(second);
            call.source = "x".repeat(1 << 20);
            call
        };
        let archive = Archive::new(Some(Box::new(Written(vec![(0..40).map(big).collect()], false))));
        let (all, error) = archive.with(Vec::new());
        assert!(error.is_none() && all.len() < 33, "{}", all.len());
        assert_eq!(all.last().unwrap().request_id, "39");
    }
}
