//! The people of the simulated WeChat, and what is known of each: who is logged in with which session_key, which codes and
//! cloudIDs stand for whom, what was paid, and the open data that is told of them. The client hands it out, the server and
//! the platform ask for it.

pub(crate) mod cloudid;
pub(crate) mod codes;
pub(crate) mod payments;
pub(crate) mod sessions;
pub(crate) mod shapes;
pub(crate) mod userkeys;
pub(crate) mod users;
