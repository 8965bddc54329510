//! A real Prometheus with a history of its own, for tests: `promtool` writes the blocks, `prometheus` serves them.
//! Knows nothing of podfit; stops its child when dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server on a free port of the loopback interface.
pub struct PrometheusServer {
    child: Child,
    address: SocketAddr,
    /// Its files; none while it is not known to run.
    files: Option<tempfile::TempDir>,
}

/// Says in the form that the test runner counts that a test could not run.
pub fn skipped(test: &str, reason: &str) {
    // Not by `eprintln`, which the harness keeps from whoever reads the output of tests that pass.
    // In one piece, or the lines of tests that run side by side would mix.
    let _ = std::io::stderr().write_all(format!("podfit-test-skipped: {test}: {reason}\n").as_bytes());
}

impl PrometheusServer {
    /// Starts a server whose history is the given OpenMetrics text (timestamps in seconds, `# EOF` at the end).
    /// `None` when `prometheus` or `promtool` is not on the PATH; panics when they are there and do not work.
    pub fn start_with(openmetrics: &str) -> Option<Self> {
        Self::start_with_args(openmetrics, &[])
    }

    /// The same with further arguments for `prometheus`.
    pub fn start_with_args(openmetrics: &str, args: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.om");
        std::fs::write(&file, openmetrics).unwrap();
        Self::start(dir, &file, args)
    }

    /// The same with a history that a closure writes: for those that do not fit in memory twice.
    pub fn start_with_writer(write: impl FnOnce(&mut dyn Write), args: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.om");
        let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
        write(&mut out);
        out.flush().unwrap();
        drop(out);
        Self::start(dir, &file, args)
    }

    /// The same with another release of `prometheus` (its program); the blocks are made by the `promtool` on the PATH.
    pub fn start_program(program: &Path, openmetrics: &str, args: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.om");
        std::fs::write(&file, openmetrics).unwrap();
        Self::make_blocks(&dir, &file)?;
        Some(Self::run(program, dir, "scrape_configs: []\n", args))
    }

    /// A server with this history and an external label, and its directory of blocks.
    pub fn start_labelled(openmetrics: &str, label: (&str, &str)) -> Option<(Self, PathBuf)> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.om");
        std::fs::write(&file, openmetrics).unwrap();
        Self::make_blocks(&dir, &file)?;
        let data = dir.path().join("data");
        let config = format!("global: {{external_labels: {{{}: {}}}}}\nscrape_configs: []\n", label.0, label.1);
        // A sidecar refuses a server that compacts its blocks.
        let sizes = ["--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"];
        Some((Self::run(&on_path("prometheus")?, dir, &config, &sizes), data))
    }

    /// A server without a history, with this configuration (YAML).
    pub fn start_with_config(config: &str) -> Option<Self> {
        on_path("promtool")?;
        Some(Self::run(&on_path("prometheus")?, tempfile::tempdir().unwrap(), config, &[]))
    }

    /// The answer of its API: `data` of `/api/v1/PATH` with these parameters.
    ///
    /// # Errors
    /// What it says is wrong.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<serde_json::Value, String> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url()), parameters).unwrap();
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let mut stream = TcpStream::connect(self.address).unwrap();
        // By HTTP/1.0 an answer comes in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let mut body: serde_json::Value = serde_json::from_str(body).map_err(|_| answer.clone())?;
        if body["status"] == "success" { Ok(body["data"].take()) } else { Err(body["error"].to_string()) }
    }

    /// Its process and its files, for whoever ends the one and removes the other: nobody drops what a static holds.
    pub fn kept(&mut self) -> (u32, PathBuf) {
        (self.child.id(), self.files.take().unwrap().keep())
    }

    /// Base address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn start(dir: tempfile::TempDir, history: &Path, args: &[&str]) -> Option<Self> {
        let program = on_path("prometheus")?;
        Self::make_blocks(&dir, history)?;
        Some(Self::run(&program, dir, "scrape_configs: []\n", args))
    }

    /// `None` without a `promtool`.
    fn make_blocks(dir: &tempfile::TempDir, history: &Path) -> Option<()> {
        let promtool = on_path("promtool")?;
        let data = dir.path().join("data");
        let made = Command::new(promtool)
            // Its input is parsed once per block: few blocks are made much sooner.
            .args(["tsdb", "create-blocks-from", "--max-block-duration=768h", "openmetrics"])
            .args([history, &data])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
        Some(())
    }

    fn run(program: &Path, dir: tempfile::TempDir, config: &str, args: &[&str]) -> Self {
        let (data, file) = (dir.path().join("data"), dir.path().join("prometheus.yml"));
        std::fs::write(&file, config).unwrap();
        // The port may be taken between finding and using it: then the child ends and another port is tried.
        for _ in 0..3 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let child = Command::new(program)
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--storage.tsdb.retention.time=100y", "--log.level=error"])
                .args(args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut server = Self { child, address, files: None };
            if server.wait_until_ready() {
                server.files = Some(dir);
                return server;
            }
        }
        panic!("prometheus did not start on three ports");
    }

    /// False when the child ended.
    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if is_ready(self.address) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("prometheus was not ready within a minute");
    }
}

impl Drop for PrometheusServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.files.take());
    }
}

/// Also true for a server that speaks TLS, which answers plain HTTP with 400.
fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    if stream.write_all(b"GET /-/ready HTTP/1.0\r\nHost: localhost\r\n\r\n").is_err() {
        return false;
    }
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).is_ok() && matches!(&answer[9..12], b"200" | b"400")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
