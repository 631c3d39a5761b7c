//! What is let in, and what is not.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};

use super::*;

const RANDOM: [u8; 16] = *b"a8eedb185eb2fecf";

fn pushed(mode: Mode, format: Format, json: &str) -> (PushQuery, Vec<u8>) {
    let request = sender(mode, format).push(json, NOW, NONCE, RANDOM).unwrap();
    assert_eq!(request.content_type, format.content_type());
    (
        PushQuery::parse(&request.query).unwrap(),
        request.body.into_bytes(),
    )
}

fn receive(mode: Mode, format: Format, query: &PushQuery, body: &[u8]) -> Result<Packet, PushRefusal> {
    receiver(mode, format).receive(query, body, NOW)
}

#[test]
fn what_is_sent_arrives_in_every_mode_and_format() {
    for mode in MODES {
        for format in FORMATS {
            let (query, body) = pushed(mode, format, TEXT);
            assert_eq!(
                receive(mode, format, &query, &body).unwrap(),
                packet(TEXT),
                "{mode:?} {format:?}"
            );
            let text = String::from_utf8(body).unwrap();
            assert_eq!(text.contains("this is a test"), mode != Mode::Secure);
            assert_eq!(text.contains("Encrypt"), mode != Mode::Plain);
            assert_eq!(
                query.encrypt_type.as_deref(),
                (mode != Mode::Plain).then_some("aes")
            );
            // A stranger's server may look at either signature.
            assert!(token().verify(
                &NOW.secs().to_string(),
                NONCE,
                query.signature.as_deref().unwrap()
            ));
        }
    }
}

#[test]
fn modes_and_formats_are_not_guessed() {
    for sent in MODES {
        for expected in MODES {
            for format in FORMATS {
                let (query, body) = pushed(sent, format, TEXT);
                let result = receive(expected, format, &query, &body);
                match (sent, expected) {
                    (Mode::Plain, Mode::Plain) => assert!(result.is_ok()),
                    (Mode::Plain, mode) => assert_eq!(
                        result.unwrap_err(),
                        PushRefusal::NotEncrypted {
                            mode,
                            lacks: "msg_signature in the URL"
                        }
                    ),
                    (_, Mode::Plain) => assert_eq!(result.unwrap_err(), PushRefusal::Encrypted),
                    _ => assert!(result.is_ok()),
                }
            }
        }
        let (query, body) = pushed(sent, Format::Json, TEXT);
        let refusal = receive(sent, Format::Xml, &query, &body).unwrap_err();
        assert!(
            matches!(
                refusal,
                PushRefusal::Body(FormatError::Other {
                    found: Format::Json,
                    ..
                })
            ),
            "{refusal}"
        );
        let (query, body) = pushed(sent, Format::Xml, TEXT);
        let refusal = receive(sent, Format::Json, &query, &body).unwrap_err();
        assert!(
            matches!(
                refusal,
                PushRefusal::Body(FormatError::Other {
                    found: Format::Xml,
                    ..
                })
            ),
            "{refusal}"
        );
    }
}

#[test]
fn a_plain_body_does_not_pass_for_an_encrypted_one() {
    for mode in [Mode::Compatible, Mode::Secure] {
        let (encrypted, _) = pushed(mode, Format::Json, TEXT);
        // Every signature is genuine, and the body has no Encrypt.
        let refusal = receive(mode, Format::Json, &encrypted, TEXT.as_bytes()).unwrap_err();
        assert_eq!(
            refusal,
            PushRefusal::NotEncrypted {
                mode,
                lacks: "Encrypt in the body"
            }
        );
        assert_eq!(refusal.code(), codes::BAD_SIGNATURE);
        // Only the other signature, which does not cover the body.
        let (_, body) = pushed(mode, Format::Json, TEXT);
        let query = PushQuery {
            msg_signature: encrypted.signature.clone(),
            ..encrypted.clone()
        };
        assert_eq!(
            receive(mode, Format::Json, &query, &body).unwrap_err(),
            PushRefusal::BadMessageSignature
        );
    }
    // To plain mode, an encrypted body is no packet, even where the URL conceals that it is encrypted.
    let (query, _) = pushed(Mode::Plain, Format::Json, TEXT);
    for mode in [Mode::Compatible, Mode::Secure] {
        let (_, body) = pushed(mode, Format::Json, TEXT);
        assert_eq!(
            receive(Mode::Plain, Format::Json, &query, &body).unwrap_err(),
            PushRefusal::Encrypted
        );
    }
}

