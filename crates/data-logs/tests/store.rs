//! The store against a list in memory: any lines, any questions, across restarts; and damage.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use core_types::Id128;
use data_logs::{Direction, Found, Line, Options, Page, Position, Query, Store, Streams};
use proptest::prelude::*;

const GROUP: Id128 = Id128([7; 16]);

fn open(dir: &Path) -> Store {
    Store::open(dir, Options::default()).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn stream(n: u8) -> Id128 {
    Id128([n; 16])
}

fn line(timestamp: i64, message: impl Into<String>) -> Line {
    Line { timestamp, message: message.into() }
}

fn everything() -> Query {
    Query {
        group: GROUP,
        streams: Streams::All,
        from: i64::MIN,
        to: i64::MAX,
        after: None,
        direction: Direction::Forward,
        lines: usize::MAX,
        bytes: usize::MAX,
        scan: usize::MAX,
    }
}

/// All pages of a question, one after the other.
fn pages(store: &Store, query: &Query, matches: &dyn Fn(&str) -> bool) -> Vec<Page> {
    let (mut pages, mut query) = (Vec::new(), query.clone());
    loop {
        let page = store.read(&query, matches).unwrap();
        let more = page.more;
        pages.push(page);
        assert!(pages.len() < 10_000, "pages without an end");
        match more {
            Some(more) => {
                assert_ne!(query.after, Some(more), "a page without progress");
                query.after = Some(more);
            }
            None => return pages,
        }
    }
}

fn messages(page: &Page) -> Vec<&str> {
    page.lines.iter().map(|line| line.message.as_str()).collect()
}

fn all(store: &Store) -> Vec<String> {
    let page = store.read(&everything(), &|_| true).unwrap();
    page.lines.into_iter().map(|line| line.message).collect()
}

/// Until no line waits to be moved into a segment.
fn wait_for_rest(store: &Store) {
    const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
    let end = Instant::now() + Duration::from_secs(30);
    while store.figures().waiting_bytes > 0 {
        assert!(Instant::now() < end, "lines are not moved");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[derive(Clone, Debug)]
struct Batch {
    stream: u8,
    lines: Vec<(i64, String)>,
    restart: bool,
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let line = (0i64..40, "[a-e]{0,12}");
    let batch = (0u8..4, proptest::collection::vec(line, 1..12), proptest::bool::weighted(0.15))
        .prop_map(|(stream, mut lines, restart)| {
            lines.sort();
            Batch { stream, lines, restart }
        });
    proptest::collection::vec(batch, 1..20)
}

fn queries() -> impl Strategy<Value = (Query, Option<char>)> {
    let streams = proptest::option::of(proptest::collection::btree_set(0u8..4, 0..3));
    let limits = (1usize..20, 1usize..60, prop_oneof![Just(0usize), Just(usize::MAX)]);
    let filter = proptest::option::of(prop::char::range('a', 'e'));
    (streams, -1i64..42, 0i64..30, any::<bool>(), limits, filter).prop_map(
        |(streams, from, span, backward, (lines, bytes, scan), filter)| {
            let streams = streams.map(|of| of.into_iter().map(stream).collect::<BTreeSet<_>>());
            let query = Query {
                streams: streams.map_or(Streams::All, Streams::Of),
                from,
                to: from + span,
                direction: if backward { Direction::Backward } else { Direction::Forward },
                lines,
                bytes,
                scan,
                ..everything()
            };
            (query, filter)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn answers_as_a_list_would(batches in batches(), queries in proptest::collection::vec(queries(), 6)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let mut model: Vec<Found> = Vec::new();
        for (nth, batch) in batches.iter().enumerate() {
            let lines: Vec<Line> = batch.lines.iter().map(|(t, m)| line(*t, m)).collect();
            let ingested = 100 + nth as i64;
            let end = run(store.append(GROUP, stream(batch.stream), ingested, &lines)).unwrap();
            let first = end - lines.len() as u64;
            model.extend(lines.into_iter().zip(first..).map(|(line, number)| Found {
                stream: stream(batch.stream),
                position: Position { timestamp: line.timestamp, number },
                ingested,
                message: line.message,
            }));
            if batch.restart {
                drop(store);
                store = open(dir.path());
                if nth % 2 == 0 {
                    wait_for_rest(&store);
                }
            }
        }
        model.sort_by_key(|line| line.position);
        let numbers: BTreeSet<u64> = model.iter().map(|line| line.position.number).collect();
        prop_assert_eq!(numbers.len(), model.len(), "a number is given once");
        for (query, filter) in queries {
            let matches = |text: &str| filter.is_none_or(|c| text.contains(c));
            let wanted: Vec<&Found> = model.iter().filter(|line| {
                let of_stream = match &query.streams {
                    Streams::All => true,
                    Streams::Of(streams) => streams.contains(&line.stream),
                };
                let at = line.position.timestamp;
                of_stream && at >= query.from && at < query.to && matches(&line.message)
            }).collect();
            let mut pages = pages(&store, &query, &matches);
            for page in &pages {
                prop_assert!(page.lines.len() <= query.lines);
                let bytes: usize = page.lines.iter().map(|line| line.message.len()).sum();
                prop_assert!(bytes <= query.bytes || page.lines.len() == 1);
            }
            if query.direction == Direction::Backward {
                pages.reverse();
            }
            let found: Vec<&Found> = pages.iter().flat_map(|page| &page.lines).collect();
            prop_assert_eq!(found, wanted, "{:?}", query);
        }
        for n in 0..4 {
            let mut of = model.iter().filter(|line| line.stream == stream(n));
            let times = store.stream(GROUP, stream(n));
            let last = of.clone().map(|line| line.position.timestamp).max();
            prop_assert_eq!(times.map(|times| times.last), last);
            prop_assert_eq!(times.map(|t| t.first), of.next().map(|line| line.position.timestamp));
        }
    }
}

/// Enough lines for several blocks, moved into a segment and out of the write-ahead file.
fn filled(dir: &Path) -> Vec<String> {
    let store = open(dir);
    let mut written = Vec::new();
    for n in 0..40i64 {
        let lines: Vec<Line> =
            (0..200).map(|m| line(n * 1000 + m, format!("{n}.{m} {}", noise(n, m)))).collect();
        written.extend(lines.iter().map(|line| line.message.clone()));
        run(store.append(GROUP, stream((n % 3) as u8), n, &lines)).unwrap();
    }
    drop(store);
    wait_for_rest(&open(dir));
    // The start after which nothing waits deletes the old write-ahead files.
    let store = open(dir);
    wait_for_rest(&store);
    drop(store);
    assert_eq!(files(dir, "wal"), Vec::<PathBuf>::new());
    written
}

/// Text that does not compress to nothing.
fn noise(n: i64, m: i64) -> String {
    (0..20).map(|k| format!("{:x}", (n * 7919 + m * 104_729 + k * 1_299_709) % 65_536)).collect()
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn a_rotten_block_is_noticed_and_the_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let written = filled(dir.path());
    let [segment] = &files(dir.path(), "seg")[..] else { panic!("one segment") };
    let length = std::fs::metadata(segment).unwrap().len();
    // The growing segment is looked through at the start, a sealed one when it is read.
    for (at, at_start) in [(length / 2, true), (length / 4, false)] {
        flip(segment, at);
        let store = open(dir.path());
        let read = store.read(&everything(), &|_| true).unwrap();
        assert_eq!(
            (store.figures().damaged - read.damaged > 0, read.damaged > 0),
            (at_start, !at_start)
        );
        let found = all(&store);
        assert!(found.len() < written.len() && found.len() > written.len() / 4, "{}", found.len());
        assert!(found.iter().all(|line| written.contains(line) || line == "later"));
        // What is written later is served beside it.
        let before = found.len();
        run(store.append(GROUP, stream(1), 99, &[line(1_000_000, "later")])).unwrap();
        assert_eq!(all(&store).len(), before + 1);
        drop(store);
        wait_for_rest(&open(dir.path()));
    }
}

#[test]
fn an_end_that_rots_is_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let written = filled(dir.path());
    let [segment] = &files(dir.path(), "seg")[..] else { panic!("one segment") };
    flip(segment, std::fs::metadata(segment).unwrap().len() - 1);
    let store = open(dir.path());
    assert_eq!(store.figures().damaged, 1);
    let found = all(&store).len();
    assert!(found > 0 && found < written.len(), "{found}");
}

#[test]
fn a_torn_segment_is_filled_again_from_the_write_ahead_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut written = Vec::new();
    // More than waits: part of it is moved while the write-ahead file is still there.
    for n in 0..30i64 {
        let lines: Vec<Line> =
            (0..2000).map(|m| line(n * 10_000 + m, format!("{n}.{m} {}", noise(n, m)))).collect();
        written.extend(lines.iter().map(|line| line.message.clone()));
        run(store.append(GROUP, stream(1), n, &lines)).unwrap();
    }
    drop(store);
    let [segment] = &files(dir.path(), "seg")[..] else { panic!("one segment") };
    let length = std::fs::metadata(segment).unwrap().len();
    assert!(length > 0);
    let whole = std::fs::read(segment).unwrap();
    let logged: Vec<(PathBuf, Vec<u8>)> = files(dir.path(), "wal")
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    for cut in [0, 1, length / 3, length / 2, length - 1] {
        for (path, bytes) in &logged {
            std::fs::write(path, bytes).unwrap();
        }
        files(dir.path(), "seg").iter().for_each(|path| std::fs::remove_file(path).unwrap());
        std::fs::write(segment, &whole[..cut as usize]).unwrap();
        let store = open(dir.path());
        assert_eq!(all(&store), written, "cut at {cut} of {length}");
        assert_eq!(store.figures().damaged, 0);
        wait_for_rest(&store);
        assert_eq!(all(&store), written, "cut at {cut} of {length}");
    }
}

#[test]
fn a_torn_write_ahead_file_keeps_all_but_its_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..10 {
        run(store.append(GROUP, stream(1), n, &[line(n, format!("line {n}"))])).unwrap();
    }
    drop(store);
    let [wal] = &files(dir.path(), "wal")[..] else { panic!("one write-ahead file") };
    let length = std::fs::metadata(wal).unwrap().len();
    OpenOptions::new().write(true).open(wal).unwrap().set_len(length - 3).unwrap();
    let store = open(dir.path());
    assert_eq!(all(&store), (0..9).map(|n| format!("line {n}")).collect::<Vec<_>>());
    let end = run(store.append(GROUP, stream(1), 11, &[line(11, "on")])).unwrap();
    assert!(end > 9);
    assert_eq!(all(&store).last().unwrap(), "on");
}

#[test]
fn what_expires_or_is_gone_goes_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let store = open(dir.path());
    let other = Id128([8; 16]);
    run(store.append(other, stream(1), 1, &[line(1, "other")])).unwrap();
    let expire = |before: Option<i64>, gone: &[u8]| {
        let gone = gone.iter().map(|n| stream(*n)).collect();
        store.expire(GROUP, before, &gone).unwrap();
    };
    expire(None, &[]);
    let whole = all(&store).len();
    expire(Some(20_000), &[2]);
    assert_eq!(all(&store).len(), whole, "a file goes when all in it has expired or is gone");
    assert!(store.stream(GROUP, stream(2)).is_none());
    expire(Some(1_000_000), &[]);
    assert!(all(&store).is_empty());
    assert_eq!(store.stored_bytes(GROUP), 0);
    assert!(files(&dir.path().join("groups").join(GROUP.to_string()), "seg").is_empty());
    run(store.append(GROUP, stream(1), 1, &[line(2_000_000, "new")])).unwrap();
    assert_eq!(all(&store), ["new"]);
    assert_eq!(store.groups().len(), 2);
    store.remove(other).unwrap();
    let query = Query { group: other, ..everything() };
    assert!(store.read(&query, &|_| true).unwrap().lines.is_empty());
    drop(store);
    // The write-ahead file still has lines of the group that is gone: they go at the next look.
    let store = open(dir.path());
    assert!(store.groups().contains(&other));
    store.remove(other).unwrap();
    assert!(store.read(&query, &|_| true).unwrap().lines.is_empty());
    assert_eq!(all(&store), ["new"]);
}

#[test]
fn a_file_of_streams_that_are_gone_goes() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let store = open(dir.path());
    store.expire(GROUP, None, &[stream(0), stream(1)].into()).unwrap();
    assert!(!all(&store).is_empty());
    store.expire(GROUP, None, &[stream(0), stream(1), stream(2)].into()).unwrap();
    assert!(all(&store).is_empty());
    wait_for_rest(&store);
}

