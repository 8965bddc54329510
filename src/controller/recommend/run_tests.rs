//! The loop without a cluster: when it learns.

use std::sync::mpsc as blocking;

use super::super::metrics::ControllerMetrics;
use super::super::write::Recommendations;
use super::*;
use crate::admission::SharedState;
use crate::cluster::Api;
use crate::controller::lease::Term;
use crate::history::Store;
use crate::sizing::SizingPolicy;

/// It is waited for so long only where it never comes.
const DEADLINE: Duration = Duration::from_secs(60);

/// An API server without any object.
fn nothing_there() -> Api {
    let empty = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        let body = kube::client::Body::from(br#"{"items": []}"#.to_vec());
        Ok::<_, tower::BoxError>(http::Response::new(body))
    });
    Api::new(kube::Client::new(empty, "default"))
}

async fn comes_about(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("it does not come about");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_begins_to_lead_while_a_cycle_of_its_standby_time_goes_on_learns_at_once() {
    let known = Arc::new(Mutex::new(KnownPods::default()));
    let (learned, mut was_learned) = mpsc::unbounded_channel();
    let learn: Learn = Arc::new(move |_| {
        let _ = learned.send(());
        Box::pin(async { Ok(()) })
    });
    let figures = Arc::<ControllerMetrics>::default();
    let (term, every) = (Term::default(), Duration::from_secs(3_600));
    let writer = Writer {
        recommendations: Recommendations::new(nothing_there()),
        term: term.clone(),
        shared: Arc::<SharedState>::default(),
        store: Arc::new(Store::in_memory().unwrap()),
        sizing: SizingPolicy::default(),
        namespaces: Vec::new(),
        me: "a".to_owned(),
        figures: Arc::clone(&figures),
    };
    // A cycle takes what was seen first: it waits here.
    let (held, is_held) = blocking::channel();
    let (release, is_released) = blocking::channel::<()>();
    let holder = std::thread::spawn({
        let known = Arc::clone(&known);
        move || {
            let _guard = known.lock().unwrap();
            held.send(()).unwrap();
            let _ = is_released.recv();
        }
    });
    is_held.recv().unwrap();

    let (of_pods, _not_told) = mpsc::channel(1);
    let recommender = Recommender { writer, learn: Some(learn), every, known: Arc::clone(&known), of_pods };
    let before = Arc::strong_count(&known);
    let (lead, leads) = watch::channel(false);
    let (_news, heard) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let running = tokio::spawn(recommender.run(leads, heard, stop.clone()));
    comes_about(|| Arc::strong_count(&known) > before).await;
    term.lasts_until(Some(every));
    lead.send(true).unwrap();
    comes_about(|| figures.is_leader()).await;
    release.send(()).unwrap();
    holder.join().unwrap();

    tokio::time::timeout(DEADLINE, was_learned.recv()).await.expect("the first learning is an hour late");
    stop.cancel();
    running.await.unwrap();
}
