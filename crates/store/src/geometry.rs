//! Geometry of annotations: decoding shapes, masks and intervals, and how much two of them overlap.

mod mask;
pub mod rle;

pub use mask::Mask;

use geo::{Area, BooleanOps, BoundingRect, LineString, MultiPolygon, Polygon};

/// What an annotation covers.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// An axis-aligned box: left, top, right, bottom.
    Box([f64; 4]),
    /// An area of any outline.
    Area(MultiPolygon<f64>),
    /// A range: start, end.
    Range([f64; 2]),
    /// Pixels.
    Mask(Mask),
}

/// Points of the outline of an ellipse.
const ELLIPSE_POINTS: usize = 64;

impl Shape {
    /// Decodes the geometry of a kind; `None` for a kind that covers nothing, or a geometry that
    /// is not of its kind's form.
    pub fn decode(kind: &str, geometry: &[f64]) -> Option<Self> {
        if geometry.iter().any(|v| !v.is_finite()) {
            return None;
        }
        match (kind, geometry) {
            ("bbox", &[x, y, w, h]) => Some(Self::Box([x, y, x + w, y + h])),
            ("rotated_bbox", &[x, y, w, h, degrees]) => {
                // Rotation is about the top left corner, clockwise in image coordinates.
                let (sin, cos) = degrees.to_radians().sin_cos();
                let corner = |dx: f64, dy: f64| (x + dx * cos - dy * sin, y + dx * sin + dy * cos);
                let ring = vec![corner(0.0, 0.0), corner(w, 0.0), corner(w, h), corner(0.0, h)];
                Some(Self::Area(polygon(ring)))
            }
            ("ellipse", &[cx, cy, rx, ry, degrees]) => {
                let (sin, cos) = degrees.to_radians().sin_cos();
                let ring = (0..ELLIPSE_POINTS)
                    .map(|i| {
                        let angle = std::f64::consts::TAU * i as f64 / ELLIPSE_POINTS as f64;
                        let (dx, dy) = (rx * angle.cos(), ry * angle.sin());
                        (cx + dx * cos - dy * sin, cy + dx * sin + dy * cos)
                    })
                    .collect();
                Some(Self::Area(polygon(ring)))
            }
            ("polygon", _) => rings(geometry).map(Self::Area),
            ("span" | "time_span", &[start, end]) => Some(Self::Range([start, end])),
            _ => None,
        }
    }

    /// Decodes a mask: with a geometry of height and width COCO's code, without one that of Label
    /// Studio's brush. `None` for another code.
    pub fn decode_mask(mask: &[u8], geometry: Option<&[f64]>) -> Option<Self> {
        let mask = match geometry {
            Some(&[height, width]) => Mask::coco(mask, height, width),
            Some(_) => None,
            None => Mask::brush(mask),
        };
        mask.map(Self::Mask)
    }

    /// Intersection over union, from 0 to 1: continuous, without a pixel added. `None` where the
    /// two are of different sorts or neither covers anything.
    pub fn iou(&self, other: &Self) -> Option<f64> {
        let (shared, both) = match (self, other) {
            (Self::Range(a), Self::Range(b)) => {
                let shared = (a[1].min(b[1]) - a[0].max(b[0])).max(0.0);
                (shared, (a[1] - a[0]).max(0.0) + (b[1] - b[0]).max(0.0) - shared)
            }
            (Self::Box(a), Self::Box(b)) => {
                let side = |i: usize| (a[i + 2].min(b[i + 2]) - a[i].max(b[i])).max(0.0);
                let size = |s: &[f64; 4]| (s[2] - s[0]).max(0.0) * (s[3] - s[1]).max(0.0);
                let shared = side(0) * side(1);
                (shared, size(a) + size(b) - shared)
            }
            (Self::Mask(a), Self::Mask(b)) => return a.iou(b),
            (Self::Range(_) | Self::Mask(_), _) | (_, Self::Range(_) | Self::Mask(_)) => {
                return None;
            }
            _ => {
                let (a, b) = (self.area()?, other.area()?);
                let apart = match (a.bounding_rect(), b.bounding_rect()) {
                    (Some(a), Some(b)) => {
                        a.max().x <= b.min().x
                            || b.max().x <= a.min().x
                            || a.max().y <= b.min().y
                            || b.max().y <= a.min().y
                    }
                    _ => true,
                };
                if apart {
                    (0.0, a.unsigned_area() + b.unsigned_area())
                } else {
                    let shared = a.intersection(&b).unsigned_area();
                    (shared, a.unsigned_area() + b.unsigned_area() - shared)
                }
            }
        };
        (both > 0.0).then(|| (shared / both).clamp(0.0, 1.0))
    }

