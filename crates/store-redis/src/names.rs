//! The names of keys. All begin with the settings' prefix; what one step touches together has a hash tag in common, so that it is
//! on one node of a Cluster.

/// Into how many shares the sessions are divided, so that a Cluster's nodes each have some. What was kept is not found any more
/// where this changes.
pub(crate) const SHARES: u32 = 256;

/// Makes names.
#[derive(Debug)]
pub(crate) struct Names {
    prefix: String,
    /// What the names of all that belongs to pushes begin with; see `pushes.lua`.
    pub(crate) pushes: String,
    /// The sealing keys, a string.
    pub(crate) key_ring: String,
    /// A hash by appid.
    pub(crate) tokens: String,
    /// A string.
    pub(crate) timers_seen: String,
    /// Ids of logins, sorted by when they would have ended.
    pub(crate) revoked: String,
    /// Written to see whether that goes.
    pub(crate) check: String,
}

/// Where the sessions of some users are: a hash by openid, and the openids sorted by when they were seen last.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) sessions: String,
    pub(crate) seen: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        let named = |rest: &str| format!("{prefix}:{rest}");
        Self {
            prefix: prefix.to_owned(),
            pushes: named("{push}"),
            key_ring: named("key_ring"),
            tokens: named("access_tokens"),
            timers_seen: named("timers_seen"),
            revoked: named("revoked_logins"),
            check: named("check"),
        }
    }

    /// The place of a user's session.
    pub(crate) fn share_of(&self, openid: &str) -> Share {
        self.share(crc32fast::hash(openid.as_bytes()) % SHARES)
    }

    pub(crate) fn share(&self, number: u32) -> Share {
        let prefix = &self.prefix;
        Share {
            sessions: format!("{prefix}:{{s{number}}}:sessions"),
            seen: format!("{prefix}:{{s{number}}}:seen"),
        }
    }

    /// Who fetches the appid's access_token, while somebody does.
    pub(crate) fn fetch(&self, appid: &str) -> String {
        format!("{}:fetch:{appid}", self.prefix)
    }

    /// The last claim of a timer's ticks, for a while.
    pub(crate) fn tick(&self, timer: &str) -> String {
        format!("{}:tick:{timer}", self.prefix)
    }

    /// One of those that belong to pushes.
    pub(crate) fn push(&self, rest: &str) -> String {
        format!("{}:{rest}", self.pushes)
    }
}
