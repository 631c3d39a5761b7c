//! `yunqiao simulate`: the simulated WeChat alone.

use std::process::ExitCode;

use clock::Clock;
use serde_json::json;
use simulator::{Notice, Simulator};

use crate::{
    args, interrupt,
    lang::{self, say, t},
    print, stack,
};

pub(crate) async fn run(args: args::Simulate, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut settings = simulator::SimulatorSettings::default();
    settings.allowed_hosts.push(stack::host_name(args.host));
    if let Some(appid) = args.appid {
        settings.appid = appid;
    }
    if let Some(secret) = args.secret {
        settings.secret = secret.into();
    }
    if let Some(url) = &args.push_url {
        let bad = |why: &str| {
            anyhow::anyhow!(say!(
                "--push-url {url:?} is no URL to push to: {why}",
                "--push-url {url:?} 不能用作推送的 URL：{why}"
            ))
        };
        let parsed = reqwest::Url::parse(url).map_err(|error| bad(&error.to_string()))?;
        if !["http", "https"].contains(&parsed.scheme()) {
            return Err(bad(t(
                "it must begin with http:// or https://",
                "应以 http:// 或 https:// 开头",
            )));
        }
    }
    let (listener, address) = stack::listen(args.host, args.port, "--port").await?;
    settings.push.url = args.push_url;
    settings.push.mode = args.push_mode;
    settings.push.format = args.push_format;
    let url = stack::url(address);
    let appid = settings.appid.clone();
    print::fact("appid", &appid);
    print::fact(
        t("secret", "密钥"),
        format_args!(
            "GET {url}/sim/app {}",
            t(
                "tells it, and the token and encodingAESKey of pushes",
                "给出它，以及消息推送的 token 和 encodingAESKey"
            )
        ),
    );
    if let Some(url) = &settings.push.url {
        let (mode, format) = (settings.push.mode.as_str(), settings.push.format.as_str());
        print::fact(t("push", "推送"), format_args!("{url} ({mode}, {format})"));
    }
    let (clock, tell) = (Clock::system(), |notice: Notice| {
        print::warning(lang::of(notice.wording()), "")
    });
    let simulator = match &args.state {
        Some(file) => Simulator::with_state(file, None, settings, clock, tell)?,
        None => Simulator::new(settings, clock, tell),
    };
    let interrupted = interrupt::interrupted();
    print::ready(&url, as_json, json!({"appid": appid}));
    simulator
        .serve(listener, async { drop(interrupted.await) })
        .await?;
    Ok(ExitCode::SUCCESS)
}
