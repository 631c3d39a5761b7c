//! SCRAM-SHA-256 (RFC 5802, RFC 7677) as the server speaks it: the client proves that it knows the password without sending it, and the
//! server proves the same. What is kept of the password is made once and cannot be turned back.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use pbkdf2::pbkdf2_hmac_array;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The mechanism's name.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// Rounds of hashing, as MongoDB's.
const ROUNDS: u32 = 15_000;

type Bytes = [u8; 32];

/// What is kept of the one user's password.
pub(crate) struct Credentials {
    user: String,
    salt: [u8; 16],
    rounds: u32,
    stored_key: Zeroizing<Bytes>,
    server_key: Zeroizing<Bytes>,
}

/// A client's message is not as the mechanism wants it, or proves nothing. One value: the client learns no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// A proof that is under way: the server has named its salt and waits for the client's proof.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What both sides sign, but for the client's last message.
    signed: String,
    nonce: String,
    /// Whether such a user exists. One that does not is refused at the end, like a wrong password.
    known: bool,
}

impl Credentials {
    /// Of a password, with a random salt.
    pub(crate) fn new(user: &str, password: &str, salt: [u8; 16]) -> Self {
        Self::with_rounds(user, password, salt, ROUNDS)
    }

    fn with_rounds(user: &str, password: &str, salt: [u8; 16], rounds: u32) -> Self {
        let salted = salted(password, &salt, rounds);
        let client_key = Zeroizing::new(hmac(&*salted, b"Client Key"));
        Self {
            user: user.to_owned(),
            salt,
            rounds,
            stored_key: Zeroizing::new(Sha256::digest(*client_key).into()),
            server_key: Zeroizing::new(hmac(&*salted, b"Server Key")),
        }
    }

    /// Takes the client's first message; gives the server's. `nonce` is random text without a comma.
    pub(crate) fn begin(&self, message: &[u8], nonce: &str) -> Result<(Exchange, String), Refused> {
        let message = std::str::from_utf8(message).map_err(|_| Refused)?;
        // No binding to a channel, and nobody else's name to act under.
        let bare = message.strip_prefix("n,,").ok_or(Refused)?;
        let mut fields = bare.split(',');
        let user = fields.next().and_then(|field| field.strip_prefix("n="));
        let theirs = fields.next().and_then(|field| field.strip_prefix("r="));
        let (user, theirs) = user.zip(theirs).ok_or(Refused)?;
        if theirs.is_empty() {
            return Err(Refused);
        }
        let nonce = format!("{theirs}{nonce}");
        let salt = BASE64_STANDARD.encode(self.salt);
        let answer = format!("r={nonce},s={salt},i={}", self.rounds);
        let exchange = Exchange {
            signed: format!("{bare},{answer}"),
            known: user.replace("=2C", ",").replace("=3D", "=") == self.user,
            nonce,
        };
        Ok((exchange, answer))
    }

    /// Takes the client's proof; gives the server's own.
    pub(crate) fn finish(&self, exchange: &Exchange, message: &[u8]) -> Result<String, Refused> {
        let message = std::str::from_utf8(message).map_err(|_| Refused)?;
        let (unproved, proof) = message.rsplit_once(",p=").ok_or(Refused)?;
        // `biws` is "n,,", which the client began with.
        if unproved != format!("c=biws,r={}", exchange.nonce) {
            return Err(Refused);
        }
        let proof = BASE64_STANDARD.decode(proof).map_err(|_| Refused)?;
        let proof: Bytes = proof.try_into().map_err(|_| Refused)?;
        let signed = format!("{},{unproved}", exchange.signed);
        let signature = hmac(&*self.stored_key, signed.as_bytes());
        let mut client_key = Zeroizing::new([0; 32]);
        for ((key, proof), signature) in client_key.iter_mut().zip(proof).zip(signature) {
            *key = proof ^ signature;
        }
        let shown: Bytes = Sha256::digest(*client_key).into();
        if !(bool::from(shown.ct_eq(&*self.stored_key)) & exchange.known) {
            return Err(Refused);
        }
        let ours = hmac(&*self.server_key, signed.as_bytes());
        Ok(format!("v={}", BASE64_STANDARD.encode(ours)))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Bytes {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(message).finalize().into_bytes().into(),
        // HMAC takes keys of any length.
        Err(_) => [0; 32],
    }
}

/// What both sides make of the password.
fn salted(password: &str, salt: &[u8], rounds: u32) -> Zeroizing<Bytes> {
    Zeroizing::new(pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, rounds))
}

