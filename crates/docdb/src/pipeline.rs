//! Aggregation pipelines: `[{$match: …}, {$group: …}]`.
//!
//! A pipeline is parsed once, and refuses then what MongoDB refuses. It runs by pulling: each stage asks the one before it
//! for the next document, so that stages which look at one document at a time hold one document. Those that must see all
//! (`$group`, `$sort`, `$bucketAuto`, `$facet`, …) hold what they need and no more than a stated number of bytes; beyond is
//! an error. `$sort` with a `$limit` behind it holds as many documents as the limit says.
//!
//! Other collections come through [`Collections`]. What an engine can do better than the pipeline, it learns from
//! [`Pipeline::leading`] (what happens first: match, sort, limit, near) and [`Pipeline::needs`] (the fields that are read).

mod bucket;
mod geo_near;
mod group;
mod lookup;
mod parse;
pub(crate) mod project;
mod reshape;
mod sort;
mod steps;
mod window;

use bson::{Bson, Document};

pub use self::geo_near::GeoNear;
use self::{
    bucket::BucketAuto,
    group::Group,
    lookup::{GraphLookup, Lookup, UnionWith},
    project::{AddFields, Projection},
    reshape::Unwind,
    sort::SortStage,
    steps::Steps,
    window::Window,
};
use crate::{
    Context, Error,
    error::{Result, code},
    expr::{Expression, Needs, Variables, depth_within},
    path::Path,
    query::Filter,
    regex::Asked,
    sort::{Sort, SortKey},
};

/// A stream of documents. Behind an error it ends.
pub type Documents<'a> = Box<dyn Iterator<Item = Result<Document>> + 'a>;

/// The bytes that the stages of a pipeline may hold, each for itself, where the caller says nothing else.
pub const MEMORY: usize = 100 << 20;
/// Pipelines in pipelines are no deeper than this.
const MAX_SUB_PIPELINES: usize = 20;
/// A pipeline has no more stages than this.
const MAX_STAGES: usize = 1000;
/// A run pulls through no more iterators than this, because each takes a piece of the stack. Stages that look at one document
/// share one.
const MAX_LENGTH: usize = 100;

/// Other collections, for `$lookup` and its like.
pub trait Collections {
    /// The documents of a collection, or none where it does not exist. `leading` says what is done with them first: a
    /// reader may use indexes for it and leave out what would not get through, and need not; it is done again.
    ///
    /// # Errors
    /// What reading meets.
    fn read<'a>(&'a self, collection: &str, leading: &Leading<'_>) -> Result<Documents<'a>>;

    /// If an index answers which documents have a value in `field`.
    fn is_indexed(&self, _collection: &str, _field: &str) -> bool {
        false
    }
}

/// No collections at all: each is empty.
#[derive(Clone, Copy, Debug)]
pub struct NoCollections;

impl Collections for NoCollections {
    fn read<'a>(&'a self, _: &str, _: &Leading<'_>) -> Result<Documents<'a>> {
        Ok(Box::new(std::iter::empty()))
    }
}

/// What a run has beside its input.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Time and randomness.
    pub context: &'a Context,
    /// Where `$lookup` reads.
    pub collections: &'a dyn Collections,
    /// The values of the variables that the pipeline was parsed with.
    pub variables: &'a Variables,
    /// The bytes that one stage may hold.
    pub memory: usize,
}

/// What a pipeline does first, as far as an index can serve it.
#[derive(Clone, Debug, Default)]
pub struct Leading<'p> {
    /// Conditions that every document has to meet, all of them; that of a `$geoNear` is among them, as one of nearness. Some may stand
    /// further behind, where no stage before them changes what they are about.
    pub filters: Vec<&'p Filter>,
    /// The values of the variables that `$expr` in these conditions may name; none for the leading part of a pipeline by
    /// itself, whose caller knows them.
    pub variables: Option<&'p Variables>,
    /// The order behind the filters.
    pub sort: Option<&'p Sort>,
    /// How many documents get through behind filter and order; of a `$geoNear`, how many of the nearest.
    pub limit: Option<u64>,
    /// `$geoNear`: from where, on which field, how far.
    pub near: Option<&'p GeoNear>,
    /// Fields that are read of a document.
    pub needs: Needs,
}

/// A parsed pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    /// How many iterators stand behind each other when it runs, those of pipelines in it included.
    length: usize,
}

