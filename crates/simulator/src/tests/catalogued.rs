//! The APIs of the catalogue: each at its path, those that behave, and what is said of those that do not.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use openapi::ApiBodyKind;
use serde_json::{Map, Value, json};

use super::{NOW, Sim};
use crate::{SimulatorSettings, UnknownTemplates, Withdrawn};

const SEND: &str = "/cgi-bin/message/subscribe/send";
const TEXT_CHECK: &str = "/wxa/msg_sec_check";

/// A form with one file, as `security.imgSecCheck` wants it.
async fn upload(sim: &Sim, path: &str, file: &str) -> super::Answer {
    let form = format!(
        "--b\r\ncontent-disposition: form-data; name=\"media\"; filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\n{file}\r\n--b--\r\n"
    );
    let request = Request::builder()
        .method(Method::POST)
        .uri(sim.with_token(path).await)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .body(Body::from(form));
    sim.send(request.unwrap()).await
}

#[tokio::test]
async fn an_upload_that_wechat_takes_for_none_is_refused() {
    let sim = Sim::new();
    let send = async |path: &str, disposition: &str, file: &str| {
        let form = format!(
            "--b\r\ncontent-disposition: form-data; {disposition}\r\ncontent-type: image/png\r\n\r\n{file}\r\n--b--\r\n"
        );
        let request = Request::builder()
            .method(Method::POST)
            .uri(sim.with_token(path).await)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(Body::from(form));
        // What succeeds need not have one.
        sim.send(request.unwrap()).await.json()["errcode"]
            .as_i64()
            .unwrap_or(0)
    };
    for path in ["/cgi-bin/media/upload?type=image", "/wxa/img_sec_check"] {
        for (disposition, file, errcode) in [
            (r#"name="media"; filename="a.png""#, "bytes", 0),
            (r#"name="media""#, "bytes", 41005),
            (r#"name="media"; filename*=UTF-8''a.png"#, "bytes", 41005),
            (r#"name="file"; filename="a.png""#, "bytes", 41005),
            (r#"name="media"; filename="a.png""#, "", 41005),
            (
                r#"name="media"; filename="a.png""#,
                "iVBORw0KGgoAAAANSUhEUg==",
                41005,
            ),
            (
                r#"name="media"; filename="a.png""#,
                "data:image/png;base64,iVBORw0KGgo",
                41005,
            ),
        ] {
            assert_eq!(
                send(path, disposition, file).await,
                errcode,
                "{path}: {disposition} {file}"
            );
        }
    }
}

#[tokio::test]
async fn every_api_answers_at_its_path_and_wants_a_token() {
    let sim = Sim::new();
    let token = sim.token().await;
    for api in openapi::all() {
        let method = Method::from_bytes(api.method_sent().as_str().as_bytes()).unwrap();
        let body = if api.body == ApiBodyKind::Json { "{}" } else { "" };
        let bare = sim.wechat(method.clone(), api.path, body).await.errcode();
        let no_token_needed = [
            "/sns/jscode2session",
            "/cgi-bin/token",
            "/cgi-bin/stable_token",
            "/cgi-bin/clear_quota/v2",
        ];
        if !no_token_needed.contains(&api.path) {
            assert_eq!(bare, 41001, "{}", api.name);
        }
        let path = format!("{}?access_token={token}", api.path);
        let answer = sim.wechat(method, &path, body).await;
        assert!(
            answer.errcode() < 10_000_000 && answer.errcode() != 41001,
            "{} {answer:?}",
            api.name
        );
        if api.method.is_some() {
            let other = match api.method_sent() {
                openapi::Method::Get => Method::POST,
                openapi::Method::Post => Method::GET,
            };
            let shared = openapi::at_path(api.path)
                .iter()
                .any(|same| same.method != api.method);
            let takes_both = ["/cgi-bin/token", "/wxa/business/getuserencryptkey"];
            if !shared && !takes_both.contains(&api.path) {
                let refused = if other == Method::POST { 43001 } else { 43002 };
                assert_eq!(
                    sim.wechat(other, &path, body).await.errcode(),
                    refused,
                    "{}",
                    api.name
                );
            }
        }
    }
}

#[tokio::test]
async fn tokens_and_bodies_are_refused_as_wechat_does() {
    let sim = Sim::new();
    let old = format!("{SEND}?access_token={}", sim.token().await);
    for (path, body, errcode, errmsg) in [
        (SEND.to_owned(), "{}", 41001, "access_token missing rid: "),
        (
            format!("{SEND}?access_token=x"),
            "{}",
            40001,
            "invalid credential, access_token is invalid or not latest",
        ),
        (old.clone(), "", 44002, "empty post data rid: "),
        (old.clone(), "{", 47001, "data format error rid: "),
        (old.clone(), "[]", 47001, "data format error rid: "),
        (old.clone(), r#"{"touser":1}"#, 47001, "data format error rid: "),
    ] {
        let answer = sim.wechat(Method::POST, &path, body).await;
        assert_eq!(answer.errcode(), errcode, "{path} {body}");
        assert!(
            answer.json()["errmsg"].as_str().unwrap().starts_with(errmsg),
            "{answer:?}"
        );
    }
    sim.advance(7200).await;
    assert_eq!(sim.wechat(Method::POST, &old, "{}").await.errcode(), 42001);
    assert_eq!(sim.last_sent().await, Value::Null, "a refusal reaches nobody");
}

#[tokio::test]
async fn a_message_goes_to_who_subscribed_once_for_each_time() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let message = json!({
        "touser": openid,
        "template_id": "once",
        "page": "index",
        "data": { "date2": { "value": "2019-12-25 09:42" }, "thing1": { "value": "会议室" } },
    });
    assert_eq!(sim.api(SEND, message.clone()).await.errcode(), 40037);
    assert!(sim.heard("/sim/templates"));

    let content = "会议时间:{{date2.DATA}}\n会议地点:{{thing1.DATA}}\n";
    let template = json!({ "priTmplId": "once", "title": "报名结果通知", "content": content });
    sim.sim(Method::POST, "/sim/templates", template).await;
    let refused = sim.api(SEND, message.clone()).await;
    assert_eq!(refused.errcode(), 43101);
    assert!(
        refused.text.contains("user refuse to accept the msg rid: "),
        "{refused:?}"
    );

    let ask = json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ["once"] });
    let answer = sim.client(ask.clone()).await;
    assert_eq!(
        answer,
        json!({ "errMsg": "requestSubscribeMessage:ok", "once": "accept" })
    );

    let mut incomplete = message.clone();
    incomplete["data"]["date2"]["value"] = json!("");
    let refused = sim.api(SEND, incomplete).await;
    assert_eq!(refused.errcode(), 47003);
    assert!(
        refused
            .text
            .contains("argument invalid! data.date2.value is empty rid: "),
        "{refused:?}"
    );
    let mut stranger = message.clone();
    stranger["touser"] = json!("oNobody");
    assert_eq!(sim.api(SEND, stranger).await.errcode(), 40003);

    let sent = sim.api(SEND, message.clone()).await;
    assert_eq!(sent.json(), json!({ "errcode": 0, "errmsg": "ok" }));
    let item = sim.last_sent().await;
    assert_eq!(item["api"], "subscribeMessage.send");
    assert_eq!(item["to"], openid);
    assert_eq!(item["body"], message);
    assert_eq!(item["simulated"], true);
    assert_eq!(item.get("note"), None);
    assert_eq!(
        sim.api(SEND, message.clone()).await.errcode(),
        43101,
        "it was for once"
    );

    sim.client(ask.clone()).await;
    sim.client(ask).await;
    for errcode in [0, 0, 43101] {
        assert_eq!(sim.api(SEND, message.clone()).await.errcode(), errcode);
    }
}

#[tokio::test]
async fn a_long_term_template_is_subscribed_until_it_is_rejected() {
    let sim = Sim::new();
    let (openid, _) = sim.session("bob").await;
    sim.sim(
        Method::POST,
        "/sim/templates",
        json!({ "priTmplId": "always", "type": 3 }),
    )
    .await;
    let mut ask = json!({ "user": "bob", "api": "requestSubscribeMessage", "tmplIds": ["always"] });
    sim.client(ask.clone()).await;
    let message = json!({ "touser": openid, "template_id": "always", "data": {} });
    for _ in 0..3 {
        assert_eq!(sim.api(SEND, message.clone()).await.errcode(), 0);
    }
    ask["answer"] = json!("reject");
    assert_eq!(sim.client(ask).await["always"], "reject");
    assert_eq!(sim.api(SEND, message).await.errcode(), 43101);

    let ask = |ids: Value| json!({ "user": "bob", "api": "requestSubscribeMessage", "tmplIds": ids });
    assert_eq!(sim.client(ask(json!([]))).await["errCode"], 10001);
    assert_eq!(sim.client(ask(json!(["none"]))).await["errCode"], 20001);
    let wrong = sim
        .sim(Method::POST, "/sim/templates", json!({ "type": 1 }))
        .await;
    assert_eq!(wrong.status, 400);
}

/// A project has its templates' ids in its source and no more: where the app has none of these, it works all the same.
#[tokio::test]
async fn a_template_that_the_app_does_not_have_is_made_at_its_first_use() {
    let sim = Sim::with(SimulatorSettings {
        unknown_templates: UnknownTemplates::Make,
        ..SimulatorSettings::default()
    });
    let (openid, _) = sim.session("alice").await;
    let accept = json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ["2NRE_b"] });
    assert_eq!(sim.client(accept.clone()).await["2NRE_b"], "accept");
    assert!(sim.heard("template 2NRE_b is taken for one of the app's"));
    let message = |id: &str, data: Value| json!({ "touser": openid, "template_id": id, "data": data });
    let meeting = json!({ "thing1": { "value": "年会" }, "time2": { "value": "12:00" } });
    assert_eq!(
        sim.api(SEND, message("2NRE_b", meeting.clone())).await.errcode(),
        0
    );
    assert!(sim.heard("[sim.templates.2NRE_b]\n  fields = [\"thing1\", \"time2\"]"));
    assert_eq!(
        sim.api(SEND, message("2NRE_b", meeting.clone())).await.errcode(),
        43101
    );
    // A field has the rules of its kind; one that another message brought may be missing, since nobody knows.
    sim.client(accept.clone()).await;
    let long = json!({ "thing1": { "value": "字".repeat(21) } });
    let refused = sim.api(SEND, message("2NRE_b", long)).await;
    assert!(refused.text.contains("data.thing1.value invalid"), "{refused:?}");
    let other = json!({ "thing1": { "value": "年会" }, "phrase3": { "value": "通过" } });
    assert_eq!(sim.api(SEND, message("2NRE_b", other)).await.errcode(), 0);
    assert!(sim.heard(r#"fields = ["thing1", "time2", "phrase3"]"#));
    // One that was never asked about is refused for the user's sake, and made.
    assert_eq!(
        sim.api(SEND, message("another", meeting.clone())).await.errcode(),
        43101
    );
    // What can be no id is none.
    assert_eq!(sim.api(SEND, message("模板", meeting)).await.errcode(), 40037);
    let known = sim.sim(Method::GET, "/sim/templates", Value::Null).await.json();
    let templates = known["templates"].as_array().unwrap();
    let ids: Vec<_> = templates.iter().map(|template| &template["priTmplId"]).collect();
    assert_eq!(ids, ["2NRE_b", "another"]);
    // One that somebody describes is as described from then on.
    let described = json!({ "priTmplId": "another", "content": "{{thing9.DATA}}" });
    sim.sim(Method::POST, "/sim/templates", described).await;
    let data = json!({ "thing1": { "value": "年会" } });
    let refused = sim.api(SEND, message("another", data)).await;
    assert!(refused.text.contains("data.thing9.value is empty"), "{refused:?}");
}

/// What a message brings is learned within the bounds of a template, and a message beyond them leaves nothing behind.
#[tokio::test]
async fn a_template_that_is_made_up_learns_no_more_than_a_template_has() {
    let sim = Sim::with(SimulatorSettings {
        unknown_templates: UnknownTemplates::Make,
        ..SimulatorSettings::default()
    });
    let (openid, _) = sim.session("alice").await;
    let accept = json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ["2NRE_b"] });
    let message = |names: &[String]| {
        let data: Map<String, Value> = names
            .iter()
            .map(|name| (name.clone(), json!({ "value": "年会" })))
            .collect();
        json!({ "touser": openid, "template_id": "2NRE_b", "data": data })
    };
    let things = |numbers: std::ops::Range<usize>| -> Vec<String> {
        numbers.map(|number| format!("thing{number}")).collect()
    };
    sim.client(accept.clone()).await;
    let refused = sim.api(SEND, message(&things(0..50_000))).await;
    assert_eq!(refused.errcode(), 47003, "{refused:?}");
    let refused = sim
        .api(SEND, message(&["thing1".to_owned(), "long".repeat(9)]))
        .await;
    let expected = format!("data.{}.value invalid", "long".repeat(8));
    assert!(refused.text.contains(&expected), "{refused:?}");
    let known = sim.sim(Method::GET, "/sim/templates", Value::Null).await.json();
    assert_eq!(known["templates"][0]["content"], "");
    assert_eq!(sim.api(SEND, message(&things(0..20))).await.errcode(), 0);
    sim.client(accept.clone()).await;
    let refused = sim.api(SEND, message(&things(19..21))).await;
    assert!(refused.text.contains("data.thing20.value invalid"), "{refused:?}");
    assert_eq!(sim.api(SEND, message(&things(5..6))).await.errcode(), 0);
}

/// A fixture that `dev` has written has the templates that it made up; a run that is to be as strict as WeChat is so with it.
#[tokio::test]
async fn a_template_that_was_made_up_elsewhere_is_none_where_unknown_ones_are_refused() {
    let lenient = Sim::with(SimulatorSettings {
        unknown_templates: UnknownTemplates::Make,
        ..SimulatorSettings::default()
    });
    let ask = json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ["2NRE_b"] });
    assert_eq!(lenient.client(ask.clone()).await["2NRE_b"], "accept");
    let state = lenient.simulator.state();
    let strict = Sim::new();
    strict.simulator.replace_state(state).unwrap();
    let (openid, _) = strict.session("alice").await;
    let data = json!({ "thing1": { "value": "年会" } });
    let message = json!({ "touser": openid, "template_id": "2NRE_b", "data": data });
    assert_eq!(strict.api(SEND, message.clone()).await.errcode(), 40037);
    assert!(strict.heard("[sim.templates.2NRE_b]\n  fields = [\"thing1\"]"));
    assert_eq!(strict.client(ask).await["errCode"], 20001);
    let known = strict
        .sim(Method::GET, "/sim/templates", Value::Null)
        .await
        .json();
    assert_eq!(known["templates"], json!([]));
    // It is kept, for where it is one, with what the user accepted.
    lenient.simulator.replace_state(strict.simulator.state()).unwrap();
    assert_eq!(lenient.api(SEND, message.clone()).await.errcode(), 0);
    // Once it is described it is one everywhere.
    let described = json!({ "priTmplId": "2NRE_b", "content": "{{thing1.DATA}}" });
    strict.sim(Method::POST, "/sim/templates", described).await;
    assert_eq!(strict.api(SEND, message).await.errcode(), 43101);
}

