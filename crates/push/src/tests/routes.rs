//! Which packet goes where.

use super::*;

fn event(name: &str) -> Packet {
    packet(&format!(r#"{{"MsgType":"event","Event":"{name}"}}"#))
}

fn routes(patterns: &[&'static str]) -> Routes<&'static str> {
    let mut routes = Routes::default();
    for pattern in patterns {
        routes
            .add(RoutePattern::parse(pattern).unwrap(), *pattern)
            .unwrap();
    }
    routes
}

#[test]
fn wire_names_and_console_names_lead_to_the_function() {
    let routes = routes(&[
        "text",
        "event/user_enter_tempsession",
        "event/subscribe_msg_event",
        "subscribe_msg_sent_event",
        "express_add_path",
        "event/wxa_media_check",
        "event/something_new",
    ]);
    for (packet, target) in [
        (packet(TEXT), Some("text")),
        (packet(r#"{"MsgType":"image"}"#), None),
        (
            event("user_enter_tempsession"),
            Some("event/user_enter_tempsession"),
        ),
        (
            event("subscribe_msg_popup_event"),
            Some("event/subscribe_msg_event"),
        ),
        (
            event("subscribe_msg_change_event"),
            Some("event/subscribe_msg_event"),
        ),
        (
            event("subscribe_msg_sent_event"),
            Some("subscribe_msg_sent_event"),
        ),
        (event("add_express_path"), Some("express_add_path")),
        (event("WXA_MEDIA_CHECK"), Some("event/wxa_media_check")),
        (event("something_new"), Some("event/something_new")),
        (event("something_else"), None),
        (event(""), None),
        // A message that is called as an event is.
        (packet(r#"{"MsgType":"wxa_media_check"}"#), None),
        (packet(r#"{"InfoType":"authorized"}"#), None),
    ] {
        assert_eq!(routes.find(&packet).copied(), target, "{}", packet.as_json());
    }
    assert_eq!(routes.iter().count(), 7);
}

#[test]
fn the_rest_goes_where_the_star_says() {
    let routes = routes(&["text", "*"]);
    assert_eq!(routes.find(&packet(TEXT)), Some(&"text"));
    for other in [
        event("SCAN"),
        event(""),
        packet("{}"),
        packet(r#"{"MsgType":"*"}"#),
    ] {
        assert_eq!(routes.find(&other), Some(&"*"));
    }
    assert!(!routes.is_empty() && Routes::<()>::default().is_empty());
}

#[test]
fn patterns_are_written_as_they_are_read() {
    for (text, written) in [
        ("text", "text"),
        ("*", "*"),
        ("event/SCAN", "event/scan"),
        ("SCAN", "event/scan"),
        ("Event/qr_scan_scene", "event/qr_scan_scene"),
        ("some_message", "some_message"),
    ] {
        let pattern = RoutePattern::parse(text).unwrap();
        assert_eq!(pattern.to_string(), written);
        assert_eq!(RoutePattern::parse(written).unwrap(), pattern);
    }
    assert_eq!(RoutePattern::of("event", "SCAN"), RoutePattern::parse("SCAN"));
}

#[test]
fn routes_that_cannot_be_meant_are_refused() {
    assert_eq!(RoutePattern::parse("event"), Err(RouteError::NoEvent));
    assert_eq!(RoutePattern::parse("event/"), Err(RouteError::NoEvent));
    assert_eq!(
        RoutePattern::of("text", "SCAN"),
        Err(RouteError::EventOfMessage("text".to_owned()))
    );
    for text in ["", "/", "text message", "a/b/c", "event/a b", "订阅"] {
        assert!(RoutePattern::parse(text).is_err(), "{text}");
    }
    let mut routes = routes(&["text", "event/SCAN"]);
    for twice in ["TEXT", "scan"] {
        let error = routes.add(RoutePattern::parse(twice).unwrap(), "").unwrap_err();
        assert!(matches!(error, RouteError::Twice(_)), "{error}");
    }
}

#[test]
fn unknown_names_have_a_suggestion() {
    let suggestion = |text| RoutePattern::parse(text).unwrap().suggestion();
    assert_eq!(
        suggestion("event/user_enter_tempsesion"),
        Some("user_enter_tempsession")
    );
    assert_eq!(
        suggestion("event/subscribe_msg_evnt"),
        Some("subscribe_msg_event")
    );
    for fine in ["text", "event/subscribe_msg_event", "*", "event/qqqqqqqq"] {
        assert_eq!(suggestion(fine), None);
    }
}
