//! The web console: what functions there are, calling one, and what happened inside.
//!
//! The pages are made here, on the server ([`maud`]); htmx fetches parts of them, and a page that follows what happens is sent
//! its newest state as server-sent events (`live`). The gateway's operator listener lets people in and guards each request; the
//! [`Console`] is what it shows them. What happened is kept, within bounds, by a [`Recorder`]. Everything that came from a
//! function, an event or a message is text to a page: maud escapes it, and the listener's `Content-Security-Policy` lets no
//! script run that is not a file of ours.

mod archive;
mod assets;
mod call;
mod calls;
mod data;
mod functions;
mod json_tree;
mod lang;
mod layout;
mod live;
mod mend;
mod outbox;
mod pretty;
mod pushes;
mod recorder;
mod simulated;
mod snippet;
mod stack;
mod storage;
mod timeline;
mod users;
mod waterfall;
mod web;
mod wechat;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cloud::DocumentIds;
use database::Database;
use gateway::{Gateway, Pages, ReplyBody};
use http::{Method, Request, Response, StatusCode};
use maud::Markup;
use project::Project;
use runtime::LoadReport;
use tokio::sync::watch;

use crate::{
    archive::Archive, call::Asked, calls::Filter, data::Look, functions::Shown, lang::Lang, layout::Viewer,
    storage::Shelf, web::Fields,
};
pub use crate::{
    archive::PastCalls,
    recorder::{Call, LogLine, Recorder, beginning},
    simulated::Simulated,
};

/// Calls made on the page Call that are kept, with what they returned.
const ASKED: usize = 50;
/// Bytes that they may have together; the newest stays in any case.
const ASKED_BYTES: usize = 8 << 20;

/// The console of one gateway. Clones share everything.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    gateway: Gateway,
    recorder: Arc<Recorder>,
    archive: Archive,
    simulated: Option<Simulated>,
    shown: Mutex<Option<Arc<Shown>>>,
    /// Why it is not what lies in the project's folder.
    stale: Mutex<Option<String>>,
    asked: Mutex<VecDeque<(String, Arc<Asked>)>>,
    database: Arc<dyn Database>,
    /// Makes the `_id`s of documents that are added on the page Data.
    ids: DocumentIds,
    undo: data::UndoLog,
}

impl Console {
    /// A console for `gateway`, whose journal tells `recorder`, and whose functions reach `database`. With `simulated` it
    /// shows the simulated WeChat too, and calls as its users; without it, as whatever openid is given. `past` gives the calls that
    /// are on disk, where any are.
    pub fn new(
        gateway: Gateway,
        recorder: Arc<Recorder>,
        past: Option<Box<dyn PastCalls>>,
        database: Arc<dyn Database>,
        simulated: Option<Simulated>,
    ) -> Self {
        Self(Arc::new(Inner {
            gateway,
            recorder,
            archive: Archive::new(past),
            simulated,
            shown: Mutex::default(),
            stale: Mutex::default(),
            asked: Mutex::default(),
            database,
            ids: DocumentIds::new(),
            undo: data::UndoLog::default(),
        }))
    }

    /// Shows this project from now on, as it was loaded.
    pub fn show(&self, project: Project, reports: Vec<LoadReport>) {
        {
            let mut shown = lock(&self.0.shown);
            let next = Shown::new(project, reports, shown.as_deref());
            *shown = Some(Arc::new(next));
        }
        self.stale(None);
    }

    /// Says why the project was not loaded anew, or that nothing contradicts what is shown.
    pub fn stale(&self, why: Option<String>) {
        *lock(&self.0.stale) = why;
        self.0.recorder.wake();
    }
}

impl Pages for Console {
    fn answer(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send + '_>> {
        Box::pin(answer(&self.0, request))
    }
}

impl Inner {
    fn shown(&self) -> Option<Arc<Shown>> {
        lock(&self.shown).clone()
    }

    fn stale(&self) -> Option<String> {
        lock(&self.stale).clone()
    }

