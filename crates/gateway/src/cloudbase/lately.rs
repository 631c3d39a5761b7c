//! Who has logged in by CloudBase's SDKs lately, for whoever looks on. Nothing of a login is stored: it is forgotten with the process.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use ::cloudbase::{LoginType, WebUser};
use lru::LruCache;

/// Users that are remembered; and as many anonymous ones, who push out nobody else.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// A user who has logged in, or has gone on with a session, since the server started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebLogin {
    /// The user's id.
    pub uid: String,
    /// How they logged in: `ANONYMOUS`, `CUSTOM`, …
    pub login_type: &'static str,
    /// By what they are known elsewhere: the name that goes with a password, or who they are to whoever vouched for them.
    pub name: Option<String>,
    /// Who they are to the Mini Program, if anybody.
    pub openid: Option<String>,
    /// When it was last.
    pub last: SystemTime,
    /// How often they have logged in, or gone on with a session.
    pub times: u64,
}

/// Those users.
pub(super) struct Lately {
    known: Mutex<LruCache<String, WebLogin>>,
    anonymous: Mutex<LruCache<String, WebLogin>>,
}

impl Default for Lately {
    fn default() -> Self {
        Self {
            known: Mutex::new(LruCache::new(REMEMBERED)),
            anonymous: Mutex::new(LruCache::new(REMEMBERED)),
        }
    }
}

impl Lately {
    /// Notes a login. Machine time: it is shown, and no expiry of WeChat's.
    pub(super) fn note(&self, user: &WebUser, now: SystemTime) {
        let logins = match user.login {
            LoginType::Anonymous => &self.anonymous,
            _ => &self.known,
        };
        let mut logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
        let times = logins.peek(&user.uid).map_or(0, |login| login.times);
        let login = WebLogin {
            uid: user.uid.clone(),
            login_type: user.login.name(),
            name: user.username.clone().or_else(|| user.custom_user_id.clone()),
            openid: user.openid.clone(),
            last: now,
            times: times + 1,
        };
        logins.put(user.uid.clone(), login);
    }

    /// Those who are remembered, the last first.
    pub(super) fn all(&self) -> Vec<WebLogin> {
        let mut all = Vec::new();
        for logins in [&self.known, &self.anonymous] {
            let logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(logins.iter().map(|(_, login)| login.clone()));
        }
        all.sort_by_key(|login| std::cmp::Reverse(login.last));
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use ::cloudbase::DeviceId;

    use super::*;

    #[test]
    fn many_anonymous_users_push_nobody_else_out() {
        let (lately, mut now) = (Lately::default(), SystemTime::UNIX_EPOCH);
        let mut note = |user: &WebUser| {
            now += Duration::from_secs(1);
            lately.note(user, now);
        };
        let alice = WebUser::custom("alice");
        note(&alice);
        note(&alice);
        for number in 0..300 {
            let device = DeviceId::parse(&format!("device-of-nobody-{number}")).unwrap();
            note(&WebUser::anonymous(&device));
        }
        let all = lately.all();
        assert_eq!(all.len(), 1 + REMEMBERED.get());
        let last = all.last().unwrap();
        assert_eq!((last.name.as_deref(), last.times), (Some("alice"), 2));
        assert!(all.is_sorted_by_key(|login| std::cmp::Reverse(login.last)));
    }
}
