//! Spark's own settings: lines for `spark-defaults.conf` and `spark-submit`, and resource profiles in code.
//! Overhead is always given: it then replaces what Spark would compute, and the pod is exactly of the size that is
//! recommended.

use super::item::SparkParts;
use super::{Body, Item};
use crate::fit::spark::{Conf, lines};

/// Settings by role, as Spark's keys name it.
pub(super) type ByRole = Vec<(String, Conf)>;

/// The settings of all roles, and what is to be said of them; the role of a profile other than the default one has
/// none.
pub(super) fn settings(items: &[&Item]) -> Result<(Vec<String>, ByRole), Vec<String>> {
    let (mut said, mut by_role) = (Vec::new(), Vec::new());
    for item in items {
        if let Some(profile) = item.profile() {
            said.push(format!("{profile} is set in code: --format spark-resource-profile"));
            continue;
        }
        let parts = item.spark_parts().unwrap_or_else(|reason| {
            said.push(reason);
            None
        });
        said.extend(parts.as_ref().and_then(|parts| parts.assumed.clone()));
        let (heap, overhead) = parts.map_or((None, None), |p: SparkParts| (Some(p.heap_mib), Some(p.overhead_mib)));
        let conf = lines(item.role(), heap, overhead, item.recommended.cpu_request);
        if !conf.is_empty() {
            by_role.push((item.role().as_str().to_owned(), conf));
        }
    }
    if by_role.is_empty() { Err(said) } else { Ok((said, by_role)) }
}

/// Settings in a form for all of them.
pub(super) fn conf(items: &[&Item], write: impl Fn(&Conf) -> String) -> Result<Body, Vec<String>> {
    let (said, by_role) = settings(items)?;
    let all: Conf = by_role.into_iter().flat_map(|(_, conf)| conf).collect();
    Ok(Body::new(said, write(&all)))
}

/// Lines of a properties file.
pub(super) fn defaults_file(conf: &Conf) -> String {
    conf.iter().map(|(key, value)| format!("{key} {value}\n")).collect()
}

/// Arguments, one a line, to be put behind `spark-submit`.
pub(super) fn arguments(conf: &Conf) -> String {
    let arguments: Vec<String> = conf.iter().map(|(key, value)| format!("--conf {key}={value}")).collect();
    arguments.join(" \\\n") + "\n"
}

/// A resource profile in Python.
pub(super) fn resource_profile(item: &Item) -> Result<Body, String> {
    let Some(parts) = item.spark_parts()? else {
        return Err("memory stays as it is, and a profile has no CPU request apart from its cores".to_owned());
    };
    let code = format!(
        "from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder\n\n\
         requests = ExecutorResourceRequests().memory(\"{}m\").memoryOverhead(\"{}m\")\n\
         profile = ResourceProfileBuilder().require(requests).build\n",
        parts.heap_mib, parts.overhead_mib
    );
    let said = parts.assumed.into_iter().chain(["keep what the profile requires besides: cores, task cpus".to_owned()]);
    Ok(Body::new(said, code))
}
