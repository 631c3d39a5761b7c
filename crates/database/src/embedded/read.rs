//! What each read does: on a snapshot, or on a transaction's.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
    sync::Arc,
};

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use docdb::{
    Context, TOO_MUCH_WORK,
    expr::{Needs, Variables},
    path::Path,
    pipeline::{Collections, Documents, Environment, Leading, Pipeline},
    project::Projection,
    query::{Filter, Near},
    sort::{self, Sort, SortKey},
};
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase};

use super::{
    Bounds, Shared,
    catalog::Collection,
    file::{CATALOG, COUNTS, DOCUMENTS, INDEXES, META, SEQUENCE},
    near::NearWalk,
    route::Route,
    transaction::{Overlay, Turn},
    view::{Bytes, Candidate, Search, View, partly},
};
use crate::{Aggregate, Find, Found, IndexKind, Looked, Page, Result, Tally, error::DatabaseError};

/// Looking at so many documents takes no longer than going to another thread and back.
const FEW: usize = 32;
/// So do so many steps of matching and showing them: about a millisecond.
const SHORT: u64 = 20_000;

type Bytestable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The tables of a snapshot. Opening one takes as long as finding a document in it, so what few reads need is opened for those.
pub(crate) struct Tables<'s> {
    snapshot: &'s ReadTransaction,
    documents: Bytestable,
    indexes: OnceCell<Bytestable>,
    catalog: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl<'s> Tables<'s> {
    fn of(snapshot: &'s ReadTransaction) -> Result<Self> {
        Ok(Self {
            snapshot,
            documents: snapshot
                .open_table(DOCUMENTS)
                .map_err(DatabaseError::unavailable)?,
            indexes: OnceCell::new(),
            catalog: snapshot.open_table(CATALOG).map_err(DatabaseError::unavailable)?,
        })
    }

    /// What a reader sees that goes along `route`.
    fn view<'a>(&'a self, overlay: Option<&'a Overlay>, route: &Route) -> Result<View<'a, Bytestable>> {
        let mut view = View {
            documents: &self.documents,
            // A stand-in: indexes are opened below, if the route needs one.
            indexes: &self.documents,
            overlay,
        };
        if route.scans.iter().any(|scan| !scan.documents) {
            view.indexes = match self.indexes.get() {
                Some(indexes) => indexes,
                None => {
                    let opened = self.snapshot.open_table(INDEXES);
                    let opened = opened.map_err(DatabaseError::unavailable)?;
                    self.indexes.get_or_init(|| opened)
                }
            };
        }
        Ok(view)
    }

    /// How many documents a collection has.
    fn count(&self, collection: &Collection) -> Result<u64> {
        let counts = self
            .snapshot
            .open_table(COUNTS)
            .map_err(DatabaseError::unavailable)?;
        let count = counts.get(collection.id).map_err(DatabaseError::unavailable)?;
        Ok(count.map_or(0, |count| count.value()))
    }

    /// The number of the last change.
    fn sequence(&self) -> Result<u64> {
        let meta = self
            .snapshot
            .open_table(META)
            .map_err(DatabaseError::unavailable)?;
        let sequence = meta.get(SEQUENCE).map_err(DatabaseError::unavailable)?;
        Ok(sequence.map_or(0, |sequence| sequence.value()))
    }
}

