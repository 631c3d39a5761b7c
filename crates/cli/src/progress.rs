//! What is being waited for, while something takes long: a spinner on a terminal, plain lines elsewhere. And what functions
//! print outside of calls.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use runtime::{Observer, PrintedLine, Progress};

use crate::print;

/// Shows what the runtime does.
struct Shown {
    terminal: bool,
    bar: Mutex<Option<ProgressBar>>,
}

/// Shows the runtime's progress.
pub(crate) fn show() -> Arc<dyn Observer> {
    Arc::new(Shown {
        terminal: std::io::stderr().is_terminal(),
        bar: Mutex::new(None),
    })
}

impl Observer for Shown {
    fn progress(&self, progress: Progress) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.is_over()
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
        if !self.terminal || progress.is_over() {
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

    fn printed(&self, printed: PrintedLine) {
        // What belongs to a call is shown with the call.
        if printed.call.is_some() {
            return;
        }
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(|| print::step(&printed)),
            None => print::step(&printed),
        }
    }
}
