//! `/wxa/business/getuserphonenumber`: the code of the phone number button for the number.

use serde::{Deserialize, Serialize};

use crate::{WeChatClient, WeChatError, transport::Request};

const API: &str = "getuserphonenumber";

/// A user's phone number.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhoneNumber {
    /// With the country's code, where it is a foreign one.
    pub phone_number: String,
    /// Without the country's code.
    pub pure_phone_number: String,
    /// The country's code, such as `86`.
    pub country_code: String,
}

impl std::fmt::Debug for PhoneNumber {
    /// Without the number, which is personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PhoneNumber")
            .field("country_code", &self.country_code)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    phone_info: PhoneNumber,
}

impl WeChatClient {
    /// Exchanges the code of the phone number button, which is not that of `wx.login`; it is good for 5 minutes and
    /// once.
    ///
    /// # Errors
    /// Refused with 40029 invalid code, 45011 too often, 40013 another app's, -1 busy.
    pub async fn get_user_phone_number(&self, code: &str) -> Result<PhoneNumber, WeChatError> {
        let request = Request::post(API, "/wxa/business/getuserphonenumber", &[], &Body { code })?;
        Ok(self.send_authorized(request).await?.read::<Reply>()?.phone_info)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::testing::{Server, reply, token};

    #[tokio::test]
    async fn a_code_becomes_a_number() {
        let server = Server::start(|request| {
            if request.is("stable_token") {
                return token("T", 7200);
            }
            match request.json()["code"].as_str() {
                Some("good") => reply(json!({"errcode": 0, "errmsg": "ok", "phone_info": {
                    "phoneNumber": "+1 206-555-0100", "purePhoneNumber": "2065550100", "countryCode": "1",
                    "watermark": {"timestamp": 1, "appid": "wx"}}})),
                _ => reply(json!({"errcode": 40029, "errmsg": "invalid code hint: [x] rid: 1-2-3"})),
            }
        })
        .await;
        let client = server.client();
        let number = client.get_user_phone_number("good").await.unwrap();
        assert_eq!(
            (number.pure_phone_number.as_str(), number.country_code.as_str()),
            ("2065550100", "1")
        );
        assert!(!format!("{number:?}").contains("2065550100"));
        let error = client.get_user_phone_number("bad").await.unwrap_err();
        assert!(
            matches!(error, WeChatError::Refused { errcode: 40029, .. }),
            "{error:?}"
        );
    }
}
