//! Plays a workload's model over a window of time: which pods came, when, in which order, and how they ended.
//! Knows nothing of series; names come from the identity, use from the life.

use super::calendar::{DAY_MS, weekday};
use super::identity::{Identity, RunPosition, identify};
use super::instance::{End, Instance, Setting};
use super::model::{Asks, Engine, MIB, Part, Usage, WorkloadModel};
use super::pod::{Container, Parent, Pod};
use super::random::{Names, Rng, mix, of_text};

mod flows;
mod retention;

/// The pods of one model and the objects above them.
#[derive(Default)]
pub(super) struct Played {
    pub(super) pods: Vec<Pod>,
    pub(super) parents: Vec<Parent>,
}

/// A model, the window, and the key of all its random choices.
pub(super) struct Player<'a> {
    model: &'a WorkloadModel,
    start_ms: i64,
    end_ms: i64,
    nodes: u32,
    key: u64,
    /// Which scheduled run is being played.
    unit: usize,
    tick_ms: i64,
    /// Tells the submissions of one run apart (an application that is submitted again).
    submission: u32,
    played: Played,
}

/// How a pod is to be made.
struct Birth {
    part: usize,
    at_ms: i64,
    attempt: u32,
    index: u32,
    fixed_ms: Option<i64>,
}

/// Plays the model from start to end; nothing starts outside.
pub(super) fn play(model: &WorkloadModel, start_ms: i64, end_ms: i64, nodes: u32, seed: u64) -> Played {
    let key = mix(seed, of_text(&format!("{}/{}", model.namespace, model.name)));
    let from_ms = model.last_days.map_or(start_ms, |d| start_ms.max(end_ms - i64::from(d) * DAY_MS));
    let mut player = Player {
        model,
        start_ms,
        end_ms,
        nodes: nodes.max(1),
        key,
        unit: 0,
        tick_ms: 0,
        submission: 0,
        played: Played::default(),
    };
    let mut ticks = model.schedule.times(from_ms, end_ms).peekable();
    while let Some(tick) = ticks.next() {
        player.tick_ms = tick;
        match model.engine {
            Engine::SparkNative | Engine::SparkScheduled | Engine::Dagster { .. } => player.led_run(),
            Engine::Flink | Engine::Deployment | Engine::StatefulSet => player.rollout(ticks.peek().copied()),
            _ => player.sequence(),
        }
        player.unit += 1;
    }
    retention::delete(model, end_ms, &mut player.played);
    player.played
}

impl Player<'_> {
    fn part(&self, index: usize) -> Option<&Part> {
        self.model.parts.get(index)
    }

    /// Random names shared by the pods of the present run.
    fn run_names(&self) -> Names {
        Names(mix(mix(self.key, self.tick_ms as u64), u64::from(self.submission)))
    }

    /// Makes a pod with one life of its working container; `None` when it would start after the window.
    fn pod(&self, birth: &Birth) -> Option<(Pod, Identity)> {
        if birth.at_ms > self.end_ms {
            return None;
        }
        let part = self.part(birth.part)?;
        let run = self.run_names();
        let place_key = (birth.part as u64) << 40 | u64::from(birth.index) << 16 | u64::from(birth.attempt);
        let key = mix(run.0, place_key + 1);
        let own = Names(key);
        let mut rng = Rng::new(key);
        let delay = rng.between(self.model.start_delay_ms.0, self.model.start_delay_ms.1);
        let node = (rng.next() % u64::from(self.nodes)) as u32;
        let identity = identify(&RunPosition {
            model: self.model,
            part: birth.part,
            tick_ms: self.tick_ms,
            run,
            own,
            attempt: birth.attempt,
            index: birth.index,
        });
        let asks = part.asks_at(birth.at_ms, self.end_ms);
        let instance = self.instance(&part.usage, &asks, birth.at_ms + delay, birth.fixed_ms, &mut rng);
        let main = Container {
            name: identity.container.to_owned(),
            image: part.image.clone(),
            asks,
            workload: identity.workload.clone(),
            instances: vec![instance],
            flink: part.flink,
        };
        let pod = Pod {
            namespace: self.model.namespace.clone(),
            name: identity.pod.clone(),
            uid: own.uuid("uid"),
            node,
            key,
            created_ms: birth.at_ms,
            deleted_ms: None,
            owner: identity.owner.clone(),
            labels: identity.labels.clone(),
            annotations: identity.annotations.clone(),
            containers: vec![main],
            attempt: birth.attempt,
            unit: self.unit,
        };
        Some((pod, identity))
    }

    fn instance(&self, usage: &Usage, asks: &Asks, start_ms: i64, fixed_ms: Option<i64>, rng: &mut Rng) -> Instance {
        let setting = Setting {
            usage,
            asks,
            start_ms,
            days: (self.tick_ms - self.start_ms) as f64 / DAY_MS as f64,
            weekday: weekday(self.tick_ms),
            mode: Rng::new(mix(self.key, self.tick_ms as u64)).uniform(),
            fail_share: if fixed_ms.is_some() { 0.0 } else { self.model.fail_share },
            fixed_ms,
        };
        Instance::draw(&setting, rng)
    }

    /// Takes the pod and what stands above it, and gives it its sidecar.
    fn keep(&mut self, mut pod: Pod, identity: &Identity) {
        if let Some(name) = identity.sidecar {
            pod.containers.push(self.sidecar(name, &pod, identity));
        }
        if let Some((kind, name, owner)) = &identity.parent
            && !self.played.parents.iter().rev().take(64).any(|p| p.kind == *kind && p.name == *name)
        {
            self.played.parents.push(Parent {
                kind: *kind,
                namespace: pod.namespace.clone(),
                name: name.clone(),
                owner: owner.clone(),
                created_ms: pod.created_ms,
                ended_ms: i64::MAX,
                deleted_ms: None,
            });
        }
        self.played.pods.push(pod);
    }

    /// A small helper container that lives as long as the working one and always ends well.
    fn sidecar(&self, name: &str, pod: &Pod, identity: &Identity) -> Container {
        let usage = Usage::flat(1.0, 0.002, 12 * MIB, 14 * MIB);
        let asks = Asks { cpu_request_millis: Some(1), memory_request_bytes: Some(10 * MIB), ..Asks::default() };
        let (start, end) = (pod.start_ms(), pod.end_ms());
        let mut instance = self.instance(&usage, &asks, start, Some(end - start), &mut Rng::new(mix(pod.key, 7)));
        instance.end_ms = end;
        instance.end = End::Completed;
        Container {
            name: name.to_owned(),
            image: "registry.marlow.example/base/sidecar:1.4.0".to_owned(),
            asks,
            workload: identity.workload.clone(),
            instances: vec![instance],
            flink: None,
        }
    }
}
