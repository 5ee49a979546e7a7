//! Average pooling over windows of 2 × 2 pixels.

const SIDE: usize = 2;

pub(super) fn count(height: usize, width: usize) -> usize {
    (height / SIDE) * (width / SIDE)
}

pub(super) fn features(pixels: &[f32], width: usize, out: &mut Vec<f32>) {
    let height = pixels.len() / width;
    for y in 0..height / SIDE {
        for x in 0..width / SIDE {
            let window =
                (0..SIDE * SIDE).map(|i| pixels[(y * SIDE + i / SIDE) * width + x * SIDE + i % SIDE]);
            out.push(window.sum::<f32>() / (SIDE * SIDE) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_averaged_and_leftovers_left_out() {
        let pixels: Vec<f32> = (0..15).map(|v| v as f32).collect();
        let mut out = Vec::new();
        features(&pixels, 5, &mut out);
        assert_eq!(out, [3.0, 5.0]);
        assert_eq!(count(3, 5), 2);
    }
}
