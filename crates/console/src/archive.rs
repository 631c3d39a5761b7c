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
/// Bytes that they may have together.
const BYTES: usize = 48 << 20;

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

    /// Reads on, and gives the call of this request id. Blocks.
    pub(crate) fn find(&self, request_id: &str) -> Option<Arc<Call>> {
        let read = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What could be read is looked through, whatever kept the rest.
        let _ = read.on();
        let mut newest_first = read.calls.iter().rev();
        newest_first.find(|call| call.request_id == request_id).cloned()
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
        source.read(&mut |mut call| {
            call.bound();
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
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::recorder::LogLine;

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
        assert_eq!(archive.find("3").unwrap().request_id, "3");
        assert!(archive.find("5").is_none());
    }

    #[test]
    fn it_is_bounded_whatever_takes_the_room() {
        // What one call takes: the fields of many small parts weigh more than their texts.
        let many: [fn(&mut Call); 3] = [
            |call| call.notes = vec![wording::Wording::as_is("x".repeat(9 << 10)); 3],
            |call| {
                let line = |_| LogLine {
                    level: runtime::Level::Log,
                    at: Duration::ZERO,
                    text: String::new(),
                };
                call.logs = (0..5000).map(line).collect();
            },
            |call| {
                let made = gateway::CloudCall {
                    what: "x".to_owned(),
                    code: 0,
                    text: String::new(),
                    at: Duration::ZERO,
                    took: Duration::ZERO,
                    exchange: None,
                    database: None,
                    callee: None,
                };
                call.cloud_calls = vec![made; 200];
            },
        ];
        for fill in many {
            let mut one = call(0);
            fill(&mut one);
            one.bound();
            let fit = BYTES / one.bytes();
            let calls = (0..fit as i64 + 20).map(|second| {
                let mut call = call(second);
                fill(&mut call);
                call
            });
            let archive = Archive::new(Some(Box::new(Written(vec![calls.collect()], false))));
            let (all, error) = archive.with(Vec::new());
            assert!(error.is_none() && all.len() <= fit, "{} {fit}", all.len());
            assert_eq!(all.last().unwrap().request_id, (fit + 19).to_string());
        }
    }
}
