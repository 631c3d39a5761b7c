//! Files of the cloud's storage, as far as they are names, rights and rules: what a `cloudPath` may be, what a file id
//! says, who may read or write a file by an address that was handed out, which bytes of it a client asks for, and
//! what storage says where something is refused. No I/O, and no time but the one that is handed in.
//!
//! A file id is `cloud://<environment>.<bucket>/<path>`. An address holds what it allows, sealed: whoever opens it needs to
//! look nothing up. What the platform does is taken from its documents and from what its SDKs send; where it is not
//! known, the choice is named where it is made.

mod address;
mod answer;
mod content;
mod file_id;
mod path;
mod range;
mod refusal;
mod right;

pub use address::{name_in_address, path_of_address, path_of_picture, path_of_platform_url, plain_path};
pub use answer::FileHead;
pub use content::{Showing, TELLING, content_type, is_text, showing, shown_type};
pub use file_id::{Bucket, FileId, FileIdError, Storage};
pub use path::{CloudPath, CloudPathError, LONGEST_PATH, OWN_FOLDER};
pub use range::{ConditionOutcome, Conditions, Entity, Part};
pub use refusal::StorageRefusal;
pub use right::{Client, Download, Rights, RightsError, Upload};
