//! What a function may be, receives and returns.

use super::*;

#[tokio::test]
async fn an_event_comes_back_as_it_was() {
    let bench = Bench::one("exports.main = async (event) => event;").await;
    let event = "{\"text\":\"中\\u0000😀\",\"b\":1,\"a\":[true,null,1.5]}";
    assert_eq!(bench.result("f", event).await, Ok(event.to_owned()));
    bench.end().await;
}
