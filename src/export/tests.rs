use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::literal::{Node, python, yaml};
use super::*;
use crate::workload::Kind;

fn items(entries: &[Value]) -> Vec<Item> {
    read(json!({"workloads": entries}).to_string().as_bytes()).unwrap()
}

fn entry(workload: &str, container: &str) -> Value {
    json!({"namespace": "sales", "workload": workload, "container": container,
        "current": {"cpuRequest": "2", "cpuLimit": "4", "memoryRequest": "8Gi", "memoryLimit": "8Gi"},
        "recommended": {"cpuRequest": "775m", "cpuLimit": "4", "memoryRequest": "1397Mi", "memoryLimit": "1397Mi"},
        "notes": ["2 of 21 runs were OOM-killed"],
        "evidence": {"runs": 21, "first_ms": 1_793_500_000_000_i64, "last_ms": 1_795_300_000_000_i64, "peak_max_bytes": 1_400_897_536_u64, "oom_kills": 2}})
}

fn spark(workload: &str, now: &str, then: &str) -> Value {
    json!({"namespace": "sales", "workload": workload, "container": "c",
        "current": {"cpuRequest": "2", "memoryRequest": now, "memoryLimit": now},
        "recommended": {"cpuRequest": "1500m", "memoryRequest": then, "memoryLimit": then}})
}

fn code(snippet: &Snippet) -> String {
    snippet.text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn of(entries: &[Value], form: &str) -> Snippet {
    let mut snippets = export(&items(entries), Some(form.parse().unwrap()));
    assert_eq!(snippets.len(), 1);
    snippets.remove(0)
}

#[test]
fn the_evidence_stands_above_the_code() {
    let snippet = of(&[entry("cronjob/nightly", "main")], "helm-values");
    assert_eq!(
        snippet.text,
        "# cronjob/nightly in sales, container main\n\
         # memory 8Gi -> 1397Mi, cpu request 2 -> 775m\n\
         # 21 finished runs from 2026-11-01 to 2026-11-21, highest peak 1.3Gi, 2 OOM-killed\n\
         # 2 of 21 runs were OOM-killed\n\
         # where the chart has resources; `helm show values` tells\n\
         resources:\n  requests:\n    cpu: 775m\n    memory: 1397Mi\n  limits:\n    cpu: \"4\"\n    memory: 1397Mi\n"
    );
}

#[test]
fn airflow() {
    let task = of(&[entry("airflow-task/orders/extract", "base")], "airflow-pod-override");
    assert_eq!(
        code(&task),
        "from kubernetes.client import models as k8s\n\n\
executor_config = {
    \"pod_override\": k8s.V1Pod(
        spec=k8s.V1PodSpec(
            containers=[
                k8s.V1Container(
                    name=\"base\",
                    resources=k8s.V1ResourceRequirements(
                        requests={\"cpu\": \"775m\", \"memory\": \"1397Mi\"},
                        limits={\"cpu\": \"4\", \"memory\": \"1397Mi\"},
                    ),
                )
            ]
        )
    )
}
"
    );
    assert!(task.text.contains("# task extract of DAG orders: executor_config=executor_config\n"));
}

#[rstest]
#[case::native(
    "spark-conf",
    "spark.executor.memory 4096m\nspark.executor.memoryOverhead 1331m\nspark.kubernetes.executor.request.cores 1500m\n"
)]
#[case::arguments(
    "spark-submit",
    "--conf spark.executor.memory=4096m \\\n--conf spark.executor.memoryOverhead=1331m \\\n--conf spark.kubernetes.executor.request.cores=1500m\n"
)]
#[case::kubeflow(
    "spark-application",
    "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata:\n  name: basket\n  namespace: sales\nspec:\n  executor:\n    memory: 4096m\n    memoryOverhead: 1331m\n    coreRequest: 1500m\n"
)]
#[case::scheduled(
    "scheduled-spark-application",
    "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: ScheduledSparkApplication\nmetadata:\n  name: basket\n  namespace: sales\nspec:\n  template:\n    executor:\n      memory: 4096m\n      memoryOverhead: 1331m\n      coreRequest: 1500m\n"
)]
#[case::apache(
    "apache-spark-application",
    "apiVersion: spark.apache.org/v1\nkind: SparkApplication\nmetadata:\n  name: basket\n  namespace: sales\nspec:\n  sparkConf:\n    spark.executor.memory: 4096m\n    spark.executor.memoryOverhead: 1331m\n    spark.kubernetes.executor.request.cores: 1500m\n"
)]
fn a_spark_pod_grows_beside_its_heap(#[case] form: &str, #[case] expected: &str) {
    let snippet = of(&[spark("spark-executor/basket", "4505Mi", "5427Mi")], form);
    assert_eq!(code(&snippet), expected);
    let said = "# assumed: spark.executor.memory is 4096m, whose default overhead makes the 4505m of now\n";
    assert!(snippet.text.contains(said), "{}", snippet.text);
}

