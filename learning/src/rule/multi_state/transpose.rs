//! Matrices on their side.

use pulp::{Arch, Simd};

use super::dispatch::dispatch;
use super::prefetch::{Level, prefetch};
use super::real::Real;

/// Rows and columns that are transposed at a time: the numbers of the widest vector.
pub(super) const SIDE: usize = 16;

/// With fewer columns or rows most of a block would be empty.
const THIN: usize = 4;

/// That many rows of that many numbers.
pub(super) type Block<T> = [[T; SIDE]; SIDE];

/// `to[column, row] = from[row, column]`, where `from` has rows of `columns` numbers and `to` of `stride`, at least as
/// many as `from` has rows. Where there is room, what follows the numbers in a row of `to` may become zero up to the next
/// multiple of [`SIDE`]: nobody may rely on what stands there.
pub(super) fn transpose<T: Real>(arch: Arch, from: &[T], columns: usize, to: &mut [T], stride: usize) {
    dispatch!(arch, 'a, all => (from: &'a [T], columns: usize, to: &'a mut [T], stride: usize) -> ());
}

#[inline(always)]
fn all<T: Real, S: Simd>(simd: S, from: &[T], columns: usize, to: &mut [T], stride: usize) {
    let rows = from.len() / columns;
    if columns < THIN || rows < THIN && stride < SIDE {
        for row in 0..rows {
            for column in 0..columns {
                to[column * stride + row] = from[row * columns + column];
            }
        }
        return;
    }
    let mut column = 0;
    while column < columns {
        let mut row = 0;
        while row < rows {
            let is_whole = column + SIDE <= columns && row + SIDE <= rows;
            if is_whole {
                whole_block::<T, S>(simd, from, columns, to, stride, (row, column));
            } else {
                part_of_block::<T, S>(simd, from, columns, to, stride, (row, column));
            }
            row += SIDE;
        }
        column += SIDE;
    }
}

#[inline(always)]
fn whole_block<T: Real, S: Simd>(
    simd: S,
    from: &[T],
    columns: usize,
    to: &mut [T],
    stride: usize,
    (row, column): (usize, usize),
) {
    let mut block = [[T::ZERO; SIDE]; SIDE];
    for r in 0..SIDE {
        let start = (row + r) * columns + column;
        block[r].copy_from_slice(&from[start..][..SIDE]);
        // The next columns.
        prefetch(simd, from, start + SIDE, Level::First);
    }
    let block = T::transposed::<S>(simd, block);
    for c in 0..SIDE {
        let start = (column + c) * stride + row;
        to[start..][..SIDE].copy_from_slice(&block[c]);
        prefetch(simd, to, start + SIDE * stride, Level::First);
    }
}

/// A block at the edge.
#[inline(always)]
fn part_of_block<T: Real, S: Simd>(
    simd: S,
    from: &[T],
    columns: usize,
    to: &mut [T],
    stride: usize,
    (row, column): (usize, usize),
) {
    let (rows, width) = (from.len() / columns, SIDE.min(columns - column));
    let height = SIDE.min(rows - row);
    let mut block = [[T::ZERO; SIDE]; SIDE];
    for r in 0..height {
        block[r][..width].copy_from_slice(&from[(row + r) * columns + column..][..width]);
    }
    let block = T::transposed::<S>(simd, block);
    let written = if row + SIDE <= stride { SIDE } else { height };
    for c in 0..width {
        to[(column + c) * stride + row..][..written].copy_from_slice(&block[c][..written]);
    }
}

/// A block on its side, number by number.
#[inline(always)]
pub(super) fn transposed<T: Real>(block: Block<T>) -> Block<T> {
    let mut out = [[T::ZERO; SIDE]; SIDE];
    for r in 0..SIDE {
        for c in 0..SIDE {
            out[c][r] = block[r][c];
        }
    }
    out
}

/// A block on its side by the shuffles of AVX2 or AVX-512, of which compilers find none by themselves; number by number
/// on other CPUs.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn transposed_f32<S: Simd>(simd: S, block: Block<f32>) -> Block<f32> {
    let simd: &dyn std::any::Any = &simd;
    // Decided at compile time.
    if let Some(simd) = simd.downcast_ref::<pulp::x86::V4>() {
        by_avx512(*simd, block)
    } else if let Some(simd) = simd.downcast_ref::<pulp::x86::V3>() {
        by_avx2(*simd, block)
    } else {
        transposed(block)
    }
}

/// A block on its side, number by number: this CPU's shuffles are left to the compiler.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn transposed_f32<S: Simd>(_: S, block: Block<f32>) -> Block<f32> {
    transposed(block)
}

