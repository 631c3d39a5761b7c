//! The database for other programs: MongoDB's wire protocol over an engine, so that `mongosh`, Compass and any driver see a developer's
//! data, and drivers' own tests can judge the engine.
//!
//! [`message`] reads and writes the bytes and does nothing else; a [`WireClient`] answers one command after the other; [`WireFront::serve`] puts
//! both on a socket. There is one database, by a name that [`WireSettings`] gives; `test`, which shells and drivers take where none is named, is
//! the same one. Where a password is set, clients prove it by SCRAM-SHA-256; without one only this machine is listened to.

mod catalog;
mod changes;
mod client;
mod command;
mod cursor;
mod failure;
mod front;
mod hello;
mod lobby;
pub mod message;
mod read;
mod scram;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod write;

pub use crate::{
    client::WireClient,
    front::{OpenToAll, USER, WireFront, WireSettings},
};
