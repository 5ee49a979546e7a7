//! The embedded data set: three hospitals and a test set, cut by testnet/data/breast-cancer/prepare.py.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tercet_data::schema::Standardise;
use tercet_data::{DataSpec, Dataset, Limits, load};

const FILES: [(&str, usize, usize); 4] = [
    ("hospital-a.csv", 230, 87),
    ("hospital-b.csv", 150, 60),
    ("hospital-c.csv", 75, 23),
    ("test.csv", 114, 42),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testnet/data/breast-cancer")
}

fn spec() -> DataSpec {
    toml::from_str(&std::fs::read_to_string(folder().join("schema.toml")).unwrap()).unwrap()
}

fn set(name: &str) -> Dataset {
    let source = toml::from_str(&format!("file = \"{name}\"")).unwrap();
    load(&spec(), &source, &folder(), &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_file_loads_with_the_schema_and_has_its_rows() {
    for (name, rows, malignant) in FILES {
        let set = set(name);
        assert_eq!((set.rows(), set.width(), set.classes()), (rows, 30, 2), "{name}");
        assert_eq!(set.labels().iter().filter(|&&label| label == 0).count(), malignant, "{name}");
        assert!(set.features().iter().all(|value| value.abs() <= 1.0), "{name}");
    }
}

#[test]
fn the_files_hold_each_of_the_569_source_rows_once() {
    let mut rows = BTreeSet::new();
    for (name, count, _) in FILES {
        let text = std::fs::read_to_string(folder().join(name)).unwrap();
        let before = rows.len();
        rows.extend(text.lines().skip(1).map(String::from));
        assert_eq!(rows.len() - before, count, "{name} repeats a row");
    }
    assert_eq!(rows.len(), 569);
    // Of the sorted rows of the source with the class number replaced by its name; README.md has the command.
    let sorted: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let found: String = Sha256::digest(sorted).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, "448d601767f4970d8a26dd50cf7a715a10a3200a6bc25c449838b1b727b0ffef");
}

#[test]
fn the_schema_follows_the_columns_of_the_files_and_its_bounds_are_tight() {
    let DataSpec::Csv(spec) = spec() else { panic!("the schema is for csv") };
    assert_eq!(spec.standardise(), Standardise::Bounds);
    assert_eq!(spec.label().classes, ["malignant", "benign"]);
    let columns: Vec<_> =
        spec.features().iter().map(|feature| feature.name.as_str()).chain(["diagnosis"]).collect();
    let text = std::fs::read_to_string(folder().join("hospital-a.csv")).unwrap();
    assert_eq!(text.lines().next().unwrap(), columns.join(","));

    // Wide bounds would squeeze a feature into a corner of [-1, 1], where training is slow.
    let sets = FILES.map(|(name, ..)| set(name));
    let all = Dataset::join(&sets.each_ref()).unwrap();
    for (column, name) in all.features().columns().into_iter().zip(columns) {
        let (low, high) = column.iter().fold((1.0_f32, -1.0_f32), |(l, h), &x| (l.min(x), h.max(x)));
        assert!(high - low > 1.5, "{name} uses less than three quarters of its bounds: {low}..{high}");
    }
}
