//! Folders under watch. The kernel gives a user few instances of inotify (128 is usual) and many watches
//! in each, so a process has one for all its containers, read by one thread.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::sync::Notify;

/// A folder in which something may be made or written. Dropped, it is watched no more.
pub struct Watch {
    all: Arc<Watches>,
    number: i32,
    changed: Arc<Notify>,
}

impl Watch {
    pub fn of(dir: &Path) -> io::Result<Watch> {
        let all = Watches::of_process()?;
        let changed = Arc::new(Notify::new());
        // Locked over both: an event finds whoever waits for it.
        let mut waiting = all.waiting();
        // Twice the same folder is one watch with one number.
        let events = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::ONLYDIR;
        let number = inotify::add_watch(&all.kernel, dir, events)?;
        waiting.entry(number).or_default().push(Arc::downgrade(&changed));
        drop(waiting);
        Ok(Watch { all, number, changed })
    }

    /// Something has changed since this was last awaited.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiting = self.all.waiting();
        // Gone where the folder is gone.
        let Some(those) = waiting.get_mut(&self.number) else { return };
        those.retain(|one| !std::ptr::eq(one.as_ptr(), Arc::as_ptr(&self.changed)));
        if those.is_empty() {
            waiting.remove(&self.number);
            let _ = inotify::remove_watch(&self.all.kernel, self.number);
        }
    }
}

type Waiting = HashMap<i32, Vec<Weak<Notify>>>;

struct Watches {
    kernel: OwnedFd,
    waiting: Mutex<Waiting>,
}

impl Watches {
    fn of_process() -> io::Result<Arc<Watches>> {
        static MADE: Mutex<Option<Arc<Watches>>> = Mutex::new(None);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.clone());
        }
        let kernel = inotify::init(CreateFlags::CLOEXEC)?;
        let all = Arc::new(Watches { kernel, waiting: Mutex::default() });
        let reads = all.clone();
        std::thread::Builder::new().name("watches".into()).spawn(move || reads.read())?;
        *made = Some(all.clone());
        Ok(all)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.kernel, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => self.tell(event.wd(), event.events()),
                Err(rustix::io::Errno::INTR) => {}
                // Nothing else is known to happen. Whoever waits looks for himself.
                Err(_) => return self.tell_all(),
            }
        }
    }

    fn tell(&self, number: i32, events: ReadFlags) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.tell_all();
        }
        let mut waiting = self.waiting();
        let those = waiting.get(&number).into_iter().flatten();
        those.filter_map(Weak::upgrade).for_each(|one| one.notify_one());
        if events.contains(ReadFlags::IGNORED) {
            // The folder is gone, and its number with it.
            waiting.remove(&number);
        }
    }

    fn tell_all(&self) {
        let waiting = self.waiting();
        waiting.values().flatten().filter_map(Weak::upgrade).for_each(|one| one.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_folders_are_watched_at_once_and_each_tells_its_own() {
        let all = tempfile::tempdir().unwrap();
        let dirs: Vec<_> = (0..400).map(|n| all.path().join(n.to_string())).collect();
        let mut watches = Vec::new();
        for dir in &dirs {
            std::fs::create_dir(dir).unwrap();
            watches.push(Watch::of(dir).unwrap());
        }
        std::fs::write(dirs[7].join("exit.json"), "{}").unwrap();
        watches[7].changed().await;
        // Two on one folder; one of them goes, the other goes on being told.
        let second = Watch::of(&dirs[8]).unwrap();
        drop(watches.remove(8));
        std::fs::write(dirs[8].join("more"), "").unwrap();
        second.changed().await;
        // A folder that goes wakes who waits for it, and can come again.
        std::fs::remove_dir(&dirs[9]).unwrap();
        watches[8].changed().await;
        std::fs::create_dir(&dirs[9]).unwrap();
        let again = Watch::of(&dirs[9]).unwrap();
        drop(watches.remove(8));
        std::fs::write(dirs[9].join("more"), "").unwrap();
        again.changed().await;
        assert!(Watch::of(&all.path().join("none")).is_err());
    }
}
