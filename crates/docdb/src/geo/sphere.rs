//! Geometry on the unit sphere: points are vectors, edges are arcs of great circles.

use std::f64::consts::PI;

/// Angles below which two things touch: what rounding makes of a point on an edge, less than a micrometre on the earth.
const TOUCH: f64 = 1e-14;

/// A point on the sphere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vector {
    x: f64,
    y: f64,
    z: f64,
}

impl Vector {
    /// The point at a longitude and a latitude in degrees, if there is one.
    pub(super) fn of_degrees([longitude, latitude]: [f64; 2]) -> Option<Self> {
        if !(-180.0..=180.0).contains(&longitude) || !(-90.0..=90.0).contains(&latitude) {
            return None;
        }
        let (longitude, latitude) = (longitude.to_radians(), latitude.to_radians());
        Some(Self {
            x: latitude.cos() * longitude.cos(),
            y: latitude.cos() * longitude.sin(),
            z: latitude.sin(),
        })
    }

    /// Longitude and latitude in degrees.
    pub(super) fn degrees(self) -> [f64; 2] {
        [
            self.y.atan2(self.x).to_degrees(),
            self.z.clamp(-1.0, 1.0).asin().to_degrees(),
        ]
    }

    fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    fn cross(self, other: Self) -> Self {
        Self {
            x: self.y * other.z - self.z * other.y,
            y: self.z * other.x - self.x * other.z,
            z: self.x * other.y - self.y * other.x,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            x: self.x + other.x,
            y: self.y + other.y,
            z: self.z + other.z,
        }
    }

    /// The point of the sphere in this direction.
    fn unit(self) -> Self {
        let length = self.length();
        if length == 0.0 {
            return self;
        }
        Self {
            x: self.x / length,
            y: self.y / length,
            z: self.z / length,
        }
    }

    /// A point a quarter of the way around.
    fn across(self) -> Self {
        // Not along the axis that it is nearest to.
        let axis = if self.z.abs() < 0.6 {
            Self {
                x: 0.0,
                y: 0.0,
                z: 1.0,
            }
        } else {
            Self {
                x: 1.0,
                y: 0.0,
                z: 0.0,
            }
        };
        self.cross(axis).unit()
    }

    fn minus(self, other: Self) -> Self {
        Self {
            x: self.x - other.x,
            y: self.y - other.y,
            z: self.z - other.z,
        }
    }

    fn length(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The angle between two points.
    fn angle(self, other: Self) -> f64 {
        self.cross(other).length().atan2(self.dot(other))
    }

    fn same(self, other: Self) -> bool {
        self.angle(other) <= TOUCH
    }
}

/// Positive where `c` lies to the left of the arc from `a` to `b`; 0 where it is one of its ends.
fn side(a: Vector, b: Vector, c: Vector) -> f64 {
    // By differences, which are exact where the points are close: a×b·c would drown in its own rounding.
    let (along, aside) = (b.minus(a), c.minus(a));
    let side = along.cross(aside).dot(a);
    // What the rounding of the points themselves can make of points on one great circle.
    let noise = 5e-16 * (along.length() + aside.length());
    if side.abs() <= noise { 0.0 } else { side }
}

/// The angle from a point to an arc.
fn distance_to_arc(point: Vector, a: Vector, b: Vector) -> f64 {
    let normal = a.cross(b);
    let length = normal.length();
    if length > 0.0 {
        // The foot of the perpendicular is on the arc if it lies between the ends.
        let between = a.cross(normal).dot(point) <= 0.0 && b.cross(normal).dot(point) >= 0.0;
        let near = point.dot(a) > -point.dot(b) || point.dot(a).max(point.dot(b)) > 0.0;
        if between && near {
            return (normal.dot(point) / length).abs().min(1.0).asin();
        }
    }
    point.angle(a).min(point.angle(b))
}

fn on_arc(point: Vector, a: Vector, b: Vector) -> bool {
    distance_to_arc(point, a, b) <= TOUCH
}

/// If two arcs cross at a point inside both.
fn cross_properly(a: Vector, b: Vector, c: Vector, d: Vector) -> bool {
    let (one, two) = (side(a, b, c), side(a, b, d));
    let (three, four) = (side(c, d, a), side(c, d, b));
    let apart = |left: f64, right: f64| left > 0.0 && right < 0.0 || left < 0.0 && right > 0.0;
    if !apart(one, two) || !apart(three, four) {
        return false;
    }
    at_the_same(a, b, c, d)
}

/// If two arcs have a point in common.
fn arcs_meet(a: Vector, b: Vector, c: Vector, d: Vector) -> bool {
    cross_properly(a, b, c, d) || on_arc(a, c, d) || on_arc(b, c, d) || on_arc(c, a, b) || on_arc(d, a, b)
}

/// If the way between two points crosses an edge. A corner on the way belongs to one side, so that the two edges which meet
/// there count once or twice as they should.
fn passes(from: Vector, to: Vector, a: Vector, b: Vector) -> bool {
    let left = |value: f64| value >= 0.0;
    if left(side(from, to, a)) == left(side(from, to, b)) || left(side(a, b, from)) == left(side(a, b, to)) {
        return false;
    }
    at_the_same(from, to, a, b)
}

/// Two circles cross at two opposite points: if both arcs are at the same one.
fn at_the_same(a: Vector, b: Vector, c: Vector, d: Vector) -> bool {
    let at = a.cross(b).cross(c.cross(d));
    at.dot(a.plus(b)) * at.dot(c.plus(d)) > 0.0
}

/// If all corners lie on the arc between two of them.
fn is_flat(first: Vector, corners: &[Vector]) -> bool {
    let farthest = |from: Vector| {
        corners
            .iter()
            .copied()
            .max_by(|left, right| from.angle(*left).total_cmp(&from.angle(*right)))
            .unwrap_or(from)
    };
    let end = farthest(first);
    let other = farthest(end);
    corners.iter().all(|corner| on_arc(*corner, end, other))
}

/// A point beside the middle of an arc, closer than anything else is drawn.
fn left_of(a: Vector, b: Vector) -> Vector {
    const BESIDE: f64 = 1e-11;
    let (middle, left) = (a.plus(b).unit(), a.cross(b).unit());
    middle
        .plus(Vector {
            x: left.x * BESIDE,
            y: left.y * BESIDE,
            z: left.z * BESIDE,
        })
        .unit()
}

/// A closed ring, its interior to the left; the first corner is not repeated.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    corners: Vec<Vector>,
    /// A point just left of the first edge.
    inside: Vector,
    /// All corners lie on one arc: there is no inside.
    flat: bool,
}

