//! Standard normal variates, many at a time.
//!
//! Box and Muller's method like `hebbian_shared::seed::normal_pair`, with logarithm, sine and cosine as polynomials in loops
//! that compilers turn into vector instructions: same bits on every host, since each operation is a basic one.

#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::seed::ChaCha8Rng;
use rand::Rng as _;

/// Pairs that are computed together.
const LANES: usize = 16;

/// Fills `out` with independent standard normal variates.
pub(super) fn fill(rng: &mut ChaCha8Rng, out: &mut [f64]) {
    let mut bytes = [0u8; 16 * LANES];
    for chunk in out.chunks_mut(2 * LANES) {
        rng.fill_bytes(&mut bytes);
        let normals = pulp::Arch::new().dispatch(Pairs(&bytes));
        chunk.copy_from_slice(&normals.as_flattened()[..chunk.len()]);
    }
}

/// Makes the two normal variates of each pair of words: compiled for the widest vectors that the CPU has.
struct Pairs<'a>(&'a [u8; 16 * LANES]);

impl pulp::NullaryFnOnce for Pairs<'_> {
    type Output = [[f64; LANES]; 2];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let (words, _) = self.0.as_chunks::<8>();
        let mut normals = [[0.0; LANES]; 2];
        let [cosines, sines] = &mut normals;
        for lane in 0..LANES {
            let radius_word = u64::from_le_bytes(words[lane]);
            let angle_word = u64::from_le_bytes(words[LANES + lane]);
            let radius = (-2.0 * logarithm(unit(radius_word))).sqrt();
            let (sine, cosine) = sine_and_cosine(angle_word);
            cosines[lane] = radius * cosine;
            sines[lane] = radius * sine;
        }
        normals
    }
}

/// Uniform in (0, 1]: 52 bits, as 2 - [1, 2).
#[inline(always)]
fn unit(word: u64) -> f64 {
    2.0 - f64::from_bits(0x3ff0_0000_0000_0000 | (word >> 12))
}

/// The natural logarithm of a normal number in (0, 1].
#[inline(always)]
fn logarithm(x: f64) -> f64 {
    // x = 2^e m with m in [sqrt(1/2), sqrt(2)).
    let shifted = x.to_bits().wrapping_sub(0x3fe6_a09e_667f_3bcd);
    let exponent_bits = shifted & 0xfff0_0000_0000_0000;
    let m = f64::from_bits(x.to_bits().wrapping_sub(exponent_bits));
    // The exponent, at most 0 and at least -52, as a real number without a conversion of integers: 64 + e, placed in the
    // mantissa of 2^52.
    let biased = (exponent_bits >> 52).wrapping_add(64) & 0xfff;
    let e = f64::from_bits(0x4330_0000_0000_0000 | biased) - 4_503_599_627_370_496.0 - 64.0;
    // log m = 2 artanh s.
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = 1.0 / 3.0
        + z * (1.0 / 5.0
            + z * (1.0 / 7.0
                + z * (1.0 / 9.0
                    + z * (1.0 / 11.0 + z * (1.0 / 13.0 + z * (1.0 / 15.0 + z * (1.0 / 17.0 + z / 19.0)))))));
    e * std::f64::consts::LN_2 + 2.0 * (s + s * z * series)
}

/// Sine and cosine of a uniform angle: the top two bits choose the quarter, the others the place within.
#[inline(always)]
fn sine_and_cosine(word: u64) -> (f64, f64) {
    // t in [-1/2, 1/2) quarter turns around one of four axes.
    let t = (f64::from_bits(0x3ff0_0000_0000_0000 | (word << 2 >> 12)) - 1.5) * std::f64::consts::FRAC_PI_2;
    let z = t * t;
    let sine = t
        * (1.0
            + z * (-1.0 / 6.0
                + z * (1.0 / 120.0
                    + z * (-1.0 / 5040.0
                        + z * (1.0 / 362_880.0
                            + z * (-1.0 / 39_916_800.0
                                + z * (1.0 / 6_227_020_800.0 - z / 1_307_674_368_000.0)))))));
    let cosine = 1.0
        + z * (-0.5
            + z * (1.0 / 24.0
                + z * (-1.0 / 720.0
                    + z * (1.0 / 40_320.0
                        + z * (-1.0 / 3_628_800.0 + z * (1.0 / 479_001_600.0 - z / 87_178_291_200.0))))));
    // A quarter turn swaps them, half a turn changes both signs.
    let swap = 0u64.wrapping_sub(word >> 63);
    let flip = (word >> 62 & 1) << 63;
    let (s, c) = (sine.to_bits(), cosine.to_bits());
    let difference = (s ^ c) & swap;
    let turned = (word >> 63) << 63;
    (f64::from_bits(s ^ difference ^ flip), f64::from_bits(c ^ difference ^ flip ^ turned))
}

