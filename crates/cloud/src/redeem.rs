//! Exchanging cloudIDs: the glue between [`opendata::Redemption`], which knows the rules, and WeChat's client.

use std::sync::Arc;

use calls::{Calls, Note};
use clock::Clock;
use opendata::{CloudId, OpenDataItem, Redemption, Tickets};
use wording::wording;

/// Exchanges cloudIDs. Clones share everything.
#[derive(Clone)]
pub struct Redeemer(Arc<Inner>);

struct Inner {
    calls: Calls,
    tickets: Tickets,
    wechat: wechat::WeChatClient,
    clock: Clock,
}

impl Redeemer {
    pub(crate) fn new(calls: Calls, tickets: Tickets, wechat: wechat::WeChatClient, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            calls,
            tickets,
            wechat,
            clock,
        }))
    }

    /// One item for each id that `openid` hands in, in their order. That WeChat could not be asked is told to the operator, for
    /// the call of this `request_id`, and stands in the items: whatever carries the ids goes on.
    pub async fn redeem(&self, request_id: &str, openid: &str, ids: &[CloudId<'_>]) -> Vec<OpenDataItem> {
        let inner = &self.0;
        let redemption = Redemption::begin(&inner.tickets, openid, inner.clock.now(), ids);
        if redemption.of_wechat().is_empty() {
            return redemption.finish(Vec::new());
        }
        let answers = inner.wechat.get_open_data(openid, redemption.of_wechat()).await;
        redemption.finish(answers.unwrap_or_else(|error| {
            inner.calls.journal().note(&Note {
                request_id,
                openid: Some(openid),
                text: &wording!(
                    "getopendata failed, so the cloudIDs of this call could not be redeemed: {error}",
                    "getopendata 失败，本次调用的 cloudID 无法换取开放数据：{error}"
                ),
            });
            Vec::new()
        }))
    }

    /// The appid whose users' ids these are.
    pub(crate) fn appid(&self) -> &str {
        self.0.calls.appid()
    }

    pub(crate) fn tickets(&self) -> &Tickets {
        &self.0.tickets
    }
}
