//! Nothing, by the same names.

use std::time::Duration;

use crate::api::coordinator::Initiation;
use crate::api::core::Tables;
use crate::api::report::{HandlerOutcome, ShutdownReport};
use crate::api::request::{Scope, ShutdownRequest};
use crate::phase::{Mode, Phase};

#[must_use]
pub(crate) struct Entered;

pub(crate) struct Carried;

impl Carried {
    #[inline(always)]
    pub(crate) fn here() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn within<T>(&self, body: impl FnOnce() -> T) -> T {
        body()
    }
}

macro_rules! nothing {
    ($($name:ident($($type:ty),*) $(-> $answer:ident)?;)*) => {
        $(
            #[inline(always)]
            pub(crate) fn $name($(_: $type),*) $(-> $answer)? {
                $($answer)?
            }
        )*
    };
}
nothing! {
    run_shutdown(&str, &str, u32) -> Entered;
    shutdown_ended(&ShutdownReport);
    phase(Phase) -> Entered;
    phase_done(Phase, bool);
    handler(&str, Phase) -> Entered;
    handler_ended(&HandlerOutcome);
    resource(&str) -> Entered;
    resource_ended(&Result<(), String>);
    resource_given_up(impl FnOnce() -> String, &str);
    initiated(&Scope, Initiation, &ShutdownRequest);
    escalated(&Scope, Mode, Mode);
    extended(&Scope, Duration);
    cancelled(&Scope);
    owner_died(impl FnOnce() -> String);
}

#[derive(Debug, Default)]
pub(crate) struct Deaths;

impl Deaths {
    #[inline(always)]
    pub(crate) fn saw(&self, _: usize, _: impl FnOnce() -> Option<(u64, u32)>) {}

    #[inline(always)]
    pub(crate) fn tell(&self, _: &Tables) {}
}
