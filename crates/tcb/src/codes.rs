//! The cloud's error codes of the space -50xxxx, with -602001 and -604001, each with its string form and text, once.
//!
//! The first digit says whose they are (5 Tencent Cloud, 6 WeChat's servers), the next two what they are about (01
//! common, 02 database, 03 storage, 04 functions). The texts are those of the table in wx-server-sdk 4.0.2; the
//! string forms are what its backend answers, and keep the backend's misspellings.

/// `FunctionName parameter could not be found`: no function has that name. The SDK's table does not list it; the
/// text is the one that client errors show.
pub const FUNCTION_NOT_FOUND: i32 = -501_000;
/// The text of [`FUNCTION_NOT_FOUND`].
pub const FUNCTION_NOT_FOUND_TEXT: &str = "FunctionName parameter could not be found";

/// `SYS_ERR`: something failed that is not the caller's doing. The SDK takes each string code it does not know for it.
pub const SYS_ERR: i32 = -501_001;
/// `SERVER_TIMEOUT`
pub const SERVER_TIMEOUT: i32 = -501_002;
/// `EXCEED_REQUEST_LIMIT`
pub const EXCEED_REQUEST: i32 = -501_003;
/// `EXCEED_CONCURRENT_REQUEST_LIMIT`: the function's queue is full.
pub const EXCEED_CONCURRENT: i32 = -501_004;
/// `INVALIID_ENV`
pub const INVALID_ENV: i32 = -501_005;
/// `INVALID_COMMON_PARAM`
pub const INVALID_COMMON_PARAM: i32 = -501_006;
/// `INVALID_PARAM`: the request is malformed.
pub const INVALID_PARAM: i32 = -501_007;
/// `INVALID_REQUEST_SOURCE`: the caller did not prove who it is.
pub const INVALID_REQUEST_SOURCE: i32 = -501_008;
/// `RESOURCE_NOT_INITIAL`
pub const RESOURCE_NOT_INITIALIZED: i32 = -501_009;
/// `EXCEED_AUTHORITY`: a rule of functions keeps the caller from calling. The SDK's table does not list it; the string is CloudBase's, and
/// that this number of WeChat's goes with it is a choice.
pub const EXCEED_AUTHORITY: i32 = -501_019;

/// `DATABASE_REQUEST_FAILED`
pub const DATABASE_REQUEST_FAIL: i32 = -502_001;
/// `DATABASE_INVALID_OPERRATOR`
pub const DATABASE_INVALID_COMMAND: i32 = -502_002;
/// `DATABASE_PERMISSION_DENIED`
pub const DATABASE_PERMISSION_DENIED: i32 = -502_003;
/// `DATABASE_COLLECTION_EXCEED_LIMIT`
pub const DATABASE_COLLECTION_LIMIT: i32 = -502_004;
/// `DATABASE_COLLECTION_NOT_EXIST`
pub const DATABASE_COLLECTION_NOT_EXIST: i32 = -502_005;

/// `STORAGE_REQUEST_FAIL`
pub const STORAGE_REQUEST_FAIL: i32 = -503_001;
/// `STORAGE_EXCEED_AUTHORITY`
pub const STORAGE_PERMISSION_DENIED: i32 = -503_002;
/// `STORAGE_FILE_NONEXIST`
pub const STORAGE_FILE_NOT_EXIST: i32 = -503_003;
/// `STORAGE_SIGN_PARAM_INVALID`
pub const STORAGE_INVALID_SIGN: i32 = -503_004;

/// `FUNCTIONS_REQUEST_FAIL`
pub const FUNCTIONS_REQUEST_FAIL: i32 = -504_001;
/// `FUNCTIONS_EXECUTE_FAIL`: the function threw, exited, or returned what cannot be JSON.
pub const EXECUTE_FAIL: i32 = -504_002;
/// `FUNCTIONS_TIME_LIMIT_EXCEEDED`: the function took too long. The SDK's table does not list it, so that a function that calls
/// another one sees [`SYS_ERR`], as on the platform; clients are shown the number.
pub const TIME_LIMIT_EXCEEDED: i32 = -504_003;

/// A database query found more than 1 MB.
pub const QUERY_TOO_LARGE: i32 = -602_001;
/// The function returned more than 1 MB.
pub const RESULT_TOO_LARGE: i32 = -604_001;

