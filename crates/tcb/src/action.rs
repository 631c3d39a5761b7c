//! What the SDK can ask for: what is served of it, and what is not yet, in one place.

use crate::{Reply, codes, reply};

/// What a request asks for, by its field `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `wx.openApi`: `cloud.openapi.*`, `cloud.getOpenData`, `cloud.getVoIPSign` and others, in a
    /// [`CommApiData`](crate::protobuf::CommApiData).
    OpenApi,
    /// `wx.api`: `cloud.callOpenAPI`.
    Api,
    /// `functions.invokeFunction`: `cloud.callFunction`.
    InvokeFunction,
    /// Something of the SDK's that is not served yet.
    NotServed(NotServed),
    /// Nothing that the SDK sends.
    Unknown,
}

/// Which of WeChat's services a `wx.openApi` of type `SVRKIT_API` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvrkitApi {
    /// `ApiGetOpenDataByCloudId`: `cloud.getOpenData`.
    OpenData,
    /// `ApiVoipSign`: `cloud.getVoIPSign`.
    VoipSign,
    /// One that is not served yet.
    NotServed(NotServed),
    /// None that the SDK asks.
    Unknown,
}

/// What is not served yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotServed {
    /// `database.*`: `cloud.database()`.
    Database,
    /// `storage.*`: `cloud.uploadFile` and its like.
    Storage,
    /// `wx.wxPayApi`: `cloud.cloudPay.*`.
    CloudPay,
    /// `cloud.getCloudCallSign`.
    CloudCallSign,
    /// A token for another account's environment: `new cloud.Cloud({resourceAppid, resourceEnv})`.
    CrossAccount,
}

impl Action {
    /// What the field `action` stands for.
    #[must_use]
    pub fn of(action: &str) -> Self {
        match action {
            "wx.openApi" => Self::OpenApi,
            "wx.api" => Self::Api,
            "functions.invokeFunction" => Self::InvokeFunction,
            "wx.wxPayApi" => Self::NotServed(NotServed::CloudPay),
            _ if action.starts_with("database.") => Self::NotServed(NotServed::Database),
            _ if action.starts_with("storage.") => Self::NotServed(NotServed::Storage),
            _ => Self::Unknown,
        }
    }
}

impl SvrkitApi {
    /// What [`SvrkitApiData::api_name`](crate::protobuf::SvrkitApiData) stands for.
    #[must_use]
    pub fn of(api_name: &str) -> Self {
        match api_name {
            "ApiGetOpenDataByCloudId" => Self::OpenData,
            "ApiVoipSign" => Self::VoipSign,
            "GetCloudCallSign" => Self::NotServed(NotServed::CloudCallSign),
            _ => Self::Unknown,
        }
    }
}

impl NotServed {
    /// The code, in the space of what was asked: a program that handles a failing database handles this.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Database => codes::DATABASE_REQUEST_FAIL,
            Self::Storage => codes::STORAGE_REQUEST_FAIL,
            Self::CloudPay | Self::CloudCallSign | Self::CrossAccount => codes::RESOURCE_NOT_INITIALIZED,
        }
    }

    /// What the function is told.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Database => "cloud.database() is not served yet",
            Self::Storage => "cloud storage is not served yet",
            Self::CloudPay => "cloud.cloudPay is not served yet",
            Self::CloudCallSign => "cloud.getCloudCallSign is not served yet",
            Self::CrossAccount => "environments of other accounts are not served yet",
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn reply(self, request_id: &str) -> Reply {
        reply::failure(request_id, self.code(), self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_actions_and_services() {
        for (name, action) in [
            ("wx.openApi", Action::OpenApi),
            ("wx.api", Action::Api),
            ("functions.invokeFunction", Action::InvokeFunction),
            ("wx.wxPayApi", Action::NotServed(NotServed::CloudPay)),
            ("database.getDocument", Action::NotServed(NotServed::Database)),
            ("storage.uploadFile", Action::NotServed(NotServed::Storage)),
            ("database", Action::Unknown),
            ("wx.openapi", Action::Unknown),
            ("", Action::Unknown),
        ] {
            assert_eq!(Action::of(name), action, "{name}");
        }
        for (name, api) in [
            ("ApiGetOpenDataByCloudId", SvrkitApi::OpenData),
            ("ApiVoipSign", SvrkitApi::VoipSign),
            ("GetCloudCallSign", SvrkitApi::NotServed(NotServed::CloudCallSign)),
            ("", SvrkitApi::Unknown),
        ] {
            assert_eq!(SvrkitApi::of(name), api, "{name}");
        }
    }
}