/// A client's last message, to what it began with and the server answered, for tests. It is made of the same hashes as the server's side:
/// that those are right, the exchange of the RFC shows.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn prove(password: &str, first_bare: &str, server_first: &str) -> String {
    let mut fields = server_first.split(',');
    let nonce = fields.next().unwrap();
    let salt = fields.next().unwrap().strip_prefix("s=").unwrap();
    let salt: [u8; 16] = BASE64_STANDARD.decode(salt).unwrap().try_into().unwrap();
    let rounds = fields.next().unwrap().strip_prefix("i=").unwrap();
    let salted = salted(password, &salt, rounds.parse().unwrap());
    let client_key = hmac(&*salted, b"Client Key");
    let stored: Bytes = Sha256::digest(client_key).into();
    let unproved = format!("c=biws,{nonce}");
    let signature = hmac(
        &stored,
        format!("{first_bare},{server_first},{unproved}").as_bytes(),
    );
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    format!("{unproved},p={}", BASE64_STANDARD.encode(proof))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SALT: [u8; 16] = [7; 16];

    fn talk(user: &str, password: &str) -> Result<String, Refused> {
        let credentials = Credentials::new("yunqiao", "correct horse battery", SALT);
        let bare = format!("n={user},r=theirs");
        let (exchange, first) = credentials
            .begin(format!("n,,{bare}").as_bytes(), "ours")
            .unwrap();
        assert!(first.starts_with("r=theirsours,s=BwcHBwcHBwcHBwcHBwcHBw==,i=15000"));
        let last = prove(password, &bare, &first);
        credentials.finish(&exchange, last.as_bytes())
    }

    #[test]
    fn who_knows_the_password_is_let_in_and_nobody_else() {
        assert!(
            talk("yunqiao", "correct horse battery")
                .unwrap()
                .starts_with("v=")
        );
        assert_eq!(talk("yunqiao", "correct horse batterz"), Err(Refused));
        assert_eq!(talk("someone", "correct horse battery"), Err(Refused));
    }

    #[test]
    fn messages_of_another_form_are_refused() {
        let credentials = Credentials::new("yunqiao", "correct horse battery", SALT);
        for first in [
            &b""[..],
            b"n,,",
            b"n,,n=yunqiao",
            b"n,,n=yunqiao,r=",
            b"y,,n=yunqiao,r=a",
            b"\xff",
        ] {
            assert!(credentials.begin(first, "ours").is_err(), "{first:?}");
        }
        let (exchange, _) = credentials.begin(b"n,,n=yunqiao,r=a", "ours").unwrap();
        for last in [
            &b""[..],
            b"c=biws,r=a,p=AAAA",
            b"c=biws,r=aours,p=AAAA",
            b"c=biws,r=aours,p=!",
            b"\xff",
        ] {
            assert_eq!(credentials.finish(&exchange, last), Err(Refused), "{last:?}");
        }
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_spoken() {
        // Its section 3, whose server asks for 4096 rounds.
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let credentials = Credentials::with_rounds("user", "pencil", salt.try_into().unwrap(), 4096);
        let (exchange, first) = credentials
            .begin(
                b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            )
            .unwrap();
        assert_eq!(
            first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(
            credentials.finish(&exchange, last.as_bytes()).unwrap(),
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