/// Why a ring or polygon is none.
pub(super) type Flaw = &'static str;

impl Ring {
    /// A ring from corners of which the last repeats the first. With `strict` the interior is to the left as the corners
    /// stand, else it is the smaller area.
    pub(super) fn new(mut corners: Vec<Vector>, strict: bool) -> Result<Self, Flaw> {
        corners.dedup_by(|left, right| left.same(*right));
        if corners.len() > 1
            && corners
                .first()
                .zip(corners.last())
                .is_some_and(|(first, last)| first.same(*last))
        {
            corners.pop();
        }
        let [first, second, _, ..] = corners.as_slice() else {
            return Err("a ring must have at least 3 different vertices");
        };
        let mut ring = Self {
            inside: left_of(*first, *second),
            flat: is_flat(*first, &corners),
            corners,
        };
        if ring.crosses_itself() {
            return Err("edges of a ring cross");
        }
        // Half of the sphere, but for rounding, stays as it stands.
        if !strict && ring.turning() < -1e-9 {
            ring.corners.reverse();
            if let [first, second, ..] = ring.corners.as_slice() {
                ring.inside = left_of(*first, *second);
            }
        }
        Ok(ring)
    }

    fn edges(&self) -> impl Iterator<Item = (Vector, Vector)> + '_ {
        let next = self.corners.iter().skip(1).chain(self.corners.first());
        self.corners.iter().copied().zip(next.copied())
    }

    fn crosses_itself(&self) -> bool {
        let edges: Vec<(Vector, Vector)> = self.edges().collect();
        edges.iter().enumerate().any(|(at, (a, b))| {
            edges
                .iter()
                .skip(at + 1)
                .any(|(c, d)| cross_properly(*a, *b, *c, *d))
        })
    }

    /// The sum of the turns to the left at the corners: 2π less the area to the left, which is the smaller one if this is
    /// positive.
    fn turning(&self) -> f64 {
        let edges: Vec<(Vector, Vector)> = self.edges().collect();
        let next = edges.iter().skip(1).chain(edges.first());
        edges
            .iter()
            .zip(next)
            .map(|((a, b), (_, c))| {
                let (before, after) = (a.cross(*b), b.cross(*c));
                b.dot(before.cross(after)).atan2(before.dot(after))
            })
            .sum()
    }

    fn on_border(&self, point: Vector) -> bool {
        self.edges().any(|(a, b)| on_arc(point, a, b))
    }

    /// If a point is inside; the border is what it happens to be.
    fn contains(&self, point: Vector) -> bool {
        if self.flat {
            return false;
        }
        // Each edge on the way from a point inside leads out or in.
        let crossed =
            |from: Vector, to: Vector| self.edges().filter(|(a, b)| passes(from, to, *a, *b)).count();
        let count = if self.inside.angle(point) < 3.0 {
            crossed(self.inside, point)
        } else {
            // There is more than one shortest way to the far side: take one by a point between.
            let between = self.inside.across();
            crossed(self.inside, between) + crossed(between, point)
        };
        count % 2 == 0
    }

    fn distance(&self, point: Vector) -> f64 {
        self.edges()
            .map(|(a, b)| distance_to_arc(point, a, b))
            .fold(f64::INFINITY, f64::min)
    }
}

