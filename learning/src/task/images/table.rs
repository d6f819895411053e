//! Tables as networks see them.

use hebbian_shared::limits::STANDARDISED_MAX;

use crate::task::data_set::Part;

/// How a feature becomes an input.
#[derive(Clone, Copy)]
struct Feature {
    mean: f64,
    /// 1 / standard deviation; 0 of what is always the same.
    scale: f64,
}

/// The inputs of a training part and a test part, `[example, feature]`: of each feature the mean of the training part is subtracted,
/// then it is divided by its standard deviation there. So units do not matter, and each feature has variance 1. One that is
/// the same in all training examples is 0 everywhere.
pub(super) fn standardised(
    train: &Part,
    test: &Part,
    classes: &[u8],
) -> Result<(Vec<f32>, Vec<f32>), String> {
    let features = measure(train, classes);
    if features.iter().all(|feature| feature.scale == 0.0) {
        return Err("has training examples that are all the same".to_owned());
    }
    let inputs = |part: &Part| -> Vec<f32> {
        let lines = part.of_classes(classes).flat_map(|(example, _)| part.example(example).zip(&features));
        let input = |(number, feature): (f64, &Feature)| {
            ((number - feature.mean) * feature.scale).clamp(-STANDARDISED_MAX, STANDARDISED_MAX) as f32
        };
        lines.map(input).collect()
    };
    Ok((inputs(train), inputs(test)))
}

fn measure(train: &Part, classes: &[u8]) -> Vec<Feature> {
    let count = train.of_classes(classes).count() as f64;
    let mut first: Option<Vec<f64>> = None;
    let mut features = vec![Feature { mean: 0.0, scale: 0.0 }; train.form.numbers()];
    let mut varies = vec![false; features.len()];
    for (example, _) in train.of_classes(classes) {
        let first = first.get_or_insert_with(|| train.example(example).collect());
        for (place, number) in train.example(example).enumerate() {
            features[place].mean += number / count;
            // Not by the variance, which rounding makes a little above zero.
            varies[place] |= number != first[place];
        }
    }
    for (example, _) in train.of_classes(classes) {
        for (feature, number) in features.iter_mut().zip(train.example(example)) {
            feature.scale += (number - feature.mean) * (number - feature.mean) / count;
        }
    }
    for (feature, varies) in features.iter_mut().zip(varies) {
        let deviation = feature.scale.sqrt();
        feature.scale = if varies && deviation > f64::MIN_POSITIVE { 1.0 / deviation } else { 0.0 };
    }
    features
}
