//! In Chinese, why data or a push did not open and a signature is wrong. `opendata` and `push` say it for logs, in English.

use opendata::{Damage, DecryptError, RawDataDamage, SessionKeyError};
use push::{FormatError, MAX_BODY, PushEnvelopeError};

const ROTATED: &str = "几乎总是因为之后的登录更换了 session_key：请先 wx.login，再调用取得数据的接口，不要反过来，也不要同时进行";

pub(super) fn of(error: &DecryptError) -> String {
    match error {
        DecryptError::SessionKey(error) => session_key(error),
        DecryptError::NotBase64 { field, damage } => format!("{field} 不是 base64：{}", damaged(*damage)),
        DecryptError::IvLength(bytes) => {
            format!("iv 应为 16 字节（24 个 base64 字符），而这个是 {bytes} 字节：请原样使用客户端接口给出的 `iv`")
        }
        DecryptError::CiphertextLength(bytes) => format!(
            "encryptedData 是 {bytes} 字节，而应为 16 的倍数，且不为空：它被截断了，或者不是客户端接口给出的"
        ),
        DecryptError::Cut(bytes) => format!(
            "encryptedData 被截断：前 {bytes} 字节能用这个 session_key 解开，后面的没有了。看看是不是数据库字段太短，或 URL 被截断；\
             请放在 JSON 请求体里发送，用 TEXT 类型保存"
        ),
        DecryptError::KeyAndIvSwapped => "session_key 和 iv 写反了：两者对调就能解开 encryptedData".to_owned(),
        DecryptError::FieldsSwapped => {
            "encryptedData 和 iv 写反了：作为 iv 给出的更长，而 encryptedData 是 16 字节".to_owned()
        }
        DecryptError::BadPadding => format!("这个 session_key 解不开 encryptedData（填充不对）：{ROTATED}"),
        DecryptError::NotUtf8 => format!("这个 session_key 解不开 encryptedData（不是 UTF-8）：{ROTATED}"),
        DecryptError::WrongIv => {
            "这个 session_key 能解开 encryptedData，只有前 16 字节不行：iv 属于另一次结果；请使用同一次的 `encryptedData` 和 `iv`"
                .to_owned()
        }
        DecryptError::NotJson(why) => format!("解密得到的不是 JSON 对象：{why}"),
        DecryptError::NoWatermark => {
            "解密得到的对象没有 watermark {appid, timestamp}，因此不知道是给谁的、什么时候的".to_owned()
        }
        DecryptError::MalformedWatermark => {
            "解密得到的对象里，watermark 不是一个 {appid: 文字, timestamp: 整数秒}".to_owned()
        }
        DecryptError::OtherAppid { found, expected } => {
            format!("数据属于 appid {found:?}，而这里是 {expected:?}：客户端是另一个小程序")
        }
        DecryptError::TooOld { age, max_age } => format!(
            "数据是 {} 秒之前的，最多允许 {} 秒：请在每次调用之前重新获取（或调大 open_data.max_age）",
            age.as_secs(),
            max_age.as_secs()
        ),
        DecryptError::FromTheFuture { ahead, future } => format!(
            "数据的时间比现在晚 {} 秒，最多允许 {} 秒：本机的时钟慢了",
            ahead.as_secs(),
            future.as_secs()
        ),
        other => other.to_string(),
    }
}

pub(super) const BAD_MESSAGE_SIGNATURE: &str = "msg_signature 与这个 Token、timestamp、nonce 和 Encrypt 不符：请使用控制台里的同一个 Token；也可能不是微信发来的";

pub(super) fn format(error: &FormatError) -> String {
    match error {
        FormatError::TooLarge(bytes) => format!("有 {bytes} 字节，最多读取 {MAX_BODY} 字节"),
        FormatError::Other { found, configured } => format!(
            "内容是 {}，而设置的是 {}：请与控制台设为同一种格式",
            found.as_str(),
            configured.as_str()
        ),
        FormatError::Json(error) => format!("不是 JSON 对象：{error}"),
        FormatError::Xml(error) => format!("不是微信所写的 XML：{error}"),
        FormatError::Twice(field) => format!("字段 {field} 出现了两次"),
        FormatError::NotText(field) => format!("字段 {field} 不是文字"),
        FormatError::NoEncrypt => "没有字段 Encrypt".to_owned(),
        other => other.to_string(),
    }
}