    fn area(&self) -> Option<MultiPolygon<f64>> {
        match self {
            Self::Area(area) => Some(area.clone()),
            Self::Box([l, t, r, b]) => Some(polygon(vec![(*l, *t), (*r, *t), (*r, *b), (*l, *b)])),
            Self::Range(_) | Self::Mask(_) => None,
        }
    }
}

fn polygon(ring: Vec<(f64, f64)>) -> MultiPolygon<f64> {
    MultiPolygon::new(vec![Polygon::new(LineString::from(ring), Vec::new())])
}

/// Ring count, then per ring the number of points and their coordinates. Each ring is an area of
/// its own: labelling tools draw parts, not holes.
fn rings(geometry: &[f64]) -> Option<MultiPolygon<f64>> {
    let (&count, mut rest) = geometry.split_first()?;
    let mut parts = Vec::new();
    for _ in 0..whole(count, rest.len())? {
        let (&points, tail) = rest.split_first()?;
        let points = whole(points, tail.len() / 2)?;
        let (ring, after) = tail.split_at_checked(points * 2)?;
        let ring: Vec<(f64, f64)> = ring.chunks_exact(2).map(|p| (p[0], p[1])).collect();
        parts.push(Polygon::new(LineString::from(ring), Vec::new()));
        rest = after;
    }
    rest.is_empty().then(|| MultiPolygon::new(parts))
}

fn whole(value: f64, most: usize) -> Option<usize> {
    (value >= 0.0 && value.fract() == 0.0 && value <= most as f64).then_some(value as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iou(kind: &str, a: &[f64], b: &[f64]) -> Option<f64> {
        Shape::decode(kind, a)?.iou(&Shape::decode(kind, b)?)
    }

    #[test]
    fn overlaps_equal_those_made_by_hand() {
        // Two 10 x 10 boxes, 5 apart: 50 shared of 150.
        assert_eq!(iou("bbox", &[0., 0., 10., 10.], &[5., 0., 10., 10.]), Some(50. / 150.));
        assert_eq!(iou("bbox", &[0., 0., 1., 1.], &[1., 0., 1., 1.]), Some(0.));
        assert_eq!(iou("bbox", &[0., 0., 0., 0.], &[0., 0., 0., 0.]), None);
        assert_eq!(iou("span", &[0., 10.], &[5., 10.]), Some(0.5));
        // A unit square against its right half, as polygons.
        let square = [1., 4., 0., 0., 1., 0., 1., 1., 0., 1.];
        let half = [1., 4., 0.5, 0., 1., 0., 1., 1., 0.5, 1.];
        assert!((iou("polygon", &square, &half).unwrap() - 0.5).abs() < 1e-9);
        // A square turned by 90 degrees about its corner lies beside the one that was not.
        let turned = iou("rotated_bbox", &[0., 0., 1., 1., 90.], &[0., 0., 1., 1., 0.]).unwrap();
        assert!(turned < 1e-9);
        let circle = Shape::decode("ellipse", &[0., 0., 1., 1., 30.]).unwrap();
        assert!((circle.iou(&circle).unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn broken_geometry_covers_nothing() {
        for geometry in [&[][..], &[1.0], &[1.0, 9.0, 0.0], &[f64::NAN; 4], &[2.5, 0.0], &[-1.0]] {
            assert_eq!(Shape::decode("polygon", geometry), None);
            assert_eq!(Shape::decode("bbox", geometry), None);
        }
        assert_eq!(Shape::decode("choice", &[1.0]), None);
    }
}
