use crate::{Operation, Rules};

/// One of the four permissions that a collection can have without a rule (基础权限).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `READONLY`, 所有用户可读，仅创建者可写: all may read, the creator writes.
    ReadOnly,
    /// `PRIVATE`, 仅创建者可读写: the creator reads and writes.
    Private,
    /// `ADMINWRITE`, 所有用户可读: all may read, and clients write nothing.
    AdminWrite,
    /// `ADMINONLY`, 所有用户不可读写: clients neither read nor write.
    AdminOnly,
}

/// What a level lets a client do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelScope {
    /// It is done as asked.
    All,
    /// It is done to the caller's own documents, and to no others: a query finds none of theirs, a write changes none.
    Own,
    /// It is refused.
    Nothing,
}

impl Level {
    /// The levels with the names that the platform's API has for them.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("READONLY", Self::ReadOnly),
        ("PRIVATE", Self::Private),
        ("ADMINWRITE", Self::AdminWrite),
        ("ADMINONLY", Self::AdminOnly),
    ];

    /// The level of this name, in whatever case.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let named = Self::NAMES
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, level)| level)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "READONLY",
            Self::Private => "PRIVATE",
            Self::AdminWrite => "ADMINWRITE",
            Self::AdminOnly => "ADMINONLY",
        }
    }

    /// What a client may do with it.
    #[must_use]
    pub const fn scope(self, operation: Operation) -> LevelScope {
        match (self, operation) {
            (Self::ReadOnly | Self::AdminWrite, Operation::Read) => LevelScope::All,
            (Self::ReadOnly, _) | (Self::Private, _) => LevelScope::Own,
            (Self::AdminWrite | Self::AdminOnly, _) => LevelScope::Nothing,
        }
    }
}

/// What a collection, or storage, lets clients do.
#[derive(Clone, Debug, PartialEq)]
pub enum Permission {
    /// One of the four.
    Level(Level),
    /// 自定义安全规则.
    Rules(Box<Rules>),
}

/// As the console shows it for a new collection.
impl Default for Permission {
    fn default() -> Self {
        Self::Level(Level::Private)
    }
}
