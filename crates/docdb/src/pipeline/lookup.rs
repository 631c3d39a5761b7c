//! Stages that read other collections: `$lookup`, `$graphLookup`, `$unionWith`.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
};

use bson::{Bson, Document, doc};

use super::{
    Documents, Environment, Held, Leading, MAX_SUB_PIPELINES, Pipeline, lazily, parse, project::set_path,
};
use crate::{
    Error,
    error::{Result, code},
    expr::{Expression, FieldPath, Needs, Value, Variables, check_variable_name, document_size, type_name},
    key,
    path::{Path, walk},
    query::Filter,
};

/// A parsed `$lookup`.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    from: Source,
    result: FieldPath,
    equality: Option<Equality>,
    variables: Vec<Expression>,
    pipeline: Option<Pipeline>,
}

/// Where the other documents come from.
#[derive(Clone, Debug)]
enum Source {
    Collection(String),
    /// `$documents` at the head of the pipeline.
    Documents(Vec<Document>),
}

impl Source {
    fn read<'a>(&'a self, environment: Environment<'a>, leading: &Leading<'_>) -> Result<Documents<'a>> {
        match self {
            Self::Collection(name) => environment.collections.read(name, leading),
            Self::Documents(documents) => Ok(Box::new(documents.iter().cloned().map(Ok))),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Collection(name) => Some(name),
            Self::Documents(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Equality {
    local: Path,
    foreign: Path,
}

/// What a run of a lookup knows about the other collection.
enum Foreign {
    /// Nothing was read yet.
    Unread,
    /// All of it, by the keys of the field.
    Table(Vec<Document>, HashMap<Vec<u8>, Vec<usize>>),
    /// It is read anew for each document: an index answers, or it is too large to hold.
    Reread,
    /// The pipeline depends on no document: its result.
    Result(Vec<Bson>),
}

fn string<'v>(stage: &str, name: &str, value: &'v Bson, code: i32) -> Result<&'v str> {
    match value {
        Bson::String(text) => Ok(text),
        other => Err(Error::new(
            code,
            format!(
                "{stage} argument '{name}' must be a string, found {}",
                type_name(other)
            ),
        )),
    }
}

fn check_collection(stage: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') || name.starts_with('.') {
        return Err(Error::new(
            code::INVALID_NAMESPACE,
            format!("Invalid namespace specified: {stage} from '{name}'"),
        ));
    }
    Ok(())
}

