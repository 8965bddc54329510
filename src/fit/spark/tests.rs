use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

use super::*;
use crate::quantity::Quantity;

fn conf(text: &str) -> Conf {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn parts(heap_mib: u64, overhead_mib: u64, off_heap_mib: u64, pyspark_mib: u64) -> Parts {
    Parts { heap_mib, overhead_mib, off_heap_mib, pyspark_mib }
}

#[rstest]
#[case::defaults("", "3.2", Application::Jvm, (1024, 384))]
#[case::small_heap_keeps_the_floor("spark.executor.memory=2g", "3.5", Application::Jvm, (2048, 384))]
#[case::above_the_break("spark.executor.memory=4g", "3.5", Application::Jvm, (4096, 409))]
#[case::a_plain_number_is_mib("spark.executor.memory=5000", "3.5", Application::Jvm, (5000, 500))]
#[case::python("spark.executor.memory=4g", "4.3", Application::Python, (4096, 1638))]
#[case::r("spark.executor.memory=4g", "3.2", Application::R, (4096, 1638))]
#[case::python_floor("spark.executor.memory=600m", "4.3", Application::Python, (600, 384))]
#[case::common_factor("spark.executor.memory=4g spark.kubernetes.memoryOverheadFactor=0.25", "3.2", Application::Python, (4096, 1024))]
#[case::role_factor("spark.executor.memory=4g spark.executor.memoryOverheadFactor=0.5 spark.kubernetes.memoryOverheadFactor=0.25", "3.3", Application::Jvm, (4096, 2048))]
#[case::role_factor_is_not_known_before_3_3("spark.executor.memory=4g spark.executor.memoryOverheadFactor=0.5", "3.2", Application::Jvm, (4096, 409))]
#[case::the_other_role("spark.executor.memory=4g spark.driver.memoryOverheadFactor=0.5", "3.5", Application::Jvm, (4096, 409))]
#[case::given("spark.executor.memory=4g spark.executor.memoryOverhead=100m spark.executor.memoryOverheadFactor=0.5", "4.0", Application::Jvm, (4096, 100))]
#[case::least("spark.executor.memory=1g spark.executor.minMemoryOverhead=512m", "4.0", Application::Jvm, (1024, 512))]
#[case::least_below_the_old_floor("spark.executor.memory=1g spark.executor.minMemoryOverhead=64m", "4.3", Application::Jvm, (1024, 102))]
#[case::least_is_not_known_before_4_0("spark.executor.memory=1g spark.executor.minMemoryOverhead=512m", "3.5", Application::Jvm, (1024, 384))]
#[case::given_replaces_least("spark.executor.memoryOverhead=10m spark.executor.minMemoryOverhead=512m", "4.0", Application::Jvm, (1024, 10))]
#[case::parts_of_a_mib_are_cut("spark.executor.memory=1048575k", "3.5", Application::Jvm, (1023, 384))]
fn heap_and_overhead(
    #[case] settings: &str,
    #[case] of: &str,
    #[case] kind: Application,
    #[case] expected: (u64, u64),
) {
    let (heap, overhead) = expected;
    let made = executor(&conf(settings), version(of), kind, None).unwrap();
    assert_eq!(made.memory, parts(heap, overhead, 0, 0));
    // The driver's settings have the same names and rules.
    let swapped = settings.replace("executor", "DRIVER").replace("driver", "executor").replace("DRIVER", "driver");
    assert_eq!(driver(&conf(&swapped), version(of), kind).unwrap().memory, made.memory);
}

#[rstest]
#[case::both("spark.memory.offHeap.enabled=true spark.memory.offHeap.size=1g spark.executor.pyspark.memory=300m", Application::Python, (1024, 300))]
#[case::switched_off("spark.memory.offHeap.size=1g", Application::Python, (0, 0))]
#[case::bytes("spark.memory.offHeap.enabled=true spark.memory.offHeap.size=3145728", Application::Jvm, (3, 0))]
#[case::pyspark_is_counted_for_python_alone("spark.executor.pyspark.memory=300m", Application::R, (0, 0))]
fn beside_the_heap(#[case] settings: &str, #[case] kind: Application, #[case] expected: (u64, u64)) {
    let made = executor(&conf(settings), Version::NEWEST, kind, None).unwrap().memory;
    assert_eq!((made.off_heap_mib, made.pyspark_mib), expected);
    let driver = driver(&conf(settings), Version::NEWEST, kind).unwrap().memory;
    assert_eq!((driver.off_heap_mib, driver.pyspark_mib), (0, 0), "drivers have neither");
}

#[test]
fn a_profile_keeps_the_default_overhead_and_forgets_the_settings_of_kubernetes() {
    let settings = conf(
        "spark.executor.memory=8g spark.executor.cores=3 spark.kubernetes.executor.request.cores=500m \
         spark.kubernetes.executor.limit.cores=4 spark.memory.offHeap.enabled=true spark.memory.offHeap.size=64m",
    );
    let of = |profile: Option<&Profile>| executor(&settings, Version::NEWEST, Application::Jvm, profile).unwrap();
    let default = of(None);
    assert_eq!(default.memory, parts(8192, 819, 64, 0));
    assert_eq!((default.cpu_request, default.cpu_limit), (Quantity::from_millis(500), Some(Quantity::from_units(4))));
    let big = of(Some(&Profile { heap_mib: Some(20_480), cores: Some(5), ..Profile::default() }));
    assert_eq!(big.memory, parts(20_480, 819, 64, 0));
    assert_eq!((big.cpu_request, big.cpu_limit), (Quantity::from_units(5), None));
    let whole = Profile { overhead_mib: Some(1024), off_heap_mib: Some(128), ..Profile::default() };
    assert_eq!(of(Some(&whole)).memory, parts(8192, 1024, 128, 0));
    assert_eq!(of(Some(&whole)).cpu_request, Quantity::from_units(3));
}

#[rstest]
#[case("spark.executor.memory=1.5g", "spark.executor.memory: \"1.5g\" is no size")]
#[case("spark.executor.memory=much", "spark.executor.memory: \"much\" is no size")]
#[case("spark.executor.memoryOverhead=-1", "is no size")]
#[case("spark.executor.memory=99999999999999999999g", "is no size")]
#[case("spark.executor.memoryOverheadFactor=0", "should be a number above 0")]
#[case("spark.kubernetes.memoryOverheadFactor=NaN", "should be a number above 0")]
#[case("spark.memory.offHeap.enabled=true", "spark.memory.offHeap.size: it should be above 0")]
#[case("spark.kubernetes.executor.request.cores=many", "should be a number of cores")]
fn what_spark_would_refuse_is_an_error(#[case] settings: &str, #[case] said: &str) {
    let error = executor(&conf(settings), Version::NEWEST, Application::Jvm, None).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[rstest]
#[case("3.2.4", Ok("3.2"))]
#[case("4.0.0-preview2", Ok("4.0"))]
#[case("4.3", Ok("4.3"))]
#[case("3.1.3", Err("Spark 3.1 is not known: 3.2 to 4.3 are"))]
#[case("5.0.0", Err("Spark 5.0 is not known: 3.2 to 4.3 are"))]
#[case("latest", Err("\"latest\" is no version of Spark"))]
fn versions(#[case] text: &str, #[case] expected: Result<&str, &str>) {
    let read = text.parse::<Version>().map(|version| version.to_string());
    assert_eq!(read.as_deref().map_err(String::as_str), expected);
}

#[rstest]
#[case(4505, Some(4096))]
#[case(2432, Some(2048))]
#[case(1408, Some(1024))]
#[case::python(5734, Some(4096))]
#[case::given_by_hand(5000, None)]
#[case::nothing(0, None)]
#[case::less_than_the_floor(300, None)]
fn a_round_heap_is_found_in_the_total(#[case] total: u64, #[case] heap: Option<u64>) {
    assert_eq!(likely_heap(total), heap);
}

#[test]
fn a_total_that_two_round_heaps_make_tells_neither() {
    // 28 quarters of a GiB and a tenth are 22 quarters and two fifths.
    let both: Vec<u64> = (1..400_000)
        .filter(|total| {
            let round = |f| default_heap_of(*total, f, LEAST_OVERHEAD_MIB).filter(|heap| heap % 256 == 0);
            matches!((round(OVERHEAD_FACTOR), round(NON_JVM_OVERHEAD_FACTOR)), (Some(a), Some(b)) if a != b)
        })
        .collect();
    assert!(!both.is_empty());
    assert!(both.iter().all(|total| likely_heap(*total).is_none()));
}

proptest! {
    #[test]
    fn the_default_heap_is_the_only_one_that_makes_its_total(heap in 1_u64..2_000_000, factor in 0.001_f64..3.0, least in 0_u64..4096) {
        let settings = conf(&format!(
            "spark.executor.memory={heap}m spark.executor.memoryOverheadFactor={factor} spark.executor.minMemoryOverhead={least}m"
        ));
        let total = executor(&settings, Version::NEWEST, Application::Jvm, None).unwrap().memory.total_mib();
        prop_assert_eq!(default_heap_of(total, factor, least), Some(heap));
    }

    #[test]
    fn recommended_lines_make_exactly_the_recommended_pod(heap in 450_u64..2_000_000, overhead in 1_u64..500_000, more in 1_u64..500_000,
        millis in 1_u64..128_000, minor in 0_usize..8, kind in 0_usize..3, role in 0_usize..2) {
        let of = version(["3.2", "3.3", "3.4", "3.5", "4.0", "4.1", "4.2", "4.3"][minor]);
        let kind = [Application::Jvm, Application::Python, Application::R][kind];
        let role = Role::ALL[role];
        let pod = |conf: &Conf| match role {
            Role::Driver => driver(conf, of, kind),
            Role::Executor => executor(conf, of, kind, None),
        };
        let mut settings = conf(&format!("spark.kubernetes.memoryOverheadFactor=0.7 {}.memoryOverhead={more}m", format_args!("spark.{}", role.as_str())));
        settings.extend(lines(role, Some(heap), Some(overhead), Some(Quantity::from_millis(millis))));
        let made = pod(&settings).unwrap();
        prop_assert_eq!(made.memory, parts(heap, overhead, 0, 0));
        prop_assert_eq!(made.cpu_request, Quantity::from_millis(millis));
        prop_assert_eq!(made.memory.with_total(heap + more).map(|parts| (parts.heap_mib, parts.total_mib())), Some((heap, heap + more)));
        prop_assert_eq!(made.memory.with_total(heap), None, "an overhead of nothing kills");
    }

    #[test]
    fn no_text_makes_it_panic(value in "\\PC{0,30}") {
        for key in ["spark.executor.memory", "spark.executor.memoryOverheadFactor", "spark.kubernetes.executor.request.cores"] {
            let _ = executor(&[(key.to_owned(), value.clone())].into(), Version::NEWEST, Application::Jvm, None);
        }
        let _ = (value.parse::<Version>(), java_size(&value));
    }
}

/// What the engine's own spark-submit made of known settings (`tests/engines/spark_pods.py`).
#[rstest]
#[case("driver-plain-run1", "spark.driver.memory=2g", Application::Jvm, None)]
#[case("driver-dated-words-run1", "", Application::Jvm, None)]
#[case("driver-unnamed-python-run1", "", Application::Python, None)]
#[case("spark35-driver-run1", "", Application::Python, None)]
#[case("spark32-driver-run1", "", Application::Jvm, None)]
#[case("executor-plain-run1-exec1", "spark.executor.memory=3g", Application::Jvm, None)]
#[case("executor-statefulset-run1-exec1", "spark.executor.memory=3g", Application::Jvm, None)]
#[case("spark35-executor-run1-exec1", "", Application::Jvm, None)]
#[case("spark32-executor-run1-exec1", "", Application::Jvm, None)]
#[case("executor-profiles-run1-profile0-exec1", "spark.executor.memory=3g", Application::Jvm, None)]
#[case("executor-profiles-run1-profile1-exec1", "spark.executor.memory=3g", Application::Jvm,
    Some(Profile { heap_mib: Some(6144), overhead_mib: Some(1024), cores: Some(2), off_heap_mib: None, pyspark_mib: None }))]
