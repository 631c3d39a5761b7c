//! Mini Program codes: `wxacode.get`, `createQRCode` and `getUnlimited`.
//!
//! WeChat draws two of them in a round form of its own that nobody else can. Here all are QR codes, as PNG, of the width
//! and the colours that were asked for, and hold an address that says what they stand for:
//! `yunqiao://wxacode/<appid>/<path>`, with `scene` in its query where one was given, and `#trial` or `#develop` after it.
//! `auto_color` draws in black, which WeChat may do too, and `check_path` checks nothing: the app's pages are not known here.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::server::errors::ApiRefusal;

/// Pixels from edge to edge: the least, what is drawn if nothing is said, and the most. Beyond either end is drawn as
/// that end: a choice.
const WIDTH: (u32, u32, u32) = (280, 430, 1280);
/// The light margin around a QR code, in modules (ISO/IEC 18004).
const QUIET: usize = 4;
const LONGEST_PATH: usize = 1024;
const LONGEST_SCENE: usize = 32;
/// What a scene, and the query of a link, may have beside letters and digits.
pub(crate) const SCENE_SIGNS: &[u8] = b"!#$&'()*+,/:;=?@-._~";

/// What all three APIs are asked.
#[derive(Debug, Deserialize)]
pub(crate) struct CodeOptions {
    /// `get` and `createQRCode`: the page with its query.
    #[serde(default)]
    path: String,
    /// `getUnlimited`: the page; the app's first where it is left out.
    #[serde(default)]
    page: String,
    #[serde(default)]
    scene: String,
    #[serde(default)]
    env_version: String,
    width: Option<u32>,
    #[serde(default)]
    line_color: LineColor,
    #[serde(default)]
    is_hyaline: bool,
}

/// Red, green and blue, as numbers or as texts: both are in the documents' samples.
#[derive(Debug, Default, Deserialize)]
struct LineColor {
    #[serde(default)]
    r: Value,
    #[serde(default)]
    g: Value,
    #[serde(default)]
    b: Value,
}

/// Why a code cannot be drawn.
#[derive(Debug, Error)]
pub(crate) enum DrawError {
    #[error("it does not fit into a QR code: {0}")]
    Code(#[from] qrcode::types::QrError),
    #[error("it cannot be written as PNG: {0}")]
    Image(#[from] png::EncodingError),
}

impl CodeOptions {
    /// The address that the code of a `path` is to hold.
    pub(crate) fn by_path(&self, appid: &str) -> Result<String, ApiRefusal> {
        if self.path.is_empty() || self.path.len() > LONGEST_PATH {
            return Err(ApiRefusal::PathLength);
        }
        Ok(self.address(appid, &self.path))
    }

    /// The address that the code of a `scene` is to hold.
    pub(crate) fn by_scene(&self, appid: &str) -> Result<String, ApiRefusal> {
        if self.scene.is_empty() || self.scene.chars().count() > LONGEST_SCENE {
            return Err(ApiRefusal::SceneLength);
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || SCENE_SIGNS.contains(&byte);
        if !self.scene.bytes().all(legal) {
            return Err(ApiRefusal::InvalidScene);
        }
        if self.page.starts_with('/') || self.page.contains('?') {
            return Err(ApiRefusal::InvalidPage);
        }
        let scene: String = form_urlencoded::byte_serialize(self.scene.as_bytes()).collect();
        Ok(self.address(appid, &format!("{}?scene={scene}", self.page)))
    }

    fn address(&self, appid: &str, path: &str) -> String {
        let mut address = format!("yunqiao://wxacode/{appid}/{}", path.trim_start_matches('/'));
        if !matches!(self.env_version.as_str(), "" | "release") {
            let _ = write!(address, "#{}", self.env_version);
        }
        address
    }

    /// The PNG of a code that holds `text`.
    pub(crate) fn draw(&self, text: &str) -> Result<Vec<u8>, DrawError> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
        let modules = code.width();
        let colors = code.to_colors();
        let width = self.width.unwrap_or(WIDTH.1).clamp(WIDTH.0, WIDTH.2);
        let side = width as usize;
        let scale = side / (modules + 2 * QUIET);
        let margin = (side - modules * scale) / 2;
        let module = |pixel: usize| Some(pixel.checked_sub(margin)? / scale).filter(|&at| at < modules);
        let mut pixels = Vec::with_capacity(side * side);
        for y in 0..side {
            for x in 0..side {
                let dark = match (module(y), module(x)) {
                    (Some(y), Some(x)) => colors[y * modules + x] == Color::Dark,
                    _ => false,
                };
                pixels.push(u8::from(dark));
            }
        }

        let LineColor { r, g, b } = &self.line_color;
        let mut png = Vec::new();
        let mut encoder = png::Encoder::new(&mut png, width, width);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(vec![255, 255, 255, shade(r), shade(g), shade(b)]);
        if self.is_hyaline {
            encoder.set_trns(vec![0, 255]);
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(png)
    }
}

/// A part of a colour, 0 to 255; anything else is 0.
fn shade(part: &Value) -> u8 {
    let number = match part {
        Value::String(text) => text.trim().parse().ok(),
        part => part.as_u64(),
    };
    u8::try_from(number.unwrap_or(0)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn wanted(what: Value) -> CodeOptions {
        serde_json::from_value(what).unwrap()
    }

    #[test]
    fn a_code_says_the_page_and_what_goes_with_it() {
        let address = |what| wanted(what).by_path("wx1").unwrap();
        assert_eq!(
            address(json!({ "path": "/page/index?a=1" })),
            "yunqiao://wxacode/wx1/page/index?a=1"
        );
        let scene =
            wanted(json!({ "scene": "a=1&b=2", "page": "pages/index/index", "env_version": "trial" }));
        assert_eq!(
            scene.by_scene("wx1").unwrap(),
            "yunqiao://wxacode/wx1/pages/index/index?scene=a%3D1%26b%3D2#trial"
        );
    }

    #[test]
    fn what_cannot_be_a_code_is_refused() {
        let scene = |what| wanted(what).by_scene("wx1").unwrap_err();
        assert_eq!(scene(json!({})), ApiRefusal::SceneLength);
        assert_eq!(scene(json!({ "scene": "x".repeat(33) })), ApiRefusal::SceneLength);
        assert_eq!(scene(json!({ "scene": "a%20b" })), ApiRefusal::InvalidScene);
        assert_eq!(
            scene(json!({ "scene": "a", "page": "/pages/index" })),
            ApiRefusal::InvalidPage
        );
        assert_eq!(
            scene(json!({ "scene": "a", "page": "pages/index?b" })),
            ApiRefusal::InvalidPage
        );
        let path = |length| wanted(json!({ "path": "x".repeat(length) })).by_path("wx1");
        assert_eq!(path(0), Err(ApiRefusal::PathLength));
        assert_eq!(path(1025), Err(ApiRefusal::PathLength));
        assert!(path(1024).is_ok());
    }

    #[test]
    fn the_longest_path_fits_the_smallest_image() {
        let small = wanted(json!({ "path": "x".repeat(1024), "width": 1 }));
        let png = small.draw(&small.by_path("wx5e1fb0a7c3d24968").unwrap()).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (280, 280));
    }

    #[test]
    fn colours_are_numbers_or_texts() {
        for (part, is) in [
            (json!(7), 7),
            (json!("255"), 255),
            (json!(999), 255),
            (json!(null), 0),
            (json!(-1), 0),
        ] {
            assert_eq!(shade(&part), is, "{part}");
        }
    }
}