#[tokio::test]
async fn an_id_that_no_template_can_have_is_told_as_such_and_nothing_is_made_beside_it() {
    for unknown_templates in [UnknownTemplates::Make, UnknownTemplates::Refuse] {
        let sim = Sim::with(SimulatorSettings {
            unknown_templates,
            ..SimulatorSettings::default()
        });
        let (openid, _) = sim.session("alice").await;
        let ids = json!(["2NRE_b", "请填写模板ID"]);
        let ask = json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ids });
        assert_eq!(sim.client(ask).await["errCode"], 20001);
        let no_id = |code: u32| format!("{code}: \"请填写模板ID\" is no template's id");
        assert!(sim.heard(&no_id(20001)));
        let message = json!({ "touser": openid, "template_id": "请填写模板ID", "data": {} });
        assert_eq!(sim.api(SEND, message).await.errcode(), 40037);
        assert!(sim.heard(&no_id(40037)));
        assert!(!sim.heard("[sim.templates.请填写模板ID]"));
        let known = sim.sim(Method::GET, "/sim/templates", Value::Null).await.json();
        assert_eq!(known["templates"], json!([]));
    }
}

#[tokio::test]
async fn what_is_said_of_a_template_that_is_missing_can_be_pasted() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let data = json!({ "thing1": { "value": "年会" }, "time2": { "value": "12:00" } });
    let message = json!({ "touser": openid, "template_id": "2NRE_b", "data": data });
    assert_eq!(sim.api(SEND, message.clone()).await.errcode(), 40037);
    assert!(sim.heard("[sim.templates.2NRE_b]\n  fields = [\"thing1\", \"time2\"]"));
    let pasted = json!({ "priTmplId": "2NRE_b", "content": "{{thing1.DATA}}\n{{time2.DATA}}\n" });
    assert!(sim.heard(&format!("POST /sim/templates {pasted}")));
    let ask = json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ["2NRE_b"] });
    assert_eq!(sim.client(ask.clone()).await["errCode"], 20001);
    assert!(sim.heard("20001: the app has no template \"2NRE_b\""));
    sim.sim(Method::POST, "/sim/templates", pasted).await;
    assert_eq!(sim.api(SEND, message.clone()).await.errcode(), 43101);
    assert!(sim.heard(&format!("POST /sim/client {ask}")));
}