#[test]
fn a_search_that_finds_little_stops_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let store = open(dir.path());
    let query = Query { lines: 10_000, bytes: 1 << 20, scan: 1, ..everything() };
    let pages = pages(&store, &query, &|text| text.starts_with("39.199 "));
    assert!(pages.len() > 2, "{}", pages.len());
    let found: Vec<&str> = pages.iter().flat_map(messages).collect();
    assert_eq!(found.len(), 1);
}

#[test]
fn watchers_see_what_comes_and_are_told_what_they_missed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut tail = store.watch([GROUP].into());
    run(async {
        store.append(Id128([8; 16]), stream(1), 1, &[line(1, "of another group")]).await.unwrap();
        store.append(GROUP, stream(1), 5, &[line(1, "a"), line(2, "b")]).await.unwrap();
        let tailed = tail.next().await.unwrap();
        let lines: Vec<_> = tailed.lines().map(|(at, text)| (at, text.into_owned())).collect();
        assert_eq!(lines, [(1, "a".to_owned()), (2, "b".to_owned())]);
        assert_eq!((tailed.stream(), tailed.ingested()), (stream(1), 5));
        assert_eq!(tail.missed(), 0);
        for n in 0..2000 {
            store.append(GROUP, stream(1), n, &[line(n, "flood")]).await.unwrap();
        }
        assert!(tail.missed() > 0);
        store.stop();
        while tail.next().await.is_some() {}
    });
}

