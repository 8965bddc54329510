//! The tools, and a copy of the repository's `deploy/` and `dashboards/` that they work on. Knows no case in
//! particular.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::prometheus_server::skipped;

/// Exit status of `tools/get` where the tools cannot be had.
const CANNOT_BE_HAD: i32 = 3;
/// A definition that takes everything: what the chart does with one does not depend on its schema.
const STAND_INS: [(&str, &str, &str); 2] =
    [("recommendations", "Recommendation", "Namespaced"), ("rightsizingpolicies", "RightsizingPolicy", "Cluster")];

static TOOLS: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// `deploy/` as its user has it, and the tools.
pub struct Staged {
    dir: tempfile::TempDir,
    tools: &'static Path,
}

/// What a tool came to.
#[derive(Debug)]
pub struct Ran {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl Staged {
    /// `None` where the tools cannot be had, which is said for the test.
    pub fn new(test: &str) -> Option<Self> {
        let tools = match TOOLS.get_or_init(tools) {
            Ok(tools) => tools,
            Err(reason) => {
                skipped(test, reason);
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        for part in ["deploy", "dashboards"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
            if from.exists() {
                // As it is, links too: they lead from the chart to its neighbours.
                let copied = Command::new("cp").arg("-a").arg(from).arg(dir.path()).status().unwrap();
                assert!(copied.success());
            }
        }
        for (plural, kind, scope) in STAND_INS {
            let path = dir.path().join(format!("deploy/crds/{plural}.yaml"));
            if !path.exists() {
                std::fs::write(path, stand_in(plural, kind, scope)).unwrap();
            }
        }
        Some(Self { dir, tools })
    }

    pub fn path(&self, rest: &str) -> PathBuf {
        self.dir.path().join(rest)
    }

    /// Runs a tool in the copy. Its own settings and caches are in the copy too.
    pub fn run(&self, tool: &str, kubeconfig: Option<&Path>, args: &[&str]) -> Ran {
        let mut command = Command::new(self.tools.join(tool));
        command.current_dir(self.dir.path()).args(args).env("HOME", self.dir.path()).env_remove("KUBECONFIG");
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(name, self.dir.path().join("home"));
        }
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let out = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { ok: out.status.success(), out: text(out.stdout), err: text(out.stderr) }
    }

    /// The same, of what must work.
    #[track_caller]
    pub fn must(&self, tool: &str, kubeconfig: Option<&Path>, args: &[&str]) -> String {
        let ran = self.run(tool, kubeconfig, args);
        assert!(ran.ok, "{tool} {args:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// What the chart makes of values.
    #[track_caller]
    pub fn template(&self, values: &[&str]) -> Vec<Value> {
        documents(&self.template_text(values))
    }

    #[track_caller]
    pub fn template_text(&self, values: &[&str]) -> String {
        let mut args = vec!["template", "podfit", "deploy/helm/podfit", "-n", "podfit"];
        args.extend(values.iter().flat_map(|v| ["--set", v]));
        self.must("helm", None, &args)
    }

    /// Writes a file beside the copy.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }
}

/// The objects of a text.
pub fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(Value::is_object).collect()
}

/// Kind and name.
pub fn called(object: &Value) -> String {
    format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

/// The one object of a kind and name.
#[track_caller]
pub fn find<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    let mut found = objects.iter().filter(|o| called(o) == name);
    let one =
        found.next().unwrap_or_else(|| panic!("no {name} in {:?}", objects.iter().map(called).collect::<Vec<_>>()));
    assert!(found.next().is_none(), "{name} is there twice");
    one
}

fn tools() -> Result<PathBuf, String> {
    let get = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/tools/get");
    let answer = Command::new(get).output().unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    if answer.status.code() == Some(CANNOT_BE_HAD) {
        return Err(said.trim().to_owned());
    }
    assert!(answer.status.success(), "tests/deploy/tools/get: {said}");
    Ok(PathBuf::from(String::from_utf8(answer.stdout).unwrap().trim()))
}

fn stand_in(plural: &str, kind: &str, scope: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {plural}.podfit.dev
spec:
  group: podfit.dev
  scope: {scope}
  names: {{kind: {kind}, plural: {plural}}}
  versions:
    - name: v1alpha1
      served: true
      storage: true
      subresources: {{status: {{}}}}
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"
    )
}
