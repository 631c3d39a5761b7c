//! What the SDK can ask for and no capability answers: the function is told so, and so is whoever looks at the call.

use tcb::{Action, NotServed, SdkRequest};
use wording::Wording;

use crate::{Answering, Capability, CloudRequest, Proof, capability::at_once};

/// Everything that [`NotServed`] lists.
pub(crate) struct Rest;

impl Capability for Rest {
    /// Told whoever asks: the oldest SDKs send no token with these.
    fn proof(&self, action: &Action<'_>) -> Option<Proof> {
        NotServed::of(*action).map(|_| Proof::Worker)
    }

    fn answer(&self, request: &SdkRequest<'_>, mut asked: CloudRequest) -> Answering {
        let action = request.action();
        let Some(what) = NotServed::of(action) else {
            return at_once(asked.malformed("there is no such action"));
        };
        let name = match action {
            Action::Named(name) => name,
            _ => what.name(),
        };
        asked.refused(name, what.code(), what.text(), &Wording::as_is(what.text()));
        at_once(what.reply(asked.request_id()))
    }
}
