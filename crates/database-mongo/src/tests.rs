//! The contract over the driver: against the wire front of the embedded engine, and against the server that
//! `YUNQIAO_TEST_MONGODB` names.
#![allow(clippy::unwrap_used, clippy::panic)]

use database::{Embedded, Options, hold_to_contract};
use tokio::{net::TcpListener, sync::oneshot};
use wire::{WireFront, WireSettings};

use super::*;

/// The wire front of an empty database in memory, for as long as the sender lives.
async fn front() -> (oneshot::Sender<()>, String) {
    let database = Embedded::in_memory(Options::default()).unwrap();
    front_at(&listener(), database).await
}

/// A port of this test's own, at which nobody answers by itself.
fn listener() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

async fn front_at(listener: &std::net::TcpListener, database: Embedded) -> (oneshot::Sender<()>, String) {
    let settings = WireSettings {
        name: "app".to_owned(),
        password: None,
        connections: 100,
    };
    let front = WireFront::new(Arc::new(database), settings);
    let listener = TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let url = format!("mongodb://{}/app", listener.local_addr().unwrap());
    let (alive, ended) = oneshot::channel::<()>();
    tokio::spawn(front.serve(listener, async move {
        let _ = ended.await;
    }));
    (alive, url)
}

async fn connected(url: &str) -> Arc<Mongo> {
    Arc::new(Mongo::new(&url.to_owned().into()).await.unwrap())
}

hold_to_contract!({
    let (alive, url) = front().await;
    (alive, connected(&url).await)
});

#[tokio::test]
async fn the_front_says_what_it_is() {
    let (_alive, url) = front().await;
    let mongo = connected(&url).await;
    let report = mongo.server().await.unwrap();
    assert!(matches!(report.deployment, Deployment::ReplicaSet(_)), "{report}");
    assert_eq!(report.no_transactions, None);
    assert_eq!((report.database.as_str(), &report.place), ("app", &url));
    mongo.health().await.unwrap();
}

/// What another program makes and drops is met as it stands.
#[tokio::test]
async fn two_clients_of_one_server_see_one_database() {
    let (_alive, url) = front().await;
    let [one, other] = [connected(&url).await, connected(&url).await];
    one.create_collection("c").await.unwrap();
    let exists = other.create_collection("c").await.unwrap_err();
    assert!(matches!(exists, DatabaseError::CollectionExists(name) if name == "c"));
    let id = bson::doc! { "_id": 1 };
    other.insert("c", vec![id.clone()], None).await.unwrap();
    assert_eq!(one.count("c", id, None).await.unwrap().count, 1);
    assert!(other.drop_collection("c").await.unwrap());
    one.create_collection("c").await.unwrap();
    assert_eq!(other.count("c", Document::new(), None).await.unwrap().count, 0);
}

/// A server that ends in the middle is said not to answer, and found again when it is back.
#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    // The port stays this test's own while nobody answers there.
    let listener = listener();
    let (alive, url) = front_at(&listener, database.clone()).await;
    let url = format!("{url}?serverSelectionTimeoutMS=500&heartbeatFrequencyMS=500");
    let mongo = connected(&url).await;
    mongo.create_collection("c").await.unwrap();
    drop(alive);
    let gone = loop {
        // The connection that is open may serve one more.
        if let Err(error) = mongo.count("c", Document::new(), None).await {
            break error;
        }
    };
    assert!(matches!(gone, DatabaseError::Unavailable(_)), "{gone}");
    assert!(mongo.health().await.is_err());
    let (_alive, _) = front_at(&listener, database).await;
    while let Err(error) = mongo.health().await {
        assert!(matches!(error, DatabaseError::Unavailable(_)), "{error}");
    }
    assert_eq!(mongo.count("c", Document::new(), None).await.unwrap().count, 0);
}

/// The server that `YUNQIAO_TEST_MONGODB` names: its URL, without a database, for each test has one of its own. It must have
/// transactions.
mod on_a_server {
    use super::*;

    const VARIABLE: &str = "YUNQIAO_TEST_MONGODB";

    /// Drops the database when the test is over.
    struct Own(String);

    impl Drop for Own {
        fn drop(&mut self) {
            let url = self.0.clone();
            // The test's own runtime cannot wait here.
            let dropping = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async { connected(&url).await.0.database.drop().await.unwrap() });
            });
            if dropping.join().is_err() {
                eprintln!("the database of a test could not be dropped");
            }
        }
    }

    async fn fresh() -> (Own, Arc<Mongo>) {
        let Ok(url) = std::env::var(VARIABLE) else {
            panic!("{VARIABLE} names the server to try, such as mongodb://127.0.0.1:27017");
        };
        let name = format!("yunqiao_test_{:016x}", rand::random::<u64>());
        let (base, options) = url.split_once('?').unwrap_or((&url, ""));
        let url = format!("{}/{name}?{options}", base.trim_end_matches('/'));
        let mongo = connected(&url).await;
        (Own(url), mongo)
    }

    hold_to_contract!(
        #[ignore = "needs YUNQIAO_TEST_MONGODB=mongodb://…, a replica set"]
        fresh().await
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_not_to_answer() {
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let url = format!("mongodb://user:geheim@127.0.0.1:{port}/app?serverSelectionTimeoutMS=100");
    let mongo = Mongo::new(&url.into()).await.unwrap();
    let error = mongo.server().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    let text = format!("{error} {error:?} {mongo:?}");
    assert!(
        text.contains(&format!("mongodb://127.0.0.1:{port}/app")),
        "{text}"
    );
    assert!(!text.contains("geheim"), "{text}");
    let asked = mongo.count("c", Document::new(), None).await.unwrap_err();
    let text = format!("{asked} {asked:?}");
    assert!(matches!(asked, DatabaseError::Unavailable(_)), "{text}");
    assert!(!text.contains("geheim"), "{text}");
    assert!(mongo.health().await.is_err());
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_its_password() {
    for url in [
        "http://h",
        "mongodb://",
        "mongodb://u:ge/heim@h",
        "mongodb://u:geheim@h:port",
        "mongodb://h/?w=-1",
    ] {
        let error = Mongo::new(&url.to_owned().into()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("mongodb://USER:PASSWORD@HOST"), "{text}");
        assert!(!text.contains("geheim") && !text.contains("ge/heim"), "{text}");
    }
}
