//! Files that people have, and files that nobody should have.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use hebbian_learning::task::data_set::make::Made;
use hebbian_learning::task::data_set::{DataSet, SourceFile};
use hebbian_shared::seed::Seed;
use ndarray::{Array1, Array2, Array3, ShapeBuilder as _};
use ndarray_npy::NpzWriter;
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn table(&self, text: impl AsRef<[u8]>) -> Result<Made, String> {
        made_of(&[self.file("a.csv", text)])
    }

    fn refused(&self, text: impl AsRef<[u8]>, expected: &str) {
        let error = self.table(text).expect_err(expected);
        assert!(error.contains(expected) && error.contains("a.csv: "), "no `{expected}` in: {error}");
    }
}

fn made_of(sources: &[PathBuf]) -> Result<Made, String> {
    make(sources, Seed::new(1).unwrap())
        .expect("it is data of one's own")
        .map_err(|failure| failure.message().to_owned())
}

fn read(made: &Made) -> DataSet {
    let file = |bytes: &Vec<u8>| SourceFile { name: "file".to_owned(), bytes: Cursor::new(bytes.clone()) };
    DataSet::read(made.files.each_ref().map(file)).unwrap()
}

const TABLE: &str = "height,width,kind\n1,2.5,low\n3,4,high\n5,6,low\n7,8,high\n";

#[test]
fn a_table_is_read_however_it_was_saved() {
    let place = Place::new();
    let plain = place.table(TABLE).unwrap();
    assert_eq!(
        (read(&plain).form().to_string(), &plain.class_names[..]),
        ("examples of 2 features".to_owned(), &["high", "low"].map(str::to_owned)[..])
    );
    let saved = [
        TABLE.replace('\n', "\r\n"),
        format!("\u{feff}{TABLE}"),
        TABLE.trim_end().to_owned(),
        TABLE.replace(',', " ,  "),
        TABLE.replace("low", "\"low\"").replace("height", "\"height\""),
        TABLE.replace("2.5", "2.5e0").replace('\n', "\n\n"),
    ];
    for text in saved {
        assert_eq!(place.table(&text).unwrap().files, plain.files, "{text:?}");
    }
    // Numbers that are labels stay what they are.
    let numbered = place.table(TABLE.replace("low", "3").replace("high", "9")).unwrap();
    assert_eq!((read(&numbered).classes(), numbered.class_names.len()), (vec![3, 9], 0));
    // A name may have a comma or go over lines; lines are counted as an editor counts them.
    place.refused("a,\"b\nc\",kind\n1,2,\"x, y\"\nz,2,x\n", "line 4: column `a`: `z` is no number");
}

#[test]
fn tables_that_cannot_be_used_are_refused_with_line_and_column() {
    let place = Place::new();
    place.refused("", "is empty: the first line must name the columns");
    place.refused("a,b\n", "has a header and no examples");
    place.refused("a;b\n1;2\n", "has one column: there must be numbers and, at the end, a label; columns are separated by commas, not by ';'");
    place.refused("1,2\n3,4\n", "the first line has numbers only");
    place.refused(",a,b\n0,1,2\n", "column 1 has no name in the first line");
    place.refused("a,b,a\n1,2,3\n", "two columns are named `a`");
    let change = |from: &str, to: &str, expected: &str| place.refused(TABLE.replacen(from, to, 1), expected);
    change("4", "", "line 3: column `width`: is empty");
    change("4", "nan", "line 3: column `width`: `nan` is no finite number");
    change("4", "-inf", "line 3: column `width`: `-inf` is no finite number");
    change("4", "1e300", "line 3: column `width`: `1e300` is beyond 1e18");
    change("4", "red", "line 3: column `width`: `red` is no number: of names make columns of 0 and 1");
    change("4", "\u{1b}[31m", "`\\u{1b}[31m` is no number");
    change("4,", "4,5,", "line 3: has 4 fields, where the header has 3");
    change("4,high", "4", "line 3: has 2 fields, where the header has 3");
    change("high", "", "line 3: column `kind`: the label is missing");
    change("high", "0.5", "line 3: column `kind`: the label 0.5 is a fraction");
    place.refused(TABLE.replace("high", "low"), "has the one class `low`");
    place.refused("a,kind\n1,x\n2,x\n3,y\n", "has one example of the class `y`");
    place.refused(b"\xff\xfea\0,\0b\0", "is text in UTF-16");
    let wide: Vec<String> = (0..4098).map(|column| format!("c{column}")).collect();
    place.refused(wide.join(","), "has 4098 columns; at most 4096 and the label are read");
    let many: Vec<String> = (0..300).map(|line| format!("1,c{line}")).collect();
    place.refused(
        format!("a,kind\n{}\n", many.join("\n")),
        "line 258: column `kind`: the label `c256` is the 257th different one",
    );
    place.refused(
        "1.5,2,x\n3,4,y\n",
        "the first line, which must name the columns, looks like an example of the class `x`",
    );
    assert!(
        place.table("0,1,kind\n1,2,x\n3,4,y\n1,2,x\n3,4,y\n").is_ok(),
        "columns may have numbers for names"
    );
    place.refused("a,b,kind\n1,2,x\n1,2,y\n1,2,x\n1,2,y\n", "its examples are all the same");
    let other = made_of(&[place.file("a.tsv", TABLE)]).unwrap_err();
    assert!(other.contains("a.tsv: is no data that can be added"), "{other}");
    let three = ["a.csv", "b.csv", "c.csv"].map(|name| place.file(name, TABLE));
    let several = made_of(&three).unwrap_err();
    assert!(several.contains("a.csv: is one of 3 files of which no set can be made"), "{several}");
    assert!(make(&[place.0.path().to_owned()], Seed::new(1).unwrap()).is_none(), "a directory has IDX files");
}

