//! The names of database actions. The SDKs since 2.1 and those before have different ones for the same thing, and the name that was used
//! says in which form the answer is read.

/// A database action, by the name that the SDK sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatabaseAction {
    /// `addCollection`: `db.createCollection()`.
    AddCollection,
    /// `insertDocument`: a list of documents.
    InsertDocuments,
    /// `addDocument`: one document, before 2.1.
    AddDocument,
    /// `getDocument`.
    Get,
    /// `queryDocument`: before 2.1.
    Query,
    /// `calculateDocument`, or `countDocument` before 2.1.
    Count,
    /// `modifyDocument`.
    Modify,
    /// `updateDocument`: before 2.1.
    Update,
    /// `modifyAndReturnDoc`: `updateAndReturn` of node-sdk.
    ModifyAndReturn,
    /// `removeDocument`, or `deleteDocument` before 2.1.
    Remove,
    /// `aggregateDocuments`: its documents are a list of texts.
    Aggregate,
    /// `aggregate`, up to 2.1.2: its documents are one text with a list of texts.
    AggregateAsText,
    /// `startTransaction`.
    Begin,
    /// `commitTransaction`.
    Commit,
    /// `abortTransaction`.
    Abort,
    /// `getInTransaction`: 1.8.
    GetInTransaction,
    /// `insertDocInTransaction`: 1.8.
    InsertInTransaction,
    /// `updateDocInTransaction`: 1.8.
    UpdateInTransaction,
    /// `deleteDocInTransaction`: 1.8.
    RemoveInTransaction,
}

impl DatabaseAction {
    /// What the field `action` stands for; `None` for what is no database action of the SDKs'.
    #[must_use]
    pub fn of(action: &str) -> Option<Self> {
        Some(match action.strip_prefix("database.")? {
            "addCollection" => Self::AddCollection,
            "insertDocument" => Self::InsertDocuments,
            "addDocument" => Self::AddDocument,
            "getDocument" => Self::Get,
            "queryDocument" => Self::Query,
            "calculateDocument" | "countDocument" => Self::Count,
            "modifyDocument" => Self::Modify,
            "updateDocument" => Self::Update,
            "modifyAndReturnDoc" => Self::ModifyAndReturn,
            "removeDocument" | "deleteDocument" => Self::Remove,
            "aggregateDocuments" => Self::Aggregate,
            "aggregate" => Self::AggregateAsText,
            "startTransaction" => Self::Begin,
            "commitTransaction" => Self::Commit,
            "abortTransaction" => Self::Abort,
            "getInTransaction" => Self::GetInTransaction,
            "insertDocInTransaction" => Self::InsertInTransaction,
            "updateDocInTransaction" => Self::UpdateInTransaction,
            "deleteDocInTransaction" => Self::RemoveInTransaction,
            _ => return None,
        })
    }

    /// Whether it changes or removes the documents that its `query` finds: without one all of them, as SDKs have it.
    #[must_use]
    pub const fn changes_what_is_found(self) -> bool {
        matches!(
            self,
            Self::Modify
                | Self::Update
                | Self::ModifyAndReturn
                | Self::Remove
                | Self::UpdateInTransaction
                | Self::RemoveInTransaction
        )
    }
}
