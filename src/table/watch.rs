//! Waiting for a phase to move: two words (the phase and the life of one laggard) however
//! many runners there are. SYNC POINT `membership` in `group.rs`; models:
//! `loom_tests/advance.rs`.

use crate::limits;
use crate::sync::mem::Woken;
use crate::sync::{Env, Mem, life};

use super::group::{Group, Look};
use super::scope::Scope;
#[cfg(test)]
use super::{Corrupt, control::Control};

impl<M: Mem, const N: usize> Group<M, N> {
    /// Sleeps until something about a blocked phase may have changed: the control word
    /// moved, the watched laggard died, a deadline or the bound of a sleep passed; or the
    /// word in `beside` (a waiter's other scope) moved.
    pub(crate) fn sleep<'c>(
        &self,
        scope: &'c Scope<M>,
        look: &'c Look<'_, M>,
        beside: Option<(M::Cell<'c>, u32)>,
        env: &impl Env<M>,
        until: u64,
    ) {
        let now = env.now();
        let bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
        let control = (scope.cell(), look.control().futex_half());
        let sleep = |life: Option<(M::Cell<'c>, u32)>, bound| {
            let _: Woken = match (life, beside) {
                (None, None) => M::wait(control.0, control.1, bound),
                (Some(other), None) | (None, Some(other)) => M::wait_any(&[control, other], bound),
                (Some(life), Some(beside)) => M::wait_any(&[control, life, beside], bound),
            };
        };
        match look {
            Look::Idle(_) => sleep(None, bound),
            Look::Blocked { laggard, until, .. } => match laggard.life {
                Some(word) => {
                    // A marked word is a death to look at, not to sleep on.
                    if let Some(value) = life::arm::<M>(word) {
                        sleep(Some((M::cell(word), value)), bound.min(*until));
                        life::pass_on::<M>([word]);
                    }
                }
                None => {
                    // Nothing tells of this one's death: probe again soon.
                    let soon = now.saturating_add(limits::PORTABLE_POLL_MICROS);
                    sleep(None, bound.min(*until).min(soon));
                }
            },
        }
    }

    /// Blocks until the group's shutdown is no longer in the epoch and phase of `seen`,
    /// advancing it when that falls to us. `None` when `until` passes first. What the waits of
    /// the API come to, for models and kill tests.
    #[cfg(test)]
    pub(crate) fn wait_past(
        &self,
        seen: Control,
        env: &impl Env<M>,
        until: u64,
    ) -> Result<Option<Control>, Corrupt> {
        loop {
            let look = self.advance(env)?;
            let control = look.control();
            if control.epoch() != seen.epoch() || control.stage()? != seen.stage()? {
                return Ok(Some(control));
            }
            if env.ends_wait(env.now(), until) {
                return Ok(None);
            }
            self.sleep(&self.scope, &look, None, env, until);
        }
    }
}