#[tokio::test]
async fn templates_come_and_go_by_the_server_api_too() {
    let sim = Sim::new();
    let path = sim.with_token("/wxaapi/newtmpl/addtemplate").await;
    let form = Request::builder()
        .method(Method::POST)
        .uri(&path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("tid=401&kidList=1&kidList=2&sceneDesc=x"));
    let of_form = sim.send(form.unwrap()).await.json();
    let of_json = sim
        .post(&path, json!({ "tid": "401", "kidList": [1, 2] }))
        .await
        .json();
    let list = sim.with_token("/wxaapi/newtmpl/gettemplate").await;
    let listed = sim.get(&list).await.json();
    for (at, added) in [of_form, of_json].iter().enumerate() {
        assert_eq!(added["errcode"], 0, "{added}");
        assert_eq!(listed["data"][at]["priTmplId"], added["priTmplId"]);
        assert_eq!(
            listed["data"][at]["content"],
            "关键词1:{{thing1.DATA}}\n关键词2:{{thing2.DATA}}\n"
        );
        assert_eq!(listed["data"][at]["type"], 2);
        let delete = json!({ "priTmplId": added["priTmplId"] });
        assert_eq!(
            sim.api("/wxaapi/newtmpl/deltemplate", delete.clone())
                .await
                .errcode(),
            0
        );
        assert_eq!(
            sim.api("/wxaapi/newtmpl/deltemplate", delete).await.errcode(),
            40037
        );
    }
    assert_eq!(sim.last_sent().await["api"], "subscribeMessage.deleteTemplate");
    assert_eq!(sim.get(&list).await.json()["data"], json!([]));
}

