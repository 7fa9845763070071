//! A text as a QR code in a PNG picture.

use qrcode::{Color, QrCode};

/// Pixels a module of the code is wide.
const SCALE: usize = 4;
/// The standard's margin, in modules.
const MARGIN: usize = 4;

pub fn png(text: &str) -> Vec<u8> {
    let code = QrCode::new(text).expect("a device's URI is far below what a QR code holds");
    let modules = code.width();
    let side = (modules + 2 * MARGIN) * SCALE;
    let is_dark = |pixel: usize| -> bool {
        let (x, y) = (pixel % side / SCALE, pixel / side / SCALE);
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < modules);
        inside(x).zip(inside(y)).is_some_and(|at| code[at] == Color::Dark)
    };
    let pixels: Vec<u8> = (0..side * side).map(|p| if is_dark(p) { 0 } else { 255 }).collect();
    let mut picture = Vec::new();
    let width = u32::try_from(side).expect("a QR code has at most 177 modules");
    let mut encoder = png::Encoder::new(&mut picture, width, width);
    encoder.set_color(png::ColorType::Grayscale);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels))
        .expect("a vector takes every byte, and the picture is of the size told");
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_reads_back_as_the_code() {
        let picture = png("otpauth://totp/phone@123456789012?secret=ABCD");
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.width, info.height);
        let code = QrCode::new("otpauth://totp/phone@123456789012?secret=ABCD").unwrap();
        let side = info.width as usize;
        for (x, y) in [(0, 0), (7, 3), (10, 10), (20, 5)] {
            let pixel = pixels[(y + MARGIN) * SCALE * side + (x + MARGIN) * SCALE];
            assert_eq!(pixel == 0, code[(x, y)] == Color::Dark, "{x},{y}");
        }
        assert!(pixels[..side * MARGIN * SCALE].iter().all(|pixel| *pixel == 255), "a margin");
    }
}
