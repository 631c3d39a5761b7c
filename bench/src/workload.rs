//! What is called in one round: the same WeRun steps for everybody. Ours gets them as a ticket to redeem, together with a
//! bearer token; the peers get the event that our function received, in clear.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    http,
    load::{Expected, Target},
    ours::Ours,
    peers::Peers,
};

/// The function itself, for ours and for every peer.
pub(crate) const FUNCTION: &str = include_str!("../peers/function/index.js");
/// A function that returns its event, by which the bench learns what a function receives.
pub(crate) const ECHO: &str = "exports.main = async (event) => event\n";
/// The name of [`FUNCTION`] with one call at a time in each of two workers.
pub(crate) const SERIAL: &str = "serial";
/// The name of [`FUNCTION`] with 64 calls at a time in one worker.
pub(crate) const CONCURRENT: &str = "concurrent";
/// The name of [`ECHO`].
pub(crate) const ECHO_NAME: &str = "echo";

const STEPS: usize = 31;

/// The targets of one round. A ticket lives 300 seconds, so each round has its own.
pub(crate) struct Round {
    pub(crate) serial: Target,
    pub(crate) concurrent: Target,
    pub(crate) plain: Target,
    pub(crate) framework: Target,
    pub(crate) quiet: Target,
    /// Bytes of the body that ours gets, and that the peers get.
    pub(crate) sizes: (usize, usize),
}

impl Round {
    pub(crate) fn prepare(ours: &Ours, peers: &Peers) -> Result<Self> {
        let body = with_ticket(ours)?;
        let mut event = ours.call(ECHO_NAME, &body)?;
        let steps = event["weRunData"]["data"]["stepInfoList"]
            .as_array()
            .context("no steps in the event")?;
        ensure!(steps.len() == STEPS, "{} days of steps, not {STEPS}", steps.len());
        let sum: u64 = steps.iter().filter_map(|day| day["step"].as_u64()).sum();
        event["weRunData"]
            .as_object_mut()
            .context("no weRunData in the event")?
            .remove("cloudID");
        let event = event.to_string();
        let result = format!(r#"{{"sum":{sum},"n":{STEPS}}}"#);

        let body = body.to_string();
        let gateway = |name: &str| gateway(ours, name, &body, &result);
        let peer = |addr| Target {
            addr,
            request: http::post(addr, "/", None, &event),
            expected: Expected {
                length: result.len(),
                prefix: result.clone().into_bytes(),
                thorough: thorough_peer,
            },
        };
        Ok(Self {
            serial: gateway(SERIAL)?,
            concurrent: gateway(CONCURRENT)?,
            plain: peer(peers.plain.addr),
            framework: peer(peers.framework.addr),
            quiet: peer(peers.quiet.addr),
            sizes: (body.len(), event.len()),
        })
    }
}

/// What a client sends that has steps to hand over.
fn with_ticket(ours: &Ours) -> Result<Value> {
    let ticket = ours.mint()?;
    Ok(json!({"data": {"weRunData": ticket}, "cloudIDs": ["weRunData"]}))
}

/// A function of ours, which answers with this result.
fn gateway(ours: &Ours, name: &str, body: &str, result: &str) -> Result<Target> {
    let path = format!("/v1/functions/{name}");
    let request = http::post(ours.gateway, &path, Some(&ours.token), body);
    let (status, reply) = http::exchange(ours.gateway, &request)?;
    ensure!(
        status == 200,
        "{name} answered {status}: {}",
        String::from_utf8_lossy(&reply)
    );
    thorough_gateway(&reply)?;
    let prefix = format!(r#"{{"result":{result},"#).into_bytes();
    ensure!(
        reply.starts_with(&prefix),
        "{name} answered {}",
        String::from_utf8_lossy(&reply)
    );
    Ok(Target {
        addr: ours.gateway,
        request,
        expected: Expected {
            prefix,
            length: reply.len(),
            thorough: thorough_gateway,
        },
    })
}

/// A function of ours that answers with what it answers now.
pub(crate) fn ours_alone(ours: &Ours, name: &str) -> Result<Target> {
    let body = with_ticket(ours)?;
    let result = ours.call(name, &body)?.to_string();
    gateway(ours, name, &body.to_string(), &result)
}

fn thorough_gateway(body: &[u8]) -> Result<()> {
    let reply: Value = serde_json::from_slice(body)?;
    ensure!(
        reply["result"]["n"] == STEPS
            && reply["errMsg"] == "cloud.callFunction:ok"
            && reply["requestID"].is_string()
            && reply["warnings"].is_null(),
        "not the reply of a call that went well: {reply}"
    );
    Ok(())
}

fn thorough_peer(body: &[u8]) -> Result<()> {
    let reply: Value = serde_json::from_slice(body)?;
    ensure!(reply["n"] == STEPS, "not what the function returns: {reply}");
    Ok(())
}
