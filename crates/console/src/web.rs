//! Requests and replies of the console: fields in, HTML or a stream of events out.

use bytes::Bytes;
use gateway::ReplyBody;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, COOKIE, HeaderName, LOCATION, SET_COOKIE},
};
use maud::Markup;

/// A query's or a form's fields, in their order.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first of this name; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let mut all = self.0.iter();
        all.find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// All of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.0.iter().filter(move |(known, _)| known == name);
        all.map(|(_, value)| value.as_str())
    }
}

/// A path with a query whose values may be anything.
pub(crate) fn link(path: &str, fields: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

pub(crate) fn html(status: StatusCode, page: Markup) -> Response<ReplyBody> {
    typed(status, "text/html; charset=utf-8", page.into_string().into())
}

/// What is shown stays as it is.
pub(crate) fn nothing() -> Response<ReplyBody> {
    let mut reply = Response::new(ReplyBody::from(Bytes::new()));
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// A part of a page, and what htmx is to do beside showing it: `HX-Trigger`, `HX-Redirect`.
pub(crate) fn part(shown: Markup, header: &'static str, value: &'static str) -> Response<ReplyBody> {
    let mut reply = html(StatusCode::OK, shown);
    let header = HeaderName::from_static(header);
    reply
        .headers_mut()
        .insert(header, HeaderValue::from_static(value));
    reply
}

pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut reply = Response::new(ReplyBody::from(body));
    *reply.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// Leads on to a page of ours, with a cookie to keep, if there is one.
pub(crate) fn lead(to: &str, cookie: &str) -> Response<ReplyBody> {
    let mut reply = typed(StatusCode::SEE_OTHER, "text/plain", Bytes::new());
    let to = HeaderValue::from_str(to).ok().filter(|_| is_ours(to));
    let headers = reply.headers_mut();
    headers.insert(LOCATION, to.unwrap_or(HeaderValue::from_static("/")));
    if let Ok(cookie) = HeaderValue::from_str(cookie)
        && !cookie.is_empty()
    {
        headers.insert(SET_COOKIE, cookie);
    }
    reply
}

/// Whether an address is a path on this listener, as a browser reads it: one leaves tabs and line ends out wherever they stand, and takes
/// `\` for `/`, so that more than `//` leads to another host.
fn is_ours(address: &str) -> bool {
    let is_plain = |byte: u8| byte > b' ' && byte != 0x7f && byte != b'\\';
    address.starts_with('/') && !address.starts_with("//") && address.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_links_stay_values() {
        assert_eq!(link("/calls", &[("function", ""), ("user", "")]), "/calls");
        assert_eq!(
            link("/calls", &[("user", "a&b=\"<"), ("status", "失败")]),
            "/calls?user=a%26b%3D%22%3C&status=%E5%A4%B1%E8%B4%A5"
        );
    }

    #[test]
    fn the_switch_leads_nowhere_else() {
        for (to, leads) in [
            ("/calls?user=a", "/calls?user=a"),
            ("//elsewhere.example", "/"),
            ("/\\elsewhere.example", "/"),
            ("https://elsewhere.example", "/"),
            ("/data?name=%E4%BA%91", "/data?name=%E4%BA%91"),
            ("", "/"),
        ] {
            assert_eq!(lead(to, "a=b").headers()[LOCATION], leads, "{to:?}");
        }
        // Wherever a browser would leave one out.
        for left_out in (0..=b' ').chain([0x7f]).map(char::from) {
            for to in [
                format!("/{left_out}/elsewhere.example"),
                format!("{left_out}//elsewhere.example"),
                format!("/{left_out}\\elsewhere.example"),
                format!("/calls{left_out}"),
            ] {
                assert_eq!(lead(&to, "a=b").headers()[LOCATION], "/", "{to:?}");
            }
        }
    }
}
