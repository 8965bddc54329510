//! `podfit serve` itself: its ports, its inputs as they change, its memory under large bodies, its end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use podfit::certs::authority::Authority;
use tempfile::TempDir;

use crate::client::{Answer, Connection, Tls, post};
use crate::scene::{
    DEADLINE, authority, banned, client_of, created, issue, padded, patch_of, recommendations, response,
};
use crate::support::cli::{command, run};

/// A folder with all that `podfit serve` needs.
pub struct Folder {
    dir: TempDir,
    pub ca: Authority,
}

impl Folder {
    pub fn new() -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap(), ca: authority() };
        folder.renew();
        folder.write("policy.yaml", "");
        folder.write("recommendations.json", &recommendations("500m").to_string());
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a file in place as a whole.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// Another certificate of the same CA.
    pub fn renew(&self) {
        let (certificate, key) = issue(&self.ca);
        self.write("tls.key", &key);
        self.write("tls.crt", &certificate);
    }

    pub fn command(&self) -> Command {
        let mut command = command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        command.args(["--no-cluster", "--reload-seconds", "0.02", "--drain-seconds", "0.05", "--grace-seconds", "60"]);
        for (flag, name) in [
            ("--tls-cert-file", "tls.crt"),
            ("--tls-key-file", "tls.key"),
            ("--policy", "policy.yaml"),
            ("--recommendations", "recommendations.json"),
        ] {
            command.arg(flag).arg(self.path(name));
        }
        command
    }
}

