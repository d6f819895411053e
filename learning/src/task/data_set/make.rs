//! Examples that somebody has, on their way to become a data set: labels to classes, the split, the four files.

use std::collections::BTreeMap;

use hebbian_shared::limits::{CLASS_NAME_MAX, CLASSES_MAX};
use hebbian_shared::seed::{Purpose, Seed, permutation};

use crate::task::idx::{Array, Element};

/// Of so many examples one is for the test part.
const ONE_OF: usize = 5;

/// Numbers of examples, one example after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Whole numbers from 0 to 255.
    Bytes(Vec<u8>),
    /// Any.
    Floats(Vec<f64>),
}

/// The labels of examples, in their order: those of the training part, then those of the test part.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The place of each label's text below.
    of_example: Vec<u32>,
    texts: BTreeMap<String, u32>,
}

/// Examples with their labels.
#[derive(Clone, Debug)]
pub struct Examples {
    /// Shape of one: its number of features, or rows and columns of an image.
    pub shape: Vec<usize>,
    /// The training part, or all if there is no test part.
    pub train: Numbers,
    /// The test part.
    pub test: Option<Numbers>,
    /// The labels of both.
    pub labels: Labels,
}

/// A data set that has been made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Training inputs and labels, test inputs and labels: IDX files.
    pub files: [Vec<u8>; 4],
    /// What the labels 0, 1, ... are called; none if they are what the examples said.
    pub class_names: Vec<String>,
}

impl Labels {
    /// Adds the next example's label. Refused if it is no name of a class, or one too many.
    pub fn push(&mut self, label: &str) -> Result<(), String> {
        let label = label.trim();
        if label.is_empty() || label.eq_ignore_ascii_case("nan") {
            return Err("the label is missing".to_owned());
        }
        let place = match self.texts.get(label) {
            Some(&place) => place,
            None => self.add(label)?,
        };
        self.of_example.push(place);
        Ok(())
    }

    fn add(&mut self, label: &str) -> Result<u32, String> {
        if label.chars().count() > CLASS_NAME_MAX || label.chars().any(char::is_control) {
            let start: String = label.chars().take(20).collect();
            return Err(format!(
                "the label `{}`... is no name of a class: that has 1 to {CLASS_NAME_MAX} characters in one line",
                start.escape_debug()
            ));
        }
        if number(label).is_some_and(|number| number.fract() != 0.0) {
            return Err(format!(
                "the label {label} is a fraction: labels are classes, whole numbers or names, not values"
            ));
        }
        if self.texts.len() == CLASSES_MAX {
            return Err(format!(
                "the label `{label}` is the {}th different one, and a set has at most {CLASSES_MAX} classes",
                CLASSES_MAX + 1
            ));
        }
        let place = self.texts.len() as u32;
        self.texts.insert(label.to_owned(), place);
        Ok(place)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.of_example.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.of_example.is_empty()
    }

    /// Each example's label as the data set has it, and what the labels are called. Whole numbers from 0 to 255 stay; other
    /// whole numbers, and texts, become 0, 1, ... in their order.
    fn classes(&self) -> (Vec<u8>, Vec<String>) {
        let numbers: Option<Vec<(f64, u32)>> =
            self.texts.iter().map(|(text, &place)| Some((number(text)?, place))).collect();
        let mut label_of = vec![0; self.texts.len()];
        let mut names = Vec::new();
        match numbers {
            Some(numbers) if numbers.iter().all(|(number, _)| (0.0..=255.0).contains(number)) => {
                for (number, place) in numbers {
                    label_of[place as usize] = number as u8;
                }
            }
            Some(mut numbers) => {
                // 1 and 1.0 are one class, -0 and 0 as well.
                numbers.sort_by(|(one, _), (other, _)| (one + 0.0).total_cmp(&(other + 0.0)));
                let mut last = None;
                for (number, place) in numbers {
                    if last != Some(number) {
                        names.push(format!("{:.0}", number + 0.0));
                        last = Some(number);
                    }
                    label_of[place as usize] = (names.len() - 1) as u8;
                }
            }
            None => {
                for (text, &place) in &self.texts {
                    label_of[place as usize] = names.len() as u8;
                    names.push(text.clone());
                }
            }
        }
        (self.of_example.iter().map(|&place| label_of[place as usize]).collect(), names)
    }
}

