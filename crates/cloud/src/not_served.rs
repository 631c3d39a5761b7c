//! What the SDK can ask for and nobody here answers: it is told so, and so is whoever looks at the call.

use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tcb::{Action, NotServed, SdkRequest, UPLOAD_PATH, codes, reply};

use crate::{Answering, Capability, CloudRequest, Proof, Transfer, capability::at_once};

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
        asked.refused(name, what.code(), what.text(), what.text());
        at_once(what.reply(asked.request_id(), action))
    }
}

/// Uploads, which the older SDKs can only be told about where they go.
impl Transfer for Rest {
    fn takes(&self, path: &str) -> bool {
        path == UPLOAD_PATH
    }

    fn answer(&self, _: &Parts, mut body: Incoming, asked: CloudRequest) -> Answering {
        Box::pin(async move {
            // To the end: who is still sending does not see the answer.
            while let Some(Ok(_)) = body.frame().await {}
            let what = NotServed::Storage;
            let code = codes::string(what.code()).unwrap_or_default();
            reply::upload_refused(asked.request_id(), code, what.text()).into()
        })
    }
}
