//! `yunqiao serve`: production, against the WeChat that the configuration names.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clock::Clock;
use console::Console;
use project::{ExposeSecret as _, OperatorSection, Project, Secret, Undeclared};
use serde_json::json;
use store::Store;
use wording::{Wording, wording};

use crate::{
    args, check,
    data::{self, Keeping},
    facts,
    front::DatabaseFront,
    interrupt,
    journal::Calls,
    lang::{self, say, t},
    outliving::{self, OpenStore},
    print, simulated,
    stack::{self, Parts, Visibility},
    storage, undeclared, web_auth,
};

/// The real one.
pub(crate) const WECHAT: &str = "https://api.weixin.qq.com";
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);
pub(crate) const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), stack::WEB);
pub(crate) const OPERATOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8789);
/// Sessions of users who were not seen for so long are dropped.
const UNSEEN: Duration = Duration::from_secs(90 * 24 * 3600);
/// How often they are looked for.
const SWEEP: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn run(args: args::Serve, as_json: bool) -> anyhow::Result<ExitCode> {
    if args.check {
        return Ok(check::run(&args.config, as_json).await);
    }
    let project = open(&args.config)?;
    print::findings(&project.findings, &[]);
    let (appid, secret) = (appid(&project)?, secret(&project)?);

    let clock = Clock::system();
    let OpenStore { store, place } = outliving::open(&project).await?;
    let listen = project.settings.listen.unwrap_or(LISTEN);
    let (listener, address) = stack::listen(
        listen.ip(),
        listen.port(),
        t("`listen` in yunqiao.toml", "yunqiao.toml 的 `listen`"),
    )
    .await?;
    let web = &project.settings.web;
    let web = match web.serves() {
        true => {
            let listen = web.listen.unwrap_or(WEB);
            Some(
                stack::listen(
                    listen.ip(),
                    listen.port(),
                    t("`[web] listen` in yunqiao.toml", "yunqiao.toml 的 `[web] listen`"),
                )
                .await?,
            )
        }
        false => None,
    };
    let operator = match &project.settings.operator {
        OperatorSection { secret: None, .. } => None,
        OperatorSection { listen, .. } => {
            let listen = listen.unwrap_or(OPERATOR);
            Some(
                stack::listen(
                    listen.ip(),
                    listen.port(),
                    t(
                        "`[operator] listen` in yunqiao.toml",
                        "yunqiao.toml 的 `[operator] listen`",
                    ),
                )
                .await?,
            )
        }
    };
    let oddities = [
        operator_without_secret(&project),
        push_without_token(&project),
        outliving::redis_without_server(&project),
    ];
    for (what, mend) in oddities.into_iter().flatten() {
        print::warning(lang::of(&what), lang::of(&mend));
    }
    let push = push_settings(&project);
    let seen = Visibility {
        calls: Calls::Telling,
        requests: project.settings.web.log,
        console: operator.is_some(),
        file: false,
    };
    let (journal, recorder) = seen.journal(&project.root)?;
    let invocations = Arc::default();
    let public_url = stack::public_url(&project, address);
    let wechat = project.settings.wechat.clone();
    let wechat = wechat.unwrap_or_else(|| WECHAT.to_owned());
    let runtime = stack::runtime(
        &args.node,
        None,
        false,
        &invocations,
        &journal,
        &public_url,
        &wechat,
    )
    .await?;
    let app_secret = secret.clone();
    let access = data::open(&project, Keeping::BesideStore).await?.access;
    let documents = Arc::clone(&access.database);
    let wire = project.settings.database.wire;
    let database = wire
        .map(|wire| DatabaseFront::open(&project, wire, Arc::clone(&access.database)))
        .transpose()?;
    let gateway = stack::gateway(Parts {
        project: &project,
        appid,
        wechat: wechat.clone(),
        secret,
        push,
        local_pages: false,
        simulated: false,
        live_pages: false,
        hosts: gateway::Hosts::Any,
        clock: clock.clone(),
        store: Arc::clone(&store),
        database: access,
        keeping: Keeping::BesideStore,
        public_url,
        runtime: runtime.clone(),
        invocations,
        journal,
    })
    .await?
    .access;
    let console = recorder.map(|recorder| Console::new(gateway.clone(), recorder, None, documents, None));
    let functions = stack::load(&gateway, &project, console.as_ref()).await?;
    facts::functions(&functions, &project.root);
    print::fact(t("gateway", "网关"), stack::url(address));
    if let Some((_, address)) = &web {
        facts::web(&stack::url(*address), &project);
    }
    print::fact(t("wechat", "微信"), &wechat);
    if let Some((_, address)) = &operator {
        print::fact(
            t("console", "控制台"),
            format_args!(
                "{} {}",
                stack::url(*address),
                t("(asks for the secret)", "（需要密钥）")
            ),
        );
    }
    print::fact(t("store", "状态"), place);
    if let Some(place) = data::place(&project, Keeping::BesideStore)? {
        print::fact(t("documents", "数据"), place.display());
    }
    if let Some(place) = storage::place(&project, Keeping::BesideStore)? {
        print::fact(t("files", "文件"), place.display());
    }
    if let Some(database) = &database {
        print::fact(t("database", "数据库"), database.url());
    }
    facts::clients(&project);
    facts::timers(&project);
    let keys = stack::key_ring(&project.settings, &*store).await?;
    let secret = project.settings.operator.secret.as_ref();
    let operating = operator.zip(secret).map(|((listener, address), secret)| {
        let operator = gateway::Operator {
            admission: gateway::Admission {
                secret: Some(secret.clone()),
                pass: None,
                address,
                hosts: project.settings.operator.hosts.clone(),
                once: None,
                sign_ins: gateway::SignIns::bound_to(&keys, secret),
            },
            app_secret,
            server_keys: web_auth::server_keys(&project.settings.operator),
            pages: stack::pages(console.as_ref()),
            connections: stack::connections().operator,
        };
        let interrupted = interrupt::interrupted();
        let operating = gateway.clone();
        let serving = operating.serve_operator(listener, operator, async { drop(interrupted.await) });
        (tokio::spawn(serving), stack::url(address))
    });
    let sweeping = tokio::spawn(sweep(store, clock));
    // On its own, so that what timers set off has as long to end as what clients did.
    let (interrupted, too) = (interrupt::interrupted(), interrupt::interrupted());
    let timers = gateway.clone().fire_timers(async { drop(too.await) });
    let timers = tokio::spawn(timers);
    let addresses = json!({
        "web": web.as_ref().map(|(_, address)| stack::url(*address)),
        "operator": operating.as_ref().map(|(_, url)| url),
        "wechat": wechat,
    });
    let web = web.map(|(listener, _)| {
        let interrupted = interrupt::interrupted();
        tokio::spawn(
            gateway
                .clone()
                .serve_web(listener, async { drop(interrupted.await) }),
        )
    });
    print::ready(&stack::url(address), as_json, addresses);
    gateway.serve(listener, async { drop(interrupted.await) }).await;
    drop(database);
    let _ = timers.await;
    if let Some(web) = web {
        let _ = web.await;
    }
    sweeping.abort();
    if let Some((operating, _)) = operating {
        let _ = operating.await;
    }
    runtime.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// The project that a configuration names, and what its author should know.
///
/// # Errors
/// It is not there, or cannot be understood.
pub(crate) fn open(config: &Path) -> anyhow::Result<Project> {
    if !config.exists() {
        let config = config.display();
        bail!(say!(
            "there is no {config}; give this command in the project's folder, or name the file with -c",
            "没有 {config}；请在项目目录里执行，或用 -c 指定文件"
        ));
    }
    let mut project = Project::from_config(config)?;
    simulated::check(&project, config)?;
    let undeclared = undeclared::supply(&mut project, Undeclared::Refuse);
    project.findings.extend(undeclared);
    Ok(project)
}

/// The app that is served.
pub(crate) fn appid(project: &Project) -> anyhow::Result<String> {
    let appid = project.appid.clone();
    appid.with_context(|| {
        say!(
            "no appid: give `appid` in yunqiao.toml or project.config.json",
            "没有 appid：请在 yunqiao.toml 或 project.config.json 里写 `appid`"
        )
    })
}

/// Its AppSecret.
pub(crate) fn secret(project: &Project) -> anyhow::Result<Secret> {
    project.settings.secret.clone().with_context(|| {
        say!(
            "no AppSecret: name the file that holds it with `secret_file` in yunqiao.toml, or set YUNQIAO_APPSECRET",
            "没有 AppSecret：请在 yunqiao.toml 里用 `secret_file` 写明存放它的文件，或设置环境变量 YUNQIAO_APPSECRET"
        )
    })
}

/// How WeChat's pushes to the app are known, where the project says it.
pub(crate) fn push_settings(project: &Project) -> Option<push::ConsoleSettings> {
    let console = project.settings.push.console.as_ref()?;
    Some(console.settings(project.appid.as_deref().unwrap_or_default()))
}

/// What is without effect in `[operator]`, and the mend.
pub(crate) fn operator_without_secret(project: &Project) -> Option<(Wording, Wording)> {
    let operator = &project.settings.operator;
    (operator.secret.is_none() && operator.listen.is_some()).then(|| {
        (
            wording!(
                "[operator] has no secret, so nothing is listened on there",
                "[operator] 没有密钥，因此不会监听"
            ),
            wording!(
                "name a file with `secret_file`: openssl rand -hex 32 > operator.secret",
                "请用 `secret_file` 写明密钥文件：openssl rand -hex 32 > operator.secret"
            ),
        )
    })
}

/// What is without effect in `[push]`, and the mend.
pub(crate) fn push_without_token(project: &Project) -> Option<(Wording, Wording)> {
    let push = &project.settings.push;
    (push.console.is_none() && !push.routes.is_empty()).then(|| {
        (
            wording!(
                "[push] has routes and no token, so nothing is received",
                "[push] 有路由但没有 token，因此收不到推送"
            ),
            wording!(
                "give the console's push settings (消息推送配置): token_file, aes_keys_file, mode and format",
                "请写上控制台的消息推送配置：token_file、aes_keys_file、mode 和 format"
            ),
        )
    })
}

/// Where the operator's listener of a server with these settings is, and what opens it.
pub(crate) fn operator(settings: &OperatorSection) -> Option<(String, String)> {
    let secret = settings.secret.as_ref()?.expose_secret().to_owned();
    let mut address = settings.listen.unwrap_or(OPERATOR);
    // Where it listens on all addresses, this machine reaches it by this one.
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Some((stack::url(address), secret))
}

async fn sweep(store: Arc<dyn Store>, clock: Clock) {
    loop {
        match store.sweep(clock.now() - UNSEEN).await {
            Ok(0) => {}
            Ok(dropped) => tracing::info!(dropped, "sessions unseen for 90 days were dropped"),
            Err(error) => {
                tracing::warn!(error = %error.report(), "old sessions could not be dropped");
            }
        }
        if let Err(error) = store.forget_revoked(clock.now()).await {
            tracing::warn!(error = %error.report(), "ended logins could not be forgotten");
        }
        tokio::time::sleep(SWEEP).await;
    }
}
