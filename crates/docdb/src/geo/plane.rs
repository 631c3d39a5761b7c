//! Legacy shapes, on the plane.

/// A shape on the plane. The border of a box or a circle belongs to it.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// The lower and the upper corner.
    Box([f64; 2], [f64; 2]),
    Circle([f64; 2], f64),
    Polygon(Vec<[f64; 2]>),
}

pub(super) fn planar_distance(one: [f64; 2], other: [f64; 2]) -> f64 {
    (one[0] - other[0]).hypot(one[1] - other[1])
}

impl Shape {
    pub(super) fn contains(&self, point: [f64; 2]) -> bool {
        let [x, y] = point;
        match self {
            Self::Box(low, high) => (low[0]..=high[0]).contains(&x) && (low[1]..=high[1]).contains(&y),
            Self::Circle(center, radius) => planar_distance(*center, point) <= *radius,
            Self::Polygon(corners) => in_polygon(corners, point),
        }
    }
}

/// MongoDB's own test: a point on a corner, a level or an upright edge is inside, one on another edge need not be.
fn in_polygon(corners: &[[f64; 2]], [x, y]: [f64; 2]) -> bool {
    let mut inside = false;
    let mut before = corners.last().copied().unwrap_or_default();
    for &corner in corners {
        let ([ax, ay], [bx, by]) = (before, corner);
        before = corner;
        let level = ay == by && y == ay && x >= ax.min(bx) && x <= ax.max(bx);
        if level || [ax, ay] == [x, y] {
            return true;
        }
        // A ray to the right can meet the edge.
        if ay == by || y <= ay.min(by) || y > ay.max(by) || x > ax.max(bx) {
            continue;
        }
        if ax == x && bx == x {
            return true;
        }
        if ax == bx || x <= (y - ay) * (bx - ax) / (by - ay) + ax {
            inside = !inside;
        }
    }
    inside
}
