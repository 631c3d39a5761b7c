//! QR codes on a terminal, for an address that somebody wants in a phone.

use anstyle::{AnsiColor, Color, Style};
use qrcode::{QrCode, render::unicode::Dense1x2};

/// Black on white, whatever the terminal's own colours are: cameras read no other way.
const PAPER: Style = Style::new()
    .fg_color(Some(Color::Ansi(AnsiColor::Black)))
    .bg_color(Some(Color::Ansi(AnsiColor::BrightWhite)));

/// Lines of half blocks, two rows of the code in each, with the quiet margin around it; `None` for a text that is too long.
pub(crate) fn code(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
    let lines = drawn.lines().map(|line| format!("  {PAPER}{line}{PAPER:#}\n"));
    Some(lines.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_phone_reads_the_address() {
        let url = "http://192.168.100.200:8787";
        let drawn = anstream::adapter::strip_str(&code(url).unwrap()).to_string();
        let rows: Vec<Vec<bool>> = drawn
            .lines()
            .flat_map(|line| {
                let blocks = line.strip_prefix("  ").unwrap().chars();
                let halves = |upper: char| {
                    blocks
                        .clone()
                        .map(move |block| block == '█' || block == upper)
                        .collect()
                };
                [halves('▀'), halves('▄')]
            })
            .collect();
        let (width, height) = (rows[0].len(), rows.len());
        const SCALE: usize = 4;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, |x, y| {
            if rows[y / SCALE][x / SCALE] { 0 } else { 255 }
        });
        let (_, read) = image.detect_grids()[0].decode().unwrap();
        assert_eq!(read, url);
    }
}
