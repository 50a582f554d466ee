//! Masks by their runs, never unfolded into pixels.

use super::rle;

/// A mask: runs of background and foreground in turn, beginning with background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    runs: Vec<u32>,
    order: Order,
}

/// In which order pixels are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Column by column, of an image of that height.
    Columns(u64),
    /// Row by row; the width is not known.
    Rows,
}

impl Mask {
    /// Reads COCO's compressed text, of an image of that height and width; `None` where it is not
    /// that, or does not fill the image.
    pub fn coco(text: &[u8], height: f64, width: f64) -> Option<Self> {
        let runs = rle::decode(text)?;
        let whole = |side: f64| side >= 0.0 && side.fract() == 0.0 && side <= f64::from(u32::MAX);
        if !whole(height) || !whole(width) {
            return None;
        }
        let fills = rle::pixels(&runs) == (height as u64).checked_mul(width as u64)?;
        fills.then_some(Self { runs, order: Order::Columns(height as u64) })
    }

    /// Reads Label Studio's brush code; `None` where it is not that.
    ///
    /// A stream of bits: 32 for the number of values (four a pixel: red, green, blue, alpha), 5 for
    /// the bits of a value less 1, four times 4 for the bits of lengths less 1; then runs: one bit
    /// that says whether all values of it are one, two that choose the bits of its length, the
    /// length less 1, and its value or values. A pixel is in the mask where its alpha is not 0. So
    /// read by `label_studio_sdk.converter.brush`.
    pub fn brush(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let count = u64::from(bits.take(32)?);
        let value_bits = bits.take(5)? + 1;
        let mut length_bits = [0; 4];
        for length in &mut length_bits {
            *length = bits.take(4)? + 1;
        }
        let mut runs = Runs::default();
        let mut at = 0;
        while at < count {
            let same = bits.take(1)? == 1;
            let which = bits.take(2)? as usize;
            let length = bits.take(length_bits[which])?;
            let end = at + u64::from(length) + 1;
            if end > count {
                return None;
            }
            if same {
                let on = bits.take(value_bits)? > 0;
                // Of four values the last is alpha.
                runs.add(on, end / 4 - at / 4)?;
                at = end;
            }
            while at < end {
                let on = bits.take(value_bits)? > 0;
                at += 1;
                if at % 4 == 0 {
                    runs.add(on, 1)?;
                }
            }
        }
        (count % 4 == 0).then_some(Self { runs: runs.runs, order: Order::Rows })
    }

    /// Pixels of both over pixels of either; `None` where the two are of images of other sizes or
    /// other codes, or neither holds a pixel.
    pub fn iou(&self, other: &Self) -> Option<f64> {
        if self.order != other.order || rle::pixels(&self.runs) != rle::pixels(&other.runs) {
            return None;
        }
        let (mut shared, mut either) = (0_u64, 0_u64);
        let (mut a, mut b) = (self.runs.iter().copied(), other.runs.iter().copied());
        let (mut left, mut right) = (a.next(), b.next());
        let (mut in_a, mut in_b) = (false, false);
        while let (Some(of_a), Some(of_b)) = (left, right) {
            let step = of_a.min(of_b);
            shared += if in_a && in_b { u64::from(step) } else { 0 };
            either += if in_a || in_b { u64::from(step) } else { 0 };
            left = Some(of_a - step);
            right = Some(of_b - step);
            if of_a == step {
                left = a.next();
                in_a = !in_a;
            }
            if of_b == step {
                right = b.next();
                in_b = !in_b;
            }
        }
        (either > 0).then(|| shared as f64 / either as f64)
    }
}

/// Bits of bytes, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits as a number; 32 at most.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = (value << 1) | u32::from((byte >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

/// Runs in the making.
#[derive(Default)]
struct Runs {
    runs: Vec<u32>,
}

impl Runs {
    fn add(&mut self, on: bool, pixels: u64) -> Option<()> {
        let pixels = u32::try_from(pixels).ok()?;
        if pixels == 0 {
            return Some(());
        }
        // The last run is of the foreground where their number is even.
        let last_on = self.runs.len().is_multiple_of(2);
        match self.runs.last_mut() {
            None if on => self.runs.extend([0, pixels]),
            None => self.runs.push(pixels),
            Some(last) if last_on == on => *last = last.checked_add(pixels)?,
            Some(_) => self.runs.push(pixels),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rectangles of 30 and 4 pixels, and one of 30, on 12 rows of 9: 13 pixels are in both and
    /// 51 in either. `pycocotools.mask.encode`, and `encode_rle` of `label_studio_sdk`.
    const COCO: [&[u8]; 2] = [b">660000000c0LA0G", b"X16600000008"];
    const BRUSH: [&[u8]; 2] = [
        &[
            0, 0, 1, 176, 57, 27, 254, 75, 0, 194, 127, 247, 192, 48, 159, 253, 240, 12, 39, 255,
            124, 3, 9, 255, 223, 0, 194, 127, 247, 192, 48, 159, 254, 75, 0, 159, 255, 13, 128, 79,
            255, 136, 192, 0,
        ],
        &[
            0, 0, 1, 176, 57, 27, 254, 155, 0, 194, 127, 247, 192, 48, 159, 253, 240, 12, 39, 255,
            124, 3, 9, 255, 223, 0, 194, 127, 247, 192, 48, 159, 254, 75, 0, 0,
        ],
    ];

    #[test]
    fn overlaps_equal_those_of_pycocotools() {
        let [a, b] = COCO.map(|text| Mask::coco(text, 12.0, 9.0).unwrap());
        assert_eq!(a.iou(&b), Some(13.0 / 51.0));
        assert_eq!(a.iou(&a), Some(1.0));
        let [c, d] = BRUSH.map(|bytes| Mask::brush(bytes).unwrap());
        assert_eq!(c.iou(&d), Some(13.0 / 51.0));
        assert_eq!(rle::area(&c.runs), 34);
        // Other codes count pixels in another order.
        assert_eq!(a.iou(&c), None);
        let empty = Mask { runs: vec![108], order: Order::Columns(12) };
        assert_eq!((empty.iou(&empty), empty.iou(&a)), (None, Some(0.0)));
    }

    #[test]
    fn what_is_no_mask_is_none() {
        assert_eq!(Mask::coco(COCO[0], 12.0, 10.0), None);
        assert_eq!(Mask::coco(COCO[0], 9.0, f64::NAN), None);
        assert_eq!(Mask::coco(b"\xff", 1.0, 1.0), None);
        for end in 0..BRUSH[0].len() - 1 {
            assert_eq!(Mask::brush(&BRUSH[0][..end]), None, "{end}");
        }
        // Billions of values are said to come, and none does.
        assert_eq!(Mask::brush(&[255; 8]), None);
    }
}
