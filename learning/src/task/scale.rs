//! Scaling of images: each new pixel is the mean of the area that it covers.

/// From images of `rows` x `columns` to images of `side` x `side`.
pub(super) struct Scale {
    rows: Axis,
    columns: Axis,
}

/// One axis. A source pixel is `side` units long and a new one `source`, so that both make `side * source` units.
struct Axis {
    source: usize,
    /// Of each new pixel, the first source pixel that it covers and how many units of each from there on.
    covers: Vec<(usize, Vec<f64>)>,
}

impl Axis {
    fn new(source: usize, side: usize) -> Self {
        let cover = |new: usize| {
            let (start, end) = (new * source, (new + 1) * source);
            let first = start / side;
            let units = (first..end.div_ceil(side)).map(|old| {
                let units = end.min((old + 1) * side) - start.max(old * side);
                units as f64
            });
            (first, units.collect())
        };
        Self { source, covers: (0..side).map(cover).collect() }
    }
}

impl Scale {
    pub(super) fn new((rows, columns): (usize, usize), side: usize) -> Self {
        Self { rows: Axis::new(rows, side), columns: Axis::new(columns, side) }
    }

    /// Appends the pixels of the scaled `image`, `[row, column]`, to `out`. Of bytes all sums are whole numbers far below 2^53, so
    /// that the only rounding is that of the result, and an image of the same size stays what it is.
    pub(super) fn apply(&self, image: &[f64], out: &mut Vec<f32>) {
        let area = (self.rows.source * self.columns.source) as f64;
        for (row, row_units) in &self.rows.covers {
            for (column, column_units) in &self.columns.covers {
                let mut sum = 0.0;
                for (below, units) in row_units.iter().enumerate() {
                    let pixels = &image[(row + below) * self.columns.source + column..];
                    let products = column_units.iter().zip(pixels).map(|(units, pixel)| units * pixel);
                    sum += units * products.sum::<f64>();
                }
                out.push((sum / area) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(size: (usize, usize), side: usize, image: &[u8]) -> Vec<f32> {
        let image: Vec<f64> = image.iter().map(|&pixel| f64::from(pixel)).collect();
        let mut out = Vec::new();
        Scale::new(size, side).apply(&image, &mut out);
        out
    }

    #[test]
    fn new_pixels_are_means_of_areas() {
        assert_eq!(scaled((2, 2), 2, &[1, 2, 3, 4]), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(scaled((4, 2), 2, &[1, 2, 3, 4, 5, 6, 7, 8]), [2.0, 3.0, 6.0, 7.0]);
        assert_eq!(scaled((1, 1), 2, &[9]), [9.0; 4]);
        // Each new pixel covers one and a half old ones each way: weights 1 and 1/2 of 3/2.
        let image = [0, 90, 0, 0, 0, 0, 0, 0, 18];
        assert_eq!(scaled((3, 3), 2, &image), [20.0, 20.0, 0.0, 8.0]);
    }

    #[test]
    fn the_mean_stays_for_any_sizes() {
        let image: Vec<u8> = (0..28 * 20).map(|pixel| (pixel * 37 % 251) as u8).collect();
        let mean = image.iter().map(|&byte| f64::from(byte)).sum::<f64>() / image.len() as f64;
        for side in [2, 3, 8, 14, 28, 29, 64] {
            let scaled = scaled((28, 20), side, &image);
            assert_eq!(scaled.len(), side * side);
            let found = scaled.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / scaled.len() as f64;
            assert!((found - mean).abs() < 1e-4, "{side}: {found}, not {mean}");
        }
    }
}