#[test]
fn driver_and_executor_are_one_application_and_other_profiles_are_code() {
    let all = [
        spark("spark-driver/basket", "1408Mi", "1408Mi"),
        spark("spark-executor/basket", "4505Mi", "5427Mi"),
        spark("spark-executor/basket/profile-2000m-7168Mi", "7168Mi", "7168Mi"),
        spark("spark-driver/other", "1408Mi", "1408Mi"),
    ];
    let snippets = export(&items(&all), None);
    assert_eq!(snippets.iter().map(|s| s.workloads.len()).collect::<Vec<_>>(), [3, 1]);
    let first = &snippets[0];
    for line in ["spark.driver.memoryOverhead 384m", "spark.executor.memoryOverhead 1331m"] {
        assert!(code(first).contains(line), "{}", first.text);
    }
    assert!(first.text.contains("# profile-2000m-7168Mi is set in code: --format spark-resource-profile\n"));
    let profile = of(&[spark("spark-executor/basket/profile-1-2", "4505Mi", "5427Mi")], "spark-resource-profile");
    assert!(code(&profile).contains(".memory(\"4096m\").memoryOverhead(\"1331m\")\n"), "{}", profile.text);
}

#[rstest]
#[case::not_the_default_overhead(
    "5000Mi",
    "6000Mi",
    "the executor's heap is not known, so its 6000m cannot be divided"
)]
#[case::no_room("4505Mi", "4096Mi", "the executor's heap of 4096m leaves nothing of 4096m: lower it first")]
fn a_heap_is_never_made_up(#[case] now: &str, #[case] then: &str, #[case] said: &str) {
    let snippet = of(&[spark("spark-executor/basket", now, then)], "spark-conf");
    assert!(snippet.text.contains(said), "{}", snippet.text);
    assert_eq!(code(&snippet), "spark.kubernetes.executor.request.cores 1500m\n");
}

#[test]
fn a_known_heap_needs_no_assumption() {
    let mut known = spark("spark-executor/basket", "5000Mi", "6000Mi");
    known["spark"] = json!({"heapBytes": 2_u64 << 30});
    let snippet = of(&[known], "spark-conf");
    assert!(code(&snippet).starts_with("spark.executor.memory 2048m\nspark.executor.memoryOverhead 3952m\n"));
    assert!(!snippet.text.contains("assumed"));
}

