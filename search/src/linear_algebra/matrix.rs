//! Matrices of real numbers.

use std::ops::{Index, IndexMut};

/// A matrix, column by column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    rows: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// All zeros.
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, values: vec![0.0; rows * columns] }
    }

    /// Each number by its row and column.
    pub(crate) fn from_fn(rows: usize, columns: usize, number: impl Fn(usize, usize) -> f64) -> Self {
        let number = &number;
        Self { rows, values: (0..columns).flat_map(|j| (0..rows).map(move |i| number(i, j))).collect() }
    }

    /// The identity.
    pub(crate) fn identity(n: usize) -> Self {
        Self::from_fn(n, n, |row, column| if row == column { 1.0 } else { 0.0 })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.values.len() / self.rows
    }

    /// All numbers, column by column.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// As [`Matrix::values`], to be set.
    pub(crate) fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// One column.
    pub(crate) fn column(&self, column: usize) -> &[f64] {
        &self.values[column * self.rows..(column + 1) * self.rows]
    }

    /// As [`Matrix::column`], to be set.
    pub(crate) fn column_mut(&mut self, column: usize) -> &mut [f64] {
        &mut self.values[column * self.rows..(column + 1) * self.rows]
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;

    fn index(&self, (row, column): (usize, usize)) -> &f64 {
        &self.column(column)[row]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (row, column): (usize, usize)) -> &mut f64 {
        &mut self.column_mut(column)[row]
    }
}
