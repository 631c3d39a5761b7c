//! What clients ask before and beside their work: who is there, what it can do, how it is. Drivers take transactions and retried writes
//! for possible only where `hello` names a replica set, so it names one, of which this server is the only member.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};

use crate::{
    client::WireClient,
    command::{Command, Fields},
    failure::{Failure, Result},
    front::raw,
    message, scram, session,
};

/// The replica set's name.
const SET: &str = "yunqiao";
/// The version of MongoDB whose commands these are.
pub(crate) const VERSION: &str = "7.0.0";
/// The version of the protocol that goes with it.
const WIRE_VERSION: i32 = 21;

impl WireClient {
    /// `hello`, or `isMaster` of old.
    pub(crate) fn hello(&mut self, mut command: Command) -> Result<RawDocumentBuf> {
        let fields = &mut command.fields;
        let me = self.local.to_string();
        let mut answer = Document::new();
        if fields.boolean("helloOk")?.unwrap_or(false) {
            answer.insert("helloOk", true);
        }
        answer.extend(doc! {
            "ismaster": true,
            "isWritablePrimary": true,
            "secondary": false,
            "setName": SET,
            "setVersion": 1,
            "hosts": [&me],
            "primary": &me,
            "me": &me,
            "maxBsonObjectSize": 16 << 20,
            "maxMessageSizeBytes": i32::try_from(message::LARGEST).unwrap_or(i32::MAX),
            "maxWriteBatchSize": i32::try_from(message::MOST_WRITES).unwrap_or(i32::MAX),
            "localTime": DateTime::now(),
            "logicalSessionTimeoutMinutes": session::LIFE_MINUTES,
            "connectionId": self.id,
            "minWireVersion": 0,
            "maxWireVersion": WIRE_VERSION,
            "readOnly": false,
        });
        if fields.value("saslSupportedMechs").is_some() && self.inner().credentials.is_some() {
            answer.insert("saslSupportedMechs", vec![scram::MECHANISM]);
        }
        // What is wrong with it, the client learns when it proves itself by commands of their own.
        if let Ok(Some(start)) = fields.document("speculativeAuthenticate")
            && let Ok(begun) = self.sasl_start(Fields::new("saslStart", start))
        {
            answer.insert("speculativeAuthenticate", begun);
        }
        answer.insert("ok", 1.0);
        raw(&answer)
    }

    /// Commands that concern no documents; those that need no proof are answered to everybody.
    pub(crate) fn small_talk(&self, command: &Command) -> Option<Result<Document>> {
        let document = &command.fields.document;
        Some(Ok(match command.name.as_str() {
            "ping" | "refreshSessions" => doc! { "ok": 1.0 },
            "buildInfo" | "buildinfo" => build_info(),
            "whatsmyuri" => doc! { "you": self.peer.to_string(), "ok": 1.0 },
            "connectionStatus" => self.connection_status(),
            _ if !self.is_trusted() => return None,
            "startSession" => {
                let id = bson::Uuid::new();
                doc! { "id": { "id": id }, "timeoutMinutes": session::LIFE_MINUTES, "ok": 1.0 }
            }
            "getParameter" => return Some(parameters(document)),
            "getCmdLineOpts" => doc! { "argv": ["yunqiao"], "parsed": {}, "ok": 1.0 },
            "getLog" => match document.get("getLog") {
                Some(Bson::String(all)) if all == "*" => {
                    doc! { "names": ["global", "startupWarnings"], "ok": 1.0 }
                }
                _ => doc! { "totalLinesWritten": 0, "log": [], "ok": 1.0 },
            },
            "hostInfo" => doc! {
                "system": { "currentTime": DateTime::now(), "cpuArch": std::env::consts::ARCH },
                "os": { "type": std::env::consts::OS },
                "extra": {},
                "ok": 1.0,
            },
            "serverStatus" => self.server_status(),
            "currentOp" => doc! { "inprog": [], "ok": 1.0 },
            "replSetGetStatus" => {
                let me = self.local.to_string();
                doc! {
                    "set": SET, "date": DateTime::now(), "myState": 1,
                    "members": [{ "_id": 0, "name": me, "health": 1.0, "state": 1, "stateStr": "PRIMARY", "self": true }],
                    "ok": 1.0,
                }
            }
            "usersInfo" => {
                let users: Vec<Bson> = self
                    .user()
                    .map(|user| doc! { "user": user, "db": "admin", "roles": [] }.into())
                    .into_iter()
                    .collect();
                doc! { "users": users, "ok": 1.0 }
            }
            "rolesInfo" => doc! { "roles": [], "ok": 1.0 },
            _ => return None,
        }))
    }

    fn connection_status(&self) -> Document {
        let (users, roles): (Vec<Bson>, Vec<Bson>) = match self.user() {
            Some(user) => (
                vec![doc! { "user": user, "db": "admin" }.into()],
                vec![doc! { "role": "root", "db": "admin" }.into()],
            ),
            None => (Vec::new(), Vec::new()),
        };
        doc! {
            "authInfo": { "authenticatedUsers": users, "authenticatedUserRoles": roles, "authenticatedUserPrivileges": [] },
            "ok": 1.0,
        }
    }

    fn server_status(&self) -> Document {
        let inner = self.inner();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let current = inner.connections.saturating_sub(inner.seats.available_permits());
        doc! {
            "host": self.local.to_string(),
            "version": VERSION,
            "process": "yunqiao",
            "pid": i64::from(std::process::id()),
            "localTime": DateTime::now(),
            "connections": { "current": number(current), "available": number(inner.seats.available_permits()) },
            "logicalSessionRecordCache": { "activeSessionsCount": number(inner.sessions.count()) },
            "metrics": { "cursor": { "open": { "total": number(inner.cursors.count()) } } },
            "repl": { "setName": SET, "isWritablePrimary": true, "secondary": false },
            "ok": 1.0,
        }
    }
}

fn build_info() -> Document {
    doc! {
        "version": VERSION,
        "versionArray": [7, 0, 0, 0],
        "gitVersion": "",
        "modules": [],
        "bits": 64,
        "debug": false,
        "maxBsonObjectSize": 16 << 20,
        "storageEngines": ["yunqiao"],
        "yunqiao": env!("CARGO_PKG_VERSION"),
        "ok": 1.0,
    }
}

/// Shells ask which features may be used.
fn parameters(document: &Document) -> Result<Document> {
    let all = document.get("getParameter").and_then(Bson::as_str) == Some("*")
        || document.get_document("getParameter").is_ok();
    let mut answer = Document::new();
    if all || document.contains_key("featureCompatibilityVersion") {
        answer.insert("featureCompatibilityVersion", doc! { "version": "7.0" });
    }
    if all || document.contains_key("authenticationMechanisms") {
        answer.insert("authenticationMechanisms", vec![scram::MECHANISM]);
    }
    if answer.is_empty() {
        return Err(Failure::new(
            docdb::error::code::INVALID_OPTIONS,
            "no option found to get",
        ));
    }
    answer.insert("ok", 1.0);
    Ok(answer)
}