impl Lookup {
    pub(super) fn parse(specification: &Bson, variables: &[String], depth: usize) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(Error::failed_to_parse(
                "the $lookup specification must be an Object",
            ));
        };
        let mut from = None;
        let mut result = None;
        let (mut local, mut foreign) = (None, None);
        let mut bindings = None;
        let mut stages = None;
        for (name, value) in specification {
            match name.as_str() {
                "from" => {
                    let name = string("$lookup", name, value, code::FAILED_TO_PARSE)?;
                    check_collection("$lookup", name)?;
                    from = Some(name.to_owned());
                }
                "as" => {
                    result = Some(FieldPath::parse(string(
                        "$lookup",
                        name,
                        value,
                        code::TYPE_MISMATCH,
                    )?)?)
                }
                // Null and nothing stand for an argument that is not there.
                "localField" | "foreignField" | "let" if *value == Bson::Null => {}
                "localField" | "foreignField" if matches!(value, Bson::String(text) if text.is_empty()) => {}
                "localField" => {
                    local = Some(Path::checked(string(
                        "$lookup",
                        name,
                        value,
                        code::TYPE_MISMATCH,
                    )?)?)
                }
                "foreignField" => {
                    foreign = Some(Path::checked(string(
                        "$lookup",
                        name,
                        value,
                        code::TYPE_MISMATCH,
                    )?)?)
                }
                "let" => match value {
                    Bson::Document(document) => bindings = Some(document),
                    other => {
                        return Err(Error::type_mismatch(format!(
                            "$lookup argument 'let' must be an object, found {}",
                            type_name(other)
                        )));
                    }
                },
                "pipeline" => match value {
                    Bson::Array(list) => stages = Some(list),
                    other => {
                        return Err(Error::type_mismatch(format!(
                            "'pipeline' option must be specified as an array, found {}",
                            type_name(other)
                        )));
                    }
                },
                other => {
                    return Err(Error::failed_to_parse(format!(
                        "unknown argument to $lookup: {other}"
                    )));
                }
            }
        }
        let result = result.ok_or_else(|| Error::failed_to_parse("must specify 'as' field for a $lookup"))?;
        let equality = match (local, foreign) {
            (Some(local), Some(foreign)) => Some(Equality { local, foreign }),
            (None, None) => None,
            _ => {
                return Err(Error::failed_to_parse(
                    "$lookup requires both or neither of 'localField' and 'foreignField'",
                ));
            }
        };
        if stages.is_none() && equality.is_none() {
            return Err(Error::failed_to_parse(
                "$lookup requires either 'pipeline' or both 'localField' and 'foreignField'",
            ));
        }
        if stages.is_none() && bindings.is_some() {
            return Err(Error::failed_to_parse(
                "$lookup with a 'let' argument must also specify 'pipeline'",
            ));
        }
        let mut names = variables.to_vec();
        let mut expressions = Vec::new();
        for (name, value) in bindings.into_iter().flatten() {
            check_variable_name(name)?;
            expressions.push(Expression::parse_with(value, variables)?);
            names.push(name.clone());
        }
        let mut pipeline = stages
            .map(|stages| sub_pipeline("$lookup", stages, &names, depth))
            .transpose()?;
        let from = match (from, pipeline.as_mut().and_then(Pipeline::take_documents)) {
            (Some(from), None) => Source::Collection(from),
            (None, Some(documents)) => Source::Documents(documents),
            (None, None) => return Err(Error::failed_to_parse("must specify 'from' field for a $lookup")),
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    code::INVALID_NAMESPACE,
                    "$documents can not be used in a $lookup that has a 'from' field",
                ));
            }
        };
        Ok(Self {
            from,
            result,
            equality,
            variables: expressions,
            pipeline,
        })
    }

    pub(super) fn add_collections<'p>(&'p self, names: &mut Vec<&'p str>) {
        names.extend(self.from.name());
        if let Some(pipeline) = &self.pipeline {
            pipeline.add_collections(names);
        }
    }

    pub(super) fn inner_length(&self) -> usize {
        self.pipeline.as_ref().map_or(0, |pipeline| pipeline.length)
    }

    /// The field that takes what is found.
    pub(super) const fn result(&self) -> &FieldPath {
        &self.result
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        if let Some(equality) = &self.equality {
            needs.add(equality.local.first());
        }
        self.variables.iter().for_each(|variable| variable.needs(needs));
        // Only a part of the field may be written.
        if self.result.parts().len() > 1 {
            needs.add_path(&self.result);
        }
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        let foreign = RefCell::new(Foreign::Unread);
        Box::new(input.map(move |document| {
            let mut document = document?;
            let list = self.matches(&document, environment, &mut foreign.borrow_mut())?;
            set_path(&mut document, self.result.parts(), Bson::Array(list));
            Ok(document)
        }))
    }

    fn matches(
        &self,
        document: &Document,
        environment: Environment<'_>,
        known: &mut Foreign,
    ) -> Result<Vec<Bson>> {
        if let Foreign::Result(list) = known {
            return Ok(list.clone());
        }
        let mut held = Held::new("$lookup", environment.memory);
        let mut values = environment.variables.values().to_vec();
        for variable in &self.variables {
            let value = variable.evaluate(document, environment.variables, environment.context)?;
            values.push(value.map(Cow::into_owned));
        }
        let variables = Variables::new(values);
        let mut list = Vec::new();
        let mut take = |documents: Documents<'_>| -> Result<()> {
            for document in documents {
                let document = document?;
                held.add(&document)?;
                list.push(Bson::Document(document));
            }
            Ok(())
        };
        let inner = Environment {
            variables: &variables,
            ..environment
        };
        match (&self.equality, &self.pipeline) {
            (None, None) => {}
            (None, Some(pipeline)) => {
                let leading = Leading {
                    variables: Some(&variables),
                    ..pipeline.leading()
                };
                let input = self.from.read(environment, &leading)?;
                take(pipeline.run(input, inner))?;
                if self.variables.is_empty() && !matches!(known, Foreign::Reread) {
                    *known = Foreign::Result(list.clone());
                }
            }
            (Some(equality), pipeline) => {
                let joined = self.join(equality, document, environment, known)?;
                match pipeline {
                    None => take(joined)?,
                    Some(pipeline) => take(pipeline.run(joined, inner))?,
                }
            }
        }
        Ok(list)
    }

    /// The documents whose field equals one of the local values.
    fn join<'k>(
        &'k self,
        equality: &'k Equality,
        document: &Document,
        environment: Environment<'k>,
        known: &'k mut Foreign,
    ) -> Result<Documents<'k>> {
        let wanted = local_values(document, &equality.local);
        if matches!(known, Foreign::Unread) {
            *known = self.read_all(equality, environment)?;
        }
        if let Foreign::Table(documents, places) = known {
            let found: BTreeSet<usize> = wanted
                .iter()
                .filter_map(|value| places.get(&key::of(value)))
                .flatten()
                .copied()
                .collect();
            return Ok(Box::new(
                found
                    .into_iter()
                    .filter_map(|at| documents.get(at).cloned())
                    .map(Ok),
            ));
        }
        let keys: HashSet<Vec<u8>> = wanted.iter().map(|value| key::of(value)).collect();
        // A regex in `$in` would be a pattern, and an array would be looked into: such are not told to the reader.
        let plain = !wanted
            .iter()
            .any(|value| matches!(value, Bson::RegularExpression(_) | Bson::Undefined));
        let filter = if plain {
            let values: Vec<Bson> = wanted.into_iter().cloned().collect();
            Some(Filter::parse(&doc! {equality.foreign.as_str(): {"$in": values}})?)
        } else {
            None
        };
        let leading = Leading {
            filters: filter.iter().collect(),
            needs: Needs::All,
            ..Leading::default()
        };
        let documents = self.from.read(environment, &leading)?;
        Ok(Box::new(documents.filter(move |document| {
            match document {
                Ok(document) => foreign_values(document, &equality.foreign)
                    .iter()
                    .any(|value| keys.contains(&key::of(value))),
                Err(_) => true,
            }
        })))
    }

    /// Reads the other collection once, if no index answers and it can be held.
    fn read_all(&self, equality: &Equality, environment: Environment<'_>) -> Result<Foreign> {
        if self.from.name().is_some_and(|from| {
            environment
                .collections
                .is_indexed(from, equality.foreign.as_str())
        }) {
            return Ok(Foreign::Reread);
        }
        let leading = Leading {
            needs: Needs::All,
            ..Leading::default()
        };
        let mut documents = Vec::new();
        let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut bytes = 0;
        for document in self.from.read(environment, &leading)? {
            let document = document?;
            bytes += document_size(&document);
            for value in foreign_values(&document, &equality.foreign) {
                let key = key::of(value);
                bytes += key.len() + size_of::<(Vec<u8>, Vec<usize>)>();
                let list = places.entry(key).or_default();
                if list.last() != Some(&documents.len()) {
                    list.push(documents.len());
                }
            }
            documents.push(document);
            if bytes > environment.memory {
                return Ok(Foreign::Reread);
            }
        }
        Ok(Foreign::Table(documents, places))
    }
}

