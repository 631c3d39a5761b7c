//! What is being waited for, while something takes long: a spinner on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use runtime::Progress;

use crate::print;

/// Shows the runtime's progress.
pub(crate) fn show() -> impl Fn(Progress) + Send + Sync {
    let terminal = std::io::stderr().is_terminal();
    let bar: Mutex<Option<ProgressBar>> = Mutex::new(None);
    move |progress| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.is_over()
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
        if !terminal || progress.is_over() {
            print::step(&progress);
            return;
        }
        let spinner = bar.get_or_insert_with(|| {
            let spinner = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        });
        spinner.set_message(progress.to_string());
    }
}
