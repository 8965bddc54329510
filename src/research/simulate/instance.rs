//! One container's life: how long it ran, what it used at each moment, how it ended.
//! Knows no pod, no engine and no scrape; a function of what it is given.

use super::calendar::DAY_MS;
use super::model::{Asks, Cpu, Memory, Usage};
use super::random::{Rng, mix, share};

const PAGE: u64 = 4096;
const SEGMENTS: usize = 8;
/// CFS periods per millisecond of running: one each 100 ms.
const PERIODS_PER_MS: f64 = 0.01;

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Exit code 0.
    Completed,
    /// Killed by the kernel for memory, exit code 137.
    OomKilled,
    /// Failed for another reason, exit code 1.
    Failed,
    /// Stopped because what it belongs to ended, exit code 143.
    Stopped,
}

impl End {
    /// The container's exit code.
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Completed => 0,
            Self::OomKilled => 137,
            Self::Failed => 1,
            Self::Stopped => 143,
        }
    }

    /// The reason as kube-state-metrics shows it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::OomKilled => "OOMKilled",
            Self::Failed | Self::Stopped => "Error",
        }
    }
}

/// What surrounds a life when it is drawn.
pub(super) struct Setting<'a> {
    pub(super) usage: &'a Usage,
    pub(super) asks: &'a Asks,
    pub(super) start_ms: i64,
    /// Days since the start of the simulated window.
    pub(super) days: f64,
    /// 0 is Monday.
    pub(super) weekday: usize,
    /// Decides the mode: the same for all tries of one unit of work. In [0, 1).
    pub(super) mode: f64,
    pub(super) fail_share: f64,
    /// The run time where something else decides it (a driver lives as long as its executors).
    pub(super) fixed_ms: Option<i64>,
}

/// CPU use up to a moment of the run.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    after_ms: f64,
    cpu_seconds: f64,
    throttled_periods: f64,
}

/// One container's life.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) end: End,
    /// What the whole run would have needed, in bytes.
    pub(super) needed_bytes: u64,
    seed: u64,
    limit: u64,
    full_ms: i64,
    baseline: f64,
    memory: Memory,
    marks: [Mark; SEGMENTS],
    daily: bool,
}

impl Instance {
    pub(super) fn draw(setting: &Setting<'_>, rng: &mut Rng) -> Self {
        let Usage { seconds, seconds_spread, memory, cpu, daily } = *setting.usage;
        let second = memory.second_mode.filter(|(s, _)| setting.mode < *s).map_or(1.0, |(_, factor)| factor);
        let weekday = memory.weekday.get(setting.weekday).copied().unwrap_or(1.0);
        let trend = (1.0 + memory.growth_per_day * setting.days) * weekday * second;
        let size = trend * (1.0 + memory.spread * rng.bell()).max(0.2);
        let wanted_ms = seconds * 1000.0 * second * (1.0 + seconds_spread * rng.bell()).max(0.3);
        let cores = cpu.cores * (1.0 + cpu.spread * rng.bell()).max(0.2);
        let failure = (rng.uniform() < setting.fail_share).then(|| 0.1 + 0.8 * rng.uniform());
        let seed = rng.next();
        let fixed_ms = setting.fixed_ms.map(|ms| if daily { DAY_MS } else { ms });
        let wanted_ms = fixed_ms.map_or(wanted_ms, |ms| ms as f64).max(1000.0);
        let (full_ms, marks) = cpu_marks(cpu, cores, setting.asks.cpu_limit_millis, wanted_ms, seed);
        // A fixed time stays fixed; the throttled container just gets less done in it.
        let full_ms = fixed_ms.unwrap_or(full_ms).max(1000);
        let lives_ms = setting.fixed_ms.filter(|_| daily).map_or(full_ms, |ms| ms.max(1000));
        let needed_bytes = pages(memory.peak_bytes.max(memory.baseline_bytes) as f64 * size);
        let limit = setting.asks.memory_limit_bytes.unwrap_or(u64::MAX);
        let mut instance = Self {
            start_ms: setting.start_ms,
            end_ms: setting.start_ms + lives_ms,
            end: End::Completed,
            needed_bytes,
            seed,
            limit,
            full_ms,
            baseline: memory.baseline_bytes as f64 * size,
            memory,
            marks,
            daily,
        };
        if let Some(at) = failure {
            instance.end_ms = setting.start_ms + (full_ms as f64 * at) as i64;
            instance.end = End::Failed;
        }
        if needed_bytes > limit {
            let at_ms = setting.start_ms + ((full_ms as f64 * instance.crossing()) as i64).max(1);
            if at_ms <= instance.end_ms {
                instance.end_ms = at_ms;
                instance.end = End::OomKilled;
            }
        }
        instance
    }

    /// Ends the life early because what it belongs to ended.
    pub(super) fn cut(&mut self, at_ms: i64) {
        if at_ms < self.end_ms {
            self.end_ms = at_ms;
            self.end = End::Stopped;
        }
    }

    /// The share of the run at which the memory limit is passed.
    fn crossing(&self) -> f64 {
        const STEPS: u32 = 2000;
        let limit = self.limit as f64;
        (0..=STEPS)
            .map(|i| f64::from(i) / f64::from(STEPS))
            .find(|x| self.curve(*x) > limit)
            .map_or(self.memory.peak_at, |x| if x > self.memory.peak_at { self.memory.peak_at } else { x })
    }

