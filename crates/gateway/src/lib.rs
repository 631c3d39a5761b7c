//! The server: login, call, open data.