fn sub_pipeline(stage: &str, stages: &[Bson], names: &[String], depth: usize) -> Result<Pipeline> {
    if depth >= MAX_SUB_PIPELINES {
        return Err(Error::new(
            code::MAX_SUB_PIPELINE_DEPTH_EXCEEDED,
            format!("Maximum number of nested sub-pipelines exceeded by {stage}: {MAX_SUB_PIPELINES}"),
        ));
    }
    parse::pipeline(stages, names, depth + 1)
}

const NULL: &Bson = &Bson::Null;

/// The values that a document looks for: the elements of an array; null where there is none.
fn local_values<'d>(document: &'d Document, path: &Path) -> Vec<&'d Bson> {
    let mut values = Vec::new();
    let mut met = false;
    walk(document, path, &mut |value, _| {
        met = true;
        match value {
            None => values.push(NULL),
            Some(Bson::Array(elements)) => values.extend(elements),
            Some(value) => values.push(value),
        }
        false
    });
    if !met {
        values.push(NULL);
    }
    values
}

/// The values by which a document is found: the value, and the elements of an array; null where there is none.
fn foreign_values<'d>(document: &'d Document, path: &Path) -> Vec<&'d Bson> {
    let mut values = Vec::new();
    walk(document, path, &mut |value, _| {
        values.push(value.unwrap_or(NULL));
        if let Some(Bson::Array(elements)) = value {
            values.extend(elements);
        }
        false
    });
    values
}

