//! Panics of work that is not ours made errors: the library panics on some damaged files.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The panic's own words where the work panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or(panic.downcast_ref::<&str>().copied());
        words.unwrap_or("its last words are on the console").into()
    })
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_is_told_in_its_words() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| -> u8 { panic!("no room") }), Err("no room".into()));
        assert_eq!(caught(|| -> u8 { panic!("no {}", "room") }), Err("no room".into()));
    }
}
