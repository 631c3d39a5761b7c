//! End to end: the real binary, real Node, the real wx-server-sdk from npm, and nothing of ours in between.
//!
//! Each test starts what it needs on free loopback ports and ends it. Dependencies are installed once, into
//! a cache below the target folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod install;
#[path = "s3/server.rs"]
mod object_store;
mod support;

mod bad_input;
mod callers;
mod client;
mod cloud_call;
mod cloudbase;
mod commands;
mod completions;
mod console;
mod database;
mod db;
mod documents;
mod doors;
mod examples;
mod files;
mod help;
mod hostile;
mod logs;
mod main_job;
mod official_account;
mod open_data;
mod openapi;
mod packaging;
mod permissions;
mod plain_http;
mod privacy;
mod production;
mod push;
mod push_sim;
mod readme;
mod realtime;
mod reload;
mod schema;
mod sdk;
mod security;
mod shared_store;
mod sockets;
mod state;
mod storage;
mod strangers;
mod telling;
mod two_gateways;
mod web;
mod wx;
