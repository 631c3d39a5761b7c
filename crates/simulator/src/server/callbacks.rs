//! Which messages go to which function, as the app's owner configures it at WeChat: `/tcb/setcallbackconfig` and
//! `/tcb/getcallbackconfig` (WeChat's documents "设置消息推送配置", "获取消息推送配置"). The catalogue of cloud calls does not have them.
//!
//! It is remembered and checked, and that is all: functions do not run here, and pushes go to the URL of the push settings
//! whatever is configured. **Choices**: a (msgType, event) pair that is there twice is refused, as the console has
//! each once, and so is a `text_mode` other than 1 and 2, both with 40097; before anything was set, nothing is enabled.

use axum::Router;
use serde::{Deserialize, Serialize};

use crate::{
    Simulator,
    server::{
        ApiCall, api, check_token,
        errors::{ApiRefusal, Family},
    },
};

/// The paths that are served.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/tcb/setcallbackconfig", api(Family::Wxa, set))
        .route("/tcb/getcallbackconfig", api(Family::Wxa, get))
}

/// What is configured.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Callbacks {
    function_config: FunctionConfig,
    container_config: ContainerConfig,
}

/// Of cloud functions.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct FunctionConfig {
    enable: bool,
    #[serde(default)]
    callbacks: Vec<Callback>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Callback {
    msg_type: String,
    /// Empty for a message.
    #[serde(default)]
    event: String,
    env: String,
    function_name: String,
    enable: bool,
}

/// Of 微信云托管.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct ContainerConfig {
    enable: bool,
    #[serde(default)]
    qbase_env: String,
    #[serde(default)]
    qbase_container_path: String,
    #[serde(default = "json_mode")]
    text_mode: u8,
}

impl Default for ContainerConfig {
    fn default() -> Self {
        Self {
            enable: false,
            qbase_env: String::new(),
            qbase_container_path: String::new(),
            text_mode: json_mode(),
        }
    }
}

/// 2 is XML.
fn json_mode() -> u8 {
    1
}

/// A section that is left out stays as it is.
#[derive(Deserialize)]
struct Change {
    function_config: Option<FunctionConfig>,
    container_config: Option<ContainerConfig>,
}

impl Change {
    fn check(&self) -> Result<(), ApiRefusal> {
        let callbacks = self.function_config.iter().flat_map(|config| &config.callbacks);
        let mut pairs: Vec<_> = callbacks.map(|row| (&row.msg_type, &row.event)).collect();
        let rows = pairs.len();
        pairs.sort_unstable();
        pairs.dedup();
        let modes = self.container_config.iter().map(|config| config.text_mode);
        if pairs.len() < rows || modes.into_iter().any(|mode| ![1, 2].contains(&mode)) {
            return Err(ApiRefusal::InvalidArgs);
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct ConfigBody {
    errcode: i32,
    errmsg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Callbacks>,
}

impl ConfigBody {
    const fn with(data: Option<Callbacks>) -> Self {
        Self {
            errcode: 0,
            errmsg: "ok",
            data,
        }
    }
}

fn set(sim: &Simulator, ask: &ApiCall) -> Result<ConfigBody, ApiRefusal> {
    ask.is_post()?;
    check_token(sim, ask)?;
    let change: Change = ask.json(sim)?;
    change.check()?;
    let world = &mut *sim.world();
    let callbacks = &mut world.callbacks;
    if let Some(functions) = change.function_config {
        callbacks.function_config = functions;
    }
    if let Some(container) = change.container_config {
        callbacks.container_config = container;
    }
    Ok(ConfigBody::with(None))
}

fn get(sim: &Simulator, ask: &ApiCall) -> Result<ConfigBody, ApiRefusal> {
    ask.is_post()?;
    check_token(sim, ask)?;
    Ok(ConfigBody::with(Some(sim.world().callbacks.clone())))
}
