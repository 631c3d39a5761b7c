//! An object store to test against: moto from PyPI, which speaks S3 and keeps everything in memory.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PROGRAM: &str = include_str!("moto.py");

/// A server that runs, and ends with this value.
pub(crate) struct ObjectStore {
    child: Child,
    pub(crate) endpoint: String,
    buckets: AtomicUsize,
}

impl ObjectStore {
    pub(crate) fn start() -> Self {
        let python = crate::install::python("s3-python", REQUIREMENTS, "tests/s3/requirements.txt");
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut port).unwrap();
        Self {
            child,
            endpoint: format!("http://127.0.0.1:{}", port.trim()),
            buckets: AtomicUsize::new(0),
        }
    }

    /// A new bucket's name.
    pub(crate) async fn bucket(&self, http: &reqwest::Client) -> String {
        let name = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        let made = self.ask(http, reqwest::Method::PUT, &name, "").await;
        assert_eq!(made.0, 200, "{}", made.1);
        name
    }

    /// What it answers to a request by hand.
    pub(crate) async fn ask(
        &self,
        http: &reqwest::Client,
        method: reqwest::Method,
        place: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, String) {
        let request = http.request(method, format!("{}/{place}", self.endpoint));
        let signed = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let reply = request.header("authorization", signed).body(body);
        let reply = reply.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