    /// The simulated users; none where there are none, or the simulator does not answer: the page is shown without their names.
    async fn users(&self) -> Vec<simulated::User> {
        match &self.simulated {
            Some(simulated) => simulated.users().await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// A call that was made on the page Call.
    fn asked(&self, request_id: &str) -> Option<Arc<Asked>> {
        let asked = lock(&self.asked);
        let mut all = asked.iter();
        all.find(|(id, _)| id == request_id)
            .map(|(_, asked)| Arc::clone(asked))
    }

    /// Keeps a call that was made on the page Call.
    fn keep(&self, made: Asked) -> Arc<Asked> {
        let made = Arc::new(made);
        let mut asked = lock(&self.asked);
        asked.push_back((made.request_id(), Arc::clone(&made)));
        let mut bytes: usize = asked.iter().map(|(_, asked)| asked.bytes()).sum();
        while asked.len() > ASKED || (bytes > ASKED_BYTES && asked.len() > 1) {
            let Some((_, oldest)) = asked.pop_front() else {
                break;
            };
            bytes -= oldest.bytes();
        }
        made
    }
}

async fn answer(inner: &Arc<Inner>, request: Request<Bytes>) -> Response<ReplyBody> {
    let (head, body) = request.into_parts();
    let query = Fields::parse(head.uri.query().unwrap_or_default().as_bytes());
    let viewer = Viewer {
        lang: Lang::of(&head.headers),
        here: head
            .uri
            .path_and_query()
            .map_or("/", |whole| whole.as_str())
            .to_owned(),
        simulated: inner.simulated.is_some(),
    };
    let form = || Fields::parse(&body);
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    match (&head.method, path.as_slice(), &inner.simulated) {
        (&Method::GET, [""], _) => functions::page(inner, &viewer).await,
        (&Method::GET, ["call"], _) => call::page(inner, &viewer, &query).await,
        (&Method::POST, ["call"], _) => call::send(inner, &viewer, &form()).await,
        (&Method::POST, ["call", "check"], _) => call::check(&viewer, &form()),
        (&Method::GET, ["calls"], _) => calls::page(inner, &viewer, &query).await,
        (&Method::GET, ["calls", request_id], _) => calls::moved(request_id),
        (&Method::GET, ["calls", request_id, "now"], _) => {
            calls::now(inner, &viewer, request_id, &query).await
        }
        (&Method::GET, ["calls", request_id, number], _) => {
            calls::step(inner, &viewer, request_id, number).await
        }
        (&Method::POST, ["calls", "mend"], _) => mend::answer(inner, &viewer, &form()).await,
        (method, ["data", at @ ..], _) => data::answer(inner, &viewer, method, at, &query, &body).await,
        (method, ["files", at @ ..], _) => storage::answer(inner, &viewer, method, at, &query, &body).await,
        (&Method::GET, ["charts"], _) => calls::moved(""),
        (&Method::GET, ["push"], _) => pushes::page(inner, &viewer, &query).await,
        (&Method::POST, ["push", "dead", id, what], _) => pushes::letter(inner, &viewer, id, what).await,
        (&Method::GET, ["push", "fields"], Some(_)) => pushes::fields(&viewer, &query),
        (&Method::POST, ["push"], Some(simulated)) => pushes::send(inner, &viewer, simulated, &form()).await,
        (&Method::GET, ["outbox"], Some(simulated)) => outbox::page(inner, &viewer, simulated).await,
        (&Method::GET, ["outbox", "images", number], Some(simulated)) => {
            outbox::image(&viewer, simulated, number).await
        }
        (&Method::POST, ["outbox", "empty"], Some(simulated)) => {
            outbox::empty(inner, &viewer, simulated).await
        }
        (&Method::GET, ["users"], simulated) => users::page(inner, &viewer, simulated.as_ref()).await,
        (&Method::POST, ["users", what], Some(simulated)) => {
            users::act(&viewer, simulated, what, &form()).await
        }
        (&Method::GET, ["wechat"], Some(simulated)) => wechat::page(inner, &viewer, simulated).await,
        (&Method::POST, ["wechat", what], Some(simulated)) => {
            wechat::act(inner, &viewer, simulated, what, &form()).await
        }
        (&Method::GET, ["lang"], _) => switch(&query),
        (&Method::GET, ["assets", name], _) => assets::find(name).unwrap_or_else(|| missing(&viewer)),
        (&Method::GET, ["live", part], _) => match Part::of(part, &query) {
            Some(part) => {
                let (inner, changed) = (Arc::clone(inner), part.changes(inner));
                live::follow(changed, move || {
                    part.clone().render(Arc::clone(&inner), viewer.clone())
                })
            }
            None => missing(&viewer),
        },
        _ => missing(&viewer),
    }
}

/// A part of a page that follows what happens.
#[derive(Clone, Debug)]
enum Part {
    Functions,
    Calls(Filter),
    Outbox,
    Push(Option<u64>),
    Collections,
    Documents(Look),
    Files(Shelf),
}

impl Part {
    fn of(name: &str, query: &Fields) -> Option<Self> {
        Some(match name {
            "functions" => Self::Functions,
            "calls" => Self::Calls(Filter::of(query)),
            "outbox" => Self::Outbox,
            "push" => Self::Push(pushes::before(query)),
            "data" => Self::Collections,
            "documents" => Self::Documents(Look::of(query)),
            "files" => Self::Files(Shelf::of(query)),
            _ => return None,
        })
    }

    /// Is woken when the part may have changed.
    fn changes(&self, inner: &Inner) -> watch::Receiver<()> {
        match self {
            Self::Collections => data::changes(inner, None),
            Self::Documents(look) => data::changes(inner, Some(look.name.clone())),
            Self::Files(_) => storage::changes(inner),
            _ => inner.recorder.watch(),
        }
    }

    async fn render(self, inner: Arc<Inner>, viewer: Viewer) -> Markup {
        match self {
            Self::Functions => functions::list(&inner, &viewer).await,
            Self::Calls(filter) => {
                let users = inner.users().await;
                calls::list(&inner, &viewer, &filter, &users).await
            }
            Self::Outbox => match &inner.simulated {
                Some(simulated) => outbox::list(&inner, &viewer, simulated).await,
                None => Markup::default(),
            },
            Self::Push(before) => pushes::list(&inner, &viewer, before).await,
            Self::Collections => data::collections(&inner, &viewer).await,
            Self::Documents(look) => data::documents(&inner, &viewer, &look).await,
            Self::Files(shelf) => storage::list(&inner, &viewer, &shelf).await,
        }
    }
}

fn missing(viewer: &Viewer) -> Response<ReplyBody> {
    let text = viewer.lang.t("There is no such page.", "没有这个页面。");
    layout::failed(viewer, StatusCode::NOT_FOUND, text)
}

/// Keeps the language that was chosen.
fn switch(query: &Fields) -> Response<ReplyBody> {
    let lang = Lang::from_code(query.get("to")).unwrap_or(Lang::En);
    let cookie = format!(
        "{}={}; SameSite=Strict; Path=/; Max-Age=31536000",
        lang::COOKIE,
        lang.t("en", "zh")
    );
    web::lead(query.get("back"), &cookie)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