#[cfg(test)]
mod tests {
    use hebbian_shared::seed::Seed;

    use super::*;

    #[test]
    fn the_polynomials_are_the_functions() {
        let mut rng = Seed::new(1).unwrap().rng();
        for _ in 0..100_000 {
            let word = rng.next_u64();
            for x in [unit(word), unit(word >> 20), 1.0, 0.5, std::f64::consts::FRAC_1_SQRT_2, 2f64.powi(-52)]
            {
                let (found, expected) = (logarithm(x), x.ln());
                assert!(
                    (found - expected).abs() <= 4e-16 * expected.abs().max(1e-3),
                    "log {x}: {found}, not {expected}"
                );
            }
            let (sine, cosine) = sine_and_cosine(word);
            assert!((sine * sine + cosine * cosine - 1.0).abs() < 1e-14);
        }
    }

    /// Each quadrant's share and the moments, within five standard errors.
    #[test]
    fn variates_are_normal_and_independent() {
        let mut draws = vec![0.0; 400_000];
        fill(&mut Seed::new(3).unwrap().rng(), &mut draws);
        let count = draws.len() as f64;
        let moment = |power: i32| draws.iter().map(|x| x.powi(power)).sum::<f64>() / count;
        assert!(moment(1).abs() < 5.0 / count.sqrt());
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / count).sqrt());
        assert!(moment(3).abs() < 5.0 * (15.0 / count).sqrt());
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / count).sqrt());
        let below = |limit: f64| draws.iter().filter(|&&x| x < limit).count() as f64 / count;
        for (limit, expected) in [(-2.0, 0.022_750), (-1.0, 0.158_655), (0.5, 0.691_462), (1.5, 0.933_193)] {
            assert!((below(limit) - expected).abs() < 5.0 * (expected * (1.0 - expected) / count).sqrt());
        }
        // The two of a pair, and neighbours.
        for distance in [1, LANES] {
            let products: f64 = draws.iter().zip(&draws[distance..]).map(|(a, b)| a * b).sum();
            assert!((products / count).abs() < 5.0 / count.sqrt());
        }
        for quadrant in 0..4 {
            let within = draws
                .chunks_exact(2 * LANES)
                .flat_map(|chunk| (0..LANES).map(|lane| (chunk[lane] > 0.0, chunk[LANES + lane] > 0.0)));
            let share =
                within.filter(|&(x, y)| usize::from(x) * 2 + usize::from(y) == quadrant).count() as f64;
            assert!(
                (share / (count / 2.0) - 0.25).abs() < 5.0 * (0.1875 / (count / 2.0)).sqrt(),
                "{quadrant}"
            );
        }
    }

    /// Candidates are a function of these bits: if this test fails, journalled runs have changed.
    #[test]
    fn first_variates_are_pinned_and_do_not_depend_on_the_length() {
        let mut draws = [0.0; 40];
        fill(&mut Seed::new(1).unwrap().rng(), &mut draws);
        let mut few = [0.0; 3];
        fill(&mut Seed::new(1).unwrap().rng(), &mut few);
        assert_eq!(few[..], draws[..3]);
        assert_eq!([draws[0], draws[16], draws[32]].map(f64::to_bits), PINNED);
    }

    const PINNED: [u64; 3] =
        [13_828_310_868_089_657_538, 4_612_173_893_105_963_640, 13_822_030_490_789_013_152];
}
