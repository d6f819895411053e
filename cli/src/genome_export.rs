//! A genome's parameters in formats of other programs: named arrays of f64.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use hebbian_shared::genome::Segment;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::failure::Failure;
use crate::genome_file::GenomeFile;
use crate::render;

/// The name of the array with the search values, untransformed, in the order of the layout.
const VALUES: &str = "values";

/// Each segment with its parameters.
pub(crate) fn parameters(file: &GenomeFile) -> Vec<(&Segment, Vec<f64>)> {
    let values = |segment: &Segment| {
        let parameters = file.layout().parameters(&segment.name, file.genome());
        parameters.expect("a genome file's values fit its layout")
    };
    file.layout().segments().iter().map(|segment| (segment, values(segment))).collect()
}

fn shape(segment: &Segment) -> Vec<usize> {
    segment.shape.iter().map(|&side| side as usize).collect()
}

/// A JSON object: `parameters` by name with `shape` and row-major `data`, and all else that the genome file says.
pub(crate) fn json(file: &GenomeFile) -> Vec<u8> {
    // Parameters may have left the numbers of JSON, which knows no infinity.
    let number =
        |x: f64| serde_json::Number::from_f64(x).map_or_else(|| Value::from(x.to_string()), Value::Number);
    let parameters: BTreeMap<&str, Value> = parameters(file)
        .into_iter()
        .map(|(segment, values)| {
            let data: Vec<Value> = values.into_iter().map(number).collect();
            (segment.name.as_str(), json!({ "shape": segment.shape, "data": data }))
        })
        .collect();
    let object = json!({
        "format": "hebbian-parameters-1",
        "parameters": parameters,
        VALUES: file.genome(),
        "rule": file.problem().rule,
        "network": file.problem().network,
        "provenance": file.provenance,
    });
    render::json::pretty(&object).into_bytes()
}

/// A `.npy` file, version 1.0: magic and version, the length of the header, the header as a Python dict that is padded so that
/// the data begins at a multiple of 64, and the numbers in row-major order.
fn npy(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let sides = match shape {
        [side] => format!("{side},"),
        sides => sides.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    };
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({sides}), }}");
    let before = b"\x93NUMPY\x01\x00".len() + size_of::<u16>();
    let length = (before + header.len() + 1).next_multiple_of(64) - before;
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(length).expect("a shape is short").to_le_bytes());
    file.extend(format!("{header:<width$}\n", width = length - 1).bytes());
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

/// An archive of `.npy` files, one for each segment and one with the search values.
pub(crate) fn npz(file: &GenomeFile) -> Result<Vec<u8>, Failure> {
    let archive = || -> Result<Vec<u8>, zip::result::ZipError> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut add = |name: &str, shape: &[usize], values: &[f64]| {
            let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            archive.start_file(format!("{name}.npy"), stored)?;
            archive.write_all(&npy(shape, values)).map_err(zip::result::ZipError::from)
        };
        for (segment, values) in parameters(file) {
            add(&segment.name, &shape(segment), &values)?;
        }
        add(VALUES, &[file.genome().0.len()], &file.genome().0)?;
        Ok(archive.finish()?.into_inner())
    };
    archive().map_err(|error| Failure::failed(format_args!("the archive cannot be made: {error}")))
}

/// A safetensors file: one tensor for each segment and one with the search values; the rest of the genome file is JSON
/// in its metadata.
pub(crate) fn safetensors(file: &GenomeFile) -> Result<Vec<u8>, Failure> {
    let bytes = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut arrays: Vec<(&str, Vec<usize>, Vec<u8>)> = parameters(file)
        .into_iter()
        .map(|(segment, values)| (segment.name.as_str(), shape(segment), bytes(&values)))
        .collect();
    arrays.push((VALUES, vec![file.genome().0.len()], bytes(&file.genome().0)));
    let problem = file.problem();
    let text = |value: Value| value.to_string();
    let metadata = [
        ("rule", text(json!(problem.rule))),
        ("network", text(json!(problem.network))),
        ("provenance", text(json!(file.provenance))),
    ];
    let metadata = metadata.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    arrays
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F64, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|error| Failure::failed(format_args!("the tensors cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayD;
    use ndarray_npy::NpzReader;
    use safetensors::SafeTensors;

    fn file() -> GenomeFile {
        GenomeFile::of_quickstart(|place| place as f64 / 8.0 - 3.0)
    }

    /// The forward transform of four states, and the update gate.
    fn check(matrix: &[f64], gate: f64, values: &[f64]) {
        let expected: Vec<f64> = (0..16).map(|place| f64::from(place) / 8.0 - 3.0).collect();
        assert_eq!(matrix, expected);
        assert_eq!(gate, 0.1 * (67.0_f64 / 8.0 - 3.0).exp());
        assert_eq!((values.len(), values[67]), (68, 67.0 / 8.0 - 3.0));
    }

    #[test]
    fn json_has_every_array_with_its_shape() {
        let object: Value = serde_json::from_slice(&json(&file())).unwrap();
        let numbers = |value: &Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let parameters = &object["parameters"];
        assert_eq!(parameters["forward_transform"]["shape"], json!([4, 4]));
        assert_eq!(parameters["synapse_update"]["shape"], json!([]));
        let gate = numbers(&parameters["synapse_update"]["data"])[0];
        check(&numbers(&parameters["forward_transform"]["data"]), gate, &numbers(&object["values"]));
        assert_eq!(object["rule"]["states"], 4);
    }

    #[test]
    fn npz_is_read_back() {
        let mut archive = NpzReader::new(Cursor::new(npz(&file()).unwrap())).unwrap();
        let mut read = |name: &str| -> ArrayD<f64> { archive.by_name(name).unwrap() };
        let (matrix, gate, values) = (read("forward_transform"), read("synapse_update"), read(VALUES));
        assert_eq!((matrix.shape(), gate.shape()), (&[4, 4][..], &[][..]));
        let slice = |array: &ArrayD<f64>| array.iter().copied().collect::<Vec<_>>();
        check(&slice(&matrix), slice(&gate)[0], &slice(&values));
    }

    #[test]
    fn safetensors_are_read_back() {
        let bytes = safetensors(&file()).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let read = |name: &str| -> Vec<f64> {
            let tensor = tensors.tensor(name).unwrap();
            assert_eq!(tensor.dtype(), Dtype::F64);
            tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
        };
        check(&read("forward_transform"), read("synapse_update")[0], &read(VALUES));
        assert_eq!(tensors.tensor("forward_transform").unwrap().shape(), [4, 4]);
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let rule: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["rule"]).unwrap();
        assert_eq!(rule["states"], 4);
    }
}
