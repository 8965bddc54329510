//! A real Thanos for tests: a sidecar beside each Prometheus, and a query in front of them. Knows nothing of podfit;
//! stops its children when dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::prometheus_server::PrometheusServer;

/// A running query with its sidecars.
pub struct Thanos {
    children: Vec<Child>,
    address: SocketAddr,
}

impl Thanos {
    /// Starts them in front of these servers, each with its directory of blocks; the replica label is left out.
    pub fn start(program: &Path, servers: &[(PrometheusServer, PathBuf)], replica_label: &str) -> Self {
        let mut children = Vec::new();
        let mut endpoints = Vec::new();
        for (server, blocks) in servers {
            let [grpc, http] = [free(), free()];
            let args = [
                "sidecar".to_owned(),
                format!("--prometheus.url={}", server.url()),
                format!("--tsdb.path={}", blocks.display()),
                format!("--grpc-address={grpc}"),
                format!("--http-address={http}"),
            ];
            children.push(run(program, &args));
            endpoints.push(format!("--endpoint-strict={grpc}"));
        }
        let [grpc, address] = [free(), free()];
        let mut args = vec![
            "query".to_owned(),
            format!("--query.replica-label={replica_label}"),
            format!("--grpc-address={grpc}"),
            format!("--http-address={address}"),
        ];
        args.extend(endpoints);
        children.push(run(program, &args));
        let thanos = Self { children, address };
        thanos.wait_for_sidecars(servers.len());
        thanos
    }

    /// Base address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the sidecar of a server; the query knows that it is missing.
    pub fn stop_sidecar(&mut self, number: usize) {
        let _ = self.children[number].kill();
        let _ = self.children[number].wait();
    }

    fn wait_for_sidecars(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            // A sidecar that has told its time of data is one that answers.
            if self.stores().matches("\"lastError\":null").count() == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the sidecars were not ready within two minutes: {}", self.stores());
    }

    fn stores(&self) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = write!(stream, "GET /api/v1/stores HTTP/1.0\r\nHost: localhost\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }
}

impl Drop for Thanos {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn run(program: &Path, args: &[String]) -> Child {
    Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
