//! `decrypt`, `sign`, `verify`: the traditional way, offline; and `decrypt --push`.

mod zh;

use std::{io::Read, process::ExitCode, time::Duration};

use anyhow::Context;
use clock::Clock;
use opendata::{DecryptError, Policy, SessionKey};
use project::files;
use push::{EncodingAesKey, Format, Packet, PushToken};

use crate::{
    args,
    lang::{self, say, t},
    print::{self, Coded},
};

/// Prints the plaintext as it is.
pub(crate) fn decrypt(args: &args::Decrypt, json: bool) -> anyhow::Result<ExitCode> {
    if args.push {
        return decrypt_push(args, json);
    }
    let key = session_key(given(args.session_key.as_deref(), "--session-key")?)?;
    let data = value(&args.data)?;
    let coded = |error: DecryptError| Coded::new(error.code(), t(error.to_string(), zh::of(&error)));
    let iv = given(args.iv.as_deref(), "--iv")?;
    let decrypted = opendata::decrypt(&key, &data, files::one_value(iv)).map_err(coded)?;
    let text = decrypted.as_str().to_owned();
    if let Some(appid) = &args.appid {
        // Offline there is no telling how old data may be: only its app is checked.
        let mut policy = Policy::new(appid);
        policy.max_age = Duration::MAX;
        decrypted
            .into_plaintext(&policy, Clock::system().now())
            .map_err(coded)?;
    }
    if json {
        print::json(&serde_json::json!({ "data": text }));
    } else {
        println!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the message as it was encrypted; with `--json` also the packet that a function would receive, if it is one. Its age
/// does not count: offline there is no telling how old it may be.
fn decrypt_push(args: &args::Decrypt, json: bool) -> anyhow::Result<ExitCode> {
    let token = PushToken::parse(files::one_value(given(args.token.as_deref(), "--token")?))
        .map_err(|error| error.wording())?;
    let keys = args
        .aes_key
        .iter()
        .map(|text| EncodingAesKey::parse(files::one_value(text)));
    let keys: Vec<_> = keys
        .collect::<Result<_, _>>()
        .map_err(|error| Coded::new(error.code(), lang::of(&error.wording()).to_owned()))?;
    let appid = given(args.appid.as_deref(), "--appid")?;
    let data = value(&args.data)?;
    let encrypt = match written_in(&data) {
        Some(format) => push::encrypt_of(format, data.as_bytes()).map_err(|error| {
            let why = t(error.to_string(), zh::format(&error));
            let text = say!("the body of the push: {why}", "推送的内容：{why}");
            Coded::new(error.code(), text)
        })?,
        None => data,
    };
    let [timestamp, nonce, signature] = [
        given(args.timestamp.as_deref(), "--timestamp")?,
        given(args.nonce.as_deref(), "--nonce")?,
        given(args.msg_signature.as_deref(), "--msg-signature")?,
    ];
    if !token.verify_message(timestamp, nonce, &encrypt, signature) {
        let refusal = push::PushRefusal::BadMessageSignature;
        return Err(Coded::new(
            refusal.code(),
            t(refusal.to_string(), zh::BAD_MESSAGE_SIGNATURE.to_owned()),
        )
        .into());
    }
    let message = push::envelope::open(&keys, &encrypt, appid)
        .map_err(|error| Coded::new(error.code(), t(error.to_string(), zh::envelope(&error))))?;
    let text = String::from_utf8(message).map_err(|_| {
        let text = say!(
            "the decrypted message is not UTF-8 text",
            "解密得到的消息不是 UTF-8 文本"
        );
        Coded::new(push::codes::UNREADABLE, text)
    })?;
    if json {
        let packet = written_in(text.trim_start())
            .and_then(|format| Packet::parse(appid, format, text.as_bytes()).ok())
            .and_then(|packet| serde_json::from_str::<serde_json::Value>(packet.as_json()).ok());
        print::json(&serde_json::json!({ "data": text, "packet": packet }));
    } else {
        println!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What a text that a person hands over looks like. (A server never guesses.)
fn written_in(text: &str) -> Option<Format> {
    match text.as_bytes().first()? {
        b'{' => Some(Format::Json),
        b'<' => Some(Format::Xml),
        _ => None,
    }
}

/// An argument that the command line has made sure of.
fn given<'a>(value: Option<&'a str>, name: &str) -> anyhow::Result<&'a str> {
    value.with_context(|| say!("{name} is missing", "缺少 {name}"))
}

/// Prints the signature.
pub(crate) fn sign(args: &args::Sign, json: bool) -> anyhow::Result<ExitCode> {
    let raw_data = read(&args.raw_data)?;
    let signature = session_key(&args.key.session_key)?.sign(&raw_data);
    if raw_data.ends_with('\n') {
        print::warning(
            t(
                "the text ends with a line end, which is signed along",
                "文本末尾有换行，会一起签名",
            ),
            t(
                "an editor or `echo` adds one, WeChat none: `printf %s` passes a text on as it is",
                "编辑器或 `echo` 会加上换行，微信不会：用 `printf %s` 可以原样传递文本",
            ),
        );
    }
    if raw_data.starts_with('\u{feff}') {
        print::warning(
            t(
                "the text begins with a byte order mark, which is signed along",
                "文本开头有 BOM，会一起签名",
            ),
            t("save the file without one", "请把文件另存为不带 BOM 的格式"),
        );
    }
    if json {
        print::json(&serde_json::json!({ "signature": signature }));
    } else {
        println!("{signature}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Exits with 0 when the signature is right, with 1 when it is not.
pub(crate) fn verify(args: &args::Verify, json: bool) -> anyhow::Result<ExitCode> {
    let (key, raw_data) = (session_key(&args.key.session_key)?, read(&args.raw_data)?);
    let right = key.verify(&raw_data, &args.signature);
    let why = if right {
        None
    } else {
        key.explain(&raw_data, &args.signature)
    };
    let why = why.map(|why| t(why.to_string(), zh::raw_data(why)));
    if json {
        print::json(&serde_json::json!({ "valid": right, "why": why }));
    } else if let Some(why) = why {
        let told = say!(
            "the signature is not that of this rawData with this session_key: {why}",
            "签名与这个 rawData 和 session_key 不符：{why}"
        );
        println!("{told}");
    } else if right {
        println!("{}", t("the signature is right", "签名正确"));
    } else {
        let told = t(
            "the signature is not that of this rawData with this session_key: the session_key may be that of another login",
            "签名与这个 rawData 和 session_key 不符：session_key 也许属于另一次登录",
        );
        println!("{told}");
    }
    Ok(if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn session_key(text: &str) -> anyhow::Result<SessionKey> {
    let key = SessionKey::parse(files::one_value(text));
    key.map_err(|error| {
        let text = t(error.to_string(), zh::session_key(&error));
        Coded::new(opendata::ILLEGAL_SESSION_KEY, text).into()
    })
}

/// The argument, or standard input for `-`, without a byte order mark and blanks around it.
fn value(argument: &str) -> anyhow::Result<String> {
    Ok(files::one_value(&read(argument)?).to_owned())
}

/// The argument itself, or standard input for `-`. Nothing is trimmed: rawData is signed to the byte.
fn read(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).with_context(|| {
        say!(
            "standard input could not be read as UTF-8 text",
            "标准输入不是 UTF-8 文本"
        )
    })?;
    Ok(text)
}
