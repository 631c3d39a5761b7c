//! What the SDK can ask for, by the names that it uses; and what is not served of it, in one place.

use thiserror::Error;

use crate::{
    Envelope, SdkReply, codes,
    protobuf::{ApiData, CommApiData, ProtobufError},
    reply,
};

/// The action whose message says more: `cloud.openapi.*`, `cloud.getOpenData`, `cloud.getVoIPSign` and others.
const OPEN_API: &str = "wx.openApi";
/// `cloud.callOpenAPI`.
pub const CALL_OPEN_API: &str = "wx.api";
/// `cloud.callFunction`.
pub const INVOKE_FUNCTION: &str = "functions.invokeFunction";
/// The service that answers `cloud.getOpenData`.
pub const OPEN_DATA_SERVICE: &str = "ApiGetOpenDataByCloudId";
/// The service that answers `cloud.getVoIPSign`.
pub const VOIP_SERVICE: &str = "ApiVoipSign";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// `wx.openApi` of type `OPEN_API`: an API of WeChat's by `cloud.openapi.x.y(params)`.
    OpenApi,
    /// `wx.openApi` of type `SVRKIT_API`: one of WeChat's own services, by its name.
    Service(&'a str),
    /// `wx.openApi` of type `TOKEN_API`: a token for another account's environment, `new cloud.Cloud({resourceAppid, resourceEnv})`.
    Token,
    /// Any other, by its name.
    Named(&'a str),
}

/// A request of the SDK's, read as far as its action is known.
#[derive(Clone, Debug)]
pub struct SdkRequest<'a> {
    /// Its fields.
    pub envelope: &'a Envelope<'a>,
    /// The message in it; only `wx.openApi` has one.
    pub message: Option<CommApiData<'a>>,
}

/// Why a request cannot be read. `Display` is for whoever sent it; the code is `INVALID_PARAM`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SdkRequestError {
    /// `wx.openApi` without its message.
    #[error("requestData is missing, or is no file of the form")]
    NoMessage,
    /// Its message cannot be read.
    #[error(transparent)]
    Message(#[from] ProtobufError),
}

impl SdkRequestError {
    /// `INVALID_PARAM`, whatever is wrong.
    #[must_use]
    pub fn code(&self) -> i32 {
        codes::INVALID_PARAM
    }
}

impl<'a> SdkRequest<'a> {
    /// Reads the message, if the action has one.
    ///
    /// # Errors
    /// It has one, and that is missing or malformed.
    pub fn read(envelope: &'a Envelope<'a>) -> Result<Self, SdkRequestError> {
        let message = match envelope.action_name() {
            OPEN_API => {
                let message = envelope.request_message().ok_or(SdkRequestError::NoMessage)?;
                Some(CommApiData::decode(message)?)
            }
            _ => None,
        };
        Ok(Self { envelope, message })
    }

    /// What is asked for.
    #[must_use]
    pub fn action(&self) -> Action<'a> {
        match &self.message {
            None => Action::Named(self.envelope.action_name()),
            Some(message) => match &message.data {
                ApiData::OpenApi(_) => Action::OpenApi,
                ApiData::Svrkit(service) => Action::Service(service.api_name),
                ApiData::Token(_) => Action::Token,
            },
        }
    }
}

/// What is not served yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotServed {
    /// `wx.wxPayApi`: `cloud.cloudPay.*`.
    CloudPay,
    /// `cloud.getCloudCallSign`.
    CloudCallSign,
    /// A token for another account's environment: `new cloud.Cloud({resourceAppid, resourceEnv})`.
    CrossAccount,
}

impl NotServed {
    /// What of it an action asks for; `None` if it is served, or nothing that the SDK sends.
    #[must_use]
    pub fn of(action: Action<'_>) -> Option<Self> {
        match action {
            Action::Named("wx.wxPayApi") => Some(Self::CloudPay),
            Action::Service("GetCloudCallSign") => Some(Self::CloudCallSign),
            Action::Token => Some(Self::CrossAccount),
            _ => None,
        }
    }

    /// What the function wrote: the name in the record of its call.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudPay => "cloudPay",
            Self::CloudCallSign => "getCloudCallSign",
            Self::CrossAccount => "new cloud.Cloud",
        }
    }

    /// The code, in the space of what was asked: a program that handles a failing database handles this.
    #[must_use]
    pub fn code(self) -> i32 {
        codes::RESOURCE_NOT_INITIALIZED
    }

    /// What the function is told.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::CloudPay => "cloud.cloudPay is not served yet: nothing was ordered, paid or refunded",
            Self::CloudCallSign => "cloud.getCloudCallSign is not served yet",
            Self::CrossAccount => "environments of other accounts are not served yet",
        }
    }

    /// The whole answer to an action.
    #[must_use]
    pub fn reply(self, request_id: &str) -> SdkReply {
        reply::failure(request_id, self.code(), self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_actions_and_services() {
        for (action, not_served) in [
            (Action::Named("wx.wxPayApi"), Some(NotServed::CloudPay)),
            (Action::Named("database.getDocument"), None),
            (Action::Named("storage.uploadFile"), None),
            (
                Action::Service("GetCloudCallSign"),
                Some(NotServed::CloudCallSign),
            ),
            (Action::Token, Some(NotServed::CrossAccount)),
            (Action::OpenApi, None),
            (Action::Named(CALL_OPEN_API), None),
            (Action::Named(INVOKE_FUNCTION), None),
            (Action::Service(OPEN_DATA_SERVICE), None),
            (Action::Service(VOIP_SERVICE), None),
            (Action::Named("database"), None),
            (Action::Named(""), None),
        ] {
            assert_eq!(NotServed::of(action), not_served, "{action:?}");
        }
    }
}
