//! What a worker needs to know to serve a function: settings, places and texts that stay the same until it is loaded
//! anew.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use function::{FunctionName, SDK};
use serde_json::json;
use sha2::{Digest, Sha256};
use wording::Wording;

use crate::deps::hex;

/// A function as it was loaded.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: FunctionName,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) max_instances: usize,
    /// Which workers can take it over.
    pub(crate) kind: Kind,
    /// What the worker is told, as JSON.
    pub(crate) order: String,
    /// Over settings and files: two specs with equal fingerprints are the same function.
    pub(crate) fingerprint: [u8; 32],
    /// Why it cannot run.
    pub(crate) problem: Option<Wording>,
}

impl Spec {
    /// A debugger is or may be attached: nothing is too slow.
    pub(crate) fn is_inspected(&self) -> bool {
        self.kind.inspect.is_some()
    }
}

/// What must be the same for a spare worker to serve a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// A switch of Node's, so it cannot be changed later, and compiled code is only good with the same.
    pub(crate) memory_mb: u32,
    /// The port of Node's inspector.
    pub(crate) inspect: Option<u16>,
    /// What a worker is told about the SDK that it is to load beforehand: where it is, and which file has it compiled. See
    /// `js/worker/pack.js`.
    pub(crate) pack: Option<Arc<str>>,
}

impl Kind {
    /// `cache` is where compiled code is kept.
    pub(crate) fn new(sdk_in: Option<PathBuf>, memory_mb: u32, inspect: Option<u16>, cache: &Path) -> Self {
        // Under a debugger the modules are to be those that lie on the disk.
        let pack = sdk_in.filter(|_| inspect.is_none()).map(|tree| {
            let hash = hex(&Sha256::digest(tree.as_os_str().as_encoded_bytes()));
            let file = cache.join("packs").join(format!("{hash}-{memory_mb}"));
            json!({ "sdk": SDK, "tree": tree.to_string_lossy(), "file": file.to_string_lossy() }).to_string()
        });
        Self {
            memory_mb,
            inspect,
            pack: pack.map(Arc::from),
        }
    }
}
