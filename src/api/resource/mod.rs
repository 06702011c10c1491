//! Resources: what a runner owns and closes, in the order that dependencies ask for.

mod cleanup;
mod closing;
mod entries;
mod manager;
mod news;
mod options;
mod patience;
mod reclaim;
mod registering;
mod report;
mod run_one;
mod system;
mod view;

pub(crate) use entries::Shared;
pub use manager::{ResourceHandle, ResourceManager};
pub use options::{CleanupContext, ResourceOptions};
pub use report::{
    CleanupReport, Leak, Reaped, Reclaim, ResourceReport, ResourceState, ResourceType,
};
pub use system::SystemResource;
