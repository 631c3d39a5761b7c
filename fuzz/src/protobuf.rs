//! Protobuf messages as raw bytes, read a second time with `prost`.

use prost::Message;
use tcb::protobuf::{
    ApiData, CommApiData, KeyValuePair, OpenDataRequest, ProtobufError, Reason, SvrkitApiData, TokenApiData,
    VoipSignRequest,
};

/// The messages as `prost` knows them.
pub(crate) mod theirs {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct CommApiData {
        #[prost(int32, tag = 1)]
        pub(crate) api_type: i32,
        #[prost(message, optional, tag = 2)]
        pub(crate) openapi_data: Option<OpenApiData>,
        #[prost(message, optional, tag = 4)]
        pub(crate) svrkit_data: Option<SvrkitApiData>,
        #[prost(message, optional, tag = 5)]
        pub(crate) token_data: Option<TokenApiData>,
        #[prost(string, tag = 6)]
        pub(crate) appid: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct OpenApiData {
        #[prost(message, repeated, tag = 1)]
        pub(crate) pairs: Vec<KeyValuePair>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct KeyValuePair {
        #[prost(string, tag = 1)]
        pub(crate) key: String,
        #[prost(bytes = "vec", tag = 2)]
        pub(crate) value: Vec<u8>,
        #[prost(string, tag = 3)]
        pub(crate) contenttype: String,
        #[prost(string, tag = 4)]
        pub(crate) filename: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct SvrkitApiData {
        #[prost(string, tag = 1)]
        pub(crate) api_name: String,
        #[prost(bytes = "vec", tag = 2)]
        pub(crate) req_data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct TokenApiData {
        #[prost(string, tag = 1)]
        pub(crate) resource_appid: String,
        #[prost(string, tag = 2)]
        pub(crate) resource_env: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct OpenDataRequest {
        #[prost(string, repeated, tag = 2)]
        pub(crate) cloud_ids: Vec<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct VoipSignRequest {
        #[prost(string, tag = 2)]
        pub(crate) group_id: String,
        #[prost(uint32, tag = 3)]
        pub(crate) timestamp: u32,
        #[prost(string, tag = 4)]
        pub(crate) nonce: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct CommOpenApiResp {
        #[prost(bytes = "vec", tag = 1)]
        pub(crate) resp_data: Vec<u8>,
        #[prost(string, tag = 2)]
        pub(crate) content_type: String,
        #[prost(int32, tag = 3)]
        pub(crate) error_code: i32,
        #[prost(int32, tag = 6)]
        pub(crate) svrkit_error_code: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct OpenDataResponse {
        #[prost(message, repeated, tag = 1)]
        pub(crate) data_list: Vec<OpDataItem>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct OpDataItem {
        #[prost(string, tag = 1)]
        pub(crate) cloud_id: String,
        #[prost(string, tag = 2)]
        pub(crate) json: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct VoipSignResponse {
        #[prost(string, tag = 1)]
        pub(crate) signature: String,
    }
}

pub(crate) fn target(data: &[u8]) {
    if let Some((ours, theirs)) = both(CommApiData::decode(data), theirs::CommApiData::decode(data)) {
        same_call(&ours, &theirs);
    }
    if let Some((ours, theirs)) = both(
        OpenDataRequest::decode(data),
        theirs::OpenDataRequest::decode(data),
    ) {
        assert_eq!(ours.cloud_ids, theirs.cloud_ids);
    }
    if let Some((ours, theirs)) = both(
        VoipSignRequest::decode(data),
        theirs::VoipSignRequest::decode(data),
    ) {
        assert_eq!(
            (ours.group_id, ours.timestamp, ours.nonce),
            (theirs.group_id.as_str(), theirs.timestamp, theirs.nonce.as_str())
        );
    }
}

/// Both readings, where both took it; where one alone did, it must be for a reason that is meant.
fn both<A, B>(ours: Result<A, ProtobufError>, theirs: Result<B, prost::DecodeError>) -> Option<(A, B)> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => Some((ours, theirs)),
        (Err(_), Err(_)) => None,
        (Ok(_), Err(error)) => panic!("prost refuses it: {error}"),
        (Err(error), Ok(_)) => match error.reason {
            Reason::WireType(3) | Reason::TooManyElements | Reason::ApiType(_) => None,
            _ => panic!("prost takes it: {error}"),
        },
    }
}

pub(crate) fn same_call(ours: &CommApiData<'_>, theirs: &theirs::CommApiData) {
    assert_eq!(ours.appid.unwrap_or_default(), theirs.appid);
    let openapi = theirs.openapi_data.clone().unwrap_or_default();
    let svrkit = theirs.svrkit_data.clone().unwrap_or_default();
    let token = theirs.token_data.clone().unwrap_or_default();
    let expected = match theirs.api_type {
        0 => ApiData::OpenApi(
            openapi
                .pairs
                .iter()
                .map(|pair| KeyValuePair {
                    key: &pair.key,
                    value: &pair.value,
                    contenttype: &pair.contenttype,
                    filename: &pair.filename,
                })
                .collect(),
        ),
        2 => ApiData::Svrkit(SvrkitApiData {
            api_name: &svrkit.api_name,
            req_data: &svrkit.req_data,
        }),
        3 => ApiData::Token(TokenApiData {
            resource_appid: &token.resource_appid,
            resource_env: &token.resource_env,
        }),
        other => panic!("apiType {other} was taken"),
    };
    assert_eq!(ours.data, expected);
}
