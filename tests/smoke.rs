//! smoke
use ebbtide::*;
use std::time::Duration;
#[test]
fn group_shutdown_of_threads_completes() {
    let scratch = tempfile::tempdir().unwrap();
    let options = SegmentOptions::new().directory(scratch.path().join("d"));
    let segment = options.create("job").unwrap();
    let mut threads = Vec::new();
    for i in 0..4 {
        let segment = options.open("job").unwrap();
        let runner = Runner::join(&segment, &format!("r{i}")).unwrap();
        threads.push(std::thread::spawn(move || {
            runner.wait_for_shutdown(None).unwrap();
            runner.run_shutdown().unwrap()
        }));
    }
    let c = ShutdownCoordinator::new(&segment);
    println!("{:#?}", c.status().unwrap());
    c.initiate_shutdown(&Scope::All, &ShutdownRequest::new().reason(ReasonCode::Idle, "why not")).unwrap();
    let report = c.wait_for_shutdown_complete(&Scope::All, Duration::from_secs(10)).unwrap();
    for t in threads { t.join().unwrap(); }
    println!("{report:#?}");
    assert_eq!(report.outcome, ShutdownOutcome::Completed);
    assert_eq!(c.begin_generation().unwrap(), 2);
    drop(c); drop(segment);
    options.remove("job", false).unwrap();
}
