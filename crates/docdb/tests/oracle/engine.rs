//! The smallest database that can run the cases: documents in a list, every query a scan.

use std::collections::BTreeMap;

use bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use yunqiao_docdb::{
    Context, Error, expr::Variables, order::equal, query::Filter, sort::Sort, update::Update,
};

type Result<T> = std::result::Result<T, Error>;

#[derive(Default)]
pub(crate) struct Engine {
    collections: BTreeMap<String, Collection>,
    views: BTreeMap<String, (String, Vec<Document>)>,
    last_id: u32,
}

#[derive(Clone, Default)]
struct Collection {
    documents: Vec<Document>,
    /// Fields with the kind of each.
    indexes: Vec<Vec<(String, Bson)>>,
}

fn context() -> Context {
    Context::new(DateTime::from_millis(1_700_000_000_000), 7)
}

impl Engine {
    pub(crate) fn step(&mut self, step: &Document) -> Result<Bson> {
        let name = || step.get_str("c").unwrap().to_owned();
        match step.get_str("op").unwrap() {
            "create" => {
                self.collections.entry(name()).or_default();
            }
            "insert" => {
                for document in step.get_array("docs").unwrap() {
                    self.insert(&name(), document.as_document().unwrap().clone())?;
                }
            }
            "index" => {
                let keys = step.get_array("keys").unwrap();
                let index = keys
                    .iter()
                    .map(|key| {
                        let key = key.as_array().unwrap();
                        (key[0].as_str().unwrap().to_owned(), key[1].clone())
                    })
                    .collect();
                self.collections.entry(name()).or_default().indexes.push(index);
            }
            "command" => return self.command(step.get_document("cmd").unwrap()),
            other => panic!("unknown step {other}"),
        }
        Ok(Bson::Null)
    }

    fn insert(&mut self, collection: &str, mut document: Document) -> Result<()> {
        let collection = self.collections.entry(collection.to_owned()).or_default();
        if !document.contains_key("_id") {
            self.last_id += 1;
            let mut with_id = doc! {"_id": new_id(self.last_id)};
            with_id.extend(document);
            document = with_id;
        }
        let id = document.get("_id").unwrap();
        if collection
            .documents
            .iter()
            .any(|other| equal(other.get("_id").unwrap(), id))
        {
            return Err(Error::new(
                yunqiao_docdb::error::code::DUPLICATE_KEY,
                "E11000 duplicate key error",
            ));
        }
        collection.documents.push(document);
        Ok(())
    }

    fn command(&mut self, command: &Document) -> Result<Bson> {
        let (verb, target) = command.iter().next().unwrap();
        match verb.as_str() {
            "find" => self.find(target.as_str().unwrap(), command).map(Bson::Array),
            "update" => self.update(target.as_str().unwrap(), command).map(Bson::Document),
            "delete" => self.delete(target.as_str().unwrap(), command).map(Bson::Document),
            "aggregate" => self.aggregate(target, command).map(Bson::Array),
            "create" => {
                let pipeline = documents(command, "pipeline");
                let on = command.get_str("viewOn").unwrap().to_owned();
                self.views
                    .insert(target.as_str().unwrap().to_owned(), (on, pipeline));
                Ok(Bson::Null)
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn scan(&self, name: &str) -> &[Document] {
        self.collections
            .get(name)
            .map_or(&[], |collection| &collection.documents)
    }

    fn find(&self, name: &str, command: &Document) -> Result<Vec<Bson>> {
        let context = context();
        let filter = Filter::parse(command.get_document("filter").unwrap_or(&Document::new()))?;
        let sort = match command.get("sort") {
            Some(Bson::Document(sort)) if !sort.is_empty() => Some(Sort::parse(sort)?),
            _ => None,
        };
        let mut found = Vec::new();
        for document in self.scan(name) {
            if filter.matches(document, &Variables::none(), &context)? {
                found.push(document.clone());
            }
        }
        if let Some(sort) = sort {
            sort.sort(&mut found, &context);
        }
        let skip = whole(command, "skip").unwrap_or(0);
        let limit = whole(command, "limit")
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        Ok(found
            .into_iter()
            .skip(skip)
            .take(limit)
            .map(Bson::Document)
            .collect())
    }

    fn update(&mut self, name: &str, command: &Document) -> Result<Document> {
        let context = context();
        let (mut found, mut modified, mut upserted) = (0, 0, Vec::new());
        for operation in documents(command, "updates") {
            let filter = Filter::parse(operation.get_document("q").unwrap())?;
            let Some(Bson::Document(update)) = operation.get("u") else {
                return Err(Error::failed_to_parse("pipeline updates are not supported"));
            };
            let update = Update::parse(update, &documents(&operation, "arrayFilters"))?;
            let multi = operation.get_bool("multi").unwrap_or(false);
            let collection = self.collections.entry(name.to_owned()).or_default();
            let mut met = 0;
            for document in &mut collection.documents {
                let Some(element) = filter.find_element(document, &Variables::none(), &context)? else {
                    continue;
                };
                met += 1;
                if let Some(updated) = update.apply(document, element, &context)? {
                    *document = updated;
                    modified += 1;
                }
                if !multi {
                    break;
                }
            }
            found += met;
            if met == 0 && operation.get_bool("upsert").unwrap_or(false) {
                let document = update.upsert(&filter, &context)?;
                self.insert(name, document)?;
                let id = self.scan(name).last().unwrap().get("_id").unwrap().clone();
                upserted.push(Bson::Document(doc! {"index": 0, "_id": id}));
                found += 1;
            }
        }
        let mut answer = doc! {"n": found, "nModified": modified, "ok": 1.0};
        if !upserted.is_empty() {
            answer.insert("upserted", upserted);
        }
        Ok(answer)
    }

    fn delete(&mut self, name: &str, command: &Document) -> Result<Document> {
        let context = context();
        let mut deleted = 0;
        for operation in documents(command, "deletes") {
            let filter = Filter::parse(operation.get_document("q").unwrap())?;
            let collection = self.collections.entry(name.to_owned()).or_default();
            let most = whole(&operation, "limit")
                .filter(|limit| *limit > 0)
                .unwrap_or(usize::MAX);
            let mut kept = Vec::new();
            let mut gone = 0;
            for document in collection.documents.drain(..) {
                if gone < most && filter.matches(&document, &Variables::none(), &context)? {
                    gone += 1;
                } else {
                    kept.push(document);
                }
            }
            collection.documents = kept;
            deleted += gone as i64;
        }
        Ok(doc! {"n": deleted, "ok": 1.0})
    }

    fn aggregate(&self, _target: &Bson, _command: &Document) -> Result<Vec<Bson>> {
        panic!("there are no pipelines yet")
    }
}

fn new_id(number: u32) -> ObjectId {
    let mut bytes = [0; 12];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

fn whole(command: &Document, name: &str) -> Option<usize> {
    match command.get(name)? {
        Bson::Int32(number) => usize::try_from(*number).ok(),
        Bson::Int64(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

fn documents(command: &Document, name: &str) -> Vec<Document> {
    command
        .get_array(name)
        .map(|elements| elements.iter().filter_map(Bson::as_document).cloned().collect())
        .unwrap_or_default()
}
