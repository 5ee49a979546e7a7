//! CSV rows, and the schema that they are read by.

use std::path::Path;
use std::sync::LazyLock;

use tercet_data::schema::{CsvSpec, DataSpec};
use tercet_data::{Limits, Rows, csv};

/// Rows and bytes that a file here may have.
const LIMITS: Limits = Limits { max_file_bytes: 1 << 20, max_line_bytes: 4096, max_rows: 1000 };

static SPECS: LazyLock<[CsvSpec; 2]> = LazyLock::new(|| {
    [
        "features = [{ name = \"age\", min = 0, max = 120 }, { name = \"dose\", min = -1.5, max = 2.5 }]\n\
         label = { column = \"outcome\", classes = [\"worse\", \"better\"] }",
        "features = [{ name = \"x\", min = -1e300, max = 1e300 }]\nignore = [\"id\"]\ndelimiter = \";\"\n\
         standardise = \"shares\"\nlabel = { column = \"é\", classes = [\"0\", \"1\", \"two words\"] }",
    ]
    .map(|text| toml::from_str(text).expect("a schema"))
});

/// The first byte chooses the schema and whether a range of rows is taken, below which nothing is read.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some((choice, bytes)) = bytes.split_first() else { return false };
    let spec = &SPECS[usize::from(choice & 1)];
    let rows = (choice & 2 != 0).then_some(Rows { first: u32::from(choice >> 2), count: 2 });
    let Ok(set) = csv::parse(Path::new("rows.csv"), bytes, spec, rows, &LIMITS) else { return false };
    assert!((1..=LIMITS.max_rows as usize).contains(&set.rows()));
    assert!(rows.is_none_or(|rows| set.rows() == rows.count as usize));
    assert!(set.features().iter().all(|value| value.abs() <= 1.0), "every value is within its bounds");
    assert!(set.labels().iter().all(|&label| (label as usize) < spec.label().classes.len()));
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        &b"\x00age,dose,outcome\n50,0.5,better\n 0 ,-1.5,\"worse\"\n"[..],
        b"\x00\xef\xbb\xbfoutcome,dose,age\r\nbetter,2.5e0,120\r\n\r\n",
        b"\x00age,dose,outcome\n1,1,worse\n2,2,better\n3,1,worse",
        b"\x01id;x;\xc3\xa9\n\"a;b\";-1e300;two words\n;1e300;0\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// A schema as it stands in a job.
pub(crate) fn run_schema(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(spec) = toml::from_str::<DataSpec>(text) else { return false };
    assert!(spec.features() > 0 && spec.classes() > 1 && spec.class_names().len() == spec.classes());
    let again: DataSpec =
        toml::from_str(&toml::to_string(&spec).expect("a schema can be written")).expect("and read");
    assert_eq!(again, spec, "a schema comes back as it was");
    true
}

pub(crate) fn schema_seeds() -> Vec<Vec<u8>> {
    let csv = "format = \"csv\"\nstandardise = \"shares\"\ndelimiter = \";\"\nignore = [\"id\"]\n\
               features = [{ name = \"age\", min = 0, max = 120 }, { name = \"dose\", min = 0.5, max = 2.5 }]\n\
               label = { column = \"outcome\", classes = [\"worse\", \"better\"] }\n";
    let idx = "format = \"idx\"\nheight = 28\nwidth = 28\nclasses = 10\nmean = 0.1307\ndeviation = 0.3081\n";
    [csv, idx].map(|text| text.as_bytes().to_vec()).to_vec()
}
