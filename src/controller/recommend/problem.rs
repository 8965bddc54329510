//! Why an object was not written, and whether others may be. Must not know what is written.

use crate::cluster::ApiError;
use crate::controller::crds::{GROUP, RECOMMENDATIONS};
use crate::text;

/// Longest words of the API server that are repeated, in characters.
const SAID_CHARS: usize = 300;

/// Why an object was not read or written, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Others may be written.
    #[error("{0}")]
    OfOne(String),
    /// No other can be written either, until something else is mended.
    #[error("{0}")]
    OfAll(String),
}

impl Problem {
    /// What the API server's answer to a request about recommendations means. What was sent is podfit's own words, so
    /// the answer may be repeated.
    pub(super) fn of(verb: &str, error: &ApiError) -> Self {
        let ApiError::Status { status, message } = error else {
            return Self::OfAll(format!("cannot {verb} {RECOMMENDATIONS}: {error}"));
        };
        let said = text::clip(&text::clean(message), SAID_CHARS);
        let apply = "apply it (`podfit crds | kubectl apply -f -`)";
        match status {
            401 => Self::OfAll(format!("the API server does not know podfit's account (401): {said}")),
            403 if message.contains(" cannot ") && message.contains(" resource ") => Self::OfOne(format!(
                "podfit may not {verb} {RECOMMENDATIONS} (403): grant its service account the verbs get, list, create, \
                 patch and delete on {RECOMMENDATIONS} ({GROUP}), and patch on {RECOMMENDATIONS}/status"
            )),
            404 => Self::OfAll(format!("the cluster does not know {RECOMMENDATIONS}: {apply}")),
            405 => {
                Self::OfAll(format!("the definition of {RECOMMENDATIONS} is being deleted: {apply} when it is gone"))
            }
            _ if is_of_another_release(message) => Self::OfAll(format!(
                "cannot {verb} {RECOMMENDATIONS}: the API server's definition of them is not this release's; {apply}"
            )),
            400 | 403 | 409 | 413 | 422 => {
                Self::OfOne(format!("the API server refuses to {verb} it ({status}): {said}; see who asks for that"))
            }
            _ => Self::OfAll(format!("cannot {verb} {RECOMMENDATIONS}: the API server answered {status}: {said}")),
        }
    }
}

/// A field that its definition does not have.
fn is_of_another_release(message: &str) -> bool {
    ["field not declared in schema", "unknown field"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::right(
        403,
        "recommendations.podfit.dev \"a\" is forbidden: User \"u\" cannot patch resource \"recommendations\" in API group",
        true,
        "grant its service account"
    )]
    #[case::policy(
        422,
        "recommendations.podfit.dev \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        true,
        "'p' with binding 'b' denied"
    )]
    #[case::webhook(403, "admission webhook \"w\" denied the request: no", true, "webhook \"w\" denied")]
    #[case::invalid(
        422,
        "Recommendation.podfit.dev \"a\" is invalid: status.summary.memory: Too long",
        true,
        "status.summary.memory: Too long"
    )]
    #[case::older_definition(
        500,
        "failed to create typed patch object (a): .status.lastRun: field not declared in schema",
        false,
        "is not this release's"
    )]
    #[case::no_definition(
        404,
        "the server could not find the requested resource",
        false,
        "does not know recommendations"
    )]
    #[case::going(405, "create not allowed while custom resource definition is terminating", false, "is being deleted")]
    #[case::busy(429, "too many requests", false, "answered 429")]
    #[case::broken(500, "etcdserver: request timed out", false, "answered 500")]
    fn what_the_api_server_says_is_understood(
        #[case] status: u16,
        #[case] message: &str,
        #[case] is_of_one: bool,
        #[case] said: &str,
    ) {
        let problem = Problem::of("patch", &ApiError::Status { status, message: message.to_owned() });
        assert_eq!(matches!(problem, Problem::OfOne(_)), is_of_one, "{problem}");
        assert!(problem.to_string().contains(said), "{problem}");
    }

    #[test]
    fn without_an_api_server_nothing_can_be_written() {
        assert!(matches!(Problem::of("list", &ApiError::Network("refused".to_owned())), Problem::OfAll(_)));
    }
}
