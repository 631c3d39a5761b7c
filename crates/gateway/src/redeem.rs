//! Having WeChat redeem what only WeChat can: the glue between [`opendata::Redemption`] and WeChat's client.

use opendata::{CloudId, Item, Redemption};

use crate::{Inner, Note};

/// One item for each id, in their order. That WeChat could not be asked is told to the operator, and stands in the items: the
/// call that carries the ids goes on.
pub(crate) async fn redeem(inner: &Inner, request_id: &str, openid: &str, ids: &[CloudId<'_>]) -> Vec<Item> {
    let redemption = Redemption::begin(&inner.tickets, openid, inner.clock.now(), ids);
    if redemption.of_wechat().is_empty() {
        return redemption.finish(Vec::new());
    }
    let answers = inner.wechat.get_open_data(openid, redemption.of_wechat()).await;
    redemption.finish(answers.unwrap_or_else(|error| {
        inner.journal.note(&Note {
            request_id,
            openid: Some(openid),
            text: &format_args!(
                "getopendata failed, so the cloudIDs of this call could not be redeemed: {error}"
            ),
        });
        Vec::new()
    }))
}
