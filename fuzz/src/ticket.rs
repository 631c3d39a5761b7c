//! Tickets. The first bytes say which user, how long to wait and what to alter; the rest is the text that is redeemed
//! as if it were one.

use std::{sync::LazyLock, time::Duration};

use clock::Timestamp;
use opendata::{CloudIdError, Plaintext, Policy, SessionKey, Tickets, decrypt, encrypt};
use seal::KeyRing;

use crate::plaintext::{APPID, MADE};

static TICKETS: LazyLock<Tickets> = LazyLock::new(|| Tickets::new(&KeyRing::generate(), APPID));

pub(crate) fn target(data: &[u8]) {
    let Some((&[user, wait_high, wait_low, at_high, at_low, alter], rest)) = data.split_first_chunk() else {
        return;
    };
    let Some(plaintext) = plaintext() else {
        unreachable!("it is what Policy asks for")
    };
    let minted = Timestamp::from_secs(MADE);
    let openid = "o".repeat(usize::from(user));
    let ticket = TICKETS.mint(&openid, minted, &plaintext);
    assert!(Tickets::is_ticket(&ticket));

    let wait = Duration::from_millis(u64::from(u16::from_be_bytes([wait_high, wait_low])) * 10);
    let expected = if wait.as_millis() > 300_000 {
        Err(CloudIdError::Expired)
    } else {
        Ok(plaintext.as_json())
    };
    assert_eq!(
        TICKETS.redeem(&ticket, &openid, minted + wait).as_deref(),
        expected.as_ref().map(|json| *json)
    );
    let other = TICKETS.redeem(&ticket, &format!("{openid}o"), minted + wait);
    assert_eq!(other, Err(CloudIdError::NotOwner));

    let mut altered = ticket.clone().into_bytes();
    let at = usize::from(u16::from_be_bytes([at_high, at_low])) % altered.len();
    altered[at] ^= alter;
    for text in [
        std::str::from_utf8(&altered),
        std::str::from_utf8(rest),
        std::str::from_utf8(&altered[..at]),
    ] {
        if let Ok(text) = text
            && text != ticket
        {
            assert_eq!(
                TICKETS.redeem(text, &openid, minted),
                Err(CloudIdError::Invalid),
                "{text}"
            );
        }
    }
}

fn plaintext() -> Option<Plaintext> {
    let key = SessionKey::from_bytes([0; 16]);
    let json = format!(r#"{{"openGId":"t","watermark":{{"appid":"{APPID}","timestamp":{MADE}}}}}"#);
    let sent = encrypt(&key, [0; 16], json.as_bytes());
    decrypt(&key, &sent.encrypted_data, &sent.iv)
        .ok()?
        .into_plaintext(&Policy::new(APPID), Timestamp::from_secs(MADE))
        .ok()
}
