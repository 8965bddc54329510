//! A real Kubernetes control plane for tests (`tests/cluster/up`): one per test process, or the one that the runner
//! names in `PODFIT_TEST_CLUSTER`. Objects go over HTTP as they are written. Knows nothing of podfit.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::keeper::after_this_process;
use super::prometheus_server::skipped;
use super::tools::{CANNOT_RUN_HERE, tool};

/// What anything in a cluster may take; it takes this long only when it never comes.
const DEADLINE: Duration = Duration::from_secs(180);
const STEP: Duration = Duration::from_millis(25);
const SLOW_STEP: Duration = Duration::from_millis(500);

/// A running control plane and its admin's client.
pub struct Cluster {
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
    env: BTreeMap<String, String>,
    /// Stops the cluster when this process is gone, however it went; none for a cluster of somebody else.
    _keeper: Option<Child>,
}

static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();

/// The cluster of this test process. Where there can be none, says so for the test and gives nothing.
pub fn cluster(test: &str) -> Option<&'static Cluster> {
    match CLUSTER.get_or_init(Cluster::start) {
        Ok(cluster) => Some(cluster),
        Err(reason) => {
            skipped(test, reason);
            None
        }
    }
}

/// The program of an operator that `tests/cluster/up` builds (`argo`, `spark-operator`, `vpa-admission-controller`);
/// its definitions lie beside it in `NAME-crds`. Building takes minutes: it is only done where
/// `PODFIT_TEST_OPERATORS=1` says so.
///
/// # Errors
/// Why there is none on this machine, for [`skipped`].
pub fn operator(name: &str) -> Result<PathBuf, String> {
    let build = std::env::var_os("PODFIT_TEST_OPERATORS").is_some_and(|v| v == "1");
    tool(name, build)
}

/// A cluster of the test's own, for what others must not be disturbed by. Where there can be none, says so for the test
/// and gives nothing.
pub fn own_cluster(test: &str) -> Option<&'static Cluster> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    match Cluster::start_in(&format!("podfit-test-cluster-{}-{number}", std::process::id())) {
        // It is taken down with the process, as every cluster that a test starts.
        Ok(cluster) => Some(Box::leak(Box::new(cluster))),
        Err(reason) => {
            skipped(test, &reason);
            None
        }
    }
}

/// A control plane with one real node (`tests/node`), where `PODFIT_TEST_NODE` asks for it: building it takes a quarter
/// of an hour, and its pods take minutes. `host` and `uml` name its kernel; `1` takes the one that this machine can run.
/// Also gives the kernel.
///
/// # Errors
/// Why there is none on this machine, for [`skipped`].
pub fn cluster_with_node() -> Result<(&'static Cluster, &'static str), String> {
    let kernels: &[&'static str] = match std::env::var("PODFIT_TEST_NODE").as_deref() {
        Ok("1") => &["host", "uml"],
        Ok("host") => &["host"],
        Ok("uml") => &["uml"],
        _ => return Err("a real node takes minutes; PODFIT_TEST_NODE=1 runs it".to_owned()),
    };
    let mut reasons = Vec::new();
    for kernel in kernels {
        let name = format!("podfit-test-node-{kernel}-{}", std::process::id());
        match Cluster::start_by("tests/node", &["--kernel", kernel], &name) {
            // It is taken down with the process, as every cluster that a test starts.
            Ok(cluster) => return Ok((Box::leak(Box::new(cluster)), kernel)),
            Err(reason) => reasons.push(format!("{kernel} kernel: {reason}")),
        }
    }
    Err(reasons.join("; "))
}

impl Cluster {
    /// A value of its `env` file.
    pub fn env(&self, name: &str) -> &str {
        &self.env[name]
    }

    fn start() -> Result<Self, String> {
        if let Some(state) = std::env::var_os("PODFIT_TEST_CLUSTER") {
            return Ok(Self::connect(Path::new(&state), None));
        }
        Self::start_in(&format!("podfit-test-cluster-{}", std::process::id()))
    }

    fn start_in(name: &str) -> Result<Self, String> {
        Self::start_by("tests/cluster", &[], name)
    }

