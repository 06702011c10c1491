//! All states of the removal protocol, by breadth-first search: removers, creators and an
//! attacher, each stopped at any step for any length, or killed there. To be stopped is not
//! to be scheduled, so it needs no move of its own.
//!
//! The order of a remover's steps is the shipped one, [`Step::next`]; what the kernel does
//! is modelled: one name, one lock for each byte, a link that fails where the name is taken.

use std::collections::{HashMap, VecDeque};

use super::super::remove::Step;

const FILES: usize = 3;
const ACTORS: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Remover {
        force: bool,
    },
    /// `create` and `open_or_create`, with their leftover path.
    Creator,
    Attacher,
    /// Unlinks the name without asking anybody.
    Person,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Begin,
    /// Has found the file by its name and is about to do this step.
    Removing(usize, Step),
    /// Has found no name.
    Linking,
    /// Has found the file by its name.
    Opened(usize),
    /// Has its life byte.
    Held(usize),
    /// Has seen no mark after that.
    Attached(usize),
    Dead,
}

/// What is done otherwise than shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// As it was: with force no byte, without force the life bytes alone.
    NoByte,
    /// The name is not read again under the byte: the look-up before it must do.
    NoCheck,
    /// The byte is given back before the unlink.
    EarlyRelease,
    /// Creators finish leftovers without the byte.
    FreeLeftovers,
    /// Without force, the removers' byte is taken but not the life bytes.
    NoLifeBytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    name: Option<usize>,
    made: usize,
    marked: [bool; FILES],
    at: [At; ACTORS],
}

struct Model {
    roles: [Role; ACTORS],
    fault: Fault,
}

impl Model {
    /// Whether a remover of this role, once it has the bytes, holds the removers' byte and
    /// all life bytes.
    fn bytes(&self, role: Role) -> (bool, bool) {
        let without_force = role == Role::Remover { force: false };
        match self.fault {
            Fault::NoByte => (false, without_force),
            Fault::NoLifeBytes => (true, false),
            Fault::FreeLeftovers => (role != Role::Creator, without_force),
            _ => (true, without_force),
        }
    }

    /// Whether a remover holds the removers' byte of the file, whether one holds its life
    /// bytes, and whether an attacher holds one of those.
    fn held(&self, state: &State, file: usize) -> [bool; 3] {
        let mut held = [false; 3];
        for (at, role) in state.at.iter().zip(self.roles) {
            match *at {
                At::Removing(of, step) if of == file && step > Step::Take => {
                    let early = self.fault == Fault::EarlyRelease && step >= Step::Unlink;
                    let (byte, lives) = self.bytes(role);
                    held[0] |= byte && !early;
                    held[1] |= lives && !early;
                }
                At::Held(of) | At::Attached(of) if of == file => held[2] = true,
                _ => {}
            }
        }
        held
    }

