//! When certificates are renewed and a CA is replaced, such that no client ever meets one that it cannot verify.
//! Must not know cryptography, Secrets or the clock: a state, a time and names come in, one step comes out.
//!
//! A change of CA takes four steps, each safe to be interrupted and repeated:
//! 1. `AddNext`: a next CA joins the bundle. It signs nothing yet.
//! 2. `Publish`: the bundle goes into the webhook configurations, and when that was is noted.
//! 3. `Switch`: after [`PROPAGATION`] the next CA becomes the one that signs; a new leaf is made at once.
//! 4. `DropPrevious`: after [`RETIREMENT`] nobody serves what the old CA signed, and it leaves the bundle.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::authority::{CA_LIFE, LEAF_LIFE};
use super::names::ServerNames;

/// How long a bundle is out before a certificate relies on it: a day. API servers see a webhook configuration within
/// seconds; several of them, one of them restarting or cut off, get a day, since nothing hurries.
pub const PROPAGATION: SignedDuration = SignedDuration::from_hours(24);
/// How long the old CA stays in the bundle after the last certificate it signed was replaced: a week. A replica reads a
/// new Secret within about two minutes; one that cannot is found by its expiry gauge in that time.
pub const RETIREMENT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How much earlier than needed a change of CA begins: 90 days before a leaf of full life would not fit into the CA's.
pub const ROLL_MARGIN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The part of a leaf's life after which it is renewed: two thirds, which leaves four months of a year for whatever
/// keeps a renewal from happening. cert-manager does the same.
pub const RENEW_AFTER: (i32, i32) = (2, 3);

/// The spans that rotation goes by. The default is made of the constants; tests use others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Life of a CA.
    pub ca: SignedDuration,
    /// Life of a leaf.
    pub leaf: SignedDuration,
    /// From publishing a bundle to relying on it.
    pub propagation: SignedDuration,
    /// From the last use of a CA to its removal.
    pub retirement: SignedDuration,
    /// How early a change of CA begins.
    pub roll_margin: SignedDuration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            ca: CA_LIFE,
            leaf: LEAF_LIFE,
            propagation: PROPAGATION,
            retirement: RETIREMENT,
            roll_margin: ROLL_MARGIN,
        }
    }
}

/// From when until when something is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub until: Timestamp,
}

impl Validity {
    fn at(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    fn renewal(&self) -> Timestamp {
        let life = self.until.duration_since(self.from);
        self.from.saturating_add(life / RENEW_AFTER.1 * RENEW_AFTER.0).unwrap_or(self.until)
    }
}

/// The CA that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Its certificate's.
    pub validity: Validity,
    /// Whether its key is there.
    pub can_sign: bool,
}

/// The CA that will sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its certificate's.
    pub validity: Validity,
    /// When a bundle that holds it was out, if it was.
    pub published: Option<Timestamp>,
}

/// The certificate that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its own.
    pub validity: Validity,
    /// What it covers.
    pub names: BTreeSet<String>,
    /// Whether its key belongs to it and a CA of the bundle has signed it.
    pub is_sound: bool,
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The CA that signs.
    pub signer: Option<Signer>,
    /// The CA that will.
    pub next: Option<Next>,
    /// When the CAs that signed before may leave the bundle; absent when there is none.
    pub previous_until: Option<Timestamp>,
    /// What is served.
    pub leaf: Option<Leaf>,
}

/// The one thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before that time.
    Keep {
        /// When to look again at the latest.
        until: Timestamp,
    },
    /// Make a CA and a leaf: there is none that anybody could trust.
    StartOver,
    /// Make a leaf, signed by the CA that signs.
    RenewLeaf(Why),
    /// Make a CA that will sign, and take it into the bundle.
    AddNext(Why),
    /// Write the bundle into the webhook configurations, then note the time.
    Publish,
    /// The next CA signs from now on: make a leaf with it; the CA before stays in the bundle.
    Switch,
    /// Take the CAs that no longer sign out of the bundle.
    DropPrevious,
}

/// Why something is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time has come.
    Age,
    /// There is none, it is damaged, or it has ended.
    Unusable,
    /// It does not cover a name that is wanted.
    Names,
}

/// What to do at `now`. To be asked again after each step until it says [`Step::Keep`].
pub fn plan(state: &State, names: &ServerNames, lifetimes: &Lifetimes, now: Timestamp) -> Step {
    let after = |time: Timestamp, span: SignedDuration| time.saturating_add(span).unwrap_or(Timestamp::MAX);
    // A CA from the future is a clock that was set back, no reason to make another.
    let Some(signer) = state.signer.filter(|s| now < s.validity.until) else {
        // Whoever trusts a published next CA need not be told of another.
        let ready = state.next.is_some_and(|n| n.published.is_some() && n.validity.at(now));
        return if ready { Step::Switch } else { Step::StartOver };
    };
    let renewal = leaf_renewal(state.leaf.as_ref(), names, now);
    if let (Err(why), true) = (renewal, signer.can_sign) {
        return Step::RenewLeaf(why);
    }
    // One that has waited through years of absence is not worth a change.
    let next = state.next.filter(|n| n.validity.at(now) && after(now, lifetimes.leaf) <= n.validity.until);
    let roll = signer.validity.until.saturating_sub(lifetimes.leaf + lifetimes.roll_margin).unwrap_or(Timestamp::MIN);
    let mut wake = vec![after(now, lifetimes.propagation)];
    match next {
        None if !signer.can_sign => return Step::AddNext(Why::Unusable),
        None if now >= roll => return Step::AddNext(Why::Age),
        None => wake.push(roll),
        Some(Next { published: None, .. }) => return Step::Publish,
        Some(Next { published: Some(published), .. }) => {
            // A published time from the future is a clock that was set back: it counts from now on.
            let switch = after(published, lifetimes.propagation).min(after(now, lifetimes.propagation));
            // Who serves nothing that is of use has nothing to wait for.
            if now >= switch || renewal == Err(Why::Unusable) {
                return Step::Switch;
            }
            wake.push(switch);
        }
    }
    if let Ok(renewal) = renewal {
        if now >= renewal && signer.can_sign && renews_usefully(state.leaf.as_ref(), &signer) {
            return Step::RenewLeaf(Why::Age);
        }
        wake.push(renewal);
    }
    if let Some(until) = state.previous_until {
        if now >= until {
            return Step::DropPrevious;
        }
        wake.push(until);
    }
    let until = wake.into_iter().filter(|t| *t > now).min().unwrap_or(now);
    Step::Keep { until }
}

/// When a leaf that is fit is renewed, or why it is not fit.
fn leaf_renewal(leaf: Option<&Leaf>, names: &ServerNames, now: Timestamp) -> Result<Timestamp, Why> {
    let leaf = leaf.filter(|l| l.is_sound && l.validity.at(now)).ok_or(Why::Unusable)?;
    if names.all().iter().any(|name| !leaf.names.contains(name)) {
        return Err(Why::Names);
    }
    Ok(leaf.validity.renewal())
}

/// A leaf that already lasts as long as its CA gains nothing by being made again.
fn renews_usefully(leaf: Option<&Leaf>, signer: &Signer) -> bool {
    leaf.is_none_or(|l| l.validity.until < signer.validity.until)
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
