//! Standard normal variates: Box and Muller's method with the logarithm, sine and cosine of the crate `libm`, to the last
//! bit, so that every host agrees.
//!
//! Many at a time they are computed here: the operations of `libm` (which has them from FreeBSD's msun) in the same order, in
//! loops without branches that compilers turn into vector instructions. The angles for which `libm` would branch further,
//! those close to a multiple of a right angle, are left to it.
//!
//! The formulas and constants of msun: Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at
//! `SunPro`, a Sun Microsystems, Inc. business. Permission to use, copy, modify, and distribute this software is freely
//! granted, provided that this notice is preserved.

#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]
#![expect(clippy::excessive_precision, reason = "constants as msun has them")]

use std::f64::consts::TAU;

use rand::Rng as _;

use super::{ChaCha8Rng, uniform_of};

/// Pairs that are computed together.
const LANES: usize = 16;
/// Fewer than these at the end of a row are computed one by one.
const PAIRS_MIN: usize = 4;

/// Two independent standard normal variates (Box and Muller), computed with `libm` so that every host agrees.
pub fn normal_pair(rng: &mut ChaCha8Rng) -> (f64, f64) {
    let words = [rng.next_u64(), rng.next_u64()];
    pair(words).into()
}

/// Fills `out` with independent standard normal variates: pair by pair as [`normal_pair`] gives them.
pub fn fill_normal(rng: &mut ChaCha8Rng, out: &mut [f64]) {
    let mut bytes = [0; 16 * LANES];
    for part in out.chunks_mut(2 * LANES) {
        let count = part.len().div_ceil(2);
        let (places, rest) = part.as_chunks_mut::<2>();
        if count < PAIRS_MIN {
            for place in places {
                *place = normal_pair(rng).into();
            }
            if let [last] = rest {
                *last = normal_pair(rng).0;
            }
            continue;
        }
        rng.fill_bytes(&mut bytes[..16 * count]);
        let [first, second] = pairs(&bytes);
        for ((place, first), second) in places.iter_mut().zip(first).zip(second) {
            *place = [first, second];
        }
        if let [last] = rest {
            *last = first[count - 1];
        }
    }
}

/// The variates that two random words give.
fn pair(words: [u64; 2]) -> [f64; 2] {
    let [radius, angle] = words.map(uniform_of);
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - radius));
    let (sine, cosine) = libm::sincos(TAU * angle);
    [radius * cosine, radius * sine]
}

/// As [`pair`], for the words of as many pairs as there are lanes: first the first variates, then the second ones.
fn pairs(bytes: &[u8; 16 * LANES]) -> [[f64; LANES]; 2] {
    let (mut normals, hard) = crate::vectors::arch().dispatch(Pairs(bytes));
    if hard {
        let [firsts, seconds] = &mut normals;
        for (lane, places) in firsts.iter_mut().zip(seconds).enumerate() {
            let words = words(bytes, lane);
            if is_hard(TAU * uniform_of(words[1])) {
                let [first, second] = pair(words);
                (*places.0, *places.1) = (first, second);
            }
        }
    }
    normals
}

#[inline(always)]
fn words(bytes: &[u8; 16 * LANES], lane: usize) -> [u64; 2] {
    let (words, _) = bytes.as_chunks::<8>();
    [u64::from_le_bytes(words[2 * lane]), u64::from_le_bytes(words[2 * lane + 1])]
}

/// Whether `libm` would reduce an angle below 2 pi with more than one step, since it is close to a multiple of pi / 2.
#[inline(always)]
fn is_hard(angle: f64) -> bool {
    const HIGH_WORDS: [u64; 4] = [0x3ff9_21fb, 0x4009_21fb, 0x4012_d97c, 0x4019_21fb];
    let high = angle.to_bits() >> 32;
    HIGH_WORDS.contains(&high)
}

/// Makes the pairs, and says whether one of them is hard: compiled for the widest vectors that the CPU has. Their
/// operations are basic ones in a fixed order, so the vectors change no bit.
struct Pairs<'a>(&'a [u8; 16 * LANES]);