/// The number that a text is, if it is one.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
        }
    }

    /// Whether all examples of so many numbers are the same.
    fn all_same(&self, width: usize) -> bool {
        fn same<T: PartialEq>(numbers: &[T], width: usize) -> bool {
            numbers.chunks_exact(width).all(|example| example == &numbers[..width])
        }
        match self {
            Self::Bytes(bytes) => same(bytes, width),
            Self::Floats(floats) => same(floats, width),
        }
    }

    /// The smallest kind of element that holds them all exactly.
    fn element(&self) -> Element {
        match self {
            Self::Bytes(_) => Element::Byte,
            Self::Floats(floats) if floats.iter().all(|&x| f64::from(x as f32) == x) => Element::Single,
            Self::Floats(_) => Element::Double,
        }
    }

    /// The IDX file of some examples.
    fn file(&self, element: Element, shape: &[usize], examples: &[usize]) -> Vec<u8> {
        let width: usize = shape.iter().product();
        let shape = [&[examples.len()], shape].concat();
        let mut array = Array { element, shape, bytes: Vec::new() };
        for example in examples {
            let place = example * width..(example + 1) * width;
            match self {
                Self::Bytes(bytes) if element == Element::Byte => array.bytes.extend(&bytes[place]),
                Self::Bytes(bytes) => {
                    for &byte in &bytes[place] {
                        element.write(f64::from(byte), &mut array.bytes);
                    }
                }
                Self::Floats(floats) => {
                    for &float in &floats[place] {
                        element.write(float, &mut array.bytes);
                    }
                }
            }
        }
        [array.header(), array.bytes].concat()
    }
}

impl Examples {
    /// Makes a data set. Where there is no test part, the seed chooses one of five examples of each class for it.
    ///
    /// # Panics
    /// If the parts have not as many examples together as there are labels.
    pub fn make(&self, seed: Seed) -> Result<Made, String> {
        let width: usize = self.shape.iter().product();
        let count = |part: &Numbers| part.len() / width;
        let trained_on = count(&self.train);
        let all = trained_on + self.test.as_ref().map_or(0, count);
        assert_eq!(all, self.labels.len(), "one label for each example");
        let (labels, class_names) = self.labels.classes();
        let name = |label: u8| match class_names.get(usize::from(label)) {
            Some(name) => name.clone(),
            None => label.to_string(),
        };
        let mut examples_of: BTreeMap<u8, usize> = BTreeMap::new();
        for &label in &labels {
            *examples_of.entry(label).or_default() += 1;
        }
        if examples_of.len() < 2 {
            let only =
                examples_of.keys().next().map_or_else(String::new, |&label| format!(" `{}`", name(label)));
            return Err(format!("has the one class{only}; there must be two or more"));
        }
        let (train, test): (Vec<usize>, Vec<usize>) = if self.test.is_some() {
            for (part, what) in [(&labels[..trained_on], "training"), (&labels[trained_on..], "test")] {
                if let Some(&absent) = examples_of.keys().find(|label| !part.contains(label)) {
                    return Err(format!("has no {what} example of the class `{}`", name(absent)));
                }
            }
            ((0..trained_on).collect(), (0..all - trained_on).collect())
        } else {
            if let Some((&label, _)) = examples_of.iter().find(|&(_, &count)| count < 2) {
                let name = name(label);
                return Err(format!("has one example of the class `{name}`: to train and to test takes two"));
            }
            split(&labels, examples_of, seed)
        };
        let tested_on = self.test.as_ref().unwrap_or(&self.train);
        if self.train.all_same(width) {
            return Err("its examples are all the same: there is nothing to tell classes by".to_owned());
        }
        let element = [self.train.element(), tested_on.element()]
            .into_iter()
            .max_by_key(|element| *element as u8)
            .expect("there are two");
        let first_tested = if self.test.is_some() { trained_on } else { 0 };
        let labels_file = |examples: &[usize], first: usize| {
            let bytes = examples.iter().map(|example| labels[first + example]).collect();
            let array = Array { element: Element::Byte, shape: vec![examples.len()], bytes };
            [array.header(), array.bytes].concat()
        };
        Ok(Made {
            files: [
                self.train.file(element, &self.shape, &train),
                labels_file(&train, 0),
                tested_on.file(element, &self.shape, &test),
                labels_file(&test, first_tested),
            ],
            class_names,
        })
    }
}

