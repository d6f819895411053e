//! The standard normal distribution's quantiles.

/// The `x` that a share of `p` is above, for p in (0, 1): algorithm AS 241 (M. Wichura 1988), to about 1e-15 of its size.
pub(crate) fn with_above(p: f64) -> f64 {
    let q = 0.5 - p;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&MIDDLE[0], r) / polynomial(&MIDDLE[1], r);
    }
    let r = (-libm::log(p.min(1.0 - p))).sqrt();
    let size = if r <= 5.0 {
        polynomial(&TAIL[0], r - 1.6) / polynomial(&TAIL[1], r - 1.6)
    } else {
        polynomial(&FAR[0], r - 5.0) / polynomial(&FAR[1], r - 5.0)
    };
    size.copysign(q)
}

/// Coefficients by rising powers.
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// Numerator and denominator.
type Ratio = [[f64; 8]; 2];

const MIDDLE: Ratio = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_545,
    ],
];
const TAIL: Ratio = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];
const FAR: Ratio = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_7e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_1_SQRT_2;

    use super::*;

    /// The share below `x`.
    fn below(x: f64) -> f64 {
        0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
    }

    /// Values of `SciPy`'s `stats.norm.isf`.
    #[test]
    fn the_inverse_is_that_of_tables() {
        for (p, expected) in [
            (0.5, 0.0),
            (0.25, 0.674_489_750_196_081_7),
            (0.075, 1.439_531_470_938_456),
            (0.01, 2.326_347_874_040_840_8),
            (1e-10, 6.361_340_902_404_056),
            (1e-15, 7.941_345_326_170_997),
            (1e-300, 37.047_096_299_361_2),
        ] {
            assert!((with_above(p) - expected).abs() <= 1e-14 * expected, "{p}: {}", with_above(p));
        }
    }

    #[test]
    fn each_undoes_the_other() {
        for place in 1..2000 {
            let p = f64::from(place) / 2000.0;
            let back = 1.0 - below(with_above(p));
            assert!((back - p).abs() < 1e-14, "{p}: {back}");
            assert!((with_above(p) + with_above(1.0 - p)).abs() < 1e-12, "{p}");
        }
        for exponent in 1..=200 {
            let p = libm::exp10(f64::from(-exponent));
            assert!((below(-with_above(p)) / p - 1.0).abs() < 1e-11, "{p}");
        }
    }
}