impl pulp::NullaryFnOnce for Pairs<'_> {
    type Output = ([[f64; LANES]; 2], bool);

    #[inline(always)]
    fn call(self) -> Self::Output {
        let (mut normals, mut hard) = ([[0.0; LANES]; 2], false);
        let [cosines, sines] = &mut normals;
        for lane in 0..LANES {
            let [radius, angle] = words(self.0, lane).map(uniform_of);
            let radius = (-2.0 * logarithm(1.0 - radius)).sqrt();
            hard |= is_hard(TAU * angle);
            let (sine, cosine) = sine_and_cosine(TAU * angle);
            cosines[lane] = radius * cosine;
            sines[lane] = radius * sine;
        }
        (normals, hard)
    }
}

/// `libm::log` in (0, 1].
#[inline(always)]
fn logarithm(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238_164_90e-01;
    const LN2_LO: f64 = 1.908_214_929_270_587_700_02e-10;
    const LG1: f64 = 6.666_666_666_666_735_130e-01;
    const LG2: f64 = 3.999_999_999_940_941_908e-01;
    const LG3: f64 = 2.857_142_874_366_239_149e-01;
    const LG4: f64 = 2.222_219_843_214_978_396e-01;
    const LG5: f64 = 1.818_357_216_161_805_012e-01;
    const LG6: f64 = 1.531_383_769_920_937_332e-01;
    const LG7: f64 = 1.479_819_860_511_658_591e-01;
    /// The high word of sqrt(1/2), in its place.
    const SQRT_HALF: u64 = 0x3fe6_a09e << 32;
    /// The bits of 2^52.
    const LARGE_BITS: u64 = 0x4330_0000_0000_0000;
    const LARGE: f64 = 4_503_599_627_370_496.0;

    // x = 2^k m with m in [sqrt(1/2), sqrt(2)).
    let bits = x.to_bits();
    let shifted = bits.wrapping_add((0x3ff0_0000 << 32) - SQRT_HALF);
    // The exponent as a real number without a conversion of integers: exact.
    let k = f64::from_bits(LARGE_BITS | (shifted >> 52)) - (LARGE + 1023.0);
    let m = f64::from_bits(((shifted & 0x000f_ffff_0000_0000) + SQRT_HALF) | (bits & 0xffff_ffff));

    let f = m - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let t1 = w * (LG2 + w * (LG4 + w * LG6));
    let t2 = z * (LG1 + w * (LG3 + w * (LG5 + w * LG7)));
    let r = t2 + t1;
    s * (half_square + r) + k * LN2_LO - half_square + f + k * LN2_HI
}

