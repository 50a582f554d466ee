//! COCO's run-length encoding: runs of background and foreground in turn, column by column.
//!
//! The `mask` column holds the compressed text form, as `pycocotools` reads and writes it. Runs
//! are never unfolded into pixels, so that a stated size costs nothing.

/// How many five-bit digits a run may have; 32 bits need seven, a sign one more.
const RUN_DIGITS_MAX: u32 = 8;

/// Reads the compressed text; `None` where it is not COCO's encoding.
pub fn decode(text: &[u8]) -> Option<Vec<u32>> {
    let mut runs: Vec<u32> = Vec::new();
    let mut bytes = text.iter();
    while let Some(&first) = bytes.next() {
        let mut byte = first;
        let (mut value, mut digits) = (0_i64, 0);
        loop {
            let code = byte.checked_sub(48).filter(|c| *c < 64)?;
            value |= i64::from(code & 0x1f) << (5 * digits);
            digits += 1;
            if code & 0x20 == 0 {
                if code & 0x10 != 0 {
                    value |= -1 << (5 * digits);
                }
                break;
            }
            if digits == RUN_DIGITS_MAX {
                return None;
            }
            byte = *bytes.next()?;
        }
        // From the fourth run on, the text holds the difference to the run before the last.
        if runs.len() > 2 {
            value += i64::from(runs[runs.len() - 2]);
        }
        runs.push(u32::try_from(value).ok()?);
    }
    Some(runs)
}

/// Writes runs as compressed text.
pub fn encode(runs: &[u32]) -> Vec<u8> {
    let mut text = Vec::with_capacity(runs.len() * 2);
    for (i, &run) in runs.iter().enumerate() {
        let mut value = i64::from(run);
        if i > 2 {
            value -= i64::from(runs[i - 2]);
        }
        loop {
            let digit = (value & 0x1f) as u8;
            value >>= 5;
            let more = if digit & 0x10 != 0 { value != -1 } else { value != 0 };
            text.push(48 + digit + if more { 0x20 } else { 0 });
            if !more {
                break;
            }
        }
    }
    text
}

/// The number of pixels that the runs cover, background included.
pub fn pixels(runs: &[u32]) -> u64 {
    runs.iter().map(|&run| u64::from(run)).sum()
}

/// The number of foreground pixels.
pub fn area(runs: &[u32]) -> u64 {
    runs.iter().skip(1).step_by(2).map(|&run| u64::from(run)).sum()
}

/// The box `[x, y, w, h]` around the foreground of an image of that height; zeros where there is
/// none.
pub fn bbox(runs: &[u32], height: u64) -> [u64; 4] {
    let (mut left, mut top, mut right, mut bottom) = (u64::MAX, u64::MAX, 0, 0);
    let mut at = 0_u64;
    for (i, &run) in runs.iter().enumerate() {
        let end = at + u64::from(run);
        if i % 2 == 1 && run > 0 && height > 0 {
            let (first, last) = (at, end - 1);
            left = left.min(first / height);
            right = right.max(last / height);
            let one_column = first / height == last / height;
            top = top.min(if one_column { first % height } else { 0 });
            bottom = bottom.max(if one_column { last % height } else { height - 1 });
        }
        at = end;
    }
    if left > right { [0; 4] } else { [left, top, right - left + 1, bottom - top + 1] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_form_is_the_one_of_pycocotools() {
        // pycocotools.mask.frPyObjects({"counts": [0, 20, 30], "size": [10, 5]}, 10, 5) gives
        // b"0d0n0"; its area() is 20 and its toBbox() [0, 0, 2, 10].
        assert_eq!(encode(&[0, 20, 30]), b"0d0n0");
        assert_eq!(decode(b"0d0n0"), Some(vec![0, 20, 30]));
        assert_eq!(area(&[0, 20, 30]), 20);
        assert_eq!(pixels(&[0, 20, 30]), 50);
        assert_eq!(bbox(&[0, 20, 30], 10), [0, 0, 2, 10]);
    }

    #[test]
    fn box_of_runs_in_single_columns_is_tight() {
        // Height 10: pixels 12..15 are column 1, rows 2 to 4; 33..35 are column 3, rows 3 and 4.
        assert_eq!(bbox(&[12, 3, 18, 2], 10), [1, 2, 3, 3]);
        assert_eq!(bbox(&[50], 10), [0; 4]);
        assert_eq!(bbox(&[0, 0, 50], 10), [0; 4]);
        assert_eq!(bbox(&[0, 5], 0), [0; 4]);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for text in [&b"\0\0\x12\x34"[..], b"oooooooooo", b"o", b"O", b" ", b"\xff"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode(b""), Some(vec![]));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(runs in prop::collection::vec(any::<u32>(), 0..50)) {
            prop_assert_eq!(decode(&encode(&runs)), Some(runs));
        }

        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(runs) = decode(&text) {
                bbox(&runs, 7);
            }
        }
    }
}