#[tokio::test]
async fn withdrawn_messages_succeed_with_a_note_or_are_refused() {
    let path = "/cgi-bin/message/wxopen/template/send";
    let message = json!({ "touser": "OPENID", "template_id": "TEMPLATE_ID", "form_id": "FORMID" });
    let sim = Sim::new();
    let sent = sim.api(path, message.clone()).await;
    assert_eq!(sent.json(), json!({ "errcode": 0, "errmsg": "ok" }));
    let item = sim.last_sent().await;
    assert_eq!(item["api"], "templateMessage.send");
    assert_eq!(item["note"], "withdrawn: 45103 in production");
    assert!(sim.heard("withdrawn: 45103 in production"));

    let today = Sim::with(SimulatorSettings {
        withdrawn: Withdrawn::Refuse,
        ..SimulatorSettings::default()
    });
    assert_eq!(today.api(path, message).await.errcode(), 45103);
    let uniform = "/cgi-bin/message/wxopen/template/uniform_send";
    assert_eq!(
        today.api(uniform, json!({ "touser": "OPENID" })).await.errcode(),
        45109
    );
    assert_eq!(today.last_sent().await, Value::Null);
}

/// Programs read members of an answer: a bare `ok` fails them one line later.
#[tokio::test]
async fn what_does_nothing_answers_as_its_document_shows() {
    let sim = Sim::new();
    let read = async |path| sim.get(&sim.with_token(path).await).await.json();
    let categories = read("/wxaapi/newtmpl/getcategory").await;
    assert_eq!(
        categories["data"],
        json!([{ "id": 616, "name": "公交" }]),
        "{categories}"
    );
    let note = |item: &Value| item["note"].as_str().unwrap().to_owned();
    assert_eq!(
        note(&sim.last_sent().await),
        "only recorded: the answer is made up, after the sample of WeChat's document (data)"
    );
    let order = sim
        .api(
            "/cgi-bin/express/business/order/add",
            json!({ "order_id": "mine", "add_source": 0 }),
        )
        .await
        .json();
    assert_eq!(order["order_id"], "mine");
    assert_eq!(order["waybill_id"], "123456789");
    let said = note(&sim.last_sent().await);
    assert!(
        said.ends_with("without a sample, and therefore empty: delivery_resultcode, delivery_resultmsg"),
        "{said}"
    );
    // Nothing is listed: that is said as before.
    sim.api(
        "/cgi-bin/message/custom/business/typing",
        json!({ "touser": "o", "command": "Typing" }),
    )
    .await;
    assert_eq!(
        note(&sim.last_sent().await),
        "only recorded: the simulator does no more than answer ok"
    );
}

