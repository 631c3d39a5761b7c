//! Sockets of `/v1/realtime`, by hand: what no SDK shows.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Dev, Scratch};

/// A socket as its bytes are.
pub(crate) struct RawSocket(TcpStream);

/// What a frame was.
#[derive(Debug)]
enum Heard {
    Message(Value),
    Closed(u16),
}

impl RawSocket {
    pub(crate) async fn open(url: &str) -> Self {
        let address = url.split('/').nth(2).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v1/realtime HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        Self(stream)
    }

    pub(crate) async fn say(&mut self, message: Value) {
        let text = message.to_string();
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        // A mask of zeros.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.write_all(&frame).await.unwrap();
    }

    async fn hear(&mut self) -> Heard {
        loop {
            let kind = self.0.read_u8().await.unwrap();
            let length = match self.0.read_u8().await.unwrap() {
                126 => u64::from(self.0.read_u16().await.unwrap()),
                127 => self.0.read_u64().await.unwrap(),
                length => u64::from(length),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.unwrap();
            match kind {
                0x81 => return Heard::Message(serde_json::from_slice(&payload).unwrap()),
                0x88 => return Heard::Closed(u16::from_be_bytes([payload[0], payload[1]])),
                _ => {}
            }
        }
    }

    pub(crate) async fn message(&mut self) -> Value {
        match self.hear().await {
            Heard::Message(message) => message,
            closed => panic!("{closed:?}"),
        }
    }
}

async fn post(dev: &Dev, path: &str, token: Option<&str>, body: Value) -> Value {
    let mut request = dev.client.post(format!("{}{path}", dev.server.url)).json(&body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_logout_ends_the_sockets_of_its_session() {
    let project = Scratch::new(&[]);
    project.write("yunqiao.toml", "env = \"e\"\n[auth]\nanonymous = true\n");
    let dev = Dev::start(project.path());
    let mut tokens = Vec::new();
    for device in [
        "0123456789abcdef0123456789abcdef",
        "1123456789abcdef0123456789abcdef",
    ] {
        let url = format!("{}/auth/v1/signin/anonymously", dev.server.url);
        let request = dev.client.post(url).header("x-device-id", device).body("{}");
        let login: Value = request.send().await.unwrap().json().await.unwrap();
        tokens.push(login["access_token"].as_str().unwrap().to_owned());
    }
    let mut sockets = Vec::new();
    // Two of the first login, one of the other.
    for token in [&tokens[0], &tokens[1], &tokens[0]] {
        let sign = json!({"action": "auth.wsWebSign", "env": "e", "dataVersion": "2020-01-10", "access_token": token});
        let signed = post(&dev, "/web?env=e", None, sign).await;
        let login = json!({"requestId": "l", "msgType": "LOGIN", "msgData": {"envId": "e", "accessToken": "", "referrer": "web"},
            "exMsgData": {"signStr": signed["data"]["signStr"]}, "padding": "x".repeat(200)});
        let mut socket = RawSocket::open(&dev.server.url).await;
        socket.say(login.clone()).await;
        let answer = socket.message().await;
        assert!(
            answer["msgType"] == "LOGIN_RES" && answer["msgData"]["code"].is_null(),
            "{answer}"
        );
        sockets.push((socket, login));
    }
    let begin = json!({"requestId": "w", "watchId": "w1", "msgType": "INIT_WATCH", "padding": "x".repeat(200),
        "msgData": {"envId": "e", "collName": "notes", "query": "{}", "limit": 10}});
    post(&dev, "/auth/v1/user/signout", Some(&tokens[0]), json!({})).await;
    // Nothing begins on its sockets any more: the page's next user would be told the documents of this one.
    let (mut of_page, _) = sockets.pop().unwrap();
    of_page.say(begin.clone()).await;
    let ended = of_page.hear().await;
    assert!(matches!(ended, Heard::Closed(4002)), "{ended:?}");
    // A signature of that session is worth nothing any more, either.
    let mut late = RawSocket::open(&dev.server.url).await;
    late.say(sockets[0].1.clone()).await;
    let answer = late.message().await;
    assert_eq!(answer["msgData"]["code"], "SIGN_EXPIRED_ERROR", "{answer}");
    let ended = sockets[0].0.hear().await;
    assert!(matches!(ended, Heard::Closed(4002)), "{ended:?}");
    // The other's goes on.
    let (other, _) = &mut sockets[1];
    other
        .say(json!({"requestId": "p", "msgType": "PING", "msgData": null, "padding": "x".repeat(200)}))
        .await;
    assert_eq!(other.message().await["msgType"], "PONG");
    other.say(begin).await;
    let init = other.message().await;
    assert_eq!(init["watchId"], "w1", "{init}");
    assert_eq!(init["msgType"], "INIT_EVENT", "{init}");
}
