//! What can happen next in a state.

use super::automaton::Next;
use super::run::Access;
use super::search::Search;
use super::state::{Choice, Standing};
use super::system::Mortal;

impl Search<'_> {
    /// The next step of an actor, once for each of its variants.
    pub(super) fn steps_of(&self, actor: usize) -> impl Iterator<Item = Choice> + use<> {
        let node = self.state.actors[actor].node;
        let variants = match self.system.automata[actor].at(node) {
            Next::Access {
                access: Access::Choose(among),
                ..
            } => *among as u8,
            Next::Access {
                access: Access::Wake(cell, 1),
                ..
            } => self.state.sleepers(*cell, self.system).len().max(1) as u8,
            _ => 1,
        };
        let actor = actor as u8;
        (0..variants).map(move |variant| Choice::Step { actor, variant })
    }

    /// All that can happen next. Time passes by itself when nothing else can happen.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let (state, system) = (&self.state, &*self.system);
        let mut choices: Vec<Choice> = Vec::new();
        let mut sleepers = Vec::new();
        let has_time = state.ticks < system.max_ticks;
        for actor in 0..self.actors() {
            if state.is_able(actor) {
                choices.extend(self.steps_of(actor));
            }
            if let Some((until, _)) = state.sleep(actor, system)
                && until != u64::MAX
            {
                let wakes = Choice::TimesOut { actor: actor as u8 };
                match until <= state.clock {
                    true => choices.push(wakes),
                    false => sleepers.push(wakes),
                }
            }
        }
        self.add_deaths(&mut choices);
        match (choices.is_empty(), sleepers.is_empty()) {
            (true, true) => choices.push(Choice::Finally),
            (true, false) => choices.append(&mut sleepers),
            (false, _) if has_time => {
                choices.append(&mut sleepers);
                choices.push(Choice::Tick);
            }
            (false, _) => {}
        }
        self.add_kills(&mut choices);
        choices
    }

    /// What the kernel still owes to the dead.
    fn add_deaths(&self, choices: &mut Vec<Choice>) {
        for actor in 0..self.actors() {
            match self.state.actors[actor].standing {
                Standing::Killed => {
                    let variants = self.state.variants_of_death(actor, self.system);
                    let actor = actor as u8;
                    choices.extend((0..variants).map(|variant| Choice::Mark { actor, variant }));
                }
                Standing::Dead => {
                    let process = self.system.processes[actor];
                    let is_dead = |other: usize| {
                        self.system.processes[other] != process
                            || self.state.actors[other].standing == Standing::Dead
                    };
                    let bury = Choice::Bury {
                        process: process as u8,
                    };
                    if !self.system.words.bytes.is_empty()
                        && self.system.mortal[actor] == Mortal::Process
                        && self.state.buried >> process & 1 == 0
                        && (0..self.actors()).all(is_dead)
                        && !choices.contains(&bury)
                    {
                        choices.push(bury);
                    }
                }
                Standing::Ready | Standing::Asleep | Standing::Ended => {}
            }
        }
    }

    fn add_kills(&self, choices: &mut Vec<Choice>) {
        if self.state.kills >= self.system.max_kills {
            return;
        }
        for actor in 0..self.actors() {
            let standing = self.state.actors[actor].standing;
            if self.system.mortal[actor] != Mortal::Never
                && !matches!(standing, Standing::Killed | Standing::Dead)
            {
                let variants = self.state.variants_of_death(actor, self.system);
                let actor = actor as u8;
                choices.extend((0..variants).map(|variant| Choice::Kill { actor, variant }));
            }
        }
    }
}
