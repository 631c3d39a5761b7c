//! The database for MongoDB's shells and drivers, where `[database] wire` names an address. It has a thread of its own, so that a
//! shell that asks for everything holds up no call.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
};

use anyhow::Context as _;
use database::Database;
use project::{ExposeSecret as _, Project, Secret};
use tokio::sync::watch;
use wire::{USER, WireFront, WireSettings};

use crate::{
    lang::say,
    stack::{closed, connections},
};

/// The database's name where the project names no environment.
const NAME: &str = "yunqiao";

/// A listener for MongoDB's clients; it ends with this value, or before.
pub(crate) struct DatabaseFront {
    /// Where it is reached.
    address: SocketAddr,
    name: String,
    password: Option<Secret>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DatabaseFront {
    /// Listens at `wire`.
    pub(crate) fn open(
        project: &Project,
        wire: SocketAddr,
        database: Arc<dyn Database>,
    ) -> anyhow::Result<Self> {
        Self::check(project, wire)?;
        let settings = settings(project);
        let (name, password) = (settings.name.clone(), settings.password.clone());
        let listener = TcpListener::bind(wire).with_context(|| {
            say!(
                "{wire} cannot be listened on; a MongoDB may have it (choose another port with `[database] wire` in yunqiao.toml, 0 picks a free one)",
                "无法监听 {wire}；也许被一个 MongoDB 占用（在 yunqiao.toml 里用 `[database] wire` 另选端口，0 表示任选空闲端口）"
            )
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let front = WireFront::new(database, settings);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .with_context(no_thread)?;
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("wire".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => front.serve(listener, closed(stopped)).await,
                        Err(error) => tracing::error!(%error, "[database] wire cannot be listened on"),
                    }
                });
                // What the engine still reads for a client that is gone is not waited for.
                runtime.shutdown_background();
            })
            .with_context(no_thread)?;
        Ok(Self {
            address,
            name,
            password,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Whether it may listen at `wire`.
    pub(crate) fn check(project: &Project, wire: SocketAddr) -> anyhow::Result<()> {
        settings(project).check(wire).context("[database] wire")
    }

    /// The connection string, without the password.
    pub(crate) fn url(&self) -> String {
        self.connection_string("")
    }

    /// The connection string with the password, where one is set.
    pub(crate) fn url_with_password(&self) -> String {
        let Some(password) = &self.password else {
            return self.url();
        };
        let password: String = form_urlencoded::byte_serialize(password.expose_secret().as_bytes()).collect();
        self.connection_string(&format!("{USER}:{password}@"))
    }

    fn connection_string(&self, user: &str) -> String {
        let address = crate::stack::reachable(self.address);
        let source = if user.is_empty() { "" } else { "&authSource=admin" };
        // Direct: a client behind a forwarded port need not reach the address by which this machine knows itself.
        format!(
            "mongodb://{user}{address}/{}?directConnection=true{source}",
            self.name
        )
    }
}

impl Drop for DatabaseFront {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It ends as soon as it is told to.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn settings(project: &Project) -> WireSettings {
    WireSettings {
        name: name(&project.env_id).to_owned(),
        password: project.settings.database.wire_password.clone(),
        connections: connections().wire,
    }
}

/// The database is called as the environment is, where that can be a name of MongoDB's.
fn name(env_id: &str) -> &str {
    let possible = (1..=63).contains(&env_id.len())
        && env_id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && !["admin", "config", "local"].contains(&env_id);
    if possible { env_id } else { NAME }
}

fn no_thread() -> String {
    say!(
        "the thread of [database] wire cannot start",
        "无法启动 [database] wire 的线程"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_called_as_the_environment() {
        assert_eq!(name("cloud1-8gabc"), "cloud1-8gabc");
        for none in ["", "a.b", "a b", "admin", "环境"] {
            assert_eq!(name(none), "yunqiao");
        }
    }
}
