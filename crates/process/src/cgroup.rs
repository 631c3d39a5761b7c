//! A control group for each worker, where the kernel has the second version of them and this process may make some (Linux since
//! 5.14; a service with `Delegate=yes`, root, some containers). All that a worker starts is in its group from birth, whatever
//! it does about its parent, session, environment or guard, and `cgroup.kill` ends all of it at once. It can leave only by
//! writing to the groups itself, as this user may: that is no mistake any more.
//!
//! Where there are none, the guards are all there is: see `guard`.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The variable by which a guard learns of its group; it is not passed on.
pub(crate) const VARIABLE: &str = "YUNQIAO_CGROUP";
/// How often a group is looked at until the kernel has let go of the last process.
const MOST_ROUNDS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The groups of one runtime: a folder, and one in it for each worker.
#[derive(Debug)]
pub(crate) struct Cgroups {
    folder: PathBuf,
}

/// The group of one worker.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
}

impl Cgroups {
    /// Groups below this process' own, under a name that no other runtime has. `None` where none can be made.
    pub(crate) fn open(name: &OsStr) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let own = own_group()?;
        // What runtimes have left that were killed. One that still has workers cannot be removed, and the others make theirs anew.
        let named = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b"yunqiao-");
        for left in fs::read_dir(&own).ok()?.flatten().filter(named) {
            let _ = fs::remove_dir(left.path());
        }
        let folder = own.join(name);
        fs::create_dir(&folder).ok()?;
        let groups = Self { folder };
        groups.folder.join("cgroup.kill").is_file().then_some(groups)
    }

    /// Makes the group of a worker. `None` if it cannot be made: it is the worker's second net, not its first.
    pub(crate) fn of_worker(&self, serial: u64) -> Option<Cgroup> {
        let folder = self.folder.join(format!("worker-{serial}"));
        fs::create_dir_all(&folder).ok()?;
        Some(Cgroup { folder })
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Cgroup {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills all that is in it. What is killed cannot start another process.
    pub(crate) fn kill(&self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }

    /// Kills all that is in it and removes it. Blocks until the processes are gone.
    pub(crate) fn end(self) {
        self.kill();
        for _ in 0..MOST_ROUNDS {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(PAUSE),
                _ => return,
            }
        }
    }
}

/// Puts this process into a group.
pub(crate) fn enter(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.procs"), "0")
}

/// The folder of the group in which this process is.
fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // "id parent major:minor root mount-point options … - type source options"
    let mount = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut words = place.split(' ').skip(3);
        let (root, at) = (words.next()?, words.next()?);
        (kind.starts_with("cgroup2 ") && root == "/").then_some(at)
    })?;
    let folder = Path::new(mount).join(path);
    folder.is_dir().then_some(folder)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    #[ignore = "needs control groups that this user may make"]
    fn what_is_in_a_group_is_killed_with_it_in_control_groups() {
        let groups = Cgroups::open(OsStr::new("yunqiao-of-this-test")).unwrap();
        let group = groups.of_worker(1).unwrap();
        let script = format!(
            "echo 0 > {}/cgroup.procs; setsid sleep 1000 & echo started; wait",
            group.folder().display()
        );
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut started = [0; 8];
        io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut started).unwrap();
        let folder = group.folder().to_owned();
        group.end();
        assert!(!shell.wait().unwrap().success());
        assert!(!folder.exists(), "it was empty, else it could not be removed");
        let folder = folder.parent().unwrap().to_owned();
        drop(groups);
        assert!(!folder.exists());
    }
}
