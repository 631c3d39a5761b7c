//! What wx-server-sdk speaks: a call's environment and context, and the string and -50xxxx codes.
