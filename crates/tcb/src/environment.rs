//! A call's environment variables, as JSON text for the frame that carries the call to its worker.
//!
//! Identity reaches a cloud function through variables: `getWXContext()` reads `WX_OPENID` and its like, of which
//! `WX_CONTEXT_KEYS` lists the names. An [`Environment`] renders what never changes between calls of one function
//! once, and appends what a [`CallVariables`] brings in one pass over one buffer. Which names there are follows what
//! wx-server-sdk 0.5.1 to 4.0.2 were observed to need, and an environment of the real platform that was published.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{IpAddr, Ipv4Addr},
};

/// Where the SDK sends its requests. The name never resolves: the worker's hook hands them to the gateway.
const ADMIN_URL: &str = "http://tcb.local/admin";
/// The variables that hold the key pair with which the SDK signs its requests: id, then secret. Each worker has its own
/// pair for all of its calls, so they are not part of a call's environment. Without a pair the SDK raises an unhandled
/// rejection on each request.
pub const KEY_VARIABLES: [&str; 2] = ["TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY"];
/// The names that the SDK may read of those that start with `TCB_` or are set for it: it sees no other. The platform's
/// list, less `TCB_SESSIONTOKEN`, which only temporary key pairs have.
const TCB_CONTEXT_KEYS: &str = "TCB_ENV,TCB_SEQID,TRIGGER_SRC,TCB_SOURCE";
/// The same of a call for a user of CloudBase's SDKs. That these names are listed is what node-sdk's `auth().getUserInfo()` needs.
const TCB_CONTEXT_KEYS_OF_WEB: &str = "TCB_ENV,TCB_SEQID,TRIGGER_SRC,TCB_SOURCE,TCB_UUID,LOGINTYPE,\
    TCB_ISANONYMOUS_USER,TCB_CUSTOM_USER_ID,TCB_SOURCE_IP";

/// Every name that is the platform's to set, whether this call sets it or not: a function's own variable of such a
/// name would pass for the platform's word, a `WX_OPENID` for a caller.
const PLATFORM: [&str; 44] = [
    "LOGINTYPE",
    "QQ_APPID",
    "QQ_OPENID",
    "SCF_FUNCTIONNAME",
    "SCF_NAMESPACE",
    "TCB_CONTEXT_CNFG",
    "TCB_CONTEXT_KEYS",
    "TCB_CUSTOM_USER_ID",
    "TCB_ENV",
    "TCB_HTTP_CONTEXT",
    "TCB_ISANONYMOUS_USER",
    "TCB_ROUTE_KEY",
    "TCB_SEQID",
    "TCB_SESSIONTOKEN",
    "TCB_SOURCE",
    "TCB_SOURCE_IP",
    "TCB_TRACELOG",
    "TCB_UUID",
    "TENCENTCLOUD_APPID",
    "TENCENTCLOUD_REGION",
    "TENCENTCLOUD_RUNENV",
    "TENCENTCLOUD_SECRETID",
    "TENCENTCLOUD_SECRETKEY",
    "TENCENTCLOUD_SESSIONTOKEN",
    "TENCENTCLOUD_UIN",
    "TRIGGER_SRC",
    "WX_API_TOKEN",
    "WX_APPID",
    "WX_CLIENTIP",
    "WX_CLIENTIPV6",
    "WX_CLOUDBASE_ACCESSTOKEN",
    "WX_CONTEXT_KEYS",
    "WX_FROM_APPID",
    "WX_FROM_OPENID",
    "WX_FROM_UNIONID",
    "WX_OPENID",
    "WX_OPEN_DATA_INFO",
    "WX_TRIGGER_API_TOKEN_V0",
    "WX_UNIONID",
    "_SCF_TCB_LOG",
    // With one of these the SDK believes that it runs elsewhere, and asks hosts that are not there for its keys.
    "CBR_ENV_ID",
    "KUBERNETES_SERVICE_HOST",
    "SUMERU_ENV",
    "TENCENTCLOUD",
];

