//! The byte form of a history in the store: its own types, so that a change of `Run` cannot silently change old files.
//! Knows nothing of tables, transactions or checksums.

use serde::{Deserialize, Serialize};

use super::observation::{Doubts, HeldUntil, Observation};
use super::resources::Resources;
use super::run::{CpuUse, Day, JvmUse, MemoryUse, Outcome, PeakSource, Run, ScaledOn};
use super::workload_history::{History, Older};

/// Newest version of the form below; a new one gets a new number and keeps a reader for those before. A history is
/// written in the oldest that holds it, so that most are still read by the releases before.
pub(super) const HISTORY_VERSION: u8 = 5;
/// Without what is in doubt of runs, and sizes that changed in place.
const WITHOUT_OBSERVATIONS: u8 = 4;
/// Without days of services, and without what Flink's processes said beside their heaps.
const WITHOUT_DAYS: u8 = 3;
/// Without the heaps that JVMs were given.
const WITHOUT_HEAPS: u8 = 2;
/// Without what JVMs said.
const WITHOUT_JVM: u8 = 1;

/// A sketch of nothing, as the releases that kept them read it.
const EMPTY_SKETCH: [u8; 3] = [1, 1, 0];

/// How runs were observed, by the number of the run, behind all that version 4 has.
#[derive(Serialize, Deserialize)]
struct HistoryV5 {
    history: HistoryV4,
    observations: Vec<(u32, ObservationV5)>,
}

#[derive(Serialize, Deserialize)]
struct ObservationV5 {
    doubts: u16,
    exit_code: Option<i32>,
    killed_children: u32,
    succeeded: bool,
    /// Until when, and CPU request and limit in millicores, memory request and limit in bytes.
    held: Vec<(i64, [Option<u64>; 4])>,
}

