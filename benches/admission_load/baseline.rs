//! The same server with a decision that only says `allowed: true`: what TLS, HTTP and reading the envelope cost.
//! Must not know recommendations.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use podfit::admission::review::{Review, ReviewOutcome};
use podfit::admission::{Entry, Reply, Seen, SharedState, Snapshot};
use podfit::certs::files::FilePair;
use podfit::certs::resolver::ServedPair;
use podfit::server::tls::server_config;
use podfit::server::{Limits, Listener, Metrics, Readiness, Reviewer, router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves with the certificate of a folder, says where on standard output, and ends with its input.
pub fn run(dir: &Path) {
    // As `podfit serve` does.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", socket.local_addr().expect("an address"));
        std::io::stdout().flush().expect("standard output");
        let (metrics, limits) = (Arc::new(Metrics::new()), Arc::new(Limits::default()));
        let shared = Arc::new(SharedState::new(Snapshot::default()));
        let reviewer = Reviewer::new(shared, Arc::clone(&metrics), Arc::clone(&limits)).deciding(Arc::new(allow));
        let pair = FilePair::new(dir.join("tls.crt"), dir.join("tls.key")).load(Timestamp::now());
        let served = Arc::new(ServedPair::new(pair.expect("a certificate")));
        let stop = CancellationToken::new();
        let listener = Listener {
            socket,
            tls: Some(server_config(served, None).expect("TLS").into()),
            router: router(Arc::new(reviewer), Arc::new(Readiness::default())),
            limits,
            metrics: Some(metrics),
        };
        let serving = tokio::spawn(listener.serve(stop.clone()));
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = ended.await;
        stop.cancel();
        let _ = serving.await;
    });
}

fn allow(_: Entry, body: &[u8], _: &Snapshot) -> Reply {
    match Review::read(body) {
        Ok(review) => Reply {
            status: 200,
            body: ReviewOutcome::default().to_json(&review.uid),
            seen: Seen::default(),
            findings: Vec::new(),
        },
        Err(_) => Reply { status: 400, body: Vec::new(), seen: Seen::default(), findings: Vec::new() },
    }
}
