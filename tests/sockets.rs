//! A client's socket of realtime, as tests hold it: each step of it ends, or fails.

use std::future::Future;

use serde_json::{Value, json};

use crate::{
    realtime::RawSocket,
    support::{Dev, PATIENCE},
};

/// A socket that has logged in.
pub(crate) struct Socket(RawSocket);

impl Socket {
    /// Of a user of the Mini Program.
    pub(crate) async fn of_token(dev: &Dev, token: &str) -> Self {
        let login = json!({"msgData": {"accessToken": token}});
        Self::open(&dev.server.url, login).await
    }

    /// One whose first message says this.
    pub(crate) async fn open(url: &str, mut login: Value) -> Self {
        let mut socket = Self(within(RawSocket::open(url)).await);
        login["msgType"] = "LOGIN".into();
        login["requestId"] = "LOGIN".into();
        within(socket.0.say(login)).await;
        let answer = socket.hear().await;
        assert_eq!(answer["msgData"]["code"], Value::Null, "{answer}");
        socket
    }

    /// Says something, of the watch that is called as its collection.
    pub(crate) async fn say(&mut self, kind: &str, data: Value) {
        let watch = data["collName"].as_str().unwrap_or_default();
        let message = json!({"watchId": watch, "requestId": kind, "msgType": kind, "msgData": data});
        within(self.0.say(message)).await;
    }

    /// Watches what a query finds, and gives the first answer.
    pub(crate) async fn watch(&mut self, collection: &str, query: &Value) -> Value {
        let data = json!({"collName": collection, "query": query.to_string()});
        self.say("INIT_WATCH", data).await;
        self.hear().await
    }

    /// What is said next.
    pub(crate) async fn hear(&mut self) -> Value {
        within(self.0.message()).await
    }
}

async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.unwrap()
}
