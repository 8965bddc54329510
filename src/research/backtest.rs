//! Every way of sizing over every group of runs: the replays, their scores, and ours beside the others.
//! Pure: groups come from the caller, files and clocks are not known here.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::baselines::{Autopilot, Krr, Request, Vpa};
use crate::sizing::estimator::{Estimator, MaxWithShrinkingMargin};
use crate::sizing::recommended;
use crate::sizing::replay::{FEWEST_RUNS, MOST_RUNS, NODE_BYTES, Protocol, Row, Rules, decisions};
use crate::sizing::score::{Score, Tally};

/// Runs of one task, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Where they come from: a data set, or a namespace.
    pub source: String,
    /// The workflow.
    pub workflow: String,
    /// The task in it.
    pub task: String,
    /// The first [`MOST_RUNS`] of them.
    pub rows: Vec<Row>,
    /// How many there are in all.
    pub runs: usize,
    /// Whether a run started before the one above it.
    pub out_of_order: bool,
}

/// Groups as they are read, row by row; no more rows are kept than are replayed.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    all: Vec<Group>,
    places: HashMap<String, usize>,
    key: String,
}

impl Groups {
    /// Adds the next run of a task.
    pub fn add(&mut self, source: &str, workflow: &str, task: &str, row: Row) {
        self.key.clear();
        for part in [source, "\0", workflow, "\0", task] {
            self.key.push_str(part);
        }
        let place = self.places.get(self.key.as_str()).copied().unwrap_or_else(|| {
            self.places.insert(self.key.clone(), self.all.len());
            let [source, workflow, task] = [source, workflow, task].map(str::to_owned);
            self.all.push(Group { source, workflow, task, ..Group::default() });
            self.all.len() - 1
        });
        let group = &mut self.all[place];
        group.runs += 1;
        if group.rows.len() < MOST_RUNS {
            let before = group.rows.last().and_then(|r| r.start_seconds);
            group.out_of_order |= before.zip(row.start_seconds).is_some_and(|(before, now)| now < before);
            group.rows.push(row);
        }
    }

    /// All groups, in the order of their first runs.
    pub fn all(&self) -> &[Group] {
        &self.all
    }

    /// Those with enough runs.
    pub fn replayed(&self) -> Vec<&Group> {
        self.all.iter().filter(|g| g.runs >= FEWEST_RUNS).collect()
    }
}

/// How a backtest is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// When a recommendation is asked for.
    pub protocol: Protocol,
    /// Whether a run is known only when it ended before the next started.
    pub finished_only: bool,
    /// Share of its run time after which an attempt with too little memory fails.
    pub time_to_failure: f64,
    /// Memory of the largest node, in bytes.
    pub node_bytes: f64,
    /// The same for single sources.
    pub node_bytes_of: BTreeMap<String, f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protocol: Protocol::Block,
            finished_only: false,
            time_to_failure: 1.0,
            node_bytes: NODE_BYTES,
            node_bytes_of: BTreeMap::new(),
        }
    }
}

/// A way of sizing that takes part.
struct Method {
    name: &'static str,
    make: fn() -> Box<dyn Estimator>,
    /// Whether it is asked before every run, whatever the protocol.
    every_run: bool,
    /// Whether it knows only what ended, where that is asked for.
    finished_only: bool,
    /// Whether a run without answer gets its request, or the node.
    fall_back: bool,
}

impl Method {
    const fn new(name: &'static str, make: fn() -> Box<dyn Estimator>) -> Self {
        Self { name, make, every_run: false, finished_only: true, fall_back: true }
    }

    fn decide(&self, group: &Group, node_bytes: f64, settings: &Settings) -> Vec<Option<f64>> {
        let rules = Rules {
            protocol: if self.every_run { Protocol::Walk } else { settings.protocol },
            finished_only: settings.finished_only && self.finished_only,
            node_bytes,
            fall_back: self.fall_back,
        };
        decisions(&group.rows, (self.make)().as_mut(), &rules)
    }
}

/// Ours.
const OURS: Method = Method::new("podfit", recommended);
/// What all are compared with.
const REFERENCE: &str = "KRR";

