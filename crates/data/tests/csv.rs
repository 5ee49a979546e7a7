//! What a CSV file may hold, and how each fault is named.

use std::path::Path;

use proptest::prelude::*;
use tercet_data::schema::CsvSpec;
use tercet_data::{CellFault, DataError, DataSpec, Dataset, Limits, Rows, Source, csv, load};

const SCHEMA: &str = r#"
    format = "csv"
    features = [{ name = "age", min = 0, max = 100 }, { name = "dose", min = -1.5, max = 2.5 }]
    label = { column = "outcome", classes = ["worse", "better"] }
    ignore = ["patient"]
"#;

fn spec() -> CsvSpec {
    spec_of(SCHEMA)
}

fn spec_of(text: &str) -> CsvSpec {
    match toml::from_str(text).unwrap() {
        DataSpec::Csv(spec) => spec,
        DataSpec::Idx(_) => panic!("the schema is for csv"),
    }
}

fn parse(text: impl AsRef<[u8]>) -> Result<Dataset, DataError> {
    csv::parse(Path::new("ward.csv"), text.as_ref(), &spec(), None, &Limits::default())
}

fn error(text: impl AsRef<[u8]>) -> DataError {
    parse(text).expect_err("the file must be refused")
}

#[test]
fn rows_are_scaled_by_the_bounds_in_the_order_of_the_schema() {
    let set = parse("outcome,dose,patient,age\nbetter,0.5,7,25\nworse,-1.5,x,1e2\n").unwrap();
    assert_eq!(set.features(), ndarray::array![[-0.5, 0.0], [1.0, -1.0]]);
    assert_eq!((set.labels(), set.classes()), (&[1, 0][..], 2));
}

#[test]
fn values_stay_as_they_are_without_standardisation() {
    let spec = spec_of(&SCHEMA.replace("ignore", "standardise = \"none\"\nignore"));
    let text = b"age,dose,outcome\n25,0.5,better\n";
    let set = csv::parse(Path::new("f"), text, &spec, None, &Limits::default()).unwrap();
    assert_eq!(set.features(), ndarray::array![[25.0, 0.5]]);
}

#[test]
fn crlf_a_byte_order_mark_quotes_blanks_and_trailing_blank_lines_do_not_change_the_rows() {
    let plain = parse("age,dose,outcome\n25,0.5,better\n3,1,worse\n").unwrap();
    for text in [
        "age,dose,outcome\r\n25,0.5,better\r\n3,1,worse\r\n",
        "\u{feff}age,dose,outcome\n25,0.5,better\n3,1,worse",
        "\"age\",\"dose\",\"outcome\"\n\"25\",0.5,\"better\"\n3,\"1\",worse\n",
        " age , dose\t,outcome\n 25,0.5 , better\n+3,1.,worse\n",
        "age,dose,outcome\n25,.5,better\n3.0,1e0,worse\n\r\n  \n\n",
    ] {
        let set = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!((set.features(), set.labels()), (plain.features(), plain.labels()), "{text:?}");
    }
}

#[test]
fn another_delimiter_is_taken_from_the_schema() {
    let spec = spec_of(&SCHEMA.replace("ignore", "delimiter = \";\"\nignore"));
    let parse = |text: &str| csv::parse(Path::new("f"), text.as_bytes(), &spec, None, &Limits::default());
    assert_eq!(parse("age;dose;outcome\n25;0.5;better\n").unwrap().rows(), 1);
    let comma = parse("age;dose;outcome\n25;0,5;better\n").unwrap_err();
    assert!(matches!(comma, DataError::Cell { line: 2, fault: CellFault::NotANumber, .. }), "{comma}");
}

#[test]
fn a_faulty_cell_is_named_by_line_column_and_kind_and_never_shown() {
    for (cell, fault) in [
        ("12x45", CellFault::NotANumber),
        ("0x1F", CellFault::NotANumber),
        ("1 2", CellFault::NotANumber),
        ("-", CellFault::NotANumber),
        ("NaN", CellFault::NotFinite),
        ("-inf", CellFault::NotFinite),
        ("Infinity", CellFault::NotFinite),
        ("1e999", CellFault::NotFinite),
        ("", CellFault::Empty),
        ("  ", CellFault::Empty),
        ("2.5000001", CellFault::AboveBound { max: 2.5 }),
        ("77.125", CellFault::AboveBound { max: 2.5 }),
        ("-1.51", CellFault::BelowBound { min: -1.5 }),
    ] {
        let found = error(format!("age,dose,outcome\n25,0.5,better\n26,{cell},worse\n"));
        match &found {
            DataError::Cell { line: 3, column, fault: kind, .. } if column == "dose" && *kind == fault => {}
            other => panic!("{cell:?}: {other}"),
        }
        let message = found.to_string();
        assert!(message.starts_with("line 3 of ward.csv, column `dose`: the cell is "), "{message}");
        assert!(cell.trim().len() < 4 || !message.contains(cell), "{message}");
    }
}