/// What never changes between the calls of one function.
#[derive(Clone, Debug)]
pub struct SiteVariables {
    /// The cloud environment's id.
    pub env_id: String,
    /// The region's name, such as `ap-shanghai`. The SDK only wants that there is one.
    pub region: String,
    /// The Mini Program's appid.
    pub appid: String,
    /// The function's name.
    pub function_name: String,
    /// The function's memory, in MB.
    pub memory_mb: u32,
    /// How long a call may run, in milliseconds.
    pub time_limit_ms: u32,
    /// The function's own variables. One with a name of the platform's has no effect; see
    /// [`Environment::overruled`].
    pub variables: BTreeMap<String, String>,
}

/// Who calls, and how: what changes with each call.
#[derive(Clone, Copy, Debug)]
pub struct CallVariables<'a> {
    /// The call's id, which the client is told as `requestID`.
    pub request_id: &'a str,
    /// `SOURCE` of `getWXContext()`, one word for each hop: `wx_client`, `wx_client,scf`.
    pub source: &'a str,
    /// The user, if the call is made for one.
    pub user: Option<UserVariables<'a>>,
    /// The same user as CloudBase knows them, if they logged in by its SDKs.
    pub web: Option<WebVariables<'a>>,
    /// The client's address, if it is known.
    pub client_ip: Option<IpAddr>,
    /// The call's token for cloud calls; void when the call has ended.
    pub api_token: &'a str,
    /// The event's fields that the platform filled in, as JSON string literals with their quotes.
    pub open_data: &'a [&'a str],
    /// What set the call off.
    pub trigger: CallTrigger,
    /// How often what set the call off has been tried with this one, from 1: `context.attempt`. Of message pushes only,
    /// which are tried again.
    pub attempt: Option<u32>,
    /// How many bytes the result may have, where that is more than a client's call may give.
    pub most: Option<u32>,
}

/// The user that a call is made for.
#[derive(Clone, Copy, Debug)]
pub struct UserVariables<'a> {
    /// The user's id within this Mini Program.
    pub openid: &'a str,
    /// The user's id across the Mini Programs of one owner, if there is one.
    pub unionid: Option<&'a str>,
}

/// A user who logged in by one of CloudBase's SDKs: on a web page, most of them.
#[derive(Clone, Copy, Debug)]
pub struct WebVariables<'a> {
    /// The user's id in this environment: `TCB_UUID`.
    pub uid: &'a str,
    /// How they logged in: `LOGINTYPE`.
    pub login_type: &'a str,
    /// Who they are to the server that vouched for them: `TCB_CUSTOM_USER_ID`.
    pub custom_user_id: Option<&'a str>,
    /// Whether they are nobody in particular: `TCB_ISANONYMOUS_USER`.
    pub is_anonymous: bool,
}

/// What set a call off: `TRIGGER_SRC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTrigger {
    /// A request.
    Tcb,
    /// A timer. The call's token has another name then.
    Timer,
}

impl CallTrigger {
    fn name(self) -> &'static str {
        match self {
            Self::Tcb => "tcb",
            Self::Timer => "timer",
        }
    }

    fn token_variable(self) -> &'static str {
        match self {
            Self::Tcb => "WX_API_TOKEN",
            Self::Timer => "WX_TRIGGER_API_TOKEN_V0",
        }
    }
}

/// The environment of one function's calls.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `"NAME":"value",…` of what never changes, as members of an object, with a comma at the end.
    members: Vec<u8>,
    /// The context's members that never change, as a JSON object.
    constants: String,
    overruled: Vec<String>,
}

