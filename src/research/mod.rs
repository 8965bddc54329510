//! What shows whether podfit is right, and is no part of the service: made-up platforms whose true needs are known, and
//! other sizing rules that its own is compared with. `podfit demo`, `podfit backtest` and the tests use it; nothing that
//! sizes a pod may.

pub mod backtest;
pub mod baselines;
pub mod simulate;

#[cfg(test)]
mod replay_tests;