#[test]
fn a_table_for_training_and_one_for_the_test_have_the_same_columns() {
    let place = Place::new();
    let made = |test: &str| made_of(&[place.file("a.csv", TABLE), place.file("b.csv", test)]);
    let set = read(&made("height,width,kind\n1,2,high\n1,3,low\n").unwrap());
    assert_eq!(set.counts(), (4, 2));
    let refused = |test: &str, expected: &str| {
        let error = made(test).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused("width,height,kind\n1,2,high\n", "b.csv: column 1 is `width`, where");
    refused("height,width\n1,high\n", "b.csv: has 2 columns, where");
    refused("height,width,kind,more\n1,2,3,high\n", "b.csv: has 4 columns, where");
    refused("height,width,kind\n1,2,high\n", "has no test example of the class `low`");
    refused("height,width,kind\nx,2,high\n", "b.csv: line 2: column `height`: `x` is no number");
}

/// A path of an archive with some arrays, as NumPy writes them.
fn archive(place: &Place, write: impl FnOnce(&mut NpzWriter<fs::File>)) -> PathBuf {
    let path = place.0.path().join("a.npz");
    let mut writer = NpzWriter::new(fs::File::create(&path).unwrap());
    write(&mut writer);
    writer.finish().unwrap();
    path
}

#[test]
fn arrays_are_tables_or_images_by_their_shape() {
    let place = Place::new();
    let labels = Array1::from_shape_fn(10, |place| place as i64 % 2 * 5);
    let numbers = Array2::from_shape_fn((10, 3), |(row, column)| (3 * row + column) as f32 / 2.0);
    let path = archive(&place, |writer| {
        writer.add_array("x_train", &numbers).unwrap();
        writer.add_array("y_train", &labels).unwrap();
    });
    let rows = made_of(&[path]).unwrap();
    let set = read(&rows);
    assert_eq!(
        (set.form().to_string(), set.counts(), set.classes()),
        ("examples of 3 features".to_owned(), (8, 2), vec![0, 5])
    );

    // The same numbers by columns and in 64 bits.
    let mut columns = Array2::<f64>::zeros((10, 3).f());
    columns.assign(&numbers.mapv(f64::from));
    let path = archive(&place, |writer| {
        writer.add_array("x_train", &columns).unwrap();
        writer.add_array("y_train", &labels.mapv(|label| label as f64)).unwrap();
    });
    assert_eq!(made_of(&[path]).unwrap().files, rows.files);

    let images =
        Array3::from_shape_fn((10, 4, 2), |(image, row, column)| (image * 8 + row * 2 + column) as u8);
    let path = archive(&place, |writer| {
        writer.add_array("x_train", &images).unwrap();
        writer.add_array("y_train", &labels).unwrap();
        writer.add_array("x_test", &images).unwrap();
        writer.add_array("y_test", &labels.mapv(|label| label as u8)).unwrap();
    });
    let made = made_of(&[path]).unwrap();
    assert_eq!(
        (read(&made).form().to_string(), read(&made).counts()),
        ("images of 4 x 2".to_owned(), (10, 10))
    );
    assert_eq!(made.files[0][16..], images.as_slice().unwrap()[..], "bytes as they are");
}

/// An array's file with a header of somebody's choice.
fn array(header: &str, elements: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), elements].concat()
}