#[derive(Clone, Debug)]
enum Stage {
    Documents(Vec<Document>),
    Match(Box<Filter>),
    Project(Projection),
    AddFields(AddFields),
    ReplaceRoot(Box<Expression>, &'static str),
    Redact(Box<Expression>),
    Unwind(Unwind),
    Limit(u64),
    Skip(u64),
    Sample(usize),
    Sort(SortStage),
    Group(Group),
    BucketAuto(Box<BucketAuto>),
    Count(String),
    Lookup(Box<Lookup>),
    GraphLookup(Box<GraphLookup>),
    UnionWith(UnionWith),
    Facet(Vec<(String, Pipeline)>),
    GeoNear(Box<GeoNear>),
    Window(Box<Window>),
}

impl Pipeline {
    /// Parses a pipeline that names no variables of the caller's.
    ///
    /// # Errors
    /// What MongoDB refuses before it looks at a document, with its number.
    pub fn parse(stages: &[Bson]) -> Result<Self> {
        Self::parse_with(stages, &[])
    }

    /// Parses a pipeline whose expressions may name `variables`.
    ///
    /// # Errors
    /// As [`Pipeline::parse`].
    pub fn parse_with(stages: &[Bson], variables: &[String]) -> Result<Self> {
        Asked::of_all(stages.iter().filter_map(Bson::as_document)).checked()?;
        parse::pipeline(stages, variables, 0)
    }

    /// If the pipeline makes its own input, by `$documents`.
    #[must_use]
    pub fn makes_documents(&self) -> bool {
        matches!(self.stages.first(), Some(Stage::Documents(_)))
    }

    /// Says which field a leading `$geoNear` that names none is about: that of the collection's one geographic index. Without
    /// it, such a stage fails as on a collection without an index.
    pub fn set_geo_near_key(&mut self, key: &Path) {
        if let Some(Stage::GeoNear(near)) = self.stages.first_mut() {
            near.set_key(key);
        }
    }

    /// If it begins with a `$geoNear` of which not all documents may be asked for, though none of its own says how many are: a
    /// `$limit` stands behind stages that look at one document at a time.
    #[must_use]
    pub fn may_end_near(&self) -> bool {
        let Some((Stage::GeoNear(near), behind)) = self.stages.split_first() else {
            return false;
        };
        let one_by_one = |stage: &&Stage| stage.is_step() || stage.is_passable();
        let mut behind = behind.iter().take_while(one_by_one);
        near.most().is_none() && behind.any(|stage| matches!(stage, Stage::Limit(_)))
    }

    /// Promises that the documents come in the order of their distance from the point of the leading `$geoNear`, which need not
    /// hold and sort all of them then.
    pub fn set_led_by_distance(&mut self) {
        if let Some(Stage::GeoNear(near)) = self.stages.first_mut() {
            near.set_led();
        }
    }

    /// Takes the documents of a leading `$documents` out.
    fn take_documents(&mut self) -> Option<Vec<Document>> {
        if !self.makes_documents() {
            return None;
        }
        match self.stages.remove(0) {
            Stage::Documents(documents) => Some(documents),
            _ => None,
        }
    }

    /// What the pipeline does first.
    #[must_use]
    pub fn leading(&self) -> Leading<'_> {
        let mut leading = Leading {
            needs: self.needs(),
            ..Leading::default()
        };
        // If order, skip and limit still come first; which stages a condition is to be moved past.
        let mut first = true;
        let mut passed: Vec<&Stage> = Vec::new();
        let mut skip = 0_u64;
        for stage in &self.stages {
            match stage {
                Stage::Match(filter) if leading.near.is_none() && skip == 0 && can_pass(filter, &passed) => {
                    leading.filters.push(filter);
                }
                Stage::Match(_) => first = false,
                Stage::GeoNear(near) if first && leading.filters.is_empty() && leading.sort.is_none() => {
                    leading.near = Some(near);
                    leading.filters.extend(near.condition());
                    leading.limit = near.most();
                }
                Stage::Sort(sort)
                    if first && leading.sort.is_none() && leading.near.is_none() && skip == 0 =>
                {
                    leading.sort = Some(sort.order());
                }
                Stage::Skip(count) if first => skip = skip.saturating_add(*count),
                Stage::Limit(count) if first => {
                    let limit = skip.saturating_add(*count);
                    leading.limit = Some(leading.limit.map_or(limit, |most| most.min(limit)));
                    break;
                }
                stage if stage.is_passable() => {
                    first = false;
                    passed.push(stage);
                }
                _ => break,
            }
        }
        leading
    }

