//! The chart without a cluster: what it makes of values, and which it refuses.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use crate::staged::{Staged, called, documents, find};
use crate::support::cli;

const PROMETHEUS: &str = "prometheus.url=http://prometheus.monitoring:9090";
const CA: &str = "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n";

/// Built-in groups, whose schemas kubernetes-validate has.
const CUSTOM: [&str; 3] = ["podfit.dev/v1alpha1", "cert-manager.io/v1", "monitoring.coreos.com/v1"];

/// Versions of Kubernetes: the oldest that the chart is for, podfit's own client's, and the newest.
const SCHEMAS: [&str; 3] = ["1.30", "1.33", "1.37"];

/// Values in the large: one of every kind of installation.
fn kinds_of_installations() -> Vec<(&'static str, Vec<String>)> {
    let set = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
    vec![
        ("as it comes", set(&[])),
        ("with history", set(&[PROMETHEUS])),
        (
            "all of it",
            set(&[
                "prometheus.url=https://thanos.example:443/tenant",
                "prometheus.tokenSecret=prometheus-token",
                "prometheus.arguments={--org-id=data,--series-label=cluster=prod}",
                "recommend.groupByLabels={team,job}",
                "image.repository=registry.example/podfit",
                "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "imagePullSecrets[0].name=login",
                "imagePullSecrets[1]=other-login",
                "image.registry=mirror.example:5000",
                "extraEnv[0].name=HTTPS_PROXY",
                "extraEnv[0].value=http://proxy:3128",
                "webhook.objectSelector.matchLabels.size=yes",
                "webhook.namespaceSelector.matchLabels.team=data",
                "networkPolicy.dnsPorts={53,5353}",
                "commonLabels.team=data",
                "namespaces.include={spark,airflow}",
                "webhook.validate.failurePolicy=Fail",
                "priorityClassName=system-cluster-critical",
                "nodeSelector.pool=system",
                "tolerations[0].operator=Exists",
                "podAnnotations.a=b",
                "podLabels.c=d",
                "serveArguments={--max-in-flight=200}",
                "extraVolumes.company-ca.configMap.name=company-ca",
                "networkPolicy.webhookFrom[0].ipBlock.cidr=10.0.0.0/28",
                "monitoring.serviceMonitor=true",
                "monitoring.rules=true",
                "monitoring.labels.release=prometheus",
                "report.arguments={--namespace=spark}",
                "report.env[0].name=TOKEN",
                "report.env[0].value=x",
                "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=a",
                "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
            ]),
        ),
        (
            "a report that the controller delivers",
            set(&[
                PROMETHEUS,
                "report.by=controller",
                "report.destinations[0].slack.url.env=SLACK",
                "report.secret=slack",
            ]),
        ),
        ("on the nodes' network", set(&["hostNetwork=true", "ports.webhook=10443", "ports.metrics=10090"])),
        ("cert-manager", set(&["certificate.mode=cert-manager", PROMETHEUS, "monitoring.podMonitor=true"])),
        ("cert-manager with an issuer", set(&["certificate.mode=cert-manager", "certificate.issuerRef.name=company"])),
        ("own certificate", {
            let ca = format!("certificate.caBundle={CA}");
            set(&["certificate.mode=secret", "certificate.existingSecret=own", &ca])
        }),
        (
            "as little as can be",
            set(&[
                "replicas=1",
                "webhook.validate.enabled=false",
                "networkPolicy.enabled=false",
                "serviceAccount.create=false",
                "serviceAccount.name=there",
                "policy.create=false",
                "report.enabled=false",
                "monitoring.annotations=false",
                "crds.install=false",
            ]),
        ),
    ]
}

#[test]
fn the_chart_lints() {
    let Some(staged) = Staged::new("the_chart_lints") else { return };
    let said = staged.must("helm", None, &["lint", "--strict", "deploy/helm/podfit", "--set", PROMETHEUS]);
    assert!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{said}");
}

