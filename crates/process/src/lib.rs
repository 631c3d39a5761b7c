//! Worker processes, and the wire to each of them. A worker is a Node that runs `js/worker`, under a [guard] that leaves
//! nothing of it behind.
//!
//! Who has workers implements [`Host`], keeps a table [`Workers`], and starts one with [`run`], which stays with it until
//! all of it is dead. The worker connects to the host's socket and shows its token; from then on it is told what to do by
//! [`Workers::order`] and [`Workers::call`], and says [`WorkerMessage`]s. Which worker is to do what is not decided here: that is
//! `runtime`'s.

mod accept;
mod cgroup;
mod door;
mod end;
mod frame;
pub mod guard;
mod home;
mod host;
mod key;
mod limits;
mod link;
mod memory;
mod output;
mod spawn;
mod workers;

pub use accept::accept;
pub use end::WorkerEnd;
pub use frame::{Frame, LoadedFile, Order, Thrown, WorkerAnswer, WorkerMessage};
pub use host::Host;
pub use key::KeyPair;
pub use limits::{Budget, memory_mb, raise_descriptors};
pub use output::{Level, OutputLine};
pub use spawn::{Launch, run};
pub use workers::{Listeners, WorkerGone, WorkerId, WorkerSettings, Workers};

/// Hexadecimal digits. The text has its full size from the start: one that grows would leave copies of a secret behind.
fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
