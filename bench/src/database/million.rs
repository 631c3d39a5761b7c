//! A million documents: how long opening the file takes, how much memory point reads leave resident, and a `$group` over all.

use std::path::Path;

use anyhow::Result;

use super::{Peers, Read, SQLITE, command, compare, documents, middle, ours, started, time};
use crate::{median::millis, table::Line};

const MEGABYTE: f64 = 1e6;

pub(super) fn measure(peers: &Peers, dir: &Path, count: u64) -> Result<Vec<Line>> {
    let lines = dir.join("million.jsonl");
    documents::write(&lines, count)?;
    let file = dir.join("million.redb");
    let mut subjects = vec![ours(&file)?, peers.start(&SQLITE, &dir.join("million.sqlite"))?];
    for subject in &mut subjects {
        let took = subject.load(&lines)?;
        println!(
            "database: {} loaded {:.0} documents/s",
            subject.name,
            count as f64 / took.as_secs_f64()
        );
    }
    for read in Read::ALL {
        compare(&mut subjects, read, &read.cases(count, 2))?;
    }
    for subject in subjects {
        subject.end()?;
    }

    let mut ours = ours(&file)?;
    let opened = started(&ours)?;
    let by_id = middle(ours.nanos(&command(Read::Id, count, 2000))?);
    let page = middle(ours.nanos(&command(Read::Page, count, 1000))?);
    let (after_points, _) = ours.resident()?;
    let group = middle(ours.nanos(&command(Read::Group, count, 1))?);
    let (after_group, most) = ours.resident()?;
    let size = std::fs::metadata(&file)?.len();
    ours.end()?;

    let line = |what: &str, figure: String, goal: &str, met| Line {
        what: format!("database of {count} documents, {what}"),
        figure,
        goal: goal.to_owned(),
        met: Some(met),
        ..Line::default()
    };
    let megabytes = |bytes: u64| bytes as f64 / MEGABYTE;
    Ok(vec![
        line(
            "opening the file",
            format!("{:.0} ms; {:.0} MB", millis(opened), megabytes(size)),
            "≤ 300 ms",
            millis(opened) <= 300.0,
        ),
        line(
            "resident after point reads",
            format!(
                "{:.1} MB; by _id {}, a page {}",
                megabytes(after_points),
                time(by_id),
                time(page)
            ),
            "≤ 60 MB",
            megabytes(after_points) <= 60.0,
        ),
        line(
            "resident after $group over all",
            format!(
                "{:.1} MB, at most {:.1} MB; it took {}",
                megabytes(after_group),
                megabytes(most),
                time(group)
            ),
            "≤ 120 MB",
            megabytes(most) <= 120.0,
        ),
    ])
}
