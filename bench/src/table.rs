//! The one table: what was measured, against the peers, and the goal.

use std::fmt::Write;

/// One line of it.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) figure: String,
    pub(crate) to_plain: Option<f64>,
    pub(crate) to_framework: Option<f64>,
    pub(crate) goal: String,
    /// Whether the goal is met; `None` for a line without one.
    pub(crate) met: Option<bool>,
}

const HEADINGS: [&str; 6] = ["what", "measured", "× plain", "× functions-framework", "goal", ""];

/// As markdown, padded so that it reads well in a terminal too.
pub(crate) fn render(lines: &[Line]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(lines.iter().map(|line| {
        let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let met = match line.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        [
            line.what.clone(),
            line.figure.clone(),
            ratio(line.to_plain),
            ratio(line.to_framework),
            line.goal.clone(),
            met.to_owned(),
        ]
    }));
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}