    /// The next state if this actor moves; `None` if it waits for others or has nothing to
    /// do, an error if what it does is wrong.
    fn step(&self, old: &State, actor: usize) -> Result<Option<State>, &'static str> {
        let (mut new, role) = (*old, self.roles[actor]);
        new.at[actor] = match (old.at[actor], role) {
            (At::Dead, _) => return Ok(None),
            (At::Begin, Role::Person) => {
                new.name = None;
                At::Begin
            }
            (At::Begin, Role::Remover { .. }) => match old.name {
                Some(file) => At::Removing(file, Step::Take),
                None => return Ok(None),
            },
            (At::Begin, Role::Creator) => match old.name {
                Some(file) if old.marked[file] => At::Removing(file, Step::Take),
                Some(_) => return Ok(None),
                None => At::Linking,
            },
            (At::Begin, Role::Attacher) => match old.name {
                Some(file) if !old.marked[file] => At::Opened(file),
                _ => return Ok(None),
            },
            (At::Linking, _) => {
                if old.name.is_none() && old.made < FILES {
                    new.name = Some(old.made);
                    new.made += 1;
                }
                At::Begin
            }
            // Its own byte, which a remover has only with all others.
            (At::Opened(file), _) if self.held(old, file)[1] => return Ok(None),
            (At::Opened(file), _) => At::Held(file),
            (At::Held(file), _) if old.marked[file] || old.name != Some(file) => At::Begin,
            (At::Held(file), _) => At::Attached(file),
            (At::Attached(_) | At::Removing(_, Step::Over), _) => At::Begin,
            (At::Removing(file, step), _) => {
                let done = self.remover(old, &mut new, role, file, step)?;
                // A Take without effect changes nothing: to try again, or to give up and
                // begin again, leads to no other state.
                At::Removing(file, step.next(done))
            }
        };
        Ok(Some(new))
    }

    fn remover(
        &self,
        old: &State,
        new: &mut State,
        role: Role,
        file: usize,
        step: Step,
    ) -> Result<bool, &'static str> {
        match step {
            Step::Take => {
                let ((byte, lives), held) = (self.bytes(role), self.held(old, file));
                Ok(!(byte && held[0] || lives && (held[1] || held[2])))
            }
            Step::Mark => {
                let force = role != Role::Remover { force: false };
                if !force && old.at.contains(&At::Attached(file)) {
                    return Err("a segment in use was removed without force");
                }
                new.marked[file] = true;
                Ok(true)
            }
            Step::Check => Ok(self.fault == Fault::NoCheck || old.name == Some(file)),
            Step::Unlink if old.name.is_some_and(|other| other != file) => {
                Err("the name of another segment was taken away")
            }
            Step::Unlink => {
                new.name = None;
                Ok(true)
            }
            Step::Over => Ok(true),
        }
    }

    /// The number of states, and what is wrong in one of them with the actors that led there.
    fn search(&self) -> (usize, Option<(&'static str, Vec<usize>)>) {
        let begin = State {
            name: None,
            made: 0,
            marked: [false; FILES],
            at: [At::Begin; ACTORS],
        };
        let mut came_from = HashMap::from([(begin, None)]);
        let mut queue = VecDeque::from([begin]);
        while let Some(state) = queue.pop_front() {
            for actor in 0..ACTORS {
                let killed = (state.at[actor] != At::Dead).then(|| {
                    let mut killed = state;
                    killed.at[actor] = At::Dead;
                    killed
                });
                let moved = match self.step(&state, actor) {
                    Ok(moved) => moved,
                    Err(wrong) => {
                        let (mut path, mut at) = (vec![actor], state);
                        while let Some((before, by)) = came_from[&at] {
                            path.insert(0, by);
                            at = before;
                        }
                        return (came_from.len(), Some((wrong, path)));
                    }
                };
                for next in [killed, moved].into_iter().flatten() {
                    came_from.entry(next).or_insert_with(|| {
                        queue.push_back(next);
                        Some((state, actor))
                    });
                }
            }
        }
        (came_from.len(), None)
    }
}

const FORCED: Role = Role::Remover { force: true };
const UNFORCED: Role = Role::Remover { force: false };

const CASTS: [[Role; ACTORS]; 3] = [
    [
        UNFORCED,
        FORCED,
        Role::Creator,
        Role::Creator,
        Role::Attacher,
    ],
    [
        UNFORCED,
        UNFORCED,
        Role::Creator,
        Role::Attacher,
        Role::Attacher,
    ],
    [FORCED, FORCED, UNFORCED, Role::Creator, Role::Creator],
];

#[test]
fn in_no_state_is_the_name_of_another_segment_taken() {
    for roles in CASTS {
        let fault = Fault::None;
        let (states, found) = Model { roles, fault }.search();
        println!("{roles:?}: {states} states");
        assert_eq!(found, None, "{roles:?}");
        assert!(states > 10_000, "{states}");
    }
}

#[test]
fn each_part_of_the_protocol_is_needed() {
    for fault in [
        Fault::NoByte,
        Fault::NoCheck,
        Fault::EarlyRelease,
        Fault::FreeLeftovers,
        Fault::NoLifeBytes,
    ] {
        let mut found = CASTS.iter().filter_map(|&roles| {
            let found = Model { roles, fault }.search().1?;
            println!("{fault:?}: {} by {:?}", found.0, found.1);
            Some(found.0)
        });
        let wanted = match fault {
            Fault::NoLifeBytes => "a segment in use was removed without force",
            _ => "the name of another segment was taken away",
        };
        assert!(found.any(|wrong| wrong == wanted), "{fault:?}");
    }
}

/// The limit of what can be promised.
#[test]
fn a_bare_unlink_is_outside_of_the_protocol() {
    let roles = [
        UNFORCED,
        FORCED,
        Role::Creator,
        Role::Attacher,
        Role::Person,
    ];
    let fault = Fault::None;
    let found = Model { roles, fault }.search().1;
    assert_eq!(
        found.unwrap().0,
        "the name of another segment was taken away"
    );
}