#[rstest]
#[case(
    "dagster-run/loc/forecast",
    "dagster",
    "dagster-tags",
    "@job(tags=tags), or define_asset_job(tags=tags), of the job forecast",
    "\"resources\": {\n                \"requests\": {\"cpu\": \"775m\", \"memory\": \"1397Mi\"},\n"
)]
#[case(
    "dagster-step/forecast/train",
    "dagster",
    "dagster-tags",
    "@op(tags=tags), or @asset(op_tags=tags), of train",
    "tags = {\n    \"dagster-k8s/config\": {\n"
)]
#[case(
    "dagster-step/forecast/train",
    "dagster",
    "dagster-run-config",
    "run config of the job forecast",
    "execution:\n  config:\n    per_step_k8s_config:\n      train:\n        container_config:\n          resources:\n            requests:\n              cpu: 775m\n"
)]
#[case(
    "prefect/load/prod",
    "prefect-job",
    "prefect-job-variables",
    "flow load, in prefect.yaml",
    "deployments:\n- name: prod\n  work_pool:\n    job_variables:\n      cpu_request: 775m\n      cpu_limit: \"4\"\n      memory_request: 1397Mi\n      memory_limit: 1397Mi\n"
)]
#[case(
    "argo/clickstream/extract",
    "main",
    "argo-template",
    "into the template of the workflow clickstream",
    "templates:\n- name: extract\n  container:\n    resources:\n      requests:\n        cpu: 775m\n"
)]
#[case(
    "argo/clickstream/extract",
    "main",
    "argo-pod-spec-patch",
    "into the template",
    "templates:\n- name: extract\n  podSpecPatch: \"{\\\"containers\\\":[{\\\"name\\\":\\\"main\\\",\\\"resources\\\":{\\\"requests\\\":{\\\"cpu\\\":\\\"775m\\\""
)]
#[case(
    "flink-taskmanager/clicks",
    "flink-main-container",
    "flink-deployment",
    "a change of the spec restarts the job",
    "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata:\n  name: clicks\n  namespace: sales\nspec:\n  taskManager:\n    resource:\n      cpu: 0.775\n      memory: 1397m\n"
)]
#[case(
    "flink-jobmanager/clicks",
    "flink-main-container",
    "flink-configuration",
    "into config.yaml",
    "jobmanager.memory.process.size: 1397m\nkubernetes.jobmanager.cpu.amount: 0.775\n"
)]
#[case(
    "cronjob/nightly",
    "main",
    "patch",
    "sales",
    "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: nightly\n  namespace: sales\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - name: main\n            resources:\n              requests:\n"
)]
#[case(
    "deployment/api",
    "app",
    "patch",
    "sales",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: api\n  namespace: sales\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n"
)]
#[case("job/backfill", "main", "patch", "into the manifest of the next Job", "kind: Job\n")]
#[case(
    "statefulset/db",
    "main",
    "kustomize",
    "sales",
    "patches:\n- target:\n    kind: StatefulSet\n    name: db\n  patch: |-\n    apiVersion: apps/v1\n    kind: StatefulSet\n    metadata:\n      name: db\n    spec:\n      template:\n"
)]
fn every_engine_has_its_form(
    #[case] workload: &str,
    #[case] container: &str,
    #[case] form: &str,
    #[case] said: &str,
    #[case] starts: &str,
) {
    let snippet = of(&[entry(workload, container)], form);
    assert!(snippet.text.contains(said), "{}", snippet.text);
    assert!(code(&snippet).contains(starts), "{}", snippet.text);
}

#[test]
fn without_a_number_only_the_reason_is_said() {
    for form in Form::ALL {
        for kind in Kind::ALL.into_iter().filter(|kind| form.says(*kind)) {
            let unknown = json!({"namespace": "n", "workload": format!("{kind}/a/b"), "container": "c",
                "current": {"memoryLimit": "8Gi"}, "recommended": {}, "notes": ["memory and CPU unknown: 2 finished runs seen, 3 are needed"]});
            let snippet = of(&[unknown], form.as_str());
            assert_eq!(code(&snippet), "", "{form} {kind}");
            assert!(!snippet.has_number);
            assert!(
                snippet.text.contains("# no number\n# memory and CPU unknown: 2 finished runs"),
                "{}",
                snippet.text
            );
        }
    }
}

#[test]
fn every_kind_that_has_a_form_says_so_and_the_names_are_unique() {
    for kind in Kind::ALL {
        assert!(Form::usual(kind).is_some_and(|form| form.says(kind)), "{kind}");
    }
    let names: std::collections::BTreeSet<&str> = Form::ALL.iter().map(|form| form.as_str()).collect();
    assert_eq!(names.len(), Form::ALL.len());
}

#[rstest]
#[case("plain-name_1.x", "plain-name_1.x")]
#[case("1397Mi", "1397Mi")]
#[case("775m", "775m")]
#[case("4", "\"4\"")]
#[case("0.5", "\"0.5\"")]
#[case("1e3", "\"1e3\"")]
#[case("0x1F", "\"0x1F\"")]
#[case("No", "\"No\"")]
#[case("null", "\"null\"")]
#[case("2026-11-21", "\"2026-11-21\"")]
#[case("a: b", "\"a: b\"")]
#[case("- a", "\"- a\"")]
#[case("&a", "\"&a\"")]
#[case("", "\"\"")]
#[case("a\"b\\c\nd\u{85}\u{2028}", "\"a\\\"b\\\\c\\u000ad\\u0085\\u2028\"")]
#[case("{{x}}", "\"{{x}}\"")]
fn yaml_strings(#[case] text: &str, #[case] written: &str) {
    assert_eq!(yaml(text), written);
}

