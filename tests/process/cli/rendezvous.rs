//! `ebbtide status` on locks, semaphores and barriers, on the real binary.

use ebbtide::{
    CrossProcessBarrier, CrossProcessLock, CrossProcessSemaphore, Runner, SegmentOptions,
};

use super::support::{Place, both};

#[test]
fn status_tells_who_holds_locks_and_permits_and_what_broke_a_barrier() {
    both(|place| {
        let segment = SegmentOptions::new()
            .directory(place.directory())
            .create("job")
            .unwrap();
        let runner = Runner::join(&segment, "holder").unwrap();
        let permits = CrossProcessSemaphore::open(&segment, "permits", 3).unwrap();
        let gate = CrossProcessBarrier::open(&segment, "gate", 2).unwrap();
        let permit = permits.acquire().unwrap();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let status = |place: &Place| place.run(&["status", "job", "--json"]).code(0).json();
        assert_eq!(status(place)["locks"].as_array().unwrap().len(), 0);
        let guard = lock.lock().unwrap();
        gate.abort().unwrap();
        let document = status(place);
        let held = &document["locks"][0];
        assert_eq!(
            (&held["lock"], &held["owner"]["runner"], &held["alive"]),
            (&"device".into(), &"holder".into(), &true.into())
        );
        let semaphore = &document["semaphores"][0];
        assert_eq!(semaphore["name"], "permits");
        assert_eq!(
            (&semaphore["permits"], &semaphore["free"]),
            (&3.into(), &2.into())
        );
        let holder = semaphore["holders"][0].as_str().unwrap();
        assert!(holder.contains("holder"), "{holder}");
        let barrier = &document["barriers"][0];
        assert_eq!(
            (&barrier["name"], &barrier["parties"]),
            (&"gate".into(), &2.into())
        );
        let by = barrier["broken_by"].as_str().unwrap();
        assert!(by.contains("abort") && by.contains("holder"), "{by}");
        let text = place.run(&["status", "job"]).code(0).out;
        for part in [
            "1 lock held",
            "device",
            "SEMAPHORE",
            "permits",
            "BARRIER",
            "gate",
            "an abort by",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let waited = place.run(&["event", "wait", "job", "go", "--timeout", "1ms", "--json"]);
        let said = waited.code(4);
        assert_eq!(said.out.lines().count(), 1, "{said:#?}");
        drop((permit, guard));
        drop((lock, permits, gate, runner, segment));
        place.run(&["rm", "job"]).code(0);
    });
}
