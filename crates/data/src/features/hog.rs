//! Histograms of oriented gradients (Dalal and Triggs, CVPR 2005), with small cells for small images.
//!
//! The gradient of a pixel is the central difference, zero at the border. Its length goes to the two nearest of 6
//! orientations over half a turn and to the nearest cells, at most two either way, all in proportion to how near they are. Cells
//! have their centres 3 pixels apart, in the middle of the image. A cell's histogram is divided by the length of all histograms of
//! its 3 × 3 neighbourhood, so that every feature is between 0 and 1. Differs from the paper in that blocks overlap by one cell
//! around each cell and each cell appears once.

use std::f32::consts::PI;

use zeroize::Zeroizing;

/// Pixels from the centre of a cell to the next.
const CELL: usize = 3;

/// Orientations over half a turn.
const BINS: usize = 6;

/// Added to the squared length of a neighbourhood, so that an empty one gives zeros.
const FLOOR: f32 = 0.1;

pub(super) fn count(height: usize, width: usize) -> usize {
    (height / CELL) * (width / CELL) * BINS
}

pub(super) fn features(pixels: &[f32], width: usize, out: &mut Vec<f32>) {
    let height = pixels.len() / width;
    let (rows, cols) = (height / CELL, width / CELL);
    let histograms = histograms(pixels, width, rows, cols);
    let squares = |row: usize, col: usize| -> f32 {
        histograms[(row * cols + col) * BINS..][..BINS].iter().map(|v| v * v).sum()
    };
    let near = |at: usize, end: usize| at.saturating_sub(1)..(at + 2).min(end);
    for row in 0..rows {
        for col in 0..cols {
            let length: f32 = near(row, rows).flat_map(|r| near(col, cols).map(move |c| squares(r, c))).sum();
            let scale = 1.0 / (length + FLOOR).sqrt();
            out.extend(histograms[(row * cols + col) * BINS..][..BINS].iter().map(|v| v * scale));
        }
    }
}

/// Lengths of gradients by cell and orientation.
fn histograms(pixels: &[f32], width: usize, rows: usize, cols: usize) -> Zeroizing<Vec<f32>> {
    let height = pixels.len() / width;
    let (down, across) = (parts(height, rows), parts(width, cols));
    let mut cells = Zeroizing::new(vec![0.0; rows * cols * BINS]);
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            let dx = if x > 0 && x + 1 < width { pixels[at + 1] - pixels[at - 1] } else { 0.0 };
            let dy = if y > 0 && y + 1 < height { pixels[at + width] - pixels[at - width] } else { 0.0 };
            let length = dx.hypot(dy);
            if length == 0.0 {
                continue;
            }
            // Half a turn: a dark line on light has the orientation of a light line on dark.
            let turn = dy.atan2(dx).rem_euclid(PI) / PI * BINS as f32;
            let (low, part) = (turn.floor(), turn - turn.floor());
            let bin = low as usize % BINS;
            for (row, by_row) in &down[y] {
                for (col, by_col) in &across[x] {
                    let (cell, length) = ((row * cols + col) * BINS, length * by_row * by_col);
                    cells[cell + bin] += length * (1.0 - part);
                    cells[cell + (bin + 1) % BINS] += length * part;
                }
            }
        }
    }
    cells
}

/// For every one of `pixels` along one side, the cells that get a part of it, with that part.
fn parts(pixels: usize, cells: usize) -> Vec<Vec<(usize, f32)>> {
    let first = (pixels as f32 - 1.0 - (cells.max(1) - 1) as f32 * CELL as f32) / 2.0;
    let part =
        |pixel: usize, cell: usize| 1.0 - (pixel as f32 - first - (cell * CELL) as f32).abs() / CELL as f32;
    let cells_of = |pixel| (0..cells).map(move |c| (c, part(pixel, c))).filter(|(_, p)| *p > 0.0).collect();
    (0..pixels).map(cells_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pixels: &[f32], width: usize) -> Vec<f32> {
        let mut out = Vec::new();
        features(pixels, width, &mut out);
        out
    }

    #[test]
    fn an_edge_shows_in_the_cells_around_it_and_in_its_orientation() {
        // Dark on the left, light from column 7 on: differences across only, at columns 6 and 7. Centres are at 1, 4, 7, 10, 13.
        let pixels: Vec<f32> = (0..225).map(|i| f32::from(u8::from(i % 15 >= 7))).collect();
        let found = of(&pixels, 15);
        assert_eq!(found.len(), count(15, 15));
        for (place, value) in found.iter().enumerate() {
            let (cell, bin) = (place / BINS % 5, place % BINS);
            assert_eq!(*value > 0.0, (cell == 1 || cell == 2) && bin == 0, "{place}: {value}");
        }
        // Column 7 is the centre of cell 2, column 6 two thirds into it.
        assert!((found[2 * BINS] / found[BINS] - 5.0).abs() < 1e-4, "{} {}", found[2 * BINS], found[BINS]);
        // The same edge turned by a quarter is in the middle orientation.
        let turned: Vec<f32> = (0..225).map(|i| f32::from(u8::from(i / 15 >= 7))).collect();
        let found = of(&turned, 15);
        assert!(found.iter().enumerate().all(|(i, v)| *v == 0.0 || i % BINS == BINS / 2));
        assert!(found.iter().any(|v| *v > 0.0));
    }

    #[test]
    fn a_pixel_between_two_centres_is_shared_without_a_loss() {
        // Centres of 9 cells over 28 pixels: 1.5, 4.5, … 25.5.
        let parts = parts(28, 9);
        assert_eq!(parts[3], [(0, 0.5), (1, 0.5)]);
        for (pixel, shares) in parts.iter().enumerate() {
            let sum: f32 = shares.iter().map(|(_, part)| part).sum();
            assert!(!(2..26).contains(&pixel) || (sum - 1.0).abs() < 1e-6, "{pixel}: {sum}");
        }
    }

    #[test]
    fn features_are_between_zero_and_one_and_blank_images_have_none() {
        let noisy: Vec<f32> =
            (0..784u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32 / 255.0).collect();
        let found = of(&noisy, 28);
        assert_eq!(found.len(), 486);
        assert!(found.iter().all(|v| (0.0..=1.0).contains(v)) && found.iter().any(|v| *v > 0.1));
        assert!(of(&vec![0.7; 784], 28).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn inverting_an_image_changes_nothing() {
        let image: Vec<f32> =
            (0..784u32).map(|i| (i.wrapping_mul(40_503) >> 4 & 255) as f32 / 256.0).collect();
        let inverse: Vec<f32> = image.iter().map(|v| 1.0 - v).collect();
        for (a, b) in of(&image, 28).iter().zip(of(&inverse, 28)) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
