//! HTTP access of functions (云接入): which path leads to which function, what the function is given of the request, what its
//! answer is as an HTTP reply, and how the platform says that something went wrong. Beside that, the rules of a site (静态网站托管). No I/O.
//!
//! What the platform does is taken from its documents (HTTP 访问服务: 云函数的入参与返回值, 路径透传, 错误码). They leave open what becomes of a query's
//! name that is there twice, of several cookies in one reply, of an answer that is not a valid reply, and which HTTP status goes with
//! which code: each choice is named where it is made.

mod client;
mod content;
mod event;
mod path;
mod refusal;
mod reply;
mod route;
mod site;

pub use client::{ContextUser, Network, NetworkError, Proxies, RequestHeaders, user_context};
pub use content::{PIECE, Pieces, ReplyContent};
pub use event::HttpEvent;
pub use path::{PathFault, RequestPath};
pub use refusal::AccessRefusal;
pub use reply::{FunctionResponse, NotAReply, reply_of};
pub use route::{Route, RouteMatch, RoutePath, RoutePathError, Routes};
pub use site::{BuiltPage, CacheRule, PathPattern, PathPatternError, Redirect, SiteRules};

/// The largest result of a function that is called by HTTP, in bytes of its JSON text: what the platform's function service
/// carries each way.
pub const LARGEST_RESULT: u32 = 6 << 20;
