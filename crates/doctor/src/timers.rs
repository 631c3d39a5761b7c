//! What is wrong with `triggers` of a function's `config.json`. None of it can be cured: only the author knows when the
//! function is to run.

use std::fs;

use project::{ProjectFunction, Triggers, files};

use crate::Diagnosis;

pub(crate) fn examine(listed: &ProjectFunction, found: &mut Vec<Diagnosis>) {
    let config = listed.config_json();
    let Ok(bytes) = fs::read(&config) else { return };
    if files::json_object(&bytes).is_err() {
        // Told with the cloud calls; until it can be read, it lists nothing.
        return;
    }
    let triggers = Triggers::parse(&bytes);
    let faults = triggers.faults.into_iter().chain(triggers.second);
    found.extend(faults.map(|fault| Diagnosis::new(&config, Some(fault.line), fault.what, fault.mend)));
}