/// An outer ring and holes.
#[derive(Clone, Debug)]
pub(super) struct Polygon {
    outer: Ring,
    holes: Vec<Ring>,
}

impl Polygon {
    pub(super) fn new(outer: Ring, holes: Vec<Ring>) -> Result<Self, Flaw> {
        for hole in &holes {
            let outside = |corner: &Vector| !outer.contains(*corner) && !outer.on_border(*corner);
            let along = |(a, b): (Vector, Vector)| outer.on_border(a.plus(b).unit());
            if hole.corners.iter().any(outside) || hole.edges().any(along) {
                return Err("a hole is not inside of the outer ring");
            }
        }
        Ok(Self { outer, holes })
    }

    fn rings(&self) -> impl Iterator<Item = &Ring> {
        std::iter::once(&self.outer).chain(&self.holes)
    }

    fn edges(&self) -> impl Iterator<Item = (Vector, Vector)> + '_ {
        self.rings().flat_map(Ring::edges)
    }

    fn corners(&self) -> impl Iterator<Item = Vector> + '_ {
        self.rings().flat_map(|ring| ring.corners.iter().copied())
    }

    /// The border counts as inside.
    fn contains(&self, point: Vector) -> bool {
        if self.rings().any(|ring| ring.on_border(point)) {
            return true;
        }
        self.outer.contains(point) && !self.holes.iter().any(|hole| hole.contains(point))
    }

    fn contains_line(&self, line: &[Vector]) -> bool {
        line.iter().all(|point| self.contains(*point))
            && !line.windows(2).any(|pair| match pair {
                [a, b] => self.edges().any(|(c, d)| cross_properly(*a, *b, c, d)),
                _ => false,
            })
    }

    fn contains_polygon(&self, other: &Self) -> bool {
        let covers_hole = self.holes.iter().any(|hole| {
            hole.corners
                .iter()
                .any(|corner| other.contains(*corner) && !other.rings().any(|ring| ring.on_border(*corner)))
        });
        other.outer.corners.iter().all(|corner| self.contains(*corner))
            && !covers_hole
            && !other
                .edges()
                .any(|(a, b)| self.edges().any(|(c, d)| cross_properly(a, b, c, d)))
    }

    fn meets_line(&self, line: &[Vector]) -> bool {
        line.iter().any(|point| self.contains(*point))
            || line.windows(2).any(|pair| match pair {
                [a, b] => self.edges().any(|(c, d)| arcs_meet(*a, *b, c, d)),
                _ => false,
            })
    }

    fn contains_inside(&self, point: Vector) -> bool {
        self.contains(point) && !self.rings().any(|ring| ring.on_border(point))
    }

    /// Points by which it shows if the other polygon's interior reaches in here: corners, middles of edges, and the middle.
    fn samples(&self) -> impl Iterator<Item = Vector> + '_ {
        let all = self.outer.corners.iter().copied().reduce(Vector::plus);
        let middles = self.edges().map(|(a, b)| a.plus(b).unit());
        self.corners().chain(middles).chain(all.map(Vector::unit))
    }

    /// If two polygons have more than a border in common.
    fn meets_polygon(&self, other: &Self) -> bool {
        other
            .edges()
            .any(|(a, b)| self.edges().any(|(c, d)| cross_properly(a, b, c, d)))
            || other
                .samples()
                .any(|point| self.contains_inside(point) && other.contains(point))
            || self
                .samples()
                .any(|point| other.contains_inside(point) && self.contains(point))
    }

    fn distance(&self, point: Vector) -> f64 {
        if self.contains(point) {
            return 0.0;
        }
        self.rings()
            .map(|ring| ring.distance(point))
            .fold(f64::INFINITY, f64::min)
    }
}

