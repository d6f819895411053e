//! The vectors that kernels compute with. Their width changes no bit of any result: with [`narrow`] tests show it.

use std::cell::Cell;

use pulp::Arch;

thread_local! {
    static NARROW: Cell<bool> = const { Cell::new(false) };
}

/// The widest vectors of the CPU; within [`narrow`] those that every CPU has.
pub fn arch() -> Arch {
    if NARROW.get() { Arch::Scalar } else { Arch::new() }
}

/// Runs something with the vectors that every CPU has, on this thread.
pub fn narrow<T>(run: impl FnOnce() -> T) -> T {
    let before = NARROW.replace(true);
    let result = run();
    NARROW.set(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_narrow_inside_and_as_wide_as_before_outside() {
        let is_narrow = || matches!(arch(), Arch::Scalar);
        let outside = is_narrow();
        assert!(narrow(|| narrow(is_narrow) && is_narrow()));
        assert_eq!(is_narrow(), outside);
    }
}
