//! Which process is removing a segment: what it notes, and how others name it.

use crate::error::{Holder, SegmentError};
use crate::os::file::REMOVERS_LOCK;
use crate::os::process;
use crate::segment::header::{Body, Header, Remover};
use crate::segment::name::SegmentName;
use crate::segment::open::Opened;

impl<B: Body> Opened<B> {
    /// For an attacher that finds all life bytes held: the error that names the remover, if
    /// one holds them.
    pub(crate) fn being_removed(&self) -> Option<SegmentError> {
        let is_held = self.locks().is_held(REMOVERS_LOCK).is_ok_and(|held| held);
        is_held.then(|| being_removed(self.name(), Some(self.header())))
    }
}

pub(super) fn own_identity() -> Remover {
    let (start_time, pid_namespace) = process::own_identity();
    Remover {
        pid: std::process::id(),
        start_time,
        pid_namespace,
    }
}

pub(super) fn being_removed(name: &SegmentName, header: Option<&Header>) -> SegmentError {
    let remover = header.and_then(Header::remover).and_then(holder);
    SegmentError::InUse {
        name: name.to_string(),
        attached: Vec::new(),
        remover: Some(remover.unwrap_or_else(|| Holder {
            name: format!(
                "a process of unknown pid (`grep -l {REMOVERS_LOCK} /proc/[0-9]*/fdinfo/*` finds it)"
            ),
            pid: 0,
        })),
    }
}

/// The process that noted itself, unless it is known to have ended.
fn holder(noted: Remover) -> Option<Holder> {
    let Remover {
        pid, start_time, ..
    } = noted;
    let (_, own_namespace) = process::own_identity();
    let is_foreign = ![0, own_namespace].contains(&noted.pid_namespace);
    let name = if is_foreign {
        format!("process {pid} of another pid namespace")
    } else if process::is_stopped(pid, start_time) {
        format!("process {pid} (stopped)")
    } else {
        let is_another = |found: Option<u64>| start_time != 0 && found != Some(start_time);
        if process::start_time(pid).is_ok_and(is_another) {
            return None;
        }
        format!("process {pid}")
    };
    Some(Holder { name, pid })
}