/// A parsed `$graphLookup`.
#[derive(Clone, Debug)]
pub(super) struct GraphLookup {
    from: String,
    start: Expression,
    connect_from: Path,
    connect_to: Path,
    result: FieldPath,
    most_steps: Option<u64>,
    depth_field: Option<FieldPath>,
    restriction: Option<Filter>,
}

impl GraphLookup {
    pub(super) fn parse(specification: &Bson, variables: &[String]) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(Error::new(
                40327,
                "the $graphLookup stage specification must be an object",
            ));
        };
        let (mut from, mut start, mut connect_from, mut connect_to, mut result) =
            (None, None, None, None, None);
        let (mut most_steps, mut depth_field, mut restriction) = (None, None, None);
        for (name, value) in specification {
            match name.as_str() {
                "from" => from = Some(string("$graphLookup", name, value, 40103)?.to_owned()),
                "startWith" => start = Some(Expression::parse_with(value, variables)?),
                "connectFromField" => {
                    connect_from = Some(Path::checked(string("$graphLookup", name, value, 40103)?)?)
                }
                "connectToField" => {
                    connect_to = Some(Path::checked(string("$graphLookup", name, value, 40103)?)?)
                }
                "as" => result = Some(FieldPath::parse(string("$graphLookup", name, value, 40103)?)?),
                "depthField" => {
                    depth_field = Some(FieldPath::parse(string("$graphLookup", name, value, 40103)?)?)
                }
                "maxDepth" => {
                    let steps = crate::order::Number::of(value).and_then(crate::order::Number::to_i64_exact);
                    let steps = steps.and_then(|steps| u64::try_from(steps).ok());
                    most_steps = Some(steps.ok_or_else(|| {
                        Error::new(
                            40101,
                            format!("maxDepth requires a nonnegative argument, found: {value}"),
                        )
                    })?);
                }
                "restrictSearchWithMatch" => match value {
                    Bson::Document(filter) => restriction = Some(Filter::parse_with(filter, variables)?),
                    other => {
                        return Err(Error::new(
                            40185,
                            format!(
                                "restrictSearchWithMatch must be an object, found {}",
                                type_name(other)
                            ),
                        ));
                    }
                },
                other => {
                    return Err(Error::new(
                        40104,
                        format!("Unknown argument to $graphLookup: {other}"),
                    ));
                }
            }
        }
        let (Some(from), Some(start), Some(connect_from), Some(connect_to), Some(result)) =
            (from, start, connect_from, connect_to, result)
        else {
            return Err(Error::new(
                40105,
                "$graphLookup requires 'from', 'as', 'startWith', 'connectFromField', and 'connectToField' to be specified.",
            ));
        };
        check_collection("$graphLookup", &from)?;
        Ok(Self {
            from,
            start,
            connect_from,
            connect_to,
            result,
            most_steps,
            depth_field,
            restriction,
        })
    }

    pub(super) fn from(&self) -> &str {
        &self.from
    }

    /// The field that takes what is found.
    pub(super) const fn result(&self) -> &FieldPath {
        &self.result
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        self.start.needs(needs);
        if self.result.parts().len() > 1 {
            needs.add_path(&self.result);
        }
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        // The other collection is read once.
        let table: RefCell<Option<Table>> = RefCell::new(None);
        Box::new(input.map(move |document| {
            let mut document = document?;
            let mut table = table.borrow_mut();
            if table.is_none() {
                *table = Some(self.table(environment)?);
            }
            if let Some(table) = table.as_ref() {
                let list = self.walk(&document, table, environment)?;
                set_path(&mut document, self.result.parts(), Bson::Array(list));
            }
            Ok(document)
        }))
    }

    fn table(&self, environment: Environment<'_>) -> Result<Table> {
        let mut held = Held::new("$graphLookup", environment.memory);
        let mut table = Table::default();
        let leading = Leading {
            filters: self.restriction.iter().collect(),
            variables: Some(environment.variables),
            needs: Needs::All,
            ..Leading::default()
        };
        for document in environment.collections.read(&self.from, &leading)? {
            let document = document?;
            if let Some(filter) = &self.restriction
                && !filter.matches(&document, environment.variables, environment.context)?
            {
                continue;
            }
            held.add(&document)?;
            for value in foreign_values(&document, &self.connect_to) {
                table
                    .places
                    .entry(key::of(value))
                    .or_default()
                    .push(table.documents.len());
            }
            table.documents.push(document);
        }
        Ok(table)
    }

    /// Walks breadth first, so that each document is met at its least depth.
    fn walk(&self, document: &Document, table: &Table, environment: Environment<'_>) -> Result<Vec<Bson>> {
        let start: Value<'_> = self
            .start
            .evaluate(document, environment.variables, environment.context)?;
        let mut queue: VecDeque<(Vec<u8>, u64)> = VecDeque::new();
        match start.as_deref() {
            Some(Bson::Array(elements)) => queue.extend(elements.iter().map(|element| (key::of(element), 0))),
            value => queue.push_back((key::of(value.unwrap_or(NULL)), 0)),
        }
        let mut asked: HashSet<Vec<u8>> = queue.iter().map(|entry| entry.0.clone()).collect();
        let mut met: HashSet<usize> = HashSet::new();
        let mut list = Vec::new();
        while let Some((wanted, depth)) = queue.pop_front() {
            for at in table.places.get(&wanted).into_iter().flatten() {
                let Some(found) = table.documents.get(*at).filter(|_| met.insert(*at)) else {
                    continue;
                };
                let mut one = found.clone();
                if let Some(field) = &self.depth_field {
                    set_path(&mut one, field.parts(), Bson::Int64(depth as i64));
                }
                list.push(Bson::Document(one));
                if self.most_steps.is_none_or(|most| depth < most) {
                    for value in local_values(found, &self.connect_from) {
                        let next = key::of(value);
                        if asked.insert(next.clone()) {
                            queue.push_back((next, depth + 1));
                        }
                    }
                }
            }
        }
        Ok(list)
    }
}