#[test]
fn what_stands_beside_encrypt_counts_for_nothing() {
    let (query, body) = pushed(Mode::Compatible, Format::Json, TEXT);
    let forged = String::from_utf8(body)
        .unwrap()
        .replace("this is a test", "pay me");
    let received = receive(Mode::Compatible, Format::Json, &query, forged.as_bytes()).unwrap();
    assert_eq!(received, packet(TEXT));
}

#[test]
fn a_packet_with_an_encrypt_of_its_own_is_not_sent_beside_another() {
    let own = r#"{"ToUserName":"gh_1","Encrypt":"YQ=="}"#;
    for format in FORMATS {
        let push = |mode| sender(mode, format).push(own, NOW, NONCE, RANDOM);
        assert_eq!(
            push(Mode::Compatible),
            Err(WriteError::Twice("Encrypt".to_owned()))
        );
        let request = push(Mode::Secure).unwrap();
        let query = PushQuery::parse(&request.query).unwrap();
        let received = receive(Mode::Secure, format, &query, request.body.as_bytes()).unwrap();
        assert_eq!(received, packet(own));
    }
}

#[test]
fn a_field_that_decides_stands_once() {
    for (format, twice, reason) in [
        (
            Format::Json,
            r#"{"Encrypt":"YQ==","\u0045ncrypt":"Yg=="}"#,
            FormatError::Twice("Encrypt"),
        ),
        (
            Format::Xml,
            "<xml><Encrypt>YQ==</Encrypt><Encrypt>Yg==</Encrypt></xml>",
            FormatError::NotText("Encrypt"),
        ),
        (Format::Json, r#"{"Encrypt":1}"#, FormatError::NotText("Encrypt")),
        (
            Format::Json,
            r#"{"Encrypt":null}"#,
            FormatError::NotText("Encrypt"),
        ),
    ] {
        let (query, _) = pushed(Mode::Secure, format, TEXT);
        let refusal = receive(Mode::Secure, format, &query, twice.as_bytes()).unwrap_err();
        assert_eq!(refusal, PushRefusal::Body(reason));
    }
    for query in [
        "timestamp=1&timestamp=2",
        "nonce=&%6eonce=",
        "signature=a&x=1&signature=a",
        "msg_signature&msg_signature",
    ] {
        assert!(
            matches!(PushQuery::parse(query), Err(QueryError::Twice(_))),
            "{query}"
        );
    }
    // The URL's own parameters are nobody's business.
    assert_eq!(
        PushQuery::parse("a=1&a=2&openid=x&openid=y"),
        Ok(PushQuery::default())
    );
}

#[test]
fn a_verification_is_answered_with_echostr_as_it_is() {
    for mode in MODES {
        let receiver = receiver(mode, Format::Json);
        for echostr in ["4375120948345356249", "a+b/c= &\"中"] {
            let query = sender(mode, Format::Json).verification(echostr, NOW, NONCE);
            let query = PushQuery::parse(&query).unwrap();
            assert_eq!(receiver.verify_url(&query, NOW), Ok(echostr));
            let other = PushQuery {
                nonce: Some("1".to_owned()),
                ..query.clone()
            };
            assert_eq!(receiver.verify_url(&other, NOW), Err(PushRefusal::BadSignature));
        }
        let query = PushQuery::parse(&sender(mode, Format::Json).verification("1", NOW, NONCE)).unwrap();
        for name in ["echostr", "timestamp", "nonce", "signature"] {
            let mut query = query.clone();
            *match name {
                "echostr" => &mut query.echostr,
                "timestamp" => &mut query.timestamp,
                "nonce" => &mut query.nonce,
                _ => &mut query.signature,
            } = None;
            assert_eq!(receiver.verify_url(&query, NOW), Err(PushRefusal::Missing(name)));
        }
    }
}

#[test]
fn a_query_that_cannot_be_good_is_refused_before_the_body() {
    for mode in MODES {
        let (good, body) = pushed(mode, Format::Json, TEXT);
        let receiver = receiver(mode, Format::Json);
        assert_eq!(receiver.judge_query(&good, NOW), Ok(Vouched::BySignature));
        let without = |change: fn(&mut PushQuery)| {
            let mut query = good.clone();
            change(&mut query);
            query
        };
        for query in [
            without(|query| query.timestamp = None),
            without(|query| query.nonce = None),
            without(|query| query.timestamp = Some("1".to_owned())),
            without(|query| query.msg_signature = Some(String::new()).xor(query.msg_signature.take())),
            PushQuery::default(),
        ] {
            let refused = receiver.judge_query(&query, NOW).unwrap_err();
            assert_eq!(
                receiver.receive(&query, &body, NOW).unwrap_err().code(),
                refused.code()
            );
        }
        // What decides in the encrypted modes is not `signature`.
        for signature in [None, Some("0".repeat(40))] {
            let mut query = good.clone();
            query.signature = signature;
            let judged = receiver.judge_query(&query, NOW);
            match mode {
                Mode::Plain => assert!(judged.is_err()),
                _ => assert_eq!(judged, Ok(Vouched::ByNothing)),
            }
        }
    }
}

#[test]
fn a_push_that_is_sent_again_later_is_refused() {
    for mode in MODES {
        let (query, body) = pushed(mode, Format::Json, TEXT);
        let receiver = receiver(mode, Format::Json);
        let at = |now| receiver.receive(&query, &body, now);
        assert!(at(NOW + MAX_AGE).is_ok() && at(NOW - FUTURE).is_ok());
        let milli = Duration::from_millis(1);
        assert!(matches!(
            at(NOW + MAX_AGE + milli).unwrap_err(),
            PushRefusal::TooOld { .. }
        ));
        assert!(matches!(
            at(NOW - FUTURE - milli).unwrap_err(),
            PushRefusal::FromTheFuture { .. }
        ));
        assert_eq!(at(NOW + MAX_AGE * 2).unwrap_err().code(), codes::BAD_SIGNATURE);
    }
    for timestamp in [
        "",
        "+1714112445",
        "1714112445.0",
        "99999999999999999999",
        "-1",
        "now",
    ] {
        let query = PushQuery {
            timestamp: Some(timestamp.to_owned()),
            nonce: Some(NONCE.to_owned()),
            signature: Some(token().sign(timestamp, NONCE)),
            echostr: Some("1".to_owned()),
            ..PushQuery::default()
        };
        let refusal = receiver(Mode::Plain, Format::Json).verify_url(&query, NOW);
        assert_eq!(refusal, Err(PushRefusal::Timestamp), "{timestamp}");
    }
}

#[test]
fn old_and_new_key_open_and_the_newest_seals() {
    let with = |keys: &[&str]| {
        let keys = keys.iter().map(|text| key(text)).collect();
        ConsoleSettings::new(APPID, token(), Mode::Secure, Format::Json, keys)
    };
    let by = |settings: ConsoleSettings| {
        let request = Sender::new(settings)
            .unwrap()
            .push(TEXT, NOW, NONCE, RANDOM)
            .unwrap();
        (PushQuery::parse(&request.query).unwrap(), request.body)
    };
    let both = Receiver::new(with(&[NEW_KEY, OLD_KEY])).unwrap();
    for settings in [with(&[NEW_KEY]), with(&[OLD_KEY]), with(&[NEW_KEY, OLD_KEY])] {
        let (query, body) = by(settings);
        assert!(both.receive(&query, body.as_bytes(), NOW).is_ok());
    }
    let (query, body) = by(with(&[NEW_KEY, OLD_KEY]));
    assert!(
        Receiver::new(with(&[NEW_KEY]))
            .unwrap()
            .receive(&query, body.as_bytes(), NOW)
            .is_ok()
    );
    let refusal = Receiver::new(with(&[OLD_KEY]))
        .unwrap()
        .receive(&query, body.as_bytes(), NOW);
    assert_eq!(
        refusal.unwrap_err(),
        PushRefusal::Envelope(PushEnvelopeError::BadPadding)
    );

    let answer = both
        .answer(&PushReply::Object("{}".to_owned()), &query, NOW, RANDOM)
        .unwrap();
    let read = |keys: &[&str]| {
        Sender::new(with(keys))
            .unwrap()
            .read_reply(answer.text.as_bytes())
    };
    assert_eq!(read(&[NEW_KEY]), Ok(PushReply::Object("{}".to_owned())));
    assert!(read(&[OLD_KEY]).is_err());
}

#[test]
fn another_apps_push_is_refused_whichever_key_opens_it() {
    let mut other = settings(Mode::Secure, Format::Json);
    other.appid = "wx134c8103faa5a59e".to_owned();
    let request = Sender::new(other)
        .unwrap()
        .push(TEXT, NOW, NONCE, RANDOM)
        .unwrap();
    let mut ours = settings(Mode::Secure, Format::Json);
    ours.keys.push(key(OLD_KEY));
    ours.keys.reverse();
    let query = PushQuery::parse(&request.query).unwrap();
    let refusal = Receiver::new(ours)
        .unwrap()
        .receive(&query, request.body.as_bytes(), NOW)
        .unwrap_err();
    assert_eq!(
        refusal,
        PushRefusal::Envelope(PushEnvelopeError::OtherAppid {
            found: "wx134c8103faa5a59e".to_owned(),
            expected: APPID.to_owned(),
        })
    );
    assert_eq!(refusal.code(), codes::OTHER_APPID);
}

#[test]
fn what_is_signed_and_no_packet_is_refused() {
    for (message, format) in [
        (&b"[]"[..], Format::Json),
        (b"", Format::Json),
        (b"\"\xff\"", Format::Json),
        (b"{\"MsgType\":1}", Format::Json),
        (b"{\"MsgType\":\"text\",\"MsgType\":\"event\"}", Format::Json),
        (b"{\"FromUserName\":\"\\ud800\"}", Format::Json),
        (
            b"<xml><MsgType>a</MsgType><MsgType>b</MsgType></xml>",
            Format::Xml,
        ),
        (b"<xml><MsgType>a</MsgType>", Format::Xml),
        (b"<xml><FromUserName><a/></FromUserName></xml>", Format::Xml),
    ] {
        let encrypt = envelope::seal(&key(NEW_KEY), RANDOM, message, APPID);
        let timestamp = NOW.secs().to_string();
        let query = PushQuery {
            msg_signature: Some(token().sign_message(&timestamp, NONCE, &encrypt)),
            timestamp: Some(timestamp),
            nonce: Some(NONCE.to_owned()),
            ..PushQuery::default()
        };
        let body = match format {
            Format::Json => format!(r#"{{"Encrypt":"{encrypt}"}}"#),
            Format::Xml => format!("<xml><Encrypt>{encrypt}</Encrypt></xml>"),
        };
        let refusal = receive(Mode::Secure, format, &query, body.as_bytes()).unwrap_err();
        assert!(matches!(refusal, PushRefusal::Message(_)), "{refusal}");
        assert_eq!(refusal.code(), codes::UNREADABLE);
    }
}

#[test]
fn large_bodies_are_refused_unread() {
    let (query, _) = pushed(Mode::Secure, Format::Json, TEXT);
    for length in [MAX_BODY + 1, 10 << 20] {
        let refusal = receive(Mode::Secure, Format::Json, &query, &vec![b' '; length]).unwrap_err();
        assert_eq!(refusal, PushRefusal::Body(FormatError::TooLarge(length)));
    }
    let long = format!(r#"{{"MsgType":"text","Content":"{}"}}"#, "a".repeat(700_000));
    let (query, body) = pushed(Mode::Secure, Format::Json, &long);
    assert_eq!(
        receive(Mode::Secure, Format::Json, &query, &body).unwrap(),
        packet(&long)
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_body() {
    for format in FORMATS {
        let (query, body) = pushed(Mode::Plain, format, TEXT);
        let body = [b"\xef\xbb\xbf", body.as_slice()].concat();
        assert_eq!(receive(Mode::Plain, format, &query, &body).unwrap(), packet(TEXT));
    }
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", settings(Mode::Secure, Format::Json));
    assert!(!shown.contains("AAAAA") && !shown.contains("abcdef"), "{shown}");
    assert_eq!(
        key(NEW_KEY),
        key(&NEW_KEY.replace('G', "E")),
        "the last bits are not part of the key"
    );
    assert_ne!(key(NEW_KEY), key(OLD_KEY));
    assert_ne!(token(), PushToken::parse("AAAAB").unwrap());
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_mend() {
    for (text, error) in [
        ("ab", "3 to 32"),
        ("token with blanks", "another character"),
        ("ÄÄÄ", "another character"),
        (&"a".repeat(33), "33 characters"),
    ] {
        let refused = PushToken::parse(text).unwrap_err().to_string();
        assert!(
            refused.contains(error) && refused.contains("消息推送配置") && !refused.contains(text),
            "{refused}"
        );
    }
    for (text, error) in [
        (NEW_KEY[..42].to_owned(), KeyError::Length(42)),
        (format!("{NEW_KEY}="), KeyError::Padded),
        (format!("{NEW_KEY}H"), KeyError::Length(44)),
        (NEW_KEY.replace('a', "+"), KeyError::Character),
        (NEW_KEY.replace('a', "ä"), KeyError::Character),
        (String::new(), KeyError::Length(0)),
    ] {
        assert_eq!(EncodingAesKey::parse(&text), Err(error), "{text}");
    }
    let without = |mode, appid: &str| ConsoleSettings::new(appid, token(), mode, Format::Json, Vec::new());
    assert!(Receiver::new(without(Mode::Plain, APPID)).is_ok());
    for mode in [Mode::Compatible, Mode::Secure] {
        assert_eq!(
            Receiver::new(without(mode, APPID)).unwrap_err(),
            SettingError::NoKey(mode)
        );
        assert_eq!(
            Sender::new(without(mode, APPID)).unwrap_err(),
            SettingError::NoKey(mode)
        );
    }
    assert_eq!(
        Receiver::new(without(Mode::Plain, "")).unwrap_err(),
        SettingError::NoAppid
    );
    for mode in MODES {
        assert_eq!(mode.as_str().parse(), Ok(mode));
    }
    for format in FORMATS {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    assert!(
        "safe"
            .parse::<Mode>()
            .unwrap_err()
            .to_string()
            .contains("\"secure\"")
    );
    assert!(
        "JSON"
            .parse::<Format>()
            .unwrap_err()
            .to_string()
            .contains("\"json\"")
    );
}

#[test]
fn envelopes_of_wrong_lengths_do_not_open() {
    let seal = |plain: &[u8]| {
        use aes::Aes256Enc;
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding};
        let key = key(NEW_KEY);
        let cipher = cbc::Encryptor::<Aes256Enc>::new(key.bytes().into(), key.iv().into());
        BASE64_STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(plain))
    };
    let open = |plain: &[u8]| envelope::open(&[key(NEW_KEY)], &seal(plain), APPID).unwrap_err();
    let padded = |content: &[u8], padding: u8| [content, &vec![padding; usize::from(padding)]].concat();
    // Padding: none, too much, more than there is, not the same throughout.
    assert_eq!(open(&[0; 32]), PushEnvelopeError::BadPadding);
    assert_eq!(open(&padded(&[7; 31], 33)), PushEnvelopeError::BadPadding);
    assert_eq!(open(&[17; 16]), PushEnvelopeError::BadPadding);
    let mut uneven = padded(&[7; 12], 20);
    uneven[12] = 19;
    assert_eq!(open(&uneven), PushEnvelopeError::BadPadding);
    // Content: none, less than a head, and lengths that lead out of it.
    assert_eq!(
        open(&padded(&[], 32)),
        PushEnvelopeError::Length { length: 0, held: 0 }
    );
    assert_eq!(
        open(&padded(&[7; 19], 13)),
        PushEnvelopeError::Length { length: 0, held: 19 }
    );
    for (length, held) in [(u32::MAX, 24), (25, 24), (0x8000_0000, 24)] {
        let content = [&[7; 16][..], &length.to_be_bytes(), &[b'a'; 24]].concat();
        let length = length as usize;
        assert_eq!(
            open(&padded(&content, 20)),
            PushEnvelopeError::Length { length, held }
        );
    }
    assert_eq!(
        envelope::open(&[], &seal(&[7; 32]), APPID),
        Err(PushEnvelopeError::NoKey)
    );
    assert_eq!(
        envelope::open(&[key(NEW_KEY)], "", APPID),
        Err(PushEnvelopeError::CiphertextLength(0))
    );
}

fn any_packet() -> impl Strategy<Value = String> {
    (any::<String>(), "[a-zA-Z0-9_-]{0,28}", any::<u64>()).prop_map(|(content, from, id)| {
        serde_json::json!({"FromUserName": from, "MsgType": "text", "Content": content, "MsgId": id})
            .to_string()
    })
}

proptest! {
    #[test]
    fn any_message_goes_through_the_envelope(
        message: Vec<u8>, random: [u8; 16], appid in "[a-z0-9]{0,40}",
    ) {
        let sealed = envelope::seal(&key(NEW_KEY), random, &message, &appid);
        let opened = envelope::open(&[key(OLD_KEY), key(NEW_KEY)], &sealed, &appid);
        prop_assert_eq!(opened, Ok(message));
        let other = format!("{appid}x");
        prop_assert!(envelope::open(&[key(NEW_KEY)], &sealed, &other).is_err());
    }

    #[test]
    fn any_packet_arrives_as_json(json in any_packet(), random: [u8; 16], nonce in "[0-9]{1,10}") {
        for mode in MODES {
            let request = sender(mode, Format::Json).push(&json, NOW, &nonce, random).unwrap();
            let query = PushQuery::parse(&request.query).unwrap();
            let received = receive(mode, Format::Json, &query, request.body.as_bytes()).unwrap();
            let json = packet(&json);
            prop_assert_eq!(received.as_json(), json.as_json());
        }
    }

    #[test]
    fn an_altered_byte_is_refused_or_changes_nothing(
        at: Index, mask in 1u8..=255, in_query: bool, xml: bool, compatible: bool,
    ) {
        let format = if xml { Format::Xml } else { Format::Json };
        let mode = if compatible { Mode::Compatible } else { Mode::Secure };
        let request = sender(mode, format).push(TEXT, NOW, NONCE, RANDOM).unwrap();
        let (mut query, mut body) = (request.query.into_bytes(), request.body.into_bytes());
        let altered = if in_query { &mut query } else { &mut body };
        let at = at.index(altered.len());
        altered[at] ^= mask;
        let query = String::from_utf8_lossy(&query).into_owned();
        let received = PushQuery::parse(&query).map_err(PushRefusal::Query).and_then(|query| receive(mode, format, &query, &body));
        if let Ok(received) = received {
            prop_assert_eq!(received, packet(TEXT));
        }
    }

    #[test]
    fn an_altered_encrypt_is_refused(at: Index, mask in 1u8..=127, xml: bool) {
        let format = if xml { Format::Xml } else { Format::Json };
        let (query, body) = pushed(Mode::Secure, format, TEXT);
        let text = String::from_utf8(body).unwrap();
        let encrypt = encrypt_of(format, text.as_bytes()).unwrap();
        let mut altered = encrypt.clone().into_bytes();
        let at = at.index(altered.len());
        let was = altered[at];
        altered[at] ^= mask;
        // That is what a path may make of it, and is forgiven.
        prop_assume!((was, altered[at]) != (b'+', b' '));
        let altered = text.replace(&encrypt, std::str::from_utf8(&altered).unwrap());
        prop_assert!(receive(Mode::Secure, format, &query, altered.as_bytes()).is_err());
    }
}

/// What is changed in a body, and its signature left as it was.
fn damaged(
    mode: Mode,
    format: Format,
    packet: &str,
    damage: impl Fn(&str) -> String,
) -> Result<Packet, PushRefusal> {
    let (query, body) = pushed(mode, format, packet);
    let body = damage(std::str::from_utf8(&body).unwrap());
    receive(mode, format, &query, body.as_bytes())
}

#[test]
fn control_characters_that_users_type_are_taken_in_every_mode_and_format() {
    for typed in ["\u{2}", "\u{8}", "\u{10}", "\u{1d}", "\0", "\u{fffe}", "\n", "\t"] {
        for mode in MODES {
            for format in FORMATS {
                // The open half of compatible mode, and plain mode, have them as they are; a JSON text is not valid with them.
                let marked = TEXT.replace("this is a test", "this is a MARK");
                let raw = |body: &str| body.replace("MARK", typed);
                let taken = damaged(mode, format, &marked, raw).unwrap();
                if mode == Mode::Plain {
                    let object: serde_json::Value = serde_json::from_str(taken.as_json()).unwrap();
                    assert_eq!(
                        object["Content"],
                        format!("this is a {typed}"),
                        "{format:?} {typed:?}"
                    );
                }
                let mut escaped = Vec::new();
                json::write_string(&mut escaped, typed);
                let escaped = String::from_utf8(escaped).unwrap();
                let whole = marked.replace("MARK", escaped.trim_matches('"'));
                let (query, body) = pushed(mode, format, &whole);
                let taken = receive(mode, format, &query, &body).unwrap();
                let object: serde_json::Value = serde_json::from_str(taken.as_json()).unwrap();
                assert_eq!(
                    object["Content"],
                    format!("this is a {typed}"),
                    "{mode:?} {format:?} {typed:?}"
                );
            }
        }
    }
}

#[test]
fn a_raw_control_character_within_the_envelope_is_taken() {
    let message = TEXT.replace("this is a test", "\u{2}\u{1d}");
    let encrypt = envelope::seal(&key(NEW_KEY), RANDOM, message.as_bytes(), APPID);
    let timestamp = NOW.secs().to_string();
    let signature = token().sign_message(&timestamp, NONCE, &encrypt);
    let query = format!("timestamp={timestamp}&nonce={NONCE}&encrypt_type=aes&msg_signature={signature}");
    let body = format!("{{\"Encrypt\":\"{encrypt}\"}}");
    let query = PushQuery::parse(&query).unwrap();
    let taken = receive(Mode::Secure, Format::Json, &query, body.as_bytes()).unwrap();
    assert!(
        taken.as_json().contains(r#""\u0002\u001d""#),
        "{}",
        taken.as_json()
    );
}

#[test]
fn an_encrypt_that_got_blanks_on_its_way_is_what_it_was() {
    for mode in [Mode::Compatible, Mode::Secure] {
        let around = |body: &str| {
            body.replace("<![CDATA[", "\n    <![CDATA[")
                .replace("]]>", "]]>\n  ")
        };
        assert_eq!(damaged(mode, Format::Xml, TEXT, around).unwrap(), packet(TEXT));
        for format in FORMATS {
            let spaces = |body: &str| {
                let spaced = body.replace('+', " ");
                assert_ne!(spaced, body, "the message has no + in its base64");
                spaced
            };
            assert_eq!(damaged(mode, format, TEXT, spaces).unwrap(), packet(TEXT));
        }
        let inside = |body: &str| body.replace("<Encrypt><![CDATA[", "<Encrypt><![CDATA[ \n");
        assert_eq!(damaged(mode, Format::Xml, TEXT, inside).unwrap(), packet(TEXT));
        // Anything else is another text.
        let shorter = |body: &str| body.replace('+', "");
        assert_eq!(
            damaged(mode, Format::Json, TEXT, shorter).unwrap_err(),
            PushRefusal::BadMessageSignature
        );
    }
}
