//! Protobuf messages of all shapes: requests that `prost` writes are read as they were meant, and replies that we write
//! are read by `prost` as we meant them.
//!
//! The first bytes say of which type and with which numbers; the rest is text, cut at line ends.

use prost::Message;
use tcb::protobuf::{
    CommApiData, CommOpenApiResp, OpenDataRequest, OpenDataResponse, VoipSignRequest, voip_sign_response,
};

use crate::protobuf::{same_call, theirs};

pub(crate) fn target(data: &[u8]) {
    let Some((&[api_type, a, b, c, d], rest)) = data.split_first_chunk() else {
        return;
    };
    let number = i32::from_be_bytes([a, b, c, d]);
    let text = String::from_utf8_lossy(rest);
    let lines: Vec<&str> = text.split('\n').take(400).collect();
    let line = |at: usize| lines.get(at).copied().unwrap_or_default().to_owned();

    let cloud_ids: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    let open_data = theirs::OpenDataRequest { cloud_ids };
    let bytes = open_data.encode_to_vec();
    assert_eq!(
        OpenDataRequest::decode(&bytes).map(|request| request.cloud_ids),
        Ok(lines.clone())
    );

    let voip = theirs::VoipSignRequest {
        group_id: line(0),
        timestamp: number as u32,
        nonce: line(1),
    };
    assert_eq!(
        VoipSignRequest::decode(&voip.encode_to_vec()),
        Ok(VoipSignRequest {
            group_id: &voip.group_id,
            timestamp: voip.timestamp,
            nonce: &voip.nonce,
        })
    );

    let pairs = lines.chunks(3).map(|chunk| theirs::KeyValuePair {
        key: chunk[0].to_owned(),
        value: chunk
            .get(1)
            .map(|value| value.as_bytes().to_vec())
            .unwrap_or_default(),
        contenttype: String::new(),
        filename: chunk.get(2).copied().unwrap_or_default().to_owned(),
    });
    let call = theirs::CommApiData {
        api_type: [0, 2, 3][usize::from(api_type % 3)],
        openapi_data: Some(theirs::OpenApiData {
            pairs: pairs.collect(),
        }),
        svrkit_data: Some(theirs::SvrkitApiData {
            api_name: line(0),
            req_data: bytes,
        }),
        token_data: Some(theirs::TokenApiData {
            resource_appid: line(1),
            resource_env: line(2),
        }),
        appid: line(3),
    };
    let bytes = call.encode_to_vec();
    match CommApiData::decode(&bytes) {
        Ok(ours) => same_call(&ours, &call),
        Err(error) => panic!("{error}"),
    }

    let mut items = OpenDataResponse::default();
    for chunk in lines.chunks(2) {
        items.push(chunk[0], chunk.get(1).copied().unwrap_or_default());
    }
    let items = items.encode();
    let read: Vec<String> = theirs::OpenDataResponse::decode(&*items)
        .unwrap_or_default()
        .data_list
        .into_iter()
        .flat_map(|item| [item.cloud_id, item.json])
        .collect();
    assert!(
        lines
            .iter()
            .copied()
            .eq(read.iter().map(String::as_str).take(lines.len()))
    );
    let signed = theirs::VoipSignResponse::decode(&*voip_sign_response(&line(0)));
    assert_eq!(signed.map(|response| response.signature), Ok(line(0)));

    let response = CommOpenApiResp {
        resp_data: rest.to_vec(),
        content_type: line(0),
        error_code: number,
        svrkit_error_code: number.swap_bytes(),
    };
    assert_eq!(
        theirs::CommOpenApiResp::decode(&*response.encode()),
        Ok(theirs::CommOpenApiResp {
            resp_data: rest.to_vec(),
            content_type: line(0),
            error_code: number,
            svrkit_error_code: number.swap_bytes(),
        })
    );
}