#[test]
fn a_number_that_only_a_double_can_hold_is_refused_where_nothing_scales_it() {
    let spec = spec_of(
        "format = \"csv\"\nstandardise = \"none\"\nfeatures = [{ name = \"a\", min = 0, max = 1e300 }]\n\
         label = { column = \"y\", classes = [\"0\", \"1\"] }",
    );
    let found = csv::parse(Path::new("f"), b"a,y\n1e299,0\n", &spec, None, &Limits::default()).unwrap_err();
    assert!(matches!(found, DataError::Cell { line: 2, fault: CellFault::NotFinite, .. }), "{found}");
}

#[test]
fn a_wrong_label_is_named_and_not_shown() {
    let found = error("age,dose,outcome\n25,0.5,Better\n");
    match &found {
        DataError::Cell { line: 2, column, fault: CellFault::UnknownClass, .. } if column == "outcome" => {}
        other => panic!("{other}"),
    }
    assert!(!found.to_string().contains("Better"));
    let empty = error("age,dose,outcome\n25,0.5,\n");
    assert!(matches!(empty, DataError::Cell { line: 2, fault: CellFault::Empty, .. }), "{empty}");
}

#[test]
fn a_faulty_header_is_named_by_the_schemas_words() {
    let missing = error("age,outcome\n1,worse\n");
    assert!(matches!(&missing, DataError::MissingColumn { column, .. } if column == "dose"), "{missing}");
    let no_label = error("age,dose\n1,1\n");
    assert!(
        matches!(&no_label, DataError::MissingColumn { column, .. } if column == "outcome"),
        "{no_label}"
    );
    let twice = error("age,dose,age,outcome\n1,1,1,worse\n");
    assert!(matches!(&twice, DataError::DuplicateColumn { column, .. } if column == "age"), "{twice}");
    let extra = error("age,dose,weight,outcome\n1,1,1,worse\n");
    assert!(matches!(extra, DataError::UnexpectedColumn { position: 3, .. }), "{extra}");
    let spelling = error("Age,dose,outcome\n1,1,worse\n");
    assert!(matches!(&spelling, DataError::MissingColumn { column, .. } if column == "age"), "{spelling}");
}

#[test]
fn a_file_without_its_header_line_does_not_put_cells_into_the_message() {
    let message = error("61.25,0.875,worse\n62.5,1,better\n").to_string();
    assert!(message.contains("has no column `age`"), "{message}");
    let with_names = error("age,dose,outcome,4711\n1,1,worse,1\n").to_string();
    assert!(!with_names.contains("4711"), "{with_names}");
}

#[test]
fn an_empty_file_and_a_header_alone_are_told_apart() {
    for text in ["", "\n", "\r\n \n", "\u{feff}"] {
        assert!(matches!(error(text), DataError::EmptyFile { .. }), "{text:?}");
    }
    for text in ["age,dose,outcome", "age,dose,outcome\n", "age,dose,outcome\r\n\r\n"] {
        assert!(matches!(error(text), DataError::NoRows { .. }), "{text:?}");
    }
}

#[test]
fn a_ragged_row_a_blank_line_and_a_broken_line_are_named_by_line() {
    let short = error("age,dose,outcome\n1,1,worse\n1,1\n");
    assert!(matches!(short, DataError::Ragged { line: 3, found: 2, expected: 3, .. }), "{short}");
    let long = error("age,dose,outcome\n1,1,worse,1,1,1\n");
    assert!(matches!(long, DataError::Ragged { line: 2, found: 4, expected: 3, .. }), "{long}");
    let blank = error("age,dose,outcome\n1,1,worse\n\n1,1,worse\n");
    assert!(matches!(blank, DataError::BlankLine { line: 3, .. }), "{blank}");
    let open = error("age,dose,outcome\n1,1,worse\n\"1,1,worse\n1,1,worse\n");
    assert!(matches!(open, DataError::BrokenLine { line: 3, .. }), "{open}");
    let carriage = error("age,dose,outcome\n1,1,worse\r2,1,worse\n");
    assert!(matches!(carriage, DataError::BrokenLine { line: 2, .. }), "{carriage}");
}

#[test]
fn text_that_is_not_utf8_is_named_by_line() {
    let latin = error(b"age,dose,outcome\n1,1,worse\n1,1,\xe9\n");
    assert!(matches!(latin, DataError::NotUtf8 { line: 3, .. }), "{latin}");
    let utf16 = error(b"\xff\xfea\0g\0e\0\n\0");
    assert!(matches!(utf16, DataError::NotUtf8 { line: 1, .. }), "{utf16}");
}