#[test]
fn many_writers_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(dir.path()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for writer in 0..50u8 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                for n in 0..20i64 {
                    let lines = [line(n, format!("{writer} {n}"))];
                    store.append(GROUP, stream(writer), n, &lines).await.unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(all(&store).len(), 1000);
    let one = Query { streams: Streams::Of([stream(7)].into()), ..everything() };
    let page = store.read(&one, &|_| true).unwrap();
    assert_eq!(page.lines.len(), 20);
    assert!(page.lines.is_sorted_by_key(|line| line.position));
}

#[test]
fn a_file_that_cannot_be_made_is_told_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    // Where the directory of write-ahead files would be, a file stands in the way.
    File::create(dir.path().join("wal")).unwrap();
    assert!(Store::open(dir.path(), Options::default()).is_err());
    std::fs::remove_file(dir.path().join("wal")).unwrap();
    let store = open(dir.path());
    File::create(dir.path().join("wal")).unwrap();
    let refused = run(store.append(GROUP, stream(1), 1, &[line(1, "lost")]));
    assert!(refused.is_err());
    assert!(all(&store).is_empty(), "what was refused is not shown");
    std::fs::remove_file(dir.path().join("wal")).unwrap();
    run(store.append(GROUP, stream(1), 1, &[line(1, "kept")])).unwrap();
    assert_eq!(all(&store), ["kept"]);
}
