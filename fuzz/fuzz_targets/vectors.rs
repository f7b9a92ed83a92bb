//! Arbitrary bytes as a file of vectors or records: every row has the schema's width and finite
//! values, and is recognised by its line.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use detector::analysis::vectors::VectorFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut file) = VectorFile::read(Path::new("input"), Cursor::new(data.to_vec())) else {
        return;
    };
    let width = file.columns().len();
    let mut latest = 1;
    loop {
        match file.read_next() {
            Ok(Some(vector)) => {
                assert_eq!(vector.values.len(), width);
                assert!(vector.values.iter().all(|value| value.is_finite()), "{vector:?}");
                assert!((0.0..=1.0).contains(&vector.rules));
                assert!(vector.line >= latest, "line {} after {latest}", vector.line);
                latest = vector.line;
            }
            Ok(None) => return,
            // It names the line.
            Err(error) => {
                return assert!(format!("{error:#}").contains("input: line "), "{error:#}");
            }
        }
    }
});
