//! What functions ask of the cloud: `POST /admin`, from inside a running function.
//!
//! Requests come over the Unix socket of one worker and by no other way. `doors` lets in what is a request of the SDK's,
//! signed by the worker whose socket it came by, and, where the action wants it, made from a call that this worker runs. Behind
//! the doors each [`Capability`] is one file: it says which actions it answers and which proof each of them wants, answers
//! them, and records itself in the account of the call ([`CloudRequest`]); a new one is added to the list in [`Cloud::new`].
//! Files come and go by a door of their own ([`FileDoor`]). Clients that ask for documents and files by themselves are answered from the same
//! rooms ([`Cloud::answer_client`]), within what they may.
//!
//! What WeChat's rules say stands in `tcb`, `openapi` and `opendata`.

mod capability;
mod cdn;
mod database;
mod doors;
mod file_door;
mod function;
mod not_served;
mod open_api;
mod open_data;
mod permissions;
mod redeem;
mod request;
mod room;
mod storage;
mod voip;

use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use calls::Calls;
use clock::Clock;
use http::request::Parts;
use opendata::{SessionKey, Tickets};
use rules::Caller;
use runtime::Connection;
use tcb::{
    Envelope, SdkReply,
    database::{CLIENT_FIND_MOST, DatabaseAnswer, DatabaseRefusal, DatabaseRequest, FIND_MOST},
    signature::SecretKey,
    storage::{AskedCopy, AskedUrl, MadeUrl, OfFile, UploadPlace},
};
use tokio::sync::mpsc;

pub use capability::{Answering, Capability, CloudAnswer, CloudAnswerBody, Proof};
pub use cdn::{CDN_FOLDER, CDN_LIFE, sweep_cdn};
pub use database::{DatabaseAccess, DocumentIds, MakesCollections, MissingCollection};
pub use file_door::{FileDoor, FileReply};
pub use redeem::Redeemer;
pub use request::CloudRequest;
pub use storage::{FILES, StorageAccess};

use cdn::CdnShares;
use open_api::WeChatApis;
use room::Room;

/// What a cloud is made of.
pub struct CloudConfig {
    /// Who asks, and how a function is called.
    pub calls: Calls,
    /// Our own cloudIDs.
    pub tickets: Tickets,
    /// WeChat's time.
    pub clock: Clock,
    /// WeChat, or the simulator: only the base URL differs.
    pub wechat: wechat::WeChatClient,
    /// Other accounts of the same owner, by appid: for `cloud.openapi({appid})`.
    pub apps: BTreeMap<String, wechat::WeChatClient>,
    /// How long a function's permissions are kept before a change of them counts.
    pub permissions_cache: Duration,
    /// The users' session_keys, for APIs that are signed with them.
    pub session_keys: Arc<dyn SessionKeys>,
    /// The database of the project.
    pub database: DatabaseAccess,
    /// Its files.
    pub storage: StorageAccess,
}

/// Knows the session_key of each user that has logged in.
pub trait SessionKeys: Send + Sync + 'static {
    /// The session_key of a user; `None` for one that has not logged in here.
    fn session_key<'a>(&'a self, openid: &'a str) -> KeyLookup<'a>;
}

/// A look-up of a session_key; it fails when the store does.
pub type KeyLookup<'a> =
    Pin<Box<dyn Future<Output = Result<Option<SessionKey>, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// The key pairs of other servers of the owner's, by their ids.
#[derive(Clone, Debug, Default)]
pub struct ServerKeys(pub BTreeMap<String, SecretKey>);

/// A client that asks by itself.
#[derive(Clone, Copy, Debug)]
pub struct AskingClient<'a> {
    /// Who that is.
    pub caller: &'a Caller,
    /// Whence it asks. Clients that may be anybody are told apart by it.
    pub network: IpAddr,
    /// Documents of one `get` at most: a Mini Program has fewer than a web page.
    pub most_found: u64,
}

impl<'a> AskingClient<'a> {
    /// The client of a Mini Program.
    #[must_use]
    pub fn mini_program(caller: &'a Caller, network: IpAddr) -> Self {
        Self {
            caller,
            network,
            most_found: CLIENT_FIND_MOST,
        }
    }

    /// One of CloudBase's SDKs.
    #[must_use]
    pub fn web(caller: &'a Caller, network: IpAddr) -> Self {
        Self {
            caller,
            network,
            most_found: FIND_MOST,
        }
    }
}

/// Answers what functions ask. Clones share everything.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    calls: Calls,
    capabilities: Vec<Box<dyn Capability>>,
    documents: database::Documents,
    storage: Arc<StorageAccess>,
    cdn: CdnShares,
    door: FileDoor,
    redeemer: Redeemer,
    room: Room,
    /// The places of requests that were not awaited, and of which that was told.
    not_awaited: Mutex<HashSet<String>>,
}

impl Inner {
    /// Whether this was not told yet. Of more than a thousand places nothing more is told.
    fn tells_first(&self, place: String) -> bool {
        let mut told = self.not_awaited.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < 1000 && told.insert(place)
    }
}