    /// The fields of the input that the pipeline reads; the others change nothing.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for stage in &self.stages {
            if stage.needs(&mut needs) {
                return needs;
            }
        }
        // The documents come out as they are.
        Needs::All
    }

    /// The names of the other collections that the pipeline reads.
    #[must_use]
    pub fn collections(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.add_collections(&mut names);
        names
    }

    fn add_collections<'p>(&'p self, names: &mut Vec<&'p str>) {
        for stage in &self.stages {
            match stage {
                Stage::Lookup(lookup) => lookup.add_collections(names),
                Stage::GraphLookup(lookup) => names.push(lookup.from()),
                Stage::UnionWith(union) => union.add_collections(names),
                Stage::Facet(facets) => facets.iter().for_each(|facet| facet.1.add_collections(names)),
                _ => {}
            }
        }
    }

    /// What the pipeline makes of one document; of stages that leave it out, nothing.
    pub(crate) fn make(&self, document: &Document, context: &Context) -> Result<Document> {
        let environment = Environment {
            context,
            collections: &NoCollections,
            variables: &Variables::none(),
            memory: MEMORY,
        };
        let input = Box::new(std::iter::once(Ok(document.clone())));
        let made = self.run(input, environment).next();
        made.unwrap_or_else(|| Ok(Document::new()))
    }

    /// Runs the pipeline over `input`. Nothing is read before the first document is asked for.
    #[must_use]
    pub fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        let mut documents = input;
        for run in self
            .stages
            .chunk_by(|left, right| left.is_step() && right.is_step())
        {
            documents = match run {
                [stage] if !stage.is_step() => stage.run(documents, environment),
                steps => Box::new(Steps::new(documents, steps, environment)),
            };
        }
        let mut ended = false;
        Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let next = documents.next();
            ended = !matches!(next, Some(Ok(_)));
            next
        }))
    }
}

impl Stage {
    /// If it makes one document of each, or none: such stages run in one loop.
    const fn is_step(&self) -> bool {
        matches!(
            self,
            Self::Match(_)
                | Self::Project(_)
                | Self::AddFields(_)
                | Self::ReplaceRoot(..)
                | Self::Redact(_)
                | Self::Limit(_)
                | Self::Skip(_)
        )
    }

    /// If it looks at one document at a time and leaves none out, so that conditions can be moved past it.
    const fn is_passable(&self) -> bool {
        matches!(
            self,
            Self::Project(_) | Self::AddFields(_) | Self::Unwind(_) | Self::Lookup(_) | Self::GraphLookup(_)
        )
    }

    /// If a top-level field comes out of a passable stage as it went in.
    fn keeps(&self, field: &str) -> bool {
        match self {
            Self::Project(projection) => projection.keeps(field),
            Self::AddFields(fields) => !fields.sets(field),
            Self::Unwind(unwind) => !unwind.sets(field),
            Self::Lookup(lookup) => lookup.result().first() != field,
            Self::GraphLookup(lookup) => lookup.result().first() != field,
            _ => false,
        }
    }

