//! What clients may do, as a project says it. It may be said anew while the server runs.

use std::sync::Arc;

use database::Permissions;
use project::ProjectSettings;
use rules::{FunctionRules, StoragePermission};

use crate::Gateway;

/// What clients may do with documents, files and functions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientPermissions {
    documents: Permissions,
    files: StoragePermission,
    functions: FunctionRules,
}

impl ClientPermissions {
    /// As these settings say it.
    #[must_use]
    pub fn of(settings: &ProjectSettings) -> Self {
        let collections = settings.database.collections.iter();
        let permissions =
            collections.filter_map(|(name, collection)| Some((name.clone(), collection.permission.clone()?)));
        Self {
            documents: Permissions {
                default: settings.database.default_permission.clone(),
                collections: permissions.collect(),
            },
            files: settings.storage.permission.clone(),
            functions: settings.function_rules.clone(),
        }
    }
}

impl Gateway {
    /// Has clients do from now on what these permissions let them, watches that are open included.
    pub fn permit(&self, permissions: &ClientPermissions) {
        let inner = &self.0;
        inner
            .function_rules
            .store(Arc::new(permissions.functions.clone()));
        self.storage()
            .permission
            .store(Arc::new(permissions.files.clone()));
        if **inner.database.permissions.load() != permissions.documents {
            inner
                .database
                .permissions
                .store(Arc::new(permissions.documents.clone()));
            inner.sockets.watchers.judge_again();
        }
    }
}
