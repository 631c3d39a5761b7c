//! The binary `yunqiao`: commands and wiring.
//!
//! Each command is a module. Those that run functions put the same [`stack`] together: `dev` and `exec` with
//! the simulator in the same process, `serve` with whatever WeChat the configuration names.

mod api;
mod args;
mod backlog;
mod call;
mod calls_file;
mod check;
mod client;
mod cloud_id;
mod complete;
mod console_link;
mod crypt;
mod data;
mod db;
mod dev;
mod doctor;
mod entry;
mod escape;
mod exec;
mod facts;
mod files;
mod folder;
mod front;
mod help;
mod help_zh;
mod init;
mod interrupt;
mod journal;
mod keys;
mod lang;
mod logs;
mod operator;
mod outliving;
mod past;
mod paths;
mod patience;
mod print;
mod progress;
mod push;
mod qr;
mod reloads;
mod render;
mod run_file;
mod schema;
mod serve;
mod simulate;
mod simulated;
mod stack;
mod state;
mod storage;
mod terminal;
mod undeclared;
mod unfinished;
mod user;
mod watch;
mod web_auth;

use std::process::ExitCode;

use args::{Args, Command};
use clap::FromArgMatches as _;

/// Each call makes and drops hundreds of small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Each worker is started under this same binary as its supervisor: no thread, no runtime, no argument parser.
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == stack::GUARD) {
        return process::guard::main(words);
    }
    keep_memory_private();
    // As the shell asks, when somebody presses Tab.
    complete::answer::<Args>();
    let words: Vec<_> = args::words().collect();
    lang::choose(&words);
    let matches = help::command().try_get_matches_from(words);
    let args = matches.and_then(|matches| Args::from_arg_matches(&matches));
    let args = match args {
        Ok(args) => args,
        Err(error) => return help::refuse(&error),
    };
    let json = args.json;
    let ended = terminal::with(|| {
        run(args).unwrap_or_else(|error| {
            print::failure(&error, json);
            ExitCode::FAILURE
        })
    });
    // As after any other panic.
    ended.unwrap_or_else(|_| ExitCode::from(101))
}

/// Keeps functions, which run as the same user, from reading this process's memory by `/proc` or a debugger: secrets and
/// session_keys are in it. No core is dumped either. Other systems than Linux have no such switch.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "this process's memory cannot be kept from others of the same user");
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    // One thread serves HTTP and the workers' sockets: a call then never changes threads on its way.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    print::subscribe(args.verbose);
    process::raise_descriptors();
    match args.command {
        Command::Dev(dev) => runtime()?.block_on(dev::run(dev, args.verbose, args.json)),
        Command::Exec(exec) => runtime()?.block_on(exec::run(exec, args.json)),
        Command::Call(call) => runtime()?.block_on(call::run(call, args.json)),
        Command::Serve(serve) => runtime()?.block_on(serve::run(serve, args.json)),
        Command::Push(push) => runtime()?.block_on(push::run(push, args.json)),
        Command::Console(console) => runtime()?.block_on(console_link::run(console, args.json)),
        Command::Logs(logs) => logs::run(&logs, args.json),
        Command::Completions(completions) => complete::run(completions.shell, args.json),
        Command::Simulate(simulate) => runtime()?.block_on(simulate::run(simulate, args.json)),
        Command::Decrypt(decrypt) => crypt::decrypt(&decrypt, args.json),
        Command::Sign(sign) => crypt::sign(&sign, args.json),
        Command::Verify(verify) => crypt::verify(&verify, args.json),
        Command::Api(api) => api::run(&api, args.json),
        Command::Db(db) => runtime()?.block_on(db::run(db, args.json)),
        Command::Files(files) => runtime()?.block_on(files::run(files, args.json)),
        Command::State(state) => runtime()?.block_on(state::run(state, args.json)),
        Command::User(user) => user::run(&user, args.json),
        Command::Doctor(doctor) => runtime()?.block_on(doctor::run(&doctor, args.json)),
        Command::Init(init) => init::run(&init, args.json),
        Command::Schema => schema::run(),
    }
}
