//! What a worker needs to know to serve a function: settings, places and texts that stay the same until it is loaded
//! anew.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use function::FunctionName;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    KeyPair,
    deps::{SDK, hex},
    frame::{Frame, NO_CALL, Order},
};

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
    pub(crate) problem: Option<String>,
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
    /// The `node_modules` folder whose wx-server-sdk it has loaded.
    pub(crate) sdk_in: Option<PathBuf>,
    /// A switch of Node's, so it cannot be changed later, and compiled code is only good with the same.
    pub(crate) memory_mb: u32,
    /// The port of Node's inspector.
    pub(crate) inspect: Option<u16>,
}

impl Kind {
    /// What a worker is told about the SDK: where it is, and which file has it compiled. See `js/worker/pack.js`.
    pub(crate) fn pack(&self, cache: &Path) -> Option<Value> {
        let tree = self.sdk_in.as_ref().filter(|_| self.inspect.is_none())?;
        let hash = hex(&Sha256::digest(tree.as_os_str().as_encoded_bytes()));
        let file = cache.join("packs").join(format!("{hash}-{}", self.memory_mb));
        Some(json!({ "sdk": SDK, "tree": tree.to_string_lossy(), "file": file.to_string_lossy() }))
    }
}

/// A frame that carries an order other than a call. It may hold the worker's secret, and its buffer is used again: nothing
/// is left in there.
pub(crate) fn order(order: Order, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut frame = Frame::new();
    frame.head().extend_from_slice(text.as_bytes());
    let bytes = frame.seal(order, NO_CALL, 0).ok().map(<[u8]>::to_vec);
    frame.head().zeroize();
    bytes.map(Zeroizing::new)
}

/// What a worker is told about itself: its socket, and its key pair under the names by which its program looks for it.
pub(crate) fn identity(door: &Path, names: &[String; 2], key: &KeyPair) -> Zeroizing<String> {
    let [id, secret] = names.each_ref().map(|name| Value::from(name.as_str()));
    let socket = Value::from(door.to_string_lossy());
    // Hexadecimal digits: nothing to escape.
    Zeroizing::new(format!(
        r#"{{"socket":{socket},"variables":{{{id}:"{}",{secret}:"{}"}}}}"#,
        key.id(),
        key.secret()
    ))
}
