use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::RunSpec;

use super::*;

const INPUTS: usize = 19;
const OUTPUTS: usize = 3;

fn learner(width: f64, ridge: f64) -> Regression {
    let spec = RunSpec::read(KernelRidgeSpec {}.canonical()[0]).unwrap();
    let layout = spec.layout();
    let mut genome = layout.initial_mean();
    for (name, value) in [("width", width), ("ridge", ridge)] {
        let segment = layout.segment(name).unwrap();
        genome.0[segment.start as usize] = segment.transform.invert(value);
    }
    let mut learner = Regression { layout, ..Regression::default() };
    assert!(learner.load(&genome));
    assert!(!learner.load(&Genome(vec![0.0; 9])), "a genome of another dimension");
    learner.start(&Shape { layers: vec![INPUTS, OUTPUTS], batch_max: 64 }, Seed::new(1).unwrap());
    learner
}

/// Normal inputs; targets that depend on them in another way than linearly.
fn examples(count: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut values = vec![0.0; count * INPUTS];
    fill_normal(&mut Seed::new(seed).unwrap().rng(), &mut values);
    let inputs: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let target = |row: &[f32]| [row[0] * row[1], row[2].signum(), row[3] - row[4]];
    let targets = inputs.chunks_exact(INPUTS).flat_map(target).collect();
    (inputs, targets)
}

fn learn(learner: &mut Regression, (inputs, targets): &(Vec<f32>, Vec<f32>)) {
    let examples = inputs.len() / INPUTS;
    learner.update(&ExampleBatch { inputs, targets, examples });
}

fn answers(learner: &mut Regression, inputs: &[f32]) -> Vec<f32> {
    let mut predictions = vec![0.0; inputs.len() / INPUTS * OUTPUTS];
    learner.predict(inputs, inputs.len() / INPUTS, &mut predictions);
    predictions
}

/// Gauss-Jordan elimination with pivots: another way to the weights of one output.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let size = rows.len();
    for column in 0..size {
        let pivot = (column..size).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, pivot.unwrap());
        let pivots = rows[column].clone();
        for (place, row) in rows.iter_mut().enumerate().filter(|(place, _)| *place != column) {
            let factor = row[column] / pivots[column];
            assert!(factor.is_finite(), "{place}");
            row.iter_mut().zip(&pivots).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    (0..size).map(|row| rows[row][size] / rows[row][row]).collect()
}

#[test]
fn predictions_solve_the_equations() {
    let (width, ridge) = (1.3, 0.05);
    let mut learner = learner(width, ridge);
    let [known, asked] = [examples(27, 1), examples(9, 2)];
    learn(&mut learner, &known);
    let found = answers(&mut learner, &asked.0);
    let kernel = |a: &[f32], b: &[f32]| {
        let distance: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        libm::exp(-distance / (width * width * INPUTS as f64))
    };
    let rows: Vec<&[f32]> = known.0.chunks_exact(INPUTS).collect();
    for output in 0..OUTPUTS {
        let equation = |(place, row): (usize, &&[f32])| -> Vec<f64> {
            let mut equation: Vec<f64> = rows.iter().map(|other| kernel(row, other)).collect();
            equation[place] += ridge;
            equation.push(f64::from(known.1[place * OUTPUTS + output]));
            equation
        };
        let weights = solve(rows.iter().enumerate().map(equation).collect());
        for (place, row) in asked.0.chunks_exact(INPUTS).enumerate() {
            let expected: f64 =
                rows.iter().zip(&weights).map(|(other, weight)| weight * kernel(row, other)).sum();
            let found = f64::from(found[place * OUTPUTS + output]);
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }
}

#[test]
fn questions_between_examples_change_no_bit() {
    let batches = [examples(37, 3), examples(20, 4), examples(64, 5)];
    let asked = examples(30, 6).0;
    let mut asked_often = learner(1.0, 0.1);
    let mut asked_once = learner(1.0, 0.1);
    for batch in &batches {
        learn(&mut asked_often, batch);
        answers(&mut asked_often, &asked);
        learn(&mut asked_once, batch);
    }
    let answer = answers(&mut asked_once, &asked);
    assert_eq!(answers(&mut asked_often, &asked), answer);
    assert_eq!(answers(&mut asked_often, &asked), answer, "nor do more of them");
    asked_often.start(&Shape { layers: vec![INPUTS, OUTPUTS], batch_max: 64 }, Seed::new(2).unwrap());
    assert!(answers(&mut asked_often, &asked).iter().all(|&value| value == 0.0), "a start forgets all");
}

#[test]
fn it_stops_at_so_many_examples_and_says_what_is_not_finite() {
    let mut learner = learner(1.0, 0.1);
    // Far more than there is room for; the factor is not asked for.
    let many = examples(3000, 7);
    learn(&mut learner, &many);
    learn(&mut learner, &many);
    assert_eq!(learner.examples(), KERNEL_EXAMPLES_MAX);
    let mut learner = self::learner(1.0, 0.1);
    learn(&mut learner, &(vec![1.0; INPUTS], vec![f32::NAN; OUTPUTS]));
    assert!(learner.is_finite());
    answers(&mut learner, &[0.0; INPUTS]);
    assert!(!learner.is_finite());
}