pub(super) fn envelope(error: &PushEnvelopeError) -> String {
    match error {
        PushEnvelopeError::NotBase64 => {
            "Encrypt 不是 base64：请原样、完整地取自请求体，其中的 `+` 不能变成空格".to_owned()
        }
        PushEnvelopeError::CiphertextLength(bytes) => {
            format!("Encrypt 的密文是 {bytes} 字节，而应为 16 的倍数，且不为空：少了一部分")
        }
        PushEnvelopeError::BadPadding => {
            "这个 EncodingAESKey 解不开 Encrypt（填充不对）：控制台里的密钥换过了；请给出新的，换完之前把旧的也一起给出".to_owned()
        }
        PushEnvelopeError::Length { length, held } => format!(
            "Encrypt 能解开，但其中的长度不对：消息应有 {length} 字节，而只有 {held} 字节；多半是另一个 EncodingAESKey"
        ),
        PushEnvelopeError::OtherAppid { found, expected } => format!(
            "消息是给 appid {found:?} 加密的，而这里是 {expected:?}：另一个小程序的推送配置指向了这里（第三方平台的推送带的是平台的 appid）"
        ),
        PushEnvelopeError::NoKey => "没有可以解开 Encrypt 的 EncodingAESKey：请加上控制台里的".to_owned(),
        other => other.to_string(),
    }
}

pub(super) fn session_key(error: &SessionKeyError) -> String {
    match error {
        SessionKeyError::NotBase64(damage) => format!("session_key 不是 base64：{}", damaged(*damage)),
        SessionKeyError::Length(bytes) => {
            format!("session_key 应为 16 字节（24 个 base64 字符），而这个是 {bytes} 字节")
        }
        other => other.to_string(),
    }
}

fn damaged(damage: Damage) -> String {
    match damage {
        Damage::PlusBecameSpace => {
            "里面有空格，看来是 `+` 变成的；请放在 JSON 请求体里发送，或在表单和查询参数里做百分号编码"
        }
        Damage::PercentEncoded => "里面有 `%`，看来还没有做百分号解码；请解码一次",
        Damage::ByteOrderMark => "以 BOM 开头，Windows 的编辑器会在文件前面加上它；请另存为不带 BOM 的格式",
        Damage::Quoted => "带着引号，看来还是 JSON 里的写法；请先解析一次",
        Damage::Escaped => {
            "里面有反斜杠，看来是 JSON 或源码里的写法（`\\n` 是两个字符，或 `\\/`）；请先解析一次"
        }
        Damage::UrlAlphabet => {
            "里面有 `-` 或 `_`，看来被转成了 URL 用的 base64；请原样使用客户端接口给出的，带 `+` 和 `/`"
        }
        Damage::BlanksAround => "前后有空白或换行；请去掉",
        Damage::Other => "应为标准字母表的 base64，带填充，与客户端接口给出的一样；可能少了一部分",
        other => return other.to_string(),
    }
    .to_owned()
}

pub(super) fn raw_data(damage: RawDataDamage) -> String {
    let was = match damage {
        RawDataDamage::SignatureForm => {
            return "除了大小写或前后的空白，签名是对的：请用小写比较，并去掉空白".to_owned();
        }
        RawDataDamage::LineEnd => "去掉末尾换行后的 rawData：编辑器或 `echo` 加上了换行，`printf %s` 不会",
        RawDataDamage::Blanks => "去掉前后空白的 rawData：请原样使用客户端接口给出的",
        RawDataDamage::ByteOrderMark => "不带 BOM 的 rawData：请把文件另存为不带 BOM 的格式",
        RawDataDamage::CarriageReturns => "用 LF 换行的 rawData：途中被换成了 CRLF",
        RawDataDamage::LineFeeds => "用 CRLF 换行的 rawData：途中被换成了 LF",
        RawDataDamage::Escaped => "没有 `\\u` 转义的 rawData：它被解析后又写了一遍；请使用原文",
        RawDataDamage::Unescaped => "带 `\\u` 转义的 rawData：它被解析后又写了一遍；请使用原文",
        RawDataDamage::EscapedSlashes => "用 `/` 而不是 `\\/` 的 rawData：它被解析后又写了一遍；请使用原文",
        RawDataDamage::Html => "没有 HTML 实体（如 `&quot;`）的 rawData：请还原一次",
        RawDataDamage::Quoted => "作为 JSON 字符串写出之前的 rawData：请先解析一次",
        RawDataDamage::PercentEncoded => "百分号解码之后的 rawData：请解码一次",
        RawDataDamage::Spaced => "逗号和冒号后没有空格的 rawData：它被解析后又写了一遍；请使用原文",
        other => return other.to_string(),
    };
    let (of, mend) = was.split_once('：').unwrap_or((was, ""));
    format!("它是{of} 的签名：{mend}")
}
