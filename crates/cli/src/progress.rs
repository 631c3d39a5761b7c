//! What is being waited for, while something takes long: a spinner on a terminal, plain lines elsewhere.

use runtime::Progress;

use crate::{escape, lang, print, terminal};

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
        let said = progress.wording();
        let said = lang::of(&said);
        if progress.is_warning() {
            print::warning(said, "");
        } else if watched && !progress.is_over() {
            terminal::wait_for(Some(escape::Line(said).to_string()));
        } else {
            print::step(said);
        }
    }
}
