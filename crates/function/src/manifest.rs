//! A function's dependencies as its author wrote them down. Whoever reads the repository fills this in; whoever runs the
//! function installs by it.

use std::path::PathBuf;

/// The names of lock files, in the order in which npm obeys them.
pub const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];

/// What `npm` is told about a function's dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The folder of the `package.json`.
    pub dir: PathBuf,
    /// The `package.json`.
    pub package: PathBuf,
    /// The lock file that npm would obey: the first of [`LOCKS`] that is there.
    pub lock: Option<PathBuf>,
    /// Whether anything is to be installed at all.
    pub has_dependencies: bool,
    /// Whether `"type": "module"` makes the folder's `.js` files ES modules.
    pub is_module: bool,
    /// SHA-256, in hex, over the fields of `package.json` that decide what gets installed, and the lock file. Two
    /// functions with equal hashes can share one tree.
    pub hash: String,
}