/// A program that reads page by page until nothing comes must come to an end.
#[tokio::test]
async fn a_later_page_of_a_sample_is_empty() {
    let sim = Sim::new();
    let list = async |asked: Value| {
        let lives = sim.api("/wxa/business/getliveinfo", asked).await.json();
        lives["room_info"].as_array().unwrap().len()
    };
    assert_eq!(list(json!({ "start": 0, "limit": 10 })).await, 1);
    assert_eq!(list(json!({ "start": 10, "limit": 10 })).await, 0);
}

#[tokio::test]
async fn an_updatable_message_is_known_until_it_expires() {
    let sim = Sim::new();
    let made = sim.with_token("/cgi-bin/message/wxopen/activityid/create").await;
    let made = sim.get(&made).await.json();
    assert_eq!(
        made["expiration_time"].as_u64().unwrap(),
        NOW + 24 * 3600,
        "{made}"
    );
    let change = |id: &Value, state: u8, version: &str| {
        json!({
            "activity_id": id,
            "target_state": state,
            "template_info": { "parameter_list": [{ "name": "version_type", "value": version }] },
        })
    };
    let path = "/cgi-bin/message/wxopen/updatablemsg/send";
    let id = &made["activity_id"];
    for (asked, errcode) in [
        (change(id, 0, "develop"), 0),
        (change(id, 1, "release"), 0),
        (change(&json!("ACTIVITYID"), 1, "release"), 47501),
        (change(id, 2, "release"), 47502),
        (change(id, 1, "newest"), 47503),
    ] {
        assert_eq!(sim.api(path, asked.clone()).await.errcode(), errcode, "{asked}");
    }
    sim.advance(24 * 3600).await;
    assert_eq!(sim.api(path, change(id, 1, "release")).await.errcode(), 47504);
}

