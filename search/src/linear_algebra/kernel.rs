//! Kernels compiled for several instruction sets, one of which is taken at run time.

/// Calls an `#[inline(always)]` function compiled for the CPU's vectors:
/// `dispatch!('a, kernel => (name: Type, ...) -> Output)`, where each argument is a variable of that name. Types may name
/// `'a`.
///
/// A closure will not do in place of the struct: its call is not inlined into the place that has the CPU's features.
macro_rules! dispatch {
    ($a:lifetime, $kernel:path => ($($name:ident: $type:ty),* $(,)?) -> $output:ty) => {{
        struct Call<$a> {
            $($name: $type,)*
        }
        impl<$a> pulp::NullaryFnOnce for Call<$a> {
            type Output = $output;

            #[inline(always)]
            fn call(self) -> $output {
                $kernel($(self.$name),*)
            }
        }
        $crate::linear_algebra::kernel::arch().dispatch(Call { $($name,)* })
    }};
}

pub(super) use dispatch;

/// The widest vectors of the CPU.
pub(super) fn arch() -> pulp::Arch {
    #[cfg(test)]
    if NARROW.get() {
        return pulp::Arch::Scalar;
    }
    pulp::Arch::new()
}

#[cfg(test)]
thread_local! {
    static NARROW: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs something with the vectors that every CPU has.
#[cfg(test)]
pub(crate) fn narrow<T>(run: impl FnOnce() -> T) -> T {
    NARROW.set(true);
    let result = run();
    NARROW.set(false);
    result
}