    /// The length of the longest pipeline in it.
    fn inner_length(&self) -> usize {
        match self {
            Self::Lookup(lookup) => lookup.inner_length(),
            Self::UnionWith(union) => union.inner_length(),
            Self::Facet(facets) => facets.iter().map(|facet| facet.1.length).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Adds the fields that the stage reads; true where none of the others gets through.
    fn needs(&self, needs: &mut Needs) -> bool {
        match self {
            Self::Documents(_) | Self::Count(_) => return true,
            Self::Match(filter) => filter.needs(needs),
            Self::Project(projection) => return projection.needs(needs),
            Self::AddFields(fields) => fields.needs(needs),
            Self::ReplaceRoot(expression, _) => {
                expression.needs(needs);
                return true;
            }
            Self::Redact(_) => needs.add_all(),
            Self::Unwind(unwind) => unwind.needs(needs),
            Self::Limit(_) | Self::Skip(_) | Self::Sample(_) | Self::UnionWith(_) => {}
            Self::Sort(sort) => add_sort(sort.order(), needs),
            Self::Group(group) => {
                group.needs(needs);
                return true;
            }
            Self::BucketAuto(bucket) => {
                bucket.needs(needs);
                return true;
            }
            Self::Lookup(lookup) => lookup.needs(needs),
            Self::GraphLookup(lookup) => lookup.needs(needs),
            Self::Facet(facets) => {
                for (_, pipeline) in facets {
                    match pipeline.needs() {
                        Needs::All => needs.add_all(),
                        Needs::Fields(fields) => fields.iter().for_each(|field| needs.add(field)),
                    }
                }
                return true;
            }
            Self::GeoNear(near) => near.needs(needs),
            Self::Window(window) => window.needs(needs),
        }
        false
    }

    fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        let Environment { context, memory, .. } = environment;
        match self {
            Self::Documents(documents) => Box::new(documents.iter().cloned().map(Ok)),
            Self::Match(_)
            | Self::Project(_)
            | Self::AddFields(_)
            | Self::ReplaceRoot(..)
            | Self::Redact(_)
            | Self::Limit(_)
            | Self::Skip(_) => Box::new(Steps::new(input, std::slice::from_ref(self), environment)),
            // Several of them make many documents of one.
            Self::Unwind(unwind) => Box::new(
                unwind
                    .run(input)
                    .map(|document| context.is_wanted().and(document)),
            ),
            Self::Sample(count) => reshape::sample(input, *count, context, memory),
            Self::Sort(sort) => sort.run(input, context, memory),
            Self::Group(group) => group.run(input, environment),
            Self::BucketAuto(bucket) => bucket.run(input, environment),
            Self::Count(name) => lazily(move || {
                let mut count = 0_i64;
                for document in input {
                    document?;
                    count += 1;
                }
                let count = i32::try_from(count).map_or(Bson::Int64(count), Bson::Int32);
                let counted = (count != Bson::Int32(0)).then(|| {
                    let mut document = Document::new();
                    document.insert(name.as_str(), count);
                    Ok(document)
                });
                Ok(Box::new(counted.into_iter()))
            }),
            Self::Lookup(lookup) => lookup.run(input, environment),
            Self::GraphLookup(lookup) => lookup.run(input, environment),
            Self::UnionWith(union) => union.run(input, environment),
            Self::Facet(facets) => lazily(move || facet(facets, input, environment)),
            Self::GeoNear(near) => near.run(input, environment),
            Self::Window(window) => window.run(input, environment),
        }
    }
}

/// If a condition says the same before those stages as behind them: none of them changes a field that it reads.
fn can_pass(filter: &Filter, stages: &[&Stage]) -> bool {
    if stages.is_empty() {
        return true;
    }
    let mut needs = Needs::default();
    filter.needs(&mut needs);
    match needs {
        Needs::All => false,
        Needs::Fields(fields) => fields
            .iter()
            .all(|field| stages.iter().all(|stage| stage.keeps(field))),
    }
}

fn add_sort(sort: &Sort, needs: &mut Needs) {
    for key in sort.keys() {
        if let SortKey::Field(path, _) = key {
            needs.add(path.first());
        }
    }
}

/// Makes a stream when its first document is asked for.
fn lazily<'a>(make: impl FnOnce() -> Result<Documents<'a>> + 'a) -> Documents<'a> {
    let mut make = Some(make);
    let mut made: Option<Documents<'a>> = None;
    Box::new(std::iter::from_fn(move || {
        if let Some(make) = make.take() {
            match make() {
                Ok(documents) => made = Some(documents),
                Err(error) => return Some(Err(error)),
            }
        }
        made.as_mut()?.next()
    }))
}

fn facet<'a>(
    facets: &'a [(String, Pipeline)],
    input: Documents<'a>,
    environment: Environment<'a>,
) -> Result<Documents<'a>> {
    let mut held = Held::new("$facet", environment.memory);
    let mut documents = Vec::new();
    for document in input {
        let document = document?;
        held.add(&document)?;
        documents.push(document);
    }
    let mut result = Document::new();
    for (name, pipeline) in facets {
        let input = Box::new(documents.iter().cloned().map(Ok));
        let mut list = Vec::new();
        for document in pipeline.run(input, environment) {
            let document = Bson::Document(document?);
            check_depth(&document)?;
            held.add_bytes(crate::expr::value_size(&document))?;
            list.push(document);
        }
        result.insert(name.as_str(), list);
    }
    Ok(Box::new(std::iter::once(Ok(result))))
}

/// The bytes that a stage holds.
struct Held {
    stage: &'static str,
    bytes: usize,
    most: usize,
}

impl Held {
    const fn new(stage: &'static str, most: usize) -> Self {
        Self {
            stage,
            bytes: 0,
            most,
        }
    }

    fn add(&mut self, document: &Document) -> Result<()> {
        self.add_bytes(crate::expr::document_size(document))
    }

    fn add_bytes(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.most {
            return Err(Error::new(
                code::QUERY_EXCEEDED_MEMORY_LIMIT,
                format!(
                    "Exceeded memory limit for {}, which may hold {} bytes, and no disk is used",
                    self.stage, self.most
                ),
            ));
        }
        Ok(())
    }
}

/// Refuses a computed value that nests too deep for a document.
fn check_depth(value: &Bson) -> Result<()> {
    if depth_within(value, crate::expr::MAX_DEPTH) {
        return Ok(());
    }
    Err(Error::new(
        code::OVERFLOW,
        format!(
            "BSONObj exceeds maximum nested object depth: {}",
            crate::expr::MAX_DEPTH
        ),
    ))
}

#[cfg(test)]
mod tests;
