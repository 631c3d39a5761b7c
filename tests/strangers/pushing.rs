//! Strangers push, signed and encrypted by their own code, to the gateway.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::{SECRET, Stranger, pushed::SERVERS};
use crate::support::{APPID, Dev, Scratch, text};

const TOKEN: &str = "strangersToken";
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// Notes what it gets, and passes it on to the staff.
const FUNCTION: &str = "
const fs = require('fs');
exports.main = async (event) => {
  fs.appendFileSync(process.env.LOG, JSON.stringify(event) + '\\n');
  const { FromUserName: ToUserName, ToUserName: FromUserName } = event;
  return { ToUserName, FromUserName, CreateTime: 1700000000, MsgType: 'transfer_customer_service' };
};";

/// A backend of ours in secure mode.
struct Backend {
    dev: Dev,
    log: PathBuf,
    format: &'static str,
    /// Kept for as long as it runs.
    _project: Scratch,
}

impl Backend {
    fn start(format: &'static str) -> Self {
        let project = Scratch::new(&[("pushed", FUNCTION)]);
        let log = project.path().join("log");
        fs::write(&log, "").unwrap();
        project.write(
            "yunqiao.toml",
            &format!(
                "[push]\ntoken = \"{TOKEN}\"\naes_keys = [\"{AES_KEY}\"]\nmode = \"secure\"\nformat = \"{format}\"\n\
                 [push.routes]\n\"*\" = \"pushed\"\n[functions.pushed.env]\nLOG = {log:?}\n"
            ),
        );
        Self {
            dev: Dev::start(project.path()),
            log,
            format,
            _project: project,
        }
    }

    /// What its function got so far.
    fn got(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The body that a packet of these fields is.
    fn written(&self, fields: &[(&str, &str)]) -> String {
        match self.format {
            "json" => Value::Object(
                fields
                    .iter()
                    .map(|&(name, text)| (name.to_owned(), text.into()))
                    .collect(),
            )
            .to_string(),
            _ => {
                let element = |&(name, text): &(&str, &str)| format!("<{name}><![CDATA[{text}]]></{name}>");
                format!("<xml>{}</xml>", fields.iter().map(element).collect::<String>())
            }
        }
    }

    async fn post(&self, query: &[(&str, &str)], body: String) -> (u16, String) {
        let url = format!("{}/v1/push", self.dev.server.url);
        let kind = if self.format == "json" {
            "application/json"
        } else {
            "text/xml"
        };
        let reply = self
            .dev
            .client
            .post(url)
            .query(query)
            .header("content-type", kind)
            .body(body);
        let reply = reply.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }
}

/// A message, as one of the strangers pushes it.
struct Push {
    signature: String,
    msg_signature: String,
    timestamp: String,
    encrypt: String,
}

impl Push {
    fn of(stranger: &mut Stranger, packet: &str, timestamp: u64) -> Self {
        let timestamp = timestamp.to_string();
        let sealed = stranger.gets("seal", json!([packet, timestamp, "486452656"]));
        Self {
            signature: text(&sealed["signature"]),
            msg_signature: text(&sealed["msg_signature"]),
            encrypt: text(&sealed["encrypt"]),
            timestamp,
        }
    }

    async fn send(&self, to: &Backend) -> (u16, String) {
        let query = [
            ("signature", self.signature.as_str()),
            ("timestamp", &self.timestamp),
            ("nonce", "486452656"),
            ("openid", "oStranger"),
            ("encrypt_type", "aes"),
            ("msg_signature", &self.msg_signature),
        ];
        let body = to.written(&[("ToUserName", "gh_0123456789ab"), ("Encrypt", &self.encrypt)]);
        to.post(&query, body).await
    }
}

fn stranger(script: &'static str, appid: &str) -> Stranger {
    let settings = json!({
        "appid": appid, "secret": SECRET, "token": TOKEN, "encodingAESKey": AES_KEY, "mode": "secure",
    });
    Stranger::start(script, &settings)
}

#[tokio::test]
async fn what_strangers_push_is_taken_and_answered() {
    let now = clock::Clock::system().now().secs();
    for format in ["json", "xml"] {
        let backend = Backend::start(format);
        for (nth, script) in SERVERS.into_iter().enumerate() {
            let mut stranger = stranger(script, APPID);
            let (said, id) = (format!("{script} {format}"), nth.to_string());
            let content = "你好 <b>&amp; \" 😀";
            let packet = backend.written(&[
                ("ToUserName", "gh_0123456789ab"),
                ("FromUserName", "oStranger"),
                ("CreateTime", "1700000000"),
                ("MsgType", "text"),
                ("Content", content),
                ("MsgId", &id),
            ]);
            let push = Push::of(&mut stranger, &packet, now);
            let (status, answer) = push.send(&backend).await;
            assert_eq!(status, 200, "{said}: {answer}");
            let reply = text(&stranger.gets("open", json!([answer])));
            assert!(reply.contains("transfer_customer_service"), "{said}: {reply}");
            let got = backend.got();
            assert_eq!(got.len(), nth + 1, "{said}: {got:?}");
            assert_eq!(
                (&got[nth]["Content"], &got[nth]["FromUserName"]),
                (&json!(content), &json!("oStranger"))
            );

            // Replayed at once, it is answered as it was, and nothing runs; replayed after hours, it is refused.
            let (status, answer) = push.send(&backend).await;
            assert_eq!(
                (status, text(&stranger.gets("open", json!([answer])))),
                (200, reply),
                "{said}"
            );
            let old = Push::of(&mut stranger, &packet, now - 2 * 3600);
            assert_eq!(old.send(&backend).await.0, 403, "{said}");

            let mut altered = Push::of(&mut stranger, &packet, now);
            let other = if altered.encrypt.starts_with('A') {
                "B"
            } else {
                "A"
            };
            altered.encrypt.replace_range(..1, other);
            assert_eq!(altered.send(&backend).await.0, 403, "{said}");

            // In plain, with the signature that a plain push would have.
            let query = [
                ("signature", push.signature.as_str()),
                ("timestamp", &push.timestamp),
                ("nonce", "486452656"),
            ];
            assert_eq!(backend.post(&query, packet.clone()).await.0, 403, "{said}");

            let mut foreign = self::stranger(script, "wxfedcba9876543210");
            assert_eq!(
                Push::of(&mut foreign, &packet, now).send(&backend).await.0,
                403,
                "{said}"
            );
            assert_eq!(backend.got().len(), nth + 1, "{said}: nothing of these ran");
        }
    }
}
