//! A pipeline on the first line (`{"pipeline": […]}`), documents on the others: it ends, within its memory, and what it says it
//! needs of a document is enough for it.

use bson::{DateTime, Document};
use docdb::{
    Context,
    error::Error,
    expr::{Needs, Variables},
    pipeline::{Environment, NoCollections, Pipeline},
};

/// Small, so that a pipeline that would hold much is found out soon.
const MEMORY: usize = 1 << 20;
/// As many documents are looked at.
const MOST: usize = 2000;

pub(crate) fn target(data: &[u8]) {
    let lines = crate::ejson::lines(data);
    let Some((command, documents)) = lines.split_first() else {
        return;
    };
    let Ok(stages) = command.get_array("pipeline") else {
        return;
    };
    let pipeline = match Pipeline::parse(stages) {
        Ok(pipeline) => pipeline,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.code_name().is_empty());
            return;
        }
    };
    let whole = run(&pipeline, documents.to_vec());
    let needs = pipeline.needs();
    let partial = documents.iter().map(|document| take(document, &needs)).collect();
    let partial = run(&pipeline, partial);
    // An error may name what it met, and the order of a set is nobody's promise.
    assert_eq!(
        whole.as_ref().map(Vec::len).ok(),
        partial.as_ref().map(Vec::len).ok(),
        "{command} needs more than {needs:?}"
    );
}

fn take(document: &Document, needs: &Needs) -> Document {
    document
        .iter()
        .filter(|(name, _)| needs.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn run(pipeline: &Pipeline, documents: Vec<Document>) -> Result<Vec<Document>, Error> {
    let context = Context::new(DateTime::from_millis(1_700_000_000_000), 1);
    let environment = Environment {
        context: &context,
        collections: &NoCollections,
        variables: &Variables::none(),
        memory: MEMORY,
    };
    pipeline
        .run(Box::new(documents.into_iter().map(Ok)), environment)
        .take(MOST)
        .collect()
}