/// What the code in a PNG says, its width, and the colours of a light and a dark module.
fn scanned(png: &[u8]) -> (String, u32, [Vec<u8>; 2]) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let samples = frame.color_type.samples();
    let width = frame.width as usize;
    let light = pixels[..samples].to_vec();
    let pixel = |at: usize| &pixels[at * samples..(at + 1) * samples];
    let dark = (0..width * width)
        .map(pixel)
        .find(|pixel| *pixel != light)
        .unwrap()
        .to_vec();
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, |x, y| {
        if pixel(y * width + x) == light { 255 } else { 0 }
    });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    let (_, text) = grids[0].decode().unwrap();
    (text, frame.width, [light, dark])
}

#[tokio::test]
async fn codes_are_images_that_say_what_was_asked_for() {
    let sim = Sim::new();
    let root = format!("yunqiao://wxacode/{}", SimulatorSettings::default().appid);
    let unlimited = "/wxa/getwxacodeunlimit";
    let asked =
        json!({ "scene": "a=1", "page": "pages/index/index", "check_path": true, "env_version": "release" });
    let answer = sim.api(unlimited, asked.clone()).await;
    assert_eq!(answer.content_type, "image/png");
    let (text, width, colours) = scanned(&answer.bytes);
    assert_eq!(text, format!("{root}/pages/index/index?scene=a%3D1"));
    assert_eq!(width, 430);
    assert_eq!(colours, [vec![255, 255, 255], vec![0, 0, 0]]);
    let item = sim.last_sent().await;
    assert_eq!(
        (&item["api"], &item["body"]),
        (&json!("wxacode.getUnlimited"), &asked)
    );
    assert!(item["note"].as_str().unwrap().contains(&text), "{item}");

    let asked = json!({ "path": "pages/a?id=22579", "width": 600, "is_hyaline": true, "line_color": { "r": "10", "g": 20, "b": 30 } });
    for path in ["/wxa/getwxacode", "/cgi-bin/wxaapp/createwxaqrcode"] {
        let (text, width, colours) = scanned(&sim.api(path, asked.clone()).await.bytes);
        assert_eq!(text, format!("{root}/pages/a?id=22579"));
        assert_eq!(width, 600);
        assert_eq!(colours, [vec![255, 255, 255, 0], vec![10, 20, 30, 255]]);
    }

    let refused = sim.api(unlimited, json!({ "scene": "中文" })).await;
    assert_eq!(refused.content_type, "application/json; encoding=utf-8");
    assert_eq!(refused.errcode(), 40129);
}