/// Has `read` look at the snapshot of an operation: its transaction's, or a new one.
fn with<T>(
    file: &redb::Database,
    turn: Option<&Turn>,
    read: impl FnOnce(&Tables<'_>, Option<&Overlay>) -> Result<T>,
) -> Result<T> {
    let Some(turn) = turn else {
        let snapshot = file.begin_read().map_err(DatabaseError::unavailable)?;
        return read(&Tables::of(&snapshot)?, None);
    };
    let mut state = turn.transaction.state();
    let (snapshot, overlay) = state.parts(file)?;
    read(&Tables::of(snapshot)?, Some(overlay))
}

fn collection(
    shared: &Shared,
    file: &redb::Database,
    tables: &Tables<'_>,
    name: &str,
) -> Result<Arc<Collection>> {
    shared.collection(file, &tables.catalog, name)
}

/// A [`crate::Database::find`], parsed.
pub(crate) struct FindRead {
    collection: String,
    filter: Filter,
    sort: Option<Sort>,
    projection: Option<Projection>,
    skip: usize,
    limit: Option<usize>,
    is_followed: bool,
}

impl FindRead {
    pub(crate) fn new(collection: &str, find: &Find) -> Result<Self> {
        let sort = find.sort.as_ref().filter(|sort| !sort.is_empty());
        let projection = find.projection.as_ref();
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Self {
            collection: collection.to_owned(),
            filter: Filter::parse(&find.filter)?,
            sort: sort.map(Sort::parse).transpose()?,
            projection: projection.map(Projection::parse).transpose()?,
            skip: count(find.skip),
            limit: find.limit.map(count),
            is_followed: find.is_followed,
        })
    }

    pub(crate) fn run(
        &self,
        shared: &Shared,
        file: &redb::Database,
        turn: Option<&Turn>,
        bounds: &Bounds,
    ) -> Result<Found> {
        let context = shared.context(bounds);
        with(file, turn, |tables, overlay| {
            let collection = collection(shared, file, tables, &self.collection)?;
            let route = self.route(&collection, overlay);
            self.along(shared, tables, overlay, &collection, route, &context)
        })
    }

    /// Reads where that is known to be little; `None` where it may be much.
    pub(crate) fn run_if_short(&self, shared: &Shared, file: &redb::Database) -> Result<Option<Found>> {
        with(file, None, |tables, overlay| {
            let collection = collection(shared, file, tables, &self.collection)?;
            let route = self.route(&collection, overlay);
            // A pattern takes what it takes, however few documents there are; what an expression or an order takes shows on the way.
            if route.most.is_none_or(|most| most > FEW) || self.filter.patterns() > 0 {
                return Ok(None);
            }
            let context = shared.context(&Bounds::default()).strict(SHORT);
            match self.along(shared, tables, overlay, &collection, route, &context) {
                Err(DatabaseError::Refused(error)) if error.code == TOO_MUCH_WORK => Ok(None),
                found => found.map(Some),
            }
        })
    }

    /// How many have to be found, where that is known.
    fn wanted(&self) -> Option<usize> {
        self.limit.map(|limit| self.skip.saturating_add(limit))
    }

    fn route(&self, collection: &Collection, overlay: Option<&Overlay>) -> Route {
        Route::of(
            collection,
            &self.filter,
            self.sort.as_ref(),
            self.wanted(),
            overlay,
        )
    }

    fn along(
        &self,
        shared: &Shared,
        tables: &Tables<'_>,
        overlay: Option<&Overlay>,
        collection: &Collection,
        route: Route,
        context: &Context,
    ) -> Result<Found> {
        let Self { filter, sort, .. } = self;
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut walk = NearWalk::of(collection, filter, sort.as_ref(), self.wanted(), overlay);
        let mut route = walk.as_mut().map_or(route, NearWalk::area);
        let mut search = Search::new(filter, context, &route);
        let order = Order::of(filter, sort.as_ref(), &route, context);
        let options = &shared.options;
        let mut chosen = Chosen::new(
            (self.skip, limit),
            order.is_some(),
            options.answer,
            options.pipeline_memory,
        );
        let mut ended = limit == 0;
        while !ended {
            for candidate in tables.view(overlay, &route)?.candidates(collection.id, &route) {
                let Candidate { key, document } = candidate?;
                if !search.matches(document.as_slice())? {
                    continue;
                }
                if let Some(walk) = &mut walk
                    && route.repeats
                    && !walk.is_new(key.as_slice())
                {
                    continue;
                }
                let place = order
                    .as_ref()
                    .map(|order| order.place(document.as_slice()))
                    .transpose()?;
                if chosen.add(place.unwrap_or_default(), document)? {
                    break;
                }
            }
            ended = !walk
                .as_mut()
                .is_some_and(|walk| walk.grow(chosen.within(walk.radius())));
            if let Some(walk) = walk.as_mut().filter(|_| !ended) {
                route = walk.area();
            }
        }
        let documents = chosen
            .finish()
            .map(|bytes| show(bytes, filter, self.projection.as_ref(), context))
            .collect::<Result<_>>()?;
        Ok(Found {
            documents,
            looked: Some(search.looked),
            sequence: self.is_followed.then(|| tables.sequence()).transpose()?,
        })
    }
}

/// Bytes of documents after which a page ends.
const PAGE: usize = 4 << 20;

