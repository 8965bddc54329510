use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::history::{JvmUse, MemoryUse, Outcome, PeakSource, Resources};

/// 4 GiB: a heap of 1588m, 1372m managed, 343m for the network.
const PROCESS: u64 = 4096;

/// A task manager of [`PROCESS`]; sizes in MiB.
#[derive(Clone, Copy)]
struct Tm {
    /// Of the container.
    peak: u64,
    heap: u64,
    managed: Option<u64>,
    network: Option<u64>,
    gc: f64,
    outcome: Outcome,
    process: u64,
}

const DONE: Tm = Tm {
    peak: 1100,
    heap: 600,
    managed: Some(0),
    network: Some(40),
    gc: 0.01,
    outcome: Outcome::Completed,
    process: PROCESS,
};

fn run(component: Component, tm: Tm, number: i64) -> Run {
    let of = parts(component, tm.process).unwrap();
    let is_worker = component == Component::TaskManager;
    let jvm = JvmUse {
        heap_bytes: Some(of.heap_mib * MIB),
        heap_peak_bytes: Some(tm.heap * MIB),
        managed_bytes: tm.managed.filter(|_| is_worker).map(|_| of.managed_mib * MIB),
        managed_peak_bytes: tm.managed.filter(|_| is_worker).map(|managed| managed * MIB),
        network_peak_bytes: tm.network.filter(|_| is_worker).map(|network| network * MIB),
        gc_share: Some(tm.gc),
        ..JvmUse::default()
    };
    let size = Some(tm.process * MIB);
    Run {
        pod: format!("clicks-taskmanager-1-{number}"),
        uid: None,
        started_ms: number * 86_400_000,
        ended_ms: number * 86_400_000 + 86_000_000,
        memory: Some(MemoryUse { peak_bytes: tm.peak * MIB, source: PeakSource::Cgroup, samples: 2000 }),
        cpu: None,
        resources: Resources { memory_request_bytes: size, memory_limit_bytes: size, ..Resources::default() },
        outcome: tm.outcome,
        attempt: None,
        input_bytes: None,
        jvm: Some(Box::new(jvm)),
        day: None,
        observation: None,
    }
}

fn history(component: Component, tm: Tm, runs: i64) -> History {
    let mut history = History::new();
    history.add_all((0..runs).map(|number| run(component, tm, number)));
    history
}

fn needed(component: Component, history: &History, sized: Option<u64>) -> Option<Need> {
    need(component, history, PROCESS, sized, &SizingPolicy::default())
}

fn of_workers(tm: Tm, sized: u64) -> Need {
    needed(Component::TaskManager, &history(Component::TaskManager, tm, 8), Some(sized)).unwrap()
}

#[test]
fn a_process_shrinks_to_what_its_heap_needs() {
    let made = of_workers(DONE, 1200);
    assert!(made.is_proven && made.process_mib < 2600 && made.heap_mib >= 660, "{made:?}");
    let before = parts(Component::TaskManager, made.process_mib - 1).unwrap();
    assert!(before.heap_mib < made.heap_mib, "no smaller one has this heap");
    let said = &made.notes[0];
    assert!(
        said.starts_with("the heap of 8 JVMs never held more than 600m of its 1588m, managed memory 0m of"),
        "{said}"
    );

    let job_manager = needed(Component::JobManager, &history(Component::JobManager, DONE, 8), Some(1000)).unwrap();
    assert!(
        job_manager.is_proven && job_manager.process_mib < 1400,
        "a job manager has no managed memory: {job_manager:?}"
    );
}

#[rstest]
#[case::the_containers_own_peak(DONE, 3100, 3100)]
#[case::managed_memory(Tm { managed: Some(1000), ..DONE }, 1200, 3339)]
#[case::network_buffers(Tm { network: Some(150), ..DONE }, 1200, 3617)]
fn other_needs_hold_it_up(#[case] tm: Tm, #[case] sized: u64, #[case] expected: u64) {
    let made = of_workers(tm, sized);
    assert!(made.is_proven, "{made:?}");
    assert_eq!(made.process_mib, expected, "{made:?}");
}

#[test]
fn no_run_is_left_to_a_retry() {
    let mut rare = history(Component::TaskManager, DONE, 200);
    rare.add(run(Component::TaskManager, Tm { peak: 3000, ..DONE }, 201));
    let made = needed(Component::TaskManager, &rare, Some(1200)).unwrap();
    assert!(made.is_proven && made.process_mib >= 3000, "sizing has covered all runs but one: {made:?}");
}

#[rstest]
#[case::rocksdb(Tm { managed: Some(1372), ..DONE }, "managed memory is used in full, 1372m of 1372m")]
#[case::managed_not_scraped(Tm { managed: None, ..DONE }, "Managed_Used and _Total are not scraped")]
#[case::network_not_scraped(Tm { network: None, ..DONE }, "Netty_UsedMemory is not scraped")]
#[case::much_garbage(Tm { gc: 0.2, ..DONE }, "8 spent more than a tenth of their time on garbage")]
fn it_stays_where_less_is_not_proven(#[case] tm: Tm, #[case] why: &str) {
    let made = of_workers(tm, 1200);
    assert_eq!((made.process_mib, made.is_proven), (PROCESS, false));
    assert!(made.notes[0].contains(why), "{made:?}");
    assert_eq!(of_workers(tm, 5000).process_mib, 5000, "what the container needs is given all the same");
}

