//! What the pages load: htmx, its extension for server-sent events, our style and our few lines of script. All of it is in
//! the binary.

use bytes::Bytes;
use gateway::ReplyBody;
use http::{Response, StatusCode};

use crate::web;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const ALL: [(&str, &str, &[u8]); 5] = [
    (
        "console.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/console.css"),
    ),
    ("console.js", JAVASCRIPT, include_bytes!("../assets/console.js")),
    ("htmx.min.js", JAVASCRIPT, include_bytes!("../assets/htmx.min.js")),
    (
        "htmx-sse.min.js",
        JAVASCRIPT,
        include_bytes!("../assets/htmx-sse.min.js"),
    ),
    ("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
];

pub(crate) fn find(name: &str) -> Option<Response<ReplyBody>> {
    let (_, content_type, bytes) = ALL.iter().find(|(known, ..)| *known == name)?;
    Some(web::typed(
        StatusCode::OK,
        content_type,
        Bytes::from_static(bytes),
    ))
}