impl Cloud {
    /// Puts the parts together. Nothing is answered before [`serve`](Self::serve).
    #[must_use]
    pub fn new(config: CloudConfig) -> Self {
        let redeemer = Redeemer::new(
            config.calls.clone(),
            config.tickets,
            config.wechat.clone(),
            config.clock.clone(),
        );
        let apis = Arc::new(WeChatApis {
            calls: config.calls.clone(),
            wechat: config.wechat,
            apps: config.apps,
            permissions: permissions::Permissions::new(config.permissions_cache),
            clock: config.clock,
            session_keys: config.session_keys,
            redeemer: redeemer.clone(),
        });
        let storage = Arc::new(config.storage);
        let door = FileDoor::new(Arc::clone(&storage));
        let documents = database::Documents::new(config.database);
        Self(Arc::new(Inner {
            capabilities: vec![
                Box::new(open_api::OpenApi(Arc::clone(&apis))),
                Box::new(open_data::OpenData(redeemer.clone())),
                Box::new(voip::VoipSign(apis)),
                Box::new(function::CallFunction),
                Box::new(documents.clone()),
                Box::new(storage::Files(Arc::clone(&storage))),
                Box::new(not_served::Rest),
            ],
            documents,
            storage,
            cdn: CdnShares::default(),
            door,
            calls: config.calls,
            redeemer,
            room: Room::default(),
            not_awaited: Mutex::default(),
        }))
    }

    /// Exchanges cloudIDs: for whoever else is handed some.
    #[must_use]
    pub fn redeemer(&self) -> &Redeemer {
        &self.0.redeemer
    }

    /// The door of files, for requests that come by another way than a worker's socket.
    #[must_use]
    pub fn files(&self) -> &FileDoor {
        &self.0.door
    }

    /// Answers a client that asks by itself for documents (`database.*`) or files (`storage.*`), as the SDK in a function is answered.
    /// What it may is judged by the permissions of the project.
    pub async fn answer_client(
        &self,
        request_id: &str,
        client: AskingClient<'_>,
        envelope: &Envelope<'_>,
    ) -> SdkReply {
        let asked = self.asked(request_id, client);
        if envelope.action_name().starts_with("storage.") {
            let storage = &self.0.storage;
            return storage
                .answer_client(envelope, client.caller, asked, &self.0.cdn)
                .await;
        }
        self.0.documents.answer_client(envelope, client, asked).await
    }

    /// Does what a client asks of the database, for whoever writes the answer in a form of their own.
    ///
    /// # Errors
    /// The database, or the permission of the collection, refuses.
    pub async fn documents_for(
        &self,
        request_id: &str,
        client: AskingClient<'_>,
        request: DatabaseRequest,
    ) -> Result<DatabaseAnswer, DatabaseRefusal> {
        let asked = self.asked(request_id, client);
        self.0.documents.answer_for(request, client, asked).await
    }

    /// Where a client may send the file at this path.
    ///
    /// # Errors
    /// It may not, or there is no such path.
    pub async fn upload_for(
        &self,
        request_id: &str,
        client: AskingClient<'_>,
        path: &str,
    ) -> OfFile<UploadPlace> {
        let asked = self.asked(request_id, client);
        self.0.storage.client_place(path, client.caller, &asked).await
    }

    /// Hears that a client watches a collection in which it finds nothing: the developer is told once where nobody said who may read it.
    pub fn found_nothing(&self, collection: &str) {
        self.0.documents.found_nothing(collection, &self.0.calls);
    }

    /// Collections with documents of which a client found nothing, because nobody has said who may read them.
    #[must_use]
    pub fn kept_back(&self) -> Vec<String> {
        self.0.documents.kept_back()
    }

    /// The address at which the sender of a file is told that it may not be sent to `path`.
    #[must_use]
    pub fn refused_upload(&self, path: &str) -> String {
        self.0.storage.refused_url(path)
    }

    /// Addresses by which a client may read files, each with the id that was asked for.
    pub async fn urls_for(
        &self,
        request_id: &str,
        client: AskingClient<'_>,
        files: Vec<AskedUrl>,
    ) -> Vec<(String, OfFile<MadeUrl>)> {
        let asked = self.asked(request_id, client);
        self.0.storage.made_urls(files, Some(client.caller), &asked).await
    }

    /// Removes files, as far as a client may; says of each what came of it.
    pub async fn delete_for(
        &self,
        request_id: &str,
        client: AskingClient<'_>,
        ids: Vec<String>,
    ) -> Vec<(String, OfFile<()>)> {
        let asked = self.asked(request_id, client);
        self.0.storage.deleted(ids, Some(client.caller), &asked).await
    }

    /// Copies files, as far as a client may; says of each what came of it, with the id of the copy.
    pub async fn copy_for(
        &self,
        request_id: &str,
        client: AskingClient<'_>,
        copies: Vec<AskedCopy>,
    ) -> Vec<(String, OfFile<()>)> {
        let asked = self.asked(request_id, client);
        self.0.storage.copied(copies, Some(client.caller), &asked).await
    }

    /// Answers another server of the owner's, which has one of `keys`: node-sdk outside of functions. It may do what functions may.
    pub async fn answer_server(
        &self,
        keys: &ServerKeys,
        head: &Parts,
        body: &[u8],
        request_id: &str,
    ) -> CloudAnswer {
        doors::answer_server(&self.0, keys, head, body, request_id).await
    }

    fn asked(&self, request_id: &str, client: AskingClient<'_>) -> CloudRequest {
        CloudRequest::of_client(self.0.calls.clone(), request_id.to_owned(), client.caller.owner())
    }

    /// Serves the workers' `connections` until there can be no more. It does not keep this cloud, or the runtime behind it, alive:
    /// when the last clone is gone, requests are answered with nothing. Must be called inside a Tokio runtime.
    pub fn serve(&self, connections: mpsc::Receiver<Connection>) {
        tokio::spawn(doors::serve(Arc::downgrade(&self.0), connections));
    }
}

/// The cloud, as its connections know it.
type WeakCloud = Weak<Inner>;
