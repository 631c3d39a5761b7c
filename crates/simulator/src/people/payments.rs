//! Users' payments, for the one API that asks about them: `getPaidUnionid` (WeChat's document "支付后获取Unionid").
//!
//! WeChat Pay is not simulated. A test says that a user has paid by calling `requestPayment` at `/sim/client`.

use std::{collections::VecDeque, time::Duration};

use clock::Timestamp;
use serde::Serialize;
use wording::wording;

use crate::{
    Simulator, random,
    server::{ApiCall, check_token, errors::ApiRefusal},
};

/// For how long after a payment it can be asked about.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// How many are remembered.
const CAPACITY: usize = 1000;

/// The latest payments, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Payments(VecDeque<Payment>);

/// One of them. Either id finds it, the merchant's together with the merchant.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) openid: String,
    pub(crate) transaction_id: String,
    pub(crate) mch_id: String,
    pub(crate) out_trade_no: String,
    pub(crate) at: Timestamp,
}

impl Payments {
    pub(crate) fn put(&mut self, payment: Payment) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(payment);
    }

    /// Whether the user has paid so; the document lets the ids be left out, and any payment does then.
    fn has(
        &self,
        openid: &str,
        transaction_id: &str,
        (mch_id, out_trade_no): (&str, &str),
        now: Timestamp,
    ) -> bool {
        self.0.iter().any(|payment| {
            let same = if !transaction_id.is_empty() {
                payment.transaction_id == transaction_id
            } else if !out_trade_no.is_empty() {
                payment.mch_id == mch_id && payment.out_trade_no == out_trade_no
            } else {
                true
            };
            same && payment.openid == openid && now.saturating_since(payment.at) <= LIFE
        })
    }
}

/// An id of WeChat Pay's for a payment that was given none: 28 digits.
pub(crate) fn transaction_id() -> String {
    let digits = random::bytes::<27>();
    let digits = digits.iter().map(|byte| char::from(b'0' + byte % 10));
    std::iter::once('4').chain(digits).collect()
}

#[derive(Debug, Serialize)]
pub(crate) struct PaidUnionid {
    unionid: String,
    errcode: i32,
    errmsg: &'static str,
}

/// `GET /wxa/getpaidunionid`
pub(crate) fn get_paid_unionid(sim: &Simulator, ask: &ApiCall) -> Result<PaidUnionid, ApiRefusal> {
    ask.is_get()?;
    check_token(sim, ask)?;
    let openid = ask.query("openid");
    let merchant = (ask.query("mch_id"), ask.query("out_trade_no"));
    let (paid, unionid) = {
        let world = sim.world();
        let user = world.users.by_openid(openid).ok_or(ApiRefusal::InvalidOpenid)?;
        let paid = world
            .payments
            .has(openid, ask.query("transaction_id"), merchant, sim.now());
        (paid, user.unionid.clone())
    };
    if !paid {
        sim.tell(wording!(
            "getPaidUnionId was refused with 89300: the user made no such payment within five minutes; POST /sim/client \
             {{\"user\":…,\"api\":\"requestPayment\"}} pays",
            "getPaidUnionId 被拒绝（89300）：用户五分钟内没有这笔支付；POST /sim/client {{\"user\":…,\"api\":\"requestPayment\"}} 可模拟支付"
        ));
        return Err(ApiRefusal::InvalidTrade);
    }
    Ok(PaidUnionid {
        unionid: unionid.ok_or(ApiRefusal::OpenNotExists)?,
        errcode: 0,
        errmsg: "ok",
    })
}
