//! The explicit-state search.
#![allow(dead_code)]

mod adapters;
mod automaton;
mod counting;
mod engine;
mod gate;
mod hash;
mod joining;
mod locks;
mod memory;
mod model;
mod resources;
mod run;
mod schedule;
mod search;
mod stamps;
mod stamps_small;
mod state;
mod system;
mod terms;
mod terms_small;
mod world;
