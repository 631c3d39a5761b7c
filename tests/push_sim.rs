//! The simulated WeChat pushes to a backend of somebody else's: `yunqiao simulate` and `yunqiao push`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clock::Clock;
use push::{EncodingAesKey, Format, Mode, Packet, PushQuery, PushReply, PushToken, Receiver};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Dev, Scratch, Server, client, run, text, yunqiao};

/// What the backend answers; it lets the first so many pushes wait in vain.
#[derive(Clone, Debug)]
struct Manner {
    reply: PushReply,
    deaf: usize,
}

/// A backend that knows no more of HTTP than a push needs.
struct Backend {
    url: String,
    receiver: Arc<Mutex<Option<Receiver>>>,
    seen: Arc<Mutex<Vec<Packet>>>,
}

impl Backend {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self {
            url: format!("http://{}/wechat", listener.local_addr().unwrap()),
            receiver: Arc::default(),
            seen: Arc::default(),
        };
        let (receiver, seen) = (Arc::clone(&backend.receiver), Arc::clone(&backend.seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, seen) = (manner.clone(), Arc::clone(&seen));
                let receiver = receiver.lock().unwrap().clone().unwrap();
                tokio::spawn(async move { serve(stream, &receiver, &seen, &manner).await });
            }
        });
        backend
    }

    /// Takes over what the simulator tells a backend to be configured with.
    async fn configure(&self, wechat: &str, mode: Mode, format: Format) {
        let app = client().get(format!("{wechat}/sim/app")).send().await.unwrap();
        let app: Value = app.json().await.unwrap();
        let token = PushToken::parse(&text(&app["token"])).unwrap();
        let key = EncodingAesKey::parse(&text(&app["encodingAESKey"])).unwrap();
        let settings = push::ConsoleSettings::new(&text(&app["appid"]), token, mode, format, vec![key]);
        *self.receiver.lock().unwrap() = Some(Receiver::new(settings).unwrap());
    }

    fn seen(&self) -> Vec<Packet> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, receiver: &Receiver, seen: &Mutex<Vec<Packet>>, manner: &Manner) {
    let mut bytes = Vec::new();
    let (query, body) = loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "half a request");
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let body = &bytes[end + 4..];
        if body.len() == length.unwrap_or(0) {
            let target = head.strip_prefix("POST /wechat?").unwrap();
            let query = PushQuery::parse(target.split(' ').next().unwrap()).unwrap();
            break (query, body.to_vec());
        }
    };
    let now = Clock::system().now();
    let packet = receiver.receive(&query, &body, now).unwrap();
    let nth = {
        let mut seen = seen.lock().unwrap();
        seen.push(packet);
        seen.len()
    };
    if nth <= manner.deaf {
        // Until the other side has had enough.
        let _ = stream.read(&mut [0]).await;
        return;
    }
    let answer = receiver.answer(&manner.reply, &query, now, [9; 16]).unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
        answer.content_type,
        answer.text.len(),
        answer.text
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn simulate(url: &str, mode: Mode, format: Format) -> Server {
    Server::start(
        yunqiao()
            .args(["simulate", "--port", "0", "--push-url", url])
            .args(["--push-mode", mode.as_str(), "--push-format", format.as_str()]),
    )
}

/// `yunqiao` with these arguments, off this thread: the backend lives on it.
async fn yunqiao_says(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = yunqiao();
    command.args(args);
    let ended = tokio::task::spawn_blocking(move || run(&mut command)).await;
    let (output, out, err) = ended.unwrap();
    (output.status.code(), out, err)
}

