//! Commands of MongoDB's, one on each line, to a database that has some documents: each is answered, either done or with a number
//! and a text, and the database is as sound afterwards as before.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bson::{Document, doc};
use database::{Embedded, Options};
use wire::{WireClient, WireFront, WireSettings};

pub(crate) fn target(data: &[u8]) {
    let commands = crate::ejson::lines(data);
    if commands.is_empty() {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        return;
    };
    runtime.block_on(async {
        let Ok(database) = Embedded::in_memory(Options::default()) else {
            return;
        };
        let settings = WireSettings {
            name: "yunqiao".to_owned(),
            password: None,
            connections: 1,
        };
        let front = WireFront::new(Arc::new(database), settings);
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 27017));
        let mut client = front.client(here, here);
        let documents = [
            doc! { "_id": 1, "a": [1, { "b": "x" }] },
            doc! { "_id": "2", "a": null },
        ];
        ask(
            &mut client,
            doc! { "insert": "a", "documents": documents.to_vec() },
        )
        .await;
        for command in commands {
            ask(&mut client, command).await;
        }
        let sound = ask(&mut client, doc! { "ping": 1 }).await;
        assert_eq!(sound.get_f64("ok").ok(), Some(1.0));
    });
}

async fn ask(client: &mut WireClient, mut command: Document) -> Document {
    command.insert("$db", "yunqiao");
    let shown = command.to_string();
    let answer = client.command(command).await;
    let Ok(answer) = Document::try_from(answer.as_ref()) else {
        panic!("{shown}: an answer that is no BSON");
    };
    match answer.get_f64("ok") {
        Ok(1.0) => {}
        _ => {
            let said = answer.get_i32("code").is_ok()
                && answer.get_str("codeName").is_ok()
                && answer.get_str("errmsg").is_ok_and(|text| !text.is_empty());
            assert!(said, "{shown}: {answer}");
            // What panicked inside the engine is told as this.
            assert_ne!(answer.get_i32("code").ok(), Some(6), "{shown}: {answer}");
        }
    }
    answer
}