/// Number, string form (empty where there is none), text.
const TABLE: [(i32, &str, &str); 25] = [
    (FUNCTION_NOT_FOUND, "", FUNCTION_NOT_FOUND_TEXT),
    (SYS_ERR, "SYS_ERR", "resource system error"),
    (SERVER_TIMEOUT, "SERVER_TIMEOUT", "resource server timeout"),
    (EXCEED_REQUEST, "EXCEED_REQUEST_LIMIT", "exceed request limit"),
    (
        EXCEED_CONCURRENT,
        "EXCEED_CONCURRENT_REQUEST_LIMIT",
        "exceed concurrent request limit",
    ),
    (INVALID_ENV, "INVALIID_ENV", "invalid env"),
    (
        INVALID_COMMON_PARAM,
        "INVALID_COMMON_PARAM",
        "invalid common parameters",
    ),
    (INVALID_PARAM, "INVALID_PARAM", "invalid parameters"),
    (
        INVALID_REQUEST_SOURCE,
        "INVALID_REQUEST_SOURCE",
        "invalid request source",
    ),
    (
        RESOURCE_NOT_INITIALIZED,
        "RESOURCE_NOT_INITIAL",
        "resource not initialized",
    ),
    (EXCEED_AUTHORITY, "EXCEED_AUTHORITY", "exceed authority"),
    (
        DATABASE_REQUEST_FAIL,
        "DATABASE_REQUEST_FAILED",
        "database request fail",
    ),
    (
        DATABASE_INVALID_COMMAND,
        "DATABASE_INVALID_OPERRATOR",
        "database invalid command",
    ),
    (
        DATABASE_PERMISSION_DENIED,
        "DATABASE_PERMISSION_DENIED",
        "database permission denied",
    ),
    (
        DATABASE_COLLECTION_LIMIT,
        "DATABASE_COLLECTION_EXCEED_LIMIT",
        "database exceed collection limit",
    ),
    (
        DATABASE_COLLECTION_NOT_EXIST,
        "DATABASE_COLLECTION_NOT_EXIST",
        "database collection not exists",
    ),
    (
        STORAGE_REQUEST_FAIL,
        "STORAGE_REQUEST_FAIL",
        "storage request fail",
    ),
    (
        STORAGE_PERMISSION_DENIED,
        "STORAGE_EXCEED_AUTHORITY",
        "storage permission denied",
    ),
    (
        STORAGE_FILE_NOT_EXIST,
        "STORAGE_FILE_NONEXIST",
        "storage file not exists",
    ),
    (
        STORAGE_INVALID_SIGN,
        "STORAGE_SIGN_PARAM_INVALID",
        "storage invalid sign parameter",
    ),
    (
        FUNCTIONS_REQUEST_FAIL,
        "FUNCTIONS_REQUEST_FAIL",
        "functions request fail",
    ),
    (EXECUTE_FAIL, "FUNCTIONS_EXECUTE_FAIL", "functions execute fail"),
    (
        TIME_LIMIT_EXCEEDED,
        "FUNCTIONS_TIME_LIMIT_EXCEEDED",
        "Invoking task timed out",
    ),
    (
        QUERY_TOO_LARGE,
        "",
        "database query result size exceed limit (1MB)",
    ),
    (
        RESULT_TOO_LARGE,
        "",
        "cloudfunction result size exceed limit (1MB)",
    ),
];

/// The text of a code, if it belongs to this space.
#[must_use]
pub fn text(code: i32) -> Option<&'static str> {
    TABLE.iter().find(|row| row.0 == code).map(|row| row.2)
}

/// The string form of a code, where the cloud's backend has one.
#[must_use]
pub fn string(code: i32) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|row| row.0 == code && !row.1.is_empty())
        .map(|row| row.1)
}

/// The string form that is sent for a code: `SYS_ERR` where it has none, but for [`FUNCTION_NOT_FOUND`], of which the SDKs know no more but
/// 4.0.2 shows the string.
#[must_use]
pub fn sent(code: i32) -> &'static str {
    match code {
        FUNCTION_NOT_FOUND => "FUNCTION_NOT_FOUND",
        _ => string(code).unwrap_or("SYS_ERR"),
    }
}

/// The number that the SDK makes of a string code: [`SYS_ERR`] for each that it does not know.
#[must_use]
pub fn number(string: &str) -> i32 {
    TABLE
        .iter()
        .find(|row| row.1 == string && !string.is_empty())
        .map_or(SYS_ERR, |row| row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_once_and_its_forms_lead_to_each_other() {
        let numbers: std::collections::BTreeSet<i32> = TABLE.iter().map(|row| row.0).collect();
        assert_eq!(numbers.len(), TABLE.len());
        for (code, form, text_of_it) in TABLE {
            assert_eq!(text(code), Some(text_of_it));
            if !form.is_empty() {
                assert_eq!((number(form), string(code)), (code, Some(form)));
            }
        }
        assert_eq!(
            (text(0), string(FUNCTION_NOT_FOUND), string(1)),
            (None, None, None)
        );
    }

    #[test]
    fn unknown_strings_are_system_errors_as_in_the_sdk() {
        for unknown in [
            "",
            "INVALID_ENV",
            "FUNCTION_NOT_FOUND",
            "DATABASE_DUPLICATE_WRITE",
        ] {
            assert_eq!(number(unknown), SYS_ERR);
        }
        assert_eq!(number("INVALIID_ENV"), INVALID_ENV);
    }
}
