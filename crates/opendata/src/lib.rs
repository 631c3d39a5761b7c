//! Open data: what WeChat says about a user, and how a server comes to believe it.
//!
//! A client API such as `wx.getWeRunData` gives the page `encryptedData` and `iv`: JSON under AES-128-CBC, whose key is
//! the `session_key` that the server got when the user logged in. [`decrypt`] opens it, and
//! [`DecryptedText::into_plaintext`] turns it into a [`Plaintext`]: checked JSON whose watermark names our appid and a
//! recent moment. Beside it, `rawData` comes with a signature that [`SessionKey::verify`] checks.
//!
//! The other way is a *cloudID*, an id which stands for the data until a cloud function receives it. WeChat's own are
//! redeemed by WeChat; ours are [`Tickets`], which carry a plaintext, sealed. A [`Redemption`] exchanges both.
//!
//! The facts are from WeChat's documents "开放数据校验与解密" (signature, decryption, watermark, cloudID), "小程序登录"
//! (session_key), "checkSessionKey", and from the official decryption sample, WXBizDataCrypt.

mod base64;
mod cipher;
mod cloud_id;
mod code;
mod error;
mod list;
mod near;
mod plaintext;
mod redemption;
mod session_key;
#[cfg(test)]
mod tests;
mod ticket;

pub use cipher::{DecryptedText, EncryptedData, decrypt, encrypt};
pub use cloud_id::{CLOUD_ID_LIFE, CloudIdError, MAX_CLOUD_IDS, write_item};
pub use code::*;
pub use error::{Damage, DecryptError, EncryptedField};
pub use list::MixedList;
pub use near::RawDataDamage;
pub use plaintext::{Plaintext, Policy, Watermark};
pub use redemption::{CloudId, OpenDataItem, Redemption};
pub use session_key::{SessionKey, SessionKeyError};
pub use ticket::Tickets;
