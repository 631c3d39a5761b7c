//! Who asks, as a rule sees it in `auth`.

use bson::{Bson, Document};

/// Who asks: what a rule sees as `auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user of a Mini Program.
    pub openid: Option<String>,
    /// The user of a web page.
    pub uid: Option<String>,
    /// How a user of a web page logged in: `ANONYMOUS`, `CUSTOM`, …; absent for a Mini Program.
    pub login_type: Option<String>,
}

impl Caller {
    /// A user of the Mini Program.
    #[must_use]
    pub fn of_openid(openid: impl Into<String>) -> Self {
        Self {
            openid: Some(openid.into()),
            ..Self::default()
        }
    }

    /// What is written as `_openid` of a document that this caller adds, and the owner of a file: the openid, or the uid of
    /// a web page's user. `None` for one that has not logged in.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.openid.as_deref().or(self.uid.as_deref())
    }

    /// Whether anybody may be this caller: one that has not logged in, or has as nobody in particular.
    #[must_use]
    pub fn is_anybody(&self) -> bool {
        self.owner().is_none() || self.openid.is_none() && self.login_type.as_deref() == Some("ANONYMOUS")
    }

    /// `auth`; `None` for one that has not logged in.
    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        match name {
            "openid" => self.openid.as_deref(),
            "uid" => self.uid.as_deref(),
            "loginType" => self.login_type.as_deref(),
            _ => None,
        }
    }

    /// `auth` as an object.
    pub(crate) fn object(&self) -> Bson {
        if self.owner().is_none() {
            return Bson::Null;
        }
        let members = ["openid", "uid", "loginType"].into_iter();
        let members: Document = members
            .filter_map(|name| Some((name.to_owned(), Bson::from(self.member(name)?))))
            .collect();
        members.into()
    }
}