/// An archive of such files, compressed.
fn compressed(place: &Place, files: &[(&str, Vec<u8>)]) -> PathBuf {
    place.file("a.npz", packed(CompressionMethod::Deflated, files))
}

/// The bytes of an archive of such files.
fn packed(method: CompressionMethod, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// One byte of the numbers is another one than was packed.
#[test]
fn an_archive_whose_checksum_is_another_is_refused() {
    let place = Place::new();
    let labels = array("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", &[0, 1, 0, 1]);
    let inputs = array(INPUTS, &[71, 72, 73, 74]);
    for (name, numbers) in [("x_train", &[71, 72, 73, 74][..]), ("y_train", &[0, 1, 0, 1])] {
        let files = [("x_train.npy", inputs.clone()), ("y_train.npy", labels.clone())];
        let mut bytes = packed(CompressionMethod::Stored, &files);
        assert!(made_of(&[place.file("a.npz", &bytes)]).is_ok());
        let at = bytes.windows(numbers.len()).position(|window| window == numbers).unwrap();
        bytes[at] = 9;
        let error = made_of(&[place.file("a.npz", &bytes)]).unwrap_err();
        assert!(
            error.contains(&format!("{name}: cannot be read: ")) && error.contains("checksum"),
            "{error}"
        );
    }
}

const INPUTS: &str = "{'descr': '|i1', 'fortran_order': False, 'shape': (4, 1), }";

#[test]
fn labels_are_texts_or_numbers_of_any_type_and_archives_may_be_compressed() {
    let place = Place::new();
    let unicode: Vec<u8> = ["yes", "no\0", "yes", "no\0"]
        .iter()
        .flat_map(|text| text.chars())
        .flat_map(|c| (c as u32).to_le_bytes())
        .collect();
    let cases: [(&str, Vec<u8>, &[&str]); 4] = [
        ("<U3", unicode, &["no", "yes"]),
        ("|S3", b"yesno\0yesno\0".to_vec(), &["no", "yes"]),
        (">i2", [1_i16, -1, 1, -1].iter().flat_map(|x| x.to_be_bytes()).collect(), &["-1", "1"]),
        ("|b1", vec![1, 0, 1, 0], &[]),
    ];
    for (descr, bytes, names) in cases {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (4,), }}\n");
        let files =
            [("x_train.npy", array(INPUTS, &[1, 0xff, 3, 4])), ("y_train.npy", array(&header, &bytes))];
        let made = made_of(&[compressed(&place, &files)]).unwrap();
        assert_eq!(made.class_names, names, "{descr}");
        assert_eq!(read(&made).counts(), (2, 2));
    }
}

