//! Memory for matrices, placed so that no vector of the CPU straddles two cache lines.

use std::ops::{Deref, DerefMut};

use super::real::Real;

/// Bytes of a cache line, which is also the widest vector.
pub(super) const LINE: usize = 64;

/// A slice of numbers that begins at the start of a cache line. A read or write across two lines costs twice as much,
/// and with the widest vectors, misplaced memory makes every single one of them such a read or write.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    /// Holds a line more than is used.
    memory: Vec<T>,
    /// Where in `memory` the first line begins.
    start: usize,
    length: usize,
}

impl<T: Real> Buffer<T> {
    /// `length` zeros.
    pub(super) fn zeros(length: usize) -> Self {
        let mut buffer = Self::default();
        if length > 0 {
            buffer.take(length);
        }
        buffer
    }

    /// Makes it `length` numbers long; their values are arbitrary. Allocates only where it never was so long before.
    pub(super) fn take(&mut self, length: usize) -> &mut [T] {
        let slack = LINE / size_of::<T>();
        if self.memory.len() < length + slack {
            // Anew rather than grown: nobody wants the old numbers, and the new memory lies elsewhere anyway.
            self.memory = vec![T::ZERO; length + slack];
            self.start = first_line(&self.memory);
        }
        self.length = length;
        self
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { memory: Vec::new(), start: 0, length: 0 }
    }
}

/// The first number that stands at the start of a line, at most a line behind the first of all. Where that cannot be
/// told, the first of all: everything works then, but slower.
fn first_line<T>(memory: &[T]) -> usize {
    let offset = memory.as_ptr().align_offset(LINE);
    if offset < memory.len().min(LINE / size_of::<T>()) { offset } else { 0 }
}

impl<T: Clone> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut memory = self.memory.clone();
        let start = first_line(&memory);
        // The copy lies elsewhere.
        memory[start..start + self.length].clone_from_slice(self);
        Self { memory, start, length: self.length }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.length]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_a_line_and_survive_a_copy() {
        let mut buffer = Buffer::<f32>::zeros(5);
        assert_eq!(*buffer, [0.0; 5]);
        buffer.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let copies = vec![buffer.clone(); 9];
        for copy in &copies {
            assert_eq!(**copy, [1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(copy.as_ptr().addr() % LINE, 0);
        }
        assert_eq!(buffer.take(1000).len(), 1000);
        assert_eq!(buffer.as_ptr().addr() % LINE, 0);
        assert_eq!(buffer.take(3).len(), 3);
        assert_eq!(buffer.len(), 3);
        assert!(Buffer::<f64>::zeros(0).clone().is_empty());
    }
}
