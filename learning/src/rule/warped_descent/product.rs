//! Products of matrices. Each sum is formed in the order of its terms, whichever of the matrices lies which way.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use crate::rule::number::Number;

/// The left side of a product.
#[derive(Clone, Copy)]
pub(super) struct Left<'a, T> {
    /// Its numbers.
    pub(super) values: &'a [T],
    /// From a row to the next.
    pub(super) row: usize,
    /// From a term of a row's sums to the next.
    pub(super) term: usize,
}

impl<T> Left<'_, T> {
    /// Its rows from one on.
    #[inline(always)]
    fn below(&self, row: usize) -> Self {
        Self { values: &self.values[row * self.row..], ..*self }
    }
}

/// `sums[row, column] += left[row, term] * right[term, column]`, for one term after the other: in blocks of rows and columns whose sums
/// stay in registers.
#[inline(always)]
pub(super) fn add_product<T: Number>(sums: &mut [T], left: Left<'_, T>, right: &[T], columns: usize) {
    let rows = sums.len() / columns;
    let mut row = 0;
    while row + 4 <= rows {
        add_rows::<T, 4>(&mut sums[row * columns..], left.below(row), right, columns);
        row += 4;
    }
    if row + 2 <= rows {
        add_rows::<T, 2>(&mut sums[row * columns..], left.below(row), right, columns);
        row += 2;
    }
    if row < rows {
        add_rows::<T, 1>(&mut sums[row * columns..], left.below(row), right, columns);
    }
}

/// The same for the first rows.
#[inline(always)]
fn add_rows<T: Number, const ROWS: usize>(sums: &mut [T], left: Left<'_, T>, right: &[T], columns: usize) {
    let mut column = 0;
    while column + 16 <= columns {
        add_block::<T, ROWS, 16>(sums, left, right, columns, column);
        column += 16;
    }
    if column + 8 <= columns {
        add_block::<T, ROWS, 8>(sums, left, right, columns, column);
        column += 8;
    }
    if column + 4 <= columns {
        add_block::<T, ROWS, 4>(sums, left, right, columns, column);
        column += 4;
    }
    if column + 2 <= columns {
        add_block::<T, ROWS, 2>(sums, left, right, columns, column);
        column += 2;
    }
    if column < columns {
        add_block::<T, ROWS, 1>(sums, left, right, columns, column);
    }
}

/// The same for some of their columns.
#[inline(always)]
fn add_block<T: Number, const ROWS: usize, const COLUMNS: usize>(
    sums: &mut [T],
    left: Left<'_, T>,
    right: &[T],
    columns: usize,
    column: usize,
) {
    // Not `array::from_fn`: it is not inlined, and what it makes is then not in registers.
    let mut block = [[T::default(); COLUMNS]; ROWS];
    for (row, block) in block.iter_mut().enumerate() {
        block.copy_from_slice(&sums[row * columns + column..][..COLUMNS]);
    }
    for (term, values) in right.chunks_exact(columns).enumerate() {
        let values: &[T; COLUMNS] = values[column..].first_chunk().expect("blocks fit into rows");
        for (row, sums) in block.iter_mut().enumerate() {
            let factor = left.values[row * left.row + term * left.term];
            for column in 0..COLUMNS {
                sums[column] += factor * values[column];
            }
        }
    }
    for (row, block) in block.iter().enumerate() {
        sums[row * columns + column..][..COLUMNS].copy_from_slice(block);
    }
}

/// Writes the transpose of a matrix of so many columns.
#[inline(always)]
pub(super) fn transpose<T: Number>(matrix: &[T], columns: usize, transposed: &mut Vec<T>) {
    let rows = matrix.len() / columns;
    transposed.resize(matrix.len(), T::default());
    for (row, values) in matrix.chunks_exact(columns).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            transposed[column * rows + row] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::seed::{Seed, uniform};

    use super::*;

    #[test]
    fn a_product_has_the_bits_of_sums_term_by_term() {
        let mut rng = Seed::new(4).unwrap().rng();
        let mut numbers =
            |count: usize| (0..count).map(|_| uniform(&mut rng) as f32 - 0.5).collect::<Vec<_>>();
        for (rows, terms, columns) in
            [(1, 1, 1), (4, 3, 16), (5, 7, 31), (7, 2, 21), (9, 2, 40), (64, 64, 10)]
        {
            let (left, right, first) =
                (numbers(rows * terms), numbers(terms * columns), numbers(rows * columns));
            let expected = |at: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
                let of = |place: usize| {
                    let (row, column) = (place / columns, place % columns);
                    (0..terms)
                        .fold(first[place], |sum, term| sum + at(row, term) * right[term * columns + column])
                };
                (0..rows * columns).map(of).collect()
            };
            let mut sums = first.clone();
            add_product(&mut sums, Left { values: &left, row: terms, term: 1 }, &right, columns);
            assert_eq!(sums, expected(&|row, term| left[row * terms + term]), "{rows} {terms} {columns}");
            let mut sums = first.clone();
            add_product(&mut sums, Left { values: &left, row: 1, term: rows }, &right, columns);
            assert_eq!(sums, expected(&|row, term| left[term * rows + row]), "{rows} {terms} {columns}");
            let mut transposed = Vec::new();
            transpose(&left, terms, &mut transposed);
            assert!(
                (0..left.len()).all(|place| transposed[place % terms * rows + place / terms] == left[place])
            );
        }
    }
}
