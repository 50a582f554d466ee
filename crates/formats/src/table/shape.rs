//! The form that the numbers of a geometry have by the kind of their row.

/// What is said of a box that has a negative width or height; COCO's importer says the same.
pub(super) const NEGATIVE: &str = "boxes with negative numbers";

/// Refuses numbers that are not of their kind's form; a kind that is not known has any.
pub(super) fn check(kind: &str, numbers: &[f64]) -> Result<(), String> {
    let n = numbers.len();
    let (right, form) = match kind {
        "bbox" => (n == 4, "a box is [x, y, width, height]"),
        "rotated_bbox" => (n == 5, "a rotated box is [x, y, width, height, degrees]"),
        "ellipse" => (n == 5, "an ellipse is [x, y, radius x, radius y, degrees]"),
        "span" | "time_span" => (n == 2, "a span is [start, end]"),
        "polyline" => (n.is_multiple_of(2), "a line is x and y in turn"),
        "keypoints" => (n.is_multiple_of(3), "keypoints are x, y, visibility in turn"),
        "polygon" if is_rings(numbers) => return Ok(()),
        "polygon" => {
            let form = "a polygon is its number of rings, then of each ring its number of points \
                        and their x and y in turn";
            return Err(format!("{form}; these {n} numbers are not"));
        }
        _ => return Ok(()),
    };
    if right { Ok(()) } else { Err(format!("{form}, not {n} numbers")) }
}

/// Whether a box has a negative width or height: odd, but kept.
pub(super) fn is_negative(kind: &str, numbers: &[f64]) -> bool {
    match (kind, numbers) {
        ("bbox", [_, _, width, height]) | ("rotated_bbox", [_, _, width, height, _]) => {
            *width < 0.0 || *height < 0.0
        }
        _ => false,
    }
}

/// A number of rings, then of each ring the number of its points and their coordinates.
fn is_rings(numbers: &[f64]) -> bool {
    let Some((&rings, mut rest)) = numbers.split_first() else { return false };
    let Some(rings) = count(rings, rest.len()) else { return false };
    for _ in 0..rings {
        let Some((&points, tail)) = rest.split_first() else { return false };
        let points = count(points, tail.len() / 2);
        let Some(after) = points.and_then(|points| tail.get(points * 2..)) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// A float as a whole number of things of which there are at most so many.
fn count(value: f64, most: usize) -> Option<usize> {
    (value >= 0.0 && value.fract() == 0.0 && value <= most as f64).then_some(value as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_the_kind() {
        let square = [1.0, 4.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0];
        let two_rings = [2.0, 1.0, 5.0, 5.0, 2.0, 0.0, 0.0, 1.0, 1.0];
        for (kind, numbers) in [
            ("bbox", &[1.0, 2.0, -3.0, 4.0][..]),
            ("rotated_bbox", &[1.0; 5]),
            ("ellipse", &[1.0; 5]),
            ("span", &[1.0; 2]),
            ("time_span", &[1.0; 2]),
            ("polyline", &[1.0; 6]),
            ("keypoints", &[1.0; 6]),
            ("polygon", &square),
            ("polygon", &two_rings),
            ("polygon", &[1.0, 0.0]),
            ("mask", &[480.0, 640.0]),
            ("a kind of their own", &[1.0; 7]),
        ] {
            assert_eq!(check(kind, numbers), Ok(()), "{kind} {numbers:?}");
        }
        for (kind, numbers) in [
            ("bbox", &[1.0; 3][..]),
            ("bbox", &[]),
            ("rotated_bbox", &[1.0; 4]),
            ("ellipse", &[1.0; 4]),
            ("span", &[1.0; 3]),
            ("time_span", &[1.0]),
            ("polyline", &[1.0; 5]),
            ("keypoints", &[1.0; 4]),
            ("polygon", &[]),
            ("polygon", &square[..9]),
            ("polygon", &square[2..]),
            ("polygon", &[2.0, 1.0, 5.0, 5.0]),
            ("polygon", &[1.5, 1.0, 5.0, 5.0]),
            ("polygon", &[-1.0]),
            ("polygon", &[1e300, 1.0]),
            ("polygon", &[1.0, 1e300]),
        ] {
            assert!(check(kind, numbers).is_err(), "{kind} {numbers:?}");
        }
    }

    #[test]
    fn only_sides_are_negative() {
        assert!(is_negative("bbox", &[1.0, 2.0, -3.0, 4.0]));
        assert!(is_negative("rotated_bbox", &[1.0, 2.0, 3.0, -4.0, 0.0]));
        assert!(!is_negative("bbox", &[-1.0, -2.0, 0.0, -0.0]));
        assert!(!is_negative("span", &[-1.0, -2.0]));
    }
}