    /// By the scripts `up` and `down` of this folder.
    fn start_by(folder: &str, arguments: &[&str], name: &str) -> Result<Self, String> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let state = std::env::temp_dir().join(name);
        let mut keeper = after_this_process("exec \"$0\" \"$1\"", [&scripts.join("down"), &state]);
        let up = Command::new(scripts.join("up")).args(arguments).arg("--state").arg(&state).output().unwrap();
        let said = String::from_utf8_lossy(&up.stderr);
        if up.status.code() == Some(CANNOT_RUN_HERE) {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
            return Err(said.trim().to_owned());
        }
        assert!(up.status.success(), "{folder}/up: {said}");
        Ok(Self::connect(&state, Some(keeper)))
    }

    fn connect(state: &Path, keeper: Option<Child>) -> Self {
        let text = std::fs::read_to_string(state.join("env")).unwrap();
        let env: BTreeMap<String, String> =
            text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(client_of(Path::new(&env["KUBECONFIG"])));
        Self { runtime, client, env, _keeper: keeper }
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        Path::new(&self.env["KUBECONFIG"])
    }

    /// The audit log: a JSON object per line.
    pub fn audit_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.env["PODFIT_CLUSTER_AUDIT_LOG"]).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Ends the API server without a farewell and starts it again as it was; gives back when it is ready.
    pub fn restart_api_server(&self) {
        let state = Path::new(&self.env["PODFIT_CLUSTER_STATE"]);
        let pid_file = state.join("pids/kube-apiserver");
        let pid = std::fs::read_to_string(&pid_file).unwrap().trim().to_owned();
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let line: Vec<&str> = std::str::from_utf8(&line).unwrap().split_terminator('\0').collect();
        // A process of this cluster alone, whatever number it has.
        assert!(line.iter().any(|argument| argument.contains(state.to_str().unwrap())), "{line:?}");
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        let address = self.env["PODFIT_CLUSTER_SERVER"].trim_start_matches("https://");
        until("the API server's port is free", || std::net::TcpListener::bind(address).ok());
        let log = std::fs::File::options().append(true).open(state.join("logs/kube-apiserver.log")).unwrap();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let mut server = command.spawn().unwrap();
        // Its number is where `down` looks for it.
        std::fs::write(&pid_file, server.id().to_string()).unwrap();
        until("the API server is ready", || {
            assert_eq!(server.try_wait().unwrap(), None, "the API server has ended");
            self.is_ready().then_some(())
        });
    }

    /// Whether the API server says that it is ready.
    pub fn is_ready(&self) -> bool {
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        self.runtime.block_on(self.client.request_text(request)).is_ok()
    }

    /// A request of the admin; the HTTP status of a refusal with its message.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, (u16, String)> {
        self.try_request(method, path, body).map_err(|error| match error {
            kube::Error::Api(status) => (status.code, status.message.clone()),
            error => panic!("{method} {path}: {error}"),
        })
    }

    /// The same by the account of a kubeconfig.
    pub fn account(&'static self, kubeconfig: &Path) -> Account {
        Account { cluster: self, client: self.runtime.block_on(client_of(kubeconfig)) }
    }

    /// The same where there may be no API server.
    pub fn try_request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, kube::Error> {
        self.request_of(&self.client, method, path, body)
    }

    fn request_of(
        &self,
        client: &kube::Client,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, kube::Error> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = body.map(|b| serde_json::to_vec(b).unwrap()).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        self.runtime.block_on(client.request::<Value>(request.body(body).unwrap()))
    }

    /// A request of the admin in the name of somebody else, a member of these groups.
    pub fn request_as(
        &self,
        user: &str,
        groups: &[&str],
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, (u16, String)> {
        let mut request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        request = request.header("impersonate-user", user);
        for group in groups {
            request = request.header("impersonate-group", *group);
        }
        let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
        self.runtime.block_on(self.client.request::<Value>(request)).map_err(|error| match error {
            kube::Error::Api(status) => (status.code, status.message.clone()),
            error => panic!("{method} {path}: {error}"),
        })
    }

    /// The same request as [`Self::request`], with the warnings that its user would be shown.
    pub fn request_with_warnings(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<(Value, Vec<String>), (u16, String)> {
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(kube::client::Body::from(serde_json::to_vec(body).unwrap())).unwrap();
        let (status, warnings, bytes) = self.runtime.block_on(async {
            let answer = self.client.send(request).await.unwrap();
            let texts = answer.headers().get_all("warning").iter();
            // `299 - "text"`, with quotes and backslashes escaped.
            let texts = texts.map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned());
            let texts = texts.map(|w| w.trim_start_matches("299 - \"").trim_end_matches('"').replace("\\\"", "\""));
            let (status, warnings) = (answer.status().as_u16(), texts.collect::<Vec<_>>());
            (status, warnings, answer.into_body().collect_bytes().await.unwrap())
        });
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        if status < 300 { Ok((answer, warnings)) } else { Err((status, answer["message"].to_string())) }
    }

    /// An answer that is text, such as the API server's own metrics.
    pub fn text(&self, path: &str) -> String {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        self.runtime.block_on(self.client.request_text(request)).unwrap()
    }

    /// A list as `kubectl get` shows it.
    pub fn table(&self, path: &str) -> Value {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let request = http::Request::get(path).header("accept", accept).body(Vec::new()).unwrap();
        self.runtime.block_on(self.client.request::<Value>(request)).unwrap()
    }

    /// Reads an object or a list that must be there.
    pub fn get(&self, path: &str) -> Value {
        self.request("GET", path, None).unwrap_or_else(|refused| panic!("GET {path}: {refused:?}"))
    }

    /// Creates an object that must be accepted; gives back what was stored.
    pub fn create(&self, path: &str, object: &Value) -> Value {
        let refused = |refused| panic!("POST {path}: {refused:?}: {object:#}");
        self.request("POST", path, Some(object)).unwrap_or_else(refused)
    }

    /// A new namespace that pods can be created in; deleted when dropped.
    pub fn namespace(&'static self, prefix: &str) -> Namespace {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{:x}-{number}", since.as_micros() & 0xffff_ffff);
        self.create("/api/v1/namespaces", &json!({"metadata": {"name": name}}));
        let namespace = Namespace { cluster: self, name };
        // The controller-manager makes it; before that pods are refused.
        until("the default service account", || namespace.find("/api/v1", "serviceaccounts/default"));
        namespace
    }
}

