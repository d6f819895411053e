//! CMA-ES with full covariance.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{DEFAULT_STEP_SIZE, START_NUMBER, STEP_SIZE, Settings, default_step_size, population_size_from};
use crate::limits::{FULL_COVARIANCE_DIMENSION_MAX, START_NUMBER_MAX, STEP_SIZE_MIN};
use crate::spec::range::Range;
use crate::spec::{SpecError, is_default};

/// Settings of CMA-ES.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmaEsSpec {
    /// Candidates per generation (lambda), at least 4; those that are asked again come on top.
    #[schemars(transform = POPULATION_SIZE.schema())]
    pub population_size: u32,
    /// Initial step size (sigma).
    #[serde(default = "default_step_size")]
    #[schemars(transform = STEP_SIZE.schema())]
    pub step_size: f64,
    /// The largest standard deviation along any axis of the distribution, at least the initial step size; infinity: no
    /// limit. The scale of most rules is free, and without a limit step size and genome grow with each other.
    #[serde(default = "no_limit", skip_serializing_if = "is_no_limit")]
    #[schemars(extend("minimum" = STEP_SIZE_MIN))]
    pub step_size_max: f64,
    /// Whether the worst half shrinks the covariance (active update, negative weights).
    #[serde(default = "yes")]
    pub active: bool,
    /// What is done about noise in the fitness.
    #[serde(default)]
    pub noise: NoiseHandling,
    /// What follows when the search has converged or failed.
    #[serde(default)]
    pub restarts: Restarts,
    /// Whether every second candidate is the mirror image, at the mean, of the one before.
    #[serde(default)]
    pub mirrored: bool,
    /// Whether candidates enter as they come, of external problems: no evaluation waits for another, and the result depends on
    /// the order of their arrival.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub asynchronous: bool,
    /// The initial covariance matrix up to the step size: its lower triangle by columns, n (n + 1) / 2 numbers, for
    /// example of another search's distribution. Empty: the identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = START_NUMBER.of_items())]
    pub initial_covariance: Vec<f64>,
    /// Initial standard deviations relative to the step size, n positive numbers. Empty: all 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = SCALE.of_items())]
    pub scales: Vec<f64>,
    /// Coordinates, counted from 0, that keep the initial mean's value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub fixed: Vec<u32>,
    /// Coordinates, counted from 0, that are whole numbers, of points for `hebbian ask-tell`: candidates have them rounded, and
    /// within their bounds; their least deviation keeps them moving. Specs of runs have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub integers: Vec<u32>,
    /// Lower bounds, one for all coordinates or n; `-inf`, in JSON `null`, where there is none. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lower_bounds")]
    #[schemars(transform = START_NUMBER.of_items(), transform = or_null)]
    pub lower_bounds: Vec<f64>,
    /// Upper bounds, one for all coordinates or n; `inf`, in JSON `null`, where there is none. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "upper_bounds")]
    #[schemars(transform = START_NUMBER.of_items(), transform = or_null)]
    pub upper_bounds: Vec<f64>,
}

/// Lower bounds as they are written; JSON has no infinity.
fn lower_bounds<'de, D: Deserializer<'de>>(written: D) -> Result<Vec<f64>, D::Error> {
    let bounds = Vec::<Option<f64>>::deserialize(written)?;
    Ok(bounds.into_iter().map(|bound| bound.unwrap_or(f64::NEG_INFINITY)).collect())
}

/// The same of upper bounds.
fn upper_bounds<'de, D: Deserializer<'de>>(written: D) -> Result<Vec<f64>, D::Error> {
    let bounds = Vec::<Option<f64>>::deserialize(written)?;
    Ok(bounds.into_iter().map(|bound| bound.unwrap_or(f64::INFINITY)).collect())
}

/// The schema of a list whose items may be `null`.
fn or_null(schema: &mut Schema) {
    if let Some(Value::Object(items)) = schema.get_mut("items") {
        items.insert("type".to_owned(), Value::from(vec!["number", "null"]));
    }
}

fn no_limit() -> f64 {
    f64::INFINITY
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_no_limit(limit: &f64) -> bool {
    *limit == f64::INFINITY
}

fn yes() -> bool {
    true
}

/// What CMA-ES does about noise in the fitness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseHandling {
    /// Noise is measured by asking a few candidates again; learning rates adapt while there is some.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// Learning rates always adapt (LRA-CMA-ES, Nomura, Akimoto and Ono 2023).
    Lra,
}

