//! The queue, worked through by one hand: who waits for whom, and what becomes of the others when something fails.

use oci::MediaType;

use super::*;

fn blob(name: &str, size: u64) -> Descriptor {
    Descriptor::new(MediaType::OCI_LAYER, Digest::of(name.as_bytes()), size)
}

fn place(realm: &str, repository: Option<&str>) -> Storage {
    Storage { realm: realm.to_owned(), repository: repository.map(str::to_owned) }
}

fn graph(blobs: &[&Descriptor]) -> Graph {
    Graph { blobs: blobs.iter().map(|blob| (*blob).clone()).collect(), ..Graph::default() }
}

fn failure() -> Failure {
    Arc::new(ContentError::Unsupported { place: "x".to_owned(), verb: "work" })
}

/// Does all that is ready; moving is done by `act`, which says whether it works. The order of what moved.
fn work(queue: &mut Queue, graphs: &[Graph], act: impl Fn(&Descriptor) -> bool) -> Vec<(Digest, usize)> {
    let mut moved = Vec::new();
    let mut graphs: Vec<Option<Graph>> =
        graphs.iter().map(|one| Some(Graph { blobs: one.blobs.clone(), ..Graph::default() })).collect();
    while let Some(task) = queue.next() {
        queue.ended(&task);
        match task {
            Task::Walk(job) => queue.walked(job, graphs[job].take().unwrap()),
            // What was stored in the same registry is mounted.
            Task::Check(at) if !queue.blob(at).mounts.is_empty() => queue.stored(at, None),
            Task::Check(at) => queue.missing(at),
            Task::Move(at) => {
                let (what, job) = (queue.blob(at).what.clone(), queue.blob(at).jobs[0]);
                moved.push((what.digest, job));
                match act(&what) {
                    true => queue.stored(at, Some(what.size)),
                    false => queue.failed(at, &failure()),
                }
            }
            Task::Publish(job, document) => queue.published(job, Some(document.what.size)),
            Task::Finish(_) => {}
        }
    }
    assert!(queue.is_done());
    moved
}

#[test]
fn a_blob_that_several_jobs_want_in_one_place_moves_once() {
    let (shared, a, b) = (blob("shared", 1 << 20), blob("a", 1 << 20), blob("b", 1 << 20));
    let graphs = [graph(&[&shared, &a]), graph(&[&shared, &b])];
    let mut queue = Queue::new(vec![place("store", None); 2], 4);
    let moved = work(&mut queue, &graphs, |_| true);
    assert_eq!(moved.len(), 3);
    let results: Vec<Copied> = queue.into_results().into_iter().map(Result::unwrap).collect();
    let all = results.iter().map(|copied| (copied.sent, copied.skipped)).collect::<Vec<_>>();
    assert_eq!(all, [(2, 0), (1, 1)]);
    assert_eq!(results.iter().map(|copied| copied.bytes).sum::<u64>(), 3 << 20);
}

#[test]
fn a_blob_for_several_repositories_of_a_registry_moves_once_and_is_mounted() {
    let shared = blob("shared", 1 << 20);
    let graphs = [graph(&[&shared]), graph(&[&shared]), graph(&[&shared])];
    let places = ["hub/a", "hub/b"].map(|name| place("hub", Some(name)));
    let mut queue = Queue::new(vec![places[0].clone(), places[1].clone(), place("other", Some("other/a"))], 4);
    let moved = work(&mut queue, &graphs, |_| true);
    assert_eq!(moved.iter().map(|(_, job)| *job).collect::<Vec<_>>(), [0, 2], "another registry gets its own");
}

#[test]
fn a_failure_ends_the_jobs_that_need_the_blob_and_no_others() {
    let (bad, good, rest) = (blob("bad", 2 << 20), blob("good", 1 << 20), blob("rest", 3 << 20));
    let graphs = [graph(&[&bad, &rest]), graph(&[&good]), graph(&[&bad, &good])];
    let mut queue = Queue::new(vec![place("store", None); 3], 1);
    let moved = work(&mut queue, &graphs, |what| what.digest != bad.digest);
    assert_eq!(moved.iter().filter(|(digest, _)| *digest == bad.digest).count(), 1);
    let results: Vec<bool> = queue.into_results().iter().map(Result::is_ok).collect();
    assert_eq!(results, [false, true, false]);
}

#[test]
fn when_the_first_repository_fails_the_next_one_gets_the_blob() {
    let shared = blob("shared", 1 << 20);
    let graphs = [graph(&[&shared]), graph(&[&shared]), graph(&[&shared])];
    let places = ["hub/a", "hub/b", "hub/c"].map(|name| place("hub", Some(name)));
    let mut queue = Queue::new(places.to_vec(), 4);
    let tries = std::cell::Cell::new(0);
    let moved = work(&mut queue, &graphs, |_| tries.replace(tries.get() + 1) > 0);
    assert_eq!(moved.len(), 2, "the third is mounted from the second");
    let results: Vec<bool> = queue.into_results().iter().map(Result::is_ok).collect();
    assert_eq!(results, [false, true, true]);
}

#[test]
fn huge_blobs_begin_first_and_then_those_of_the_first_jobs() {
    let (small, large, huge) = (blob("small", 10), blob("large", 5 << 20), blob("huge", 300 << 20));
    let late = blob("late", 6 << 20);
    let graphs = [graph(&[&large, &small]), graph(&[&huge, &late])];
    let mut queue = Queue::new(vec![place("store", None); 2], 1);
    let order: Vec<Digest> = work(&mut queue, &graphs, |_| true).into_iter().map(|(digest, _)| digest).collect();
    assert_eq!(order, [small, huge, large, late].map(|blob| blob.digest));
}

#[test]
fn no_more_blobs_move_at_once_than_allowed() {
    let blobs: Vec<Descriptor> = (0..9).map(|at| blob(&at.to_string(), 1 << 20)).collect();
    let mut queue = Queue::new(vec![place("store", None)], 3);
    let mut running = Vec::new();
    while let Some(task) = queue.next() {
        match task {
            Task::Move(_) => running.push(task),
            Task::Walk(job) => {
                queue.ended(&task);
                queue.walked(job, graph(&blobs.iter().collect::<Vec<_>>()));
            }
            Task::Check(at) => {
                queue.ended(&task);
                queue.missing(at);
            }
            Task::Publish(..) | Task::Finish(_) => unreachable!("blobs are missing"),
        }
    }
    assert_eq!(running.len(), 3);
    assert!(!queue.is_done());
    for task in running {
        let Task::Move(at) = task else { unreachable!() };
        queue.ended(&task);
        queue.failed(at, &failure());
    }
    assert!(queue.next().is_none(), "nothing is begun for a job that failed");
    assert!(queue.is_done());
}
