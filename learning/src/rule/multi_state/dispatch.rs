//! Kernels compiled for several instruction sets, one of which is taken at run time.

/// Calls an `#[inline(always)]` function of a [`Real`](super::Real) `T` compiled for the CPU's vectors:
/// `dispatch!(arch, 'a, kernel => (name: Type, ...) -> Output)`, each argument being a variable of that name, after the
/// instruction set as the first. Types may name `'a` and `T`.
///
/// A closure will not do in place of the struct: its call is not inlined into the place that has the CPU's features.
/// Nor are iterators and the array functions of the standard library: kernels are loops over ranges.
macro_rules! dispatch {
    ($arch:expr, $a:lifetime, $kernel:path => ($($name:ident: $type:ty),* $(,)?) -> $output:ty) => {{
        struct Call<$a, T> {
            $($name: $type,)*
        }
        impl<$a, T: $crate::rule::multi_state::Real> pulp::WithSimd for Call<$a, T> {
            type Output = $output;

            #[inline(always)]
            fn with_simd<S: pulp::Simd>(self, simd: S) -> $output {
                $kernel(simd, $(self.$name),*)
            }
        }
        $arch.dispatch(Call { $($name,)* })
    }};
}

pub(super) use dispatch;