/// See [`crate::Database::page`].
pub(crate) fn page(
    shared: &Shared,
    file: &redb::Database,
    bounds: &Bounds,
    name: &str,
    (filter, projection): (&Document, Option<&Document>),
    after: Option<&Bson>,
    limit: usize,
) -> Result<Page> {
    let context = shared.context(bounds);
    let filter = Filter::parse(filter)?;
    let projection = projection.map(Projection::parse).transpose()?;
    with(file, None, |tables, _| {
        let collection = collection(shared, file, tables, name)?;
        let route = Route::behind(&collection, filter.is_empty(), after);
        let mut search = Search::new(&filter, &context, &route);
        let mut page = Page::default();
        let mut size = 0;
        for candidate in tables.view(None, &route)?.candidates(collection.id, &route) {
            let document = candidate?.document;
            let bytes = document.as_slice();
            if page.documents.len() >= limit || size >= PAGE {
                // There is a further one, if only to be looked at.
                return Ok(page);
            }
            if search.matches(bytes)? {
                size += bytes.len();
                page.last = id_of(bytes)?;
                page.documents
                    .push(show(bytes.to_vec(), &filter, projection.as_ref(), &context)?);
            }
        }
        page.last = None;
        Ok(page)
    })
}

fn id_of(bytes: &[u8]) -> Result<Option<Bson>> {
    let document = RawDocument::from_bytes(bytes).map_err(DatabaseError::unavailable)?;
    let id = document.get("_id").map_err(DatabaseError::unavailable)?;
    id.map(Bson::try_from)
        .transpose()
        .map_err(DatabaseError::unavailable)
}

/// A document as it is given, with the fields that were asked for.
fn show(
    bytes: Vec<u8>,
    filter: &Filter,
    projection: Option<&Projection>,
    context: &Context,
) -> Result<RawDocumentBuf> {
    let Some(projection) = projection else {
        return RawDocumentBuf::from_bytes(bytes).map_err(DatabaseError::unavailable);
    };
    let mut needs = Needs::default();
    projection.needs(&mut needs);
    filter.needs(&mut needs);
    let document = partly(&bytes, &needs)?;
    let element = filter
        .find_element(&document, &Variables::none(), context)?
        .unwrap_or_default();
    let shown = projection.apply(document, element, context)?;
    RawDocumentBuf::try_from(&shown).map_err(DatabaseError::unavailable)
}

/// See [`crate::Database::count`].
pub(crate) fn count(
    shared: &Shared,
    file: &redb::Database,
    turn: Option<&Turn>,
    bounds: &Bounds,
    name: &str,
    filter: &Document,
) -> Result<Tally> {
    let context = shared.context(bounds);
    let filter = Filter::parse(filter)?;
    with(file, turn, |tables, overlay| {
        let collection = collection(shared, file, tables, name)?;
        if filter.is_empty() && overlay.is_none_or(|overlay| overlay.writes.is_empty()) {
            return Ok(Tally {
                count: tables.count(&collection)?,
                looked: Some(Looked::default()),
            });
        }
        let route = Route::of(&collection, &filter, None, None, overlay);
        let mut search = Search::new(&filter, &context, &route);
        let mut count = 0;
        for candidate in tables.view(overlay, &route)?.candidates(collection.id, &route) {
            count += u64::from(search.matches(candidate?.document.as_slice())?);
        }
        Ok(Tally {
            count,
            looked: Some(search.looked),
        })
    })
}

/// See [`crate::Database::aggregate`].
pub(crate) fn aggregate(
    shared: &Shared,
    file: &redb::Database,
    turn: Option<&Turn>,
    bounds: &Bounds,
    name: &str,
    aggregate: &Aggregate,
) -> Result<Found> {
    let context = shared.context(bounds);
    let stages: Vec<Bson> = aggregate.stages.iter().cloned().map(Bson::Document).collect();
    let mut pipeline = Pipeline::parse(&stages)?;
    with(file, turn, |tables, overlay| {
        let collection = collection(shared, file, tables, name)?;
        if let Some(place) = only_place(&collection) {
            pipeline.set_geo_near_key(&place);
        }
        let by_distance = nearest_first(&pipeline, &pipeline.leading(), &collection, overlay).is_some();
        if by_distance {
            pipeline.set_led_by_distance();
        }
        let source = Source {
            shared,
            context: &context,
            tables,
            overlay,
            failure: Cell::new(None),
            looked: Cell::new(0),
        };
        let leading = pipeline.leading();
        let route = source.route(&collection, &leading);
        let input: Documents<'_> = if pipeline.makes_documents() {
            Box::new(std::iter::empty())
        } else if let Some((walk, filter)) = nearest_first(&pipeline, &leading, &collection, overlay) {
            source.by_distance(walk, filter, leading.needs.clone())
        } else {
            source.stream(&collection, &leading)
        };
        let environment = Environment {
            context: &context,
            collections: &source,
            variables: &Variables::none(),
            memory: shared.options.pipeline_memory,
        };
        let mut documents = Vec::new();
        let mut size = 0;
        for document in pipeline.run(input, environment) {
            let document = document.map_err(|error| source.failure.take().unwrap_or_else(|| error.into()))?;
            let document = RawDocumentBuf::try_from(&document).map_err(DatabaseError::unavailable)?;
            size += document.as_bytes().len();
            if size > shared.options.answer {
                return Err(DatabaseError::AnswerTooLarge(shared.options.answer));
            }
            documents.push(document);
        }
        Ok(Found {
            documents,
            looked: Some(Looked {
                documents: source.looked.get(),
                index: route.index,
            }),
            sequence: None,
        })
    })
}

