//! WeChat's number spaces for open data, each number once.
//!
//! -6010xx are Cloud Development's own (the error table of wx-server-sdk 4.0.2); -4100x are those of the official
//! decryption sample, WXBizDataCrypt.

/// `-601001`: system error.
pub const SYSTEM_ERROR: i32 = -601001;
/// `-601002`: system args error.
pub const SYSTEM_ARGS_ERROR: i32 = -601002;
/// `-601003`: system network error; here, that WeChat could not be reached or did not answer.
pub const WECHAT_UNREACHABLE: i32 = -601003;
/// The text of [`WECHAT_UNREACHABLE`].
pub const WECHAT_UNREACHABLE_TEXT: &str = "system network error";
/// `-601004`: api permission denied.
pub const API_PERMISSION_DENIED: i32 = -601004;
/// `-601005`: invalid cloudID.
pub const INVALID_CLOUD_ID: i32 = -601005;
/// `-601006`: cloudID expired.
pub const CLOUD_ID_EXPIRED: i32 = -601006;
/// `-601007`: cloudID and calling user do not match.
pub const CLOUD_ID_NOT_OWNER: i32 = -601007;
/// `-601008`: server-side request timed out.
pub const SERVER_REQUEST_TIMEOUT: i32 = -601008;

/// `-41001` (`IllegalAesKey`): the session_key is not 16 bytes in base64.
pub const ILLEGAL_SESSION_KEY: i32 = -41001;
/// `-41002` (`IllegalIv`): the iv is not 16 bytes in base64.
pub const ILLEGAL_IV: i32 = -41002;
/// `-41003` (`IllegalBuffer`): everything else that can be wrong with `encryptedData`.
pub const ILLEGAL_BUFFER: i32 = -41003;
