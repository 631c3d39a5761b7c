//! A client that applies the events as the SDK does has what the query finds, after whatever changes.

use std::collections::BTreeMap;

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use docdb::Context;
use proptest::prelude::*;

use crate::*;

/// What happens to the collection.
#[derive(Clone, Debug)]
enum Step {
    Put {
        id: u8,
        group: u8,
        rank: u8,
        replaces: bool,
    },
    Remove(u8),
    /// The feed was interrupted after a change: the window has not heard of it, and is loaded anew.
    Missed {
        id: u8,
        group: u8,
        rank: u8,
    },
    Unheard(u8),
}

/// A watcher that knows nothing but what it is told: `docs` as CloudBase's SDKs keep it, and `ordered` as our client does.
#[derive(Default)]
struct Watcher {
    docs: Vec<Document>,
    ordered: Vec<Document>,
}

fn context() -> Context {
    Context::new(DateTime::from_millis(0), 1)
}

impl Watcher {
    fn hear(&mut self, events: &[Event]) {
        let mut began = false;
        for event in events {
            let id: Bson = ejson::read(&event.id).unwrap();
            let is = |document: &Document| *document.get("_id").unwrap() == id;
            let text: String = match event.document.is_empty() {
                true => String::new(),
                false => serde_json::from_slice(&event.document).unwrap(),
            };
            let document = || ejson::read_document(text.as_bytes()).unwrap();
            let place = |docs: &[Document]| docs.iter().position(is);
            match event.queue {
                QueueType::Init => {
                    if !std::mem::replace(&mut began, true) {
                        self.docs.clear();
                        self.ordered.clear();
                    }
                    self.docs.push(document());
                    self.ordered.push(document());
                }
                QueueType::Enqueue => {
                    assert!(place(&self.docs).is_none(), "it has {id} already");
                    self.docs.push(document());
                    self.ordered.insert(event.at.unwrap(), document());
                }
                QueueType::Update => {
                    let at = place(&self.docs).expect("what is updated is there");
                    self.docs[at] = document();
                    let at = place(&self.ordered).unwrap();
                    self.ordered.remove(at);
                    self.ordered.insert(event.at.unwrap(), document());
                }
                QueueType::Dequeue => {
                    let at = place(&self.docs).expect("what leaves is there");
                    if event.data == DataType::Update {
                        assert_eq!(self.docs[at], document(), "what leaves tells nothing new");
                    }
                    self.docs.remove(at);
                    let at = place(&self.ordered).unwrap();
                    self.ordered.remove(at);
                }
            }
        }
    }
}

struct World {
    query: WatchQuery,
    stored: BTreeMap<u8, Document>,
    window: Window,
}

impl World {
    fn row(&self, document: &Document) -> Option<Row> {
        let raw = RawDocumentBuf::try_from(document).unwrap();
        let found = self.query.matches(document, &context()).unwrap();
        found.then(|| {
            self.query
                .row(&raw, document, &context(), &mut Shown::default())
                .unwrap()
        })
    }

    /// What the query finds, by reading everything.
    fn found(&self) -> Vec<Document> {
        let mut found: Vec<(Row, &Document)> = self
            .stored
            .values()
            .filter_map(|document| Some((self.row(document)?, document)))
            .collect();
        found.sort_by(|one, other| one.0.place.cmp(&other.0.place));
        found.into_iter().map(|(_, document)| document.clone()).collect()
    }

    fn load(&mut self, entered: DataType) -> Vec<Event> {
        let most = self.query.depth() + 1;
        let rows = self
            .found()
            .iter()
            .take(most)
            .map(|document| self.row(document).unwrap())
            .collect();
        self.window.load(rows, entered).unwrap()
    }

    fn hear_of(&mut self, id: u8, data: DataType) -> Vec<Event> {
        let row = self.stored.get(&id).and_then(|document| self.row(document));
        let key = docdb::key::of(&i32::from(id).into());
        let mut events = self.window.apply(&key, data, row).unwrap();
        if self.window.is_short() {
            events.extend(self.load(DataType::Limit));
        }
        events
    }

