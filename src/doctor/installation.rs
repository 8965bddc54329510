//! How podfit was installed: which names its objects have, read off its Deployment; and whether its replicas answer.
//! Must not know what is in the objects that it names.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Check, Read};
use crate::certs::names::{SECRET, SERVICE};

/// The label that every installation's Deployment has, with [`LABEL_VALUE`].
const LABEL: &str = "app.kubernetes.io/name";
const LABEL_VALUE: &str = "podfit";
/// As the manifests name the Deployment, the account and the lease.
const NAME: &str = "podfit";
/// The variable that says where the history is.
const URL: &str = "PODFIT_PROMETHEUS_URL";

/// The names of an installation's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its namespace.
    pub namespace: String,
    /// The service account it runs as.
    pub account: String,
    /// The webhook's Service.
    pub service: String,
    /// Both webhook configurations.
    pub configuration: String,
    /// The Secret with the certificate.
    pub secret: String,
    /// The lease of whoever recommends.
    pub lease: String,
    /// Whether podfit makes its certificate itself.
    pub built_in_ca: bool,
    /// Replicas wanted; `None` where there is no Deployment.
    pub replicas: Option<u64>,
    /// Where its history is.
    pub prometheus_url: Option<String>,
    /// How often it learns, where that is said.
    pub recommend_every: Option<Duration>,
    /// When it was installed.
    pub created: Option<Timestamp>,
}

impl Installation {
    /// As the manifests name everything.
    pub fn usual(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            account: NAME.to_owned(),
            service: SERVICE.to_owned(),
            configuration: SERVICE.to_owned(),
            secret: SECRET.to_owned(),
            lease: NAME.to_owned(),
            built_in_ca: true,
            replicas: None,
            prometheus_url: None,
            recommend_every: None,
            created: None,
        }
    }

    /// What a namespace's Deployments say; the usual names where they say nothing.
    pub fn of_deployments(namespace: &str, deployments: &[Value]) -> Self {
        let mut found = Self::usual(namespace);
        let is_ours = |d: &&Value| {
            d.pointer("/spec/template/metadata/labels").and_then(|l| l.get(LABEL)) == Some(&Value::from(LABEL_VALUE))
        };
        let Some(deployment) = deployments.iter().find(is_ours) else { return found };
        // The API server fills in 1.
        found.replicas = Some(deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1));
        let Some(pod) = deployment.pointer("/spec/template/spec") else { return found };
        if let Some(account) = pod["serviceAccountName"].as_str() {
            account.clone_into(&mut found.account);
        }
        found.created =
            deployment.pointer("/metadata/creationTimestamp").and_then(Value::as_str).and_then(|at| at.parse().ok());
        let containers = pod["containers"].as_array().into_iter().flatten();
        let variables = containers.clone().filter_map(|c| c["env"].as_array()).flatten();
        let url = variables.filter(|v| v["name"] == URL).find_map(|v| v["value"].as_str()).map(str::to_owned);
        let arguments: Vec<&str> =
            containers.filter_map(|c| c["args"].as_array()).flatten().filter_map(Value::as_str).collect();
        found.prometheus_url = argument(&arguments, "--prometheus-url").map(str::to_owned).or(url);
        found.recommend_every = argument(&arguments, "--recommend-every").and_then(duration);
        let after_slash = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(secret) = argument(&arguments, "--built-in-ca") {
            found.secret = after_slash(secret);
        } else {
            found.built_in_ca = false;
            let volumes = pod["volumes"].as_array().into_iter().flatten();
            let named = volumes.filter(|v| v["name"] == "tls").find_map(|v| v.pointer("/secret/secretName")?.as_str());
            named.unwrap_or(SECRET).clone_into(&mut found.secret);
        }
        if let Some(lease) = argument(&arguments, "--lease") {
            found.lease = after_slash(lease);
        }
        if let Some(service) = argument(&arguments, "--webhook-service") {
            service.clone_into(&mut found.service);
        }
        if let Some(configuration) = argument(&arguments, "--webhook-configuration") {
            configuration.clone_into(&mut found.configuration);
        } else if let Some(name) = deployment.pointer("/metadata/name").and_then(Value::as_str) {
            found.service = format!("{name}-webhook");
            found.configuration.clone_from(&found.service);
        }
        found
    }

    /// The name that API servers ask for.
    pub fn dns(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// The account as the API server knows it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }
}

/// A time as `podfit serve` takes it: `30m`, `1h`, `2d`.
fn duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    Some(Duration::from_secs(unit) * number)
}

fn argument<'a>(arguments: &[&'a str], flag: &str) -> Option<&'a str> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if *argument == flag {
            return rest.next().copied();
        }
        if let Some(value) = argument.strip_prefix(flag).and_then(|a| a.strip_prefix('=')) {
            return Some(value);
        }
    }
    None
}

