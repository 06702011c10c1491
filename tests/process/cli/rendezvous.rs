//! `ebbtide status` on semaphores and barriers, on the real binary.

use ebbtide::{CrossProcessBarrier, CrossProcessSemaphore, Runner, SegmentOptions};

use super::support::both;

#[test]
fn status_tells_who_holds_permits_and_what_broke_a_barrier() {
    both(|place| {
        let segment = SegmentOptions::new()
            .directory(place.directory())
            .create("job")
            .unwrap();
        let runner = Runner::join(&segment, "holder").unwrap();
        let permits = CrossProcessSemaphore::open(&segment, "permits", 3).unwrap();
        let gate = CrossProcessBarrier::open(&segment, "gate", 2).unwrap();
        let permit = permits.acquire().unwrap();
        gate.abort().unwrap();
        let document = place.run(&["status", "job", "--json"]).code(0).json();
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
        for part in ["SEMAPHORE", "permits", "BARRIER", "gate", "an abort by"] {
            assert!(text.contains(part), "{text}");
        }
        let waited = place.run(&["event", "wait", "job", "go", "--timeout", "1ms", "--json"]);
        let said = waited.code(4);
        assert_eq!(said.out.lines().count(), 1, "{said:#?}");
        drop(permit);
        drop((permits, gate, runner, segment));
        place.run(&["rm", "job"]).code(0);
    });
}