/// Pairs of rows, then pairs of pairs, then the sixteen squares of four.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn by_avx512(simd: pulp::x86::V4, block: Block<f32>) -> Block<f32> {
    use std::arch::x86_64::__m512;

    /// Of two vectors' quarters, the even ones; and the odd ones.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;

    let avx = simd.avx512f;
    let rows: [__m512; SIDE] = pulp::cast(block);
    let mut pairs = rows;
    for r in 0..SIDE / 2 {
        pairs[2 * r] = avx._mm512_unpacklo_ps(rows[2 * r], rows[2 * r + 1]);
        pairs[2 * r + 1] = avx._mm512_unpackhi_ps(rows[2 * r], rows[2 * r + 1]);
    }
    // Quarter q of squares[4 r + c] is column 4 q + c of the rows 4 r to 4 r + 3.
    let mut squares = pairs;
    for r in 0..SIDE / 4 {
        for half in 0..2 {
            let (upper, lower) = (pulp::cast(pairs[4 * r + half]), pulp::cast(pairs[4 * r + half + 2]));
            squares[4 * r + 2 * half] = pulp::cast(avx._mm512_unpacklo_pd(upper, lower));
            squares[4 * r + 2 * half + 1] = pulp::cast(avx._mm512_unpackhi_pd(upper, lower));
        }
    }
    let mut out = squares;
    for c in 0..SIDE / 4 {
        let [first, second, third, fourth] = [squares[c], squares[4 + c], squares[8 + c], squares[12 + c]];
        let even = [
            avx._mm512_shuffle_f32x4::<EVEN>(first, second),
            avx._mm512_shuffle_f32x4::<EVEN>(third, fourth),
        ];
        let odd =
            [avx._mm512_shuffle_f32x4::<ODD>(first, second), avx._mm512_shuffle_f32x4::<ODD>(third, fourth)];
        out[c] = avx._mm512_shuffle_f32x4::<EVEN>(even[0], even[1]);
        out[4 + c] = avx._mm512_shuffle_f32x4::<EVEN>(odd[0], odd[1]);
        out[8 + c] = avx._mm512_shuffle_f32x4::<ODD>(even[0], even[1]);
        out[12 + c] = avx._mm512_shuffle_f32x4::<ODD>(odd[0], odd[1]);
    }
    pulp::cast(out)
}

/// The four quarters of 8 x 8 numbers, each by pairs of rows, pairs of pairs and halves of vectors.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn by_avx2(simd: pulp::x86::V3, block: Block<f32>) -> Block<f32> {
    use std::arch::x86_64::__m256;

    let avx = simd.avx;
    // Row r's halves are rows[2 r] and rows[2 r + 1].
    let rows: [__m256; 2 * SIDE] = pulp::cast(block);
    let mut out = rows;
    for quarter in 0..4 {
        let (top, side) = (8 * (quarter / 2), quarter % 2);
        let row = |r: usize| rows[2 * (top + r) + side];
        let mut pairs = [row(0); 8];
        for r in 0..4 {
            pairs[2 * r] = avx._mm256_unpacklo_ps(row(2 * r), row(2 * r + 1));
            pairs[2 * r + 1] = avx._mm256_unpackhi_ps(row(2 * r), row(2 * r + 1));
        }
        // Half h of squares[4 r + c] is column 4 h + c of the rows 4 r to 4 r + 3.
        let mut squares = pairs;
        for r in 0..2 {
            for half in 0..2 {
                let (upper, lower) = (pulp::cast(pairs[4 * r + half]), pulp::cast(pairs[4 * r + half + 2]));
                squares[4 * r + 2 * half] = pulp::cast(avx._mm256_unpacklo_pd(upper, lower));
                squares[4 * r + 2 * half + 1] = pulp::cast(avx._mm256_unpackhi_pd(upper, lower));
            }
        }
        for c in 0..4 {
            let place = |c: usize| 2 * (8 * side + c) + quarter / 2;
            out[place(c)] = avx._mm256_permute2f128_ps::<0x20>(squares[c], squares[4 + c]);
            out[place(4 + c)] = avx._mm256_permute2f128_ps::<0x31>(squares[c], squares[4 + c]);
        }
    }
    pulp::cast(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of every instruction set of this CPU.
    fn archs() -> Vec<Arch> {
        let mut archs = vec![Arch::Scalar, Arch::new()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        archs
    }

    fn check<T: Real>(rows: usize, columns: usize, stride: usize) {
        let from: Vec<T> = (0..rows * columns).map(|n| T::from_f64(n as f64)).collect();
        let before = T::from_f64(-1.0);
        for arch in archs() {
            let mut to = vec![before; stride * columns];
            transpose(arch, &from, columns, &mut to, stride);
            for (column, numbers) in to.chunks(stride).enumerate() {
                for row in 0..rows {
                    assert_eq!(numbers[row], from[row * columns + column], "{arch:?}");
                }
                assert!(numbers[rows..].iter().all(|&x| x == T::ZERO || x == before), "{arch:?}");
            }
        }
    }

    #[test]
    fn every_number_comes_to_its_place() {
        for (rows, columns) in [
            (16_usize, 16_usize),
            (32, 48),
            (1, 40),
            (40, 1),
            (17, 33),
            (5, 7),
            (128, 10),
            (10, 128),
            (3, 64),
        ] {
            for stride in [rows, rows + 1, rows.next_multiple_of(SIDE)] {
                check::<f32>(rows, columns, stride);
                check::<f64>(rows, columns, stride);
            }
        }
    }
}
