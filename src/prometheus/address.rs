//! The address of a server taken apart: what may be shown of it, and the credentials that people put into it.

use reqwest::Url;

use super::error::Error;
use crate::secret::Secret;
use crate::text;

/// The base address taken apart.
pub(crate) struct Base {
    /// Address without user, query and fragment.
    pub url: Url,
    /// The same for people: no slash at the end.
    pub shown: String,
    /// User and password that were in the address.
    pub userinfo: Option<(String, Secret)>,
    /// Query parameters that were in the address; they go with every request and are not printed.
    pub params: Vec<(String, String)>,
}

impl Base {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let config = |problem: &str| Error::Config { setting: "--prometheus-url", problem: problem.to_owned() };
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&full).map_err(|_| config("not an address; write it like http://prometheus:9090"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(config("only http:// and https:// addresses can be used"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(config("no host in the address; write it like http://prometheus:9090"));
        }
        let userinfo = (!url.username().is_empty() || url.password().is_some()).then(|| {
            (text::percent_decoded(url.username()), Secret::new(text::percent_decoded(url.password().unwrap_or(""))))
        });
        // Both calls fail only for addresses that cannot have a user, and those have no host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let params = url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        url.set_query(None);
        url.set_fragment(None);
        let mut path = url.path().trim_end_matches('/');
        for pasted in ["/api/v1/query_range", "/api/v1/query", "/api/v1/read", "/api/v1", "/graph"] {
            if let Some(prefix) = path.strip_suffix(pasted) {
                path = prefix.trim_end_matches('/');
                break;
            }
        }
        let path = path.to_owned();
        url.set_path(&path);
        let shown = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, shown, userinfo, params })
    }

    /// The address of an endpoint below the base, `api/v1/…` without a slash in front.
    pub(crate) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/{path}"));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_up_its_user_and_what_was_pasted_with_it() {
        let base = Base::parse("https://me:p%40ss@prom.example/prometheus/api/v1/query?tenant=a#x").unwrap();
        assert_eq!(base.shown, "https://prom.example/prometheus");
        assert_eq!(base.userinfo, Some(("me".into(), Secret::new("p@ss"))));
        assert_eq!(base.params, [("tenant".to_owned(), "a".to_owned())]);
        assert_eq!(base.endpoint("api/v1/read").as_str(), "https://prom.example/prometheus/api/v1/read");
    }

    #[test]
    fn addresses_in_every_shape() {
        for (given, shown) in [
            ("prometheus:9090", "http://prometheus:9090"),
            ("http://[::1]:9090/", "http://[::1]:9090"),
            ("http://h/select/0/prometheus/", "http://h/select/0/prometheus"),
            ("http://h/graph", "http://h"),
        ] {
            assert_eq!(Base::parse(given).unwrap().shown, shown, "{given}");
        }
        for wrong in ["", "ftp://h", "http://", "http://:80", "http://h:99999"] {
            assert!(Base::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refused_address_is_not_repeated() {
        let error = Base::parse("http://me:hunter2@h:99999").err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