#[test]
fn a_packaged_chart_holds_what_its_links_lead_to() {
    let Some(staged) = Staged::new("a_packaged_chart_holds_what_its_links_lead_to") else { return };
    staged.must("helm", None, &["package", "deploy/helm/podfit", "-d", "packaged"]);
    let file = std::fs::read_dir(staged.path("packaged")).unwrap().next().unwrap().unwrap().path();
    let args = ["template", "podfit", file.to_str().unwrap(), "--set", "monitoring.rules=true"];
    let objects = documents(&staged.must("helm", None, &args));
    assert_eq!(objects.iter().filter(|o| o["kind"] == "CustomResourceDefinition").count(), 2);
    let groups = find(&objects, "PrometheusRule/podfit")["spec"]["groups"].as_array().unwrap();
    let alerts = groups.iter().flat_map(|g| g["rules"].as_array().unwrap()).filter(|r| r.get("alert").is_some());
    assert!(alerts.count() >= 10);
}

#[test]
fn every_installation_is_made_of_valid_objects() {
    let Some(staged) = Staged::new("every_installation_is_made_of_valid_objects") else { return };
    for (number, (what, values)) in kinds_of_installations().into_iter().enumerate() {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let objects = staged.template(&values);
        let names: BTreeSet<String> = objects.iter().map(called).collect();
        assert_eq!(names.len(), objects.len(), "{what}: an object is there twice: {names:?}");
        let built_in: Vec<&Value> =
            objects.iter().filter(|o| !CUSTOM.contains(&o["apiVersion"].as_str().unwrap())).collect();
        let text: String = built_in.iter().map(|o| format!("---\n{o}\n")).collect();
        let file = staged.write(&format!("objects-{number}.yaml"), &text);
        let file = file.to_str().unwrap();
        for version in SCHEMAS {
            let ran = staged.run("kubernetes-validate", None, &["--strict", "-k", version, file]);
            assert!(ran.ok, "{what}, {version}: {}{}", ran.out, ran.err);
        }
        // podfit holds itself to its own rules, the ones that only warn too.
        let reviewed = cli::podfit(["review", "--fail-on", "warn", file]);
        assert_eq!(reviewed.code, Some(0), "{what}: {reviewed:?}");
    }
}

#[test]
fn a_pod_of_podfit_may_do_nothing_to_its_node() {
    let Some(staged) = Staged::new("a_pod_of_podfit_may_do_nothing_to_its_node") else { return };
    let objects = staged.template(&[PROMETHEUS]);
    let pods = [
        &find(&objects, "Deployment/podfit")["spec"]["template"]["spec"],
        &find(&objects, "CronJob/podfit-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ];
    for pod in pods {
        let security = &pod["securityContext"];
        assert_eq!(
            (&security["runAsNonRoot"], &security["seccompProfile"]["type"]),
            (&json!(true), &json!("RuntimeDefault"))
        );
        assert!(security["runAsUser"].as_u64().unwrap() > 10_000);
        for container in pod["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            let expected = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
            assert_eq!(*security, expected);
        }
        for key in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
            assert!(pod.get(key).is_none(), "{key}");
        }
        let volumes = pod["volumes"].as_array().unwrap();
        assert!(volumes.iter().all(|v| v.get("hostPath").is_none()));
        let writable =
            pod["containers"][0]["volumeMounts"].as_array().unwrap().iter().filter(|m| m["readOnly"] != true);
        for mount in writable {
            let volume = volumes.iter().find(|v| v["name"] == mount["name"]).unwrap();
            assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{volume}");
        }
    }
}

#[test]
fn the_webhooks_spare_what_a_cluster_lives_on() {
    let Some(staged) = Staged::new("the_webhooks_spare_what_a_cluster_lives_on") else { return };
    let objects = staged.template(&["namespaces.include={spark,airflow}"]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let configuration = find(&objects, &format!("{kind}/podfit-webhook"));
        for entry in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(entry["failurePolicy"], "Ignore");
            assert!(entry["timeoutSeconds"].as_u64().unwrap() <= 3);
            assert_eq!((&entry["matchPolicy"], &entry["sideEffects"]), (&json!("Equivalent"), &json!("None")));
            let expressions = entry["namespaceSelector"]["matchExpressions"].as_array().unwrap();
            assert!(expressions.iter().all(|e| e["key"] == "kubernetes.io/metadata.name"));
            assert_eq!(expressions[0]["values"], json!(["kube-node-lease", "kube-public", "kube-system", "podfit"]));
            assert_eq!(expressions[0]["operator"], "NotIn");
            assert_eq!(
                (&expressions[1]["operator"], &expressions[1]["values"]),
                (&json!("In"), &json!(["spark", "airflow"]))
            );
            for rule in entry["rules"].as_array().unwrap() {
                let resources = rule["resources"].as_array().unwrap();
                assert!(resources.iter().all(|r| !r.as_str().unwrap().contains('*')), "{rule}");
                assert!(!resources.contains(&json!("pods/status")) && !resources.contains(&json!("pods/resize")));
            }
        }
    }
}