fn the_pods_that_spark_made_have_the_models_size(
    #[case] file: &str,
    #[case] settings: &str,
    #[case] kind: Application,
    #[case] profile: Option<Profile>,
) {
    let path = format!("tests/engines/recorded/spark/{file}.json");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let pod: Value = serde_json::from_str(&text).unwrap();
    let labelled = pod["metadata"]["labels"]["spark-version"].as_str().unwrap_or("3.2");
    let container = &pod["spec"]["containers"][0];
    let made = if file.contains("driver") {
        driver(&conf(settings), version(labelled), kind)
    } else {
        executor(&conf(settings), version(labelled), kind, profile.as_ref())
    }
    .unwrap();
    let asked = |place: &str| container["resources"].pointer(place).map(|v| Quantity::from_json(v).unwrap());
    let memory = Some(Quantity::from_bytes(made.memory.total_mib() << 20));
    assert_eq!((asked("/requests/memory"), asked("/limits/memory")), (memory, memory));
    assert_eq!((asked("/requests/cpu"), asked("/limits/cpu")), (Some(made.cpu_request), made.cpu_limit));
    let env = container["env"].as_array().unwrap().iter().find(|e| e["name"] == "SPARK_EXECUTOR_MEMORY");
    if let Some(heap) = env {
        assert_eq!(java_size(heap["value"].as_str().unwrap()), Some(Quantity::from_bytes(made.memory.heap_mib << 20)));
    }
}
