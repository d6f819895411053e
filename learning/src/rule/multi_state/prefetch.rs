//! Asking for memory before it is needed.

use pulp::Simd;

/// A cache that is asked to fetch a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// The smallest, which feeds the registers.
    First,
    /// The next one.
    Second,
}

/// Asks for the line in which `values[place]` stands; any place may be asked for, and nothing else happens. Does nothing
/// on CPUs but x86-64 with AVX2.
#[inline(always)]
pub(super) fn prefetch<T, S: Simd>(simd: S, values: &[T], place: usize, level: Level) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1};
        let line = values.as_ptr().wrapping_add(place).cast::<i8>();
        let simd: &dyn std::any::Any = &simd;
        // Decided at compile time.
        let sse = if let Some(simd) = simd.downcast_ref::<pulp::x86::V4>() {
            simd.sse
        } else if let Some(simd) = simd.downcast_ref::<pulp::x86::V3>() {
            simd.sse
        } else {
            return;
        };
        match level {
            Level::First => sse._mm_prefetch::<_MM_HINT_T0>(line),
            Level::Second => sse._mm_prefetch::<_MM_HINT_T1>(line),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (simd, values, place, level);
}
