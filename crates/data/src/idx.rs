//! IDX images and labels to rows: the format of MNIST, plain or gzip.
//!
//! An images file is the magic number 0x00000803, then count, height and width, then one byte per pixel; a labels file is
//! 0x00000801, then count, then one byte per label; all numbers are big-endian `u32`. The header must account for every
//! byte of the file, and that is checked before anything is allocated from it. Gzip is known by its first two bytes, so
//! the file name does not matter.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use zeroize::Zeroizing;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::file;
use crate::limits::Limits;
use crate::schema::IdxSpec;
use crate::source::Rows;

const IMAGES: Kind<3> = Kind { magic: 0x0803, name: "images" };
const LABELS: Kind<1> = Kind { magic: 0x0801, name: "labels" };

/// Read the images at `images` and their labels at `labels`, or the range `rows` of them, counted from 0. Parties that
/// share one file each take their own range.
///
/// # Errors
/// [`DataError`]: a file that is cut, too long or of another kind or size than the schema; a label out of range.
pub fn read(
    images: &Path,
    labels: &Path,
    spec: &IdxSpec,
    rows: Option<Rows>,
    limits: &Limits,
) -> Result<Dataset, DataError> {
    let (mut pixels, [count, height, width]) = IMAGES.open(images, limits)?;
    if (height, width) != (spec.height(), spec.width()) {
        return Err(DataError::IdxShape {
            path: images.to_owned(),
            found_height: height,
            found_width: width,
            height: spec.height(),
            width: spec.width(),
        });
    }
    let (mut classes, [label_count]) = LABELS.open(labels, limits)?;
    if label_count != count {
        return Err(DataError::IdxCount {
            images_path: images.to_owned(),
            labels_path: labels.to_owned(),
            images: count,
            labels: label_count,
        });
    }
    let rows = rows.unwrap_or(Rows { first: 0, count });
    if rows.count == 0 {
        return Err(DataError::EmptyRange { path: images.to_owned() });
    }
    if rows.end() > u64::from(count) {
        let (first, end) = (u64::from(rows.first), rows.end());
        return Err(DataError::RowRange { path: images.to_owned(), first, end });
    }
    if rows.count > limits.max_rows {
        return Err(DataError::TooManyRows { path: images.to_owned(), limit: limits.max_rows });
    }

    let taken = rows.count as usize;
    let mut label_bytes = Zeroizing::new(vec![0_u8; taken]);
    classes.skip(u64::from(rows.first))?;
    classes.fill(&mut label_bytes)?;
    if let Some(place) = label_bytes.iter().position(|&label| usize::from(label) >= spec.classes()) {
        let row = u64::from(rows.first) + place as u64;
        return Err(DataError::IdxLabel { path: labels.to_owned(), row, classes: spec.classes() });
    }

    // The header was checked against the length of the file: these sizes are bytes that are really there.
    let mut values = Zeroizing::new(Vec::with_capacity(taken * spec.features()));
    let mut shares = Zeroizing::new(Vec::with_capacity(spec.pixels()));
    let mut image = Zeroizing::new(vec![0_u8; spec.pixels()]);
    pixels.skip(u64::from(rows.first) * spec.pixels() as u64)?;
    for _ in 0..taken {
        pixels.fill(&mut image)?;
        spec.row(&image, &mut shares, &mut values);
    }
    let labels = Zeroizing::new(label_bytes.iter().map(|&label| u32::from(label)).collect());
    Dataset::from_rows(values, spec.features(), labels, spec.classes())
}

/// One of the two kinds of file, with `D` dimensions.
struct Kind<const D: usize> {
    magic: u32,
    name: &'static str,
}

impl<const D: usize> Kind<D> {
    /// Open, read the header and check it against the length: the payload that follows is as long as the dimensions say.
    fn open<'p>(&self, path: &'p Path, limits: &Limits) -> Result<(Payload<'p>, [u32; D]), DataError> {
        let (mut payload, length) = Payload::open(path, limits.max_file_bytes)?;
        let bad_magic =
            || DataError::IdxMagic { path: path.to_owned(), expected: self.magic, kind: self.name };
        let header = 4 * (D as u64 + 1);
        if length < 4 || payload.number()? != self.magic {
            return Err(bad_magic());
        }
        if length < header {
            let declared = u128::from(header);
            return Err(DataError::IdxLength { path: path.to_owned(), declared, found: length });
        }
        let mut dimensions = [0; D];
        for dimension in &mut dimensions {
            *dimension = payload.number()?;
        }
        // At most three factors below 2^32: no overflow in 128 bits.
        let declared = u128::from(header) + dimensions.iter().map(|&d| u128::from(d)).product::<u128>();
        if declared != u128::from(length) {
            return Err(DataError::IdxLength { path: path.to_owned(), declared, found: length });
        }
        Ok((payload, dimensions))
    }
}

/// The unpacked bytes of a file, from its start.
struct Payload<'p> {
    path: &'p Path,
    bytes: Bytes,
}

enum Bytes {
    Plain(BufReader<File>),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

impl<'p> Payload<'p> {
    /// Open `path` and say how many bytes it holds, unpacked. A gzip file is unpacked once just to count them: its own
    /// length field cannot be trusted, and counting needs no memory. Trailing bytes after the gzip data are refused here.
    fn open(path: &'p Path, limit: u64) -> Result<(Self, u64), DataError> {
        let unreadable = |source| DataError::Unreadable { path: path.to_owned(), source };
        let (mut file, length) = file::open(path, limit)?;
        let mut start = Vec::with_capacity(2);
        file.by_ref().take(2).read_to_end(&mut start).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        if start != [0x1f, 0x8b] {
            return Ok((Self { path, bytes: Bytes::Plain(BufReader::new(file)) }, length));
        }
        let mut counter = MultiGzDecoder::new(BufReader::new(file)).take(limit.saturating_add(1));
        let unpacked = io::copy(&mut counter, &mut io::sink())
            .map_err(|source| DataError::Gzip { path: path.to_owned(), source })?;
        if unpacked > limit {
            return Err(DataError::TooLarge { path: path.to_owned(), limit });
        }
        let mut file = counter.into_inner().into_inner().into_inner();
        file.rewind().map_err(unreadable)?;
        let decoder = Box::new(MultiGzDecoder::new(BufReader::new(file)));
        Ok((Self { path, bytes: Bytes::Gzip(decoder) }, unpacked))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), DataError> {
        let path = || self.path.to_owned();
        match &mut self.bytes {
            Bytes::Plain(file) => {
                file.read_exact(buffer).map_err(|source| DataError::Unreadable { path: path(), source })
            }
            Bytes::Gzip(file) => {
                file.read_exact(buffer).map_err(|source| DataError::Gzip { path: path(), source })
            }
        }
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), DataError> {
        let mut scratch = Zeroizing::new(vec![0_u8; 1 << 16]);
        while bytes > 0 {
            let step = bytes.min(scratch.len() as u64) as usize;
            self.fill(&mut scratch[..step])?;
            bytes -= step as u64;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u32, DataError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }
}
