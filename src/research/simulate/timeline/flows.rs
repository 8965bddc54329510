//! The three shapes of a run: parts one after the other, parts under a leader, pods that stay until the next rollout.
//! Each with the retries that its engine makes. Knows nothing of names or series.

use super::{Birth, Identity, Player};
use crate::research::simulate::instance::{End, Instance};
use crate::research::simulate::model::Engine;
use crate::research::simulate::pod::Pod;
use crate::research::simulate::random::{Rng, mix};

/// From the leader's creation to its first child, and from the last child's end to the leader's.
const LEAD_IN_MS: i64 = 15_000;
const LEAD_OUT_MS: i64 = 8_000;
/// A lost executor is replaced after so long, so many times per application.
const REPLACE_MS: i64 = 4_000;
const MAX_REPLACED: u32 = 12;

fn ended_well(pod: &Pod) -> bool {
    pod.last_instance().is_some_and(|l| l.end == End::Completed)
}

impl Player<'_> {
    /// Parts one after the other; a part that fails is tried again, and its last failure ends the run.
    pub(super) fn sequence(&mut self) {
        let in_place = matches!(self.model.engine, Engine::CronJob { restart_in_place: true });
        let mut at_ms = self.tick_ms;
        for part in 0..self.model.parts.len() {
            let mut done = false;
            for attempt in 1..=self.model.max_attempts.max(1) {
                let birth = Birth { part, at_ms, attempt, index: 1, fixed_ms: None };
                let Some((mut pod, identity)) = self.pod(&birth) else { return };
                if in_place {
                    self.restart(&mut pod, part, None);
                }
                done = ended_well(&pod);
                at_ms = pod.end_ms() + if done { 2_000 } else { self.model.retry_delay_ms };
                self.keep(pod, &identity);
                if done || in_place {
                    break;
                }
            }
            if !done {
                return;
            }
        }
    }

    /// Restarts the working container in its pod while it fails: until the tries are used up, or until a time.
    fn restart(&self, pod: &mut Pod, part: usize, until_ms: Option<i64>) {
        let Some(part) = self.part(part) else { return };
        let asks = part.asks_at(pod.created_ms, self.end_ms);
        let mut rng = Rng::new(mix(pod.key, 11));
        let mut left = if until_ms.is_some() { 50 } else { self.model.max_attempts.saturating_sub(1) };
        while left > 0 && !ended_well(pod) {
            let start_ms = pod.end_ms() + self.model.retry_delay_ms;
            let fixed_ms = until_ms.map(|t| t - start_ms);
            if start_ms > self.end_ms || fixed_ms.is_some_and(|ms| ms < 60_000) {
                return;
            }
            let instance: Instance = self.instance(&part.usage, &asks, start_ms, fixed_ms, &mut rng);
            if let Some(c) = pod.containers.first_mut() {
                c.instances.push(instance);
            }
            left -= 1;
        }
    }

    /// A driver with executors, or a run worker with steps: the leader lives as long as the others need it.
    pub(super) fn led_run(&mut self) {
        let mut at_ms = self.tick_ms;
        for attempt in 1..=self.model.max_attempts.max(1) {
            self.submission = attempt;
            let (mut children, done) = match self.model.engine {
                Engine::Dagster { .. } => self.steps(at_ms + LEAD_IN_MS),
                _ => self.executors(at_ms + LEAD_IN_MS),
            };
            let last = children.iter().map(|(p, _)| p.end_ms()).max().unwrap_or(at_ms + LEAD_IN_MS);
            let birth = Birth { part: 0, at_ms, attempt, index: 1, fixed_ms: Some(last + LEAD_OUT_MS - at_ms) };
            let Some((mut leader, identity)) = self.pod(&birth) else { break };
            let end_ms = leader.end_ms();
            let survived = ended_well(&leader);
            if survived && !done {
                if let Some(l) = leader.containers.first_mut().and_then(|c| c.instances.last_mut()) {
                    l.end = End::Failed;
                }
            } else if !survived {
                children.retain(|(p, _)| p.start_ms() < end_ms);
                for (pod, _) in &mut children {
                    pod.cut(end_ms);
                }
            }
            self.keep(leader, &identity);
            for (pod, identity) in children {
                self.keep(pod, &identity);
            }
            at_ms = end_ms + self.model.retry_delay_ms;
            if survived && done {
                break;
            }
        }
        self.submission = 0;
    }

    /// Executors side by side; each lost one is replaced under the next id.
    fn executors(&self, at_ms: i64) -> (Vec<(Pod, Identity)>, bool) {
        let count = self.part(1).map_or(0, |p| p.count.max(1));
        let mut waiting: Vec<(i64, u32)> = (0..count).map(|i| (at_ms + i64::from(i) * 250, 1)).collect();
        let (mut pods, mut id, mut replaced) = (Vec::new(), 0, 0);
        while let Some(next) = (0..waiting.len()).min_by_key(|i| waiting[*i].0) {
            let (at_ms, attempt) = waiting.swap_remove(next);
            id += 1;
            let birth = Birth { part: 1, at_ms, attempt, index: id, fixed_ms: None };
            let Some((pod, identity)) = self.pod(&birth) else { continue };
            if !ended_well(&pod) {
                replaced += 1;
                if replaced > MAX_REPLACED {
                    let end_ms = pod.end_ms();
                    pods.push((pod, identity));
                    pods.retain(|(p, _): &(Pod, Identity)| p.start_ms() < end_ms);
                    for (pod, _) in &mut pods {
                        pod.cut(end_ms);
                    }
                    return (pods, false);
                }
                waiting.push((pod.end_ms() + REPLACE_MS, attempt + 1));
            }
            pods.push((pod, identity));
        }
        (pods, true)
    }

    /// Steps one after the other, each with its own retries.
    fn steps(&self, at_ms: i64) -> (Vec<(Pod, Identity)>, bool) {
        let (mut at_ms, mut pods) = (at_ms, Vec::new());
        for part in 1..self.model.parts.len() {
            let mut done = false;
            for attempt in 1..=self.model.max_attempts.max(1) {
                let birth = Birth { part, at_ms, attempt, index: 1, fixed_ms: None };
                let Some((pod, identity)) = self.pod(&birth) else { return (pods, false) };
                done = ended_well(&pod);
                at_ms = pod.end_ms() + self.model.retry_delay_ms;
                pods.push((pod, identity));
                if done {
                    break;
                }
            }
            if !done {
                return (pods, false);
            }
        }
        (pods, true)
    }

    /// Pods that stay until the next rollout. A killed task manager is replaced by a new pod, others restart in place.
    pub(super) fn rollout(&mut self, next_tick_ms: Option<i64>) {
        // Without a next rollout they outlive the window.
        let until_ms = next_tick_ms.unwrap_or(self.end_ms + 3_600_000);
        for part in 0..self.model.parts.len() {
            let replace = part > 0 && matches!(self.model.engine, Engine::Flink);
            let count = self.part(part).map_or(0, |p| p.count.max(1));
            let mut index = count;
            for slot in 1..=count {
                let (mut at_ms, mut number, mut attempt) = (self.tick_ms, slot, 1);
                while until_ms - at_ms > 60_000 && attempt < 50 {
                    let birth = Birth { part, at_ms, attempt, index: number, fixed_ms: Some(until_ms - at_ms) };
                    let Some((mut pod, identity)) = self.pod(&birth) else { break };
                    if !replace {
                        self.restart(&mut pod, part, Some(until_ms));
                    }
                    let end_ms = pod.end_ms();
                    let done = ended_well(&pod) || !replace;
                    self.keep(pod, &identity);
                    if done {
                        break;
                    }
                    index += 1;
                    (at_ms, number, attempt) = (end_ms + REPLACE_MS, index, attempt + 1);
                }
            }
        }
    }
}