/// A running `podfit serve`, gone with this value.
pub struct Serve {
    child: Child,
    lines: Receiver<String>,
    pub webhook: SocketAddr,
    pub metrics: SocketAddr,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    pub async fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, lines) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let first = lines.recv_timeout(DEADLINE).unwrap();
        let rest = first.strip_prefix("podfit: serving webhook=https://").unwrap_or_else(|| panic!("{first}"));
        let (webhook, metrics) = rest.split_once(" metrics=http://").unwrap();
        let (webhook, metrics) = (webhook.parse().unwrap(), metrics.parse().unwrap());
        let serve = Self { child, lines, webhook, metrics };
        serve.until("it is ready", async || serve.get("/readyz").await.0 == 200).await;
        serve
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        match client.get(format!("http://{}{path}", self.metrics)).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(_) => (0, String::new()),
        }
    }

    pub async fn connect(&self, ca: &Authority) -> Connection {
        Tls { roots: vec![ca.der()], ..Tls::default() }.connect(self.webhook).await.unwrap()
    }

    pub async fn ask(&self, ca: &Authority, bytes: &[u8]) -> Answer {
        self.connect(ca).await.ask(bytes).await.unwrap()
    }

    pub async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let since = Instant::now();
        while !holds().await {
            if since.elapsed() > DEADLINE {
                let said: Vec<String> = self.lines.try_iter().collect();
                panic!("{what} never came to be; it said {said:?}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    pub async fn counts(&self, line: &str) {
        self.until(line, async || self.get("/metrics").await.1.lines().any(|l| l.starts_with(line))).await;
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Its exit status, and what it said since it was asked last.
    fn ended(&mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect())
    }

    /// Memory in use and the most there ever was, in KiB.
    pub fn memory(&self) -> (u64, u64) {
        let status =
            std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status")).unwrap();
        let of = |key: &str| {
            let line = status.lines().find(|l| l.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (of("VmRSS:"), of("VmHWM:"))
    }
}

#[tokio::test]
async fn it_starts_answers_and_ends_when_told() {
    let folder = Folder::new();
    let mut serve = Serve::start(&mut folder.command()).await;
    let mut connection = serve.connect(&folder.ca).await;
    let sized = connection.ask(&post("/mutate?timeout=5s", &created("a"))).await.unwrap();
    assert_eq!(patch_of(&sized)[0]["value"], "500m");
    let denied = connection.ask(&post("/validate?timeout=5s", &banned("b"))).await.unwrap();
    assert_eq!(response(&denied)["allowed"], false);
    assert_eq!(serve.get("/livez").await, (200, "ok\n".to_owned()));
    let metrics = serve.get("/metrics").await.1;
    for line in [
        "podfit_build_info{version=",
        "podfit_certificate_expiry_timestamp_seconds 1",
        "podfit_reload_last_success_timestamp_seconds{input=\"policy\"} 1",
        "podfit_reload_failed{input=\"recommendations\"} 0",
        "podfit_recommended_workloads 1",
        "podfit_admission_reviews_total{entry=\"mutate\",outcome=\"resized\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    serve.signal("TERM");
    let (code, said) = serve.ended();
    assert_eq!(code, Some(0), "{said:?}");
    let denial = said.iter().find(|l| l.contains("denied")).unwrap();
    for part in ["uid=b", "namespace=jobs", "latest-tag=1"] {
        assert!(denial.contains(part), "{denial}");
    }
    assert!(said.iter().any(|l| l.contains("draining") && l.contains("SIGTERM")), "{said:?}");
    assert!(said.iter().any(|l| l.contains("all requests were answered")), "{said:?}");
    assert!(!said.iter().any(|l| l.contains("registry.example") || l.contains('\u{1b}')), "{said:?}");
}

#[tokio::test]
async fn a_request_that_began_before_the_signal_is_answered() {
    let folder = Folder::new();
    let mut serve = Serve::start(&mut folder.command()).await;
    let mut connection = serve.connect(&folder.ca).await;
    let request = post("/mutate", &created("half"));
    let (first, second) = request.split_at(request.len() / 2);
    connection.send(first).await;
    serve.counts("podfit_admission_in_flight{entry=\"mutate\"} 1").await;
    serve.signal("INT");
    serve.until("not ready", async || serve.get("/readyz").await == (503, "not ready: draining\n".to_owned())).await;
    let refused = async || tokio::net::TcpStream::connect(serve.webhook).await.is_err();
    serve.until("its port is closed", refused).await;
    let answer = connection.ask(second).await.unwrap();
    assert_eq!(response(&answer)["uid"], "half");
    assert!(answer.closes());
    assert_eq!(serve.ended().0, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let mut serve = Serve::start(folder.command().args(["--drain-seconds", "3600"])).await;
    serve.signal("TERM");
    serve.until("it drains", async || serve.get("/readyz").await.0 == 503).await;
    assert_eq!(serve.ask(&folder.ca, &post("/mutate", &created("late"))).await.status, 200);
    serve.signal("TERM");
    let (code, said) = serve.ended();
    assert_eq!(code, Some(2));
    assert!(said.last().unwrap().starts_with("podfit: stopped at once by a second SIGTERM"), "{said:?}");
}

#[tokio::test]
async fn a_policy_acts_with_the_next_look_and_a_bad_one_changes_nothing() {
    let folder = Folder::new();
    let serve = Serve::start(&mut folder.command()).await;
    let is_sized = async || {
        let answer = serve.ask(&folder.ca, &post("/mutate", &created("p"))).await;
        response(&answer).get("patch").is_some()
    };
    let is_denied = async || {
        let answer = serve.ask(&folder.ca, &post("/validate", &banned("p"))).await;
        response(&answer)["allowed"] == false
    };
    assert!(is_sized().await && is_denied().await);
    folder.write("policy.yaml", "resizing: stopped\n");
    serve.until("resizing stops", async || !is_sized().await).await;
    assert!(is_denied().await, "the rules hold all the same");
    serve.counts("podfit_resizing_stopped 1").await;
    folder.write("policy.yaml", "rules: {modes: {latest-tag: warn}}\n");
    serve.until("a warning is enough", async || !is_denied().await).await;
    assert!(is_sized().await);
    folder.write("policy.yaml", "rules: {modes: {latest: off}}\n");
    serve.counts("podfit_reload_failed{input=\"policy\"} 1").await;
    assert!(!is_denied().await && is_sized().await);
    folder.write("policy.yaml", "rules: {modes: {latest-tag: enforce}}\n");
    serve.until("it is denied again", is_denied).await;
    serve.counts("podfit_reload_failed{input=\"policy\"} 0").await;
    let said: Vec<String> = serve.lines.try_iter().filter(|l| l.contains("stays in force")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("there is no rule \"latest\""), "{said:?}");
}

#[tokio::test]
async fn recommendations_are_replaced_and_a_bad_file_is_not_taken() {
    let folder = Folder::new();
    let serve = Serve::start(&mut folder.command()).await;
    let mut connection = serve.connect(&folder.ca).await;
    folder.write(
        "recommendations.json",
        "{\"workloads\": [{\"namespace\": \"jobs\", \"workload\": \"x\", \"container\": \"c\"}]}",
    );
    serve.counts("podfit_reload_failed{input=\"recommendations\"} 1").await;
    let before = connection.ask(&post("/mutate", &created("r"))).await.unwrap();
    assert_eq!(patch_of(&before)[0]["value"], "500m");
    folder.write("recommendations.json", &recommendations("750m").to_string());
    let is_new = async || {
        let answer = serve.ask(&folder.ca, &post("/mutate", &created("r"))).await;
        patch_of(&answer)[0]["value"] == "750m"
    };
    serve.until("the new size", is_new).await;
    serve.counts("podfit_reload_failed{input=\"recommendations\"} 0").await;
    let said: Vec<String> = serve.lines.try_iter().collect();
    let problem = said.iter().find(|l| l.contains("stays in force")).unwrap();
    assert!(problem.contains("/recommendations.json: workloads[0].workload: "), "{problem}");
}

#[tokio::test]
async fn a_certificate_on_disk_is_taken_twice_and_open_connections_live_on() {
    let folder = Folder::new();
    let serve = Serve::start(&mut folder.command()).await;
    let mut open = serve.connect(&folder.ca).await;
    let mut leaf = open.leaf();
    for uid in ["one", "two"] {
        folder.renew();
        let old = leaf.clone();
        serve.until("the new certificate", async || serve.connect(&folder.ca).await.leaf() != old).await;
        leaf = serve.connect(&folder.ca).await.leaf();
        assert_eq!(response(&open.ask(&post("/mutate", &created(uid))).await.unwrap())["uid"], uid);
    }
    folder.write("tls.crt", "no certificate\n");
    serve.counts("podfit_reload_failed{input=\"certificate\"} 1").await;
    assert_eq!(serve.connect(&folder.ca).await.leaf(), leaf);
}

#[tokio::test]
async fn another_ca_of_clients_counts_for_new_connections_and_a_bad_one_changes_nothing() {
    let folder = Folder::new();
    let (first, second) = (authority(), authority());
    folder.write("clients.crt", first.certificate());
    let serve = Serve::start(folder.command().arg("--client-ca-file").arg(folder.path("clients.crt"))).await;
    let is_served = async |clients: &Authority| {
        let tls = Tls { roots: vec![folder.ca.der()], identity: Some(client_of(clients)), ..Tls::default() };
        let Ok(mut connection) = tls.connect(serve.webhook).await else { return false };
        connection.ask(&post("/mutate", &created("known"))).await.is_some()
    };
    assert!(is_served(&first).await && !is_served(&second).await);
    folder.write("clients.crt", second.certificate());
    serve.until("the new CA", async || is_served(&second).await).await;
    assert!(!is_served(&first).await);
    folder.write("clients.crt", "no certificate\n");
    serve.counts("podfit_reload_failed{input=\"client-ca\"} 1").await;
    assert!(is_served(&second).await && !is_served(&first).await);
}

#[tokio::test]
async fn large_bodies_leave_no_memory_behind() {
    const MIB: usize = 1_024 * 1_024;
    let folder = Folder::new();
    let serve = Serve::start(&mut folder.command()).await;
    let mut connection = serve.connect(&folder.ca).await;
    let large = post("/mutate", &padded("large", 6 * MIB));
    let over = post("/validate", &padded("over", 25 * MIB));
    let mut settled = 0;
    for round in 0..200 {
        let answer = connection.ask(&large).await.unwrap();
        assert_eq!(response(&answer)["uid"], "large");
        if round % 10 == 0 {
            assert_eq!(response(&serve.ask(&folder.ca, &over).await)["allowed"], false, "a rule enforces");
        }
        if round == 20 {
            settled = serve.memory().0;
        }
    }
    let (now, most) = serve.memory();
    eprintln!("RSS after 20 large bodies {settled} KiB, after 200 {now} KiB, at most {most} KiB");
    assert!(now < settled + 64 * 1_024, "{settled} KiB, later {now} KiB");
    assert!(most < 256 * 1_024, "{most} KiB");
}

#[tokio::test]
async fn what_cannot_be_begun_with_is_said_in_a_line() {
    let folder = Folder::new();
    let of = |change: &dyn Fn(&Folder)| {
        let folder = Folder::new();
        change(&folder);
        let ran = run(&mut folder.command());
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let last = ran.stderr.lines().last().unwrap().to_owned();
        assert!(last.starts_with("podfit: "), "{}", ran.stderr);
        last
    };
    for (name, text, said) in [
        ("policy.yaml", "rules: {modes: {latest: off}}", "/policy.yaml: rules.modes: there is no rule \"latest\""),
        ("recommendations.json", "{}", "/recommendations.json: missing field `workloads`"),
        ("tls.crt", "none", "/tls.crt: the certificate holds no PEM"),
    ] {
        let line = of(&|folder| folder.write(name, text));
        assert!(line.contains(said), "{line}");
    }
    let missing = of(&|folder| std::fs::remove_file(folder.path("policy.yaml")).unwrap());
    assert!(missing.contains("--policy /") && missing.contains("cannot be read: No such file"), "{missing}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run(folder.command().args(["--client-ca-file", "/nonexistent", "--listen", &address]));
    ran.refused_with(&["cannot listen on", &address, "--listen"]);
}
