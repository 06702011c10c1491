//! Doing what the person asked for. Looking needs no attachment; this does, so the view is
//! attached for the moment, or until the shutdown that it began is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use ebbtide::{
    CoordinationError, Initiation, ReasonCode, SegmentOptions, ShutdownCoordinator, ShutdownReport,
    ShutdownRequest, Token, Wait,
};

use super::keys::{Action, BUDGET, MORE, name};
use super::wake::Ringer;
use crate::exit::chain;
use crate::output::plain;
use crate::render::time;

/// Up to where the person may stretch what was begun here.
const CAP: u32 = 20;

/// The view's hand on the segment.
pub struct Hand<'a> {
    options: &'a SegmentOptions,
    /// Of the very segment that is looked at, not of another of its name.
    token: Token,
    waker: Waker,
    /// Shutdowns begun here. Somebody attached must force a phase whose time is up, and
    /// there may be nobody else: all runners may be frozen.
    driven: Vec<Wait<ShutdownReport>>,
}

impl<'a> Hand<'a> {
    pub fn new(options: &'a SegmentOptions, token: Token, ringer: Ringer) -> Self {
        Self {
            options,
            token,
            waker: Arc::new(ringer).into(),
            driven: Vec::new(),
        }
    }

    /// Does it; what came of it, and whether that is bad.
    pub fn act(&mut self, action: &Action) -> (String, bool) {
        match self.attempt(action) {
            Ok(text) => (text, false),
            Err(error) => (plain(&chain(&error)), true),
        }
    }

    fn attempt(&mut self, action: &Action) -> Result<String, CoordinationError> {
        let segment = self.options.open_token(&self.token)?;
        let coordinator = ShutdownCoordinator::new(&segment);
        Ok(match action {
            Action::ShutDown(scope) => {
                let request = ShutdownRequest::new()
                    .timeout(BUDGET)
                    .cap(BUDGET * CAP)
                    .reason(ReasonCode::Requested, "by hand in `ebbtide status --watch`");
                let initiation = coordinator.initiate_shutdown(scope, &request)?;
                self.driven.push(coordinator.shutdown_complete(scope)?);
                self.go_on();
                let what = match initiation {
                    Initiation::Drives => "the shutdown has begun",
                    Initiation::Merged => "merged into the shutdown under way",
                    _ => "the shutdown is over already; its outcome stands",
                };
                format!("{}: {what}", name(scope))
            }
            Action::Escalate(scope, mode) => {
                coordinator.escalate(scope, *mode)?;
                format!("{}: the shutdown is {mode} now", name(scope))
            }
            Action::Cancel(scope) => {
                coordinator.cancel_shutdown(scope)?;
                format!("{}: the shutdown is called off", name(scope))
            }
            Action::Extend(scope) => {
                let granted = coordinator.extend(scope, MORE)?;
                format!("{}: {} more", name(scope), time(granted))
            }
        })
    }

    /// Lets go of what is over. The waiting itself is done by the library's thread.
    pub fn go_on(&mut self) {
        let mut context = Context::from_waker(&self.waker);
        self.driven
            .retain_mut(|wait| Pin::new(wait).poll(&mut context).is_pending());
    }
}