/// Whether the Service is there, and how many replicas behind it are ready.
pub fn replicas(installation: &Installation, service: &Read<Value>, slices: &Result<Vec<Value>, String>) -> Vec<Check> {
    let Installation { namespace, service: name, .. } = installation;
    let install = "install podfit anew, or see who deleted it";
    let service = match service {
        Err(why) => Check::unknown("service", why, ""),
        Ok(None) => Check::fail("service", format!("there is no Service {name} in namespace {namespace}"), install),
        Ok(Some(_)) => Check::ok("service", format!("{name} in namespace {namespace}")),
    };
    let slices = match slices {
        Err(why) => return vec![service, Check::unknown("replicas", why, "")],
        Ok(slices) => slices,
    };
    let ours = slices.iter().filter(|s| {
        s.pointer("/metadata/labels").and_then(|l| l.get("kubernetes.io/service-name"))
            == Some(&Value::from(name.as_str()))
    });
    let endpoints: Vec<&Value> = ours.filter_map(|s| s["endpoints"].as_array()).flatten().collect();
    // A missing condition means ready (discovery.k8s.io/v1).
    let ready = endpoints.iter().filter(|e| e.pointer("/conditions/ready") != Some(&Value::Bool(false))).count();
    let wanted = installation.replicas.map(|n| format!(" of {n}")).unwrap_or_default();
    let seen = format!("{ready}{wanted} ready");
    let look = format!("kubectl -n {namespace} get pods; /readyz and the log of a pod say what it waits for");
    let is_fewer = installation.replicas.is_some_and(|n| (ready as u64) < n);
    let replicas = match ready {
        0 => Check::fail("replicas", format!("{seen}: API servers reach nobody"), look),
        _ if is_fewer => Check::warn("replicas", seen, look),
        1 => Check::warn("replicas", format!("{seen}: while it restarts nobody answers"), "run two or more"),
        _ => Check::ok("replicas", seen),
    };
    vec![service, replicas]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::doctor::State;

    fn deployment(args: &[&str], replicas: u64) -> Value {
        json!({"metadata": {"name": "data-podfit"}, "spec": {"replicas": replicas, "template": {
            "metadata": {"labels": {LABEL: LABEL_VALUE}},
            "spec": {"serviceAccountName": "sizer", "containers": [{"args": args, "env": [{"name": URL, "value": "http://prometheus:9090"}]}],
                "volumes": [{"name": "store"}, {"name": "tls", "secret": {"secretName": "own-tls"}}]}}}})
    }

    #[test]
    fn names_are_read_off_the_deployment() {
        let args = [
            "serve",
            "--built-in-ca=$(POD_NAMESPACE)/data-tls",
            "--webhook-service",
            "data-hook",
            "--webhook-configuration=data-conf",
            "--lease=$(POD_NAMESPACE)/data",
            "--recommend-every=30m",
        ];
        let found = Installation::of_deployments("data", &[json!({"metadata": {"name": "web"}}), deployment(&args, 3)]);
        assert_eq!((found.secret.as_str(), found.service.as_str()), ("data-tls", "data-hook"));
        assert_eq!((found.configuration.as_str(), found.lease.as_str()), ("data-conf", "data"));
        assert_eq!((found.replicas, found.built_in_ca), (Some(3), true));
        assert_eq!(found.prometheus_url.as_deref(), Some("http://prometheus:9090"));
        assert_eq!(found.recommend_every, Some(Duration::from_secs(1800)));
        assert_eq!(found.user(), "system:serviceaccount:data:sizer");
        assert_eq!(found.dns(), "data-hook.data.svc");
    }

    #[test]
    fn with_files_the_mounted_secret_is_the_one() {
        let found = Installation::of_deployments("data", &[deployment(&["serve", "--tls-cert-file=/x"], 1)]);
        assert_eq!((found.secret.as_str(), found.built_in_ca), ("own-tls", false));
        assert_eq!(found.configuration, "data-podfit-webhook");
    }

    #[test]
    fn without_a_deployment_the_names_are_the_usual_ones() {
        assert_eq!(Installation::of_deployments("podfit", &[]), Installation::usual("podfit"));
    }

    #[rstest]
    #[case(&[true, true], Some(2), State::Ok, "2 of 2 ready")]
    #[case(&[true, false], Some(2), State::Warn, "1 of 2 ready")]
    #[case(&[true], Some(1), State::Warn, "while it restarts")]
    #[case(&[false], Some(2), State::Fail, "0 of 2 ready")]
    #[case(&[], None, State::Fail, "0 ready")]
    fn ready_replicas_are_counted(
        #[case] ready: &[bool],
        #[case] wanted: Option<u64>,
        #[case] state: State,
        #[case] seen: &str,
    ) {
        let endpoints: Vec<Value> = ready.iter().map(|r| json!({"conditions": {"ready": r}})).collect();
        let slice = json!({"metadata": {"labels": {"kubernetes.io/service-name": SERVICE}}, "endpoints": endpoints});
        let other = json!({"metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "endpoints": [{}, {}, {}]});
        let installation = Installation { replicas: wanted, ..Installation::usual("podfit") };
        let checks = replicas(&installation, &Ok(Some(json!({}))), &Ok(vec![other, slice]));
        assert_eq!(checks[0].state, State::Ok);
        assert_eq!(checks[1].state, state);
        assert!(checks[1].seen.contains(seen), "{}", checks[1].seen);
    }
}
