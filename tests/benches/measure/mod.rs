//! What benchmarks of networks share: rounds on several threads, and the machine's own rate of multiplying matrices.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long a round measures one case on one number of threads.
const ROUND: Duration = Duration::from_millis(250);
/// Side of the square matrices.
pub(crate) const SGEMM_SIDE: usize = 1024;
/// Numbers of threads.
pub(crate) const THREADS: [usize; 2] = [1, 2];

/// Calls a second of one call of `work` per place after another, one place per thread, all at once.
pub(crate) fn rate<'a, P: Send>(places: &'a mut [P], work: impl Fn(&mut P) + Sync) -> f64 {
    let barrier = Barrier::new(places.len());
    std::thread::scope(|scope| {
        let run = |place: &'a mut P| {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                work(&mut *place);
                barrier.wait();
                let start = Instant::now();
                let mut calls = 0;
                while start.elapsed() < ROUND {
                    work(&mut *place);
                    calls += 1;
                }
                f64::from(calls) / start.elapsed().as_secs_f64()
            })
        };
        let threads: Vec<_> = places.iter_mut().map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
}

/// Three square matrices, whose product is the machine's rate.
pub(crate) struct Matrices([Vec<f32>; 3]);

impl Matrices {
    pub(crate) fn new() -> Self {
        Self([0.5, 0.25, 0.0].map(|value| vec![value; SGEMM_SIDE * SGEMM_SIDE]))
    }

    /// One product by the crate `gemm`, on this thread.
    #[allow(unsafe_code)]
    pub(crate) fn multiply(&mut self) {
        let ([left, right, out], n) = (&mut self.0, SGEMM_SIDE);
        let stride = n as isize;
        // SAFETY: each matrix is n x n, contiguous, and they are three different vectors.
        unsafe {
            gemm::gemm(
                n,
                n,
                n,
                out.as_mut_ptr(),
                1,
                stride,
                false,
                left.as_ptr(),
                1,
                stride,
                right.as_ptr(),
                1,
                stride,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
        black_box(out);
    }
}

/// Floating point operations of one product.
pub(crate) const SGEMM_FLOP: f64 = 2.0 * (SGEMM_SIDE * SGEMM_SIDE * SGEMM_SIDE) as f64;

/// The middle of some values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}