#[test]
fn what_a_cluster_lives_on_is_spared_whatever_the_values_say() {
    let Some(staged) = Staged::new("what_a_cluster_lives_on_is_spared_whatever_the_values_say") else { return };
    let objects = staged.template(&["namespaces.exclude={sandbox}", "webhook.namespaceSelector.matchLabels.team=data"]);
    let entry = &find(&objects, "MutatingWebhookConfiguration/podfit-webhook")["webhooks"][0];
    let selector = &entry["namespaceSelector"];
    let never = json!(["kube-node-lease", "kube-public", "kube-system", "podfit", "sandbox"]);
    assert_eq!(selector["matchExpressions"][0]["values"], never);
    assert_eq!(selector["matchLabels"], json!({"team": "data"}));
}

#[test]
fn an_annotation_or_a_label_of_ones_own_takes_the_place_of_the_charts() {
    let Some(staged) = Staged::new("an_annotation_or_a_label_of_ones_own_takes_the_place_of_the_charts") else {
        return;
    };
    let text = staged.template_text(&["podAnnotations.prometheus\\.io/scrape=never", "commonLabels.team=data"]);
    assert_eq!(text.matches("prometheus.io/scrape").count(), 1, "{text}");
    let template = &find(&documents(&text), "Deployment/podfit")["spec"]["template"]["metadata"].clone();
    assert_eq!(
        (&template["annotations"]["prometheus.io/scrape"], &template["labels"]["team"]),
        (&json!("never"), &json!("data"))
    );
    // What is selected by is never somebody's own.
    let text = staged.template_text(&["commonLabels.app\\.kubernetes\\.io/instance=mine"]);
    let deployment = find(&documents(&text), "Deployment/podfit")["spec"].clone();
    assert_eq!(deployment["selector"]["matchLabels"]["app.kubernetes.io/instance"], "podfit");
    assert_eq!(deployment["template"]["metadata"]["labels"]["app.kubernetes.io/instance"], "podfit");
}

