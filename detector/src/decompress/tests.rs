//! Each format as its own compressor writes it, whole, cut off and made to grow.

use std::io::Write;

use super::*;

const FORMATS: [Format; 5] = [Format::Gzip, Format::Zstd, Format::Bzip2, Format::Xz, Format::Lz4];

fn compressed(format: Format, content: &[u8]) -> Vec<u8> {
    let output = Vec::new();
    match format {
        Format::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Format::Zstd => zstd::encode_all(content, 3).unwrap(),
        Format::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(output, bzip2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Format::Xz => {
            let options = lzma_rust2::XzOptions::with_preset(0);
            let mut encoder = lzma_rust2::XzWriter::new(output, options).unwrap();
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Format::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, output);
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn expand(bytes: &[u8], limits: Limits) -> (Option<Format>, io::Result<Vec<u8>>) {
    let mut reader = Expand::new(bytes, limits);
    let mut content = Vec::new();
    let read = reader.read_to_end(&mut content).map(|_| content);
    (reader.format(), read)
}

/// Lines that differ.
fn content() -> Vec<u8> {
    let lines =
        (0_u32..20_000).map(|line| format!("line {line} {}\n", line.wrapping_mul(2_654_435_761)));
    lines.collect::<String>().into_bytes()
}

#[test]
fn what_was_compressed_comes_out_again() {
    let content = content();
    for format in FORMATS {
        let once = compressed(format, &content);
        let (found, read) = expand(&once, Limits::default());
        assert_eq!(found, Some(format));
        assert!(read.unwrap() == content, "{format:?}");
        // As `cat a.gz b.gz` makes it.
        let (_, read) = expand(&once.repeat(2), Limits::default());
        assert!(read.unwrap() == content.repeat(2), "{format:?}");
    }
}

#[test]
fn what_is_not_compressed_stays_as_it_is() {
    for text in ["", "a", "BZ", "{\"a\": 1}\n", "\u{1f}", "plain text of some length\n"] {
        let (format, read) = expand(text.as_bytes(), Limits::default());
        assert_eq!((format, read.unwrap().as_slice()), (None, text.as_bytes()));
    }
}

#[test]
fn what_is_cut_off_says_so_after_its_content() {
    let content = content();
    for format in FORMATS {
        let whole = compressed(format, &content);
        for cut in [whole.len() / 3, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            let mut reader = Expand::new(&whole[..cut], Limits::default());
            let mut read = Vec::new();
            let Err(error) = reader.read_to_end(&mut read) else { panic!("{format:?} {cut}") };
            assert!(error.to_string().contains("ends too early"), "{format:?} {cut}: {error}");
            assert_eq!(reader.stopped(), Some(Reason::CutOff), "{format:?} {cut}");
            assert!(content.starts_with(&read), "{format:?} {cut}");
        }
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 8].copy_from_slice(b"nonsense");
        let (_, read) = expand(&damaged, Limits::default());
        let Err(error) = read else { panic!("{format:?}") };
        let error = anyhow::Error::new(error).context("failed to read");
        let reason = Stop::of(&error).map(|stop| stop.reason);
        assert!(matches!(reason, Some(Reason::Damaged | Reason::CutOff)), "{format:?} {reason:?}");
        let error = format!("{error:#}");
        assert!(error.contains(format.name()), "{error}");
    }
}

#[test]
fn what_grows_too_far_is_refused() {
    let small = Limits { max_bytes: 100_000, ..Limits::default() };
    for format in FORMATS {
        let (_, read) = expand(&compressed(format, &content()), small);
        let error = read.unwrap_err().to_string();
        assert!(error.contains("decompression.max_bytes"), "{format:?}: {error}");
    }
    let zeros = vec![0; 80 << 20];
    for format in [Format::Zstd, Format::Gzip] {
        let strict = Limits { max_ratio: 100, ..Limits::default() };
        let bytes = compressed(format, &zeros);
        let mut reader = Expand::new(&bytes[..], strict);
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err().to_string();
        assert!(error.contains("decompression.max_ratio"), "{format:?}: {error}");
        assert_eq!(reader.stopped(), Some(Reason::MaxRatio));
        let generous = Limits { max_ratio: 1 << 20, ..Limits::default() };
        let mut reader = Expand::new(&bytes[..], generous);
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), zeros.len() as u64);
    }
}

#[test]
fn a_window_is_bounded() {
    let check = |log: u32, expected: bool| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(b"a line\n").unwrap();
        let bytes = encoder.finish().unwrap();
        let mut reader = Expand::new(&bytes[..], Limits::default());
        let mut content = Vec::new();
        let read = reader.read_to_end(&mut content).map(|_| content);
        assert_eq!(reader.stopped(), (!expected).then_some(Reason::Window));
        match read {
            Ok(content) => assert!(expected && content == b"a line\n", "{log}"),
            Err(error) => {
                assert!(!expected && error.to_string().contains("128 MiB"), "{log}: {error}");
            }
        }
    };
    check(27, true);
    check(28, false);
}
