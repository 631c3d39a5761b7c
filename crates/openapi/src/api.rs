//! What is known of one API.

/// One API of WeChat's server, as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Api {
    /// What follows `cloud.openapi.`, and what `permissions.openapi` of a function's `config.json` lists:
    /// `subscribeMessage.send`. An API without cloud call that never had such a name has the one that its document calls
    /// "接口英文名", without a dot.
    pub name: &'static str,
    /// How it is called over HTTPS; `None` where no document says so, see [`Api::method_sent`].
    pub method: Option<Method>,
    /// Where, on `https://api.weixin.qq.com`, with a slash at the start. Several names may share one.
    pub path: &'static str,
    /// What its body is.
    pub body: ApiBodyKind,
    /// What it answers when all is well. When not, it answers JSON.
    pub reply: ApiReplyKind,
    /// Whether a cloud function may call it.
    pub cloud_call: CloudCallSupport,
    /// Whether WeChat still stands by it.
    pub standing: Standing,
    /// What the server adds to the query on the calling user's behalf.
    pub identity: Identity,
    /// The name that its document calls "接口英文名", where that is not the last part of [`name`](Self::name).
    pub interface: Option<&'static str>,
    /// The title of its document, in Chinese.
    pub title: Option<&'static str>,
    /// The address of its document.
    pub document: Option<&'static str>,
    /// What else one should know.
    pub note: Option<&'static str>,
    query: &'static str,
    spelled: &'static str,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET: all params are in the query.
    Get,
    /// POST: the params are in the body, but for those that [`Api::query`] names.
    Post,
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiBodyKind {
    /// There is none.
    None,
    /// A JSON object, `{}` if there are no params for it.
    Json,
    /// `multipart/form-data` with a file, whose field has this name where it is documented.
    Multipart(Option<&'static str>),
}

/// What an API answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiReplyKind {
    /// A JSON object.
    Json,
    /// The bytes of an image or another file.
    Binary,
}

/// Whether an API has cloud call (云调用).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudCallSupport {
    /// A document says so.
    Yes,
    /// A document says that it has none, or lists it without a name for it.
    No,
    /// No document says either.
    Unknown,
}

/// Whether WeChat still stands by an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is documented and served.
    Current,
    /// It is no longer improved, or no longer documented; it may still answer.
    Outdated,
    /// It answers nothing but this errcode.
    Withdrawn(i32),
}

/// What the server adds to the query of a cloud call on the calling user's behalf, where the function did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nothing.
    None,
    /// `openid`, the caller's.
    Openid,
    /// `openid`, and `signature` with `sig_method`: the body under the user's session_key, by `hmac_sha256`.
    Signature,
}

impl Api {
    /// The names of the params that belong in the query, `access_token` not among them. Those of a GET are the documented
    /// ones; another is sent in the query as well.
    pub fn query(&self) -> impl Iterator<Item = &'static str> + use<> {
        list(self.query)
    }

    /// Names of params that are not in snake case over HTTPS (`roomId`), and that the SDK's conversion of keys therefore
    /// spoils: [`Api::request`] puts them right. Empty for all but 35 APIs.
    pub fn spelled(&self) -> impl Iterator<Item = &'static str> + use<> {
        list(self.spelled)
    }

    /// Whether a cloud function may call it, if its permissions allow; another name is answered with
    /// [`API_NOT_FOUND`](crate::code::API_NOT_FOUND).
    ///
    /// Where no document says whether there is cloud call, there is: a choice, for whoever has such a call in a function
    /// has seen it work, and WeChat itself still judges the request.
    #[must_use]
    pub fn is_callable(&self) -> bool {
        self.cloud_call != CloudCallSupport::No
    }

    /// Whether it belongs to Official Accounts: such a call names the account, `cloud.openapi({appid})`.
    #[must_use]
    pub fn is_official_account(&self) -> bool {
        self.name.starts_with("officialAccount.")
    }

    /// The method to send it with: the documented one. Where none is, GET without a body and POST with one: a choice, and
    /// WeChat's 43001 or 43002 tells where it was wrong.
    #[must_use]
    pub fn method_sent(&self) -> Method {
        self.method.unwrap_or(match self.body {
            ApiBodyKind::None => Method::Get,
            ApiBodyKind::Json | ApiBodyKind::Multipart(_) => Method::Post,
        })
    }

    /// Reads a row of the catalogue; `None` if it is malformed.
    pub(crate) fn parse(row: &'static str) -> Option<Self> {
        let columns: Vec<&str> = row.split('\t').collect();
        let &[
            name,
            method,
            path,
            query,
            body,
            file,
            reply,
            cloud_call,
            standing,
            identity,
            spelled,
            interface,
            title,
            document,
            note,
        ] = columns.as_slice()
        else {
            return None;
        };
        Some(Self {
            name,
            method: match method {
                "GET" => Some(Method::Get),
                "POST" => Some(Method::Post),
                "" => None,
                _ => return None,
            },
            path,
            body: match (body, file) {
                ("", "") => ApiBodyKind::None,
                ("json", "") => ApiBodyKind::Json,
                ("multipart", file) => ApiBodyKind::Multipart(filled(file)),
                _ => return None,
            },
            reply: match reply {
                "json" => ApiReplyKind::Json,
                "binary" => ApiReplyKind::Binary,
                _ => return None,
            },
            cloud_call: match cloud_call {
                "yes" => CloudCallSupport::Yes,
                "no" => CloudCallSupport::No,
                "unknown" => CloudCallSupport::Unknown,
                _ => return None,
            },
            standing: match standing {
                "" => Standing::Current,
                "outdated" => Standing::Outdated,
                withdrawn => Standing::Withdrawn(withdrawn.strip_prefix("withdrawn:")?.parse().ok()?),
            },
            identity: match identity {
                "" => Identity::None,
                "openid" => Identity::Openid,
                "signature" => Identity::Signature,
                _ => return None,
            },
            interface: filled(interface),
            title: filled(title),
            document: filled(document),
            note: filled(note),
            query,
            spelled,
        })
    }
}

fn filled(column: &'static str) -> Option<&'static str> {
    (!column.is_empty()).then_some(column)
}

fn list(column: &'static str) -> impl Iterator<Item = &'static str> + use<> {
    column.split_terminator(',')
}

impl Method {
    /// `GET` or `POST`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}