/// Chooses training examples and test examples, each class by itself and in a drawn order.
fn split(labels: &[u8], examples_of: BTreeMap<u8, usize>, seed: Seed) -> (Vec<usize>, Vec<usize>) {
    let mut wanted: BTreeMap<u8, usize> = examples_of
        .into_iter()
        .map(|(label, count)| (label, ((count + ONE_OF / 2) / ONE_OF).max(1)))
        .collect();
    let order = permutation(&mut seed.derive(Purpose::Split, 0).rng(), labels.len() as u32);
    let (test, train) = order.into_iter().map(|example| example as usize).partition(|&example| {
        let wanted = wanted.entry(labels[example]).or_default();
        let is_wanted = *wanted > 0;
        *wanted = wanted.saturating_sub(1);
        is_wanted
    });
    (train, test)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hebbian_shared::spec::data_set::DataSetSpec;

    use super::*;
    use crate::task::data_set::{DataSet, SourceFile};

    fn labels(texts: &[&str]) -> Labels {
        let mut labels = Labels::default();
        for text in texts {
            labels.push(text).unwrap();
        }
        labels
    }

    /// Twenty lines of two features with the labels `a` (4) and `b` (16); the first feature is the number of the line.
    fn lines() -> Examples {
        let label = |line: usize| if line.is_multiple_of(5) { "a" } else { "b" };
        Examples {
            shape: vec![2],
            train: Numbers::Floats((0..20).flat_map(|line| [f64::from(line), 0.1]).collect()),
            test: None,
            labels: labels(&(0..20).map(label).collect::<Vec<_>>()),
        }
    }

    fn read(made: &Made) -> DataSet {
        let file = |bytes: &Vec<u8>| SourceFile {
            name: "file".to_owned(),
            bytes: std::io::Cursor::new(bytes.clone()),
        };
        DataSet::read(made.files.each_ref().map(file)).unwrap()
    }

    #[test]
    fn a_split_takes_one_of_five_of_each_class_by_the_seed() {
        let examples = lines();
        let made = |seed: u64| examples.make(Seed::new(seed).unwrap()).unwrap();
        let set = read(&made(1));
        assert_eq!((set.counts(), set.form().to_string()), ((16, 4), "examples of 2 features".to_owned()));
        assert_eq!(made(1).class_names, ["a", "b"]);
        let mut tested = [1, 2, 3].map(|seed| made(seed).files[3][8..].to_vec());
        for labels in &mut tested {
            labels.sort_unstable();
            assert_eq!(labels[..], [0, 1, 1, 1], "one of four, three of sixteen");
        }
        assert_eq!(made(1).files, made(1).files);
        assert_ne!(made(1).files, made(2).files, "another seed, another split");
        // No example is in both parts, and each keeps its label.
        let mut seen = Vec::new();
        for part in [&set.train, &set.test] {
            for example in 0..part.labels.len() {
                let line = part.example(example).next().unwrap();
                assert_eq!(part.labels[example] == 0, line % 5.0 == 0.0);
                seen.push(line as usize);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_are_kept_exactly_in_the_smallest_element() {
        let element = |numbers: Numbers| numbers.element();
        assert_eq!(element(Numbers::Bytes(vec![1])), Element::Byte);
        assert_eq!(element(Numbers::Floats(vec![0.5, -3.0])), Element::Single);
        assert_eq!(element(Numbers::Floats(vec![0.5, 0.1])), Element::Double);
        // Bytes for training, floats for the test.
        let examples = Examples {
            shape: vec![1],
            train: Numbers::Bytes(vec![3, 4]),
            test: Some(Numbers::Floats(vec![0.1, 4.0])),
            labels: labels(&["1", "2", "2", "1"]),
        };
        let set = read(&examples.make(Seed::new(1).unwrap()).unwrap());
        assert_eq!(set.train.example(1).collect::<Vec<_>>(), [4.0]);
        assert_eq!((set.test.example(0).collect::<Vec<_>>(), &set.test.labels[..]), (vec![0.1], &[2, 1][..]));
    }

    #[test]
    fn labels_are_bytes_whole_numbers_or_names() {
        let classes = |texts: &[&str]| labels(texts).classes();
        assert_eq!(classes(&["7", "0", "7.0", "255"]), (vec![7, 0, 7, 255], vec![]));
        let signs = vec!["-1".to_owned(), "1".to_owned()];
        assert_eq!(classes(&["1", "-1", " +1 ", "1e0"]), (vec![1, 0, 1, 1], signs));
        assert_eq!(classes(&["300", "0", "-0"]).0, [1, 0, 0]);
        assert_eq!(classes(&["b", "10", "9"]), (vec![2, 0, 1], ["10", "9", "b"].map(str::to_owned).to_vec()));
        let refused = |text: &str, expected: &str| {
            let error = Labels::default().push(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        refused(" ", "the label is missing");
        refused("NaN", "the label is missing");
        refused("0.37", "the label 0.37 is a fraction");
        refused("a\nb", "`a\\nb`... is no name of a class");
        refused(&"x".repeat(65), "is no name of a class");
        let mut many = Labels::default();
        for label in 0..256 {
            many.push(&label.to_string()).unwrap();
        }
        assert!(many.push("7").is_ok());
        assert!(many.push("256").unwrap_err().contains("is the 257th different one"));
    }

    #[test]
    fn classes_that_cannot_be_learned_or_tested_are_refused() {
        let check = |texts: &[&str], test: usize, expected: &str| {
            let train = Numbers::Floats((0..texts.len() - test).map(|x| x as f64).collect());
            let test = (test > 0).then(|| Numbers::Floats(vec![0.0; test]));
            let examples = Examples { shape: vec![1], train, test, labels: labels(texts) };
            let error = examples.make(Seed::new(1).unwrap()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(&["a", "a"], 0, "has the one class `a`");
        check(&["a", "a", "b"], 0, "has one example of the class `b`");
        check(&["a", "b", "a"], 1, "has no test example of the class `b`");
        check(&["1", "2", "3", "1", "2"], 2, "has no test example of the class `3`");
        check(&["1", "2", "3"], 1, "has no training example of the class `3`");
    }

    #[test]
    fn features_are_standardised_each_by_itself() {
        let mut rows: Vec<f64> =
            (0..20).flat_map(|line| [1e9 + f64::from(line), 7.1, f64::from(line % 2)]).collect();
        // So far away that it would drown all else.
        rows.extend([1e18, 7.1, 0.0]);
        rows.extend([1e9, 8.0, 1.0]);
        let test = rows.split_off(60);
        let label = |line: usize| if line < 10 { "0" } else { "1" };
        let of_all = (0..20).map(label).chain(["0", "1"]).collect::<Vec<_>>();
        let examples = Examples {
            shape: vec![3],
            train: Numbers::Floats(rows),
            test: Some(Numbers::Floats(test)),
            labels: labels(&of_all),
        };
        let set = Arc::new(read(&examples.make(Seed::new(1).unwrap()).unwrap()));
        let mut spec = DataSetSpec::of("mine".parse().unwrap(), 8);
        let error = set.inputs(&spec).unwrap_err().to_string();
        assert!(error.contains("is a table: its entry in tasks.data_sets needs `features = 3`"), "{error}");
        set.complete(&mut spec);
        assert_eq!((spec.inputs(), &spec.classes[..]), (3, &[0, 1][..]));
        let inputs = set.inputs(&spec).unwrap();
        for feature in [0, 2] {
            let values: Vec<f64> = (0..20).map(|line| f64::from(inputs.train.image(line)[feature])).collect();
            let (sum, squares) =
                values.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
            assert!(sum.abs() < 1e-5 && (squares / 20.0 - 1.0).abs() < 1e-5, "{feature}: {values:?}");
        }
        assert_eq!(inputs.train.image(3)[1], 0.0, "what is always the same says nothing");
        assert_eq!(inputs.test.image(0)[..2], [100.0, 0.0]);
        assert_eq!(inputs.test.image(1)[1], 0.0);
    }
}
