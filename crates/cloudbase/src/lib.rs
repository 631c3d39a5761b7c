//! CloudBase's own wire for clients: what the SDKs of its web pages, unmodified, say and want to hear.
//!
//! Who a user is stands in [`WebUser`], and how they prove it in [`Tokens`] (what is handed out), [`TicketKeys`] (another server vouches
//! for them) and [`PasswordFile`]. The SDKs speak three dialects: `/auth/v1` for logging in ([`auth`]), the gateway's REST for functions,
//! documents and files ([`rest`]), and the older `/web` envelope for all of it ([`legacy`]), whose actions of the database and of storage
//! `tcb` knows. Nothing here does any I/O; which words a client may say when is the gateway's business.

#![forbid(unsafe_code)]

pub mod auth;
mod fault;
mod identity;
pub mod legacy;
mod password;
pub mod rest;
mod ticket;
mod token;

pub use fault::WebFault;
pub use identity::{DeviceId, LoginType, WebUser};
pub use password::{
    LONGEST_PASSWORD, PasswordFile, PasswordFileError, PasswordUser, SHORTEST_PASSWORD, hash,
};
pub use ticket::{Ticket, TicketError, TicketKeys, TicketKeysError};
pub use token::{Access, ProviderIdentity, Session, TokenError, Tokens};
