//! What the traditional way and a ticket cost on one core:
//!
//! ```text
//! cargo run --release -p yunqiao-opendata --example decrypt_speed
//! ```
//!
//! prints nanoseconds per operation, the median of rounds that take turns, for a `wx.getWeRunData` payload of 31 days.
//! `decrypt` is base64, AES-CBC, UTF-8, the validation of all of the JSON, and the watermark; its peer is Node with the
//! official sample WXBizDataCrypt, which decodes, decrypts, calls `JSON.parse` and compares the appid.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use clock::Timestamp;
use seal::KeyRing;
use yunqiao_opendata::{Policy, SessionKey, Tickets, decrypt, encrypt};

const APPID: &str = "wx4f4bc4dec97d474b";
const OPENID: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(100);

type Operation<'a> = &'a dyn Fn();

fn main() {
    let now = Timestamp::from_secs(1_477_314_187);
    let days = (0..31u64)
        .map(|day| {
            let step = day.pow(3) % 17_011;
            format!(
                r#"{{"timestamp":{},"step":{step}}}"#,
                1_474_560_000 + 86_400 * day
            )
        })
        .collect::<Vec<_>>()
        .join(",");
    let json = format!(
        r#"{{"stepInfoList":[{days}],"watermark":{{"timestamp":{},"appid":"{APPID}"}}}}"#,
        now.secs()
    );
    let key = SessionKey::from_bytes(*b"0123456789abcdef");
    let sent = encrypt(&key, [7; 16], json.as_bytes());
    let policy = Policy::new(APPID);
    let open =
        || decrypt(&key, &sent.encrypted_data, &sent.iv).and_then(|text| text.into_plaintext(&policy, now));
    let Ok(plaintext) = open() else {
        unreachable!("what was just encrypted decrypts")
    };
    let tickets = Tickets::new(&KeyRing::generate(), APPID);
    let ticket = tickets.mint(OPENID, now, &plaintext);

    let event = format!(r#"{{"weRunData":"{ticket}","steps":{json}}}"#);

    let operations: [(&str, Operation<'_>); 6] = [
        ("decrypt, validate, check the watermark", &|| {
            drop(black_box(open()))
        }),
        ("  of which decrypt alone", &|| {
            drop(black_box(decrypt(&key, &sent.encrypted_data, &sent.iv)))
        }),
        ("  of which validate alone", &|| {
            assert!(black_box(json::validate(json.as_bytes())).is_ok())
        }),
        ("split an event of ticket and JSON", &|| {
            drop(black_box(json::Object::parse(event.as_bytes())))
        }),
        ("mint a ticket", &|| {
            drop(black_box(tickets.mint(OPENID, now, &plaintext)))
        }),
        ("redeem a ticket", &|| {
            drop(black_box(tickets.redeem(&ticket, OPENID, now)))
        }),
    ];
    let mut rounds = vec![Vec::new(); operations.len()];
    for _ in 0..ROUNDS {
        for (rounds, (_, operation)) in rounds.iter_mut().zip(&operations) {
            rounds.push(nanoseconds(*operation));
        }
    }
    println!(
        "{} bytes of JSON, {} of base64, {} of ticket",
        json.len(),
        sent.encrypted_data.len(),
        ticket.len()
    );
    for (rounds, (name, _)) in rounds.iter_mut().zip(&operations) {
        rounds.sort_by(f64::total_cmp);
        println!(
            "{name:40} {:7.0} ns   ({:.0} to {:.0})",
            rounds[ROUNDS / 2],
            rounds[0],
            rounds[ROUNDS - 1]
        );
    }
}

/// How long one takes, on average over a round.
fn nanoseconds(operation: Operation<'_>) -> f64 {
    let began = Instant::now();
    let mut count = 0u32;
    while began.elapsed() < ROUND {
        for _ in 0..64 {
            operation();
        }
        count += 64;
    }
    began.elapsed().as_nanos() as f64 / f64::from(count)
}