#[test]
fn other_fractions_than_the_defaults_are_not_known() {
    let change = |change: &dyn Fn(&mut Run)| {
        let mut changed = History::new();
        changed.add_all((0..8).map(|number| {
            let mut run = run(Component::TaskManager, DONE, number);
            change(&mut run);
            run
        }));
        needed(Component::TaskManager, &changed, Some(1200)).unwrap()
    };
    let jvm = |run: &mut Run, of: &dyn Fn(&mut JvmUse)| of(run.jvm.as_mut().unwrap());
    for made in [
        change(&|run| jvm(run, &|jvm| jvm.heap_bytes = jvm.heap_bytes.map(|heap| heap * 5 / 4))),
        change(&|run| jvm(run, &|jvm| jvm.managed_bytes = jvm.managed_bytes.map(|managed| managed / 2))),
        change(&|run| run.resources.memory_limit_bytes = Some(2 * PROCESS * MIB)),
    ] {
        assert_eq!((made.process_mib, made.is_proven), (PROCESS, false));
        assert!(made.notes[0].contains("not those of Flink's default fractions"), "{made:?}");
    }
    // The serial collector keeps one of its survivor spaces out of what it tells.
    let serial = change(&|run| jvm(run, &|jvm| jvm.heap_bytes = jvm.heap_bytes.map(|heap| heap * 29 / 30)));
    assert!(serial.is_proven, "{serial:?}");
}

#[test]
fn a_killed_container_gets_what_sizing_wants_and_is_not_lowered() {
    let mut killed = history(Component::TaskManager, DONE, 8);
    killed.add(run(Component::TaskManager, Tm { peak: PROCESS, outcome: Outcome::OomKilled, ..DONE }, 9));
    let made = needed(Component::TaskManager, &killed, Some(8192)).unwrap();
    assert_eq!((made.process_mib, made.is_proven), (8192, false));
    assert!(made.notes[0].contains("what is beside the heap was too little"), "{made:?}");
}

#[test]
fn a_full_heap_that_is_collected_all_the_time_grows() {
    let made = of_workers(Tm { heap: 1580, gc: 0.3, ..DONE }, 3000);
    assert!(made.process_mib > PROCESS && made.heap_mib > 1800 && !made.is_proven, "{made:?}");
    assert!(made.notes[0].contains("8 spent more than a tenth"), "{made:?}");
    let full = of_workers(Tm { heap: 1580, ..DONE }, 3000);
    assert_eq!((full.process_mib, full.is_proven), (PROCESS, true), "a heap fills up before it is collected");
}

#[test]
fn what_was_lowered_by_its_evidence_stays() {
    let first = of_workers(DONE, 1200);
    let lowered = history(Component::TaskManager, Tm { process: first.process_mib, ..DONE }, 8);
    let policy = SizingPolicy::default();
    let again = need(Component::TaskManager, &lowered, first.process_mib, Some(1200), &policy).unwrap();
    assert_eq!((again.process_mib, again.is_proven), (first.process_mib, true));
}

#[test]
fn nothing_is_said_without_jvms_or_enough_runs() {
    let component = Component::TaskManager;
    assert_eq!(needed(component, &history(component, DONE, 2), Some(1200)), None, "two runs are no evidence");
    assert_eq!(needed(component, &history(component, DONE, 8), None), None, "sizing knows nothing");
    let mut silent = History::new();
    silent.add_all((0..8).map(|number| Run { jvm: None, ..run(component, DONE, number) }));
    assert_eq!(needed(component, &silent, Some(1200)), None);
    assert_eq!(need(component, &silent, 300, Some(1200), &SizingPolicy::default()), None, "no process is so small");
}

proptest! {
    #[test]
    fn less_is_never_below_what_was_seen(
        process in 1100_u64..60_000, heap in 0.0..1.0, managed in 0.0..1.0, network in 0.0..1.0, peak in 0.1..1.0,
        gc in 0.0..0.2, job_manager in any::<bool>(),
    ) {
        let component = Component::ALL[usize::from(!job_manager)];
        let now = parts(component, process).unwrap();
        let of = |share: f64, mib: u64| (share * mib as f64) as u64;
        let tm = Tm { peak: of(peak, process), heap: of(heap, now.heap_mib).max(1), managed: Some(of(managed, now.managed_mib)),
            network: Some(of(network, now.network_mib)), gc, process, ..DONE };
        let sized = of(peak, process).max(64);
        let made = need(component, &history(component, tm, 6), process, Some(sized), &SizingPolicy::default()).unwrap();
        prop_assert!(made.process_mib >= sized && made.process_mib >= tm.peak);
        prop_assert!(made.process_mib >= process || made.is_proven);
        let parts = parts(component, made.process_mib).unwrap();
        prop_assert_eq!(parts.heap_mib, made.heap_mib);
        if made.process_mib < process {
            prop_assert!(parts.heap_mib as f64 >= tm.heap as f64 * HEADROOM);
            prop_assert!(component == Component::JobManager || parts.managed_mib as f64 >= tm.managed.unwrap() as f64);
            prop_assert!(component == Component::JobManager || parts.network_mib >= tm.network.unwrap());
            prop_assert!(gc <= 0.1);
        }
    }
}