/// `libm::sincos` in [0, 2 pi), unless the angle [`is_hard`].
#[inline(always)]
fn sine_and_cosine(x: f64) -> (f64, f64) {
    /// The first 33 bits of pi / 2, and the rest.
    const PIO2_1: f64 = 1.570_796_326_734_125_614_17e+00;
    const PIO2_1T: f64 = 6.077_100_506_506_192_249_32e-11;
    const S1: f64 = -1.666_666_666_666_663_243_48e-01;
    const S2: f64 = 8.333_333_333_322_489_461_24e-03;
    const S3: f64 = -1.984_126_982_985_794_931_34e-04;
    const S4: f64 = 2.755_731_370_707_006_767_89e-06;
    const S5: f64 = -2.505_076_025_340_686_341_95e-08;
    const S6: f64 = 1.589_690_995_211_550_102_21e-10;
    const C1: f64 = 4.166_666_666_666_660_190_37e-02;
    const C2: f64 = -1.388_888_888_887_410_957_49e-03;
    const C3: f64 = 2.480_158_728_947_672_941_78e-05;
    const C4: f64 = -2.755_731_435_139_066_330_35e-07;
    const C5: f64 = 2.087_572_321_298_174_827_90e-09;
    const C6: f64 = -1.135_964_755_778_819_482_65e-11;

    // The nearest multiple of pi / 2, by the angle's high word: beyond pi/4, 3 pi/4, 5 pi/4, 7 pi/4.
    let high = x.to_bits() >> 32;
    let at_least = |limit: u64| high > limit;
    let [one, two, three, four] = [0x3fe9_21fb, 0x4002_d97c, 0x400f_6a7a, 0x4015_fdbc].map(at_least);
    let add = |count: f64, more: bool| if more { count + 1.0 } else { count };
    let n = add(add(add(add(0.0, one), two), three), four);
    let z = x - n * PIO2_1;
    let w = n * PIO2_1T;
    let y = z - w;
    let tail = (z - y) - w;

    let z = y * y;
    let w = z * z;
    let r = S2 + z * (S3 + z * S4) + z * w * (S5 + z * S6);
    let v = z * y;
    let small = y + v * (S1 + z * r);
    let reduced = y - ((z * (0.5 * tail - v * r) - tail) - v * S1);
    let sine = if one { reduced } else { small };

    let r = z * (C1 + z * (C2 + z * C3)) + w * w * (C4 + z * (C5 + z * C6));
    let half = 0.5 * z;
    let w = 1.0 - half;
    let cosine = w + (((1.0 - w) - half) + (z * r - y * tail));

    // Quadrants: (s, c), (c, -s), (-s, -c), (-c, s), and the first again.
    let odd = (one != two) != (three != four);
    let (first, second) = if odd { (cosine, sine) } else { (sine, cosine) };
    let first = if two == four { first } else { -first };
    let second = if one == three { second } else { -second };
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::super::Seed;
    use super::*;

    fn check(given: [[u64; LANES]; 2]) {
        let mut bytes = [0; 16 * LANES];
        for lane in 0..LANES {
            for word in 0..2 {
                bytes[16 * lane + 8 * word..][..8].copy_from_slice(&given[word][lane].to_le_bytes());
            }
        }
        let found = pairs(&bytes);
        let any_vectors = [pulp::Arch::Scalar, pulp::Arch::new()].map(|arch| {
            let (normals, hard) = arch.dispatch(Pairs(&bytes));
            (normals.map(|lanes| lanes.map(f64::to_bits)), hard)
        });
        assert_eq!(any_vectors[0], any_vectors[1]);
        for lane in 0..LANES {
            let words = [given[0][lane], given[1][lane]];
            let found = [found[0][lane], found[1][lane]];
            assert_eq!(found.map(f64::to_bits), pair(words).map(f64::to_bits), "{words:x?}: {found:?}");
        }
    }

    #[test]
    fn many_at_a_time_have_the_bits_of_libm() {
        let mut rng = Seed::new(3).unwrap().rng();
        for _ in 0..20_000 {
            check([(); 2].map(|()| [(); LANES].map(|()| rng.next_u64())));
        }
    }

    /// Radii at both ends, and angles around all places where a branch is.
    #[test]
    fn so_have_the_hard_cases() {
        let mut rng = Seed::new(4).unwrap().rng();
        let ends = [0, 1 << 11, 2 << 11, u64::MAX, u64::MAX - (1 << 11), 1 << 63, (1 << 63) - (1 << 11)];
        let mut hard = 0;
        for eighth in 0..=8_u64 {
            for spread in [11, 12, 20, 30, 34, 38, 45] {
                for _ in 0..50 {
                    let end = |word: u64| ends[word as usize % ends.len()];
                    let around = |word: u64| {
                        let offset = (word % (2 << spread)).wrapping_sub(1 << spread);
                        (eighth << 61).wrapping_add(offset)
                    };
                    let angles = [(); LANES].map(|()| around(rng.next_u64()));
                    let tiny = |angle: f64| is_hard(TAU * angle);
                    hard += angles.iter().filter(|&&word| tiny(uniform_of(word))).count();
                    check([[(); LANES].map(|()| end(rng.next_u64())), angles]);
                    check([angles, [(); LANES].map(|()| end(rng.next_u64()))]);
                }
            }
        }
        assert!(hard > 1000, "the hard cases have come: {hard}");
    }

    #[test]
    fn rows_of_any_length_are_those_of_pairs() {
        for length in 0..100 {
            let [mut one, mut other] = [5, 5].map(|seed| Seed::new(seed).unwrap().rng());
            if length % 3 == 0 {
                // Half a word was taken before.
                assert_eq!(one.next_u32(), other.next_u32());
            }
            let mut row = vec![0.0; length];
            fill_normal(&mut one, &mut row);
            let pairs = (0..length.div_ceil(2)).map(|_| normal_pair(&mut other));
            let expected: Vec<f64> = pairs.flat_map(|(first, second)| [first, second]).take(length).collect();
            assert_eq!(row, expected);
            assert_eq!(one.next_u64(), other.next_u64(), "no word more was taken");
        }
    }
}