#[rstest]
#[case("a", "\"a\"")]
#[case("\"); import os #", "\"\\\"); import os #\"")]
#[case("a\\\n", "\"a\\\\\\x0a\"")]
#[case("é\u{2028}\u{1f600}", "\"\\xe9\\u2028\\U0001f600\"")]
fn python_strings(#[case] text: &str, #[case] written: &str) {
    assert_eq!(python(text), written);
}

#[rstest]
#[case("sales", "cronjob/nightly", "sales--cronjob--nightly--patch.yaml")]
#[case("..", "cronjob/../../etc/passwd", "_.--cronjob--..--..--etc--passwd--patch--5f54bd5fd2b8d1a4.yaml")]
fn file_names(#[case] namespace: &str, #[case] workload: &str, #[case] expected: &str) {
    let name = named(namespace, workload);
    if expected.contains("passwd") {
        assert!(name.starts_with("_.--cronjob--..--..--etc--passwd--patch--"), "{name}");
    } else {
        assert_eq!(name, expected);
    }
}

fn named(namespace: &str, workload: &str) -> String {
    let snippet = Snippet {
        namespace: namespace.to_owned(),
        workloads: vec![workload.to_owned()],
        form: Form::Patch,
        text: String::new(),
        has_number: true,
    };
    file_name(&snippet)
}

proptest! {
    #[test]
    fn a_file_name_is_one_plain_name(namespace in "\\PC{0,40}|[./-]{0,5}", workload in "\\PC{0,300}|[./-]{0,9}") {
        let name = named(&namespace, &workload);
        prop_assert!(name.len() < 200 && !name.starts_with('.') && !name.starts_with('-') , "{}", name);
        prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
    }

    #[test]
    fn two_workloads_never_share_a_file(a in "[a-c/.-]{1,6}", b in "[a-c/.-]{1,6}", m in "[a-c-]{1,4}", n in "[a-c-]{1,4}") {
        prop_assert_eq!(named(&m, &a) == named(&n, &b), (&m, &a) == (&n, &b));
    }

    #[test]
    fn names_stay_strings_in_yaml(names in prop::collection::vec("\\PC{0,20}|[\\x00-\\x7f]{0,8}|[0-9:.eE_+-]{1,10}", 1..4), value in "\\PC{0,20}") {
        let list = names.iter().map(|n| Node::text(n.clone())).collect();
        let node = Node::map([("list", Node::List(list)), ("map", Node::Map(vec![(names[0].clone(), Node::text(value.clone()))]))]);
        let read: Value = serde_saphyr::from_str(&node.to_yaml()).unwrap();
        prop_assert_eq!(&read["list"], &json!(names));
        prop_assert_eq!(&read["map"][&names[0]], &json!(value));
        prop_assert_eq!(serde_json::from_str::<Value>(&node.to_json()).unwrap(), read);
    }

    #[test]
    fn no_name_escapes_its_comment_or_its_string(name in "\\PC{1,30}|[\\x00-\\x7f\u{85}\u{2028}]{1,12}", kind in 0_usize..23) {
        // A longer name is refused when it is read: Kubernetes has none.
        prop_assume!(name.len() <= 63);
        let kind = Kind::ALL[kind];
        let workload = crate::workload::Workload::new(name.clone(), kind, [name.as_str(), name.as_str()]);
        let entry = json!({"namespace": name, "workload": workload.to_string(), "container": name, "notes": [name],
            "current": {"memoryLimit": "4505Mi"}, "recommended": {"memoryRequest": "5Gi", "memoryLimit": "5Gi"}});
        for form in Form::ALL.into_iter().filter(|form| form.says(kind)) {
            let snippet = of(std::slice::from_ref(&entry), form.as_str());
            let printable = snippet.text.chars().all(|c| c == '\n' || !crate::text::is_unprintable(c));
            prop_assert!(printable, "{:?}", snippet.text);
            if form.language() == Language::Yaml && snippet.has_number {
                prop_assert!(serde_saphyr::from_str::<Value>(&snippet.text).is_ok(), "{}", snippet.text);
            }
            if form.language() == Language::Properties {
                prop_assert!(code(&snippet).lines().all(|line| line.starts_with("spark.")), "{}", snippet.text);
            }
        }
    }
}
