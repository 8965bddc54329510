//! What a Service does for a webhook: one address, new connections go to replicas that say that they are ready, and
//! those that are open stay with theirs. Must not try another replica where one does not answer, as no Service does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::support::webhook::get;

/// A webhook's and a metrics address.
type Endpoint = (String, String);

/// One address for several replicas. Ends with the process.
pub struct Service {
    /// `127.0.0.1:PORT`.
    pub address: String,
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
}

impl Service {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let endpoints = Arc::<Mutex<Vec<Endpoint>>>::default();
        let (known, turn) = (Arc::clone(&endpoints), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let all = known.lock().unwrap().clone();
                let ready: Vec<&Endpoint> =
                    all.iter().filter(|(_, metrics)| get(metrics, "/readyz").is_some()).collect();
                // Nobody is ready: the client sees its connection closed.
                let Some(next) = ready.get(turn.fetch_add(1, Ordering::Relaxed) % ready.len().max(1)) else { continue };
                if let Ok(replica) = TcpStream::connect(&next.0) {
                    connect(&client, &replica);
                }
            }
        });
        Self { address, endpoints }
    }

    /// A replica joins.
    pub fn add(&self, address: &str, metrics_address: &str) {
        self.endpoints.lock().unwrap().push((address.to_owned(), metrics_address.to_owned()));
    }
}

fn connect(client: &TcpStream, replica: &TcpStream) {
    for (from, to) in [(client, replica), (replica, client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let _ = to.set_nodelay(true);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
            let _ = from.shutdown(Shutdown::Read);
        });
    }
}
