//! What credentials are read from: what is taken is of use in a header, and lasts a time that can be added to a clock.
//! Knows nothing of where the bytes come from.

use podfit::prometheus::on_bytes;

/// The answer of a token endpoint, and the same bytes as AWS' shared credentials file.
pub fn run(data: &[u8]) {
    if let Ok((token, seconds)) = on_bytes::token(data) {
        assert!(!token.is_empty() && token.trim() == token);
        assert!((0.0..=1e9).contains(&seconds));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for profile in ["default", "p"] {
        if let Ok((key_id, secret_key, session)) = on_bytes::profile(text, profile) {
            for value in [Some(key_id), Some(secret_key), session].into_iter().flatten() {
                assert!(!value.is_empty() && !value.contains('\n') && text.contains(&value));
            }
            assert!(text.contains(&format!("[{profile}]")) || text.contains(profile));
        }
    }
}
