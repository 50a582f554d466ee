//! Finds the next byte that means something, eight bytes at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Sets the high bit of each byte that is zero, and perhaps of bytes above the first such.
fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

fn each(byte: u8) -> u64 {
    ONES * u64::from(byte)
}

/// How many bytes come before the first that `is`; `marks` sets the high bit of those in a word,
/// and perhaps of bytes above the first.
fn before(bytes: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*word)) & HIGH;
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let found = rest.iter().position(|&byte| is(byte));
    words.len() * 8 + found.unwrap_or(rest.len())
}

/// How many of these bytes stand for themselves in a text in quotes.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let marks = |word: u64| {
        let control = word.wrapping_sub(each(b' ')) & !word;
        zero(word ^ each(b'"')) | zero(word ^ each(b'\\')) | control
    };
    before(bytes, marks, |b| b == b'"' || b == b'\\' || b < b' ')
}

/// How many bytes come before the first quote or backslash.
pub(super) fn to_quote(bytes: &[u8]) -> usize {
    let marks = |word: u64| zero(word ^ each(b'"')) | zero(word ^ each(b'\\'));
    before(bytes, marks, |b| b == b'"' || b == b'\\')
}

/// How many bytes come before the first quote or bracket.
pub(super) fn to_bracket(bytes: &[u8]) -> usize {
    // Square brackets are curly ones without this bit.
    let marks = |word: u64| {
        let curly = word | each(0x20);
        zero(word ^ each(b'"')) | zero(curly ^ each(b'{')) | zero(curly ^ each(b'}'))
    };
    before(bytes, marks, |b| matches!(b, b'"' | b'{' | b'}' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_a_sort_is_found_wherever_it_stands() {
        let by_hand = |bytes: &[u8], is: &dyn Fn(u8) -> bool| {
            bytes.iter().position(|&b| is(b)).unwrap_or(bytes.len())
        };
        for fill in [b'a', b' ', 0x7f, 0x80, 0xff, b'!', b'#', b'z', b'^'] {
            for byte in 0..=255_u8 {
                for at in 0..19 {
                    let mut bytes = [fill; 19];
                    bytes[at] = byte;
                    let quote = |b: u8| b == b'"' || b == b'\\';
                    let bracket = |b: u8| matches!(b, b'"' | b'{' | b'}' | b'[' | b']');
                    assert_eq!(plain(&bytes), by_hand(&bytes, &|b| quote(b) || b < b' '));
                    assert_eq!(to_quote(&bytes), by_hand(&bytes, &quote));
                    assert_eq!(to_bracket(&bytes), by_hand(&bytes, &bracket));
                }
            }
        }
    }
}
