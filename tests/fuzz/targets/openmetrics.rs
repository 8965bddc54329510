//! Exposition files: what is read is in order of time and no more than the lines, and a fault is told in one line.
//! Knows nothing of where the bytes come from.

use podfit::prometheus::OpenMetricsFile;

pub fn run(data: &[u8]) {
    // Packed text can be thousand times as long: that is slow, and nothing else.
    if data.starts_with(&[0x1f, 0x8b]) && data.len() > 1024 {
        return;
    }
    match OpenMetricsFile::read(data, "f.om") {
        Ok(file) => {
            let store = file.store();
            assert!(store.series_count() <= store.sample_count());
            if !data.starts_with(&[0x1f, 0x8b]) {
                assert!(store.sample_count() <= data.split(|b| *b == b'\n').count());
            }
            assert_eq!(store.time_range().is_some(), store.sample_count() > 0);
            assert!(store.time_range().is_none_or(|range| range.start_ms <= range.end_ms));
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("f.om") && !said.contains(char::is_control), "{said:?}");
        }
    }
}