#[tokio::test]
async fn a_backend_gets_pushes_in_each_mode_and_format_and_its_reply_is_read() {
    for (mode, format) in [
        (Mode::Plain, Format::Xml),
        (Mode::Plain, Format::Json),
        (Mode::Compatible, Format::Xml),
        (Mode::Compatible, Format::Json),
        (Mode::Secure, Format::Xml),
        (Mode::Secure, Format::Json),
    ] {
        let reply = PushReply::Object(r#"{"MsgType":"transfer_customer_service"}"#.to_owned());
        let backend = Backend::start(Manner { reply, deaf: 0 }).await;
        let server = simulate(&backend.url, mode, format);
        backend.configure(&server.url, mode, format).await;
        let case = format!("{mode:?} {format:?}");

        let args = [
            "push",
            "text",
            "--as",
            "bob",
            "--content",
            "在吗？<1>",
            "--wechat",
            &server.url,
        ];
        let (code, out, err) = yunqiao_says(&args).await;
        assert_eq!(code, Some(0), "{case} {out}{err}");
        let head = format!(
            "text → {} ({}, {})\n",
            backend.url,
            mode.as_str(),
            format.as_str()
        );
        assert!(out.starts_with(&head), "{case} {out}");
        assert!(out.contains("\"Content\": \"在吗？<1>\""), "{case} {out}");
        assert!(
            out.contains("passed on to the customer-service staff\n"),
            "{case} {out}"
        );
        assert!(
            out.contains("{\"MsgType\":\"transfer_customer_service\"}"),
            "{case} {out}"
        );
        let [packet] = &backend.seen()[..] else {
            panic!("{case} {out}")
        };
        let users = client()
            .get(format!("{}/sim/users", server.url))
            .send()
            .await
            .unwrap();
        let users: Value = users.json().await.unwrap();
        assert_eq!(packet.user(), users["users"][1]["openid"].as_str(), "{case}");
        assert!(
            packet.as_json().contains("在吗？<1>"),
            "{case} {}",
            packet.as_json()
        );
    }
}

#[tokio::test]
async fn an_answer_is_waited_for_five_seconds_and_fields_are_given() {
    let reply = PushReply::Object(r#"{"ErrCode":0}"#.to_owned());
    let backend = Backend::start(Manner { reply, deaf: 1 }).await;
    let server = simulate("http://127.0.0.1:1/", Mode::Secure, Format::Json);
    backend.configure(&server.url, Mode::Secure, Format::Json).await;
    let url = backend.url.clone();
    let args = [
        "push",
        "xpay_refund_notify",
        "--wechat",
        &server.url,
        "--url",
        &url,
        "--json",
        "--data",
        r#"{"RefundFee":1,"RetMsg":"x"}"#,
        "--field",
        "RefundFee=250",
        "--field",
        "MchRefundId=\"7\"",
        "--field",
        "WxRefundId=R-1",
        "--field",
        "TeamInfo=null",
    ];
    let (code, out, err) = yunqiao_says(&args).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let meaning = |nth: usize| text(&told["attempts"][nth]["meaning"]);
    assert_eq!(
        meaning(0),
        "there was no answer within 5 s; WeChat sends it again"
    );
    assert_eq!(meaning(1), "acknowledged");
    let waited = Duration::from_millis(told["attempts"][0]["ms"].as_u64().unwrap());
    assert!((5..8).contains(&waited.as_secs()), "{told}");
    let seen: Vec<Value> = backend
        .seen()
        .iter()
        .map(|packet| serde_json::from_str(packet.as_json()).unwrap())
        .collect();
    assert_eq!(
        (&seen[0]["RetryTimes"], &seen[1]["RetryTimes"]),
        (&json!(0), &json!(1))
    );
    let given = ["RefundFee", "RetMsg", "MchRefundId", "WxRefundId"].map(|name| &seen[0][name]);
    assert_eq!(given, [&json!(250), &json!("x"), &json!("7"), &json!("R-1")]);
}

#[tokio::test]
async fn a_push_finds_the_running_project_or_starts_it_or_needs_none() {
    let source = "exports.main = async (event) => ({
        MsgType: 'transfer_customer_service', ToUserName: event.FromUserName, Content: event.Content,
    })";
    let project = Scratch::new(&[("kefu", source)]);
    project.write("yunqiao.toml", "[push.routes]\ntext = \"kefu\"\n");
    let dir = project.path().to_str().unwrap();
    let args = [
        "push",
        "text",
        "--field",
        "content=1",
        "--content",
        "2",
        "--dir",
        dir,
        "--json",
    ];
    let by_dev = Dev::start(project.path());
    for dev in [Some(by_dev), None] {
        let (code, out, err) = yunqiao_says(&args).await;
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        assert_eq!(code, Some(0), "{told} {err}");
        assert_eq!(
            (&told["mode"], &told["format"]),
            (&json!("secure"), &json!("json"))
        );
        let attempt = &told["attempts"][0];
        assert_eq!(
            attempt["meaning"], "passed on to the customer-service staff",
            "{told}"
        );
        assert_eq!(
            (&attempt["reply"]["Content"], &attempt["reply"]["ToUserName"]),
            (&json!("2"), &told["packet"]["FromUserName"])
        );
        assert!(
            err.contains("text has no field \"content\": did you mean Content?"),
            "{err}"
        );
        if let Some(dev) = dev {
            assert_eq!(told["url"], format!("{}/v1/push", dev.server.url));
            let shown = dev.get_sim("push").await;
            assert_eq!(shown["pushes"][0]["packet"]["MsgId"], told["packet"]["MsgId"]);
        }
    }

    let (code, out, err) = yunqiao_says(&["push", "--verify", "--dir", dir]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.starts_with("verification → http://127.0.0.1:"), "{out}");
    assert!(out.trim_end().ends_with(" ms: verified"), "{out}");

    // Nobody listens at the address; whose project it is does not matter.
    let elsewhere = TempDir::new().unwrap();
    let dir = elsewhere.path().to_str().unwrap();
    let args = ["push", "text", "--dir", dir, "--url", "http://127.0.0.1:1/"];
    let (code, out, err) = yunqiao_says(&args).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("token      yunqiaoPushToken"), "{err}");
    assert_eq!(out.matches("Connection refused").count(), 3, "{out}");
    let (code, _, err) = yunqiao_says(&["push", "text", "--dir", dir]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("project.config.json"), "{err}");
}

