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
        hebbian_shared::vectors::arch().dispatch(Call { $($name,)* })
    }};
}

pub(super) use dispatch;