/// The way from the inside to the outside along an index of places, where a pipeline does not say how many it will ask for, and
/// may not ask for all; with what a document has to meet.
fn nearest_first<'a>(
    pipeline: &Pipeline,
    leading: &Leading<'a>,
    collection: &'a Collection,
    overlay: Option<&Overlay>,
) -> Option<(NearWalk<'a>, &'a Filter)> {
    let [filter] = leading.filters.as_slice() else {
        return None;
    };
    if leading.limit.is_some() || !pipeline.may_end_near() {
        return None;
    }
    let walk = NearWalk::of(collection, filter, None, Some(usize::MAX), overlay)?;
    Some((walk, filter))
}

/// The one field that the collection has an index of places on.
fn only_place(collection: &Collection) -> Option<Path> {
    let fields = collection.indexes.iter().flat_map(|index| &index.spec.fields);
    let mut places = fields.filter(|field| field.kind == IndexKind::Sphere);
    match (places.next(), places.next()) {
        (Some(place), None) => Some(Path::new(&place.path)),
        _ => None,
    }
}

/// How many of the nearest a pipeline may ask for to be led to them from the inside to the outside.
const FEW_NEAREST: u64 = 10_000;

/// What every document has to meet first.
fn condition<'p>(leading: &Leading<'p>) -> Cow<'p, Filter> {
    match leading.filters.as_slice() {
        [only] => Cow::Borrowed(*only),
        several => Cow::Owned(Filter::all_of(several)),
    }
}

/// What a pipeline reads.
struct Source<'a> {
    shared: &'a Shared,
    context: &'a Context,
    tables: &'a Tables<'a>,
    overlay: Option<&'a Overlay>,
    /// What reading met; the pipeline only hands on that it met something.
    failure: Cell<Option<DatabaseError>>,
    looked: Cell<u64>,
}

