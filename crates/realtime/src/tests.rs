#![allow(clippy::unwrap_used)]

mod messages;
mod model;
