//! `yunqiao simulate`: the simulated WeChat alone.

use std::process::ExitCode;

use anstream::println;
use clock::Clock;
use simulator::Simulator;

use crate::{args, exec, print, stack};

pub(crate) async fn run(args: args::Simulate) -> anyhow::Result<ExitCode> {
    let (listener, address) = stack::listen(args.host, args.port, "--port").await?;
    let mut settings = simulator::Settings::default();
    settings.allowed_hosts.push(stack::host_name(args.host));
    if let Some(appid) = args.appid {
        settings.appid = appid;
    }
    if let Some(secret) = args.secret {
        settings.secret = secret.into();
    }
    let url = stack::url(address);
    print::fact("appid", &settings.appid);
    print::fact("secret", format_args!("GET {url}/sim/app tells it"));
    let simulator = Simulator::new(settings, Clock::system(), |notice| print::warning(notice, ""));
    println!("ready {url}");
    simulator
        .serve(listener, async { drop(exec::interrupted().await) })
        .await?;
    Ok(ExitCode::SUCCESS)
}