#[test]
fn every_limit_is_enforced() {
    let text = b"age,dose,outcome\n1,1,worse\n2,1,better\n";
    let with = |limits: Limits| csv::parse(Path::new("f"), text, &spec(), None, &limits);
    assert!(with(Limits { max_rows: 2, max_line_bytes: 16, ..Limits::default() }).is_ok());
    let rows = with(Limits { max_rows: 1, ..Limits::default() }).unwrap_err();
    assert!(matches!(rows, DataError::TooManyRows { limit: 1, .. }), "{rows}");
    let line = with(Limits { max_line_bytes: 15, ..Limits::default() }).unwrap_err();
    assert!(matches!(line, DataError::LineTooLong { line: 1, limit: 15, .. }), "{line}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ward.csv");
    std::fs::write(&path, text).unwrap();
    let size = text.len() as u64;
    let exact = Limits { max_file_bytes: size, ..Limits::default() };
    assert_eq!(csv::read(&path, &spec(), None, &exact).unwrap().rows(), 2);
    let small = Limits { max_file_bytes: size - 1, ..Limits::default() };
    let large = csv::read(&path, &spec(), None, &small).unwrap_err();
    assert!(matches!(large, DataError::TooLarge { .. }), "{large}");
}

#[test]
fn a_row_range_takes_just_these_rows() {
    let text = b"age,dose,outcome\n0,1,worse\n25,1,worse\n50,1,better\nbad\n";
    let range = |first, count| {
        csv::parse(Path::new("f"), text, &spec(), Some(Rows { first, count }), &Limits::default())
    };
    let middle = range(1, 2).unwrap();
    assert_eq!(middle.features().column(0).to_vec(), [-0.5, 0.0]);
    assert_eq!(middle.labels(), [0, 1]);
    assert!(matches!(range(3, 1).unwrap_err(), DataError::Ragged { line: 5, .. }));
    assert!(matches!(range(4, 1).unwrap_err(), DataError::RowRange { first: 4, end: 5, .. }));
    assert!(matches!(range(u32::MAX, u32::MAX).unwrap_err(), DataError::RowRange { .. }));
    assert!(matches!(range(0, 0).unwrap_err(), DataError::EmptyRange { .. }));
}

#[test]
fn only_a_readable_regular_file_of_the_schemas_format_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let spec: DataSpec = toml::from_str(SCHEMA).unwrap();
    let source = |text: &str| toml::from_str::<Source>(text).unwrap();
    let load = |text: &str| load(&spec, &source(text), folder.path(), &Limits::default()).unwrap_err();
    let missing = load("file = \"none.csv\"");
    assert!(
        matches!(&missing, DataError::Unreadable { path, .. } if path == &folder.path().join("none.csv"))
    );
    assert!(matches!(load("file = \".\""), DataError::NotAFile { .. }));
    let idx = load("images = \"a\"\nlabels = \"b\"");
    assert!(matches!(idx, DataError::SourceFormat { schema: "csv", source_is: "idx" }), "{idx}");
}

/// No file of failed cases: a failure prints its input.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_text_near_a_csv_makes_the_reader_panic(tail in "[0-9a-z,\"\r\n .;\u{feff}\u{a0}-]{0,200}", rows in any::<Option<(u32, u32)>>()) {
        let text = format!("age,dose,outcome\n{tail}");
        let rows = rows.map(|(first, count)| Rows { first, count });
        let _ = csv::parse(Path::new("f"), text.as_bytes(), &spec(), rows, &Limits::default());
    }

    #[test]
    fn every_row_within_bounds_comes_back(rows in prop::collection::vec((0.0..=100.0_f64, -1.5..=2.5_f64, any::<bool>()), 1..40)) {
        let mut text = String::from("dose,outcome,age\r\n");
        for (age, dose, better) in &rows {
            text += &format!("{dose},{},{age:e}\r\n", if *better { "better" } else { "worse" });
        }
        let set = parse(&text).unwrap();
        prop_assert_eq!(set.rows(), rows.len());
        for ((row, &label), (age, dose, better)) in set.features().rows().into_iter().zip(set.labels()).zip(&rows) {
            prop_assert!((f64::from(row[0]) - (age / 50.0 - 1.0)).abs() < 1e-6);
            prop_assert!((f64::from(row[1]) - (dose - 0.5) / 2.0).abs() < 1e-6);
            prop_assert!(row.iter().all(|value| value.abs() <= 1.0));
            prop_assert_eq!(label, u32::from(*better));
        }
    }
}