/// Any GeoJSON geometry: its parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Geometry {
    pub(super) points: Vec<Vector>,
    pub(super) lines: Vec<Vec<Vector>>,
    pub(super) polygons: Vec<Polygon>,
}

impl Geometry {
    pub(super) fn of_point(point: Vector) -> Self {
        Self {
            points: vec![point],
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.points.extend(other.points);
        self.lines.extend(other.lines);
        self.polygons.extend(other.polygons);
    }

    /// A cap around the geometry, where one of less than half the sphere is known to hold it.
    pub(super) fn bound(&self) -> Option<Cap> {
        if self
            .polygons
            .iter()
            .any(|polygon| polygon.outer.turning() <= 1e-9)
        {
            return None;
        }
        let corners = || {
            let lines = self.lines.iter().flatten().copied();
            let polygons = self.polygons.iter().flat_map(Polygon::corners);
            self.points.iter().copied().chain(lines).chain(polygons)
        };
        let center = corners().reduce(Vector::plus)?.unit();
        let radius = corners().map(|corner| center.angle(corner)).fold(0.0, f64::max);
        // Such a cap holds the arcs between its points, and the smaller of the areas that they bound.
        (center.length() > 0.5 && radius < PI / 2.0 - 1e-6).then_some(Cap { center, radius })
    }

    /// If all of another geometry lies inside of the polygons of this one.
    pub(super) fn contains(&self, other: &Self) -> bool {
        let any = |inside: &dyn Fn(&Polygon) -> bool| self.polygons.iter().any(inside);
        other
            .points
            .iter()
            .all(|point| any(&|polygon| polygon.contains(*point)))
            && other
                .lines
                .iter()
                .all(|line| any(&|polygon| polygon.contains_line(line)))
            && other
                .polygons
                .iter()
                .all(|inner| any(&|polygon| polygon.contains_polygon(inner)))
    }

    /// If two geometries have a point in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.points.iter().any(|point| other.meets_point(*point))
            || other.points.iter().any(|point| self.meets_point(*point))
            || self.lines.iter().any(|line| other.meets_line(line))
            || other
                .lines
                .iter()
                .any(|line| self.polygons.iter().any(|polygon| polygon.meets_line(line)))
            || self
                .polygons
                .iter()
                .any(|one| other.polygons.iter().any(|two| one.meets_polygon(two)))
    }

    fn meets_point(&self, point: Vector) -> bool {
        self.points.iter().any(|other| other.same(point))
            || self.lines.iter().any(|line| {
                line.windows(2)
                    .any(|pair| matches!(pair, [a, b] if on_arc(point, *a, *b)))
            })
            || self.polygons.iter().any(|polygon| polygon.contains(point))
    }

    fn meets_line(&self, line: &[Vector]) -> bool {
        let lines_meet = |other: &Vec<Vector>| {
            line.windows(2).any(|one| {
                other
                    .windows(2)
                    .any(|two| matches!((one, two), ([a, b], [c, d]) if arcs_meet(*a, *b, *c, *d)))
            })
        };
        self.lines.iter().any(lines_meet) || self.polygons.iter().any(|polygon| polygon.meets_line(line))
    }

    /// The angle from a point to the nearest part.
    pub(super) fn distance(&self, point: Vector) -> f64 {
        let points = self.points.iter().map(|other| other.angle(point));
        let lines = self.lines.iter().flat_map(|line| {
            line.windows(2).map(|pair| match pair {
                [a, b] => distance_to_arc(point, *a, *b),
                _ => f64::INFINITY,
            })
        });
        let polygons = self.polygons.iter().map(|polygon| polygon.distance(point));
        points.chain(lines).chain(polygons).fold(f64::INFINITY, f64::min)
    }
}

/// All points within an angle of a center.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    center: Vector,
    radius: f64,
}

impl Cap {
    pub(super) const fn new(center: Vector, radius: f64) -> Self {
        Self { center, radius }
    }

    pub(super) const fn center(&self) -> Vector {
        self.center
    }

    pub(super) const fn radius(&self) -> f64 {
        self.radius
    }

    /// If all of a geometry lies inside. In a cap of less than half the sphere an arc lies where its ends lie.
    pub(super) fn contains(&self, geometry: &Geometry) -> bool {
        let near = |point: Vector| self.center.angle(point) <= self.radius;
        geometry.points.iter().all(|point| near(*point))
            && geometry.lines.iter().flatten().all(|point| near(*point))
            && geometry
                .polygons
                .iter()
                .all(|polygon| polygon.corners().all(near))
    }
}
