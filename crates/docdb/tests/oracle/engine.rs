//! The smallest database that can run the cases: documents in a list, every query a scan.

use std::collections::BTreeMap;

use bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use yunqiao_docdb::{
    Context, Error,
    expr::{Expression, Variables},
    geo::Near,
    key,
    order::{compare, equal},
    path::{Path, walk},
    pipeline::{Collections, Documents, Environment, Leading, MEMORY, Pipeline},
    project::Projection,
    query::Filter,
    sort::{Sort, natural},
    update::Update,
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
            "insert" => {
                let inserted = documents(command, "documents");
                for document in &inserted {
                    self.insert(target.as_str().unwrap(), document.clone())?;
                }
                Ok(Bson::Document(doc! {"n": inserted.len() as i32, "ok": 1.0}))
            }
            "count" => {
                let command = doc! {
                    "filter": command.get_document("query").cloned().unwrap_or_default(),
                    "skip": whole(command, "skip").unwrap_or(0) as i64,
                    "limit": whole(command, "limit").unwrap_or(0) as i64,
                };
                let found = self.find(target.as_str().unwrap(), &command)?;
                Ok(Bson::Document(doc! {"n": found.len() as i32, "ok": 1.0}))
            }
            "distinct" => self
                .distinct(target.as_str().unwrap(), command)
                .map(Bson::Document),
            "findAndModify" | "findandmodify" => self
                .find_and_modify(target.as_str().unwrap(), command)
                .map(Bson::Document),
            "drop" => {
                self.collections.remove(target.as_str().unwrap());
                Ok(Bson::Document(doc! {"ok": 1.0}))
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
        if self.views.contains_key(name) {
            return self.find_in_view(name, command);
        }
        let filter = Filter::parse(command.get_document("filter").unwrap_or(&Document::new()))?;
        let sort = match command.get("sort") {
            Some(Bson::Document(sort)) if !sort.is_empty() && natural(sort).is_none() => {
                Some(Sort::parse(sort)?)
            }
            _ => None,
        };
        for option in ["skip", "limit"] {
            if command.get(option).is_some_and(|value| {
                value
                    .as_i64()
                    .or(value.as_i32().map(i64::from))
                    .is_some_and(|number| number < 0)
            }) {
                return Err(Error::new(
                    51024,
                    format!("BSON field '{option}' value must be >= 0"),
                ));
            }
        }
        let projection = Projection::parse(command.get_document("projection").unwrap_or(&Document::new()))?;
        let near = filter.near();
        if let Some(near) = near {
            self.geo_index(name, Some(&near.path), &near.query)?;
        }
        let documents: Vec<Document> = self.read_all(name)?.collect::<Result<_>>()?;
        let mut found = Vec::new();
        for document in documents {
            if let Some(element) = filter.find_element(&document, &Variables::none(), &context)? {
                let place = match (&sort, near) {
                    (Some(sort), _) => sort.key(&document, &context)?,
                    (None, Some(near)) => {
                        key::of(&Bson::Double(near.distance(&document).unwrap_or(f64::NAN)))
                    }
                    (None, None) => Vec::new(),
                };
                found.push((place, element, document));
            }
        }
        found.sort_by(|left, right| left.0.cmp(&right.0));
        let skip = whole(command, "skip").unwrap_or(0);
        let limit = whole(command, "limit")
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        found
            .into_iter()
            .skip(skip)
            .take(limit)
            .map(|(_, element, document)| Ok(Bson::Document(projection.apply(document, element, &context)?)))
            .collect()
    }

    /// A `find` in a view is a pipeline behind the view's.
    fn find_in_view(&self, name: &str, command: &Document) -> Result<Vec<Bson>> {
        let stages = [
            ("filter", "$match"),
            ("sort", "$sort"),
            ("skip", "$skip"),
            ("limit", "$limit"),
            ("projection", "$project"),
        ];
        let pipeline: Vec<Document> = stages
            .iter()
            .filter_map(|(option, stage)| command.get(option).map(|value| doc! {*stage: value.clone()}))
            .collect();
        self.aggregate(&Bson::String(name.to_owned()), &doc! {"pipeline": pipeline})
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
            if multi && update.is_replacement() {
                return Err(Error::failed_to_parse(
                    "multi update is not supported for replacement-style update",
                ));
            }
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

    fn distinct(&self, name: &str, command: &Document) -> Result<Document> {
        let context = context();
        let filter = Filter::parse(command.get_document("query").unwrap_or(&Document::new()))?;
        let path = Path::new(
            command
                .get_str("key")
                .map_err(|_| Error::type_mismatch("key must be a string"))?,
        );
        let mut values: Vec<Bson> = Vec::new();
        for document in self.scan(name) {
            if !filter.matches(document, &Variables::none(), &context)? {
                continue;
            }
            walk(document, &path, &mut |value, _| {
                match value {
                    Some(Bson::Array(elements)) => values.extend(elements.iter().cloned()),
                    Some(value) => values.push(value.clone()),
                    None => {}
                }
                false
            });
        }
        values.sort_by(compare);
        values.dedup_by(|left, right| equal(left, right));
        Ok(doc! {"values": values, "ok": 1.0})
    }

    fn find_and_modify(&mut self, name: &str, command: &Document) -> Result<Document> {
        let context = context();
        let filter = Filter::parse(command.get_document("query").unwrap_or(&Document::new()))?;
        let projection = Projection::parse(command.get_document("fields").unwrap_or(&Document::new()))?;
        let sort = match command.get("sort") {
            Some(Bson::Document(sort)) if !sort.is_empty() => Some(Sort::parse(sort)?),
            _ => None,
        };
        let flag = |name: &str| command.get_bool(name).unwrap_or(false);
        let update = match command.get("update") {
            Some(Bson::Document(update)) => Some(Update::parse(update, &documents(command, "arrayFilters"))?),
            _ if flag("remove") => None,
            _ => {
                return Err(Error::failed_to_parse(
                    "Either an update or remove=true must be specified",
                ));
            }
        };
        let collection = self.collections.entry(name.to_owned()).or_default();
        let mut best = None;
        for (at, document) in collection.documents.iter().enumerate() {
            if let Some(element) = filter.find_element(document, &Variables::none(), &context)? {
                let place = sort
                    .as_ref()
                    .map(|sort| sort.key(document, &context))
                    .transpose()?;
                if best.as_ref().is_none_or(|(so_far, _, _)| place < *so_far) {
                    best = Some((place, at, element));
                }
            }
        }
        let shown = match (best, update) {
            (Some((_, at, element)), Some(update)) => {
                let before = collection.documents[at].clone();
                let after = update
                    .apply(&before, element, &context)?
                    .unwrap_or_else(|| before.clone());
                collection.documents[at] = after.clone();
                Some((if flag("new") { after } else { before }, element))
            }
            (Some((_, at, element)), None) => Some((collection.documents.remove(at), element)),
            (None, Some(update)) if flag("upsert") => {
                self.insert(name, update.upsert(&filter, &context)?)?;
                let inserted = self.scan(name).last().unwrap().clone();
                flag("new").then_some((inserted, None))
            }
            (None, _) => None,
        };
        let value = match shown {
            Some((document, element)) => Bson::Document(projection.apply(document, element, &context)?),
            None => Bson::Null,
        };
        Ok(doc! {"value": value, "ok": 1.0})
    }

    fn aggregate(&self, target: &Bson, command: &Document) -> Result<Vec<Bson>> {
        let context = context();
        let (names, values) = variables(command, &context)?;
        let mut pipeline = Pipeline::parse_with(command.get_array("pipeline").unwrap(), &names)?;
        let near = pipeline
            .leading()
            .near
            .map(|near| (near.near().clone(), near.key().cloned()));
        if let (Bson::String(name), Some((near, path))) = (target, near) {
            let path = self.geo_index(name, path.as_ref(), &near)?;
            pipeline.set_geo_near_key(&path);
        }
        let input: Documents<'_> = match target {
            Bson::String(name) => self.read_all(name)?,
            _ if pipeline.makes_documents() => Box::new(std::iter::empty()),
            _ => return Err(Error::new(73, "{aggregate: 1} is not valid without $documents")),
        };
        let environment = Environment {
            context: &context,
            collections: self,
            variables: &values,
            memory: MEMORY,
        };
        pipeline
            .run(input, environment)
            .map(|document| document.map(Bson::Document))
            .collect()
    }

    /// The field of the index that serves a distance.
    fn geo_index(&self, name: &str, path: Option<&Path>, near: &Near) -> Result<Path> {
        let kind = |kind: &Bson| match kind.as_str() {
            Some("2dsphere") => near.is_spherical(),
            Some("2d") => !near.is_geojson(),
            _ => false,
        };
        let indexes = self
            .collections
            .get(name)
            .map_or(&[][..], |collection| &collection.indexes);
        let mut fields: Vec<&str> = indexes
            .iter()
            .flatten()
            .filter(|(field, value)| kind(value) && path.is_none_or(|path| path.as_str() == field))
            .map(|(field, _)| field.as_str())
            .collect();
        fields.dedup();
        match fields.as_slice() {
            [field] => Ok(Path::new(field)),
            [] => Err(Error::new(
                yunqiao_docdb::error::code::NO_QUERY_EXECUTION_PLANS,
                "unable to find index for $geoNear query",
            )),
            _ => Err(Error::bad_value(
                "more than one geographic index: $geoNear needs a key",
            )),
        }
    }

    fn read_all(&self, name: &str) -> Result<Documents<'_>> {
        if let Some((on, stages)) = self.views.get(name) {
            let command = doc! {"pipeline": stages.clone()};
            let documents = self.aggregate(&Bson::String(on.clone()), &command)?;
            return Ok(Box::new(documents.into_iter().filter_map(
                |document| match document {
                    Bson::Document(document) => Some(Ok(document)),
                    _ => None,
                },
            )));
        }
        Ok(Box::new(self.scan(name).iter().cloned().map(Ok)))
    }
}

impl Collections for Engine {
    fn read<'a>(&'a self, collection: &str, _: &Leading<'_>) -> Result<Documents<'a>> {
        self.read_all(collection)
    }
}

/// The variables of a command's `let`.
fn variables(command: &Document, context: &Context) -> Result<(Vec<String>, Variables)> {
    let Ok(given) = command.get_document("let") else {
        return Ok((Vec::new(), Variables::none()));
    };
    let mut values = Vec::new();
    for value in given.values() {
        let expression = Expression::parse(value)?;
        let value = expression
            .evaluate(&Document::new(), &Variables::none(), context)?
            .map(|value| value.into_owned());
        values.push(value);
    }
    Ok((given.keys().cloned().collect(), Variables::new(values)))
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
