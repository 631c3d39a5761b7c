//! What the SDK can ask for and no capability answers: the function is told so, and so is whoever looks at the call.

use tcb::{Action, NotServed, SdkRequest};
use wording::{Wording, wording};

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
        let api = request
            .envelope
            .api_name()
            .filter(|_| what == NotServed::CloudPay);
        let name = match api {
            Some(api) => format!("{}.{api}", what.name()),
            None => what.name().to_owned(),
        };
        let code = what.code();
        let why = match what {
            NotServed::CloudPay => wording!(
                "cloud.cloudPay is not served yet: WeChat Pay was not asked, so that nothing was ordered, paid or refunded, and the function \
                 got the error {code}. What follows a payment can be tried where the function catches that",
                "cloud.cloudPay 还不支持：没有请求微信支付，也就没有下单、付款或退款，云函数收到错误 {code}。在云函数里捕获这个错误，就可以试付款之后的流程"
            ),
            _ => Wording::as_is(what.text()),
        };
        asked.refused(&name, code, what.text(), &why);
        at_once(what.reply(asked.request_id()))
    }
}
