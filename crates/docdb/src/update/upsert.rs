//! What an upsert inserts from its query: the fields that the query names by equality.

use bson::{Bson, Document};

use crate::{
    error::{Error, Result, code},
    path::Path,
    query::{Comparison, Filter, Node, Predicate, Test},
};

pub(super) fn seed(filter: &Filter, id_only: bool) -> Result<Document> {
    let mut equalities = Vec::new();
    collect(filter.root(), &mut equalities);
    let mut document = Document::new();
    for (at, (path, value)) in equalities.iter().enumerate() {
        if id_only && path.as_str() != "_id" {
            continue;
        }
        let twice = equalities.iter().take(at).any(|(other, _)| {
            path.parts().starts_with(other.parts()) || other.parts().starts_with(path.parts())
        });
        if twice {
            return Err(Error::new(
                code::NOT_SINGLE_VALUE_FIELD,
                format!(
                    "cannot infer query fields to set, path '{}' is matched twice",
                    path.as_str()
                ),
            ));
        }
        insert(&mut document, path, value);
    }
    Ok(document)
}

fn collect<'a>(node: &'a Node, equalities: &mut Vec<(&'a Path, &'a Bson)>) {
    match node {
        Node::And(nodes) => {
            for node in nodes {
                collect(node, equalities);
            }
        }
        Node::Or(nodes) => {
            if let [only] = nodes.as_slice() {
                collect(only, equalities);
            }
        }
        Node::Field(path, predicate) => collect_predicate(path, predicate, equalities),
        Node::Nor(_) | Node::Expression(_) | Node::Constant(_) => {}
    }
}

fn collect_predicate<'a>(
    path: &'a Path,
    predicate: &'a Predicate,
    equalities: &mut Vec<(&'a Path, &'a Bson)>,
) {
    match predicate {
        Predicate::And(all) => {
            for predicate in all {
                collect_predicate(path, predicate, equalities);
            }
        }
        Predicate::Test(Test::Compare(Comparison::Equal, value)) => equalities.push((path, value)),
        Predicate::Test(Test::In(values, patterns)) if patterns.is_empty() => {
            if let [value] = values.as_slice() {
                equalities.push((path, value));
            }
        }
        Predicate::Test(_) | Predicate::Not(_) => {}
    }
}

fn insert(document: &mut Document, path: &Path, value: &Bson) {
    let mut document = document;
    let Some((last, above)) = path.parts().split_last() else {
        return;
    };
    for part in above {
        let inner = document
            .entry(part.name.clone())
            .or_insert_with(|| Bson::Document(Document::new()));
        let Bson::Document(inner) = inner else { return };
        document = inner;
    }
    document.insert(last.name.clone(), value.clone());
}
