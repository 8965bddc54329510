//! Image references: what is read is what was written, and what is refused is refused for a reason.
//! Knows nothing of where the bytes come from.

use podfit::image::{Image, Reference};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Image::parse(text) {
        Image::Reference(reference) => {
            assert_eq!(written(&reference), text, "the parts put together are the text");
            assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            let latest = reference.digest.is_none() && matches!(reference.tag, None | Some("latest"));
            assert_eq!(reference.is_latest(), latest);
            // Pinned to a digest, it is the same image and never `latest`.
            let pinned = format!("{text}@sha256:{}", "0".repeat(64));
            match (reference.digest, Image::parse(&pinned)) {
                (None, Image::Reference(pinned)) => {
                    assert!(!pinned.is_latest());
                    assert_eq!((pinned.registry, pinned.repository), (reference.registry, reference.repository));
                    assert_eq!(pinned.tag, reference.tag);
                }
                (Some(_), Image::Unparsable(_)) => {}
                (_, other) => panic!("{pinned}: {other:?}"),
            }
        }
        Image::Unparsable(why) => {
            let why = why.to_string();
            assert!(!why.is_empty() && !why.contains(char::is_control));
        }
    }
}

fn written(reference: &Reference<'_>) -> String {
    let mut text = reference.registry.map(|r| format!("{r}/")).unwrap_or_default() + reference.repository;
    for (mark, part) in [(':', reference.tag), ('@', reference.digest)] {
        if let Some(part) = part {
            text.push(mark);
            text.push_str(part);
        }
    }
    text
}
