//! The published vectors, and what a hostile or unlucky client may hand over.

#![allow(clippy::unwrap_used)]

use std::{sync::LazyLock, time::Duration};

use clock::Timestamp;
use proptest::{collection::vec, prelude::*};
use seal::{KeyRing, RootKey, SealKind, Sealer};
use serde_json::Value;

use crate::*;

const APPID: &str = "wx4f4bc4dec97d474b";
/// When the official sample's data was made.
const MADE: Timestamp = Timestamp::from_secs(1_477_314_187);

static VECTORS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let file: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
});

fn of_kind(kind: &str) -> Vec<&'static Value> {
    let found: Vec<_> = VECTORS.iter().filter(|vector| vector["kind"] == kind).collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap()
}

fn key_of(vector: &Value, field: &str) -> SessionKey {
    SessionKey::parse(text(vector, field)).unwrap()
}

fn official() -> &'static Value {
    of_kind("user_data_decrypt")[0]
}

fn key() -> SessionKey {
    SessionKey::from_bytes(*b"0123456789abcdef")
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Data of ours through encryption and decryption.
fn opened(json: &str) -> DecryptedText {
    let sent = encrypt(&key(), [7; 16], json.as_bytes());
    decrypt(&key(), &sent.encrypted_data, &sent.iv).unwrap()
}

fn believed(json: &str) -> Result<Plaintext, DecryptError> {
    opened(json).into_plaintext(&Policy::new(APPID), MADE)
}

/// The policy must be the only reason.
fn at(now: Timestamp) -> Result<Plaintext, DecryptError> {
    let json = format!(
        r#"{{"watermark":{{"timestamp":{},"appid":"{APPID}"}}}}"#,
        MADE.secs()
    );
    opened(&json).into_plaintext(&Policy::new(APPID), now)
}

mod vectors {
    use super::*;

    #[test]
    fn user_data_decrypts_to_the_published_bytes() {
        for vector in of_kind("user_data_decrypt") {
            let key = key_of(vector, "session_key");
            let data = decrypt(&key, text(vector, "encryptedData"), text(vector, "iv")).unwrap();
            assert_eq!(data.as_str(), text(vector, "plaintext"));
            let data = data
                .into_plaintext(&Policy::new(text(vector, "appid")), MADE)
                .unwrap();
            assert_eq!(data.as_json(), text(vector, "plaintext"));
            assert_eq!(
                data.watermark(),
                &Watermark {
                    appid: text(vector, "appid").to_owned(),
                    timestamp: MADE
                }
            );
        }
    }

    #[test]
    fn encryption_gives_the_published_ciphertext() {
        for vector in of_kind("user_data_decrypt") {
            let iv = base64::decode(text(vector, "iv")).unwrap().try_into().unwrap();
            let sent = encrypt(
                &key_of(vector, "session_key"),
                iv,
                text(vector, "plaintext").as_bytes(),
            );
            assert_eq!(sent.encrypted_data, text(vector, "encryptedData"));
            assert_eq!(sent.iv, text(vector, "iv"));
        }
    }

    #[test]
    fn what_must_fail_fails() {
        for vector in of_kind("user_data_decrypt_must_fail") {
            let key = key_of(vector, "session_key");
            let refused = decrypt(&key, text(vector, "encryptedData"), text(vector, "iv")).unwrap_err();
            assert_eq!(refused, DecryptError::BadPadding, "{}", text(vector, "expect"));
        }
        // From the official sample's users: three bytes before the ciphertext.
        let (vector, key) = (official(), key_of(official(), "session_key"));
        let prefixed = format!("aaaa{}", text(vector, "encryptedData"));
        assert_eq!(
            decrypt(&key, &prefixed, text(vector, "iv")).unwrap_err(),
            DecryptError::CiphertextLength(403)
        );
    }

    #[test]
    fn line_breaks_and_indentation_are_part_of_nothing() {
        let (vector, key) = (official(), key_of(official(), "session_key"));
        for (every, separator) in [
            (76, "\n"),
            (64, "\r\n"),
            (64, "\r"),
            (1, "\n"),
            (30, "\n            "),
        ] {
            let broken = text(vector, "encryptedData")
                .as_bytes()
                .chunks(every)
                .map(|line| str::from_utf8(line).unwrap());
            let broken = format!("\n{}\n", broken.collect::<Vec<_>>().join(separator));
            let iv = format!("{}\n", text(vector, "iv"));
            assert_eq!(
                decrypt(&key, &broken, &iv).unwrap().as_str(),
                text(vector, "plaintext"),
                "{separator:?}"
            );
        }
    }

    #[test]
    fn no_other_blanks_are_tolerated() {
        let (vector, key) = (official(), key_of(official(), "session_key"));
        let (start, end) = text(vector, "encryptedData").split_at(64);
        for between in [
            " ",
            "\t",
            "\u{b}",
            "\n\u{b}",
            "\n\u{a0}",
            "\n\u{feff}",
            "\0",
            "\n=\n",
        ] {
            let error = decrypt(&key, &format!("{start}{between}{end}"), text(vector, "iv")).unwrap_err();
            assert!(
                matches!(
                    error,
                    DecryptError::NotBase64 {
                        field: EncryptedField::EncryptedData,
                        ..
                    }
                ),
                "{between:?}"
            );
        }
    }

    #[test]
    fn raw_data_signatures() {
        for vector in of_kind("rawdata_signature") {
            let (key, raw, signature) = (
                key_of(vector, "session_key"),
                text(vector, "rawData"),
                text(vector, "signature"),
            );
            assert_eq!(key.sign(raw), signature);
            assert!(key.verify(raw, signature));
            assert!(!key.verify(&raw.replace("Band", "band"), signature));
            assert!(!key.verify(raw, &signature[1..]));
            assert!(!key.verify(raw, ""));
            assert!(!super::key().verify(raw, signature));
        }
    }

    #[test]
    fn session_signatures() {
        for vector in of_kind("hmac_sha256") {
            let (key, body, signature) = (
                key_of(vector, "key"),
                text(vector, "message"),
                text(vector, "digest_hex"),
            );
            assert_eq!(
                key.session_signature(body.as_bytes()),
                signature,
                "{}",
                text(vector, "id")
            );
            assert!(key.verify_session_signature(body.as_bytes(), signature));
            assert!(!key.verify_session_signature(format!("{body} ").as_bytes(), signature));
            assert!(!key.verify_session_signature(body.as_bytes(), &signature.replace('0', "1")));
        }
    }
}

mod keys {
    use super::*;

    #[test]
    fn a_session_key_is_sixteen_bytes_in_base64() {
        let key = SessionKey::parse("tiihtNczf5v6AKRyjwEUhQ==").unwrap();
        assert_eq!(key.expose(), "tiihtNczf5v6AKRyjwEUhQ==");
        assert_eq!(SessionKey::from_bytes(*key.bytes()), key);
        assert_eq!(SessionKey::from_bytes(*key.bytes()).expose(), key.expose());
        assert_ne!(SessionKey::from_bytes([0; 16]), key);
        assert_eq!(format!("{key:?}"), "SessionKey(..)");
    }

    #[test]
    fn what_is_no_session_key_is_told_apart_and_never_quoted() {
        for (refused, why) in [
            ("", SessionKeyError::Length(0)),
            ("AAAA", SessionKeyError::Length(3)),
            (&"AAAA".repeat(11), SessionKeyError::Length(33)),
            (
                "tiihtNczf5v6AKRyjwEUhQ",
                SessionKeyError::NotBase64(Damage::Other),
            ),
            (
                "tiihtNczf5v6AKRyjwEUhR==",
                SessionKeyError::NotBase64(Damage::Other),
            ),
            (
                "tiiht czf5v6AKRyjwEUhQ==",
                SessionKeyError::NotBase64(Damage::PlusBecameSpace),
            ),
            (
                "tiihtNczf5v6AKRyjwEUhQ%3D%3D",
                SessionKeyError::NotBase64(Damage::PercentEncoded),
            ),
            (
                "tiihtNczf5v6AKRyjwEUhQ==\n",
                SessionKeyError::NotBase64(Damage::BlanksAround),
            ),
            (
                "\u{feff}tiihtNczf5v6AKRyjwEUhQ==",
                SessionKeyError::NotBase64(Damage::ByteOrderMark),
            ),
            (
                "\"tiihtNczf5v6AKRyjwEUhQ==\"",
                SessionKeyError::NotBase64(Damage::Quoted),
            ),
            (
                "tiihtNczf5v6AKRyjwEUhQ==\\n",
                SessionKeyError::NotBase64(Damage::Escaped),
            ),
            (
                "tiihtN_zf5v6AKRyjwEUhQ==",
                SessionKeyError::NotBase64(Damage::UrlAlphabet),
            ),
        ] {
            let error = SessionKey::parse(refused).unwrap_err();
            assert_eq!(error, why, "{refused}");
            assert!(!error.to_string().contains("tiiht"));
            assert_eq!(DecryptError::from(error).code(), -41001);
        }
    }
}

mod refusals {
    use super::*;

    fn refused(encrypted_data: &str, iv: &str) -> DecryptError {
        decrypt(&key(), encrypted_data, iv).unwrap_err()
    }

    #[test]
    fn causes_are_told_apart_inside_and_not_outside() {
        let (data, iv) = (base64::encode(&[0; 32]), base64::encode(&[0; 16]));
        let not_base64 = |field, damage| DecryptError::NotBase64 { field, damage };
        for (error, expected, code, says) in [
            (
                refused(&data, "AAA "),
                not_base64(EncryptedField::Iv, Damage::PlusBecameSpace),
                -41002,
                "iv is not base64: it holds a space",
            ),
            (
                refused(&data, "é"),
                not_base64(EncryptedField::Iv, Damage::Other),
                -41002,
                "standard alphabet",
            ),
            (
                refused(&data, ""),
                DecryptError::IvLength(0),
                -41002,
                "this one is 0",
            ),
            (
                refused(&data, &base64::encode(&[0; 17])),
                DecryptError::IvLength(17),
                -41002,
                "this one is 17",
            ),
            (
                refused(&data.replacen('A', " ", 1), &iv),
                not_base64(EncryptedField::EncryptedData, Damage::PlusBecameSpace),
                -41003,
                "encryptedData is not base64: it holds a space, so a `+` seems to have become one",
            ),
            (
                refused(&data.replacen('A', "%2B", 1), &iv),
                not_base64(EncryptedField::EncryptedData, Damage::PercentEncoded),
                -41003,
                "percent-encoded",
            ),
            (
                refused(&data.replacen('A', "-", 1), &iv),
                not_base64(EncryptedField::EncryptedData, Damage::UrlAlphabet),
                -41003,
                "base64 for URLs",
            ),
            (
                refused("", &iv),
                DecryptError::CiphertextLength(0),
                -41003,
                "0 bytes",
            ),
            (
                refused(&base64::encode(&[0; 31]), &iv),
                DecryptError::CiphertextLength(31),
                -41003,
                "31 bytes",
            ),
            (
                refused(&data, &iv),
                DecryptError::BadPadding,
                -41003,
                "rotated by a later login",
            ),
        ] {
            assert_eq!(error, expected);
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn data_that_was_cut_is_told_as_that() {
        let vector = official();
        let (key, iv) = (key_of(vector, "session_key"), text(vector, "iv"));
        let data = text(vector, "encryptedData");
        // Columns of these lengths, and a URL that ended anywhere.
        for kept in [24, 64, 128, 191, 255, 256, 300, data.len() - 1, data.len() - 24] {
            let error = decrypt(&key, &data[..kept], iv).unwrap_err();
            assert_eq!(
                error,
                DecryptError::Cut(kept / 4 * 3 / 16 * 16),
                "{kept}: {error}"
            );
            assert_eq!(error.code(), -41003);
            assert!(error.to_string().contains("column") && error.to_string().contains("URL"));
        }
        // Whether the rest would have opened cannot be told of less than a block, or with another key.
        assert!(!matches!(
            decrypt(&key, &data[..20], iv).unwrap_err(),
            DecryptError::Cut(_)
        ));
        let other = SessionKey::from_bytes([9; 16]);
        for kept in [64, 255, 256] {
            assert!(!matches!(
                decrypt(&other, &data[..kept], iv).unwrap_err(),
                DecryptError::Cut(_)
            ));
        }
    }

    #[test]
    fn what_was_swapped_is_told_as_that() {
        let vector = official();
        let (key, iv) = (text(vector, "session_key"), text(vector, "iv"));
        let data = text(vector, "encryptedData");
        let swapped = SessionKey::parse(iv).unwrap();
        assert_eq!(
            decrypt(&swapped, data, key).unwrap_err(),
            DecryptError::KeyAndIvSwapped
        );
        let right = SessionKey::parse(key).unwrap();
        assert_eq!(
            decrypt(&right, iv, data).unwrap_err(),
            DecryptError::FieldsSwapped
        );
    }

    #[test]
    fn what_a_text_went_through_is_told() {
        let vector = official();
        let (key, iv) = (key_of(vector, "session_key"), text(vector, "iv"));
        let data = text(vector, "encryptedData");
        for (damaged, damage, mend) in [
            (
                format!("\u{feff}{data}"),
                Damage::ByteOrderMark,
                "save it without",
            ),
            (format!("\"{data}\""), Damage::Quoted, "parse it once"),
            (format!("{data}\\n"), Damage::Escaped, "parse it once"),
            (data.replace('/', "\\/"), Damage::Escaped, "parse it once"),
            (
                data.replace('/', "_").replace('+', "-"),
                Damage::UrlAlphabet,
                "with `+` and `/`",
            ),
            (format!(" {data}"), Damage::BlanksAround, "trim it"),
            (data.replace('+', " "), Damage::PlusBecameSpace, "JSON body"),
        ] {
            let error = decrypt(&key, &damaged, iv).unwrap_err();
            let field = EncryptedField::EncryptedData;
            assert_eq!(error, DecryptError::NotBase64 { field, damage });
            assert!(error.to_string().contains(mend), "{error}");
        }
    }

    #[test]
    fn there_is_one_public_text_for_each_code() {
        let believed = |json| super::believed(json).unwrap_err();
        let other = r#"{"watermark":{"appid":"wx0","timestamp":1}}"#;
        let inside = [
            DecryptError::BadPadding,
            DecryptError::NotUtf8,
            DecryptError::WrongIv,
            DecryptError::BadSignature,
            DecryptError::CiphertextLength(1),
            believed("1151_x"),
            believed("{}"),
            believed(other),
            at(MADE + secs(301)).unwrap_err(),
            at(MADE - secs(61)).unwrap_err(),
        ];
        for error in inside {
            assert_eq!(
                (error.code(), error.public_text()),
                (-41003, "invalid encryptedData"),
                "{error}"
            );
        }
        let iv = DecryptError::IvLength(1);
        assert_eq!((iv.code(), iv.public_text()), (-41002, "invalid iv"));
        let key = DecryptError::SessionKey(SessionKeyError::Length(1));
        assert_eq!((key.code(), key.public_text()), (-41001, "invalid session_key"));
    }

    #[test]
    fn a_line_break_does_not_hide_a_lost_plus() {
        let (vector, key) = (official(), key_of(official(), "session_key"));
        let damaged = text(vector, "encryptedData")
            .replacen('+', " ", 1)
            .replacen("JlAC", "\nJlAC", 1);
        let error = decrypt(&key, &damaged, text(vector, "iv")).unwrap_err();
        assert_eq!(
            error,
            DecryptError::NotBase64 {
                field: EncryptedField::EncryptedData,
                damage: Damage::PlusBecameSpace
            }
        );
    }

    #[test]
    fn an_iv_of_another_response_is_recognised() {
        let (vector, key) = (official(), key_of(official(), "session_key"));
        let error = decrypt(&key, text(vector, "encryptedData"), "TarMFjnzHVxy8pdS93wQbw==").unwrap_err();
        assert_eq!(error, DecryptError::WrongIv);
        // So little text behind the first block could be chance under a wrong key.
        let sent = encrypt(&key, [0; 16], b"1151_x1151_x1151_x");
        let error = decrypt(&key, &sent.encrypted_data, &base64::encode(&[0xff; 16])).unwrap_err();
        assert_eq!(error, DecryptError::NotUtf8);
        // A character that reaches out of the first block does not hide it.
        let sent = encrypt(&key, [0; 16], "123456789012345中文和更多的文字".as_bytes());
        let error = decrypt(&key, &sent.encrypted_data, &base64::encode(&[0xff; 16])).unwrap_err();
        assert_eq!(error, DecryptError::WrongIv);
    }

    /// One key in 256 leaves padding that passes by chance.
    #[test]
    fn another_key_never_opens_and_never_blames_the_iv() {
        let vector = official();
        let mut by_chance = 0;
        for n in 0..2000u128 {
            let wrong = SessionKey::from_bytes(n.to_be_bytes());
            match decrypt(&wrong, text(vector, "encryptedData"), text(vector, "iv")).unwrap_err() {
                DecryptError::BadPadding => {}
                DecryptError::NotUtf8 => by_chance += 1,
                error => panic!("{n}: {error}"),
            }
        }
        assert!((1..40).contains(&by_chance), "{by_chance}");
        assert!(
            DecryptError::NotUtf8
                .to_string()
                .contains("rotated by a later login")
        );
    }
}

mod plaintexts {
    use super::*;

    #[test]
    fn bytes_are_kept_as_they_were() {
        let json = format!(
            r#"{{ "watermark" : {{"appid":"{APPID}","timestamp":{}, "new":[]}} , "step":12345678901234567890.10, "url":"http:\/\/x", "é":"\u00e9" }} "#,
            MADE.secs()
        );
        let data = believed(&json).unwrap();
        assert_eq!(data.as_json(), json);
        assert_eq!(data.watermark().timestamp, MADE);
    }

    #[test]
    fn a_bare_string_stays_available_and_is_no_plaintext() {
        let decrypted = opened("1151_a-b");
        assert_eq!(decrypted.as_str(), "1151_a-b");
        let error = decrypted.into_plaintext(&Policy::new(APPID), MADE).unwrap_err();
        assert!(matches!(error, DecryptError::NotJson(_)), "{error}");
        assert_eq!(opened("").as_str(), "");
    }

    #[test]
    fn the_whole_text_is_checked_not_only_the_watermark() {
        let watermark = format!(r#""watermark":{{"appid":"{APPID}","timestamp":{}}}"#, MADE.secs());
        for broken in [
            format!("{{{watermark},\"a\":nul}}"),
            format!("{{{watermark}}}x"),
            format!("{{\"a\":[{{}},{watermark}}}"),
            format!("[{{{watermark}}}]"),
            "\"watermark\"".to_owned(),
            "null".to_owned(),
        ] {
            let error = believed(&broken).unwrap_err();
            assert!(matches!(error, DecryptError::NotJson(_)), "{broken}: {error}");
        }
        assert!(believed(&format!("{{{watermark},\"a\":[{{}}]}}")).is_ok());
    }

    #[test]
    fn what_a_user_typed_is_no_fault_of_the_text() {
        let watermark = format!(r#""watermark":{{"appid":"{APPID}","timestamp":{}}}"#, MADE.secs());
        for typed in ["\u{2}", "\u{8}", "\u{10}", "\u{1d}", "\0", "\u{fffe}", "\n"] {
            let plain = believed(&format!("{{\"nickName\":\"a{typed}b\",{watermark}}}")).unwrap();
            let object: Value = serde_json::from_str(plain.as_json()).unwrap();
            assert_eq!(object["nickName"], format!("a{typed}b"));
        }
    }

    #[test]
    fn the_watermark_must_be_there_once_at_the_top_and_of_its_shape() {
        let good = format!(r#"{{"appid":"{APPID}","timestamp":{}}}"#, MADE.secs());
        for (json, expected) in [
            ("{}".to_owned(), DecryptError::NoWatermark),
            (
                format!(r#"{{"data":{{"watermark":{good}}}}}"#),
                DecryptError::NoWatermark,
            ),
            (
                format!(r#"{{"a":"\"watermark\":{{","watermarks":{good}}}"#),
                DecryptError::NoWatermark,
            ),
            (
                format!(r#"{{"watermark":{good},"\u0077atermark":{good}}}"#),
                DecryptError::MalformedWatermark,
            ),
            (
                r#"{"watermark":null}"#.to_owned(),
                DecryptError::MalformedWatermark,
            ),
            (r#"{"watermark":{}}"#.to_owned(), DecryptError::MalformedWatermark),
            (
                format!(r#"{{"watermark":{{"appid":"{APPID}"}}}}"#),
                DecryptError::MalformedWatermark,
            ),
            (
                format!(r#"{{"watermark":{{"timestamp":{}}}}}"#, MADE.secs()),
                DecryptError::MalformedWatermark,
            ),
        ] {
            assert_eq!(believed(&json).unwrap_err(), expected, "{json}");
        }
        for (appid, timestamp) in [
            (format!("\"{APPID}\""), "\"1477314187\""),
            (format!("\"{APPID}\""), "1477314187.0"),
            (format!("\"{APPID}\""), "-1"),
            (format!("\"{APPID}\""), "18446744073709551616"),
            (format!("\"{APPID}\",\"appid\":\"{APPID}\""), "1477314187"),
            ("1".to_owned(), "1477314187"),
            (r#""\ud800""#.to_owned(), "1477314187"),
        ] {
            let json = format!(r#"{{"watermark":{{"appid":{appid},"timestamp":{timestamp}}}}}"#);
            assert_eq!(
                believed(&json).unwrap_err(),
                DecryptError::MalformedWatermark,
                "{json}"
            );
        }
        assert!(believed(&format!(r#"{{"watermark":{good}}}"#)).is_ok());
        let escaped = good.replace("appid", r"\u0061ppid").replace("wx4f", r"\u0077x4f");
        assert!(believed(&format!(r#"{{"\u0077atermark":{escaped}}}"#)).is_ok());
    }

    #[test]
    fn another_appid_is_refused_by_name() {
        let error = believed(r#"{"watermark":{"appid":"wx0","timestamp":1477314187}}"#).unwrap_err();
        assert_eq!(
            error,
            DecryptError::OtherAppid {
                found: "wx0".to_owned(),
                expected: APPID.to_owned()
            }
        );
    }

    #[test]
    fn five_minutes_of_age_and_one_of_future_are_allowed() {
        assert!(at(MADE).is_ok());
        assert!(at(MADE + secs(300)).is_ok());
        let late = Duration::from_millis(300_001);
        assert_eq!(
            at(MADE + late).unwrap_err(),
            DecryptError::TooOld {
                age: late,
                max_age: secs(300)
            }
        );
        assert!(at(MADE - secs(60)).is_ok());
        let early = Duration::from_millis(60_001);
        assert_eq!(
            at(MADE - early).unwrap_err(),
            DecryptError::FromTheFuture {
                ahead: early,
                future: secs(60)
            }
        );
        let end_of_time = format!(
            r#"{{"watermark":{{"appid":"{APPID}","timestamp":{}}}}}"#,
            u64::MAX
        );
        assert!(matches!(
            believed(&end_of_time),
            Err(DecryptError::FromTheFuture { .. })
        ));

        let policy = Policy {
            max_age: secs(10),
            ..Policy::new(APPID)
        };
        let json = format!(
            r#"{{"watermark":{{"appid":"{APPID}","timestamp":{}}}}}"#,
            MADE.secs()
        );
        assert!(opened(&json).into_plaintext(&policy, MADE + secs(11)).is_err());
        let said = opened(&json)
            .into_plaintext(&policy, MADE + secs(11))
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("the data is 11 s old, and at most 10 s are allowed"),
            "{said}"
        );
    }
}

mod tickets {
    use super::*;

    const ALICE: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";

    fn data() -> Plaintext {
        at(MADE).unwrap()
    }

    fn one() -> (Tickets, String) {
        let tickets = Tickets::new(&KeyRing::generate(), APPID);
        let ticket = tickets.mint(ALICE, MADE, &data());
        (tickets, ticket)
    }

    #[test]
    fn a_ticket_gives_its_owner_the_data_for_three_hundred_seconds() {
        let (tickets, ticket) = one();
        assert!(Tickets::is_ticket(&ticket) && ticket.starts_with("yq_"));
        assert!(!Tickets::is_ticket("43_Tyk1o") && !Tickets::is_ticket(""));
        let redeem = |now| tickets.redeem(&ticket, ALICE, now);
        for now in [
            MADE,
            MADE,
            MADE + Duration::from_millis(299_900),
            MADE + secs(300),
            MADE - secs(60),
        ] {
            assert_eq!(redeem(now).as_deref(), Ok(data().as_json()), "{now:?}");
        }
        assert_eq!(
            redeem(MADE + Duration::from_millis(300_001)),
            Err(CloudIdError::Expired)
        );
        assert_eq!(redeem(MADE + secs(301)), Err(CloudIdError::Expired));
        assert_eq!(
            redeem(MADE - Duration::from_millis(60_001)),
            Err(CloudIdError::Invalid)
        );
    }

    #[test]
    fn another_user_is_told_so_whatever_the_age() {
        let (tickets, ticket) = one();
        for bob in [
            "oBob",
            "",
            "oGZUI0egBJY1zhBYw2KhdUfwVJJ",
            "}oGZUI0egBJY1zhBYw2KhdUfwVJJE",
        ] {
            assert_eq!(tickets.redeem(&ticket, bob, MADE), Err(CloudIdError::NotOwner));
            assert_eq!(
                tickets.redeem(&ticket, bob, MADE + secs(301)),
                Err(CloudIdError::NotOwner)
            );
        }
    }

    #[test]
    fn what_is_no_ticket_of_ours_is_invalid() {
        let ring = KeyRing::generate();
        let (tickets, other_app) = (Tickets::new(&ring, APPID), Tickets::new(&ring, "wx0"));
        let bearer = format!("yq_{}", Sealer::new(&ring, SealKind::Bearer, APPID).seal(b"{}"));
        let sealed =
            |inside: &[u8]| format!("yq_{}", Sealer::new(&ring, SealKind::Ticket, APPID).seal(inside));
        let tail = |length: u32| [&b"{}"[..], ALICE.as_bytes(), &[0; 8], &length.to_be_bytes()].concat();
        for text in [
            String::new(),
            "yq_".to_owned(),
            "nonsense".to_owned(),
            "43_Tyk1o".to_owned(),
            other_app.mint(ALICE, MADE, &data()),
            tickets.mint(ALICE, MADE, &data())[3..].to_owned(),
            one().1,
            bearer,
            sealed(b""),
            sealed(b"{}"),
            sealed(&tail(31)),
            sealed(&tail(u32::MAX)),
        ] {
            assert_eq!(
                tickets.redeem(&text, ALICE, MADE),
                Err(CloudIdError::Invalid),
                "{text}"
            );
        }
    }

    #[test]
    fn a_ticket_survives_the_rotation_of_root_keys() {
        let (old, new) = (RootKey::generate(), RootKey::generate());
        let copy = RootKey::from_base64(&old.to_base64()).unwrap();
        let ticket = Tickets::new(&KeyRing::new(vec![old]).unwrap(), APPID).mint(ALICE, MADE, &data());
        let rotated = Tickets::new(&KeyRing::new(vec![new, copy]).unwrap(), APPID);
        assert_eq!(
            rotated.redeem(&ticket, ALICE, MADE).as_deref(),
            Ok(data().as_json())
        );
    }

    #[test]
    fn items_are_what_a_function_receives() {
        let item = |result| {
            let mut out = b"before ".to_vec();
            write_item(&mut out, r#""43_\u0041""#, result);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            item(Ok(r#"{"a":1}"#)),
            r#"before {"cloudID":"43_\u0041","data":{"a":1}}"#
        );
        for (error, expected) in [
            (CloudIdError::Invalid, r#"-601005,"errMsg":"invalid cloudID."}"#),
            (CloudIdError::Expired, r#"-601006,"errMsg":"cloudID expired."}"#),
            (
                CloudIdError::NotOwner,
                r#"-601007,"errMsg":"cloudID not belong to user."}"#,
            ),
        ] {
            let written = item(Err((error.code(), error.text())));
            assert_eq!(
                written,
                format!(r#"before {{"cloudID":"43_\u0041","errCode":{expected}"#)
            );
            assert_eq!(error.to_string(), error.text());
        }
        let quoted = item(Err((WECHAT_UNREACHABLE, "say \"no\"\n")));
        assert!(
            quoted.ends_with(r#""errCode":-601003,"errMsg":"say \"no\"\n"}"#),
            "{quoted}"
        );
    }

    proptest! {
        #[test]
        fn any_bit_flipped_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8u32) {
            let (tickets, ticket) = one();
            let mut bytes = ticket.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // A client's text is always UTF-8; what is not never gets here.
            if let Ok(flipped) = String::from_utf8(bytes) {
                prop_assert_eq!(tickets.redeem(&flipped, ALICE, MADE), Err(CloudIdError::Invalid));
            }
            prop_assert!(tickets.redeem(&ticket, ALICE, MADE).is_ok());
        }

        #[test]
        fn any_user_and_any_time_come_back(openid in ".{0,40}", minted in any::<u64>(), wait in 0..=300_000u64) {
            let tickets = Tickets::new(&KeyRing::generate(), APPID);
            let minted = Timestamp::from_millis(minted);
            let ticket = tickets.mint(&openid, minted, &data());
            let now = minted + Duration::from_millis(wait);
            prop_assert_eq!(tickets.redeem(&ticket, &openid, now), Ok(data().as_json().to_owned()));
            prop_assert_eq!(tickets.redeem(&ticket, &format!("{openid}x"), now), Err(CloudIdError::NotOwner));
        }
    }
}

proptest! {
    #[test]
    fn any_text_comes_back(key: [u8; 16], iv: [u8; 16], text in any::<String>()) {
        let key = SessionKey::from_bytes(key);
        let sent = encrypt(&key, iv, text.as_bytes());
        let opened = decrypt(&key, &sent.encrypted_data, &sent.iv).unwrap();
        prop_assert_eq!(opened.as_str(), text);
    }

    /// CBC does not notice every change; the checks behind it let nothing through that is not JSON of ours.
    #[test]
    fn altered_ciphertext_gives_a_checked_plaintext_or_none(
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let json = format!(r#"{{"phoneNumber":"13800000000","watermark":{{"timestamp":{},"appid":"{APPID}"}}}}"#, MADE.secs());
        let sent = encrypt(&key(), [7; 16], json.as_bytes());
        let mut bytes = base64::decode(&sent.encrypted_data).unwrap();
        for (at, by) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= by;
        }
        if let Ok(plaintext) = decrypt(&key(), &base64::encode(&bytes), &sent.iv)
            .and_then(|text| text.into_plaintext(&Policy::new(APPID), MADE))
        {
            let value: Value = serde_json::from_str(plaintext.as_json()).unwrap();
            prop_assert_eq!(&value["watermark"]["appid"], APPID);
            prop_assert!(value["watermark"]["timestamp"].as_u64().unwrap().abs_diff(MADE.secs()) <= 300);
        }
    }

    #[test]
    fn any_fields_at_all_are_answered(data in "[A-Za-z0-9+/=\r\n %]{0,80}", iv in "[A-Za-z0-9+/]{21}[AQgw]==|.{0,30}") {
        if let Err(error) = decrypt(&key(), &data, &iv) {
            prop_assert!(matches!(error.code(), -41002 | -41003));
        }
    }
}

mod near {
    use super::*;

    const RAW: &str = r#"{"nickName":"云 \u0041","avatarUrl":"https://a.b/c"}"#;

    #[test]
    fn a_signature_of_what_rawdata_was_before_is_explained() {
        let raw = RAW.replace("\\u0041", "A");
        let signature = key().sign(&raw);
        for (changed, damage) in [
            (format!("{raw}\n"), RawDataDamage::LineEnd),
            (format!("{raw}\r\n"), RawDataDamage::LineEnd),
            (format!("\u{feff}{raw}"), RawDataDamage::ByteOrderMark),
            (format!("\u{feff}{raw}\n"), RawDataDamage::ByteOrderMark),
            (format!("  {raw} "), RawDataDamage::Blanks),
            (raw.replace('云', "\\u4e91"), RawDataDamage::Escaped),
            (raw.replace('云', "\\u4E91"), RawDataDamage::Escaped),
            (raw.replace('/', "\\/"), RawDataDamage::EscapedSlashes),
            (raw.replace('"', "&quot;"), RawDataDamage::Html),
            (serde_json::to_string(&raw).unwrap(), RawDataDamage::Quoted),
            (
                raw.replace('"', "%22")
                    .replace('云', "%E4%BA%91")
                    .replace(' ', "%20"),
                RawDataDamage::PercentEncoded,
            ),
            (
                raw.replace("\":", "\": ").replace("\",", "\", "),
                RawDataDamage::Spaced,
            ),
        ] {
            assert!(!key().verify(&changed, &signature));
            assert_eq!(key().explain(&changed, &signature), Some(damage), "{changed}");
        }
        assert_eq!(
            key().explain(&raw, &format!(" {} ", signature.to_uppercase())),
            Some(RawDataDamage::SignatureForm)
        );
    }

    #[test]
    fn what_was_signed_otherwise_is_explained_too() {
        let lines = "{\r\n\"a\":1}";
        assert_eq!(
            key().explain("{\n\"a\":1}", &key().sign(lines)),
            Some(RawDataDamage::LineFeeds)
        );
        assert_eq!(
            key().explain(lines, &key().sign("{\n\"a\":1}")),
            Some(RawDataDamage::CarriageReturns)
        );
        for escaped in ["\\u4e91", "\\u4E91"] {
            let signed = format!(r#"{{"nickName":"{escaped}"}}"#);
            assert_eq!(
                key().explain(r#"{"nickName":"云"}"#, &key().sign(&signed)),
                Some(RawDataDamage::Unescaped)
            );
        }
        let emoji = r#"{"nickName":"😀\n"}"#;
        assert_eq!(
            key().explain(r#"{"nickName":"\ud83d\ude00\n"}"#, &key().sign(emoji)),
            Some(RawDataDamage::Escaped)
        );
    }

    #[test]
    fn what_nothing_explains_is_not_explained() {
        let signature = SessionKey::from_bytes([1; 16]).sign(RAW);
        for text in [RAW, "", "\\", "\\u", "%", "\"", "\\uD83D", "%zz&"] {
            assert_eq!(key().explain(text, &signature), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(raw in "[\\PC\\\\u%&; \n\"é云]{0,40}", signature in ".{0,42}") {
            let _ = key().explain(&raw, &signature);
        }
    }
}