#[tokio::test]
async fn users_of_a_simulator_outlive_it_where_there_is_a_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("state.json");
    let start = || Server::start(yunqiao().args(["simulate", "--port", "0", "--state"]).arg(&file));
    let server = start();
    let carol = json!({"name": "carol", "phone": "12066600099"});
    let request = client().post(format!("{}/sim/users", server.url)).json(&carol);
    let carol: Value = request.send().await.unwrap().json().await.unwrap();
    drop(server);
    let server = start();
    let users = client()
        .get(format!("{}/sim/users", server.url))
        .send()
        .await
        .unwrap();
    let users: Value = users.json().await.unwrap();
    assert_eq!(users["users"][2], carol);
}

#[tokio::test]
async fn what_can_be_pushed_is_listed() {
    let (code, out, _) = yunqiao_says(&["push"]).await;
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("text  客服文本消息, mini program\n  Content MsgId\n"),
        "{out}"
    );
    assert!(
        out.contains("\nadd_express_path (in the console: express_add_path)  "),
        "{out}"
    );
    let (_, out, _) = yunqiao_says(&["push", "subscribe_msg", "--list", "--json"]).await;
    let kinds: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(kinds.as_array().map(Vec::len), Some(3), "{kinds}");
    assert_eq!(
        kinds[0]["fields"],
        json!(["List{TemplateId,SubscribeStatusString,PopupScene}"])
    );
    for (args, words) in [
        (
            &["push", "wxa_media_chek", "--url", "http://127.0.0.1:1/"][..],
            "did you mean `wxa_media_check`",
        ),
        (&["push", "zzzzzz", "--list"], "there is no message or event"),
        (&["push", "text", "--field", "Content"], "write K=V"),
        (&["push", "text", "--data", "[]"], "--data must be a JSON object"),
        (
            &["simulate", "--push-url", "localhost:3000"],
            "is no URL to push to",
        ),
        (&["simulate", "--push-mode", "safe"], "安全模式"),
    ] {
        let (code, _, err) = yunqiao_says(args).await;
        assert_ne!(code, Some(0), "{args:?}");
        assert!(err.contains(words), "{args:?} {err}");
    }
}

/// WeChat is told that a push has arrived, whoever takes it: whoever has sent it by hand wants to know more.
#[tokio::test]
async fn a_push_that_no_function_takes_is_told_with_the_line_that_routes_it() {
    let project = Scratch::new(&[("kefu", "exports.main = () => 1;")]);
    let dir = project.path().to_str().unwrap();
    for kind in ["text", "user_enter_tempsession"] {
        let _ = std::fs::remove_file(project.path().join("yunqiao.toml"));
        let args = ["push", kind, "--dir", dir];
        let (code, out, err) = yunqiao_says(&args).await;
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(
            err.contains(&format!("no function was called: none takes {kind}")),
            "{err}"
        );
        let line = format!("{kind} = \"kefu\"");
        assert!(err.contains(&line), "{err}");
        project.write("yunqiao.toml", &format!("[push.routes]\n{line}\n"));
        let (code, _, err) = yunqiao_says(&args).await;
        assert!(
            code == Some(0) && !err.contains("no function was called"),
            "{err}"
        );
    }
}
