//! Cells of the sphere: what an index over positions is kept by.
//!
//! Longitude and latitude are halved level by level, so that a cell is a path of quarters, a byte each, and all that lies in
//! a cell begins with its path. A point has the one cell of the last level, some 40 m wide; a shape has the few smallest cells
//! that cover the cap around it. Whatever overlaps has cells of which one is the beginning of the other.

use std::f64::consts::FRAC_PI_2;

use super::sphere::{Cap, Vector};

/// How often the sphere is halved each way.
const LEVELS: u32 = 20;
/// A stored shape has at most so many cells.
const STORED: i64 = 8;
/// An area that is asked for has at most so many.
const ASKED: i64 = 32;
/// Degrees by which everything is taken larger, against rounding.
const MARGIN: f64 = 1e-9;

/// A cell: quarters from the largest to the smallest, 1 to 4.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell(Vec<u8>);

impl Cell {
    /// The key of what has this cell in an index: no other cell's key begins with it.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = self.0.clone();
        key.push(0);
        key
    }

    /// What the keys of this cell and of all cells in it begin with.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.0
    }

    /// The cells that this one lies in.
    pub(crate) fn above(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.0.len()).filter_map(|level| self.0.get(..level).map(|path| Self(path.to_vec())))
    }

    fn new(level: u32, column: i64, row: i64) -> Self {
        Self(
            (0..level)
                .rev()
                .map(|bit| ((column >> bit & 1) + 2 * (row >> bit & 1) + 1) as u8)
                .collect(),
        )
    }

    /// The whole sphere.
    pub(super) const fn whole() -> Self {
        Self(Vec::new())
    }

    pub(super) fn of_point(point: Vector) -> Self {
        let [longitude, latitude] = point.degrees();
        let side = 1_i64 << LEVELS;
        let place = |degrees: f64, of: f64| ((degrees / of * side as f64) as i64).clamp(0, side - 1);
        Self::new(
            LEVELS,
            place(longitude + 180.0, 360.0),
            place(latitude + 90.0, 180.0),
        )
    }
}

/// The cells of a stored shape.
pub(super) fn of_stored(cap: &Cap) -> Vec<Cell> {
    cover(cap, STORED)
}

/// The cells of an area that is asked for.
pub(super) fn of_asked(cap: &Cap) -> Vec<Cell> {
    cover(cap, ASKED)
}

/// The smallest cells that cover a cap, `most` at most.
fn cover(cap: &Cap, most: i64) -> Vec<Cell> {
    let [longitude, latitude] = cap.center().degrees();
    let radius = cap.radius().to_degrees() + MARGIN;
    let (south, north) = (latitude - radius, latitude + radius);
    // Over a pole there are all longitudes.
    let half = if south > -90.0 && north < 90.0 && cap.radius() < FRAC_PI_2 {
        let sine = radius.to_radians().sin() / latitude.to_radians().cos();
        sine.min(1.0).asin().to_degrees() + MARGIN
    } else {
        180.0
    };
    for level in (1..=LEVELS).rev() {
        let side = 1_i64 << level;
        let place = |degrees: f64, of: f64| (degrees / of * side as f64).floor() as i64;
        let west = place(longitude - half + 180.0, 360.0);
        let east = place(longitude + half + 180.0, 360.0).min(west + side - 1);
        let bottom = place(south + 90.0, 180.0).clamp(0, side - 1);
        let top = place(north + 90.0, 180.0).clamp(0, side - 1);
        if (east - west + 1) * (top - bottom + 1) <= most {
            return (west..=east)
                .flat_map(|column| {
                    (bottom..=top).map(move |row| Cell::new(level, column.rem_euclid(side), row))
                })
                .collect();
        }
    }
    vec![Cell::whole()]
}
