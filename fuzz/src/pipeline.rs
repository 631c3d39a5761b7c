//! A pipeline on the first line, `{"pipeline": […]}`, documents on the others: parsing and running end within their bounds,
//! and fields that the pipeline does not need change nothing.

use bson::{Bson, DateTime, Document};
use docdb::{
    Context, Error,
    expr::Variables,
    pipeline::{Collections, Documents, Environment, Leading, Pipeline},
};

/// Every other collection holds the input.
struct Mirror<'a>(&'a [Document]);

impl Collections for Mirror<'_> {
    fn read<'a>(&'a self, _: &str, _: &Leading<'_>) -> Result<Documents<'a>, Error> {
        Ok(Box::new(self.0.iter().cloned().map(Ok)))
    }
}

pub(crate) fn target(data: &[u8]) {
    let lines = crate::ejson::lines(data);
    let Some((first, documents)) = lines.split_first() else {
        return;
    };
    let Some(Bson::Array(stages)) = first.get("pipeline") else {
        return;
    };
    let pipeline = match Pipeline::parse(stages) {
        Ok(pipeline) => pipeline,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.code_name().is_empty());
            return;
        }
    };
    let whole = run(&pipeline, documents, documents.to_vec());
    let needs = pipeline.needs();
    let needed = |document: &Document| {
        let fields = document.iter().filter(|(name, _)| needs.contains(name));
        fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let part = run(&pipeline, documents, documents.iter().map(needed).collect());
    assert_eq!(
        format!("{whole:?}"),
        format!("{part:?}"),
        "{stages:?} needs more than {needs:?}"
    );
}

fn run(pipeline: &Pipeline, other: &[Document], input: Vec<Document>) -> Result<Vec<Document>, Error> {
    let context = Context::new(DateTime::from_millis(0), 1);
    let environment = Environment {
        context: &context,
        collections: &Mirror(other),
        variables: &Variables::none(),
        memory: 1 << 20,
    };
    // A pipeline of unwinds multiplies: what comes out is no part of its bound.
    pipeline
        .run(Box::new(input.into_iter().map(Ok)), environment)
        .take(1000)
        .collect()
}
