//! What the cloud itself answers to a cloud call: the space -6041xx, each code with its text, once.
//!
//! The numbers are those of WeChat's document "错误码", the texts those of the table in wx-server-sdk 4.0.2. A function sees
//! `errCode` with the number, and `errMsg` `system error: error code: -604101`, which the SDK makes.

/// There is no such API, or it has no cloud call.
pub const API_NOT_FOUND: i32 = -604_100;
/// `permissions.openapi` in the `config.json` of the function does not list the API.
pub const NO_PERMISSION: i32 = -604_101;
/// WeChat did not answer in time.
pub const TIMEOUT: i32 = -604_102;
/// Something failed that is not the function's doing: WeChat cannot be reached, or its answer cannot be read.
pub const SYSTEM_ERROR: i32 = -604_103;
/// What called the function must not make cloud calls.
pub const ILLEGAL_SOURCE: i32 = -604_104;

const TABLE: [(i32, &str); 5] = [
    (API_NOT_FOUND, "API not found"),
    (NO_PERMISSION, "function has no permission to call this API"),
    (TIMEOUT, "call open API timeout"),
    (SYSTEM_ERROR, "call open API system error"),
    (ILLEGAL_SOURCE, "illegal source of invocation"),
];

/// The text of a code, if it belongs to this space.
#[must_use]
pub fn text(code: i32) -> Option<&'static str> {
    TABLE.iter().find(|row| row.0 == code).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_sdk() {
        assert_eq!(
            [-604_100, -604_101, -604_102, -604_103, -604_104].map(text),
            [
                Some("API not found"),
                Some("function has no permission to call this API"),
                Some("call open API timeout"),
                Some("call open API system error"),
                Some("illegal source of invocation"),
            ]
        );
        assert_eq!((text(0), text(-604_001)), (None, None));
    }
}
