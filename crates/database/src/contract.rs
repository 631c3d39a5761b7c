//! What every engine must do, one function for each property, for the tests of engines: documents, the traps of MongoDB's
//! language, transactions as the platform has them, and the feed of changes. Each takes an engine that is empty.
//!
//! [`hold_to_contract!`](crate::hold_to_contract) makes a test of each. What engines may do in different ways is left open here,
//! and said where it is: how many documents they look at, what they refuse a second time, when two transactions collide.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a property that does not hold panics, as a test does"
)]

pub mod documents;
pub mod expressions;
pub mod feed;
pub mod language;
pub mod pipelines;
pub mod transactions;
pub mod updates;

use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf, doc};

use crate::{
    Aggregate, Database, DatabaseError, Find, Found, ID_INDEX, IndexField, IndexKind, IndexSpec, Result,
    ReturnedDocument, TransactionId, Update, UpdateKind,
};

/// The engine that is looked at.
pub type Engine = Arc<dyn Database>;

/// Makes a test of each property, for an engine. It is given an expression that is evaluated for each test, to a pair: what
/// must live as long as the engine does, and the engine in an `Arc`. An attribute before it, such as `#[ignore]`, is each test's.
/// The crate needs Tokio's test macro.
#[macro_export]
macro_rules! hold_to_contract {
    (@one [$($attribute:tt)*] $fresh:expr; $part:ident $property:ident) => {
        $($attribute)*
        #[tokio::test]
        async fn $property() {
            let (_kept, database) = $fresh;
            $crate::contract::$part::$property(database).await;
        }
    };
    (@each $attributes:tt $fresh:expr; $($part:ident :: $property:ident)*) => {$(
        $crate::hold_to_contract! { @one $attributes $fresh; $part $property }
    )*};
    (@all $attributes:tt $fresh:expr) => {
        $crate::hold_to_contract! { @each $attributes $fresh;
            documents::they_are_added_found_changed_and_removed
            documents::a_collection_that_is_missing_is_an_error_of_every_operation
            documents::what_is_refused_is_refused_on_an_empty_collection_too
            documents::no_two_have_one_id_or_one_unique_value
            documents::a_sparse_index_leaves_out_what_has_none_of_its_fields
            documents::a_unique_index_holds_each_element_of_an_array
            documents::indexes_are_listed_as_they_were_made
            documents::that_of_the_id_is_always_there
            documents::one_that_cannot_be_is_not_made
            documents::a_collection_has_a_name_that_mongodb_takes
            documents::fields_stand_in_their_order
            documents::values_of_every_type_come_back_as_they_were
            documents::numbers_beyond_2_53_are_exact
            documents::many_and_large_ones_are_read_whole
            documents::one_that_is_too_large_is_refused
            documents::one_that_is_too_deep_is_refused
            documents::a_write_to_many_that_fails_midway_keeps_what_came_before
            documents::indexes_lead_to_what_a_scan_finds
            documents::places_are_found_by_their_distance
            documents::pages_lead_through_ids_of_every_type
            documents::each_of_many_is_added_or_refused_by_itself
            documents::one_is_taken_out_by_the_order
            language::values_stand_in_one_order
            language::ranges_stay_within_a_type
            language::paths_lead_through_arrays
            language::regexes_are_perl_s
            language::projections_show_what_they_name
            updates::each_operator_does_what_mongodb_s_does
            updates::what_cannot_be_done_changes_nothing
            updates::positions_are_those_that_the_filter_met
            updates::an_upsert_starts_from_the_equalities_of_its_filter
            updates::one_of_many_is_chosen_by_the_order
            updates::a_document_is_given_as_it_was
            updates::a_pipeline_makes_the_document_of_what_stands_in_it
            updates::no_document_grows_beyond_its_bound
            documents::what_an_index_does_not_take_is_refused
            pipelines::they_join_group_and_sort
            pipelines::missing_and_null_are_kept_apart
            pipelines::each_stage_has_its_bounds
            expressions::each_gives_what_mongodb_s_does
            expressions::what_cannot_be_computed_is_refused
            transactions::one_sees_its_snapshot_and_its_own_writes
            transactions::a_conflict_shows_at_the_write_and_ends_the_transaction
            transactions::an_ordinary_write_waits_for_the_lock
            transactions::of_two_that_add_one_unique_value_one_is_done_whole
            transactions::a_commit_is_whole_over_collections
            transactions::those_that_write_different_documents_both_commit
            transactions::two_operations_of_one_at_once_are_refused
            transactions::one_is_aborted_behind_what_is_under_way
            transactions::what_has_ended_is_missing
            transactions::no_more_are_open_than_may_be
            transactions::of_six_on_one_document_one_wins_each_round
            transactions::contended_increments_lose_none
            feed::changes_are_told_in_their_order_and_replayed
            feed::a_collection_that_is_dropped_is_told
            feed::what_was_aborted_is_not_told
        }
    };
    (#[$attribute:meta] $fresh:expr) => {
        $crate::hold_to_contract! { @all [#[$attribute]] $fresh }
    };
    ($fresh:expr) => {
        $crate::hold_to_contract! { @all [] $fresh }
    };
}

/// The engine with the collection `c`, and these documents in it.
async fn holding(database: &Engine, documents: Vec<Document>) {
    database.create_collection("c").await.unwrap();
    if !documents.is_empty() {
        database.insert("c", documents, None).await.unwrap();
    }
}

fn decoded(found: &Found) -> Vec<Document> {
    let decode = |raw: &RawDocumentBuf| Document::try_from(raw.as_ref()).unwrap();
    found.documents.iter().map(decode).collect()
}

fn ids(documents: &[Document]) -> Vec<Bson> {
    documents.iter().map(|document| document["_id"].clone()).collect()
}

/// Whether two documents are the same down to the types of numbers and the order of fields, which `==` leaves out.
fn same(left: &Document, right: &Document) -> bool {
    left.to_vec().unwrap() == right.to_vec().unwrap()
}

/// All of it, by `_id`.
fn all() -> Find {
    by(doc! {})
}

fn by(filter: Document) -> Find {
    Find {
        filter,
        sort: Some(doc! { "_id": 1 }),
        ..Find::default()
    }
}

fn change(filter: Document, operators: Document) -> Update {
    Update {
        filter,
        kind: UpdateKind::Operators(operators),
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: None,
        largest: None,
        returns: None,
    }
}

async fn read(database: &Engine, find: Find, transaction: Option<TransactionId>) -> Vec<Document> {
    decoded(&database.find("c", find, transaction).await.unwrap())
}

async fn run(database: &Engine, stages: Vec<Document>) -> Result<Vec<Document>> {
    let aggregate = Aggregate { stages };
    Ok(decoded(&database.aggregate("c", aggregate, None).await?))
}

/// MongoDB's number of a refusal.
fn refused<T: std::fmt::Debug>(result: Result<T>, what: &dyn std::fmt::Display) -> i32 {
    match result {
        Err(DatabaseError::Refused(error)) => error.code,
        other => panic!("{what}: {other:?}"),
    }
}

fn index(fields: &[(&str, IndexKind)]) -> IndexSpec {
    let fields: Vec<_> = fields
        .iter()
        .map(|(path, kind)| IndexField {
            path: (*path).to_owned(),
            kind: *kind,
        })
        .collect();
    IndexSpec {
        name: IndexSpec::named_by_fields(&fields),
        fields,
        unique: false,
        sparse: false,
    }
}

fn unique(path: &str) -> IndexSpec {
    IndexSpec {
        unique: true,
        ..index(&[(path, IndexKind::Ascending)])
    }
}

/// A regular expression as a value.
fn regex(pattern: &str, options: &str) -> Bson {
    let pattern = bson::Regex {
        pattern: pattern.try_into().unwrap(),
        options: options.try_into().unwrap(),
    };
    Bson::RegularExpression(pattern)
}