async fn client_of(kubeconfig: &Path) -> kube::Client {
    let read = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Somebody who may do less than the admin.
pub struct Account {
    cluster: &'static Cluster,
    client: kube::Client,
}

impl Account {
    /// A request; the HTTP status of a refusal with its message.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, (u16, String)> {
        self.cluster.request_of(&self.client, method, path, body).map_err(|error| match error {
            kube::Error::Api(status) => (status.code, status.message.clone()),
            error => panic!("{method} {path}: {error}"),
        })
    }
}

/// Polls until there is an answer.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(DEADLINE, STEP, what, look).unwrap_or_else(|missing| panic!("{missing}"))
}

/// The same for what takes minutes, looked at less often.
///
/// # Errors
/// That it did not come about.
pub fn within<T>(time: Duration, what: &str, look: impl FnMut() -> Option<T>) -> Result<T, String> {
    poll(time, SLOW_STEP, what, look)
}

fn poll<T>(time: Duration, step: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(format!("{what} did not come about in {} s", time.as_secs()));
        }
        std::thread::sleep(step);
    }
}

/// A namespace of one test.
pub struct Namespace {
    /// Where it is.
    pub cluster: &'static Cluster,
    /// Its name.
    pub name: String,
}

impl Namespace {
    fn path(&self, api: &str, rest: &str) -> String {
        format!("{api}/namespaces/{}/{rest}", self.name)
    }

    /// An object or list in it, `None` where there is none. `api` is `/api/v1` or `/apis/GROUP/VERSION`.
    pub fn find(&self, api: &str, rest: &str) -> Option<Value> {
        self.cluster.request("GET", &self.path(api, rest), None).ok()
    }

    /// The objects of a list.
    pub fn list(&self, api: &str, plural: &str) -> Vec<Value> {
        self.cluster.get(&self.path(api, plural))["items"].as_array().unwrap().clone()
    }

    /// Creates an object that must be accepted.
    pub fn create(&self, api: &str, plural: &str, object: &Value) -> Value {
        self.cluster.create(&self.path(api, plural), object)
    }

    /// What would become of an object: as stored after all admission, or the refusal. Nothing is stored.
    pub fn try_create(&self, api: &str, plural: &str, object: &Value) -> Result<Value, (u16, String)> {
        self.cluster.request("POST", &self.path(api, &format!("{plural}?dryRun=All")), Some(object))
    }

    /// A kubeconfig for a new service account with these rules in the namespace, and with these in the whole cluster.
    pub fn account(&self, name: &str, rules: &Value, cluster_rules: &Value, dir: &Path) -> PathBuf {
        const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
        self.create("/api/v1", "serviceaccounts", &json!({"metadata": {"name": name}}));
        let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": self.name}]);
        let of = |kind: &str, role: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role});
        let role = json!({"metadata": {"name": name}, "rules": rules});
        self.create(RBAC, "roles", &role);
        let binding = json!({"metadata": {"name": name}, "subjects": subject, "roleRef": of("Role", name)});
        self.create(RBAC, "rolebindings", &binding);
        if !cluster_rules.as_array().unwrap().is_empty() {
            // Their names are their own; they end with the cluster.
            let unique = format!("{}-{name}", self.name);
            let role = json!({"metadata": {"name": unique}, "rules": cluster_rules});
            self.cluster.create(&format!("{RBAC}/clusterroles"), &role);
            let role = of("ClusterRole", &unique);
            let binding = json!({"metadata": {"name": unique}, "subjects": subject, "roleRef": role});
            self.cluster.create(&format!("{RBAC}/clusterrolebindings"), &binding);
        }
        let token = self.create("/api/v1", &format!("serviceaccounts/{name}/token"), &json!({"spec": {}}));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": self.cluster.env["PODFIT_CLUSTER_SERVER"],
                "certificate-authority": self.cluster.env["PODFIT_CLUSTER_CA"],
            }}],
            "users": [{"name": "test", "user": {"token": token["status"]["token"]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": self.name}}],
        });
        let file = dir.join(format!("{name}.kubeconfig"));
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.cluster.try_request("DELETE", &format!("/api/v1/namespaces/{}", self.name), None);
    }
}
