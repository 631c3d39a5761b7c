//! The store of `serve`, which keeps what must outlive a restart: in a file, or on a Valkey or Redis server. Of a server it says what it
//! keeps over its own end, and takes in no pushes where that is nothing.

use std::sync::Arc;

use anyhow::bail;
use project::{Project, StoreSetting};
use store::Store;
use store_redb::Redb;
use wording::{Wording, wording};

use crate::lang::say;

/// The file, where nothing is said.
pub(crate) const FILE: &str = "yunqiao.redb";

/// A store that is open.
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn Store>,
    /// Where it is, as it is shown.
    pub(crate) place: String,
}

/// Opens the store of a project, and says what may be lost of it.
pub(crate) async fn open(project: &Project) -> anyhow::Result<OpenStore> {
    match &project.settings.store {
        Some(StoreSetting::Server(url)) => server::open(project, url).await,
        file => {
            let path = file.as_ref().and_then(StoreSetting::file);
            let path = path.map_or_else(|| project.root.join(FILE), ToOwned::to_owned);
            Ok(OpenStore {
                store: Arc::new(Redb::open(&path)?),
                place: path.display().to_string(),
            })
        }
    }
}

/// Looks whether the server of the store can be used, if it is on one.
pub(crate) async fn check(project: &Project) -> anyhow::Result<()> {
    match &project.settings.store {
        Some(StoreSetting::Server(url)) => server::open(project, url).await.map(drop),
        _ => Ok(()),
    }
}

/// What is without effect in `[redis]`, and the mend.
pub(crate) fn redis_without_server(project: &Project) -> Option<(Wording, Wording)> {
    let settings = &project.settings;
    let is_server = matches!(settings.store, Some(StoreSetting::Server(_)));
    (settings.redis.is_given && !is_server).then(|| {
        (
            wording!(
                "[redis] is without effect: `store` names no server",
                "[redis] 不起作用：`store` 没有写服务器"
            ),
            wording!(
                "write store = \"redis://HOST:6379\", or set YUNQIAO_REDIS_URL",
                "请写 store = \"redis://HOST:6379\"，或设置环境变量 YUNQIAO_REDIS_URL"
            ),
        )
    })
}

#[cfg(not(feature = "redis"))]
mod server {
    use project::Secret;

    use super::*;

    /// This binary was built without the client.
    pub(super) async fn open(_: &Project, _: &Secret) -> anyhow::Result<OpenStore> {
        bail!(say!(
            "`store` names a server: this yunqiao was built without Redis: build it with the feature `redis`",
            "`store` 写的是服务器：这个 yunqiao 编译时不含 Redis：请启用特性 `redis` 重新编译"
        ));
    }
}

#[cfg(feature = "redis")]
mod server {
    use std::fs;

    use anyhow::Context as _;
    use project::{RedisSection, Secret};
    use store_redis::{Durability, Redis, Settings, Survey};

    use super::*;
    use crate::{lang, print};

    /// Connects, and says what it found.
    pub(super) async fn open(project: &Project, url: &Secret) -> anyhow::Result<OpenStore> {
        let unusable = || say!("`store` cannot be used", "`store` 不可用");
        let settings = settings(&project.settings.redis, url)?;
        let server = Redis::new(&settings).with_context(unusable)?;
        let survey = server.survey().await.with_context(unusable)?;
        // One that does not write is found out now, and not at the first login.
        server.check().await.with_context(unusable)?;
        let place = server.place().to_owned();
        print::done(say!(
            "logins, keys and pushes are kept by {survey}, {place}",
            "登录、密钥和推送存放在 {survey}，{place}"
        ));
        if let Some((what, mend)) = risk(&survey) {
            let takes_pushes =
                project.settings.push.console.is_some() && !project.settings.redis.may_lose_pushes;
            if is_hopeless(&survey) && takes_pushes {
                bail!(Wording::lines([
                    Wording::with_mend(&what, &mend),
                    wording!(
                        "WeChat's pushes are not taken in like that: it would be told that they are kept. `[redis] may_lose_pushes = true` takes them all the same",
                        "这样不能接收微信的推送：应答意味着已经保存。确实要接收时请写 `[redis] may_lose_pushes = true`"
                    ),
                ]));
            }
            print::warning(lang::of(&what), lang::of(&mend));
        }
        Ok(OpenStore {
            store: Arc::new(server),
            place,
        })
    }

    fn settings(redis: &RedisSection, url: &Secret) -> anyhow::Result<Settings> {
        let authorities = redis.ca.as_deref().map(|path| {
            fs::read(path).with_context(|| {
                let path = path.display();
                say!(
                    "[redis] ca_file: {path} cannot be read",
                    "[redis] ca_file：无法读取 {path}"
                )
            })
        });
        Ok(Settings {
            password: redis.password.clone(),
            sentinels: redis.sentinels.clone(),
            sentinel_password: redis.sentinel_password.clone(),
            cluster: redis.cluster.clone(),
            authorities: authorities.transpose()?,
            prefix: redis
                .prefix
                .clone()
                .unwrap_or_else(|| store_redis::PREFIX.to_owned()),
            ..Settings::of(url.clone())
        })
    }

    /// Whether what was acknowledged is gone with the next restart of the server, or before.
    fn is_hopeless(survey: &Survey) -> bool {
        survey.durability == Durability::Nothing || survey.evicts.is_some()
    }

    /// What may be lost, and the mend.
    fn risk(survey: &Survey) -> Option<(Wording, Wording)> {
        let append = || {
            wording!(
                "give the server `appendonly yes`",
                "请给服务器设置 `appendonly yes`"
            )
        };
        if let Some(policy) = &survey.evicts {
            return Some((
                wording!(
                    "the server drops keys when its memory is full (maxmemory-policy {policy}): logins, keys and pushes may go at any time",
                    "服务器内存满时会丢弃键（maxmemory-policy {policy}）：登录、密钥和推送随时可能丢失"
                ),
                wording!(
                    "give the server `maxmemory-policy noeviction`",
                    "请给服务器设置 `maxmemory-policy noeviction`"
                ),
            ));
        }
        match survey.durability {
            Durability::Each | Durability::Soon => None,
            Durability::Untold => Some((
                wording!(
                    "the server does not say what it keeps over a restart",
                    "服务器没有说明重启后保留什么"
                ),
                wording!(
                    "see to it that it has `appendonly yes`, or what its keeper calls persistence",
                    "请确认它开启了 `appendonly yes`（云厂商称为持久化）"
                ),
            )),
            Durability::Snapshots => Some((
                wording!(
                    "the server keeps snapshots alone: what came since the last one is lost with it, acknowledged pushes among it",
                    "服务器只保存快照：它一旦中断，最近一次快照之后的内容会丢失，包括已应答的推送"
                ),
                append(),
            )),
            Durability::Replicas => Some((
                wording!(
                    "the server keeps nothing on its disk: everything is lost when it and its replicas end together",
                    "服务器不写磁盘：它和所有副本同时中断时，全部内容都会丢失"
                ),
                append(),
            )),
            Durability::Nothing => Some((
                wording!(
                    "the server keeps nothing: with it, users are logged out and pushes are lost",
                    "服务器什么都不保存：它一旦重启，用户会退出登录，推送会丢失"
                ),
                append(),
            )),
        }
    }
}