#[derive(Default)]
struct Table {
    documents: Vec<Document>,
    places: HashMap<Vec<u8>, Vec<usize>>,
}

/// A parsed `$unionWith`.
#[derive(Clone, Debug)]
pub(super) struct UnionWith {
    from: Option<String>,
    pipeline: Pipeline,
}

impl UnionWith {
    pub(super) fn parse(specification: &Bson, variables: &[String], depth: usize) -> Result<Self> {
        let (mut from, mut stages) = (None, &[][..]);
        match specification {
            Bson::String(name) => from = Some(name.clone()),
            Bson::Document(document) => {
                for (name, value) in document {
                    match (name.as_str(), value) {
                        ("coll", Bson::String(name)) => from = Some(name.clone()),
                        ("pipeline", Bson::Array(list)) => stages = list,
                        ("coll" | "pipeline", other) => {
                            return Err(Error::type_mismatch(format!(
                                "BSON field '$unionWith.{name}' is of the wrong type: {}",
                                type_name(other)
                            )));
                        }
                        (other, _) => {
                            return Err(Error::new(
                                code::IDL_UNKNOWN_FIELD,
                                format!("BSON field '$unionWith.{other}' is an unknown field."),
                            ));
                        }
                    }
                }
            }
            other => {
                return Err(Error::failed_to_parse(format!(
                    "the $unionWith stage specification must be an object or string, but found {}",
                    type_name(other)
                )));
            }
        }
        let pipeline = sub_pipeline("$unionWith", stages, variables, depth)?;
        match &from {
            Some(name) => check_collection("$unionWith", name)?,
            None if pipeline.makes_documents() => {}
            None => {
                return Err(Error::failed_to_parse(
                    "$unionWith stage without explicit collection must have a pipeline with $documents as first stage",
                ));
            }
        }
        Ok(Self { from, pipeline })
    }

    pub(super) fn add_collections<'p>(&'p self, names: &mut Vec<&'p str>) {
        names.extend(self.from.as_deref());
        self.pipeline.add_collections(names);
    }

    pub(super) const fn inner_length(&self) -> usize {
        self.pipeline.length
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        let second = lazily(move || {
            let other: Documents<'a> = match &self.from {
                Some(from) => {
                    let leading = Leading {
                        variables: Some(environment.variables),
                        ..self.pipeline.leading()
                    };
                    environment.collections.read(from, &leading)?
                }
                None => Box::new(std::iter::empty()),
            };
            Ok(self.pipeline.run(other, environment))
        });
        Box::new(input.chain(second))
    }
}