/// What follows when a search has stopped by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restarts {
    /// The end.
    #[default]
    None,
    /// A new search with twice the population (Auger and Hansen 2005).
    Ipop,
    /// A new search, alternately with twice the population and with a small one (Hansen 2009).
    Bipop,
}

const SCALE: Range<f64> = Range::new(1.0 / START_NUMBER_MAX, START_NUMBER_MAX);
const POPULATION_SIZE: Range<u32> = population_size_from(4);

impl CmaEsSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self {
            population_size,
            step_size: DEFAULT_STEP_SIZE,
            step_size_max: no_limit(),
            active: yes(),
            noise: NoiseHandling::default(),
            restarts: Restarts::default(),
            mirrored: false,
            asynchronous: false,
            initial_covariance: Vec::new(),
            scales: Vec::new(),
            fixed: Vec::new(),
            integers: Vec::new(),
            lower_bounds: Vec::new(),
            upper_bounds: Vec::new(),
        }
    }

    /// How many candidates of a population are asked again where noise is measured.
    pub fn reasked(population_size: u32) -> u32 {
        2 + population_size / 20
    }

    /// Refuses lists of a wrong length or with numbers out of range.
    fn check_lists(&self, dimension: usize) -> Result<(), SpecError> {
        let triangle = dimension * (dimension + 1) / 2;
        for (field, values, lengths, range) in [
            ("initial_covariance", &self.initial_covariance, [triangle, triangle], START_NUMBER),
            ("scales", &self.scales, [dimension, dimension], SCALE),
            ("lower_bounds", &self.lower_bounds, [1, dimension], START_NUMBER),
            ("upper_bounds", &self.upper_bounds, [1, dimension], START_NUMBER),
        ] {
            if !values.is_empty() && !lengths.contains(&values.len()) {
                let [one, all] = lengths;
                let right = if one == all { format!("{all}") } else { format!("{one} or {all}") };
                return refuse(field, format!("must hold {right} numbers, not {}", values.len()));
            }
            let no_bound = match field {
                "lower_bounds" => f64::NEG_INFINITY,
                "upper_bounds" => f64::INFINITY,
                _ => f64::NAN,
            };
            for (place, &value) in values.iter().enumerate().filter(|(_, value)| **value != no_bound) {
                range.check(&format!("strategy.{field}[{place}]"), value)?;
            }
        }
        Ok(())
    }

    /// Refuses a covariance that is none: it must be positive definite (Cholesky's decomposition exists).
    fn check_covariance(&self, dimension: usize) -> Result<(), SpecError> {
        let triangle = &self.initial_covariance;
        if triangle.is_empty() {
            return Ok(());
        }
        if !self.scales.is_empty() {
            let problem = "has no effect beside initial_covariance, which has its own; leave one of them out";
            return refuse("scales", problem.to_owned());
        }
        // The lower triangle by columns.
        let start = |column: usize| column * dimension - column * column.saturating_sub(1) / 2;
        let mut factor = triangle.clone();
        for column in 0..dimension {
            let diagonal = factor[start(column)];
            if diagonal.is_nan() || diagonal <= 0.0 {
                let problem = format!(
                    "must be positive definite, but is not from row {column} on (it is the lower triangle, by columns)"
                );
                return refuse("initial_covariance", problem);
            }
            let root = diagonal.sqrt();
            for row in column..dimension {
                factor[start(column) + row - column] /= root;
            }
            for next in column + 1..dimension {
                let weight = factor[start(column) + next - column];
                for row in next..dimension {
                    factor[start(next) + row - next] -= weight * factor[start(column) + row - column];
                }
            }
        }
        Ok(())
    }

    /// Refuses coordinates that are not there, stand twice or contradict each other.
    fn check_coordinates(&self, dimension: usize) -> Result<(), SpecError> {
        for (field, coordinates) in [("fixed", &self.fixed), ("integers", &self.integers)] {
            for (place, &coordinate) in coordinates.iter().enumerate() {
                if coordinate as usize >= dimension {
                    let problem = format!("must be a coordinate below {dimension}, not {coordinate}");
                    return refuse(&format!("{field}[{place}]"), problem);
                }
                if coordinates[..place].contains(&coordinate) {
                    return refuse(field, format!("names coordinate {coordinate} twice"));
                }
            }
        }
        if self.fixed.len() >= dimension {
            return refuse("fixed", "leaves no coordinate to search".to_owned());
        }
        if let Some(both) = self.integers.iter().find(|integer| self.fixed.contains(integer)) {
            return refuse("integers", format!("names coordinate {both}, which is fixed; leave it out"));
        }
        Ok(())
    }

    /// Refuses what takes whole generations.
    fn check_asynchronous(&self) -> Result<(), SpecError> {
        if !self.asynchronous {
            return Ok(());
        }
        let without = "beside strategy.asynchronous, whose candidates enter one by one";
        if self.noise != NoiseHandling::None {
            return refuse("noise", format!("must be \"none\" {without}"));
        }
        if self.restarts != Restarts::None {
            return refuse("restarts", format!("must be \"none\" {without}"));
        }
        if self.mirrored {
            return refuse("mirrored", format!("must be false {without}"));
        }
        Ok(())
    }

    /// The bounds of a coordinate; infinite where there is none.
    pub fn bounds(&self, coordinate: usize) -> (f64, f64) {
        let of = |values: &[f64]| values.get(coordinate).or(values.first()).copied();
        let (lower, upper) = (of(&self.lower_bounds), of(&self.upper_bounds));
        (lower.unwrap_or(f64::NEG_INFINITY), upper.unwrap_or(f64::INFINITY))
    }

    /// Refuses bounds between which an integer has no choice.
    fn check_integers(&self) -> Result<(), SpecError> {
        for (place, &integer) in self.integers.iter().enumerate() {
            let (lower, upper) = self.bounds(integer as usize);
            if libm::ceil(lower) >= libm::floor(upper) {
                let problem = format!(
                    "coordinate {integer} must have at least two whole numbers within its bounds, which are {lower} and {upper}"
                );
                return refuse(&format!("integers[{place}]"), problem);
            }
        }
        Ok(())
    }

    /// Refuses bounds that contradict each other or the start.
    fn check_bounds(&self, start: &[f64]) -> Result<(), SpecError> {
        for (i, &mean) in start.iter().enumerate() {
            let (lower, upper) = self.bounds(i);
            if lower >= upper {
                let problem = format!("must be below upper_bounds: coordinate {i} has {lower} and {upper}");
                return refuse("lower_bounds", problem);
            }
            let too_low = mean < lower;
            if too_low || mean > upper {
                let field = if too_low { "lower_bounds" } else { "upper_bounds" };
                return refuse(
                    field,
                    format!("must leave room for the start, whose coordinate {i} is {mean}"),
                );
            }
        }
        Ok(())
    }
}