#[test]
fn arrays_that_cannot_be_used_are_refused_by_name_and_place() {
    let place = Place::new();
    let labels = array("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", &[0, 1, 0, 1]);
    let check = |inputs: Vec<u8>, expected: &str| {
        let path = compressed(&place, &[("x_train.npy", inputs), ("y_train.npy", labels.clone())]);
        let error = made_of(&[path]).expect_err(expected);
        assert!(error.contains(expected) && error.contains("a.npz: "), "no `{expected}` in: {error}");
    };
    let header = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
    };
    let floats: Vec<u8> = [0.0, 1.0, f64::NAN, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    check(array(&header("<f8", "(4, 1)"), &floats), "x_train[2, 0]: is NaN; every number must be finite");
    check(array(&header("<f8", "(4, 1)"), &floats[..31]), "x_train: ends before its 4 elements are complete");
    check(
        array(&header("<f8", "(4, 1)"), &[&floats[..], &[0]].concat()),
        "x_train: has more elements than its shape",
    );
    check(array(&header("|O", "(4, 1)"), &[]), "x_train: has Python objects: save numbers or texts");
    check(
        array(&header("<c16", "(4, 1)"), &[]),
        "x_train: has elements of the type `<c16`, which is not read",
    );
    check(
        array(&header("<f8", "(4,)"), &floats),
        "x_train: must have the shape [examples, features] or [images, rows, columns], not [4]",
    );
    check(
        array(&header("<f8", "(2, 1)"), &floats[..16]),
        "y_train: must have the shape [2], one label for each example of x_train",
    );
    check(array(&header("|u1", "(4, 0)"), &[]), "not [4, 0]");
    check(
        array("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,), }", &[]),
        "x_train: has fields",
    );
    check(array("{'shape': (4,), }", &[]), "x_train: has a header without `descr`");
    check(array(&header("<f8", "(4, -1)"), &[]), "x_train: has a header whose shape cannot be read");
    // What a header promises is not believed: neither lengths nor their product.
    check(array(&header("<f8", "(99999999, 99999)"), &[]), "which is more than the limit of");
    check(
        array(&header("<f8", "(4294967296, 4294967296, 4294967296)"), &[]),
        "which is more than the limit of",
    );
    // A bomb: megabytes of zeros behind a small array, of which only the first byte is looked at.
    check(array(&header("|u1", "(4, 1)"), &vec![0; 8 << 20]), "x_train: has more elements than its shape");
    check(b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "x_train: has a header of 4294967295 bytes");
    check(b"hello".to_vec(), "x_train: is no array in NumPy's format");

    let wrong = |files: &[(&str, Vec<u8>)], expected: &str| {
        let error = made_of(&[compressed(&place, files)]).expect_err(expected);
        assert!(error.contains(expected), "no `{expected}` in: {error}");
    };
    let inputs = || array(INPUTS, &[1, 2, 3, 4]);
    wrong(&[("X.npy", inputs())], "has no array `x_train`; it has `X`");
    wrong(
        &[("x_train.npy", inputs()), ("y_train.npy", labels.clone()), ("x_test.npy", inputs())],
        "has `x_test` and no `y_test`",
    );
    let error = made_of(&[place.file("a.npz", "not a zip")]).unwrap_err();
    assert!(error.contains("a.npz: is no .npz archive"), "{error}");
}

/// An archive of kilobytes may say that it is gigabytes, or say less than it is.
#[test]
fn what_an_archive_says_of_its_size_is_believed_in_neither_direction() {
    let place = Place::new();
    let labels = array("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", &[0, 1, 0, 1]);
    let files = [("x_train.npy", array(INPUTS, &[1, 2, 3, 4])), ("y_train.npy", labels)];
    for (declared, expected) in [
        (0x7fff_ffff_u32, "its arrays are 4294967294 bytes when they are unpacked"),
        (20, "x_train: ends within its header"),
    ] {
        let path = compressed(&place, &files);
        let mut bytes = fs::read(&path).unwrap();
        let directory = b"PK\x01\x02";
        let entries: Vec<usize> =
            (0..bytes.len() - 4).filter(|&place| bytes[place..place + 4] == directory[..]).collect();
        assert_eq!(entries.len(), 2);
        for entry in entries {
            bytes[entry + 24..entry + 28].copy_from_slice(&declared.to_le_bytes());
        }
        fs::write(&path, bytes).unwrap();
        let error = made_of(&[path]).expect_err(expected);
        assert!(error.contains(expected), "no `{expected}` in: {error}");
    }
}

/// See `tests/tests/fuzz.rs`.
#[test]
fn bytes_that_nobody_wrote_are_read_or_refused() {
    let place = Place::new();
    hebbian_tests::fuzz::fuzz("table", &[TABLE.as_bytes().to_vec()], |bytes| place.table(bytes).is_ok());
    let labels = array("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", &[0, 1, 0, 1]);
    let files = [("x_train.npy", array(INPUTS, &[1, 2, 3, 4])), ("y_train.npy", labels)];
    let whole = fs::read(compressed(&place, &files)).unwrap();
    hebbian_tests::fuzz::fuzz("archive", &[whole], |bytes| made_of(&[place.file("a.npz", bytes)]).is_ok());
    hebbian_tests::fuzz::fuzz("array", &[array(INPUTS, &[1, 2, 3, 4])], |bytes| {
        array::Array::read(bytes).is_ok()
    });
}