impl Source<'_> {
    fn route(&self, collection: &Collection, leading: &Leading<'_>) -> Route {
        let filter = condition(leading);
        let limit = leading
            .limit
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Route::of(collection, &filter, leading.sort, limit, self.overlay)
    }

    /// The documents that can get through what a pipeline does first, in its order where an index gives it. The pipeline judges
    /// them again; a document whose bytes show that it is left out is not decoded for it.
    fn stream(&self, collection: &Collection, leading: &Leading<'_>) -> Documents<'_> {
        match self.nearest(collection, leading) {
            Ok(None) => {}
            Ok(Some(nearest)) => return Box::new(nearest.into_iter().map(Ok)),
            Err(error) => return Box::new(std::iter::once(Err(self.told(error)))),
        }
        let route = self.route(collection, leading);
        let documents = self.documents(collection.id, &route, leading);
        // Sorted, the first that match are the ones.
        let enough = leading
            .limit
            .filter(|_| leading.sort.is_some() && route.sorted && route.exact);
        match enough {
            Some(limit) => Box::new(documents.take(usize::try_from(limit).unwrap_or(usize::MAX))),
            None => Box::new(documents),
        }
    }

    /// The nearest few documents, where a pipeline begins with them and an index of places leads to them; in no order.
    fn nearest(&self, collection: &Collection, leading: &Leading<'_>) -> Result<Option<Vec<Document>>> {
        // Variables would have to be known to judge a document here.
        let limit = leading
            .limit
            .filter(|limit| *limit <= FEW_NEAREST && leading.near.is_some() && leading.variables.is_none())
            .and_then(|limit| usize::try_from(limit).ok());
        let filter = condition(leading);
        let Some(mut walk) = NearWalk::of(collection, &filter, None, limit, self.overlay) else {
            return Ok(None);
        };
        let mut found = Vec::new();
        loop {
            self.add_area(&mut walk, &filter, &leading.needs, &mut found)?;
            // What is farther than enough others will not be asked for.
            found.sort_by(|left, right| left.0.total_cmp(&right.0));
            found.truncate(limit.unwrap_or(usize::MAX));
            let within = found.partition_point(|(distance, _)| *distance <= walk.radius());
            if !walk.grow(within) {
                return Ok(Some(found.into_iter().map(|(_, document)| document).collect()));
            }
        }
    }

    /// Adds the documents of the area that the walk has come to, with their distances.
    fn add_area(
        &self,
        walk: &mut NearWalk<'_>,
        filter: &Filter,
        needs: &Needs,
        found: &mut Vec<(f64, Document)>,
    ) -> Result<()> {
        let route = walk.area();
        let mut search = Search::new(filter, self.context, &route);
        let view = self.tables.view(self.overlay, &route)?;
        for candidate in view.candidates(walk.collection().id, &route) {
            let Candidate { key, document } = candidate?;
            self.looked.set(self.looked.get() + 1);
            let bytes = document.as_slice();
            if search.matches(bytes)? && (!route.repeats || walk.is_new(key.as_slice())) {
                let document = partly(bytes, needs)?;
                let distance = filter.near().and_then(|near| near.distance(&document));
                found.push((distance.unwrap_or(f64::INFINITY), document));
            }
        }
        Ok(())
    }

    /// All documents that a walk leads to, in the order of their distance; an area is read when all that is nearer was asked for.
    fn by_distance<'s>(&'s self, mut walk: NearWalk<'s>, filter: &'s Filter, needs: Needs) -> Documents<'s> {
        // From far to near.
        let mut found: Vec<(f64, Document)> = Vec::new();
        let (mut given, mut within, mut ended) = (0, None::<f64>, false);
        Box::new(std::iter::from_fn(move || {
            loop {
                let nearest = found.last().map(|(distance, _)| *distance);
                if nearest.is_some_and(|nearest| ended || within.is_some_and(|within| nearest <= within)) {
                    given += 1;
                    return found.pop().map(|(_, document)| Ok(document));
                }
                if ended {
                    return None;
                }
                if within.is_some() && !walk.grow(given) {
                    ended = true;
                    continue;
                }
                if let Err(error) = self.add_area(&mut walk, filter, &needs, &mut found) {
                    ended = true;
                    found.clear();
                    return Some(Err(self.told(error)));
                }
                found.sort_by(|left, right| right.0.total_cmp(&left.0));
                within = Some(walk.radius());
            }
        }))
    }

    fn documents(&self, id: u32, route: &Route, leading: &Leading<'_>) -> Documents<'_> {
        let candidates = match self.tables.view(self.overlay, route) {
            Ok(view) => view.candidates(id, route),
            Err(error) => return Box::new(std::iter::once(Err(self.told(error)))),
        };
        let needs = leading.needs.clone();
        // Where all that come match, none need be tested.
        let tested = leading.filters.iter().filter(|_| !route.exact);
        let filters: Vec<Filter> = tested.map(|&filter| filter.clone()).collect();
        Box::new(candidates.filter_map(move |candidate| {
            self.looked.set(self.looked.get() + 1);
            if let Err(error) = self.context.is_wanted() {
                return Some(Err(error));
            }
            let candidate = match candidate {
                Ok(candidate) => candidate,
                Err(error) => return Some(Err(self.told(error))),
            };
            let bytes = candidate.document.as_slice();
            let is_out = |filter: &Filter| filter.matches_raw(bytes, self.context) == Some(false);
            if filters.iter().any(is_out) {
                return None;
            }
            Some(partly(bytes, &needs).map_err(|error| self.told(error)))
        }))
    }

    /// Keeps what reading met, and gives what the pipeline hands on.
    fn told(&self, error: DatabaseError) -> docdb::Error {
        let told = docdb::Error::new(docdb::error::code::UNKNOWN_ERROR, error.to_string());
        self.failure.set(Some(error));
        told
    }

    fn collection(&self, name: &str) -> docdb::error::Result<Option<Arc<Collection>>> {
        self.shared
            .catalog
            .read(&self.tables.catalog, name)
            .map_err(|error| self.told(error))
    }
}