fn methods() -> Vec<Method> {
    vec![
        OURS,
        Method::new(REFERENCE, || Box::<Krr>::default()),
        Method::new("VPA", || Box::<Vpa>::default()),
        Method::new("Autopilot", || Box::<Autopilot>::default()),
        Method::new("shrinking margin", || Box::<MaxWithShrinkingMargin>::default()),
        Method { every_run: true, fall_back: false, ..Method::new("requests", || Box::<Request>::default()) },
    ]
}

/// How one method did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodScore {
    /// Its name.
    pub name: &'static str,
    /// Its formula.
    pub formula: &'static str,
    /// Whether it is the one that recommendations come from.
    pub ours: bool,
    /// Over all workflows.
    pub score: Score,
}

/// One workflow, ours beside the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Workflow {
    /// Where it comes from.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Tasks replayed.
    pub tasks: usize,
    /// With ours.
    pub ours: Tally,
    /// With the reference.
    pub reference: Tally,
}

/// What a backtest found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backtest {
    /// When recommendations were asked for.
    pub protocol: Protocol,
    /// Whether only runs that had ended were known.
    pub finished_only: bool,
    /// Share of its run time after which an attempt fails.
    pub time_to_failure: f64,
    /// Tasks replayed.
    pub tasks: usize,
    /// Ours first.
    pub methods: Vec<MethodScore>,
    /// In the order of their first runs.
    pub workflows: Vec<Workflow>,
    /// What was left out and what to do about it.
    pub notes: Vec<String>,
}

impl Backtest {
    /// Ours; there always is one.
    pub fn ours(&self) -> Option<&MethodScore> {
        self.methods.iter().find(|m| m.ours)
    }

    /// What all are compared with.
    pub fn reference(&self) -> Option<&MethodScore> {
        self.methods.iter().find(|m| m.name == REFERENCE)
    }
}

/// Replays all groups with all methods. `done` hears how many groups are done, and of each what ours would have given.
///
/// # Errors
/// What `done` says.
pub fn run<E>(
    groups: &[&Group],
    settings: &Settings,
    mut done: impl FnMut(usize, &Group, &[Option<f64>]) -> Result<(), E>,
) -> Result<Backtest, E> {
    let methods = methods();
    let every_run =
        Method { every_run: true, finished_only: false, ..Method::new(REFERENCE, || Box::<Krr>::default()) };
    let mut workflows: Vec<Workflow> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut tallies: Vec<Vec<Tally>> = vec![Vec::new(); methods.len() + 1];
    for (number, group) in groups.iter().enumerate() {
        let place = *places.entry((&group.source, &group.workflow)).or_insert_with(|| {
            let (source, name) = (group.source.clone(), group.workflow.clone());
            let (ours, reference) = (Tally::default(), Tally::default());
            workflows.push(Workflow { source, name, tasks: 0, ours, reference });
            for tally in &mut tallies {
                tally.push(Tally::default());
            }
            workflows.len() - 1
        });
        workflows[place].tasks += 1;
        let node = settings.node_bytes_of.get(&group.source).copied().unwrap_or(settings.node_bytes);
        for (method, tally) in methods.iter().chain([&every_run]).zip(&mut tallies) {
            let given = method.decide(group, node, settings);
            tally[place].add_group(&group.rows, &given, node, settings.time_to_failure);
            if method.name == OURS.name {
                done(number + 1, group, &given)?;
            }
        }
    }
    let reference = methods.iter().position(|m| m.name == REFERENCE).unwrap_or(0);
    for (place, workflow) in workflows.iter_mut().enumerate() {
        (workflow.ours, workflow.reference) = (tallies[0][place], tallies[reference][place]);
    }
    let scores = methods.iter().zip(&tallies).map(|(method, tally)| MethodScore {
        name: method.name,
        formula: (method.make)().formula(),
        ours: method.name == OURS.name,
        score: Score::of(tally, &tallies[reference], &tallies[methods.len()]),
    });
    Ok(Backtest {
        protocol: settings.protocol,
        finished_only: settings.finished_only,
        time_to_failure: settings.time_to_failure,
        tasks: groups.len(),
        methods: scores.collect(),
        workflows,
        notes: Vec::new(),
    })
}
