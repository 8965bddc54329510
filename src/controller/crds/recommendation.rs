//! The definition of `Recommendation`: what one workload should ask for, and what is done about it.
//!
//! The spec is the workload's identity and nothing else: everything that is learned is status, so that nobody's hand
//! edits and podfit's writes meet in one field.

use serde_json::{Value, json};

use super::schema::{conditions, count, list, object, quantity, required, rule, text, time};

pub(super) fn definition() -> Value {
    let names = json!({
        "kind": "Recommendation", "listKind": "RecommendationList", "plural": super::RECOMMENDATIONS,
        "singular": "recommendation", "shortNames": ["rec"], "categories": ["podfit"],
    });
    let column = |name: &str, path: &str| json!({"name": name, "type": "string", "jsonPath": path});
    let columns = json!([
        column("Workload", ".spec.workload"),
        column("Runs", ".status.summary.runs"),
        column("Memory", ".status.summary.memory"),
        column("CPU", ".status.summary.cpu"),
        column("GiB·h/wk", ".status.summary.savedPerWeek"),
        column("Applied", ".status.summary.applied"),
        {"name": "Why", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Applied\")].message",
            "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let mut workload = text("The workload as podfit shows it, such as cronjob/nightly-report.", 1024);
    workload["pattern"] = json!("^[a-z-]+(/[^/]+)+$");
    let spec = rule(
        required(object("Which workload.", &[("workload", workload)]), &["workload"]),
        "self.workload == oldSelf.workload",
        "the workload of a Recommendation cannot be changed: delete it",
    );
    let schema = required(
        object(
            "What the next run of a recurring workload should ask for, with the evidence. Written by podfit; the \
             annotation podfit.dev/resize: \"off\" on it switches sizing off for the workload.",
            &[
                ("apiVersion", json!({"type": "string"})),
                ("kind", json!({"type": "string"})),
                ("metadata", json!({"type": "object"})),
                ("spec", spec),
                ("status", status()),
            ],
        ),
        &["spec"],
    );
    super::definition(&names, "Namespaced", &schema, &columns)
}

fn resources(description: &str) -> Value {
    object(
        description,
        &[
            ("cpuRequest", quantity("CPU request.")),
            ("cpuLimit", quantity("CPU limit.")),
            ("memoryRequest", quantity("Memory request.")),
            ("memoryLimit", quantity("Memory limit.")),
        ],
    )
}

fn status() -> Value {
    let summary = object(
        "One line for people.",
        &[
            ("runs", text("Finished runs that it rests on; of a service days, such as 14 d.", 40)),
            ("memory", text("Memory, now and recommended.", 80)),
            ("cpu", text("CPU request, now and recommended.", 80)),
            ("savedPerWeek", text("Memory that would no longer be reserved, GiB-hours a week.", 40)),
            ("applied", text("Whether pods get it: apply, canary, recommend, off, frozen, unknown.", 40)),
        ],
    );
    let container = required(
        object(
            "One container.",
            &[
                ("name", text("Its name.", 63)),
                ("current", resources("What its newest run asked for.")),
                ("recommended", resources("What it should ask for; what is not there stays as it is.")),
                (
                    "inForce",
                    resources(
                        "That within the policy's bounds: what a pod like the newest gets where sizes are applied.",
                    ),
                ),
                ("memoryLadder", list("Memory of the second try and further ones.", &quantity("One try's."), 10)),
                ("memoryByInput", by_input()),
                ("spark", spark()),
                ("flink", flink()),
                ("notes", list("Why: unknown, held back, raised after a kill.", &text("One reason.", 1000), 20)),
                ("evidence", evidence()),
                ("kill", kill()),
                ("frozen", frozen()),
            ],
        ),
        &["name"],
    );
    let mut containers = list("The containers that do the workload's work.", &container, 100);
    containers["x-kubernetes-list-type"] = json!("map");
    containers["x-kubernetes-list-map-keys"] = json!(["name"]);
    object(
        "What was learned, and what is done about it.",
        &[
            ("containers", containers),
            ("summary", summary),
            ("killsUntil", time("The newest kill for memory that is taken in.")),
            ("lastRun", time("End of the newest run.")),
            ("conditions", conditions()),
        ],
    )
}

fn by_input() -> Value {
    let size = object(
        "One size.",
        &[("upToInput", quantity("Largest input that it is for.")), ("memory", quantity("Memory, request and limit."))],
    );
    let size = required(size, &["upToInput", "memory"]);
    let what = "What is enough where the pod's annotation podfit.dev/input-bytes says how large its input is.";
    list(what, &size, 100)
}

fn spark() -> Value {
    object(
        "Of a Spark container: how the recommended memory is divided, where its heap is known.",
        &[
            ("heap", quantity("The heap.")),
            (
                "heapIsProven",
                json!({"type": "boolean", "description": "The JVMs have shown that it is the right one; else the one \
                    that is there stays, for want of evidence."}),
            ),
            ("overhead", quantity("All beside the heap: overhead, off-heap memory, Python.")),
            ("heapNow", quantity("The heap of the newest run.")),
            ("totalNow", quantity("The memory of the newest run.")),
        ],
    )
}

fn flink() -> Value {
    object(
        "Of a Flink process, whose size is the recommended memory, where its JVMs said something.",
        &[(
            "processIsProven",
            json!({"type": "boolean", "description": "The JVMs have shown that the size is enough; else it is only \
                raised."}),
        )],
    )
}

fn evidence() -> Value {
    object(
        "What the numbers rest on.",
        &[
            ("runs", count("Finished runs.")),
            ("days", count("Of a service, whose runs are days of its replicas: finished days.")),
            ("from", time("Start of the oldest.")),
            ("to", time("End of the newest.")),
            ("hoursPerWeek", amount("Hours that its runs take in a week.")),
            (
                "reservedPerWeek",
                amount("GiB-hours of memory that its runs reserve in a week, less what second tries would take."),
            ),
            ("peakMax", quantity("Highest memory peak.")),
            ("peakMedian", quantity("Median memory peak.")),
            ("oomKills", count("Runs killed for memory.")),
            ("memoryRule", text("The rule that gave the memory.", 100)),
            ("cpuRule", text("The rule that gave the CPU request.", 100)),
            (
                "failingShareAtMost",
                json!({"type": "number", "minimum": 0, "maximum": 1,
                    "description": "Share of runs that need a second try, at most, with 95 % confidence."}),
            ),
        ],
    )
}

fn amount(description: &str) -> Value {
    json!({"type": "number", "description": description})
}

fn kill() -> Value {
    required(
        object(
            "The newest kill for memory that no later run has answered.",
            &[
                ("limit", quantity("The limit that killed.")),
                ("at", time("When.")),
                ("pod", text("The pod.", 253)),
                ("loweredFrom", quantity("What it had before podfit lowered it, where podfit had.")),
            ],
        ),
        &["limit", "at"],
    )
}

fn frozen() -> Value {
    required(
        object(
            "Set after a shrink of podfit's led to a kill: memory is not lowered below this.",
            &[("memory", quantity("What it had before.")), ("until", time("Until when."))],
        ),
        &["memory", "until"],
    )
}
