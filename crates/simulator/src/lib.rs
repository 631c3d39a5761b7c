//! A WeChat to test against: server API, client API, users, clock.
