//! Splits an image reference into registry, repository, tag and digest, and says whether it means `latest`.
//! Must not know containers or rules, and never fails: what cannot be read is an answer too.

/// Longest repository with registry, in bytes (the limit of the reference grammar).
const NAME_BYTES: usize = 255;
/// Longest tag, in bytes.
const TAG_BYTES: usize = 128;
/// Fewest hex digits of a digest of an unknown algorithm.
const DIGEST_HEX: usize = 32;

/// What a text in an `image` field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image<'a> {
    /// A reference that a container runtime accepts.
    Reference(Reference<'a>),
    /// No runtime can pull this.
    Unparsable(Unparsable),
}

/// The parts of an image reference, as written; nothing is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Registry host with its port; `None` means the runtime's default registry.
    pub registry: Option<&'a str>,
    /// Path inside the registry.
    pub repository: &'a str,
    /// Tag, case-sensitive.
    pub tag: Option<&'a str>,
    /// Digest with its algorithm, `sha256:…`.
    pub digest: Option<&'a str>,
}

/// Why a text is no image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unparsable {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A blank, a control character or a character outside ASCII.
    #[error("it has a blank or a character that no reference may have")]
    Character,
    /// The part before the first slash.
    #[error("the registry is not a host name with an optional port")]
    Registry,
    /// The path.
    #[error("the repository must be lower-case letters, digits and single separators")]
    Repository,
    /// The path with the registry.
    #[error("the name is longer than 255 characters")]
    TooLong,
    /// After the colon.
    #[error("the tag is empty, too long or has a forbidden character")]
    Tag,
    /// After the at sign.
    #[error("the digest is not ALGORITHM:HEX")]
    Digest,
}

impl<'a> Image<'a> {
    /// Reads any text.
    pub fn parse(text: &'a str) -> Self {
        split(text).map_or_else(Self::Unparsable, Self::Reference)
    }
}

impl Reference<'_> {
    /// Whether the registry may answer with another image tomorrow because the tag is, or stands for, `latest`.
    ///
    /// Kubernetes' own rule: no tag and no digest, or the tag `latest`; a digest pins the image whatever the tag says.
    pub fn is_latest(&self) -> bool {
        self.digest.is_none() && self.tag.is_none_or(|tag| tag == "latest")
    }
}

fn split(text: &str) -> Result<Reference<'_>, Unparsable> {
    if text.is_empty() {
        return Err(Unparsable::Empty);
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Unparsable::Character);
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|d| !is_digest(d)) {
        return Err(Unparsable::Digest);
    }
    // A colon is a tag's only behind the last slash; before that it is a port's or an address's.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains(['/', ']']) => (name, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|t| !is_tag(t)) {
        return Err(Unparsable::Tag);
    }
    if name.len() > NAME_BYTES {
        return Err(Unparsable::TooLong);
    }
    let (registry, repository) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (Some(first), path),
        _ => (None, name),
    };
    if registry.is_some_and(|r| !is_host(r)) {
        return Err(Unparsable::Registry);
    }
    if !repository.split('/').all(is_component) {
        return Err(Unparsable::Repository);
    }
    Ok(Reference { registry, repository, tag, digest })
}