#[tokio::test]
async fn texts_are_judged_by_the_rules() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let first = |content: &str| json!({ "content": content });
    assert_eq!(sim.api(TEXT_CHECK, first("hello world!")).await.errcode(), 0);
    let sample = "特3456书yuuo莞6543李zxcz蒜7782法fgnv级";
    let refused = sim.api(TEXT_CHECK, first(sample)).await;
    assert_eq!(refused.errcode(), 87014);
    assert!(refused.text.contains("risky content rid: "), "{refused:?}");

    let second = |content: &str| json!({ "openid": openid, "scene": 1, "version": 2, "content": content });
    let judged = sim.api(TEXT_CHECK, second(sample)).await.json();
    assert_eq!(judged["errcode"], 0);
    assert_eq!(judged["result"], json!({ "suggest": "risky", "label": 21000 }));
    assert_eq!(judged["detail"][0]["strategy"], "content_model");
    assert_eq!(judged["trace_id"].as_str().unwrap().len(), 26);
    let passed = sim.api(TEXT_CHECK, second("hello world!")).await.json();
    assert_eq!(passed["result"], json!({ "suggest": "pass", "label": 100 }));

    let rule = json!({ "kind": "text", "contains": "world", "suggest": "review", "label": 10001 });
    let rules = sim.sim(Method::POST, "/sim/verdicts", rule.clone()).await.json();
    assert_eq!(rules["verdicts"][2], rule);
    let judged = sim.api(TEXT_CHECK, second("hello world!")).await.json();
    assert_eq!(judged["result"], json!({ "suggest": "review", "label": 10001 }));
    let rules = sim.sim(Method::DELETE, "/sim/verdicts", Value::Null).await.json();
    assert_eq!(rules["verdicts"].as_array().unwrap().len(), 2);

    let mut wrong = second("x");
    wrong["scene"] = json!(5);
    assert_eq!(sim.api(TEXT_CHECK, wrong.clone()).await.errcode(), 40129);
    wrong["openid"] = json!("oNobody");
    assert_eq!(sim.api(TEXT_CHECK, wrong).await.errcode(), 40003);
}

