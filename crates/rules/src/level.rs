//! The four permission levels (基础权限), and the permission of a collection or of storage: a level or rules.

use crate::{Caller, Denial, Operation, Rules, StorageRules};

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

/// What a collection lets clients do.
#[derive(Clone, Debug, PartialEq)]
pub enum Permission {
    /// One of the four.
    Level(Level),
    /// 自定义安全规则.
    Rules(Box<Rules>),
}

impl Permission {
    /// Its tag, as the platform's API has it (`AclTag`): the name of the level, or `CUSTOM`.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Level(level) => level.name(),
            Self::Rules(_) => "CUSTOM",
        }
    }
}

/// As the console shows it for a new collection.
impl Default for Permission {
    fn default() -> Self {
        Self::Level(Level::Private)
    }
}

/// What storage lets clients do.
#[derive(Clone, Debug, PartialEq)]
pub enum StoragePermission {
    /// One of the four.
    Level(Level),
    /// 自定义安全规则.
    Rules(Box<StorageRules>),
}

/// As the platform has it.
impl Default for StoragePermission {
    fn default() -> Self {
        Self::Level(Level::ReadOnly)
    }
}

impl StoragePermission {
    /// Its tag, as [of a collection](Permission::tag).
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Level(level) => level.name(),
            Self::Rules(_) => "CUSTOM",
        }
    }

    /// Whether everybody may read every file, whoever they are.
    #[must_use]
    pub fn lets_all_read(&self) -> bool {
        match self {
            Self::Level(level) => level.scope(Operation::Read) == LevelScope::All,
            Self::Rules(rules) => rules.read.text() == "true",
        }
    }

    /// Judges what is to be done with a file, which belongs to `owner`; one that is not there yet would belong to the caller.
    ///
    /// # Errors
    /// Why the caller may not.
    pub fn judge(
        &self,
        operation: Operation,
        caller: &Caller,
        path: &str,
        owner: Option<&str>,
    ) -> Result<(), Box<Denial>> {
        let level = match self {
            Self::Rules(rules) => return rules.judge(operation, caller, path, owner),
            Self::Level(level) => level,
        };
        let rule = format!("the permission {}", level.name());
        match (level.scope(operation), caller.owner()) {
            (LevelScope::All, _) => Ok(()),
            (LevelScope::Own, Some(user)) if owner == Some(user) => Ok(()),
            (LevelScope::Own, _) => Err(level_denial(operation, &rule, "the file is not the caller's")),
            (LevelScope::Nothing, _) => Err(level_denial(operation, &rule, "it lets no client do this")),
        }
    }
}

fn level_denial(operation: Operation, rule: &str, why: &str) -> Box<Denial> {
    Box::new(Denial {
        operation: operation.name(),
        rule: rule.to_owned(),
        part: String::new(),
        why: why.to_owned(),
        mend: None,
    })
}
