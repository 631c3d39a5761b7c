//! Legacy shapes, on the plane.

/// A shape on the plane. Its border belongs to it.
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

fn in_polygon(corners: &[[f64; 2]], [x, y]: [f64; 2]) -> bool {
    let mut inside = false;
    let mut before = corners.last().copied().unwrap_or_default();
    for &corner in corners {
        let ([ax, ay], [bx, by]) = (before, corner);
        let turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax);
        let beside = |a: f64, b: f64, at: f64| at >= a.min(b) && at <= a.max(b);
        if turn == 0.0 && beside(ax, bx, x) && beside(ay, by, y) {
            return true;
        }
        // A ray to the right crosses the edge.
        if (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax {
            inside = !inside;
        }
        before = corner;
    }
    inside
}