fn refuse(field: &str, problem: String) -> Result<(), SpecError> {
    Err(SpecError::field(format!("strategy.{field}"), problem))
}

impl Settings for CmaEsSpec {
    fn population_size(&self) -> u32 {
        self.population_size
    }

    fn candidates_max(&self) -> u32 {
        let measures = self.noise == NoiseHandling::Auto;
        if self.asynchronous {
            return 2 * self.population_size;
        }
        self.population_size + if measures { Self::reasked(self.population_size) } else { 0 }
    }

    fn has_restarts(&self) -> bool {
        self.restarts != Restarts::None
    }

    fn validate(&self, start: &[f64]) -> Result<(), SpecError> {
        let dimension = start.len();
        if dimension > FULL_COVARIANCE_DIMENSION_MAX {
            return refuse(
                "kind",
                format!(
                    "cma-es keeps full matrices of {dimension} x {dimension} numbers, {:.0} GB each; above \
                     {FULL_COVARIANCE_DIMENSION_MAX} dimensions use sep-cma-es",
                    (dimension as f64).powi(2) * 8e-9
                ),
            );
        }
        self.check_lists(dimension)?;
        self.check_covariance(dimension)?;
        self.check_coordinates(dimension)?;
        self.check_bounds(start)?;
        self.check_integers()?;
        self.check_asynchronous()?;
        POPULATION_SIZE.check("strategy.population_size", self.population_size)?;
        STEP_SIZE.check("strategy.step_size", self.step_size)?;
        if self.step_size_max.is_nan() || self.step_size_max < self.step_size {
            let problem = format!(
                "must be at least step_size, which is {:?}, or inf, not {:?}",
                self.step_size, self.step_size_max
            );
            return refuse("step_size_max", problem);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_may_be_none_in_both_ways_of_writing_it() {
        let written = "population_size = 8\nlower_bounds = [-inf, 0.0]\nupper_bounds = [inf, 1.5]\n";
        let spec: CmaEsSpec = toml::from_str(written).unwrap();
        assert_eq!(spec.lower_bounds, [f64::NEG_INFINITY, 0.0]);
        assert_eq!(spec.upper_bounds, [f64::INFINITY, 1.5]);
        assert_eq!(spec.validate(&[7.0, 1.0]), Ok(()));
        let json = serde_json::to_string(&spec).unwrap();
        assert!(json.contains("\"lower_bounds\":[null,0.0],\"upper_bounds\":[null,1.5]"), "{json}");
        assert_eq!(serde_json::from_str::<CmaEsSpec>(&json).unwrap(), spec);
        assert_eq!(toml::from_str::<CmaEsSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        // Where nothing would be left, and where nothing was meant.
        for (lower, upper, expected) in [
            (f64::INFINITY, 2.0, "strategy.lower_bounds[0]: must be from -1e100 to 1e100, not inf"),
            (0.0, f64::NEG_INFINITY, "strategy.upper_bounds[0]: must be from -1e100 to 1e100, not -inf"),
        ] {
            let spec = CmaEsSpec { lower_bounds: vec![lower], upper_bounds: vec![upper], ..CmaEsSpec::of(8) };
            assert_eq!(spec.validate(&[1.0]).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn integers_are_coordinates_with_a_choice() {
        let of = |integers: &[u32], fixed: &[u32], lower: f64, upper: f64| {
            let (integers, fixed) = (integers.to_vec(), fixed.to_vec());
            let (lower_bounds, upper_bounds) = (vec![lower], vec![upper]);
            let spec = CmaEsSpec { fixed, integers, lower_bounds, upper_bounds, ..CmaEsSpec::of(8) };
            spec.validate(&[0.5, 0.5]).map_err(|error| error.to_string())
        };
        let refused = |found: Result<(), String>, expected: &str| assert_eq!(found.unwrap_err(), expected);
        assert_eq!(of(&[1], &[0], 0.0, 1.0), Ok(()));
        assert_eq!(of(&[1, 0], &[], f64::NEG_INFINITY, f64::INFINITY), Ok(()));
        refused(of(&[2], &[], 0.0, 1.0), "strategy.integers[0]: must be a coordinate below 2, not 2");
        refused(of(&[1, 1], &[], 0.0, 1.0), "strategy.integers: names coordinate 1 twice");
        refused(
            of(&[1], &[1], 0.0, 1.0),
            "strategy.integers: names coordinate 1, which is fixed; leave it out",
        );
        refused(
            of(&[0, 1], &[], 0.5, 1.5),
            "strategy.integers[0]: coordinate 0 must have at least two whole numbers within its bounds, which are 0.5 and 1.5",
        );
    }

    #[test]
    fn a_covariance_is_positive_definite_and_has_no_scales_beside_it() {
        let of = |initial_covariance: &[f64], scales: &[f64]| {
            let dimension = if initial_covariance.len() == 3 { 2 } else { 3 };
            let (initial_covariance, scales) = (initial_covariance.to_vec(), scales.to_vec());
            CmaEsSpec { initial_covariance, scales, ..CmaEsSpec::of(8) }.validate(&vec![0.0; dimension])
        };
        let refused = |covariance: &[f64], scales: &[f64], expected: &str| {
            let error = of(covariance, scales).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        assert_eq!(of(&[2.0, 1.0, 1.0], &[]), Ok(()));
        assert_eq!(of(&[4.0, 2.0, 0.6, 3.0, 0.4, 1.0], &[]), Ok(()));
        assert_eq!(of(&[1e-90, 0.0, 1e90], &[]), Ok(()));
        refused(
            &[1.0, 2.0, 1.0],
            &[],
            "strategy.initial_covariance: must be positive definite, but is not from row 1",
        );
        refused(&[0.0, 0.0, 1.0], &[], "is not from row 0");
        refused(&[1.0, 1.0, 1.0], &[], "is not from row 1");
        refused(&[4.0, 2.0, 0.6, 3.0, 0.4, -1.0], &[], "is not from row 2");
        refused(&[2.0, 1.0, 1.0], &[1.0, 1.0], "strategy.scales: has no effect beside initial_covariance");
    }
}
