//! A real `VictoriaMetrics` with a history of its own, for tests. Knows nothing of podfit; stops its child when
//! dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server on a free port of the loopback interface.
pub struct VictoriaMetrics {
    child: Child,
    address: SocketAddr,
    _files: tempfile::TempDir,
}

impl VictoriaMetrics {
    /// Starts the program and imports OpenMetrics text (timestamps in seconds).
    pub fn start_with(program: &Path, openmetrics: impl Read) -> Self {
        // The port may be taken between finding and using it: then the child ends and another port is tried.
        for _ in 0..3 {
            let files = tempfile::tempdir().unwrap();
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let child = Command::new(program)
                .arg(format!("-httpListenAddr={address}"))
                .arg(format!("-storageDataPath={}", files.path().display()))
                .args(["-retentionPeriod=100y", "-loggerLevel=ERROR", "-search.maxUniqueTimeseries=10000000"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut server = Self { child, address, _files: files };
            if server.wait_until_ready() {
                server.import(openmetrics);
                return server;
            }
        }
        panic!("VictoriaMetrics did not start on three ports");
    }

    /// Base address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// In chunks, so that a large history is never held here.
    fn import(&self, mut openmetrics: impl Read) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = "POST /api/v1/import/prometheus HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n").unwrap();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = openmetrics.read(&mut buffer).unwrap();
            write!(stream, "{read:x}\r\n").unwrap();
            stream.write_all(&buffer[..read]).unwrap();
            stream.write_all(b"\r\n").unwrap();
            if read == 0 {
                break;
            }
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        // What was taken in can be found from now on.
        let flushed = self.get("/internal/force_flush").unwrap();
        assert!(flushed.contains(" 200 "), "{flushed}");
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// False when the child ended.
    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if self.get("/health").is_ok_and(|answer| answer.contains(" 200 ")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("VictoriaMetrics was not ready within a minute");
    }
}

impl Drop for VictoriaMetrics {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
