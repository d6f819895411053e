//! Code that is compiled for several instruction sets, one of which is taken at run time.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

/// Runs an `#[inline(always)]` closure compiled for the CPU's vectors. Whatever computes in it must be inlined, too.
///
/// `pulp::Arch::dispatch` will not do: it calls a closure once, by a function that the compiler writes around those that borrow
/// something mutably. That function is not inlined into the place that has the CPU's features, so the closure is compiled for the oldest CPU.
#[inline(always)]
pub(crate) fn with_vectors<R>(kernel: impl FnMut() -> R) -> R {
    struct Kernel<F>(F);
    impl<R, F: FnMut() -> R> pulp::NullaryFnOnce for Kernel<F> {
        type Output = R;

        #[inline(always)]
        fn call(mut self) -> R {
            (self.0)()
        }
    }
    hebbian_shared::vectors::arch().dispatch(Kernel(kernel))
}
