//! A file that keeps the users, the templates and who subscribed to which from one start to the next.
//!
//! It is JSON for people to read, and changed as a whole: a new one takes the place of the old, so that a crash leaves one or
//! the other. A change is in the file before the call that made it is answered. Everything else, sessions, tokens and the
//! outbox among it, is forgotten when the simulator ends.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wording::wording;

use crate::{
    Simulator, World,
    people::users::{User, UserError},
    server::templates::{Subscription, Template, TemplateError},
};

/// Why there is no starting from a state file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// It is there and cannot be read.
    #[error("the state file {} cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("the state file {} is not what was written: {source}; mend it, or delete it to start afresh", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// Its users are another app's: their openids would be wrong.
    #[error("the state file {} is of the app {theirs}, and this one is {ours}: give each app a file of its own", .path.display())]
    App {
        /// The file.
        path: PathBuf,
        /// The appid in it.
        theirs: String,
        /// The appid of the settings.
        ours: String,
    },
    /// Something in it cannot be.
    #[error("the state file {} has something that cannot be: {why}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What.
        why: String,
    },
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateContents {
    appid: String,
    users: Vec<User>,
    templates: Vec<Template>,
    subscriptions: Vec<Subscription>,
}

/// The file, and what it holds now.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    text: Mutex<String>,
}

impl StateFile {
    /// Puts what the file holds into the world of this appid; a file that is not there yet is written at the first call.
    pub(crate) fn open(path: &Path, ours: &str, world: &mut World) -> Result<Self, StateError> {
        let path = path.to_owned();
        let text = match fs::read_to_string(&path) {
            // Editors on Windows put a byte order mark before what they save.
            Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(StateError::Read { path, source }),
        };
        if !text.is_empty() {
            let kept: StateContents = match serde_json::from_str(&text) {
                Ok(kept) => kept,
                Err(source) => return Err(StateError::Form { path, source }),
            };
            if kept.appid != ours {
                return Err(StateError::App {
                    path,
                    theirs: kept.appid,
                    ours: ours.to_owned(),
                });
            }
            if let Err(why) = restore(world, kept) {
                return Err(StateError::Content { path, why });
            }
        }
        Ok(Self {
            path,
            text: Mutex::new(text),
        })
    }

    /// Brings the file up to date. What is written is looked at under the file's lock, so that of two calls at the same time
    /// none puts an older state in the place of a newer.
    fn save(&self, sim: &Simulator) -> io::Result<()> {
        let mut written = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let text = text(sim)?;
        if *written == text {
            return Ok(());
        }
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        *written = text;
        Ok(())
    }
}

fn restore(world: &mut World, kept: StateContents) -> Result<(), String> {
    let users = |why: UserError| format!("users: {why}");
    let templates = |why: TemplateError| format!("templates: {why}");
    world.users.restore(kept.users).map_err(users)?;
    world
        .templates
        .restore(kept.templates, kept.subscriptions)
        .map_err(templates)
}

fn text(sim: &Simulator) -> io::Result<String> {
    let world = sim.world();
    let kept = StateContents {
        appid: sim.settings().appid.clone(),
        users: world.users.all().to_vec(),
        templates: world.templates.all().to_vec(),
        subscriptions: world.templates.subscriptions(),
    };
    drop(world);
    let mut text = serde_json::to_string_pretty(&kept)?;
    text.push('\n');
    Ok(text)
}

/// Around every path, where there is a file.
pub(crate) async fn around(
    State((sim, file)): State<(Simulator, Arc<StateFile>)>,
    request: Request,
    next: Next,
) -> Response {
    let answer = next.run(request).await;
    let saving = tokio::task::spawn_blocking(move || {
        if let Err(error) = file.save(&sim) {
            let path = file.path.display();
            sim.tell(wording!(
                "the state file {path} cannot be written, and what was changed will be lost: {error}",
                "无法写入状态文件 {path}，改动将丢失：{error}"
            ));
        }
    });
    if let Err(error) = saving.await {
        tracing::error!(%error, "saving the state did not end");
    }
    answer
}