    /// Use at a share of the run, in bytes, without limit and noise.
    fn curve(&self, x: f64) -> f64 {
        let Memory { peak_at, peak_for, rise, warm_up, .. } = self.memory;
        let warm = if warm_up > 0.0 { (0.2 + 0.8 * x / warm_up).min(1.0) } else { 1.0 };
        let base = self.baseline * warm;
        let peak = self.needed_bytes as f64;
        if x >= peak_at && x <= peak_at + peak_for {
            peak
        } else if x < peak_at && x > peak_at - rise {
            base + (peak - base) * (1.0 - (peak_at - x) / rise)
        } else {
            base
        }
    }

    fn share_at(&self, at_ms: i64) -> f64 {
        let lived_ms = (at_ms.min(self.end_ms) - self.start_ms).max(0);
        (if self.daily { lived_ms % self.full_ms } else { lived_ms }) as f64 / self.full_ms as f64
    }

    /// Working set at a moment, in bytes; never above what the container has reached by then.
    pub(super) fn working_set(&self, at_ms: i64) -> u64 {
        let noise = 1.0 - self.memory.noise * share(mix(self.seed, at_ms as u64));
        pages(self.curve(self.share_at(at_ms)) * noise).min(self.limit)
    }

    /// The highest working set reached up to a moment, in bytes.
    pub(super) fn peak_until(&self, at_ms: i64) -> u64 {
        // The curve climbs until the peak begins, and after its first day it has been there.
        let x = if at_ms - self.start_ms >= self.full_ms { self.memory.peak_at } else { self.share_at(at_ms) };
        if self.end == End::OomKilled && at_ms >= self.end_ms {
            return self.limit;
        }
        pages(self.curve(x.min(self.memory.peak_at))).min(self.limit)
    }

    /// The cgroup's high-water mark up to a moment, page cache included, in bytes.
    pub(super) fn high_water(&self, at_ms: i64) -> u64 {
        pages(self.peak_until(at_ms) as f64 * (1.0 + self.memory.page_cache)).min(self.limit)
    }

    fn mark_at(&self, at_ms: i64) -> Mark {
        let lived_ms = (at_ms.min(self.end_ms) - self.start_ms).max(0);
        if self.daily && lived_ms > self.full_ms {
            let (days, rest_ms) = ((lived_ms / self.full_ms) as f64, lived_ms % self.full_ms);
            let (day, rest) = (self.marks[SEGMENTS - 1], self.mark_at(self.start_ms + rest_ms));
            return Mark {
                after_ms: lived_ms as f64,
                cpu_seconds: days * day.cpu_seconds + rest.cpu_seconds,
                throttled_periods: days * day.throttled_periods + rest.throttled_periods,
            };
        }
        let t = lived_ms as f64;
        let mut from = Mark::default();
        for to in self.marks {
            if t <= to.after_ms {
                let s =
                    if to.after_ms > from.after_ms { (t - from.after_ms) / (to.after_ms - from.after_ms) } else { 1.0 };
                return Mark {
                    after_ms: t,
                    cpu_seconds: from.cpu_seconds + s * (to.cpu_seconds - from.cpu_seconds),
                    throttled_periods: from.throttled_periods + s * (to.throttled_periods - from.throttled_periods),
                };
            }
            from = to;
        }
        from
    }

    /// CPU-seconds used up to a moment, to the microsecond.
    pub(super) fn cpu_seconds(&self, at_ms: i64) -> f64 {
        (self.mark_at(at_ms).cpu_seconds * 1e6).round() / 1e6
    }

    /// CFS periods up to a moment.
    pub(super) fn periods(&self, at_ms: i64) -> f64 {
        (self.mark_at(at_ms).after_ms * PERIODS_PER_MS).floor()
    }

    /// CFS periods in which the container was throttled, up to a moment.
    pub(super) fn throttled_periods(&self, at_ms: i64) -> f64 {
        self.mark_at(at_ms).throttled_periods.floor()
    }
}

fn pages(bytes: f64) -> u64 {
    bytes.max(0.0) as u64 / PAGE * PAGE
}

/// CPU over the run: the work in equal pieces of uneven size, each stretched where it wants more than the limit.
fn cpu_marks(cpu: Cpu, cores: f64, limit_millis: Option<u64>, wanted_ms: f64, seed: u64) -> (i64, [Mark; SEGMENTS]) {
    let mut weights = [1.0; SEGMENTS];
    for (i, w) in weights.iter_mut().enumerate() {
        *w += cpu.unevenness * (2.0 * share(mix(seed, i as u64)) - 1.0);
    }
    let mean = weights.iter().sum::<f64>() / SEGMENTS as f64;
    let piece_ms = wanted_ms / SEGMENTS as f64;
    let limit = limit_millis.map_or(f64::INFINITY, |m| m.max(1) as f64 / 1000.0);
    let mut marks = [Mark::default(); SEGMENTS];
    let mut at = Mark::default();
    for (w, mark) in weights.iter().zip(&mut marks) {
        let wants = cores * w / mean;
        let stretch = (wants / limit).max(1.0);
        at.after_ms += piece_ms * stretch;
        at.cpu_seconds += wants * piece_ms / 1000.0;
        at.throttled_periods += piece_ms * stretch * PERIODS_PER_MS * (1.0 - 1.0 / stretch);
        *mark = at;
    }
    (at.after_ms as i64, marks)
}
