//! WeChat as the one who calls: what it pushes to the app's server, and how it looks whether a URL is the app's.

pub(crate) mod packets;
pub(crate) mod pushes;
pub(crate) mod verification;