#[test]
fn on_openshift_the_namespace_says_which_ids() {
    let Some(staged) = Staged::new("on_openshift_the_namespace_says_which_ids") else { return };
    let args =
        ["template", "podfit", "deploy/helm/podfit", "--set", PROMETHEUS, "--api-versions", "security.openshift.io/v1"];
    let objects = documents(&staged.must("helm", None, &args));
    let pods = [
        &find(&objects, "Deployment/podfit")["spec"]["template"]["spec"],
        &find(&objects, "CronJob/podfit-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ];
    for pod in pods {
        let expected = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        assert_eq!(pod["securityContext"], expected, "restricted-v2 refuses an id of our own");
    }
    // Elsewhere whoever wants it leaves them out himself.
    let objects = staged.template(&["podSecurityContext.runAsUser=null"]);
    let security = &find(&objects, "Deployment/podfit")["spec"]["template"]["spec"]["securityContext"];
    assert!(security.get("runAsUser").is_none() && security["fsGroup"] == 65532, "{security}");
}

#[test]
fn on_the_nodes_network_all_ports_are_those_that_are_said() {
    let Some(staged) = Staged::new("on_the_nodes_network_all_ports_are_those_that_are_said") else { return };
    let values = ["hostNetwork=true", "ports.webhook=10443", "ports.metrics=10090", PROMETHEUS];
    let objects = staged.template(&values);
    let pod = &find(&objects, "Deployment/podfit")["spec"]["template"]["spec"];
    assert_eq!((&pod["hostNetwork"], &pod["dnsPolicy"]), (&json!(true), &json!("ClusterFirstWithHostNet")));
    let container = &pod["containers"][0];
    let args = container["args"].as_array().unwrap();
    for arg in ["--listen=0.0.0.0:10443", "--metrics-listen=0.0.0.0:10090"] {
        assert!(args.contains(&json!(arg)), "{args:?}");
    }
    let ports: Vec<&Value> = container["ports"].as_array().unwrap().iter().map(|p| &p["containerPort"]).collect();
    assert_eq!(ports, [&json!(10443), &json!(10090)]);
    let policy = &find(&objects, "NetworkPolicy/podfit")["spec"]["ingress"];
    assert_eq!((&policy[0]["ports"][0]["port"], &policy[1]["ports"][0]["port"]), (&json!(10443), &json!(10090)));
}

#[test]
fn the_rules_fail_closed_only_for_pods_and_only_when_asked() {
    let Some(staged) = Staged::new("the_rules_fail_closed_only_for_pods_and_only_when_asked") else { return };
    let objects = staged.template(&["webhook.validate.failurePolicy=Fail"]);
    let of = |kind: &str| {
        let entries = find(&objects, &format!("{kind}/podfit-webhook"))["webhooks"].as_array().unwrap();
        entries.iter().map(|e| (e["name"].as_str().unwrap(), e["failurePolicy"].as_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(of("MutatingWebhookConfiguration"), [("size.podfit.dev", "Ignore")]);
    assert_eq!(
        of("ValidatingWebhookConfiguration"),
        [("rules.podfit.dev", "Fail"), ("templates.podfit.dev", "Ignore")]
    );
}

#[test]
fn a_policy_lets_in_callers_and_scrapers_and_out_what_podfit_reads() {
    let Some(staged) = Staged::new("a_policy_lets_in_callers_and_scrapers_and_out_what_podfit_reads") else { return };
    let objects = staged.template(&["prometheus.url=http://prometheus-server.monitoring/prom"]);
    let spec = &find(&objects, "NetworkPolicy/podfit")["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    let ports = |rule: &Value| {
        rule["ports"].as_array().unwrap().iter().map(|p| p["port"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let all = |direction: &str| spec[direction].as_array().unwrap().iter().map(ports).collect::<Vec<_>>();
    assert_eq!(all("ingress"), [vec![8443], vec![9090]]);
    let egress: Vec<BTreeSet<u64>> = all("egress").into_iter().map(|p| p.into_iter().collect()).collect();
    assert_eq!(egress, [BTreeSet::from([53]), BTreeSet::from([80, 443, 6443, 9090])]);
}

#[test]
fn nobody_scrapes_but_whom_the_values_name() {
    let Some(staged) = Staged::new("nobody_scrapes_but_whom_the_values_name") else { return };
    let ingress = |values: &[&str]| {
        let objects = staged.template(values);
        find(&objects, "NetworkPolicy/podfit")["spec"]["ingress"].as_array().unwrap().clone()
    };
    let of_metrics = |rules: &[Value]| rules.iter().find(|rule| rule["ports"][0]["port"] == 9090).cloned();
    assert_eq!(of_metrics(&ingress(&[])), None, "closed where no Prometheus is known");
    assert_eq!(of_metrics(&ingress(&["prometheus.url=https://thanos.company.example/t"])), None, "that is no Service");
    let from = |values: &[&str]| of_metrics(&ingress(values)).unwrap()["from"].clone();
    let namespace = |name: &str| json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]);
    assert_eq!(from(&[PROMETHEUS]), namespace("monitoring"));
    let own = "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=agent";
    let agents = json!([{"podSelector": {"matchLabels": {"app": "agent"}}}]);
    assert_eq!(from(&[own]), agents);
    assert_eq!(from(&[PROMETHEUS, own]), agents, "what is said counts");
}

#[test]
fn callers_need_a_certificate_where_the_values_name_their_ca() {
    let Some(staged) = Staged::new("callers_need_a_certificate_where_the_values_name_their_ca") else { return };
    let pod = |values: &[&str]| {
        let objects = staged.template(values);
        find(&objects, "Deployment/podfit")["spec"]["template"]["spec"].clone()
    };
    let flag = |pod: &Value| {
        let args = pod["containers"][0]["args"].as_array().unwrap();
        args.iter().find_map(|arg| arg.as_str().unwrap().strip_prefix("--client-ca-file=").map(str::to_owned))
    };
    assert_eq!(flag(&pod(&[])), None);
    let spec = pod(&["webhook.clientCA.configMap=callers", "webhook.clientCA.key=bundle.pem"]);
    let file = flag(&spec).unwrap();
    let (folder, key) = file.rsplit_once('/').unwrap();
    assert_eq!(key, "bundle.pem");
    let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["mountPath"] == folder).unwrap_or_else(|| panic!("{mounts:?}"));
    assert_eq!(mount["readOnly"], true);
    let volumes = spec["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
    assert_eq!(volume["configMap"]["name"], "callers");
}

/// The delivery's file of a `ConfigMap`.
fn destinations(objects: &[Value]) -> usize {
    let file = find(objects, "ConfigMap/podfit-report")["data"]["delivery.yaml"].as_str().unwrap();
    podfit::delivery::Plan::parse(file).unwrap().destinations.len()
}

#[test]
fn the_report_goes_where_the_values_say_by_one_of_two() {
    const FILE: &str = "--deliver=/etc/podfit/report/delivery.yaml";
    let Some(staged) = Staged::new("the_report_goes_where_the_values_say_by_one_of_two") else { return };
    let to = "report.destinations[0].slack.url.file=/etc/podfit/report-secrets/webhook";
    let mail = "report.destinations[1].webhook.url.env=HOOK";
    let values = [PROMETHEUS, to, mail, "report.secret=slack"];
    let mounted = |pod: &Value| {
        let volumes = pod["volumes"].as_array().unwrap();
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        ["report", "report-secrets"]
            .iter()
            .all(|name| [volumes, mounts].iter().all(|l| l.iter().any(|v| v["name"] == *name)))
    };
    let argued = |pod: &Value| {
        let arguments = pod["containers"][0]["args"].as_array().unwrap().clone();
        arguments.into_iter().filter(|a| a.as_str().unwrap().starts_with("--deliver")).collect::<Vec<_>>()
    };

    let objects = staged.template(&values);
    assert_eq!(destinations(&objects), 2);
    let pod = &find(&objects, "CronJob/podfit-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert!(mounted(pod) && argued(pod) == [json!(FILE)], "{pod:#}");
    assert!(argued(&find(&objects, "Deployment/podfit")["spec"]["template"]["spec"]).is_empty());

    let mut values = values.to_vec();
    values.extend(["report.by=controller", "report.timeZone=Europe/Berlin", "report.at=Tue 08:30"]);
    let objects = staged.template(&values);
    assert_eq!(destinations(&objects), 2);
    assert!(objects.iter().all(|o| o["kind"] != "CronJob"), "not by both");
    let pod = &find(&objects, "Deployment/podfit")["spec"]["template"]["spec"];
    let expected = [FILE, "--deliver-at=Tue 08:30", "--deliver-time-zone=Europe/Berlin"];
    assert!(mounted(pod) && argued(pod) == expected.map(Value::from), "{pod:#}");
    let egress = find(&objects, "NetworkPolicy/podfit")["spec"]["egress"].as_array().unwrap();
    assert_eq!(egress.last().unwrap()["ports"], json!([{"protocol": "TCP", "port": 443}]));
}

#[rstest]
#[case("report.at=Monday 07:00", "/report/at")]
#[case("report.by=both", "/report/by")]
#[case("prometheus.url=prometheus:9090", "/prometheus/url")]
#[case("prometheus.url=http://user:secret@prometheus:9090", "/prometheus/url")]
#[case("replicas=0", "/replicas")]
#[case("replica=3", "replica")]
#[case("image.tag=latest", "/image/tag")]
#[case("image.digest=sha256:abc", "/image/digest")]
#[case("certificate.mode=self-signed", "/certificate/mode")]
#[case("certificate.mode=secret", "/certificate/existingSecret")]
#[case("policy.spec.resizing=off", "/policy/spec/resizing")]
#[case("policy.spec.rollout.mode=canry", "/policy/spec/rollout/mode")]
#[case("policy.spec.rollout.canaryPercent=101", "/policy/spec/rollout/canaryPercent")]
#[case("webhook.validate.failurePolicy=fail", "/webhook/validate/failurePolicy")]
#[case("webhook.mutate.timeoutSeconds=30", "/webhook/mutate/timeoutSeconds")]
#[case("recommend.history=2weeks", "/recommend/history")]
#[case("namespaces.exclude={Kube_System}", "/namespaces/exclude/0")]
#[case("report.schedule=monday", "/report/schedule")]
#[case("extraVolumes.tls.secret.secretName=x", "propertyName 'tls'")]
#[case("networkPolicy.apiServerPorts={70000}", "/networkPolicy/apiServerPorts/0")]
fn a_wrong_value_is_refused_where_it_stands(#[case] value: &str, #[case] place: &str) {
    let Some(staged) = Staged::new("a_wrong_value_is_refused_where_it_stands") else { return };
    let ran = staged.run("helm", None, &["template", "podfit", "deploy/helm/podfit", "--set", value]);
    assert!(!ran.ok, "{value} was taken");
    assert!(ran.err.contains(place), "{}", ran.err);
}

#[test]
fn values_and_their_schema_name_the_same_things() {
    fn keys(schema: &Value, values: &Value, at: &str, differences: &mut Vec<String>) {
        let Some(properties) = schema["properties"].as_object().filter(|_| schema["additionalProperties"] == false)
        else {
            return;
        };
        let values = values.as_object().unwrap_or_else(|| panic!("{at} is no object in values.yaml"));
        for name in properties.keys().chain(values.keys()).collect::<BTreeSet<_>>() {
            let optional = ["global", "claims", "requests", "limits"].contains(&name.as_str());
            match (properties.get(name), values.get(name)) {
                (Some(schema), Some(value)) => keys(schema, value, &format!("{at}.{name}"), differences),
                (None, _) => differences.push(format!("{at}.{name} is not in the schema")),
                (_, None) if !optional => differences.push(format!("{at}.{name} is not in values.yaml")),
                _ => {}
            }
        }
    }
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/podfit");
    let text = std::fs::read_to_string(format!("{chart}/values.yaml")).unwrap();
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{chart}/values.schema.json")).unwrap()).unwrap();
    let mut differences = Vec::new();
    keys(&schema, &documents(&text)[0], "", &mut differences);
    assert_eq!(differences, [""; 0]);
}

#[test]
fn every_value_is_explained() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/podfit/values.yaml")).unwrap();
    // A comment above a key explains it, and those below it up to the next blank line or comment.
    let mut explained = false;
    let mut bare = Vec::new();
    for line in text.lines() {
        let code = line.trim();
        match code {
            "" => explained = false,
            _ if code.starts_with('#') => explained = true,
            _ if !explained && !code.ends_with(':') && !code.starts_with('-') => bare.push(line),
            _ => {}
        }
    }
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn podfit_knows_every_argument_that_it_is_given() {
    let Some(staged) = Staged::new("podfit_knows_every_argument_that_it_is_given") else { return };
    let help = cli::podfit(["serve", "--help"]).stdout;
    for (what, values) in kinds_of_installations() {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let objects = staged.template(&values);
        let container = &find(&objects, "Deployment/podfit")["spec"]["template"]["spec"]["containers"][0];
        let args: Vec<&str> = container["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        assert_eq!(args[0], "serve");
        for arg in &args[1..] {
            let flag = arg.split('=').next().unwrap();
            let of_history = ["--org-id", "--series-label", "--prometheus-token-file"].contains(&flag);
            let known = help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag);
            assert!(known || of_history, "{what}: podfit serve has no {flag}");
        }
    }
}
