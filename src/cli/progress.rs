//! A progress bar for long work; on a terminal only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::collector::Step;

/// Shows how far a collection is, on standard error.
pub struct Bar(ProgressBar);

impl Bar {
    /// Hidden unless standard error is a terminal.
    pub fn new(what: &str) -> Self {
        Self::counting(what, 0, "days")
    }

    /// The same, of a known number of things.
    pub fn counting(what: &str, all: usize, things: &str) -> Self {
        let bar = ProgressBar::new(all as u64);
        if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template(&format!("{{msg}} {{bar:30}} {{pos}}/{{len}} {things}"))
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Moves it to this many things.
    pub fn at(&self, done: usize) {
        self.0.set_position(done as u64);
    }

    /// Moves it.
    pub fn step(&self, step: Step) {
        let days = |ms: i64| u64::try_from(ms / 86_400_000).unwrap_or(0);
        self.0.set_length(days(step.total_ms));
        self.0.set_position(days(step.done_ms));
        self.0.set_message(format!("Reading history, {} runs", step.runs));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
