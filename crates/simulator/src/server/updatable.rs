//! Updatable messages (动态消息): a shared card whose text the server changes later, by the `activity_id` that it was given before.
//!
//! No card is shown here; what counts is that an id is known, for 24 hours, and that a change of it is one that the document allows.

use clock::Timestamp;
use serde_json::{Map, Value, json};

use crate::{Simulator, random, recent::Recent, server::errors::ApiRefusal};

/// How long an `activity_id` is good, in seconds: "默认24小时后过期".
const LIFE: u64 = 24 * 3600;

/// Each `activity_id` with its end.
pub(crate) type Activities = Recent<Timestamp>;

/// `updatableMessage.createActivityId`. How long an id is, no document says.
pub(crate) fn create(sim: &Simulator) -> Value {
    let id = random::url_safe(64);
    let end = Timestamp::from_secs(sim.now().secs() + LIFE);
    sim.world().activities.put(id.clone(), end);
    json!({ "errcode": 0, "errmsg": "ok", "activity_id": id, "expiration_time": end.secs() })
}

/// `updatableMessage.setUpdatableMsg`. In which order WeChat looks at the params is not documented: a choice.
pub(crate) fn change(sim: &Simulator, params: &Map<String, Value>) -> Result<(), ApiRefusal> {
    let id = params.get("activity_id").and_then(Value::as_str).unwrap_or("");
    let end = sim.world().activities.get(id).copied();
    if end.ok_or(ApiRefusal::InvalidActivity)? <= sim.now() {
        return Err(ApiRefusal::ActivityExpired);
    }
    let Some(0 | 1) = params.get("target_state").and_then(Value::as_u64) else {
        return Err(ApiRefusal::InvalidTargetState);
    };
    let list = params
        .get("template_info")
        .and_then(|info| info.get("parameter_list"))
        .and_then(Value::as_array);
    let versions = list
        .into_iter()
        .flatten()
        .filter(|param| param.get("name").and_then(Value::as_str) == Some("version_type"))
        .filter_map(|param| param.get("value"));
    for version in versions {
        if !matches!(version.as_str(), Some("develop" | "trial" | "release")) {
            return Err(ApiRefusal::InvalidVersionType);
        }
    }
    Ok(())
}
