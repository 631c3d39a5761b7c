//! What `wx-server-sdk` speaks, as data: the environment and context that a call must have for the unmodified SDK to
//! know its caller, and the numbers by which the cloud names its failures. Nothing here talks to anybody.

pub mod codes;
mod environment;

pub use environment::{Caller, Environment, Site, Trigger, User};
