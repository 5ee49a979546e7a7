//! What an IDX pair may hold, and how each fault is named.

use std::io::Write;
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use tempfile::TempDir;
use tercet_data::schema::IdxSpec;
use tercet_data::{DataError, Dataset, Limits, Rows, idx};

/// Images of 2 x 3 pixels in three classes.
fn spec() -> IdxSpec {
    IdxSpec::new(2, 3, 3, 0.0, 1.0).unwrap()
}

fn file(magic: u32, dimensions: &[u32], payload: &[u8]) -> Vec<u8> {
    let numbers = [magic].into_iter().chain(dimensions.iter().copied());
    let mut bytes: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
    bytes.extend_from_slice(payload);
    bytes
}

/// `count` images: pixel p of image i is 10 i + p.
fn images(count: u8) -> Vec<u8> {
    let pixels: Vec<u8> = (0..count).flat_map(|image| (0..6).map(move |pixel| 10 * image + pixel)).collect();
    file(0x803, &[u32::from(count), 2, 3], &pixels)
}

fn labels(count: u8) -> Vec<u8> {
    let classes: Vec<u8> = (0..count).map(|image| image % 3).collect();
    file(0x801, &[u32::from(count)], &classes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Pair {
    _folder: TempDir,
    images: PathBuf,
    labels: PathBuf,
}

impl Pair {
    fn new(images: &[u8], labels: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = (folder.path().join("images"), folder.path().join("labels"));
        std::fs::write(&paths.0, images).unwrap();
        std::fs::write(&paths.1, labels).unwrap();
        Self { _folder: folder, images: paths.0, labels: paths.1 }
    }

    fn read(&self, rows: Option<Rows>, limits: &Limits) -> Result<Dataset, DataError> {
        idx::read(&self.images, &self.labels, &spec(), rows, limits)
    }

    fn error(&self) -> DataError {
        self.read(None, &Limits::default()).expect_err("the pair must be refused")
    }
}

#[test]
fn pixels_and_labels_come_back_from_plain_and_gzip_files() {
    for (images, labels) in
        [(images(4), labels(4)), (gzip(&images(4)), gzip(&labels(4))), (gzip(&images(4)), labels(4))]
    {
        let set = Pair::new(&images, &labels).read(None, &Limits::default()).unwrap();
        assert_eq!((set.rows(), set.width(), set.classes()), (4, 6, 3));
        assert_eq!(set.labels(), [0, 1, 2, 0]);
        assert_eq!(set.features()[(3, 5)], 35.0 / 255.0);
    }
}

#[test]
fn a_row_range_takes_just_these_rows() {
    for pair in [Pair::new(&images(5), &labels(5)), Pair::new(&gzip(&images(5)), &gzip(&labels(5)))] {
        let range = |first, count| pair.read(Some(Rows { first, count }), &Limits::default());
        let set = range(1, 3).unwrap();
        assert_eq!(set.labels(), [1, 2, 0]);
        assert_eq!(set.features().column(0).to_vec(), [10.0 / 255.0, 20.0 / 255.0, 30.0 / 255.0]);
        assert!(matches!(range(3, 3).unwrap_err(), DataError::RowRange { first: 3, end: 6, .. }));
        assert!(matches!(range(u32::MAX, u32::MAX).unwrap_err(), DataError::RowRange { .. }));
        assert!(matches!(range(0, 0).unwrap_err(), DataError::EmptyRange { .. }));
    }
}

#[test]
fn the_public_mean_and_deviation_are_applied() {
    let pair = Pair::new(&images(1), &labels(1));
    let spec = IdxSpec::new(2, 3, 3, 0.5, 0.25).unwrap();
    let set = idx::read(&pair.images, &pair.labels, &spec, None, &Limits::default()).unwrap();
    assert_eq!(set.features()[(0, 5)], (5.0 / 255.0 - 0.5) / 0.25);
}

#[test]
fn a_byte_too_many_or_too_few_is_refused() {
    let mut long = images(2);
    long.push(0);
    let mut short = images(2);
    short.pop();
    for (bytes, found) in [(&long, 29), (&short, 27)] {
        for bytes in [bytes.clone(), gzip(bytes)] {
            let error = Pair::new(&bytes, &labels(2)).error();
            assert!(
                matches!(error, DataError::IdxLength { declared: 28, found: f, .. } if f == found),
                "{error}"
            );
        }
    }
    let mut long = labels(2);
    long.push(0);
    let error = Pair::new(&images(2), &long).error();
    assert!(matches!(error, DataError::IdxLength { declared: 10, found: 11, .. }), "{error}");
}

#[test]
fn dimensions_that_lie_are_refused_before_anything_is_allocated() {
    // The length is compared while the file is opened; shape and row count, which size the buffers, come after it.
    for dimensions in [[u32::MAX, 2, 3], [u32::MAX; 3], [1 << 31, 1 << 31, 4], [0x7fff_ffff, 2, 3]] {
        let error = Pair::new(&file(0x803, &dimensions, &[0; 12]), &labels(2)).error();
        assert!(matches!(error, DataError::IdxLength { found: 28, .. }), "{dimensions:?}: {error}");
    }
    let error = Pair::new(&file(0x803, &[u32::MAX, 0, 0], &[]), &labels(2)).error();
    assert!(matches!(error, DataError::IdxShape { found_height: 0, found_width: 0, .. }), "{error}");
}

#[test]
fn another_kind_of_file_is_refused() {
    for bytes in
        [labels(2), b"age,dose\n1,2\n".to_vec(), Vec::new(), vec![0, 0, 8], file(0x0d03, &[1, 2, 3], &[])]
    {
        let error = Pair::new(&bytes, &labels(2)).error();
        assert!(matches!(error, DataError::IdxMagic { expected: 0x803, .. }), "{error}");
    }
    let swapped = Pair::new(&images(2), &images(2)).error();
    assert!(matches!(swapped, DataError::IdxMagic { expected: 0x801, .. }), "{swapped}");
    let cut = Pair::new(&images(2)[..9], &labels(2)).error();
    assert!(matches!(cut, DataError::IdxLength { declared: 16, found: 9, .. }), "{cut}");
}

#[test]
fn images_of_another_size_and_unequal_counts_are_refused() {
    let error = Pair::new(&file(0x803, &[2, 3, 2], &[0; 12]), &labels(2)).error();
    assert!(matches!(error, DataError::IdxShape { found_height: 3, found_width: 2, .. }), "{error}");
    let error = Pair::new(&images(3), &labels(2)).error();
    assert!(matches!(error, DataError::IdxCount { images: 3, labels: 2, .. }), "{error}");
    let error = Pair::new(&images(0), &labels(0)).error();
    assert!(matches!(error, DataError::EmptyRange { .. }), "{error}");
}

#[test]
fn a_label_that_is_no_class_is_named_by_its_place() {
    let pair = Pair::new(&images(3), &file(0x801, &[3], &[0, 2, 3]));
    let error = pair.error();
    assert!(matches!(error, DataError::IdxLabel { row: 2, classes: 3, .. }), "{error}");
    let ranged = pair.read(Some(Rows { first: 1, count: 2 }), &Limits::default()).unwrap_err();
    assert!(matches!(ranged, DataError::IdxLabel { row: 2, .. }), "{ranged}");
    assert!(pair.read(Some(Rows { first: 0, count: 2 }), &Limits::default()).is_ok());
}

#[test]
fn a_gzip_bomb_stops_at_the_limit() {
    let bomb = gzip(&vec![0_u8; 4 << 20]);
    assert!(bomb.len() < 8 << 10, "the bomb must be small itself");
    let limits = Limits { max_file_bytes: 1 << 16, ..Limits::default() };
    let error = Pair::new(&bomb, &labels(2)).read(None, &limits).unwrap_err();
    assert!(matches!(error, DataError::TooLarge { limit: 65_536, .. }), "{error}");
}

#[test]
fn damaged_gzip_is_refused() {
    let good = gzip(&images(2));
    let mut trailing = good.clone();
    trailing.extend_from_slice(b"more");
    let mut flipped = good.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    for bytes in [&good[..good.len() - 1], &good[..12], &trailing, &flipped] {
        let error = Pair::new(bytes, &labels(2)).error();
        assert!(matches!(error, DataError::Gzip { .. }), "{error}");
    }
}

#[test]
fn the_row_and_file_limits_are_enforced() {
    let pair = Pair::new(&images(3), &labels(3));
    let rows = pair.read(None, &Limits { max_rows: 2, ..Limits::default() }).unwrap_err();
    assert!(matches!(rows, DataError::TooManyRows { limit: 2, .. }), "{rows}");
    let size = images(3).len() as u64;
    let bytes = pair.read(None, &Limits { max_file_bytes: size - 1, ..Limits::default() }).unwrap_err();
    assert!(matches!(bytes, DataError::TooLarge { .. }), "{bytes}");
    assert!(pair.read(None, &Limits { max_file_bytes: size, max_rows: 3, ..Limits::default() }).is_ok());
}

/// No file of failed cases: a failure prints its input.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn no_bytes_make_the_reader_panic(
        magic in prop_oneof![Just(vec![0, 0, 8, 3]), Just(vec![0, 0, 8, 1]), Just(vec![0x1f, 0x8b, 8, 0]), Just(vec![])],
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        first in any::<u32>(),
        count in any::<u32>(),
    ) {
        let bytes = [magic, bytes].concat();
        let (images, labels) = (images(2), labels(2));
        for pair in [Pair::new(&bytes, &labels), Pair::new(&images, &bytes), Pair::new(&gzip(&bytes), &labels)] {
            let _ = pair.read(None, &Limits::default());
            let _ = pair.read(Some(Rows { first, count }), &Limits::default());
        }
    }
}