    fn put(&mut self, id: u8, group: u8, rank: u8) -> bool {
        let document = doc! {"_id": i32::from(id), "group": i32::from(group), "rank": i32::from(rank)};
        self.stored.insert(id, document).is_none()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let of = || (0..60_u8, 0..3_u8, 0..9_u8);
    prop_oneof![
        6 => (of(), any::<bool>()).prop_map(|((id, group, rank), replaces)| Step::Put { id, group, rank, replaces }),
        4 => (0..60_u8).prop_map(Step::Remove),
        1 => of().prop_map(|(id, group, rank)| Step::Missed { id, group, rank }),
        1 => (0..60_u8).prop_map(Step::Unheard),
    ]
}

proptest! {
    #[test]
    fn a_watcher_has_what_the_query_finds(
        before in proptest::collection::vec((0..60_u8, 0..3_u8, 0..9_u8), 0..60),
        steps in proptest::collection::vec(step(), 1..120),
        limit in prop_oneof![Just(None), (1..12_usize).prop_map(Some)],
        descending in any::<bool>(),
        everything in any::<bool>(),
    ) {
        let filter = if everything { doc! {} } else { doc! {"group": {"$lt": 2}} };
        let order = Some(vec![("rank".to_owned(), !descending)]);
        let request = WatchRequest { limit, order, ..WatchRequest::default() };
        let query = WatchQuery::new(filter, &request, Dialect::Plain).unwrap();
        let window = Window::new(&query);
        let mut world = World { query, window, stored: BTreeMap::new() };
        for (id, group, rank) in before {
            world.put(id, group, rank);
        }
        world.load(DataType::Add);
        let mut watcher = Watcher::default();
        watcher.hear(&world.window.beginning());
        for step in steps {
            let events = match step {
                Step::Put { id, group, rank, replaces } => {
                    let data = match (world.put(id, group, rank), replaces) {
                        (true, _) => DataType::Add,
                        (false, true) => DataType::Replace,
                        (false, false) => DataType::Update,
                    };
                    world.hear_of(id, data)
                }
                Step::Remove(id) => {
                    world.stored.remove(&id);
                    world.hear_of(id, DataType::Remove)
                }
                Step::Missed { id, group, rank } => {
                    world.put(id, group, rank);
                    world.load(DataType::Add)
                }
                Step::Unheard(id) => {
                    world.stored.remove(&id);
                    world.load(DataType::Add)
                }
            };
            watcher.hear(&events);
            let mut found = world.found();
            found.truncate(limit.unwrap_or(usize::MAX));
            prop_assert_eq!(&watcher.ordered, &found);
            let by_id = |documents: &[Document]| {
                let mut documents = documents.to_vec();
                documents.sort_by_key(|document| document.get_i32("_id").unwrap());
                documents
            };
            prop_assert_eq!(by_id(&watcher.docs), by_id(&found));
            // Whoever comes anew has the same, whatever it had before.
            let mut late = Watcher { docs: vec![doc! {"_id": 999}], ordered: vec![doc! {"_id": 999}] };
            late.hear(&world.window.beginning_anew());
            prop_assert_eq!(&late.ordered, &found);
        }
    }
}

#[test]
fn a_limit_pushes_in_and_out_in_one_snapshot() {
    let request = WatchRequest {
        limit: Some(2),
        order: Some(vec![("rank".into(), true)]),
        ..WatchRequest::default()
    };
    let query = WatchQuery::new(doc! {}, &request, Dialect::Plain).unwrap();
    let window = Window::new(&query);
    let mut world = World {
        query,
        window,
        stored: BTreeMap::new(),
    };
    for id in 1..=3 {
        world.put(id, 0, id);
    }
    world.load(DataType::Add);
    let told = |events: &[Event]| -> Vec<(DataType, QueueType, String)> {
        let id = |event: &Event| String::from_utf8(event.id.to_vec()).unwrap();
        events
            .iter()
            .map(|event| (event.data, event.queue, id(event)))
            .collect()
    };
    world.put(0, 0, 0);
    let events = world.hear_of(0, DataType::Add);
    assert_eq!(
        told(&events),
        [
            (DataType::Add, QueueType::Enqueue, "0".into()),
            (DataType::Limit, QueueType::Dequeue, "2".into())
        ]
    );
    world.stored.remove(&1);
    let events = world.hear_of(1, DataType::Remove);
    assert_eq!(
        told(&events),
        [
            (DataType::Remove, QueueType::Dequeue, "1".into()),
            (DataType::Limit, QueueType::Enqueue, "2".into())
        ]
    );
    // Nothing that its watchers would notice.
    world.put(3, 1, 3);
    assert_eq!(world.hear_of(3, DataType::Update), []);
}

#[test]
fn more_documents_than_can_be_watched_are_refused() {
    let query = WatchQuery::new(doc! {}, &WatchRequest::default(), Dialect::Extended).unwrap();
    let row = |id: i32| {
        let document = doc! {"_id": id};
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        query
            .row(&raw, &document, &context(), &mut Shown::default())
            .unwrap()
    };
    let most = i32::try_from(MOST_DOCUMENTS).unwrap();
    let mut window = Window::new(&query);
    window.load((0..most).map(row).collect(), DataType::Add).unwrap();
    let one_more = window.apply(&docdb::key::of(&most.into()), DataType::Add, Some(row(most)));
    assert_eq!(one_more, Err(WatchRefusal::TooManyDocuments));
    let loaded = Window::new(&query).load((0..=most).map(row).collect(), DataType::Add);
    assert_eq!(loaded, Err(WatchRefusal::TooManyDocuments));
}

#[test]
fn a_place_is_bounded() {
    let request = WatchRequest {
        order: Some(vec![("t".into(), true)]),
        ..WatchRequest::default()
    };
    let query = WatchQuery::new(doc! {}, &request, Dialect::Plain).unwrap();
    let row = |length: usize, context: Context| {
        let document = doc! {"_id": 1, "t": "x".repeat(length)};
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        query.row(&raw, &document, &context, &mut Shown::default())
    };
    assert!(row(10_000, context().strict(2_000)).is_ok());
    assert_eq!(row(20_000, context()).unwrap_err(), WatchRefusal::TooLongPlace);
    let paid = row(1 << 20, context().strict(20_000));
    assert_eq!(paid.unwrap_err(), WatchRefusal::TooMuchWork);
}

#[test]
fn what_leaves_a_query_is_told_as_it_was() {
    let query = WatchQuery::new(doc! {"open": true}, &WatchRequest::default(), Dialect::Plain).unwrap();
    let row = |document: Document| {
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        query
            .row(&raw, &document, &context(), &mut Shown::default())
            .unwrap()
    };
    let mut window = Window::new(&query);
    let before = row(doc! {"_id": "a", "open": true});
    window.load(vec![before.clone()], DataType::Add).unwrap();
    // What it has become is not for its watchers: the rule may keep it from them.
    let id = docdb::key::of(&"a".into());
    let events = window.apply(&id, DataType::Update, None).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].document, before.document);
    assert_eq!(
        (events[0].data, events[0].queue),
        (DataType::Update, QueueType::Dequeue)
    );
}
