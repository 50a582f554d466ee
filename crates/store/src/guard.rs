//! Keeps panics of the Parquet decoder in: damaged bytes end in an error, not in a crash.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder over bytes that may be hostile; `None` where it panicked.
///
/// The decoder must not be used again after a panic.
pub fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(outer);
    done.ok()
}

/// Whether this thread is inside [`guarded`]: a panic hook need not report what is caught.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stays_inside() {
        assert_eq!(guarded(|| -> u8 { panic!("damaged") }), None);
        assert_eq!(guarded(is_guarded), Some(true));
        assert!(!is_guarded());
    }
}