/// Whether the part before the first slash is a registry rather than a folder of the default registry.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':', '[']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if port.is_some_and(|p| p.parse::<u16>().is_err() || !p.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// One part of a path: lower-case alphanumeric words joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(word) || !bytes.last().copied().is_some_and(word) {
        return false;
    }
    bytes.split(|&b| word(b)).all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|&b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    text.len() <= TAG_BYTES
        && !text.is_empty()
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let hex_digits = match algorithm {
        "sha256" => hex.len() == 64,
        "sha384" => hex.len() == 96,
        "sha512" => hex.len() == 128,
        _ => hex.len() >= DIGEST_HEX,
    };
    hex_digits
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
        && algorithm.split(['+', '.', '-', '_']).all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[rstest]
    #[case("nginx", None, "nginx", None, false, true)]
    #[case("nginx:latest", None, "nginx", Some("latest"), false, true)]
    #[case("nginx:1.27", None, "nginx", Some("1.27"), false, false)]
    #[case("library/nginx", None, "library/nginx", None, false, true)]
    #[case("reg:5000/app", Some("reg:5000"), "app", None, false, true)]
    #[case("reg:5000/app:1.2", Some("reg:5000"), "app", Some("1.2"), false, false)]
    #[case("reg:5000/app:latest", Some("reg:5000"), "app", Some("latest"), false, true)]
    #[case("app@sha256:HEX", None, "app", None, true, false)]
    #[case("app:latest@sha256:HEX", None, "app", Some("latest"), true, false)]
    #[case("reg:5000/app@sha256:HEX", Some("reg:5000"), "app", None, true, false)]
    #[case("[::1]:5000/a", Some("[::1]:5000"), "a", None, false, true)]
    #[case("[::1]:5000/a:1", Some("[::1]:5000"), "a", Some("1"), false, false)]
    #[case("[2001:db8::1]/a", Some("[2001:db8::1]"), "a", None, false, true)]
    #[case("localhost/a", Some("localhost"), "a", None, false, true)]
    #[case("localhost:5000/a/b:x", Some("localhost:5000"), "a/b", Some("x"), false, false)]
    #[case("localhost:5000", None, "localhost", Some("5000"), false, false)]
    #[case("A/b:LATEST", Some("A"), "b", Some("LATEST"), false, false)]
    #[case("a/b:Latest", None, "a/b", Some("Latest"), false, false)]
    #[case("a/b:latest-2024", None, "a/b", Some("latest-2024"), false, false)]
    #[case("gcr.io/p/a_b/c__d/e--f.g", Some("gcr.io"), "p/a_b/c__d/e--f.g", None, false, true)]
    #[case("latest", None, "latest", None, false, true)]
    #[case("latest/app:1", None, "latest/app", Some("1"), false, false)]
    fn splits(
        #[case] text: &str,
        #[case] registry: Option<&str>,
        #[case] repository: &str,
        #[case] tag: Option<&str>,
        #[case] digest: bool,
        #[case] latest: bool,
    ) {
        let text = text.replace("HEX", HEX);
        let Image::Reference(reference) = Image::parse(&text) else { panic!("{text} was not read") };
        assert_eq!((reference.registry, reference.repository, reference.tag), (registry, repository, tag));
        assert_eq!(reference.digest.is_some(), digest);
        assert_eq!(reference.is_latest(), latest);
    }

    #[rstest]
    #[case("", Unparsable::Empty)]
    #[case("nginx latest", Unparsable::Character)]
    #[case(" nginx:1", Unparsable::Character)]
    #[case("nginx:1\n", Unparsable::Character)]
    #[case("ngínx:1", Unparsable::Character)]
    #[case("UPPER", Unparsable::Repository)]
    #[case("reg.io/Upper:1", Unparsable::Repository)]
    #[case("/nginx:1", Unparsable::Repository)]
    #[case("a//b:1", Unparsable::Repository)]
    #[case("a/:1", Unparsable::Repository)]
    #[case("a..b:1", Unparsable::Repository)]
    #[case("a___b:1", Unparsable::Repository)]
    #[case("$(IMAGE):1", Unparsable::Repository)]
    #[case("https://reg.io/app:1", Unparsable::Registry)]
    #[case("reg:port/app:1", Unparsable::Registry)]
    #[case("reg:99999/app:1", Unparsable::Registry)]
    #[case("[::g]/app:1", Unparsable::Registry)]
    #[case("[::1]:5000", Unparsable::Repository)]
    #[case("-reg.io/app:1", Unparsable::Registry)]
    #[case("nginx:", Unparsable::Tag)]
    #[case("nginx:-1", Unparsable::Tag)]
    #[case("nginx:a+b", Unparsable::Tag)]
    #[case("nginx@", Unparsable::Digest)]
    #[case("nginx@sha256:abc", Unparsable::Digest)]
    #[case("nginx@sha256", Unparsable::Digest)]
    #[case("nginx@latest", Unparsable::Digest)]
    #[case("nginx@sha256:HEX@sha256:HEX", Unparsable::Digest)]
    fn says_why_it_cannot_read(#[case] text: &str, #[case] why: Unparsable) {
        let text = text.replace("HEX", HEX);
        assert_eq!(Image::parse(&text), Image::Unparsable(why));
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(Image::parse(&"a".repeat(256)), Image::Unparsable(Unparsable::TooLong));
        assert_eq!(Image::parse(&format!("a:{}", "b".repeat(129))), Image::Unparsable(Unparsable::Tag));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,80}") {
            let _ = Image::parse(&text);
        }

        #[test]
        fn parts_put_together_are_the_text(text in "[a-zA-Z0-9.:/@_-]{1,60}") {
            if let Image::Reference(r) = Image::parse(&text) {
                let mut again = r.registry.map(|r| format!("{r}/")).unwrap_or_default() + r.repository;
                if let Some(tag) = r.tag {
                    again = again + ":" + tag;
                }
                if let Some(digest) = r.digest {
                    again = again + "@" + digest;
                }
                prop_assert_eq!(again, text);
            }
        }
    }
}
