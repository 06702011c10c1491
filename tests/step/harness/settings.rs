//! What a run is to do, from the environment.

use std::env;
use std::str::FromStr;

use crate::harness::point::Point;

/// What is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Everything, sampled.
    Short,
    /// Operations, at every point.
    Full,
    /// Peers, at every point.
    Peers,
    /// Stops, at every point, or sampled for a time.
    Stops,
}

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    pub form: Form,
    /// `EBBTIDE_SEED`.
    pub seed: u64,
    /// `EBBTIDE_STEP_KILLS`: random kills of each operation, in the short form.
    pub kills: u64,
    /// `EBBTIDE_STEP_EVERY`: only every so-manieth point, in the full form.
    pub every: usize,
    /// `EBBTIDE_STEP_OP`: one operation only.
    pub only: Option<String>,
    /// `EBBTIDE_STEP_K`: one kill only.
    pub point: Option<Point>,
    /// `EBBTIDE_STOP_LIFE`: one scenario only, in the sweep of stops.
    pub life: Option<String>,
    /// `EBBTIDE_STOP_FATE`: one fate of the stopped process only.
    pub fate: Option<String>,
    /// `EBBTIDE_STOP_SECONDS`: how long stops are sampled.
    pub seconds: Option<u64>,
    /// `EBBTIDE_STOP_INSTRUCTIONS=1`: stops before every instruction.
    pub instructions: bool,
    /// `EBBTIDE_STEP_JSON=1`: lines of JSON instead of the table.
    pub json: bool,
}

impl Settings {
    pub fn read() -> Self {
        let form = match env::var("EBBTIDE_STEP").as_deref() {
            Err(_) | Ok("short") => Form::Short,
            Ok("full") => Form::Full,
            Ok("peers") => Form::Peers,
            Ok("stops") => Form::Stops,
            Ok(other) => panic!("EBBTIDE_STEP={other}: it may be short, full, peers or stops"),
        };
        Self {
            form,
            seed: setting("EBBTIDE_SEED").unwrap_or_else(|| u64::from(std::process::id())),
            kills: setting("EBBTIDE_STEP_KILLS").unwrap_or(25),
            every: setting("EBBTIDE_STEP_EVERY").unwrap_or(1).max(1),
            only: setting("EBBTIDE_STEP_OP"),
            point: setting("EBBTIDE_STEP_K"),
            life: setting("EBBTIDE_STOP_LIFE"),
            fate: setting("EBBTIDE_STOP_FATE"),
            seconds: setting("EBBTIDE_STOP_SECONDS"),
            instructions: env::var_os("EBBTIDE_STOP_INSTRUCTIONS").is_some(),
            json: env::var_os("EBBTIDE_STEP_JSON").is_some(),
        }
    }

    /// Whether an operation is to be swept; by its name, or as the table has it.
    pub fn has(&self, name: &str) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|only| only.strip_suffix(" (points)").unwrap_or(only) == name)
    }

    /// Random numbers; the same for the same seed.
    pub fn random(&self) -> impl FnMut() -> u64 {
        let mut state = self.seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        }
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} is not understood");
    value
}
