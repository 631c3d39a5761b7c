//! `yunqiao serve`: production, against the WeChat that the configuration names.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clock::Clock;
use console::Console;
use project::{ExposeSecret as _, OperatorSection, Project, Undeclared};
use store::Store;
use store_redb::Redb;

use crate::{
    args,
    data::{self, Keeping},
    front::DatabaseFront,
    interrupt,
    journal::Calls,
    print,
    stack::{self, Parts, Visibility},
    storage, undeclared, web_auth,
};

/// The real one.
const WECHAT: &str = "https://api.weixin.qq.com";
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);
const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), stack::WEB);
const OPERATOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8789);
const STORE: &str = "yunqiao.redb";
/// Sessions of users who were not seen for so long are dropped.
const UNSEEN: Duration = Duration::from_secs(90 * 24 * 3600);
/// How often they are looked for.
const SWEEP: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn run(args: args::Serve) -> anyhow::Result<ExitCode> {
    let mut project = Project::from_config(&args.config)?;
    let undeclared = undeclared::supply(&mut project, Undeclared::Refuse);
    project.findings.extend(undeclared);
    print::findings(&project.findings, &[]);
    let appid = project
        .appid
        .clone()
        .context("no appid: give `appid` in yunqiao.toml or project.config.json")?;
    let secret = project.settings.secret.clone().context(
        "no AppSecret: name the file that holds it with `secret_file` in yunqiao.toml, or set YUNQIAO_APPSECRET",
    )?;
    let broken: Vec<_> = project
        .functions
        .values()
        .map(|listed| &listed.function)
        .filter(|function| function.problem.is_some())
        .collect();
    for function in &broken {
        let problem = function.problem.as_deref().unwrap_or_default();
        print::warning(format_args!("{} cannot run: {problem}", function.name), "");
    }
    if args.check {
        if let Some(url) = &project.settings.database.url {
            data::server(url).await?;
        }
        if let Some(s3) = &project.settings.storage.s3 {
            storage::bucket(s3, None).await?;
        }
        let sound = project.findings.is_empty() && broken.is_empty();
        if sound {
            let functions = print::counted(project.functions.len(), "function");
            print::done(format_args!("{functions}, nothing to mend"));
        }
        return Ok(if sound {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }

    let clock = Clock::system();
    let store_path = project
        .settings
        .store
        .clone()
        .unwrap_or_else(|| project.root.join(STORE));
    let store: Arc<dyn Store> = Arc::new(Redb::open(&store_path)?);
    let listen = project.settings.listen.unwrap_or(LISTEN);
    let (listener, address) = stack::listen(listen.ip(), listen.port(), "`listen` in yunqiao.toml").await?;
    let web = &project.settings.web;
    let web = match web.serves() {
        true => {
            let listen = web.listen.unwrap_or(WEB);
            Some(stack::listen(listen.ip(), listen.port(), "`[web] listen` in yunqiao.toml").await?)
        }
        false => None,
    };
    let operator = match &project.settings.operator {
        OperatorSection {
            secret: None, listen, ..
        } => {
            if listen.is_some() {
                print::warning(
                    "[operator] has no secret, so nothing is listened on there",
                    "name a file with `secret_file`: openssl rand -hex 32 > operator.secret",
                );
            }
            None
        }
        OperatorSection { listen, .. } => {
            let listen = listen.unwrap_or(OPERATOR);
            Some(stack::listen(listen.ip(), listen.port(), "`[operator] listen` in yunqiao.toml").await?)
        }
    };
    let push = &project.settings.push;
    if push.console.is_none() && !push.routes.is_empty() {
        print::warning(
            "[push] has routes and no token, so nothing is received",
            "give the console's push settings (消息推送配置): token_file, aes_keys_file, mode and format",
        );
    }
    let push = push.console.as_ref().map(|console| console.settings(&appid));
    let seen = Visibility {
        calls: Calls::Telling,
        requests: project.settings.web.log,
        console: operator.is_some(),
        file: false,
    };
    let (journal, recorder) = seen.journal(&project.root)?;
    let invocations = Arc::default();
    let public_url = stack::public_url(&project, address);
    let runtime = stack::runtime(&args.node, None, false, &invocations, &journal, &public_url).await?;
    let app_secret = secret.clone();
    let access = data::open(&project, Keeping::BesideStore).await?;
    let documents = Arc::clone(&access.database);
    let wire = project.settings.database.wire;
    let database = wire
        .map(|wire| DatabaseFront::open(&project, wire, Arc::clone(&access.database)))
        .transpose()?;
    let gateway = stack::gateway(Parts {
        project: &project,
        appid,
        wechat: project
            .settings
            .wechat
            .clone()
            .unwrap_or_else(|| WECHAT.to_owned()),
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
    .await?;
    let console = recorder.map(|recorder| Console::new(gateway.clone(), recorder, documents, None));
    stack::load(&gateway, &project, console.as_ref()).await?;
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
        tokio::spawn(operating.serve_operator(listener, operator, async { drop(interrupted.await) }))
    });
    let sweeping = tokio::spawn(sweep(store, clock));
    // On its own, so that what timers set off has as long to end as what clients did.
    let (interrupted, too) = (interrupt::interrupted(), interrupt::interrupted());
    let timers = gateway.clone().fire_timers(async { drop(too.await) });
    let timers = tokio::spawn(timers);
    if let Some(database) = &database {
        print::fact("database", database.url());
    }
    let web = web.map(|(listener, address)| {
        print::fact("web", stack::url(address));
        let interrupted = interrupt::interrupted();
        tokio::spawn(
            gateway
                .clone()
                .serve_web(listener, async { drop(interrupted.await) }),
        )
    });
    print::ready(&stack::url(address));
    gateway.serve(listener, async { drop(interrupted.await) }).await;
    drop(database);
    let _ = timers.await;
    if let Some(web) = web {
        let _ = web.await;
    }
    sweeping.abort();
    if let Some(operating) = operating {
        let _ = operating.await;
    }
    runtime.shutdown().await;
    Ok(ExitCode::SUCCESS)
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
