//! The shared state: one value, several at once, and with a writer in the way.

use std::hint::black_box;

use crate::Fallible;
use crate::outcome::{Case, Item, Role, Target};
use crate::peer::store::{Kind, Store};
use crate::plan::Plan;
use crate::timing::{Batch, batches_beside};
use crate::troop::{Lodging, Size, Task, Troop};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// By its name.
    Get,
    /// By ebbtide through a key prepared before; by the others as ever.
    GetKnown,
    Set,
    /// Four keys set at once.
    Transaction,
    /// Four keys read at once.
    Snapshot,
}

impl Deed {
    const ALL: [Self; 5] = [
        Self::Get,
        Self::GetKnown,
        Self::Set,
        Self::Transaction,
        Self::Snapshot,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get by name",
            Self::GetKnown => "get, key prepared",
            Self::Set => "set",
            Self::Transaction => "transaction of 4 x",
            Self::Snapshot => "snapshot of 4 x",
        }
    }
}

const KEYS: [&str; 4] = ["key-0", "key-1", "key-2", "key-3"];

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let mut cases = Vec::new();
    for pinned in plan.pinnings() {
        crate::pin(pinned)?;
        let mut troop = Troop::muster(
            1,
            Lodging {
                pinned,
                megabytes: 0,
            },
        )?;
        let place = troop.place(0, 1);
        let page = crate::troop::Mapped::open(&place.page_path())?;
        let segment = troop.segment.clone();
        let open = |kind| Store::open(kind, &place.scratch, &page, &segment);
        let stores: Vec<_> = Kind::ALL.into_iter().map(open).collect::<Result<_, _>>()?;
        for size in Size::ALL {
            for store in &stores {
                store.set_all(&KEYS, &vec![5; size.bytes()])?;
            }
            for deed in Deed::ALL {
                for races in plan.pick(vec![true], vec![false, true], vec![false, true]) {
                    let case = case(plan, &mut troop, &stores, (deed, size, races))?;
                    cases.push(case.pinned(pinned));
                }
            }
        }
        drop(stores);
        troop.dismiss()?;
    }
    Ok(Item {
        name: "state",
        title: "Shared state: get, set, transaction, snapshot",
        about: "The limit is a copy of so many bytes within one process. Once a key is prepared (`SharedStateManager::prepare`) a get \
                neither hashes nor searches. A racing writer, \
                another process, sets key-0 all the time by the same means. Transactions and \
                snapshots are of four keys; a file with rename has neither and does them one \
                by one. All files are in the shared-memory file system and never flushed.",
        cases,
        missing: Vec::new(),
    })
}

fn case(
    plan: &Plan,
    troop: &mut Troop,
    stores: &[Store<'_>],
    (deed, size, races): (Deed, Size, bool),
) -> Fallible<Case> {
    let value = vec![7; size.bytes()];
    let copies = match deed {
        Deed::Get | Deed::GetKnown | Deed::Set => 1,
        Deed::Transaction | Deed::Snapshot => KEYS.len(),
    };
    let mut copy = Vec::with_capacity(size.bytes());
    let mut contenders = vec![Batch::new("memcpy", Role::Limit, || {
        for _ in 0..copies {
            copy.clear();
            copy.extend_from_slice(black_box(&value));
            black_box(&mut copy);
        }
    })];
    for (kind, store) in Kind::ALL.iter().zip(stores) {
        let role = match kind {
            Kind::Ebbtide => Role::Ours,
            _ => Role::Peer,
        };
        let (mut read, value) = (Vec::with_capacity(size.bytes()), &value);
        if let (Deed::GetKnown, Store::Ebbtide(state)) = (deed, store) {
            let (key, mut room) = (state.prepare(KEYS[0])?, vec![0; size.bytes()]);
            contenders.push(Batch::new(kind.name(), role, move || {
                let value = black_box(&key).read(black_box(&mut room));
                assert!(value.is_ok_and(|value| value.is_some()));
            }));
            continue;
        }
        contenders.push(Batch::new(kind.name(), role, move || match deed {
            Deed::Get | Deed::GetKnown => {
                assert!(store.get(KEYS[0], &mut read).is_ok_and(|found| found))
            }
            Deed::Set => store.set(KEYS[0], value).expect("it can be set"),
            Deed::Transaction => store.set_all(&KEYS, value).expect("they can be set"),
            Deed::Snapshot => {
                let count = store.snapshot(&KEYS).expect("they can be read");
                assert_eq!(count, KEYS.len());
            }
        }));
    }
    let label = format!(
        "{} {} B{}",
        deed.name(),
        size.bytes(),
        if races { ", racing writer" } else { "" }
    );
    let rounds = match races {
        true => plan.some_rounds(1, 10, 60),
        false => plan.batch_rounds(),
    };
    let case = batches_beside(plan, rounds, label, contenders, |contender, begins| {
        let kind = contender.checked_sub(1).filter(|_| races);
        match (kind, begins) {
            (None, _) => Ok(()),
            (Some(kind), true) => troop.order(Task::Write(Kind::ALL[kind], size)),
            (Some(_), false) => troop.stop(),
        }
    })?;
    let target = match (deed, races) {
        (Deed::Get | Deed::GetKnown, false) => Some(Target::of_limit(3.0).and_ahead()),
        (Deed::Get | Deed::GetKnown, true) => Some(Target::of_limit(f64::INFINITY).and_ahead()),
        _ => None,
    };
    Ok(case.target(target))
}
