//! A WeChat to test against.
//!
//! It plays the parts of WeChat that an app meets, each in a module of its own:
//!
//! * `server`: the server API of `api.weixin.qq.com`: login codes, access_tokens, cloudIDs, phone numbers, and every other
//!   API of the catalogue, if only to record what it was asked;
//! * `client`: `wx.login`, `wx.getWeRunData` and what else hands out open data, as HTTP;
//! * `people`: at least two users with deterministic data, and what is known of each;
//! * `platform`: the one that pushes messages and events to the app's server;
//! * `control`: `/sim/`, the simulator's own API: who the users are, what time it is in WeChat, which app is simulated,
//!   what is to go wrong.
//!
//! It shares no code with the client of WeChat's API nor with the gateway, so that it cannot share their mistakes; only the
//! cryptography of [`opendata`] and [`push`] is common, which is held to the official vectors, and the catalogue of
//! [`openapi`].
//!
//! One [`Simulator`] plays for one app, and issues tokens to others. Everything it remembers lies in memory behind one lock;
//! nothing under that lock waits. Users, templates, subscriptions and the outbox can be kept in files.

mod client;
mod control;
mod people;
mod platform;
mod random;
mod recent;
mod server;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, body::Bytes, extract::DefaultBodyLimit, handler::Handler, middleware};
use clock::{Clock, Timestamp};
use wording::Wording;

use crate::{
    control::{faults, outbox, state},
    people::{cloudid, codes, payments, sessions, userkeys, users},
    platform::pushes,
    server::{
        callbacks, catalogued, conversations, links, oauth, quotas, rids, session_api, templates, tokens,
        updatable, verdicts,
    },
};

pub use control::{
    declared::{Declared, DeclaredFault, DeclaredPart, DeclaredSubscription},
    snapshot::WeChatState,
    state::StateError,
};
pub use people::users::{ProfileChange, UserChange};
pub use server::templates::NewTemplate;
pub use settings::{ForeignCodes, PushSettings, Secret, SimulatorSettings, UnknownTemplates, Withdrawn};

/// Params whose value is nobody's to see, in small letters and without what stands between words. What ends with the first three is
/// one too, as `component_access_token`.
const SECRET_ENDINGS: [&str; 3] = ["accesstoken", "refreshtoken", "appsecret"];
const SECRET_PARAMS: [&str; 4] = ["secret", "sessionkey", "appkey", "encodingaeskey"];

/// Puts `…` in the place of each secret, however deep it lies and however it is spelt.
fn mask_secrets(body: &mut serde_json::Value) {
    match body {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                let mut name = name.to_lowercase();
                name.retain(|character| !"_-".contains(character));
                match SECRET_PARAMS.contains(&&*name) || SECRET_ENDINGS.iter().any(|end| name.ends_with(end))
                {
                    true => *value = "…".into(),
                    false => mask_secrets(value),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(mask_secrets),
        _ => {}
    }
}

/// A simulated WeChat. Clones are the same one.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    settings: SimulatorSettings,
    clock: Clock,
    notices: Box<dyn Fn(Notice) + Send + Sync>,
    world: Mutex<World>,
    state: Option<Arc<state::StateFile>>,
    wire: pushes::Wire,
}

/// A line for the developer: something that WeChat would not have told, and that explains what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice(Wording);

