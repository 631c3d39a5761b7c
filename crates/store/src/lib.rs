//! What must outlive a restart: each user's session_key, the key ring that seals tokens, WeChat's access_token, the
//! message pushes that were taken in, which ticks of timers were fired, and which logins of web users were ended.
//!
//! One trait for each noun, and [`Store`] for all of them. [`Memory`] is the backend for `dev`, `exec` and tests; those that
//! keep what they are given have crates of their own. What a method answered survives a SIGKILL of the process that
//! answered; that is the whole promise. A store may have several handles, in one process or in several, and a method's
//! effect is seen by all of them once it has answered. The module `contract` holds every backend to that: it is compiled
//! with the feature of the same name, for the tests of backends. Secrets are wiped from the memory that this crate owns.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod keys;
mod mailbox;
mod memory;
pub mod record;
mod revocations;
mod sessions;
mod ticks;
mod tokens;

use std::{future::Future, pin::Pin};

pub use crate::{
    error::{Cause, StoreError},
    keys::Keys,
    mailbox::{
        Arrival, Attempt, AttemptEnd, DeadBounds, DeadPage, Death, DroppedLetters, Ended, Intake, KnownPush,
        Lease, LetterSize, Mailbox, Owner, PageBounds, PushState, StoredPush,
    },
    memory::Memory,
    revocations::Revocations,
    sessions::{PreviousKey, Session, Sessions, TOUCH_EVERY},
    ticks::{Claims, Ticks, WRONG_CLOCK},
    tokens::{AccessToken, FetchClaims, Tokens},
};

/// A future on the heap, which a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// All that must outlive a restart.
pub trait Store: Sessions + Keys + Tokens + Mailbox + Ticks + Revocations + 'static {
    /// Whether the store does its work: `Ok` where the last write succeeded, else what is wrong. A store that failed is
    /// tried again by this, now and then, and by whatever else is asked of it.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
