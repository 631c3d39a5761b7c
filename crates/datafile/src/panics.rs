//! Panics of redb: it panics at some pages that hold something else than it wrote there. That is told as a damaged file.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    thread,
};

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` with a file that may be damaged. redb must have nothing in its hands that a panic could leave half done.
///
/// # Errors
/// Where it panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    let before = CAUGHT.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    done
}

/// Whether this thread looks into a file that may be damaged. A panic then is told as an error of the file, and a program's hook for panics
/// has nothing to say of it.
#[must_use]
pub fn panics_are_caught() -> bool {
    CAUGHT.get()
}