/// Behind all that version 3 has, by the number of the run: managed memory of Flink's processes, given and used, and
/// their network buffers, in bytes; days of services, and those of them whose container goes on.
#[derive(Serialize, Deserialize)]
struct HistoryV4 {
    history: HistoryV3,
    flink: Vec<(u32, [Option<u64>; 3])>,
    days: Vec<(u32, DayV4)>,
    going_on: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct DayV4 {
    busy_cores: Option<f64>,
    scaled_on_cpu: bool,
    scaled_on_memory: bool,
}

/// The heaps that JVMs were given, in bytes, by the number of the run, behind all that version 2 has.
#[derive(Serialize, Deserialize)]
struct HistoryV3 {
    history: HistoryV2,
    heaps: Vec<(u32, u64)>,
}

/// What JVMs said, by the number of the run, behind all that version 1 has.
#[derive(Serialize, Deserialize)]
struct HistoryV2 {
    history: HistoryV1,
    jvm: Vec<(u32, JvmV2)>,
}

#[derive(Serialize, Deserialize)]
struct JvmV2 {
    heap_peak_bytes: Option<u64>,
    non_heap_peak_bytes: Option<u64>,
    process_peak_bytes: Option<u64>,
    others_peak_bytes: Option<u64>,
    gc_share: Option<f64>,
    heap_exhausted: bool,
}

#[derive(Serialize, Deserialize)]
struct HistoryV1 {
    older: Option<OlderV1>,
    runs: Vec<RunV1>,
}

#[derive(Serialize, Deserialize)]
struct OlderV1 {
    runs: u64,
    first_ms: i64,
    last_ms: i64,
    last_start_ms: i64,
    /// Where a sketch of memory peaks was, and one of mean cores: written as empty ones, and not looked at.
    sketches: [Vec<u8>; 2],
    ooms: u64,
    max_peak_bytes: Option<u64>,
    total_ms: u64,
    core_ms: u64,
    byte_ms: u128,
}

/// A run; pod names repeat their beginning and starts grow, so both are written as what differs from the run before.
#[derive(Serialize, Deserialize)]
struct RunV1 {
    pod_shared: u8,
    pod_rest: String,
    uid: UidV1,
    start_delta_ms: i64,
    length_ms: i64,
    memory: Option<(u64, SourceV1, u32)>,
    cpu: Option<(f64, Option<f64>, Option<f64>)>,
    resources: [Option<u64>; 4],
    outcome: OutcomeV1,
    attempt: Option<u32>,
    input_bytes: Option<f64>,
}

#[derive(Serialize, Deserialize)]
enum UidV1 {
    None,
    Uuid(u128),
    Text(String),
}

#[derive(Serialize, Deserialize)]
enum SourceV1 {
    Sampled,
    Cgroup,
    Reported,
}

#[derive(Serialize, Deserialize)]
enum OutcomeV1 {
    Completed,
    OomKilled,
    Failed,
    Running,
    Unknown,
}

/// Writes a history; the version of the form, and the bytes.
pub(super) fn encode(history: &History) -> Result<(u8, Vec<u8>), postcard::Error> {
    let mut runs = Vec::with_capacity(history.runs().len());
    let mut before = ("", 0);
    for run in history.runs() {
        runs.push(encode_run(run, before));
        before = (&run.pod, run.started_ms);
    }
    let older = history.older();
    let plain = HistoryV1 { older: (older.runs > 0).then(|| encode_older(older)), runs };
    let jvm: Vec<(u32, JvmV2)> = history
        .runs()
        .zip(0..)
        .filter_map(|(run, number)| {
            let JvmUse {
                heap_bytes: _,
                heap_peak_bytes,
                non_heap_peak_bytes,
                process_peak_bytes,
                others_peak_bytes,
                managed_bytes: _,
                managed_peak_bytes: _,
                network_peak_bytes: _,
                gc_share,
                heap_exhausted,
            } = **run.jvm.as_ref()?;
            let said = JvmV2 {
                heap_peak_bytes,
                non_heap_peak_bytes,
                process_peak_bytes,
                others_peak_bytes,
                gc_share,
                heap_exhausted,
            };
            Some((number, said))
        })
        .collect();
    let days: Vec<(u32, DayV4)> = history
        .runs()
        .zip(0..)
        .filter_map(|(run, number)| {
            let Day { busy_cores, scaled_on: ScaledOn { cpu, memory } } = **run.day.as_ref()?;
            Some((number, DayV4 { busy_cores, scaled_on_cpu: cpu, scaled_on_memory: memory }))
        })
        .collect();
    let going_on: Vec<u32> =
        history.runs().zip(0..).filter(|(run, _)| run.outcome == Outcome::GoesOn).map(|(_, number)| number).collect();
    let observations: Vec<(u32, ObservationV5)> = history
        .runs()
        .zip(0..)
        .filter_map(|(run, number)| Some((number, encode_observation(run.observation.as_ref()?))))
        .collect();
    let is_of_v5 = !observations.is_empty();
    let has_days = !(days.is_empty() && going_on.is_empty());
    if jvm.is_empty() && !has_days && !is_of_v5 {
        return Ok((WITHOUT_JVM, postcard::to_stdvec(&plain)?));
    }
    let said = HistoryV2 { history: plain, jvm };
    let heaps: Vec<(u32, u64)> =
        history.runs().zip(0..).filter_map(|(run, number)| Some((number, run.jvm.as_ref()?.heap_bytes?))).collect();
    let of_flink = |run: &Run| {
        let jvm = run.jvm.as_ref()?;
        let said = [jvm.managed_bytes, jvm.managed_peak_bytes, jvm.network_peak_bytes];
        said.iter().any(Option::is_some).then_some(said)
    };
    let flink: Vec<(u32, [Option<u64>; 3])> =
        history.runs().zip(0..).filter_map(|(run, number)| Some((number, of_flink(run)?))).collect();
    let is_of_v4 = has_days || !flink.is_empty() || is_of_v5;
    if heaps.is_empty() && !is_of_v4 {
        return Ok((WITHOUT_HEAPS, postcard::to_stdvec(&said)?));
    }
    let whole = HistoryV3 { history: said, heaps };
    if !is_of_v4 {
        return Ok((WITHOUT_DAYS, postcard::to_stdvec(&whole)?));
    }
    let with_days = HistoryV4 { history: whole, flink, days, going_on };
    if !is_of_v5 {
        return Ok((WITHOUT_OBSERVATIONS, postcard::to_stdvec(&with_days)?));
    }
    Ok((HISTORY_VERSION, postcard::to_stdvec(&HistoryV5 { history: with_days, observations })?))
}

fn encode_observation(observation: &Observation) -> ObservationV5 {
    let Observation { doubts, exit_code, killed_children, succeeded, held } = observation;
    ObservationV5 {
        doubts: doubts.bits(),
        exit_code: *exit_code,
        killed_children: *killed_children,
        succeeded: *succeeded,
        held: held.iter().map(|h| (h.until_ms, encode_resources(&h.resources))).collect(),
    }
}

fn decode_observation(read: ObservationV5) -> Observation {
    let ObservationV5 { doubts, exit_code, killed_children, succeeded, held } = read;
    Observation {
        doubts: Doubts::from_bits(doubts),
        exit_code,
        killed_children,
        succeeded,
        held: held
            .into_iter()
            .map(|(until_ms, sizes)| HeldUntil { until_ms, resources: decode_resources(sizes) })
            .collect(),
    }
}

/// Reads what [`encode`] wrote; the error says what is wrong with the bytes.
pub(super) fn decode(version: u8, bytes: &[u8]) -> Result<History, String> {
    let said = |e: postcard::Error| e.to_string();
    let before_observations = |history| HistoryV5 { history, observations: Vec::new() };
    let before_days =
        |history| before_observations(HistoryV4 { history, flink: Vec::new(), days: Vec::new(), going_on: Vec::new() });
    let before_heaps = |history| before_days(HistoryV3 { history, heaps: Vec::new() });
    let (read, rest) = match version {
        WITHOUT_JVM => {
            let (history, rest) = postcard::take_from_bytes::<HistoryV1>(bytes).map_err(said)?;
            (before_heaps(HistoryV2 { history, jvm: Vec::new() }), rest)
        }
        WITHOUT_HEAPS => {
            let (history, rest) = postcard::take_from_bytes::<HistoryV2>(bytes).map_err(said)?;
            (before_heaps(history), rest)
        }
        WITHOUT_DAYS => {
            let (history, rest) = postcard::take_from_bytes::<HistoryV3>(bytes).map_err(said)?;
            (before_days(history), rest)
        }
        WITHOUT_OBSERVATIONS => {
            let (history, rest) = postcard::take_from_bytes::<HistoryV4>(bytes).map_err(said)?;
            (before_observations(history), rest)
        }
        HISTORY_VERSION => postcard::take_from_bytes::<HistoryV5>(bytes).map_err(said)?,
        _ => return Err(format!("form {version} of a history is not known to this version of podfit")),
    };
    if !rest.is_empty() {
        return Err("bytes after the end".to_owned());
    }
    let HistoryV5 { history, observations } = read;
    let HistoryV4 { history: HistoryV3 { history: HistoryV2 { history, jvm }, heaps }, flink, days, going_on } =
        history;
    let mut runs: Vec<Run> = Vec::with_capacity(history.runs.len());
    for run in history.runs {
        let before = runs.last().map_or(("", 0), |r| (r.pod.as_str(), r.started_ms));
        runs.push(decode_run(run, before)?);
    }
    for (number, said) in jvm {
        let run = runs.get_mut(number as usize).ok_or("a JVM's words are of a run that is not there")?;
        let JvmV2 {
            heap_peak_bytes,
            non_heap_peak_bytes,
            process_peak_bytes,
            others_peak_bytes,
            gc_share,
            heap_exhausted,
        } = said;
        let said = JvmUse {
            heap_peak_bytes,
            non_heap_peak_bytes,
            process_peak_bytes,
            others_peak_bytes,
            gc_share,
            heap_exhausted,
            ..JvmUse::default()
        };
        run.jvm = Some(Box::new(said));
    }
    for (number, bytes) in heaps {
        let run = runs.get_mut(number as usize).ok_or("a JVM's heap is of a run that is not there")?;
        run.jvm.get_or_insert_default().heap_bytes = Some(bytes);
    }
    for (number, [managed, managed_peak, network_peak]) in flink {
        let run = runs.get_mut(number as usize).ok_or("a Flink process's words are of a run that is not there")?;
        let jvm = run.jvm.get_or_insert_default();
        (jvm.managed_bytes, jvm.managed_peak_bytes, jvm.network_peak_bytes) = (managed, managed_peak, network_peak);
    }
    for (number, DayV4 { busy_cores, scaled_on_cpu, scaled_on_memory }) in days {
        let run = runs.get_mut(number as usize).ok_or("a day is of a run that is not there")?;
        let scaled_on = ScaledOn { cpu: scaled_on_cpu, memory: scaled_on_memory };
        run.day = Some(Box::new(Day { busy_cores, scaled_on }));
    }
    for number in going_on {
        runs.get_mut(number as usize).ok_or("a run that goes on is not there")?.outcome = Outcome::GoesOn;
    }
    for (number, observation) in observations {
        let run = runs.get_mut(number as usize).ok_or("an observation is of a run that is not there")?;
        run.observation = Some(Box::new(decode_observation(observation)));
    }
    Ok(History::from_parts(runs, history.older.as_ref().map(decode_older).unwrap_or_default()))
}

const fn encode_resources(resources: &Resources) -> [Option<u64>; 4] {
    [
        resources.cpu_request_millis,
        resources.cpu_limit_millis,
        resources.memory_request_bytes,
        resources.memory_limit_bytes,
    ]
}

const fn decode_resources(sizes: [Option<u64>; 4]) -> Resources {
    let [cpu_request_millis, cpu_limit_millis, memory_request_bytes, memory_limit_bytes] = sizes;
    Resources { cpu_request_millis, cpu_limit_millis, memory_request_bytes, memory_limit_bytes }
}

fn encode_run(run: &Run, before: (&str, i64)) -> RunV1 {
    let shared = shared_prefix(before.0, &run.pod);
    RunV1 {
        pod_shared: shared as u8,
        pod_rest: run.pod[shared..].to_owned(),
        uid: match &run.uid {
            None => UidV1::None,
            Some(text) => parse_uuid(text).map_or_else(|| UidV1::Text(text.clone()), UidV1::Uuid),
        },
        start_delta_ms: run.started_ms.wrapping_sub(before.1),
        length_ms: run.ended_ms.wrapping_sub(run.started_ms),
        memory: run.memory.map(|m| {
            let source = match m.source {
                PeakSource::Sampled => SourceV1::Sampled,
                PeakSource::Cgroup => SourceV1::Cgroup,
                PeakSource::Reported => SourceV1::Reported,
            };
            (m.peak_bytes, source, m.samples)
        }),
        cpu: run.cpu.map(|c| (c.mean_cores, c.peak_cores, c.throttled_share)),
        resources: encode_resources(&run.resources),
        outcome: match run.outcome {
            // Those that go on are named beside: the form of a run is older than they are.
            Outcome::Completed | Outcome::GoesOn => OutcomeV1::Completed,
            Outcome::OomKilled => OutcomeV1::OomKilled,
            Outcome::Failed => OutcomeV1::Failed,
            Outcome::Running => OutcomeV1::Running,
            Outcome::Unknown => OutcomeV1::Unknown,
        },
        attempt: run.attempt,
        input_bytes: run.input_bytes,
    }
}

fn decode_run(run: RunV1, before: (&str, i64)) -> Result<Run, String> {
    let shared = before.0.get(..usize::from(run.pod_shared)).ok_or("a pod name shares more than there is")?;
    let started_ms = before.1.wrapping_add(run.start_delta_ms);
    Ok(Run {
        pod: format!("{shared}{}", run.pod_rest),
        uid: match run.uid {
            UidV1::None => None,
            UidV1::Uuid(number) => Some(format_uuid(number)),
            UidV1::Text(text) => Some(text),
        },
        started_ms,
        ended_ms: started_ms.wrapping_add(run.length_ms),
        memory: run.memory.map(|(peak_bytes, source, samples)| {
            let source = match source {
                SourceV1::Sampled => PeakSource::Sampled,
                SourceV1::Cgroup => PeakSource::Cgroup,
                SourceV1::Reported => PeakSource::Reported,
            };
            MemoryUse { peak_bytes, source, samples }
        }),
        cpu: run.cpu.map(|(mean_cores, peak_cores, throttled_share)| CpuUse {
            mean_cores,
            peak_cores,
            throttled_share,
        }),
        resources: decode_resources(run.resources),
        outcome: match run.outcome {
            OutcomeV1::Completed => Outcome::Completed,
            OutcomeV1::OomKilled => Outcome::OomKilled,
            OutcomeV1::Failed => Outcome::Failed,
            OutcomeV1::Running => Outcome::Running,
            OutcomeV1::Unknown => Outcome::Unknown,
        },
        attempt: run.attempt,
        input_bytes: run.input_bytes,
        jvm: None,
        day: None,
        observation: None,
    })
}

fn encode_older(older: &Older) -> OlderV1 {
    OlderV1 {
        runs: older.runs,
        first_ms: older.first_ms,
        last_ms: older.last_ms,
        last_start_ms: older.last_start_ms,
        sketches: [EMPTY_SKETCH.to_vec(), EMPTY_SKETCH.to_vec()],
        ooms: older.ooms,
        max_peak_bytes: older.max_peak_bytes,
        total_ms: older.total_ms,
        core_ms: older.core_ms,
        byte_ms: older.byte_ms,
    }
}

const fn decode_older(older: &OlderV1) -> Older {
    Older {
        runs: older.runs,
        first_ms: older.first_ms,
        last_ms: older.last_ms,
        last_start_ms: older.last_start_ms,
        ooms: older.ooms,
        max_peak_bytes: older.max_peak_bytes,
        total_ms: older.total_ms,
        core_ms: older.core_ms,
        byte_ms: older.byte_ms,
    }
}

/// Length of the common beginning, at most 255 and whole characters of both.
fn shared_prefix(a: &str, b: &str) -> usize {
    let mut shared = a.bytes().zip(b.bytes()).take(255).take_while(|(a, b)| a == b).count();
    while !b.is_char_boundary(shared) {
        shared -= 1;
    }
    shared
}

/// The number of a uid in the usual form (8-4-4-4-12 lower-case hexadecimal digits), which takes half the room.
fn parse_uuid(text: &str) -> Option<u128> {
    let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    (format_uuid(number) == text).then_some(number)
}

fn format_uuid(n: u128) -> String {
    let part = |shift: u32, digits: u32| (n >> shift) & ((1_u128 << (4 * digits)) - 1);
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12))
}