#[tokio::test]
async fn images_are_judged_by_the_rules() {
    let sim = Sim::new();
    let path = "/wxa/img_sec_check";
    assert_eq!(
        upload(&sim, path, "PNG").await.json(),
        json!({ "errcode": 0, "errmsg": "ok" })
    );
    let file = &sim.last_sent().await["body"]["media"];
    assert_eq!(
        (&file["fileName"], &file["contentType"], &file["bytes"]),
        (&json!("a.png"), &json!("image/png"), &json!(3))
    );
    let rule = json!({ "kind": "image", "sha256": file["sha256"], "suggest": "risky" });
    sim.sim(Method::POST, "/sim/verdicts", rule).await;
    assert_eq!(upload(&sim, path, "PNG").await.errcode(), 87014);
    assert_eq!(upload(&sim, path, "JPG").await.errcode(), 0);
    for body in [json!({ "media": "PNG" }).to_string(), String::new()] {
        let bare = sim.with_token(path).await;
        let refused = sim.wechat(Method::POST, &bare, body).await;
        assert_eq!(refused.errcode(), 41005);
        assert!(refused.text.contains("media data missing"), "{refused:?}");
    }
    // Three megabytes are more than the rest of the simulator reads.
    let long = "x".repeat(3 << 20);
    assert_eq!(upload(&sim, path, &long).await.errcode(), 0);
}

#[tokio::test]
async fn apis_at_one_path_are_told_apart_where_they_can_be() {
    let sim = Sim::new();
    for (path, body, name) in [
        (
            "/wxa/plugin",
            json!({ "action": "unbind" }),
            "pluginManager.unbindPlugin",
        ),
        (
            "/wxa/devplugin",
            json!({ "action": "dev_agree" }),
            "pluginManager.setDevPluginApplyStatus",
        ),
        ("/wxa/getsnticket", json!({}), "device.getSnTicket"),
        (
            "/customservice/kfaccount/add",
            json!({}),
            "officialAccount.customerService.addKFAccount",
        ),
    ] {
        assert_eq!(sim.api(path, body).await.errcode(), 0);
        assert_eq!(sim.last_sent().await["api"], name);
    }
    let path = sim.with_token("/cv/ocr/driving?img_url=http%3A%2F%2Fa").await;
    assert_eq!(sim.wechat(Method::POST, &path, "").await.errcode(), 0);
    assert_eq!(sim.last_sent().await["body"], json!({ "img_url": "http://a" }));
}

#[tokio::test]
async fn the_one_api_without_a_token_takes_the_secret_and_does_not_show_it() {
    let sim = Sim::new();
    let path = "/cgi-bin/clear_quota/v2";
    let settings = SimulatorSettings::default();
    let mut asked = json!({ "appid": settings.appid, "appsecret": "wrong" });
    assert_eq!(sim.post(path, asked.clone()).await.errcode(), 40125);
    asked["appsecret"] = json!(settings.secret.expose());
    assert_eq!(sim.post(path, asked).await.errcode(), 0);
    assert_eq!(sim.last_sent().await["body"], json!({ "appid": settings.appid }));
}
