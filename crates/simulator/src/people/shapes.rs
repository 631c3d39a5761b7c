//! The JSON texts that open data consists of, before encryption: names, order and spacing as WeChat writes them.

use std::time::Duration;

use clock::Timestamp;
use serde::Serialize;

use crate::people::users::{Profile, STEP_DAYS, User};

const DAY: u64 = 24 * 3600;
/// Beijing is eight hours ahead, all the year.
const BEIJING: u64 = 8 * 3600;

/// The stamp on every piece of open data: for which app and when.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Watermark {
    timestamp: u64,
    appid: String,
}

impl Watermark {
    pub(crate) fn new(appid: &str, now: Timestamp) -> Self {
        Self {
            timestamp: now.secs(),
            appid: appid.to_owned(),
        }
    }
}

/// What `getUserInfo` encrypts: the order is that of the official sample.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserInfo<'a> {
    pub(crate) open_id: &'a str,
    #[serde(flatten)]
    pub(crate) profile: &'a Profile,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) union_id: Option<&'a str>,
    pub(crate) watermark: Watermark,
}

/// What `getUserProfile` encrypts: no openId, no unionId.
#[derive(Debug, Serialize)]
pub(crate) struct UserProfile<'a> {
    #[serde(flatten)]
    pub(crate) profile: &'a Profile,
    pub(crate) watermark: Watermark,
}

/// What `getWeRunData` encrypts: the last 31 days, the oldest first, today's last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WeRunData {
    step_info_list: Vec<StepInfo>,
    watermark: Watermark,
}

#[derive(Debug, Serialize)]
struct StepInfo {
    /// Midnight in Beijing, seconds.
    timestamp: u64,
    step: u32,
}

impl WeRunData {
    pub(crate) fn new(user: &User, now: Timestamp, watermark: Watermark) -> Self {
        let today = beijing_day(now);
        let step_info_list = (0..STEP_DAYS as u64)
            .rev()
            .zip(&user.steps)
            .map(|(ago, &step)| StepInfo {
                timestamp: ((today.saturating_sub(ago)) * DAY).saturating_sub(BEIJING),
                step,
            })
            .collect();
        Self {
            step_info_list,
            watermark,
        }
    }
}

/// What the phone number button encrypts, and what `/wxa/business/getuserphonenumber` answers as `phone_info`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhoneInfo {
    phone_number: String,
    pure_phone_number: String,
    country_code: &'static str,
    watermark: Watermark,
}

impl PhoneInfo {
    pub(crate) fn new(user: &User, watermark: Watermark) -> Self {
        Self {
            // The country code stands before a foreign number only; every user here has a Chinese one.
            phone_number: user.phone.clone(),
            pure_phone_number: user.phone.clone(),
            country_code: "86",
            watermark,
        }
    }
}

/// What `getShareInfo` encrypts for a card shared into a group.
#[derive(Debug, Serialize)]
pub(crate) struct ShareInfo<'a> {
    #[serde(rename = "openGId")]
    pub(crate) open_gid: &'a str,
    pub(crate) watermark: Watermark,
}

/// What `getGroupEnterInfo` encrypts for an ordinary group. The documents' samples show no watermark, and a decrypted
/// `getShareInfo` has one: there is one here.
#[derive(Debug, Serialize)]
pub(crate) struct GroupEnterInfo<'a> {
    pub(crate) opengid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_openid: Option<&'a str>,
    pub(crate) chat_type: u8,
    pub(crate) watermark: Watermark,
}

/// The number of the day in Beijing, counted from 1970.
pub(crate) fn beijing_day(now: Timestamp) -> u64 {
    (now + Duration::from_secs(BEIJING)).secs() / DAY
}

/// The number of the month in Beijing, counted from January of the year 0 (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
pub(crate) fn beijing_month(now: Timestamp) -> u64 {
    // Days since March 1st of the year 0, whose eras of 400 years are all alike and end in the leap day.
    let days = beijing_day(now) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    (era * 400 + year) * 12 + months_since_march + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_in_beijing() {
        for (secs, year, month) in [
            (0, 1970, 1),
            (1_582_991_999, 2020, 2),
            (1_582_992_000, 2020, 3),
            (1_795_263_000, 2026, 11),
            (1_798_732_799, 2026, 12),
            (1_798_732_800, 2027, 1),
        ] {
            let expected = year * 12 + month - 1;
            assert_eq!(beijing_month(Timestamp::from_secs(secs)), expected, "{secs}");
        }
    }
}
