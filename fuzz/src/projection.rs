//! A projection on the first line, documents on the others: what is shown comes from the document, and fields that the projection
//! does not need change nothing.

use bson::{DateTime, Document};
use docdb::{Context, expr::Needs, project::Projection};

pub(crate) fn target(data: &[u8]) {
    let lines = crate::ejson::lines(data);
    let Some((specification, documents)) = lines.split_first() else {
        return;
    };
    let projection = match Projection::parse(specification) {
        Ok(projection) => projection,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.code_name().is_empty());
            return;
        }
    };
    let context = Context::new(DateTime::from_millis(0), 1);
    let mut needs = Needs::default();
    projection.needs(&mut needs);
    for document in documents {
        let whole = projection.apply(document.clone(), None, &context);
        let needed: Document = document
            .iter()
            .filter(|(name, _)| needs.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let part = projection.apply(needed, None, &context);
        assert_eq!(
            format!("{whole:?}"),
            format!("{part:?}"),
            "{specification} of {document} needs more than {needs:?}"
        );
    }
}