impl Notice {
    /// In both languages.
    #[must_use]
    pub fn wording(&self) -> &Wording {
        &self.0
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that changes.
struct World {
    users: users::Users,
    sessions: sessions::Sessions,
    login_codes: codes::Codes,
    phone_codes: codes::Codes,
    /// Of 网页授权, by the appid of the Official Account.
    oauth_codes: HashMap<String, codes::Codes>,
    cloud_ids: cloudid::CloudIds,
    tokens: tokens::Tokens,
    templates: templates::Templates,
    verdicts: verdicts::Verdicts,
    outbox: outbox::Outbox,
    quotas: quotas::Quotas,
    rids: rids::Rids,
    links: links::Links,
    activities: updatable::Activities,
    conversations: conversations::Conversations,
    payments: payments::Payments,
    user_keys: userkeys::UserKeys,
    faults: faults::Faults,
    pushes: pushes::Pushes,
    callbacks: callbacks::Callbacks,
}

impl World {
    fn new(settings: &SimulatorSettings) -> Self {
        Self {
            users: users::Users::new(&settings.appid),
            sessions: sessions::Sessions::new(settings.session_rotation, settings.session_idle),
            login_codes: codes::Codes::default(),
            phone_codes: codes::Codes::default(),
            oauth_codes: HashMap::new(),
            cloud_ids: cloudid::CloudIds::default(),
            tokens: tokens::Tokens::default(),
            templates: templates::Templates::new(settings.unknown_templates),
            verdicts: verdicts::Verdicts::default(),
            outbox: outbox::Outbox::default(),
            quotas: quotas::Quotas::default(),
            rids: rids::Rids::default(),
            links: links::Links::default(),
            activities: updatable::Activities::default(),
            conversations: conversations::Conversations::default(),
            payments: payments::Payments::default(),
            user_keys: userkeys::UserKeys::default(),
            faults: faults::Faults::default(),
            pushes: pushes::Pushes::default(),
            callbacks: callbacks::Callbacks::default(),
        }
    }
}

impl Simulator {
    /// A WeChat with Alice and Bob in it, nobody logged in.
    ///
    /// `clock` is WeChat's time: every expiry follows it, and `/sim/clock` steps it for everyone who shares it. `notices`
    /// is called, from any thread, with a line for the developer; it should not wait long.
    pub fn new(
        settings: SimulatorSettings,
        clock: Clock,
        notices: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Self {
        let world = World::new(&settings);
        Self::of(settings, clock, notices, world, None)
    }

    /// As [`new`](Self::new), with the users, templates and subscriptions that `file` holds and the items of the file `outbox`,
    /// where one is given. Both are kept up to date from now on; one that is not there is made.
    ///
    /// # Errors
    /// If a file cannot be read, is not what this program writes, is another app's, or another process has it.
    pub fn with_state(
        file: &Path,
        outbox: Option<&Path>,
        settings: SimulatorSettings,
        clock: Clock,
        notices: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Self, StateError> {
        let mut world = World::new(&settings);
        let file = state::StateFile::open(file, outbox, &settings.appid, &mut world)?;
        Ok(Self::of(settings, clock, notices, world, Some(Arc::new(file))))
    }

    fn of(
        settings: SimulatorSettings,
        clock: Clock,
        notices: impl Fn(Notice) + Send + Sync + 'static,
        world: World,
        state: Option<Arc<state::StateFile>>,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock,
            notices: Box::new(notices),
            world: Mutex::new(world),
            state,
            wire: pushes::Wire::default(),
        }))
    }

    /// The whole of it as routes: WeChat's paths at any `Host`, `/sim/` at known ones only.
    pub fn router(&self) -> Router {
        let router = server::routes()
            .merge(session_api::routes())
            .merge(callbacks::routes())
            .merge(oauth::routes())
            .fallback(catalogued::answer.layer(DefaultBodyLimit::max(catalogued::LONGEST_BODY)))
            .layer(middleware::from_fn_with_state(self.clone(), faults::around))
            .nest("/sim", control::routes(self));
        let router = match &self.0.state {
            Some(file) => {
                let around = (self.clone(), Arc::clone(file));
                router.layer(middleware::from_fn_with_state(around, state::around))
            }
            None => router,
        };
        router.with_state(self.clone())
    }

    /// Serves on `listener` until `shutdown` is done; calls that are under way are finished first.
    ///
    /// # Errors
    /// What the listener reports when it can no longer accept.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(shutdown)
            .await
    }

    /// Puts into the outbox what a call of `api` would have brought about: `to` an openid or what else the receiver is
    /// called, empty where there is none; `appid` the app that called; `image` what was drawn, a PNG.
    fn pretend(
        &self,
        api: &str,
        appid: String,
        to: &str,
        mut body: serde_json::Value,
        image: Option<Bytes>,
        note: Option<Wording>,
    ) {
        // The outbox is shown, kept and handed on.
        mask_secrets(&mut body);
        let (note, note_zh) = note.map(|note| (note.en, note.zh)).unzip();
        let item = outbox::Item {
            api: api.to_owned(),
            appid: (appid != self.settings().appid).then_some(appid),
            to: to.to_owned(),
            body,
            at: self.now().secs(),
            simulated: true,
            image: None,
            note,
            note_zh,
        };
        self.world().outbox.put(item, image);
    }

    fn settings(&self) -> &SimulatorSettings {
        &self.0.settings
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The world, for as long as the guard lives. A panic under the lock cannot leave it half-changed in a way that
    /// matters to a test, so poison is ignored.
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the developer; never under the lock.
    fn tell(&self, line: Wording) {
        (self.0.notices)(Notice(line));
    }
}
