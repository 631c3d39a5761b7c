//! The calls that run now, by the token that each of them was given.
//!
//! `WX_API_TOKEN` is 128 random bits, and means something only here: which function runs, for whom, and how it came
//! to be called. An entry is there while its call runs and no longer, so a token that a function kept, printed or
//! lost is worth nothing afterwards.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runtime::InvocationId;
use tcb::{Source, Trigger};

use crate::journal::CloudCall;
use crate::sites::Known;

/// Cloud calls that are remembered of one invocation; of further ones only their number.
const REMEMBERED: usize = 100;

/// Who had a function called, and how.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) source: Source,
    pub(crate) user: Option<User>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) trigger: Trigger,
    /// Of a message push: how often it has been tried with this call, from 1.
    pub(crate) attempt: Option<u32>,
}

/// The user that a call is made for.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) openid: String,
    pub(crate) unionid: Option<String>,
}

/// One running call.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) id: InvocationId,
    pub(crate) request_id: String,
    pub(crate) known: Arc<Known>,
    pub(crate) caller: Caller,
    began: Instant,
    made: Mutex<CloudCalls>,
}

/// What a call asked of the cloud.
#[derive(Debug, Default)]
pub(crate) struct CloudCalls {
    /// The first ones, in the order in which they ended.
    pub(crate) first: Vec<CloudCall>,
    /// How many more there were.
    pub(crate) more: u64,
}

impl Invocation {
    /// A call that is about to be made.
    pub(crate) fn new(id: InvocationId, request_id: String, known: Arc<Known>, caller: Caller) -> Invocation {
        Invocation {
            id,
            request_id,
            known,
            caller,
            began: Instant::now(),
            made: Mutex::default(),
        }
    }

    /// How long ago it began.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn openid(&self) -> Option<&str> {
        self.caller.user.as_ref().map(|user| user.openid.as_str())
    }

    /// Keeps what a cloud call came to, for the record of this call.
    pub(crate) fn made(&self, call: CloudCall) {
        let mut made = self.calls();
        if made.first.len() < REMEMBERED {
            made.first.push(call);
        } else {
            made.more += 1;
        }
    }

    pub(crate) fn take_calls(&self) -> CloudCalls {
        std::mem::take(&mut *self.calls())
    }

    fn calls(&self) -> MutexGuard<'_, CloudCalls> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All running calls.
#[derive(Debug, Default)]
pub(crate) struct Invocations(Mutex<HashMap<String, Arc<Invocation>>>);

impl Invocations {
    /// Enters a call that is about to be made. Its token holds until what is given back is dropped.
    pub(crate) fn enter(&self, token: String, invocation: Invocation) -> Entered<'_> {
        let invocation = Arc::new(invocation);
        self.table().insert(token.clone(), Arc::clone(&invocation));
        Entered {
            all: self,
            token,
            invocation,
        }
    }

    /// The running call that a token belongs to.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<Invocation>> {
        self.table().get(token).cloned()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Invocation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in the table.
pub(crate) struct Entered<'a> {
    all: &'a Invocations,
    token: String,
    invocation: Arc<Invocation>,
}

impl Entered<'_> {
    /// The call is over: its token is void.
    pub(crate) fn leave(self) -> Arc<Invocation> {
        Arc::clone(&self.invocation)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.all.table().remove(&self.token);
    }
}