impl Collections for Source<'_> {
    fn read<'s>(&'s self, name: &str, leading: &Leading<'_>) -> docdb::error::Result<Documents<'s>> {
        let Some(collection) = self.collection(name)? else {
            return Ok(Box::new(std::iter::empty()));
        };
        Ok(self.stream(&collection, leading))
    }

    fn is_indexed(&self, name: &str, field: &str) -> bool {
        let collection = self.collection(name).ok().flatten();
        collection.is_some_and(|collection| {
            field == "_id"
                || collection
                    .indexes
                    .iter()
                    .filter_map(|index| index.spec.fields.first())
                    .any(|first| first.path == field && first.kind != IndexKind::Sphere)
        })
    }
}

/// The place of a document where the way to it does not give the order.
enum Order<'a> {
    Sorted {
        sort: &'a Sort,
        needs: Needs,
        context: &'a Context,
    },
    /// `$near`: by distance.
    Near { near: &'a Near, needs: Needs },
}

impl<'a> Order<'a> {
    fn of(filter: &'a Filter, sort: Option<&'a Sort>, route: &Route, context: &'a Context) -> Option<Self> {
        let mut needs = Needs::default();
        if let Some(sort) = sort {
            for key in sort.keys() {
                if let SortKey::Field(path, _) = key {
                    needs.add(path.first());
                }
            }
            return (!route.sorted).then_some(Self::Sorted { sort, needs, context });
        }
        let near = filter.near()?;
        needs.add(near.path.first());
        Some(Self::Near { near, needs })
    }

    /// Bytes whose order is that of the documents.
    fn place(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Sorted { sort, needs, context } => sort.key(&partly(bytes, needs)?, context)?,
            Self::Near { near, needs } => {
                let distance = near.distance(&partly(bytes, needs)?);
                // Doubles that are not negative are in the order of their bits.
                distance.unwrap_or(f64::INFINITY).to_bits().to_be_bytes().to_vec()
            }
        })
    }
}

/// The documents that a find gives, as far as is known.
struct Chosen {
    skip: usize,
    limit: usize,
    /// Whether the last one may come first.
    ordered: bool,
    kept: Vec<(Vec<u8>, Vec<u8>)>,
    passed: usize,
    /// Bytes that they have, and may have.
    size: usize,
    most: usize,
    /// The same of their places.
    places: usize,
    most_places: usize,
}

impl Chosen {
    const fn new((skip, limit): (usize, usize), ordered: bool, most: usize, most_places: usize) -> Self {
        Self {
            skip,
            limit,
            ordered,
            kept: Vec::new(),
            passed: 0,
            size: 0,
            most,
            places: 0,
            most_places,
        }
    }

    /// Adds a document; answers whether no further one is needed.
    fn add(&mut self, place: Vec<u8>, document: Bytes<'_>) -> Result<bool> {
        if !self.ordered && self.passed < self.skip {
            self.passed += 1;
            return Ok(false);
        }
        self.size += document.as_slice().len();
        self.places += place.len();
        self.kept.push((place, document.as_slice().to_vec()));
        if !self.ordered {
            self.bounded()?;
            return Ok(self.kept.len() >= self.limit);
        }
        let wanted = self.skip.saturating_add(self.limit);
        // Twice as many are kept as can be wanted, so that sorting them costs little for each.
        let is_much = self.size > self.most || self.places > self.most_places;
        if is_much || self.kept.len() >= wanted.saturating_mul(2).max(1024) {
            self.kept.sort_by(|left, right| left.0.cmp(&right.0));
            self.kept.truncate(wanted);
            self.size = self.kept.iter().map(|(_, document)| document.len()).sum();
            self.places = self.kept.iter().map(|(place, _)| place.len()).sum();
            self.bounded()?;
        }
        Ok(false)
    }

    /// How many are known by now that are no farther than that, of documents in the order of their distance.
    fn within(&self, distance: f64) -> usize {
        let place = distance.to_bits().to_be_bytes();
        self.kept
            .iter()
            .filter(|(own, _)| own.as_slice() <= &place[..])
            .count()
    }

    fn bounded(&self) -> Result<()> {
        if self.size > self.most {
            return Err(DatabaseError::AnswerTooLarge(self.most));
        }
        if self.places > self.most_places {
            return Err(sort::too_large(self.most_places).into());
        }
        Ok(())
    }

    fn finish(mut self) -> impl Iterator<Item = Vec<u8>> {
        let mut skip = 0;
        if self.ordered {
            self.kept.sort_by(|left, right| left.0.cmp(&right.0));
            skip = self.skip;
        }
        self.kept
            .into_iter()
            .skip(skip)
            .take(self.limit)
            .map(|(_, document)| document)
    }
}
