//! What lies in a Mini Program repository, read once and checked: `project.config.json`, each cloud function's
//! folder with its `package.json` and `config.json`, `cloudbaserc.json`, and `yunqiao.toml`, which has the last word.
//!
//! [`Project::open`] reads the project in a folder, [`Project::from_config`] the one that a `yunqiao.toml` describes.
//! What makes the whole project unreadable is a [`ProjectError`]; what keeps one function from running is that
//! function's [`Function::problem`](function::Function::problem); what is odd but harmless is a [`Finding`].
//! Each names the file, the cause and the mend, because most people meet this crate through
//! its messages.

mod client_permissions;
mod cloudbaserc;
mod cron;
mod discover;
mod error;
pub mod files;
mod guess;
mod http_function;
mod manifest;
mod miniprogram;
pub mod permissions;
mod project;
mod project_function;
pub mod reference;
mod settings;
mod table;
mod triggers;

use wording::{Wording, wording};

pub use client_permissions::PermissionSource;
pub use cron::{BadCron, Cron};
pub use error::{Finding, ProjectError};
pub use project::{DEFAULT_ENV_ID, Project, Scope};
pub use project_function::ProjectFunction;
pub use secrecy::{ExposeSecret, SecretString as Secret};
pub use settings::{
    AuthSection, CollectionSetting, DatabaseSection, ForeignCodes, LoginSection, Missed, MissingCollection,
    OPERATOR_SECRET_LENGTH, OperatorSection, ProjectSettings, PushConsole, PushSection, RedisSection,
    S3Setting, SimSection, SimSubscription, SimTemplate, SimUser, StorageSection, StoreSetting,
    TimersSection, Ttl, Undeclared, UnknownTemplates, WebSection, Withdrawn,
};
pub use table::nearest;
pub use triggers::{Trigger, Triggers};

/// The mend where a name is most likely another one, misspelt.
#[must_use]
pub fn did_you_mean(near: &str) -> Wording {
    wording!("did you mean `{near}`?", "是不是想写 `{near}`？")
}

/// The mend where a text stands without quotes.
pub(crate) fn quote_it() -> Wording {
    wording!("put the value in double quotes", "请给值加上双引号")
}