impl Environment {
    /// Renders what never changes.
    #[must_use]
    pub fn new(site: &SiteVariables) -> Self {
        let mut members = Vec::with_capacity(1024);
        for (name, value) in [
            ("TENCENTCLOUD_RUNENV", "SCF"),
            ("TENCENTCLOUD_REGION", &site.region),
            ("SCF_NAMESPACE", &site.env_id),
            ("SCF_FUNCTIONNAME", &site.function_name),
            ("_SCF_TCB_LOG", "1"),
            ("TCB_ENV", &site.env_id),
            ("TCB_CONTEXT_CNFG", &format!(r#"{{"URL":"{ADMIN_URL}"}}"#)),
            ("WX_APPID", &site.appid),
        ] {
            member(&mut members, name, value);
        }
        let mut overruled = Vec::new();
        for (name, value) in &site.variables {
            if PLATFORM.contains(&name.as_str()) {
                overruled.push(name.clone());
            } else {
                json::write_string(&mut members, name);
                members.push(b':');
                json::write_string(&mut members, value);
                members.push(b',');
            }
        }
        Self {
            constants: constants(site, &members),
            members,
            overruled,
        }
    }

    /// The names of the function's own variables that have no effect because they are the platform's: worth telling
    /// the author of the function.
    #[must_use]
    pub fn overruled(&self) -> &[String] {
        &self.overruled
    }

    /// The members of the function's `context` that never change, as the text of a JSON object: `function_name`,
    /// `function_version`, `namespace`, `memory_limit_in_mb`, `time_limit_in_ms`, `tencentcloud_region`,
    /// `tencentcloud_appid`, `tencentcloud_uin`, and `environment`: the variables that are the same for all calls, which
    /// is what modules see while they are loaded. What belongs to the call (`request_id`, its own `environment` and
    /// `environ`, `getRemainingTimeInMillis`) is the worker's to add.
    #[must_use]
    pub fn constants(&self) -> String {
        self.constants.clone()
    }

    /// Appends the head of a call's frame: `{"r":"<request_id>","e":{…}}`, where `e` holds every variable of the
    /// call, each a string. Where the call has an attempt's number, `"a":1,` stands before them; where its result may be larger than
    /// usual, `"m":<bytes>,`. No call has both.
    pub fn write(&self, caller: &CallVariables<'_>, out: &mut Vec<u8>) {
        // What a caller brings fits into 768 bytes unless its ids are very long; the buffer grows then.
        let listed: usize = caller.open_data.iter().map(|field| 2 * field.len()).sum();
        out.reserve(self.members.len() + listed + 768);

        out.push(b'{');
        if let Some(attempt) = caller.attempt {
            // Writing to a Vec cannot fail.
            let _ = write!(out, r#""a":{attempt},"#);
        } else if let Some(most) = caller.most {
            let _ = write!(out, r#""m":{most},"#);
        }
        out.extend_from_slice(br#""r":"#);
        json::write_string(out, caller.request_id);
        out.extend_from_slice(br#","e":{"#);
        out.extend_from_slice(&self.members);
        // The trace id can be any text that differs between calls.
        member(out, "TCB_SEQID", caller.request_id);
        member(out, "TCB_SOURCE", caller.source);
        member(out, "TRIGGER_SRC", caller.trigger.name());
        match &caller.web {
            None => member(out, "TCB_CONTEXT_KEYS", TCB_CONTEXT_KEYS),
            Some(web) => write_web(out, web, caller.client_ip),
        }

        let mut keys = Keys::default();
        if let Some(ip) = caller.client_ip {
            write_ip(out, ip.to_canonical(), &mut keys);
        }
        keys.add("WX_APPID");
        if let Some(user) = caller.user {
            member(out, keys.add("WX_OPENID"), user.openid);
            if let Some(unionid) = user.unionid {
                member(out, keys.add("WX_UNIONID"), unionid);
            }
        }
        member(out, keys.add(caller.trigger.token_variable()), caller.api_token);
        key(out, keys.add("WX_OPEN_DATA_INFO"));
        write_open_data_info(out, caller.open_data);
        out.push(b',');

        key(out, "WX_CONTEXT_KEYS");
        keys.write(out);
        out.extend_from_slice(b"}}");
    }
}

/// The names listed in `WX_CONTEXT_KEYS`: those that are set, in the order of the published environment.
#[derive(Default)]
struct Keys {
    names: [&'static str; 7],
    count: usize,
}

impl Keys {
    /// Lists a name, and hands it back to be set.
    fn add(&mut self, name: &'static str) -> &'static str {
        self.names[self.count] = name;
        self.count += 1;
        name
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        for (at, name) in self.names[..self.count].iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
        }
        out.push(b'"');
    }
}

/// `"name":`, for a name that needs no escape.
fn key(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// `"name":"value",`
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    json::write_string(out, value);
    out.push(b',');
}

/// What node-sdk's `auth()` knows of the user.
fn write_web(out: &mut Vec<u8>, web: &WebVariables<'_>, client_ip: Option<IpAddr>) {
    member(out, "TCB_CONTEXT_KEYS", TCB_CONTEXT_KEYS_OF_WEB);
    member(out, "TCB_UUID", web.uid);
    member(out, "LOGINTYPE", web.login_type);
    let is_anonymous = if web.is_anonymous { "true" } else { "false" };
    member(out, "TCB_ISANONYMOUS_USER", is_anonymous);
    if let Some(id) = web.custom_user_id {
        member(out, "TCB_CUSTOM_USER_ID", id);
    }
    if let Some(ip) = client_ip {
        member(out, "TCB_SOURCE_IP", &ip.to_canonical().to_string());
    }
}

/// The client's address: one of version 4 is given in both forms, as the platform does.
fn write_ip(out: &mut Vec<u8>, ip: IpAddr, keys: &mut Keys) {
    match ip {
        IpAddr::V4(ip) => {
            key(out, keys.add("WX_CLIENTIP"));
            out.push(b'"');
            write_ipv4(out, ip);
            out.extend_from_slice(b"\",");
            key(out, keys.add("WX_CLIENTIPV6"));
            out.extend_from_slice(b"\"::ffff:");
            write_ipv4(out, ip);
        }
        IpAddr::V6(ip) => {
            key(out, keys.add("WX_CLIENTIPV6"));
            out.push(b'"');
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{ip}");
        }
    }
    out.extend_from_slice(b"\",");
}

/// As `Display`, without its detour over padding.
fn write_ipv4(out: &mut Vec<u8>, ip: Ipv4Addr) {
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

/// `{"keys":["field",…]}` as the content of a JSON string: text within text, so the literals are escaped again. They
/// came through a strict parser, so of what needs an escape they hold only quotes and backslashes.
fn write_open_data_info(out: &mut Vec<u8>, fields: &[&str]) {
    out.extend_from_slice(br#""{\"keys\":["#);
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        for &byte in field.as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
    out.extend_from_slice(br#"]}""#);
}

fn constants(site: &SiteVariables, members: &[u8]) -> String {
    let mut out = Vec::with_capacity(256 + members.len());
    out.extend_from_slice(br#"{"environment":{"#);
    out.extend_from_slice(members);
    key(&mut out, "TCB_CONTEXT_KEYS");
    json::write_string(&mut out, TCB_CONTEXT_KEYS);
    out.extend_from_slice(b"},");
    member(&mut out, "function_name", &site.function_name);
    member(&mut out, "function_version", "$LATEST");
    member(&mut out, "namespace", &site.env_id);
    member(&mut out, "tencentcloud_region", &site.region);
    // There is no account at Tencent Cloud behind a call; the members exist because functions log them.
    member(&mut out, "tencentcloud_appid", "");
    member(&mut out, "tencentcloud_uin", "");
    let (memory, time) = (site.memory_mb, site.time_limit_ms);
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        r#""memory_limit_in_mb":{memory},"time_limit_in_ms":{time}}}"#
    );
    // All of it came from `str`s, so nothing is ever replaced here.
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
