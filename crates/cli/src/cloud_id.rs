//! `--cloud-id FIELD=KIND`: a fresh cloudID in a call's data.

use std::str::FromStr;

use clap::ValueEnum;

/// `FIELD=KIND`.
#[derive(Clone, Debug)]
pub(crate) struct CloudId {
    pub(crate) field: String,
    pub(crate) kind: Kind,
}

/// The kinds of open data that a client can hand over.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum Kind {
    UserInfo,
    WeRunData,
    PhoneNumber,
    ShareInfo,
    GroupEnterInfo,
}

impl Kind {
    /// The client API that gives it.
    pub(crate) fn api(self) -> &'static str {
        match self {
            Self::UserInfo => "getUserInfo",
            Self::WeRunData => "getWeRunData",
            Self::PhoneNumber => "getPhoneNumber",
            Self::ShareInfo => "getShareInfo",
            Self::GroupEnterInfo => "getGroupEnterInfo",
        }
    }
}

impl FromStr for CloudId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = || {
            let names: Vec<_> = Kind::value_variants()
                .iter()
                .filter_map(ValueEnum::to_possible_value)
                .collect();
            names
                .iter()
                .map(|name| name.get_name().to_owned())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (field, kind) = text
            .split_once('=')
            .ok_or_else(|| format!("write FIELD=KIND; KIND is one of {}", kinds()))?;
        let kind = Kind::from_str(kind, false)
            .map_err(|_| format!("there is no kind {kind:?}; there are {}", kinds()))?;
        Ok(Self {
            field: field.to_owned(),
            kind,
        })
    }
}
