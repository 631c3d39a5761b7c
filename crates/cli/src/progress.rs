//! What is being waited for, while something takes long: a spinner on a terminal, plain lines elsewhere.

use runtime::Progress;

use crate::{escape, print, terminal};

/// Shows the runtime's progress.
pub(crate) fn show() -> impl Fn(Progress) + Send + Sync {
    let watched = terminal::is_watched();
    move |progress| {
        if progress.is_over() {
            terminal::wait_for(None);
        }
        // What a function lacks for it is told with the function, once, when everything has been loaded.
        if matches!(
            &progress,
            Progress::Installed {
                problem: Some(_),
                package: None,
                ..
            }
        ) {
            return;
        }
        if progress.is_warning() {
            print::warning(&progress, "");
        } else if watched && !progress.is_over() {
            terminal::wait_for(Some(escape::Line(&progress.to_string()).to_string()));
        } else {
            print::step(&progress);
        }
    }
}
